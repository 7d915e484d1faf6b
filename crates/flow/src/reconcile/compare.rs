//! What is wrong with a key: where the table, the markers and the rehearsal disagree, and what would mend it.

use crate::drift::DriftKind;
use crate::intake::Intake;
use crate::projector::decide::in_sums;
use crate::projector::open::written_row;
use crate::projector::state_of;
use crate::reconcile::blame::Last;
use crate::rehearsal::Kept;
use crate::store::{Difference, Had, KeyEnd, LiveRow, Marker, Markers, Rehearsed, RowWrite};
use seamline_contract::value::Value;
use seamline_message::canonical;
use seamline_message::digest::{Digest, DigestKey};
use seamline_message::key::RecordKey;
use seamline_message::mutant::{self, Mutant};
use seamline_message::sequence::Sequence;

/// What is wrong with a key.
#[derive(Debug, Clone, PartialEq)]
pub struct Wrong {
    /// How.
    pub kind: DriftKind,
    /// The columns that differ; empty where the whole row does.
    pub differing: Vec<String>,
    /// The sequence it should be at.
    pub expected: Option<Sequence>,
    /// The sequence it is at.
    pub found: Option<Sequence>,
    /// What would mend it; none: people must.
    pub mend: Option<Mend>,
}

/// What mends a key, when its markers are still those that were seen.
#[derive(Debug, Clone, PartialEq)]
pub struct Mend {
    /// The key.
    pub key: RecordKey,
    /// The marker that its row had; none: no marker, or no row.
    pub seen: Option<Marker>,
    /// What to do.
    pub act: Act,
}

/// What to do with a key.
#[derive(Debug, Clone, PartialEq)]
pub enum Act {
    /// Delete its row.
    Purge,
    /// End it: its row goes or is marked, its tombstone stays.
    End(KeyEnd),
    /// Write its row anew.
    Restore(RowWrite),
    /// Delete a row without a marker, then write it anew.
    Replace(RowWrite),
}

/// Judges one difference between table and rehearsal; none where it is explained.
pub fn judge(
    intake: &Intake,
    secret: &DigestKey,
    difference: &Difference,
    logged: Option<&Kept>,
) -> Option<Wrong> {
    match (&difference.live, &difference.rehearsed) {
        (None, None) => None,
        (None, Some(rehearsed)) => judge_absent(difference, rehearsed),
        (Some(live), Some(Rehearsed { values: Some(values), key, marker, .. })) => judge_both(
            intake,
            secret,
            difference,
            live,
            &RowWrite { key: key.clone(), values: values.clone(), marker: marker.clone(), had: Had::More },
        ),
        (Some(live), ended) => judge_surplus(live, ended.as_ref(), logged),
    }
}

/// Returns what marks a row anew that is as the log says, where its marker was made under another digest key; none where the row
/// differs.
pub fn remark(difference: &Difference) -> Option<Mend> {
    let live = difference.live.as_ref().filter(|live| !live.ended)?;
    let Some(Rehearsed { values: Some(values), key, marker, .. }) = &difference.rehearsed else {
        return None;
    };
    let seen = live.marker.clone().filter(|seen| seen.sequence == marker.sequence)?;
    let is_same = live.values.iter().map(Result::as_ref).eq(values.iter().map(Ok));
    let write = RowWrite { key: key.clone(), values: values.clone(), marker: marker.clone(), had: Had::More };
    is_same.then(|| Mend { key: key.clone(), seen: Some(seen), act: Act::Restore(write) })
}

/// A consumer tombstone that is newer than the rehearsed record explains that there is no row.
fn ended_later(difference: &Difference, sequence: Sequence) -> bool {
    difference.ended.as_ref().is_some_and(|ended| ended.sequence > sequence)
}

fn judge_absent(difference: &Difference, rehearsed: &Rehearsed) -> Option<Wrong> {
    let values = rehearsed.values.clone()?;
    if ended_later(difference, rehearsed.marker.sequence) {
        return None;
    }
    let write =
        RowWrite { key: rehearsed.key.clone(), values, marker: rehearsed.marker.clone(), had: Had::More };
    Some(Wrong {
        kind: DriftKind::Missing,
        differing: Vec::new(),
        expected: Some(rehearsed.marker.sequence),
        found: None,
        mend: Some(Mend { key: rehearsed.key.clone(), seen: None, act: Act::Restore(write) }),
    })
}

