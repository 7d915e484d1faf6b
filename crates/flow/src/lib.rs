//! The data plane: ports, relay, projector, reactor, rehearsal, reconciliation, cases. It names no vendor.

pub mod astray;
pub mod audit;
pub mod auditor;
pub mod backfill;
pub mod cadence;
pub mod case;
pub mod clock;
pub mod custody;
pub mod digest_key;
pub mod drift;
pub mod era;
pub mod erasure;
pub mod errand;
pub mod flood;
pub mod handover;
pub mod history;
pub mod hold;
pub mod inbox;
pub mod intake;
pub mod issue;
pub mod job;
pub mod lease;
pub mod ledger;
pub mod log;
pub mod outlet;
pub mod pass;
pub mod pattern;
pub mod pen;
pub mod plain;
pub mod points;
pub mod port;
pub mod position;
pub mod projector;
pub mod quarantine;
pub mod reactor;
pub mod rebase;
pub mod reconcile;
pub mod reference;
pub mod rehearsal;
pub mod relay;
pub mod schedule;
pub mod schemas;
pub mod seal;
pub mod source;
pub mod stop;
pub mod store;
pub mod stream;
pub mod sweep;

#[cfg(feature = "conformance")]
pub mod conformance;

#[cfg(test)]
mod example;
