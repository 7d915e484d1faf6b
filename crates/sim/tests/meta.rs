//! The simulator itself: a seed repeats, and seeds differ.

use seamline_sim::run::run;
use seamline_sim::story::Options;
use std::collections::BTreeSet;

#[test]
fn a_seed_repeats_itself() {
    for seed in 0..20 {
        let [one, two] = [(); 2].map(|()| run(seed, &Options::default()));
        assert_eq!(one, two, "seed {seed}");
    }
}

#[test]
fn seeds_differ() {
    let traces: BTreeSet<u64> =
        (0..20).filter_map(|seed| run(seed, &Options::default()).ok()).map(|outcome| outcome.trace).collect();
    assert_eq!(traces.len(), 20);
}
