//! The log on one SQLite file. It misbehaves like Kafka on purpose: holes in offsets, compaction, tombstones that go.

use crate::file::{
    File, Formats, OpenError, PATIENCE, begin, chunks, commit, corrupt, format_statements, not_applied,
    places, run_all, signed, unsigned,
};
use jiff::Timestamp;
use seamline_flow::clock::Clock;
use seamline_flow::log::{Appended, Cleanup, Fence, Fetch, Fetched, Incoming, Log, Outgoing, TopicSpec};
use seamline_flow::port::PortError;
use seamline_flow::position::TopicIdentity;
use seamline_message::stored_headers::{header_text, headers_of};
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Row};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The stored tables of a log with their formats.
const FORMATS: Formats = &[("log", 1)];

/// The largest value that is taken, as Kafka's `message.max.bytes` has it by default.
pub const VALUE_BYTES_MAX: usize = 1_048_588;

/// The columns of a record that `append` writes.
const RECORD_COLUMNS: usize = 7;

const TABLES: &[&str] = &[
    "CREATE TABLE IF NOT EXISTS log_cluster (id TEXT NOT NULL)",
    "INSERT INTO log_cluster SELECT lower(hex(randomblob(16))) WHERE NOT EXISTS (SELECT 1 FROM log_cluster)",
    "CREATE TABLE IF NOT EXISTS log_topic (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL UNIQUE,
  id TEXT NOT NULL UNIQUE,
  partitions INTEGER NOT NULL,
  cleanup TEXT NOT NULL CHECK (cleanup IN ('compact', 'delete')),
  tombstones_micros INTEGER,
  min_lag_micros INTEGER,
  retention_micros INTEGER
)",
    "CREATE TABLE IF NOT EXISTS log_partition (
  topic INTEGER NOT NULL REFERENCES log_topic ON DELETE CASCADE,
  partition INTEGER NOT NULL,
  start INTEGER NOT NULL,
  next INTEGER NOT NULL,
  PRIMARY KEY (topic, partition)
) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS log_record (
  topic INTEGER NOT NULL,
  partition INTEGER NOT NULL,
  offset INTEGER NOT NULL,
  time INTEGER NOT NULL,
  key BLOB,
  headers TEXT NOT NULL,
  value BLOB,
  horizon INTEGER,
  PRIMARY KEY (topic, partition, offset)
) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS log_producer (
  name TEXT NOT NULL PRIMARY KEY,
  epoch INTEGER NOT NULL
) WITHOUT ROWID",
];

/// A log in one SQLite file.
pub struct EmbeddedLog {
    file: File,
    clock: Arc<dyn Clock>,
    cluster: String,
}

impl fmt::Debug for EmbeddedLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedLog").field("cluster", &self.cluster).finish_non_exhaustive()
    }
}

/// A partition, as an append needs it.
struct Place {
    topic: i64,
    next: i64,
}

impl EmbeddedLog {
    /// Opens a log; `create` makes the file where there is none. The clock says when records are taken.
    ///
    /// # Errors
    /// When the file cannot be used, or a newer program wrote it.
    pub async fn open(path: &Path, create: bool, clock: Arc<dyn Clock>) -> Result<EmbeddedLog, OpenError> {
        let file = File::open(path, create, PATIENCE, FORMATS).await?;
        let wrong = |source| OpenError::Sqlite { path: path.to_owned(), source };
        let cluster = {
            let mut writer = file.writer().await;
            let mut transaction =
                sqlx::Connection::begin_with(&mut *writer, "BEGIN IMMEDIATE").await.map_err(wrong)?;
            let tables: Vec<String> = TABLES.iter().map(|table| (*table).to_owned()).collect();
            run_all(&mut transaction, &tables).await.map_err(wrong)?;
            run_all(&mut transaction, &format_statements(FORMATS.iter().copied())).await.map_err(wrong)?;
            let cluster = sqlx::query_scalar("SELECT id FROM log_cluster").fetch_one(&mut *transaction).await;
            transaction.commit().await.map_err(wrong)?;
            cluster.map_err(wrong)?
        };
        Ok(EmbeddedLog { file, clock, cluster })
    }

