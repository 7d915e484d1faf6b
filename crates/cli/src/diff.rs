//! `seamline diff OLD NEW`: what changed in an estate, what that does to readers, and whom it breaks.

use crate::exit::Exit;
use crate::opened::opened;
use crate::terminal::{Format, colour, counted};
use anyhow::Result;
use seamline_contract::finding::{Finding, Level};
use seamline_estate::open::Opened;
use seamline_lang::print::{Paint, text as rendered};
use seamline_rules::diff::change::{Change, Effect, Side};
use seamline_rules::diff::impact::{Impact, impacts};
use seamline_rules::diff::verdict::findings;
use seamline_rules::diff::{Diff, diff};
use serde_json::{Value, json};
use std::path::PathBuf;

/// Shows what changed between two texts of an estate, classified, with the consumers that it breaks.
///
/// Fails when a version did not rise far enough, when words changed and `changes` do not say what that does, when what is
/// declared is not what happened, or when a consumer breaks.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A folder of the estate as it was.
    old: PathBuf,
    /// A folder of the estate as it is to be.
    #[arg(default_value = ".")]
    new: PathBuf,
    /// The level from which on the command fails.
    #[arg(long, default_value = "error", value_name = "advice|warn|error")]
    fail_on: Level,
    /// How to speak.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// Runs the command.
///
/// # Errors
/// When there is no estate at one of the paths.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    let (old, new) = (opened(&args.old)?, opened(&args.new)?);
    let (before, after) = (&old.reading.estate, &new.reading.estate);
    let diff = diff(before, after);
    let impacts = impacts(before, after, &diff);
    let mut found = unreadable(&old);
    found.extend(unreadable(&new));
    found.extend(findings(&diff, &impacts));
    match args.format {
        Format::Text => text(&old, &new, &diff, &impacts, &found),
        Format::Json => println!("{}", document(&old, &new, &diff, &impacts, &found)),
    }
    let fails = found.iter().any(|finding| finding.level >= args.fail_on);
    Ok(if fails { Exit::Findings } else { Exit::Clean })
}

/// Returns what could not be read: of that, nobody knows whether it changed.
fn unreadable(opened: &Opened) -> Vec<Finding> {
    let findings = opened.reading.findings.iter();
    findings.filter(|finding| finding.level == Level::Error).cloned().collect()
}

fn text(old: &Opened, new: &Opened, diff: &Diff, impacts: &[Impact], found: &[Finding]) {
    let mut subject = String::new();
    for (idx, change) in diff.changes.iter().enumerate() {
        if change.subject.to_string() != subject {
            subject = change.subject.to_string();
            println!("{}", heading(diff, change));
        }
        println!(
            "  {:<10} {:<14} {}",
            change.effect.to_string(),
            change.aspect.to_string(),
            change.message()
        );
        println!("  {:<25} {}", "", change.reason);
        for impact in impacts.iter().filter(|impact| impact.change == idx) {
            let team = impact.team.as_ref().map_or(String::new(), |team| format!(" of team `{team}`"));
            let veto = if impact.may_veto { ", which may refuse it" } else { "" };
            let by = impact.by.join(", ");
            println!("  {:<25} `{}`{team}{veto}: {}, by {by}", "", impact.subscription, impact.fate);
        }
    }
    if !diff.changes.is_empty() {
        println!();
    }
    let paint = if colour() { Paint::Coloured } else { Paint::Plain };
    // Places of what is gone are in the old texts.
    let (here, gone): (Vec<Finding>, Vec<Finding>) =
        found.iter().cloned().partition(|finding| new.files.contains_key(&finding.at.document));
    print!(
        "{}{}",
        rendered(&new.reading.sources, &here, paint),
        rendered(&old.reading.sources, &gone, paint)
    );
    if !found.is_empty() {
        println!();
    }
    let count = |effect| diff.changes.iter().filter(|change| change.effect == effect).count() as u64;
    println!(
        "{}: {} breaking, {} unhandled, {} additive, {} editorial; {} touched",
        counted(diff.changes.len() as u64, "change"),
        count(Effect::Breaking),
        count(Effect::Unhandled),
        count(Effect::Additive),
        count(Effect::Editorial),
        counted(consumers(impacts), "consumer"),
    );
    println!("next: seamline check");
}

fn consumers(impacts: &[Impact]) -> u64 {
    let names: std::collections::BTreeSet<String> =
        impacts.iter().map(|impact| impact.subscription.to_string()).collect();
    names.len() as u64
}

fn heading(diff: &Diff, change: &Change) -> String {
    let contract = diff.contracts.iter().find(|it| it.name.to_string() == change.subject.to_string());
    let Some(contract) = contract else { return change.subject.to_string() };
    let version =
        |it: Option<_>| it.map_or("none".to_owned(), |it: seamline_contract::id::Version| it.to_string());
    format!(
        "{} {} → {}: asks for {}, rose by {}",
        contract.name,
        version(contract.old),
        version(contract.new),
        contract.required,
        contract.given
    )
}

fn document(old: &Opened, new: &Opened, diff: &Diff, impacts: &[Impact], found: &[Finding]) -> Value {
    let place = |opened: &Opened, side: &Side| {
        let at = opened.reading.sources.locate(&side.at);
        json!({ "text": side.text, "document": at.document.0, "line": at.line, "column": at.column })
    };
    let changes: Vec<Value> = diff
        .changes
        .iter()
        .enumerate()
        .map(|(idx, change)| {
            let touched = impacts.iter().filter(|impact| impact.change == idx).map(|impact| {
                json!({
                    "subscription": impact.subscription.to_string(),
                    "team": impact.team.as_ref().map(ToString::to_string),
                    "by": impact.by,
                    "fate": impact.fate.to_string(),
                    "mayVeto": impact.may_veto,
                })
            });
            json!({
                "subject": change.subject.to_string(),
                "target": change.target.to_string(),
                "facet": change.facet,
                "aspect": change.aspect.to_string(),
                "effect": change.effect.to_string(),
                "reason": change.reason,
                "old": change.old.as_ref().map(|side| place(old, side)),
                "new": change.new.as_ref().map(|side| place(new, side)),
                "touches": touched.collect::<Vec<_>>(),
            })
        })
        .collect();
    let contracts: Vec<Value> = diff
        .contracts
        .iter()
        .map(|it| {
            json!({
                "contract": it.name.to_string(),
                "old": it.old.map(|version| version.to_string()),
                "new": it.new.map(|version| version.to_string()),
                "required": it.required.to_string(),
                "given": it.given.to_string(),
            })
        })
        .collect();
    let findings: Vec<Value> = found
        .iter()
        .map(|finding| {
            let opened = if new.files.contains_key(&finding.at.document) { new } else { old };
            let at = opened.reading.sources.locate(&finding.at);
            json!({
                "rule": finding.rule,
                "level": finding.level.to_string(),
                "message": finding.message,
                "at": { "document": at.document.0, "line": at.line, "column": at.column },
                "help": finding.help,
                "owedBy": finding.context.as_ref().map(ToString::to_string),
            })
        })
        .collect();
    json!({ "schema": "seamline/diff/v1", "contracts": contracts, "changes": changes, "findings": findings })
}
