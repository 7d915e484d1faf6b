//! Violations: where a message breaks its contract, and which rule. They never hold a row's value.

use seamline_contract::id::InvariantName;
use std::fmt;

/// What must hold.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rule {
    /// The bytes are one JSON value, in UTF-8, without duplicate keys.
    Json,
    /// The bytes are a value in the encoding that the content type names.
    Encoding,
    /// The members that are due are there, and of the source's, no others.
    Shape,
    /// A value has the type that is declared.
    Type,
    /// A value that is not optional is there.
    Required,
    /// An enumeration holds one of its values.
    Values,
    /// A text matches its pattern.
    Pattern,
    /// A value lies between its bounds.
    Range,
    /// A value is not longer than declared.
    Length,
    /// An invariant holds.
    Invariant(InvariantName),
    /// An enumeration takes only declared steps.
    Move,
    /// After an event an attribute has a value that the event declares.
    Becomes,
    /// A reason is given where reasons are declared, and is one of them.
    Reason,
    /// The event is one of the contract's, and fits the row.
    Event,
    /// The moment of effect is a day or an instant.
    Effective,
    /// The record key is canonical and says the same as the payload.
    Key,
    /// The value is not larger than its channel allows.
    Size,
    /// The headers are those of the envelope.
    Header,
    /// The message is of the contract, major and view that reads it.
    Schema,
    /// A flag can be computed from the state.
    Flag,
    /// A sealed value is as it was sealed at its place.
    Sealed,
}

impl Rule {
    /// Returns the name of the rule's kind, for counting and grouping.
    pub fn as_str(&self) -> &'static str {
        match self {
            Rule::Json => "JSON",
            Rule::Encoding => "ENCODING",
            Rule::Shape => "SHAPE",
            Rule::Type => "TYPE",
            Rule::Required => "REQUIRED",
            Rule::Values => "VALUES",
            Rule::Pattern => "PATTERN",
            Rule::Range => "RANGE",
            Rule::Length => "LENGTH",
            Rule::Invariant(_) => "INVARIANT",
            Rule::Move => "MOVE",
            Rule::Becomes => "BECOMES",
            Rule::Reason => "REASON",
            Rule::Event => "EVENT",
            Rule::Effective => "EFFECTIVE",
            Rule::Key => "KEY",
            Rule::Size => "SIZE",
            Rule::Header => "HEADER",
            Rule::Schema => "SCHEMA",
            Rule::Flag => "FLAG",
            Rule::Sealed => "SEALED",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rule::Invariant(name) => write!(f, "INVARIANT({name})"),
            rule => f.write_str(rule.as_str()),
        }
    }
}

/// One way in which a message breaks its contract.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{rule} at `{path}`: {message}")]
pub struct Violation {
    /// What must hold.
    pub rule: Rule,
    /// Where: `state.coverFrom`, `state.lines[2].sku`, `headers.ce_id`; `*` stands for a key of a map. Empty: the whole.
    pub path: String,
    /// Why, in words that hold no value of a row.
    pub message: String,
}

impl Violation {
    /// Returns a violation at a path.
    pub fn new(rule: Rule, path: impl Into<String>, message: impl Into<String>) -> Self {
        Violation { rule, path: path.into(), message: message.into() }
    }

    /// Moves the path below a step.
    pub fn below(&mut self, step: &str) {
        let joint =
            if self.path.is_empty() || self.path.starts_with('[') || step.is_empty() { "" } else { "." };
        self.path = format!("{step}{joint}{}", self.path);
    }
}

/// Moves the paths of some violations below a step.
pub(crate) fn all_below(violations: &mut [Violation], step: &str) {
    violations.iter_mut().for_each(|violation| violation.below(step));
}

#[cfg(test)]
mod tests {
    use super::{Rule, Violation};

    #[test]
    fn a_violation_says_where_and_which_rule() {
        let mut violation = Violation::new(Rule::Type, "", "not an integer");
        for step in ["[2]", "lines", "state"] {
            violation.below(step);
        }
        assert_eq!(violation.to_string(), "TYPE at `state.lines[2]`: not an integer");
        let invariant = Rule::Invariant("coverEndsAfterItBegins".parse().unwrap());
        assert_eq!(
            (invariant.as_str(), invariant.to_string().as_str()),
            ("INVARIANT", "INVARIANT(coverEndsAfterItBegins)")
        );
    }
}
