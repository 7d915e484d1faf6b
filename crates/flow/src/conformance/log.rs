//! The suite of the port to the log.

use super::sure;
use crate::log::{Appended, Cleanup, Fence, Fetched, Incoming, Log, Outgoing, TopicSpec};
use crate::position::TopicIdentity;
use seamline_message::envelope::Header;
use seamline_message::headers::Headers;
use std::time::Duration;

/// Makes logs for the suite.
pub trait LogFixture {
    /// The adapter.
    type Log: Log;

    /// Returns a log without topics.
    fn fresh(&self) -> impl Future<Output = Self::Log>;

    /// Lets time pass and compacts a topic as far as its promises allow. Returns false where that cannot be forced.
    fn compact(&self, log: &Self::Log, topic: &str, after: Duration) -> impl Future<Output = bool>;

    /// Deletes a topic, so that it can be made anew. Returns false where that cannot be done.
    fn delete(&self, log: &Self::Log, topic: &str) -> impl Future<Output = bool>;
}

/// Runs the whole suite.
pub async fn all<F: LogFixture>(fixture: &F) {
    a_topic_is_made_once(fixture).await;
    records_are_read_back_as_they_were_appended(fixture).await;
    reads_go_on_behind_what_was_examined(fixture).await;
    an_append_is_seen_as_a_whole_or_not_at_all(fixture).await;
    a_fence_shuts_out_the_one_before(fixture).await;
    places_that_are_not_there_are_answers(fixture).await;
    compaction_keeps_the_last_of_each_key(fixture).await;
    young_records_are_not_compacted(fixture).await;
    a_tombstone_goes_in_the_end(fixture).await;
    a_topic_made_anew_is_another(fixture).await;
}

const DAY: Duration = Duration::from_secs(86_400);

fn compacted(name: &str, partitions: u32) -> TopicSpec {
    let cleanup = Cleanup::Compact { tombstones: DAY, min_lag: DAY, max_lag: None };
    TopicSpec { name: name.to_owned(), partitions, cleanup, value_bytes_max: 0 }
}

fn kept(name: &str) -> TopicSpec {
    TopicSpec {
        name: name.to_owned(),
        partitions: 1,
        cleanup: Cleanup::Delete { retention: None },
        value_bytes_max: 0,
    }
}

fn record(topic: &str, key: &str, value: Option<&str>) -> Outgoing {
    Outgoing {
        topic: topic.to_owned(),
        partition: 0,
        key: Some(key.as_bytes().to_vec()),
        headers: Headers::default(),
        value: value.map(|value| value.as_bytes().to_vec()),
    }
}

async fn done<L: Log>(log: &L, fence: &Fence, records: Vec<Outgoing>) {
    assert_eq!(sure(log.append(fence, records).await), Appended::Done);
}

/// Reads a partition from its oldest record to its end, a few records at a time.
///
/// # Panics
/// When the log breaks its promises about `next`, offsets or `limit`.
pub async fn read_all<L: Log>(log: &L, topic: &TopicIdentity, partition: u32) -> Vec<Incoming> {
    let mut records: Vec<Incoming> = Vec::new();
    let mut from = match sure(log.fetch(topic, partition, 0, 1).await) {
        Fetched::Records(fetch) => fetch.start,
        Fetched::OutOfRange { start, .. } => start,
        Fetched::NoTopic => panic!("`{}` is there", topic.name),
    };
    loop {
        let Fetched::Records(fetch) = sure(log.fetch(topic, partition, from, 3).await) else {
            panic!("offset {from} is in range")
        };
        assert!(fetch.records.len() <= 3, "at most `limit` records");
        assert!(fetch.next >= from && fetch.next <= fetch.end, "`next` goes on");
        for record in fetch.records {
            let last = records.last().map(|record| record.offset);
            assert!(last.is_none_or(|last| last < record.offset), "offsets rise");
            assert!(record.offset >= from && record.offset < fetch.next, "records lie in what was examined");
            records.push(record);
        }
        if fetch.next >= fetch.end {
            return records;
        }
        assert!(fetch.next > from, "a read before the end goes on");
        from = fetch.next;
    }
}

fn values(records: &[Incoming]) -> Vec<Option<String>> {
    let text = |value: &Vec<u8>| String::from_utf8_lossy(value).into_owned();
    records.iter().map(|record| record.value.as_ref().map(text)).collect()
}

fn texts(values: &[&str]) -> Vec<Option<String>> {
    values.iter().map(|value| Some((*value).to_owned())).collect()
}

