//! Where rows go when an older major is kept alive, and when histories begin anew.

use super::super::{Plan, decide};
use crate::log::Outgoing;
use crate::outlet::{Outlet, OutletSet};
use crate::relay::fixture;
use crate::seal::sealer::SubjectKeys;
use crate::source::{Act, OutboxRow};
use seamline_contract::channel::DEFAULT_TOPICS;
use seamline_message::envelope::Envelope;
use seamline_message::era::Ascent;
use seamline_message::sequence::Sequence;
use std::collections::{BTreeMap, BTreeSet};

const OLDER: &str = "policy-administration.policy.v1.";

fn plan(row: OutboxRow) -> Plan {
    let outlet = Outlet::compile(&fixture::serving(), DEFAULT_TOPICS, 4).unwrap();
    let (context, system) = ("policy-administration".parse().unwrap(), "core".parse().unwrap());
    let outlets = OutletSet::new(context, system, vec![outlet]).unwrap();
    let topics = outlets.all().flat_map(|outlet| &outlet.channels);
    let partitions: BTreeMap<String, u32> = topics.map(|channel| (channel.topic.clone(), 4)).collect();
    decide(&outlets, &[row], &BTreeSet::new(), &partitions, 1, &SubjectKeys::new(), false)
}

/// Returns a row that tells of an event, with the chains of both majors.
fn event(name: &str, status: &str, older: Option<u64>) -> OutboxRow {
    let mut row = fixture::event(7, 1, name, status);
    row.previous.insert("1/events".to_owned(), older.map(Sequence));
    row
}

fn older(made: &Plan) -> Vec<(&str, &Outgoing)> {
    made.records.iter().filter_map(|record| Some((record.topic.strip_prefix(OLDER)?, record))).collect()
}

fn text(record: &Outgoing) -> &str {
    std::str::from_utf8(record.value.as_deref().unwrap()).unwrap()
}

