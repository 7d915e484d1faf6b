//! Whether somebody reads back what is published: without an auditor no consumer can tell that a message was lost.

use super::Checks;
use crate::compiled::Compiled;
use crate::database::Database;
use crate::site::Site;
use jiff::Timestamp;
use seamline_contract::channel::ChannelKind;
use seamline_contract::id::ContextId;
use seamline_flow::audit::keep::Audits;
use seamline_flow::lease::Leases;

/// Looks for an auditor of each topic of state that somebody subscribes to, while a relay is at work.
pub(super) async fn examine(
    database: &Database,
    site: &Site,
    context: &ContextId,
    compiled: &Compiled,
    checks: &mut Checks,
) {
    let now = Timestamp::now();
    let (Ok(leases), Ok(audits)) = (database.leases(now).await, database.audits().await) else { return };
    if !leases.iter().any(|lease| lease.lane.is_none()) {
        return;
    }
    for outlet in compiled.outlets.iter().flat_map(|outlets| outlets.all()).filter(|it| it.is_alive(now)) {
        let reads = |it: &seamline_contract::subscription::Subscription| it.contract == outlet.contract;
        if !site.estate.subscriptions.iter().any(reads) {
            continue;
        }
        for channel in outlet.channels_of(ChannelKind::State) {
            let held =
                audits.iter().find(|it| it.topic == channel.topic && it.until.is_some_and(|at| at > now));
            match held.and_then(|it| it.holder.as_deref()) {
                Some(holder) => checks.well("auditor", &channel.topic, format!("{holder} reads it back")),
                None => checks.ill(
                    "auditor",
                    &channel.topic,
                    "nobody reads it back, and its consumers cannot tell that something was lost",
                    format!("restart `seamline agent {context}`, and see its log"),
                ),
            }
        }
    }
}
