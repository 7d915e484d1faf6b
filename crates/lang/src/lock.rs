//! Reads locks, `seamline.lock`: what the roots of an estate resolved to.

use crate::read::{At, One, Reader};
use crate::rule;
use crate::schema;
use seamline_contract::estate::{Estate, Root};
use seamline_contract::finding::Finding;
use seamline_contract::id::{ContractRef, IdError, SubscriptionRef, Version};
use seamline_contract::path::{DocumentId, ModelPath};

/// A root as it was resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedRoot {
    /// The root as the estate names it: a folder, a repository or a hub.
    pub root: String,
    /// The revision that was asked for, of a git root.
    pub at: Option<String>,
    /// The folder in the repository, of a git root.
    pub path: Option<String>,
    /// The commit or the release.
    pub resolved: String,
    /// The digest of its documents.
    pub digest: String,
}

/// A document as it was resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedDocument {
    /// `context/id` or `context/id@major`.
    pub reference: String,
    /// Its kind.
    pub kind: String,
    /// Its version.
    pub version: Option<Version>,
    /// The digest of its text.
    pub digest: String,
    /// The digest of its meaning.
    pub meaning: Option<String>,
}

/// A lock as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lock {
    /// Where it is written.
    pub document: DocumentId,
    /// The roots, in the order written.
    pub roots: Vec<LockedRoot>,
    /// The documents, in the order written.
    pub documents: Vec<LockedDocument>,
}

pub(crate) fn lock<'n>(reader: &mut Reader<'n>, top: &At<'n>) -> Option<Lock> {
    let fields = reader.fields(top, &schema::estate::LOCK)?;
    let roots = reader.opt(&fields, "roots", |reader, at| reader.list(at, One::Never, root));
    let documents = reader.opt(&fields, "documents", |reader, at| {
        let entries = reader.each(at, "`documents`").into_iter();
        Some(entries.filter_map(|(reference, at)| document(reader, reference, &at)).collect())
    });
    Some(Lock {
        document: reader.document.clone(),
        roots: roots.unwrap_or_default(),
        documents: documents.unwrap_or_default(),
    })
}

fn root<'n>(reader: &mut Reader<'n>, at: &At<'n>) -> Option<LockedRoot> {
    let fields = reader.fields(at, &schema::estate::LOCK_ROOT)?;
    let root = reader.opt(&fields, "root", Reader::verbatim);
    let at = reader.opt(&fields, "at", Reader::verbatim);
    let path = reader.opt(&fields, "path", Reader::verbatim);
    let resolved = reader.opt(&fields, "resolved", Reader::verbatim);
    let digest = reader.opt(&fields, "digest", digest);
    Some(LockedRoot { root: root?, at, path, resolved: resolved?, digest: digest? })
}

fn document<'n>(reader: &mut Reader<'n>, reference: &str, at: &At<'n>) -> Option<LockedDocument> {
    let fields = reader.fields(at, &schema::estate::LOCK_DOCUMENT)?;
    let kinds: Vec<(&str, &str)> = schema::KINDS.iter().map(|(kind, _)| (*kind, *kind)).collect();
    let kind = reader.opt(&fields, "kind", |reader, at| reader.keyword(at, &kinds));
    let error = |error: IdError| Finding::new(rule::VALUE, at.path.clone().the_key(), error.to_string());
    let wrong = match kind {
        Some("Contract") => reference.parse::<ContractRef>().err(),
        Some("Publication" | "Subscription" | "Migration") => reference.parse::<SubscriptionRef>().err(),
        _ => None,
    };
    wrong.into_iter().for_each(|it| reader.report(error(it)));
    let version = reader.opt(&fields, "version", Reader::parse);
    let text = reader.opt(&fields, "digest", digest);
    let meaning = reader.opt(&fields, "meaning", digest);
    Some(LockedDocument {
        reference: reference.to_owned(),
        kind: kind?.to_owned(),
        version,
        digest: text?,
        meaning,
    })
}

fn digest<'n>(reader: &mut Reader<'n>, at: &At<'n>) -> Option<String> {
    let text = reader.word(at)?;
    let hex = text.strip_prefix("b3-").unwrap_or_default();
    let lengths = 8..=64;
    if lengths.contains(&hex.len()) && hex.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f')) {
        return Some(text.to_owned());
    }
    let message = format!("`{text}` is not a digest such as `b3-9f2c41d7`");
    let finding = Finding::new(rule::VALUE, at.path.clone(), message);
    reader.report(finding.help("let `seamline pull` write the lock"));
    None
}

impl LockedRoot {
    /// Returns whether it is what became of a root; of a git root, of the same folder.
    pub fn is_of(&self, root: &Root) -> bool {
        let is_there = match root {
            Root::Git { path, .. } => self.path.as_ref().is_none_or(|locked| locked == path),
            Root::Directory(_) | Root::Hub { .. } => true,
        };
        is_there && self.root == root.name()
    }
}

/// Returns where a lock and the estate that it locks disagree: roots without each other, revisions and versions that differ.
pub(crate) fn disagreements(lock: &Lock, estate: &Estate) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut say = |at: ModelPath, message: String| {
        findings.push(Finding::new(rule::ROOT, at, message).help("let `seamline pull` write the lock anew"));
    };
    let top = || ModelPath::top(&lock.document);
    let roots = &estate.settings.roots;
    for (idx, locked) in lock.roots.iter().enumerate() {
        let here = || top().key("roots").index(idx);
        let Some(root) = roots.iter().find(|root| locked.is_of(root)) else {
            say(here().key("root"), format!("the estate has no root `{}` to lock", locked.root));
            continue;
        };
        if let (Root::Git { at, .. }, Some(then)) = (root, &locked.at)
            && at != then
        {
            say(
                here().key("at"),
                format!("`{}` is locked as of `{then}`, and is asked for at `{at}`", locked.root),
            );
        }
    }
    // A folder may do without: it is in the same repository.
    for (idx, root) in roots.iter().enumerate().filter(|(_, it)| matches!(it, Root::Git { .. })) {
        if !lock.roots.iter().any(|locked| locked.is_of(root)) {
            let at = ModelPath::top(&estate.settings.document).key("roots").index(idx);
            say(at, format!("the root `{}` is not in the lock", root.name()));
        }
    }
    for locked in &lock.documents {
        let Some(version) = locked.version else { continue };
        let Some(contract) = locked.reference.parse().ok().and_then(|it| estate.contract(&it)) else {
            continue;
        };
        if contract.version != version {
            let at = top().key("documents").key(&locked.reference).key("version");
            say(
                at,
                format!("`{}` is locked at `{version}`, and is `{}`", locked.reference, contract.version),
            );
        }
    }
    findings
}
