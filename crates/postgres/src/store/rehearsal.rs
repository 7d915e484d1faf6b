//! Rehearsal tables: what a projection should hold, derived anew, and where the live one differs.

use super::projection::{MARKER_COLUMNS, Plan, bind_markers, marker, marker_arrays};
use super::row::cursor_parts;
use crate::cell::{cast, declared, store};
use crate::install::consumer::MARKERS;
use crate::ledger::key_of;
use crate::sql::corrupt;
use seamline_flow::store::{Difference, Marker, Rehearsed};
use seamline_message::key::RecordKey;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Row};
use std::collections::BTreeMap;

/// The two passes of a comparison, as a cursor names them: over the table's rows, then over keys that have none.
const LIVE: &str = "live:";
const REHEARSED: &str = "rehearsed:";

/// The key of the row that a rehearsal table is made with. It is no record key, and its other columns are empty.
const MADE: &str = "";

pub(super) async fn begin(conn: &mut PgConnection, plan: &Plan<'_>) -> Result<(), sqlx::Error> {
    end(conn, plan).await?;
    let columns: Vec<String> = plan
        .projection
        .columns
        .iter()
        .zip(&plan.columns)
        .map(|(column, name)| format!("{name} {}", declared(column)))
        .chain(MARKERS.iter().map(|(name, ty)| format!("{name} {ty}")))
        .collect();
    let statement = format!(
        "CREATE UNLOGGED TABLE {} (seamline_key text COLLATE \"C\" PRIMARY KEY, {}, UNIQUE ({}))",
        plan.rehearsal,
        columns.join(", "),
        plan.key_columns().join(", ")
    );
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut *conn).await?;
    let made = format!("INSERT INTO {} (seamline_key) VALUES ('{MADE}')", plan.rehearsal);
    sqlx::raw_sql(AssertSqlSafe(made)).execute(conn).await?;
    Ok(())
}

/// A server that comes up after a crash has emptied unlogged tables: then the row that the table was made with is gone.
pub(super) async fn is_kept(conn: &mut PgConnection, plan: &Plan<'_>) -> Result<bool, sqlx::Error> {
    let there = sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL").bind(&plan.rehearsal);
    if !there.fetch_one(&mut *conn).await? {
        return Ok(false);
    }
    let made = format!("SELECT EXISTS (SELECT FROM {} WHERE seamline_key = '{MADE}')", plan.rehearsal);
    sqlx::query_scalar(AssertSqlSafe(made)).persistent(false).fetch_one(conn).await
}

pub(super) async fn end(conn: &mut PgConnection, plan: &Plan<'_>) -> Result<(), sqlx::Error> {
    let statement = format!("DROP TABLE IF EXISTS {}", plan.rehearsal);
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(conn).await?;
    Ok(())
}

pub(super) async fn put(
    conn: &mut PgConnection,
    plan: &Plan<'_>,
    rows: &[Rehearsed],
) -> Result<(), sqlx::Error> {
    // One statement cannot write a row twice: of each key the highest sequence.
    let mut highest: BTreeMap<&RecordKey, &Rehearsed> = BTreeMap::new();
    for row in rows {
        let kept = highest.entry(&row.key).or_insert(row);
        if row.marker.sequence > kept.marker.sequence {
            *kept = row;
        }
    }
    let rows: Vec<&Rehearsed> = highest.into_values().collect();
    let columns: Vec<&str> =
        plan.columns.iter().map(String::as_str).chain(MARKERS.iter().map(|(name, _)| *name)).collect();
    let names: Vec<String> = (0..plan.columns.len()).map(|idx| format!("c{idx}")).collect();
    let arrays: Vec<String> = (0..plan.columns.len()).map(|idx| format!("${}::text[]", idx + 7)).collect();
    let values = plan.projection.columns.iter().zip(&names);
    let values: Vec<String> = values.map(|(column, name)| format!("u.{name}::{}", cast(column))).collect();
    let statement = format!(
        "INSERT INTO {} AS t (seamline_key, {}) SELECT u.seamline_key, {}, u.m0, u.m1, u.m2, u.m3, u.ended \
         FROM unnest($1::text[], $2::boolean[], {}, {}) AS u (seamline_key, ended, m0, m1, m2, m3, {}) \
         ON CONFLICT (seamline_key) DO UPDATE SET {} WHERE excluded.seamline_sequence > t.seamline_sequence",
        plan.rehearsal,
        columns.join(", "),
        values.join(", "),
        marker_arrays(3),
        arrays.join(", "),
        names.join(", "),
        columns.iter().map(|column| format!("{column} = excluded.{column}")).collect::<Vec<_>>().join(", "),
    );
    let query = sqlx::query(AssertSqlSafe(statement));
    let query = query.bind(rows.iter().map(|row| row.key.as_str()).collect::<Vec<_>>());
    let query =
        query.bind(rows.iter().map(|row| (!row.left).then_some(row.values.is_none())).collect::<Vec<_>>());
    let mut query = bind_markers(query, &rows.iter().map(|row| &row.marker).collect::<Vec<_>>());
    let cells: Vec<Vec<Option<String>>> = rows.iter().map(|row| cells(plan, row)).collect();
    for idx in 0..plan.columns.len() {
        query = query.bind(cells.iter().map(|cells| cells[idx].clone()).collect::<Vec<_>>());
    }
    query.execute(conn).await?;
    Ok(())
}

