//! Topics made anew with other partitions while everybody is at work: consumers go there, some back again, and an agent with
//! the environment of before is among them.

use crate::actors::{self, Scene};
use crate::log::SimLog;
use crate::run::{ROUNDS_MAX, discard_all, mend_broken_policies, publish, scene, text};
use crate::stage::{Life, Stage, alone};
use crate::store::SimStore;
use crate::story::Options;
use crate::verdict::{clean, kept, reconciled};
use crate::world::{SimClock, TTL, World};
use seamline_contract::channel::DEFAULT_TOPICS;
use seamline_contract::environment::Generations;
use seamline_flow::digest_key;
use seamline_flow::handover::{self, Passing};
use seamline_flow::hold::{DigestEpoch, Hold, Step, Take};
use seamline_flow::intake::Intake;
use seamline_flow::outlet::{Outlet, OutletSet, TopicPlan};
use seamline_flow::port::PortError;
use seamline_flow::projector::Projector;
use seamline_flow::reactor::Reactor;
use seamline_flow::reconcile::repair::repair;
use seamline_flow::relay::{Relay, Step as RelayStep, TakeOver};
use seamline_flow::source::Source;
use seamline_message::key::RecordKey;
use std::sync::Arc;

/// Who moves a lane.
enum Mover<'a> {
    State(Box<Projector<'a, SimStore, SimLog, SimClock>>),
    Events(Box<Reactor<'a, SimStore, SimLog, SimClock>>),
}

/// One lane of one generation.
struct LaneWork<'a> {
    intake: &'a Intake,
    is_state: bool,
    partition: u32,
    mover: Option<Mover<'a>>,
    passing: Passing,
}

/// What a lane came to.
enum Came {
    /// It was left.
    Left,
    /// It must not be taken.
    Shut,
    Stepped(Step),
}

