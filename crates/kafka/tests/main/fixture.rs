//! A broker's log under names of its own, and hands of the test on the broker.

use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use seamline_flow::log::{Appended, Cleanup, Fence, Fetched, Log, Outgoing, TopicSpec};
use seamline_flow::port::PortError;
use seamline_flow::position::TopicIdentity;
use seamline_kafka::log::KafkaLog;
use seamline_kafka::properties::Properties;
use seamline_message::headers::Headers;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long a test waits for the broker to have done something.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A log whose topics and producers have names that nobody else has.
pub(crate) struct Named {
    pub(crate) log: KafkaLog,
    pub(crate) prefix: String,
}

pub(crate) fn servers() -> String {
    std::env::var("SEAMLINE_KAFKA").expect("SEAMLINE_KAFKA is HOST:PORT of a broker")
}

pub(crate) fn properties() -> Properties {
    Properties::new(&[("bootstrap.servers".to_owned(), servers())]).unwrap()
}

pub(crate) async fn open() -> KafkaLog {
    KafkaLog::open(&properties(), 1).await.unwrap()
}

/// Returns a name that no other test and no other run has.
pub(crate) fn name(of: &str) -> String {
    static MADE: AtomicU64 = AtomicU64::new(0);
    let moment = jiff::Timestamp::now().as_microsecond();
    format!("kafka.{moment}.{}.{of}", MADE.fetch_add(1, Ordering::Relaxed))
}

pub(crate) fn kept(name: &str, partitions: u32) -> TopicSpec {
    TopicSpec {
        name: name.to_owned(),
        partitions,
        cleanup: Cleanup::Delete { retention: None },
        value_bytes_max: 0,
    }
}

pub(crate) fn record(topic: &str, partition: u32, key: &str, value: &[u8]) -> Outgoing {
    Outgoing {
        topic: topic.to_owned(),
        partition,
        key: Some(key.as_bytes().to_vec()),
        headers: Headers::default(),
        value: Some(value.to_vec()),
    }
}

/// Reads a partition to its end, and returns the values as text.
pub(crate) async fn values<L: Log>(log: &L, topic: &TopicIdentity, partition: u32) -> Vec<String> {
    let records = seamline_flow::conformance::log::read_all(log, topic, partition).await;
    let text = |value: Vec<u8>| String::from_utf8(value).unwrap();
    records.into_iter().map(|record| record.value.map_or("-".to_owned(), text)).collect()
}

impl Named {
    pub(crate) async fn open() -> Named {
        Named { log: open().await, prefix: name("") }
    }

    pub(crate) fn named(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    fn plain(&self, topic: TopicIdentity) -> TopicIdentity {
        TopicIdentity { name: topic.name[self.prefix.len()..].to_owned(), ..topic }
    }
}

impl Log for Named {
    async fn topic(&self, name: &str) -> Result<Option<TopicIdentity>, PortError> {
        Ok(self.log.topic(&self.named(name)).await?.map(|topic| self.plain(topic)))
    }

    async fn create(&self, spec: &TopicSpec) -> Result<TopicIdentity, PortError> {
        let spec = TopicSpec { name: self.named(&spec.name), ..spec.clone() };
        Ok(self.plain(self.log.create(&spec).await?))
    }

    async fn fence(&self, producer: &str) -> Result<Fence, PortError> {
        self.log.fence(&self.named(producer)).await
    }

    async fn append(&self, fence: &Fence, mut records: Vec<Outgoing>) -> Result<Appended, PortError> {
        for record in &mut records {
            record.topic = self.named(&record.topic);
        }
        Ok(match self.log.append(fence, records).await? {
            Appended::Refused { topic, reason } => {
                Appended::Refused { topic: topic[self.prefix.len()..].to_owned(), reason }
            }
            answer => answer,
        })
    }

    async fn fetch(
        &self,
        topic: &TopicIdentity,
        partition: u32,
        from: u64,
        limit: usize,
    ) -> Result<Fetched, PortError> {
        let topic = TopicIdentity { name: self.named(&topic.name), ..topic.clone() };
        self.log.fetch(&topic, partition, from, limit).await
    }

    async fn decided(&self, topic: &TopicIdentity, partition: u32) -> Result<bool, PortError> {
        let topic = TopicIdentity { name: self.named(&topic.name), ..topic.clone() };
        self.log.decided(&topic, partition).await
    }

    async fn ends(&self, topic: &TopicIdentity, partition: u32) -> Result<Option<(u64, u64)>, PortError> {
        let topic = TopicIdentity { name: self.named(&topic.name), ..topic.clone() };
        self.log.ends(&topic, partition).await
    }
}

fn client() -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", servers());
    config
}

pub(crate) fn admin() -> AdminClient<DefaultClientContext> {
    client().create().unwrap()
}

pub(crate) async fn delete_topic(log: &KafkaLog, topic: &str) {
    let deleted = admin().delete_topics(&[topic], &AdminOptions::new()).await.unwrap();
    deleted.into_iter().next().unwrap().unwrap();
    let until = Instant::now() + PATIENCE;
    while log.topic(topic).await.unwrap().is_some() {
        assert!(Instant::now() < until, "the topic goes");
    }
}

pub(crate) async fn configure(topic: &str, settings: &[(&str, &str)]) {
    let mut change = AlterConfig::new(ResourceSpecifier::Topic(topic));
    for (name, value) in settings {
        change = change.set(name, value);
    }
    let changed = admin().alter_configs([&change], &AdminOptions::new()).await.unwrap();
    changed.into_iter().next().unwrap().unwrap();
}

/// A transactional producer that shares nothing with the adapter.
pub(crate) fn stranger(producer: &str) -> BaseProducer {
    let producer: BaseProducer = client().set("transactional.id", producer).create().unwrap();
    producer.init_transactions(PATIENCE).unwrap();
    producer
}

/// Begins a transaction with one record that the broker has.
pub(crate) fn begin(producer: &BaseProducer, topic: &str, value: &str) {
    producer.begin_transaction().unwrap();
    let record: BaseRecord<'_, str, str> = BaseRecord::to(topic).partition(0).key("stranger").payload(value);
    producer.send(record).map_err(|(error, _)| error).unwrap();
    producer.flush(PATIENCE).unwrap();
}
