//! Avro says what the same payload says in JSON, byte for byte when it comes back; and no bytes make a reader fall or grow.

use crate::fixture::{everything, policy, policy_row};
use crate::properties::rows;
use proptest::prelude::*;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use seamline_contract::channel::{ChannelId, ChannelKind};
use seamline_message::codec::avro::{Schema, SchemaId, Schemas};
use seamline_message::codec::{Change, Codec};
use serde_json::Value;
use std::io::{Seek, Write};
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;

static CODEC: LazyLock<Codec> = LazyLock::new(everything);
static STATE: LazyLock<Schema> = LazyLock::new(|| schemas(&CODEC, None, ChannelKind::State, None));

fn schemas(codec: &Codec, view: Option<&str>, kind: ChannelKind, event: Option<&str>) -> Schema {
    let view = view.map(|view| view.parse().unwrap());
    let schemas = Schemas::of(codec, &ChannelId { view, kind });
    schemas.get(event.map(|event| event.parse().unwrap()).as_ref()).unwrap().clone()
}

/// Writes a payload in Avro and reads it again.
fn there_and_back(schema: &Schema, payload: &[u8]) -> String {
    let avro = schema.write(payload).unwrap();
    assert_eq!(SchemaId::named_in(&avro), Ok(schema.id()));
    String::from_utf8(schema.read(&avro).unwrap()).unwrap()
}

fn broken(found: Result<Vec<u8>, seamline_message::violation::Violation>) -> String {
    found.map_or_else(|violation| violation.to_string(), |json| String::from_utf8_lossy(&json).into_owned())
}

