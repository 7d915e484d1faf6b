//! Whether a change may ship: versions that cover what changed, history that is declared truly, consumers that are kept.

use super::Diff;
use super::change::{Change, Effect, Subject};
use super::declared::What;
use super::impact::{Fate, Impact};
use seamline_contract::finding::{Finding, Level};
use seamline_contract::id::{ContextId, Version};
use seamline_contract::path::ModelPath;
use std::collections::{BTreeMap, BTreeSet};

/// A rule that a change must satisfy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChangeRule {
    /// The id, UPPER_SNAKE, named for what must hold.
    pub id: &'static str,
    /// The worst level that it has.
    pub level: Level,
    /// Why it matters, in one sentence.
    pub reason: &'static str,
}

impl ChangeRule {
    fn finding(&self, at: ModelPath, message: impl Into<String>) -> Finding {
        Finding::new(self.id, at, message).level(self.level)
    }
}

const VERSION_COVERS_CHANGES: ChangeRule = ChangeRule {
    id: "VERSION_COVERS_CHANGES",
    level: Level::Error,
    reason: "A version is what readers go by: one that rises less than what changed asks for tells them that nothing broke.",
};
const DECLARED_IS_TRUE: ChangeRule = ChangeRule {
    id: "DECLARED_IS_TRUE",
    level: Level::Error,
    reason: "Consumers accept a change by what is declared of it, so what is declared is what happened, and all of it.",
};
const CHANGE_DECLARED: ChangeRule = ChangeRule {
    id: "CHANGE_DECLARED",
    level: Level::Warn,
    reason: "The history of meaning is written by who changes it, with a reason: later nobody knows it any more.",
};
const FROZEN_TEXT_STANDS: ChangeRule = ChangeRule {
    id: "FROZEN_TEXT_STANDS",
    level: Level::Error,
    reason: "Who reads an older major relies on its text as it was when it was frozen.",
};
const WORDS_DECLARED: ChangeRule = ChangeRule {
    id: "WORDS_DECLARED",
    level: Level::Error,
    reason: "What other words do to readers cannot be computed, so somebody says it before they ship.",
};
/// No consumer breaks on the day a change ships.
pub const CONSUMERS_KEPT: ChangeRule = ChangeRule {
    id: "CONSUMERS_KEPT",
    level: Level::Error,
    reason: "A consumer that breaks on the day a change ships was not asked.",
};

/// All rules that a change must satisfy.
pub const CHANGE_RULES: &[ChangeRule] = &[
    VERSION_COVERS_CHANGES,
    WORDS_DECLARED,
    DECLARED_IS_TRUE,
    FROZEN_TEXT_STANDS,
    CONSUMERS_KEPT,
    CHANGE_DECLARED,
];

/// Returns what keeps a change from shipping, errors first. Places are in the new estate, or in the old one for what is gone.
pub fn findings(diff: &Diff, impacts: &[Impact]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for contract in &diff.contracts {
        let owner = &contract.name.context;
        if !contract.is_covered() {
            let at = contract.at.clone();
            let (required, given) = (contract.required, contract.given);
            let message = format!(
                "what changed asks for a {required} version of `{}`; it rose by {given}",
                contract.name
            );
            findings.push(
                VERSION_COVERS_CHANGES.finding(at, message).help(rise(contract.old, required)).owed_by(owner),
            );
        }
        for lie in &contract.lies {
            let message = match &lie.what {
                What::Nothing => {
                    format!("`changes` say `{}: {}`, and nothing of the kind happened", lie.word, lie.name)
                }
                What::More { facet, .. } => {
                    format!("`changes` say `{}: {}`, and {facet} changed as well", lie.word, lie.name)
                }
            };
            let finding = DECLARED_IS_TRUE.finding(lie.at.clone(), message).owed_by(owner);
            findings.push(match &lie.what {
                What::More { facet, at } => finding
                    .note(at.clone(), format!("{facet} is another here"))
                    .help("declare what it did to readers: `refined` keeps them right, `redefined` does not"),
                What::Nothing => {
                    let unsaid = contract.unsaid.iter().map(|idx| diff.changes[*idx].target.to_string());
                    finding.help(nothing_of(&unsaid.collect()))
                }
            });
        }
        for idx in &contract.unsaid {
            let change = &diff.changes[*idx];
            if change.effect == Effect::Unhandled {
                continue;
            }
            let level = if change.effect == Effect::Breaking { Level::Warn } else { Level::Advice };
            let finding = CHANGE_DECLARED
                .finding(change.at().clone(), format!("`changes` do not tell: {}", change.message()));
            findings.push(finding.level(level).help(entry_of(change, contract.new)).owed_by(owner));
        }
    }
    findings.extend(words(diff));
    findings.extend(broken(diff, impacts));
    findings.sort_by(|one, two| (two.level, &one.at, one.rule).cmp(&(one.level, &two.at, two.rule)));
    findings
}

