//! Judges values by their forms: type, required, values, pattern, range, length. What is found holds no value.

use super::form::{Checks, Form, Kind, Members};
use crate::violation::{Rule, Violation, all_below};
use seamline_contract::value::Value;

/// Judges the values of a row that some members name.
pub(super) fn row(members: &Members, row: &[Value], found: &mut Vec<Violation>) {
    for field in &members.fields {
        let before = found.len();
        match &row[field.slot] {
            Value::Null if field.optional => {}
            Value::Null => found.push(missing()),
            given => value(&field.form, given, found),
        }
        if found.len() > before {
            all_below(&mut found[before..], &field.name);
        }
    }
}

fn missing() -> Violation {
    Violation::new(Rule::Required, "", "no value, and not optional")
}

/// Judges one value.
pub(super) fn value(form: &Form, value: &Value, found: &mut Vec<Violation>) {
    match (&form.kind, value) {
        (Kind::Object(members), Value::Map(map)) => {
            for field in &members.fields {
                let before = found.len();
                match map.get(&field.name) {
                    Some(member) if !member.is_null() => self::value(&field.form, member, found),
                    _ if field.optional => {}
                    _ => found.push(missing()),
                }
                if found.len() > before {
                    all_below(&mut found[before..], &field.name);
                }
            }
        }
        (Kind::Map(element), Value::Map(map)) => {
            for member in map.values().filter(|member| !member.is_null()) {
                let before = found.len();
                self::value(element, member, found);
                all_below(&mut found[before..], "*");
            }
        }
        (Kind::List(element), Value::List(elements)) => {
            for (idx, member) in elements.iter().enumerate() {
                let before = found.len();
                self::value(element, member, found);
                if found.len() > before {
                    all_below(&mut found[before..], &format!("[{idx}]"));
                }
            }
        }
        (kind, value) => {
            if let Some(message) = mistyped(kind, value) {
                found.push(Violation::new(Rule::Type, "", message));
                return;
            }
        }
    }
    if let Some(checks) = &form.checks {
        narrow(checks, value, found);
    }
}

/// Returns why a value is not of a kind, or cannot travel; none when it is and can.
fn mistyped(kind: &Kind, value: &Value) -> Option<&'static str> {
    match (kind, value) {
        (Kind::String | Kind::Enum, Value::String(_))
        | (Kind::Integer, Value::Integer(_))
        | (Kind::Boolean, Value::Boolean(_))
        | (Kind::Uuid, Value::Uuid(_))
        | (Kind::Bytes, Value::Bytes(_))
        | (Kind::Duration, Value::Duration(_)) => None,
        (Kind::Approximate, Value::Approximate(number)) => {
            (!number.is_finite()).then_some("not a finite number")
        }
        (Kind::Decimal { precision, scale }, Value::Decimal(number)) => {
            if number.normalize().scale() > u32::from(*scale) {
                return Some("more digits after the point than declared");
            }
            let whole = number.trunc().mantissa().unsigned_abs();
            let fits = whole < 10_u128.pow(u32::from(precision - scale));
            (!fits).then_some("more digits before the point than declared")
        }
        (Kind::Date, Value::Date(day)) => (day.year() < 0).then_some("a day before the year 0000"),
        (Kind::Timestamp, Value::Timestamp(instant)) => {
            if instant.as_nanosecond() % 1000 != 0 {
                return Some("finer than a microsecond");
            }
            (instant.as_second() < YEAR_0_SECONDS).then_some("an instant before the year 0000")
        }
        (kind, _) => Some(super::scalar::expected(kind)),
    }
}

/// 0000-01-01T00:00:00Z in seconds since the epoch.
const YEAR_0_SECONDS: i64 = -62_167_219_200;

fn narrow(checks: &Checks, value: &Value, found: &mut Vec<Violation>) {
    let mut find = |rule, message: &str| found.push(Violation::new(rule, "", message));
    if let (Some(values), Value::String(text)) = (&checks.values, value)
        && !values.iter().any(|value| value.as_str() == text)
    {
        find(Rule::Values, "not one of the declared values");
    }
    if let (Some(pattern), Value::String(text)) = (&checks.pattern, value)
        && !pattern.is_match(text)
    {
        find(Rule::Pattern, "does not match the declared pattern");
    }
    if checks.min.as_ref().is_some_and(|min| less(value, min)) {
        find(Rule::Range, "below the declared minimum");
    }
    if checks.max.as_ref().is_some_and(|max| less(max, value)) {
        find(Rule::Range, "above the declared maximum");
    }
    if let (Some(limit), Some(length)) = (checks.length, length(value))
        && length > limit
    {
        find(Rule::Length, "longer than declared");
    }
}

/// Returns the length of what has one: characters, bytes, elements.
fn length(value: &Value) -> Option<u64> {
    let length = match value {
        Value::String(text) => text.chars().count(),
        Value::Bytes(bytes) => bytes.len(),
        Value::List(elements) => elements.len(),
        Value::Map(members) => members.len(),
        _ => return None,
    };
    u64::try_from(length).ok()
}

fn less(one: &Value, two: &Value) -> bool {
    match (one, two) {
        (Value::Integer(one), Value::Integer(two)) | (Value::Duration(one), Value::Duration(two)) => {
            one < two
        }
        (Value::Decimal(one), Value::Decimal(two)) => one < two,
        (Value::Approximate(one), Value::Approximate(two)) => one < two,
        (Value::Date(one), Value::Date(two)) => one < two,
        (Value::Timestamp(one), Value::Timestamp(two)) => one < two,
        (Value::String(one), Value::String(two)) => one < two,
        _ => false,
    }
}
