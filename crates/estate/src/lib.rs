//! Finds and reads the files of an estate and hands them to the language.

pub mod open;
mod others;
pub mod revision;
pub mod roots;
mod tree;
mod walk;
pub mod written;
