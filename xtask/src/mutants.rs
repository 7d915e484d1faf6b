//! Negative controls: one build holds all deliberate bugs; each, chosen at run time, must be caught.

use anyhow::{Context, Result, bail};
use std::process::Command;
use xtask::command::{cargo, root};

/// The bugs, as `SEAMLINE_MUTANT` names them.
const MUTANTS: [&str; 7] = [
    "id-after-last",
    "position-before-rows",
    "lost-tombstone",
    "xor-for-sum",
    "digest-of-meant",
    "record-dropped",
    "sums-unwatched",
];

const TEST: [&str; 6] = ["test", "--quiet", "--package", "seamline-sim", "--features", "mutants"];

/// The test that holds every invariant, and how many of its seeds a bug may survive.
const SUITE: &str = "promises_are_kept_under_faults";
const SEEDS: &str = "60";

/// Runs the simulator's suite without a bug, which must pass, and with each, which must fail.
pub(crate) fn run(json: bool) -> Result<()> {
    let mut call = TEST.to_vec();
    call.push("--no-run");
    cargo(&call)?;
    if !passes(None)? {
        bail!(
            "the suite of mutants fails without a bug: nothing is proved; run it alone with `cargo {}`",
            TEST.join(" ")
        );
    }
    let mut caught = Vec::new();
    for mutant in MUTANTS {
        let is_caught = !passes(Some(mutant))?;
        if json {
            println!("{{\"mutant\":\"{mutant}\",\"caught\":{is_caught}}}");
        } else {
            println!("{mutant}: {}", if is_caught { "caught" } else { "NOT CAUGHT" });
        }
        caught.push(is_caught);
    }
    let n_caught = caught.iter().filter(|is_caught| **is_caught).count();
    if json {
        println!("{{\"mutants\":{},\"caught\":{n_caught}}}", MUTANTS.len());
    } else {
        println!("{n_caught} of {} deliberate bugs caught", MUTANTS.len());
    }
    if n_caught < MUTANTS.len() {
        bail!("a deliberate bug went unnoticed");
    }
    Ok(())
}

/// Returns whether the suite of invariants passes under a bug.
fn passes(mutant: Option<&str>) -> Result<bool> {
    let mut command = Command::new("cargo");
    command.args(TEST).args(["--", SUITE]).env("SEAMLINE_SIM_SEEDS", SEEDS).current_dir(root());
    match mutant {
        Some(mutant) => command.env("SEAMLINE_MUTANT", mutant),
        None => command.env_remove("SEAMLINE_MUTANT"),
    };
    let output = command.output().context("cannot start cargo")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let passed = text.contains("1 passed");
    let failed = text.contains("1 failed") && text.contains("seed ");
    if passed == failed {
        bail!("the suite neither passed nor failed on a seed: {text}");
    }
    Ok(passed)
}
