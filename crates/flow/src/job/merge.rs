//! Merging what a rehearsal found, by the holder of each lane, between two batches and in its ordinary transaction.

use crate::clock::Clock;
use crate::drift::DriftKind;
use crate::hold::{DigestEpoch, Hold, NO_EPOCH, Ports, Step};
use crate::intake::Intake;
use crate::job::orders::{
    Merging, Phase, Reach, RehearseOrders, Rehearsing, Standing, read, read_progress, write,
};
use crate::job::rehearse::{STEP_ROWS, rehearsed};
use crate::job::{Job, JobKind, JobStage, Jobs, Part, job};
use crate::log::Log;
use crate::port::PortError;
use crate::projector::decide::in_sums;
use crate::projector::{Projector, state_of};
use crate::reconcile::compare::{Act, Mend, Wrong, judge};
use crate::reconcile::repair::merge;
use crate::stop;
use crate::store::{Committed, Difference, Gripped, Had, RowWrite, Store};
use seamline_message::digest::DigestKey;
use seamline_message::key::RecordKey;
use seamline_message::mutant::{self, Mutant};
use seamline_message::sums::Sums;
use std::collections::BTreeMap;

/// What became of the wish to merge a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Merged {
    /// A chunk was merged: so many keys.
    Moved(u64),
    /// This lane has nothing left to merge.
    Done,
    /// It is not the time for it.
    NotNow,
    /// Somebody else took the lane.
    Fenced,
}

/// What a difference is to a job.
#[derive(Debug, Clone, PartialEq)]
pub enum Judged {
    /// Nothing: it is explained, or not asked for.
    Nothing,
    /// The key is left as it is.
    Left,
    /// The same row, known by a position in another topic: it is written with its own.
    Moved(Mend),
    /// It is wrong.
    Wrong(Wrong),
}

/// Returns the reading of the partition that a difference belongs to; a row without a canonical key is of the first.
fn reach_of<'a>(intake: &Intake, at: &'a Rehearsing, difference: &Difference) -> Option<&'a Reach> {
    let partitions = u32::try_from(at.reaches.len()).ok()?;
    at.reach(difference.key.as_ref().map_or(0, |key| intake.codec.partition(key, partitions)))
}

/// Judges a difference. What the lane applied from the end on is newer than the rehearsal, and nothing of it is judged;
/// `merged` says that lanes which stood still go on.
pub fn judged(
    intake: &Intake,
    secret: &DigestKey,
    at: &Rehearsing,
    orders: &RehearseOrders,
    difference: &Difference,
    merged: bool,
) -> Judged {
    let Some(reach) = reach_of(intake, at, difference) else { return Judged::Nothing };
    if difference.rehearsed.as_ref().is_some_and(|rehearsed| rehearsed.left) {
        return Judged::Left;
    }
    if orders.is_partial() && difference.rehearsed.is_none() {
        return Judged::Nothing;
    }
    let stands = reach.standing.is_some() && !merged;
    let marker = difference.live.as_ref().and_then(|live| live.marker.as_ref());
    if !stands && !mutant::is(Mutant::JobOverwritesNewer) {
        let here = marker.into_iter().chain(&difference.ended).map(|marker| marker.sequence).max();
        let logged = difference.rehearsed.as_ref().map(|rehearsed| rehearsed.marker.sequence);
        let newer =
            marker.is_some_and(|marker| marker.offset >= reach.end) || (logged.is_some() && here > logged);
        if newer {
            return Judged::Nothing;
        }
    }
    match judge(intake, secret, difference, None) {
        Some(wrong) => Judged::Wrong(wrong),
        None if stands => moved(difference).map_or(Judged::Nothing, Judged::Moved),
        None => Judged::Nothing,
    }
}

fn moved(difference: &Difference) -> Option<Mend> {
    let (live, rehearsed) = (difference.live.as_ref()?, difference.rehearsed.as_ref()?);
    let (marker, values) = (live.marker.as_ref()?, rehearsed.values.as_ref()?);
    (marker.sequence == rehearsed.marker.sequence && !live.ended).then(|| {
        let (key, values, marker) = (rehearsed.key.clone(), values.clone(), rehearsed.marker.clone());
        let write = RowWrite { key: key.clone(), values, marker, had: Had::More };
        Mend { key, seen: live.marker.clone(), act: Act::Restore(write) }
    })
}

/// Returns how far the parts of a rehearsal are, by partition; those of an earlier beginning count for nothing.
///
/// # Errors
/// The port's.
pub async fn parts_done<J: Jobs>(
    jobs: &J,
    id: u64,
    at: &Rehearsing,
) -> Result<BTreeMap<u32, Merging>, PortError> {
    let parts = jobs.parts(id).await?.into_iter();
    let merging = parts.filter_map(|part| Some((part.part, read::<Merging>(&part.progress).ok()?)));
    Ok(merging.filter(|(_, merging)| merging.restarts == at.restarts).collect())
}

