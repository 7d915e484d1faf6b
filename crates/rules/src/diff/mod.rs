//! What changed between two estates, each difference classified by what it is about and what it does to readers. Pure.
//!
//! The walk takes every struct of the model apart by name, so that a field that is added to it does not compile before it is
//! classified. What words mean cannot be seen: a sentence that changed is `Unhandled` until `changes` say what that does.

pub mod change;
pub mod declared;
pub mod impact;
pub mod verdict;

mod attribute;
mod channel;
mod contract;
mod full;
mod governance;
mod others;
mod walk;

use crate::diff::change::{Bump, Change, Effect, Side, Subject, Target};
use crate::diff::contract::Text;
use crate::diff::declared::{Declared, Lie, Renames};
use crate::diff::walk::{Walk, matched};
use seamline_contract::contract::{Contract, Status};
use seamline_contract::estate::Estate;
use seamline_contract::id::{ContractName, ContractRef, Version};
use seamline_contract::path::ModelPath;
use seamline_contract::publication::Publication;
use seamline_contract::resolve::{Resolutions, resolve_all};
use std::collections::BTreeMap;

/// All that changed between two estates.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Diff {
    /// What differs, contracts first, each in the order of its text.
    pub changes: Vec<Change>,
    /// The contracts whose text changed, by name.
    pub contracts: Vec<ContractDiff>,
}

/// What became of one contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContractDiff {
    /// Which.
    pub name: ContractName,
    /// Its version before; none when it is new.
    pub old: Option<Version>,
    /// Its version now; none when it is gone.
    pub new: Option<Version>,
    /// How far the version must rise for what changed.
    pub required: Bump,
    /// How far it rose.
    pub given: Bump,
    /// Where the version stands, or stood.
    pub at: ModelPath,
    /// What is declared and is not so.
    pub lies: Vec<Lie>,
    /// Changes that `changes` could name and do not, as places in `Diff::changes`.
    pub unsaid: Vec<usize>,
}

impl ContractDiff {
    /// Returns whether the version rose far enough.
    pub fn is_covered(&self) -> bool {
        self.given >= self.required
    }
}

/// Two texts of an estate, the older first, each contract resolved once.
#[derive(Debug)]
pub struct Sides<'a> {
    old: Half<'a>,
    new: Half<'a>,
}

impl<'a> Sides<'a> {
    /// Puts two texts beside each other.
    pub fn new(old: &'a Estate, new: &'a Estate) -> Self {
        Sides { old: Half::new(old), new: Half::new(new) }
    }
}

/// One of two texts.
#[derive(Debug)]
struct Half<'a> {
    estate: &'a Estate,
    resolutions: Resolutions,
    publications: BTreeMap<&'a ContractName, &'a Publication>,
}

impl<'a> Half<'a> {
    fn new(estate: &'a Estate) -> Self {
        let mut publications = BTreeMap::new();
        for publication in &estate.publications {
            publications.entry(&publication.contract).or_insert(publication);
        }
        Half { estate, resolutions: resolve_all(estate), publications }
    }

    fn text(&'a self, contract: &'a Contract) -> Text<'a> {
        let resolved = self.resolutions.get(&contract.reference()).and_then(|it| it.as_ref().ok());
        Text { contract, resolved, classification: self.estate.settings.classification }
    }
}

/// Returns what changed between two estates. Nothing changed between an estate and itself; backwards, the same changed with
/// what came and went exchanged, and other effects.
pub fn diff(sides: &Sides<'_>) -> Diff {
    let (old, new) = (sides.old.estate, sides.new.estate);
    let mut diff = Diff::default();
    let current = |contract: &&Contract| !contract.frozen;
    for (before, after) in
        matched(old.contracts.iter().filter(current), new.contracts.iter().filter(current), |contract| {
            contract.name.clone()
        })
    {
        one_contract(&mut diff, sides, (before, after));
    }
    frozen(&mut diff, sides);
    let mut rest = Vec::new();
    pairs(
        &mut rest,
        (&old.subscriptions, &new.subscriptions),
        |it| Subject::Subscription(it.name.clone()),
        others::subscription,
        |it| it.path(),
    );
    pairs(
        &mut rest,
        (&old.contexts, &new.contexts),
        |it| Subject::Context(it.id.clone()),
        others::context,
        |it| it.path(),
    );
    pairs(
        &mut rest,
        (&old.environments, &new.environments),
        |it| Subject::Environment(it.id.clone()),
        others::environment,
        |it| it.path(),
    );
    governed(&mut rest, (old, new));
    diff.changes.append(&mut rest);
    let mut walk = Walk::new(Subject::Settings);
    others::settings(&mut walk, (&old.settings, &new.settings));
    diff.changes.append(&mut walk.changes);
    diff
}

