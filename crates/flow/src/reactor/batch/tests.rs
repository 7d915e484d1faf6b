//! What a run of events does: chains, waiting, holding back, releasing in order.

use super::{Cut, Fold, Held, Known, Made, make};
use crate::example::{DIGEST, broken_event, event, hold, intake, key, now, void};
use crate::hold::Hold;
use crate::intake::Intake;
use crate::log::{Fetch, Incoming};
use crate::reactor::open::{OpenedEvent, as_read, open};
use crate::store::AsideCause;
use jiff::SignedDuration;
use seamline_contract::subscription::OnInvalid;
use seamline_message::key::RecordKey;
use seamline_message::seal::Keys;
use seamline_message::sequence::Sequence;
use std::collections::BTreeMap;

fn at(intake: &Intake, offset: u64) -> Hold {
    hold(intake, &intake.events.as_ref().unwrap().topic, offset)
}

/// A projection that reached everything.
fn reached(number: u32) -> BTreeMap<RecordKey, Known> {
    [(key(number), Known { reached: Some(Sequence(u64::MAX)), ..Known::default() })].into()
}

fn apply(
    intake: &Intake,
    hold: &Hold,
    records: Vec<Incoming>,
    known: BTreeMap<RecordKey, Known>,
    later: SignedDuration,
) -> Made {
    let events = intake.events.as_ref().unwrap();
    let opened: Vec<OpenedEvent> =
        records.iter().map(|record| open(intake, events, (&DIGEST.key, &Keys::new()), record)).collect();
    let next = records.last().map_or(hold.offset(), |record| record.offset + 1);
    let fetch = Fetch { records, next, start: 0, end: next };
    let fold = Fold::new(intake, events, hold, known, now() + later);
    let made = make(fold, hold, &fetch, opened);
    let accounting = made.batch.next.accounting;
    assert!(accounting.balanced(), "{accounting:?}");
    assert_eq!(made.batch.next.position.as_ref().unwrap().offset, accounting.to);
    made
}

/// Applies records at once, from the beginning, with a projection that reached everything.
fn run(intake: &Intake, records: Vec<Incoming>) -> Made {
    apply(intake, &at(intake, 0), records, reached(1), SignedDuration::ZERO)
}

/// The lane and its key after a batch.
fn after(intake: &Intake, before: &Hold, made: &Made) -> (Hold, BTreeMap<RecordKey, Known>) {
    let mut hold = before.clone();
    hold.grip.as_mut().unwrap().state = made.batch.next.clone();
    let events = intake.events.as_ref().unwrap();
    let held = made.batch.aside.iter().map(|record| Held {
        record: record.clone(),
        opened: open(intake, events, (&DIGEST.key, &Keys::new()), &as_read(record)),
        stored: true,
    });
    let seen = made.batch.chains.first().map(|(_, seen)| *seen);
    let known = Known { seen, reached: Some(Sequence(u64::MAX)), held: held.collect() };
    (hold, [(key(1), known)].into())
}

fn inbox(made: &Made) -> Vec<u64> {
    made.batch.inbox.iter().map(|row| row.sequence.0).collect()
}

fn chain(made: &Made) -> Option<u64> {
    made.batch.chains.first().map(|(_, seen)| seen.0)
}

const BOUND: &str = "PolicyBound";
const LAPSED: &str = "PolicyLapsed";

#[test]
fn only_what_is_reacted_to_goes_to_the_inbox() {
    let intake = intake();
    let made =
        run(&intake, vec![event(&intake, 0, 1, 10, None, BOUND), event(&intake, 1, 1, 11, Some(10), LAPSED)]);
    assert_eq!(inbox(&made), [11]);
    assert_eq!(chain(&made), Some(11));
    assert_eq!(made.batch.next.accounting.applied, 2);
    let row = &made.batch.inbox[0];
    assert_eq!((row.event.as_str(), row.projection_behind), (LAPSED, false));
}

#[test]
fn an_event_that_comes_twice_reacts_once() {
    let intake = intake();
    let twice = vec![
        event(&intake, 0, 1, 10, None, LAPSED),
        event(&intake, 1, 1, 11, Some(10), LAPSED),
        event(&intake, 2, 1, 10, None, LAPSED),
        event(&intake, 3, 1, 11, Some(10), LAPSED),
    ];
    let made = run(&intake, twice);
    assert_eq!(inbox(&made), [10, 11]);
    let accounting = made.batch.next.accounting;
    assert_eq!((accounting.superseded, accounting.duplicates), (1, 1));
}

#[test]
fn a_broken_chain_is_a_case_and_holds_its_key_back() {
    let intake = intake();
    let made = run(
        &intake,
        vec![
            event(&intake, 0, 1, 10, None, LAPSED),
            event(&intake, 1, 1, 12, Some(11), LAPSED),
            event(&intake, 2, 1, 13, Some(12), LAPSED),
        ],
    );
    assert_eq!(inbox(&made), [10]);
    let causes: Vec<_> = made.batch.aside.iter().map(|record| record.cause.clone()).collect();
    let gap = AsideCause::Gap { seen: Some(Sequence(10)), named: Some(Sequence(11)) };
    assert_eq!(causes, [gap, AsideCause::Behind]);
    assert_eq!(made.batch.next.accounting.held, 2);
    assert_eq!(made.batch.cases.len(), 1);
}

