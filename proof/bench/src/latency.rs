//! How long after a commit a change is in the log, and in the consumer's table, at a steady pace: alone, and while a writing
//! transaction stays open in another database, or in the same.

use crate::agent::{CONSUMER, Estate, Running};
use crate::figure::{Better, Figure, Pair, Side};
use crate::peers::{connect, run};
use crate::site::{Addresses, Site};
use anyhow::{Context, Result, ensure};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use sqlx::Connection;
use sqlx::postgres::PgConnection;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::task::{JoinHandle, JoinSet};

const A_SECOND: u64 = 500;
const WRITERS: u64 = 10;
const POLICIES: u64 = 10_000;
const PATIENCE: Duration = Duration::from_secs(30);

/// What the log may be late by at the 99th percentile while a transaction of the same database is open.
const LATE_MS: f64 = 250.0;

/// Milliseconds, sorted.
struct Times(Vec<f64>);

impl Times {
    fn of(mut times: Vec<f64>) -> Times {
        times.sort_by(f64::total_cmp);
        Times(times)
    }

    /// Returns the smallest that so many of a hundred do not exceed.
    fn percentile(&self, percent: usize) -> f64 {
        let place = (self.0.len() * percent).div_ceil(100).max(1) - 1;
        self.0.get(place).copied().unwrap_or(f64::NAN)
    }
}

/// One stretch at a steady pace.
struct Stretch {
    to_log: Times,
    to_row: Times,
}

/// Measures and prints all; a stretch is as long as the transaction stays open.
pub(crate) async fn measure(
    addresses: &Addresses,
    length: Duration,
    hold: Duration,
    as_json: bool,
) -> Result<()> {
    let mut site = Site::new(addresses, "latency");
    let measured = stretches(&mut site, length, hold).await;
    let raw = raw(&mut site, 1_000).await;
    site.remove().await?;
    let ([normal, other, same], raw) = (measured?, raw?);
    let figure = |bench: &str, peer: &str, goal| Figure {
        bench: bench.to_owned(),
        peer: peer.to_owned(),
        unit: "milliseconds",
        goal,
        better: Better::Lower,
    };
    let pair = |ours, theirs| vec![Pair { ours: Side::of(ours), theirs: Side::of(theirs) }];
    for percent in [50, 99] {
        let (normal, other) = (normal.to_log.percentile(percent), other.to_log.percentile(percent));
        let bench = format!("commit to log p{percent}, a transaction open in another database");
        figure(&bench, "without it", Some(1.2)).print(pair(other, normal), as_json);
    }
    let bench = "commit to log p99, a transaction open in the same database";
    figure(bench, "the limit", Some(1.0)).print(pair(same.to_log.percentile(99), LATE_MS), as_json);
    let bench = "commit to log, the latest, a transaction open in the same database";
    figure(bench, "the limit", None).print(pair(same.to_log.percentile(100), LATE_MS), as_json);
    for percent in [50, 99] {
        let (ours, theirs) = (normal.to_row.percentile(percent), raw.percentile(percent));
        let bench = format!("commit to the consumer's row p{percent}");
        figure(&bench, "a raw produce and consume between two commits", None)
            .print(pair(ours, theirs), as_json);
    }
    Ok(())
}

async fn stretches(site: &mut Site, length: Duration, hold: Duration) -> Result<[Stretch; 3]> {
    let estate = Estate::install(site, POLICIES as usize).await?;
    let mut agents = [estate.start(&[&estate.producer])?, estate.start(&[CONSUMER])?];
    estate.publish("PolicyBound", "eligible", POLICIES as usize).await?;
    estate.projected(&mut agents[1], true, POLICIES as usize).await?;
    estate.drained(&mut agents[0]).await?;
    let normal = stretch(site, &estate, &mut agents, length).await?;
    let other = site.addresses.postgres.clone();
    let other = held_open(site, &estate, &mut agents, &other, hold).await?;
    let same = held_open(site, &estate, &mut agents, &estate.source_url, hold).await?;
    for agent in agents {
        agent.end()?;
    }
    Ok([normal, other, same])
}

