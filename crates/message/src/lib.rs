//! Envelope, payload codec and validation compiled from a contract, canonical bytes, digests.

pub mod sequence;

pub mod key;

pub mod violation;

pub mod envelope;
pub mod headers;

pub mod errand;

pub mod set;

pub mod codec;
pub mod fit;

pub mod era;

pub mod seal;

pub mod canonical;
mod json;

pub mod digest;
pub mod sums;

pub mod stored_headers;

pub mod mutant;
