//! The header of a document: what language and kind it is, its id, its context.

use super::{At, Reader, mend_name};
use crate::rule;
use crate::schema;
use seamline_contract::finding::Finding;
use seamline_contract::id::{ContextId, IdError};
use seamline_contract::path::{DocumentId, ModelPath};
use std::str::FromStr;

/// The version of the language that is read.
pub(crate) const API_VERSION: &str = "seamline/v1";

/// What the name of a file says about its document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileName {
    /// `<id>` of `<id>.<kind>.yaml`, without a major.
    pub(crate) stem: String,
    /// The major of `<id>@<major>.contract.yaml`, as text.
    pub(crate) major: Option<String>,
    /// The kind by the name.
    pub(crate) kind: Option<&'static str>,
}

/// Takes the name of a file apart.
pub(crate) fn file_name(document: &DocumentId) -> FileName {
    let name = document.0.rsplit('/').next().unwrap_or_default();
    let base = name.rsplit_once('.').map_or(name, |(base, _)| base);
    let (stem, suffix) = base.rsplit_once('.').unwrap_or((base, ""));
    let by_suffix = |(_, part): &&(&str, &str)| !part.is_empty() && *part == suffix;
    let kind = schema::KINDS.iter().find(by_suffix).map(|(kind, _)| *kind);
    let (stem, major) = match stem.split_once('@') {
        Some((stem, major)) => (stem, Some(major.to_owned())),
        None => (stem, None),
    };
    FileName { stem: stem.to_owned(), major, kind }
}

/// Returns the folder of a document; empty at the top.
pub(crate) fn folder(document: &DocumentId) -> &str {
    document.0.rsplit_once('/').map_or("", |(folder, _)| folder)
}

impl<'n> Reader<'n> {
    /// Checks the version of the language and returns the kind: the one written, else the one the file's name says.
    pub(crate) fn kind(&mut self, top: &At<'n>, expected: Option<&'static str>) -> Option<&'static str> {
        let Some(entries) = top.node.entries() else {
            let message = "a document is a mapping that begins with `apiVersion` and `kind`";
            self.report(Finding::new(rule::KIND, top.path.clone(), message));
            return None;
        };
        let written =
            |key: &str| entries.iter().find(|entry| entry.key == key).map(|entry| entry.value.text());
        // A missing key is reported with the others that are due.
        if let Some(version) = written("apiVersion")
            && version != Some(API_VERSION)
        {
            let message =
                format!("`{}` is not a version of the language that is read here", version.unwrap_or("…"));
            let at = top.path.clone().key("apiVersion");
            self.report(Finding::new(rule::KIND, at, message).help(format!("write `{API_VERSION}`")));
        }
        let Some(kind) = written("kind") else { return expected };
        let names: Vec<&str> = schema::KINDS.iter().map(|(kind, _)| *kind).collect();
        let known = names.iter().copied().find(|name| Some(*name) == kind);
        let at = top.path.clone().key("kind");
        match (known, expected) {
            (None, _) => {
                let text = kind.unwrap_or("…");
                let help = mend_name(text, &names, "the kinds");
                self.report(Finding::new(rule::KIND, at, format!("`{text}` is not a kind")).help(help));
                expected
            }
            (Some(known), Some(expected)) if known != expected => {
                let message =
                    format!("the kind is `{known}`, the file's name says {}", expected.to_lowercase());
                self.report(
                    Finding::new(rule::FILE_NAME, at, message).help("rename the file, or mend the kind"),
                );
                Some(known)
            }
            (Some(known), _) => Some(known),
        }
    }

    /// Returns the id: the one written, else the one the file's name says; both must agree.
    pub(crate) fn id<T: FromStr<Err = IdError>>(&mut self, top: &At<'n>, name: &FileName) -> Option<T> {
        let written = top.node.entry("id");
        if let Some(entry) = written {
            let at = At { node: &entry.value, path: top.path.clone().key("id") };
            let text = self.word(&at)?;
            if text != name.stem {
                let message = format!("the id is `{text}`, the file's name says `{}`", name.stem);
                self.report(
                    Finding::new(rule::FILE_NAME, at.path.clone(), message)
                        .help("rename the file, or mend the id"),
                );
            }
            return self.parse(&at);
        }
        match name.stem.parse() {
            Ok(id) => Some(id),
            Err(error) => {
                let message = format!(
                    "the file's name says that the id is `{}`, which is not {}",
                    name.stem, error.expected
                );
                self.report(Finding::new(rule::FILE_NAME, ModelPath::top(self.document), message));
                None
            }
        }
    }

    /// Returns the context: the one written, else the inherited one.
    pub(crate) fn context(&mut self, top: &At<'n>, inherited: Option<&ContextId>) -> Option<ContextId> {
        if let Some(entry) = top.node.entry("context") {
            let at = At { node: &entry.value, path: top.path.clone().key("context") };
            return self.parse(&at);
        }
        if inherited.is_none() {
            let message = "no context is written, and no folder above has one context file";
            let finding = Finding::new(rule::CONTEXT, top.path.clone(), message);
            self.report(finding.help("write `context:`, or put the file below the folder of its context"));
        }
        inherited.cloned()
    }
}
