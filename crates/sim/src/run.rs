//! One run: a story is told under faults, comes to rest, and is held against the oracle.

use crate::actors::{self, Scene, Turn};
use crate::fault::Fired;
use crate::log::SimLog;
use crate::oracle::{Oracle, Told, is_a_life};
use crate::source::SimSource;
use crate::stage::{Life, Stage, alone};
use crate::store::SimStore;
use crate::story::{Options, Story};
use crate::stream;
use crate::verdict;
use crate::world::{SimClock, TTL, World};
use seamline_flow::digest_key;
use seamline_flow::hold::{DigestEpoch, Step, Take};
use seamline_flow::port::PortError;
use seamline_flow::projector::Projector;
use seamline_flow::quarantine;
use seamline_flow::reactor::Reactor;
use seamline_flow::relay::{Relay, Step as RelayStep, TakeOver};
use seamline_flow::source::Source;
use seamline_message::key::RecordKey;
use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// What a run came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The hash of all that happened, in order.
    pub trace: u64,
    /// The faults that really fired.
    pub fired: Fired,
    /// How many steps were taken.
    pub steps: u64,
}

/// A promise that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// Which promise, and how.
    pub what: String,
    /// The last lines of the trace.
    pub lines: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}: {}", self.seed, self.what)?;
        writeln!(f, "repeat it alone: SEAMLINE_SIM_SEED={} cargo test -p seamline-sim", self.seed)?;
        for line in &self.lines {
            writeln!(f, "  {line}")?;
        }
        Ok(())
    }
}

/// How many rounds a drain may take.
pub(crate) const ROUNDS_MAX: usize = 200;

/// Runs a seed.
///
/// # Errors
/// When a promise was broken, or the code under test panicked.
pub fn run(seed: u64, options: &Options) -> Result<Outcome, Failure> {
    let world = World::new(seed);
    let failure = |what: String| Failure { seed, what, lines: world.last_lines(40) };
    let told = catch_unwind(AssertUnwindSafe(|| tell(&world, options)));
    let steps = match told {
        Ok(steps) => steps.map_err(failure)?,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            return Err(failure(format!("panic: {}", text.unwrap_or_default())));
        }
    };
    Ok(Outcome { trace: world.trace(), fired: world.all_fired(), steps })
}

/// Makes the scene of a run: topics are made, nothing is told yet.
pub fn scene(world: &Arc<World>, options: &Options) -> Result<Scene, String> {
    world.set_calm(true);
    let story = Story::draw(world, options);
    let source = SimSource::new(world, &story.contract);
    let log = SimLog::new(world);
    alone(story.outlets.create_topics(&log, &**world)).map_err(|error| error.to_string())?;
    let mut digests = BTreeMap::new();
    for topic in story.topics() {
        let found = alone(digest_key::current(&log, &topic)).map_err(|error| error.to_string())?;
        let (epoch, key) = found.ok_or_else(|| format!("`{topic}` has no digest key"))?;
        digests.insert(topic, DigestEpoch { epoch, key });
    }
    let stores = story.intakes.iter().map(|_| SimStore::new(world)).collect();
    Ok(Scene { world: Arc::clone(world), story, source, log, stores, oracle: Oracle::default(), digests })
}

fn tell(world: &Arc<World>, options: &Options) -> Result<u64, String> {
    let scene = scene(world, options)?;
    let mut steps = act(&scene, options)?;
    rest(&scene)?;
    verdict::at_rest(&scene)?;
    old_tombstones_go(&scene);
    steps += act(&scene, options)?;
    rest(&scene)?;
    verdict::at_rest(&scene)?;
    stream::all_is_received(&scene)?;
    verdict::half_a_log_is_no_drift(&scene)?;
    verdict::hands_are_found(&scene)?;
    verdict::wrong_sums_are_found(&scene)?;
    verdict::silence_is_found(&scene)?;
    stream::losses_are_named(&scene)?;
    verdict::broken_histories_stop(&scene)?;
    Ok(steps)
}

