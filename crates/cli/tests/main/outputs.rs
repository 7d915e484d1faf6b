//! Each format over the same findings: what its readers require, with texts that would break out of it.

use crate::fixture::{Place, Ran};
use serde_json::Value;
use std::collections::BTreeSet;

/// A key that nobody knows, as YAML writes it, so that a finding repeats it.
const HOSTILE: &str = r#""]]> \" ' & <b>bold</b> | `x` @team ::error::%0A \u202E \x1B[31m\r\nsecond""#;

/// An estate with findings of each level, hostile texts and a hostile path.
fn place() -> Place {
    let place = Place::example("insurer");
    let path = "policy-administration/policy.contract.yaml";
    place.edit(path, "attributes:\n", &format!("{HOSTILE}: 1\nattributes:\n"));
    place.write("crm/a,b: c%]]>é.contract.yaml", "apiVersion: seamline/v1\nkind: Contract\nid: a\n");
    place
}

fn told(place: &Place, format: &str) -> Ran {
    place.run(&["check", "--format", format]).exits(1)
}

/// Asserts that nothing in a text hides, or turns what stands around it.
fn assert_visible(text: &str) {
    let hidden: Vec<char> =
        text.chars().filter(|it| (it.is_control() && *it != '\n') || *it == '\u{202e}').collect();
    assert!(hidden.is_empty(), "{hidden:?} in {text}");
}

fn findings(place: &Place) -> Vec<Value> {
    told(place, "json").json()["findings"].as_array().unwrap().clone()
}

#[test]
fn json_tells_texts_as_they_were_written() {
    let place = place();
    let findings = findings(&place);
    let unknown =
        findings.iter().find(|it| it["rule"] == "LANGUAGE_UNKNOWN_KEY").expect("the key is unknown");
    assert!(unknown["message"].as_str().unwrap().contains('\u{202e}'), "{unknown}");
    let fingerprints: BTreeSet<&str> =
        findings.iter().map(|it| it["fingerprint"].as_str().unwrap()).collect();
    assert_eq!(fingerprints.len(), findings.len());
}

#[test]
fn fingerprints_stay_when_lines_move() {
    let place = place();
    let of = |findings: &[Value]| -> BTreeSet<String> {
        findings.iter().map(|it| it["fingerprint"].as_str().unwrap().to_owned()).collect()
    };
    let before = findings(&place);
    let path = "policy-administration/policy.contract.yaml";
    place.edit(path, "apiVersion:", "# moved\n\napiVersion:");
    let after = findings(&place);
    assert_eq!(of(&before), of(&after));
    assert_ne!(before, after, "lines are told");
}

#[test]
fn sarif_has_what_version_2_1_0_requires() {
    let place = place();
    let ran = told(&place, "sarif");
    assert_visible(&ran.out.replace("\\n", ""));
    let document = ran.json();
    assert_eq!(document["version"], "2.1.0");
    let run = &document["runs"][0];
    let driver = &run["tool"]["driver"];
    assert_eq!(driver["name"], "seamline");
    let rules = driver["rules"].as_array().unwrap();
    for rule in rules {
        for text in ["/shortDescription/text", "/fullDescription/text", "/help/text", "/help/markdown"] {
            assert!(rule.pointer(text).unwrap().as_str().is_some_and(|text| !text.is_empty()), "{rule}");
        }
    }
    let results = run["results"].as_array().unwrap();
    assert_eq!(results.len(), findings(&place).len());
    let mut prints = BTreeSet::new();
    for result in results {
        let idx = result["ruleIndex"].as_u64().unwrap() as usize;
        assert_eq!(rules[idx]["id"], result["ruleId"]);
        assert!(["error", "warning", "note"].contains(&result["level"].as_str().unwrap()));
        assert!(result["message"]["text"].as_str().is_some_and(|text| !text.is_empty()));
        let place = &result["locations"][0]["physicalLocation"];
        let uri = place["artifactLocation"]["uri"].as_str().unwrap();
        assert!(uri.is_ascii() && !uri.starts_with('/') && !uri.contains([' ', ':', ',', '<', ']']), "{uri}");
        let at = |key: &str| place["region"][key].as_u64().unwrap();
        assert!(
            at("startLine") >= 1 && at("startColumn") >= 1 && at("endLine") >= at("startLine"),
            "{place}"
        );
        assert!(at("endLine") > at("startLine") || at("endColumn") >= at("startColumn"), "{place}");
        let print = result["partialFingerprints"].as_object().unwrap().values().next().unwrap();
        assert!(prints.insert(print.as_str().unwrap().to_owned()), "{print} stands twice");
    }
}

