//! Reconciliation at the consumer: the log against what was received (link 2), and that against the table (link 3).

pub mod blame;
mod catch_up;
pub mod compare;
pub mod repair;

use crate::clock::Clock;
use crate::drift::{Drift, DriftKind, Link, Outcome, Report};
use crate::hold::{DigestEpoch, Hold, Ports, keep};
use crate::intake::Intake;
use crate::log::Log;
use crate::port::PortError;
use crate::projector::state_of;
use crate::reconcile::blame::{Gap, Last, blame};
use crate::reconcile::catch_up::{catch_up, claim};
use crate::reconcile::compare::{Mend, held, is_intact, judge, key_text, kind_of, remark};
use crate::rehearsal::{Kept, Rehearsal, label, rehearse};
use crate::store::{Difference, LiveRow, Store};
use crate::sweep::Sweep;
use seamline_contract::subscription::Role;
use seamline_contract::value::Value;
use seamline_message::digest::Digest;
use seamline_message::key::RecordKey;
use seamline_message::sequence::Sequence;
use seamline_message::sums::Sums;
use std::collections::{BTreeMap, BTreeSet};

/// How many rows are read at once.
const SCAN_ROWS: usize = 512;

/// What a pass over a subscription found.
#[derive(Debug, Clone, PartialEq)]
pub struct Reconciled {
    /// One report for each link that the subscription's role compares.
    pub reports: Vec<Report>,
    /// What would mend it.
    pub plan: Plan,
}

/// What would mend a subscription. Nothing is done by making it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Plan {
    /// Keys to mend, sorted.
    pub mends: Vec<Mend>,
    /// What only people can mend.
    pub by_hand: Vec<Drift>,
    /// The sums are to be counted anew from rows, ends and quarantine.
    pub recount: bool,
    /// What waits in quarantine and was received under another digest key, as it is under the one of today.
    pub aside: Vec<(RecordKey, (Sequence, Digest))>,
}

impl Plan {
    /// Returns whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.mends.is_empty() && !self.recount && self.aside.is_empty()
    }
}

/// Compares links 2 and 3 of a subscription. It takes its lanes from whoever holds them, and leaves them caught up.
///
/// # Errors
/// The ports'. It changes nothing but what a projector does, and can be repeated.
pub async fn reconcile<S: Store, L: Log, C: Clock>(
    ports: Ports<'_, S, L, C>,
    intake: &Intake,
    digest: DigestEpoch,
) -> Result<Reconciled, PortError> {
    if intake.state.is_none() {
        return Ok(Reconciled { reports: Vec::new(), plan: Plan::default() });
    }
    let mut caught = catch_up(ports, intake, digest).await?;
    let Some(topic) = caught.topic.clone().filter(|_| caught.reasons.is_empty()) else {
        return Ok(unseen(intake, caught.reasons));
    };
    let rehearsal = match rehearse(ports, intake, digest, &topic, &mut caught.holds).await? {
        Ok(rehearsal) => rehearsal,
        Err(lost) => return Ok(unseen(intake, vec![lost])),
    };
    let table = match scan(ports, intake, digest, &mut caught.holds).await? {
        Ok(table) => table,
        Err(lost) => return Ok(unseen(intake, vec![lost])),
    };
    let mut differences = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let projection = &state_of(intake).projection;
        let more = ports.store.rehearsal_diff(projection, after.as_deref(), SCAN_ROWS).await?;
        let Some(last) = more.last() else { break };
        after = Some(last.cursor.clone());
        differences.extend(more);
        if let Some(lost) = keep(ports, &mut caught.holds).await? {
            return Ok(unseen(intake, vec![lost]));
        }
    }
    // Invariant: nothing is concluded from rows that another may have written meanwhile, or from a table of another pass.
    if !differences.iter().all(|difference| is_of(&rehearsal, difference)) {
        return Ok(unseen(intake, vec!["another comparison of it runs at the same time".to_owned()]));
    }
    if let Some(lost) = claim(ports, &mut caught.holds).await? {
        return Ok(unseen(intake, vec![lost]));
    }
    ports.store.rehearsal_end(&state_of(intake).projection).await?;
    let mut reasons = doubts(&caught.holds, &rehearsal, &table, digest);
    let overtaken = overtaken(ports, &caught.holds, &rehearsal, &table).await?;
    if !overtaken.is_empty() {
        reasons.push(format!("{} keys were overtaken in the log while it was read", overtaken.len()));
    }
    let read = Read { rehearsal: &rehearsal, table: &table, overtaken: &overtaken };
    Ok(assess(intake, digest, &caught.holds, &read, &differences, reasons))
}

