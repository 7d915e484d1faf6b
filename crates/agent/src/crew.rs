//! The crew: every relay and lane of some agents at work at once, each in a loop of its own, until told to stop.

mod audit;
mod backoff;
mod errand;
mod inbox;
mod jobs;
mod lanes;
mod passes;
mod reference;
mod relay;
mod share;
mod stream;

use crate::agent::Agent;
use crate::crew::backoff::Backoff;
use crate::crew::jobs::LaneJobs;
pub(crate) use crate::crew::jobs::pause;
use crate::crew::share::Share;
use crate::errand::PostWork;
use crate::lane::readings;
use crate::metrics::{AgentMetrics, Metrics};
use crate::pass::Pacing;
use crate::pulse::Pulse;
use crate::reference::{SendWork, TakeWork};
use crate::relay::RelayWork;
use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use jiff::Timestamp;
use seamline_flow::case::{Cases, NewCase};
use seamline_flow::era::ending_case;
use seamline_flow::lease::Leases;
use seamline_flow::log::Log;
use seamline_flow::port::PortError;
use seamline_flow::source::Source;
use std::pin::Pin;
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, watch};

/// How many lanes of one database are stepped at once: while one commits, others read and decode.
const STEPPING_MAX: usize = 8;

/// How long a worker rests that must not go on, before it looks whether it may.
const STOPPED: Duration = Duration::from_secs(60);

/// How often one that rests looks whether there is reason to wake.
const LOOK: Duration = Duration::from_millis(200);

/// How long one waits for a topic that is not there yet.
const NO_TOPIC: Duration = Duration::from_secs(1);

/// How often the rows that wait are counted.
const COUNTED: Duration = Duration::from_secs(15);

const SECONDS_OF_DAY: i64 = 86_400;

/// The shortest and the longest nap of a worker that had nothing to do.
const NAP: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(50));

type Work<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// What the workers of one agent have in common.
struct Desk<'a> {
    agent: &'a Agent,
    metrics: AgentMetrics,
    share: Share,
    lane_jobs: LaneJobs,
    gate: Semaphore,
    stop: watch::Receiver<bool>,
}

/// Runs agents until `stop` says so and each step under way is finished, at most as long as the longest lease. Failing
/// workers are tried again and stop nobody else. Leases are not given back: `Agent::release` does.
///
/// Returns whether all steps under way were finished.
pub async fn run(agents: &[Agent], metrics: &Metrics, pulse: &Pulse, stop: watch::Receiver<bool>) -> bool {
    let desks: Vec<Desk<'_>> = agents.iter().map(|agent| Desk::new(agent, metrics, stop.clone())).collect();
    let mut work: FuturesUnordered<Work<'_>> = FuturesUnordered::new();
    for desk in &desks {
        work.push(Box::pin(attend(desk, pulse)));
        work.push(Box::pin(count(desk)));
        work.push(Box::pin(jobs::work(desk, true)));
        if !desk.agent.intakes.is_empty() || !desk.agent.errands.is_empty() {
            work.push(Box::pin(inbox::work(desk)));
        }
        if let Some(post) = PostWork::new(desk.agent.ports(), &desk.agent.context, &desk.agent.errands) {
            work.push(Box::pin(errand::post(desk, post)));
            work.push(Box::pin(errand::watch(desk)));
        }
        for hearing in &desk.agent.errands.hearings {
            work.push(Box::pin(errand::hear(desk, hearing)));
        }
        for outflow in &desk.agent.outflows {
            work.push(Box::pin(reference::send(desk, SendWork::new(desk.agent.ports(), outflow))));
        }
        let takers = desk.agent.intakes.iter().filter_map(|intake| TakeWork::new(desk.agent.ports(), intake));
        let takers: Vec<Work<'_>> =
            takers.map(|it| Box::pin(reference::take(desk, it)) as Work<'_>).collect();
        if !takers.is_empty() {
            work.push(Box::pin(reference::watch(desk)));
        }
        work.extend(takers);
        if desk.agent.outlets.is_some() {
            work.push(Box::pin(audit::work(desk)));
        }
        if let Some(relay) = RelayWork::new(desk.agent) {
            work.push(Box::pin(relay::work(desk, relay)));
        }
        for reading in readings(&desk.agent.intakes) {
            work.push(Box::pin(lanes::work(desk, reading)));
        }
    }
    work.push(Box::pin(tick(pulse, stop.clone())));
    let lease = agents.iter().map(|agent| agent.lease).max().unwrap_or_default();
    let mut stopped = stop;
    let mut overtime = std::pin::pin!(async {
        // A sender that is gone can tell nothing any more: it counts as told to stop.
        let _ = stopped.wait_for(|stop| *stop).await;
        tokio::time::sleep(lease).await;
    });
    loop {
        tokio::select! {
            biased;
            ended = work.next() => if ended.is_none() { return true },
            () = &mut overtime => return false,
        }
    }
}

/// Works the jobs of one agent that need no lane, until `stop` says so.
pub async fn work_jobs(agent: &Agent, metrics: &Metrics, stop: watch::Receiver<bool>) {
    jobs::work(&Desk::new(agent, metrics, stop), false).await;
}

/// Compares what agents publish and keep by the cadence of its contracts, until `stop` says so: a pass under way is left then.
pub async fn compare(agents: &[Agent], metrics: &Metrics, pacing: Pacing, stop: watch::Receiver<bool>) {
    let desks: Vec<Desk<'_>> = agents.iter().map(|agent| Desk::new(agent, metrics, stop.clone())).collect();
    join_all(desks.iter().map(|desk| passes::work(desk, pacing))).await;
}

impl<'a> Desk<'a> {
    fn new(agent: &'a Agent, metrics: &Metrics, stop: watch::Receiver<bool>) -> Self {
        Desk {
            agent,
            metrics: metrics.of(agent),
            share: Share::default(),
            lane_jobs: LaneJobs::default(),
            gate: Semaphore::new(STEPPING_MAX),
            stop,
        }
    }
}

impl Desk<'_> {
    fn stopping(&self) -> bool {
        *self.stop.borrow()
    }

    /// Sleeps, unless told to stop.
    async fn nap(&self, how_long: Duration) {
        let mut stop = self.stop.clone();
        let _woken = tokio::time::timeout(how_long, stop.wait_for(|stop| *stop)).await;
    }

    /// Rests until the lease of another is worth a try.
    async fn wait_for_lease(&self, until: Timestamp, backoff: &Backoff) {
        let left = Duration::try_from(until.duration_since(Timestamp::now())).unwrap_or_default();
        let look = (self.agent.lease / 3).clamp(Duration::from_millis(200), Duration::from_secs(5));
        self.nap(left.min(look) + backoff.jitter(Duration::from_millis(50))).await;
    }

    /// Says that a worker failed, the first time of a row, and rests.
    async fn failed(&self, worker: &'static str, error: &PortError, backoff: &mut Backoff) {
        self.metrics.step_error(worker);
        if backoff.is_first() {
            tracing::warn!(
                context = %self.agent.context,
                database = %self.agent.place,
                worker,
                error = %error,
                "a worker failed and will be tried again"
            );
        }
        let rest = backoff.next();
        self.nap(rest).await;
    }

    /// Says that a worker that failed goes on.
    fn recovered(&self, worker: &'static str, backoff: &mut Backoff) {
        if backoff.reset() {
            tracing::info!(context = %self.agent.context, database = %self.agent.place, worker, "a worker goes on");
        }
    }

    /// Says that a worker must not go on, and rests, unless there is reason to wake.
    async fn stopped(
        &self,
        worker: &'static str,
        case: &NewCase,
        told: &mut Option<String>,
        wake: impl Fn() -> bool,
    ) {
        if told.as_ref() != Some(&case.fingerprint) {
            tracing::error!(
                context = %self.agent.context,
                database = %self.agent.place,
                worker,
                subject = %case.subject,
                summary = %case.summary,
                "a worker must not go on until somebody looked at its case"
            );
            *told = Some(case.fingerprint.clone());
        }
        self.metrics.stopped(worker, 1);
        let until = Instant::now() + STOPPED;
        while !self.stopping() && !wake() && Instant::now() < until {
            self.nap(LOOK).await;
        }
        self.metrics.stopped(worker, -1);
    }
}

