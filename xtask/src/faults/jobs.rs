//! Jobs that are cut short at each step, and jobs beside live changes of the same keys.

use crate::faults::process::within;
use crate::faults::stage::{CONTEXTS, LEASE, Stage, last_line};
use crate::faults::verdict::{End, Outcome, settle, stop_all, stop_writers};
use crate::faults::{Done, Ground};
use anyhow::{Context, Result};
use serde_json::Value;
use std::thread;
use std::time::Duration;

/// How long a step may take to be reached.
const REACHED: Duration = Duration::from_secs(60);

const SUBSCRIPTION: &str = "desk/orders";

/// The steps of a job at which its agent dies, in the order in which they come.
const STEPS: [&str; 7] =
    ["job-begun", "job-read", "job-put", "job-compared", "job-merging", "job-merged", "job-recounted"];

/// Bends rows of the desk, so that there is something to merge.
const BEND: &str = "WITH bent AS (UPDATE known_order SET remark = 'bent' WHERE order_ref IN \
    (SELECT order_ref FROM known_order ORDER BY order_ref DESC LIMIT 8) RETURNING 1) \
    SELECT count(*)::text FROM bent";

/// Removes rows of the desk.
const REMOVE: &str = "WITH gone AS (DELETE FROM known_order WHERE order_ref IN \
    (SELECT order_ref FROM known_order ORDER BY order_ref LIMIT 8) RETURNING 1) \
    SELECT count(*)::text FROM gone";

/// Files a job that merges. Returns its name.
fn filed(stage: &Stage<'_>, rate: &str) -> Result<String> {
    let words =
        ["rehearse", SUBSCRIPTION, "--merge", "--yes", "--detach", "--rate", rate, "--format", "json"];
    let said = stage.seamline_well(&words)?;
    last_line(&said)["job"].as_str().map(str::to_owned).context("the job has a name")
}

/// Returns a job as it is.
fn job(stage: &Stage<'_>, name: &str) -> Result<Value> {
    Ok(last_line(&stage.seamline(&["job", "show", name, "--format", "json"])?))
}

/// Waits until a job is over. Returns the failure, when it is not done.
fn done(stage: &Stage<'_>, name: &str) -> Result<Option<Outcome>> {
    let over = within(REACHED, || match job(stage, name) {
        Ok(job) => matches!(job["stage"].as_str(), Some("done" | "failed" | "aborted")).then_some(Ok(job)),
        Err(error) => Some(Err(error)),
    });
    let job = match over {
        Some(job) => job?,
        None => job(stage, name)?,
    };
    let left = &job["progress"]["left"];
    let clean =
        job["stage"] == "done" && left["missing"] == 0 && left["surplus"] == 0 && left["changed"] == 0;
    Ok((!clean).then(|| Outcome::Failed(format!("the job is not done well: {job}"))))
}

