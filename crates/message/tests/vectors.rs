//! The vectors in files hold for this implementation and for the second one.

use crate::fixture::contract;
use crate::reference::{printed, python};
use seamline_contract::value::Value;
use seamline_message::canonical;
use seamline_message::codec::Codec;
use seamline_message::digest::{Digest, DigestKey, Domain, digest};
use seamline_message::key::{RecordKey, murmur2, partition};
use seamline_message::sequence::Sequence;
use seamline_message::sums::Sums;
use serde_json::Value as Json;

fn load(name: &str) -> Vec<Json> {
    let path = format!("{}/tests/vectors/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn text<'a>(case: &'a Json, name: &str) -> &'a str {
    case[name].as_str().unwrap()
}

fn bytes(case: &Json, name: &str) -> Vec<u8> {
    let pairs = text(case, name).as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

#[test]
fn keys_are_those_of_the_vectors() {
    for case in load("keys") {
        let texts: Vec<String> =
            case["texts"].as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect();
        let key = RecordKey::from_texts(&texts);
        assert_eq!(key.as_str(), text(&case, "key"));
        assert_eq!(key.bucket() as u64, case["bucket"]);
        assert_eq!(murmur2(key.as_bytes()), case["murmur2"]);
        assert_eq!(partition(key.as_bytes(), 12), case["partitionOf12"]);
    }
}

#[test]
fn values_are_those_of_the_vectors() {
    for case in load("values") {
        let shape = text(&case, "type");
        let attribute = format!("value: {{ type: {shape}, optional: true, meaning: A value. }}");
        let document = format!(
            "apiVersion: seamline/v1\nkind: Contract\ncontext: proof\nversion: 1.0.0\nstatus: active\nmeaning: A value.\nkey: id\nclassification: internal\nstate: {{}}\nattributes:\n  id: {{ type: string, meaning: A key. }}\n  {attribute}\n"
        );
        let codec = Codec::compile(&contract("proof/value@1", &document)).unwrap();
        let row = codec.read_source(format!("{{\"value\":{}}}", text(&case, "source")).as_bytes()).unwrap();
        let mut out = Vec::new();
        canonical::write(&row[1], &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), text(&case, "canonical"));
    }
}

#[test]
fn digests_are_those_of_the_vectors() {
    let domains = [
        ("state", Domain::State),
        ("event", Domain::Event),
        ("raw", Domain::Raw),
        ("tombstone", Domain::Tombstone),
        ("written", Domain::Written),
    ];
    for case in load("digests") {
        let key = DigestKey(bytes(&case, "digestKey").try_into().unwrap());
        let (_, domain) = domains.iter().find(|(name, _)| *name == text(&case, "domain")).unwrap();
        let digest = digest(&key, *domain, &bytes(&case, "recordKey"), &bytes(&case, "content"));
        assert_eq!(digest.to_string(), text(&case, "digest"));
    }
}

#[test]
fn sums_are_those_of_the_vectors() {
    for case in load("sums") {
        let mut sums = Sums::new();
        for record in case["records"].as_array().unwrap() {
            let key = RecordKey::parse(text(record, "key").as_bytes()).unwrap();
            let sequence: Sequence = text(record, "sequence").parse().unwrap();
            sums.add(&key, sequence, Digest::from_bytes(bytes(record, "digest").try_into().unwrap()));
        }
        assert_eq!(sums.to_bytes(), bytes(&case, "sums"));
        assert_eq!(Sums::from_bytes(&bytes(&case, "sums")), Ok(sums));
    }
}

#[test]
#[cfg_attr(not(python3_here), ignore = "not run: there is no python3")]
fn the_second_implementation_agrees_with_the_vectors() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors");
    let output = python(&["vectors", folder]);
    let printed = printed(output);
    for name in ["keys", "values", "digests", "sums"] {
        assert!(printed.contains(&format!("{name} {}\n", load(name).len())), "{printed}");
    }
}

#[test]
#[cfg_attr(not(python3_here), ignore = "not run: there is no python3")]
fn the_second_implementation_refuses_a_vector_that_was_tampered_with() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["keys", "values", "digests", "sums"] {
        let mut cases = load(name);
        if name == "digests" {
            cases[0]["content"] = "7b7d".into();
        }
        let text = serde_json::to_string(&cases).unwrap();
        std::fs::write(folder.path().join(format!("{name}.json")), text).unwrap();
    }
    let output = python(&["vectors", folder.path().to_str().unwrap()]);
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("digests: "));
}

#[test]
fn no_value_has_no_text() {
    assert_eq!(canonical::text(&Value::Null), None);
}
