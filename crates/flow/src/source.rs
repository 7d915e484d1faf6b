//! The port to a producer's database: the outbox as a queue, publishing by key, quarantine, the source view.

use crate::case::NewCase;
use crate::port::PortError;
use jiff::Timestamp;
use seamline_contract::id::{ContractId, Version};
use seamline_message::codec::Change;
use seamline_message::key::RecordKey;
use seamline_message::sequence::Sequence;
use std::collections::BTreeMap;
use std::time::Duration;

/// What an outbox row is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// An event, and the state after it.
    Change(Change),
    /// The state alone (re-emission, backfill): to state topics only, chains are left alone.
    State,
    /// Takes the place of an event that was lost or discarded in the chain of one events channel.
    Void {
        /// The channel, by the name of its chains: as `ChannelId` prints it, after the major where that is older (`1/events`).
        channel: String,
        /// The sequence whose place it takes.
        sequence: Sequence,
        /// What preceded it on that channel.
        previous: Option<Sequence>,
    },
}

/// A row of the outbox, as the service's transaction left it.
#[derive(Debug, Clone, PartialEq)]
pub struct OutboxRow {
    /// Its id: the order of truth for its key.
    pub sequence: Sequence,
    /// The contract.
    pub contract: ContractId,
    /// The contract's version when it was written.
    pub version: Version,
    /// The key as given to publish; canonical, or the row is invalid.
    pub key: String,
    /// What it is about.
    pub act: Act,
    /// The state of that moment in source form; none: the key has no row.
    pub state: Option<Vec<u8>>,
    /// The values of attributes with `moves` as published before, a JSON object; none: the key was new or had ended.
    pub moved: Option<Vec<u8>>,
    /// By the name of the chains of each events channel that the change travels on: the key's previous sequence there, none
    /// beginning a chain.
    pub previous: BTreeMap<String, Option<Sequence>>,
    /// When it was written.
    pub written_at: Timestamp,
    /// What caused it, as the service said.
    pub correlation: Option<String>,
    /// The message that caused it, as the service said.
    pub causation: Option<String>,
    /// W3C trace context, as the service said.
    pub traceparent: Option<String>,
    /// An earlier row of its key is in quarantine: it must go behind it.
    pub behind: bool,
}

impl OutboxRow {
    /// Returns the place in the queue: a void stands where the event stood whose place it takes.
    pub fn place(&self) -> Sequence {
        match &self.act {
            Act::Void { sequence, .. } => *sequence,
            Act::Change(_) | Act::State => self.sequence,
        }
    }

    /// Returns how many bytes its key, details and state have.
    pub fn weight(&self) -> u64 {
        let details = match &self.act {
            Act::Change(change) => change.details.as_ref().map_or(0, Vec::len),
            Act::State | Act::Void { .. } => 0,
        };
        (self.key.len() + details + self.state.as_ref().map_or(0, Vec::len)) as u64
    }
}

/// Returns the first rows, as many as reach the weight.
pub fn within(mut rows: Vec<OutboxRow>, weight: u64) -> Vec<OutboxRow> {
    let mut before = 0;
    let fits = |row: &OutboxRow| {
        let fits = before < weight;
        before += row.weight();
        fits
    };
    let kept = rows.iter().map(fits).take_while(|fits| *fits).count();
    rows.truncate(kept);
    rows
}

/// The holder's claim on an outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenure {
    /// Rises with every take-over.
    pub epoch: u64,
    /// The number of the last batch removed; zero before the first.
    pub batch: u64,
}

/// The answer to a take-over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// It is ours.
    Held(Tenure),
    /// Another holds it.
    Busy {
        /// Until when, unless renewed.
        until: Timestamp,
    },
}

/// A row that breaks its contract, or waits behind one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    /// The row.
    pub sequence: Sequence,
    /// Rule, path and message of its first violation; none when it only waits behind another.
    pub violation: Option<(String, String, String)>,
}

/// What leaves the outbox in one transaction.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Removal {
    /// The batch's number: one more than the tenure's; the same when nothing was published.
    pub number: u64,
    /// Rows that are in the log.
    pub published: Vec<Sequence>,
    /// Rows that move to quarantine.
    pub aside: Vec<SetAside>,
    /// Rows that are put off until their hour.
    pub deferred: Vec<Sequence>,
    /// Cases to raise with it.
    pub cases: Vec<NewCase>,
}

/// Where a source stands among its incarnations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Incarnation {
    /// That of the highest sequence drawn.
    pub current: u16,
    /// It was opened by a rebase, and not every key was published in it yet.
    pub filling: bool,
    /// The number of the last batch removed.
    pub batch: u64,
}

/// The next incarnation of a source, to be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rebase {
    /// Its number.
    pub incarnation: u16,
    /// The number of the last batch in the log; zero where it has none.
    pub batch: u64,
    /// Rows that wait and are in the log already: they leave as published.
    pub published: Vec<Sequence>,
}

