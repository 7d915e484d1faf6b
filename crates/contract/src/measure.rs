//! Measures that contracts promise with: durations, percentiles, counts, rates, thresholds.

use crate::id::IdError;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A duration as it is written: a whole number and one unit, `500ms`, `30s`, `15m`, `24h`, `14d`, `2w`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span(pub Duration);

const UNITS: [(&str, u64); 6] =
    [("ms", 1), ("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)];

impl FromStr for Span {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let error =
            || IdError { text: text.to_owned(), expected: "a duration such as `30s`, `15m`, `24h` or `14d`" };
        let (digits, millis) = UNITS
            .iter()
            .find_map(|(unit, millis)| Some((text.strip_suffix(unit)?, *millis)))
            .ok_or_else(error)?;
        if digits.is_empty() || !digits.bytes().all(|c| c.is_ascii_digit()) {
            return Err(error());
        }
        let count: u64 = digits.parse().map_err(|_| error())?;
        Ok(Span(Duration::from_millis(count.checked_mul(millis).ok_or_else(error)?)))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.0.as_millis();
        let by_size =
            [("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
        let exact = by_size.iter().find(|(_, millis)| total != 0 && total.is_multiple_of(*millis));
        let (unit, millis) = exact.copied().unwrap_or(("ms", 1));
        write!(f, "{}{unit}", total / millis)
    }
}

/// A duration that a share of all cases keeps: `30s p99`. Without a percentile: p99.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Within {
    /// The bound.
    pub span: Span,
    /// The share that keeps it, in tenths of a percent: 990 is p99.
    pub permille: u16,
}

impl Within {
    /// Returns whether a promise of `self` covers a need for `need`: as many cases at least, no later.
    pub fn covers(&self, need: &Within) -> bool {
        self.permille >= need.permille && self.span <= need.span
    }
}

impl FromStr for Within {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let error =
            || IdError { text: text.to_owned(), expected: "a duration with a percentile such as `30s p99`" };
        let (span, share) = text.split_once(' ').unwrap_or((text, "p99"));
        let digits = share.trim().strip_prefix('p').ok_or_else(error)?;
        let (whole, tenth) = digits.split_once('.').unwrap_or((digits, "0"));
        let whole: u16 = whole.parse().map_err(|_| error())?;
        let tenth: u16 =
            if tenth.len() == 1 { tenth.parse().map_err(|_| error())? } else { return Err(error()) };
        let permille = whole.checked_mul(10).and_then(|w| w.checked_add(tenth)).ok_or_else(error)?;
        if !(1..=1000).contains(&permille) {
            return Err(error());
        }
        Ok(Within { span: span.parse().map_err(|_| error())?, permille })
    }
}

impl fmt::Display for Within {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} p{}", self.span, self.permille / 10)?;
        if !self.permille.is_multiple_of(10) { write!(f, ".{}", self.permille % 10) } else { Ok(()) }
    }
}

/// A number of things: `500`, `300k`, `2M`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Count(pub u64);

impl FromStr for Count {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let error = || IdError { text: text.to_owned(), expected: "a count such as `500`, `300k` or `2M`" };
        let (digits, factor) = match text.as_bytes().last() {
            Some(b'k') => (&text[..text.len() - 1], 1_000),
            Some(b'M') => (&text[..text.len() - 1], 1_000_000),
            Some(b'G') => (&text[..text.len() - 1], 1_000_000_000),
            _ => (text, 1),
        };
        if digits.is_empty() || !digits.bytes().all(|c| c.is_ascii_digit()) {
            return Err(error());
        }
        let count: u64 = digits.parse().map_err(|_| error())?;
        Ok(Count(count.checked_mul(factor).ok_or_else(error)?))
    }
}

/// A number of things in a span of time: `300k/day`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rate {
    /// How many.
    pub count: Count,
    /// In how long, in seconds.
    pub per_seconds: u64,
}

impl FromStr for Rate {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let error = || IdError { text: text.to_owned(), expected: "a rate such as `300k/day`" };
        let (count, unit) = text.split_once('/').ok_or_else(error)?;
        let per_seconds = match unit {
            "second" => 1,
            "minute" => 60,
            "hour" => 3_600,
            "day" => 86_400,
            "week" => 604_800,
            "year" => 31_536_000,
            _ => return Err(error()),
        };
        Ok(Rate { count: count.parse().map_err(|_| error())?, per_seconds })
    }
}

/// How much drift matters, reached at or above: `10 rows`, `1 row` or `0.01% of rows`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Threshold {
    /// A number of rows.
    Rows(u64),
    /// A share of rows, in millionths: `0.01%` is 100.
    ShareMillionths(u32),
}

impl Threshold {
    /// Returns whether `drifted` of `rows` reaches the threshold. Nothing drifted reaches none but `0 rows`.
    pub fn reached(&self, drifted: u64, rows: u64) -> bool {
        match self {
            Threshold::Rows(limit) => drifted >= *limit,
            Threshold::ShareMillionths(share) => {
                drifted > 0 && u128::from(drifted) * 1_000_000 >= u128::from(rows) * u128::from(*share)
            }
        }
    }
}

impl FromStr for Threshold {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let error = || IdError {
            text: text.to_owned(),
            expected: "a threshold such as `10 rows` or `0.01% of rows`",
        };
        if let Some(count) = text.strip_suffix(" rows").or_else(|| text.strip_suffix(" row"))
            && !text.contains('%')
        {
            return Ok(Threshold::Rows(count.parse().map_err(|_| error())?));
        }
        let share = text.strip_suffix("% of rows").ok_or_else(error)?;
        let (whole, fraction) = share.split_once('.').unwrap_or((share, ""));
        if fraction.len() > 4 || !fraction.bytes().all(|c| c.is_ascii_digit()) {
            return Err(error());
        }
        let whole: u32 = whole.parse().map_err(|_| error())?;
        let fraction: u32 = format!("{fraction:0<4}").parse().map_err(|_| error())?;
        if whole > 100 {
            return Err(error());
        }
        Ok(Threshold::ShareMillionths(whole * 10_000 + fraction))
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Threshold::Rows(1) => f.write_str("1 row"),
            Threshold::Rows(rows) => write!(f, "{rows} rows"),
            Threshold::ShareMillionths(share) => {
                let text = format!("{}.{:04}", share / 10_000, share % 10_000);
                write!(f, "{}% of rows", text.trim_end_matches('0').trim_end_matches('.'))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Span, Threshold, Within};

    #[test]
    fn measures_print_as_they_were_read() {
        for text in ["500ms", "30s", "15m", "25h", "13d", "2w"] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), text);
        }
        for text in ["30s p99", "1d p99.9", "1m p50"] {
            assert_eq!(text.parse::<Within>().unwrap().to_string(), text);
        }
        for text in ["1 row", "10 rows", "0.01% of rows", "1% of rows"] {
            assert_eq!(text.parse::<Threshold>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_promise_covers_what_is_later_or_rarer() {
        let within = |text: &str| text.parse::<Within>().unwrap();
        assert!(within("30s p99").covers(&within("5m")));
        assert!(!within("30s p90").covers(&within("5m p99")));
        assert!(!within("6m p99").covers(&within("5m p99")));
    }

    #[test]
    fn a_share_is_reached_at_or_above() {
        let page: Threshold = "0.01% of rows".parse().unwrap();
        assert!(page.reached(1, 10_000));
        assert!(!page.reached(1, 10_001));
        assert!(!page.reached(0, 0));
    }
}
