//! The source view of a contract: its key, and its state as JSON in source form, from the columns of the publication.

use super::{InstallError, compose};
use crate::file::{literal, quoted};
use seamline_contract::attribute::{Attribute, Shape, Type};
use seamline_contract::id::{AttributePath, ContractId};
use seamline_contract::publication::{Column, Feed, Publication};
use seamline_contract::resolve::ResolvedContract;

/// How many members SQLite surely takes in one call of `json_object`: 127 arguments, two for a member.
const MEMBERS_MAX: usize = 60;

/// How many digits a double keeps.
const DOUBLE_DIGITS: u8 = 15;

/// Returns the name of the source view of a contract.
pub(crate) fn name(contract: &ContractId) -> String {
    quoted(&format!("seamline_source_{contract}"))
}

/// Returns the name of a key column of the source view, which is the table's own, so that its index serves.
pub(crate) fn key_column(idx: usize) -> String {
    format!("key{idx}")
}

/// Returns the statement that makes the source view.
pub(crate) fn statement(
    contract: &ResolvedContract,
    publication: &Publication,
) -> Result<String, InstallError> {
    let reader = Reader { contract, publication };
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
        texts.push(key_text(&attribute.shape.ty, &column));
        columns.push(format!("  {column} AS {},\n", key_column(idx)));
        there.push(format!("{column} IS NOT NULL"));
    }
    let lineage = match publication.feed {
        Feed::Projections => format!(",\n  t.{} AS lineage", compose::LINEAGE),
        Feed::Outbox | Feed::Cdc | Feed::Store | Feed::Snapshot => String::new(),
    };
    Ok(format!(
        "CREATE VIEW {} AS SELECT\n{}  json_array({}) AS key,\n  {} AS state{lineage}\nFROM {} AS t\nWHERE {}",
        name(&contract.contract.name.contract),
        columns.concat(),
        texts.join(", "),
        object(&members),
        quoted(&publication.table),
        there.join(" AND "),
    ))
}

/// How a column of the key is found by the text of its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyKind {
    /// It holds the text itself.
    Text,
    /// It holds a number.
    Integer,
    /// Its letters may be of any case, or it is a blob.
    Uuid,
    /// Only the key's own text tells, and no index serves.
    Other,
}

impl KeyKind {
    const ALL: [KeyKind; 4] = [KeyKind::Text, KeyKind::Integer, KeyKind::Uuid, KeyKind::Other];

    fn word(self) -> &'static str {
        match self {
            KeyKind::Text => "text",
            KeyKind::Integer => "integer",
            KeyKind::Uuid => "uuid",
            KeyKind::Other => "other",
        }
    }
}

/// Returns how the columns of a contract's key are found.
pub(crate) fn key_kinds(contract: &ResolvedContract) -> Vec<KeyKind> {
    let kind = |slot: &usize| match &contract.attributes[*slot].shape.ty {
        Type::String | Type::Enum | Type::Date => KeyKind::Text,
        Type::Integer => KeyKind::Integer,
        Type::Uuid => KeyKind::Uuid,
        _ => KeyKind::Other,
    };
    contract.key.iter().map(kind).collect()
}

/// Returns kinds as they are stored, `text integer`.
pub(crate) fn kinds_text(kinds: &[KeyKind]) -> String {
    kinds.iter().map(|kind| kind.word()).collect::<Vec<_>>().join(" ")
}

/// Reads kinds as they are stored.
pub(crate) fn kinds_of(text: &str) -> Option<Vec<KeyKind>> {
    text.split(' ').map(|word| KeyKind::ALL.into_iter().find(|kind| kind.word() == word)).collect()
}

/// Returns the condition under which a row of the source view has the key in `given`, a JSON array of texts. The key columns
/// narrow it down by their index; the key's own text decides.
pub(crate) fn has_key(kinds: &[KeyKind], view: &str, given: &str) -> String {
    let mut conditions = Vec::new();
    for (idx, kind) in kinds.iter().enumerate() {
        let column = format!("{view}.{}", key_column(idx));
        let text = format!("json_extract({given}, '$[{idx}]')");
        match kind {
            KeyKind::Text => conditions.push(format!("{column} = {text}")),
            KeyKind::Integer => conditions.push(format!("{column} = CAST({text} AS INTEGER)")),
            KeyKind::Uuid => {
                let blob = format!("typeof({column}) = 'blob'");
                conditions.push(format!("({column} IN ({text}, upper({text})) OR {blob})"));
            }
            KeyKind::Other => {}
        }
    }
    conditions.push(format!("{view}.key = {given}"));
    conditions.join(" AND ")
}

struct Reader<'a> {
    contract: &'a ResolvedContract,
    publication: &'a Publication,
}

