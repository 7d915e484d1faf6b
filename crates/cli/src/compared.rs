//! Two texts of an estate held against each other: where each comes from, what changed, and whom it breaks.

use crate::exit::{Exit, Refusal, usage};
use crate::opened::{is_own, opened, today};
use anyhow::Result;
use seamline_contract::contract::Contract;
use seamline_contract::finding::{Finding, Level};
use seamline_contract::path::DocumentId;
use seamline_contract::resolve::resolve_all;
use seamline_estate::open::{Opened, nothing};
use seamline_estate::revision::{Asked, Commit, Repository, RevisionError};
use seamline_lang::rule::UNREADABLE;
use seamline_rules::diff::impact::{Fate, Impact, impacts};
use seamline_rules::diff::verdict::{CONSUMERS_KEPT, findings};
use seamline_rules::diff::{Diff, Sides, diff};
use seamline_rules::review::Waived;
use seamline_rules::waiver::waived;
use std::collections::BTreeSet;
use std::path::Path;

/// An estate, and where it comes from.
#[derive(Debug)]
pub(crate) struct Side {
    /// As it was asked for.
    pub(crate) name: String,
    /// The commit, of a revision.
    pub(crate) commit: Option<Commit>,
    /// What was read.
    pub(crate) opened: Opened,
}

/// What changed from an older text to a newer one.
#[derive(Debug)]
pub(crate) struct Compared {
    /// The older text.
    pub(crate) old: Side,
    /// The older text is where HEAD left the revision that was asked for.
    pub(crate) is_merge_base: bool,
    /// What changed.
    pub(crate) diff: Diff,
    /// Whom it touches.
    pub(crate) impacts: Vec<Impact>,
    /// What could not be read of the older text: of that, nobody knows whether it changed.
    pub(crate) unreadable: Vec<Finding>,
    /// What keeps it from shipping.
    pub(crate) findings: Vec<Finding>,
    /// What would, and somebody answers for.
    pub(crate) waived: Vec<Waived>,
}

impl Compared {
    /// Holds a newer text against an older one.
    pub(crate) fn new(old: Side, new: &Opened) -> Compared {
        let sides = Sides::new(&old.opened.reading.estate, &new.reading.estate);
        let diff = diff(&sides);
        let impacts = impacts(&sides, &diff);
        let mut findings = findings(&diff, &impacts);
        // What another repository did to itself is told there; what it did to a consumer here is this one's to mend.
        findings.retain(|finding| is_own(&finding.at.document));
        findings.extend(broken_from_afar(&diff, &impacts, new));
        let (findings, waived) = waived(&new.reading.estate, findings, Some(&today()));
        let unreadable = unreadable(&old.opened);
        Compared { old, is_merge_base: false, diff, impacts, unreadable, findings, waived }
    }

    /// Holds the text of a working tree against the one from which it and a revision come, so that what others changed since
    /// counts for nothing here.
    ///
    /// # Errors
    /// When there is no such revision, or no common history in this clone.
    pub(crate) fn since(revision: &str, new: &Opened) -> Result<Compared> {
        let repository = Repository::around(&new.root).map_err(refusal)?;
        let within = repository.within(&new.root).unwrap_or_default();
        let base = repository.merge_base(revision).map_err(refusal)?;
        let opened = match repository.open(base, revision, &within) {
            // Who proposes the first text of an estate has nothing to hold it against.
            Err(RevisionError::NotThere { .. }) => nothing(&new.root),
            other => other.map_err(refusal)?,
        };
        let old = Side { name: revision.to_owned(), commit: Some(base), opened };
        let mut compared = Compared { is_merge_base: true, ..Compared::new(old, new) };
        // An error that is on the shared branch already must not keep out the change that mends it: what its document said is not
        // known, nor what was carried from there, so neither is what changed in it.
        if !compared.unreadable.is_empty() {
            let estate = &compared.old.opened.reading.estate;
            let resolutions = resolve_all(estate);
            let is_known = |it: &Contract| resolutions.get(&it.reference()).is_some_and(Result::is_ok);
            let unknown = estate.contracts.iter().filter(|it| !is_known(it)).map(|it| it.document.clone());
            let unknown: BTreeSet<DocumentId> =
                compared.unreadable.iter().map(|it| it.at.document.clone()).chain(unknown).collect();
            let uncertain = compared.findings.iter_mut().filter(|it| unknown.contains(&it.at.document));
            for finding in compared.unreadable.iter_mut().chain(uncertain) {
                finding.level = finding.level.min(Level::Warn);
            }
        }
        Ok(compared)
    }
}

