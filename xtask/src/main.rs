//! `cargo x`: checks, tests, benches and proofs of the project.

mod arrows;
mod faults;
mod licences;
mod mutants;
mod tidy;

use anyhow::{Context, Result, bail};
use std::process::ExitCode;
use xtask::command::{cargo, root, run_with, step, target};
use xtask::{corpora, services, tools};

const USAGE: &str = "usage: cargo x COMMAND

  tidy               style that a tool can check: arrows between crates, file lengths, first lines, words, licences
  docs               writes the generated reference pages anew
  test               everything, with servers, after installing what is missing
  services [-- COMMAND…]   PostgreSQL and Apache Kafka for COMMAND, or until Ctrl-C; installs what is missing
  faults [NAME…] [--mutant NAME | --mutants | --everything] [--full] [--json]   servers and agents that fail, judged by an
                     oracle, and deliberate bugs that it must notice: docs/proof/faults.md; --list names them
  mutants [--json]   builds with the deliberate bugs: each must be caught
  bench [NAME] [--json]   ratios measured side by side in one run (check, validate, embedded, compare, flow)
  bench flow [PART…] [--json] [--quick]   PostgreSQL and Kafka beside named peers: docs/reference/bench.md
  soak --minutes N [--seed N] [--round SECONDS] [--program PATH] [--report]   random faults under load on PostgreSQL and
                     Apache Kafka, judged by the oracle; with --report into docs/proof/soak.md
  soak [--seeds N] [--from S] [--report]   many seeds of the simulator; with --report into docs/proof/sim.md
  ci                 tidy, clippy, fmt and test, as CI runs them";

/// What the command is built with when all of it is checked or measured.
const KAFKA: &str = "seamline/kafka";

/// The same, with the deliberate bugs that are chosen at run time: one build for all tests.
const TESTED: &str = "seamline/kafka,seamline/mutants";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["tidy"] => tidy::run(),
        ["docs"] => docs(),
        ["test"] => test(),
        ["services"] => services::run(&[]),
        ["services", "--", command @ ..] => services::run(command),
        ["faults", rest @ ..] => faults::run(rest),
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
    // Clippy compiles bindings of C libraries.
    step("tools", tools::install_missing)?;
    let clippy = ["clippy", "--workspace", "--features", KAFKA, "--all-targets", "--", "--deny", "warnings"];
    step("clippy", || cargo(&clippy))?;
    test()
}

/// All test binaries see the same servers.
fn test() -> Result<()> {
    step("test", || {
        services::with(|addresses| {
            let corpora = corpora::fetched();
            let corpora = corpora.as_ref().map(|folder| folder.to_string_lossy());
            let mut variables = addresses.variables().to_vec();
            variables.extend(corpora.as_deref().map(|folder| (corpora::VARIABLE, folder)));
            run_with("cargo", &["test", "--workspace", "--no-fail-fast", "--features", TESTED], &variables)
        })
    })?;
    // The tests of the command left the program where it is played with here.
    let program = target()?.join("debug/seamline");
    step("faults", || faults::run(&["--everything", "--program", &program.to_string_lossy()]))?;
    step("mutants", || mutants::run(false))
}

/// A test that holds a generated page against its table writes it when told to; what is ours is written by us.
fn docs() -> Result<()> {
    let pages = [
        ("seamline-rules", "the_index_is_the_table_of_rules"),
        ("seamline-rules", "the_reference_of_standards_is_its_table"),
        ("seamline-rules", "each_mutant_is_seen_for_what_it_is_and_for_nothing_else"),
        ("seamline-lang", "the_page_of_the_language_is_what_the_readers_know"),
    ];
    for (package, page) in pages {
        let test = ["test", "--quiet", "--package", package, "--test", "main", page];
        run_with("cargo", &test, &[("SEAMLINE_WRITE_DOCS", "1")])?;
    }
    let page = root().join(faults::page::PATH);
    std::fs::write(&page, faults::page::markdown())
        .with_context(|| format!("cannot write `{}`", page.display()))
}

