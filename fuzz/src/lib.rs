//! What must hold whatever the bytes: one function a target, which says whether the bytes got through to what it is about. The
//! tests of the rules run them on any compiler, too.

use seamline_contract::channel::{ChannelId, ChannelKind};
use seamline_contract::estate::Estate;
use seamline_contract::id::ViewId;
use seamline_contract::path::DocumentId;
use seamline_contract::resolve::{ResolvedContract, resolve, resolve_all};
use seamline_contract::value::Value;
use seamline_expr::program::compile;
use seamline_expr::scope::Scope;
use seamline_lang::estate::{Reading, read_estate};
use seamline_message::codec::avro::{Schema, Schemas};
use seamline_message::codec::structured::to_binary;
use seamline_message::codec::{Codec, Writing};
use seamline_message::headers::Headers;
use seamline_rules::diff::impact::impacts;
use seamline_rules::diff::verdict::findings;
use seamline_rules::diff::{Sides, diff as differences};
use seamline_rules::review::{Facts, review};
use std::collections::BTreeMap;
use std::sync::OnceLock;

/// What parts the two texts of a diff.
const PARTING: &str = "\n=====\n";

const SETTINGS: &str = "seamline.yaml";
const ESTATE: &str =
    "apiVersion: seamline/v1\nkind: Estate\nroots: [.]\ndefaults: { zone: UTC, classification: internal }\n";
const CONTEXT: &str = "apiVersion: seamline/v1\nkind: Context\nmeaning: A context.\nteam: proof\n";
const PLACE: &str = "proof/thing.contract.yaml";
const THING: &str = include_str!("../seeds/parser/thing.contract.yaml");

fn read(text: &str) -> Reading {
    let files = [(SETTINGS, ESTATE), ("proof/proof.context.yaml", CONTEXT), (PLACE, text)];
    let files: BTreeMap<DocumentId, String> =
        files.into_iter().map(|(path, text)| (DocumentId(path.to_owned()), text.to_owned())).collect();
    read_estate(&files, DocumentId(SETTINGS.to_owned()))
}

fn thing() -> &'static ResolvedContract {
    static THING_READ: OnceLock<ResolvedContract> = OnceLock::new();
    THING_READ.get_or_init(|| {
        let reading = read(THING);
        assert!(reading.findings.is_empty(), "{:?}", reading.findings);
        resolve(&reading.estate, &"proof/thing@1".parse().expect("a reference")).expect("it resolves")
    })
}

/// Reads bytes as a contract, reviews what there is, and compiles what resolves: every finding has a place in the text.
pub fn parser(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let reading = read(text);
    let reviewed = review(&reading.estate, &Facts::default());
    for finding in reading.findings.iter().chain(&reviewed) {
        let at = reading.sources.locate(&finding.at);
        let document =
            reading.sources.document(&at.document).expect("a finding is in a document that was read");
        assert!(document.text.get(at.bytes.clone()).is_some(), "{finding:?}");
    }
    for resolved in resolve_all(&reading.estate).values().flatten() {
        // What has findings need not compile; it must say so.
        let _compiled = Codec::compile(resolved);
    }
    reading.findings.is_empty()
}

/// Compiles bytes as an expression over a contract with every type, and evaluates it over no value and over a row.
pub fn expressions(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let contract = thing();
    let Ok(program) = compile(text, &Scope::of(contract)) else { return false };
    let nothing = vec![Value::Null; contract.attributes.len()];
    for row in [&nothing, row()] {
        if let Ok(value) = program.eval(row) {
            assert!(
                !value.is_null() || program.optional(),
                "`{text}` has no value, and was said to have one"
            );
        }
    }
    true
}

/// Holds two texts of a contract against each other: the same text differs in nothing, and every finding is told.
pub fn diff(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let (old, new) = text.split_once(PARTING).unwrap_or((text, THING));
    let [old, new]: [Estate; 2] = [old, new].map(|text| read(text).estate);
    let mut differs = false;
    for (one, other) in [(&old, &new), (&new, &old)] {
        let sides = Sides::new(one, other);
        let found = differences(&sides);
        findings(&found, &impacts(&sides, &found));
        differs = !found.changes.is_empty();
    }
    let same = differences(&Sides::new(&old, &old));
    assert!(same.changes.is_empty(), "{:?}", same.changes);
    differs
}

/// Examines bytes as payloads of a contract with every type. What is read in source form and written is read again the same.
pub fn payload(bytes: &[u8]) -> bool {
    let codec = codec();
    let mut is_sound = false;
    let contract = &codec.contract().contract;
    let views = contract.views.iter().map(|view| Some(&view.id));
    for view in std::iter::once(None).chain(views) {
        encodings(&schema(view), bytes);
        for writing in [Writing::Source, Writing::Wire] {
            if let Ok(row) = codec.examine_state(view, writing, bytes) {
                is_sound = true;
                let written = codec.encode_state(view, &row, None);
                let again = codec.examine_state(view, Writing::Wire, &written);
                assert_eq!(again.as_ref(), Ok(&row), "{}", String::from_utf8_lossy(&written));
                let schema = schema(view);
                let avro =
                    schema.write(&written).expect("a row that keeps its contract has a place in its schema");
                assert_eq!(schema.read(&avro), Ok(written));
            }
            for event in contract.events.iter().flat_map(|events| &events.events) {
                is_sound |= codec.examine_event(view, &event.name, writing, bytes).is_ok();
            }
        }
    }
    is_sound
}

fn schema(view: Option<&ViewId>) -> Schema {
    let channel = ChannelId { view: view.cloned(), kind: ChannelKind::State };
    Schemas::of(codec(), &channel).get(None).expect("the contract has states").clone()
}

/// Reads bytes as Avro, and as an event in structured mode.
fn encodings(schema: &Schema, bytes: &[u8]) {
    let framed = [&[0][..], &schema.id().0.to_be_bytes(), bytes].concat();
    if let Ok(read) = schema.read(&framed) {
        assert!(std::str::from_utf8(&read).is_ok(), "a payload is UTF-8");
    }
    let mut headers = Headers::default();
    headers.push("content-type", Some(b"application/cloudevents+json"));
    if let Ok(binary) = to_binary(&headers, Some(bytes)) {
        assert!(binary.is_some(), "it is in structured mode");
    }
}

fn codec() -> &'static Codec {
    static CODEC: OnceLock<Codec> = OnceLock::new();
    CODEC.get_or_init(|| Codec::compile(thing()).expect("it compiles"))
}

fn row() -> &'static Vec<Value> {
    static ROW: OnceLock<Vec<Value>> = OnceLock::new();
    ROW.get_or_init(|| {
        let json = include_bytes!("../seeds/payload/row.json");
        codec().examine_state(None, Writing::Source, json).expect("the seed keeps the contract")
    })
}
