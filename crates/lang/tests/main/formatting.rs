//! The layout of documents: what it does to texts that people write, and what it never changes.

use crate::robustness::{example, settings};
use crate::{CONTRACT, lines, read};
use proptest::prelude::{ProptestConfig, any, prop, prop_assert, prop_assert_eq, proptest};
use seamline_contract::path::DocumentId;
use seamline_lang::estate::read_estate;
use seamline_lang::format::{FormatError, format};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn check(text: &str, expected: &str) {
    assert_eq!(format(text).as_deref(), Ok(expected), "{text}");
}

#[test]
fn one_layout_for_all() {
    check("a:   b\nc:\n    - d\n    -   e: f\n        g: h\n", "a: b\nc:\n  - d\n  - e: f\n    g: h\n");
    check("a:\n- b\n-   - c\n    - d\n", "a:\n  - b\n  - - c\n    - d\n");
    check("a: {b: c,d: [e,f],}\n", "a: { b: c, d: [e, f] }\n");
    check("a: {\n  b: c,\n  d: e\n}\n", "a: { b: c, d: e }\n");
    check("---\na: {  }\nb: [ ]\nc:\n...\n", "a: {}\nb: []\nc:\n");
    check("\n\n\na: b\n\n\n\nc: d\n\n", "a: b\n\nc: d\n");
    check("a: b\r\nc:   d\r\n", "a: b\r\nc: d\r\n");
    check("\u{feff}a: b", "a: b\n");
}

#[test]
fn the_header_comes_first_and_takes_its_comments_along() {
    check(
        "# About the file.\n\nmeaning: What.\n# Which.\nkind: Contract\nkey: a\napiVersion: seamline/v1\n",
        "# About the file.\n\napiVersion: seamline/v1\n# Which.\nkind: Contract\nmeaning: What.\nkey: a\n",
    );
    check("{ kind: Lock, apiVersion: seamline/v1 }\n", "{ apiVersion: seamline/v1, kind: Lock }\n");
}

#[test]
fn comments_stay_where_they_are() {
    let settled = "\
# head
a: b  # behind a
# above c

# and again
c:  # behind c
  # in c
  d: e  # behind d

  # last in c
# above f
f:
  - g  # behind g
  # above h
  - h: i
    # in the item
  # last in f
j: |  # behind the sign
  k

l: m
# end
";
    check(settled, settled);
    check("a: # behind\n  b\n", "a: b  # behind\n".replace("a: b  # behind", "# behind\na: b").as_str());
    check("a: { b: c, # behind b\n  d: e } # behind a\n", "a:  # behind a\n  b: c  # behind b\n  d: e\n");
    check("a:\n- b\n# above c\nc: d\n", "a:\n  - b\n# above c\nc: d\n");
    check("a:\n  -   # of the item\n    b: c\n", "a:\n  # of the item\n  - b: c\n");
}

#[test]
fn what_is_too_wide_between_braces_is_one_thing_a_line() {
    let long = "x".repeat(99);
    check(&format!("a: {{ b: {long}, c: [d, e] }}\n"), &format!("a: {{ b: {long}, c: [d, e] }}\n"));
    check(&format!("a: {{ b: {long}x, cc: [d, eeee] }}\n"), &format!("a:\n  b: {long}x\n  cc: [d, eeee]\n"));
    check(&format!("a: [{long}, {long}]\n"), &format!("a:\n  - {long}\n  - {long}\n"));
    check(&format!("a: [{{ b: {long}, c: {long} }}]\n"), &format!("a:\n  - b: {long}\n    c: {long}\n"));
    check(&format!("{{ a: {long}, b: {long} }}\n"), &format!("a: {long}\nb: {long}\n"));
    check(&format!("a: {long}{long}\n"), &format!("a: {long}{long}\n"));
}

#[test]
fn expressions_are_quoted_twice_and_sentences_between_braces_once() {
    let head = "apiVersion: seamline/v1\nkind: Contract\n";
    let check = |from: &str, to: &str| check(&format!("{head}{from}"), &format!("{head}{to}"));
    check("invariants:\n  a: b == 'c'\n", "invariants:\n  a: \"b == 'c'\"\n");
    check("invariants: { a: 'b == ''c''' }\n", "invariants: { a: \"b == 'c'\" }\n");
    check("invariants:\n  a: b.matches(\"\\d\")\n", "invariants:\n  a: b.matches(\"\\d\")\n");
    let attribute = |meaning: &str| format!("attributes:\n  a: {{ type: string, meaning: {meaning} }}\n");
    check(&attribute("What it is."), &attribute("'What it is.'"));
    check(&attribute("\"What it is.\""), &attribute("'What it is.'"));
    check(&attribute("The owner's word."), &attribute("\"The owner's word.\""));
    check("meaning: What it is.\n", "meaning: What it is.\n");
    check("events:\n  A: { meaning: B., sets: [c] }\n", "events:\n  A: { meaning: 'B.', sets: [c] }\n");
}

