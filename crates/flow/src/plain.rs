//! The form in which messages are read: binary mode, canonical JSON. What comes otherwise is brought into it as it leaves the
//! log, so that whatever reads, digests or compares does not know of encodings.

use crate::log::{Fetched, Incoming, Log};
use crate::port::PortError;
use crate::position::TopicIdentity;
use crate::schemas::Known;
use seamline_message::codec::avro::{self, Schema, SchemaId};
use seamline_message::codec::structured;
use seamline_message::envelope;
use seamline_message::headers::Headers;
use seamline_message::violation::{Rule, Violation};

/// Reads as `Log::fetch` does, and brings the records into the form in which they are read. What comes behind a record whose
/// schema is not known, and cannot be learned, is left for later.
///
/// # Errors
/// The log's.
pub async fn fetch<L: Log>(
    log: &L,
    known: &Known,
    (topic, partition): (&TopicIdentity, u32),
    from: u64,
    limit: usize,
) -> Result<Fetched, PortError> {
    let mut fetched = log.fetch(topic, partition, from, limit).await?;
    let Fetched::Records(fetch) = &mut fetched else { return Ok(fetched) };
    let mut has_learned = false;
    for idx in 0..fetch.records.len() {
        let read = &mut fetch.records[idx];
        record(read);
        let Some(id) = schema_of(read) else { continue };
        let mut schema = known.get(&topic.name, id);
        if schema.is_none() && !has_learned {
            has_learned = true;
            if !known.learn(log, &topic.name, id).await? {
                let message = "Avro on a topic that has no schemas";
                read.fault = Some(Violation::new(Rule::Encoding, "", message));
                continue;
            }
            schema = known.get(&topic.name, id);
        }
        match schema {
            Some(schema) => decode(read, &schema),
            None if idx == 0 => return Ok(Fetched::NoSchema(id)),
            None => {
                fetch.next = read.offset;
                fetch.records.truncate(idx);
                break;
            }
        }
    }
    Ok(fetched)
}

/// Brings a record in structured mode into binary mode. One that cannot be brought there stays as it was sent, and says why.
pub fn record(record: &mut Incoming) {
    match structured::to_binary(&record.headers, record.value.as_deref()) {
        Ok(None) => {}
        Ok(Some((headers, value))) => (record.headers, record.value) = (headers, value),
        Err(violation) => record.fault = Some(violation),
    }
}

/// Brings a record that waits in quarantine into the form in which it is read. One in Avro could not be read when it came.
pub fn waiting(read: &mut Incoming) {
    record(read);
    if read.fault.is_none() && read.value.is_some() && is_avro(read) {
        read.fault = Some(Violation::new(Rule::Encoding, "", "no Avro of its schema, when it came"));
    }
}

fn is_avro(record: &Incoming) -> bool {
    record.headers.get(envelope::CONTENT_TYPE) == Some(avro::CONTENT_TYPE.as_bytes())
}

/// Returns the id of the schema of a record in Avro; none for others. One that names none says so.
fn schema_of(record: &mut Incoming) -> Option<SchemaId> {
    if !is_avro(record) {
        return None;
    }
    match SchemaId::named_in(record.value.as_deref()?) {
        Ok(id) => Some(id),
        Err(violation) => {
            record.fault = Some(violation);
            None
        }
    }
}

/// Brings a record in Avro into JSON. One that cannot be read stays as it was sent, and says why.
fn decode(record: &mut Incoming, schema: &Schema) {
    let Some(value) = &record.value else { return };
    match schema.read(value) {
        Err(violation) => record.fault = Some(violation),
        Ok(json) => {
            record.value = Some(json);
            let mut headers = Headers::default();
            for (name, value) in &record.headers {
                let is_it = name == envelope::CONTENT_TYPE.as_bytes();
                let name = String::from_utf8_lossy(name);
                headers.push(&name, if is_it { Some(envelope::JSON.as_bytes()) } else { value });
            }
            record.headers = headers;
        }
    }
}
