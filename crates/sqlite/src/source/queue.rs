//! The outbox as a queue: its lease, the rows that wait, and their removal.

use super::{COLUMNS, hours};
use crate::case::{moment, raise};
use crate::file::{corrupt, signed, unsigned};
use jiff::Timestamp;
use seamline_contract::id::{Major, Version};
use seamline_contract::served::chain_as_written;
use seamline_flow::lease::holds;
use seamline_flow::source::{Act, OutboxRow, Removal, Removed, SetAside, Taken, Tenure};
use seamline_message::codec::Change;
use seamline_message::sequence::Sequence;
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use std::collections::BTreeMap;
use std::time::Duration;

pub(super) async fn take_over(
    conn: &mut SqliteConnection,
    holder: &str,
    now: Timestamp,
    ttl: Duration,
) -> Result<Taken, sqlx::Error> {
    let lease = "SELECT epoch, holder, until, batch FROM seamline_lease WHERE name = 'outbox'";
    let lease = sqlx::query(lease).fetch_one(&mut *conn).await?;
    if let Some(until) = held_by_another(lease.get("holder"), lease.get("until"), holder, now)? {
        return Ok(Taken::Busy { until });
    }
    let epoch = lease.get::<i64, _>("epoch") + 1;
    let take = "UPDATE seamline_lease SET epoch = ?, holder = ?, until = ? WHERE name = 'outbox'";
    sqlx::query(take).bind(epoch).bind(holder).bind(end_of(now, ttl)).execute(conn).await?;
    Ok(Taken::Held(Tenure { epoch: unsigned(epoch)?, batch: unsigned(lease.get("batch"))? }))
}

/// Returns until when a lease is another's, when it is.
pub(crate) fn held_by_another(
    there: Option<&str>,
    until: Option<&str>,
    holder: &str,
    now: Timestamp,
) -> Result<Option<Timestamp>, sqlx::Error> {
    let (Some(there), Some(until)) = (there, until) else { return Ok(None) };
    let until = moment(until)?;
    Ok((there != holder && holds(until, now)).then_some(until))
}

/// Returns the text of the moment at which a lease ends.
pub(crate) fn end_of(now: Timestamp, ttl: Duration) -> String {
    now.checked_add(ttl).unwrap_or(Timestamp::MAX).to_string()
}

/// A void stands in the queue where the event stood whose place it takes.
pub(super) async fn waiting(
    conn: &mut SqliteConnection,
    limit: usize,
) -> Result<Vec<OutboxRow>, sqlx::Error> {
    let rows = "SELECT o.*, EXISTS (SELECT 1 FROM seamline_quarantine q WHERE q.contract = o.contract \
        AND q.key = o.key AND coalesce(q.void_sequence, q.id) < o.place) AS behind FROM (\
        SELECT * FROM (SELECT *, id AS place FROM seamline_outbox WHERE void_sequence IS NULL ORDER BY id LIMIT ?1) \
        UNION ALL \
        SELECT * FROM (SELECT *, void_sequence AS place FROM seamline_outbox WHERE void_sequence IS NOT NULL \
        ORDER BY void_sequence, id LIMIT ?1)) o ORDER BY o.place, o.id LIMIT ?1";
    let rows = sqlx::query(rows).bind(i64::try_from(limit).unwrap_or(i64::MAX)).fetch_all(conn).await?;
    rows.iter().map(outbox_row).collect()
}

pub(super) fn outbox_row(row: &SqliteRow) -> Result<OutboxRow, sqlx::Error> {
    let text = |name: &str| row.get::<Option<String>, _>(name);
    let previous: BTreeMap<String, Option<u64>> =
        serde_json::from_str(row.get("previous")).map_err(corrupt)?;
    let version: Version = row.get::<&str, _>("version").parse().map_err(corrupt)?;
    let chain =
        |(stored, at): (String, Option<u64>)| (chain_as_written(version.major, stored), at.map(Sequence));
    Ok(OutboxRow {
        sequence: Sequence(unsigned(row.get("id"))?),
        contract: row.get::<&str, _>("contract").parse().map_err(corrupt)?,
        version,
        key: row.get("key"),
        act: act(row, version.major)?,
        state: text("state").map(String::into_bytes),
        moved: text("moved").map(String::into_bytes),
        previous: previous.into_iter().map(chain).collect(),
        written_at: moment(row.get("written_at"))?,
        correlation: text("correlation"),
        causation: text("causation"),
        traceparent: text("traceparent"),
        behind: row.get("behind"),
    })
}

fn act(row: &SqliteRow, major: Major) -> Result<Act, sqlx::Error> {
    let text = |name: &str| row.get::<Option<String>, _>(name);
    let number = |name: &str| row.get::<Option<i64>, _>(name).map(unsigned).transpose();
    if let Some(sequence) = number("void_sequence")? {
        let channel = text("void_channel").ok_or_else(|| corrupt("a void without a channel"))?;
        let channel = chain_as_written(major, channel);
        let previous = number("void_previous")?.map(Sequence);
        return Ok(Act::Void { channel, sequence: Sequence(sequence), previous });
    }
    let Some(event) = text("change") else { return Ok(Act::State) };
    Ok(Act::Change(Change {
        event: event.parse().map_err(corrupt)?,
        effective: text("effective"),
        reason: text("reason"),
        details: text("details").map(String::into_bytes),
    }))
}