    /// Deletes a topic with its records. Returns whether there was one; made anew it has another id.
    ///
    /// # Errors
    /// When SQLite does not do it.
    pub async fn delete_topic(&self, name: &str) -> Result<bool, PortError> {
        let mut writer = self.file.writer().await;
        let mut transaction = begin(&mut writer).await?;
        let records = "DELETE FROM log_record WHERE topic = (SELECT number FROM log_topic WHERE name = ?)";
        sqlx::query(records).bind(name).execute(&mut *transaction).await.map_err(not_applied)?;
        let topic = sqlx::query("DELETE FROM log_topic WHERE name = ?").bind(name);
        let gone = topic.execute(&mut *transaction).await.map_err(not_applied)?.rows_affected();
        commit(transaction).await?;
        Ok(gone > 0)
    }

    /// Appends a record as somebody else would: under no fence, in no transaction. Returns its offset.
    ///
    /// # Errors
    /// `NotApplied` when there is no such topic or partition.
    pub async fn inject(&self, record: Outgoing) -> Result<u64, PortError> {
        let mut writer = self.file.writer().await;
        let mut transaction = begin(&mut writer).await?;
        let places = places_of(&mut transaction, std::slice::from_ref(&record)).await.map_err(not_applied)?;
        let Some(place) = places.get(&(record.topic.as_str(), record.partition)) else {
            return Err(not_applied(format!(
                "there is no partition {} of `{}`",
                record.partition, record.topic
            )));
        };
        let row = (place.topic, place.next, &record);
        let now = self.clock.now().as_microsecond();
        insert(&mut transaction, &[row], now).await.map_err(not_applied)?;
        advance(&mut transaction, &[(place.topic, record.partition, place.next + 1)])
            .await
            .map_err(not_applied)?;
        let offset = place.next;
        commit(transaction).await?;
        unsigned(offset).map_err(not_applied)
    }

    /// Compacts a topic as Kafka's cleaner would at a moment: of the records older than its least lag the last of each key
    /// stays, at its offset; a tombstone goes once it was seen by an earlier compaction and its time is over.
    /// Returns how many records went. A topic that is not compacted stays as it is.
    ///
    /// # Errors
    /// When SQLite does not do it.
    pub async fn compact(&self, topic: &str, now: Timestamp) -> Result<u64, PortError> {
        let mut writer = self.file.writer().await;
        let mut transaction = begin(&mut writer).await?;
        let gone = compact(&mut transaction, topic, now.as_microsecond()).await.map_err(not_applied)?;
        commit(transaction).await?;
        Ok(gone)
    }

    /// Removes what is older than a topic's retention at a moment. Returns how many records went.
    ///
    /// # Errors
    /// When SQLite does not do it.
    pub async fn retain(&self, topic: &str, now: Timestamp) -> Result<u64, PortError> {
        let mut writer = self.file.writer().await;
        let mut transaction = begin(&mut writer).await?;
        let gone = retain(&mut transaction, topic, now.as_microsecond()).await.map_err(not_applied)?;
        commit(transaction).await?;
        Ok(gone)
    }

    /// Returns the topics by name.
    ///
    /// # Errors
    /// When SQLite does not answer.
    pub async fn topics(&self) -> Result<Vec<TopicIdentity>, PortError> {
        let topics = sqlx::query("SELECT name, id, partitions FROM log_topic ORDER BY name");
        let topics = topics.fetch_all(self.file.readers()).await.map_err(not_applied)?;
        Ok(topics.iter().map(|row| self.identity(row)).collect())
    }

    fn identity(&self, row: &SqliteRow) -> TopicIdentity {
        TopicIdentity {
            cluster: self.cluster.clone(),
            name: row.get("name"),
            id: row.get("id"),
            partitions: row.get("partitions"),
        }
    }

    async fn find(
        &self,
        conn: &mut SqliteConnection,
        name: &str,
    ) -> Result<Option<TopicIdentity>, sqlx::Error> {
        let topic = sqlx::query("SELECT name, id, partitions FROM log_topic WHERE name = ?").bind(name);
        Ok(topic.fetch_optional(conn).await?.map(|row| self.identity(&row)))
    }
}

impl Log for EmbeddedLog {
    async fn topic(&self, name: &str) -> Result<Option<TopicIdentity>, PortError> {
        let mut reader = self.file.readers().acquire().await.map_err(not_applied)?;
        self.find(&mut reader, name).await.map_err(not_applied)
    }

