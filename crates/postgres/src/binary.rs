//! Values in PostgreSQL's binary form, for parameters: no text is made, sent and parsed.

use crate::cell::{cast, store};
use crate::sql::corrupt;
use jiff::civil::Date;
use rust_decimal::Decimal;
use seamline_contract::attribute::Type;
use seamline_contract::value::Value;
use seamline_flow::store::Column;
use seamline_message::canonical;
use sqlx::encode::{Encode, IsNull};
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgTypeInfo, Postgres};

/// The first day that PostgreSQL counts from.
const FIRST_DAY: Date = jiff::civil::date(2000, 1, 1);

/// The moment that PostgreSQL counts from, in microseconds since 1970.
const FIRST_MOMENT: i64 = 946_684_800_000_000;

/// Returns the numbers of a column's type and of its arrays, which are the same on every server (`pg_type.dat`).
fn oids(column: &Column) -> (u32, u32) {
    match cast(column) {
        "double precision" => (701, 1022),
        "bigint" => (20, 1016),
        "numeric" => (1700, 1231),
        "boolean" => (16, 1000),
        "date" => (1082, 1182),
        "timestamp with time zone" => (1184, 1185),
        "uuid" => (2950, 2951),
        "bytea" => (17, 1001),
        "jsonb" => (3802, 3807),
        _ => (25, 1009),
    }
}

/// Returns the number of a column's type.
pub(crate) fn oid(column: &Column) -> u32 {
    oids(column).0
}

/// Rows as `COPY … (FORMAT binary)` reads them.
pub(crate) struct CopyRows {
    columns: i16,
    bytes: Vec<u8>,
}

impl CopyRows {
    /// Begins without a row.
    ///
    /// # Panics
    /// With more columns than a table can have.
    pub(crate) fn new(columns: usize) -> CopyRows {
        // Its signature, no flags, and nothing more in the head.
        let mut bytes = b"PGCOPY\n\xff\r\n\0".to_vec();
        bytes.extend([0; 8]);
        CopyRows { columns: i16::try_from(columns).expect("a table has at most 1,600 columns"), bytes }
    }

    /// Begins a row: as many fields follow as there are columns.
    pub(crate) fn begin(&mut self) {
        self.bytes.extend(self.columns.to_be_bytes());
    }

    /// Writes a value of a column.
    ///
    /// # Errors
    /// When it is of another type than the column's.
    pub(crate) fn value(&mut self, column: &Column, value: &Value) -> Result<(), sqlx::Error> {
        field(column, value, &mut self.bytes)
    }

    /// Writes a `bigint`.
    pub(crate) fn number(&mut self, number: i64) {
        self.bytes.extend(8_i32.to_be_bytes());
        self.bytes.extend(number.to_be_bytes());
    }

    /// Writes a digest as `bytea`.
    pub(crate) fn bytes(&mut self, digest: &[u8; 16]) {
        self.bytes.extend(16_i32.to_be_bytes());
        self.bytes.extend(digest);
    }

    /// Ends the rows.
    pub(crate) fn end(mut self) -> Vec<u8> {
        self.bytes.extend((-1_i16).to_be_bytes());
        self.bytes
    }
}

/// An array of one column's values, as a parameter.
pub(crate) struct Cells {
    array: Oid,
    bytes: Vec<u8>,
}

impl Cells {
    /// Returns the values of a column; what is missing is no value.
    ///
    /// # Errors
    /// A value of another type than the column's.
    pub(crate) fn of<'v>(
        column: &Column,
        values: impl ExactSizeIterator<Item = Option<&'v Value>>,
    ) -> Result<Cells, sqlx::Error> {
        let (element, array) = oids(column);
        let count = i32::try_from(values.len()).map_err(corrupt)?;
        let mut bytes = Vec::new();
        // One dimension, with nulls, of this type, so long, counted from one.
        for number in [1, 1, element.cast_signed(), count, 1] {
            bytes.extend(number.to_be_bytes());
        }
        for value in values {
            field(column, value.unwrap_or(&Value::Null), &mut bytes)?;
        }
        Ok(Cells { array: Oid(array), bytes })
    }
}

impl sqlx::Type<Postgres> for Cells {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(1009))
    }
}

impl Encode<'_, Postgres> for Cells {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        buffer.extend_from_slice(&self.bytes);
        Ok(IsNull::No)
    }

    fn produces(&self) -> Option<PgTypeInfo> {
        Some(PgTypeInfo::with_oid(self.array))
    }

    fn size_hint(&self) -> usize {
        self.bytes.len()
    }
}

