//! Quarantine at the consumer: listing what waits, applying it again, discarding it; each one commit under the lane's grip.

use crate::clock::Clock;
use crate::hold::{DigestEpoch, Hold, Ports, Start, Take};
use crate::intake::Intake;
use crate::log::Log;
use crate::port::PortError;
use crate::position::Accounting;
use crate::projector::batch::{Fold as StateFold, is_broken};
use crate::projector::decide::Verdict;
use crate::projector::open::{Content, Opened, open as open_state};
use crate::projector::{self, state_of};
use crate::reactor::batch::{Fold as EventFold, Held};
use crate::reactor::decide::{Chain, Place, place};
use crate::reactor::open::{OpenedEvent, Reaction, as_read};
use crate::reactor::{self, events_of};
use crate::seal::open::keys_of;
use crate::store::{AsideRecord, Batch, Committed, Lane, Projection, Store};
use jiff::Timestamp;
use seamline_contract::subscription::OnInvalid;
use seamline_message::key::RecordKey;
use seamline_message::violation::Violation;
use std::collections::BTreeSet;

/// What became of an act on a record in quarantine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Treated {
    /// It left quarantine.
    Done {
        /// How many reactions went to the inbox, those that waited behind it among them.
        inbox: u64,
        /// What it was to its key, when it was applied again and had no effect.
        verdict: Option<Verdict>,
    },
    /// It still breaks its contract, and stays: rule, path and message.
    StillInvalid(String),
    /// Its chain is still broken before it, and it stays.
    StillBroken,
    /// An earlier record of its key waits: that one first.
    NotFirst {
        /// The offset of that one.
        first: u64,
    },
    /// There is no such record in quarantine.
    Gone,
    /// Another holds the lane.
    Busy {
        /// Until when, unless renewed.
        until: Timestamp,
    },
    /// The lane cannot be used: why.
    Refused(String),
}

/// Returns what waits in quarantine, by topic, partition and offset, at most `limit`.
///
/// # Errors
/// The store's.
pub async fn list<S: Store>(store: &S, intake: &Intake, limit: usize) -> Result<Vec<AsideRecord>, PortError> {
    store.aside(&intake.subscription, None, limit).await
}

/// Applies a record again, as if it had been read now; what waits behind it follows in its order. It takes the lane.
///
/// # Errors
/// The ports'. After `Unknown` it may be done; it is safe to repeat.
pub async fn redrive<S: Store, L: Log, C: Clock>(
    ports: Ports<'_, S, L, C>,
    intake: &Intake,
    digest: DigestEpoch,
    lane: &Lane,
    offset: u64,
) -> Result<Treated, PortError> {
    treat(ports, intake, digest, (lane, offset), Wish::Redrive).await
}

/// Discards a record, on an operator's word. On events its chain goes on after it, and what waits behind follows. On
/// state the key keeps its last valid row until its next record; the sums go on counting what was received.
///
/// # Errors
/// The ports'. After `Unknown` it may be done; it is safe to repeat.
pub async fn discard<S: Store, L: Log, C: Clock>(
    ports: Ports<'_, S, L, C>,
    intake: &Intake,
    digest: DigestEpoch,
    lane: &Lane,
    offset: u64,
) -> Result<Treated, PortError> {
    treat(ports, intake, digest, (lane, offset), Wish::Discard).await
}

/// What became of some records that were applied again together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Page {
    /// So many left quarantine, those that waited behind them not counted.
    pub released: u64,
    /// So many stay, for the same reason.
    pub stayed: u64,
}

/// Applies records of a lane that is held again, in their order and in one commit, as if they had been read now; what waits
/// behind them follows in its order. Those that still break their contract stay. Returns none once another took the lane.
///
/// # Errors
/// The ports'. After `Unknown` it may be done; it is safe to repeat.
pub async fn redrive_page<S: Store, L: Log, C: Clock>(
    ports: Ports<'_, S, L, C>,
    intake: &Intake,
    digest: DigestEpoch,
    hold: &mut Hold,
    records: &[AsideRecord],
) -> Result<Option<Page>, PortError> {
    let is_state = intake.state.as_ref().is_some_and(|state| state.topic == hold.lane.topic);
    let (page, batch) = if is_state {
        states(ports, intake, digest, hold, records).await?
    } else {
        events(ports, intake, digest, hold, records).await?
    };
    if page.released == 0 {
        return Ok(Some(page));
    }
    let projection = intake.state.as_ref().map(|state| &state.projection);
    Ok(match hold.commit(ports, projection, batch).await? {
        Committed::Done => Some(page),
        Committed::Fenced => None,
    })
}

