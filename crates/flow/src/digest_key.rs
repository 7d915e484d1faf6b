//! The digest key of a topic, and how many partitions it was made with: kept in its sibling topic `<topic>.ledger`, made once by
//! the producer, read by consumers. A rotation puts another in its place.

pub mod rotate;

use crate::clock::Entropy;
use crate::digest_key::rotate::Rotation;
use crate::log::{Appended, Cleanup, Fence, Log, Outgoing, TopicSpec};
use crate::port::PortError;
use crate::sweep::Sweep;
use seamline_message::digest::DigestKey;
use seamline_message::headers::Headers;
use serde_json::{Value, json};
use std::time::Duration;

/// The version of the stored form.
const VERSION: u64 = 1;

/// The key of the record that holds it.
const RECORD_KEY: &[u8] = b"digest-key";

/// How many records are read at once.
const READ_MAX: usize = 500;

const DAY: Duration = Duration::from_secs(86_400);

/// Why there is no digest key to be had.
#[derive(Debug, thiserror::Error)]
pub enum DigestKeyError {
    /// A record that this program does not understand.
    #[error("the ledger topic `{0}` holds a digest key in a form that is not known here")]
    Unreadable(String),
    /// Another program makes it at this moment, or the topic refuses: ask again.
    #[error("the ledger topic `{topic}` did not take a digest key: {reason}")]
    NotTaken {
        /// The ledger topic.
        topic: String,
        /// Why.
        reason: String,
    },
}

/// Returns the name of the topic that holds the digest key of a topic.
pub fn ledger_topic(topic: &str) -> String {
    format!("{topic}.ledger")
}

/// Returns the name under which the digest key of a topic is appended.
pub fn producer_name(topic: &str) -> String {
    format!("ledger/{topic}")
}

/// Returns the topic that holds the digest key of a topic, as it should be.
pub fn ledger_spec(topic: &str) -> TopicSpec {
    let cleanup = Cleanup::Compact { tombstones: DAY, min_lag: DAY, max_lag: None };
    TopicSpec { name: ledger_topic(topic), partitions: 1, cleanup, value_bytes_max: 0 }
}

/// Returns the digest key of a topic and its epoch; makes the ledger topic and a key of the first epoch where there is none, and
/// notes the partitions with it. For the producer.
///
/// # Errors
/// The log's; `NotApplied` with `DigestKeyError`. After `Unknown` ask again: the key that was made is found then.
pub async fn ensure<L: Log, E: Entropy>(
    log: &L,
    entropy: &E,
    topic: &str,
    partitions: u32,
) -> Result<(u32, DigestKey), PortError> {
    log.create(&ledger_spec(topic)).await?;
    if let Some(found) = current(log, topic).await? {
        return Ok(found);
    }
    // Whoever fences first and reads afterwards sees what every earlier one wrote, and no earlier one writes again.
    let fence = log.fence(&producer_name(topic)).await?;
    if let Some(found) = current(log, topic).await? {
        return Ok(found);
    }
    let made =
        Made { epoch: 1, key: DigestKey(entropy.bytes()), partitions: Some(partitions), rotation: None };
    put(log, &fence, topic, &made).await?;
    Ok((made.epoch, made.key))
}

/// Appends a digest key to the ledger topic of a topic.
async fn put<L: Log>(log: &L, fence: &Fence, topic: &str, made: &Made) -> Result<(), PortError> {
    let topic = ledger_topic(topic);
    let record = Outgoing {
        topic: topic.clone(),
        partition: 0,
        key: Some(RECORD_KEY.to_vec()),
        headers: Headers::default(),
        value: Some(encode(made)),
    };
    let reason = match log.append(fence, vec![record]).await? {
        Appended::Done => return Ok(()),
        Appended::Fenced => "another makes one".to_owned(),
        Appended::Refused { reason, .. } => reason,
    };
    Err(PortError::NotApplied(Box::new(DigestKeyError::NotTaken { topic, reason })))
}

/// Returns the digest key of a topic and its epoch; none where the producer has not made one yet.
///
/// # Errors
/// The log's; `NotApplied` with `DigestKeyError::Unreadable`.
pub async fn current<L: Log>(log: &L, topic: &str) -> Result<Option<(u32, DigestKey)>, PortError> {
    Ok(last(log, topic).await?.map(|made| (made.epoch, made.key)))
}

