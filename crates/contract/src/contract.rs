//! Contracts: what one context promises about one concept, at a version.

use crate::attribute::{Attribute, Classification};
use crate::channel::{ChannelTerms, Command, Event, Events, Guarantees, View};
use crate::id::{
    AttributeName, ContractName, ContractRef, EventName, InvariantName, Major, PurposeId, Version,
};
use crate::measure::{Count, Rate, Span, Threshold};
use crate::path::{DocumentId, ModelPath};
use std::fmt;

/// Where a contract stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// An idea under review.
    Proposed,
    /// Being written.
    Draft,
    /// Promised.
    Active,
    /// Promised still, to be left.
    Deprecated,
    /// Promised no more.
    Retired,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Status::Proposed => "proposed",
            Status::Draft => "draft",
            Status::Active => "active",
            Status::Deprecated => "deprecated",
            Status::Retired => "retired",
        })
    }
}

/// Who mends a difference at the source link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Repair {
    /// The producer publishes the key again.
    Reemit,
    /// The consumer derives its rows anew.
    Rebuild,
    /// People, by the runbook.
    Manual,
}

impl fmt::Display for Repair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Repair::Reemit => "reemit",
            Repair::Rebuild => "rebuild",
            Repair::Manual => "manual",
        })
    }
}

/// How divergence is found and mended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reconciliation {
    /// How often a full pass ends.
    pub every: Option<Span>,
    /// The attribute by whose values rows are counted.
    pub count_by: Option<AttributeName>,
    /// From where on somebody is called.
    pub page: Option<Threshold>,
    /// From where on somebody is told.
    pub warn: Option<Threshold>,
    /// The declared mend; none: the default of the document's kind.
    pub repair: Option<Repair>,
    /// Below it agents mend by themselves; none: they never do.
    pub unattended: Option<Threshold>,
    /// The runbook, as a path in the estate.
    pub runbook: Option<String>,
}

/// An older major kept alive from the same outbox row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Serves {
    /// The older major.
    pub version: Major,
    /// The last day, `YYYY-MM-DD`; empty when not written.
    pub until: String,
    /// Newer attribute: CEL over the older major.
    pub read: Vec<(AttributeName, String)>,
    /// Older attribute: CEL over the next newer major.
    pub write: Vec<(AttributeName, String)>,
    /// Its event: ours.
    pub events: Vec<(EventName, EventName)>,
}

/// What a declared change did to its targets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangeKind {
    /// New.
    Added(Vec<String>),
    /// Gone.
    Removed(Vec<String>),
    /// Means something else: old readers would misread it.
    Redefined(Vec<String>),
    /// Means less or more, and old readers stay right.
    Refined(Vec<String>),
    /// Says the same in better words.
    Clarified(Vec<String>),
    /// To be left.
    Deprecated(Vec<String>),
    /// Promises more.
    Strengthened(Vec<String>),
    /// Promises less.
    Weakened(Vec<String>),
    /// Old name, new name.
    Renamed(Vec<(String, String)>),
}

/// One entry of the declared history of meaning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The version that brought it.
    pub version: Version,
    /// Why.
    pub because: String,
    /// What it did.
    pub kind: ChangeKind,
}

/// A derived contract's sources; the first decides which rows exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Derived {
    /// The contracts it is composed from.
    pub from: Vec<ContractRef>,
    /// The attribute by which each is joined where it is not the key of the same name.
    pub on: Vec<(ContractRef, AttributeName)>,
}

/// How much is to be expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Expect {
    /// Rows.
    pub rows: Option<Count>,
    /// Changes.
    pub changes: Option<Rate>,
}

/// A contract as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contract {
    /// Where it is written.
    pub document: DocumentId,
    /// `context/contract`.
    pub name: ContractName,
    /// The version.
    pub version: Version,
    /// This is the frozen text of an older major, `<id>@<major>.contract.yaml`.
    pub frozen: bool,
    /// Where it stands.
    pub status: Status,
    /// What the concept means; empty when not written.
    pub meaning: String,
    /// The key's attributes, in order; at least one.
    pub key: Vec<AttributeName>,
    /// The key's attributes that decide the partition; empty: the whole key.
    pub partition_by: Vec<AttributeName>,
    /// None inherits the estate's default.
    pub classification: Option<Classification>,
    /// None allows any.
    pub purposes: Option<Vec<PurposeId>>,
    /// How much is to be expected.
    pub expect: Expect,
    /// The attribute whose erasure takes this record's personal data along.
    pub subject: Option<AttributeName>,
    /// In the order written.
    pub attributes: Vec<Attribute>,
    /// Name and CEL over the full state.
    pub invariants: Vec<(InvariantName, String)>,
    /// The events channel.
    pub events: Option<Events>,
    /// The state channel.
    pub state: Option<ChannelTerms>,
    /// The reference channel.
    pub reference: Option<ChannelTerms>,
    /// The requests channel.
    pub requests: Option<ChannelTerms>,
    /// The commands.
    pub commands: Vec<Command>,
    /// What the channel of the commands says; the defaults when nothing is written.
    pub command_terms: ChannelTerms,
    /// The views.
    pub views: Vec<View>,
    /// Its sources, when derived.
    pub derived: Option<Derived>,
    /// What is promised.
    pub guarantees: Guarantees,
    /// How divergence is found and mended; none when not written.
    pub reconciliation: Option<Reconciliation>,
    /// Older majors kept alive.
    pub serves: Vec<Serves>,
    /// The declared history of meaning.
    pub changes: Vec<Change>,
}

impl Contract {
    /// Returns the reference under which others name this major.
    pub fn reference(&self) -> ContractRef {
        ContractRef { name: self.name.clone(), major: self.version.major }
    }

    /// Returns the top of its document.
    pub fn path(&self) -> ModelPath {
        ModelPath::top(&self.document)
    }

    /// Returns an event by name.
    pub fn event(&self, name: &EventName) -> Option<&Event> {
        self.events.as_ref()?.events.iter().find(|event| &event.name == name)
    }

    /// Returns a view by id.
    pub fn view(&self, id: &crate::id::ViewId) -> Option<&View> {
        self.views.iter().find(|view| &view.id == id)
    }
}
