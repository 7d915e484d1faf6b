//! Reads attributes and their shapes.

use super::shared::{is_shared, liked, shared};
use super::{At, Fields, One, Reader, mend_name};
use crate::node::Content;
use crate::rule;
use crate::schema::{self, Table};
use seamline_contract::attribute::{Attribute, Move, Origin, Shape, Type, Unit};
use seamline_contract::finding::Finding;
use seamline_contract::id::{AttributeName, EnumValue};
use seamline_contract::measure::Span;

/// Names that the expression language keeps for itself.
const RESERVED: [&str; 21] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "false",
    "for",
    "function",
    "if",
    "import",
    "in",
    "let",
    "loop",
    "namespace",
    "null",
    "package",
    "return",
    "true",
    "var",
    "void",
    "while",
];

/// Keys that narrow some types only, with the types they belong to.
const NARROWS: [(&str, &[&str]); 11] = [
    ("values", &["enum"]),
    ("open", &["enum"]),
    ("moves", &["enum"]),
    ("of", &["list", "map"]),
    ("attributes", &["object"]),
    ("zone", &["date"]),
    ("pattern", &["string"]),
    ("approximate", &["decimal", "integer"]),
    ("length", &["string", "bytes", "list", "map"]),
    ("min", &["integer", "decimal", "date", "timestamp", "duration"]),
    ("max", &["integer", "decimal", "date", "timestamp", "duration"]),
];

/// Reads the attributes of a mapping; what cannot be read is left out.
pub(crate) fn attributes<'n>(reader: &mut Reader<'n>, at: &At<'n>) -> Option<Vec<Attribute>> {
    let named = reader.each_named::<AttributeName>(at, "`attributes`");
    let mut attributes = Vec::with_capacity(named.len());
    for (name, at) in named {
        if RESERVED.contains(&name.as_str()) {
            let message = format!("`{name}` is reserved by expressions");
            let finding = Finding::new(rule::RESERVED, at.path.clone().the_key(), message);
            reader.report(finding.help("choose another name: no expression could use this one"));
        }
        attributes.extend(attribute(reader, name, &at));
    }
    Some(attributes)
}

fn attribute<'n>(reader: &mut Reader<'n>, name: AttributeName, at: &At<'n>) -> Option<Attribute> {
    if !reader.may_take() {
        return None;
    }
    let fields = reader.fields(at, of_table(reader))?;
    let origin = origin(reader, &fields);
    let meaning = reader.meaning(&fields);
    let optional = reader.opt(&fields, "optional", Reader::boolean).unwrap_or(false);
    let classification = reader.opt(&fields, "classification", Reader::parse);
    let purposes = reader.names(&fields, "purposes", One::Never);
    let deprecated = reader.opt(&fields, "deprecated", Reader::prose);
    let computed = reader.opt(&fields, "computed", Reader::verbatim);
    let derived_from = reader.names(&fields, "derivedFrom", One::Never).unwrap_or_default();
    Some(Attribute {
        name,
        origin: origin?,
        meaning,
        optional,
        classification,
        purposes,
        deprecated,
        computed,
        derived_from,
    })
}

/// Returns the keys that are due of an attribute: within shared types it has no meaning of its own.
pub(crate) fn of_table(reader: &Reader<'_>) -> &'static Table {
    if reader.home.is_some() { &schema::governance::SHARED_MEMBER } else { &schema::ATTRIBUTE }
}

fn origin<'n>(reader: &mut Reader<'n>, fields: &Fields<'n>) -> Option<Origin> {
    if let Some(from) = fields.get("from").filter(|_| reader.home.is_none()) {
        for entry in fields.at.node.entries().unwrap_or_default() {
            let key = entry.key.as_str();
            let known = schema::ATTRIBUTE.keys.iter().any(|due| due.name == key);
            if known && !schema::CARRIED.contains(&key) {
                let message = format!("a carried attribute decides nothing: `{key}` comes from its owner");
                let finding = Finding::new(rule::UNKNOWN_KEY, fields.path(key).the_key(), message);
                reader
                    .report(finding.help(format!("beside `from` only: {}", schema::CARRIED[1..].join(", "))));
            }
        }
        return reader.parse(&from).map(Origin::Carried);
    }
    shape(reader, fields).map(Origin::Own)
}

