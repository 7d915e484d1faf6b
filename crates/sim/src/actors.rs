//! Who acts in a run: writers of the service, relays, projectors, reactors, an operator, and nature.

use crate::dice::Dice;
use crate::fault::Fault;
use crate::log::SimLog;
use crate::oracle::{Oracle, Policy, Told};
use crate::source::{SimSource, Transaction};
use crate::store::SimStore;
use crate::story::Story;
use crate::stream::{Watch, is_silent};
use crate::world::{SimClock, TTL, World};
use seamline_flow::hold::{DigestEpoch, Ports, Take};
use seamline_flow::intake::Intake;
use seamline_flow::log::Outgoing;
use seamline_flow::projector::Projector;
use seamline_flow::reactor::Reactor;
use seamline_flow::relay::{Relay, RelayPorts, Step as RelayStep, TakeOver};
use seamline_flow::source::Source;
use seamline_message::codec::Change;
use seamline_message::envelope::Header;
use seamline_message::key::RecordKey;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Small, so that a batch is often published while the next is read.
const FIRST_ROWS: usize = 3;

/// The things of a run that do not move.
#[derive(Debug)]
pub struct Scene {
    /// What all share.
    pub world: Arc<World>,
    /// The contract and the plans.
    pub story: Story,
    /// The producer's database.
    pub source: SimSource,
    /// The log.
    pub log: SimLog,
    /// The consumers' databases, by subscription, in the order of the story.
    pub stores: Vec<SimStore>,
    /// What should be.
    pub oracle: Oracle,
    /// The digest keys, by topic.
    pub digests: BTreeMap<String, DigestEpoch>,
}

impl Scene {
    /// Returns the ports of a consumer.
    pub fn ports<'a>(
        &'a self,
        consumer: usize,
        holder: &'a str,
        clock: &'a SimClock,
    ) -> Ports<'a, SimStore, SimLog, SimClock> {
        Ports { store: &self.stores[consumer], log: &self.log, clock, holder, ttl: TTL }
    }

    /// Returns the ports of the producer.
    pub fn relay_ports<'a>(
        &'a self,
        holder: &'a str,
        clock: &'a SimClock,
    ) -> RelayPorts<'a, SimSource, SimLog, SimClock> {
        RelayPorts { source: &self.source, log: &self.log, clock, holder, ttl: TTL, first_rows: FIRST_ROWS }
    }

    /// Returns the digest key of a consumer's state topic.
    pub fn state_digest(&self, intake: &Intake) -> DigestEpoch {
        self.digests[&intake.state.as_ref().expect("the story's consumers have tables").topic]
    }

    /// Returns the digest key of a consumer's events topic.
    pub fn events_digest(&self, intake: &Intake) -> DigestEpoch {
        self.digests[&intake.events.as_ref().expect("the story's consumers react").topic]
    }
}

fn change(event: &str) -> Change {
    let event = event.parse().expect("the story's events have names");
    Change { event, effective: None, reason: None, details: None }
}

/// Runs the service's transactions.
pub async fn writer(scene: &Scene, transactions: usize) {
    for _ in 0..transactions {
        let mut keys: Vec<RecordKey> = scene.world.dice(|dice| {
            let count = 1 + dice.below(3);
            (0..count).map(|_| dice.pick(&scene.story.keys).clone()).collect()
        });
        keys.sort();
        keys.dedup();
        let mut transaction = scene.source.begin();
        let mut told = Vec::new();
        for key in &keys {
            transaction.lock(key).await;
            scene.world.step().await;
            let changes = 1 + scene.world.dice(|dice| usize::from(dice.chance(200)));
            for _ in 0..changes {
                if let Some(change) = scene.world.dice(|dice| turn(scene, &transaction, key, dice)) {
                    told.push((key.clone(), act(&mut transaction, key, change)));
                }
            }
        }
        scene.world.step().await;
        if scene.world.dice(|dice| dice.chance(100)) {
            drop(transaction);
        } else {
            commit(scene, transaction, told);
        }
        scene.world.step().await;
    }
}

/// Commits a transaction, and tells the oracle in the same moment.
pub fn commit(scene: &Scene, transaction: Transaction<'_>, told: Vec<(RecordKey, Told)>) {
    transaction.commit();
    for (key, told) in told {
        scene.world.tell(|| format!("told {key} {told:?}"));
        if told.policy.as_ref().is_some_and(|policy| policy.premium < 0) {
            scene.world.fired(Fault::Broken);
        }
        scene.oracle.hear(&key, told);
    }
}

