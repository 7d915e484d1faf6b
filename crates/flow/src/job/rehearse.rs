//! The work on a rehearsal: it reads the log beside the lanes, compares once they have read as far, and lets their holders
//! merge. Nothing of it grows with the number of keys.

use crate::clock::Clock;
use crate::hold::{DigestEpoch, Ports, written_first};
use crate::intake::Intake;
use crate::job::decide::{held, over};
use crate::job::merge::{Judged, judged, parts_done};
use crate::job::orders::{Phase, Reach, RehearseOrders, Rehearsing, Standing, read, read_progress, write};
use crate::job::tally::Tally;
use crate::job::{Job, JobKind, JobStage, Jobs, change};
use crate::log::{Fetched, Incoming, Log};
use crate::port::PortError;
use crate::position::TopicIdentity;
use crate::projector::open::{Content, Opened, open};
use crate::projector::{STEP_RECORDS, state_of};
use crate::schemas::missing;
use crate::stop;
use crate::store::{Lane, LaneState, Marker, Projection, Rehearsed, RehearsedBy, Store};
use seamline_message::digest::Digest;
use seamline_message::envelope::Envelope;
use seamline_message::key::RecordKey;
use seamline_message::mutant::{self, Mutant};
use std::collections::BTreeMap;
use std::time::Duration;

/// How many differences are looked at in one step.
pub const STEP_ROWS: usize = 512;

/// How often a rehearsal begins anew before it is given up.
const RESTARTS_MAX: u32 = 8;

/// What one step on a job did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stepped {
    /// So many records or rows; go on at once.
    Moved(u64),
    /// Nothing can be done yet: why.
    Waiting(String),
    /// It is over.
    Over,
    /// Somebody else changed it: read it again.
    Lost,
}

/// The worker's side of a rehearsal.
struct Desk<'a, S, L, C> {
    ports: Ports<'a, S, L, C>,
    intake: &'a Intake,
    digest: DigestEpoch,
    orders: RehearseOrders,
    projection: Projection,
}

/// Returns the projection of a subscription as jobs derive it anew.
///
/// # Panics
/// When it has no table.
pub fn rehearsed(intake: &Intake) -> Projection {
    Projection { rehearsal: RehearsedBy::Job, ..state_of(intake).projection.clone() }
}

/// Returns whether a job derives the projection of a subscription by the translation that runs here.
pub fn is_for(job: &Job, intake: &Intake) -> bool {
    let orders = read::<RehearseOrders>(&job.filed.orders);
    job.filed.subject == intake.subscription.to_string()
        && intake.state.is_some()
        && orders.is_ok_and(|orders| orders.translation == intake.translation)
}

/// Brings a rehearsal that was taken one step further, and writes how far it is.
///
/// # Errors
/// The ports'. It is safe to go on from what the database says.
///
/// # Panics
/// When the subscription has no table.
pub async fn step<S: Store + Jobs, L: Log, C: Clock>(
    ports: Ports<'_, S, L, C>,
    intake: &Intake,
    digest: DigestEpoch,
    job: &mut Job,
) -> Result<Stepped, PortError> {
    let texts = read::<RehearseOrders>(&job.filed.orders)
        .and_then(|orders| Ok((orders, read_progress::<Rehearsing>(&job.progress)?)));
    let (orders, at) = match texts {
        Ok(texts) => texts,
        Err(error) => return finish(ports, job, JobStage::Failed, error.to_string()).await,
    };
    let desk = Desk { ports, intake, digest, orders, projection: rehearsed(intake) };
    let Some(topic) = ports.log.topic(&state_of(intake).topic).await? else {
        return desk.wait(job, &at, format!("topic `{}` is not there", state_of(intake).topic)).await;
    };
    let begun = at.phase != Phase::Begin && at.is_of(&topic);
    if !begun || !ports.store.rehearsal_is_kept(&desk.projection).await? {
        return desk.begin(job, &at, &topic).await;
    }
    match at.phase {
        Phase::Begin | Phase::Read => desk.read(job, at, &topic).await,
        Phase::Compare | Phase::Verify => desk.compare(job, at, &topic).await,
        Phase::Merge => desk.merged(job, at).await,
    }
}

