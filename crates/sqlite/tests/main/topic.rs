//! The log on a file: how it misbehaves, beyond what every log promises.

use crate::fixture::{Files, Hands};
use seamline_flow::log::{Appended, Cleanup, Fetched, Incoming, Log, Outgoing, TopicSpec};
use seamline_flow::position::TopicIdentity;
use seamline_message::headers::Headers;
use seamline_sqlite::log::{EmbeddedLog, VALUE_BYTES_MAX};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

fn record(partition: u32, key: &str, value: Option<&str>) -> Outgoing {
    Outgoing {
        topic: "t".to_owned(),
        partition,
        key: Some(key.as_bytes().to_vec()),
        headers: Headers::default(),
        value: value.map(|value| value.as_bytes().to_vec()),
    }
}

async fn topic(log: &EmbeddedLog, cleanup: Cleanup) -> TopicIdentity {
    log.create(&TopicSpec { name: "t".to_owned(), partitions: 2, cleanup, value_bytes_max: 0 }).await.unwrap()
}

async fn read(log: &EmbeddedLog, topic: &TopicIdentity, from: u64) -> (Vec<Incoming>, u64, u64) {
    let fetched = log.fetch(topic, 0, from, 1000).await.unwrap();
    let Fetched::Records(fetch) = fetched else { panic!("{fetched:?}") };
    (fetch.records, fetch.next, fetch.end)
}

#[tokio::test]
async fn a_transaction_leaves_a_hole_in_each_partition_it_touched() {
    let files = Files::new();
    let log = files.log().await;
    let topic = topic(&log, Cleanup::Delete { retention: None }).await;
    let fence = log.fence("relay").await.unwrap();
    for value in ["1", "2"] {
        let two = vec![record(0, "a", Some(value)), record(0, "b", Some(value))];
        assert_eq!(log.append(&fence, two).await.unwrap(), Appended::Done);
    }
    let (records, next, end) = read(&log, &topic, 0).await;
    assert_eq!(records.iter().map(|record| record.offset).collect::<Vec<_>>(), [0, 1, 3, 4]);
    assert_eq!((next, end), (6, 6), "the end is behind the control record");
    let Fetched::Records(other) = log.fetch(&topic, 1, 0, 10).await.unwrap() else { panic!("it is there") };
    assert_eq!((other.records.len(), other.end), (0, 0), "a partition that was not touched has none");
}

#[tokio::test]
async fn compaction_counts_offsets_and_not_what_is_newer_in_meaning() {
    let files = Files::new();
    let log = files.log().await;
    let topic = topic(&log, Cleanup::Compact { tombstones: HOUR, min_lag: HOUR, max_lag: None }).await;
    for value in ["newest", "duplicate", "oldest"] {
        log.inject(record(0, "a", Some(value))).await.unwrap();
    }
    log.inject(Outgoing { key: None, ..record(0, "", Some("no key")) }).await.unwrap();
    files.hands.pass(HOUR * 2);
    log.inject(record(0, "a", Some("young"))).await.unwrap();
    assert_eq!(log.compact("t", now(&files.hands)).await.unwrap(), 3);
    let (records, _, end) = read(&log, &topic, 0).await;
    let left: Vec<(u64, &[u8])> =
        records.iter().map(|record| (record.offset, record.value.as_deref().unwrap())).collect();
    assert_eq!(
        left,
        [(2, b"oldest".as_slice()), (4, b"young".as_slice())],
        "the last offset stays, and the young"
    );
    assert_eq!(end, 5);
}

fn now(hands: &Hands) -> jiff::Timestamp {
    seamline_flow::clock::Clock::now(hands)
}

#[tokio::test]
async fn what_is_older_than_the_retention_goes_and_reads_before_it_are_told() {
    let files = Files::new();
    let log = files.log().await;
    let topic = topic(&log, Cleanup::Delete { retention: Some(HOUR) }).await;
    let fence = log.fence("relay").await.unwrap();
    log.append(&fence, vec![record(0, "a", Some("old"))]).await.unwrap();
    files.hands.pass(HOUR * 2);
    log.append(&fence, vec![record(0, "a", Some("new"))]).await.unwrap();
    assert_eq!(log.retain("t", now(&files.hands)).await.unwrap(), 1);
    let before = log.fetch(&topic, 0, 0, 10).await.unwrap();
    assert_eq!(before, Fetched::OutOfRange { start: 2, end: 4 });
    files.hands.pass(HOUR * 2);
    assert_eq!(log.retain("t", now(&files.hands)).await.unwrap(), 1);
    assert_eq!(log.fetch(&topic, 0, 0, 10).await.unwrap(), Fetched::OutOfRange { start: 4, end: 4 });
}

#[tokio::test]
async fn a_value_too_large_is_refused_and_nothing_of_its_batch_is_there() {
    let files = Files::new();
    let log = files.log().await;
    let topic = topic(&log, Cleanup::Delete { retention: None }).await;
    let fence = log.fence("relay").await.unwrap();
    let large = "x".repeat(VALUE_BYTES_MAX + 1);
    let batch = vec![record(0, "a", Some("small")), record(0, "b", Some(&large))];
    assert!(matches!(log.append(&fence, batch).await.unwrap(), Appended::Refused { .. }));
    assert_eq!(read(&log, &topic, 0).await, (Vec::new(), 0, 0));
}

#[tokio::test]
async fn two_processes_share_a_log_and_its_fences() {
    let files = Files::new();
    let (one, two) = (files.log().await, files.log().await);
    let topic = topic(&one, Cleanup::Delete { retention: None }).await;
    assert_eq!(two.topic("t").await.unwrap(), Some(topic.clone()), "the cluster is the same");
    let first = one.fence("relay").await.unwrap();
    let second = two.fence("relay").await.unwrap();
    assert_eq!(one.append(&first, vec![record(0, "a", Some("late"))]).await.unwrap(), Appended::Fenced);
    assert_eq!(two.append(&second, vec![record(0, "a", Some("1"))]).await.unwrap(), Appended::Done);
    assert_eq!(read(&one, &topic, 0).await.0.len(), 1);
}
