//! The checker of functions, of `has`, and of macros over lists.

use crate::check::{Checker, Typed, offer};
use crate::eval::{Macro, Node};
use crate::function::Function;
use crate::kind::{Kind, Variable};
use crate::narrow::Facts;
use crate::parse::{Expr, Form, decimal};
use crate::program::LIST_MAX;
use regex::RegexBuilder;
use seamline_contract::measure::Span;
use seamline_contract::value::Value;
use std::ops::Range;

/// The bytes that a compiled pattern may take.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// The functions, for help.
const NAMES: [&str; 17] = [
    "all",
    "contains",
    "date",
    "decimal",
    "duration",
    "endsWith",
    "exists",
    "exists_one",
    "filter",
    "has",
    "int",
    "map",
    "matches",
    "size",
    "startsWith",
    "string",
    "timestamp",
];

impl Checker<'_> {
    pub(crate) fn call(
        &mut self,
        name: &str,
        at: &Range<usize>,
        method: bool,
        arguments: &[Expr],
        bytes: &Range<usize>,
        known: &Facts,
    ) -> Typed {
        match (name, method, arguments) {
            ("has", false, [argument]) if matches!(argument.form, Form::Member(..)) => {
                let typed = self.check(argument, known);
                let null = Box::new(Node::Constant(Value::Null));
                let cost = typed.cost.saturating_add(1);
                Typed::new(Kind::Boolean, bytes.clone(), cost, Node::Equal(Box::new(typed.node), null, true))
            }
            ("has", false, _) => {
                self.fail(bytes, "`has` asks for a member", "write `has(address.city)`, or `coverTo != null`")
            }
            ("all", true, _) => self.each(Macro::All, arguments, at, bytes, known),
            ("exists", true, _) => self.each(Macro::Exists, arguments, at, bytes, known),
            ("exists_one", true, _) => self.each(Macro::ExistsOne, arguments, at, bytes, known),
            ("filter", true, _) => self.each(Macro::Filter, arguments, at, bytes, known),
            ("map", true, _) => self.each(Macro::Map, arguments, at, bytes, known),
            ("date" | "timestamp" | "duration" | "decimal", false, _) => {
                self.constructor(name, arguments, bytes)
            }
            _ => self.function(name, method, arguments, at, bytes, known),
        }
    }

    fn constructor(&mut self, name: &str, arguments: &[Expr], bytes: &Range<usize>) -> Typed {
        let sample = match name {
            "date" => "write `date('2026-01-31')`",
            "timestamp" => "write `timestamp('2026-01-31T00:00:00Z')`, to the microsecond",
            "decimal" => "write `decimal('0.10')`, at most 28 digits",
            _ => "write `duration('30s')`",
        };
        let [Expr { form: Form::Literal(Value::String(text)), bytes: at, .. }] = arguments else {
            return self.fail(bytes, format!("`{name}` takes one text, written out"), sample);
        };
        match constructed(name, text) {
            Some((value, kind)) => Typed::constant(value, kind, bytes.clone()),
            None => self.fail(at, format!("`{text}` is no {name}"), sample),
        }
    }

    fn function(
        &mut self,
        name: &str,
        method: bool,
        written: &[Expr],
        at: &Range<usize>,
        bytes: &Range<usize>,
        known: &Facts,
    ) -> Typed {
        let arguments: Vec<Typed> = written.iter().map(|argument| self.needed(argument, known)).collect();
        let kinds: Vec<&Kind> = arguments.iter().map(|argument| &argument.kind).collect();
        let texts = kinds.iter().all(|kind| kind.is_text() || **kind == Kind::Unknown);
        let found = match (name, method, kinds.as_slice()) {
            ("startsWith", true, [_, _]) if texts => Some((Function::StartsWith, Kind::Boolean)),
            ("endsWith", true, [_, _]) if texts => Some((Function::EndsWith, Kind::Boolean)),
            ("contains", true, [_, _]) if texts => Some((Function::Contains, Kind::Boolean)),
            ("matches", _, [_, _]) if texts => match pattern(&written[1]) {
                Some(regex) => Some((Function::Matches(regex), Kind::Boolean)),
                None => {
                    let help = "write it out as a text such as r'^[A-Z]+$'; there is no look-around";
                    return self.fail(&written[1].bytes, "this is no regular expression", help);
                }
            },
            ("size", _, [kind]) if has_size(kind) => Some((Function::Size, Kind::Integer)),
            ("string", false, [kind]) if has_text(kind) => Some((Function::Text, Kind::String)),
            ("int", false, [Kind::Integer | Kind::Decimal | Kind::String | Kind::Unknown]) => {
                Some((Function::Integer, Kind::Integer))
            }
            _ => None,
        };
        let Some((function, kind)) = found else {
            if kinds.contains(&&Kind::Null) || kinds.contains(&&Kind::Unknown) && NAMES.contains(&name) {
                return Typed::broken(bytes.clone());
            }
            let given: Vec<String> = kinds.iter().map(ToString::to_string).collect();
            return if NAMES.contains(&name) {
                let message = format!("`{name}` does not take {}", given.join(" and "));
                self.fail(bytes, message, usage(name))
            } else {
                self.fail(
                    at,
                    format!("there is no function `{name}`"),
                    offer(name, &NAMES, "the functions are"),
                )
            };
        };
        let cost = arguments.iter().fold(10_u64, |sum, argument| sum.saturating_add(argument.cost));
        let nodes = arguments.into_iter().map(|argument| argument.node).collect();
        Typed::new(kind, bytes.clone(), cost, Node::Call(function, nodes))
    }

    fn each(
        &mut self,
        which: Macro,
        written: &[Expr],
        at: &Range<usize>,
        bytes: &Range<usize>,
        known: &Facts,
    ) -> Typed {
        let (list, name, condition, make) = match (which, written) {
            (Macro::Map, [list, name, make]) => (list, name, None, Some(make)),
            (Macro::Map, [list, name, condition, make]) => (list, name, Some(condition), Some(make)),
            (Macro::Map, _) => {
                return self.fail(at, "`map` takes a variable and a value", "write `list.map(x, x + 1)`");
            }
            (_, [list, name, condition]) => (list, name, Some(condition), None),
            _ => return self.fail(at, "a variable and a condition are needed", "write `list.all(x, x > 0)`"),
        };
        let list = self.needed(list, known);
        let element = match &list.kind {
            Kind::List(element) => (**element).clone(),
            Kind::Unknown | Kind::Null => Kind::Unknown,
            kind => {
                let message = format!("a list is needed, not a value of type {kind}");
                return self.fail(&list.bytes, message, "macros go over lists");
            }
        };
        let Some(name) = self.variable(name) else { return Typed::broken(bytes.clone()) };
        self.locals.push(Variable { name, kind: element.clone(), optional: false });
        let condition =
            condition.map(|condition| (facts_of(condition, known), self.condition(condition, known)));
        let proven = condition.as_ref().map_or(known, |(proven, _)| proven);
        let made = make.map(|make| self.needed(make, proven));
        self.locals.pop();
        let kind = match which {
            Macro::All | Macro::Exists | Macro::ExistsOne => Kind::Boolean,
            Macro::Filter => Kind::List(Box::new(element)),
            Macro::Map => Kind::List(Box::new(made.as_ref().map_or(element, |made| made.kind.clone()))),
        };
        let condition = condition.map(|(_, condition)| condition);
        let body =
            [&condition, &made].into_iter().flatten().fold(1_u64, |sum, part| sum.saturating_add(part.cost));
        let walked = if let Node::List(nodes) = &list.node { nodes.len() } else { LIST_MAX } as u64;
        let cost = list.cost.saturating_add(body.saturating_mul(walked));
        let boxed = |part: Option<Typed>| part.map(|part| Box::new(part.node));
        let node = Node::Each(which, Box::new(list.node), boxed(condition), boxed(made));
        Typed::new(kind, bytes.clone(), cost, node)
    }

    /// Returns the name of a macro's variable; it hides nothing.
    fn variable(&mut self, expr: &Expr) -> Option<String> {
        let Form::Name(name) = &expr.form else {
            self.error(&expr.bytes, "a variable is needed here", "write a name, such as `x`");
            return None;
        };
        let declared = self.scope.variables.iter().chain(&self.locals);
        if declared.into_iter().any(|variable| variable.name == *name) {
            self.error(&expr.bytes, format!("`{name}` has a meaning already"), "choose another name");
            return None;
        }
        Some(name.clone())
    }
}

