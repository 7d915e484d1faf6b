//! Values as people read them, hidden ones, and what two different ones look like beside each other.

use crate::encode::{END, NULL, PLAIN, Rule, read_bytes};
use crate::json;
use crate::kind::Kind;
use crate::moment::{show_date, show_moment, show_time};
use crate::number::Number;
use std::fmt;

/// A compared value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// No value.
    Null,
    /// A number of any kind, without needless zeros.
    Number(String),
    /// A text.
    Text(String),
    /// A text that is none of the kind that its column is compared as.
    Unread(String),
    /// A day, a time, a moment; the days since 1970 are left out where there are none.
    Moment {
        /// As it is printed.
        text: String,
        /// Microseconds since 1970; none without end.
        micros: Option<i64>,
    },
    /// Anything else, as it is printed.
    Other(String),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => f.write_str("null"),
            Value::Number(text) | Value::Other(text) | Value::Moment { text, .. } => f.write_str(text),
            Value::Text(text) | Value::Unread(text) => f.write_str(text),
        }
    }
}

impl Value {
    /// Returns the text; none of no value.
    pub fn text(&self) -> Option<String> {
        (*self != Value::Null).then(|| self.to_string())
    }

    /// Returns what may be shown of a value that is nobody's business: whether there is one.
    pub fn masked(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Unread(_) => "*** (not of its kind)",
            _ => "***",
        }
    }
}

/// How two values that differ look alike: what a declaration could take away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Looks {
    /// One side has no value.
    NullOnLeft,
    /// One side has no value.
    NullOnRight,
    /// One side has no value and the other an empty text.
    EmptyAndNull,
    /// Blanks around the text.
    Blanks,
    /// Small and capital letters.
    Letters,
    /// The same letters, composed otherwise in Unicode.
    Composition,
    /// A number with fewer digits after its point.
    Digits,
    /// Whole quarters of an hour apart, at most fourteen hours.
    Zone,
    /// A time with fewer digits after its seconds.
    Fraction,
    /// A value that is none of the kind it is compared as.
    Unread,
}

impl Looks {
    /// Returns it in words.
    pub fn words(self) -> &'static str {
        match self {
            Looks::NullOnLeft => "no value on the left",
            Looks::NullOnRight => "no value on the right",
            Looks::EmptyAndNull => "an empty text and no value",
            Looks::Blanks => "blanks around the text",
            Looks::Letters => "small and capital letters",
            Looks::Composition => "letters composed otherwise in Unicode",
            Looks::Digits => "digits after the point",
            Looks::Zone => "whole hours, as another time zone would be",
            Looks::Fraction => "fractions of a second",
            Looks::Unread => "a value that is none of its kind",
        }
    }

    /// Returns the normalisation that would take the difference away.
    pub fn normalisation(self) -> Option<&'static str> {
        Some(match self {
            Looks::EmptyAndNull => "empty-null",
            Looks::Blanks => "trim",
            Looks::Letters => "lower",
            Looks::Composition => "nfc",
            Looks::Digits => "round:N",
            Looks::Fraction => "to:second",
            Looks::NullOnLeft | Looks::NullOnRight | Looks::Zone | Looks::Unread => return None,
        })
    }
}

/// Returns what two different values look like; none when nothing is known that explains it.
pub fn looks(left: &Value, right: &Value) -> Option<Looks> {
    const QUARTER_HOUR: i64 = 900_000_000;
    const ZONES: i64 = 14 * 3_600_000_000;
    match (left, right) {
        (Value::Null, Value::Text(text)) | (Value::Text(text), Value::Null) if text.trim().is_empty() => {
            Some(Looks::EmptyAndNull)
        }
        (Value::Null, _) => Some(Looks::NullOnLeft),
        (_, Value::Null) => Some(Looks::NullOnRight),
        (Value::Unread(_), _) | (_, Value::Unread(_)) => Some(Looks::Unread),
        (Value::Text(left), Value::Text(right)) => texts(left, right),
        (Value::Number(left), Value::Number(right)) => {
            let (left, right) = (Number::from_text(left)?, Number::from_text(right)?);
            let are_close =
                (0..=12).any(|digits| left.rounded(digits) == right || right.rounded(digits) == left);
            are_close.then_some(Looks::Digits)
        }
        (Value::Moment { micros: Some(left), .. }, Value::Moment { micros: Some(right), .. }) => {
            let apart = left.abs_diff(*right);
            if apart < 1_000_000 && left.min(right).rem_euclid(1_000_000) == 0 {
                return Some(Looks::Fraction);
            }
            let is_zone = apart > 0
                && apart.is_multiple_of(QUARTER_HOUR.unsigned_abs())
                && apart <= ZONES.unsigned_abs();
            is_zone.then_some(Looks::Zone)
        }
        _ => None,
    }
}

