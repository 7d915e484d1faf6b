//! What a broker answers: a topic described, or why not.

use rdkafka::error::RDKafkaErrorCode;

/// A call that the broker or the client refused.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{what}: {code}{}", said.as_ref().map_or(String::new(), |said| format!(": {said}")))]
pub(crate) struct Failed {
    /// What was asked.
    pub(crate) what: &'static str,
    /// The answer.
    pub(crate) code: RDKafkaErrorCode,
    /// What the broker says more.
    pub(crate) said: Option<String>,
}

/// A topic as the broker describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Described {
    /// The topic's id, as Kafka's tools write it.
    pub(crate) id: String,
    /// How many partitions it has.
    pub(crate) partitions: u32,
    /// How many replicas the partition with the fewest has.
    pub(crate) replicas: u32,
    /// We may write to it, as far as the broker says.
    pub(crate) may_write: bool,
}

/// Returns whether the broker says that there is no such topic or partition.
pub(crate) fn is_absent(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition | Code::InvalidTopic
    )
}
