//! What the adapter promises, on a real PostgreSQL.

#![expect(clippy::unwrap_used, reason = "a test falls where it goes wrong")]

mod cancel;
mod columns;
mod commit;
mod compare;
mod composed;
mod conformance_source;
mod conformance_store;
mod fixture;
mod inbox;
mod isolation;
mod pooler;
mod projection;
mod publish;
mod queue;
mod redrive;
mod replication;
