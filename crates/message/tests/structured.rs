//! Events in structured mode: what they say is what the same record says in binary mode, and what cannot be read is told.

use seamline_message::codec::structured::{Binary, to_binary};
use seamline_message::envelope::{Envelope, Header, MessageKind};
use seamline_message::headers::Headers;
use seamline_message::sequence::Sequence;
use serde_json::{Value, json};

const EVENT_JSON: &str = "application/cloudevents+json";

fn envelope() -> Envelope {
    Envelope {
        id: "policy@2/main/42/state".into(),
        source: "/policy-administration".into(),
        kind: MessageKind::State,
        time: "2026-01-02T03:04:05.000006Z".parse().unwrap(),
        contract: "policy-administration/policy@2".parse().unwrap(),
        version: "2.1.0".parse().unwrap(),
        key_text: "[\"P-\u{fc}\"]".into(),
        sequence: Sequence(42),
        previous: Some(Sequence(41)),
        correlation: Some("a".into()),
        causation: None,
        effective: Some("2026-01-01".into()),
        traceparent: Some("00-x".into()),
    }
}

fn content_type(value: &str) -> Header {
    Header { name: "content-type".into(), value: Some(value.into()) }
}

/// Returns an event that says in structured mode what an envelope says.
fn event(data: &Value) -> Value {
    let mut event = serde_json::Map::new();
    for header in envelope().to_headers() {
        let text = String::from_utf8(header.value.unwrap()).unwrap();
        let name = header.name.strip_prefix("ce_").unwrap_or(&header.name);
        let name = if name == "content-type" { "datacontenttype" } else { name };
        event.insert(name.to_owned(), text.into());
    }
    event.insert("data".to_owned(), data.clone());
    event.into()
}

fn read(headers: &[Header], value: Option<&[u8]>) -> Result<Option<Binary>, String> {
    let told = |violation: seamline_message::violation::Violation| {
        format!("{} {}: {}", violation.rule, violation.path, violation.message)
    };
    to_binary(&Headers::from(headers), value).map_err(told)
}

/// Returns the rule and the path of what is wrong with an event whose members were changed.
fn refused(change: impl FnOnce(&mut serde_json::Map<String, Value>)) -> String {
    let mut event = event(&json!({ "state": {} }));
    change(event.as_object_mut().unwrap());
    let read = read(&[content_type(EVENT_JSON)], Some(event.to_string().as_bytes()));
    match read {
        Err(told) => told.split(':').next().unwrap().to_owned(),
        Ok(Some((headers, _))) => Envelope::from_headers(&headers)
            .err()
            .map_or_else(String::new, |violation| format!("{} {}", violation.rule, violation.path)),
        Ok(None) => panic!("it is in structured mode"),
    }
}

#[test]
fn an_event_in_structured_mode_says_what_the_same_record_says_in_binary_mode() {
    let data = json!({ "state": { "premium": "9007199254740993", "name": "\u{1f600}" } });
    for content_type in [EVENT_JSON, "Application/CloudEvents+JSON; charset=UTF-8"].map(content_type) {
        let (headers, value) =
            read(&[content_type], Some(event(&data).to_string().as_bytes())).unwrap().unwrap();
        assert_eq!(Envelope::from_headers(&headers).unwrap(), envelope());
        assert_eq!(value.unwrap(), data.to_string().as_bytes(), "the data is as it was sent");
    }
}

#[test]
fn a_record_in_binary_mode_is_left_as_it_is() {
    let repeated = [content_type("application/json"), content_type("text/plain")];
    for headers in [&envelope().to_headers()[..], &[], &repeated] {
        assert_eq!(read(headers, Some(b"{}")), Ok(None));
    }
}

#[test]
fn a_member_that_is_null_is_not_there_and_others_are_ignored() {
    assert_eq!(
        refused(|event| {
            event.insert("causationid".into(), Value::Null);
            event.insert("data_base64".into(), Value::Null);
            event.insert("comexampleother".into(), json!({ "any": [1, 2.5] }));
        }),
        ""
    );
    assert_eq!(refused(|event| drop(event.insert("id".into(), Value::Null))), "HEADER headers.ce_id");
}

#[test]
fn a_broken_attribute_is_named() {
    for (member, header) in [("sequence", "ce_sequence"), ("time", "ce_time"), ("subject", "ce_subject")] {
        for value in [json!(42), json!(true), json!([]), json!({}), json!(""), json!("a\u{0}")] {
            let path = format!("HEADER headers.{header}");
            assert_eq!(refused(|event| drop(event.insert(member.into(), value.clone()))), path, "{value}");
        }
        assert_eq!(refused(|event| drop(event.remove(member))), format!("HEADER headers.{header}"));
    }
}

#[test]
fn data_that_is_no_json_is_refused() {
    for (member, value, path) in [
        ("datacontenttype", json!("application/xml"), "HEADER headers.ce_datacontenttype"),
        ("datacontenttype", json!(7), "HEADER headers.ce_datacontenttype"),
        ("data_base64", json!("e30="), "HEADER headers.data_base64"),
        ("data", Value::Null, "SHAPE data"),
    ] {
        assert_eq!(refused(|event| drop(event.insert(member.into(), value))), path);
    }
    let void = json!("policy-administration.policy.void");
    assert_eq!(refused(|event| drop((event.insert("type".into(), void), event.remove("data")))), "");
}

#[test]
fn what_is_not_one_event_as_json_is_refused() {
    let whole = event(&json!({})).to_string();
    let twice = whole.replacen('{', "{\"id\":\"x\",", 1);
    let cases: [(&str, Option<&[u8]>, &str); 8] = [
        ("application/cloudevents-batch+json", Some(b"[]"), "HEADER headers.content-type: a batch of events"),
        ("application/cloudevents+avro", Some(b""), "HEADER headers.content-type: an event format"),
        ("application/cloudevents", Some(b"{}"), "HEADER headers.content-type: an event format"),
        ("application/cloudevents+json; charset=latin1", Some(b"{}"), "HEADER headers.content-type: another"),
        (EVENT_JSON, None, "HEADER headers.content-type: a record in structured mode without a value"),
        (EVENT_JSON, Some(b"[]"), "JSON : not an object"),
        (EVENT_JSON, Some(b"\xff"), "JSON : not UTF-8"),
        (EVENT_JSON, Some(twice.as_bytes()), "JSON : "),
    ];
    for (format, value, begins) in cases {
        let told = read(&[content_type(format)], value).unwrap_err();
        assert!(told.starts_with(begins), "{format}: {told}");
    }
    let deep = format!("{{\"data\":{}{}}}", "[".repeat(100), "]".repeat(100));
    assert!(
        read(&[content_type(EVENT_JSON)], Some(deep.as_bytes())).unwrap_err().contains("nested too deep")
    );
}

#[test]
fn a_content_type_that_is_repeated_or_null_is_refused() {
    let null = Header { name: "content-type".into(), value: None };
    for other in [null, content_type("application/json")] {
        let told = read(&[content_type(EVENT_JSON), other.clone()], Some(b"{}")).unwrap_err();
        assert_eq!(told, "HEADER headers.content-type: there twice");
        assert!(read(&[other, content_type(EVENT_JSON)], Some(b"{}")).is_err());
    }
}
