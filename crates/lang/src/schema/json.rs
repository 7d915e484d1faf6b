//! The JSON Schema of the language, for editors: made from the keys that the readers know.

use super::explained::explained;
use super::shape::{Form, Shape, of_kind, shape};
use super::{CHANNEL, KINDS, Key, TABLES, Table};
use serde_json::{Map, Value, json};

/// The dialect that the schema is written in.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// Returns the schema of one kind, or of all; none when there is no such kind.
pub fn json_schema(kind: Option<&str>) -> Option<Value> {
    let mut schema = Map::new();
    schema.insert("$schema".to_owned(), DIALECT.into());
    match kind {
        Some(kind) => {
            let (kind, _) = KINDS.iter().find(|(known, _)| *known == kind)?;
            schema.insert("title".to_owned(), format!("Seamline {kind}").into());
            schema.extend(of_document(kind));
        }
        None => {
            let kinds: Vec<&str> = KINDS.iter().map(|(kind, _)| *kind).collect();
            let choices = kinds.iter().map(|kind| {
                json!({
                    "if": { "properties": { "kind": { "const": kind } }, "required": ["kind"] },
                    "then": of_document(kind),
                })
            });
            schema.insert("title".to_owned(), "Seamline".into());
            schema.insert("type".to_owned(), "object".into());
            schema.insert("required".to_owned(), json!(["apiVersion", "kind"]));
            schema.insert(
                "properties".to_owned(),
                json!({ "apiVersion": { "const": "seamline/v1" }, "kind": { "enum": kinds } }),
            );
            schema.insert("allOf".to_owned(), choices.collect());
        }
    }
    let defined = TABLES.iter().filter(|table| !is_document(table));
    let defined: Map<String, Value> =
        defined.map(|table| (name(table), mapping(table, None).into())).collect();
    schema.insert("$defs".to_owned(), defined.into());
    Some(schema.into())
}

fn is_document(table: &Table) -> bool {
    table.keys.iter().any(|key| key.name == "apiVersion")
}

/// Returns what is said of a whole document; of a kind whose keys are not read, its header.
fn of_document(kind: &str) -> Map<String, Value> {
    let mut schema = match of_kind(kind) {
        Some(table) => mapping(table, None),
        None => {
            let header = json!({ "type": "object", "required": ["apiVersion", "kind"], "properties": {} });
            header.as_object().cloned().unwrap_or_default()
        }
    };
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        properties.insert(
            "apiVersion".to_owned(),
            json!({ "const": "seamline/v1", "description": "The version of the language." }),
        );
        properties
            .insert("kind".to_owned(), json!({ "const": kind, "description": "What the document is." }));
    }
    schema
}

/// Returns the schema of a mapping with fixed keys; of a channel, with the names of the author's beside them.
fn mapping(table: &Table, declared: Option<&Table>) -> Map<String, Value> {
    let mut schema = Map::new();
    let required: Vec<&str> = table.keys.iter().filter(|key| key.required).map(|key| key.name).collect();
    // An empty value is an empty mapping.
    let ty = if required.is_empty() { json!(["object", "null"]) } else { json!("object") };
    schema.insert("type".to_owned(), ty);
    if !required.is_empty() {
        schema.insert("required".to_owned(), json!(required));
    }
    let properties = table.keys.iter().map(|key| (key.name.to_owned(), property(table, key)));
    schema.insert("properties".to_owned(), properties.collect::<Map<_, _>>().into());
    if let Some(declared) = declared {
        schema.insert(
            "patternProperties".to_owned(),
            json!({ "^[A-Z][A-Za-z0-9]{0,62}$": reference(declared) }),
        );
    }
    schema.insert("additionalProperties".to_owned(), false.into());
    schema
}

fn property(table: &Table, key: &Key) -> Value {
    let mut schema = of_shape(&shape(table, key));
    if let Value::Object(fields) = &mut schema {
        let said = explained(key.name).map(|sentence| format!("{sentence} Written: {}", key.grammar));
        fields.insert("description".to_owned(), said.unwrap_or_else(|| key.grammar.to_owned()).into());
    }
    schema
}

fn of_shape(shape: &Shape) -> Value {
    match shape {
        Shape::Any => json!({}),
        // Written without quotes, a text may be anything to other readers of YAML.
        Shape::Prose => json!({ "type": ["string", "number", "boolean", "null"] }),
        Shape::Expression => json!({ "type": ["string", "number", "boolean"] }),
        Shape::Words(words) if words == &["true"] => json!({ "enum": [true, "true"] }),
        Shape::Words(words) => json!({ "enum": words }),
        Shape::Boolean => json!({ "enum": [true, false, "true", "false"] }),
        Shape::Text(form) => of_form(form),
        Shape::List(item) => json!({ "type": "array", "items": of_shape(item) }),
        Shape::Map(key, value) => {
            let mut schema = json!({ "type": ["object", "null"], "additionalProperties": of_shape(value) });
            let pattern = key.and_then(whole);
            if let (Some(pattern), Value::Object(fields)) = (pattern, &mut schema) {
                fields.insert("propertyNames".to_owned(), json!({ "pattern": pattern }));
            }
            schema
        }
        Shape::Fixed(table) => reference(table),
        Shape::Channel(declared) => mapping(&CHANNEL, Some(declared)).into(),
        Shape::Either(choices) => json!({ "anyOf": choices.iter().map(of_shape).collect::<Vec<_>>() }),
    }
}

fn of_form(form: &'static Form) -> Value {
    let ty = if form.number { json!(["string", "number", "boolean"]) } else { json!("string") };
    match whole(form) {
        Some(pattern) => json!({ "type": ty, "pattern": pattern }),
        None => json!({ "type": ty }),
    }
}

fn whole(form: &'static Form) -> Option<String> {
    (!form.pattern.is_empty()).then(|| format!("^(?:{})$", form.pattern))
}

fn reference(table: &Table) -> Value {
    json!({ "$ref": format!("#/$defs/{}", name(table)) })
}

/// Returns the name of a definition: what the mapping is, in letters and dashes.
fn name(table: &Table) -> String {
    let words = table.what.split(|letter: char| !letter.is_ascii_alphanumeric());
    let words: Vec<&str> = words.filter(|word| !word.is_empty() && !["a", "an"].contains(word)).collect();
    words.join("-")
}