/// Lets all actors act, under faults, until the writers are done.
fn act(scene: &Scene, options: &Options) -> Result<u64, String> {
    let world = &scene.world;
    world.set_calm(false);
    let clocks: Vec<SimClock> = (0..14).map(|_| SimClock::new(world)).collect();
    let mut stage = Stage::new(world);
    for idx in 0..options.writers {
        stage.add(format!("writer {idx}"), Life::Task, None, || actors::writer(scene, options.transactions));
    }
    stage.add("operator", Life::Task, None, || actors::operator(scene, 6));
    stage.add("nature", Life::Task, None, || actors::nature(scene, 8));
    let mut clocks = clocks.iter();
    let mut clock = || clocks.next().expect("there are as many clocks as actors");
    for holder in ["relay a", "relay b"] {
        let clock = clock();
        stage.add(holder, Life::Service, Some(clock), move || actors::relay(scene, holder, clock));
    }
    for holder in ["auditor a", "auditor b"] {
        let clock = clock();
        stage.add(holder, Life::Service, Some(clock), move || stream::auditor(scene, holder, clock));
    }
    for consumer in 0..scene.story.intakes.len() {
        for holder in ["agent a", "agent b"] {
            let (ahead, aside) = (clock(), clock());
            let name = |what| format!("{what} {consumer} {holder}");
            let project = move || actors::projector(scene, consumer, holder, ahead);
            stage.add(name("projector"), Life::Service, Some(ahead), project);
            let react = move || actors::reactor(scene, consumer, holder, aside);
            stage.add(name("reactor"), Life::Service, Some(aside), react);
        }
    }
    let steps = stage.run(options.steps_max);
    world.set_calm(true);
    if steps == options.steps_max { Err("it does not end".to_owned()) } else { Ok(steps) }
}

/// Compacts all topics when all consumers have seen them: what may go, goes.
fn old_tombstones_go(scene: &Scene) {
    for days in [2, 15, 15] {
        scene.world.pass(days * 86_400);
        for topic in scene.story.topics() {
            scene.log.compact(&topic);
        }
    }
}

pub(crate) fn text(error: PortError) -> String {
    format!("a port without faults did not answer: {error}")
}

/// Brings all to rest: what is broken is mended by the service or discarded, and all that waits goes through.
fn rest(scene: &Scene) -> Result<(), String> {
    drain(scene)?;
    mend_broken_policies(scene);
    let contract = &scene.story.contract.contract.name.contract;
    for _ in 0..ROUNDS_MAX {
        drain(scene)?;
        let aside = scene.source.in_quarantine();
        if aside.is_empty() {
            tell_again(scene)?;
            return discard_poison(scene);
        }
        for (sequence, ..) in aside.iter().filter(|(.., broken)| *broken) {
            alone(scene.source.discard(*sequence)).map_err(text)?;
        }
        for (_, key, _) in &aside {
            alone(scene.source.redrive(contract, key.as_str())).map_err(text)?;
        }
    }
    Err("rows stay in quarantine".to_owned())
}

/// What was discarded may have been the last word of its key: the state of such keys is told once more.
fn tell_again(scene: &Scene) -> Result<(), String> {
    let discarded = scene.source.explained();
    let hit = |told: &[Told]| told.iter().any(|told| discarded.contains(&told.sequence));
    let history = scene.oracle.history();
    let keys: Vec<RecordKey> =
        history.into_iter().filter(|(_, told)| hit(told)).map(|(key, _)| key).collect();
    let contract = &scene.story.contract.contract.name.contract;
    alone(scene.source.emit(contract, &keys)).map_err(text)?;
    drain(scene)
}

pub(crate) fn mend_broken_policies(scene: &Scene) {
    for (key, policy) in scene.oracle.policies().into_iter().filter(|(_, policy)| policy.premium < 0) {
        let mut transaction = scene.source.begin();
        assert!(transaction.try_lock(&key), "nobody else writes any more");
        let policy = Some(crate::oracle::Policy { premium: 7, ..policy });
        let turn = Turn { event: "PremiumSet".to_owned(), policy, early: false };
        let told = actors::act(&mut transaction, &key, turn);
        actors::commit(scene, transaction, vec![(key, told)]);
    }
}

