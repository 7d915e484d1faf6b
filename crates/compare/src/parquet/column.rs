//! The columns of a Parquet file: of what kind each is, and its values as cells.

use crate::cell::{Cell, Decimal, FIRST_DAY, FOR_EVER, LAST_DAY, SINCE_EVER};
use crate::kind::Kind;
use parquet::basic::{ConvertedType, LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::data_type::{ByteArray, FixedLenByteArray, Int96};
use parquet::schema::types::{SchemaDescriptor, Type};
use std::borrow::Cow;

/// The Julian day of 1970-01-01, from which the oldest form of a moment counts.
const JULIAN_DAY_1970: i64 = 2_440_588;

const MICROS_A_DAY: i64 = 86_400_000_000;

/// A column at the top of the schema.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Root {
    /// Its name.
    pub(super) name: String,
    /// Where its values are, and what they are; or why it cannot be compared.
    pub(super) leaf: Result<Leaf, String>,
}

/// Where the values of a column are, and what they are.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Leaf {
    /// Its place among the columns of a row group.
    pub(super) at: usize,
    /// What a value is.
    pub(super) form: Form,
    /// The definition level at which a list has an element; none: it is no list.
    pub(super) list_level: Option<i16>,
    /// The definition level at which there is a value.
    pub(super) full_level: i16,
}

/// What a value is, by what its type says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Form {
    Boolean,
    Integer {
        is_signed: bool,
    },
    /// Whole numbers of 64 bits without a sign, half of which are no [`Cell::Integer`].
    Unsigned,
    Decimal {
        scale: u32,
    },
    Float,
    Text,
    Json,
    Bytes,
    Uuid,
    Date,
    Time {
        nanos: i64,
    },
    Moment {
        is_instant: bool,
        nanos: i64,
    },
    /// A moment of twelve bytes, as writers had it before there were others; it says nothing of its zone.
    Old,
    Interval,
    /// A column that never has a value.
    Nothing,
}

impl Form {
    fn kind(self) -> Kind {
        match self {
            Form::Boolean => Kind::Boolean,
            Form::Integer { .. } => Kind::Integer,
            Form::Unsigned | Form::Decimal { .. } => Kind::Decimal,
            Form::Float => Kind::Float,
            Form::Text | Form::Nothing => Kind::Text,
            Form::Json => Kind::Json,
            Form::Bytes => Kind::Bytes,
            Form::Uuid => Kind::Uuid,
            Form::Date => Kind::Date,
            Form::Time { .. } => Kind::Time,
            Form::Moment { is_instant: true, .. } => Kind::Instant,
            Form::Moment { .. } | Form::Old => Kind::Timestamp,
            Form::Interval => Kind::Interval,
        }
    }
}

impl Leaf {
    /// Returns of what kind the cells are.
    pub(super) fn kind(&self) -> Kind {
        match self.list_level {
            Some(_) => Kind::List(Box::new(self.form.kind())),
            None => self.form.kind(),
        }
    }
}

/// Returns the columns at the top of a schema, in their order.
pub(super) fn roots(schema: &SchemaDescriptor) -> Vec<Root> {
    let fields = schema.root_schema().get_fields();
    let root = |(idx, field): (usize, &parquet::schema::types::TypePtr)| {
        let leaves = (0..schema.num_columns()).filter(|leaf| schema.get_column_root_idx(*leaf) == idx);
        let leaf = match leaves.collect::<Vec<usize>>()[..] {
            [at] => leaf(schema, field, at),
            _ => Err("has parts of its own".to_owned()),
        };
        Root { name: field.name().to_owned(), leaf }
    };
    fields.iter().enumerate().map(root).collect()
}

