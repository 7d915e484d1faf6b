//! The work on a redrive: what waits in quarantine is tried again, page by page. At a source by the job's worker; at a
//! consumer by the holder of each lane, between two batches. Nothing of it grows with the number of messages.

use crate::clock::Clock;
use crate::hold::{DigestEpoch, Hold, Ports, Start, Take};
use crate::intake::Intake;
use crate::issue;
use crate::job::decide::{held, over};
use crate::job::merge::Merged;
use crate::job::orders::{LaneRedriving, RedriveOrders, Redriving, read, read_progress, write};
use crate::job::rehearse::Stepped;
use crate::job::{Job, JobKind, JobStage, Jobs, Part, change, job};
use crate::log::Log;
use crate::port::PortError;
use crate::quarantine::redrive_page;
use crate::source::{AsideRow, Source};
use crate::stop;
use crate::store::{AsideCause, AsideRecord, Lane, Store};
use seamline_contract::id::ContractName;
use seamline_message::sequence::Sequence;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How many messages are looked at in one step.
pub const STEP_ITEMS: usize = 256;

/// Returns whether the holders of lanes, too, are to work on a job: it redrives what waits at a consumer.
pub fn is_redriving(job: &Job) -> bool {
    job.filed.kind == JobKind::Redrive && matches!(job.stage, JobStage::Waiting | JobStage::Working)
}

/// Returns the rows of a source that a redrive asks for.
fn asked<'a>(
    name: &ContractName,
    orders: &'a RedriveOrders,
    rows: &'a [AsideRow],
) -> impl Iterator<Item = &'a AsideRow> {
    let (subject, contract) = (name.to_string(), name.contract.clone());
    let is_asked = move |row: &&AsideRow| {
        row.contract == contract
            && match &orders.issue {
                Some(issue) => issue::of_row(&subject, row).as_ref() == Some(issue),
                None => true,
            }
    };
    rows.iter().filter(is_asked)
}

/// Returns whether a redrive asks for a record of a consumer: those that wait behind another follow it by themselves.
pub fn is_asked(orders: &RedriveOrders, record: &AsideRecord) -> bool {
    record.cause != AsideCause::Behind
        && orders.issue.as_ref().is_none_or(|asked| issue::of_record(record).as_ref() == Some(asked))
}

fn page_limit(rate: Option<u32>) -> usize {
    rate.map_or(STEP_ITEMS, |rate| STEP_ITEMS.min(rate.max(1) as usize))
}

/// Moves the next page of what waits at a source back to its outbox, all rows of a key together and in their order, and writes
/// how far it is.
///
/// # Errors
/// The ports'. It is safe to go on from what the database says: a row that is tried twice is published once.
pub async fn step_source<S: Source + Jobs, C: Clock>(
    source: &S,
    clock: &C,
    (holder, ttl): (&str, Duration),
    name: &ContractName,
    job: &mut Job,
) -> Result<Stepped, PortError> {
    let now = clock.now();
    let (orders, mut at) = match texts(job, now) {
        Ok(texts) => texts,
        Err(next) => return ended(source, job, *next).await,
    };
    let limit = page_limit(orders.rate);
    let rows = source.aside_after(at.after.map(Sequence), limit).await?;
    let keys: BTreeSet<&String> = asked(name, &orders, &rows).map(|row| &row.key).collect();
    let mut moved = 0;
    if !keys.is_empty() {
        let keys: Vec<String> = keys.into_iter().cloned().collect();
        moved = source.redrive_all(&name.contract, &keys).await?;
        stop::here("job-redriven");
    }
    at.moved += moved;
    at.after = rows.last().map(|row| row.sequence.0).or(at.after);
    let now = clock.now();
    let next =
        if rows.len() < limit { over(job, JobStage::Done, "", now) } else { held(job, holder, now, ttl) };
    let is_over = next.stage.is_over();
    let next = Job { progress: write(&at), ..next };
    if !change(source, job, next).await? {
        return Ok(Stepped::Lost);
    }
    Ok(if is_over { Stepped::Over } else { Stepped::Moved(moved) })
}

fn texts(job: &Job, now: jiff::Timestamp) -> Result<(RedriveOrders, Redriving), Box<Job>> {
    let texts = read::<RedriveOrders>(&job.filed.orders)
        .and_then(|orders| Ok((orders, read_progress::<Redriving>(&job.progress)?)));
    let (orders, at) =
        texts.map_err(|error| Box::new(over(job, JobStage::Failed, error.to_string(), now)))?;
    let at = if at.began.is_some() { at } else { Redriving::at(now) };
    Ok((orders, at))
}

async fn ended<J: Jobs>(jobs: &J, job: &mut Job, next: Job) -> Result<Stepped, PortError> {
    Ok(if change(jobs, job, next).await? { Stepped::Over } else { Stepped::Lost })
}

/// Returns whether a lane feeds what a subscription reads now, and the number of its part of a job.
fn part_of(intake: &Intake, lane: &Lane) -> Option<u32> {
    let is_state = intake.state.as_ref().is_some_and(|state| state.topic == lane.topic);
    let is_events = intake.events.as_ref().is_some_and(|events| events.topic == lane.topic);
    (is_state || is_events).then(|| lane.partition * 2 + u32::from(is_events))
}

