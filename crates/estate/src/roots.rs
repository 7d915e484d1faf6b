//! Roots in repositories of their own: where their clones lie, and their documents at the commit that is locked.

use crate::open::SETTINGS_FILE;
use crate::revision::{Repository, RevisionError};
use crate::tree::{Kind, Tree, below, join};
use crate::walk::{Found, TooMany};
use seamline_contract::attribute::Classification;
use seamline_contract::estate::{Root, Settings};
use seamline_contract::finding::Finding;
use seamline_contract::path::{DocumentId, ModelPath};
use seamline_lang::estate::read_estate;
use seamline_lang::rule;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The folder of the clones, in the folder of the estate; it is no part of the estate.
const CLONES: &str = ".seamline/roots";

/// A root in a git repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitRoot {
    /// Its place among the roots.
    pub idx: usize,
    /// As it is declared.
    pub root: Root,
    /// What its repository is called in the ids of documents.
    pub name: String,
    /// The URL or path as written.
    pub git: String,
    /// The revision that is asked for.
    pub at: String,
    /// The folder in the repository, without `.` and `..`; empty for its top.
    pub path: String,
}

/// Returns the git roots of an estate in the order written, or what is wrong with one.
pub fn git_roots(settings: &Settings) -> Vec<Result<GitRoot, Box<Finding>>> {
    let mut roots: Vec<Result<GitRoot, Box<Finding>>> = Vec::new();
    let mut names: Vec<(String, String)> = Vec::new();
    for (idx, declared) in settings.roots.iter().enumerate() {
        let Root::Git { git, at, path } = declared else { continue };
        let top = ModelPath::top(&settings.document).key("roots").index(idx);
        let refuse = |key: &str, message: String, help: &str| {
            Err(Box::new(Finding::new(rule::ROOT, top.clone().key(key), message).help(help)))
        };
        if let Some((message, help)) = wrong_url(git) {
            roots.push(refuse("git", message, help));
            continue;
        }
        if !is_revision(at) {
            let help = "name a branch, a tag or a whole commit id";
            roots.push(refuse("at", format!("`{at}` is no revision that can be fetched"), help));
            continue;
        }
        let Some(path) = below(path) else {
            let message = format!("the path `{path}` leads out of its repository");
            roots.push(refuse(
                "path",
                message,
                "name a folder from the top of the repository; `.` is the top",
            ));
            continue;
        };
        let within = |one: &str, other: &str| {
            one.is_empty()
                || one == other
                || other.strip_prefix(one).is_some_and(|rest| rest.starts_with('/'))
        };
        let around = roots.iter().flatten().find(|earlier| {
            earlier.git == *git && (within(&earlier.path, &path) || within(&path, &earlier.path))
        });
        if let Some(earlier) = around {
            let message = format!("`{path}` of `{git}` and `{}` lie in one another", shown(&earlier.path));
            roots.push(refuse("path", message, "keep one of the two roots: no document is read twice"));
            continue;
        }
        let name = name(git, &mut names);
        let (git, at) = (git.clone(), at.clone());
        roots.push(Ok(GitRoot { idx, root: declared.clone(), name, git, at, path }));
    }
    roots
}

fn shown(path: &str) -> &str {
    if path.is_empty() { "." } else { path }
}

/// Returns why a URL is not given to git, and the mend.
fn wrong_url(git: &str) -> Option<(String, &'static str)> {
    let has_password = || {
        let authority = git.split_once("://")?.1.split('/').next()?;
        authority.rsplit_once('@')?.0.contains(':').then_some(())
    };
    if has_password().is_some() {
        let message = "the URL holds a password, which everybody who reads the estate would learn".to_owned();
        return Some((message, "leave it out: git takes it from its own credential helper, or use ssh"));
    }
    // Either would have git run a program of the writer's choice.
    let is_option = git.starts_with('-') || git.is_empty();
    if is_option || git.contains("::") || git.chars().any(char::is_control) {
        return Some((format!("`{git}` is no URL or path of a repository"), "name what `git clone` takes"));
    }
    None
}

