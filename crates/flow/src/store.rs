//! The port to a consumer's database: projections with markers, inbox, quarantine, sums and positions in one commit.

use crate::case::NewCase;
use crate::port::PortError;
use crate::position::{Accounting, Position};
use jiff::Timestamp;
use seamline_contract::attribute::Type;
use seamline_contract::id::{SubscriptionRef, Version};
use seamline_contract::value::Value;
use seamline_message::digest::Digest;
use seamline_message::envelope::Header;
use seamline_message::key::RecordKey;
use seamline_message::sequence::Sequence;
use seamline_message::sums::Sums;
use std::time::Duration;

/// A column of a projection table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// The name, verbatim.
    pub name: String,
    /// The type of its values.
    pub ty: Type,
    /// It may have no value.
    pub optional: bool,
    /// Its numbers are binary floating-point ones.
    pub approximate: bool,
}

/// A projection table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Projection {
    /// Whose it is.
    pub subscription: SubscriptionRef,
    /// The table, verbatim.
    pub table: String,
    /// The columns under contract, in the order written.
    pub columns: Vec<Column>,
    /// The columns that hold the key, in the order of the key.
    pub key: Vec<usize>,
    /// The row of a key that ends stays, marked.
    pub keep_ended: bool,
    /// Who derives it anew: each has a rehearsal table of its own.
    pub rehearsal: RehearsedBy,
}

/// Who derives a projection anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum RehearsedBy {
    /// A comparison of links, which holds the lanes.
    #[default]
    Comparison,
    /// A job, while the lanes go on.
    Job,
}

/// One partition of one topic, as one subscription reads it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lane {
    /// The subscription.
    pub subscription: SubscriptionRef,
    /// The topic's name.
    pub topic: String,
    /// The partition.
    pub partition: u32,
}

/// A lane's durable row: changed only by `commit`, under the epoch.
#[derive(Debug, Clone, PartialEq)]
pub struct LaneState {
    /// Where it reads next; none before the first commit.
    pub position: Option<Position>,
    /// The end of the partition when the bootstrap began; the bootstrap is over once the position reached it.
    pub bootstrap_end: Option<u64>,
    /// The sums over what was received, held and quarantined records among them.
    pub sums: Sums,
    /// The epoch of the digest key under which the sums are.
    pub digest_epoch: u32,
    /// What became of what was handed over.
    pub accounting: Accounting,
}

/// The holder's claim on a lane.
#[derive(Debug, Clone, PartialEq)]
pub struct Grip {
    /// Rises with every take-over.
    pub epoch: u64,
    /// The lane as it was then.
    pub state: LaneState,
}

/// The answer to taking a lane.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "lanes are taken rarely, and nearly always with success")]
pub enum Gripped {
    /// It is ours.
    Held(Grip),
    /// Another holds it.
    Busy {
        /// Until when, unless renewed.
        until: Timestamp,
    },
}

/// What is kept of the message a key's row came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marker {
    /// Its sequence.
    pub sequence: Sequence,
    /// Its offset.
    pub offset: u64,
    /// The digest of the record as received.
    pub received: Digest,
    /// The digest of the row's values as stored; that of no columns for a key that ended.
    pub written: Digest,
}

/// All that is known of a key before a batch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Markers {
    /// Of its row.
    pub row: Option<Marker>,
    /// Of its end: the consumer's tombstone. A key has a row or a tombstone; with both, the higher sequence speaks.
    pub ended: Option<Marker>,
    /// Sequence and digest of its last received state when that one waits in quarantine.
    pub aside: Option<(Sequence, Digest)>,
}

/// A row to write, unless a higher sequence is there.
#[derive(Debug, Clone, PartialEq)]
pub struct RowWrite {
    /// The key.
    pub key: RecordKey,
    /// The values, by column.
    pub values: Vec<Value>,
    /// What to keep of its message.
    pub marker: Marker,
    /// What its key had when its markers were read. An adapter may write it without looking, if it takes the ordinary way
    /// where that is no longer so.
    pub had: Had,
}

/// What the key of a row had before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Had {
    /// Neither a row with a marker nor an end.
    Nothing,
    /// A row with a marker, and no end.
    Row,
    /// An end, perhaps beside a row; or nobody looked.
    More,
}

/// A key to end, unless a higher sequence is there: its row goes or is marked, its tombstone stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyEnd {
    /// The key.
    pub key: RecordKey,
    /// What to keep of its message.
    pub marker: Marker,
}

/// A reaction for the service to take from the inbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboxRow {
    /// `ce_id`; once for each subscription.
    pub id: String,
    /// The key.
    pub key: RecordKey,
    /// The event.
    pub event: String,
    /// Its sequence.
    pub sequence: Sequence,
    /// When it takes effect.
    pub effective: Option<String>,
    /// Its reason code.
    pub reason: Option<String>,
    /// What caused it, as the publishing service said.
    pub correlation: Option<String>,
    /// W3C trace context.
    pub traceparent: Option<String>,
    /// The whole payload, JSON.
    pub payload: Vec<u8>,
    /// The projection had not reached the event's sequence when the deadline passed.
    pub projection_behind: bool,
}

