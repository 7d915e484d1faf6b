//! Values as SQLite holds them in a projection's columns, and back: what was written is what is read.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rust_decimal::Decimal;
use seamline_contract::attribute::Type;
use seamline_contract::value::Value;
use seamline_message::canonical;
use sqlx::query::Query;
use sqlx::sqlite::{Sqlite, SqliteArguments, SqliteRow, SqliteValueRef};
use sqlx::{Decode, Row, TypeInfo, ValueRef};
use std::collections::BTreeMap;

/// What a cell holds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
    Blob(Vec<u8>),
}

/// A query with its parameters.
pub(crate) type Bound<'q> = Query<'q, Sqlite, SqliteArguments>;

impl Cell {
    /// Binds the cell to the next parameter.
    pub(crate) fn bind(self, query: Bound<'_>) -> Bound<'_> {
        match self {
            Cell::Null => query.bind(None::<i64>),
            Cell::Integer(number) => query.bind(number),
            Cell::Real(number) => query.bind(number),
            Cell::Text(text) => query.bind(text),
            Cell::Blob(bytes) => query.bind(bytes),
        }
    }

    /// Reads a cell of a row, whatever is in it.
    pub(crate) fn read(row: &SqliteRow, idx: usize) -> Result<Cell, sqlx::Error> {
        let value: SqliteValueRef<'_> = row.try_get_raw(idx)?;
        if value.is_null() {
            return Ok(Cell::Null);
        }
        let kind = value.type_info();
        Ok(match kind.name() {
            "INTEGER" | "BOOLEAN" => Cell::Integer(decode(value)?),
            "REAL" => Cell::Real(decode(value)?),
            "TEXT" => Cell::Text(decode(value)?),
            _ => Cell::Blob(decode(value)?),
        })
    }

    /// Returns what is shown of a cell that its type could not have been stored as.
    fn shown(&self) -> String {
        match self {
            Cell::Null => String::new(),
            Cell::Integer(number) => number.to_string(),
            Cell::Real(number) => number.to_string(),
            Cell::Text(text) => text.clone(),
            Cell::Blob(bytes) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        }
    }
}

fn decode<'r, T: Decode<'r, Sqlite>>(value: SqliteValueRef<'r>) -> Result<T, sqlx::Error> {
    T::decode(value).map_err(sqlx::Error::Decode)
}

/// Returns the type of the column that holds values of a type.
pub(crate) fn declared(ty: &Type) -> &'static str {
    match ty {
        Type::Integer | Type::Boolean | Type::Duration => "INTEGER",
        Type::Bytes => "BLOB",
        Type::String
        | Type::Decimal { .. }
        | Type::Date
        | Type::Timestamp
        | Type::Uuid
        | Type::Enum
        | Type::Object(_)
        | Type::Map(_)
        | Type::List(_) => "TEXT",
    }
}

/// Returns the cell that holds a value.
pub(crate) fn store(value: &Value) -> Cell {
    match value {
        Value::Null => Cell::Null,
        Value::Boolean(truth) => Cell::Integer(i64::from(*truth)),
        Value::Integer(number) | Value::Duration(number) => Cell::Integer(*number),
        // With an exponent, so that no exact decimal looks the same.
        Value::Approximate(number) => Cell::Text(format!("{number:e}")),
        Value::String(text) => Cell::Text(text.clone()),
        Value::Bytes(bytes) => Cell::Blob(bytes.clone()),
        Value::List(_) | Value::Map(_) => {
            let mut json = Vec::new();
            canonical::write(value, &mut json);
            Cell::Text(String::from_utf8(json).expect("canonical JSON is UTF-8"))
        }
        scalar => Cell::Text(canonical::text(scalar).expect("a scalar has a text")),
    }
}

/// Returns the value that a cell holds.
///
/// # Errors
/// The text of a cell that no value of the type is stored as.
pub(crate) fn load(ty: &Type, cell: &Cell) -> Result<Value, String> {
    let value = match (ty, cell) {
        (_, Cell::Null) => Some(Value::Null),
        (Type::Boolean, Cell::Integer(number @ (0 | 1))) => Some(Value::Boolean(*number == 1)),
        (Type::Integer, Cell::Integer(number)) => Some(Value::Integer(*number)),
        (Type::Duration, Cell::Integer(micros)) => Some(Value::Duration(*micros)),
        (Type::Bytes, Cell::Blob(bytes)) => Some(Value::Bytes(bytes.clone())),
        (Type::Decimal { .. }, Cell::Text(text)) if text.contains('e') => {
            text.parse().ok().map(Value::Approximate)
        }
        (Type::Integer | Type::Boolean | Type::Duration | Type::Bytes, _) => None,
        (Type::Object(_) | Type::Map(_) | Type::List(_), Cell::Text(text)) => {
            serde_json::from_str(text).ok().and_then(|json| structure(Some(ty), &json))
        }
        (_, Cell::Text(text)) => scalar(ty, text),
        _ => None,
    };
    // What reads as a value but is not how that value is stored was written by somebody else.
    value.filter(|value| store(value) == *cell).ok_or_else(|| cell.shown())
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
        Type::Timestamp => Value::Timestamp(text.parse().ok()?),
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

/// Reads a value from canonical JSON. What the type does not say is read as it stands.
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

/// Returns the cell that a key's column holds for the canonical text of its value.
pub(crate) fn key_cell(ty: &Type, text: &str) -> Cell {
    scalar(ty, text).map_or_else(|| Cell::Text(text.to_owned()), |value| store(&value))
}

/// Returns the canonical text of a key's column.
pub(crate) fn key_text(ty: &Type, cell: &Cell) -> Option<String> {
    canonical::text(&load(ty, cell).ok()?)
}
