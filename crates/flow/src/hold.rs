//! Holding a lane: taking it, starting it, checking that its position is in this very topic, writing under its epoch.

mod elsewhere;

pub use elsewhere::{out_of_range, range_lost, schema_missing};

use crate::case::NewCase;
use crate::clock::Clock;
use crate::flood::{Flood, lane_case};
use crate::handover::{Lineage, SHUT, admit, take_left};
use crate::hold::elsewhere::other_topic;
use crate::intake::Intake;
use crate::log::{Incoming, Log};
use crate::port::PortError;
use crate::position::{Accounting, Position, TopicIdentity};
use crate::store::{Batch, Committed, Grip, Gripped, Lane, LaneState, Projection, Store};
use jiff::Timestamp;
use seamline_message::digest::DigestKey;
use seamline_message::envelope;
use seamline_message::sums::Sums;
use std::time::Duration;

/// The ports of a consumer, and on whose behalf they are used.
#[derive(Debug)]
pub struct Ports<'a, S, L, C> {
    /// The consumer's database.
    pub store: &'a S,
    /// The log.
    pub log: &'a L,
    /// The clock.
    pub clock: &'a C,
    /// Who takes lanes.
    pub holder: &'a str,
    /// How long a lane stays taken without a commit.
    pub ttl: Duration,
}

impl<S, L, C> Clone for Ports<'_, S, L, C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S, L, C> Copy for Ports<'_, S, L, C> {}

/// The digest key of a topic and its epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DigestEpoch {
    /// The number.
    pub epoch: u32,
    /// The key.
    pub key: DigestKey,
}

/// What became of the wish to hold a lane.
#[derive(Debug, Clone, PartialEq)]
pub enum Take<T> {
    /// It is held.
    Held(T),
    /// Another holds it.
    Busy {
        /// Until when, unless renewed.
        until: Timestamp,
    },
    /// The topic is not there yet.
    NoTopic,
    /// It must not be read on. The case is raised.
    Stopped(Box<NewCase>),
}

impl<T> Take<T> {
    /// Makes something else of what is held.
    pub fn map<U>(self, make: impl FnOnce(T) -> U) -> Take<U> {
        match self {
            Take::Held(held) => Take::Held(make(held)),
            Take::Busy { until } => Take::Busy { until },
            Take::NoTopic => Take::NoTopic,
            Take::Stopped(case) => Take::Stopped(case),
        }
    }
}

/// What one step did.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// The position moved, durably.
    Moved(Moved),
    /// There is nothing to read.
    Idle,
    /// The next reaction waits for its projection.
    Waiting,
    /// Somebody else took the lane; the next step takes it again.
    Fenced,
    /// Another holds the lane.
    Busy {
        /// Until when, unless renewed.
        until: Timestamp,
    },
    /// The topic is not there.
    NoTopic,
    /// It must not be read on. The case is raised.
    Stopped(Box<NewCase>),
}

/// How far a step came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Moved {
    /// Records handed over.
    pub handed: u64,
    /// Of these, broken ones that were set aside.
    pub aside: u64,
    /// Reactions put into the inbox, released ones among them.
    pub inbox: u64,
    /// Offsets between here and the end.
    pub behind: u64,
    /// When the first of them was written at its source, as its header says.
    pub written: Option<Timestamp>,
}

/// Where a lane starts that was never read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With the oldest record.
    Oldest,
    /// With what comes from now on.
    End,
}

/// The epoch of no digest key: what the table holds was received from another topic, and only a rehearsal makes it comparable.
pub const NO_EPOCH: u32 = 0;

/// The epoch of a lane of errands: it is never compared, and fills no table.
pub const NOT_DIGESTED: u32 = u32::MAX;

/// Returns whether the table of a lane that begins was kept from another topic before, such as that of an older major: equal
/// sequences are then the same row in another form, and no conflict.
fn moved(intake: &Intake, lane: &Lane, lanes: &[(Lane, LaneState)]) -> bool {
    let events = intake.events.as_ref().map(|events| &events.topic);
    let other = |there: &Lane| there.topic != lane.topic && Some(&there.topic) != events;
    let filled = |state: &LaneState| state.position.is_some() && state.digest_epoch != NOT_DIGESTED;
    reads_state(intake, lane) && lanes.iter().any(|(there, state)| other(there) && filled(state))
}

