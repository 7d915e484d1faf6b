//! Estates of git revisions, read in the repository itself: nothing is checked out, nothing is fetched.

use crate::open::{Opened, SETTINGS_FILE, read};
use crate::tree::{Entry, Kind, LEADS_OUT, Tree, below, join, text, too_large};
use crate::walk::{ENTRIES_MAX, TooMany};
use gix::object::tree::EntryKind;
use seamline_lang::yaml::FILE_BYTES_MAX;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// How much is kept of what was read, in bytes: trees are asked for again for each path in them.
const CACHE_BYTES: usize = 8 << 20;
/// How many links may lead to one another.
const LINKS_MAX: usize = 8;
/// How many bytes an entry of a folder takes at most, on average.
const ENTRY_BYTES: usize = 128;

/// A git repository.
#[derive(Debug, Clone)]
pub struct Repository {
    inner: gix::Repository,
}

/// A commit; prints as its id in short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Commit {
    id: gix::ObjectId,
}

impl fmt::Display for Commit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.id.to_hex_with_len(SHORT))
    }
}

/// How many digits of an id are printed.
const SHORT: usize = 10;

impl Commit {
    /// Returns the whole id, in hexadecimal.
    pub fn id(&self) -> String {
        self.id.to_string()
    }
}

/// Why no estate can be read at a revision.
#[derive(Debug, thiserror::Error)]
pub enum RevisionError {
    /// The folder lies in no repository.
    #[error("`{folder}` is in no git repository")]
    NoRepository {
        /// The folder.
        folder: PathBuf,
    },
    /// The repository cannot be read.
    #[error("the git repository around `{folder}` cannot be read")]
    Unreadable {
        /// The folder.
        folder: PathBuf,
        /// Why.
        source: Box<gix::Error>,
    },
    /// No commit has this name.
    #[error("there is no revision `{revision}`")]
    Unknown {
        /// As it was asked for.
        revision: String,
        /// Why.
        source: Box<gix::Error>,
    },
    /// The name stands for something else than a commit.
    #[error("`{revision}` is no commit")]
    NoCommit {
        /// As it was asked for.
        revision: String,
        /// Why.
        source: Box<gix::Error>,
    },
    /// The clone has not the history that it takes.
    #[error("`{revision}` is not in this clone, which is shallow: {ends}")]
    Shallow {
        /// As it was asked for.
        revision: String,
        /// Where history ends, and which commits are missing.
        ends: String,
    },
    /// There is no commit yet.
    #[error("the repository has no commit yet")]
    NoHistory,
    /// Two commits have no ancestor in common.
    #[error("`{revision}` and HEAD have no commit in common")]
    Unrelated {
        /// As it was asked for.
        revision: String,
    },
    /// The revision has no such folder.
    #[error("there is no `{path}` in `{revision}`")]
    NotThere {
        /// As it was asked for.
        revision: String,
        /// The folder, relative to the repository.
        path: String,
    },
    /// There is too much below the folder for it to be an estate.
    #[error("`{path}` holds too many files for an estate in `{revision}`")]
    TooMany {
        /// As it was asked for.
        revision: String,
        /// The folder, relative to the repository.
        path: String,
    },
}

impl RevisionError {
    /// Returns what to do next.
    pub fn help(&self) -> &'static str {
        match self {
            RevisionError::NoRepository { .. } => "name two folders, or run it in a clone",
            RevisionError::Unreadable { .. } => "see what `git fsck` says of it",
            RevisionError::Unknown { .. } => {
                "`git branch --all` and `git tag` list names; `git fetch` brings those of others"
            }
            RevisionError::NoCommit { .. } => "name a branch, a tag or a commit",
            RevisionError::Shallow { .. } => {
                "bring the history with `git fetch --unshallow`, or more of it with `git fetch --deepen=100`; where CI \
                 checks out, ask for `fetch-depth: 0`"
            }
            RevisionError::NoHistory => "commit first",
            RevisionError::Unrelated { .. } => "name a revision from which HEAD comes",
            RevisionError::NotThere { .. } => {
                "name the folder of the estate behind a colon, as in `main:path/of/estate`"
            }
            RevisionError::TooMany { .. } => "name its folders as `roots` in `seamline.yaml`",
        }
    }

    /// Returns whether something is missing that is elsewhere, rather than the call being wrong.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, RevisionError::Shallow { .. } | RevisionError::Unreadable { .. })
    }
}

