//! The scope of a waiver leads to something of the estate.

use super::NAMES_RESOLVE;
use crate::review::{Review, nearest};
use seamline_contract::contract::Contract;
use seamline_contract::finding::Finding;
use seamline_contract::id::ContractRef;
use seamline_contract::waiver::{Scope, Waiver};

/// Returns what is wrong with the scope of a waiver.
pub(super) fn check(review: &Review<'_>, waiver: &Waiver) -> Option<Finding> {
    let (message, help) = nowhere(review, &waiver.scope)?;
    Some(NAMES_RESOLVE.finding(waiver.path().key("scope"), message).help(help))
}

/// Returns what leads nowhere, and what is near it.
fn nowhere(review: &Review<'_>, scope: &Scope) -> Option<(String, String)> {
    let estate = review.estate;
    match scope {
        Scope::Context(id) => match review.context(id) {
            Some(_) => None,
            None => {
                let help = nearest(id.as_str(), estate.contexts.iter().map(|context| &context.id));
                Some((format!("there is no context `{id}`"), help))
            }
        },
        Scope::Contract(reference) => no_contract(review, reference),
        Scope::Attribute(it) => no_contract(review, &it.contract).or_else(|| {
            let contract = review.contract(&it.contract)?;
            let written = contract.attributes.iter().any(|attribute| &attribute.name == it.path.first());
            let resolved =
                review.resolved(&it.contract).is_none_or(|resolved| resolved.at(&it.path).is_some());
            let names = contract.attributes.iter().map(|attribute| &attribute.name);
            (!written || !resolved).then(|| lacks(&it.contract, "attribute", &it.path.to_string(), names))
        }),
        Scope::Event(it) => no_contract(review, &it.contract).or_else(|| {
            let contract = review.contract(&it.contract)?;
            let name = it.event.as_str();
            let events = contract.events.iter().flat_map(|events| &events.events);
            let names = events.map(|event| event.name.as_str());
            let names: Vec<&str> = names.chain(contract.commands.iter().map(|it| it.name.as_str())).collect();
            (!names.contains(&name)).then(|| lacks(&it.contract, "event or command", name, names))
        }),
        Scope::View(it) => no_contract(review, &it.contract).or_else(|| {
            let contract = review.contract(&it.contract)?;
            let ids = contract.views.iter().map(|view| &view.id);
            contract.view(&it.view).is_none().then(|| lacks(&it.contract, "view", it.view.as_str(), ids))
        }),
        Scope::Consumer(name) => {
            let name = name.to_string();
            let subscriptions = estate.subscriptions.iter().map(|it| it.name.to_string());
            let names: Vec<String> =
                subscriptions.chain(estate.migrations.iter().map(|it| it.name.to_string())).collect();
            let message = format!("there is no subscription or migration `{name}`");
            (!names.contains(&name)).then(|| (message, nearest(&name, names)))
        }
    }
}

fn no_contract(review: &Review<'_>, reference: &ContractRef) -> Option<(String, String)> {
    let missing = review.contract(reference).is_none();
    let help = || review.instead_of(reference, review.estate.contracts.iter().map(Contract::reference));
    missing.then(|| (format!("there is no contract `{reference}`"), help()))
}

fn lacks(
    contract: &ContractRef,
    what: &str,
    name: &str,
    names: impl IntoIterator<Item = impl ToString>,
) -> (String, String) {
    (format!("`{contract}` has no {what} `{name}`"), nearest(name, names))
}
