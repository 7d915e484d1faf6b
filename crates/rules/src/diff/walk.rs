//! Holds two texts against each other, field by field, and notes what differs.

use super::change::{Aspect, Change, Effect, Side, Subject, Target};
use seamline_contract::path::ModelPath;
use std::collections::{BTreeMap, BTreeSet};

/// What a change does, and why.
pub(super) type Verdict = (Effect, &'static str);

/// Things by name, of both sides.
pub(super) type Named<'a, K, V> = (&'a [(K, V)], &'a [(K, V)]);

/// What it does that something comes, goes, or is another.
#[derive(Debug, Clone, Copy)]
pub(super) struct When {
    pub(super) comes: Verdict,
    pub(super) goes: Verdict,
    pub(super) changes: Verdict,
}

/// Readers are not touched, whatever happens.
pub(super) const WORDS_ONLY: When = {
    let verdict = (Effect::Editorial, "readers are not touched");
    When { comes: verdict, goes: verdict, changes: verdict }
};

/// What is new can be ignored; what is gone or another cannot.
pub(super) const RELIED_ON: When = When {
    comes: (Effect::Additive, "old readers may ignore it"),
    goes: (Effect::Breaking, "who relies on it has nothing left"),
    changes: (Effect::Breaking, "who relies on it is wrong"),
};

/// It matters, and no reader is wrong by it.
pub(super) const NOTED: When = {
    let verdict = (Effect::Additive, "nobody is wrong by it, and some may want to know");
    When { comes: verdict, goes: verdict, changes: verdict }
};

/// A limit on what may come: less is safe, more is not.
pub(super) const LIMIT: When = When {
    comes: (Effect::Additive, "less may come than before"),
    goes: (Effect::Breaking, "more may come than before"),
    changes: (Effect::Breaking, "other values may come than before"),
};

/// A place in both texts, and what it is.
#[derive(Debug, Clone)]
pub(super) struct Spot {
    pub(super) target: Target,
    pub(super) old: ModelPath,
    pub(super) new: ModelPath,
}

impl Spot {
    pub(super) fn new(target: Target, old: &ModelPath, new: &ModelPath) -> Spot {
        Spot { target, old: old.clone(), new: new.clone() }
    }

    /// Returns the spot under a key, of the same target.
    pub(super) fn key(&self, key: &str) -> Spot {
        self.keys(key, key)
    }

    /// Returns the spot under keys that differ, of the same target.
    pub(super) fn keys(&self, old: &str, new: &str) -> Spot {
        Spot { target: self.target.clone(), old: self.old.clone().key(old), new: self.new.clone().key(new) }
    }

    /// Returns the same place as a place of something else.
    pub(super) fn of(&self, target: Target) -> Spot {
        Spot { target, ..self.clone() }
    }
}

/// The differences of one text.
#[derive(Debug)]
pub(super) struct Walk {
    pub(super) subject: Subject,
    pub(super) changes: Vec<Change>,
}

impl Walk {
    pub(super) fn new(subject: Subject) -> Walk {
        Walk { subject, changes: Vec::new() }
    }

    /// Notes a difference; none when both texts are the same.
    pub(super) fn note(
        &mut self,
        spot: &Spot,
        facet: &'static str,
        aspect: Aspect,
        (old, new): (Option<String>, Option<String>),
        (effect, reason): Verdict,
    ) {
        if old == new {
            return;
        }
        let side = |at: &ModelPath, text: String| Side { at: at.clone(), text: one_line(&text) };
        self.changes.push(Change {
            subject: self.subject.clone(),
            target: spot.target.clone(),
            facet,
            aspect,
            effect,
            reason,
            old: old.map(|text| side(&spot.old, text)),
            new: new.map(|text| side(&spot.new, text)),
        });
    }

    /// Holds a field that may be absent against itself; texts are compared.
    pub(super) fn field(
        &mut self,
        spot: &Spot,
        facet: &'static str,
        aspect: Aspect,
        sides: (Option<String>, Option<String>),
        when: When,
    ) {
        let verdict = match &sides {
            (None, _) => when.comes,
            (_, None) => when.goes,
            _ => when.changes,
        };
        let keyed = if facet.is_empty() { spot.clone() } else { spot.key(facet) };
        self.note(&keyed, facet, aspect, sides, verdict);
    }

    /// Holds a promise against itself: kept says whether what the new side promises covers what the old one did.
    pub(super) fn promise<T: PartialEq + ToString>(
        &mut self,
        spot: &Spot,
        facet: &'static str,
        aspect: Aspect,
        (old, new): (Option<&T>, Option<&T>),
        keeps: impl Fn(&T, &T) -> bool,
    ) {
        let verdict = match (old, new) {
            (None, _) => (Effect::Additive, "more is promised than before"),
            (Some(_), None) => (Effect::Breaking, "it is promised no more"),
            (Some(old), Some(new)) if keeps(old, new) => (Effect::Additive, "more is promised than before"),
            _ => (Effect::Breaking, "less is promised than before"),
        };
        let sides = (old.map(ToString::to_string), new.map(ToString::to_string));
        self.note(&spot.key(facet), facet, aspect, sides, verdict);
    }

    /// Holds a sentence against itself. Line breaks and runs of spaces say nothing.
    pub(super) fn words(&mut self, spot: &Spot, facet: &'static str, sides: (&str, &str)) {
        self.words_at(&spot.key(facet), facet, sides);
    }

    /// The same where the sentence itself stands at the spot.
    pub(super) fn words_at(&mut self, spot: &Spot, facet: &'static str, (old, new): (&str, &str)) {
        let sides = (said(old), said(new));
        let verdict = match &sides {
            (None, _) => (Effect::Editorial, "it was not said before"),
            _ => (Effect::Unhandled, "words changed, and `changes` does not say what that does to readers"),
        };
        self.note(spot, facet, Aspect::Meaning, sides, verdict);
    }

    /// Holds sentences against each other that no version covers: nothing can be declared of them.
    pub(super) fn plain_words(&mut self, spot: &Spot, facet: &'static str, (old, new): (&str, &str)) {
        let verdict = (Effect::Editorial, "these words promise nothing");
        self.note(&spot.key(facet), facet, Aspect::Meaning, (said(old), said(new)), verdict);
    }

    /// Holds what may have secrets in it against itself, and shows nothing of it.
    pub(super) fn unshown<T: PartialEq>(
        &mut self,
        spot: &Spot,
        facet: &'static str,
        (old, new): (Option<&T>, Option<&T>),
    ) {
        if old == new {
            return;
        }
        let side = |at: &ModelPath| Side { at: at.clone(), text: "not shown".to_owned() };
        self.changes.push(Change {
            subject: self.subject.clone(),
            target: spot.target.clone(),
            facet,
            aspect: Aspect::Channel,
            effect: Effect::Editorial,
            reason: "readers are not touched",
            old: old.map(|_| side(&spot.old)),
            new: new.map(|_| side(&spot.new)),
        });
    }

    /// Holds two sets of names against each other, each name by itself.
    pub(super) fn names<T: ToString>(
        &mut self,
        spot: &Spot,
        facet: &'static str,
        aspect: Aspect,
        (old, new): (&[T], &[T]),
        when: When,
    ) {
        let texts = |names: &[T]| names.iter().map(ToString::to_string).collect::<BTreeSet<String>>();
        let (old, new) = (texts(old), texts(new));
        let keyed = spot.key(facet);
        for gone in old.difference(&new) {
            self.note(&keyed, facet, aspect, (Some(gone.clone()), None), when.goes);
        }
        for come in new.difference(&old) {
            self.note(&keyed, facet, aspect, (None, Some(come.clone())), when.comes);
        }
    }
}

fn said(text: &str) -> Option<String> {
    Some(one_line(text)).filter(|text| !text.is_empty())
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Returns the things of both sides by key, those of the old side first; where a key stands twice, its first counts.
pub(super) fn matched<'t, T, K: Ord>(
    old: impl IntoIterator<Item = &'t T>,
    new: impl IntoIterator<Item = &'t T>,
    key: impl Fn(&T) -> K,
) -> Vec<(Option<&'t T>, Option<&'t T>)> {
    matched_by(old, new, &key, &key)
}

/// The same where each side has a key of its own.
pub(super) fn matched_by<'t, T, K: Ord>(
    old: impl IntoIterator<Item = &'t T>,
    new: impl IntoIterator<Item = &'t T>,
    old_key: impl Fn(&T) -> K,
    new_key: impl Fn(&T) -> K,
) -> Vec<(Option<&'t T>, Option<&'t T>)> {
    let new: Vec<&T> = new.into_iter().collect();
    let mut by_key: BTreeMap<K, &T> = BTreeMap::new();
    for it in &new {
        by_key.entry(new_key(it)).or_insert(it);
    }
    let mut seen = BTreeSet::new();
    let mut pairs = Vec::new();
    for it in old {
        let key = old_key(it);
        let other = by_key.get(&key).copied();
        if seen.insert(key) {
            pairs.push((Some(it), other));
        }
    }
    for it in new {
        if seen.insert(new_key(it)) {
            pairs.push((None, Some(it)));
        }
    }
    pairs
}
