//! Moving a subscription from one generation of its topics to another: the former ones are read to where the one that is
//! read begins, and left for good; only then is that one begun.
//!
//! A relay writes a row to all generations that are alive in one append. So whatever a former generation holds behind the
//! first record of the next is in the next as well, and whatever lies before it is passed before the next is begun. A lane
//! that left says so by its position, which then names the topic that is read instead: nothing can be written under a
//! position of before, whoever still believes that it holds the lane.

use crate::clock::Clock;
use crate::hold::{Hold, NO_EPOCH, Ports, Take};
use crate::intake::Intake;
use crate::log::{Incoming, Log};
use crate::port::PortError;
use crate::stop;
use crate::store::{Committed, Lane, LaneState, Store};
use crate::sweep::Sweep;
use jiff::Timestamp;
use seamline_contract::channel::{ChannelId, ChannelKind, generation_topic};
use seamline_contract::environment::Generations;
use seamline_contract::id::ContractName;
use seamline_message::envelope::Envelope;
use seamline_message::key::RecordKey;
use seamline_message::mutant::{self, Mutant};
use seamline_message::sequence::Sequence;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a lane rests that must not be taken yet, or not any more.
pub const SHUT: Duration = Duration::from_secs(1);

/// How many records are looked at together.
const PAGE: usize = 200;

/// How long a lane reads on between two looks at whether the next generation has begun.
const LOOK: Duration = Duration::from_millis(200);

/// The topics of one generation, as far as a subscription reads them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generation {
    /// Its number.
    pub number: u32,
    /// The topic of its reactions.
    pub events: Option<String>,
    /// The topic of its projection.
    pub state: Option<String>,
}

impl Generation {
    fn topics(&self) -> impl Iterator<Item = &String> {
        self.events.iter().chain(&self.state)
    }

    fn topic(&self, kind: ChannelKind) -> Option<&String> {
        match kind {
            ChannelKind::Events => self.events.as_ref(),
            ChannelKind::State => self.state.as_ref(),
        }
    }
}

/// All generations of what a subscription reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lineage {
    /// The one of these topics.
    pub own: u32,
    /// The one that is to be read.
    pub read: u32,
    /// All that there ever were, by number.
    pub all: Vec<Generation>,
}

impl Lineage {
    /// Returns whether these topics are read only to where the next begin.
    pub fn is_former(&self) -> bool {
        self.own != self.read
    }

    fn of(&self, number: u32) -> Option<&Generation> {
        self.all.iter().find(|it| it.number == number)
    }

    fn kind_of(&self, topic: &str) -> Option<ChannelKind> {
        let own = self.of(self.own)?;
        let kinds = [ChannelKind::Events, ChannelKind::State];
        kinds.into_iter().find(|kind| own.topic(*kind).is_some_and(|it| it == topic))
    }

    /// Returns the topics of the other generations that carry what a topic carries, with their numbers.
    fn others(&self, topic: &str) -> Vec<(u32, &String)> {
        let Some(kind) = self.kind_of(topic) else { return Vec::new() };
        let others = self.all.iter().filter(|it| it.number != self.own);
        others.filter_map(|it| Some((it.number, it.topic(kind)?))).collect()
    }

    /// Returns the topic for which a lane was left; none where it was not.
    pub fn left_for<'s>(&self, state: &'s LaneState) -> Option<&'s str> {
        let named = state.position.as_ref()?.topic_id.as_str();
        self.all.iter().flat_map(Generation::topics).any(|topic| topic == named).then_some(named)
    }

    /// Returns whether a lane has a position and did not leave it.
    pub fn is_read(&self, state: &LaneState) -> bool {
        state.position.is_some() && self.left_for(state).is_none()
    }
}

impl Intake {
    /// Returns it with the topics of the generation that is read, and of each other one what is still to be read of it.
    #[must_use]
    pub fn in_generations(mut self, template: &str, said: &Generations) -> Intake {
        let topic = |kind: ChannelKind, number: u32| {
            let channel = ChannelId { view: self.view.clone(), kind };
            generation_topic(template, &self.contract, &channel, number)
        };
        let generation = |number: u32| Generation {
            number,
            events: self.events.is_some().then(|| topic(ChannelKind::Events, number)),
            state: self.state.is_some().then(|| topic(ChannelKind::State, number)),
        };
        let all: Vec<Generation> = (1..=said.highest()).map(generation).collect();
        let with = |number: u32| {
            let mut intake = self.clone();
            let lineage = Lineage { own: number, read: said.read, all: all.clone() };
            let own = lineage.of(number).cloned().expect("the one that is read is one of all");
            if let (Some(events), Some(topic)) = (&mut intake.events, own.events) {
                events.topic = topic;
            }
            if let (Some(state), Some(topic)) = (&mut intake.state, own.state) {
                state.topic = topic;
            }
            intake.lineage = Some(Box::new(lineage));
            intake
        };
        let former = all.iter().filter(|it| it.number != said.read).map(|it| with(it.number)).collect();
        self = with(said.read);
        self.former = former;
        self
    }

