//! Relay and lanes over real files: answers that are lost, and cases of what stands still.

use crate::fixture::{Files, THING, TTL, at, published, run, things};
use seamline_contract::channel::{ChannelKind, DEFAULT_TOPICS};
use seamline_flow::case::{CaseKind, Cases, NewCase};
use seamline_flow::clock::Entropy;
use seamline_flow::custody::source::check_source;
use seamline_flow::digest_key;
use seamline_flow::drift::Outcome;
use seamline_flow::hold::{Hold, Ports, Step as Halted};
use seamline_flow::ledger::{Entry, Ledger};
use seamline_flow::log::{Appended, Cleanup, Fence, Fetched, Log, Outgoing, TopicSpec};
use seamline_flow::outlet::{Outlet, OutletSet};
use seamline_flow::port::PortError;
use seamline_flow::position::{Position, TopicIdentity};
use seamline_flow::relay::{FIRST_ROWS, PARKED, Relay, RelayPorts, Step, TakeOver};
use seamline_flow::source::Source;
use seamline_flow::store::{Committed, Gripped, Lane, Store};
use seamline_message::key::RecordKey;
use seamline_sqlite::context::Database;
use seamline_sqlite::log::EmbeddedLog;
use std::sync::atomic::{AtomicBool, Ordering};

/// A log whose next append gives no answer.
struct Mute {
    log: EmbeddedLog,
    /// The append has its effect all the same.
    commits: bool,
    silent: AtomicBool,
}

impl Log for Mute {
    async fn topic(&self, name: &str) -> Result<Option<TopicIdentity>, PortError> {
        self.log.topic(name).await
    }

    async fn create(&self, spec: &TopicSpec) -> Result<TopicIdentity, PortError> {
        self.log.create(spec).await
    }

    async fn fence(&self, producer: &str) -> Result<Fence, PortError> {
        self.log.fence(producer).await
    }

    async fn append(&self, fence: &Fence, records: Vec<Outgoing>) -> Result<Appended, PortError> {
        if !self.silent.swap(false, Ordering::SeqCst) {
            return self.log.append(fence, records).await;
        }
        if self.commits {
            assert_eq!(self.log.append(fence, records).await.unwrap(), Appended::Done);
        }
        Err(PortError::Unknown("the connection broke".into()))
    }

    async fn fetch(
        &self,
        topic: &TopicIdentity,
        partition: u32,
        from: u64,
        limit: usize,
    ) -> Result<Fetched, PortError> {
        self.log.fetch(topic, partition, from, limit).await
    }

    async fn ends(&self, topic: &TopicIdentity, partition: u32) -> Result<Option<(u64, u64)>, PortError> {
        self.log.ends(topic, partition).await
    }
}

async fn records(log: &Mute, topic: &str) -> usize {
    let topic = log.topic(topic).await.unwrap().unwrap();
    let Fetched::Records(fetch) = log.fetch(&topic, 0, 0, 100).await.unwrap() else {
        panic!("from the oldest")
    };
    fetch.records.len()
}

async fn each_row_is_there_once(commits: bool) {
    let files = Files::new();
    let database = things(&files).await;
    let outlets = thing_outlets(1);
    let state = outlets.iter().next().unwrap().channels[0].topic.clone();
    let contract = "thing".parse().unwrap();
    let log = Mute { log: files.log().await, commits, silent: AtomicBool::new(true) };
    for spec in outlets.iter().flat_map(|outlet| &outlet.channels).map(|channel| &channel.spec) {
        log.create(spec).await.unwrap();
    }
    log.create(&outlets.batches()).await.unwrap();
    let mut service = files.service().await;
    for key in ["a", "b"] {
        let sql = format!(
            "INSERT INTO thing VALUES ('{key}', 'new', 1); \
             INSERT INTO seamline_publish (contract, change, key) VALUES ('thing', 'ThingMade', '[\"{key}\"]')"
        );
        run(&mut service, &sql).await.unwrap();
    }
    let clock = &*files.hands;
    let ports =
        RelayPorts { source: &database, log: &log, clock, holder: "one", ttl: TTL, first_rows: FIRST_ROWS };
    let TakeOver::Held(mut relay) = Relay::take_over(ports, &outlets).await.unwrap() else {
        panic!("nobody else is there")
    };
    assert!(matches!(relay.step().await, Err(PortError::Unknown(_))));
    assert_eq!(database.waiting(10).await.unwrap().len(), 2, "nothing leaves before it is known to be there");
    let Step::Stepped(stepped) = relay.step().await.unwrap() else { panic!("it is still ours") };
    assert_eq!(stepped.published, if commits { 0 } else { 2 }, "what is there is not sent again");
    assert_eq!(records(&log, &state).await, 2);
    let counts = database.counts(&contract).await.unwrap();
    assert_eq!((counts.published, counts.waiting, counts.missing()), (2, 0, 0));
}

