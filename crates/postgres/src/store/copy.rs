//! Rows of keys that are new, by COPY: what a bootstrap writes into an empty table.

use super::projection::{MARKER_COLUMNS, Plan};
use crate::binary::{self, CopyRows};
use crate::install::consumer::MARKERS;
use crate::sql::signed;
use seamline_flow::store::{Had, RowWrite};
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;

/// With fewer rows the more calls cost more than the rows less.
const ROWS_MIN: usize = 64;

/// Takes the rows that can be copied out of `rows`; what is left takes the ordinary way.
pub(super) fn split(rows: &[RowWrite]) -> (Vec<&RowWrite>, Vec<&RowWrite>) {
    let (new, others): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.had == Had::Nothing);
    if new.len() < ROWS_MIN { (Vec::new(), rows.iter().collect()) } else { (new, others) }
}

/// Copies rows. Returns whether it did: the columns must be of the very types in which the values are sent.
///
/// # Errors
/// Also when a key is there after all: then nothing of the transaction can stay.
pub(super) async fn copy(
    conn: &mut PgConnection,
    plan: &Plan<'_>,
    rows: &[&RowWrite],
) -> Result<bool, sqlx::Error> {
    // As an insert would; from here on no column changes its type.
    let lock = format!("LOCK TABLE {} IN ROW EXCLUSIVE MODE", plan.table);
    sqlx::raw_sql(AssertSqlSafe(lock)).execute(&mut *conn).await?;
    if !takes_our_types(conn, plan).await? {
        return Ok(false);
    }
    let markers = MARKERS.iter().take(MARKER_COLUMNS).map(|(name, _)| *name);
    let columns: Vec<&str> = plan.columns.iter().map(String::as_str).chain(markers).collect();
    let mut data = CopyRows::new(columns.len());
    for row in rows {
        data.begin();
        for (column, value) in plan.projection.columns.iter().zip(&row.values) {
            data.value(column, value)?;
        }
        data.number(signed(row.marker.sequence.0));
        data.number(signed(row.marker.offset));
        data.bytes(&row.marker.received.to_bytes());
        data.bytes(&row.marker.written.to_bytes());
    }
    let statement = format!("COPY {} ({}) FROM STDIN (FORMAT binary)", plan.table, columns.join(", "));
    let mut copying = conn.copy_in_raw(&statement).await?;
    copying.send(data.end()).await?;
    copying.finish().await?;
    Ok(true)
}

/// Returns whether the table's columns have the types in which values are sent: in binary form nothing is converted.
async fn takes_our_types(conn: &mut PgConnection, plan: &Plan<'_>) -> Result<bool, sqlx::Error> {
    const STATEMENT: &str = "SELECT count(*) FROM pg_catalog.pg_attribute a \
        JOIN unnest($2::text[], $3::bigint[]) AS c (name, type) ON c.name = a.attname AND c.type = a.atttypid::bigint \
        WHERE a.attrelid = $1::text::regclass AND NOT a.attisdropped";
    let columns = &plan.projection.columns;
    let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    let types: Vec<i64> = columns.iter().map(|column| i64::from(binary::oid(column))).collect();
    let query = sqlx::query_scalar(STATEMENT).bind(&plan.table).bind(names).bind(types);
    let same: i64 = query.fetch_one(conn).await?;
    Ok(usize::try_from(same) == Ok(columns.len()))
}
