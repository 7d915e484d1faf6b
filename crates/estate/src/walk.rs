//! Walks the folders of an estate: which files are documents, and which cannot be read.

use crate::tree::{Kind, Tree, join};
use seamline_contract::finding::Finding;
use seamline_contract::path::{DocumentId, ModelPath};
use seamline_lang::rule;
use seamline_lang::schema::KINDS;
use std::collections::{BTreeMap, BTreeSet};

/// How many folders and files are looked at before an estate is refused.
pub(crate) const ENTRIES_MAX: usize = 200_000;
/// Folders that never hold documents.
const SKIPPED: [&str; 2] = ["target", "node_modules"];
/// How files of documents end.
const EXTENSIONS: [&str; 3] = ["yaml", "yml", "json"];

/// What a walk finds.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The texts of documents.
    pub(crate) files: BTreeMap<DocumentId, String>,
    /// Texts that look like documents under a name that is none.
    pub(crate) misnamed: BTreeMap<DocumentId, String>,
    /// What could not be read.
    pub(crate) findings: Vec<Finding>,
    seen: BTreeSet<String>,
}

/// There are more entries below a folder than an estate may have.
#[derive(Debug)]
pub(crate) struct TooMany;

impl Found {
    /// Reads the documents below a folder of a tree; the empty one is the tree itself.
    /// Links to folders are not followed, so that a walk ends.
    pub(crate) fn walk(&mut self, tree: &dyn Tree, within: &str) -> Result<(), TooMany> {
        let mut folders = vec![within.to_owned()];
        while let Some(folder) = folders.pop() {
            if !self.seen.insert(folder.clone()) {
                continue;
            }
            let entries = match tree.entries(&folder) {
                Ok(entries) => entries,
                Err(reason) => {
                    self.unreadable(&folder, &reason);
                    continue;
                }
            };
            for entry in entries {
                if self.seen.len() > ENTRIES_MAX {
                    return Err(TooMany);
                }
                let entry = match entry {
                    Ok(entry) => entry,
                    Err(reason) => {
                        self.unreadable(&folder, &reason);
                        continue;
                    }
                };
                let path = join(&folder, &entry.name);
                let is_skipped = entry.name.starts_with('.') || SKIPPED.contains(&entry.name.as_str());
                match entry.kind {
                    Kind::File => self.file(tree, path, &entry.name),
                    Kind::Folder if !is_skipped => folders.push(path),
                    Kind::Submodule if !is_skipped => self.submodule(&path),
                    Kind::Folder | Kind::Submodule => {}
                }
            }
        }
        Ok(())
    }

    fn file(&mut self, tree: &dyn Tree, path: String, name: &str) {
        if name.starts_with('.') || !self.seen.insert(path.clone()) {
            return;
        }
        let Some((base, extension)) = name.rsplit_once('.') else { return };
        if !EXTENSIONS.contains(&extension) || path == super::open::SETTINGS_FILE {
            return;
        }
        let suffix = base.rsplit_once('.').map_or("", |(_, suffix)| suffix);
        let named = KINDS.iter().any(|(_, part)| !part.is_empty() && *part == suffix);
        match tree.read(&path) {
            Ok(text) if named => {
                self.files.insert(DocumentId(path), text);
            }
            Ok(text) if says_it_is_a_document(&text) => {
                self.misnamed.insert(DocumentId(path), text);
            }
            Err(reason) if named => self.unreadable(&path, &reason),
            Ok(_) | Err(_) => {}
        }
    }

    fn submodule(&mut self, path: &str) {
        let at = ModelPath::top(&DocumentId(path.to_owned()));
        let message = format!("`{path}` is a submodule: what is in it is not read at a revision");
        let help = "name the folders of the estate as `roots` in `seamline.yaml`, and leave it out; or compare checkouts";
        self.findings.push(Finding::new(rule::UNREADABLE, at, message).help(help));
    }

    pub(crate) fn unreadable(&mut self, path: &str, reason: &str) {
        let at = ModelPath::top(&DocumentId(path.to_owned()));
        let message = format!("`{}` cannot be read: {reason}", if path.is_empty() { "." } else { path });
        self.findings.push(Finding::new(rule::UNREADABLE, at, message));
    }
}

/// Whether a text says the version of this language and one of its kinds, as documents do.
fn says_it_is_a_document(text: &str) -> bool {
    // Most files of a repository are none of ours: parse only those that name the language.
    if !text.contains("seamline/v") {
        return false;
    }
    let (Some(root), _) = seamline_lang::yaml::parse(text) else { return false };
    let value = |key: &str| root.entry(key).and_then(|entry| entry.value.text()).unwrap_or_default();
    value("apiVersion").starts_with("seamline/") && KINDS.iter().any(|(kind, _)| *kind == value("kind"))
}
