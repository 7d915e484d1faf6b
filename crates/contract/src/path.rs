//! Where in the estate something stands: a document and the keys that lead to a place in it.

use std::fmt;
use std::ops::Range;

/// The path of a document from the root of its estate, with `/` between folders. That of another repository is
/// `repository//path`, with the path from the top of the repository.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct DocumentId(pub String);

impl DocumentId {
    /// Returns the name of the repository that the document comes from; none for the estate's own.
    pub fn repository(&self) -> Option<&str> {
        self.0.split_once("//").map(|(repository, _)| repository)
    }
}

impl fmt::Display for DocumentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One step into a document.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Step {
    /// Into the value under a key of a mapping.
    Key(String),
    /// Into an element of a sequence, counted from zero.
    Index(usize),
}

/// A place in a document. A place that is not written there stands for the nearest one above that is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct ModelPath {
    /// The document.
    pub document: DocumentId,
    /// The steps from its top.
    pub steps: Vec<Step>,
    /// The last step's key itself, not the value under it.
    pub at_key: bool,
    /// A part of the scalar there, in bytes of its text as read.
    pub within: Option<(usize, usize)>,
}

impl ModelPath {
    /// Returns the top of a document.
    pub fn top(document: &DocumentId) -> Self {
        ModelPath { document: document.clone(), ..ModelPath::default() }
    }

    /// Returns the place under a key.
    #[must_use]
    pub fn key(mut self, key: impl fmt::Display) -> Self {
        self.steps.push(Step::Key(key.to_string()));
        self
    }

    /// Returns the place of an element, counted from zero.
    #[must_use]
    pub fn index(mut self, idx: usize) -> Self {
        self.steps.push(Step::Index(idx));
        self
    }

    /// Returns the place of the last key itself, instead of its value.
    #[must_use]
    pub fn the_key(mut self) -> Self {
        self.at_key = true;
        self
    }

    /// Returns a part of the scalar at this place.
    #[must_use]
    pub fn part(mut self, bytes: Range<usize>) -> Self {
        self.within = Some((bytes.start, bytes.end));
        self
    }
}

impl fmt::Display for ModelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.document)?;
        for (idx, step) in self.steps.iter().enumerate() {
            let separator = if idx == 0 { "#" } else { "." };
            match step {
                Step::Key(key) => write!(f, "{separator}{key}")?,
                Step::Index(at) => write!(f, "[{at}]")?,
            }
        }
        Ok(())
    }
}