/// A revision as it is asked for: `REVISION`, or `REVISION:path`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked<'a> {
    /// The commit's name.
    pub revision: &'a str,
    /// The estate's folder in it, relative to the repository, or to a folder when it begins with `./` or `../`.
    pub path: Option<&'a str>,
}

impl<'a> Asked<'a> {
    /// Takes a text apart at its first colon outside braces.
    pub fn new(text: &'a str) -> Asked<'a> {
        let mut depth = 0;
        for (at, letter) in text.char_indices() {
            match letter {
                '{' => depth += 1,
                '}' => depth -= 1,
                ':' if depth == 0 && at > 0 => {
                    return Asked { revision: &text[..at], path: Some(&text[at + 1..]) };
                }
                _ => {}
            }
        }
        Asked { revision: text, path: None }
    }
}

impl Repository {
    /// Returns the repository that a folder lies in.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub fn around(folder: &Path) -> Result<Repository, RevisionError> {
        let mut inner = gix::discover(folder).map_err(|error| {
            let folder = folder.to_owned();
            // What begins no repository is no defect of one.
            let is_there = |above: &Path| {
                above.join(".git").exists() || above.join("HEAD").exists() && above.join("objects").exists()
            };
            if folder.canonicalize().unwrap_or_else(|_| folder.clone()).ancestors().any(is_there) {
                RevisionError::Unreadable { folder, source: Box::new(error) }
            } else {
                RevisionError::NoRepository { folder }
            }
        })?;
        inner.object_cache_size_if_unset(CACHE_BYTES);
        Ok(Repository { inner })
    }

    /// Returns the repository whose own folder it is, rather than one above.
    ///
    /// # Errors
    /// When it is none, or cannot be read.
    pub fn at(folder: &Path) -> Result<Repository, RevisionError> {
        let unreadable =
            |error| RevisionError::Unreadable { folder: folder.to_owned(), source: Box::new(error) };
        let mut inner = gix::open(folder).map_err(unreadable)?;
        inner.object_cache_size_if_unset(CACHE_BYTES);
        Ok(Repository { inner })
    }

    /// Returns the commit of a whole id, where the repository has it.
    pub fn holds(&self, id: &str) -> Option<Commit> {
        let id = gix::ObjectId::from_hex(id.as_bytes()).ok()?;
        self.inner.find_commit(id).is_ok().then_some(Commit { id })
    }

    /// Returns whether a commit is another, or one from which it comes.
    pub fn leads_to(&self, older: Commit, newer: Commit) -> bool {
        let base = self.inner.merge_base(older.id, newer.id);
        base.ok().flatten().is_some_and(|base| base.detach() == older.id)
    }

    /// Returns the files of a commit, from the top of the repository.
    pub(crate) fn tree(&self, commit: Commit) -> Result<RevisionTree, RevisionError> {
        let unreadable = |error| {
            let folder = self.inner.git_dir().to_owned();
            RevisionError::Unreadable { folder, source: Box::new(error) }
        };
        let top =
            self.inner.find_object(commit.id).and_then(gix::Object::peel_to_tree).map_err(unreadable)?.id;
        let (estate, known) = (String::new(), RefCell::default());
        Ok(RevisionTree { repository: self.inner.clone(), top, estate, known })
    }

    /// Returns whether it has no working tree.
    pub fn is_bare(&self) -> bool {
        self.inner.workdir().is_none()
    }

    /// Returns the path of a folder relative to the working tree; none for one outside it.
    pub fn within(&self, folder: &Path) -> Option<String> {
        let top = self.inner.workdir()?.canonicalize().ok()?;
        let folder = folder.canonicalize().ok()?;
        below(folder.strip_prefix(top).ok()?.to_str()?)
    }