/// Reads a shape, written out here or taken from elsewhere and narrowed.
pub(crate) fn shape<'n>(reader: &mut Reader<'n>, fields: &Fields<'n>) -> Option<Shape> {
    let mut shape = match (fields.get("type"), fields.get("like")) {
        (Some(ty), None) => {
            let text = reader.word(&ty)?;
            if is_shared(text) {
                let taken = shared(reader, &ty, text, fields)?;
                refuse_keys_of_the_taken(reader, fields, &taken);
                taken
            } else {
                refuse_foreign_keys(reader, fields, text);
                refuse_meanings(reader, fields);
                Shape::of(type_of(reader, &ty, text, Some(fields))?)
            }
        }
        (None, Some(like)) => {
            let taken = liked(reader, &like)?;
            refuse_keys_of_the_taken(reader, fields, &taken);
            refuse_meanings(reader, fields);
            taken
        }
        (Some(_), Some(_)) => {
            let finding =
                Finding::new(rule::VALUE, fields.path("like").the_key(), "`like` stands instead of `type`");
            reader.report(finding.help("keep one of them"));
            return None;
        }
        (None, None) if reader.home.is_some() => return None,
        (None, None) => {
            let message = "an attribute is decided here by its `type`, or carried `from` its owner";
            let finding = Finding::new(rule::REQUIRED, fields.at.path.clone().the_key(), message);
            reader.report(finding.help("write `type:`, `like:` or `from:`"));
            return None;
        }
    };
    narrow(reader, fields, &mut shape);
    Some(shape)
}

/// What a shape from elsewhere may be narrowed by: not by what makes it another type.
fn refuse_keys_of_the_taken<'n>(reader: &mut Reader<'n>, fields: &Fields<'n>, taken: &Shape) {
    let of_another = ["of", "attributes"].into_iter().filter(|key| fields.has(key));
    let of_another: Vec<&str> = of_another.collect();
    for key in &of_another {
        let message = format!("`{key}` comes with the type");
        let finding = Finding::new(rule::VALUE, fields.path(key).the_key(), message);
        reader.report(finding.help("leave it out, or write the type out here"));
    }
    if of_another.is_empty() {
        refuse_foreign_keys(reader, fields, &taken.ty.to_string());
    }
}

fn refuse_meanings<'n>(reader: &mut Reader<'n>, fields: &Fields<'n>) {
    if fields.has("meanings") {
        let message = "`meanings` are those of the members of a shared type";
        let finding = Finding::new(rule::VALUE, fields.path("meanings").the_key(), message);
        reader.report(finding.help("write each `meaning` where its attribute is declared"));
    }
}

fn narrow<'n>(reader: &mut Reader<'n>, fields: &Fields<'n>, shape: &mut Shape) {
    if let Some(values) = reader.opt(fields, "values", values) {
        shape.values = values;
    }
    shape.open = reader.opt(fields, "open", Reader::boolean).unwrap_or(shape.open);
    if let Some(written) = reader.opt(fields, "moves", |reader, at| moves(reader, at, &shape.values)) {
        shape.moves = Some(written);
    }
    shape.unit = reader.opt(fields, "unit", unit).or_else(|| shape.unit.take());
    shape.zone = reader.opt(fields, "zone", zone).or_else(|| shape.zone.take());
    shape.pattern = reader.opt(fields, "pattern", Reader::verbatim).or_else(|| shape.pattern.take());
    let ty = &shape.ty;
    let min = reader.opt(fields, "min", |reader, at| bound(reader, at, ty));
    let max = reader.opt(fields, "max", |reader, at| bound(reader, at, ty));
    shape.min = min.or_else(|| shape.min.take());
    shape.max = max.or_else(|| shape.max.take());
    shape.length = reader.opt(fields, "length", |reader, at| reader.number(at, 1)).or(shape.length);
    shape.approximate = reader.opt(fields, "approximate", Reader::boolean).unwrap_or(shape.approximate);
}

/// Reads the least or the greatest value of a type.
fn bound<'n>(reader: &mut Reader<'n>, at: &At<'n>, ty: &Type) -> Option<String> {
    let text = reader.word(at)?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let right = match ty {
        Type::Integer => digits(unsigned) && text.parse::<i64>().is_ok(),
        Type::Decimal { .. } => {
            digits(unsigned) || unsigned.split_once('.').is_some_and(|(one, two)| digits(one) && digits(two))
        }
        Type::Date => super::is_day(text),
        Type::Duration => text.parse::<Span>().is_ok(),
        // Of an instant only the form of its day is known here.
        Type::Timestamp => text.get(..10).is_some_and(super::is_day) && text[10..].starts_with('T'),
        _ => true,
    };
    if !right {
        refuse(reader, at, format!("`{text}` is not a value of type `{ty}`"), None);
    }
    right.then(|| text.to_owned())
}

