//! Rehearsal tables: what a projection should hold, derived anew, and where the live one differs.

use super::projection::{MARKER_COLUMNS, Plan, marker, marker_cells};
use super::row::behind;
use crate::cell::{Cell, declared, store};
use crate::file::{chunks, corrupt, places};
use crate::install::consumer::MARKERS;
use crate::ledger::key_of;
use seamline_flow::store::{Difference, Rehearsed};
use seamline_message::key::RecordKey;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Row};

/// The two passes of a comparison, as a cursor names them: over the table's rows, then over keys that have none.
const LIVE: &str = "live:";
const REHEARSED: &str = "rehearsed:";

/// The key of the row that a rehearsal table is made with. It is no record key, and its other columns are empty.
const MADE: &str = "";

pub(super) async fn begin(conn: &mut SqliteConnection, plan: &Plan<'_>) -> Result<(), sqlx::Error> {
    end(conn, plan).await?;
    let columns: Vec<String> = plan
        .projection
        .columns
        .iter()
        .zip(&plan.columns)
        .map(|(column, name)| format!("{name} {}", declared(&column.ty)))
        .chain(MARKERS.iter().map(|(name, ty)| format!("{name} {ty}")))
        .collect();
    let statement = format!(
        "CREATE TABLE {} (seamline_key TEXT NOT NULL PRIMARY KEY, {}, UNIQUE ({}))",
        plan.rehearsal,
        columns.join(", "),
        plan.key_columns().join(", ")
    );
    sqlx::query(AssertSqlSafe(statement)).persistent(false).execute(&mut *conn).await?;
    let made = format!("INSERT INTO {} (seamline_key) VALUES ('{MADE}')", plan.rehearsal);
    sqlx::query(AssertSqlSafe(made)).persistent(false).execute(conn).await?;
    Ok(())
}

pub(super) async fn is_kept(conn: &mut SqliteConnection, plan: &Plan<'_>) -> Result<bool, sqlx::Error> {
    let there = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = ?";
    let there: i64 = sqlx::query_scalar(there).bind(&plan.rehearsal_name).fetch_one(&mut *conn).await?;
    if there == 0 {
        return Ok(false);
    }
    let made = format!("SELECT count(*) FROM {} WHERE seamline_key = '{MADE}'", plan.rehearsal);
    let made: i64 = sqlx::query_scalar(AssertSqlSafe(made)).fetch_one(conn).await?;
    Ok(made > 0)
}

pub(super) async fn end(conn: &mut SqliteConnection, plan: &Plan<'_>) -> Result<(), sqlx::Error> {
    let statement = format!("DROP TABLE IF EXISTS {}", plan.rehearsal);
    sqlx::query(AssertSqlSafe(statement)).persistent(false).execute(conn).await?;
    Ok(())
}

pub(super) async fn put(
    conn: &mut SqliteConnection,
    plan: &Plan<'_>,
    rows: &[Rehearsed],
) -> Result<(), sqlx::Error> {
    let columns: Vec<&str> = std::iter::once("seamline_key")
        .chain(plan.columns.iter().map(String::as_str))
        .chain(MARKERS.iter().map(|(name, _)| *name))
        .collect();
    let sets: Vec<String> =
        columns.iter().skip(1).map(|column| format!("{column} = excluded.{column}")).collect();
    for part in chunks(rows, columns.len()) {
        let statement = format!(
            "INSERT INTO {} ({}) VALUES {} ON CONFLICT (seamline_key) DO UPDATE SET {} \
             WHERE excluded.seamline_sequence > seamline_sequence",
            plan.rehearsal,
            columns.join(", "),
            places(part.len(), columns.len()),
            sets.join(", "),
        );
        let mut query = sqlx::query(AssertSqlSafe(statement));
        for row in part {
            query = query.bind(row.key.as_str());
            for cell in cells(plan, row) {
                query = cell.bind(query);
            }
            for cell in marker_cells(&row.marker) {
                query = cell.bind(query);
            }
            query = query.bind((!row.left).then_some(row.values.is_none()));
        }
        query.execute(&mut *conn).await?;
    }
    Ok(())
}

/// Returns the cells of the declared columns; of a key that ended only its own.
fn cells(plan: &Plan<'_>, row: &Rehearsed) -> Vec<Cell> {
    if let Some(values) = &row.values {
        return values.iter().map(store).collect();
    }
    let mut cells = vec![Cell::Null; plan.columns.len()];
    for (idx, cell) in plan.projection.key.iter().zip(plan.key_cells(&row.key)) {
        cells[*idx] = cell;
    }
    cells
}

pub(super) async fn diff(
    conn: &mut SqliteConnection,
    plan: &Plan<'_>,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<Difference>, sqlx::Error> {
    let mut found = Vec::new();
    let rehearsed_after = after.and_then(|cursor| cursor.strip_prefix(REHEARSED));
    if rehearsed_after.is_none() {
        let rowid = after.map(|cursor| {
            let rowid = cursor.strip_prefix(LIVE).ok_or_else(|| corrupt("not a cursor of a comparison"));
            rowid.and_then(|rowid| rowid.parse::<i64>().map_err(corrupt))
        });
        found = live_differences(conn, plan, rowid.transpose()?, limit).await?;
    }
    if found.len() < limit {
        let rest = limit - found.len();
        found.extend(missing(conn, plan, rehearsed_after.unwrap_or(""), rest).await?);
    }
    Ok(found)
}

