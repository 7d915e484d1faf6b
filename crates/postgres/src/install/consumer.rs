//! Projection tables with their marker columns, and the tables of lanes, inbox and quarantine.

use super::{InstallError, claim, compose, inbox, table, table_consumer};
use crate::cell;
use crate::sql::{literal, quoted};
use seamline_flow::store::{Projection, RehearsedBy};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Row};
use std::collections::BTreeSet;

/// The columns beside the declared ones, with their types: what is kept of the message that a row came from.
pub(crate) const MARKERS: [(&str, &str); 5] = [
    ("seamline_sequence", "bigint"),
    ("seamline_offset", "bigint"),
    ("seamline_received", "bytea"),
    ("seamline_written", "bytea"),
    ("seamline_ended", "boolean"),
];

/// The schema of rehearsal tables, which the agent makes. It may make nothing where functions look for names.
pub(crate) const REHEARSALS: &str = "seamline_rehearsal";

/// The longest name that PostgreSQL keeps whole, in bytes.
pub(super) const NAME_BYTES: usize = 63;

/// Returns a table as SQL names it: a name with a dot names its schema.
pub(crate) fn table_name(schema: &str, table: &str) -> String {
    let (schema, table) = table.split_once('.').unwrap_or((schema, table));
    format!("{}.{}", quoted(schema), quoted(table))
}

/// Returns the name of a projection's rehearsal table.
pub(crate) fn rehearsal_name(projection: &Projection) -> String {
    let by = match projection.rehearsal {
        RehearsedBy::Comparison => "rehearsal",
        RehearsedBy::Job => "job",
    };
    format!("{by}_{}", projection.subscription.subscription)
}

/// Returns the statements that install projections; each is complete. Tables without a schema go where `search_path` says.
///
/// # Errors
/// When two write one table, or one cannot be a table.
pub fn statements(projections: &[Projection]) -> Result<Vec<String>, InstallError> {
    let mut statements = table::statements(&[table_consumer::SHARED, table_consumer::CONSUMER]);
    if let Some(first) = projections.first() {
        statements.insert(3, claim(&first.subscription.context));
    }
    statements.push("REVOKE ALL ON SCHEMA seamline FROM PUBLIC".to_owned());
    statements.push(format!("CREATE SCHEMA IF NOT EXISTS {REHEARSALS}"));
    let mut tables = BTreeSet::new();
    for projection in projections {
        let wrong = |reason: String| {
            let table = projection.table.clone();
            Err(InstallError::Projection { table, reason })
        };
        if !tables.insert(&projection.table) {
            return wrong("is written by two subscriptions".to_owned());
        }
        if projection.key.is_empty() {
            return wrong("has no key".to_owned());
        }
        let rehearsal = rehearsal_name(projection);
        let mut names: Vec<&str> = projection.table.split('.').collect();
        if names.len() > 2 {
            return wrong("has a name of more than a schema and a table".to_owned());
        }
        names.push(&rehearsal);
        names.extend(projection.columns.iter().map(|column| column.name.as_str()));
        if let Some(name) = names.iter().find(|name| name.is_empty() || name.len() > NAME_BYTES) {
            return wrong(format!(
                "needs the name `{name}`: PostgreSQL keeps 1 to {NAME_BYTES} bytes of one"
            ));
        }
        let mut names = BTreeSet::new();
        for column in &projection.columns {
            if column.name.starts_with("seamline_") || !names.insert(&column.name) {
                return wrong("has two columns of one name, or one that begins with `seamline_`".to_owned());
            }
        }
        statements.push(create(projection));
    }
    Ok(statements)
}

/// Returns what a service's role needs of the inbox and its projections, and what an agent's role needs to write them.
pub fn grants(projections: &[Projection], service_role: &str, agent_role: &str) -> Vec<String> {
    let (service, agent) = (quoted(service_role), quoted(agent_role));
    let mut grants = vec![
        format!("GRANT USAGE ON SCHEMA seamline TO {service}, {agent}"),
        format!("GRANT SELECT, UPDATE (state, attempts) ON seamline.inbox TO {service}"),
        // Rehearsals are tables of the agent's own.
        format!("GRANT USAGE, CREATE ON SCHEMA {REHEARSALS} TO {agent}"),
        format!("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA seamline TO {agent}"),
        format!("GRANT USAGE ON ALL SEQUENCES IN SCHEMA seamline TO {agent}"),
        format!("REVOKE INSERT, UPDATE, DELETE ON seamline.format, seamline.context FROM {agent}"),
    ];
    for call in inbox::CALLS {
        grants.push(format!("GRANT EXECUTE ON FUNCTION seamline.{call} TO {service}, {agent}"));
    }
    for projection in projections {
        let table = unqualified(projection);
        grants.push(format!("GRANT SELECT ON {table} TO {service}"));
        grants.push(format!("GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO {agent}"));
    }
    grants
}

