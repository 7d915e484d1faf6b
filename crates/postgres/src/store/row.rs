//! Rows of projection tables as they are now, and the markers of keys.

use super::aside;
use super::projection::{MARKER_COLUMNS, Plan, marker};
use crate::install::consumer::MARKERS;
use crate::ledger::digest_of;
use crate::sql::{corrupt, unsigned};
use seamline_flow::store::{LiveRow, Markers};
use seamline_message::key::RecordKey;
use seamline_message::sequence::Sequence;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Row};

/// Reads what is known of keys, in a transaction of its own: the rows that are there, then the few that ended or wait aside.
pub(super) async fn markers(
    conn: &mut PgConnection,
    plan: &Plan<'_>,
    keys: &[RecordKey],
) -> Result<Vec<Markers>, sqlx::Error> {
    let has_ends = aside::any_end(conn, &plan.subscription).await?;
    let mut all = vec![Markers::default(); keys.len()];
    let keys: Vec<&RecordKey> = keys.iter().collect();
    let columns: Vec<String> = MARKERS.iter().map(|(name, _)| format!("t.{name}")).collect();
    let statement = format!(
        "SELECT k.seamline_place, {} FROM {} JOIN {} t ON {} WHERE $1::text IS NOT NULL",
        columns.join(", "),
        plan.keys(2, "k"),
        plan.table,
        plan.same_key("t", "k"),
    );
    let query = sqlx::query(AssertSqlSafe(statement)).bind(&plan.subscription);
    for row in plan.bind_keys(query, &keys).fetch_all(&mut *conn).await? {
        let known = at_place(&mut all, row.try_get(0)?)?;
        let live = marker(&row, 1)?;
        // A row that stays marked is no row any more: its marker is that of the end.
        match row.try_get::<Option<bool>, _>(1 + MARKER_COLUMNS)? {
            Some(true) => known.ended = live,
            _ => known.row = live,
        }
    }
    if has_ends {
        ends(conn, plan, &keys, &mut all).await?;
    }
    Ok(all)
}

/// Reads the tombstones of keys, and what of them waits aside.
async fn ends(
    conn: &mut PgConnection,
    plan: &Plan<'_>,
    keys: &[&RecordKey],
    all: &mut [Markers],
) -> Result<(), sqlx::Error> {
    const STATEMENT: &str = "SELECT k.place, e.sequence, e.\"offset\", e.received, e.written, a.sequence, a.digest \
        FROM unnest($2::text[]) WITH ORDINALITY AS k (key, place) \
        LEFT JOIN seamline.tombstone e ON e.subscription = $1 AND e.key = k.key \
        LEFT JOIN seamline.received_aside a ON a.subscription = $1 AND a.key = k.key \
        WHERE e.key IS NOT NULL OR a.key IS NOT NULL";
    let texts: Vec<&str> = keys.iter().map(|key| key.as_str()).collect();
    let query = sqlx::query(STATEMENT).bind(&plan.subscription).bind(texts);
    for row in query.fetch_all(conn).await? {
        let known = at_place(all, row.try_get(0)?)?;
        let ended = marker(&row, 1)?;
        known.ended = known.ended.take().into_iter().chain(ended).max_by_key(|marker| marker.sequence);
        if let Some(sequence) = row.try_get::<Option<i64>, _>(1 + MARKER_COLUMNS)? {
            let digest = digest_of(row.try_get(2 + MARKER_COLUMNS)?)?;
            known.aside = Some((Sequence(unsigned(sequence)?), digest));
        }
    }
    Ok(())
}

/// Returns what is known of the key at a place, counted from one.
fn at_place(all: &mut [Markers], place: i64) -> Result<&mut Markers, sqlx::Error> {
    let idx = usize::try_from(place - 1).map_err(corrupt)?;
    all.get_mut(idx).ok_or_else(|| corrupt("a key that was not asked for"))
}

/// Reads a cursor: the texts of the key's columns.
pub(super) fn cursor_parts(plan: &Plan<'_>, cursor: &str) -> Result<Vec<String>, sqlx::Error> {
    let parts: Vec<String> = serde_json::from_str(cursor).map_err(corrupt)?;
    if parts.len() == plan.projection.key.len() {
        Ok(parts)
    } else {
        Err(corrupt("not a cursor of this table"))
    }
}

pub(super) async fn rows(
    conn: &mut PgConnection,
    plan: &Plan<'_>,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<LiveRow>, sqlx::Error> {
    let (is_after, order) = plan.after("t", 2);
    let condition = if after.is_some() { is_after } else { "true".to_owned() };
    let statement = format!(
        "SELECT {} FROM {} t WHERE {condition} ORDER BY {order} LIMIT $1",
        plan.live_columns("t"),
        plan.table
    );
    let mut query = sqlx::query(AssertSqlSafe(statement)).bind(i64::try_from(limit).unwrap_or(i64::MAX));
    for part in after.map(|cursor| cursor_parts(plan, cursor)).transpose()?.into_iter().flatten() {
        query = query.bind(part);
    }
    query.fetch_all(conn).await?.iter().map(|row| plan.live(row, 0)).collect()
}
