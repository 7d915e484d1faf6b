//! What kind of drift a difference is, and what would mend it.

use super::{Act, Wrong, held, is_intact, judge, key_text, kind_of};
use crate::drift::DriftKind;
use crate::example::{DIGEST, intake, key};
use crate::intake::Intake;
use crate::projector::open::written_row;
use crate::rehearsal::Kept;
use crate::store::{Difference, LiveRow, Marker, Markers, Rehearsed};
use seamline_contract::value::Value;
use seamline_message::digest::Digest;
use seamline_message::sequence::Sequence;

fn values(premium: i64) -> Vec<Value> {
    vec![Value::String("P-1".to_owned()), Value::Boolean(true), Value::Integer(premium)]
}

fn marker(intake: &Intake, sequence: u64, premium: i64) -> Marker {
    Marker {
        sequence: Sequence(sequence),
        offset: sequence,
        received: Digest(u128::from(sequence)),
        written: written_row(intake, &DIGEST.key, &key(1), &values(premium)),
    }
}

fn live(intake: &Intake, sequence: u64, premium: i64) -> LiveRow {
    LiveRow {
        key: Some(key(1)),
        cursor: "1".to_owned(),
        values: values(premium).into_iter().map(Ok).collect(),
        marker: Some(marker(intake, sequence, premium)),
        ended: false,
    }
}

fn rehearsed(intake: &Intake, sequence: u64, premium: i64) -> Rehearsed {
    Rehearsed {
        key: key(1),
        values: Some(values(premium)),
        marker: marker(intake, sequence, premium),
        left: false,
    }
}

fn over(intake: &Intake, sequence: u64) -> Rehearsed {
    Rehearsed { values: None, ..rehearsed(intake, sequence, 0) }
}

fn check(intake: &Intake, live: Option<LiveRow>, rehearsed: Option<Rehearsed>) -> Option<Wrong> {
    let difference = Difference { cursor: String::new(), key: Some(key(1)), live, ended: None, rehearsed };
    judge(intake, &DIGEST.key, &difference, None)
}

#[test]
fn a_row_that_is_gone_is_missing() {
    let intake = intake();
    let wrong = check(&intake, None, Some(rehearsed(&intake, 5, 1))).unwrap();
    assert_eq!((wrong.kind, wrong.expected, wrong.found), (DriftKind::Missing, Some(Sequence(5)), None));
    assert!(matches!(wrong.mend.unwrap().act, Act::Restore(_)));
}

#[test]
fn a_later_end_explains_that_a_row_is_gone_and_an_earlier_does_not() {
    let intake = intake();
    for (ended, explained) in [(6, true), (4, false)] {
        let difference = Difference {
            cursor: String::new(),
            key: Some(key(1)),
            live: None,
            ended: Some(marker(&intake, ended, 0)),
            rehearsed: Some(rehearsed(&intake, 5, 1)),
        };
        assert_eq!(judge(&intake, &DIGEST.key, &difference, None).is_none(), explained);
    }
}

#[test]
fn a_cell_changed_by_hand_is_corrupt_and_named() {
    let intake = intake();
    let mut row = live(&intake, 5, 1);
    row.values[2] = Ok(Value::Integer(2));
    let wrong = check(&intake, Some(row.clone()), Some(rehearsed(&intake, 5, 1))).unwrap();
    assert_eq!((wrong.kind, wrong.differing), (DriftKind::Corrupt, vec!["premium".to_owned()]));
    assert!(!is_intact(&intake, &DIGEST.key, &row));
    row.values[2] = Err("12a".to_owned());
    assert!(check(&intake, Some(row.clone()), Some(rehearsed(&intake, 5, 1))).is_some());
    assert!(!is_intact(&intake, &DIGEST.key, &row));
}

#[test]
fn the_same_record_at_another_offset_is_no_drift() {
    let intake = intake();
    let mut row = live(&intake, 5, 1);
    row.marker.as_mut().unwrap().offset = 99;
    assert_eq!(check(&intake, Some(row.clone()), Some(rehearsed(&intake, 5, 1))), None);
    assert!(is_intact(&intake, &DIGEST.key, &row));
}

#[test]
fn a_marker_changed_by_hand_is_corrupt() {
    let intake = intake();
    for change in
        [|marker: &mut Marker| marker.written = Digest(1), |marker: &mut Marker| marker.received = Digest(1)]
    {
        let mut row = live(&intake, 5, 1);
        change(row.marker.as_mut().unwrap());
        let wrong = check(&intake, Some(row), Some(rehearsed(&intake, 5, 1))).unwrap();
        assert_eq!((wrong.kind, wrong.differing.len()), (DriftKind::Corrupt, 0));
    }
}