pub(super) async fn remove(
    conn: &mut SqliteConnection,
    tenure: &Tenure,
    removal: &Removal,
    now: Timestamp,
    ttl: Duration,
) -> Result<Removed, sqlx::Error> {
    let lease = "SELECT epoch, batch FROM seamline_lease WHERE name = 'outbox'";
    let lease = sqlx::query(lease).fetch_one(&mut *conn).await?;
    let (epoch, batch) = (unsigned(lease.get(0))?, unsigned(lease.get(1))?);
    let follows = batch + u64::from(!removal.published.is_empty());
    if epoch != tenure.epoch || removal.number != follows {
        return Ok(Removed::Fenced);
    }
    if !removal.published.is_empty() {
        publish(conn, &removal.published).await?;
    }
    if !removal.aside.is_empty() {
        set_aside(conn, &removal.aside, now).await?;
    }
    if !removal.deferred.is_empty() {
        hours::put_off(conn, &removal.deferred).await?;
    }
    for case in &removal.cases {
        raise(conn, case, now).await?;
    }
    let renew = "UPDATE seamline_lease SET batch = ?, until = ? WHERE name = 'outbox'";
    sqlx::query(renew).bind(signed(removal.number)).bind(end_of(now, ttl)).execute(conn).await?;
    Ok(Removed::Done)
}

pub(super) async fn publish(conn: &mut SqliteConnection, published: &[Sequence]) -> Result<(), sqlx::Error> {
    let ids: Vec<u64> = published.iter().map(|sequence| sequence.0).collect();
    let ids = serde_json::to_string(&ids).map_err(corrupt)?;
    // Counted where they leave: a row that is gone already is not in the log because of this batch.
    let count = "UPDATE seamline_contract SET published = published + gone.rows FROM \
        (SELECT contract, count(*) AS rows FROM (\
        SELECT contract FROM seamline_outbox WHERE id IN (SELECT value FROM json_each(?1)) UNION ALL \
        SELECT contract FROM seamline_deferred WHERE id IN (SELECT value FROM json_each(?1))) GROUP BY contract) AS gone \
        WHERE gone.contract = seamline_contract.contract";
    sqlx::query(count).bind(&ids).execute(&mut *conn).await?;
    for leave in [
        "DELETE FROM seamline_outbox WHERE id IN (SELECT value FROM json_each(?))",
        "DELETE FROM seamline_deferred WHERE id IN (SELECT value FROM json_each(?))",
    ] {
        sqlx::query(leave).bind(&ids).execute(&mut *conn).await?;
    }
    Ok(())
}

async fn set_aside(
    conn: &mut SqliteConnection,
    aside: &[SetAside],
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let wide = format!(
        "INSERT INTO seamline_quarantine ({COLUMNS}, rule, path, message, since) SELECT {COLUMNS}, ?1, ?2, ?3, ?4 FROM (\
         SELECT {COLUMNS} FROM seamline_outbox WHERE id = ?5 UNION ALL \
         SELECT {COLUMNS} FROM seamline_deferred WHERE id = ?5)"
    );
    for row in aside {
        let (rule, path, message) = match &row.violation {
            Some((rule, path, message)) => (Some(rule), Some(path), Some(message)),
            None => (None, None, None),
        };
        let query = sqlx::query(sqlx::AssertSqlSafe(wide.as_str())).bind(rule).bind(path).bind(message);
        query.bind(now.to_string()).bind(signed(row.sequence.0)).execute(&mut *conn).await?;
        for leave in
            ["DELETE FROM seamline_outbox WHERE id = ?", "DELETE FROM seamline_deferred WHERE id = ?"]
        {
            sqlx::query(leave).bind(signed(row.sequence.0)).execute(&mut *conn).await?;
        }
    }
    // Invariant: a row without a violation is in quarantine only behind another row of its key. One that it was to wait behind
    // may have been re-driven since it was read.
    for row in aside.iter().filter(|row| row.violation.is_none()) {
        let alone = "SELECT count(*) FROM seamline_quarantine r WHERE r.id = ? AND NOT EXISTS (SELECT 1 FROM \
            seamline_quarantine q WHERE q.contract = r.contract AND q.key = r.key \
            AND coalesce(q.void_sequence, q.id) < coalesce(r.void_sequence, r.id))";
        let alone = sqlx::query_scalar(alone).bind(signed(row.sequence.0));
        let alone: i64 = alone.fetch_one(&mut *conn).await?;
        if alone > 0 {
            return Err(corrupt("a row no longer waits behind one in quarantine; it is read again"));
        }
    }
    Ok(())
}
