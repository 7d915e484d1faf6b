//! The checker: from a parsed expression to typed operations, with every error at its place.

use crate::eval::Node;
use crate::function::Arithmetic;
use crate::kind::{Kind, Variable};
use crate::narrow::{Facts, Path, facts, path};
use crate::parse::{Expr, Form, Join};
use crate::program::ExprError;
use crate::scope::Scope;
use seamline_contract::id::AttributePath;
use seamline_contract::value::Value;
use std::collections::BTreeSet;
use std::ops::Range;

/// A checked part.
pub(crate) struct Typed {
    pub(crate) node: Node,
    pub(crate) kind: Kind,
    pub(crate) optional: bool,
    pub(crate) cost: u64,
    pub(crate) bytes: Range<usize>,
    /// The path it is, if it is an attribute or a member of one.
    pub(crate) reads: Option<Path>,
}

impl Typed {
    pub(crate) fn new(kind: Kind, bytes: Range<usize>, cost: u64, node: Node) -> Self {
        Typed { node, kind, optional: false, cost, bytes, reads: None }
    }

    pub(crate) fn constant(value: Value, kind: Kind, bytes: Range<usize>) -> Self {
        Typed { optional: kind == Kind::Null, ..Typed::new(kind, bytes, 1, Node::Constant(value)) }
    }

    /// Returns what stands for a part that has an error.
    pub(crate) fn broken(bytes: Range<usize>) -> Self {
        Typed::new(Kind::Unknown, bytes, 1, Node::Constant(Value::Null))
    }
}

/// What checking knows and gathers.
pub(crate) struct Checker<'s> {
    text: &'s str,
    pub(crate) scope: &'s Scope,
    pub(crate) locals: Vec<Variable>,
    pub(crate) errors: Vec<ExprError>,
    pub(crate) uses: BTreeSet<AttributePath>,
}

impl<'s> Checker<'s> {
    pub(crate) fn new(text: &'s str, scope: &'s Scope) -> Self {
        Checker { text, scope, locals: Vec::new(), errors: Vec::new(), uses: BTreeSet::new() }
    }

    pub(crate) fn error(
        &mut self,
        bytes: &Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.errors.push(ExprError {
            bytes: bytes.clone(),
            message: message.into(),
            help: Some(help.into()),
        });
    }

