//! Each page of a rule of changes is its test: from the estate of the examples to the bad block that rule alone is broken, at that
//! place; to the mended one none is.

use crate::pages::{Files, blocks, in_the_examples_estate, section, told};
use seamline_contract::path::DocumentId;
use seamline_lang::estate::read_estate;
use seamline_rules::diff::impact::impacts;
use seamline_rules::diff::verdict::{CHANGE_RULES, findings};
use seamline_rules::diff::{Sides, diff};
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/changes")
}

/// Returns every finding of the comparison as `rule at file:line:column: message`.
fn found(old: &Files, new: &Files) -> Vec<String> {
    let [old, new] = [old, new].map(|files| read_estate(files, DocumentId("seamline.yaml".to_owned())));
    for reading in [&old, &new] {
        assert!(reading.findings.is_empty(), "{:#?}", reading.findings);
    }
    let sides = Sides::new(&old.estate, &new.estate);
    let diff = diff(&sides);
    findings(&diff, &impacts(&sides, &diff)).iter().map(|finding| told(&new, finding)).collect()
}

#[test]
fn each_page_of_a_change_shows_one_that_breaks_its_rule_and_one_that_does_not() {
    let mut wrong = Vec::new();
    for rule in CHANGE_RULES {
        let page = std::fs::read_to_string(folder().join(format!("{}.md", rule.id))).expect(rule.id);
        let head = format!("# {}\n\n**CHANGE · {}.** {}\n", rule.id, rule.level, rule.reason);
        assert!(page.starts_with(&head), "{} begins with\n{head}", rule.id);
        let has_before = page.contains("\n## Before\n");
        let before = if has_before { blocks(section(&page, "Before")) } else { Files::new() };
        let old = in_the_examples_estate(before);
        let after = |title: &str| {
            let changed = blocks(section(&page, title));
            assert!(!changed.is_empty(), "{}", rule.id);
            old.clone().into_iter().chain(changed).collect()
        };
        let expected = page.lines().find_map(|line| line.strip_prefix("expects: ")).unwrap_or_default();
        let bad = found(&old, &after("Bad"));
        if bad.len() != 1 || !bad[0].starts_with(&format!("{expected}: ")) || !expected.contains(rule.id) {
            wrong.push(format!("{}: expected {expected}, found {bad:#?}", rule.id));
        }
        let mended = found(&old, &after("Mended"));
        if !mended.is_empty() {
            wrong.push(format!("{}, mended: found {mended:#?}", rule.id));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_page_of_a_change_has_a_rule() {
    for entry in std::fs::read_dir(folder()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(
            CHANGE_RULES.iter().any(|rule| name == format!("{}.md", rule.id)),
            "{name} is the page of no rule"
        );
    }
}
