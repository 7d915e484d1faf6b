//! The CEL profile: types, checker, evaluation. Programs are compiled once and read a row by slot.

mod check;
mod comprehension;
mod eval;
mod function;
pub mod kind;
mod narrow;
pub mod program;
pub mod scope;