#[test]
fn a_row_goes_to_both_majors_each_in_its_own_words_and_chains() {
    let made = plan(OutboxRow { moved: None, ..event("PolicyBound", "eligible", Some(3)) });
    let older = older(&made);
    assert_eq!(older.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["events", "state"]);
    assert!(text(older[0].1).contains(r#""change":"PolicyOpened""#), "{}", text(older[0].1));
    assert!(text(older[1].1).contains(r#""status":"ACTIVE""#), "{}", text(older[1].1));
    let envelope = Envelope::from_headers(&older[0].1.headers).unwrap();
    assert_eq!((envelope.sequence, envelope.previous), (Sequence(7), Some(Sequence(3))));
    assert_eq!(envelope.id, "policy@1/core/0000000000000000007/events");
    assert_eq!(envelope.version, "1.4.0".parse().unwrap());
    assert_eq!(made.records.len(), 6, "events, state, the state of the view, both older ones, the batch");
}

#[test]
fn an_event_without_a_name_in_the_older_major_sends_its_state_alone() {
    let made = plan(event("PolicySuspended", "ineligible", Some(3)));
    let older = older(&made);
    assert_eq!(older.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["state"]);
    assert!(text(older[0].1).contains(r#""status":"INACTIVE""#));
}

#[test]
fn a_key_that_ends_ends_in_both_majors() {
    let moved = Some(br#"{"claimsStatus":"ineligible"}"#.to_vec());
    let made = plan(OutboxRow { moved, ..event("PolicyEnded", "ineligible", None) });
    let older = older(&made);
    assert_eq!(older.len(), 2);
    assert!(older[1].1.value.is_none(), "a tombstone");
}

#[test]
fn after_its_last_day_nothing_is_written_to_the_older_major() {
    let on = |moment: &str| OutboxRow { written_at: moment.parse().unwrap(), ..fixture::state(7, 1) };
    assert_eq!(older(&plan(on("2026-03-31T23:59:59Z"))).len(), 1);
    assert_eq!(older(&plan(on("2026-04-01T00:00:00Z"))).len(), 0);
}

#[test]
fn a_row_left_from_the_older_major_goes_there_alone() {
    let state = br#"{"policyId":"P-00000001","status":"ACTIVE","holder":"A. Holder"}"#.to_vec();
    let left = OutboxRow { version: "1.4.0".parse().unwrap(), state: Some(state), ..fixture::state(7, 1) };
    let made = plan(left);
    assert_eq!(older(&made).len(), 1);
    assert_eq!(made.records.len(), 2, "and the batch");
}

#[test]
fn a_row_that_cannot_be_one_of_the_older_major_waits_as_a_whole() {
    let long = br#"{"policyId":"P-00000001","claimsStatus":"eligible","holder":"A Holder With A Long Name"}"#;
    let made = plan(OutboxRow { state: Some(long.to_vec()), ..fixture::state(7, 1) });
    assert_eq!(made.records, []);
    assert_eq!(made.aside[0].violation.as_ref().unwrap().1, "serves.1.state.holder");
}

#[test]
fn a_void_stands_in_the_chain_of_its_own_major() {
    let void = |channel: &str| Act::Void {
        channel: channel.to_owned(),
        sequence: Sequence(5),
        previous: Some(Sequence(3)),
    };
    let row = |channel| OutboxRow { act: void(channel), state: None, ..fixture::state(9, 1) };
    assert_eq!(older(&plan(row("1/events"))).len(), 1);
    assert_eq!(older(&plan(row("events"))).len(), 0);
    assert_eq!(plan(row("0/events")).records.len(), 1, "nobody reads it: the batch alone");
}

#[test]
fn chains_begin_anew_with_each_incarnation() {
    let first = Sequence(Sequence::floor_of(1).0 + 1);
    let of = |previous: Sequence| {
        let mut row = event("PolicyBound", "eligible", Some(previous.0));
        (row.sequence, row.moved) = (Sequence(first.0 + 1), None);
        let made = plan(row);
        Envelope::from_headers(&older(&made)[0].1.headers).unwrap().previous
    };
    assert_eq!(of(Sequence(6)), None);
    assert_eq!(of(first), Some(first));
}

#[test]
fn steps_that_began_under_another_text_are_not_judged() {
    let moved = Some(br#"{"status":"ACTIVE"}"#.to_vec());
    let made = plan(OutboxRow { moved, ..event("PolicySuspended", "ineligible", None) });
    assert_eq!(made.aside, []);
}

#[test]
fn history_of_the_older_major_is_read_as_the_newest() {
    let contract = fixture::serving();
    let codec = seamline_message::codec::Codec::compile(&contract).unwrap();
    let eras = Ascent::compile(&contract, &codec).unwrap();
    let era = eras.values().next().unwrap();
    let key = Some(br#"["P-00000001"]"#.as_slice());
    let state = br#"{"key":["P-00000001"],"state":{"holder":"A. Holder","policyId":"P-00000001","status":"INACTIVE"}}"#;
    let read = era.decode_state(None, key, state).unwrap();
    let at = |name: &str| read.row[contract.slot(&name.parse().unwrap()).unwrap()].clone();
    assert_eq!(at("claimsStatus"), seamline_contract::value::Value::String("ineligible".to_owned()));
    assert!(at("coverTo").is_null(), "unknown before its era");
    let event = br#"{"carries":{"holder":"A. Holder","status":"ACTIVE"},"change":"PolicyOpened","key":["P-00000001"]}"#;
    let (read, payload) = era.decode_event(None, key, event, &[]).unwrap();
    assert_eq!(read.change.as_str(), "PolicyBound");
    let expected = r#"{"carries":{"claimsStatus":"eligible","holder":"A. Holder"},"change":"PolicyBound","key":["P-00000001"]}"#;
    assert_eq!(String::from_utf8(payload).unwrap(), expected);
}
