//! A contract, a subscription to it, and its messages, for the tests of the consumer's side.

use crate::hold::{DigestEpoch, Hold};
use crate::intake::Intake;
use crate::log::Incoming;
use crate::position::{Accounting, Position, TopicIdentity};
use crate::store::{Grip, Lane, LaneState};
use jiff::Timestamp;
use seamline_contract::channel::DEFAULT_TOPICS;
use seamline_contract::path::DocumentId;
use seamline_contract::resolve::resolve;
use seamline_contract::value::Value;
use seamline_lang::estate::read_estate;
use seamline_message::codec::Change;
use seamline_message::digest::DigestKey;
use seamline_message::envelope::{Envelope, MessageKind};
use seamline_message::key::RecordKey;
use seamline_message::sequence::Sequence;
use seamline_message::sums::Sums;
use std::collections::BTreeMap;

const CONTRACT: &str = "
apiVersion: seamline/v1
kind: Contract
id: policy
context: policies
version: 1.0.0
status: active
meaning: Where a policy stands in its life.
key: policyId
classification: internal
attributes:
  policyId: { type: string, pattern: 'P-[0-9]+', meaning: 'Identifies a policy for life.' }
  status:
    type: enum
    meaning: Whether claims are covered.
    values: { covered: Cover stands., ended: Cover is over. }
  premium: { type: integer, optional: true, meaning: 'What is paid.', unit: EUR }
events:
  PolicyBound: { meaning: 'The risk was accepted.', becomes: { status: covered } }
  PolicyLapsed: { meaning: 'The premium was not paid.', becomes: { status: ended } }
state: {}
guarantees:
  events: { retention: 400d, replay: auditState }
  state: { freshness: 30s p99, replay: currentState, tombstones: 14d }
reconciliation: { every: 15m, countBy: status, repair: reemit }
";

const SUBSCRIPTION: &str = "
apiVersion: seamline/v1
kind: Subscription
id: cover
context: claims
contract: policies/policy@1
purpose: claims-handling
reactsTo: [PolicyLapsed]
into:
  system: claims-db
  table: cover
  columns:
    policy_ref: policyId
    is_covered: { is: \"status == 'covered'\", meaning: 'A claim may be opened.' }
    premium: premium
";

pub(crate) const DIGEST: DigestEpoch = DigestEpoch { epoch: 1, key: DigestKey([7; 32]) };

pub(crate) fn intake() -> Intake {
    let files = [("policy.contract.yaml", CONTRACT), ("cover.subscription.yaml", SUBSCRIPTION)]
        .map(|(name, text)| (DocumentId(name.to_owned()), text.to_owned()));
    let reading = read_estate(&BTreeMap::from(files), DocumentId("seamline.yaml".to_owned()));
    assert!(reading.findings.is_empty(), "{:?}", reading.findings);
    let subscription = &reading.estate.subscriptions[0];
    let contract = resolve(&reading.estate, &subscription.contract).unwrap();
    Intake::compile(subscription, &contract, DEFAULT_TOPICS).unwrap()
}

pub(crate) fn key(number: u32) -> RecordKey {
    RecordKey::from_texts(&[format!("P-{number}")])
}

pub(crate) fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn row(number: u32, status: &str, premium: i64) -> Vec<Value> {
    vec![Value::String(format!("P-{number}")), Value::String(status.to_owned()), Value::Integer(premium)]
}

fn record(
    intake: &Intake,
    offset: u64,
    number: u32,
    sequence: u64,
    previous: Option<u64>,
    kind: MessageKind,
    value: Option<Vec<u8>>,
) -> Incoming {
    let envelope = Envelope {
        id: format!("policies.policy/{sequence}"),
        source: "/policies".to_owned(),
        kind,
        time: now(),
        contract: intake.contract.clone(),
        version: intake.codec.contract().contract.version,
        key_text: key(number).to_string(),
        sequence: Sequence(sequence),
        previous: previous.map(Sequence),
        correlation: None,
        causation: None,
        effective: None,
        traceparent: None,
    };
    Incoming {
        offset,
        leader_epoch: 3,
        time: now(),
        key: Some(key(number).as_bytes().to_vec()),
        headers: envelope.to_headers().into(),
        value,
        fault: None,
    }
}

/// A state record of a key.
pub(crate) fn state(intake: &Intake, offset: u64, number: u32, sequence: u64, premium: i64) -> Incoming {
    let value = intake.codec.encode_state(None, &row(number, "covered", premium), None);
    record(intake, offset, number, sequence, None, MessageKind::State, Some(value))
}

/// A state record that breaks its contract.
pub(crate) fn broken_state(intake: &Intake, offset: u64, number: u32, sequence: u64) -> Incoming {
    let value = intake.codec.encode_state(None, &row(number, "unheard-of", 0), None);
    record(intake, offset, number, sequence, None, MessageKind::State, Some(value))
}

/// The end of a key.
pub(crate) fn tombstone(intake: &Intake, offset: u64, number: u32, sequence: u64) -> Incoming {
    record(intake, offset, number, sequence, None, MessageKind::State, None)
}

/// An event of a key; `PolicyLapsed` is reacted to.
pub(crate) fn event(
    intake: &Intake,
    offset: u64,
    number: u32,
    sequence: u64,
    previous: Option<u64>,
    name: &str,
) -> Incoming {
    let change = Change { event: name.parse().unwrap(), effective: None, reason: None, details: None };
    let status = if name == "PolicyLapsed" { "ended" } else { "covered" };
    let value = intake.codec.encode_event(None, &change, &row(number, status, 1)).unwrap();
    let kind = MessageKind::Event(change.event);
    record(intake, offset, number, sequence, previous, kind, Some(value))
}

/// An event of a key that breaks its contract.
pub(crate) fn broken_event(
    intake: &Intake,
    offset: u64,
    number: u32,
    sequence: u64,
    previous: Option<u64>,
) -> Incoming {
    let kind = MessageKind::Event("PolicyLapsed".parse().unwrap());
    record(intake, offset, number, sequence, previous, kind, Some(b"{}".to_vec()))
}

/// What takes the place of an event of a key.
pub(crate) fn void(
    intake: &Intake,
    offset: u64,
    number: u32,
    sequence: u64,
    previous: Option<u64>,
) -> Incoming {
    record(intake, offset, number, sequence, previous, MessageKind::Void, Some(b"{}".to_vec()))
}

/// A lane of a topic, held at an offset.
pub(crate) fn hold(intake: &Intake, topic: &str, offset: u64) -> Hold {
    let topic = TopicIdentity {
        cluster: "cluster".to_owned(),
        name: topic.to_owned(),
        id: "topic".to_owned(),
        partitions: 1,
    };
    let state = LaneState {
        position: Some(Position {
            cluster: topic.cluster.clone(),
            topic_id: topic.id.clone(),
            partition: 0,
            leader_epoch: -1,
            offset,
        }),
        bootstrap_end: Some(offset),
        sums: Sums::new(),
        digest_epoch: DIGEST.epoch,
        accounting: Accounting { from: offset, to: offset, ..Accounting::default() },
    };
    let lane = Lane { subscription: intake.subscription.clone(), topic: topic.name.clone(), partition: 0 };
    Hold::held(lane, topic, Grip { epoch: 1, state }, now())
}
