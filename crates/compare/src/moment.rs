//! Days and moments as texts have them, from before 1970 to for ever.

use crate::cell::{FIRST_DAY, FOR_EVER, LAST_DAY, SINCE_EVER};

pub(crate) const MICROS_A_DAY: i64 = 86_400_000_000;

/// Returns the days since 1970 of a day in the proleptic Gregorian calendar (H. Hinnant, "chrono-compatible low-level date algorithms").
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day_of_year - (153 * shifted + 2) / 5 + 1)
}

/// Reads a number of digits only.
fn digits(text: &str) -> Option<i64> {
    let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_plain { text.parse().ok() } else { None }
}

/// Reads `2024-02-29`, `-infinity`, `infinity`, and years before ours as `0044-03-15 BC` or `-0043-03-15`.
pub(crate) fn date(text: &str) -> Option<i32> {
    match text.to_ascii_lowercase().as_str() {
        "infinity" => return Some(LAST_DAY),
        "-infinity" => return Some(FIRST_DAY),
        _ => {}
    }
    let (text, is_before) = match text.strip_suffix(" BC") {
        Some(text) => (text, true),
        None => (text, false),
    };
    let (text, sign) = match text.strip_prefix('-') {
        Some(text) => (text, -1),
        None => (text.strip_prefix('+').unwrap_or(text), 1),
    };
    let mut parts = text.splitn(3, '-');
    let (year, month, day) = (digits(parts.next()?)?, digits(parts.next()?)?, digits(parts.next()?)?);
    let year = if is_before { 1 - year } else { sign * year };
    if !(1..=12).contains(&month) || year.abs() > 300_000 {
        return None;
    }
    let found = days(year, month, day);
    // A day that the month does not have becomes one of the next.
    (civil(found) == (year, month, day)).then(|| i32::try_from(found).ok())?
}

/// Reads `12:34`, `12:34:56` and `12:34:56.123456789` as nanoseconds since midnight.
pub(crate) fn time(text: &str) -> Option<i64> {
    let (clock, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let mut parts = clock.split(':');
    let (hour, minute) = (digits(parts.next()?)?, digits(parts.next()?)?);
    let second = parts.next().map_or(Some(0), digits)?;
    if parts.next().is_some() || hour > 24 || minute > 59 || second > 60 {
        return None;
    }
    // More than nanoseconds is more than any system keeps: it would be lost without a word.
    let kept = fraction.trim_end_matches('0');
    if kept.len() > 9 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let nanos = digits(&format!("{kept:0<9}"))?;
    Some(((hour * 60 + minute) * 60 + second) * 1_000_000_000 + nanos)
}

/// A moment as it is written, with the zone when it says one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Written {
    /// Microseconds since 1970.
    pub(crate) micros: i64,
    /// Nanoseconds on top.
    pub(crate) nanos: u16,
    /// Seconds that its clock is ahead of UTC.
    pub(crate) offset: Option<i64>,
}

/// Reads a day and a time, with `T` or a blank between them and perhaps an offset behind.
pub(crate) fn moment(text: &str) -> Option<Written> {
    let whole = |micros| Some(Written { micros, nanos: 0, offset: None });
    match text.to_ascii_lowercase().as_str() {
        "infinity" => return whole(FOR_EVER),
        "-infinity" => return whole(SINCE_EVER),
        _ => {}
    }
    let (text, era) = match text.strip_suffix(" BC") {
        Some(text) => (text, " BC"),
        None => (text, ""),
    };
    let at = text.find(['T', 't', ' ']);
    let (day, rest) = at.map_or((text, "00:00"), |at| (&text[..at], &text[at + 1..]));
    let day = i64::from(date(&format!("{day}{era}"))?);
    let (clock, offset) = match rest.find(['Z', 'z', '+', '-']) {
        Some(at) => (rest[..at].trim_end(), Some(self::offset(&rest[at..])?)),
        None => (rest, None),
    };
    let nanos = time(clock)?;
    let micros = day.checked_mul(MICROS_A_DAY)?.checked_add(nanos / 1_000)?;
    let nanos = u16::try_from(nanos % 1_000).ok()?;
    Some(Written { micros, nanos, offset })
}

