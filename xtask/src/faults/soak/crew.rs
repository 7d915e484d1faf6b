//! The agents of all contexts, one or more each: they die, stand still and wake, come and go.

use crate::faults::process::Running;
use crate::faults::soak::dice::Dice;
use crate::faults::soak::tally::Tally;
use crate::faults::stage::{CONTEXTS, Stage};
use anyhow::Result;
use std::time::{Duration, Instant};

/// How many agents a context has at most at once.
const REPLICAS: usize = 2;

/// How long one that was told to end may take.
const LEAVES: Duration = Duration::from_secs(90);

/// With which code an agent ends that finds no server as it starts, and how long after its start that may be.
const UNAVAILABLE: i32 = 4;
const STARTS: Duration = Duration::from_secs(60);
const NOT_STARTED: &str = "agent found no server as it started, and was started again";

/// The points at which an agent can be told to die or to stand still, by what its context does.
const PRODUCES: [&str; 4] = ["read", "produced", "committed", "removed"];
const CONSUMES: [&str; 3] = ["polled", "applied", "stored"];
const REACTS: [&str; 4] = ["polled", "applied", "stored", "reacting"];

/// What an agent is about to do.
enum Fate {
    Works,
    /// It will send itself a signal at a point.
    Dies(&'static str),
    Stops(&'static str),
    /// It stands still until then.
    Sleeps(Instant),
    /// It was told to end.
    Leaves(Instant),
}

struct Member {
    context: &'static str,
    born: Instant,
    running: Running,
    fate: Fate,
}

/// All agents.
pub(crate) struct Crew {
    members: Vec<Member>,
}

impl Crew {
    /// Starts one agent for each context.
    pub(crate) fn start(stage: &Stage<'_>) -> Result<Crew> {
        let mut crew = Crew { members: Vec::new() };
        for context in CONTEXTS {
            crew.add(stage, context)?;
        }
        Ok(crew)
    }

    fn add(&mut self, stage: &Stage<'_>, context: &'static str) -> Result<()> {
        let running = stage.agent(context, None)?;
        self.members.push(Member { context, born: Instant::now(), running, fate: Fate::Works });
        Ok(())
    }

    fn count(&self, context: &str) -> usize {
        let works = |member: &&Member| member.context == context && !matches!(member.fate, Fate::Leaves(_));
        self.members.iter().filter(works).count()
    }

    /// Returns an agent that does nothing special, by its index.
    fn any(&self, dice: &mut Dice) -> Option<usize> {
        let free: Vec<usize> =
            (0..self.members.len()).filter(|idx| matches!(self.members[*idx].fate, Fate::Works)).collect();
        (!free.is_empty()).then(|| dice.one(&free))
    }

    /// Kills an agent at whatever it does now; another takes its place.
    pub(crate) fn kill(&mut self, stage: &Stage<'_>, dice: &mut Dice, tally: &mut Tally) -> Result<()> {
        let Some(idx) = self.any(dice) else { return Ok(()) };
        let member = self.members.swap_remove(idx);
        member.running.kill();
        tally.fired("SIGKILL at any instant");
        self.add(stage, member.context)
    }

    /// Lets an agent of a context, in place of one that goes, die or stand still at a point that it will reach.
    pub(crate) fn arm(&mut self, stage: &Stage<'_>, dice: &mut Dice, dies: bool) -> Result<()> {
        let Some(idx) = self.any(dice) else { return Ok(()) };
        let context = self.members[idx].context;
        let points: &[&str] = match context {
            "sales" | "stock" => &PRODUCES,
            "dispatch" => &REACTS,
            _ => &CONSUMES,
        };
        let point = dice.one(points);
        let signal = if dies { "KILL" } else { "STOP" };
        let stop = format!("{point}:{}:{signal}", dice.between(1, 12));
        self.members[idx].running.signal("TERM")?;
        self.members[idx].fate = Fate::Leaves(Instant::now());
        let running = stage.agent(context, Some(&stop))?;
        let fate = if dies { Fate::Dies(point) } else { Fate::Stops(point) };
        self.members.push(Member { context, born: Instant::now(), running, fate });
        Ok(())
    }

    /// Stops an agent at whatever it does now, for a time.
    pub(crate) fn stop(&mut self, dice: &mut Dice, tally: &mut Tally) -> Result<()> {
        let Some(idx) = self.any(dice) else { return Ok(()) };
        let member = &mut self.members[idx];
        member.running.signal("STOP")?;
        member.fate = Fate::Sleeps(Instant::now() + Duration::from_millis(dice.between(300, 7_000)));
        tally.fired("SIGSTOP at any instant, then CONT");
        Ok(())
    }

    /// Adds an agent for a context, unless it has enough.
    pub(crate) fn join(&mut self, stage: &Stage<'_>, dice: &mut Dice, tally: &mut Tally) -> Result<()> {
        let context = dice.one(&CONTEXTS);
        if self.count(context) >= REPLICAS {
            return Ok(());
        }
        tally.fired("replica joins");
        self.add(stage, context)
    }

    /// Tells an agent to end, as a deployment does; where it was the only one, another takes its place.
    pub(crate) fn leave(&mut self, stage: &Stage<'_>, dice: &mut Dice, tally: &mut Tally) -> Result<()> {
        let Some(idx) = self.any(dice) else { return Ok(()) };
        self.members[idx].running.signal("TERM")?;
        self.members[idx].fate = Fate::Leaves(Instant::now());
        tally.fired("replica leaves");
        let context = self.members[idx].context;
        if self.count(context) == 0 { self.add(stage, context) } else { Ok(()) }
    }

    /// Sees who ended, who stands still, and who is to wake.
    pub(crate) fn look(&mut self, stage: &Stage<'_>, dice: &mut Dice, tally: &mut Tally) -> Result<()> {
        for idx in (0..self.members.len()).rev() {
            let now = Instant::now();
            let member = &mut self.members[idx];
            if let Fate::Stops(point) = member.fate
                && member.running.stands_still()
            {
                tally.fired(&format!("SIGSTOP at `{point}`, then CONT"));
                member.fate = Fate::Sleeps(now + Duration::from_millis(dice.between(300, 7_000)));
            }
            if matches!(member.fate, Fate::Sleeps(until) if until <= now) {
                member.running.signal("CONT")?;
                member.fate = Fate::Works;
            }
            match member.running.ended_within(Duration::ZERO)? {
                None if matches!(member.fate, Fate::Leaves(since) if since.elapsed() > LEAVES) => {
                    tally.fails(format!("an agent of {} did not end when told to", member.context));
                    self.members.swap_remove(idx).running.kill();
                }
                None => {}
                Some(said) => {
                    let Member { context, born, fate, .. } = self.members.swap_remove(idx);
                    match (fate, said.code) {
                        (Fate::Dies(point), None) => tally.fired(&format!("SIGKILL at `{point}`")),
                        (Fate::Leaves(_), Some(0)) => {}
                        // One that cannot open its database as it starts says so and ends: whoever runs it starts it again.
                        (_, Some(UNAVAILABLE)) if born.elapsed() < STARTS => tally.fired(NOT_STARTED),
                        _ => tally.fails(format!(
                            "an agent of {context} ended with {:?}: {}",
                            said.code,
                            said.tail()
                        )),
                    }
                    if self.count(context) == 0 {
                        self.add(stage, context)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Wakes who sleeps, and tells all to end, as an operator does.
    pub(crate) fn disband(self, tally: &mut Tally) -> Result<()> {
        for member in &self.members {
            // One that is about to stop at a point may have done so since it was looked at.
            member.running.signal("CONT")?;
            member.running.signal("TERM")?;
        }
        for mut member in self.members {
            let until = Instant::now() + LEAVES;
            let said = loop {
                let ended = member.running.ended_within(Duration::from_millis(500))?;
                if ended.is_some() || Instant::now() > until {
                    break ended;
                }
                if member.running.stands_still() {
                    member.running.signal("CONT")?;
                }
            };
            match said.map(|said| (said.code, said.tail())) {
                Some((Some(0), _)) => {}
                Some((None, _)) if matches!(member.fate, Fate::Dies(_)) => {}
                Some((Some(UNAVAILABLE), _)) if member.born.elapsed() < STARTS + LEAVES => {
                    tally.fired(NOT_STARTED)
                }
                Some((code, tail)) => {
                    tally.fails(format!("an agent of {} ended with {code:?}: {tail}", member.context));
                }
                None => tally.fails(format!("an agent of {} did not end when told to", member.context)),
            }
        }
        Ok(())
    }
}
