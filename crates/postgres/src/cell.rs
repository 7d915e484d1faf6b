//! Values as PostgreSQL's columns take and return them in text: what was written is what is read.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use rust_decimal::Decimal;
use seamline_contract::attribute::Type;
use seamline_contract::value::Value;
use seamline_flow::store::Column;
use seamline_message::canonical;
use std::collections::BTreeMap;

/// Returns the type of the column that holds a contract column's values, as `format_type` prints it.
pub(crate) fn declared(column: &Column) -> String {
    match &column.ty {
        _ if column.approximate => "double precision".to_owned(),
        Type::Decimal { precision, scale } => format!("numeric({precision},{scale})"),
        _ => cast(column).to_owned(),
    }
}

/// Returns the type to which the text of a value is cast: without what would round it.
pub(crate) fn cast(column: &Column) -> &'static str {
    match column.ty {
        _ if column.approximate => "double precision",
        Type::String | Type::Enum => "text",
        Type::Integer | Type::Duration => "bigint",
        Type::Decimal { .. } => "numeric",
        Type::Boolean => "boolean",
        Type::Date => "date",
        Type::Timestamp => "timestamp with time zone",
        Type::Uuid => "uuid",
        Type::Bytes => "bytea",
        Type::Object(_) | Type::Map(_) | Type::List(_) => "jsonb",
    }
}

/// Returns a value as its column takes it; none for no value.
pub(crate) fn store(value: &Value) -> Option<String> {
    Some(match value {
        Value::Null => return None,
        Value::Approximate(number) => format!("{number:e}"),
        Value::String(text) => text.clone(),
        Value::Duration(micros) => micros.to_string(),
        Value::Bytes(bytes) => format!("\\x{}", hex(bytes)),
        Value::List(_) | Value::Map(_) => {
            let mut json = Vec::new();
            canonical::write(value, &mut json);
            String::from_utf8(json).expect("canonical JSON is UTF-8")
        }
        scalar => {
            let text = canonical::text(scalar).expect("a scalar has a text");
            let is_day = matches!(scalar, Value::Date(_) | Value::Timestamp(_));
            // PostgreSQL has no year zero: it is the first before the first.
            match text.strip_prefix("0000-").filter(|_| is_day) {
                Some(rest) => format!("0001-{rest} BC"),
                None => text,
            }
        }
    })
}

/// Returns bytes as hexadecimal digits.
fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits =
        bytes.iter().flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    digits.map(char::from).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("\\x")?.as_bytes();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.chunks(2).map(byte).collect()
}

/// Returns the value that a cell holds, read as text.
///
/// # Errors
/// The text of a cell that no value of the type is stored as.
pub(crate) fn load(column: &Column, cell: Option<&str>) -> Result<Value, String> {
    let Some(text) = cell else { return Ok(Value::Null) };
    let value = match &column.ty {
        _ if column.approximate => {
            text.parse().ok().filter(|number: &f64| number.is_finite()).map(Value::Approximate)
        }
        Type::Object(_) | Type::Map(_) | Type::List(_) => {
            serde_json::from_str(text).ok().and_then(|json| structure(Some(&column.ty), &json))
        }
        Type::Duration => text.parse().ok().map(Value::Duration),
        Type::Bytes => unhex(text).map(Value::Bytes),
        Type::Timestamp => scalar(&column.ty, &moment(text)),
        Type::Date => scalar(&column.ty, &first_years(text)),
        ty => scalar(ty, text),
    };
    value.filter(|value| !value.is_null()).ok_or_else(|| text.to_owned())
}

/// Returns a day as the contract writes it: the first year before the first is zero.
fn first_years(text: &str) -> String {
    match text.strip_suffix(" BC").and_then(|day| day.strip_prefix("0001-")) {
        Some(rest) => format!("0000-{rest}"),
        None => text.to_owned(),
    }
}

