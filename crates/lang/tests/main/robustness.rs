//! Whatever the text, reading ends, within bounds, without a panic, and every finding has a place.

use crate::{CONTRACT, lines, read};
use proptest::prelude::{ProptestConfig, any, prop, proptest};
use proptest::strategy::Strategy;
use seamline_contract::path::DocumentId;
use seamline_contract::subscription::Accepted;
use seamline_lang::accept::with_accepted;
use seamline_lang::estate::{Reading, read_estate};
use seamline_lang::print::{Paint, text as print};
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

/// The folder of the example estates.
fn examples() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/estates"))
}

pub(crate) fn example(name: &str) -> BTreeMap<DocumentId, String> {
    let root = examples().join(name);
    let mut files = BTreeMap::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("it is a folder") {
            let path = entry.expect("it can be listed").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let id = path
                    .strip_prefix(&root)
                    .ok()
                    .and_then(|path| path.to_str())
                    .expect("it lies below")
                    .to_owned();
                files.insert(DocumentId(id), fs::read_to_string(&path).expect("it is text"));
            }
        }
    }
    files
}

pub(crate) fn settings() -> DocumentId {
    DocumentId("seamline.yaml".to_owned())
}

/// Holds what is true of every reading.
pub(crate) fn check(reading: &Reading) {
    for finding in &reading.findings {
        let at = reading.sources.locate(&finding.at);
        let document = reading.sources.document(&at.document).expect("it was read");
        assert!(document.text.get(at.bytes.clone()).is_some(), "{finding:?}");
        assert!(!finding.message.is_empty() && !finding.message.ends_with('.'), "{finding:?}");
        assert!(seamline_lang::rule::rule(finding.rule).is_some(), "{}", finding.rule);
    }
    print(&reading.sources, &reading.findings, Paint::Plain);
}

#[test]
#[cfg_attr(not(estates_here), ignore = "not run: the example estates are not beside the repository")]
fn example_estates_have_no_findings() {
    for name in ["insurer", "custody"] {
        assert_eq!(lines(&read_estate(&example(name), settings())), [""; 0]);
    }
}

#[test]
fn a_broken_context_is_not_blamed_on_the_documents_below_it() {
    let context =
        "apiVersion: seamline/v1\nkind: Context\nid: policy-administration\nmeaning: Underwrites.\n";
    let reading = read(&[("p/p.context.yaml", context), ("p/policy.contract.yaml", CONTRACT)]);
    let found = lines(&reading);
    assert!(found.iter().any(|line| line.contains("`team`")), "{found:?}");
    assert!(found.iter().all(|line| line.starts_with("p/p.context.yaml")), "{found:?}");
}

#[test]
fn bombs_of_aliases_are_refused() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let before = format!("*a{}", level - 1);
        bomb.push_str(&format!("a{level}: &a{level} [{}]\n", [before.as_str(); 9].join(", ")));
    }
    let reading = read(&[("a.contract.yaml", &bomb)]);
    assert_eq!(reading.findings.len(), 1);
    assert_eq!(reading.findings[0].rule, "LANGUAGE_UNREADABLE");
    let large = format!("a: &a '{}'\nb: [*a, *a]\n", "x".repeat(600_000));
    assert_eq!(
        lines(&read(&[("a.contract.yaml", &large)])),
        ["a.contract.yaml:2:9 LANGUAGE_UNREADABLE the aliases stand for more than a document may hold"]
    );
}

#[test]
fn an_alias_in_its_own_anchor_is_refused() {
    assert_eq!(
        lines(&read(&[("a.contract.yaml", "a: &a [*a]\n")])),
        ["a.contract.yaml:1:8 LANGUAGE_NOT_YAML the alias stands inside its own anchor"]
    );
}

#[test]
fn depth_and_size_are_bounded() {
    let flow = "[".repeat(5000);
    let block: String = (0..5000).map(|depth| format!("{}a:\n", " ".repeat(depth % 200))).collect();
    let nested: String = (0..300).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    for text in [&flow, &block, &nested] {
        let reading = read(&[("a.contract.yaml", text)]);
        assert!(!reading.findings.is_empty());
        check(&reading);
    }
    assert!(lines(&read(&[("a.contract.yaml", &nested)]))[0].contains("this stands deeper than 64 levels"));
    let large = "a: b\n".repeat(1024 * 1024);
    assert_eq!(
        lines(&read(&[("a.contract.yaml", &large)])),
        [
            "a.contract.yaml:1:1 LANGUAGE_UNREADABLE the file has 5242880 bytes, more than the 1048576 a document may have"
        ]
    );
}

