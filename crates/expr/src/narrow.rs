//! What a condition proves: the paths that surely have a value when it is true, or false.

use cel::IdedExpr;
use cel::common::ast::{Expr, LiteralValue, operators};
use std::collections::BTreeSet;

/// Paths that have a value.
pub(crate) type Facts = BTreeSet<String>;

/// Returns the dotted path of a name or members of one.
pub(crate) fn path(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Ident(name) => Some(name.clone()),
        Expr::Select(select) if !select.test => {
            Some(format!("{}.{}", path(&select.operand.expr)?, select.field))
        }
        _ => None,
    }
}

/// Returns the paths that have a value when a condition has this outcome.
pub(crate) fn facts(expr: &IdedExpr, outcome: bool) -> Facts {
    match &expr.expr {
        Expr::Select(select) if select.test && outcome => {
            path(&select.operand.expr).map(|base| format!("{base}.{}", select.field)).into_iter().collect()
        }
        Expr::Call(call) => match (call.func_name.as_str(), call.args.as_slice()) {
            (operators::LOGICAL_NOT, [inner]) => facts(inner, !outcome),
            (operators::LOGICAL_AND, [a, b]) => merge(facts(a, outcome), facts(b, outcome), outcome),
            (operators::LOGICAL_OR, [a, b]) => merge(facts(a, outcome), facts(b, outcome), !outcome),
            (operators::EQUALS, [a, b]) => compared(a, b, outcome),
            (operators::NOT_EQUALS, [a, b]) => compared(a, b, !outcome),
            _ => Facts::new(),
        },
        _ => Facts::new(),
    }
}

fn merge(a: Facts, b: Facts, both_hold: bool) -> Facts {
    if both_hold { a.union(&b).cloned().collect() } else { a.intersection(&b).cloned().collect() }
}

fn compared(a: &IdedExpr, b: &IdedExpr, equal: bool) -> Facts {
    let proves = |literal: &Expr| match literal {
        Expr::Literal(LiteralValue::Null) => !equal,
        Expr::Literal(_) => equal,
        _ => false,
    };
    let left = path(&a.expr).filter(|_| proves(&b.expr));
    let right = path(&b.expr).filter(|_| proves(&a.expr));
    left.or(right).into_iter().collect()
}
