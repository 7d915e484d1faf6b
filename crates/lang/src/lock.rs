//! Reads locks, `seamline.lock`: what the roots of an estate resolved to.

use crate::read::{At, One, Reader};
use crate::schema;
use seamline_contract::id::Version;

/// A root as it was resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedRoot {
    /// The root as the estate names it: a folder, a repository or a hub.
    pub root: String,
    /// The commit or the release.
    pub resolved: Option<String>,
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
    Some(Lock { roots: roots.unwrap_or_default(), documents: documents.unwrap_or_default() })
}

fn root<'n>(reader: &mut Reader<'n>, at: &At<'n>) -> Option<LockedRoot> {
    let fields = reader.fields(at, &schema::estate::LOCK_ROOT)?;
    let root = reader.opt(&fields, "root", Reader::verbatim);
    let resolved = reader.opt(&fields, "resolved", Reader::verbatim);
    let digest = reader.opt(&fields, "digest", Reader::verbatim);
    Some(LockedRoot { root: root?, resolved, digest: digest? })
}

fn document<'n>(reader: &mut Reader<'n>, reference: &str, at: &At<'n>) -> Option<LockedDocument> {
    let fields = reader.fields(at, &schema::estate::LOCK_DOCUMENT)?;
    let kind = reader.opt(&fields, "kind", Reader::verbatim);
    let version = reader.opt(&fields, "version", Reader::parse);
    let digest = reader.opt(&fields, "digest", Reader::verbatim);
    let meaning = reader.opt(&fields, "meaning", Reader::verbatim);
    Some(LockedDocument { reference: reference.to_owned(), kind: kind?, version, digest: digest?, meaning })
}
