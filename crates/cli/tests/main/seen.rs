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