impl Reader<'_> {
    fn column(&self, path: &AttributePath) -> Result<String, InstallError> {
        match self.publication.column(path) {
            // With its table before it: alone, SQLite takes the quoted name of a missing column for a text.
            Column::Named(name) => Ok(format!("t.{}", quoted(&name))),
            Column::Is(_) => Err(InstallError::Expression {
                contract: self.contract.contract.name.to_string(),
                path: path.to_string(),
            }),
        }
    }

    /// Returns an expression for the value at a path, in source form.
    fn value(&self, path: &AttributePath, shape: Option<&Shape>) -> Result<String, InstallError> {
        let named = self.publication.columns.iter().any(|(at, _)| at == path);
        match shape.map(|shape| &shape.ty) {
            Some(Type::Object(attributes)) if !named => self.object(path, attributes),
            _ => Ok(scalar(shape, &self.column(path)?)),
        }
    }

    /// Returns an expression for an object whose members have columns of their own: no value when all of them are empty.
    fn object(&self, path: &AttributePath, attributes: &[Attribute]) -> Result<String, InstallError> {
        let mut members = Vec::with_capacity(attributes.len());
        for attribute in attributes {
            let below: AttributePath =
                format!("{path}.{}", attribute.name).parse().expect("names joined by dots are a path");
            members.push((attribute.name.to_string(), self.value(&below, attribute.own_shape())?));
        }
        let empty: Vec<String> = members.iter().map(|(_, value)| format!("{value} IS NULL")).collect();
        Ok(format!("json(CASE WHEN NOT ({}) THEN {} END)", empty.join(" AND "), object(&members)))
    }
}

/// Returns an expression for a JSON object.
fn object(members: &[(String, String)]) -> String {
    let part = |part: &[(String, String)]| {
        let members: Vec<String> =
            part.iter().map(|(name, value)| format!("{}, {value}", literal(name))).collect();
        format!("json_object({})", members.join(", "))
    };
    members
        .chunks(MEMBERS_MAX)
        .map(part)
        .reduce(|all, more| format!("json_patch({all}, {more})"))
        .unwrap_or_default()
}

/// Returns an expression for the value of a column in source form: texts, so that no digit is lost.
fn scalar(shape: Option<&Shape>, column: &str) -> String {
    let text = format!("CAST({column} AS TEXT)");
    let Some(shape) = shape else { return text };
    match &shape.ty {
        Type::Integer | Type::Decimal { .. } if shape.approximate => {
            format!("json(CASE typeof({column}) WHEN 'real' THEN printf('%!.17g', {column}) ELSE {text} END)")
        }
        Type::Integer => format!(
            "CASE WHEN typeof({column}) = 'real' AND {column} = CAST({column} AS INTEGER) \
             THEN CAST(CAST({column} AS INTEGER) AS TEXT) ELSE {text} END"
        ),
        // A number that a double holds is printed at the declared scale when that reads back as the same double, and with all
        // its digits when not: then it has more than the contract allows, and says so.
        Type::Decimal { scale, .. } => format!(
            "CASE WHEN typeof({column}) <> 'real' THEN {text} \
             WHEN CAST(printf('%!.{scale}f', {column}) AS REAL) = {column} THEN printf('%!.{scale}f', {column}) \
             ELSE printf('%!.17g', {column}) END"
        ),
        Type::Boolean => format!(
            "CASE lower({text}) WHEN 'true' THEN 1 WHEN 'false' THEN 0 WHEN '1' THEN 1 WHEN '0' THEN 0 ELSE {text} END"
        ),
        Type::Bytes => format!("CASE WHEN {column} IS NOT NULL THEN lower(hex({column})) END"),
        Type::Uuid => uuid_text(column),
        Type::String
        | Type::Enum
        | Type::Date
        | Type::Timestamp
        | Type::Duration
        | Type::Object(_)
        | Type::Map(_)
        | Type::List(_) => text,
    }
}

/// Returns an expression for the canonical text of a key column.
pub(super) fn key_text(ty: &Type, column: &str) -> String {
    match ty {
        Type::Uuid => uuid_text(column),
        Type::Boolean => format!(
            "CASE lower(CAST({column} AS TEXT)) WHEN '1' THEN 'true' WHEN '0' THEN 'false' \
             ELSE lower(CAST({column} AS TEXT)) END"
        ),
        Type::Decimal { scale, .. } => decimal_key_text(*scale, column),
        other => scalar(Some(&Shape::of(other.clone())), column),
    }
}

/// Returns an expression for the canonical text of a decimal of a key: as many digits as the scale says. A double has fewer
/// than a long text, which is taken as it is when it is written at its scale.
fn decimal_key_text(scale: u8, column: &str) -> String {
    let (zeros, at_scale) = if scale == 0 {
        (String::new(), format!("instr({column}, '.') = 0"))
    } else {
        let zeros = "0".repeat(usize::from(scale));
        (format!(" || '.{zeros}'"), format!("instr({column}, '.') = length({column}) - {scale}"))
    };
    format!(
        "CASE WHEN typeof({column}) = 'integer' THEN CAST({column} AS TEXT){zeros} \
         WHEN typeof({column}) = 'text' AND length({column}) > {DOUBLE_DIGITS} AND {at_scale} THEN {column} \
         ELSE printf('%.{scale}f', {column}) END"
    )
}

fn uuid_text(column: &str) -> String {
    let part = |from: u8, length: u8| format!("substr(hex({column}), {from}, {length})");
    let blob = [part(1, 8), part(9, 4), part(13, 4), part(17, 4), part(21, 12)].join(" || '-' || ");
    format!("lower(CASE typeof({column}) WHEN 'blob' THEN {blob} ELSE CAST({column} AS TEXT) END)")
}
