//! Rows of projection tables as they are now, and the markers of keys.

use super::projection::{MARKER_COLUMNS, Plan, json_text, marker};
use crate::file::{corrupt, unsigned};
use crate::install::consumer::MARKERS;
use crate::ledger::digest_of;
use seamline_flow::store::{LiveRow, Markers};
use seamline_message::key::RecordKey;
use seamline_message::sequence::Sequence;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Row};

pub(super) async fn markers(
    conn: &mut SqliteConnection,
    plan: &Plan<'_>,
    keys: &[RecordKey],
) -> Result<Vec<Markers>, sqlx::Error> {
    let columns: Vec<String> = MARKERS.iter().map(|(name, _)| format!("t.{name}")).collect();
    let statement = format!(
        "SELECT {}, e.sequence, e.offset, e.received, e.written, a.sequence, a.digest \
         FROM json_each(?1) k LEFT JOIN {} t ON {} \
         LEFT JOIN seamline_tombstone e ON e.subscription = ?2 AND e.key = json_extract(k.value, '$[0]') \
         LEFT JOIN seamline_received_aside a ON a.subscription = ?2 AND a.key = json_extract(k.value, '$[0]') \
         ORDER BY k.key",
        columns.join(", "),
        plan.table,
        plan.has_key("t", "k.value"),
    );
    let given = json_text(keys.iter().map(|key| plan.key_json(key)))?;
    let rows =
        sqlx::query(AssertSqlSafe(statement)).bind(given).bind(&plan.subscription).fetch_all(conn).await?;
    rows.iter().map(markers_of).collect()
}

fn markers_of(row: &SqliteRow) -> Result<Markers, sqlx::Error> {
    let mut live = marker(row, 0)?;
    let mut ended = marker(row, MARKER_COLUMNS + 1)?;
    // A row that stays marked is no row any more: its marker is that of the end.
    if row.get::<Option<i64>, _>(MARKER_COLUMNS) == Some(1) {
        ended = live.take().into_iter().chain(ended).max_by_key(|marker| marker.sequence);
    }
    let aside_at = 2 * MARKER_COLUMNS + 1;
    let aside = match row.get::<Option<i64>, _>(aside_at) {
        None => None,
        Some(sequence) => Some((Sequence(unsigned(sequence)?), digest_of(row.get(aside_at + 1))?)),
    };
    Ok(Markers { row: live, ended, aside })
}

pub(super) async fn rows(
    conn: &mut SqliteConnection,
    plan: &Plan<'_>,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<LiveRow>, sqlx::Error> {
    let after: Option<i64> = after.map(str::parse).transpose().map_err(corrupt)?;
    let statement = format!(
        "SELECT {} FROM {} t WHERE {} ORDER BY t._rowid_ LIMIT ?2",
        plan.live_columns("t"),
        plan.table,
        behind("t", after),
    );
    let query = sqlx::query(AssertSqlSafe(statement)).bind(after);
    let rows = query.bind(i64::try_from(limit).unwrap_or(i64::MAX)).fetch_all(conn).await?;
    rows.iter().map(|row| plan.live(row, 0, row.get::<i64, _>(0).to_string())).collect()
}

/// Returns the condition that a row of a table lies behind the rowid that is bound first. Before the first row there is no
/// rowid: a key that is an integer is the rowid, and may be the least there is.
pub(super) fn behind(alias: &str, after: Option<i64>) -> String {
    match after {
        Some(_) => format!("{alias}._rowid_ > ?1"),
        None => "?1 IS NULL".to_owned(),
    }
}
