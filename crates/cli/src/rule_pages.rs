//! The pages of the rules, as `explain` prints them.

macro_rules! pages {
    ($folder:literal: $($id:literal)*) => {
        &[$(($id, include_str!(concat!("../../../docs/reference/", $folder, "/", $id, ".md")))),*]
    };
}

/// Rule and page.
const PAGES: &[(&str, &str)] = pages! { "rules":
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
    "KEY_ALWAYS_PRESENT"
    "KEY_HOLDS_NO_PII"
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