fn leaf(schema: &SchemaDescriptor, root: &Type, at: usize) -> Result<Leaf, String> {
    let column = schema.column(at);
    let is_repeated = |of: &Type| of.get_basic_info().repetition() == Repetition::REPEATED;
    // Writers have put two and three levels around the elements of a list.
    let is_list = |of: &Type| {
        of.is_group()
            && (of.get_basic_info().logical_type_ref() == Some(&LogicalType::List)
                || of.get_basic_info().converted_type() == ConvertedType::LIST)
    };
    let is_plain = root.is_primitive();
    let is_flat_list = is_list(root)
        && root.get_fields().iter().all(|inner| {
            is_repeated(inner)
                && (inner.is_primitive() || inner.get_fields().iter().all(|element| element.is_primitive()))
        });
    let is_compared = (is_plain || is_flat_list) && column.max_rep_level() <= 1;
    if !is_compared {
        return Err("has parts of its own".to_owned());
    }
    Ok(Leaf {
        at,
        form: form(column.self_type())?,
        list_level: (column.max_rep_level() == 1).then(|| column.repeated_ancestor_def_level()),
        full_level: column.max_def_level(),
    })
}

fn nanos(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::MILLIS => 1_000_000,
        TimeUnit::MICROS => 1_000,
        TimeUnit::NANOS => 1,
    }
}

fn form(of: &Type) -> Result<Form, String> {
    let info = of.get_basic_info();
    let physical = of.get_physical_type();
    let bytes = matches!(physical, Physical::BYTE_ARRAY);
    let by_annotation = match info.logical_type_ref() {
        Some(logical) => by_logical(logical),
        None => by_converted(of, info.converted_type()),
    };
    let found = match by_annotation {
        Some(form) => form,
        None if info.logical_type_ref().is_some() => return Err("has a type that is not read".to_owned()),
        None => match physical {
            Physical::BOOLEAN => Form::Boolean,
            Physical::INT32 | Physical::INT64 => Form::Integer { is_signed: true },
            Physical::INT96 => Form::Old,
            Physical::FLOAT | Physical::DOUBLE => Form::Float,
            Physical::BYTE_ARRAY | Physical::FIXED_LEN_BYTE_ARRAY => Form::Bytes,
        },
    };
    let fits = match found {
        Form::Boolean => physical == Physical::BOOLEAN,
        Form::Integer { .. } | Form::Time { .. } => matches!(physical, Physical::INT32 | Physical::INT64),
        Form::Unsigned | Form::Moment { .. } => physical == Physical::INT64,
        Form::Date => physical == Physical::INT32,
        Form::Decimal { .. } => {
            !matches!(physical, Physical::BOOLEAN | Physical::INT96 | Physical::FLOAT | Physical::DOUBLE)
        }
        Form::Text | Form::Json => bytes,
        Form::Uuid | Form::Interval => physical == Physical::FIXED_LEN_BYTE_ARRAY,
        Form::Float | Form::Bytes | Form::Old | Form::Nothing => true,
    };
    if fits { Ok(found) } else { Err("says that it is what its values cannot be".to_owned()) }
}

fn by_logical(logical: &LogicalType) -> Option<Form> {
    Some(match logical {
        LogicalType::String | LogicalType::Enum => Form::Text,
        LogicalType::Json => Form::Json,
        LogicalType::Bson => Form::Bytes,
        LogicalType::Uuid => Form::Uuid,
        LogicalType::Date => Form::Date,
        LogicalType::Unknown => Form::Nothing,
        LogicalType::Decimal(it) => Form::Decimal { scale: u32::try_from(it.scale).ok()? },
        LogicalType::Time(it) => Form::Time { nanos: nanos(it.unit) },
        LogicalType::Timestamp(it) => {
            Form::Moment { is_instant: it.is_adjusted_to_u_t_c, nanos: nanos(it.unit) }
        }
        LogicalType::Integer(it) if it.bit_width == 64 && !it.is_signed => Form::Unsigned,
        LogicalType::Integer(it) => Form::Integer { is_signed: it.is_signed },
        _ => return None,
    })
}

/// Returns what a type says in the way that came before the other.
fn by_converted(of: &Type, converted: ConvertedType) -> Option<Form> {
    Some(match converted {
        ConvertedType::UTF8 | ConvertedType::ENUM => Form::Text,
        ConvertedType::JSON => Form::Json,
        ConvertedType::DATE => Form::Date,
        ConvertedType::DECIMAL => Form::Decimal { scale: u32::try_from(of.get_scale()).ok()? },
        ConvertedType::TIME_MILLIS => Form::Time { nanos: 1_000_000 },
        ConvertedType::TIME_MICROS => Form::Time { nanos: 1_000 },
        ConvertedType::TIMESTAMP_MILLIS => Form::Moment { is_instant: true, nanos: 1_000_000 },
        ConvertedType::TIMESTAMP_MICROS => Form::Moment { is_instant: true, nanos: 1_000 },
        ConvertedType::UINT_8 | ConvertedType::UINT_16 | ConvertedType::UINT_32 => {
            Form::Integer { is_signed: false }
        }
        ConvertedType::UINT_64 => Form::Unsigned,
        ConvertedType::INTERVAL => Form::Interval,
        _ => return None,
    })
}