/// Reads `Z`, `+02`, `+02:00`, `+0200` and `-03:30:10` as seconds.
pub(crate) fn offset(text: &str) -> Option<i64> {
    if text.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let plain: String = text[1..].split(':').collect();
    let part = |at: usize| plain.get(at..at + 2).map_or(Some(0), digits);
    let is_whole = matches!(plain.len(), 2 | 4 | 6);
    let (hours, minutes, seconds) = (part(0)?, part(2)?, part(4)?);
    (is_whole && hours < 24 && minutes < 60 && seconds < 60)
        .then_some(sign * (hours * 3_600 + minutes * 60 + seconds))
}

/// Returns a day as ISO 8601 has it; years before ours as `0044-03-15 BC`.
pub(crate) fn show_date(day: i32) -> String {
    match day {
        LAST_DAY => "infinity".to_owned(),
        FIRST_DAY => "-infinity".to_owned(),
        day => {
            let (year, month, day) = civil(day.into());
            let (year, era) = if year <= 0 { (1 - year, " BC") } else { (year, "") };
            format!("{year:04}-{month:02}-{day:02}{era}")
        }
    }
}

/// Returns a time of day.
pub(crate) fn show_time(nanos: i64) -> String {
    let seconds = nanos / 1_000_000_000;
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    let fraction = format!("{:09}", nanos % 1_000_000_000);
    let fraction = fraction.trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{hour:02}:{minute:02}:{second:02}{point}{fraction}")
}

/// Returns a day and time.
pub(crate) fn show_moment(micros: i64, nanos: u16, zone: &str) -> String {
    match micros {
        FOR_EVER => return "infinity".to_owned(),
        SINCE_EVER => return "-infinity".to_owned(),
        _ => {}
    }
    let day = i32::try_from(micros.div_euclid(MICROS_A_DAY)).expect("microseconds reach no further");
    let day = show_date(day);
    let (day, era) = day.strip_suffix(" BC").map_or((day.as_str(), ""), |day| (day, " BC"));
    let time = show_time(micros.rem_euclid(MICROS_A_DAY) * 1_000 + i64::from(nanos));
    format!("{day} {time}{zone}{era}")
}

#[cfg(test)]
mod tests {
    use super::{date, moment, offset, show_date, show_moment, time};
    use proptest::prelude::*;

    #[test]
    fn moments_before_1970_and_without_end_are_read() {
        assert_eq!(date("1970-01-01"), Some(0));
        assert_eq!(date("1969-12-31"), Some(-1));
        assert_eq!(date("0044-03-15 BC"), date("-0043-03-15"));
        assert_eq!(moment("1969-12-31 23:59:59.999999").unwrap().micros, -1);
        assert_eq!(moment("infinity").unwrap().micros, i64::MAX);
        assert_eq!(moment("2024-01-01T00:00:00.000000123Z").unwrap().nanos, 123);
        assert_eq!(offset("+02"), Some(7_200));
        assert_eq!(offset("-03:30"), Some(-12_600));
    }

    #[test]
    fn what_is_no_moment_is_none() {
        for text in
            ["", "2023-02-29", "2023-13-01", "tomorrow", "2024-01-01 25:00", "2024-01-01 00:00:00.0000000001"]
        {
            assert_eq!(moment(text), None, "{text}");
        }
        assert_eq!(time("12:60"), None);
        assert_eq!(offset("+2"), None);
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_as_the_same(micros in -100_000_000_000_000_000_i64..100_000_000_000_000_000, nanos in 0_u16..1000) {
            let shown = show_moment(micros, nanos, "+00");
            let read = moment(&shown).unwrap();
            prop_assert_eq!((read.micros, read.nanos, read.offset), (micros, nanos, Some(0)));
        }

        #[test]
        fn days_are_read_as_they_are_shown(day in -1_000_000_i32..1_000_000) {
            prop_assert_eq!(date(&show_date(day)), Some(day));
        }
    }
}
