//! The names an expression may use, each with its slot.

use crate::kind::{Variable, kind_of};
use seamline_contract::id::AttributePath;
use seamline_contract::resolve::ResolvedContract;

/// The declared names. The slot of a variable is its position.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// In the order of the slots.
    pub variables: Vec<Variable>,
}

impl Scope {
    /// Returns the attributes of a contract; slots are those of its rows.
    pub fn of(contract: &ResolvedContract) -> Self {
        let variable = |attribute: &seamline_contract::resolve::ResolvedAttribute| Variable {
            name: attribute.name.to_string(),
            kind: kind_of(&attribute.shape),
            optional: attribute.optional,
        };
        Scope { variables: contract.attributes.iter().map(variable).collect() }
    }

    /// Returns the variables whose names begin one of the paths, in their old order; slots are counted anew.
    pub fn only(&self, paths: &[AttributePath]) -> Self {
        let named = |variable: &&Variable| paths.iter().any(|path| path.first().as_str() == variable.name);
        Scope { variables: self.variables.iter().filter(named).cloned().collect() }
    }
}
