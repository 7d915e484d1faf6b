//! The projector: one lane of a state topic into the projection, batch by batch.

pub mod batch;
pub mod decide;
pub mod fresh;
pub mod open;

use crate::astray;
use crate::clock::Clock;
use crate::hold::{DigestEpoch, Hold, Moved, Ports, Start, Step, Take, out_of_range, schema_missing};
use crate::intake::{Intake, StateLane};
use crate::log::{Fetch, Fetched, Log};
use crate::points::{Passed, Points};
use crate::port::PortError;
use crate::projector::batch::{Known, Made, make};
use crate::projector::fresh::Fresh;
use crate::projector::open::{Opened, open};
use crate::stop;
use crate::store::{Batch, Committed, Store};
use seamline_message::key::RecordKey;
use seamline_message::mutant::{self, Mutant};
use std::collections::HashMap;

/// How many records one step takes at most.
pub const STEP_RECORDS: usize = 2_048;

/// With fewer records nothing is gained by not reading what is known of their keys.
const UNREAD_MIN: usize = 256;

/// How many records of one key in quarantine are looked at.
pub const WAITING_MAX: usize = 10_000;

/// One lane of a projection.
#[derive(Debug)]
pub struct Projector<'a, S, L, C> {
    pub(crate) ports: Ports<'a, S, L, C>,
    pub(crate) intake: &'a Intake,
    pub(crate) digest: DigestEpoch,
    /// The lane.
    pub hold: Hold,
    /// The sums at the points passed since it was taken.
    pub points: Points,
    /// While it is built up: the keys that it wrote. None: what is known of a key is read first, always.
    fresh: Option<Fresh>,
}

impl<'a, S: Store, L: Log, C: Clock> Projector<'a, S, L, C> {
    /// Takes a lane; `force` takes it even from a holder whose lease is not over.
    ///
    /// # Errors
    /// The ports'; it is safe to repeat.
    ///
    /// # Panics
    /// When the subscription has no table.
    pub async fn take(
        ports: Ports<'a, S, L, C>,
        intake: &'a Intake,
        partition: u32,
        digest: DigestEpoch,
        force: bool,
    ) -> Result<Take<Self>, PortError> {
        let lane = intake.lane(&state_of(intake).topic, partition);
        let taken = Hold::take(ports, intake, lane, Start::Oldest, digest.epoch, force).await?;
        Ok(taken.map(|hold| Projector {
            ports,
            intake,
            digest,
            fresh: fresh(&hold),
            hold,
            points: Points::default(),
        }))
    }

    /// Brings the projection one batch further. Cancel safe: what is not durable is read again.
    ///
    /// # Errors
    /// The ports'. It is safe to go on: after `Unknown` the next step takes the lane again and goes on from what it says.
    pub async fn step(&mut self) -> Result<Step, PortError> {
        let was_lost = self.hold.grip.is_none();
        if was_lost {
            self.points.forget();
            self.fresh = None;
        }
        let (ports, epoch) = (self.ports, self.digest.epoch);
        if let Some(instead) = self.hold.retake(ports, self.intake, Start::Oldest, epoch).await? {
            return Ok(instead);
        }
        if was_lost {
            self.fresh = fresh(&self.hold);
        }
        if let Some(instead) = self.hold.breaker(ports, self.intake).await? {
            return Ok(instead);
        }
        let (topic, partition, from) = (&self.hold.topic, self.hold.lane.partition, self.hold.offset());
        self.points.begin(from, &self.hold.state().sums);
        let now = self.ports.clock.now();
        let mut fetched = self.ports.log.fetch(topic, partition, from, STEP_RECORDS).await?;
        astray::on_the_way(&mut fetched);
        if let Fetched::Records(fetch) = &fetched {
            self.points.near(from, fetch.end, now);
        }
        match fetched {
            Fetched::Records(fetch) if fetch.next == from => self.hold.renew(self.ports, Step::Idle).await,
            Fetched::Records(fetch) => self.apply(&fetch).await,
            Fetched::OutOfRange { .. } => {
                let case = out_of_range(self.intake, &self.hold.lane);
                self.hold.stop(self.ports, case).await
            }
            Fetched::NoSchema(id) => {
                let case = schema_missing(&self.hold.lane, id);
                self.hold.stop(self.ports, case).await
            }
            Fetched::NoTopic => {
                self.hold.grip = None;
                Ok(Step::NoTopic)
            }
        }
    }

    async fn apply(&mut self, fetch: &Fetch) -> Result<Step, PortError> {
        stop::here("polled");
        if self.hold.bootstrapped() {
            self.fresh = None;
        }
        if fetch.records.len() >= UNREAD_MIN
            && let Some(mut fresh) = self.fresh.take()
            && let Some(step) = self.apply_unread(fetch, &mut fresh).await?
        {
            self.fresh = Some(fresh);
            return Ok(step);
        }
        let (made, _) = self.made(fetch, |_| false).await?;
        let Made { mut batch, passed, moved } = made;
        if mutant::is(Mutant::PositionBeforeRows) && !self.position_first(&mut batch).await? {
            return Ok(Step::Fenced);
        }
        let projection = &state_of(self.intake).projection;
        let committed = self.hold.commit(self.ports, Some(projection), batch).await?;
        Ok(self.stepped(committed, moved, passed))
    }