fn facts_of(condition: &Expr, known: &Facts) -> Facts {
    known.union(&crate::narrow::facts(condition, true)).cloned().collect()
}

fn has_size(kind: &Kind) -> bool {
    kind.is_text() || matches!(kind, Kind::List(_) | Kind::Map(_) | Kind::Bytes | Kind::Unknown)
}

fn has_text(kind: &Kind) -> bool {
    use Kind::{Boolean, Date, Decimal, Integer, Timestamp, Unknown};
    kind.is_text() || matches!(kind, Boolean | Integer | Decimal | Date | Timestamp | Unknown)
}

fn pattern(expr: &Expr) -> Option<regex::Regex> {
    let Form::Literal(Value::String(text)) = &expr.form else { return None };
    RegexBuilder::new(text).size_limit(PATTERN_BYTES_MAX).build().ok()
}

fn usage(name: &str) -> &'static str {
    match name {
        "size" => "write `size(x)` of a text, list, map or bytes",
        "string" => "write `string(x)` of a number, condition, day or instant",
        "int" => "write `int(x)` of a decimal without a fraction, or of a text",
        "matches" => "write `text.matches(r'^[A-Z]+$')`",
        "startsWith" | "endsWith" | "contains" => "write `text.startsWith('P-')`, and so the others",
        _ => "write `list.all(x, x > 0)`, and so the others",
    }
}

fn constructed(name: &str, text: &str) -> Option<(Value, Kind)> {
    Some(match name {
        "date" => {
            let date: jiff::civil::Date = text.parse().ok()?;
            // The parser reads more forms than the one that the language has.
            (Value::Date(Some(date).filter(|date| date.to_string() == text)?), Kind::Date)
        }
        "timestamp" => {
            let instant: jiff::Timestamp = text.parse().ok()?;
            let fits = instant.subsec_nanosecond() % 1_000 == 0;
            (Value::Timestamp(Some(instant).filter(|_| fits)?), Kind::Timestamp)
        }
        "decimal" => (Value::Decimal(decimal(text)?), Kind::Decimal),
        _ => {
            let span: Span = text.parse().ok()?;
            (Value::Duration(i64::try_from(span.0.as_micros()).ok()?), Kind::Duration)
        }
    })
}
