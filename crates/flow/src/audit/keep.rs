//! The port to what an auditor keeps: where it stands in a topic, the sums up to there, and its entries, changed in one commit.

use crate::ledger::Entry;
use crate::port::PortError;
use crate::position::Position;
use crate::store::Committed;
use jiff::Timestamp;
use seamline_message::key::RecordKey;
use seamline_message::sums::Sums;
use std::time::Duration;

/// How far a partition was audited.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// Where it reads next.
    pub position: Position,
    /// The epoch of the digest key under which the sums are.
    pub digest_epoch: u32,
    /// The sums over all that was read; those of an events topic stay empty.
    pub sums: Sums,
    /// When it was surely near enough to the end to have missed nothing that the log dropped since.
    pub near: Timestamp,
}

/// An auditor's claim on a topic.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditGrip {
    /// Rises with every take-over.
    pub epoch: u64,
    /// The parts, sorted by partition; empty before the first, and where they were lost.
    pub parts: Vec<Part>,
}

/// The answer to taking the audit of a topic.
#[derive(Debug, Clone, PartialEq)]
pub enum AuditTaken {
    /// It is ours.
    Held(AuditGrip),
    /// Another holds it.
    Busy {
        /// Until when, unless renewed.
        until: Timestamp,
    },
}

/// What one write changes, in one transaction.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditWrite {
    /// The topic.
    pub topic: String,
    /// The epoch under which it is written.
    pub epoch: u64,
    /// All parts and entries of the topic go first.
    pub reset: bool,
    /// The parts as they are afterwards, those that changed.
    pub parts: Vec<Part>,
    /// Entries to merge as `Ledger::ledger_put` does.
    pub entries: Vec<Entry>,
}

/// The audit of a topic, as anybody may see it.
#[derive(Debug, Clone, PartialEq)]
pub struct Auditing {
    /// The topic.
    pub topic: String,
    /// Who holds it; none: nobody ever did.
    pub holder: Option<String>,
    /// Until when, unless renewed.
    pub until: Option<Timestamp>,
    /// The parts, sorted by partition.
    pub parts: Vec<Part>,
}

/// What auditors keep in the producer's own database. Scratch, never the truth: a crash of the server may lose all of it, and never
/// a part.
pub trait Audits: Send + Sync {
    /// Takes the audit of a topic and raises its epoch, if it is free, expired or already this holder's.
    fn audit_take(
        &self,
        topic: &str,
        holder: &str,
        now: Timestamp,
        ttl: Duration,
    ) -> impl Future<Output = Result<AuditTaken, PortError>> + Send;

    /// Writes, if the topic still has that epoch; prolongs the lease.
    ///
    /// # Errors
    /// After `Unknown` it may be durable: take the audit again and go on from what it says.
    fn audit_write(
        &self,
        write: &AuditWrite,
        now: Timestamp,
        ttl: Duration,
    ) -> impl Future<Output = Result<Committed, PortError>> + Send;

    /// Returns the entries of keys, in the order asked.
    fn audit_known(
        &self,
        topic: &str,
        keys: &[RecordKey],
    ) -> impl Future<Output = Result<Vec<Option<Entry>>, PortError>> + Send;

    /// Returns the audits by topic, without taking them.
    fn audits(&self) -> impl Future<Output = Result<Vec<Auditing>, PortError>> + Send;
}
