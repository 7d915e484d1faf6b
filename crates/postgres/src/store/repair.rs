//! Repairs of single rows, each only while the row's marker is the one that was seen.

use super::commit::upsert;
use super::projection::{Bound, MARKER_COLUMNS, Plan};
use crate::install::consumer::MARKERS;
use crate::sql::signed;
use seamline_flow::store::{Marker, RowWrite};
use seamline_message::key::RecordKey;
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;

/// Returns the condition that a row of the table `t` has exactly a marker, bound to the parameters from `first` on; none:
/// that any part is missing.
fn is_marked(expected: Option<&Marker>, first: usize) -> String {
    let part = |(idx, (name, _)): (usize, &(&str, &str))| match expected {
        Some(_) => format!("t.{name} = ${}", first + idx),
        None => format!("t.{name} IS NULL"),
    };
    let parts: Vec<String> = MARKERS.iter().take(MARKER_COLUMNS).enumerate().map(part).collect();
    format!("({})", parts.join(if expected.is_some() { " AND " } else { " OR " }))
}

fn bind_marker<'q>(query: Bound<'q>, marker: Option<&Marker>) -> Bound<'q> {
    let Some(marker) = marker else { return query };
    let query = query.bind(signed(marker.sequence.0)).bind(signed(marker.offset));
    query.bind(marker.received.to_bytes().to_vec()).bind(marker.written.to_bytes().to_vec())
}

pub(super) async fn purge(
    conn: &mut PgConnection,
    plan: &Plan<'_>,
    key: &RecordKey,
    expected: Option<&Marker>,
) -> Result<(), sqlx::Error> {
    let marked = is_marked(expected, plan.projection.key.len() + 2);
    let statement = format!(
        "DELETE FROM {} t USING {} WHERE {} AND {marked}",
        plan.table,
        plan.keys(1, "k"),
        plan.same_key("t", "k"),
    );
    let query = plan.bind_keys(sqlx::query(AssertSqlSafe(statement)), &[key]);
    bind_marker(query, expected).execute(conn).await?;
    Ok(())
}

pub(super) async fn restore(
    conn: &mut PgConnection,
    plan: &Plan<'_>,
    row: &RowWrite,
    expected: Option<&Marker>,
) -> Result<(), sqlx::Error> {
    let ended =
        "SELECT count(*) FROM seamline.tombstone WHERE subscription = $1 AND key = $2 AND sequence > $3";
    let ended = sqlx::query_scalar(ended).bind(&plan.subscription).bind(row.key.as_str());
    let ended: i64 = ended.bind(signed(row.marker.sequence.0)).fetch_one(&mut *conn).await?;
    // Whoever else would change the row waits from here on.
    let marked = match expected {
        Some(_) => is_marked(expected, plan.projection.key.len() + 2),
        None => "true".to_owned(),
    };
    let there = format!(
        "SELECT 1 FROM {} t JOIN {} ON {} WHERE {marked} FOR NO KEY UPDATE OF t",
        plan.table,
        plan.keys(1, "k"),
        plan.same_key("t", "k"),
    );
    let query = plan.bind_keys(sqlx::query(AssertSqlSafe(there)), &[&row.key]);
    let there = bind_marker(query, expected).fetch_optional(&mut *conn).await?.is_some();
    if ended > 0 || there != expected.is_some() {
        return Ok(());
    }
    let forget = sqlx::query("DELETE FROM seamline.tombstone WHERE subscription = $1 AND key = $2");
    forget.bind(&plan.subscription).bind(row.key.as_str()).execute(&mut *conn).await?;
    upsert(conn, plan, &[row], "true").await
}