fn reads_state(intake: &Intake, lane: &Lane) -> bool {
    intake.state.as_ref().is_some_and(|state| state.topic == lane.topic)
}

/// One lane, as long as it is ours.
#[derive(Debug, Clone)]
pub struct Hold {
    /// The lane.
    pub lane: Lane,
    /// The topic that it reads.
    pub topic: TopicIdentity,
    /// The claim; none: it must be taken again.
    pub grip: Option<Grip>,
    written: Timestamp,
    /// The case for which it stands still, once that is durable.
    told: Option<String>,
    /// What went aside lately.
    flood: Flood,
}

impl Hold {
    /// Takes a lane. One that was never read gets its start, durably.
    ///
    /// # Errors
    /// The ports'. After `Unknown` the lane may be taken and started; take it again.
    pub async fn take<S: Store, L: Log, C: Clock>(
        ports: Ports<'_, S, L, C>,
        intake: &Intake,
        lane: Lane,
        start: Start,
        digest_epoch: u32,
        force: bool,
    ) -> Result<Take<Hold>, PortError> {
        debug_assert_eq!(lane.subscription, intake.subscription, "a lane is read for its own subscription");
        Hold::take_for(ports, Some(intake), lane, start, digest_epoch, force).await
    }

    /// Takes a lane of errands, which no ledger is kept of. One that was never read begins with the oldest record, durably.
    ///
    /// # Errors
    /// As for `take`.
    pub async fn begin<S: Store, L: Log, C: Clock>(
        ports: Ports<'_, S, L, C>,
        lane: Lane,
    ) -> Result<Take<Hold>, PortError> {
        Hold::take_for(ports, None, lane, Start::Oldest, NOT_DIGESTED, false).await
    }

    async fn take_for<S: Store, L: Log, C: Clock>(
        ports: Ports<'_, S, L, C>,
        intake: Option<&Intake>,
        lane: Lane,
        start: Start,
        digest_epoch: u32,
        force: bool,
    ) -> Result<Take<Hold>, PortError> {
        let Some(topic) = ports.log.topic(&lane.topic).await? else { return Ok(Take::NoTopic) };
        let now = ports.clock.now();
        let lineage = intake.and_then(|intake| intake.lineage.as_deref());
        let admitted = match lineage {
            Some(lineage) => admit(ports, lineage, &lane, force).await?,
            None => Some(false),
        };
        let Some(is_next) = admitted else {
            return Ok(Take::Busy { until: now.saturating_add(SHUT).unwrap_or(Timestamp::MAX) });
        };
        let grip = match ports.store.grip(&lane, ports.holder, now, ports.ttl, force).await? {
            Gripped::Held(grip) => grip,
            Gripped::Busy { until } => return Ok(Take::Busy { until }),
        };
        let mut hold = Hold::held(lane, topic, grip.clone(), now);
        match &grip.state.position {
            Some(position) if position.is_in(&hold.topic) => Ok(Take::Held(hold)),
            Some(_) if lineage.is_some_and(|it| it.left_for(&grip.state).is_some()) => {
                let is_former = lineage.is_some_and(Lineage::is_former);
                take_left(ports, hold, is_former, force).await
            }
            Some(_) => {
                let is_state = intake.is_some_and(|intake| reads_state(intake, &hold.lane));
                let case = other_topic(&hold.lane, is_state);
                Ok(match hold.stop(ports, case).await? {
                    Step::Stopped(case) => Take::Stopped(case),
                    _ => Take::Busy { until: now },
                })
            }
            None => {
                let Some((oldest, end)) = ports.log.ends(&hold.topic, hold.lane.partition).await? else {
                    return Ok(Take::NoTopic);
                };
                let offset = if start == Start::End && !is_next { end } else { oldest };
                let lanes = ports.store.lanes(&hold.lane.subscription).await?;
                let is_moved = intake.is_some_and(|intake| moved(intake, &hold.lane, &lanes));
                let epoch = if is_moved { NO_EPOCH } else { digest_epoch };
                let batch = hold.batch(hold.first(offset, end, epoch));
                Ok(match hold.commit(ports, None, batch).await? {
                    Committed::Done => Take::Held(hold),
                    Committed::Fenced => Take::Busy { until: now },
                })
            }
        }
    }

