//! One outbox row becomes the records of all its channels, or the violation that keeps it from them. Pure.

use crate::log::Outgoing;
use crate::outlet::{OutChannel, Outlet};
use crate::seal::sealer::SubjectKeys;
use crate::source::{Act, OutboxRow};
use seamline_contract::channel::{ChannelKind, Encoding};
use seamline_contract::id::{ContractRef, EventName, SystemId};
use seamline_contract::served::chain_name;
use seamline_contract::value::Value;
use seamline_message::canonical;
use seamline_message::codec::{Before, Change, Row, avro};
use seamline_message::envelope::{Heading, JSON, STATE, VOID};
use seamline_message::key::RecordKey;
use seamline_message::mutant::{self, Mutant};
use seamline_message::seal::{self, Place};
use seamline_message::sequence::Sequence;
use seamline_message::violation::{Rule, Violation};
use std::fmt;

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
    (partitions, keys): (&dyn Fn(&str) -> u32, &SubjectKeys),
    records: &mut Vec<Outgoing>,
) -> Result<(), Violation> {
    let before = records.len();
    let written = all(system, outlet, row, (partitions, keys), records);
    if written.is_err() {
        records.truncate(before);
    }
    written
}

fn all(
    system: &SystemId,
    outlet: &Outlet,
    row: &OutboxRow,
    (partitions, keys): (&dyn Fn(&str) -> u32, &SubjectKeys),
    records: &mut Vec<Outgoing>,
) -> Result<(), Violation> {
    let time = canonical::text(&Value::Timestamp(row.written_at)).expect("an instant has a text");
    let written = row.version.major;
    if let Act::Void { channel, sequence, previous } = &row.act {
        let has = |of: &&Outlet| {
            of.channels.iter().any(|it| chain_name(written, of.contract.major, &it.id) == *channel)
        };
        let Some(of) = outlet.all().find(has) else {
            // Of a major that is served no more, nobody reads the chain.
            let is_older = channel.contains('/');
            let unknown = || Violation::new(Rule::Schema, "", "the contract has no such channel of events");
            return if is_older { Ok(()) } else { Err(unknown()) };
        };
        let key = of.codec.decode_key(Some(row.key.as_bytes()))?;
        let (time, ends) = (time.as_str(), false);
        let mut writer = Writer {
            system,
            outlet: of,
            newest: outlet,
            row,
            key: &key,
            time,
            ends,
            partitions,
            keys,
            records,
        };
        return writer.void(channel, *sequence, *previous);
    }
    let mut is_known = false;
    for of in outlet.all().filter(|it| it.contract.major <= written) {
        let is_own = of.contract.major == written;
        is_known |= is_own;
        if !of.is_alive(row.written_at) {
            continue;
        }
        let made = one(system, (outlet, of), row, &time, (partitions, keys), records);
        made.map_err(|mut violation| {
            if !is_own {
                violation.below(&format!("serves.{}", of.contract.major));
            }
            violation
        })?;
    }
    if is_known {
        Ok(())
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
    time: &str,
    (partitions, keys): (&dyn Fn(&str) -> u32, &SubjectKeys),
    records: &mut Vec<Outgoing>,
) -> Result<(), Violation> {
    let key = outlet.codec.decode_key(Some(row.key.as_bytes()))?;
    let ends = ends_its_key(newest, row);
    let mut writer = Writer { system, outlet, newest, row, key: &key, time, ends, partitions, keys, records };
    match (&row.act, &outlet.descent) {
        (Act::Change(change), None) => writer.change(change),
        (Act::Change(change), Some(descent)) => match descent.change(row.version.major, change) {
            Some(change) => writer.change(&change),
            None => {
                let state = writer.state()?;
                let left = if ends { None } else { state.as_deref() };
                writer.states(left, None)
            }
        },
        _ => {
            let state = writer.state()?;
            writer.states(state.as_deref(), None)
        }
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
    /// When the row was written, in canonical form.
    time: &'a str,
    ends: bool,
    partitions: &'a dyn Fn(&str) -> u32,
    keys: &'a SubjectKeys,
    records: &'a mut Vec<Outgoing>,
}

/// What of the headers differs between the records of a row.
struct Said<'a> {
    kind: &'a str,
    sequence: Sequence,
    previous: Option<Sequence>,
    effective: Option<&'a str>,
    content_type: &'static str,
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

    fn change(&mut self, change: &Change) -> Result<(), Violation> {
        let (codec, outlet) = (&self.outlet.codec, self.outlet);
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
        if codec.contract().contract.event(&change.event).is_none() {
            return Err(Violation::new(Rule::Event, "change", "no such event"));
        }
        let alone = if state.is_none() { Some(self.key_alone()?) } else { None };
        let told = state.as_deref().or(alone.as_deref()).expect("one of both is there");
        let effective = codec.effective(change, Some(told))?;
        let effective = effective.as_deref().filter(|_| !mutant::is(Mutant::EffectiveLost));
        for channel in outlet.channels_of(ChannelKind::Events) {
            if !codec.contract().on_channel(&change.event, &channel.id) {
                continue;
            }
            if let Some(previous) = self.chain(channel)? {
                let (event, content_type) = self.event(channel, change, told, state.is_none())?;
                let sequence = self.row.sequence;
                let said = Said { kind: change.event.as_str(), sequence, previous, effective, content_type };
                self.record(channel, &said, Some(event));
            }
        }
        let left = if self.ends && !mutant::is(Mutant::DeletionLost) { None } else { state.as_deref() };
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
    ) -> Result<(Vec<u8>, &'static str), Violation> {
        let (codec, view) = (&self.outlet.codec, channel.id.view.as_ref());
        let value = codec.encode_event(view, change, told)?;
        if stateless {
            // What it carries cannot be judged by a state that is not there, only by what readers will make of it.
            codec.decode_event(view, Some(self.key.as_bytes()), &value)?;
        }
        if let Some(sealed) = self.sealed(&change.event, told, &value)? {
            return Ok((self.judged(channel, sealed)?, seal::CONTENT_TYPE));
        }
        let content_type = if channel.schemas.is_some() { avro::CONTENT_TYPE } else { JSON };
        Ok((self.encoded(channel, Some(&change.event), value)?, content_type))
    }

    /// Returns the payload of an event sealed under the key of its subject; none where its contract seals nothing of it.
    fn sealed(
        &self,
        event: &EventName,
        told: &[Value],
        payload: &[u8],
    ) -> Result<Option<Vec<u8>>, Violation> {
        let codec = &self.outlet.codec;
        if codec.encoding(ChannelKind::Events) != Encoding::Sealed || !seal::is_sealed(codec, event) {
            return Ok(None);
        }
        let contract = codec.contract();
        let slot = contract.contract.subject.as_ref().and_then(|subject| contract.slot(subject));
        let subject = slot.and_then(|slot| canonical::text(&told[slot]));
        let key =
            subject.and_then(|subject| self.keys.get(&(contract.contract.name.contract.clone(), subject)));
        let nobody = || {
            Violation::new(
                Rule::Sealed,
                "state",
                "personal data, and no subject under whose key it is sealed",
            )
        };
        let place = Place { contract: &self.outlet.contract, key: self.key, sequence: self.row.sequence };
        seal::seal(codec, event, payload, key.ok_or_else(nobody)?, &place)
    }

    fn judged(&self, channel: &OutChannel, value: Vec<u8>) -> Result<Vec<u8>, Violation> {
        self.outlet.codec.judge_size(channel.id.kind, &value).map_or(Ok(value), Err)
    }

    /// Adds the records of all state channels: a state, or a tombstone without one.
    fn states(&mut self, row: Option<&[Value]>, effective: Option<&str>) -> Result<(), Violation> {
        let outlet = self.outlet;
        for channel in outlet.channels_of(ChannelKind::State) {
            let view = channel.id.view.as_ref();
            let value = row.map(|row| outlet.codec.encode_state(view, row, effective));
            let value = value.map(|value| self.encoded(channel, None, value)).transpose()?;
            let is_avro = channel.schemas.is_some() && value.is_some();
            let content_type = if is_avro { avro::CONTENT_TYPE } else { JSON };
            let said =
                Said { kind: STATE, sequence: self.row.sequence, previous: None, effective, content_type };
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
        let outlet = self.outlet;
        let is_it = |it: &&OutChannel| it.id.kind == ChannelKind::Events && self.chain_name(it) == channel;
        // The same chain goes through all generations of its topic.
        let channels: Vec<&OutChannel> = outlet.channels.iter().filter(is_it).collect();
        if channels.is_empty() {
            return Err(Violation::new(Rule::Schema, "", "the contract has no such channel of events"));
        }
        let said = Said {
            kind: VOID,
            sequence,
            previous: within(sequence, previous),
            effective: None,
            content_type: JSON,
        };
        channels.into_iter().for_each(|channel| self.record(channel, &said, None));
        Ok(())
    }

    /// Returns a payload as its channel writes it, when that is not too large.
    fn encoded(
        &self,
        channel: &OutChannel,
        event: Option<&EventName>,
        payload: Vec<u8>,
    ) -> Result<Vec<u8>, Violation> {
        let value = match &channel.schemas {
            None => payload,
            Some(schemas) => {
                let none = || Violation::new(Rule::Encoding, "", "the channel has no schema of it");
                schemas.get(event).ok_or_else(none)?.write(&payload)?
            }
        };
        self.judged(channel, value)
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
            content_type: said.content_type,
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

/// Returns what precedes a sequence in its chain: chains begin anew with each incarnation.
fn within(sequence: Sequence, previous: Option<Sequence>) -> Option<Sequence> {
    let is_within = |previous: &Sequence| {
        previous.incarnation() == sequence.incarnation() || mutant::is(Mutant::ChainAcrossIncarnations)
    };
    previous.filter(is_within).filter(|_| !mutant::is(Mutant::ChainUnnamed))
}

fn first(violations: Vec<Violation>) -> Violation {
    violations.into_iter().next().expect("a refusal has a reason")
}
