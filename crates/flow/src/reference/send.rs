//! Sending a set: its number is drawn, the source is read in one snapshot, rows and manifest are appended, and it is noted.
//!
//! Whoever dies in between leaves rows without a manifest, which nobody takes; the next one sends the set under another number.

use super::{Outflow, PARTITION, SET_BYTES_MAX, SET_ROWS_MAX, Sending, SentSet, Sets};
use crate::case::{CaseKind, Cases, NewCase};
use crate::clock::Clock;
use crate::hold::Ports;
use crate::log::{Appended, Fence, Fetched, Log, Outgoing};
use crate::pen::{self, Pen, Right};
use crate::port::PortError;
use crate::position::TopicIdentity;
use crate::source::{Source, SourceRow};
use crate::stop;
use crate::store::{Lane, Store};
use jiff::Timestamp;
use seamline_contract::id::ContextId;
use seamline_message::headers::Headers;
use seamline_message::set::{Manifest, Part, SetDigest, SetRecord};
use seamline_message::violation::{Rule, Violation};
use serde_json::json;
use std::collections::BTreeMap;

/// How many records are appended at once.
pub const CHUNK: usize = 500;

/// How many records are read at once where the last manifest is looked for.
const LOOK: usize = 1_000;

/// What one step did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A set with so many rows left.
    Sent(u64),
    /// None is due.
    Idle,
    /// The topic is not there yet.
    NoTopic,
    /// Another sends.
    Busy {
        /// Until when, unless renewed.
        until: Timestamp,
    },
    /// The set cannot be sent. The case is raised.
    Stopped(Box<NewCase>),
}

/// What the topic holds, as its last manifest and what lies behind it say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Known {
    number: u64,
    slot: Option<u32>,
    /// How many places of each slot may hold a record.
    slots: BTreeMap<u32, u64>,
}

/// Sends the sets of one contract.
#[derive(Debug)]
pub struct Sender<'a, Q, S, L, C> {
    source: &'a Q,
    ports: Ports<'a, S, L, C>,
    outflow: &'a Outflow,
    pen: Pen,
    known: Option<Known>,
    chunk: usize,
}

/// Returns the lane whose lease says who sends the sets of a contract.
pub fn lease(context: &ContextId, outflow: &Outflow) -> Lane {
    pen::lease(context, "sets", &outflow.producer_name())
}

/// A set as it is sent.
struct Written {
    sent: SentSet,
    records: Vec<Outgoing>,
    known: Known,
}

impl<'a, Q: Source, S: Store + Sets + Cases, L: Log, C: Clock> Sender<'a, Q, S, L, C> {
    /// Returns the sender of a contract's sets, not yet at work; `chunk` is how many records are appended at once.
    pub fn new(source: &'a Q, ports: Ports<'a, S, L, C>, outflow: &'a Outflow, chunk: usize) -> Self {
        let pen = Pen::new(lease(&outflow.contract.name.context, outflow));
        Sender { source, ports, outflow, pen, known: None, chunk: chunk.max(1) }
    }

    /// Sends the set that is due. Cancel safe: what was not sent whole is sent again under another number.
    ///
    /// # Errors
    /// The ports'; it is safe to go on.
    pub async fn step(&mut self) -> Result<Step, PortError> {
        let contract = &self.outflow.contract.name.contract;
        if due(self.outflow, &self.ports.store.sending(contract).await?, self.ports.clock.now()).is_none() {
            return Ok(Step::Idle);
        }
        let fence = match self.pen.take(self.ports).await? {
            Right::Held(fence) => fence,
            Right::Taken(fence) => {
                self.known = None;
                fence
            }
            Right::Busy { until } => return Ok(Step::Busy { until }),
        };
        let Some(topic) = self.ports.log.topic(&self.outflow.topic.name).await? else {
            return Ok(Step::NoTopic);
        };
        // Invariant: what the log holds is settled, since nobody else writes: the number is above all that are in it.
        let known = match self.known.take() {
            Some(known) => known,
            None if !self.ports.log.decided(&topic, PARTITION).await? => return Ok(Step::Idle),
            None => known_in(self.ports.log, &topic).await?,
        };
        // Another may have sent it since. The count of what was asked for is read before the rows: they hold what was asked.
        let sending = self.ports.store.sending(contract).await?;
        let Some(hour) = due(self.outflow, &sending, self.ports.clock.now()) else {
            self.known = Some(known);
            return Ok(Step::Idle);
        };
        let number = self.ports.store.draw(contract, known.number).await?;
        stop::here("set-drawn");
        let taken = self.ports.clock.now();
        let rows = self.source.scan(contract, None, SET_ROWS_MAX + 1).await?;
        let set = SentSet {
            number,
            rows: rows.len() as u64,
            digest: SetDigest::default().finish(),
            hour,
            asked: sending.asked,
            taken,
        };
        match write(self.outflow, set, rows, known) {
            Ok(written) => self.append(fence, written).await,
            Err((key, violation)) => {
                let case = refused_case(self.outflow, key.as_deref(), &violation);
                self.ports.store.raise(&case, taken).await?;
                Ok(Step::Stopped(Box::new(case)))
            }
        }
    }

