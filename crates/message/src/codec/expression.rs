//! Invariants and flags: expressions over the full state. All use of the expression language is here.

use super::CompileError;
use crate::violation::Violation;
use seamline_contract::id::{AttributePath, EventName, InvariantName};
use seamline_contract::resolve::ResolvedContract;
use seamline_contract::value::Value;

pub(super) struct Expressions;

#[derive(Debug)]
pub(super) struct Invariant(#[expect(dead_code)] InvariantName);

#[derive(Debug)]
pub(super) struct Flag(InvariantName);

impl Expressions {
    pub(super) fn of(_contract: &ResolvedContract) -> Self {
        Expressions
    }
    pub(super) fn invariant(&self, name: &InvariantName, _text: &str) -> Result<Invariant, CompileError> {
        Ok(Invariant(name.clone()))
    }
    pub(super) fn flag(
        &self,
        _event: &EventName,
        name: &InvariantName,
        _text: &str,
    ) -> Result<Flag, CompileError> {
        Ok(Flag(name.clone()))
    }
}

impl Invariant {
    pub(super) fn is_covered(&self, _carried: &[AttributePath]) -> bool {
        true
    }
    pub(super) fn judge(&self, _row: &[Value], _found: &mut Vec<Violation>) {}
}

impl Flag {
    pub(super) fn name(&self) -> &InvariantName {
        &self.0
    }
    pub(super) fn is_covered(&self, _carried: &[AttributePath]) -> bool {
        true
    }
    pub(super) fn eval(&self, _row: &[Value]) -> Result<Value, Violation> {
        Ok(Value::Boolean(false))
    }
}
