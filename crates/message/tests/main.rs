//! Proves the wire format: by properties, by vectors in files, and by a second implementation.

mod fixture;

mod change;
mod payload;
mod source;

mod properties;
mod sums;

mod reference;
mod vectors;
