//! Proves the wire format: by properties, by vectors in files, and by a second implementation.

#![expect(clippy::unwrap_used, reason = "a test falls where it goes wrong")]

mod fixture;

mod avro;
mod change;
mod payload;
mod source;
mod structured;

mod properties;
mod sums;

mod reference;
mod vectors;
