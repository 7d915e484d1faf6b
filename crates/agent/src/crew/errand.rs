//! The loops of errands: letters are posted, commands and outcomes are heard, and what is late is told.

use super::backoff::Backoff;
use super::{Desk, NAP, NO_TOPIC};
use crate::errand::{HearWork, PostWork};
use crate::workers::Pace;
use futures_util::future::join_all;
use jiff::Timestamp;
use seamline_flow::errand::hear::Hearing;
use seamline_flow::errand::{Errands, tell_overdue};
use seamline_flow::inbox::DONE_KEPT;
use seamline_flow::log::Log;
use seamline_flow::port::PortError;
use std::time::Duration;

/// How often one looks for what is late.
const LOOK: Duration = Duration::from_secs(1);

/// How many commands that ended are forgotten at once.
const FORGOTTEN: u32 = 1_000;

/// Posts letters until told to stop.
pub(super) async fn post(desk: &Desk<'_>, mut post: PostWork<'_>) {
    let (mut backoff, mut nap, mut told) = (Backoff::default(), NAP.0, None);
    while !desk.stopping() {
        let stepped = post.step().await;
        rest(desk, "post", stepped, &mut backoff, &mut nap, &mut told).await;
    }
}

/// Hears all partitions of a topic until told to stop.
pub(super) async fn hear(desk: &Desk<'_>, hearing: &Hearing) {
    let mut backoff = Backoff::default();
    let partitions = loop {
        if desk.stopping() {
            return;
        }
        match desk.agent.log.topic(&hearing.topic).await {
            Ok(Some(topic)) => break topic.partitions,
            Ok(None) => desk.nap(NO_TOPIC).await,
            Err(error) => desk.failed("hearer", &error, &mut backoff).await,
        }
    };
    join_all((0..partitions).map(|at| lane(desk, HearWork::new(desk.agent.ports(), hearing, at)))).await;
}

async fn lane(desk: &Desk<'_>, mut lane: HearWork<'_>) {
    let (mut backoff, mut nap, mut told) = (Backoff::default(), NAP.0, None);
    while !desk.stopping() {
        let stepped = {
            let _permit = desk.gate.acquire().await.expect("the gate is never closed");
            lane.step().await
        };
        rest(desk, "hearer", stepped, &mut backoff, &mut nap, &mut told).await;
    }
}

/// Rests as a step asks for.
pub(super) async fn rest(
    desk: &Desk<'_>,
    worker: &'static str,
    stepped: Result<Pace, PortError>,
    backoff: &mut Backoff,
    nap: &mut Duration,
    told: &mut Option<String>,
) {
    let pace = match stepped {
        Ok(pace) => pace,
        Err(error) => return desk.failed(worker, &error, backoff).await,
    };
    desk.recovered(worker, backoff);
    match pace {
        Pace::Moved(count) => {
            desk.metrics.errands(worker, count);
            *nap = NAP.0;
            tokio::task::yield_now().await;
        }
        Pace::Idle | Pace::Waiting => {
            desk.nap(*nap).await;
            *nap = (*nap * 2).min(NAP.1);
        }
        Pace::Busy(until) => desk.wait_for_lease(until, backoff).await,
        Pace::NoTopic => desk.nap(NO_TOPIC).await,
        Pace::Stopped(case) => desk.stopped(worker, &case, told, || false).await,
    }
}

/// Tells of commands whose outcome did not come in time, and forgets old ones that ended.
pub(super) async fn watch(desk: &Desk<'_>) {
    while !desk.stopping() {
        let now = Timestamp::now();
        let before = now.saturating_sub(DONE_KEPT).unwrap_or(Timestamp::MIN);
        let watched = async {
            let database = &desk.agent.database;
            let late = tell_overdue(database, now).await?;
            desk.metrics.commands_late(late);
            database.forget_commands(before, FORGOTTEN).await?;
            Ok::<(), PortError>(())
        };
        if let Err(error) = watched.await {
            tracing::debug!(context = %desk.agent.context, error = %error, "late commands could not be looked for");
        }
        desk.nap(LOOK).await;
    }
}
