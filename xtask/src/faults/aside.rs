//! Very many keys in the quarantine of a consumer, released at once.

use crate::faults::process::{Running, within};
use crate::faults::stage::{LEASE, Stage, last_line};
use crate::faults::verdict::{End, Outcome, drain, settle, stop_all};
use crate::faults::{Done, Ground};
use anyhow::Result;
use std::fs;
use std::time::{Duration, Instant};

/// How long all may take to go aside, and to be released.
const PATIENCE: Duration = Duration::from_secs(240);

/// How long a list may take.
const LISTED: Duration = Duration::from_secs(20);

/// How much memory an agent may have used, in KiB.
const MEMORY_KB: u64 = 600 * 1024;

const ASIDE: &str = "SELECT count(*)::text FROM seamline.aside WHERE subscription = 'desk/items'";

/// A consumer's contract is narrower than its producer's for a while, and no breaker keeps it from setting everything aside: the
/// list stays one issue, and its redrive, under which keys change once more, brings every row in its order.
pub(crate) fn flood(ground: &Ground<'_>) -> Result<Done> {
    let stage = ground.stage()?;
    let rows = ground.options.keys;
    publish(&stage, rows)?;
    let producer = stage.seamline(&["agent", "stock", "--until-idle", "--lease", &LEASE.to_string()])?;
    if producer.code != Some(0) {
        return stage.done(0, Outcome::Inconclusive(format!("not published: {}", producer.tail())));
    }
    let contract = stage.path("estate").join("stock/item.contract.yaml");
    let text = fs::read_to_string(&contract)?;
    fs::write(
        &contract,
        text.replace("level: { type: integer, min: 0", "level: { type: integer, min: 1000"),
    )?;
    let narrow = without_breaker(&stage)?;
    let aside = |least: u64| {
        within(PATIENCE, || match stage.cell("desk", ASIDE) {
            Ok(count) => (count.parse::<u64>().ok()? >= least).then_some(Ok(())),
            Err(error) => Some(Err(error)),
        })
    };
    let is_aside = aside(rows).transpose()?.is_some();
    if let Some(outcome) = stop_all(vec![narrow])? {
        return stage.done(0, outcome);
    }
    fs::write(&contract, text)?;
    if !is_aside {
        let detail = format!("{} of {rows} keys went aside", stage.cell("desk", ASIDE)?);
        return stage.done(0, Outcome::Inconclusive(detail));
    }
    let outcome = released(&stage, rows)?;
    stage.done(rows, outcome)
}

/// Publishes many keys in one transaction that is noted.
fn publish(stage: &Stage<'_>, rows: u64) -> Result<()> {
    let acts = stage.path("acts").to_string_lossy().into_owned();
    stage.oracle(&["flood", "--rows", &rows.to_string(), "--acts", &acts])?;
    Ok(())
}

/// Starts an agent of the desk that sets aside whatever breaks its contract.
fn without_breaker(stage: &Stage<'_>) -> Result<Running> {
    let lease = LEASE.to_string();
    let mut command = stage.command(&["agent", "desk", "--lease", &lease]);
    command.env("SEAMLINE_MUTANT", "no-breaker");
    Running::start(&mut command, stage.folder.path(), "narrow-agent-desk")
}

/// Lists and releases all that is aside, while some of the keys change once more.
fn released(stage: &Stage<'_>, rows: u64) -> Result<Outcome> {
    let begun = Instant::now();
    let listed = last_line(&stage.seamline_well(&["quarantine", "list", "--format", "json"])?);
    let took = begun.elapsed();
    let issues = listed["issues"].as_array().map_or(0, Vec::len);
    if issues != 1 || listed["total"].as_u64() != Some(rows) {
        return Ok(Outcome::Failed(format!("not one issue of {rows} keys: {}", listed["issues"])));
    }
    if took > LISTED {
        return Ok(Outcome::Failed(format!("a list of {rows} keys takes {} s", took.as_secs())));
    }
    let name = listed["issues"][0]["issue"].as_str().unwrap_or_default().to_owned();
    let words =
        ["quarantine", "redrive", &name, "--because", "the contract is wide again", "--yes", "--detach"];
    stage.seamline_well(&words)?;
    let agent = stage.agent("desk", None)?;
    publish(stage, (rows / 20).max(1))?;
    let empty = within(PATIENCE, || match stage.cell("desk", ASIDE) {
        Ok(count) => (count == "0").then_some(Ok(())),
        Err(error) => Some(Err(error)),
    });
    let used = agent.memory_kb_max();
    if let Some(outcome) = stop_all(vec![agent])? {
        return Ok(outcome);
    }
    if empty.transpose()?.is_none() {
        return Ok(Outcome::Failed(format!("{} of {rows} keys are aside still", stage.cell("desk", ASIDE)?)));
    }
    if used > MEMORY_KB {
        return Ok(Outcome::Failed(format!("an agent used {} MiB to release {rows} keys", used / 1024)));
    }
    if let Some(outcome) = drain(stage)? {
        return Ok(outcome);
    }
    Ok(match settle(stage, End::default())? {
        Outcome::Passed(detail) => Outcome::Passed(format!(
            "{rows} keys listed in {:.1} s, released within {} MiB; {detail}",
            took.as_secs_f64(),
            used / 1024
        )),
        other => other,
    })
}
