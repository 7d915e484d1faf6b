//! The end of an older major: who is told of it, and when. Pure.

use crate::case::{CaseKind, NewCase};
use crate::intake::Intake;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;
use serde_json::json;

/// How many days before its end a consumer of an older major is told.
pub const TOLD_DAYS: i32 = 30;

/// How an older major that a subscription reads stands to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It is written for so many days more, today among them.
    In(i32),
    /// Nothing is written to it any more.
    Over,
}

/// Returns how the older major that a subscription reads stands to its end; none where it reads the newest.
pub fn ending(intake: &Intake, now: Timestamp) -> Option<Ending> {
    let (_, until) = intake.served.as_ref()?;
    days(until, now)
}

/// Returns how a last day stands to a moment; none where it is no day.
pub fn days(until: &str, now: Timestamp) -> Option<Ending> {
    let until: Date = until.parse().ok()?;
    let today = Offset::UTC.to_datetime(now).date();
    let left = today.until(until).ok()?.get_days();
    Some(if left < 0 { Ending::Over } else { Ending::In(left + 1) })
}

/// Returns the case of a subscription whose major ends soon, or has ended; none as long as there is time.
pub fn ending_case(intake: &Intake, now: Timestamp) -> Option<NewCase> {
    let (newest, until) = intake.served.as_ref()?;
    let (contract, subscription) = (&intake.contract, &intake.subscription);
    let what = match ending(intake, now)? {
        Ending::In(left) if left > TOLD_DAYS => return None,
        Ending::In(left) => {
            format!(
                "`{contract}` is written until {until}, {left} days more; then `{subscription}` gets nothing"
            )
        }
        Ending::Over => {
            format!("`{contract}` ended on {until}: `{subscription}` keeps what was so on that day")
        }
    };
    Some(NewCase {
        kind: CaseKind::Topic,
        fingerprint: format!("era/{subscription}/{contract}"),
        subject: subscription.to_string(),
        owed_by: intake.consumer().clone(),
        summary: format!("{what}; move it to `{newest}`"),
        details: json!({ "contract": contract.to_string(), "until": until, "newest": newest.to_string() })
            .to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::{Ending, days};

    #[test]
    fn the_last_day_is_a_day_on_which_it_is_written() {
        let at = |moment: &str| days("2027-03-31", moment.parse().unwrap());
        assert_eq!(at("2027-03-01T12:00:00Z"), Some(Ending::In(31)));
        assert_eq!(at("2027-03-31T23:59:59Z"), Some(Ending::In(1)));
        assert_eq!(at("2027-04-01T00:00:00Z"), Some(Ending::Over));
        assert_eq!(days("some day", "2027-04-01T00:00:00Z".parse().unwrap()), None);
    }
}
