//! What a pass concludes from lane, log and table.

use super::{Read, Table, assess, is_of};
use crate::drift::{DriftKind, Link, Outcome};
use crate::example::{DIGEST, hold, intake, key};
use crate::hold::Hold;
use crate::intake::Intake;
use crate::projector::decide::in_sums;
use crate::projector::open::written_row;
use crate::reconcile::Reconciled;
use crate::rehearsal::{Kept, Rehearsal};
use crate::store::{Difference, LiveRow, Marker, Markers, Rehearsed};
use seamline_contract::subscription::Role;
use seamline_contract::value::Value;
use seamline_message::digest::Digest;
use seamline_message::key::RecordKey;
use seamline_message::sequence::Sequence;
use std::collections::BTreeSet;

fn values() -> Vec<Value> {
    vec![Value::String("P-1".to_owned()), Value::Boolean(true), Value::Integer(1)]
}

fn marker(intake: &Intake, sequence: u64) -> Marker {
    Marker {
        sequence: Sequence(sequence),
        offset: sequence,
        received: Digest(u128::from(sequence) << 70 | 1),
        written: written_row(intake, &DIGEST.key, &key(1), &values()),
    }
}

fn record(sequence: u64) -> (Sequence, Digest) {
    (Sequence(sequence), Digest(u128::from(sequence) << 70 | 1))
}

/// A lane that received these records of the one key, and took none of them out again.
fn lane(intake: &Intake, received: &[u64]) -> Hold {
    let mut hold = hold(intake, "topic", 9);
    for sequence in received {
        let (sequence, digest) = record(*sequence);
        hold.grip.as_mut().unwrap().state.sums.add(&key(1), sequence, digest);
    }
    hold
}

/// Concludes of one key: what the lane received, what the log says, what the table holds.
fn conclude(intake: &Intake, received: &[u64], logged: Option<u64>, row: Option<u64>) -> Reconciled {
    conclude_but(intake, received, logged, row, &BTreeSet::new())
}

/// The same, but for keys that were overtaken in the log while it was read.
fn conclude_but(
    intake: &Intake,
    received: &[u64],
    logged: Option<u64>,
    row: Option<u64>,
    overtaken: &BTreeSet<RecordKey>,
) -> Reconciled {
    let mut rehearsal = Rehearsal::default();
    if let Some(logged) = logged {
        let markers = Markers { row: Some(marker(intake, logged)), ..Markers::default() };
        assert_eq!(in_sums(&markers), Some(record(logged)));
        rehearsal.keys.insert(key(1), Kept { markers, label: "true".to_owned() });
    }
    let live = row.map(|row| LiveRow {
        key: Some(key(1)),
        cursor: String::new(),
        values: values().into_iter().map(Ok).collect(),
        marker: Some(marker(intake, row)),
        ended: false,
    });
    let mut table = Table::default();
    live.iter().for_each(|row| table.take(intake, DIGEST, row));
    let rehearsed = logged.map(|logged| Rehearsed {
        key: key(1),
        values: Some(values()),
        marker: marker(intake, logged),
        left: false,
    });
    let difference = Difference { cursor: String::new(), key: Some(key(1)), live, ended: None, rehearsed };
    let differences = if logged == row { Vec::new() } else { vec![difference] };
    let read = Read { rehearsal: &rehearsal, table: &table, overtaken };
    let reasons = overtaken.iter().map(|key| format!("{key} was overtaken")).collect();
    assess(intake, DIGEST, &[lane(intake, received)], &read, &differences, reasons)
}

fn drifts(reconciled: &Reconciled) -> Vec<(Link, DriftKind)> {
    let drifts = reconciled.reports.iter().flat_map(|report| &report.drifts);
    drifts.map(|drift| (drift.link, drift.kind)).collect()
}

#[test]
fn what_agrees_is_clean_and_leaves_nothing_to_do() {
    let intake = intake();
    let clean = conclude(&intake, &[5], Some(5), Some(5));
    assert!(clean.reports.iter().all(|report| report.outcome == Outcome::Clean));
    assert_eq!(clean.reports.len(), 2);
    assert!(clean.plan.is_empty());
}

#[test]
fn a_record_not_received_is_of_the_stream_and_one_received_of_the_table() {
    let intake = intake();
    let lost = conclude(&intake, &[4], Some(5), Some(4));
    assert_eq!(drifts(&lost), [(Link::Stream, DriftKind::Stale)]);
    let set_back = conclude(&intake, &[5], Some(5), Some(4));
    assert_eq!(drifts(&set_back), [(Link::Projection, DriftKind::Stale)]);
    let deleted = conclude(&intake, &[5], Some(5), None);
    assert_eq!(drifts(&deleted), [(Link::Projection, DriftKind::Missing)]);
    assert_eq!(deleted.plan.mends.len(), 1);
}

#[test]
fn a_row_that_was_received_is_never_set_back_to_what_the_log_kept() {
    let intake = intake();
    let ahead = conclude(&intake, &[7], Some(5), Some(7));
    assert_eq!((drifts(&ahead), ahead.plan.mends.len()), (vec![], 0));
    let forged = conclude(&intake, &[5], Some(5), Some(7));
    assert_eq!(drifts(&forged), [(Link::Projection, DriftKind::Corrupt)]);
}