async fn a_topic_is_made_once<F: LogFixture>(fixture: &F) {
    let log = fixture.fresh().await;
    assert_eq!(sure(log.topic("orders").await), None);
    let made = sure(log.create(&compacted("orders", 3)).await);
    assert_eq!((made.name.as_str(), made.partitions), ("orders", 3));
    assert_eq!(sure(log.create(&compacted("orders", 5)).await), made, "the one there is stays");
    assert_eq!(sure(log.topic("orders").await), Some(made.clone()));
    let other = sure(log.create(&compacted("payments", 3)).await);
    assert_eq!(other.cluster, made.cluster);
    assert_ne!(other.id, made.id);
}

async fn records_are_read_back_as_they_were_appended<F: LogFixture>(fixture: &F) {
    let log = fixture.fresh().await;
    let topic = sure(log.create(&kept("orders")).await);
    let fence = sure(log.fence("relay").await);
    let header =
        |name: &str, value: Option<&[u8]>| Header { name: name.to_owned(), value: value.map(<[u8]>::to_vec) };
    let headers = vec![
        header("a", Some(b"1")),
        header("a", Some(b"2")),
        header("none", None),
        header("binary", Some(&[0, 255, 128])),
        header("empty", Some(b"")),
    ];
    let appended = vec![
        Outgoing { headers: headers.into(), ..record("orders", "k", Some("v")) },
        Outgoing { key: None, ..record("orders", "", Some("no key")) },
        Outgoing { key: Some(vec![0, 159]), ..record("orders", "", Some("binary key")) },
        record("orders", "k", None),
        record("orders", "", Some("")),
    ];
    done(&log, &fence, appended.clone()).await;
    let read = read_all(&log, &topic, 0).await;
    assert_eq!(read.len(), appended.len());
    for (read, appended) in read.iter().zip(&appended) {
        assert_eq!(read.key, appended.key);
        assert_eq!(read.headers, appended.headers);
        assert_eq!(read.value, appended.value);
    }
}

async fn reads_go_on_behind_what_was_examined<F: LogFixture>(fixture: &F) {
    let log = fixture.fresh().await;
    let topic = sure(log.create(&kept("orders")).await);
    let fence = sure(log.fence("relay").await);
    let names: Vec<String> = (0..20).map(|n| format!("v{n}")).collect();
    for name in &names {
        done(&log, &fence, vec![record("orders", "k", Some(name))]).await;
    }
    let all = read_all(&log, &topic, 0).await;
    assert_eq!(values(&all), names.iter().cloned().map(Some).collect::<Vec<_>>(), "holes hide nothing");
    let from = all[10].offset;
    let Fetched::Records(fetch) = sure(log.fetch(&topic, 0, from, 2).await) else { panic!("in range") };
    assert_eq!(values(&fetch.records), texts(&["v10", "v11"]));
    let Fetched::Records(end) = sure(log.fetch(&topic, 0, fetch.end, 2).await) else { panic!("in range") };
    assert!(end.records.is_empty(), "the end has no record");
    assert_eq!(end.next, end.end, "the end is where it is read on");
}

async fn an_append_is_seen_as_a_whole_or_not_at_all<F: LogFixture>(fixture: &F) {
    let log = fixture.fresh().await;
    let orders = sure(log.create(&kept("orders")).await);
    let payments = sure(log.create(&kept("payments")).await);
    let fence = sure(log.fence("relay").await);
    done(&log, &fence, vec![record("orders", "k", Some("o")), record("payments", "k", Some("p"))]).await;
    let unknown = vec![record("orders", "k", Some("lost")), record("nowhere", "k", Some("lost"))];
    let Appended::Refused { topic, .. } = sure(log.append(&fence, unknown).await) else {
        panic!("a topic that is not there refuses")
    };
    assert_eq!(topic, "nowhere");
    assert_eq!(values(&read_all(&log, &orders, 0).await), texts(&["o"]));
    assert_eq!(values(&read_all(&log, &payments, 0).await), texts(&["p"]));
    done(&log, &fence, Vec::new()).await;
}

async fn a_fence_shuts_out_the_one_before<F: LogFixture>(fixture: &F) {
    let log = fixture.fresh().await;
    let topic = sure(log.create(&kept("orders")).await);
    let first = sure(log.fence("relay").await);
    done(&log, &first, vec![record("orders", "k", Some("1"))]).await;
    let second = sure(log.fence("relay").await);
    assert!(second.epoch > first.epoch);
    let other = sure(log.fence("another").await);
    let late = log.append(&first, vec![record("orders", "k", Some("late"))]).await;
    assert_eq!(sure(late), Appended::Fenced);
    done(&log, &second, vec![record("orders", "k", Some("2"))]).await;
    done(&log, &other, vec![record("orders", "k", Some("3"))]).await;
    assert_eq!(values(&read_all(&log, &topic, 0).await), texts(&["1", "2", "3"]));
}

