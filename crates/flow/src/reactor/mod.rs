//! The reactor: one lane of an events topic into the inbox, in chain order, once, and not before the projection.

pub mod batch;
pub mod decide;
pub mod open;

use crate::clock::Clock;
use crate::handover;
use crate::hold::{DigestEpoch, Hold, Ports, Start, Step, Take, out_of_range, schema_missing};
use crate::intake::{EventLane, Intake};
use crate::log::{Fetch, Fetched, Incoming, Log};
use crate::port::PortError;
use crate::projector::decide::reached;
use crate::projector::{STEP_RECORDS, WAITING_MAX};
use crate::reactor::batch::{Cut, Fold, Held, Known, Made, make};
use crate::reactor::open::{OpenedEvent, as_read, open};
use crate::seal::open::{is_sealed, keys_of};
use crate::store::{AsideRecord, Committed, Store};
use seamline_contract::subscription::StartsAt;
use seamline_message::digest::DigestKey;
use seamline_message::envelope::{Envelope, MessageKind};
use seamline_message::key::RecordKey;
use seamline_message::mutant::{self, Mutant};
use std::collections::{BTreeMap, BTreeSet};

/// One lane of reactions. Take it before the lanes of the projection: where it starts at `now`, it starts at the end that
/// it sees when it is taken first, and the projection is then brought up from before that.
#[derive(Debug)]
pub struct Reactor<'a, S, L, C> {
    ports: Ports<'a, S, L, C>,
    intake: &'a Intake,
    digest: DigestEpoch,
    /// The lane.
    pub hold: Hold,
}

impl<'a, S: Store, L: Log, C: Clock> Reactor<'a, S, L, C> {
    /// Takes a lane; `force` takes it even from a holder whose lease is not over.
    ///
    /// # Errors
    /// The ports'; it is safe to repeat.
    ///
    /// # Panics
    /// When the subscription reacts to nothing.
    pub async fn take(
        ports: Ports<'a, S, L, C>,
        intake: &'a Intake,
        partition: u32,
        digest: DigestEpoch,
        force: bool,
    ) -> Result<Take<Self>, PortError> {
        let events = events_of(intake);
        let lane = intake.lane(&events.topic, partition);
        let taken = Hold::take(ports, intake, lane, start_of(events), digest.epoch, force).await?;
        Ok(taken.map(|hold| Reactor { ports, intake, digest, hold }))
    }