#[test]
fn a_row_that_vanished_and_came_back_wants_a_recount_only() {
    let intake = intake();
    let back = conclude(&intake, &[4, 5], Some(5), Some(5));
    assert!(back.reports.iter().all(|report| report.outcome == Outcome::Clean));
    assert!(back.plan.recount && back.plan.mends.is_empty());
}

#[test]
fn of_a_cache_the_stream_alone_is_compared() {
    let intake = Intake { role: Role::Cache, ..intake() };
    let edited = conclude(&intake, &[5], Some(5), None);
    assert_eq!(drifts(&edited), []);
    assert_eq!(edited.reports.len(), 1);
    let lost = conclude(&intake, &[4], Some(5), Some(4));
    assert_eq!(drifts(&lost), [(Link::Stream, DriftKind::Stale)]);
}

#[test]
fn under_another_digest_epoch_sums_blame_nobody() {
    let intake = intake();
    let mut old = lane(&intake, &[4]);
    old.grip.as_mut().unwrap().state.digest_epoch = 0;
    let (rehearsal, table) = (Rehearsal::default(), Table::default());
    let read = Read { rehearsal: &rehearsal, table: &table, overtaken: &BTreeSet::new() };
    let found = assess(&intake, DIGEST, &[old], &read, &[], vec!["old".to_owned()]);
    let outcomes: Vec<_> = found.reports.iter().map(|report| report.outcome.clone()).collect();
    assert_eq!(outcomes, vec![Outcome::Inconclusive(vec!["old".to_owned()]); 2]);
    assert!(found.plan.recount);
}

#[test]
fn what_compaction_took_away_while_it_was_read_is_no_drift_and_not_clean_either() {
    let intake = intake();
    let phantom = conclude(&intake, &[5], None, Some(5));
    assert_eq!(drifts(&phantom), [(Link::Stream, DriftKind::Phantom)]);
    let overtaken = conclude_but(&intake, &[5], None, Some(5), &BTreeSet::from([key(1)]));
    assert_eq!(drifts(&overtaken), []);
    assert!(overtaken.reports.iter().all(|report| matches!(report.outcome, Outcome::Inconclusive(_))));
    assert!(!overtaken.plan.recount, "the sums are right");
}

#[test]
fn a_difference_with_what_another_pass_put_is_not_believed() {
    let intake = intake();
    let mut rehearsal = Rehearsal::default();
    let markers = Markers { row: Some(marker(&intake, 5)), ..Markers::default() };
    rehearsal.keys.insert(key(1), Kept { markers, label: String::new() });
    let difference = |of: u32, put: Option<u64>| Difference {
        cursor: String::new(),
        key: Some(key(of)),
        live: None,
        ended: None,
        rehearsed: put.map(|at| Rehearsed {
            key: key(of),
            values: Some(values()),
            marker: marker(&intake, at),
            left: false,
        }),
    };
    assert!(is_of(&rehearsal, &difference(1, Some(5))));
    assert!(is_of(&rehearsal, &difference(2, None)), "the log has nothing of it");
    for (other, put) in [(1, None), (1, Some(6)), (2, Some(5))] {
        assert!(!is_of(&rehearsal, &difference(other, put)), "{other} {put:?}");
    }
    assert!(is_of(&rehearsal, &Difference { key: None, ..difference(1, None) }), "a row without a key");
}

#[test]
fn a_row_that_another_translation_made_is_blamed_on_nobody() {
    let intake = intake();
    let causes = |stored: Vec<Value>| -> Vec<String> {
        let markers = Markers { row: Some(marker(&intake, 5)), ..Markers::default() };
        let mut rehearsal = Rehearsal::default();
        rehearsal.keys.insert(key(1), Kept { markers, label: "true".to_owned() });
        let live = LiveRow {
            key: Some(key(1)),
            cursor: String::new(),
            values: stored.into_iter().map(Ok).collect(),
            marker: Some(marker(&intake, 5)),
            ended: false,
        };
        let mut table = Table::default();
        table.take(&intake, DIGEST, &live);
        // What the log says now: the same record, read another way.
        let mut meant = values();
        meant[2] = Value::Integer(2);
        let written = written_row(&intake, &DIGEST.key, &key(1), &meant);
        let now = Marker { written, ..marker(&intake, 5) };
        let rehearsed = Rehearsed { key: key(1), values: Some(meant), marker: now, left: false };
        let (cursor, live, rehearsed) = (String::new(), Some(live), Some(rehearsed));
        let difference = Difference { cursor, key: Some(key(1)), live, ended: None, rehearsed };
        let overtaken = BTreeSet::new();
        let read = Read { rehearsal: &rehearsal, table: &table, overtaken: &overtaken };
        let told = assess(&intake, DIGEST, &[lane(&intake, &[5])], &read, &[difference], Vec::new());
        told.reports.into_iter().flat_map(|report| report.drifts).map(|drift| drift.cause).collect()
    };
    assert_eq!(
        causes(values()),
        ["the row is as it was written: by another translation, or of another major"]
    );
    let mut edited = values();
    edited[1] = Value::Boolean(false);
    assert_eq!(causes(edited), ["the row was changed by hand"]);
}