/// Returns a table as SQL names it where `search_path` holds the schema of tables without one.
fn unqualified(projection: &Projection) -> String {
    match projection.table.split_once('.') {
        Some((schema, table)) => format!("{}.{}", quoted(schema), quoted(table)),
        None => quoted(&projection.table),
    }
}

/// A column as it should be.
struct Wanted {
    name: String,
    ty: String,
    needed: bool,
}

fn columns(projection: &Projection) -> Vec<Wanted> {
    let declared = projection.columns.iter().map(|column| Wanted {
        name: column.name.clone(),
        ty: cell::declared(column),
        needed: !column.optional,
    });
    let markers = MARKERS.iter().map(|(name, ty)| Wanted {
        name: (*name).to_owned(),
        ty: (*ty).to_owned(),
        needed: false,
    });
    declared.chain(markers).collect()
}

fn create(projection: &Projection) -> String {
    let line = |(idx, column): (usize, &Wanted)| {
        // The order of keys is that of their bytes.
        let is_text_key = column.ty == "text" && projection.key.contains(&idx);
        let collate = if is_text_key { " COLLATE \"C\"" } else { "" };
        let needed = if column.needed { " NOT NULL" } else { "" };
        format!("  {} {}{collate}{needed}", quoted(&column.name), column.ty)
    };
    let mut lines: Vec<String> = columns(projection).iter().enumerate().map(line).collect();
    let key: Vec<String> = projection.key.iter().map(|idx| quoted(&projection.columns[*idx].name)).collect();
    lines.push(format!("  PRIMARY KEY ({})", key.join(", ")));
    format!("CREATE TABLE IF NOT EXISTS {} (\n{}\n)", unqualified(projection), lines.join(",\n"))
}

/// Adds declared columns to a projection table that lacks them: its rows have no value there until they are merged. A table
/// without our markers is somebody else's, and is left alone.
pub(crate) async fn add_columns(
    conn: &mut PgConnection,
    projection: &Projection,
    schema: &str,
) -> Result<(), InstallError> {
    let table = table_name(schema, &projection.table);
    let there = "SELECT a.attname::text FROM pg_attribute a \
                 WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped";
    let there: Vec<String> = sqlx::query_scalar(there).bind(&table).fetch_all(&mut *conn).await?;
    let has = |name: &str| there.iter().any(|other| other == name);
    if !MARKERS.iter().all(|(name, _)| has(name)) {
        return Ok(());
    }
    for (idx, column) in columns(projection).into_iter().enumerate() {
        if !projection.key.contains(&idx) && !has(&column.name) {
            let add = format!("ALTER TABLE {table} ADD COLUMN {} {}", quoted(&column.name), column.ty);
            sqlx::raw_sql(AssertSqlSafe(add)).execute(&mut *conn).await?;
        }
    }
    Ok(())
}

/// Holds a table that is there against the projection.
pub(crate) async fn check(
    conn: &mut PgConnection,
    projection: &Projection,
    schema: &str,
) -> Result<(), InstallError> {
    let table = table_name(schema, &projection.table);
    let found: Option<i64> =
        sqlx::query_scalar("SELECT to_regclass($1)::oid::bigint").bind(&table).fetch_one(&mut *conn).await?;
    let Some(oid) = found else { return Ok(()) };
    let differs = |difference: String| InstallError::Table { table: projection.table.clone(), difference };
    check_table(conn, projection, oid).await?.map_or(Ok(()), |difference| Err(differs(difference)))?;
    check_columns(conn, projection, oid).await?.map_or(Ok(()), |difference| Err(differs(difference)))
}

