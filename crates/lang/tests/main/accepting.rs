//! Writing `accepted` changes nothing else.

use seamline_contract::subscription::Accepted;
use seamline_lang::accept::{AcceptError, with_accepted};

fn accept(text: &str) -> Result<String, AcceptError> {
    with_accepted(
        text,
        &Accepted { version: "2.1.0".parse().expect("it is a version"), meaning: "b3-9f2c41d7".to_owned() },
    )
}

#[test]
fn accepted_is_written_and_all_else_stays() {
    const ENTRY: &str = "accepted: { version: 2.1.0, meaning: b3-9f2c41d7 }";
    for (text, expected) in [
        ("a: b\n", "a: b\nENTRY\n"),
        ("a: b", "a: b\nENTRY\n"),
        ("a: b # why\n\n# the end\n", "a: b # why\n\n# the end\nENTRY\n"),
        ("a: b\r\nc: d\r\n", "a: b\r\nc: d\r\nENTRY\r\n"),
        ("\u{feff}a: é\n", "\u{feff}a: é\nENTRY\n"),
        ("a:\n  - b\n  - c\n", "a:\n  - b\n  - c\nENTRY\n"),
        ("  a: b\n  c: d\n", "  a: b\n  c: d\n  ENTRY\n"),
        ("a: |\n  text\n", "a: |\n  text\nENTRY\n"),
        ("a: b\n...\n", "a: b\nENTRY\n...\n"),
        ("{ a: b }\n", "{ a: b, ENTRY }\n"),
        ("{\n  a: b,\n}\n", "{\n  a: b, ENTRY\n}\n"),
        ("{\"a\": \"b\"}", "{\"a\": \"b\", ENTRY}"),
        ("accepted: { version: 1.0.0, meaning: b3-00000000 } # old\na: b\n", "ENTRY # old\na: b\n"),
        ("a: b\naccepted:\n  version: 1.0.0\n  meaning: b3-00000000\n\nc: d\n", "a: b\nENTRY\n\nc: d\n"),
        ("a: b\naccepted:\nc: d\n", "a: b\nENTRY\nc: d\n"),
        ("{ a: b, accepted: { version: 1.0.0, meaning: b3-00000000 }, c: d }", "{ a: b, ENTRY, c: d }"),
    ] {
        let written = accept(text);
        assert_eq!(written.as_deref(), Ok(expected.replace("ENTRY", ENTRY).as_str()), "{text:?}");
        assert_eq!(accept(&written.unwrap()), Ok(expected.replace("ENTRY", ENTRY)), "twice {text:?}");
    }
}

#[test]
fn a_text_that_would_be_broken_is_refused() {
    for text in ["", "- a\n", "a: [\n", "a: b\na: c\n"] {
        assert_eq!(accept(text), Err(AcceptError::Unreadable), "{text:?}");
    }
    assert!(matches!(accept("{ a: b # }\n}\n"), Err(AcceptError::NoPlace { .. })));
}
