//! Faults of the broker: killed, frozen, started again; by the rule of the port nothing is lost and nothing is twice.

use crate::broker::Broker;
use crate::fixture::{PATIENCE, kept, record, values};
use seamline_flow::log::{Appended, Fetched, Log};
use seamline_flow::port::PortError;
use seamline_flow::position::TopicIdentity;
use seamline_kafka::log::KafkaLog;
use seamline_kafka::properties::Properties;
use std::time::{Duration, Instant};
use tokio::sync::watch;

async fn open(broker: &Broker) -> KafkaLog {
    let servers = ("bootstrap.servers".to_owned(), broker.at("PLAIN"));
    KafkaLog::open(&Properties::new(&[servers]).unwrap(), 1).await.unwrap()
}

/// Repeats a call that fails without effect, or may be repeated, until the broker is back.
async fn lasting<T>(mut call: impl AsyncFnMut() -> Result<T, PortError>) -> T {
    let until = Instant::now() + PATIENCE * 2;
    loop {
        match call().await {
            Ok(value) => return value,
            Err(error) => assert!(Instant::now() < until, "the broker is back: {error}"),
        }
    }
}

/// Reads all values with a log of its own, once the broker answers.
async fn all(broker: &Broker, topic: &TopicIdentity) -> Vec<String> {
    values(&open(broker).await, topic, 0).await
}

/// Appends numbers as a relay does: after an error it takes the fence anew, then looks what is there.
async fn relay(log: &KafkaLog, topic: &TopicIdentity, count: usize, done: &watch::Sender<usize>) -> usize {
    let mut errors = 0;
    let mut fence = lasting(async || log.fence("relay").await).await;
    let mut next = 0;
    while next < count {
        let records = vec![record(&topic.name, 0, "k", next.to_string().as_bytes())];
        match log.append(&fence, records).await {
            Ok(Appended::Done) => next += 1,
            Ok(Appended::Refused { reason, .. }) => panic!("{reason}"),
            Ok(Appended::Fenced) | Err(_) => {
                errors += 1;
                fence = lasting(async || log.fence("relay").await).await;
                next = lasting(async || there(log, topic).await).await;
            }
        }
        done.send_replace(next);
    }
    errors
}

/// Returns how many records there are.
async fn there(log: &KafkaLog, topic: &TopicIdentity) -> Result<usize, PortError> {
    let (mut from, mut count) = (0, 0);
    loop {
        match log.fetch(topic, 0, from, 1_000).await? {
            Fetched::Records(fetch) => {
                count += fetch.records.len();
                if fetch.next >= fetch.end {
                    return Ok(count);
                }
                from = fetch.next;
            }
            other => panic!("{other:?}"),
        }
    }
}

/// Kills the broker and starts it again on what it has.
async fn restarted(mut broker: Broker) -> Broker {
    let restart = move || {
        broker.kill9();
        broker.go();
        broker
    };
    tokio::task::spawn_blocking(restart).await.unwrap()
}

fn numbers(count: usize) -> Vec<String> {
    (0..count).map(|number| number.to_string()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(not(jars_here), ignore = "not run: needs Kafka's jars in SEAMLINE_KAFKA_LIBS, java and openssl")]
async fn appends_go_on_after_the_broker_was_killed_and_nothing_is_lost_or_twice() {
    let mut broker = Broker::start();
    let log = open(&broker).await;
    let topic = log.create(&kept("orders", 1)).await.unwrap();
    let (done, mut progress) = watch::channel(0);
    let killing = async {
        for after in [100, 300, 500] {
            progress.wait_for(|next| *next >= after).await.unwrap();
            broker = restarted(broker).await;
        }
        broker
    };
    let (errors, broker) = tokio::join!(relay(&log, &topic, 600, &done), killing);
    eprintln!("three kills, {errors} errors");
    assert_eq!(all(&broker, &topic).await, numbers(600));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(not(jars_here), ignore = "not run: needs Kafka's jars in SEAMLINE_KAFKA_LIBS, java and openssl")]
async fn an_idle_reader_and_an_idle_producer_outlive_a_restart() {
    let broker = Broker::start();
    let log = open(&broker).await;
    let topic = log.create(&kept("orders", 1)).await.unwrap();
    let fence = log.fence("relay").await.unwrap();
    let one = |value: &[u8]| vec![record("orders", 0, "k", value)];
    assert_eq!(log.append(&fence, one(b"0")).await.unwrap(), Appended::Done);
    assert_eq!(there(&log, &topic).await.unwrap(), 1);
    let broker = restarted(broker).await;
    // The same fence: nobody took it meanwhile.
    assert_eq!(lasting(async || log.append(&fence, one(b"1")).await).await, Appended::Done);
    assert_eq!(lasting(async || there(&log, &topic).await).await, 2);
    assert_eq!(all(&broker, &topic).await, numbers(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(not(jars_here), ignore = "not run: needs Kafka's jars in SEAMLINE_KAFKA_LIBS, java and openssl")]
async fn a_frozen_broker_is_told_and_holds_up_nobody_who_leaves() {
    let broker = Broker::start();
    let (log, leaving) = (open(&broker).await, open(&broker).await);
    let topic = log.create(&kept("orders", 1)).await.unwrap();
    let (done, mut progress) = watch::channel(0);
    let freezing = async {
        progress.wait_for(|next| *next >= 100).await.unwrap();
        there(&leaving, &topic).await.unwrap();
        let idle = log.create(&kept("idle", 1)).await.unwrap();
        assert_eq!(there(&log, &idle).await.unwrap(), 0);
        broker.signal("STOP");
        let begun = Instant::now();
        drop(leaving);
        assert!(begun.elapsed() < Duration::from_millis(100), "{:?}", begun.elapsed());
        // The end of a partition is believed for a while, then no more.
        while log.fetch(&idle, 0, 0, 10).await.is_ok() {
            assert!(begun.elapsed() < PATIENCE, "silence is told");
            tokio::task::yield_now().await;
        }
        eprintln!("silence is told after {:?}", begun.elapsed());
        broker.signal("CONT");
        idle
    };
    let (errors, idle) = tokio::join!(relay(&log, &topic, 400, &done), freezing);
    eprintln!("one freeze, {errors} errors");
    assert_eq!(lasting(async || there(&log, &idle).await).await, 0);
    assert_eq!(all(&broker, &topic).await, numbers(400));
}
