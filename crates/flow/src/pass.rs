//! Passes: comparisons that an agent makes by itself, how often, by whom, and what each found and cost.

use crate::custody::source::SourceCheck;
use crate::drift::{Conclusion, Outcome, Report};
use crate::port::PortError;
use jiff::Timestamp;
use seamline_contract::measure::Threshold;
use seamline_message::key::RecordKey;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How many passes of a subject are kept, beside the last of each day that saw all.
pub const PASSES_KEPT: u32 = 500;

/// For how many days the last pass of each is kept.
pub const DAYS_KEPT: u32 = 400;

/// A pass that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pass {
    /// The contract or subscription, as printed.
    pub subject: String,
    /// Who made it.
    pub holder: String,
    /// When it began.
    pub began: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// How it ended.
    pub conclusion: Conclusion,
    /// Rows that were compared.
    pub rows: u64,
    /// Keys that differ.
    pub drifted: u64,
    /// Bytes of records that were read from the log.
    pub bytes: u64,
    /// Counts by business state, reasons and kinds: a JSON object as `facts` makes it. No key and no other value is in it.
    pub facts: String,
}

/// A subject that is compared again and again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watch {
    /// The contract or subscription, as printed.
    pub subject: String,
    /// When an agent first saw that it is to be compared.
    pub since: Timestamp,
    /// When the last pass began.
    pub began: Option<Timestamp>,
    /// Who makes one now, and until when it is believed.
    pub holder: Option<(String, Timestamp)>,
    /// Why it rests; none: it does not.
    pub paused: Option<String>,
    /// Counts the changes; 0 is not stored yet.
    pub turn: u64,
}

impl Watch {
    /// Returns the watch of a subject that was never compared.
    pub fn new(subject: &str, now: Timestamp) -> Watch {
        Watch { subject: subject.to_owned(), since: now, began: None, holder: None, paused: None, turn: 0 }
    }

    /// Returns when the next pass is due: that long after the last began, or after the subject was first seen.
    pub fn due(&self, every: Duration) -> Timestamp {
        self.began.unwrap_or(self.since).checked_add(every).unwrap_or(Timestamp::MAX)
    }

    /// Returns whether a pass may begin now.
    pub fn may_begin(&self, every: Duration, now: Timestamp) -> bool {
        let is_free = self.holder.as_ref().is_none_or(|(_, until)| *until <= now);
        self.paused.is_none() && is_free && self.due(every) <= now
    }
}

/// The passes of a database.
pub trait Passes: Send + Sync {
    /// Returns all watches, by subject.
    fn watches(&self) -> impl Future<Output = Result<Vec<Watch>, PortError>> + Send;

    /// Writes a watch whose turn is the stored one, or 0 where none is stored, and counts its turn up. Returns whether it was
    /// written: not when another changed it since.
    fn change_watch(&self, watch: &Watch) -> impl Future<Output = Result<bool, PortError>> + Send;

    /// Notes a pass, and forgets old ones of its subject: `PASSES_KEPT` stay, and of `DAYS_KEPT` days the last that was not
    /// inconclusive.
    fn note_pass(&self, pass: &Pass) -> impl Future<Output = Result<(), PortError>> + Send;

    /// Returns the last passes, of one subject or of all, the newest first, at most `limit`.
    fn passes(
        &self,
        subject: Option<&str>,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<Pass>, PortError>> + Send;
}

/// From where on somebody is told or called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Somebody is told.
    pub warn: Option<Threshold>,
    /// Somebody is called.
    pub page: Option<Threshold>,
}

/// How loud a difference is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Alarm {
    /// It is noted, and nobody is told.
    Quiet,
    /// Somebody is told.
    Warn,
    /// Somebody is called.
    Page,
}

impl Alarm {
    /// Returns the word under which it is printed.
    pub fn word(self) -> &'static str {
        match self {
            Alarm::Quiet => "quiet",
            Alarm::Warn => "warn",
            Alarm::Page => "page",
        }
    }
}

impl Limits {
    /// Returns how loud so many drifted keys are among so many rows. Where nothing is declared, one is enough to call.
    pub fn alarm(&self, drifted: u64, rows: u64) -> Alarm {
        let reached = |limit: Option<Threshold>| limit.is_some_and(|it| it.reached(drifted, rows));
        match (drifted, self.page, self.warn) {
            (0, ..) => Alarm::Quiet,
            (_, None, None) => Alarm::Page,
            (_, page, _) if reached(page) => Alarm::Page,
            (.., warn) if reached(warn) => Alarm::Warn,
            _ => Alarm::Quiet,
        }
    }
}

