//! Each rule's page is its test: the bad block yields that finding at that place and no other, the mended one none.

use seamline_contract::finding::Finding;
use seamline_contract::path::DocumentId;
use seamline_lang::estate::{Reading, read_estate};
use seamline_rules::page::{page_head, rules_markdown, standards_markdown};
use seamline_rules::review::{Facts, review};
use seamline_rules::rule::{RULES, Rule, thresholds};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The day on which the pages are reviewed.
const TODAY: &str = "2027-01-15";

pub(crate) type Files = BTreeMap<DocumentId, String>;

/// Returns the files of the fenced blocks in a text.
pub(crate) fn blocks(text: &str) -> Files {
    let mut files = Files::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(name) = line.strip_prefix("```yaml file=") else { continue };
        let body: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        files.insert(DocumentId(name.to_owned()), body.join("\n") + "\n");
    }
    files
}

/// Returns the files of the estate in which the examples stand, with these in the place of theirs.
pub(crate) fn in_the_examples_estate(files: Files) -> Files {
    let mut all = blocks(&rules_markdown());
    all.extend(files);
    all
}

pub(crate) fn section<'a>(text: &'a str, title: &str) -> &'a str {
    let start = text.find(&format!("\n## {title}\n")).unwrap_or_else(|| panic!("a section `{title}`"));
    let body = &text[start + 1..];
    body.find("\n## ").map_or(body, |end| &body[..end])
}

/// Returns every finding as `rule at file:line:column: message`, those of the language included.
pub(crate) fn found(files: &Files) -> Vec<String> {
    let reading = read_estate(files, DocumentId("seamline.yaml".to_owned()));
    let facts = Facts { runbooks: ["runbooks/policy.md".to_owned()].into(), today: Some(TODAY.to_owned()) };
    let findings = review(&reading.estate, &facts);
    reading.findings.iter().chain(&findings).map(|finding| told(&reading, finding)).collect()
}

pub(crate) fn told(reading: &Reading, finding: &Finding) -> String {
    let at = reading.sources.locate(&finding.at);
    format!("`{}` at `{}:{}:{}`: {}", finding.rule, at.document, at.line, at.column, finding.message)
}

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference")
}

fn page(rule: &Rule) -> String {
    let path = docs().join("rules").join(format!("{}.md", rule.id));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_estate_of_the_examples_is_clean() {
    assert_eq!(found(&in_the_examples_estate(Files::new())), [""; 0]);
}

#[test]
fn each_bad_block_breaks_its_rule_at_the_exact_place_and_no_other() {
    let mut wrong = Vec::new();
    for rule in RULES {
        let page = page(rule);
        let bad = section(&page, "Bad");
        let expected = bad.lines().find_map(|line| line.strip_prefix("expects: ")).unwrap_or_default();
        let found = found(&in_the_examples_estate(blocks(bad)));
        let exact = found.len() == 1
            && expected.starts_with(&format!("`{}` ", rule.id))
            && found[0].starts_with(&format!("{expected}: "));
        if !exact {
            wrong.push(format!("{}: expected {expected}, found {found:#?}", rule.id));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_mended_block_is_clean() {
    for rule in RULES {
        let page = page(rule);
        let mended = blocks(section(&page, "Mended"));
        assert!(!mended.is_empty(), "{}", rule.id);
        assert_eq!(found(&in_the_examples_estate(mended)), [""; 0], "{}", rule.id);
    }
}

#[test]
fn each_rule_has_a_page_and_each_page_a_rule() {
    for rule in RULES {
        assert!(page(rule).starts_with(&page_head(rule)), "{} begins with\n{}", rule.id, page_head(rule));
    }
    for entry in std::fs::read_dir(docs().join("rules")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(RULES.iter().any(|rule| name == format!("{}.md", rule.id)), "{name} is the page of no rule");
    }
}

/// Holds a generated page against its table, or writes it.
fn is_current(name: &str, text: &str) {
    let page = docs().join(name);
    if std::env::var_os("SEAMLINE_WRITE_DOCS").is_some() {
        std::fs::write(&page, text).expect("the page is ours to write");
    }
    let written = std::fs::read_to_string(page).expect("the page is there");
    assert!(written == text, "docs/reference/{name} is out of date: `cargo x docs` writes it anew");
}

#[test]
fn each_page_names_the_thresholds_of_its_rule() {
    let numbers = |text: &str| -> Vec<String> {
        let parts = text.split(|letter: char| !letter.is_ascii_digit()).filter(|part| !part.is_empty());
        parts.map(ToOwned::to_owned).collect()
    };
    for (id, threshold) in thresholds() {
        let page = page(RULES.iter().find(|rule| rule.id == id).expect(id));
        let said = numbers(&page[..page.find("## Bad").expect("a bad block")]);
        assert!(numbers(&threshold).iter().all(|number| said.contains(number)), "{id}: {threshold}");
    }
}

#[test]
fn the_index_is_the_table_of_rules() {
    is_current("rules.md", &rules_markdown());
}

#[test]
fn the_reference_of_standards_is_its_table() {
    is_current("standards.md", &standards_markdown());
}