/// Why a record is aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AsideCause {
    /// It breaks its contract: rule, path and message.
    Invalid {
        /// The rule.
        rule: String,
        /// The path.
        path: String,
        /// What is wrong, without values.
        message: String,
    },
    /// It waits behind an earlier record of its key.
    Behind,
    /// Its chain is broken: it names a previous sequence that was not seen.
    Gap {
        /// The last sequence seen.
        seen: Option<Sequence>,
        /// The previous sequence that it names.
        named: Option<Sequence>,
    },
}

/// A record in quarantine at the consumer, exactly as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AsideRecord {
    /// Where it was read.
    pub lane: Lane,
    /// Its offset.
    pub offset: u64,
    /// Its key, where it has a canonical one.
    pub key: Option<RecordKey>,
    /// Its sequence, where it has one.
    pub sequence: Option<Sequence>,
    /// Its digest.
    pub received: Digest,
    /// Why it is here.
    pub cause: AsideCause,
    /// The record key as read.
    pub raw_key: Option<Vec<u8>>,
    /// The headers as read.
    pub headers: Vec<Header>,
    /// The value as read.
    pub value: Option<Vec<u8>>,
    /// When it was set aside.
    pub since: Timestamp,
}

/// All that one batch changes, in one transaction.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// The lane.
    pub lane: Lane,
    /// The epoch under which it is written.
    pub epoch: u64,
    /// The position that the lane must still have.
    pub expected: Option<Position>,
    /// The lane afterwards.
    pub next: LaneState,
    /// Sorted by key, no duplicates.
    pub rows: Vec<RowWrite>,
    /// Sorted by key, no duplicates, disjoint from `rows`.
    pub ended: Vec<KeyEnd>,
    /// Rows to delete with any marker they have, when their marker is exactly this (none: no marker): repairs only.
    pub purge: Vec<(RecordKey, Option<Marker>)>,
    /// Rows to overwrite even at an equal sequence, when their marker is exactly this (none: no row): repairs only.
    pub restore: Vec<(RowWrite, Option<Marker>)>,
    /// Last sequence seen on this events topic, by key, sorted.
    pub chains: Vec<(RecordKey, Sequence)>,
    /// Reactions, in order; one that is there already stays as it is.
    pub inbox: Vec<InboxRow>,
    /// Records that go aside, in order.
    pub aside: Vec<AsideRecord>,
    /// Offsets of this lane's records that leave quarantine.
    pub released: Vec<u64>,
    /// Keys whose last received state is no longer, or now is, the one aside.
    pub received_aside: Vec<(RecordKey, Option<(Sequence, Digest)>)>,
    /// The set that the rows are, where they are one.
    pub set: Option<TakenSet>,
    /// Cases to raise with it.
    pub cases: Vec<NewCase>,
}

/// The set of reference data that a table holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenSet {
    /// Its number.
    pub number: u64,
    /// How many rows it has.
    pub rows: u64,
    /// Its digest.
    pub digest: Digest,
    /// The version of the contract that wrote it.
    pub version: Version,
    /// The hour for which it was sent; none: its owner's service asked for it.
    pub hour: Option<Timestamp>,
    /// When the source was read.
    pub taken: Timestamp,
    /// When it was written here.
    pub applied: Timestamp,
}

/// The answer to a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Committed {
    /// All of it is durable.
    Done,
    /// A later epoch exists, or the position is another: nothing was written. Take the lane again.
    Fenced,
}

/// A row of a projection table as it is now, whoever wrote it.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveRow {
    /// The key that its key columns hold; none when they hold no canonical key.
    pub key: Option<RecordKey>,
    /// The adapter's own cursor of the row, for `after`.
    pub cursor: String,
    /// The values as read back; a cell that its type could not have been stored as is `Err` with its text.
    pub values: Vec<Result<Value, String>>,
    /// Its marker; none when any marker column is empty.
    pub marker: Option<Marker>,
    /// It is marked as ended.
    pub ended: bool,
}

/// A row as rehearsed from the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Rehearsed {
    /// The key.
    pub key: RecordKey,
    /// The values; none when the key ended, or is to be left.
    pub values: Option<Vec<Value>>,
    /// What its marker should be.
    pub marker: Marker,
    /// The key is to be left as it is: its last record breaks its contract, or is not asked for.
    pub left: bool,
}

/// Where live table and rehearsal differ.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// The cursor, for `after`.
    pub cursor: String,
    /// The key, where there is a canonical one.
    pub key: Option<RecordKey>,
    /// The live row.
    pub live: Option<LiveRow>,
    /// The consumer's tombstone of the key.
    pub ended: Option<Marker>,
    /// The rehearsed row.
    pub rehearsed: Option<Rehearsed>,
}

