//! Mutants: one edit of a clean estate each, made in a fixed order, with what must be found of it and no error beside.
//!
//! What an operator does is seen by rules (in the text as it is), by `diff` (between two texts), by both or by neither;
//! the page of blind spots is made from what this run saw.

mod attribute;
mod behaviour;
mod consumer;

use crate::estates::{estates_in, texts};
use seamline_contract::estate::Estate;
use seamline_contract::finding::{Finding, Level};
use seamline_contract::path::DocumentId;
use seamline_lang::estate::read_estate;
use seamline_rules::diff::change::{Aspect, Effect};
use seamline_rules::diff::{Sides, diff};
use seamline_rules::review::{Facts, review, runbooks};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// At least so many mutants are made of the estates of the repository.
const MUTANTS_MIN: usize = 500;

/// One edit of an estate.
pub(super) struct Mutant {
    /// What was done, in words for the page.
    operator: &'static str,
    /// To what.
    target: String,
    estate: Estate,
    /// Rules that must find it.
    must: Vec<&'static str>,
    /// Rules at error level that may find it as well, for what is named elsewhere too.
    may: &'static [&'static str],
    /// What the difference must be called; none where that is left to the page.
    change: Option<(Aspect, Effect)>,
}

/// Mutants of one estate, in the order in which they are made.
pub(super) struct Mutants<'e> {
    base: &'e Estate,
    made: Vec<Mutant>,
}

impl<'e> Mutants<'e> {
    /// Makes a mutant by an edit, with what must be seen of it.
    pub(super) fn add(
        &mut self,
        operator: &'static str,
        target: impl ToString,
        change: Option<(Aspect, Effect)>,
        edit: impl FnOnce(&mut Estate),
    ) -> &mut Mutant {
        let mut estate = self.base.clone();
        edit(&mut estate);
        let target = target.to_string();
        self.made.push(Mutant { operator, target, estate, must: Vec::new(), may: &[], change });
        self.made.last_mut().expect("one was made")
    }
}

impl Mutant {
    /// Says which rule must find it.
    pub(super) fn found_by(&mut self, rule: &'static str) -> &mut Mutant {
        self.must.push(rule);
        self
    }

    /// Says which rule must find it, where that is so.
    pub(super) fn found_if(&mut self, holds: bool, rule: &'static str) -> &mut Mutant {
        if holds { self.found_by(rule) } else { self }
    }

    /// Says which rules at error level may find it as well.
    pub(super) fn perhaps(&mut self, rules: &'static [&'static str]) -> &mut Mutant {
        self.may = rules;
        self
    }
}

/// Reads an estate as written, before anything was accepted: a pinned meaning would find nearly every mutant.
fn estate(root: &Path) -> Estate {
    let reading = read_estate(&texts(root), DocumentId("seamline.yaml".to_owned()));
    assert_eq!(reading.findings, [], "{}", root.display());
    let mut estate = reading.estate;
    estate.subscriptions.iter_mut().for_each(|subscription| subscription.accepted = None);
    estate
}

fn found(estate: &Estate, base: &Estate) -> Vec<Finding> {
    review(estate, &Facts { runbooks: runbooks(base), ..Facts::default() })
}

/// What an operator was seen by, over all its mutants.
#[derive(Default)]
struct Seen {
    mutants: usize,
    rules: BTreeSet<&'static str>,
    changes: BTreeSet<String>,
}

