//! Reads and validates payloads in one pass over their bytes.

use super::read::{self, Known, Style, json_violation, utf8};
use super::{Codec, EventMessage, Row, StateMessage, TypedKey, change, judge, scalar};
use crate::json::{JsonFault, Next, Reader};
use crate::key::RecordKey;
use crate::violation::{Rule, Violation, all_below};
use seamline_contract::id::{EventName, ViewId};
use seamline_contract::value::Value;
use std::ops::Range;

/// The members of an object by place in a list of names; others are skipped, duplicates refused.
pub(super) struct Top<'a> {
    known: Known<'a>,
    first: bool,
}

impl<'a> Top<'a> {
    pub(super) fn open(reader: &mut Reader<'a>) -> Result<Self, JsonFault> {
        reader.open_object()?;
        Ok(Top { known: Known::default(), first: true })
    }

    /// Returns the place of the next known member; none at the end.
    pub(super) fn next(
        &mut self,
        reader: &mut Reader<'a>,
        names: &[&str],
    ) -> Result<Option<usize>, JsonFault> {
        while reader.more(self.first, b'}')? {
            self.first = false;
            let name = reader.name()?;
            if let Some(idx) = names.iter().position(|known| *known == name) {
                self.known.insert(idx, reader)?;
                return Ok(Some(idx));
            }
            self.known.names.insert(name, reader)?;
            reader.skip_value()?;
        }
        Ok(None)
    }

    /// Returns how many members were skipped.
    pub(super) fn others(&self) -> usize {
        self.known.names.count()
    }
}

impl Codec {
    /// Reads and validates the value of a state record, in full on the own channel; invariants where all that they use
    /// is carried.
    ///
    /// # Errors
    /// The first violation.
    pub fn decode_state(
        &self,
        view: Option<&ViewId>,
        record_key: Option<&[u8]>,
        value: &[u8],
    ) -> Result<StateMessage, Violation> {
        self.read_state(view, record_key, value).map_err(change::first)
    }

    /// Reads and validates the value of a state record whose key was read. Returns the row, and where in the value the
    /// member `state` stands.
    ///
    /// # Errors
    /// The first violation.
    pub fn decode_state_of(
        &self,
        view: Option<&ViewId>,
        key: TypedKey,
        value: &[u8],
    ) -> Result<(Row, Range<usize>), Violation> {
        let read = self.read_state_of(view, &key.key, key.values, value);
        read.map(|read| (read.row, read.state)).map_err(change::first)
    }

    /// Reads and validates the value of a state record.
    ///
    /// # Errors
    /// Every violation that can be told beside the others.
    pub(super) fn read_state(
        &self,
        view: Option<&ViewId>,
        record_key: Option<&[u8]>,
        value: &[u8],
    ) -> Result<StateMessage, Vec<Violation>> {
        self.reach(view).map_err(alone)?;
        let TypedKey { key, values } = self.typed_key(record_key).map_err(alone)?;
        let ReadState { effective, row, state } = self.read_state_of(view, &key, values, value)?;
        Ok(StateMessage { key, effective, row, state })
    }

    fn read_state_of(
        &self,
        view: Option<&ViewId>,
        key: &RecordKey,
        values: Vec<Value>,
        value: &[u8],
    ) -> Result<ReadState, Vec<Violation>> {
        let reach = self.reach(view).map_err(alone)?;
        let mut reader = Reader::new(utf8(value).map_err(alone)?);
        let mut row = vec![Value::Null; self.plan.attributes.width];
        let mut found = Vec::new();
        let (mut effective, mut keyed, mut state) = (None, false, None);
        let mut read = || -> Result<(), JsonFault> {
            let mut top = Top::open(&mut reader)?;
            while let Some(idx) = top.next(&mut reader, &["effective", "key", "state"])? {
                match idx {
                    0 => effective = read_text(&mut reader, "effective", &mut found)?,
                    1 => keyed = read_key(&mut reader, key)?,
                    _ => {
                        reader.skip_space();
                        let start = reader.at();
                        let before = found.len();
                        read::object(&mut reader, &reach.state, Style::Wire, &mut found, &mut row)?;
                        all_below(&mut found[before..], "state");
                        state = Some(start..reader.at());
                    }
                }
            }
            reader.end()
        };
        read().map_err(|fault| alone(json_violation(fault)))?;
        let state = state.ok_or_else(|| alone(due("state")))?;
        self.settle(keyed, values, &mut row).map_err(alone)?;
        judge_effective(effective.as_deref(), &mut found);
        if found.is_empty() {
            judge::row(&reach.state, &row, &mut found);
            all_below(&mut found, "state");
        }
        self.finish(&reach.invariants, &row, found)?;
        Ok(ReadState { effective, row, state })
    }

