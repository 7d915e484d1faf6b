//! Text for people: what changed and whom it touches, then each finding with the line it stands in.

use super::visible::visible;
use super::{Report, ToldChange, Verb};
use crate::compared::Compared;
use crate::terminal::{colour, counted};
use seamline_contract::finding::{Finding, Level};
use seamline_contract::id::Version;
use seamline_lang::print::{Paint, text as rendered};
use seamline_rules::diff::change::{Change, Effect};
use std::fmt::Write;

/// Returns the text.
pub(super) fn text(report: &Report<'_>) -> String {
    let mut text = String::new();
    if let Some(compared) = report.compared {
        if compared.is_merge_base || !report.changes.is_empty() {
            let _ = writeln!(text, "{}", since(compared));
        }
        let mut subject = String::new();
        for told in &report.changes {
            if told.change.subject.to_string() != subject {
                subject = told.change.subject.to_string();
                let _ = writeln!(text, "{}", heading(compared, told.change));
            }
            change(&mut text, told);
        }
        if !text.is_empty() {
            text.push('\n');
        }
    }
    let paint = if colour() { Paint::Coloured } else { Paint::Plain };
    let of = |is_old: bool| -> Vec<Finding> {
        report.found.iter().filter(|it| it.is_old == is_old).map(|it| it.finding.clone()).collect()
    };
    let old = report.compared.map(|it| &it.old.opened.reading.sources);
    let of_old = old.map_or_else(String::new, |sources| rendered(sources, &of(true), paint));
    let of_new = rendered(&report.new.reading.sources, &of(false), paint);
    for part in [of_new, of_old].iter().filter(|part| !part.is_empty()) {
        let _ = writeln!(text, "{part}");
    }
    let others: Vec<Finding> = report.others.iter().map(|told| told.finding.clone()).collect();
    if report.shows_others && !others.is_empty() {
        let _ = writeln!(text, "{}", rendered(&report.new.reading.sources, &others, paint));
    }
    let _ = writeln!(text, "{}", report.summary());
    for line in report.left_out() {
        let _ = writeln!(text, "{}", visible(&line));
    }
    let _ = writeln!(text, "next: {}", report.next());
    text
}

/// Returns from when on changes count.
pub(super) fn since(compared: &Compared) -> String {
    let name = &compared.old.name;
    match compared.old.commit {
        Some(base) if compared.is_merge_base => format!("since {base}, where HEAD left `{name}`:"),
        Some(commit) => format!("since `{name}` ({commit}):"),
        None => format!("since `{name}`:"),
    }
}

fn change(text: &mut String, told: &ToldChange<'_>) {
    let change = told.change;
    let _ = writeln!(
        text,
        "  {:<10} {:<14} {}\n  {:<25} {}",
        change.effect.to_string(),
        change.aspect.to_string(),
        visible(&change.message()),
        "",
        change.reason
    );
    for impact in &told.impacts {
        let team = impact.team.as_ref().map_or(String::new(), |team| format!(" of team `{team}`"));
        let veto = if impact.may_veto { ", which may refuse it" } else { "" };
        let by = impact.by.join(", ");
        let _ =
            writeln!(text, "  {:<25} `{}`{team}{veto}: {}, by {by}", "", impact.subscription, impact.fate);
    }
}

/// Returns whose text it is, and for a contract how far its version rose.
pub(super) fn heading(compared: &Compared, change: &Change) -> String {
    let subject = change.subject.to_string();
    let Some(contract) = compared.diff.contracts.iter().find(|it| it.name.to_string() == subject) else {
        return subject;
    };
    let version = |it: Option<Version>| it.map_or("none".to_owned(), |it| it.to_string());
    format!(
        "{} {} → {}: asks for {}, rose by {}",
        contract.name,
        version(contract.old),
        version(contract.new),
        contract.required,
        contract.given
    )
}

impl Report<'_> {
    /// Returns all of it in a line: the findings and the estate, or the changes, or both.
    pub(super) fn summary(&self) -> String {
        let [errors, warnings, advice] =
            [Level::Error, Level::Warn, Level::Advice].map(|level| self.count(level) as u64);
        let found = format!(
            "{}, {}, {} of advice",
            counted(errors, "error"),
            counted(warnings, "warning"),
            counted(advice, "piece")
        );
        let of = |effect| self.n_changes(effect);
        let changed = self.compared.map(|_| {
            format!(
                "{}: {} breaking, {} unhandled, {} additive, {} editorial; {} touched",
                counted(self.changes.len() as u64, "change"),
                of(Effect::Breaking),
                of(Effect::Unhandled),
                of(Effect::Additive),
                of(Effect::Editorial),
                counted(self.consumers().len() as u64, "consumer"),
            )
        });
        let estate = &self.new.reading.estate;
        match (self.verb, changed) {
            (Verb::Diff, Some(changed)) => format!("{changed}\n{found}"),
            (_, changed) => format!(
                "{found}; {}, {}, {}{}",
                counted(estate.contexts.len() as u64, "context"),
                counted(estate.contracts.len() as u64, "contract"),
                counted(estate.subscriptions.len() as u64, "subscription"),
                changed.map_or_else(String::new, |changed| format!("\n{changed}"))
            ),
        }
    }
}
