//! The oracle: what should be, by a model of its own. It knows keys and values, and nothing of how they travel.

use crate::log::SimLog;
use crate::source::SimSource;
use crate::store::SimStore;
use crate::story::{Machine, Story};
use seamline_contract::value::Value;
use seamline_flow::log::Incoming;
use seamline_message::key::RecordKey;
use seamline_message::sequence::Sequence;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard};

/// A policy as the service sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Its state, by number.
    pub status: usize,
    /// Its premium; below zero it breaks the contract.
    pub premium: i64,
    /// What a clerk wrote.
    pub note: Option<String>,
}

/// A change that was committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The sequence that was drawn for it.
    pub sequence: Sequence,
    /// The event.
    pub event: String,
    /// The policy after it; none: it ended.
    pub policy: Option<Policy>,
}

/// What should be.
#[derive(Debug, Default)]
pub struct Oracle {
    told: Mutex<BTreeMap<RecordKey, Vec<Told>>>,
}

impl Policy {
    /// Returns the policy in source form.
    pub fn to_json(&self, key: &RecordKey) -> Vec<u8> {
        let mut json = serde_json::json!({
            "policyId": key.texts()[0],
            "status": format!("v{}", self.status),
            "premium": self.premium,
        });
        if let Some(note) = &self.note {
            json["note"] = note.as_str().into();
        }
        json.to_string().into_bytes()
    }

    /// Reads a policy from source form.
    ///
    /// # Panics
    /// When it is not one that was written here.
    pub fn from_json(json: &[u8]) -> Policy {
        let json: serde_json::Value = serde_json::from_slice(json).expect("states are JSON");
        let status = json["status"].as_str().and_then(|status| status[1..].parse().ok());
        Policy {
            status: status.expect("states have a status"),
            premium: json["premium"].as_i64().expect("states have a premium"),
            note: json["note"].as_str().map(str::to_owned),
        }
    }

    /// Returns the row that a consumer should have of it.
    pub fn row(&self, key: &RecordKey, subscription: &str) -> Vec<Value> {
        let reference = Value::String(key.texts().remove(0));
        let note = self.note.clone().map_or(Value::Null, Value::String);
        match subscription {
            "cover" => vec![reference, Value::Boolean(self.status == 0), Value::Integer(self.premium), note],
            _ => vec![reference, Value::String(format!("v{}", self.status)), Value::Integer(self.premium)],
        }
    }
}

/// Returns whether a consumer reads an event from its topic, and whether it reacts to it.
fn of_interest(subscription: &str, event: &str) -> (bool, bool) {
    match subscription {
        "cover" => (true, matches!(event, "Became1" | "PremiumSet" | "Withdrawn")),
        _ => (matches!(event, "Withdrawn" | "Became1"), event == "Withdrawn"),
    }
}

/// The sequence that a record says it has; none for a record of nobody's.
pub fn sequence_of(record: &Incoming) -> Option<Sequence> {
    let text = std::str::from_utf8(record.headers.get("ce_sequence")?).ok()?;
    text.parse::<u64>().ok().map(Sequence)
}

fn header<'r>(record: &'r Incoming, name: &str) -> Option<&'r str> {
    std::str::from_utf8(record.headers.get(name)?).ok()
}