/// Returns the cells of the declared columns; of a key that ended only its own.
fn cells(plan: &Plan<'_>, row: &Rehearsed) -> Vec<Option<String>> {
    if let Some(values) = &row.values {
        return values.iter().map(store).collect();
    }
    let mut cells = vec![None; plan.columns.len()];
    for ((idx, column), text) in plan.projection.key.iter().zip(plan.key()).zip(row.key.texts()) {
        cells[*idx] = crate::cell::key_cell(column, &text);
    }
    cells
}

pub(super) async fn diff(
    conn: &mut PgConnection,
    plan: &Plan<'_>,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<Difference>, sqlx::Error> {
    // Both passes and the tombstones see the same moment.
    sqlx::raw_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY").execute(&mut *conn).await?;
    let mut found = Vec::new();
    let rehearsed_after = after.and_then(|cursor| cursor.strip_prefix(REHEARSED));
    if rehearsed_after.is_none() {
        let cursor = after
            .map(|cursor| cursor.strip_prefix(LIVE).ok_or_else(|| corrupt("not a cursor of a comparison")));
        found = live_differences(conn, plan, cursor.transpose()?, limit).await?;
    }
    if found.len() < limit {
        let rest = limit - found.len();
        found.extend(missing(conn, plan, rehearsed_after.unwrap_or(""), rest).await?);
    }
    add_ends(conn, plan, &mut found).await?;
    Ok(found)
}

/// Returns the columns that `rehearsed` reads, of the table `alias`.
fn rehearsed_columns(plan: &Plan<'_>, alias: &str) -> String {
    format!("{alias}.seamline_key, {}", plan.live_columns(alias))
}

fn rehearsed(plan: &Plan<'_>, row: &PgRow, from: usize) -> Result<Option<Rehearsed>, sqlx::Error> {
    let Some(key) = row.get::<Option<&str>, _>(from) else { return Ok(None) };
    let markers = from + 1 + plan.columns.len();
    let marker = marker(row, markers)?.ok_or_else(|| corrupt("a rehearsed row without a marker"))?;
    let ended = row.get::<Option<bool>, _>(markers + MARKER_COLUMNS);
    let values = plan.values(row, from + 1)?.into_iter().collect::<Result<Vec<_>, _>>();
    let values = if ended != Some(false) {
        None
    } else {
        Some(values.map_err(|_| corrupt("a rehearsed value of another type"))?)
    };
    Ok(Some(Rehearsed { key: key_of(key)?, values, marker, left: ended.is_none() }))
}

