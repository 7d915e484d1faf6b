//! What applying or discarding a waiting event does to its key.

use super::{Treated, discard_event, redrive_event};
use crate::example::{DIGEST, broken_event, event, hold, intake, key, now};
use crate::hold::Hold;
use crate::intake::Intake;
use crate::log::Incoming;
use crate::projector::open::{AsideFacts, aside, invalid};
use crate::reactor::batch::{Fold, Held, Known};
use crate::reactor::open::{OpenedEvent, Reaction, open};
use crate::store::{AsideCause, Batch};
use seamline_contract::subscription::OnInvalid;
use seamline_message::seal::Keys;
use seamline_message::sequence::Sequence;
use seamline_message::violation::{Rule, Violation};

fn lane(intake: &Intake) -> Hold {
    let mut hold = hold(intake, &intake.events.as_ref().unwrap().topic, 0);
    let accounting = &mut hold.grip.as_mut().unwrap().state.accounting;
    (accounting.to, accounting.handed, accounting.quarantined, accounting.held) = (3, 3, 1, 2);
    hold
}

fn held(intake: &Intake, record: &Incoming, broken: bool) -> Held {
    let opened = open(intake, intake.events.as_ref().unwrap(), (&DIGEST.key, &Keys::new()), record);
    let OpenedEvent::Known { sequence, digest, .. } = &opened else { panic!("a known event") };
    let cause = if broken { invalid(&Violation::new(Rule::Shape, "", "")) } else { AsideCause::Behind };
    let facts = AsideFacts { key: Some(key(1)), sequence: Some(*sequence), received: *digest, cause };
    let lane = intake.lane("topic", 0);
    Held { record: aside(&lane, record, facts, now()), opened, stored: true }
}

/// The key saw 10; 11 was broken when it came, 12 and 13 wait behind it.
fn waiting(intake: &Intake, first: &Incoming, seen: u64) -> Known {
    let behind = [
        event(intake, 1, 1, 12, Some(11), "PolicyLapsed"),
        event(intake, 2, 1, 13, Some(12), "PolicyLapsed"),
    ];
    let mut all = vec![held(intake, first, true)];
    all.extend(behind.iter().map(|record| held(intake, record, false)));
    Known { seen: Some(Sequence(seen)), reached: Some(Sequence(u64::MAX)), held: all }
}

fn act(
    intake: &Intake,
    known: Known,
    run: impl Fn(Fold<'_>, &Hold, OnInvalid) -> (Treated, Option<Batch>),
) -> (Treated, Option<Batch>) {
    let hold = lane(intake);
    let events = intake.events.as_ref().unwrap();
    let fold = Fold::new(intake, events, &hold, [(key(1), known)].into(), now());
    let (treated, batch) = run(fold, &hold, events.on_invalid);
    if let Some(batch) = &batch {
        assert!(batch.next.accounting.balanced(), "{:?}", batch.next.accounting);
    }
    (treated, batch)
}

fn inbox(batch: &Option<Batch>) -> Vec<u64> {
    batch.iter().flat_map(|batch| &batch.inbox).map(|row| row.sequence.0).collect()
}

#[test]
fn an_event_that_is_valid_now_goes_on_with_all_behind_it() {
    let intake = intake();
    let mended = event(&intake, 0, 1, 11, Some(10), "PolicyLapsed");
    let (treated, batch) = act(&intake, waiting(&intake, &mended, 10), |fold, hold, on_invalid| {
        redrive_event(fold, hold, &key(1), 0, on_invalid)
    });
    assert_eq!(treated, Treated::Done { inbox: 3, verdict: None });
    assert_eq!(inbox(&batch), [11, 12, 13]);
    let batch = batch.unwrap();
    assert_eq!(batch.released, [0, 1, 2]);
    assert_eq!(batch.chains, [(key(1), Sequence(13))]);
}

#[test]
fn an_event_that_is_still_broken_stays() {
    let intake = intake();
    let broken = broken_event(&intake, 0, 1, 11, Some(10));
    let (treated, batch) = act(&intake, waiting(&intake, &broken, 10), |fold, hold, on_invalid| {
        redrive_event(fold, hold, &key(1), 0, on_invalid)
    });
    assert!(matches!(treated, Treated::StillInvalid(_)));
    assert_eq!(batch, None);
}

#[test]
fn an_event_behind_another_is_not_applied_before_it() {
    let intake = intake();
    let broken = broken_event(&intake, 0, 1, 11, Some(10));
    let (treated, batch) = act(&intake, waiting(&intake, &broken, 10), |fold, hold, on_invalid| {
        redrive_event(fold, hold, &key(1), 1, on_invalid)
    });
    assert_eq!((treated, batch), (Treated::StillBroken, None));
    let (treated, batch) = act(&intake, waiting(&intake, &broken, 10), |fold, hold, on_invalid| {
        discard_event(fold, hold, &key(1), 1, on_invalid)
    });
    assert_eq!((treated, batch), (Treated::NotFirst { first: 0 }, None));
}

#[test]
fn discarding_lets_the_key_go_on() {
    let intake = intake();
    let broken = broken_event(&intake, 0, 1, 11, Some(10));
    let (treated, batch) = act(&intake, waiting(&intake, &broken, 10), |fold, hold, on_invalid| {
        discard_event(fold, hold, &key(1), 0, on_invalid)
    });
    assert_eq!(treated, Treated::Done { inbox: 2, verdict: None });
    assert_eq!(inbox(&batch), [12, 13]);
    let accounting = batch.unwrap().next.accounting;
    assert_eq!((accounting.quarantined, accounting.held, accounting.applied), (1, 0, 2));
}

#[test]
fn a_skipped_event_reacts_late_when_an_operator_says_so() {
    let mut intake = intake();
    intake.events.as_mut().unwrap().on_invalid = OnInvalid::Skip;
    let mended = event(&intake, 0, 1, 11, Some(10), "PolicyLapsed");
    let mut known = waiting(&intake, &mended, 13);
    known.held.truncate(1);
    let (_, batch) =
        act(&intake, known, |fold, hold, on_invalid| redrive_event(fold, hold, &key(1), 0, on_invalid));
    assert_eq!(inbox(&batch), [11]);
    assert!(batch.unwrap().chains.is_empty());
}

#[test]
fn a_broken_event_asks_for_nothing() {
    let intake = intake();
    let broken = held(&intake, &broken_event(&intake, 0, 1, 11, Some(10)), true);
    let OpenedEvent::Known { reaction, .. } = broken.opened else { panic!("a known event") };
    assert!(matches!(reaction, Reaction::Invalid(_)));
}