/// Benches that need no servers, and their packages.
const BENCHES: [(&str, &str); 3] =
    [("check", "seamline-rules"), ("validate", "seamline-message"), ("embedded", "seamline-sqlite")];

/// The bench on servers.
const FLOW: &str = "flow";

/// Of that one the part which measures reconciliation.
const RECONCILE: &str = "reconcile";

/// The bench of comparisons, on PostgreSQL.
const COMPARE: &str = "compare";

fn bench(args: &[&str]) -> Result<()> {
    if let [name, rest @ ..] = args
        && *name == FLOW
    {
        return bench_flow(rest);
    }
    if let [name, ..] = args
        && *name == RECONCILE
    {
        return bench_flow(args);
    }
    if let [name, rest @ ..] = args
        && *name == COMPARE
    {
        return bench_compare(rest);
    }
    let (names, flags): (Vec<&str>, Vec<&str>) = args.iter().partition(|arg| !arg.starts_with("--"));
    if let Some(unknown) = names.iter().find(|name| BENCHES.iter().all(|(bench, _)| bench != *name)) {
        bail!(
            "no bench `{unknown}`; there are {}, {COMPARE}, {RECONCILE} and {FLOW}",
            BENCHES.map(|(name, _)| name).join(", ")
        );
    }
    for (name, package) in BENCHES {
        if names.is_empty() || names.contains(&name) {
            let mut call = vec!["bench", "--quiet", "--package", package, "--bench", name, "--"];
            call.extend(&flags);
            let corpora = if name == "check" { corpora::fetched() } else { None };
            let corpora = corpora.map(|folder| folder.to_string_lossy().into_owned());
            let variables: Vec<_> =
                corpora.iter().map(|folder| (corpora::VARIABLE, folder.as_str())).collect();
            run_with("cargo", &call, &variables)?;
        }
    }
    if names.is_empty() {
        bench_compare(&flags)?;
        bench_flow(&flags)?;
    }
    Ok(())
}

/// Measures comparisons beside a peer from Python's package index, in an environment of its own.
fn bench_compare(args: &[&str]) -> Result<()> {
    tools::install_missing()?;
    let home = target()?.join("reladiff");
    let program = home.join("bin/reladiff");
    if !program.is_file() {
        let home = home.to_string_lossy();
        run_with("python3", &["-m", "venv", "--clear", &home], &[])?;
        let pip = format!("{home}/bin/pip");
        run_with(&pip, &["install", "--quiet", "--requirement", "proof/bench/reladiff.txt"], &[])?;
    }
    let program = program.to_string_lossy();
    services::with(|addresses| {
        let mut variables = addresses.variables().to_vec();
        variables.push(("SEAMLINE_RELADIFF", &program));
        let call = ["bench", "--quiet", "--package", "seamline-postgres", "--bench", "compare", "--"];
        run_with("cargo", &[&call, args].concat(), &variables)
    })
}

/// Measures the program as it is shipped, on servers of its own.
fn bench_flow(args: &[&str]) -> Result<()> {
    tools::install_missing()?;
    let packages = ["--package", "seamline", "--package", "seamline-bench"];
    cargo(&[&["build", "--quiet", "--release", "--features", KAFKA], &packages[..]].concat())?;
    let release = target()?.join("release");
    let (program, bench) = (release.join("seamline"), release.join("bench-flow"));
    let (program, bench) = (program.to_string_lossy(), bench.to_string_lossy());
    services::with(|addresses| {
        let mut variables = addresses.variables().to_vec();
        variables.push(("SEAMLINE_PROGRAM", &program));
        run_with(&bench, args, &variables)
    })
}

/// By the minute on real servers; by the seed in the simulator.
fn soak(args: &[&str]) -> Result<()> {
    if args.contains(&"--minutes") {
        return faults::soak::run(args);
    }
    let mut call = vec!["run", "--release", "--package", "seamline-sim", "--"];
    call.extend(args);
    cargo(&call)
}
