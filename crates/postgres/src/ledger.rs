//! Ledgers in a producer's database: scratch, rebuildable from the log.

use crate::database::{Database, commit};
use crate::sql::{corrupt, not_applied, signed, unsigned};
use seamline_contract::id::Version;
use seamline_flow::ledger::{Entry, Ledger};
use seamline_flow::port::PortError;
use seamline_message::digest::Digest;
use seamline_message::key::RecordKey;
use seamline_message::sequence::Sequence;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Row};
use std::collections::BTreeMap;

/// The entries of passes.
const LEDGER: &str = "seamline.ledger";

/// The entries of auditors.
pub(crate) const KEPT: &str = "seamline.audit_key";

impl Ledger for Database {
    async fn ledger_clear(&self, topic: &str) -> Result<(), PortError> {
        let mut transaction = self.begin().await?;
        let clear = sqlx::query("DELETE FROM seamline.ledger WHERE topic = $1").bind(topic);
        clear.execute(&mut *transaction).await.map_err(not_applied)?;
        commit(transaction).await
    }

    async fn ledger_put(&self, topic: &str, entries: &[Entry]) -> Result<(), PortError> {
        let mut transaction = self.begin().await?;
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
        let entries = "SELECT * FROM seamline.ledger WHERE topic = $1 AND key > $2 ORDER BY key LIMIT $3";
        let entries = sqlx::query(entries).bind(topic).bind(after.map_or("", RecordKey::as_str));
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = entries.bind(limit).fetch_all(self.pool()).await.map_err(not_applied)?;
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
    // Key by key through the index, whatever is known of the table: right after it was filled, `= ANY` reads all of a topic.
    let entries = format!(
        "SELECT e.* FROM unnest($2::text[]) AS asked (key) \
        CROSS JOIN LATERAL (SELECT * FROM {table} WHERE topic = $1 AND key = asked.key LIMIT 1) AS e"
    );
    let rows = sqlx::query(AssertSqlSafe(entries)).bind(topic).bind(texts).fetch_all(database.pool()).await;
    let rows = rows.map_err(not_applied)?;
    let entries = rows.iter().map(entry).collect::<Result<Vec<_>, _>>().map_err(not_applied)?;
    let by_key: BTreeMap<_, _> = entries.iter().map(|entry| (&entry.key, entry)).collect();
    Ok(keys.iter().map(|key| by_key.get(key).map(|entry| (*entry).clone())).collect())
}

/// Merges entries: of one key there is one that has the highest sequence, and one that has the last offset.
pub(crate) async fn put(
    conn: &mut PgConnection,
    table: &str,
    topic: &str,
    entries: &[Entry],
) -> Result<(), sqlx::Error> {
    // One statement cannot write a row twice.
    let mut rounds: Vec<BTreeMap<&RecordKey, &Entry>> = vec![BTreeMap::new()];
    for entry in entries {
        match rounds.iter_mut().find(|round| !round.contains_key(&entry.key)) {
            Some(round) => {
                round.insert(&entry.key, entry);
            }
            None => rounds.push(BTreeMap::from([(&entry.key, entry)])),
        }
    }
    for round in rounds {
        put_once(conn, table, topic, &round).await?;
    }
    Ok(())
}

async fn put_once(
    conn: &mut PgConnection,
    table: &str,
    topic: &str,
    entries: &BTreeMap<&RecordKey, &Entry>,
) -> Result<(), sqlx::Error> {
    let statement = format!(
        "INSERT INTO {table} AS l \
        (topic, key, sequence, \"offset\", last, last_offset, version, digest, ended) \
        SELECT $1, * FROM unnest($2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $4::bigint[], $6::text[], \
        $7::bytea[], $8::boolean[]) \
        ON CONFLICT (topic, key) DO UPDATE SET \
        last = CASE WHEN excluded.last_offset >= l.last_offset THEN excluded.last ELSE l.last END, \
        last_offset = greatest(excluded.last_offset, l.last_offset), \
        \"offset\" = CASE WHEN excluded.sequence > l.sequence THEN excluded.\"offset\" ELSE l.\"offset\" END, \
        version = CASE WHEN excluded.sequence > l.sequence THEN excluded.version ELSE l.version END, \
        digest = CASE WHEN excluded.sequence > l.sequence THEN excluded.digest ELSE l.digest END, \
        ended = CASE WHEN excluded.sequence > l.sequence THEN excluded.ended ELSE l.ended END, \
        sequence = greatest(excluded.sequence, l.sequence)"
    );
    let entries = || entries.values();
    let query = sqlx::query(AssertSqlSafe(statement)).bind(topic);
    let query = query.bind(entries().map(|entry| entry.key.as_str()).collect::<Vec<_>>());
    let query = query.bind(entries().map(|entry| signed(entry.sequence.0)).collect::<Vec<_>>());
    let query = query.bind(entries().map(|entry| signed(entry.offset)).collect::<Vec<_>>());
    let query = query.bind(entries().map(|entry| signed(entry.last.0)).collect::<Vec<_>>());
    let query = query.bind(entries().map(|entry| entry.version.map(|at| at.to_string())).collect::<Vec<_>>());
    let query = query.bind(entries().map(|entry| entry.digest.to_bytes().to_vec()).collect::<Vec<_>>());
    let query = query.bind(entries().map(|entry| entry.ended).collect::<Vec<_>>());
    query.execute(conn).await?;
    Ok(())
}

fn entry(row: &PgRow) -> Result<Entry, sqlx::Error> {
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
