//! Topics: what they are made with, and what is said of others.

use crate::fixture::{configure, kept, name, open, servers};
use rdkafka::config::ClientConfig;
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use seamline_flow::log::{Cleanup, Log, TopicSpec};
use seamline_message::key::{RecordKey, partition};
use std::sync::Mutex;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(not(servers_here), ignore = "not run: needs Apache Kafka; `cargo x test` starts one")]
async fn a_topic_made_here_has_no_differences_and_one_changed_has() {
    let log = open().await;
    let hour = Duration::from_secs(3_600);
    let cleanup = Cleanup::Compact { tombstones: hour * 48, min_lag: hour, max_lag: Some(hour * 24) };
    let spec = TopicSpec { name: name("orders"), partitions: 3, cleanup, value_bytes_max: 0 };
    let absent = log.check(&spec).await.unwrap();
    assert_eq!(absent.len(), 1);
    assert!(absent[0].mend.contains("--config cleanup.policy=compact"), "{}", absent[0].mend);
    log.create(&spec).await.unwrap();
    assert_eq!(log.check(&spec).await.unwrap(), []);
    let wanted = TopicSpec { partitions: 5, ..spec.clone() };
    configure(&spec.name, &[("cleanup.policy", "delete"), ("min.compaction.lag.ms", "3600000")]).await;
    let found = log.check(&wanted).await.unwrap();
    let settings: Vec<_> = found.iter().map(|it| (it.setting.as_str(), it.found.as_str())).collect();
    // What `configure` leaves out goes back to the broker's default.
    let told = [
        ("partitions", "3"),
        ("cleanup.policy", "delete"),
        ("delete.retention.ms", "86400000"),
        ("max.compaction.lag.ms", "9223372036854775807"),
    ];
    assert_eq!(settings, told);
    assert!(found[1].mend.ends_with("--add-config cleanup.policy=compact"));
}

#[derive(Default)]
struct Where(Mutex<Vec<(Vec<u8>, i32)>>);

impl rdkafka::ClientContext for Where {}

impl ProducerContext for Where {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let message = result.as_ref().map_err(|(error, _)| error).unwrap();
        self.0.lock().unwrap().push((message.key().unwrap().to_vec(), message.partition()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(not(servers_here), ignore = "not run: needs Apache Kafka; `cargo x test` starts one")]
async fn keys_go_where_the_clients_of_kafka_put_them() {
    let log = open().await;
    let topic = name("orders");
    log.create(&kept(&topic, 7)).await.unwrap();
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", servers()).set("partitioner", "murmur2_random");
    let producer: BaseProducer<Where> = config.create_with_context(Where::default()).unwrap();
    for n in 0..400 {
        let key = RecordKey::from_texts(&[format!("P-{n}"), "é".repeat(n % 9)]);
        let record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(&topic).key(key.as_bytes()).payload(b"v");
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(crate::fixture::PATIENCE).unwrap();
    let put = producer.context().0.lock().unwrap();
    assert_eq!(put.len(), 400);
    for (key, there) in put.iter() {
        assert_eq!(partition(key, 7), there.cast_unsigned());
    }
}