    /// Reads and validates the value of an event, as far as the channel carries it.
    ///
    /// # Errors
    /// The first violation.
    pub fn decode_event(
        &self,
        view: Option<&ViewId>,
        record_key: Option<&[u8]>,
        value: &[u8],
    ) -> Result<EventMessage, Violation> {
        self.read_event(view, record_key, value, &[]).map_err(change::first)
    }

    /// Reads and validates the value of an event of which something was erased: no value is due at those paths, and what it
    /// would have to fit is not judged.
    ///
    /// # Errors
    /// The first violation.
    pub fn decode_erased_event(
        &self,
        view: Option<&ViewId>,
        record_key: Option<&[u8]>,
        value: &[u8],
        erased: &[String],
    ) -> Result<EventMessage, Violation> {
        self.read_event(view, record_key, value, erased).map_err(change::first)
    }

    /// Reads and validates the value of an event.
    ///
    /// # Errors
    /// Every violation that can be told beside the others.
    pub(super) fn read_event(
        &self,
        view: Option<&ViewId>,
        record_key: Option<&[u8]>,
        value: &[u8],
        erased: &[String],
    ) -> Result<EventMessage, Vec<Violation>> {
        let reach = self.reach(view).map_err(alone)?;
        let TypedKey { key, values } = self.typed_key(record_key).map_err(alone)?;
        let mut row = vec![Value::Null; self.plan.attributes.width];
        let mut found = Vec::new();
        let parts = self.read_event_parts(reach, &key, value, &mut row, &mut found).map_err(alone)?;
        self.settle(parts.keyed, values, &mut row).map_err(alone)?;
        let unknown = || alone(Violation::new(Rule::Event, "change", "the channel carries no such event"));
        let name = parts.change.ok_or_else(|| alone(due("change")))?;
        let name: EventName = name.parse().map_err(|_| unknown())?;
        let idx = self.event_idx(&name).ok_or_else(unknown)?;
        let (plan, carried) = (&self.plan.events[idx], reach.events[idx].as_ref().ok_or_else(unknown)?);
        judge_effective(parts.effective.as_deref(), &mut found);
        found.extend(change::reason(plan, parts.reason.as_deref()));
        let before = found.len();
        judge::row(&carried.carries, &row, &mut found);
        all_below(&mut found[before..], "carries");
        let before = found.len();
        let mut details = vec![Value::Null; plan.details.width];
        if let Some(mut reader) = parts.details {
            read::object(&mut reader, &carried.details, Style::Wire, &mut found, &mut details)
                .map_err(|fault| alone(json_violation(fault)))?;
        }
        judge::row(&carried.details, &details, &mut found);
        all_below(&mut found[before..], "details");
        if let Some(reader) = parts.flags {
            judge_flags(reader, plan, &mut found).map_err(|fault| alone(json_violation(fault)))?;
        }
        found.extend(
            self.becomes(plan, &row, "carries")
                .into_iter()
                .filter(|broken| carried.carries.field(broken.path.trim_start_matches("carries.")).is_some()),
        );
        found.retain(|broken| !erased.contains(&broken.path));
        // What an invariant would say without the values that it was written for is of no use.
        let invariants: &[usize] = if erased.is_empty() { &carried.invariants } else { &[] };
        self.finish(invariants, &row, found)?;
        let reason = parts.reason.and_then(|reason| reason.parse().ok());
        Ok(EventMessage { key, change: name, effective: parts.effective, reason, row })
    }

