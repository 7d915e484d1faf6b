//! The rehearsal: deriving anew from the log what a projection should hold, up to an end fixed at the start.

use crate::clock::Clock;
use crate::hold::{DigestEpoch, Hold, Ports, keep};
use crate::intake::Intake;
use crate::log::{Fetched, Incoming, Log};
use crate::port::PortError;
use crate::position::TopicIdentity;
use crate::projector::decide::{Verdict, decide, in_sums, speaking};
use crate::projector::open::{Content, Opened, open};
use crate::projector::{STEP_RECORDS, state_of};
use crate::schemas::missing;
use crate::store::{Marker, Markers, Rehearsed, Store};
use crate::sweep::STANDSTILLS_MAX;
use seamline_contract::value::Value;
use seamline_message::canonical;
use seamline_message::digest::Digest;
use seamline_message::key::RecordKey;
use seamline_message::sequence::Sequence;
use seamline_message::sums::Sums;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a record surely stays in the log after it was overtaken. A rehearsal that takes longer may miss records.
pub const COMPACTION_LAG: Duration = Duration::from_secs(24 * 60 * 60);

/// What the log says, key by key, up to the ends. Digests only: the rows are in the store's rehearsal table.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Rehearsal {
    /// What the log says of each key.
    pub keys: BTreeMap<RecordKey, Kept>,
    /// The offsets that it covers, by partition: from, and to which it does not reach.
    pub ranges: BTreeMap<u32, (u64, u64)>,
}

/// What the log says of a key.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Kept {
    /// As a projector would know it that read the same records.
    pub markers: Markers,
    /// The text of the column by which rows are counted, of its last valid row.
    pub label: String,
}

impl Kept {
    /// Returns the marker of what the rehearsal table holds of the key: its last row or end.
    pub fn rehearsed(&self) -> Option<&Marker> {
        self.markers.row.as_ref().or(self.markers.ended.as_ref())
    }
}

impl Rehearsal {
    /// Returns the sums over the last record of each key.
    pub fn sums(&self) -> Sums {
        let mut sums = Sums::new();
        for (key, kept) in &self.keys {
            if let Some((sequence, digest)) = in_sums(&kept.markers) {
                sums.add(key, sequence, digest);
            }
        }
        sums
    }

    /// Returns the record of a key that should be in the sums.
    pub fn record(&self, key: &RecordKey) -> Option<(Sequence, Digest)> {
        in_sums(&self.keys.get(key)?.markers)
    }

    /// Returns the keys whose last record breaks its contract.
    pub fn broken(&self) -> impl Iterator<Item = &RecordKey> {
        self.keys.iter().filter(|(_, kept)| kept.markers.aside.is_some()).map(|(key, _)| key)
    }

    /// Returns whether a key should have a row.
    pub fn has_row(kept: &Kept) -> bool {
        match (&kept.markers.row, speaking(&kept.markers)) {
            (Some(row), Some(speaks)) => row.sequence == speaks.sequence,
            _ => false,
        }
    }

    /// Takes a record in, and returns the row that the rehearsal table should hold after it.
    fn take(&mut self, intake: &Intake, record: &Incoming, opened: Opened) -> Option<Rehearsed> {
        let Opened::Known { key, sequence, digest, content } = opened else { return None };
        let kept = self.keys.entry(key.clone()).or_default();
        if decide(&kept.markers, sequence, digest) != Verdict::Apply {
            return None;
        }
        let marker = |written| Marker { sequence, offset: record.offset, received: digest, written };
        let (values, marker) = match content {
            Content::Invalid(_) => {
                if kept.markers.aside.is_none_or(|(aside, _)| aside < sequence) {
                    kept.markers.aside = Some((sequence, digest));
                }
                return None;
            }
            Content::Row(values, written) => {
                kept.markers.row = Some(marker(written));
                kept.label = label(intake, &values);
                (Some(values), marker(written))
            }
            Content::End(written) => {
                kept.markers.ended = Some(marker(written));
                kept.markers.row = None;
                (None, marker(written))
            }
        };
        if kept.markers.aside.is_some_and(|(aside, _)| aside < sequence) {
            kept.markers.aside = None;
        }
        Some(Rehearsed { key, values, marker, left: false })
    }
}

/// Returns the text of the column by which rows are counted.
pub fn label(intake: &Intake, values: &[Value]) -> String {
    let value = intake.state.as_ref().and_then(|state| state.count_by).and_then(|column| values.get(column));
    match value {
        None => String::new(),
        Some(value) => canonical::text(value).unwrap_or_else(|| "no value".to_owned()),
    }
}

