//! Repair at the consumer: the rehearsed rows are merged by the lane's holder, and the sums are counted anew.

use crate::clock::Clock;
use crate::hold::{DigestEpoch, Hold, Ports, lost};
use crate::intake::Intake;
use crate::log::Log;
use crate::port::PortError;
use crate::projector::{STEP_RECORDS, state_of};
use crate::reconcile::catch_up::catch_up;
use crate::reconcile::compare::{Act, Mend};
use crate::reconcile::{Plan, Reconciled, reconcile, scan, unseen};
use crate::store::{Batch, Committed, Store};
use seamline_message::digest::Digest;
use seamline_message::key::RecordKey;
use seamline_message::sequence::Sequence;
use seamline_message::sums::Sums;

/// Carries out a plan, and compares again: only that tells whether it is mended.
///
/// Every key is mended only while its marker is the one that the plan saw. What failed or changed since is in the second
/// comparison.
///
/// # Errors
/// The ports'. Each commit stands for itself; repeat with a new plan.
pub async fn repair<S: Store, L: Log, C: Clock>(
    ports: Ports<'_, S, L, C>,
    intake: &Intake,
    digest: DigestEpoch,
    plan: &Plan,
) -> Result<Reconciled, PortError> {
    let caught = catch_up(ports, intake, digest).await?;
    let Some(topic) = caught.topic.filter(|_| caught.reasons.is_empty()) else {
        return Ok(unseen(intake, caught.reasons));
    };
    let mut holds = caught.holds;
    for hold in &mut holds {
        let partition = hold.lane.partition;
        let here = |mend: &&Mend| intake.codec.partition(&mend.key, topic.partitions) == partition;
        let mends: Vec<&Mend> = plan.mends.iter().filter(here).collect();
        if merge(ports, intake, hold, &mends).await? == Committed::Fenced {
            return Ok(unseen(intake, vec![lost(hold)]));
        }
        let here = |key: &RecordKey| intake.codec.partition(key, topic.partitions) == partition;
        let aside = plan.aside.iter().filter(|(key, _)| here(key));
        if mark_aside(ports, intake, hold, aside).await? == Committed::Fenced {
            return Ok(unseen(intake, vec![lost(hold)]));
        }
    }
    if plan.recount
        && let Some(lost) = recount(ports, intake, digest, &mut holds, topic.partitions).await?
    {
        return Ok(unseen(intake, vec![lost]));
    }
    reconcile(ports, intake, digest).await
}

/// Notes under another digest what waits in quarantine, unless something else came of its key meanwhile.
async fn mark_aside<'p, S: Store, L: Log, C: Clock>(
    ports: Ports<'_, S, L, C>,
    intake: &Intake,
    hold: &mut Hold,
    aside: impl Iterator<Item = &'p (RecordKey, (Sequence, Digest))>,
) -> Result<Committed, PortError> {
    let aside: Vec<_> = aside.cloned().collect();
    for some in aside.chunks(STEP_RECORDS) {
        let keys: Vec<RecordKey> = some.iter().map(|(key, _)| key.clone()).collect();
        let known = ports.store.markers(&state_of(intake).projection, &keys).await?;
        let mut batch = hold.batch(hold.state().clone());
        for ((key, anew), markers) in some.iter().zip(known) {
            if markers.aside.is_some_and(|(sequence, _)| sequence == anew.0) {
                batch.received_aside.push((key.clone(), Some(*anew)));
            }
        }
        if hold.commit(ports, None, batch).await? == Committed::Fenced {
            return Ok(Committed::Fenced);
        }
    }
    Ok(Committed::Done)
}

/// Merges into the rows of a lane: first what goes, then what comes, since a row without a marker is replaced by both.
///
/// # Errors
/// As for `Hold::commit`; what was merged stays merged.
pub(crate) async fn merge<S: Store, L: Log, C: Clock>(
    ports: Ports<'_, S, L, C>,
    intake: &Intake,
    hold: &mut Hold,
    mends: &[&Mend],
) -> Result<Committed, PortError> {
    for pass in [leave, enter] {
        for some in mends.chunks(STEP_RECORDS) {
            let mut batch = hold.batch(hold.state().clone());
            let changes = some.iter().filter(|mend| pass(mend, &mut batch)).count();
            if changes == 0 {
                continue;
            }
            let projection = &state_of(intake).projection;
            if hold.commit(ports, Some(projection), batch).await? == Committed::Fenced {
                return Ok(Committed::Fenced);
            }
        }
    }
    Ok(Committed::Done)
}

fn leave(mend: &Mend, batch: &mut Batch) -> bool {
    match &mend.act {
        Act::Purge | Act::Replace(_) => batch.purge.push((mend.key.clone(), mend.seen.clone())),
        Act::End(end) => batch.ended.push(end.clone()),
        Act::Restore(_) => return false,
    }
    true
}

fn enter(mend: &Mend, batch: &mut Batch) -> bool {
    match &mend.act {
        Act::Restore(write) => batch.restore.push((write.clone(), mend.seen.clone())),
        Act::Replace(write) => batch.restore.push((write.clone(), None)),
        Act::Purge | Act::End(_) => return false,
    }
    true
}

/// Counts the sums of each lane anew from the markers of its rows and from quarantine; ended keys are in none. Returns why
/// not, once another took a lane.
async fn recount<S: Store, L: Log, C: Clock>(
    ports: Ports<'_, S, L, C>,
    intake: &Intake,
    digest: DigestEpoch,
    holds: &mut [Hold],
    partitions: u32,
) -> Result<Option<String>, PortError> {
    let table = match scan(ports, intake, digest, holds).await? {
        Ok(table) => table,
        Err(lost) => return Ok(Some(lost)),
    };
    let mut sums = vec![Sums::new(); holds.len()];
    for (key, last) in &table.held {
        let partition = intake.codec.partition(key, partitions);
        let lane = holds.iter().position(|hold| hold.lane.partition == partition);
        if let (Some(lane), Some((sequence, digest))) = (lane, last) {
            sums[lane].add(key, *sequence, *digest);
        }
    }
    for (hold, sums) in holds.iter_mut().zip(sums) {
        let mut next = hold.state().clone();
        next.sums = sums;
        next.digest_epoch = digest.epoch;
        let batch = hold.batch(next);
        if hold.commit(ports, None, batch).await? == Committed::Fenced {
            return Ok(Some(lost(hold)));
        }
    }
    Ok(None)
}