/// Returns a finding at each consumer of the estate's own that a change in another repository breaks.
fn broken_from_afar(diff: &Diff, impacts: &[Impact], new: &Opened) -> Vec<Finding> {
    let estate = &new.reading.estate;
    let breaking = impacts.iter().filter(|impact| impact.fate == Fate::Breaks);
    let found = breaking.filter_map(|impact| {
        let change = &diff.changes[impact.change];
        let consumer = estate.subscription(&impact.subscription)?;
        if is_own(&change.at().document) || !is_own(&consumer.document) {
            return None;
        }
        let message = format!("{} breaks `{}`, by {}", change.message(), consumer.name, impact.by.join(", "));
        let finding = Finding::new(CONSUMERS_KEPT.id, consumer.path().key("contract"), message);
        let help =
            "move it; until then keep the revision that was locked, and talk to the team that changed it";
        Some(finding.help(help).owed_by(&consumer.name.context))
    });
    found.collect()
}

/// Returns what could not be read of the estate's own: of that, nobody knows whether it changed.
pub(crate) fn unreadable(opened: &Opened) -> Vec<Finding> {
    let findings = opened.reading.findings.iter().filter(|finding| is_own(&finding.at.document));
    findings.filter(|finding| finding.level == Level::Error || finding.rule == UNREADABLE).cloned().collect()
}

/// Returns both sides of a comparison, each a file, a folder or a git revision. A revision without a path means the estate in
/// the place that the other side has in the repository; of two revisions, the folder where the command runs.
///
/// # Errors
/// When there is no estate at one of them.
pub(crate) fn sides(old: &Path, new: &Path) -> Result<(Side, Side)> {
    let here = Path::new(".");
    let beside = |other: &Path| if other.exists() { other.to_owned() } else { here.to_owned() };
    Ok((side(old, &beside(new))?, side(new, &beside(old))?))
}

fn side(asked: &Path, beside: &Path) -> Result<Side> {
    let name = asked.display().to_string();
    if asked.exists() {
        if let Some(commit) = also_a_revision(asked) {
            eprintln!(
                "note: `{name}` is here and is a revision too ({commit}): what is here was read; write `{name}:` and a \
                 path, or `refs/heads/{name}`, to mean the revision"
            );
        }
        let opened = match opened(asked) {
            Err(_) if Repository::around(asked).is_ok_and(|it| it.is_bare()) => {
                let help = "name two revisions, as in `seamline diff main feature`";
                return Err(usage(format!("`{name}` is a bare repository: it has no working tree"), help));
            }
            other => other?,
        };
        return Ok(Side { name, commit: None, opened });
    }
    let Some(text) = asked.to_str() else {
        return Err(usage(format!("there is nothing at `{name}`"), "name a folder, a file or a revision"));
    };
    let asked = Asked::new(text);
    let folder = if beside.is_dir() { beside } else { beside.parent().unwrap_or(beside) };
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let repository = Repository::around(folder).map_err(|error| match error {
        RevisionError::NoRepository { .. } => {
            let message = format!(
                "there is no folder `{name}`, and no git repository that could have it as a revision"
            );
            usage(message, "name the folder of an estate, or run it in a clone")
        }
        other => refusal(other),
    })?;
    let commit = repository.commit(asked.revision).map_err(|error| match error {
        RevisionError::Unknown { .. } => {
            usage(format!("there is no folder and no revision `{name}`"), error.help())
        }
        other => refusal(other),
    })?;
    let within = within(&repository, folder, asked.path)?;
    let opened = repository.open(commit, asked.revision, &within).map_err(refusal)?;
    if opened.files.is_empty() {
        let place = if within.is_empty() { "." } else { &within };
        let error = RevisionError::NotThere { revision: asked.revision.to_owned(), path: within.clone() };
        return Err(usage(format!("there is no estate in `{place}` of `{}`", asked.revision), error.help()));
    }
    Ok(Side { name, commit: Some(commit), opened })
}

/// Returns the path of an estate in its repository.
fn within(repository: &Repository, folder: &Path, asked: Option<&str>) -> Result<String> {
    let of = |folder: &Path| repository.within(folder).unwrap_or_default();
    let Some(asked) = asked else { return Ok(of(folder)) };
    let is_relative = asked == "." || asked.starts_with("./") || asked.starts_with("../");
    let whole = if is_relative { format!("{}/{asked}", of(Path::new("."))) } else { asked.to_owned() };
    seamline_estate::revision::path(&whole).ok_or_else(|| {
        usage(
            format!("`{asked}` leads out of the repository"),
            "paths of a revision begin at its top, or with `./`",
        )
    })
}

fn also_a_revision(asked: &Path) -> Option<Commit> {
    let name = asked.to_str().filter(|name| !matches!(*name, "." | ".."))?;
    Repository::around(Path::new(".")).ok()?.commit(name).ok()
}

fn refusal(error: RevisionError) -> anyhow::Error {
    let exit = if error.is_unreachable() { Exit::Unreachable } else { Exit::Usage };
    let help = error.help().to_owned();
    let message = match std::error::Error::source(&error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    };
    Refusal { exit, message, help }.into()
}