/// Whether git can be asked for a name at the other side, and would not take it for something else.
fn is_revision(at: &str) -> bool {
    let odd = |letter: char| letter.is_whitespace() || letter.is_control() || "~^:?*[\\".contains(letter);
    !at.is_empty()
        && !at.starts_with(['-', '+'])
        && !at.contains("..")
        && !at.contains("@{")
        && !at.contains(odd)
}

/// Returns what a repository is called: the last part of its URL, with a number where another is called so.
fn name(git: &str, names: &mut Vec<(String, String)>) -> String {
    if let Some((_, name)) = names.iter().find(|(known, _)| known == git) {
        return name.clone();
    }
    let last = git.trim_end_matches('/').rsplit(['/', ':']).next().unwrap_or_default();
    let last = last.strip_suffix(".git").unwrap_or(last);
    let plain: String =
        last.chars().filter(|letter| letter.is_ascii_alphanumeric() || "-_.".contains(*letter)).collect();
    let plain = if plain.trim_matches('.').is_empty() { "repository".to_owned() } else { plain };
    let is_taken = |name: &str| names.iter().any(|(_, taken)| taken == name);
    let numbered = (2..).map(|number| format!("{plain}-{number}"));
    let name = std::iter::once(plain.clone()).chain(numbered).find(|name| !is_taken(name));
    let name = name.expect("there are more numbers than roots");
    names.push((git.to_owned(), name.clone()));
    name
}

impl GitRoot {
    /// Returns what to give to git: a URL as it is, a path from the folder of the estate on.
    pub fn url(&self, estate: &Path) -> String {
        let is_url =
            self.git.contains("://") || self.git.split('/').next().is_some_and(|it| it.contains(':'));
        if is_url { self.git.clone() } else { estate.join(&self.git).display().to_string() }
    }

    /// Returns where the clone lies.
    pub fn clone_of(&self, estate: &Path) -> PathBuf {
        let hash = blake3::hash(self.git.as_bytes()).to_hex();
        estate.join(CLONES).join(format!("{}-{}.git", self.name, &hash[..8]))
    }

    /// Returns the root in words: `path` of the repository at the revision.
    pub fn told(&self) -> String {
        let of = if self.path.is_empty() { String::new() } else { format!("`{}` of ", self.path) };
        format!("{of}`{}` at `{}`", self.git, self.at)
    }

    /// Returns the place of a key of the root.
    fn place(&self, settings: &Settings, key: &str) -> ModelPath {
        ModelPath::top(&settings.document).key("roots").index(self.idx).key(key)
    }
}

/// What a root held at a commit.
#[derive(Debug, Default)]
pub struct Texts {
    /// The documents, by the ids that they have in the estate.
    pub files: BTreeMap<DocumentId, String>,
    /// What could not be read.
    pub(crate) findings: Vec<Finding>,
    /// Where documents lie that its own settings are for.
    pub(crate) prefix: String,
    /// What its own settings give where a contract names none.
    pub(crate) zone: Option<String>,
    pub(crate) classification: Option<Classification>,
}

