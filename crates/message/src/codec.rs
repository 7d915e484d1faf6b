//! The codec of one version of a contract: compiled once, it reads, judges and writes rows and payloads.
//! `docs/reference/wire.md` is normative.

pub mod avro;
mod change;
pub mod errand;
mod examine;
mod expression;
mod form;
mod judge;
mod payload;
mod plan;
mod read;
mod scalar;
pub mod structured;
mod write;

use crate::key::{RecordKey, partition};
use crate::violation::{Rule, Violation};
use jiff::Timestamp;
use plan::Plan;
use seamline_contract::channel::{ChannelKind, Encoding};
use seamline_contract::id::{EventName, InvariantName, Reason, ViewId};
use seamline_contract::resolve::ResolvedContract;
use seamline_contract::value::Value;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

/// The values of a key, aligned with `ResolvedContract::attributes`. `Null`: no value, or not carried.
pub type Row = Vec<Value>;

/// Why a contract cannot be compiled. Each holds the path of an attribute.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The pattern is none.
    #[error("`{path}` has a pattern that cannot be compiled")]
    Pattern {
        /// The attribute.
        path: String,
        /// Why.
        source: Box<regex::Error>,
    },
    /// The minimum or maximum is no value of the type.
    #[error("`{0}` has a bound that is no value of its type")]
    Bound(String),
    /// The precision is above 28 or below the scale.
    #[error("`{0}` is a decimal of a precision above 28 or below its scale")]
    Precision(String),
    /// A carried attribute where only the contract's own can be resolved.
    #[error("`{0}` is carried, which is possible for attributes of the contract alone")]
    Carried(String),
    /// The key holds something that has no text of its own.
    #[error("`{0}` cannot be part of a key")]
    Key(String),
    /// An invariant, a flag or a computed attribute cannot be compiled.
    #[error("`{name}` cannot be compiled: {reasons}")]
    Expression {
        /// The invariant, the event and flag, or the attribute.
        name: String,
        /// Every reason.
        reasons: String,
    },
}

/// What a service says when it publishes an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The event.
    pub event: EventName,
    /// When it takes effect, a day or an instant, where no attribute says so.
    pub effective: Option<String>,
    /// The reason code.
    pub reason: Option<String>,
    /// The details, a JSON object in source form.
    pub details: Option<Vec<u8>>,
}

/// What was published of a key before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Before {
    /// A JSON object in source form of the last published values of attributes with `moves`; none: the key was unknown
    /// or had ended.
    pub moved: Option<Vec<u8>>,
}

/// A state record that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct StateMessage {
    /// The key.
    pub key: RecordKey,
    /// When it takes effect.
    pub effective: Option<String>,
    /// The values that the channel carries, and the key's.
    pub row: Row,
    /// The bytes of the `state` member in the value, as sent.
    pub state: Range<usize>,
}

/// An event that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct EventMessage {
    /// The key.
    pub key: RecordKey,
    /// The event.
    pub change: EventName,
    /// When it takes effect.
    pub effective: Option<String>,
    /// Its reason code.
    pub reason: Option<Reason>,
    /// The values that travel with it, and the key's.
    pub row: Row,
}

/// How a payload is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writing {
    /// As a service holds it and its outbox takes it: a row; of an event the change beside the row of its moment.
    Source,
    /// As it travels in a record of the log.
    Wire,
}

/// Reads an instant as it travels; none for any other text.
pub(crate) fn instant(text: &str) -> Option<Timestamp> {
    scalar::wire_timestamp(text.as_bytes())
}

/// The key of a record, read once: its text and its values.
#[derive(Debug, Clone, PartialEq)]
pub struct TypedKey {
    /// The key.
    pub key: RecordKey,
    values: Vec<Value>,
}

/// Reads, judges and writes the messages of one version of a contract. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Codec {
    plan: Arc<Plan>,
}

impl Codec {
    /// Compiles a contract.
    ///
    /// # Errors
    /// The first attribute, invariant or flag that cannot be compiled. A contract without findings always can.
    pub fn compile(contract: &ResolvedContract) -> Result<Codec, CompileError> {
        Ok(Codec { plan: Arc::new(Plan::compile(contract)?) })
    }

    /// Returns the contract.
    pub fn contract(&self) -> &ResolvedContract {
        &self.plan.contract
    }

    /// Reads a row in source form: a JSON object with members by attribute name. What the contract computes is computed here,
    /// whatever the object has of it.
    ///
    /// # Errors
    /// Every member that has a wrong type or is not declared; that the bytes are not JSON; or the first attribute that cannot be
    /// computed. Paths begin with `state`.
    pub fn read_source(&self, json: &[u8]) -> Result<Row, Vec<Violation>> {
        let mut row = vec![Value::Null; self.plan.attributes.width];
        read::source(&self.plan.attributes, json, "state", &mut row)?;
        for computed in &self.plan.computed {
            computed.fill(&mut row).map_err(|violation| vec![violation])?;
        }
        Ok(row)
    }