fn discard_poison(scene: &Scene) -> Result<(), String> {
    discard_all(scene)?;
    drain(scene)
}

/// Discards all that waits at consumers.
pub(crate) fn discard_all(scene: &Scene) -> Result<(), String> {
    let clock = SimClock::new(&scene.world);
    for (consumer, intake) in scene.story.intakes.iter().enumerate() {
        let ports = scene.ports(consumer, "rest", &clock);
        for record in scene.stores[consumer].in_quarantine() {
            let topic = &record.lane.topic;
            let digest = scene.digests[topic];
            alone(quarantine::discard(ports, intake, digest, &record.lane, record.offset)).map_err(text)?;
        }
    }
    Ok(())
}

/// Publishes all that waits, and applies all that was published.
pub fn drain(scene: &Scene) -> Result<(), String> {
    publish(scene)?;
    (0..scene.story.intakes.len()).try_for_each(|consumer| follow(scene, consumer))
}

/// Publishes all that waits.
pub fn publish(scene: &Scene) -> Result<(), String> {
    // Leases of those that acted run out.
    scene.world.pass(3 * TTL.as_secs() + 4800);
    let clock = SimClock::new(&scene.world);
    let ports = scene.relay_ports("rest", &clock);
    let taken = alone(Relay::take_over(ports, &scene.story.outlets)).map_err(text)?;
    let TakeOver::Held(mut relay) = taken else { return Err(format!("the outbox cannot be had: {taken:?}")) };
    for _ in 0..ROUNDS_MAX {
        match alone(relay.step()).map_err(text)? {
            RelayStep::Stepped(stepped) if stepped.published + stepped.aside + stepped.deferred == 0 => break,
            RelayStep::Stepped(_) => {}
            other => return Err(format!("the relay does not go on: {other:?}")),
        }
    }
    if !scene.source.outbox().is_empty() {
        return Err(format!("rows stay in the outbox: {:?}", scene.source.outbox()));
    }
    Ok(())
}

/// Brings a consumer to the ends of its topics.
pub fn follow(scene: &Scene, consumer: usize) -> Result<(), String> {
    let clock = SimClock::new(&scene.world);
    let intake = &scene.story.intakes[consumer];
    let partitions = scene.story.outlets.iter().next().map_or(1, |outlet| outlet.channels[0].spec.partitions);
    for partition in 0..partitions {
        let ports = scene.ports(consumer, "rest", &clock);
        let digest = scene.state_digest(intake);
        let taken = alone(Projector::take(ports, intake, partition, digest, true)).map_err(text)?;
        let Take::Held(mut lane) = taken else { return Err(format!("a lane cannot be had: {taken:?}")) };
        to_rest(|| alone(lane.step()))?;
    }
    for partition in 0..partitions {
        let ports = scene.ports(consumer, "rest", &clock);
        let digest = scene.events_digest(intake);
        let taken = alone(Reactor::take(ports, intake, partition, digest, true)).map_err(text)?;
        let Take::Held(mut lane) = taken else { return Err(format!("a lane cannot be had: {taken:?}")) };
        to_rest(|| {
            scene.world.pass(10);
            alone(lane.step())
        })?;
    }
    Ok(())
}

fn to_rest(mut step: impl FnMut() -> Result<Step, PortError>) -> Result<(), String> {
    for _ in 0..ROUNDS_MAX {
        match step().map_err(text)? {
            Step::Idle => return Ok(()),
            Step::Moved(_) | Step::Waiting => {}
            other => return Err(format!("a lane does not go on: {other:?}")),
        }
    }
    Err("a lane does not come to its end".to_owned())
}

/// Checks that the service itself kept to its machine: else the story is wrong, not what is told.
pub fn service_kept_its_word(scene: &Scene) -> Result<(), String> {
    let lives = scene.oracle.history();
    let wrong = lives.iter().find(|(_, told)| !is_a_life(&scene.story.machine, told));
    wrong.map_or(Ok(()), |(key, told)| Err(format!("{key} lives no life: {told:?}")))
}
