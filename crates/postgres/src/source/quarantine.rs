//! What left the queue without reaching the log: quarantine, voids in its place, and the conserved counts.

use super::queue::{moment, outbox_row};
use super::{COLUMNS, OUTBOXES};
use crate::logical::sure::returned;
use crate::sql::{corrupt, signed, unsigned};
use seamline_contract::id::ContractId;
use seamline_flow::source::{Act, AsideRow, OutboxRow, SourceCounts};
use seamline_message::key::RecordKey;
use seamline_message::sequence::Sequence;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Row};
use std::collections::BTreeMap;

/// A place in the chain of one events channel.
struct Gap<'a> {
    channel: &'a str,
    sequence: i64,
    previous: Option<i64>,
}

pub(super) async fn void(
    conn: &mut PgConnection,
    contract: &ContractId,
    key: &RecordKey,
    act: &Act,
) -> Result<(), sqlx::Error> {
    let Act::Void { channel, sequence, previous } = act else {
        return Err(corrupt("only a void takes the place of a lost event"));
    };
    returned(&mut *conn).await?;
    let previous = previous.map(|previous| signed(previous.0));
    let gap = Gap { channel, sequence: signed(sequence.0), previous };
    // One who mends at a time. A lost event that is not missing here left as published: counting it again would explain more
    // than was written.
    sqlx::query("SELECT FROM seamline.contract WHERE contract = $1 FOR UPDATE")
        .bind(contract.as_str())
        .execute(&mut *conn)
        .await?;
    let is_missing = counts(&mut *conn, contract).await?.missing() > 0;
    write_void(&mut *conn, contract.as_str(), key.as_str(), &gap).await?;
    if is_missing {
        explain(conn, contract.as_str(), key.as_str(), gap.sequence).await?;
    }
    Ok(())
}

async fn write_void(
    conn: &mut PgConnection,
    contract: &str,
    key: &str,
    gap: &Gap<'_>,
) -> Result<(), sqlx::Error> {
    // It stands for an older sequence: the key's own sequence and chains stay as they are.
    let row = "INSERT INTO seamline.void (id, contract, version, key, channel, place, previous) \
        SELECT nextval('seamline.sequence'), contract, version, $2, $3, $4, $5 \
        FROM seamline.contract WHERE contract = $1 RETURNING id";
    let row = sqlx::query_scalar(row).bind(contract).bind(key).bind(gap.channel).bind(gap.sequence);
    let id: Option<i64> = row.bind(gap.previous).fetch_optional(&mut *conn).await?;
    let id = id.ok_or_else(|| corrupt(format!("`{contract}` is not published from this database")))?;
    let count = "INSERT INTO seamline.key AS k (contract, key, sequence, written) VALUES ($1, $2, $3, 1) \
        ON CONFLICT (contract, key) DO UPDATE SET written = k.written + 1";
    sqlx::query(count).bind(contract).bind(key).bind(id).execute(conn).await?;
    Ok(())
}

/// Counts a row as lost and explained, once, whatever number of voids stand for it.
async fn explain(
    conn: &mut PgConnection,
    contract: &str,
    key: &str,
    sequence: i64,
) -> Result<(), sqlx::Error> {
    let explain =
        "INSERT INTO seamline.explained (contract, sequence, key) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    sqlx::query(explain).bind(contract).bind(sequence).bind(key).execute(conn).await?;
    Ok(())
}

pub(super) async fn explain_lost(
    conn: &mut PgConnection,
    contract: &ContractId,
    rows: u64,
) -> Result<(), sqlx::Error> {
    let count = sqlx::query("UPDATE seamline.contract SET lost = lost + $1 WHERE contract = $2");
    count.bind(signed(rows)).bind(contract.as_str()).execute(conn).await?;
    Ok(())
}

pub(super) async fn counts(
    conn: &mut PgConnection,
    contract: &ContractId,
) -> Result<SourceCounts, sqlx::Error> {
    let counts = "SELECT \
        (SELECT coalesce(sum(written), 0)::bigint FROM seamline.key WHERE contract = $1), \
        (SELECT coalesce(sum(published), 0)::bigint FROM seamline.contract WHERE contract = $1), \
        (SELECT count(*) FROM seamline.outbox_0 WHERE contract = $1) \
        + (SELECT count(*) FROM seamline.outbox_1 WHERE contract = $1) \
        + (SELECT count(*) FROM seamline.outbox_2 WHERE contract = $1) \
        + (SELECT count(*) FROM seamline.void WHERE contract = $1), \
        (SELECT count(*) FROM seamline.deferred WHERE contract = $1), \
        (SELECT count(*) FROM seamline.quarantine WHERE contract = $1), \
        (SELECT coalesce(sum(lost), 0)::bigint FROM seamline.contract WHERE contract = $1) \
        + (SELECT count(*) FROM seamline.explained WHERE contract = $1)";
    let row = sqlx::query(counts).bind(contract.as_str()).fetch_one(conn).await?;
    let deferred = unsigned(row.get(3))?;
    Ok(SourceCounts {
        committed: unsigned(row.get(0))?,
        published: unsigned(row.get(1))?,
        waiting: unsigned(row.get(2))? + deferred,
        deferred,
        aside: unsigned(row.get(4))?,
        lost: unsigned(row.get(5))?,
    })
}

