//! The negative control: with a deliberate bug chosen, some seed must fail.

use crate::run::run;
use crate::story::Options;
use seamline_message::mutant::{Mutant, with};

/// How many seeds a bug may survive.
pub const SEEDS_MAX: u64 = 60;

/// Returns the first seed that fails with a bug, or with none; none where all pass.
pub fn catches(mutant: Option<Mutant>) -> Option<u64> {
    with(mutant, || (0..SEEDS_MAX).find(|&seed| run(seed, &Options::default()).is_err()))
}
