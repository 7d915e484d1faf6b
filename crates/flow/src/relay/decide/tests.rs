//! What is published, what goes aside, what stays.

mod majors;
mod sealed;

use super::decide;
use crate::log::Outgoing;
use crate::outlet::{Outlet, OutletSet};
use crate::relay::fixture;
use crate::seal::sealer::SubjectKeys;
use crate::source::{Act, OutboxRow};
use seamline_contract::channel::DEFAULT_TOPICS;
use seamline_contract::id::{ContractId, Major, Version};
use seamline_message::envelope::{Envelope, MessageKind};
use seamline_message::sequence::Sequence;
use std::collections::{BTreeMap, BTreeSet};

fn plan(rows: &[OutboxRow], parked: &[&str]) -> super::Plan {
    planned(&fixture::outlets(), rows, parked, false)
}

/// Plans rows of a contract that is sent each hour.
fn hourly(rows: &[OutboxRow], due: bool) -> super::Plan {
    let contract = fixture::at_hours("hourly :00", "hourly :00");
    let outlet = Outlet::compile(&contract, DEFAULT_TOPICS, 4).unwrap();
    let (context, system) = ("policy-administration".parse().unwrap(), "core".parse().unwrap());
    planned(&OutletSet::new(context, system, vec![outlet]).unwrap(), rows, &[], due)
}

fn planned(outlets: &OutletSet, rows: &[OutboxRow], parked: &[&str], due: bool) -> super::Plan {
    let topics = outlets.iter().flat_map(|outlet| &outlet.channels);
    let partitions: BTreeMap<String, u32> = topics.map(|channel| (channel.topic.clone(), 4)).collect();
    let parked: BTreeSet<ContractId> = parked.iter().map(|id| id.parse().unwrap()).collect();
    decide(outlets, rows, &parked, &partitions, 1, &SubjectKeys::new(), due)
}

fn topics(records: &[Outgoing]) -> Vec<String> {
    let name = |record: &Outgoing| {
        let short = record.topic.trim_start_matches("policy-administration.policy.v2.").to_owned();
        if record.value.is_none() { format!("{short}=null") } else { short }
    };
    records.iter().map(name).collect()
}

fn refused(row: OutboxRow) -> (String, String) {
    let plan = plan(&[row], &[]);
    assert_eq!((plan.records.len(), plan.batch, plan.aside.len()), (0, None, 1));
    let (rule, path, _) = plan.aside[0].violation.clone().unwrap();
    (rule, path)
}

#[test]
fn an_event_goes_to_the_channels_that_carry_it_and_its_state_to_every_state_topic() {
    let row = fixture::event(7, 1, "PolicySuspended", "ineligible");
    let made = plan(std::slice::from_ref(&row), &[]);
    let batches = "policy-administration.core.v1.batches";
    assert_eq!(
        topics(&made.records),
        ["events", "eligibility.events", "state", "eligibility.state", batches]
    );
    let envelope = Envelope::from_headers(&made.records[1].headers).unwrap();
    assert_eq!(envelope.previous, Some(Sequence(6)));
    assert_eq!(envelope.id, "policy@2/core/0000000000000000007/eligibility.events");
    assert_eq!(envelope.time, row.written_at);
    assert_eq!(made, plan(&[row], &[]), "the same on every repetition");
    let bound = plan(&[OutboxRow { moved: None, ..fixture::event(8, 1, "PolicyBound", "eligible") }], &[]);
    assert_eq!(topics(&bound.records), ["events", "state", "eligibility.state", batches]);
}

#[test]
fn rows_that_are_sent_at_an_hour_are_put_off_until_then() {
    let mut rows: Vec<OutboxRow> = (1..=2).map(|it| fixture::state(it, 1)).collect();
    rows[1].behind = true;
    let made = hourly(&rows, false);
    assert_eq!((made.records, made.batch, made.deferred), (Vec::new(), None, vec![Sequence(1)]));
    assert_eq!(made.aside.len(), 1, "what waits behind a broken row waits there");
    assert_eq!(made.staying, 0);
    assert!(plan(&rows[..1], &[]).deferred.is_empty(), "as it happens");
}

