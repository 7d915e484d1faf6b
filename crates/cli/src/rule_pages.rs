//! The pages of the rules, as `explain` prints them.

macro_rules! pages {
    ($folder:literal: $($id:literal)*) => {
        &[$(($id, include_str!(concat!("../../../docs/reference/", $folder, "/", $id, ".md")))),*]
    };
}

/// Rule and page.
const PAGES: &[(&str, &str)] = pages! { "rules":
    "ACCEPTED_MEANING_STANDS"
    "BEHAVIOUR_IN_EVENTS"
    "BOOTSTRAP_REACHABLE"
    "CADENCE_FITS_FRESHNESS"
    "CARRIED_ATTRIBUTE_EXISTS"
    "CARRIED_DECIDES_NOTHING"
    "CHANNELS_LEAVE_TOGETHER"
    "CLASSIFICATION_DECLARED"
    "COMMAND_BELONGS_TO_RECEIVER"
    "COMPACTED_YIELDS_NO_AUDIT"
    "CONTEXTS_BUILD_ONE_WAY"
    "CONVERSATION_IS_REQUESTED"
    "COPY_IS_NEEDED"
    "CORRECTION_ASKED_OF_OWNER"
    "COUNTS_SPARE_PII"
    "DATE_HAS_ZONE"
    "DERIVATION_ENDS"
    "DERIVED_IS_COMPOSED"
    "DERIVED_IS_PROJECTED"
    "ERA_READS_WHAT_IS_USED"
    "EVENT_IN_PAST_TENSE"
    "EVENT_NOT_CATCH_ALL_BY_NAME"
    "EVENT_NOT_CATCH_ALL_BY_SHAPE"
    "EVENT_SAYS_WHAT_HAPPENED"
    "EVENT_SPARES_PII"
    "EXPRESSIONS_TYPE_CHECK"
    "FEED_FITS_CONTRACT"
    "FOREIGN_KEYS_ARE_CARRIED"
    "FRESHNESS_WITHIN_REACH"
    "IDS_LEAD_SOMEWHERE"
    "KEY_ALWAYS_PRESENT"
    "KEY_HOLDS_NO_PII"
    "LEGACY_HAS_END"
    "MAJOR_LIVES"
    "MANUAL_IS_ATTENDED"
    "MEANING_ACCEPTED"
    "MEANING_MOVES_BY_EVENT"
    "MEANING_NOT_OVERLOADED"
    "MEANING_PRESENT"
    "MEANING_SAYS_MORE_THAN_NAME"
    "NAMES_ARE_BUSINESS_WORDS"
    "NAMES_RESOLVE"
    "NEEDS_COVERED"
    "NO_SHARED_CANONICAL_MODEL"
    "ONE_OWNER"
    "PAYLOAD_IS_FLAT"
    "PROMISES_WRITTEN"
    "PUBLISHED_IS_USED"
    "PURPOSE_ALLOWED"
    "QUANTITY_HAS_UNIT"
    "READER_ENTITLED"
    "RECONCILIATION_DECLARED"
    "RETENTION_COVERS_REPLAY"
    "RULE_EXISTS"
    "RUNBOOK_EXISTS"
    "SAGA_REACTS_TO_BECOMES"
    "STANDARD_HOLDS"
    "STANDARD_SOUND"
    "STATE_IN_STATE"
    "STORE_PUBLISHED_BY_MAPPING"
    "TERM_DECIDED_ONCE"
    "THRESHOLDS_CALL_IN_TIME"
    "TINY_DATA_IS_ASKED"
    "TOPIC_NAMES_NO_PII"
    "TRANSACTION_WITHIN_CONTEXT"
    "WAIVER_IN_TIME"
    "WAIVER_NEEDED"
    "WORDS_DIFFER_OPENLY"
};

/// Rule of changes and page.
const CHANGE_PAGES: &[(&str, &str)] = pages! { "changes":
    "CHANGE_DECLARED"
    "CONSUMERS_KEPT"
    "DECLARED_IS_TRUE"
    "FROZEN_TEXT_STANDS"
    "VERSION_COVERS_CHANGES"
    "WORDS_DECLARED"
};

/// Returns the page of a rule.
pub(crate) fn page(id: &str) -> Option<&'static str> {
    PAGES.iter().chain(CHANGE_PAGES).find(|(known, _)| *known == id).map(|(_, page)| *page)
}

#[cfg(test)]
mod tests {
    use super::page;
    use seamline_rules::diff::verdict::CHANGE_RULES;
    use seamline_rules::rule::RULES;

    #[test]
    fn every_rule_has_a_page() {
        for id in RULES.iter().map(|rule| rule.id).chain(CHANGE_RULES.iter().map(|rule| rule.id)) {
            assert!(page(id).is_some_and(|page| page.contains(id)), "{id}");
        }
    }
}
