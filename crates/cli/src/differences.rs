//! What a comparison of links found, for people and for programs.

use crate::terminal::columns;
use seamline_agent::agent::Agent;
use seamline_agent::custody::{Compared, key_text};
use seamline_flow::drift::{Conclusion, Drift, Link, Outcome, Report};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// How many keys people are shown for each link; programs get them all.
const KEYS_SHOWN_MAX: usize = 20;

/// A contract or subscription, with what was found of it.
pub(crate) struct Subject {
    /// Its printed name.
    name: String,
    /// One for each link, and for each state topic of a contract.
    reports: Vec<Report>,
    /// Lost events and rows that are nowhere, in words.
    lost: Vec<String>,
    /// Why nothing of it was compared, when it should have been.
    unseen: Option<String>,
    /// What only people can mend, and what waits for a backfill, in words.
    notes: Vec<String>,
}

impl Subject {
    /// Returns the subjects of a context, those among them of which nothing was seen.
    pub(crate) fn of(agent: &Agent, compared: &Compared, wanted: &BTreeSet<String>) -> Vec<Subject> {
        wanted.iter().map(|name| subject(agent, compared, name)).collect()
    }

    /// Returns the worst that was found of it.
    pub(crate) fn conclusion(&self) -> Conclusion {
        let reports = self.reports.iter().map(|report| Conclusion::from(&report.outcome));
        let lost = (!self.lost.is_empty()).then_some(Conclusion::Drift);
        let unseen = self.unseen.as_ref().map(|_| Conclusion::Inconclusive);
        reports.chain(lost).chain(unseen).max().unwrap_or(Conclusion::Clean)
    }
}

fn subject(agent: &Agent, compared: &Compared, name: &str) -> Subject {
    let mut subject = seen(agent, compared, name);
    let differs = subject.conclusion() == Conclusion::Drift;
    if differs && compared.by_people.contains(name) {
        let runbook = agent.watched.iter().find(|it| it.subject == name).and_then(|it| it.runbook.clone());
        let how = runbook.map_or_else(String::new, |runbook| format!(", after `{runbook}`"));
        subject.notes.push(format!("its documents say `repair: manual`: people mend it{how}"));
    }
    subject
}

fn seen(agent: &Agent, compared: &Compared, name: &str) -> Subject {
    let mut subject = Subject {
        name: name.to_owned(),
        reports: Vec::new(),
        lost: Vec::new(),
        unseen: None,
        notes: Vec::new(),
    };
    if let Some(check) = compared.source.iter().find(|check| check.contract.to_string() == name) {
        subject.reports.clone_from(&check.reports);
        subject.lost = check
            .gaps
            .iter()
            .map(|gap| format!("event {} of {} is in no record of `{}`", gap.missing, gap.key, gap.channel))
            .collect();
        for (topic, key) in &check.conflicts {
            subject.lost.push(format!("one sequence of {key} has two contents on `{topic}`"));
        }
        for (topic, key) in &check.disordered {
            subject.lost.push(format!("an event of {key} came after a later one on `{topic}`"));
        }
        if check.missing != 0 {
            subject.lost.push(format!("committed rows that are nowhere: {}", check.missing));
        }
        if check.awaiting_backfill > 0 {
            subject
                .notes
                .push(format!("{} keys wait for a backfill of new attributes", check.awaiting_backfill));
        }
        return subject;
    }
    let intake = agent.intakes.iter().find(|intake| intake.subscription.to_string() == name);
    let found = compared.consumer.iter().find(|(at, _)| agent.intakes[*at].subscription.to_string() == name);
    match (intake, found) {
        (_, Some((_, found))) => {
            subject.reports.clone_from(&found.reports);
            if found.plan.recount {
                let reason = "the sums of what was received do not match the log: a repair counts them anew";
                subject.unseen = Some(reason.to_owned());
            }
            if !found.plan.by_hand.is_empty() {
                subject.notes.push(format!("{} differences only people can mend", found.plan.by_hand.len()));
            }
        }
        (Some(intake), None) if intake.state.is_some() => {
            subject.unseen = Some("the topic of its state is not there yet".to_owned());
        }
        (Some(_), None) => {}
        (None, None) if agent.deals_with(name) => {
            let reason = "its rows are in several databases, which are not compared as one yet";
            subject.unseen = Some(reason.to_owned());
        }
        (None, None) => subject.unseen = Some("nothing publishes it any more".to_owned()),
    }
    if subject.reports.is_empty() && subject.unseen.is_none() {
        subject.notes.push("keeps no table: there is nothing to compare".to_owned());
    }
    subject
}

/// Prints subjects for people.
pub(crate) fn print_subjects(subjects: &[Subject]) {
    for subject in subjects {
        println!("{}", subject.name);
        let mut rows = summaries(&subject.reports);
        let lost = |what: String| vec![String::new(), "source".to_owned(), "DRIFT".to_owned(), what];
        rows.extend(subject.lost.iter().take(KEYS_SHOWN_MAX).cloned().map(lost));
        if subject.lost.len() > KEYS_SHOWN_MAX {
            let more = subject.lost.len() - KEYS_SHOWN_MAX;
            rows.push(lost(format!("… and {more} more like these; `--format json` has them all")));
        }
        if let Some(reason) = &subject.unseen {
            rows.push(vec![String::new(), "-".to_owned(), "not seen".to_owned(), reason.clone()]);
        }
        print!("{}", columns(&rows));
        subject.notes.iter().for_each(|note| println!("  {note}"));
        print_drifts(&subject.reports);
        // The links of one subscription count the same rows, and what a view holds is a part of the whole.
        if let Some(report) = subject.reports.first() {
            print_counts(report);
        }
    }
}

