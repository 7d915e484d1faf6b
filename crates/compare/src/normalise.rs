//! What is done to the values of a column on both sides before they are compared, as a user declares it.

use crate::kind::Kind;
use crate::moment::offset;
use std::str::FromStr;

/// What is done to values before they are compared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Normal {
    /// They are read as this kind.
    pub kind: Option<Kind>,
    /// Blanks before and behind a text are dropped.
    pub trim: bool,
    /// Letters are made small.
    pub lower: bool,
    /// Texts are brought to Unicode's composed form.
    pub nfc: bool,
    /// A text without letters is no value.
    pub empty_is_null: bool,
    /// Numbers are rounded to so many digits after the point, a half away from zero.
    pub round: Option<u32>,
    /// Times are cut off to so many nanoseconds.
    pub unit_nanos: Option<i64>,
    /// Days and times without a zone are of a clock so many seconds ahead of UTC.
    pub zone_seconds: Option<i64>,
}

/// What a user may write, with what it does.
pub const WORDS: [(&str, &str); 8] = [
    (
        "KIND",
        "read values as boolean, integer, decimal, float, text, bytes, date, time, timestamp, instant, uuid or json",
    ),
    ("trim", "drop blanks before and behind"),
    ("lower", "make letters small"),
    ("nfc", "bring texts to Unicode's composed form"),
    ("empty-null", "an empty text is no value"),
    ("round:N", "round to N digits after the point, a half away from zero"),
    ("to:UNIT", "cut times off to `second`, `millisecond` or `microsecond`"),
    ("zone:OFFSET", "times without a zone are of this one: `zone:UTC`, `zone:+02:00`"),
];

impl FromStr for Normal {
    type Err = String;

    /// Reads steps with commas between them: `decimal,round:2`.
    fn from_str(text: &str) -> Result<Normal, String> {
        let mut normal = Normal::default();
        for step in text.split(',') {
            let (word, value) = step.trim().split_once(':').unwrap_or((step.trim(), ""));
            match (word, value) {
                ("trim", "") => normal.trim = true,
                ("lower", "") => normal.lower = true,
                ("nfc", "") => normal.nfc = true,
                ("empty-null", "") => normal.empty_is_null = true,
                ("round", digits) => {
                    let digits = digits.parse().ok().filter(|digits| *digits <= 1_000);
                    normal.round = Some(digits.ok_or("`round:` takes a number of digits, as in `round:2`")?);
                }
                ("to", unit) => {
                    let units =
                        [("second", 1_000_000_000), ("millisecond", 1_000_000), ("microsecond", 1_000)];
                    let found = units.iter().find(|(name, _)| *name == unit).map(|(_, nanos)| *nanos);
                    normal.unit_nanos =
                        Some(found.ok_or("`to:` takes `second`, `millisecond` or `microsecond`")?);
                }
                ("zone", zone) => {
                    let seconds = if zone.eq_ignore_ascii_case("utc") { Some(0) } else { offset(zone) };
                    let help = "`zone:` takes `UTC` or an offset, as in `zone:+02:00`";
                    normal.zone_seconds = Some(seconds.ok_or(help)?);
                }
                (kind, "") => {
                    normal.kind = Some(kind.parse().map_err(|error| format!("{error}; or a step as `trim`"))?)
                }
                _ => return Err(format!("there is no step `{step}`")),
            }
        }
        Ok(normal)
    }
}

#[cfg(test)]
mod tests {
    use super::Normal;
    use crate::kind::Kind;

    #[test]
    fn steps_are_read_in_any_order() {
        let normal: Normal = "decimal, round:2,trim,zone:+01:00".parse().unwrap();
        assert_eq!((normal.kind, normal.round, normal.trim), (Some(Kind::Decimal), Some(2), true));
        assert_eq!(normal.zone_seconds, Some(3_600));
    }

    #[test]
    fn an_unknown_step_is_told() {
        for text in ["", "round", "round:x", "to:day", "zone:Paris", "trim:1", "upper"] {
            assert!(text.parse::<Normal>().is_err(), "{text}");
        }
    }
}