fn texts(left: &str, right: &str) -> Option<Looks> {
    use unicode_normalization::UnicodeNormalization;
    if left.trim() == right.trim() {
        Some(Looks::Blanks)
    } else if left.to_lowercase() == right.to_lowercase() {
        Some(Looks::Letters)
    } else if left.nfc().eq(right.nfc()) {
        Some(Looks::Composition)
    } else {
        None
    }
}

/// Returns a UUID as it is usually written.
pub(crate) fn uuid(bytes: &[u8; 16]) -> String {
    let mut text = String::with_capacity(36);
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

/// Returns the cells of an encoded row.
///
/// # Panics
/// With other bytes than those of these rules.
pub(crate) fn values<'r>(mut bytes: &[u8], rules: impl Iterator<Item = &'r Rule>) -> Vec<Value> {
    let read = |rule: &Rule| {
        let (value, rest) = value(bytes, &rule.kind);
        bytes = rest;
        value
    };
    rules.map(read).collect()
}

fn value<'b>(bytes: &'b [u8], kind: &Kind) -> (Value, &'b [u8]) {
    let (tag, rest) = bytes.split_first().expect("a row has its cells");
    match *tag {
        NULL => (Value::Null, rest),
        PLAIN => content(rest, kind),
        _ => {
            let (text, rest) = read_bytes(rest);
            (Value::Unread(String::from_utf8_lossy(&text).into_owned()), rest)
        }
    }
}

fn wide(bytes: &[u8]) -> (i64, &[u8]) {
    let (number, rest) = bytes.split_first_chunk().expect("eight bytes");
    ((u64::from_be_bytes(*number) ^ (1 << 63)).cast_signed(), rest)
}

fn small(bytes: &[u8]) -> (i32, &[u8]) {
    let (number, rest) = bytes.split_first_chunk().expect("four bytes");
    ((u32::from_be_bytes(*number) ^ (1 << 31)).cast_signed(), rest)
}

fn content<'b>(bytes: &'b [u8], kind: &Kind) -> (Value, &'b [u8]) {
    match kind {
        Kind::Boolean => (Value::Other((bytes[0] == 1).to_string()), &bytes[1..]),
        Kind::Integer => {
            let (number, rest) = wide(bytes);
            (Value::Number(number.to_string()), rest)
        }
        Kind::Decimal => {
            let (number, rest) = Number::read(bytes);
            (Value::Number(number.text()), rest)
        }
        Kind::Float => {
            let (bits, rest) = bytes.split_first_chunk().expect("eight bytes");
            let bits = u64::from_be_bytes(*bits);
            let bits = if bits >> 63 == 1 { bits & !(1 << 63) } else { !bits };
            (Value::Number(f64::from_bits(bits).to_string()), rest)
        }
        Kind::Text => {
            let (text, rest) = read_bytes(bytes);
            (Value::Text(String::from_utf8_lossy(&text).into_owned()), rest)
        }
        Kind::Bytes | Kind::Opaque(_) => {
            let (bytes, rest) = read_bytes(bytes);
            let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            (Value::Other(format!("\\x{digits}")), rest)
        }
        Kind::Date => {
            let (day, rest) = small(bytes);
            let micros = i64::from(day).checked_mul(86_400_000_000);
            (Value::Moment { text: show_date(day), micros }, rest)
        }
        Kind::Time => {
            let (nanos, rest) = wide(bytes);
            (Value::Moment { text: show_time(nanos), micros: Some(nanos / 1_000) }, rest)
        }
        Kind::Timestamp | Kind::Instant => {
            let (micros, rest) = wide(bytes);
            let (nanos, rest) = rest.split_first_chunk().expect("two bytes");
            let zone = if *kind == Kind::Instant { "+00" } else { "" };
            let text = show_moment(micros, u16::from_be_bytes(*nanos), zone);
            let is_finite = !matches!(micros, i64::MAX | i64::MIN);
            (Value::Moment { text, micros: is_finite.then_some(micros) }, rest)
        }
        Kind::Interval => {
            let (months, rest) = small(bytes);
            let (days, rest) = small(rest);
            let (micros, rest) = wide(rest);
            (Value::Other(format!("{months} months {days} days {micros} microseconds")), rest)
        }
        Kind::Uuid => {
            let (bytes, rest) = bytes.split_first_chunk().expect("sixteen bytes");
            (Value::Other(uuid(bytes)), rest)
        }
        Kind::Json => {
            let mut text = String::new();
            let rest = json::show(bytes, &mut text);
            (Value::Other(text), rest)
        }
        Kind::List(element) => list(bytes, element),
    }
}

