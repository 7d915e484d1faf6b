//! One outbox row becomes the records of all its channels, or the violation that keeps it from them. Pure.

use crate::log::Outgoing;
use crate::outlet::{OutChannel, Outlet};
use crate::source::{Act, OutboxRow};
use seamline_contract::channel::ChannelKind;
use seamline_contract::id::SystemId;
use seamline_contract::value::Value;
use seamline_message::codec::{Before, Change, Row};
use seamline_message::envelope::{Envelope, MessageKind};
use seamline_message::key::RecordKey;
use seamline_message::sequence::Sequence;
use seamline_message::violation::{Rule, Violation};

/// Returns the records of a row of a system's outbox, own channels first.
///
/// A row without a change is what the source holds, published again: only its state is judged, not the way there. It could
/// otherwise never be mended.
///
/// # Errors
/// The first way in which the row breaks its contract: then nothing of it may be published.
///
/// # Panics
/// When `partitions` does not know a topic of the outlet, or knows it without partitions.
pub fn records(
    system: &SystemId,
    outlet: &Outlet,
    row: &OutboxRow,
    partitions: &dyn Fn(&str) -> u32,
) -> Result<Vec<Outgoing>, Violation> {
    if row.version.major != outlet.contract.major {
        return Err(Violation::new(Rule::Schema, "", "written under another major than the relay serves"));
    }
    let key = outlet.codec.decode_key(Some(row.key.as_bytes()))?;
    let writer = Writer { system, outlet, row, key: &key, partitions };
    match &row.act {
        Act::Void { channel, sequence, previous } => writer.void(channel, *sequence, *previous),
        Act::State => writer.states(writer.state()?.as_deref(), None),
        Act::Change(change) => writer.change(change),
    }
}

struct Writer<'a> {
    system: &'a SystemId,
    outlet: &'a Outlet,
    row: &'a OutboxRow,
    key: &'a RecordKey,
    partitions: &'a dyn Fn(&str) -> u32,
}

