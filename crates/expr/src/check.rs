//! The checker: from a parsed expression to typed operations, with every error at its place.

use crate::eval::Node;
use crate::function::{Arithmetic, Function};
use crate::kind::{Kind, Variable};
use crate::narrow::{Facts, facts, path};
use crate::program::{DEPTH_MAX, ExprError, LIST_MAX};
use crate::scope::Scope;
use cel::IdedExpr;
use cel::common::ast::{CallExpr, Expr, LiteralValue, SelectExpr, SourceInfo, operators};
use cel::parser::Parser;
use rust_decimal::Decimal;
use seamline_contract::id::AttributePath;
use seamline_contract::measure::Span;
use seamline_contract::value::Value;
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::ops::Range;

/// A checked part.
pub(crate) struct Typed {
    pub(crate) node: Node,
    pub(crate) kind: Kind,
    pub(crate) optional: bool,
    pub(crate) cost: u64,
    pub(crate) bytes: Range<usize>,
}

/// What checking knows and gathers.
pub(crate) struct Checker<'s> {
    text: &'s str,
    scope: &'s Scope,
    source: SourceInfo,
    pub(crate) locals: Vec<Variable>,
    depth: usize,
    pub(crate) errors: Vec<ExprError>,
    pub(crate) uses: BTreeSet<AttributePath>,
}

impl<'s> Checker<'s> {
    pub(crate) fn new(text: &'s str, scope: &'s Scope) -> Self {
        Checker {
            text,
            scope,
            source: SourceInfo::default(),
            locals: Vec::new(),
            depth: 0,
            errors: Vec::new(),
            uses: BTreeSet::new(),
        }
    }

    pub(crate) fn parse(&mut self) -> Result<IdedExpr, Vec<ExprError>> {
        match Parser::new().parse_with_source_info(self.text) {
            Ok((expr, source)) => {
                self.source = source;
                Ok(expr)
            }
            Err(errors) => {
                let error = |error: &cel::ParseError| ExprError {
                    bytes: place(self.text, error.pos),
                    message: "the expression does not parse".to_owned(),
                    help: Some(error.msg.trim_end_matches('.').to_owned()),
                };
                Err(errors.errors.iter().map(error).collect())
            }
        }
    }

    pub(crate) fn error(&mut self, bytes: &Range<usize>, message: String, help: Option<String>) {
        self.errors.push(ExprError { bytes: bytes.clone(), message, help });
    }

    /// Returns what stands for a part that has an error.
    pub(crate) fn broken(&self, bytes: Range<usize>) -> Typed {
        Typed { node: Node::Constant(Value::Null), kind: Kind::Unknown, optional: false, cost: 1, bytes }
    }

    pub(crate) fn fail(&mut self, bytes: Range<usize>, message: String, help: &str) -> Typed {
        self.error(&bytes, message, Some(help.to_owned()));
        self.broken(bytes)
    }

    /// Returns the bytes of a node's own token.
    pub(crate) fn token(&self, id: u64) -> Range<usize> {
        let (start, stop) = self.source.offset_for(id).unwrap_or((0, 0));
        let start = floor(self.text, start as usize);
        let last = floor(self.text, stop as usize).max(start);
        let width = self.text[last..].chars().next().map_or(0, char::len_utf8);
        start..last + width
    }

    pub(crate) fn check(&mut self, expr: &IdedExpr, known: &Facts) -> Typed {
        let bytes = self.token(expr.id);
        if self.depth >= DEPTH_MAX {
            return self.fail(bytes, "the expression is nested too deeply".to_owned(), "split it");
        }
        self.depth += 1;
        let typed = match &expr.expr {
            Expr::Literal(literal) => self.literal(literal, bytes),
            Expr::Ident(name) => self.name(name, bytes, known),
            Expr::Select(select) => self.select(select, bytes, known),
            Expr::Call(call) => self.call(call, bytes, known),
            Expr::List(list) => {
                let elements: Vec<Typed> = list.elements.iter().map(|e| self.check(e, known)).collect();
                self.list(elements, bytes)
            }
            Expr::Comprehension(each) => self.comprehension(each, bytes, known),
            _ => self.fail(
                bytes,
                "this form is not in the profile".to_owned(),
                "use attributes, literals, lists and operators",
            ),
        };
        self.depth -= 1;
        typed
    }

