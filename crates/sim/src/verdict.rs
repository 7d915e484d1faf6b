//! The verdict: what must hold when all is at rest, and what must be found when somebody's hand was in it.

use crate::actors::{Scene, Turn, act, commit};
use crate::cases::SimLedger;
use crate::fault::Fault;
use crate::oracle::Policy;
use crate::run::{drain, service_kept_its_word};
use crate::stage::alone;
use crate::store::StoredRow;
use crate::world::SimClock;
use seamline_contract::value::Value;
use seamline_flow::case::CaseKind;
use seamline_flow::custody::source::{SourceCheck, check_source};
use seamline_flow::drift::{Drift, DriftKind, Link, Outcome, Report};
use seamline_flow::hold::Take;
use seamline_flow::log::Log;
use seamline_flow::projector::Projector;
use seamline_flow::reconcile::{Reconciled, reconcile, repair::repair};
use seamline_flow::relay::{Relay, TakeOver};
use seamline_flow::source::Source;
use seamline_message::digest::Digest;
use seamline_message::key::RecordKey;
use seamline_message::sequence::Sequence;
use std::collections::BTreeMap;

/// Checks all that must hold at rest.
pub fn at_rest(scene: &Scene) -> Result<(), String> {
    kept(scene)?;
    scene.oracle.events_are_told(&scene.log, &scene.story, &scene.source)?;
    (0..scene.stores.len()).try_for_each(|consumer| silent(scene, consumer))
}

/// Checks what must hold at rest of the source and of what consumers hold, whichever topics it came through.
pub(crate) fn kept(scene: &Scene) -> Result<(), String> {
    let Scene { story, source, log, oracle, .. } = scene;
    service_kept_its_word(scene)?;
    oracle.source_is_told(source)?;
    let disordered = scene.world.all_fired().0.contains_key(&Fault::OldRecord);
    oracle.log_is_ordered(log, &story.topics(), !disordered)?;
    for (consumer, store) in scene.stores.iter().enumerate() {
        oracle.has_converged(store, story, consumer)?;
        oracle.inbox_is_whole(store, story, consumer, source)?;
        for (lane, state) in store.all_lanes() {
            let at = state.position.as_ref().map(|position| position.offset);
            if !state.accounting.balanced() || at != Some(state.accounting.to) {
                return Err(format!("{lane:?} is not balanced: {:?} at {at:?}", state.accounting));
            }
        }
    }
    let counts = source.true_counts();
    if counts.missing() != 0 { Err(format!("the source is not balanced: {counts:?}")) } else { Ok(()) }
}

pub(crate) fn reconciled(scene: &Scene, consumer: usize) -> Result<Reconciled, String> {
    let clock = SimClock::new(&scene.world);
    let intake = &scene.story.intakes[consumer];
    let ports = scene.ports(consumer, "rest", &clock);
    alone(reconcile(ports, intake, scene.state_digest(intake))).map_err(|error| error.to_string())
}

pub(crate) fn clean(reports: &[Report]) -> Result<(), String> {
    let loud = reports.iter().find(|report| report.outcome != Outcome::Clean);
    loud.map_or(Ok(()), |report| Err(format!("reconcile is loud, and the oracle is not: {report:?}")))
}

fn silent(scene: &Scene, consumer: usize) -> Result<(), String> {
    let found = reconciled(scene, consumer)?;
    clean(&found.reports)?;
    if found.plan.is_empty() { Ok(()) } else { Err(format!("there is a plan for nothing: {:?}", found.plan)) }
}

/// What a hand did, and so what must be found.
type Answers = BTreeMap<RecordKey, (Link, DriftKind)>;

/// Changes projections by hand, and checks that exactly that is found, and mended.
pub fn hands_are_found(scene: &Scene) -> Result<(), String> {
    for consumer in 0..scene.stores.len() {
        let answers = tamper(scene, consumer);
        let found = reconciled(scene, consumer)?;
        let drifts = found.reports.iter().flat_map(|report| &report.drifts);
        let named = |drift: &Drift| Some((drift.key.clone().ok()?, (drift.link, drift.kind)));
        let named: Answers = drifts.filter_map(named).collect();
        if named != answers {
            return Err(format!("reconcile names {named:?}, and the hand did {answers:?}"));
        }
        let clock = SimClock::new(&scene.world);
        let intake = &scene.story.intakes[consumer];
        let ports = scene.ports(consumer, "rest", &clock);
        let mended = alone(repair(ports, intake, scene.state_digest(intake), &found.plan));
        clean(&mended.map_err(|error| error.to_string())?.reports)?;
        scene.oracle.has_converged(&scene.stores[consumer], &scene.story, consumer)?;
        silent(scene, consumer)?;
    }
    Ok(())
}

