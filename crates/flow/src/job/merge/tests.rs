//! What a job makes of a difference: what is newer, what is left, what is asked for, and lanes that stand still.

use super::{Judged, judged};
use crate::drift::DriftKind;
use crate::example::{DIGEST, intake, key, now};
use crate::intake::Intake;
use crate::job::orders::{Reach, RehearseOrders, Rehearsing, Standing};
use crate::position::TopicIdentity;
use crate::projector::open::written_row;
use crate::reconcile::compare::Act;
use crate::store::{Difference, LiveRow, Marker, Rehearsed};
use seamline_contract::value::Value;
use seamline_message::digest::Digest;
use seamline_message::sequence::Sequence;

/// The end of the rehearsal.
const END: u64 = 100;

fn values(premium: i64) -> Vec<Value> {
    vec![Value::String("P-1".to_owned()), Value::Boolean(true), Value::Integer(premium)]
}

fn marker(intake: &Intake, sequence: u64, offset: u64, premium: i64) -> Marker {
    let written = written_row(intake, &DIGEST.key, &key(1), &values(premium));
    Marker { sequence: Sequence(sequence), offset, received: Digest(u128::from(sequence)), written }
}

fn live(intake: &Intake, sequence: u64, offset: u64, premium: i64) -> Option<LiveRow> {
    Some(LiveRow {
        key: Some(key(1)),
        cursor: "1".to_owned(),
        values: values(premium).into_iter().map(Ok).collect(),
        marker: Some(marker(intake, sequence, offset, premium)),
        ended: false,
    })
}

fn rehearsed(intake: &Intake, sequence: u64, premium: i64) -> Option<Rehearsed> {
    let marker = marker(intake, sequence, sequence, premium);
    Some(Rehearsed { key: key(1), values: Some(values(premium)), marker, left: false })
}

fn rehearsing(standing: bool) -> Rehearsing {
    let name = "policies.policy.v1.state".to_owned();
    let topic = TopicIdentity { cluster: "here".to_owned(), name, id: "t".to_owned(), partitions: 1 };
    let there = Standing { cluster: "elsewhere".to_owned(), topic_id: "t".to_owned(), offset: 7 };
    let standing = standing.then_some(there);
    let reach = Reach { partition: 0, start: 0, at: END, end: END, fence: END, standing };
    Rehearsing::of(&topic, vec![reach], now(), 0)
}

fn orders(keys: &[&str]) -> RehearseOrders {
    let keys = keys.iter().map(|key| (*key).to_owned()).collect();
    RehearseOrders::all("", true, None).narrowed(keys, None, None)
}

fn judge(live: Option<LiveRow>, rehearsed: Option<Rehearsed>, standing: bool, keys: &[&str]) -> Judged {
    let difference = Difference { cursor: String::new(), key: Some(key(1)), live, ended: None, rehearsed };
    judged(&intake(), &DIGEST.key, &rehearsing(standing), &orders(keys), &difference, false)
}

fn kind(judged: &Judged) -> Option<DriftKind> {
    match judged {
        Judged::Wrong(wrong) => Some(wrong.kind),
        Judged::Nothing | Judged::Left | Judged::Moved(_) => None,
    }
}

#[test]
fn what_the_lane_applied_from_the_end_on_is_newer_and_what_it_applied_before_is_not() {
    let intake = intake();
    let row = |offset| live(&intake, 5, offset, 1);
    assert_eq!(judge(row(END), rehearsed(&intake, 4, 2), false, &[]), Judged::Nothing);
    assert_eq!(judge(row(END), None, false, &[]), Judged::Nothing);
    assert_eq!(kind(&judge(row(END - 1), None, false, &[])), Some(DriftKind::Phantom));
    assert_eq!(kind(&judge(row(END - 1), rehearsed(&intake, 5, 2), false, &[])), Some(DriftKind::Corrupt));
}

#[test]
fn a_row_newer_than_what_compaction_left_stays() {
    let intake = intake();
    assert_eq!(judge(live(&intake, 6, 50, 1), rehearsed(&intake, 5, 2), false, &[]), Judged::Nothing);
    assert_eq!(
        kind(&judge(live(&intake, 4, 50, 1), rehearsed(&intake, 5, 2), false, &[])),
        Some(DriftKind::Stale)
    );
}

#[test]
fn a_key_that_is_left_is_left_whatever_its_row_is() {
    let intake = intake();
    let left = rehearsed(&intake, 9, 2).map(|row| Rehearsed { values: None, left: true, ..row });
    assert_eq!(judge(live(&intake, 5, 50, 1), left, false, &[]), Judged::Left);
}

#[test]
fn a_replay_of_some_keys_removes_no_other() {
    let intake = intake();
    assert_eq!(judge(live(&intake, 5, 50, 1), None, false, &["[\"P-2\"]"]), Judged::Nothing);
}

#[test]
fn where_a_lane_stands_still_the_log_decides_and_positions_are_written_anew() {
    let intake = intake();
    let elsewhere = 5_000;
    assert_eq!(kind(&judge(live(&intake, 5, elsewhere, 1), None, true, &[])), Some(DriftKind::Phantom));
    let ahead = judge(live(&intake, 9, elsewhere, 1), rehearsed(&intake, 5, 2), true, &[]);
    assert_eq!(kind(&ahead), Some(DriftKind::Corrupt));
    match judge(live(&intake, 5, elsewhere, 1), rehearsed(&intake, 5, 1), true, &[]) {
        Judged::Moved(mend) => match mend.act {
            Act::Restore(write) => assert_eq!(write.marker.offset, 5),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}
