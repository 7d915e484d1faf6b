//! Lint: rules over the model. Pure; a rule sees no text, and a finding is a value with a path into the model.

pub mod diff;
pub mod page;
pub mod review;
pub mod rule;
pub mod uses;

mod accepted;
mod behaviour;
mod bootstrap;
mod cadence;
mod canonical;
mod carried;
mod clock;
mod command;
mod custody;
mod cycles;
mod derived;
mod entitlement;
mod events;
mod expression;
mod feed;
mod fit;
mod key;
mod majors;
mod meaning;
mod minimal;
mod names;
mod needs;
mod overloaded;
mod owner;
mod payload;
mod purpose;
mod quantity;
mod reconciliation;
mod replay;
mod terms;
mod walk;