    /// Brings the reactions one batch further. Cancel safe: what is not durable is read again.
    ///
    /// # Errors
    /// The ports'. It is safe to go on: after `Unknown` the next step takes the lane again and goes on from what it says.
    pub async fn step(&mut self) -> Result<Step, PortError> {
        let (ports, start) = (self.ports, start_of(events_of(self.intake)));
        if let Some(instead) = self.hold.retake(ports, self.intake, start, self.digest.epoch).await? {
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
        let events = events_of(self.intake);
        let keys = keys_of(self.intake, reacted(self.intake, events, &fetch.records)).await?;
        let secrets = (&self.digest.key, &keys);
        let opened = fetch.records.iter().map(|record| open(self.intake, events, secrets, record));
        let opened: Vec<OpenedEvent> = opened.collect();
        let met: BTreeSet<RecordKey> = opened.iter().filter_map(key_of).cloned().collect();
        let known = known(self.ports, self.intake, &self.hold, &self.digest.key, met).await?;
        let fold = Fold::new(self.intake, events, &self.hold, known, self.ports.clock.now());
        let Made { mut batch, moved, cut } = make(fold, &self.hold, fetch, opened);
        if batch.next.position == self.hold.state().position {
            return match cut {
                Some(Cut::Halted(case)) => self.hold.stop(self.ports, *case).await,
                Some(Cut::Waiting) | None => self.hold.renew(self.ports, Step::Waiting).await,
            };
        }
        if mutant::is(Mutant::ReactionsAfterPosition) {
            let early = self.hold.batch(batch.next.clone());
            if self.hold.commit(self.ports, None, early).await? == Committed::Fenced {
                return Ok(Step::Fenced);
            }
            batch.expected.clone_from(&batch.next.position);
        }
        let projection = self.intake.state.as_ref().map(|state| &state.projection);
        Ok(match self.hold.commit(self.ports, projection, batch).await? {
            Committed::Fenced => Step::Fenced,
            Committed::Done => {
                self.hold.went_aside(self.ports.clock.now(), moved.aside);
                match cut {
                    Some(Cut::Halted(case)) => Step::Stopped(case),
                    Some(Cut::Waiting) | None => Step::Moved(moved),
                }
            }
        })
    }
}

fn start_of(events: &EventLane) -> Start {
    if events.starts_at == StartsAt::Now { Start::End } else { Start::Oldest }
}

fn key_of(opened: &OpenedEvent) -> Option<&RecordKey> {
    match opened {
        OpenedEvent::Foreign { key, .. } => key.as_ref(),
        OpenedEvent::Known { key, .. } => Some(key),
    }
}

/// Returns what is known of some keys on a lane of events.
///
/// # Errors
/// The store's.
pub async fn known<S: Store, L: Log, C: Clock>(
    ports: Ports<'_, S, L, C>,
    intake: &Intake,
    hold: &Hold,
    secret: &DigestKey,
    keys: BTreeSet<RecordKey>,
) -> Result<BTreeMap<RecordKey, Known>, PortError> {
    let keys: Vec<RecordKey> = keys.into_iter().collect();
    let mut all = BTreeMap::new();
    if keys.is_empty() {
        return Ok(all);
    }
    let chains = ports.store.chains(&hold.lane, &keys).await?;
    let reached: Vec<_> = match &intake.state {
        Some(state) => ports.store.markers(&state.projection, &keys).await?.iter().map(reached).collect(),
        None => vec![None; keys.len()],
    };
    let mut elsewhere = handover::seen_elsewhere(ports.store, intake, &hold.lane, &keys).await?;
    for ((key, (seen, aside)), reached) in keys.into_iter().zip(chains).zip(reached) {
        let seen = seen.max(elsewhere.remove(&key));
        let held = if aside { held(ports, intake, hold, secret, &key).await? } else { Vec::new() };
        all.insert(key, Known { seen, reached, held });
    }
    Ok(all)
}

async fn held<S: Store, L: Log, C: Clock>(
    ports: Ports<'_, S, L, C>,
    intake: &Intake,
    hold: &Hold,
    secret: &DigestKey,
    key: &RecordKey,
) -> Result<Vec<Held>, PortError> {
    let records = ports.store.aside(&intake.subscription, Some(key), WAITING_MAX).await?;
    let here = records.into_iter().filter(|record| record.lane == hold.lane);
    let here: Vec<(AsideRecord, Incoming)> = here.map(|record| (record.clone(), as_read(&record))).collect();
    let keys = keys_of(intake, here.iter().map(|(_, read)| read)).await?;
    let events = events_of(intake);
    let held = here.into_iter().map(|(record, read)| {
        let opened = open(intake, events, (secret, &keys), &read);
        Held { record, opened, stored: true }
    });
    Ok(held.collect())
}

/// Returns the records that may ask for a reaction: only their keys are asked for.
fn reacted<'r>(
    intake: &'r Intake,
    events: &'r EventLane,
    records: &'r [Incoming],
) -> impl Iterator<Item = &'r Incoming> {
    records.iter().filter(move |record| {
        is_sealed(record)
            && Envelope::from_headers(&record.headers).is_ok_and(|envelope| match &envelope.kind {
                MessageKind::Event(event) => {
                    events.reacts_to.contains(intake.event_name(envelope.contract.major, event))
                }
                MessageKind::State | MessageKind::Void => false,
            })
    })
}

/// Returns the reactions of a subscription that has some.
///
/// # Panics
/// When it has none.
pub(crate) fn events_of(intake: &Intake) -> &EventLane {
    intake.events.as_ref().expect("a subscription without reactions has no reactor")
}
