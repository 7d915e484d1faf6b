//! The simulator's own tests: its ports keep the suites, its runs repeat, and the data plane keeps its promises.

mod ports;
mod soak;
