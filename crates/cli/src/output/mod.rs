//! What a review found, told in the format that is asked for. Each format is a file over one value: what is told, and where.

mod github;
mod gitlab;
mod json;
mod junit;
mod markdown;
mod place;
mod sarif;
mod text;
mod visible;

use crate::baseline::Known;
use crate::compared::Compared;
use crate::exit::Exit;
use crate::terminal::counted;
use place::{Place, Places};
use seamline_contract::finding::{Finding, Level};
use seamline_contract::path::ModelPath;
use seamline_contract::waiver::Waiver;
use seamline_estate::open::Opened;
use seamline_rules::diff::change::{Change, Effect};
use seamline_rules::diff::impact::Impact;
use seamline_rules::review::Waived;
use std::collections::{BTreeMap, BTreeSet};

/// How `check` and `diff` speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people, with the lines of the text.
    Text,
    /// For programs of your own.
    Json,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
    /// JUnit XML, for reports of tests.
    Junit,
    /// GitHub workflow commands, which annotate a pull request.
    Github,
    /// GitLab Code Quality, which annotates a merge request.
    Gitlab,
    /// A comment on a pull request.
    Markdown,
}

/// Which command speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Check,
    Diff,
}

/// What a command found.
#[derive(Debug)]
pub(crate) struct Report<'a> {
    verb: Verb,
    fail_on: Level,
    new: &'a Opened,
    compared: Option<&'a Compared>,
    /// The findings of the texts by document and place, then those of the comparison in its order.
    found: Vec<Told>,
    /// What somebody answers for until a day; it counts as nothing.
    waived: Vec<(Told, Waiver)>,
    /// What a baseline knows already.
    known: Option<Known>,
    /// What of that is still found; it counts as nothing, either.
    known_found: Vec<Told>,
    /// What is wrong in other repositories, by document and place; it never counts.
    others: Vec<Told>,
    /// Whether people want to read each of those.
    shows_others: bool,
    changes: Vec<ToldChange<'a>>,
}

/// Returns who answers for what is waived, and until when.
fn by_whom(waiver: &Waiver) -> String {
    format!("waived by {} until {}: {}", waiver.approver, waiver.until, waiver.rule)
}

/// A finding and where it stands, or a change that consumers should know of and that no finding tells.
#[derive(Debug, Clone)]
struct Told {
    finding: Finding,
    at: Place,
    notes: Vec<(Place, String)>,
    /// The same for the same rule at the same place of the model, whatever its line; no two of a report have one.
    fingerprint: String,
    /// It stands in the older text.
    is_old: bool,
}

/// A change, where it stands, and whom it touches.
#[derive(Debug)]
struct ToldChange<'a> {
    change: &'a Change,
    old: Option<Place>,
    new: Option<Place>,
    impacts: Vec<&'a Impact>,
}

