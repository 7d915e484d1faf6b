//! Each rule beyond its page: one edit of the examples' estate, and all that is found.

use crate::pages::{Files, found, in_the_examples_estate};
use seamline_contract::path::DocumentId;

const POLICY: &str = "policies/policy.contract.yaml";
const CLAIMS: &str = "claims/claims.context.yaml";
const COVER: &str = "claims/cover.subscription.yaml";
const SUBSCRIPTION: &str = "apiVersion: seamline/v1
kind: Subscription
contract: policies/policy@1
purpose: claims-handling
reactsTo: [PolicyEnded]
needs: { freshness: 5m, because: 'A caller waits.' }
into:
  system: claims-db
  table: cover
  columns:
    policy_no: policyId
    cover_from: coverFrom
reconciliation: { every: 1h, page: 1 row }
";

/// Replaces a text that stands once in a file of the estate, and expects these rules at these lines, and no more.
fn check(file: &str, from: &str, to: &str, expected: &[&str]) {
    let mut files = in_the_examples_estate(Files::new());
    files.insert(DocumentId(COVER.to_owned()), SUBSCRIPTION.to_owned());
    let text = files.get_mut(&DocumentId(file.to_owned())).expect(file);
    assert_eq!(text.matches(from).count(), 1, "{from}");
    *text = text.replace(from, to);
    let found: Vec<String> = found(&files)
        .iter()
        .map(|line| {
            let mut parts = line.split('`');
            let rule = parts.nth(1).expect("a rule");
            let place = parts.nth(1).and_then(|place| place.rsplit_once(':')).expect("a place").0;
            format!("{rule} {place}")
        })
        .collect();
    assert_eq!(found, expected, "{to}");
}

#[test]
fn the_estate_of_the_cases_is_clean() {
    check(COVER, "5m", "5m", &[]);
}

#[test]
fn each_need_is_held_against_its_promise() {
    let cases: [(&str, &[&str]); 11] = [
        ("freshness: 1m p99", &[]),
        ("freshness: 59s", &["NEEDS_COVERED claims/cover.subscription.yaml:6"]),
        ("freshness: 5m p99.9", &["NEEDS_COVERED claims/cover.subscription.yaml:6"]),
        ("lateness: 1d", &["NEEDS_COVERED claims/cover.subscription.yaml:6"]),
        ("replay: auditState", &[]),
        ("tombstones: 14d", &[]),
        ("tombstones: 15d", &["NEEDS_COVERED claims/cover.subscription.yaml:6"]),
        ("retention: 90d", &[]),
        ("retention: 91d", &["RETENTION_COVERS_REPLAY claims/cover.subscription.yaml:6"]),
        ("answer: 1s", &["NEEDS_COVERED claims/cover.subscription.yaml:6"]),
        ("consistency: immediate", &["NEEDS_COVERED claims/cover.subscription.yaml:6"]),
    ];
    for (need, expected) in cases {
        check(COVER, "freshness: 5m", need, expected);
    }
    check(COVER, ", because: 'A caller waits.'", "", &["MEANING_PRESENT claims/cover.subscription.yaml:6"]);
    check(POLICY, "replay: auditState", "replay: bestEffort", &[]);
}

#[test]
fn names_across_documents_lead_somewhere() {
    let cases = [
        ("becomes: { cover: given }", "becomes: { coverFrom: given }", 16),
        ("with: [coverFrom]", "effective: cover", 16),
        ("state: {}", "state: { for: [claims, portal] }", 18),
    ];
    for (from, to, line) in cases {
        check(POLICY, from, to, &[&format!("NAMES_RESOLVE policies/policy.contract.yaml:{line}")]);
    }
    check(COVER, "claims-db", "claims", &["NAMES_RESOLVE claims/cover.subscription.yaml:8"]);
    check(
        COVER,
        "cover_from: coverFrom",
        "cover_from: from",
        &["NAMES_RESOLVE claims/cover.subscription.yaml:12"],
    );
    let publication = "policies/policy.publication.yaml";
    check(
        publication,
        "system: core",
        "system: cores",
        &["NAMES_RESOLVE policies/policy.publication.yaml:4"],
    );
    let relations = "team: claims\nrelations: [{ with: police, as: conformist }]";
    check(CLAIMS, "team: claims", relations, &["NAMES_RESOLVE claims/claims.context.yaml:5"]);
}

