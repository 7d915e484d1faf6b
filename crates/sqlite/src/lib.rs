//! The ports of a context's database and of the log on SQLite, the embedded default; and row sets to compare.

pub mod context;
pub mod file;
pub mod install;
mod job;
pub mod log;
pub mod rowset;

mod audit;
mod case;
mod cell;
mod errand;
mod inbox;
mod ledger;
mod pass;
mod replica;
mod seal;
mod set;
mod source;
mod store;