fn tamper(scene: &Scene, consumer: usize) -> Answers {
    let subscription = &scene.story.intakes[consumer].subscription;
    let store = &scene.stores[consumer];
    let mut answers = Answers::new();
    let table = store.table(subscription);
    for (key, row) in table.iter().filter(|(_, row)| !row.ended) {
        let (fate, row) = (scene.world.dice(|dice| dice.below(4)), row.clone());
        match fate {
            0 => {
                scene.world.fired(Fault::HandEdit);
                store.set_row(subscription, key, Some(edited(row)));
                answers.insert(key.clone(), (Link::Projection, DriftKind::Corrupt));
            }
            1 => {
                scene.world.fired(Fault::HandDelete);
                store.set_row(subscription, key, None);
                answers.insert(key.clone(), (Link::Projection, DriftKind::Missing));
            }
            _ => {}
        }
    }
    if scene.world.dice(|dice| dice.chance(500)) {
        scene.world.fired(Fault::HandInsert);
        let key = RecordKey::from_texts(&["by hand".to_owned()]);
        let mut values = vec![Value::Null; scene.story.intakes[consumer].state.as_ref().map_or(0, columns)];
        values[0] = Value::String("by hand".to_owned());
        values[2] = Value::Integer(1);
        store.set_row(subscription, &key, Some(StoredRow { values, marker: None, ended: false }));
        answers.insert(key, (Link::Projection, DriftKind::Orphan));
    }
    answers
}

/// Compares while the log hands over half of what it holds: nothing is concluded from it, and nothing is to be mended.
pub fn half_a_log_is_no_drift(scene: &Scene) -> Result<(), String> {
    scene.log.silence(true);
    for (consumer, store) in scene.stores.iter().enumerate() {
        let topic = &scene.story.intakes[consumer].state.as_ref().expect("it has a table").topic;
        let is_long = |offset: Option<u64>| offset.is_some_and(|offset| offset > 0);
        let hides = store.all_lanes().iter().any(|(lane, state)| {
            lane.topic == *topic
                && lane.partition == 0
                && is_long(state.position.as_ref().map(|at| at.offset))
        });
        let found = reconciled(scene, consumer)?;
        let concludes = |report: &Report| !matches!(report.outcome, Outcome::Inconclusive(_));
        if !found.plan.is_empty() || (hides && found.reports.iter().any(concludes)) {
            return Err(format!("half a log is concluded from: {found:?}"));
        }
    }
    scene.log.silence(false);
    (0..scene.stores.len()).try_for_each(|consumer| silent(scene, consumer))
}

/// Changes the sums of a lane in pairs that an exclusive or would not see, and checks that it is found, and mended.
pub fn wrong_sums_are_found(scene: &Scene) -> Result<(), String> {
    let (store, intake) = (&scene.stores[0], &scene.story.intakes[0]);
    let topic = &intake.state.as_ref().expect("the story's consumers have tables").topic;
    let keys = of_one_bucket(4);
    scene.world.fired(Fault::WrongSums);
    store.change_sums(&intake.lane(topic, 0), |sums| {
        for (idx, (key, sequence)) in keys.iter().zip([1, 4, 2, 3]).enumerate() {
            let digest = Digest((idx as u128 + 1) * 0x0123_4567_89ab_cdef);
            for _ in 0..2 {
                if idx < 2 {
                    sums.add(key, Sequence(sequence), digest);
                } else {
                    sums.subtract(key, Sequence(sequence), digest);
                }
            }
        }
    });
    let found = reconciled(scene, 0)?;
    if found.reports.iter().all(|report| report.outcome == Outcome::Clean) && found.plan.is_empty() {
        return Err("the sums are wrong, and reconcile is silent".to_owned());
    }
    let clock = SimClock::new(&scene.world);
    let ports = scene.ports(0, "rest", &clock);
    let mended = alone(repair(ports, intake, scene.state_digest(intake), &found.plan));
    clean(&mended.map_err(|error| error.to_string())?.reports)
}

fn at_source(scene: &Scene) -> Result<SourceCheck, String> {
    let ledger = SimLedger::new(&scene.world);
    let outlet = scene.story.outlets.iter().next().expect("the story has a contract");
    alone(check_source(&scene.source, &ledger, &scene.log, outlet, "pass")).map_err(|error| error.to_string())
}

fn emit(scene: &Scene, keys: &[RecordKey]) -> Result<(), String> {
    let contract = &scene.story.contract.contract.name.contract;
    alone(scene.source.emit(contract, keys)).map_err(|error| error.to_string())?;
    drain(scene)
}

fn source_is_clean(scene: &Scene) -> Result<(), String> {
    let check = at_source(scene)?;
    clean(&check.reports)?;
    if check.missing == 0 { Ok(()) } else { Err(format!("{} rows are missing", check.missing)) }
}

