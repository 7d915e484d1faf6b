//! A word that two contexts use says how the meanings differ.

use crate::review::{Review, listed};
use crate::rule::{Category, Rule};
use seamline_contract::context::{Context, Term};
use seamline_contract::finding::{Finding, Level};
use std::collections::BTreeMap;

/// One word with two meanings says so.
pub(crate) const WORDS_DIFFER_OPENLY: Rule = Rule {
    id: "WORDS_DIFFER_OPENLY",
    category: Category::Meaning,
    level: Level::Error,
    reason: "Two teams that say the same word and mean two things agree on everything, and build two systems.",
    check: words_differ_openly,
};

fn words_differ_openly(review: &Review<'_>) -> Vec<Finding> {
    let mut uses: BTreeMap<String, Vec<(&Context, &Term)>> = BTreeMap::new();
    for context in &review.estate.contexts {
        for term in &context.terms {
            uses.entry(term.word.to_lowercase()).or_default().push((context, term));
        }
    }
    let mut findings = Vec::new();
    for users in uses.values() {
        for (idx, (context, term)) in users.iter().enumerate() {
            let silent: Vec<&(&Context, &Term)> = users[..idx]
                .iter()
                .filter(|(other, there)| !told_apart(context, term, other, there))
                .collect();
            let Some((first, there)) = silent.first() else { continue };
            let others = listed(silent.iter().map(|(other, _)| &other.id));
            findings.push(
                WORDS_DIFFER_OPENLY
                    .finding(
                        context.path().key("terms").key(&term.word).the_key(),
                        format!(
                            "`{}` is a word of {others} as well, and nothing says how they differ",
                            term.word
                        ),
                    )
                    .help(format!("add `unlike: {{ {}: … }}` here or there", first.id))
                    .note(first.path().key("terms").key(&there.word).the_key(), "the same word")
                    .owed_by(&context.id),
            );
        }
    }
    findings
}

fn told_apart(here: &Context, term: &Term, other: &Context, there: &Term) -> bool {
    term.unlike.iter().any(|(id, _)| *id == other.id) || there.unlike.iter().any(|(id, _)| *id == here.id)
}
