//! Events tell of a business change: no catch-all, by name or by shape.

use crate::review::Review;
use crate::rule::{Category, Rule};
use seamline_contract::channel::Event;
use seamline_contract::contract::Contract;
use seamline_contract::finding::{Finding, Level};
use seamline_contract::id::AttributeName;
use std::collections::BTreeSet;

/// Ends of names that say that something changed, and not what.
const VAGUE: [&str; 3] = ["Updated", "Changed", "Modified"];

/// An event that carries this share of the attributes and says of none what it becomes is a copy of the row.
pub(crate) const CATCH_ALL_PERCENT: usize = 80;

/// With fewer attributes beside the key, carrying all of them says nothing.
pub(crate) const CATCH_ALL_ATTRIBUTES_MIN: usize = 3;

/// No event is named for the whole record having changed.
pub(crate) const EVENT_NOT_CATCH_ALL_BY_NAME: Rule = Rule {
    id: "EVENT_NOT_CATCH_ALL_BY_NAME",
    category: Category::Exchange,
    level: Level::Error,
    reason: "Who reads that the record was updated must guess what happened, and every reader guesses otherwise.",
    check: not_catch_all_by_name,
};

/// No event carries nearly everything without saying what became of anything.
pub(crate) const EVENT_NOT_CATCH_ALL_BY_SHAPE: Rule = Rule {
    id: "EVENT_NOT_CATCH_ALL_BY_SHAPE",
    category: Category::Exchange,
    level: Level::Error,
    reason: "An event that carries the whole record is state in disguise: a copy that loses order, bootstrap and deletion.",
    check: not_catch_all_by_shape,
};

/// An event's name says what happened.
pub(crate) const EVENT_SAYS_WHAT_HAPPENED: Rule = Rule {
    id: "EVENT_SAYS_WHAT_HAPPENED",
    category: Category::Exchange,
    level: Level::Advice,
    reason: "A name that says only that something changed hides the business change that a reader could react to.",
    check: says_what_happened,
};

fn events(contract: &Contract) -> impl Iterator<Item = &Event> {
    contract.events.iter().flat_map(|events| &events.events)
}

fn not_catch_all_by_name(review: &Review<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for contract in review.living() {
        let subjects = subjects(review, contract);
        for event in events(contract) {
            let Some(ending) = vague(event) else { continue };
            if !names_a_subject(event, ending, &subjects) {
                continue;
            }
            findings.push(
                EVENT_NOT_CATCH_ALL_BY_NAME
                    .finding(
                        contract.path().key("events").key(&event.name).the_key(),
                        format!("`{}` says that the record changed, not what happened", event.name),
                    )
                    .help("name an event for each business change and say what it `becomes`; the row itself travels on `state`")
                    .owed_by(&contract.name.context),
            );
        }
    }
    findings
}

fn says_what_happened(review: &Review<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for contract in review.living() {
        let subjects = subjects(review, contract);
        for event in events(contract) {
            let Some(ending) = vague(event) else { continue };
            if names_a_subject(event, ending, &subjects) {
                continue;
            }
            findings.push(
                EVENT_SAYS_WHAT_HAPPENED
                    .finding(
                        contract.path().key("events").key(&event.name).the_key(),
                        format!("`{}` ends with `{ending}`: what happened in the business?", event.name),
                    )
                    .help("name the change a reader would react to, as in `ConsentWithdrawn`; keep it if there is no better word")
                    .owed_by(&contract.name.context),
            );
        }
    }
    findings
}

fn vague(event: &Event) -> Option<&'static str> {
    VAGUE.into_iter().find(|ending| event.name.as_str().ends_with(ending))
}

/// What the whole record is called, each in lower case without separators: the contract, and the context's words.
fn subjects(review: &Review<'_>, contract: &Contract) -> BTreeSet<String> {
    let terms =
        review.context(&contract.name.context).map(|context| context.terms.as_slice()).unwrap_or_default();
    let words = terms.iter().map(|term| term.word.as_str());
    words.chain([contract.name.contract.as_str()]).map(folded).collect()
}

fn names_a_subject(event: &Event, ending: &str, subjects: &BTreeSet<String>) -> bool {
    event.name.as_str().strip_suffix(ending).is_some_and(|subject| subjects.contains(&folded(subject)))
}

fn folded(text: &str) -> String {
    text.chars().filter(|letter| letter.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

fn not_catch_all_by_shape(review: &Review<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for contract in review.living() {
        let all = contract.attributes.len().saturating_sub(contract.key.len());
        if all < CATCH_ALL_ATTRIBUTES_MIN {
            continue;
        }
        for event in events(contract).filter(|event| event.becomes.is_empty() && !event.ends) {
            let carried: BTreeSet<&AttributeName> = event
                .sets
                .iter()
                .chain(&event.with)
                .map(|path| path.first())
                .filter(|name| !contract.key.contains(name))
                .collect();
            if carried.len() * 100 < all * CATCH_ALL_PERCENT {
                continue;
            }
            findings.push(
                EVENT_NOT_CATCH_ALL_BY_SHAPE
                    .finding(
                        contract.path().key("events").key(&event.name).the_key(),
                        format!(
                            "`{}` carries {} of {all} attributes and says of none what it becomes",
                            event.name,
                            carried.len()
                        ),
                    )
                    .help("say what changed by `becomes`, or carry only what its readers react to; the rest travels on `state`")
                    .owed_by(&contract.name.context),
            );
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::{CATCH_ALL_ATTRIBUTES_MIN, CATCH_ALL_PERCENT};

    #[test]
    fn the_page_names_the_thresholds() {
        let page = include_str!("../../../docs/reference/rules/EVENT_NOT_CATCH_ALL_BY_SHAPE.md");
        let said = format!("{CATCH_ALL_PERCENT} % or more of at least {CATCH_ALL_ATTRIBUTES_MIN} attributes");
        assert!(page.split_whitespace().collect::<Vec<_>>().join(" ").contains(&said), "{said}");
    }
}
