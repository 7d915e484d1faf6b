//! Validating payloads: which are refused and where, what is never printed, and files that are no fun to read.

use crate::fixture::{Place, Ran};
use std::io::Write;
use std::process::Stdio;

const POLICY: &str = "policy-administration/policy";

const SOUND: &str = r#"{"policyId":"P-00000001","claimsStatus":"eligible","coverFrom":"2026-01-01","coverTo":null,"product":"Cargo","holderName":"Harbour Logistics","annualPremium":120.5}"#;

const WIRE: &str = r#"{"key":["P-00000001"],"state":{"annualPremium":"120.50","claimsStatus":"eligible","coverFrom":"2026-01-01","holderName":"Harbour Logistics","product":"Cargo"}}"#;

/// Validates a text as a file of the insurer.
fn validate(reference: &str, text: impl AsRef<[u8]>, more: &[&str]) -> Ran {
    let place = Place::example("insurer");
    place.write("payloads.json", text);
    let mut arguments = vec!["validate", reference, "payloads.json"];
    arguments.extend(more);
    place.run(&arguments)
}

/// Returns record, line, pointer and rule of each violation.
fn found(ran: &Ran) -> Vec<(u64, u64, String, String)> {
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let document = ran.json();
    assert_eq!(document["schema"], "seamline/validate/v1");
    let all = document["violations"].as_array().unwrap().iter();
    all.map(|it| {
        let (record, line) = (it["record"].as_u64().unwrap(), it["line"].as_u64().unwrap());
        (record, line, text(&it["pointer"]), text(&it["rule"]))
    })
    .collect()
}

/// Fails unless exactly these violations are found: record, line, pointer, rule.
fn check(reference: &str, text: impl AsRef<[u8]>, more: &[&str], expected: &[(u64, u64, &str, &str)]) {
    let arguments: Vec<&str> = more.iter().copied().chain(["--format", "json"]).collect();
    let ran = validate(reference, &text, &arguments).exits(i32::from(!expected.is_empty()));
    let expected: Vec<(u64, u64, String, String)> = expected
        .iter()
        .map(|(record, line, pointer, rule)| (*record, *line, (*pointer).to_owned(), (*rule).to_owned()))
        .collect();
    assert_eq!(found(&ran), expected, "{}", String::from_utf8_lossy(text.as_ref()));
}

#[test]
fn sound_payloads_are_clean_in_every_layout_and_form() {
    let lines = format!("{SOUND}\r\n\r\n{SOUND}\r\n");
    for text in [SOUND.to_owned(), lines, format!("\u{feff}[{SOUND},\n{SOUND}]\n"), WIRE.to_owned()] {
        check(POLICY, text, &[], &[]);
    }
    validate(POLICY, SOUND, &[]).exits(0).says("1 payload").says("source form").says("next: ");
    validate(POLICY, WIRE, &[]).exits(0).says("wire form");
    let view = "policy-administration/policy@2/eligibility";
    let row = r#"{"policyId":"P-00000001","claimsStatus":"eligible","coverFrom":"2026-01-01"}"#;
    check(view, row, &[], &[]);
    check(view, SOUND, &[], &[(1, 1, "", "SHAPE"); 3]);
}

#[test]
fn every_violation_comes_with_its_place_and_rule() {
    let broken = SOUND
        .replace("P-00000001", "P-1")
        .replace("\"eligible\"", "\"maybe\"")
        .replace("\"2026-01-01\"", "\"soon\"")
        .replace("\"product\":\"Cargo\",", "");
    let expected = [
        (1, 2, "/coverFrom", "TYPE"),
        (1, 2, "/claimsStatus", "VALUES"),
        (1, 2, "/policyId", "PATTERN"),
        (1, 2, "/product", "REQUIRED"),
    ];
    check(POLICY, format!("\n{broken}"), &[], &expected);
    let ends = SOUND.replace("\"coverTo\":null", "\"coverTo\":\"1999-12-31\"");
    check(POLICY, format!("{SOUND}\n{ends}\n"), &[], &[(2, 2, "", "INVARIANT(coverEndsAfterItBegins)")]);
}

#[test]
fn no_value_is_printed_unless_asked_and_never_one_above_internal() {
    let broken = SOUND.replace("\"eligible\"", "\"maybe\"").replace("\"Harbour Logistics\"", "17");
    for format in ["text", "json", "junit"] {
        let ran = validate(POLICY, &broken, &["--format", format]).exits(1);
        for value in ["maybe", "Cargo", "P-00000001", "17"] {
            assert!(!ran.out.contains(value), "`{value}` in {}", ran.out);
        }
        let ran = validate(POLICY, &broken, &["--format", format, "--show-values"]).exits(1);
        assert!(ran.out.contains("maybe") && !ran.out.contains("17"), "{}", ran.out);
    }
    let slip = SOUND.replace("coverFrom", "cover_from").replace("holderName", "Alice");
    let ran = validate(POLICY, slip, &[]).exits(1).says("did you mean `coverFrom`?");
    assert!(!ran.out.contains("Alice") && !ran.out.contains("cover_from"), "{}", ran.out);
}

