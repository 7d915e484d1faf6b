//! The loop of jobs: takes those that can be worked here, steps them in turn, and tells the lanes what they are to work on.

use super::Desk;
use super::backoff::Backoff;
use seamline_flow::hold::DigestEpoch;
use seamline_flow::job::orders::{BackfillOrders, RedriveOrders, RehearseOrders, read};
use seamline_flow::job::rehearse::Stepped;
use seamline_flow::job::{Job, JobKind};
use seamline_flow::port::PortError;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How often it is looked for jobs.
const LOOK: Duration = Duration::from_millis(500);

/// How long a job rests that can do nothing yet.
const REST: Duration = Duration::from_millis(100);

/// How long a job rests that could do nothing so often in a row: it waits for people.
const LONG_REST: (Duration, u32) = (Duration::from_secs(2), 100);

/// A job on which the holders of lanes are to work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LaneJob {
    pub(super) id: u64,
    pub(super) kind: JobKind,
    /// At most so many rows in a second, of each lane.
    pub(super) rate: Option<u32>,
}

/// What lanes are to work on, by subscription.
#[derive(Debug, Default)]
pub(super) struct LaneJobs(Mutex<BTreeMap<String, LaneJob>>);

impl LaneJobs {
    /// Returns what the lanes of a subscription are to work on.
    pub(super) fn of(&self, subscription: &str) -> Option<LaneJob> {
        self.0.lock().ok()?.get(subscription).copied()
    }

    fn set(&self, jobs: BTreeMap<String, LaneJob>) {
        if let Ok(mut known) = self.0.lock() {
            *known = jobs;
        }
    }
}

/// Returns how long to wait after so many records or rows, so that a rate is kept.
pub(crate) fn pause(moved: u64, rate: Option<u32>) -> Duration {
    rate.map_or(Duration::ZERO, |rate| Duration::from_secs_f64(moved as f64 / f64::from(rate.max(1))))
}

/// A job that is worked here.
struct Mine {
    job: Job,
    digest: Option<DigestEpoch>,
    rate: Option<u32>,
    not_before: Instant,
    /// How often in a row it could do nothing.
    rested: u32,
}

/// Works jobs until told to stop. What it leaves, another takes up. `reads` says that the lanes are read here, too.
pub(super) async fn work(desk: &Desk<'_>, reads: bool) {
    let mut backoff = Backoff::default();
    let mut told = !reads;
    let mut mine: Vec<Mine> = Vec::new();
    let mut looked: Option<Instant> = None;
    while !desk.stopping() {
        if looked.is_none_or(|at| at.elapsed() >= LOOK) {
            looked = Some(Instant::now());
            let found = async {
                if !told {
                    tell(desk).await?;
                    told = true;
                }
                look(desk, &mut mine).await
            };
            if let Err(error) = found.await {
                desk.failed("job", &error, &mut backoff).await;
                continue;
            }
        }
        match round(desk, &mut mine).await {
            Ok(true) => tokio::task::yield_now().await,
            Ok(false) => desk.nap(if mine.is_empty() { LOOK } else { REST }).await,
            Err(error) => {
                mine.clear();
                desk.failed("job", &error, &mut backoff).await;
                continue;
            }
        }
        desk.recovered("job", &mut backoff);
    }
}

/// Notes by which translation new tables are written, and says which hold rows of another.
async fn tell(desk: &Desk<'_>) -> Result<(), PortError> {
    desk.agent.adopt_translations().await?;
    for intake in desk.agent.translated_otherwise().await? {
        tracing::warn!(
            context = %desk.agent.context,
            subject = %intake.subscription,
            "rows were written by another translation; `seamline rehearse` shows which, and merges them"
        );
    }
    Ok(())
}

/// Looks for jobs, and takes those that nobody works on.
async fn look(desk: &Desk<'_>, mine: &mut Vec<Mine>) -> Result<(), PortError> {
    let jobs = desk.agent.jobs().await?;
    let here = || jobs.iter().filter(|job| desk.agent.can_work(job));
    let lane_job = |job: &Job| LaneJob { id: job.id, kind: job.filed.kind, rate: rate(job) };
    let of_lanes = here().filter(|job| desk.agent.is_for_lanes(job));
    desk.lane_jobs.set(of_lanes.map(|job| (job.filed.subject.clone(), lane_job(job))).collect());
    for job in here() {
        let mut job = job.clone();
        if !mine.iter().any(|it| it.job.id == job.id) && desk.agent.take_job(&mut job).await? {
            tracing::info!(
                context = %desk.agent.context,
                job = job.id,
                kind = job.filed.kind.word(),
                subject = %job.filed.subject,
                "a job was taken"
            );
            mine.push(Mine { rate: rate(&job), digest: None, job, not_before: Instant::now(), rested: 0 });
        }
    }
    Ok(())
}

fn rate(job: &Job) -> Option<u32> {
    let orders = &job.filed.orders;
    match job.filed.kind {
        JobKind::Rehearse | JobKind::Bootstrap | JobKind::Replay => read::<RehearseOrders>(orders).ok()?.rate,
        JobKind::Backfill => read::<BackfillOrders>(orders).ok()?.rate,
        JobKind::Redrive => read::<RedriveOrders>(orders).ok()?.rate,
        JobKind::Erase => None,
    }
}

/// Steps each job once that may go on. Returns whether one moved.
async fn round(desk: &Desk<'_>, mine: &mut Vec<Mine>) -> Result<bool, PortError> {
    let mut any = false;
    let mut at = 0;
    while let Some(it) = mine.get_mut(at) {
        if it.not_before > Instant::now() {
            at += 1;
            continue;
        }
        // Read before it looks: what others do meanwhile may be what it waits for.
        let done = desk.metrics.done();
        match desk.agent.work_on(&mut it.job, &mut it.digest).await? {
            Stepped::Moved(moved) => {
                any = true;
                desk.metrics.worked(it.job.filed.kind, moved);
                it.not_before = Instant::now() + pause(moved, it.rate);
                it.rested = 0;
                at += 1;
            }
            Stepped::Waiting(_) => {
                desk.metrics.waits(it.job.id, done);
                it.rested = it.rested.saturating_add(1);
                let rest = if it.rested < LONG_REST.1 { REST } else { LONG_REST.0 };
                it.not_before = Instant::now() + rest;
                at += 1;
            }
            Stepped::Over => {
                tracing::info!(
                    context = %desk.agent.context,
                    job = it.job.id,
                    stage = it.job.stage.word(),
                    note = %it.job.note,
                    "a job is over"
                );
                mine.remove(at);
            }
            Stepped::Lost => {
                mine.remove(at);
            }
        }
    }
    Ok(any)
}
