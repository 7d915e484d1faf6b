//! Attributes: named values with a meaning, one owner, a type and a classification.

use crate::id::{AttributeName, AttributePath, AttributeRef, EnumValue, PurposeId};
use std::fmt;
use std::str::FromStr;

/// Who may see a value, from anybody to nobody without a reason. Ordered: later is stricter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Classification {
    /// Anybody.
    Public,
    /// Anybody in the company.
    Internal,
    /// Who needs it for work.
    Confidential,
    /// Personal data.
    Pii,
    /// Special categories of personal data.
    Sensitive,
}

impl fmt::Display for Classification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Classification::Public => "public",
            Classification::Internal => "internal",
            Classification::Confidential => "confidential",
            Classification::Pii => "pii",
            Classification::Sensitive => "sensitive",
        })
    }
}

impl FromStr for Classification {
    type Err = crate::id::IdError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [
            Classification::Public,
            Classification::Internal,
            Classification::Confidential,
            Classification::Pii,
            Classification::Sensitive,
        ]
        .into_iter()
        .find(|classification| classification.to_string() == text)
        .ok_or(crate::id::IdError {
            text: text.to_owned(),
            expected: "one of public, internal, confidential, pii, sensitive",
        })
    }
}

/// The type of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Type {
    /// Text.
    String,
    /// A signed 64-bit integer.
    Integer,
    /// An exact decimal of `precision` digits, `scale` of them after the point; at most 28 digits.
    Decimal {
        /// All digits.
        precision: u8,
        /// Digits after the point.
        scale: u8,
    },
    /// True or false.
    Boolean,
    /// A day.
    Date,
    /// An instant, to the microsecond.
    Timestamp,
    /// A UUID.
    Uuid,
    /// Bytes.
    Bytes,
    /// A span of time, to the microsecond.
    Duration,
    /// One of the values declared in `Shape::values`.
    Enum,
    /// Named members, in the order written.
    Object(Vec<Attribute>),
    /// String keys and values of one shape; the element's name is `value`.
    Map(Box<Attribute>),
    /// Values of one shape; the element's name is `element`.
    List(Box<Attribute>),
}

/// The type as the language writes it, of objects, lists and maps the outermost word.
impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Type::String => "string",
            Type::Integer => "integer",
            Type::Decimal { precision, scale } => return write!(f, "decimal({precision},{scale})"),
            Type::Boolean => "boolean",
            Type::Date => "date",
            Type::Timestamp => "timestamp",
            Type::Uuid => "uuid",
            Type::Bytes => "bytes",
            Type::Duration => "duration",
            Type::Enum => "enum",
            Type::Object(_) => "object",
            Type::Map(_) => "map",
            Type::List(_) => "list",
        })
    }
}

/// What a quantity counts in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unit {
    /// Always this.
    Fixed(String),
    /// What another attribute says, a currency for example.
    In(AttributeName),
}

/// A step that an enumeration may take. Staying is never a move.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Move {
    /// None: the key begins.
    pub from: Option<EnumValue>,
    /// None: the key ends.
    pub to: Option<EnumValue>,
}

impl fmt::Display for Move {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |side: &Option<EnumValue>| side.as_ref().map(ToString::to_string).unwrap_or_default();
        f.write_str(format!("{} -> {}", text(&self.from), text(&self.to)).trim())
    }
}

/// The type of a value with what narrows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// The type.
    pub ty: Type,
    /// The values of an enumeration with their meanings, in the order written; empty otherwise.
    pub values: Vec<(EnumValue, String)>,
    /// Readers must expect values that are not listed.
    pub open: bool,
    /// The allowed steps of an enumeration; none allows all.
    pub moves: Option<Vec<Move>>,
    /// What a quantity counts in.
    pub unit: Option<Unit>,
    /// The zone in which a day begins, as written or defaulted; IANA name or `UTC`.
    pub zone: Option<String>,
    /// A pattern that matches the whole text.
    pub pattern: Option<String>,
    /// The least value, as source text.
    pub min: Option<String>,
    /// The greatest value, as source text.
    pub max: Option<String>,
    /// The greatest length, in Unicode scalar values for text, in elements or bytes otherwise.
    pub length: Option<u64>,
    /// Numbers are binary floating-point.
    pub approximate: bool,
}

impl Shape {
    /// Returns the plain shape of a type.
    pub fn of(ty: Type) -> Self {
        Shape {
            ty,
            values: Vec::new(),
            open: false,
            moves: None,
            unit: None,
            zone: None,
            pattern: None,
            min: None,
            max: None,
            length: None,
            approximate: false,
        }
    }
}

/// Where an attribute comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Decided here.
    Own(Shape),
    /// Carried: type, values and meaning come from there.
    Carried(AttributeRef),
}

/// An attribute as it is written. What is inherited is `None` here and filled by `resolve`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// The name.
    pub name: AttributeName,
    /// Decided here, or carried.
    pub origin: Origin,
    /// What it means; empty when not written, and for what is carried.
    pub meaning: String,
    /// It may have no value.
    pub optional: bool,
    /// None inherits the contract's.
    pub classification: Option<Classification>,
    /// The purposes it may serve; none inherits the contract's, whose none allows any.
    pub purposes: Option<Vec<PurposeId>>,
    /// Why it should no longer be used.
    pub deprecated: Option<String>,
    /// The CEL that computes it, in a derived contract.
    pub computed: Option<String>,
    /// The attributes of others that the owner's own code derives it from.
    pub derived_from: Vec<AttributeRef>,
}

impl Attribute {
    /// Returns the shape when it is decided here.
    pub fn own_shape(&self) -> Option<&Shape> {
        match &self.origin {
            Origin::Own(shape) => Some(shape),
            Origin::Carried(_) => None,
        }
    }

    /// Returns the member at a path that begins below this attribute; `self` for no names.
    pub fn member(&self, names: &[AttributeName]) -> Option<&Attribute> {
        let Some((first, rest)) = names.split_first() else { return Some(self) };
        match &self.own_shape()?.ty {
            Type::Object(members) => members.iter().find(|member| &member.name == first)?.member(rest),
            _ => None,
        }
    }
}

/// Returns the attribute of a list at a path.
pub fn at_path<'a>(attributes: &'a [Attribute], path: &AttributePath) -> Option<&'a Attribute> {
    let (first, rest) = path.names().split_first()?;
    attributes.iter().find(|attribute| &attribute.name == first)?.member(rest)
}
