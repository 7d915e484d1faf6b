//! One batch in one transaction, if the lane is still where the projector left it.

use super::lane::of_lane;
use super::projection::{MARKER_COLUMNS, Plan, bind_markers, bind_values, marker_arrays, value_arrays};
use super::{aside, copy, lane, repair};
use crate::case::raise;
use crate::install::consumer::MARKERS;
use crate::set;
use crate::sql::{corrupt, signed};
use jiff::Timestamp;
use seamline_flow::store::{Batch, Committed, Had, InboxRow, KeyEnd, Lane, RowWrite};
use seamline_message::digest::Digest;
use seamline_message::key::RecordKey;
use seamline_message::mutant::{self, Mutant};
use seamline_message::sequence::Sequence;
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;
use std::time::Duration;

/// `may_copy` says that rows of new keys may be copied; a key that is there all the same fails the transaction then.
pub(super) async fn commit(
    conn: &mut PgConnection,
    plan: Option<&Plan<'_>>,
    batch: &Batch,
    may_copy: bool,
    now: Timestamp,
    ttl: Duration,
) -> Result<Committed, sqlx::Error> {
    if !lane::is_at(conn, &batch.lane, batch.epoch, batch.expected.as_ref()).await? {
        return Ok(Committed::Fenced);
    }
    match plan {
        Some(plan) => write_projection(conn, plan, batch, may_copy).await?,
        None if batch.rows.is_empty()
            && batch.ended.is_empty()
            && batch.purge.is_empty()
            && batch.restore.is_empty() => {}
        None => return Err(corrupt("rows without a projection to write them to")),
    }
    write_others(conn, batch, now, ttl).await?;
    Ok(Committed::Done)
}

/// Writes a batch whose new rows were not looked for; none when one may be there, or they cannot be copied.
pub(super) async fn unread(
    conn: &mut PgConnection,
    plan: &Plan<'_>,
    batch: &Batch,
    now: Timestamp,
    ttl: Duration,
) -> Result<Option<Committed>, sqlx::Error> {
    if !lane::is_at(conn, &batch.lane, batch.epoch, batch.expected.as_ref()).await? {
        return Ok(Some(Committed::Fenced));
    }
    let (new, others): (Vec<_>, Vec<_>) = batch.rows.iter().partition(|row| row.had == Had::Nothing);
    if aside::any_end(conn, &plan.subscription).await? || !copy::copy(conn, plan, &new).await? {
        return Ok(None);
    }
    rewrite(conn, plan, others).await?;
    if !batch.ended.is_empty() {
        end(conn, plan, &batch.ended).await?;
    }
    write_others(conn, batch, now, ttl).await?;
    Ok(Some(Committed::Done))
}

/// Writes all that is no row and no end, and the lane.
async fn write_others(
    conn: &mut PgConnection,
    batch: &Batch,
    now: Timestamp,
    ttl: Duration,
) -> Result<(), sqlx::Error> {
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
    lane::write(conn, &batch.lane, &batch.next, now, ttl).await
}

async fn write_projection(
    conn: &mut PgConnection,
    plan: &Plan<'_>,
    batch: &Batch,
    may_copy: bool,
) -> Result<(), sqlx::Error> {
    for (key, expected) in &batch.purge {
        repair::purge(conn, plan, key, expected.as_ref()).await?;
    }
    for (row, expected) in &batch.restore {
        repair::restore(conn, plan, row, expected.as_ref()).await?;
    }
    let (new, mut others) =
        if may_copy { copy::split(&batch.rows) } else { (Vec::new(), batch.rows.iter().collect()) };
    if !new.is_empty() && !copy::copy(conn, plan, &new).await? {
        others = batch.rows.iter().collect();
    }
    rewrite(conn, plan, others).await?;
    if !batch.ended.is_empty() {
        end(conn, plan, &batch.ended).await?;
    }
    Ok(())
}

