//! The second way out: rows of the outbox through logical replication.

use crate::fixture::{Home, THING, THING_TABLE, TTL, at, published, run};
use seamline_flow::source::{OutboxRow, Removal, Removed, SetAside, Source, Taken, Tenure};
use seamline_message::sequence::Sequence;
use seamline_postgres::database::{Database, Options};
use seamline_postgres::logical::slot::Standing;
use sqlx::postgres::PgConnection;
use sqlx::{ConnectOptions, Connection, Row};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a condition is waited for: only a test that fails waits so long.
const PATIENCE: Duration = Duration::from_secs(120);

/// A database whose outbox leaves through replication, its relay, and how far it is.
struct Relay {
    database: Database,
    tenure: Tenure,
}

fn options(home: &Home) -> Options {
    Options { replication: true, ..home.options() }
}

async fn installed(home: &Home) -> Database {
    let database = Database::open(&options(home)).await.unwrap();
    let (contract, publication) = published(THING, "feed: outbox, table: thing");
    run(&mut home.service().await, THING_TABLE).await.unwrap();
    database.install_producer(&contract, &publication).await.unwrap();
    database.install_slot().await.unwrap();
    database
}

fn publish_sql(key: &str) -> String {
    format!(
        "INSERT INTO thing VALUES ('{key}', 'new', 1) ON CONFLICT DO NOTHING; \
         SELECT seamline.publish('thing', 'ThingDone', '[\"{key}\"]');"
    )
}

async fn publish(service: &mut PgConnection, keys: &[&str]) {
    for key in keys {
        run(service, &publish_sql(key)).await.unwrap();
    }
}

impl Relay {
    async fn of(database: Database) -> Relay {
        let tenure = match database.take_over("relay", at(0), TTL).await.unwrap() {
            Taken::Held(tenure) => tenure,
            Taken::Busy { until } => panic!("busy until {until}"),
        };
        Relay { database, tenure }
    }

    /// Removes rows as published.
    async fn remove(&mut self, rows: &[OutboxRow]) {
        let published: Vec<Sequence> = rows.iter().map(|row| row.sequence).collect();
        let number = self.tenure.batch + u64::from(!published.is_empty());
        let removal = Removal { number, published, ..Removal::default() };
        let removed = self.database.remove(&self.tenure, &removal, at(1), TTL).await.unwrap();
        assert_eq!(removed, Removed::Done);
        self.tenure.batch = number;
    }

    async fn set_aside(&mut self, row: &OutboxRow) {
        let violation = Some(("RANGE".to_owned(), "state.amount".to_owned(), "too small".to_owned()));
        let aside = vec![SetAside { sequence: row.sequence, violation }];
        let removal = Removal { number: self.tenure.batch, aside, ..Removal::default() };
        let removed = self.database.remove(&self.tenure, &removal, at(1), TTL).await.unwrap();
        assert_eq!(removed, Removed::Done);
    }

    /// Returns the next rows, at least one.
    async fn next(&self, limit: usize) -> Vec<OutboxRow> {
        let rows = async {
            loop {
                let rows = self.database.waiting_within(limit, u64::MAX).await.unwrap();
                if !rows.is_empty() {
                    return rows;
                }
                self.database.doze(Duration::from_millis(100)).await.unwrap();
            }
        };
        tokio::time::timeout(PATIENCE, rows).await.expect("rows wait and do not come")
    }

    /// Publishes and removes until so many rows left. Returns their keys.
    async fn drain(&mut self, count: usize) -> Vec<String> {
        let mut keys = Vec::new();
        while keys.len() < count {
            let rows = self.next(4_000).await;
            self.remove(&rows).await;
            keys.extend(rows.into_iter().map(|row| row.key));
        }
        keys
    }

    /// Goes over from the table to the stream.
    async fn stream(&self) {
        let rows = self.database.waiting_within(1, u64::MAX).await.unwrap();
        assert_eq!(rows, [], "nothing waits");
        assert!(self.database.streamed().await.is_some(), "the table is empty");
    }
}