/// Returns the columns that `rehearsed` reads, of the table `alias`.
fn rehearsed_columns(plan: &Plan<'_>, alias: &str) -> String {
    let mut columns = vec![format!("{alias}.seamline_key")];
    columns.extend(plan.columns.iter().map(|column| format!("{alias}.{column}")));
    columns.extend(MARKERS.iter().map(|(name, _)| format!("{alias}.{name}")));
    columns.join(", ")
}

fn rehearsed(plan: &Plan<'_>, row: &SqliteRow, from: usize) -> Result<Option<Rehearsed>, sqlx::Error> {
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

/// Returns the condition that rows of live table and rehearsal have the same key; indexes serve it both ways.
fn same_key(plan: &Plan<'_>) -> String {
    let same: Vec<String> =
        plan.key_columns().iter().map(|column| format!("l.{column} = r.{column}")).collect();
    same.join(" AND ")
}

const ENDED: &str = "SELECT sequence, offset, received, written FROM seamline_tombstone";

/// Returns rows of the table that are not as rehearsed.
async fn live_differences(
    conn: &mut SqliteConnection,
    plan: &Plan<'_>,
    after: Option<i64>,
    limit: usize,
) -> Result<Vec<Difference>, sqlx::Error> {
    let cells: Vec<String> = plan
        .columns
        .iter()
        .map(String::as_str)
        .chain(MARKERS.iter().take(MARKER_COLUMNS).map(|(name, _)| *name))
        .map(|column| format!("l.{column} IS NOT r.{column} OR typeof(l.{column}) <> typeof(r.{column})"))
        .collect();
    let statement = format!(
        "SELECT {live}, {rehearsed} FROM {table} l LEFT JOIN {rehearsal} r ON {same_key} \
         WHERE {behind} AND CASE \
         WHEN l.seamline_ended IS 1 THEN r.seamline_ended IS 0 \
         WHEN r.seamline_ended IS NOT 0 THEN 1 \
         ELSE l.seamline_ended IS NOT NULL OR {differ} END ORDER BY l._rowid_ LIMIT ?2",
        behind = behind("l", after),
        live = plan.live_columns("l"),
        rehearsed = rehearsed_columns(plan, "r"),
        table = plan.table,
        rehearsal = plan.rehearsal,
        same_key = same_key(plan),
        differ = cells.join(" OR "),
    );
    let query = sqlx::query(AssertSqlSafe(statement)).bind(after);
    let rows = query.bind(i64::try_from(limit).unwrap_or(i64::MAX)).fetch_all(&mut *conn).await?;
    let mut found = Vec::with_capacity(rows.len());
    for row in &rows {
        let cursor = format!("{LIVE}{}", row.get::<i64, _>(0));
        let live = plan.live(row, 0, row.get::<i64, _>(0).to_string())?;
        let rehearsed = rehearsed(plan, row, plan.columns.len() + MARKERS.len() + 1)?;
        let key = live.key.clone();
        let ended = ended(conn, plan, key.as_ref()).await?;
        found.push(Difference { cursor, key, live: Some(live), ended, rehearsed });
    }
    Ok(found)
}

/// Returns rehearsed keys that did not end and have no row.
async fn missing(
    conn: &mut SqliteConnection,
    plan: &Plan<'_>,
    after: &str,
    limit: usize,
) -> Result<Vec<Difference>, sqlx::Error> {
    let statement = format!(
        "SELECT {rehearsed} FROM {rehearsal} r WHERE r.seamline_key > ?1 AND r.seamline_ended = 0 \
         AND NOT EXISTS (SELECT 1 FROM {table} l WHERE {same_key}) ORDER BY r.seamline_key LIMIT ?2",
        rehearsed = rehearsed_columns(plan, "r"),
        rehearsal = plan.rehearsal,
        table = plan.table,
        same_key = same_key(plan),
    );
    let query = sqlx::query(AssertSqlSafe(statement)).bind(after);
    let rows = query.bind(i64::try_from(limit).unwrap_or(i64::MAX)).fetch_all(&mut *conn).await?;
    let mut found = Vec::with_capacity(rows.len());
    for row in &rows {
        let rehearsed = rehearsed(plan, row, 0)?;
        let key = rehearsed.as_ref().map(|row| row.key.clone());
        let cursor = format!("{REHEARSED}{}", row.get::<&str, _>(0));
        let ended = ended(conn, plan, key.as_ref()).await?;
        found.push(Difference { cursor, key, live: None, ended, rehearsed });
    }
    Ok(found)
}

/// Returns the consumer's tombstone of a key.
async fn ended(
    conn: &mut SqliteConnection,
    plan: &Plan<'_>,
    key: Option<&RecordKey>,
) -> Result<Option<seamline_flow::store::Marker>, sqlx::Error> {
    let Some(key) = key else { return Ok(None) };
    let statement = format!("{ENDED} WHERE subscription = ? AND key = ?");
    let query = sqlx::query(AssertSqlSafe(statement)).bind(&plan.subscription).bind(key.as_str());
    match query.fetch_optional(conn).await? {
        Some(row) => marker(&row, 0),
        None => Ok(None),
    }
}
