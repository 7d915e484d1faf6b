//! Hands that reach into a consumer's table by raw SQL, as people do: with values that its columns could hold.

use crate::proving::scene::{Scene, Target};
use anyhow::{Context, Result};
use seamline_contract::attribute::Type;
use seamline_flow::store::{Column, Projection};
use seamline_message::key::RecordKey;
use sqlx::{AssertSqlSafe, Row};

/// Returns an identifier as SQL.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Changes a cell of a row. Returns the column.
///
/// # Errors
/// The database's.
pub(crate) async fn edit(scene: &Scene, target: &Target, key: &RecordKey) -> Result<String> {
    let table = &target.projection;
    let (_, column) = values(table).next().context("a fault is chosen where it suits")?;
    let [one, other] = literals(column);
    let name = quoted(&column.name);
    let sql = format!(
        "UPDATE {} SET {name} = CASE WHEN {name} IS {one} THEN {other} ELSE {one} END WHERE {}",
        quoted(&table.table),
        is_key(table, key)
    );
    execute(scene, target, &sql).await?;
    Ok(column.name.clone())
}

/// Deletes a row.
///
/// # Errors
/// The database's.
pub(crate) async fn delete(scene: &Scene, target: &Target, key: &RecordKey) -> Result<()> {
    let table = &target.projection;
    execute(scene, target, &format!("DELETE FROM {} WHERE {}", quoted(&table.table), is_key(table, key)))
        .await
}

/// Inserts a row that no message ever made.
///
/// # Errors
/// The database's.
pub(crate) async fn insert(scene: &Scene, target: &Target, key: &RecordKey) -> Result<()> {
    let table = &target.projection;
    let keys = table.key.iter().zip(key.texts());
    let keys = keys.map(|(idx, text)| (&table.columns[*idx], cell(&table.columns[*idx].ty, &text)));
    let others = values(table).map(|(_, column)| (column, literals(column)[0].clone()));
    let (names, cells): (Vec<String>, Vec<String>) =
        keys.chain(others).map(|(column, cell)| (quoted(&column.name), cell)).unzip();
    let sql =
        format!("INSERT INTO {} ({}) VALUES ({})", quoted(&table.table), names.join(", "), cells.join(", "));
    execute(scene, target, &sql).await
}

/// Returns the sequence of a key's row; none where there is no row.
///
/// # Errors
/// The database's.
pub(crate) async fn sequence(scene: &Scene, target: &Target, key: &RecordKey) -> Result<Option<i64>> {
    let table = &target.projection;
    let sql = format!("SELECT seamline_sequence FROM {} WHERE {}", quoted(&table.table), is_key(table, key));
    let readers = scene.file(&target.context).readers();
    let row = sqlx::query(AssertSqlSafe(sql)).fetch_optional(readers).await?;
    Ok(row.and_then(|row| row.get::<Option<i64>, _>(0)))
}

/// Returns whether a table has a column beside its key, for hands to change.
pub(crate) fn has_values(table: &Projection) -> bool {
    values(table).next().is_some()
}

fn values(table: &Projection) -> impl Iterator<Item = (usize, &Column)> {
    table.columns.iter().enumerate().filter(|(idx, _)| !table.key.contains(idx))
}

async fn execute(scene: &Scene, target: &Target, sql: &str) -> Result<()> {
    let mut writer = scene.file(&target.context).writer().await;
    let done = sqlx::query(AssertSqlSafe(sql.to_owned())).persistent(false).execute(&mut *writer).await?;
    anyhow::ensure!(done.rows_affected() == 1, "{} rows were changed by: {sql}", done.rows_affected());
    Ok(())
}

fn is_key(table: &Projection, key: &RecordKey) -> String {
    let parts = table.key.iter().zip(key.texts()).map(|(idx, text)| {
        let column = &table.columns[*idx];
        format!("{} = {}", quoted(&column.name), cell(&column.ty, &text))
    });
    parts.collect::<Vec<String>>().join(" AND ")
}

/// Returns the canonical text of a key's value as the literal that its column holds.
fn cell(ty: &Type, text: &str) -> String {
    match ty {
        Type::Integer => text.to_owned(),
        Type::Boolean => u8::from(text == "true").to_string(),
        _ => literal(text),
    }
}

/// Returns a text as SQL.
pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Returns two different values that a column could hold, as SQL.
fn literals(column: &Column) -> [String; 2] {
    let texts = |one: &str, other: &str| [literal(one), literal(other)];
    match &column.ty {
        Type::Integer | Type::Decimal { .. } if column.approximate => texts("1.25e1", "2.5e1"),
        Type::Decimal { scale: 0, .. } => texts("1", "2"),
        Type::Decimal { scale, .. } => {
            let zeros = "0".repeat(usize::from(*scale) - 1);
            texts(&format!("0.{zeros}1"), &format!("0.{zeros}2"))
        }
        Type::Integer | Type::Duration => ["1".to_owned(), "2".to_owned()],
        Type::Boolean => ["1".to_owned(), "0".to_owned()],
        Type::Bytes => ["x'01'".to_owned(), "x'02'".to_owned()],
        Type::Date => texts("2001-01-01", "2001-01-02"),
        Type::Timestamp => texts("2001-01-01T00:00:00.000000Z", "2001-01-02T00:00:00.000000Z"),
        Type::Uuid => texts("00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"),
        Type::String | Type::Enum => texts("by hand", "by another hand"),
        Type::Object(_) | Type::Map(_) => texts("{\"by\":\"hand\"}", "{\"by\":\"another\"}"),
        Type::List(_) => texts("[\"by hand\"]", "[\"by another\"]"),
    }
}