impl Oracle {
    fn told(&self) -> MutexGuard<'_, BTreeMap<RecordKey, Vec<Told>>> {
        self.told.lock().expect("no actor panics while it holds the oracle")
    }

    /// Hears of a change, in the moment of its commit.
    pub fn hear(&self, key: &RecordKey, told: Told) {
        self.told().entry(key.clone()).or_default().push(told);
    }

    /// Learns what a key is now, though nothing was told of it.
    pub fn correct(&self, key: &RecordKey, policy: Option<Policy>) {
        if let Some(last) = self.told().get_mut(key).and_then(|told| told.last_mut()) {
            last.policy = policy;
        }
    }

    /// Returns all that was told of each key.
    pub fn history(&self) -> BTreeMap<RecordKey, Vec<Told>> {
        self.told().clone()
    }

    /// Returns the policies that there should be.
    pub fn policies(&self) -> BTreeMap<RecordKey, Policy> {
        let told = self.told();
        let last = told.iter().filter_map(|(key, told)| Some((key.clone(), told.last()?.policy.clone()?)));
        last.collect()
    }

    /// Checks the service's own database: the model and the simulated tables tell one story.
    pub fn source_is_told(&self, source: &SimSource) -> Result<(), String> {
        let rows: BTreeMap<RecordKey, Policy> =
            source.rows().into_iter().map(|(key, row)| (key, Policy::from_json(&row))).collect();
        if rows == self.policies() { Ok(()) } else { Err("the source is not as told".to_owned()) }
    }

    /// Checks that each key's first occurrences in the log rise, and, where `whole`, that its last record is its highest.
    pub fn log_is_ordered(&self, log: &SimLog, topics: &[String], whole: bool) -> Result<(), String> {
        for topic in topics {
            for (partition, records) in log.records(topic).iter().enumerate() {
                let mut seen: BTreeMap<&[u8], (u64, u64)> = BTreeMap::new();
                for record in records {
                    let (Some(key), Some(Sequence(sequence))) = (record.key.as_deref(), place_of(record))
                    else {
                        continue;
                    };
                    let (highest, last) = seen.entry(key).or_insert((sequence, sequence));
                    *highest = (*highest).max(sequence);
                    *last = sequence;
                }
                let disordered = seen.iter().find(|(_, (highest, last))| highest != last);
                if let Some((key, places)) = disordered.filter(|_| whole) {
                    let key = String::from_utf8_lossy(key);
                    return Err(format!(
                        "{topic}/{partition}: the last of {key} is not its highest: {places:?}"
                    ));
                }
                first_occurrences_rise(topic, records)?;
            }
        }
        Ok(())
    }

    /// Checks that the events of each channel are those that were told and not discarded: nothing lost, nothing made up.
    pub fn events_are_told(&self, log: &SimLog, story: &Story, source: &SimSource) -> Result<(), String> {
        let discarded = source.explained();
        for intake in &story.intakes {
            let name = intake.subscription.subscription.as_str();
            let Some(events) = &intake.events else { continue };
            let mut logged: BTreeMap<RecordKey, BTreeSet<Sequence>> = BTreeMap::new();
            for record in log.records(&events.topic).iter().flatten() {
                let void = header(record, "ce_type").is_some_and(|kind| kind.ends_with(".void"));
                let key = record.key.as_deref().and_then(|key| RecordKey::parse(key).ok());
                if let (Some(key), Some(sequence), false) = (key, sequence_of(record), void) {
                    logged.entry(key).or_default().insert(sequence);
                }
            }
            let mut expected: BTreeMap<RecordKey, BTreeSet<Sequence>> = BTreeMap::new();
            for (key, told) in self.told().iter() {
                let wanted = told.iter().filter(|told| of_interest(name, &told.event).0);
                for told in wanted.filter(|told| !discarded.contains(&told.sequence)) {
                    expected.entry(key.clone()).or_default().insert(told.sequence);
                }
            }
            if logged != expected {
                return Err(format!("{}: {}", events.topic, differing(&expected, &logged)));
            }
        }
        Ok(())
    }

    /// Checks that a projection holds what it should, and nothing else.
    pub fn has_converged(&self, store: &SimStore, story: &Story, consumer: usize) -> Result<(), String> {
        let subscription = &story.intakes[consumer].subscription;
        let name = subscription.subscription.as_str();
        let policies = self.policies();
        let expected: BTreeMap<RecordKey, Vec<Value>> =
            policies.iter().map(|(key, policy)| (key.clone(), policy.row(key, name))).collect();
        let table = store.table(subscription).into_iter();
        let found: BTreeMap<RecordKey, Vec<Value>> =
            table.filter(|(_, row)| !row.ended).map(|(key, row)| (key, row.values)).collect();
        if found != expected {
            return Err(format!("{name} has not converged: {}", differing(&expected, &found)));
        }
        Ok(())
    }

    /// Checks that each reaction is in the inbox once, in the order of its key, and none is missing.
    pub fn inbox_is_whole(
        &self,
        store: &SimStore,
        story: &Story,
        consumer: usize,
        source: &SimSource,
    ) -> Result<(), String> {
        let discarded = source.explained();
        let subscription = &story.intakes[consumer].subscription;
        let name = subscription.subscription.as_str();
        let mut expected: BTreeMap<RecordKey, Vec<(Sequence, String)>> = BTreeMap::new();
        for (key, told) in self.told().iter() {
            let wanted = told.iter().filter(|told| of_interest(name, &told.event).1);
            for told in wanted.filter(|told| !discarded.contains(&told.sequence)) {
                expected.entry(key.clone()).or_default().push((told.sequence, told.event.clone()));
            }
        }
        let mut found: BTreeMap<RecordKey, Vec<(Sequence, String)>> = BTreeMap::new();
        for row in store.inbox(subscription) {
            found.entry(row.key).or_default().push((row.sequence, row.event));
        }
        if found != expected {
            return Err(format!("the inbox of {name} is not whole: {}", differing(&expected, &found)));
        }
        Ok(())
    }
}

/// Where a record stands in its key: a void stands where the event stood whose place it takes.
fn place_of(record: &Incoming) -> Option<Sequence> {
    header(record, "ce_specversion")?;
    sequence_of(record)
}

fn first_occurrences_rise(topic: &str, records: &[Incoming]) -> Result<(), String> {
    let mut seen: BTreeMap<&[u8], BTreeSet<Sequence>> = BTreeMap::new();
    for record in records {
        let (Some(key), Some(sequence)) = (record.key.as_deref(), place_of(record)) else { continue };
        let before = seen.entry(key).or_default();
        if !before.contains(&sequence) && before.last().is_some_and(|last| *last > sequence) {
            let key = String::from_utf8_lossy(key);
            return Err(format!("{topic}: {key} has {} behind {:?}", sequence.0, before.last()));
        }
        before.insert(sequence);
    }
    Ok(())
}

fn differing<V: PartialEq + std::fmt::Debug>(
    expected: &BTreeMap<RecordKey, V>,
    found: &BTreeMap<RecordKey, V>,
) -> String {
    let keys: BTreeSet<&RecordKey> = expected.keys().chain(found.keys()).collect();
    let different = keys.into_iter().filter(|key| expected.get(key) != found.get(key));
    let lines =
        different.map(|key| format!("\n  {key}: should be {:?}, is {:?}", expected.get(key), found.get(key)));
    lines.collect()
}

/// Checks that a life goes by the machine's steps.
pub fn is_a_life(machine: &Machine, told: &[Told]) -> bool {
    let mut before: Option<usize> = None;
    told.iter().all(|told| {
        let now = told.policy.as_ref().map(|policy| policy.status);
        let allowed = match (before, now) {
            (None, Some(now)) => machine.beginnings().contains(&now),
            (Some(before), Some(now)) => before == now || machine.moves.contains(&(before, now)),
            (Some(before), None) => machine.may_end(before),
            (None, None) => false,
        };
        before = now;
        allowed
    })
}
