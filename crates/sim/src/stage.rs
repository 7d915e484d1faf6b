//! The executor: actors are futures, one of them runs at a time, and the dice choose which, until when, and who dies.

use crate::fault::Fault;
use crate::world::{SimClock, TTL, World};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

type Act<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// An actor: what it does, again from the beginning whenever it was killed.
struct Actor<'a> {
    name: String,
    make: Box<dyn Fn() -> Act<'a> + 'a>,
    act: Option<Act<'a>>,
    clock: Option<&'a SimClock>,
    /// It ends by itself; the run goes on until all of these have.
    ends: bool,
    /// It stays dead once it was killed.
    mortal: bool,
    sleeps: u64,
}

/// All actors of a run.
pub struct Stage<'a> {
    world: &'a World,
    actors: Vec<Actor<'a>>,
}

/// How an actor lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// It ends by itself, and dies for good when it is killed.
    Task,
    /// It goes on for ever, and is started again when it was killed.
    Service,
}

impl<'a> Stage<'a> {
    /// Returns an empty stage.
    pub fn new(world: &'a World) -> Stage<'a> {
        Stage { world, actors: Vec::new() }
    }

    /// Adds an actor. `clock` is the one that jumps with it.
    pub fn add<F: Future<Output = ()> + 'a>(
        &mut self,
        name: impl Into<String>,
        life: Life,
        clock: Option<&'a SimClock>,
        make: impl Fn() -> F + 'a,
    ) {
        self.actors.push(Actor {
            name: name.into(),
            make: Box::new(move || Box::pin(make())),
            act: None,
            clock,
            ends: life == Life::Task,
            mortal: life == Life::Task,
            sleeps: 0,
        });
        let actor = self.actors.last_mut().expect("it was pushed");
        actor.act = Some((actor.make)());
    }

    /// Runs until all tasks have ended, or `steps_max` steps were taken. Returns how many were.
    pub fn run(&mut self, steps_max: u64) -> u64 {
        for step in 0..steps_max {
            if !self.actors.iter().any(|actor| actor.ends && actor.act.is_some()) {
                return step;
            }
            self.step();
        }
        steps_max
    }

    fn step(&mut self) {
        let awake: Vec<usize> =
            (0..self.actors.len()).filter(|&idx| self.actors[idx].act.is_some()).collect();
        let (idx, seconds) = self.world.dice(|dice| (*dice.pick(&awake), dice.below(45)));
        self.world.pass(u64::try_from(seconds).expect("a short time"));
        let actor = &mut self.actors[idx];
        if actor.sleeps > 0 {
            actor.sleeps -= 1;
            return;
        }
        if self.world.dice(|dice| dice.chance(6)) {
            self.trouble(idx);
            return;
        }
        let act = actor.act.as_mut().expect("it is awake");
        self.world.tell(|| format!("> {}", actor.name));
        if act.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
            actor.act = None;
        }
    }

    fn trouble(&mut self, idx: usize) {
        let actor = &mut self.actors[idx];
        self.world.tell(|| format!("! {}", actor.name));
        match self.world.dice(|dice| dice.below(4)) {
            0 => {
                self.world.fired(Fault::Pause);
                actor.sleeps = 20;
                self.world.pass(TTL.as_secs() + 60);
            }
            1 => {
                let Some(clock) = actor.clock else { return };
                self.world.fired(Fault::Skew);
                let seconds = self.world.dice(|dice| dice.below(4800));
                clock.set_skew(i64::try_from(seconds).expect("a short time") - 2400);
            }
            _ => {
                self.world.fired(Fault::Crash);
                actor.act = None;
                if !actor.mortal {
                    actor.act = Some((actor.make)());
                }
            }
        }
    }
}

/// Runs one future to its end, with nobody beside it.
///
/// # Panics
/// When it does not end.
pub fn alone<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..10_000_000_u64 {
        if let Poll::Ready(answer) = future.as_mut().poll(&mut context) {
            return answer;
        }
    }
    panic!("it does not end");
}
