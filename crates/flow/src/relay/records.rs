//! One outbox row becomes the records of all its channels, or the violation that keeps it from them. Pure.

use crate::log::Outgoing;
use crate::outlet::{OutChannel, Outlet};
use crate::source::{Act, OutboxRow};
use seamline_contract::channel::ChannelKind;
use seamline_contract::id::SystemId;
use seamline_contract::served::chain_name;
use seamline_contract::value::Value;
use seamline_message::codec::{Before, Change, Row};
use seamline_message::envelope::{Envelope, MessageKind};
use seamline_message::key::RecordKey;
use seamline_message::mutant::{self, Mutant};
use seamline_message::sequence::Sequence;
use seamline_message::violation::{Rule, Violation};

/// Returns the records of a row of a system's outbox, own channels first, then those of the older majors that are alive.
///
/// A row without a change is what the source holds, published again: only its state is judged, not the way there. It could
/// otherwise never be mended. A row of an older major, left from before the newest was installed, goes to that one and those
/// below it: what the newest holds of its key comes by a backfill.
///
/// # Errors
/// The first way in which the row breaks its contract, or cannot be one of an older major: then nothing of it may be
/// published.
///
/// # Panics
/// When `partitions` does not know a topic of the outlet, or knows it without partitions.
pub fn records(
    system: &SystemId,
    outlet: &Outlet,
    row: &OutboxRow,
    partitions: &dyn Fn(&str) -> u32,
) -> Result<Vec<Outgoing>, Violation> {
    let written = row.version.major;
    if let Act::Void { channel, sequence, previous } = &row.act {
        let has = |of: &&Outlet| {
            of.channels.iter().any(|it| chain_name(written, of.contract.major, &it.id) == *channel)
        };
        let Some(of) = outlet.all().find(has) else {
            // Of a major that is served no more, nobody reads the chain.
            let is_older = channel.contains('/');
            let unknown = || Violation::new(Rule::Schema, "", "the contract has no such channel of events");
            return if is_older { Ok(Vec::new()) } else { Err(unknown()) };
        };
        let key = of.codec.decode_key(Some(row.key.as_bytes()))?;
        let writer = Writer { system, outlet: of, newest: outlet, row, key: &key, ends: false, partitions };
        return writer.void(channel, *sequence, *previous);
    }
    let mut records = Vec::new();
    let mut is_known = false;
    for of in outlet.all().filter(|it| it.contract.major <= written) {
        let is_own = of.contract.major == written;
        is_known |= is_own;
        if !of.is_alive(row.written_at) {
            continue;
        }
        let made = one(system, (outlet, of), row, partitions);
        records.extend(made.map_err(|mut violation| {
            if !is_own {
                violation.below(&format!("serves.{}", of.contract.major));
            }
            violation
        })?);
    }
    if is_known {
        Ok(records)
    } else {
        let message =
            "written under an older major, which is not served: discard it, and publish its key again";
        Err(Violation::new(Rule::Schema, "", message))
    }
}

/// Returns the records of a row on the channels of one major.
fn one(
    system: &SystemId,
    (newest, outlet): (&Outlet, &Outlet),
    row: &OutboxRow,
    partitions: &dyn Fn(&str) -> u32,
) -> Result<Vec<Outgoing>, Violation> {
    let key = outlet.codec.decode_key(Some(row.key.as_bytes()))?;
    let ends = ends_its_key(newest, row);
    let writer = Writer { system, outlet, newest, row, key: &key, ends, partitions };
    match (&row.act, &outlet.descent) {
        (Act::Change(change), None) => writer.change(change),
        (Act::Change(change), Some(descent)) => match descent.change(row.version.major, change) {
            Some(change) => writer.change(&change),
            None => writer.states(writer.left(&writer.state()?), None),
        },
        _ => writer.states(writer.state()?.as_deref(), None),
    }
}

/// Returns whether a row tells of the end of its key, by the text that it was written under: it ends in every major.
fn ends_its_key(newest: &Outlet, row: &OutboxRow) -> bool {
    let Act::Change(change) = &row.act else { return false };
    let own = newest.all().find(|it| it.contract.major == row.version.major);
    let event = own.and_then(|own| own.codec.contract().contract.event(&change.event));
    event.is_some_and(|event| event.ends)
}

struct Writer<'a> {
    system: &'a SystemId,
    outlet: &'a Outlet,
    newest: &'a Outlet,
    row: &'a OutboxRow,
    key: &'a RecordKey,
    ends: bool,
    partitions: &'a dyn Fn(&str) -> u32,
}

impl Writer<'_> {
    /// Reads and judges the state; none where the key has no row.
    fn state(&self) -> Result<Option<Row>, Violation> {
        let Some(state) = &self.row.state else { return Ok(None) };
        let codec = &self.outlet.codec;
        let row = self.outlet.read_source(self.row.version.major, state).map_err(first)?;
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
        // The steps on the way there are judged by the text that the row was written under.
        let found = if self.outlet.contract.major == self.row.version.major {
            let before = Before { moved: self.row.moved.clone() };
            codec.judge_change(change, state.as_deref(), &before)
        } else {
            codec.judge_effect(change, state.as_deref())
        };
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
        records.extend(self.states(self.left(&state), effective.as_deref())?);
        Ok(records)
    }

    /// Returns what state is left of a key.
    fn left<'r>(&self, state: &'r Option<Row>) -> Option<&'r [Value]> {
        if self.ends { None } else { state.as_deref() }
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

    fn chain_name(&self, channel: &OutChannel) -> String {
        if mutant::is(Mutant::ChainOfNewest) {
            return channel.id.to_string();
        }
        chain_name(self.row.version.major, self.outlet.contract.major, &channel.id)
    }

    /// Returns what precedes the row in the chain of a channel; none at all where the row is older than the channel, whose
    /// chains begin with the first row written since.
    fn chain(&self, channel: &OutChannel) -> Result<Option<Option<Sequence>>, Violation> {
        let version = self.newest.codec.contract().contract.version;
        match self.row.previous.get(&self.chain_name(channel)) {
            Some(previous) => Ok(Some(within(self.row.sequence, *previous))),
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
        let is_it = |it: &&OutChannel| it.id.kind == ChannelKind::Events && self.chain_name(it) == channel;
        let channel = self.outlet.channels.iter().find(is_it);
        let channel = channel
            .ok_or_else(|| Violation::new(Rule::Schema, "", "the contract has no such channel of events"))?;
        let envelope = Envelope {
            id: format!("{}/void", self.id(channel, sequence)),
            sequence,
            previous: within(sequence, previous),
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

/// Returns what precedes a sequence in its chain: chains begin anew with each incarnation.
fn within(sequence: Sequence, previous: Option<Sequence>) -> Option<Sequence> {
    let is_within = |previous: &Sequence| {
        previous.incarnation() == sequence.incarnation() || mutant::is(Mutant::ChainAcrossIncarnations)
    };
    previous.filter(is_within)
}

fn first(violations: Vec<Violation>) -> Violation {
    violations.into_iter().next().expect("a refusal has a reason")
}