#[tokio::test]
async fn a_batch_that_is_in_the_log_is_removed_and_not_sent_again() {
    each_row_is_there_once(true).await;
}

#[tokio::test]
async fn a_batch_that_never_came_to_the_log_is_sent_again() {
    each_row_is_there_once(false).await;
}

#[tokio::test]
async fn rows_of_a_contract_that_is_not_served_make_their_case_once_in_a_while() {
    let files = Files::new();
    let database = things(&files).await;
    publish_a_thing(&files).await;
    let outlets = OutletSet::new("proof".parse().unwrap(), "db".parse().unwrap(), Vec::new()).unwrap();
    let log = files.log().await;
    let ports = RelayPorts {
        source: &database,
        log: &log,
        clock: &*files.hands,
        holder: "one",
        ttl: TTL,
        first_rows: FIRST_ROWS,
    };
    let TakeOver::Held(mut relay) = Relay::take_over(ports, &outlets).await.unwrap() else {
        panic!("nobody else is there")
    };
    for cases in [1, 0] {
        let Step::Stepped(stepped) = relay.step().await.unwrap() else { panic!("it is still ours") };
        assert_eq!((stepped.cases.len(), stepped.staying), (cases, 1));
    }
    files.hands.pass(PARKED);
    let Step::Stepped(stepped) = relay.step().await.unwrap() else { panic!("it is still ours") };
    assert_eq!(stepped.cases.len(), 1, "it is still so");
}

#[tokio::test]
async fn a_lane_that_stands_still_raises_its_case_once() {
    let files = Files::new();
    let (database, log) = (files.context().await, files.log().await);
    database.install_consumer(&[]).await.unwrap();
    let lane = Lane { subscription: "other/things".parse().unwrap(), topic: "t".to_owned(), partition: 0 };
    let spec = TopicSpec {
        name: "t".to_owned(),
        partitions: 1,
        cleanup: Cleanup::Delete { retention: None },
        value_bytes_max: 0,
    };
    let topic = log.create(&spec).await.unwrap();
    let ports = Ports { store: &database, log: &log, clock: &*files.hands, holder: "one", ttl: TTL };
    let Gripped::Held(grip) = database.grip(&lane, "one", at(0), TTL, false).await.unwrap() else {
        panic!("nobody else is there")
    };
    let mut hold = Hold::held(lane, topic.clone(), grip, at(0));
    let mut begun = hold.batch(hold.state().clone());
    begun.next.position = Some(Position {
        cluster: topic.cluster,
        topic_id: topic.id,
        partition: 0,
        leader_epoch: -1,
        offset: 0,
    });
    assert_eq!(hold.commit(ports, None, begun).await.unwrap(), Committed::Done);
    let case = NewCase {
        kind: CaseKind::Topic,
        fingerprint: "topic/other/things/t".to_owned(),
        subject: "other/things".to_owned(),
        owed_by: "other".parse().unwrap(),
        summary: "it stands still".to_owned(),
        details: "{}".to_owned(),
    };
    for _ in 0..3 {
        let step = hold.stop(ports, case.clone()).await.unwrap();
        assert_eq!(step, Halted::Stopped(Box::new(case.clone())));
    }
    files.hands.pass(TTL);
    hold.stop(ports, case).await.unwrap();
    let times: Vec<u64> = database.cases(true).await.unwrap().iter().map(|case| case.times).collect();
    assert_eq!(times, [1]);
}

/// As random as a test wants it.
struct Nine;

impl Entropy for Nine {
    fn bytes(&self) -> [u8; 32] {
        [9; 32]
    }
}

