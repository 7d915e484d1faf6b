//! What left the queue without reaching the log: quarantine, voids in its place, and the conserved counts.

use super::COLUMNS;
use super::queue::outbox_row;
use crate::case::moment;
use crate::file::{corrupt, signed, unsigned};
use seamline_contract::id::ContractId;
use seamline_flow::source::{Act, AsideRow, OutboxRow, SourceCounts};
use seamline_message::key::RecordKey;
use seamline_message::sequence::Sequence;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Row};
use std::collections::BTreeMap;

/// A place in the chain of one events channel.
struct Gap<'a> {
    channel: &'a str,
    sequence: i64,
    previous: Option<i64>,
}

pub(super) async fn void(
    conn: &mut SqliteConnection,
    contract: &ContractId,
    key: &RecordKey,
    act: &Act,
) -> Result<(), sqlx::Error> {
    let Act::Void { channel, sequence, previous } = act else {
        return Err(corrupt("only a void takes the place of a lost event"));
    };
    let previous = previous.map(|previous| signed(previous.0));
    let gap = Gap { channel, sequence: signed(sequence.0), previous };
    // The transaction holds the write lock, so that nothing moves between the two. A lost event that is not missing here
    // left as published: counting it again would explain more than was written.
    let is_missing = counts(&mut *conn, contract).await?.missing() > 0;
    write_void(&mut *conn, contract.as_str(), key.as_str(), &gap).await?;
    if is_missing {
        explain(conn, contract.as_str(), key.as_str(), gap.sequence).await?;
    }
    Ok(())
}

async fn write_void(
    conn: &mut SqliteConnection,
    contract: &str,
    key: &str,
    gap: &Gap<'_>,
) -> Result<(), sqlx::Error> {
    let row = "INSERT INTO seamline_outbox \
        (contract, version, key, previous, void_channel, void_sequence, void_previous, written_at) \
        SELECT contract, version, ?2, '{}', ?3, ?4, ?5, strftime('%Y-%m-%dT%H:%M:%fZ', 'now') \
        FROM seamline_contract WHERE contract = ?1 RETURNING id";
    let row = sqlx::query_scalar(row).bind(contract).bind(key).bind(gap.channel).bind(gap.sequence);
    let id: Option<i64> = row.bind(gap.previous).fetch_optional(&mut *conn).await?;
    let id = id.ok_or_else(|| corrupt(format!("`{contract}` is not published from this database")))?;
    // It stands for an older sequence: the key's own sequence and chains stay as they are.
    let count = "INSERT INTO seamline_key (contract, key, sequence, chains, written) VALUES (?, ?, ?, '{}', 1) \
        ON CONFLICT (contract, key) DO UPDATE SET written = written + 1";
    sqlx::query(count).bind(contract).bind(key).bind(id).execute(conn).await?;
    Ok(())
}

/// Counts a row as lost and explained, once, whatever number of voids stand for it.
async fn explain(
    conn: &mut SqliteConnection,
    contract: &str,
    key: &str,
    sequence: i64,
) -> Result<(), sqlx::Error> {
    let explain = "INSERT OR IGNORE INTO seamline_explained (contract, sequence, key) VALUES (?, ?, ?)";
    sqlx::query(explain).bind(contract).bind(sequence).bind(key).execute(conn).await?;
    Ok(())
}

pub(super) async fn explain_lost(
    conn: &mut SqliteConnection,
    contract: &ContractId,
    rows: u64,
) -> Result<(), sqlx::Error> {
    let count = sqlx::query("UPDATE seamline_contract SET lost = lost + ? WHERE contract = ?");
    count.bind(signed(rows)).bind(contract.as_str()).execute(conn).await?;
    Ok(())
}

pub(super) async fn counts(
    conn: &mut SqliteConnection,
    contract: &ContractId,
) -> Result<SourceCounts, sqlx::Error> {
    let counts = "SELECT \
        (SELECT coalesce(sum(written), 0) FROM seamline_key WHERE contract = ?1), \
        (SELECT coalesce(sum(published), 0) FROM seamline_contract WHERE contract = ?1), \
        (SELECT count(*) FROM seamline_outbox WHERE contract = ?1), \
        (SELECT count(*) FROM seamline_deferred WHERE contract = ?1), \
        (SELECT count(*) FROM seamline_quarantine WHERE contract = ?1), \
        (SELECT coalesce(sum(lost), 0) FROM seamline_contract WHERE contract = ?1) \
        + (SELECT count(*) FROM seamline_explained WHERE contract = ?1)";
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
    conn: &mut SqliteConnection,
    after: Option<Sequence>,
    limit: usize,
) -> Result<Vec<AsideRow>, sqlx::Error> {
    let rows = "SELECT id, contract, version, key, change, rule, path, message, since FROM seamline_quarantine \
                WHERE id > ? ORDER BY id LIMIT ?";
    let rows = sqlx::query(rows).bind(after.map_or(-1, |after| signed(after.0)));
    let rows = rows.bind(i64::try_from(limit).unwrap_or(i64::MAX)).fetch_all(conn).await?;
    rows.iter().map(aside_row).collect()
}

pub(super) async fn row(
    conn: &mut SqliteConnection,
    sequence: Sequence,
) -> Result<Option<OutboxRow>, sqlx::Error> {
    let row = sqlx::query("SELECT *, false AS behind FROM seamline_quarantine WHERE id = ?");
    let row = row.bind(signed(sequence.0)).fetch_optional(conn).await?;
    row.as_ref().map(outbox_row).transpose()
}

fn aside_row(row: &SqliteRow) -> Result<AsideRow, sqlx::Error> {
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

pub(super) async fn redrive(
    conn: &mut SqliteConnection,
    contract: &ContractId,
    keys: &[String],
) -> Result<u64, sqlx::Error> {
    let keys = serde_json::to_string(keys).map_err(corrupt)?;
    let back = format!(
        "INSERT INTO seamline_outbox ({COLUMNS}) SELECT {COLUMNS} FROM seamline_quarantine \
         WHERE contract = ? AND key IN (SELECT value FROM json_each(?)) ORDER BY id"
    );
    let back = sqlx::query(AssertSqlSafe(back)).bind(contract.as_str()).bind(&keys);
    let moved = back.execute(&mut *conn).await?.rows_affected();
    let leave =
        "DELETE FROM seamline_quarantine WHERE contract = ? AND key IN (SELECT value FROM json_each(?))";
    sqlx::query(leave).bind(contract.as_str()).bind(&keys).execute(conn).await?;
    Ok(moved)
}

pub(super) async fn discard(conn: &mut SqliteConnection, sequence: Sequence) -> Result<bool, sqlx::Error> {
    let row = "DELETE FROM seamline_quarantine WHERE id = ? RETURNING contract, key, change, previous";
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
