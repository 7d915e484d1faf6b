//! What the adapter promises, on a real broker.

#![expect(clippy::unwrap_used, reason = "a test falls where it goes wrong")]

mod append;
mod broker;
mod conformance;
mod faults;
mod fixture;
mod properties;
mod read;
mod security;
mod topic;
