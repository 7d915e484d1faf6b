//! What a run of state records does to a projection, to the sums and to the accounting.

use super::{Known, Made, make};
use crate::example::{DIGEST, broken_state, hold, intake, key, now, state, tombstone};
use crate::hold::Hold;
use crate::intake::Intake;
use crate::log::{Fetch, Incoming};
use crate::projector::decide::in_sums;
use crate::projector::open::{Opened, open};
use crate::store::{Batch, Marker, Markers};
use seamline_contract::value::Value;
use seamline_message::headers::Headers;
use seamline_message::key::RecordKey;
use seamline_message::sequence::Sequence;
use seamline_message::sums::Sums;
use std::collections::HashMap;

fn at(intake: &Intake, offset: u64) -> Hold {
    hold(intake, &intake.state.as_ref().unwrap().topic, offset)
}

/// Applies records to a lane whose keys are known as given, and checks what must always hold.
fn apply(
    intake: &Intake,
    hold: &Hold,
    records: Vec<Incoming>,
    mut known: HashMap<RecordKey, Known>,
    next: u64,
) -> Made {
    let opened: Vec<Opened> = records.iter().map(|record| open(intake, &DIGEST.key, record)).collect();
    for opened in &opened {
        if let Opened::Known { key, .. } = opened {
            known.entry(key.clone()).or_default();
        }
    }
    let fetch = Fetch { records, next, start: 0, end: next };
    let made = make(intake, hold, &fetch, opened, known.clone(), true, now());
    let next = &made.batch.next;
    assert!(next.accounting.balanced(), "{:?}", next.accounting);
    assert_eq!(next.position.as_ref().unwrap().offset, next.accounting.to);
    let before: Vec<_> = known.iter().map(|(key, known)| (key.clone(), known.markers.clone())).collect();
    let mut sums = hold.state().sums.minus(&sums_of(&before));
    sums.merge(&sums_of(&after(&before, &made.batch)));
    assert_eq!(next.sums, sums, "the sums are those of the last records received");
    made
}

fn sums_of(markers: &[(RecordKey, Markers)]) -> Sums {
    let mut sums = Sums::new();
    for (key, markers) in markers {
        if let Some((sequence, digest)) = in_sums(markers) {
            sums.add(key, sequence, digest);
        }
    }
    sums
}

fn after(before: &[(RecordKey, Markers)], batch: &Batch) -> Vec<(RecordKey, Markers)> {
    let mut after = before.to_vec();
    for (key, markers) in &mut after {
        if let Some(write) = batch.rows.iter().find(|write| write.key == *key) {
            markers.row = Some(write.marker.clone());
        }
        if let Some(end) = batch.ended.iter().find(|end| end.key == *key) {
            markers.row = None;
            markers.ended = Some(end.marker.clone());
        }
        if let Some((_, aside)) = batch.received_aside.iter().find(|(aside, _)| aside == key) {
            markers.aside = *aside;
        }
    }
    after
}

/// What is known of a key after a batch.
fn known_after(made: &Made, number: u32) -> HashMap<RecordKey, Known> {
    let markers = after(&[(key(number), Markers::default())], &made.batch).remove(0).1;
    let asides = made.batch.aside.iter().filter(|record| record.key == Some(key(number)));
    let waiting = asides.filter_map(|record| Some((record.offset, record.sequence?))).collect();
    HashMap::from([(key(number), Known { markers, waiting })])
}

#[test]
fn a_record_becomes_the_row_that_the_subscription_derives() {
    let intake = intake();
    let made = apply(&intake, &at(&intake, 0), vec![state(&intake, 4, 1, 10, 7)], HashMap::new(), 6);
    let [row] = made.batch.rows.as_slice() else { panic!("one row") };
    let values = [Value::String("P-1".to_owned()), Value::Boolean(true), Value::Integer(7)];
    assert_eq!(row.values, values);
    assert_eq!((row.marker.sequence, row.marker.offset), (Sequence(10), 4));
    let accounting = made.batch.next.accounting;
    assert_eq!((accounting.handed, accounting.applied, accounting.absent), (1, 1, 5));
    assert_eq!(made.batch.next.position.as_ref().unwrap().leader_epoch, 3);
}

#[test]
fn one_batch_writes_a_key_once() {
    let intake = intake();
    let records = vec![state(&intake, 0, 1, 10, 1), state(&intake, 1, 2, 11, 2), state(&intake, 2, 1, 12, 3)];
    let made = apply(&intake, &at(&intake, 0), records, HashMap::new(), 3);
    let written: Vec<_> = made.batch.rows.iter().map(|row| (&row.key, row.marker.sequence.0)).collect();
    assert_eq!(written, [(&key(1), 12), (&key(2), 11)]);
    let accounting = made.batch.next.accounting;
    assert_eq!((accounting.applied, accounting.coalesced), (2, 1));
}