#[test]
fn what_was_missing_releases_what_waits_in_its_order() {
    let intake = intake();
    let lane = at(&intake, 0);
    let first = run(
        &intake,
        vec![
            event(&intake, 0, 1, 10, None, LAPSED),
            event(&intake, 1, 1, 13, Some(12), LAPSED),
            event(&intake, 2, 1, 12, Some(11), LAPSED),
        ],
    );
    for missing in [event(&intake, 3, 1, 11, Some(10), BOUND), void(&intake, 3, 1, 11, Some(10))] {
        let (hold, known) = after(&intake, &lane, &first);
        let made = apply(&intake, &hold, vec![missing], known, SignedDuration::ZERO);
        assert_eq!(inbox(&made), [12, 13]);
        assert_eq!(made.batch.released, [2, 1]);
        assert_eq!(chain(&made), Some(13));
        let accounting = made.batch.next.accounting;
        assert_eq!((accounting.held, accounting.applied), (0, 4));
    }
}

#[test]
fn a_void_that_is_not_in_its_place_fills_nothing() {
    let intake = intake();
    let made = run(&intake, vec![event(&intake, 0, 1, 10, None, LAPSED), void(&intake, 1, 1, 12, Some(11))]);
    assert_eq!(chain(&made), Some(10));
    assert_eq!(made.batch.next.accounting.held, 1);
}

#[test]
fn a_broken_event_holds_its_key_back_and_no_other() {
    let intake = intake();
    let records = vec![
        broken_event(&intake, 0, 1, 10, None),
        event(&intake, 1, 1, 11, Some(10), LAPSED),
        event(&intake, 2, 2, 12, None, LAPSED),
    ];
    let mut known = reached(1);
    known.extend(reached(2));
    let made = apply(&intake, &at(&intake, 0), records, known, SignedDuration::ZERO);
    assert_eq!(inbox(&made), [12]);
    let accounting = made.batch.next.accounting;
    assert_eq!((accounting.quarantined, accounting.held, accounting.applied), (1, 1, 1));
}

#[test]
fn a_subscription_that_skips_goes_on_behind_a_broken_event() {
    let mut intake = intake();
    intake.events.as_mut().unwrap().on_invalid = OnInvalid::Skip;
    let made =
        run(&intake, vec![broken_event(&intake, 0, 1, 10, None), event(&intake, 1, 1, 11, Some(10), LAPSED)]);
    assert_eq!(inbox(&made), [11]);
    assert_eq!(made.batch.aside.len(), 1);
}

#[test]
fn a_subscription_that_halts_stops_before_a_broken_event() {
    let mut intake = intake();
    intake.events.as_mut().unwrap().on_invalid = OnInvalid::Halt;
    let made =
        run(&intake, vec![event(&intake, 0, 1, 9, None, LAPSED), broken_event(&intake, 1, 1, 10, Some(9))]);
    assert!(matches!(made.cut, Some(Cut::Halted(_))));
    assert_eq!(made.batch.next.position.as_ref().unwrap().offset, 1);
    assert!(made.batch.aside.is_empty());
}

#[test]
fn a_reaction_waits_for_its_projection_until_the_deadline() {
    let intake = intake();
    let records = || vec![event(&intake, 0, 1, 9, None, BOUND), event(&intake, 1, 1, 10, Some(9), LAPSED)];
    let behind = || BTreeMap::from([(key(1), Known { reached: Some(Sequence(9)), ..Known::default() })]);
    let made = apply(&intake, &at(&intake, 0), records(), behind(), SignedDuration::ZERO);
    assert_eq!(made.cut, Some(Cut::Waiting));
    assert_eq!((inbox(&made), made.batch.next.accounting.to), (vec![], 1));
    let late = SignedDuration::from_secs(3_600);
    let made = apply(&intake, &at(&intake, 0), records(), behind(), late);
    assert_eq!((inbox(&made), made.batch.inbox[0].projection_behind), (vec![10], true));
}

#[test]
fn what_would_be_released_waits_for_its_projection_too() {
    let intake = intake();
    let lane = at(&intake, 0);
    let first = run(
        &intake,
        vec![event(&intake, 0, 1, 10, None, LAPSED), event(&intake, 1, 1, 12, Some(11), LAPSED)],
    );
    let (hold, mut known) = after(&intake, &lane, &first);
    known.get_mut(&key(1)).unwrap().reached = Some(Sequence(11));
    let made =
        apply(&intake, &hold, vec![event(&intake, 2, 1, 11, Some(10), BOUND)], known, SignedDuration::ZERO);
    assert_eq!(made.cut, Some(Cut::Waiting));
    assert!(made.batch.released.is_empty());
}

#[test]
fn without_a_table_nothing_waits() {
    let mut intake = intake();
    intake.state = None;
    let records = vec![event(&intake, 0, 1, 10, None, LAPSED)];
    let made = apply(&intake, &at(&intake, 0), records, BTreeMap::new(), SignedDuration::ZERO);
    assert_eq!((inbox(&made), made.batch.inbox[0].projection_behind), (vec![10], false));
}

#[test]
fn a_lane_that_began_midway_meets_a_key_in_the_middle_of_its_chain() {
    let intake = intake();
    let records = || vec![event(&intake, 50, 1, 10, Some(7), LAPSED)];
    let midway = apply(&intake, &at(&intake, 50), records(), reached(1), SignedDuration::ZERO);
    assert_eq!(inbox(&midway), [10]);
    let whole = apply(&intake, &at(&intake, 0), records(), reached(1), SignedDuration::ZERO);
    assert_eq!(inbox(&whole), Vec::<u64>::new());
    assert_eq!(whole.batch.cases.len(), 1);
}