pub(super) async fn aside(
    conn: &mut PgConnection,
    after: Option<Sequence>,
    limit: usize,
) -> Result<Vec<AsideRow>, sqlx::Error> {
    let rows = "SELECT id, contract, version, key, change, rule, path, message, \
        (extract(epoch FROM since) * 1000000)::bigint AS since FROM seamline.quarantine \
        WHERE id > $1 ORDER BY id LIMIT $2";
    let rows = sqlx::query(rows).bind(after.map_or(-1, |after| signed(after.0)));
    let rows = rows.bind(i64::try_from(limit).unwrap_or(i64::MAX)).fetch_all(conn).await?;
    rows.iter().map(aside_row).collect()
}

/// The columns are in the order in which `waiting` has them.
pub(super) async fn row(
    conn: &mut PgConnection,
    sequence: Sequence,
) -> Result<Option<OutboxRow>, sqlx::Error> {
    let row = "SELECT id, contract, version, key, change, details, effective, reason, state, moved, previous, \
        written_at, correlation, causation, traceparent, \
        void_channel, void_previous, coalesce(void_place, id), false FROM seamline.quarantine WHERE id = $1";
    let row = sqlx::query(row).bind(signed(sequence.0)).fetch_optional(conn).await?;
    row.as_ref().map(outbox_row).transpose()
}

fn aside_row(row: &PgRow) -> Result<AsideRow, sqlx::Error> {
    let text = |name: &str| row.get::<Option<String>, _>(name);
    let violation = text("rule")
        .map(|rule| (rule, text("path").unwrap_or_default(), text("message").unwrap_or_default()));
    Ok(AsideRow {
        sequence: Sequence(unsigned(row.get("id"))?),
        contract: row.get::<&str, _>("contract").parse().map_err(corrupt)?,
        version: row.get::<&str, _>("version").parse().map_err(corrupt)?,
        key: row.get("key"),
        change: text("change"),
        violation,
        since: moment(row.get("since"))?,
    })
}

/// They go to the table that is filled least soon: it is cut off only when it is empty. A removal under way ends first, so that
/// none sets a row aside behind these meanwhile.
pub(super) async fn redrive(
    conn: &mut PgConnection,
    contract: &ContractId,
    keys: &[String],
) -> Result<u64, sqlx::Error> {
    let rows = format!(
        "WITH gone AS (DELETE FROM seamline.quarantine WHERE contract = $1 AND key = ANY ($2) AND void_channel IS NULL RETURNING *) \
         INSERT INTO {} ({COLUMNS}) SELECT {COLUMNS} FROM gone",
        OUTBOXES[0]
    );
    sqlx::query("SELECT FROM seamline.lease WHERE name = 'outbox' FOR UPDATE").execute(&mut *conn).await?;
    returned(&mut *conn).await?;
    let rows = sqlx::query(AssertSqlSafe(rows)).bind(contract.as_str()).bind(keys);
    let voids = "WITH gone AS (DELETE FROM seamline.quarantine WHERE contract = $1 AND key = ANY ($2) RETURNING *) \
        INSERT INTO seamline.void (id, contract, version, key, channel, place, previous, written_at) \
        SELECT id, contract, version, key, void_channel, void_place, void_previous, written_at FROM gone";
    let voids = sqlx::query(voids).bind(contract.as_str()).bind(keys);
    let moved = rows.execute(&mut *conn).await?.rows_affected();
    Ok(moved + voids.execute(conn).await?.rows_affected())
}

pub(super) async fn discard(conn: &mut PgConnection, sequence: Sequence) -> Result<bool, sqlx::Error> {
    returned(&mut *conn).await?;
    let row = "DELETE FROM seamline.quarantine WHERE id = $1 RETURNING contract, key, change, previous";
    let row = sqlx::query(row).bind(signed(sequence.0)).fetch_optional(&mut *conn).await?;
    let Some(row) = row else { return Ok(false) };
    let (contract, key): (String, String) = (row.get(0), row.get(1));
    if row.get::<Option<String>, _>("change").is_some() {
        let previous: BTreeMap<String, Option<i64>> =
            serde_json::from_str(row.get("previous")).map_err(corrupt)?;
        for (channel, previous) in &previous {
            let gap = Gap { channel, sequence: signed(sequence.0), previous: *previous };
            write_void(conn, &contract, &key, &gap).await?;
        }
    }
    explain(conn, &contract, &key, signed(sequence.0)).await?;
    Ok(true)
}
