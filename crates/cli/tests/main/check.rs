//! Checking, showing and accepting: exit codes, documents for programs, and texts that nobody should write.

use crate::fixture::Place;
use std::time::{Duration, Instant};

const ESTATE: &str = "apiVersion: seamline/v1\nkind: Estate\nid: small\nroots: [.]\n";

/// Returns the exit code of checking one contract file beside a context.
fn check(name: &str, bytes: impl AsRef<[u8]>) -> crate::fixture::Ran {
    let place = Place::empty();
    place.write("seamline.yaml", ESTATE);
    place.write(name, bytes);
    place.run(&["check"])
}

#[test]
fn the_insurer_is_clean_and_says_so_to_programs() {
    let place = Place::example("insurer");
    let ran = place.run(&["check", "--format", "json"]).exits(0);
    assert_eq!(ran.json()["schema"], "seamline/check/v1");
    assert_eq!(ran.json()["counts"]["error"], 0);
    place.run(&["check"]).exits(0).says("next: ");
}

#[test]
fn a_folder_that_is_not_there_or_holds_no_estate_is_a_wrong_call() {
    Place::empty().run(&["check", "nowhere"]).exits(2).says("help: ");
    Place::empty().run(&["check"]).exits(2).says("there is no estate");
}

#[test]
fn texts_that_are_no_contracts_are_findings() {
    let cases: [(&str, &[u8]); 5] = [
        ("bytes", &[0xff, 0xfe, 0x00, 0x80]),
        ("not yaml", b"apiVersion: [seamline/v1\nkind: }"),
        ("two documents", b"apiVersion: seamline/v1\nkind: Contract\n---\napiVersion: seamline/v1\nkind: Contract\n"),
        ("wrong kind", b"apiVersion: seamline/v1\nkind: Contrakt\nid: a\n"),
        (
            "prose in a flow map",
            b"apiVersion: seamline/v1\nkind: Contract\nid: a\nattributes:\n  a: { type: string, meaning: Made once, never: again }\n",
        ),
    ];
    for (what, bytes) in cases {
        let ran = check("a.contract.yaml", bytes);
        assert_eq!(ran.code, Some(1), "{what}: {}{}", ran.out, ran.err);
        assert!(ran.out.contains("a.contract.yaml"), "{what}: {}", ran.out);
    }
}

#[test]
fn a_file_of_five_megabytes_is_a_finding_at_once() {
    let begun = Instant::now();
    let text = format!("apiVersion: seamline/v1\nkind: Contract\nmeaning: {}\n", "long ".repeat(1_000_000));
    check("a.contract.yaml", text).exits(1).says("a.contract.yaml");
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_cycle_of_carried_attributes_is_a_finding_and_ends() {
    let place = Place::empty();
    place.write("seamline.yaml", ESTATE);
    for (one, other) in [("left", "right"), ("right", "left")] {
        let context = format!(
            "apiVersion: seamline/v1\nkind: Context\nid: {one}\nmeaning: One side.\nteam: {one}\nsystems: {{}}\n"
        );
        place.write(&format!("{one}/{one}.context.yaml"), context);
        let contract = format!(
            "apiVersion: seamline/v1\nkind: Contract\nid: thing\ncontext: {one}\nversion: 1.0.0\nstatus: active\n\
             meaning: A thing of one side.\nkey: id\nattributes:\n  id: {{ from: {other}/thing@1.id }}\nstate: {{}}\n"
        );
        place.write(&format!("{one}/thing.contract.yaml"), contract);
    }
    place.run(&["check"]).exits(1).says("thing.contract.yaml");
}

#[test]
fn what_is_waived_is_told_apart_and_not_counted() {
    let place = Place::example("insurer");
    let standard = "apiVersion: seamline/v1\nkind: Standard\nowner: architecture\nmeaning: Nobody reads policies.\nfor: contract\nwhere: contract.reference == 'policy-administration/policy@2'\nmust: contract.consumers == []\n";
    place.write("policy-administration/alone.standard.yaml", standard);
    let ran = place.run(&["check", "--format", "json"]).exits(1);
    let findings = ran.json()["findings"].as_array().unwrap().clone();
    assert!(findings.iter().any(|finding| finding["standard"] == "alone"), "{}", ran.out);
    let waiver = "apiVersion: seamline/v1\nkind: Waiver\nrule: alone\nscope: policy-administration/policy@2\nbecause: Some do.\napprover: architecture\nuntil: 2999-12-31\n";
    place.write("policy-administration/some.waiver.yaml", waiver);
    place.run(&["check"]).exits(0).says("waived by architecture until 2999-12-31: alone at ");
    let ran = place.run(&["check", "--format", "json"]).exits(0);
    assert_eq!(ran.json()["waived"][0]["waiver"], "some");
    assert_eq!(ran.json()["counts"]["error"], 0);
    place.write("policy-administration/some.waiver.yaml", waiver.replace("2999", "1999"));
    place.run(&["check"]).exits(1).says("WAIVER_IN_TIME");
}

#[test]
fn a_changed_meaning_turns_the_check_red_until_its_consumers_accept_it() {
    let place = Place::example("insurer");
    let path = "policy-administration/policy.contract.yaml";
    let text = std::fs::read_to_string(place.root().join(path)).unwrap();
    let changed = text.replace("Underwriting stands behind the cover.", "The first premium was collected.");
    assert_ne!(text, changed);
    place.write(path, changed);
    let ran = place.run(&["check", "--format", "json"]).exits(1);
    let findings = ran.json()["findings"].as_array().unwrap().clone();
    let owed = |context: &str| findings.iter().any(|finding| finding["owedBy"] == context);
    assert!(owed("claims"), "{}", ran.out);
    place.run(&["accept", "claims/policy-eligibility"]).exits(2).says("--yes");
    place
        .run(&["accept", "claims/policy-eligibility", "--yes"])
        .exits(0)
        .says("The first premium was collected.");
    let ran = place.run(&["check", "--format", "json"]);
    let findings = ran.json()["findings"].as_array().unwrap().clone();
    let at_claims =
        |finding: &&serde_json::Value| finding["owedBy"] == "claims" && finding["level"] == "error";
    assert_eq!(findings.iter().find(at_claims), None);
}

#[test]
fn a_changed_meaning_is_named_with_whom_it_breaks() {
    let (old, new) = (Place::example("insurer"), Place::example("insurer"));
    let before = old.root().to_str().unwrap();
    new.run(&["diff", before, "."]).exits(0).says("0 changes");
    let path = "policy-administration/policy.contract.yaml";
    let text = std::fs::read_to_string(new.root().join(path)).unwrap();
    new.write(
        path,
        text.replace("Underwriting stands behind the cover.", "The first premium was collected."),
    );
    let ran = new.run(&["diff", before, ".", "--format", "json"]).exits(1).json();
    let changes = ran["changes"].as_array().unwrap();
    assert_eq!(changes.len(), 1, "{ran}");
    assert_eq!(
        (&changes[0]["effect"], &changes[0]["target"]),
        (&"unhandled".into(), &"claimsStatus.eligible".into())
    );
    let touched: Vec<&str> = changes[0]["touches"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["subscription"].as_str().unwrap())
        .collect();
    assert!(touched.contains(&"claims/policy-eligibility"), "{touched:?}");
    new.run(&["diff", before, "."])
        .exits(1)
        .says("WORDS_DECLARED")
        .says("the translated column `may_open_claim`");
    new.run(&["diff", before, ".", "--fail-on", "error"]).exits(1);
    new.run(&["diff", "nowhere", "."]).exits(2);
}
