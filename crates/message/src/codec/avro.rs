//! Avro as another way to write payloads: schemas made of a contract, and the way from canonical JSON to Avro and back.
//! `docs/reference/encodings.md` is normative.

mod derive;
mod read;
mod shape;
mod write;

use super::Codec;
use crate::violation::{Rule, Violation};
use seamline_contract::channel::{ChannelId, ChannelKind};
use seamline_contract::id::EventName;
use shape::Shape;
use std::collections::BTreeMap;
use std::fmt;

/// The content type of a record whose value is Avro behind its schema's id.
pub const CONTENT_TYPE: &str = "application/avro";

/// The byte with which such a value begins.
const MAGIC: u8 = 0;

/// How many bytes stand before the datum.
const FRAME: usize = 5;

/// The id of a schema: the same text has the same id everywhere, without anybody who hands them out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SchemaId(pub u32);

impl SchemaId {
    /// Returns the id of a schema's text: the first 31 bits of its BLAKE3 hash, so that programs that take ids for signed
    /// numbers find none below zero.
    pub fn of(text: &str) -> SchemaId {
        let hash = blake3::hash(text.as_bytes());
        let (first, _) = hash.as_bytes().split_first_chunk::<4>().expect("a hash has 32 bytes");
        SchemaId(u32::from_be_bytes(*first) & 0x7fff_ffff)
    }

    /// Returns the id that a framed value names.
    ///
    /// # Errors
    /// ENCODING, when the value does not begin as Confluent's framing has it.
    pub fn named_in(value: &[u8]) -> Result<SchemaId, Violation> {
        let frame = value.split_first_chunk::<FRAME>().map(|(frame, _)| frame);
        match frame {
            Some([MAGIC, id @ ..]) => Ok(SchemaId(u32::from_be_bytes(*id))),
            _ => Err(broken("no Avro in Confluent's framing: a zero byte, then four of the schema's id")),
        }
    }
}

impl fmt::Display for SchemaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A text that is no schema as contracts have them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no schema of a contract: {0}")]
pub struct NoSchema(pub String);

/// A schema: its text, and how values of it are read and written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema {
    id: SchemaId,
    text: String,
    shape: Shape,
}

impl Schema {
    /// Reads the text of a schema.
    ///
    /// # Errors
    /// When it is none that a contract has.
    pub fn parse(text: &str) -> Result<Schema, NoSchema> {
        Ok(Schema { id: SchemaId::of(text), text: text.to_owned(), shape: Shape::parse(text)? })
    }

    /// Returns the id.
    pub fn id(&self) -> SchemaId {
        self.id
    }

    /// Returns the text, a JSON object.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the framed Avro of a payload.
    ///
    /// # Errors
    /// ENCODING, when the payload is none of this schema's.
    pub fn write(&self, payload: &[u8]) -> Result<Vec<u8>, Violation> {
        let json = serde_json::from_slice(payload).map_err(|_| Violation::new(Rule::Json, "", "not JSON"))?;
        let mut out = Vec::with_capacity(payload.len());
        out.push(MAGIC);
        out.extend_from_slice(&self.id.0.to_be_bytes());
        write::value(&self.shape, &json, &mut out)?;
        Ok(out)
    }

    /// Returns the canonical payload of framed Avro that this schema wrote.
    ///
    /// # Errors
    /// ENCODING, when the bytes are none of this schema's; TYPE, when one of its values has no text in a payload.
    pub fn read(&self, value: &[u8]) -> Result<Vec<u8>, Violation> {
        if SchemaId::named_in(value)? != self.id {
            return Err(broken("written with another schema"));
        }
        read::datum(&self.shape, &value[FRAME..])
    }
}

fn broken(message: &str) -> Violation {
    Violation::new(Rule::Encoding, "", message)
}

/// The schemas of a channel: one of its states, or one of each event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Schemas {
    state: Option<Schema>,
    events: BTreeMap<EventName, Schema>,
}

impl Schemas {
    /// Returns the schemas of a channel of a contract; none at all where it has no such channel.
    pub fn of(codec: &Codec, channel: &ChannelId) -> Schemas {
        let Ok(reach) = codec.reach(channel.view.as_ref()) else { return Schemas::default() };
        let contract = codec.contract();
        match channel.kind {
            ChannelKind::State => {
                Schemas { state: Some(derive::state(contract, reach)), events: BTreeMap::new() }
            }
            ChannelKind::Events => {
                let there = codec.plan.events.iter().zip(&reach.events);
                let schema =
                    |(plan, carried): (&super::plan::EventPlan, &Option<super::plan::EventReach>)| {
                        let carried = carried.as_ref()?;
                        Some((plan.event.name.clone(), derive::event(contract, reach, plan, carried)))
                    };
                Schemas { state: None, events: there.filter_map(schema).collect() }
            }
        }
    }

    /// Returns the schema of states, or that of an event.
    pub fn get(&self, event: Option<&EventName>) -> Option<&Schema> {
        match event {
            None => self.state.as_ref(),
            Some(event) => self.events.get(event),
        }
    }

    /// Returns all of them.
    pub fn all(&self) -> impl Iterator<Item = &Schema> {
        self.state.iter().chain(self.events.values())
    }
}
