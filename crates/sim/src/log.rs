//! The simulated log: partitions, transactions with holes, fences, compaction, records of nobody's.

use crate::fault::Fault;
use crate::world::World;
use jiff::{SignedDuration, Timestamp};
use seamline_flow::log::{Appended, Cleanup, Fence, Fetch, Fetched, Incoming, Log, Outgoing, TopicSpec};
use seamline_flow::port::PortError;
use seamline_flow::position::TopicIdentity;
use seamline_message::key::RecordKey;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

/// The simulated log.
#[derive(Debug)]
pub struct SimLog {
    world: Arc<World>,
    state: Mutex<State>,
    is_silent: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    topics: BTreeMap<String, Topic>,
    made: u64,
    epochs: BTreeMap<String, u64>,
    /// What is handed over instead of records, by topic, partition and offset.
    tampered: BTreeMap<(String, u32, u64), Option<Incoming>>,
}

#[derive(Debug)]
struct Topic {
    id: String,
    spec: TopicSpec,
    partitions: Vec<Partition>,
    /// An old record lies behind a newer one: compaction would make the loss final.
    disordered: bool,
}

#[derive(Debug, Default)]
struct Partition {
    records: Vec<Incoming>,
    next: u64,
    /// When compaction first saw a tombstone, by its offset.
    horizons: BTreeMap<u64, Timestamp>,
}

impl SimLog {
    /// Returns a log without topics.
    pub fn new(world: &Arc<World>) -> SimLog {
        SimLog { world: Arc::clone(world), state: Mutex::default(), is_silent: AtomicBool::new(false) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no actor panics while it holds the log")
    }

    /// Hands over nothing of the first partition of any topic, or all again: as a broker does that has no time.
    pub fn silence(&self, is_silent: bool) {
        self.is_silent.store(is_silent, Ordering::SeqCst);
    }

    /// Hands over the last record of a key no more, or with another content. Returns whether there is one.
    pub fn tamper(&self, topic: &str, key: &RecordKey, alters: bool) -> bool {
        let mut state = self.state();
        let Some(found) = state.topics.get(topic) else { return false };
        let of_key = |record: &&Incoming| record.key.as_deref() == Some(key.as_bytes());
        let last = found.partitions.iter().zip(0..).find_map(|(partition, number)| {
            let record = partition.records.iter().rev().find(of_key)?;
            Some((number, record.clone()))
        });
        let Some((partition, mut record)) = last else { return false };
        let place = (topic.to_owned(), partition, record.offset);
        let instead = alters.then(|| {
            record.value = record.value.map(|value| altered(&value));
            record
        });
        state.tampered.insert(place, instead);
        true
    }

    /// Hands over all records again as they are.
    pub fn honest(&self) {
        self.state().tampered.clear();
    }

    /// Deletes a topic. Returns whether it was there.
    pub fn delete(&self, topic: &str) -> bool {
        self.state().topics.remove(topic).is_some()
    }

    /// Returns all records of a topic, by partition; what was compacted is not among them.
    pub fn records(&self, topic: &str) -> Vec<Vec<Incoming>> {
        let state = self.state();
        let partitions = state.topics.get(topic).map_or(&[][..], |topic| &topic.partitions);
        partitions.iter().map(|partition| partition.records.clone()).collect()
    }

    /// Appends a record as somebody else would, under no fence.
    pub fn inject(&self, record: Outgoing, disordered: bool) {
        let now = self.world.now();
        let mut state = self.state();
        let topic = state.topics.get_mut(&record.topic).expect("faults hit topics that are there");
        topic.disordered |= disordered;
        let partition = &mut topic.partitions[record.partition as usize];
        partition.push(record, now);
    }

    /// Compacts a topic as far as its promises allow. Returns how many records went.
    pub fn compact(&self, topic: &str) -> usize {
        let now = self.world.now();
        let mut gone = (0, 0);
        if let Some(topic) = self.state().topics.get_mut(topic)
            && let Cleanup::Compact { tombstones, min_lag, .. } = topic.spec.cleanup
            && !topic.disordered
        {
            for partition in &mut topic.partitions {
                let (records, ended) = partition.compact(now, tombstones, min_lag);
                gone = (gone.0 + records, gone.1 + ended);
            }
        }
        for (times, fault) in [(gone.0, Fault::Compaction), (gone.1, Fault::TombstoneRemoval)] {
            (0..times).for_each(|_| self.world.fired(fault));
        }
        gone.0 + gone.1
    }

    fn append_now(&self, fence: &Fence, records: Vec<Outgoing>) -> Appended {
        let now = self.world.now();
        let mut state = self.state();
        if state.epochs.get(&fence.producer) != Some(&fence.epoch) {
            self.world.fired(Fault::ZombieAppend);
            return Appended::Fenced;
        }
        let missing = records.iter().find(|record| {
            let topic = state.topics.get(&record.topic);
            topic.is_none_or(|topic| record.partition >= topic.spec.partitions)
        });
        if let Some(record) = missing {
            return Appended::Refused {
                topic: record.topic.clone(),
                reason: "there is no such place".to_owned(),
            };
        }
        let places: BTreeSet<(String, usize)> =
            records.iter().map(|record| (record.topic.clone(), record.partition as usize)).collect();
        for record in records {
            let topic = state.topics.get_mut(&record.topic).expect("it was found above");
            let partition = record.partition as usize;
            topic.partitions[partition].push(record, now);
        }
        // The marker of the transaction, and now and then an aborted one, are offsets that nobody sees.
        for (topic, partition) in places {
            let holes = 1 + self.world.dice(|dice| if dice.chance(200) { dice.below(4) } else { 0 });
            self.world.fired(Fault::Hole);
            let topic = state.topics.get_mut(&topic).expect("it was found above");
            topic.partitions[partition].next += holes as u64;
        }
        Appended::Done
    }

    fn fetch_now(&self, topic: &TopicIdentity, partition: u32, from: u64, limit: usize) -> Fetched {
        let state = self.state();
        let found = state.topics.get(&topic.name).filter(|found| found.id == topic.id);
        let Some(place) = found.and_then(|found| found.partitions.get(partition as usize)) else {
            return Fetched::NoTopic;
        };
        let (start, end) = (0, place.next);
        if from > end {
            return Fetched::OutOfRange { start, end };
        }
        if partition == 0 && self.is_silent.load(Ordering::SeqCst) {
            return Fetched::Records(Fetch { records: Vec::new(), next: from, start, end });
        }
        let limit =
            if self.world.is_calm() { limit } else { limit.min(1 + self.world.dice(|dice| dice.below(6))) };
        let later = place.records.iter().filter(|record| record.offset >= from);
        let mut records: Vec<Incoming> = later.take(limit + 1).cloned().collect();
        let next = if records.len() > limit { records[limit].offset } else { end };
        records.truncate(limit);
        let instead = |record: Incoming| {
            let place = (topic.name.clone(), partition, record.offset);
            state.tampered.get(&place).cloned().unwrap_or(Some(record))
        };
        let records = records.into_iter().filter_map(instead).collect();
        Fetched::Records(Fetch { records, next, start, end })
    }
}

impl Partition {
    fn push(&mut self, record: Outgoing, now: Timestamp) {
        self.records.push(Incoming {
            offset: self.next,
            leader_epoch: 1,
            time: now,
            key: record.key,
            headers: record.headers,
            value: record.value,
            fault: None,
        });
        self.next += 1;
    }

