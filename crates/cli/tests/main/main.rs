//! The built program: what it prints, how it exits, and what is in the databases afterwards.

mod check;
mod fixture;
mod killed;
mod refusals;
mod round_trip;
