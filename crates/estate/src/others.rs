//! What an estate reads from other repositories, and what of theirs counts in it.

use crate::roots::{GitRoot, Texts, git_roots, lacking};
use seamline_contract::estate::{Root, Settings};
use seamline_contract::finding::Finding;
use seamline_contract::path::{DocumentId, ModelPath};
use seamline_contract::resolve::fill_defaults;
use seamline_lang::estate::{LOCK_FILE, Reading};
use seamline_lang::lock::Lock;
use seamline_lang::rule;
use std::collections::BTreeMap;
use std::path::Path;

/// The documents of an estate's git roots.
#[derive(Debug, Default)]
pub(crate) struct Others {
    /// Their texts.
    pub(crate) files: BTreeMap<DocumentId, String>,
    /// What could not be read, and what is not as it was locked.
    pub(crate) findings: Vec<Finding>,
    roots: Vec<(GitRoot, Texts)>,
    lacks_roots: bool,
}

impl Others {
    /// Reads each git root at the commit that is locked, from its clone.
    pub(crate) fn read(estate: &Path, settings: &Settings, lock: Option<&Lock>) -> Others {
        let is_hub = |root: &Root| matches!(root, Root::Hub { .. });
        let mut others = Others { lacks_roots: settings.roots.iter().any(is_hub), ..Others::default() };
        for root in git_roots(settings) {
            let read = root.and_then(|root| {
                let found = others.one(&root, estate, (settings, lock))?;
                Ok(found.map(|texts| (root, texts)))
            });
            match read {
                Ok(Some((root, mut texts))) => {
                    others.files.append(&mut texts.files);
                    others.findings.append(&mut texts.findings);
                    others.roots.push((root, texts));
                }
                Ok(None) => others.lacks_roots = true,
                Err(finding) => {
                    others.lacks_roots = true;
                    others.findings.push(*finding);
                }
            }
        }
        others
    }

    /// Returns the texts of a root; none where that it is not locked is told elsewhere.
    fn one(
        &mut self,
        root: &GitRoot,
        estate: &Path,
        (settings, lock): (&Settings, Option<&Lock>),
    ) -> Result<Option<Texts>, Box<Finding>> {
        let Some(lock) = lock else {
            let at = ModelPath::top(&settings.document).key("roots").index(root.idx);
            let message = format!("nothing says yet which text of the root {} is meant", root.told());
            let help = format!("run `seamline pull`: it fetches it, and writes `{LOCK_FILE}`");
            return Err(Box::new(Finding::new(rule::ROOT, at, message).help(help)));
        };
        let Some((idx, locked)) = lock.roots.iter().enumerate().find(|(_, it)| it.is_of(&root.root)) else {
            return Ok(None);
        };
        let texts =
            root.texts(estate, &locked.resolved).map_err(|lack| Box::new(lacking(root, settings, &lack)))?;
        if texts.digest() != locked.digest {
            let at = ModelPath::top(&lock.document).key("roots").index(idx).key("digest");
            let message =
                format!("what the root {} holds at the locked commit has another digest", root.told());
            let help = "the lock was changed by hand, or its clone here: run `seamline pull`, which writes both anew";
            self.findings.push(Finding::new(rule::ROOT, at, message).help(help));
        }
        Ok(Some(texts))
    }

    /// Makes what was read of other repositories part of an estate as far as it concerns it.
    pub(crate) fn join(self, reading: &mut Reading) {
        let estate = &mut reading.estate;
        estate.lacks_roots = self.lacks_roots;
        // Where another team's systems are is its own affair.
        estate.environments.retain(|it| it.document.repository().is_none());
        for contract in &mut estate.contracts {
            let of = |(_, texts): &&(GitRoot, Texts)| contract.document.0.starts_with(&texts.prefix);
            if let Some((_, texts)) = self.roots.iter().find(of) {
                fill_defaults(contract, texts.zone.as_deref(), texts.classification);
            }
        }
        self.between_roots(reading);
        reading.findings.extend(self.findings);
    }

    /// What is written in two repositories is nobody's mistake but that of the estate which names both as its roots.
    fn between_roots(&self, reading: &mut Reading) {
        let settings = reading.estate.settings.document.clone();
        let place = |repository: Option<&str>| {
            let root = self.roots.iter().find(|(root, _)| Some(root.name.as_str()) == repository)?;
            Some(ModelPath::top(&settings).key("roots").index(root.0.idx))
        };
        let is_context = |id: &DocumentId| reading.estate.contexts.iter().any(|it| it.document == *id);
        let mut between: BTreeMap<(Option<String>, Option<String>), Finding> = BTreeMap::new();
        let of = |document: &DocumentId| document.repository().map(ToOwned::to_owned);
        reading.findings.retain(|finding| {
            let earlier = finding.notes.first().map(|note| &note.at.document);
            let Some(earlier) = earlier.filter(|_| finding.rule == rule::IDENTITY) else { return true };
            let here = &finding.at.document;
            if here.repository() == earlier.repository() {
                return true;
            }
            let at = place(here.repository()).or_else(|| place(earlier.repository()));
            let message = format!("{}, in two roots", finding.message);
            let help =
                "an estate reads each context from one place: leave it out in one, or name a narrower `path`";
            let found =
                Finding::new(rule::IDENTITY, at.unwrap_or_else(|| ModelPath::top(&settings)), message);
            let found = found.help(help).note(ModelPath::top(earlier), "it is written here");
            let found = found.note(ModelPath::top(here), "and here");
            // Whose context is written twice, of that everything is.
            let told = between.entry((of(here), of(earlier)));
            if is_context(here) {
                told.insert_entry(found);
            } else {
                told.or_insert(found);
            }
            false
        });
        reading.findings.extend(between.into_values());
    }
}