    /// Returns the key of a row. A value that is missing counts as an empty text; `judge_state` finds it.
    pub fn key_of(&self, row: &[Value]) -> RecordKey {
        let text = |part: &plan::KeyPart| write::text(&part.form, &row[part.slot]).unwrap_or_default();
        RecordKey::from_texts(&self.plan.key.iter().map(text).collect::<Vec<String>>())
    }

    /// Returns the typed values of a key, in the order of the key.
    ///
    /// # Errors
    /// KEY, when it has not as many values as the contract's, or one of another type.
    pub fn key_values(&self, key: &RecordKey) -> Result<Vec<Value>, Violation> {
        self.typed(&key.texts())
    }

    fn typed<T: AsRef<str>>(&self, texts: &[T]) -> Result<Vec<Value>, Violation> {
        if texts.len() != self.plan.key.len() {
            return Err(Violation::new(Rule::Key, "key", "not as many values as the contract's key"));
        }
        let value = |(idx, (part, text)): (usize, (&plan::KeyPart, &T))| {
            let value = read::scalar(&part.form.kind, text.as_ref(), read::Style::Wire);
            value.map_err(|message| Violation::new(Rule::Key, format!("key[{idx}]"), message))
        };
        self.plan.key.iter().zip(texts).enumerate().map(value).collect()
    }

    /// Reads the key of a record.
    ///
    /// # Errors
    /// KEY, when there is none, it is not canonical, or not one of this contract.
    pub fn decode_key(&self, record_key: Option<&[u8]>) -> Result<RecordKey, Violation> {
        self.typed_key(record_key).map(|typed| typed.key)
    }

    /// Returns the partition of a key: by the values that the contract partitions by.
    ///
    /// # Panics
    /// When there are no partitions.
    pub fn partition(&self, key: &RecordKey, partitions: u32) -> u32 {
        if self.plan.partition_by_key {
            return partition(key.as_bytes(), partitions);
        }
        let texts = key.texts();
        let chosen: Vec<String> =
            self.plan.partition_by.iter().filter_map(|at| texts.get(*at)).cloned().collect();
        partition(RecordKey::from_texts(&chosen).as_bytes(), partitions)
    }

    /// Returns the greatest size of a value on a channel of events or of state, in bytes.
    pub fn value_bytes_max(&self, channel: ChannelKind) -> Option<u64> {
        let contract = &self.plan.contract.contract;
        match channel {
            ChannelKind::Events => contract.events.as_ref().map(|events| events.terms.limit_bytes),
            ChannelKind::State => contract.state.as_ref().map(|state| state.limit_bytes),
        }
    }

    /// Returns how values are written on a channel of events or of state.
    pub fn encoding(&self, channel: ChannelKind) -> Encoding {
        let contract = &self.plan.contract.contract;
        let terms = match channel {
            ChannelKind::Events => contract.events.as_ref().map(|events| &events.terms),
            ChannelKind::State => contract.state.as_ref(),
        };
        terms.map(|terms| terms.encoding).unwrap_or_default()
    }

    /// Returns whether a value is too large for a channel of events or of state.
    pub fn judge_size(&self, channel: ChannelKind, value: &[u8]) -> Option<Violation> {
        let limit = self.value_bytes_max(channel);
        let large = limit.is_some_and(|limit| u64::try_from(value.len()).is_ok_and(|length| length > limit));
        large.then(|| Violation::new(Rule::Size, "", "larger than the channel's limit"))
    }

    /// Judges a row as the full state of a key: types, required, values, patterns, ranges, lengths, invariants.
    pub fn judge_state(&self, row: &[Value]) -> Vec<Violation> {
        let mut found = Vec::new();
        judge::row(&self.plan.attributes, row, &mut found);
        crate::violation::all_below(&mut found, "state");
        if found.is_empty() {
            self.plan.invariants.iter().for_each(|invariant| invariant.judge(row, &mut found));
        }
        found
    }

    /// Returns the slots of the attributes that an invariant reads, each once; none for one that the contract has not.
    pub fn invariant_slots(&self, name: &InvariantName) -> Vec<usize> {
        let invariant = self.plan.invariants.iter().find(|invariant| invariant.name() == name);
        let uses = invariant.into_iter().flat_map(|invariant| invariant.uses());
        let slots: BTreeSet<usize> = uses.filter_map(|path| self.plan.contract.slot(path.first())).collect();
        slots.into_iter().collect()
    }

    /// Reads the key of a record with its values, for `decode_state_of`.
    ///
    /// # Errors
    /// As for `decode_key`.
    pub fn typed_key(&self, record_key: Option<&[u8]>) -> Result<TypedKey, Violation> {
        let bytes = record_key.ok_or_else(|| Violation::new(Rule::Key, "key", "the record has no key"))?;
        let (key, texts) = RecordKey::parse_with_texts(bytes)?;
        let values = self.typed(&texts)?;
        Ok(TypedKey { key, values })
    }

    fn reach(&self, view: Option<&ViewId>) -> Result<&plan::Reach, Violation> {
        let reach = self.plan.reaches.iter().find(|reach| reach.view.as_ref() == view);
        reach.ok_or_else(|| Violation::new(Rule::Schema, "", "the contract has no such view"))
    }
}