/// Returns a position that the server tells of, as a number.
async fn position(service: &mut PgConnection, of: &str) -> u64 {
    let sql = format!(
        "SELECT ({of} - '0/0'::pg_lsn)::bigint FROM pg_replication_slots WHERE database = current_database()"
    );
    sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_one(service).await.unwrap().get::<i64, _>(0).unsigned_abs()
}

const CONFIRMED: &str = "confirmed_flush_lsn";
const NOW: &str = "pg_current_wal_lsn()";

/// Waits until a condition holds, doing something meanwhile.
macro_rules! until {
    ($condition:expr, $meanwhile:expr, $what:literal) => {
        let holds = async {
            while !$condition {
                $meanwhile;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, holds).await.expect($what);
    };
}

fn texts(keys: &[&str]) -> Vec<String> {
    keys.iter().map(|key| format!("[\"{key}\"]")).collect()
}

#[tokio::test]
#[cfg_attr(not(servers_here), ignore = "not run: needs PostgreSQL; `cargo x test` starts one")]
async fn rows_of_the_stream_are_those_of_the_table_and_come_in_the_order_of_commits() {
    let home = Home::new().await;
    let mut relay = Relay::of(installed(&home).await).await;
    relay.stream().await;
    let (mut first, mut second) = (home.service().await, home.service().await);
    run(&mut first, &format!("BEGIN; {}", publish_sql("late"))).await.unwrap();
    let rich = "UPDATE thing SET amount = 2 WHERE thing_id = 'early'; SELECT seamline.publish('thing', 'ThingDone', \
        '[\"early\"]', details => '{\"a\":1}', effective => '2026-01-01T00:00:00Z', reason => 'it''s', correlation => 'c', \
        causation => 'd', traceparent => 't')";
    publish(&mut second, &["early"]).await;
    run(&mut second, rich).await.unwrap();
    run(&mut second, "SELECT seamline.publish('thing', NULL, '[\"state\"]')").await.unwrap();
    run(&mut first, "COMMIT").await.unwrap();
    let (table, mut rows) = (relay.database.waiting(10).await.unwrap(), Vec::new());
    until!(
        rows.len() == 4,
        rows = relay.database.waiting_within(10, u64::MAX).await.unwrap(),
        "four rows come"
    );
    assert!(relay.database.streamed().await.is_some(), "they came through the stream");
    let keys: Vec<&str> = rows.iter().map(|row| row.key.as_str()).collect();
    assert_eq!(keys, texts(&["early", "early", "state", "late"]), "in the order of commits");
    let by_sequence: BTreeMap<Sequence, OutboxRow> =
        rows.iter().map(|row| (row.sequence, row.clone())).collect();
    assert_eq!(by_sequence.into_values().collect::<Vec<_>>(), table, "the same rows, value by value");
    let behind = relay.database.waiting_behind(&rows[..1], 2, u64::MAX).await.unwrap();
    assert_eq!(behind, rows[1..3]);
    assert_eq!(
        relay.database.waiting_behind(&rows[1..2], 2, u64::MAX).await.unwrap(),
        [],
        "another is first"
    );
    relay.remove(&rows).await;
    assert_eq!(relay.database.waiting(10).await.unwrap(), []);
}

/// debezium 1554: a change was told apart by its position alone, and of many with one position all but one were lost.
#[tokio::test]
#[cfg_attr(not(servers_here), ignore = "not run: needs PostgreSQL; `cargo x test` starts one")]
async fn many_changes_at_one_position_all_come_over_restarts_in_their_midst() {
    let home = Home::new().await;
    let mut relay = Relay::of(installed(&home).await).await;
    relay.stream().await;
    let many = "INSERT INTO thing SELECT 'k' || n, 'new', 1 FROM generate_series(1, 1000) n; \
        SELECT seamline.publish('thing', 'ThingDone', ARRAY(SELECT '[\"k' || lpad(n::text, 4, '0') || '\"]' \
        FROM generate_series(1, 1000) n))";
    run(&mut home.service().await, many).await.unwrap();
    let mut keys = Vec::new();
    for _ in 0..3 {
        let rows = relay.next(100).await;
        relay.remove(&rows).await;
        keys.extend(rows.into_iter().map(|row| row.key));
        // As after SIGKILL: nothing is left but what the database and the slot hold.
        relay = Relay::of(Database::open(&options(&home)).await.unwrap()).await;
    }
    let left = 1000 - keys.len();
    keys.extend(relay.drain(left).await);
    let expected: Vec<String> = (1..=1000).map(|n| format!("[\"k{n:04}\"]")).collect();
    assert_eq!(keys, expected, "each once, in order");
    assert_eq!(relay.database.waiting(10).await.unwrap(), []);
}

/// risingwave 25071: the server was told before what it told was safe.
#[tokio::test]
#[cfg_attr(not(servers_here), ignore = "not run: needs PostgreSQL; `cargo x test` starts one")]
async fn the_server_is_told_only_after_the_removal_is_committed() {
    let home = Home::new().await;
    let mut relay = Relay::of(installed(&home).await).await;
    relay.stream().await;
    let mut service = home.service().await;
    let before = position(&mut service, NOW).await;
    publish(&mut service, &["a", "b"]).await;
    let rows = relay.next(1).await;
    assert!(relay.database.streamed().await.is_some());
    // Time for the client to tell, were it to: the server hears from it each second.
    let heard = "SELECT reply_time FROM pg_stat_replication WHERE pid = (SELECT active_pid FROM pg_replication_slots \
        WHERE database = current_database())";
    let mut told: Vec<String> = Vec::new();
    until!(
        told.len() > 2,
        {
            let heard =
                sqlx::query_scalar(sqlx::AssertSqlSafe(format!("SELECT coalesce(({heard})::text, '')")));
            let heard: String = heard.fetch_one(&mut service).await.unwrap();
            if told.last() != Some(&heard) {
                told.push(heard);
            }
        },
        "the server hears from its reader"
    );
    assert!(position(&mut service, CONFIRMED).await <= before, "rows that are not removed are not confirmed");
    relay.remove(&rows).await;
    let rest = relay.next(1).await;
    relay.remove(&rest).await;
    let end = position(&mut service, NOW).await;
    until!(
        position(&mut service, CONFIRMED).await >= end,
        {
            relay.database.waiting_within(1, u64::MAX).await.unwrap();
            relay.database.doze(Duration::from_millis(20)).await.unwrap();
            relay.remove(&[]).await;
        },
        "removed rows are confirmed"
    );
}

/// supabase/etl 429, debezium 7272: an idle database kept the whole server's log.
#[tokio::test]
#[cfg_attr(not(servers_here), ignore = "not run: needs PostgreSQL; `cargo x test` starts one")]
async fn an_idle_outbox_keeps_no_log_of_what_others_write() {
    let home = Home::new().await;
    let mut relay = Relay::of(installed(&home).await).await;
    relay.stream().await;
    let mut service = home.service().await;
    let mut elsewhere = home.elsewhere().await;
    let noise = format!(
        "CREATE TABLE noise_{} AS SELECT repeat('x', 500) FROM generate_series(1, 4000)",
        std::process::id()
    );
    run(&mut elsewhere, &noise).await.unwrap();
    run(&mut elsewhere, &format!("DROP TABLE noise_{}", std::process::id())).await.unwrap();
    let end = position(&mut service, NOW).await;
    until!(
        position(&mut service, CONFIRMED).await >= end,
        {
            assert_eq!(relay.database.waiting_within(1, u64::MAX).await.unwrap(), []);
            relay.database.doze(Duration::from_millis(20)).await.unwrap();
            // As the relay does while it is idle: the renewal of its lease is the heartbeat.
            relay.remove(&[]).await;
        },
        "what others wrote is confirmed"
    );
    elsewhere.close().await.unwrap();
}

/// supabase/etl 935, DBZ-5739: a slot that was made anew was continued at its own position, and what lay before was lost.
#[tokio::test]
#[cfg_attr(not(servers_here), ignore = "not run: needs PostgreSQL; `cargo x test` starts one")]
async fn a_slot_that_is_gone_or_made_anew_stops_and_an_installation_loses_nothing() {
    let home = Home::new().await;
    let mut service = home.service().await;
    let mut relay = Relay::of(installed(&home).await).await;
    relay.stream().await;
    publish(&mut service, &["a"]).await;
    assert_eq!(relay.drain(1).await, texts(&["a"]));
    drop(relay);
    let name: String =
        sqlx::query_scalar("SELECT slot FROM seamline.slot").fetch_one(&mut service).await.unwrap();
    for again in [false, true] {
        publish(&mut service, &["lost to the slot"]).await;
        let inactive = "SELECT NOT EXISTS (SELECT FROM pg_replication_slots WHERE database = current_database() AND active)";
        until!(
            sqlx::query_scalar::<_, bool>(inactive).fetch_one(&mut service).await.unwrap(),
            {},
            "nobody reads the slot"
        );
        run(&mut service, &format!("SELECT pg_drop_replication_slot('{name}')")).await.unwrap();
        if again {
            run(&mut service, &format!("SELECT pg_create_logical_replication_slot('{name}', 'pgoutput')"))
                .await
                .unwrap();
        }
        let database = Database::open(&options(&home)).await.unwrap();
        let expected = if again { Standing::Replaced } else { Standing::Gone };
        assert_eq!(database.slot().await.unwrap(), expected);
        let mut relay = Relay::of(database).await;
        let told = relay.database.waiting_within(10, u64::MAX).await.unwrap_err().to_string();
        assert!(told.contains("replication slot"), "{told}");
        relay.database.install_slot().await.unwrap();
        assert_eq!(relay.database.slot().await.unwrap(), Standing::Whole);
        assert_eq!(relay.drain(1).await, texts(&["lost to the slot"]));
        relay.stream().await;
        publish(&mut service, &["b"]).await;
        assert_eq!(relay.drain(1).await, texts(&["b"]), "and the stream goes on");
    }
}

#[tokio::test]
#[cfg_attr(not(servers_here), ignore = "not run: needs PostgreSQL; `cargo x test` starts one")]
async fn a_row_that_comes_back_goes_before_the_later_ones_of_its_key() {
    let home = Home::new().await;
    let mut service = home.service().await;
    let mut relay = Relay::of(installed(&home).await).await;
    relay.stream().await;
    publish(&mut service, &["a"]).await;
    let broken = relay.next(1).await;
    relay.set_aside(&broken[0]).await;
    publish(&mut service, &["a", "b"]).await;
    let behind = relay.next(1).await;
    assert!(behind[0].behind, "one of its key is in quarantine");
    assert!(relay.database.streamed().await.is_some());
    assert_eq!(relay.database.redrive(&"thing".parse().unwrap(), r#"["a"]"#).await.unwrap(), 1);
    let rows = relay.next(10).await;
    assert_eq!(rows[0].sequence, broken[0].sequence, "it came back after the others were in the stream");
    relay.remove(&rows).await;
    assert_eq!(relay.database.waiting(10).await.unwrap(), []);
    assert_eq!(rows.len(), 3);
}

#[tokio::test]
#[cfg_attr(not(servers_here), ignore = "not run: needs PostgreSQL; `cargo x test` starts one")]
async fn a_row_that_stays_keeps_no_log_and_is_not_forgotten() {
    let home = Home::new().await;
    let mut service = home.service().await;
    let mut relay = Relay::of(installed(&home).await).await;
    relay.stream().await;
    publish(&mut service, &["parked", "b"]).await;
    let mut rows = Vec::new();
    until!(rows.len() == 2, rows = relay.next(10).await, "both come");
    relay.remove(&rows[1..]).await;
    let end = position(&mut service, NOW).await;
    until!(
        position(&mut service, CONFIRMED).await >= end,
        {
            assert_eq!(relay.database.waiting_within(10, u64::MAX).await.unwrap(), rows[..1]);
            relay.remove(&[]).await;
        },
        "the log is released while a row stays"
    );
    assert_eq!(relay.drain(1).await, texts(&["parked"]));
}

#[tokio::test]
#[cfg_attr(not(servers_here), ignore = "not run: needs PostgreSQL; `cargo x test` starts one")]
async fn a_stream_that_breaks_is_followed_by_the_queue_and_comes_back() {
    let home = Home::new().await;
    let mut service = home.service().await;
    let mut relay = Relay::of(installed(&home).await).await;
    relay.stream().await;
    publish(&mut service, &["a"]).await;
    let rows = relay.next(1).await;
    let end = "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE database = current_database()";
    run(&mut service, end).await.unwrap();
    relay.remove(&rows).await;
    publish(&mut service, &["b", "c"]).await;
    assert_eq!(relay.drain(2).await, texts(&["b", "c"]));
    until!(
        relay.database.streamed().await.is_some(),
        assert_eq!(relay.database.waiting_within(10, u64::MAX).await.unwrap(), []),
        "the stream comes back"
    );
    publish(&mut service, &["d"]).await;
    assert_eq!(relay.drain(1).await, texts(&["d"]), "and tells nothing twice");
    assert_eq!(relay.database.waiting_within(10, u64::MAX).await.unwrap(), []);
}

/// As long as it is there, commits of the server wait for a standby that is not.
struct Nobody {
    server: sqlx::postgres::PgConnectOptions,
    commits: tokio::task::JoinHandle<()>,
}

impl Nobody {
    /// The server takes the setting over some time after it was told: returns once a commit waits.
    async fn awaited(home: &Home) -> Nobody {
        let (mut service, mut watch) = (home.service().await, home.service().await);
        run(&mut service, "CREATE TABLE committed (n int)").await.unwrap();
        let pid = pid_of(&mut service).await;
        let server = home.server();
        set(&server, "SET synchronous_standby_names = 'nobody'").await;
        let commits = tokio::spawn(async move {
            while run(&mut service, "INSERT INTO committed VALUES (1)").await.is_ok() {}
        });
        let nobody = Nobody { server, commits };
        until!(waits(&mut watch, pid).await, {}, "commits wait");
        nobody
    }
}

async fn pid_of(conn: &mut sqlx::PgConnection) -> i32 {
    sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(conn).await.unwrap()
}

/// Returns whether the commit of a process waits for a standby.
async fn waits(watch: &mut sqlx::PgConnection, pid: i32) -> bool {
    let waits = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND pid = $1)";
    sqlx::query_scalar(waits).bind(pid).fetch_one(watch).await.unwrap()
}

async fn set(server: &sqlx::postgres::PgConnectOptions, what: &str) {
    let mut conn = server.connect().await.unwrap();
    run(&mut conn, &format!("ALTER SYSTEM {what}")).await.unwrap();
    run(&mut conn, "SELECT pg_reload_conf()").await.unwrap();
}

impl Drop for Nobody {
    fn drop(&mut self) {
        self.commits.abort();
        let server = self.server.clone();
        let reset = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(set(&server, "RESET synchronous_standby_names"));
        });
        reset.join().unwrap();
    }
}