    async fn create(&self, spec: &TopicSpec) -> Result<TopicIdentity, PortError> {
        let mut writer = self.file.writer().await;
        let mut transaction = begin(&mut writer).await?;
        if let Some(there) = self.find(&mut transaction, &spec.name).await.map_err(not_applied)? {
            return Ok(there);
        }
        if spec.partitions == 0 {
            return Err(not_applied(format!("topic `{}` needs a partition", spec.name)));
        }
        make(&mut transaction, spec).await.map_err(not_applied)?;
        let made = self.find(&mut transaction, &spec.name).await.map_err(not_applied)?;
        commit(transaction).await?;
        Ok(made.expect("the topic was made in this transaction"))
    }

    async fn fence(&self, producer: &str) -> Result<Fence, PortError> {
        let mut writer = self.file.writer().await;
        let mut transaction = begin(&mut writer).await?;
        let raise = "INSERT INTO log_producer (name, epoch) VALUES (?, 1) \
                     ON CONFLICT (name) DO UPDATE SET epoch = epoch + 1 RETURNING epoch";
        let raised = sqlx::query_scalar(raise).bind(producer).fetch_one(&mut *transaction).await;
        let epoch = raised.and_then(unsigned).map_err(not_applied)?;
        commit(transaction).await?;
        Ok(Fence { producer: producer.to_owned(), epoch })
    }

    async fn append(&self, fence: &Fence, records: Vec<Outgoing>) -> Result<Appended, PortError> {
        let mut writer = self.file.writer().await;
        let mut transaction = begin(&mut writer).await?;
        let now = self.clock.now().as_microsecond();
        let answer = append(&mut transaction, fence, &records, now).await.map_err(not_applied)?;
        if answer == Appended::Done {
            commit(transaction).await?;
        }
        Ok(answer)
    }

    async fn fetch(
        &self,
        topic: &TopicIdentity,
        partition: u32,
        from: u64,
        limit: usize,
    ) -> Result<Fetched, PortError> {
        if topic.cluster != self.cluster {
            return Ok(Fetched::NoTopic);
        }
        let mut reader = self.file.readers().acquire().await.map_err(not_applied)?;
        fetch(&mut reader, topic, partition, from, limit).await.map_err(not_applied)
    }

    async fn ends(&self, topic: &TopicIdentity, partition: u32) -> Result<Option<(u64, u64)>, PortError> {
        Ok(match self.fetch(topic, partition, 0, 0).await? {
            Fetched::Records(Fetch { start, end, .. }) | Fetched::OutOfRange { start, end } => {
                Some((start, end))
            }
            Fetched::NoTopic => None,
        })
    }
}

async fn make(conn: &mut SqliteConnection, spec: &TopicSpec) -> Result<(), sqlx::Error> {
    let (cleanup, tombstones, min_lag, retention) = match &spec.cleanup {
        Cleanup::Compact { tombstones, min_lag, .. } => {
            ("compact", Some(micros(*tombstones)), Some(micros(*min_lag)), None)
        }
        Cleanup::Delete { retention } => ("delete", None, None, retention.map(micros)),
    };
    let topic = "INSERT INTO log_topic \
                 (name, id, partitions, cleanup, tombstones_micros, min_lag_micros, retention_micros) \
                 VALUES (?, lower(hex(randomblob(16))), ?, ?, ?, ?, ?) RETURNING number";
    let topic = sqlx::query_scalar(topic).bind(&spec.name).bind(spec.partitions).bind(cleanup);
    let number: i64 = topic.bind(tombstones).bind(min_lag).bind(retention).fetch_one(&mut *conn).await?;
    for partition in 0..spec.partitions {
        let place = "INSERT INTO log_partition (topic, partition, start, next) VALUES (?, ?, 0, 0)";
        sqlx::query(place).bind(number).bind(partition).execute(&mut *conn).await?;
    }
    Ok(())
}

fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

async fn append(
    conn: &mut SqliteConnection,
    fence: &Fence,
    records: &[Outgoing],
    now: i64,
) -> Result<Appended, sqlx::Error> {
    let epoch = sqlx::query_scalar("SELECT epoch FROM log_producer WHERE name = ?").bind(&fence.producer);
    let epoch: Option<i64> = epoch.fetch_optional(&mut *conn).await?;
    if epoch != Some(signed(fence.epoch)) {
        return Ok(Appended::Fenced);
    }
    let mut places = places_of(conn, records).await?;
    let mut rows = Vec::with_capacity(records.len());
    for record in records {
        let refused =
            |reason: &str| Appended::Refused { topic: record.topic.clone(), reason: reason.to_owned() };
        let Some(place) = places.get_mut(&(record.topic.as_str(), record.partition)) else {
            return Ok(refused("there is no such topic or partition"));
        };
        if record.value.as_ref().is_some_and(|value| value.len() > VALUE_BYTES_MAX) {
            return Ok(refused("the value is larger than the log takes"));
        }
        rows.push((place.topic, place.next, record));
        place.next += 1;
    }
    // In the order of the table, so that neighbours are written together.
    rows.sort_unstable_by_key(|(topic, offset, record)| (*topic, record.partition, *offset));
    insert(conn, &rows, now).await?;
    // A transaction ends with a control record in each partition it touched: an offset that no reader is handed.
    let ends: Vec<_> =
        places.iter().map(|((_, partition), place)| (place.topic, *partition, place.next + 1)).collect();
    advance(conn, &ends).await?;
    Ok(Appended::Done)
}

