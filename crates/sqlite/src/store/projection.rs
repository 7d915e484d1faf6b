//! A projection as SQL sees it: its names quoted, its key as columns, and marker columns read and written.

use crate::cell::{self, Cell};
use crate::file::{corrupt, quoted, signed, unsigned};
use crate::install::consumer::MARKERS;
use crate::ledger::digest_of;
use seamline_contract::value::Value;
use seamline_flow::store::{LiveRow, Marker, Projection, RehearsedBy};
use seamline_message::key::RecordKey;
use seamline_message::sequence::Sequence;
use serde_json::json;
use sqlx::sqlite::SqliteRow;

/// The four marker columns that make a marker, without the mark of an end.
pub(super) const MARKER_COLUMNS: usize = 4;

/// What statements over a projection need.
pub(super) struct Plan<'p> {
    pub(super) projection: &'p Projection,
    pub(super) subscription: String,
    pub(super) table: String,
    pub(super) rehearsal: String,
    pub(super) rehearsal_name: String,
    /// The declared columns, quoted.
    pub(super) columns: Vec<String>,
}

/// Returns the name of a projection's rehearsal table.
fn rehearsal_name(projection: &Projection) -> String {
    let by = match projection.rehearsal {
        RehearsedBy::Comparison => "",
        RehearsedBy::Job => "job_",
    };
    format!("seamline_rehearsal_{by}{}", projection.subscription.subscription)
}

impl<'p> Plan<'p> {
    pub(super) fn of(projection: &'p Projection) -> Plan<'p> {
        Plan {
            projection,
            subscription: projection.subscription.to_string(),
            table: quoted(&projection.table),
            rehearsal: quoted(&rehearsal_name(projection)),
            rehearsal_name: rehearsal_name(projection),
            columns: projection.columns.iter().map(|column| quoted(&column.name)).collect(),
        }
    }

    /// Returns the key's columns, quoted.
    pub(super) fn key_columns(&self) -> Vec<&str> {
        self.projection.key.iter().map(|idx| self.columns[*idx].as_str()).collect()
    }

    /// Returns the cells that the key's columns hold.
    pub(super) fn key_cells(&self, key: &RecordKey) -> Vec<Cell> {
        let types = self.projection.key.iter().map(|idx| &self.projection.columns[*idx].ty);
        types.zip(key.texts()).map(|(ty, text)| cell::key_cell(ty, &text)).collect()
    }

    /// Returns the condition under which a row of the table `alias` has the key `$[1]…` of the JSON array `given`.
    pub(super) fn has_key(&self, alias: &str, given: &str) -> String {
        let condition = |(idx, column): (usize, &&str)| {
            let is_blob = cell::declared(&self.projection.columns[self.projection.key[idx]].ty) == "BLOB";
            let value = format!("json_extract({given}, '$[{}]')", idx + 1);
            let value = if is_blob { format!("unhex({value})") } else { value };
            format!("{alias}.{column} = {value}")
        };
        self.key_columns().iter().enumerate().map(condition).collect::<Vec<_>>().join(" AND ")
    }

    /// Returns the condition under which a row has the key that is bound to the next parameters.
    pub(super) fn is_key(&self) -> String {
        let conditions: Vec<String> =
            self.key_columns().iter().map(|column| format!("{column} = ?")).collect();
        conditions.join(" AND ")
    }

    /// Returns a key as `has_key` takes it: its text, then the cells of its columns; bytes as hexadecimal digits.
    pub(super) fn key_json(&self, key: &RecordKey) -> serde_json::Value {
        let mut parts = vec![json!(key.as_str())];
        parts.extend(self.key_cells(key).into_iter().map(|cell| match cell {
            Cell::Null => json!(null),
            Cell::Integer(number) => json!(number),
            Cell::Real(number) => json!(number),
            Cell::Text(text) => json!(text),
            Cell::Blob(bytes) => json!(hex(&bytes)),
        }));
        serde_json::Value::Array(parts)
    }

    /// Reads the declared columns of a row, from an index on.
    pub(super) fn values(
        &self,
        row: &SqliteRow,
        from: usize,
    ) -> Result<Vec<Result<Value, String>>, sqlx::Error> {
        let columns = self.projection.columns.iter().enumerate();
        columns.map(|(idx, column)| Ok(cell::load(&column.ty, &Cell::read(row, from + idx)?))).collect()
    }

    /// Reads a live row: its rowid, the declared columns, the marker columns.
    pub(super) fn live(&self, row: &SqliteRow, from: usize, cursor: String) -> Result<LiveRow, sqlx::Error> {
        let values = self.values(row, from + 1)?;
        let texts: Option<Vec<String>> = self
            .projection
            .key
            .iter()
            .map(|idx| {
                let cell = Cell::read(row, from + 1 + idx).ok()?;
                cell::key_text(&self.projection.columns[*idx].ty, &cell)
            })
            .collect();
        let markers = from + 1 + self.columns.len();
        Ok(LiveRow {
            key: texts.map(|texts| RecordKey::from_texts(&texts)),
            cursor,
            values,
            marker: marker(row, markers)?,
            ended: Cell::read(row, markers + MARKER_COLUMNS)? == Cell::Integer(1),
        })
    }

    /// Returns the columns that `live` reads, of the table `alias`.
    pub(super) fn live_columns(&self, alias: &str) -> String {
        let mut columns = vec![format!("{alias}._rowid_")];
        columns.extend(self.columns.iter().map(|column| format!("{alias}.{column}")));
        columns.extend(MARKERS.iter().map(|(name, _)| format!("{alias}.{name}")));
        columns.join(", ")
    }
}

/// Reads four marker columns; none when any does not hold what a marker has.
pub(super) fn marker(row: &SqliteRow, from: usize) -> Result<Option<Marker>, sqlx::Error> {
    let cells: Vec<Cell> =
        (from..from + MARKER_COLUMNS).map(|idx| Cell::read(row, idx)).collect::<Result<_, _>>()?;
    let [Cell::Integer(sequence), Cell::Integer(offset), Cell::Blob(received), Cell::Blob(written)] =
        cells.as_slice()
    else {
        return Ok(None);
    };
    let (Ok(sequence), Ok(offset)) = (unsigned(*sequence), unsigned(*offset)) else { return Ok(None) };
    let (Ok(received), Ok(written)) = (digest_of(received), digest_of(written)) else { return Ok(None) };
    Ok(Some(Marker { sequence: Sequence(sequence), offset, received, written }))
}

/// Returns the cells of a marker, in the order of the columns.
pub(super) fn marker_cells(marker: &Marker) -> [Cell; MARKER_COLUMNS] {
    [
        Cell::Integer(signed(marker.sequence.0)),
        Cell::Integer(signed(marker.offset)),
        Cell::Blob(marker.received.to_bytes().to_vec()),
        Cell::Blob(marker.written.to_bytes().to_vec()),
    ]
}

/// Returns bytes as hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns JSON as the text of a parameter.
pub(super) fn json_text(values: impl Iterator<Item = serde_json::Value>) -> Result<String, sqlx::Error> {
    serde_json::to_string(&values.collect::<Vec<_>>()).map_err(corrupt)
}
