//! Rows that are put off until their hour: in a table of their own, where they are in nobody's way.

use super::queue::{Waiting, exactly, outbox_row, read};
use super::{COLUMNS, OUTBOXES, columns};
use crate::logical::sure::returned;
use crate::sql::signed;
use jiff::Timestamp;
use seamline_contract::id::ContractId;
use seamline_flow::source::OutboxRow;
use seamline_message::sequence::Sequence;
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;

/// The columns are in the order in which `waiting` has them.
const ROW: &str = "d.id, d.contract, d.version, d.key, d.change, d.details, d.effective, d.reason, d.state, d.moved, \
    d.previous, d.written_at, d.correlation, d.causation, d.traceparent, d.void_channel, d.void_previous, d.place";

/// What was redriven is back in the outbox for a moment, and in front of what is put off of its key: it is found in one pass.
pub(super) async fn due(
    conn: &mut PgConnection,
    contract: &ContractId,
    until: Timestamp,
    limit: usize,
    weight: u64,
) -> Result<Waiting, sqlx::Error> {
    let rows = format!(
        "WITH back AS MATERIALIZED (SELECT key, min(place) AS place FROM (\
         SELECT key, id AS place FROM seamline.outbox_0 WHERE contract = $1 UNION ALL \
         SELECT key, id FROM seamline.outbox_1 WHERE contract = $1 UNION ALL \
         SELECT key, id FROM seamline.outbox_2 WHERE contract = $1 UNION ALL \
         SELECT key, place FROM seamline.void WHERE contract = $1) o GROUP BY key) \
         SELECT {ROW}, EXISTS (SELECT FROM seamline.quarantine q WHERE q.contract = d.contract AND q.key = d.key \
         AND coalesce(q.void_place, q.id) < d.place) FROM seamline.deferred d \
         WHERE d.contract = $1 AND d.written_at <= $2::timestamptz AND NOT EXISTS (SELECT FROM seamline.deferred e \
         WHERE e.contract = d.contract AND e.key = d.key AND e.place < d.place AND e.written_at > $2::timestamptz) \
         AND NOT EXISTS (SELECT FROM back WHERE back.key = d.key AND back.place < d.place) \
         ORDER BY d.key, d.place, d.id LIMIT $3"
    );
    let rows = sqlx::query(AssertSqlSafe(rows)).bind(contract.as_str()).bind(until.to_string());
    let asked = i64::try_from(limit).unwrap_or(i64::MAX);
    read(rows.bind(asked).fetch(conn), limit, weight).await
}

pub(super) async fn deferred(
    conn: &mut PgConnection,
    rows: &[Sequence],
) -> Result<Vec<OutboxRow>, sqlx::Error> {
    let there =
        format!("SELECT {ROW}, false FROM seamline.deferred d WHERE d.id = ANY ($1) ORDER BY d.place, d.id");
    let there = sqlx::query(AssertSqlSafe(there)).bind(ids(rows)).fetch_all(conn).await?;
    there.iter().map(outbox_row).collect()
}

fn ids(rows: &[Sequence]) -> Vec<i64> {
    rows.iter().map(|sequence| signed(sequence.0)).collect()
}

pub(super) async fn put_off(conn: &mut PgConnection, rows: &[Sequence]) -> Result<(), sqlx::Error> {
    let ids = ids(rows);
    let mut left = 0;
    for table in OUTBOXES {
        let away = format!(
            "WITH gone AS (DELETE FROM {table} WHERE id = ANY ($1) RETURNING *) \
             INSERT INTO seamline.deferred ({COLUMNS}, place) SELECT {gone}, g.id FROM gone g",
            gone = columns("g"),
        );
        left += sqlx::query(AssertSqlSafe(away)).bind(&ids).execute(&mut *conn).await?.rows_affected();
    }
    let voids = "WITH gone AS (DELETE FROM seamline.void WHERE id = ANY ($1) RETURNING *) \
        INSERT INTO seamline.deferred (id, contract, version, key, previous, void_channel, void_place, void_previous, \
        written_at, place) \
        SELECT id, contract, version, key, '{}', channel, place, previous, written_at, place FROM gone";
    left += sqlx::query(voids).bind(&ids).execute(conn).await?.rows_affected();
    exactly(i64::try_from(left).unwrap_or(i64::MAX), ids.len())
}

/// Returns the statements that move rows back to the outbox, those with a value and voids: to the table that is filled least
/// soon, as those of quarantine go.
fn back(which: &str) -> [String; 2] {
    [
        format!(
            "WITH gone AS (DELETE FROM seamline.deferred WHERE {which} AND void_channel IS NULL RETURNING *) \
             INSERT INTO {} ({COLUMNS}) SELECT {COLUMNS} FROM gone",
            OUTBOXES[0]
        ),
        format!(
            "WITH gone AS (DELETE FROM seamline.deferred WHERE {which} AND void_channel IS NOT NULL RETURNING *) \
             INSERT INTO seamline.void (id, contract, version, key, channel, place, previous, written_at) \
             SELECT id, contract, version, key, void_channel, void_place, void_previous, written_at FROM gone"
        ),
    ]
}

pub(super) async fn recall(conn: &mut PgConnection, but: &[ContractId]) -> Result<u64, sqlx::Error> {
    let but: Vec<&str> = but.iter().map(ContractId::as_str).collect();
    let mut moved = 0;
    for statement in back("contract <> ALL ($1::text[])") {
        let statement = sqlx::query(AssertSqlSafe(statement)).bind(&but);
        moved += statement.execute(&mut *conn).await?.rows_affected();
    }
    if moved > 0 {
        returned(conn).await?;
    }
    Ok(moved)
}

/// Moves rows back to the outbox, from where they go aside as others do.
pub(super) async fn take_back(conn: &mut PgConnection, ids: &[i64]) -> Result<(), sqlx::Error> {
    let mut moved = 0;
    for statement in back("id = ANY ($1)") {
        moved += sqlx::query(AssertSqlSafe(statement)).bind(ids).execute(&mut *conn).await?.rows_affected();
    }
    if moved > 0 {
        returned(conn).await?;
    }
    Ok(())
}

/// Removes those of some rows that are put off, and counts them as published. Returns how many.
pub(super) async fn publish(conn: &mut PgConnection, rows: &[Sequence]) -> Result<i64, sqlx::Error> {
    let leave = "WITH gone AS (DELETE FROM seamline.deferred WHERE id = ANY ($1) RETURNING contract), \
        counted AS (SELECT contract, count(*) AS rows FROM gone GROUP BY contract), \
        kept AS (UPDATE seamline.contract t SET published = t.published + g.rows FROM counted g \
        WHERE g.contract = t.contract RETURNING g.rows) \
        SELECT coalesce(sum(rows), 0)::bigint FROM kept";
    sqlx::query_scalar(leave).bind(ids(rows)).fetch_one(conn).await
}