/// Why nothing of a root can be read.
#[derive(Debug, thiserror::Error)]
pub enum Lack {
    /// Nobody fetched it here.
    #[error("it was never fetched here")]
    NoClone,
    /// The clone has not the commit.
    #[error("its clone here has not the commit `{0}`")]
    NoCommit(String),
    /// The commit has no such folder.
    #[error("there is no folder `{path}` in it at `{commit}`")]
    NoFolder {
        /// The folder, from the top of the repository.
        path: String,
        /// The commit, in short.
        commit: String,
    },
    /// There is too much below the folder for it to be a root.
    #[error("it holds too many files for a root")]
    TooMany,
    /// The clone is broken.
    #[error("its clone here is broken: {0}")]
    Broken(#[source] Box<RevisionError>),
}

impl GitRoot {
    /// Reads the documents of the root at a commit from the clone. Nothing is fetched.
    ///
    /// # Errors
    /// When the clone, the commit or the folder is not there. What is wrong with a text is a finding.
    pub fn texts(&self, estate: &Path, commit: &str) -> Result<Texts, Lack> {
        let clone = self.clone_of(estate);
        if !clone.exists() {
            return Err(Lack::NoClone);
        }
        let repository = Repository::at(&clone).map_err(|error| Lack::Broken(Box::new(error)))?;
        let short = commit.get(..10).unwrap_or(commit).to_owned();
        let Some(found) = repository.holds(commit) else { return Err(Lack::NoCommit(short)) };
        let tree = repository.tree(found).map_err(|error| Lack::Broken(Box::new(error)))?;
        if tree.kind(&self.path) != Some(Kind::Folder) || tree.entries(&self.path).is_err() {
            return Err(Lack::NoFolder { path: shown(&self.path).to_owned(), commit: short });
        }
        let mut walked = Found::default();
        walked.walk(&tree, &self.path).map_err(|TooMany| Lack::TooMany)?;
        let named = |id: &DocumentId| DocumentId(format!("{}//{}", self.name, id.0));
        let folder = if self.path.is_empty() { String::new() } else { format!("{}/", self.path) };
        let mut texts = Texts { prefix: format!("{}//{folder}", self.name), ..Texts::default() };
        texts.files = walked.files.iter().map(|(id, text)| (named(id), text.clone())).collect();
        texts.findings = walked.findings;
        for finding in &mut texts.findings {
            finding.at.document = named(&finding.at.document);
        }
        self.defaults(&tree, &mut texts);
        Ok(texts)
    }

    /// What a contract leaves to the settings of its own estate is taken from there, never from those of the reader.
    fn defaults(&self, tree: &dyn Tree, texts: &mut Texts) {
        let above = std::iter::successors(Some(self.path.as_str()), |folder| {
            (!folder.is_empty()).then(|| folder.rsplit_once('/').map_or("", |(above, _)| above))
        });
        let files = above.map(|folder| join(folder, SETTINGS_FILE));
        let Some(text) = files.into_iter().find_map(|file| tree.read(&file).ok()) else { return };
        let id = DocumentId(SETTINGS_FILE.to_owned());
        let settings = read_estate(&BTreeMap::from([(id.clone(), text)]), id).estate.settings;
        (texts.zone, texts.classification) = (settings.zone, settings.classification);
    }
}

impl Texts {
    /// Returns the digest of the documents: `b3-` and the BLAKE3 hash in hexadecimal of, for each in the order of ids, its path
    /// in the repository and its text, each behind its length in eight bytes, little end first.
    pub fn digest(&self) -> String {
        let path = |id: &DocumentId| id.0.split_once("//").map_or(id.0.clone(), |(_, path)| path.to_owned());
        crate::open::hashed(self.files.iter().map(|(id, text)| (path(id), text.as_str())))
    }
}

/// Returns the finding of a root that lacks something.
pub(crate) fn lacking(root: &GitRoot, settings: &Settings, lack: &Lack) -> Finding {
    let key = if matches!(lack, Lack::NoFolder { .. }) { "path" } else { "git" };
    let help = match lack {
        Lack::NoClone | Lack::NoCommit(_) => {
            "run `seamline pull --locked`: it fetches what is locked, and changes nothing"
        }
        Lack::NoFolder { .. } => {
            "name a folder that is there, or a revision that has it, and run `seamline pull`"
        }
        Lack::TooMany => "name the folder of its contracts as `path`",
        Lack::Broken(_) => "remove the folder `.seamline/roots` and run `seamline pull --locked`",
    };
    let message = format!("the root {} cannot be read: {lack}", root.told());
    Finding::new(rule::ROOT, root.place(settings, key), message).help(help)
}
