//! Source, Ledger, Cases and Store on PostgreSQL: publishing by key in SQL, projections with markers.

pub mod database;
pub mod doctor;
pub mod install;
pub mod rowset;
pub(crate) mod sql;

mod binary;
mod case;
mod cell;
mod errand;
mod inbox;
mod job;
mod ledger;
mod replica;
mod source;
mod store;