/// Returns a value of 32 bits as a cell; none when it is none of its form.
pub(super) fn of_int32(value: i32, form: Form) -> Option<Cell<'static>> {
    match form {
        Form::Integer { is_signed: false } => Some(Cell::Integer(value.cast_unsigned().into())),
        // As DuckDB writes them: the format itself has no day without end.
        Form::Date => Some(Cell::Date(if value == -LAST_DAY { FIRST_DAY } else { value })),
        other => of_int64(value.into(), other),
    }
}

/// Returns a value of 64 bits as a cell; none when it is none of its form.
pub(super) fn of_int64(value: i64, form: Form) -> Option<Cell<'static>> {
    Some(match form {
        Form::Unsigned => Cell::Decimal(Decimal::from_scaled(value.cast_unsigned().into(), 0)),
        Form::Decimal { scale } => Cell::Decimal(Decimal::from_scaled(value.into(), scale)),
        Form::Time { nanos } => {
            let time = value.checked_mul(nanos).filter(|nanos| (0..=MICROS_A_DAY * 1_000).contains(nanos));
            Cell::Time(time?)
        }
        Form::Moment { is_instant, nanos } => {
            let (micros, rest) = match (value, nanos) {
                // As DuckDB writes them: the format itself has no moment without end.
                (FOR_EVER, 1_000) => (FOR_EVER, 0),
                (SINCE_EVER, 1_000) => (SINCE_EVER, 0),
                (value, 1_000) if value == -FOR_EVER => (SINCE_EVER, 0),
                (value, 1) => (value.div_euclid(1_000), u16::try_from(value.rem_euclid(1_000)).ok()?),
                (value, nanos) => (value.checked_mul(nanos / 1_000)?, 0),
            };
            if is_instant { Cell::Instant(micros, rest) } else { Cell::Timestamp(micros, rest) }
        }
        Form::Nothing => return None,
        _ => Cell::Integer(value),
    })
}

/// Returns a moment of twelve bytes as a cell; none when it is beyond what is compared.
pub(super) fn of_int96(value: &Int96) -> Option<Cell<'static>> {
    let &[low, high, day] = value.data() else { return None };
    let nanos = i64::try_from(u64::from(high) << 32 | u64::from(low)).ok()?;
    let micros = (i64::from(day) - JULIAN_DAY_1970).checked_mul(MICROS_A_DAY)?.checked_add(nanos / 1_000)?;
    Some(Cell::Timestamp(micros, u16::try_from(nanos % 1_000).ok()?))
}

/// Returns bytes as a cell; none when they are none of its form.
pub(super) fn of_bytes(bytes: &[u8], form: Form) -> Option<Cell<'_>> {
    Some(match form {
        Form::Text => Cell::Text(Cow::Borrowed(std::str::from_utf8(bytes).ok()?)),
        Form::Json => Cell::Json(bytes),
        Form::Uuid => Cell::Uuid(bytes.try_into().ok()?),
        Form::Decimal { scale } => Cell::Decimal(decimal(bytes, scale)?),
        Form::Interval => {
            let part = |at: usize| -> Option<u32> {
                Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
            };
            let (months, days) = (i32::try_from(part(0)?).ok()?, i32::try_from(part(4)?).ok()?);
            Cell::Interval(months, days, i64::from(part(8)?) * 1_000)
        }
        Form::Nothing => return None,
        _ => Cell::Bytes(bytes),
    })
}

