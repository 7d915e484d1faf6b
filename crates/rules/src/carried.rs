//! What is carried from another contract exists there, and is decided there alone.

use crate::review::{Review, listed, nearest};
use crate::rule::{Category, Rule};
use crate::walk::{Placed, attributes, details};
use seamline_contract::attribute::Origin;
use seamline_contract::contract::Contract;
use seamline_contract::finding::{Finding, Level};
use seamline_contract::id::{AttributeName, AttributePath, AttributeRef};
use seamline_contract::path::ModelPath;
use seamline_contract::resolve::Unresolved;

/// What `from:` and `derivedFrom:` name exists, and leads to an owner.
pub(crate) const CARRIED_ATTRIBUTE_EXISTS: Rule = Rule {
    id: "CARRIED_ATTRIBUTE_EXISTS",
    category: Category::Ownership,
    level: Level::Error,
    reason: "An attribute that is carried from nowhere has no meaning, no type and nobody to ask.",
    check: carried_attribute_exists,
};

fn carried_attribute_exists(review: &Review<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for contract in review.living() {
        for Placed { attribute, at, .. } in attributes(contract).into_iter().chain(details(contract)) {
            if let Origin::Carried(from) = &attribute.origin {
                findings.extend(missing(review, contract, from, at.clone().key("from")));
            }
            for (idx, from) in attribute.derived_from.iter().enumerate() {
                findings.extend(missing(review, contract, from, at.clone().key("derivedFrom").index(idx)));
            }
        }
        for reason in review.unresolved(&contract.reference()) {
            let Unresolved::Circle { attribute, from } = reason else { continue };
            let at = contract.path().key("attributes").key(attribute).key("from");
            findings.push(
                CARRIED_ATTRIBUTE_EXISTS
                    .finding(at, format!("`{attribute}` is carried in a circle, again through `{from}`"))
                    .help("let the contract that decides it give it a type and a meaning")
                    .owed_by(&contract.name.context),
            );
        }
    }
    findings
}

fn missing(review: &Review<'_>, contract: &Contract, from: &AttributeRef, at: ModelPath) -> Option<Finding> {
    let Some(home) = review.contract(&from.contract) else {
        let majors = review.majors(&from.contract);
        let help = if majors.is_empty() {
            review.instead_of(&from.contract, review.living().map(Contract::reference))
        } else {
            format!("there is {}", listed(majors))
        };
        return Some(
            CARRIED_ATTRIBUTE_EXISTS
                .finding(at, format!("there is no contract `{}`", from.contract))
                .help(help)
                .owed_by(&contract.name.context),
        );
    };
    if leads(home, &from.path) {
        return None;
    }
    Some(
        CARRIED_ATTRIBUTE_EXISTS
            .finding(at, format!("`{}` has no attribute `{}`", from.contract, from.path))
            .help(nearest(
                from.path.first().as_str(),
                home.attributes.iter().map(|attribute| &attribute.name),
            ))
            .note(home.path().key("attributes").the_key(), "its attributes")
            .owed_by(&contract.name.context),
    )
}

/// A path below an attribute that is itself carried is judged where that one is decided.
fn leads(home: &Contract, path: &AttributePath) -> bool {
    let first = home.attributes.iter().find(|attribute| &attribute.name == path.first());
    first.is_some_and(|attribute| {
        attribute.own_shape().is_none() || attribute.member(&path.names()[1..]).is_some()
    })
}

/// A contract decides nothing of what it carries.
pub(crate) const CARRIED_DECIDES_NOTHING: Rule = Rule {
    id: "CARRIED_DECIDES_NOTHING",
    category: Category::Ownership,
    level: Level::Error,
    reason: "Who carries an attribute passes on the owner's word; changing it here would make a second owner.",
    check: carried_decides_nothing,
};

fn carried_decides_nothing(review: &Review<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for contract in review.living() {
        let carried = |name: &AttributeName| {
            let attribute = contract.attributes.iter().find(|attribute| &attribute.name == name)?;
            match &attribute.origin {
                Origin::Carried(from) => Some(from),
                Origin::Own(_) => None,
            }
        };
        for event in contract.events.iter().flat_map(|events| &events.events) {
            let at = contract.path().key("events").key(&event.name);
            let becomes =
                event.becomes.iter().map(|(name, _)| (name, at.clone().key("becomes").key(name).the_key()));
            let sets = event
                .sets
                .iter()
                .enumerate()
                .map(|(idx, path)| (path.first(), at.clone().key("sets").index(idx)));
            for (name, place) in becomes.chain(sets) {
                let Some(from) = carried(name) else { continue };
                findings.push(
                    CARRIED_DECIDES_NOTHING
                        .finding(
                            place,
                            format!("`{}` changes `{name}`, which `{}` decides", event.name, from.contract),
                        )
                        .help(format!("take it along by `with: [{name}]`, or ask its owner by a command"))
                        .note(contract.path().key("attributes").key(name).the_key(), "carried here")
                        .owed_by(&contract.name.context),
                );
            }
        }
        findings.extend(looser(review, contract));
    }
    findings
}

/// What is carried may be seen by fewer and for less, never by more or for more.
fn looser(review: &Review<'_>, contract: &Contract) -> Vec<Finding> {
    let mut findings = Vec::new();
    for attribute in &contract.attributes {
        let Origin::Carried(from) = &attribute.origin else { continue };
        let Some(there) = review.resolved(&from.contract).and_then(|home| home.at(&from.path)) else {
            continue;
        };
        let at = contract.path().key("attributes").key(&attribute.name);
        let say = |place: ModelPath, message: String| {
            CARRIED_DECIDES_NOTHING
                .finding(place, message)
                .help("leave it out to take over what the owner says")
                .owed_by(&contract.name.context)
        };
        if let (Some(here), Some(owner)) = (attribute.classification, there.classification)
            && here < owner
        {
            let message =
                format!("`{}` is `{owner}` where it is decided, and only `{here}` here", attribute.name);
            findings.push(say(at.clone().key("classification"), message));
        }
        if let (Some(here), Some(owner)) = (&attribute.purposes, there.purposes)
            && let Some(more) = here.iter().find(|purpose| !owner.contains(purpose))
        {
            let message = format!("`{}` may not serve `{more}` where it is decided", attribute.name);
            findings.push(say(at.key("purposes"), message));
        }
    }
    findings
}