    /// Reads the members of an event; details and flags are left for when the event is known.
    fn read_event_parts<'a>(
        &self,
        reach: &super::plan::Reach,
        key: &RecordKey,
        value: &'a [u8],
        row: &mut [Value],
        found: &mut Vec<Violation>,
    ) -> Result<EventParts<'a>, Violation> {
        let mut reader = Reader::new(utf8(value)?);
        let mut parts = EventParts::default();
        let mut read = || -> Result<(), JsonFault> {
            let mut top = Top::open(&mut reader)?;
            while let Some(idx) = top.next(&mut reader, &EVENT_MEMBERS)? {
                match idx {
                    0 => {
                        let before = found.len();
                        read::object(&mut reader, &reach.state, Style::Wire, found, row)?;
                        all_below(&mut found[before..], "carries");
                    }
                    1 => parts.change = read_text(&mut reader, "change", found)?,
                    2 => parts.details = Some(later(&mut reader)?),
                    3 => parts.effective = read_text(&mut reader, "effective", found)?,
                    4 => parts.flags = Some(later(&mut reader)?),
                    5 => parts.keyed = read_key(&mut reader, key)?,
                    _ => parts.reason = read_text(&mut reader, "reason", found)?,
                }
            }
            reader.end()
        };
        read().map_err(json_violation)?;
        Ok(parts)
    }

    /// Puts the values of the key into the row, when the payload has the record's.
    fn settle(&self, keyed: bool, values: Vec<Value>, row: &mut [Value]) -> Result<(), Violation> {
        if !keyed {
            return Err(Violation::new(Rule::Key, "key", "not the key of the record"));
        }
        for (part, value) in self.plan.key.iter().zip(values) {
            row[part.slot] = value;
        }
        Ok(())
    }

    /// Judges invariants when all else is right, and returns what was found.
    pub(super) fn finish(
        &self,
        invariants: &[usize],
        row: &[Value],
        mut found: Vec<Violation>,
    ) -> Result<(), Vec<Violation>> {
        if found.is_empty() {
            invariants.iter().for_each(|idx| self.plan.invariants[*idx].judge(row, &mut found));
        }
        if found.is_empty() { Ok(()) } else { Err(found) }
    }
}

const EVENT_MEMBERS: [&str; 7] = ["carries", "change", "details", "effective", "flags", "key", "reason"];

/// A state record that was read, without its key.
struct ReadState {
    effective: Option<String>,
    row: Row,
    state: Range<usize>,
}

/// What an event says beside what it carries.
#[derive(Default)]
struct EventParts<'a> {
    change: Option<String>,
    effective: Option<String>,
    reason: Option<String>,
    keyed: bool,
    details: Option<Reader<'a>>,
    flags: Option<Reader<'a>>,
}

pub(super) fn due(member: &str) -> Violation {
    Violation::new(Rule::Shape, member, "missing")
}

/// Skips a value that is read later, and returns where it begins.
fn later<'a>(reader: &mut Reader<'a>) -> Result<Reader<'a>, JsonFault> {
    let here = *reader;
    reader.skip_value()?;
    Ok(here)
}

/// Returns a violation as all there are.
pub(super) fn alone(violation: Violation) -> Vec<Violation> {
    vec![violation]
}

/// Reads a text that may be null.
pub(super) fn read_text(
    reader: &mut Reader<'_>,
    path: &str,
    found: &mut Vec<Violation>,
) -> Result<Option<String>, JsonFault> {
    match reader.next()? {
        Next::Text => Ok(Some(reader.string()?.into_owned())),
        Next::Null => reader.null().map(|()| None),
        _ => {
            found.push(Violation::new(Rule::Type, path, "not a text"));
            reader.skip_value().map(|()| None)
        }
    }
}

/// Reads the key of a payload; returns whether it is the record's.
pub(super) fn read_key(reader: &mut Reader<'_>, key: &RecordKey) -> Result<bool, JsonFault> {
    reader.skip_space();
    if reader.take_exactly(key.as_bytes()) {
        return Ok(true);
    }
    let mut texts = Vec::new();
    let mut again = *reader;
    let is_texts = again.texts(|text| texts.push(text.into_owned())).is_ok();
    reader.skip_value()?;
    Ok(is_texts && RecordKey::from_texts(&texts) == *key)
}

fn judge_effective(effective: Option<&str>, found: &mut Vec<Violation>) {
    if effective.is_some_and(|text| !scalar::is_canonical_moment(text)) {
        found.push(Violation::new(Rule::Effective, "effective", "neither a day nor an instant in UTC"));
    }
}

/// Judges that the flags are true or false.
fn judge_flags(
    mut reader: Reader<'_>,
    plan: &super::plan::EventPlan,
    found: &mut Vec<Violation>,
) -> Result<(), JsonFault> {
    let names: Vec<&str> = plan.flags.iter().map(|flag| flag.name().as_str()).collect();
    if reader.next()? != Next::Object {
        found.push(Violation::new(Rule::Type, "flags", "not an object"));
        return Ok(());
    }
    let mut top = Top::open(&mut reader)?;
    while let Some(idx) = top.next(&mut reader, &names)? {
        if reader.next()? != Next::Boolean {
            found.push(Violation::new(Rule::Type, format!("flags.{}", names[idx]), "not true or false"));
        }
        reader.skip_value()?;
    }
    Ok(())
}
