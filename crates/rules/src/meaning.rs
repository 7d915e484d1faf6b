//! Everything that crosses a seam has a meaning, and the meaning says more than the name.

use crate::review::Review;
use crate::rule::{Category, Rule};
use crate::walk::{attributes, details};
use seamline_contract::attribute::{Attribute, Origin};
use seamline_contract::contract::Contract;
use seamline_contract::finding::{Finding, Level};
use seamline_contract::id::ContextId;
use seamline_contract::path::ModelPath;
use seamline_contract::subscription::{ColumnSource, Subscription};
use std::collections::BTreeSet;

/// What travels has a meaning.
pub(crate) const MEANING_PRESENT: Rule = Rule {
    id: "MEANING_PRESENT",
    category: Category::Meaning,
    level: Level::Error,
    reason: "A name without a meaning is filled in by each reader, and each fills in something else.",
    check: meaning_present,
};

/// A meaning says what its name does not.
pub(crate) const MEANING_SAYS_MORE_THAN_NAME: Rule = Rule {
    id: "MEANING_SAYS_MORE_THAN_NAME",
    category: Category::Meaning,
    level: Level::Warn,
    reason: "A meaning that repeats the name answers no question that the name left open.",
    check: meaning_says_more_than_name,
};

fn meaning_present(review: &Review<'_>) -> Vec<Finding> {
    let missing = meant(review, |_, text| text.trim().is_empty());
    missing
        .into_iter()
        .map(|meant| {
            MEANING_PRESENT
                .finding(meant.at, format!("{} `{}` has no meaning", meant.what, meant.name))
                .help("say in one sentence what it tells a reader, and what it does not")
                .owed_by(meant.owner)
        })
        .chain(review.estate.subscriptions.iter().filter_map(need_without_reason))
        .collect()
}

fn need_without_reason(subscription: &Subscription) -> Option<Finding> {
    subscription.needs.as_ref().filter(|needs| needs.because.trim().is_empty())?;
    Some(
        MEANING_PRESENT
            .finding(subscription.path().key("needs").key("because"), "nothing says why this is needed")
            .help("add `because:` with what goes wrong in the business otherwise")
            .owed_by(&subscription.name.context),
    )
}

fn meaning_says_more_than_name(review: &Review<'_>) -> Vec<Finding> {
    let repeating = meant(review, repeats);
    repeating
        .into_iter()
        .map(|meant| {
            MEANING_SAYS_MORE_THAN_NAME
                .finding(
                    meant.at,
                    format!("the meaning of {} `{}` only repeats its name", meant.what, meant.name),
                )
                .help("say what a reader may conclude from it, and what not")
                .owed_by(meant.owner)
        })
        .collect()
}

/// Something whose meaning is wrong.
struct Meant<'a> {
    what: &'static str,
    name: &'a str,
    at: ModelPath,
    owner: &'a ContextId,
}

/// Asks for every name and its meaning whether that is wrong; paths are made only then.
struct Asking<'a, 'r> {
    wrong: fn(&str, &str) -> bool,
    owner: &'a ContextId,
    found: &'r mut Vec<Meant<'a>>,
}

impl<'a> Asking<'a, '_> {
    fn ask(&mut self, what: &'static str, name: &'a str, text: &str, at: impl FnOnce() -> ModelPath) {
        if (self.wrong)(name, text) {
            self.found.push(Meant { what, name, at: at(), owner: self.owner });
        }
    }
}

fn meant<'a>(review: &Review<'a>, wrong: fn(&str, &str) -> bool) -> Vec<Meant<'a>> {
    let mut found = Vec::new();
    for context in &review.estate.contexts {
        let mut asking = Asking { wrong, owner: &context.id, found: &mut found };
        asking.ask("context", context.id.as_str(), &context.meaning, || context.path().key("meaning"));
        for term in &context.terms {
            let at = || context.path().key("terms").key(&term.word).key("meaning");
            asking.ask("term", &term.word, &term.meaning, at);
        }
    }
    for contract in review.living() {
        let mut asking = Asking { wrong, owner: &contract.name.context, found: &mut found };
        of_contract(contract, &mut asking);
        of_behaviour(contract, &mut asking);
    }
    for subscription in &review.estate.subscriptions {
        let mut asking = Asking { wrong, owner: &subscription.name.context, found: &mut found };
        for column in subscription.into.iter().flat_map(|into| &into.columns) {
            let ColumnSource::Is { meaning, .. } = &column.source else { continue };
            let at = || subscription.path().key("into").key("columns").key(&column.name).key("meaning");
            asking.ask("column", &column.name, meaning, at);
        }
    }
    for migration in &review.estate.migrations {
        let mut asking = Asking { wrong, owner: migration.context(), found: &mut found };
        let name = migration.name.migration.as_str();
        asking.ask("migration", name, &migration.meaning, || migration.path().key("meaning"));
        if let Some(legacy) = &migration.legacy {
            let at = || migration.path().key("legacy").key("meaning");
            asking.ask("legacy path of", name, &legacy.meaning, at);
        }
    }
    found
}

