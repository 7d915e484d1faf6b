//! What a contract promises of requests, what a publication makes of row changes, and names beside both.

use crate::pages::{Files, found, in_the_examples_estate};
use seamline_contract::path::DocumentId;

fn findings(files: &[(&str, &str)]) -> Vec<String> {
    let files = files.iter().map(|(name, text)| (DocumentId((*name).to_owned()), (*text).to_owned()));
    found(&in_the_examples_estate(files.collect::<Files>()))
}

#[test]
fn what_is_asked_for_is_as_fresh_as_its_answer() {
    let contract = |freshness: &str| {
        format!(
            "apiVersion: seamline/v1\nkind: Contract\nversion: 1.0.0\nstatus: active\nmeaning: What a policy is worth.\nkey: policyId\nattributes:\n  policyId: {{ from: policies/policy@1.policyId }}\n  worth: {{ type: 'decimal(12,2)', unit: EUR, meaning: Today. }}\nrequests: {{ for: [claims] }}\nguarantees: {{ requests: {{ freshness: {freshness}, answer: 1s }} }}\n"
        )
    };
    let asking = "apiVersion: seamline/v1\nkind: Subscription\ncontract: policies/worth@1\npurpose: claims-handling\nasks: [worth]\nneeds: { freshness: 5s, answer: 2s, because: 'A caller waits.' }\n";
    let with = |freshness: &str| {
        findings(&[
            ("policies/worth.contract.yaml", contract(freshness).as_str()),
            ("claims/worth.subscription.yaml", asking),
        ])
    };
    let needs = |lines: Vec<String>| -> Vec<String> {
        lines.into_iter().filter(|line| line.starts_with("`NEEDS_COVERED`")).collect()
    };
    assert_eq!(needs(with("5s")), [""; 0]);
    let expected = "`NEEDS_COVERED` at `claims/worth.subscription.yaml:6:21`: `freshness: 5s p99` is needed, and `6s p99` is promised";
    assert_eq!(needs(with("6s")), [expected]);
}

const CONTRACT: &str = "apiVersion: seamline/v1
kind: Contract
version: 1.0.0
status: active
meaning: Where a policy stands in its life.
key: policyId
attributes:
  policyId: { type: string, meaning: 'Identifies a contract of insurance for life.' }
  cover: { type: enum, meaning: 'Whether a claim may be made.', values: { given: Underwriting stands behind it., ended: Cancelled. } }
  coverTo: { type: date, optional: true, meaning: 'Last day. None while open-ended.' }
events:
  PolicyEnded:
    meaning: Cancelled or expired.
    becomes: { cover: ended }
    reasons: { CANCELLED: By the holder., EXPIRED: Not renewed. }
    details: { clerk: { type: string, meaning: 'Who took the call.' }, note: { type: string, optional: true, meaning: 'What was said.' } }
state: {}
guarantees:
  events: { retention: 90d, replay: auditState }
  state: { freshness: 1m, tombstones: 14d }
reconciliation: { every: 1h, page: 1 row, runbook: runbooks/policy.md }
";
const PUBLICATION: &str = "apiVersion: seamline/v1
kind: Publication
contract: policy
system: core
table: policy_current
feed: cdc
until: 2027-12-31
events:
  PolicyEnded:
    when: before != null && after != null && before.cover == 'given' && after.cover == 'ended'
    reason: \"row.WHY == 'C' ? 'CANCELLED' : 'EXPIRED'\"
    effective: row.ENDED_AT
    details: { clerk: row.CLERK }
";

