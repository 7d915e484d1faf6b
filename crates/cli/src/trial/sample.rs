//! Values of a type, as a contract narrows it: mostly plain ones, and now and then those at the edges.

use crate::trial::dice::Dice;
use crate::trial::pattern;
use jiff::Timestamp;
use jiff::civil::{Date, date};
use rust_decimal::Decimal;
use seamline_contract::attribute::{Attribute, Shape, Type};
use seamline_contract::value::Value;
use std::collections::BTreeMap;

const WORDS: [&str; 8] = ["harbour", "cargo", "linden", "north", "mill", "glass", "rail", "quay"];

/// Texts that programs stumble over.
const EDGES: [&str; 7] =
    ["", " ", "Mühle & Söhne", "it's \"quoted\" \\ once", "two\nlines\tand a tab", "\u{10ffff}", "null"];

/// One value in so many is at an edge.
const EDGE: usize = 16;

const SECOND_MICROS: i128 = 1_000_000;

/// Draws a value of a shape. What a bound of a text or a length forbids may be drawn: whoever draws judges. None where the
/// shape has no value that can be found.
pub(crate) fn draw(dice: &mut Dice, shape: &Shape) -> Option<Value> {
    let at_edge = dice.once_in(EDGE);
    Some(match &shape.ty {
        Type::Integer | Type::Decimal { .. } if shape.approximate => {
            Value::Approximate(f64::from(i32::try_from(dice.between(-8_000, 8_000)).ok()?) / 8.0)
        }
        Type::String => Value::String(text(dice, shape, at_edge)?),
        Type::Integer => {
            let bounds = (whole(&shape.min, 0), whole(&shape.max, 0));
            let wide = (i128::from(i64::MIN), i128::from(i64::MAX));
            Value::Integer(i64::try_from(number(dice, bounds, wide, 1_000, at_edge)).ok()?)
        }
        Type::Decimal { precision, scale } => {
            let most = 10_i128.pow(u32::from(*precision)) - 1;
            let bounds = (whole(&shape.min, *scale), whole(&shape.max, *scale));
            let plain = 1_000 * 10_i128.pow(u32::from(*scale));
            let units = number(dice, bounds, (-most, most), plain.min(most), at_edge);
            Value::Decimal(Decimal::try_from_i128_with_scale(units, u32::from(*scale)).ok()?)
        }
        Type::Boolean => Value::Boolean(dice.once_in(2)),
        Type::Date => {
            let day = |text: &Option<String>| text.as_ref().and_then(|text| text.parse::<Date>().ok());
            let least = day(&shape.min).unwrap_or(date(2020, 1, 1));
            let most = day(&shape.max).unwrap_or(least.max(date(2030, 12, 31)));
            let span = most.since(least).ok()?.get_days();
            let days = i64::try_from(dice.between(0, i128::from(span))).ok()?;
            Value::Date(least.checked_add(jiff::Span::new().days(days)).ok()?)
        }
        Type::Timestamp => {
            let moment = |text: &Option<String>, otherwise: i128| {
                let read = text.as_ref().and_then(|text| text.parse::<Timestamp>().ok());
                read.map_or(otherwise, |moment| i128::from(moment.as_microsecond()))
            };
            let least = moment(&shape.min, 1_577_836_800 * SECOND_MICROS);
            let most = moment(&shape.max, least + 10 * 365 * 86_400 * SECOND_MICROS);
            let micros = i64::try_from(dice.between(least, most)).ok()?;
            Value::Timestamp(Timestamp::from_microsecond(micros).ok()?)
        }
        Type::Uuid => {
            let mut uuid = dice.bytes::<16>();
            uuid[6] = uuid[6] & 0x0f | 0x40;
            uuid[8] = uuid[8] & 0x3f | 0x80;
            Value::Uuid(uuid)
        }
        Type::Bytes => {
            let length = dice.below(9);
            Value::Bytes(dice.bytes::<8>()[..length.min(8)].to_vec())
        }
        Type::Duration => Value::Duration(i64::try_from(dice.between(0, 10 * 86_400 * SECOND_MICROS)).ok()?),
        Type::Enum => Value::String(dice.one_of(&shape.values)?.0.to_string()),
        Type::Object(members) => object(dice, members)?,
        Type::Map(element) => {
            let mut map = BTreeMap::new();
            for _ in 0..count(dice, shape) {
                let name = dice.one_of(&WORDS)?.to_string();
                map.insert(name, draw(dice, element.own_shape()?)?);
            }
            Value::Map(map)
        }
        Type::List(element) => {
            let n_elements = count(dice, shape);
            let elements: Option<Vec<Value>> =
                (0..n_elements).map(|_| draw(dice, element.own_shape()?)).collect();
            Value::List(elements?)
        }
    })
}

/// Returns how many elements a collection gets.
fn count(dice: &mut Dice, shape: &Shape) -> usize {
    let most = shape.length.and_then(|most| usize::try_from(most).ok()).unwrap_or(3);
    dice.below(most.min(3) + 1)
}

/// Draws an object that has at least one member: one without any is no value.
fn object(dice: &mut Dice, members: &[Attribute]) -> Option<Value> {
    let mut map = BTreeMap::new();
    for member in members {
        if !member.optional || !dice.once_in(3) {
            map.insert(member.name.to_string(), draw(dice, member.own_shape()?)?);
        }
    }
    if map.is_empty() {
        let member = dice.one_of(members)?;
        map.insert(member.name.to_string(), draw(dice, member.own_shape()?)?);
    }
    Some(Value::Map(map))
}

fn text(dice: &mut Dice, shape: &Shape, at_edge: bool) -> Option<String> {
    if let Some(pattern) = &shape.pattern {
        return pattern::draw(dice, pattern);
    }
    let text = if at_edge {
        (*dice.one_of(&EDGES)?).to_owned()
    } else {
        let (word, number) = (dice.one_of(&WORDS)?, dice.below(10_000));
        format!("{word} {number}")
    };
    let most = shape.length.and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX);
    Some(text.chars().take(most).collect())
}

/// Returns a bound times ten to the scale.
fn whole(bound: &Option<String>, scale: u8) -> Option<i128> {
    let mut number: Decimal = bound.as_ref()?.parse().ok()?;
    number.rescale(u32::from(scale));
    Some(number.mantissa())
}

/// Draws a number between bounds: up to `plain` beyond the one there is, or an edge of what is allowed.
fn number(
    dice: &mut Dice,
    (least, most): (Option<i128>, Option<i128>),
    wide: (i128, i128),
    plain: i128,
    at_edge: bool,
) -> i128 {
    let (lowest, highest) = (least.unwrap_or(wide.0), most.unwrap_or(wide.1));
    if at_edge {
        return if dice.once_in(2) { lowest } else { highest };
    }
    match (least, most) {
        (Some(least), _) => dice.between(least, highest.min(least.saturating_add(plain))),
        (None, Some(most)) => dice.between(lowest.max(most.saturating_sub(plain)), most),
        (None, None) => dice.between(0, plain.min(highest)),
    }
}
