//! `seamline diff OLD NEW`: what changed in an estate, what that does to readers, and whom it breaks.

use crate::compared::{Compared, sides, unreadable};
use crate::exit::Exit;
use crate::output::{Format, Report, Verb};
use anyhow::Result;
use seamline_contract::finding::Level;
use std::path::PathBuf;

/// Shows what changed between two texts of an estate, classified, with the consumers that it breaks.
///
/// Each is a folder, a file, or a git revision: `main`, `HEAD~2`, `v1.2`, `origin/main:path/of/estate`. What exists as a
/// folder or file is read as such. Fails when a version did not rise far enough, when words changed and `changes` do not say
/// what that does, when what is declared is not what happened, or when a consumer breaks.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The estate as it was: a folder, a file or a git revision.
    old: PathBuf,
    /// The estate as it is to be: a folder, a file or a git revision.
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
/// When there is no estate at one of the paths, or no such revision.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    let (old, new) = sides(&args.old, &args.new)?;
    let compared = Compared::new(old, &new.opened);
    let found = unreadable(&new.opened);
    let report = Report::new(Verb::Diff, &new.opened, found, Some(&compared), args.fail_on);
    report.print(args.format);
    Ok(report.exit())
}