    async fn append(&mut self, mut fence: Fence, written: Written) -> Result<Step, PortError> {
        let mut left = written.records;
        while !left.is_empty() {
            let behind = left.split_off(left.len().min(self.chunk));
            match self.ports.log.append(&fence, std::mem::replace(&mut left, behind)).await? {
                Appended::Done => {}
                Appended::Fenced => {
                    self.pen.lost();
                    return Ok(Step::Idle);
                }
                Appended::Refused { topic, reason } => {
                    let case = closed_case(self.outflow, &topic, &reason);
                    self.ports.store.raise(&case, self.ports.clock.now()).await?;
                    return Ok(Step::Stopped(Box::new(case)));
                }
            }
            if left.is_empty() {
                break;
            }
            stop::here("set-begun");
            match self.pen.take(self.ports).await? {
                Right::Held(held) => fence = held,
                // What others wrote meanwhile lies between: the set begins anew.
                Right::Taken(_) | Right::Busy { .. } => return Ok(Step::Idle),
            }
        }
        stop::here("set-sent");
        self.ports.store.sent(&self.outflow.contract.name.contract, &written.sent).await?;
        self.known = Some(written.known);
        Ok(Step::Sent(written.sent.rows))
    }
}

/// Returns for which hour a set is due; within, none where the service asked for it.
pub fn due(outflow: &Outflow, sending: &Sending, now: Timestamp) -> Option<Option<Timestamp>> {
    let hour = outflow.hours.as_ref().map(|hours| hours.last(now));
    let last = sending.last.as_ref();
    if let Some(hour) = hour.filter(|hour| last.is_none_or(|last| last.taken < *hour)) {
        return Some(Some(hour));
    }
    (sending.asked > last.map_or(0, |last| last.asked)).then_some(None)
}

/// Returns what a topic holds: its last manifest, looked for from the end, and what was begun behind it.
async fn known_in<L: Log>(log: &L, topic: &TopicIdentity) -> Result<Known, PortError> {
    let Some((start, end)) = log.ends(topic, PARTITION).await? else { return Ok(Known::default()) };
    let mut window = LOOK as u64;
    loop {
        let from = end.saturating_sub(window).max(start);
        let (mut known, mut at) = (Known::default(), from);
        while at < end {
            match log.fetch(topic, PARTITION, at, LOOK).await? {
                Fetched::Records(fetch) => {
                    fetch
                        .records
                        .iter()
                        .for_each(|record| known.see(&record.headers, record.value.as_deref()));
                    if fetch.next == at {
                        break;
                    }
                    at = fetch.next;
                }
                Fetched::OutOfRange { .. } | Fetched::NoTopic => break,
            }
        }
        if known.slot.is_some() || from <= start {
            return Ok(known);
        }
        window = window.saturating_mul(4);
    }
}

impl Known {
    fn see(&mut self, headers: &Headers, value: Option<&[u8]>) {
        let (Ok(record), Some(value)) = (SetRecord::from_headers(headers), value) else { return };
        self.number = self.number.max(record.number);
        match record.part {
            Part::Manifest => {
                if let Ok(manifest) = Manifest::from_json(value) {
                    self.slot = Some(manifest.slot);
                    self.slots = manifest.slots;
                }
            }
            // Of which slot it is does not matter: what was begun behind the last manifest is in the next one.
            Part::Row { place, .. } => {
                let begun = self.slots.entry(u32::MAX).or_default();
                *begun = (*begun).max(place + 1);
            }
        }
    }
}

