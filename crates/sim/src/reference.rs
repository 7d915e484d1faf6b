//! Sets of reference data under faults: senders and takers that die between any two steps, a source that changes, a topic that
//! is compacted.

use crate::fault::Fired;
use crate::log::SimLog;
use crate::source::SimSource;
use crate::stage::{Life, Stage, alone};
use crate::store::SimStore;
use crate::world::{SimClock, TTL, World};
use seamline_contract::channel::DEFAULT_TOPICS;
use seamline_contract::path::DocumentId;
use seamline_contract::resolve::resolve;
use seamline_contract::value::Value;
use seamline_flow::hold::{Ports, Step};
use seamline_flow::intake::Intake;
use seamline_flow::log::Log;
use seamline_flow::reference::Outflow;
use seamline_flow::reference::send::{self, Sender};
use seamline_flow::reference::take::Taker;
use seamline_flow::store::Store;
use seamline_lang::estate::read_estate;
use seamline_message::key::RecordKey;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const CONTRACT: &str = "apiVersion: seamline/v1
kind: Contract
context: bank
version: 1.0.0
status: active
meaning: What a currency is worth.
key: currency
attributes:
  currency: { type: string, meaning: The currency. }
  turn: { type: integer, meaning: How often all rates were set anew. }
reference: {}
guarantees: { reference: { freshness: 1h, sets: 2 } }
";

const SUBSCRIPTION: &str = "apiVersion: seamline/v1
kind: Subscription
context: shop
contract: bank/rate@1
purpose: pricing
into:
  system: shop-db
  table: rate
  columns: { currency: currency, turn: turn }
";

/// How many rows the largest set has.
const ROWS_MAX: usize = 12;

/// How many records are appended at once: fewer than a set has.
const CHUNK: usize = 4;

/// How many steps a run may take.
const STEPS_MAX: u64 = 200_000;

/// The rows of a source as one transaction left them: how many there are, all of one turn.
type Turns = RefCell<Vec<usize>>;

struct Scene {
    world: Arc<World>,
    source: SimSource,
    log: SimLog,
    producer: SimStore,
    consumer: SimStore,
    outflow: Outflow,
    intake: Intake,
    turns: Turns,
}

/// Runs a seed. Returns what fired.
///
/// # Errors
/// What was broken.
pub fn run(seed: u64) -> Result<Fired, String> {
    let world = World::new(seed);
    let scene = scene(&world)?;
    world.set_calm(false);
    let clocks: Vec<SimClock> = (0..4).map(|_| SimClock::new(&world)).collect();
    let broken = RefCell::new(None);
    let mut stage = Stage::new(&world);
    stage.add("service", Life::Task, None, || service(&scene));
    for (holder, clock) in ["sender a", "sender b"].into_iter().zip(&clocks[..2]) {
        let scene = &scene;
        stage.add(holder, Life::Service, Some(clock), move || sender(scene, holder, clock));
    }
    for (holder, clock) in ["taker a", "taker b"].into_iter().zip(&clocks[2..]) {
        let scene = &scene;
        stage.add(holder, Life::Service, Some(clock), move || taker(scene, holder, clock));
    }
    stage.add("nature", Life::Service, None, || nature(&scene));
    stage.add("reader", Life::Service, None, || reader(&scene, &broken));
    stage.run(STEPS_MAX);
    drop(stage);
    world.set_calm(true);
    world.pass(3 * TTL.as_secs());
    drain(&scene)?;
    if let Some(broken) = broken.take() {
        return Err(broken);
    }
    let (turn, rows) = table(&scene)?.ok_or("the table is empty")?;
    let newest = scene.turns.borrow().len() - 1;
    if turn != newest || rows != scene.turns.borrow()[newest] {
        return Err(format!("the table has turn {turn}, and the newest is {newest}"));
    }
    topic_is_small(&scene)?;
    Ok(world.all_fired())
}

fn scene(world: &Arc<World>) -> Result<Scene, String> {
    world.set_calm(true);
    let files = [("rate.contract.yaml", CONTRACT), ("rates.subscription.yaml", SUBSCRIPTION)];
    let files = files.map(|(name, text)| (DocumentId(name.to_owned()), text.to_owned()));
    let reading = read_estate(&BTreeMap::from(files), DocumentId("seamline.yaml".to_owned()));
    let reference = "bank/rate@1".parse().expect("it is a reference");
    let contract = resolve(&reading.estate, &reference).map_err(|reasons| format!("{reasons:?}"))?;
    let outflow = Outflow::compile(&contract, DEFAULT_TOPICS).map_err(|error| error.to_string())?;
    let outflow = outflow.ok_or("the contract has reference data")?;
    let intake = Intake::compile(&reading.estate.subscriptions[0], &contract, DEFAULT_TOPICS);
    let log = SimLog::new(world);
    alone(log.create(&outflow.topic)).map_err(|error| error.to_string())?;
    let (producer, consumer) = (SimStore::new(world), SimStore::new(world));
    Ok(Scene {
        world: Arc::clone(world),
        source: SimSource::new(world, &contract),
        log,
        producer,
        consumer,
        outflow,
        intake: intake.map_err(|error| error.to_string())?,
        turns: Turns::default(),
    })
}

fn ports<'a>(
    scene: &'a Scene,
    store: &'a SimStore,
    holder: &'a str,
    clock: &'a SimClock,
) -> Ports<'a, SimStore, SimLog, SimClock> {
    Ports { store, log: &scene.log, clock, holder, ttl: TTL }
}

