//! Writes what a consumer accepted into the text of its subscription, and nothing else.

use crate::node::Node;
use crate::read::{At, Reader, subscription};
use crate::yaml;
use seamline_contract::path::{DocumentId, ModelPath};
use seamline_contract::subscription::Accepted;

/// Why nothing can be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AcceptError {
    /// The text is not one mapping that can be read.
    #[error("the subscription cannot be read: mend what `check` finds in it first")]
    Unreadable,
    /// The text is written in a way in which no entry can be put safely.
    #[error("`accepted` cannot be written into this text: write it by hand as `{entry}`")]
    NoPlace {
        /// What to write.
        entry: String,
    },
}

/// Returns the text with `accepted` written or replaced, all else byte for byte as it was.
///
/// # Errors
/// [`AcceptError::Unreadable`] when the text is no mapping, [`AcceptError::NoPlace`] when the result would not say
/// exactly what the text said and `accepted`.
pub fn with_accepted(text: &str, accepted: &Accepted) -> Result<String, AcceptError> {
    let (Some(root), problems) = yaml::parse(text) else { return Err(AcceptError::Unreadable) };
    if root.entries().is_none_or(<[_]>::is_empty) || !problems.is_empty() {
        return Err(AcceptError::Unreadable);
    }
    let value = format!("{{ version: {}, meaning: {} }}", accepted.version, accepted.meaning);
    let written = match root.entry("accepted") {
        Some(entry) => replaced(text, entry.key_bytes.end, &entry.value, &value),
        None if text[..root.bytes.end].ends_with('}') && text[root.bytes.start..].starts_with('{') => {
            in_braces(text, &root, &value)
        }
        None => in_block(text, &root, &value),
    };
    let right = written.as_deref().is_some_and(|written| says(written, &root, accepted));
    match written {
        Some(written) if right => Ok(written),
        _ => Err(AcceptError::NoPlace { entry: format!("accepted: {value}") }),
    }
}

fn replaced(text: &str, key_end: usize, old: &Node, value: &str) -> Option<String> {
    let colon = key_end + text[key_end..].find(':')? + 1;
    let is_flow = text.get(old.bytes.clone()).is_some_and(|old| old.starts_with('{'));
    let end = if is_flow { old.bytes.end } else { old.last_byte().max(colon) };
    Some(format!("{} {value}{}", &text[..colon], &text[end..]))
}

/// Puts the entry before the closing brace of the document.
fn in_braces(text: &str, root: &Node, value: &str) -> Option<String> {
    let inner = &text[..root.bytes.end - 1];
    let head = inner.trim_end();
    let space = &inner[head.len()..];
    let comma = if head.ends_with(',') { "" } else { "," };
    Some(format!("{head}{comma} accepted: {value}{space}{}", &text[root.bytes.end - 1..]))
}

/// Puts the entry behind the last line of the document, indented as its first key.
fn in_block(text: &str, root: &Node, value: &str) -> Option<String> {
    let first = root.entries()?.first()?;
    let line_start = text[..first.key_bytes.start].rfind('\n').map_or(0, |idx| idx + 1);
    let indent = text[line_start..first.key_bytes.start].trim_start_matches('\u{feff}');
    if !indent.trim().is_empty() {
        return None;
    }
    let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let at = text.find("\n...").map_or(text.len(), |idx| idx + 1);
    let (head, tail) = text.split_at(at);
    let gap = if head.ends_with('\n') { "" } else { newline };
    Some(format!("{head}{gap}{indent}accepted: {value}{newline}{tail}"))
}

/// Whether a text says what another said, and this acceptance.
fn says(written: &str, before: &Node, accepted: &Accepted) -> bool {
    let (Some(root), problems) = yaml::parse(written) else { return false };
    let others = |node: &Node| -> Vec<(String, Node)> {
        let entries = node.entries().unwrap_or_default().iter().filter(|entry| entry.key != "accepted");
        entries.map(|entry| (entry.key.clone(), entry.value.without_places())).collect()
    };
    let document = DocumentId::default();
    let mut reader = Reader::new(written, Some(&root), &document);
    let read = root.entry("accepted").and_then(|entry| {
        let at = At { node: &entry.value, path: ModelPath::top(&document) };
        subscription::accepted(&mut reader, &at)
    });
    problems.is_empty() && read.as_ref() == Some(accepted) && others(&root) == others(before)
}
