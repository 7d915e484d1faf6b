//! The outbox as a queue: its lease, the rows that wait, and their removal.

use super::hours;
use crate::case::raise;
use crate::sql::{corrupt, signed, unsigned};
use futures_util::{Stream, TryStreamExt};
use jiff::Timestamp;
use seamline_contract::id::{Major, Version};
use seamline_contract::served::chain_as_written;
use seamline_flow::lease::holds;
use seamline_flow::source::{Act, OutboxRow, Removal, Removed, SetAside, Taken, Tenure};
use seamline_message::codec::Change;
use seamline_message::mutant::{self, Mutant};
use seamline_message::sequence::Sequence;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Row};
use std::collections::BTreeMap;
use std::time::Duration;

/// A moment as microseconds since 1970.
fn micros(column: &str) -> String {
    format!("(extract(epoch FROM {column}) * 1000000)::bigint")
}

/// Reads a moment in microseconds since 1970.
pub(super) fn moment(micros: i64) -> Result<Timestamp, sqlx::Error> {
    Timestamp::from_microsecond(micros).map_err(corrupt)
}

pub(super) fn end_of(now: Timestamp, ttl: Duration) -> String {
    now.checked_add(ttl).unwrap_or(Timestamp::MAX).to_string()
}

pub(super) async fn take_over(
    conn: &mut PgConnection,
    holder: &str,
    now: Timestamp,
    ttl: Duration,
) -> Result<Taken, sqlx::Error> {
    let lease = format!(
        "SELECT epoch, batch, holder, {} FROM seamline.lease WHERE name = 'outbox' FOR UPDATE",
        micros("until")
    );
    let lease = sqlx::query(sqlx::AssertSqlSafe(lease)).fetch_one(&mut *conn).await?;
    let (there, until): (Option<String>, Option<i64>) = (lease.get(2), lease.get(3));
    if let (Some(there), Some(until)) = (there, until) {
        let until = moment(until)?;
        if there != holder && holds(until, now) {
            return Ok(Taken::Busy { until });
        }
    }
    let epoch = lease.get::<i64, _>(0) + 1;
    let take =
        "UPDATE seamline.lease SET epoch = $1, holder = $2, until = $3::timestamptz WHERE name = 'outbox'";
    sqlx::query(take).bind(epoch).bind(holder).bind(end_of(now, ttl)).execute(conn).await?;
    Ok(Taken::Held(Tenure { epoch: unsigned(epoch)?, batch: unsigned(lease.get(1))? }))
}

/// The lowest of each table behind a place, then the lowest of all: each is found by its index, and no row is read that is not
/// asked for. A void stands in the queue where the event stood whose place it takes. None come where a row waits up to that place
/// that was not named, or one was named that does not wait. Columns come as they are stored: what is computed for each row costs
/// more than to read it.
const WAITING: &str = "SELECT o.*, CASE WHEN (SELECT EXISTS (SELECT FROM seamline.quarantine)) THEN \
    EXISTS (SELECT FROM seamline.quarantine q WHERE q.contract = o.contract \
    AND q.key = o.key AND coalesce(q.void_place, q.id) < o.place) ELSE false END \
    FROM ((SELECT id, contract, version, key, change, details, effective, reason, state, moved, previous, written_at, \
    correlation, causation, traceparent, NULL::text AS channel, NULL::bigint AS void_previous, id AS place \
    FROM seamline.outbox_0 WHERE id > $2 ORDER BY id LIMIT $1) UNION ALL \
    (SELECT id, contract, version, key, change, details, effective, reason, state, moved, previous, written_at, \
    correlation, causation, traceparent, NULL, NULL, id \
    FROM seamline.outbox_1 WHERE id > $2 ORDER BY id LIMIT $1) UNION ALL \
    (SELECT id, contract, version, key, change, details, effective, reason, state, moved, previous, written_at, \
    correlation, causation, traceparent, NULL, NULL, id \
    FROM seamline.outbox_2 WHERE id > $2 ORDER BY id LIMIT $1) UNION ALL \
    (SELECT id, contract, version, key, NULL, NULL, NULL, NULL, NULL, NULL, '{}', written_at, \
    NULL, NULL, NULL, channel, previous, place \
    FROM seamline.void WHERE place > $2 ORDER BY place, id LIMIT $1)) o \
    WHERE (SELECT count(*) FILTER (WHERE a.id IS NULL OR b.id IS NULL) FROM (\
    SELECT id FROM seamline.outbox_0 WHERE id <= $2 UNION ALL SELECT id FROM seamline.outbox_1 WHERE id <= $2 \
    UNION ALL SELECT id FROM seamline.outbox_2 WHERE id <= $2 UNION ALL SELECT id FROM seamline.void WHERE place <= $2) a \
    FULL JOIN unnest($3::bigint[]) AS b (id) ON a.id = b.id) = 0 \
    ORDER BY o.place, o.id LIMIT $1";

