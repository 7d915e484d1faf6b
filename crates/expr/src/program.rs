//! Compiled expressions: from text to a program, and from a row to a value.

use crate::check::Checker;
use crate::eval::{Node, Row};
use crate::kind::Kind;
use crate::parse::{Expr, Form, parse};
use crate::scope::Scope;
use crate::token::refusal;
use seamline_contract::id::AttributePath;
use seamline_contract::value::Value;
use std::collections::BTreeSet;
use std::ops::Range;

/// The greatest static cost: one for each operation, a macro's body once for each of `LIST_MAX` elements.
pub const COST_MAX: u64 = 100_000;
/// The longest expression, in bytes.
pub const TEXT_MAX: usize = 4_096;
/// The deepest nesting of operations.
pub const DEPTH_MAX: usize = 64;
/// The longest list a macro or `in` walks over at run time.
pub const LIST_MAX: usize = 1_000;

/// Why an expression is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ExprError {
    /// Where in the text.
    pub bytes: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// The mend.
    pub help: Option<String>,
}

/// Why a row has no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvalError {
    /// Something is absent that is needed.
    #[error("no value where one is needed")]
    NoValue,
    /// The result does not fit, or would not be exact.
    #[error("the result of `{0}` does not fit its type exactly")]
    Inexact(&'static str),
    /// A division by zero.
    #[error("division by zero")]
    DivisionByZero,
    /// A list is longer than `LIST_MAX`.
    #[error("a list of {0} elements is too long")]
    ListTooLong(usize),
    /// An index is outside of the list.
    #[error("there is no element {0}")]
    NoElement(i64),
    /// A text is not what it is converted to.
    #[error("the text is no {0}")]
    NotConvertible(&'static str),
    /// The row is not of the scope that the program was compiled for.
    #[error("the row does not fit the scope of the expression")]
    ForeignRow,
}

/// A checked expression.
#[derive(Debug, Clone)]
pub struct Program {
    node: Node,
    kind: Kind,
    optional: bool,
    uses: BTreeSet<AttributePath>,
    cost: u64,
}

impl Program {
    /// Returns the type of the result.
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// Returns whether the result may be "no value".
    pub fn optional(&self) -> bool {
        self.optional
    }

    /// Returns the attribute paths that are read, sorted: every one, at whatever branch. A name that no attribute can have,
    /// such as a column's, is left out.
    pub fn uses(&self) -> &BTreeSet<AttributePath> {
        &self.uses
    }

    /// Returns the static bound of the work; at most `COST_MAX`.
    pub fn cost(&self) -> u64 {
        self.cost
    }

    /// Evaluates a row whose slots are aligned with the scope.
    ///
    /// # Errors
    /// What only the values can tell: overflow, division by zero, lists too long, or a row of another scope.
    pub fn eval(&self, slots: &[Value]) -> Result<Value, EvalError> {
        self.node.eval(&Row { slots, local: None }).map(|value| value.into_owned())
    }
}

/// Returns the names that an expression asks for; none of a text that does not parse. Those that it gives to elements of lists are
/// not among them.
pub fn names(text: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    if text.len() <= TEXT_MAX
        && let Ok(expr) = parse(text)
    {
        gather(&expr, &mut names);
    }
    names
}

fn gather(expr: &Expr, names: &mut BTreeSet<String>) {
    match &expr.form {
        Form::Literal(_) => {}
        Form::Name(name) => {
            names.insert(name.clone());
        }
        Form::Member(of, _) | Form::Not(of) | Form::Negate(of) => gather(of, names),
        Form::Index(one, other) | Form::Binary(_, one, other) => {
            gather(one, names);
            gather(other, names);
        }
        Form::List(parts) | Form::Join(_, parts) => parts.iter().for_each(|part| gather(part, names)),
        Form::If(condition, one, other) => {
            [condition, one, other].into_iter().for_each(|part| gather(part, names));
        }
        Form::Call { method, arguments, .. } => match arguments.as_slice() {
            [list, Expr { form: Form::Name(element), .. }, bodies @ ..] if *method && !bodies.is_empty() => {
                gather(list, names);
                let mut within = BTreeSet::new();
                bodies.iter().for_each(|body| gather(body, &mut within));
                within.remove(element);
                names.append(&mut within);
            }
            arguments => arguments.iter().for_each(|part| gather(part, names)),
        },
    }
}

/// Checks an expression against a scope. All errors come at once, except that a text that does not parse has only that one.
///
/// # Errors
/// Every error found, in the order of the text. Its bytes are those of a part of the text, at character boundaries.
pub fn compile(text: &str, scope: &Scope) -> Result<Program, Vec<ExprError>> {
    if text.len() > TEXT_MAX {
        let message = format!("the expression is longer than {TEXT_MAX} bytes");
        return Err(vec![refusal(0..text.len(), message, "compute it in the owner's code")]);
    }
    let expr = parse(text).map_err(|error| vec![error])?;
    let mut checker = Checker::new(text, scope);
    let typed = checker.check(&expr, &BTreeSet::new());
    let mut errors = checker.errors;
    if typed.cost > COST_MAX {
        let message = format!("the expression may take {} steps, more than {COST_MAX}", typed.cost);
        errors.push(refusal(0..text.len(), message, "do not nest macros over lists"));
    }
    if !errors.is_empty() {
        errors.sort_by_key(|error| error.bytes.start);
        return Err(errors);
    }
    Ok(Program {
        node: typed.node,
        kind: typed.kind,
        optional: typed.optional,
        uses: checker.uses,
        cost: typed.cost,
    })
}