/// Returns what is other than wanted of the columns of a table.
async fn check_columns(
    conn: &mut PgConnection,
    projection: &Projection,
    oid: i64,
) -> Result<Option<String>, sqlx::Error> {
    let found = "SELECT a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull, \
                 a.attgenerated <> '' OR a.attidentity <> '', a.atthasdef, \
                 coalesce((SELECT NOT c.collisdeterministic FROM pg_collation c WHERE c.oid = a.attcollation), false) \
                 FROM pg_attribute a WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped";
    let mut found: Vec<(String, String, bool, bool, bool, bool)> =
        sqlx::query_as(found).bind(oid).fetch_all(conn).await?;
    for (idx, wanted) in columns(projection).into_iter().enumerate() {
        let name = &wanted.name;
        let Some(at) = found.iter().position(|(other, ..)| other == name) else {
            return Ok(Some(format!("lacks the column `{name}`, of type `{}`", wanted.ty)));
        };
        let (_, ty, not_null, computed, _, loose) = found.remove(at);
        if ty != wanted.ty {
            return Ok(Some(format!("has the column `{name}` as `{ty}`, not `{}`", wanted.ty)));
        }
        if computed {
            return Ok(Some(format!("computes the column `{name}`")));
        }
        if loose {
            return Ok(Some(format!(
                "has the column `{name}` with a collation that takes different texts for equal"
            )));
        }
        if not_null && !wanted.needed && !projection.key.contains(&idx) {
            return Ok(Some(format!("has the column `{name}` as NOT NULL, and it may have no value")));
        }
    }
    let own =
        found.into_iter().find(|(_, _, not_null, computed, default, _)| *not_null && !computed && !default);
    Ok(own.map(|(name, ..)| {
        format!(
            "has the column `{name}` as NOT NULL without a default, which the subscription does not write"
        )
    }))
}

/// Returns what is other than wanted of a table as a whole: its kind, key, triggers and rules.
async fn check_table(
    conn: &mut PgConnection,
    projection: &Projection,
    oid: i64,
) -> Result<Option<String>, sqlx::Error> {
    // Those of ours that publish a composed contract read the rows, and change nothing of them.
    let there = format!(
        "SELECT c.relkind::text, c.relrowsecurity, \
        (SELECT t.tgname::text FROM pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND NOT {} LIMIT 1), \
        (SELECT r.rulename::text FROM pg_rewrite r WHERE r.ev_class = c.oid AND r.rulename <> '_RETURN' LIMIT 1), \
        (SELECT array_agg(a.attname::text ORDER BY k.place) FROM pg_index i, \
         unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, place) \
         JOIN pg_attribute a ON a.attrelid = $1::oid AND a.attnum = k.attnum \
         WHERE i.indrelid = c.oid AND i.indisprimary AND k.place <= i.indnkeyatts), \
         (SELECT n.relname::text FROM pg_index i JOIN pg_class n ON n.oid = i.indexrelid WHERE i.indrelid = c.oid \
          AND (i.indisunique OR i.indisexclusion) AND NOT i.indisprimary AND NOT i.indkey::int2[] @> \
          (SELECT p.indkey::int2[] FROM pg_index p WHERE p.indrelid = c.oid AND p.indisprimary) LIMIT 1) \
        FROM pg_class c WHERE c.oid = $1::oid",
        compose::IS_OURS
    );
    let row = sqlx::query(AssertSqlSafe(there)).bind(oid).fetch_one(conn).await?;
    if !matches!(row.get::<&str, _>(0), "r" | "p") {
        return Ok(Some("is no table".to_owned()));
    }
    if row.get::<bool, _>(1) {
        return Ok(Some("has row security, so that rows may be hidden".to_owned()));
    }
    if let Some(trigger) = row.get::<Option<&str>, _>(2) {
        return Ok(Some(format!("has the trigger `{trigger}`, so that a row may not be what was written")));
    }
    if let Some(rule) = row.get::<Option<&str>, _>(3) {
        return Ok(Some(format!("has the rule `{rule}`, so that a row may not be what was written")));
    }
    let wanted: Vec<String> =
        projection.key.iter().map(|idx| projection.columns[*idx].name.clone()).collect();
    let found: Option<Vec<String>> = row.get(4);
    if found.as_ref() != Some(&wanted) {
        let found = found.map_or("none".to_owned(), |found| literal(&found.join(", ")));
        let wanted = literal(&wanted.join(", "));
        return Ok(Some(format!("has another primary key: {found}, not {wanted}")));
    }
    // Records of different keys arrive in no common order: two that exchange a value would wait for each other for ever.
    let unique: Option<&str> = row.get(5);
    Ok(unique.map(|unique| {
        format!(
            "has the unique index `{unique}` beside its key, so that rows that pass a value on may block each other for ever; \
             make it an index that is not unique"
        )
    }))
}