/// A schema of one value, and what framed bytes of it say.
fn read_as(ty: &str, bytes: &[u8]) -> String {
    let text = format!(r#"{{"type":"record","name":"R","fields":[{{"name":"v","type":{ty}}}]}}"#);
    let schema = Schema::parse(&text).unwrap();
    let framed = [&[0][..], &schema.id().0.to_be_bytes(), bytes].concat();
    broken(schema.read(&framed))
}

proptest! {
    #[test]
    fn a_state_comes_back_byte_for_byte(row in rows(), effective in proptest::option::of(Just("2026-01-02"))) {
        let payload = CODEC.encode_state(None, &row, effective);
        prop_assert_eq!(there_and_back(&STATE, &payload), String::from_utf8(payload).unwrap());
    }

    #[test]
    fn what_is_cut_short_or_changed_is_told_or_is_another_payload(row in rows(), at in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let payload = CODEC.encode_state(None, &row, None);
        let avro = STATE.write(&payload).unwrap();
        prop_assert!(STATE.read(&avro[..at.index(avro.len())]).is_err());
        prop_assert!(STATE.read(&[&avro[..], &[0]].concat()).is_err());
        let mut changed = avro.clone();
        changed[at.index(avro.len())] ^= 1_u8 << bit;
        if let Ok(read) = STATE.read(&changed) {
            let other = String::from_utf8(read).expect("what is read is UTF-8");
            let _: serde_json::Value = serde_json::from_str(&other).expect("what is read is JSON");
        }
    }

    #[test]
    fn no_bytes_make_a_reader_fall(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let framed = [&[0][..], &STATE.id().0.to_be_bytes(), &bytes].concat();
        let _ = STATE.read(&framed);
        let _ = STATE.read(&bytes);
    }
}

#[test]
fn events_come_back_as_each_channel_carries_them() {
    let codec = policy();
    let row = policy_row(&codec, &[("claimsStatus", "\"ineligible\"")]);
    let mut seen = 0;
    for view in [None, Some("eligibility")] {
        for event in &codec.contract().contract.events.as_ref().unwrap().events {
            let change = Change {
                event: event.name.clone(),
                effective: Some("2026-02-03".to_owned()),
                reason: event.reasons.first().map(|(reason, _)| reason.to_string()),
                details: None,
            };
            let id = view.map(|view| view.parse().unwrap());
            let Ok(payload) = codec.encode_event(id.as_ref(), &change, &row) else { continue };
            let schema = schemas(&codec, view, ChannelKind::Events, Some(event.name.as_str()));
            assert_eq!(there_and_back(&schema, &payload), String::from_utf8(payload).unwrap());
            seen += 1;
        }
    }
    assert!(seen > 3, "{seen} events");
}

#[test]
fn a_view_has_a_schema_of_its_own_that_names_only_what_it_holds() {
    let codec = policy();
    let of = |view| schemas(&codec, view, ChannelKind::State, None);
    let (own, view) = (of(None), of(Some("eligibility")));
    assert!(own.text().contains("holderName") && !view.text().contains("holderName"));
    assert!(view.text().contains(r#""namespace":"policy_administration.policy.v2.eligibility""#));
    assert!(own.text().contains(r#""logicalType":"decimal","precision":12,"scale":2"#), "{}", own.text());
    assert!(own.text().contains(r#""symbols":["eligible","ineligible"]"#), "{}", own.text());
    assert_eq!(of(None), own, "the same contract has the same schema");
}

#[test]
fn a_payload_that_the_schema_has_no_place_for_is_not_written() {
    let schema = schemas(&policy(), None, ChannelKind::State, None);
    for payload in [
        r#"{"key":["P-1"],"state":{}}"#,
        r#"{"key":["P-1"],"state":[]}"#,
        r#"{"key":["P-1"]}"#,
        r#"{"key":[1],"state":{}}"#,
        r#"{"key":["P-1"],"more":1,"state":{}}"#,
        "{",
    ] {
        assert!(schema.write(payload.as_bytes()).is_err(), "{payload}");
    }
}

#[test]
fn what_others_write_is_read_in_every_form_that_avro_has() {
    let decimal = r#"{"type":"bytes","logicalType":"decimal","precision":5,"scale":2}"#;
    assert_eq!(read_as(decimal, &[2, 0x80]), r#"{"v":"-1.28"}"#);
    assert_eq!(read_as(decimal, &[6, 0xff, 0xff, 0x80]), r#"{"v":"-1.28"}"#, "more bytes than it needs");
    assert_eq!(read_as(decimal, &[2, 0]), r#"{"v":"0.00"}"#);
    let list = r#"{"type":"array","items":"long"}"#;
    assert_eq!(read_as(list, &[2, 2, 1, 2, 4, 0]), r#"{"v":["1","2"]}"#, "blocks, one with its size");
    let map = r#"{"type":"map","values":"boolean"}"#;
    assert_eq!(read_as(map, &[4, 2, b'b', 1, 2, b'a', 0, 0]), r#"{"v":{"a":false,"b":true}}"#);
    assert_eq!(read_as("\"double\"", &(-0.0_f64).to_le_bytes()), r#"{"v":0}"#);
}

#[test]
fn hostile_bytes_are_told_by_place() {
    let long = [0xff; 10];
    for (ty, bytes, told) in [
        ("\"string\"", &[0xfe, 0xff, 0xff, 0xff, 0x0f][..], "ENCODING at `v`: the bytes end"),
        ("\"string\"", &[1], "ENCODING at `v`: a length below zero"),
        ("\"string\"", &[2, 0xff], "ENCODING at `v`: a text that is not UTF-8"),
        ("\"long\"", &long, "ENCODING at `v`: a number of more than 64 bits"),
        ("\"double\"", &f64::NAN.to_le_bytes(), "TYPE at `v`: not a finite number"),
        ("\"boolean\"", &[2], "ENCODING at `v`: a boolean is 0 or 1"),
        (r#"["null","long"]"#, &[4], "ENCODING at `v`: neither null nor the type"),
        (
            r#"{"type":"array","items":"long"}"#,
            &[0xfe, 0xff, 0xff, 0xff, 0x0f],
            "ENCODING at `v`: the bytes end",
        ),
        (
            r#"{"type":"map","values":"long"}"#,
            &[4, 2, b'a', 0, 2, b'a', 0, 0],
            "ENCODING at `v`: a name stands twice",
        ),
        (r#"{"type":"enum","name":"E","symbols":["a"]}"#, &[2], "ENCODING at `v`: no symbol"),
        (r#"{"type":"int","logicalType":"date"}"#, &[0xfe, 0xff, 0xff, 0xff, 0x0f], "TYPE at `v`: a day"),
        (
            r#"{"type":"long","logicalType":"timestamp-micros"}"#,
            &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
            "TYPE at `v`: an instant",
        ),
        (
            r#"{"type":"bytes","logicalType":"decimal","precision":5,"scale":2}"#,
            &[0],
            "ENCODING at `v`: a decimal without",
        ),
    ] {
        let read = read_as(ty, bytes);
        assert!(read.starts_with(told), "{ty}: {read}");
    }
    for value in [&[][..], &[0], &[1, 0, 0, 0, 1], b"{\"key\":[]}"] {
        assert!(broken(STATE.read(value)).starts_with("ENCODING at ``: no Avro in Confluent's framing"));
    }
    assert!(broken(STATE.read(&[0, 0, 0, 0, 1])).contains("written with another schema"));
}

#[test]
fn only_schemas_that_contracts_have_are_read() {
    let field = |ty: &str| format!(r#"{{"type":"record","name":"R","fields":[{{"name":"v","type":{ty}}}]}}"#);
    let deep = format!("{}\"long\"{}", r#"{"type":"array","items":"#.repeat(100), "}".repeat(100));
    for text in [
        "",
        "7",
        "\"long\"",
        "{}",
        r#"{"type":"record","name":"R"}"#,
        r#"{"type":"record","name":"R","fields":[{"name":"b","type":"long"},{"name":"a","type":"long"}]}"#,
        &field("\"R\""),
        &field(r#"["null","long","string"]"#),
        &field(r#"["long","null"]"#),
        &field(r#"{"type":"bytes","logicalType":"decimal","precision":99,"scale":2}"#),
        &field(&deep),
    ] {
        assert!(Schema::parse(text).is_err(), "{text}");
    }
}

/// Returns the program that reads with fastavro, installed where that was not done for the same pins.
fn reader() -> Command {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("avro-reader");
    let here = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/avro_reader"));
    let (pins, mark) = (std::fs::read(here.join("requirements.txt")).unwrap(), home.join("installed"));
    if std::fs::read(&mark).ok().as_ref() != Some(&pins) {
        let done = |command: &mut Command| assert!(command.status().unwrap().success(), "{command:?}");
        done(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&home));
        let mut pip = Command::new(home.join("bin/pip"));
        done(pip.args(["install", "--quiet", "-r"]).arg(here.join("requirements.txt")));
        std::fs::write(mark, pins).unwrap();
    }
    let mut command = Command::new(home.join("bin/python"));
    command.arg("-B").arg(here.join("read.py"));
    command
}

fn digits(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(digits: &str) -> Vec<u8> {
    let pair = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(pair).collect()
}

/// Returns JSON in which 1 and 1.0 are one number.
fn as_floats(json: Value) -> Value {
    match json {
        Value::Number(number) => number.as_f64().into(),
        Value::Array(elements) => elements.into_iter().map(as_floats).collect(),
        Value::Object(members) => members.into_iter().map(|(name, it)| (name, as_floats(it))).collect(),
        other => other,
    }
}

#[test]
#[cfg_attr(not(servers_here), ignore = "not run: installs fastavro; `cargo x test` does")]
fn fastavro_reads_what_is_written_here_and_what_it_writes_is_read() {
    let mut runner = TestRunner::deterministic();
    let mut file = tempfile::tempfile().unwrap();
    writeln!(file, "{}", STATE.text()).unwrap();
    let mut payloads: Vec<String> = Vec::new();
    while payloads.len() < 2_000 {
        let row = rows().new_tree(&mut runner).unwrap().current();
        let payload = CODEC.encode_state(None, &row, None);
        let text = String::from_utf8(payload.clone()).unwrap();
        // Python knows no year 0.
        if text.contains("\"0000-") {
            continue;
        }
        writeln!(file, "{}", digits(&STATE.write(&payload).unwrap())).unwrap();
        payloads.push(text);
    }
    file.rewind().unwrap();
    let output = reader().arg("lines").stdin(file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8(output.stdout).unwrap();
    let json = |text: &str| as_floats(serde_json::from_str(text).unwrap());
    let mut theirs = Vec::new();
    for (line, ours) in printed.lines().zip(&payloads) {
        let (read, written) = line.split_once('\t').unwrap();
        assert_eq!(json(read), json(ours));
        assert_eq!(String::from_utf8(STATE.read(&bytes(written)).unwrap()).unwrap(), *ours);
        theirs.push(json(read));
    }
    assert_eq!(theirs.len(), payloads.len());
    assert_ne!(theirs[0], json(&payloads[1]), "rows differ, so that equal ones say something");
}
