//! Scalars from their texts: exactly one text as they travel; what databases print, if nothing is lost, from a source.

use super::form::Kind;
use super::read::Style;
use crate::json::Reader;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use jiff::civil::Date;
use rust_decimal::Decimal;
use seamline_contract::measure::Span;
use seamline_contract::value::Value;
use std::borrow::Cow;

/// Why a value cannot be read, in words that do not hold it.
pub(super) type Expected = &'static str;

const SECOND_MICROS: i64 = 1_000_000;
const DAY_MICROS: i64 = 86_400 * SECOND_MICROS;

/// Returns what a value of a kind looks like.
pub(super) fn expected(kind: &Kind) -> Expected {
    match kind {
        Kind::String | Kind::Enum => "not a text without U+0000",
        Kind::Integer => "not a 64-bit integer as text",
        Kind::Decimal { .. } => "not a decimal as text at its scale and precision",
        Kind::Approximate => "not a finite number",
        Kind::Boolean => "not true or false",
        Kind::Date => "not a day as YYYY-MM-DD",
        Kind::Timestamp => "not an instant with a zone, to the microsecond",
        Kind::Uuid => "not a UUID",
        Kind::Bytes => "not bytes",
        Kind::Duration => "not a duration",
        Kind::Object(_) => "not an object",
        Kind::Map(_) => "not a map",
        Kind::List(_) => "not a list",
    }
}

/// Takes a text. PostgreSQL cannot store U+0000, and a projection may be there.
pub(super) fn text(text: Cow<'_, str>) -> Result<Value, Expected> {
    if text.contains('\0') { Err(expected(&Kind::String)) } else { Ok(Value::String(text.into_owned())) }
}

/// Reads a scalar from its text.
pub(super) fn scalar(kind: &Kind, text: &str, style: Style) -> Result<Value, Expected> {
    let source = style == Style::Source;
    let value = match kind {
        Kind::String | Kind::Enum => return self::text(Cow::Borrowed(text)),
        Kind::Integer if source => exact(text, 0).and_then(integer),
        Kind::Integer => wire_digits(text, 0).and_then(integer),
        Kind::Decimal { precision, scale } => {
            let digits = if source { exact(text, *scale) } else { wire_digits(text, *scale) };
            digits.and_then(|digits| decimal(digits, *precision, *scale))
        }
        Kind::Approximate => approximate(text),
        Kind::Boolean => text.parse().ok().map(Value::Boolean),
        Kind::Date => date(text.as_bytes()).map(Value::Date),
        Kind::Timestamp if source => source_timestamp(text).map(Value::Timestamp),
        Kind::Timestamp => wire_timestamp(text.as_bytes()).map(Value::Timestamp),
        Kind::Uuid => uuid(text, source).map(Value::Uuid),
        Kind::Bytes if source => hex(text.strip_prefix("\\x").unwrap_or(text)).map(Value::Bytes),
        Kind::Bytes => STANDARD.decode(text).ok().map(Value::Bytes),
        Kind::Duration => {
            let span = || source.then(|| source_duration(text)).flatten();
            wire_duration(text).or_else(span).map(Value::Duration)
        }
        Kind::Object(_) | Kind::Map(_) | Kind::List(_) => None,
    };
    value.ok_or_else(|| expected(kind))
}

/// Reads a scalar from a JSON number.
pub(super) fn number(kind: &Kind, text: &str, style: Style) -> Result<Value, Expected> {
    let source = style == Style::Source;
    let value = match kind {
        Kind::Approximate => approximate(text),
        Kind::Integer | Kind::Decimal { .. } if source => return scalar(kind, text, style),
        Kind::Boolean if source => match text {
            "0" => Some(Value::Boolean(false)),
            "1" => Some(Value::Boolean(true)),
            _ => None,
        },
        Kind::Duration if source => {
            exact(text, 0).and_then(|micros| i64::try_from(micros).ok()).map(Value::Duration)
        }
        _ => None,
    };
    value.ok_or_else(|| expected(kind))
}

fn integer(digits: i128) -> Option<Value> {
    i64::try_from(digits).ok().map(Value::Integer)
}

fn decimal(digits: i128, precision: u8, scale: u8) -> Option<Value> {
    let fits = digits.unsigned_abs() < 10_u128.pow(u32::from(precision));
    fits.then(|| Value::Decimal(Decimal::from_i128_with_scale(digits, u32::from(scale))))
}

fn approximate(text: &str) -> Option<Value> {
    let number: f64 = text.parse().ok()?;
    (number.is_finite() && is_json_number(text)).then_some(Value::Approximate(number))
}