/// Looks how far the lanes of a redrive at a consumer are, and writes it.
///
/// # Errors
/// The ports'. It is safe to repeat.
pub async fn step_lanes<S: Store + Jobs, L: Log, C: Clock>(
    ports: Ports<'_, S, L, C>,
    intake: &Intake,
    job: &mut Job,
) -> Result<Stepped, PortError> {
    let now = ports.clock.now();
    let (_, mut at) = match texts(job, now) {
        Ok(texts) => texts,
        Err(next) => return ended(ports.store, job, *next).await,
    };
    let parts: BTreeMap<u32, LaneRedriving> = ports
        .store
        .parts(job.id)
        .await?
        .into_iter()
        .filter_map(|it| Some((it.part, read(&it.progress).ok()?)))
        .collect();
    let before = (at.moved, at.stayed);
    at.moved = parts.values().map(|part| part.moved).sum();
    at.stayed = parts.values().map(|part| part.stayed).sum();
    let lanes = ports.store.lanes(&intake.subscription).await?;
    let open = lanes.iter().filter(|(_, state)| state.position.is_some()).find(|(lane, _)| {
        part_of(intake, lane).is_some_and(|part| parts.get(&part).is_none_or(|part| !part.done))
    });
    let Some((open, _)) = open else {
        let next = Job { progress: write(&at), ..over(job, JobStage::Done, "", now) };
        return ended(ports.store, job, next).await;
    };
    let why = format!("whoever holds partition {} of `{}` is to try it again", open.partition, open.topic);
    let age = Duration::try_from(now.duration_since(job.changed)).unwrap_or(ports.ttl);
    let moved = (at.moved, at.stayed) != before;
    if moved || job.note != why || age >= ports.ttl / 2 {
        let note = if moved { String::new() } else { why.clone() };
        let next = Job { progress: write(&at), note, ..held(job, ports.holder, now, ports.ttl) };
        if !change(ports.store, job, next).await? {
            return Ok(Stepped::Lost);
        }
    }
    Ok(Stepped::Waiting(why))
}

/// Tries the next page of what waits on a lane that is held again.
///
/// # Errors
/// The ports'; it is safe to go on: what was done is not found again.
pub async fn step<S: Store + Jobs, L: Log, C: Clock>(
    ports: Ports<'_, S, L, C>,
    intake: &Intake,
    digest: DigestEpoch,
    hold: &mut Hold,
    id: u64,
) -> Result<Merged, PortError> {
    let Some(number) = part_of(intake, &hold.lane).filter(|_| hold.grip.is_some()) else {
        return Ok(Merged::NotNow);
    };
    let Some(job) = job(ports.store, id).await?.filter(is_redriving) else { return Ok(Merged::NotNow) };
    let Ok(orders) = read::<RedriveOrders>(&job.filed.orders) else { return Ok(Merged::NotNow) };
    let stored = ports.store.parts(id).await?.into_iter().find(|part| part.part == number);
    let mut part = stored.unwrap_or(Part { part: number, turn: 0, progress: String::new() });
    let known = read_progress::<LaneRedriving>(&part.progress).ok().filter(|_| part.turn > 0);
    let mut at = known.unwrap_or_else(LaneRedriving::begin);
    if at.done {
        return Ok(Merged::Done);
    }
    let limit = page_limit(orders.rate);
    let from = (&hold.lane, at.next);
    let mut records = ports.store.aside_from(&intake.subscription, Some(from), limit).await?;
    let all = records.len();
    records.retain(|record| record.lane == hold.lane);
    at.done = all < limit || records.len() < all;
    at.next = records.last().map_or(at.next, |last| last.offset + 1);
    records.retain(|record| is_asked(&orders, record));
    let mut moved = 0;
    if !records.is_empty() {
        let Some(page) = redrive_page(ports, intake, digest, hold, &records).await? else {
            return Ok(Merged::Fenced);
        };
        stop::here("job-redriven");
        at.moved += page.released;
        at.stayed += page.stayed;
        moved = page.released;
    }
    part.progress = write(&at);
    let written = ports.store.change_part(id, &part).await?;
    Ok(match (written, at.done) {
        (false, _) => Merged::NotNow,
        (true, true) => Merged::Done,
        (true, false) => Merged::Moved(moved),
    })
}

/// Tries the next page of what waits on a lane that nobody reads just now again; one that stands still among them.
///
/// # Errors
/// As for `step`.
pub async fn step_standing<S: Store + Jobs, L: Log, C: Clock>(
    ports: Ports<'_, S, L, C>,
    intake: &Intake,
    digest: DigestEpoch,
    lane: Lane,
    id: u64,
) -> Result<Merged, PortError> {
    let lanes = ports.store.lanes(&intake.subscription).await?;
    if !lanes.iter().any(|(there, state)| *there == lane && state.position.is_some()) {
        return Ok(Merged::NotNow);
    }
    match Hold::take(ports, intake, lane, Start::Oldest, digest.epoch, false).await? {
        Take::Held(mut hold) => step(ports, intake, digest, &mut hold, id).await,
        Take::Busy { .. } | Take::NoTopic | Take::Stopped(_) => Ok(Merged::NotNow),
    }
}
