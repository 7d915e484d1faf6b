//! Migrations: consumers that move from a legacy path to a contract, each through the same stages.

use crate::id::{ContextId, ContractRef, IdError, MigrationRef, SubscriptionId, SystemId, TeamId};
use crate::measure::{Span, Threshold};
use crate::path::{DocumentId, ModelPath};
use std::fmt;
use std::str::FromStr;

/// What is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LegacyPath {
    /// A table of another context that is read or replicated.
    Table,
    /// A job that copies.
    Batch,
    /// A topic without a contract.
    Topic,
    /// A file or dump.
    Snapshot,
}

impl fmt::Display for LegacyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LegacyPath::Table => "table",
            LegacyPath::Batch => "batch",
            LegacyPath::Topic => "topic",
            LegacyPath::Snapshot => "snapshot",
        })
    }
}

/// Where the legacy path ends at the consumer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LegacyPlace {
    /// A table or view, verbatim.
    Table(String),
    /// A topic.
    Topic(String),
    /// A file.
    File(String),
    /// A URL.
    Url(String),
}

impl fmt::Display for LegacyPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LegacyPlace::Table(text) => write!(f, "table {text}"),
            LegacyPlace::Topic(text) => write!(f, "topic {text}"),
            LegacyPlace::File(text) => write!(f, "file {text}"),
            LegacyPlace::Url(text) => write!(f, "url {text}"),
        }
    }
}

/// The path that a contract replaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Legacy {
    /// What it is.
    pub path: LegacyPath,
    /// What it does; empty when not written.
    pub meaning: String,
    /// The consumer's database that it ends in.
    pub system: Option<SystemId>,
    /// Where it ends.
    pub place: Option<LegacyPlace>,
    /// Its last day, `YYYY-MM-DD`; none when not written, which is a finding.
    pub until: Option<String>,
}

/// How far a consumer says it is. Ordered: later is further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    /// It is known what replaces what.
    Mapped,
    /// The subscription is written.
    Defined,
    /// Both paths run.
    DualRun,
    /// They were compared, and the gates hold.
    Compared,
    /// The switch leads to the contract.
    CutOver,
    /// The legacy path is off.
    LegacyOff,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stage::Mapped => "mapped",
            Stage::Defined => "defined",
            Stage::DualRun => "dualRun",
            Stage::Compared => "compared",
            Stage::CutOver => "cutOver",
            Stage::LegacyOff => "legacyOff",
        })
    }
}

/// How much must be equal for how long: `99.99% over 14d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Parity {
    /// The share of rows, in millionths: `99.99%` is 999,900.
    pub millionths: u32,
    /// For how long it must hold.
    pub over: Span,
}

impl FromStr for Parity {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let error =
            || IdError { text: text.to_owned(), expected: "a share over a time such as `99.99% over 14d`" };
        let (share, span) = text.split_once("% over ").ok_or_else(error)?;
        let Ok(Threshold::ShareMillionths(millionths)) = format!("{share}% of rows").parse() else {
            return Err(error());
        };
        let over: Span = span.parse().map_err(|_| error())?;
        let possible = (1..=1_000_000).contains(&millionths) && !over.0.is_zero();
        possible.then_some(Parity { millionths, over }).ok_or_else(error)
    }
}

impl fmt::Display for Parity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{}.{:04}", self.millionths / 10_000, self.millionths % 10_000);
        write!(f, "{}% over {}", text.trim_end_matches('0').trim_end_matches('.'), self.over)
    }
}

/// What must hold before a consumer is switched. A bootstrap and the way back are always rehearsed: there is no other word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gates {
    /// How much must be equal for how long.
    pub parity: Parity,
    /// From how many unexplained rows on the gate is closed; `0 rows` allows none.
    pub unexplained: Threshold,
    /// The teams that must approve; at least one.
    pub approval: Vec<TeamId>,
}

/// A consumer that moves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mover {
    /// Its subscription to the contract, of the migration's context.
    pub subscription: SubscriptionId,
    /// How far it says it is.
    pub stage: Stage,
    /// Projection column and legacy column, which together identify a row; at least one.
    pub key: Vec<(String, String)>,
    /// Projection column and CEL over the legacy row.
    pub compare: Vec<(String, String)>,
    /// The projection column by whose values rows are counted.
    pub count_by: Option<String>,
    /// The name of the view that leads to one of the two.
    pub switch: Option<String>,
    /// What must hold before the switch; none when not written.
    pub gates: Option<Gates>,
}

/// A migration as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    /// Where it is written.
    pub document: DocumentId,
    /// `context/migration`; the context is the consumers'.
    pub name: MigrationRef,
    /// What is replaced by what; empty when not written.
    pub meaning: String,
    /// The contract that replaces it.
    pub contract: ContractRef,
    /// What is replaced; none when it cannot be read.
    pub legacy: Option<Legacy>,
    /// The consumers, in the order written.
    pub consumers: Vec<Mover>,
}

impl Migration {
    /// Returns the top of its document.
    pub fn path(&self) -> ModelPath {
        ModelPath::top(&self.document)
    }

    /// Returns the context whose consumers move.
    pub fn context(&self) -> &ContextId {
        &self.name.context
    }
}

#[cfg(test)]
mod tests {
    use super::Parity;

    #[test]
    fn parity_prints_as_it_was_read() {
        for text in ["99.99% over 13d", "100% over 1h", "0.5% over 2w"] {
            assert_eq!(text.parse::<Parity>().unwrap().to_string(), text);
        }
        for text in ["99.99%", "101% over 1d", "0% over 1d", "99% over 0d", "99 over 1d"] {
            assert!(text.parse::<Parity>().is_err(), "{text}");
        }
    }
}
