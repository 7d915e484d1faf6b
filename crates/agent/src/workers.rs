//! The workers of a database stepped in turn, in one order that is always the same: for proofs, demonstrations, and hands.

use crate::agent::{Agent, AgentError};
use crate::errand::{HearWork, PostWork};
use crate::lane::{LaneWork, Reading, readings};
use crate::reference::{SendWork, TakeWork, Told};
use crate::relay::RelayWork;
use jiff::Timestamp;
use seamline_flow::case::NewCase;
use seamline_flow::errand::hear::Hearing;
use seamline_flow::errand::tell_overdue;
use seamline_flow::log::Log;
use seamline_flow::port::PortError;
use std::time::Duration;

/// How long a lane that cannot be had is left alone.
const REST: Duration = Duration::from_millis(500);

/// How a worker goes on after a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Pace {
    /// At once: something moved.
    Moved(u64),
    /// Soon: there was nothing to do.
    Idle,
    /// Soon: the next reaction waits for its projection.
    Waiting,
    /// When the lease of another ends.
    Busy(Timestamp),
    /// Once there is a topic.
    NoTopic,
    /// Only after somebody looked at the case that is raised.
    Stopped(Box<NewCase>),
}

/// The relay and the lanes of a database, as one worker runs them. Dropping them at any instant loses nothing.
pub struct Workers<'a> {
    agent: &'a Agent,
    relay: Option<RelayWork<'a>>,
    lanes: Vec<(LaneWork<'a>, Option<Timestamp>)>,
    /// Those whose topic is not known yet.
    planned: Vec<Reading<'a>>,
    post: Option<PostWork<'a>>,
    hearers: Vec<(HearWork<'a>, Option<Timestamp>)>,
    /// Errands whose topic is not known yet.
    unheard: Vec<&'a Hearing>,
    senders: Vec<SendWork<'a>>,
    takers: Vec<TakeWork<'a>>,
    told: Told,
}

impl<'a> Workers<'a> {
    pub(crate) fn new(agent: &'a Agent) -> Workers<'a> {
        Workers {
            agent,
            relay: RelayWork::new(agent),
            lanes: Vec::new(),
            planned: readings(&agent.intakes),
            post: PostWork::new(agent.ports(), &agent.context, &agent.errands),
            hearers: Vec::new(),
            unheard: agent.errands.hearings.iter().collect(),
            senders: agent.outflows.iter().map(|it| SendWork::new(agent.ports(), it)).collect(),
            takers: agent.intakes.iter().filter_map(|it| TakeWork::new(agent.ports(), it)).collect(),
            told: Told::default(),
        }
    }

    /// Steps everything once. Returns how much moved, with lanes whose next reaction waits for its projection.
    ///
    /// # Errors
    /// When a worker must not go on: the case is raised.
    pub async fn round(&mut self) -> Result<u64, AgentError> {
        let mut moved = 0;
        if let Some(relay) = &mut self.relay {
            match relay.step().await?.pace {
                Pace::Moved(count) => moved += count,
                Pace::Stopped(case) => return Err(AgentError::Rewound(case.summary)),
                Pace::Idle | Pace::Waiting | Pace::Busy(_) | Pace::NoTopic => {}
            }
        }
        self.find_partitions().await?;
        for (lane, resting_until) in &mut self.lanes {
            let now = Timestamp::now();
            if resting_until.is_some_and(|until| until > now) {
                continue;
            }
            *resting_until = None;
            match lane.step().await?.pace {
                Pace::Moved(count) => moved += count,
                Pace::Waiting => moved += 1,
                Pace::Idle => {}
                Pace::Busy(until) => *resting_until = Some(until.min(now + REST)),
                Pace::NoTopic | Pace::Stopped(_) => *resting_until = Some(now + REST),
            }
        }
        Ok(moved + self.errands().await? + self.sets().await?)
    }

    /// Sends and takes sets of reference data. Returns how many records moved.
    async fn sets(&mut self) -> Result<u64, AgentError> {
        let mut moved = 0;
        for sender in &mut self.senders {
            if let Pace::Moved(count) = sender.step().await? {
                moved += count;
            }
        }
        for taker in &mut self.takers {
            if let Pace::Moved(count) = taker.step().await? {
                moved += count;
            }
        }
        self.told.tell(self.agent.ports(), &self.agent.intakes).await?;
        Ok(moved)
    }

    /// Posts and hears errands. Returns how many moved.
    async fn errands(&mut self) -> Result<u64, AgentError> {
        let Some(post) = &mut self.post else { return Ok(0) };
        let mut moved = match post.step().await? {
            Pace::Moved(count) => count,
            Pace::Idle | Pace::Waiting | Pace::Busy(_) | Pace::NoTopic | Pace::Stopped(_) => 0,
        };
        tell_overdue(&self.agent.database, Timestamp::now()).await?;
        for hearing in std::mem::take(&mut self.unheard) {
            match self.agent.log.topic(&hearing.topic).await? {
                None => self.unheard.push(hearing),
                Some(topic) => self.hearers.extend(
                    (0..topic.partitions).map(|at| (HearWork::new(self.agent.ports(), hearing, at), None)),
                ),
            }
        }
        for (hearer, resting_until) in &mut self.hearers {
            let now = Timestamp::now();
            if resting_until.is_some_and(|until| until > now) {
                continue;
            }
            *resting_until = None;
            match hearer.step().await? {
                Pace::Moved(count) => moved += count,
                Pace::Idle | Pace::Waiting => {}
                Pace::Busy(until) => *resting_until = Some(until.min(now + REST)),
                Pace::NoTopic | Pace::Stopped(_) => *resting_until = Some(now + REST),
            }
        }
        Ok(moved)
    }

    /// Looks for topics whose partitions were not known yet.
    async fn find_partitions(&mut self) -> Result<(), PortError> {
        let mut unknown = Vec::new();
        for reading in std::mem::take(&mut self.planned) {
            let Some(topic) = self.agent.log.topic(reading.topic).await? else {
                unknown.push(reading);
                continue;
            };
            let ports = self.agent.ports();
            self.lanes.extend((0..topic.partitions).map(|at| (LaneWork::new(ports, reading, at), None)));
        }
        self.planned = unknown;
        Ok(())
    }
}
