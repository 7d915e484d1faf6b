//! The built program: what it prints, how it exits, and what is in the databases afterwards.

#![expect(clippy::unwrap_used, reason = "a test falls where it goes wrong")]

mod baseline;
mod check;
mod chinook_servers;
mod chinook_shop;
mod ci;
mod compare;
mod composed;
mod demo;
mod doctor;
mod erase;
mod fixture;
#[path = "../../../estate/tests/main/git.rs"]
mod git;
mod guide;
mod history;
mod hours;
mod jobs;
mod killed;
mod outputs;
mod passes;
mod pull;
mod readme;
mod redrive;
mod reference;
mod refusals;
mod revisions;
mod round_trip;
mod sealed;
mod seen;
mod trial;
mod validate;
mod writing;
