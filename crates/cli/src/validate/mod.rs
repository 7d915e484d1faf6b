//! `seamline validate`: payloads from anywhere, judged by the code that judges them at run time.

mod judge;
mod records;
mod reference;
mod report;
mod shape;

use crate::exit::{Exit, usage};
use crate::opened::opened;
use crate::validate::judge::{Judge, Totals};
use crate::validate::records::Records;
use crate::validate::reference::reference;
use crate::validate::report::Report;
use anyhow::{Context, Result};
use seamline_message::codec::Writing;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;

/// How much of the input is read at once, in bytes.
const BUFFER_BYTES: usize = 64 * 1024;

/// How the payloads are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    /// As a service holds it: a row; of an event the change beside the row of its moment.
    Source,
    /// As it travels in the log.
    Wire,
}

/// How to speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Speech {
    /// For people.
    Text,
    /// For programs.
    Json,
    /// For what shows tests.
    Junit,
}

/// Judges payloads by a contract, as they are judged at run time. Values are not printed.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What to hold them against: `context/contract`, `…@2`, `…@2/view`, and `.Event` after either for an event.
    #[arg(value_name = "REF")]
    reference: String,
    /// A file with one JSON value, an array, or one value a line; `-` for standard input.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// A folder of the estate.
    #[arg(long, default_value = ".")]
    estate: PathBuf,
    /// How they are written; told by the first payload when left out.
    #[arg(long, value_enum)]
    form: Option<Form>,
    /// One value a line, even where the first line is broken.
    #[arg(long)]
    ndjson: bool,
    /// The file is a history: hold each payload of a key against the one before it, by the contract's `moves`.
    #[arg(long)]
    moves: bool,
    /// Show the values that anybody in the company may see.
    #[arg(long)]
    show_values: bool,
    /// How many violations to show; all are counted.
    #[arg(long, default_value_t = 50)]
    show: usize,
    /// How to speak.
    #[arg(long, value_enum, default_value = "text")]
    format: Speech,
}

/// Runs the command.
///
/// # Errors
/// When the call is wrong, or the file cannot be read.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    let opened = opened(&args.estate)?;
    let reference = reference(&opened.reading.estate, &args.reference)?;
    let input: Box<dyn BufRead> = if args.file.as_os_str() == "-" {
        Box::new(BufReader::with_capacity(BUFFER_BYTES, std::io::stdin()))
    } else {
        let opened = std::fs::File::open(&args.file).map_err(|error| {
            let message = format!("`{}` cannot be read: {error}", args.file.display());
            usage(message, "name a file with JSON, or `-` for standard input")
        })?;
        Box::new(BufReader::with_capacity(BUFFER_BYTES, opened))
    };
    let lines = args.ndjson || args.file.extension().is_some_and(|it| it == "ndjson" || it == "jsonl");
    let unreadable = || format!("`{}` cannot be read", args.file.display());
    let mut records = Records::open(input, lines).with_context(unreadable)?;
    let form = args.form.map(|form| match form {
        Form::Source => Writing::Source,
        Form::Wire => Writing::Wire,
    });
    let mut report = Report::new(args.format, args.show, reference.text());
    let mut judge = Judge::new(&reference, form, args.moves, args.show_values)?;
    let mut number = 0;
    while let Some(record) = records.next().with_context(unreadable)? {
        number += 1;
        report.record(number, &record, &judge.record(&record));
    }
    let totals = judge.totals(records.layout());
    report.end(&totals, &next(args, &totals, &reference.contract().to_string()));
    Ok(exit(&totals))
}

/// Nothing seen proves nothing, and what was not held against its past is not clean either.
fn exit(totals: &Totals) -> Exit {
    match totals {
        Totals { violations: 1.., .. } => Exit::Findings,
        Totals { records: 0, .. } => Exit::Inconclusive,
        Totals { unfollowed: 1.., .. } => Exit::Inconclusive,
        _ => Exit::Clean,
    }
}

fn next(args: &Args, totals: &Totals, contract: &str) -> String {
    let estate = match args.estate.as_os_str() {
        here if here == "." => String::new(),
        there => format!(" --estate {}", there.display()),
    };
    match exit(totals) {
        Exit::Findings => format!("seamline show {contract}{estate}"),
        Exit::Clean => format!("seamline try {}", args.estate.display()),
        _ => "seamline validate, with a file that holds payloads".to_owned(),
    }
}
