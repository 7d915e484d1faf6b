//! Ledgers in a producer's database: scratch, rebuildable from the log.

use crate::context::Database;
use crate::file::{begin, chunks, commit, corrupt, not_applied, places, signed, unsigned};
use seamline_contract::id::Version;
use seamline_flow::ledger::{Entry, Ledger};
use seamline_flow::port::PortError;
use seamline_message::digest::Digest;
use seamline_message::key::RecordKey;
use seamline_message::sequence::Sequence;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Row};
use std::collections::BTreeMap;

const COLUMNS: usize = 9;

/// The entries of passes.
const LEDGER: &str = "seamline_ledger";

/// The entries of auditors.
pub(crate) const KEPT: &str = "seamline_audit_key";

impl Ledger for Database {
    async fn ledger_clear(&self, topic: &str) -> Result<(), PortError> {
        let mut writer = self.writer().await;
        let mut transaction = begin(&mut writer).await?;
        let clear = sqlx::query("DELETE FROM seamline_ledger WHERE topic = ?").bind(topic);
        clear.execute(&mut *transaction).await.map_err(not_applied)?;
        commit(transaction).await
    }

    async fn ledger_put(&self, topic: &str, entries: &[Entry]) -> Result<(), PortError> {
        let mut writer = self.writer().await;
        let mut transaction = begin(&mut writer).await?;
        put(&mut transaction, LEDGER, topic, entries).await.map_err(not_applied)?;
        commit(transaction).await
    }

    async fn ledger_get(&self, topic: &str, keys: &[RecordKey]) -> Result<Vec<Option<Entry>>, PortError> {
        get(self, LEDGER, topic, keys).await
    }

    async fn ledger_scan(
        &self,
        topic: &str,
        after: Option<&RecordKey>,
        limit: usize,
    ) -> Result<Vec<Entry>, PortError> {
        let entries = "SELECT * FROM seamline_ledger WHERE topic = ? AND key > ? ORDER BY key LIMIT ?";
        let entries = sqlx::query(entries).bind(topic).bind(after.map_or("", RecordKey::as_str));
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = entries.bind(limit).fetch_all(self.readers()).await.map_err(not_applied)?;
        rows.iter().map(entry).collect::<Result<_, _>>().map_err(not_applied)
    }
}

/// Returns the entries of keys, in the order asked.
pub(crate) async fn get(
    database: &Database,
    table: &str,
    topic: &str,
    keys: &[RecordKey],
) -> Result<Vec<Option<Entry>>, PortError> {
    let texts: Vec<&str> = keys.iter().map(RecordKey::as_str).collect();
    let texts = serde_json::to_string(&texts).map_err(not_applied)?;
    let entries = format!(
        "SELECT l.* FROM (SELECT DISTINCT value AS key FROM json_each(?)) k \
         CROSS JOIN {table} l ON l.topic = ? AND l.key = k.key"
    );
    let rows = sqlx::query(AssertSqlSafe(entries)).bind(texts).bind(topic);
    let rows = rows.fetch_all(database.readers()).await.map_err(not_applied)?;
    let entries = rows.iter().map(entry).collect::<Result<Vec<_>, _>>().map_err(not_applied)?;
    let by_key: BTreeMap<_, _> = entries.iter().map(|entry| (&entry.key, entry)).collect();
    Ok(keys.iter().map(|key| by_key.get(key).map(|entry| (*entry).clone())).collect())
}

/// Merges entries.
pub(crate) async fn put(
    conn: &mut SqliteConnection,
    table: &str,
    topic: &str,
    entries: &[Entry],
) -> Result<(), sqlx::Error> {
    for part in chunks(entries, COLUMNS) {
        let statement = format!(
            "INSERT INTO {table} \
             (topic, key, sequence, offset, last, last_offset, version, digest, ended) VALUES {} \
             ON CONFLICT (topic, key) DO UPDATE SET \
             last = iif(excluded.last_offset >= last_offset, excluded.last, last), \
             last_offset = max(excluded.last_offset, last_offset), \
             offset = iif(excluded.sequence > sequence, excluded.offset, offset), \
             version = iif(excluded.sequence > sequence, excluded.version, version), \
             digest = iif(excluded.sequence > sequence, excluded.digest, digest), \
             ended = iif(excluded.sequence > sequence, excluded.ended, ended), \
             sequence = max(excluded.sequence, sequence)",
            places(part.len(), COLUMNS)
        );
        let mut query = sqlx::query(AssertSqlSafe(statement));
        for entry in part {
            query = query.bind(topic).bind(entry.key.as_str()).bind(signed(entry.sequence.0));
            query = query.bind(signed(entry.offset)).bind(signed(entry.last.0)).bind(signed(entry.offset));
            query = query.bind(entry.version.map(|version| version.to_string()));
            query = query.bind(entry.digest.to_bytes().to_vec()).bind(entry.ended);
        }
        query.execute(&mut *conn).await?;
    }
    Ok(())
}

fn entry(row: &SqliteRow) -> Result<Entry, sqlx::Error> {
    let version: Option<String> = row.get("version");
    let version = version.map(|text| text.parse::<Version>().map_err(corrupt)).transpose()?;
    Ok(Entry {
        key: key_of(row.get("key"))?,
        sequence: Sequence(unsigned(row.get("sequence"))?),
        offset: unsigned(row.get("offset"))?,
        last: Sequence(unsigned(row.get("last"))?),
        version,
        digest: digest_of(row.get("digest"))?,
        ended: row.get("ended"),
    })
}

/// Reads a record key as it is stored.
pub(crate) fn key_of(text: &str) -> Result<RecordKey, sqlx::Error> {
    RecordKey::parse(text.as_bytes()).map_err(|_| corrupt("a stored key is not canonical"))
}

/// Reads a digest as it is stored.
pub(crate) fn digest_of(bytes: &[u8]) -> Result<Digest, sqlx::Error> {
    bytes.try_into().map(Digest::from_bytes).map_err(|_| corrupt("a stored digest does not have 16 bytes"))
}
