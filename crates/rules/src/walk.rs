//! Walks a contract's attributes as written, members and details among them, each with its place.

use seamline_contract::attribute::{Attribute, Type};
use seamline_contract::contract::Contract;
use seamline_contract::path::ModelPath;

/// An attribute as written, and where.
#[derive(Debug, Clone)]
pub(crate) struct Placed<'a> {
    pub(crate) attribute: &'a Attribute,
    pub(crate) at: ModelPath,
    /// What it is the element of; none for what has a name of its own.
    pub(crate) element_of: Option<&'a Attribute>,
}

/// Returns the attributes of the state, outer before inner.
pub(crate) fn attributes(contract: &Contract) -> Vec<Placed<'_>> {
    let mut placed = Vec::new();
    below(&contract.attributes, &contract.path().key("attributes"), &mut placed);
    placed
}

/// Returns the details of events, commands and their outcomes, outer before inner.
pub(crate) fn details(contract: &Contract) -> Vec<Placed<'_>> {
    let mut placed = Vec::new();
    for event in contract.events.iter().flat_map(|events| &events.events) {
        below(&event.details, &contract.path().key("events").key(&event.name).key("details"), &mut placed);
    }
    for command in &contract.commands {
        let at = contract.path().key("commands").key(&command.name);
        below(&command.details, &at.clone().key("details"), &mut placed);
        for outcome in &command.outcomes {
            let at = at.clone().key("outcomes").key(&outcome.name).key("details");
            below(&outcome.details, &at, &mut placed);
        }
    }
    placed
}

fn below<'a>(attributes: &'a [Attribute], at: &ModelPath, placed: &mut Vec<Placed<'a>>) {
    for attribute in attributes {
        visit(attribute, at.clone().key(&attribute.name), None, placed);
    }
}

fn visit<'a>(
    attribute: &'a Attribute,
    at: ModelPath,
    element_of: Option<&'a Attribute>,
    placed: &mut Vec<Placed<'a>>,
) {
    placed.push(Placed { attribute, at: at.clone(), element_of });
    match attribute.own_shape().map(|shape| &shape.ty) {
        Some(Type::Object(members)) => below(members, &at.key("attributes"), placed),
        Some(Type::List(element) | Type::Map(element)) => {
            visit(element, at.key("of"), Some(attribute), placed);
        }
        _ => {}
    }
}
