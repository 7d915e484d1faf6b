//! The same changes through Debezium: PostgreSQL's log, the outbox event router, Kafka, the JDBC sink. What it runs with stands in
//! `proof/bench/debezium/`, with the reasons.
//!
//! Both sides are one process that holds the producer's and the consumer's work. Both are warm: they have carried every key
//! several times before. Both are stopped while the measured changes are written, and go on at the same moment as the clock.

use crate::agent::{CONSUMER, Estate, Running, until};
use crate::cpu::{Cpu, Meter, peak_mebibytes};
use crate::figure::{Better, Figure, Pair, Side};
use crate::peers::{connect, run};
use crate::site::{Addresses, Site};
use anyhow::{Context, Result, ensure};
use sqlx::PgPool;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/debezium");

/// Rounds over all keys before it counts. A JVM compiles what it finds busy: with fewer it is still at it.
const WARM: usize = 6;

/// Rounds that count.
const COUNTED: usize = 2;

/// What one side did.
struct Done {
    rate: f64,
    cpu: Cpu,
    peak: f64,
}

/// Measures and prints it.
pub(crate) async fn measure(addresses: &Addresses, keys: usize, rounds: usize, as_json: bool) -> Result<()> {
    let library = library()?;
    let mut pairs = Vec::new();
    for round in 0..rounds {
        let mut site = Site::new(addresses, &format!("ours{round}"));
        let ours = ours(&mut site, keys).await;
        site.remove().await?;
        let mut site = Site::new(addresses, &format!("peer{round}"));
        let theirs = theirs(&mut site, &library, keys).await;
        site.remove().await?;
        pairs.push((ours?, theirs?));
    }
    let peer = "Debezium, outbox router and JDBC sink";
    let figure = |bench: &str, unit, goal, better| Figure {
        bench: bench.to_owned(),
        peer: peer.to_owned(),
        unit,
        goal,
        better,
    };
    let pair = |of: fn(&Done) -> f64| -> Vec<Pair> {
        let side = |done: &Done| Side { value: of(done), cpu: Some(done.cpu) };
        pairs.iter().map(|(ours, theirs)| Pair { ours: side(ours), theirs: side(theirs) }).collect()
    };
    figure("debezium: end to end", "changes a second", None, Better::Higher)
        .print(pair(|done| done.rate), as_json);
    figure("debezium: work", "changes a CPU second", Some(5.0), Better::Higher)
        .print(pair(|done| 1_000_000.0 / done.cpu.own), as_json);
    figure("debezium: work with servers", "changes a CPU second, servers and all", None, Better::Higher)
        .print(pair(|done| done.cpu.all().map_or(f64::NAN, |cpu| 1_000_000.0 / cpu)), as_json);
    figure("debezium: memory", "mebibytes at the peak", Some(0.2), Better::Lower)
        .print(pair(|done| done.peak), as_json);
    Ok(())
}

/// Status and event of a round.
fn round_of(round: usize) -> (&'static str, &'static str, bool) {
    if round.is_multiple_of(2) {
        ("PolicyBound", "eligible", true)
    } else {
        ("PolicySuspended", "ineligible", false)
    }
}

async fn ours(site: &mut Site, keys: usize) -> Result<Done> {
    let estate = Estate::install(site, keys).await?;
    let mut agent = estate.start(&[&estate.producer, CONSUMER])?;
    for round in 0..WARM {
        let (event, status, eligible) = round_of(round);
        estate.publish(event, status, keys).await?;
        estate.projected(&mut agent, eligible, keys).await?;
    }
    estate.drained(&mut agent).await?;
    let (mut seconds, mut cpu) = (0.0, Vec::new());
    for round in WARM..WARM + COUNTED {
        let (event, status, eligible) = round_of(round);
        agent.signal("STOP")?;
        estate.publish(event, status, keys).await?;
        run(&mut connect(&estate.source_url).await?, "CHECKPOINT").await?;
        let meter = Meter::start(&site.addresses.servers, &[agent.pid()]);
        let begun = Instant::now();
        agent.signal("CONT")?;
        estate.projected(&mut agent, eligible, keys).await?;
        seconds += begun.elapsed().as_secs_f64();
        estate.drained(&mut agent).await?;
        cpu.push(meter.stop(keys));
    }
    let done = done(seconds, &cpu, keys, agent.pid());
    agent.end()?;
    Ok(done)
}

fn done(seconds: f64, cpu: &[Cpu], keys: usize, pid: u32) -> Done {
    let mean = |of: &dyn Fn(&Cpu) -> f64| cpu.iter().map(of).sum::<f64>() / COUNTED as f64;
    let known = cpu.iter().all(|cpu| cpu.servers.is_some());
    let server = |of: fn((f64, f64)) -> f64| mean(&|cpu| cpu.servers.map_or(0.0, of));
    let servers = known.then(|| (server(|servers| servers.0), server(|servers| servers.1)));
    let cpu = Cpu { own: mean(&|cpu| cpu.own), servers };
    Done { rate: (keys * COUNTED) as f64 / seconds, cpu, peak: peak_mebibytes(pid) }
}