#[test]
fn a_row_of_an_older_sequence_is_stale() {
    let intake = intake();
    let wrong = check(&intake, Some(live(&intake, 4, 1)), Some(rehearsed(&intake, 5, 2))).unwrap();
    assert_eq!((wrong.kind, wrong.found), (DriftKind::Stale, Some(Sequence(4))));
}

#[test]
fn a_row_that_should_be_gone_is_a_phantom() {
    let intake = intake();
    let wrong = check(&intake, Some(live(&intake, 4, 1)), Some(over(&intake, 5))).unwrap();
    assert_eq!(wrong.kind, DriftKind::Phantom);
    assert!(matches!(wrong.mend.unwrap().act, Act::End(_)));
    let wrong = check(&intake, Some(live(&intake, 4, 1)), None).unwrap();
    assert_eq!((wrong.kind, wrong.mend.unwrap().act), (DriftKind::Phantom, Act::Purge));
}

#[test]
fn a_row_without_a_marker_is_an_orphan_or_replaced() {
    let intake = intake();
    let row = LiveRow { marker: None, ..live(&intake, 4, 1) };
    let wrong = check(&intake, Some(row.clone()), None).unwrap();
    assert_eq!((wrong.kind, wrong.mend.unwrap().act), (DriftKind::Orphan, Act::Purge));
    let wrong = check(&intake, Some(row), Some(rehearsed(&intake, 5, 1))).unwrap();
    assert_eq!(wrong.kind, DriftKind::Corrupt);
    assert!(matches!(wrong.mend.unwrap().act, Act::Replace(_)));
}

#[test]
fn a_row_of_no_key_is_an_orphan_that_people_mend() {
    let intake = intake();
    let mut row = LiveRow { key: None, ..live(&intake, 4, 1) };
    row.values[0] = Ok(Value::Null);
    let difference = Difference {
        cursor: String::new(),
        key: None,
        live: Some(row.clone()),
        ended: None,
        rehearsed: None,
    };
    let wrong = judge(&intake, &DIGEST.key, &difference, None).unwrap();
    assert_eq!((wrong.kind, wrong.mend), (DriftKind::Orphan, None));
    assert_eq!(key_text(&intake, &row), "policy_ref = no value");
}

#[test]
fn a_row_whose_valid_record_was_compacted_behind_a_broken_one_is_not_judged() {
    let intake = intake();
    let markers = Markers { aside: Some((Sequence(6), Digest(6))), ..Markers::default() };
    let kept = Kept { markers, label: String::new() };
    let difference = Difference {
        cursor: String::new(),
        key: Some(key(1)),
        live: Some(live(&intake, 5, 1)),
        ended: None,
        rehearsed: None,
    };
    assert_eq!(judge(&intake, &DIGEST.key, &difference, Some(&kept)), None);
    let later = Difference { live: Some(live(&intake, 7, 1)), ..difference };
    assert!(judge(&intake, &DIGEST.key, &later, Some(&kept)).is_some());
}

#[test]
fn what_is_held_of_a_key_is_its_row_or_the_later_record_aside() {
    let intake = intake();
    let row = live(&intake, 5, 1);
    assert_eq!(held(Some(&row), None), Some((Sequence(5), Digest(5))));
    assert_eq!(held(Some(&row), Some((Sequence(6), Digest(6)))), Some((Sequence(6), Digest(6))));
    assert_eq!(held(Some(&LiveRow { ended: true, ..row }), None), None);
    assert_eq!(kind_of(None, Some((Sequence(5), Digest(5)))), DriftKind::Missing);
    assert_eq!(kind_of(Some((Sequence(4), Digest(4))), Some((Sequence(5), Digest(5)))), DriftKind::Stale);
}

#[cfg(feature = "mutants")]
#[test]
fn a_digest_of_what_was_meant_would_hide_a_changed_cell() {
    use seamline_message::mutant::{Mutant, with};
    let intake = intake();
    let mut row = live(&intake, 5, 1);
    row.values[2] = Ok(Value::Integer(2));
    let found = || check(&intake, Some(row.clone()), Some(rehearsed(&intake, 5, 1)));
    assert!(with(None, found).is_some());
    assert!(with(Some(Mutant::DigestOfMeant), found).is_none());
}