/// Returns whether the holders of lanes are to merge for a job.
pub fn is_merging(job: &Job) -> bool {
    matches!(job.filed.kind, JobKind::Rehearse | JobKind::Bootstrap | JobKind::Replay)
        && matches!(job.stage, JobStage::Waiting | JobStage::Working)
        && read_progress::<Rehearsing>(&job.progress).is_ok_and(|at| at.phase == Phase::Merge)
}

/// Merges the next chunk into the rows of a lane that is held.
///
/// # Errors
/// The ports'. It is safe to go on: each key is written only while its marker is the one that was seen.
pub async fn step<S: Store + Jobs, L: Log, C: Clock>(
    projector: &mut Projector<'_, S, L, C>,
    id: u64,
) -> Result<Merged, PortError> {
    if projector.hold.grip.is_none() {
        return Ok(Merged::NotNow);
    }
    let (ports, intake, digest) = (projector.ports, projector.intake, projector.digest);
    let merged = on(ports, intake, digest, &mut projector.hold, id).await?;
    if merged == Merged::Done {
        projector.points.forget();
    }
    Ok(merged)
}

/// Merges the next chunk into the rows of a lane that stands still, and lets it go on from the end of the rehearsal once
/// nothing is left.
///
/// # Errors
/// The ports'; it is safe to go on.
///
/// # Panics
/// When the subscription has no table.
pub async fn step_standing<S: Store + Jobs, L: Log, C: Clock>(
    ports: Ports<'_, S, L, C>,
    intake: &Intake,
    digest: DigestEpoch,
    partition: u32,
    id: u64,
) -> Result<Merged, PortError> {
    let lane = intake.lane(&state_of(intake).topic, partition);
    let Some(topic) = ports.log.topic(&lane.topic).await? else { return Ok(Merged::NotNow) };
    let now = ports.clock.now();
    match ports.store.grip(&lane, ports.holder, now, ports.ttl, false).await? {
        Gripped::Held(grip) if grip.state.position.is_some() => {
            on(ports, intake, digest, &mut Hold::held(lane, topic, grip, now), id).await
        }
        Gripped::Held(_) | Gripped::Busy { .. } => Ok(Merged::NotNow),
    }
}

async fn on<S: Store + Jobs, L: Log, C: Clock>(
    ports: Ports<'_, S, L, C>,
    intake: &Intake,
    digest: DigestEpoch,
    hold: &mut Hold,
    id: u64,
) -> Result<Merged, PortError> {
    let Some(job) = job(ports.store, id).await?.filter(is_merging) else { return Ok(Merged::NotNow) };
    let Ok(orders) = read::<RehearseOrders>(&job.filed.orders) else { return Ok(Merged::NotNow) };
    let Ok(at) = read_progress::<Rehearsing>(&job.progress) else { return Ok(Merged::NotNow) };
    let partition = hold.lane.partition;
    let Some(reach) = at.reach(partition).filter(|_| at.is_of(&hold.topic)) else {
        return Ok(Merged::NotNow);
    };
    let parts = ports.store.parts(id).await?;
    let stored = parts.into_iter().find(|part| part.part == partition);
    let mut part = stored.unwrap_or(Part { part: partition, turn: 0, progress: String::new() });
    let known = read_progress::<Merging>(&part.progress).ok().filter(|it| it.restarts == at.restarts);
    let mut merging = known.filter(|_| part.turn > 0).unwrap_or(Merging::of(at.restarts));
    if merging.done {
        return Ok(Merged::Done);
    }
    let position = hold.state().position.as_ref().map(Standing::at);
    let stands = reach.standing.is_some() && position == reach.standing;
    let mut moved = 0;
    if !stands && reach.standing.is_some() {
        // It goes on already: it was moved, and that could not be written down.
        merging.done = true;
    } else if !stands && hold.offset() < reach.fence {
        return Ok(Merged::NotNow);
    } else {
        let chunk = Chunk { ports, intake, digest, orders: &orders, at: &at, reach, stands };
        match chunk.merge(hold, &mut merging).await? {
            Merged::Moved(keys) => moved = keys,
            Merged::Done => {}
            instead => return Ok(instead),
        }
    }
    part.progress = write(&merging);
    let written = ports.store.change_part(id, &part).await?;
    Ok(match (written, merging.done) {
        (false, _) => Merged::NotNow,
        (true, true) => Merged::Done,
        (true, false) => Merged::Moved(moved),
    })
}

/// One chunk of a lane.
struct Chunk<'a, S, L, C> {
    ports: Ports<'a, S, L, C>,
    intake: &'a Intake,
    digest: DigestEpoch,
    orders: &'a RehearseOrders,
    at: &'a Rehearsing,
    reach: &'a Reach,
    stands: bool,
}

