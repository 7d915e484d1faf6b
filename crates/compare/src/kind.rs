//! Of what kind the values of a column are, and as what the columns of two sides compare.

use std::fmt;
use std::str::FromStr;

/// What the values of a column are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// True or false.
    Boolean,
    /// A whole number of 64 bits.
    Integer,
    /// A decimal number of any length, NaN and both infinities.
    Decimal,
    /// A binary floating point number of 64 bits.
    Float,
    /// A text.
    Text,
    /// Bytes.
    Bytes,
    /// A day.
    Date,
    /// A time of day.
    Time,
    /// A day and time of day, nobody says in which zone.
    Timestamp,
    /// A moment, the same in every zone.
    Instant,
    /// A span of months, days and microseconds.
    Interval,
    /// A UUID.
    Uuid,
    /// A JSON document: the order of keys and the writing of numbers say nothing.
    Json,
    /// A list.
    List(Box<Kind>),
    /// Something that only its own system knows, by its name there: compared as bytes with the same.
    Opaque(String),
}

/// The kinds that a user can name.
const NAMED: [(&str, Kind); 13] = [
    ("boolean", Kind::Boolean),
    ("integer", Kind::Integer),
    ("decimal", Kind::Decimal),
    ("float", Kind::Float),
    ("text", Kind::Text),
    ("bytes", Kind::Bytes),
    ("date", Kind::Date),
    ("time", Kind::Time),
    ("timestamp", Kind::Timestamp),
    ("instant", Kind::Instant),
    ("interval", Kind::Interval),
    ("uuid", Kind::Uuid),
    ("json", Kind::Json),
];

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::List(element) => write!(f, "list of {element}"),
            Kind::Opaque(name) => f.write_str(name),
            other => {
                let found = NAMED.iter().find(|(_, kind)| kind == other);
                f.write_str(found.expect("the other kinds have names").0)
            }
        }
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Kind, String> {
        let found = NAMED.iter().find(|(name, _)| *name == text);
        found.map(|(_, kind)| kind.clone()).ok_or_else(|| {
            let names: Vec<&str> = NAMED.iter().map(|(name, _)| *name).collect();
            format!("there is no kind `{text}`; there are {}", names.join(", "))
        })
    }
}

/// What a side says of a column's values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared {
    /// What they are there.
    pub kind: Kind,
    /// The side has no better type for more kinds than this one: a text there may stand for a moment.
    pub is_loose: bool,
}

impl Declared {
    /// Returns a kind that its side means.
    pub fn strict(kind: Kind) -> Declared {
        Declared { kind, is_loose: false }
    }

    /// Returns a kind that stands for others, too.
    pub fn loose(kind: Kind) -> Declared {
        Declared { kind, is_loose: true }
    }
}

/// Returns as what two columns compare; none when they do not.
pub fn agreed(left: &Declared, right: &Declared) -> Option<Kind> {
    if left.kind == right.kind {
        return Some(left.kind.clone());
    }
    let numbers = [&left.kind, &right.kind];
    if numbers.iter().all(|kind| is_number(kind)) {
        // A decimal that was stored as a float is equal when it is nearest to that float; a whole number must be exactly it.
        return Some(match numbers {
            [Kind::Decimal, Kind::Float] | [Kind::Float, Kind::Decimal] => Kind::Float,
            _ => Kind::Decimal,
        });
    }
    match (left.is_loose, right.is_loose) {
        (true, false) => stands_for(&left.kind, &right.kind).then(|| right.kind.clone()),
        (false, true) => stands_for(&right.kind, &left.kind).then(|| left.kind.clone()),
        (true, true) => [(&left.kind, &right.kind), (&right.kind, &left.kind)]
            .into_iter()
            .find(|(from, to)| stands_for(from, to))
            .map(|(_, to)| to.clone()),
        (false, false) => None,
    }
}

fn is_number(kind: &Kind) -> bool {
    matches!(kind, Kind::Integer | Kind::Decimal | Kind::Float)
}

/// Returns whether values of a loose kind can stand for those of another.
fn stands_for(loose: &Kind, kind: &Kind) -> bool {
    match loose {
        Kind::Text => !matches!(kind, Kind::Opaque(_)),
        Kind::Integer => matches!(kind, Kind::Boolean),
        Kind::Bytes => matches!(kind, Kind::Uuid),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{Declared, Kind, agreed};

    fn check(left: Declared, right: Declared, expected: Option<Kind>) {
        assert_eq!(agreed(&left, &right), expected, "{left:?} and {right:?}");
        assert_eq!(agreed(&right, &left), expected, "{right:?} and {left:?}");
    }

    #[test]
    fn columns_compare_as_what_both_can_be() {
        let (strict, loose) = (Declared::strict, Declared::loose);
        check(strict(Kind::Integer), strict(Kind::Decimal), Some(Kind::Decimal));
        check(strict(Kind::Decimal), strict(Kind::Float), Some(Kind::Float));
        check(strict(Kind::Integer), strict(Kind::Float), Some(Kind::Decimal));
        check(loose(Kind::Text), strict(Kind::Instant), Some(Kind::Instant));
        check(strict(Kind::Text), strict(Kind::Instant), None);
        check(strict(Kind::Timestamp), strict(Kind::Instant), None);
        check(loose(Kind::Integer), strict(Kind::Boolean), Some(Kind::Boolean));
        check(strict(Kind::Integer), strict(Kind::Boolean), None);
        check(strict(Kind::Opaque("point".into())), strict(Kind::Opaque("inet".into())), None);
    }

    #[test]
    fn a_kind_reads_as_it_prints() {
        assert_eq!("instant".parse(), Ok(Kind::Instant));
        assert_eq!(Kind::List(Box::new(Kind::Uuid)).to_string(), "list of uuid");
        assert!("money".parse::<Kind>().unwrap_err().contains("there are boolean"));
    }
}
