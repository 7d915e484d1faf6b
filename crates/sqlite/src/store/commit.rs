//! One batch in one transaction, if the lane is still where the projector left it.

use super::projection::{MARKER_COLUMNS, Plan, hex, json_text, marker_cells};
use super::{aside, lane};
use crate::case::raise;
use crate::cell::{Cell, store};
use crate::file::{chunks, corrupt, places, signed, unsigned};
use crate::install::consumer::MARKERS;
use crate::set;
use jiff::Timestamp;
use seamline_flow::store::{Batch, Committed, InboxRow, KeyEnd, Lane, Marker, RowWrite};
use seamline_message::digest::Digest;
use seamline_message::key::RecordKey;
use seamline_message::sequence::Sequence;
use serde_json::json;
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Row};
use std::collections::BTreeMap;
use std::time::Duration;

pub(super) async fn commit(
    conn: &mut SqliteConnection,
    plan: Option<&Plan<'_>>,
    batch: &Batch,
    now: Timestamp,
    ttl: Duration,
) -> Result<Committed, sqlx::Error> {
    if !lane::is_at(conn, &batch.lane, batch.epoch, batch.expected.as_ref()).await? {
        return Ok(Committed::Fenced);
    }
    match plan {
        Some(plan) => write_projection(conn, plan, batch).await?,
        None if batch.rows.is_empty()
            && batch.ended.is_empty()
            && batch.purge.is_empty()
            && batch.restore.is_empty() => {}
        None => return Err(corrupt("rows without a projection to write them to")),
    }
    write_chains(conn, &batch.lane, &batch.chains).await?;
    write_inbox(conn, &batch.lane, &batch.inbox, now).await?;
    release(conn, &batch.lane, &batch.released).await?;
    aside::write(conn, &batch.aside).await?;
    write_received_aside(conn, &batch.lane, &batch.received_aside).await?;
    if let Some(set) = &batch.set {
        set::write(conn, &batch.lane.subscription, set).await?;
    }
    for case in &batch.cases {
        raise(conn, case, now).await?;
    }
    lane::write(conn, &batch.lane, &batch.next, now, ttl).await?;
    Ok(Committed::Done)
}

async fn write_projection(
    conn: &mut SqliteConnection,
    plan: &Plan<'_>,
    batch: &Batch,
) -> Result<(), sqlx::Error> {
    for (key, expected) in &batch.purge {
        purge(conn, plan, key, expected.as_ref()).await?;
    }
    for (row, expected) in &batch.restore {
        restore(conn, plan, row, expected.as_ref()).await?;
    }
    let rows: Vec<&RowWrite> = batch.rows.iter().collect();
    let rows = without_ended(conn, plan, rows).await?;
    upsert(conn, plan, &rows, "excluded.seamline_sequence > seamline_sequence").await?;
    end(conn, plan, &batch.ended).await
}

/// Leaves out rows whose key ended at their sequence or later, and forgets the ends that the others come after.
async fn without_ended<'r>(
    conn: &mut SqliteConnection,
    plan: &Plan<'_>,
    rows: Vec<&'r RowWrite>,
) -> Result<Vec<&'r RowWrite>, sqlx::Error> {
    if rows.is_empty() {
        return Ok(rows);
    }
    let keys = json_text(rows.iter().map(|row| json!(row.key.as_str())))?;
    let ended = "SELECT e.key, e.sequence FROM json_each(?1) k \
                 CROSS JOIN seamline_tombstone e ON e.subscription = ?2 AND e.key = k.value";
    let ended = sqlx::query(ended).bind(keys).bind(&plan.subscription).fetch_all(&mut *conn).await?;
    if ended.is_empty() {
        return Ok(rows);
    }
    let mut by_key: BTreeMap<String, Sequence> = BTreeMap::new();
    for row in &ended {
        by_key.insert(row.get(0), Sequence(unsigned(row.get(1))?));
    }
    let at = |row: &RowWrite| by_key.get(row.key.as_str()).copied();
    let (kept, _): (Vec<_>, Vec<_>) =
        rows.into_iter().partition(|row| at(row).is_none_or(|ended| ended < row.marker.sequence));
    let over = kept.iter().filter(|row| at(row).is_some());
    let over = json_text(over.map(|row| json!(row.key.as_str())))?;
    let forget =
        "DELETE FROM seamline_tombstone WHERE subscription = ? AND key IN (SELECT value FROM json_each(?))";
    sqlx::query(forget).bind(&plan.subscription).bind(over).execute(conn).await?;
    Ok(kept)
}