/// What stands beside contracts. Shared types are told of each attribute that is of one.
fn governed(changes: &mut Vec<Change>, (old, new): (&Estate, &Estate)) {
    pairs(
        changes,
        (&old.migrations, &new.migrations),
        |it| Subject::Migration(it.name.clone()),
        governance::migration,
        |it| it.path(),
    );
    pairs(
        changes,
        (&old.standards, &new.standards),
        |it| Subject::Standard(it.id.clone()),
        governance::standard,
        |it| it.path(),
    );
    pairs(
        changes,
        (&old.waivers, &new.waivers),
        |it| Subject::Waiver(it.id.clone()),
        governance::waiver,
        |it| it.path(),
    );
}

/// Holds the documents of one kind against each other, those with one identity together.
fn pairs<T, S: Fn(&T) -> Subject>(
    changes: &mut Vec<Change>,
    (old, new): (&[T], &[T]),
    subject: S,
    walk_over: fn(&mut Walk, (&T, &T)),
    path: fn(&T) -> ModelPath,
) {
    for (before, after) in matched(old, new, &subject) {
        let Some(one) = before.or(after) else { continue };
        let mut walk = Walk::new(subject(one));
        match (before, after) {
            (Some(before), Some(after)) => walk_over(&mut walk, (before, after)),
            _ => whole(
                &mut walk,
                (before.map(path), after.map(path)),
                (Effect::Additive, "it says nothing of what others promise"),
            ),
        }
        changes.append(&mut walk.changes);
    }
}

/// Notes that a document is new, or gone.
fn whole(
    walk: &mut Walk,
    (old, new): (Option<ModelPath>, Option<ModelPath>),
    (effect, reason): walk::Verdict,
) {
    let side = |at: ModelPath| Side { text: at.document.to_string(), at };
    walk.changes.push(Change {
        subject: walk.subject.clone(),
        target: Target::Whole,
        facet: "",
        aspect: change::Aspect::Channel,
        effect,
        reason,
        old: old.map(side),
        new: new.map(side),
    });
}

fn one_contract(diff: &mut Diff, sides: &Sides<'_>, (before, after): (Option<&Contract>, Option<&Contract>)) {
    let Some(one) = after.or(before) else { return };
    let mut walk = Walk::new(Subject::Contract(one.name.clone()));
    let declared = before.zip(after).map(|(before, after)| Declared::between(before, after));
    match (before, after) {
        (Some(before), Some(after)) => {
            let sides = (sides.old.text(before), sides.new.text(after));
            let renames = declared.as_ref().map(Declared::renames).unwrap_or_default();
            contract::contract(&mut walk, sides, &renames);
        }
        _ => {
            let lost = (Effect::Breaking, "who reads it has nothing left");
            let verdict = match before.filter(|it| promises(it.status)) {
                Some(_) => lost,
                None => (Effect::Additive, "nobody read it before"),
            };
            whole(&mut walk, (before.map(Contract::path), after.map(Contract::path)), verdict);
        }
    }
    let subject = std::mem::replace(&mut walk.subject, Subject::Publication(one.name.clone()));
    let [published, publishes] =
        [&sides.old, &sides.new].map(|half| half.publications.get(&one.name).copied());
    match (published, publishes) {
        (Some(one), Some(two)) => others::publication(&mut walk, (one, two)),
        (None, None) => {}
        (one, two) => {
            let verdict = (Effect::Editorial, "where it is read is the producer's own");
            whole(&mut walk, (one.map(|it| it.path()), two.map(|it| it.path())), verdict);
        }
    }
    walk.subject = subject;
    if let Some(declared) = &declared {
        declared.settle(&mut walk.changes);
    }
    if let Some(sides) = before.zip(after) {
        full::settle(&mut walk.changes, sides);
    }
    if walk.changes.is_empty() && before.map(|it| it.version) == after.map(|it| it.version) {
        return;
    }
    // Where a producer keeps it is no text of the contract.
    let counts = |it: &&Change| matches!(it.subject, Subject::Contract(_)) || it.effect >= Effect::Unhandled;
    let worst = walk.changes.iter().filter(counts).map(on_its_readers).max();
    // What is not promised yet may change as it likes.
    let required = match before.filter(|it| promises(it.status)).and(after).and(worst) {
        Some(worst) => Bump::from(worst),
        None => Bump::None,
    };
    let from = diff.changes.len();
    let unsaid = declared.as_ref().map(|declared| declared.unsaid(&walk.changes)).unwrap_or_default();
    let unsaid =
        walk.changes.iter().enumerate().filter(|(_, it)| unsaid.iter().any(|un| std::ptr::eq(*un, *it)));
    diff.contracts.push(ContractDiff {
        name: one.name.clone(),
        old: before.map(|it| it.version),
        new: after.map(|it| it.version),
        required,
        given: given(before.map(|it| it.version), after.map(|it| it.version)),
        at: one.path().key("version"),
        lies: declared.as_ref().map(|declared| declared.lies(&walk.changes)).unwrap_or_default(),
        unsaid: unsaid.map(|(idx, _)| from + idx).collect(),
    });
    diff.changes.append(&mut walk.changes);
}

