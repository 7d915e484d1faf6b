//! Walks the folders of an estate: which files are documents, and which cannot be read.

use seamline_contract::finding::Finding;
use seamline_contract::path::{DocumentId, ModelPath};
use seamline_lang::rule;
use seamline_lang::schema::KINDS;
use seamline_lang::yaml::FILE_BYTES_MAX;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;

/// How many folders and files are looked at before an estate is refused.
const ENTRIES_MAX: usize = 200_000;
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
    /// Reads the documents below a folder, `within` relative to `root`, empty for the root itself.
    /// Links to folders are not followed, so that a walk ends.
    pub(crate) fn walk(&mut self, root: &Path, within: &str) -> Result<(), TooMany> {
        let mut folders = vec![within.to_owned()];
        while let Some(folder) = folders.pop() {
            if !self.seen.insert(folder.clone()) {
                continue;
            }
            let entries = match std::fs::read_dir(root.join(&folder)) {
                Ok(entries) => entries,
                Err(error) => {
                    self.unreadable(&folder, &error.to_string());
                    continue;
                }
            };
            for entry in entries {
                if self.seen.len() > ENTRIES_MAX {
                    return Err(TooMany);
                }
                let entry = match entry {
                    Ok(entry) => entry,
                    Err(error) => {
                        self.unreadable(&folder, &error.to_string());
                        continue;
                    }
                };
                let Some(name) = entry.file_name().to_str().map(ToOwned::to_owned) else { continue };
                let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
                match entry.file_type() {
                    Ok(kind)
                        if kind.is_dir() && !name.starts_with('.') && !SKIPPED.contains(&name.as_str()) =>
                    {
                        folders.push(path);
                    }
                    Ok(kind) if !kind.is_dir() => self.file(root, path, &name),
                    Ok(_) => {}
                    Err(error) => self.unreadable(&path, &error.to_string()),
                }
            }
        }
        Ok(())
    }

    fn file(&mut self, root: &Path, path: String, name: &str) {
        if name.starts_with('.') || !self.seen.insert(path.clone()) {
            return;
        }
        let Some((base, extension)) = name.rsplit_once('.') else { return };
        if !EXTENSIONS.contains(&extension) || path == super::open::SETTINGS_FILE {
            return;
        }
        let suffix = base.rsplit_once('.').map_or("", |(_, suffix)| suffix);
        let named = KINDS.iter().any(|(_, part)| !part.is_empty() && *part == suffix);
        match read(&root.join(&path)) {
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

    pub(crate) fn unreadable(&mut self, path: &str, reason: &str) {
        let at = ModelPath::top(&DocumentId(path.to_owned()));
        let message = format!("`{}` cannot be read: {reason}", if path.is_empty() { "." } else { path });
        self.findings.push(Finding::new(rule::UNREADABLE, at, message));
    }
}

/// Reads a text of at most the greatest size, or says in words why not.
pub(crate) fn read(path: &Path) -> Result<String, String> {
    let metadata = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if !metadata.is_file() {
        return Err("it is no file".to_owned());
    }
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() > FILE_BYTES_MAX {
        return Err(format!("it has more than the {FILE_BYTES_MAX} bytes a document may have"));
    }
    String::from_utf8(bytes)
        .map_err(|error| format!("it is not UTF-8 at byte {}", error.utf8_error().valid_up_to()))
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
