//! `seamline check`: every finding of an estate, with what changed since a revision where one is named, and whether it may ship.

use crate::baseline::Baseline;
use crate::compared::Compared;
use crate::exit::Exit;
use crate::opened::{Found, found, opened};
use crate::output::{Format, Report, Verb};
use anyhow::Result;
use seamline_contract::finding::Level;
use std::path::PathBuf;

/// Checks an estate: contracts, who owns what, what is promised and needed.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A folder of the estate.
    #[arg(default_value = ".")]
    path: PathBuf,
    /// Shows besides what changed since HEAD left this git revision, and whom it breaks.
    #[arg(long, value_name = "REVISION")]
    against: Option<String>,
    /// The level from which on the command fails.
    #[arg(long, default_value = "error", value_name = "advice|warn|error")]
    fail_on: Level,
    /// Shows what is wrong in other repositories, too; it never counts here.
    #[arg(long)]
    others: bool,
    /// How to speak.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    #[command(flatten)]
    baseline: Baseline,
}

/// Runs the command.
///
/// # Errors
/// When there is no estate at the path, or no such revision, or no baseline that can be read or
/// written.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    let opened = opened(&args.path)?;
    let compared = args.against.as_ref().map(|revision| Compared::since(revision, &opened)).transpose()?;
    let Found { own, waived, others } = found(&opened);
    if args.baseline.write(&own)? {
        return Ok(Exit::Clean);
    }
    let (findings, known) = args.baseline.without_known(own)?;
    let mut report = Report::new(Verb::Check, &opened, findings, compared.as_ref(), args.fail_on);
    report.leave_out(waived, known);
    report.tell_others(others, args.others);
    report.print(args.format);
    Ok(report.exit())
}
