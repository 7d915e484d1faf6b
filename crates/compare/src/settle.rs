//! Differences under live writes: read again until both rows stood still for long enough, or are the same.

use crate::collect::{Collected, SideError, Sides, Take, collect, no_room};
use crate::merge::{Found, merge};
use crate::plan::{Hand, Plan};
use crate::rowset::Only;
use crate::shown::{Value, values};
use std::collections::{BTreeMap, BTreeSet};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How many keys are read again; of more nobody can say that they are in flight.
pub(crate) const PENDING_MAX: usize = 200_000;

/// How many times the time to settle is waited for rows that go on changing.
const PATIENCE: u32 = 10;

/// When a difference was seen, and what stood there.
#[derive(Debug, Clone, Copy)]
struct Seen {
    fingerprint: [u8; 32],
    since: Instant,
}

/// Keys that differed when they were read.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    keys: BTreeMap<Vec<u8>, Seen>,
    /// How many did not fit.
    pub(crate) beyond: u64,
}

/// What became of them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Settled {
    /// How many are the same now.
    pub(crate) same: u64,
    /// How many still changed at the end.
    pub(crate) moving: u64,
}

impl Pending {
    /// Takes a key.
    pub(crate) fn add(&mut self, found: &Found) {
        if self.keys.len() == PENDING_MAX {
            self.beyond += 1;
            return;
        }
        let seen = Seen { fingerprint: found.fingerprint(), since: Instant::now() };
        self.keys.insert(found.key.clone(), seen);
    }

    /// Reads the keys again until each is the same, or stood still for `settle`: then it is handed over.
    ///
    /// # Errors
    /// When a side cannot be read, and what `definite` returns.
    pub(crate) fn settle<E: From<SideError>>(
        mut self,
        sides: &mut Sides<'_>,
        plan: &Plan,
        settle: Duration,
        definite: &mut dyn FnMut(Found) -> Result<(), E>,
    ) -> Result<Settled, E> {
        let begun = Instant::now();
        let mut settled = Settled::default();
        let mut pause = (settle / 8).clamp(Duration::from_millis(20), Duration::from_secs(1));
        while !self.keys.is_empty() {
            if begun.elapsed() > settle * PATIENCE {
                settled.moving = self.keys.len() as u64;
                break;
            }
            sleep(pause);
            pause = (pause * 2).min(settle.max(Duration::from_millis(20)));
            let asked = Instant::now();
            let mut again = read_again(sides, plan, &self.keys.keys().cloned().collect())?;
            let mut standing = BTreeMap::new();
            for (key, seen) in std::mem::take(&mut self.keys) {
                let Some(found) = again.remove(&key) else {
                    settled.same += 1;
                    continue;
                };
                let fingerprint = found.fingerprint();
                if fingerprint != seen.fingerprint {
                    standing.insert(key, Seen { fingerprint, since: Instant::now() });
                } else if asked.duration_since(seen.since) >= settle {
                    definite(found)?;
                } else {
                    standing.insert(key, seen);
                }
            }
            self.keys = standing;
        }
        Ok(settled)
    }
}

fn read_again(
    sides: &mut Sides<'_>,
    plan: &Plan,
    keys: &BTreeSet<Vec<u8>>,
) -> Result<BTreeMap<Vec<u8>, Found>, SideError> {
    let kinds = plan.columns[..plan.n_key].iter().map(|pair| pair.kind().clone()).collect();
    let shown: Vec<Vec<Value>> = keys.iter().map(|key| values(key, plan.rules().take(plan.n_key))).collect();
    let only = if plan.is_key_as_stored() { Only::Keys(kinds, shown) } else { Only::All };
    let [mut left, mut right]: [Collected; 2] =
        sides.both(|hand, side| collect(side, &plan.names(hand), plan, &only, Take::These(keys)))?;
    let mut found = BTreeMap::new();
    let mut take = |difference: Found| {
        found.insert(difference.key.clone(), difference);
        Ok(())
    };
    merge::<std::io::Error>(&mut left.sorted, &mut right.sorted, &mut take)
        .map_err(|error| SideError(Hand::Left, no_room(error)))?;
    Ok(found)
}