/// What a transaction is about to do to a key.
#[derive(Debug, Clone)]
pub struct Turn {
    /// The event.
    pub event: String,
    /// The policy afterwards; none: it ends.
    pub policy: Option<Policy>,
    /// An ended row is deleted before it is published.
    pub early: bool,
}

/// Makes a change, and publishes it.
pub fn act(transaction: &mut Transaction<'_>, key: &RecordKey, turn: Turn) -> Told {
    let Turn { event, policy, early } = turn;
    let state = policy.as_ref().map(|policy| policy.to_json(key));
    if policy.is_some() || early {
        transaction.write(key, state.clone());
    }
    let sequence = transaction.publish(key, Some(change(&event)));
    transaction.write(key, state);
    Told { sequence, event, policy }
}

fn turn(scene: &Scene, transaction: &Transaction<'_>, key: &RecordKey, dice: &mut Dice) -> Option<Turn> {
    let machine = &scene.story.machine;
    let note = ["", "plain", "with \"quotes\" and \\", "\u{e9}\u{1f600}\u{2028}"];
    let note = Some((*dice.pick(&note)).to_owned()).filter(|note| !note.is_empty());
    let premium = i64::try_from(dice.below(1000)).expect("it is small");
    let Some(row) = transaction.read(key) else {
        let status = *dice.pick(&machine.beginnings());
        let policy = Policy { status, premium, note };
        return Some(Turn { event: format!("Became{status}"), policy: Some(policy), early: false });
    };
    let before = Policy::from_json(&row);
    let after = machine.after(before.status);
    let broken = dice.chance(25);
    match dice.below(10) {
        0..5 if !after.is_empty() => {
            let status = *dice.pick(&after);
            let policy = Policy { status, premium: before.premium.max(0), note: before.note };
            Some(Turn { event: format!("Became{status}"), policy: Some(policy), early: false })
        }
        5..7 if machine.may_end(before.status) && before.premium >= 0 => {
            Some(Turn { event: "Withdrawn".to_owned(), policy: None, early: dice.chance(300) })
        }
        _ => {
            let premium = if broken { -1 } else { premium };
            let policy = Policy { premium, note, ..before };
            Some(Turn { event: "PremiumSet".to_owned(), policy: Some(policy), early: false })
        }
    }
}

/// Runs a relay for ever.
pub async fn relay(scene: &Scene, holder: &str, clock: &SimClock) {
    loop {
        scene.world.step().await;
        let ports = scene.relay_ports(holder, clock);
        let Ok(TakeOver::Held(mut relay)) = Relay::take_over(ports, &scene.story.outlets).await else {
            continue;
        };
        while !scene.world.dice(|dice| dice.chance(20)) {
            scene.world.step().await;
            let step = relay.step().await;
            scene.world.tell(|| format!("{holder} {step:?}"));
            if matches!(step, Ok(RelayStep::Rewound(_))) {
                break;
            }
        }
    }
}

/// Runs the projectors of a consumer for ever, one partition after another.
pub async fn projector(scene: &Scene, consumer: usize, holder: &str, clock: &SimClock) {
    let intake = &scene.story.intakes[consumer];
    let partitions = scene.story.outlets.iter().next().map_or(1, |outlet| outlet.channels[0].spec.partitions);
    let mut lanes: Vec<Option<Projector<'_, _, _, _>>> = (0..partitions).map(|_| None).collect();
    let mut watch = Watch::new(&intake.state.as_ref().expect("the story's consumers have tables").topic);
    loop {
        scene.world.step().await;
        let idx = scene.world.dice(|dice| dice.below(lanes.len()));
        let Some(lane) = &mut lanes[idx] else {
            let partition = u32::try_from(idx).expect("there are few");
            let ports = scene.ports(consumer, holder, clock);
            let taken = Projector::take(ports, intake, partition, scene.state_digest(intake), false).await;
            lanes[idx] = if let Ok(Take::Held(lane)) = taken { Some(lane) } else { None };
            continue;
        };
        let step = lane.step().await;
        scene.world.tell(|| format!("{holder} {step:?}"));
        if let Some(compared) = watch.compare(scene, lane).await {
            is_silent(&compared);
        }
    }
}