/// A server that waits for its standby tells the stream of a transaction that nobody else sees yet, and that a failover would
/// lose.
#[tokio::test]
#[cfg_attr(not(servers_here), ignore = "not run: needs PostgreSQL; `cargo x test` starts one")]
async fn a_row_that_others_do_not_see_yet_is_not_handed_out() {
    let home = Home::new().await;
    let (mut service, mut watch) = (home.service().await, home.service().await);
    let mut relay = Relay::of(installed(&home).await).await;
    relay.stream().await;
    // No such standby is there: the commit is in the log, and waits.
    let nobody = Nobody::awaited(&home).await;
    let pid = pid_of(&mut service).await;
    let hung = tokio::spawn(async move {
        run(&mut service, &publish_sql("unseen")).await.unwrap();
        service
    });
    until!(waits(&mut watch, pid).await, {}, "the commit waits");
    until!(
        relay.database.streamed().await > Some(0),
        assert_eq!(relay.database.waiting_within(10, u64::MAX).await.unwrap(), [], "nobody sees it"),
        "the stream has it"
    );
    assert_eq!(relay.database.waiting_within(10, u64::MAX).await.unwrap(), []);
    drop(nobody);
    let _service = hung.await.unwrap();
    assert_eq!(relay.drain(1).await, texts(&["unseen"]));
}
