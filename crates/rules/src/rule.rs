//! Rules as data: the table from which checks, documentation and levels come.

use crate::review::Review;
use crate::{
    accepted, behaviour, bootstrap, cadence, canonical, carried, clock, command, custody, cycles, derived,
    entitlement, events, expression, feed, fit, hours, key, majors, meaning, migration, minimal, names,
    needs, overloaded, owner, payload, purpose, quantity, reconciliation, replay, review, standard, terms,
    waiver,
};
use seamline_contract::finding::{Finding, Level};
use seamline_contract::measure::{Span, Threshold};
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
    custody::TERM_DECIDED_ONCE,
    custody::CORRECTION_ASKED_OF_OWNER,
    command::COMMAND_BELONGS_TO_RECEIVER,
    events::EVENT_NOT_CATCH_ALL_BY_NAME,
    events::EVENT_NOT_CATCH_ALL_BY_SHAPE,
    events::EVENT_SAYS_WHAT_HAPPENED,
    command::EVENT_IN_PAST_TENSE,
    behaviour::BEHAVIOUR_IN_EVENTS,
    behaviour::STATE_IN_STATE,
    command::SAGA_REACTS_TO_BECOMES,
    feed::STORE_PUBLISHED_BY_MAPPING,
    feed::FEED_FITS_CONTRACT,
    derived::DERIVED_IS_PROJECTED,
    hours::CHANNELS_LEAVE_TOGETHER,
    bootstrap::BOOTSTRAP_REACHABLE,
    needs::PROMISES_WRITTEN,
    needs::RETENTION_COVERS_REPLAY,
    needs::NEEDS_COVERED,
    replay::COMPACTED_YIELDS_NO_AUDIT,
    replay::ERA_READS_WHAT_IS_USED,
    meaning::MEANING_PRESENT,
    meaning::MEANING_SAYS_MORE_THAN_NAME,
    terms::WORDS_DIFFER_OPENLY,
    overloaded::MEANING_NOT_OVERLOADED,
    clock::MEANING_MOVES_BY_EVENT,
    quantity::QUANTITY_HAS_UNIT,
    quantity::DATE_HAS_ZONE,
    accepted::MEANING_ACCEPTED,
    accepted::ACCEPTED_MEANING_STANDS,
    reconciliation::RECONCILIATION_DECLARED,
    reconciliation::RUNBOOK_EXISTS,
    cadence::CADENCE_FITS_FRESHNESS,
    cadence::THRESHOLDS_CALL_IN_TIME,
    reconciliation::MANUAL_IS_ATTENDED,
    purpose::CLASSIFICATION_DECLARED,
    purpose::PURPOSE_ALLOWED,
    entitlement::READER_ENTITLED,
    key::KEY_HOLDS_NO_PII,
    minimal::PUBLISHED_IS_USED,
    minimal::EVENT_SPARES_PII,
    minimal::TOPIC_NAMES_NO_PII,
    reconciliation::COUNTS_SPARE_PII,
    key::KEY_ALWAYS_PRESENT,
    derived::DERIVED_IS_COMPOSED,
    derived::DERIVATION_ENDS,
    majors::MAJOR_LIVES,
    names::NAMES_RESOLVE,
    migration::LEGACY_HAS_END,
    review::RULE_EXISTS,
    canonical::NO_SHARED_CANONICAL_MODEL,
    payload::NAMES_ARE_BUSINESS_WORDS,
    payload::FOREIGN_KEYS_ARE_CARRIED,
    payload::IDS_LEAD_SOMEWHERE,
    payload::PAYLOAD_IS_FLAT,
    cycles::CONTEXTS_BUILD_ONE_WAY,
    fit::TINY_DATA_IS_ASKED,
    fit::COPY_IS_NEEDED,
    fit::FRESHNESS_WITHIN_REACH,
    fit::TRANSACTION_WITHIN_CONTEXT,
    fit::CONVERSATION_IS_REQUESTED,
    expression::EXPRESSIONS_TYPE_CHECK,
    standard::STANDARD_SOUND,
    standard::STANDARD_HOLDS,
    waiver::WAIVER_IN_TIME,
    waiver::WAIVER_NEEDED,
];

/// Returns the thresholds of rules as they are printed: the rule, and from where on or up to what it holds.
pub fn thresholds() -> Vec<(&'static str, String)> {
    let share = Threshold::ShareMillionths(cadence::PAGE_SHARE_MAX_MILLIONTHS);
    let catch_all = format!(
        "{} % of at least {} attributes beside the key",
        events::CATCH_ALL_PERCENT,
        events::CATCH_ALL_ATTRIBUTES_MIN
    );
    vec![
        (events::EVENT_NOT_CATCH_ALL_BY_SHAPE.id, catch_all.clone()),
        (
            behaviour::BEHAVIOUR_IN_EVENTS.id,
            format!("{} values named for events", behaviour::EVENT_VALUES_MIN),
        ),
        (behaviour::STATE_IN_STATE.id, catch_all),
        (
            cadence::CADENCE_FITS_FRESHNESS.id,
            format!("a pass within {} times the freshness", cadence::CADENCE_TIMES_MAX),
        ),
        (cadence::THRESHOLDS_CALL_IN_TIME.id, format!("somebody is called at {share} at the latest")),
        (minimal::TOPIC_NAMES_NO_PII.id, format!("{} digits in a row", minimal::TOPIC_DIGITS_MAX)),
        (
            canonical::NO_SHARED_CANONICAL_MODEL.id,
            format!(
                "more than half of at least {} contexts, each using {} % of the attributes beside the key",
                canonical::CANONICAL_CONTEXTS_MIN,
                canonical::CANONICAL_USE_PERCENT
            ),
        ),
        (payload::PAYLOAD_IS_FLAT.id, format!("objects {} deep", payload::GRAPH_DEPTH_MAX)),
        (
            fit::TINY_DATA_IS_ASKED.id,
            format!("up to {} rows and {} changes a day", fit::TINY_ROWS_MAX, fit::TINY_CHANGES_A_DAY_MAX),
        ),
        (fit::FRESHNESS_WITHIN_REACH.id, format!("at least `{}`", Span(fit::COPY_FRESHNESS_MIN))),
        (
            fit::CONVERSATION_IS_REQUESTED.id,
            format!("up to {} changes a day", fit::CONVERSATION_CHANGES_A_DAY_MAX),
        ),
    ]
}

/// Returns the rule of an id.
pub fn rule(id: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.id == id)
}