/// Runs the reactors of a consumer for ever, one partition after another.
pub async fn reactor(scene: &Scene, consumer: usize, holder: &str, clock: &SimClock) {
    let intake = &scene.story.intakes[consumer];
    let partitions = scene.story.outlets.iter().next().map_or(1, |outlet| outlet.channels[0].spec.partitions);
    let mut lanes: Vec<Option<Reactor<'_, _, _, _>>> = (0..partitions).map(|_| None).collect();
    loop {
        scene.world.step().await;
        let idx = scene.world.dice(|dice| dice.below(lanes.len()));
        let Some(lane) = &mut lanes[idx] else {
            let partition = u32::try_from(idx).expect("there are few");
            let ports = scene.ports(consumer, holder, clock);
            let taken = Reactor::take(ports, intake, partition, scene.events_digest(intake), false).await;
            lanes[idx] = if let Ok(Take::Held(lane)) = taken { Some(lane) } else { None };
            continue;
        };
        let step = lane.step().await;
        scene.world.tell(|| format!("{holder} {step:?}"));
    }
}

/// Publishes states again, and re-drives rows in quarantine, which may go back there.
pub async fn operator(scene: &Scene, acts: usize) {
    let contract = &scene.story.contract.contract.name.contract;
    for _ in 0..acts {
        for _ in 0..scene.world.dice(|dice| dice.below(30)) {
            scene.world.step().await;
        }
        let key = scene.world.dice(|dice| dice.pick(&scene.story.keys).clone());
        let known = scene.oracle.history().contains_key(&key);
        if known && scene.world.dice(|dice| dice.chance(500)) {
            // Whatever the answer is, what is there afterwards is looked at in the end.
            let _ = scene.source.emit(contract, &[key]).await;
        } else if let Ok(aside) = scene.source.aside(10).await
            && let Some(row) = aside.first()
        {
            let discard = row.violation.is_some() && scene.world.dice(|dice| dice.chance(500));
            if discard {
                let _ = scene.source.discard(row.sequence).await;
            } else {
                let _ = scene.source.redrive(contract, &row.key).await;
            }
        }
    }
}

/// What happens to the log by itself: time, compaction, records of nobody's.
pub async fn nature(scene: &Scene, acts: usize) {
    let topics = scene.story.topics();
    for _ in 0..acts {
        for _ in 0..scene.world.dice(|dice| dice.below(60)) {
            scene.world.step().await;
        }
        let topic = scene.world.dice(|dice| dice.pick(&topics).clone());
        match scene.world.dice(|dice| dice.below(5)) {
            0 => scene.world.pass(30 * 3600),
            1 => {
                scene.log.compact(&topic);
                scene.log.compact(&scene.story.outlets.batches().name);
            }
            2 => repeat(scene, &topic, true),
            3 => repeat(scene, &topic, false),
            _ => poison(scene, &topic),
        }
    }
}

/// Appends a record again: the last of its key, or an older one.
pub fn repeat(scene: &Scene, topic: &str, last: bool) {
    let partitions = scene.log.records(topic);
    let (partition, draw) = scene.world.dice(|dice| (dice.below(partitions.len()), dice.below(1000)));
    let records = &partitions[partition];
    let is_last = |idx: usize| !records[idx + 1..].iter().any(|later| later.key == records[idx].key);
    let fit: Vec<usize> = (0..records.len()).filter(|&idx| is_last(idx) == last).collect();
    if fit.is_empty() {
        return;
    }
    let record = &records[fit[draw % fit.len()]];
    scene.world.fired(if last { Fault::Repetition } else { Fault::OldRecord });
    let again = Outgoing {
        topic: topic.to_owned(),
        partition: u32::try_from(partition).expect("there are few"),
        key: record.key.clone(),
        headers: record.headers.clone(),
        value: record.value.clone(),
    };
    scene.log.inject(again, !last);
}

fn poison(scene: &Scene, topic: &str) {
    let partitions = scene.log.records(topic).len();
    let (partition, shape) = scene.world.dice(|dice| (dice.below(partitions), dice.below(3)));
    scene.world.fired(Fault::Poison);
    let header = Header { name: "ce_id".to_owned(), value: Some(vec![0xff, 0xfe]) };
    let (key, value) = match shape {
        0 => (None, Some(b"not JSON".to_vec())),
        1 => (Some(b"no key of ours".to_vec()), None),
        _ => (Some(vec![0xff, 0x00]), Some(br#"{"key":{}}"#.to_vec())),
    };
    let partition = u32::try_from(partition).expect("there are few");
    scene.log.inject(
        Outgoing { topic: topic.to_owned(), partition, key, headers: vec![header].into(), value },
        false,
    );
}
