//! The data plane of whole estates on real files: what their agents bring about, and what is found when hands interfere.

#![expect(clippy::unwrap_used, reason = "a test falls where it goes wrong")]

mod blame;
mod chinook;
mod crash;
mod crew;
mod encodings;
mod errand;
mod fixture;
mod insurer;
mod passes;
mod quarantine;
mod requests;
#[cfg(feature = "kafka")]
mod servers;
mod stream;
