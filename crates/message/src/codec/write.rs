//! Writes rows as canonical payloads, cut to what a channel carries.

use super::form::{Field, Form, Kind, Members};
use super::{Change, Codec, change};
use crate::canonical;
use crate::mutant::{self, Mutant};
use crate::violation::{Rule, Violation};
use seamline_contract::id::ViewId;
use seamline_contract::value::Value;

static NO_VALUE: Value = Value::Null;

impl Codec {
    /// Returns the payload of a state record, `{"effective":…,"key":[…],"state":{…}}`, for a view or the own channel.
    ///
    /// # Panics
    /// When the contract has no such view.
    pub fn encode_state(&self, view: Option<&ViewId>, row: &[Value], effective: Option<&str>) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        out.push(b'{');
        if let Some(effective) = effective {
            out.extend_from_slice(b"\"effective\":");
            canonical::write_text(effective, &mut out);
            out.push(b',');
        }
        out.extend_from_slice(b"\"key\":");
        out.extend_from_slice(self.key_of(row).as_bytes());
        out.extend_from_slice(b",\"state\":");
        self.write_state(view, row, &mut out);
        out.push(b'}');
        out
    }

    /// Returns the bytes of the `state` member alone.
    ///
    /// # Panics
    /// When the contract has no such view.
    pub fn state_part(&self, view: Option<&ViewId>, row: &[Value]) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        self.write_state(view, row, &mut out);
        out
    }

    fn write_state(&self, view: Option<&ViewId>, row: &[Value], out: &mut Vec<u8>) {
        let view = if mutant::is(Mutant::ViewUncut) { None } else { view };
        let reach = self.reach(view).expect("a view of the contract");
        members(&reach.state, |field| &row[field.slot], out);
    }

    /// Returns the payload of an event, `{"carries":{…},"change":…,"details":{…},"effective":…,"flags":{…},"key":[…],
    /// "reason":…}`, for a view or the own channel. Members that would be empty are left out.
    ///
    /// # Errors
    /// EVENT, when the channel does not carry the event; else what is wrong with its details or effect, or FLAG.
    pub fn encode_event(
        &self,
        view: Option<&ViewId>,
        change: &Change,
        row: &[Value],
    ) -> Result<Vec<u8>, Violation> {
        let reach = self.reach(view)?;
        let unknown = || Violation::new(Rule::Event, "change", "the channel carries no such event");
        let idx = self.event_idx(&change.event).ok_or_else(unknown)?;
        let plan = &self.plan.events[idx];
        let carried = reach.events[idx].as_ref().ok_or_else(unknown)?;
        let details = change::details(plan, change.details.as_deref()).map_err(change::first)?;
        let effective = change::effective(plan, change, Some(row))?;
        let mut out = Vec::with_capacity(256);
        out.push(b'{');
        if !carried.carries.fields.is_empty() {
            out.extend_from_slice(b"\"carries\":");
            members(&carried.carries, |field| &row[field.slot], &mut out);
            out.push(b',');
        }
        out.extend_from_slice(b"\"change\":");
        canonical::write_text(change.event.as_str(), &mut out);
        if !carried.details.fields.is_empty() && change.details.is_some() {
            out.extend_from_slice(b",\"details\":");
            members(&carried.details, |field| &details[field.slot], &mut out);
        }
        if let Some(effective) = effective {
            out.extend_from_slice(b",\"effective\":");
            canonical::write_text(&effective, &mut out);
        }
        if !carried.flags.is_empty() {
            let flags = carried.flags.iter().map(|idx| {
                let flag = &plan.flags[*idx];
                flag.eval(row).map(|value| (flag.name().as_str(), value))
            });
            let flags = flags.collect::<Result<Vec<(&str, Value)>, Violation>>()?;
            out.extend_from_slice(b",\"flags\":");
            canonical::write_members(flags.iter().map(|(name, value)| (*name, value)).collect(), &mut out);
        }
        out.extend_from_slice(b",\"key\":");
        out.extend_from_slice(self.key_of(row).as_bytes());
        if let Some(reason) = &change.reason {
            out.extend_from_slice(b",\"reason\":");
            canonical::write_text(reason, &mut out);
        }
        out.push(b'}');
        Ok(out)
    }
}

/// Returns the canonical text of a value of a key.
pub(super) fn text(form: &Form, value: &Value) -> Option<String> {
    match (&form.kind, value) {
        (Kind::Decimal { scale, .. }, Value::Decimal(number)) => canonical::text(&at_scale(*number, *scale)),
        _ => canonical::text(value),
    }
}

fn at_scale(mut number: rust_decimal::Decimal, scale: u8) -> Value {
    number.rescale(u32::from(scale));
    Value::Decimal(number)
}

/// Appends an object of members in canonical order, leaving out what has no value.
pub(super) fn members<'a>(members: &Members, get: impl Fn(&Field) -> &'a Value, out: &mut Vec<u8>) {
    out.push(b'{');
    let mut first = true;
    for field in &members.fields {
        let given = get(field);
        if given.is_null() {
            continue;
        }
        if !first {
            out.push(b',');
        }
        first = false;
        out.extend_from_slice(&field.quoted);
        value(&field.form, given, out);
    }
    out.push(b'}');
}

fn value(form: &Form, given: &Value, out: &mut Vec<u8>) {
    match (&form.kind, given) {
        (Kind::Object(below), Value::Map(map)) => {
            members(below, |field| map.get(&field.name).unwrap_or(&NO_VALUE), out);
        }
        (Kind::Map(element), Value::Map(map)) => {
            let mut entries: Vec<_> = map.iter().filter(|(_, value)| !value.is_null()).collect();
            entries.sort_by(|(one, _), (two, _)| canonical::order(one, two));
            out.push(b'{');
            for (idx, (name, entry)) in entries.into_iter().enumerate() {
                if idx > 0 {
                    out.push(b',');
                }
                canonical::write_text(name, out);
                out.push(b':');
                value(element, entry, out);
            }
            out.push(b'}');
        }
        (Kind::List(element), Value::List(entries)) => {
            out.push(b'[');
            for (idx, entry) in entries.iter().enumerate() {
                if idx > 0 {
                    out.push(b',');
                }
                value(element, entry, out);
            }
            out.push(b']');
        }
        (Kind::Decimal { scale, .. }, Value::Decimal(number)) if number.scale() != u32::from(*scale) => {
            canonical::write(&at_scale(*number, *scale), out);
        }
        _ => canonical::write(given, out),
    }
}