    fn literal(&mut self, literal: &LiteralValue, bytes: Range<usize>) -> Typed {
        let (value, kind) = match literal {
            LiteralValue::Null => (Value::Null, Kind::Null),
            LiteralValue::Boolean(value) => (Value::Boolean(*value.inner()), Kind::Boolean),
            LiteralValue::Int(value) => (Value::Integer(*value.inner()), Kind::Integer),
            LiteralValue::String(value) => (Value::String(value.inner().to_owned()), Kind::String),
            LiteralValue::Double(value) => match Decimal::try_from(*value.inner()) {
                Ok(_) if value.inner().to_string().len() > 16 => {
                    return self.fail(
                        bytes,
                        "the number has too many digits".to_owned(),
                        "write `decimal('…')`",
                    );
                }
                Ok(value) => (Value::Decimal(value), Kind::Decimal),
                Err(_) => {
                    return self.fail(
                        bytes,
                        "the number does not fit a decimal".to_owned(),
                        "at most 28 digits",
                    );
                }
            },
            LiteralValue::Bytes(_) | LiteralValue::UInt(_) => {
                return self.fail(
                    bytes,
                    "this literal is not in the profile".to_owned(),
                    "write an integer or a text",
                );
            }
        };
        constant(value, kind, bytes)
    }

    fn name(&mut self, name: &str, bytes: Range<usize>, known: &Facts) -> Typed {
        let (node, variable) = if let Some(at) = self.locals.iter().rposition(|local| local.name == name) {
            (Node::Local(self.locals.len() - 1 - at), self.locals[at].clone())
        } else if let Some(slot) = self.scope.variables.iter().position(|variable| variable.name == name) {
            if let Ok(path) = name.parse() {
                self.uses.insert(path);
            }
            (Node::Slot(slot), self.scope.variables[slot].clone())
        } else {
            let is_value = |variable: &Variable| matches!(&variable.kind, Kind::Enum(values, _) if values.iter().any(|value| value == name));
            let help = if self.scope.variables.iter().any(is_value) {
                format!("quote it: `'{name}'`")
            } else {
                let names: Vec<&str> = self.scope.variables.iter().map(|v| v.name.as_str()).collect();
                format!("declared are {}", quoted(&names))
            };
            return self.fail(bytes, format!("`{name}` is not declared"), &help);
        };
        let optional = variable.optional && !known.contains(name);
        Typed { node, kind: variable.kind, optional, cost: 1, bytes }
    }

    fn select(&mut self, select: &SelectExpr, bytes: Range<usize>, known: &Facts) -> Typed {
        let operand = self.check(&select.operand, known);
        let whole = operand.bytes.start..bytes.end.max(operand.bytes.end);
        self.present(&operand, path(&select.operand.expr).as_deref());
        let (kind, optional) = match &operand.kind {
            Kind::Object(members) => match members.iter().find(|member| member.name == select.field) {
                Some(member) => (member.kind.clone(), member.optional),
                None => {
                    let names: Vec<&str> = members.iter().map(|m| m.name.as_str()).collect();
                    let help = format!("its members are {}", quoted(&names));
                    return self.fail(whole, format!("there is no member `{}`", select.field), &help);
                }
            },
            Kind::Map(value) => ((**value).clone(), true),
            Kind::Unknown => (Kind::Unknown, false),
            kind => {
                return self.fail(
                    whole,
                    format!("a value of type {kind} has no members"),
                    "only objects and maps have",
                );
            }
        };
        let full = path(&select.operand.expr).map(|base| format!("{base}.{}", select.field));
        if let (Some(full), Node::Slot(_) | Node::Member(..), Kind::Object(_)) =
            (&full, &operand.node, &operand.kind)
            && let Ok(path) = full.parse::<AttributePath>()
            && self.scope.variables.iter().any(|variable| variable.name == path.first().as_str())
        {
            // The member is what is read, not all of what it is a member of.
            if let Some(base) = crate::narrow::path(&select.operand.expr).and_then(|base| base.parse().ok()) {
                self.uses.remove(&base);
            }
            self.uses.insert(path);
        }
        let node = Node::Member(Box::new(operand.node), select.field.clone());
        let cost = operand.cost + 1;
        if select.test {
            let node = Node::Equal(Box::new(node), Box::new(Node::Constant(Value::Null)), true);
            return Typed { node, kind: Kind::Boolean, optional: false, cost: cost + 1, bytes: whole };
        }
        let optional = optional && !full.is_some_and(|full| known.contains(&full));
        Typed { node, kind, optional, cost, bytes: whole }
    }

