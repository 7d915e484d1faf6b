//! Formats documents: one layout for all, with every comment, and without a change to what is read.

mod layout;

use crate::node::{Content, Node};
use crate::source::line_and_column;
use crate::yaml;
use granit_parser::{Event, Parser};
use layout::Layout;
use std::ops::Range;

/// Why a text is left as it is, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// It cannot be read.
    #[error("it cannot be read: line {line}: {message}")]
    Unreadable {
        /// The line of the first problem, from 1.
        line: usize,
        /// What is wrong there.
        message: String,
    },
    /// It is written in a way that has no layout here.
    #[error("{0}")]
    Left(&'static str),
}

/// Returns the text in the layout of the language. Formatting again changes nothing.
///
/// # Errors
/// [`FormatError`] when the text cannot be read, or cannot be laid out without a change to what it says.
pub fn format(text: &str) -> Result<String, FormatError> {
    let (root, comments) = taken_apart(text)?;
    let written = laid_out(text, &root, comments.clone())?;
    let changed = FormatError::Left("no layout was found that says exactly the same");
    let Ok((again, kept)) = taken_apart(&written) else { return Err(changed) };
    let same_comments = texts(text, &comments) == texts(&written, &kept);
    let settled = laid_out(&written, &again, kept) == Ok(written.clone());
    if same_comments && settled && says_the_same(&root, &again) { Ok(written) } else { Err(changed) }
}

/// Returns the tree of a text and where its comments are, or why it is left alone.
fn taken_apart(text: &str) -> Result<(Node, Vec<Range<usize>>), FormatError> {
    let (root, problems) = yaml::parse(text);
    if let Some(problem) = problems.first() {
        let line = line_and_column(text, problem.bytes.start).0;
        return Err(FormatError::Unreadable { line, message: problem.message.clone() });
    }
    let mut comments = Vec::new();
    for next in Parser::new_from_str(text) {
        let Ok((event, span)) = next else { continue };
        match event {
            Event::Comment(..) => comments.extend(span.byte_range()),
            Event::Alias(..) => return Err(FormatError::Left("it holds an alias")),
            Event::Scalar(_, _, anchor, _)
            | Event::SequenceStart(_, anchor, _)
            | Event::MappingStart(_, anchor, _)
                if anchor != 0 =>
            {
                return Err(FormatError::Left("it holds an anchor"));
            }
            _ => {}
        }
    }
    let Some(root) = root.filter(|root| root.entries().is_some_and(|entries| !entries.is_empty())) else {
        return Err(FormatError::Left("it is no mapping"));
    };
    Ok((root, comments))
}

fn laid_out(text: &str, root: &Node, comments: Vec<Range<usize>>) -> Result<String, FormatError> {
    let ends = text.matches("\r\n").count();
    if text.starts_with('%') || text.starts_with("\u{feff}%") {
        return Err(FormatError::Left("it begins with a directive"));
    }
    if text.matches('\r').count() != ends {
        return Err(FormatError::Left("it holds a carriage return without a line feed"));
    }
    let written_as_json = text[root.bytes.start..].starts_with('{')
        && root.entries().into_iter().flatten().all(|entry| text[entry.key_bytes.start..].starts_with('"'));
    if written_as_json {
        return Err(FormatError::Left("it is JSON"));
    }
    let odd = root.entries().into_iter().flatten().any(|entry| text[entry.key_bytes.clone()].contains('\n'));
    if odd {
        return Err(FormatError::Left("a key is written on several lines"));
    }
    let written = Layout::new(text, comments).document(root);
    Ok(if ends > 0 { written.replace('\n', "\r\n") } else { written })
}

/// Returns the comments in the order of their texts: the header of a document may move.
fn texts<'t>(text: &'t str, comments: &[Range<usize>]) -> Vec<&'t str> {
    let mut texts: Vec<&str> = comments.iter().map(|at| text[at.clone()].trim_end()).collect();
    texts.sort_unstable();
    texts
}

/// Whether two trees are read alike: the same texts under the same keys, whatever the order of keys.
fn says_the_same(left: &Node, right: &Node) -> bool {
    match (&left.content, &right.content) {
        (Content::Scalar { text, .. }, Content::Scalar { text: other, .. }) => {
            text == other && left.is_blank() == right.is_blank()
        }
        (Content::Sequence(items), Content::Sequence(others)) => {
            items.len() == others.len()
                && items.iter().zip(others).all(|(item, other)| says_the_same(item, other))
        }
        (Content::Mapping(entries), Content::Mapping(others)) => {
            let order = |entry: &crate::node::Entry| entry.key.clone();
            let (mut entries, mut others) = (entries.clone(), others.clone());
            entries.sort_by_key(order);
            others.sort_by_key(order);
            entries.len() == others.len()
                && entries
                    .iter()
                    .zip(&others)
                    .all(|(entry, other)| entry.key == other.key && says_the_same(&entry.value, &other.value))
        }
        _ => false,
    }
}
