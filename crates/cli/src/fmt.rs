//! `seamline fmt [PATH…]`: one layout for all documents, without a change to what they say.

use crate::exit::{Exit, usage};
use crate::opened::is_own;
use crate::terminal::{Format, counted};
use anyhow::{Context, Result};
use seamline_estate::open::open;
use seamline_estate::written::replace;
use seamline_lang::estate::LOCK_FILE;
use seamline_lang::format::{FormatError, format};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Lays documents out alike; comments stay, and nothing that is read changes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Documents, or folders of an estate.
    #[arg(default_value = ".")]
    paths: Vec<PathBuf>,
    /// Write nothing: list what would change, and fail if there is any.
    #[arg(long)]
    check: bool,
    /// How to speak.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// What became of one document.
enum Outcome {
    Settled,
    Changed,
    /// It is sound, and written in a way that has no layout.
    Left(FormatError),
    Unreadable(String),
}

/// Runs the command.
///
/// # Errors
/// When there is nothing at a path, or a file cannot be written.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    let mut files = BTreeSet::new();
    for path in &args.paths {
        files.extend(documents(path)?);
    }
    let mut outcomes = Vec::new();
    for path in files {
        let outcome = one(&path, args.check)?;
        outcomes.push((path, outcome));
    }
    match args.format {
        Format::Text => text(&outcomes, args.check),
        Format::Json => println!("{}", document(&outcomes)),
    }
    let fails = |outcome: &Outcome| match outcome {
        Outcome::Settled | Outcome::Left(_) => false,
        Outcome::Changed => args.check,
        Outcome::Unreadable(_) => true,
    };
    Ok(if outcomes.iter().any(|(_, outcome)| fails(outcome)) { Exit::Findings } else { Exit::Clean })
}

/// Returns the documents at a path: the file itself, or those of an estate that lie below a folder.
fn documents(path: &Path) -> Result<Vec<PathBuf>> {
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let help = "name documents, or folders of an estate";
    let opened = open(path).map_err(|error| usage(format!("{error:#}"), help))?;
    let folder = path.canonicalize().with_context(|| path.display().to_string())?;
    let own = opened.reading.sources.documents().filter(|document| is_own(&document.id));
    let ids = own.map(|document| &document.id.0);
    let below = ids.filter(|id| *id != LOCK_FILE).filter_map(|id| {
        let within = opened.root.join(id);
        within
            .strip_prefix(&folder)
            .ok()
            .map(|rest| if path == Path::new(".") { rest.to_owned() } else { path.join(rest) })
    });
    let found: Vec<PathBuf> = below.collect();
    if found.is_empty() {
        return Err(usage(format!("there are no documents in `{}`", path.display()), help));
    }
    Ok(found)
}

fn one(path: &Path, check: bool) -> Result<Outcome> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            return Ok(Outcome::Unreadable(format!(
                "it is not UTF-8 at byte {}",
                error.utf8_error().valid_up_to()
            )));
        }
    };
    Ok(match format(&text) {
        Ok(laid) if laid == text => Outcome::Settled,
        Ok(laid) => {
            if !check {
                replace(path, &laid).with_context(|| format!("cannot write `{}`", path.display()))?;
            }
            Outcome::Changed
        }
        Err(error @ FormatError::Unreadable { .. }) => Outcome::Unreadable(error.to_string()),
        Err(error) => Outcome::Left(error),
    })
}

fn text(outcomes: &[(PathBuf, Outcome)], check: bool) {
    let mut counts = [0_u64; 3];
    for (path, outcome) in outcomes {
        let path = path.display();
        match outcome {
            Outcome::Settled => {}
            Outcome::Changed => {
                counts[0] += 1;
                println!("{path}{}", if check { " would change" } else { "" });
            }
            Outcome::Left(why) => {
                counts[1] += 1;
                println!("{path} is left as it is: {why}");
            }
            Outcome::Unreadable(why) => {
                counts[2] += 1;
                println!("{path} is not touched: {why}");
            }
        }
    }
    let [changed, left, unreadable] = counts;
    let verb = if check { "would change" } else { "changed" };
    println!(
        "{changed} of {} {verb}; {left} left as they are, {unreadable} not readable",
        counted(outcomes.len() as u64, "document")
    );
    println!("next: seamline {}", if check && changed > 0 { "fmt" } else { "check" });
}

fn document(outcomes: &[(PathBuf, Outcome)]) -> Value {
    let documents: Vec<Value> = outcomes
        .iter()
        .map(|(path, outcome)| {
            let (outcome, reason) = match outcome {
                Outcome::Settled => ("settled", None),
                Outcome::Changed => ("changed", None),
                Outcome::Left(why) => ("left", Some(why.to_string())),
                Outcome::Unreadable(why) => ("unreadable", Some(why.clone())),
            };
            json!({ "path": path.display().to_string(), "outcome": outcome, "reason": reason })
        })
        .collect();
    json!({ "schema": "seamline/fmt/v1", "documents": documents })
}
