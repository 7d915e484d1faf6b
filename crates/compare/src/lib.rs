//! Two row sets without markers, held against each other by typed values: read-only, in bounded memory, whatever holds them.
//!
//! A side is a [`rowset::RowSet`]. [`run::compare`] says which columns of the two belong together, reads both at once and hands over each
//! difference as it is found. Nothing here is async: who calls from an async program does it on a thread of its own.

pub mod cell;
pub mod csv;
pub mod difference;
pub mod kind;
pub mod normalise;
pub mod parquet;
pub mod plan;
pub mod rowset;
pub mod run;
pub mod shown;

mod collect;
mod count;
mod encode;
mod json;
mod merge;
mod moment;
mod number;
mod settle;
mod sort;
