//! The ledger: what the log holds for each key, by digest; kept by the producer, rebuildable from the log.

use crate::port::PortError;
use seamline_contract::id::Version;
use seamline_message::digest::Digest;
use seamline_message::key::RecordKey;
use seamline_message::sequence::Sequence;

/// The record that speaks for a key: the one with the highest sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: RecordKey,
    /// Its highest sequence in the topic.
    pub sequence: Sequence,
    /// The offset of that record.
    pub offset: u64,
    /// The sequence of its last record, which compaction keeps: another than `sequence` is a broken promise.
    pub last: Sequence,
    /// The contract version that wrote it; none for a tombstone without headers.
    pub version: Option<Version>,
    /// The digest of it.
    pub digest: Digest,
    /// It is a tombstone.
    pub ended: bool,
}

/// Storage of ledgers in the producer's own database; scratch, never the truth.
pub trait Ledger: Send + Sync {
    /// Empties the ledger of a topic.
    fn ledger_clear(&self, topic: &str) -> impl Future<Output = Result<(), PortError>> + Send;

    /// Merges entries: for each key the higher sequence stays, `last` is that of the higher offset.
    fn ledger_put(
        &self,
        topic: &str,
        entries: &[Entry],
    ) -> impl Future<Output = Result<(), PortError>> + Send;

    /// Returns the entries of keys, in the order asked.
    fn ledger_get(
        &self,
        topic: &str,
        keys: &[RecordKey],
    ) -> impl Future<Output = Result<Vec<Option<Entry>>, PortError>> + Send;

    /// Returns entries in text order after a key, at most `limit`.
    fn ledger_scan(
        &self,
        topic: &str,
        after: Option<&RecordKey>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Entry>, PortError>> + Send;
}
