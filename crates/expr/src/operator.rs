//! The checker of operators: equality, order, arithmetic, membership, elements.

use crate::check::{Checker, Typed, offer};
use crate::eval::Node;
use crate::function::Arithmetic;
use crate::kind::Kind;
use crate::narrow::Facts;
use crate::parse::{Expr, Form, Operator};
use crate::program::LIST_MAX;
use seamline_contract::value::Value;
use std::cmp::Ordering;
use std::ops::Range;

impl Checker<'_> {
    pub(crate) fn binary(
        &mut self,
        operator: Operator,
        a: &Expr,
        b: &Expr,
        bytes: &Range<usize>,
        known: &Facts,
    ) -> Typed {
        match operator {
            Operator::Equal | Operator::NotEqual => {
                let (a, b) = (self.check(a, known), self.check(b, known));
                self.equality(&a, &b, bytes);
                let negated = operator == Operator::NotEqual;
                pair(Kind::Boolean, bytes, a, b, |a, b| Node::Equal(a, b, negated))
            }
            Operator::Less => self.ordering(a, b, bytes, known, Ordering::is_lt),
            Operator::LessOrEqual => self.ordering(a, b, bytes, known, Ordering::is_le),
            Operator::Greater => self.ordering(a, b, bytes, known, Ordering::is_gt),
            Operator::GreaterOrEqual => self.ordering(a, b, bytes, known, Ordering::is_ge),
            Operator::In => self.membership(a, b, bytes, known),
            Operator::Add => self.arithmetic(Arithmetic::Add, a, b, bytes, known),
            Operator::Subtract => self.arithmetic(Arithmetic::Subtract, a, b, bytes, known),
            Operator::Multiply => self.arithmetic(Arithmetic::Multiply, a, b, bytes, known),
            Operator::Divide => self.arithmetic(Arithmetic::Divide, a, b, bytes, known),
            Operator::Remainder => self.arithmetic(Arithmetic::Remainder, a, b, bytes, known),
        }
    }

    fn equality(&mut self, a: &Typed, b: &Typed, bytes: &Range<usize>) {
        if !a.kind.comparable(&b.kind) {
            let message = format!("a value of type {} is never equal to one of type {}", a.kind, b.kind);
            self.error(bytes, message, alike(&a.kind, &b.kind));
        }
        for (kind, other) in [(&a.kind, b), (&b.kind, a)] {
            if let (Kind::Enum(values, false), Node::Constant(Value::String(text))) = (kind, &other.node)
                && !values.contains(text)
            {
                let values: Vec<&str> = values.iter().map(String::as_str).collect();
                let help = offer(text, &values, "the values are");
                self.error(&other.bytes, format!("`{text}` is not one of the values"), help);
            }
        }
    }

    fn ordering(
        &mut self,
        a: &Expr,
        b: &Expr,
        bytes: &Range<usize>,
        known: &Facts,
        holds: fn(Ordering) -> bool,
    ) -> Typed {
        let (left, right) = (self.needed(a, known), self.needed(b, known));
        let ordered = |kind: &Kind| {
            use Kind::{Date, Duration, Null, String, Timestamp, Unknown};
            kind.is_number() || matches!(kind, String | Date | Timestamp | Duration | Unknown | Null)
        };
        if !ordered(&left.kind) || !ordered(&right.kind) || !left.kind.comparable(&right.kind) {
            let message = format!("values of type {} and {} have no order", left.kind, right.kind);
            return self.fail(bytes, message, alike(&left.kind, &right.kind));
        }
        pair(Kind::Boolean, bytes, left, right, |a, b| Node::Order(a, b, holds))
    }

    fn arithmetic(
        &mut self,
        arithmetic: Arithmetic,
        a: &Expr,
        b: &Expr,
        bytes: &Range<usize>,
        known: &Facts,
    ) -> Typed {
        let (left, right) = (self.needed(a, known), self.needed(b, known));
        let sum = matches!(arithmetic, Arithmetic::Add | Arithmetic::Subtract);
        let kind = match (&left.kind, &right.kind) {
            (Kind::Unknown | Kind::Null, _) | (_, Kind::Unknown | Kind::Null) => Kind::Unknown,
            (Kind::Integer, Kind::Integer) => Kind::Integer,
            (Kind::Integer | Kind::Decimal, Kind::Integer | Kind::Decimal) => Kind::Decimal,
            (a, b) if a.is_number() && b.is_number() => Kind::Approximate,
            (Kind::Duration, Kind::Duration) if sum => Kind::Duration,
            (Kind::Timestamp, Kind::Duration) if sum => Kind::Timestamp,
            (Kind::Timestamp, Kind::Timestamp) if arithmetic == Arithmetic::Subtract => Kind::Duration,
            (a, b) if a.is_text() && b.is_text() && arithmetic == Arithmetic::Add => Kind::String,
            (a, b) => {
                let message = format!("`{}` does not take {a} and {b}", arithmetic.symbol());
                return self.fail(bytes, message, "use numbers, or an instant with a duration");
            }
        };
        pair(kind, bytes, left, right, |a, b| Node::Arithmetic(arithmetic, a, b))
    }

    fn membership(&mut self, a: &Expr, list: &Expr, bytes: &Range<usize>, known: &Facts) -> Typed {
        let needle = self.check(a, known);
        let typed = self.needed(list, known);
        let walked = match (&typed.kind, &list.form) {
            (_, Form::List(elements)) => {
                if let Node::List(nodes) = &typed.node
                    && let Kind::List(kind) = &typed.kind
                {
                    for (element, node) in elements.iter().zip(nodes) {
                        let element = Typed::new((**kind).clone(), element.bytes.clone(), 1, node.clone());
                        self.equality(&needle, &element, &element.bytes);
                    }
                }
                elements.len()
            }
            (Kind::List(kind), _) => {
                let element = Typed { kind: (**kind).clone(), ..Typed::broken(typed.bytes.clone()) };
                self.equality(&needle, &element, bytes);
                LIST_MAX
            }
            (Kind::Map(_), _) if needle.kind.is_text() => 1,
            (Kind::Unknown, _) => LIST_MAX,
            (kind, _) => {
                let message = format!("`in` needs a list or a map, not a value of type {kind}");
                return self.fail(&typed.bytes, message, "write `in ['a', 'b']`");
            }
        };
        let mut made = pair(Kind::Boolean, bytes, needle, typed, Node::In);
        made.cost = made.cost.saturating_add(walked as u64);
        made
    }

    pub(crate) fn index(&mut self, operand: &Expr, at: &Expr, bytes: &Range<usize>, known: &Facts) -> Typed {
        let (operand, at) = (self.needed(operand, known), self.needed(at, known));
        let (kind, optional) = match (&operand.kind, &at.kind) {
            (Kind::List(element), Kind::Integer) => ((**element).clone(), false),
            (Kind::Map(value), key) if key.is_text() => ((**value).clone(), true),
            (Kind::Unknown, _) | (_, Kind::Unknown | Kind::Null) => (Kind::Unknown, false),
            (kind, at) => {
                let message = format!("a value of type {kind} has no element by {at}");
                return self.fail(bytes, message, "index a list by an integer, a map by a text");
            }
        };
        Typed { optional, ..pair(kind, bytes, operand, at, Node::Index) }
    }

    pub(crate) fn list(&mut self, elements: &[Expr], bytes: &Range<usize>, known: &Facts) -> Typed {
        let mut kind = Kind::Unknown;
        let mut cost = 1_u64;
        let mut nodes = Vec::with_capacity(elements.len());
        for element in elements {
            let element = self.needed(element, known);
            match kind.join(&element.kind) {
                Some(joined) => kind = joined,
                None => {
                    let message = format!("an element of type {} in a list of {kind}", element.kind);
                    self.error(&element.bytes, message, "a list holds one type");
                }
            }
            cost = cost.saturating_add(element.cost);
            nodes.push(element.node);
        }
        Typed::new(Kind::List(Box::new(kind)), bytes.clone(), cost, Node::List(nodes))
    }
}

/// Returns the help for two types that do not go together.
fn alike(a: &Kind, b: &Kind) -> &'static str {
    match (a, b) {
        (Kind::Date, other) | (other, Kind::Date) if other.is_text() => "write a day as `date('2026-01-31')`",
        (Kind::Timestamp, other) | (other, Kind::Timestamp) if other.is_text() => {
            "write an instant as `timestamp('2026-01-31T00:00:00Z')`"
        }
        (Kind::Duration, _) | (_, Kind::Duration) => "write a duration as `duration('30s')`",
        (a, other) | (other, a) if a.is_number() && other.is_text() => "write a number without quotes",
        (Kind::Enum(..), _) | (_, Kind::Enum(..)) => "the values of an enumeration are only equal or not",
        _ => "compare numbers, texts, days, instants or durations with their like",
    }
}

fn pair(
    kind: Kind,
    bytes: &Range<usize>,
    a: Typed,
    b: Typed,
    node: impl FnOnce(Box<Node>, Box<Node>) -> Node,
) -> Typed {
    let cost = a.cost.saturating_add(b.cost).saturating_add(1);
    Typed::new(kind, bytes.clone(), cost, node(Box::new(a.node), Box::new(b.node)))
}
