//! What may be shown of a payload at the place of a violation: its shape, its value where that may be seen, and names that
//! are nearly right.

use crate::nearest::nearest;
use crate::validate::reference::Reference;
use seamline_contract::attribute::{Attribute, Classification, Shape, Type};
use seamline_message::codec::Writing;
use seamline_message::violation::{Rule, Violation};
use serde_json::Value;

/// The longest value that is shown, in characters.
const SHOWN_MAX: usize = 60;

/// Returns the JSON pointer into the payload of a violation's path; `*` stands for a key of a map, which is not told.
pub(crate) fn pointer(violation: &Violation, writing: Writing, is_event: bool) -> String {
    let path = &violation.path;
    let is_row = writing == Writing::Source && !is_event;
    let path = if is_row { path.strip_prefix("state").unwrap_or(path) } else { path };
    let mut pointer = String::new();
    for step in path.split(['.', '[']).filter(|step| !step.is_empty()) {
        pointer.push('/');
        pointer.push_str(step.trim_end_matches(']'));
    }
    pointer
}

/// Returns what stands at a place, without its value: `text of 12`, `number`, `object of 3`.
pub(crate) fn shape(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) => "true or false".to_owned(),
        Value::Number(_) => "number".to_owned(),
        Value::String(text) => format!("text of {}", text.chars().count()),
        Value::Array(elements) => format!("array of {}", elements.len()),
        Value::Object(members) => format!("object of {}", members.len()),
    }
}

/// Returns the value of a scalar, when the contract says that anybody in the company may see it.
pub(crate) fn value(reference: &Reference, violation: &Violation, value: &Value) -> Option<String> {
    if !matches!(value, Value::String(_) | Value::Number(_) | Value::Bool(_)) {
        return None;
    }
    let classification = classification(reference, &violation.path)?;
    let text = value.to_string();
    (classification <= Classification::Internal).then(|| match text.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    })
}

/// Returns the classification of what stands at a path; none where none is known, which then counts as the strictest.
fn classification(reference: &Reference, path: &str) -> Option<Classification> {
    let mut steps = path.split(['.', '[']).filter(|step| !step.is_empty());
    let contract = &reference.contract;
    let (mut found, mut at) = match steps.next()? {
        "state" | "carries" => {
            let name = steps.next()?;
            let attribute = contract.attributes.iter().find(|it| it.name.as_str() == name)?;
            (attribute.classification?, At::Shape(&attribute.shape))
        }
        "details" => {
            let name = steps.next()?;
            let event = contract.contract.event(reference.event.as_ref()?)?;
            let detail = event.details.iter().find(|it| it.name.as_str() == name)?;
            (detail.classification.or(contract.contract.classification)?, At::Attribute(detail))
        }
        _ => return None,
    };
    for step in steps {
        let below = match &at.shape()?.ty {
            Type::Object(members) => members.iter().find(|it| it.name.as_str() == step)?,
            Type::Map(element) | Type::List(element) => element,
            _ => return None,
        };
        found = below.classification.map_or(found, |own| own.max(found));
        at = At::Attribute(below);
    }
    Some(found)
}

enum At<'a> {
    Shape(&'a Shape),
    Attribute(&'a Attribute),
}

impl<'a> At<'a> {
    fn shape(&self) -> Option<&'a Shape> {
        match self {
            At::Shape(shape) => Some(shape),
            At::Attribute(attribute) => attribute.own_shape(),
        }
    }
}

/// Returns declared names that members of an object were probably meant to have: all that may be said of names that the
/// contract does not know.
pub(crate) fn probably_meant(reference: &Reference, violation: &Violation, object: &Value) -> Vec<String> {
    let Value::Object(members) = object else { return Vec::new() };
    if violation.rule != Rule::Shape {
        return Vec::new();
    }
    let contract = &reference.contract;
    let mut steps = violation.path.split('.');
    let declared: Vec<&str> = match (steps.next(), steps.next()) {
        (Some("state"), None) => contract.attributes.iter().map(|it| it.name.as_str()).collect(),
        (Some("state"), Some(name)) => {
            let attribute = contract.attributes.iter().find(|it| it.name.as_str() == name);
            match attribute.map(|it| &it.shape.ty) {
                Some(Type::Object(below)) => below.iter().map(|it| it.name.as_str()).collect(),
                _ => return Vec::new(),
            }
        }
        _ => return Vec::new(),
    };
    let unknown = members.keys().filter(|name| !declared.contains(&name.as_str()));
    let mut meant: Vec<String> = unknown
        .filter_map(|name| nearest(name, declared.iter().copied()))
        .filter(|name| !members.contains_key(*name))
        .map(str::to_owned)
        .collect();
    meant.sort();
    meant.dedup();
    meant
}
