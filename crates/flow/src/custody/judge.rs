//! What is wrong with one key between source and log, once both are known for sure. Pure.

use crate::drift::{Drift, DriftKind};
use crate::ledger::Entry;
use crate::source::KeyFacts;
use seamline_contract::id::Version;
use seamline_message::digest::Digest;
use seamline_message::sequence::Sequence;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The verdict on a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Source and log hold the same.
    Agrees,
    /// A row of it waits in the outbox: look again.
    Waiting,
    /// A row of it is in quarantine: that is the case to solve.
    Aside,
    /// The contents differ at the same sequence; which attributes do is for `differing` to say.
    Differs,
    /// It drifted.
    Drifted {
        /// How.
        kind: DriftKind,
        /// The sequence it should be at.
        expected: Option<Sequence>,
        /// The sequence it is at.
        found: Option<Sequence>,
        /// The likely cause.
        cause: &'static str,
    },
}

/// Judges a key by what the source knows of it, the digest of the source's row as it would be sent, and what the log holds.
/// The facts must have stayed the same while the log was read.
pub fn judge(facts: &KeyFacts, row: Option<Digest>, entry: Option<&Entry>) -> Verdict {
    if facts.waiting {
        return Verdict::Waiting;
    }
    if facts.aside {
        return Verdict::Aside;
    }
    let found = entry.map(|entry| entry.sequence);
    let drifted = |kind, cause| Verdict::Drifted { kind, expected: facts.sequence, found, cause };
    let Some(entry) = entry else {
        return match &facts.state {
            None => Verdict::Agrees,
            Some(_) if facts.sequence.is_none() => drifted(DriftKind::Missing, "never published"),
            Some(_) => drifted(DriftKind::Missing, "its records are not in the log"),
        };
    };
    if facts.sequence.is_none_or(|drawn| entry.sequence > drawn) {
        return drifted(DriftKind::Orphan, "a record that the source never published");
    }
    if entry.last != entry.sequence {
        return Verdict::Drifted {
            kind: DriftKind::Stale,
            expected: Some(entry.sequence),
            found: Some(entry.last),
            cause: "an older record came last, and compaction keeps it",
        };
    }
    let behind = facts.sequence.is_some_and(|drawn| entry.sequence < drawn);
    match (&facts.state, entry.ended) {
        (None, true) => Verdict::Agrees,
        (None, false) if behind => drifted(DriftKind::Phantom, "its removal was lost on the way"),
        (None, false) => drifted(DriftKind::Phantom, "removed at the source without publishing"),
        (Some(_), false) if row == Some(entry.digest) => Verdict::Agrees,
        (Some(_), _) if behind => drifted(DriftKind::Stale, "a row was lost on the way"),
        (Some(_), true) => drifted(DriftKind::Missing, "inserted at the source without publishing"),
        (Some(_), false) => Verdict::Differs,
    }
}

/// Returns the members that differ between the state of the source and that of a record, by name, and whether all of them are
/// ones that the record does not have: attributes that may have been added since it was written.
pub fn differing(source: &[u8], record: &[u8]) -> (Vec<String>, bool) {
    let members = |json: &[u8]| serde_json::from_slice::<Map<String, Value>>(json).unwrap_or_default();
    let (source, record) = (members(source), members(record));
    let mut names: Vec<String> = source
        .keys()
        .chain(record.keys())
        .filter(|name| source.get(*name) != record.get(*name))
        .cloned()
        .collect();
    names.sort();
    names.dedup();
    let added = !names.is_empty() && names.iter().all(|name| !record.contains_key(name));
    (names, added)
}

/// Returns whether a record only awaits its backfill: an older version wrote it, and it lacks nothing but members.
/// A value that a source gained for an attribute of old cannot be told apart then, until the key is published again.
pub fn awaits_backfill(written: Option<Version>, current: Version, only_lacks: bool) -> bool {
    only_lacks && written.is_some_and(|written| written < current)
}

/// What was found on one state topic.
#[derive(Default)]
pub(super) struct Found {
    pub(super) rows: u64,
    pub(super) counts: BTreeMap<String, (u64, u64)>,
    pub(super) drifts: Vec<Drift>,
    pub(super) awaiting_backfill: u64,
    pub(super) foreign: Vec<String>,
    pub(super) waiting: u64,
    pub(super) aside: u64,
    pub(super) unsettled: u64,
}

