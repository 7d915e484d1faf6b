//! A contract, its outlet and outbox rows for the tests.

use crate::outlet::{Outlet, OutletSet};
use crate::source::{Act, OutboxRow};
use seamline_contract::channel::DEFAULT_TOPICS;
use seamline_contract::path::DocumentId;
use seamline_contract::resolve::{ResolvedContract, resolve};
use seamline_lang::estate::read_estate;
use seamline_message::codec::Change;
use seamline_message::sequence::Sequence;
use std::collections::BTreeMap;

const CONTEXT: &str = "apiVersion: seamline/v1
kind: Context
context: policy-administration
meaning: Decides on policies.
team: proof
";

const CONTRACT: &str = "apiVersion: seamline/v1
kind: Contract
context: policy-administration
version: 2.1.0
status: active
meaning: Where a policy stands.
key: policyId
attributes:
  policyId: { type: string, pattern: 'P-[0-9]{8}', meaning: Identifies a policy. }
  claimsStatus:
    type: enum
    meaning: Active for claims.
    values: { eligible: It is., ineligible: It is not. }
    moves: [-> eligible, eligible -> ineligible, ineligible -> eligible, ineligible ->]
  coverTo: { type: date, optional: true, meaning: Last day of cover. }
  holder: { type: string, classification: pii, meaning: Name of the holder. }
events:
  PolicyBound: { meaning: Begins., becomes: { claimsStatus: eligible }, with: [holder] }
  PolicySuspended: { meaning: Stops., becomes: { claimsStatus: ineligible }, reasons: { FRAUD: Looked at. } }
  PolicyEnded: { meaning: Is over., ends: true }
state: { limit: 1KiB }
views:
  eligibility: { for: [claims], only: [claimsStatus, coverTo], events: [PolicySuspended, PolicyEnded] }
guarantees:
  events: { ordering: perKey, retention: 400d, replay: auditState, lateness: 15m }
  state: { freshness: 30s p99, replay: currentState, tombstones: 14d }
reconciliation: { every: 15m, countBy: claimsStatus }
";

const OLDER: &str = "apiVersion: seamline/v1
kind: Contract
context: policy-administration
version: 1.4.0
status: active
meaning: Where a policy stands.
key: policyId
attributes:
  policyId: { type: string, pattern: 'P-[0-9]{8}', meaning: Identifies a policy. }
  status: { type: enum, meaning: Where it stands., values: { ACTIVE: It is., INACTIVE: It is not. } }
  holder: { type: string, length: 20, meaning: Name of the holder. }
events:
  PolicyOpened: { meaning: Begins., becomes: { status: ACTIVE }, with: [holder] }
  PolicyEnded: { meaning: Is over., ends: true }
state: {}
guarantees:
  events: { ordering: perKey, retention: 400d, replay: auditState, lateness: 15m }
  state: { freshness: 30s p99, replay: currentState, tombstones: 14d }
";

const SERVES: &str = "serves:
  - version: 1
    until: 2026-03-31
    read: { claimsStatus: \"status == 'ACTIVE' ? 'eligible' : 'ineligible'\" }
    write: { status: \"claimsStatus == 'eligible' ? 'ACTIVE' : 'INACTIVE'\" }
    events: { PolicyOpened: PolicyBound }
";

pub(crate) fn contract() -> ResolvedContract {
    resolved(CONTRACT)
}

/// Returns the contract as it serves its older major.
pub(crate) fn serving() -> ResolvedContract {
    resolved(&format!("{CONTRACT}{SERVES}"))
}

/// Returns the contract as it seals what is personal in its events; each policy is a subject.
pub(crate) fn sealed() -> ResolvedContract {
    let text = CONTRACT.replace("key: policyId\n", "key: policyId\nsubject: policyId\n");
    resolved(&text.replace("events:\n  PolicyBound", "events:\n  encoding: sealed\n  PolicyBound"))
}

/// Returns the contract as it is sent at these times.
pub(crate) fn at_hours(events: &str, state: &str) -> ResolvedContract {
    let text = CONTRACT
        .replace("events:\n", &format!("events:\n  cadence: {events}\n"))
        .replace("state: { limit: 1KiB }", &format!("state: {{ limit: 1KiB, cadence: {state} }}"));
    resolved(&text)
}

fn resolved(text: &str) -> ResolvedContract {
    let files = BTreeMap::from(
        [
            ("seamline.yaml", "apiVersion: seamline/v1\nkind: Estate\nroots: [.]\n"),
            ("policy-administration/policy-administration.context.yaml", CONTEXT),
            ("policy-administration/policy.contract.yaml", text),
            ("policy-administration/policy@1.contract.yaml", OLDER),
        ]
        .map(|(path, text)| (DocumentId(path.to_owned()), text.to_owned())),
    );
    let reading = read_estate(&files, DocumentId("seamline.yaml".to_owned()));
    resolve(&reading.estate, &"policy-administration/policy@2".parse().unwrap())
        .unwrap_or_else(|reasons| panic!("{reasons:?} {:?}", reading.findings))
}

pub(crate) fn outlet() -> Outlet {
    Outlet::compile(&contract(), DEFAULT_TOPICS, 4).unwrap()
}

pub(crate) fn outlets() -> OutletSet {
    set_of(outlet())
}

pub(crate) fn set_of(outlet: Outlet) -> OutletSet {
    let (context, system) = ("policy-administration".parse().unwrap(), "core".parse().unwrap());
    OutletSet::new(context, system, vec![outlet]).unwrap()
}

pub(crate) fn key_text(number: u32) -> String {
    format!("[\"P-{number:08}\"]")
}

/// Returns the state of a policy in source form.
pub(crate) fn policy(number: u32, status: &str) -> Vec<u8> {
    format!(r#"{{"policyId":"P-{number:08}","claimsStatus":"{status}","holder":"A. Holder"}}"#).into_bytes()
}

/// Returns a row that publishes the state of a policy.
pub(crate) fn state(sequence: u64, number: u32) -> OutboxRow {
    OutboxRow {
        sequence: Sequence(sequence),
        contract: "policy".parse().unwrap(),
        version: "2.1.0".parse().unwrap(),
        key: key_text(number),
        act: Act::State,
        state: Some(policy(number, "eligible")),
        moved: None,
        previous: BTreeMap::new(),
        written_at: "2026-01-02T03:04:05Z".parse().unwrap(),
        correlation: None,
        causation: None,
        traceparent: None,
        behind: false,
    }
}

/// Returns a row that tells of an event, on both channels of events.
pub(crate) fn event(sequence: u64, number: u32, event: &str, status: &str) -> OutboxRow {
    let reason = (event == "PolicySuspended").then(|| "FRAUD".to_owned());
    let change = Change { event: event.parse().unwrap(), effective: None, reason, details: None };
    let previous = Some(Sequence(sequence - 1));
    OutboxRow {
        act: Act::Change(change),
        state: Some(policy(number, status)),
        moved: Some(br#"{"claimsStatus":"eligible"}"#.to_vec()),
        previous: [("events", previous), ("eligibility.events", previous)]
            .map(|(channel, previous)| (channel.to_owned(), previous))
            .into(),
        ..state(sequence, number)
    }
}