async fn states<S: Store, L: Log, C: Clock>(
    ports: Ports<'_, S, L, C>,
    intake: &Intake,
    digest: DigestEpoch,
    hold: &Hold,
    records: &[AsideRecord],
) -> Result<(Page, Batch), PortError> {
    let mut page = Page::default();
    let (mut again, mut opened) = (Vec::new(), Vec::new());
    for record in records {
        let read = as_read(record);
        let it = open_state(intake, &digest.key, &read);
        if broken(&it).is_some() {
            page.stayed += 1;
        } else {
            again.push((record, read));
            opened.push(it);
        }
    }
    let offsets: BTreeSet<u64> = again.iter().map(|(record, _)| record.offset).collect();
    let mut known = projector::known(ports, intake, hold, &opened).await?;
    for known in known.values_mut() {
        known.waiting.retain(|(offset, _)| !offsets.contains(offset));
    }
    let comparable = hold.state().digest_epoch == digest.epoch;
    let mut fold = StateFold::new(intake, hold, known, comparable, ports.clock.now());
    for ((record, read), opened) in again.iter().zip(opened) {
        if let (Some(key), Some(sequence)) = (&record.key, record.sequence) {
            fold.forget_aside(key, sequence);
        }
        fold.take(read, opened);
        fold.accounting.quarantined = fold.accounting.quarantined.saturating_sub(1);
    }
    page.released = offsets.len() as u64;
    let mut batch = fold.finish(hold);
    batch.released.extend(offsets);
    Ok((page, batch))
}

async fn events<S: Store, L: Log, C: Clock>(
    ports: Ports<'_, S, L, C>,
    intake: &Intake,
    digest: DigestEpoch,
    hold: &Hold,
    records: &[AsideRecord],
) -> Result<(Page, Batch), PortError> {
    let lane = events_of(intake);
    let keys = records.iter().filter_map(|record| record.key.clone()).collect();
    let known = reactor::known(ports, intake, hold, &digest.key, keys).await?;
    let mut fold = EventFold::new(intake, lane, hold, known, ports.clock.now());
    let mut page = Page::default();
    for record in records {
        let again = record.key.as_ref().map(|key| again(&mut fold, key, record.offset, lane.on_invalid));
        match again {
            Some(Ok(_)) => page.released += 1,
            // What waited behind one before it followed it.
            Some(Err(Treated::Gone)) => {}
            Some(Err(_)) | None => page.stayed += 1,
        }
    }
    Ok((page, fold.finish(hold)))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    Redrive,
    Discard,
}

async fn treat<S: Store, L: Log, C: Clock>(
    ports: Ports<'_, S, L, C>,
    intake: &Intake,
    digest: DigestEpoch,
    (lane, offset): (&Lane, u64),
    wish: Wish,
) -> Result<Treated, PortError> {
    let intake = intake.of_topic(&lane.topic);
    let taken = Hold::take(ports, intake, lane.clone(), Start::Oldest, digest.epoch, true).await?;
    let hold = match taken {
        Take::Held(hold) => hold,
        Take::Busy { until } => return Ok(Treated::Busy { until }),
        Take::NoTopic => return Ok(Treated::Refused(format!("topic `{}` is not there", lane.topic))),
        Take::Stopped(case) => return Ok(Treated::Refused(case.summary)),
    };
    let Some(record) = ports.store.aside_at(lane, offset).await? else { return Ok(Treated::Gone) };
    let projection = intake.state.as_ref().map(|state| &state.projection);
    if intake.state.as_ref().is_some_and(|state| state.topic == lane.topic) {
        treat_state(ports, intake, digest, hold, &record, wish).await
    } else if intake.events.as_ref().is_some_and(|events| events.topic == lane.topic) {
        let outcome = treat_event(ports, intake, digest, &hold, &record, wish).await?;
        finish(ports, hold, projection, outcome).await
    } else {
        Ok(Treated::Refused(format!("the subscription does not read `{}` any more", lane.topic)))
    }
}

