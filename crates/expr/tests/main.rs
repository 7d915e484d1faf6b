//! The profile through its public interface: what compiles to what, what is refused where, what a row yields.

mod estates;
mod evaluation;
mod hostile;
mod narrowing;
mod pages;
mod reference;
mod refusals;
mod scopes;
