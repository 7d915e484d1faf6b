//! Reads values by their forms, straight from the bytes: as they travel, or as a source wrote them.

use super::form::{Field, Form, Kind, Members};
use super::scalar;
use crate::json::{DUPLICATE, JsonFault, Next, Reader, Seen};
use crate::violation::{Rule, Violation, all_below};
use seamline_contract::value::Value;
use std::borrow::Cow;
use std::collections::BTreeMap;

pub(super) use super::scalar::scalar;

/// How values are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// As they travel: one text for each value. Unknown members are skipped, a newer minor may add them.
    Wire,
    /// As the source's database wrote them: several texts for a value, but never one that loses something.
    Source,
}

/// Turns bytes that are no JSON into a violation at the top of a message.
pub(super) fn json_violation(fault: JsonFault) -> Violation {
    Violation::new(Rule::Json, "", format!("{} at byte {}", fault.what, fault.at))
}

/// Returns bytes as text.
pub(super) fn utf8(bytes: &[u8]) -> Result<&str, Violation> {
    std::str::from_utf8(bytes)
        .map_err(|error| json_violation(JsonFault { at: error.valid_up_to(), what: "not UTF-8" }))
}

/// Reads an object in source form into a row, by slot. Paths begin with `top`.
pub(super) fn source(
    members: &Members,
    json: &[u8],
    top: &str,
    row: &mut [Value],
) -> Result<(), Vec<Violation>> {
    let text = utf8(json).map_err(|violation| vec![violation])?;
    let mut reader = Reader::new(text);
    let mut found = Vec::new();
    object(&mut reader, members, Style::Source, &mut found, row)
        .and_then(|()| reader.end())
        .map_err(|fault| vec![json_violation(fault)])?;
    all_below(&mut found, top);
    if found.is_empty() { Ok(()) } else { Err(found) }
}

/// Reads the members of an object into a row, by slot. What has a wrong type is found and stays without a value.
pub(super) fn object(
    reader: &mut Reader<'_>,
    members: &Members,
    style: Style,
    found: &mut Vec<Violation>,
    row: &mut [Value],
) -> Result<(), JsonFault> {
    if reader.next()? != Next::Object {
        found.push(Violation::new(Rule::Type, "", "not an object"));
        return reader.skip_value();
    }
    each_member(reader, members, style, found, |field, value| row[field.slot] = value)
}

/// Reads a value; `Null` when it has a wrong type, which is found.
fn value(
    reader: &mut Reader<'_>,
    form: &Form,
    style: Style,
    found: &mut Vec<Violation>,
) -> Result<Value, JsonFault> {
    let read = match (&form.kind, reader.next()?) {
        (_, Next::Null) => return reader.null().map(|()| Value::Null),
        (Kind::String | Kind::Enum, Next::Text) => scalar::text(reader.string()?),
        (Kind::Boolean, Next::Boolean) => Ok(Value::Boolean(reader.boolean()?)),
        (Kind::Object(members), Next::Object) => {
            let mut map = BTreeMap::new();
            each_member(reader, members, style, found, |field, value| {
                if !value.is_null() {
                    map.insert(field.name.clone(), value);
                }
            })?;
            Ok(Value::Map(map))
        }
        (Kind::Map(element), Next::Object) => return map(reader, element, style, found),
        (Kind::List(element), Next::Array) => return list(reader, element, style, found),
        (Kind::Object(_) | Kind::Map(_) | Kind::List(_), Next::Text) if style == Style::Source => {
            let text = reader.string()?;
            return Ok(json_text(&text, form, found));
        }
        (Kind::Boolean | Kind::Approximate | Kind::Object(_) | Kind::Map(_) | Kind::List(_), Next::Text) => {
            reader.string()?;
            Err(scalar::expected(&form.kind))
        }
        (kind, Next::Text) => {
            let text: Cow<'_, str> = reader.string()?;
            scalar(kind, &text, style)
        }
        (kind, Next::Number) => scalar::number(kind, reader.number()?, style),
        (kind, Next::Boolean | Next::Object | Next::Array) => {
            reader.skip_value()?;
            Err(scalar::expected(kind))
        }
    };
    Ok(read.unwrap_or_else(|message| {
        found.push(Violation::new(Rule::Type, "", message));
        Value::Null
    }))
}

