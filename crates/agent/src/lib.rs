//! The data plane of one context: opens its database and the log, installs, and steps relay, projectors and reactors.

pub mod agent;
pub mod clock;
pub mod custody;
mod lanes;
pub mod site;
