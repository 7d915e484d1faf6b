//! The loop of a relay: publishes while rows wait, and dozes until rows come.

use super::backoff::Backoff;
use super::{Desk, NAP};
use crate::relay::RelayWork;
use crate::workers::Pace;
use seamline_flow::port::PortError;
use seamline_flow::source::Source;
use std::time::Duration;

/// How long a relay sleeps at most before it looks by itself whether rows wait.
const DOZE: Duration = Duration::from_secs(1);

/// How long it rests when all that waits belongs to contracts that rest.
const PARKED: Duration = Duration::from_millis(500);

/// Relays until told to stop.
pub(super) async fn work(desk: &Desk<'_>, mut relay: RelayWork<'_>) {
    let (mut backoff, mut nap, mut told) = (Backoff::default(), NAP.0, None);
    while !desk.stopping() {
        let relayed = match relay.step().await {
            Ok(relayed) => relayed,
            Err(error) => {
                desk.failed("relay", &error, &mut backoff).await;
                continue;
            }
        };
        desk.recovered("relay", &mut backoff);
        desk.metrics.relayed(&relayed.stepped, relay.is_held());
        match relayed.pace {
            Pace::Moved(_) => {
                nap = NAP.0;
                tokio::task::yield_now().await;
            }
            Pace::Idle | Pace::Waiting | Pace::NoTopic if relayed.stepped.staying > 0 => {
                desk.nap(PARKED).await
            }
            Pace::Idle | Pace::Waiting | Pace::NoTopic => match doze(desk).await {
                Ok(true) => {}
                Ok(false) => {
                    desk.nap(nap).await;
                    nap = (nap * 2).min(NAP.1);
                }
                Err(error) => desk.failed("relay", &error, &mut backoff).await,
            },
            Pace::Busy(until) => desk.wait_for_lease(until, &backoff).await,
            Pace::Stopped(case) => desk.stopped("relay", &case, &mut told, || false).await,
        }
    }
}

/// Waits until rows may have come, or until it is time to renew the lease. Returns false where nobody tells.
async fn doze(desk: &Desk<'_>) -> Result<bool, PortError> {
    let mut stop = desk.stop.clone();
    let patience = DOZE.min(desk.agent.lease / 6);
    tokio::select! {
        biased;
        _ = stop.wait_for(|stop| *stop) => Ok(true),
        woken = desk.agent.database.doze(patience) => woken,
    }
}