#[test]
fn texts_of_several_lines_keep_their_lines() {
    check("a:\n    b: one\n      two\n\n      three\n", "a:\n  b: one\n    two\n\n    three\n");
    check("a: 'one\n  two'\n", "a: 'one\n  two'\n");
    check(
        "a:\n    b: >-\n          one\n            two\n\n          three\n",
        "a:\n  b: >-\n    one\n      two\n\n    three\n",
    );
}

#[test]
fn what_cannot_be_laid_out_safely_is_left_with_a_reason() {
    let left = |text: &str| match format(text) {
        Err(FormatError::Left(reason)) => reason,
        other => panic!("{text}: {other:?}"),
    };
    assert_eq!(left("a: &b c\n"), "it holds an anchor");
    assert_eq!(left("a: &b c\nd: *b\n"), "it holds an anchor");
    assert_eq!(left("{ \"a\": 1 }\n"), "it is JSON");
    assert_eq!(left("%YAML 1.2\n---\na: b\n"), "it begins with a directive");
    assert_eq!(left("- a\n"), "it is no mapping");
    assert_eq!(
        format("a: b\na: c\n").unwrap_err().to_string(),
        "it cannot be read: line 2: `a` stands here twice"
    );
    assert!(format("a: [b\n").unwrap_err().to_string().starts_with("it cannot be read: line "));
}

#[test]
fn a_file_of_the_greatest_size_is_laid_out_in_time() {
    for text in [
        format!("a: [{}b]\n", "b,".repeat(500_000)),
        format!("a:\n{}", "  - b # c\n".repeat(100_000)),
        "# c\n\n".repeat(200_000) + "a: b\n",
        (0..100_000).map(|idx| format!("a{idx}: b\n")).collect(),
    ] {
        let _ = format(&text);
    }
}

/// Returns the documents below a folder, by path.
pub(crate) fn documents(root: &Path) -> BTreeMap<DocumentId, String> {
    let mut files = BTreeMap::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "yaml") {
                let id = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
                files.insert(DocumentId(id), fs::read_to_string(&path).unwrap());
            }
        }
    }
    files
}

pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join(path)
}

/// Returns the folders of the examples that are estates.
pub(crate) fn estates() -> Vec<PathBuf> {
    let folders = fs::read_dir(repository("examples")).unwrap().map(|folder| folder.unwrap().path());
    let estates: Vec<PathBuf> = folders.filter(|folder| folder.join("seamline.yaml").exists()).collect();
    assert!(!estates.is_empty(), "there are examples");
    estates
}

/// Holds what is true of every estate: the layout is read as the text was, and is settled.
fn check_estate(files: &BTreeMap<DocumentId, String>) {
    let laid: BTreeMap<DocumentId, String> = files
        .iter()
        .map(|(id, text)| (id.clone(), format(text).unwrap_or_else(|why| panic!("{id}: {why}"))))
        .collect();
    let (before, after) = (read_estate(files, settings()), read_estate(&laid, settings()));
    assert_eq!(before.estate, after.estate);
    assert_eq!(before.lock, after.lock);
    assert_eq!(before.findings.len(), after.findings.len());
    for (id, text) in &laid {
        assert_eq!(format(text).as_ref(), Ok(text), "{id}");
    }
}

#[test]
#[cfg_attr(not(estates_here), ignore = "not run: the example estates are not beside the repository")]
fn example_estates_are_read_as_before() {
    for name in ["insurer", "custody"] {
        check_estate(&example(name).into_iter().filter(|(id, _)| id.0.ends_with(".yaml")).collect());
    }
}

#[test]
fn the_estates_of_the_repository_are_read_as_before() {
    for folder in estates() {
        check_estate(&documents(&folder));
    }
}

#[test]
fn the_estates_of_the_repository_are_laid_out() {
    for folder in estates().into_iter().chain([repository("proof/estate")]) {
        for (id, text) in documents(&folder) {
            assert_eq!(format(&text), Ok(text), "{id}: run `seamline fmt` over it");
        }
    }
}