/// Changes rows of the source without publishing, and loses a row of the outbox: exactly that is found, and mended.
pub fn silence_is_found(scene: &Scene) -> Result<(), String> {
    if scene.world.all_fired().0.contains_key(&Fault::OldRecord) {
        // An old record in the last place is a broken promise by itself; telling the state again mends it.
        emit(scene, &scene.oracle.history().into_keys().collect::<Vec<_>>())?;
    }
    source_is_clean(scene)?;
    let answers = keep_silent(scene)?;
    let check = at_source(scene)?;
    for report in &check.reports {
        let named = report
            .drifts
            .iter()
            .filter_map(|drift| Some((drift.key.clone().ok()?, (drift.link, drift.kind))));
        let named: Answers = named.collect();
        if named != answers {
            return Err(format!("the source check names {named:?}, and it was {answers:?}"));
        }
    }
    let contract = &scene.story.contract.contract.name.contract;
    let lost = u64::try_from(check.missing).map_err(|_| "more rows left than were written".to_owned())?;
    alone(scene.source.explain_lost(contract, lost)).map_err(|error| error.to_string())?;
    emit(scene, &answers.into_keys().collect::<Vec<_>>())?;
    source_is_clean(scene)?;
    for (consumer, store) in scene.stores.iter().enumerate() {
        scene.oracle.has_converged(store, &scene.story, consumer)?;
    }
    Ok(())
}

fn keep_silent(scene: &Scene) -> Result<Answers, String> {
    let mut answers = Answers::new();
    for (key, policy) in scene.oracle.policies() {
        match scene.world.dice(|dice| dice.below(5)) {
            0 => {
                scene.world.fired(Fault::Silent);
                let policy = Policy { premium: policy.premium + 1, ..policy };
                scene.source.set_row(&key, Some(policy.to_json(&key)));
                scene.oracle.correct(&key, Some(policy));
                answers.insert(key, (Link::Source, DriftKind::Corrupt));
            }
            1 => {
                scene.world.fired(Fault::Silent);
                scene.source.set_row(&key, None);
                scene.oracle.correct(&key, None);
                answers.insert(key, (Link::Source, DriftKind::Phantom));
            }
            2 => {
                scene.world.fired(Fault::LostRow);
                let sequence = raise_premium(scene, &key, policy);
                scene.source.lose(sequence).ok_or("the row is not there")?;
                answers.insert(key, (Link::Source, DriftKind::Stale));
            }
            _ => {}
        }
    }
    Ok(answers)
}

fn raise_premium(scene: &Scene, key: &RecordKey, policy: Policy) -> Sequence {
    let mut transaction = scene.source.begin();
    assert!(transaction.try_lock(key), "nobody else writes any more");
    let policy = Some(Policy { premium: policy.premium + 1, ..policy });
    let told = act(&mut transaction, key, Turn { event: "PremiumSet".to_owned(), policy, early: false });
    let sequence = told.sequence;
    commit(scene, transaction, vec![(key.clone(), told)]);
    sequence
}

/// Restores the source to an earlier state: its relay must stop. Makes a topic anew: its projector must stop.
pub fn broken_histories_stop(scene: &Scene) -> Result<(), String> {
    let clock = SimClock::new(&scene.world);
    let Some((key, policy)) = scene.oracle.policies().pop_first() else { return Ok(()) };
    scene.source.back_up();
    raise_premium(scene, &key, policy);
    drain(scene)?;
    if !scene.source.restore() {
        return Err("nothing happened since the backup".to_owned());
    }
    scene.world.fired(Fault::Rewind);
    let taken = alone(Relay::take_over(scene.relay_ports("rest", &clock), &scene.story.outlets));
    if !matches!(taken, Ok(TakeOver::Rewound(_))) {
        return Err(format!("the source was restored, and its relay goes on: {taken:?}"));
    }
    let intake = &scene.story.intakes[0];
    scene.world.fired(Fault::TopicAnew);
    let outlet = scene.story.outlets.iter().next().expect("the story has a contract");
    let state = &intake.state.as_ref().expect("the story's consumers have tables").topic;
    let channel = outlet.channels.iter().find(|channel| channel.topic == *state).expect("it has its channel");
    scene.log.delete(state);
    alone(scene.log.create(&channel.spec)).map_err(|error| error.to_string())?;
    let ports = scene.ports(0, "rest", &clock);
    let taken = alone(Projector::take(ports, intake, 0, scene.state_digest(intake), true));
    match taken {
        Ok(Take::Stopped(case)) if case.kind == CaseKind::Topic => Ok(()),
        other => Err(format!("the topic is another, and its projector goes on: {other:?}")),
    }
}

fn of_one_bucket(count: usize) -> Vec<RecordKey> {
    let keys = (0..).map(|number| RecordKey::from_texts(&[format!("S-{number}")]));
    keys.filter(|key| key.bucket() == 0).take(count).collect()
}

fn columns(state: &seamline_flow::intake::StateLane) -> usize {
    state.projection.columns.len()
}

fn edited(mut row: StoredRow) -> StoredRow {
    let Value::Integer(premium) = row.values[2] else { return row };
    row.values[2] = Value::Integer(premium + 1);
    row
}