    /// Returns the commit of a name: a branch, a tag, an id, `HEAD~2` and all that git has for it.
    ///
    /// # Errors
    /// When there is none, it is no commit, or a shallow clone lacks it.
    pub fn commit(&self, revision: &str) -> Result<Commit, RevisionError> {
        let unknown = |error: gix::Error| {
            self.or_shallow(
                revision,
                RevisionError::Unknown { revision: revision.to_owned(), source: Box::new(error) },
            )
        };
        let object = self.inner.rev_parse_single(revision).and_then(|id| id.object()).map_err(unknown)?;
        let commit = object.peel_to_commit().map_err(|error| RevisionError::NoCommit {
            revision: revision.to_owned(),
            source: Box::new(error),
        })?;
        Ok(Commit { id: commit.id })
    }

    /// Returns the best commit from which both a revision and HEAD come: where the working tree left the revision.
    ///
    /// # Errors
    /// When there is no such commit, or a shallow clone lacks it.
    pub fn merge_base(&self, revision: &str) -> Result<Commit, RevisionError> {
        let theirs = self.commit(revision)?;
        let ours = self.inner.head_id().map_err(|_| RevisionError::NoHistory)?;
        match self.inner.merge_base(theirs.id, ours) {
            Ok(Some(base)) => Ok(Commit { id: base.detach() }),
            Ok(None) => {
                Err(self.or_shallow(revision, RevisionError::Unrelated { revision: revision.to_owned() }))
            }
            Err(error) => {
                let folder = self.inner.git_dir().to_owned();
                Err(self.or_shallow(revision, RevisionError::Unreadable { folder, source: Box::new(error) }))
            }
        }
    }

    /// Opens the estate that a folder of a commit lies in, as `open` does on disk: that of the nearest `seamline.yaml` upward, else
    /// the folder. `revision` is what the commit is called in messages.
    ///
    /// # Errors
    /// When the commit has no such folder, or far too much is in it. What is wrong in a text is a finding.
    pub fn open(&self, commit: Commit, revision: &str, within: &str) -> Result<Opened, RevisionError> {
        let mut tree = self.tree(commit)?;
        let revision = || revision.to_owned();
        let folder = match tree.kind(within) {
            Some(Kind::Folder) => within,
            Some(Kind::File) => within.rsplit_once('/').map_or("", |(folder, _)| folder),
            Some(Kind::Submodule) | None => {
                return Err(RevisionError::NotThere { revision: revision(), path: within.to_owned() });
            }
        };
        let above = std::iter::successors(Some(folder), |folder| {
            (!folder.is_empty()).then(|| folder.rsplit_once('/').map_or("", |(above, _)| above))
        });
        let with_settings =
            above.into_iter().find(|above| tree.kind(&join(above, SETTINGS_FILE)) == Some(Kind::File));
        let estate = with_settings.unwrap_or(folder).to_owned();
        tree.known.take();
        tree.estate.clone_from(&estate);
        let root = self.inner.workdir().unwrap_or(self.inner.git_dir()).join(&estate);
        read(Rc::new(tree), &root)
            .map_err(|TooMany| RevisionError::TooMany { revision: revision(), path: estate })
    }

    /// Returns where history ends and what is missing there instead of an error, when the clone is shallow.
    fn or_shallow(&self, revision: &str, error: RevisionError) -> RevisionError {
        let Ok(Some(ends)) = self.inner.shallow_commits() else { return error };
        let mut told: Vec<String> = Vec::new();
        for end in ends.iter() {
            let Ok(commit) = self.inner.find_commit(*end) else { continue };
            let missing = commit.parent_ids().filter(|id| !self.inner.has_object(*id));
            let missing: Vec<String> = missing.map(|id| format!("`{}`", id.to_hex_with_len(SHORT))).collect();
            if !missing.is_empty() {
                let end = end.to_hex_with_len(SHORT);
                told.push(format!("history ends at `{end}`, whose parent {} is missing", missing.join(", ")));
            }
        }
        told.sort();
        told.truncate(ENDS_TOLD);
        RevisionError::Shallow { revision: revision.to_owned(), ends: told.join("; ") }
    }
}

/// How many ends of a shallow history are told.
const ENDS_TOLD: usize = 3;

/// The files of an estate at a revision.
#[derive(Debug)]
pub(crate) struct RevisionTree {
    repository: gix::Repository,
    /// The tree of the commit.
    top: gix::ObjectId,
    /// The folder of the estate in it.
    estate: String,
    /// What folders that were listed hold.
    known: RefCell<BTreeMap<String, (EntryKind, gix::ObjectId)>>,
}

