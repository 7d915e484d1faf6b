//! What the files of an estate are read from: a folder on disk, or the tree of a revision.

use seamline_lang::yaml::FILE_BYTES_MAX;
use std::fmt::Debug;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

/// What a name in a folder stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A folder.
    Folder,
    /// A file, or a link, which is followed when it is read.
    File,
    /// A repository of its own, whose files are not in this tree.
    Submodule,
}

/// A name in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) kind: Kind,
}

/// Files by paths relative to an estate, with `/` between folders; the empty path is the estate itself.
pub(crate) trait Tree: Debug {
    /// Returns what a folder holds, in any order, without names that are not UTF-8; or in words why it cannot be told.
    fn entries(&self, folder: &str) -> Result<Vec<Result<Entry, String>>, String>;

    /// Returns the text of a file of at most the greatest size, or says in words why not.
    fn read(&self, path: &str) -> Result<String, String>;

    /// Returns what is at a path; none when nothing is.
    fn kind(&self, path: &str) -> Option<Kind>;
}

/// A folder on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Folder {
    /// Its path, without links.
    pub(crate) root: PathBuf,
}

impl Tree for Folder {
    fn entries(&self, folder: &str) -> Result<Vec<Result<Entry, String>>, String> {
        let entries = std::fs::read_dir(self.root.join(folder)).map_err(|error| error.to_string())?;
        let entry = |entry: std::io::Result<std::fs::DirEntry>| {
            let entry = entry.map_err(|error| error.to_string());
            let name = match &entry {
                Ok(entry) => entry.file_name().to_str()?.to_owned(),
                Err(error) => return Some(Err(error.clone())),
            };
            let kind = entry.and_then(|entry| entry.file_type().map_err(|error| error.to_string()));
            Some(kind.map(|kind| Entry { name, kind: if kind.is_dir() { Kind::Folder } else { Kind::File } }))
        };
        Ok(entries.filter_map(entry).collect())
    }

    fn read(&self, path: &str) -> Result<String, String> {
        let path = self.root.join(path);
        // A link could name any file of the machine, and findings print lines of what they are about.
        if path.is_symlink() && path.canonicalize().is_ok_and(|target| !target.starts_with(&self.root)) {
            return Err(LEADS_OUT.to_owned());
        }
        let metadata = std::fs::metadata(&path).map_err(|error| error.to_string())?;
        if !metadata.is_file() {
            return Err("it is no file".to_owned());
        }
        let file = std::fs::File::open(&path).map_err(|error| error.to_string())?;
        let mut bytes = Vec::new();
        file.take(FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
        text(bytes)
    }

    fn kind(&self, path: &str) -> Option<Kind> {
        let metadata = std::fs::metadata(self.root.join(path)).ok()?;
        Some(if metadata.is_dir() { Kind::Folder } else { Kind::File })
    }
}

/// No file at all.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Nothing;

impl Tree for Nothing {
    fn entries(&self, _: &str) -> Result<Vec<Result<Entry, String>>, String> {
        Ok(Vec::new())
    }

    fn read(&self, _: &str) -> Result<String, String> {
        Err("it is not there".to_owned())
    }

    fn kind(&self, _: &str) -> Option<Kind> {
        None
    }
}

/// Why a link is not followed.
pub(crate) const LEADS_OUT: &str = "it is a link that leads out of the estate's folder";

/// Returns bytes as text, or why they are none: too many, or not UTF-8.
pub(crate) fn text(bytes: Vec<u8>) -> Result<String, String> {
    if bytes.len() > FILE_BYTES_MAX {
        return Err(too_large(FILE_BYTES_MAX, "a document"));
    }
    String::from_utf8(bytes)
        .map_err(|error| format!("it is not UTF-8 at byte {}", error.utf8_error().valid_up_to()))
}

/// Says that something is too large.
pub(crate) fn too_large(bytes_max: usize, kind: &str) -> String {
    format!("it has more than the {bytes_max} bytes {kind} may have")
}

/// Returns a relative path without `.` and `..`, with `/` between folders; none when it leaves where it begins.
pub(crate) fn below(relative: &str) -> Option<String> {
    let mut names: Vec<&str> = Vec::new();
    for part in Path::new(relative).components() {
        match part {
            Component::Normal(name) => names.push(name.to_str()?),
            Component::CurDir => {}
            Component::ParentDir => {
                names.pop()?;
            }
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(names.join("/"))
}

/// Returns the path of a name in a folder; the empty folder is the top.
pub(crate) fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() || name.is_empty() { format!("{folder}{name}") } else { format!("{folder}/{name}") }
}