    /// Demands that a part has a value.
    pub(crate) fn present(&mut self, typed: &Typed, path: Option<&str>) {
        if typed.optional || typed.kind == Kind::Null {
            let text = self.text.get(typed.bytes.clone()).unwrap_or_default();
            let help = format!("guard it: `{} != null && …`", path.unwrap_or(text));
            self.error(&typed.bytes, format!("`{text}` may have no value here"), Some(help));
        }
    }

    pub(crate) fn boolean(&mut self, expr: &IdedExpr, known: &Facts) -> Typed {
        let typed = self.check(expr, known);
        self.present(&typed, path(&expr.expr).as_deref());
        if !matches!(typed.kind, Kind::Boolean | Kind::Unknown | Kind::Null) {
            self.error(
                &typed.bytes,
                format!("a condition is needed, not a value of type {}", typed.kind),
                Some("compare it".to_owned()),
            );
        }
        typed
    }

    fn call(&mut self, call: &CallExpr, bytes: Range<usize>, known: &Facts) -> Typed {
        match (call.func_name.as_str(), call.target.as_deref(), call.args.as_slice()) {
            (operators::LOGICAL_NOT, None, [a]) => {
                let a = self.boolean(a, known);
                made(Kind::Boolean, &[a.bytes.clone(), bytes], a.cost, Node::Not(Box::new(a.node)))
            }
            (name @ (operators::LOGICAL_AND | operators::LOGICAL_OR), None, [a, b]) => {
                let and = name == operators::LOGICAL_AND;
                let proven = known.union(&facts(a, and)).cloned().collect();
                let (a, b) = (self.boolean(a, known), self.boolean(b, &proven));
                let join = if and { Node::And } else { Node::Or };
                pair(Kind::Boolean, a, b, |a, b| join(a, b))
            }
            (operators::CONDITIONAL, None, [condition, yes, no]) => {
                self.conditional(condition, yes, no, known)
            }
            (name @ (operators::EQUALS | operators::NOT_EQUALS), None, [a, b]) => {
                let (a, b) = (self.check(a, known), self.check(b, known));
                self.equality(&a, &b);
                pair(Kind::Boolean, a, b, |a, b| Node::Equal(a, b, name == operators::NOT_EQUALS))
            }
            (operators::LESS, None, [a, b]) => self.ordering(a, b, known, Ordering::is_lt),
            (operators::LESS_EQUALS, None, [a, b]) => self.ordering(a, b, known, Ordering::is_le),
            (operators::GREATER, None, [a, b]) => self.ordering(a, b, known, Ordering::is_gt),
            (operators::GREATER_EQUALS, None, [a, b]) => self.ordering(a, b, known, Ordering::is_ge),
            (operators::ADD, None, [a, b]) => self.arithmetic(Arithmetic::Add, a, b, known),
            (operators::SUBSTRACT, None, [a, b]) => self.arithmetic(Arithmetic::Subtract, a, b, known),
            (operators::MULTIPLY, None, [a, b]) => self.arithmetic(Arithmetic::Multiply, a, b, known),
            (operators::DIVIDE, None, [a, b]) => self.arithmetic(Arithmetic::Divide, a, b, known),
            (operators::MODULO, None, [a, b]) => self.arithmetic(Arithmetic::Remainder, a, b, known),
            (operators::NEGATE, None, [a]) => {
                let a = self.check(a, known);
                self.present(&a, None);
                let zero = constant(
                    if a.kind == Kind::Duration { Value::Duration(0) } else { Value::Integer(0) },
                    a.kind.clone(),
                    bytes.clone(),
                );
                if !a.kind.is_number() && !matches!(a.kind, Kind::Duration | Kind::Unknown) {
                    return self.fail(
                        a.bytes.clone(),
                        format!("a value of type {} has no sign", a.kind),
                        "only numbers and durations have",
                    );
                }
                let kind = a.kind.clone();
                pair(kind, zero, a, |a, b| Node::Arithmetic(Arithmetic::Subtract, a, b))
            }
            (operators::IN, None, [a, list]) => self.membership(a, list, known),
            (operators::INDEX, None, [a, at]) => self.index(a, at, known),
            (name, target, arguments) => {
                let written: Vec<&IdedExpr> = target.into_iter().chain(arguments).collect();
                self.function(name, &written, bytes, known)
            }
        }
    }

