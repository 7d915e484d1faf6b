//! What the source knows of keys: their state in the source view, their last sequence and their chains.

use crate::file::{corrupt, unsigned};
use crate::install::source_view::{self, KeyKind, has_key, key_column, kinds_of};
use crate::ledger::key_of;
use seamline_contract::id::{ContractId, Version};
use seamline_contract::served::chain_as_written;
use seamline_flow::source::{KeyFacts, SourceRow};
use seamline_message::key::RecordKey;
use seamline_message::sequence::Sequence;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Row};
use std::collections::BTreeMap;

/// Keys that wait or are aside are found in one pass over the outbox: an index would slow down every publishing.
const FLAGS: &str = "waiting AS MATERIALIZED (SELECT key FROM seamline_outbox \
    WHERE contract = ?1 AND key IN (SELECT key FROM asked) UNION SELECT key FROM seamline_deferred \
    WHERE contract = ?1 AND key IN (SELECT key FROM asked)), \
    aside AS MATERIALIZED (SELECT DISTINCT key FROM seamline_quarantine \
    WHERE contract = ?1 AND key IN (SELECT key FROM asked))";

const FACTS: &str = "(SELECT version FROM seamline_contract c WHERE c.contract = ?1) AS version, k.sequence, k.chains, a.key IN (SELECT key FROM waiting) AS waiting, \
    a.key IN (SELECT key FROM aside) AS aside";

async fn kinds(conn: &mut SqliteConnection, contract: &ContractId) -> Result<Vec<KeyKind>, sqlx::Error> {
    let kinds = sqlx::query_scalar("SELECT key_kinds FROM seamline_contract WHERE contract = ?");
    let kinds: Option<String> = kinds.bind(contract.as_str()).fetch_optional(conn).await?;
    let kinds = kinds.ok_or_else(|| corrupt(format!("`{contract}` is not published from this database")))?;
    kinds_of(&kinds)
        .ok_or_else(|| corrupt(format!("the key of `{contract}` is of kinds that are not known here")))
}

fn texts(keys: &[RecordKey]) -> Result<String, sqlx::Error> {
    let texts: Vec<&str> = keys.iter().map(RecordKey::as_str).collect();
    serde_json::to_string(&texts).map_err(corrupt)
}

pub(super) async fn emit(
    conn: &mut SqliteConnection,
    contract: &ContractId,
    keys: &[RecordKey],
) -> Result<u64, sqlx::Error> {
    let publish = "INSERT INTO seamline_publish (contract, key) SELECT ?, value FROM json_each(?)";
    sqlx::query(publish).bind(contract.as_str()).bind(texts(keys)?).execute(conn).await?;
    u64::try_from(keys.len()).map_err(corrupt)
}

pub(super) async fn scan(
    conn: &mut SqliteConnection,
    contract: &ContractId,
    after: Option<&RecordKey>,
    limit: usize,
) -> Result<Vec<SourceRow>, sqlx::Error> {
    let kinds = kinds(conn, contract).await?;
    let plain = kinds.iter().all(|kind| matches!(kind, KeyKind::Text | KeyKind::Integer));
    // By the columns, which an index can serve; then by the text, which tells keys apart that a collation takes for one.
    let mut columns: Vec<String> = if plain {
        (0..kinds.len()).map(|idx| format!("s.{}", key_column(idx))).collect()
    } else {
        Vec::new()
    };
    columns.push("s.key".to_owned());
    let columns = columns.join(", ");
    let given: Vec<String> = match after {
        Some(_) if plain => kinds
            .iter()
            .enumerate()
            .map(|(idx, kind)| match kind {
                KeyKind::Integer => format!("CAST(json_extract(?1, '$[{idx}]') AS INTEGER)"),
                _ => format!("json_extract(?1, '$[{idx}]')"),
            })
            .chain(["?1".to_owned()])
            .collect(),
        _ => vec!["?1".to_owned()],
    };
    let condition = match after {
        Some(_) => format!("({columns}) > ({})", given.join(", ")),
        None => "?1 IS NULL".to_owned(),
    };
    let statement = format!(
        "SELECT s.key, s.state FROM {} s WHERE {condition} ORDER BY {columns} LIMIT ?2",
        source_view::name(contract)
    );
    let query = sqlx::query(AssertSqlSafe(statement)).bind(after.map(RecordKey::as_str));
    let rows = query.bind(i64::try_from(limit).unwrap_or(i64::MAX)).fetch_all(conn).await?;
    let row = |row: &SqliteRow| {
        Ok(SourceRow { key: key_of(row.get(0))?, state: row.get::<String, _>(1).into_bytes() })
    };
    rows.iter().map(row).collect()
}

pub(super) async fn look(
    conn: &mut SqliteConnection,
    contract: &ContractId,
    keys: &[RecordKey],
) -> Result<Vec<KeyFacts>, sqlx::Error> {
    let kinds = kinds(conn, contract).await?;
    let statement = format!(
        "WITH asked AS MATERIALIZED (SELECT key AS idx, value AS key FROM json_each(?2)), {FLAGS} \
         SELECT a.key, (SELECT s.state FROM {view} s WHERE {has_key} LIMIT 1) AS state, {FACTS} \
         FROM asked a LEFT JOIN seamline_key k ON k.contract = ?1 AND k.key = a.key ORDER BY a.idx",
        view = source_view::name(contract),
        has_key = has_key(&kinds, "s", "a.key"),
    );
    let query = sqlx::query(AssertSqlSafe(statement)).bind(contract.as_str()).bind(texts(keys)?);
    query.fetch_all(conn).await?.iter().map(facts).collect()
}

pub(super) async fn published(
    conn: &mut SqliteConnection,
    contract: &ContractId,
    after: Option<&RecordKey>,
    limit: usize,
) -> Result<Vec<KeyFacts>, sqlx::Error> {
    let statement = format!(
        "WITH asked AS MATERIALIZED (SELECT key FROM seamline_key WHERE contract = ?1 AND key > ?2 \
         ORDER BY key LIMIT ?3), {FLAGS} SELECT a.key, NULL AS state, {FACTS} \
         FROM asked a JOIN seamline_key k ON k.contract = ?1 AND k.key = a.key ORDER BY a.key"
    );
    let query = sqlx::query(AssertSqlSafe(statement)).bind(contract.as_str());
    let query = query.bind(after.map_or("", RecordKey::as_str));
    let rows = query.bind(i64::try_from(limit).unwrap_or(i64::MAX)).fetch_all(conn).await?;
    rows.iter().map(facts).collect()
}

fn facts(row: &SqliteRow) -> Result<KeyFacts, sqlx::Error> {
    let sequence: Option<i64> = row.get("sequence");
    let chains: Option<String> = row.get("chains");
    let chains: BTreeMap<String, u64> =
        chains.map(|text| serde_json::from_str(&text).map_err(corrupt)).transpose()?.unwrap_or_default();
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
