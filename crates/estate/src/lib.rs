//! Finds and reads the files of an estate and hands them to the language.

pub mod open;
pub mod revision;
mod tree;
mod walk;
pub mod written;
