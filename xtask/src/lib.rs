//! What checks and proofs stand on: programs that are run, servers that are started, faults that are injected.

pub mod command;
pub mod corpora;
pub mod proxy;
pub mod services;
pub mod tools;
