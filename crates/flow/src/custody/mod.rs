//! Custody at the producer: link 1, from the source view to the log.

pub mod cases;
pub mod judge;
mod mark;
pub mod source;
