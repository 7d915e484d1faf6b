//! Cells as bytes: equal values of one kind have the same bytes, and bytes are ordered as keys are.
//!
//! Each cell ends where its bytes say, so that no two rows run into one another: `ab`, `c` is not `a`, `bc`.

use crate::cell::{Cell, FIRST_DAY, FOR_EVER, LAST_DAY, SINCE_EVER};
use crate::json;
use crate::kind::Kind;
use crate::moment::{MICROS_A_DAY, date, moment, time};
use crate::normalise::Normal;
use crate::number::Number;
use std::borrow::Cow;
use unicode_normalization::UnicodeNormalization;

/// Ends lists and documents; below every tag.
pub(crate) const END: u8 = 0;
pub(crate) const NULL: u8 = 1;
pub(crate) const PLAIN: u8 = 2;
pub(crate) const UNREAD: u8 = 3;

/// As what the values of a column are compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rule {
    /// Their kind.
    pub(crate) kind: Kind,
    /// What is done to them before.
    pub(crate) normal: Normal,
}

/// Writes a cell. Returns false when its value is none of the kind: it is kept as it is written, and equals only the same.
pub(crate) fn write(cell: &Cell<'_>, rule: &Rule, out: &mut Vec<u8>) -> bool {
    let at = out.len();
    let cell = match cell {
        Cell::Text(text) => match normal_text(text, &rule.normal) {
            Some(text) => Cow::Owned(Cell::Text(text)),
            None => Cow::Owned(Cell::Null),
        },
        other => Cow::Borrowed(other),
    };
    if matches!(*cell, Cell::Null) {
        write_null(out);
        return true;
    }
    out.push(PLAIN);
    if content(&cell, &rule.kind, &rule.normal, out).is_some() {
        return true;
    }
    out.truncate(at);
    out.push(UNREAD);
    write_bytes(as_written(&cell).as_ref(), out);
    false
}

/// Writes that there is no value.
pub(crate) fn write_null(out: &mut Vec<u8>) {
    out.push(NULL);
}

/// Writes bytes with their end.
pub(crate) fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    for (at, part) in bytes.split(|byte| *byte == 0).enumerate() {
        if at > 0 {
            out.extend([0, 0xff]);
        }
        out.extend_from_slice(part);
    }
    out.extend([0, 0]);
}

/// Reads what [`write_bytes`] wrote, and returns what follows.
///
/// # Panics
/// With other bytes.
pub(crate) fn read_bytes(bytes: &[u8]) -> (Vec<u8>, &[u8]) {
    let (mut text, mut rest) = (Vec::new(), bytes);
    loop {
        let zero = rest.iter().position(|byte| *byte == 0).expect("bytes have an end");
        text.extend_from_slice(&rest[..zero]);
        let mark = rest[zero + 1];
        rest = &rest[zero + 2..];
        if mark == 0 {
            return (text, rest);
        }
        text.push(0);
    }
}

fn normal_text<'t>(text: &'t str, normal: &Normal) -> Option<Cow<'t, str>> {
    let mut text = Cow::Borrowed(if normal.trim { text.trim() } else { text });
    if normal.lower {
        text = Cow::Owned(text.to_lowercase());
    }
    if normal.nfc {
        text = Cow::Owned(text.nfc().collect());
    }
    (!normal.empty_is_null || !text.is_empty()).then_some(text)
}

fn ordered(number: i64) -> [u8; 8] {
    (number.cast_unsigned() ^ (1 << 63)).to_be_bytes()
}

fn ordered_small(number: i32) -> [u8; 4] {
    (number.cast_unsigned() ^ (1 << 31)).to_be_bytes()
}

fn ordered_float(number: f64) -> [u8; 8] {
    // One NaN, after all numbers; one zero.
    let number = if number.is_nan() { f64::NAN.abs() } else { number + 0.0 };
    let bits = if number == 0.0 { 0 } else { number.to_bits() };
    let flipped = if bits >> 63 == 1 { !bits } else { bits | (1 << 63) };
    flipped.to_be_bytes()
}

