//! The data plane of one context: opens its databases and the log, installs, and runs relays, projectors and reactors.

pub mod agent;
mod audit;
pub mod clock;
pub mod compiled;
pub mod crew;
pub mod custody;
pub mod database;
pub mod doctor;
pub mod errand;
pub mod health;
mod job;
mod lane;
pub mod log;
mod meter;
mod metered;
pub mod metrics;
pub mod pass;
pub mod place;
pub mod pulse;
pub mod reference;
mod relay;
pub mod requests;
pub mod seal;
pub mod site;
mod variables;
pub mod workers;