#[test]
fn what_came_before_writes_nothing() {
    let intake = intake();
    let lane = at(&intake, 0);
    let first = apply(&intake, &lane, vec![state(&intake, 0, 1, 10, 1)], HashMap::new(), 1);
    let records = vec![state(&intake, 0, 1, 10, 1), state(&intake, 1, 1, 9, 1), state(&intake, 2, 1, 10, 2)];
    let made = apply(&intake, &lane, records, known_after(&first, 1), 3);
    assert!(made.batch.rows.is_empty());
    let accounting = made.batch.next.accounting;
    assert_eq!((accounting.duplicates, accounting.superseded, accounting.conflicts), (1, 1, 1));
    assert_eq!(made.batch.cases.len(), 1, "the conflict is a case");
}

#[test]
fn a_key_that_ends_leaves_the_sums_and_stays_ended() {
    let intake = intake();
    let lane = at(&intake, 0);
    let records =
        vec![state(&intake, 0, 1, 10, 1), tombstone(&intake, 1, 1, 11), state(&intake, 2, 1, 10, 1)];
    let made = apply(&intake, &lane, records, HashMap::new(), 3);
    assert!(made.batch.rows.is_empty());
    assert_eq!(made.batch.ended.len(), 1);
    assert_eq!(made.batch.next.sums, Sums::new());
    let again = apply(&intake, &lane, vec![state(&intake, 0, 1, 12, 1)], known_after(&made, 1), 1);
    assert_eq!(again.batch.rows.len(), 1);
}

#[test]
fn a_broken_record_waits_and_its_row_keeps_the_last_valid_value() {
    let intake = intake();
    let lane = at(&intake, 0);
    let records = vec![state(&intake, 0, 1, 10, 1), broken_state(&intake, 1, 1, 11)];
    let made = apply(&intake, &lane, records, HashMap::new(), 2);
    assert_eq!(made.batch.rows[0].marker.sequence, Sequence(10));
    assert_eq!(made.batch.aside[0].sequence, Some(Sequence(11)));
    assert_eq!(made.batch.received_aside[0].1.unwrap().0, Sequence(11));
    assert_eq!(made.batch.next.accounting.quarantined, 1);
    assert_eq!(made.batch.cases.len(), 1);
}

#[test]
fn the_next_valid_record_overtakes_the_broken_one() {
    let intake = intake();
    let lane = at(&intake, 0);
    let mut first = apply(&intake, &lane, vec![broken_state(&intake, 0, 1, 11)], HashMap::new(), 1);
    let mut lane_after = lane.clone();
    lane_after.grip.as_mut().unwrap().state = first.batch.next.clone();
    let made = apply(&intake, &lane_after, vec![state(&intake, 1, 1, 12, 1)], known_after(&first, 1), 2);
    assert_eq!(made.batch.released, [0]);
    assert_eq!(made.batch.received_aside, [(key(1), None)]);
    let accounting = made.batch.next.accounting;
    assert_eq!((accounting.quarantined, accounting.superseded, accounting.applied), (0, 1, 1));

    let records = vec![broken_state(&intake, 0, 1, 11), state(&intake, 1, 1, 12, 1)];
    first = apply(&intake, &lane, records, HashMap::new(), 2);
    assert!(first.batch.aside.is_empty() && first.batch.released.is_empty());
    assert_eq!(first.batch.next.accounting.coalesced, 1);
}

#[test]
fn a_valid_record_older_than_the_broken_one_still_reaches_the_row() {
    let intake = intake();
    let records = vec![broken_state(&intake, 0, 1, 11), state(&intake, 1, 1, 10, 5)];
    let made = apply(&intake, &at(&intake, 0), records, HashMap::new(), 2);
    assert_eq!(made.batch.rows[0].marker.sequence, Sequence(10));
    assert_eq!(made.batch.received_aside[0].1.unwrap().0, Sequence(11));
}

#[test]
fn a_record_of_nobody_goes_aside_as_it_is() {
    let intake = intake();
    let foreign = [
        Incoming { key: None, ..state(&intake, 0, 1, 10, 1) },
        Incoming { key: Some(b"\xff".to_vec()), ..state(&intake, 1, 1, 10, 1) },
        Incoming { headers: Headers::default(), ..state(&intake, 2, 1, 10, 1) },
        Incoming { headers: Headers::default(), ..tombstone(&intake, 3, 1, 10) },
        Incoming { key: Some(key(2).as_bytes().to_vec()), ..state(&intake, 4, 1, 10, 1) },
    ];
    let made = apply(&intake, &at(&intake, 0), foreign.to_vec(), HashMap::new(), 5);
    assert_eq!(made.batch.next.accounting.quarantined, 5);
    assert_eq!(made.batch.aside.len(), 5);
    assert_eq!(made.batch.next.sums, Sums::new());
    assert!(made.batch.rows.is_empty() && made.batch.ended.is_empty());
}

