//! Forms: what a value may be, compiled once from the shapes of a contract, and cut to what a channel carries.

use super::CompileError;
use super::read::{self, Style};
use crate::canonical;
use regex::Regex;
use seamline_contract::attribute::{Attribute, Shape, Type};
use seamline_contract::id::{AttributeName, EnumValue};
use seamline_contract::value::Value;
use std::sync::Arc;

/// The most digits that an exact decimal has.
const PRECISION_MAX: u8 = 28;

/// The type of a value, with what is below it.
#[derive(Debug, Clone)]
pub(super) enum Kind {
    String,
    Integer,
    Decimal { precision: u8, scale: u8 },
    Approximate,
    Boolean,
    Date,
    Timestamp,
    Uuid,
    Bytes,
    Duration,
    Enum,
    Object(Members),
    Map(Box<Form>),
    List(Box<Form>),
}

/// What narrows a type.
#[derive(Debug, Default)]
pub(super) struct Checks {
    pub(super) pattern: Option<Regex>,
    pub(super) min: Option<Value>,
    pub(super) max: Option<Value>,
    pub(super) length: Option<u64>,
    /// The values of a closed enumeration.
    pub(super) values: Option<Vec<EnumValue>>,
}

/// What a value may be.
#[derive(Debug, Clone)]
pub(super) struct Form {
    pub(super) kind: Kind,
    /// None: nothing narrows it.
    pub(super) checks: Option<Arc<Checks>>,
}

/// A member of an object, or an attribute of a row.
#[derive(Debug, Clone)]
pub(super) struct Field {
    pub(super) name: String,
    /// The name as canonical JSON with the colon after it.
    pub(super) quoted: Vec<u8>,
    /// Where its value stands in a row.
    pub(super) slot: usize,
    pub(super) optional: bool,
    pub(super) form: Form,
}

/// The members of an object, in canonical order.
#[derive(Debug, Clone)]
pub(super) struct Members {
    pub(super) fields: Vec<Field>,
    /// How many slots a row of them has.
    pub(super) width: usize,
}

impl Members {
    /// Sorts fields into canonical order.
    pub(super) fn of(mut fields: Vec<Field>, width: usize) -> Members {
        fields.sort_by(|one, two| canonical::order(&one.name, &two.name));
        Members { fields, width }
    }

    /// Returns the field of a name.
    pub(super) fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// Returns only what some paths lead to.
    pub(super) fn cut(&self, paths: &[&[AttributeName]]) -> Members {
        let fields = self.fields.iter().filter_map(|field| {
            let below: Vec<&[AttributeName]> = paths
                .iter()
                .filter(|path| path.first().is_some_and(|name| name.as_str() == field.name))
                .map(|path| &path[1..])
                .collect();
            let whole = below.iter().any(|rest| rest.is_empty());
            match &field.form.kind {
                _ if below.is_empty() => None,
                Kind::Object(members) if !whole => {
                    let form = Form { kind: Kind::Object(members.cut(&below)), checks: None };
                    Some(Field { form, ..field.clone() })
                }
                _ => Some(field.clone()),
            }
        });
        Members { fields: fields.collect(), width: self.width }
    }
}

impl Form {
    /// Returns whether a value has a text of its own, and so may be part of a key.
    pub(super) fn is_scalar(&self) -> bool {
        !matches!(self.kind, Kind::Approximate | Kind::Object(_) | Kind::Map(_) | Kind::List(_))
    }
}

/// Compiles some attributes that are decided where they are written.
pub(super) fn members(attributes: &[Attribute], path: &str) -> Result<Members, CompileError> {
    let field = |(slot, attribute): (usize, &Attribute)| {
        let path = format!("{path}.{}", attribute.name);
        let form = own_form(attribute, &path)?;
        Ok(field(attribute.name.as_str(), slot, attribute.optional, form))
    };
    let fields: Result<Vec<Field>, CompileError> = attributes.iter().enumerate().map(field).collect();
    Ok(Members::of(fields?, attributes.len()))
}

/// Returns a field.
pub(super) fn field(name: &str, slot: usize, optional: bool, form: Form) -> Field {
    let mut quoted = Vec::with_capacity(name.len() + 3);
    canonical::write_text(name, &mut quoted);
    quoted.push(b':');
    Field { name: name.to_owned(), quoted, slot, optional, form }
}

fn own_form(attribute: &Attribute, path: &str) -> Result<Form, CompileError> {
    let shape = attribute.own_shape().ok_or_else(|| CompileError::Carried(path.to_owned()))?;
    form(shape, path)
}

/// Compiles a shape.
pub(super) fn form(shape: &Shape, path: &str) -> Result<Form, CompileError> {
    let kind = match &shape.ty {
        Type::Integer | Type::Decimal { .. } if shape.approximate => Kind::Approximate,
        Type::Decimal { precision, scale } if *precision > PRECISION_MAX || scale > precision => {
            return Err(CompileError::Precision(path.to_owned()));
        }
        Type::Decimal { precision, scale } => Kind::Decimal { precision: *precision, scale: *scale },
        Type::String => Kind::String,
        Type::Integer => Kind::Integer,
        Type::Boolean => Kind::Boolean,
        Type::Date => Kind::Date,
        Type::Timestamp => Kind::Timestamp,
        Type::Uuid => Kind::Uuid,
        Type::Bytes => Kind::Bytes,
        Type::Duration => Kind::Duration,
        Type::Enum => Kind::Enum,
        Type::Object(attributes) => Kind::Object(members(attributes, path)?),
        Type::Map(element) => Kind::Map(Box::new(own_form(element, &format!("{path}.*"))?)),
        Type::List(element) => Kind::List(Box::new(own_form(element, &format!("{path}[]"))?)),
    };
    let bound = |text: &Option<String>| -> Result<Option<Value>, CompileError> {
        let read = |text: &String| read::scalar(&kind, text, Style::Source);
        text.as_ref().map(read).transpose().map_err(|_| CompileError::Bound(path.to_owned()))
    };
    let pattern = |text: &String| {
        Regex::new(&format!(r"\A(?:{text})\z"))
            .map_err(|source| CompileError::Pattern { path: path.to_owned(), source: Box::new(source) })
    };
    let closed = matches!(kind, Kind::Enum) && !shape.open;
    let checks = Checks {
        pattern: shape.pattern.as_ref().map(pattern).transpose()?,
        min: bound(&shape.min)?,
        max: bound(&shape.max)?,
        length: shape.length,
        values: closed.then(|| shape.values.iter().map(|(value, _)| value.clone()).collect()),
    };
    let narrow = checks.pattern.is_some()
        || checks.min.is_some()
        || checks.max.is_some()
        || checks.length.is_some()
        || checks.values.is_some();
    Ok(Form { kind, checks: narrow.then(|| Arc::new(checks)) })
}
