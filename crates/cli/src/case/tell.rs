//! A case as people read it at night: what differs, since when, what else was done meanwhile, and what comes next.

use crate::site::no_answer;
use crate::terminal::counted;
use anyhow::Result;
use jiff::Timestamp;
use seamline_agent::agent::Agent;
use seamline_contract::id::ContextId;
use seamline_flow::case::{Case, CaseKind, CaseStage};
use seamline_flow::drift::Conclusion;
use seamline_flow::job::Jobs;
use seamline_flow::pass::Passes;
use serde_json::{Value, json};

/// How many keys of a pattern people are shown.
const KEYS_SHOWN_MAX: usize = 5;

/// What the database knows beside a case.
#[derive(Debug, Default)]
pub(super) struct Around {
    /// When its subject compared clean last before the case was opened.
    clean: Option<Timestamp>,
    /// What operators did with its subject since then, and until now.
    acts: Vec<String>,
    /// What people do, by its documents.
    runbook: Option<String>,
}

impl Around {
    /// Reads what the database of a case knows beside it.
    ///
    /// # Errors
    /// The database's.
    pub(super) async fn of(agent: &Agent, case: &Case) -> Result<Around> {
        let subject = &case.raised.subject;
        let watched = agent.watched.iter().find(|it| &it.subject == subject);
        let passes = agent.database.passes(Some(subject), u32::MAX >> 1).await.map_err(no_answer)?;
        // A case that was closed and reopened began again with its last opening.
        let opened = case.timeline.iter().rev().find(|(_, what)| what == "opened" || what == "reopened");
        let opened = opened.map_or(case.opened, |(at, _)| *at);
        let is_before = |at: Timestamp| at <= opened;
        let clean = passes.iter().filter(|pass| pass.conclusion == Conclusion::Clean).map(|pass| pass.ended);
        let clean = clean.filter(|at| is_before(*at)).max();
        let jobs = agent.database.jobs(true).await.map_err(no_answer)?;
        let acts = jobs.iter().filter(|job| &job.filed.subject == subject);
        let acts = acts.filter(|job| clean.is_none_or(|clean| job.changed >= clean)).map(|job| {
            let (kind, stage) = (job.filed.kind.word(), job.stage.word());
            format!("{}  job {}/{}: {kind}, {stage}", job.changed, agent.context, job.id)
        });
        Ok(Around { clean, acts: acts.collect(), runbook: watched.and_then(|it| it.runbook.clone()) })
    }

    /// Adds it to a case for programs.
    pub(super) fn add_to(&self, document: &mut Value) {
        document["lastClean"] = json!(self.clean.map(|at| at.to_string()));
        document["acts"] = json!(self.acts);
        document["runbook"] = json!(self.runbook);
    }
}

/// Prints a case for people.
pub(super) fn print(context: &ContextId, case: &Case, around: &Around, place: &str) {
    let raised = &case.raised;
    println!("{context}/{}  {}  {}", case.id, raised.kind.word(), case.stage.word());
    println!("{}: {}", raised.subject, raised.summary);
    println!("{} must act; raised {} since {}", raised.owed_by, counted(case.times, "time"), case.opened);
    if raised.kind == CaseKind::Drift {
        match around.clean {
            Some(at) => println!("it came about after {at}, when all compared clean"),
            None => println!("no comparison was clean before: how long it has been so is not known"),
        }
    }
    let details: Value = serde_json::from_str(&raised.details).unwrap_or(Value::Null);
    match details["patterns"].as_array() {
        Some(patterns) => patterns.iter().for_each(print_pattern),
        None => print_details(&raised.details),
    }
    if !around.acts.is_empty() {
        println!("done with it since then:");
        around.acts.iter().for_each(|act| println!("  {act}"));
    }
    println!("timeline:");
    case.timeline.iter().for_each(|(at, what)| println!("  {at}  {what}"));
    if let Some(runbook) = &around.runbook {
        println!("runbook: {runbook}");
    }
    println!("next: seamline {}{place}", next(context, case));
}

/// Prints details: lost events a line each, anything else as it is kept.
fn print_details(details: &str) {
    let read: Value = serde_json::from_str(details).unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let Some(events) = read["events"].as_array().filter(|it| !it.is_empty()) else {
        println!("{details}");
        return;
    };
    for event in events.iter().take(KEYS_SHOWN_MAX) {
        let [missing, key, channel] = ["missing", "key", "channel"].map(|name| text(&event[name]));
        println!("  event {missing} of {key} is in no record of `{channel}`");
    }
    if events.len() > KEYS_SHOWN_MAX {
        println!("  … and more; `--format json` has the first {}", events.len());
    }
}

fn print_pattern(pattern: &Value) {
    let text = |name: &str| pattern[name].as_str().unwrap_or_default();
    let differing: Vec<&str> =
        pattern["differing"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let differing = if differing.is_empty() { "the row".to_owned() } else { differing.join(", ") };
    let states = match (text("expected"), text("found")) {
        ("", "") => String::new(),
        (right, "") => format!(", of `{right}`"),
        ("", found) => format!(", of `{found}`"),
        (right, found) if right == found => format!(", all `{right}`"),
        (right, found) => format!(", all `{right}` → `{found}`"),
    };
    println!(
        "  {} {} on link {}: {differing}{states}; {}",
        text("count"),
        text("kind"),
        text("link"),
        text("cause")
    );
    let keys: Vec<&str> =
        pattern["keys"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    keys.iter().take(KEYS_SHOWN_MAX).for_each(|key| println!("    {key}"));
    let count: usize = text("count").parse().unwrap_or(keys.len());
    if count > KEYS_SHOWN_MAX {
        let more = counted((count - KEYS_SHOWN_MAX) as u64, "more key");
        println!("    … and {more}; `--format json` has the first {}", keys.len());
    }
}

/// Returns the next sensible command.
fn next(context: &ContextId, case: &Case) -> String {
    let (raised, id) = (&case.raised, case.id);
    match (case.stage, raised.kind) {
        (CaseStage::Closed, CaseKind::Drift | CaseKind::Chain | CaseKind::Accounting) => {
            format!("pass show {}", raised.subject)
        }
        (CaseStage::Closed, _) => "reconcile".to_owned(),
        // Nothing closes it by itself: whoever mended it says so.
        (_, CaseKind::Quarantine) => format!(
            "quarantine list {context}; when nothing of it waits any more, seamline case close {context}/{id} --because TEXT"
        ),
        (_, CaseKind::Topic) => format!("doctor {context}"),
        (CaseStage::Open, CaseKind::Drift | CaseKind::Chain | CaseKind::Accounting) => {
            format!("case repair {context}/{id} --dry-run")
        }
        _ => "reconcile --repair".to_owned(),
    }
}
