//! One outbox row becomes the records of all its channels, or the violation that keeps it from them. Pure.

use crate::log::Outgoing;
use crate::outlet::{OutChannel, Outlet};
use crate::source::{Act, OutboxRow};
use seamline_contract::channel::ChannelKind;
use seamline_contract::id::{ContractRef, SystemId};
use seamline_contract::value::Value;
use seamline_message::canonical;
use seamline_message::codec::{Before, Change, Row};
use seamline_message::envelope::{Heading, STATE, VOID};
use seamline_message::key::RecordKey;
use seamline_message::sequence::Sequence;
use seamline_message::violation::{Rule, Violation};
use std::fmt;

/// Adds the records of a row of a system's outbox, own channels first.
///
/// A row without a change is what the source holds, published again: only its state is judged, not the way there. It could
/// otherwise never be mended.
///
/// # Errors
/// The first way in which the row breaks its contract: then nothing of it may be published, and what was added is nothing.
///
/// # Panics
/// When `partitions` does not know a topic of the outlet, or knows it without partitions.
pub fn records(
    system: &SystemId,
    outlet: &Outlet,
    row: &OutboxRow,
    partitions: &dyn Fn(&str) -> u32,
    records: &mut Vec<Outgoing>,
) -> Result<(), Violation> {
    if row.version.major != outlet.contract.major {
        return Err(Violation::new(Rule::Schema, "", "written under another major than the relay serves"));
    }
    let key = outlet.codec.decode_key(Some(row.key.as_bytes()))?;
    let time = canonical::text(&Value::Timestamp(row.written_at)).expect("an instant has a text");
    let before = records.len();
    let mut writer = Writer { system, outlet, row, key: &key, time: &time, partitions, records };
    let written = match &row.act {
        Act::Void { channel, sequence, previous } => writer.void(channel, *sequence, *previous),
        Act::State => writer.state().and_then(|state| writer.states(state.as_deref(), None)),
        Act::Change(change) => writer.change(change),
    };
    if written.is_err() {
        records.truncate(before);
    }
    written
}

struct Writer<'a> {
    system: &'a SystemId,
    outlet: &'a Outlet,
    row: &'a OutboxRow,
    key: &'a RecordKey,
    /// When the row was written, in canonical form.
    time: &'a str,
    partitions: &'a dyn Fn(&str) -> u32,
    records: &'a mut Vec<Outgoing>,
}

/// What of the headers differs between the records of a row.
struct Said<'a> {
    kind: &'a str,
    sequence: Sequence,
    previous: Option<Sequence>,
    effective: Option<&'a str>,
}

/// The id of a message: the same on every repetition, unique in the context. Each system draws its own sequences, and a
/// contract may be published from several.
struct MessageId<'a> {
    system: &'a SystemId,
    contract: &'a ContractRef,
    channel: &'a OutChannel,
    sequence: Sequence,
    is_void: bool,
}

impl fmt::Display for MessageId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ContractRef { name, major } = self.contract;
        write!(f, "{}@{major}/{}/{}/{}", name.contract, self.system, self.sequence, self.channel.name)?;
        f.write_str(if self.is_void { "/void" } else { "" })
    }
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

    fn change(&mut self, change: &Change) -> Result<(), Violation> {
        let (codec, outlet) = (&self.outlet.codec, self.outlet);
        let state = self.state()?;
        let before = Before { moved: self.row.moved.clone() };
        let found = codec.judge_change(change, state.as_deref(), &before);
        if !found.is_empty() {
            return Err(first(found));
        }
        let event = codec.contract().contract.event(&change.event);
        let event = event.ok_or_else(|| Violation::new(Rule::Event, "change", "no such event"))?;
        let alone = if state.is_none() { Some(self.key_alone()?) } else { None };
        let told = state.as_deref().or(alone.as_deref()).expect("one of both is there");
        let effective = codec.effective(change, Some(told))?;
        let effective = effective.as_deref();
        for channel in outlet.channels_of(ChannelKind::Events) {
            if !codec.contract().on_channel(&change.event, &channel.id) {
                continue;
            }
            if let Some(previous) = self.chain(channel)? {
                let event = self.event(channel, change, told, state.is_none())?;
                let sequence = self.row.sequence;
                let said = Said { kind: change.event.as_str(), sequence, previous, effective };
                self.record(channel, &said, Some(event));
            }
        }
        let left = if event.ends { None } else { state.as_deref() };
        self.states(left, effective)
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
        match self.row.previous.get(&channel.name) {
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

    /// Adds the records of all state channels: a state, or a tombstone without one.
    fn states(&mut self, row: Option<&[Value]>, effective: Option<&str>) -> Result<(), Violation> {
        let outlet = self.outlet;
        for channel in outlet.channels_of(ChannelKind::State) {
            let view = channel.id.view.as_ref();
            let value = row.map(|row| outlet.codec.encode_state(view, row, effective));
            if let Some(value) = &value {
                self.fits(channel, value)?;
            }
            let said = Said { kind: STATE, sequence: self.row.sequence, previous: None, effective };
            self.record(channel, &said, value);
        }
        Ok(())
    }

    fn void(
        &mut self,
        channel: &str,
        sequence: Sequence,
        previous: Option<Sequence>,
    ) -> Result<(), Violation> {
        let channel = self.outlet.channel(channel).filter(|channel| channel.id.kind == ChannelKind::Events);
        let channel = channel
            .ok_or_else(|| Violation::new(Rule::Schema, "", "the contract has no such channel of events"))?;
        self.record(channel, &Said { kind: VOID, sequence, previous, effective: None }, None);
        Ok(())
    }

    fn fits(&self, channel: &OutChannel, value: &[u8]) -> Result<(), Violation> {
        self.outlet.codec.judge_size(channel.id.kind, value).map_or(Ok(()), Err)
    }

    fn record(&mut self, channel: &OutChannel, said: &Said<'_>, value: Option<Vec<u8>>) {
        let (outlet, row) = (self.outlet, self.row);
        let id = MessageId {
            system: self.system,
            contract: &outlet.contract,
            channel,
            sequence: said.sequence,
            is_void: said.kind == VOID,
        };
        let heading = Heading {
            id: &id,
            source: &outlet.source,
            kind: said.kind,
            time: self.time,
            name: &outlet.contract.name,
            version: outlet.codec.contract().contract.version,
            key_text: self.key.as_str(),
            sequence: said.sequence,
            previous: said.previous,
            correlation: row.correlation.as_deref(),
            causation: row.causation.as_deref(),
            effective: said.effective,
            traceparent: row.traceparent.as_deref(),
        };
        self.records.push(Outgoing {
            topic: channel.topic.clone(),
            partition: outlet.codec.partition(self.key, (self.partitions)(&channel.topic)),
            key: Some(self.key.as_bytes().to_vec()),
            headers: heading.headers(),
            value,
        });
    }
}

fn first(violations: Vec<Violation>) -> Violation {
    violations.into_iter().next().expect("a refusal has a reason")
}
