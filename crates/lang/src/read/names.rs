//! Checks the names that a contract uses of itself: its key, what events change, what views hold.

use super::{Reader, mend_name};
use crate::rule;
use seamline_contract::attribute::{Attribute, Origin, Type, Unit, at_path};
use seamline_contract::channel::{Event, View};
use seamline_contract::contract::Contract;
use seamline_contract::finding::Finding;
use seamline_contract::id::{AttributeName, AttributePath, EventName};
use seamline_contract::path::ModelPath;

/// Reports every name that leads to nothing in the contract.
pub(crate) fn check(reader: &mut Reader<'_>, contract: &Contract) {
    let top = contract.path();
    let mut names = Names { reader, contract };
    for (key, listed) in [("key", &contract.key), ("partitionBy", &contract.partition_by)] {
        for (idx, name) in listed.iter().enumerate() {
            names.attribute(name, || top.clone().key(key).index(idx));
        }
    }
    names.key_is_never_optional();
    if let Some(subject) = &contract.subject {
        names.attribute(subject, || top.clone().key("subject"));
    }
    if let Some(count_by) = contract.reconciliation.as_ref().and_then(|declared| declared.count_by.as_ref()) {
        names.attribute(count_by, || top.clone().key("reconciliation").key("countBy"));
    }
    for attribute in &contract.attributes {
        names.unit(attribute);
    }
    for event in contract.events.iter().flat_map(|events| &events.events) {
        names.event_body(event);
    }
    for view in &contract.views {
        names.view_body(view);
    }
    for command in &contract.commands {
        for outcome in &command.outcomes {
            if let Some(event) = &outcome.event {
                let outcomes = top.clone().key("commands").key(&command.name).key("outcomes");
                names.event(event, || outcomes.key(&outcome.name).key("event"));
            }
        }
    }
}

struct Names<'r, 'n, 'c> {
    reader: &'r mut Reader<'n>,
    contract: &'c Contract,
}

impl Names<'_, '_, '_> {
    fn nowhere(&mut self, at: ModelPath, what: &str, name: &str, due: &[&str]) {
        let help = match due {
            [] => format!("the contract declares no {what}"),
            _ => mend_name(name, due, "the contract declares"),
        };
        self.reader.report(Finding::new(rule::NAME, at, format!("there is no {what} `{name}`")).help(help));
    }

    fn attribute(&mut self, name: &AttributeName, at: impl FnOnce() -> ModelPath) {
        self.path(&AttributePath::from(name.clone()), at);
    }

    /// A path into a carried attribute is known only with its owner: its first name must be declared here.
    fn path(&mut self, path: &AttributePath, at: impl FnOnce() -> ModelPath) {
        // An attribute that could not be read is declared all the same.
        let written = self.reader.root.and_then(|root| root.entry("attributes"));
        let declared =
            |name: &AttributeName| written.is_some_and(|at| at.value.entry(name.as_str()).is_some());
        let first = self.contract.attributes.iter().find(|attribute| &attribute.name == path.first());
        let unknown = match first {
            None => !declared(path.first()),
            Some(first) if matches!(first.origin, Origin::Carried(_)) => false,
            Some(_) => at_path(&self.contract.attributes, path).is_none(),
        };
        if unknown {
            let due: Vec<&str> =
                self.contract.attributes.iter().map(|attribute| attribute.name.as_str()).collect();
            self.nowhere(at(), "attribute", &path.to_string(), &due);
        }
    }

    fn event(&mut self, name: &EventName, at: impl FnOnce() -> ModelPath) {
        let written = self.reader.root.and_then(|root| root.entry("events"));
        if written.is_some_and(|events| events.value.entry(name.as_str()).is_some()) {
            return;
        }
        let events = self.contract.events.iter().flat_map(|events| &events.events);
        let due: Vec<&str> = events.map(|event| event.name.as_str()).collect();
        self.nowhere(at(), "event", name.as_str(), &due);
    }

    fn key_is_never_optional(&mut self) {
        let optional = |name: &&AttributeName| {
            self.contract.attributes.iter().any(|attribute| &attribute.name == *name && attribute.optional)
        };
        for name in self.contract.key.iter().filter(optional) {
            let at = self.contract.path().key("attributes").key(name).key("optional");
            let finding =
                Finding::new(rule::VALUE, at, format!("`{name}` is of the key, so it always has a value"));
            self.reader.report(finding.help("remove `optional`"));
        }
    }

    fn unit(&mut self, attribute: &Attribute) {
        if let Some(Unit::In(name)) = attribute.own_shape().and_then(|shape| shape.unit.as_ref()) {
            let at = self.contract.path().key("attributes").key(&attribute.name).key("unit").key("in");
            self.attribute(name, || at);
        }
    }

    fn event_body(&mut self, event: &Event) {
        let at = self.contract.path().key("events").key(&event.name);
        for (name, values) in &event.becomes {
            let becomes = at.clone().key("becomes").key(name);
            self.attribute(name, || becomes.clone().the_key());
            let shape = self.contract.attributes.iter().find(|attribute| &attribute.name == name);
            let Some(shape) = shape.and_then(Attribute::own_shape).filter(|shape| !shape.open) else {
                continue;
            };
            let due: Vec<&str> = match shape.ty {
                Type::Enum => shape.values.iter().map(|(value, _)| value.as_str()).collect(),
                Type::Boolean => vec!["true", "false"],
                _ => continue,
            };
            for (idx, value) in values.iter().enumerate() {
                if !due.contains(&value.as_str()) {
                    self.nowhere(becomes.clone().index(idx), "value", value.as_str(), &due);
                }
            }
        }
        for (key, paths) in [("sets", &event.sets), ("with", &event.with)] {
            for (idx, path) in paths.iter().enumerate() {
                self.path(path, || at.clone().key(key).index(idx));
            }
        }
        if let Some(effective) = &event.effective {
            self.attribute(effective, || at.key("effective"));
        }
    }

    fn view_body(&mut self, view: &View) {
        let at = self.contract.path().key("views").key(&view.id);
        for (idx, path) in view.only.iter().enumerate() {
            self.path(path, || at.clone().key("only").index(idx));
        }
        for (idx, event) in view.events.iter().enumerate() {
            self.event(event, || at.clone().key("events").index(idx));
        }
        for (idx, (event, detail)) in view.details.iter().enumerate() {
            let place = at.clone().key("details").index(idx);
            let Some(declared) = self.contract.event(event) else {
                self.event(event, || place);
                continue;
            };
            let due: Vec<&str> = declared.details.iter().map(|detail| detail.name.as_str()).collect();
            if !due.contains(&detail.as_str()) {
                self.nowhere(place, "detail", detail.as_str(), &due);
            }
        }
    }
}
