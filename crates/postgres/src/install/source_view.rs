//! The source view of a contract: its key, and its state as JSON in source form, from the columns of the publication.

use super::{InstallError, compose};
use crate::sql::{literal, quoted};
use seamline_contract::attribute::{Attribute, Shape, Type};
use seamline_contract::id::{AttributePath, ContractId};
use seamline_contract::publication::{Column, Feed, Publication};
use seamline_contract::resolve::ResolvedContract;
use std::collections::BTreeSet;

/// How many members PostgreSQL takes in one call of `json_build_object`: 100 arguments, two for a member.
const MEMBERS_MAX: usize = 50;

/// Returns the name of the source view of a contract.
pub(crate) fn name(contract: &ContractId) -> String {
    format!("seamline.{}", quoted(&format!("source_{contract}")))
}

/// Returns the name of a key column of the source view, which is the table's own, so that its index serves.
pub(crate) fn key_column(idx: usize) -> String {
    format!("key{idx}")
}

/// Returns a table as SQL names it; a dot parts the schema from the table.
pub(crate) fn table_name(publication: &Publication) -> String {
    publication.table.splitn(2, '.').map(quoted).collect::<Vec<_>>().join(".")
}

/// The column of the source view that holds what the next row of a key is compared with: the values of attributes with moves.
pub(crate) const MOVES: &str = "moves";

/// Returns an expression for a JSON object, as text, of the attributes with moves; `value` gives the JSON text of one by name.
pub(crate) fn moves(contract: &ResolvedContract, value: impl Fn(&str) -> String) -> String {
    let moving = contract.attributes.iter().filter(|attribute| attribute.shape.moves.is_some());
    let members: Vec<String> = moving
        .map(|attribute| {
            let name = attribute.name.as_str();
            format!("{} || coalesce({}, 'null')", literal(&format!("\"{name}\":")), value(name))
        })
        .collect();
    if members.is_empty() {
        "'{}'::text".to_owned()
    } else {
        format!("'{{' || {} || '}}'", members.join(" || ',' || "))
    }
}

/// What is read from the service's table.
pub(crate) struct SourceView {
    /// The statement that makes the view.
    pub(crate) statement: String,
    /// The columns that it reads, as they are named in the table.
    pub(crate) columns: BTreeSet<String>,
}

/// Returns the source view of a contract.
pub(crate) fn source_view(
    contract: &ResolvedContract,
    publication: &Publication,
) -> Result<SourceView, InstallError> {
    let mut reader = Reader { contract, publication, columns: BTreeSet::new() };
    let mut members = Vec::with_capacity(contract.attributes.len());
    // What the contract computes is computed when the row is read.
    for attribute in contract.attributes.iter().filter(|it| it.computed.is_none()) {
        let path = AttributePath::from(attribute.name.clone());
        members.push((attribute.name.to_string(), reader.value(&path, Some(&attribute.shape))?));
    }
    let (mut texts, mut columns, mut there) = (Vec::new(), Vec::new(), Vec::new());
    for (idx, slot) in contract.key.iter().enumerate() {
        let attribute = &contract.attributes[*slot];
        let column = reader.column(&AttributePath::from(attribute.name.clone()))?;
        texts.push(format!("to_json({})::text", key_text(&attribute.shape.ty, &column)));
        if is_indexed(contract) {
            let value = match attribute.shape.ty {
                Type::Uuid => format!("seamline.uuid_of({column})"),
                _ => column.clone(),
            };
            columns.push(format!("  {value} AS {},\n", key_column(idx)));
        }
        there.push(format!("{column} IS NOT NULL"));
    }
    let value = |name: &str| {
        let member = members.iter().find(|(member, _)| member == name);
        member.map_or("NULL".to_owned(), |(_, value)| format!("to_json({value})::text"))
    };
    let lineage = match publication.feed {
        Feed::Projections => format!(",\n  t.{} AS lineage", compose::LINEAGE),
        Feed::Outbox | Feed::Cdc | Feed::Store | Feed::Snapshot => String::new(),
    };
    let statement = format!(
        "CREATE OR REPLACE VIEW {} AS SELECT\n{}  '[' || {} || ']' AS key,\n  {}::text AS state,\n  {} AS {MOVES}{lineage}\nFROM {} AS t\nWHERE {}",
        name(&contract.contract.name.contract),
        columns.concat(),
        texts.join(" || ',' || "),
        object(&members),
        moves(contract, value),
        table_name(publication),
        there.join(" AND "),
    );
    Ok(SourceView { statement, columns: reader.columns })
}

