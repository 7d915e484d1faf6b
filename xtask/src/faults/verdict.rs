//! How a scenario ends: drained, judged by the oracle, reconciled.

use crate::faults::process::Running;
use crate::faults::stage::{LEASE, Stage, last_line, lines, write_lines};
use anyhow::{Result, bail};
use serde_json::Value;
use std::fmt;
use std::fs;

/// How a scenario ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed(String),
    /// A promise was broken.
    Failed(String),
    /// The fault did not fire, or it could not be judged.
    Inconclusive(String),
    /// This machine does not let the fault be made.
    NotRun(String),
}

impl Outcome {
    pub(crate) fn detail(&self) -> &str {
        match self {
            Outcome::Passed(detail)
            | Outcome::Failed(detail)
            | Outcome::Inconclusive(detail)
            | Outcome::NotRun(detail) => detail,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Outcome::Passed(_) => "passed",
            Outcome::Failed(_) => "failed",
            Outcome::Inconclusive(_) => "inconclusive",
            Outcome::NotRun(_) => "not run",
        })
    }
}

/// What is special about an end.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct End<'a> {
    /// Superseded records of state may be gone.
    pub(crate) compacted: bool,
    /// Checks of the oracle that cannot hold here.
    pub(crate) skip: &'a str,
    /// Sequences that were put into topics by hand.
    pub(crate) forgive: &'a str,
    /// A reconciliation that saw not everything is no failure.
    pub(crate) inconclusive: bool,
    /// Rows may be of sequences that no writer knows.
    pub(crate) any_sequence: bool,
    /// Keys from this number on are injured and mended by hand: they are held against their sources alone. Empty: none.
    pub(crate) quiet_from: &'a str,
}

/// Ends agents as an operator does.
pub(crate) fn stop_all(agents: Vec<Running>) -> Result<Option<Outcome>> {
    for agent in agents {
        let said = agent.stop()?;
        if said.code != Some(0) {
            let detail =
                format!("an agent that was told to stop ended with {:?}: {}", said.code, said.tail());
            return Ok(Some(Outcome::Failed(detail)));
        }
    }
    Ok(None)
}

/// Ends the writers; what no workload expects makes the whole inconclusive.
pub(crate) fn stop_writers(writers: Running) -> Result<Value> {
    let said = writers.stop()?;
    let done = last_line(&said);
    if said.code != Some(0) || done["committed"].as_u64().unwrap_or(0) == 0 {
        bail!("the writers wrote nothing, or failed: {}", said.tail());
    }
    Ok(done)
}

/// Lets everything arrive, and has it judged and reconciled.
pub(crate) fn settle(stage: &Stage<'_>, end: End<'_>) -> Result<Outcome> {
    if let Some(outcome) = drain(stage)? {
        return Ok(outcome);
    }
    judged(stage, end)
}

/// How often at most it is tried to work all off.
const DRAINS: usize = 5;

/// The exit code that says: something is left.
const INCONCLUSIVE: i32 = 6;

/// Works off what waits. Returns the failure, if it does not come to an end.
pub(crate) fn drain(stage: &Stage<'_>) -> Result<Option<Outcome>> {
    let lease = LEASE.to_string();
    let work_off = || stage.seamline(&["agent", "--all", "--until-idle", "--lease", &lease]);
    let mut said = work_off()?;
    // On a machine that does much else nothing may move for seconds, although all goes on: who left something is asked again.
    for _ in 1..DRAINS {
        if said.code == Some(INCONCLUSIVE) {
            said = work_off()?;
        }
    }
    if said.code != Some(0) {
        return Ok(Some(Outcome::Failed(format!("not all arrives: exit {:?}: {}", said.code, said.tail()))));
    }
    stage.oracle(&["work"])?;
    Ok(None)
}

/// Has what is there judged and reconciled.
pub(crate) fn judged(stage: &Stage<'_>, end: End<'_>) -> Result<Outcome> {
    let summary = match asked(stage, end)? {
        Ok(summary) => summary,
        Err(outcome) => return Ok(outcome),
    };
    if let Some(outcome) = reconciled(stage, end)? {
        return Ok(outcome);
    }
    let said = stage.seamline(&["status", "--format", "json"])?;
    if said.code != Some(0) {
        return Ok(Outcome::Failed(format!("status: {}", said.tail())));
    }
    Ok(Outcome::Passed(format!(
        "{} acts, {} records, {} rows, {} reactions",
        summary["acts"], summary["records"], summary["rows"], summary["inbox"]
    )))
}

