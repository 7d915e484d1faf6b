//! The port to the log on Apache Kafka.

use crate::answer::{Described, Failed, is_absent};
use crate::aside::Aside;
use crate::ends::KnownEnds;
use crate::open::{OpenError, PATIENCE};
use crate::producer::Handle;
use crate::properties::{Properties, Quiet, Reading, reading, serve, why};
use crate::raw;
use crate::reader::{Lost, Place, Reader, Readers, Unreadable, offsets};
use jiff::Timestamp;
use rdkafka::client::Client;
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use seamline_flow::log::{Appended, Fence, Fetch, Fetched, Log, Outgoing, TopicSpec};
use seamline_flow::port::{Cause, PortError};
use seamline_flow::position::TopicIdentity;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::OwnedMutexGuard;

/// How long a broker that lets nobody in is asked again: users and certificates take a moment to get to all brokers.
const DENIED: Duration = Duration::from_secs(3);
/// How long a reader that is far behind waits for more, so that it hands over much at once.
const GATHER: Duration = Duration::from_millis(5);

/// How long a read before the end waits for what is there.
const READ: Duration = Duration::from_secs(1);
/// How often ids of topics that are read are asked for again.
const TIDY: Duration = Duration::from_secs(1);
/// How long what was appended may be undecided: longer than a transaction lives.
const DECIDED: Duration = Duration::from_secs(40);
/// After so long without an answer of the broker, the end of a partition is not known any more.
const SILENT: Duration = Duration::from_secs(15);

/// What is known of a topic, and since when.
#[derive(Debug, Clone)]
struct Known {
    described: Option<Described>,
    /// When the broker was asked.
    at: Instant,
}

/// A topic, and what the broker says of it.
type Told = (String, Result<Option<Described>, Failed>);

struct Inner {
    properties: Properties,
    cluster: String,
    replicas: u32,
    /// Asks about topics and offsets, and makes topics.
    asking: Aside<Reading>,
    readers: Aside<Readers>,
    known: Mutex<BTreeMap<String, Known>>,
    /// One description of topics at a time: who comes meanwhile finds its answer there.
    describing: tokio::sync::Mutex<()>,
    producers: Mutex<BTreeMap<String, (u64, Handle)>>,
    /// Our own transactions, and what the broker said, are seen by whoever reads after them.
    ends: KnownEnds,
}

/// The log on Apache Kafka.
#[derive(Clone)]
pub struct KafkaLog(Arc<Inner>);

impl fmt::Debug for KafkaLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaLog").field("cluster", &self.0.cluster).finish_non_exhaustive()
    }
}

fn locked<T>(it: &Mutex<T>) -> MutexGuard<'_, T> {
    it.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the error of a call that had no effect.
pub(crate) fn not_applied(error: impl Into<Cause>) -> PortError {
    PortError::NotApplied(error.into())
}

/// Runs what may block.
async fn blocking<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> Result<T, PortError> {
    tokio::task::spawn_blocking(call).await.map_err(not_applied)
}

impl KafkaLog {
    /// Connects. Topics that are made get so many replicas.
    ///
    /// # Errors
    /// When the properties do not fit together, or no broker answers.
    pub async fn open(properties: &Properties, replicas: u32) -> Result<KafkaLog, OpenError> {
        let client = |error: KafkaError| {
            OpenError::Client(match error {
                KafkaError::ClientCreation(why) => why,
                error => error.to_string(),
            })
        };
        let properties = properties.clone();
        let opened = tokio::task::spawn_blocking(move || {
            let asking = reading(&properties).map_err(client)?;
            let begun = Instant::now();
            loop {
                serve(&asking);
                if let Some(cluster) = asking.client().fetch_cluster_id(Duration::from_millis(500)) {
                    return Ok((properties, asking, cluster));
                }
                serve(&asking);
                let error = why(asking.client().context().said(), &properties);
                let patience = if matches!(error, OpenError::Unreachable(_)) { PATIENCE } else { DENIED };
                if begun.elapsed() > patience {
                    return Err(error);
                }
            }
        });
        let (properties, asking, cluster) =
            opened.await.map_err(|error| OpenError::Client(error.to_string()))??;
        let inner = Arc::new(Inner {
            readers: Aside::new(Readers::new(properties.clone())),
            properties,
            cluster,
            replicas: replicas.max(1),
            asking: Aside::new(asking),
            known: Mutex::default(),
            describing: tokio::sync::Mutex::default(),
            producers: Mutex::default(),
            ends: KnownEnds::default(),
        });
        let weak = Arc::downgrade(&inner);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(TIDY).await;
                let Some(inner) = weak.upgrade() else { return };
                inner.tidy().await;
            }
        });
        Ok(KafkaLog(inner))
    }

    /// Runs a call of the client that asks.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Client<Quiet>) -> T + Send + 'static,
    ) -> Result<T, PortError> {
        let inner = Arc::clone(&self.0);
        blocking(move || call(inner.asking.client())).await
    }

    pub(crate) fn replicas(&self) -> u32 {
        self.0.replicas
    }

    /// Returns the topic as the broker describes it now.
    pub(crate) async fn described(&self, name: &str) -> Result<Option<Described>, PortError> {
        Inner::described(&self.0, name, Instant::now()).await
    }

    /// Returns which of the topics of a transaction refuses it: the client names one, or all where the broker let none in
    /// because of one.
    async fn refusing(&self, topics: Vec<String>, named: String) -> Result<String, PortError> {
        if topics.contains(&named) {
            return Ok(named);
        }
        let told = self.0.describe(topics).await?;
        let closed = told.into_iter().find(|(_, described)| match described {
            Ok(described) => described.as_ref().is_none_or(|topic| !topic.may_write),
            Err(_) => true,
        });
        Ok(closed.map_or(named, |(topic, _)| topic))
    }

    fn identity(&self, name: &str, described: Described) -> TopicIdentity {
        let cluster = self.0.cluster.clone();
        TopicIdentity { cluster, name: name.to_owned(), id: described.id, partitions: described.partitions }
    }
}

