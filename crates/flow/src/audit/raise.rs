//! What only who reads a topic back can see, as the cases that a comparison of the source makes, too.

use crate::auditor::Audit;
use crate::case::NewCase;
use crate::custody::cases::cases as cases_of;
use crate::custody::source::SourceCheck;
use crate::drift::{Drift, DriftKind, Link, Outcome, Report};
use crate::ledger::Entry;
use crate::outlet::{OutChannel, Outlet};
use crate::port::PortError;
use crate::source::Source;
use seamline_contract::channel::ChannelKind;
use seamline_message::key::RecordKey;
use std::collections::{BTreeMap, BTreeSet};

/// At most so many keys are looked at in one step.
const LOOKED_AT: usize = 100;

/// At most so many of each kind are remembered: the first are told, and a comparison of the source counts them all.
const FOUND_MAX: usize = 1_000;

/// Forgets what is beyond the bounds.
pub(super) fn bound(found: &mut Audit, late: &mut BTreeSet<RecordKey>) {
    found.foreign.truncate(FOUND_MAX);
    while found.conflicts.len() > FOUND_MAX {
        found.conflicts.pop_last();
    }
    while found.disordered.len() > FOUND_MAX {
        found.disordered.pop_last();
    }
    while found.gaps.len() > FOUND_MAX {
        found.gaps.pop_last();
    }
    while late.len() > FOUND_MAX {
        late.pop_last();
    }
}

/// Returns how much was found.
pub(super) fn size(found: &Audit) -> usize {
    found.foreign.len() + found.conflicts.len() + found.disordered.len() + found.gaps.len()
}

/// Returns the keys whose last record is not their highest though nothing of them waits. One of which something waits is overtaken soon,
/// and stays to be looked at.
pub(super) async fn behind<S: Source>(
    source: &S,
    outlet: &Outlet,
    channel: &OutChannel,
    late: &mut BTreeSet<RecordKey>,
) -> Result<Vec<RecordKey>, PortError> {
    if late.is_empty() || channel.id.kind == ChannelKind::Events {
        return Ok(Vec::new());
    }
    let keys: Vec<RecordKey> = late.iter().take(LOOKED_AT).cloned().collect();
    let facts = source.look(&outlet.contract.name.contract, &keys).await?;
    Ok(facts.into_iter().filter(|facts| !facts.waiting).map(|facts| facts.key).collect())
}

/// Returns the keys of records that no relay wrote.
pub(super) fn foreign_keys(found: &Audit) -> Vec<RecordKey> {
    found.foreign.iter().filter_map(|foreign| foreign.key.clone()).collect()
}

/// Returns the cases of what was found. `known` are the entries of `foreign_keys`: what a later record overtook is no drift.
pub(super) fn cases(
    outlet: &Outlet,
    channel: &OutChannel,
    found: &Audit,
    behind: &[RecordKey],
    known: &[Option<Entry>],
) -> Vec<NewCase> {
    let topic = &channel.topic;
    let is_state = channel.id.kind == ChannelKind::State;
    let mut drifts = Vec::new();
    for key in behind {
        drifts.push(drift(
            outlet,
            DriftKind::Stale,
            key,
            "an older record came last, and compaction keeps it",
        ));
    }
    let mut entries = known.iter();
    let mut foreign = Vec::new();
    for record in &found.foreign {
        let entry = record.key.as_ref().and_then(|_| entries.next());
        match &record.key {
            Some(key) if is_state => {
                let overtaken =
                    entry.is_some_and(|it| it.as_ref().is_some_and(|it| it.offset > record.offset));
                if !overtaken {
                    drifts.push(drift(
                        outlet,
                        DriftKind::Orphan,
                        key,
                        "a record that is none of this contract",
                    ));
                }
            }
            _ => foreign.push(format!("{topic}, partition {}, offset {}", record.partition, record.offset)),
        }
    }
    let report = Report {
        subject: outlet.contract.to_string(),
        link: Link::Source,
        outcome: Outcome::Drift,
        rows: 0,
        counts: BTreeMap::new(),
        drifts,
        proves: Vec::new(),
    };
    let at = |key: &RecordKey| (topic.clone(), key.clone());
    cases_of(&SourceCheck {
        contract: outlet.contract.clone(),
        reports: vec![report],
        gaps: found.gaps.iter().cloned().collect(),
        missing: 0,
        awaiting_backfill: 0,
        foreign,
        conflicts: found.conflicts.keys().map(at).collect(),
        disordered: found.disordered.iter().map(at).collect(),
        cases: Vec::new(),
    })
}

fn drift(outlet: &Outlet, kind: DriftKind, key: &RecordKey, cause: &str) -> Drift {
    Drift {
        link: Link::Source,
        kind,
        key: Ok(key.clone()),
        differing: Vec::new(),
        states: Default::default(),
        expected: None,
        found: None,
        owed_by: outlet.contract.name.context.clone(),
        cause: cause.to_owned(),
    }
}