/// Returns a whole number in two's complement, its first byte counting most, divided by a power of ten.
fn decimal(bytes: &[u8], scale: u32) -> Option<Decimal> {
    let is_negative = bytes.first()? >> 7 == 1;
    if bytes.len() <= 16 {
        let mut wide = [if is_negative { 0xff } else { 0 }; 16];
        wide[16 - bytes.len()..].copy_from_slice(bytes);
        return Some(Decimal::from_scaled(i128::from_be_bytes(wide), scale));
    }
    let mut magnitude: Vec<u8> = bytes.to_vec();
    if is_negative {
        magnitude.iter_mut().for_each(|byte| *byte = !*byte);
        for byte in magnitude.iter_mut().rev() {
            let (sum, is_full) = byte.overflowing_add(1);
            *byte = sum;
            if !is_full {
                break;
            }
        }
    }
    let mut digits = Vec::new();
    while magnitude.iter().any(|byte| *byte != 0) {
        let mut rest = 0_u32;
        for byte in &mut magnitude {
            let part = rest << 8 | u32::from(*byte);
            *byte = u8::try_from(part / 10).expect("a rest is below ten");
            rest = part % 10;
        }
        digits.push(char::from_digit(rest, 10).expect("a rest is a digit"));
    }
    let digits: String = digits.iter().rev().collect();
    let sign = if is_negative { "-" } else { "" };
    Decimal::from_text(&format!("{sign}0{digits}e-{scale}"))
}

/// The values of a column that are in memory.
#[derive(Debug)]
pub(super) enum Values {
    Boolean(Vec<bool>),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Int96(Vec<Int96>),
    Float(Vec<f32>),
    Double(Vec<f64>),
    Bytes(Vec<ByteArray>),
    Fixed(Vec<FixedLenByteArray>),
}

impl Values {
    /// Returns the value at a place as a cell; none when it is none of its form.
    pub(super) fn cell(&self, at: usize, form: Form) -> Option<Cell<'_>> {
        match self {
            Values::Boolean(values) => values.get(at).map(|value| Cell::Boolean(*value)),
            Values::Int32(values) => of_int32(*values.get(at)?, form),
            Values::Int64(values) => of_int64(*values.get(at)?, form),
            Values::Int96(values) => of_int96(values.get(at)?),
            Values::Float(values) => values.get(at).map(|value| Cell::Float((*value).into())),
            Values::Double(values) => values.get(at).map(|value| Cell::Float(*value)),
            Values::Bytes(values) => of_bytes(values.get(at)?.data(), form),
            Values::Fixed(values) => of_bytes(values.get(at)?.data(), form),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Form, decimal, of_int32, of_int64};
    use crate::cell::{Cell, Decimal, FIRST_DAY, FOR_EVER, SINCE_EVER};

    #[test]
    fn decimals_of_any_width_are_read() {
        let check = |bytes: &[u8], scale, text: &str| {
            assert_eq!(decimal(bytes, scale), Decimal::from_text(text), "{bytes:?}");
        };
        check(&[0x04, 0xe2], 2, "12.5");
        check(&[0xff], 2, "-0.01");
        check(&[0xff; 32], 2, "-0.01");
        check(&[0; 32], 2, "0");
        let mut wide = [0; 17];
        wide[0] = 1;
        check(&wide, 0, "340282366920938463463374607431768211456");
        wide[0] = 0xff;
        check(&wide, 1, "-34028236692093846346337460743176821145.6");
        assert_eq!(decimal(&[], 0), None);
    }

    #[test]
    fn moments_keep_their_unit_and_their_end() {
        let moment = |value, nanos| match of_int64(value, Form::Moment { is_instant: true, nanos }) {
            Some(Cell::Instant(micros, rest)) => Some((micros, rest)),
            None => None,
            other => panic!("{other:?}"),
        };
        assert_eq!(moment(-1, 1_000_000), Some((-1_000, 0)));
        assert_eq!(moment(-1, 1), Some((-1, 999)));
        assert_eq!(moment(i64::MAX, 1_000), Some((FOR_EVER, 0)));
        assert_eq!(moment(-i64::MAX, 1_000), Some((SINCE_EVER, 0)));
        assert_eq!(moment(i64::MAX, 1_000_000), None, "beyond what is compared");
        assert!(matches!(of_int32(-i32::MAX, Form::Date), Some(Cell::Date(FIRST_DAY))));
        assert!(matches!(
            of_int32(-1, Form::Integer { is_signed: false }),
            Some(Cell::Integer(4_294_967_295))
        ));
    }
}