/// Writes a value with its length before it.
///
/// # Errors
/// A value of another type than the column's.
fn field(column: &Column, value: &Value, out: &mut Vec<u8>) -> Result<(), sqlx::Error> {
    if value.is_null() {
        out.extend((-1_i32).to_be_bytes());
        return Ok(());
    }
    let at = out.len();
    out.extend([0; 4]);
    content(column, value, out).ok_or_else(|| {
        corrupt(format!(
            "the column `{}` is given a value of another type than `{}`",
            column.name,
            cast(column)
        ))
    })?;
    let length = i32::try_from(out.len() - at - 4).map_err(corrupt)?;
    out[at..at + 4].copy_from_slice(&length.to_be_bytes());
    Ok(())
}

/// Writes a value; none when its column cannot hold it.
fn content(column: &Column, value: &Value, out: &mut Vec<u8>) -> Option<()> {
    match (&column.ty, value) {
        (_, Value::Approximate(number)) if column.approximate => out.extend(number.to_be_bytes()),
        _ if column.approximate => out.extend(store(value)?.parse::<f64>().ok()?.to_be_bytes()),
        (Type::String | Type::Enum, Value::String(text)) => out.extend_from_slice(text.as_bytes()),
        (Type::String | Type::Enum, other) => out.extend_from_slice(store(other)?.as_bytes()),
        (Type::Integer | Type::Duration, Value::Integer(number) | Value::Duration(number)) => {
            out.extend(number.to_be_bytes());
        }
        (Type::Decimal { .. }, Value::Decimal(number)) => decimal(number, out),
        (Type::Decimal { .. }, Value::Approximate(number)) => {
            decimal(&Decimal::from_scientific(&format!("{number:e}")).ok()?, out);
        }
        (Type::Boolean, Value::Boolean(truth)) => out.push(u8::from(*truth)),
        (Type::Date, Value::Date(day)) => {
            let days = day.duration_since(FIRST_DAY).as_hours() / 24;
            out.extend(i32::try_from(days).ok()?.to_be_bytes());
        }
        (Type::Timestamp, Value::Timestamp(at)) => {
            out.extend((at.as_microsecond() - FIRST_MOMENT).to_be_bytes());
        }
        (Type::Uuid, Value::Uuid(bytes)) => out.extend_from_slice(bytes),
        (Type::Bytes, Value::Bytes(bytes)) => out.extend_from_slice(bytes),
        (Type::Object(_) | Type::Map(_) | Type::List(_), Value::List(_) | Value::Map(_)) => {
            // The version of jsonb's form.
            out.push(1);
            canonical::write(value, out);
        }
        _ => return None,
    }
    Some(())
}

/// Writes a decimal: its digits to the base of ten thousand, the place of the first of them, sign and scale.
fn decimal(number: &Decimal, out: &mut Vec<u8>) {
    let scale = number.scale();
    let groups_after = scale.div_ceil(4);
    let mut rest = number.mantissa().unsigned_abs() * 10_u128.pow(groups_after * 4 - scale);
    let mut digits: Vec<u16> = Vec::new();
    while rest > 0 {
        digits.push(u16::try_from(rest % 10_000).expect("a digit is less than its base"));
        rest /= 10_000;
    }
    let small = |count: usize| i16::try_from(count).expect("a decimal has few digits");
    let weight = small(digits.len()) - 1 - small(groups_after as usize);
    let zeros = digits.iter().take_while(|digit| **digit == 0).count();
    digits.drain(..zeros);
    let is_negative = number.is_sign_negative() && !digits.is_empty();
    out.extend(small(digits.len()).to_be_bytes());
    out.extend(if digits.is_empty() { 0 } else { weight }.to_be_bytes());
    out.extend(if is_negative { 0x4000_u16 } else { 0 }.to_be_bytes());
    out.extend(small(scale as usize).to_be_bytes());
    for digit in digits.iter().rev() {
        out.extend(digit.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::decimal;

    #[test]
    fn decimals_are_groups_of_four_digits() {
        for (text, expected) in [
            ("0.00", &[0, 0, 0, 2][..]),
            ("12.10", &[2, 0, 0, 2, 12, 1000]),
            ("-0.0000000001", &[1, -3, 0x4000, 10, 100]),
            ("100000000", &[1, 2, 0, 0, 1]),
            ("12345.6789", &[3, 1, 0, 4, 1, 2345, 6789]),
        ] {
            let mut out = Vec::new();
            decimal(&text.parse().unwrap(), &mut out);
            let words: Vec<i16> = out.chunks(2).map(|pair| i16::from_be_bytes([pair[0], pair[1]])).collect();
            assert_eq!(words, expected, "{text}");
        }
    }
}
