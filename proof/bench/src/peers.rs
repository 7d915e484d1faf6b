//! The limits: what the same bytes cost without us. Each peer has the durability of our side (every commit is synced, every
//! replica acknowledges), the same columns, and counts with the best of several batch sizes.

use anyhow::{Context, Result, bail, ensure};
use futures_util::TryStreamExt;
use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::message::OwnedHeaders;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::types::RDKafkaErrorCode;
use sqlx::postgres::{PgConnection, PgPoolCopyExt};
use sqlx::{AssertSqlSafe, Connection, PgPool};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Rows in one transaction, of which the best counts.
const BATCHES: [usize; 4] = [1_000, 4_000, 16_000, 64_000];

/// How long Kafka may take for what takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// Returns rows a second since a moment.
pub(crate) fn rate(rows: usize, begun: Instant) -> f64 {
    rows as f64 / begun.elapsed().as_secs_f64()
}

/// COPY-out: rows a second of a query, read to the end and dropped. As binary and as text, by this program and by psql.
pub(crate) async fn copy_out(pool: &PgPool, url: &str, query: &str, rows: usize) -> Result<f64> {
    let mut best: f64 = 0.0;
    for format in ["binary", "text"] {
        let begun = Instant::now();
        let mut copied = pool.copy_out_raw(&format!("COPY ({query}) TO STDOUT (FORMAT {format})")).await?;
        while copied.try_next().await?.is_some() {}
        best = best.max(rate(rows, begun));
    }
    let begun = Instant::now();
    psql(url, &format!("\\copy ({query}) TO '/dev/null'"), &[])?;
    Ok(best.max(rate(rows, begun)))
}

fn psql(url: &str, command: &str, input: &[u8]) -> Result<()> {
    use std::io::Write;
    let mut call = Command::new("psql");
    let call = call.args(["-q", "-X", "-v", "ON_ERROR_STOP=1", "-d", url, "-c", command]);
    let mut psql = call.stdin(Stdio::piped()).spawn().context("`psql` cannot be run; install it")?;
    psql.stdin.take().context("psql has an input")?.write_all(input)?;
    let ended = psql.wait()?;
    ensure!(ended.success(), "psql: {ended}");
    Ok(())
}

/// Rows of a table as COPY writes them.
async fn dump(pool: &PgPool, query: &str, format: &str) -> Result<Vec<u8>> {
    let mut all = Vec::new();
    let mut copied = pool.copy_out_raw(&format!("COPY ({query}) TO STDOUT (FORMAT {format})")).await?;
    while let Some(part) = copied.try_next().await? {
        all.extend_from_slice(&part);
    }
    Ok(all)
}

/// COPY-in: rows a second of a table's rows, markers among them, into an empty table like it. As binary and as text, by this
/// program and by psql, all in one transaction.
pub(crate) async fn copy_in(pool: &PgPool, url: &str, table: &str, rows: usize) -> Result<f64> {
    let mut conn = pool.acquire().await?;
    let mut best: f64 = 0.0;
    let make = format!("DROP TABLE IF EXISTS peer; CREATE TABLE peer (LIKE {table} INCLUDING ALL)");
    let read = format!("SELECT * FROM {table}");
    for format in ["binary", "text"] {
        let data = dump(pool, &read, format).await?;
        sqlx::raw_sql(AssertSqlSafe(make.clone())).execute(&mut *conn).await?;
        let begun = Instant::now();
        let mut copy = conn.copy_in_raw(&format!("COPY peer FROM STDIN (FORMAT {format})")).await?;
        for part in data.chunks(1 << 16) {
            copy.send(part).await?;
        }
        ensure!(copy.finish().await? == rows as u64, "the peer copied other rows than ours");
        best = best.max(rate(rows, begun));
    }
    let data = dump(pool, &read, "text").await?;
    sqlx::raw_sql(AssertSqlSafe(make)).execute(&mut *conn).await?;
    let begun = Instant::now();
    psql(url, "\\copy peer FROM pstdin", &data)?;
    Ok(best.max(rate(rows, begun)))
}

