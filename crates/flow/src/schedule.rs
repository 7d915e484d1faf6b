//! When the rows of a contract leave that is sent at fixed hours, and when they are late. Pure.

use crate::cadence::{CadenceError, Hours};
use crate::case::{CaseKind, NewCase};
use jiff::Timestamp;
use seamline_contract::channel::Cadence;
use seamline_contract::contract::Contract;
use seamline_contract::id::ContractRef;
use seamline_contract::resolve::ResolvedContract;
use serde_json::json;
use std::time::Duration;

/// Why a contract has no hours at which its rows leave.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// Its channels have no hours.
    #[error(transparent)]
    Cadence(#[from] CadenceError),
    /// Its channels have different ones.
    #[error(
        "one row goes to all its channels, and they are sent at different times (`{0}` and `{1}`): give events and state \
         one cadence, in the text of each older major that is served, too"
    )]
    Mixed(String, String),
}

/// The hours of all channels of a contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// The hours.
    pub hours: Hours,
    /// How soon after its hour a row is promised; none: nothing is promised.
    pub promised: Option<Duration>,
}

impl Schedule {
    /// Returns the hours of a contract and of the older majors that it serves; none when it is sent as it happens.
    ///
    /// # Errors
    /// When its channels differ in them, or they are none.
    pub fn of(contract: &ResolvedContract) -> Result<Option<Schedule>, ScheduleError> {
        let served = contract.served.iter().map(|served| &served.contract.contract);
        let all: Vec<&Cadence> =
            std::iter::once(&contract.contract).chain(served).flat_map(cadences).collect();
        let Some((first, rest)) = all.split_first() else { return Ok(None) };
        if let Some(other) = rest.iter().find(|other| *other != first) {
            return Err(ScheduleError::Mixed(text(first), text(other)));
        }
        let promised = promised(&contract.contract);
        Ok(Hours::of(first)?.map(|hours| Schedule { hours, promised }))
    }

    /// Returns the hour until which what was written and did not leave is late; none where nothing is promised.
    pub fn late(&self, now: Timestamp) -> Option<Timestamp> {
        Some(self.hours.last(now.checked_sub(self.promised?).ok()?))
    }
}

fn cadences(contract: &Contract) -> impl Iterator<Item = &Cadence> {
    let events = contract.events.as_ref().map(|events| &events.terms);
    events.into_iter().chain(&contract.state).map(|terms| &terms.cadence)
}

fn text(cadence: &Cadence) -> String {
    match cadence {
        Cadence::Continuous => "continuous".to_owned(),
        Cadence::At(text) => text.clone(),
    }
}

/// The stricter promise of both channels: they leave together.
fn promised(contract: &Contract) -> Option<Duration> {
    let events = contract.guarantees.events.as_ref().and_then(|events| events.freshness);
    let state = contract.guarantees.state.as_ref().and_then(|state| state.freshness);
    events.into_iter().chain(state).map(|within| within.span.0).min()
}

/// Returns what makes it the case of late rows of a contract.
pub fn late_fingerprint(contract: &ContractRef) -> String {
    format!("promise/{contract}/hour")
}

/// Returns the case of rows that did not leave in time; the last hour at which they should have.
pub fn late_case(contract: &ContractRef, hour: Timestamp) -> NewCase {
    NewCase {
        kind: CaseKind::Promise,
        fingerprint: late_fingerprint(contract),
        subject: contract.to_string(),
        owed_by: contract.name.context.clone(),
        summary: format!(
            "what is sent of `{contract}` at its hour did not leave in time: see that an agent of `{}` runs then, and that \
             its topics take records",
            contract.name.context
        ),
        details: json!({ "hour": hour.to_string() }).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Schedule, ScheduleError};
    use crate::relay::fixture;

    fn schedule(events: &str, state: &str) -> Result<Option<Schedule>, ScheduleError> {
        Schedule::of(&fixture::at_hours(events, state))
    }

    #[test]
    fn all_channels_have_one_schedule_or_none() {
        assert_eq!(schedule("continuous", "continuous"), Ok(None));
        let hourly = schedule("hourly :00", "hourly :00").unwrap().unwrap();
        assert_eq!(hourly.hours.text(), "hourly :00");
        for (events, state) in [("continuous", "hourly :00"), ("every 1h", "hourly :00")] {
            let mixed = ScheduleError::Mixed(events.to_owned(), state.to_owned());
            assert_eq!(schedule(events, state), Err(mixed));
        }
    }

    #[test]
    fn what_is_promised_after_its_hour_is_late_only_then() {
        let hourly = schedule("hourly :00", "hourly :00").unwrap().unwrap();
        // The fixture promises state within thirty seconds.
        for (now, late) in [("10:00:29", "09:00:00"), ("10:00:30", "10:00:00"), ("10:59:59", "10:00:00")] {
            let now = format!("2026-03-01T{now}Z").parse().unwrap();
            assert_eq!(hourly.late(now).unwrap().to_string(), format!("2026-03-01T{late}Z"));
        }
    }
}