    /// Returns the hold on a lane that was taken.
    pub fn held(lane: Lane, topic: TopicIdentity, grip: Grip, written: Timestamp) -> Hold {
        Hold { lane, topic, grip: Some(grip), written, told: None, flood: Flood::default() }
    }

    /// Returns the state of a lane that begins at an offset of its topic.
    pub fn first(&self, offset: u64, end: u64, digest_epoch: u32) -> LaneState {
        LaneState {
            position: Some(Position {
                cluster: self.topic.cluster.clone(),
                topic_id: self.topic.id.clone(),
                partition: self.lane.partition,
                leader_epoch: -1,
                offset,
            }),
            bootstrap_end: Some(end),
            sums: Sums::new(),
            digest_epoch,
            accounting: Accounting { from: offset, to: offset, ..Accounting::default() },
        }
    }

    /// Takes the lane again when it was lost. Returns what a step says instead when it cannot be had.
    ///
    /// # Errors
    /// The ports'; it is safe to repeat.
    pub async fn retake<S: Store, L: Log, C: Clock>(
        &mut self,
        ports: Ports<'_, S, L, C>,
        intake: &Intake,
        start: Start,
        digest_epoch: u32,
    ) -> Result<Option<Step>, PortError> {
        if self.grip.is_some() {
            return Ok(None);
        }
        Ok(match Hold::take(ports, intake, self.lane.clone(), start, digest_epoch, false).await? {
            Take::Held(hold) => {
                *self = Hold { flood: self.flood, ..hold };
                None
            }
            Take::Busy { until } => Some(Step::Busy { until }),
            Take::NoTopic => Some(Step::NoTopic),
            Take::Stopped(case) => Some(Step::Stopped(case)),
        })
    }

    /// Returns the lane's state as it is stored.
    ///
    /// # Panics
    /// When the lane is not held.
    pub fn state(&self) -> &LaneState {
        &self.grip.as_ref().expect("the lane is held").state
    }

    /// Returns the next offset to read.
    ///
    /// # Panics
    /// When the lane is not held.
    pub fn offset(&self) -> u64 {
        self.state().position.as_ref().expect("a held lane was started").offset
    }

    /// Returns whether the lane has read all that was there when it began.
    pub fn bootstrapped(&self) -> bool {
        self.state().bootstrap_end.is_none_or(|end| self.offset() >= end)
    }

    /// Returns a batch that changes the lane's state and nothing else.
    ///
    /// # Panics
    /// When the lane is not held.
    pub fn batch(&self, next: LaneState) -> Batch {
        let grip = self.grip.as_ref().expect("the lane is held");
        Batch {
            lane: self.lane.clone(),
            epoch: grip.epoch,
            expected: grip.state.position.clone(),
            next,
            rows: Vec::new(),
            ended: Vec::new(),
            purge: Vec::new(),
            restore: Vec::new(),
            chains: Vec::new(),
            inbox: Vec::new(),
            aside: Vec::new(),
            released: Vec::new(),
            received_aside: Vec::new(),
            set: None,
            cases: Vec::new(),
        }
    }

    /// Writes a batch. Whatever the answer, the grip afterwards says what is known.
    ///
    /// # Errors
    /// The store's. After `Unknown` the lane is not held: take it again, and go on from what it says.
    pub async fn commit<S: Store, L: Log, C: Clock>(
        &mut self,
        ports: Ports<'_, S, L, C>,
        projection: Option<&Projection>,
        batch: Batch,
    ) -> Result<Committed, PortError> {
        let now = ports.clock.now();
        let answer = ports.store.commit(projection, &batch, now, ports.ttl).await;
        self.answered(&answer, batch, now);
        answer
    }

    /// Writes a batch with rows whose markers were not read. Returns none when nothing was written, since one of them may
    /// be there.
    ///
    /// # Errors
    /// As for `commit`.
    pub async fn commit_unread<S: Store, L: Log, C: Clock>(
        &mut self,
        ports: Ports<'_, S, L, C>,
        projection: &Projection,
        batch: Batch,
    ) -> Result<Option<Committed>, PortError> {
        let now = ports.clock.now();
        let Some(answer) = ports.store.commit_unread(projection, &batch, now, ports.ttl).await.transpose()
        else {
            return Ok(None);
        };
        self.answered(&answer, batch, now);
        answer.map(Some)
    }