/// Returns the partitions that records go to, where they exist.
async fn places_of<'r>(
    conn: &mut SqliteConnection,
    records: &'r [Outgoing],
) -> Result<BTreeMap<(&'r str, u32), Place>, sqlx::Error> {
    let mut wanted: BTreeMap<(&str, u32), ()> = BTreeMap::new();
    for record in records {
        wanted.insert((&record.topic, record.partition), ());
    }
    let mut places = BTreeMap::new();
    for (name, partition) in wanted.into_keys() {
        let place = "SELECT t.number, p.next FROM log_topic t JOIN log_partition p ON p.topic = t.number \
                     WHERE t.name = ? AND p.partition = ?";
        let place = sqlx::query(place).bind(name).bind(partition).fetch_optional(&mut *conn).await?;
        if let Some(row) = place {
            places.insert((name, partition), Place { topic: row.get(0), next: row.get(1) });
        }
    }
    Ok(places)
}

async fn insert(
    conn: &mut SqliteConnection,
    rows: &[(i64, i64, &Outgoing)],
    now: i64,
) -> Result<(), sqlx::Error> {
    for part in chunks(rows, RECORD_COLUMNS) {
        let statement = format!(
            "INSERT INTO log_record (topic, partition, offset, time, key, headers, value) VALUES {}",
            places(part.len(), RECORD_COLUMNS)
        );
        let mut query = sqlx::query(AssertSqlSafe(statement));
        for (topic, offset, record) in part {
            query =
                query.bind(topic).bind(record.partition).bind(offset).bind(now).bind(record.key.as_deref());
            query = query.bind(header_text(&record.headers.to_vec())).bind(record.value.as_deref());
        }
        query.execute(&mut *conn).await?;
    }
    Ok(())
}

async fn advance(conn: &mut SqliteConnection, ends: &[(i64, u32, i64)]) -> Result<(), sqlx::Error> {
    for (topic, partition, next) in ends {
        let statement = "UPDATE log_partition SET next = ? WHERE topic = ? AND partition = ?";
        sqlx::query(statement).bind(next).bind(topic).bind(partition).execute(&mut *conn).await?;
    }
    Ok(())
}

async fn fetch(
    conn: &mut SqliteConnection,
    topic: &TopicIdentity,
    partition: u32,
    from: u64,
    limit: usize,
) -> Result<Fetched, sqlx::Error> {
    let place = "SELECT t.number, p.start, p.next FROM log_topic t JOIN log_partition p ON p.topic = t.number \
                 WHERE t.id = ? AND t.name = ? AND p.partition = ?";
    let Some(place) = sqlx::query(place)
        .bind(&topic.id)
        .bind(&topic.name)
        .bind(partition)
        .fetch_optional(&mut *conn)
        .await?
    else {
        return Ok(Fetched::NoTopic);
    };
    let (topic, start, end): (i64, i64, i64) = (place.get(0), place.get(1), place.get(2));
    let (start, end) = (unsigned(start)?, unsigned(end)?);
    if from < start || from > end {
        return Ok(Fetched::OutOfRange { start, end });
    }
    // What another process appends after the end was read belongs to the next call.
    let records = "SELECT offset, time, key, headers, value FROM log_record \
                   WHERE topic = ? AND partition = ? AND offset >= ? AND offset < ? ORDER BY offset LIMIT ?";
    let records = sqlx::query(records).bind(topic).bind(partition).bind(signed(from)).bind(signed(end));
    let limit_rows = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = records.bind(limit_rows).fetch_all(&mut *conn).await?;
    let records = rows.iter().map(incoming).collect::<Result<Vec<_>, _>>()?;
    let full = records.len() == limit;
    let next = match records.last() {
        Some(last) if full => last.offset + 1,
        None if full => from,
        _ => end,
    };
    Ok(Fetched::Records(Fetch { records, next, start, end }))
}