#[test]
fn at_its_hour_each_event_leaves_and_of_the_states_of_a_key_the_newest() {
    let suspended = |sequence, key| fixture::event(sequence, key, "PolicySuspended", "ineligible");
    let bad = OutboxRow { state: Some(b"{}".to_vec()), ..fixture::state(5, 1) };
    let rows = [suspended(1, 1), fixture::state(3, 1), bad, suspended(2, 2)];
    let made = hourly(&rows, true);
    assert_eq!(made.batch.unwrap().rows, [1, 3, 2].map(Sequence), "each row is in the log");
    assert_eq!(made.aside.len(), 1, "a broken one stands for nothing");
    let sent: Vec<(String, u64)> = made
        .records
        .iter()
        .filter_map(|record| {
            let envelope = Envelope::from_headers(&record.headers).ok()?;
            Some((record.topic.rsplit("v2.").next()?.to_owned(), envelope.sequence.0))
        })
        .collect();
    let of = |topic: &str| -> Vec<u64> {
        sent.iter().filter(|(at, _)| at == topic).map(|(_, sequence)| *sequence).collect()
    };
    assert_eq!(of("events"), [1, 2]);
    assert_eq!(of("eligibility.events"), [1, 2]);
    assert_eq!(of("state"), [3, 2]);
    assert_eq!(of("eligibility.state"), [3, 2]);
}