fn is_json_number(text: &str) -> bool {
    let mut reader = Reader::new(text);
    reader.number().is_ok_and(|number| number.len() == text.len())
}

/// Reads the only text of a number at a scale; returns it times ten to the scale. At most 38 digits.
fn wire_digits(text: &str, scale: u8) -> Option<i128> {
    let digits = text.strip_prefix('-').unwrap_or(text).as_bytes();
    let scale = usize::from(scale);
    let whole = if scale == 0 { digits.len() } else { digits.len().checked_sub(scale + 1)? };
    let plain = whole > 0 && digits.len() <= 38 && (digits[0] != b'0' || whole == 1);
    if !plain || (scale > 0 && digits[whole] != b'.') {
        return None;
    }
    let mut value: i128 = 0;
    for (idx, byte) in digits.iter().enumerate() {
        if idx != whole {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                return None;
            }
            value = value * 10 + i128::from(digit);
        }
    }
    match text.len() > digits.len() {
        true if value == 0 => None,
        true => Some(-value),
        false => Some(value),
    }
}

/// Reads a JSON number that is exact at a scale; returns it times ten to the scale. Floats such as `1e3` are welcome.
fn exact(text: &str, scale: u8) -> Option<i128> {
    if !is_json_number(text) {
        return None;
    }
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let (sign, whole) = whole.strip_prefix('-').map_or((1, whole), |whole| (-1, whole));
    let digits = format!("{whole}{fraction}");
    let digits = digits.trim_start_matches('0');
    let plain = digits.trim_end_matches('0');
    if plain.is_empty() {
        return Some(0);
    }
    let zeros = i64::try_from(digits.len() - plain.len()).ok()?;
    let exponent: i64 = exponent.parse().ok()?;
    let shift = exponent.checked_add(zeros)?.checked_add(i64::from(scale))?;
    let shift = shift.checked_sub(i64::try_from(fraction.len()).ok()?)?;
    let factor = 10_i128.checked_pow(u32::try_from(shift).ok()?)?;
    plain.parse::<i128>().ok()?.checked_mul(factor)?.checked_mul(sign)
}

/// Reads digits only; at most nine.
fn digits(bytes: &[u8]) -> Option<i64> {
    if bytes.is_empty() || bytes.len() > 9 {
        return None;
    }
    bytes.iter().try_fold(0, |value, byte| byte.is_ascii_digit().then(|| value * 10 + i64::from(byte - b'0')))
}

/// Reads digits with a separator between them as wide as it is.
fn part(bytes: &[u8], from: usize, to: usize) -> Option<i64> {
    digits(bytes.get(from..to)?)
}

fn date(bytes: &[u8]) -> Option<Date> {
    if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
        return None;
    }
    let year = i16::try_from(part(bytes, 0, 4)?).ok()?;
    let month = i8::try_from(part(bytes, 5, 7)?).ok()?;
    let day = i8::try_from(part(bytes, 8, 10)?).ok()?;
    Date::new(year, month, day).ok()
}

