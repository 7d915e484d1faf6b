//! Agents that die, and agents that stand still until another took over.

use crate::faults::process::Running;
use crate::faults::stage::{CONTEXTS, LEASE, Stage};
use crate::faults::verdict::{End, Outcome, settle, stop_all, stop_writers};
use crate::faults::{Done, Ground};
use anyhow::{Result, bail};
use std::thread;
use std::time::Duration;

/// How long a point may take to be reached.
const REACHED: Duration = Duration::from_secs(30);

/// How often it is looked whether a context came to rest.
const QUIET_LOOKS: u32 = 30;

/// How long a zombie is given for what it still tries.
const TWITCH: Duration = Duration::from_secs(3);

/// A point at which the agent of a context dies or stands still: its name, and at which passing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Point {
    pub(crate) context: &'static str,
    pub(crate) name: &'static str,
    pub(crate) passing: u32,
}

/// Kills the agent of a context with SIGKILL at a point, twice, and lets others go on.
pub(crate) fn killed(ground: &Ground<'_>, point: Point) -> Result<Done> {
    let stage = ground.stage()?;
    let writers = stage.writers(8)?;
    let others = others(&stage, point)?;
    let mut injected = 0;
    for passing in [point.passing, point.passing + 3] {
        let stop = format!("{}:{passing}:KILL", point.name);
        let mut victim = stage.agent(point.context, Some(&stop))?;
        match victim.ended_within(REACHED)? {
            Some(said) if said.code.is_none() => injected += 1,
            Some(said) => {
                return stage
                    .done(injected, Outcome::Failed(format!("the agent ended by itself: {}", said.tail())));
            }
            None => victim.kill(),
        }
    }
    let heir = stage.agent(point.context, None)?;
    thread::sleep(Duration::from_secs(LEASE + 1));
    stop_writers(writers)?;
    ended(stage, others, heir, injected, End::default())
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
    let before = still(&stage, point.context)?;
    let heir = stage.agent(point.context, None)?;
    thread::sleep(Duration::from_secs(LEASE + 2));
    stop_writers(writers)?;
    let after = quiet(&stage, point.context)?;
    if after == before {
        return stage.done(1, Outcome::Failed("nobody took over".to_owned()));
    }
    // Who took over renews what it holds, which would hide what the zombie overwrites: it goes first.
    if let Some(outcome) = stop_all(vec![heir])? {
        return stage.done(1, outcome);
    }
    zombie.signal("CONT")?;
    thread::sleep(TWITCH);
    let woken = still(&stage, point.context)?;
    // A consumer's sleeper may read on where the other left off; what came of that, the oracle judges.
    if woken != after && matches!(point.context, "sales" | "stock") {
        return stage.done(1, Outcome::Failed(format!("who came back late changed {after} into {woken}")));
    }
    match compact(&stage)? {
        Some(missing) => stage.done(0, Outcome::Inconclusive(missing)),
        None => ended(stage, others, zombie, 1, End { compacted: true, ..End::default() }),
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

/// Returns what a context did, as one text: batches removed and records in its topics, or offsets and reactions stored.
fn still(stage: &Stage<'_>, context: &str) -> Result<String> {
    Ok(match context {
        "sales" | "stock" => {
            let batch =
                stage.cell(context, "SELECT batch::text FROM seamline.lease WHERE name = 'outbox'")?;
            format!("batch {batch}, records {}", stage.oracle(&["count"])?)
        }
        _ => stage.cell(
            context,
            "SELECT (SELECT coalesce(sum(\"offset\"), 0) FROM seamline.lane)::text || ' offsets, ' \
             || (SELECT count(*) FROM seamline.inbox)::text || ' reactions'",
        )?,
    })
}

/// Waits until a context does nothing more. Returns what it did.
fn quiet(stage: &Stage<'_>, context: &str) -> Result<String> {
    let mut before = still(stage, context)?;
    for _ in 0..QUIET_LOOKS {
        thread::sleep(Duration::from_secs(1));
        let now = still(stage, context)?;
        if now == before {
            return Ok(now);
        }
        before = now;
    }
    bail!("{context} does not come to rest: {before}")
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