fn of_contract<'a>(contract: &'a Contract, asking: &mut Asking<'a, '_>) {
    asking.ask("contract", contract.name.contract.as_str(), &contract.meaning, || {
        contract.path().key("meaning")
    });
    for placed in attributes(contract).into_iter().chain(details(contract)) {
        let Attribute { name, origin: Origin::Own(shape), meaning, .. } = placed.attribute else { continue };
        let at = &placed.at;
        if placed.element_of.is_none() {
            asking.ask("attribute", name.as_str(), meaning, || at.clone().key("meaning"));
        }
        for (value, meaning) in &shape.values {
            asking.ask("value", value.as_str(), meaning, || at.clone().key("values").key(value));
        }
    }
}

fn of_behaviour<'a>(contract: &'a Contract, asking: &mut Asking<'a, '_>) {
    for event in contract.events.iter().flat_map(|events| &events.events) {
        let at = || contract.path().key("events").key(&event.name);
        asking.ask("event", event.name.as_str(), &event.meaning, || at().key("meaning"));
        for (reason, meaning) in &event.reasons {
            asking.ask("reason", reason.as_str(), meaning, || at().key("reasons").key(reason));
        }
        for flag in &event.flags {
            let at = || at().key("flags").key(&flag.name).key("meaning");
            asking.ask("flag", flag.name.as_str(), &flag.meaning, at);
        }
    }
    for command in &contract.commands {
        let at = || contract.path().key("commands").key(&command.name);
        asking.ask("command", command.name.as_str(), &command.meaning, || at().key("meaning"));
        for outcome in &command.outcomes {
            let at = || at().key("outcomes").key(&outcome.name).key("meaning");
            asking.ask("outcome", outcome.name.as_str(), &outcome.meaning, at);
        }
    }
}

/// Words that add nothing to a name, as `words` yields them.
const FILLER: [&str; 44] = [
    "a",
    "an",
    "and",
    "are",
    "as",
    "at",
    "attribute",
    "be",
    "by",
    "code",
    "column",
    "contain",
    "data",
    "event",
    "field",
    "flag",
    "for",
    "has",
    "have",
    "hold",
    "identifier",
    "id",
    "identifie",
    "in",
    "indicate",
    "information",
    "is",
    "it",
    "its",
    "name",
    "number",
    "of",
    "on",
    "or",
    "record",
    "that",
    "the",
    "this",
    "to",
    "unique",
    "value",
    "was",
    "were",
    "which",
];

/// Whether a text has no word beside those of the name and filler. An empty text repeats nothing.
fn repeats(name: &str, text: &str) -> bool {
    let known: BTreeSet<String> = words(name).collect();
    let said: Vec<String> = words(text).collect();
    !said.is_empty() && said.iter().all(|word| known.contains(word) || FILLER.contains(&word.as_str()))
}

/// Splits at capitals and at what is no letter or digit; in lower case, without a plural's ending.
pub(crate) fn words(text: &str) -> impl Iterator<Item = String> {
    let mut words = vec![String::new()];
    let mut lower_before = false;
    for letter in text.chars() {
        let starts = letter.is_uppercase() && lower_before;
        lower_before = letter.is_lowercase() || letter.is_numeric();
        if starts || !letter.is_alphanumeric() {
            words.push(String::new());
        }
        if letter.is_alphanumeric() {
            words.last_mut().expect("it begins with one").extend(letter.to_lowercase());
        }
    }
    words.into_iter().filter(|word| !word.is_empty()).map(|word| match word.strip_suffix('s') {
        Some(stem) if stem.len() > 2 && !stem.ends_with(['s', 'u', 'i']) => stem.to_owned(),
        _ => word,
    })
}

#[cfg(test)]
mod tests {
    use super::{FILLER, repeats, words};

    #[test]
    fn a_repetition_is_told_from_a_meaning() {
        let repeating = [
            ("coverFrom", "Cover from."),
            ("policyId", "The unique identifier of the policy"),
            ("AccountClosed", "The account was closed."),
            ("eligible", "eligible"),
            ("holderNames", "holder name"),
            ("FRAUD_REVIEW", "Fraud review"),
            ("UPS", "UPS."),
        ];
        for (name, text) in repeating {
            assert!(repeats(name, text), "{name}: {text}");
        }
        let meaning = [
            ("coverFrom", "First day of cover."),
            ("orderId", "Identifies an order for ever."),
            ("status", "Whether the policy is in force."),
            ("shipmentId", "Identifies a parcel."),
            ("empty", ""),
        ];
        for (name, text) in meaning {
            assert!(!repeats(name, text), "{name}: {text}");
        }
    }

    #[test]
    fn filler_is_written_as_words_are_compared() {
        for word in FILLER {
            assert_eq!(words(word).collect::<Vec<_>>(), [word]);
        }
    }
}
