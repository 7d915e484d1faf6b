//! Subscriptions: what a consumer uses, why, what it needs, how it translates, where it keeps it.

use crate::attribute::Type;
use crate::channel::Replay;
use crate::contract::Reconciliation;
use crate::id::{
    AttributePath, CommandName, ContractRef, EventName, PurposeId, SubscriptionRef, SystemId, Version, ViewId,
};
use crate::measure::{Span, Within};
use crate::path::{DocumentId, ModelPath};
use std::fmt;

/// What a consumer keeps, and so which links are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// A copy: all links and rehearsal.
    Projection,
    /// A translated copy: all links and rehearsal.
    Derived,
    /// May be dropped: the stream only.
    Cache,
    /// Its rows belong to the consumer: the stream only.
    Interpretation,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Projection => "projection",
            Role::Derived => "derived",
            Role::Cache => "cache",
            Role::Interpretation => "interpretation",
        })
    }
}

/// What happens to reactions behind an event that breaks its contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OnInvalid {
    /// Later events of its key wait.
    HoldKey,
    /// It waits aside, later ones go on.
    Skip,
    /// The partition stops.
    Halt,
}

/// What happens to the row of a key that ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OnDelete {
    /// It goes.
    Delete,
    /// It stays, marked.
    Mark,
}

/// Where a new subscription's reactions begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartsAt {
    /// With what comes after its bootstrap began.
    Now,
    /// With the oldest kept.
    Earliest,
    /// With a moment, RFC 3339.
    At(String),
}

/// Whether a consumer can live with a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Consistency {
    /// A copy will do.
    Eventual,
    /// Only the owner's own state will do.
    Immediate,
}

/// What the consumer needs to be promised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needs {
    /// Why; empty when not written.
    pub because: String,
    /// From commit to applied.
    pub freshness: Option<Within>,
    /// From taking effect to commit.
    pub lateness: Option<Within>,
    /// `perKey` is all that can be promised; as source text.
    pub ordering: Option<String>,
    /// What a replay must yield.
    pub replay: Option<Replay>,
    /// How far back a replay must reach.
    pub retention: Option<Span>,
    /// How long a tombstone must be kept.
    pub tombstones: Option<Span>,
    /// How soon an answer must come.
    pub answer: Option<Within>,
    /// Whether a copy will do.
    pub consistency: Consistency,
}

impl Needs {
    /// Returns what must be promised, by the name of the promise, in a fixed order.
    pub fn promises(&self) -> Vec<(&'static str, String)> {
        let named = [
            ("freshness", self.freshness.map(|it| it.to_string())),
            ("lateness", self.lateness.map(|it| it.to_string())),
            ("ordering", self.ordering.clone()),
            ("replay", self.replay.map(|it| it.to_string())),
            ("retention", self.retention.map(|it| it.to_string())),
            ("tombstones", self.tombstones.map(|it| it.to_string())),
            ("answer", self.answer.map(|it| it.to_string())),
        ];
        named.into_iter().filter_map(|(name, need)| Some((name, need?))).collect()
    }
}

/// What a projection column holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ColumnSource {
    /// An attribute as it is.
    Path(AttributePath),
    /// A translation.
    Is {
        /// CEL over the attributes.
        is: String,
        /// What the column means; empty when not written.
        meaning: String,
        /// The type; none: as inferred.
        ty: Option<Type>,
    },
}

/// A column of a projection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectionColumn {
    /// The name, verbatim.
    pub name: String,
    /// What it holds.
    pub source: ColumnSource,
}

/// Where the consumer keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Into {
    /// The database.
    pub system: SystemId,
    /// The projection table; none: reactions only.
    pub table: Option<String>,
    /// The columns, in the order written; the key's among them.
    pub columns: Vec<ProjectionColumn>,
}

/// What the consumer read and agreed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// The version it read.
    pub version: Version,
    /// The digest of the meanings it uses, `b3-` and eight hexadecimal digits.
    pub meaning: String,
}

/// A subscription as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// Where it is written.
    pub document: DocumentId,
    /// `context/subscription`.
    pub name: SubscriptionRef,
    /// The contract at a major.
    pub contract: ContractRef,
    /// The view; none: the contract's own channels.
    pub view: Option<ViewId>,
    /// What for; none when not written.
    pub purpose: Option<PurposeId>,
    /// What it keeps.
    pub role: Role,
    /// The events it reacts to.
    pub reacts_to: Vec<EventName>,
    /// Where its reactions begin.
    pub starts_at: StartsAt,
    /// What happens behind a broken event.
    pub on_invalid: OnInvalid,
    /// What happens to the row of a key that ends.
    pub on_delete: OnDelete,
    /// The commands it sends.
    pub sends: Vec<CommandName>,
    /// The attributes it asks for by request.
    pub asks: Vec<AttributePath>,
    /// What it needs to be promised; none when not written.
    pub needs: Option<Needs>,
    /// Where it keeps it.
    pub into: Option<Into>,
    /// How divergence is found and mended; none when not written.
    pub reconciliation: Option<Reconciliation>,
    /// What was accepted; none before the first `accept`.
    pub accepted: Option<Accepted>,
}

impl Subscription {
    /// Returns the top of its document.
    pub fn path(&self) -> ModelPath {
        ModelPath::top(&self.document)
    }

    /// Returns the projection table with its columns, when there is one.
    pub fn projection(&self) -> Option<(&str, &[ProjectionColumn])> {
        let into = self.into.as_ref()?;
        Some((into.table.as_deref()?, &into.columns))
    }
}
