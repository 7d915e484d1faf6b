//! The declared history of meaning: what `changes` say happened between two versions, held against what did.

use super::change::{Change, Effect, Subject, Target};
use super::walk::Verdict;
use seamline_contract::contract::{Change as Entry, ChangeKind, Contract};
use seamline_contract::id::AttributeName;
use seamline_contract::path::ModelPath;
use std::collections::{BTreeMap, BTreeSet};

/// Which way time runs between two texts: towards the higher version, or back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Forth,
    Back,
}

/// What was declared between two texts of a contract, in the text of the higher version.
#[derive(Debug)]
pub(super) struct Declared<'a> {
    way: Way,
    /// Each with its place in `changes`.
    entries: Vec<(usize, &'a Entry)>,
    /// The text of the lower version.
    from: &'a Contract,
    /// The text that they stand in.
    contract: &'a Contract,
}

impl<'a> Declared<'a> {
    pub(super) fn between(old: &'a Contract, new: &'a Contract) -> Declared<'a> {
        let (way, from, to) =
            if new.version >= old.version { (Way::Forth, old, new) } else { (Way::Back, new, old) };
        let is_between = |entry: &&Entry| entry.version > from.version && entry.version <= to.version;
        let entries = to.changes.iter().enumerate().filter(|(_, entry)| is_between(entry)).collect();
        Declared { way, entries, from, contract: to }
    }

    /// Returns where an entry stands.
    fn place(&self, idx: usize) -> ModelPath {
        self.contract.path().key("changes").index(idx)
    }

    /// Returns the new names: of attributes that are there no more, under names that were not there before.
    pub(super) fn renames(&self) -> Renames {
        let renamed = self.entries.iter().filter_map(|(_, entry)| match &entry.kind {
            ChangeKind::Renamed(names) => Some(names),
            _ => None,
        });
        let pairs = renamed.flatten().filter_map(|(old, new)| Some((old.parse().ok()?, new.parse().ok()?)));
        let pairs: Vec<(AttributeName, AttributeName)> = pairs.collect();
        let has =
            |contract: &Contract, name: &AttributeName| contract.attributes.iter().any(|it| it.name == *name);
        let is_gone =
            |old: &AttributeName| !has(self.contract, old) || pairs.iter().any(|(_, new)| new == old);
        let is_new = |new: &AttributeName| !has(self.from, new) || pairs.iter().any(|(old, _)| old == new);
        let true_ones = pairs.iter().filter(|(old, new)| is_gone(old) && is_new(new)).cloned();
        Renames(match self.way {
            Way::Forth => true_ones.collect(),
            Way::Back => true_ones.map(|(old, new)| (new, old)).collect(),
        })
    }

    /// Gives changes of words the effect that is declared of them. When an event is told is no word that could be clarified.
    pub(super) fn settle(&self, changes: &mut [Change]) {
        for change in changes.iter_mut().filter(|change| change.effect == Effect::Unhandled) {
            let is_trigger = matches!(change.subject, Subject::Publication(_));
            let said = self.said_of(&change.target);
            if let Some((effect, reason)) =
                said.filter(|(effect, _)| !is_trigger || *effect > Effect::Editorial)
            {
                (change.effect, change.reason) = (effect, reason);
            }
        }
    }

    /// Returns what is declared of the words of a target. What it says nearest to the target counts.
    fn said_of(&self, target: &Target) -> Option<Verdict> {
        let said = self.entries.iter().filter_map(|(_, entry)| {
            let (names, verdict) = self.words(&entry.kind)?;
            let nearest = names.iter().filter(|name| target.is_spoken_of_by(name)).map(String::len).max()?;
            Some((nearest, verdict))
        });
        // Of two that say as much the worse counts.
        said.max_by_key(|(nearest, (effect, _))| (*nearest, *effect)).map(|(_, verdict)| verdict)
    }

    fn words<'k>(&self, kind: &'k ChangeKind) -> Option<(&'k [String], Verdict)> {
        match kind {
            ChangeKind::Clarified(names) => {
                Some((names, (Effect::Editorial, "it says the same in other words")))
            }
            ChangeKind::Refined(names) => Some((
                names,
                match self.way {
                    Way::Forth => (Effect::Additive, "old readers stay right"),
                    Way::Back => (Effect::Breaking, "what was refined is so no more"),
                },
            )),
            ChangeKind::Redefined(names) => Some((names, (Effect::Breaking, "it means something else"))),
            ChangeKind::Added(_)
            | ChangeKind::Removed(_)
            | ChangeKind::Deprecated(_)
            | ChangeKind::Strengthened(_)
            | ChangeKind::Weakened(_)
            | ChangeKind::Renamed(_) => None,
        }
    }

    /// Returns what is declared and contradicted by the rest of the change, or did not happen at all.
    pub(super) fn lies(&self, changes: &[Change]) -> Vec<Lie> {
        if self.way == Way::Back {
            return Vec::new();
        }
        let mut lies = Vec::new();
        for (idx, entry) in &self.entries {
            let mut say = |name: &str, what: What| {
                lies.push(Lie { at: self.place(*idx), name: name.to_owned(), word: word(&entry.kind), what });
            };
            for name in names(&entry.kind) {
                let of: Vec<&Change> = changes.iter().filter(|it| is_of(it, &name)).collect();
                let what = truth(&entry.kind, &name, &of);
                if let Some(what) = what.filter(|_| !is_renamed_event(&entry.kind, &name, changes)) {
                    say(&name, what);
                }
            }
        }
        lies
    }

    /// Returns changes that `changes` can name, that matter, and of which nothing is declared.
    pub(super) fn unsaid<'c>(&self, changes: &'c [Change]) -> Vec<&'c Change> {
        if self.way == Way::Back {
            return Vec::new();
        }
        let mut said: BTreeSet<String> =
            self.entries.iter().flat_map(|(_, entry)| names(&entry.kind)).collect();
        for (_, entry) in &self.entries {
            if let ChangeKind::Renamed(names) = &entry.kind {
                let events = names.iter().filter(|(_, new)| is_renamed_event(&entry.kind, new, changes));
                said.extend(events.map(|(old, _)| old.clone()));
            }
        }
        let matters = |change: &&Change| {
            let named = said.iter().any(|name| is_of(change, name));
            change.target.has_name() && change.effect >= Effect::Additive && !named
        };
        changes.iter().filter(matters).collect()
    }
}