/// Reads partitions of the state topic up to where their lanes are into the subscription's rehearsal table, made anew. Keeps
/// the lanes meanwhile. Returns why there is no rehearsal where a part of the log was not read, or another took a lane: nothing can
/// be held against the half of what the log says.
///
/// # Errors
/// The ports'. It is safe to begin again.
///
/// # Panics
/// When the subscription has no table.
pub async fn rehearse<S: Store, L: Log, C: Clock>(
    ports: Ports<'_, S, L, C>,
    intake: &Intake,
    digest: DigestEpoch,
    topic: &TopicIdentity,
    holds: &mut [Hold],
) -> Result<Result<Rehearsal, String>, PortError> {
    let began = ports.clock.now();
    ports.store.rehearsal_begin(&state_of(intake).projection).await?;
    let mut rehearsal = Rehearsal::default();
    let reading = Reading { intake, digest, topic, buckets: None };
    for idx in 0..holds.len() {
        if let Some(lost) = read(ports, &reading, (idx, &mut *holds), &mut rehearsal).await? {
            return Ok(Err(lost));
        }
    }
    let took = Duration::try_from(ports.clock.now().duration_since(began)).unwrap_or_default();
    if took > COMPACTION_LAG {
        return Ok(Err("the rehearsal took longer than the log keeps what was overtaken".to_owned()));
    }
    Ok(Ok(rehearsal))
}

/// Reads the partition of one lane up to where the lane is, keys of some buckets and their digests only, into no table. Keeps the lane
/// meanwhile. Returns why there is nothing to hold anything against, as `rehearse` does.
///
/// # Errors
/// The ports'. It is safe to begin again.
///
/// # Panics
/// When the subscription has no table.
pub async fn rehearse_buckets<S: Store, L: Log, C: Clock>(
    ports: Ports<'_, S, L, C>,
    intake: &Intake,
    digest: DigestEpoch,
    hold: &mut Hold,
    buckets: &[usize],
) -> Result<Result<Rehearsal, String>, PortError> {
    let (began, topic) = (ports.clock.now(), hold.topic.clone());
    let mut rehearsal = Rehearsal::default();
    let reading = Reading { intake, digest, topic: &topic, buckets: Some(buckets) };
    if let Some(lost) = read(ports, &reading, (0, std::slice::from_mut(hold)), &mut rehearsal).await? {
        return Ok(Err(lost));
    }
    let took = Duration::try_from(ports.clock.now().duration_since(began)).unwrap_or_default();
    if took > COMPACTION_LAG / 2 {
        return Ok(Err("the rehearsal took too long for what the log keeps".to_owned()));
    }
    Ok(Ok(rehearsal))
}

/// What is rehearsed.
struct Reading<'a> {
    intake: &'a Intake,
    digest: DigestEpoch,
    topic: &'a TopicIdentity,
    /// The buckets whose keys are looked at; none: all, and their rows go into the rehearsal table.
    buckets: Option<&'a [usize]>,
}

impl Reading<'_> {
    fn wants(&self, opened: &Opened) -> bool {
        let Some(buckets) = self.buckets else { return true };
        matches!(opened, Opened::Known { key, .. } if buckets.contains(&key.bucket()))
    }
}

async fn read<S: Store, L: Log, C: Clock>(
    ports: Ports<'_, S, L, C>,
    reading: &Reading<'_>,
    (idx, holds): (usize, &mut [Hold]),
    rehearsal: &mut Rehearsal,
) -> Result<Option<String>, PortError> {
    let Reading { intake, digest, topic, .. } = reading;
    let (partition, end) = (holds[idx].lane.partition, holds[idx].offset());
    let Some((start, _)) = ports.log.ends(topic, partition).await? else {
        return Ok(Some(format!("partition {partition} of `{}` is not there", topic.name)));
    };
    let (mut at, mut standstills) = (start, 0);
    while at < end {
        let fetch = match ports.log.fetch(topic, partition, at, STEP_RECORDS).await? {
            Fetched::Records(fetch) if fetch.next > at => fetch,
            Fetched::Records(_) if standstills < STANDSTILLS_MAX => {
                standstills += 1;
                if let Some(lost) = keep(ports, holds).await? {
                    return Ok(Some(lost));
                }
                continue;
            }
            Fetched::NoSchema(id) => return Ok(Some(missing(&topic.name, id))),
            Fetched::Records(_) | Fetched::OutOfRange { .. } | Fetched::NoTopic => {
                let name = &topic.name;
                return Ok(Some(format!(
                    "partition {partition} of `{name}` cannot be read from offset {at}"
                )));
            }
        };
        standstills = 0;
        let mut rows: BTreeMap<RecordKey, Rehearsed> = BTreeMap::new();
        for record in fetch.records.iter().filter(|record| record.offset < end) {
            let opened = open(intake, &digest.key, record);
            if reading.wants(&opened)
                && let Some(row) = rehearsal.take(intake, record, opened)
            {
                rows.insert(row.key.clone(), row);
            }
        }
        let rows: Vec<Rehearsed> = rows.into_values().collect();
        if !rows.is_empty() && reading.buckets.is_none() {
            ports.store.rehearsal_put(&state_of(intake).projection, &rows).await?;
        }
        at = fetch.next;
        if let Some(lost) = keep(ports, holds).await? {
            return Ok(Some(lost));
        }
    }
    rehearsal.ranges.insert(partition, (start, at.min(end)));
    Ok(None)
}
