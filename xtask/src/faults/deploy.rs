//! What operators do while all goes on: consumers that are away for long, agents that are rolled, tables that are altered.

use crate::faults::stage::CONTEXTS;
use crate::faults::verdict::{End, Outcome, settle, stop_all, stop_writers};
use crate::faults::{Done, Ground};
use anyhow::Result;
use std::thread;
use std::time::Duration;

/// How long what happens last is given.
const CALM: Duration = Duration::from_secs(1);

/// A consumer is away while its keys change again and again; then it catches up with all of it at once.
pub(crate) fn behind(ground: &Ground<'_>) -> Result<Done> {
    let stage = ground.stage()?;
    let producers = [stage.agent("sales", None)?, stage.agent("stock", None)?];
    let writers = stage.writers_with(12, &["--keys", "30", "--pause", "0"])?;
    thread::sleep(Duration::from_secs(ground.options.seconds));
    let done = stop_writers(writers)?;
    if let Some(outcome) = stop_all(producers.into())? {
        return stage.done(1, outcome);
    }
    let missed = done["publications"].as_u64().unwrap_or(0);
    let outcome = settle(&stage, End::default())?;
    stage.done(missed, outcome)
}

/// Agents are replaced one after another under load, the new one before the old one goes, three times around.
pub(crate) fn rolled(ground: &Ground<'_>) -> Result<Done> {
    let stage = ground.stage()?;
    let mut agents = stage.agents()?;
    let writers = stage.writers(8)?;
    let mut injected = 0;
    for _ in 0..3 {
        for (idx, context) in CONTEXTS.iter().enumerate() {
            let next = stage.agent(context, None)?;
            thread::sleep(CALM / 2);
            let last = std::mem::replace(&mut agents[idx], next);
            if let Some(outcome) = stop_all(vec![last])? {
                return stage.done(injected, outcome);
            }
            injected += 1;
        }
    }
    stop_writers(writers)?;
    if let Some(outcome) = stop_all(agents)? {
        return stage.done(injected, outcome);
    }
    let outcome = settle(&stage, End::default())?;
    stage.done(injected, outcome)
}

/// A column and then a whole table of a consumer have another name for a while: its lanes stand still and go on by themselves.
pub(crate) fn altered(ground: &Ground<'_>) -> Result<Done> {
    let stage = ground.stage()?;
    let agents = stage.agents()?;
    let writers = stage.writers_with(6, &["--pause", "0.05"])?;
    thread::sleep(CALM);
    let mut stood = true;
    for (alter, back) in [
        (
            "ALTER TABLE known_item RENAME COLUMN level TO other",
            "ALTER TABLE known_item RENAME COLUMN other TO level",
        ),
        ("ALTER TABLE known_item RENAME TO elsewhere", "ALTER TABLE elsewhere RENAME TO known_item"),
    ] {
        stage.oracle(&["sql", "desk", alter])?;
        let query =
            "SELECT coalesce(sum(\"offset\"), 0)::text FROM seamline.lane WHERE subscription LIKE '%items'";
        thread::sleep(CALM);
        let before = stage.cell("desk", query)?;
        thread::sleep(CALM * 2);
        stood &= before == stage.cell("desk", query)?;
        stage.oracle(&["sql", "desk", back])?;
        thread::sleep(CALM);
    }
    stop_writers(writers)?;
    if let Some(outcome) = stop_all(agents)? {
        return stage.done(2, outcome);
    }
    if !stood {
        return stage.done(2, Outcome::Failed("a lane went on without its table".to_owned()));
    }
    let outcome = settle(&stage, End::default())?;
    stage.done(2, outcome)
}

/// Changes that take effect in the first and in the last year that a date can have.
pub(crate) fn effective(ground: &Ground<'_>) -> Result<Done> {
    let stage = ground.stage()?;
    let agents = stage.agents()?;
    let writers = stage.writers_with(6, &["--effective", "0001-01-01,1900-02-28,9999-12-31"])?;
    thread::sleep(CALM * 2);
    stop_writers(writers)?;
    if let Some(outcome) = stop_all(agents)? {
        return stage.done(0, outcome);
    }
    let dated = stage.cell("sales", "SELECT count(effective)::text FROM journal")?.parse()?;
    let outcome = settle(&stage, End::default())?;
    stage.done(dated, outcome)
}
