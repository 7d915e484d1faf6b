//! The port to the log: topics, a fence by epoch, atomic appends to several topics, reads with offset holes.

use crate::port::PortError;
use crate::position::TopicIdentity;
use jiff::Timestamp;
use seamline_message::codec::avro::SchemaId;
use seamline_message::headers::Headers;
use seamline_message::violation::Violation;
use std::time::Duration;

/// What a topic keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cleanup {
    /// The last record of each key.
    Compact {
        /// How long a tombstone stays readable after it could be removed.
        tombstones: Duration,
        /// How long a record surely stays after it was overtaken (`min.compaction.lag.ms`).
        min_lag: Duration,
        /// How long an overtaken record stays at most (`max.compaction.lag.ms`); none: until the log comes to it.
        max_lag: Option<Duration>,
    },
    /// Everything for a time; none keeps for ever.
    Delete {
        /// How long.
        retention: Option<Duration>,
    },
}

/// What to do where a topic has another number of partitions than it should: keys would change theirs.
pub const KEEP_PARTITIONS: &str = "partitions of a topic are never changed: set `partitions` back; \
    `generations` of the environment begins topics with another number";

/// A topic as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSpec {
    /// The name.
    pub name: String,
    /// Fixed for the topic's generation; at least one.
    pub partitions: u32,
    /// What it keeps.
    pub cleanup: Cleanup,
    /// The greatest size of a value, in bytes; a log may always take more.
    pub value_bytes_max: u64,
}

/// A record to append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// The topic.
    pub topic: String,
    /// The partition, chosen by us.
    pub partition: u32,
    /// The record key.
    pub key: Option<Vec<u8>>,
    /// In order; names may repeat.
    pub headers: Headers,
    /// None is a tombstone.
    pub value: Option<Vec<u8>>,
}

/// A record as read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incoming {
    /// Its offset.
    pub offset: u64,
    /// The epoch of the leader that took it.
    pub leader_epoch: i32,
    /// When the broker says it was taken.
    pub time: Timestamp,
    /// The record key; anybody may have written it.
    pub key: Option<Vec<u8>>,
    /// In order; names may repeat, values may be null or binary.
    pub headers: Headers,
    /// None is a tombstone.
    pub value: Option<Vec<u8>>,
    /// Why it could not be brought into the form in which messages are read: then it is as it was sent.
    pub fault: Option<Violation>,
}

/// What a read found: committed records only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetch {
    /// In the order of offsets; holes are usual.
    pub records: Vec<Incoming>,
    /// Where to read on: after everything examined, records or not. Never before the offset asked for.
    pub next: u64,
    /// The oldest offset there is.
    pub start: u64,
    /// The end of what is committed: the offset the next record gets, at least.
    pub end: u64,
}

/// The answer to a read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fetched {
    /// What is there.
    Records(Fetch),
    /// The offset is before the oldest or after the end.
    OutOfRange {
        /// The oldest offset there is.
        start: u64,
        /// The end.
        end: u64,
    },
    /// There is no such topic or partition, or the topic was made anew.
    NoTopic,
    /// The next record names an Avro schema that is not to be had.
    NoSchema(SchemaId),
}

/// The right of one producer to append, until the next one with its name takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fence {
    /// The producer's name (`transactional.id`).
    pub producer: String,
    /// Rises with every fence of that name.
    pub epoch: u64,
}

/// The answer to an append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Appended {
    /// All records are committed, in their order for each partition.
    Done,
    /// A later fence of that name exists: nothing was committed, and nothing ever will be under this one.
    Fenced,
    /// A topic refuses for good (it does not exist, authorization, size): nothing was committed.
    Refused {
        /// The topic.
        topic: String,
        /// Why.
        reason: String,
    },
}

/// The log. Implementations are shared by reference between tasks.
pub trait Log: Send + Sync {
    /// Returns a topic, or none.
    fn topic(&self, name: &str) -> impl Future<Output = Result<Option<TopicIdentity>, PortError>> + Send;

    /// Makes a topic if there is none of that name, and returns the one there is.
    fn create(&self, spec: &TopicSpec) -> impl Future<Output = Result<TopicIdentity, PortError>> + Send;

    /// Takes the right to append under a name: whoever had it before is `Fenced` from now on, also in calls under way.
    fn fence(&self, producer: &str) -> impl Future<Output = Result<Fence, PortError>> + Send;

    /// Appends to several topics atomically: a reader sees all of them or none.
    ///
    /// # Errors
    /// After `Unknown` they may be committed; repeat, or take the fence anew.
    fn append(
        &self,
        fence: &Fence,
        records: Vec<Outgoing>,
    ) -> impl Future<Output = Result<Appended, PortError>> + Send;

    /// Reads at most `limit` committed records of a partition from an offset on. Returns at once at the end of the partition;
    /// before it, waits a moment (at most about a second) for what is there.
    fn fetch(
        &self,
        topic: &TopicIdentity,
        partition: u32,
        from: u64,
        limit: usize,
    ) -> impl Future<Output = Result<Fetched, PortError>> + Send;

    /// Returns the oldest offset of a partition and its end, as the log itself says now: what was `decided` before the call lies before
    /// the end, and a `fetch` after it takes no earlier offset for the end. None where there is no such partition, or the topic was made
    /// anew.
    fn ends(
        &self,
        topic: &TopicIdentity,
        partition: u32,
    ) -> impl Future<Output = Result<Option<(u64, u64)>, PortError>> + Send;

    /// Waits until all that was appended to a partition before the call is decided: aborted, or committed and seen by whoever
    /// reads from then on. Returns false where that takes longer than a while; at once where appends are seen at once.
    fn decided(
        &self,
        topic: &TopicIdentity,
        partition: u32,
    ) -> impl Future<Output = Result<bool, PortError>> + Send {
        let _ = (topic, partition);
        async { Ok(true) }
    }
}
