//! Reading a partition once: from its oldest record to an end that is fixed at the start.

use crate::log::{Fetched, Incoming, Log};
use crate::port::PortError;
use crate::position::TopicIdentity;

/// How often in a row a read may come back without progress before the end.
pub(crate) const STANDSTILLS_MAX: u32 = 16;

/// The topic is gone, or another one of its name took its place, while it was read.
#[derive(Debug, thiserror::Error)]
#[error("the topic `{0}` went away while it was read")]
pub struct WentAway(pub String);

/// The log has records up to the end, and hands none of them over.
#[derive(Debug, thiserror::Error)]
#[error("partition {partition} of the topic `{topic}` stands still at offset {offset}, before its end {end}")]
pub struct Standstill {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: u32,
    /// Where the reading stands.
    pub offset: u64,
    /// Where it should come to.
    pub end: u64,
}

/// A partition that is being read once.
#[derive(Debug, Clone)]
pub struct Sweep {
    topic: TopicIdentity,
    partition: u32,
    /// The oldest offset when it began, or where it went on after what was removed meanwhile.
    pub start: u64,
    /// The end when it began; records at or after it are not handed over.
    pub end: u64,
    next: u64,
    standstills: u32,
}

impl Sweep {
    /// Fixes the end of a partition.
    ///
    /// # Errors
    /// The log's; `NotApplied` with `WentAway` when there is no such topic.
    pub async fn begin<L: Log>(log: &L, topic: &TopicIdentity, partition: u32) -> Result<Sweep, PortError> {
        let Some((start, end)) = log.ends(topic, partition).await? else { return Err(went_away(topic)) };
        Ok(Sweep { topic: topic.clone(), partition, start, end, next: start, standstills: 0 })
    }

    /// Goes on from an offset instead of the oldest one, where that is later.
    #[must_use]
    pub fn from(mut self, offset: u64) -> Sweep {
        self.next = self.next.max(offset);
        self
    }

    /// Returns the next records, at most `limit`, perhaps none; `None` at the end. What was removed meanwhile is passed over.
    ///
    /// # Errors
    /// The log's; `NotApplied` with `WentAway` or `Standstill`. It can go on after any of them.
    pub async fn next<L: Log>(&mut self, log: &L, limit: usize) -> Result<Option<Vec<Incoming>>, PortError> {
        if self.next >= self.end {
            return Ok(None);
        }
        let before = self.next;
        let mut records = match log.fetch(&self.topic, self.partition, before, limit).await? {
            Fetched::Records(fetch) => {
                self.next = self.next.max(fetch.next);
                fetch.records
            }
            Fetched::OutOfRange { start, .. } => {
                self.next = self.next.max(start);
                self.start = self.start.max(start);
                Vec::new()
            }
            Fetched::NoTopic => return Err(went_away(&self.topic)),
        };
        self.standstills = if self.next > before { 0 } else { self.standstills + 1 };
        if self.standstills >= STANDSTILLS_MAX {
            self.standstills = 0;
            let (topic, partition) = (self.topic.name.clone(), self.partition);
            let standstill = Standstill { topic, partition, offset: before, end: self.end };
            return Err(PortError::NotApplied(Box::new(standstill)));
        }
        records.retain(|record| record.offset < self.end);
        Ok(Some(records))
    }
}

fn went_away(topic: &TopicIdentity) -> PortError {
    PortError::NotApplied(Box::new(WentAway(topic.name.clone())))
}
