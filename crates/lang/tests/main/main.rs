//! The language from text to findings, as people and machines meet it.

#![expect(clippy::unwrap_used, reason = "a test falls where it goes wrong")]

mod accepting;
mod bad_input;
mod diagnostics;
mod formatting;
mod kinds;
mod places;
mod reference;
mod robustness;
mod schema;
mod shared;

use seamline_contract::path::DocumentId;
use seamline_lang::estate::{Reading, read_estate};
use std::collections::BTreeMap;

/// Reads documents by name, with `seamline.yaml` as the settings.
fn read(files: &[(&str, &str)]) -> Reading {
    let files = files.iter().map(|(id, text)| (DocumentId((*id).to_owned()), (*text).to_owned()));
    read_estate(&files.collect::<BTreeMap<_, _>>(), DocumentId("seamline.yaml".to_owned()))
}

/// Returns each finding as `document:line:column RULE message`.
fn lines(reading: &Reading) -> Vec<String> {
    let line = |finding: &seamline_contract::finding::Finding| {
        let at = reading.sources.locate(&finding.at);
        format!("{}:{}:{} {} {}", at.document, at.line, at.column, finding.rule, finding.message)
    };
    reading.findings.iter().map(line).collect()
}

/// A contract that has nothing wrong, to be broken by tests.
const CONTRACT: &str = "\
apiVersion: seamline/v1
kind: Contract
context: insurance
version: 2.1.0
status: active
meaning: Where a policy stands.
key: policyId
classification: internal
attributes:
  policyId: { type: string, meaning: 'Identifies a policy.' }
  claimsStatus:
    type: enum
    meaning: Whether claims may be opened.
    values: { eligible: Covered., ineligible: Not covered. }
    moves: [-> eligible, eligible -> ineligible]
events:
  PolicyBound: { meaning: 'The risk was accepted.', becomes: { claimsStatus: eligible } }
state: {}
";

/// Reads the contract with one text replaced.
fn broken(from: &str, to: &str) -> Reading {
    assert!(CONTRACT.contains(from), "{from}");
    read(&[("policy.contract.yaml", &CONTRACT.replace(from, to))])
}

#[test]
fn the_contract_that_tests_break_has_nothing_wrong() {
    let reading = broken("", "");
    assert_eq!(lines(&reading), [""; 0]);
    assert_eq!(reading.estate.contracts.len(), 1);
}
