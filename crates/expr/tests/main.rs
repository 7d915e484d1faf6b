//! The profile through its public interface: what compiles to what, what is refused where, what a row yields.

#![expect(clippy::unwrap_used, reason = "a test falls where it goes wrong")]

mod estates;
mod evaluation;
mod hostile;
mod narrowing;
mod pages;
mod reference;
mod refusals;
mod scopes;
