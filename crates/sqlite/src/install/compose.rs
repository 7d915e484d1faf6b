//! A derived contract over projections of the same file: the view that composes it, and the triggers that publish a key again
//! when a projection's row of it changed.
//!
//! A change of a projection, by whomever, publishes in its own transaction. SQLite lets one transaction write at a time, so that
//! each sees what the other left.

use super::{InstallError, source_view};
use crate::file::{literal, quoted};
use seamline_contract::attribute::{Shape, Type};
use seamline_contract::composition::{ComposedSource, Composition};
use seamline_contract::resolve::ResolvedContract;
use seamline_flow::store::Projection;
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Row};

/// How the names of our triggers on projections begin.
pub(crate) const TRIGGERS: &str = "seamline_derive_";

/// The column of a composed view that says which records a row is made of.
pub(crate) const LINEAGE: &str = "seamline_lineage";

/// Returns the mark by which a view is known as ours.
fn mark(composition: &Composition) -> String {
    format!("/* seamline: composes {} */", composition.contract.name)
}

/// Returns the statements that make the view.
pub fn view(composition: &Composition) -> Vec<String> {
    let mut columns = Vec::new();
    let mut joined = String::new();
    let mut lineage = Vec::new();
    for (idx, source) in composition.sources.iter().enumerate() {
        let of_it = |column: &str| format!("s{idx}.{}", quoted(column));
        for it in &source.columns {
            columns.push(format!("  {} AS {}", value(&it.shape, &of_it(&it.column)), quoted(&it.name)));
        }
        let record = literal(&format!("{}/", source.contract));
        // Printed, no value would be zero.
        lineage.push(format!(
            "CASE WHEN s{idx}.seamline_sequence IS NULL THEN '' \
             ELSE {record} || printf('%019d', s{idx}.seamline_sequence) || ' ' END"
        ));
        let table = quoted(&source.table);
        if idx == 0 {
            joined.push_str(&format!("{table} AS s0"));
            continue;
        }
        let same = source.key.iter().zip(&composition.sources[0].key);
        let same: Vec<String> =
            same.map(|(here, first)| format!("{} = s0.{}", of_it(here), quoted(first))).collect();
        joined.push_str(&format!(
            "\nLEFT JOIN {table} AS s{idx} ON {} AND s{idx}.seamline_ended IS NOT 1",
            same.join(" AND ")
        ));
    }
    columns.push(format!("  nullif(rtrim({}), '') AS {LINEAGE}", lineage.join(" || ")));
    let name = quoted(&composition.view);
    vec![
        format!("DROP VIEW IF EXISTS {name}"),
        format!(
            "CREATE VIEW {name} AS {} SELECT\n{}\nFROM {joined}\nWHERE s0.seamline_ended IS NOT 1",
            mark(composition),
            columns.join(",\n")
        ),
    ]
}

/// Returns an expression for what a column of a projection holds, as a source may have it.
fn value(shape: &Shape, column: &str) -> String {
    match shape.ty {
        Type::Duration => format!(
            "CASE WHEN {column} IS NOT NULL THEN printf('%sPT%d.%06dS', CASE WHEN {column} < 0 THEN '-' ELSE '' END, \
             abs({column}) / 1000000, abs({column}) % 1000000) END"
        ),
        _ => column.to_owned(),
    }
}

/// Returns the statements that make the triggers on the projections.
pub fn triggers(contract: &ResolvedContract, composition: &Composition) -> Vec<String> {
    let mut statements = Vec::new();
    for (idx, source) in composition.sources.iter().enumerate() {
        let made: [(&str, &[&str]); 3] =
            [("insert", &["NEW"]), ("update", &["NEW", "OLD"]), ("delete", &["OLD"])];
        for (when, rows) in made {
            let name = quoted(&trigger(composition, idx, when));
            let condition =
                if when == "update" { format!(" WHEN {}", differs(source)) } else { String::new() };
            let but = |row: &str| (rows.len() > 1 && row == "OLD").then_some("NEW");
            let body: Vec<String> = rows.iter().map(|row| publish(contract, source, row, but(row))).collect();
            statements.push(format!("DROP TRIGGER IF EXISTS {name}"));
            statements.push(format!(
                "CREATE TRIGGER {name} AFTER {} ON {}{condition} BEGIN\n{}END",
                when.to_uppercase(),
                quoted(&source.table),
                body.concat(),
            ));
        }
    }
    statements
}