#[cfg(test)]
mod tests {
    use super::{Verdict, awaits_backfill, differing, judge};
    use crate::drift::DriftKind;
    use crate::ledger::Entry;
    use crate::source::KeyFacts;
    use seamline_message::digest::Digest;
    use seamline_message::key::RecordKey;
    use seamline_message::sequence::Sequence;
    use std::collections::BTreeMap;

    fn facts(row: bool, sequence: u64) -> KeyFacts {
        KeyFacts {
            key: RecordKey::from_texts(&["a".to_owned()]),
            state: row.then(Vec::new),
            sequence: (sequence > 0).then_some(Sequence(sequence)),
            chains: BTreeMap::new(),
            waiting: false,
            aside: false,
        }
    }

    fn entry(sequence: u64, digest: u128) -> Entry {
        Entry {
            key: facts(true, 1).key,
            sequence: Sequence(sequence),
            offset: 0,
            last: Sequence(sequence),
            version: None,
            digest: Digest(digest),
            ended: digest == 0,
        }
    }

    fn kind(facts: &KeyFacts, entry: Option<&Entry>) -> Option<DriftKind> {
        match judge(facts, facts.state.as_ref().map(|_| Digest(7)), entry) {
            Verdict::Drifted { kind, .. } => Some(kind),
            _ => None,
        }
    }

    #[test]
    fn what_agrees_is_no_drift() {
        for (facts, entry) in [
            (facts(true, 5), Some(entry(5, 7))),
            (facts(false, 5), Some(entry(5, 0))),
            (facts(false, 5), None),
            (facts(false, 0), None),
        ] {
            assert_eq!(judge(&facts, Some(Digest(7)), entry.as_ref()), Verdict::Agrees);
        }
    }

    #[test]
    fn each_drift_has_its_kind() {
        assert_eq!(kind(&facts(true, 5), None), Some(DriftKind::Missing));
        assert_eq!(kind(&facts(true, 0), None), Some(DriftKind::Missing));
        assert_eq!(kind(&facts(true, 5), Some(&entry(5, 0))), Some(DriftKind::Missing));
        assert_eq!(kind(&facts(false, 5), Some(&entry(5, 7))), Some(DriftKind::Phantom));
        assert_eq!(kind(&facts(false, 5), Some(&entry(4, 7))), Some(DriftKind::Phantom));
        assert_eq!(kind(&facts(true, 5), Some(&entry(4, 8))), Some(DriftKind::Stale));
        assert_eq!(kind(&facts(true, 5), Some(&entry(6, 7))), Some(DriftKind::Orphan));
        assert_eq!(kind(&facts(false, 0), Some(&entry(6, 0))), Some(DriftKind::Orphan));
        let fell = Entry { last: Sequence(3), ..entry(5, 7) };
        assert_eq!(kind(&facts(true, 5), Some(&fell)), Some(DriftKind::Stale));
        assert_eq!(judge(&facts(true, 5), Some(Digest(7)), Some(&entry(5, 8))), Verdict::Differs);
    }

    #[test]
    fn what_waits_or_is_aside_is_never_drift() {
        let waiting = KeyFacts { waiting: true, ..facts(true, 5) };
        assert_eq!(judge(&waiting, Some(Digest(7)), None), Verdict::Waiting);
        let aside = KeyFacts { aside: true, ..facts(true, 5) };
        assert_eq!(judge(&aside, Some(Digest(7)), None), Verdict::Aside);
    }

    #[test]
    fn a_record_that_only_lacks_members_awaits_its_backfill() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(differing(br#"{"a":"1","b":"2"}"#, br#"{"a":"1"}"#), (names(&["b"]), true));
        assert_eq!(differing(br#"{"a":"1","b":"2"}"#, br#"{"a":"2"}"#), (names(&["a", "b"]), false));
        assert_eq!(differing(br#"{"a":"1"}"#, br#"{"a":"1","b":"2"}"#), (names(&["b"]), false));
        let (old, new) = ("2.0.0".parse().unwrap(), "2.1.0".parse().unwrap());
        assert!(awaits_backfill(Some(old), new, true));
        assert!(!awaits_backfill(Some(new), new, true));
        assert!(!awaits_backfill(Some(old), new, false));
    }
}
