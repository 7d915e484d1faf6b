//! Replicas and leases of one database: which agents are at work on it, and which of them holds what.

use crate::port::PortError;
use crate::store::Lane;
use jiff::Timestamp;
use std::time::Duration;

/// The longest that a lease lasts.
pub const LEASE_MAX: Duration = Duration::from_secs(3600);

/// Returns whether a lease that ends at `until` holds at `now`. One that would last longer than any was given out by a clock that
/// ran ahead, and holds nobody up: epochs alone decide who may write.
pub fn holds(until: Timestamp, now: Timestamp) -> bool {
    until > now && until <= latest(now)
}

/// Returns the latest end that a lease given out at `now` has.
pub fn latest(now: Timestamp) -> Timestamp {
    now.checked_add(LEASE_MAX).unwrap_or(Timestamp::MAX)
}

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

#[cfg(test)]
mod tests {
    use super::{LEASE_MAX, holds};
    use jiff::Timestamp;
    use std::time::Duration;

    #[test]
    fn a_lease_that_ends_later_than_any_can_holds_nobody_up() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let in_time = |time: Duration| now.checked_add(time).unwrap();
        assert!(!holds(now, now));
        assert!(holds(in_time(Duration::from_secs(1)), now));
        assert!(holds(in_time(LEASE_MAX), now));
        assert!(!holds(in_time(LEASE_MAX + Duration::from_secs(1)), now));
    }
}