fn trigger(composition: &Composition, idx: usize, when: &str) -> String {
    format!("{TRIGGERS}{}_{idx}_{when}", composition.contract.name.contract)
}

/// Returns the condition that a row changed in what the derived contract takes of it.
fn differs(source: &ComposedSource) -> String {
    let mut columns: Vec<String> = source.key.iter().map(|column| quoted(column)).collect();
    columns.extend(source.columns.iter().map(|it| quoted(&it.column)));
    columns.push("seamline_ended".to_owned());
    let differs: Vec<String> =
        columns.iter().map(|column| format!("OLD.{column} IS NOT NEW.{column}")).collect();
    differs.join(" OR ")
}

/// Returns the statement that publishes the key of a row: where it has a row now, or had one when it was published last. Of an
/// update the row as it was counts `but` where its key was another.
fn publish(contract: &ResolvedContract, source: &ComposedSource, row: &str, but: Option<&str>) -> String {
    let id = literal(contract.contract.name.contract.as_str());
    let key = |row: &str| {
        let text = |(slot, column): (&usize, &String)| {
            source_view::key_text(&contract.attributes[*slot].shape.ty, &format!("{row}.{}", quoted(column)))
        };
        let texts: Vec<String> = contract.key.iter().zip(&source.key).map(text).collect();
        format!("json_array({})", texts.join(", "))
    };
    let view = source_view::name(&contract.contract.name.contract);
    let has_key = source_view::has_key(&source_view::key_kinds(contract), "s", "g.key");
    let other = but.map(|but| format!(" AND g.key <> {}", key(but))).unwrap_or_default();
    format!(
        "  INSERT INTO seamline_publish (contract, key) SELECT {id}, g.key FROM (SELECT {} AS key) AS g\n  \
         WHERE (EXISTS (SELECT 1 FROM {view} AS s WHERE {has_key})\n  \
         OR EXISTS (SELECT 1 FROM seamline_key AS k WHERE k.contract = {id} AND k.key = g.key AND k.moved IS NOT NULL)){other};\n",
        key(row)
    )
}

/// Looks for what is there under the view's name and is not ours.
pub(crate) async fn check(
    conn: &mut SqliteConnection,
    composition: &Composition,
) -> Result<(), InstallError> {
    let there =
        "SELECT type, sql FROM sqlite_master WHERE name = ? COLLATE NOCASE AND type IN ('table', 'view')";
    let Some(there) = sqlx::query(there).bind(&composition.view).fetch_optional(conn).await? else {
        return Ok(());
    };
    let sql: Option<&str> = there.get("sql");
    if there.get::<&str, _>("type") == "view" && sql.is_some_and(|sql| sql.contains(&mark(composition))) {
        return Ok(());
    }
    Err(InstallError::View {
        contract: composition.contract.name.to_string(),
        view: composition.view.clone(),
    })
}

/// Drops the triggers on projections by which nothing is composed any more.
pub(crate) async fn forget(
    conn: &mut SqliteConnection,
    projections: &[Projection],
    compositions: &[Composition],
) -> Result<(), InstallError> {
    let wanted: Vec<String> = compositions
        .iter()
        .flat_map(|composition| {
            let places = 0..composition.sources.len();
            places.flat_map(move |idx| {
                ["insert", "update", "delete"].map(|when| trigger(composition, idx, when))
            })
        })
        .collect();
    for projection in projections {
        let there = "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = ? COLLATE NOCASE";
        let there: Vec<String> =
            sqlx::query_scalar(there).bind(&projection.table).fetch_all(&mut *conn).await?;
        for name in there.iter().filter(|name| name.starts_with(TRIGGERS) && !wanted.contains(name)) {
            let drop = format!("DROP TRIGGER {}", quoted(name));
            sqlx::query(AssertSqlSafe(drop)).persistent(false).execute(&mut *conn).await?;
        }
    }
    Ok(())
}
