//! The hours of a channel that is sent at fixed times. Pure: the zones are those of the program.

use jiff::Timestamp;
use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use seamline_contract::channel::Cadence;
use seamline_contract::measure::Span;
use std::time::Duration;

/// How many days one looks back for an hour: longer than a month.
const DAYS_BACK: usize = 40;

/// Why a cadence has no hours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CadenceError {
    /// It names no zone, and neither does the estate.
    #[error("the cadence `{0}` names no zone, and `defaults` of the estate gives none")]
    NoZone(String),
    /// Its zone is not known.
    #[error("the cadence `{0}` names a zone that is not known")]
    UnknownZone(String),
    /// It is none.
    #[error("`{0}` is no cadence")]
    NoCadence(String),
}

/// The hours of a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hours {
    text: String,
    when: When,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum When {
    /// At the multiples of a time, counted from the epoch.
    Every(Duration),
    /// At a minute of each hour of UTC.
    Hourly(i64),
    /// On days, at an hour and a minute of a zone.
    On(Days, i8, i8, TimeZone),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Days {
    All,
    Work,
    Weekly(Weekday),
    /// Of a month that has no such day, the last.
    Monthly(i8),
}

impl Hours {
    /// Returns the hours of a cadence; none when it is continuous.
    ///
    /// # Errors
    /// When it names no zone or one that is not known.
    pub fn of(cadence: &Cadence) -> Result<Option<Hours>, CadenceError> {
        match cadence {
            Cadence::Continuous => Ok(None),
            Cadence::At(text) => Ok(Some(Hours { text: text.clone(), when: when(text)? })),
        }
    }

    /// Returns the text of the cadence.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the last of the hours that is not after a moment.
    pub fn last(&self, now: Timestamp) -> Timestamp {
        match &self.when {
            When::Every(_) => multiple(now.as_millisecond(), self.when.period_ms().unwrap_or(1), 0),
            When::Hourly(minute) => multiple(now.as_millisecond(), 3_600_000, minute * 60_000),
            When::On(days, hour, minute, zone) => {
                let mut day = zone.to_datetime(now).date();
                for _ in 0..DAYS_BACK {
                    match zone.to_timestamp(day.at(*hour, *minute, 0, 0)) {
                        Ok(at) if days.has(day) && at <= now => return at,
                        _ => {}
                    }
                    let Ok(before) = day.yesterday() else { break };
                    day = before;
                }
                Timestamp::MIN
            }
        }
    }

    /// Returns the first of the hours that is after a moment.
    pub fn next(&self, now: Timestamp) -> Timestamp {
        let last = self.last(now);
        match &self.when {
            When::On(days, hour, minute, zone) => {
                let mut day = zone.to_datetime(now).date();
                for _ in 0..DAYS_BACK {
                    match zone.to_timestamp(day.at(*hour, *minute, 0, 0)) {
                        Ok(at) if days.has(day) && at > now => return at,
                        _ => {}
                    }
                    let Ok(after) = day.tomorrow() else { break };
                    day = after;
                }
                Timestamp::MAX
            }
            when => {
                let period = when.period_ms().unwrap_or(1);
                let next = last.as_millisecond().saturating_add(period);
                Timestamp::from_millisecond(next).unwrap_or(Timestamp::MAX)
            }
        }
    }
}

impl When {
    /// Returns how long the hours are apart that follow one another by the clock; none for those of days.
    fn period_ms(&self) -> Option<i64> {
        match self {
            When::Every(every) => Some(i64::try_from(every.as_millis()).unwrap_or(i64::MAX).max(1)),
            When::Hourly(_) => Some(3_600_000),
            When::On(..) => None,
        }
    }
}

/// Returns the last moment that is so far behind a multiple of a time.
fn multiple(now: i64, every: i64, behind: i64) -> Timestamp {
    let at = (now - behind).div_euclid(every) * every + behind;
    Timestamp::from_millisecond(at).unwrap_or(Timestamp::MIN)
}

impl Days {
    fn has(self, day: Date) -> bool {
        match self {
            Days::All => true,
            Days::Work => !matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday),
            Days::Weekly(weekday) => day.weekday() == weekday,
            Days::Monthly(of_month) => day.day() == of_month.min(day.days_in_month()),
        }
    }
}