/// Writes rows, those that are there by an update: it asks neither for a tombstone nor whether the row is there.
async fn rewrite(conn: &mut PgConnection, plan: &Plan<'_>, rows: Vec<&RowWrite>) -> Result<(), sqlx::Error> {
    let newer = |given: &str| {
        let newer = format!("{given}.seamline_sequence > t.seamline_sequence");
        if mutant::is(Mutant::OffsetForSequence) { "true".to_owned() } else { newer }
    };
    let (there, mut others): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.had == Had::Row);
    // Where a row went or became newer since, all go the way that holds for any.
    if !there.is_empty() && update(conn, plan, &there, &newer("g")).await? != there.len() as u64 {
        others.extend(there);
    }
    if !others.is_empty() {
        upsert(conn, plan, &others, &newer("excluded")).await?;
    }
    Ok(())
}

/// Updates rows where the condition holds; returns how many.
async fn update(
    conn: &mut PgConnection,
    plan: &Plan<'_>,
    rows: &[&RowWrite],
    condition: &str,
) -> Result<u64, sqlx::Error> {
    let markers: Vec<&str> = MARKERS.iter().take(MARKER_COLUMNS).map(|(name, _)| *name).collect();
    let key = plan.key_columns();
    let names: Vec<String> = (0..plan.columns.len()).map(|idx| format!("c{idx}")).collect();
    let written = plan.columns.iter().zip(&names).filter(|(column, _)| !key.contains(&column.as_str()));
    let values = written.map(|(column, name)| format!("{column} = g.{name}"));
    let sets: Vec<String> = values.chain(markers.iter().map(|name| format!("{name} = g.{name}"))).collect();
    let same: Vec<String> =
        plan.projection.key.iter().map(|idx| format!("t.{} = g.c{idx}", plan.columns[*idx])).collect();
    let statement = format!(
        "UPDATE {table} t SET {sets}, seamline_ended = NULL FROM unnest({given}, {arrays}) AS g ({markers}, {names}) \
         WHERE {same} AND ({condition})",
        table = plan.table,
        sets = sets.join(", "),
        given = marker_arrays(1),
        arrays = value_arrays(plan, 5),
        markers = markers.join(", "),
        names = names.join(", "),
        same = same.join(" AND "),
    );
    let markers: Vec<_> = rows.iter().map(|row| &row.marker).collect();
    let query = bind_markers(sqlx::query(AssertSqlSafe(statement)), &markers);
    Ok(bind_values(query, plan, rows)?.execute(conn).await?.rows_affected())
}

/// Writes rows; what is there stays where the condition does not hold, unless it has no marker. Rows whose key ended at their
/// sequence or later are left out; the ends that the others come after are forgotten.
pub(super) async fn upsert(
    conn: &mut PgConnection,
    plan: &Plan<'_>,
    rows: &[&RowWrite],
    condition: &str,
) -> Result<(), sqlx::Error> {
    let markers: Vec<&str> = MARKERS.iter().take(MARKER_COLUMNS).map(|(name, _)| *name).collect();
    let columns: Vec<&str> = plan.columns.iter().map(String::as_str).chain(markers.iter().copied()).collect();
    let values: Vec<String> = (0..plan.columns.len()).map(|idx| format!("g.c{idx}")).collect();
    let names: Vec<String> = (0..plan.columns.len()).map(|idx| format!("c{idx}")).collect();
    // Without those of the key, which stay as they are: a row whose key is written is locked against all that refer to it.
    let key = plan.key_columns();
    let set = columns.iter().filter(|column| !key.iter().any(|of_key| of_key == *column));
    let sets: Vec<String> = set.map(|column| format!("{column} = excluded.{column}")).collect();
    let statement = format!(
        "WITH g AS MATERIALIZED (SELECT * FROM unnest($2::text[], {markers_given}, {arrays}) \
         AS u (seamline_key, {markers}, {names})), \
         late AS (DELETE FROM seamline.tombstone e USING g WHERE e.subscription = $1 AND e.key = g.seamline_key \
         AND e.sequence < g.seamline_sequence) \
         INSERT INTO {table} AS t ({columns}) SELECT {values}, {g_markers} FROM g WHERE NOT EXISTS \
         (SELECT FROM seamline.tombstone e WHERE e.subscription = $1 AND e.key = g.seamline_key \
         AND e.sequence >= g.seamline_sequence) \
         ON CONFLICT ({key}) DO UPDATE SET {sets}, seamline_ended = NULL \
         WHERE t.seamline_sequence IS NULL OR {condition}",
        markers_given = marker_arrays(3),
        arrays = value_arrays(plan, 7),
        markers = markers.join(", "),
        names = names.join(", "),
        table = plan.table,
        columns = columns.join(", "),
        values = values.join(", "),
        g_markers = markers.iter().map(|name| format!("g.{name}")).collect::<Vec<_>>().join(", "),
        key = key.join(", "),
        sets = sets.join(", "),
    );
    let query = sqlx::query(AssertSqlSafe(statement)).bind(&plan.subscription);
    let query = query.bind(rows.iter().map(|row| row.key.as_str()).collect::<Vec<_>>());
    let query = bind_markers(query, &rows.iter().map(|row| &row.marker).collect::<Vec<_>>());
    bind_values(query, plan, rows)?.execute(conn).await?;
    Ok(())
}