/// Commits what an act changes, when it changes something.
async fn finish<S: Store, L: Log, C: Clock>(
    ports: Ports<'_, S, L, C>,
    mut hold: Hold,
    projection: Option<&Projection>,
    (treated, batch): (Treated, Option<Batch>),
) -> Result<Treated, PortError> {
    let Some(batch) = batch else { return Ok(treated) };
    Ok(match hold.commit(ports, projection, batch).await? {
        Committed::Done => treated,
        Committed::Fenced => Treated::Busy { until: ports.clock.now() },
    })
}

async fn treat_state<S: Store, L: Log, C: Clock>(
    ports: Ports<'_, S, L, C>,
    intake: &Intake,
    digest: DigestEpoch,
    hold: Hold,
    record: &AsideRecord,
    wish: Wish,
) -> Result<Treated, PortError> {
    let projection = Some(&state_of(intake).projection);
    if wish == Wish::Discard {
        let mut batch = hold.batch(hold.state().clone());
        batch.released.push(record.offset);
        return finish(ports, hold, projection, (done(0, None), Some(batch))).await;
    }
    let read = as_read(record);
    let opened = open_state(intake, &digest.key, &read);
    if let Some(violation) = broken(&opened) {
        return Ok(Treated::StillInvalid(violation.to_string()));
    }
    let mut known = projector::known(ports, intake, &hold, std::slice::from_ref(&opened)).await?;
    for known in known.values_mut() {
        known.waiting.retain(|(offset, _)| *offset != record.offset);
    }
    let comparable = hold.state().digest_epoch == digest.epoch;
    let mut fold = StateFold::new(intake, &hold, known, comparable, ports.clock.now());
    if let (Some(key), Some(sequence)) = (&record.key, record.sequence) {
        fold.forget_aside(key, sequence);
    }
    let verdict = fold.take(&read, opened).filter(|verdict| *verdict != Verdict::Apply);
    let quarantined = &mut fold.accounting.quarantined;
    *quarantined = quarantined.saturating_sub(1);
    let mut batch = fold.finish(&hold);
    batch.released.push(record.offset);
    finish(ports, hold, projection, (done(0, verdict), Some(batch))).await
}

/// Returns why a state that was opened again still breaks its contract.
fn broken(opened: &Opened) -> Option<&Violation> {
    match opened {
        Opened::Foreign { violation, .. } | Opened::Known { content: Content::Invalid(violation), .. } => {
            Some(violation)
        }
        Opened::Known { .. } => None,
    }
}

fn done(inbox: u64, verdict: Option<Verdict>) -> Treated {
    Treated::Done { inbox, verdict }
}

async fn treat_event<S: Store, L: Log, C: Clock>(
    ports: Ports<'_, S, L, C>,
    intake: &Intake,
    digest: DigestEpoch,
    hold: &Hold,
    record: &AsideRecord,
    wish: Wish,
) -> Result<(Treated, Option<Batch>), PortError> {
    let events = events_of(intake);
    let now = ports.clock.now();
    let Some(key) = &record.key else {
        let read = as_read(record);
        let keys = keys_of(intake, std::iter::once(&read)).await?;
        let opened = reactor::open::open(intake, events, (&digest.key, &keys), &read);
        return Ok(match (wish, opened) {
            (Wish::Redrive, OpenedEvent::Foreign { violation, .. }) => {
                (Treated::StillInvalid(violation.to_string()), None)
            }
            (Wish::Redrive, OpenedEvent::Known { .. }) => (
                Treated::Refused("its key can be read now, and it was set aside without one".to_owned()),
                None,
            ),
            (Wish::Discard, _) => {
                let mut batch = hold.batch(hold.state().clone());
                batch.released.push(record.offset);
                (done(0, None), Some(batch))
            }
        });
    };
    let keys = [key.clone()].into();
    let known = reactor::known(ports, intake, hold, &digest.key, keys).await?;
    let fold = EventFold::new(intake, events, hold, known, now);
    let treated = match wish {
        Wish::Redrive => redrive_event(fold, hold, key, record.offset, events.on_invalid),
        Wish::Discard => discard_event(fold, hold, key, record.offset, events.on_invalid),
    };
    Ok(treated)
}