#[test]
fn junit_is_xml_that_counts_its_cases() {
    let place = place();
    let ran = told(&place, "junit");
    assert_visible(&ran.out);
    let document = roxmltree::Document::parse(&ran.out).unwrap();
    let root = document.root_element();
    let count = |name: &str| document.descendants().filter(|it| it.has_tag_name(name)).count();
    assert_eq!(root.attribute("tests"), Some(count("testcase").to_string().as_str()));
    assert_eq!(root.attribute("failures"), Some(count("failure").to_string().as_str()));
    assert_eq!(count("testcase"), findings(&place).len());
    let told = document.descendants().filter(|it| it.has_tag_name("failure"));
    assert!(
        told.filter_map(|it| it.attribute("message")).any(|it| it.contains("]]> \" ' & <b>bold</b>")),
        "{}",
        ran.out
    );
    let clean = Place::example("insurer").run(&["check", "--format", "junit"]).exits(0).out;
    let document = roxmltree::Document::parse(&clean).unwrap();
    assert_eq!(document.root_element().attribute("failures"), Some("0"));
    assert!(document.descendants().any(|it| it.has_tag_name("testcase")));
}

#[test]
fn github_gets_one_command_a_finding_and_no_other() {
    let place = place();
    let ran = told(&place, "github");
    assert_visible(&ran.out);
    let commands: Vec<&str> = ran.out.lines().filter(|line| line.starts_with("::")).collect();
    assert_eq!(commands.len(), findings(&place).len());
    for command in commands {
        let (head, _) = command[2..].split_once("::").unwrap();
        let (name, properties) = head.split_once(' ').unwrap();
        assert!(["error", "warning", "notice"].contains(&name), "{command}");
        for property in properties.split(',') {
            let (key, value) = property.split_once('=').unwrap();
            assert!(["file", "line", "endLine", "col", "endColumn", "title"].contains(&key), "{command}");
            assert!(!value.contains(':'), "{command}");
        }
    }
    assert!(ran.out.contains("file=crm/a%2Cb%3A c%25]]>é.contract.yaml,line="), "{}", ran.out);
    ran.says("next: seamline explain");
}

#[test]
fn gitlab_gets_findings_with_fingerprints_of_their_own() {
    let place = place();
    let ran = told(&place, "gitlab");
    assert_visible(&ran.out);
    let document = ran.json();
    let issues = document.as_array().unwrap();
    assert_eq!(issues.len(), findings(&place).len());
    let mut prints = BTreeSet::new();
    for issue in issues {
        assert!(["info", "minor", "critical"].contains(&issue["severity"].as_str().unwrap()), "{issue}");
        assert!(issue["location"]["lines"]["begin"].as_u64().unwrap() >= 1);
        assert!(
            ["description", "check_name"]
                .iter()
                .all(|key| issue[key].as_str().is_some_and(|it| !it.is_empty()))
        );
        assert!(prints.insert(issue["fingerprint"].as_str().unwrap()), "{issue}");
    }
    Place::example("first").run(&["check", "--format", "gitlab"]).exits(0).says("[]");
}

