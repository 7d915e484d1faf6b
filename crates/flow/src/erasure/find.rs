//! Finding the keys of a subject: in the source view, in the outbox and in quarantine, and in what the log still holds.

use crate::erasure::{ErasureId, Held};
use crate::log::{Incoming, Log};
use crate::outlet::Outlet;
use crate::port::PortError;
use crate::source::Source;
use crate::sweep::Sweep;
use jiff::Timestamp;
use seamline_contract::id::AttributeName;
use seamline_contract::resolve::ResolvedContract;
use seamline_message::canonical;
use seamline_message::codec::Codec;
use seamline_message::key::RecordKey;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// How many rows or records are looked at in one go.
const PAGE: usize = 500;

/// How many rows of an outbox are looked at: what waits behind them is in the log before an erasure goes on.
const OUTBOX: usize = 10_000;

/// Returns the only key that a subject can have, where it is the key itself; none where it is another attribute.
pub fn key_itself(contract: &ResolvedContract, subject: &str) -> Option<RecordKey> {
    let of = contract.contract.subject.as_ref()?;
    (contract.contract.key == [of.clone()]).then(|| RecordKey::from_texts(&[subject.to_owned()]))
}

/// Returns the keys of a subject at a source.
///
/// # Errors
/// The source's.
pub async fn at_source<S: Source>(
    source: &S,
    outlet: &Outlet,
    subject: &str,
) -> Result<BTreeSet<RecordKey>, PortError> {
    let contract = &outlet.contract.name.contract;
    let mut keys = BTreeSet::new();
    let mut after: Option<RecordKey> = None;
    loop {
        let rows = source.scan(contract, after.as_ref(), PAGE).await?;
        let Some(last) = rows.last() else { break };
        after = Some(last.key.clone());
        let theirs = rows.into_iter().filter(|row| is_theirs(&outlet.codec, Some(&row.state), subject));
        keys.extend(theirs.map(|row| row.key));
    }
    let mut rows = source.waiting(OUTBOX).await?;
    rows.extend(source.due(contract, Timestamp::MAX, usize::MAX, u64::MAX).await?);
    let mut after = None;
    loop {
        let aside = source.aside_after(after, PAGE).await?;
        let Some(last) = aside.last() else { break };
        after = Some(last.sequence);
        for row in aside.iter().filter(|row| &row.contract == contract) {
            rows.extend(source.aside_row(row.sequence).await?);
        }
    }
    for row in rows.iter().filter(|row| &row.contract == contract) {
        if is_theirs(&outlet.codec, row.state.as_deref(), subject) {
            keys.extend(RecordKey::parse(row.key.as_bytes()).ok());
        }
    }
    Ok(keys)
}

/// Whether a state in source form is of the subject. One that cannot be read is of nobody.
fn is_theirs(codec: &Codec, state: Option<&[u8]>, subject: &str) -> bool {
    let contract = codec.contract();
    let Some(name) = &contract.contract.subject else { return false };
    let (Some(slot), Some(state)) = (contract.slot(name), state) else { return false };
    match codec.read_source(state) {
        Ok(row) => canonical::text(&row[slot]).as_deref() == Some(subject),
        Err(_) => member(state, name).as_deref() == Some(subject),
    }
}

/// Returns the text of a member of a JSON object, canonical or not.
fn member(json: &[u8], name: &AttributeName) -> Option<String> {
    text_of(serde_json::from_slice::<Value>(json).ok()?.get(name.as_str())?)
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// Returns the keys of a subject in a topic of state or events, as far as its records name the subject.
///
/// # Errors
/// The log's.
pub async fn in_log<L: Log>(
    log: &L,
    topic: &str,
    of: &AttributeName,
    subject: &str,
) -> Result<BTreeSet<RecordKey>, PortError> {
    let mut keys = BTreeSet::new();
    let Some(topic) = log.topic(topic).await? else { return Ok(keys) };
    for partition in 0..topic.partitions {
        let mut sweep = Sweep::begin(log, &topic, partition).await?;
        while let Some(records) = sweep.next(log, PAGE).await? {
            let theirs = records.iter().filter(|record| names(record, of, subject));
            keys.extend(theirs.filter_map(|record| RecordKey::parse(record.key.as_deref()?).ok()));
        }
    }
    Ok(keys)
}

/// Whether a record of state or of an event names the subject.
fn names(record: &Incoming, of: &AttributeName, subject: &str) -> bool {
    let Some(value) = &record.value else { return false };
    let Ok(value) = serde_json::from_slice::<Value>(value) else { return false };
    let member = |name: &str| value.get(name)?.get(of.as_str()).and_then(text_of);
    ["state", "carries"].into_iter().any(|name| member(name).as_deref() == Some(subject))
}

/// Returns what a source holds of keys, without the values; those that it never had are left out.
///
/// # Errors
/// The source's.
pub async fn held<S: Source>(
    source: &S,
    outlet: &Outlet,
    id: &ErasureId,
    keys: &BTreeSet<RecordKey>,
) -> Result<BTreeMap<String, Held>, PortError> {
    let keys: Vec<RecordKey> = keys.iter().cloned().collect();
    let mut held = BTreeMap::new();
    for keys in keys.chunks(PAGE) {
        for facts in source.look(&outlet.contract.name.contract, keys).await? {
            if facts.sequence.is_none() && facts.state.is_none() {
                continue;
            }
            let values = values(outlet.codec.contract(), facts.state.as_deref());
            let values = values.into_iter().map(|(name, value)| {
                let digest = id.digest(&name, &value);
                (name, digest)
            });
            let sequence = facts.sequence.map_or(0, |sequence| sequence.0);
            held.insert(facts.key.as_str().to_owned(), Held { sequence, values: values.collect() });
        }
    }
    Ok(held)
}

/// Returns the personal values of a state in source form, as texts, by attribute; those without a value are left out.
pub(crate) fn values(contract: &ResolvedContract, state: Option<&[u8]>) -> BTreeMap<String, String> {
    let Some(Value::Object(state)) = state.and_then(|state| serde_json::from_slice(state).ok()) else {
        return BTreeMap::new();
    };
    let value = |name: &AttributeName| {
        let value = state.get(name.as_str()).filter(|value| !value.is_null())?;
        Some((name.to_string(), value.to_string()))
    };
    contract.personal().into_iter().filter_map(value).collect()
}