/// The broker is silent for longer than a caller should believe what it said last.
#[derive(Debug, thiserror::Error)]
#[error("no broker of Kafka has answered for {} seconds", SILENT.as_secs())]
struct Silent;

impl Inner {
    /// Returns what is known of a topic, asked for at that moment or later.
    async fn described(it: &Arc<Inner>, name: &str, since: Instant) -> Result<Option<Described>, PortError> {
        let of = |known: &BTreeMap<String, Known>| known.get(name).filter(|known| known.at >= since).cloned();
        let _one = it.describing.lock().await;
        if let Some(known) = of(&locked(&it.known)) {
            return Ok(known.described);
        }
        let told = it.describe(vec![name.to_owned()]).await?.pop();
        told.expect("each topic that is asked for is told").1.map_err(not_applied)
    }

    /// Asks about topics, and tells of each in the order asked for; an error where we may not see it.
    async fn describe(self: &Arc<Inner>, names: Vec<String>) -> Result<Vec<Told>, PortError> {
        let it = Arc::clone(self);
        let at = Instant::now();
        let told = blocking(move || {
            let asked: Vec<&str> = names.iter().map(String::as_str).collect();
            let told = raw::describe(it.asking.client(), &asked, PATIENCE)?;
            let told: Vec<Told> = names.into_iter().zip(told).collect();
            for (name, described) in &told {
                if let Ok(described) = described {
                    it.learn(name.clone(), Known { described: described.clone(), at });
                }
            }
            Ok::<_, Failed>(told)
        });
        told.await?.map_err(not_applied)
    }

    /// Takes over what the broker says of a topic: one made anew has no readers and no end that we know.
    fn learn(&self, name: String, now: Known) {
        let id = now.described.as_ref().map(|topic| topic.id.clone());
        let before = locked(&self.known).insert(name.clone(), now).and_then(|known| known.described);
        if before.is_some_and(|before| Some(before.id) != id) {
            self.ends.forget(&name);
            self.readers.close_others(&name, id.as_deref());
        }
    }

    async fn tidy(self: &Arc<Inner>) {
        let it = Arc::clone(self);
        let topics = blocking(move || {
            serve(&it.asking);
            it.readers.tidy()
        });
        let Ok(mut topics) = topics.await else { return };
        // Also those that are written: one that went away refuses the next append at once.
        topics.extend(locked(&self.known).keys().cloned());
        topics.sort();
        topics.dedup();
        if !topics.is_empty() {
            let _one = self.describing.lock().await;
            match self.describe(topics).await {
                Ok(told) => {
                    for (topic, described) in told {
                        if let Err(error) = described {
                            tracing::debug!(topic, %error, "a topic could not be described");
                        }
                    }
                }
                Err(error) => tracing::debug!(%error, "topics could not be described"),
            }
        }
    }

