//! Canonical bytes of values: RFC 8785 for the JSON, one text for each value. `docs/reference/wire.md` is normative.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;
use rust_decimal::Decimal;
use seamline_contract::value::Value;
use std::cmp::Ordering;
use std::io::Write;

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Microseconds in a second.
const MICROS: u64 = 1_000_000;

/// Appends the canonical JSON of a value. A member without a value is left out; an element without one is `null`.
pub fn write(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Boolean(true) => out.extend_from_slice(b"true"),
        Value::Boolean(false) => out.extend_from_slice(b"false"),
        Value::Approximate(number) => write_approximate(*number, out),
        Value::String(text) => write_text(text, out),
        Value::List(elements) => {
            out.push(b'[');
            for (idx, element) in elements.iter().enumerate() {
                if idx > 0 {
                    out.push(b',');
                }
                write(element, out);
            }
            out.push(b']');
        }
        Value::Map(members) => {
            write_members(members.iter().map(|(name, value)| (name.as_str(), value)).collect(), out);
        }
        scalar => {
            out.push(b'"');
            write_plain(scalar, out);
            out.push(b'"');
        }
    }
}

/// Appends the canonical object of some members, in any order; those without a value are left out.
pub fn write_members(mut members: Vec<(&str, &Value)>, out: &mut Vec<u8>) {
    members.retain(|(_, value)| !value.is_null());
    members.sort_by(|(one, _), (two, _)| order(one, two));
    out.push(b'{');
    for (idx, (name, value)) in members.into_iter().enumerate() {
        if idx > 0 {
            out.push(b',');
        }
        write_text(name, out);
        out.push(b':');
        write(value, out);
    }
    out.push(b'}');
}

/// Returns the order of two names of members: by UTF-16 code units.
pub fn order(one: &str, two: &str) -> Ordering {
    if one.is_ascii() && two.is_ascii() { one.cmp(two) } else { one.encode_utf16().cmp(two.encode_utf16()) }
}

/// Appends a JSON string with the fewest escapes.
pub fn write_text(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let mut plain = 0;
    for (idx, byte) in text.bytes().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&text.as_bytes()[plain..idx]);
        plain = idx + 1;
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0x08 => out.extend_from_slice(b"\\b"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\n' => out.extend_from_slice(b"\\n"),
            0x0c => out.extend_from_slice(b"\\f"),
            b'\r' => out.extend_from_slice(b"\\r"),
            _ => {
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
            }
        }
    }
    out.extend_from_slice(&text.as_bytes()[plain..]);
    out.push(b'"');
}

/// Returns the canonical text of a scalar, as it stands in keys and strings; none for what has no text of its own.
pub fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null | Value::Approximate(_) | Value::List(_) | Value::Map(_) => None,
        Value::String(text) => Some(text.clone()),
        Value::Boolean(truth) => Some(truth.to_string()),
        scalar => {
            let mut out = Vec::with_capacity(32);
            write_plain(scalar, &mut out);
            Some(String::from_utf8(out).expect("canonical texts are ASCII"))
        }
    }
}

/// Appends the text of a scalar that needs no escapes.
fn write_plain(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Integer(number) => write_number(*number, out),
        Value::Decimal(number) => write_decimal(number, out),
        Value::Date(day) => write_date(*day, out),
        Value::Timestamp(instant) => write_timestamp(*instant, out),
        Value::Duration(micros) => write_duration(*micros, out),
        Value::Bytes(bytes) => out.extend_from_slice(STANDARD.encode(bytes).as_bytes()),
        Value::Uuid(bytes) => write_uuid(bytes, out),
        Value::Null
        | Value::Boolean(_)
        | Value::Approximate(_)
        | Value::String(_)
        | Value::List(_)
        | Value::Map(_) => unreachable!("written by its own rule"),
    }
}

fn write_number(number: impl std::fmt::Display, out: &mut Vec<u8>) {
    write!(out, "{number}").expect("a vector takes all bytes");
}

