//! The pages of the rules, as `explain` prints them.

macro_rules! pages {
    ($($id:literal)*) => {
        &[$(($id, include_str!(concat!("../../../docs/reference/rules/", $id, ".md")))),*]
    };
}

/// Rule and page.
const PAGES: &[(&str, &str)] = pages! {
    "ACCEPTED_MEANING_STANDS"
    "BOOTSTRAP_REACHABLE"
    "CARRIED_ATTRIBUTE_EXISTS"
    "CARRIED_DECIDES_NOTHING"
    "CLASSIFICATION_DECLARED"
    "DATE_HAS_ZONE"
    "DERIVED_IS_COMPOSED"
    "EVENT_NOT_CATCH_ALL_BY_NAME"
    "EVENT_NOT_CATCH_ALL_BY_SHAPE"
    "EVENT_SAYS_WHAT_HAPPENED"
    "EXPRESSIONS_TYPE_CHECK"
    "FEED_FITS_CONTRACT"
    "KEY_ALWAYS_PRESENT"
    "KEY_HOLDS_NO_PII"
    "LEGACY_HAS_END"
    "MAJOR_LIVES"
    "MEANING_ACCEPTED"
    "MEANING_PRESENT"
    "MEANING_SAYS_MORE_THAN_NAME"
    "NAMES_RESOLVE"
    "NEEDS_COVERED"
    "ONE_OWNER"
    "PROMISES_WRITTEN"
    "PURPOSE_ALLOWED"
    "QUANTITY_HAS_UNIT"
    "READER_ENTITLED"
    "RECONCILIATION_DECLARED"
    "RETENTION_COVERS_REPLAY"
    "RULE_EXISTS"
    "RUNBOOK_EXISTS"
    "STANDARD_HOLDS"
    "STANDARD_SOUND"
    "WAIVER_IN_TIME"
    "WAIVER_NEEDED"
    "WORDS_DIFFER_OPENLY"
};

/// Returns the page of a rule.
pub(crate) fn page(id: &str) -> Option<&'static str> {
    PAGES.iter().find(|(known, _)| *known == id).map(|(_, page)| *page)
}

#[cfg(test)]
mod tests {
    use super::page;
    use seamline_rules::rule::RULES;

    #[test]
    fn every_rule_has_a_page() {
        for rule in RULES {
            assert!(page(rule.id).is_some_and(|page| page.contains(rule.id)), "{}", rule.id);
        }
    }
}
