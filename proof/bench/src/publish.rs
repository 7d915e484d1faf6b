//! Publishing from 48 connections beside one plain insert of the same JSON, and many publishes in one transaction. The loader is
//! pgbench, which both sides share.

use crate::figure::{Better, Figure, Pair, Side};
use crate::model::Model;
use crate::peers::run;
use crate::site::{Addresses, Site};
use anyhow::{Context, Result, ensure};
use seamline_postgres::database::{Database, Options};
use sqlx::PgPool;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const WRITERS: usize = 48;
const LEVELS: [&str; 3] = ["read committed", "repeatable read", "serializable"];

/// How much more often a publish may fail to be serialized than a plain insert.
const FAILURES: f64 = 0.001;

/// A table with the columns of an outbox row, each filled, and its key.
const PLAIN: &str = "CREATE TABLE plain_outbox (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, contract text NOT NULL, \
    version text NOT NULL, key text NOT NULL, change text, state text, moved text, previous text NOT NULL, \
    written_at timestamptz NOT NULL DEFAULT clock_timestamp())";

const KEY: &str = "'[\"P-' || lpad(:k::text, 8, '0') || '\"]'";

/// What a service does before it publishes.
const CHANGE: &str = "BEGIN;\nUPDATE policy_current SET claims_status = 'ineligible' WHERE policy_no = 'P-' || lpad(:k::text, 8, '0');\n";

/// What pgbench says of one run.
#[derive(Debug, Clone, Copy)]
struct Load {
    /// Transactions a second.
    rate: f64,
    /// The share of them that failed.
    failed: f64,
}

/// Measures and prints all levels.
pub(crate) async fn at_each_level(
    addresses: &Addresses,
    rows: usize,
    rounds: usize,
    length: Duration,
    as_json: bool,
) -> Result<()> {
    let mut site = Site::new(addresses, "publish");
    let done = measure(&mut site, rows, rounds, length, as_json).await;
    site.remove().await?;
    done
}

async fn measure(site: &mut Site, rows: usize, rounds: usize, length: Duration, as_json: bool) -> Result<()> {
    let (url, pool) = install(site, rows).await?;
    let publish = format!("SELECT seamline.publish('policy', 'PolicySuspended', {KEY});\n");
    let plain = plain_insert(&pool).await?;
    let directory = tempfile::tempdir()?;
    for (shape, begin, end) in [("alone", "", ""), ("with its change", CHANGE, "COMMIT;\n")] {
        let script = |name: &str, statement: &str| -> Result<PathBuf> {
            let path = directory.path().join(format!("{name} {shape}.sql"));
            std::fs::write(&path, format!("\\set k random(1, {rows})\n{begin}{statement}{end}"))?;
            Ok(path)
        };
        let (ours, theirs) = (script("publish", &publish)?, script("plain", &plain)?);
        for level in LEVELS {
            compare(&pool, &url, (shape, level), (&ours, &theirs), rounds, length, as_json).await?;
        }
    }
    Ok(())
}

/// Measures and prints one level, of a publish alone or with the change that it tells of.
async fn compare(
    pool: &PgPool,
    url: &str,
    (shape, level): (&str, &str),
    (ours, theirs): (&Path, &Path),
    rounds: usize,
    length: Duration,
    as_json: bool,
) -> Result<()> {
    let mut pairs = Vec::new();
    let mut failures = Vec::new();
    for round in 0..rounds {
        empty(pool).await?;
        // Who comes first changes with each round.
        let (first, second) = if round % 2 == 0 { (ours, theirs) } else { (theirs, ours) };
        let first = load(url, level, first, length)?;
        empty(pool).await?;
        let second = load(url, level, second, length)?;
        let (ours, theirs) = if round % 2 == 0 { (first, second) } else { (second, first) };
        pairs.push(Pair { ours: Side::of(ours.rate), theirs: Side::of(theirs.rate) });
        failures.push((ours.failed, theirs.failed));
    }
    let figure = Figure {
        bench: format!("publish {shape}, {level}"),
        peer: "one plain outbox insert of the same JSON".to_owned(),
        unit: "transactions a second",
        goal: Some(0.6),
        better: Better::Higher,
    };
    figure.print(pairs, as_json);
    print_failures(&format!("{shape}, {level}"), &failures, as_json);
    Ok(())
}

/// Prints the worst round: a ratio of one means that as many failed as may.
fn print_failures(what: &str, rounds: &[(f64, f64)], as_json: bool) {
    let figure = Figure {
        bench: format!("publish failures {what}"),
        peer: "those of the plain insert and 0.1 %".to_owned(),
        unit: "share of transactions",
        goal: Some(1.0),
        better: Better::Lower,
    };
    let pair =
        |(ours, theirs): &(f64, f64)| Pair { ours: Side::of(*ours), theirs: Side::of(theirs + FAILURES) };
    let worst = rounds.iter().max_by(|a, b| (a.0 - a.1).total_cmp(&(b.0 - b.1)));
    figure.print(worst.map(pair).into_iter().collect(), as_json);
}

async fn install(site: &mut Site, rows: usize) -> Result<(String, PgPool)> {
    let model = Model::compile(&site.name)?;
    let (url, pool) = site.database("source").await?;
    let options = Options {
        url: url.clone(),
        user: None,
        password: None,
        schema: "public".to_owned(),
        replication: false,
    };
    let database = Database::open(&options).await?;
    model.make_policies(&pool, rows).await?;
    database.install_producer(&model.contract, &model.publication).await?;
    run(&mut *pool.acquire().await?, PLAIN).await?;
    // Every key is known, as in a database that has lived.
    let all = "SELECT count(seamline.publish('policy', 'PolicyBound', '[\"' || policy_no || '\"]')) FROM policy_current";
    let _known: i64 = sqlx::query_scalar(all).fetch_one(&pool).await?;
    empty(&pool).await?;
    Ok((url, pool))
}

