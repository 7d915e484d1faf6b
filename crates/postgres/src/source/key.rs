//! What the source knows of keys: their state in the source view, their last sequence and their chains.

use crate::install::source_view;
use crate::sql::{corrupt, quoted, unsigned};
use seamline_contract::id::{ContractId, Version};
use seamline_contract::served::chain_as_written;
use seamline_flow::source::{KeyFacts, SourceRow};
use seamline_message::key::RecordKey;
use seamline_message::sequence::Sequence;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Row};
use std::collections::{BTreeMap, BTreeSet};

/// Keys that wait or are aside are found in one pass over the outbox: an index would slow down every publishing.
const FLAGS: &str = "waiting AS MATERIALIZED (\
    SELECT key FROM seamline.outbox_0 WHERE contract = $1 AND key = ANY ($2) UNION \
    SELECT key FROM seamline.outbox_1 WHERE contract = $1 AND key = ANY ($2) UNION \
    SELECT key FROM seamline.outbox_2 WHERE contract = $1 AND key = ANY ($2) UNION \
    SELECT key FROM seamline.void WHERE contract = $1 AND key = ANY ($2) UNION \
    SELECT key FROM seamline.deferred WHERE contract = $1 AND key = ANY ($2)), \
    aside AS MATERIALIZED (SELECT DISTINCT key FROM seamline.quarantine WHERE contract = $1 AND key = ANY ($2))";

const FACTS: &str = "(SELECT version FROM seamline.contract c WHERE c.contract = $1) AS version, \
    k.sequence, k.chains::text AS chains, a.key IN (SELECT key FROM waiting) AS waiting, \
    a.key IN (SELECT key FROM aside) AS aside";

pub(super) fn key_of(text: &str) -> Result<RecordKey, sqlx::Error> {
    RecordKey::parse(text.as_bytes()).map_err(|_| corrupt(format!("`{text}` is not the text of a key")))
}

fn texts(keys: &[RecordKey]) -> Vec<&str> {
    keys.iter().map(RecordKey::as_str).collect()
}

/// Locks the tables behind a source view against those who lock them whole. A service does that before it publishes: who comes
/// after it must hold no key yet.
pub(super) async fn enter(conn: &mut PgConnection, contract: &ContractId) -> Result<(), sqlx::Error> {
    let statement = format!("SELECT FROM {} WHERE false", source_view::name(contract));
    sqlx::query(AssertSqlSafe(statement)).execute(conn).await?;
    Ok(())
}

/// Gives up soon where somebody else holds a key or a table: shorter than it takes until a deadlock is looked for, in which a
/// service might be refused.
pub(super) async fn be_brief(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::raw_sql("SET LOCAL lock_timeout = '100ms'; SET LOCAL statement_timeout = '700ms'")
        .execute(conn)
        .await?;
    Ok(())
}

/// One statement publishes all keys, in sorted order, each once.
pub(super) async fn emit(
    conn: &mut PgConnection,
    contract: &ContractId,
    keys: &[RecordKey],
) -> Result<u64, sqlx::Error> {
    let keys: BTreeSet<&str> = keys.iter().map(RecordKey::as_str).collect();
    let keys: Vec<&str> = keys.into_iter().collect();
    let publish = "SELECT cardinality(seamline.publish($1, NULL, $2::text[]))";
    let written: i32 =
        sqlx::query_scalar(publish).bind(contract.as_str()).bind(&keys).fetch_one(conn).await?;
    u64::try_from(written).map_err(corrupt)
}

/// Returns the columns of the key in a source view; none where its text alone is read.
async fn key_columns(conn: &mut PgConnection, contract: &ContractId) -> Result<Vec<KeyColumn>, sqlx::Error> {
    let columns = "SELECT attname::text, format_type(atttypid, NULL) FROM pg_attribute \
        WHERE attrelid = to_regclass($1) AND attname ~ '^key[0-9]*$' AND NOT attisdropped ORDER BY attnum";
    let rows = sqlx::query(columns).bind(source_view::name(contract)).fetch_all(conn).await?;
    if rows.is_empty() {
        return Err(corrupt(format!("`{contract}` is not published from this database")));
    }
    let column = |row: &PgRow| KeyColumn { name: row.get(0), ty: row.get(1) };
    Ok(rows.iter().map(column).filter(|column: &KeyColumn| column.name != "key").collect())
}

/// A column of the key in the source view, with its type.
struct KeyColumn {
    name: String,
    ty: String,
}

impl KeyColumn {
    /// Returns an expression for the value that the column holds for a text of the key.
    fn value(&self, place: usize) -> String {
        // Without its length: a text that is longer than the column is the key of no row, and must not become another.
        let ty = if self.ty == "character" { "bpchar" } else { &self.ty };
        format!("${place}::text::{ty}")
    }
}

