//! The upkeep of an inbox: what is done is forgotten once it is old, and what waits is counted.

use super::{COUNTED, Desk};
use jiff::Timestamp;
use seamline_flow::inbox::{DONE_KEPT, Inbox};
use seamline_flow::port::PortError;
use std::time::Duration;

/// How many rows are forgotten in one transaction.
const FORGOTTEN: u32 = 1_000;

/// How long one rests between two such transactions: the service's own work goes first.
const REST: Duration = Duration::from_millis(100);

/// Keeps the inbox until told to stop. A database that does not answer is told of by whoever needs it.
pub(super) async fn work(desk: &Desk<'_>) {
    while !desk.stopping() {
        if let Err(error) = keep(desk).await {
            tracing::debug!(context = %desk.agent.context, error = %error, "the inbox could not be kept");
        }
        desk.nap(COUNTED).await;
    }
}

async fn keep(desk: &Desk<'_>) -> Result<(), PortError> {
    let database = &desk.agent.database;
    let counts = database.inbox_counts().await?;
    let intakes = desk.agent.intakes.iter().filter(|intake| intake.events.is_some());
    let hearings = desk.agent.errands.hearings.iter().map(|hearing| &hearing.subscription);
    for subscription in intakes.map(|intake| &intake.subscription).chain(hearings) {
        desk.metrics.inbox(subscription, &counts);
    }
    let before = Timestamp::now().saturating_sub(DONE_KEPT).unwrap_or(Timestamp::MIN);
    while database.forget_done(before, FORGOTTEN).await? == u64::from(FORGOTTEN) && !desk.stopping() {
        desk.nap(REST).await;
    }
    Ok(())
}
