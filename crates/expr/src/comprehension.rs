//! Macros over lists, recognised in the loops the parser expands them to.

use crate::check::{Checker, Typed};
use crate::eval::{Macro, Node};
use crate::kind::{Kind, Variable};
use crate::narrow::Facts;
use crate::program::LIST_MAX;
use cel::IdedExpr;
use cel::common::ast::{CallExpr, ComprehensionExpr, Expr, operators};
use std::ops::Range;

/// A macro with the expressions that were written in it.
type Written<'e> = (Macro, Option<&'e IdedExpr>, Option<&'e IdedExpr>);

fn written(each: &ComprehensionExpr) -> Option<Written<'_>> {
    let Expr::Call(CallExpr { func_name, args, .. }) = &each.loop_step.expr else { return None };
    let made = |step: &IdedExpr| match &step.expr {
        Expr::Call(call) => Some(call.args.get(1).map(|arg| arg.expr.clone())).flatten(),
        _ => None,
    };
    match (func_name.as_str(), args.as_slice()) {
        (operators::LOGICAL_AND, [_, condition]) => Some((Macro::All, Some(condition), None)),
        (operators::LOGICAL_OR, [_, condition]) => Some((Macro::Exists, Some(condition), None)),
        (operators::ADD, [_, list]) => Some((Macro::Map, None, Some(only(list)?))),
        (operators::CONDITIONAL, [condition, step, _]) => match made(step)? {
            Expr::List(_) => {
                let Expr::Call(call) = &step.expr else { return None };
                let kept = only(call.args.get(1)?)?;
                let same = matches!(&kept.expr, Expr::Ident(name) if *name == each.iter_var);
                Some(if same {
                    (Macro::Filter, Some(condition), None)
                } else {
                    (Macro::Map, Some(condition), Some(kept))
                })
            }
            _ => Some((Macro::ExistsOne, Some(condition), None)),
        },
        _ => None,
    }
}

fn only(list: &IdedExpr) -> Option<&IdedExpr> {
    match &list.expr {
        Expr::List(list) => list.elements.first(),
        _ => None,
    }
}

impl Checker<'_> {
    pub(crate) fn comprehension(
        &mut self,
        each: &ComprehensionExpr,
        bytes: Range<usize>,
        known: &Facts,
    ) -> Typed {
        let list = self.check(&each.iter_range, known);
        self.present(&list, None);
        let bytes = list.bytes.start..bytes.end.max(list.bytes.end);
        let element = match &list.kind {
            Kind::List(element) => (**element).clone(),
            Kind::Unknown => Kind::Unknown,
            kind => {
                return self.fail(
                    bytes,
                    format!("a macro needs a list, not a value of type {kind}"),
                    "use it on a list",
                );
            }
        };
        let Some((which, condition, make)) = written(each) else {
            return self.fail(
                bytes,
                "this macro is not in the profile".to_owned(),
                "use `all`, `exists`, `exists_one`, `filter` or `map`",
            );
        };
        // Invariant: a fact about an outer name says nothing of the variable that hides it.
        let hides = |fact: &&String| fact.split('.').next() != Some(each.iter_var.as_str());
        let known: Facts = known.iter().filter(hides).cloned().collect();
        self.locals.push(Variable { name: each.iter_var.clone(), kind: element.clone(), optional: false });
        let condition_typed = condition.map(|condition| self.boolean(condition, &known));
        let made = make.map(|make| self.check(make, &known));
        self.locals.pop();
        let kind = match which {
            Macro::All | Macro::Exists | Macro::ExistsOne => Kind::Boolean,
            Macro::Filter => Kind::List(Box::new(element)),
            Macro::Map => Kind::List(Box::new(made.as_ref().map_or(element, |made| made.kind.clone()))),
        };
        if let Some(made) = &made {
            self.present(made, None);
        }
        let body = [&condition_typed, &made]
            .iter()
            .filter_map(|part| part.as_ref())
            .map(|part| part.cost)
            .sum::<u64>();
        let walked = if let Node::List(nodes) = &list.node { nodes.len() } else { LIST_MAX } as u64;
        let cost = list.cost.saturating_add(body.saturating_add(1).saturating_mul(walked));
        let node = Node::Each(
            which,
            Box::new(list.node),
            condition_typed.map(|part| Box::new(part.node)),
            made.map(|part| Box::new(part.node)),
        );
        Typed { node, kind, optional: false, cost, bytes }
    }
}
