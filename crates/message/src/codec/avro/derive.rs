//! The schema of a payload, made of its contract: the same contract has the same text.

use super::Schema;
use crate::canonical;
use crate::codec::form::{Field, Form, Kind, Members};
use crate::codec::plan::{EventPlan, EventReach, Reach};
use seamline_contract::attribute::{Attribute, Shape, Type};
use seamline_contract::resolve::ResolvedContract;
use serde_json::{Value, json};

/// What is known of a member beside its form.
type Told<'c> = (&'c str, &'c Shape);

/// Returns the schema of the states that a channel carries.
pub(super) fn state(contract: &ResolvedContract, reach: &Reach) -> Schema {
    let attributes = record("State_state", &reach.state, &|field| of_contract(contract, field));
    let mut fields = vec![effective(), key(contract)];
    fields.push(json!({ "name": "state", "type": attributes }));
    schema(contract, reach, "State", &contract.contract.meaning, fields)
}

/// Returns the schema of an event as a channel carries it.
pub(super) fn event(
    contract: &ResolvedContract,
    reach: &Reach,
    plan: &EventPlan,
    carried: &EventReach,
) -> Schema {
    let event = &plan.event;
    let mut fields = Vec::new();
    if !carried.carries.fields.is_empty() {
        let name = format!("{}_carries", event.name);
        let carries = record(&name, &carried.carries, &|field| of_contract(contract, field));
        fields.push(json!({ "name": "carries", "type": carries }));
    }
    fields.push(json!({ "name": "change", "doc": "The event.", "type": "string" }));
    if !carried.details.fields.is_empty() {
        let name = format!("{}_details", event.name);
        let details = record(&name, &carried.details, &|field| of_attributes(&event.details, field));
        fields.push(json!({ "name": "details", "type": ["null", details], "default": null }));
    }
    fields.push(effective());
    if !carried.flags.is_empty() {
        let mut flags: Vec<&str> = carried.flags.iter().map(|idx| plan.flags[*idx].name().as_str()).collect();
        flags.sort_by(|one, two| canonical::order(one, two));
        let flag = |name: &str| {
            let told = event.flags.iter().find(|it| it.name.as_str() == name);
            json!({ "name": name, "doc": told.map_or("", |it| &it.meaning), "type": "boolean" })
        };
        let fields_of_flags: Vec<Value> = flags.into_iter().map(flag).collect();
        let name = format!("{}_flags", event.name);
        let flags = json!({ "type": "record", "name": name, "fields": fields_of_flags });
        fields.push(json!({ "name": "flags", "type": flags }));
    }
    fields.push(key(contract));
    fields.push(
        json!({ "name": "reason", "doc": "The reason code.", "type": ["null", "string"], "default": null }),
    );
    schema(contract, reach, event.name.as_str(), &event.meaning, fields)
}

fn schema(
    contract: &ResolvedContract,
    reach: &Reach,
    name: &str,
    meaning: &str,
    fields: Vec<Value>,
) -> Schema {
    let reference = contract.contract.reference();
    let (context, contract) = (&reference.name.context, &reference.name.contract);
    let mut namespace = format!("{context}.{contract}.v{}", reference.major);
    if let Some(view) = &reach.view {
        namespace.push_str(&format!(".{view}"));
    }
    // A name of Avro has no hyphen, and an id no underscore: no two become one.
    let namespace = namespace.replace('-', "_");
    let mut schema = json!({ "type": "record", "name": name, "namespace": namespace });
    if !meaning.is_empty() {
        schema["doc"] = meaning.into();
    }
    schema["fields"] = fields.into();
    Schema::parse(&schema.to_string()).expect("a schema that is made here is read here")
}

fn effective() -> Value {
    json!({
        "name": "effective", "doc": "When it takes effect, a day or an instant.",
        "type": ["null", "string"], "default": null
    })
}

fn key(contract: &ResolvedContract) -> Value {
    let names: Vec<&str> = contract.contract.key.iter().map(|name| name.as_str()).collect();
    let doc = format!("The texts of {}.", names.join(", "));
    json!({ "name": "key", "doc": doc, "type": { "type": "array", "items": "string" } })
}

