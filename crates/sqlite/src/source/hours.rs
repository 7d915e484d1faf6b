//! Rows that are put off until their hour: in a table of their own, where they are in nobody's way.

use super::COLUMNS;
use super::queue::outbox_row;
use crate::file::corrupt;
use jiff::Timestamp;
use seamline_contract::id::ContractId;
use seamline_flow::source::OutboxRow;
use seamline_message::sequence::Sequence;
use sqlx::AssertSqlSafe;
use sqlx::sqlite::SqliteConnection;

fn texts(rows: &[Sequence]) -> Result<String, sqlx::Error> {
    let ids: Vec<u64> = rows.iter().map(|sequence| sequence.0).collect();
    serde_json::to_string(&ids).map_err(corrupt)
}

/// Moments are compared as texts: both have milliseconds. What was redriven is back in the outbox for a moment, and in front of
/// what is put off of its key: it is found in one pass.
pub(super) async fn due(
    conn: &mut SqliteConnection,
    contract: &ContractId,
    until: Timestamp,
    limit: usize,
) -> Result<Vec<OutboxRow>, sqlx::Error> {
    let rows = "WITH back AS MATERIALIZED (SELECT key, min(coalesce(void_sequence, id)) AS place FROM seamline_outbox \
        WHERE contract = ?1 GROUP BY key) SELECT d.*, EXISTS (SELECT 1 FROM seamline_quarantine q WHERE q.contract = d.contract \
        AND q.key = d.key AND coalesce(q.void_sequence, q.id) < d.place) AS behind FROM seamline_deferred d \
        WHERE d.contract = ?1 AND d.written_at <= ?2 AND NOT EXISTS (SELECT 1 FROM seamline_deferred e \
        WHERE e.contract = d.contract AND e.key = d.key AND e.place < d.place AND e.written_at > ?2) \
        AND NOT EXISTS (SELECT 1 FROM back WHERE back.key = d.key AND back.place < d.place) \
        ORDER BY d.key, d.place, d.id LIMIT ?3";
    let rows = sqlx::query(rows).bind(contract.as_str()).bind(format!("{until:.3}"));
    let rows = rows.bind(i64::try_from(limit).unwrap_or(i64::MAX)).fetch_all(conn).await?;
    rows.iter().map(outbox_row).collect()
}

pub(super) async fn deferred(
    conn: &mut SqliteConnection,
    rows: &[Sequence],
) -> Result<Vec<OutboxRow>, sqlx::Error> {
    let there = "SELECT d.*, false AS behind FROM seamline_deferred d \
        WHERE d.id IN (SELECT value FROM json_each(?)) ORDER BY d.place, d.id";
    let there = sqlx::query(there).bind(texts(rows)?).fetch_all(conn).await?;
    there.iter().map(outbox_row).collect()
}

pub(super) async fn put_off(conn: &mut SqliteConnection, rows: &[Sequence]) -> Result<(), sqlx::Error> {
    let ids = texts(rows)?;
    let away = format!(
        "INSERT INTO seamline_deferred ({COLUMNS}, place) SELECT {COLUMNS}, coalesce(void_sequence, id) \
         FROM seamline_outbox WHERE id IN (SELECT value FROM json_each(?))"
    );
    sqlx::query(AssertSqlSafe(away)).bind(&ids).execute(&mut *conn).await?;
    let leave = "DELETE FROM seamline_outbox WHERE id IN (SELECT value FROM json_each(?))";
    sqlx::query(leave).bind(&ids).execute(conn).await?;
    Ok(())
}

pub(super) async fn recall(conn: &mut SqliteConnection, but: &[ContractId]) -> Result<u64, sqlx::Error> {
    let but: Vec<&str> = but.iter().map(ContractId::as_str).collect();
    let but = serde_json::to_string(&but).map_err(corrupt)?;
    let back = format!(
        "INSERT INTO seamline_outbox ({COLUMNS}) SELECT {COLUMNS} FROM seamline_deferred \
         WHERE contract NOT IN (SELECT value FROM json_each(?)) ORDER BY id"
    );
    let moved = sqlx::query(AssertSqlSafe(back)).bind(&but).execute(&mut *conn).await?.rows_affected();
    let leave = "DELETE FROM seamline_deferred WHERE contract NOT IN (SELECT value FROM json_each(?))";
    sqlx::query(leave).bind(&but).execute(conn).await?;
    Ok(moved)
}
