//! The loops of lanes: each partition of a topic read by itself, a few of them stepped at once.

use super::backoff::Backoff;
use super::jobs::{LaneJob, pause};
use super::stream::{self, Noted};
use super::{Desk, NAP, NO_TOPIC};
use crate::lane::{Kind, LaneWork, Reading};
use crate::workers::Pace;
use futures_util::future::{join, join_all};
use seamline_flow::job::JobKind;
use seamline_flow::job::merge::Merged;
use seamline_flow::log::Log;
use seamline_flow::port::PortError;
use seamline_flow::store::{Lane, LaneState, Store};
use seamline_flow::stream::board::Board;
use std::time::{Duration, Instant};

/// How long a lane rests that is beyond this replica's share.
const BEYOND: Duration = Duration::from_millis(500);

/// How long between two looks at whether a former generation is still to be read.
const FORMER: Duration = Duration::from_secs(5);

/// How long a projection waits between two looks at whether its reactions have begun.
const LOOK: Duration = Duration::from_millis(20);

/// Reads all partitions of a topic until told to stop.
pub(super) async fn work(desk: &Desk<'_>, reading: Reading<'_>) {
    let worker = worker(reading.kind);
    let mut backoff = Backoff::default();
    if reading.is_former() && !is_needed(desk, reading).await {
        return;
    }
    let partitions = loop {
        if desk.stopping() {
            return;
        }
        match desk.agent.log.topic(reading.topic).await {
            Ok(Some(topic)) => break topic.partitions,
            Ok(None) => desk.nap(NO_TOPIC).await,
            Err(error) => desk.failed(worker, &error, &mut backoff).await,
        }
    };
    desk.share.found(partitions as usize);
    if reading.kind == Kind::State {
        reactions_begun(desk, reading).await;
    }
    let (board, open) = (Board::default(), stream::Open::default());
    let lanes =
        (0..partitions).map(|at| lane(desk, LaneWork::new(desk.agent.ports(), reading, at), (&board, &open)));
    let listened = async {
        if reading.kind == Kind::State {
            stream::listen(desk, reading, &board).await;
        }
    };
    join(join_all(lanes), listened).await;
}

/// Waits until a topic of a former generation is to be read: the subscription has a lane there that was not left. Returns false
/// when told to stop.
async fn is_needed(desk: &Desk<'_>, reading: Reading<'_>) -> bool {
    let (mut backoff, worker) = (Backoff::default(), worker(reading.kind));
    while !desk.stopping() {
        match desk.agent.database.lanes(&reading.intake.subscription).await {
            Ok(lanes) => {
                let is_read = |(lane, state): &(Lane, LaneState)| {
                    let lineage = reading.intake.lineage.as_ref();
                    lane.topic == reading.topic && lineage.is_some_and(|it| it.is_read(state))
                };
                if lanes.iter().any(is_read) {
                    return true;
                }
                desk.nap(FORMER).await;
            }
            Err(error) => desk.failed(worker, &error, &mut backoff).await,
        }
    }
    false
}

fn worker(kind: Kind) -> &'static str {
    match kind {
        Kind::Events => "reactor",
        Kind::State => "projector",
    }
}

/// Waits until each lane of the subscription's reactions has its starting point, whoever took it: what a reaction may read
/// in the projection must not be there before.
async fn reactions_begun(desk: &Desk<'_>, reading: Reading<'_>) {
    let Some(events) = &reading.intake.events else { return };
    let mut backoff = Backoff::default();
    while !desk.stopping() {
        match have_begun(desk, reading, &events.topic).await {
            Ok(true) => return,
            Ok(false) => desk.nap(LOOK).await,
            Err(error) => desk.failed("projector", &error, &mut backoff).await,
        }
    }
}

async fn have_begun(desk: &Desk<'_>, reading: Reading<'_>, events: &str) -> Result<bool, PortError> {
    let Some(topic) = desk.agent.log.topic(events).await? else { return Ok(true) };
    let lanes = desk.agent.database.lanes(&reading.intake.subscription).await?;
    // Where another generation was read before, they began there.
    let mut former = reading.intake.former.iter().filter_map(|it| it.events.as_ref());
    if former.any(|it| lanes.iter().any(|(lane, state)| lane.topic == it.topic && state.position.is_some())) {
        return Ok(true);
    }
    let begun = lanes.iter().filter(|(lane, state)| lane.topic == events && state.position.is_some());
    Ok(begun.count() >= topic.partitions as usize)
}

