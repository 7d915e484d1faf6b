//! The tree of a document: scalars, sequences and mappings, each with the bytes it was written in.

use std::ops::Range;

/// How a scalar was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Without quotes.
    Plain,
    /// In single or double quotes.
    Quoted,
    /// As a block behind `|` or `>`.
    Block,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Text. Nothing is read into it: `no`, `2.10` and `null` are the texts they are.
    Scalar {
        /// The text with quotes and escapes undone.
        text: String,
        /// How it was written.
        style: Style,
    },
    /// Nodes in order.
    Sequence(Vec<Node>),
    /// Keys with their nodes, in the order written, without duplicates.
    Mapping(Vec<Entry>),
}

/// One place of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// What it is.
    pub content: Content,
    /// Where it is written, in bytes of the text; for what an alias stands for, the alias.
    pub bytes: Range<usize>,
    /// Where it is written at the anchor, when an alias stands for it.
    pub anchored: Option<Range<usize>>,
}

/// A key with its node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The text of the key.
    pub key: String,
    /// Where the key is written.
    pub key_bytes: Range<usize>,
    /// What stands under it.
    pub value: Node,
}

impl Node {
    /// Returns the text of a scalar.
    pub fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Scalar { text, .. } => Some(text),
            Content::Sequence(_) | Content::Mapping(_) => None,
        }
    }

    /// Returns the entries of a mapping.
    pub fn entries(&self) -> Option<&[Entry]> {
        match &self.content {
            Content::Mapping(entries) => Some(entries),
            Content::Scalar { .. } | Content::Sequence(_) => None,
        }
    }

    /// Returns the entry of a key of a mapping.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries()?.iter().find(|entry| entry.key == key)
    }

    /// Returns whether nothing is written here: an empty value, such as that of `key:`.
    pub fn is_blank(&self) -> bool {
        matches!(&self.content, Content::Scalar { text, style: Style::Plain } if text.is_empty())
    }

    /// Returns the end of the last thing written inside, in bytes of the text.
    pub fn last_byte(&self) -> usize {
        let inner = match &self.content {
            Content::Scalar { .. } => None,
            Content::Sequence(items) => items.last().map(Node::last_byte),
            Content::Mapping(entries) => {
                entries.last().map(|entry| entry.value.last_byte().max(entry.key_bytes.end))
            }
        };
        inner.unwrap_or(self.bytes.end)
    }

    /// Returns a copy that is equal to that of any text that says the same.
    pub(crate) fn without_places(&self) -> Node {
        self.placed_at(&(0..0)).forget_anchors()
    }

    fn forget_anchors(mut self) -> Node {
        self.anchored = None;
        self.content = match self.content {
            Content::Sequence(items) => {
                Content::Sequence(items.into_iter().map(Node::forget_anchors).collect())
            }
            Content::Mapping(entries) => {
                let forget = |entry: Entry| Entry { value: entry.value.forget_anchors(), ..entry };
                Content::Mapping(entries.into_iter().map(forget).collect())
            }
            scalar @ Content::Scalar { .. } => scalar,
        };
        self
    }

    /// Returns what copying this costs: a byte a node and one a byte of text.
    pub(crate) fn weight(&self) -> usize {
        1 + match &self.content {
            Content::Scalar { text, .. } => text.len(),
            Content::Sequence(items) => items.iter().map(Node::weight).sum(),
            Content::Mapping(entries) => {
                entries.iter().map(|entry| entry.key.len() + entry.value.weight()).sum()
            }
        }
    }

    /// Returns how many levels of sequences and mappings stand in one another here; none for a scalar.
    pub(crate) fn depth(&self) -> usize {
        match &self.content {
            Content::Scalar { .. } => 0,
            Content::Sequence(items) => 1 + items.iter().map(Node::depth).max().unwrap_or(0),
            Content::Mapping(entries) => {
                1 + entries.iter().map(|entry| entry.value.depth()).max().unwrap_or(0)
            }
        }
    }

    /// Returns a copy of what stands at an anchor, placed at an alias.
    pub(crate) fn placed_at(&self, alias: &Range<usize>) -> Node {
        let content = match &self.content {
            Content::Scalar { text, style } => Content::Scalar { text: text.clone(), style: *style },
            Content::Sequence(items) => {
                Content::Sequence(items.iter().map(|item| item.placed_at(alias)).collect())
            }
            Content::Mapping(entries) => Content::Mapping(
                entries
                    .iter()
                    .map(|entry| Entry {
                        key: entry.key.clone(),
                        key_bytes: alias.clone(),
                        value: entry.value.placed_at(alias),
                    })
                    .collect(),
            ),
        };
        let anchored = self.anchored.clone().unwrap_or_else(|| self.bytes.clone());
        Node { content, bytes: alias.clone(), anchored: Some(anchored) }
    }
}
