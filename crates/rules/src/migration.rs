//! A legacy path has an end.

use crate::review::Review;
use crate::rule::{Category, Rule};
use seamline_contract::finding::{Finding, Level};

/// What is replaced has a last day.
pub(crate) const LEGACY_HAS_END: Rule = Rule {
    id: "LEGACY_HAS_END",
    category: Category::Shape,
    level: Level::Warn,
    reason: "A path that is to be replaced and has no last day is still there in ten years, beside its replacement.",
    check: legacy_has_end,
};

fn legacy_has_end(review: &Review<'_>) -> Vec<Finding> {
    let endless = review
        .estate
        .migrations
        .iter()
        .filter(|migration| migration.legacy.as_ref().is_some_and(|legacy| legacy.until.is_none()));
    endless
        .map(|migration| {
            LEGACY_HAS_END
                .finding(migration.path().key("legacy").the_key(), "the legacy path has no last day")
                .help("add `until:` with the day on which it is switched off")
                .owed_by(migration.context())
        })
        .collect()
}