async fn places_that_are_not_there_are_answers<F: LogFixture>(fixture: &F) {
    let log = fixture.fresh().await;
    let topic = sure(log.create(&kept("orders")).await);
    assert_eq!(sure(log.fetch(&topic, 1, 0, 10).await), Fetched::NoTopic);
    let unknown = TopicIdentity { name: "nowhere".to_owned(), ..topic.clone() };
    assert_eq!(sure(log.fetch(&unknown, 0, 0, 10).await), Fetched::NoTopic);
    assert_eq!(sure(log.ends(&topic, 0).await), Some((0, 0)));
    assert_eq!(sure(log.ends(&topic, 1).await), None);
    assert_eq!(sure(log.ends(&unknown, 0).await), None);
    let fence = sure(log.fence("relay").await);
    done(&log, &fence, vec![record("orders", "k", Some("1"))]).await;
    assert!(sure(log.decided(&topic, 0).await));
    let (start, end) = sure(log.ends(&topic, 0).await).expect("it is there");
    assert!(start == 0 && end >= 1, "what is decided is before the end");
    let Fetched::OutOfRange { end, .. } = sure(log.fetch(&topic, 0, 1_000, 10).await) else {
        panic!("there is nothing that far")
    };
    assert!(end < 1_000);
}

async fn compaction_keeps_the_last_of_each_key<F: LogFixture>(fixture: &F) {
    let log = fixture.fresh().await;
    let topic = sure(log.create(&compacted("orders", 1)).await);
    let fence = sure(log.fence("relay").await);
    for (key, value) in [("a", "a1"), ("b", "b1"), ("a", "a2"), ("c", "c1"), ("b", "b2")] {
        done(&log, &fence, vec![record("orders", key, Some(value))]).await;
    }
    let before = read_all(&log, &topic, 0).await;
    if !fixture.compact(&log, "orders", DAY * 3).await {
        return;
    }
    let after = read_all(&log, &topic, 0).await;
    assert_eq!(values(&after), texts(&["a2", "c1", "b2"]));
    assert!(after.iter().all(|record| before.contains(record)), "what stays is as it was, at its offset");
}

async fn young_records_are_not_compacted<F: LogFixture>(fixture: &F) {
    let log = fixture.fresh().await;
    let topic = sure(log.create(&compacted("orders", 1)).await);
    let fence = sure(log.fence("relay").await);
    for value in ["a1", "a2"] {
        done(&log, &fence, vec![record("orders", "a", Some(value))]).await;
    }
    if fixture.compact(&log, "orders", DAY / 2).await {
        assert_eq!(values(&read_all(&log, &topic, 0).await), texts(&["a1", "a2"]));
    }
}

async fn a_tombstone_goes_in_the_end<F: LogFixture>(fixture: &F) {
    let log = fixture.fresh().await;
    let topic = sure(log.create(&compacted("orders", 1)).await);
    let fence = sure(log.fence("relay").await);
    done(&log, &fence, vec![record("orders", "a", Some("a1"))]).await;
    done(&log, &fence, vec![record("orders", "a", None)]).await;
    done(&log, &fence, vec![record("orders", "b", Some("b1"))]).await;
    if !fixture.compact(&log, "orders", DAY + DAY / 4).await {
        return;
    }
    let read = values(&read_all(&log, &topic, 0).await);
    assert_eq!(read, [None, Some("b1".to_owned())], "the tombstone outlives what it ends");
    for _ in 0..2 {
        fixture.compact(&log, "orders", DAY * 2).await;
    }
    assert_eq!(values(&read_all(&log, &topic, 0).await), texts(&["b1"]));
}

async fn a_topic_made_anew_is_another<F: LogFixture>(fixture: &F) {
    let log = fixture.fresh().await;
    let old = sure(log.create(&kept("orders")).await);
    let fence = sure(log.fence("relay").await);
    done(&log, &fence, vec![record("orders", "k", Some("old"))]).await;
    if !fixture.delete(&log, "orders").await {
        return;
    }
    assert_eq!(sure(log.topic("orders").await), None);
    let new = sure(log.create(&kept("orders")).await);
    assert_ne!(new.id, old.id);
    assert_eq!(sure(log.fetch(&old, 0, 0, 10).await), Fetched::NoTopic, "the old one is gone");
    assert_eq!(sure(log.ends(&old, 0).await), None, "nor has it ends");
    assert!(read_all(&log, &new, 0).await.is_empty());
}
