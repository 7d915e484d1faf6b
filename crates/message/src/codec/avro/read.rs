//! Avro as canonical JSON. Nothing is allocated for what the bytes only claim to hold.

use super::broken;
use super::shape::{Field, Shape};
use super::write::EPOCH;
use crate::canonical;
use crate::violation::{Rule, Violation};
use jiff::{Span, Timestamp};
use rust_decimal::Decimal;
use seamline_contract::value::Value;

/// Returns the canonical JSON of a datum, which is all that the bytes hold.
pub(super) fn datum(shape: &Shape, bytes: &[u8]) -> Result<Vec<u8>, Violation> {
    let mut input = Input { rest: bytes };
    let mut out = Vec::with_capacity(bytes.len() * 2);
    input.value(shape, &mut out)?;
    if input.rest.is_empty() { Ok(out) } else { Err(broken("bytes follow the value")) }
}

struct Input<'a> {
    rest: &'a [u8],
}

fn ends() -> Violation {
    broken("the bytes end inside a value")
}

/// A value of the schema that has no text: no row could hold it.
fn beyond(message: &str) -> Violation {
    Violation::new(Rule::Type, "", message)
}

fn within<T>(found: Result<T, Violation>, step: &str) -> Result<T, Violation> {
    found.map_err(|mut violation| {
        violation.below(step);
        violation
    })
}

impl<'a> Input<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Violation> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or_else(ends)?;
        self.rest = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, Violation> {
        self.take(1).map(|taken| taken[0])
    }

    fn long(&mut self) -> Result<i64, Violation> {
        let mut number: u64 = 0;
        for place in 0..10 {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if place == 9 && bits > 1 {
                break;
            }
            number |= bits << (7 * place);
            if byte < 0x80 {
                return Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed());
            }
        }
        Err(broken("a number of more than 64 bits"))
    }

    /// Reads how many bytes follow.
    fn bytes(&mut self) -> Result<&'a [u8], Violation> {
        let length = usize::try_from(self.long()?).map_err(|_| broken("a length below zero"))?;
        self.take(length)
    }

    fn text(&mut self) -> Result<&'a str, Violation> {
        std::str::from_utf8(self.bytes()?).map_err(|_| broken("a text that is not UTF-8"))
    }

    /// Reads how many items the next block has; none ends the blocks. Each item has a byte at least.
    fn block(&mut self) -> Result<usize, Violation> {
        let mut count = self.long()?;
        if count < 0 {
            self.long()?;
            count = count.checked_neg().ok_or_else(ends)?;
        }
        usize::try_from(count).ok().filter(|count| *count <= self.rest.len()).ok_or_else(ends)
    }

    fn value(&mut self, shape: &Shape, out: &mut Vec<u8>) -> Result<(), Violation> {
        let value = match shape {
            Shape::Text => {
                canonical::write_text(self.text()?, out);
                return Ok(());
            }
            Shape::Enum(symbols) => {
                let symbol = usize::try_from(self.long()?).ok().and_then(|idx| symbols.get(idx));
                canonical::write_text(symbol.ok_or_else(|| broken("no symbol of the enum"))?, out);
                return Ok(());
            }
            Shape::Record(fields) => return self.record(fields, out),
            Shape::Map(entry) => return self.map(entry, out),
            Shape::List(element) => return self.list(element, out),
            Shape::Integer => Value::Integer(self.long()?),
            Shape::Duration => Value::Duration(self.long()?),
            Shape::Decimal { scale, .. } => Value::Decimal(decimal(self.bytes()?, *scale)?),
            Shape::Approximate => {
                let (bytes, _) = self.take(8)?.split_first_chunk().expect("eight bytes");
                let number = f64::from_le_bytes(*bytes);
                Value::Approximate(
                    Some(number).filter(|it| it.is_finite()).ok_or_else(|| beyond("not a finite number"))?,
                )
            }
            Shape::Boolean => match self.byte()? {
                0 => Value::Boolean(false),
                1 => Value::Boolean(true),
                _ => return Err(broken("a boolean is 0 or 1")),
            },
            Shape::Date => {
                let day = EPOCH.checked_add(Span::new().try_days(self.long()?).map_err(|_| no_day())?);
                Value::Date(day.ok().filter(|day| day.year() >= 0).ok_or_else(no_day)?)
            }
            Shape::Timestamp => {
                let instant = Timestamp::from_microsecond(self.long()?).ok();
                let is_written = |it: &Timestamp| it.as_second() >= -62_167_219_200;
                let outside = || beyond("an instant outside the years 0000 to 9999");
                Value::Timestamp(instant.filter(is_written).ok_or_else(outside)?)
            }
            Shape::Bytes => Value::Bytes(self.bytes()?.to_vec()),
        };
        canonical::write(&value, out);
        Ok(())
    }

    fn record(&mut self, fields: &[Field], out: &mut Vec<u8>) -> Result<(), Violation> {
        out.push(b'{');
        let mut first = true;
        for field in fields {
            if field.optional {
                match within(self.long(), &field.name)? {
                    0 => continue,
                    1 => {}
                    _ => return within(Err(broken("neither null nor the type")), &field.name),
                }
            }
            if !first {
                out.push(b',');
            }
            first = false;
            canonical::write_text(&field.name, out);
            out.push(b':');
            within(self.value(&field.shape, out), &field.name)?;
        }
        out.push(b'}');
        Ok(())
    }

    fn list(&mut self, element: &Shape, out: &mut Vec<u8>) -> Result<(), Violation> {
        out.push(b'[');
        let mut idx = 0;
        loop {
            let count = self.block()?;
            if count == 0 {
                break;
            }
            for _ in 0..count {
                if idx > 0 {
                    out.push(b',');
                }
                within(self.value(element, out), &format!("[{idx}]"))?;
                idx += 1;
            }
        }
        out.push(b']');
        Ok(())
    }

    fn map(&mut self, entry: &Shape, out: &mut Vec<u8>) -> Result<(), Violation> {
        let mut entries: Vec<(&str, Vec<u8>)> = Vec::new();
        loop {
            let count = self.block()?;
            if count == 0 {
                break;
            }
            for _ in 0..count {
                let name = self.text()?;
                let mut value = Vec::new();
                within(self.value(entry, &mut value), "*")?;
                entries.push((name, value));
            }
        }
        entries.sort_by(|(one, _), (two, _)| canonical::order(one, two));
        if entries.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return Err(broken("a name stands twice in a map"));
        }
        out.push(b'{');
        for (idx, (name, value)) in entries.into_iter().enumerate() {
            if idx > 0 {
                out.push(b',');
            }
            canonical::write_text(name, out);
            out.push(b':');
            out.extend(value);
        }
        out.push(b'}');
        Ok(())
    }
}

fn no_day() -> Violation {
    beyond("a day outside the years 0000 to 9999")
}

/// Reads a number in two's complement, most significant byte first.
fn decimal(bytes: &[u8], scale: u8) -> Result<Decimal, Violation> {
    if bytes.is_empty() {
        return Err(broken("a decimal without digits"));
    }
    let sign = if bytes[0] < 0x80 { 0 } else { 0xff };
    let spare = bytes.len().saturating_sub(16);
    if bytes[..spare].iter().any(|byte| *byte != sign) {
        return Err(beyond("a decimal of too many digits"));
    }
    let mut digits = [sign; 16];
    let taken = &bytes[spare..];
    digits[16 - taken.len()..].copy_from_slice(taken);
    Decimal::try_from_i128_with_scale(i128::from_be_bytes(digits), u32::from(scale))
        .map_err(|_| beyond("a decimal of too many digits"))
}