#[test]
fn what_a_row_change_is_told_as_fits_the_event() {
    let with = |from: &str, to: &str| {
        assert_eq!(PUBLICATION.matches(from).count(), 1, "{from}");
        let publication = PUBLICATION.replace(from, to);
        findings(&[
            ("policies/policy.contract.yaml", CONTRACT),
            ("policies/policy.publication.yaml", publication.as_str()),
        ])
    };
    assert_eq!(with("system: core", "system: core"), [""; 0]);
    for (from, to, expected) in [
        (
            "before != null && after != null && ",
            "",
            "`EXPRESSIONS_TYPE_CHECK` at `policies/policy.publication.yaml:10:11`: `before` may have no value here",
        ),
        (
            "after.cover == 'ended'",
            "after.cover == 'end'",
            "`EXPRESSIONS_TYPE_CHECK` at `policies/policy.publication.yaml:10:88`: `end` is not one of the values",
        ),
        (
            ": 'EXPIRED'\"",
            ": 'EXPIRES'\"",
            "`EXPRESSIONS_TYPE_CHECK` at `policies/policy.publication.yaml:11:13`: this yields `enum`, and `enum` is due",
        ),
        (
            "effective: row.ENDED_AT",
            "effective: \"'today'\"",
            "`EXPRESSIONS_TYPE_CHECK` at `policies/policy.publication.yaml:12:16`: this yields `string`, and `timestamp` is due",
        ),
        (
            "{ clerk: row.CLERK }",
            "{}",
            "`EXPRESSIONS_TYPE_CHECK` at `policies/policy.publication.yaml:13:14`: the event always has its `clerk`, and nothing says which",
        ),
        (
            "details: { clerk: row.CLERK }",
            "details: { clerk: row.CLERK, desk: row.DESK }",
            "`NAMES_RESOLVE` at `policies/policy.publication.yaml:13:34`: `PolicyEnded` has no detail `desk`",
        ),
        (
            "  PolicyEnded:",
            "  PolicyEnds:",
            "`NAMES_RESOLVE` at `policies/policy.publication.yaml:9:3`: `policies/policy` has no event `PolicyEnds`",
        ),
    ] {
        let lines = with(from, to);
        assert!(lines.iter().any(|line| line.starts_with(expected)), "{to}: {lines:#?}");
    }
}

#[test]
fn what_is_composed_served_and_placed_is_there() {
    let overview = "apiVersion: seamline/v1\nkind: Contract\nversion: 1.0.0\nstatus: active\nmeaning: What a handler sees.\nkey: policyId\nderived: { from: [policies/policy@1], on: { policies/policy@1: policyNo, policies/bill@1: policyId } }\nattributes:\n  policyId: { from: policies/policy@1.policyId }\n";
    let lines = findings(&[("claims/overview.contract.yaml", overview)]);
    for expected in [
        "`NAMES_RESOLVE` at `claims/overview.contract.yaml:7:64`: `policies/policy@1` has no attribute `policyNo`",
        "`NAMES_RESOLVE` at `claims/overview.contract.yaml:7:74`: `policies/bill@1` is none of the contracts this is derived from",
    ] {
        assert!(lines.iter().any(|line| line == expected), "{expected}: {lines:#?}");
    }
    let old = CONTRACT.replace("PolicyEnded:", "PolicyClosed:");
    let new = CONTRACT.replace("version: 1.0.0", "version: 2.0.0")
        + "serves:\n  - { version: 1, until: 2027-03-31, events: { PolicyShut: PolicyEnd } }\n";
    let lines =
        findings(&[("policies/policy@1.contract.yaml", &old), ("policies/policy.contract.yaml", &new)]);
    for expected in [
        "`NAMES_RESOLVE` at `policies/policy.contract.yaml:23:48`: version 1.0.0 has no event `PolicyShut`",
        "`NAMES_RESOLVE` at `policies/policy.contract.yaml:23:60`: version 2.0.0 has no event `PolicyEnd`",
    ] {
        assert!(lines.iter().any(|line| line == expected), "{expected}: {lines:#?}");
    }
    let environment = "apiVersion: seamline/v1\nkind: Environment\nlog: { embedded: log }\nsystems: { policies/core: { url: a }, policies/cor: { url: b }, claim/claims-db: { url: c } }\n";
    assert_eq!(
        findings(&[("laptop.environment.yaml", environment)]),
        [
            "`NAMES_RESOLVE` at `laptop.environment.yaml:4:65`: there is no context `claim`",
            "`NAMES_RESOLVE` at `laptop.environment.yaml:4:39`: `policies` has no system `cor`",
        ]
    );
}