    fn conditional(&mut self, condition: &IdedExpr, yes: &IdedExpr, no: &IdedExpr, known: &Facts) -> Typed {
        let when = known.union(&facts(condition, true)).cloned().collect();
        let unless = known.union(&facts(condition, false)).cloned().collect();
        let (condition, yes, no) =
            (self.boolean(condition, known), self.check(yes, &when), self.check(no, &unless));
        let bytes = condition.bytes.start..no.bytes.end;
        let optional = [&yes, &no].iter().any(|side| side.optional || side.kind == Kind::Null);
        let Some(kind) = yes.kind.join(&no.kind) else {
            return self.fail(
                bytes,
                format!("one side is of type {}, the other of type {}", yes.kind, no.kind),
                "both sides need one type",
            );
        };
        let cost = condition.cost + yes.cost.max(no.cost) + 1;
        let node = Node::If(Box::new(condition.node), Box::new(yes.node), Box::new(no.node));
        Typed { node, kind, optional, cost, bytes }
    }

    pub(crate) fn equality(&mut self, a: &Typed, b: &Typed) {
        let bytes = a.bytes.start..b.bytes.end;
        if !a.kind.comparable(&b.kind) {
            let help = match (&a.kind, &b.kind) {
                (Kind::Date, Kind::String) | (Kind::String, Kind::Date) => "write `date('2026-01-31')`",
                (Kind::Timestamp, Kind::String) | (Kind::String, Kind::Timestamp) => {
                    "write `timestamp('2026-01-31T00:00:00Z')`"
                }
                _ => "compare values of one type",
            };
            self.error(
                &bytes,
                format!("a value of type {} is never equal to one of type {}", a.kind, b.kind),
                Some(help.to_owned()),
            );
        }
        for (kind, other) in [(&a.kind, b), (&b.kind, a)] {
            if let (Kind::Enum(values, false), Node::Constant(Value::String(text))) = (kind, &other.node)
                && !values.contains(text)
            {
                let values: Vec<&str> = values.iter().map(String::as_str).collect();
                self.error(
                    &other.bytes,
                    format!("`{text}` is not one of the values"),
                    Some(format!("the values are {}", quoted(&values))),
                );
            }
        }
    }

    fn ordering(&mut self, a: &IdedExpr, b: &IdedExpr, known: &Facts, holds: fn(Ordering) -> bool) -> Typed {
        let (left, right) = self.operands(a, b, known);
        let ordered = |kind: &Kind| {
            kind.is_number()
                || matches!(
                    kind,
                    Kind::String | Kind::Date | Kind::Timestamp | Kind::Duration | Kind::Unknown | Kind::Null
                )
        };
        if !ordered(&left.kind) || !ordered(&right.kind) || !left.kind.comparable(&right.kind) {
            let bytes = left.bytes.start..right.bytes.end;
            return self.fail(
                bytes,
                format!("values of type {} and {} have no order", left.kind, right.kind),
                "order numbers, texts, days, instants or durations with their like",
            );
        }
        pair(Kind::Boolean, left, right, |a, b| Node::Order(a, b, holds))
    }

    fn operands(&mut self, a: &IdedExpr, b: &IdedExpr, known: &Facts) -> (Typed, Typed) {
        let (left, right) = (self.check(a, known), self.check(b, known));
        self.present(&left, path(&a.expr).as_deref());
        self.present(&right, path(&b.expr).as_deref());
        (left, right)
    }