/// Returns the directory of Debezium's archives, brought by Maven where they are missing.
fn library() -> Result<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"), PathBuf::from);
    let library = target.join("bench-debezium");
    let output = format!("-DoutputDirectory={}", library.display());
    let pom = format!("{DIRECTORY}/pom.xml");
    let call = ["-q", "-f", &pom, "dependency:copy-dependencies", "-DincludeScope=runtime", &output];
    let brought = Command::new("mvn").args(call).status().context("`mvn` cannot be run; install maven")?;
    ensure!(brought.success(), "maven could not bring Debezium");
    Ok(library)
}

async fn theirs(site: &mut Site, library: &Path, keys: usize) -> Result<Done> {
    let (source_url, source) = site.database("source").await?;
    let (_, target) = site.database("target").await?;
    run(&mut *source.acquire().await?, include_str!("../debezium/source.sql")).await?;
    run(&mut *target.acquire().await?, include_str!("../debezium/target.sql")).await?;
    site.topics(&[format!("{}.policy", site.name)], 4).await?;
    let directory = tempfile::tempdir()?;
    let mut worker = start(site, library, directory.path())?;
    let streams = format!(
        "SELECT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = '{}' AND active)",
        site.database_name("slot")
    );
    until(&mut worker, async || {
        Ok(sqlx::query_scalar(sqlx::AssertSqlSafe(streams.clone())).fetch_one(&source).await?)
    })
    .await?;
    for round in 0..WARM {
        insert(&source, round, keys).await?;
        arrived(&target, &mut worker, round, keys).await?;
    }
    let (mut seconds, mut cpu) = (0.0, Vec::new());
    for round in WARM..WARM + COUNTED {
        worker.signal("STOP")?;
        insert(&source, round, keys).await?;
        run(&mut connect(&source_url).await?, "CHECKPOINT").await?;
        let meter = Meter::start(&site.addresses.servers, &[worker.pid()]);
        let begun = Instant::now();
        worker.signal("CONT")?;
        arrived(&target, &mut worker, round, keys).await?;
        seconds += begun.elapsed().as_secs_f64();
        cpu.push(meter.stop(keys));
    }
    let done = done(seconds, &cpu, keys, worker.pid());
    // It gives its slot back, without which the database could not be dropped.
    worker.end()?;
    Ok(done)
}

/// Starts a worker with both connectors. A quarter of a gibibyte is the smallest heap that it did not slow down in; one
/// collector thread and few arenas spare it memory and CPU.
fn start(site: &Site, library: &Path, directory: &Path) -> Result<Running> {
    let url = &site.addresses.postgres;
    let (user, place) =
        url.trim_start_matches("postgres://").split_once('@').context("the URL names a user")?;
    let (host, port) =
        place.split('/').next().unwrap_or(place).split_once(':').context("the URL names a port")?;
    let log = directory.join("worker.log");
    let mut call = Command::new("java");
    call.args([
        "-Xms256m",
        "-Xmx256m",
        "-XX:+UseSerialGC",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
        "-cp",
    ]);
    call.arg(format!("{}/*", library.display())).arg("org.apache.kafka.connect.cli.ConnectStandalone");
    call.args(["worker", "source", "sink"].map(|name| format!("{DIRECTORY}/{name}.properties")));
    call.env("MALLOC_ARENA_MAX", "2")
        .env("PEER_KAFKA", &site.addresses.kafka)
        .env("PEER_DIRECTORY", directory);
    call.env("PEER_POSTGRES_HOST", host).env("PEER_POSTGRES_PORT", port).env("PEER_POSTGRES_USER", user);
    call.env("PEER_SOURCE", site.database_name("source")).env("PEER_TARGET", site.database_name("target"));
    call.env("PEER_TOPICS", &site.name).env("PEER_SLOT", site.database_name("slot"));
    call.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log)?);
    Ok(Running::new(
        call.spawn().context("`java` cannot be run; install a Java runtime of version 17 or later")?,
        log,
    ))
}

/// Inserts the outbox rows that the service would: the same keys and values as ours, in transactions of a thousand.
async fn insert(source: &PgPool, round: usize, keys: usize) -> Result<()> {
    let (event, _, eligible) = round_of(round);
    let mut conn = source.acquire().await?;
    for from in (0..keys).step_by(1_000) {
        let to = (from + 1_000).min(keys);
        let insert = format!(
            "INSERT INTO outbox (aggregatetype, aggregateid, type, payload) SELECT 'policy', \
             '[\"P-' || lpad(i::text, 8, '0') || '\"]', '{event}', json_build_object('policy_ref', 'P-' || lpad(i::text, 8, '0'), \
             'may_open_claim', {eligible}, 'cover_from', '2026-01-01', 'cover_to', '2026-12-31', 'product', 'Motor Plus', \
             'holder', 'Harbour Logistics ' || i, 'premium', (100.50 + i)::text)::text FROM generate_series({from} + 1, {to}) AS i"
        );
        run(&mut conn, &insert).await?;
    }
    Ok(())
}

async fn arrived(target: &PgPool, worker: &mut Running, round: usize, keys: usize) -> Result<()> {
    let there = "SELECT count(*) FROM policy WHERE may_open_claim = $1";
    let eligible = round_of(round).2;
    let there = async || sqlx::query_scalar::<_, i64>(there).bind(eligible).fetch_one(target).await;
    until(worker, async || Ok(there().await? >= keys as i64)).await
}
