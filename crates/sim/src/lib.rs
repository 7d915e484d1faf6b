//! Seeded simulator of sources, log and stores, faults and invariants.

pub mod dice;
pub mod fault;
pub mod world;

pub mod stage;

pub mod cases;
pub mod log;
pub mod source;
pub mod store;

pub mod story;

pub mod actors;
pub mod oracle;
pub mod run;
pub mod stream;
pub mod verdict;

pub mod generation;
pub mod reference;

#[cfg(feature = "mutants")]
pub mod mutants;
