//! Opens an estate: from a folder to its settings, its roots, its documents and what is wrong with them.

use crate::others::Others;
use crate::tree::{Folder, Kind, Nothing, Tree, below};
use crate::walk::{Found, TooMany};
use seamline_contract::estate::Root;
use seamline_contract::finding::Finding;
use seamline_contract::path::{DocumentId, ModelPath};
use seamline_lang::estate::{LOCK_FILE, Reading, read_estate, read_estate_beside};
use seamline_lang::rule;
use seamline_lang::source::Document;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// The file that the settings of an estate are written in.
pub const SETTINGS_FILE: &str = "seamline.yaml";

/// An estate as it lies on disk, or in a revision.
#[derive(Debug, Clone)]
pub struct Opened {
    /// The folder of the estate, absolute; of a revision that which the working tree has, or would have, for it.
    pub root: PathBuf,
    /// The texts of its documents, the settings and the lock among them.
    pub files: BTreeMap<DocumentId, String>,
    /// The document of the settings, whether or not there is one.
    pub settings: DocumentId,
    /// What was read.
    pub reading: Reading,
    tree: Rc<dyn Tree>,
}

/// Why no estate can be opened at a path. What is wrong inside one is a finding.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is nothing at the path, or it cannot be looked at.
    #[error("`{path}` cannot be opened")]
    NotThere {
        /// The path.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// There is too much below the folder for it to be an estate.
    #[error("`{path}` holds too many files for an estate: name its folders as `roots` in `seamline.yaml`")]
    TooMany {
        /// The folder.
        path: PathBuf,
    },
}

impl Opened {
    /// Returns whether a file or folder exists, by its path relative to the estate; never for one outside it.
    pub fn exists(&self, relative: &str) -> bool {
        below(relative).is_some_and(|path| self.tree.kind(&path).is_some())
    }
}

/// Opens the estate that a folder lies in: that of the nearest `seamline.yaml` upward, else the folder with all
/// documents below it.
///
/// # Errors
/// When there is no such folder, or far too much in it. Nothing else: findings are in `reading`.
pub fn open(path: &Path) -> Result<Opened, OpenError> {
    let given =
        path.canonicalize().map_err(|source| OpenError::NotThere { path: path.to_owned(), source })?;
    let folder = if given.is_dir() { given.as_path() } else { given.parent().unwrap_or(&given) };
    let root = folder.ancestors().find(|above| above.join(SETTINGS_FILE).is_file()).unwrap_or(folder);
    let tree = Rc::new(Folder { root: root.to_owned() });
    read(tree, root).map_err(|TooMany| OpenError::TooMany { path: root.to_owned() })
}

/// Returns an estate in which there is nothing yet; `root` is the folder that it is to have.
pub fn nothing(root: &Path) -> Opened {
    let tree = Rc::new(Nothing);
    finish(root, DocumentId(SETTINGS_FILE.to_owned()), Found::default(), (tree, Others::default()))
}

/// Opens the estate that a folder lies in as if its lock had another text.
///
/// # Errors
/// As `open` has.
pub fn open_locked(path: &Path, lock: &str) -> Result<Opened, OpenError> {
    let root = open(path)?.root;
    let tree = Rc::new(Folder { root: root.clone() });
    let lock = Some(lock.to_owned());
    read_with(tree, &root, lock).map_err(|TooMany| OpenError::TooMany { path: root })
}

/// Reads the estate that a tree holds; `root` is the folder that it stands for, in which clones of other repositories lie.
pub(crate) fn read(tree: Rc<dyn Tree>, root: &Path) -> Result<Opened, TooMany> {
    read_with(tree, root, None)
}

fn read_with(tree: Rc<dyn Tree>, root: &Path, lock: Option<String>) -> Result<Opened, TooMany> {
    let settings = DocumentId(SETTINGS_FILE.to_owned());
    let mut found = Found::default();
    let one = |found: &mut Found, name: &str| match tree.read(name) {
        Ok(text) => {
            found.files.insert(DocumentId(name.to_owned()), text);
        }
        Err(reason) => found.unreadable(name, &reason),
    };
    if tree.kind(SETTINGS_FILE) != Some(Kind::File) {
        found.walk(&*tree, "")?;
        return Ok(finish(root, settings, found, (tree, Others::default())));
    }
    one(&mut found, SETTINGS_FILE);
    match lock {
        Some(text) => {
            found.files.insert(DocumentId(LOCK_FILE.to_owned()), text);
        }
        None if tree.kind(LOCK_FILE).is_some() => one(&mut found, LOCK_FILE),
        None => {}
    }
    let first = read_estate(&found.files, settings.clone());
    let declared = &first.estate.settings;
    for (idx, root) in declared.roots.iter().enumerate() {
        let at = ModelPath::top(&settings).key("roots").index(idx);
        match root {
            Root::Directory(folder) => match resolve(&*tree, folder, at) {
                Ok(within) => found.walk(&*tree, &within)?,
                Err(finding) => found.findings.push(*finding),
            },
            Root::Hub { hub, .. } => {
                let message = format!("the root `{hub}` is a hub, and this version knows no hub to ask");
                let help = "name the git repository of its contracts: `{ git: …, at: …, path: … }`";
                found.findings.push(Finding::new(rule::UNSUPPORTED, at, message).help(help));
            }
            Root::Git { .. } => {}
        }
    }
    let others = Others::read(root, declared, first.lock.as_ref());
    Ok(finish(root, settings, found, (tree, others)))
}

