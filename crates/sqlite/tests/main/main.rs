//! What the adapter promises, on real files.

mod conformance;
mod fixture;
mod open;
mod projection;
mod publish;
mod queue;
mod topic;