#[test]
fn what_is_no_json_is_a_finding_and_spoils_no_other_line() {
    let text = format!("{SOUND}\n{{\"policyId\":\nno\n{SOUND}\n");
    check(POLICY, text, &["--ndjson"], &[(2, 2, "", "JSON"), (3, 3, "", "JSON")]);
    let twice = SOUND.replace("\"product\"", "\"policyId\"");
    check(POLICY, twice, &[], &[(1, 1, "", "JSON")]);
    check(POLICY, b"\xff\xfe{}", &[], &[(1, 1, "", "JSON")]);
    check(POLICY, "[".repeat(100_000), &[], &[(1, 1, "", "JSON"), (2, 1, "", "JSON")]);
    check(POLICY, format!("{{\"a\":{}", "{\"a\":".repeat(100_000)), &[], &[(1, 1, "", "JSON")]);
    check(POLICY, format!("[{SOUND},\n"), &[], &[(2, 2, "", "JSON")]);
    check(POLICY, "[17, \"a\"]", &[], &[(1, 1, "", "TYPE"), (2, 1, "", "TYPE")]);
}

#[test]
fn numbers_keep_every_digit_and_long_lines_are_read() {
    let premium = |text: &str| SOUND.replace("120.5", text);
    check(POLICY, premium("9999999999.99"), &[], &[]);
    check(POLICY, premium("9007199254740993.25"), &[], &[(1, 1, "/annualPremium", "TYPE")]);
    check("billing/receivable", "{}", &["--form", "wire"], &[(1, 1, "/key", "SHAPE")]);
    let long = SOUND.replace("Cargo", &"Cargo".repeat(300_000));
    check(POLICY, format!("{long}\n{SOUND}\n"), &[], &[]);
    check(POLICY, SOUND.replace("Cargo", &"Cargo".repeat(2_000_000)), &[], &[(1, 1, "", "JSON")]);
}

#[test]
fn an_empty_file_proves_nothing() {
    for text in ["", "\u{feff}", " \n\r\n", "[]"] {
        validate(POLICY, text, &[]).exits(6).says("nothing was seen");
    }
}

#[test]
fn events_are_judged_as_they_travel_and_as_they_are_published() {
    let suspended = "policy-administration/policy@2.PolicySuspended";
    let wire = r#"{"carries":{"claimsStatus":"ineligible"},"change":"PolicySuspended","key":["P-00000001"],"reason":"FRAUD_REVIEW"}"#;
    check(suspended, wire, &[], &[]);
    check(suspended, wire.replace("FRAUD_REVIEW", "WHIM"), &[], &[(1, 1, "/reason", "REASON")]);
    check(
        suspended,
        wire.replace("ineligible", "eligible"),
        &[],
        &[(1, 1, "/carries/claimsStatus", "BECOMES")],
    );
    check("policy-administration/policy@2.PolicyBound", wire, &[], &[(1, 1, "/change", "EVENT")]);
    let row = SOUND.replace("\"eligible\"", "\"ineligible\"");
    let source = format!(r#"{{"change":"PolicySuspended","reason":"FRAUD_REVIEW","state":{row}}}"#);
    check(suspended, &source, &[], &[]);
    let state = source.replace("ineligible", "eligible");
    check(suspended, state, &[], &[(1, 1, "/state/claimsStatus", "BECOMES")]);
    let broken = source.replace("\"reason\"", "\"reasons\"").replace("\"Cargo\"", "17");
    let expected = [(1, 1, "", "SHAPE"), (1, 1, "/state/product", "TYPE"), (1, 1, "/reason", "REASON")];
    check(suspended, broken, &[], &expected);
    check("policy-administration/policy@2/eligibility.PolicySuspended", wire, &[], &[]);
    validate("policy-administration/policy@2/servicing.PolicySuspended", wire, &[]).exits(2);
}

#[test]
fn a_history_is_held_against_the_moves_when_asked() {
    let account = |status: &str, number: u32| {
        format!(
            r#"{{"policyId":"P-{number:08}","billingStatus":"{status}","delinquency":"none","outstanding":"0.00"}}"#
        )
    };
    let lines = [account("active", 1), account("active", 2), account("closed", 1), account("awaiting", 2)];
    let text = lines.join("\n");
    check("billing/receivable", &text, &[], &[]);
    check("billing/receivable", &text, &["--moves"], &[(4, 4, "/billingStatus", "MOVE")]);
}

#[test]
fn standard_input_is_read_and_names_that_are_not_there_get_the_nearest() {
    let place = Place::example("insurer");
    let mut child = place
        .command(&["validate", POLICY, "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(SOUND.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
    place.run(&["validate", "policy-administration/polcy", "-"]).exits(2).says("did you mean");
    place.run(&["validate", "policy-administration/policy@2.PolicyBond", "-"]).exits(2).says("`PolicyBound`");
    place.run(&["validate", "policy-administration/policy@2/documets", "-"]).exits(2).says("`documents`");
    place.run(&["validate", POLICY, "nowhere.json"]).exits(2).says("help: ");
}
