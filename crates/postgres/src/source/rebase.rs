//! The next incarnation of an outbox: what waits gets new sequences, in one transaction.

use super::queue::{end_of, publish};
use super::{OUTBOXES, hours};
use crate::sql::{corrupt, signed, unsigned};
use jiff::Timestamp;
use seamline_flow::rebase::renumbered;
use seamline_flow::source::{Incarnation, Rebase, Removed, Tenure};
use seamline_message::sequence::Sequence;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Row};
use std::collections::BTreeMap;
use std::time::Duration;

/// How many rows one statement moves.
const CHUNK: usize = 1_000;

pub(super) async fn incarnation(conn: &mut PgConnection) -> Result<Incarnation, sqlx::Error> {
    let facts = "SELECT greatest((SELECT last_value FROM seamline.sequence), \
        coalesce((SELECT max(sequence) FROM seamline.key), 0)), \
        coalesce((SELECT batch > 0 FROM seamline.lease WHERE name = 'rebase'), false), \
        (SELECT batch FROM seamline.lease WHERE name = 'outbox')";
    let facts = sqlx::query(facts).fetch_one(conn).await?;
    Ok(Incarnation {
        current: Sequence(unsigned(facts.get(0))?).incarnation(),
        filling: facts.get(1),
        batch: unsigned(facts.get(2))?,
    })
}

/// The mark of the incarnation that was opened last is a lease that nobody holds: its epoch is the incarnation, its batch 1 as
/// long as it is not filled.
pub(super) async fn rebase(
    conn: &mut PgConnection,
    tenure: &Tenure,
    rebase: &Rebase,
    now: Timestamp,
    ttl: Duration,
) -> Result<Removed, sqlx::Error> {
    let held =
        "UPDATE seamline.lease SET batch = $1, until = $2::timestamptz WHERE name = 'outbox' AND epoch = $3";
    let held = sqlx::query(held).bind(signed(rebase.batch)).bind(end_of(now, ttl));
    if held.bind(signed(tenure.epoch)).execute(&mut *conn).await?.rows_affected() == 0 {
        return Ok(Removed::Fenced);
    }
    // Who publishes has written to this table until its transaction ends: nobody does from here on.
    sqlx::query("LOCK TABLE seamline.key IN EXCLUSIVE MODE").execute(&mut *conn).await?;
    if incarnation(&mut *conn).await?.current >= rebase.incarnation {
        return Ok(Removed::Done);
    }
    if !rebase.published.is_empty() {
        publish(&mut *conn, &rebase.published).await?;
    }
    hours::recall(&mut *conn, &[]).await?;
    let last = renumber(&mut *conn, rebase.incarnation).await?;
    sqlx::query("SELECT setval('seamline.sequence', $1)").bind(signed(last.0)).execute(&mut *conn).await?;
    let mark = "INSERT INTO seamline.lease (name, epoch, batch) VALUES ('rebase', $1, 1) \
        ON CONFLICT (name) DO UPDATE SET epoch = excluded.epoch, batch = 1";
    sqlx::query(mark).bind(i64::from(rebase.incarnation)).execute(conn).await?;
    Ok(Removed::Done)
}

/// A row that waits, with its new sequence.
struct Moved {
    place: String,
    old: i64,
    new: i64,
    previous: String,
}

/// Gives what waits its new sequences. Returns the last one drawn.
async fn renumber(conn: &mut PgConnection, incarnation: u16) -> Result<Sequence, sqlx::Error> {
    let outboxes =
        OUTBOXES.map(|table| format!("SELECT '{table}' AS place, id, contract, key, previous FROM {table}"));
    let rows = format!(
        "SELECT 'seamline.quarantine' AS place, id, contract, key, previous FROM seamline.quarantine \
         WHERE void_channel IS NULL UNION ALL {} ORDER BY id",
        outboxes.join(" UNION ALL ")
    );
    let rows = sqlx::query(AssertSqlSafe(rows)).fetch_all(&mut *conn).await?;
    let old = |row: &PgRow| unsigned(row.get::<i64, _>("id")).map(Sequence);
    let ids = rows.iter().map(old).collect::<Result<Vec<_>, _>>()?;
    let new = renumbered(ids.iter().copied(), incarnation);
    let mut moved = Vec::with_capacity(rows.len());
    // By contract and key: its last sequence and its chains, in the order of the rows.
    let mut keys: BTreeMap<(String, String), (u64, BTreeMap<String, u64>)> = BTreeMap::new();
    for (row, old) in rows.iter().zip(&ids) {
        let previous: BTreeMap<String, Option<u64>> =
            serde_json::from_str(row.get::<&str, _>("previous")).map_err(corrupt)?;
        let at = new[old].0;
        let key = keys.entry((row.get("contract"), row.get("key"))).or_default();
        key.0 = at;
        key.1.extend(previous.keys().map(|chain| (chain.clone(), at)));
        let mapped = |at: u64| new.get(&Sequence(at)).map_or(at, |at| at.0);
        let renamed: BTreeMap<String, Option<u64>> =
            previous.into_iter().map(|(chain, at)| (chain, at.map(mapped))).collect();
        let previous = serde_json::to_string(&renamed).map_err(corrupt)?;
        moved.push(Moved { place: row.get("place"), old: signed(old.0), new: signed(at), previous });
    }
    for place in OUTBOXES.into_iter().chain(["seamline.quarantine"]) {
        let here: Vec<&Moved> = moved.iter().filter(|row| row.place == place).collect();
        for part in here.chunks(CHUNK) {
            let statement = format!(
                "UPDATE {place} t SET id = m.new, previous = m.previous \
                 FROM unnest($1::bigint[], $2::bigint[], $3::text[]) AS m (old, new, previous) WHERE t.id = m.old"
            );
            let query = sqlx::query(AssertSqlSafe(statement));
            let query = query.bind(part.iter().map(|row| row.old).collect::<Vec<_>>());
            let query = query.bind(part.iter().map(|row| row.new).collect::<Vec<_>>());
            query
                .bind(part.iter().map(|row| row.previous.as_str()).collect::<Vec<_>>())
                .execute(&mut *conn)
                .await?;
        }
    }
    let keys: Vec<_> = keys.into_iter().collect();
    for part in keys.chunks(CHUNK) {
        let statement = "UPDATE seamline.key k SET sequence = m.sequence, chains = k.chains || m.chains::jsonb \
            FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[]) AS m (contract, key, sequence, chains) \
            WHERE k.contract = m.contract AND k.key = m.key";
        let chains = part.iter().map(|(_, (_, chains))| serde_json::to_string(chains).map_err(corrupt));
        let query = sqlx::query(statement);
        let query = query.bind(part.iter().map(|((contract, _), _)| contract.as_str()).collect::<Vec<_>>());
        let query = query.bind(part.iter().map(|((_, key), _)| key.as_str()).collect::<Vec<_>>());
        let query = query.bind(part.iter().map(|(_, (at, _))| signed(*at)).collect::<Vec<_>>());
        query.bind(chains.collect::<Result<Vec<String>, _>>()?).execute(&mut *conn).await?;
    }
    Ok(new.into_values().max().unwrap_or(Sequence(Sequence::floor_of(incarnation).0 + 1)))
}

pub(super) async fn filled(conn: &mut PgConnection, incarnation: u16) -> Result<(), sqlx::Error> {
    let mark = "UPDATE seamline.lease SET batch = 0 WHERE name = 'rebase' AND epoch = $1";
    sqlx::query(mark).bind(i64::from(incarnation)).execute(conn).await?;
    Ok(())
}