/// Returns what a change does to the readers of the contract's own major: that an older one is served no more takes nothing from
/// them.
fn on_its_readers(change: &Change) -> Effect {
    let is_end =
        matches!(change.target, Target::Serves(_)) && change.facet.is_empty() && change.new.is_none();
    if is_end { Effect::Additive } else { change.effect }
}

/// Returns whether somebody may rely on a contract.
fn promises(status: Status) -> bool {
    matches!(status, Status::Active | Status::Deprecated)
}

fn given(old: Option<Version>, new: Option<Version>) -> Bump {
    let (Some(old), Some(new)) = (old, new) else { return Bump::Major };
    match () {
        () if new.major > old.major => Bump::Major,
        () if new.major == old.major && new.minor > old.minor => Bump::Minor,
        () if new > old => Bump::Patch,
        () => Bump::None,
    }
}

/// Returns whether an older major is neither served nor read by anybody any more.
fn is_retired(estate: &Estate, older: &ContractRef) -> bool {
    let current = estate.current(&older.name);
    let is_over = current.is_some_and(|it| {
        it.version.major > older.major && it.serves.iter().all(|it| it.version != older.major)
    });
    is_over && estate.subscriptions.iter().all(|it| it.contract != *older)
}

/// The text of an older major is frozen: readers rely on it as it is. It is held against what that major said before, frozen or
/// not.
fn frozen(diff: &mut Diff, sides: &Sides<'_>) {
    let (old, new) = (sides.old.estate, sides.new.estate);
    let of = |estate: &Estate| -> Vec<ContractRef> {
        estate.contracts.iter().filter(|it| it.frozen).map(Contract::reference).collect()
    };
    for reference in
        matched(&of(old), &of(new), Clone::clone).into_iter().filter_map(|(one, two)| one.or(two).cloned())
    {
        let (before, after) = (old.contract(&reference), new.contract(&reference));
        let mut walk = Walk::new(Subject::Frozen(reference));
        match (before, after) {
            (Some(before), Some(after)) => {
                let sides = (sides.old.text(before), sides.new.text(after));
                contract::contract(&mut walk, sides, &Renames::default());
            }
            (Some(_), None) | (None, Some(_)) => {
                let verdict = match before {
                    Some(before) if is_retired(new, &before.reference()) => {
                        (Effect::Editorial, "it is served no more, and nobody reads it")
                    }
                    Some(_) => (Effect::Breaking, "who reads that major has nothing left"),
                    None => (Effect::Additive, "nobody read it before"),
                };
                whole(&mut walk, (before.map(Contract::path), after.map(Contract::path)), verdict);
            }
            (None, None) => {}
        }
        diff.changes.append(&mut walk.changes);
    }
}

#[cfg(test)]
mod tests;