/// What a pass read.
struct Read<'a> {
    rehearsal: &'a Rehearsal,
    table: &'a Table,
    /// Keys of which the log held no record up to the ends, and holds a later one.
    overtaken: &'a BTreeSet<RecordKey>,
}

/// Finds keys whose record may have left the log while it was read, as compaction removes only what a later record of the same
/// key overtakes: behind the ends, that one is there. What was received of them cannot be held against the log.
async fn overtaken<S: Store, L: Log, C: Clock>(
    ports: Ports<'_, S, L, C>,
    holds: &[Hold],
    rehearsal: &Rehearsal,
    table: &Table,
) -> Result<BTreeSet<RecordKey>, PortError> {
    let gaps = gaps(rehearsal, table);
    let mut suspects: BTreeSet<RecordKey> =
        gaps.into_keys().filter(|key| !rehearsal.keys.contains_key(key)).collect();
    let mut overtaken = BTreeSet::new();
    for hold in holds {
        if suspects.is_empty() {
            break;
        }
        let mut sweep = Sweep::begin(ports.log, &hold.topic, hold.lane.partition).await?.from(hold.offset());
        while let Some(records) = sweep.next(ports.log, SCAN_ROWS).await? {
            let keys = records.iter().filter_map(|record| record.key.as_deref());
            overtaken.extend(keys.filter_map(|key| suspects.take(&RecordKey::parse(key).ok()?)));
        }
    }
    Ok(overtaken)
}

fn unseen(intake: &Intake, reasons: Vec<String>) -> Reconciled {
    let report = |link| Report {
        subject: intake.subscription.to_string(),
        link,
        outcome: Outcome::Inconclusive(reasons.clone()),
        rows: 0,
        counts: BTreeMap::new(),
        drifts: Vec::new(),
        proves: Vec::new(),
    };
    Reconciled { reports: links(intake).into_iter().map(report).collect(), plan: Plan::default() }
}

/// Returns the links that a role compares: the rows of a cache or an interpretation are the consumer's own.
fn links(intake: &Intake) -> Vec<Link> {
    match intake.role {
        Role::Projection | Role::Derived => vec![Link::Stream, Link::Projection],
        Role::Cache | Role::Interpretation => vec![Link::Stream],
    }
}

/// What the consumer's table says of itself.
#[derive(Debug, Default)]
struct Table {
    rows: u64,
    /// Rows by the text of the column by which they are counted.
    counts: BTreeMap<String, u64>,
    /// The record held of each key, by markers.
    held: BTreeMap<RecordKey, Last>,
    /// Keys whose last received record waits in quarantine.
    aside: BTreeMap<RecordKey, (Sequence, Digest)>,
    /// Keys whose values, as read back, are not those that were written.
    broken: BTreeMap<RecordKey, Option<Sequence>>,
}

/// Returns why there is none, once another took a lane.
async fn scan<S: Store, L: Log, C: Clock>(
    ports: Ports<'_, S, L, C>,
    intake: &Intake,
    digest: DigestEpoch,
    holds: &mut [Hold],
) -> Result<Result<Table, String>, PortError> {
    let projection = &state_of(intake).projection;
    let mut table = Table::default();
    let mut after: Option<RecordKey> = None;
    loop {
        let more = ports.store.received_aside(projection, after.as_ref(), SCAN_ROWS).await?;
        let Some((last, ..)) = more.last() else { break };
        after = Some(last.clone());
        table.aside.extend(more.into_iter().map(|(key, sequence, digest)| (key, (sequence, digest))));
    }
    table.held.extend(table.aside.iter().map(|(key, aside)| (key.clone(), Some(*aside))));
    let mut cursor: Option<String> = None;
    loop {
        let more = ports.store.rows(projection, cursor.as_deref(), SCAN_ROWS).await?;
        let Some(last) = more.last() else { break };
        cursor = Some(last.cursor.clone());
        more.iter().filter(|row| !row.ended).for_each(|row| table.take(intake, digest, row));
        if let Some(lost) = keep(ports, holds).await? {
            return Ok(Err(lost));
        }
    }
    Ok(Ok(table))
}