/// Something that is declared and is not so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lie {
    /// The entry.
    pub at: ModelPath,
    /// The target it names.
    pub name: String,
    /// What it says of it: `clarified`, `added`.
    pub word: &'static str,
    /// What is wrong.
    pub what: What,
}

/// What is wrong with a declared change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// Nothing of the kind happened.
    Nothing,
    /// More happened: facet, and where.
    More {
        /// What moved besides.
        facet: String,
        /// Where.
        at: ModelPath,
    },
}

/// Returns whether a change is of a target that `changes` name: of it, of a part of it, or of how history of it reads.
fn is_of(change: &Change, name: &str) -> bool {
    let reads = |text: &str| text.split(':').next() == Some(name);
    let read = matches!(change.target, Target::Serves(_)) && matches!(change.facet, "read" | "write");
    let sides = [&change.old, &change.new].into_iter().flatten();
    change.target.is_spoken_of_by(name) || (read && sides.into_iter().any(|side| reads(&side.text)))
}

fn word(kind: &ChangeKind) -> &'static str {
    match kind {
        ChangeKind::Added(_) => "added",
        ChangeKind::Removed(_) => "removed",
        ChangeKind::Redefined(_) => "redefined",
        ChangeKind::Refined(_) => "refined",
        ChangeKind::Clarified(_) => "clarified",
        ChangeKind::Deprecated(_) => "deprecated",
        ChangeKind::Strengthened(_) => "strengthened",
        ChangeKind::Weakened(_) => "weakened",
        ChangeKind::Renamed(_) => "renamed",
    }
}

