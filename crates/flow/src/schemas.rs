//! The schemas of a topic in Avro: kept in its sibling topic `<topic>.ledger`, put there by the producer before the first record
//! that names one, read by whoever meets an id that it does not know.

use crate::digest_key::{ledger_topic, producer_name};
use crate::log::{Appended, Log, Outgoing};
use crate::port::PortError;
use crate::sweep::Sweep;
use seamline_message::codec::avro::{Schema, SchemaId};
use seamline_message::headers::Headers;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

/// What the keys of their records begin with; the id follows.
const PREFIX: &str = "schema/";

/// How many records are read at once.
const READ_MAX: usize = 500;

/// Why a topic's schemas are not to be had.
#[derive(Debug, thiserror::Error)]
pub enum SchemasError {
    /// The topic does not take them, or another program is at it: ask again.
    #[error("the schemas of `{topic}` were not taken: {reason}")]
    NotTaken {
        /// The topic.
        topic: String,
        /// Why.
        reason: String,
    },
    /// A record names a schema that is not there.
    #[error("{}", missing(.topic, *.id))]
    Missing {
        /// The topic.
        topic: String,
        /// The id.
        id: SchemaId,
    },
}

/// Says what is missing, and what to do.
pub fn missing(topic: &str, id: SchemaId) -> String {
    format!(
        "`{topic}` holds a record of the Avro schema {id}, which is not in `{}`: the agent that published it, or `seamline \
         install` from the estate that it ran with, puts it there",
        ledger_topic(topic)
    )
}

/// Puts schemas into the ledger topic of a topic, where it has not got them; returns why it does not take them. Where there is no
/// ledger topic, nothing is done. For the producer.
///
/// # Errors
/// The log's. Safe to repeat.
pub async fn publish<'s, L: Log>(
    log: &L,
    topic: &str,
    schemas: impl Iterator<Item = &'s Schema> + Send,
) -> Result<Option<String>, PortError> {
    let wanted: BTreeMap<SchemaId, &Schema> = schemas.map(|schema| (schema.id(), schema)).collect();
    let Some(there) = texts(log, topic).await? else { return Ok(None) };
    let mut records = Vec::new();
    for (id, schema) in wanted {
        match there.get(&id) {
            Some(text) if text == schema.text() => {}
            Some(_) => {
                let reason = format!(
                    "`{}` holds another schema under the id {id}: change a word of a meaning, so that it gets another",
                    ledger_topic(topic)
                );
                return Ok(Some(reason));
            }
            None => records.push(Outgoing {
                topic: ledger_topic(topic),
                partition: 0,
                key: Some(format!("{PREFIX}{id}").into_bytes()),
                headers: Headers::default(),
                value: Some(schema.text().as_bytes().to_vec()),
            }),
        }
    }
    if records.is_empty() {
        return Ok(None);
    }
    let fence = log.fence(&producer_name(topic)).await?;
    Ok(match log.append(&fence, records).await? {
        Appended::Done => None,
        Appended::Fenced => Some("another program writes to its ledger topic".to_owned()),
        Appended::Refused { reason, .. } => Some(reason),
    })
}

/// Returns the texts of a topic's schemas by id, whoever wrote them; none where it has no ledger topic.
///
/// # Errors
/// The log's.
pub async fn texts<L: Log>(log: &L, topic: &str) -> Result<Option<BTreeMap<SchemaId, String>>, PortError> {
    let Some(ledger) = log.topic(&ledger_topic(topic)).await? else { return Ok(None) };
    let mut sweep = Sweep::begin(log, &ledger, 0).await?;
    let mut found = BTreeMap::new();
    while let Some(records) = sweep.next(log, READ_MAX).await? {
        for record in records {
            let key = record.key.as_deref().and_then(|key| std::str::from_utf8(key).ok());
            let id = key.and_then(|key| key.strip_prefix(PREFIX)?.parse().ok());
            let text = record.value.and_then(|text| String::from_utf8(text).ok());
            if let (Some(id), Some(text)) = (id, text) {
                found.insert(SchemaId(id), text);
            }
        }
    }
    Ok(Some(found))
}

/// The schemas that a reader has met, by topic.
#[derive(Debug, Default)]
pub struct Known {
    met: std::sync::Mutex<BTreeMap<String, BTreeMap<SchemaId, Arc<Schema>>>>,
    /// Held while a ledger topic is read: a log reads one partition at a few places at once, and all lanes want the same.
    learning: futures_util::lock::Mutex<()>,
}

impl Known {
    /// Returns a schema of a topic; none where it was not met yet.
    pub fn get(&self, topic: &str, id: SchemaId) -> Option<Arc<Schema>> {
        let met = self.met.lock().unwrap_or_else(PoisonError::into_inner);
        met.get(topic)?.get(&id).cloned()
    }

    /// Reads the schemas of a topic, unless it has the one that is asked for. A text that does not have the id under which it
    /// stands, or is no schema, is not one. Returns whether the topic has any place for schemas.
    ///
    /// # Errors
    /// The log's.
    pub async fn learn<L: Log>(&self, log: &L, topic: &str, id: SchemaId) -> Result<bool, PortError> {
        let _one_at_a_time = self.learning.lock().await;
        if self.get(topic, id).is_some() {
            return Ok(true);
        }
        let Some(texts) = texts(log, topic).await? else { return Ok(false) };
        let schemas = texts.into_iter().filter(|(id, text)| SchemaId::of(text) == *id);
        let schemas = schemas.filter_map(|(id, text)| Some((id, Arc::new(Schema::parse(&text).ok()?))));
        let schemas = schemas.collect();
        let mut met = self.met.lock().unwrap_or_else(PoisonError::into_inner);
        met.insert(topic.to_owned(), schemas);
        Ok(true)
    }
}
