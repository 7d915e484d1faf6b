//! Agents that die, and agents that stand still until another took over.

use crate::faults::process::{Running, within};
use crate::faults::stage::{CONTEXTS, Stage};
use crate::faults::verdict::{End, Outcome, settle, stop_all, stop_writers};
use crate::faults::{Done, Ground};
use anyhow::{Context, Result};
use std::thread;
use std::time::Duration;

/// How long a point may take to be reached.
const REACHED: Duration = Duration::from_secs(60);

/// How long others write while nobody works for a context.
const BACKLOG: Duration = Duration::from_millis(1500);

/// How long another may take to take over, and to work off what waits.
const TAKEN: Duration = Duration::from_secs(60);

/// How long a zombie is given for what it still tries.
const TWITCH: Duration = Duration::from_secs(2);

/// Up to where the slot of an outbox is needed no more.
const CURSOR: &str = "SELECT lsn::text || '/' || idx FROM seamline.slot";

/// A point at which the agent of a context dies or stands still: its name, and at which passing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Point {
    pub(crate) context: &'static str,
    pub(crate) name: &'static str,
    pub(crate) passing: u32,
}

/// Kills the agent of a context with SIGKILL at a point: amid all the writing, and over what was written last, so that nothing
/// that comes later hides what was lost. Others go on.
pub(crate) fn killed(ground: &Ground<'_>, point: Point) -> Result<Done> {
    killed_on(ground.stage()?, point, None)
}

/// The same, while the rows of that context leave through logical replication.
pub(crate) fn killed_streaming(ground: &Ground<'_>, point: Point) -> Result<Done> {
    let stage = ground.stage()?;
    stage.stream(point.context)?;
    let begun = stage.cell(point.context, CURSOR)?;
    killed_on(stage, point, Some(&begun))
}

/// How many agents, each living twice as long as the one before, may pass until rows leave through the slot.
const STREAMED_BY: u32 = 5;

/// `begun` says from where the slot of the context is read: it must come further.
fn killed_on(stage: Stage<'_>, point: Point, begun: Option<&str>) -> Result<Done> {
    let writers = stage.writers(8)?;
    let others = others(&stage, point)?;
    let (mut injected, mut passing) = (0, point.passing);
    for _ in 0..STREAMED_BY {
        if let Some(outcome) = kill(&stage, point, passing, &mut injected)? {
            return stage.done(injected, outcome);
        }
        // What waits when an agent begins is read from the table; who lives longer comes to the slot.
        match begun {
            Some(begun) if stage.cell(point.context, CURSOR)? == begun => passing *= 2,
            _ => break,
        }
    }
    thread::sleep(BACKLOG);
    stop_writers(writers)?;
    if let Some(outcome) = kill(&stage, point, 1, &mut injected)? {
        return stage.done(injected, outcome);
    }
    if let Some(begun) = begun
        && stage.cell(point.context, CURSOR)? == begun
    {
        return stage.done(0, Outcome::Inconclusive("no row left through the slot".to_owned()));
    }
    let heir = stage.agent(point.context, None)?;
    ended(stage, others, heir, injected, End::default())
}

/// Runs an agent that dies at a point. Returns the outcome, if it ends in another way.
fn kill(stage: &Stage<'_>, point: Point, passing: u32, injected: &mut u64) -> Result<Option<Outcome>> {
    let stop = format!("{}:{passing}:KILL", point.name);
    let mut victim = stage.agent(point.context, Some(&stop))?;
    Ok(match victim.ended_within(REACHED)? {
        Some(said) if said.code.is_none() => {
            *injected += 1;
            None
        }
        Some(said) => Some(Outcome::Failed(format!("the agent ended by itself: {}", said.tail()))),
        None => {
            victim.kill();
            Some(Outcome::Inconclusive(format!("passing {passing} of `{}` was not reached", point.name)))
        }
    })
}

