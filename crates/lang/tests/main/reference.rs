//! The reference page of the language: what is above its keys is written by hand, the keys are those that readers know.

use crate::formatting::repository;
use seamline_lang::schema::explained::explained;
use seamline_lang::schema::shape::FORMS;
use seamline_lang::schema::{KINDS, TABLES};
use std::fmt::Write;
use std::fs;

const PAGE: &str = "docs/reference/language.md";
/// From here on the page is generated.
const GENERATED: &str = "## Forms\n";

fn generated() -> String {
    let mut text = GENERATED.to_owned();
    text.push_str(
        "\nA form is what a whole text must match.\n\n| form | as a regular expression |\n|---|---|\n",
    );
    let cell = |text: &str| format!("`{}`", text.replace('|', "\\|"));
    for form in FORMS.iter().filter(|form| !form.pattern.is_empty()) {
        writeln!(text, "| {} | {} |", cell(form.name), cell(form.pattern)).unwrap();
    }
    text.push_str(
        "\n## Keys\n\n`*` must be written. Behind a semicolon: what it is when it is not written.\n",
    );
    for table in TABLES {
        let mut what = table.what.to_owned();
        let first = what.remove(0).to_ascii_uppercase();
        writeln!(text, "\n### {first}{what}\n\n| key | what stands there | |\n|---|---|---|").unwrap();
        for key in table.keys {
            let must = if key.required { "*" } else { "" };
            let sentence = explained(key.name).unwrap_or_default();
            writeln!(text, "| `{}`{must} | {} | {sentence} |", key.name, cell(key.grammar)).unwrap();
        }
    }
    text
}

#[test]
fn the_page_of_the_language_is_what_the_readers_know() {
    let path = repository(PAGE);
    let page = fs::read_to_string(&path).unwrap();
    let (by_hand, rest) = page.split_once(GENERATED).unwrap();
    if std::env::var_os("SEAMLINE_WRITE_DOCS").is_some() {
        fs::write(&path, by_hand.to_owned() + &generated()).unwrap();
        return;
    }
    assert!(GENERATED.to_owned() + rest == generated(), "{PAGE} is stale: run `cargo x docs`");
    for (kind, part) in KINDS {
        assert!(by_hand.contains(kind) && by_hand.contains(part), "{kind}");
    }
}
