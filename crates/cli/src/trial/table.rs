//! The table of a publication, made for a trial: a column for each that the contract is read from.

use crate::proving::hands::{literal, quoted};
use seamline_contract::attribute::{Shape, Type};
use seamline_contract::id::AttributePath;
use seamline_contract::publication::{Column, Publication};
use seamline_contract::resolve::ResolvedContract;
use seamline_contract::value::Value;
use seamline_message::canonical;
use serde_json::json;

/// A column, and the value that it holds.
#[derive(Debug, Clone)]
struct Held {
    name: String,
    slot: usize,
    /// The members below the attribute.
    below: Vec<String>,
    shape: Shape,
}

/// The table of a publication.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    name: String,
    held: Vec<Held>,
    key: Vec<String>,
}

impl Table {
    /// Returns the table of a publication; none where a value is computed from columns that only its service knows.
    pub(crate) fn of(contract: &ResolvedContract, publication: &Publication) -> Option<Table> {
        let mut held = Vec::new();
        for (slot, attribute) in contract.attributes.iter().enumerate() {
            let path = AttributePath::from(attribute.name.clone());
            collect(publication, &path, slot, Vec::new(), &attribute.shape, &mut held)?;
        }
        let name = |slot: &usize| held.iter().find(|it| it.slot == *slot).map(|it| it.name.clone());
        let key = contract.key.iter().map(name).collect::<Option<Vec<String>>>()?;
        Some(Table { name: publication.table.clone(), held, key })
    }

    /// Returns the statement that makes it.
    pub(crate) fn create(&self) -> String {
        let mut lines: Vec<String> = Vec::new();
        for held in &self.held {
            let line = format!("{} {}", quoted(&held.name), declared(&held.shape));
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
        let key: Vec<String> = self.key.iter().map(|name| quoted(name)).collect();
        lines.push(format!("PRIMARY KEY ({})", key.join(", ")));
        format!("CREATE TABLE {} ({})", quoted(&self.name), lines.join(", "))
    }

    /// Returns the statement that puts a row in the place of what is there of its key.
    pub(crate) fn put(&self, row: &[Value]) -> String {
        let names: Vec<String> = self.held.iter().map(|held| quoted(&held.name)).collect();
        let cells: Vec<String> =
            self.held.iter().map(|held| cell(&held.shape, value_at(&row[held.slot], &held.below))).collect();
        format!(
            "INSERT OR REPLACE INTO {} ({}) VALUES ({})",
            quoted(&self.name),
            names.join(", "),
            cells.join(", ")
        )
    }

    /// Returns the statement that deletes the row of a key.
    pub(crate) fn delete(&self, row: &[Value]) -> String {
        format!("DELETE FROM {} WHERE {}", quoted(&self.name), self.is_key(row))
    }

    /// Returns whether some column can hold what breaks the contract.
    pub(crate) fn can_be_spoilt(&self, contract: &ResolvedContract) -> bool {
        self.weak_spot(contract).is_some()
    }

    /// Returns the statement that makes a row break its contract; none where anything goes.
    pub(crate) fn spoil(&self, contract: &ResolvedContract, row: &[Value]) -> Option<String> {
        let (held, cell) = self.weak_spot(contract)?;
        let (table, column) = (quoted(&self.name), quoted(&held.name));
        Some(format!("UPDATE {table} SET {column} = {cell} WHERE {}", self.is_key(row)))
    }

    /// Returns a column and what it cannot rightly hold, as SQL. An enumeration with moves comes last: what it held before is
    /// remembered with the key.
    fn weak_spot(&self, contract: &ResolvedContract) -> Option<(&Held, &'static str)> {
        let others = self.held.iter().filter(|held| !contract.key.contains(&held.slot));
        let spots = others.filter_map(|held| {
            let is_required = held.below.is_empty() && !contract.attributes[held.slot].optional;
            match &held.shape.ty {
                Type::Enum if held.shape.open => None,
                Type::String | Type::Bytes => is_required.then_some((held, "NULL")),
                _ => Some((held, "'neither here nor there'")),
            }
        });
        spots.min_by_key(|(held, _)| held.shape.moves.is_some())
    }

    fn is_key(&self, row: &[Value]) -> String {
        let parts = self.key.iter().map(|name| {
            let held = self.held.iter().find(|it| it.name == *name);
            let cell = held.map(|held| cell(&held.shape, &row[held.slot])).unwrap_or_default();
            format!("{} = {cell}", quoted(name))
        });
        parts.collect::<Vec<String>>().join(" AND ")
    }
}

fn collect(
    publication: &Publication,
    path: &AttributePath,
    slot: usize,
    below: Vec<String>,
    shape: &Shape,
    held: &mut Vec<Held>,
) -> Option<()> {
    let is_named = publication.columns.iter().any(|(at, _)| at == path);
    if let (Type::Object(members), false) = (&shape.ty, is_named) {
        for member in members {
            let mut deeper = below.clone();
            deeper.push(member.name.to_string());
            let path = path.below(member.name.clone());
            collect(publication, &path, slot, deeper, member.own_shape()?, held)?;
        }
        return Some(());
    }
    let Column::Named(name) = publication.column(path) else { return None };
    held.push(Held { name, slot, below, shape: shape.clone() });
    Some(())
}

fn value_at<'a>(value: &'a Value, below: &[String]) -> &'a Value {
    match (below.split_first(), value) {
        (None, value) => value,
        (Some((name, rest)), Value::Map(members)) => {
            members.get(name).map_or(&Value::Null, |member| value_at(member, rest))
        }
        _ => &Value::Null,
    }
}