/// Ends keys: their rows go or are marked, unless a higher sequence is there; then their tombstones are written.
async fn end(conn: &mut PgConnection, plan: &Plan<'_>, ended: &[KeyEnd]) -> Result<(), sqlx::Error> {
    let first = plan.projection.key.len() + 3;
    let given = format!(
        "{} JOIN unnest({}) WITH ORDINALITY AS m (sequence, at, received, written, place) ON m.place = k.seamline_place",
        plan.keys(2, "k"),
        marker_arrays(first),
    );
    let (table, has_key) = (&plan.table, plan.same_key("t", "k"));
    let older = "(t.seamline_sequence IS NULL OR t.seamline_sequence < m.sequence)";
    let rows = if plan.projection.keep_ended {
        format!(
            "UPDATE {table} t SET seamline_sequence = m.sequence, seamline_offset = m.at, \
             seamline_received = m.received, seamline_written = m.written, seamline_ended = true \
             FROM {given} WHERE {has_key} AND {older} AND $1::text IS NOT NULL"
        )
    } else {
        format!("DELETE FROM {table} t USING {given} WHERE {has_key} AND {older} AND $1::text IS NOT NULL")
    };
    let tombstones = format!(
        "INSERT INTO seamline.tombstone AS e (subscription, key, sequence, \"offset\", received, written) \
         SELECT $1, k.seamline_key, m.sequence, m.at, m.received, m.written \
         FROM {given} LEFT JOIN {table} t ON {has_key} \
         WHERE t.{key} IS NULL OR t.seamline_sequence < m.sequence \
         OR (t.seamline_ended AND t.seamline_sequence = m.sequence) \
         ON CONFLICT (subscription, key) DO UPDATE SET sequence = excluded.sequence, \"offset\" = excluded.\"offset\", \
         received = excluded.received, written = excluded.written WHERE excluded.sequence > e.sequence",
        key = plan.key_columns()[0],
    );
    let keys: Vec<&RecordKey> = ended.iter().map(|end| &end.key).collect();
    let markers: Vec<_> = ended.iter().map(|end| &end.marker).collect();
    for statement in [rows, tombstones] {
        let query = sqlx::query(AssertSqlSafe(statement)).bind(&plan.subscription);
        bind_markers(plan.bind_keys(query, &keys), &markers).execute(&mut *conn).await?;
    }
    Ok(())
}

async fn write_chains(
    conn: &mut PgConnection,
    lane: &Lane,
    chains: &[(RecordKey, Sequence)],
) -> Result<(), sqlx::Error> {
    const STATEMENT: &str = "INSERT INTO seamline.chain (subscription, topic, partition, key, sequence) \
        SELECT $1, $2, $3, * FROM unnest($4::text[], $5::bigint[]) \
        ON CONFLICT (subscription, topic, partition, key) DO UPDATE SET sequence = excluded.sequence";
    if chains.is_empty() {
        return Ok(());
    }
    let query = of_lane(sqlx::query(STATEMENT), lane);
    let query = query.bind(chains.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>());
    let query = query.bind(chains.iter().map(|(_, sequence)| signed(sequence.0)).collect::<Vec<_>>());
    query.execute(conn).await?;
    Ok(())
}

