//! A second implementation in Python, written from the reference pages alone, agrees on ten thousand rows of every type.

use crate::fixture::everything;
use crate::properties::rows;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use seamline_contract::attribute::{Attribute, Shape, Type};
use seamline_contract::value::Value;
use seamline_message::canonical;
use seamline_message::digest::{DigestKey, Domain, digest, written};
use serde_json::json;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Output};

const ROWS: usize = 10_000;
const SECRET: DigestKey = DigestKey([0x5e; 32]);

/// Runs the second implementation.
pub(crate) fn python(arguments: &[&str]) -> Output {
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reference.py");
    Command::new("python3").arg("-B").arg(program).args(arguments).output().expect("python3 starts")
}

/// Returns what a program printed that ended well.
pub(crate) fn printed(output: Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Tells the second implementation of a type.
fn told(shape: &Shape) -> serde_json::Value {
    let own = |attribute: &Attribute| told(attribute.own_shape().unwrap());
    match &shape.ty {
        _ if shape.approximate => json!({ "type": "approximate" }),
        Type::Decimal { scale, .. } => json!({ "type": "decimal", "scale": scale }),
        Type::Object(members) => {
            let members = members.iter().map(|member| (member.name.to_string(), own(member)));
            json!({ "type": "object", "members": members.collect::<serde_json::Map<_, _>>() })
        }
        Type::Map(element) => json!({ "type": "map", "of": own(element) }),
        Type::List(element) => json!({ "type": "list", "of": own(element) }),
        plain => json!({ "type": format!("{plain:?}").to_lowercase() }),
    }
}

/// Returns a value in source form, in one of the ways that databases print it.
fn source(value: &Value, way: usize) -> String {
    let quoted = |text: String| serde_json::to_string(&text).unwrap();
    let plain = canonical::text(value);
    match value {
        Value::Null => "null".into(),
        Value::Boolean(truth) if way.is_multiple_of(2) => u8::from(*truth).to_string(),
        Value::Boolean(truth) => truth.to_string(),
        Value::Integer(_) | Value::Decimal(_) if way.is_multiple_of(2) => plain.unwrap(),
        Value::Decimal(number) if way.is_multiple_of(3) && number.scale() > 0 => {
            quoted(format!("{number}000"))
        }
        Value::Approximate(number) => format!("{number:e}"),
        Value::Timestamp(_) if way.is_multiple_of(3) => {
            quoted(plain.unwrap().replace('T', " ").replace('Z', "+00"))
        }
        Value::Timestamp(instant) if way % 3 == 1 => {
            quoted(shifted(*instant).unwrap_or_else(|| plain.unwrap()))
        }
        Value::Duration(micros)
            if way.is_multiple_of(2) && *micros >= 0 && micros.unsigned_abs().is_multiple_of(1000) =>
        {
            quoted(format!("{}ms", micros / 1000))
        }
        Value::Duration(micros) => micros.to_string(),
        Value::Uuid(_) if way.is_multiple_of(2) => quoted(plain.unwrap().replace('-', "").to_uppercase()),
        Value::Bytes(bytes) => {
            let hex = bytes.iter().fold(String::new(), |mut hex, byte| {
                write!(hex, "{byte:02X}").unwrap();
                hex
            });
            quoted(if way.is_multiple_of(2) { hex } else { format!("\\x{hex}") })
        }
        Value::List(elements) => {
            let elements: Vec<String> = elements.iter().map(|element| source(element, way + 1)).collect();
            let json = format!("[{}]", elements.join(", "));
            if way.is_multiple_of(2) { quoted(json) } else { json }
        }
        Value::Map(members) => {
            let members: Vec<String> = members
                .iter()
                .map(|(name, value)| format!("{}: {}", quoted(name.clone()), source(value, way + 1)))
                .collect();
            let json = format!("{{{}}}", members.join(", "));
            if way.is_multiple_of(2) { quoted(json) } else { json }
        }
        _ => quoted(plain.unwrap()),
    }
}

/// Returns an instant as the clock of India shows it, where its year has four digits.
fn shifted(instant: jiff::Timestamp) -> Option<String> {
    let offset = jiff::tz::Offset::from_seconds(19_800).unwrap();
    let civil = offset.to_datetime(instant);
    (1..=9998).contains(&civil.year()).then(|| format!("{civil}+05:30"))
}

#[test]
#[cfg_attr(not(python3_here), ignore = "not run: there is no python3")]
fn both_implementations_agree_on_rows_of_every_type() {
    let codec = everything();
    let contract = codec.contract();
    let names = |slots: &[usize]| {
        slots.iter().map(|slot| contract.attributes[*slot].name.to_string()).collect::<Vec<_>>()
    };
    let attributes =
        contract.attributes.iter().map(|attribute| (attribute.name.to_string(), told(&attribute.shape)));
    let head = json!({
        "digestKey": SECRET.0.iter().map(|byte| format!("{byte:02x}")).collect::<String>(),
        "key": names(&contract.key),
        "partitionBy": names(&contract.partition_by),
        "attributes": attributes.collect::<serde_json::Map<_, _>>(),
    });
    let mut runner = TestRunner::deterministic();
    let strategy = rows();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "{head}").unwrap();
    let mut ours = Vec::with_capacity(ROWS);
    for at in 0..ROWS {
        let row = strategy.new_tree(&mut runner).unwrap().current();
        let members = contract.attributes.iter().zip(&row).enumerate();
        let members = members
            .map(|(way, (attribute, value))| format!("\"{}\":{}", attribute.name, source(value, way + at)));
        let json = format!("{{{}}}", members.collect::<Vec<_>>().join(","));
        assert_eq!(codec.read_source(json.as_bytes()).as_ref(), Ok(&row), "{json}");
        let with_written = at.is_multiple_of(10);
        writeln!(
            file,
            "{}{}",
            &json[..json.len() - 1],
            if with_written { ",\"written\":true}" } else { "}" }
        )
        .unwrap();
        ours.push(in_the_log(&codec, &row, with_written));
    }
    file.flush().unwrap();
    let theirs = python(&["rows", file.path().to_str().unwrap()]);
    let theirs = printed(theirs);
    let theirs: Vec<serde_json::Value> =
        theirs.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(theirs.len(), ROWS);
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert_eq!(ours, theirs);
    }
}

/// Returns what a row is in the log.
fn in_the_log(
    codec: &seamline_message::codec::Codec,
    row: &[Value],
    with_written: bool,
) -> serde_json::Value {
    let key = codec.key_of(row);
    let state = codec.state_part(None, row);
    let mut digests = vec![digest(&SECRET, Domain::State, key.as_bytes(), &state).to_string()];
    if with_written {
        let names = codec.contract().attributes.iter().map(|attribute| attribute.name.as_str());
        let columns: Vec<(&str, &Value)> = names.zip(row).collect();
        digests.push(written(&SECRET, key.as_bytes(), &columns).to_string());
    }
    json!({
        "key": key.as_str(),
        "bucket": key.bucket(),
        "partition": codec.partition(&key, 12),
        "state": String::from_utf8(state).unwrap(),
        "digests": digests,
    })
}