/// Sets all rates anew, again and again, each time in one transaction with a set asked for.
async fn service(scene: &Scene) {
    for _ in 0..14 {
        let rows = scene.world.dice(|dice| dice.below(ROWS_MAX + 1));
        let turn = scene.turns.borrow().len();
        for number in 0..ROWS_MAX {
            let row = (number < rows).then(|| format!("{{\"currency\":\"C{number}\",\"turn\":{turn}}}"));
            let key = RecordKey::from_texts(&[format!("C{number}")]);
            scene.source.set_row(&key, row.map(String::into_bytes));
        }
        // None is no set that can be told from the one before it.
        scene.turns.borrow_mut().push(rows);
        scene.producer.ask(&scene.outflow.contract.name.contract);
        for _ in 0..scene.world.dice(|dice| dice.below(400)) {
            scene.world.step().await;
        }
    }
}

async fn sender(scene: &Scene, holder: &str, clock: &SimClock) {
    let ports = ports(scene, &scene.producer, holder, clock);
    let mut sender = Sender::new(&scene.source, ports, &scene.outflow, CHUNK);
    loop {
        scene.world.step().await;
        let step = sender.step().await;
        scene.world.tell(|| format!("{holder} {step:?}"));
    }
}

async fn taker(scene: &Scene, holder: &str, clock: &SimClock) {
    let ports = ports(scene, &scene.consumer, holder, clock);
    let mut taker = Taker::new(ports, &scene.intake).expect("the subscription takes sets");
    loop {
        scene.world.step().await;
        let step = taker.step().await;
        scene.world.tell(|| format!("{holder} {step:?}"));
    }
}

async fn nature(scene: &Scene) {
    loop {
        scene.world.step().await;
        if scene.world.dice(|dice| dice.chance(20)) {
            scene.log.compact(&scene.outflow.topic.name);
        }
    }
}

/// Reads the table as a service does, and remembers the first time that it was not one whole set, or an older one than before.
async fn reader(scene: &Scene, broken: &RefCell<Option<String>>) {
    let mut last = 0;
    loop {
        scene.world.step().await;
        let read = match table(scene) {
            Ok(Some((turn, _))) if turn < last => Err(format!("turn {turn} came after turn {last}")),
            Ok(Some((turn, _))) => {
                last = turn;
                Ok(())
            }
            Ok(None) => Ok(()),
            Err(why) => Err(why),
        };
        if let Err(why) = read {
            broken.borrow_mut().get_or_insert(why);
        }
    }
}

/// Returns of which turn the table is and how many rows it has; none where it has none.
fn table(scene: &Scene) -> Result<Option<(usize, usize)>, String> {
    let rows = scene.consumer.table(&scene.intake.subscription);
    let turn = |values: &[Value]| match values[1] {
        Value::Integer(turn) => usize::try_from(turn).expect("turns count up"),
        _ => panic!("turns are integers"),
    };
    let turns: BTreeSet<usize> = rows.values().map(|row| turn(&row.values)).collect();
    match turns.into_iter().collect::<Vec<_>>()[..] {
        [] => Ok(None),
        [turn] if scene.turns.borrow()[turn] == rows.len() => Ok(Some((turn, rows.len()))),
        [turn] => Err(format!("{} rows of turn {turn}, which has others", rows.len())),
        ref turns => Err(format!("rows of turns {turns:?} beside each other")),
    }
}

/// Lets one sender and one taker go on without faults until nothing moves, after a last set that is not empty.
fn drain(scene: &Scene) -> Result<(), String> {
    let clock = SimClock::new(&scene.world);
    let mut sender = Sender::new(
        &scene.source,
        ports(scene, &scene.producer, "last sender", &clock),
        &scene.outflow,
        CHUNK,
    );
    let mut taker = Taker::new(ports(scene, &scene.consumer, "last taker", &clock), &scene.intake)
        .expect("it takes sets");
    let turn = scene.turns.borrow().len();
    scene.source.set_row(
        &RecordKey::from_texts(&["C0".to_owned()]),
        Some(format!("{{\"currency\":\"C0\",\"turn\":{turn}}}").into_bytes()),
    );
    for number in 1..ROWS_MAX {
        scene.source.set_row(&RecordKey::from_texts(&[format!("C{number}")]), None);
    }
    scene.turns.borrow_mut().push(1);
    scene.producer.ask(&scene.outflow.contract.name.contract);
    for _ in 0..100 {
        let sent = alone(sender.step()).map_err(|error| error.to_string())?;
        let taken = alone(taker.step()).map_err(|error| error.to_string())?;
        if sent == send::Step::Idle && taken == Step::Idle {
            let set =
                alone(scene.consumer.taken(&scene.intake.subscription)).map_err(|error| error.to_string())?;
            return set.map(|_| ()).ok_or("no set was taken".to_owned());
        }
    }
    Err("it does not come to rest".to_owned())
}

/// Compacted, the topic holds no more than the sets that are kept, the one that is written, and their manifests.
fn topic_is_small(scene: &Scene) -> Result<(), String> {
    scene.world.pass(60 * 24 * 3600);
    scene.log.compact(&scene.outflow.topic.name);
    let records: usize = scene.log.records(&scene.outflow.topic.name).iter().map(Vec::len).sum();
    let most = 3 * (ROWS_MAX + 1);
    if records > most { Err(format!("{records} records are left, more than {most}")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::run;

    /// How many seeds are run.
    const SEEDS: u64 = 200;

    #[test]
    fn a_consumer_only_ever_has_whole_sets_and_ends_with_the_newest() {
        for seed in 0..SEEDS {
            run(seed).unwrap_or_else(|what| panic!("seed {seed}: {what}"));
        }
    }

    #[cfg(feature = "mutants")]
    #[test]
    fn a_manifest_that_is_ignored_is_noticed() {
        use seamline_message::mutant::{Mutant, with};
        let caught = with(Some(Mutant::ManifestIgnored), || (0..SEEDS).any(|seed| run(seed).is_err()));
        assert!(caught);
    }
}
