//! What the adapter promises, on a real broker.

#![expect(clippy::unwrap_used, reason = "a test falls where it goes wrong")]

mod append;
mod conformance;
mod fixture;
mod properties;
mod read;
mod topic;
