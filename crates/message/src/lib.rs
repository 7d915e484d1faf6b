//! Envelope, payload codec and validation compiled from a contract, canonical bytes, digests.

pub mod sequence;

pub mod key;

pub mod violation;

pub mod canonical;
pub mod digest;
mod json;
pub mod sums;

pub mod mutant;
