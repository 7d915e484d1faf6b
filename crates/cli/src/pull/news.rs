//! What a pull brings: each root with its old and its new commit, what changed in its contracts, and whom of ours it touches.

use super::Fetched;
use crate::compared::{Compared, Side};
use crate::exit::Exit;
use crate::opened::{found, is_own};
use crate::terminal::{Writing, counted};
use seamline_contract::finding::{Finding, Level};
use seamline_estate::open::Opened;
use seamline_rules::diff::change::Effect;
use seamline_rules::diff::impact::Impact;
use serde_json::{Value, json};
use std::fmt::Write;

/// How many changes of a contract are told each; `check --against` tells all.
const TOLD_MAX: usize = 8;

/// What a pull brings.
pub(super) struct News<'a> {
    fetched: &'a [Fetched],
    compared: Compared,
    /// Errors of the estate's own that it would have with the new texts.
    own: Vec<Finding>,
    /// How many errors there are in the new texts of other repositories.
    n_errors_of_others: usize,
    newer: Opened,
}

impl<'a> News<'a> {
    /// Holds the estate with what was fetched against the estate as it is locked.
    pub(super) fn of(older: &Opened, newer: Opened, fetched: &'a [Fetched]) -> News<'a> {
        let old = Side { name: "the lock".to_owned(), commit: None, opened: older.clone() };
        let compared = Compared::new(old, &newer);
        let errors = |all: Vec<Finding>| all.into_iter().filter(|it| it.level == Level::Error).collect();
        let all = found(&newer);
        let own: Vec<Finding> = errors(all.own);
        let others: Vec<Finding> = errors(all.others);
        News { fetched, compared, own, n_errors_of_others: others.len(), newer }
    }

    /// Returns it for people.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for it in self.fetched {
            let short = |id: &str| id.get(..10).unwrap_or(id).to_owned();
            let moved = match &it.old {
                Some(old) if *old == it.new => format!("{}, as it was", short(old)),
                Some(old) => format!("{} → {}", short(old), short(&it.new)),
                None => format!("new, {}", short(&it.new)),
            };
            let _ = writeln!(text, "{}\n  {moved}", it.root.told());
            self.contracts(&mut text, &it.root.name);
        }
        let _ = writeln!(text);
        if self.n_errors_of_others > 0 {
            let errors = counted(self.n_errors_of_others as u64, "error");
            let _ = writeln!(
                text,
                "{errors} in them, for their teams to mend: `seamline check --others` shows them"
            );
        }
        let errors = counted(self.own.len() as u64, "error");
        let _ = writeln!(text, "with them this estate has {errors} of its own");
        for finding in self.own.iter().take(TOLD_MAX) {
            let at = self.newer.reading.sources.locate(&finding.at);
            let _ = writeln!(text, "  {}:{}:{} {}", at.document, at.line, at.column, finding.message);
        }
        text
    }

    fn contracts(&self, text: &mut String, repository: &str) {
        let of = |it: &&seamline_rules::diff::ContractDiff| it.at.document.repository() == Some(repository);
        for contract in self.compared.diff.contracts.iter().filter(of) {
            let version = |it: Option<seamline_contract::id::Version>| {
                it.map_or("none".to_owned(), |it| it.to_string())
            };
            let _ =
                writeln!(text, "  {} {} → {}", contract.name, version(contract.old), version(contract.new));
            // Of what is new, or gone, nothing in it changed.
            if contract.old.is_none() {
                continue;
            }
            let name = contract.name.to_string();
            let changes = self.compared.diff.changes.iter().enumerate();
            let of_it: Vec<_> = changes.filter(|(_, change)| change.subject.to_string() == name).collect();
            for (idx, change) in of_it.iter().take(TOLD_MAX) {
                let (effect, aspect) = (change.effect.to_string(), change.aspect.to_string());
                let _ = writeln!(text, "    {effect:<10} {aspect:<14} {}", change.message());
                for impact in self.touched(*idx) {
                    let _ = writeln!(text, "    {:<25} `{}` {}", "", impact.subscription, impact.fate);
                }
            }
            if of_it.len() > TOLD_MAX {
                let _ = writeln!(text, "    and {} more", of_it.len() - TOLD_MAX);
            }
        }
    }

    /// Returns the consumers of the estate's own that a change touches.
    fn touched(&self, change: usize) -> impl Iterator<Item = &Impact> {
        let estate = &self.newer.reading.estate;
        let own = |it: &&Impact| estate.subscription(&it.subscription).is_some_and(|it| is_own(&it.document));
        self.compared.impacts.iter().filter(move |it| it.change == change).filter(own)
    }

    /// Says how it ended, to people or programs.
    pub(super) fn ended(&self, writing: &Writing, says: &str, written: bool) -> Exit {
        if writing.is_text() {
            println!("{says}\nnext: seamline {}", self.next(written));
        } else {
            println!("{}", self.document(written));
        }
        Exit::Clean
    }

    fn next(&self, written: bool) -> String {
        let estate = &self.newer.reading.estate;
        let breaks =
            self.compared.impacts.iter().find(|impact| {
                estate.subscription(&impact.subscription).is_some_and(|it| is_own(&it.document))
            });
        match (written, breaks) {
            (false, _) if self.compared.diff.changes.is_empty() => "check".to_owned(),
            (false, _) => "pull --yes".to_owned(),
            (true, Some(impact)) => format!("check, then seamline accept {}", impact.subscription),
            (true, None) => "check".to_owned(),
        }
    }

    fn document(&self, written: bool) -> Value {
        let roots: Vec<Value> = self
            .fetched
            .iter()
            .map(|it| json!({ "root": it.root.git, "at": it.root.at, "path": it.root.path, "old": it.old, "new": it.new }))
            .collect();
        let changes: Vec<Value> = self
            .compared
            .diff
            .changes
            .iter()
            .enumerate()
            .filter(|(_, change)| !is_own(&change.at().document))
            .map(|(idx, change)| {
                let touches = self.touched(idx).map(
                    |it| json!({ "subscription": it.subscription.to_string(), "fate": it.fate.to_string() }),
                );
                json!({
                    "subject": change.subject.to_string(),
                    "effect": change.effect.to_string(),
                    "aspect": change.aspect.to_string(),
                    "message": change.message(),
                    "touches": touches.collect::<Vec<_>>(),
                })
            })
            .collect();
        let breaking = self.compared.diff.changes.iter().filter(|it| it.effect >= Effect::Unhandled);
        json!({
            "schema": "seamline/pull/v1",
            "roots": roots,
            "changes": changes,
            "breaking": breaking.filter(|it| !is_own(&it.at().document)).count(),
            "ownErrors": self.own.len(),
            "errorsOfOthers": self.n_errors_of_others,
            "written": written,
        })
    }
}