    /// Makes a reader, or says why there is none.
    async fn reader(
        self: &Arc<Inner>,
        place: &Place,
        at: u64,
    ) -> Result<Result<OwnedMutexGuard<Reader>, Fetched>, PortError> {
        let topic = Inner::described(self, &place.topic, Instant::now()).await?;
        if !topic.is_some_and(|topic| topic.id == place.id && place.partition < topic.partitions) {
            return Ok(Err(Fetched::NoTopic));
        }
        let (it, place) = (Arc::clone(self), place.clone());
        let made = blocking(move || {
            let offsets = offsets(it.asking.client(), &place, PATIENCE);
            let (start, end) = offsets.map_err(Lost::Failed)?;
            let end = end.max(it.ends.of(&place));
            if at < start || at > end {
                return Ok(Err(Fetched::OutOfRange { start, end }));
            }
            it.readers.make(&place, at, start, end).map(Ok)
        });
        match made.await? {
            Ok(made) => Ok(made),
            Err(Lost::Failed(failed)) if is_absent(failed.code) => Ok(Err(Fetched::NoTopic)),
            Err(Lost::Failed(failed)) => Err(not_applied(failed)),
            Err(Lost::Gone(code)) => Err(not_applied(KafkaError::MessageConsumption(code))),
        }
    }

    /// Takes what is there; waits for it before the end. Cancel safe: what was taken stays with the reader.
    async fn take_in(&self, place: &Place, reader: &mut Reader, limit: usize) -> Result<(), Lost> {
        let until = Instant::now() + READ;
        let (mut wait, mut grown) = (Duration::from_micros(500), Instant::now());
        loop {
            let before = reader.pending();
            reader.take_in(limit)?;
            if reader.wants(limit, before) {
                grown = Instant::now();
                tokio::task::yield_now().await;
                continue;
            }
            if reader.is_catching_up(limit) && grown.elapsed() < GATHER {
                tokio::time::sleep(Duration::from_micros(500)).await;
                continue;
            }
            if reader.has_news(self.ends.of(place)) || Instant::now() > until {
                return Ok(());
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(Duration::from_millis(8));
        }
    }

    /// Returns whether a topic is still the same, asked after what was taken from it was taken.
    async fn is_same(self: &Arc<Inner>, place: &Place, has_records: bool) -> Result<bool, PortError> {
        let now = Instant::now();
        let since = if has_records { now } else { now.checked_sub(SILENT).unwrap_or(now) };
        let known = locked(&self.known).get(&place.topic).filter(|known| known.at >= since).cloned();
        let described = match known {
            Some(known) => known.described,
            None if has_records => Inner::described(self, &place.topic, since).await?,
            None => return Err(not_applied(Silent)),
        };
        Ok(described.is_some_and(|topic| topic.id == place.id))
    }

    async fn end(self: &Arc<Inner>, place: &Place, reader: OwnedMutexGuard<Reader>) -> Result<(), PortError> {
        let (it, place) = (Arc::clone(self), place.clone());
        blocking(move || it.readers.end(&place, reader)).await
    }
}

impl Log for KafkaLog {
    async fn topic(&self, name: &str) -> Result<Option<TopicIdentity>, PortError> {
        let described = self.described(name).await?;
        Ok(described.map(|described| self.identity(name, described)))
    }

