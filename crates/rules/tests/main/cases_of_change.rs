//! Each folder below `tests/changes` is a case: what changed from its `old` to its `new`, told as its `expected` says. A document of
//! a case stands in the place of the one of the same path in `base`, or beside those that are there.

use crate::estates::texts;
use crate::pages::Files;
use seamline_contract::path::DocumentId;
use seamline_lang::estate::read_estate;
use seamline_rules::diff::change::Change;
use seamline_rules::diff::impact::{Impact, impacts};
use seamline_rules::diff::verdict::findings;
use seamline_rules::diff::{Sides, diff};
use std::fs::{read_dir, read_to_string};
use std::path::{Path, PathBuf};

const ASPECTS: [&str; 7] =
    ["SHAPE", "MEANING", "GUARANTEE", "OWNERSHIP", "PRIVACY", "RECONCILIATION", "CHANNEL"];
const EFFECTS: [&str; 4] = ["editorial", "additive", "unhandled", "breaking"];
/// How many cases each aspect has at least.
const EACH: usize = 10;
/// What a finding begins with where more, less or something else happened than is declared.
const MISDECLARED: [&str; 2] = ["DECLARED_IS_TRUE", "FROZEN_TEXT_STANDS"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/changes")
}

/// Returns the folders of the cases of an aspect, by name.
fn cases_of(aspect: &str) -> Vec<PathBuf> {
    let entries = read_dir(folder().join(aspect.to_lowercase())).expect("a folder of cases");
    let mut cases: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    cases.sort();
    cases
}

fn change_line(change: &Change) -> String {
    let facet = if change.facet.is_empty() { "-" } else { change.facet };
    format!("{} {} {} {facet}", change.effect, change.aspect, change.target)
}

fn impact_line(impact: &Impact) -> String {
    let veto = if impact.may_veto { ", and may veto it" } else { "" };
    format!("{}: {}, by {}{veto}", impact.subscription, impact.fate, impact.by.join(", "))
}

/// Returns what is told of a change: each difference, what keeps it from shipping, whom it touches.
fn told(old: &Files, new: &Files) -> Result<String, String> {
    let [old, new] = [old, new].map(|files| read_estate(files, DocumentId("seamline.yaml".to_owned())));
    for reading in [&old, &new] {
        if let Some(finding) = reading.findings.first() {
            return Err(format!("{}: {}", finding.at, finding.message));
        }
    }
    let sides = Sides::new(&old.estate, &new.estate);
    let diff = diff(&sides);
    let impacts = impacts(&sides, &diff);
    let mut lines: Vec<String> = diff.changes.iter().map(change_line).collect();
    lines.extend(findings(&diff, &impacts).iter().map(|it| format!("{} {}", it.rule, it.at)));
    lines.extend(impacts.iter().map(impact_line));
    Ok(lines.iter().map(|line| format!("{line}\n")).collect())
}

/// Returns what is wrong with a case; nothing where it is told as expected.
fn wrong(base: &Files, case: &Path) -> Result<(), String> {
    let side = |name: &str| -> Result<Files, String> {
        let folder = case.join(name);
        let own = if folder.is_dir() { texts(&folder) } else { Files::new() };
        if own.is_empty() {
            return Err(format!("no document is in `{name}`"));
        }
        Ok(base.clone().into_iter().chain(own).collect())
    };
    let (old, new) = (side("old")?, side("new")?);
    let expected = read_to_string(case.join("expected")).map_err(|error| format!("`expected`: {error}"))?;
    let told = told(&old, &new)?;
    if told == expected {
        return Ok(());
    }
    Err(format!("expected\n{expected}told\n{told}"))
}

#[test]
fn each_case_is_told_as_it_expects() {
    let base = texts(&folder().join("base"));
    let mut all = Vec::new();
    for case in ASPECTS.into_iter().flat_map(cases_of) {
        if let Err(what) = wrong(&base, &case) {
            let name = case.strip_prefix(folder()).expect("a case is below the folder");
            all.push(format!("{}: {what}", name.display()));
        }
    }
    assert!(all.is_empty(), "{} cases\n\n{}", all.len(), all.join("\n"));
}

#[test]
fn each_aspect_has_ten_cases_that_are_about_it() {
    let mut misdeclared = 0;
    for aspect in ASPECTS {
        let expected = |case: &PathBuf| read_to_string(case.join("expected")).unwrap_or_default();
        let texts: Vec<String> = cases_of(aspect).iter().map(expected).collect();
        let is_about = |text: &String| {
            let mut changes = text
                .lines()
                .filter(|line| EFFECTS.contains(&line.split(' ').next().unwrap_or_default()))
                .peekable();
            changes.peek().is_none() || changes.any(|line| line.contains(&format!(" {aspect} ")))
        };
        assert!(texts.iter().all(is_about), "each case of {aspect} is about it, or about nothing");
        assert!(texts.len() >= EACH, "{aspect} has {} cases", texts.len());
        let is_told = |text: &&String| MISDECLARED.iter().any(|rule| text.contains(rule));
        misdeclared += texts.iter().filter(is_told).count();
    }
    assert!(misdeclared >= EACH, "{misdeclared} cases are misdeclared");
    let entries = read_dir(folder()).expect("the folder of cases");
    assert_eq!(entries.count(), ASPECTS.len() + 1, "each folder is an aspect, or the base");
}

/// Copies a case, so that the copy can be spoilt.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).expect("a copy");
        }
    }
}

#[test]
fn a_case_that_is_told_otherwise_or_is_not_whole_is_wrong() {
    let base = texts(&folder().join("base"));
    let whole = cases_of("MEANING").remove(0);
    let spoilt = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cases-of-change");
    let anew = || {
        if spoilt.exists() {
            std::fs::remove_dir_all(&spoilt).expect("the folder is ours");
        }
        copy(&whole, &spoilt);
    };
    anew();
    assert_eq!(wrong(&base, &spoilt), Ok(()), "an untouched copy is right");
    let expected = read_to_string(spoilt.join("expected")).expect("a text");
    for idx in 0..expected.lines().count() {
        let other =
            |(at, line): (usize, &str)| if at == idx { format!("{line}!\n") } else { format!("{line}\n") };
        let altered: String = expected.lines().enumerate().map(other).collect();
        std::fs::write(spoilt.join("expected"), altered).expect("the file is ours");
        assert!(wrong(&base, &spoilt).is_err_and(|what| what.starts_with("expected\n")), "line {idx}");
    }
    for part in ["old", "new"] {
        anew();
        std::fs::remove_dir_all(spoilt.join(part)).expect("the folder is ours");
        assert_eq!(wrong(&base, &spoilt), Err(format!("no document is in `{part}`")));
    }
    anew();
    std::fs::remove_file(spoilt.join("expected")).expect("the file is ours");
    assert!(wrong(&base, &spoilt).is_err_and(|what| what.starts_with("`expected`: ")));
}
