//! What a subscription uses.

use crate::pages::{Files, found, in_the_examples_estate};
use seamline_contract::meaning::meaning_digest;
use seamline_contract::path::DocumentId;
use seamline_contract::resolve::resolve;
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

#[test]
fn only_what_is_used_disturbs_what_was_accepted() {
    let accepted = |meaning: &str| {
        format!(
            "apiVersion: seamline/v1\nkind: Subscription\ncontract: policies/policy@1\npurpose: claims-handling\n\
             into: {{ system: claims-db, table: cover, columns: {{ policy_no: policyId, cover: cover }} }}\n\
             reconciliation: {{ every: 1h, page: 1 row }}\naccepted: {{ version: 1.0.0, meaning: {meaning} }}\n"
        )
    };
    let with = |text: String| {
        let files = [(DocumentId("claims/cover.subscription.yaml".to_owned()), text)];
        in_the_examples_estate(Files::from(files))
    };
    let reading = read_estate(&with(accepted("b3-00000000")), DocumentId("seamline.yaml".to_owned()));
    let subscription = &reading.estate.subscriptions[0];
    let used = uses(&reading.estate, subscription);
    let contract = resolve(&reading.estate, &subscription.contract).unwrap();
    let digest = meaning_digest(&contract, &used);
    let mut files = with(accepted(&digest));
    let edits = [
        ("First day of cover.", "The day after the premium came in.", 0),
        ("retention: 90d", "retention: 30d", 0),
        ("Says nothing about payment.", "And that it is paid.", 1),
    ];
    for (from, to, findings) in edits {
        let policy = files.get_mut(&DocumentId("policies/policy.contract.yaml".to_owned())).unwrap();
        *policy = policy.replace(from, to);
        assert!(policy.contains(to));
        assert_eq!(found(&files).len(), findings, "{to}");
    }
}