fn of_contract<'c>(contract: &'c ResolvedContract, field: &Field) -> Option<Told<'c>> {
    let attribute = contract.attributes.iter().find(|it| it.name.as_str() == field.name)?;
    Some((&attribute.meaning, &attribute.shape))
}

fn of_attributes<'c>(attributes: &'c [Attribute], field: &Field) -> Option<Told<'c>> {
    let attribute = attributes.iter().find(|it| it.name.as_str() == field.name)?;
    Some((&attribute.meaning, attribute.own_shape()?))
}

/// Returns a record of members; `told` says what they mean.
fn record<'c>(name: &str, members: &Members, told: &dyn Fn(&Field) -> Option<Told<'c>>) -> Value {
    let field = |field: &Field| {
        let (meaning, shape) = told(field).map_or(("", None), |(meaning, shape)| (meaning, Some(shape)));
        let ty = type_of(&format!("{name}_{}", field.name), &field.form, shape);
        let mut made = json!({ "name": field.name });
        if !meaning.is_empty() {
            made["doc"] = meaning.into();
        }
        if field.optional {
            made["type"] = json!(["null", ty]);
            made["default"] = Value::Null;
        } else {
            made["type"] = ty;
        }
        made
    };
    let fields: Vec<Value> = members.fields.iter().map(field).collect();
    json!({ "type": "record", "name": name, "fields": fields })
}

fn type_of(name: &str, form: &Form, shape: Option<&Shape>) -> Value {
    let ty = shape.map(|shape| &shape.ty);
    match (&form.kind, ty) {
        (Kind::String, _) => "string".into(),
        (Kind::Enum, _) => shape.and_then(|shape| symbols(name, shape)).unwrap_or_else(|| "string".into()),
        (Kind::Integer, _) => "long".into(),
        (Kind::Decimal { precision, scale }, _) => {
            json!({ "type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale })
        }
        (Kind::Approximate, _) => "double".into(),
        (Kind::Boolean, _) => "boolean".into(),
        (Kind::Date, _) => json!({ "type": "int", "logicalType": "date" }),
        (Kind::Timestamp, _) => json!({ "type": "long", "logicalType": "timestamp-micros" }),
        (Kind::Uuid, _) => json!({ "type": "string", "logicalType": "uuid" }),
        (Kind::Bytes, _) => "bytes".into(),
        // Avro's own duration counts months, days and milliseconds, and cannot say these.
        (Kind::Duration, _) => json!({ "type": "long", "seamline": "duration" }),
        (Kind::Object(members), Some(Type::Object(attributes))) => {
            record(name, members, &|field| of_attributes(attributes, field))
        }
        (Kind::Object(members), _) => record(name, members, &|_| None),
        (Kind::Map(form), ty) => json!({ "type": "map", "values": element(name, form, ty) }),
        (Kind::List(form), ty) => json!({ "type": "array", "items": element(name, form, ty) }),
    }
}

fn element(name: &str, form: &Form, ty: Option<&Type>) -> Value {
    let of = match ty {
        Some(Type::Map(element) | Type::List(element)) => Some(element),
        _ => None,
    };
    let shape = of.and_then(|element| element.own_shape());
    type_of(&format!("{name}_item"), form, shape)
}

/// Returns the enum of a closed set of values, where all of them can be symbols of Avro.
fn symbols(name: &str, shape: &Shape) -> Option<Value> {
    let is_symbol = |text: &str| {
        let starts = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        starts && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    let values: Vec<&str> = shape.values.iter().map(|(value, _)| value.as_str()).collect();
    if shape.open || values.is_empty() || !values.iter().all(|value| is_symbol(value)) {
        return None;
    }
    let meanings: Vec<String> =
        shape.values.iter().map(|(value, means)| format!("{value}: {means}")).collect();
    Some(json!({ "type": "enum", "name": name, "doc": meanings.join("\n"), "symbols": values }))
}