/// Writes a value as one of a kind; none when it is none, and then `out` may hold a part of it.
fn content(cell: &Cell<'_>, kind: &Kind, normal: &Normal, out: &mut Vec<u8>) -> Option<()> {
    match kind {
        Kind::Boolean => out.push(u8::from(boolean(cell)?)),
        Kind::Integer => out.extend(ordered(integer(cell)?)),
        Kind::Decimal => {
            let number = number(cell, normal.round.is_some())?;
            match normal.round {
                Some(digits) => number.rounded(digits).write(out),
                None => number.write(out),
            }
        }
        Kind::Float => out.extend(ordered_float(float(cell)?)),
        Kind::Text => write_bytes(text(cell)?.as_bytes(), out),
        Kind::Bytes => write_bytes(&bytes(cell)?, out),
        Kind::Date => out.extend(ordered_small(day(cell, normal)?)),
        Kind::Time => {
            let nanos = match cell {
                Cell::Time(nanos) => *nanos,
                Cell::Text(text) => time(text.trim())?,
                _ => return None,
            };
            out.extend(ordered(cut(nanos, normal)));
        }
        Kind::Timestamp | Kind::Instant => {
            let (micros, nanos) = at(cell, kind, normal)?;
            out.extend(ordered(micros));
            out.extend(nanos.to_be_bytes());
        }
        Kind::Interval => {
            let Cell::Interval(months, days, micros) = cell else { return None };
            out.extend(ordered_small(*months));
            out.extend(ordered_small(*days));
            out.extend(ordered(*micros));
        }
        Kind::Uuid => out.extend(uuid(cell)?),
        Kind::Json => match cell {
            Cell::Json(text) => json::write(text, out)?,
            Cell::Text(text) => json::write(text.as_bytes(), out)?,
            _ => return None,
        },
        Kind::List(element) => list(cell, element, normal, out)?,
        Kind::Opaque(_) => match cell {
            Cell::Opaque(bytes) => write_bytes(bytes, out),
            _ => return None,
        },
    }
    Some(())
}

fn list(cell: &Cell<'_>, element: &Kind, normal: &Normal, out: &mut Vec<u8>) -> Option<()> {
    let Cell::List(cells) = cell else { return None };
    for cell in cells {
        match cell {
            Cell::Null => write_null(out),
            // A list of several dimensions is one of lists.
            Cell::List(_) => {
                out.push(UNREAD);
                list(cell, element, normal, out)?;
            }
            other => {
                out.push(PLAIN);
                content(other, element, normal, out)?;
            }
        }
    }
    out.push(END);
    Some(())
}