/// Reads JSON that a source holds as text.
fn json_text(text: &str, form: &Form, found: &mut Vec<Violation>) -> Value {
    let mut reader = Reader::new(text);
    let read = value(&mut reader, form, Style::Source, found).and_then(|value| reader.end().map(|()| value));
    read.unwrap_or_else(|fault| {
        found.push(json_violation(fault));
        Value::Null
    })
}

fn map(
    reader: &mut Reader<'_>,
    element: &Form,
    style: Style,
    found: &mut Vec<Violation>,
) -> Result<Value, JsonFault> {
    let mut map = BTreeMap::new();
    reader.open_object()?;
    let mut first = true;
    let mut seen = Seen::default();
    while reader.more(first, b'}')? {
        first = false;
        let name = reader.name()?;
        let before = found.len();
        let element = value(reader, element, style, found)?;
        if name.contains('\0') {
            found.push(Violation::new(Rule::Shape, "", "a name with U+0000"));
        }
        all_below(&mut found[before..], "*");
        if !element.is_null() {
            map.insert(name.clone().into_owned(), element);
        }
        seen.insert(name, reader)?;
    }
    Ok(Value::Map(map))
}

fn list(
    reader: &mut Reader<'_>,
    element: &Form,
    style: Style,
    found: &mut Vec<Violation>,
) -> Result<Value, JsonFault> {
    let mut elements = Vec::new();
    reader.open_array()?;
    while reader.more(elements.is_empty(), b']')? {
        let before = found.len();
        elements.push(value(reader, element, style, found)?);
        if found.len() > before {
            all_below(&mut found[before..], &format!("[{}]", elements.len() - 1));
        }
    }
    Ok(Value::List(elements))
}

/// Reads the members of an object: quickly in canonical order, rightly in any.
fn each_member(
    reader: &mut Reader<'_>,
    members: &Members,
    style: Style,
    found: &mut Vec<Violation>,
    mut put: impl FnMut(&Field, Value),
) -> Result<(), JsonFault> {
    reader.open_object()?;
    let mut first = true;
    let mut due = 0;
    let mut known = Known::default();
    while reader.more(first, b'}')? {
        first = false;
        let idx = match members.fields.get(due) {
            Some(field) if reader.take_exactly(&field.quoted) => Some(due),
            _ => {
                let name = reader.name()?;
                let idx = members.fields.iter().position(|field| field.name == name);
                if idx.is_none() {
                    known.names.insert(name, reader)?;
                }
                idx
            }
        };
        let Some(idx) = idx else {
            if style == Style::Source {
                found.push(Violation::new(Rule::Shape, "", "a member that the contract does not declare"));
            }
            reader.skip_value()?;
            continue;
        };
        known.insert(idx, reader)?;
        due = idx + 1;
        let field = &members.fields[idx];
        let before = found.len();
        let value = value(reader, &field.form, style, found)?;
        if found.len() > before {
            all_below(&mut found[before..], &field.name);
        }
        put(field, value);
    }
    Ok(())
}

/// The members of an object that were read: declared ones by place, others by name.
#[derive(Default)]
pub(super) struct Known<'a> {
    low: u128,
    high: Vec<usize>,
    pub(super) names: Seen<'a>,
}

impl<'a> Known<'a> {
    pub(super) fn insert(&mut self, idx: usize, reader: &Reader<'a>) -> Result<(), JsonFault> {
        let fresh = if idx < 128 {
            let bit = 1 << idx;
            let fresh = self.low & bit == 0;
            self.low |= bit;
            fresh
        } else {
            let fresh = !self.high.contains(&idx);
            self.high.push(idx);
            fresh
        };
        if fresh { Ok(()) } else { reader.fault(DUPLICATE) }
    }
}