/// Returns how many partitions a topic was made with, a fact of its generation: keys stay where they are, whatever is added in
/// the broker. None where nobody noted it.
///
/// # Errors
/// As for `current`.
pub async fn partitions_made<L: Log>(log: &L, topic: &str) -> Result<Option<u32>, PortError> {
    Ok(last(log, topic).await?.and_then(|made| made.partitions))
}

/// What the record says.
#[derive(Debug, Clone, PartialEq)]
struct Made {
    epoch: u32,
    key: DigestKey,
    /// None in records of before this was noted.
    partitions: Option<u32>,
    /// Why it took the place of another; none of the first.
    rotation: Option<Rotation>,
}

async fn last<L: Log>(log: &L, topic: &str) -> Result<Option<Made>, PortError> {
    let Some(ledger) = log.topic(&ledger_topic(topic)).await? else { return Ok(None) };
    let mut sweep = Sweep::begin(log, &ledger, 0).await?;
    let mut last = None;
    while let Some(records) = sweep.next(log, READ_MAX).await? {
        for record in records.into_iter().filter(|record| record.key.as_deref() == Some(RECORD_KEY)) {
            last = record.value;
        }
    }
    let Some(value) = last else { return Ok(None) };
    let unreadable = || PortError::NotApplied(Box::new(DigestKeyError::Unreadable(ledger.name.clone())));
    decode(&value).ok_or_else(unreadable).map(Some)
}

fn encode(made: &Made) -> Vec<u8> {
    let digits: String = made.key.0.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut record = json!({ "version": VERSION, "epoch": made.epoch, "key": digits });
    if let Some(partitions) = made.partitions {
        record["partitions"] = json!(partitions);
    }
    if let Some(rotation) = &made.rotation {
        record["rotation"] = json!(rotation);
    }
    record.to_string().into_bytes()
}

fn decode(value: &[u8]) -> Option<Made> {
    let read: Value = serde_json::from_slice(value).ok()?;
    if read.get("version")?.as_u64()? != VERSION {
        return None;
    }
    let epoch = u32::try_from(read.get("epoch")?.as_u64()?).ok()?;
    let digits = read.get("key")?.as_str()?;
    if digits.len() != 64 || !digits.is_ascii() {
        return None;
    }
    let mut key = [0; 32];
    for (idx, byte) in key.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&digits[2 * idx..2 * idx + 2], 16).ok()?;
    }
    let partitions = read.get("partitions").map(|it| u32::try_from(it.as_u64()?).ok());
    let rotation = read.get("rotation").cloned().and_then(|it| serde_json::from_value(it).ok());
    Some(Made { epoch, key: DigestKey(key), partitions: partitions.flatten(), rotation })
}

#[cfg(test)]
mod tests {
    use super::rotate::Rotation;
    use super::{Made, decode, encode};
    use jiff::Timestamp;
    use seamline_message::digest::DigestKey;
    use std::collections::BTreeMap;

    #[test]
    fn a_digest_key_reads_as_it_was_written() {
        let rotation = Rotation {
            id: "7f".to_owned(),
            because: "somebody left".to_owned(),
            at: Timestamp::UNIX_EPOCH,
            from: BTreeMap::from([("t".to_owned(), 2)]),
        };
        let first = Made { epoch: 3, key: DigestKey([0xa7; 32]), partitions: Some(12), rotation: None };
        for made in [first.clone(), Made { rotation: Some(rotation), ..first.clone() }] {
            assert_eq!(decode(&encode(&made)), Some(made));
        }
        let older = format!("{{\"version\":1,\"epoch\":3,\"key\":\"{}\"}}", "a7".repeat(32));
        assert_eq!(decode(older.as_bytes()), Some(Made { partitions: None, ..first }));
    }

    #[test]
    fn another_version_or_form_is_not_read() {
        let digits = "ab".repeat(32);
        for value in [
            "{}".to_owned(),
            format!("{{\"version\":2,\"epoch\":1,\"key\":\"{digits}\"}}"),
            format!("{{\"version\":1,\"epoch\":-1,\"key\":\"{digits}\"}}"),
            "{\"version\":1,\"epoch\":1,\"key\":\"abcd\"}".to_owned(),
            format!("{{\"version\":1,\"epoch\":1,\"key\":\"{}\"}}", "zz".repeat(32)),
        ] {
            assert_eq!(decode(value.as_bytes()), None, "{value}");
        }
    }
}
