//! The projector: one lane of a state topic into the projection, batch by batch.

pub mod batch;
pub mod decide;
pub mod open;

use crate::clock::Clock;
use crate::hold::{DigestEpoch, Hold, Moved, Ports, Start, Step, Take, out_of_range};
use crate::intake::{Intake, StateLane};
use crate::log::{Fetch, Fetched, Log};
use crate::points::{Point, Points};
use crate::port::PortError;
use crate::projector::batch::{Known, Made, make};
use crate::projector::open::{Opened, open};
use crate::stop;
use crate::store::{Batch, Committed, Store};
use seamline_message::key::RecordKey;
use seamline_message::mutant::{self, Mutant};
use std::collections::{BTreeMap, BTreeSet};

/// How many records one step takes at most.
pub const STEP_RECORDS: usize = 2_048;

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
        Ok(taken.map(|hold| Projector { ports, intake, digest, hold, points: Points::default() }))
    }

    /// Brings the projection one batch further. Cancel safe: what is not durable is read again.
    ///
    /// # Errors
    /// The ports'. It is safe to go on: after `Unknown` the next step takes the lane again and goes on from what it says.
    pub async fn step(&mut self) -> Result<Step, PortError> {
        if self.hold.grip.is_none() {
            self.points.forget();
        }
        let (ports, epoch) = (self.ports, self.digest.epoch);
        if let Some(instead) = self.hold.retake(ports, self.intake, Start::Oldest, epoch).await? {
            return Ok(instead);
        }
        if let Some(instead) = self.hold.breaker(ports, self.intake).await? {
            return Ok(instead);
        }
        let (topic, partition, from) = (&self.hold.topic, self.hold.lane.partition, self.hold.offset());
        match self.ports.log.fetch(topic, partition, from, STEP_RECORDS).await? {
            Fetched::Records(fetch) if fetch.next == from => self.hold.renew(self.ports, Step::Idle).await,
            Fetched::Records(fetch) => self.apply(&fetch).await,
            Fetched::OutOfRange { .. } => {
                let case = out_of_range(self.intake, &self.hold.lane);
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
        let opened: Vec<Opened> =
            fetch.records.iter().map(|record| open(self.intake, &self.digest.key, record)).collect();
        let known = known(self.ports, self.intake, &self.hold, &opened).await?;
        let comparable = self.hold.state().digest_epoch == self.digest.epoch;
        let now = self.ports.clock.now();
        let Made { batch, points, moved } =
            make(self.intake, &self.hold, fetch, opened, known, comparable, now);
        self.write(batch, moved, points).await
    }

    async fn write(&mut self, mut batch: Batch, moved: Moved, points: Vec<Point>) -> Result<Step, PortError> {
        if mutant::is(Mutant::PositionBeforeRows) {
            let mut early = self.hold.state().clone();
            early.position.clone_from(&batch.next.position);
            early.accounting = batch.next.accounting;
            let early = self.hold.batch(early);
            if self.hold.commit(self.ports, None, early).await? == Committed::Fenced {
                return Ok(Step::Fenced);
            }
            batch.expected.clone_from(&batch.next.position);
        }
        let projection = &state_of(self.intake).projection;
        Ok(match self.hold.commit(self.ports, Some(projection), batch).await? {
            Committed::Done => {
                stop::here("stored");
                self.points.remember(points);
                self.hold.went_aside(self.ports.clock.now(), moved.aside);
                Step::Moved(moved)
            }
            Committed::Fenced => Step::Fenced,
        })
    }
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
) -> Result<BTreeMap<RecordKey, Known>, PortError> {
    let keys: BTreeSet<&RecordKey> = opened
        .iter()
        .filter_map(|opened| match opened {
            Opened::Known { key, .. } => Some(key),
            Opened::Foreign { .. } => None,
        })
        .collect();
    let keys: Vec<RecordKey> = keys.into_iter().cloned().collect();
    if keys.is_empty() {
        return Ok(BTreeMap::new());
    }
    let markers = ports.store.markers(&state_of(intake).projection, &keys).await?;
    let mut all = BTreeMap::new();
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
