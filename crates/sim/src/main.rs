//! The long run of the simulator: many seeds, the faults that really fired, and what failed.

use seamline_sim::fault::Fired;
use seamline_sim::run::{Failure, run};
use seamline_sim::story::Options;
use std::fmt::Write;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

const USAGE: &str = "usage: cargo x soak [--seeds N] [--from S] [--report]";

/// What the call asks for.
struct Asked {
    from: u64,
    seeds: u64,
    report: bool,
}

/// What the seeds came to.
#[derive(Default)]
struct Tally {
    fired: Fired,
    steps: u64,
    failed: Vec<Failure>,
}

fn main() -> ExitCode {
    let Some(asked) = asked(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let tally = soak(&asked);
    let text = report(&asked, &tally);
    print!("{text}");
    if asked.report {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/proof/sim.md");
        let written = std::fs::create_dir_all(page.parent().expect("a page lies in a folder"))
            .and_then(|()| std::fs::write(&page, &text));
        if let Err(error) = written {
            eprintln!("cannot write `{}`: {error}", page.display());
            return ExitCode::FAILURE;
        }
    }
    if tally.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn asked(mut words: impl Iterator<Item = String>) -> Option<Asked> {
    let mut asked = Asked { from: 0, seeds: 10_000, report: false };
    while let Some(word) = words.next() {
        match word.as_str() {
            "--seeds" => asked.seeds = words.next()?.parse().ok()?,
            "--from" => asked.from = words.next()?.parse().ok()?,
            "--report" => asked.report = true,
            _ => return None,
        }
    }
    Some(asked)
}

/// Runs the seeds on all cores; each seed is a world of its own.
fn soak(asked: &Asked) -> Tally {
    let next = AtomicU64::new(asked.from);
    let end = asked.from + asked.seeds;
    let tally = Mutex::new(Tally::default());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        return;
                    }
                    let ran = run(seed, &Options::default());
                    let mut tally = tally.lock().expect("no thread panics with it");
                    match ran {
                        Ok(outcome) => {
                            tally.fired.add(&outcome.fired);
                            tally.steps += outcome.steps;
                        }
                        Err(failure) => tally.failed.push(failure),
                    }
                }
            });
        }
    });
    tally.into_inner().expect("no thread panics with it")
}

fn report(asked: &Asked, tally: &Tally) -> String {
    let revision = Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output();
    let revision =
        revision.map(|out| String::from_utf8_lossy(&out.stdout).trim().to_owned()).unwrap_or_default();
    let mut text =
        String::from("# The simulator's long run\n\n<!-- Written by `cargo x soak --report`. -->\n\n");
    let last = asked.from + asked.seeds - 1;
    let failed: Vec<u64> = tally.failed.iter().map(|failure| failure.seed).collect();
    let _ = writeln!(text, "Revision {revision}; seeds {} to {last}; {} steps.", asked.from, tally.steps);
    let _ = writeln!(
        text,
        "Failed: {}.\n",
        if failed.is_empty() { "none".to_owned() } else { format!("{failed:?}") }
    );
    let _ = writeln!(text, "Faults that really fired:\n\n```\n{}```", tally.fired);
    for failure in tally.failed.iter().take(5) {
        let _ = writeln!(text, "\n```\n{failure}```");
    }
    text
}