fn incoming(row: &SqliteRow) -> Result<Incoming, sqlx::Error> {
    Ok(Incoming {
        offset: unsigned(row.get(0))?,
        leader_epoch: 0,
        time: Timestamp::from_microsecond(row.get(1)).map_err(corrupt)?,
        key: row.get(2),
        headers: headers_of(row.get(3)).map_err(corrupt)?.into(),
        value: row.get(4),
    })
}

async fn compact(conn: &mut SqliteConnection, name: &str, now: i64) -> Result<u64, sqlx::Error> {
    let topic = "SELECT number, partitions, tombstones_micros, min_lag_micros FROM log_topic \
                 WHERE name = ? AND cleanup = 'compact'";
    let Some(topic) = sqlx::query(topic).bind(name).fetch_optional(&mut *conn).await? else { return Ok(0) };
    let (number, partitions): (i64, u32) = (topic.get(0), topic.get(1));
    let (tombstones, min_lag): (i64, i64) = (topic.get(2), topic.get(3));
    let mut gone = 0;
    for partition in 0..partitions {
        // Nothing from the first record on that is too young is touched, whatever stands behind it.
        let dirty = "SELECT coalesce(min(offset), 9223372036854775807) FROM log_record \
                     WHERE topic = ? AND partition = ? AND time > ?";
        let dirty = sqlx::query_scalar(dirty).bind(number).bind(partition).bind(now.saturating_sub(min_lag));
        let dirty: i64 = dirty.fetch_one(&mut *conn).await?;
        let overtaken = "DELETE FROM log_record WHERE topic = ?1 AND partition = ?2 AND offset < ?3 AND \
                         offset NOT IN (SELECT max(offset) FROM log_record WHERE topic = ?1 AND partition = ?2 \
                         AND offset < ?3 AND key IS NOT NULL GROUP BY key)";
        let overtaken = sqlx::query(overtaken).bind(number).bind(partition).bind(dirty);
        gone += overtaken.execute(&mut *conn).await?.rows_affected();
        let over = "DELETE FROM log_record WHERE topic = ? AND partition = ? AND offset < ? \
                    AND value IS NULL AND horizon IS NOT NULL AND horizon <= ?";
        let over = sqlx::query(over).bind(number).bind(partition).bind(dirty).bind(now);
        gone += over.execute(&mut *conn).await?.rows_affected();
        let seen = "UPDATE log_record SET horizon = ? WHERE topic = ? AND partition = ? AND offset < ? \
                    AND value IS NULL AND horizon IS NULL";
        let seen =
            sqlx::query(seen).bind(now.saturating_add(tombstones)).bind(number).bind(partition).bind(dirty);
        seen.execute(&mut *conn).await?;
    }
    Ok(gone)
}

async fn retain(conn: &mut SqliteConnection, name: &str, now: i64) -> Result<u64, sqlx::Error> {
    let topic = "SELECT number, partitions, retention_micros FROM log_topic \
                 WHERE name = ? AND cleanup = 'delete' AND retention_micros IS NOT NULL";
    let Some(topic) = sqlx::query(topic).bind(name).fetch_optional(&mut *conn).await? else { return Ok(0) };
    let (number, partitions, retention): (i64, u32, i64) = (topic.get(0), topic.get(1), topic.get(2));
    let mut gone = 0;
    for partition in 0..partitions {
        let start = "SELECT coalesce(min(r.offset), p.next) FROM log_partition p LEFT JOIN log_record r \
                     ON r.topic = p.topic AND r.partition = p.partition AND r.time >= ?3 \
                     WHERE p.topic = ?1 AND p.partition = ?2";
        let start =
            sqlx::query_scalar(start).bind(number).bind(partition).bind(now.saturating_sub(retention));
        let start: i64 = start.fetch_one(&mut *conn).await?;
        let old = sqlx::query("DELETE FROM log_record WHERE topic = ? AND partition = ? AND offset < ?");
        let old = old.bind(number).bind(partition).bind(start).execute(&mut *conn).await?;
        gone += old.rows_affected();
        let moved = "UPDATE log_partition SET start = max(start, ?) WHERE topic = ? AND partition = ?";
        sqlx::query(moved).bind(start).bind(number).bind(partition).execute(&mut *conn).await?;
    }
    Ok(gone)
}