/// Writes rows; what is there stays where the condition does not hold, unless it has no marker.
async fn upsert(
    conn: &mut SqliteConnection,
    plan: &Plan<'_>,
    rows: &[&RowWrite],
    condition: &str,
) -> Result<(), sqlx::Error> {
    let columns: Vec<&str> = plan
        .columns
        .iter()
        .map(String::as_str)
        .chain(MARKERS.iter().take(MARKER_COLUMNS).map(|(name, _)| *name))
        .collect();
    let sets: Vec<String> = columns.iter().map(|column| format!("{column} = excluded.{column}")).collect();
    for part in chunks(rows, columns.len()) {
        let statement = format!(
            "INSERT INTO {} ({}) VALUES {} ON CONFLICT ({}) DO UPDATE SET {}, seamline_ended = NULL \
             WHERE seamline_sequence IS NULL OR {condition}",
            plan.table,
            columns.join(", "),
            places(part.len(), columns.len()),
            plan.key_columns().join(", "),
            sets.join(", "),
        );
        let mut query = sqlx::query(AssertSqlSafe(statement));
        for row in part {
            for value in &row.values {
                query = store(value).bind(query);
            }
            for cell in marker_cells(&row.marker) {
                query = cell.bind(query);
            }
        }
        query.execute(&mut *conn).await?;
    }
    Ok(())
}

/// Ends keys: their rows go or are marked, unless a higher sequence is there; then their tombstones are written.
async fn end(conn: &mut SqliteConnection, plan: &Plan<'_>, ended: &[KeyEnd]) -> Result<(), sqlx::Error> {
    if ended.is_empty() {
        return Ok(());
    }
    let first = plan.projection.key.len() + 1;
    let part = |idx: usize| format!("json_extract(k.value, '$[{}]')", first + idx);
    let (sequence, offset) = (part(0), part(1));
    let (received, written) = (format!("unhex({})", part(2)), format!("unhex({})", part(3)));
    let given = json_text(ended.iter().map(|end| {
        let mut parts = plan.key_json(&end.key);
        let marker = &end.marker;
        let list = parts.as_array_mut().expect("a key is an array");
        list.push(json!(marker.sequence.0));
        list.push(json!(marker.offset));
        list.push(json!(hex(&marker.received.to_bytes())));
        list.push(json!(hex(&marker.written.to_bytes())));
        parts
    }))?;
    let (table, has_key) = (&plan.table, plan.has_key("t", "k.value"));
    let older = format!("(t.seamline_sequence IS NULL OR t.seamline_sequence < {sequence})");
    let rows = if plan.projection.keep_ended {
        format!(
            "UPDATE {table} AS t SET seamline_sequence = {sequence}, seamline_offset = {offset}, \
             seamline_received = {received}, seamline_written = {written}, seamline_ended = 1 \
             FROM json_each(?) k WHERE {has_key} AND {older}"
        )
    } else {
        format!(
            "DELETE FROM {table} WHERE _rowid_ IN (SELECT t._rowid_ FROM json_each(?) k \
             CROSS JOIN {table} t ON {has_key} WHERE {older})"
        )
    };
    sqlx::query(AssertSqlSafe(rows)).bind(&given).execute(&mut *conn).await?;
    let tombstones = format!(
        "INSERT INTO seamline_tombstone (subscription, key, sequence, offset, received, written) \
         SELECT ?1, json_extract(k.value, '$[0]'), {sequence}, {offset}, {received}, {written} \
         FROM json_each(?2) k LEFT JOIN {table} t ON {has_key} \
         WHERE t._rowid_ IS NULL OR t.seamline_sequence < {sequence} \
         OR (t.seamline_ended = 1 AND t.seamline_sequence = {sequence}) \
         ON CONFLICT (subscription, key) DO UPDATE SET sequence = excluded.sequence, offset = excluded.offset, \
         received = excluded.received, written = excluded.written WHERE excluded.sequence > sequence"
    );
    sqlx::query(AssertSqlSafe(tombstones)).bind(&plan.subscription).bind(given).execute(conn).await?;
    Ok(())
}

/// Returns the condition that a row has exactly a marker, bound to the next parameters; none: that any part is missing.
fn is_marked(expected: Option<&Marker>) -> String {
    let part = |(name, _): &(&str, &str)| match expected {
        Some(_) => format!("{name} = ?"),
        None => format!("{name} IS NULL"),
    };
    let parts: Vec<String> = MARKERS.iter().take(MARKER_COLUMNS).map(part).collect();
    format!("({})", parts.join(if expected.is_some() { " AND " } else { " OR " }))
}

async fn purge(
    conn: &mut SqliteConnection,
    plan: &Plan<'_>,
    key: &RecordKey,
    expected: Option<&Marker>,
) -> Result<(), sqlx::Error> {
    let statement = format!("DELETE FROM {} WHERE {} AND {}", plan.table, plan.is_key(), is_marked(expected));
    let mut query = sqlx::query(AssertSqlSafe(statement));
    for cell in plan.key_cells(key) {
        query = cell.bind(query);
    }
    for cell in expected.map(marker_cells).into_iter().flatten() {
        query = cell.bind(query);
    }
    query.execute(conn).await?;
    Ok(())
}

