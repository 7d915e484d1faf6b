//! A lane as one of a database's workers: one partition of one topic, taken when it is free, stepped by what moves it.

use crate::clock::SystemClock;
use crate::database::Database;
use crate::log::SiteLog;
use crate::workers::Pace;
use seamline_flow::digest_key;
use seamline_flow::handover::{self, Passing};
use seamline_flow::hold::{DigestEpoch, Hold, Moved, Ports, Step, Take};
use seamline_flow::intake::Intake;
use seamline_flow::job::merge::{self, Merged};
use seamline_flow::job::{JobKind, redrive};
use seamline_flow::port::PortError;
use seamline_flow::position::Accounting;
use seamline_flow::projector::Projector;
use seamline_flow::reactor::Reactor;
use seamline_flow::store::{Lane, Store};
use seamline_flow::stream::board::Board;
use seamline_flow::stream::{Compared, Memory};
use std::time::Duration;

pub(crate) type SitePorts<'a> = Ports<'a, Database, SiteLog, SystemClock>;

/// What a lane feeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The inbox.
    Events,
    /// The projection.
    State,
}

/// One topic that a subscription reads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading<'a> {
    pub(crate) intake: &'a Intake,
    pub(crate) kind: Kind,
    pub(crate) topic: &'a str,
}

impl Reading<'_> {
    /// Returns whether its topic is read only to where the next generation begins.
    pub(crate) fn is_former(&self) -> bool {
        self.intake.lineage.as_ref().is_some_and(|lineage| lineage.is_former())
    }
}

/// Returns what subscriptions read. Events come first: a reaction's starting point is taken before its projection
/// begins to be built. Behind the topics of one kind that are read come those of former generations.
pub(crate) fn readings(intakes: &[Intake]) -> Vec<Reading<'_>> {
    let all = || intakes.iter().chain(intakes.iter().flat_map(|intake| &intake.former));
    let events = all().filter_map(|intake| {
        let topic = &intake.events.as_ref()?.topic;
        Some(Reading { intake, kind: Kind::Events, topic })
    });
    let state = all().filter_map(|intake| {
        let topic = &intake.state.as_ref()?.topic;
        Some(Reading { intake, kind: Kind::State, topic })
    });
    events.chain(state).collect()
}

/// Who moves a lane.
enum Mover<'a> {
    State(Box<Projector<'a, Database, SiteLog, SystemClock>>),
    Events(Box<Reactor<'a, Database, SiteLog, SystemClock>>),
}

/// One lane, held or yet to be taken.
pub(crate) struct LaneWork<'a> {
    ports: SitePorts<'a>,
    pub(crate) reading: Reading<'a>,
    pub(crate) partition: u32,
    mover: Option<Mover<'a>>,
    passing: Passing,
    memory: Memory,
}

/// What a step of a lane did, and when to step again.
pub(crate) struct Read {
    pub(crate) pace: Pace,
    pub(crate) moved: Moved,
    /// What became of the records of this step; all zero when nothing moved.
    pub(crate) outcomes: Accounting,
}

impl<'a> LaneWork<'a> {
    /// Returns a lane that is not taken yet.
    pub(crate) fn new(ports: SitePorts<'a>, reading: Reading<'a>, partition: u32) -> Self {
        LaneWork {
            ports,
            reading,
            partition,
            mover: None,
            passing: Passing::default(),
            memory: Memory::default(),
        }
    }

    /// Returns whether it was taken and not given back.
    pub(crate) fn is_held(&self) -> bool {
        self.mover.is_some()
    }

