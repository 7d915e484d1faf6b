//! A projection as SQL sees it: its names quoted, its key and values as arrays of texts, marker columns read and written.

use crate::binary::Cells;
use crate::cell;
use crate::install::consumer::{MARKERS, REHEARSALS, rehearsal_name, table_name};
use crate::ledger::digest_of;
use crate::sql::{quoted, signed, unsigned};
use seamline_contract::value::Value;
use seamline_flow::store::{Column, LiveRow, Marker, Projection, RowWrite};
use seamline_message::key::RecordKey;
use seamline_message::sequence::Sequence;
use sqlx::Row;
use sqlx::postgres::{PgArguments, PgRow, Postgres};
use sqlx::query::Query;

/// The four marker columns that make a marker, without the mark of an end.
pub(super) const MARKER_COLUMNS: usize = 4;

/// A query with its parameters.
pub(super) type Bound<'q> = Query<'q, Postgres, PgArguments>;

/// What statements over a projection need.
pub(super) struct Plan<'p> {
    pub(super) projection: &'p Projection,
    pub(super) subscription: String,
    pub(super) table: String,
    pub(super) rehearsal: String,
    /// The declared columns, quoted.
    pub(super) columns: Vec<String>,
}

impl<'p> Plan<'p> {
    pub(super) fn of(projection: &'p Projection, schema: &str) -> Plan<'p> {
        Plan {
            projection,
            subscription: projection.subscription.to_string(),
            table: table_name(schema, &projection.table),
            rehearsal: format!("{REHEARSALS}.{}", quoted(&rehearsal_name(projection))),
            columns: projection.columns.iter().map(|column| quoted(&column.name)).collect(),
        }
    }

    /// Returns the columns of the key.
    pub(super) fn key(&self) -> impl Iterator<Item = &'p Column> {
        self.projection.key.iter().map(|idx| &self.projection.columns[*idx])
    }

    /// Returns the key's columns, quoted.
    pub(super) fn key_columns(&self) -> Vec<&str> {
        self.projection.key.iter().map(|idx| self.columns[*idx].as_str()).collect()
    }

    /// Returns the condition that two aliases have the same key.
    pub(super) fn same_key(&self, one: &str, two: &str) -> String {
        let same = self.key_columns().into_iter().map(|column| format!("{one}.{column} = {two}.{column}"));
        same.collect::<Vec<_>>().join(" AND ")
    }

    /// Returns a table of keys, with `seamline_key`, the key's columns and `seamline_place`, of the parameters from `first` on.
    pub(super) fn keys(&self, first: usize, alias: &str) -> String {
        let names: Vec<String> = (0..self.projection.key.len()).map(|idx| format!("k{idx}")).collect();
        let arrays: Vec<String> = (0..=names.len()).map(|idx| format!("${}::text[]", first + idx)).collect();
        let columns: Vec<String> = self
            .key()
            .zip(self.key_columns())
            .zip(&names)
            .map(|((column, name), at)| format!("u.{at}::{} AS {name}", cell::cast(column)))
            .collect();
        format!(
            "(SELECT u.seamline_key, {}, u.seamline_place FROM unnest({}) WITH ORDINALITY \
             AS u (seamline_key, {}, seamline_place)) AS {alias}",
            columns.join(", "),
            arrays.join(", "),
            names.join(", "),
        )
    }