/// Appends the digits of a decimal at the scale that it has; zero has no sign.
fn write_decimal(number: &Decimal, out: &mut Vec<u8>) {
    let (digits, scale) = (number.mantissa(), number.scale() as usize);
    if digits < 0 {
        out.push(b'-');
    }
    let start = out.len();
    match u64::try_from(digits.unsigned_abs()) {
        Ok(few) => write_number(few, out),
        Err(_) => write_number(digits.unsigned_abs(), out),
    }
    let missing = (scale + 1).saturating_sub(out.len() - start);
    out.splice(start..start, std::iter::repeat_n(b'0', missing));
    if scale > 0 {
        out.insert(out.len() - scale, b'.');
    }
}

/// Appends a number in as many digits, with zeros before it.
fn write_digits(mut number: u64, width: usize, out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + width, b'0');
    for digit in out[start..].iter_mut().rev() {
        *digit = b'0' + u8::try_from(number % 10).expect("a digit");
        number /= 10;
    }
}

/// Appends `2026-01-02`. Years are 0000 to 9999; `judge` sees to that.
fn write_date(day: Date, out: &mut Vec<u8>) {
    write_digits(u64::from(day.year().unsigned_abs()), 4, out);
    for part in [day.month(), day.day()] {
        out.push(b'-');
        write_digits(u64::from(part.unsigned_abs()), 2, out);
    }
}

/// Appends `2026-01-02T03:04:05.000006Z`.
fn write_timestamp(instant: Timestamp, out: &mut Vec<u8>) {
    let civil = Offset::UTC.to_datetime(instant);
    write_date(civil.date(), out);
    for (before, part) in [(b'T', civil.hour()), (b':', civil.minute()), (b':', civil.second())] {
        out.push(before);
        write_digits(u64::from(part.unsigned_abs()), 2, out);
    }
    out.push(b'.');
    write_digits(u64::from(civil.subsec_nanosecond().unsigned_abs() / 1000), 6, out);
    out.push(b'Z');
}

/// Appends `PT90.000000S`, with a minus before it for a negative one.
fn write_duration(micros: i64, out: &mut Vec<u8>) {
    if micros < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(b"PT");
    write_number(micros.unsigned_abs() / MICROS, out);
    out.push(b'.');
    write_digits(micros.unsigned_abs() % MICROS, 6, out);
    out.push(b'S');
}

fn write_uuid(bytes: &[u8; 16], out: &mut Vec<u8>) {
    for (idx, byte) in bytes.iter().enumerate() {
        if matches!(idx, 4 | 6 | 8 | 10) {
            out.push(b'-');
        }
        out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
    }
}

/// Appends a number as ECMAScript prints it (RFC 8785, section 3.2.2.3): the shortest digits that read back the same.
fn write_approximate(number: f64, out: &mut Vec<u8>) {
    if number == 0.0 {
        out.push(b'0');
        return;
    }
    let shortest = format!("{:e}", number.abs());
    let count = shortest.bytes().take_while(|byte| *byte != b'e').filter(u8::is_ascii_digit).count();
    // Of two equally short and near, RFC 8785 wants the even one; the shortest form of the standard library does not.
    let even = format!("{:.*e}", count - 1, number.abs());
    let same = even.parse() == Ok(number.abs());
    let (mantissa, exponent) =
        if same { &even } else { &shortest }.split_once('e').expect("the form has an exponent");
    let digits: Vec<u8> = mantissa.bytes().filter(u8::is_ascii_digit).collect();
    let exponent: i32 = exponent.parse().expect("the form has an exponent");
    let count = i32::try_from(digits.len()).expect("at most 17 digits");
    let point = exponent + 1;
    if number < 0.0 {
        out.push(b'-');
    }
    let place = |places: i32| usize::try_from(places).expect("not negative here");
    if count <= point && point <= 21 {
        out.extend_from_slice(&digits);
        out.resize(out.len() + place(point - count), b'0');
    } else if 0 < point && point <= 21 {
        out.extend_from_slice(&digits[..place(point)]);
        out.push(b'.');
        out.extend_from_slice(&digits[place(point)..]);
    } else if -6 < point && point <= 0 {
        out.extend_from_slice(b"0.");
        out.resize(out.len() + place(-point), b'0');
        out.extend_from_slice(&digits);
    } else {
        out.push(digits[0]);
        if count > 1 {
            out.push(b'.');
            out.extend_from_slice(&digits[1..]);
        }
        out.extend_from_slice(if exponent < 0 { b"e-" } else { b"e+" });
        write_number(exponent.unsigned_abs(), out);
    }
}

