//! The CEL profile: parser, types, checker, evaluation. Programs are compiled once and read a row by slot.

mod call;
mod check;
mod eval;
mod function;
pub mod kind;
mod narrow;
mod operator;
mod parse;
pub mod program;
pub mod scope;
mod token;
