//! Findings: what is wrong with an estate, as values; text and positions are added where they are printed.

use crate::id::{ContextId, StandardId};
use crate::path::ModelPath;
use std::fmt;
use std::str::FromStr;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Level {
    /// A suggestion.
    Advice,
    /// Likely to hurt.
    Warn,
    /// Must be mended before anything ships.
    Error,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Level::Advice => "advice",
            Level::Warn => "warn",
            Level::Error => "error",
        })
    }
}

impl FromStr for Level {
    type Err = crate::id::IdError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "advice" => Ok(Level::Advice),
            "warn" => Ok(Level::Warn),
            "error" => Ok(Level::Error),
            _ => Err(crate::id::IdError { text: text.to_owned(), expected: "one of advice, warn, error" }),
        }
    }
}

/// Another place that explains a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Where.
    pub at: ModelPath,
    /// What is there: lower case, no final stop.
    pub message: String,
}

/// One thing that is wrong, where, why, and the smallest mend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The rule's id, UPPER_SNAKE; findings of the language itself begin with `LANGUAGE_`.
    pub rule: &'static str,
    /// How much it matters.
    pub level: Level,
    /// What is wrong: lower case, no final stop, the user's text in backticks.
    pub message: String,
    /// The place to mend.
    pub at: ModelPath,
    /// What to do next.
    pub help: Option<String>,
    /// Other places that explain it.
    pub notes: Vec<Note>,
    /// The context that must act; none while the document's context is unknown.
    pub context: Option<ContextId>,
    /// The standard that does not hold, where the rule is that standards hold.
    pub standard: Option<StandardId>,
}

impl Finding {
    /// Returns an error-level finding without help.
    pub fn new(rule: &'static str, at: ModelPath, message: impl Into<String>) -> Self {
        Finding {
            rule,
            level: Level::Error,
            message: message.into(),
            at,
            help: None,
            notes: Vec::new(),
            context: None,
            standard: None,
        }
    }

    /// Adds what to do next.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Sets the level.
    #[must_use]
    pub fn level(mut self, level: Level) -> Self {
        self.level = level;
        self
    }

    /// Names the context that must act.
    #[must_use]
    pub fn owed_by(mut self, context: &ContextId) -> Self {
        self.context = Some(context.clone());
        self
    }

    /// Adds another place that explains it.
    #[must_use]
    pub fn note(mut self, at: ModelPath, message: impl Into<String>) -> Self {
        self.notes.push(Note { at, message: message.into() });
        self
    }
}