async fn finish<S: Store + Jobs, L: Log, C: Clock>(
    ports: Ports<'_, S, L, C>,
    job: &mut Job,
    stage: JobStage,
    note: String,
) -> Result<Stepped, PortError> {
    let next = over(job, stage, note, ports.clock.now());
    Ok(if change(ports.store, job, next).await? { Stepped::Over } else { Stepped::Lost })
}

impl<S: Store + Jobs, L: Log, C: Clock> Desk<'_, S, L, C> {
    /// Writes how far it is, and stays its worker.
    async fn keep(&self, job: &mut Job, at: &Rehearsing, moved: u64) -> Result<Stepped, PortError> {
        let next = held(job, self.ports.holder, self.ports.clock.now(), self.ports.ttl);
        let next = Job { progress: write(at), ..next };
        Ok(if change(self.ports.store, job, next).await? { Stepped::Moved(moved) } else { Stepped::Lost })
    }

    /// Stays its worker while nothing can be done, and says why.
    async fn wait(&self, job: &mut Job, at: &Rehearsing, why: String) -> Result<Stepped, PortError> {
        let now = self.ports.clock.now();
        let age = Duration::try_from(now.duration_since(job.changed)).unwrap_or(self.ports.ttl);
        if job.note != why || age >= self.ports.ttl / 2 {
            let next = held(job, self.ports.holder, now, self.ports.ttl);
            let next = Job { progress: write(at), note: why.clone(), ..next };
            if !change(self.ports.store, job, next).await? {
                return Ok(Stepped::Lost);
            }
        }
        Ok(Stepped::Waiting(why))
    }

    async fn begin(
        &self,
        job: &mut Job,
        before: &Rehearsing,
        topic: &TopicIdentity,
    ) -> Result<Stepped, PortError> {
        let restarts = if before.phase == Phase::Begin { 0 } else { before.restarts + 1 };
        if restarts > RESTARTS_MAX {
            let why = "its rehearsal was lost again and again, and nothing was concluded";
            return finish(self.ports, job, JobStage::Failed, why.to_owned()).await;
        }
        let lanes = self.ports.store.lanes(&self.intake.subscription).await?;
        let mut reaches = Vec::new();
        for partition in 0..topic.partitions {
            let Some((start, end)) = self.ports.log.ends(topic, partition).await? else {
                let why = format!("partition {partition} of `{}` is not there", topic.name);
                return self.wait(job, before, why).await;
            };
            let standing = standing(self.intake.lane(&topic.name, partition), &lanes, topic, (start, end));
            if standing.is_some() && job.filed.kind != JobKind::Bootstrap {
                let why = format!(
                    "partition {partition} of `{}` cannot be read on from where it was read to; \
                     run `seamline bootstrap {}`",
                    topic.name, self.intake.subscription
                );
                return finish(self.ports, job, JobStage::Failed, why).await;
            }
            reaches.push(Reach { partition, start, at: start, end, fence: end, standing });
        }
        self.ports.store.rehearsal_begin(&self.projection).await?;
        stop::here("job-begun");
        let at = Rehearsing::of(topic, reaches, self.ports.clock.now(), restarts);
        self.keep(job, &at, 0).await
    }

    async fn read(
        &self,
        job: &mut Job,
        mut at: Rehearsing,
        topic: &TopicIdentity,
    ) -> Result<Stepped, PortError> {
        let Some(idx) = at.reaches.iter().position(|reach| reach.at < reach.end) else {
            return self.read_all(job, at, topic).await;
        };
        let Reach { partition, at: from, end, .. } = at.reaches[idx];
        let limit = self.orders.rate.map_or(STEP_RECORDS, |rate| STEP_RECORDS.min(rate.max(1) as usize));
        let fetch = match self.ports.log.fetch(topic, partition, from, limit).await? {
            Fetched::Records(fetch) if fetch.next > from => fetch,
            Fetched::Records(_) => {
                let why = format!("partition {partition} of `{}` is not readable yet", topic.name);
                return self.wait(job, &at, why).await;
            }
            Fetched::NoSchema(id) => return self.wait(job, &at, missing(&topic.name, id)).await,
            Fetched::OutOfRange { .. } | Fetched::NoTopic => return self.begin(job, &at, topic).await,
        };
        let mut rows: BTreeMap<RecordKey, Rehearsed> = BTreeMap::new();
        for record in fetch.records.iter().filter(|record| record.offset < end) {
            at.records += 1;
            match self.derive(record) {
                Derived::Row(row, is_broken) => {
                    at.broken += u64::from(is_broken);
                    let later = rows.get(&row.key).is_none_or(|it| it.marker.sequence < row.marker.sequence);
                    if later {
                        rows.insert(row.key.clone(), row);
                    }
                }
                Derived::Foreign => at.broken += 1,
                Derived::NotAsked => {}
            }
        }
        at.reaches[idx].at = fetch.next.min(end);
        let moved = fetch.records.len() as u64;
        if mutant::is(Mutant::JobCursorBeforeRows) {
            let kept = self.keep(job, &at, moved).await?;
            stop::here("job-read");
            self.put(rows).await?;
            stop::here("job-put");
            return Ok(kept);
        }
        stop::here("job-read");
        self.put(rows).await?;
        stop::here("job-put");
        self.keep(job, &at, moved).await
    }

    async fn put(&self, rows: BTreeMap<RecordKey, Rehearsed>) -> Result<(), PortError> {
        let rows: Vec<Rehearsed> = rows.into_values().collect();
        if rows.is_empty() { Ok(()) } else { self.ports.store.rehearsal_put(&self.projection, &rows).await }
    }

    fn is_asked(&self, key: &RecordKey) -> bool {
        self.orders.keys.is_empty() || self.orders.keys.contains(key.as_str())
    }

    fn derive(&self, record: &Incoming) -> Derived {
        let Opened::Known { key, sequence, digest, content } = open(self.intake, &self.digest.key, record)
        else {
            return Derived::Foreign;
        };
        if !self.is_asked(&key) {
            return Derived::NotAsked;
        }
        let written = match &content {
            Content::Row(_, written) | Content::End(written) => *written,
            Content::Invalid(_) => Digest(0),
        };
        let marker = Marker { sequence, offset: record.offset, received: digest, written };
        let is_broken = matches!(content, Content::Invalid(_));
        let left = is_broken || !self.is_within(record);
        let values = match content {
            Content::Row(values, _) if !left => Some(values),
            Content::Row(..) | Content::End(_) | Content::Invalid(_) => None,
        };
        Derived::Row(Rehearsed { key, values, marker, left }, is_broken)
    }

    /// Whether a record was written within the time, and under the major, that is asked for.
    fn is_within(&self, record: &Incoming) -> bool {
        if let Some(era) = self.orders.era
            && !Envelope::from_headers(&record.headers).is_ok_and(|it| it.contract.major.0 == era)
        {
            return false;
        }
        let (from, until) = (self.orders.from, self.orders.until);
        if from.is_none() && until.is_none() {
            return true;
        }
        let written = written_first(std::slice::from_ref(record));
        written.is_some_and(|at| from.is_none_or(|from| at >= from) && until.is_none_or(|until| at < until))
    }

    /// Whoever compares must have read what was in the log by now: a record that was overtaken while we read may have left
    /// the log before we came to it, and what overtook it lies before these ends.
    async fn read_all(
        &self,
        job: &mut Job,
        mut at: Rehearsing,
        topic: &TopicIdentity,
    ) -> Result<Stepped, PortError> {
        for reach in &mut at.reaches {
            let Some((_, end)) = self.ports.log.ends(topic, reach.partition).await? else {
                return self.begin(job, &at, topic).await;
            };
            reach.fence = end.max(reach.end);
        }
        at.phase = Phase::Compare;
        self.keep(job, &at, 0).await
    }

    /// Returns why the table is not as far as what it is to be compared with.
    async fn not_as_far(&self, at: &Rehearsing, topic: &TopicIdentity) -> Result<Option<String>, PortError> {
        let lanes = self.ports.store.lanes(&self.intake.subscription).await?;
        let is_behind = |reach: &&Reach| {
            let lane = self.intake.lane(&topic.name, reach.partition);
            let found = lanes.iter().find(|(there, _)| *there == lane);
            let position = found.and_then(|(_, state)| state.position.as_ref());
            let as_far =
                position.is_some_and(|position| position.is_in(topic) && position.offset >= reach.fence);
            // Before the merge a lane that stands still stands still.
            let stands = reach.standing.is_some() && position.map(Standing::at) == reach.standing;
            !(as_far || stands && at.phase == Phase::Compare)
        };
        let behind = at.reaches.iter().find(is_behind);
        Ok(behind.map(|reach| {
            format!(
                "partition {} of `{}` is to be read up to offset {} first, by the agent",
                reach.partition, topic.name, reach.fence
            )
        }))
    }

    async fn compare(
        &self,
        job: &mut Job,
        mut at: Rehearsing,
        topic: &TopicIdentity,
    ) -> Result<Stepped, PortError> {
        if at.cursor.is_none()
            && let Some(why) = self.not_as_far(&at, topic).await?
        {
            return self.wait(job, &at, why).await;
        }
        let limit = self.orders.rate.map_or(STEP_ROWS, |rate| STEP_ROWS.min(rate.max(1) as usize));
        let page = self.ports.store.rehearsal_diff(&self.projection, at.cursor.as_deref(), limit).await?;
        // Invariant: nothing is concluded from a rehearsal that was lost meanwhile.
        if !self.ports.store.rehearsal_is_kept(&self.projection).await? {
            return self.begin(job, &at, topic).await;
        }
        stop::here("job-compared");
        let Some(last) = page.last() else { return self.compared(job, at).await };
        at.cursor = Some(last.cursor.clone());
        let merged = at.phase == Phase::Verify;
        let mut tally = std::mem::take(if merged { &mut at.left } else { &mut at.found });
        for difference in &page {
            match judged(self.intake, &self.digest.key, &at, &self.orders, difference, merged) {
                Judged::Nothing | Judged::Moved(_) => {}
                Judged::Left => tally.left += 1,
                Judged::Wrong(wrong) => tally.take(self.intake, difference, &wrong),
            }
        }
        *(if merged { &mut at.left } else { &mut at.found }) = tally;
        self.keep(job, &at, page.len() as u64).await
    }

    async fn compared(&self, job: &mut Job, mut at: Rehearsing) -> Result<Stepped, PortError> {
        let mends = at.found.differences() > at.found.by_hand;
        let stands = at.reaches.iter().any(|reach| reach.standing.is_some());
        at.cursor = None;
        if at.phase == Phase::Compare && self.orders.merge && (mends || stands) {
            at.phase = Phase::Merge;
            return self.keep(job, &at, 0).await;
        }
        let seen: &Tally = if at.phase == Phase::Verify { &at.left } else { &at.found };
        if !self.orders.is_partial() && seen.differences() == 0 {
            let subscription = self.intake.subscription.to_string();
            self.ports.store.translated(&subscription, &self.intake.translation).await?;
        }
        let next = Job { progress: write(&at), ..over(job, JobStage::Done, "", self.ports.clock.now()) };
        if !change(self.ports.store, job, next).await? {
            return Ok(Stepped::Lost);
        }
        stop::here("job-done");
        self.ports.store.rehearsal_end(&self.projection).await?;
        Ok(Stepped::Over)
    }

    /// Looks whether the holders of all lanes have merged.
    async fn merged(&self, job: &mut Job, mut at: Rehearsing) -> Result<Stepped, PortError> {
        let done = parts_done(self.ports.store, job.id, &at).await?;
        at.merged = done.values().map(|part| part.merged).sum();
        let open = at.reaches.iter().find(|it| done.get(&it.partition).is_none_or(|part| !part.done));
        if let Some(open) = open {
            let why = format!("whoever holds partition {} is to merge it", open.partition);
            return self.wait(job, &at, why).await;
        }
        at.phase = Phase::Verify;
        self.keep(job, &at, 0).await
    }
}

enum Derived {
    /// What is put into the rehearsal, and whether its record breaks its contract.
    Row(Rehearsed, bool),
    /// Nothing tells whose state it is.
    Foreign,
    NotAsked,
}

/// Returns where a lane stands still: in another topic of the same name, or beyond what the topic still holds.
fn standing(
    lane: Lane,
    lanes: &[(Lane, LaneState)],
    topic: &TopicIdentity,
    (start, end): (u64, u64),
) -> Option<Standing> {
    let (_, state) = lanes.iter().find(|(there, _)| *there == lane)?;
    let position = state.position.as_ref()?;
    let is_readable = position.is_in(topic) && (start..=end).contains(&position.offset);
    (!is_readable).then(|| Standing::at(position))
}
