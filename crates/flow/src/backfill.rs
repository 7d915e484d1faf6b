//! Publishing again: a whole contract, in chunks, or the keys and chains of a repair. All of it goes through the outbox.

use crate::auditor::Gap;
use crate::custody::source::SourceCheck;
use crate::port::PortError;
use crate::source::{Act, Source};
use seamline_contract::id::ContractId;
use seamline_message::key::RecordKey;
use std::collections::BTreeSet;
use std::fmt;

/// How many keys are published again in one transaction of the source.
pub const CHUNK_KEYS: usize = 200;

/// How far a backfill is; enough to go on with it elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Progress {
    /// The last key published again.
    pub after: Option<RecordKey>,
    /// Outbox rows written.
    pub rows: u64,
    /// Nothing is left.
    pub done: bool,
}

/// Publishes the next chunk of a contract again, each key under its lock with the state of that moment.
///
/// # Errors
/// The source's. Go on from the progress before: keys published twice do no harm.
pub async fn backfill<S: Source>(
    source: &S,
    contract: &ContractId,
    progress: &Progress,
) -> Result<Progress, PortError> {
    if progress.done {
        return Ok(progress.clone());
    }
    let rows = source.scan(contract, progress.after.as_ref(), CHUNK_KEYS).await?;
    let keys: Vec<RecordKey> = rows.into_iter().map(|row| row.key).collect();
    let Some(last) = keys.last().cloned() else {
        return Ok(Progress { done: true, ..progress.clone() });
    };
    let written = source.emit(contract, &keys).await?;
    let done = keys.len() < CHUNK_KEYS;
    Ok(Progress { after: Some(last), rows: progress.rows + written, done })
}

/// How many keys and how many voids of a plan are shown.
const SHOWN_MAX: usize = 20;

/// What is to be done at a source so that the log follows it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourcePlan {
    /// The contract.
    pub contract: ContractId,
    /// Keys to publish again as they are now, sorted.
    pub reemit: Vec<RecordKey>,
    /// Lost events whose place a void takes, sorted.
    pub voids: Vec<Gap>,
    /// Rows that are nowhere, to be counted as lost and explained by their case.
    pub lost: u64,
}

impl fmt::Display for SourcePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "repair `{}` at its source:", self.contract)?;
        for key in self.reemit.iter().take(SHOWN_MAX) {
            writeln!(f, "  publish {key} again as it is now")?;
        }
        if self.reemit.len() > SHOWN_MAX {
            writeln!(f, "  … and {} more keys", self.reemit.len() - SHOWN_MAX)?;
        }
        for gap in self.voids.iter().take(SHOWN_MAX) {
            writeln!(f, "  put a void for {} in the chain of {} on `{}`", gap.missing, gap.key, gap.channel)?;
        }
        if self.voids.len() > SHOWN_MAX {
            writeln!(f, "  … and {} more voids", self.voids.len() - SHOWN_MAX)?;
        }
        if !self.voids.is_empty() {
            writeln!(
                f,
                "  who reacts to these events learns that they are lost, and does not react to them"
            )?;
        }
        if self.lost > 0 {
            writeln!(f, "  count {} rows as lost", self.lost)?;
        }
        Ok(())
    }
}

/// Plans the repair of what a check of the source link found. A lost event is counted as lost by its void; what is
/// missing beyond them is counted by itself.
pub fn plan(check: &SourceCheck) -> SourcePlan {
    let drifted: BTreeSet<RecordKey> = check
        .reports
        .iter()
        .flat_map(|report| &report.drifts)
        .filter_map(|drift| drift.key.clone().ok())
        .collect();
    let voided: BTreeSet<_> = check.gaps.iter().map(|gap| (&gap.key, gap.missing)).collect();
    SourcePlan {
        contract: check.contract.name.contract.clone(),
        reemit: drifted.into_iter().collect(),
        voids: check.gaps.clone(),
        lost: u64::try_from(check.missing - voided.len() as i128).unwrap_or(0),
    }
}

/// Does what a plan says. Returns how many outbox rows were written to publish keys again.
///
/// # Errors
/// The source's. What was done stays done; check the link again and plan anew.
pub async fn repair_source<S: Source>(source: &S, plan: &SourcePlan) -> Result<u64, PortError> {
    let contract = &plan.contract;
    for gap in &plan.voids {
        let act = Act::Void { channel: gap.channel.clone(), sequence: gap.missing, previous: gap.after };
        source.void(contract, &gap.key, &act).await?;
    }
    let mut written = 0;
    for keys in plan.reemit.chunks(CHUNK_KEYS) {
        written += source.emit(contract, keys).await?;
    }
    if plan.lost > 0 {
        source.explain_lost(contract, plan.lost).await?;
    }
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::{SourcePlan, plan};
    use crate::auditor::Gap;
    use crate::custody::source::SourceCheck;
    use crate::drift::{Drift, DriftKind, Link, Outcome, Report};
    use seamline_message::key::RecordKey;
    use seamline_message::sequence::Sequence;
    use std::collections::{BTreeMap, BTreeSet};

    #[test]
    fn a_plan_mends_each_key_once_and_explains_what_no_void_does() {
        let key = RecordKey::from_texts(&["a".to_owned()]);
        let drift = |key| Drift {
            link: Link::Source,
            kind: DriftKind::Stale,
            key,
            states: Default::default(),
            differing: Vec::new(),
            expected: None,
            found: None,
            owed_by: "policy-administration".parse().unwrap(),
            cause: String::new(),
        };
        let report = Report {
            subject: String::new(),
            link: Link::Source,
            outcome: Outcome::Drift,
            rows: 1,
            counts: BTreeMap::new(),
            drifts: vec![drift(Ok(key.clone())), drift(Err("partition 0, offset 3".to_owned()))],
            proves: Vec::new(),
        };
        let gap = |channel: &str| Gap {
            channel: channel.to_owned(),
            key: key.clone(),
            after: None,
            missing: Sequence(4),
        };
        let check = SourceCheck {
            contract: "policy-administration/policy@2".parse().unwrap(),
            reports: vec![report.clone(), report],
            gaps: vec![gap("eligibility.events"), gap("events")],
            missing: 3,
            awaiting_backfill: 0,
            foreign: Vec::new(),
            conflicts: BTreeSet::new(),
            disordered: BTreeSet::new(),
            cases: Vec::new(),
        };
        let planned = plan(&check);
        assert_eq!((planned.reemit.len(), planned.voids.len(), planned.lost), (1, 2, 2));
        assert_eq!(
            planned.to_string(),
            "repair `policy` at its source:\n  publish [\"a\"] again as it is now\n  \
             put a void for 0000000000000000004 in the chain of [\"a\"] on `eligibility.events`\n  \
             put a void for 0000000000000000004 in the chain of [\"a\"] on `events`\n  \
             who reacts to these events learns that they are lost, and does not react to them\n  count 2 rows as lost\n"
        );
        let keys = (0..30).map(|idx| RecordKey::from_texts(&[format!("{idx:02}")]));
        let many = SourcePlan { reemit: keys.collect(), voids: Vec::new(), ..planned };
        let shown = many.to_string();
        assert!(shown.contains("publish [\"19\"] again"), "{shown}");
        assert!(shown.contains("\n  … and 10 more keys\n") && !shown.contains("[\"20\"]"), "{shown}");
        assert_eq!(plan(&SourceCheck { missing: -1, ..check }).lost, 0);
    }
}
