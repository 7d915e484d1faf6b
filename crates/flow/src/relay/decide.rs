//! Which rows of a snapshot are published, which go aside and which behind them. Pure.

use crate::case::{CaseKind, NewCase};
use crate::log::Outgoing;
use crate::outlet::OutletSet;
use crate::relay::batch::{BatchRecord, batch_record, encode};
use crate::relay::records::records;
use crate::seal::sealer::SubjectKeys;
use crate::source::{OutboxRow, SetAside};
use seamline_contract::channel::ChannelKind;
use seamline_contract::id::{ContractId, ContractRef};
use seamline_message::headers::Headers;
use seamline_message::mutant::{self, Mutant};
use seamline_message::sequence::Sequence;
use seamline_message::violation::Violation;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// What is to become of the rows of a snapshot.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Plan {
    /// What goes into the log, the batch record last; empty when no row does.
    pub records: Vec<Outgoing>,
    /// The batch; none when no row is published.
    pub batch: Option<BatchRecord>,
    /// The rows that go to quarantine.
    pub aside: Vec<SetAside>,
    /// Rows that are sent at an hour, and are put off until then.
    pub deferred: Vec<Sequence>,
    /// One for each contract, rule and path that was broken.
    pub cases: Vec<NewCase>,
    /// How many rows stay: their contract is parked, or not served here, or only in an older version than theirs.
    pub staying: u64,
    /// Contracts of rows that no outlet serves, or none of their version yet.
    pub unserved: BTreeSet<ContractId>,
}

impl Plan {
    /// Returns whether no row moves by it.
    pub fn rests(&self) -> bool {
        self.batch.is_none() && self.aside.is_empty() && self.deferred.is_empty()
    }
}

/// Decides on rows, in the order of the queue. `number` is that of the batch; `partitions` says of each topic how many it
/// has, `keys` under which those that seal are sealed. Rows of parked contracts stay where they are. `due`: these were put off, and their hour has come.
pub fn decide(
    outlets: &OutletSet,
    rows: &[OutboxRow],
    parked: &BTreeSet<ContractId>,
    partitions: &BTreeMap<String, u32>,
    number: u64,
    keys: &SubjectKeys,
    due: bool,
) -> Plan {
    let mut plan = Plan::default();
    let mut published: Vec<&OutboxRow> = Vec::new();
    let mut broken: BTreeSet<(&ContractId, &str)> = BTreeSet::new();
    let mut found: BTreeMap<(ContractRef, String, String), (String, u64)> = BTreeMap::new();
    let count =
        |topic: &str| partitions.get(topic).copied().expect("a contract without its topics is parked");
    // Keys with a row that stays: none of theirs may pass it.
    let mut newer: BTreeSet<(&ContractId, &str)> = BTreeSet::new();
    for row in rows {
        let Some(outlet) = outlets.get(&row.contract) else {
            plan.unserved.insert(row.contract.clone());
            plan.staying += 1;
            continue;
        };
        if parked.contains(&row.contract) {
            plan.staying += 1;
            continue;
        }
        let key = (&row.contract, row.key.as_str());
        if !outlet.knows(row.version) || newer.contains(&key) {
            newer.insert(key);
            plan.unserved.insert(row.contract.clone());
            plan.staying += 1;
            continue;
        }
        if row.behind || broken.contains(&key) {
            plan.aside.push(SetAside { sequence: row.sequence, violation: None });
            continue;
        }
        if outlet.schedule.is_some() && !due {
            plan.deferred.push(row.sequence);
            continue;
        }
        match records(&outlets.system, outlet, row, (&count, keys), &mut plan.records) {
            Ok(()) => published.push(row),
            Err(violation) => {
                broken.insert(key);
                let (rule, path) = (violation.rule.to_string(), violation.path.clone());
                let group = found.entry((outlet.contract.clone(), rule, path));
                group.or_insert_with(|| (violation.message.clone(), 0)).1 += 1;
                plan.aside.push(set_aside(row.sequence, violation));
            }
        }
    }
    plan.cases =
        found.into_iter().map(|(broken, (message, rows))| quarantined(broken, &message, rows)).collect();
    if due {
        newest_states(outlets, &mut plan.records);
    }
    if mutant::is(Mutant::OrderReversed) {
        plan.records.reverse();
    }
    if !published.is_empty() {
        let batch = batch_record(number, &published);
        plan.records.push(batch_outgoing(outlets, &batch));
        plan.batch = Some(batch);
    }
    plan
}

