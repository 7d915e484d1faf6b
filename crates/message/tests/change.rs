//! Changes are judged by what their event declares and by where the key stood.

use crate::fixture::{contract, policy, policy_row, told};
use seamline_message::codec::{Before, Change, Codec};

/// Judges a change from one status to another; `None` is an unknown key before, and a key that is gone after.
fn check(event: &str, from: Option<&str>, to: Option<&str>) -> String {
    let codec = policy();
    let change = Change {
        event: event.parse().unwrap(),
        effective: None,
        reason: (event == "PolicySuspended").then(|| "FRAUD_REVIEW".to_owned()),
        details: (event == "PolicySuspended").then(|| br#"{"caseNumber":7}"#.to_vec()),
    };
    let row = to.map(|status| policy_row(&codec, &[("claimsStatus", &format!("{status:?}"))]));
    let before =
        Before { moved: from.map(|status| format!(r#"{{"claimsStatus":"{status}"}}"#).into_bytes()) };
    told(&codec.judge_change(&change, row.as_deref(), &before)).join(", ")
}

#[test]
fn declared_steps_are_taken_and_staying_is_no_step() {
    assert_eq!(check("PolicyBound", None, Some("eligible")), "");
    assert_eq!(check("PolicyBound", Some("eligible"), Some("eligible")), "");
    assert_eq!(check("PolicySuspended", Some("eligible"), Some("ineligible")), "");
    assert_eq!(check("PolicySuspended", None, Some("ineligible")), "MOVE state.claimsStatus");
}

#[test]
fn a_key_ends_only_from_where_it_may() {
    assert_eq!(check("PolicyEnded", Some("eligible"), Some("ineligible")), "");
    assert_eq!(check("PolicyEnded", Some("ineligible"), None), "");
    assert_eq!(check("PolicyEnded", Some("eligible"), None), "MOVE state.claimsStatus");
    assert_eq!(check("PolicyBound", Some("eligible"), None), "EVENT change, MOVE state.claimsStatus");
    let codec = policy();
    let ended =
        |status: &str| Before { moved: Some(format!(r#"{{"claimsStatus":"{status}"}}"#).into_bytes()) };
    assert_eq!(told(&codec.judge_end(&ended("eligible"))), ["MOVE state.claimsStatus"]);
    assert_eq!(codec.judge_end(&ended("ineligible")), []);
    assert_eq!(codec.judge_end(&Before { moved: None }), []);
}

#[test]
fn an_event_is_held_to_what_it_becomes() {
    assert_eq!(check("PolicySuspended", Some("eligible"), Some("eligible")), "BECOMES state.claimsStatus");
    assert_eq!(check("PolicyUnheardOf", None, Some("eligible")), "EVENT change");
}

#[test]
fn reasons_details_and_effects_are_held_to_what_is_declared() {
    let codec = policy();
    let row = policy_row(&codec, &[("claimsStatus", r#""ineligible""#)]);
    let check = |event: &str, reason: Option<&str>, details: Option<&str>, effective: Option<&str>| {
        let change = Change {
            event: event.parse().unwrap(),
            effective: effective.map(ToOwned::to_owned),
            reason: reason.map(ToOwned::to_owned),
            details: details.map(|json| json.as_bytes().to_vec()),
        };
        let before = Before { moved: Some(br#"{"claimsStatus":"eligible"}"#.to_vec()) };
        told(&codec.judge_change(&change, Some(&row), &before)).join(", ")
    };
    let given = Some(r#"{"caseNumber":"7","remark":"x"}"#);
    assert_eq!(check("PolicySuspended", Some("FRAUD_REVIEW"), given, Some("2026-01-01")), "");
    assert_eq!(check("PolicySuspended", Some("FRAUD_REVIEW"), given, Some("2026-01-01 00:00:00+01")), "");
    assert_eq!(
        check("PolicySuspended", Some("FRAUD_REVIEW"), given, Some("tomorrow")),
        "EFFECTIVE effective"
    );
    assert_eq!(check("PolicySuspended", Some("OTHER"), given, None), "REASON reason");
    assert_eq!(check("PolicySuspended", None, None, None), "REASON reason, REQUIRED details.caseNumber");
    assert_eq!(
        check("PolicySuspended", Some("FRAUD_REVIEW"), Some(r#"{"caseNumber":7,"x":1}"#), None),
        "SHAPE details"
    );
    assert_eq!(check("PolicySuspended", Some("FRAUD_REVIEW"), Some("[]"), None), "TYPE details");
    assert_eq!(check("PolicyEnded", Some("FRAUD_REVIEW"), None, None), "REASON reason");
}

#[test]
fn an_event_may_make_something_true() {
    let text = "apiVersion: seamline/v1\nkind: Contract\nversion: 1.0.0\nstatus: active\nmeaning: A consent.\nkey: id\n\
        classification: internal\nattributes:\n  id: { type: integer, meaning: Which one. }\n  given: { type: boolean, meaning: It was given. }\n\
        events:\n  ConsentGiven: { meaning: It was given., becomes: { given: true } }\nstate: {}\n";
    let codec = Codec::compile(&contract("proof/consent@1", text)).unwrap();
    let judged = |given: &str| {
        let row = codec.read_source(format!(r#"{{"id":1,"given":{given}}}"#).as_bytes()).unwrap();
        let event = "ConsentGiven".parse().unwrap();
        let change = Change { event, effective: None, reason: None, details: None };
        told(&codec.judge_change(&change, Some(&row), &Before { moved: None })).join(", ")
    };
    assert_eq!(judged("1"), "");
    assert_eq!(judged("0"), "BECOMES state.given");
}
