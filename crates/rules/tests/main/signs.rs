//! The signs by which a rule sees something, where there are more than its page shows, and what looks like one and is none.

use crate::cases::{COVER, POLICY, SUBSCRIPTION, check, contract};
use crate::pages::{Files, found, in_the_examples_estate};
use seamline_contract::path::DocumentId;

/// Adds files to the estate of the examples, and expects findings that begin like these, and no more.
fn with(files: &[(&str, String)], expected: &[&str]) {
    let mut all = in_the_examples_estate(Files::new());
    all.extend(files.iter().map(|(id, text)| (DocumentId((*id).to_owned()), text.clone())));
    let found = found(&all);
    let fits = |(found, expected): (&String, &&str)| found.starts_with(*expected);
    assert!(
        found.len() == expected.len() && found.iter().zip(expected).all(fits),
        "{expected:?}: {found:#?}"
    );
}

#[test]
fn an_enumeration_is_overloaded_by_its_values_or_by_its_moves() {
    let stage =
        |text: &str| format!("stage: {{ type: enum, meaning: 'How far it is.', {text} }}\n  coverTo: {{");
    let at = "MEANING_NOT_OVERLOADED policies/policy.contract.yaml:14";
    let values = "values: { paid: Money came., shipped: It left. }";
    check(POLICY, "coverTo: {", &stage(values), &[at]);
    let four = "values: { one: First of all., two: Second then., three: Third then., four: Last of all. }";
    check(POLICY, "coverTo: {", &stage(four), &[]);
    check(
        POLICY,
        "coverTo: {",
        &stage(&format!("{four}, moves: [-> one, one -> two, three -> four]")),
        &[at],
    );
    check(
        POLICY,
        "coverTo: {",
        &stage(&format!("{four}, moves: [one -> two, three -> four, two -> three]")),
        &[],
    );
}

#[test]
fn thresholds_are_ordered_and_never_nothing() {
    let at = "THRESHOLDS_CALL_IN_TIME policies/policy.contract.yaml:22";
    check(POLICY, "page: 1 row", "page: 5 rows, warn: 9 rows", &[at]);
    check(POLICY, "page: 1 row", "page: 9 rows, warn: 5 rows", &[]);
    check(POLICY, "page: 1 row", "page: 0 rows", &[at]);
}

#[test]
fn state_promises_no_audit_state() {
    let promise = "freshness: 1m, replay: auditState, tombstones: 14d";
    let at = "COMPACTED_YIELDS_NO_AUDIT policies/policy.contract.yaml:21";
    check(POLICY, "freshness: 1m, tombstones: 14d", promise, &[at]);
}

#[test]
fn what_holds_from_now_on_does_not_move_with_the_clock() {
    let flag = |meaning: &str| format!("open: {{ type: boolean, meaning: '{meaning}' }}\n  coverTo: {{");
    check(POLICY, "coverTo: {", &flag("Premiums are due from now on."), &[]);
    let at = "MEANING_MOVES_BY_EVENT policies/policy.contract.yaml:14";
    check(POLICY, "coverTo: {", &flag("A clerk can be reached right now."), &[at]);
    let overdue = "daysOverdue: { type: integer, meaning: 'How late the payment is.' }\n  coverTo: {";
    check(POLICY, "coverTo: {", overdue, &[at]);
}

#[test]
fn a_column_that_is_a_copy_is_not_published_as_decided_here() {
    let key = "  policyId: { from: policies/policy@1.policyId }\n";
    let since = "  insuredSince: { type: date, meaning: 'First day on which a loss is insured.' }\n";
    let publication = |column: &str| {
        format!(
            "apiVersion: seamline/v1\nkind: Publication\ncontract: insured\nsystem: claims-db\ntable: cover\n\
             columns: {{ policyId: policy_no, insuredSince: {column} }}\n"
        )
    };
    let files = |column: &str| {
        [
            (COVER, SUBSCRIPTION.to_owned()),
            ("claims/insured.contract.yaml", contract("policyId", &format!("{key}{since}"))),
            ("claims/insured.publication.yaml", publication(column)),
        ]
    };
    with(&files("cover_from"), &["`CORRECTION_ASKED_OF_OWNER` at `claims/insured.publication.yaml:6:"]);
    with(&files("judged_from"), &[]);
}

#[test]
fn a_command_is_defined_once_by_its_receiver() {
    let command = |sender: &str| {
        format!(
            "commands:\n  EndCover:\n    meaning: Asks for the end of a cover.\n    for: [{sender}]\n    \
             outcomes: {{ ended: {{ meaning: 'The cover is over.' }} }}\n"
        )
    };
    let key = "  claimNo: { type: string, meaning: 'Identifies one loss that was reported.' }\n";
    let of = |owner: &str, sender: &str| {
        let id =
            if owner == "claims" { "claims/loss.contract.yaml" } else { "policies/ending.contract.yaml" };
        (id, contract("claimNo", key) + &command(sender))
    };
    let receiver = of("policies", "claims");
    with(std::slice::from_ref(&receiver), &[]);
    with(
        &[receiver, of("claims", "policies")],
        &[
            "`COMMAND_BELONGS_TO_RECEIVER` at `claims/loss.contract.yaml:10:",
            "`COMMAND_BELONGS_TO_RECEIVER` at `policies/ending.contract.yaml:10:",
        ],
    );
}

#[test]
fn a_topic_is_named_by_nothing_of_a_record() {
    let environment = |topics: &str| {
        let text = format!(
            "apiVersion: seamline/v1\nkind: Environment\nlog: {{ kafka: {{ bootstrap.servers: broker }}, topics: '{topics}' }}\n"
        );
        [("environments/production.environment.yaml", text)]
    };
    with(&environment("{context}.{contract}.v{major}.{channel}"), &[]);
    let found = ["`TOPIC_NAMES_NO_PII` at `environments/production.environment.yaml:3:"];
    with(&environment("{context}.{contract}.v{major}.{channel}.{policyId}"), &found);
}

#[test]
fn a_mapping_that_always_holds_is_none() {
    let fed = "system: core\nfeed: store\nevents: { PolicyBound: { when: 'true' }, PolicyEnded: { when: 'after == null' } }";
    let at = "STORE_PUBLISHED_BY_MAPPING policies/policy.publication.yaml:6";
    check("policies/policy.publication.yaml", "system: core", fed, &[at]);
}

#[test]
fn a_view_that_nobody_reads_is_advised_against() {
    let settings = "apiVersion: seamline/v1\nkind: Estate\nid: insurer\nroots: [.]\npurposes: { claims-handling: Deciding on a claim. }\n\
        defaults: { zone: Europe/Berlin, classification: internal }\nrules: { MEANING_ACCEPTED: off }\n";
    let policy = in_the_examples_estate(Files::new())[&DocumentId(POLICY.to_owned())]
        .replace("state: {}", "views: { days: { for: [claims], only: [coverFrom] } }\nstate: {}");
    let files = [("seamline.yaml", settings.to_owned()), (POLICY, policy), (COVER, SUBSCRIPTION.to_owned())];
    with(&files, &["`PUBLISHED_IS_USED` at `policies/policy.contract.yaml:18:10`: view `days`"]);
}
