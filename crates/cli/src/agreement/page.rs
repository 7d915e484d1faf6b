//! A page as text, as Markdown and for programs.

use super::Page;
use serde_json::{Value, json};

/// Returns a page for the terminal.
pub(crate) fn text(page: &Page) -> String {
    let mut text = format!("{}\n", page.title);
    for part in &page.parts {
        text.push_str(&format!("\n{}\n", part.heading));
        for (name, says) in &part.entries {
            text.push_str(&format!("  {name}\n"));
            says.iter().for_each(|sentence| text.push_str(&format!("    {sentence}\n")));
        }
    }
    text
}

/// Returns a page as Markdown, in which what the documents say stays text.
pub(crate) fn markdown(page: &Page) -> String {
    let mut text = format!("# {}\n", escaped(&page.title));
    for part in &page.parts {
        text.push_str(&format!("\n## {}\n\n", part.heading));
        for (name, says) in &part.entries {
            text.push_str(&format!("- **{}**\n", escaped(name)));
            says.iter().for_each(|sentence| text.push_str(&format!("  - {}\n", escaped(sentence))));
        }
    }
    text
}

/// Returns a page for programs.
pub(crate) fn document(page: &Page) -> Value {
    let mut document = json!({ "schema": "seamline/agreement/v1", "title": page.title });
    for part in &page.parts {
        let entries: Vec<Value> =
            part.entries.iter().map(|(name, says)| json!({ "of": name, "says": says })).collect();
        document[part.name] = json!(entries);
    }
    document
}

/// Code between backticks stays; what else Markdown or HTML would read as more than text is escaped.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    let n_ticks = text.matches('`').count();
    let mut in_code = false;
    for character in text.chars() {
        match character {
            '`' if n_ticks.is_multiple_of(2) => {
                in_code = !in_code;
                safe.push('`');
            }
            '\n' | '\r' => safe.push(' '),
            plain if in_code => safe.push(plain),
            '<' => safe.push_str("&lt;"),
            '&' => safe.push_str("&amp;"),
            '`' | '*' | '_' | '[' | ']' | '\\' | '|' | '#' => {
                safe.push('\\');
                safe.push(character);
            }
            plain => safe.push(plain),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn what_documents_say_stays_text() {
        assert_eq!(escaped("<b> *x* [a](b)\n`c_d < e`"), "&lt;b> \\*x\\* \\[a\\](b) `c_d < e`");
        assert_eq!(escaped("one ` tick"), "one \\` tick");
    }
}
