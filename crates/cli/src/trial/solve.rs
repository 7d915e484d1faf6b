//! Rows that keep their contract: drawn, and where an invariant does not hold, drawn anew from what it compares.

use crate::trial::dice::Dice;
use crate::trial::sample;
use jiff::ToSpan;
use jiff::civil::Date;
use rust_decimal::Decimal;
use seamline_contract::attribute::{Shape, Type};
use seamline_contract::value::Value;
use seamline_message::codec::{Codec, Row};
use seamline_message::violation::{Rule, Violation};

/// How often a row is changed before it is given up.
pub(crate) const TRIES: usize = 400;

/// What the invariants of a contract compare with: the literals in their texts.
pub(crate) struct Literals(Vec<Value>);

impl Literals {
    /// Reads the literals of the invariants of a contract.
    pub(crate) fn of(codec: &Codec) -> Literals {
        let texts = codec.contract().contract.invariants.iter().map(|(_, text)| text);
        Literals(texts.flat_map(|text| literals(text)).collect())
    }
}

/// Changes a row in some slots until it keeps its contract. None when it does not within the tries, or cannot.
pub(crate) fn solve(
    dice: &mut Dice,
    codec: &Codec,
    literals: &Literals,
    mut row: Row,
    free: &[usize],
) -> Option<Row> {
    let mut found = codec.judge_state(&row);
    for _ in 0..TRIES {
        let Some(first) = found.first() else { return Some(row) };
        let blamed: Vec<usize> = slots(codec, first).into_iter().filter(|slot| free.contains(slot)).collect();
        let slot = *dice.one_of(&blamed)?;
        let mut other = row.clone();
        other[slot] = if dice.once_in(2) {
            compared(dice, codec, literals, &row, slot)
        } else {
            drawn(dice, codec, slot)
        }?;
        let judged = codec.judge_state(&other);
        // A change that makes nothing worse may be the first half of one that mends.
        if judged.len() <= found.len() || is_of_shape(&found) {
            (row, found) = (other, judged);
        }
    }
    found.is_empty().then_some(row)
}

/// Draws a value of an attribute; none at all now and then, where it is optional.
pub(crate) fn drawn(dice: &mut Dice, codec: &Codec, slot: usize) -> Option<Value> {
    let attribute = &codec.contract().attributes[slot];
    if attribute.optional && dice.once_in(4) {
        return Some(Value::Null);
    }
    sample::draw(dice, &attribute.shape)
}

/// Invariants are judged only once the shape is right: then there may be more of them than there were violations.
fn is_of_shape(found: &[Violation]) -> bool {
    found.iter().any(|violation| !matches!(violation.rule, Rule::Invariant(_)))
}

/// Returns the slots that a violation is about.
fn slots(codec: &Codec, violation: &Violation) -> Vec<usize> {
    if let Rule::Invariant(name) = &violation.rule {
        return codec.invariant_slots(name);
    }
    let path = violation.path.strip_prefix("state.").unwrap_or_default();
    let name = path.split(['.', '[']).next().unwrap_or_default();
    let attributes = codec.contract().attributes.iter();
    attributes.enumerate().filter(|(_, it)| it.name.as_str() == name).map(|(slot, _)| slot).collect()
}

/// Draws a value at which a comparison changes its mind: no value, that of another attribute, a literal, or the next one.
fn compared(dice: &mut Dice, codec: &Codec, literals: &Literals, row: &Row, slot: usize) -> Option<Value> {
    let attribute = &codec.contract().attributes[slot];
    let others = row.iter().enumerate().filter(|(other, _)| *other != slot).map(|(_, value)| value);
    let fitting = others.chain(&literals.0).filter_map(|value| as_of(&attribute.shape, value));
    let mut pool: Vec<Value> = fitting.collect();
    if attribute.optional {
        pool.push(Value::Null);
    }
    let chosen = match dice.one_of(&pool) {
        Some(chosen) => chosen.clone(),
        None => return drawn(dice, codec, slot),
    };
    let step = i64::try_from(dice.below(3)).ok()? - 1;
    Some(next(&attribute.shape, chosen, step))
}

