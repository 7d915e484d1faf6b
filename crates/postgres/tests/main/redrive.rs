//! A redrive of very many keys, and how much memory it takes.

use crate::fixture::{Home, TTL, run, things};
use jiff::Timestamp;
use seamline_contract::id::ContractName;
use seamline_flow::clock::Clock;
use seamline_flow::issue;
use seamline_flow::job::orders::{RedriveOrders, Redriving, read_progress, write};
use seamline_flow::job::redrive::step_source;
use seamline_flow::job::rehearse::Stepped;
use seamline_flow::job::{Filed, Job, JobKind, JobStage, Jobs, NewJob, job, take};
use seamline_flow::source::Source;
use seamline_postgres::database::Database;
use sqlx::Row;

/// How many keys wait: with a kilobyte each, whoever keeps them shows it.
const KEYS: u64 = 100_000;

/// What the process may grow by while they are tried again, and what it surely grows by where they are kept.
const BYTES_MAX: u64 = 40 << 20;

struct Now;

impl Clock for Now {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// Says to a process that it runs one test alone.
const ALONE: &str = "SEAMLINE_TEST_ALONE";

/// Returns how much memory the process has just now.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

/// One row of each key breaks the contract, of every tenth key two more wait behind it; every hundredth broke another rule.
async fn fill(home: &Home) {
    let rows = format!(
        "INSERT INTO seamline.quarantine (id, contract, version, key, change, previous, written_at, rule, path, message, since)
         SELECT place * {KEYS} + number, 'thing', '1.0.0', '[\"' || lpad(number::text, 900, '0') || '\"]', 'ThingDone',
           '{{}}', now(), CASE WHEN place = 0 THEN CASE WHEN number % 100 = 0 THEN 'ENUM' ELSE 'RANGE' END END,
           CASE WHEN place = 0 THEN 'state.amount' END, CASE WHEN place = 0 THEN 'too small' END, now()
         FROM generate_series(1, {KEYS}) number, generate_series(0, 2) place WHERE place = 0 OR number % 10 = 5"
    );
    run(&mut home.service().await, &rows).await.unwrap();
}

async fn filed(database: &Database, orders: &RedriveOrders) -> Job {
    let new = NewJob { kind: JobKind::Redrive, subject: "making/thing@1".to_owned(), orders: write(orders) };
    let Filed::New(id) = database.file(&new, Timestamp::now()).await.unwrap() else { panic!("it is busy") };
    let mut job = job(database, id).await.unwrap().unwrap();
    assert!(take(database, &mut job, "one", Timestamp::now(), TTL).await.unwrap());
    job
}

async fn count(home: &Home, query: &'static str) -> i64 {
    sqlx::query(query).fetch_one(&mut home.service().await).await.unwrap().get(0)
}

#[tokio::test]
#[cfg_attr(not(servers_here), ignore = "not run: needs PostgreSQL; `cargo x test` starts one")]
async fn a_redrive_of_many_keys_keeps_none_of_them_in_memory() {
    // What other tests hold in this process would be measured, too.
    if std::env::var_os(ALONE).is_none() {
        const NAME: &str = "redrive::a_redrive_of_many_keys_keeps_none_of_them_in_memory";
        let mut alone = std::process::Command::new(std::env::current_exe().unwrap());
        let alone = alone.args(["--exact", NAME, "--nocapture"]).env(ALONE, "1").output().unwrap();
        let said = String::from_utf8_lossy(&alone.stdout);
        assert!(
            alone.status.success() && said.contains("1 passed"),
            "{said}{}",
            String::from_utf8_lossy(&alone.stderr)
        );
        return;
    }
    let home = Home::new().await;
    let database = things(&home).await;
    fill(&home).await;
    let name = ContractName { context: "making".parse().unwrap(), contract: "thing".parse().unwrap() };
    let first = database.aside(1).await.unwrap();
    let asked = issue::of_row("making/thing", &first[0]);
    assert!(asked.is_some());
    let mut job = filed(&database, &RedriveOrders::new(asked, KEYS, None)).await;
    let (before, mut peak) = (resident_bytes(), 0);
    loop {
        let stepped = step_source(&database, &Now, ("one", TTL), &name, &mut job).await.unwrap();
        peak = peak.max(resident_bytes());
        match stepped {
            Stepped::Moved(_) => {}
            Stepped::Over => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(job.stage, JobStage::Done);
    let moved = KEYS - KEYS / 100 + 2 * (KEYS / 10);
    assert_eq!(read_progress::<Redriving>(&job.progress).unwrap().moved, moved);
    assert_eq!(count(&home, "SELECT count(*) FROM seamline.outbox_0").await, i64::try_from(moved).unwrap());
    assert_eq!(
        count(&home, "SELECT count(*) FROM seamline.quarantine").await,
        i64::try_from(KEYS / 100).unwrap()
    );
    assert!(peak.saturating_sub(before) < BYTES_MAX, "it grew by {} bytes", peak.saturating_sub(before));

    // The control: whoever keeps the keys is seen by this measure.
    run(&mut home.service().await, "TRUNCATE seamline.outbox_0, seamline.quarantine").await.unwrap();
    fill(&home).await;
    let before = resident_bytes();
    let kept = database.aside(usize::try_from(KEYS).unwrap()).await.unwrap();
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown > BYTES_MAX, "{} rows took {grown} bytes", kept.len());
}
