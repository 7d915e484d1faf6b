//! How much all agents of a process did, and which jobs could do nothing since.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// How much all agents of a process did.
#[derive(Debug, Default)]
pub(super) struct Progress {
    moved: AtomicU64,
    worked: AtomicU64,
    /// By database and job: how much was done in all when the job was looked at and could do nothing.
    waits: Mutex<BTreeMap<(String, u64), u64>>,
}

impl Progress {
    /// Counts rows and records that were moved.
    pub(super) fn add_moved(&self, moved: u64) {
        self.moved.fetch_add(moved, Ordering::Relaxed);
    }

    /// Counts a step of a job.
    pub(super) fn add_worked(&self, worked: u64) {
        self.worked.fetch_add(worked.max(1), Ordering::Relaxed);
    }

    /// Returns how many rows and records were moved.
    pub(super) fn moved(&self) -> u64 {
        self.moved.load(Ordering::Relaxed)
    }

    /// Returns how many rows and records were moved, or come past in jobs.
    pub(super) fn done(&self) -> u64 {
        self.moved() + self.worked.load(Ordering::Relaxed)
    }

    /// Says that a job could do nothing when so much was done.
    pub(super) fn wait(&self, place: &str, job: u64, done: u64) {
        let mut waits = self.waits.lock().expect("nothing panics while it holds them");
        waits.insert((place.to_owned(), job), done);
    }

    /// Returns whether a job was looked at after all that is done so far, and could do nothing.
    pub(super) fn waits(&self, place: &str, job: u64) -> bool {
        let waits = self.waits.lock().expect("nothing panics while it holds them");
        waits.get(&(place.to_owned(), job)) == Some(&self.done())
    }
}

#[cfg(test)]
mod tests {
    use super::Progress;

    #[test]
    fn a_job_waits_until_anything_else_is_done() {
        let progress = Progress::default();
        assert!(!progress.waits("a", 1));
        let before = progress.done();
        progress.add_worked(0);
        progress.wait("a", 1, before);
        assert!(!progress.waits("a", 1), "what was done while it looked may be what it waits for");
        progress.wait("a", 1, progress.done());
        assert!(progress.waits("a", 1) && !progress.waits("b", 1) && !progress.waits("a", 2));
        progress.add_moved(3);
        assert!(!progress.waits("a", 1));
        assert_eq!((progress.moved(), progress.done()), (3, 4));
    }
}
