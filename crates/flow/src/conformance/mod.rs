//! The suites that every adapter of a port must pass. An adapter brings its executor and a fixture that makes fresh ports.

pub mod audits;
pub mod cases;
pub mod inbox;
pub mod jobs;
pub mod ledger;
pub mod log;
pub mod passes;
pub mod seal;
pub mod sets;
pub mod source;
pub mod store;

use crate::port::PortError;
use jiff::Timestamp;
use seamline_contract::id::{ContextId, SubscriptionRef};
use seamline_message::digest::Digest;
use seamline_message::key::RecordKey;
use std::time::Duration;

/// How long a lease lasts in the suites.
pub const TTL: Duration = Duration::from_secs(30);

/// Returns the moment that lies so many seconds after the suites' beginning.
///
/// # Panics
/// Never: the seconds are those of the suites.
pub fn moment(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).expect("a moment of this century")
}

/// Takes the answer of a call that has no reason to fail.
fn sure<T>(answer: Result<T, PortError>) -> T {
    match answer {
        Ok(answer) => answer,
        Err(error) => panic!("a port without faults answers: {error}"),
    }
}

fn key(text: &str) -> RecordKey {
    RecordKey::from_texts(&[text.to_owned()])
}

fn digest_of(number: u128) -> Digest {
    Digest(number << 64 | number)
}

fn context() -> ContextId {
    "claims".parse().expect("it is an id")
}

fn subscription() -> SubscriptionRef {
    "claims/covers".parse().expect("it is a reference")
}
