//! Examines payloads on their own, before they are published or after they were read: all violations at once.

use super::payload::{Top, alone, due, read_text};
use super::read::{self, json_violation, utf8};
use super::{Change, Codec, Row, Writing, change, judge};
use crate::json::{JsonFault, Next, Reader};
use crate::key::RecordKey;
use crate::violation::{Rule, Violation, all_below};
use seamline_contract::id::{EventName, ViewId};
use seamline_contract::value::Value;

/// What a service says when it publishes an event; `docs/reference/validate.md` names them.
const CHANGE_MEMBERS: [&str; 10] = [
    "change",
    "contract",
    "details",
    "effective",
    "key",
    "reason",
    "state",
    "correlation",
    "causation",
    "traceparent",
];

/// An event in source form, in parts.
#[derive(Default)]
struct Published<'a> {
    texts: [Option<String>; 4],
    details: Option<&'a str>,
    state: Option<&'a str>,
    n_others: usize,
}

impl Codec {
    /// Examines a payload of state, as a view carries it or the own channel. Returns its row.
    ///
    /// # Errors
    /// Every violation. Paths of a row in source form begin with `state`, as on the wire.
    pub fn examine_state(
        &self,
        view: Option<&ViewId>,
        writing: Writing,
        json: &[u8],
    ) -> Result<Row, Vec<Violation>> {
        match writing {
            Writing::Source => self.examine_row(view, json),
            Writing::Wire => {
                let key = payload_key(json)?;
                Ok(self.read_state(view, Some(key.as_bytes()), json)?.row)
            }
        }
    }

    /// Examines a payload of an event, as a view carries it or the own channel. Returns the row of its moment, as far as it
    /// is told. What came before it is not asked.
    ///
    /// # Errors
    /// Every violation.
    pub fn examine_event(
        &self,
        view: Option<&ViewId>,
        event: &EventName,
        writing: Writing,
        json: &[u8],
    ) -> Result<Row, Vec<Violation>> {
        match writing {
            Writing::Source => self.examine_change(view, event, json),
            Writing::Wire => {
                let key = payload_key(json)?;
                let message = self.read_event(view, Some(key.as_bytes()), json, &[])?;
                if message.change != *event {
                    return Err(alone(other_event()));
                }
                Ok(message.row)
            }
        }
    }

