//! Where things stand: from a path into the model to a line and column of the text.

use crate::node::{Content, Entry, Node};
use seamline_contract::path::{DocumentId, ModelPath, Step};
use std::collections::BTreeMap;
use std::ops::Range;

/// A document with its text and its tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Which.
    pub id: DocumentId,
    /// The text as it was read.
    pub text: String,
    /// Its tree; none when it could not be read.
    pub root: Option<Node>,
}

/// A place in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The document.
    pub document: DocumentId,
    /// The line, counted from one.
    pub line: usize,
    /// The column in Unicode scalar values, counted from one.
    pub column: usize,
    /// The place in bytes of the text; on character boundaries.
    pub bytes: Range<usize>,
    /// Where it is written, in bytes, when `bytes` is an alias.
    pub anchored: Option<Range<usize>>,
}

/// The texts of an estate.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sources {
    documents: BTreeMap<DocumentId, Document>,
}

impl Sources {
    /// Adds a document, instead of an earlier one of the same id.
    pub fn insert(&mut self, document: Document) {
        self.documents.insert(document.id.clone(), document);
    }

    /// Returns a document.
    pub fn document(&self, id: &DocumentId) -> Option<&Document> {
        self.documents.get(id)
    }

    /// Returns all documents, sorted by id.
    pub fn documents(&self) -> impl Iterator<Item = &Document> {
        self.documents.values()
    }

    /// Returns where a path is written: the place itself, or the key of the nearest place above that is written.
    /// A document that is not here is its own first line. A path without steps that names a part
    /// names it in bytes of the whole text.
    pub fn locate(&self, path: &ModelPath) -> Location {
        let Some(document) = self.documents.get(&path.document) else {
            return Location {
                document: path.document.clone(),
                line: 1,
                column: 1,
                bytes: 0..0,
                anchored: None,
            };
        };
        let (bytes, anchored) = match &document.root {
            Some(root) if !path.steps.is_empty() => walk(root, path, &document.text),
            Some(root) if path.within.is_none() => (top(root), None),
            _ => (path.within.map_or(0..0, |(start, end)| start..end), None),
        };
        place(document, bytes, anchored)
    }

    /// Returns the line and the column behind the last character of a place, both counted from one.
    pub fn end(&self, place: &Location) -> (usize, usize) {
        match self.documents.get(&place.document) {
            Some(document) => line_and_column(&document.text, place.bytes.end.min(document.text.len())),
            None => (place.line, place.column),
        }
    }

    /// Returns the place of some bytes of a document.
    pub(crate) fn locate_bytes(&self, id: &DocumentId, bytes: Range<usize>) -> Location {
        self.locate(&ModelPath::top(id).part(bytes))
    }
}

fn place(document: &Document, bytes: Range<usize>, anchored: Option<Range<usize>>) -> Location {
    let bytes = on_characters(&document.text, bytes);
    let (line, column) = line_and_column(&document.text, bytes.start);
    Location { document: document.id.clone(), line, column, bytes, anchored }
}

type Place = (Range<usize>, Option<Range<usize>>);

fn top(root: &Node) -> Range<usize> {
    match root.entries().and_then(<[Entry]>::first) {
        Some(entry) => entry.key_bytes.clone(),
        None => root.bytes.clone(),
    }
}

fn walk(root: &Node, path: &ModelPath, text: &str) -> Place {
    let mut node = root;
    let mut key: Option<&Entry> = None;
    let mut whole = true;
    for step in &path.steps {
        let next = match (step, &node.content) {
            (Step::Key(name), Content::Mapping(_)) => {
                node.entry(name).map(|entry| (&entry.value, Some(entry)))
            }
            (Step::Index(idx), Content::Sequence(items)) => items.get(*idx).map(|item| (item, None)),
            // A list of one may be written without brackets.
            (Step::Index(0), Content::Scalar { .. }) => Some((node, key)),
            _ => None,
        };
        let Some((child, entry)) = next else {
            whole = false;
            break;
        };
        (node, key) = (child, entry);
    }
    match key {
        Some(entry) if path.at_key || !whole || node.is_blank() => {
            (entry.key_bytes.clone(), node.anchored.clone())
        }
        _ if !whole && std::ptr::eq(node, root) => (top(root), None),
        _ => (part_of(node, path, text, whole), node.anchored.clone()),
    }
}

/// Narrows a scalar to a part where its text is in the document as it is; else the first line of the node.
fn part_of(node: &Node, path: &ModelPath, text: &str, whole: bool) -> Range<usize> {
    let Content::Scalar { text: read, .. } = &node.content else {
        return first_line(text, &node.bytes);
    };
    let (Some((start, end)), true, None) = (path.within, whole, &node.anchored) else {
        return node.bytes.clone();
    };
    let written = text.get(node.bytes.clone()).unwrap_or_default();
    let offset = [0, 1].into_iter().find(|offset| written.get(*offset..*offset + read.len()) == Some(read));
    match offset {
        Some(offset) if start <= end && end <= read.len() => {
            node.bytes.start + offset + start..node.bytes.start + offset + end
        }
        _ => node.bytes.clone(),
    }
}

fn first_line(text: &str, bytes: &Range<usize>) -> Range<usize> {
    let written = text.get(bytes.clone()).unwrap_or_default();
    let line = written.lines().next().unwrap_or_default();
    bytes.start..bytes.start + line.trim_end().len()
}

fn on_characters(text: &str, bytes: Range<usize>) -> Range<usize> {
    let start = text.floor_char_boundary(bytes.start.min(text.len()));
    let end = text.ceil_char_boundary(bytes.end.clamp(start, text.len()));
    start..end
}

/// Returns the line and the column of a byte, both counted from one; a byte order mark takes no column.
pub(crate) fn line_and_column(text: &str, at: usize) -> (usize, usize) {
    let before = &text[..at];
    let line_start = before.rfind('\n').map_or(0, |idx| idx + 1);
    let line = before[..line_start].matches('\n').count() + 1;
    let column = before[line_start..].chars().filter(|letter| *letter != '\u{feff}').count() + 1;
    (line, column)
}