/// Writes a set: its rows, then what empties the rest of its slot and slots that are no more, then its manifest.
///
/// # Errors
/// The first row that breaks its contract, by key, or that the set is too large.
fn write(
    outflow: &Outflow,
    mut sent: SentSet,
    rows: Vec<SourceRow>,
    mut known: Known,
) -> Result<Written, (Option<String>, Violation)> {
    if rows.len() > SET_ROWS_MAX {
        return Err((None, too_large()));
    }
    let slot = known.slot.map_or(0, |slot| (slot + 1) % outflow.slots);
    let topic = &outflow.topic.name;
    let outgoing = |key: String, headers: Headers, value: Option<Vec<u8>>| Outgoing {
        topic: topic.clone(),
        partition: PARTITION,
        key: Some(key.into_bytes()),
        headers,
        value,
    };
    let heading = |part: Part| SetRecord {
        contract: outflow.contract.clone(),
        version: outflow.codec.contract().contract.version,
        number: sent.number,
        taken: sent.taken,
        part,
    };
    let (mut records, mut digest, mut bytes) = (Vec::with_capacity(rows.len() + 1), SetDigest::default(), 0);
    for (place, row) in rows.into_iter().enumerate() {
        let value = value_of(outflow, &row).map_err(|violation| (Some(row.key.to_string()), violation))?;
        let key_text = row.key.as_str().to_owned();
        bytes += key_text.len() + value.len();
        if bytes > SET_BYTES_MAX {
            return Err((None, too_large()));
        }
        digest.add(&key_text, &value);
        let place = place as u64;
        let headers = heading(Part::Row { place, key_text }).to_headers().into();
        records.push(outgoing(format!("{slot}/{place}"), headers, Some(value)));
    }
    sent.digest = digest.finish();
    let begun = known.slots.remove(&u32::MAX).unwrap_or_default();
    let held = known.slots.remove(&slot).unwrap_or_default().max(begun);
    let over = known.slots.split_off(&outflow.slots).into_iter().map(|(slot, places)| (slot, 0..places));
    for (slot, places) in over.chain([(slot, sent.rows..held)]) {
        records.extend(places.map(|place| outgoing(format!("{slot}/{place}"), Vec::new().into(), None)));
    }
    known.slots.insert(slot, sent.rows);
    let manifest =
        Manifest { rows: sent.rows, digest: sent.digest, hour: sent.hour, slot, slots: known.slots.clone() };
    let headers = heading(Part::Manifest).to_headers().into();
    records.push(outgoing(format!("{slot}/manifest"), headers, Some(manifest.to_json())));
    let known = Known { number: sent.number, slot: Some(slot), slots: known.slots };
    Ok(Written { sent, records, known })
}

/// Returns the value of a row as it is sent.
fn value_of(outflow: &Outflow, row: &SourceRow) -> Result<Vec<u8>, Violation> {
    let codec = &outflow.codec;
    let first = |mut found: Vec<Violation>| found.remove(0);
    let values = codec.read_source(&row.state).map_err(first)?;
    let found = codec.judge_state(&values);
    if !found.is_empty() {
        return Err(first(found));
    }
    if codec.key_of(&values) != row.key {
        return Err(Violation::new(Rule::Key, "key", "another key than that of the row"));
    }
    let value = codec.encode_state(None, &values, None);
    if value.len() as u64 > outflow.topic.value_bytes_max {
        return Err(Violation::new(Rule::Size, "", "larger than the channel's limit"));
    }
    Ok(value)
}

fn too_large() -> Violation {
    let message = "the set has more rows or bytes than one may have; a contract this large has `state`";
    Violation::new(Rule::Size, "", message)
}

fn refused_case(outflow: &Outflow, key: Option<&str>, violation: &Violation) -> NewCase {
    NewCase {
        kind: CaseKind::Quarantine,
        fingerprint: format!("set/{}/{}/{}", outflow.contract, violation.rule, violation.path),
        subject: outflow.contract.to_string(),
        owed_by: outflow.contract.name.context.clone(),
        summary: format!(
            "no set of `{}` is sent, since a row breaks its contract: {violation}",
            outflow.contract
        ),
        details: json!({ "key": key }).to_string(),
    }
}

fn closed_case(outflow: &Outflow, topic: &str, reason: &str) -> NewCase {
    let context = &outflow.contract.name.context;
    NewCase {
        kind: CaseKind::Topic,
        fingerprint: format!("topic/{context}/{topic}/refused"),
        subject: topic.to_owned(),
        owed_by: context.clone(),
        summary: format!("`{topic}` takes no records: {reason}; sets wait"),
        details: json!({ "topic": topic, "reason": reason }).to_string(),
    }
}
