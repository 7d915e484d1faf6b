//! Invariants and flags: expressions over the full state. All use of the expression language is here.

use super::CompileError;
use crate::violation::{Rule, Violation};
use seamline_contract::id::{AttributePath, EventName, InvariantName};
use seamline_contract::resolve::ResolvedContract;
use seamline_contract::value::Value;
use seamline_expr::kind::Kind;
use seamline_expr::program::{EvalError, ExprError, Program, compile};
use seamline_expr::scope::Scope;

/// Compiles expressions over the attributes of one contract.
pub(super) struct Expressions(Scope);

/// What must hold of the full state.
#[derive(Debug)]
pub(super) struct Invariant {
    name: InvariantName,
    program: Program,
}

/// What an expression says at the moment of an event.
#[derive(Debug)]
pub(super) struct Flag {
    name: InvariantName,
    program: Program,
}

impl Expressions {
    // Invariant: the scope's slots are those of a row, both in the order of the contract's attributes.
    pub(super) fn of(contract: &ResolvedContract) -> Self {
        Expressions(Scope::of(contract))
    }

    pub(super) fn invariant(&self, name: &InvariantName, text: &str) -> Result<Invariant, CompileError> {
        let program = self.boolean(name.as_str(), text)?;
        Ok(Invariant { name: name.clone(), program })
    }

    pub(super) fn flag(
        &self,
        event: &EventName,
        name: &InvariantName,
        text: &str,
    ) -> Result<Flag, CompileError> {
        let program = self.boolean(&format!("{event}.{name}"), text)?;
        Ok(Flag { name: name.clone(), program })
    }

    fn boolean(&self, name: &str, text: &str) -> Result<Program, CompileError> {
        let refuse = |reasons: String| CompileError::Expression { name: name.to_owned(), reasons };
        let together = |errors: Vec<ExprError>| {
            refuse(errors.iter().map(|error| error.message.as_str()).collect::<Vec<&str>>().join("; "))
        };
        let program = compile(text, &self.0).map_err(together)?;
        if *program.kind() == Kind::Boolean {
            Ok(program)
        } else {
            Err(refuse("not true or false".to_owned()))
        }
    }
}

impl Invariant {
    /// Returns whether some paths carry all that it reads.
    pub(super) fn is_covered(&self, carried: &[AttributePath]) -> bool {
        is_covered(&self.program, carried)
    }

    /// Returns its name.
    pub(super) fn name(&self) -> &InvariantName {
        &self.name
    }

    /// Returns the paths that it reads.
    pub(super) fn uses(&self) -> impl Iterator<Item = &AttributePath> {
        self.program.uses().iter()
    }

    /// Judges a row.
    pub(super) fn judge(&self, row: &[Value], found: &mut Vec<Violation>) {
        let message = match truth(&self.program, row) {
            Ok(true) => return,
            Ok(false) => "does not hold",
            Err(_) => "cannot be evaluated",
        };
        found.push(Violation::new(Rule::Invariant(self.name.clone()), "state", message));
    }
}

impl Flag {
    /// Returns the name.
    pub(super) fn name(&self) -> &InvariantName {
        &self.name
    }

    /// Returns whether some paths carry all that it reads.
    pub(super) fn is_covered(&self, carried: &[AttributePath]) -> bool {
        is_covered(&self.program, carried)
    }

    /// Returns what it says of a row.
    pub(super) fn eval(&self, row: &[Value]) -> Result<Value, Violation> {
        let unknown = |_| Violation::new(Rule::Flag, format!("flags.{}", self.name), "cannot be evaluated");
        truth(&self.program, row).map(Value::Boolean).map_err(unknown)
    }
}

fn is_covered(program: &Program, carried: &[AttributePath]) -> bool {
    let covers = |used: &AttributePath| carried.iter().any(|path| used.names().starts_with(path.names()));
    program.uses().iter().all(covers)
}

fn truth(program: &Program, row: &[Value]) -> Result<bool, EvalError> {
    match program.eval(row)? {
        Value::Boolean(truth) => Ok(truth),
        _ => Err(EvalError::NoValue),
    }
}