/// How many rows room is made for at once.
const ROWS_USUAL: usize = 4_096;

/// Less than any place.
const NOWHERE: i64 = -1;

/// Rows that were read.
pub(super) struct Waiting {
    pub(super) rows: Vec<OutboxRow>,
    /// More come on the connection, which nobody wants: it is of no use any more.
    pub(super) cut: bool,
}

/// Returns the rows behind a place that was reached with exactly those ids before it; none when it is not those. Rows end with
/// the one that reaches the weight: no more than that is in memory.
async fn rows_behind(
    conn: &mut PgConnection,
    place: i64,
    limit: usize,
    weight: u64,
    taken: &[i64],
) -> Result<Waiting, sqlx::Error> {
    let asked = i64::try_from(limit).unwrap_or(i64::MAX);
    read(sqlx::query(WAITING).bind(asked).bind(place).bind(taken).fetch(conn), limit, weight).await
}

/// Reads rows until they reach the weight.
pub(super) async fn read(
    mut found: impl Stream<Item = Result<PgRow, sqlx::Error>> + Unpin,
    limit: usize,
    weight: u64,
) -> Result<Waiting, sqlx::Error> {
    let mut waiting = Waiting { rows: Vec::with_capacity(limit.min(ROWS_USUAL)), cut: false };
    let mut read = 0;
    while let Some(row) = found.try_next().await? {
        if read >= weight {
            waiting.cut = true;
            break;
        }
        let row = outbox_row(&row)?;
        read += row.weight();
        waiting.rows.push(row);
    }
    Ok(waiting)
}

pub(super) async fn waiting(
    conn: &mut PgConnection,
    limit: usize,
    weight: u64,
) -> Result<Waiting, sqlx::Error> {
    rows_behind(conn, NOWHERE, limit, weight, &[]).await
}

pub(super) async fn waiting_behind(
    conn: &mut PgConnection,
    taken: &[OutboxRow],
    limit: usize,
    weight: u64,
) -> Result<Waiting, sqlx::Error> {
    let place = taken.iter().map(|row| signed(row.place().0)).max().unwrap_or(NOWHERE);
    let ids: Vec<i64> = taken.iter().map(|row| signed(row.sequence.0)).collect();
    rows_behind(conn, place, limit, weight, &ids).await
}

/// Microseconds between the epochs of Unix and of PostgreSQL.
const EPOCH_MICROS: i64 = 946_684_800_000_000;

/// Reads a moment as PostgreSQL stores it.
fn stored_moment(row: &PgRow, idx: usize) -> Result<Timestamp, sqlx::Error> {
    let stored = row.try_get_raw(idx)?.as_bytes().map_err(corrupt)?;
    let stored: [u8; 8] = stored.try_into().map_err(corrupt)?;
    moment(i64::from_be_bytes(stored).saturating_add(EPOCH_MICROS))
}

pub(super) fn outbox_row(row: &PgRow) -> Result<OutboxRow, sqlx::Error> {
    let text = |idx: usize| row.get::<Option<String>, _>(idx);
    let previous: BTreeMap<String, Option<u64>> =
        serde_json::from_str(row.get::<&str, _>(10)).map_err(corrupt)?;
    let version: Version = row.get::<&str, _>(2).parse().map_err(corrupt)?;
    let chain =
        |(stored, at): (String, Option<u64>)| (chain_as_written(version.major, stored), at.map(Sequence));
    Ok(OutboxRow {
        sequence: Sequence(unsigned(row.get(0))?),
        contract: row.get::<&str, _>(1).parse().map_err(corrupt)?,
        version,
        key: row.get(3),
        act: act(row, version.major)?,
        state: text(8).map(String::into_bytes),
        moved: text(9).map(String::into_bytes),
        previous: previous.into_iter().map(chain).collect(),
        written_at: stored_moment(row, 11)?,
        correlation: text(12),
        causation: text(13),
        traceparent: text(14),
        behind: row.get(18),
    })
}