    /// Takes the lane where it is not held, and brings it one batch further.
    ///
    /// # Errors
    /// The ports'; it is safe to go on.
    pub(crate) async fn step(&mut self) -> Result<Read, PortError> {
        // Whoever took the lane may have marked its rows under another digest key: it is taken anew, under the key of today.
        if self.mover.as_ref().is_some_and(|mover| hold_of(mover).grip.is_none()) {
            self.mover = None;
        }
        if let Some(instead) = self.take().await? {
            return Ok(resting(instead));
        }
        let mover = self.mover.as_mut().expect("it was taken");
        let before = hold_of(mover).grip.as_ref().map(|grip| grip.state.accounting);
        let step = match mover {
            Mover::State(projector) => projector.step().await?,
            Mover::Events(reactor) => reactor.step().await?,
        };
        let after = hold_of(mover).grip.as_ref().map(|grip| grip.state.accounting);
        if self.reading.is_former() && self.leave().await? {
            self.mover = None;
            return Ok(resting(Pace::Moved(1)));
        }
        Ok(match step {
            Step::Moved(moved) => {
                let outcomes = before.zip(after).map(|(from, to)| between(&from, &to)).unwrap_or_default();
                Read { pace: Pace::Moved(moved.handed + moved.inbox), moved, outcomes }
            }
            Step::Idle | Step::Fenced => resting(Pace::Idle),
            Step::Waiting => resting(Pace::Waiting),
            Step::Busy { until } => {
                self.mover = None;
                resting(Pace::Busy(until))
            }
            Step::NoTopic => {
                self.mover = None;
                resting(Pace::NoTopic)
            }
            Step::Stopped(case) => {
                self.mover = None;
                resting(Pace::Stopped(case))
            }
        })
    }

    /// Leaves the lane for good, once the next generation has all that comes.
    async fn leave(&mut self) -> Result<bool, PortError> {
        let Some(mover) = &mut self.mover else { return Ok(false) };
        let hold = match mover {
            Mover::State(projector) => &mut projector.hold,
            Mover::Events(reactor) => &mut reactor.hold,
        };
        handover::leave(self.ports, self.reading.intake, hold, &mut self.passing).await
    }

    /// Holds the lane against the newest point that it has reached; none where it has reached no new one, or is none of state.
    ///
    /// # Errors
    /// The ports'; it is safe to go on.
    pub(crate) async fn compare(&mut self, board: &Board) -> Result<Option<Compared>, PortError> {
        let Some(Mover::State(projector)) = &mut self.mover else { return Ok(None) };
        if projector.hold.grip.is_none() {
            return Ok(None);
        }
        match board.take(self.partition, projector.hold.offset()) {
            Some(published) => self.memory.compare(projector, &published).await,
            None => Ok(None),
        }
    }

    /// Takes the lane, so that it has its starting point, and gives it back. One that is not to be had is left.
    ///
    /// # Errors
    /// The ports'; it is safe to repeat.
    pub(crate) async fn begin(&mut self) -> Result<(), PortError> {
        match self.take().await? {
            None => self.give_back().await,
            Some(_) => Ok(()),
        }
    }

    /// Takes the lane. Returns what a step says instead when it cannot be had.
    async fn take(&mut self) -> Result<Option<Pace>, PortError> {
        if self.mover.is_some() {
            return Ok(None);
        }
        let Reading { intake, kind, .. } = self.reading;
        let Some(digest) = self.digest().await? else { return Ok(Some(Pace::NoTopic)) };
        let taken = match kind {
            Kind::Events => {
                let taken = Reactor::take(self.ports, intake, self.partition, digest, false).await?;
                taken.map(|reactor| Mover::Events(Box::new(reactor)))
            }
            Kind::State => {
                let taken = Projector::take(self.ports, intake, self.partition, digest, false).await?;
                taken.map(|projector| Mover::State(Box::new(projector)))
            }
        };
        Ok(match taken {
            // Invariant: a lane is not moved under an older key than that of its sums. The key was read before it was rotated.
            Take::Held(Mover::State(lane)) if lane.hold.state().digest_epoch > digest.epoch => {
                Some(Pace::Idle)
            }
            Take::Held(mover) => {
                self.mover = Some(mover);
                None
            }
            Take::Busy { until } => Some(Pace::Busy(until)),
            Take::NoTopic => Some(Pace::NoTopic),
            Take::Stopped(case) => Some(Pace::Stopped(case)),
        })
    }