/// Returns the folder of a root relative to the estate, or why it cannot be read.
fn resolve(tree: &dyn Tree, folder: &str, at: ModelPath) -> Result<String, Box<Finding>> {
    // A document's id is its path in the estate: what lies outside has none, and a clone of the estate would lack it.
    let Some(within) = below(folder) else {
        let finding =
            Finding::new(rule::ROOT, at, format!("the root `{folder}` lies outside the estate's folder"));
        return Err(Box::new(finding.help("move `seamline.yaml` up, so that all roots lie below it, or name its repository: `{ git: …, at: …, path: … }`")));
    };
    match tree.kind(&within) {
        Some(Kind::Folder) => Ok(within),
        Some(Kind::Submodule) => {
            let message = format!("the root `{folder}` is a submodule: it is not read at a revision");
            Err(Box::new(Finding::new(rule::ROOT, at, message).help("compare checkouts of both, as folders")))
        }
        Some(Kind::File) | None => {
            let finding = Finding::new(rule::ROOT, at, format!("there is no folder `{folder}`"));
            Err(Box::new(finding.help("create it, or remove the root")))
        }
    }
}

fn finish(
    root: &Path,
    settings: DocumentId,
    mut found: Found,
    (tree, others): (Rc<dyn Tree>, Others),
) -> Opened {
    let is_one = |finding: &&Finding| finding.rule == rule::UNREADABLE;
    let all = found.findings.iter().chain(&others.findings);
    let unreadable: BTreeSet<DocumentId> = all.filter(is_one).map(|it| it.at.document.clone()).collect();
    found.files.extend(others.files.iter().map(|(id, text)| (id.clone(), text.clone())));
    let mut reading = read_estate_beside(&found.files, &unreadable, settings.clone());
    reading.findings.extend(found.findings);
    others.join(&mut reading);
    for (id, text) in found.misnamed {
        let parsed = seamline_lang::yaml::parse(&text).0;
        let kind = parsed.as_ref().and_then(|node| node.entry("kind")?.value.text()).unwrap_or_default();
        let suffix = kind.to_lowercase();
        let help = match kind {
            "Estate" => "an estate has one `seamline.yaml`, in the folder that it is opened from".to_owned(),
            "Lock" => "a lock is called `seamline.lock` and lies beside `seamline.yaml`".to_owned(),
            _ => format!("call it `<id>.{suffix}.yaml`"),
        };
        let at = ModelPath::top(&id).key("kind");
        let finding =
            Finding::new(rule::FILE_NAME, at, "the file's name does not say its kind, so it is not read");
        reading.findings.push(finding.help(help));
        reading.sources.insert(Document { id, text, root: parsed });
    }
    check_lock(&found.files, &mut reading);
    reading.sort();
    Opened { root: root.to_owned(), files: found.files, settings, reading, tree }
}

/// Holds the folders that a lock lists against their digests.
fn check_lock(files: &BTreeMap<DocumentId, String>, reading: &mut Reading) {
    let Some(lock) = &reading.lock else { return };
    for (idx, locked) in lock.roots.iter().enumerate() {
        let declared = Root::Directory(locked.root.clone());
        let (Some(within), true) = (below(&locked.root), reading.estate.settings.roots.contains(&declared))
        else {
            continue;
        };
        let digest = digest(files, &within);
        if digest != locked.digest {
            let at = ModelPath::top(&DocumentId(LOCK_FILE.to_owned())).key("roots").index(idx).key("digest");
            let message = format!("the root `{}` is not what was locked", locked.root);
            let help = format!("its digest is `{digest}`: a folder of the estate needs no entry here");
            reading.findings.push(Finding::new(rule::ROOT, at, message).help(help));
        }
    }
}

/// Returns the digest of the documents below a folder of the estate: `b3-` and the BLAKE3 hash in hexadecimal of,
/// for each document in the order of ids, the id and the text, each behind its length in eight bytes, little end first.
/// The settings and the lock are not among them, nor what comes from other repositories.
pub fn digest(files: &BTreeMap<DocumentId, String>, within: &str) -> String {
    let inside = |id: &DocumentId| {
        within.is_empty() || id.0.strip_prefix(within).is_some_and(|rest| rest.starts_with('/'))
    };
    let own = |id: &DocumentId| id.0 != SETTINGS_FILE && id.0 != LOCK_FILE && id.repository().is_none();
    let files = files.iter().filter(|(id, _)| inside(id) && own(id));
    hashed(files.map(|(id, text)| (id.0.clone(), text.as_str())))
}

/// Returns the hash of names and texts, each behind its length.
pub(crate) fn hashed<'t>(files: impl Iterator<Item = (String, &'t str)>) -> String {
    let mut hasher = blake3::Hasher::new();
    for (name, text) in files {
        for part in [name.as_str(), text] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
    }
    format!("b3-{}", hasher.finalize().to_hex())
}