/// The agent that works a job is killed at each of its steps; whoever comes next goes on.
pub(crate) fn killed(ground: &Ground<'_>) -> Result<Done> {
    let stage = ground.stage()?;
    let others = CONTEXTS.iter().filter(|context| **context != "desk");
    let mut agents = others.map(|context| stage.agent(context, None)).collect::<Result<Vec<_>>>()?;
    let writers = stage.writers(8)?;
    let first = stage.agent("desk", None)?;
    thread::sleep(Duration::from_secs(2));
    let written = stop_writers(writers)?;
    if let Some(outcome) = stop_all(vec![first])? {
        return stage.done(0, outcome);
    }
    let lease = LEASE.to_string();
    stage.seamline_well(&["agent", "desk", "--until-idle", "--lease", &lease])?;
    let spoilt = stage.cell("desk", BEND)?.parse::<u64>()? + stage.cell("desk", REMOVE)?.parse::<u64>()?;
    // Slow enough that reading takes more than one step, however much a busy machine has written.
    let rate = (written["committed"].as_u64().unwrap_or_default() / 3).clamp(20, 400);
    let name = filed(&stage, &rate.to_string())?;
    let mut injected = 0;
    for step in STEPS {
        let mut victim = stage.agent("desk", Some(&format!("{step}:1:KILL")))?;
        match victim.ended_within(REACHED)? {
            Some(said) if said.code.is_none() => injected += 1,
            Some(said) => {
                let why = format!("the agent ended by itself at `{step}`: {}", said.tail());
                return stage.done(injected, Outcome::Failed(why));
            }
            // Done before its last step: what came of that is judged, and is no pass.
            None if job(&stage, &name)?["stage"] == "done" => {
                victim.kill();
                break;
            }
            None => {
                victim.kill();
                let why = format!("`{step}` was not reached: {}", job(&stage, &name)?);
                return stage.done(injected, Outcome::Inconclusive(why));
            }
        }
    }
    agents.push(stage.agent("desk", None)?);
    let failed = done(&stage, &name)?;
    if let Some(outcome) = stop_all(agents)?.or(failed) {
        return stage.done(injected, outcome);
    }
    let outcome = match settle(&stage, End::default())? {
        Outcome::Passed(_) if injected < STEPS.len() as u64 => {
            Outcome::Inconclusive(format!("the job was done after {injected} of {} kills", STEPS.len()))
        }
        Outcome::Passed(detail) => Outcome::Passed(format!("{spoilt} rows mended; {detail}")),
        other => other,
    };
    stage.done(injected, outcome)
}

/// A job that began before keys changed merges after they did: what is newer stays.
pub(crate) fn beside_live(ground: &Ground<'_>) -> Result<Done> {
    let stage = ground.stage()?;
    let agents = stage.agents()?;
    let writers = stage.writers_with(8, &["--keys", "40"])?;
    thread::sleep(Duration::from_secs(1));
    let name = filed(&stage, "100")?;
    let read = within(REACHED, || match job(&stage, &name) {
        Ok(job) => (job["progress"]["phase"] == "read").then_some(Ok(())),
        Err(error) => Some(Err(error)),
    });
    read.context("the job does not begin")??;
    stage.seamline_well(&["job", "pause", &name, "--yes"])?;
    thread::sleep(Duration::from_secs(2));
    stop_writers(writers)?;
    let arrived = within(REACHED, || match stage.seamline(&["status", "--format", "json"]) {
        Ok(said) => {
            let status = last_line(&said);
            let all = status["received"].as_array().into_iter().flatten();
            let waiting = status["published"].as_array().into_iter().flatten();
            let left = all.map(|it| &it["behind"]).chain(waiting.map(|it| &it["waiting"])).any(|it| *it != 0);
            (!left).then_some(Ok(()))
        }
        Err(error) => Some(Err(error)),
    });
    arrived.context("what was written does not arrive")??;
    let spoilt = stage.cell("desk", BEND)?.parse::<u64>()?;
    stage.seamline_well(&["job", "resume", &name, "--yes"])?;
    let failed = done(&stage, &name)?;
    if let Some(outcome) = stop_all(agents)? {
        return stage.done(spoilt, outcome);
    }
    if let Some(outcome) = failed {
        return stage.done(spoilt, outcome);
    }
    // A row that changed after the rehearsal and was spoilt is not the rehearsal's to mend: the next one does.
    let words = ["rehearse", SUBSCRIPTION, "--merge", "--yes", "--format", "json"];
    let again = last_line(&stage.seamline(&words)?);
    let stale = &again["progress"]["found"]["columns"];
    let only_spoilt = stale.as_object().is_none_or(|columns| columns.keys().all(|column| column == "remark"));
    if !only_spoilt {
        let why = format!("a job set back what was newer: {stale}");
        return stage.done(spoilt, Outcome::Failed(why));
    }
    let outcome = settle(&stage, End::default())?;
    stage.done(spoilt, outcome)
}