fn when(text: &str) -> Result<When, CadenceError> {
    let none = || CadenceError::NoCadence(text.to_owned());
    let words: Vec<&str> = text.split(' ').collect();
    let (days, rest) = match words[..] {
        ["every", span] => {
            let span: Span = span.parse().map_err(|_| none())?;
            return if span.0.is_zero() { Err(none()) } else { Ok(When::Every(span.0)) };
        }
        ["hourly", minute] => {
            let minute = minute.strip_prefix(':').and_then(|it| it.parse().ok()).ok_or_else(none)?;
            return Ok(When::Hourly(minute));
        }
        ["daily", ref rest @ ..] => (Days::All, rest),
        ["weekdays", ref rest @ ..] => (Days::Work, rest),
        ["weekly", day, ref rest @ ..] => (Days::Weekly(weekday(day).ok_or_else(none)?), rest),
        ["monthly", day, ref rest @ ..] => (Days::Monthly(day.parse().map_err(|_| none())?), rest),
        _ => return Err(none()),
    };
    let (at, zone) = match rest {
        [at, zone] => (at, zone),
        [_] => return Err(CadenceError::NoZone(text.to_owned())),
        _ => return Err(none()),
    };
    let (hour, minute) = at.split_once(':').ok_or_else(none)?;
    let number = |text: &str| text.parse::<i8>().map_err(|_| none());
    let zone = match *zone {
        "UTC" => TimeZone::UTC,
        name => TimeZone::get(name).map_err(|_| CadenceError::UnknownZone(text.to_owned()))?,
    };
    Ok(When::On(days, number(hour)?, number(minute)?, zone))
}

fn weekday(text: &str) -> Option<Weekday> {
    let days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let place = days.iter().position(|day| *day == text)?;
    Weekday::from_monday_zero_offset(i8::try_from(place).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::{CadenceError, Hours};
    use seamline_contract::channel::Cadence;

    fn hours(text: &str) -> Result<Hours, CadenceError> {
        Ok(Hours::of(&Cadence::At(text.to_owned()))?.expect("it has hours"))
    }

    fn check(text: &str, now: &str, expected: &str) {
        let last = hours(text).unwrap().last(now.parse().unwrap());
        assert_eq!(last.to_string(), expected, "{text} at {now}");
    }

    #[test]
    fn the_last_hour_is_the_nearest_that_is_not_ahead() {
        check("every 15m", "2026-03-01T10:29:59Z", "2026-03-01T10:15:00Z");
        check("every 15m", "2026-03-01T10:30:00Z", "2026-03-01T10:30:00Z");
        check("hourly :30", "2026-03-01T10:29:59Z", "2026-03-01T09:30:00Z");
        check("hourly :30", "2026-03-01T10:30:00Z", "2026-03-01T10:30:00Z");
        check("daily 06:00 UTC", "2026-03-01T05:59:59Z", "2026-02-28T06:00:00Z");
        check("daily 06:00 UTC", "2026-03-01T06:00:00Z", "2026-03-01T06:00:00Z");
        check("weekdays 06:00 UTC", "2026-03-01T07:00:00Z", "2026-02-27T06:00:00Z");
        check("weekly wed 06:00 UTC", "2026-03-03T07:00:00Z", "2026-02-25T06:00:00Z");
        check("monthly 31 06:00 UTC", "2026-03-02T07:00:00Z", "2026-02-28T06:00:00Z");
    }

    #[test]
    fn the_next_hour_is_the_nearest_ahead() {
        let check = |text: &str, now: &str, expected: &str| {
            let next = hours(text).unwrap().next(now.parse().unwrap());
            assert_eq!(next.to_string(), expected, "{text} at {now}");
        };
        check("every 15m", "2026-03-01T10:30:00Z", "2026-03-01T10:45:00Z");
        check("hourly :30", "2026-03-01T10:29:59Z", "2026-03-01T10:30:00Z");
        check("daily 06:00 UTC", "2026-03-01T06:00:00Z", "2026-03-02T06:00:00Z");
        check("weekdays 06:00 UTC", "2026-02-27T07:00:00Z", "2026-03-02T06:00:00Z");
        check("monthly 31 06:00 UTC", "2026-02-27T07:00:00Z", "2026-02-28T06:00:00Z");
        check("daily 06:00 Europe/Berlin", "2026-03-28T05:00:00Z", "2026-03-29T04:00:00Z");
    }

    #[test]
    fn a_day_begins_where_its_zone_is_and_an_hour_that_is_not_there_comes_after_the_gap() {
        check("daily 06:00 Europe/Berlin", "2026-03-28T05:00:00Z", "2026-03-28T05:00:00Z");
        check("daily 06:00 Europe/Berlin", "2026-03-29T04:00:00Z", "2026-03-29T04:00:00Z");
        check("daily 02:30 Europe/Berlin", "2026-03-29T12:00:00Z", "2026-03-29T01:30:00Z");
        check("daily 00:30 Asia/Tokyo", "2026-03-28T16:00:00Z", "2026-03-28T15:30:00Z");
    }

    #[test]
    fn a_zone_must_be_known() {
        assert!(matches!(hours("daily 06:00"), Err(CadenceError::NoZone(_))));
        assert!(matches!(hours("daily 06:00 Moon/Base"), Err(CadenceError::UnknownZone(_))));
        assert!(matches!(hours("sometimes"), Err(CadenceError::NoCadence(_))));
        assert_eq!(Hours::of(&Cadence::Continuous), Ok(None));
    }
}