fn list<'b>(bytes: &'b [u8], element: &Kind) -> (Value, &'b [u8]) {
    let (mut texts, mut rest) = (Vec::new(), bytes);
    while rest[0] != END {
        let (found, after) = match rest[0] {
            NULL => (Value::Null, &rest[1..]),
            PLAIN => content(&rest[1..], element),
            _ => list(&rest[1..], element),
        };
        texts.push(found.to_string());
        rest = after;
    }
    (Value::Other(format!("[{}]", texts.join(", "))), &rest[1..])
}

#[cfg(test)]
mod tests {
    use super::{Looks, Value, looks, values};
    use crate::cell::{Cell, Decimal};
    use crate::encode::{Rule, write};
    use crate::kind::Kind;

    fn shown(cell: &Cell<'_>, kind: Kind) -> String {
        let rule = Rule { kind, normal: Default::default() };
        let mut out = Vec::new();
        write(cell, &rule, &mut out);
        values(&out, [&rule].into_iter())[0].to_string()
    }

    #[test]
    fn values_are_shown_as_they_were() {
        assert_eq!(shown(&Cell::Decimal(Decimal::from_text("-12.50").unwrap()), Kind::Decimal), "-12.5");
        assert_eq!(shown(&Cell::Float(-1.5), Kind::Float), "-1.5");
        assert_eq!(shown(&Cell::Instant(-1, 0), Kind::Instant), "1969-12-31 23:59:59.999999+00");
        assert_eq!(shown(&Cell::Text("a\0b".into()), Kind::Text), "a\0b");
        assert_eq!(shown(&Cell::Json(br#"{"b": 1.0}"#), Kind::Json), r#"{"b":1}"#);
        let list = Cell::List(vec![Cell::Integer(1), Cell::Null, Cell::List(vec![])]);
        assert_eq!(shown(&list, Kind::List(Box::new(Kind::Integer))), "[1, null, []]");
        assert_eq!(shown(&Cell::Uuid([0xab; 16]), Kind::Uuid), "abababab-abab-abab-abab-abababababab");
        assert_eq!(shown(&Cell::Null, Kind::Date), "null");
    }

    #[test]
    fn what_differences_look_like_is_told() {
        let text = |text: &str| Value::Text(text.to_owned());
        let number = |text: &str| Value::Number(text.to_owned());
        let at = |micros| Value::Moment { text: String::new(), micros: Some(micros) };
        for (left, right, expected) in [
            (text("a"), text("a "), Some(Looks::Blanks)),
            (text("a"), text("A"), Some(Looks::Letters)),
            (text(""), Value::Null, Some(Looks::EmptyAndNull)),
            (number("1.005"), number("1.01"), Some(Looks::Digits)),
            (number("1"), number("2"), None),
            (at(0), at(7_200_000_000), Some(Looks::Zone)),
            (at(0), at(1), Some(Looks::Fraction)),
            (at(0), at(61_000_000), None),
            (Value::Null, number("1"), Some(Looks::NullOnLeft)),
        ] {
            assert_eq!(looks(&left, &right), expected, "{left:?} and {right:?}");
        }
    }
}
