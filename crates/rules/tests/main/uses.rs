//! What a subscription uses.

use crate::pages::{Files, in_the_examples_estate};
use seamline_contract::path::DocumentId;
use seamline_lang::estate::read_estate;
use seamline_rules::uses::uses;

#[test]
fn columns_translations_and_reactions_are_used() {
    let text = "apiVersion: seamline/v1\nkind: Subscription\ncontract: policies/policy@1\npurpose: claims-handling\n\
        reactsTo: [PolicyEnded]\ninto:\n  system: claims-db\n  table: cover\n  columns:\n    policy_no: policyId\n    \
        may_claim: { is: \"cover == 'given'\", meaning: 'A claim can be opened.' }\n\
        reconciliation: { every: 1h, page: 1 row }\n";
    let files = [(DocumentId("claims/cover.subscription.yaml".to_owned()), text.to_owned())];
    let reading =
        read_estate(&in_the_examples_estate(Files::from(files)), DocumentId("seamline.yaml".to_owned()));
    assert_eq!(reading.findings, []);
    let used = uses(&reading.estate, &reading.estate.subscriptions[0]);
    let attributes: Vec<String> = used.attributes.iter().map(ToString::to_string).collect();
    // `coverTo` travels with the event; `coverFrom` is used by nobody.
    assert_eq!(attributes, ["cover", "coverTo", "policyId"]);
    assert_eq!(used.events.iter().map(ToString::to_string).collect::<Vec<_>>(), ["PolicyEnded"]);
    assert_eq!(used.channels.iter().map(ToString::to_string).collect::<Vec<_>>(), ["state", "events"]);
}