impl Table {
    fn take(&mut self, intake: &Intake, digest: DigestEpoch, row: &LiveRow) {
        self.rows += 1;
        *self.counts.entry(live_label(intake, row)).or_default() += 1;
        let Some(key) = &row.key else { return };
        let last = held(Some(row), self.aside.get(key).copied());
        self.held.insert(key.clone(), last);
        if !is_intact(intake, &digest.key, row) {
            let found = row.marker.as_ref().map(|marker| marker.sequence);
            self.broken.insert(key.clone(), found);
        }
    }
}

fn live_label(intake: &Intake, row: &LiveRow) -> String {
    let Some(column) = state_of(intake).count_by else { return String::new() };
    match &row.values[column] {
        // Only a declared or two-valued column is counted by; a text that no such column can hold is not printed.
        Err(_) => "unreadable".to_owned(),
        Ok(_) => {
            let values: Vec<_> = row.values.iter().map(|value| value.clone().unwrap_or(NO_VALUE)).collect();
            label(intake, &values)
        }
    }
}

const NO_VALUE: Value = Value::Null;

/// Returns whether a difference was found against what this pass put into the rehearsal table.
fn is_of(rehearsal: &Rehearsal, difference: &Difference) -> bool {
    let Some(key) = &difference.key else { return difference.rehearsed.is_none() };
    let put = rehearsal.keys.get(key).and_then(Kept::rehearsed);
    difference.rehearsed.as_ref().map(|rehearsed| &rehearsed.marker) == put
}

/// What keeps a pass from saying that all is well.
fn doubts(holds: &[Hold], rehearsal: &Rehearsal, table: &Table, digest: DigestEpoch) -> Vec<String> {
    let mut doubts = Vec::new();
    for hold in holds {
        let (partition, epoch) = (hold.lane.partition, hold.state().digest_epoch);
        if epoch != digest.epoch {
            doubts.push(format!(
                "partition {partition} is summed under digest epoch {epoch}, not {}",
                digest.epoch
            ));
        }
        if !hold.bootstrapped() {
            doubts.push(format!("the bootstrap of partition {partition} is not over"));
        }
    }
    let broken: BTreeSet<&RecordKey> = rehearsal.broken().chain(table.aside.keys()).collect();
    doubts.extend(
        broken.iter().map(|key| format!("the last record of {key} breaks its contract and waits aside")),
    );
    doubts
}

