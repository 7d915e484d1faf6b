//! The auditors of what an agent publishes.

use crate::agent::Agent;
use crate::clock::SystemClock;
use crate::database::Database;
use crate::log::SiteLog;
use jiff::Timestamp;
use seamline_flow::audit::{AuditPorts, Auditor};

/// The auditor of one topic.
pub(crate) type AuditWork<'a> = Auditor<'a, Database, SiteLog, SystemClock>;

/// Returns an auditor for each topic of what is published and alive.
pub(crate) fn audits(agent: &Agent) -> Vec<AuditWork<'_>> {
    let ports = AuditPorts {
        database: &agent.database,
        log: agent.log.as_ref(),
        clock: &SystemClock,
        holder: agent.holder(),
        ttl: agent.lease,
    };
    let now = Timestamp::now();
    let outlets =
        agent.outlets.iter().flat_map(|outlets| outlets.all()).filter(|outlet| outlet.is_alive(now));
    let channels = outlets.flat_map(|outlet| outlet.channels.iter().map(move |channel| (outlet, channel)));
    channels.map(|(outlet, channel)| Auditor::new(ports, outlet, channel)).collect()
}
