//! The failure modes that estates die of, and the cases where synchronization is the wrong tool: each a small estate in
//! which the rules must find it, beside a mended twin in which they find nothing.

use crate::estates::texts;
use seamline_contract::path::DocumentId;
use seamline_lang::estate::read_estate;
use seamline_rules::diff::impact::impacts;
use seamline_rules::diff::verdict::findings;
use seamline_rules::diff::{Sides, diff};
use seamline_rules::review::{Facts, review, runbooks};
use std::path::{Path, PathBuf};

fn folder(group: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(group)
}

/// Returns all findings as `RULE document#path`. Of runbooks all are there.
fn found(root: &Path) -> Vec<String> {
    let reading = read_estate(&texts(root), DocumentId("seamline.yaml".to_owned()));
    let findings =
        review(&reading.estate, &Facts { runbooks: runbooks(&reading.estate), ..Facts::default() });
    reading.findings.iter().chain(&findings).map(|it| format!("{} {}", it.rule, it.at)).collect()
}

fn check(group: &str, name: &str, expected: &[&str]) {
    let root = folder(group).join(name);
    assert_eq!(found(&root.join("broken")), expected, "{name}");
    assert_eq!(found(&root.join("mended")), [""; 0], "{name}, mended");
}

/// Each failure mode, and where the rules see it.
const FAILURE_MODES: [(&str, &[&str]); 6] = [
    (
        "integration-events-masquerading-as-domain-events",
        &[
            "EVENT_NOT_CATCH_ALL_BY_NAME crm/customer.contract.yaml#events.CustomerUpdated",
            "EVENT_NOT_CATCH_ALL_BY_SHAPE crm/customer.contract.yaml#events.CustomerUpdated",
        ],
    ),
    (
        "shared-canonical-model",
        &["NO_SHARED_CANONICAL_MODEL master-data/customer-master.contract.yaml#attributes"],
    ),
    (
        "no-bootstrap-strategy",
        &[
            "BOOTSTRAP_REACHABLE fulfilment/orders.subscription.yaml#contract",
            "ERA_READS_WHAT_IS_USED fulfilment/orders.subscription.yaml#needs.replay",
            "RETENTION_COVERS_REPLAY fulfilment/orders.subscription.yaml#needs.retention",
        ],
    ),
    (
        "reconciliation-as-an-afterthought",
        &[
            "RECONCILIATION_DECLARED accounts/account.contract.yaml#reconciliation",
            "RECONCILIATION_DECLARED statements/balances.subscription.yaml#reconciliation",
        ],
    ),
    (
        "contract-versioning-only-at-schema-level",
        &["ACCEPTED_MEANING_STANDS servicing/loans.subscription.yaml#accepted.meaning"],
    ),
    (
        "producer-centric-payloads",
        &[
            "PAYLOAD_IS_FLAT orders/order.contract.yaml#attributes.customer",
            "PUBLISHED_IS_USED orders/order.contract.yaml#attributes.customer",
            "NAMES_ARE_BUSINESS_WORDS orders/order.contract.yaml#attributes.rowVersion",
            "PUBLISHED_IS_USED orders/order.contract.yaml#attributes.rowVersion",
            "IDS_LEAD_SOMEWHERE orders/order.contract.yaml#attributes.shelfId",
            "PUBLISHED_IS_USED orders/order.contract.yaml#attributes.shelfId",
        ],
    ),
];

/// Each case in which a contract is the wrong tool, and where the rules see it.
const WHEN_NOT_TO_USE: [(&str, &[&str]); 4] = [
    (
        "immediate-consistency-across-a-bad-cut",
        &[
            "TRANSACTION_WITHIN_CONTEXT environments/production.environment.yaml#systems.ledger/books.url",
            "NEEDS_COVERED ledger/payments.subscription.yaml#needs.consistency",
        ],
    ),
    ("trivial-lookup-data", &["TINY_DATA_IS_ASKED reference/currency.contract.yaml#expect"]),
    ("copy-without-business-reason", &["COPY_IS_NEEDED newsletter/orders.subscription.yaml#into.table"]),
    ("platform-monoculture", &["CONVERSATION_IS_REQUESTED loans/houses.subscription.yaml#sends"]),
];

#[test]
fn each_failure_mode_is_found_where_it_is_and_its_mended_twin_is_clean() {
    for (name, expected) in FAILURE_MODES {
        check("failure-modes", name, expected);
    }
}

#[test]
fn each_case_for_another_tool_is_found_where_it_is_and_its_mended_twin_is_clean() {
    for (name, expected) in WHEN_NOT_TO_USE {
        check("when-not-to-use", name, expected);
    }
}

/// Between the two texts nothing changed but a sentence, and that alone asks for a major.
#[test]
fn a_meaning_that_moved_under_its_shape_does_not_ship_as_a_minor() {
    let root = folder("failure-modes").join("contract-versioning-only-at-schema-level/broken");
    let new = read_estate(&texts(&root), DocumentId("seamline.yaml".to_owned())).estate;
    let mut old = new.clone();
    old.contracts[0].version = "1.0.0".parse().expect("a version");
    old.contracts[0].attributes[1].meaning = "Whether the loan runs.".to_owned();
    let sides = Sides::new(&old, &new);
    let diff = diff(&sides);
    let found = findings(&diff, &impacts(&sides, &diff));
    let rules: Vec<&str> = found.iter().map(|finding| finding.rule).collect();
    assert!(rules.contains(&"VERSION_COVERS_CHANGES") && rules.contains(&"WORDS_DECLARED"), "{rules:?}");
}

#[test]
fn every_seeded_estate_is_expected_to_be_found() {
    for (group, cases) in [("failure-modes", &FAILURE_MODES[..]), ("when-not-to-use", &WHEN_NOT_TO_USE[..])] {
        for entry in std::fs::read_dir(folder(group)).expect("a folder") {
            let name = entry.expect("an entry").file_name().into_string().expect("a text");
            assert!(cases.iter().any(|(case, _)| *case == name), "{group}/{name} is tested by nobody");
        }
    }
}
