//! Contracts and rows for the tests.

use seamline_contract::path::DocumentId;
use seamline_contract::resolve::{ResolvedContract, resolve};
use seamline_lang::estate::read_estate;
use seamline_message::codec::{Codec, Row};
use seamline_message::violation::Violation;
use std::collections::BTreeMap;

/// Reads a contract of the folder `contracts`, in an estate of its own.
pub(crate) fn contract(reference: &str, text: &str) -> ResolvedContract {
    let (name, _) = reference.split_once('@').unwrap();
    let (context, contract) = name.split_once('/').unwrap();
    let file = |path: String, text: &str| (DocumentId(path), text.to_owned());
    let files = BTreeMap::from([
        file("seamline.yaml".into(), "apiVersion: seamline/v1\nkind: Estate\nroots: [.]\n"),
        file(
            format!("{context}/{context}.context.yaml"),
            &format!(
                "apiVersion: seamline/v1\nkind: Context\ncontext: {context}\nmeaning: A context.\nteam: proof\n"
            ),
        ),
        file(format!("{context}/{contract}.contract.yaml"), text),
    ]);
    let reading = read_estate(&files, DocumentId("seamline.yaml".into()));
    resolve(&reading.estate, &reference.parse().unwrap())
        .unwrap_or_else(|reasons| panic!("{reasons:?} {:?}", reading.findings))
}

/// A contract with an attribute of every type.
pub(crate) fn everything() -> Codec {
    let text = include_str!("contracts/everything.contract.yaml");
    Codec::compile(&contract("proof/everything@1", text)).unwrap()
}

/// A contract with events, views and invariants.
pub(crate) fn policy() -> Codec {
    let text = include_str!("contracts/policy.contract.yaml");
    Codec::compile(&contract("policy-administration/policy@2", text)).unwrap()
}

/// A policy in source form that keeps its contract.
pub(crate) const POLICY: &str = r#"{"policyId":"P-00000001","claimsStatus":"eligible","coverFrom":"2026-01-01","coverTo":null,
    "holderName":"A. Holder","annualPremium":120.5,"address":{"city":"Bonn","street":"Am Hof 1"}}"#;

/// Reads a policy, with some members replaced.
pub(crate) fn policy_row(codec: &Codec, members: &[(&str, &str)]) -> Row {
    read(codec, POLICY, members).unwrap()
}

/// Reads a row, with some members replaced by JSON.
pub(crate) fn read(codec: &Codec, json: &str, members: &[(&str, &str)]) -> Result<Row, Vec<Violation>> {
    let mut value: serde_json::Value = serde_json::from_str(json).unwrap();
    for (name, json) in members {
        value[*name] = serde_json::from_str(json).unwrap();
    }
    codec.read_source(value.to_string().as_bytes())
}

/// Returns rules and paths.
pub(crate) fn told(violations: &[Violation]) -> Vec<String> {
    violations.iter().map(|violation| format!("{} {}", violation.rule, violation.path)).collect()
}
