//! Source, Store and Log on SQLite: the embedded default.

pub mod context;
pub mod file;
pub mod install;
mod job;
pub mod log;
pub mod rowset;

mod case;
mod cell;
mod errand;
mod inbox;
mod ledger;
mod replica;
mod source;
mod store;