#[cfg(test)]
mod tests {
    use super::{text, write};
    use seamline_contract::value::Value;
    use std::collections::BTreeMap;

    fn canonical(value: &Value) -> String {
        let mut out = Vec::new();
        write(value, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_print_as_in_ecmascript() {
        for (number, printed) in [
            (0.0, "0"),
            (-0.0, "0"),
            (1.0, "1"),
            (-1.5, "-1.5"),
            (1e21, "1e+21"),
            (1e20, "100000000000000000000"),
            (123_456_789_012_345_680_000.0, "123456789012345680000"),
            (1e-6, "0.000001"),
            (1e-7, "1e-7"),
            (1.25e-9, "1.25e-9"),
            (5e-324, "5e-324"),
            (604_476_509_135_112.0 + 0.25, "604476509135112.2"),
            (f64::MAX, "1.7976931348623157e+308"),
            (333_333_333.333_333_3, "333333333.3333333"),
        ] {
            assert_eq!(canonical(&Value::Approximate(number)), printed);
        }
    }

    #[test]
    fn each_value_has_one_text() {
        let cases = [
            (Value::Integer(i64::MIN), "-9223372036854775808"),
            (Value::Decimal("-0.00".parse().unwrap()), "0.00"),
            (Value::Decimal("12.10".parse().unwrap()), "12.10"),
            (Value::Decimal("-0.05".parse().unwrap()), "-0.05"),
            (Value::Decimal("-7".parse().unwrap()), "-7"),
            (
                Value::Decimal("7922816251426433759.3543950335".parse().unwrap()),
                "7922816251426433759.3543950335",
            ),
            (Value::Boolean(true), "true"),
            (Value::Date("2026-01-02".parse().unwrap()), "2026-01-02"),
            (
                Value::Timestamp("2026-01-02T03:04:05.000006999Z".parse().unwrap()),
                "2026-01-02T03:04:05.000006Z",
            ),
            (Value::Timestamp("1969-12-31T23:59:59.999999Z".parse().unwrap()), "1969-12-31T23:59:59.999999Z"),
            (Value::Duration(-1_500_000), "-PT1.500000S"),
            (Value::Duration(i64::MIN), "-PT9223372036854.775808S"),
            (Value::Bytes(vec![255, 254]), "//4="),
            (Value::Uuid([0xab; 16]), "abababab-abab-abab-abab-abababababab"),
        ];
        for (value, printed) in cases {
            assert_eq!(text(&value).as_deref(), Some(printed));
        }
    }

    #[test]
    fn members_are_ordered_by_utf16_and_no_value_is_left_out() {
        let names = ["\u{20ac}", "\r", "\u{fb33}", "1", "\u{1f600}", "\u{80}", "\u{f6}"];
        let map: BTreeMap<String, Value> =
            names.iter().map(|name| ((*name).to_owned(), Value::Boolean(true))).collect();
        let expected = "{\"\\r\":true,\"1\":true,\"\u{80}\":true,\"\u{f6}\":true,\"\u{20ac}\":true,\"\u{1f600}\":true,\"\u{fb33}\":true}";
        assert_eq!(canonical(&Value::Map(map)), expected);
        assert_eq!(canonical(&Value::Map(BTreeMap::from([("a".into(), Value::Null)]))), "{}");
        assert_eq!(
            canonical(&Value::String("\u{8}\t\n\u{c}\r\"\\/\u{1f}\u{7f}".into())),
            "\"\\b\\t\\n\\f\\r\\\"\\\\/\\u001f\u{7f}\""
        );
    }
}