/// The answer to a removal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removed {
    /// Exactly those rows left.
    Done,
    /// A later tenure exists, or the batch number does not follow: nothing left.
    Fenced,
}

/// A row of the source view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceRow {
    /// Its key.
    pub key: RecordKey,
    /// Its state in source form.
    pub state: Vec<u8>,
}

/// What the source knows of a key, read under the key's lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFacts {
    /// The key.
    pub key: RecordKey,
    /// The state of the source view in source form; none: no row.
    pub state: Option<Vec<u8>>,
    /// The last sequence drawn for it; none: never published.
    pub sequence: Option<Sequence>,
    /// The last sequence on each events channel.
    pub chains: BTreeMap<String, Sequence>,
    /// An outbox row of it waits.
    pub waiting: bool,
    /// A row of it is in quarantine.
    pub aside: bool,
}

/// A row in quarantine at the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AsideRow {
    /// The row's sequence.
    pub sequence: Sequence,
    /// The contract.
    pub contract: ContractId,
    /// The contract's version when it was written.
    pub version: Version,
    /// The key as given to publish.
    pub key: String,
    /// The event; none for state alone.
    pub change: Option<String>,
    /// Rule, path and message; none when it only waits behind another.
    pub violation: Option<(String, String, String)>,
    /// When it was set aside.
    pub since: Timestamp,
}

/// The conserved counts of one contract at its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SourceCounts {
    /// Outbox rows ever written, by the keys' own counters.
    pub committed: u64,
    /// Rows that are in the log.
    pub published: u64,
    /// Rows that wait.
    pub waiting: u64,
    /// Those of them that are put off until their hour.
    pub deferred: u64,
    /// Rows in quarantine.
    pub aside: u64,
    /// Rows whose loss was found, explained and mended; each behind a case.
    pub lost: u64,
}

impl SourceCounts {
    /// Returns how many committed rows are nowhere. Negative: more left than were written.
    pub fn missing(&self) -> i128 {
        i128::from(self.committed)
            - i128::from(self.published)
            - i128::from(self.waiting)
            - i128::from(self.aside)
            - i128::from(self.lost)
    }
}

/// A producer's database.
pub trait Source: Send + Sync {
    /// Raises the epoch of the outbox's lease and commits, if it is free, expired or already this holder's.
    fn take_over(
        &self,
        holder: &str,
        now: Timestamp,
        ttl: Duration,
    ) -> impl Future<Output = Result<Taken, PortError>> + Send;

    /// Returns the lowest waiting rows, at most `limit`, in ONE snapshot; fewer than `limit` are all there are. They are in
    /// the order of sequence, a void in that of the sequence whose place it takes.
    fn waiting(&self, limit: usize) -> impl Future<Output = Result<Vec<OutboxRow>, PortError>> + Send;

    /// Returns the first of what `waiting` returns, as many as reach the weight: all but the last weigh less together. So
    /// fewer than `limit` that weigh less are all there are.
    fn waiting_within(
        &self,
        limit: usize,
        weight: u64,
    ) -> impl Future<Output = Result<Vec<OutboxRow>, PortError>> + Send {
        async move { Ok(within(self.waiting(limit).await?, weight)) }
    }

    /// Returns the lowest rows behind these, which `waiting` returned before and which are all that wait up to there, at most
    /// `limit` and as many as reach the weight, in one snapshot. Returns none when other rows wait up to there by now, or
    /// fewer: then only `waiting` tells.
    fn waiting_behind(
        &self,
        taken: &[OutboxRow],
        limit: usize,
        weight: u64,
    ) -> impl Future<Output = Result<Vec<OutboxRow>, PortError>> + Send {
        async move {
            let mut all = self.waiting(taken.len() + limit).await?;
            let same = all.iter().zip(taken).filter(|(now, then)| now.sequence == then.sequence).count();
            Ok(if same == taken.len() { within(all.split_off(same), weight) } else { Vec::new() })
        }
    }

    /// Waits until rows may have come, at most as long as `patience`. Returns false at once where nobody tells.
    ///
    /// Cancel safe.
    fn doze(&self, patience: Duration) -> impl Future<Output = Result<bool, PortError>> + Send {
        let _ = patience;
        async { Ok(false) }
    }

    /// Returns rows of a contract that were put off and written at that moment or before, at most `limit` and as many as reach the
    /// weight, in one snapshot: those of a key together, in the order of the queue, and none that stands behind one of its key
    /// which was written later or is in the outbox. Fewer than `limit` that weigh less are all there are.
    fn due(
        &self,
        contract: &ContractId,
        until: Timestamp,
        limit: usize,
        weight: u64,
    ) -> impl Future<Output = Result<Vec<OutboxRow>, PortError>> + Send;

    /// Returns those of some rows that are put off.
    fn deferred(&self, rows: &[Sequence]) -> impl Future<Output = Result<Vec<OutboxRow>, PortError>> + Send;

    /// Moves what was put off back to the outbox, but for those contracts. Returns how many rows.
    fn recall(&self, but: &[ContractId]) -> impl Future<Output = Result<u64, PortError>> + Send;

