//! The mark of an erasure in the log: how far a topic must have been read. It lies in the topic's ledger topic, which exactly those
//! read who may read the topic, and names no key.

use crate::digest_key::{DigestKeyError, ledger_topic, producer_name};
use crate::log::{Appended, Log, Outgoing};
use crate::port::PortError;
use crate::sweep::Sweep;
use seamline_message::headers::Headers;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The version of the stored form.
const VERSION: u32 = 1;

/// How many records are read at once.
const READ_MAX: usize = 500;

/// How far a topic must have been read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mark {
    version: u32,
    /// The id of the topic.
    pub topic_id: String,
    /// What has at most this sequence was published before the source had erased, or before it was published once more.
    pub after: u64,
    /// By partition, the offset before which all of it is.
    pub ends: BTreeMap<u32, u64>,
}

impl Mark {
    /// Returns a mark.
    pub fn new(topic_id: &str, after: u64, ends: BTreeMap<u32, u64>) -> Mark {
        Mark { version: VERSION, topic_id: topic_id.to_owned(), after, ends }
    }
}

fn record_key(id: &str) -> Vec<u8> {
    format!("erasure/{id}").into_bytes()
}

/// Writes the mark of an erasure for a topic.
///
/// # Errors
/// The log's. Repeat it: the last mark counts.
///
/// # Panics
/// Never: a mark has a text.
pub async fn write<L: Log>(log: &L, topic: &str, id: &str, mark: &Mark) -> Result<(), PortError> {
    let fence = log.fence(&producer_name(topic)).await?;
    let record = Outgoing {
        topic: ledger_topic(topic),
        partition: 0,
        key: Some(record_key(id)),
        headers: Headers::default(),
        value: Some(serde_json::to_vec(mark).expect("numbers are the keys of its map")),
    };
    let reason = match log.append(&fence, vec![record]).await? {
        Appended::Done => return Ok(()),
        Appended::Fenced => "another writes to it".to_owned(),
        Appended::Refused { reason, .. } => reason,
    };
    Err(PortError::NotApplied(Box::new(DigestKeyError::NotTaken { topic: ledger_topic(topic), reason })))
}

/// Returns the mark of an erasure for a topic; none where its owner has not written it, or in a form that is not known here.
///
/// # Errors
/// The log's.
pub async fn read<L: Log>(log: &L, topic: &str, id: &str) -> Result<Option<Mark>, PortError> {
    let Some(ledger) = log.topic(&ledger_topic(topic)).await? else { return Ok(None) };
    let key = record_key(id);
    let mut sweep = Sweep::begin(log, &ledger, 0).await?;
    let mut last = None;
    while let Some(records) = sweep.next(log, READ_MAX).await? {
        for record in records.into_iter().filter(|record| record.key.as_ref() == Some(&key)) {
            last = record.value;
        }
    }
    let mark = last.and_then(|value| serde_json::from_slice::<Mark>(&value).ok());
    Ok(mark.filter(|mark| mark.version <= VERSION))
}
