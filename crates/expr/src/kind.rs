//! What an expression can be: the static type of every part of it.

use seamline_contract::attribute::{Attribute, Shape, Type};
use std::fmt;

/// A static type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Only "no value".
    Null,
    /// True or false.
    Boolean,
    /// A signed 64-bit integer.
    Integer,
    /// An exact decimal of any scale.
    Decimal,
    /// A binary floating-point number.
    Approximate,
    /// A text.
    String,
    /// A text out of a list, and whether others must be expected.
    Enum(Vec<String>, bool),
    /// A day.
    Date,
    /// An instant.
    Timestamp,
    /// A span of time.
    Duration,
    /// Bytes.
    Bytes,
    /// A UUID.
    Uuid,
    /// A list.
    List(Box<Kind>),
    /// A map with text as keys.
    Map(Box<Kind>),
    /// Named members.
    Object(Vec<Variable>),
    /// Not known: the element of an empty list, or what an error left.
    Unknown,
}

/// A name with its type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// The name.
    pub name: String,
    /// The type.
    pub kind: Kind,
    /// It may have no value.
    pub optional: bool,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Null => "null",
            Kind::Boolean => "boolean",
            Kind::Integer => "integer",
            Kind::Decimal => "decimal",
            Kind::Approximate => "approximate number",
            Kind::String => "string",
            Kind::Enum(..) => "enum",
            Kind::Date => "date",
            Kind::Timestamp => "timestamp",
            Kind::Duration => "duration",
            Kind::Bytes => "bytes",
            Kind::Uuid => "uuid",
            Kind::List(_) => "list",
            Kind::Map(_) => "map",
            Kind::Object(_) => "object",
            Kind::Unknown => "unknown",
        })
    }
}

impl Kind {
    /// Returns whether this is a number.
    pub(crate) fn is_number(&self) -> bool {
        matches!(self, Kind::Integer | Kind::Decimal | Kind::Approximate)
    }

    /// Returns whether this is text, listed or free.
    pub(crate) fn is_text(&self) -> bool {
        matches!(self, Kind::String | Kind::Enum(..))
    }

    /// Returns the type that holds both; none when there is no such type.
    pub(crate) fn join(&self, other: &Kind) -> Option<Kind> {
        match (self, other) {
            (Kind::Null | Kind::Unknown, kind) | (kind, Kind::Null | Kind::Unknown) => Some(kind.clone()),
            (a, b) if a == b => Some(a.clone()),
            (Kind::Enum(a, a_open), Kind::Enum(b, b_open)) => {
                let added = b.iter().filter(|value| !a.contains(value));
                Some(Kind::Enum(a.iter().chain(added).cloned().collect(), *a_open || *b_open))
            }
            (a, b) if a.is_text() && b.is_text() => Some(Kind::String),
            (Kind::List(a), Kind::List(b)) => Some(Kind::List(Box::new(a.join(b)?))),
            (Kind::Map(a), Kind::Map(b)) => Some(Kind::Map(Box::new(a.join(b)?))),
            _ => None,
        }
    }

    /// Returns whether two values of these types can be equal.
    pub(crate) fn comparable(&self, other: &Kind) -> bool {
        self.join(other).is_some() || self.is_number() && other.is_number()
    }
}

/// Returns the type of a shape of the model; the element of a list or map is not known where it is carried.
pub fn kind_of(shape: &Shape) -> Kind {
    let inner = |attribute: &Attribute| attribute.own_shape().map_or(Kind::Unknown, kind_of);
    match &shape.ty {
        Type::String => Kind::String,
        Type::Integer => Kind::Integer,
        Type::Decimal { .. } if shape.approximate => Kind::Approximate,
        Type::Decimal { .. } => Kind::Decimal,
        Type::Boolean => Kind::Boolean,
        Type::Date => Kind::Date,
        Type::Timestamp => Kind::Timestamp,
        Type::Uuid => Kind::Uuid,
        Type::Bytes => Kind::Bytes,
        Type::Duration => Kind::Duration,
        Type::Enum => {
            Kind::Enum(shape.values.iter().map(|(value, _)| value.to_string()).collect(), shape.open)
        }
        Type::List(element) => Kind::List(Box::new(inner(element))),
        Type::Map(value) => Kind::Map(Box::new(inner(value))),
        Type::Object(members) => Kind::Object(
            members
                .iter()
                .map(|member| Variable {
                    name: member.name.to_string(),
                    kind: inner(member),
                    optional: member.optional,
                })
                .collect(),
        ),
    }
}