    /// Binds what `keys` takes.
    pub(super) fn bind_keys<'q>(&self, mut query: Bound<'q>, keys: &[&RecordKey]) -> Bound<'q> {
        query = query.bind(keys.iter().map(|key| key.as_str().to_owned()).collect::<Vec<_>>());
        let texts: Vec<Vec<String>> = keys.iter().map(|key| key.texts()).collect();
        for (idx, column) in self.key().enumerate() {
            let cell = |texts: &Vec<String>| texts.get(idx).and_then(|text| cell::key_cell(column, text));
            query = query.bind(texts.iter().map(cell).collect::<Vec<_>>());
        }
        query
    }

    /// Reads the declared columns of a row, from an index on.
    pub(super) fn values(&self, row: &PgRow, from: usize) -> Result<Vec<Result<Value, String>>, sqlx::Error> {
        let columns = self.projection.columns.iter().enumerate();
        columns.map(|(idx, column)| Ok(cell::load(column, row.try_get(from + idx)?))).collect()
    }

    /// Reads a live row: the declared columns, the marker columns.
    pub(super) fn live(&self, row: &PgRow, from: usize) -> Result<LiveRow, sqlx::Error> {
        let values = self.values(row, from)?;
        let texts: Option<Vec<String>> =
            self.projection.key.iter().map(|idx| cell::key_text(&values[*idx])).collect();
        let cursor: Vec<&str> = self
            .projection
            .key
            .iter()
            .map(|idx| row.try_get::<Option<&str>, _>(from + idx).map(Option::unwrap_or_default))
            .collect::<Result<_, _>>()?;
        let markers = from + self.columns.len();
        let ended: Option<bool> = row.try_get(markers + MARKER_COLUMNS)?;
        Ok(LiveRow {
            key: texts.map(|texts| RecordKey::from_texts(&texts)),
            cursor: serde_json::Value::from(cursor).to_string(),
            values,
            marker: marker(row, markers)?,
            ended: ended == Some(true),
        })
    }

    /// Returns the declared columns of the table `alias`, as texts.
    pub(super) fn texts(&self, alias: &str) -> Vec<String> {
        self.columns.iter().map(|column| format!("{alias}.{column}::text")).collect()
    }

    /// Returns the columns that `live` reads, of the table `alias`.
    pub(super) fn live_columns(&self, alias: &str) -> String {
        let mut columns = self.texts(alias);
        columns.extend(MARKERS.iter().map(|(name, _)| format!("{alias}.{name}")));
        columns.join(", ")
    }

    /// Returns the condition that a row comes after a cursor, whose parts are the parameters from `first` on, and their order.
    pub(super) fn after(&self, alias: &str, first: usize) -> (String, String) {
        let names: Vec<String> = self.key_columns().iter().map(|name| format!("{alias}.{name}")).collect();
        let places: Vec<String> = self
            .key()
            .enumerate()
            .map(|(idx, column)| format!("${}::text::{}", first + idx, cell::cast(column)))
            .collect();
        (format!("({}) > ({})", names.join(", "), places.join(", ")), names.join(", "))
    }
}

/// Reads four marker columns; none when any does not hold what a marker has.
pub(super) fn marker(row: &PgRow, from: usize) -> Result<Option<Marker>, sqlx::Error> {
    let sequence: Option<i64> = row.try_get(from)?;
    let offset: Option<i64> = row.try_get(from + 1)?;
    let received: Option<&[u8]> = row.try_get(from + 2)?;
    let written: Option<&[u8]> = row.try_get(from + 3)?;
    let (Some(sequence), Some(offset), Some(received), Some(written)) = (sequence, offset, received, written)
    else {
        return Ok(None);
    };
    let (Ok(sequence), Ok(offset)) = (unsigned(sequence), unsigned(offset)) else { return Ok(None) };
    let (Ok(received), Ok(written)) = (digest_of(received), digest_of(written)) else { return Ok(None) };
    Ok(Some(Marker { sequence: Sequence(sequence), offset, received, written }))
}

/// Binds markers as four arrays, in the order of the columns.
pub(super) fn bind_markers<'q>(query: Bound<'q>, markers: &[&Marker]) -> Bound<'q> {
    let query = query.bind(markers.iter().map(|at| signed(at.sequence.0)).collect::<Vec<_>>());
    let query = query.bind(markers.iter().map(|at| signed(at.offset)).collect::<Vec<_>>());
    let query = query.bind(markers.iter().map(|at| at.received.to_bytes()).collect::<Vec<_>>());
    query.bind(markers.iter().map(|at| at.written.to_bytes()).collect::<Vec<_>>())
}

/// Returns the parameters of `bind_markers` as arrays, from `first` on.
pub(super) fn marker_arrays(first: usize) -> String {
    format!(
        "${}::bigint[], ${}::bigint[], ${}::bytea[], ${}::bytea[]",
        first,
        first + 1,
        first + 2,
        first + 3
    )
}

/// Binds the values of rows, an array for each column.
pub(super) fn bind_values<'q>(
    mut query: Bound<'q>,
    plan: &Plan<'_>,
    rows: &[&RowWrite],
) -> Result<Bound<'q>, sqlx::Error> {
    for (idx, column) in plan.projection.columns.iter().enumerate() {
        query = query.bind(Cells::of(column, rows.iter().map(|row| row.values.get(idx)))?);
    }
    Ok(query)
}

/// Returns the parameters of `bind_values` as arrays, from `first` on.
pub(super) fn value_arrays(plan: &Plan<'_>, first: usize) -> String {
    let columns = plan.projection.columns.iter().enumerate();
    let arrays: Vec<String> =
        columns.map(|(idx, column)| format!("${}::{}[]", first + idx, cell::cast(column))).collect();
    arrays.join(", ")
}
