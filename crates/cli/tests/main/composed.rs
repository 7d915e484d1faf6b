//! A contract composed from two projections in one context, published on, and kept by another: the insurer's overview.

use crate::fixture::{CONTEXTS, Place, bound, publish};

const CONTRACT: &str = "apiVersion: seamline/v1
kind: Contract
id: policy-overview
context: crm
version: 1.0.0
status: active
meaning: What a holder is shown about a policy. Cover and payment are two answers, never one.
key: policyId
derived: { from: [policy-administration/policy@2, billing/receivable@1] }
attributes:
  policyId: { from: policy-administration/policy@2.policyId }
  cover: { from: policy-administration/policy@2.claimsStatus }
  payment: { from: billing/receivable@1.billingStatus, optional: true }
  arrears: { from: billing/receivable@1.delinquency, optional: true }
  notice:
    type: enum
    meaning: The one line that the screens show first.
    values: { inOrder: Covered and paid., payNow: Covered but behind with payment., notCovered: No cover at present. }
    computed: \"cover == 'ineligible' ? 'notCovered' : arrears != null && arrears != 'none' ? 'payNow' : 'inOrder'\"
state: {}
guarantees:
  state: { freshness: 2m p99, replay: currentState, tombstones: 14d }
reconciliation: { every: 1h, countBy: notice, page: 0.1% of rows, repair: reemit, runbook: runbooks/policy.md }
";

const PUBLICATION: &str = "apiVersion: seamline/v1
kind: Publication
contract: policy-overview
system: crm-db
table: policy_overview
feed: projections
";

const SUBSCRIPTION: &str = "apiVersion: seamline/v1
kind: Subscription
id: my-overview
context: portal
contract: crm/policy-overview@1
purpose: customer-service
needs: { freshness: 10m, replay: currentState, because: 'A page shows one line first.' }
into:
  system: portal-db
  table: my_overview
  columns: { policy_id: policyId, cover: cover, payment: payment, arrears: arrears, notice: notice }
reconciliation: { every: 1d, page: 1% of rows }
";

/// Returns the insurer with the overview, installed, with two policies, a receivable of the first and one of none.
fn place() -> Place {
    let place = Place::example("insurer");
    place.write("crm/policy-overview.contract.yaml", CONTRACT);
    place.write("crm/policy-overview.publication.yaml", PUBLICATION);
    place.write("portal/my-overview.subscription.yaml", SUBSCRIPTION);
    place.tables();
    for context in CONTEXTS {
        place.run(&["install", context, "--yes"]).exits(0).says("installed");
    }
    for number in 1..=2 {
        let publish = publish(number, "PolicyBound", None);
        place.sql("policy-administration", &format!("{}; {publish}", bound(number)));
    }
    for number in [1, 9] {
        place.sql("billing", &receivable(number, "none", "0"));
    }
    carry(&place);
    place
}

fn receivable(number: u32, delinquency: &str, outstanding: &str) -> String {
    format!(
        "INSERT OR REPLACE INTO receivable_current VALUES ('P-{number:08}', 'awaiting', '{delinquency}', '{outstanding}', NULL);
         INSERT INTO seamline_publish (contract, key) VALUES ('receivable', '[\"P-{number:08}\"]')"
    )
}

fn carry(place: &Place) {
    place.run(&["agent", "--all", "--until-idle"]).exits(0);
}

/// Returns how many rows of the portal's overview hold what a condition says.
fn shown(place: &Place, condition: &str) -> i64 {
    place.number("portal", &format!("SELECT count(*) FROM my_overview WHERE {condition}"))
}

