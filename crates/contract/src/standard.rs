//! Standards: what an enterprise asks of every team beside the rules, as expressions over the model.

use crate::finding::Level;
use crate::id::{StandardId, TeamId};
use crate::path::{DocumentId, ModelPath};
use std::fmt;

/// What a standard is held against, one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Judged {
    /// Each context.
    Context,
    /// Each living contract.
    Contract,
    /// Each attribute of a living contract.
    Attribute,
    /// Each event of a living contract.
    Event,
    /// Each view of a living contract.
    View,
    /// Each subscription.
    Subscription,
    /// Each publication.
    Publication,
}

impl fmt::Display for Judged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Judged::Context => "context",
            Judged::Contract => "contract",
            Judged::Attribute => "attribute",
            Judged::Event => "event",
            Judged::View => "view",
            Judged::Subscription => "subscription",
            Judged::Publication => "publication",
        })
    }
}

/// A standard as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standard {
    /// Where it is written.
    pub document: DocumentId,
    /// The id; no rule has the same one, as rules are written in capitals.
    pub id: StandardId,
    /// The team that sets it.
    pub owner: TeamId,
    /// What it asks for; empty when not written.
    pub meaning: String,
    /// How much it matters.
    pub level: Level,
    /// How to mend what breaks it.
    pub fix: Option<String>,
    /// What it is held against.
    pub judged: Judged,
    /// CEL: which of those it is about; none: all.
    pub condition: Option<String>,
    /// CEL: what must hold of them.
    pub must: String,
}

impl Standard {
    /// Returns the top of its document.
    pub fn path(&self) -> ModelPath {
        ModelPath::top(&self.document)
    }
}