/// Has what is there judged by the oracle alone; returns what it found.
pub(crate) fn judged_by_oracle(stage: &Stage<'_>, end: End<'_>) -> Result<Option<Outcome>> {
    Ok(asked(stage, end)?.err())
}

/// Asks the oracle. Returns its summary, or what it found.
fn asked(stage: &Stage<'_>, end: End<'_>) -> Result<Result<Value, Outcome>> {
    let acts = stage.path("acts").to_string_lossy().into_owned();
    let mut words = vec!["judge", "--acts", &acts, "--skip", end.skip, "--forgive", end.forgive];
    if end.compacted {
        words.push("--compacted");
    }
    if !end.quiet_from.is_empty() {
        words.extend(["--quiet-from", end.quiet_from]);
    }
    if end.any_sequence {
        words.push("--any-sequence");
    }
    let said = stage.oracle_said(&words)?;
    let summary = last_line(&said);
    Ok(match said.code {
        Some(0) if summary["acts"].as_u64().unwrap_or(0) > 0 => Ok(summary),
        Some(1) => Err(Outcome::Failed(violations(&lines(&said)))),
        _ => Err(Outcome::Inconclusive(format!("the oracle could not judge: {}", said.tail()))),
    })
}

fn reconciled(stage: &Stage<'_>, end: End<'_>) -> Result<Option<Outcome>> {
    let said = stage.seamline(&["reconcile", "--format", "json"])?;
    let report = last_line(&said);
    Ok(match report["conclusion"].as_str() {
        Some("clean") if said.code == Some(0) => None,
        Some("inconclusive") if end.inconclusive => None,
        Some("inconclusive") => Some(Outcome::Inconclusive(format!("reconcile: {}", reasons(&report)))),
        Some("drift") => Some(Outcome::Failed(format!("reconcile: {}", reasons(&report)))),
        _ => Some(Outcome::Failed(format!("reconcile ended with {:?}: {}", said.code, said.tail()))),
    })
}

/// Reconciles. Returns the conclusion; null without one.
pub(crate) fn concluded(stage: &Stage<'_>) -> Result<Value> {
    Ok(last_line(&stage.seamline(&["reconcile", "--format", "json"])?)["conclusion"].clone())
}

/// Holds a reconciliation against the answer key; returns what was named wrongly.
pub(crate) fn blamed(stage: &Stage<'_>, answers: &[Value]) -> Result<Option<Outcome>> {
    let said = stage.seamline(&["reconcile", "--format", "json"])?;
    let (report, key) = (stage.path("report.json"), stage.path("answers.json"));
    fs::write(&report, last_line(&said).to_string())?;
    write_lines(&key, answers)?;
    let (report, key) = (report.to_string_lossy().into_owned(), key.to_string_lossy().into_owned());
    let said = stage.oracle_said(&["blame", &report, &key])?;
    Ok(match said.code {
        Some(0) => None,
        Some(1) => Some(Outcome::Failed(violations(&lines(&said)))),
        _ => Some(Outcome::Inconclusive(format!("the report could not be judged: {}", said.tail()))),
    })
}

/// Returns the cases that are open.
pub(crate) fn cases(stage: &Stage<'_>) -> Result<Vec<Value>> {
    let said = stage.seamline_well(&["case", "list", "--format", "json"])?;
    let document = last_line(&said);
    Ok(document["cases"].as_array().cloned().unwrap_or_default())
}

fn violations(lines: &[Value]) -> String {
    let shown: Vec<String> = lines.iter().take(3).map(ToString::to_string).collect();
    let count = lines.last().and_then(|line| line["violations"].as_u64()).unwrap_or(0);
    format!("{count} violations: {}", shown.join(" "))
}

fn reasons(report: &Value) -> String {
    let mut reasons = Vec::new();
    for subject in report["subjects"].as_array().into_iter().flatten() {
        let name = subject["subject"].as_str().unwrap_or_default();
        for link in subject["links"].as_array().into_iter().flatten() {
            if link["outcome"] != "clean" {
                let drifts = link["drifts"].as_array().map_or(0, Vec::len);
                reasons.push(format!(
                    "{name} {} {}: {} {drifts} drifts {}",
                    link["link"], link["outcome"], link["reasons"], link["drifts"][0]
                ));
            }
        }
        for part in ["lost", "unseen"] {
            if !subject[part].is_null() && subject[part] != serde_json::json!([]) {
                reasons.push(format!("{name} {part} {}", subject[part]));
            }
        }
    }
    reasons.truncate(4);
    reasons.join("; ")
}
