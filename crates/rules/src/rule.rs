//! Rules as data: the table from which checks, documentation and levels come.

use crate::review::Review;
use crate::{
    accepted, bootstrap, carried, derived, entitlement, events, expression, feed, key, majors, meaning,
    migration, names, needs, owner, purpose, quantity, reconciliation, review, standard, terms, waiver,
};
use seamline_contract::finding::{Finding, Level};
use seamline_contract::path::ModelPath;
use std::fmt;

/// What a rule protects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Category {
    /// Who decides.
    Ownership,
    /// What travels, and as what.
    Exchange,
    /// What is promised and needed.
    Guarantee,
    /// What things mean.
    Meaning,
    /// How divergence is found and mended.
    Reconciliation,
    /// Who may see what, and why.
    Privacy,
    /// That the parts of an estate fit together.
    Shape,
    /// Whether a copy is the right means at all.
    Fit,
    /// That expressions are sound.
    Expression,
    /// That what was agreed for all holds, and exceptions end.
    Governance,
}

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Category::Ownership => "OWNERSHIP",
            Category::Exchange => "EXCHANGE",
            Category::Guarantee => "GUARANTEE",
            Category::Meaning => "MEANING",
            Category::Reconciliation => "RECONCILIATION",
            Category::Privacy => "PRIVACY",
            Category::Shape => "SHAPE",
            Category::Fit => "FIT",
            Category::Expression => "EXPRESSION",
            Category::Governance => "GOVERNANCE",
        })
    }
}

/// A rule: one thing that must hold, at one level.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// The id, UPPER_SNAKE, named for what must hold.
    pub id: &'static str,
    /// What it protects.
    pub category: Category,
    /// The level where the estate sets none.
    pub level: Level,
    /// Why it matters, in one sentence.
    pub reason: &'static str,
    /// Finds every place where it does not hold.
    pub check: fn(&Review<'_>) -> Vec<Finding>,
}

impl Rule {
    /// Returns a finding of this rule at its own level.
    pub(crate) fn finding(&self, at: ModelPath, message: impl Into<String>) -> Finding {
        Finding::new(self.id, at, message).level(self.level)
    }
}

/// All rules, by category, in the order of the documentation.
pub const RULES: &[Rule] = &[
    owner::ONE_OWNER,
    carried::CARRIED_ATTRIBUTE_EXISTS,
    carried::CARRIED_DECIDES_NOTHING,
    events::EVENT_NOT_CATCH_ALL_BY_NAME,
    events::EVENT_NOT_CATCH_ALL_BY_SHAPE,
    events::EVENT_SAYS_WHAT_HAPPENED,
    feed::FEED_FITS_CONTRACT,
    bootstrap::BOOTSTRAP_REACHABLE,
    needs::PROMISES_WRITTEN,
    needs::RETENTION_COVERS_REPLAY,
    needs::NEEDS_COVERED,
    meaning::MEANING_PRESENT,
    meaning::MEANING_SAYS_MORE_THAN_NAME,
    terms::WORDS_DIFFER_OPENLY,
    quantity::QUANTITY_HAS_UNIT,
    quantity::DATE_HAS_ZONE,
    accepted::MEANING_ACCEPTED,
    accepted::ACCEPTED_MEANING_STANDS,
    reconciliation::RECONCILIATION_DECLARED,
    reconciliation::RUNBOOK_EXISTS,
    purpose::CLASSIFICATION_DECLARED,
    purpose::PURPOSE_ALLOWED,
    entitlement::READER_ENTITLED,
    key::KEY_HOLDS_NO_PII,
    key::KEY_ALWAYS_PRESENT,
    derived::DERIVED_IS_COMPOSED,
    majors::MAJOR_LIVES,
    names::NAMES_RESOLVE,
    migration::LEGACY_HAS_END,
    review::RULE_EXISTS,
    expression::EXPRESSIONS_TYPE_CHECK,
    standard::STANDARD_SOUND,
    standard::STANDARD_HOLDS,
    waiver::WAIVER_IN_TIME,
    waiver::WAIVER_NEEDED,
];

/// Returns the rule of an id.
pub fn rule(id: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.id == id)
}
