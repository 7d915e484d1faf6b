//! Invariants, flags and computed attributes: expressions over the full state. All use of the expression language is here.

use super::CompileError;
use crate::fit::fit;
use crate::violation::{Rule, Violation};
use seamline_contract::attribute::Type;
use seamline_contract::id::{AttributeName, AttributePath, EventName, InvariantName};
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

/// An attribute that follows from others.
#[derive(Debug)]
pub(super) struct Computed {
    slot: usize,
    name: AttributeName,
    ty: Type,
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

    /// Returns the computed attributes of a contract, each behind those that it reads.
    pub(super) fn computed(&self, contract: &ResolvedContract) -> Result<Vec<Computed>, CompileError> {
        let mut waiting = Vec::new();
        for (slot, attribute) in contract.attributes.iter().enumerate() {
            let Some(text) = &attribute.computed else { continue };
            let program = self.program(attribute.name.as_str(), text)?;
            let (name, ty) = (attribute.name.clone(), attribute.shape.ty.clone());
            waiting.push(Computed { slot, name, ty, program });
        }
        let mut ordered = Vec::with_capacity(waiting.len());
        while !waiting.is_empty() {
            let is_ready = |it: &Computed| {
                it.program.uses().iter().all(|path| waiting.iter().all(|other| other.name != *path.first()))
            };
            let Some(at) = waiting.iter().position(is_ready) else {
                let name = waiting[0].name.to_string();
                return Err(CompileError::Expression {
                    name,
                    reasons: "it is computed from itself".to_owned(),
                });
            };
            ordered.push(waiting.remove(at));
        }
        Ok(ordered)
    }

    fn boolean(&self, name: &str, text: &str) -> Result<Program, CompileError> {
        let program = self.program(name, text)?;
        if *program.kind() == Kind::Boolean {
            Ok(program)
        } else {
            let reasons = "not true or false".to_owned();
            Err(CompileError::Expression { name: name.to_owned(), reasons })
        }
    }

    fn program(&self, name: &str, text: &str) -> Result<Program, CompileError> {
        compile(text, &self.0).map_err(|errors: Vec<ExprError>| {
            let reasons = errors.iter().map(|error| error.message.as_str()).collect::<Vec<&str>>().join("; ");
            CompileError::Expression { name: name.to_owned(), reasons }
        })
    }
}

impl Computed {
    /// Puts its value into a row.
    pub(super) fn fill(&self, row: &mut [Value]) -> Result<(), Violation> {
        let broken = |what| Violation::new(Rule::Type, format!("state.{}", self.name), what);
        let value = self.program.eval(row).map_err(|_| broken("cannot be computed"))?;
        row[self.slot] =
            fit(value, &self.ty).ok_or_else(|| broken("what is computed does not fit its type"))?;
        Ok(())
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
