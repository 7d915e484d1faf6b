//! `seamline check`: every finding of an estate, and whether it may ship.

use crate::baseline::{Baseline, Known};
use crate::exit::Exit;
use crate::opened::{findings, opened};
use crate::terminal::{Format, colour, counted};
use anyhow::Result;
use seamline_contract::finding::{Finding, Level};
use seamline_estate::open::Opened;
use seamline_lang::print::{Paint, text as rendered};
use serde_json::{Value, json};
use std::path::PathBuf;

/// Checks an estate: contracts, who owns what, what is promised and needed.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A folder of the estate.
    #[arg(default_value = ".")]
    path: PathBuf,
    /// The level from which on the command fails.
    #[arg(long, default_value = "error", value_name = "advice|warn|error")]
    fail_on: Level,
    /// How to speak.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    #[command(flatten)]
    baseline: Baseline,
}

/// Runs the command.
///
/// # Errors
/// When there is no estate at the path, or no baseline that can be read or written.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    let opened = opened(&args.path)?;
    let findings = findings(&opened);
    if args.baseline.write(&findings)? {
        return Ok(Exit::Clean);
    }
    let (findings, known) = args.baseline.without_known(findings)?;
    match args.format {
        Format::Text => {
            known.into_iter().for_each(Known::tell);
            text(&opened, &findings);
        }
        Format::Json => {
            let mut document = document(&opened, &findings);
            known.into_iter().for_each(|known| known.note(&mut document));
            println!("{document}");
        }
    }
    let fails = findings.iter().any(|finding| finding.level >= args.fail_on);
    Ok(if fails { Exit::Findings } else { Exit::Clean })
}

fn count(findings: &[Finding], level: Level) -> usize {
    findings.iter().filter(|finding| finding.level == level).count()
}

fn text(opened: &Opened, findings: &[Finding]) {
    let paint = if colour() { Paint::Coloured } else { Paint::Plain };
    print!("{}", rendered(&opened.reading.sources, findings, paint));
    let estate = &opened.reading.estate;
    let [errors, warnings, advice] =
        [Level::Error, Level::Warn, Level::Advice].map(|level| count(findings, level));
    if !findings.is_empty() {
        println!();
    }
    println!(
        "{}, {}, {} of advice; {}, {}, {}",
        counted(errors as u64, "error"),
        counted(warnings as u64, "warning"),
        counted(advice as u64, "piece"),
        counted(estate.contexts.len() as u64, "context"),
        counted(estate.contracts.len() as u64, "contract"),
        counted(estate.subscriptions.len() as u64, "subscription")
    );
    if !estate.unexamined.is_empty() {
        let kinds: Vec<String> =
            estate.unexamined.iter().map(|it| format!("{} ({})", it.document, it.kind)).collect();
        println!("not examined by this version: {}", kinds.join(", "));
    }
    let next = match findings.iter().map(|finding| finding.level).max() {
        Some(_) => format!("seamline explain {}", findings[0].rule),
        None => "seamline show".to_owned(),
    };
    println!("next: {next}");
}

fn document(opened: &Opened, findings: &[Finding]) -> Value {
    let sources = &opened.reading.sources;
    let place = |at| {
        let place = sources.locate(at);
        json!({ "document": place.document.0, "line": place.line, "column": place.column })
    };
    let found: Vec<Value> = findings
        .iter()
        .map(|finding| {
            let notes: Vec<Value> = finding
                .notes
                .iter()
                .map(|note| json!({ "message": note.message, "at": place(&note.at) }))
                .collect();
            json!({
                "rule": finding.rule,
                "level": finding.level.to_string(),
                "message": finding.message,
                "at": place(&finding.at),
                "path": finding.at.to_string(),
                "help": finding.help,
                "notes": notes,
                "owedBy": finding.context.as_ref().map(ToString::to_string),
            })
        })
        .collect();
    let unexamined: Vec<Value> = opened
        .reading
        .estate
        .unexamined
        .iter()
        .map(|it| json!({ "document": it.document.0, "kind": it.kind }))
        .collect();
    json!({
        "schema": "seamline/check/v1",
        "findings": found,
        "counts": {
            "error": count(findings, Level::Error),
            "warn": count(findings, Level::Warn),
            "advice": count(findings, Level::Advice),
        },
        "unexamined": unexamined,
    })
}