#[tokio::test]
async fn partitions_added_in_the_broker_are_not_used() {
    let (files, outlets) = (Files::new(), thing_outlets(3));
    let (database, log) = (things(&files).await, files.log().await);
    let topics = outlets.iter().flat_map(|outlet| &outlet.channels).map(|channel| channel.topic.clone());
    let topics: Vec<String> = topics.collect();
    // Noted when the topic had two.
    digest_key::ensure(&log, &Nine, &topics[0], 2).await.unwrap();
    outlets.create_topics(&log, &Nine).await.unwrap();
    publish_a_thing(&files).await;
    let ports = RelayPorts {
        source: &database,
        log: &log,
        clock: &*files.hands,
        holder: "one",
        ttl: TTL,
        first_rows: FIRST_ROWS,
    };
    let TakeOver::Held(mut relay) = Relay::take_over(ports, &outlets).await.unwrap() else {
        panic!("nobody else is there")
    };
    let Step::Stepped(stepped) = relay.step().await.unwrap() else { panic!("it is still ours") };
    assert_eq!((stepped.published, stepped.staying, stepped.cases.len()), (0, 1, 1));
    let summary = &stepped.cases[0].summary;
    assert!(summary.contains(&topics[0]) && summary.contains("3 partitions"), "{summary}");
}

/// A ledger that another pass takes when it is first scanned.
struct Taken<'a> {
    ledger: &'a Database,
    topic: String,
}

impl Ledger for Taken<'_> {
    async fn ledger_clear(&self, topic: &str) -> Result<(), PortError> {
        self.ledger.ledger_clear(topic).await
    }

    async fn ledger_put(&self, topic: &str, entries: &[Entry]) -> Result<(), PortError> {
        self.ledger.ledger_put(topic, entries).await
    }

    async fn ledger_get(&self, topic: &str, keys: &[RecordKey]) -> Result<Vec<Option<Entry>>, PortError> {
        self.ledger.ledger_get(topic, keys).await
    }

    async fn ledger_scan(
        &self,
        topic: &str,
        after: Option<&RecordKey>,
        limit: usize,
    ) -> Result<Vec<Entry>, PortError> {
        if topic == self.topic {
            self.ledger.ledger_clear(&format!("{topic} pass")).await?;
            self.ledger.ledger_clear(topic).await?;
        }
        self.ledger.ledger_scan(topic, after, limit).await
    }
}

#[tokio::test]
async fn of_two_passes_over_one_ledger_at_most_one_concludes() {
    let (files, outlets) = (Files::new(), thing_outlets(1));
    let (database, log) = (things(&files).await, files.log().await);
    outlets.create_topics(&log, &Nine).await.unwrap();
    publish_a_thing(&files).await;
    let ports = RelayPorts {
        source: &database,
        log: &log,
        clock: &*files.hands,
        holder: "one",
        ttl: TTL,
        first_rows: FIRST_ROWS,
    };
    let TakeOver::Held(mut relay) = Relay::take_over(ports, &outlets).await.unwrap() else {
        panic!("nobody else is there")
    };
    relay.step().await.unwrap();
    let outlet = outlets.iter().next().unwrap();
    let state = outlet.channels_of(ChannelKind::State).next().unwrap();
    let alone = check_source(&database, &database, &log, outlet, "one").await.unwrap();
    assert!(alone.reports.iter().all(|report| report.outcome == Outcome::Clean), "{alone:?}");
    let taken = Taken { ledger: &database, topic: state.topic.clone() };
    let beside = check_source(&database, &taken, &log, outlet, "two").await.unwrap();
    let outcome = &beside.reports[0].outcome;
    assert!(matches!(outcome, Outcome::Inconclusive(why) if why[0].contains("same time")), "{beside:?}");
    assert!(beside.reports.iter().all(|report| report.drifts.is_empty()) && beside.cases.is_empty());
}

fn thing_outlets(partitions: u32) -> OutletSet {
    let contract = published(THING, "feed: outbox, table: thing").0;
    let outlet = Outlet::compile(&contract, DEFAULT_TOPICS, partitions).unwrap();
    OutletSet::new("proof".parse().unwrap(), "db".parse().unwrap(), vec![outlet]).unwrap()
}

async fn publish_a_thing(files: &Files) {
    let publish = "INSERT INTO thing VALUES ('a', 'new', 1); \
                   INSERT INTO seamline_publish (contract, change, key) VALUES ('thing', 'ThingMade', '[\"a\"]')";
    run(&mut files.service().await, publish).await.unwrap();
}
