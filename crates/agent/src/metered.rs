//! The log as a pass reads it: counted in bytes, and no faster than it may.

use crate::crew::pause;
use seamline_flow::log::{Appended, Fence, Fetched, Log, Outgoing, TopicSpec};
use seamline_flow::port::PortError;
use seamline_flow::position::TopicIdentity;
use std::sync::atomic::{AtomicU64, Ordering};

/// A log whose reads are counted.
pub(crate) struct Metered<'a, L> {
    log: &'a L,
    bytes: AtomicU64,
    /// Records a second; none: as fast as the log gives them.
    rate: Option<u32>,
}

impl<'a, L> Metered<'a, L> {
    pub(crate) fn new(log: &'a L, rate: Option<u32>) -> Metered<'a, L> {
        Metered { log, bytes: AtomicU64::new(0), rate }
    }

    /// Returns how many bytes of records were read so far: keys, headers and values.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

impl<L: Log> Log for Metered<'_, L> {
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
        self.log.append(fence, records).await
    }

    async fn fetch(
        &self,
        topic: &TopicIdentity,
        partition: u32,
        from: u64,
        limit: usize,
    ) -> Result<Fetched, PortError> {
        let fetched = self.log.fetch(topic, partition, from, at_once(limit, self.rate)).await?;
        if let Fetched::Records(fetch) = &fetched {
            let bytes: usize = fetch
                .records
                .iter()
                .map(|record| {
                    let headers = record.headers.iter();
                    let headers: usize = headers
                        .map(|(name, value)| name.len() + value.as_ref().map_or(0, |value| value.len()))
                        .sum();
                    let of = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
                    headers + of(&record.key) + of(&record.value)
                })
                .sum();
            self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
            tokio::time::sleep(pause(fetch.records.len() as u64, self.rate)).await;
        }
        Ok(fetched)
    }

    async fn ends(&self, topic: &TopicIdentity, partition: u32) -> Result<Option<(u64, u64)>, PortError> {
        self.log.ends(topic, partition).await
    }

    async fn decided(&self, topic: &TopicIdentity, partition: u32) -> Result<bool, PortError> {
        self.log.decided(topic, partition).await
    }
}

/// Returns how many records are read at once: no more than in a second, so that the pause behind them is shorter than the lease
/// of whoever reads.
fn at_once(limit: usize, rate: Option<u32>) -> usize {
    rate.map_or(limit, |rate| limit.min(rate.max(1) as usize))
}

#[cfg(test)]
mod tests {
    use super::{at_once, pause};
    use std::time::Duration;

    #[test]
    fn no_pause_of_a_paced_read_is_longer_than_a_second() {
        for rate in [1, 7, 2_048, 100_000] {
            let read = at_once(2_048, Some(rate));
            assert!(read >= 1 && pause(read as u64, Some(rate)) <= Duration::from_secs(1), "{rate}: {read}");
        }
        assert_eq!(at_once(2_048, None), 2_048);
        assert_eq!(pause(2_048, None), Duration::ZERO);
        assert!(pause(2_048, Some(10)) > Duration::from_secs(200), "what a read at once would rest");
    }
}