#[test]
fn a_contract_is_composed_from_projections_and_read_like_any_other() {
    let place = place();
    assert_eq!(shown(&place, "true"), 2);
    assert_eq!(shown(&place, "policy_id = 'P-00000001' AND payment = 'awaiting' AND notice = 'inOrder'"), 1);
    assert_eq!(shown(&place, "policy_id = 'P-00000002' AND payment IS NULL AND arrears IS NULL"), 1);
    // A receivable without a policy is no row, and its end is told to nobody.
    let ninth = "SELECT count(*) FROM seamline_key WHERE contract = 'policy-overview' AND key LIKE '%9%'";
    assert_eq!(place.number("crm", ninth), 0);
    assert_eq!(place.number("crm", "SELECT count(*) FROM policy_overview"), 2);

    // Either source changes it; what it is made of is told with it.
    place.sql("billing", &receivable(1, "overdue", "10"));
    carry(&place);
    assert_eq!(shown(&place, "policy_id = 'P-00000001' AND notice = 'payNow'"), 1);
    let records = |of: &str| {
        let both = format!(
            "SELECT count(*) FROM log_record r JOIN log_topic t ON t.number = r.topic WHERE t.name LIKE 'crm.policy-overview.%.state' \
             AND r.headers LIKE '%{of}%'"
        );
        place.number("log", &both)
    };
    assert!(records("policy-administration/policy@2/00") >= 2, "{}", records("policy"));
    assert!(records("billing/receivable@1/00") >= 1);

    // Gone at the other, its attributes have no value; gone at the first, there is no row.
    let gone = "DELETE FROM receivable_current WHERE contract_ref = 'P-00000001';
                INSERT INTO seamline_publish (contract, key) VALUES ('receivable', '[\"P-00000001\"]')";
    place.sql("billing", gone);
    let gone = "DELETE FROM policy_current WHERE policy_no = 'P-00000002';
                INSERT INTO seamline_publish (contract, key) VALUES ('policy', '[\"P-00000002\"]')";
    place.sql("policy-administration", gone);
    carry(&place);
    assert_eq!(shown(&place, "true"), 1);
    assert_eq!(shown(&place, "payment IS NULL AND notice = 'inOrder'"), 1);
    place.run(&["reconcile", "--format", "json"]).exits(0);

    // Installed again, nothing is published again.
    place.run(&["install", "crm", "--yes"]).exits(0);
    assert_eq!(place.number("crm", "SELECT count(*) FROM seamline_outbox"), 0);
    place.run(&["doctor", "--format", "json"]).exits(0);
}

#[test]
fn what_is_in_flight_is_no_drift_and_what_was_never_published_is() {
    let place = place();
    // A hand that mends a projection publishes, and until that is told nothing has drifted.
    place.sql("crm", "UPDATE receivable_copy SET arrears = 'overdue' WHERE policy_id = 'P-00000001'");
    assert_eq!(place.number("crm", "SELECT count(*) FROM seamline_outbox"), 1);
    let in_flight = place.run(&["reconcile", "crm/policy-overview@1", "--format", "json"]);
    in_flight.exits(6).says("1 keys have rows that wait in the outbox").says("\"drifts\":[]");
    carry(&place);
    place.run(&["reconcile", "crm/policy-overview@1", "--format", "json"]).exits(0);
    assert_eq!(shown(&place, "notice = 'payNow'"), 1);
    // Without what publishes it, the ledger tells, and the repair publishes it.
    place.sql(
        "crm",
        "DROP TRIGGER \"seamline_derive_policy-overview_1_update\";
         UPDATE receivable_copy SET arrears = 'none' WHERE policy_id = 'P-00000001'",
    );
    assert_eq!(place.number("crm", "SELECT count(*) FROM seamline_outbox"), 0);
    place.run(&["reconcile", "crm/policy-overview@1", "--format", "json"]).exits(3);
    place.run(&["reconcile", "crm/policy-overview@1", "--repair", "--yes"]);
    carry(&place);
    assert_eq!(shown(&place, "notice = 'inOrder'"), 2);
}

#[test]
fn what_cannot_be_composed_is_refused_with_what_mends_it() {
    let place = Place::example("insurer");
    place.write("crm/policy-overview.contract.yaml", CONTRACT);
    place.write("crm/policy-overview.publication.yaml", PUBLICATION);
    place.edit(
        "crm/receivables.subscription.yaml",
        "{ policy_id: policyId, payment: billingStatus, arrears: delinquency }",
        "{ policy_id: policyId, payment: billingStatus }",
    );
    place.run(&["check"]).exits(1).says("DERIVED_IS_PROJECTED").says("add `delinquency: delinquency`");
    place.run(&["install", "crm", "--yes"]).exits(1).says("run `seamline check`");
    assert!(!place.file("crm").exists());
}

#[test]
fn what_was_there_before_is_published_by_a_backfill() {
    let place = Place::insurer(2);
    for number in 1..=2 {
        place.sql("policy-administration", &publish(number, "PolicyBound", None));
    }
    carry(&place);
    place.write("crm/policy-overview.contract.yaml", CONTRACT);
    place.write("crm/policy-overview.publication.yaml", PUBLICATION);
    place.write("portal/my-overview.subscription.yaml", SUBSCRIPTION);
    place.run(&["install", "portal", "--yes"]).exits(0);
    place.run(&["install", "crm", "--yes"]).exits(0).says("backfill crm/policy-overview@1");
    place.run(&["backfill", "crm/policy-overview@1", "--yes"]).exits(0);
    carry(&place);
    assert_eq!(shown(&place, "notice = 'inOrder'"), 2);
}
