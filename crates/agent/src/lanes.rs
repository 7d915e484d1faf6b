//! The lanes of a context: each partition of each topic that its subscriptions read, stepped in turn.

use crate::clock::SystemClock;
use jiff::Timestamp;
use seamline_flow::digest_key;
use seamline_flow::hold::{DigestEpoch, Ports, Step, Take};
use seamline_flow::intake::Intake;
use seamline_flow::log::Log;
use seamline_flow::port::PortError;
use seamline_flow::projector::Projector;
use seamline_flow::reactor::Reactor;
use seamline_sqlite::context::Database;
use seamline_sqlite::log::EmbeddedLog;

type SitePorts<'a> = Ports<'a, Database, EmbeddedLog, SystemClock>;

/// Who moves a lane: state into a projection, or events into the inbox.
enum Mover<'a> {
    State(Projector<'a, Database, EmbeddedLog, SystemClock>),
    Events(Reactor<'a, Database, EmbeddedLog, SystemClock>),
}

/// One lane, held or yet to be taken.
struct LaneWork<'a> {
    intake: &'a Intake,
    events: bool,
    partition: u32,
    mover: Option<Mover<'a>>,
    /// Not to be tried before: another holds it, or it must not be read on.
    resting_until: Option<Timestamp>,
}

/// All lanes of a context.
pub(crate) struct Lanes<'a> {
    ports: SitePorts<'a>,
    lanes: Vec<LaneWork<'a>>,
    planned: Vec<(&'a Intake, bool)>,
}

/// What a round over all lanes did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Round {
    /// Records handed over.
    pub(crate) handed: u64,
    /// Reactions put into the inbox.
    pub(crate) inbox: u64,
    /// Lanes whose next reaction waits for its projection.
    pub(crate) waiting: u64,
    /// Lanes that are not held, or whose topic is not there yet.
    pub(crate) resting: u64,
}

/// How long a lane that cannot be had is left alone.
const REST: std::time::Duration = std::time::Duration::from_millis(500);

impl<'a> Lanes<'a> {
    /// Plans the lanes of subscriptions. Events come first: a reaction's starting point is taken before its projection
    /// begins to be built.
    pub(crate) fn new(ports: SitePorts<'a>, intakes: &'a [Intake]) -> Self {
        let events = intakes.iter().filter(|intake| intake.events.is_some()).map(|intake| (intake, true));
        let state = intakes.iter().filter(|intake| intake.state.is_some()).map(|intake| (intake, false));
        Lanes { ports, lanes: Vec::new(), planned: events.chain(state).collect() }
    }

    /// Steps every lane once.
    ///
    /// # Errors
    /// The ports'; it is safe to go on.
    pub(crate) async fn round(&mut self) -> Result<Round, PortError> {
        self.find_partitions().await?;
        let mut round = Round::default();
        let now = Timestamp::now();
        for lane in &mut self.lanes {
            if lane.resting_until.is_some_and(|until| until > now) {
                round.resting += 1;
                continue;
            }
            lane.resting_until = None;
            if lane.mover.is_none() && !lane.take(self.ports).await? {
                lane.resting_until = Some(now + REST);
                round.resting += 1;
                continue;
            }
            let step = match lane.mover.as_mut().expect("it was taken") {
                Mover::State(projector) => projector.step().await?,
                Mover::Events(reactor) => reactor.step().await?,
            };
            match step {
                Step::Moved(moved) => {
                    round.handed += moved.handed;
                    round.inbox += moved.inbox;
                }
                Step::Idle | Step::Fenced => {}
                Step::Waiting => round.waiting += 1,
                Step::Busy { until } => lane.resting_until = Some(until.min(now + REST)),
                Step::NoTopic | Step::Stopped(_) => {
                    lane.mover = None;
                    lane.resting_until = Some(now + REST);
                }
            }
        }
        Ok(round)
    }

    /// Looks for topics whose partitions were not known yet.
    async fn find_partitions(&mut self) -> Result<(), PortError> {
        let mut unknown = Vec::new();
        for (intake, events) in std::mem::take(&mut self.planned) {
            let name = topic_of(intake, events);
            let Some(topic) = self.ports.log.topic(name).await? else {
                unknown.push((intake, events));
                continue;
            };
            let lanes = (0..topic.partitions).map(|partition| LaneWork {
                intake,
                events,
                partition,
                mover: None,
                resting_until: None,
            });
            self.lanes.extend(lanes);
        }
        self.planned = unknown;
        Ok(())
    }
}

fn topic_of(intake: &Intake, events: bool) -> &str {
    let state = intake.state.as_ref().filter(|_| !events).map(|state| state.topic.as_str());
    state
        .or_else(|| intake.events.as_ref().map(|events| events.topic.as_str()))
        .expect("it was planned for a channel")
}

impl<'a> LaneWork<'a> {
    /// Takes the lane. Returns whether it is held.
    async fn take(&mut self, ports: SitePorts<'a>) -> Result<bool, PortError> {
        let topic = topic_of(self.intake, self.events);
        let Some((epoch, key)) = digest_key::current(ports.log, topic).await? else { return Ok(false) };
        let digest = DigestEpoch { epoch, key };
        self.mover = if self.events {
            match Reactor::take(ports, self.intake, self.partition, digest, false).await? {
                Take::Held(reactor) => Some(Mover::Events(reactor)),
                Take::Busy { .. } | Take::NoTopic | Take::Stopped(_) => None,
            }
        } else {
            match Projector::take(ports, self.intake, self.partition, digest, false).await? {
                Take::Held(projector) => Some(Mover::State(projector)),
                Take::Busy { .. } | Take::NoTopic | Take::Stopped(_) => None,
            }
        };
        Ok(self.mover.is_some())
    }
}
