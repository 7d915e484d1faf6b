//! The loops of reference data: sets are sent at their hours, whole ones are taken, and late ones are told of.

use super::backoff::Backoff;
use super::errand::rest;
use super::{Desk, NAP};
use crate::reference::{SendWork, TakeWork, Told};
use crate::workers::Pace;
use std::time::Duration;

/// How often one looks whether a set is due, and for sets that are late.
const LOOK: Duration = Duration::from_secs(1);

/// Sends the sets of a contract until told to stop.
pub(super) async fn send(desk: &Desk<'_>, mut work: SendWork<'_>) {
    let (mut backoff, mut nap, mut told) = (Backoff::default(), NAP.0, None);
    while !desk.stopping() {
        match work.step().await {
            Ok(Pace::Moved(records)) => desk.metrics.set_records("setSender", records),
            Ok(Pace::Idle) => desk.nap(LOOK / 4).await,
            stepped => rest(desk, "setSender", stepped, &mut backoff, &mut nap, &mut told).await,
        }
    }
}

/// Takes the sets of a subscription until told to stop.
pub(super) async fn take(desk: &Desk<'_>, mut work: TakeWork<'_>) {
    let (mut backoff, mut nap, mut told) = (Backoff::default(), NAP.0, None);
    while !desk.stopping() {
        let stepped = {
            let _permit = desk.gate.acquire().await.expect("the gate is never closed");
            work.step().await
        };
        match stepped {
            Ok(Pace::Moved(records)) => desk.metrics.set_records("setTaker", records),
            stepped => rest(desk, "setTaker", stepped, &mut backoff, &mut nap, &mut told).await,
        }
    }
}

/// Tells of sets that did not come in time.
pub(super) async fn watch(desk: &Desk<'_>) {
    let mut told = Told::default();
    while !desk.stopping() {
        if let Err(error) = told.tell(desk.agent.ports(), &desk.agent.intakes).await {
            tracing::debug!(context = %desk.agent.context, error = %error, "late sets could not be looked for");
        }
        desk.nap(LOOK).await;
    }
}
