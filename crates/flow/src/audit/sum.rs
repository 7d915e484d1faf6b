//! What a batch of states does to the sums of its topic. Pure.

use crate::auditor::{Audit, Foreign, meet};
use crate::ledger::Entry;
use crate::outlet::Outlet;
use crate::points::{Change, Passed, Point, passed};
use seamline_message::digest::Digest;
use seamline_message::envelope::{Envelope, MessageKind};
use seamline_message::key::RecordKey;
use seamline_message::sequence::Sequence;
use seamline_message::sums::Sums;
use std::collections::{BTreeMap, BTreeSet};

/// Leaves only what a projector takes for the state of its key; all else is nobody's.
pub(super) fn only_states(
    outlet: &Outlet,
    read: &mut Vec<(Entry, Envelope)>,
    partition: u32,
    found: &mut Audit,
) {
    read.retain(|(entry, envelope)| {
        let is_state = envelope.kind == MessageKind::State && envelope.key_text == entry.key.as_str();
        let is_ours = is_state && outlet.codec.decode_key(Some(entry.key.as_bytes())).is_ok();
        if !is_ours {
            found.foreign.push(Foreign { partition, offset: entry.offset, key: Some(entry.key.clone()) });
        }
        is_ours
    });
}

/// Returns what of a key is in the sums.
fn counted(known: &BTreeMap<RecordKey, Entry>, key: &RecordKey) -> Option<(Sequence, Digest)> {
    let entry = known.get(key).filter(|entry| !entry.ended)?;
    Some((entry.sequence, entry.digest))
}

/// Sums up states in their order, and returns the points that they pass.
pub(super) fn sum(
    found: &mut Audit,
    known: &mut BTreeMap<RecordKey, Entry>,
    read: &[(Entry, Envelope)],
    sums: &mut Sums,
    (from, to): (u64, u64),
) -> Passed {
    let mut marks = passed(from, to).into_iter().peekable();
    let mut seen = Passed::default();
    for (entry, _) in read {
        while let Some(offset) = marks.next_if(|mark| *mark <= entry.offset) {
            seen.points.push(Point { offset, sums: sums.clone() });
        }
        let before = counted(known, &entry.key);
        meet(found, known, entry);
        let changed = sums.replace(&entry.key, before, counted(known, &entry.key));
        let change = |(bucket, before)| Change { offset: entry.offset, bucket, before };
        seen.changes.extend(changed.map(change));
    }
    seen.points.extend(marks.map(|offset| Point { offset, sums: sums.clone() }));
    seen
}

/// Notes the keys whose last record of a batch is not their highest, and forgets those for which it is.
pub(super) fn late(
    late: &mut BTreeSet<RecordKey>,
    known: &BTreeMap<RecordKey, Entry>,
    read: &[(Entry, Envelope)],
) {
    for (entry, _) in read {
        if known.get(&entry.key).is_some_and(|highest| highest.sequence > entry.sequence) {
            late.insert(entry.key.clone());
        } else {
            late.remove(&entry.key);
        }
    }
}
