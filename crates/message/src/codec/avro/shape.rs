//! What a schema says of the bytes, read from its text.

use super::NoSchema;
use crate::canonical;
use serde_json::Value;

/// How deep a schema may be nested.
const DEPTH_MAX: u32 = 64;

/// How a value is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shape {
    /// A string, or a UUID, whose text is the same.
    Text,
    /// One of some texts, by its place.
    Enum(Vec<String>),
    /// A long.
    Integer,
    /// The digits as a number of two's complement, most significant byte first.
    Decimal { precision: u8, scale: u8 },
    /// A double.
    Approximate,
    /// A boolean.
    Boolean,
    /// Days since 1970-01-01.
    Date,
    /// Microseconds since 1970-01-01.
    Timestamp,
    /// Microseconds.
    Duration,
    /// Bytes.
    Bytes,
    /// Members, in canonical order.
    Record(Vec<Field>),
    /// Entries by name.
    Map(Box<Shape>),
    /// Elements.
    List(Box<Shape>),
}

/// A member of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) name: String,
    /// It is a union of null and its type.
    pub(super) optional: bool,
    pub(super) shape: Shape,
}

impl Shape {
    /// Reads the text of a schema.
    pub(super) fn parse(text: &str) -> Result<Shape, NoSchema> {
        let value: Value =
            serde_json::from_str(text).map_err(|error| NoSchema(format!("not JSON: {error}")))?;
        match shape(&value, 0)? {
            record @ Shape::Record(_) => Ok(record),
            _ => Err(NoSchema("not a record".to_owned())),
        }
    }
}

fn shape(value: &Value, depth: u32) -> Result<Shape, NoSchema> {
    if depth > DEPTH_MAX {
        return Err(NoSchema("nested too deep".to_owned()));
    }
    let attribute = |name: &str| value.get(name).and_then(Value::as_str);
    let name = value.as_str().or_else(|| attribute("type"));
    let within = |member: &str| {
        let inner = value.get(member).ok_or_else(|| NoSchema(format!("`{member}` is missing")))?;
        shape(inner, depth + 1).map(Box::new)
    };
    match (name, attribute("logicalType"), attribute("seamline")) {
        (Some("string"), None | Some("uuid"), _) => Ok(Shape::Text),
        (Some("long"), None, None) => Ok(Shape::Integer),
        (Some("long"), None, Some("duration")) => Ok(Shape::Duration),
        (Some("long"), Some("timestamp-micros"), _) => Ok(Shape::Timestamp),
        (Some("int"), Some("date"), _) => Ok(Shape::Date),
        (Some("double"), None, _) => Ok(Shape::Approximate),
        (Some("boolean"), None, _) => Ok(Shape::Boolean),
        (Some("bytes"), None, _) => Ok(Shape::Bytes),
        (Some("bytes"), Some("decimal"), _) => decimal(value),
        (Some("enum"), _, _) => symbols(value).map(Shape::Enum),
        (Some("array"), _, _) => Ok(Shape::List(within("items")?)),
        (Some("map"), _, _) => Ok(Shape::Map(within("values")?)),
        (Some("record"), _, _) => fields(value, depth).map(Shape::Record),
        (name, logical, _) => {
            Err(NoSchema(format!("a type that is not read here: {name:?}, logical type {logical:?}")))
        }
    }
}

fn decimal(value: &Value) -> Result<Shape, NoSchema> {
    let number = |name: &str| value.get(name).and_then(Value::as_u64).and_then(|it| u8::try_from(it).ok());
    match (number("precision"), number("scale").or(Some(0))) {
        (Some(precision), Some(scale)) if precision <= 28 && scale <= precision => {
            Ok(Shape::Decimal { precision, scale })
        }
        _ => Err(NoSchema("a decimal of more than 28 digits".to_owned())),
    }
}

fn symbols(value: &Value) -> Result<Vec<String>, NoSchema> {
    let symbols = value.get("symbols").and_then(Value::as_array);
    let symbols = symbols.ok_or_else(|| NoSchema("an enum without symbols".to_owned()))?;
    let text = |it: &Value| {
        it.as_str().map(ToOwned::to_owned).ok_or_else(|| NoSchema("a symbol that is no text".to_owned()))
    };
    symbols.iter().map(text).collect()
}

fn fields(value: &Value, depth: u32) -> Result<Vec<Field>, NoSchema> {
    let fields = value.get("fields").and_then(Value::as_array);
    let fields = fields.ok_or_else(|| NoSchema("a record without fields".to_owned()))?;
    let mut read: Vec<Field> = Vec::with_capacity(fields.len());
    for field in fields {
        let name = field.get("name").and_then(Value::as_str);
        let name = name.ok_or_else(|| NoSchema("a field without a name".to_owned()))?.to_owned();
        let ty = field.get("type").ok_or_else(|| NoSchema(format!("`{name}` has no type")))?;
        let (optional, ty) = match ty.as_array().map(Vec::as_slice) {
            None => (false, ty),
            Some([null, ty]) if null == "null" => (true, ty),
            Some(_) => return Err(NoSchema(format!("`{name}` is a union of more than null and a type"))),
        };
        if read.last().is_some_and(|last| canonical::order(&last.name, &name).is_ge()) {
            return Err(NoSchema(format!("`{name}` is not in canonical order")));
        }
        read.push(Field { name, optional, shape: shape(ty, depth + 1)? });
    }
    Ok(read)
}