impl Writer<'_> {
    /// Reads and judges the state; none where the key has no row.
    fn state(&self) -> Result<Option<Row>, Violation> {
        let Some(state) = &self.row.state else { return Ok(None) };
        let codec = &self.outlet.codec;
        let row = codec.read_source(state).map_err(first)?;
        let found = codec.judge_state(&row);
        if !found.is_empty() {
            return Err(first(found));
        }
        if codec.key_of(&row) != *self.key {
            return Err(Violation::new(Rule::Key, "key", "not the key of the state"));
        }
        Ok(Some(row))
    }

    fn change(&self, change: &Change) -> Result<Vec<Outgoing>, Violation> {
        let codec = &self.outlet.codec;
        let state = self.state()?;
        let before = Before { moved: self.row.moved.clone() };
        let found = codec.judge_change(change, state.as_deref(), &before);
        if !found.is_empty() {
            return Err(first(found));
        }
        let event = codec.contract().contract.event(&change.event);
        let event = event.ok_or_else(|| Violation::new(Rule::Event, "change", "no such event"))?;
        let told = match &state {
            Some(row) => row.clone(),
            None => self.key_alone()?,
        };
        let mut effective = None;
        if event.effective.is_some() || change.effective.is_some() {
            let own = codec.encode_event(None, change, &told)?;
            effective = codec.decode_event(None, Some(self.key.as_bytes()), &own)?.effective;
        }
        let mut records = Vec::with_capacity(self.outlet.channels.len());
        for channel in self.outlet.channels_of(ChannelKind::Events) {
            if !codec.contract().on_channel(&change.event, &channel.id) {
                continue;
            }
            if let Some(previous) = self.chain(channel)? {
                let event = self.event(channel, change, &told, state.is_none())?;
                let envelope = Envelope {
                    previous,
                    effective: effective.clone(),
                    ..self.envelope(channel, MessageKind::Event(change.event.clone()))
                };
                records.push(self.record(channel, &envelope, Some(event)));
            }
        }
        let left = if event.ends { None } else { state.as_deref() };
        records.extend(self.states(left, effective.as_deref())?);
        Ok(records)
    }

    /// Returns a row that holds the key and nothing else.
    fn key_alone(&self) -> Result<Row, Violation> {
        let contract = self.outlet.codec.contract();
        let mut row = vec![Value::Null; contract.attributes.len()];
        for (slot, value) in contract.key.iter().zip(self.outlet.codec.key_values(self.key)?) {
            row[*slot] = value;
        }
        Ok(row)
    }

    /// Returns what precedes the row in the chain of a channel; none at all where the row is older than the channel, whose
    /// chains begin with the first row written since.
    fn chain(&self, channel: &OutChannel) -> Result<Option<Option<Sequence>>, Violation> {
        let version = self.outlet.codec.contract().contract.version;
        match self.row.previous.get(&channel.id.to_string()) {
            Some(previous) => Ok(Some(*previous)),
            None if self.row.version < version => Ok(None),
            None => {
                Err(Violation::new(Rule::Event, "previous", "no chain of a channel that carries the event"))
            }
        }
    }

    fn event(
        &self,
        channel: &OutChannel,
        change: &Change,
        told: &[Value],
        stateless: bool,
    ) -> Result<Vec<u8>, Violation> {
        let (codec, view) = (&self.outlet.codec, channel.id.view.as_ref());
        let value = codec.encode_event(view, change, told)?;
        if stateless {
            // What it carries cannot be judged by a state that is not there, only by what readers will make of it.
            codec.decode_event(view, Some(self.key.as_bytes()), &value)?;
        }
        self.fits(channel, &value)?;
        Ok(value)
    }

    /// Returns the records of all state channels: a state, or a tombstone without one.
    fn states(&self, row: Option<&[Value]>, effective: Option<&str>) -> Result<Vec<Outgoing>, Violation> {
        let mut records = Vec::new();
        for channel in self.outlet.channels_of(ChannelKind::State) {
            let view = channel.id.view.as_ref();
            let value = row.map(|row| self.outlet.codec.encode_state(view, row, effective));
            if let Some(value) = &value {
                self.fits(channel, value)?;
            }
            let envelope = Envelope {
                effective: effective.map(ToOwned::to_owned),
                ..self.envelope(channel, MessageKind::State)
            };
            records.push(self.record(channel, &envelope, value));
        }
        Ok(records)
    }

    fn void(
        &self,
        channel: &str,
        sequence: Sequence,
        previous: Option<Sequence>,
    ) -> Result<Vec<Outgoing>, Violation> {
        let channel = self.outlet.channel(channel).filter(|channel| channel.id.kind == ChannelKind::Events);
        let channel = channel
            .ok_or_else(|| Violation::new(Rule::Schema, "", "the contract has no such channel of events"))?;
        let envelope = Envelope {
            id: format!("{}/void", self.id(channel, sequence)),
            sequence,
            previous,
            ..self.envelope(channel, MessageKind::Void)
        };
        Ok(vec![self.record(channel, &envelope, None)])
    }

    fn fits(&self, channel: &OutChannel, value: &[u8]) -> Result<(), Violation> {
        self.outlet.codec.judge_size(channel.id.kind, value).map_or(Ok(()), Err)
    }

    /// Returns the same id on every repetition, unique in the context: each system draws its own sequences, and a contract
    /// may be published from several.
    fn id(&self, channel: &OutChannel, sequence: Sequence) -> String {
        let contract = &self.outlet.contract;
        format!("{}@{}/{}/{sequence}/{}", contract.name.contract, contract.major, self.system, channel.id)
    }

    fn envelope(&self, channel: &OutChannel, kind: MessageKind) -> Envelope {
        let contract = &self.outlet.contract;
        Envelope {
            id: self.id(channel, self.row.sequence),
            source: format!("/{}", contract.name.context),
            kind,
            time: self.row.written_at,
            contract: contract.clone(),
            version: self.outlet.codec.contract().contract.version,
            key_text: self.key.as_str().to_owned(),
            sequence: self.row.sequence,
            previous: None,
            correlation: self.row.correlation.clone(),
            causation: self.row.causation.clone(),
            effective: None,
            traceparent: self.row.traceparent.clone(),
        }
    }

    fn record(&self, channel: &OutChannel, envelope: &Envelope, value: Option<Vec<u8>>) -> Outgoing {
        let partitions = (self.partitions)(&channel.topic);
        Outgoing {
            topic: channel.topic.clone(),
            partition: self.outlet.codec.partition(self.key, partitions),
            key: Some(self.key.as_bytes().to_vec()),
            headers: envelope.to_headers(),
            value,
        }
    }
}

fn first(violations: Vec<Violation>) -> Violation {
    violations.into_iter().next().expect("a refusal has a reason")
}
