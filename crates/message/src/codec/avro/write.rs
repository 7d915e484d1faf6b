//! Canonical JSON as Avro.

use super::shape::{Field, Shape};
use crate::codec::form::Kind;
use crate::codec::read::{Style, scalar};
use crate::violation::{Rule, Violation};
use seamline_contract::value::Value;
use serde_json::Value as Json;

/// The day from which days are counted.
pub(super) const EPOCH: jiff::civil::Date = jiff::civil::date(1970, 1, 1);

/// Appends a number as Avro writes numbers: seven bits a byte, the least first, signs alternating.
pub(super) fn long(number: i64, out: &mut Vec<u8>) {
    let mut rest = ((number << 1) ^ (number >> 63)).cast_unsigned();
    while rest >= 0x80 {
        out.push(u8::try_from(rest & 0x7f).expect("seven bits") | 0x80);
        rest >>= 7;
    }
    out.push(u8::try_from(rest).expect("seven bits"));
}

fn length(count: usize, out: &mut Vec<u8>) {
    long(i64::try_from(count).expect("memory is smaller"), out);
}

fn bytes(bytes: &[u8], out: &mut Vec<u8>) {
    length(bytes.len(), out);
    out.extend_from_slice(bytes);
}

fn misfit() -> Violation {
    Violation::new(Rule::Encoding, "", "no value of the schema's type")
}

/// Appends a value.
pub(super) fn value(shape: &Shape, json: &Json, out: &mut Vec<u8>) -> Result<(), Violation> {
    let text = || json.as_str().ok_or_else(misfit);
    match shape {
        Shape::Text => bytes(text()?.as_bytes(), out),
        Shape::Enum(symbols) => {
            let text = text()?;
            let idx = symbols.iter().position(|symbol| symbol == text).ok_or_else(misfit)?;
            length(idx, out);
        }
        Shape::Boolean => out.push(u8::from(json.as_bool().ok_or_else(misfit)?)),
        Shape::Approximate => {
            out.extend_from_slice(&json.as_f64().ok_or_else(misfit)?.to_le_bytes());
        }
        Shape::Record(fields) => record(fields, json, out)?,
        Shape::List(element) => {
            let elements = json.as_array().ok_or_else(misfit)?;
            if !elements.is_empty() {
                length(elements.len(), out);
            }
            for (idx, it) in elements.iter().enumerate() {
                value(element, it, out).map_err(|violation| below(violation, &format!("[{idx}]")))?;
            }
            length(0, out);
        }
        Shape::Map(entry) => {
            let entries = json.as_object().ok_or_else(misfit)?;
            if !entries.is_empty() {
                length(entries.len(), out);
            }
            for (name, it) in entries {
                bytes(name.as_bytes(), out);
                value(entry, it, out).map_err(|violation| below(violation, "*"))?;
            }
            length(0, out);
        }
        scalar => from_text(scalar, text()?, out)?,
    }
    Ok(())
}

fn record(fields: &[Field], json: &Json, out: &mut Vec<u8>) -> Result<(), Violation> {
    let members = json.as_object().ok_or_else(misfit)?;
    for field in fields {
        match members.get(&field.name).filter(|it| !it.is_null()) {
            None if field.optional => length(0, out),
            None => {
                let message = "the schema always has a value here";
                return Err(Violation::new(Rule::Encoding, field.name.as_str(), message));
            }
            Some(it) => {
                if field.optional {
                    length(1, out);
                }
                value(&field.shape, it, out).map_err(|violation| below(violation, &field.name))?;
            }
        }
    }
    // What the schema has no place for would be lost without a word.
    match members.keys().find(|name| !fields.iter().any(|field| field.name == **name)) {
        None => Ok(()),
        Some(name) => {
            Err(Violation::new(Rule::Encoding, name.as_str(), "a member for which the schema has no field"))
        }
    }
}

fn below(mut violation: Violation, step: &str) -> Violation {
    violation.below(step);
    violation
}

/// Appends a scalar whose canonical JSON is a string.
fn from_text(shape: &Shape, text: &str, out: &mut Vec<u8>) -> Result<(), Violation> {
    let kind = match shape {
        Shape::Decimal { precision, scale } => Kind::Decimal { precision: *precision, scale: *scale },
        Shape::Date => Kind::Date,
        Shape::Timestamp => Kind::Timestamp,
        Shape::Duration => Kind::Duration,
        Shape::Bytes => Kind::Bytes,
        _ => Kind::Integer,
    };
    match scalar(&kind, text, Style::Wire).map_err(|_| misfit())? {
        Value::Integer(number) | Value::Duration(number) => long(number, out),
        Value::Decimal(number) => bytes(twos_complement(&number.mantissa().to_be_bytes()), out),
        Value::Date(day) => long(day.duration_since(EPOCH).as_hours() / 24, out),
        Value::Timestamp(instant) => long(instant.as_microsecond(), out),
        Value::Bytes(given) => bytes(&given, out),
        _ => return Err(misfit()),
    }
    Ok(())
}

/// Returns the fewest bytes that say the same number.
fn twos_complement(bytes: &[u8]) -> &[u8] {
    let is_spare = |pair: &[u8]| match pair[0] {
        0 => pair[1] < 0x80,
        0xff => pair[1] >= 0x80,
        _ => false,
    };
    let spare = bytes.windows(2).take_while(|pair| is_spare(pair)).count();
    &bytes[spare..]
}
