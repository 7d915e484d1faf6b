//! The built program: what it prints, how it exits, and what is in the databases afterwards.

#![expect(clippy::unwrap_used, reason = "a test falls where it goes wrong")]

mod check;
mod chinook_servers;
mod chinook_shop;
mod demo;
mod doctor;
mod fixture;
mod guide;
mod killed;
mod readme;
mod refusals;
mod round_trip;
mod writing;