#[test]
fn the_blocks_of_the_documentation_are_read_as_before() {
    let mut n_blocks = 0;
    for page in fs::read_dir(repository("docs/reference/rules")).unwrap() {
        let text = fs::read_to_string(page.unwrap().path()).unwrap();
        for (_, block) in
            text.split("```yaml").skip(1).filter_map(|rest| rest.split("```").next()?.split_once('\n'))
        {
            match format(block) {
                Ok(laid) => assert_eq!(format(&laid), Ok(laid.clone())),
                Err(why) => assert!(matches!(why, FormatError::Unreadable { .. }), "{why}: {block}"),
            }
            n_blocks += 1;
        }
    }
    assert!(n_blocks > 20);
}

/// Returns a document of keys, texts, lists, comments and empty lines, with any indent and spacing.
fn written(choices: &[(u8, u8, String)]) -> String {
    let mut text = String::new();
    let mut indents = vec![0];
    for (idx, (what, spaces, word)) in choices.iter().enumerate() {
        let indent = " ".repeat(*indents.last().unwrap());
        let gap = " ".repeat(1 + usize::from(spaces % 3));
        match what % 12 {
            0 => text.push('\n'),
            1 => text.push_str(&format!("{indent}# {word}\n")),
            2 => text.push_str(&format!("{indent}k{idx}:{gap}'{}'{gap}# {word}\n", word.replace('\'', "''"))),
            3 => text.push_str(&format!("{indent}k{idx}:{gap}{{a:{gap}b,{gap}meaning:{gap}\"{word}\" ,c: [d,{gap}e]}}\n")),
            4 => text.push_str(&format!("{indent}k{idx}:\n{indent}{gap}- a\n{indent}{gap}# {word}\n{indent}{gap}- b:{gap}c\n{indent}{gap}  d: e\n")),
            5 => text.push_str(&format!("{indent}k{idx}: |\n{indent}{gap}one\n\n{indent}{gap}  {word}\n")),
            6 if indents.len() < 6 => {
                text.push_str(&format!("{indent}k{idx}:{gap}# {word}\n"));
                indents.push(indents.last().unwrap() + gap.len());
                text.push_str(&format!("{}first: one\n", " ".repeat(*indents.last().unwrap())));
            }
            7 if indents.len() > 1 => {
                indents.pop();
            }
            8 => text.push_str(&format!("{indent}k{idx}: [a,\n{indent}{gap}b, # {word}\n{indent}{gap}c]{gap}# after\n")),
            9 => text.push_str(&format!("{indent}k{idx}: {{ a: {}, b: {} }}\n", "x".repeat(60), "y".repeat(usize::from(*spaces)))),
            10 => text.push_str(&format!("{indent}k{idx}: one\n{indent}{gap}two\n{indent}{gap}three\n")),
            _ => text.push_str(&format!("{indent}k{idx}:{gap}plain text\n")),
        }
    }
    text
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn whatever_is_written_is_laid_out_or_left(choices in prop::collection::vec((any::<u8>(), any::<u8>(), "[a-z']{0,6}"), 1..30)) {
        let text = written(&choices);
        match format(&text) {
            Ok(laid) => {
                prop_assert_eq!(format(&laid), Ok(laid.clone()));
                let comments = |text: &str| text.matches('#').count();
                prop_assert_eq!(comments(&text), comments(&laid));
            }
            Err(why) => prop_assert!(text.trim().is_empty() || !text.contains(": ") && !text.contains(":\n") || matches!(why, FormatError::Unreadable { .. }), "{}\n{}", why, text),
        }
    }

    #[test]
    fn any_text_is_laid_out_without_a_panic(text in any::<String>(), at in any::<usize>(), insert in "[ \\-#:{}\\[\\],'\"|>\n\r\t&*%a]{0,8}") {
        let _ = format(&text);
        let at = CONTRACT.floor_char_boundary(at % CONTRACT.len());
        let text = format!("{}{insert}{}", &CONTRACT[..at], &CONTRACT[at..]);
        if let Ok(laid) = format(&text) {
            let (before, after) = (read(&[("policy.contract.yaml", &text)]), read(&[("policy.contract.yaml", &laid)]));
            prop_assert_eq!(&before.estate, &after.estate, "{}", laid);
            prop_assert_eq!(lines(&before).len(), lines(&after).len(), "{}", laid);
        }
    }
}
