//! Behaviour travels in events, state in state.

use crate::events::{CATCH_ALL_ATTRIBUTES_MIN, CATCH_ALL_PERCENT};
use crate::meaning::words;
use crate::review::{Review, attribute_path};
use crate::rule::{Category, Rule};
use seamline_contract::attribute::Attribute;
use seamline_contract::channel::Event;
use seamline_contract::contract::Contract;
use seamline_contract::finding::{Finding, Level};
use seamline_contract::id::{AttributeName, AttributePath, EnumValue};
use std::collections::BTreeSet;

/// Names of attributes that tell of the last change instead of the state.
const CHANGE_NAMES: [&str; 8] = [
    "change kind",
    "change type",
    "event kind",
    "event name",
    "event type",
    "last change",
    "last event",
    "last event type",
];

/// An enumeration tells of events when this many of its values are named for events of its contract.
pub(crate) const EVENT_VALUES_MIN: usize = 2;

/// No attribute of the state tells what just happened.
pub(crate) const BEHAVIOUR_IN_EVENTS: Rule = Rule {
    id: "BEHAVIOUR_IN_EVENTS",
    category: Category::Exchange,
    level: Level::Warn,
    reason: "State keeps only the latest of each key, so what happened in between is lost to whoever reads it there.",
    check: behaviour_in_events,
};

fn behaviour_in_events(review: &Review<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for contract in review.living().filter(|contract| contract.state.is_some()) {
        for attribute in &contract.attributes {
            if !tells_a_change(contract, attribute) {
                continue;
            }
            let path = AttributePath::from(attribute.name.clone());
            findings.push(
                BEHAVIOUR_IN_EVENTS
                    .finding(
                        attribute_path(contract, &path).the_key(),
                        format!("`{path}` tells what happened last, and state keeps only the last"),
                    )
                    .help("let events tell what happened; the state says what holds since")
                    .owed_by(&contract.name.context),
            );
        }
    }
    findings
}

fn spelt(text: &str) -> String {
    words(text).collect::<Vec<_>>().join(" ")
}

fn tells_a_change(contract: &Contract, attribute: &Attribute) -> bool {
    let Some(shape) = attribute.own_shape() else { return false };
    let events: BTreeSet<String> = contract
        .events
        .iter()
        .flat_map(|events| &events.events)
        .map(|event| spelt(event.name.as_str()))
        .collect();
    let named = shape.values.iter().filter(|(value, _)| events.contains(&spelt(value.as_str()))).count();
    CHANGE_NAMES.contains(&spelt(attribute.name.as_str()).as_str()) || named >= EVENT_VALUES_MIN
}

/// Only the event that begins a record carries nearly all of it.
pub(crate) const STATE_IN_STATE: Rule = Rule {
    id: "STATE_IN_STATE",
    category: Category::Exchange,
    level: Level::Warn,
    reason: "An event that carries the whole record invites readers to keep it from there, without bootstrap, order or deletion.",
    check: state_in_state,
};

fn state_in_state(review: &Review<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for contract in review.living() {
        let all = contract.attributes.len().saturating_sub(contract.key.len());
        if all < CATCH_ALL_ATTRIBUTES_MIN {
            continue;
        }
        let events = contract.events.iter().flat_map(|events| &events.events);
        // What neither becomes nor ends anything is a catch-all, which another rule refuses.
        let whole: Vec<(&Event, usize)> = events
            .filter(|event| !event.becomes.is_empty() || event.ends)
            .map(|event| (event, carried(contract, event).len()))
            .filter(|(_, carried)| carried * 100 >= all * CATCH_ALL_PERCENT)
            .collect();
        // Where no move says which event begins a record, one may.
        let spared = if knows_beginnings(contract) { 0 } else { 1 };
        for (event, carried) in whole.iter().filter(|(event, _)| !begins(contract, event)).skip(spared) {
            findings.push(
                STATE_IN_STATE
                    .finding(
                        contract.path().key("events").key(&event.name).the_key(),
                        format!(
                            "`{}` carries {carried} of {all} attributes, and begins no record",
                            event.name
                        ),
                    )
                    .help("carry by `with` what a reader reacts to; the record travels on `state`")
                    .owed_by(&contract.name.context),
            );
        }
    }
    findings
}

fn carried<'c>(contract: &Contract, event: &'c Event) -> BTreeSet<&'c AttributeName> {
    let becomes = event.becomes.iter().map(|(name, _)| name);
    let paths = event.sets.iter().chain(&event.with).map(AttributePath::first);
    becomes.chain(paths).filter(|name| !contract.key.contains(name)).collect()
}

fn starts(contract: &Contract, name: &AttributeName) -> Vec<EnumValue> {
    let attribute = contract.attributes.iter().find(|attribute| attribute.name == *name);
    let moves = attribute.and_then(Attribute::own_shape).and_then(|shape| shape.moves.as_ref());
    moves.into_iter().flatten().filter(|it| it.from.is_none()).filter_map(|it| it.to.clone()).collect()
}

fn knows_beginnings(contract: &Contract) -> bool {
    contract.attributes.iter().any(|attribute| !starts(contract, &attribute.name).is_empty())
}

/// Whether an event takes an enumeration to where records begin, by its moves.
fn begins(contract: &Contract, event: &Event) -> bool {
    event
        .becomes
        .iter()
        .any(|(name, values)| starts(contract, name).iter().any(|start| values.contains(start)))
}
