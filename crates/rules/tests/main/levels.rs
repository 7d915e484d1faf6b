//! Levels and owners of findings.

use crate::pages::{Files, in_the_examples_estate};
use seamline_contract::estate::Estate;
use seamline_contract::finding::{Finding, Level};
use seamline_contract::path::DocumentId;
use seamline_lang::estate::read_estate;
use seamline_rules::review::{Facts, review, runbooks};

fn estate() -> Estate {
    let premium = "apiVersion: seamline/v1\nkind: Contract\nversion: 1.0.0\nstatus: active\nmeaning: What is due.\n\
        key: policyId\nattributes:\n  policyId: { from: policies/policy@1.policyId }\n  \
        premium: { type: 'decimal(12,2)', meaning: 'Agreed for a year.' }\n";
    let files = [(DocumentId("policies/premium.contract.yaml".to_owned()), premium.to_owned())];
    let reading =
        read_estate(&in_the_examples_estate(Files::from(files)), DocumentId("seamline.yaml".to_owned()));
    assert_eq!(reading.findings, []);
    reading.estate
}

fn reviewed(estate: &Estate) -> Vec<Finding> {
    review(estate, &Facts { runbooks: runbooks(estate), ..Facts::default() })
}

#[test]
fn a_finding_names_the_context_that_must_act() {
    let findings = reviewed(&estate());
    let owners: Vec<_> = findings.iter().map(|it| (it.rule, it.context.as_ref().unwrap().as_str())).collect();
    assert_eq!(owners, [("QUANTITY_HAS_UNIT", "policies")]);
}

#[test]
fn an_estate_sets_the_level_of_a_rule() {
    let mut estate = estate();
    estate.settings.rules.push(("QUANTITY_HAS_UNIT".to_owned(), Some(Level::Advice)));
    let levels: Vec<Level> = reviewed(&estate).iter().map(|finding| finding.level).collect();
    assert_eq!(levels, [Level::Advice]);
}

#[test]
fn an_estate_switches_a_rule_off() {
    let mut estate = estate();
    estate.settings.rules.push(("QUANTITY_HAS_UNIT".to_owned(), None));
    assert_eq!(reviewed(&estate), []);
}