    fn examine_row(&self, view: Option<&ViewId>, json: &[u8]) -> Result<Row, Vec<Violation>> {
        let reach = self.reach(view).map_err(alone)?;
        let mut row = vec![Value::Null; self.plan.attributes.width];
        let mut found = read::source(&reach.row, json, "state", &mut row).err().unwrap_or_default();
        let is_whole = |it: &Violation| it.path.is_empty() || (it.path == "state" && it.rule == Rule::Type);
        if found.iter().any(is_whole) {
            return Err(found);
        }
        let mut judged = Vec::new();
        judge::row(&reach.row, &row, &mut judged);
        all_below(&mut judged, "state");
        // What has a wrong type was found, and has no value since.
        let is_below = |it: &Violation, path: &str| {
            let rest = it.path.strip_prefix(path);
            it.rule != Rule::Shape && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        let told = |path: &str| found.iter().any(|it| is_below(it, path));
        judged.retain(|violation| violation.rule != Rule::Required || !told(&violation.path));
        found.extend(judged);
        self.finish(&reach.invariants, &row, found)?;
        Ok(row)
    }

    fn examine_change(
        &self,
        view: Option<&ViewId>,
        event: &EventName,
        json: &[u8],
    ) -> Result<Row, Vec<Violation>> {
        let unknown = || alone(Violation::new(Rule::Event, "change", "the channel carries no such event"));
        let idx = self.event_idx(event).ok_or_else(unknown)?;
        if self.reach(view).map_err(alone)?.events[idx].is_none() {
            return Err(unknown());
        }
        let plan = &self.plan.events[idx];
        let mut found = Vec::new();
        let Published { texts, details, state, n_others } = published(json, &mut found)?;
        let [name, effective, reason, key] = texts;
        if n_others > 0 {
            found.push(Violation::new(Rule::Shape, "", "a member that publishing does not take"));
        }
        if name.is_some_and(|name| name != event.as_str()) {
            found.push(other_event());
        }
        let mut row = None;
        match state {
            Some(state) => match self.examine_row(None, state.as_bytes()) {
                Ok(read) => row = Some(read),
                Err(violations) => found.extend(violations),
            },
            None if plan.event.ends => {}
            None => found.push(due("state")),
        }
        let wanted = key.map(|key| RecordKey::parse(key.as_bytes())).transpose().map_err(alone)?;
        if let (Some(wanted), Some(row)) = (&wanted, &row)
            && *wanted != self.key_of(row)
        {
            found.push(Violation::new(Rule::Key, "key", "not the key of the state"));
        }
        let told = Change {
            event: event.clone(),
            effective,
            reason,
            details: details.map(|details| details.as_bytes().to_vec()),
        };
        if row.is_some() || plan.event.ends {
            found.extend(self.judge_event(plan, &told, row.as_deref()));
        } else {
            found.extend(change::reason(plan, told.reason.as_deref()));
        }
        if let (true, Some(row)) = (found.is_empty(), &row) {
            found.extend(self.encode_event(view, &told, row).err());
        }
        if found.is_empty() {
            Ok(row.unwrap_or_else(|| vec![Value::Null; self.plan.attributes.width]))
        } else {
            Err(found)
        }
    }
}

fn other_event() -> Violation {
    Violation::new(Rule::Event, "change", "another event than the one asked for")
}

/// Reads the key that a payload on the wire repeats; its record would have the same.
fn payload_key(json: &[u8]) -> Result<RecordKey, Vec<Violation>> {
    let mut reader = Reader::new(utf8(json).map_err(alone)?);
    let mut key = None;
    let mut read = || -> Result<(), JsonFault> {
        if reader.next()? != Next::Object {
            return reader.skip_value();
        }
        let mut top = Top::open(&mut reader)?;
        while top.next(&mut reader, &["key"])?.is_some() {
            let mut texts = Vec::new();
            let mut here = reader;
            let is_texts = here.texts(|text| texts.push(text.into_owned())).is_ok();
            key = Some(is_texts.then_some(texts));
            reader.skip_value()?;
        }
        reader.end()
    };
    read().map_err(|fault| alone(json_violation(fault)))?;
    let texts = key.ok_or_else(|| alone(due("key")))?;
    let texts = texts.filter(|texts| !texts.is_empty());
    let texts =
        texts.ok_or_else(|| alone(Violation::new(Rule::Key, "key", "not an array of texts, one or more")))?;
    Ok(RecordKey::from_texts(&texts))
}

/// Reads the parts of an event in source form.
fn published<'a>(json: &'a [u8], found: &mut Vec<Violation>) -> Result<Published<'a>, Vec<Violation>> {
    let text = utf8(json).map_err(alone)?;
    let mut reader = Reader::new(text);
    let mut parts = Published::default();
    let mut read = || -> Result<(), JsonFault> {
        if reader.next()? != Next::Object {
            found.push(Violation::new(Rule::Type, "", "not an object"));
            return reader.skip_value();
        }
        let mut top = Top::open(&mut reader)?;
        while let Some(idx) = top.next(&mut reader, &CHANGE_MEMBERS)? {
            let name = CHANGE_MEMBERS[idx];
            match name {
                "details" | "state" => {
                    let is_null = reader.next()? == Next::Null;
                    let start = reader.at();
                    reader.skip_value()?;
                    let part = (!is_null).then(|| &text[start..reader.at()]);
                    if name == "state" {
                        parts.state = part;
                    } else {
                        parts.details = part;
                    }
                }
                name => {
                    let at = ["change", "effective", "reason", "key"].iter().position(|it| *it == name);
                    let said = read_text(&mut reader, name, found)?;
                    if let Some(at) = at {
                        parts.texts[at] = said;
                    }
                }
            }
        }
        parts.n_others = top.others();
        reader.end()
    };
    read().map_err(|fault| alone(json_violation(fault)))?;
    if found.is_empty() { Ok(parts) } else { Err(std::mem::take(found)) }
}
