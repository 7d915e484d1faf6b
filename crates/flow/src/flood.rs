//! The breaker on floods: so many broken messages may go aside in a minute, then the rest of it is waited for. A whole topic
//! is never put into quarantine while nobody looks. Pure.

use crate::case::{CaseKind, NewCase};
use crate::hold::details;
use crate::intake::Intake;
use crate::outlet::Outlet;
use crate::store::Lane;
use jiff::Timestamp;
use seamline_message::mutant::{self, Mutant};
use serde_json::json;
use std::time::Duration;

/// How many broken messages of one lane, or of one contract at its source, may go aside in a minute. What was read at once is
/// finished.
pub const ASIDE_MAX: u64 = 1_000;

/// For how long they are counted, and how long a flood rests at most.
pub const WINDOW: Duration = Duration::from_secs(60);

/// Broken messages of the minute that began with the first of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flood {
    began: Option<Timestamp>,
    broken: u64,
}

impl Flood {
    /// Returns until when nothing more is taken in; none as long as there is room.
    pub fn rests(&self, now: Timestamp) -> Option<Timestamp> {
        let until = self.began?.saturating_add(WINDOW).unwrap_or(Timestamp::MAX);
        let is_full = self.broken >= ASIDE_MAX && !mutant::is(Mutant::NoBreaker);
        (is_full && now < until).then_some(until)
    }

    /// Counts broken messages that went aside at a moment.
    pub fn count(&mut self, now: Timestamp, broken: u64) {
        if broken == 0 {
            return;
        }
        let is_over = |began: Timestamp| now.duration_since(began).unsigned_abs() >= WINDOW;
        if self.began.is_none_or(is_over) {
            *self = Flood { began: Some(now), broken: 0 };
        }
        self.broken += broken;
    }
}

const HOW_TO_GO_ON: &str = "it goes on by itself at that pace; mend what makes them, or the contract, then re-drive what waits: \
    `seamline quarantine list`";

/// Returns the case of a lane whose records break their contract in numbers.
pub fn lane_case(intake: &Intake, lane: &Lane) -> NewCase {
    NewCase {
        kind: CaseKind::Quarantine,
        fingerprint: format!("flood/{}/{}", lane.subscription, lane.topic),
        subject: lane.subscription.to_string(),
        owed_by: intake.contract.name.context.clone(),
        summary: format!(
            "more than {ASIDE_MAX} messages a minute on `{}` break their contract, and its lane rests; {HOW_TO_GO_ON}",
            lane.topic
        ),
        details: details(lane, &[]),
    }
}

/// Returns the case of a contract whose rows break it in numbers.
pub fn source_case(outlet: &Outlet) -> NewCase {
    let contract = &outlet.contract;
    NewCase {
        kind: CaseKind::Quarantine,
        fingerprint: format!("flood/{contract}"),
        subject: contract.to_string(),
        owed_by: contract.name.context.clone(),
        summary: format!(
            "more than {ASIDE_MAX} rows a minute of `{contract}` break it, and its other rows wait in the outbox; {HOW_TO_GO_ON}"
        ),
        details: json!({ "contract": contract.to_string() }).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::{ASIDE_MAX, Flood};
    use jiff::Timestamp;

    #[test]
    fn a_minute_takes_so_many_and_the_next_as_many_again() {
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        let mut flood = Flood::default();
        assert_eq!(flood.rests(at(0)), None);
        flood.count(at(0), ASIDE_MAX - 1);
        assert_eq!(flood.rests(at(1)), None);
        flood.count(at(1), 5);
        assert_eq!(flood.rests(at(2)), Some(at(60)));
        assert_eq!(flood.rests(at(60)), None);
        flood.count(at(61), 1);
        assert_eq!(flood.rests(at(62)), None);
    }

    #[test]
    fn what_is_not_broken_opens_no_window() {
        let mut flood = Flood::default();
        flood.count(Timestamp::UNIX_EPOCH, 0);
        assert_eq!(flood, Flood::default());
    }
}