/// Returns rows of the table that are not as rehearsed.
async fn live_differences(
    conn: &mut PgConnection,
    plan: &Plan<'_>,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<Difference>, sqlx::Error> {
    let cells: Vec<String> = plan
        .columns
        .iter()
        .map(String::as_str)
        .chain(MARKERS.iter().take(MARKER_COLUMNS).map(|(name, _)| *name))
        .map(|column| format!("l.{column} IS DISTINCT FROM r.{column}"))
        .collect();
    let (is_after, order) = plan.after("l", 2);
    let statement = format!(
        "SELECT {live}, {rehearsed} FROM {table} l LEFT JOIN {rehearsal} r ON {same_key} \
         WHERE {is_after} AND CASE \
         WHEN l.seamline_ended IS TRUE THEN r.seamline_ended IS FALSE \
         WHEN r.seamline_ended IS NOT FALSE THEN true \
         ELSE l.seamline_ended IS NOT NULL OR {differ} END ORDER BY {order} LIMIT $1",
        live = plan.live_columns("l"),
        rehearsed = rehearsed_columns(plan, "r"),
        table = plan.table,
        rehearsal = plan.rehearsal,
        same_key = plan.same_key("l", "r"),
        is_after = if after.is_some() { is_after } else { "true".to_owned() },
        differ = cells.join(" OR "),
    );
    let mut query = sqlx::query(AssertSqlSafe(statement)).bind(i64::try_from(limit).unwrap_or(i64::MAX));
    for part in after.map(|cursor| cursor_parts(plan, cursor)).transpose()?.into_iter().flatten() {
        query = query.bind(part);
    }
    let rows = query.persistent(false).fetch_all(conn).await?;
    let difference = |row: &PgRow| {
        let live = plan.live(row, 0)?;
        let rehearsed = rehearsed(plan, row, plan.columns.len() + MARKERS.len())?;
        let (cursor, key) = (format!("{LIVE}{}", live.cursor), live.key.clone());
        Ok(Difference { cursor, key, live: Some(live), ended: None, rehearsed })
    };
    rows.iter().map(difference).collect()
}

/// Returns rehearsed keys that did not end and have no row.
async fn missing(
    conn: &mut PgConnection,
    plan: &Plan<'_>,
    after: &str,
    limit: usize,
) -> Result<Vec<Difference>, sqlx::Error> {
    let statement = format!(
        "SELECT {rehearsed} FROM {rehearsal} r WHERE r.seamline_key > $1 AND NOT r.seamline_ended \
         AND NOT EXISTS (SELECT FROM {table} l WHERE {same_key}) ORDER BY r.seamline_key LIMIT $2",
        rehearsed = rehearsed_columns(plan, "r"),
        rehearsal = plan.rehearsal,
        table = plan.table,
        same_key = plan.same_key("l", "r"),
    );
    let query = sqlx::query(AssertSqlSafe(statement)).persistent(false).bind(after);
    let rows = query.bind(i64::try_from(limit).unwrap_or(i64::MAX)).fetch_all(conn).await?;
    let difference = |row: &PgRow| {
        let rehearsed = rehearsed(plan, row, 0)?;
        let key = rehearsed.as_ref().map(|row| row.key.clone());
        let cursor = format!("{REHEARSED}{}", row.get::<&str, _>(0));
        Ok(Difference { cursor, key, live: None, ended: None, rehearsed })
    };
    rows.iter().map(difference).collect()
}

/// Adds the consumer's tombstones of the keys that differ.
async fn add_ends(
    conn: &mut PgConnection,
    plan: &Plan<'_>,
    found: &mut [Difference],
) -> Result<(), sqlx::Error> {
    let keys: Vec<&str> = found.iter().filter_map(|at| at.key.as_ref()).map(RecordKey::as_str).collect();
    if keys.is_empty() {
        return Ok(());
    }
    let ends = "SELECT sequence, \"offset\", received, written, key FROM seamline.tombstone \
                WHERE subscription = $1 AND key = ANY ($2::text[])";
    let rows = sqlx::query(ends).bind(&plan.subscription).bind(keys).fetch_all(conn).await?;
    let mut ends: BTreeMap<RecordKey, Option<Marker>> = BTreeMap::new();
    for row in &rows {
        ends.insert(key_of(row.get(MARKER_COLUMNS))?, marker(row, 0)?);
    }
    for difference in found {
        difference.ended = difference.key.as_ref().and_then(|key| ends.get(key).cloned()).flatten();
    }
    Ok(())
}