/// Stops the agent of a context at a point for longer than its lease, until another took over and worked everything off; then
/// it wakes, and must change nothing. Compaction forced afterwards keeps the newest.
pub(crate) fn zombie(ground: &Ground<'_>, point: Point) -> Result<Done> {
    let stage = ground.stage()?;
    let writers = stage.writers(8)?;
    let others = others(&stage, point)?;
    let stop = format!("{}:{}:STOP", point.name, point.passing);
    let mut zombie = stage.agent(point.context, Some(&stop))?;
    if !zombie.is_stopped_within(REACHED) {
        zombie.kill();
        stop_writers(writers)?;
        return stage.done(0, Outcome::Inconclusive(format!("`{}` was not reached", point.name)));
    }
    let is_producer = matches!(point.context, "sales" | "stock");
    let before = reached(&stage, point.context)?;
    let heir = stage.agent(point.context, None)?;
    let moved = within(TAKEN, || match reached(&stage, point.context) {
        Ok(now) => (now != before).then_some(Ok(())),
        Err(error) => Some(Err(error)),
    });
    thread::sleep(TWITCH);
    stop_writers(writers)?;
    match moved {
        Some(moved) => moved?,
        None => return stage.done(1, Outcome::Failed("nobody took over".to_owned())),
    }
    if is_producer {
        let empty = within(TAKEN, || match stage.waiting(point.context) {
            Ok(waiting) => (waiting == 0).then_some(Ok(())),
            Err(error) => Some(Err(error)),
        });
        empty.context("the outbox does not become empty")??;
    }
    // Who took over renews what it holds, which would hide what the zombie overwrites: it goes first.
    if let Some(outcome) = stop_all(vec![heir])? {
        return stage.done(1, outcome);
    }
    let after = still(&stage, point.context)?;
    zombie.signal("CONT")?;
    thread::sleep(TWITCH);
    // Told to stop, it finishes what is under way.
    if let Some(outcome) = stop_all(vec![zombie])? {
        return stage.done(1, outcome);
    }
    let woken = still(&stage, point.context)?;
    // A consumer's sleeper may read on where the other left off; what came of that, the oracle judges.
    if woken != after && is_producer {
        return stage.done(1, Outcome::Failed(format!("who came back late changed {after} into {woken}")));
    }
    let heir = stage.agent(point.context, None)?;
    match compact(&stage)? {
        Some(missing) => stage.done(0, Outcome::Inconclusive(missing)),
        None => ended(stage, others, heir, 1, End { compacted: true, ..End::default() }),
    }
}

/// Compacts the topics of orders' state; what is written meanwhile rolls the segments.
fn compact(stage: &Stage<'_>) -> Result<Option<String>> {
    let topics = [stage.topic("sales.order", "state"), stage.topic("sales.order", "shipping.state")];
    for topic in &topics {
        stage.oracle(&["admin", "compact-soon", topic])?;
    }
    thread::sleep(Duration::from_millis(400));
    let mut more = stage.writers_with(4, &["--seconds", "1", "--pause", "0"])?;
    more.ended_within(REACHED)?;
    let compacted = stage.oracle(&["admin", "await-compaction", &topics[0]])?;
    Ok(compacted["keys"].is_null().then(|| format!("nothing was compacted: {compacted}")))
}

/// Returns how far a context came, as one text: the batch removed, or offsets and reactions stored.
fn reached(stage: &Stage<'_>, context: &str) -> Result<String> {
    let query = match context {
        "sales" | "stock" => "SELECT 'batch ' || batch FROM seamline.lease WHERE name = 'outbox'",
        _ => {
            "SELECT (SELECT coalesce(sum(\"offset\"), 0) FROM seamline.lane)::text || ' offsets, ' \
             || (SELECT count(*) FROM seamline.inbox)::text || ' reactions'"
        }
    };
    stage.cell(context, query)
}

/// Returns the same, with the records in the topics of one that produces.
fn still(stage: &Stage<'_>, context: &str) -> Result<String> {
    let reached = reached(stage, context)?;
    match context {
        "sales" | "stock" => Ok(format!("{reached}, records {}", stage.oracle(&["count"])?)),
        _ => Ok(reached),
    }
}

fn others(stage: &Stage<'_>, point: Point) -> Result<Vec<Running>> {
    let contexts = CONTEXTS.iter().filter(|context| **context != point.context);
    contexts.map(|context| stage.agent(context, None)).collect()
}

fn ended(
    stage: Stage<'_>,
    mut agents: Vec<Running>,
    heir: Running,
    injected: u64,
    end: End<'_>,
) -> Result<Done> {
    agents.push(heir);
    if let Some(outcome) = stop_all(agents)? {
        return stage.done(injected, outcome);
    }
    if injected == 0 {
        return stage.done(0, Outcome::Inconclusive("the point was not reached".to_owned()));
    }
    let outcome = settle(&stage, end)?;
    stage.done(injected, outcome)
}