async fn restore(
    conn: &mut SqliteConnection,
    plan: &Plan<'_>,
    row: &RowWrite,
    expected: Option<&Marker>,
) -> Result<(), sqlx::Error> {
    let ended = "SELECT count(*) FROM seamline_tombstone WHERE subscription = ? AND key = ? AND sequence > ?";
    let ended = sqlx::query_scalar(ended).bind(&plan.subscription).bind(row.key.as_str());
    let ended: i64 = ended.bind(signed(row.marker.sequence.0)).fetch_one(&mut *conn).await?;
    let there = format!("SELECT count(*) FROM {} WHERE {}", plan.table, plan.is_key());
    let there = match expected {
        Some(_) => format!("{there} AND {}", is_marked(expected)),
        None => there,
    };
    let mut query = sqlx::query_scalar::<_, i64>(AssertSqlSafe(there));
    for cell in plan
        .key_cells(&row.key)
        .iter()
        .chain(&expected.map(marker_cells).into_iter().flatten().collect::<Vec<_>>())
    {
        query = match cell {
            Cell::Null => query.bind(None::<i64>),
            Cell::Integer(number) => query.bind(*number),
            Cell::Real(number) => query.bind(*number),
            Cell::Text(text) => query.bind(text.clone()),
            Cell::Blob(bytes) => query.bind(bytes.clone()),
        };
    }
    let there = query.fetch_one(&mut *conn).await?;
    if ended > 0 || there != i64::from(expected.is_some()) {
        return Ok(());
    }
    upsert(conn, plan, &[row], "true").await?;
    let forget = sqlx::query("DELETE FROM seamline_tombstone WHERE subscription = ? AND key = ?");
    forget.bind(&plan.subscription).bind(row.key.as_str()).execute(conn).await?;
    Ok(())
}

async fn write_chains(
    conn: &mut SqliteConnection,
    lane: &Lane,
    chains: &[(RecordKey, Sequence)],
) -> Result<(), sqlx::Error> {
    const COLUMNS: usize = 5;
    for part in chunks(chains, COLUMNS) {
        let statement = format!(
            "INSERT INTO seamline_chain (subscription, topic, partition, key, sequence) VALUES {} \
             ON CONFLICT (subscription, topic, partition, key) DO UPDATE SET sequence = excluded.sequence",
            places(part.len(), COLUMNS)
        );
        let mut query = sqlx::query(AssertSqlSafe(statement));
        for (key, sequence) in part {
            query = query.bind(lane.subscription.to_string()).bind(&lane.topic).bind(lane.partition);
            query = query.bind(key.as_str()).bind(signed(sequence.0));
        }
        query.execute(&mut *conn).await?;
    }
    Ok(())
}

async fn write_inbox(
    conn: &mut SqliteConnection,
    lane: &Lane,
    rows: &[InboxRow],
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    const COLUMNS: usize = 12;
    for part in chunks(rows, COLUMNS) {
        let statement = format!(
            "INSERT INTO seamline_inbox (subscription, id, key, event, sequence, effective, reason, payload, \
             projection_behind, received_at, correlation, traceparent) VALUES {} ON CONFLICT (subscription, id) DO NOTHING",
            places(part.len(), COLUMNS)
        );
        let mut query = sqlx::query(AssertSqlSafe(statement));
        for row in part {
            let payload = std::str::from_utf8(&row.payload).map_err(corrupt)?;
            query = query.bind(lane.subscription.to_string()).bind(&row.id).bind(row.key.as_str());
            query = query.bind(&row.event).bind(signed(row.sequence.0)).bind(row.effective.as_deref());
            query = query.bind(row.reason.as_deref()).bind(payload).bind(row.projection_behind);
            query = query.bind(now.to_string());
            query = query.bind(row.correlation.as_deref()).bind(row.traceparent.as_deref());
        }
        query.execute(&mut *conn).await?;
    }
    Ok(())
}

async fn release(conn: &mut SqliteConnection, lane: &Lane, offsets: &[u64]) -> Result<(), sqlx::Error> {
    if offsets.is_empty() {
        return Ok(());
    }
    let offsets = serde_json::to_string(offsets).map_err(corrupt)?;
    let statement = "DELETE FROM seamline_aside WHERE subscription = ? AND topic = ? AND partition = ? \
                     AND offset IN (SELECT value FROM json_each(?))";
    let query = sqlx::query(statement).bind(lane.subscription.to_string()).bind(&lane.topic);
    query.bind(lane.partition).bind(offsets).execute(conn).await?;
    Ok(())
}

async fn write_received_aside(
    conn: &mut SqliteConnection,
    lane: &Lane,
    keys: &[(RecordKey, Option<(Sequence, Digest)>)],
) -> Result<(), sqlx::Error> {
    for (key, aside) in keys {
        let subscription = lane.subscription.to_string();
        match aside {
            Some((sequence, digest)) => {
                let statement = "INSERT OR REPLACE INTO seamline_received_aside (subscription, key, sequence, digest) \
                                 VALUES (?, ?, ?, ?)";
                let query = sqlx::query(statement).bind(subscription).bind(key.as_str());
                let query = query.bind(signed(sequence.0)).bind(digest.to_bytes().to_vec());
                query.execute(&mut *conn).await?;
            }
            None => {
                let statement = "DELETE FROM seamline_received_aside WHERE subscription = ? AND key = ?";
                sqlx::query(statement).bind(subscription).bind(key.as_str()).execute(&mut *conn).await?;
            }
        }
    }
    Ok(())
}
