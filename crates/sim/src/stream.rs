//! Link 2 without a scan: auditors beside relays, lanes that compare with what these tell, and records that get lost or altered on the
//! way to one consumer.

use crate::actors::{Scene, Turn, act, commit};
use crate::fault::Fault;
use crate::oracle::Policy;
use crate::run::{follow, publish};
use crate::stage::alone;
use crate::world::{SimClock, TTL};
use seamline_flow::audit::{AuditPorts, Audited, Auditor};
use seamline_flow::case::{CaseKind, NewCase};
use seamline_flow::drift::DriftKind;
use seamline_flow::hold::Take;
use seamline_flow::projector::Projector;
use seamline_flow::reconcile::{reconcile, repair::repair};
use seamline_flow::stream::board::{Board, Listener};
use seamline_flow::stream::{Compared, Memory, Word};
use seamline_message::key::RecordKey;
use std::collections::BTreeMap;

/// How often an auditor is stepped until it must have read all.
const STEPS_MAX: usize = 400;

/// Runs the auditors of all topics for ever.
///
/// # Panics
/// When one tells of what nobody did.
pub async fn auditor(scene: &Scene, holder: &str, clock: &SimClock) {
    let mut auditors = auditors(scene, holder, clock);
    loop {
        scene.world.step().await;
        let at = scene.world.dice(|dice| dice.below(auditors.len()));
        let step = auditors[at].step().await;
        scene.world.tell(|| format!("{holder} {} {step:?}", auditors[at].topic()));
        if step.is_ok()
            && let Ok(cases) = auditors[at].cases().await
        {
            cases.iter().for_each(|case| is_deserved(scene, case));
        }
    }
}

fn auditors<'a>(
    scene: &'a Scene,
    holder: &'a str,
    clock: &'a SimClock,
) -> Vec<Auditor<'a, crate::source::SimSource, crate::log::SimLog, SimClock>> {
    let ports = AuditPorts { database: &scene.source, log: &scene.log, clock, holder, ttl: TTL };
    let outlets = scene.story.outlets.all();
    let channels = outlets.flat_map(|outlet| outlet.channels.iter().map(move |channel| (outlet, channel)));
    channels.map(|(outlet, channel)| Auditor::new(ports, outlet, channel)).collect()
}

fn is_deserved(scene: &Scene, case: &NewCase) {
    let fired = scene.world.all_fired().0;
    let deserved = match case.kind {
        CaseKind::Quarantine => fired.contains_key(&Fault::Poison),
        CaseKind::Drift | CaseKind::Conflict => fired.contains_key(&Fault::OldRecord),
        _ => false,
    };
    assert!(deserved, "an auditor tells of what nobody did: {case:?}");
}

/// What the lanes of one consumer compare with.
pub struct Watch {
    board: Board,
    listener: Listener,
    memories: BTreeMap<u32, Memory>,
}

impl Watch {
    /// Returns one that has heard nothing.
    pub fn new(topic: &str) -> Watch {
        Watch { board: Board::default(), listener: Listener::new(topic), memories: BTreeMap::new() }
    }

    /// Hears what was told, and compares a lane with it.
    pub async fn compare(
        &mut self,
        scene: &Scene,
        lane: &mut Projector<'_, crate::store::SimStore, crate::log::SimLog, SimClock>,
    ) -> Option<Compared> {
        // What fails is tried again with the next step.
        let _ = self.listener.step(&scene.log, &self.board, scene.world.now()).await;
        lane.hold.grip.as_ref()?;
        let partition = lane.hold.lane.partition;
        let published = self.board.take(partition, lane.hold.offset())?;
        let memory = self.memories.entry(partition).or_default();
        let compared = memory.compare(lane, &published).await.ok().flatten()?;
        scene.world.tell(|| format!("compared {partition} {} {:?}", compared.offset, compared.word));
        Some(compared)
    }
}

/// Checks that nothing was said to have been lost while nothing was.
///
/// # Panics
/// When something was.
pub fn is_silent(compared: &Compared) {
    let loud = match compared.word {
        Word::Drift => true,
        Word::Inconclusive(why) => why.is_a_difference(),
        Word::Clean => false,
    };
    assert!(!loud, "nothing was lost, and a lane says {compared:?}");
}

