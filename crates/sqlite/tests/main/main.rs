//! What the adapter promises, on real files.

#![expect(clippy::unwrap_used, reason = "a test falls where it goes wrong")]

mod conformance;
mod fixture;
mod open;
mod projection;
mod publish;
mod queue;
mod relay;
mod topic;
