//! Rows of projection tables as they are now, and the markers of keys.

use super::projection::{MARKER_COLUMNS, Plan, marker};
use crate::install::consumer::MARKERS;
use crate::ledger::digest_of;
use crate::sql::{corrupt, unsigned};
use seamline_flow::store::{LiveRow, Markers};
use seamline_message::key::RecordKey;
use seamline_message::sequence::Sequence;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Row};

pub(super) async fn markers(
    conn: &mut PgConnection,
    plan: &Plan<'_>,
    keys: &[RecordKey],
) -> Result<Vec<Markers>, sqlx::Error> {
    let columns: Vec<String> = MARKERS.iter().map(|(name, _)| format!("t.{name}")).collect();
    let statement = format!(
        "SELECT {}, e.sequence, e.\"offset\", e.received, e.written, a.sequence, a.digest \
         FROM {} LEFT JOIN {} t ON {} \
         LEFT JOIN seamline.tombstone e ON e.subscription = $1 AND e.key = k.seamline_key \
         LEFT JOIN seamline.received_aside a ON a.subscription = $1 AND a.key = k.seamline_key \
         ORDER BY k.seamline_place",
        columns.join(", "),
        plan.keys(2, "k"),
        plan.table,
        plan.same_key("t", "k"),
    );
    let query = sqlx::query(AssertSqlSafe(statement)).bind(&plan.subscription);
    let rows = plan.bind_keys(query, &keys.iter().collect::<Vec<_>>()).fetch_all(conn).await?;
    rows.iter().map(markers_of).collect()
}

fn markers_of(row: &PgRow) -> Result<Markers, sqlx::Error> {
    let mut live = marker(row, 0)?;
    let mut ended = marker(row, MARKER_COLUMNS + 1)?;
    // A row that stays marked is no row any more: its marker is that of the end.
    if row.get::<Option<bool>, _>(MARKER_COLUMNS) == Some(true) {
        ended = live.take().into_iter().chain(ended).max_by_key(|marker| marker.sequence);
    }
    let aside_at = 2 * MARKER_COLUMNS + 1;
    let aside = match row.get::<Option<i64>, _>(aside_at) {
        None => None,
        Some(sequence) => Some((Sequence(unsigned(sequence)?), digest_of(row.get(aside_at + 1))?)),
    };
    Ok(Markers { row: live, ended, aside })
}

/// Reads a cursor: the texts of the key's columns.
pub(super) fn cursor_parts(plan: &Plan<'_>, cursor: &str) -> Result<Vec<String>, sqlx::Error> {
    let parts: Vec<String> = serde_json::from_str(cursor).map_err(corrupt)?;
    if parts.len() == plan.projection.key.len() {
        Ok(parts)
    } else {
        Err(corrupt("not a cursor of this table"))
    }
}

pub(super) async fn rows(
    conn: &mut PgConnection,
    plan: &Plan<'_>,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<LiveRow>, sqlx::Error> {
    let (is_after, order) = plan.after("t", 2);
    let condition = if after.is_some() { is_after } else { "true".to_owned() };
    let statement = format!(
        "SELECT {} FROM {} t WHERE {condition} ORDER BY {order} LIMIT $1",
        plan.live_columns("t"),
        plan.table
    );
    let mut query = sqlx::query(AssertSqlSafe(statement)).bind(i64::try_from(limit).unwrap_or(i64::MAX));
    for part in after.map(|cursor| cursor_parts(plan, cursor)).transpose()?.into_iter().flatten() {
        query = query.bind(part);
    }
    query.fetch_all(conn).await?.iter().map(|row| plan.live(row, 0)).collect()
}
