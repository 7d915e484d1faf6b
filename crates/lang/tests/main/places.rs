//! Places in texts: byte order marks, line ends, letters of several bytes, aliases, parts of scalars.

use crate::{CONTRACT, lines, read};
use seamline_contract::path::{DocumentId, ModelPath};
use seamline_lang::estate::Reading;

/// Returns the text at a path of the only document, with line and column.
fn at(reading: &Reading, path: impl FnOnce(ModelPath) -> ModelPath) -> (String, usize, usize) {
    let id = DocumentId("policy.contract.yaml".to_owned());
    let location = reading.sources.locate(&path(ModelPath::top(&id)));
    let text = &reading.sources.document(&id).expect("it was read").text;
    (text[location.bytes.clone()].to_owned(), location.line, location.column)
}

#[test]
fn places_survive_marks_line_ends_and_letters_of_several_bytes() {
    let accented =
        CONTRACT.replace("Where a policy stands.", "Où la police en est: ça 💡 va.").replace("est: ", "est ");
    for text in [
        accented.clone(),
        format!("\u{feff}{accented}"),
        accented.replace('\n', "\r\n"),
        format!("\u{feff}{}", accented.replace('\n', "\r\n")),
    ] {
        let reading = read(&[("policy.contract.yaml", &text)]);
        assert_eq!(lines(&reading), [""; 0], "{text:?}");
        let place = |path: fn(ModelPath) -> ModelPath| at(&reading, path);
        assert_eq!(place(|top| top), ("apiVersion".to_owned(), 1, 1));
        assert_eq!(place(|top| top.key("meaning")), ("Où la police en est ça 💡 va.".to_owned(), 6, 10));
        assert_eq!(place(|top| top.key("status").the_key()), ("status".to_owned(), 5, 1));
        assert_eq!(
            place(|top| top.key("attributes").key("policyId").key("meaning")),
            ("'Identifies a policy.'".to_owned(), 10, 38)
        );
        assert_eq!(
            place(|top| top.key("attributes").key("claimsStatus").key("moves").index(1)),
            ("eligible -> ineligible".to_owned(), 15, 26)
        );
    }
}

#[test]
fn what_is_not_written_is_the_key_above_it() {
    let reading = read(&[("policy.contract.yaml", CONTRACT)]);
    let reconciliation = at(&reading, |top| top.key("reconciliation").key("every"));
    assert_eq!(reconciliation, ("apiVersion".to_owned(), 1, 1));
    let unit = at(&reading, |top| top.key("attributes").key("policyId").key("unit").key("in"));
    assert_eq!(unit, ("policyId".to_owned(), 10, 3));
    let gone = seamline_contract::path::ModelPath::top(&DocumentId("gone.contract.yaml".to_owned())).key("x");
    assert_eq!(reading.sources.locate(&gone).line, 1);
}

#[test]
fn a_list_of_one_without_brackets_is_its_first() {
    let reading = read(&[("policy.contract.yaml", CONTRACT)]);
    assert_eq!(at(&reading, |top| top.key("key").index(0)), ("policyId".to_owned(), 7, 6));
}

#[test]
fn a_part_of_a_scalar_is_found_where_the_text_is_written_as_it_reads() {
    let text = CONTRACT.replace("state: {}", "invariants:\n  plain: a == é.b\n  quoted: \"a == é.b\"\n  escaped: \"\\x61 == é.b\"\n  block: >\n    a ==\n    é.b\nstate: {}");
    let reading = read(&[("policy.contract.yaml", &text)]);
    let part = |name: &str| at(&reading, |top| top.key("invariants").key(name).part(5..7));
    assert_eq!(part("plain"), ("é".to_owned(), 19, 15));
    assert_eq!(part("quoted"), ("é".to_owned(), 20, 17));
    assert_eq!(part("escaped"), ("\"\\x61 == é.b\"".to_owned(), 21, 12));
    assert_eq!(part("block").1, 23);
    assert_eq!(at(&reading, |top| top.key("invariants").key("plain").part(5..999)).0, "a == é.b");
}

#[test]
fn a_finding_in_an_alias_points_at_the_alias_and_notes_the_anchor() {
    let text = CONTRACT
        .replace("type: string, meaning: 'Identifies a policy.'", "type: &kind text, meaning: 'Identifies.'")
        .replace("    type: enum\n", "    type: *kind\n");
    let reading = read(&[("policy.contract.yaml", &text)]);
    let findings: Vec<String> = lines(&reading);
    assert!(
        findings.contains(&"policy.contract.yaml:12:11 LANGUAGE_VALUE `text` is not a type".to_owned()),
        "{findings:?}"
    );
    let printed =
        seamline_lang::print::text(&reading.sources, &reading.findings, seamline_lang::print::Paint::Plain);
    assert!(printed.contains("the alias stands for what is written here"), "{printed}");
}