fn declared(shape: &Shape) -> &'static str {
    match &shape.ty {
        Type::Integer | Type::Decimal { .. } if shape.approximate => "REAL",
        Type::Integer | Type::Boolean => "INTEGER",
        Type::Bytes => "BLOB",
        _ => "TEXT",
    }
}

/// Returns a value as the literal that a service would store.
fn cell(shape: &Shape, value: &Value) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::Boolean(truth) => u8::from(*truth).to_string(),
        // The least integer has no literal of its own.
        Value::Integer(number) => format!("CAST('{number}' AS INTEGER)"),
        Value::Approximate(number) => format!("{number:e}"),
        Value::Bytes(bytes) => format!("x'{}'", hex(bytes)),
        Value::List(_) | Value::Map(_) => literal(&source(shape, value).to_string()),
        _ => literal(&canonical::text(value).unwrap_or_default()),
    }
}

/// Returns a value in source form.
pub(crate) fn source(shape: &Shape, value: &Value) -> serde_json::Value {
    match (value, &shape.ty) {
        (Value::Null, _) => serde_json::Value::Null,
        (Value::Boolean(truth), _) => json!(truth),
        (Value::Approximate(number), _) => json!(number),
        (Value::Bytes(bytes), _) => json!(hex(bytes)),
        (Value::List(elements), Type::List(element)) => {
            let shape = element.own_shape();
            elements
                .iter()
                .map(|it| shape.map_or(serde_json::Value::Null, |shape| source(shape, it)))
                .collect()
        }
        (Value::Map(entries), Type::Map(element)) => {
            let shape = element.own_shape();
            let entry = |(name, it): (&String, &Value)| {
                (name.clone(), shape.map_or(serde_json::Value::Null, |shape| source(shape, it)))
            };
            serde_json::Value::Object(entries.iter().map(entry).collect())
        }
        (Value::Map(entries), Type::Object(members)) => {
            let member = |(name, it): (&String, &Value)| {
                let shape = members.iter().find(|member| member.name.as_str() == name)?.own_shape()?;
                Some((name.clone(), source(shape, it)))
            };
            serde_json::Value::Object(entries.iter().filter_map(member).collect())
        }
        _ => json!(canonical::text(value)),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
