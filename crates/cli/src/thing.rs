//! What a reference names: `context/contract@major`, then `.attribute`, `.attribute.value`, `.Event`, `.Command` or `/view`.

use crate::exit::usage;
use crate::nearest::instead;
use anyhow::Result;
use seamline_contract::attribute::{Attribute, Type};
use seamline_contract::contract::Contract;
use seamline_contract::estate::Estate;
use seamline_contract::id::{AttributeName, AttributePath, AttributeRef};
use seamline_contract::resolve::{ResolvedContract, resolve};
use seamline_rules::consumers::Thing;

/// Returns the thing that a reference names; without a major that of the contract's current text.
///
/// # Errors
/// When the estate has no such thing; the help names the nearest.
pub(crate) fn thing(estate: &Estate, text: &str) -> Result<Thing> {
    let (name, rest) = split(text);
    let contract = estate.contracts.iter().find(|contract| {
        let reference = contract.reference().to_string();
        reference == name || (!contract.frozen && contract.name.to_string() == name)
    });
    let Some(contract) = contract else {
        let names: Vec<String> = estate.contracts.iter().map(|it| it.reference().to_string()).collect();
        return Err(usage(format!("there is no contract `{name}`"), instead(name, &names)));
    };
    let resolved = resolve(estate, &contract.reference()).ok();
    within(contract, resolved.as_ref(), rest).ok_or_else(|| {
        let names: Vec<String> =
            inside(contract).into_iter().map(|part| format!("{}{part}", contract.reference())).collect();
        let meant = format!("{}{rest}", contract.reference());
        usage(format!("there is no `{rest}` in `{}`", contract.reference()), instead(&meant, &names))
    })
}

/// Parts a reference into the contract and what follows, which begins with its `.` or `/`, or is empty.
fn split(text: &str) -> (&str, &str) {
    let after_context = text.find('/').map_or(0, |at| at + 1);
    match text[after_context..].find(['.', '/']) {
        Some(at) => text.split_at(after_context + at),
        None => (text, ""),
    }
}

fn within(contract: &Contract, resolved: Option<&ResolvedContract>, rest: &str) -> Option<Thing> {
    let reference = contract.reference();
    if rest.is_empty() {
        return Some(Thing::Contract(reference));
    }
    if let Some(view) = rest.strip_prefix('/') {
        let view = view.parse().ok().filter(|view| contract.view(view).is_some())?;
        return Some(Thing::View(reference, view));
    }
    let name = rest.strip_prefix('.')?;
    if name.starts_with(|first: char| first.is_ascii_uppercase()) {
        let event = name.parse().ok().filter(|event| contract.event(event).is_some());
        let command = || contract.commands.iter().find(|command| command.name.as_str() == name);
        return event
            .map(|event| Thing::Event(reference.clone(), event))
            .or_else(|| Some(Thing::Command(reference.clone(), command()?.name.clone())));
    }
    let at = |path: AttributePath| AttributeRef { contract: reference.clone(), path };
    if let Some(path) = name.parse().ok().filter(|path| is_attribute(contract, resolved, path)) {
        return Some(Thing::Attribute(at(path)));
    }
    // A value may hold dots: the longest path that has it counts.
    name.match_indices('.').rev().find_map(|(dot, _)| {
        let path: AttributePath = name[..dot].parse().ok()?;
        let value = name[dot + 1..].parse().ok()?;
        let shape = resolved?.at(&path)?.shape;
        shape.values.iter().any(|(it, _)| *it == value).then(|| Thing::Value(at(path), value))
    })
}

/// Whether a path leads to an attribute: where the contract does not resolve, as it is written.
fn is_attribute(contract: &Contract, resolved: Option<&ResolvedContract>, path: &AttributePath) -> bool {
    match resolved {
        Some(resolved) => resolved.at(path).is_some(),
        None => seamline_contract::attribute::at_path(&contract.attributes, path).is_some(),
    }
}

/// Returns everything in a contract as it follows its reference.
fn inside(contract: &Contract) -> Vec<String> {
    let mut names = Vec::new();
    attributes(&contract.attributes, "", &mut names);
    let events = contract.events.iter().flat_map(|events| &events.events).map(|it| it.name.to_string());
    names.extend(events.chain(contract.commands.iter().map(|it| it.name.to_string())));
    let mut names: Vec<String> = names.into_iter().map(|name| format!(".{name}")).collect();
    names.extend(contract.views.iter().map(|view| format!("/{}", view.id)));
    names
}

fn attributes(all: &[Attribute], before: &str, names: &mut Vec<String>) {
    let path = |name: &AttributeName| format!("{before}{name}");
    for attribute in all {
        names.push(path(&attribute.name));
        let Some(shape) = attribute.own_shape() else { continue };
        names.extend(shape.values.iter().map(|(value, _)| format!("{}.{value}", path(&attribute.name))));
        if let Type::Object(members) = &shape.ty {
            attributes(members, &format!("{}.", path(&attribute.name)), names);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn a_reference_is_parted_where_the_contract_ends() {
        assert_eq!(split("a/b@2"), ("a/b@2", ""));
        assert_eq!(split("a/b@2.c.d"), ("a/b@2", ".c.d"));
        assert_eq!(split("a/b/v"), ("a/b", "/v"));
        assert_eq!(split("a"), ("a", ""));
        assert_eq!(split(""), ("", ""));
    }
}