    fn compact(
        &mut self,
        now: Timestamp,
        tombstones: std::time::Duration,
        min_lag: std::time::Duration,
    ) -> (usize, usize) {
        let span = |span| SignedDuration::try_from(span).unwrap_or(SignedDuration::MAX);
        let old = |record: &Incoming| now.duration_since(record.time) > span(min_lag);
        // The cleaner goes from the oldest on, and stops where a record is too young.
        let clean = self.records.iter().take_while(|record| old(record)).count();
        let mut last: BTreeMap<&[u8], u64> = BTreeMap::new();
        for record in &self.records[..clean] {
            if let Some(key) = &record.key {
                last.insert(key, record.offset);
            }
        }
        let last: BTreeSet<u64> = last.into_values().collect();
        let clean = self.records.get(clean).map_or(self.next, |record| record.offset);
        let (mut overtaken, mut ended) = (0, 0);
        let horizons = &mut self.horizons;
        self.records.retain(|record| {
            if record.offset >= clean {
                return true;
            }
            if !last.contains(&record.offset) {
                overtaken += 1;
                return false;
            }
            if record.value.is_some() {
                return true;
            }
            let seen = *horizons.entry(record.offset).or_insert(now);
            let stays = now.duration_since(seen) <= span(tombstones);
            ended += usize::from(!stays);
            stays
        });
        (overtaken, ended)
    }
}

impl Log for SimLog {
    async fn topic(&self, name: &str) -> Result<Option<TopicIdentity>, PortError> {
        let found = || {
            let state = self.state();
            state.topics.get(name).map(identity)
        };
        self.world.call("log.topic", found).await
    }

    async fn create(&self, spec: &TopicSpec) -> Result<TopicIdentity, PortError> {
        let make = || {
            let mut state = self.state();
            let id = format!("topic-{}", state.made);
            state.made += 1;
            let partitions = (0..spec.partitions).map(|_| Partition::default()).collect();
            let new = || Topic { id, spec: spec.clone(), partitions, disordered: false };
            identity(state.topics.entry(spec.name.clone()).or_insert_with(new))
        };
        self.world.call("log.create", make).await
    }

    async fn fence(&self, producer: &str) -> Result<Fence, PortError> {
        let raise = || {
            let mut state = self.state();
            let epoch = state.epochs.entry(producer.to_owned()).or_default();
            *epoch += 1;
            Fence { producer: producer.to_owned(), epoch: *epoch }
        };
        self.world.call("log.fence", raise).await
    }

    async fn append(&self, fence: &Fence, records: Vec<Outgoing>) -> Result<Appended, PortError> {
        self.world.call("log.append", || self.append_now(fence, records)).await
    }

    async fn fetch(
        &self,
        topic: &TopicIdentity,
        partition: u32,
        from: u64,
        limit: usize,
    ) -> Result<Fetched, PortError> {
        self.world.call("log.fetch", || self.fetch_now(topic, partition, from, limit)).await
    }

    async fn ends(&self, topic: &TopicIdentity, partition: u32) -> Result<Option<(u64, u64)>, PortError> {
        let found = || {
            let state = self.state();
            let found = state.topics.get(&topic.name).filter(|found| found.id == topic.id)?;
            Some((0, found.partitions.get(partition as usize)?.next))
        };
        self.world.call("log.ends", found).await
    }
}

/// Returns a state with another premium.
fn altered(value: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(value);
    let Some(at) = text.find("\"premium\":\"") else { return b"no state".to_vec() };
    let digits = at + "\"premium\":\"".len();
    format!("{}9{}", &text[..digits], &text[digits..]).into_bytes()
}

fn identity(topic: &Topic) -> TopicIdentity {
    TopicIdentity {
        cluster: "simulated".to_owned(),
        name: topic.spec.name.clone(),
        id: topic.id.clone(),
        partitions: topic.spec.partitions,
    }
}