/// What a lane does for a job between two batches.
struct Aside {
    subscription: String,
    kind: Kind,
    not_before: Instant,
    /// The last job for which nothing is left here.
    done: Option<u64>,
}

impl Aside {
    fn of(lane: &LaneWork<'_>) -> Aside {
        let (subscription, kind) = (lane.reading.intake.subscription.to_string(), lane.reading.kind);
        Aside { subscription, kind, not_before: Instant::now(), done: None }
    }

    fn due(&self, desk: &Desk<'_>) -> Option<LaneJob> {
        let job = desk.lane_jobs.of(&self.subscription)?;
        // What is reacted to is never merged.
        let is_here = self.kind == Kind::State || job.kind == JobKind::Redrive;
        (is_here && self.done != Some(job.id) && self.not_before <= Instant::now()).then_some(job)
    }

    fn is_due(&self, desk: &Desk<'_>) -> bool {
        self.due(desk).is_some()
    }

    async fn step(&mut self, desk: &Desk<'_>, lane: &mut LaneWork<'_>) -> Result<(), PortError> {
        let Some(job) = self.due(desk) else { return Ok(()) };
        let _permit = desk.gate.acquire().await.expect("the gate is never closed");
        let rest = match lane.work_on(job.kind, job.id).await? {
            Merged::Moved(moved) => {
                desk.metrics.lane_worked(job.kind, moved);
                pause(moved, job.rate)
            }
            Merged::Done => {
                self.done = Some(job.id);
                Duration::ZERO
            }
            Merged::NotNow | Merged::Fenced => LOOK,
        };
        self.not_before = Instant::now() + rest;
        Ok(())
    }
}

/// Reads one partition until told to stop.
async fn lane(desk: &Desk<'_>, mut lane: LaneWork<'_>, points: (&Board, &stream::Open)) {
    let worker = worker(lane.reading.kind);
    let (mut backoff, mut nap, mut told) = (Backoff::default(), NAP.0, None);
    let (mut aside, mut noted) = (Aside::of(&lane), Noted::default());
    while !desk.stopping() {
        if let Err(error) = aside.step(desk, &mut lane).await {
            desk.failed(worker, &error, &mut backoff).await;
        }
        if lane.is_held() && desk.share.is_exceeded() {
            desk.share.yielded();
            desk.metrics.lane_left(&lane);
            if let Err(error) = lane.give_back().await {
                desk.failed(worker, &error, &mut backoff).await;
            }
            desk.nap(BEYOND).await;
            continue;
        }
        if !lane.is_held() && !desk.share.claim() {
            desk.nap(BEYOND).await;
            continue;
        }
        let stepped = {
            let _permit = desk.gate.acquire().await.expect("the gate is never closed");
            lane.step().await
        };
        if !lane.is_held() {
            desk.share.yielded();
            desk.metrics.lane_left(&lane);
        }
        desk.metrics.lanes_held(desk.share.held());
        let read = match stepped {
            Ok(read) => read,
            Err(error) => {
                desk.failed(worker, &error, &mut backoff).await;
                continue;
            }
        };
        desk.recovered(worker, &mut backoff);
        desk.metrics.read(&lane, worker, &read);
        if let Err(error) = stream::compare(desk, &mut lane, points, &mut noted).await {
            desk.failed(worker, &error, &mut backoff).await;
        }
        match read.pace {
            Pace::Moved(_) => {
                nap = NAP.0;
                tokio::task::yield_now().await;
            }
            Pace::Idle | Pace::Waiting => {
                desk.nap(nap).await;
                nap = (nap * 2).min(NAP.1);
            }
            Pace::Busy(until) => desk.wait_for_lease(until, &backoff).await,
            Pace::NoTopic => desk.nap(NO_TOPIC).await,
            Pace::Stopped(case) => {
                let is_due = || aside.is_due(desk);
                desk.stopped(worker, &case, &mut told, is_due).await;
            }
        }
    }
}