/// Returns whether a row is found by the columns of its key, which an index serves; otherwise the key's text alone tells.
pub(crate) fn is_indexed(contract: &ResolvedContract) -> bool {
    contract.key.iter().all(|slot| match &contract.attributes[*slot].shape.ty {
        Type::String
        | Type::Enum
        | Type::Integer
        | Type::Decimal { .. }
        | Type::Date
        | Type::Timestamp
        | Type::Uuid => true,
        Type::Boolean | Type::Bytes | Type::Duration | Type::Object(_) | Type::Map(_) | Type::List(_) => {
            false
        }
    })
}

/// Returns whether values of the contract are JSON that PostgreSQL itself prints, by the session's settings.
pub(crate) fn is_printed(contract: &ResolvedContract) -> bool {
    contract
        .attributes
        .iter()
        .any(|attribute| matches!(attribute.shape.ty, Type::Object(_) | Type::Map(_) | Type::List(_)))
}

struct Reader<'a> {
    contract: &'a ResolvedContract,
    publication: &'a Publication,
    columns: BTreeSet<String>,
}

impl Reader<'_> {
    fn column(&mut self, path: &AttributePath) -> Result<String, InstallError> {
        match self.publication.column(path) {
            Column::Named(name) => {
                let column = format!("t.{}", quoted(&name));
                self.columns.insert(name);
                Ok(column)
            }
            Column::Is(_) => Err(InstallError::Expression {
                contract: self.contract.contract.name.to_string(),
                path: path.to_string(),
            }),
        }
    }

    /// Returns an expression for the value at a path, in source form.
    fn value(&mut self, path: &AttributePath, shape: Option<&Shape>) -> Result<String, InstallError> {
        let named = self.publication.columns.iter().any(|(at, _)| at == path);
        match shape.map(|shape| &shape.ty) {
            Some(Type::Object(attributes)) if !named => self.object(path, attributes),
            _ => {
                let column = self.column(path)?;
                Ok(scalar(shape, &column))
            }
        }
    }

    /// Returns an expression for an object whose members have columns of their own: no value when all of them are empty.
    fn object(&mut self, path: &AttributePath, attributes: &[Attribute]) -> Result<String, InstallError> {
        let mut members = Vec::with_capacity(attributes.len());
        for attribute in attributes {
            let below: AttributePath =
                format!("{path}.{}", attribute.name).parse().expect("names joined by dots are a path");
            members.push((attribute.name.to_string(), self.value(&below, attribute.own_shape())?));
        }
        let there: Vec<String> = members.iter().map(|(_, value)| format!("({value}) IS NOT NULL")).collect();
        Ok(format!("CASE WHEN {} THEN {} END", there.join(" OR "), object(&members)))
    }
}

/// Returns an expression for a JSON object.
fn object(members: &[(String, String)]) -> String {
    let part = |part: &[(String, String)]| {
        let members: Vec<String> =
            part.iter().map(|(name, value)| format!("{}, {value}", literal(name))).collect();
        format!("json_build_object({})", members.join(", "))
    };
    let join = |all: String, more: String| {
        format!("(left({all}::text, -1) || ',' || substr({more}::text, 2))::json")
    };
    members.chunks(MEMBERS_MAX).map(part).reduce(join).unwrap_or_default()
}

/// Returns an expression for the value of a column in source form: texts, so that no digit is lost.
fn scalar(shape: Option<&Shape>, column: &str) -> String {
    let text = format!("seamline.text_of({column})");
    let Some(shape) = shape else { return text };
    match &shape.ty {
        Type::Integer | Type::Decimal { .. } if shape.approximate => format!("seamline.number_of({text})"),
        Type::Date => format!("seamline.day_of({column})"),
        Type::Boolean | Type::Object(_) | Type::Map(_) | Type::List(_) => column.to_owned(),
        Type::Integer
        | Type::Decimal { .. }
        | Type::String
        | Type::Enum
        | Type::Timestamp
        | Type::Duration
        | Type::Uuid
        | Type::Bytes => text,
    }
}

/// Returns an expression for the canonical text of a key column.
pub(super) fn key_text(ty: &Type, column: &str) -> String {
    let text = format!("seamline.text_of({column})");
    match ty {
        Type::Integer => format!("seamline.whole_of({text})"),
        Type::Decimal { scale, .. } => format!("seamline.scaled_of({text}, {scale})"),
        Type::Date => format!("seamline.day_of({column})"),
        Type::Uuid => format!("lower({text})"),
        Type::Boolean => format!("CASE {text} WHEN '1' THEN 'true' WHEN '0' THEN 'false' ELSE {text} END"),
        Type::Bytes => format!("translate(encode({column}, 'base64'), E'\\n', '')"),
        Type::String
        | Type::Enum
        | Type::Timestamp
        | Type::Duration
        | Type::Object(_)
        | Type::Map(_)
        | Type::List(_) => text,
    }
}