fn boolean(cell: &Cell<'_>) -> Option<bool> {
    match cell {
        Cell::Boolean(truth) => Some(*truth),
        Cell::Integer(0) => Some(false),
        Cell::Integer(1) => Some(true),
        Cell::Text(text) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "t" | "1" | "yes" | "y" => Some(true),
            "false" | "f" | "0" | "no" | "n" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

fn integer(cell: &Cell<'_>) -> Option<i64> {
    match cell {
        Cell::Integer(number) => Some(*number),
        Cell::Text(text) => text.trim().parse().ok(),
        Cell::Decimal(number) => number.0.text().parse().ok(),
        Cell::Float(number) => Number::from_float(*number).text().parse().ok(),
        _ => None,
    }
}

/// Returns a number; a float that is to be rounded as it prints, else to its last digit.
fn number<'c>(cell: &'c Cell<'_>, is_rounded: bool) -> Option<Cow<'c, Number>> {
    match cell {
        Cell::Decimal(number) => Some(Cow::Borrowed(&number.0)),
        Cell::Integer(number) => Some(Cow::Owned(Number::from_scaled((*number).into(), 0))),
        Cell::Float(number) if is_rounded && number.is_finite() => {
            Number::from_text(&number.to_string()).map(Cow::Owned)
        }
        Cell::Float(number) => Some(Cow::Owned(Number::from_float(*number))),
        Cell::Text(text) => Number::from_text(text.trim()).map(Cow::Owned),
        _ => None,
    }
}

fn float(cell: &Cell<'_>) -> Option<f64> {
    match cell {
        Cell::Float(number) => Some(*number),
        other => number(other, false).map(|number| number.to_float()),
    }
}

fn text<'c>(cell: &'c Cell<'_>) -> Option<Cow<'c, str>> {
    Some(match cell {
        Cell::Text(text) => Cow::Borrowed(text.as_ref()),
        Cell::Integer(number) => Cow::Owned(number.to_string()),
        Cell::Decimal(number) => Cow::Owned(number.0.text()),
        Cell::Boolean(truth) => Cow::Owned(truth.to_string()),
        Cell::Uuid(bytes) => Cow::Owned(crate::shown::uuid(bytes)),
        Cell::Date(day) => Cow::Owned(crate::moment::show_date(*day)),
        _ => return None,
    })
}

fn bytes<'c>(cell: &'c Cell<'_>) -> Option<Cow<'c, [u8]>> {
    match cell {
        Cell::Bytes(bytes) => Some(Cow::Borrowed(bytes)),
        Cell::Text(text) => match text.strip_prefix("\\x") {
            Some(digits) => hex(digits).map(Cow::Owned),
            None => Some(Cow::Borrowed(text.as_bytes())),
        },
        _ => None,
    }
}

fn hex(digits: &str) -> Option<Vec<u8>> {
    let digits = digits.as_bytes();
    let value = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    if digits.len() % 2 == 1 {
        return None;
    }
    digits.chunks(2).map(|pair| Some(value(pair[0])? << 4 | value(pair[1])?)).collect()
}

fn uuid(cell: &Cell<'_>) -> Option<[u8; 16]> {
    match cell {
        Cell::Uuid(bytes) => Some(*bytes),
        Cell::Bytes(bytes) => (*bytes).try_into().ok(),
        Cell::Text(text) => {
            let digits: String =
                text.trim().chars().filter(|letter| !matches!(letter, '-' | '{' | '}')).collect();
            hex(&digits)?.try_into().ok()
        }
        _ => None,
    }
}

fn day(cell: &Cell<'_>, normal: &Normal) -> Option<i32> {
    let of = |micros: i64| match micros {
        FOR_EVER => Some(LAST_DAY),
        SINCE_EVER => Some(FIRST_DAY),
        micros => i32::try_from(micros.div_euclid(MICROS_A_DAY)).ok(),
    };
    match cell {
        Cell::Date(day) => Some(*day),
        Cell::Timestamp(micros, _) => of(*micros),
        // The day of a moment is that of the named zone's clock.
        Cell::Instant(FOR_EVER | SINCE_EVER, _) => None,
        Cell::Instant(micros, _) => of(micros + normal.zone_seconds.unwrap_or(0) * 1_000_000),
        Cell::Text(text) => {
            // A text with a time is a day only where somebody said so.
            date(text.trim()).or_else(|| match moment(text.trim())? {
                written if normal.kind.is_some() || written.micros % MICROS_A_DAY == 0 => of(written.micros),
                _ => None,
            })
        }
        _ => None,
    }
}

/// Returns a moment: microseconds, and nanoseconds on top.
fn at(cell: &Cell<'_>, kind: &Kind, normal: &Normal) -> Option<(i64, u16)> {
    let zone = normal.zone_seconds.unwrap_or(0);
    let (micros, nanos, offset) = match cell {
        Cell::Instant(micros, nanos) if *kind == Kind::Instant => (*micros, *nanos, 0),
        Cell::Timestamp(micros, nanos) if *kind == Kind::Timestamp => (*micros, *nanos, 0),
        Cell::Timestamp(micros, nanos) => (*micros, *nanos, zone),
        Cell::Date(LAST_DAY) => (FOR_EVER, 0, 0),
        Cell::Date(FIRST_DAY) => (SINCE_EVER, 0, 0),
        Cell::Date(day) if normal.kind.is_some() => (i64::from(*day) * MICROS_A_DAY, 0, zone),
        Cell::Text(text) => {
            let written = moment(text.trim())?;
            let offset = if *kind == Kind::Instant { written.offset.unwrap_or(zone) } else { 0 };
            if *kind == Kind::Timestamp && written.offset.is_some() {
                return None;
            }
            (written.micros, written.nanos, offset)
        }
        _ => return None,
    };
    if matches!(micros, FOR_EVER | SINCE_EVER) {
        return Some((micros, 0));
    }
    let micros = micros.checked_sub(offset * 1_000_000)?;
    let Some(unit) = normal.unit_nanos else { return Some((micros, nanos)) };
    Some((micros - micros.rem_euclid(unit / 1_000), 0))
}

fn cut(nanos: i64, normal: &Normal) -> i64 {
    normal.unit_nanos.map_or(nanos, |unit| nanos - nanos.rem_euclid(unit))
}

/// Returns a value that is none of its kind as it was written.
fn as_written(cell: &Cell<'_>) -> Vec<u8> {
    match cell {
        Cell::Text(text) => text.as_bytes().to_vec(),
        Cell::Bytes(bytes) | Cell::Json(bytes) | Cell::Opaque(bytes) => bytes.to_vec(),
        Cell::Decimal(number) => number.0.text().into_bytes(),
        Cell::Integer(number) => number.to_string().into_bytes(),
        Cell::Float(number) => number.to_string().into_bytes(),
        other => format!("{other:?}").into_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Rule, read_bytes, write, write_bytes};
    use crate::cell::{Cell, Decimal};
    use crate::kind::Kind;
    use proptest::prelude::*;

    fn bytes(cell: &Cell<'_>, kind: &Kind, steps: &str) -> Vec<u8> {
        let normal = if steps.is_empty() { Default::default() } else { steps.parse().unwrap() };
        let mut out = Vec::new();
        write(cell, &Rule { kind: kind.clone(), normal }, &mut out);
        out
    }

    fn check(one: Cell<'_>, two: Cell<'_>, kind: &Kind, steps: &str, are_equal: bool) {
        let (left, right) = (bytes(&one, kind, steps), bytes(&two, kind, steps));
        assert_eq!(left == right, are_equal, "{one:?} and {two:?} as {kind} {steps}");
    }

    fn text(text: &str) -> Cell<'_> {
        Cell::Text(text.into())
    }

    fn decimal(text: &str) -> Cell<'static> {
        Cell::Decimal(Decimal::from_text(text).unwrap())
    }

    #[test]
    fn values_are_equal_by_what_they_are() {
        check(decimal("1.0"), text("1.00"), &Kind::Decimal, "", true);
        check(decimal("0.1"), Cell::Float(0.1), &Kind::Float, "", true);
        check(decimal("0.1"), Cell::Float(0.1), &Kind::Decimal, "", false);
        check(
            Cell::Integer(9_007_199_254_740_993),
            Cell::Float(9_007_199_254_740_992.0),
            &Kind::Decimal,
            "",
            false,
        );
        check(Cell::Float(-0.0), Cell::Float(0.0), &Kind::Float, "", true);
        check(Cell::Float(f64::NAN), Cell::Float(-f64::NAN), &Kind::Float, "", true);
        check(decimal("NaN"), Cell::Float(f64::NAN), &Kind::Float, "", true);
        check(text("a"), text("a "), &Kind::Text, "", false);
        check(text("a"), text(" A "), &Kind::Text, "trim,lower", true);
        check(text("e\u{301}"), text("é"), &Kind::Text, "", false);
        check(text("e\u{301}"), text("é"), &Kind::Text, "nfc", true);
        check(text(""), Cell::Null, &Kind::Text, "", false);
        check(text(""), Cell::Null, &Kind::Text, "empty-null", true);
        check(decimal("2.345"), Cell::Float(2.345), &Kind::Decimal, "round:2", true);
        check(Cell::Boolean(true), Cell::Integer(1), &Kind::Boolean, "", true);
        check(Cell::Bytes(b"\xff\x00"), text("\\xff00"), &Kind::Bytes, "", true);
    }

    #[test]
    fn moments_are_equal_in_every_zone_and_to_the_last_digit() {
        let at = Cell::Instant(1_704_067_200_000_000, 0);
        check(at.clone(), text("2024-01-01 02:00:00+02"), &Kind::Instant, "", true);
        check(at.clone(), text("2024-01-01T00:00:00"), &Kind::Instant, "", true);
        check(at.clone(), Cell::Timestamp(1_704_070_800_000_000, 0), &Kind::Instant, "zone:+01:00", true);
        check(at.clone(), text("2024-01-01 00:00:00.000000001Z"), &Kind::Instant, "", false);
        check(at, text("2024-01-01 00:00:00.4Z"), &Kind::Instant, "to:second", true);
        check(Cell::Instant(i64::MAX, 0), text("infinity"), &Kind::Instant, "zone:+01:00", true);
        check(Cell::Date(-1), text("1969-12-31"), &Kind::Date, "", true);
    }

    #[test]
    fn what_is_none_of_its_kind_equals_only_the_same() {
        check(text("n/a"), text("n/a"), &Kind::Decimal, "", true);
        check(text("n/a"), text("-"), &Kind::Decimal, "", false);
        check(text("n/a"), Cell::Null, &Kind::Decimal, "", false);
    }

    proptest! {
        #[test]
        fn texts_are_ordered_by_their_bytes_and_end_where_they_say(a in any::<Vec<u8>>(), b in any::<Vec<u8>>()) {
            let written = |bytes: &[u8]| { let mut out = Vec::new(); write_bytes(bytes, &mut out); out };
            prop_assert_eq!(written(&a).cmp(&written(&b)), a.cmp(&b));
            let both = [written(&a), written(&b)].concat();
            let (first, rest) = read_bytes(&both);
            prop_assert_eq!(&first, &a);
            prop_assert_eq!(read_bytes(rest).0, b);
        }

        #[test]
        fn floats_are_ordered_as_they_are(a in any::<f64>(), b in any::<f64>()) {
            prop_assume!(!a.is_nan() && !b.is_nan());
            let ours = bytes(&Cell::Float(a), &Kind::Float, "").cmp(&bytes(&Cell::Float(b), &Kind::Float, ""));
            prop_assert_eq!(Some(ours), a.partial_cmp(&b));
        }

        #[test]
        fn integers_are_ordered_as_they_are(a in any::<i64>(), b in any::<i64>()) {
            let ours = bytes(&Cell::Integer(a), &Kind::Integer, "").cmp(&bytes(&Cell::Integer(b), &Kind::Integer, ""));
            prop_assert_eq!(ours, a.cmp(&b));
        }
    }
}
