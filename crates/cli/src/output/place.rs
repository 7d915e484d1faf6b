//! Where what is told stands: in which file of the repository, at which line, and under which name that lines do not change.

use super::Told;
use seamline_contract::finding::Finding;
use seamline_contract::path::ModelPath;
use seamline_estate::open::Opened;
use seamline_estate::revision::Repository;
use std::collections::BTreeMap;

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// The document, relative to the estate.
    pub(super) document: String,
    /// Its file, relative to the repository; to the estate where there is none. With `/` between folders.
    pub(super) file: String,
    /// Counted from one.
    pub(super) line: usize,
    /// In Unicode scalar values, counted from one.
    pub(super) column: usize,
    /// The line of the last character.
    pub(super) end_line: usize,
    /// The column behind the last character.
    pub(super) end_column: usize,
}

/// The texts in which places are found.
#[derive(Debug)]
pub(super) struct Places<'a> {
    new: &'a Opened,
    old: Option<&'a Opened>,
    prefix: String,
}

impl<'a> Places<'a> {
    pub(super) fn new(new: &'a Opened, old: Option<&'a Opened>) -> Places<'a> {
        let within = |opened: &Opened| Repository::around(&opened.root).ok()?.within(&opened.root);
        let prefix = within(new).filter(|it| !it.is_empty()).map_or_else(String::new, |it| it + "/");
        Places { new, old, prefix }
    }

    /// Returns the place of a path, in the older text or in the newer one.
    pub(super) fn place(&self, path: &ModelPath, is_old: bool) -> Place {
        let opened = if is_old { self.old.unwrap_or(self.new) } else { self.new };
        let sources = &opened.reading.sources;
        let at = sources.locate(path);
        let (end_line, end_column) = sources.end(&at);
        Place {
            file: format!("{}{}", self.prefix, at.document),
            document: at.document.0,
            line: at.line,
            column: at.column,
            end_line,
            end_column,
        }
    }

    pub(super) fn told(&self, finding: Finding, is_old: bool) -> Told {
        let at = self.place(&finding.at, is_old);
        let notes =
            finding.notes.iter().map(|note| (self.place(&note.at, is_old), note.message.clone())).collect();
        let named = format!("{}\0{}{}", finding.rule, self.prefix, finding.at);
        let fingerprint = fingerprint(&named);
        Told { finding, at, notes, fingerprint, is_old }
    }
}

/// Returns a fingerprint: half a BLAKE3 hash in hexadecimal.
fn fingerprint(named: &str) -> String {
    blake3::hash(named.as_bytes()).to_hex()[..32].to_owned()
}

/// Gives the second and each further finding of one rule at one place a fingerprint of its own.
pub(super) fn make_unique(found: &mut [Told]) {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for told in found {
        let count = seen.entry(told.fingerprint.clone()).or_default();
        if *count > 0 {
            told.fingerprint = fingerprint(&format!("{}\0{count}", told.fingerprint));
        }
        *count += 1;
    }
}
