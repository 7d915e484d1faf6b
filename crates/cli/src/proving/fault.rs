//! The faults that a proof injects, by kind.

use crate::exit::usage;
use anyhow::Result;

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum FaultKind {
    /// The last record of a key once more.
    Duplicate,
    /// An older record of a key, and then the last one again.
    Reordering,
    /// An older record of a key after the last one, which compaction would keep.
    Late,
    /// A record that is no message at all.
    Poison,
    /// A change whose state breaks an invariant.
    Invalid,
    /// A worker killed between two steps.
    Crash,
    /// A cell changed by hand in a consumer's table.
    Edit,
    /// A row deleted by hand from a consumer's table.
    Delete,
    /// A row inserted by hand into a consumer's table.
    Insert,
    /// A source row changed without publishing.
    Unpublished,
    /// A row that vanished from the outbox.
    Lost,
}

impl FaultKind {
    /// All kinds, in the order in which they are told.
    pub(crate) const ALL: [FaultKind; 11] = [
        FaultKind::Duplicate,
        FaultKind::Reordering,
        FaultKind::Late,
        FaultKind::Poison,
        FaultKind::Invalid,
        FaultKind::Crash,
        FaultKind::Edit,
        FaultKind::Delete,
        FaultKind::Insert,
        FaultKind::Unpublished,
        FaultKind::Lost,
    ];

    /// Returns the word by which it is chosen and counted.
    pub(crate) fn word(self) -> &'static str {
        match self {
            FaultKind::Duplicate => "duplicate",
            FaultKind::Reordering => "reordering",
            FaultKind::Late => "late",
            FaultKind::Poison => "poison",
            FaultKind::Invalid => "invalid",
            FaultKind::Crash => "crash",
            FaultKind::Edit => "edit",
            FaultKind::Delete => "delete",
            FaultKind::Insert => "insert",
            FaultKind::Unpublished => "unpublished",
            FaultKind::Lost => "lost",
        }
    }

    /// Returns what it is, for people.
    pub(crate) fn story(self) -> &'static str {
        match self {
            FaultKind::Duplicate => "a record delivered twice",
            FaultKind::Reordering => "records of one key out of order",
            FaultKind::Late => "an old record written after the newest: compaction would keep it",
            FaultKind::Poison => "bytes in the log that are no message",
            FaultKind::Invalid => "a change that breaks its contract, stopped at its source",
            FaultKind::Crash => "a worker killed between two steps",
            FaultKind::Edit => "a cell of a projection changed by hand",
            FaultKind::Delete => "a row of a projection deleted by hand",
            FaultKind::Insert => "a row inserted into a projection by hand",
            FaultKind::Unpublished => "a source row changed without publishing",
            FaultKind::Lost => "a committed change that vanished from the outbox",
        }
    }
}

/// Returns the kinds that a text chooses: words separated by commas, `all` or `none`.
///
/// # Errors
/// When there is no such kind.
pub(crate) fn kinds(text: &str) -> Result<Vec<FaultKind>> {
    match text {
        "all" => Ok(FaultKind::ALL.to_vec()),
        "none" => Ok(Vec::new()),
        list => list.split(',').map(kind).collect(),
    }
}

fn kind(word: &str) -> Result<FaultKind> {
    let words: Vec<&str> = FaultKind::ALL.iter().map(|kind| kind.word()).collect();
    let found = FaultKind::ALL.into_iter().find(|kind| kind.word() == word.trim());
    found.ok_or_else(|| {
        usage(format!("there is no fault `{word}`"), format!("there are: {}, all, none", words.join(", ")))
    })
}
