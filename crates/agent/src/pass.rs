//! Passes over the subjects of one database: which are due by the cadence of their contracts, and what each found and cost.

use crate::agent::Agent;
use crate::custody::Compared;
use crate::site::Site;
use jiff::Timestamp;
use jiff::civil::Time;
use jiff::tz::TimeZone;
use seamline_contract::contract::{Reconciliation, Repair};
use seamline_contract::measure::Threshold;
use seamline_flow::drift::{Conclusion, Report};
use seamline_flow::intake::Intake;
use seamline_flow::outlet::OutletSet;
use seamline_flow::pass::{Limits, Pass, Passes, drifted, facts, rows};
use seamline_flow::port::PortError;
use std::str::FromStr;
use std::time::Duration;

/// Why a pass that had nothing to compare says nothing.
const NOTHING: &str = "nothing of it could be compared: its topic is not there yet, it has ended, or its rows are in several databases";

/// A subject of a database, and what its documents say of its comparisons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    /// The contract or subscription, as printed.
    pub subject: String,
    /// How often; none: only when somebody asks.
    pub every: Option<Duration>,
    /// From where on somebody hears of it.
    pub limits: Limits,
    /// Below it agents mend by themselves; none: they never do.
    pub unattended: Option<Threshold>,
    /// It is mended by people, and by nothing here.
    pub manual: bool,
    /// What people do then: a path in the estate.
    pub runbook: Option<String>,
}

impl Watched {
    /// Returns whether agents mend what a pass found, and nobody needs to look first.
    pub(crate) fn is_mended_unattended(&self, pass: &Pass) -> bool {
        let is_below = self.unattended.is_some_and(|bound| !bound.reached(pass.drifted, pass.rows));
        pass.conclusion == Conclusion::Drift && pass.drifted > 0 && is_below && !self.manual
    }
}

/// What a pass over one subject cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// When it began.
    pub began: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// Bytes of records that were read from the log.
    pub bytes: u64,
}

/// How passes make room for the work of services.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pacing {
    /// Between which times of the day, in UTC, they begin; none: at any.
    pub hours: Option<Hours>,
    /// How many records of the log a pass reads in a second at most; none: as many as it gets.
    pub rate: Option<u32>,
}

/// A part of the day; it can lie over midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hours {
    from: Time,
    to: Time,
}

impl FromStr for Hours {
    type Err = String;

    fn from_str(text: &str) -> Result<Hours, String> {
        let time = |text: &str| Time::strptime("%H:%M", text).ok();
        let parsed = text.split_once('-').and_then(|(from, to)| Some((time(from)?, time(to)?)));
        match parsed {
            Some((from, to)) if from != to => Ok(Hours { from, to }),
            _ => Err("write two times of the day in UTC such as `22:00-05:30`".to_owned()),
        }
    }
}

impl Pacing {
    /// Returns whether a pass may begin at a moment.
    pub fn is_open(&self, now: Timestamp) -> bool {
        let Some(Hours { from, to }) = self.hours else { return true };
        let time = TimeZone::UTC.to_datetime(now).time();
        if from < to { from <= time && time < to } else { from <= time || time < to }
    }
}

/// Returns what is watched of what a database publishes and keeps. A subscription that says nothing of a cadence is compared as
/// often as its contract is.
pub(crate) fn watched(site: &Site, outlets: Option<&OutletSet>, intakes: &[Intake]) -> Vec<Watched> {
    let of = |subject: String, own: Option<&Reconciliation>, other: Option<&Reconciliation>| {
        let every = own.and_then(|it| it.every).or_else(|| other.and_then(|it| it.every));
        let limits = own.or(other).map(|it| Limits { warn: it.warn, page: it.page }).unwrap_or_default();
        let runbook =
            own.and_then(|it| it.runbook.clone()).or_else(|| other.and_then(|it| it.runbook.clone()));
        let unattended = own.and_then(|it| it.unattended);
        let manual = own.and_then(|it| it.repair) == Some(Repair::Manual);
        Watched { subject, every: every.map(|it| it.0), limits, unattended, manual, runbook }
    };
    let contract = |name| site.estate.current(name).and_then(|it| it.reconciliation.as_ref());
    let published = outlets.into_iter().flat_map(OutletSet::all).filter(|it| !it.channels.is_empty());
    let published = published.map(|it| of(it.contract.to_string(), contract(&it.contract.name), None));
    let kept = intakes.iter().filter(|it| it.table().is_some()).map(|it| {
        let own = site.estate.subscription(&it.subscription).and_then(|it| it.reconciliation.as_ref());
        of(it.subscription.to_string(), own, contract(&it.contract.name))
    });
    published.chain(kept).collect()
}

impl Agent {
    /// Notes what a comparison found and cost, one pass for each subject.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn note_passes(&self, compared: &Compared, holder: &str) -> Result<(), PortError> {
        for subject in compared.costs.keys() {
            self.database.note_pass(&self.pass(compared, subject, holder)).await?;
        }
        Ok(())
    }

    /// Returns the pass over one subject of a comparison; an inconclusive one where nothing of it was seen.
    pub(crate) fn pass(&self, compared: &Compared, subject: &str, holder: &str) -> Pass {
        let now = Timestamp::now();
        let cost = compared.costs.get(subject).copied();
        let cost = cost.unwrap_or(Cost { began: now, ended: now, bytes: 0 });
        let check = compared.source.iter().find(|it| it.contract.to_string() == subject);
        let of = |at: usize| self.intakes[at].subscription.to_string() == subject;
        let consumer = compared.consumer.iter().find(|(at, _)| of(*at)).map(|(_, found)| found);
        let reports: &[Report] = match (check, consumer) {
            (Some(check), _) => &check.reports,
            (None, Some(found)) => &found.reports,
            (None, None) => &[],
        };
        let conclusion = Compared::conclusion_of(check, consumer);
        let is_unseen = check.is_none() && consumer.is_none();
        Pass {
            subject: subject.to_owned(),
            holder: holder.to_owned(),
            began: cost.began,
            ended: cost.ended,
            conclusion: if is_unseen { Conclusion::Inconclusive } else { conclusion },
            rows: rows(reports),
            drifted: drifted(reports),
            bytes: cost.bytes,
            facts: facts(reports, check, is_unseen.then_some(NOTHING)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Hours, Pacing};

    fn check(hours: &str, now: &str, expected: bool) {
        let pacing = Pacing { hours: Some(hours.parse().unwrap()), rate: None };
        assert_eq!(pacing.is_open(now.parse().unwrap()), expected, "{hours} at {now}");
    }

    #[test]
    fn passes_begin_between_their_hours() {
        check("22:00-05:30", "2026-03-01T23:00:00Z", true);
        check("22:00-05:30", "2026-03-01T05:29:59Z", true);
        check("22:00-05:30", "2026-03-01T05:30:00Z", false);
        check("01:00-02:00", "2026-03-01T01:00:00Z", true);
        check("01:00-02:00", "2026-03-01T02:00:00Z", false);
        assert!(Pacing::default().is_open("2026-03-01T02:00:00Z".parse().unwrap()));
    }

    #[test]
    fn hours_that_are_none_are_refused() {
        for text in ["", "22-5", "22:00", "24:00-25:00", "05:00-05:00"] {
            assert!(text.parse::<Hours>().is_err(), "{text}");
        }
    }
}