/// Rows that are upserted inside the server, and the best rate of several batch sizes: the rows of a table, markers among
/// them, over the rows that `before` kept, which have the same keys.
///
/// The staging table is numbered in the order of the key, which is as kind to the index as an order can be.
pub(crate) async fn upsert(
    pool: &PgPool,
    table: &str,
    key: &str,
    before: &str,
    rows: usize,
) -> Result<(f64, usize)> {
    let mut conn = pool.acquire().await?;
    let columns: Vec<String> = sqlx::query_scalar(
        "SELECT quote_ident(attname) FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped \
         ORDER BY attnum",
    )
    .bind(table)
    .fetch_all(&mut *conn)
    .await?;
    let staging = format!(
        "DROP TABLE IF EXISTS staging; CREATE UNLOGGED TABLE staging AS SELECT row_number() OVER (ORDER BY {key}) AS n, * \
         FROM {table}; CREATE INDEX ON staging (n); ANALYZE staging"
    );
    run(&mut conn, &staging).await?;
    let all = columns.join(", ");
    let sets: Vec<String> = columns.iter().map(|column| format!("{column} = excluded.{column}")).collect();
    let mut best = (0.0, 0);
    for batch in BATCHES {
        let target = format!(
            "DROP TABLE IF EXISTS peer; CREATE TABLE peer (LIKE {table} INCLUDING ALL); INSERT INTO peer SELECT * FROM {before}; \
             ANALYZE peer; CHECKPOINT"
        );
        run(&mut conn, &target).await?;
        let begun = Instant::now();
        for from in (0..rows).step_by(batch) {
            let upsert = format!(
                "INSERT INTO peer ({all}) SELECT {all} FROM staging WHERE n > {from} AND n <= {} \
                 ON CONFLICT ({key}) DO UPDATE SET {}",
                from + batch,
                sets.join(", ")
            );
            run(&mut conn, &upsert).await?;
        }
        let rate = rate(rows, begun);
        if rate > best.0 {
            best = (rate, batch);
        }
    }
    run(&mut conn, "DROP TABLE peer; DROP TABLE staging").await?;
    Ok(best)
}

/// Runs statements that return nothing.
pub(crate) async fn run(conn: &mut PgConnection, sql: &str) -> Result<()> {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(conn).await?;
    Ok(())
}

/// Leaves no debts of earlier work: what is dead is swept, what is dirty is written.
pub(crate) async fn settle(pool: &PgPool) -> Result<()> {
    let mut conn = pool.acquire().await?;
    run(&mut conn, "VACUUM ANALYZE").await?;
    run(&mut conn, "CHECKPOINT").await
}

/// A record, as it was read from the log.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    /// The topic that the peer writes.
    pub(crate) topic: String,
    /// The partition.
    pub(crate) partition: i32,
    /// The key.
    pub(crate) key: Vec<u8>,
    /// The headers, in order.
    pub(crate) headers: OwnedHeaders,
    /// The value; none: a tombstone.
    pub(crate) value: Option<Vec<u8>>,
}

/// Transactional produce: outbox rows a second of their records, which are in memory, into topics like ours; the best of
/// several transaction sizes.
pub(crate) fn produce(broker: &str, records: &[Record], rows: usize) -> Result<(f64, usize)> {
    let mut best = (0.0, 0);
    for batch in BATCHES {
        let producer = producer(broker, &format!("bench-peer-{}", std::process::id()))?;
        producer.init_transactions(PATIENCE)?;
        // A transaction of its own beforehand: connections are made and topics are known.
        let few = &records[..records.len().min(100)];
        transaction_around(&producer, || few.iter().try_for_each(|record| send(&producer, record)))?;
        let size = (records.len() * batch).div_ceil(rows);
        let begun = Instant::now();
        for part in records.chunks(size) {
            transaction_around(&producer, || part.iter().try_for_each(|record| send(&producer, record)))?;
        }
        let rate = rate(rows, begun);
        if rate > best.0 {
            best = (rate, batch);
        }
    }
    Ok(best)
}

/// Returns a producer whose sends are durable on every replica, compressed as ours are, with batches as large as help.
fn producer(broker: &str, id: &str) -> Result<BaseProducer> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", broker).set("transactional.id", id).set("acks", "all");
    config
        .set("compression.type", "lz4")
        .set("linger.ms", "5")
        .set("batch.size", "1000000")
        .set("batch.num.messages", "100000");
    config.set("queue.buffering.max.messages", "1000000").set("queue.buffering.max.kbytes", "1048576");
    Ok(config.create()?)
}

fn transaction_around(producer: &BaseProducer, send: impl FnOnce() -> Result<()>) -> Result<()> {
    producer.begin_transaction()?;
    send()?;
    producer.commit_transaction(PATIENCE)?;
    Ok(())
}

fn send(producer: &BaseProducer, record: &Record) -> Result<()> {
    loop {
        let mut outgoing = BaseRecord::to(&record.topic).partition(record.partition).key(&record.key);
        outgoing = outgoing.headers(record.headers.clone());
        if let Some(value) = &record.value {
            outgoing = outgoing.payload(value);
        }
        match producer.send(outgoing) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                producer.poll(Duration::from_millis(10));
            }
            Err((error, _)) => bail!(error),
        }
    }
}

/// Opens one connection outside of a pool.
pub(crate) async fn connect(url: &str) -> Result<PgConnection> {
    PgConnection::connect(url).await.with_context(|| format!("`{url}`"))
}