/// Draws the conclusions. Pure.
fn assess(
    intake: &Intake,
    digest: DigestEpoch,
    holds: &[Hold],
    read: &Read<'_>,
    differences: &[Difference],
    reasons: Vec<String>,
) -> Reconciled {
    let Read { rehearsal, table, overtaken } = read;
    let mut received = Sums::new();
    holds.iter().for_each(|hold| received.merge(&hold.state().sums));
    for key in *overtaken {
        if let Some((sequence, digest)) = table.held.get(key).copied().flatten() {
            received.subtract(key, sequence, digest);
        }
    }
    let comparable = holds.iter().all(|hold| hold.state().digest_epoch == digest.epoch);
    let mut gaps = gaps(rehearsal, table);
    gaps.retain(|key, _| !overtaken.contains(key));
    let mut blame =
        if comparable { blame(&received, &rehearsal.sums(), &gaps) } else { blame::Blame::default() };
    let ahead: BTreeSet<RecordKey> =
        ahead(differences).into_iter().filter(|key| blame.stream.remove(key)).collect();
    let mut found = Found { intake, stream: &blame.stream, drifts: Vec::new(), mends: Vec::new() };
    let mut seen = BTreeSet::new();
    let is_judged = |difference: &&Difference| {
        difference.key.as_ref().is_none_or(|key| !ahead.contains(key) && !overtaken.contains(key))
    };
    for difference in differences.iter().filter(is_judged) {
        if let Some(mend) = remark(difference).filter(|_| !comparable) {
            seen.insert(mend.key.clone());
            found.mends.push(mend);
            continue;
        }
        let kept = difference.key.as_ref().and_then(|key| rehearsal.keys.get(key));
        let Some(wrong) = judge(intake, &digest.key, difference, kept) else { continue };
        let key = match (&difference.key, &difference.live) {
            (Some(key), _) => Ok(key.clone()),
            (None, Some(live)) => Err(key_text(intake, live)),
            (None, None) => continue,
        };
        seen.extend(key.clone().ok());
        let right = kept.filter(|kept| Rehearsal::has_row(kept)).map(|kept| kept.label.clone());
        let row = difference.live.as_ref().filter(|row| !row.ended);
        let live = row.map(|row| live_label(intake, row));
        let is_as_written =
            row.is_some_and(|row| of_the_same_record(&wrong) && is_intact(intake, &digest.key, row));
        found.add(key, wrong, [right.unwrap_or_default(), live.unwrap_or_default()]);
        found.as_written(is_as_written);
    }
    // What was written under another key cannot be read back under this one.
    let is_broken = |key: &RecordKey| comparable && !seen.contains(key);
    for (key, sequence) in table.broken.iter().filter(|(key, _)| is_broken(key)) {
        found.add(Ok(key.clone()), hidden(DriftKind::Corrupt, *sequence, *sequence), Default::default());
    }
    for (key, gap) in gaps.iter().filter(|(key, _)| blame.stream.contains(*key) && !seen.contains(*key)) {
        let at = |last: Last| last.map(|(sequence, _)| sequence);
        found.add(
            Ok(key.clone()),
            hidden(kind_of(gap.held, gap.logged), at(gap.logged), at(gap.held)),
            Default::default(),
        );
    }
    let (drifts, mends) = (found.drifts, found.mends);
    let mendable: BTreeSet<&RecordKey> = mends.iter().map(|mend| &mend.key).collect();
    let by_hand: Vec<Drift> = drifts
        .iter()
        .filter(|drift| drift.key.as_ref().map_or(true, |key| !mendable.contains(key)))
        .cloned()
        .collect();
    let recount = !comparable || !mends.is_empty() || !blame.residual.is_empty() || !blame.stream.is_empty();
    let proves = proves(intake, rehearsal, blame.residual.len(), ahead.len());
    let report = |link| report(intake, link, rehearsal, table, &drifts, &reasons, &proves);
    let reports = links(intake).into_iter().map(report).collect();
    let aside = if comparable { Vec::new() } else { aside_anew(rehearsal, table) };
    Reconciled { reports, plan: Plan { mends, by_hand, recount, aside } }
}

/// Returns what waits in quarantine with another digest than the log has of the same record.
fn aside_anew(rehearsal: &Rehearsal, table: &Table) -> Vec<(RecordKey, (Sequence, Digest))> {
    let anew = table.aside.iter().filter_map(|(key, (sequence, digest))| {
        let (logged, of_today) = rehearsal.keys.get(key)?.markers.aside?;
        (logged == *sequence && of_today != *digest).then(|| (key.clone(), (logged, of_today)))
    });
    anew.collect()
}

/// Returns whether a row differs although it was made of the record that the log has.
fn of_the_same_record(wrong: &compare::Wrong) -> bool {
    wrong.kind == DriftKind::Corrupt && wrong.found.is_some() && wrong.found == wrong.expected
}

/// A difference that no row shows.
fn hidden(kind: DriftKind, expected: Option<Sequence>, found: Option<Sequence>) -> compare::Wrong {
    compare::Wrong { kind, differing: Vec::new(), expected, found, mend: None }
}

struct Found<'a> {
    intake: &'a Intake,
    stream: &'a BTreeSet<RecordKey>,
    drifts: Vec<Drift>,
    mends: Vec<Mend>,
}

impl Found<'_> {
    fn add(&mut self, key: Result<RecordKey, String>, wrong: compare::Wrong, states: [String; 2]) {
        let of_stream = key.as_ref().is_ok_and(|key| self.stream.contains(key));
        let link = if of_stream { Link::Stream } else { Link::Projection };
        if !links(self.intake).contains(&link) {
            return;
        }
        self.mends.extend(wrong.mend);
        self.drifts.push(Drift {
            link,
            kind: wrong.kind,
            key,
            differing: wrong.differing,
            states,
            expected: wrong.expected,
            found: wrong.found,
            owed_by: self.intake.consumer().clone(),
            cause: cause(link, wrong.kind).to_owned(),
        });
    }

    /// Says of the difference that was added last, if so, that nobody changed the row: it is as an agent wrote it.
    fn as_written(&mut self, is_so: bool) {
        if let Some(last) = self.drifts.last_mut().filter(|last| is_so && last.link == Link::Projection) {
            AS_WRITTEN.clone_into(&mut last.cause);
        }
    }
}

