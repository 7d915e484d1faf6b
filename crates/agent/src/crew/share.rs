//! A fair share: how many lanes one of several replicas holds at most.

use std::sync::atomic::{AtomicUsize, Ordering};

/// The lanes of a database, how many are held here, and how many replicas there are. A replica holds at most the lanes
/// divided by the replicas, rounded up: what is beyond it is given back, and whoever joined later takes it.
#[derive(Debug, Default)]
pub(super) struct Share {
    lanes: AtomicUsize,
    held: AtomicUsize,
    replicas: AtomicUsize,
}

impl Share {
    /// Counts lanes that became known.
    pub(super) fn found(&self, lanes: usize) {
        self.lanes.fetch_add(lanes, Ordering::Relaxed);
    }

    /// Says how many replicas there are, this one among them.
    pub(super) fn replicas(&self, replicas: usize) {
        self.replicas.store(replicas, Ordering::Relaxed);
    }

    /// Counts a lane as held, if that is within the share.
    pub(super) fn claim(&self) -> bool {
        let within = self.held.load(Ordering::Relaxed) < self.most();
        if within {
            self.held.fetch_add(1, Ordering::Relaxed);
        }
        within
    }

    /// Counts a lane as not held.
    pub(super) fn yielded(&self) {
        self.held.fetch_sub(1, Ordering::Relaxed);
    }

    /// Returns whether more are held than is the share.
    pub(super) fn is_exceeded(&self) -> bool {
        self.held.load(Ordering::Relaxed) > self.most()
    }

    /// Returns how many are held.
    pub(super) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    fn most(&self) -> usize {
        self.lanes.load(Ordering::Relaxed).div_ceil(self.replicas.load(Ordering::Relaxed).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::Share;

    #[test]
    fn a_replica_holds_its_part_rounded_up_and_gives_back_when_another_joins() {
        let share = Share::default();
        share.found(5);
        assert!((0..5).all(|_| share.claim()) && !share.claim() && !share.is_exceeded());
        share.replicas(2);
        share.yielded();
        assert!(share.is_exceeded());
        share.yielded();
        assert!(!share.is_exceeded() && !share.claim());
        share.replicas(1);
        assert!(share.claim());
    }
}
