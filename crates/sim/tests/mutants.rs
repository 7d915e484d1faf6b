//! Each deliberate bug is caught, and none is seen where there is none.

use seamline_message::mutant::Mutant;
use seamline_sim::mutants::catches;

#[test]
fn every_mutant_is_caught() {
    for mutant in Mutant::simulated() {
        let seed = catches(Some(*mutant));
        println!("{} {seed:?}", mutant.name());
        assert!(seed.is_some(), "{} lives", mutant.name());
    }
}

#[test]
fn without_a_mutant_the_same_seeds_pass() {
    assert_eq!(catches(None), None);
}