/// Returns how many keys drifted in reports on one subject: one that differs on several links or topics is one.
pub fn drifted<'a>(reports: impl IntoIterator<Item = &'a Report>) -> u64 {
    let drifts = reports.into_iter().flat_map(|report| &report.drifts);
    let keys: BTreeSet<Result<&RecordKey, &String>> = drifts.map(|drift| drift.key.as_ref()).collect();
    keys.len() as u64
}

/// Returns how many rows were compared in reports on one subject: its links and topics hold the same ones.
pub fn rows<'a>(reports: impl IntoIterator<Item = &'a Report>) -> u64 {
    reports.into_iter().map(|report| report.rows).max().unwrap_or(0)
}

/// Returns what is kept of reports on one subject: counts by business state on both sides, kinds by link, and reasons. What a
/// source check found beside its reports is in words.
pub fn facts(reports: &[Report], check: Option<&SourceCheck>, reason: Option<&str>) -> String {
    let first = reports.first().map(|report| &report.counts);
    let counts: BTreeMap<&String, Value> = first
        .into_iter()
        .flatten()
        .map(|(state, (expected, found))| (state, json!([expected.to_string(), found.to_string()])))
        .collect();
    let mut kinds: BTreeMap<String, u64> = BTreeMap::new();
    let drifts = reports.iter().flat_map(|report| &report.drifts);
    drifts.for_each(|drift| *kinds.entry(format!("{} {}", drift.link, drift.kind)).or_default() += 1);
    let mut reasons: BTreeSet<String> = reason.into_iter().map(ToOwned::to_owned).collect();
    for report in reports {
        if let Outcome::Inconclusive(why) = &report.outcome {
            reasons.extend(why.iter().cloned());
        }
    }
    for case in check.into_iter().flat_map(|check| &check.cases) {
        reasons.insert(case.summary.clone());
    }
    let kinds: BTreeMap<String, String> =
        kinds.into_iter().map(|(kind, count)| (kind, count.to_string())).collect();
    json!({ "counts": counts, "kinds": kinds, "reasons": reasons }).to_string()
}

#[cfg(test)]
mod tests {
    use super::{Alarm, Limits, Watch};
    use jiff::Timestamp;
    use seamline_contract::measure::Threshold;
    use std::time::Duration;

    fn moment(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    const EVERY: Duration = Duration::from_secs(60);

    #[test]
    fn the_first_pass_is_due_when_one_would_have_ended_that_began_when_it_was_first_seen() {
        let watch = Watch::new("claims/covers", moment(100));
        assert!(!watch.may_begin(EVERY, moment(159)));
        assert!(watch.may_begin(EVERY, moment(160)));
    }

    #[test]
    fn no_pass_begins_beside_another_or_while_it_is_paused() {
        let begun = Watch { began: Some(moment(100)), ..Watch::new("claims/covers", moment(0)) };
        assert!(!begun.may_begin(EVERY, moment(159)) && begun.may_begin(EVERY, moment(160)));
        let held = Watch { holder: Some(("one".to_owned(), moment(200))), ..begun.clone() };
        assert!(!held.may_begin(EVERY, moment(199)), "another is at it");
        assert!(held.may_begin(EVERY, moment(200)), "whoever was at it is gone");
        let paused = Watch { paused: Some("a migration".to_owned()), ..begun };
        assert!(!paused.may_begin(EVERY, moment(1_000)));
    }

    #[test]
    fn thresholds_say_who_hears_of_it() {
        let limits =
            Limits { warn: Some(Threshold::Rows(2)), page: Some(Threshold::ShareMillionths(10_000)) };
        assert_eq!(limits.alarm(0, 100), Alarm::Quiet);
        assert_eq!(limits.alarm(1, 1_000), Alarm::Quiet);
        assert_eq!(limits.alarm(2, 1_000), Alarm::Warn);
        assert_eq!(limits.alarm(10, 1_000), Alarm::Page);
        assert_eq!(limits.alarm(1, 100), Alarm::Page, "a share of few rows");
        assert_eq!(Limits::default().alarm(1, 1_000_000), Alarm::Page, "nothing is declared");
        assert_eq!(Limits::default().alarm(0, 0), Alarm::Quiet);
    }
}
