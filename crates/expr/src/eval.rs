//! Evaluation: a checked tree that borrows from the row and allocates only for new values.

use crate::function::{Arithmetic, Function};
use crate::parse::Join;
use crate::program::{EvalError, LIST_MAX};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use seamline_contract::value::Value;
use std::borrow::Cow;
use std::cmp::Ordering;

/// What is evaluated over: the slots and the variables of macros.
#[derive(Clone, Copy)]
pub(crate) struct Row<'a> {
    pub(crate) slots: &'a [Value],
    pub(crate) local: Option<&'a Local<'a>>,
}

/// The variable of a macro.
pub(crate) struct Local<'a> {
    value: &'a Value,
    outer: Option<&'a Local<'a>>,
}

/// What a macro does with each element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Macro {
    All,
    Exists,
    ExistsOne,
    Filter,
    Map,
}

/// A checked operation.
#[derive(Debug, Clone)]
pub(crate) enum Node {
    Slot(usize),
    /// A variable of a macro, counted from the innermost.
    Local(usize),
    Constant(Value),
    Member(Box<Node>, String),
    Index(Box<Node>, Box<Node>),
    Not(Box<Node>),
    Join(Join, Vec<Node>),
    If(Box<Node>, Box<Node>, Box<Node>),
    /// Equality, and whether it is negated.
    Equal(Box<Node>, Box<Node>, bool),
    Order(Box<Node>, Box<Node>, fn(Ordering) -> bool),
    Arithmetic(Arithmetic, Box<Node>, Box<Node>),
    In(Box<Node>, Box<Node>),
    List(Vec<Node>),
    Call(Function, Vec<Node>),
    /// A macro over a list: filter or condition first, then what `map` makes.
    Each(Macro, Box<Node>, Option<Box<Node>>, Option<Box<Node>>),
}

type Result1<'a> = Result<Cow<'a, Value>, EvalError>;

fn boolean<'a>(value: bool) -> Cow<'a, Value> {
    Cow::Owned(Value::Boolean(value))
}

static NULL: Value = Value::Null;

impl Node {
    pub(crate) fn eval<'a>(&'a self, row: &Row<'a>) -> Result1<'a> {
        Ok(match self {
            Node::Slot(slot) => Cow::Borrowed(row.slots.get(*slot).ok_or(EvalError::ForeignRow)?),
            Node::Local(depth) => {
                let mut local = row.local;
                for _ in 0..*depth {
                    local = local.and_then(|local| local.outer);
                }
                Cow::Borrowed(local.ok_or(EvalError::ForeignRow)?.value)
            }
            Node::Constant(value) => Cow::Borrowed(value),
            Node::Member(operand, name) => member(operand.eval(row)?, name)?,
            Node::Index(operand, index) => index_of(operand.eval(row)?, &*index.eval(row)?)?,
            Node::If(condition, yes, no) => {
                return if condition.truth(row)? { yes.eval(row) } else { no.eval(row) };
            }
            Node::Not(_) | Node::Join(..) | Node::Equal(..) | Node::Order(..) | Node::In(..) => {
                boolean(self.truth(row)?)
            }
            Node::Arithmetic(arithmetic, a, b) => {
                Cow::Owned(arithmetic.apply(&*a.eval(row)?, &*b.eval(row)?)?)
            }
            Node::List(nodes) => {
                let values = nodes.iter().map(|node| node.eval(row).map(Cow::into_owned));
                Cow::Owned(Value::List(values.collect::<Result<_, _>>()?))
            }
            Node::Call(function, arguments) => {
                let values: Vec<_> =
                    arguments.iter().map(|argument| argument.eval(row)).collect::<Result<_, _>>()?;
                Cow::Owned(function.apply(&values)?)
            }
            Node::Each(each, list, condition, make) => {
                let list = list.eval(row)?;
                Cow::Owned(walk(*each, elements(&list)?, condition.as_deref(), make.as_deref(), row)?)
            }
        })
    }

    /// Returns what needs no work to be had.
    fn at_hand<'a>(&'a self, row: &Row<'a>) -> Option<&'a Value> {
        match self {
            Node::Slot(slot) => row.slots.get(*slot),
            Node::Constant(value) => Some(value),
            _ => None,
        }
    }

    /// Evaluates a condition, without making a value of it where it need not be.
    fn truth(&self, row: &Row<'_>) -> Result<bool, EvalError> {
        Ok(match self {
            Node::Not(operand) => !operand.truth(row)?,
            Node::Join(join, parts) => {
                // The first part that is not what all must be decides.
                let neutral = *join == Join::All;
                for part in parts {
                    if part.truth(row)? != neutral {
                        return Ok(!neutral);
                    }
                }
                neutral
            }
            Node::Equal(a, b, negated) => both(a, b, row, equal)? != *negated,
            Node::Order(a, b, holds) => holds(both(a, b, row, order)??),
            Node::In(needle, list) => {
                let (needle, list) = (needle.eval(row)?, list.eval(row)?);
                match &*list {
                    Value::Map(map) => matches!(&*needle, Value::String(key) if map.contains_key(key)),
                    list => elements(list)?.iter().any(|element| equal(element, &needle)),
                }
            }
            _ => {
                return match &*self.eval(row)? {
                    Value::Boolean(value) => Ok(*value),
                    Value::Null => Err(EvalError::NoValue),
                    _ => Err(EvalError::ForeignRow),
                };
            }
        })
    }
}