fn act(row: &PgRow, major: Major) -> Result<Act, sqlx::Error> {
    let text = |idx: usize| row.get::<Option<String>, _>(idx);
    if let Some(channel) = text(15) {
        let previous = row.get::<Option<i64>, _>(16).map(unsigned).transpose()?;
        let sequence = Sequence(unsigned(row.get(17))?);
        let channel = chain_as_written(major, channel);
        return Ok(Act::Void { channel, sequence, previous: previous.map(Sequence) });
    }
    let Some(event) = row.get::<Option<&str>, _>(4) else { return Ok(Act::State) };
    Ok(Act::Change(Change {
        event: event.parse().map_err(corrupt)?,
        effective: text(6),
        reason: text(7),
        details: text(5).map(String::into_bytes),
    }))
}

pub(super) async fn remove(
    conn: &mut PgConnection,
    tenure: &Tenure,
    removal: &Removal,
    now: Timestamp,
    ttl: Duration,
) -> Result<Removed, sqlx::Error> {
    let Some(before) = removal.number.checked_sub(u64::from(!removal.published.is_empty())) else {
        return Ok(Removed::Fenced);
    };
    let lease = if mutant::is(Mutant::RemovalUnfenced) {
        "UPDATE seamline.lease SET batch = $1, until = $2::timestamptz \
         WHERE name = 'outbox' AND $3::bigint IS NOT NULL AND $4::bigint IS NOT NULL"
    } else {
        "UPDATE seamline.lease SET batch = $1, until = $2::timestamptz \
         WHERE name = 'outbox' AND epoch = $3 AND batch = $4"
    };
    let lease = sqlx::query(lease).bind(signed(removal.number)).bind(end_of(now, ttl));
    let held = lease.bind(signed(tenure.epoch)).bind(signed(before)).execute(&mut *conn).await?;
    if held.rows_affected() == 0 {
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
    Ok(Removed::Done)
}

/// How many numbers between the lowest and the highest of some rows may be those of others, so that they are named instead.
const OTHERS_MAX: usize = 64;

/// Rows to remove: all between two, but for some; or one by one.
enum Leaving {
    Between { low: i64, high: i64, others: Vec<i64> },
    Each(Vec<i64>),
}

/// Returns how rows are named with the fewest numbers: they mostly follow one another, and a range costs a fraction of as many
/// searches.
fn leaving(published: &[Sequence]) -> Leaving {
    let mut ids: Vec<i64> = published.iter().map(|sequence| signed(sequence.0)).collect();
    ids.sort_unstable();
    let (Some(low), Some(high)) = (ids.first().copied(), ids.last().copied()) else {
        return Leaving::Each(ids);
    };
    let numbers = high.abs_diff(low).saturating_add(1);
    if numbers > (ids.len() + OTHERS_MAX) as u64 {
        return Leaving::Each(ids);
    }
    let between = ids.windows(2).flat_map(|pair| pair[0] + 1..pair[1]);
    Leaving::Between { low, high, others: between.collect() }
}

/// Counted where they leave: a row that is gone already is not in the log because of this batch.
pub(super) async fn publish(conn: &mut PgConnection, published: &[Sequence]) -> Result<(), sqlx::Error> {
    const BETWEEN: &str = "id BETWEEN $1 AND $2 AND id <> ALL ($3)";
    const EACH: &str = "id = ANY ($1)";
    let leave = |which: &str| {
        AssertSqlSafe(format!(
            "WITH a AS (DELETE FROM seamline.outbox_0 WHERE {which} RETURNING contract), \
            b AS (DELETE FROM seamline.outbox_1 WHERE {which} RETURNING contract), \
            c AS (DELETE FROM seamline.outbox_2 WHERE {which} RETURNING contract), \
            d AS (DELETE FROM seamline.void WHERE {which} RETURNING contract), \
            gone AS (SELECT contract FROM a UNION ALL SELECT contract FROM b UNION ALL SELECT contract FROM c \
            UNION ALL SELECT contract FROM d), \
            counted AS (SELECT contract, count(*) AS rows FROM gone GROUP BY contract), \
            kept AS (UPDATE seamline.contract t SET published = t.published + g.rows FROM counted g \
            WHERE g.contract = t.contract RETURNING g.rows) \
            SELECT coalesce(sum(rows), 0)::bigint FROM kept"
        ))
    };
    let left: i64 = match leaving(published) {
        Leaving::Between { low, high, others } => {
            let between = sqlx::query_scalar(leave(BETWEEN)).bind(low).bind(high).bind(others);
            between.fetch_one(&mut *conn).await?
        }
        Leaving::Each(ids) => sqlx::query_scalar(leave(EACH)).bind(ids).fetch_one(&mut *conn).await?,
    };
    let deferred = if usize::try_from(left) == Ok(published.len()) {
        0
    } else {
        hours::publish(conn, published).await?
    };
    exactly(left + deferred, published.len())
}

/// Invariant: exactly the rows that are asked for leave the outbox, or none.
pub(super) fn exactly(left: i64, asked: usize) -> Result<(), sqlx::Error> {
    if usize::try_from(left) == Ok(asked) || mutant::is(Mutant::RemovalUnfenced) {
        return Ok(());
    }
    Err(corrupt(format!("{left} of {asked} rows to remove were in the outbox; nothing was removed")))
}

async fn set_aside(conn: &mut PgConnection, aside: &[SetAside], now: Timestamp) -> Result<(), sqlx::Error> {
    let ids: Vec<i64> = aside.iter().map(|row| signed(row.sequence.0)).collect();
    hours::take_back(conn, &ids).await?;
    let part = |part: fn(&(String, String, String)) -> &String| -> Vec<Option<String>> {
        aside.iter().map(|row| row.violation.as_ref().map(part).cloned()).collect()
    };
    let (rules, paths, messages) = (part(|v| &v.0), part(|v| &v.1), part(|v| &v.2));
    let mut left = 0;
    for table in super::OUTBOXES {
        let aside = format!(
            "WITH gone AS (DELETE FROM {table} WHERE id = ANY ($1) RETURNING *) \
             INSERT INTO seamline.quarantine ({columns}, rule, path, message, since) \
             SELECT {gone}, a.rule, a.path, a.message, $5::timestamptz FROM gone g \
             JOIN unnest($1, $2::text[], $3::text[], $4::text[]) AS a (id, rule, path, message) ON a.id = g.id",
            columns = super::COLUMNS,
            gone = super::columns("g"),
        );
        let aside =
            sqlx::query(sqlx::AssertSqlSafe(aside)).bind(&ids).bind(&rules).bind(&paths).bind(&messages);
        left += aside.bind(now.to_string()).execute(&mut *conn).await?.rows_affected();
    }
    let voids = "WITH gone AS (DELETE FROM seamline.void WHERE id = ANY ($1) RETURNING *) \
        INSERT INTO seamline.quarantine (id, contract, version, key, previous, void_channel, void_place, void_previous, \
        written_at, rule, path, message, since) \
        SELECT g.id, g.contract, g.version, g.key, '{}', g.channel, g.place, g.previous, g.written_at, \
        a.rule, a.path, a.message, $5::timestamptz FROM gone g \
        JOIN unnest($1, $2::text[], $3::text[], $4::text[]) AS a (id, rule, path, message) ON a.id = g.id";
    let voids = sqlx::query(voids).bind(&ids).bind(&rules).bind(&paths).bind(&messages);
    left += voids.bind(now.to_string()).execute(&mut *conn).await?.rows_affected();
    exactly(i64::try_from(left).map_err(corrupt)?, ids.len())?;
    behind_something(conn, aside).await
}

/// Invariant: a row without a violation is in quarantine only behind another row of its key. One that it was to wait behind may
/// have been re-driven since it was read.
async fn behind_something(conn: &mut PgConnection, aside: &[SetAside]) -> Result<(), sqlx::Error> {
    let plain = aside.iter().filter(|row| row.violation.is_none());
    let ids: Vec<i64> = plain.map(|row| signed(row.sequence.0)).collect();
    let alone = "SELECT count(*) FROM seamline.quarantine r WHERE r.id = ANY ($1) AND NOT EXISTS (\
        SELECT FROM seamline.quarantine q WHERE q.contract = r.contract AND q.key = r.key \
        AND coalesce(q.void_place, q.id) < coalesce(r.void_place, r.id))";
    let alone: i64 = sqlx::query_scalar(alone).bind(&ids).fetch_one(conn).await?;
    match alone {
        0 => Ok(()),
        _ => {
            Err(corrupt(format!("{alone} rows no longer wait behind one in quarantine; they are read again")))
        }
    }
}
