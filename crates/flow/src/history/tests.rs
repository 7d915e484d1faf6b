//! What is told of a history, and what of it is missing.

use super::{Asked, Counts, Past, Reading, What};
use crate::example::{broken_event, event, intake, key, now, state, void};
use crate::log::Incoming;
use jiff::SignedDuration;

const LAPSED: &str = "PolicyLapsed";

fn read(asked: &Asked, records: impl Fn(&crate::intake::Intake) -> Vec<Incoming>) -> (Vec<Past>, Counts) {
    let intake = intake();
    let mut reading = Reading::new(&intake, asked);
    let past = records(&intake).iter().filter_map(|record| reading.take(record)).collect();
    (past, reading.counts())
}

fn sequences(past: &[Past]) -> Vec<u64> {
    past.iter().map(|it| it.sequence.0).collect()
}

#[test]
fn every_event_is_told_once_with_its_payload_and_a_whole_chain_is_whole() {
    let (past, counts) = read(&Asked::default(), |intake| {
        let bound = event(intake, 0, 1, 3, None, "PolicyBound");
        vec![
            bound.clone(),
            event(intake, 1, 2, 4, None, "PolicyBound"),
            bound,
            event(intake, 3, 1, 7, Some(3), LAPSED),
        ]
    });
    assert_eq!(sequences(&past), [3, 4, 7]);
    let What::Event(name, payload) = &past[2].what else { panic!("{:?}", past[2]) };
    assert_eq!(name.as_str(), LAPSED);
    assert!(String::from_utf8_lossy(payload).contains("\"status\":\"ended\""));
    assert_eq!(counts, Counts { events: 3, keys: 2, ..Counts::default() });
    assert!(counts.is_whole());
}

#[test]
fn what_is_missing_is_counted_until_a_void_explains_it() {
    let gap = |intake: &crate::intake::Intake| {
        vec![event(intake, 0, 1, 3, None, "PolicyBound"), event(intake, 1, 1, 9, Some(7), LAPSED)]
    };
    let (past, counts) = read(&Asked::default(), gap);
    assert_eq!((sequences(&past), counts.gaps, counts.is_whole()), (vec![3, 9], 1, false));
    let (past, counts) = read(&Asked::default(), |intake| {
        let mut all = gap(intake);
        all.push(void(intake, 2, 1, 7, Some(3)));
        all
    });
    assert_eq!((sequences(&past), counts.gaps, counts.voids), (vec![3, 9, 7], 0, 1));
    assert!(counts.is_whole());
}

#[test]
fn a_history_whose_beginning_left_the_topic_is_not_whole() {
    let midway = |intake: &crate::intake::Intake| vec![event(intake, 5, 1, 9, Some(7), LAPSED)];
    let (_, counts) = read(&Asked::default(), midway);
    assert_eq!((counts.midway, counts.is_whole()), (1, false));
    // What was before the first moment that is asked for is not missed.
    let later = Asked { from: Some(now() + SignedDuration::from_secs(1)), ..Asked::default() };
    let (past, counts) = read(&later, midway);
    assert_eq!((past.len(), counts.midway, counts.is_whole()), (0, 0, true));
}

#[test]
fn what_breaks_its_contract_is_told_without_values_and_what_is_nobodys_is_counted() {
    let (past, counts) = read(&Asked::default(), |intake| {
        let foreign = Incoming { key: Some(b"x".to_vec()), ..state(intake, 2, 1, 8, 1) };
        vec![broken_event(intake, 0, 1, 3, None), state(intake, 1, 1, 5, 1), foreign]
    });
    assert!(past.iter().all(|it| matches!(it.what, What::Broken(_))), "{past:?}");
    assert_eq!((counts.broken, counts.foreign), (2, 1));
    assert!(!counts.is_whole());
}

#[test]
fn keys_time_and_incarnation_narrow_what_is_told() {
    let all = |intake: &crate::intake::Intake| {
        let second = (1 << 48) + 1;
        vec![
            event(intake, 0, 1, 3, None, "PolicyBound"),
            event(intake, 1, 2, 4, None, "PolicyBound"),
            event(intake, 2, 1, second, None, LAPSED),
        ]
    };
    let of = |asked: &Asked| read(asked, all).0.iter().map(|it| it.key.clone()).collect::<Vec<_>>();
    assert_eq!(of(&Asked { keys: [key(2)].into(), ..Asked::default() }), [key(2)]);
    assert_eq!(of(&Asked { until: Some(now()), ..Asked::default() }), []);
    assert_eq!(of(&Asked { from: Some(now()), ..Asked::default() }).len(), 3);
    assert_eq!(of(&Asked { incarnation: Some(0), ..Asked::default() }), [key(1), key(2)]);
    assert_eq!(of(&Asked { incarnation: Some(1), ..Asked::default() }), [key(1)]);
    assert!(read(&Asked::default(), all).1.is_whole(), "an incarnation begins its chains anew");
}