/// Returns the days since 1970-01-01 (H. Hinnant, "chrono-compatible low-level date algorithms").
fn days_since_epoch(day: Date) -> i64 {
    let (year, month) = (i64::from(day.year()), i64::from(day.month()));
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + i64::from(day.day()) - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Reads `HH:MM:SS`; returns microseconds.
fn time_of_day(bytes: &[u8]) -> Option<i64> {
    if bytes.len() != 8 || bytes[2] != b':' || bytes[5] != b':' {
        return None;
    }
    let (hours, minutes, seconds) = (part(bytes, 0, 2)?, part(bytes, 3, 5)?, part(bytes, 6, 8)?);
    (hours < 24 && minutes < 60 && seconds < 60)
        .then_some((hours * 3600 + minutes * 60 + seconds) * SECOND_MICROS)
}

fn instant(day: Date, micros_of_day: i64) -> Option<Timestamp> {
    Timestamp::from_microsecond(days_since_epoch(day) * DAY_MICROS + micros_of_day).ok()
}

/// Reads `2026-01-02T03:04:05.000006Z` and nothing else.
pub(super) fn wire_timestamp(bytes: &[u8]) -> Option<Timestamp> {
    if bytes.len() != 27 || bytes[10] != b'T' || bytes[19] != b'.' || bytes[26] != b'Z' {
        return None;
    }
    instant(date(&bytes[..10])?, time_of_day(&bytes[11..19])? + part(bytes, 20, 26)?)
}

/// Reads a date and a time with `Z` or an offset, as ISO 8601 and as PostgreSQL prints it.
fn source_timestamp(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    let day = date(bytes.get(..10)?)?;
    if !matches!(bytes.get(10)?, b'T' | b't' | b' ') {
        return None;
    }
    let rest = &bytes[11..];
    let zone = rest.iter().position(|byte| matches!(byte, b'Z' | b'z' | b'+' | b'-'))?;
    let (time, zone) = rest.split_at(zone);
    let mut parts = time.splitn(2, |byte| *byte == b'.');
    let seconds = parts.next()?;
    let seconds = if seconds.len() == 5 { [seconds, b":00"].concat() } else { seconds.to_vec() };
    let fraction = parts.next().map_or(Some(0), micros)?;
    instant(day, time_of_day(&seconds)? + fraction - offset(zone)?)
}

/// Reads the digits after a point as microseconds; digits beyond must be zeros.
fn micros(fraction: &[u8]) -> Option<i64> {
    let (kept, beyond) = fraction.split_at(fraction.len().min(6));
    if !beyond.iter().all(|byte| *byte == b'0') {
        return None;
    }
    Some(digits(kept)? * 10_i64.pow(6 - u32::try_from(kept.len()).ok()?))
}

/// Reads `Z`, `+02`, `+0200` or `+02:00`; returns microseconds.
fn offset(zone: &[u8]) -> Option<i64> {
    if matches!(zone, b"Z" | b"z") {
        return Some(0);
    }
    let (sign, rest) = zone.split_first()?;
    let minutes = match rest.len() {
        2 => Some(0),
        4 => part(rest, 2, 4),
        5 if rest[2] == b':' => part(rest, 3, 5),
        _ => None,
    }?;
    let hours = part(rest, 0, 2)?;
    let micros = (hours * 60 + minutes) * 60 * SECOND_MICROS;
    (hours < 24 && minutes < 60).then_some(if *sign == b'-' { -micros } else { micros })
}

/// Reads `PT90.000000S`, with a minus before it for a negative one.
fn wire_duration(text: &str) -> Option<i64> {
    let (sign, rest) = text.strip_prefix('-').map_or(("", text), |rest| ("-", rest));
    let number = rest.strip_prefix("PT")?.strip_suffix('S')?;
    i64::try_from(wire_digits(&format!("{sign}{number}"), 6)?).ok()
}

/// Reads a day, or an instant as a source may write it.
pub(super) fn moment(text: &str) -> Option<Value> {
    date(text.as_bytes()).map(Value::Date).or_else(|| source_timestamp(text).map(Value::Timestamp))
}

/// Returns whether a text is a day or an instant in canonical form.
pub(super) fn is_canonical_moment(text: &str) -> bool {
    date(text.as_bytes()).is_some() || wire_timestamp(text.as_bytes()).is_some()
}

/// Reads a duration in the grammar of the language, `90s`.
fn source_duration(text: &str) -> Option<i64> {
    let span: Span = text.parse().ok()?;
    i64::try_from(span.0.as_micros()).ok()
}

fn uuid(text: &str, source: bool) -> Option<[u8; 16]> {
    let bytes = text.as_bytes();
    let is_hyphen = |at: &usize| matches!(at, 8 | 13 | 18 | 23);
    let hyphens = bytes.len() == 36 && (0..36).all(|at| (bytes[at] == b'-') == is_hyphen(&at));
    if !(hyphens || source && bytes.len() == 32) || (!source && bytes.iter().any(u8::is_ascii_uppercase)) {
        return None;
    }
    let mut uuid = [0; 16];
    let mut at = 0;
    for byte in &mut uuid {
        if hyphens && is_hyphen(&at) {
            at += 1;
        }
        *byte = nibble(bytes[at])? << 4 | nibble(bytes[at + 1])?;
        at += 2;
    }
    Some(uuid)
}

fn nibble(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let (pairs, left) = text.as_bytes().as_chunks::<2>();
    let bytes = || pairs.iter().map(|[high, low]| Some(nibble(*high)? << 4 | nibble(*low)?)).collect();
    if left.is_empty() { bytes() } else { None }
}

#[cfg(test)]
mod tests {
    use super::uuid;

    #[test]
    fn a_uuid_has_hyphens_at_four_places_and_nowhere_else() {
        assert!(uuid("abababab-abab-abab-abab-abababababab", false).is_some());
        for text in ["abababab-abab-abab-abab-abababababa-", "abababa--abab-abab-abab-abababababab"] {
            assert_eq!(uuid(text, false), None);
            assert_eq!(uuid(text, true), None);
        }
    }
}