/// Why an intact row differs.
const AS_WRITTEN: &str = "the row is as it was written: by another translation, or of another major";

/// Returns the likely cause of a difference.
pub(crate) fn cause(link: Link, kind: DriftKind) -> &'static str {
    match (link, kind) {
        (Link::Source | Link::Stream, DriftKind::Phantom) => "a deletion was read and not applied",
        (Link::Source | Link::Stream, _) => "a record was read over and not applied",
        (Link::Projection, DriftKind::Missing) => "the row was deleted by hand",
        (Link::Projection, DriftKind::Phantom) => "the row was put back by hand",
        (Link::Projection, DriftKind::Stale) => "the row was set back by hand",
        (Link::Projection, DriftKind::Corrupt) => "the row was changed by hand",
        (Link::Projection, DriftKind::Orphan) => "the row was inserted by hand",
    }
}

/// Returns the keys of which the consumer holds another last record than the log.
fn gaps(rehearsal: &Rehearsal, table: &Table) -> BTreeMap<RecordKey, Gap> {
    let keys: BTreeSet<&RecordKey> = rehearsal.keys.keys().chain(table.held.keys()).collect();
    keys.into_iter()
        .map(|key| {
            let held = table.held.get(key).copied().flatten();
            (key.clone(), Gap { held, logged: rehearsal.record(key) })
        })
        .filter(|(_, gap)| gap.held != gap.logged)
        .collect()
}

/// Returns the keys whose row or end is newer here than the last record that the log still holds: compaction kept one
/// that came late. What was received is right then; that the log is not is for its producer's link to tell.
fn ahead(differences: &[Difference]) -> BTreeSet<RecordKey> {
    let is_ahead = |difference: &&Difference| {
        let row = difference.live.as_ref().and_then(|live| live.marker.as_ref());
        let here = row.into_iter().chain(&difference.ended).map(|marker| marker.sequence).max();
        let logged = difference.rehearsed.as_ref().map(|rehearsed| rehearsed.marker.sequence);
        logged.is_some() && here > logged
    };
    differences.iter().filter(is_ahead).filter_map(|difference| difference.key.clone()).collect()
}

fn proves(intake: &Intake, rehearsal: &Rehearsal, residual: usize, ahead: usize) -> Vec<String> {
    let topic = &state_of(intake).topic;
    let ranges = rehearsal.ranges.iter();
    let mut proves: Vec<String> = ranges
        .map(|(partition, (from, to))| {
            format!("partition {partition} of `{topic}`, offsets {from} up to {to}")
        })
        .collect();
    proves.push(format!("{} keys of the log, and every row of the table", rehearsal.keys.len()));
    if residual > 0 {
        proves.push(format!(
            "{residual} buckets of the sums still count rows that vanished and came back; a recount mends them"
        ));
    }
    if ahead > 0 {
        proves
            .push(format!("{ahead} keys are newer here than in the log, which kept a record that came late"));
    }
    proves
}

fn report(
    intake: &Intake,
    link: Link,
    rehearsal: &Rehearsal,
    table: &Table,
    drifts: &[Drift],
    reasons: &[String],
    proves: &[String],
) -> Report {
    let drifts: Vec<Drift> = drifts.iter().filter(|drift| drift.link == link).cloned().collect();
    let outcome = match (drifts.is_empty(), reasons.is_empty()) {
        (false, _) => Outcome::Drift,
        (true, false) => Outcome::Inconclusive(reasons.to_vec()),
        (true, true) => Outcome::Clean,
    };
    let mut counts: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    let rows = rehearsal.keys.values().filter(|kept| Rehearsal::has_row(kept));
    rows.for_each(|kept| counts.entry(kept.label.clone()).or_default().0 += 1);
    for (label, live) in &table.counts {
        counts.entry(label.clone()).or_default().1 = *live;
    }
    Report {
        subject: intake.subscription.to_string(),
        link,
        outcome,
        rows: table.rows,
        counts,
        drifts,
        proves: proves.to_vec(),
    }
}

#[cfg(test)]
mod tests;