fn refuse_foreign_keys<'n>(reader: &mut Reader<'n>, fields: &Fields<'n>, ty: &str) {
    let base = ty.split(['(', '<']).next().unwrap_or_default();
    for (key, types) in NARROWS {
        if fields.has(key) && !types.contains(&base) && is_known(base) {
            let message = format!("`{key}` says nothing about a value of type `{ty}`");
            let finding = Finding::new(rule::VALUE, fields.path(key).the_key(), message);
            reader.report(finding.help(format!("`{key}` belongs to: {}", types.join(", "))));
        }
    }
}

const TYPES: [&str; 13] = [
    "string",
    "integer",
    "decimal",
    "boolean",
    "date",
    "timestamp",
    "uuid",
    "bytes",
    "duration",
    "enum",
    "object",
    "map",
    "list",
];

fn is_known(base: &str) -> bool {
    TYPES.contains(&base)
}

/// Reads a type that needs nothing beside its name.
pub(crate) fn scalar_type<'n>(reader: &mut Reader<'n>, at: &At<'n>) -> Option<Type> {
    let text = reader.word(at)?;
    type_of(reader, at, text, None)
}

/// Returns the type of a text; `fields` are those of its attribute, where it has some.
fn type_of<'n>(
    reader: &mut Reader<'n>,
    at: &At<'n>,
    text: &str,
    fields: Option<&Fields<'n>>,
) -> Option<Type> {
    if let Some(scalar) = scalar(text) {
        return Some(scalar);
    }
    match (text, fields) {
        ("object", Some(fields)) => {
            due(reader, fields, "attributes").and_then(|at| attributes(reader, &at)).map(Type::Object)
        }
        ("map", Some(fields)) => {
            let of = due(reader, fields, "of")?;
            element(reader, "value", &of).map(|value| Type::Map(Box::new(value)))
        }
        ("list", Some(fields)) => {
            let of = due(reader, fields, "of")?;
            element(reader, "element", &of).map(|element| Type::List(Box::new(element)))
        }
        ("enum", Some(fields)) => due(reader, fields, "values").map(|_| Type::Enum),
        ("object" | "map" | "list" | "enum", None) => {
            refuse(reader, at, format!("`{text}` needs more than its name: a scalar type is due here"), None);
            None
        }
        _ => {
            if let Some(of) = text.strip_prefix("list<").and_then(|rest| rest.strip_suffix('>')) {
                if let Some(ty) = scalar(of) {
                    return Some(Type::List(Box::new(plain("element", Shape::of(ty)))));
                }
                refuse(
                    reader,
                    at,
                    format!("`{of}` is no scalar type"),
                    Some("write `type: list` with `of:`".to_owned()),
                );
                return None;
            }
            unknown_type(reader, at, text);
            None
        }
    }
}

fn unknown_type<'n>(reader: &mut Reader<'n>, at: &At<'n>, text: &str) {
    if text.starts_with("decimal") {
        refuse(
            reader,
            at,
            format!("`{text}` is not a decimal of 1 to 28 digits"),
            Some("write `decimal(12,2)`: all digits, digits after the point".to_owned()),
        );
        return;
    }
    let help = mend_name(text, &TYPES, "the types");
    refuse(reader, at, format!("`{text}` is not a type"), Some(help));
}

pub(crate) fn refuse<'n>(reader: &mut Reader<'n>, at: &At<'n>, message: String, help: Option<String>) {
    let mut finding = Finding::new(rule::VALUE, at.path.clone(), message);
    finding.help = help;
    reader.report(finding);
}

fn scalar(text: &str) -> Option<Type> {
    Some(match text {
        "string" => Type::String,
        "integer" => Type::Integer,
        "boolean" => Type::Boolean,
        "date" => Type::Date,
        "timestamp" => Type::Timestamp,
        "uuid" => Type::Uuid,
        "bytes" => Type::Bytes,
        "duration" => Type::Duration,
        _ => {
            let (precision, scale) = text.strip_prefix("decimal(")?.strip_suffix(')')?.split_once(',')?;
            let (precision, scale) = (precision.trim().parse().ok()?, scale.trim().parse().ok()?);
            ((1..=28).contains(&precision) && scale <= precision)
                .then_some(Type::Decimal { precision, scale })?
        }
    })
}