async fn write_inbox(
    conn: &mut PgConnection,
    lane: &Lane,
    rows: &[InboxRow],
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    const STATEMENT: &str = "INSERT INTO seamline.inbox (subscription, id, key, event, sequence, effective, reason, \
        payload, projection_behind, received_at, correlation, traceparent) SELECT $1, u.id, u.key, u.event, u.sequence, \
        u.effective, u.reason, u.payload, u.behind, $2::timestamptz, u.correlation, u.traceparent \
        FROM unnest($3::text[], $4::text[], $5::text[], $6::bigint[], $7::text[], $8::text[], $9::text[], \
        $10::boolean[], $11::text[], $12::text[]) WITH ORDINALITY AS u (id, key, event, sequence, effective, reason, \
        payload, behind, correlation, traceparent, place) ORDER BY u.place \
        ON CONFLICT (subscription, id) DO NOTHING";
    if rows.is_empty() {
        return Ok(());
    }
    let payloads: Vec<&str> = rows
        .iter()
        .map(|row| std::str::from_utf8(&row.payload).map_err(corrupt))
        .collect::<Result<_, _>>()?;
    let query = sqlx::query(STATEMENT).bind(lane.subscription.to_string()).bind(now.to_string());
    let query = query.bind(rows.iter().map(|row| row.id.as_str()).collect::<Vec<_>>());
    let query = query.bind(rows.iter().map(|row| row.key.as_str()).collect::<Vec<_>>());
    let query = query.bind(rows.iter().map(|row| row.event.as_str()).collect::<Vec<_>>());
    let query = query.bind(rows.iter().map(|row| signed(row.sequence.0)).collect::<Vec<_>>());
    let query = query.bind(rows.iter().map(|row| row.effective.as_deref()).collect::<Vec<_>>());
    let query = query.bind(rows.iter().map(|row| row.reason.as_deref()).collect::<Vec<_>>());
    let query = query.bind(payloads);
    let query = query.bind(rows.iter().map(|row| row.projection_behind).collect::<Vec<_>>());
    let query = query.bind(rows.iter().map(|row| row.correlation.as_deref()).collect::<Vec<_>>());
    let query = query.bind(rows.iter().map(|row| row.traceparent.as_deref()).collect::<Vec<_>>());
    query.execute(conn).await?;
    Ok(())
}

async fn release(conn: &mut PgConnection, lane: &Lane, offsets: &[u64]) -> Result<(), sqlx::Error> {
    const STATEMENT: &str = "DELETE FROM seamline.aside WHERE subscription = $1 AND topic = $2 AND partition = $3 \
                             AND \"offset\" = ANY ($4::bigint[])";
    if offsets.is_empty() {
        return Ok(());
    }
    let offsets: Vec<i64> = offsets.iter().copied().map(signed).collect();
    of_lane(sqlx::query(STATEMENT), lane).bind(offsets).execute(conn).await?;
    Ok(())
}

async fn write_received_aside(
    conn: &mut PgConnection,
    lane: &Lane,
    keys: &[(RecordKey, Option<(Sequence, Digest)>)],
) -> Result<(), sqlx::Error> {
    for (key, aside) in keys {
        let subscription = lane.subscription.to_string();
        match aside {
            Some((sequence, digest)) => {
                let statement = "INSERT INTO seamline.received_aside (subscription, key, sequence, digest) \
                                 VALUES ($1, $2, $3, $4) ON CONFLICT (subscription, key) DO UPDATE SET \
                                 sequence = excluded.sequence, digest = excluded.digest";
                let query = sqlx::query(statement).bind(subscription).bind(key.as_str());
                query.bind(signed(sequence.0)).bind(digest.to_bytes()).execute(&mut *conn).await?;
            }
            None => {
                let statement = "DELETE FROM seamline.received_aside WHERE subscription = $1 AND key = $2";
                sqlx::query(statement).bind(subscription).bind(key.as_str()).execute(&mut *conn).await?;
            }
        }
    }
    Ok(())
}