/// Returns a line for each link; the topics of a contract share one while they say the same.
fn summaries(reports: &[Report]) -> Vec<Vec<String>> {
    let lines: Vec<Vec<String>> = reports.iter().map(summary).collect();
    let mut rows = Vec::new();
    for same in lines.chunk_by(|left, right| left == right) {
        let mut row = same[0].clone();
        if let (Some(what), true) = (row.last_mut(), same.len() > 1) {
            what.push_str(&format!(", on each of {} topics", same.len()));
        }
        rows.push(row);
    }
    rows
}

fn summary(report: &Report) -> Vec<String> {
    let (outcome, what) = match &report.outcome {
        Outcome::Clean => ("clean", format!("{} rows", report.rows)),
        Outcome::Drift => ("DRIFT", format!("{} of {} rows", kinds(&report.drifts), report.rows)),
        Outcome::Inconclusive(reasons) => ("inconclusive", reasons.join("; ")),
    };
    vec![String::new(), report.link.to_string(), outcome.to_owned(), what]
}

fn kinds(drifts: &[Drift]) -> String {
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    drifts.iter().for_each(|drift| *kinds.entry(drift.kind.to_string()).or_default() += 1);
    let kinds: Vec<String> = kinds.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    kinds.join(", ")
}

fn print_drifts(reports: &[Report]) {
    let mut rows: Vec<Vec<String>> = reports
        .iter()
        .flat_map(|report| &report.drifts)
        .map(|drift| {
            let differing =
                if drift.differing.is_empty() { "the row".to_owned() } else { drift.differing.join(", ") };
            let act = format!("{}; {} must act", drift.cause, drift.owed_by);
            let [link, kind] = [drift.link.to_string(), drift.kind.to_string()];
            vec!["   ".to_owned(), link, kind, key_text(drift).to_owned(), differing, act]
        })
        .collect();
    // One key that differs on several topics of a contract is one thing to mend.
    rows.sort();
    rows.dedup();
    print!("{}", columns(&rows[..rows.len().min(KEYS_SHOWN_MAX)]));
    if rows.len() > KEYS_SHOWN_MAX {
        println!("     … and {} more; `--format json` has them all", rows.len() - KEYS_SHOWN_MAX);
    }
}

/// Prints rows by business state, where the contract says what to count by.
fn print_counts(report: &Report) {
    let counts = &report.counts;
    if counts.keys().all(String::is_empty) {
        return;
    }
    let sides = if report.link == Link::Source { ["source", "log"] } else { ["log", "table"] };
    let mut rows = vec![vec!["   ".to_owned(), String::new(), sides[0].to_owned(), sides[1].to_owned()]];
    for (label, (right, other)) in counts {
        let mark = if right == other { "" } else { "differs" };
        rows.push(vec![String::new(), label.clone(), right.to_string(), other.to_string(), mark.to_owned()]);
    }
    print!("{}", columns(&rows));
}

/// Prints what a repair would do in a context.
pub(crate) fn print_plan(agent: &Agent, compared: &Compared) {
    for plan in compared.source_plans() {
        print!("{}: {plan}", agent.context);
    }
    for (at, found) in compared.consumer_plans() {
        let subscription = &agent.intakes[at].subscription;
        let recount = if found.plan.recount { ", and count its sums anew" } else { "" };
        println!("{subscription}: derive {} rows anew from the log{recount}", found.plan.mends.len());
        for mend in found.plan.mends.iter().take(KEYS_SHOWN_MAX) {
            println!("  {}", mend.key);
        }
    }
}

/// Returns subjects for programs.
pub(crate) fn document(subjects: &[Subject]) -> Value {
    let subjects: Vec<Value> = subjects
        .iter()
        .map(|subject| {
            let links: Vec<Value> = subject.reports.iter().map(link).collect();
            let (lost, unseen, notes) = (&subject.lost, &subject.unseen, &subject.notes);
            json!({ "subject": subject.name, "links": links, "lost": lost, "unseen": unseen, "notes": notes })
        })
        .collect();
    json!(subjects)
}

fn link(report: &Report) -> Value {
    let (outcome, reasons) = match &report.outcome {
        Outcome::Clean => ("clean", Vec::new()),
        Outcome::Drift => ("drift", Vec::new()),
        Outcome::Inconclusive(reasons) => ("inconclusive", reasons.clone()),
    };
    let counts: Vec<Value> = report
        .counts
        .iter()
        .map(|(state, (right, other))| json!({ "state": state, "expected": right, "found": other }))
        .collect();
    let drifts: Vec<Value> = report
        .drifts
        .iter()
        .map(|drift| {
            json!({
                "kind": drift.kind.to_string(),
                "key": key_text(drift),
                "differing": drift.differing,
                "expected": drift.expected.map(|sequence| sequence.0),
                "found": drift.found.map(|sequence| sequence.0),
                "owedBy": drift.owed_by.to_string(),
                "cause": drift.cause,
            })
        })
        .collect();
    json!({
        "link": report.link.to_string(),
        "outcome": outcome,
        "reasons": reasons,
        "rows": report.rows,
        "counts": counts,
        "drifts": drifts,
        "proves": report.proves,
    })
}