pub(super) async fn scan(
    conn: &mut PgConnection,
    contract: &ContractId,
    after: Option<&RecordKey>,
    limit: usize,
) -> Result<Vec<SourceRow>, sqlx::Error> {
    let key_columns = key_columns(&mut *conn, contract).await?;
    // By the columns, which an index can serve; then by the text, which tells keys apart that a collation takes for one.
    let mut columns: Vec<String> = key_columns.iter().map(|column| format!("s.{}", column.name)).collect();
    columns.push("s.key COLLATE \"C\"".to_owned());
    let columns = columns.join(", ");
    let mut given: Vec<String> =
        key_columns.iter().enumerate().map(|(idx, column)| column.value(idx + 3)).collect();
    given.push("$1::text".to_owned());
    let condition = match after {
        Some(_) => format!("({columns}) > ({})", given.join(", ")),
        None => "$1::text IS NULL".to_owned(),
    };
    let statement = format!(
        "SELECT s.key, s.state FROM {} s WHERE {condition} ORDER BY {columns} LIMIT $2",
        source_view::name(contract)
    );
    let mut query = sqlx::query(AssertSqlSafe(statement)).bind(after.map(RecordKey::as_str));
    query = query.bind(i64::try_from(limit).unwrap_or(i64::MAX));
    if let Some(after) = after {
        for text in after.texts().into_iter().take(key_columns.len()) {
            query = query.bind(text);
        }
    }
    let rows = query.fetch_all(conn).await?;
    let row =
        |row: &PgRow| Ok(SourceRow { key: key_of(row.get(0))?, state: row.get::<String, _>(1).into_bytes() });
    rows.iter().map(row).collect()
}

/// Locks what nobody is publishing, without waiting. Returns the keys of which somebody is, in the order given. The locks stay
/// until the transaction ends.
pub(super) async fn lock_free(
    conn: &mut PgConnection,
    contract: &ContractId,
    keys: &[RecordKey],
) -> Result<Vec<RecordKey>, sqlx::Error> {
    let lock =
        "SELECT key FROM seamline.key WHERE contract = $1 AND key = ANY ($2) FOR NO KEY UPDATE SKIP LOCKED";
    let lock = sqlx::query_scalar(lock).bind(contract.as_str()).bind(texts(keys));
    let locked: BTreeSet<String> = lock.fetch_all(&mut *conn).await?.into_iter().collect();
    let there = "SELECT key FROM seamline.key WHERE contract = $1 AND key = ANY ($2)";
    let there = sqlx::query_scalar(there).bind(contract.as_str()).bind(texts(keys));
    let there: BTreeSet<String> = there.fetch_all(conn).await?.into_iter().collect();
    let is_busy = |key: &&RecordKey| there.contains(key.as_str()) && !locked.contains(key.as_str());
    Ok(keys.iter().filter(is_busy).cloned().collect())
}

/// Waits for whoever is publishing a key; it stays locked until the transaction ends.
pub(super) async fn lock(
    conn: &mut PgConnection,
    contract: &ContractId,
    key: &RecordKey,
) -> Result<(), sqlx::Error> {
    let lock = "SELECT FROM seamline.key WHERE contract = $1 AND key = $2 FOR NO KEY UPDATE";
    sqlx::query(lock).bind(contract.as_str()).bind(key.as_str()).execute(conn).await?;
    Ok(())
}

pub(super) async fn look(
    conn: &mut PgConnection,
    contract: &ContractId,
    keys: &[RecordKey],
) -> Result<Vec<KeyFacts>, sqlx::Error> {
    let statement = format!(
        "WITH {FLAGS} SELECT a.key, seamline.{}(a.key) AS state, {FACTS} \
         FROM unnest($2::text[]) WITH ORDINALITY AS a (key, place) \
         LEFT JOIN seamline.key k ON k.contract = $1 AND k.key = a.key ORDER BY a.place",
        quoted(&format!("state_{contract}")),
    );
    let query = sqlx::query(AssertSqlSafe(statement)).bind(contract.as_str()).bind(texts(keys));
    query.fetch_all(conn).await?.iter().map(facts).collect()
}

pub(super) async fn published(
    conn: &mut PgConnection,
    contract: &ContractId,
    after: Option<&RecordKey>,
    limit: usize,
) -> Result<Vec<KeyFacts>, sqlx::Error> {
    let keys =
        "SELECT key FROM seamline.key WHERE contract = $1 AND key > $2 AND written > 0 ORDER BY key LIMIT $3";
    let keys = sqlx::query_scalar(keys).bind(contract.as_str()).bind(after.map_or("", RecordKey::as_str));
    let keys: Vec<String> = keys.bind(i64::try_from(limit).unwrap_or(i64::MAX)).fetch_all(&mut *conn).await?;
    let statement = format!(
        "WITH {FLAGS} SELECT a.key, NULL::text AS state, {FACTS} FROM unnest($2::text[]) WITH ORDINALITY AS a (key, place) \
         JOIN seamline.key k ON k.contract = $1 AND k.key = a.key ORDER BY a.place"
    );
    let rows = sqlx::query(AssertSqlSafe(statement)).bind(contract.as_str()).bind(&keys);
    rows.fetch_all(conn).await?.iter().map(facts).collect()
}

fn facts(row: &PgRow) -> Result<KeyFacts, sqlx::Error> {
    let sequence: Option<i64> = row.get("sequence");
    let chains: Option<&str> = row.get("chains");
    let chains: BTreeMap<String, u64> =
        chains.map(|text| serde_json::from_str(text).map_err(corrupt)).transpose()?.unwrap_or_default();
    let version: Option<&str> = row.get("version");
    let version: Option<Version> = version.map(|it| it.parse().map_err(corrupt)).transpose()?;
    let named = |stored: String| match version {
        Some(version) => chain_as_written(version.major, stored),
        None => stored,
    };
    Ok(KeyFacts {
        key: key_of(row.get("key"))?,
        state: row.get::<Option<String>, _>("state").map(String::into_bytes),
        sequence: sequence.map(unsigned).transpose()?.map(Sequence),
        chains: chains.into_iter().map(|(chain, at)| (named(chain), Sequence(at))).collect(),
        waiting: row.get("waiting"),
        aside: row.get("aside"),
    })
}
