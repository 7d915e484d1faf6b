//! The data plane: ports, relay, projector, reactor, rehearsal, reconciliation, cases. It names no vendor.

pub mod port;
pub mod clock;
pub mod position;
pub mod log;
pub mod source;
pub mod ledger;
pub mod store;
pub mod case;
pub mod drift;
pub mod intake;
pub mod hold;
pub mod points;
pub mod projector;
pub mod reactor;
pub mod sweep;
pub mod digest_key;
pub mod outlet;
pub mod relay;
pub mod auditor;
pub mod custody;
pub mod backfill;
pub mod rehearsal;
pub mod reconcile;
pub mod quarantine;

#[cfg(feature = "conformance")]
pub mod conformance;

#[cfg(test)]
mod example;