impl RevisionTree {
    /// Returns what is at a path, links as such.
    fn at(&self, path: &str) -> Result<Option<(EntryKind, gix::ObjectId)>, String> {
        if let Some(known) = self.known.borrow().get(path) {
            return Ok(Some(*known));
        }
        let whole = join(&self.estate, path);
        if whole.is_empty() {
            return Ok(Some((EntryKind::Tree, self.top)));
        }
        let top = self.repository.find_tree(self.top).map_err(|error| error.to_string())?;
        let entry = top.lookup_entry(whole.split('/')).map_err(|error| error.to_string())?;
        Ok(entry.map(|entry| (entry.mode().kind(), entry.object_id())))
    }

    /// Returns the content of a file or link.
    fn content(&self, id: gix::ObjectId) -> Result<String, String> {
        text(self.object(id, (FILE_BYTES_MAX, "a document"))?)
    }

    /// Returns an object of at most so many bytes; `kind` is what may have no more.
    fn object(&self, id: gix::ObjectId, (bytes_max, kind): (usize, &str)) -> Result<Vec<u8>, String> {
        let header = self.repository.try_find_header(id).map_err(|error| error.to_string())?;
        let Some(header) = header else {
            let id = id.to_hex_with_len(SHORT);
            return Err(format!("its content `{id}` is not in this clone: `git fetch --refetch` brings it"));
        };
        if header.size() > bytes_max as u64 {
            return Err(too_large(bytes_max, kind));
        }
        let mut object = self.repository.find_object(id).map_err(|error| error.to_string())?;
        Ok(std::mem::take(&mut object.data))
    }

    /// Returns the file or folder to which a path leads over links.
    fn followed(&self, path: &str) -> Result<Option<(EntryKind, gix::ObjectId)>, String> {
        let mut path = path.to_owned();
        for _ in 0..LINKS_MAX {
            match self.at(&path)? {
                Some((EntryKind::Link, id)) => {
                    let target = self.content(id)?;
                    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
                    path = below(&join(folder, &target))
                        .filter(|_| !target.starts_with('/'))
                        .ok_or(LEADS_OUT)?;
                }
                other => return Ok(other),
            }
        }
        Err("it is a link that leads to links without end".to_owned())
    }
}

impl Tree for RevisionTree {
    fn entries(&self, folder: &str) -> Result<Vec<Result<Entry, String>>, String> {
        let Some((EntryKind::Tree, id)) = self.at(folder)? else { return Err("it is no folder".to_owned()) };
        let data = self.object(id, (ENTRIES_MAX * ENTRY_BYTES, "a folder"))?;
        let mut entries = Vec::new();
        let mut known = self.known.borrow_mut();
        for entry in gix::objs::TreeRefIter::from_bytes(&data, id.kind()) {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    entries.push(Err(error.to_string()));
                    break;
                }
            };
            let Ok(name) = std::str::from_utf8(entry.filename) else { continue };
            let mode = entry.mode.kind();
            known.insert(join(folder, name), (mode, entry.oid.to_owned()));
            entries.push(Ok(Entry { name: name.to_owned(), kind: kind(mode) }));
        }
        Ok(entries)
    }

    fn read(&self, path: &str) -> Result<String, String> {
        match self.followed(path)? {
            Some((EntryKind::Blob | EntryKind::BlobExecutable, id)) => self.content(id),
            Some(_) => Err("it is no file".to_owned()),
            None => Err("it is not there".to_owned()),
        }
    }

    fn kind(&self, path: &str) -> Option<Kind> {
        self.followed(path).ok()?.map(|(mode, _)| kind(mode))
    }
}

fn kind(mode: EntryKind) -> Kind {
    match mode {
        EntryKind::Tree => Kind::Folder,
        EntryKind::Blob | EntryKind::BlobExecutable | EntryKind::Link => Kind::File,
        EntryKind::Commit => Kind::Submodule,
    }
}

/// Returns a path relative to a repository without `.` and `..`; none when it leaves the repository.
pub fn path(relative: &str) -> Option<String> {
    below(relative.trim_start_matches('/'))
}