/// Returns the statement that inserts what a publish leaves in the outbox.
async fn plain_insert(pool: &PgPool) -> Result<String> {
    let publish = "SELECT seamline.publish('policy', 'PolicySuspended', $1)";
    let _id: i64 = sqlx::query_scalar(publish).bind("[\"P-00000001\"]").fetch_one(pool).await?;
    let row = "SELECT version, state, moved, previous FROM (SELECT * FROM seamline.outbox_0 UNION ALL \
        SELECT * FROM seamline.outbox_1 UNION ALL SELECT * FROM seamline.outbox_2) o ORDER BY id DESC LIMIT 1";
    let row: (String, Option<String>, Option<String>, String) = sqlx::query_as(row).fetch_one(pool).await?;
    let (version, state, moved, previous) = row;
    let text = |text: Option<String>| {
        text.map_or("NULL".to_owned(), |text| format!("'{}'", text.replace('\'', "''")))
    };
    Ok(format!(
        "INSERT INTO plain_outbox (contract, version, key, change, state, moved, previous) \
         VALUES ('policy', '{version}', {KEY}, 'PolicySuspended', {}, {}, '{previous}');\n",
        text(state),
        text(moved)
    ))
}

/// Lets each run begin with empty outboxes and without debts of the one before.
async fn empty(pool: &PgPool) -> Result<()> {
    let empty = "TRUNCATE seamline.outbox_0, seamline.outbox_1, seamline.outbox_2, plain_outbox; VACUUM ANALYZE seamline.key, policy_current; \
        CHECKPOINT";
    for statement in empty.split("; ") {
        run(&mut *pool.acquire().await?, statement).await?;
    }
    Ok(())
}

fn load(url: &str, level: &str, script: &Path, length: Duration) -> Result<Load> {
    let mut call = Command::new("pgbench");
    call.env("PGOPTIONS", format!("-c default_transaction_isolation={}", level.replace(' ', "\\ ")));
    call.args(["-n", "-M", "prepared", "-j", "2", "-c", &WRITERS.to_string()]);
    call.args(["-T", &length.as_secs().max(1).to_string(), "-f"]).arg(script).arg(url);
    let ran = call.output().context("`pgbench` cannot be run; install PostgreSQL's own programs")?;
    let said = String::from_utf8_lossy(&ran.stdout);
    ensure!(ran.status.success(), "pgbench: {}", String::from_utf8_lossy(&ran.stderr));
    read_load(&said).with_context(|| format!("pgbench said `{said}`"))
}

fn read_load(said: &str) -> Option<Load> {
    let number = |before: &str| -> Option<f64> {
        let after = said.lines().find_map(|line| line.strip_prefix(before))?;
        after.split(|c: char| !c.is_ascii_digit() && c != '.').find(|part| !part.is_empty())?.parse().ok()
    };
    let (rate, done) = (number("tps = ")?, number("number of transactions actually processed: ")?);
    let failed = number("number of failed transactions: ")?;
    Some(Load { rate, failed: failed / (done + failed).max(1.0) })
}

/// Measures and prints how the time of a row grows with the rows of one transaction.
pub(crate) async fn in_one_transaction(addresses: &Addresses, rows: usize, as_json: bool) -> Result<()> {
    let mut site = Site::new(addresses, "bulk");
    let measured = grow(&mut site, rows).await;
    site.remove().await?;
    let measured = measured?;
    let [small, middle, large] = measured;
    for (name, value) in [("half", middle), ("whole", large)] {
        let figure = Figure {
            bench: format!("publish {name} of {rows} rows in one transaction"),
            peer: "a row of a quarter of them".to_owned(),
            unit: "microseconds a row",
            goal: Some(1.3),
            better: Better::Lower,
        };
        figure.print(vec![Pair { ours: Side::of(value), theirs: Side::of(small) }], as_json);
    }
    Ok(())
}

async fn grow(site: &mut Site, rows: usize) -> Result<[f64; 3]> {
    let (_, pool) = install(site, rows).await?;
    let mut conn = pool.acquire().await?;
    let mut times = [0.0; 3];
    for (time, part) in times.iter_mut().zip([rows / 4, rows / 2, rows]) {
        empty(&pool).await?;
        let begun = Instant::now();
        run(&mut conn, "BEGIN").await?;
        // A statement each, as a service that walks through its rows.
        let publish = format!(
            "DO $$ BEGIN FOR i IN 1..{part} LOOP PERFORM seamline.publish('policy', 'PolicySuspended', \
             '[\"P-' || lpad(i::text, 8, '0') || '\"]'); END LOOP; END $$"
        );
        run(&mut conn, &publish).await?;
        run(&mut conn, "COMMIT").await?;
        *time = begun.elapsed().as_secs_f64() * 1_000_000.0 / part as f64;
    }
    Ok(times)
}

#[cfg(test)]
mod tests {
    use super::read_load;

    #[test]
    fn what_pgbench_says_is_read() {
        let said = "number of transactions actually processed: 900\nnumber of failed transactions: 100 (10.000%)\n\
            latency average = 4.8 ms\ntps = 9931.25 (without initial connection time)\n";
        let load = read_load(said).unwrap();
        assert!((load.rate - 9931.25).abs() < 1e-9 && (load.failed - 0.1).abs() < 1e-9);
        assert!(read_load("pgbench: error").is_none());
    }
}
