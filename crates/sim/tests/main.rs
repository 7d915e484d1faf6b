//! The simulator's own tests: its ports keep the suites, its runs repeat, and the data plane keeps its promises.

mod meta;
#[cfg(feature = "mutants")]
mod mutants;
mod ports;
mod soak;