/// Returns `2026-01-02 03:04:05.06+00` as the contract writes it.
fn moment(text: &str) -> String {
    let text = first_years(text);
    let Some((day, time)) = text.strip_suffix("+00").and_then(|text| text.split_once(' ')) else {
        return text;
    };
    let (seconds, part) = time.split_once('.').unwrap_or((time, ""));
    format!("{day}T{seconds}.{part:0<6}Z")
}

/// Reads a scalar from its canonical text.
fn scalar(ty: &Type, text: &str) -> Option<Value> {
    let value = match ty {
        Type::String | Type::Enum => Value::String(text.to_owned()),
        Type::Integer => Value::Integer(text.parse().ok()?),
        Type::Boolean => Value::Boolean(text.parse().ok()?),
        Type::Decimal { scale, .. } => {
            let number = Decimal::from_str_exact(text).ok()?;
            (number.scale() == u32::from(*scale)).then_some(Value::Decimal(number))?
        }
        Type::Date => Value::Date(text.parse().ok()?),
        Type::Timestamp => Value::Timestamp(text.parse::<Timestamp>().ok()?),
        Type::Uuid => Value::Uuid(uuid(text)?),
        Type::Bytes => Value::Bytes(STANDARD.decode(text).ok()?),
        Type::Duration => Value::Duration(duration(text)?),
        Type::Object(_) | Type::Map(_) | Type::List(_) => return None,
    };
    (canonical::text(&value).as_deref() == Some(text)).then_some(value)
}

fn uuid(text: &str) -> Option<[u8; 16]> {
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b'-').collect();
    let digits = std::str::from_utf8(&digits).ok()?;
    u128::from_str_radix(digits, 16).ok().map(u128::to_be_bytes)
}

/// Reads `PT90.000000S` as microseconds.
fn duration(text: &str) -> Option<i64> {
    let (sign, rest) = text.strip_prefix('-').map_or(("", text), |rest| ("-", rest));
    let (seconds, micros) = rest.strip_prefix("PT")?.strip_suffix('S')?.split_once('.')?;
    format!("{sign}{seconds}{micros}").parse().ok()
}

/// Reads a value from JSON. What the type does not say is read as it stands.
fn structure(ty: Option<&Type>, json: &serde_json::Value) -> Option<Value> {
    use serde_json::Value as Json;
    Some(match (ty, json) {
        (_, Json::Null) => Value::Null,
        (_, Json::Bool(truth)) => Value::Boolean(*truth),
        (_, Json::Number(number)) => Value::Approximate(number.as_f64()?),
        (Some(Type::List(element)), Json::Array(elements)) => {
            let ty = element.own_shape().map(|shape| &shape.ty);
            Value::List(elements.iter().map(|element| structure(ty, element)).collect::<Option<_>>()?)
        }
        (None, Json::Array(elements)) => {
            Value::List(elements.iter().map(|element| structure(None, element)).collect::<Option<_>>()?)
        }
        (_, Json::Object(members)) => {
            let ty_of = |name: &str| match ty {
                Some(Type::Map(element)) => element.own_shape().map(|shape| &shape.ty),
                Some(Type::Object(attributes)) => {
                    let member = attributes.iter().find(|attribute| attribute.name.as_str() == name);
                    member.and_then(|attribute| attribute.own_shape()).map(|shape| &shape.ty)
                }
                _ => None,
            };
            let member = |(name, json): (&String, &Json)| Some((name.clone(), structure(ty_of(name), json)?));
            Value::Map(members.iter().map(member).collect::<Option<BTreeMap<_, _>>>()?)
        }
        (Some(ty), Json::String(text)) => scalar(ty, text)?,
        (None, Json::String(text)) => Value::String(text.clone()),
        _ => return None,
    })
}

/// Returns what a key's column takes for the canonical text of its value; none when no value of the type has that text.
pub(crate) fn key_cell(column: &Column, text: &str) -> Option<String> {
    scalar(&column.ty, text).and_then(|value| store(&value))
}

/// Returns the canonical text of a key's value.
pub(crate) fn key_text(value: &Result<Value, String>) -> Option<String> {
    canonical::text(value.as_ref().ok()?)
}