#[test]
fn the_sums_of_a_point_are_those_of_what_came_before_it() {
    let intake = intake();
    let records = vec![state(&intake, 1_023, 1, 10, 1), state(&intake, 1_024, 2, 11, 1)];
    let made = apply(&intake, &at(&intake, 1_020), records, HashMap::new(), 1_025);
    let [point] = made.passed.points.as_slice() else { panic!("one point") };
    assert_eq!((point.offset, point.sums.total().count), (1_024, 1));
    assert_eq!(made.batch.next.sums.total().count, 2);
}

#[test]
fn the_digest_that_is_stored_leaves_the_sums_whatever_it_would_be_today() {
    let intake = intake();
    let stored = Marker {
        sequence: Sequence(5),
        offset: 0,
        received: seamline_message::digest::Digest(99),
        written: seamline_message::digest::Digest(1),
    };
    let known = Known { markers: Markers { row: Some(stored), ..Markers::default() }, waiting: Vec::new() };
    let mut lane = at(&intake, 0);
    lane.grip.as_mut().unwrap().state.sums.add(&key(1), Sequence(5), seamline_message::digest::Digest(99));
    let made = apply(&intake, &lane, vec![state(&intake, 0, 1, 6, 1)], [(key(1), known)].into(), 1);
    assert_eq!(made.batch.next.sums.total().count, 1);
    assert_eq!(made.batch.next.sums.total().sequences, 6);
}

#[cfg(feature = "mutants")]
#[test]
fn without_its_tombstone_a_key_rises_again() {
    use seamline_message::mutant::{Mutant, with};
    let intake = intake();
    let lane = at(&intake, 0);
    let rises = || {
        let first = apply(&intake, &lane, vec![state(&intake, 0, 1, 10, 1)], HashMap::new(), 1);
        let mut lane = lane.clone();
        lane.grip.as_mut().unwrap().state.sums = first.batch.next.sums.clone();
        let records = vec![tombstone(&intake, 0, 1, 11)];
        let opened = records.iter().map(|record| open(&intake, &DIGEST.key, record)).collect();
        let fetch = Fetch { records, next: 1, start: 0, end: 1 };
        let known = known_after(&first, 1);
        make(&intake, &lane, &fetch, opened, known, true, now()).batch.ended.is_empty()
    };
    assert!(!with(None, rises));
    assert!(with(Some(Mutant::LostTombstone), rises));
}

/// Returns a record as another program sends it in structured mode, with a member of its event replaced.
fn structured(record: &Incoming, member: &str, value: serde_json::Value) -> Incoming {
    let mut event = serde_json::Map::new();
    for header in record.headers.to_vec() {
        let text = String::from_utf8(header.value.unwrap()).unwrap();
        event.insert(header.name.trim_start_matches("ce_").to_owned(), text.into());
    }
    event.insert("data".to_owned(), serde_json::from_slice(record.value.as_ref().unwrap()).unwrap());
    event.insert(member.to_owned(), value);
    let mut headers = Headers::default();
    headers.push("content-type", Some(b"application/cloudevents+json; charset=utf-8"));
    let value = Some(serde_json::Value::from(event).to_string().into_bytes());
    let mut sent = Incoming { headers, value, ..record.clone() };
    crate::plain::record(&mut sent);
    sent
}

#[test]
fn a_record_in_structured_mode_is_the_one_in_binary_mode() {
    let intake = intake();
    let binary = state(&intake, 0, 1, 10, 5);
    let sent = structured(&binary, "other", serde_json::Value::Null);
    assert_eq!(open(&intake, &DIGEST.key, &sent), open(&intake, &DIGEST.key, &binary));
}

#[test]
fn a_record_in_structured_mode_that_cannot_be_read_goes_aside_as_it_was_sent() {
    let intake = intake();
    let sent = structured(&state(&intake, 0, 1, 10, 5), "data_base64", "e30=".into());
    let made = apply(&intake, &at(&intake, 0), vec![sent.clone()], HashMap::new(), 1);
    let [aside] = made.batch.aside.as_slice() else { panic!("one record") };
    assert_eq!((&aside.value, &aside.headers), (&sent.value, &sent.headers.to_vec()));
    let cause = crate::store::AsideCause::Invalid {
        rule: "HEADER".into(),
        path: "headers.data_base64".into(),
        message: sent.fault.unwrap().message,
    };
    assert_eq!(aside.cause, cause);
}
