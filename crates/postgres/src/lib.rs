//! The ports of a context's database on PostgreSQL: publishing by key in SQL, projections with markers, inboxes, jobs; and row sets to
//! compare.

pub mod database;
pub mod doctor;
pub mod install;
pub mod logical;
pub mod rowset;
pub(crate) mod sql;

mod audit;
mod binary;
mod case;
mod cell;
mod errand;
mod inbox;
mod job;
mod ledger;
mod pass;
mod replica;
mod seal;
mod set;
mod source;
mod store;
