//! `cargo x`: checks, tests, benches and proofs of the project.

mod arrows;
mod command;
mod licences;
mod mutants;
mod tidy;
mod tools;

use anyhow::{Result, bail};
use command::{cargo, run_with, step};
use std::process::ExitCode;

const USAGE: &str = "usage: cargo x COMMAND

  tidy               style that a tool can check: arrows between crates, file lengths, first lines, words, licences
  docs               writes the generated reference pages anew
  test               everything, after installing what is missing
  mutants [--json]   builds with the deliberate bugs: each must be caught
  bench [NAME] [--json]   ratios measured side by side in one run (validate, flow)
  soak [--seeds N] [--from S] [--report]   many seeds of the simulator; with --report into docs/proof/
  ci                 tidy, clippy, fmt and test, as CI runs them";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["tidy"] => tidy::run(),
        ["docs"] => docs(),
        ["test"] => test(),
        ["mutants"] => mutants::run(false),
        ["mutants", "--json"] => mutants::run(true),
        ["bench", rest @ ..] => bench(rest),
        ["soak", rest @ ..] => soak(rest),
        ["ci"] => ci(),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cargo x: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn ci() -> Result<()> {
    step("tidy", tidy::run)?;
    step("fmt", || cargo(&["fmt", "--all", "--check"]))?;
    step("clippy", || cargo(&["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"]))?;
    test()
}

fn test() -> Result<()> {
    step("tools", tools::install_missing)?;
    step("test", || cargo(&["test", "--workspace"]))?;
    step("mutants", || mutants::run(false))
}

/// The test that holds a generated page against its table writes it when told to.
fn docs() -> Result<()> {
    let test = [
        "test",
        "--quiet",
        "--package",
        "seamline-rules",
        "--test",
        "main",
        "the_index_is_the_table_of_rules",
    ];
    run_with("cargo", &test, &[("SEAMLINE_WRITE_DOCS", "1")])
}

fn bench(args: &[&str]) -> Result<()> {
    let benches = [("validate", "seamline-message"), ("flow", "seamline-sqlite")];
    let (names, flags): (Vec<&str>, Vec<&str>) = args.iter().partition(|arg| !arg.starts_with("--"));
    if let Some(unknown) = names.iter().find(|name| benches.iter().all(|(bench, _)| bench != *name)) {
        bail!("no bench `{unknown}`; there are validate and flow");
    }
    for (bench, package) in benches {
        if names.is_empty() || names.contains(&bench) {
            let mut call = vec!["bench", "--quiet", "--package", package, "--bench", bench, "--"];
            call.extend(&flags);
            cargo(&call)?;
        }
    }
    Ok(())
}

fn soak(args: &[&str]) -> Result<()> {
    let mut call = vec!["run", "--release", "--package", "seamline-sim", "--"];
    call.extend(args);
    cargo(&call)
}