    fn arithmetic(&mut self, arithmetic: Arithmetic, a: &IdedExpr, b: &IdedExpr, known: &Facts) -> Typed {
        let (left, right) = self.operands(a, b, known);
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
                return self.fail(
                    left.bytes.start..right.bytes.end,
                    message,
                    "use numbers, or an instant with a duration",
                );
            }
        };
        pair(kind, left, right, |a, b| Node::Arithmetic(arithmetic, a, b))
    }

    fn membership(&mut self, needle: &IdedExpr, list: &IdedExpr, known: &Facts) -> Typed {
        let (needle, list) = (self.check(needle, known), self.check(list, known));
        self.present(&list, None);
        match &list.kind {
            Kind::List(element) => {
                let element = Typed { kind: (**element).clone(), ..self.broken(list.bytes.clone()) };
                self.equality(&needle, &element);
                if let Node::List(nodes) = &list.node {
                    for node in nodes {
                        let element = Typed {
                            node: node.clone(),
                            kind: element.kind.clone(),
                            ..self.broken(list.bytes.clone())
                        };
                        self.equality(&needle, &element);
                    }
                }
            }
            Kind::Map(_) if needle.kind.is_text() => {}
            Kind::Unknown => {}
            kind => {
                return self.fail(
                    list.bytes.clone(),
                    format!("`in` needs a list or a map, not a value of type {kind}"),
                    "write `in ['a', 'b']`",
                );
            }
        }
        let walked = if let Node::List(nodes) = &list.node { nodes.len() } else { LIST_MAX };
        let mut typed = pair(Kind::Boolean, needle, list, Node::In);
        typed.cost += walked as u64;
        typed
    }

    fn index(&mut self, operand: &IdedExpr, at: &IdedExpr, known: &Facts) -> Typed {
        let (operand, at) = self.operands(operand, at, known);
        let (kind, optional) = match (&operand.kind, &at.kind) {
            (Kind::List(element), Kind::Integer) => ((**element).clone(), false),
            (Kind::Map(value), Kind::String) => ((**value).clone(), true),
            (Kind::Unknown, _) | (_, Kind::Unknown) => (Kind::Unknown, false),
            (kind, at) => {
                return self.fail(
                    operand.bytes.clone(),
                    format!("a value of type {kind} has no element by {at}"),
                    "index a list by an integer, a map by a text",
                );
            }
        };
        Typed { optional, ..pair(kind, operand, at, Node::Index) }
    }

    fn list(&mut self, elements: Vec<Typed>, bytes: Range<usize>) -> Typed {
        let mut kind = Kind::Unknown;
        let cost = elements.iter().map(|element| element.cost).sum::<u64>() + 1;
        for element in &elements {
            self.present(element, None);
            match kind.join(&element.kind) {
                Some(joined) => kind = joined,
                None => self.error(
                    &element.bytes,
                    format!("an element of type {} in a list of {kind}", element.kind),
                    Some("a list holds one type".to_owned()),
                ),
            }
        }
        let end = elements.last().map_or(bytes.end, |last| last.bytes.end);
        let node = Node::List(elements.into_iter().map(|element| element.node).collect());
        Typed { node, kind: Kind::List(Box::new(kind)), optional: false, cost, bytes: bytes.start..end }
    }

    fn function(&mut self, name: &str, written: &[&IdedExpr], bytes: Range<usize>, known: &Facts) -> Typed {
        let arguments: Vec<Typed> = written.iter().map(|argument| self.check(argument, known)).collect();
        for argument in &arguments {
            self.present(argument, None);
        }
        let kinds: Vec<&Kind> = arguments.iter().map(|argument| &argument.kind).collect();
        let text = match arguments.last().map(|last| &last.node) {
            Some(Node::Constant(Value::String(text))) => Some(text.clone()),
            _ => None,
        };
        let at = arguments
            .first()
            .map_or(bytes.clone(), |first| first.bytes.start..bytes.end.max(first.bytes.end));
        if let ("date" | "timestamp" | "duration" | "decimal", [_], Some(text)) =
            (name, kinds.as_slice(), &text)
        {
            return match constructed(name, text) {
                Some((value, kind)) => constant(value, kind, at),
                None => self.fail(arguments[0].bytes.clone(), format!("`{text}` is no {name}"), sample(name)),
            };
        }
        let texts = kinds.iter().all(|kind| kind.is_text() || **kind == Kind::Unknown);
        let (function, kind) = match (name, kinds.as_slice()) {
            ("startsWith", [_, _]) if texts => (Function::StartsWith, Kind::Boolean),
            ("endsWith", [_, _]) if texts => (Function::EndsWith, Kind::Boolean),
            ("contains", [_, _]) if texts => (Function::Contains, Kind::Boolean),
            ("matches", [_, _]) if texts => match text.as_deref().and_then(|text| regex::Regex::new(text).ok()) {
                Some(regex) => (Function::Matches(regex), Kind::Boolean),
                None => return self.fail(at, "the pattern is no regular expression".to_owned(), "write it as a literal; no look-around"),
            },
            ("size", [Kind::List(_) | Kind::Map(_) | Kind::Bytes | Kind::String | Kind::Enum(..) | Kind::Unknown]) => (Function::Size, Kind::Integer),
            ("string", [Kind::String | Kind::Enum(..) | Kind::Boolean | Kind::Integer | Kind::Decimal | Kind::Date | Kind::Timestamp | Kind::Unknown]) => (Function::Text, Kind::String),
            ("int", [Kind::Integer | Kind::Decimal | Kind::String | Kind::Unknown]) => (Function::Integer, Kind::Integer),
            _ => return self.fail(at, format!("there is no `{name}` for these arguments"), "the functions are `size`, `startsWith`, `endsWith`, `contains`, `matches`, `string`, `int`, and `date`, `timestamp`, `duration`, `decimal` of a literal"),
        };
        let cost = arguments.iter().map(|argument| argument.cost).sum::<u64>() + 10;
        let nodes = arguments.into_iter().map(|argument| argument.node).collect();
        Typed { node: Node::Call(function, nodes), kind, optional: false, cost, bytes: at }
    }
}