/// Returns what is to be done about an entry of which nothing happened. `unsaid`: what happened and no entry names.
fn nothing_of(unsaid: &BTreeSet<String>) -> String {
    if unsaid.is_empty() {
        return "take the entry out".to_owned();
    }
    let names: Vec<String> = unsaid.iter().map(|name| format!("`{name}`")).collect();
    format!("take the entry out, or let it name what changed as it is named here: {}", names.join(", "))
}

/// Returns the entry of `changes` that tells of a change.
fn entry_of(change: &Change, version: Option<Version>) -> String {
    let word = match (&change.old, &change.new, change.effect) {
        (None, _, _) => "added",
        (_, None, _) => "removed",
        (_, _, Effect::Breaking) => "weakened",
        _ => "strengthened",
    };
    let version = version.map(|version| format!("version: {version}, ")).unwrap_or_default();
    format!("add to `changes`: `{{ {version}{word}: {}, because: … }}`", change.target)
}

fn rise(old: Option<Version>, required: super::change::Bump) -> String {
    use super::change::Bump;
    let Some(old) = old else { return "raise the version".to_owned() };
    let (major, minor, patch) = (old.major.0, old.minor, old.patch);
    match required {
        Bump::Major => format!(
            "write `version: {}.0.0` and keep the older text as `<id>@{major}.contract.yaml`",
            major + 1
        ),
        Bump::Minor => format!("write `version: {major}.{}.0`", minor + 1),
        Bump::Patch | Bump::None => format!("write `version: {major}.{minor}.{}`", patch + 1),
    }
}

fn words(diff: &Diff) -> Vec<Finding> {
    let mut findings = Vec::new();
    for change in &diff.changes {
        let owner = owner(&change.subject);
        let of = |rule: ChangeRule, message: String, help: &str| {
            let finding = rule.finding(change.at().clone(), message).help(help);
            match owner {
                Some(owner) => finding.owed_by(owner),
                None => finding,
            }
        };
        match (&change.subject, change.effect) {
            (Subject::Frozen(reference), effect)
                if effect > Effect::Editorial && change.facet != "status" =>
            {
                let message =
                    format!("the frozen text of `{reference}` is not what it was: {}", change.message());
                findings.push(of(FROZEN_TEXT_STANDS, message, "put it back: readers rely on it as it is"));
            }
            (_, Effect::Unhandled) => {
                let help = "say in `changes` what it does to readers: `clarified`, `refined` or `redefined`";
                findings.push(of(WORDS_DECLARED, change.message(), help));
            }
            _ => {}
        }
    }
    findings
}

fn owner(subject: &Subject) -> Option<&ContextId> {
    match subject {
        Subject::Contract(name) | Subject::Publication(name) => Some(&name.context),
        Subject::Frozen(reference) => Some(&reference.name.context),
        Subject::Subscription(name) => Some(&name.context),
        Subject::Context(id) => Some(id),
        Subject::Migration(name) => Some(&name.context),
        Subject::Environment(_) | Subject::Standard(_) | Subject::Waiver(_) | Subject::Settings => None,
    }
}

/// One finding for each change that breaks somebody.
fn broken(diff: &Diff, impacts: &[Impact]) -> Vec<Finding> {
    let mut by_change: BTreeMap<usize, Vec<&Impact>> = BTreeMap::new();
    for impact in impacts.iter().filter(|impact| impact.fate == Fate::Breaks) {
        by_change.entry(impact.change).or_default().push(impact);
    }
    let finding = |(idx, broken): (usize, Vec<&Impact>)| {
        let change = &diff.changes[idx];
        let names: Vec<String> = broken.iter().map(|impact| format!("`{}`", impact.subscription)).collect();
        let message = format!("{} breaks {}", change.message(), names.join(", "));
        let help = "keep the older major alive by `serves`, or let its consumers move first";
        let finding = CONSUMERS_KEPT.finding(change.at().clone(), message).help(help);
        match owner(&change.subject) {
            Some(owner) => finding.owed_by(owner),
            None => finding,
        }
    };
    by_change.into_iter().map(finding).collect()
}