impl<S: Store + Jobs, L: Log, C: Clock> Chunk<'_, S, L, C> {
    async fn merge(&self, hold: &mut Hold, merging: &mut Merging) -> Result<Merged, PortError> {
        let projection = rehearsed(self.intake);
        let limit = self.orders.rate.map_or(STEP_ROWS, |rate| STEP_ROWS.min(rate.max(1) as usize));
        let page = self.ports.store.rehearsal_diff(&projection, merging.cursor.as_deref(), limit).await?;
        // Invariant: nothing is merged from a rehearsal that was lost meanwhile.
        if !self.ports.store.rehearsal_is_kept(&projection).await? {
            return Ok(Merged::NotNow);
        }
        let Some(last) = page.last() else {
            let counted = self.finish(hold, merging.recount || self.stands).await?;
            merging.done = counted == Committed::Done;
            return Ok(if merging.done { Merged::Done } else { Merged::Fenced });
        };
        merging.cursor = Some(last.cursor.clone());
        let mut mends: Vec<Mend> = Vec::new();
        for difference in page.iter().filter(|it| reach_of(self.intake, self.at, it) == Some(self.reach)) {
            match judged(self.intake, &self.digest.key, self.at, self.orders, difference, false) {
                Judged::Nothing | Judged::Left => {}
                Judged::Moved(mend) => mends.push(mend),
                Judged::Wrong(wrong) => {
                    merging.recount |= changes_sums(difference, &wrong);
                    mends.extend(wrong.mend);
                }
            }
        }
        stop::here("job-merging");
        let mends: Vec<&Mend> = mends.iter().collect();
        if merge(self.ports, self.intake, hold, &mends).await? == Committed::Fenced {
            return Ok(Merged::Fenced);
        }
        stop::here("job-merged");
        merging.merged += mends.len() as u64;
        Ok(Merged::Moved(mends.len() as u64))
    }

    /// Counts the sums of the lane anew where that is needed, and lets one that stood still go on.
    async fn finish(&self, hold: &mut Hold, recount: bool) -> Result<Committed, PortError> {
        // After a rotation the records since the rehearsal may be marked under the old key: a comparison that stands still counts anew.
        let epoch = hold.state().digest_epoch;
        let is_rotated = !self.stands && epoch != NO_EPOCH && epoch != self.digest.epoch;
        if !recount || is_rotated {
            return Ok(Committed::Done);
        }
        let partitions = u32::try_from(self.at.reaches.len()).unwrap_or(u32::MAX);
        let Some(sums) = sums(self.ports, self.intake, hold, partitions).await? else {
            return Ok(Committed::Fenced);
        };
        let mut next = hold.state().clone();
        if self.stands {
            next = hold.first(self.reach.end, self.reach.end, self.digest.epoch);
        }
        next.sums = sums;
        next.digest_epoch = self.digest.epoch;
        let batch = hold.batch(next);
        let committed = hold.commit(self.ports, None, batch).await?;
        stop::here("job-recounted");
        Ok(committed)
    }
}

/// Whether a mend changes which record of the key was received last.
fn changes_sums(difference: &Difference, wrong: &Wrong) -> bool {
    let live = difference.live.as_ref().and_then(|live| live.marker.as_ref());
    let rehearsed = difference.rehearsed.as_ref().map(|rehearsed| &rehearsed.marker);
    let same = live.zip(rehearsed).is_some_and(|(live, rehearsed)| {
        (live.sequence, live.received) == (rehearsed.sequence, rehearsed.received)
    });
    !(same && wrong.kind == DriftKind::Corrupt)
}

/// Sums what was received of the keys of a lane, by their markers; none once another took the lane.
async fn sums<S: Store, L: Log, C: Clock>(
    ports: Ports<'_, S, L, C>,
    intake: &Intake,
    hold: &mut Hold,
    partitions: u32,
) -> Result<Option<Sums>, PortError> {
    let projection = &state_of(intake).projection;
    let partition = hold.lane.partition;
    let mut sums = Sums::new();
    let mut cursor: Option<String> = None;
    loop {
        let page = ports.store.rows(projection, cursor.as_deref(), STEP_ROWS).await?;
        let Some(last) = page.last() else { break };
        cursor = Some(last.cursor.clone());
        let keys = page.into_iter().filter_map(|row| row.key);
        let keys: Vec<RecordKey> =
            keys.filter(|key| intake.codec.partition(key, partitions) == partition).collect();
        for (key, markers) in keys.iter().zip(ports.store.markers(projection, &keys).await?) {
            if let Some((sequence, digest)) = in_sums(&markers) {
                sums.add(key, sequence, digest);
            }
        }
        if hold.renew(ports, Step::Idle).await? == Step::Fenced {
            return Ok(None);
        }
    }
    let mut after: Option<RecordKey> = None;
    loop {
        let page = ports.store.received_aside(projection, after.as_ref(), STEP_ROWS).await?;
        let Some((last, ..)) = page.last() else { return Ok(Some(sums)) };
        after = Some(last.clone());
        let keys = page.into_iter().map(|(key, ..)| key);
        let keys: Vec<RecordKey> =
            keys.filter(|key| intake.codec.partition(key, partitions) == partition).collect();
        for (key, markers) in keys.iter().zip(ports.store.markers(projection, &keys).await?) {
            // One with a row was counted by it.
            if let (None, Some((sequence, digest))) = (&markers.row, in_sums(&markers)) {
                sums.add(key, sequence, digest);
            }
        }
    }
}

#[cfg(test)]
mod tests;
