//! A value as a side hands it over.

use crate::number::Number;
use std::borrow::Cow;

/// Microseconds that stand for a moment after all others.
pub const FOR_EVER: i64 = i64::MAX;

/// Microseconds that stand for a moment before all others.
pub const SINCE_EVER: i64 = i64::MIN;

/// Days that stand for a day after all others.
pub const LAST_DAY: i32 = i32::MAX;

/// Days that stand for a day before all others.
pub const FIRST_DAY: i32 = i32::MIN;

/// A value of a column, borrowed from whoever read it.
#[derive(Debug, Clone)]
pub enum Cell<'a> {
    /// No value.
    Null,
    /// True or false.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// A decimal number.
    Decimal(Decimal),
    /// A floating point number.
    Float(f64),
    /// A text.
    Text(Cow<'a, str>),
    /// Bytes.
    Bytes(&'a [u8]),
    /// Days since 1970.
    Date(i32),
    /// Nanoseconds since midnight.
    Time(i64),
    /// Microseconds since 1970 and nanoseconds (0–999) on top, in no zone.
    Timestamp(i64, u16),
    /// Microseconds since 1970 and nanoseconds (0–999) on top.
    Instant(i64, u16),
    /// Months, days, microseconds.
    Interval(i32, i32, i64),
    /// A UUID.
    Uuid([u8; 16]),
    /// A JSON document as it is written: bytes, since a text may hold half of a surrogate pair.
    Json(&'a [u8]),
    /// A list.
    List(Vec<Cell<'a>>),
    /// Bytes that only their own system understands.
    Opaque(&'a [u8]),
}

/// A decimal number of any length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decimal(pub(crate) Number);

impl Decimal {
    /// Reads plain or scientific notation, `NaN` and `Infinity`; none when it is no number, or one with an exponent that no database holds.
    pub fn from_text(text: &str) -> Option<Decimal> {
        Number::from_text(text).map(Decimal)
    }

    /// Returns the number with digits to the base of ten thousand, the first of which counts ten thousand to the power of `weight`.
    pub fn from_groups(is_negative: bool, weight: i32, groups: impl Iterator<Item = u16>) -> Decimal {
        Decimal(Number::finite(is_negative, weight, groups.collect()))
    }

    /// Returns a whole number divided by a power of ten.
    pub fn from_scaled(number: i128, scale: u32) -> Decimal {
        Decimal(Number::from_scaled(number, scale))
    }

    /// Returns what is no number.
    pub fn not_a_number() -> Decimal {
        Decimal(Number::Nan)
    }

    /// Returns what is beyond all numbers.
    pub fn infinite(is_negative: bool) -> Decimal {
        Decimal(Number::Infinite { is_negative })
    }
}
