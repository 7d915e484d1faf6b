//! How an estate is seen: who uses what, and the graph of it.

use crate::fixture::Place;

fn shown(arguments: &[&str]) -> String {
    Place::example("insurer").run(arguments).exits(0).out
}

#[test]
fn who_uses_a_value_says_where_it_lands() {
    insta::assert_snapshot!(shown(&["who-uses", "policy-administration/policy@2.claimsStatus.ineligible"]));
}

#[test]
fn who_uses_follows_what_is_carried() {
    insta::assert_snapshot!(shown(&["who-uses", "policy-administration/policy.policyId"]));
    let direct = ["who-uses", "policy-administration/policy.policyId", "--direct"];
    assert!(!shown(&direct).contains("crm/receivables"));
}

#[test]
fn who_uses_is_the_same_for_programs() {
    let place = Place::example("insurer");
    let found = place.run(&["who-uses", "policy-administration/policy@2.holderName", "--format", "json"]);
    insta::assert_snapshot!(format!("{:#}", found.exits(0).json()));
}

#[test]
fn a_reference_that_leads_nowhere_is_told_the_nearest() {
    let place = Place::example("insurer");
    for (reference, nearest) in [
        ("policy-administration/policy@2.claimStatus", "policy-administration/policy@2.claimsStatus`?"),
        ("policy-administration/policy@2.PolicySuspend", "policy-administration/policy@2.PolicySuspended`?"),
        ("policy-administration/policy@2/servicin", "policy-administration/policy@2/servicing`?"),
        ("billing/receivables", "billing/receivable@1`?"),
    ] {
        place.run(&["who-uses", reference]).exits(2).says(&format!("did you mean `{nearest}"));
    }
    place.run(&["graph", "--around", "clams"]).exits(2).says("did you mean `claims`?");
}

#[test]
fn what_nobody_uses_is_no_failure() {
    let place = Place::example("insurer");
    place
        .run(&["who-uses", "billing/receivable@1.paidTo"])
        .exits(0)
        .says("nobody uses billing/receivable@1.paidTo");
}

#[test]
fn the_graph_is_written_in_each_form() {
    insta::assert_snapshot!("graph_text", shown(&["graph"]));
    for form in ["svg", "mermaid", "dot", "json"] {
        let drawn = shown(&["graph", "--around", "billing", "--hops", "2", "--format", form]);
        insta::assert_snapshot!(format!("graph_{form}"), drawn);
    }
}

#[test]
fn an_agreement_says_what_is_exchanged_and_what_happens_when_it_goes_wrong() {
    insta::assert_snapshot!(
        "agreement_projection",
        shown(&["show", "claims/policy-eligibility", "--agreement"])
    );
    insta::assert_snapshot!("agreement_cache", shown(&["show", "portal/my-policies", "--agreement"]));
    let markdown = ["show", "document-management/required-documents", "--agreement", "--format", "markdown"];
    insta::assert_snapshot!("agreement_reactions", shown(&markdown));
}

#[test]
fn a_contract_has_an_agreement_with_each_consumer() {
    let place = Place::example("insurer");
    let pages =
        place.run(&["show", "policy-administration/policy", "--agreement", "--format", "json"]).json();
    assert_eq!(pages.as_array().unwrap().len(), 5);
    assert_eq!(pages[0]["schema"], "seamline/agreement/v1");
    place.run(&["show", "claims/policy-eligibility", "--format", "markdown"]).exits(2).says("--agreement");
}

#[test]
fn what_an_agreement_says_follows_the_text() {
    let place = Place::example("insurer");
    let path = place.root().join("claims/policy-eligibility.subscription.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("onInvalid: holdKey", "onInvalid: halt\nonDelete: mark")).unwrap();
    let agreement = place.run(&["show", "claims/policy-eligibility", "--agreement"]).exits(0);
    agreement.says("stops its partition").says("stays, marked as ended");
}

#[test]
fn resolved_shows_what_is_carried_and_what_is_a_default() {
    insta::assert_snapshot!("resolved_contract", shown(&["show", "billing/receivable", "--resolved"]));
    insta::assert_snapshot!("resolved_subscription", shown(&["show", "crm/policies", "--resolved"]));
}

#[test]
fn accepting_shows_what_changed_and_writes_only_when_told() {
    let (old, place) = (Place::example("insurer"), Place::example("insurer"));
    let path = place.root().join("policy-administration/policy.contract.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    let text =
        text.replace("Underwriting stands behind the cover.", "Underwriting stands behind the cover today.");
    let change = "  - { version: 2.2.0, clarified: claimsStatus.eligible, because: 'Asked twice.' }\n";
    std::fs::write(&path, text.replace("version: 2.1.0\n", "version: 2.2.0\n") + change).unwrap();
    let since = old.root().to_str().unwrap();
    let plan = place.run(&["accept", "claims/policy-eligibility", "--since", since, "--dry-run"]).exits(0);
    insta::assert_snapshot!("accept_plan", plan.out);
    place.run(&["check"]).exits(1).says("ACCEPTED_MEANING_STANDS");
    place.run(&["accept", "claims/policy-eligibility"]).exits(2).says("--yes");
    let written =
        place.run(&["accept", "claims/policy-eligibility", "--yes", "--format", "json"]).exits(0).json();
    assert_eq!(written["written"], true);
    place.run(&["accept", "claims/policy-eligibility"]).exits(0).says("accepted already");
    place
        .run(&["accept", "document-management/required-documents", "--dry-run"])
        .exits(0)
        .says("nothing was written");
}