/// Reads all topics back to their ends, and tells of them.
fn audit(scene: &Scene) -> Result<(), String> {
    // The leases of those that acted run out, and what was told is told again.
    scene.world.pass(3 * TTL.as_secs() + 4800);
    let clock = SimClock::new(&scene.world);
    for mut auditor in auditors(scene, "rest", &clock) {
        let mut idle = 0;
        for _ in 0..STEPS_MAX {
            match alone(auditor.step()).map_err(|error| error.to_string())? {
                Audited::Idle if idle > 1 => break,
                Audited::Idle => {
                    idle += 1;
                    scene.world.pass(1);
                }
                Audited::Moved { .. } => idle = 0,
                other => return Err(format!("an auditor does not go on: {other:?}")),
            }
        }
        scene.world.pass(30);
        alone(auditor.step()).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// Compares all lanes of a consumer with what is told of their ends. Returns what each says.
pub fn compared(scene: &Scene, consumer: usize) -> Result<Vec<Compared>, String> {
    let clock = SimClock::new(&scene.world);
    let intake = &scene.story.intakes[consumer];
    let state = intake.state.as_ref().expect("the story's consumers have tables");
    let mut watch = Watch::new(&state.topic);
    // A listener begins with what comes from now on.
    alone(watch.listener.step(&scene.log, &watch.board, scene.world.now()))
        .map_err(|error| error.to_string())?;
    audit(scene)?;
    let mut all = Vec::new();
    for partition in
        0..scene.story.outlets.iter().next().map_or(1, |outlet| outlet.channels[0].spec.partitions)
    {
        let ports = scene.ports(consumer, "rest", &clock);
        let taken = alone(Projector::take(ports, intake, partition, scene.state_digest(intake), true));
        let Take::Held(mut lane) = taken.map_err(|error| error.to_string())? else {
            return Err("a lane cannot be had".to_owned());
        };
        alone(lane.step()).map_err(|error| error.to_string())?;
        let compared = alone(watch.compare(scene, &mut lane));
        all.push(compared.ok_or_else(|| format!("nobody told of the end of partition {partition}"))?);
    }
    Ok(all)
}

/// Checks that all lanes of all consumers compare, and are equal.
pub fn all_is_received(scene: &Scene) -> Result<(), String> {
    for consumer in 0..scene.stores.len() {
        let compared = compared(scene, consumer)?;
        if let Some(other) = compared.iter().find(|it| it.word != Word::Clean) {
            return Err(format!("all was received, and a lane of {consumer} says {other:?}"));
        }
    }
    Ok(())
}

/// Loses and alters records on their way to one consumer: exactly these are named, without a scan, and mended by the repair of a scan.
pub fn losses_are_named(scene: &Scene) -> Result<(), String> {
    let intake = &scene.story.intakes[0];
    let topic = &intake.state.as_ref().expect("the story's consumers have tables").topic;
    let mut answers: BTreeMap<RecordKey, DriftKind> = BTreeMap::new();
    for (key, policy) in scene.oracle.policies() {
        let alters = match scene.world.dice(|dice| dice.below(4)) {
            0 => false,
            1 => true,
            _ => continue,
        };
        let ends = scene.world.dice(|dice| dice.chance(300)) && scene.story.machine.may_end(policy.status);
        publish_one(scene, &key, policy, ends && !alters)?;
        if !scene.log.tamper(topic, &key, alters) {
            continue;
        }
        scene.world.fired(if alters { Fault::Altered } else { Fault::Lost });
        let kind = if alters {
            DriftKind::Corrupt
        } else if ends {
            DriftKind::Phantom
        } else {
            DriftKind::Stale
        };
        answers.insert(key, kind);
    }
    follow(scene, 0)?;
    scene.log.honest();
    (1..scene.stores.len()).try_for_each(|consumer| follow(scene, consumer))?;
    let mut named = BTreeMap::new();
    for compared in compared(scene, 0)? {
        for drift in compared.drifts {
            named.insert(drift.key.map_err(|text| format!("no key: {text}"))?, drift.kind);
        }
    }
    if named != answers {
        return Err(format!("link 2 names {named:?}, and there was {answers:?}"));
    }
    mend(scene)?;
    all_is_received(scene)
}

fn mend(scene: &Scene) -> Result<(), String> {
    let clock = SimClock::new(&scene.world);
    let intake = &scene.story.intakes[0];
    let (ports, digest) = (scene.ports(0, "rest", &clock), scene.state_digest(intake));
    let found = alone(reconcile(ports, intake, digest)).map_err(|error| error.to_string())?;
    alone(repair(ports, intake, digest, &found.plan)).map_err(|error| error.to_string())?;
    // What was altered beyond reading waits in quarantine, overtaken by what the repair wrote.
    Ok(())
}

/// Changes a policy, or ends it, and publishes that.
fn publish_one(scene: &Scene, key: &RecordKey, policy: Policy, ends: bool) -> Result<(), String> {
    let mut transaction = scene.source.begin();
    assert!(transaction.try_lock(key), "nobody else writes any more");
    let turn = if ends {
        Turn { event: "Withdrawn".to_owned(), policy: None, early: false }
    } else {
        let policy = Some(Policy { premium: policy.premium + 1, ..policy });
        Turn { event: "PremiumSet".to_owned(), policy, early: false }
    };
    let told = act(&mut transaction, key, turn);
    commit(scene, transaction, vec![(key.clone(), told)]);
    publish(scene)
}