/// Leaves of the states of each key the newest: what is sent at its hour tells what is so then.
fn newest_states(outlets: &OutletSet, records: &mut Vec<Outgoing>) {
    let states: BTreeSet<&str> = outlets
        .all()
        .flat_map(|outlet| outlet.channels_of(ChannelKind::State))
        .map(|channel| channel.topic.as_str())
        .collect();
    let mut seen = BTreeSet::new();
    let keep = |record: &Outgoing| {
        !states.contains(record.topic.as_str()) || seen.insert((record.topic.clone(), record.key.clone()))
    };
    let mut kept: Vec<bool> = records.iter().rev().map(keep).collect();
    records.retain(|_| kept.pop().expect("one for each record"));
}

fn set_aside(sequence: Sequence, violation: Violation) -> SetAside {
    let violation = (violation.rule.to_string(), violation.path, violation.message);
    SetAside { sequence, violation: Some(violation) }
}

fn batch_outgoing(outlets: &OutletSet, batch: &BatchRecord) -> Outgoing {
    Outgoing {
        topic: outlets.batches().name,
        partition: 0,
        key: Some(outlets.source_name().into_bytes()),
        headers: Headers::default(),
        value: Some(encode(batch)),
    }
}

fn quarantined((contract, rule, path): (ContractRef, String, String), message: &str, rows: u64) -> NewCase {
    let keys = if rows == 1 { "key is" } else { "keys are" };
    NewCase {
        kind: CaseKind::Quarantine,
        fingerprint: format!("quarantine/{contract}/{rule}/{path}"),
        subject: contract.to_string(),
        owed_by: contract.name.context.clone(),
        summary: format!("{rows} {keys} held back at the source: {rule} at `{path}`: {message}"),
        details: json!({ "rule": rule, "path": path, "message": message, "keys": rows }).to_string(),
    }
}

/// Returns the case of a topic that refuses for good, or is not there: these contracts wait.
pub fn parked_case(outlets: &OutletSet, topic: &str, reason: &str, contracts: &[ContractId]) -> NewCase {
    let names: Vec<&str> = contracts.iter().map(ContractId::as_str).collect();
    NewCase {
        kind: CaseKind::Topic,
        fingerprint: format!("topic/{}/{topic}/refused", outlets.source_name()),
        subject: topic.to_owned(),
        owed_by: outlets.context.clone(),
        summary: format!("`{topic}` takes no records: {reason}; rows of {} wait", names.join(", ")),
        details: json!({ "topic": topic, "reason": reason, "contracts": names }).to_string(),
    }
}

/// Returns the case of rows whose contract this relay does not serve.
pub fn unserved_case(outlets: &OutletSet, contract: &ContractId) -> NewCase {
    NewCase {
        kind: CaseKind::Topic,
        fingerprint: format!("topic/{}/{contract}/unserved", outlets.source_name()),
        subject: format!("{}/{contract}", outlets.context),
        owed_by: outlets.context.clone(),
        summary: format!(
            "rows of `{contract}` wait in `{}`, and its relay does not serve it, or knows an older version than theirs: let \
             an agent of the estate that installed it run",
            outlets.system
        ),
        details: json!({ "contract": contract.as_str() }).to_string(),
    }
}

/// Returns the case of a source and a log that are not of one history.
pub fn rewound_case(outlets: &OutletSet, why: &str, removed: u64, log: Option<u64>) -> NewCase {
    let source = outlets.source_name();
    NewCase {
        kind: CaseKind::Rewound,
        fingerprint: format!("rewound/{source}"),
        subject: source.clone(),
        owed_by: outlets.context.clone(),
        summary: format!(
            "`{source}` and the log are not of one history: {why}; nothing is published until \
             `seamline outbox rebase {}` opens the next one",
            outlets.context
        ),
        details: json!({ "removed": removed, "log": log, "why": why }).to_string(),
    }
}

#[cfg(test)]
mod tests;
