//! The loops of auditors: each topic that is published here is read back, and told of.

use super::Desk;
use super::backoff::Backoff;
use crate::audit::{AuditWork, audits};
use futures_util::future::join_all;
use jiff::Timestamp;
use seamline_flow::audit::Audited;
use seamline_flow::case::Cases;
use seamline_flow::port::PortError;
use std::time::{Duration, Instant};

/// How long an auditor collects records before it reads them: a few large writes cost a database less than many small ones.
const COLLECTS: Duration = Duration::from_millis(250);

/// A step that reads at least so many records goes on at once.
const MANY: u64 = 1_000;

/// How long it waits where there is no topic, or none that takes points.
const NO_TOPIC: Duration = Duration::from_secs(5);

/// How often the points of a log in a file are cleared of old ones: nothing else does.
const TIDIED: Duration = Duration::from_secs(60);

/// Audits all topics until told to stop.
pub(super) async fn work(desk: &Desk<'_>) {
    join_all(audits(desk.agent).into_iter().map(|audit| one(desk, audit))).await;
}

async fn one(desk: &Desk<'_>, mut audit: AuditWork<'_>) {
    let (mut backoff, mut tidied, mut refused) = (Backoff::default(), Instant::now(), false);
    while !desk.stopping() {
        let audited = match step(desk, &mut audit).await {
            Ok(audited) => audited,
            Err(error) => {
                desk.failed("auditor", &error, &mut backoff).await;
                continue;
            }
        };
        desk.recovered("auditor", &mut backoff);
        desk.metrics.audited(audit.topic(), &audited, audit.lag());
        match audited {
            Audited::Moved { records, .. } if records >= MANY => tokio::task::yield_now().await,
            Audited::Moved { .. } | Audited::Idle => desk.nap(COLLECTS).await,
            Audited::Busy { until } => desk.wait_for_lease(until, &backoff).await,
            Audited::NoTopic => desk.nap(NO_TOPIC).await,
            Audited::Refused(reason) => {
                if !std::mem::replace(&mut refused, true) {
                    tracing::warn!(
                        context = %desk.agent.context,
                        topic = audit.topic(),
                        reason,
                        "the topic with the points takes none: `seamline doctor` says what is other than it should be"
                    );
                }
                desk.nap(NO_TOPIC).await;
            }
        }
        if tidied.elapsed() > TIDIED {
            tidied = Instant::now();
            if let Err(error) = desk.agent.log.tidy_points(audit.topic()).await {
                desk.failed("auditor", &error, &mut backoff).await;
            }
        }
    }
    // A database that does not answer ends the lease by itself.
    let _ = audit.give_back().await;
}

async fn step(desk: &Desk<'_>, audit: &mut AuditWork<'_>) -> Result<Audited, PortError> {
    let audited = audit.step().await?;
    for case in audit.cases().await? {
        tracing::warn!(context = %desk.agent.context, subject = %case.subject, summary = %case.summary, "an auditor found what a log should not hold");
        desk.agent.database.raise(&case, Timestamp::now()).await?;
    }
    Ok(audited)
}