fn due<'n>(reader: &mut Reader<'n>, fields: &Fields<'n>, key: &str) -> Option<At<'n>> {
    let at = fields.get(key);
    if at.is_none() {
        let ty = fields.at.node.entry("type").and_then(|entry| entry.value.text()).unwrap_or_default();
        let message = format!("a value of type `{ty}` needs `{key}`");
        reader.report(Finding::new(rule::REQUIRED, fields.path("type"), message));
    }
    at
}

/// Reads what a list or a map holds: the name of a scalar type, or a whole attribute.
fn element<'n>(reader: &mut Reader<'n>, name: &str, at: &At<'n>) -> Option<Attribute> {
    if matches!(at.node.content, Content::Mapping(_)) {
        let name = name.parse().expect("`element` and `value` are names");
        return attribute(reader, name, at);
    }
    scalar_type(reader, at).map(|ty| plain(name, Shape::of(ty)))
}

/// Returns an attribute that is nothing but a name with a shape.
pub(crate) fn plain(name: &str, shape: Shape) -> Attribute {
    Attribute {
        name: name.parse().expect("`element` and `value` are names"),
        origin: Origin::Own(shape),
        meaning: String::new(),
        optional: false,
        classification: None,
        purposes: None,
        deprecated: None,
        computed: None,
        derived_from: Vec::new(),
    }
}

fn values<'n>(reader: &mut Reader<'n>, at: &At<'n>) -> Option<Vec<(EnumValue, String)>> {
    let named = reader.each_named(at, "`values`");
    let values = named.into_iter().map(|(value, at)| (value, reader.prose(&at).unwrap_or_default()));
    let values: Vec<_> = values.collect();
    if values.is_empty() {
        reader.report(Finding::new(rule::VALUE, at.path.clone().the_key(), "an enum has at least one value"));
    }
    Some(values)
}

fn moves<'n>(reader: &mut Reader<'n>, at: &At<'n>, values: &[(EnumValue, String)]) -> Option<Vec<Move>> {
    reader.list(at, One::Never, |reader, at| one_move(reader, at, values))
}

fn one_move<'n>(reader: &mut Reader<'n>, at: &At<'n>, values: &[(EnumValue, String)]) -> Option<Move> {
    let text = reader.word(at)?;
    let Some((from, to)) = text.split_once("->") else {
        refuse(
            reader,
            at,
            format!("`{text}` is not a move"),
            Some("write `-> a`, `a -> b` or `a ->`".to_owned()),
        );
        return None;
    };
    let (from, to) = (from.trim(), to.trim());
    if from == to {
        let message = if from.is_empty() { "a move names a value" } else { "staying is never a move" };
        refuse(reader, at, message.to_owned(), Some("remove it".to_owned()));
        return None;
    }
    Some(Move { from: side(reader, at, from, values)?, to: side(reader, at, to, values)? })
}

/// Returns one side of a move: none within for an empty one, none at all when it is wrong.
fn side<'n>(
    reader: &mut Reader<'n>,
    at: &At<'n>,
    text: &str,
    values: &[(EnumValue, String)],
) -> Option<Option<EnumValue>> {
    if text.is_empty() {
        return Some(None);
    }
    if let Some((value, _)) = values.iter().find(|(value, _)| value.as_str() == text) {
        return Some(Some(value.clone()));
    }
    let names: Vec<&str> = values.iter().map(|(value, _)| value.as_str()).collect();
    let help = mend_name(text, &names, "the values");
    refuse(reader, at, format!("`{text}` is not a value of this enum"), Some(help));
    None
}

fn unit<'n>(reader: &mut Reader<'n>, at: &At<'n>) -> Option<Unit> {
    if matches!(at.node.content, Content::Mapping(_)) {
        let fields = reader.fields(at, &schema::UNIT)?;
        return reader.opt(&fields, "in", Reader::parse).map(Unit::In);
    }
    reader.verbatim(at).map(Unit::Fixed)
}

/// Reads a zone by its form; whether the name exists is known where zones are.
pub(crate) fn zone<'n>(reader: &mut Reader<'n>, at: &At<'n>) -> Option<String> {
    let text = reader.word(at)?;
    if text == "UTC" || (text.contains('/') && !text.contains(' ')) {
        return Some(text.to_owned());
    }
    refuse(reader, at, format!("`{text}` is not a zone such as `Europe/Berlin` or `UTC`"), None);
    None
}