#[test]
fn a_view_bounds_what_is_used_and_by_whom() {
    let view = |text: &str| format!("views: {{ cover: {{ {text} }} }}\nstate: {{}}");
    let mut files = in_the_examples_estate(Files::new());
    let policy = files.get_mut(&DocumentId(POLICY.to_owned())).unwrap();
    *policy = policy.replace("state: {}", &view("for: [claims], only: [cover], events: [PolicyBound]"));
    files.insert(DocumentId(COVER.to_owned()), SUBSCRIPTION.replace("purpose:", "view: cover\npurpose:"));
    let found = found(&files);
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[1].contains("has no event `PolicyEnded`"), "{found:#?}");
    assert!(found[0].contains("has no attribute `coverFrom`"), "{found:#?}");
}

#[test]
fn two_contracts_do_not_publish_one_column() {
    let mut files = in_the_examples_estate(Files::new());
    let contract = "apiVersion: seamline/v1\nkind: Contract\nversion: 1.0.0\nstatus: active\nmeaning: Who sold it.\n\
        key: saleId\nattributes:\n  saleId: { type: uuid, meaning: 'Identifies one sale.' }\n  \
        begins: { type: date, meaning: 'First day of cover as sold.' }\n";
    let publication = "apiVersion: seamline/v1\nkind: Publication\ncontract: sale\nsystem: core\n\
        table: policy_current\ncolumns: { begins: cover_from }\n";
    files.insert(DocumentId("policies/sale.contract.yaml".to_owned()), contract.to_owned());
    files.insert(DocumentId("policies/sale.publication.yaml".to_owned()), publication.to_owned());
    let found = found(&files);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].starts_with("`ONE_OWNER` at `policies/sale.publication.yaml:6:20`"), "{found:#?}");
}

#[test]
fn references_lead_to_majors_that_live() {
    check(POLICY, "status: active", "status: retired", &["MAJOR_LIVES claims/cover.subscription.yaml:3"]);
    let serves = "serves: [{ version: 0, until: 2030-01-01 }]\nstate: {}";
    check(POLICY, "state: {}", serves, &["MAJOR_LIVES policies/policy.contract.yaml:18"]);
    let circle = "coverTo: { from: policies/policy@1.coverTo }\n";
    let written =
        "coverTo: { type: date, optional: true, meaning: 'Last day of cover. None while open-ended.' }\n";
    check(POLICY, written, circle, &["CARRIED_ATTRIBUTE_EXISTS policies/policy.contract.yaml:14"]);
}

#[test]
fn a_key_is_not_optional_where_it_is_decided() {
    let mut files = in_the_examples_estate(Files::new());
    let contract = "apiVersion: seamline/v1\nkind: Contract\nversion: 1.0.0\nstatus: active\nmeaning: What ends.\n\
        key: lastDay\nattributes:\n  lastDay: { from: policies/policy@1.coverTo }\n";
    files.insert(DocumentId("claims/ending.contract.yaml".to_owned()), contract.to_owned());
    let found = found(&files);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].starts_with("`KEY_ALWAYS_PRESENT` at `claims/ending.contract.yaml:8:20`"), "{found:#?}");
}

#[test]
fn a_cache_may_do_without_reconciliation_and_a_projection_may_not() {
    let reconciliation = "reconciliation: { every: 1h, page: 1 row }\n";
    check(COVER, reconciliation, "", &["RECONCILIATION_DECLARED claims/cover.subscription.yaml:1"]);
    check(COVER, reconciliation, "role: cache\n", &[]);
}