#[test]
fn markdown_calls_nobody_and_renders_no_html_of_others() {
    let ran = told(&place(), "markdown");
    assert_visible(&ran.out);
    let line = ran.out.lines().find(|line| line.contains("bold")).expect("the key is told");
    // What stands outside backticks is prose, in which nothing may call or mark up.
    let prose: Vec<&str> = line.split('`').step_by(2).collect();
    assert!(prose.iter().all(|it| !it.contains(['<', '@', '|'])), "{line}");
    assert!(line.contains("<b>bold</b>") && line.contains("@team") && line.contains("\\|"), "{line}");
    ran.says("this may not ship yet").says("next: `seamline explain");
}

#[test]
fn formats_that_know_findings_alone_tell_whom_a_served_major_gives_time_to_move() {
    let (old, new) = (Place::example("insurer"), Place::example("insurer"));
    let path = "policy-administration/policy.contract.yaml";
    let frozen = std::fs::read(new.root().join(path)).unwrap();
    new.write("policy-administration/policy@2.contract.yaml", frozen);
    new.edit(path, "version: 2.1.0\n", "version: 3.0.0\nserves: [ { version: 2, until: 2027-03-31 } ]\n");
    new.edit(path, "Underwriting stands behind the cover.", "The first premium was collected.");
    let declared = "  - { version: 3.0.0, redefined: claimsStatus, because: 'Unpaid cover is none.' }\n";
    new.edit(path, "changes:\n", &format!("changes:\n{declared}"));
    let before = old.root().to_str().unwrap();
    let ran = new.run(&["diff", before, ".", "--format", "github"]).exits(0);
    let notice = ran.out.lines().find(|line| line.contains("title=BREAKING")).expect("the change is told");
    assert!(
        notice.starts_with("::notice ") && notice.contains("must move to the new major by 2027-03-31"),
        "{notice}"
    );
    let markdown = new.run(&["diff", before, ".", "--format", "markdown"]).exits(0);
    markdown.says("nothing stands in the way").says("| move to the new major by 2027-03-31 |");
}

#[test]
fn every_id_that_a_finding_or_a_change_may_have_is_explained() {
    let place = Place::empty();
    for id in ["CONSUMERS_KEPT", "unhandled", "GUARANTEE", "LANGUAGE_PROSE_COMMA", "ONE_OWNER"] {
        place.run(&["explain", id]).exits(0).says(&format!("# {}", id.to_uppercase())).says("next: seamline");
    }
    place.run(&["explain", "NOTHING"]).exits(2);
}

#[test]
fn completions_and_manual_pages_know_the_commands() {
    let place = Place::empty();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        place.run(&["completions", shell]).exits(0).says("seamline").says("against");
    }
    place.run(&["man"]).exits(0).says(".TH seamline 1");
    place.run(&["man", "pages"]).exits(0).says("next: man");
    assert!(place.root().join("pages/seamline-check.1").is_file());
}

/// The insurer after a meaning moved, with waivers of what that does, and one more error that a baseline knows.
fn put_up_with() -> (Place, Place) {
    let (old, place) = (Place::example("insurer"), Place::example("insurer"));
    let (was, is) = ("Underwriting stands behind the cover.", "The first premium was collected.");
    place.edit("policy-administration/policy.contract.yaml", was, is);
    place.run(&["diff", old.root().to_str().unwrap(), "."]).exits(1).says("error[WORDS_DECLARED]");
    place.run(&["check"]).exits(1).says("error[ACCEPTED_MEANING_STANDS]");
    for (id, rule, scope) in [
        ("one", "WORDS_DECLARED", "policy-administration/policy@2"),
        ("two", "VERSION_COVERS_CHANGES", "policy-administration"),
        ("three", "ACCEPTED_MEANING_STANDS", "claims"),
        ("four", "ACCEPTED_MEANING_STANDS", "crm"),
        ("five", "ACCEPTED_MEANING_STANDS", "portal"),
    ] {
        let text = format!(
            "apiVersion: seamline/v1\nkind: Waiver\nid: {id}\nrule: {rule}\nscope: {scope}\nbecause: 'It is <agreed>.'\napprover: architecture\nuntil: 2999-12-31\n"
        );
        place.write(&format!("claims/{id}.waiver.yaml"), text);
    }
    (old, place)
}

