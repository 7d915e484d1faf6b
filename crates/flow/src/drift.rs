//! Drift: a difference not explained by changes in flight, with its link, its key and who must act.

use seamline_contract::id::ContextId;
use seamline_message::key::RecordKey;
use seamline_message::sequence::Sequence;
use std::collections::BTreeMap;
use std::fmt;

/// One of the three comparisons between source and projection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Link {
    /// Source view against the log: the producer's.
    Source,
    /// The log against what the projector received: the consumer's.
    Stream,
    /// What the projector received against the projection table: the consumer's.
    Projection,
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Link::Source => "source",
            Link::Stream => "stream",
            Link::Projection => "projection",
        })
    }
}

/// What is wrong with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DriftKind {
    /// It should be there.
    Missing,
    /// It should be gone.
    Phantom,
    /// It is of an older sequence.
    Stale,
    /// It is of the same sequence with other content.
    Corrupt,
    /// No message ever made it.
    Orphan,
}

impl fmt::Display for DriftKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DriftKind::Missing => "missing",
            DriftKind::Phantom => "phantom",
            DriftKind::Stale => "stale",
            DriftKind::Corrupt => "corrupt",
            DriftKind::Orphan => "orphan",
        })
    }
}

/// One key that drifted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drift {
    /// Where.
    pub link: Link,
    /// How.
    pub kind: DriftKind,
    /// The key, or the text of its columns where it is no canonical key.
    pub key: Result<RecordKey, String>,
    /// The attributes (link 1) or columns (links 2 and 3) that differ; empty where the whole row does.
    pub differing: Vec<String>,
    /// The business state (`countBy`) that is right, and the one that is there; empty where there is no row, or nothing is counted by.
    pub states: [String; 2],
    /// The sequence it should be at.
    pub expected: Option<Sequence>,
    /// The sequence it is at.
    pub found: Option<Sequence>,
    /// Who must act.
    pub owed_by: ContextId,
    /// The likely cause in a few words.
    pub cause: String,
}

/// How a pass ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Everything was compared and agrees.
    Clean,
    /// Something differs.
    Drift,
    /// Not everything could be compared: why.
    Inconclusive(Vec<String>),
}

/// The worst that was found of a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Conclusion {
    /// Everything was seen and agrees.
    Clean,
    /// Not everything was seen.
    Inconclusive,
    /// Something differs.
    Drift,
}

impl Conclusion {
    /// All of them, the best first.
    pub const ALL: [Conclusion; 3] = [Conclusion::Clean, Conclusion::Inconclusive, Conclusion::Drift];

    /// Returns the word under which it is stored and printed.
    pub fn word(self) -> &'static str {
        match self {
            Conclusion::Clean => "clean",
            Conclusion::Inconclusive => "inconclusive",
            Conclusion::Drift => "drift",
        }
    }
}

impl From<&Outcome> for Conclusion {
    fn from(outcome: &Outcome) -> Conclusion {
        match outcome {
            Outcome::Clean => Conclusion::Clean,
            Outcome::Drift => Conclusion::Drift,
            Outcome::Inconclusive(_) => Conclusion::Inconclusive,
        }
    }
}

/// The result of comparing one link of one contract or subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The contract (link 1) or subscription (links 2 and 3), as printed.
    pub subject: String,
    /// The link.
    pub link: Link,
    /// How it ended.
    pub outcome: Outcome,
    /// How many rows were compared.
    pub rows: u64,
    /// Rows by value of the contract's `countBy` on the side that is held to be right, and on the other.
    pub counts: BTreeMap<String, (u64, u64)>,
    /// What drifted, by key.
    pub drifts: Vec<Drift>,
    /// What the pass proves: ranges and offsets, in words.
    pub proves: Vec<String>,
}