/// A consumer's database.
pub trait Store: Send + Sync {
    /// Takes a lane and raises its epoch, if it is free, expired or already this holder's. `force` takes it anyway.
    fn grip(
        &self,
        lane: &Lane,
        holder: &str,
        now: Timestamp,
        ttl: Duration,
        force: bool,
    ) -> impl Future<Output = Result<Gripped, PortError>> + Send;

    /// Returns what is known of keys, in the order asked.
    fn markers(
        &self,
        projection: &Projection,
        keys: &[RecordKey],
    ) -> impl Future<Output = Result<Vec<Markers>, PortError>> + Send;

    /// Returns the last sequence seen on an events topic and whether records of the key are aside, in the order asked.
    fn chains(
        &self,
        lane: &Lane,
        keys: &[RecordKey],
    ) -> impl Future<Output = Result<Vec<(Option<Sequence>, bool)>, PortError>> + Send;

    /// Writes a batch in one transaction, if the lane still has that epoch and position; prolongs the lease.
    ///
    /// # Errors
    /// After `Unknown` it may be durable: take the lane again and go on from what it says.
    fn commit(
        &self,
        projection: Option<&Projection>,
        batch: &Batch,
        now: Timestamp,
        ttl: Duration,
    ) -> impl Future<Output = Result<Committed, PortError>> + Send;

    /// Writes a batch as `commit` does, though nothing was read of the keys of those rows that are new. Returns none, and
    /// writes nothing, where one of these keys may have a row, an end or a record aside: read what is known of them, and
    /// commit. Adapters that gain nothing by it always do.
    ///
    /// # Errors
    /// As for `commit`.
    fn commit_unread(
        &self,
        projection: &Projection,
        batch: &Batch,
        now: Timestamp,
        ttl: Duration,
    ) -> impl Future<Output = Result<Option<Committed>, PortError>> + Send {
        let _ = (projection, batch, now, ttl);
        async { Ok(None) }
    }

    /// Returns rows of the table in the adapter's order after a cursor, at most `limit`.
    fn rows(
        &self,
        projection: &Projection,
        after: Option<&str>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<LiveRow>, PortError>> + Send;

    /// Returns the keys whose last received state is aside, with sequence and digest, in text order after a key.
    fn received_aside(
        &self,
        projection: &Projection,
        after: Option<&RecordKey>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<(RecordKey, Sequence, Digest)>, PortError>> + Send;

    /// Makes the projection's rehearsal table anew, empty.
    fn rehearsal_begin(&self, projection: &Projection) -> impl Future<Output = Result<(), PortError>> + Send;

    /// Merges rows into the rehearsal: for each key the highest sequence stays.
    fn rehearsal_put(
        &self,
        projection: &Projection,
        rows: &[Rehearsed],
    ) -> impl Future<Output = Result<(), PortError>> + Send;

    /// Returns whether the rehearsal table still holds all that was put into it since it was made: it may be lost with its
    /// server, or be dropped. Once it does not, it never does again until it is made anew.
    fn rehearsal_is_kept(
        &self,
        projection: &Projection,
    ) -> impl Future<Output = Result<bool, PortError>> + Send;

    /// Returns where table and rehearsal differ in a value, a marker or a row's being there, after a cursor, at most
    /// `limit`. A key that ended on both sides, or has no row and ended or is to be left in the rehearsal, is no difference.
    fn rehearsal_diff(
        &self,
        projection: &Projection,
        after: Option<&str>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Difference>, PortError>> + Send;

    /// Drops the rehearsal table.
    fn rehearsal_end(&self, projection: &Projection) -> impl Future<Output = Result<(), PortError>> + Send;

    /// Returns records in quarantine of a subscription, by topic, partition and offset, at most `limit`; of one key when
    /// one is given.
    fn aside(
        &self,
        subscription: &SubscriptionRef,
        key: Option<&RecordKey>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<AsideRecord>, PortError>> + Send;

    /// Returns records in quarantine of a subscription, by topic, partition and offset, from a place on, at most `limit`.
    fn aside_from(
        &self,
        subscription: &SubscriptionRef,
        from: Option<(&Lane, u64)>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<AsideRecord>, PortError>> + Send;

    /// Returns one record in quarantine; none where there is none at that offset of that lane.
    fn aside_at(
        &self,
        lane: &Lane,
        offset: u64,
    ) -> impl Future<Output = Result<Option<AsideRecord>, PortError>> + Send {
        async move {
            let found = self.aside_from(&lane.subscription, Some((lane, offset)), 1).await?;
            Ok(found.into_iter().find(|record| record.lane == *lane && record.offset == offset))
        }
    }

    /// Returns the lanes of a subscription with their states, sorted, without taking them.
    fn lanes(
        &self,
        subscription: &SubscriptionRef,
    ) -> impl Future<Output = Result<Vec<(Lane, LaneState)>, PortError>> + Send;

    /// Returns the set of reference data that the table of a subscription holds; none before the first.
    fn taken(
        &self,
        subscription: &SubscriptionRef,
    ) -> impl Future<Output = Result<Option<TakenSet>, PortError>> + Send;
}
