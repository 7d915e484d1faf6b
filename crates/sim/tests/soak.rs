//! Runs of many seeds.

use seamline_sim::fault::Fired;
use seamline_sim::run::run;
use seamline_sim::story::Options;
use seamline_sim::world::set_verbose;

/// How many seeds the test runs.
const SEEDS: u64 = 1000;

/// How many of them of a contract that is sent at hours.
const SEEDS_AT_HOURS: u64 = 300;

#[test]
fn promises_are_kept_under_faults() {
    are_kept(&Options::default(), SEEDS);
}

#[test]
fn promises_are_kept_at_hours_under_faults() {
    are_kept(&Options { cadence: Some("every 30m"), ..Options::default() }, SEEDS_AT_HOURS);
}

fn are_kept(options: &Options, many: u64) {
    let alone: Option<u64> = std::env::var("SEAMLINE_SIM_SEED").ok().and_then(|seed| seed.parse().ok());
    let count = std::env::var("SEAMLINE_SIM_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(many);
    let seeds = alone.map_or(0..count, |seed| seed..seed + 1);
    set_verbose(std::env::var_os("SEAMLINE_SIM_TRACE").is_some());
    let mut fired = Fired::default();
    let mut steps = 0;
    let mut failed = Vec::new();
    for seed in seeds {
        match run(seed, options) {
            Ok(outcome) => {
                fired.add(&outcome.fired);
                steps += outcome.steps;
            }
            Err(failure) => {
                println!("seed {}: {:.300}", failure.seed, failure.what);
                failed.push(failure);
            }
        }
    }
    println!("{steps} steps\n{fired}");
    assert!(count < SEEDS || alone.is_some() || fired.never().is_empty(), "never fired: {:?}", fired.never());
    let seeds: Vec<u64> = failed.iter().map(|failure| failure.seed).collect();
    if let Some(first) = failed.first() {
        panic!("{} seeds failed: {seeds:?}\n{first}", seeds.len());
    }
}