/// Measures a stretch while a transaction that has written stays open.
async fn held_open(
    site: &Site,
    estate: &Estate,
    agents: &mut [Running; 2],
    url: &str,
    hold: Duration,
) -> Result<Stretch> {
    let mut open = connect(url).await?;
    // Not with the rest: a BEGIN takes into its transaction what is before it in the same message.
    run(&mut open, "CREATE TABLE held (n int)").await?;
    run(&mut open, "BEGIN; INSERT INTO held VALUES (1)").await?;
    let stretch = stretch(site, estate, agents, hold).await;
    run(&mut open, "ROLLBACK; DROP TABLE held").await?;
    stretch
}

/// Publishes at a steady pace, and finds out when each change was in the log, and of some when it was in the table.
async fn stretch(
    site: &Site,
    estate: &Estate,
    agents: &mut [Running; 2],
    length: Duration,
) -> Result<Stretch> {
    let reading = reader(&site.addresses.kafka, &estate.states)?;
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let arrivals = tokio::task::spawn_blocking(move || arrivals(&reading, &stopped));
    let each = length.as_millis() as u64 * A_SECOND / 1_000 / WRITERS;
    let mut writers = JoinSet::new();
    let begun = Instant::now();
    for writer in 0..WRITERS {
        let source = PgConnection::connect(&estate.source_url).await?;
        let target = estate.target.clone();
        writers.spawn(async move { write(source, target, writer, each, begun).await });
    }
    let (mut commits, mut to_row) = (HashMap::new(), Vec::new());
    while let Some(written) = writers.join_next().await {
        let (sequences, rows) = written??;
        commits.extend(sequences);
        to_row.extend(rows);
    }
    estate.drained(&mut agents[0]).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    stop.store(true, Ordering::Relaxed);
    let arrived = arrivals.await??;
    let mut to_log = Vec::new();
    for (sequence, committed) in commits {
        let arrived =
            arrived.get(&sequence).with_context(|| format!("sequence {sequence} never came to the log"))?;
        to_log.push(millis(arrived.saturating_duration_since(committed)));
    }
    Ok(Stretch { to_log: Times::of(to_log), to_row: Times::of(to_row) })
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

type Written = (Vec<(i64, Instant)>, Vec<f64>);

/// Publishes at its share of the pace. Changes of the first writer are looked for in the projection as well, one at a time and
/// beside the writing: who waited for a row before the next change would lose the pace.
async fn write(
    mut source: PgConnection,
    target: sqlx::PgPool,
    writer: u64,
    count: u64,
    begun: Instant,
) -> Result<Written> {
    let step = Duration::from_secs(WRITERS) / A_SECOND as u32;
    let (mut sequences, mut rows) = (Vec::new(), Vec::new());
    let mut watch: Option<JoinHandle<Result<f64>>> = None;
    for nth in 0..count {
        let due = begun + step * nth as u32 + step * writer as u32 / WRITERS as u32;
        tokio::time::sleep_until(due.into()).await;
        // Each writer has keys of its own, in an order that is not that of the table.
        let key = format!("P-{:08}", 1 + writer + WRITERS * (nth * 7_919 % (POLICIES / WRITERS)));
        let publish = sqlx::query_scalar("SELECT seamline.publish('policy', 'PolicyBound', $1)");
        let sequence: i64 = publish.bind(format!("[\"{key}\"]")).fetch_one(&mut source).await?;
        let committed = Instant::now();
        sequences.push((sequence, committed));
        if writer == 0 && watch.as_ref().is_none_or(JoinHandle::is_finished) {
            let next = tokio::spawn(row_there(target.clone(), key, sequence, committed));
            if let Some(ended) = watch.replace(next) {
                rows.push(ended.await??);
            }
        }
    }
    if let Some(last) = watch {
        rows.push(last.await??);
    }
    Ok((sequences, rows))
}

/// Returns the milliseconds from a commit until its row is there.
async fn row_there(target: sqlx::PgPool, key: String, sequence: i64, committed: Instant) -> Result<f64> {
    let there = "SELECT seamline_sequence >= $2 FROM cover WHERE policy_ref = $1";
    while !sqlx::query_scalar::<_, bool>(there).bind(&key).bind(sequence).fetch_one(&target).await? {
        ensure!(committed.elapsed() < PATIENCE, "a change never came to the projection");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(millis(committed.elapsed()))
}

/// Returns a reader of what comes to a topic from now on.
fn reader(broker: &str, topic: &str) -> Result<BaseConsumer> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", broker).set("group.id", "bench-latency");
    config.set("isolation.level", "read_committed").set("fetch.wait.max.ms", "10");
    let reading: BaseConsumer = config.create()?;
    let known = reading.fetch_metadata(Some(topic), PATIENCE)?;
    let partitions = known.topics().first().map_or(0, |topic| topic.partitions().len());
    ensure!(partitions > 0, "there is no topic `{topic}`");
    let mut places = TopicPartitionList::new();
    for partition in 0..i32::try_from(partitions)? {
        let (_, end) = reading.fetch_watermarks(topic, partition, PATIENCE)?;
        places.add_partition_offset(topic, partition, Offset::Offset(end))?;
    }
    reading.assign(&places)?;
    Ok(reading)
}

/// Returns when each sequence came, until told to stop.
fn arrivals(reading: &BaseConsumer, stop: &AtomicBool) -> Result<HashMap<i64, Instant>> {
    let mut arrived = HashMap::new();
    while !stop.load(Ordering::Relaxed) {
        let Some(message) = reading.poll(Duration::from_millis(100)) else { continue };
        let message = message?;
        let headers = message.headers().context("a record without headers")?;
        let sequence =
            headers.iter().find(|header| header.key == "ce_sequence").and_then(|header| header.value);
        let sequence = std::str::from_utf8(sequence.context("a record without a sequence")?)?.parse()?;
        arrived.entry(sequence).or_insert_with(Instant::now);
    }
    Ok(arrived)
}

/// Measures one change at a time by hand: an insert that commits, a record to and from the broker, an upsert that commits.
async fn raw(site: &mut Site, times: usize) -> Result<Times> {
    let (_, source) = site.database("raw_source").await?;
    let (_, target) = site.database("raw_target").await?;
    let (mut source, mut target) = (source.acquire().await?, target.acquire().await?);
    run(&mut source, "CREATE TABLE outbox (id bigint PRIMARY KEY, state text)").await?;
    run(&mut target, "CREATE TABLE cover (policy_ref text PRIMARY KEY, state text)").await?;
    let topic = format!("{}.raw", site.name);
    site.topics(std::slice::from_ref(&topic), 1).await?;
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &site.addresses.kafka).set("acks", "all").set("linger.ms", "0");
    let producer: Arc<BaseProducer> = Arc::new(config.create()?);
    let reading = Arc::new(reader(&site.addresses.kafka, &topic)?);
    let (key, state) = ("P-00000001", "x".repeat(250));
    let mut taken = Vec::new();
    // The first rounds open connections.
    for round in 0..times + 20 {
        let begun = Instant::now();
        let insert = sqlx::query("INSERT INTO outbox VALUES ($1, $2)").bind(round as i64).bind(&state);
        insert.execute(&mut *source).await?;
        let (producer, reading) = (Arc::clone(&producer), Arc::clone(&reading));
        let (topic, sent) = (topic.clone(), state.clone());
        let passed = tokio::task::spawn_blocking(move || -> Result<()> {
            let record = BaseRecord::to(&topic).partition(0).key(key).payload(&sent);
            producer.send(record).map_err(|(error, _)| error)?;
            producer.flush(PATIENCE)?;
            reading.poll(PATIENCE).context("the record does not come back")??;
            Ok(())
        });
        passed.await??;
        let upsert =
            "INSERT INTO cover VALUES ($1, $2) ON CONFLICT (policy_ref) DO UPDATE SET state = excluded.state";
        sqlx::query(upsert).bind(key).bind(&state).execute(&mut *target).await?;
        if round >= 20 {
            taken.push(millis(begun.elapsed()));
        }
    }
    Ok(Times::of(taken))
}

#[cfg(test)]
mod tests {
    use super::Times;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let times = Times::of((1..=200).rev().map(f64::from).collect());
        assert_eq!([50, 99, 100].map(|percent| times.percentile(percent)), [100.0, 198.0, 200.0]);
        assert!(Times::of(Vec::new()).percentile(50).is_nan());
    }
}
