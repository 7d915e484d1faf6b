//! The next incarnation of an outbox: what waits gets new sequences, in one transaction.

use super::hours::recall;
use super::queue::{end_of, publish};
use crate::file::{corrupt, signed, unsigned};
use jiff::Timestamp;
use seamline_flow::rebase::renumbered;
use seamline_flow::source::{Incarnation, Rebase, Removed, Tenure};
use seamline_message::sequence::Sequence;
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Row};
use std::collections::BTreeMap;
use std::time::Duration;

/// The mark of the incarnation that was opened last is a lease that nobody holds: its epoch is the incarnation, its batch 1 as
/// long as it is not filled.
const MARK: &str = "SELECT epoch, batch FROM seamline_lease WHERE name = 'rebase'";

pub(super) async fn incarnation(conn: &mut SqliteConnection) -> Result<Incarnation, sqlx::Error> {
    let drawn = "SELECT max(coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'seamline_outbox'), 0), \
        coalesce((SELECT max(sequence) FROM seamline_key), 0))";
    let drawn: i64 = sqlx::query_scalar(drawn).fetch_one(&mut *conn).await?;
    let mark = sqlx::query(MARK).fetch_optional(&mut *conn).await?;
    let batch: i64 =
        sqlx::query_scalar("SELECT batch FROM seamline_lease WHERE name = 'outbox'").fetch_one(conn).await?;
    Ok(Incarnation {
        current: Sequence(unsigned(drawn)?).incarnation(),
        filling: mark.is_some_and(|mark| mark.get::<i64, _>(1) > 0),
        batch: unsigned(batch)?,
    })
}

pub(super) async fn rebase(
    conn: &mut SqliteConnection,
    tenure: &Tenure,
    rebase: &Rebase,
    now: Timestamp,
    ttl: Duration,
) -> Result<Removed, sqlx::Error> {
    let held = "UPDATE seamline_lease SET batch = ?, until = ? WHERE name = 'outbox' AND epoch = ?";
    let held = sqlx::query(held).bind(signed(rebase.batch)).bind(end_of(now, ttl));
    if held.bind(signed(tenure.epoch)).execute(&mut *conn).await?.rows_affected() == 0 {
        return Ok(Removed::Fenced);
    }
    if incarnation(&mut *conn).await?.current >= rebase.incarnation {
        return Ok(Removed::Done);
    }
    if !rebase.published.is_empty() {
        publish(&mut *conn, &rebase.published).await?;
    }
    recall(&mut *conn, &[]).await?;
    let last = renumber(&mut *conn, rebase.incarnation).await?;
    let draw = "UPDATE sqlite_sequence SET seq = ? WHERE name = 'seamline_outbox'";
    if sqlx::query(draw).bind(signed(last.0)).execute(&mut *conn).await?.rows_affected() == 0 {
        let draw = "INSERT INTO sqlite_sequence (name, seq) VALUES ('seamline_outbox', ?)";
        sqlx::query(draw).bind(signed(last.0)).execute(&mut *conn).await?;
    }
    let mark = "INSERT INTO seamline_lease (name, epoch, batch) VALUES ('rebase', ?, 1) \
        ON CONFLICT (name) DO UPDATE SET epoch = excluded.epoch, batch = 1";
    sqlx::query(mark).bind(rebase.incarnation).execute(conn).await?;
    Ok(Removed::Done)
}

/// Gives what waits its new sequences. Returns the last one drawn.
async fn renumber(conn: &mut SqliteConnection, incarnation: u16) -> Result<Sequence, sqlx::Error> {
    let rows = "SELECT 'seamline_quarantine' AS place, id, contract, key, previous FROM seamline_quarantine \
        WHERE void_sequence IS NULL UNION ALL \
        SELECT 'seamline_outbox', id, contract, key, previous FROM seamline_outbox WHERE void_sequence IS NULL ORDER BY id";
    let rows = sqlx::query(rows).fetch_all(&mut *conn).await?;
    let old = |row: &sqlx::sqlite::SqliteRow| unsigned(row.get::<i64, _>("id")).map(Sequence);
    let ids = rows.iter().map(old).collect::<Result<Vec<_>, _>>()?;
    let new = renumbered(ids.iter().copied(), incarnation);
    for (row, old) in rows.iter().zip(&ids) {
        let (place, at) = (row.get::<&str, _>("place"), new[old]);
        let previous: BTreeMap<String, Option<u64>> =
            serde_json::from_str(row.get("previous")).map_err(corrupt)?;
        let mapped = |at: u64| new.get(&Sequence(at)).map_or(at, |at| at.0);
        let renamed: BTreeMap<&String, Option<u64>> =
            previous.iter().map(|(chain, at)| (chain, at.map(mapped))).collect();
        let move_row = format!("UPDATE {place} SET id = ?, previous = ? WHERE id = ?");
        let move_row = sqlx::query(AssertSqlSafe(move_row)).bind(signed(at.0));
        let move_row = move_row.bind(serde_json::to_string(&renamed).map_err(corrupt)?);
        move_row.bind(signed(old.0)).execute(&mut *conn).await?;
        // In the order of the rows: the last one of a key speaks.
        let links = previous.keys().map(|chain| (chain, at.0)).collect::<BTreeMap<_, _>>();
        let key = "UPDATE seamline_key SET sequence = ?, chains = json_patch(chains, ?) WHERE contract = ? AND key = ?";
        let key = sqlx::query(key).bind(signed(at.0)).bind(serde_json::to_string(&links).map_err(corrupt)?);
        key.bind(row.get::<&str, _>("contract")).bind(row.get::<&str, _>("key")).execute(&mut *conn).await?;
    }
    Ok(new.into_values().max().unwrap_or(Sequence::floor_of(incarnation)))
}

pub(super) async fn filled(conn: &mut SqliteConnection, incarnation: u16) -> Result<(), sqlx::Error> {
    let mark = "UPDATE seamline_lease SET batch = 0 WHERE name = 'rebase' AND epoch = ?";
    sqlx::query(mark).bind(incarnation).execute(conn).await?;
    Ok(())
}