    /// Returns it as the topic of a lane is read: with the topics of that one's generation.
    pub fn of_topic(&self, topic: &str) -> &Intake {
        let has = |intake: &&Intake| {
            let state = intake.state.as_ref().map(|state| &state.topic);
            state.into_iter().chain(intake.events.as_ref().map(|events| &events.topic)).any(|it| it == topic)
        };
        self.former.iter().find(has).unwrap_or(self)
    }

    /// Returns whether its topics began while their chains were under way: a later generation, whose first event of a key names
    /// one that only the former holds.
    pub fn begins_midway(&self) -> bool {
        self.lineage.as_ref().is_some_and(|lineage| lineage.own > 1)
    }
}

/// Returns whether a lane may be taken: of the generation that is read, once the lanes of all others were left; of another,
/// until it was left, if it was ever read. `stored` are the lanes of the subscription.
async fn is_open<L: Log>(
    log: &L,
    lineage: &Lineage,
    lane: &Lane,
    stored: &[(Lane, LaneState)],
) -> Result<bool, PortError> {
    let here = stored.iter().find(|(there, _)| there == lane).map(|(_, state)| state);
    let of = |topic: &str| -> Vec<&LaneState> {
        let lanes = stored.iter().filter(|(there, state)| there.topic == topic && state.position.is_some());
        lanes.map(|(_, state)| state).collect()
    };
    if lineage.is_former() {
        let is_left = here.is_some_and(|state| lineage.left_for(state).is_some());
        return Ok(!is_left && !of(&lane.topic).is_empty());
    }
    if here.is_some_and(|state| lineage.is_read(state)) {
        return Ok(true);
    }
    for (_, topic) in lineage.others(&lane.topic) {
        let lanes = of(topic);
        if lanes.iter().any(|state| lineage.is_read(state)) {
            return Ok(false);
        }
        if lanes.is_empty() {
            continue;
        }
        let partitions = log.topic(topic).await?.map_or(0, |topic| topic.partitions as usize);
        if lanes.len() < partitions {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Returns whether a lane may be taken, and if so, whether another generation of its topic was read before. `force` takes one that was
/// left, since what still waits in quarantine of it can be treated.
pub(crate) async fn admit<S: Store, L: Log, C: Clock>(
    ports: Ports<'_, S, L, C>,
    lineage: &Lineage,
    lane: &Lane,
    force: bool,
) -> Result<Option<bool>, PortError> {
    let stored = ports.store.lanes(&lane.subscription).await?;
    let left = |it: &(Lane, LaneState)| it.0 == *lane && lineage.left_for(&it.1).is_some();
    let treats = force && lineage.is_former() && stored.iter().any(left);
    let is_admitted = treats || is_open(ports.log, lineage, lane, &stored).await?;
    Ok(is_admitted.then(|| is_heir(lineage, lane, &stored)))
}

/// Takes a lane that was left and is gripped: of the generation that is read it goes on from where it was left, since what came
/// meanwhile was read elsewhere, or comes again.
pub(crate) async fn take_left<S: Store, L: Log, C: Clock>(
    ports: Ports<'_, S, L, C>,
    mut hold: Hold,
    is_former: bool,
    force: bool,
) -> Result<Take<Hold>, PortError> {
    let until = ports.clock.now();
    if is_former {
        return Ok(if force { Take::Held(hold) } else { Take::Busy { until } });
    }
    let Some((_, end)) = ports.log.ends(&hold.topic, hold.lane.partition).await? else {
        return Ok(Take::NoTopic);
    };
    let accounting = hold.state().accounting;
    let next = LaneState { accounting, ..hold.first(hold.offset(), end, NO_EPOCH) };
    let batch = hold.batch(next);
    Ok(match hold.commit(ports, None, batch).await? {
        Committed::Done => Take::Held(hold),
        Committed::Fenced => Take::Busy { until },
    })
}

/// Returns whether a subscription reads on from another generation of a topic: it was read there before.
fn is_heir(lineage: &Lineage, lane: &Lane, stored: &[(Lane, LaneState)]) -> bool {
    let others = lineage.others(&lane.topic);
    let is_other = |there: &Lane| others.iter().any(|(_, topic)| **topic == there.topic);
    stored.iter().any(|(there, state)| is_other(there) && state.position.is_some())
}

/// What the holder of a lane knows of the generation that comes after.
#[derive(Debug, Clone, Default)]
pub struct Passing {
    /// The end that it must reach: seen after the next generation was seen to have begun.
    end: Option<u64>,
    looked: Option<Timestamp>,
}

/// Leaves a lane of a former generation, once it read all that the next one may lack and nothing of it waits in quarantine.
/// Returns whether it was left: it is not held any more then.
///
/// # Errors
/// The ports'; it is safe to repeat.
///
/// # Panics
/// When the subscription has no generations.
pub async fn leave<S: Store, L: Log, C: Clock>(
    ports: Ports<'_, S, L, C>,
    intake: &Intake,
    hold: &mut Hold,
    passing: &mut Passing,
) -> Result<bool, PortError> {
    let lineage = intake.lineage.as_ref().expect("a former generation has a lineage");
    let next = lineage.of(lineage.read).expect("the one that is read is one of all");
    let kind = lineage.kind_of(&hold.lane.topic).expect("the lane is one of its own topics");
    let (Some(topic), true) = (next.topic(kind), hold.grip.is_some()) else { return Ok(false) };
    let end = match passing.end {
        Some(end) => end,
        None => {
            let now = ports.clock.now();
            if passing.looked.is_some_and(|at| now.duration_since(at).unsigned_abs() < LOOK) {
                return Ok(false);
            }
            passing.looked = Some(now);
            if !has_begun(ports.log, &intake.contract.name, next).await? {
                return Ok(false);
            }
            // Invariant: only an end that is asked for after the next generation was seen lies behind all that it lacks.
            let Some((_, end)) = ports.log.ends(&hold.topic, hold.lane.partition).await? else {
                return Ok(false);
            };
            *passing.end.insert(end)
        }
    };
    if hold.offset() < end && !mutant::is(Mutant::GenerationLeftEarly) {
        return Ok(false);
    }
    if waits(ports.store, &hold.lane).await? {
        return Ok(false);
    }
    stop::here("generation-passed");
    let mut after = hold.state().clone();
    if let Some(position) = &mut after.position {
        position.topic_id.clone_from(topic);
    }
    let batch = hold.batch(after);
    let left = hold.commit(ports, None, batch).await? == Committed::Done;
    stop::here("generation-left");
    hold.grip = None;
    Ok(left)
}

/// Returns whether a record of a key waits in quarantine. One that is nobody's stands in no order, and may stay.
async fn waits<S: Store>(store: &S, lane: &Lane) -> Result<bool, PortError> {
    let mut from = 0;
    loop {
        let page = store.aside_from(&lane.subscription, Some((lane, from)), PAGE).await?;
        let mut here = page.iter().filter(|record| record.lane == *lane);
        if here.clone().any(|record| record.key.is_some()) {
            return Ok(true);
        }
        match here.next_back() {
            Some(last) if page.len() == PAGE => from = last.offset + 1,
            _ => return Ok(false),
        }
    }
}

/// Returns whether a generation holds a message of the contract: what somebody else wrote there is no beginning.
async fn has_begun<L: Log>(
    log: &L,
    contract: &ContractName,
    generation: &Generation,
) -> Result<bool, PortError> {
    for name in generation.topics() {
        let Some(topic) = log.topic(name).await? else { continue };
        for partition in 0..topic.partitions {
            let mut sweep = Sweep::begin(log, &topic, partition).await?;
            if sweep.start > 0 {
                return Ok(true);
            }
            while let Some(records) = sweep.next(log, PAGE).await? {
                let is_ours = |record: &Incoming| {
                    Envelope::from_headers(&record.headers).is_ok_and(|it| it.contract.name == *contract)
                };
                if records.iter().any(is_ours) {
                    return Ok(true);
                }
            }
        }
    }
    Ok(false)
}

/// Returns the last sequences of keys that were seen on other generations of a lane's topic. A lane that was left and is read again
/// knows less of a key than another may.
///
/// # Errors
/// The store's.
pub async fn seen_elsewhere<S: Store>(
    store: &S,
    intake: &Intake,
    lane: &Lane,
    keys: &[RecordKey],
) -> Result<BTreeMap<RecordKey, Sequence>, PortError> {
    let mut found: BTreeMap<RecordKey, Sequence> = BTreeMap::new();
    let Some(lineage) = &intake.lineage else { return Ok(found) };
    let lanes = store.lanes(&lane.subscription).await?;
    for (_, topic) in lineage.others(&lane.topic) {
        let there = lanes.iter().filter(|(there, state)| &there.topic == topic && state.position.is_some());
        let partitions = there.count();
        let Some(partitions) = u32::try_from(partitions).ok().filter(|it| *it > 0) else { continue };
        let mut by_partition: BTreeMap<u32, Vec<RecordKey>> = BTreeMap::new();
        for key in keys {
            by_partition.entry(intake.codec.partition(key, partitions)).or_default().push(key.clone());
        }
        for (partition, keys) in by_partition {
            let there = intake.lane(topic, partition);
            for (key, (sequence, _)) in keys.iter().zip(store.chains(&there, &keys).await?) {
                if let Some(sequence) = sequence {
                    let last = found.entry(key.clone()).or_insert(sequence);
                    *last = sequence.max(*last);
                }
            }
        }
    }
    Ok(found)
}