/// Applies a waiting event again. Pure.
fn redrive_event(
    mut fold: EventFold<'_>,
    hold: &Hold,
    key: &RecordKey,
    offset: u64,
    on_invalid: OnInvalid,
) -> (Treated, Option<Batch>) {
    match again(&mut fold, key, offset, on_invalid) {
        Ok(verdict) => conclude(fold, hold, verdict),
        Err(treated) => (treated, None),
    }
}

/// Applies a waiting event again. Returns what it was to its key where it has no effect, or why it stays. Pure.
fn again(
    fold: &mut EventFold<'_>,
    key: &RecordKey,
    offset: u64,
    on_invalid: OnInvalid,
) -> Result<Option<Verdict>, Treated> {
    let Some(idx) = position(fold.held(key), offset) else { return Err(Treated::Gone) };
    let (sequence, previous, reaction) = match &fold.held(key)[idx].opened {
        OpenedEvent::Foreign { violation, .. }
        | OpenedEvent::Known { reaction: Reaction::Invalid(violation), .. } => {
            return Err(Treated::StillInvalid(violation.to_string()));
        }
        OpenedEvent::Known { sequence, previous, reaction, .. } => (*sequence, *previous, reaction.clone()),
    };
    let others = fold.held(key).iter().any(|held| held.record.offset < offset);
    let chain = Chain { waiting: others, ..fold.chain(key) };
    let passed = chain.seen.is_some_and(|seen| sequence <= seen);
    match place(chain, sequence, previous) {
        Place::Behind | Place::Broken => Err(Treated::StillBroken),
        // It was skipped, and its key went on without it: its reaction comes late, because an operator says so.
        Place::Duplicate | Place::Superseded if passed && on_invalid == OnInvalid::Skip => {
            let held = fold.release(key, idx);
            settle(fold.accounting(), &held, |counts| &mut counts.applied);
            fold.react(key, reaction);
            Ok(None)
        }
        Place::Duplicate | Place::Superseded => {
            let held = fold.release(key, idx);
            settle(fold.accounting(), &held, |counts| &mut counts.duplicates);
            Ok(Some(Verdict::Duplicate))
        }
        Place::Follows => {
            let held = fold.release(key, idx);
            settle(fold.accounting(), &held, |counts| &mut counts.applied);
            fold.react(key, reaction);
            fold.advance(key, sequence);
            Ok(None)
        }
    }
}

/// Discards a waiting event, and lets its key go on after it. Pure.
fn discard_event(
    mut fold: EventFold<'_>,
    hold: &Hold,
    key: &RecordKey,
    offset: u64,
    on_invalid: OnInvalid,
) -> (Treated, Option<Batch>) {
    let Some(idx) = position(fold.held(key), offset) else { return (Treated::Gone, None) };
    let first = fold.held(key).iter().min_by_key(|held| (held.record.sequence, held.record.offset));
    let first = first.map_or(offset, |held| held.record.offset);
    if first != offset && on_invalid != OnInvalid::Skip {
        return (Treated::NotFirst { first }, None);
    }
    let held = fold.release(key, idx);
    settle(fold.accounting(), &held, |counts| &mut counts.quarantined);
    if let Some(sequence) = held.record.sequence
        && fold.chain(key).seen < Some(sequence)
    {
        fold.advance(key, sequence);
    }
    conclude(fold, hold, None)
}

fn conclude(fold: EventFold<'_>, hold: &Hold, verdict: Option<Verdict>) -> (Treated, Option<Batch>) {
    let batch = fold.finish(hold);
    (done(batch.inbox.len() as u64, verdict), Some(batch))
}

fn position(held: &[Held], offset: u64) -> Option<usize> {
    held.iter().position(|held| held.record.offset == offset)
}

/// Moves a record from where it waited in the accounting to what became of it.
fn settle(accounting: &mut Accounting, held: &Held, to: impl Fn(&mut Accounting) -> &mut u64) {
    let from = if is_broken(&held.record.cause) { &mut accounting.quarantined } else { &mut accounting.held };
    *from = from.saturating_sub(1);
    *to(accounting) += 1;
}

#[cfg(test)]
mod tests;
