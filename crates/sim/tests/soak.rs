//! Runs of many seeds.

use seamline_sim::fault::Fired;
use seamline_sim::run::run;
use seamline_sim::story::Options;

/// How many seeds the test runs.
const SEEDS: u64 = 1000;

#[test]
fn promises_are_kept_under_faults() {
    let options = Options::default();
    let alone: Option<u64> = std::env::var("SEAMLINE_SIM_SEED").ok().and_then(|seed| seed.parse().ok());
    let count =
        std::env::var("SEAMLINE_SIM_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(SEEDS);
    let seeds = alone.map_or(0..count, |seed| seed..seed + 1);
    let mut fired = Fired::default();
    let mut steps = 0;
    for seed in seeds {
        match run(seed, &options) {
            Ok(outcome) => {
                fired.add(&outcome.fired);
                steps += outcome.steps;
            }
            Err(failure) => panic!("{failure}"),
        }
    }
    println!("{steps} steps\n{fired}");
}
