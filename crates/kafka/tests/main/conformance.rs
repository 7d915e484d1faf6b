//! The suite that every log passes.

use crate::fixture::{Named, PATIENCE, begin, configure, delete_topic, name, stranger};
use rdkafka::producer::Producer;
use seamline_flow::conformance::log::{LogFixture, all, read_all};
use seamline_flow::log::Log;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

struct Broker;

const DAY: Duration = Duration::from_secs(86_400);

impl LogFixture for Broker {
    type Log = Named;

    async fn fresh(&self) -> Named {
        Named::open().await
    }

    /// Instead of the time that passes, the topic's promises become shorter; then the cleaner runs, which is waited for.
    async fn compact(&self, log: &Named, topic: &str, after: Duration) -> bool {
        if after < DAY {
            return false;
        }
        // The broker fixes when a tombstone goes as it first cleans: long enough to be seen, short enough to be waited for.
        let keeps_tombstones = after < DAY * 2;
        let tombstones = if keeps_tombstones { "10000" } else { "0" };
        let named = log.named(topic);
        let settings = [
            ("cleanup.policy", "compact"),
            ("min.compaction.lag.ms", "0"),
            ("segment.ms", "1"),
            ("min.cleanable.dirty.ratio", "0.001"),
            ("delete.retention.ms", tombstones),
        ];
        configure(&named, &settings).await;
        let identity = log.topic(topic).await.unwrap().unwrap();
        let roller = stranger(&name("roller"));
        let until = Instant::now() + PATIENCE;
        loop {
            // Records of an aborted transaction are never seen, and close the segment for the cleaner.
            begin(&roller, &named, "roll");
            roller.abort_transaction(PATIENCE).unwrap();
            let records = read_all(log, &identity, 0).await;
            let keys: BTreeSet<_> = records.iter().map(|record| &record.key).collect();
            let tombstone = records.iter().any(|record| record.value.is_none());
            if keys.len() == records.len() && (keeps_tombstones || !tombstone) {
                return true;
            }
            assert!(Instant::now() < until, "the cleaner runs");
        }
    }

    async fn delete(&self, log: &Named, topic: &str) -> bool {
        delete_topic(&log.log, &log.named(topic)).await;
        true
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(not(servers_here), ignore = "not run: needs Apache Kafka; `cargo x test` starts one")]
async fn the_log_passes() {
    all(&Broker).await;
}
