//! What a condition proves: the paths that surely have a value when it is true, or false.

use crate::parse::{Expr, Form, Join, Operator};
use seamline_contract::value::Value;
use std::collections::BTreeSet;

/// A name, then members or keys.
pub(crate) type Path = Vec<String>;

/// Paths that have a value.
pub(crate) type Facts = BTreeSet<Path>;

/// Returns the path of a name, or of members or elements by a literal key.
pub(crate) fn path(expr: &Expr) -> Option<Path> {
    let (base, name) = match &expr.form {
        Form::Name(name) => return Some(vec![name.clone()]),
        Form::Member(base, name) => (base, name),
        Form::Index(base, key) => match &key.form {
            Form::Literal(Value::String(key)) => (base, key),
            _ => return None,
        },
        _ => return None,
    };
    let mut path = path(base)?;
    path.push(name.clone());
    Some(path)
}

/// Returns the paths that have a value when a condition has this outcome.
pub(crate) fn facts(expr: &Expr, outcome: bool) -> Facts {
    match &expr.form {
        Form::Not(inner) => facts(inner, !outcome),
        Form::Join(join, parts) => {
            let proven = parts.iter().map(|part| facts(part, outcome));
            // All parts have the outcome, or at least one has.
            if (*join == Join::All) == outcome {
                proven.flatten().collect()
            } else {
                proven.reduce(|a, b| a.intersection(&b).cloned().collect()).unwrap_or_default()
            }
        }
        Form::Call { name, method: false, arguments, .. } if name == "has" && outcome => {
            arguments.first().and_then(path).into_iter().collect()
        }
        Form::Binary(Operator::Equal, a, b) => compared(a, b, outcome),
        Form::Binary(Operator::NotEqual, a, b) => compared(a, b, !outcome),
        Form::Binary(Operator::In, a, list) if outcome && matches!(list.form, Form::List(_)) => {
            path(a).into_iter().collect()
        }
        _ => Facts::new(),
    }
}

fn compared(a: &Expr, b: &Expr, equal: bool) -> Facts {
    let proves = |other: &Expr| match &other.form {
        Form::Literal(Value::Null) => !equal,
        Form::Literal(_) => equal,
        _ => false,
    };
    let proven = |part: &Expr, other: &Expr| path(part).filter(|_| proves(other));
    proven(a, b).or_else(|| proven(b, a)).into_iter().collect()
}