    /// Removes exactly those rows, put off or not, and puts others off, in one transaction that locks the lease row and checks epoch and batch number. It
    /// prolongs the lease by `ttl` from `now`.
    ///
    /// # Errors
    /// After `Unknown` it may be done: take over again.
    fn remove(
        &self,
        tenure: &Tenure,
        removal: &Removal,
        now: Timestamp,
        ttl: Duration,
    ) -> impl Future<Output = Result<Removed, PortError>> + Send;

    /// Returns where the source stands among its incarnations, in one snapshot.
    fn incarnation(&self) -> impl Future<Output = Result<Incarnation, PortError>> + Send;

    /// Opens an incarnation, in one transaction that locks the lease row, checks the epoch and lets nobody publish meanwhile:
    /// rows that are in the log leave; what was put off is back in the outbox; all others, those in quarantine among them, get sequences of it in their order, each
    /// naming as previous what it named before under its new sequence; the batch number is the log's; it counts as not filled
    /// yet. Voids stay as they are: they stand for older sequences. Where it is open already, nothing changes.
    ///
    /// # Errors
    /// After `Unknown` it may be done: it is safe to repeat.
    fn rebase(
        &self,
        tenure: &Tenure,
        rebase: &Rebase,
        now: Timestamp,
        ttl: Duration,
    ) -> impl Future<Output = Result<Removed, PortError>> + Send;

    /// Says that every key was published in the incarnation.
    fn filled(&self, incarnation: u16) -> impl Future<Output = Result<(), PortError>> + Send;

    /// Writes outbox rows with the state that the source view holds for these keys, each under its key's lock; a key without a
    /// row yields its removal. Returns how many rows were written. After an error some may be: writing them again is no harm.
    fn emit(
        &self,
        contract: &ContractId,
        keys: &[RecordKey],
    ) -> impl Future<Output = Result<u64, PortError>> + Send;

    /// Writes an outbox row that takes the place of a lost event of a key. The loss counts as explained while rows are
    /// missing; where none is, the event was counted as published and the log lost it, and the counts stay as they are.
    fn void(
        &self,
        contract: &ContractId,
        key: &RecordKey,
        act: &Act,
    ) -> impl Future<Output = Result<(), PortError>> + Send;

    /// Counts rows as lost and explained.
    fn explain_lost(
        &self,
        contract: &ContractId,
        rows: u64,
    ) -> impl Future<Output = Result<(), PortError>> + Send;

    /// Returns rows of the source view in the order of their keys, after a key, at most `limit`. The order is the
    /// adapter's own, total and stable.
    fn scan(
        &self,
        contract: &ContractId,
        after: Option<&RecordKey>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<SourceRow>, PortError>> + Send;

    /// Returns what the source knows of keys, each read under its lock, in the order asked.
    fn look(
        &self,
        contract: &ContractId,
        keys: &[RecordKey],
    ) -> impl Future<Output = Result<Vec<KeyFacts>, PortError>> + Send;

    /// Returns the keys ever published, in text order after a key, at most `limit`; `state` is left empty.
    fn published(
        &self,
        contract: &ContractId,
        after: Option<&RecordKey>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<KeyFacts>, PortError>> + Send;

    /// Returns the conserved counts of a contract, in one snapshot.
    fn counts(&self, contract: &ContractId) -> impl Future<Output = Result<SourceCounts, PortError>> + Send;

    /// Returns rows in quarantine by sequence, after one, at most `limit`.
    fn aside_after(
        &self,
        after: Option<Sequence>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<AsideRow>, PortError>> + Send;

    /// Returns the first rows in quarantine by sequence, at most `limit`.
    fn aside(&self, limit: usize) -> impl Future<Output = Result<Vec<AsideRow>, PortError>> + Send {
        self.aside_after(None, limit)
    }

    /// Returns one row in quarantine as it was in the outbox; none where there is none of that sequence.
    fn aside_row(
        &self,
        sequence: Sequence,
    ) -> impl Future<Output = Result<Option<OutboxRow>, PortError>> + Send;

    /// Moves all rows of some keys from quarantine back to the outbox, as they are, in their order, in one transaction.
    /// Returns how many.
    fn redrive_all(
        &self,
        contract: &ContractId,
        keys: &[String],
    ) -> impl Future<Output = Result<u64, PortError>> + Send;

    /// Moves all rows of a key from quarantine back to the outbox, as they are, in their order. Returns how many.
    fn redrive(
        &self,
        contract: &ContractId,
        key: &str,
    ) -> impl Future<Output = Result<u64, PortError>> + Send {
        async move { self.redrive_all(contract, &[key.to_owned()]).await }
    }

    /// Discards one row in quarantine: a row with a change leaves a void in each of its chains; rows behind it stay
    /// aside until redriven. Returns whether it was there.
    fn discard(&self, sequence: Sequence) -> impl Future<Output = Result<bool, PortError>> + Send;
}