    /// Writes a batch without reading what is known of keys that the lane surely did not write. Returns none when the store
    /// knows better of one of them: nothing is written then.
    async fn apply_unread(&mut self, fetch: &Fetch, fresh: &mut Fresh) -> Result<Option<Step>, PortError> {
        let (made, keys) = self.made(fetch, |key| fresh.lacks(key)).await?;
        let Made { batch, passed, moved } = made;
        let projection = &state_of(self.intake).projection;
        let committed = self.hold.commit_unread(self.ports, projection, batch).await?;
        Ok(committed.map(|committed| {
            keys.iter().for_each(|key| fresh.put(key));
            self.stepped(committed, moved, passed)
        }))
    }

    /// Makes the batch of some records; `is_new` tells of which keys nothing is read. Returns it with all keys.
    async fn made(
        &self,
        fetch: &Fetch,
        is_new: impl Fn(&RecordKey) -> bool,
    ) -> Result<(Made, Vec<RecordKey>), PortError> {
        let opened: Vec<Opened> =
            fetch.records.iter().map(|record| open(self.intake, &self.digest.key, record)).collect();
        let (mut keys, mut old) = (keys_of(&opened), Vec::new());
        keys.retain(|key| {
            is_new(key) || {
                old.push(key.clone());
                false
            }
        });
        let mut known = read(self.ports, self.intake, &self.hold, old.clone()).await?;
        known.reserve(keys.len());
        known.extend(keys.iter().map(|key| (key.clone(), Known::default())));
        keys.append(&mut old);
        let comparable = self.hold.state().digest_epoch == self.digest.epoch;
        let now = self.ports.clock.now();
        Ok((make(self.intake, &self.hold, fetch, opened, known, comparable, now), keys))
    }

    fn stepped(&mut self, committed: Committed, moved: Moved, passed: Passed) -> Step {
        match committed {
            Committed::Done => {
                stop::here("stored");
                self.points.remember(passed, self.hold.offset(), &self.hold.state().sums);
                self.hold.went_aside(self.ports.clock.now(), moved.aside);
                Step::Moved(moved)
            }
            Committed::Fenced => Step::Fenced,
        }
    }

    /// Writes the position before the rows, which is wrong. Returns whether the lane is still held.
    async fn position_first(&mut self, batch: &mut Batch) -> Result<bool, PortError> {
        let mut early = self.hold.state().clone();
        early.position.clone_from(&batch.next.position);
        early.accounting = batch.next.accounting;
        let early = self.hold.batch(early);
        let committed = self.hold.commit(self.ports, None, early).await?;
        batch.expected.clone_from(&batch.next.position);
        Ok(committed == Committed::Done)
    }
}

/// Returns no keys, for a lane that is not built up yet.
fn fresh(hold: &Hold) -> Option<Fresh> {
    let end = hold.state().bootstrap_end.filter(|end| *end > hold.offset())?;
    Some(Fresh::of(end - hold.offset()))
}

/// Returns the keys of some records, sorted, each once.
fn keys_of(opened: &[Opened]) -> Vec<RecordKey> {
    let mut keys: Vec<&RecordKey> = opened
        .iter()
        .filter_map(|opened| match opened {
            Opened::Known { key, .. } => Some(key),
            Opened::Foreign { .. } => None,
        })
        .collect();
    keys.sort_unstable();
    keys.dedup();
    keys.into_iter().cloned().collect()
}

/// Returns what is known of the keys of some records.
///
/// # Errors
/// The store's.
pub async fn known<S: Store, L: Log, C: Clock>(
    ports: Ports<'_, S, L, C>,
    intake: &Intake,
    hold: &Hold,
    opened: &[Opened],
) -> Result<HashMap<RecordKey, Known>, PortError> {
    read(ports, intake, hold, keys_of(opened)).await
}

async fn read<S: Store, L: Log, C: Clock>(
    ports: Ports<'_, S, L, C>,
    intake: &Intake,
    hold: &Hold,
    keys: Vec<RecordKey>,
) -> Result<HashMap<RecordKey, Known>, PortError> {
    if keys.is_empty() {
        return Ok(HashMap::new());
    }
    let markers = ports.store.markers(&state_of(intake).projection, &keys).await?;
    let mut all = HashMap::with_capacity(keys.len());
    for (key, markers) in keys.into_iter().zip(markers) {
        let mut known = Known { markers, waiting: Vec::new() };
        if known.markers.aside.is_some() {
            let waiting = ports.store.aside(&intake.subscription, Some(&key), WAITING_MAX).await?;
            let here = waiting.into_iter().filter(|record| record.lane == hold.lane);
            known.waiting = here.filter_map(|record| Some((record.offset, record.sequence?))).collect();
        }
        all.insert(key, known);
    }
    Ok(all)
}

/// Returns the projection of a subscription that has one.
///
/// # Panics
/// When it has none.
pub(crate) fn state_of(intake: &Intake) -> &StateLane {
    intake.state.as_ref().expect("a subscription without a table is not projected")
}