/// Returns a value as one of a shape; none where it cannot be.
fn as_of(shape: &Shape, value: &Value) -> Option<Value> {
    let fits = match (&shape.ty, value) {
        (Type::Decimal { scale, .. }, Value::Decimal(number)) if !shape.approximate => {
            let mut number = *number;
            number.rescale(u32::from(*scale));
            return Some(Value::Decimal(number));
        }
        (Type::Decimal { scale, .. }, Value::Integer(number)) if !shape.approximate => {
            let mut number = Decimal::from(*number);
            number.rescale(u32::from(*scale));
            return Some(Value::Decimal(number));
        }
        (Type::Integer, Value::Integer(_)) => !shape.approximate,
        (Type::String | Type::Enum, Value::String(_))
        | (Type::Date, Value::Date(_))
        | (Type::Timestamp, Value::Timestamp(_))
        | (Type::Duration, Value::Duration(_))
        | (Type::Boolean, Value::Boolean(_)) => true,
        _ => false,
    };
    fits.then(|| value.clone())
}

/// Returns the value so many steps further; the same where it has none.
fn next(shape: &Shape, value: Value, step: i64) -> Value {
    let further = match (&shape.ty, &value) {
        (Type::Integer, Value::Integer(number)) => number.checked_add(step).map(Value::Integer),
        (Type::Decimal { scale, .. }, Value::Decimal(number)) => {
            number.checked_add(Decimal::new(step, u32::from(*scale))).map(Value::Decimal)
        }
        (Type::Date, Value::Date(day)) => day.checked_add(step.days()).ok().map(Value::Date),
        (Type::Duration, Value::Duration(micros)) => micros.checked_add(step).map(Value::Duration),
        _ => None,
    };
    further.unwrap_or(value)
}

/// Returns what is written as a text or a number in an expression, in every type that it could be of.
fn literals(expression: &str) -> Vec<Value> {
    let mut found = Vec::new();
    let mut rest = expression;
    while let Some(letter) = rest.chars().next() {
        if letter == '\'' || letter == '"' {
            let inside = &rest[1..];
            let Some(end) = inside.find(letter) else { break };
            let text = &inside[..end];
            found.push(Value::String(text.to_owned()));
            found.extend(text.parse::<Date>().ok().map(Value::Date));
            found.extend(text.parse::<jiff::Timestamp>().ok().map(Value::Timestamp));
            found.extend(text.parse::<Decimal>().ok().map(Value::Decimal));
            rest = &inside[end + 1..];
        } else if letter.is_ascii_digit() {
            let end = rest.find(|it: char| !it.is_ascii_digit() && it != '.').unwrap_or(rest.len());
            found.extend(rest[..end].parse::<i64>().ok().map(Value::Integer));
            found.extend(rest[..end].parse::<Decimal>().ok().map(Value::Decimal));
            rest = &rest[end..];
        } else {
            // The digits of a name are no number.
            let is_name = |it: char| it.is_alphanumeric() || it == '_';
            let length = rest.find(|it: char| !is_name(it)).unwrap_or(rest.len());
            rest = &rest[length.max(letter.len_utf8())..];
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::literals;
    use seamline_contract::value::Value;

    #[test]
    fn texts_and_numbers_of_an_expression_are_its_literals() {
        let found = literals("a1 > 17 && day < date('2026-01-31') || kind == 'none'");
        assert!(found.contains(&Value::Integer(17)) && !found.contains(&Value::Integer(1)));
        assert!(found.contains(&Value::String("none".to_owned())));
        assert!(found.contains(&Value::Date(jiff::civil::date(2026, 1, 31))));
        assert_eq!(literals("'open"), []);
    }
}
