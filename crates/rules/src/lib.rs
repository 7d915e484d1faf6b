//! Lint: rules over the model. Pure; a rule sees no text, and a finding is a value with a path into the model.

pub mod diff;
pub mod page;
pub mod review;
pub mod rule;
pub mod uses;

mod accepted;
mod bootstrap;
mod carried;
mod derived;
mod entitlement;
mod events;
mod expression;
mod feed;
mod key;
mod majors;
mod meaning;
mod migration;
mod names;
mod needs;
mod owner;
mod purpose;
mod quantity;
mod reconciliation;
mod standard;
mod terms;
mod waiver;
mod walk;