fn both<T>(a: &Node, b: &Node, row: &Row<'_>, look: fn(&Value, &Value) -> T) -> Result<T, EvalError> {
    if let (Some(a), Some(b)) = (a.at_hand(row), b.at_hand(row)) {
        return Ok(look(a, b));
    }
    Ok(look(&*a.eval(row)?, &*b.eval(row)?))
}

fn elements(list: &Value) -> Result<&[Value], EvalError> {
    match list {
        Value::List(values) if values.len() > LIST_MAX => Err(EvalError::ListTooLong(values.len())),
        Value::List(values) => Ok(values),
        Value::Null => Err(EvalError::NoValue),
        _ => Err(EvalError::ForeignRow),
    }
}

fn walk(
    each: Macro,
    values: &[Value],
    condition: Option<&Node>,
    make: Option<&Node>,
    row: &Row<'_>,
) -> Result<Value, EvalError> {
    let mut kept = Vec::new();
    let mut count = 0_usize;
    for value in values {
        let local = Local { value, outer: row.local };
        let inner = Row { slots: row.slots, local: Some(&local) };
        let holds = condition.map_or(Ok(true), |condition| condition.truth(&inner))?;
        match (each, holds) {
            (Macro::All, false) => return Ok(Value::Boolean(false)),
            (Macro::Exists, true) => return Ok(Value::Boolean(true)),
            (Macro::Filter, true) => kept.push(value.clone()),
            (Macro::Map, true) => {
                kept.push(make.map_or(Ok(Cow::Borrowed(value)), |make| make.eval(&inner))?.into_owned());
            }
            (_, holds) => count += usize::from(holds),
        }
    }
    Ok(match each {
        Macro::All => Value::Boolean(true),
        Macro::Exists => Value::Boolean(false),
        Macro::ExistsOne => Value::Boolean(count == 1),
        Macro::Filter | Macro::Map => Value::List(kept),
    })
}

fn member<'a>(operand: Cow<'a, Value>, name: &str) -> Result1<'a> {
    match operand {
        Cow::Borrowed(Value::Map(map)) => Ok(Cow::Borrowed(map.get(name).unwrap_or(&NULL))),
        Cow::Owned(Value::Map(mut map)) => Ok(Cow::Owned(map.remove(name).unwrap_or(Value::Null))),
        Cow::Borrowed(Value::Null) | Cow::Owned(Value::Null) => Err(EvalError::NoValue),
        _ => Err(EvalError::ForeignRow),
    }
}

fn index_of<'a>(operand: Cow<'a, Value>, index: &Value) -> Result1<'a> {
    match index {
        Value::String(key) => member(operand, key),
        Value::Integer(at) => {
            let found = |values: &[Value]| usize::try_from(*at).ok().filter(|at| *at < values.len());
            match operand {
                Cow::Borrowed(Value::List(values)) => {
                    Ok(Cow::Borrowed(&values[found(values).ok_or(EvalError::NoElement(*at))?]))
                }
                Cow::Owned(Value::List(mut values)) => {
                    let at = found(&values).ok_or(EvalError::NoElement(*at))?;
                    Ok(Cow::Owned(values.swap_remove(at)))
                }
                _ => Err(EvalError::NoValue),
            }
        }
        _ => Err(EvalError::NoValue),
    }
}

/// Returns whether two values are the same; numbers by what they count, not by how they are held.
pub(crate) fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Integer(_) | Value::Decimal(_) | Value::Approximate(_), _) => {
            order(a, b) == Ok(Ordering::Equal)
        }
        (Value::List(a), Value::List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (a, b) => a == b,
    }
}

/// Compares two values of one type, or two numbers.
pub(crate) fn order(a: &Value, b: &Value) -> Result<Ordering, EvalError> {
    Ok(match (a, b) {
        (Value::Null, _) | (_, Value::Null) => return Err(EvalError::NoValue),
        (Value::Integer(a), Value::Integer(b)) | (Value::Duration(a), Value::Duration(b)) => a.cmp(b),
        (Value::Decimal(a), Value::Decimal(b)) => a.cmp(b),
        (Value::Integer(a), Value::Decimal(b)) => Decimal::from(*a).cmp(b),
        (Value::Decimal(a), Value::Integer(b)) => a.cmp(&Decimal::from(*b)),
        (Value::String(a), Value::String(b)) => a.cmp(b),
        (Value::Date(a), Value::Date(b)) => a.cmp(b),
        (Value::Timestamp(a), Value::Timestamp(b)) => a.cmp(b),
        (a, b) => {
            let (a, b) = (approximate(a)?, approximate(b)?);
            a.partial_cmp(&b).ok_or(EvalError::ForeignRow)?
        }
    })
}

/// Returns a number as binary floating-point.
pub(crate) fn approximate(value: &Value) -> Result<f64, EvalError> {
    match value {
        Value::Approximate(number) => Ok(*number),
        Value::Integer(number) => number.to_f64().ok_or(EvalError::ForeignRow),
        Value::Decimal(number) => number.to_f64().ok_or(EvalError::ForeignRow),
        Value::Null => Err(EvalError::NoValue),
        _ => Err(EvalError::ForeignRow),
    }
}