/// Keeps the agent's presence in its database, and counts the replicas there; asks the log whether it answers.
async fn attend(desk: &Desk<'_>, pulse: &Pulse) {
    let (agent, mut backoff) = (desk.agent, Backoff::default());
    let database = agent.place.to_string();
    pulse.expect(&database);
    pulse.expect("log");
    while !desk.stopping() {
        let attended = async {
            let present = agent.database.attend(agent.holder(), Timestamp::now(), agent.lease).await?;
            pulse.answered(&database);
            desk.share.replicas(present.len());
            desk.metrics.replicas(present.len());
            let mut topics = readings(&agent.intakes).into_iter().map(|reading| reading.topic.to_owned());
            let own = agent.outlets.as_ref().map(|outlets| outlets.batches().name);
            if let Some(topic) = own.or_else(|| topics.next()) {
                agent.log.topic(&topic).await?;
            }
            pulse.answered("log");
            Ok(())
        };
        match attended.await {
            Ok(()) => {
                desk.recovered("replica", &mut backoff);
                desk.nap(agent.lease / 3).await;
            }
            Err(error) => desk.failed("replica", &error, &mut backoff).await,
        }
    }
}

/// Counts the rows that wait and those aside, now and then; tells once a day of majors that end.
async fn count(desk: &Desk<'_>) {
    desk.metrics.majors(desk.agent);
    let mut told = None;
    while !desk.stopping() {
        let today = Timestamp::now().as_second() / SECONDS_OF_DAY;
        if told != Some(today) && tell_of_ends(desk.agent).await.is_ok() {
            told = Some(today);
        }
        for outlet in desk.agent.outlets.iter().flat_map(|outlets| outlets.iter()) {
            // A database that does not answer is told of by whoever needs it.
            if let Ok(counts) = desk.agent.database.counts(&outlet.contract.name.contract).await {
                desk.metrics.counts(&outlet.contract, &counts);
            }
        }
        if let Ok(Some(bytes)) = desk.agent.database.slot_kept_bytes().await {
            desk.metrics.slot_kept(bytes);
        }
        desk.nap(COUNTED).await;
    }
}

/// Raises the cases of subscriptions whose major ends soon, or has ended.
async fn tell_of_ends(agent: &Agent) -> Result<(), PortError> {
    let now = Timestamp::now();
    for case in agent.intakes.iter().filter_map(|intake| ending_case(intake, now)) {
        agent.database.raise(&case, now).await?;
    }
    Ok(())
}

/// Shows that the loops turn.
async fn tick(pulse: &Pulse, mut stop: watch::Receiver<bool>) {
    while !*stop.borrow() {
        pulse.tick();
        let _woken = tokio::time::timeout(Duration::from_secs(1), stop.wait_for(|stop| *stop)).await;
    }
}
