//! Cases: the operator's workflow for drift and other broken promises, from open to closed.

use crate::port::PortError;
use jiff::Timestamp;
use seamline_contract::id::ContextId;

/// What a case is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CaseKind {
    /// Rows differ and no change in flight explains it.
    Drift,
    /// One sequence with two contents.
    Conflict,
    /// An event is missing from the chain of a key.
    Chain,
    /// Records are unaccounted for.
    Accounting,
    /// A message breaks its contract.
    Quarantine,
    /// The source and the log disagree on what was published: a restore or a lossy failover.
    Rewound,
    /// A topic refuses for good, is gone, or is another one of the same name.
    Topic,
    /// Something that was promised did not come in time.
    Promise,
}

impl CaseKind {
    /// All kinds.
    pub const ALL: [CaseKind; 8] = [
        CaseKind::Drift,
        CaseKind::Conflict,
        CaseKind::Chain,
        CaseKind::Accounting,
        CaseKind::Quarantine,
        CaseKind::Rewound,
        CaseKind::Topic,
        CaseKind::Promise,
    ];

    /// Returns the word under which it is stored and printed.
    pub fn word(self) -> &'static str {
        match self {
            CaseKind::Drift => "drift",
            CaseKind::Conflict => "conflict",
            CaseKind::Chain => "chain",
            CaseKind::Accounting => "accounting",
            CaseKind::Quarantine => "quarantine",
            CaseKind::Rewound => "rewound",
            CaseKind::Topic => "topic",
            CaseKind::Promise => "promise",
        }
    }
}

/// How far a case is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CaseStage {
    /// Nobody looks at it yet.
    Open,
    /// Somebody does.
    Acknowledged,
    /// It is being mended.
    Repairing,
    /// It is compared again.
    Verifying,
    /// The links agree.
    Closed,
}

impl CaseStage {
    /// All stages, in order.
    pub const ALL: [CaseStage; 5] = [
        CaseStage::Open,
        CaseStage::Acknowledged,
        CaseStage::Repairing,
        CaseStage::Verifying,
        CaseStage::Closed,
    ];

    /// Returns the word under which it is stored and printed.
    pub fn word(self) -> &'static str {
        match self {
            CaseStage::Open => "open",
            CaseStage::Acknowledged => "acknowledged",
            CaseStage::Repairing => "repairing",
            CaseStage::Verifying => "verifying",
            CaseStage::Closed => "closed",
        }
    }
}

/// A case to raise. One with the fingerprint of a case that is not closed adds to it; of a closed one, reopens it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCase {
    /// What it is about.
    pub kind: CaseKind,
    /// What makes it the same case: kind, subject and cause; never a value of a row.
    pub fingerprint: String,
    /// What it concerns: a contract, subscription, topic or source, as printed.
    pub subject: String,
    /// The context that must act.
    pub owed_by: ContextId,
    /// One line: lower case, no final stop.
    pub summary: String,
    /// Facts, a JSON object; keys of rows may be in it, and business states by which the contract counts; no other value.
    pub details: String,
}

/// A case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// Its number in this database.
    pub id: u64,
    /// As it was raised last.
    pub raised: NewCase,
    /// How far it is.
    pub stage: CaseStage,
    /// When it was raised first.
    pub opened: Timestamp,
    /// How often it was raised.
    pub times: u64,
    /// What happened, in order: when and what.
    pub timeline: Vec<(Timestamp, String)>,
}

/// The cases of a context, in its own database.
pub trait Cases: Send + Sync {
    /// Raises a case and returns its number.
    fn raise(&self, new: &NewCase, now: Timestamp) -> impl Future<Output = Result<u64, PortError>> + Send;

    /// Returns all cases by number; closed ones only when asked for.
    fn cases(&self, closed: bool) -> impl Future<Output = Result<Vec<Case>, PortError>> + Send;

    /// Moves a case to a stage with a line for its timeline. Returns whether there is such a case.
    fn advance(
        &self,
        id: u64,
        stage: CaseStage,
        note: &str,
        now: Timestamp,
    ) -> impl Future<Output = Result<bool, PortError>> + Send;
}