/// Returns the targets an entry names; of a new name the new one.
fn names(kind: &ChangeKind) -> Vec<String> {
    match kind {
        ChangeKind::Added(names)
        | ChangeKind::Removed(names)
        | ChangeKind::Redefined(names)
        | ChangeKind::Refined(names)
        | ChangeKind::Clarified(names)
        | ChangeKind::Deprecated(names)
        | ChangeKind::Strengthened(names)
        | ChangeKind::Weakened(names) => names.clone(),
        ChangeKind::Renamed(names) => names.iter().map(|(_, new)| new.clone()).collect(),
    }
}

/// Returns whether a new name is that of an event which came in the place of the one that had the old name. Its readers move as
/// from one that is gone to one that is new: the log has it under either name.
fn is_renamed_event(kind: &ChangeKind, name: &str, changes: &[Change]) -> bool {
    let ChangeKind::Renamed(names) = kind else { return false };
    let event = |name: &str, is_there: fn(&Change) -> bool| {
        changes.iter().any(|it| {
            let is_it = matches!(&it.target, Target::Event(event) if event.as_str() == name);
            is_it && it.facet.is_empty() && is_there(it)
        })
    };
    let came = event(name, |it| it.old.is_none());
    came && names.iter().any(|(old, new)| new == name && event(old, |it| it.new.is_none()))
}

/// Returns what is not so of one declared change, by all that happened to its target.
fn truth(kind: &ChangeKind, name: &str, of: &[&Change]) -> Option<What> {
    let whole = |it: &&&Change| it.target.to_string() == name && it.facet.is_empty();
    let more = |most: Effect| {
        let beyond = of.iter().find(|it| it.effect > most && it.facet != "meaning");
        beyond.map(|it| What::More { facet: part(it, name), at: it.at().clone() })
    };
    let happened = match kind {
        ChangeKind::Added(_) => of.iter().any(|it| it.old.is_none() && (whole(&it) || !it.facet.is_empty())),
        ChangeKind::Removed(_) => {
            of.iter().any(|it| it.new.is_none() && (whole(&it) || !it.facet.is_empty()))
        }
        ChangeKind::Renamed(_) => of.iter().any(|it| it.facet == "name"),
        ChangeKind::Deprecated(_) => of.iter().any(|it| it.facet == "deprecated" && it.new.is_some()),
        ChangeKind::Strengthened(_) => of.iter().any(|it| it.effect == Effect::Additive),
        ChangeKind::Weakened(_) => of.iter().any(|it| it.effect == Effect::Breaking),
        ChangeKind::Clarified(_) | ChangeKind::Refined(_) | ChangeKind::Redefined(_) => !of.is_empty(),
    };
    if !happened {
        return Some(What::Nothing);
    }
    match kind {
        ChangeKind::Clarified(_) => more(Effect::Editorial),
        ChangeKind::Refined(_) | ChangeKind::Strengthened(_) => more(Effect::Additive),
        ChangeKind::Added(_)
        | ChangeKind::Removed(_)
        | ChangeKind::Redefined(_)
        | ChangeKind::Deprecated(_)
        | ChangeKind::Weakened(_)
        | ChangeKind::Renamed(_) => None,
    }
}

/// Returns what of a target moved, in the words of the language.
fn part(change: &Change, name: &str) -> String {
    let target = change.target.to_string();
    match (target == name, change.facet.is_empty()) {
        (true, false) => change.facet.to_owned(),
        (false, true) => target,
        (false, false) => format!("{} of {target}", change.facet),
        (true, true) => "itself".to_owned(),
    }
}

/// Attributes that have another name: old, new.
#[derive(Debug, Clone, Default)]
pub(super) struct Renames(BTreeMap<AttributeName, AttributeName>);

impl Renames {
    /// Returns the name that an attribute of the old text has in the new one.
    pub(super) fn of_old(&self, name: &AttributeName) -> AttributeName {
        self.0.get(name).unwrap_or(name).clone()
    }
}
