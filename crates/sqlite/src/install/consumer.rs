//! Projection tables with their marker columns, and the tables of lanes, inbox and quarantine.

use super::{InstallError, compose, table};
use crate::cell;
use crate::file::quoted;
use seamline_flow::store::Projection;
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Row};
use std::collections::BTreeSet;

/// The columns beside the declared ones, with their types: what is kept of the message that a row came from.
pub(crate) const MARKERS: [(&str, &str); 5] = [
    ("seamline_sequence", "INTEGER"),
    ("seamline_offset", "INTEGER"),
    ("seamline_received", "BLOB"),
    ("seamline_written", "BLOB"),
    ("seamline_ended", "INTEGER"),
];

/// Returns the statements that install projections.
///
/// # Errors
/// When two write one table, or one cannot be a table.
pub fn statements(projections: &[Projection]) -> Result<Vec<String>, InstallError> {
    let mut statements = table::statements(&[table::SHARED, table::CONSUMER]);
    statements.push(
        "INSERT OR REPLACE INTO seamline_format (stored, version) VALUES ('seamline_projection', 1)"
            .to_owned(),
    );
    let mut tables = BTreeSet::new();
    for projection in projections {
        let wrong = |reason: &str| {
            let (table, reason) = (projection.table.clone(), reason.to_owned());
            Err(InstallError::Projection { table, reason })
        };
        if !tables.insert(projection.table.to_lowercase()) {
            return wrong("is written by two subscriptions");
        }
        if projection.key.is_empty() {
            return wrong("has no key");
        }
        let mut names = BTreeSet::new();
        for column in &projection.columns {
            let name = column.name.to_lowercase();
            if name.starts_with("seamline_") || !names.insert(name) {
                return wrong("has two columns of one name, or one that begins with `seamline_`");
            }
        }
        statements.push(create(projection, &quoted(&projection.table)));
    }
    Ok(statements)
}

/// Returns the columns of a projection table as they are declared: name, type, place in the primary key or zero.
fn columns(projection: &Projection) -> Vec<(String, &'static str, usize)> {
    let place = |idx: usize| projection.key.iter().position(|key| *key == idx).map_or(0, |place| place + 1);
    let declared = projection.columns.iter().enumerate();
    let declared =
        declared.map(|(idx, column)| (column.name.clone(), cell::declared(&column.ty), place(idx)));
    declared.chain(MARKERS.iter().map(|(name, ty)| ((*name).to_owned(), *ty, 0))).collect()
}

fn create(projection: &Projection, table: &str) -> String {
    let mut lines: Vec<String> =
        columns(projection).iter().map(|(name, ty, _)| format!("  {} {ty}", quoted(name))).collect();
    let key: Vec<String> = projection.key.iter().map(|idx| quoted(&projection.columns[*idx].name)).collect();
    lines.push(format!("  PRIMARY KEY ({})", key.join(", ")));
    format!("CREATE TABLE IF NOT EXISTS {table} (\n{}\n)", lines.join(",\n"))
}

/// Adds declared columns to a projection table that lacks them: its rows have no value there until they are merged. A table
/// without our markers is somebody else's, and is left alone.
pub(crate) async fn add_columns(
    conn: &mut SqliteConnection,
    projection: &Projection,
) -> Result<(), InstallError> {
    let there = "SELECT name FROM pragma_table_xinfo(?)";
    let there: Vec<String> = sqlx::query_scalar(there).bind(&projection.table).fetch_all(&mut *conn).await?;
    let has = |name: &str| there.iter().any(|other| other.eq_ignore_ascii_case(name));
    if !MARKERS.iter().all(|(name, _)| has(name)) {
        return Ok(());
    }
    for (name, ty, place) in columns(projection) {
        if place == 0 && !has(&name) {
            let add = format!("ALTER TABLE {} ADD COLUMN {} {ty}", quoted(&projection.table), quoted(&name));
            sqlx::query(AssertSqlSafe(add)).persistent(false).execute(&mut *conn).await?;
        }
    }
    Ok(())
}

/// Holds a table that is there against the projection.
pub(crate) async fn check(conn: &mut SqliteConnection, projection: &Projection) -> Result<(), InstallError> {
    let there =
        "SELECT type, sql FROM sqlite_master WHERE name = ? COLLATE NOCASE AND type IN ('table', 'view')";
    let Some(there) = sqlx::query(there).bind(&projection.table).fetch_optional(&mut *conn).await? else {
        return Ok(());
    };
    let differs =
        |difference: String| Err(InstallError::Table { table: projection.table.clone(), difference });
    if there.get::<&str, _>("type") == "view" {
        return differs("is a view".to_owned());
    }
    let found =
        sqlx::query("SELECT name, type, pk, hidden FROM pragma_table_xinfo(?)").bind(&projection.table);
    let mut found: Vec<(String, String, i64, i64)> = found
        .fetch_all(&mut *conn)
        .await?
        .iter()
        .map(|row| (row.get(0), row.get(1), row.get(2), row.get(3)))
        .collect();
    for (name, ty, place) in columns(projection) {
        let Some(at) = found.iter().position(|(other, ..)| other.eq_ignore_ascii_case(&name)) else {
            return differs(format!("lacks the column `{name}`"));
        };
        let (_, found_ty, found_place, hidden) = found.remove(at);
        if hidden != 0 {
            return differs(format!("computes the column `{name}`"));
        }
        if !found_ty.eq_ignore_ascii_case(ty) {
            return differs(format!("has the column `{name}` as `{found_ty}`, not `{ty}`"));
        }
        if usize::try_from(found_place).ok() != Some(place) {
            return differs(format!("has another primary key: see the column `{name}`"));
        }
    }
    if let Some((name, ..)) = found.first() {
        return differs(format!("has the column `{name}`, which the subscription does not"));
    }
    // Those of ours that publish a composed contract read the row, and change nothing of it.
    let triggers = "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = ? COLLATE NOCASE";
    let triggers: Vec<String> =
        sqlx::query_scalar(triggers).bind(&projection.table).fetch_all(&mut *conn).await?;
    if let Some(trigger) = triggers.iter().find(|name| !name.starts_with(compose::TRIGGERS)) {
        return differs(format!("has the trigger `{trigger}`, so that a row may not be what was written"));
    }
    // Rows are scanned by their rowid.
    let rowid = format!("SELECT _rowid_ FROM {} LIMIT 0", quoted(&projection.table));
    if sqlx::query(AssertSqlSafe(rowid)).persistent(false).execute(conn).await.is_err() {
        return differs("is `WITHOUT ROWID`".to_owned());
    }
    Ok(())
}
