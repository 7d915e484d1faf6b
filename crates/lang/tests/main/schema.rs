//! The JSON Schema of the language: it takes what the readers take, and refuses what they refuse.

use crate::formatting::{documents, estates};
use crate::robustness::example;
use crate::{CONTRACT, lines, read};
use jsonschema::{Validator, draft202012};
use seamline_contract::path::DocumentId;
use seamline_lang::node::{Content, Node, Style};
use seamline_lang::schema::json::json_schema;
use seamline_lang::schema::shape::of_kind;
use seamline_lang::schema::{KINDS, TABLES};
use seamline_lang::yaml;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Returns a tree as the reader types it, all texts, or as other readers of YAML do.
fn json(node: &Node, typed: bool) -> Value {
    match &node.content {
        Content::Scalar { text, style } => match (text.as_str(), *style == Style::Plain) {
            ("", true) => Value::Null,
            ("true", true) if typed => json!(true),
            ("false", true) if typed => json!(false),
            (text, true) if typed && text.parse::<f64>().is_ok() => json!(text.parse::<f64>().unwrap()),
            (text, _) => json!(text),
        },
        Content::Sequence(items) => items.iter().map(|item| json(item, typed)).collect(),
        Content::Mapping(entries) => Value::Object(
            entries.iter().map(|entry| (entry.key.clone(), json(&entry.value, typed))).collect(),
        ),
    }
}

fn validator(kind: Option<&str>) -> Validator {
    draft202012::new(&json_schema(kind).unwrap()).unwrap()
}

/// Returns what the schemas of all kinds and of its own kind say of a text, typed either way.
fn refusals(text: &str, all: &Validator) -> Vec<String> {
    let root = yaml::parse(text).0.unwrap();
    let kind = root
        .entry("kind")
        .and_then(|entry| entry.value.text())
        .filter(|kind| json_schema(Some(kind)).is_some());
    let own = kind.map(|kind| validator(Some(kind)));
    let mut found = Vec::new();
    for typed in [false, true] {
        let value = json(&root, typed);
        for schema in [Some(all), own.as_ref()].into_iter().flatten() {
            found.extend(
                schema.iter_errors(&value).map(|error| format!("{}: {error}", error.instance_path())),
            );
        }
    }
    found
}

fn check_all(files: &BTreeMap<DocumentId, String>) {
    let all = validator(None);
    for (id, text) in files.iter().filter(|(id, _)| id.0.ends_with(".yaml")) {
        assert_eq!(refusals(text, &all), [""; 0], "{id}");
    }
}

#[test]
fn each_schema_is_one_of_its_dialect() {
    for kind in KINDS.iter().map(|(kind, _)| Some(*kind)).chain([None]) {
        let schema = json_schema(kind).unwrap();
        assert!(draft202012::meta::is_valid(&schema), "{kind:?}");
    }
    assert_eq!(json_schema(Some("Contrakt")), None);
}

#[test]
#[cfg_attr(not(estates_here), ignore = "not run: the example estates are not beside the repository")]
fn the_schema_takes_the_example_estates() {
    for name in ["insurer", "custody"] {
        check_all(&example(name));
    }
}

#[test]
fn the_schema_takes_the_estates_of_the_repository() {
    for folder in estates() {
        check_all(&documents(&folder));
    }
    check_all(&BTreeMap::from([(DocumentId("policy.contract.yaml".to_owned()), CONTRACT.to_owned())]));
}

#[test]
fn the_schema_refuses_what_the_reader_refuses() {
    let all = validator(None);
    for (from, to) in [
        ("kind: Contract", "kind: Contrakt"),
        ("seamline/v1", "seamline/v2"),
        ("version: 2.1.0", "version: v2"),
        ("version: 2.1.0", "version: 2.1"),
        ("version: 2.1.0\n", ""),
        ("key: policyId\n", ""),
        ("status: active", "status: live"),
        ("context: insurance", "context: Insurance"),
        ("classification: internal", "classification: secret"),
        ("classification: internal", "clasification: internal"),
        ("policyId: { type", "PolicyId: { type"),
        ("type: string", "typ: string"),
        ("type: string", "type: text"),
        ("type: string", "type: string, optional: perhaps"),
        ("type: string", "type: string, length: long"),
        ("type: string", "type: decimal(12)"),
        ("type: enum", "type: enum\n    open: sometimes"),
        ("eligible: Covered.", "e ligible: Covered."),
        ("[-> eligible, eligible -> ineligible]", "[eligible]"),
        ("[-> eligible, eligible -> ineligible]", "eligible -> ineligible"),
        ("  PolicyBound: { ", "  PolicyBound: { becoms: { a: b }, "),
        ("  PolicyBound: { ", "  policyBound: { "),
        ("  PolicyBound: { ", "  PolicyBound: { ends: maybe, "),
        ("  PolicyBound: { ", "  PolicyBound: { sets: claimsStatus, "),
        ("  PolicyBound: { ", "  PolicyBound: { reasons: { lower: Why. }, "),
        ("state: {}", "state: { cadence: sometimes }"),
        ("state: {}", "state: { encoding: xml }"),
        ("state: {}", "guarantees: { state: { freshness: soon } }"),
        ("state: {}", "guarantees: { events: { replay: all } }"),
        ("state: {}", "reconciliation: { every: 15m, page: many }"),
        ("state: {}", "views: { Ids: { for: [claims], only: [policyId] } }"),
        ("state: {}", "views: { ids: { for: [claims] } }"),
        ("state: {}", "serves: [{ version: old }]"),
        ("state: {}", "changes: [{ version: 2.1.0 }]"),
        ("state: {}", "derived: { from: [insurance/policy] }"),
        ("state: {}", "expect: { rows: lots }"),
    ] {
        let text = CONTRACT.replacen(from, to, 1);
        assert_ne!(text, CONTRACT, "{from}");
        assert!(!refusals(&text, &all).is_empty(), "taken: {to}");
        assert!(!lines(&read(&[("policy.contract.yaml", &text)])).is_empty(), "the reader takes {to}");
    }
}

#[test]
fn each_kind_and_each_mapping_is_in_the_schema() {
    let read = |kind: &&(&str, &str)| of_kind(kind.0).is_some();
    let kinds: Vec<&str> = KINDS.iter().filter(read).map(|(kind, _)| *kind).collect();
    assert!(kinds.len() >= 7, "{kinds:?}");
    let schema = json_schema(None).unwrap();
    let text = schema.to_string();
    let defined: BTreeSet<&String> = schema["$defs"].as_object().unwrap().keys().collect();
    let documents =
        TABLES.iter().filter(|table| table.keys.iter().any(|key| key.name == "apiVersion")).count();
    assert_eq!(defined.len(), TABLES.len() - documents);
    // A channel's keys stand beside names of the author's, so it is written out where it is used with some.
    let unused = defined.iter().filter(|name| !text.contains(&format!("\"#/$defs/{name}\"")));
    assert_eq!(unused.collect::<Vec<_>>(), Vec::<&&String>::new());
    for table in TABLES {
        for key in table.keys {
            assert!(text.contains(&format!("\"{}\":{{", key.name)), "{}", key.name);
        }
    }
}
