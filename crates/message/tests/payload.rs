//! Payloads carry what their channel may carry, and a reader believes nothing.

use crate::fixture::{policy, policy_row};
use seamline_contract::channel::ChannelKind;
use seamline_contract::id::ViewId;
use seamline_contract::value::Value;
use seamline_message::codec::Change;
use seamline_message::key::partition;

const KEY: &[u8] = br#"["P-00000001"]"#;

fn view(id: &str) -> Option<ViewId> {
    Some(id.parse().unwrap())
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

/// Reads a state record on the own channel; returns the rule and path that it breaks.
fn state(value: &str) -> String {
    broken(policy().decode_state(None, Some(KEY), value.as_bytes()))
}

fn event(value: &str) -> String {
    broken(policy().decode_event(None, Some(KEY), value.as_bytes()))
}

fn broken<T>(read: Result<T, seamline_message::violation::Violation>) -> String {
    read.err().map(|violation| format!("{} {}", violation.rule, violation.path)).unwrap_or_default()
}

const STATE: &str = r#"{"effective":"2026-01-01","key":["P-00000001"],"state":{"address":{"city":"Bonn","street":"Am Hof 1"},"annualPremium":"120.50","claimsStatus":"eligible","coverFrom":"2026-01-01","holderName":"A. Holder"}}"#;

#[test]
fn a_state_is_cut_to_its_view() {
    let codec = policy();
    let row = policy_row(&codec, &[]);
    assert_eq!(text(codec.encode_state(None, &row, Some("2026-01-01"))), STATE);
    let cut = r#"{"address":{"city":"Bonn"},"claimsStatus":"eligible","coverFrom":"2026-01-01"}"#;
    assert_eq!(text(codec.state_part(view("eligibility").as_ref(), &row)), cut);
    let value = codec.encode_state(view("eligibility").as_ref(), &row, None);
    assert_eq!(text(value.clone()), format!(r#"{{"key":["P-00000001"],"state":{cut}}}"#));
    let read = codec.decode_state(view("eligibility").as_ref(), Some(KEY), &value).unwrap();
    let slot = |name: &str| codec.contract().slot(&name.parse().unwrap()).unwrap();
    assert_eq!(&value[read.state], cut.as_bytes());
    assert_eq!(read.row[slot("policyId")], row[slot("policyId")]);
    assert_eq!(read.row[slot("holderName")], Value::Null);
    assert!(codec.decode_state(view("unknown").as_ref(), Some(KEY), &value).is_err());
}

#[test]
fn an_event_carries_what_it_declares() {
    let codec = policy();
    let row = policy_row(&codec, &[]);
    let change = |event: &str| Change {
        event: event.parse().unwrap(),
        effective: Some("2026-02-01T00:00:00+01:00".into()),
        reason: (event == "PolicySuspended").then(|| "FRAUD_REVIEW".to_owned()),
        details: (event == "PolicySuspended").then(|| br#"{"remark":"x","caseNumber":7}"#.to_vec()),
    };
    let bound = r#"{"carries":{"claimsStatus":"eligible","coverFrom":"2026-01-01","holderName":"A. Holder"},"change":"PolicyBound","effective":"2026-01-01","flags":{"openEnded":true},"key":["P-00000001"]}"#;
    assert_eq!(text(codec.encode_event(None, &change("PolicyBound"), &row).unwrap()), bound);
    let letters = r#"{"carries":{"coverFrom":"2026-01-01","holderName":"A. Holder"},"change":"PolicyBound","effective":"2026-01-01","key":["P-00000001"]}"#;
    assert_eq!(
        text(codec.encode_event(view("letters").as_ref(), &change("PolicyBound"), &row).unwrap()),
        letters
    );
    let row = policy_row(&codec, &[("claimsStatus", r#""ineligible""#)]);
    let suspended =
        text(codec.encode_event(view("eligibility").as_ref(), &change("PolicySuspended"), &row).unwrap());
    assert_eq!(
        suspended,
        r#"{"carries":{"claimsStatus":"ineligible"},"change":"PolicySuspended","details":{"caseNumber":"7"},"effective":"2026-01-31T23:00:00.000000Z","key":["P-00000001"],"reason":"FRAUD_REVIEW"}"#
    );
    let read = codec.decode_event(view("eligibility").as_ref(), Some(KEY), suspended.as_bytes()).unwrap();
    assert_eq!((read.change.as_str(), read.reason.unwrap().as_str()), ("PolicySuspended", "FRAUD_REVIEW"));
    assert_eq!(read.effective.as_deref(), Some("2026-01-31T23:00:00.000000Z"));
    assert_eq!(event(bound), "");
    assert_eq!(codec.effective(&change("PolicyBound"), Some(&row)).unwrap().as_deref(), Some("2026-01-01"));
    assert_eq!(
        broken(codec.encode_event(view("letters").as_ref(), &change("PolicySuspended"), &row)),
        "EVENT change"
    );
}

#[test]
fn json_is_accepted_in_any_order_and_spelling() {
    let value = r#" { "unknown":[{"a":1}], "state" : {"coverTo":null,"holderName":"A\u002e Holder","coverFrom":"2026-01-01","later":{"x":[]},
        "claimsStatus":"eligible","annualPremium":"120.50"}, "key":[ "P-0000000\u0031" ] } "#;
    assert_eq!(state(value), "");
}

#[test]
fn a_state_record_that_breaks_its_contract_says_where() {
    for (from, to, told) in [
        ("120.50", "120.5", "TYPE state.annualPremium"),
        ("120.50", "-0.00", "TYPE state.annualPremium"),
        ("\"120.50\"", "120.50", "TYPE state.annualPremium"),
        ("120.50", "1000000.01", "RANGE state.annualPremium"),
        ("eligible", "eligibly", "VALUES state.claimsStatus"),
        ("2026-01-01\",\"holder", "2026-13-01\",\"holder", "TYPE state.coverFrom"),
        ("\"Bonn\"", "[]", "TYPE state.address.city"),
        ("Bonn", "B\\u0000nn", "TYPE state.address.city"),
        ("\"city\":\"Bonn\",", "", "REQUIRED state.address.city"),
        ("\"claimsStatus\":\"eligible\",", "", "REQUIRED state.claimsStatus"),
        ("\"effective\":\"2026-01-01\"", "\"effective\":\"soon\"", "EFFECTIVE effective"),
        ("\"effective\":\"2026-01-01\"", "\"effective\":1", "TYPE effective"),
        ("\"key\":[\"P-00000001\"]", "\"key\":[\"P-00000002\"]", "KEY key"),
        ("\"key\":[\"P-00000001\"],", "", "KEY key"),
        ("\"state\":", "\"other\":", "SHAPE state"),
        ("\"state\":", "\"other\":{\"x\":1,\"x\":1},\"state\":", "JSON "),
        ("\"effective\"", "\"key\":[\"P-00000001\"],\"effective\"", "JSON "),
        ("\"city\"", "\"street\":\"x\",\"city\"", "JSON "),
        ("}}", "}} x", "JSON "),
        ("}}", "}}}", "JSON "),
        ("Bonn", "\\ud800", "JSON "),
        ("Bonn", "\\x", "JSON "),
        ("Bonn", "\n", "JSON "),
    ] {
        assert!(STATE.contains(from), "{from}");
        assert_eq!(state(&STATE.replacen(from, to, 1)), told, "{from} becomes {to}");
    }
    for (value, told) in [
        ("", "JSON "),
        ("null", "JSON "),
        ("[]", "JSON "),
        (r#"{"key":["P-00000001"],"state":[]}"#, "TYPE state"),
    ] {
        assert_eq!(state(value), told, "{value}");
    }
    let mut bytes = STATE.as_bytes().to_vec();
    bytes[120] = 0xff;
    assert_eq!(broken(policy().decode_state(None, Some(KEY), &bytes)), "JSON ");
}

#[test]
fn an_event_that_breaks_its_contract_says_where() {
    let suspended = r#"{"carries":{"claimsStatus":"ineligible"},"change":"PolicySuspended","details":{"caseNumber":"7"},"key":["P-00000001"],"reason":"FRAUD_REVIEW"}"#;
    assert_eq!(event(suspended), "");
    for (from, to, told) in [
        ("ineligible", "eligible", "BECOMES carries.claimsStatus"),
        ("\"claimsStatus\":\"ineligible\"", "", "REQUIRED carries.claimsStatus"),
        ("PolicySuspended", "PolicyForgotten", "EVENT change"),
        ("\"change\":\"PolicySuspended\",", "", "SHAPE change"),
        ("FRAUD_REVIEW", "OTHER", "REASON reason"),
        (",\"reason\":\"FRAUD_REVIEW\"", "", "REASON reason"),
        ("\"7\"", "7", "TYPE details.caseNumber"),
        ("\"caseNumber\":\"7\"", "", "REQUIRED details.caseNumber"),
        ("P-00000001", "P-00000002", "KEY key"),
    ] {
        assert_eq!(event(&suspended.replacen(from, to, 1)), told, "{from} becomes {to}");
    }
    let flags = r#"{"carries":{"claimsStatus":"eligible","coverFrom":"2026-01-01","holderName":"A"},"change":"PolicyBound","flags":{"openEnded":"true"},"key":["P-00000001"]}"#;
    assert_eq!(event(flags), "TYPE flags.openEnded");
}

#[test]
fn invariants_hold_wherever_all_that_they_use_is_carried() {
    let codec = policy();
    let broken_cover = STATE.replace("\"holderName\"", "\"coverTo\":\"2025-01-01\",\"holderName\"");
    assert_eq!(state(&broken_cover), "INVARIANT(coverEndsAfterItBegins) state");
    let free = STATE.replace("120.50", "0.00");
    assert_eq!(state(&free), "INVARIANT(premiumWhileEligible) state");
    assert_eq!(broken(codec.decode_state(view("eligibility").as_ref(), Some(KEY), free.as_bytes())), "");
    let there = codec.decode_state(view("eligibility").as_ref(), Some(KEY), broken_cover.as_bytes());
    assert_eq!(broken(there), "INVARIANT(coverEndsAfterItBegins) state");
    assert_eq!(broken(codec.decode_state(view("letters").as_ref(), Some(KEY), broken_cover.as_bytes())), "");
    let judged =
        codec.judge_state(&policy_row(&codec, &[("coverTo", r#""2025-01-01""#), ("annualPremium", "0")]));
    assert_eq!(judged.len(), 2);
}

#[test]
fn a_record_key_must_be_one_of_the_contract() {
    let codec = policy();
    for key in [
        None,
        Some(&b""[..]),
        Some(b"P-00000001"),
        Some(b"[\"P-00000001\",\"x\"]"),
        Some(b"[ \"P-00000001\"]"),
        Some(b"[\"\xff\"]"),
    ] {
        assert!(codec.decode_key(key).is_err(), "{key:?}");
    }
    assert_eq!(codec.decode_key(Some(KEY)).unwrap().as_bytes(), KEY);
}

#[test]
fn the_partition_is_that_of_the_values_partitioned_by() {
    let codec = crate::fixture::everything();
    let texts = [
        "a",
        "17",
        "1.00",
        "2026-01-01",
        "2026-01-01T00:00:00.000000Z",
        "00000000-0000-0000-0000-000000000000",
        "",
        "true",
    ];
    let key = seamline_message::key::RecordKey::from_texts(&texts.map(ToOwned::to_owned));
    assert_eq!(
        codec.key_of(&{
            let mut row = vec![Value::Null; codec.contract().attributes.len()];
            for (slot, value) in codec.contract().key.iter().zip(codec.key_values(&key).unwrap()) {
                row[*slot] = value;
            }
            row
        }),
        key
    );
    assert_eq!(codec.partition(&key, 12), partition(br#"["17"]"#, 12));
    let policy = policy();
    assert_eq!(policy.partition(&policy.decode_key(Some(KEY)).unwrap(), 12), partition(KEY, 12));
}

#[test]
fn a_value_above_its_channels_limit_is_refused() {
    let codec = policy();
    assert_eq!(codec.judge_size(ChannelKind::State, &vec![0; 256 * 1024]), None);
    assert_eq!(
        codec.judge_size(ChannelKind::Events, &vec![0; 256 * 1024 + 1]).unwrap().rule.as_str(),
        "SIZE"
    );
}
