//! A relay that never learns what became of its append: rows reach the log once, and leave the outbox.

use crate::fixture::{Files, THING, TTL, published, run, things};
use seamline_contract::channel::DEFAULT_TOPICS;
use seamline_flow::log::{Appended, Fence, Fetched, Log, Outgoing, TopicSpec};
use seamline_flow::outlet::{Outlet, OutletSet};
use seamline_flow::port::PortError;
use seamline_flow::position::TopicIdentity;
use seamline_flow::relay::{Relay, RelayPorts, Step, TakeOver};
use seamline_flow::source::Source;
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
    let outlet =
        Outlet::compile(&published(THING, "feed: outbox, table: thing").0, DEFAULT_TOPICS, 1).unwrap();
    let (state, contract) = (outlet.channels[0].topic.clone(), "thing".parse().unwrap());
    let outlets = OutletSet::new("proof".parse().unwrap(), "db".parse().unwrap(), vec![outlet]).unwrap();
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
    let ports = RelayPorts { source: &database, log: &log, clock, holder: "one", ttl: TTL };
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
