//! Names that a contract writes of what it is composed from or keeps alive, and an environment of where systems are.

use super::Names;
use crate::review::{listed, nearest};
use seamline_contract::contract::Contract;
use seamline_contract::environment::Environment;
use seamline_contract::finding::Finding;
use seamline_contract::id::ContractRef;

/// Reports what joins lead to: a source, and an attribute of it.
pub(super) fn derived(names: &mut Names<'_, '_>, contract: &Contract) {
    let Some(derived) = &contract.derived else { return };
    for (source, attribute) in &derived.on {
        let at = contract.path().key("derived").key("on").key(source);
        if !derived.from.contains(source) {
            let message = format!("`{source}` is none of the contracts this is derived from");
            let help = format!("name one of {}", listed(&derived.from));
            names.wrong(at.the_key(), message, help);
            continue;
        }
        let Some(home) = names.review.contract(source) else { continue };
        if !home.attributes.iter().any(|it| it.name == *attribute) {
            let help = nearest(attribute.as_str(), home.attributes.iter().map(|it| &it.name));
            names.wrong(at, format!("`{source}` has no attribute `{attribute}`"), help);
        }
    }
}

/// Reports events of older majors that are told as events that are not there.
pub(super) fn served(names: &mut Names<'_, '_>, contract: &Contract) {
    for (idx, serves) in contract.serves.iter().enumerate() {
        let older = ContractRef { name: contract.name.clone(), major: serves.version };
        let Some(older) = names.review.contract(&older) else { continue };
        for (theirs, ours) in &serves.events {
            let at = contract.path().key("serves").index(idx).key("events").key(theirs);
            for (home, event, place) in [(older, theirs, at.clone().the_key()), (contract, ours, at.clone())]
            {
                if home.event(event).is_none() {
                    let events = home.events.iter().flat_map(|events| &events.events);
                    let help = nearest(event.as_str(), events.map(|event| &event.name));
                    let message = format!("version {} has no event `{event}`", home.version);
                    names.wrong(place, message, help);
                }
            }
        }
    }
}

/// Returns what an environment places that no context has, and what it gives generations that is no contract.
pub(super) fn placed(review: &crate::review::Review<'_>, environment: &Environment) -> Vec<Finding> {
    let mut findings = Vec::new();
    for place in &environment.systems {
        let name = format!("{}/{}", place.context, place.system);
        let at = environment.path().key("systems").key(&name).the_key();
        let (message, help) = match review.context(&place.context) {
            None => {
                let contexts = review.estate.contexts.iter().map(|context| &context.id);
                let help = nearest(place.context.as_str(), contexts);
                (format!("there is no context `{}`", place.context), help)
            }
            Some(context) if !context.systems.iter().any(|it| it.id == place.system) => {
                let help = nearest(place.system.as_str(), context.systems.iter().map(|it| &it.id));
                (format!("`{}` has no system `{}`", context.id, place.system), help)
            }
            Some(_) => continue,
        };
        findings.push(super::NAMES_RESOLVE.finding(at, message).help(help));
    }
    for said in environment.generations.iter().filter(|it| review.contract(&it.contract).is_none()) {
        let name = said.contract.to_string();
        let at = environment.path().key("log").key("generations").key(&name).the_key();
        let help = nearest(&name, review.estate.contracts.iter().map(Contract::reference));
        findings.push(super::NAMES_RESOLVE.finding(at, format!("there is no contract `{name}`")).help(help));
    }
    findings
}
