//! Replicas and leases of one database: which agents are at work on it, and which of them holds what.

use crate::port::PortError;
use crate::store::Lane;
use jiff::Timestamp;
use std::time::Duration;

/// A lease that is not over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The lane; none: the outbox.
    pub lane: Option<Lane>,
    /// Who holds it.
    pub holder: String,
    /// Until when, unless renewed.
    pub until: Timestamp,
}

/// The replicas at work on a database. It is advice: epochs alone decide who may write.
pub trait Leases: Send + Sync {
    /// Notes that a replica is at work until `ttl` from `now`, forgets those whose time is over, and returns all that are
    /// at work, sorted, this one among them unless `ttl` is zero.
    fn attend(
        &self,
        holder: &str,
        now: Timestamp,
        ttl: Duration,
    ) -> impl Future<Output = Result<Vec<String>, PortError>> + Send;

    /// Returns the leases that are not over, the outbox first, then by lane. Reads only.
    fn leases(&self, now: Timestamp) -> impl Future<Output = Result<Vec<Lease>, PortError>> + Send;
}