/// Holds each mutant of an estate to what must be seen of it.
fn hold(root: &Path, seen: &mut BTreeMap<&'static str, Seen>) -> Vec<String> {
    let base = estate(root);
    let mut mutants = Mutants { base: &base, made: Vec::new() };
    attribute::mutants(&mut mutants);
    behaviour::mutants(&mut mutants);
    consumer::mutants(&mut mutants);
    let clean: BTreeSet<String> =
        found(&base, &base).iter().map(|it| format!("{} {}", it.rule, it.at)).collect();
    let mut wrong = Vec::new();
    for mutant in &mutants.made {
        let new: Vec<Finding> = found(&mutant.estate, &base)
            .into_iter()
            .filter(|it| !clean.contains(&format!("{} {}", it.rule, it.at)))
            .collect();
        let serious = |it: &&Finding| it.level == Level::Error;
        let extra: Vec<&Finding> = new
            .iter()
            .filter(serious)
            .filter(|it| !mutant.must.contains(&it.rule) && !mutant.may.contains(&it.rule))
            .collect();
        let unseen: Vec<_> =
            mutant.must.iter().filter(|rule| !new.iter().any(|it| it.rule == **rule)).collect();
        let changes: BTreeSet<(Aspect, Effect)> = diff(&Sides::new(&base, &mutant.estate))
            .changes
            .iter()
            .map(|it| (it.aspect, it.effect))
            .collect();
        let classed = mutant.change.is_none_or(|change| changes.contains(&change));
        if !extra.is_empty() || !unseen.is_empty() || !classed {
            let extra: Vec<String> =
                extra.iter().map(|it| format!("{} {} {}", it.rule, it.at, it.message)).collect();
            wrong.push(format!(
                "{}: {} {}: unseen {unseen:?}, besides {extra:?}, expected {:?} of {changes:?}",
                root.display(),
                mutant.operator,
                mutant.target,
                mutant.change
            ));
        }
        let row = seen.entry(mutant.operator).or_default();
        row.mutants += 1;
        row.rules.extend(&mutant.must);
        row.rules.extend(new.iter().map(|it| it.rule).filter(|rule| mutant.may.contains(rule)));
        let told = changes.iter().filter(|it| mutant.change.is_none_or(|change| change == **it));
        row.changes.extend(told.map(|(aspect, effect)| format!("{aspect} {effect}")));
    }
    wrong
}

fn own_estates() -> Vec<PathBuf> {
    ["examples", "proof"].into_iter().flat_map(estates_in).collect()
}

fn page() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/blind-spots.md")
}

const HEAD: &str = "\
# Blind spots

<!-- Generated by the test of mutants in `crates/rules`, which holds it against what it saw. -->

Each row is an edit that the tests make everywhere they can in the estates of this repository. *Rules* are those of
`seamline check` that find it in the text as it is: everywhere, or where what was edited is used elsewhere. *Diff* is what
`seamline diff` calls it between the old text and the new. Where no rule is named, only who compares two texts sees it. A
consumer that has accepted a meaning is told of every edit of what it uses, whatever the row says.

| edit | rules | diff |
|---|---|---|
";

const BEYOND: &str = "
## What no tool sees
- Whether a meaning is true. A sentence that lies in good words passes every rule; the owner and its consumers read it.
- Two attributes of one type whose columns are exchanged in a publication: `diff` tells that they were, and the values pass.
- A name that tells something else in another language, or a word of a trade that the lists of words do not know.
- Readers outside the estate: reports, spreadsheets and people who query a copy.
- What a reaction does with what it receives. Its inbox is the consumer's own code.
";

#[test]
fn each_mutant_is_seen_for_what_it_is_and_for_nothing_else() {
    let mut seen = BTreeMap::new();
    let mut wrong = Vec::new();
    for root in own_estates() {
        wrong.extend(hold(&root, &mut seen));
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    let made: usize = seen.values().map(|row| row.mutants).sum();
    assert!(made >= MUTANTS_MIN, "{made} mutants were made");
    let mut text = HEAD.to_owned();
    for (operator, row) in &seen {
        let rules: Vec<String> = row.rules.iter().map(|id| format!("[{id}](rules/{id}.md)")).collect();
        let changes: Vec<&str> = row.changes.iter().map(String::as_str).collect();
        let or_none = |list: String| if list.is_empty() { "none".to_owned() } else { list };
        text +=
            &format!("| {operator} | {} | {} |\n", or_none(rules.join(", ")), or_none(changes.join(", ")));
    }
    text += BEYOND;
    if std::env::var_os("SEAMLINE_WRITE_DOCS").is_some() {
        std::fs::write(page(), &text).expect("the page can be written");
    }
    let written = std::fs::read_to_string(page()).unwrap_or_default();
    assert!(written == text, "docs/reference/blind-spots.md is out of date: `cargo x docs` writes it anew");
}

#[test]
#[cfg_attr(not(estates_here), ignore = "the example estates are not beside the repository")]
fn each_mutant_of_the_shared_estates_is_seen_for_what_it_is() {
    let mut seen = BTreeMap::new();
    let wrong: Vec<String> =
        estates_in("../shared/estates").iter().flat_map(|root| hold(root, &mut seen)).collect();
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(!seen.is_empty(), "there are estates");
}