impl<'a> LaneWork<'a> {
    /// Returns the lanes of a subscription: of the generation that is read, and of all others.
    fn all(scene: &'a Scene, consumer: usize) -> Vec<LaneWork<'a>> {
        let intake = &scene.story.intakes[consumer];
        let mut lanes = Vec::new();
        for intake in std::iter::once(intake).chain(&intake.former) {
            for (topic, is_state) in [(events_of(intake), false), (state_of(intake), true)] {
                for partition in (0..).take(scene.log.records(topic).len()) {
                    let passing = Passing::default();
                    lanes.push(LaneWork { intake, is_state, partition, mover: None, passing });
                }
            }
        }
        lanes
    }

    fn is_former(&self) -> bool {
        self.intake.lineage.as_ref().is_some_and(|lineage| lineage.is_former())
    }

    async fn step(
        &mut self,
        (scene, consumer): (&'a Scene, usize),
        (holder, clock): (&'a str, &'a SimClock),
    ) -> Result<Came, PortError> {
        let ports = scene.ports(consumer, holder, clock);
        if self.mover.is_none() {
            let (intake, partition) = (self.intake, self.partition);
            let taken = if self.is_state {
                let digest = scene.state_digest(intake);
                let taken = Projector::take(ports, intake, partition, digest, false).await?;
                taken.map(|projector| Mover::State(Box::new(projector)))
            } else {
                let digest = scene.events_digest(intake);
                let taken = Reactor::take(ports, intake, partition, digest, false).await?;
                taken.map(|reactor| Mover::Events(Box::new(reactor)))
            };
            match taken {
                Take::Held(mover) => self.mover = Some(mover),
                _ => return Ok(Came::Shut),
            }
        }
        let Some(mover) = &mut self.mover else { return Ok(Came::Shut) };
        let step = match mover {
            Mover::State(projector) => projector.step().await?,
            Mover::Events(reactor) => reactor.step().await?,
        };
        if self.is_former()
            && handover::leave(ports, self.intake, hold_of(self.mover.as_mut()), &mut self.passing).await?
        {
            self.mover = None;
            return Ok(Came::Left);
        }
        if !matches!(step, Step::Moved(_) | Step::Idle | Step::Waiting) {
            self.mover = None;
        }
        Ok(Came::Stepped(step))
    }
}

fn hold_of<'m>(mover: Option<&'m mut Mover<'_>>) -> &'m mut Hold {
    match mover.expect("it was stepped") {
        Mover::State(projector) => &mut projector.hold,
        Mover::Events(reactor) => &mut reactor.hold,
    }
}

fn state_of(intake: &Intake) -> &str {
    &intake.state.as_ref().expect("the story's consumers have tables").topic
}

fn events_of(intake: &Intake) -> &str {
    &intake.events.as_ref().expect("the story's consumers react").topic
}

/// Runs the lanes of a consumer for ever, those of all generations.
async fn lanes(scene: &Scene, consumer: usize, holder: &str, clock: &SimClock) {
    let mut lanes = LaneWork::all(scene, consumer);
    loop {
        scene.world.step().await;
        let idx = scene.world.dice(|dice| dice.below(lanes.len()));
        let came = lanes[idx].step((scene, consumer), (holder, clock)).await;
        match came {
            Ok(Came::Left) => scene.world.tell(|| format!("{holder} left {idx}")),
            Ok(Came::Shut) => {}
            Ok(Came::Stepped(step)) => scene.world.tell(|| format!("{holder} {step:?}")),
            Err(error) => {
                scene.world.tell(|| format!("{holder} {error:?}"));
                lanes[idx].mover = None;
            }
        }
    }
}

/// Runs a relay for ever, with the outlets of its environment.
async fn relay(scene: &Scene, outlets: &OutletSet, holder: &str, clock: &SimClock) {
    loop {
        scene.world.step().await;
        let Ok(TakeOver::Held(mut relay)) = Relay::take_over(scene.relay_ports(holder, clock), outlets).await
        else {
            continue;
        };
        while !scene.world.dice(|dice| dice.chance(60)) {
            scene.world.step().await;
            let step = relay.step().await;
            scene.world.tell(|| format!("{holder} {step:?}"));
            if matches!(step, Ok(RelayStep::Rewound(_))) {
                break;
            }
        }
    }
}

/// Lets all act under faults; of the relays one has an environment of before.
fn act(scene: &Scene, before: &OutletSet, options: &Options) -> Result<(), String> {
    let world = &scene.world;
    world.set_calm(false);
    let clocks: Vec<SimClock> = (0..6).map(|_| SimClock::new(world)).collect();
    let mut stage = Stage::new(world);
    for idx in 0..options.writers {
        stage.add(format!("writer {idx}"), Life::Task, None, || actors::writer(scene, options.transactions));
    }
    stage.add("operator", Life::Task, None, || actors::operator(scene, 6));
    stage.add("nature", Life::Task, None, || actors::nature(scene, 8));
    for (at, (holder, outlets)) in
        [("relay new", &scene.story.outlets), ("relay old", before)].into_iter().enumerate()
    {
        let clock = &clocks[at];
        stage.add(holder, Life::Service, Some(clock), move || relay(scene, outlets, holder, clock));
    }
    for consumer in 0..scene.story.intakes.len() {
        for (at, holder) in ["agent a", "agent b"].into_iter().enumerate() {
            let clock = &clocks[2 + 2 * consumer + at];
            let act = move || lanes(scene, consumer, holder, clock);
            stage.add(format!("{holder} {consumer}"), Life::Service, Some(clock), act);
        }
    }
    let steps = stage.run(options.steps_max);
    world.set_calm(true);
    if steps == options.steps_max { Err("it does not end".to_owned()) } else { Ok(()) }
}

/// Puts a scene into another environment, and makes the topics that it names.
fn enter(scene: &mut Scene, read: u32, alive: Vec<(u32, u32)>) -> Result<OutletSet, String> {
    let contract = scene.story.contract.contract.reference();
    let said = Generations { contract, read, alive, ended: Vec::new() };
    let plan =
        TopicPlan { template: DEFAULT_TOPICS, partitions: 1, generations: std::slice::from_ref(&said) };
    let outlet = Outlet::compile_in(&scene.story.contract, plan).map_err(|error| error.to_string())?;
    let (context, system) = (scene.story.outlets.context.clone(), scene.story.outlets.system.clone());
    let outlets = OutletSet::new(context, system, vec![outlet]).map_err(|error| error.to_string())?;
    alone(outlets.create_topics(&scene.log, &*scene.world)).map_err(text)?;
    let before = std::mem::replace(&mut scene.story.outlets, outlets);
    for topic in scene.story.topics() {
        let found = alone(digest_key::current(&scene.log, &topic)).map_err(text)?;
        let (epoch, key) = found.ok_or_else(|| format!("`{topic}` has no digest key"))?;
        scene.digests.insert(topic, DigestEpoch { epoch, key });
    }
    let intakes = std::mem::take(&mut scene.story.intakes);
    let moved = |mut intake: Intake| {
        intake.former.clear();
        intake.in_generations(DEFAULT_TOPICS, &said)
    };
    scene.story.intakes = intakes.into_iter().map(moved).collect();
    Ok(before)
}

/// Brings all to rest, and holds it against the oracle.
fn rest(scene: &Scene) -> Result<(), String> {
    drain(scene, false)?;
    mend_broken_policies(scene);
    drain(scene, false)?;
    let contract = &scene.story.contract.contract.name.contract;
    for _ in 0..ROUNDS_MAX {
        let aside = scene.source.in_quarantine();
        if aside.is_empty() {
            break;
        }
        for (sequence, ..) in aside.iter().filter(|(.., broken)| *broken) {
            alone(scene.source.discard(*sequence)).map_err(text)?;
        }
        for (_, key, _) in &aside {
            alone(scene.source.redrive(contract, key.as_str())).map_err(text)?;
        }
        drain(scene, false)?;
    }
    // The state of all keys is told again, as a backfill does: what the new topics lack, and what was discarded.
    let keys: Vec<RecordKey> = scene.oracle.history().into_keys().collect();
    alone(scene.source.emit(contract, &keys)).map_err(text)?;
    drain(scene, !keys.is_empty())?;
    discard_all(scene)?;
    drain(scene, !keys.is_empty())?;
    kept(scene)?;
    for (consumer, intake) in scene.story.intakes.iter().enumerate() {
        let clock = SimClock::new(&scene.world);
        let ports = scene.ports(consumer, "rest", &clock);
        // What was received from another topic is comparable once it was derived anew.
        let found = reconciled(scene, consumer)?;
        let mended = alone(repair(ports, intake, scene.state_digest(intake), &found.plan)).map_err(text)?;
        clean(&mended.reports)?;
        clean(&reconciled(scene, consumer)?.reports)?;
    }
    kept(scene)
}

/// Publishes all that waits, and lets every consumer read all that it is to read; `moved`: from the generation that is to be read,
/// which holds something by now.
fn drain(scene: &Scene, moved: bool) -> Result<(), String> {
    publish(scene)?;
    for consumer in 0..scene.story.intakes.len() {
        let clock = SimClock::new(&scene.world);
        let mut lanes = LaneWork::all(scene, consumer);
        let mut rounds = 0;
        let mut open = true;
        while std::mem::take(&mut open) {
            rounds += 1;
            if rounds > ROUNDS_MAX {
                return Err(format!("consumer {consumer} does not come to its generation"));
            }
            for lane in &mut lanes {
                scene.world.pass(10);
                let came = alone(lane.step((scene, consumer), ("rest", &clock))).map_err(text)?;
                open |= match came {
                    Came::Left | Came::Stepped(Step::Moved(_) | Step::Waiting) => true,
                    Came::Shut => moved && !lane.is_former(),
                    Came::Stepped(Step::Idle) => false,
                    Came::Stepped(other) => return Err(format!("a lane does not go on: {other:?}")),
                };
            }
            // The last leases run out.
            scene.world.pass(TTL.as_secs() / 100);
        }
    }
    Ok(())
}

fn tell(world: &Arc<World>, options: &Options) -> Result<(), String> {
    let mut scene = scene(world, options)?;
    let first = scene.story.outlets.iter().next().map_or(1, |outlet| outlet.channels[0].spec.partitions);
    let second = 1 + world.dice(|dice| u32::try_from(dice.below(4)).expect("a small number"));
    let before = enter(&mut scene, 1, vec![(1, first)])?;
    act(&scene, &before, options)?;
    // Some consumers have not read all of the first when the second begins.
    if world.dice(|dice| dice.chance(500)) {
        drain(&scene, false)?;
    }
    let before = enter(&mut scene, 2, vec![(1, first), (2, second)])?;
    act(&scene, &before, options)?;
    rest(&scene)?;
    let (read, alive) = match world.dice(|dice| dice.below(3)) {
        0 => (1, vec![(1, first), (2, second)]),
        1 => (2, vec![(2, second)]),
        _ => (3, vec![(2, second), (3, first)]),
    };
    let before = enter(&mut scene, read, alive)?;
    act(&scene, &before, options)?;
    rest(&scene)
}

/// Runs a seed.
///
/// # Errors
/// When a promise was broken.
pub fn run(seed: u64, options: &Options) -> Result<(), String> {
    let world = World::new(seed);
    tell(&world, options).map_err(|what| {
        let lines = world.last_lines(40).join("\n  ");
        format!("seed {seed}: {what}\n  {lines}")
    })
}

#[cfg(test)]
mod tests {
    use super::run;
    use crate::story::Options;

    /// How many seeds are run.
    const SEEDS: u64 = 200;

    fn options() -> Options {
        Options { writers: 2, transactions: 8, ..Options::default() }
    }

    #[test]
    fn nothing_is_lost_repeated_or_disordered_between_generations() {
        for seed in 0..SEEDS {
            run(seed, &options()).unwrap_or_else(|what| panic!("{what}"));
        }
    }

    #[cfg(feature = "mutants")]
    #[test]
    fn a_generation_that_is_left_early_is_noticed() {
        use seamline_message::mutant::{Mutant, with};
        let run = |seed| std::panic::catch_unwind(|| run(seed, &options()));
        let caught = with(Some(Mutant::GenerationLeftEarly), || {
            (0..SEEDS).any(|seed| !matches!(run(seed), Ok(Ok(()))))
        });
        assert!(caught);
    }
}
