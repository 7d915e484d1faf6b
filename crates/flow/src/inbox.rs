//! The port to the inbox as its workers and operators use it: claim, done, failed, and what became of rows.

use crate::port::PortError;
use jiff::Timestamp;
use seamline_contract::id::SubscriptionRef;
use seamline_message::key::RecordKey;
use std::time::Duration;

/// How long a row that is done is kept, for whoever asks what became of it.
pub const DONE_KEPT: Duration = Duration::from_hours(14 * 24);

/// How often a row may fail before it rests, where a worker does not say.
pub const ATTEMPTS_MAX: u32 = 10;

/// How far a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum InboxState {
    /// Nobody has it.
    Waiting,
    /// A worker has it, until its claim lapses.
    Claimed,
    /// It failed too often, and the later ones of its key wait behind it.
    Failed,
    /// It was worked off, or an operator passed over it.
    Done,
}

impl InboxState {
    /// All states.
    pub const ALL: [InboxState; 4] =
        [InboxState::Waiting, InboxState::Claimed, InboxState::Failed, InboxState::Done];

    /// Returns the word under which it is stored and printed.
    pub fn word(self) -> &'static str {
        match self {
            InboxState::Waiting => "waiting",
            InboxState::Claimed => "claimed",
            InboxState::Failed => "failed",
            InboxState::Done => "done",
        }
    }
}

/// A row of the inbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboxEntry {
    /// Its number: rows of one key are worked off in this order.
    pub number: u64,
    /// Whose it is.
    pub subscription: SubscriptionRef,
    /// `ce_id` of the message.
    pub id: String,
    /// The key, as stored.
    pub key: String,
    /// What happened.
    pub event: String,
    /// The whole payload, JSON.
    pub payload: String,
    /// How far it is.
    pub state: InboxState,
    /// How often it was claimed.
    pub attempts: u32,
    /// Why it failed last, or was passed over.
    pub why: Option<String>,
    /// When it came.
    pub received_at: Timestamp,
}

/// How many rows of a subscription are in one state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboxCount {
    /// The subscription.
    pub subscription: SubscriptionRef,
    /// The state; never done.
    pub state: InboxState,
    /// How many.
    pub rows: u64,
    /// When the oldest of them came.
    pub oldest: Timestamp,
}

/// How a worker says that a row failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure<'a> {
    /// Why: a text for operators, without values of rows.
    pub why: &'a str,
    /// How long it rests after its first failure; twice as long after each further one. None: it is not tried again.
    pub again: Option<Duration>,
    /// After how many attempts it is not tried again.
    pub most: u32,
}

/// What became of the rows of some keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Purged {
    /// Rows that were deleted.
    pub gone: u64,
    /// Rows that are not done, and stay.
    pub open: u64,
}

/// The inbox of a context's database. Services use the same by SQL.
pub trait Inbox: Send + Sync {
    /// Claims the first rows that are free, at most `most`, by number, never two of one key: of each key the first that is not
    /// done, unless another has it or it rests. Claims lapse after `hold`.
    fn claim(
        &self,
        subscription: &SubscriptionRef,
        hold: Duration,
        most: u32,
    ) -> impl Future<Output = Result<Vec<InboxEntry>, PortError>> + Send;

    /// Ends a row that is claimed, and that was claimed so often. Returns false when it is not, and then nothing changed.
    fn done(&self, number: u64, attempt: u32) -> impl Future<Output = Result<bool, PortError>> + Send;

    /// Gives a claimed row back to be tried again, or lets it rest as failed. Returns which; none when it is not claimed so
    /// often.
    fn failed(
        &self,
        number: u64,
        attempt: u32,
        failure: &Failure<'_>,
    ) -> impl Future<Output = Result<Option<InboxState>, PortError>> + Send;

    /// Lets a failed row be tried again, with its attempts counted anew. Returns whether there was one.
    fn retry(&self, number: u64) -> impl Future<Output = Result<bool, PortError>> + Send;

    /// Ends a row that waits or failed without its having been worked off. Returns whether there was one.
    fn skip(&self, number: u64, why: &str) -> impl Future<Output = Result<bool, PortError>> + Send;

    /// Returns a row, done or not.
    fn entry(&self, number: u64) -> impl Future<Output = Result<Option<InboxEntry>, PortError>> + Send;

    /// Returns rows that are not done, by number, at most `limit`; of one subscription when one is given.
    fn entries(
        &self,
        subscription: Option<&SubscriptionRef>,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<InboxEntry>, PortError>> + Send;

    /// Returns how many rows are in each state but done, by subscription and state, none where there are none.
    fn inbox_counts(&self) -> impl Future<Output = Result<Vec<InboxCount>, PortError>> + Send;

    /// Deletes the rows of some keys, as stored, that are done. Returns how many, and how many of these keys are not done.
    fn purge_done(
        &self,
        subscription: &SubscriptionRef,
        keys: &[RecordKey],
    ) -> impl Future<Output = Result<Purged, PortError>> + Send;

    /// Deletes rows that are done since before a moment, the oldest first, at most `limit`. Returns how many.
    fn forget_done(
        &self,
        before: Timestamp,
        limit: u32,
    ) -> impl Future<Output = Result<u64, PortError>> + Send;
}
