//! The verdict: what must hold when all is at rest, and what must be found when somebody's hand was in it.

use crate::actors::Scene;
use crate::fault::Fault;
use crate::run::service_kept_its_word;
use crate::stage::alone;
use crate::store::StoredRow;
use crate::world::SimClock;
use seamline_contract::value::Value;
use seamline_flow::drift::{Drift, DriftKind, Link, Outcome, Report};
use seamline_flow::reconcile::{Reconciled, reconcile, repair::repair};
use seamline_message::key::RecordKey;
use std::collections::BTreeMap;

/// Checks all that must hold at rest.
pub fn at_rest(scene: &Scene) -> Result<(), String> {
    let Scene { story, source, log, oracle, .. } = scene;
    service_kept_its_word(scene)?;
    oracle.source_is_told(source)?;
    let disordered = scene.world.all_fired().0.contains_key(&Fault::OldRecord);
    oracle.log_is_ordered(log, &story.topics(), !disordered)?;
    oracle.events_are_told(log, story, source)?;
    for (consumer, store) in scene.stores.iter().enumerate() {
        oracle.has_converged(store, story, consumer)?;
        oracle.inbox_is_whole(store, story, consumer, source)?;
        for (lane, state) in store.all_lanes() {
            let at = state.position.as_ref().map(|position| position.offset);
            if !state.accounting.balanced() || at != Some(state.accounting.to) {
                return Err(format!("{lane:?} is not balanced: {:?} at {at:?}", state.accounting));
            }
        }
        silent(scene, consumer)?;
    }
    let counts = source.true_counts();
    if counts.missing() != 0 { Err(format!("the source is not balanced: {counts:?}")) } else { Ok(()) }
}

fn reconciled(scene: &Scene, consumer: usize) -> Result<Reconciled, String> {
    let clock = SimClock::new(&scene.world);
    let intake = &scene.story.intakes[consumer];
    let ports = scene.ports(consumer, "rest", &clock);
    alone(reconcile(ports, intake, scene.state_digest(intake))).map_err(|error| error.to_string())
}

fn clean(reports: &[Report]) -> Result<(), String> {
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

fn columns(state: &seamline_flow::intake::StateLane) -> usize {
    state.projection.columns.len()
}

fn edited(mut row: StoredRow) -> StoredRow {
    let Value::Integer(premium) = row.values[2] else { return row };
    row.values[2] = Value::Integer(premium + 1);
    row
}