#[test]
fn what_is_waived_is_waived_where_two_texts_are_compared() {
    let (old, place) = put_up_with();
    let old = old.root().to_str().unwrap().to_owned();
    let line = "waived by architecture until 2999-12-31: WORDS_DECLARED at policy-administration/policy.contract.yaml:";
    place.run(&["diff", &old, "."]).exits(0).says(line);
    // A waiver of what only a comparison finds is not idle for lack of one.
    let ran = place.run(&["check"]).exits(0).says("ACCEPTED_MEANING_STANDS at claims/");
    assert!(!ran.out.contains("WAIVER_NEEDED"), "{}", ran.out);
    let json = place.run(&["diff", &old, ".", "--format", "json"]).exits(0).json();
    assert!(
        json["waived"].as_array().unwrap().iter().any(|it| it["finding"]["rule"] == "WORDS_DECLARED"),
        "{json}"
    );
    // A change that no waiver is about stops it all the same.
    place.edit("billing/receivable.contract.yaml", "meaning: ", "meaning: Now ");
    place.run(&["diff", &old, "."]).exits(1).says("error[WORDS_DECLARED]");
}

#[test]
fn what_is_put_up_with_is_lost_in_no_format() {
    let (_, place) = put_up_with();
    let stray = "apiVersion: seamline/v1\nkind: Contract\nid: stray\n";
    place.write("crm/stray.contract.yaml", stray);
    place.run(&["check"]).exits(1);
    place.run(&["check", "--write-baseline", "known.json"]).exits(0);
    let told = |format: &str| place.run(&["check", "--baseline", "known.json", "--format", format]).exits(0);
    let n_known = told("json").json()["baseline"]["findings"].as_array().unwrap().len();
    let n_waived = told("json").json()["waived"].as_array().unwrap().len();
    assert!(n_known > 0 && n_waived > 0);
    let sarif = told("sarif").json();
    let results = sarif["runs"][0]["results"].as_array().unwrap();
    let suppressed: Vec<&Value> = results.iter().filter(|it| it["suppressions"].is_array()).collect();
    assert_eq!(suppressed.len(), n_known + n_waived);
    assert!(suppressed.iter().all(|it| it["suppressions"][0]["status"] == "accepted"));
    assert!(suppressed.iter().any(|it| it.to_string().contains("waived by architecture until 2999-12-31")));
    let junit = told("junit").out;
    let document = roxmltree::Document::parse(&junit).unwrap();
    let count = |name: &str| document.descendants().filter(|it| it.has_tag_name(name)).count();
    assert_eq!(count("skipped"), n_known + n_waived);
    let root = document.root_element();
    assert_eq!(root.attribute("skipped"), Some(count("skipped").to_string().as_str()));
    assert_eq!(root.attribute("tests"), Some(count("testcase").to_string().as_str()));
    let gitlab = told("gitlab").json();
    let prints: BTreeSet<&str> =
        gitlab.as_array().unwrap().iter().filter_map(|it| it["fingerprint"].as_str()).collect();
    assert_eq!(prints.len(), gitlab.as_array().unwrap().len());
    let issues: Vec<&str> =
        gitlab.as_array().unwrap().iter().filter_map(|it| it["description"].as_str()).collect();
    assert_eq!(issues.iter().filter(|it| it.starts_with("known in the baseline: ")).count(), n_known);
    assert_eq!(issues.iter().filter(|it| it.starts_with("waived by architecture")).count(), n_waived);
    for format in ["text", "github", "markdown"] {
        told(format)
            .says("of the baseline left out")
            .says("waived by architecture until 2999-12-31: ACCEPTED");
    }
}