/// A row where the log has none.
fn judge_surplus(live: &LiveRow, ended: Option<&Rehearsed>, logged: Option<&Kept>) -> Option<Wrong> {
    if live.ended && live.key.is_some() {
        return None;
    }
    let broken = logged.and_then(|kept| kept.markers.aside);
    let kind = match &live.marker {
        None => DriftKind::Orphan,
        Some(_) if live.key.is_none() => DriftKind::Orphan,
        // The last valid record may have left the log, since the broken one overtook it.
        Some(marker) if ended.is_none() && broken.is_some_and(|(aside, _)| aside > marker.sequence) => {
            return None;
        }
        Some(_) => DriftKind::Phantom,
    };
    let expected = ended.map(|ended| ended.marker.sequence);
    let found = live.marker.as_ref().map(|marker| marker.sequence);
    let mend = live.key.as_ref().map(|key| Mend {
        key: key.clone(),
        seen: live.marker.clone(),
        act: match ended {
            Some(ended) if found.is_some() && found < expected => {
                Act::End(KeyEnd { key: key.clone(), marker: ended.marker.clone() })
            }
            _ => Act::Purge,
        },
    });
    Some(Wrong { kind, differing: Vec::new(), expected, found, mend })
}

fn judge_both(
    intake: &Intake,
    secret: &DigestKey,
    difference: &Difference,
    live: &LiveRow,
    meant: &RowWrite,
) -> Option<Wrong> {
    if live.ended && ended_later(difference, meant.marker.sequence) {
        return None;
    }
    let stored = stored(live, Some(&meant.values));
    let columns = &state_of(intake).projection.columns;
    let differing: Vec<String> = columns
        .iter()
        .zip(stored.iter().zip(&meant.values))
        .filter(|(_, (stored, meant))| stored.as_ref() != Ok(*meant))
        .map(|(column, _)| column.name.clone())
        .collect();
    let kind = match &live.marker {
        _ if live.ended => DriftKind::Missing,
        Some(marker) if marker.sequence < meant.marker.sequence => DriftKind::Stale,
        Some(marker) if same_record(marker, &meant.marker) && differing.is_empty() => {
            let read_back = read_back(intake, secret, &meant.key, &stored);
            if read_back == Some(marker.written) {
                return None;
            }
            DriftKind::Corrupt
        }
        Some(_) | None => DriftKind::Corrupt,
    };
    let act = match live.marker {
        Some(_) => Act::Restore(meant.clone()),
        None => Act::Replace(meant.clone()),
    };
    Some(Wrong {
        kind,
        differing,
        expected: Some(meant.marker.sequence),
        found: live.marker.as_ref().map(|marker| marker.sequence),
        mend: Some(Mend { key: meant.key.clone(), seen: live.marker.clone(), act }),
    })
}

/// A record that came twice has two offsets and is the same.
fn same_record(one: &Marker, two: &Marker) -> bool {
    (one.sequence, one.received) == (two.sequence, two.received)
}

/// Returns the values of a row as they were read back.
fn stored(live: &LiveRow, meant: Option<&Vec<Value>>) -> Vec<Result<Value, String>> {
    match meant {
        Some(meant) if mutant::is(Mutant::DigestOfMeant) => meant.iter().cloned().map(Ok).collect(),
        _ => live.values.clone(),
    }
}

/// Returns the digest of values read back; none when one of them could not have been stored.
fn read_back(
    intake: &Intake,
    secret: &DigestKey,
    key: &RecordKey,
    values: &[Result<Value, String>],
) -> Option<Digest> {
    let values: Option<Vec<Value>> = values.iter().map(|value| value.as_ref().ok().cloned()).collect();
    Some(written_row(intake, secret, key, &values?))
}

/// Judges a row by its own marker: whether its values, as read back, are those that were written.
pub fn is_intact(intake: &Intake, secret: &DigestKey, live: &LiveRow) -> bool {
    match (&live.key, &live.marker) {
        (Some(key), Some(marker)) => {
            mutant::is(Mutant::DigestOfMeant)
                || read_back(intake, secret, key, &live.values) == Some(marker.written)
        }
        // Without key or marker it is an orphan, or without a counterpart: the rehearsal tells.
        _ => true,
    }
}

/// Returns the record of a key that the consumer holds, by its markers.
pub fn held(row: Option<&LiveRow>, aside: Option<(Sequence, Digest)>) -> Last {
    let row = row.filter(|row| !row.ended).and_then(|row| row.marker.clone());
    in_sums(&Markers { row, ended: None, aside })
}

/// Returns the kind of a difference between what is held of a key and what the log says, where no row shows it.
pub fn kind_of(held: Last, logged: Last) -> DriftKind {
    match (held, logged) {
        (None, _) => DriftKind::Missing,
        (Some(_), None) => DriftKind::Phantom,
        (Some((held, _)), Some((logged, _))) if held < logged => DriftKind::Stale,
        _ => DriftKind::Corrupt,
    }
}

/// Returns the text of the key columns of a row that has no canonical key.
pub fn key_text(intake: &Intake, live: &LiveRow) -> String {
    let projection = &state_of(intake).projection;
    let text = |column: &usize| {
        let value = match &live.values[*column] {
            Ok(value) => canonical::text(value).unwrap_or_else(|| "no value".to_owned()),
            Err(text) => text.clone(),
        };
        format!("{} = {value}", projection.columns[*column].name)
    };
    projection.key.iter().map(text).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
