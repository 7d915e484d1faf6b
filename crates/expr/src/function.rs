//! Arithmetic and functions. Exact or an error: nothing is rounded in silence.

use crate::eval::approximate;
use crate::program::EvalError;
use regex::Regex;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use seamline_contract::value::Value;
use std::borrow::Cow;

/// An arithmetic operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

/// A function over values.
#[derive(Debug, Clone)]
pub(crate) enum Function {
    Size,
    StartsWith,
    EndsWith,
    Contains,
    Matches(Regex),
    Text,
    Integer,
}

impl Arithmetic {
    pub(crate) fn symbol(self) -> &'static str {
        match self {
            Arithmetic::Add => "+",
            Arithmetic::Subtract => "-",
            Arithmetic::Multiply => "*",
            Arithmetic::Divide => "/",
            Arithmetic::Remainder => "%",
        }
    }

    pub(crate) fn apply(self, a: &Value, b: &Value) -> Result<Value, EvalError> {
        let inexact = EvalError::Inexact(self.symbol());
        match (a, b) {
            (Value::Null, _) | (_, Value::Null) => Err(EvalError::NoValue),
            (Value::Integer(a), Value::Integer(b)) => self.integers(*a, *b).map(Value::Integer),
            (Value::Duration(a), Value::Duration(b)) => self.integers(*a, *b).map(Value::Duration),
            (Value::Decimal(a), Value::Decimal(b)) => self.decimals(*a, *b).map(Value::Decimal),
            (Value::Integer(a), Value::Decimal(b)) => {
                self.decimals(Decimal::from(*a), *b).map(Value::Decimal)
            }
            (Value::Decimal(a), Value::Integer(b)) => {
                self.decimals(*a, Decimal::from(*b)).map(Value::Decimal)
            }
            (Value::String(a), Value::String(b)) => Ok(Value::String(format!("{a}{b}"))),
            (Value::Timestamp(a), Value::Duration(b)) => {
                let span = jiff::SignedDuration::from_micros(*b);
                let moved =
                    if self == Arithmetic::Subtract { a.checked_sub(span) } else { a.checked_add(span) };
                moved.map(Value::Timestamp).map_err(|_| inexact)
            }
            (Value::Timestamp(a), Value::Timestamp(b)) => {
                let micros = a.as_microsecond().checked_sub(b.as_microsecond());
                micros.map(Value::Duration).ok_or(inexact)
            }
            (a, b) => self.approximates(approximate(a)?, approximate(b)?).map(Value::Approximate),
        }
    }

    fn integers(self, a: i64, b: i64) -> Result<i64, EvalError> {
        if matches!(self, Arithmetic::Divide | Arithmetic::Remainder) && b == 0 {
            return Err(EvalError::DivisionByZero);
        }
        let result = match self {
            Arithmetic::Add => a.checked_add(b),
            Arithmetic::Subtract => a.checked_sub(b),
            Arithmetic::Multiply => a.checked_mul(b),
            Arithmetic::Divide => a.checked_div(b),
            Arithmetic::Remainder => a.checked_rem(b),
        };
        result.ok_or(EvalError::Inexact(self.symbol()))
    }

    fn decimals(self, a: Decimal, b: Decimal) -> Result<Decimal, EvalError> {
        let (a, b) = (a.normalize(), b.normalize());
        if matches!(self, Arithmetic::Divide | Arithmetic::Remainder) && b.is_zero() {
            return Err(EvalError::DivisionByZero);
        }
        // Invariant: rust_decimal keeps the scale unless it had to round.
        let kept = |scale: u32| move |result: &Decimal| result.scale() == scale || result.is_zero();
        let widest = kept(a.scale().max(b.scale()));
        let result = match self {
            Arithmetic::Add => a.checked_add(b).filter(widest),
            Arithmetic::Subtract => a.checked_sub(b).filter(widest),
            Arithmetic::Multiply if a.is_zero() || b.is_zero() => Some(Decimal::ZERO),
            Arithmetic::Multiply => a.checked_mul(b).filter(|result| result.scale() == a.scale() + b.scale()),
            Arithmetic::Divide => a.checked_div(b).filter(|quotient| {
                Arithmetic::Multiply.decimals(*quotient, b).is_ok_and(|product| product == a)
            }),
            Arithmetic::Remainder => a.checked_rem(b),
        };
        result.ok_or(EvalError::Inexact(self.symbol()))
    }

    fn approximates(self, a: f64, b: f64) -> Result<f64, EvalError> {
        let result = match self {
            Arithmetic::Add => a + b,
            Arithmetic::Subtract => a - b,
            Arithmetic::Multiply => a * b,
            Arithmetic::Divide => a / b,
            Arithmetic::Remainder => a % b,
        };
        if result.is_finite() { Ok(result) } else { Err(EvalError::Inexact(self.symbol())) }
    }
}

impl Function {
    pub(crate) fn apply(&self, arguments: &[Cow<'_, Value>]) -> Result<Value, EvalError> {
        let [first, rest @ ..] = arguments else { return Err(EvalError::ForeignRow) };
        let text = |value: &Value, test: &dyn Fn(&str) -> bool| match value {
            Value::String(text) => Ok(Value::Boolean(test(text))),
            Value::Null => Err(EvalError::NoValue),
            _ => Err(EvalError::ForeignRow),
        };
        let pair = |test: fn(&str, &str) -> bool| match rest.first().map(|value| &**value) {
            Some(Value::String(part)) => text(first, &|whole| test(whole, part)),
            _ => Err(EvalError::NoValue),
        };
        match self {
            Function::Size => size(first),
            Function::StartsWith => pair(|whole, part| whole.starts_with(part)),
            Function::EndsWith => pair(|whole, part| whole.ends_with(part)),
            Function::Contains => pair(|whole, part| whole.contains(part)),
            Function::Matches(regex) => text(first, &|whole| regex.is_match(whole)),
            Function::Text => to_text(first),
            Function::Integer => to_integer(first),
        }
    }
}

fn size(value: &Value) -> Result<Value, EvalError> {
    let size = match value {
        Value::String(text) => text.chars().count(),
        Value::List(values) => values.len(),
        Value::Map(map) => map.len(),
        Value::Bytes(bytes) => bytes.len(),
        Value::Null => return Err(EvalError::NoValue),
        _ => return Err(EvalError::ForeignRow),
    };
    i64::try_from(size).map(Value::Integer).map_err(|_| EvalError::Inexact("size"))
}

fn to_text(value: &Value) -> Result<Value, EvalError> {
    Ok(Value::String(match value {
        Value::String(text) => text.clone(),
        Value::Boolean(value) => value.to_string(),
        Value::Integer(value) => value.to_string(),
        Value::Decimal(value) => value.to_string(),
        Value::Date(value) => value.to_string(),
        Value::Timestamp(value) => value.to_string(),
        Value::Null => return Err(EvalError::NoValue),
        _ => return Err(EvalError::ForeignRow),
    }))
}

fn to_integer(value: &Value) -> Result<Value, EvalError> {
    match value {
        Value::Integer(value) => Ok(Value::Integer(*value)),
        Value::Decimal(value) if value.fract().is_zero() => {
            value.to_i64().map(Value::Integer).ok_or(EvalError::Inexact("int"))
        }
        Value::Decimal(_) => Err(EvalError::Inexact("int")),
        Value::String(text) => {
            text.parse().map(Value::Integer).map_err(|_| EvalError::NotConvertible("integer"))
        }
        Value::Null => Err(EvalError::NoValue),
        _ => Err(EvalError::ForeignRow),
    }
}
