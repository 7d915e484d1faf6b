//! Appends: fences of other processes, refusals, transactions that end otherwise.

use crate::fixture::{PATIENCE, begin, kept, name, open, record, stranger, values};
use rdkafka::producer::Producer;
use seamline_flow::conformance::log::read_all;
use seamline_flow::log::{Appended, Log, TopicSpec};
use seamline_flow::port::PortError;
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(not(servers_here), ignore = "not run: needs Apache Kafka; `cargo x test` starts one")]
async fn a_fence_shuts_out_another_process() {
    let (old, new) = (open().await, open().await);
    let (topic, producer) = (name("orders"), name("relay"));
    let identity = old.create(&kept(&topic, 1)).await.unwrap();
    let first = old.fence(&producer).await.unwrap();
    assert_eq!(old.append(&first, vec![record(&topic, 0, "k", b"1")]).await.unwrap(), Appended::Done);
    let second = new.fence(&producer).await.unwrap();
    assert!(second.epoch > first.epoch);
    let late = || old.append(&first, vec![record(&topic, 0, "k", b"late")]);
    assert_eq!(late().await.unwrap(), Appended::Fenced);
    assert_eq!(new.append(&second, vec![record(&topic, 0, "k", b"2")]).await.unwrap(), Appended::Done);
    assert_eq!(late().await.unwrap(), Appended::Fenced, "for ever");
    assert_eq!(values(&new, &identity, 0).await, ["1", "2"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(not(servers_here), ignore = "not run: needs Apache Kafka; `cargo x test` starts one")]
async fn a_producer_paused_in_a_transaction_commits_nothing_after_the_fence() {
    let log = open().await;
    let (topic, producer) = (name("orders"), name("relay"));
    let identity = log.create(&kept(&topic, 1)).await.unwrap();
    let paused = stranger(&producer);
    for n in 0..3 {
        begin(&paused, &topic, &format!("before {n}"));
        paused.commit_transaction(PATIENCE).unwrap();
    }
    begin(&paused, &topic, "late");
    let fence = log.fence(&producer).await.unwrap();
    assert!(paused.commit_transaction(PATIENCE).is_err(), "it is shut out");
    assert_eq!(log.append(&fence, vec![record(&topic, 0, "k", b"after")]).await.unwrap(), Appended::Done);
    assert_eq!(values(&log, &identity, 0).await, ["before 0", "before 1", "before 2", "after"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(not(servers_here), ignore = "not run: needs Apache Kafka; `cargo x test` starts one")]
async fn a_record_too_large_is_refused_with_its_whole_append() {
    let log = open().await;
    let (topic, other) = (name("orders"), name("payments"));
    let identity = log.create(&kept(&topic, 1)).await.unwrap();
    let payments = log.create(&kept(&other, 1)).await.unwrap();
    let producer = name("relay");
    let fence = log.fence(&producer).await.unwrap();
    let large = noise(2 << 20);
    let records = vec![record(&other, 0, "k", b"with it"), record(&topic, 0, "k", &large)];
    let Appended::Refused { topic: refused, .. } = log.append(&fence, records).await.unwrap() else {
        panic!("the broker takes no such record")
    };
    assert_eq!(refused, topic);
    // What the broker refused may have cost the producer its standing: then the next append had no effect.
    let next = || vec![record(&topic, 0, "k", b"next")];
    match log.append(&fence, next()).await {
        Ok(appended) => assert_eq!(appended, Appended::Done),
        Err(error) => {
            assert!(matches!(error, PortError::NotApplied(_)), "{error}");
            let fence = log.fence(&producer).await.unwrap();
            assert_eq!(log.append(&fence, next()).await.unwrap(), Appended::Done);
        }
    }
    assert_eq!(values(&log, &identity, 0).await, ["next"]);
    assert!(values(&log, &payments, 0).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(not(servers_here), ignore = "not run: needs Apache Kafka; `cargo x test` starts one")]
async fn a_topic_takes_values_as_large_as_its_contract_allows() {
    let log = open().await;
    let topic = name("pictures");
    let spec = TopicSpec { value_bytes_max: 4 << 20, ..kept(&topic, 1) };
    let identity = log.create(&spec).await.unwrap();
    let fence = log.fence(&name("relay")).await.unwrap();
    let large = noise(4 << 20);
    let records = vec![record(&topic, 0, "k", &large), record(&topic, 0, "k", b"small")];
    assert_eq!(log.append(&fence, records).await.unwrap(), Appended::Done);
    let read = read_all(&log, &identity, 0).await;
    assert_eq!(read.iter().map(|it| it.value.as_ref().unwrap().len()).collect::<Vec<_>>(), [4 << 20, 5]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(not(servers_here), ignore = "not run: needs Apache Kafka; `cargo x test` starts one")]
async fn a_topic_that_is_not_there_refuses_within_seconds() {
    let log = open().await;
    let topic = name("orders");
    log.create(&kept(&topic, 2)).await.unwrap();
    let fence = log.fence(&name("relay")).await.unwrap();
    let begun = Instant::now();
    for (topic, partition) in [(name("nowhere").as_str(), 0), (&topic, 2)] {
        let answer = log.append(&fence, vec![record(topic, partition, "k", b"v")]).await.unwrap();
        assert!(matches!(answer, Appended::Refused { topic: refused, .. } if refused == topic));
    }
    assert!(begun.elapsed() < Duration::from_secs(5));
    // It is known here, and gone at the broker a moment ago: the client gives up when the transaction's time is over.
    log.append(&fence, vec![record(&topic, 0, "k", b"v")]).await.unwrap();
    crate::fixture::delete_topic(&open().await, &topic).await;
    let answer = log.append(&fence, vec![record(&topic, 0, "k", b"v")]).await.unwrap();
    assert!(matches!(answer, Appended::Refused { .. }), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(not(servers_here), ignore = "not run: needs Apache Kafka; `cargo x test` starts one")]
async fn an_append_whose_caller_went_away_ends_before_the_next() {
    let log = open().await;
    let topic = name("orders");
    let identity = log.create(&kept(&topic, 1)).await.unwrap();
    let fence = log.fence(&name("relay")).await.unwrap();
    let mut dropped = Box::pin(log.append(&fence, vec![record(&topic, 0, "k", b"1")]));
    // The topic is known, so one poll hands the records to the thread.
    assert!(std::future::poll_fn(|cx| std::task::Poll::Ready(dropped.as_mut().poll(cx).is_pending())).await);
    drop(dropped);
    assert_eq!(log.append(&fence, vec![record(&topic, 0, "k", b"2")]).await.unwrap(), Appended::Done);
    assert_eq!(values(&log, &identity, 0).await, ["1", "2"]);
}

/// Returns so many bytes that do not compress.
fn noise(length: usize) -> Vec<u8> {
    let words = (0_u32..).flat_map(|it| it.wrapping_mul(2_654_435_761).to_be_bytes());
    words.take(length).collect()
}
