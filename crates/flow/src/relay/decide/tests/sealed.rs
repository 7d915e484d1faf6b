//! What a relay seals, and that nothing personal leaves where it cannot.

use super::super::{Plan, decide};
use crate::outlet::{Outlet, OutletSet};
use crate::relay::fixture;
use crate::seal::sealer::SubjectKeys;
use seamline_contract::channel::DEFAULT_TOPICS;
use seamline_message::envelope::CONTENT_TYPE;
use seamline_message::seal::{self, KeyId, Secret, SubjectKey};
use std::collections::{BTreeMap, BTreeSet};

const EVENTS: &str = "policy-administration.policy.v2.events";
const VIEW: &str = "policy-administration.policy.v2.eligibility.events";

fn plan(event: &str, status: &str, keys: &SubjectKeys) -> Plan {
    let outlet = Outlet::compile(&fixture::sealed(), DEFAULT_TOPICS, 4).unwrap();
    let (context, system) = ("policy-administration".parse().unwrap(), "core".parse().unwrap());
    let outlets = OutletSet::new(context, system, vec![outlet]).unwrap();
    let topics = outlets.all().flat_map(|outlet| &outlet.channels);
    let partitions: BTreeMap<String, u32> = topics.map(|channel| (channel.topic.clone(), 4)).collect();
    decide(&outlets, &[fixture::event(7, 1, event, status)], &BTreeSet::new(), &partitions, 1, keys, false)
}

/// The key of the subject, who is the policy itself.
fn keys() -> SubjectKeys {
    let key = SubjectKey { id: KeyId::of([1; 32]), secret: Secret::of([2; 32]) };
    SubjectKeys::from([(("policy".parse().unwrap(), "P-00000001".to_owned()), key)])
}

/// Returns content type and value of the record of a topic.
fn record(plan: &Plan, topic: &str) -> (String, String) {
    let record = plan.records.iter().find(|record| record.topic == topic).unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(record.headers.get(CONTENT_TYPE).unwrap()), text(record.value.as_deref().unwrap()))
}

#[test]
fn a_personal_value_of_an_event_is_sealed_and_its_state_is_not() {
    let made = plan("PolicyBound", "eligible", &keys());
    let (kind, value) = record(&made, EVENTS);
    assert_eq!(kind, seal::CONTENT_TYPE);
    assert!(!value.contains("A. Holder") && value.contains(r#""holder":{"sealed":""#), "{value}");
    assert_eq!(record(&made, EVENTS), record(&plan("PolicyBound", "eligible", &keys()), EVENTS));
    let (kind, value) = record(&made, "policy-administration.policy.v2.state");
    assert_eq!((kind.as_str(), value.contains("A. Holder")), ("application/json", true));
}

#[test]
fn an_event_that_carries_nothing_personal_is_plain() {
    let made = plan("PolicySuspended", "ineligible", &keys());
    assert_eq!(record(&made, VIEW).0, "application/json");
}

#[test]
fn without_a_key_nothing_leaves_and_the_row_goes_aside() {
    let made = plan("PolicyBound", "eligible", &SubjectKeys::new());
    assert_eq!((made.records.len(), made.aside.len()), (0, 1));
    let (rule, path, _) = made.aside[0].violation.clone().unwrap();
    assert_eq!((rule.as_str(), path.as_str()), ("SEALED", "state"));
}