    pub(crate) fn fail(
        &mut self,
        bytes: &Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Typed {
        self.error(bytes, message, help);
        Typed::broken(bytes.clone())
    }

    /// Checks a part that is read whole.
    pub(crate) fn check(&mut self, expr: &Expr, known: &Facts) -> Typed {
        let typed = self.part(expr, known);
        self.read(&typed);
        typed
    }

    /// Checks a part that must have a value.
    pub(crate) fn needed(&mut self, expr: &Expr, known: &Facts) -> Typed {
        let typed = self.check(expr, known);
        self.present(&typed);
        typed
    }

    /// Demands that a part has a value.
    fn present(&mut self, typed: &Typed) {
        let text = &self.text[typed.bytes.clone()];
        if typed.kind == Kind::Null {
            self.error(&typed.bytes, "`null` is no value to work with", "compare with it by `==` or `!=`");
        } else if typed.optional {
            let message = format!("`{text}` may have no value here");
            self.error(&typed.bytes, message, format!("guard it: `{text} != null && …`"));
        }
    }

    // Invariant: what is not known as a whole path of attributes counts as read by the longest part that is.
    fn read(&mut self, typed: &Typed) {
        let path = typed.reads.as_deref().unwrap_or_default();
        let longest = (1..=path.len()).rev().find_map(|length| path[..length].join(".").parse().ok());
        self.uses.extend(longest);
    }

    fn part(&mut self, expr: &Expr, known: &Facts) -> Typed {
        let bytes = &expr.bytes;
        match &expr.form {
            Form::Literal(value) => Typed::constant(value.clone(), kind_of_literal(value), bytes.clone()),
            Form::Name(name) => {
                let typed = self.name(name, bytes);
                narrowed(typed, expr, known)
            }
            Form::Member(operand, name) => {
                let typed = self.member(operand, name, bytes, known);
                narrowed(typed, expr, known)
            }
            Form::Index(operand, at) => {
                let typed = self.index(operand, at, bytes, known);
                narrowed(typed, expr, known)
            }
            Form::List(elements) => self.list(elements, bytes, known),
            Form::Not(inner) => {
                let inner = self.condition(inner, known);
                let cost = inner.cost.saturating_add(1);
                Typed::new(Kind::Boolean, bytes.clone(), cost, Node::Not(Box::new(inner.node)))
            }
            Form::Negate(inner) => self.negation(inner, bytes, known),
            Form::Binary(operator, a, b) => self.binary(*operator, a, b, bytes, known),
            Form::Join(join, parts) => self.joined(*join, parts, bytes, known),
            Form::If(condition, yes, no) => self.conditional([condition, yes, no], bytes, known),
            Form::Call { name, at, method, arguments } => {
                self.call(name, at, *method, arguments, bytes, known)
            }
        }
    }

    fn name(&mut self, name: &str, bytes: &Range<usize>) -> Typed {
        if let Some(at) = self.locals.iter().rposition(|local| local.name == name) {
            let depth = self.locals.len() - 1 - at;
            return Typed::new(self.locals[at].kind.clone(), bytes.clone(), 1, Node::Local(depth));
        }
        let variables = &self.scope.variables;
        if let Some(slot) = variables.iter().position(|variable| variable.name == name) {
            let typed = Typed::new(variables[slot].kind.clone(), bytes.clone(), 1, Node::Slot(slot));
            let reads = Some(vec![name.to_owned()]);
            return Typed { optional: variables[slot].optional, reads, ..typed };
        }
        let is_value = |variable: &Variable| matches!(&variable.kind, Kind::Enum(values, _) if values.iter().any(|value| value == name));
        let help = if variables.iter().any(is_value) {
            format!("quote it: `'{name}'`")
        } else {
            let locals = self.locals.iter().map(|local| local.name.as_str());
            let names: Vec<&str> = variables.iter().map(|it| it.name.as_str()).chain(locals).collect();
            offer(name, &names, "declared are")
        };
        self.fail(bytes, format!("`{name}` is not declared"), help)
    }

    fn member(&mut self, operand: &Expr, name: &str, bytes: &Range<usize>, known: &Facts) -> Typed {
        let operand = self.part(operand, known);
        self.present(&operand);
        let Kind::Object(members) = &operand.kind else {
            self.read(&operand);
            let (kind, optional) = match &operand.kind {
                Kind::Map(value) => ((**value).clone(), true),
                Kind::Unknown | Kind::Null => (Kind::Unknown, false),
                kind => {
                    let message = format!("a value of type {kind} has no members");
                    return self.fail(bytes, message, "only objects and maps have");
                }
            };
            return Typed { optional, ..reached(kind, operand, name, bytes) };
        };
        let Some(found) = members.iter().find(|member| member.name == name) else {
            let names: Vec<&str> = members.iter().map(|member| member.name.as_str()).collect();
            let help = offer(name, &names, "its members are");
            return self.fail(bytes, format!("there is no member `{name}`"), help);
        };
        let (kind, optional) = (found.kind.clone(), found.optional);
        let reads = operand.reads.clone().map(|mut path| {
            path.push(name.to_owned());
            path
        });
        Typed { optional, reads, ..reached(kind, operand, name, bytes) }
    }

    pub(crate) fn condition(&mut self, expr: &Expr, known: &Facts) -> Typed {
        let typed = self.needed(expr, known);
        if !matches!(typed.kind, Kind::Boolean | Kind::Unknown | Kind::Null) {
            let message = format!("a condition is needed, not a value of type {}", typed.kind);
            self.error(&typed.bytes, message, "compare it with something");
        }
        typed
    }

    fn joined(&mut self, join: Join, parts: &[Expr], bytes: &Range<usize>, known: &Facts) -> Typed {
        let mut known = known.clone();
        let mut cost = 1_u64;
        let mut nodes = Vec::with_capacity(parts.len());
        for part in parts {
            let typed = self.condition(part, &known);
            cost = cost.saturating_add(typed.cost);
            nodes.push(typed.node);
            // The next is reached only if this did not decide.
            known.extend(facts(part, join == Join::All));
        }
        Typed::new(Kind::Boolean, bytes.clone(), cost, Node::Join(join, nodes))
    }

    fn conditional(
        &mut self,
        [condition, yes, no]: [&Expr; 3],
        bytes: &Range<usize>,
        known: &Facts,
    ) -> Typed {
        let with = |outcome| known.union(&facts(condition, outcome)).cloned().collect();
        let (when, unless): (Facts, Facts) = (with(true), with(false));
        let condition = self.condition(condition, known);
        let (yes, no) = (self.check(yes, &when), self.check(no, &unless));
        let optional = [&yes, &no].iter().any(|side| side.optional);
        let Some(kind) = listed(&yes).join(&listed(&no)) else {
            let message = format!("one side is of type {}, the other of type {}", yes.kind, no.kind);
            return self.fail(bytes, message, "give both sides one type");
        };
        let cost = condition.cost.saturating_add(yes.cost.max(no.cost)).saturating_add(1);
        let node = Node::If(Box::new(condition.node), Box::new(yes.node), Box::new(no.node));
        Typed { optional, ..Typed::new(kind, bytes.clone(), cost, node) }
    }

    fn negation(&mut self, inner: &Expr, bytes: &Range<usize>, known: &Facts) -> Typed {
        let inner = self.needed(inner, known);
        let zero = match &inner.kind {
            Kind::Duration => Value::Duration(0),
            kind if kind.is_number() || matches!(kind, Kind::Unknown | Kind::Null) => Value::Integer(0),
            kind => {
                let message = format!("a value of type {kind} has no sign");
                return self.fail(
                    &inner.bytes,
                    message,
                    "only numbers and durations have; `!` negates a condition",
                );
            }
        };
        let cost = inner.cost.saturating_add(1);
        let zero = Box::new(Node::Constant(zero));
        let node = Node::Arithmetic(Arithmetic::Subtract, zero, Box::new(inner.node));
        Typed::new(inner.kind, bytes.clone(), cost, node)
    }
}

fn narrowed(typed: Typed, expr: &Expr, known: &Facts) -> Typed {
    let optional = typed.optional && !path(expr).is_some_and(|path| known.contains(&path));
    Typed { optional, ..typed }
}

fn reached(kind: Kind, operand: Typed, name: &str, bytes: &Range<usize>) -> Typed {
    let cost = operand.cost.saturating_add(1);
    Typed::new(kind, bytes.clone(), cost, Node::Member(Box::new(operand.node), name.to_owned()))
}

fn kind_of_literal(value: &Value) -> Kind {
    match value {
        Value::Boolean(_) => Kind::Boolean,
        Value::Integer(_) => Kind::Integer,
        Value::Decimal(_) => Kind::Decimal,
        Value::String(_) => Kind::String,
        _ => Kind::Null,
    }
}

/// Returns the type of one side of a conditional: of a literal text, the list of that one value.
fn listed(side: &Typed) -> Kind {
    match &side.node {
        Node::Constant(Value::String(text)) => Kind::Enum(vec![text.clone()], false),
        _ => side.kind.clone(),
    }
}

/// Returns the help for a name that is not among those there are: the nearest, and the first of them.
pub(crate) fn offer(name: &str, names: &[&str], lead: &str) -> String {
    const SHOWN: usize = 12;
    if names.is_empty() {
        return "nothing is declared here; quote it if it is a text".to_owned();
    }
    let shown: Vec<String> = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
    let more = if names.len() > SHOWN { ", …" } else { "" };
    let list = format!("{lead} {}{more}", shown.join(", "));
    let distance =
        |candidate: &str| strsim::damerau_levenshtein(&name.to_lowercase(), &candidate.to_lowercase());
    let nearest = names.iter().map(|candidate| (distance(candidate), candidate)).min();
    match nearest {
        Some((distance, candidate)) if distance <= 2.min(name.chars().count() / 2) => {
            format!("did you mean `{candidate}`? {list}")
        }
        _ => list,
    }
}