fn constructed(name: &str, text: &str) -> Option<(Value, Kind)> {
    Some(match name {
        "date" => (Value::Date(text.parse().ok()?), Kind::Date),
        "timestamp" => (Value::Timestamp(text.parse().ok()?), Kind::Timestamp),
        "decimal" => (Value::Decimal(Decimal::from_str_exact(text).ok()?), Kind::Decimal),
        _ => {
            let span: Span = text.parse().ok()?;
            (Value::Duration(i64::try_from(span.0.as_micros()).ok()?), Kind::Duration)
        }
    })
}

fn sample(name: &str) -> &'static str {
    match name {
        "date" => "write `date('2026-01-31')`",
        "timestamp" => "write `timestamp('2026-01-31T00:00:00Z')`",
        "decimal" => "write `decimal('0.10')`",
        _ => "write `duration('30s')`",
    }
}

fn constant(value: Value, kind: Kind, bytes: Range<usize>) -> Typed {
    Typed { optional: kind == Kind::Null, node: Node::Constant(value), kind, cost: 1, bytes }
}

fn made(kind: Kind, bytes: &[Range<usize>], cost: u64, node: Node) -> Typed {
    let start = bytes.iter().map(|range| range.start).min().unwrap_or(0);
    let end = bytes.iter().map(|range| range.end).max().unwrap_or(0);
    Typed { node, kind, optional: false, cost: cost + 1, bytes: start..end }
}

fn pair(kind: Kind, a: Typed, b: Typed, node: impl FnOnce(Box<Node>, Box<Node>) -> Node) -> Typed {
    let bytes = [a.bytes.clone(), b.bytes.clone()];
    made(kind, &bytes, a.cost + b.cost, node(Box::new(a.node), Box::new(b.node)))
}

fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// Returns the character at a line and a column, both from one; the end where there is none.
fn place(text: &str, (line, column): (isize, isize)) -> Range<usize> {
    let line_idx = usize::try_from(line - 1).unwrap_or(0);
    let before: usize = text.split_inclusive('\n').take(line_idx).map(str::len).sum();
    let start = floor(text, before + usize::try_from(column - 1).unwrap_or(0));
    start..start + text[start..].chars().next().map_or(0, char::len_utf8)
}