impl<'a> Report<'a> {
    /// Gathers what was found in the newer text, and by holding it against an older one.
    pub(crate) fn new(
        verb: Verb,
        new: &'a Opened,
        findings: Vec<Finding>,
        compared: Option<&'a Compared>,
        fail_on: Level,
    ) -> Report<'a> {
        let places = Places::new(new, compared.map(|it| &it.old.opened));
        let mut found: Vec<Told> = findings.into_iter().map(|finding| places.told(finding, false)).collect();
        let mut changes = Vec::new();
        if let Some(compared) = compared {
            found.extend(compared.unreadable.iter().map(|it| places.told(it.clone(), true)));
            found.extend(compared.findings.iter().map(|it| {
                // Of what is gone the older text alone knows the place.
                places.told(it.clone(), !new.files.contains_key(&it.at.document))
            }));
            let mut impacts: BTreeMap<usize, Vec<&Impact>> = BTreeMap::new();
            for impact in &compared.impacts {
                impacts.entry(impact.change).or_default().push(impact);
            }
            changes.extend(compared.diff.changes.iter().enumerate().map(|(idx, change)| ToldChange {
                change,
                old: change.old.as_ref().map(|side| places.place(&side.at, true)),
                new: change.new.as_ref().map(|side| places.place(&side.at, false)),
                impacts: impacts.remove(&idx).unwrap_or_default(),
            }));
        }
        place::make_unique(&mut found);
        let mut report = Report {
            verb,
            fail_on,
            new,
            compared,
            found,
            waived: Vec::new(),
            known: None,
            known_found: Vec::new(),
            others: Vec::new(),
            shows_others: false,
            changes,
        };
        report.add_waived(compared.map(|it| it.waived.clone()).unwrap_or_default());
        report
    }

    /// Adds what is not counted: what is waived, and what a baseline knows already.
    pub(crate) fn leave_out(&mut self, waived: Vec<Waived>, known: Option<Known>) {
        let places = Places::new(self.new, None);
        let found = known.iter().flat_map(|it| &it.left_out);
        self.known_found = found.map(|it| places.told(it.clone(), false)).collect();
        place::make_unique(&mut self.known_found);
        self.known = known;
        self.add_waived(waived);
    }

    fn add_waived(&mut self, waived: Vec<Waived>) {
        let places = Places::new(self.new, self.compared.map(|it| &it.old.opened));
        let told = waived.into_iter().map(|Waived { finding, waiver }| {
            let is_old = !self.new.files.contains_key(&finding.at.document);
            (places.told(finding, is_old), waiver)
        });
        self.waived.extend(told.collect::<Vec<_>>());
    }

    /// Adds what is wrong in other repositories, which people see in full where they ask for it.
    pub(crate) fn tell_others(&mut self, others: Vec<Finding>, shown: bool) {
        let places = Places::new(self.new, None);
        self.others = others.into_iter().map(|it| places.told(it, false)).collect();
        self.shows_others = shown;
    }

    /// Returns what is not counted and must not be lost, in a line each for people: the baseline, waivers, other repositories.
    fn left_out(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.known.iter().map(Known::line).collect();
        lines.extend(self.waived.iter().map(|(told, waiver)| {
            let Place { document, line, column, .. } = &told.at;
            format!("{} at {document}:{line}:{column}", by_whom(waiver))
        }));
        let mut by_repository: BTreeMap<&str, [u64; 3]> = BTreeMap::new();
        for told in &self.others {
            let repository = told.finding.at.document.repository().unwrap_or_default();
            by_repository.entry(repository).or_default()[told.finding.level as usize] += 1;
        }
        lines.extend(by_repository.iter().map(|(repository, [advice, warnings, errors])| {
            let hint = if self.shows_others { "" } else { "; `--others` shows them" };
            format!(
                "in `{repository}`, for its team to mend: {}, {}, {} of advice{hint}",
                counted(*errors, "error"),
                counted(*warnings, "warning"),
                counted(*advice, "piece")
            )
        }));
        lines
    }

    /// Returns what formats that know findings alone tell as put up with, and why.
    fn suppressed(&self) -> Vec<(&Told, String)> {
        let waived = self
            .waived
            .iter()
            .map(|(told, waiver)| (told, format!("{} because {}", by_whom(waiver), waiver.because)));
        let known = self.known_found.iter().map(|told| (told, "known in the baseline".to_owned()));
        waived.chain(known).collect()
    }

    /// Prints it.
    pub(crate) fn print(&self, format: Format) {
        let text = match format {
            Format::Text => text::text(self),
            Format::Json => json::document(self).to_string() + "\n",
            Format::Sarif => sarif::document(self).to_string() + "\n",
            Format::Junit => junit::document(self),
            Format::Github => github::commands(self),
            Format::Gitlab => gitlab::document(self).to_string() + "\n",
            Format::Markdown => markdown::comment(self),
        };
        print!("{text}");
    }

    /// Returns how the command ends.
    pub(crate) fn exit(&self) -> Exit {
        if self.found.iter().any(|told| self.fails(told)) { Exit::Findings } else { Exit::Clean }
    }

    fn fails(&self, told: &Told) -> bool {
        told.finding.level >= self.fail_on
    }

    fn count(&self, level: Level) -> usize {
        self.found.iter().filter(|told| told.finding.level == level).count()
    }

    fn n_changes(&self, effect: Effect) -> usize {
        self.changes.iter().filter(|it| it.change.effect == effect).count()
    }

    /// Returns the consumers that changes touch, sorted, once each.
    fn consumers(&self) -> Vec<String> {
        let all =
            self.changes.iter().flat_map(|it| &it.impacts).map(|impact| impact.subscription.to_string());
        let once: BTreeSet<String> = all.collect();
        once.into_iter().collect()
    }

    /// Returns what formats tell that know findings alone: the findings, and as advice the changes that touch consumers and stand
    /// in the way of nothing, such as those that give consumers time to move.
    fn told(&self) -> Vec<Told> {
        let mut told: Vec<Told> = self.found.to_vec();
        let Some(compared) = self.compared else { return told };
        let places = Places::new(self.new, Some(&compared.old.opened));
        let told_already: BTreeSet<&ModelPath> = self.found.iter().map(|told| &told.finding.at).collect();
        for it in
            self.changes.iter().filter(|it| it.change.effect >= Effect::Unhandled && !it.impacts.is_empty())
        {
            if told_already.contains(it.change.at()) {
                continue;
            }
            let touched: Vec<String> = it
                .impacts
                .iter()
                .map(|impact| format!("`{}` {}", impact.subscription, impact.fate))
                .collect();
            let message = format!("{}; {}", it.change.message(), touched.join(", "));
            let finding = Finding::new(it.change.effect.id(), it.change.at().clone(), message)
                .level(Level::Advice)
                .help(it.change.reason);
            told.push(places.told(finding, it.change.new.is_none()));
        }
        place::make_unique(&mut told);
        told
    }

    /// Returns the next sensible command.
    fn next(&self) -> String {
        let worst = self.found.iter().rev().max_by_key(|told| told.finding.level);
        match (worst, self.verb) {
            (Some(worst), _) => format!("seamline explain {}", worst.finding.rule),
            (None, Verb::Check) => "seamline show".to_owned(),
            (None, Verb::Diff) => "seamline check".to_owned(),
        }
    }
}