#[test]
fn a_key_that_ends_leaves_tombstones_with_headers() {
    let mut ended = fixture::event(7, 1, "PolicyEnded", "ineligible");
    for state in [ended.state.clone(), None] {
        ended.state = state;
        ended.moved = Some(br#"{"claimsStatus":"ineligible"}"#.to_vec());
        let made = plan(std::slice::from_ref(&ended), &[]);
        let expected = ["events", "eligibility.events", "state=null", "eligibility.state=null"];
        assert_eq!(topics(&made.records)[..4], expected);
        let envelope = Envelope::from_headers(&made.records[2].headers).unwrap();
        assert_eq!((envelope.kind, envelope.sequence), (MessageKind::State, Sequence(7)));
    }
    let gone = plan(&[OutboxRow { state: None, ..fixture::state(8, 1) }], &[]);
    assert_eq!(topics(&gone.records)[..2], ["state=null", "eligibility.state=null"]);
}

#[test]
fn a_row_without_a_change_goes_to_state_topics_alone() {
    let made = plan(&[fixture::state(7, 1)], &[]);
    assert_eq!(topics(&made.records)[..2], ["state", "eligibility.state"]);
    assert_eq!(Envelope::from_headers(&made.records[0].headers).unwrap().previous, None);
}

#[test]
fn a_void_takes_the_place_of_an_event_on_its_channel_alone() {
    let act = Act::Void {
        channel: "eligibility.events".into(),
        sequence: Sequence(5),
        previous: Some(Sequence(3)),
    };
    let row = OutboxRow { act, state: None, ..fixture::state(9, 1) };
    let made = plan(&[row], &[]);
    assert_eq!(topics(&made.records)[0], "eligibility.events=null");
    assert_eq!(made.records.len(), 2);
    let envelope = Envelope::from_headers(&made.records[0].headers).unwrap();
    assert_eq!(
        (envelope.kind, envelope.sequence, envelope.previous),
        (MessageKind::Void, Sequence(5), Some(Sequence(3)))
    );
    assert_eq!(made.batch.unwrap().rows, [Sequence(9)]);
}

#[test]
fn a_broken_row_goes_aside_and_later_rows_of_its_key_behind_it() {
    let broken = OutboxRow { state: Some(fixture::policy(1, "perhaps")), ..fixture::state(7, 1) };
    let waits = OutboxRow { behind: true, ..fixture::state(10, 3) };
    let rows = [broken, fixture::state(8, 2), fixture::state(9, 1), waits];
    let made = plan(&rows, &[]);
    let aside: Vec<_> = made.aside.iter().map(|row| (row.sequence.0, row.violation.is_some())).collect();
    assert_eq!(aside, [(7, true), (9, false), (10, false)]);
    assert_eq!(made.batch.unwrap().rows, [Sequence(8)]);
    assert_eq!(made.cases.len(), 1);
    assert!(made.cases[0].fingerprint.ends_with("VALUES/state.claimsStatus"), "{:?}", made.cases);
}

#[test]
fn each_promise_is_kept_before_publishing() {
    let told = |rule: &str, path: &str| (rule.to_owned(), path.to_owned());
    let other = OutboxRow { key: fixture::key_text(2), ..fixture::state(7, 1) };
    assert_eq!(refused(other), told("KEY", "key"));
    let open = OutboxRow { key: "P-00000001".into(), ..fixture::state(7, 1) };
    assert_eq!(refused(open), told("KEY", "key"));
    assert_eq!(
        refused(fixture::event(7, 1, "PolicySuspended", "eligible")),
        told("BECOMES", "state.claimsStatus")
    );
    let unmoved = OutboxRow { moved: None, ..fixture::event(7, 1, "PolicySuspended", "ineligible") };
    assert_eq!(refused(unmoved), told("MOVE", "state.claimsStatus"));
    let major = OutboxRow { version: "1.0.0".parse().unwrap(), ..fixture::state(7, 1) };
    assert_eq!(refused(major).0, "SCHEMA", "of a major that is not served");
    let long =
        String::from_utf8(fixture::policy(1, "eligible")).unwrap().replace("A. Holder", &"x".repeat(1_024));
    assert_eq!(refused(OutboxRow { state: Some(long.into()), ..fixture::state(7, 1) }).0, "SIZE");
    let chainless =
        OutboxRow { previous: BTreeMap::new(), ..fixture::event(7, 1, "PolicySuspended", "ineligible") };
    assert_eq!(refused(chainless.clone()), told("EVENT", "previous"));
    let older = OutboxRow { version: "2.0.0".parse().unwrap(), ..chainless };
    assert_eq!(
        topics(&plan(&[older], &[]).records)[..2],
        ["state", "eligibility.state"],
        "older than the channels"
    );
}

#[test]
fn rows_of_a_parked_or_unserved_contract_stay() {
    let other = OutboxRow { contract: "claim".parse().unwrap(), ..fixture::state(8, 1) };
    let made = plan(&[fixture::state(7, 1), other], &["policy"]);
    assert_eq!((made.records.len(), made.aside.len(), made.staying), (0, 0, 2));
    assert_eq!(made.unserved.len(), 1);
}

#[test]
fn rows_of_a_newer_version_wait_for_its_relay_and_none_of_their_keys_passes_them() {
    let own = fixture::state(1, 1).version;
    // What they hold more, an attribute or a channel, would be lost by a relay that does not know it.
    let (major, minor) =
        (Version { major: Major(own.major.0 + 1), ..own }, Version { minor: own.minor + 1, ..own });
    for version in [major, minor] {
        let newer = OutboxRow { version, ..fixture::state(7, 1) };
        let made = plan(&[newer, fixture::state(8, 1), fixture::state(9, 2)], &[]);
        assert_eq!((made.aside.len(), made.staying, made.unserved.len()), (0, 2, 1), "{version}");
        assert_eq!(made.batch.unwrap().rows, [Sequence(9)], "{version}");
    }
    let patched = OutboxRow { version: Version { patch: own.patch + 1, ..own }, ..fixture::state(7, 1) };
    assert_eq!(plan(&[patched], &[]).batch.unwrap().rows, [Sequence(7)], "a patch changes no message");
}
