//! The relay of a database as one of its workers: taken over when it is free, stepped, taken again when it was lost.

use crate::agent::Agent;
use crate::clock::SystemClock;
use crate::database::Database;
use crate::log::SiteLog;
use crate::workers::Pace;
use jiff::Timestamp;
use seamline_contract::id::ContractId;
use seamline_flow::case::{CaseKind, CaseStage, Cases, NewCase};
use seamline_flow::clock::Clock;
use seamline_flow::outlet::OutletSet;
use seamline_flow::port::PortError;
use seamline_flow::relay::{FIRST_ROWS, Relay, RelayPorts, Step, Stepped, TakeOver};
use seamline_flow::schedule::late_fingerprint;

/// The relay of a database.
pub(crate) struct RelayWork<'a> {
    agent: &'a Agent,
    outlets: &'a OutletSet,
    relay: Option<Relay<'a, Database, SiteLog, SystemClock>>,
}

/// What a step of the relay did, and when to step again.
pub(crate) struct Relayed {
    pub(crate) pace: Pace,
    pub(crate) stepped: Stepped,
}

impl<'a> RelayWork<'a> {
    /// Returns the relay of an agent that publishes, not taken over yet.
    pub(crate) fn new(agent: &'a Agent) -> Option<Self> {
        let outlets = agent.outlets.as_ref()?;
        Some(RelayWork { agent, outlets, relay: None })
    }

    /// Returns whether it was taken over.
    pub(crate) fn is_held(&self) -> bool {
        self.relay.is_some()
    }

    /// Takes it over where it is not held, and publishes what waits.
    ///
    /// # Errors
    /// The ports'; it is safe to go on.
    pub(crate) async fn step(&mut self) -> Result<Relayed, PortError> {
        if self.relay.is_none() {
            let agent = self.agent;
            if let Some(why) = agent.database.slot_in_the_way().await? {
                let case = slot_case(self.outlets, why);
                agent.database.raise(&case, Timestamp::now()).await?;
                return Ok(resting(Pace::Stopped(Box::new(case))));
            }
            let ports = RelayPorts {
                source: &agent.database,
                log: agent.log.as_ref(),
                clock: &SystemClock,
                holder: agent.holder(),
                ttl: agent.lease,
                first_rows: FIRST_ROWS,
            };
            match Relay::take_over(ports, self.outlets).await? {
                TakeOver::Held(relay) => self.relay = Some(relay),
                TakeOver::Busy { until } => return Ok(resting(Pace::Busy(until))),
                TakeOver::Rewound(case) => return Ok(resting(Pace::Stopped(case))),
            }
        }
        let step = match self.relay.as_mut().expect("it was taken over").step().await {
            Ok(step) => step,
            Err(error) => {
                // Taken over anew, it tells of a slot that cannot go on; otherwise it keeps what it knows of floods and parked topics.
                if self.agent.database.slot_in_the_way().await?.is_some() {
                    self.relay = None;
                }
                return Err(error);
            }
        };
        Ok(match step {
            Step::Stepped(stepped) => {
                let moved = stepped.published + stepped.aside + stepped.deferred;
                self.sent(&stepped.sent).await?;
                Relayed { pace: if moved > 0 { Pace::Moved(moved) } else { Pace::Idle }, stepped }
            }
            Step::LostTenure => resting(Pace::Idle),
            Step::Busy { until } => {
                self.relay = None;
                resting(Pace::Busy(until))
            }
            Step::Rewound(case) => {
                self.relay = None;
                resting(Pace::Stopped(case))
            }
        })
    }
}

impl RelayWork<'_> {
    /// Closes the cases of contracts of which something was late at its hour, and all left since.
    async fn sent(&self, contracts: &[ContractId]) -> Result<(), PortError> {
        if contracts.is_empty() {
            return Ok(());
        }
        let database = &self.agent.database;
        let outlets = contracts.iter().filter_map(|contract| self.outlets.get(contract));
        let late: Vec<String> = outlets.map(|outlet| late_fingerprint(&outlet.contract)).collect();
        for case in database.cases(false).await? {
            if late.contains(&case.raised.fingerprint) {
                let note = "all that was due at its hour has left";
                database.advance(case.id, CaseStage::Closed, note, SystemClock.now()).await?;
            }
        }
        Ok(())
    }
}

/// Returns the case of an outbox whose slot cannot go on.
fn slot_case(outlets: &OutletSet, why: &str) -> NewCase {
    let source = outlets.source_name();
    NewCase {
        kind: CaseKind::Rewound,
        fingerprint: format!("slot/{source}"),
        subject: format!("{source}/slot"),
        owed_by: outlets.context.clone(),
        summary: format!(
            "rows of `{source}` cannot leave through logical replication: {why}; they wait in the outbox until \
             `seamline install {}` makes the slot anew",
            outlets.context
        ),
        details: serde_json::json!({ "why": why }).to_string(),
    }
}

fn resting(pace: Pace) -> Relayed {
    Relayed { pace, stepped: Stepped::default() }
}
