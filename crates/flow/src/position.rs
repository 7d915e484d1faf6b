//! Positions in the log, and the accounting of what was handed over on the way to them.

/// A topic as the broker knows it. A topic made anew has the same name and another id.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TopicIdentity {
    /// The cluster's id.
    pub cluster: String,
    /// The topic's name.
    pub name: String,
    /// The topic's id.
    pub id: String,
    /// A fact of the topic's generation: partitions added in the broker are not used.
    pub partitions: u32,
}

/// The next offset to read of a partition of one very topic.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Position {
    /// The cluster's id.
    pub cluster: String,
    /// The topic's id.
    pub topic_id: String,
    /// The partition.
    pub partition: u32,
    /// The leader epoch of the last record read; -1 before the first.
    pub leader_epoch: i32,
    /// The next offset.
    pub offset: u64,
}

impl Position {
    /// Returns whether this position is one in the topic: same cluster, same id.
    pub fn is_in(&self, topic: &TopicIdentity) -> bool {
        self.cluster == topic.cluster && self.topic_id == topic.id
    }
}

/// What became of the records handed over between two offsets. Conserved: see `balanced`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Accounting {
    /// The first offset that the interval covers.
    pub from: u64,
    /// The offset after the last that it covers.
    pub to: u64,
    /// Records handed over by the log.
    pub handed: u64,
    /// Records whose effect is in the store; on events also those nobody reacts to.
    pub applied: u64,
    /// Older than what was there.
    pub superseded: u64,
    /// The same as what was there.
    pub duplicates: u64,
    /// Same sequence, other content, or of a set that was not taken: each a case.
    pub conflicts: u64,
    /// Overtaken by a later record of its key in the same batch.
    pub coalesced: u64,
    /// Waiting behind a broken record of their key.
    pub held: u64,
    /// Broken, waiting or discarded.
    pub quarantined: u64,
    /// Offsets that no record was handed over for: control, aborted or compacted; a client cannot tell.
    pub absent: u64,
}

impl Accounting {
    /// Returns whether every record handed over, and every offset, is accounted for.
    pub fn balanced(&self) -> bool {
        let placed = self.applied
            + self.superseded
            + self.duplicates
            + self.conflicts
            + self.coalesced
            + self.held
            + self.quarantined;
        self.handed == placed && self.to - self.from == self.handed + self.absent
    }
}