#[test]
fn a_file_of_the_greatest_size_is_read_in_time() {
    for text in [
        "a: b\n".repeat(200_000),
        "[".to_owned() + &"a,".repeat(500_000) + "]",
        "x".repeat(1024 * 1024),
        "#".repeat(1024 * 1024),
    ] {
        check(&read(&[("a.contract.yaml", &text)]));
    }
}

#[test]
fn an_error_behind_the_last_letter_of_a_line_has_a_place() {
    let reading = read(&[("a.contract.yaml", "kind: Contract\n- \nid: a\n")]);
    assert_eq!(reading.findings.len(), 1);
    check(&reading);
}

#[test]
fn many_wrong_names_are_found_in_time() {
    let attributes: String = (0..10_000).map(|idx| format!("  a{idx}: {{ type: string }}\n")).collect();
    let names: Vec<String> = (0..10_000).map(|idx| format!("b{idx}")).collect();
    let text = CONTRACT
        .replace("attributes:\n", &format!("attributes:\n{attributes}"))
        .replace("state: {}", &format!("views: {{ all: {{ for: [a], only: [{}] }} }}", names.join(",")));
    let reading = read(&[("policy.contract.yaml", &text)]);
    assert_eq!(reading.findings.len(), 501);
    check(&reading);
}

#[test]
fn tabs_say_so() {
    let reading = read(&[("a.contract.yaml", "kind: Contract\nattributes:\n\ta: b\n")]);
    assert_eq!(reading.findings.len(), 1);
    assert_eq!(reading.findings[0].help.as_deref(), Some("indent with spaces, never with tabs"));
}

/// Cuts a range out of a text and puts another text there, on character boundaries.
pub(crate) fn mutate(text: &str, at: usize, length: usize, insert: &str) -> String {
    let start = text.floor_char_boundary(at % (text.len() + 1));
    let end = text.ceil_char_boundary((start + length).min(text.len()));
    format!("{}{insert}{}", &text[..start], &text[end..])
}

pub(crate) fn fragments() -> impl Strategy<Value = String> {
    let known = [
        "",
        "{",
        "}",
        "[",
        "]",
        ": ",
        ", ",
        "\n",
        "  ",
        "- ",
        "&a ",
        "*a",
        "'",
        "\"",
        "#",
        "|\n",
        "é💡",
        "\u{feff}",
        "\r\n",
        "\t",
        "<<: ",
        "? ",
        "!!x ",
        "---\n",
        "type: list\nof: ",
        "like: a.b",
    ];
    prop::sample::select(known.to_vec()).prop_map(ToOwned::to_owned)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_text_is_read_without_a_panic(text in any::<String>(), bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        for text in [text, String::from_utf8_lossy(&bytes).into_owned()] {
            for name in ["a.contract.yaml", "a.context.yaml", "seamline.yaml", "seamline.lock"] {
                check(&read(&[(name, &text)]));
            }
        }
    }

    #[test]
    fn a_mutated_contract_is_read_without_a_panic(
        edits in prop::collection::vec((any::<usize>(), 0_usize..40, fragments()), 1..6),
    ) {
        let text = edits.iter().fold(CONTRACT.to_owned(), |text, (at, cut, insert)| mutate(&text, *at, *cut, insert));
        check(&read(&[("policy.contract.yaml", &text)]));
        let accepted = Accepted { version: "2.1.0".parse().unwrap(), meaning: "b3-9f2c41d7".to_owned() };
        let _ = with_accepted(&text, &accepted);
    }

    #[test]
    #[cfg_attr(not(estates_here), ignore = "not run: the example estates are not beside the repository")]
    fn mutated_estates_are_read_without_a_panic(
        name in prop::sample::select(vec!["insurer", "custody"]),
        edits in prop::collection::vec((any::<usize>(), any::<usize>(), 0_usize..40, fragments()), 1..8),
    ) {
        let mut files = example(name);
        let ids: Vec<DocumentId> = files.keys().cloned().collect();
        for (which, at, cut, insert) in edits {
            let text = files.get_mut(&ids[which % ids.len()]).unwrap();
            *text = mutate(text, at, cut, &insert);
        }
        check(&read_estate(&files, settings()));
    }
}
