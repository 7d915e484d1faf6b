//! Reads: what passes a reader by, transactions that stay open or end otherwise, many places of one partition.

use crate::fixture::{PATIENCE, admin, begin, delete_topic, kept, name, open, record, stranger, values};
use rdkafka::admin::AdminOptions;
use rdkafka::producer::Producer;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use seamline_flow::log::{Appended, Fetch, Fetched, Log};
use std::time::{Duration, Instant};

fn records(fetched: Fetched) -> Fetch {
    match fetched {
        Fetched::Records(fetch) => fetch,
        other => panic!("in range, not {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(not(servers_here), ignore = "not run: needs Apache Kafka; `cargo x test` starts one")]
async fn an_open_transaction_is_behind_the_end_and_an_aborted_one_is_a_hole() {
    let log = open().await;
    let topic = name("orders");
    let identity = log.create(&kept(&topic, 1)).await.unwrap();
    let fence = log.fence(&name("relay")).await.unwrap();
    assert_eq!(log.append(&fence, vec![record(&topic, 0, "k", b"1")]).await.unwrap(), Appended::Done);
    assert_eq!(values(&log, &identity, 0).await, ["1"]);
    let stranger = stranger(&name("stranger"));
    begin(&stranger, &topic, "open");
    assert_eq!(log.append(&fence, vec![record(&topic, 0, "k", b"2")]).await.unwrap(), Appended::Done);
    // The first record, its marker, then what is open.
    let fresh = open().await;
    let fetch = records(fresh.fetch(&identity, 0, 2, 10).await.unwrap());
    assert_eq!((fetch.records.len(), fetch.next, fetch.end), (0, 2, 2), "the end is before what is open");
    // What is appended is not decided before the transaction in front of it is.
    let mut decided = std::pin::pin!(fresh.decided(&identity, 0));
    let early = tokio::time::timeout(Duration::from_millis(300), &mut decided).await;
    assert!(early.is_err(), "the transaction is open");
    stranger.abort_transaction(PATIENCE).unwrap();
    let begun = Instant::now();
    assert!(decided.await.unwrap());
    assert!(fresh.decided(&identity, 0).await.unwrap());
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(values(&log, &identity, 0).await, ["1", "2"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(not(servers_here), ignore = "not run: needs Apache Kafka; `cargo x test` starts one")]
async fn records_that_were_removed_are_out_of_range() {
    let log = open().await;
    let topic = name("orders");
    let identity = log.create(&kept(&topic, 1)).await.unwrap();
    let fence = log.fence(&name("relay")).await.unwrap();
    for _ in 0..5 {
        log.append(&fence, vec![record(&topic, 0, "k", b"v"), record(&topic, 0, "l", b"w")]).await.unwrap();
    }
    let read = records(log.fetch(&identity, 0, 0, 1).await.unwrap());
    assert_eq!(read.next, 1);
    let mut to = TopicPartitionList::new();
    to.add_partition_offset(&topic, 0, Offset::Offset(9)).unwrap();
    admin().delete_records(&to, &AdminOptions::new()).await.unwrap();
    let fresh = open().await;
    let answer = fresh.fetch(&identity, 0, 1, 10).await.unwrap();
    assert_eq!(answer, Fetched::OutOfRange { start: 9, end: 15 });
    assert_eq!(values(&fresh, &identity, 0).await, ["v", "w", "v", "w"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(not(servers_here), ignore = "not run: needs Apache Kafka; `cargo x test` starts one")]
async fn a_reader_of_a_topic_made_anew_hands_over_nothing_of_it() {
    let log = open().await;
    let topic = name("orders");
    let old = log.create(&kept(&topic, 1)).await.unwrap();
    let fence = log.fence(&name("relay")).await.unwrap();
    log.append(&fence, vec![record(&topic, 0, "k", b"old")]).await.unwrap();
    let next = records(log.fetch(&old, 0, 0, 10).await.unwrap()).next;
    // Another process makes it anew and fills it further than it was.
    let other = open().await;
    delete_topic(&other, &topic).await;
    other.create(&kept(&topic, 1)).await.unwrap();
    let fence = other.fence(&name("other")).await.unwrap();
    let many: Vec<_> = (0..20).map(|_| record(&topic, 0, "k", b"new")).collect();
    other.append(&fence, many).await.unwrap();
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        match log.fetch(&old, 0, next, 10).await.unwrap() {
            Fetched::NoTopic => break,
            Fetched::Records(fetch) => assert!(fetch.records.is_empty(), "{:?}", fetch.records),
            Fetched::OutOfRange { .. } | Fetched::NoSchema(_) => {}
        }
        assert!(Instant::now() < until, "it is told in seconds");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(not(servers_here), ignore = "not run: needs Apache Kafka; `cargo x test` starts one")]
async fn many_read_a_partition_at_once_and_each_reads_all() {
    let log = open().await;
    let topic = name("orders");
    let identity = log.create(&kept(&topic, 1)).await.unwrap();
    let fence = log.fence(&name("relay")).await.unwrap();
    let names: Vec<String> = (0..100).map(|n| n.to_string()).collect();
    let all = names.iter().map(|name| record(&topic, 0, "k", name.as_bytes())).collect();
    log.append(&fence, all).await.unwrap();
    let (a, b, c) =
        tokio::join!(values(&log, &identity, 0), values(&log, &identity, 0), values(&log, &identity, 0));
    assert_eq!((&a, &b, &c), (&names, &names, &names));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(not(servers_here), ignore = "not run: needs Apache Kafka; `cargo x test` starts one")]
async fn an_idle_tail_is_told_without_the_broker() {
    let log = open().await;
    let topic = name("orders");
    let identity = log.create(&kept(&topic, 1)).await.unwrap();
    let first = records(log.fetch(&identity, 0, 0, 10).await.unwrap());
    assert_eq!((first.next, first.end), (0, 0));
    let begun = Instant::now();
    for _ in 0..1_000 {
        log.fetch(&identity, 0, 0, 10).await.unwrap();
    }
    let each = begun.elapsed() / 1_000;
    eprintln!("an idle poll takes {each:?}");
    assert!(each < Duration::from_millis(1), "{each:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(not(servers_here), ignore = "not run: needs Apache Kafka; `cargo x test` starts one")]
async fn a_hundred_thousand_records_are_read_in_their_order() {
    let log = open().await;
    let topic = name("orders");
    let identity = log.create(&kept(&topic, 1)).await.unwrap();
    let fence = log.fence(&name("relay")).await.unwrap();
    let value: Vec<u8> = (0..1_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let begun = Instant::now();
    for _ in 0..50 {
        let batch = (0..2_000).map(|_| record(&topic, 0, "k", &value)).collect();
        assert_eq!(log.append(&fence, batch).await.unwrap(), Appended::Done);
    }
    eprintln!("100,000 records of 1 KB appended in {:?}", begun.elapsed());
    let (mut from, mut read, begun) = (0, 0, Instant::now());
    loop {
        let fetch = records(log.fetch(&identity, 0, from, 2_000).await.unwrap());
        assert!(fetch.records.iter().all(|record| record.offset >= from));
        (read, from) = (read + fetch.records.len(), fetch.next);
        if fetch.next >= fetch.end {
            break;
        }
    }
    eprintln!("and read in {:?}", begun.elapsed());
    assert_eq!(read, 100_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(not(servers_here), ignore = "not run: needs Apache Kafka; `cargo x test` starts one")]
async fn a_reader_that_was_told_of_the_end_misses_nothing_that_comes_there() {
    let log = open().await;
    let topic = name("orders");
    let identity = log.create(&kept(&topic, 1)).await.unwrap();
    let fence = log.fence(&name("relay")).await.unwrap();
    let mut next = 0;
    for value in ["1", "2", "3"] {
        // Long enough for the client to say that the end was reached: it waits for the broker at most a tenth of a second.
        let idle = Instant::now();
        while idle.elapsed() < Duration::from_secs(1) {
            let Fetched::Records(fetch) = log.fetch(&identity, 0, next, 10).await.unwrap() else { panic!() };
            assert!(fetch.records.is_empty());
            assert!(fetch.next >= next && fetch.next <= next + 1, "a marker at most");
            next = fetch.next;
            tokio::task::yield_now().await;
        }
        let done = log.append(&fence, vec![record(&topic, 0, "k", value.as_bytes())]).await.unwrap();
        assert_eq!(done, Appended::Done);
        let patience = Instant::now();
        let came = loop {
            let Fetched::Records(fetch) = log.fetch(&identity, 0, next, 10).await.unwrap() else { panic!() };
            next = fetch.next;
            if let Some(record) = fetch.records.into_iter().next() {
                break record;
            }
            assert!(patience.elapsed() < PATIENCE, "`{value}` was passed over");
        };
        assert_eq!(came.value.as_deref(), Some(value.as_bytes()));
    }
}
