//! From a difference of sums to keys: the log is read again for the buckets that differ, and held against what is kept here.

use crate::clock::Clock;
use crate::drift::{Drift, Link};
use crate::hold::{DigestEpoch, Hold, Ports, keep};
use crate::intake::Intake;
use crate::log::Log;
use crate::port::PortError;
use crate::projector::decide::in_sums;
use crate::projector::state_of;
use crate::reconcile::blame::{Gap, Last, blame};
use crate::reconcile::cause;
use crate::reconcile::compare::{held, kind_of};
use crate::rehearsal::{Rehearsal, rehearse_buckets};
use crate::store::Store;
use seamline_message::key::RecordKey;
use seamline_message::sums::Sums;
use std::collections::BTreeMap;

/// How many keys or rows are read at once.
const AT_ONCE: usize = 512;

/// What came of it.
#[derive(Debug, Clone, PartialEq)]
pub enum Drilled {
    /// These keys were lost or altered between the log and here.
    Drifts(Vec<Drift>),
    /// The log was not read to the end, or another took the lane: why.
    Lost(String),
    /// Every key is held as the log says, and the sums are not.
    Recount,
    /// The log says what was received.
    Otherwise,
}

/// Reads the partition of a lane up to where the lane is, and finds the keys of some buckets that were not received as the log says.
/// The lane stands still meanwhile, and stays ours.
///
/// # Errors
/// The ports'. It changes nothing, and can be repeated.
pub async fn drill<S: Store, L: Log, C: Clock>(
    ports: Ports<'_, S, L, C>,
    intake: &Intake,
    digest: DigestEpoch,
    hold: &mut Hold,
    buckets: &[usize],
) -> Result<Drilled, PortError> {
    let rehearsal = match rehearse_buckets(ports, intake, digest, hold, buckets).await? {
        Ok(rehearsal) => rehearsal,
        Err(lost) => return Ok(Drilled::Lost(lost)),
    };
    let (received, logged) = (of(&hold.state().sums, buckets), rehearsal.sums());
    if received == logged {
        return Ok(Drilled::Otherwise);
    }
    let mut gaps = match known_gaps(ports, intake, hold, &rehearsal).await? {
        Ok(gaps) => gaps,
        Err(lost) => return Ok(Drilled::Lost(lost)),
    };
    let mut found = blame(&received, &logged, &gaps);
    if found.stream.is_empty() || !found.residual.is_empty() {
        // What the log knows nothing of any more is seen in the table alone.
        match unknown_rows(ports, intake, hold, &rehearsal, buckets).await? {
            Ok(more) => gaps.extend(more),
            Err(lost) => return Ok(Drilled::Lost(lost)),
        }
        found = blame(&received, &logged, &gaps);
    }
    let drifts: Vec<Drift> =
        found.stream.iter().filter_map(|key| drift(intake, key, gaps.get(key)?)).collect();
    Ok(if drifts.is_empty() { Drilled::Recount } else { Drilled::Drifts(drifts) })
}

/// Returns the sums of some buckets alone.
fn of(sums: &Sums, buckets: &[usize]) -> Sums {
    let mut of = Sums::new();
    buckets.iter().for_each(|bucket| of.buckets[*bucket] = sums.buckets[*bucket]);
    of
}

/// Returns the drift of a key; none where it is newer here than in the log, which kept a record that came late: that is for its
/// producer's link to tell.
fn drift(intake: &Intake, key: &RecordKey, gap: &Gap) -> Option<Drift> {
    let at = |last: Last| last.map(|(sequence, _)| sequence);
    if gap.logged.is_some() && at(gap.held) > at(gap.logged) {
        return None;
    }
    let kind = kind_of(gap.held, gap.logged);
    Some(Drift {
        link: Link::Stream,
        kind,
        key: Ok(key.clone()),
        differing: Vec::new(),
        states: Default::default(),
        expected: at(gap.logged),
        found: at(gap.held),
        owed_by: intake.consumer().clone(),
        cause: cause(Link::Stream, kind).to_owned(),
    })
}

/// Compares the keys that the log knows.
async fn known_gaps<S: Store, L: Log, C: Clock>(
    ports: Ports<'_, S, L, C>,
    intake: &Intake,
    hold: &mut Hold,
    rehearsal: &Rehearsal,
) -> Result<Result<BTreeMap<RecordKey, Gap>, String>, PortError> {
    let mut gaps = BTreeMap::new();
    let keys: Vec<RecordKey> = rehearsal.keys.keys().cloned().collect();
    for keys in keys.chunks(AT_ONCE) {
        let markers = ports.store.markers(&state_of(intake).projection, keys).await?;
        for (key, markers) in keys.iter().zip(&markers) {
            let gap = Gap { held: in_sums(markers), logged: rehearsal.record(key) };
            if gap.held != gap.logged {
                gaps.insert(key.clone(), gap);
            }
        }
        if let Some(lost) = keep(ports, std::slice::from_mut(hold)).await? {
            return Ok(Err(lost));
        }
    }
    Ok(Ok(gaps))
}

/// Finds rows of some buckets whose keys the log does not know.
async fn unknown_rows<S: Store, L: Log, C: Clock>(
    ports: Ports<'_, S, L, C>,
    intake: &Intake,
    hold: &mut Hold,
    rehearsal: &Rehearsal,
    buckets: &[usize],
) -> Result<Result<BTreeMap<RecordKey, Gap>, String>, PortError> {
    let (partitions, partition) = (hold.topic.partitions, hold.lane.partition);
    let is_here = |key: &RecordKey| {
        buckets.contains(&key.bucket())
            && intake.codec.partition(key, partitions) == partition
            && !rehearsal.keys.contains_key(key)
    };
    let mut gaps = BTreeMap::new();
    let mut cursor: Option<String> = None;
    loop {
        let rows = ports.store.rows(&state_of(intake).projection, cursor.as_deref(), AT_ONCE).await?;
        let Some(last) = rows.last() else { return Ok(Ok(gaps)) };
        cursor = Some(last.cursor.clone());
        for row in rows.iter().filter(|row| !row.ended) {
            let Some(key) = row.key.as_ref().filter(|key| is_here(key)) else { continue };
            let held = held(Some(row), None);
            if held.is_some() {
                gaps.insert(key.clone(), Gap { held, logged: None });
            }
        }
        if let Some(lost) = keep(ports, std::slice::from_mut(hold)).await? {
            return Ok(Err(lost));
        }
    }
}
