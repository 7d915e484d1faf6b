//! Values at run time: what an attribute can hold, in one form for messages, expressions and columns.

use jiff::Timestamp;
use jiff::civil::Date;
use rust_decimal::Decimal;
use std::collections::BTreeMap;

/// A value of an attribute. "No value" is `Null`: absent and null are the same.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// No value.
    Null,
    /// A boolean.
    Boolean(bool),
    /// A signed 64-bit integer.
    Integer(i64),
    /// An exact decimal, at the scale its type declares.
    Decimal(Decimal),
    /// A binary floating-point number: only where the contract says `approximate: true`; never NaN or infinite.
    Approximate(f64),
    /// A text, or a value of an enumeration. Not normalised.
    String(String),
    /// A day without a zone of its own.
    Date(Date),
    /// An instant, to the microsecond.
    Timestamp(Timestamp),
    /// A span of time in microseconds.
    Duration(i64),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A UUID, in network order.
    Uuid([u8; 16]),
    /// A list.
    List(Vec<Value>),
    /// An object or a map, by key.
    Map(BTreeMap<String, Value>),
}

impl Value {
    /// Returns whether this is "no value".
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }
}