    /// Brings the part of a job that is this lane's one step further; a lane that must not read on is taken for it.
    ///
    /// # Errors
    /// The ports'; it is safe to go on.
    pub(crate) async fn work_on(&mut self, kind: JobKind, job: u64) -> Result<Merged, PortError> {
        match kind {
            JobKind::Redrive => self.redrive(job).await,
            JobKind::Rehearse | JobKind::Bootstrap | JobKind::Replay => self.merge(job).await,
            JobKind::Backfill | JobKind::Erase => Ok(Merged::NotNow),
        }
    }

    async fn merge(&mut self, job: u64) -> Result<Merged, PortError> {
        match &mut self.mover {
            Some(Mover::State(projector)) => merge::step(projector, job).await,
            Some(Mover::Events(_)) => Ok(Merged::NotNow),
            None => {
                let Some(digest) = self.digest().await? else { return Ok(Merged::NotNow) };
                merge::step_standing(self.ports, self.reading.intake, digest, self.partition, job).await
            }
        }
    }

    async fn redrive(&mut self, job: u64) -> Result<Merged, PortError> {
        let Some(digest) = self.digest().await? else { return Ok(Merged::NotNow) };
        let (ports, intake, lane) = (self.ports, self.reading.intake, self.lane());
        let hold = match &mut self.mover {
            Some(Mover::State(projector)) => &mut projector.hold,
            Some(Mover::Events(reactor)) => &mut reactor.hold,
            None => return redrive::step_standing(ports, intake, digest, lane, job).await,
        };
        redrive::step(ports, intake, digest, hold, job).await
    }

    /// Returns the digest key of the topic; none where there is no topic yet.
    async fn digest(&self) -> Result<Option<DigestEpoch>, PortError> {
        let _one_at_a_time = self.ports.log.keys.lock().await;
        let found = digest_key::current(self.ports.log, self.reading.topic).await?;
        Ok(found.map(|(epoch, key)| DigestEpoch { epoch, key }))
    }

    /// Gives the lane back, so that another can take it at once.
    ///
    /// # Errors
    /// The store's; the lease ends by itself then.
    pub(crate) async fn give_back(&mut self) -> Result<(), PortError> {
        self.mover = None;
        let SitePorts { store, clock, holder, .. } = self.ports;
        let lane = self.lane();
        store.grip(&lane, holder, seamline_flow::clock::Clock::now(clock), Duration::ZERO, false).await?;
        Ok(())
    }

    /// Returns which lane it is.
    pub(crate) fn lane(&self) -> Lane {
        self.reading.intake.lane(self.reading.topic, self.partition)
    }
}

fn hold_of<'m>(mover: &'m Mover<'_>) -> &'m Hold {
    match mover {
        Mover::State(projector) => &projector.hold,
        Mover::Events(reactor) => &reactor.hold,
    }
}

/// Returns what was counted between two states of one lane.
fn between(from: &Accounting, to: &Accounting) -> Accounting {
    // A released record is counted anew: what it was before goes down.
    let more = |from: u64, to: u64| to.saturating_sub(from);
    Accounting {
        from: from.to,
        to: to.to,
        handed: more(from.handed, to.handed),
        applied: more(from.applied, to.applied),
        superseded: more(from.superseded, to.superseded),
        duplicates: more(from.duplicates, to.duplicates),
        conflicts: more(from.conflicts, to.conflicts),
        coalesced: more(from.coalesced, to.coalesced),
        held: more(from.held, to.held),
        quarantined: more(from.quarantined, to.quarantined),
        absent: more(from.absent, to.absent),
    }
}

fn resting(pace: Pace) -> Read {
    Read { pace, moved: Moved::default(), outcomes: Accounting::default() }
}