    fn answered(&mut self, answer: &Result<Committed, PortError>, batch: Batch, now: Timestamp) {
        match answer {
            Ok(Committed::Done) => {
                self.written = now;
                if let Some(grip) = &mut self.grip {
                    grip.state = batch.next;
                }
            }
            Ok(Committed::Fenced) | Err(PortError::Unknown(_)) => self.grip = None,
            Err(PortError::NotApplied(_)) => {}
        }
    }

    /// Stands still as long as too much went aside lately. Returns what a step says instead.
    ///
    /// # Errors
    /// As for `commit`.
    pub async fn breaker<S: Store, L: Log, C: Clock>(
        &mut self,
        ports: Ports<'_, S, L, C>,
        intake: &Intake,
    ) -> Result<Option<Step>, PortError> {
        if self.flood.rests(ports.clock.now()).is_none() {
            return Ok(None);
        }
        let case = lane_case(intake, &self.lane);
        self.stop(ports, case).await.map(Some)
    }

    /// Counts what went aside.
    pub fn went_aside(&mut self, now: Timestamp, records: u64) {
        self.flood.count(now, records);
    }

    /// Raises a case under the grip, once as long as the lane is held, and leaves the lane where it is.
    ///
    /// # Errors
    /// As for `commit`.
    pub async fn stop<S: Store, L: Log, C: Clock>(
        &mut self,
        ports: Ports<'_, S, L, C>,
        case: NewCase,
    ) -> Result<Step, PortError> {
        if self.told.as_ref() == Some(&case.fingerprint) {
            return self.renew(ports, Step::Stopped(Box::new(case))).await;
        }
        let mut batch = self.batch(self.state().clone());
        batch.cases.push(case.clone());
        Ok(match self.commit(ports, None, batch).await? {
            Committed::Done => {
                self.told = Some(case.fingerprint.clone());
                Step::Stopped(Box::new(case))
            }
            Committed::Fenced => Step::Fenced,
        })
    }

    /// Prolongs the lease once half of it is over; an idle lane stays ours.
    ///
    /// # Errors
    /// As for `commit`.
    pub async fn renew<S: Store, L: Log, C: Clock>(
        &mut self,
        ports: Ports<'_, S, L, C>,
        idle: Step,
    ) -> Result<Step, PortError> {
        let age = Duration::try_from(ports.clock.now().duration_since(self.written)).unwrap_or(ports.ttl);
        if age < ports.ttl / 2 {
            return Ok(idle);
        }
        let batch = self.batch(self.state().clone());
        Ok(match self.commit(ports, None, batch).await? {
            Committed::Done => idle,
            Committed::Fenced => Step::Fenced,
        })
    }
}

/// Keeps lanes ours while something is read for long. Returns why not, once another took one.
///
/// # Errors
/// As for `Hold::commit`.
///
/// # Panics
/// When one of them is not held.
pub async fn keep<S: Store, L: Log, C: Clock>(
    ports: Ports<'_, S, L, C>,
    holds: &mut [Hold],
) -> Result<Option<String>, PortError> {
    for hold in holds {
        if hold.renew(ports, Step::Idle).await? == Step::Fenced {
            return Ok(Some(lost(hold)));
        }
    }
    Ok(None)
}

/// Says that a lane was taken while it was needed.
pub fn lost(hold: &Hold) -> String {
    format!("partition {} was taken by another meanwhile", hold.lane.partition)
}

/// Returns when the first of some records was written at its source, as its header says.
pub fn written_first(records: &[Incoming]) -> Option<Timestamp> {
    std::str::from_utf8(records.first()?.headers.get(envelope::TIME)?).ok()?.parse().ok()
}

/// Returns the details of a case about a lane: its topic and partition, and more facts.
pub fn details(lane: &Lane, more: &[(&str, String)]) -> String {
    let mut facts = serde_json::Map::new();
    facts.insert("topic".to_owned(), lane.topic.clone().into());
    facts.insert("partition".to_owned(), lane.partition.into());
    for (name, fact) in more {
        facts.insert((*name).to_owned(), fact.clone().into());
    }
    serde_json::Value::Object(facts).to_string()
}

/// Adds a case to those of a batch, once for each fingerprint.
pub fn raise(cases: &mut Vec<NewCase>, case: NewCase) {
    if !cases.iter().any(|raised| raised.fingerprint == case.fingerprint) {
        cases.push(case);
    }
}