    async fn create(&self, spec: &TopicSpec) -> Result<TopicIdentity, PortError> {
        if let Some(topic) = self.topic(&spec.name).await? {
            return Ok(topic);
        }
        self.make_topic(spec).await?;
        let until = Instant::now() + PATIENCE;
        loop {
            // A broker learns of a topic a moment after the controller made it.
            if let Some(topic) = self.topic(&spec.name).await? {
                return Ok(topic);
            }
            if Instant::now() > until {
                return Err(PortError::Unknown(Box::new(KafkaError::AdminOp(
                    RDKafkaErrorCode::OperationTimedOut,
                ))));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn fence(&self, producer: &str) -> Result<Fence, PortError> {
        let handle = Handle::start(&self.0.properties, producer).await?;
        let mut producers = locked(&self.0.producers);
        let now = u64::try_from(Timestamp::now().as_microsecond()).unwrap_or(0);
        let epoch = producers.get(producer).map_or(now, |(before, _)| now.max(before + 1));
        producers.insert(producer.to_owned(), (epoch, handle));
        Ok(Fence { producer: producer.to_owned(), epoch })
    }

    async fn append(&self, fence: &Fence, records: Vec<Outgoing>) -> Result<Appended, PortError> {
        let handle = match locked(&self.0.producers).get(&fence.producer) {
            Some((epoch, handle)) if *epoch == fence.epoch => handle.clone(),
            _ => return Ok(Appended::Fenced),
        };
        // By topic, the highest partition.
        let mut topics: BTreeMap<String, u32> = BTreeMap::new();
        for record in &records {
            match topics.get_mut(&record.topic) {
                Some(highest) => *highest = record.partition.max(*highest),
                None => drop(topics.insert(record.topic.clone(), record.partition)),
            }
        }
        for (topic, highest) in &topics {
            let known = locked(&self.0.known).get(topic).and_then(|known| known.described.clone());
            let known = match known {
                Some(known) => Some(known),
                None => self.described(topic).await?,
            };
            let reason = match known {
                Some(known) if *highest < known.partitions => continue,
                Some(known) => format!("it has {} partitions, not {}", known.partitions, highest + 1),
                None => "there is no such topic".to_owned(),
            };
            return Ok(Appended::Refused { topic: topic.clone(), reason });
        }
        let (appended, ends) = match handle.append(records).await {
            Err(PortError::NotApplied(cause)) => {
                // What a topic that went away does to a transaction looks like a time-out: ask.
                for topic in topics.into_keys() {
                    if self.described(&topic).await?.is_none() {
                        return Ok(Appended::Refused { topic, reason: "there is no such topic".to_owned() });
                    }
                }
                return Err(PortError::NotApplied(cause));
            }
            answer => answer?,
        };
        let appended = match appended {
            Appended::Refused { topic, reason } => {
                let topic = self.refusing(topics.into_keys().collect(), topic).await?;
                locked(&self.0.known).remove(&topic);
                Appended::Refused { topic, reason }
            }
            appended => appended,
        };
        self.0.ends.learn(ends);
        Ok(appended)
    }

    async fn ends(&self, topic: &TopicIdentity, partition: u32) -> Result<Option<(u64, u64)>, PortError> {
        if topic.cluster != self.0.cluster || partition >= topic.partitions {
            return Ok(None);
        }
        let place = Place { id: topic.id.clone(), topic: topic.name.clone(), partition };
        let asked = place.clone();
        let listed = self.ask(move |client| offsets(client, &asked, PATIENCE)).await?;
        // Asked after the offsets: they are of this topic or of none.
        if !self.0.is_same(&place, true).await? {
            return Ok(None);
        }
        let (start, end) = listed.map_err(not_applied)?;
        self.0.ends.learn(BTreeMap::from([(place.topic, BTreeMap::from([(partition, end)]))]));
        Ok(Some((start, end)))
    }

    async fn decided(&self, topic: &TopicIdentity, partition: u32) -> Result<bool, PortError> {
        let place = Place { id: topic.id.clone(), topic: topic.name.clone(), partition };
        let asked = place.clone();
        let appended =
            self.ask(move |client| raw::appended(client, &asked.topic, partition, PATIENCE)).await?;
        let appended = appended.map_err(not_applied)?;
        let (until, mut wait) = (Instant::now() + DECIDED, Duration::from_millis(2));
        loop {
            let asked = place.clone();
            let ends = self.ask(move |client| offsets(client, &asked, PATIENCE)).await?;
            if ends.map_err(not_applied)?.1 >= appended {
                return Ok(true);
            }
            if Instant::now() > until {
                return Ok(false);
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(Duration::from_millis(100));
        }
    }

    async fn fetch(
        &self,
        topic: &TopicIdentity,
        partition: u32,
        from: u64,
        limit: usize,
    ) -> Result<Fetched, PortError> {
        if topic.cluster != self.0.cluster || partition >= topic.partitions {
            return Ok(Fetched::NoTopic);
        }
        let place = Place { id: topic.id.clone(), topic: topic.name.clone(), partition };
        let mut lost = None;
        for _ in 0..3 {
            let mut reader = match self.0.readers.find(&place, from) {
                Some(reader) => reader,
                None => match self.0.reader(&place, from).await? {
                    Ok(reader) => reader,
                    Err(answer) => return Ok(answer),
                },
            };
            match self.0.take_in(&place, &mut reader, limit).await {
                Ok(()) => {}
                Err(Lost::Gone(code)) => {
                    self.0.end(&place, reader).await?;
                    lost = Some(code);
                    continue;
                }
                Err(Lost::Failed(failed)) => {
                    self.0.end(&place, reader).await?;
                    lost = Some(failed.code);
                    continue;
                }
            }
            match self.0.is_same(&place, reader.pending() > 0).await {
                Ok(true) => {}
                Ok(false) => {
                    self.0.end(&place, reader).await?;
                    return Ok(Fetched::NoTopic);
                }
                Err(error) => {
                    // Who comes next must not be told the end that this reader knows.
                    self.0.end(&place, reader).await?;
                    return Err(error);
                }
            }
            let taken = reader.hand_over(limit, self.0.ends.of(&place));
            let (records, next, start, end) = (taken.records, taken.next, taken.start, taken.end);
            return Ok(Fetched::Records(Fetch { records, next, start, end }));
        }
        let code = lost.expect("a reader was lost each time");
        Err(not_applied(Unreadable { topic: place.topic, partition, code }))
    }
}
