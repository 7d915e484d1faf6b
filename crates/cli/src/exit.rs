//! How a command ends: what the exit code says, and refusals that tell what to do next.

use std::fmt;

/// The exit codes of all commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Everything was seen and is in order.
    Clean = 0,
    /// Findings at or above the level that fails.
    Findings = 1,
    /// The call itself is wrong.
    Usage = 2,
    /// Drift.
    Drift = 3,
    /// Something could not be reached, or refused.
    Unreachable = 4,
    /// A fault of ours.
    Internal = 5,
    /// Not everything was seen.
    Inconclusive = 6,
}

/// A command that cannot go on, and what to do next.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// The exit code.
    pub(crate) exit: Exit,
    /// What is wrong: lower case, no final stop.
    pub(crate) message: String,
    /// What to do next.
    pub(crate) help: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refusal {}

/// Returns a refusal of the call itself.
pub(crate) fn usage(message: impl Into<String>, help: impl Into<String>) -> anyhow::Error {
    Refusal { exit: Exit::Usage, message: message.into(), help: help.into() }.into()
}

/// Returns a refusal because something is missing, locked, or says no.
pub(crate) fn unreachable(message: impl Into<String>, help: impl Into<String>) -> anyhow::Error {
    Refusal { exit: Exit::Unreachable, message: message.into(), help: help.into() }.into()
}
