//! What a transaction publishes is the truth at its commit: isolation levels, savepoints, prepared transactions, many writers.

use crate::fixture::{Home, TTL, at, installed, key, run, things};
use futures_util::future::join_all;
use seamline_flow::source::{Removal, Removed, Source, Taken};
use seamline_postgres::database::Database;
use serde_json::Value as Json;
use sqlx::postgres::PgConnection;
use std::collections::BTreeSet;
use std::time::Duration;

/// An aggregate whose halves are changed by two transactions.
const PAIR: &str = "key: pairId\nattributes:
  pairId: { type: string, meaning: Identifies it. }
  low: { type: integer, meaning: One half. }
  high: { type: integer, meaning: The other half. }
events:
  PairChanged: { meaning: It is another., sets: [low, high] }
state: {}
";
const PAIR_TABLES: &str = "CREATE TABLE half (pair_id text, side text, number integer, PRIMARY KEY (pair_id, side)); \
    CREATE VIEW pair AS SELECT l.pair_id, l.number AS low, h.number AS high \
    FROM half l JOIN half h ON h.pair_id = l.pair_id AND h.side = 'high' WHERE l.side = 'low'; \
    INSERT INTO half VALUES ('p', 'low', 0), ('p', 'high', 0)";

async fn pairs(home: &Home) -> Database {
    installed(home, PAIR_TABLES, PAIR, "feed: outbox, table: pair").await
}

const PUBLISH: &str = "SELECT seamline.publish('thing', 'PairChanged', '[\"p\"]')";

async fn waiting(database: &Database) -> Vec<Json> {
    let rows = database.waiting(1000).await.unwrap();
    rows.iter().map(|row| serde_json::from_slice(row.state.as_ref().unwrap()).unwrap()).collect()
}

/// Lets two transactions each change their half; returns what the second one was told.
async fn both(home: &Home, level: &str) -> Result<(), String> {
    let (mut one, mut two) = (home.service().await, home.service().await);
    let half = |side: &str| format!("UPDATE half SET number = 1 WHERE pair_id = 'p' AND side = '{side}'");
    for (conn, side) in [(&mut one, "low"), (&mut two, "high")] {
        run(conn, &format!("BEGIN ISOLATION LEVEL {level}; {}", half(side))).await.unwrap();
    }
    run(&mut one, PUBLISH).await.unwrap();
    let second = async {
        run(&mut two, PUBLISH).await?;
        run(&mut two, "COMMIT").await
    };
    let first = async {
        wait_for_a_waiter(home).await;
        run(&mut one, "COMMIT").await.unwrap();
    };
    let (told, ()) = tokio::join!(second, first);
    told
}

/// Returns once somebody of this database waits for a lock.
pub(crate) async fn wait_for_a_waiter(home: &Home) {
    let mut conn = home.service().await;
    loop {
        let waits: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')",
        )
        .fetch_one(&mut conn)
        .await
        .unwrap();
        if waits {
            return;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
#[cfg_attr(not(servers_here), ignore = "not run: needs PostgreSQL; `cargo x test` starts one")]
async fn two_halves_make_a_whole_truth_or_a_serialization_failure() {
    let home = Home::new().await;
    let database = pairs(&home).await;
    for level in ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"] {
        run(&mut home.service().await, "UPDATE half SET number = 0").await.unwrap();
        let before = waiting(&database).await.len();
        let told = both(&home, level).await;
        let rows = waiting(&database).await;
        if level == "READ COMMITTED" {
            told.unwrap();
            assert_eq!(rows.len(), before + 2);
            let last = rows.last().unwrap();
            assert_eq!((&last["low"], &last["high"]), (&Json::from("1"), &Json::from("1")), "{level}");
        } else {
            let told = told.unwrap_err();
            assert!(told.starts_with("40001 "), "{level}: {told}");
            assert_eq!(rows.len(), before + 1, "what failed was not published");
        }
    }
}

#[tokio::test]
#[cfg_attr(not(servers_here), ignore = "not run: needs PostgreSQL; `cargo x test` starts one")]
async fn the_first_publishing_of_a_key_is_no_exception() {
    for level in ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"] {
        let home = Home::new().await;
        let database = pairs(&home).await;
        let told = both(&home, level).await;
        assert_eq!(told.is_ok(), level == "READ COMMITTED", "{level}: {told:?}");
        if told.is_ok() {
            assert_eq!(waiting(&database).await[1]["low"], Json::from("1"));
        }
    }
}

fn put(key: &str) -> String {
    format!(
        "INSERT INTO thing VALUES ('{key}', 'new', 1) ON CONFLICT (thing_id) DO UPDATE SET amount = thing.amount + 1; \
         SELECT seamline.publish('thing', 'ThingDone', '[\"{key}\"]')"
    )
}

#[tokio::test]
#[cfg_attr(not(servers_here), ignore = "not run: needs PostgreSQL; `cargo x test` starts one")]
async fn who_looks_at_keys_is_in_no_writers_way() {
    let home = Home::new().await;
    let database = things(&home).await;
    let mut service = home.service().await;
    run(&mut service, &format!("{}; {}", put("a"), put("b"))).await.unwrap();
    run(&mut service, &format!("BEGIN; {}", put("b"))).await.unwrap();
    let (contract, wanted) = ("thing".parse().unwrap(), [key(&["a"]), key(&["b"])]);
    let write = async {
        wait_for_a_waiter(&home).await;
        run(&mut service, &format!("{}; COMMIT", put("a"))).await
    };
    let (looked, written) = tokio::join!(database.look(&contract, &wanted), write);
    written.unwrap();
    let looked = looked.unwrap();
    assert_eq!(looked.iter().map(|facts| &facts.key).collect::<Vec<_>>(), [&wanted[0], &wanted[1]]);
    let state: Json = serde_json::from_slice(looked[1].state.as_ref().unwrap()).unwrap();
    assert_eq!(state["amount"], Json::from("2"), "what was being written is waited for");
}

async fn keys(database: &Database) -> Vec<String> {
    database.waiting(1000).await.unwrap().into_iter().map(|row| row.key).collect()
}

#[tokio::test]
#[cfg_attr(not(servers_here), ignore = "not run: needs PostgreSQL; `cargo x test` starts one")]
async fn what_is_rolled_back_was_never_published() {
    let home = Home::new().await;
    let database = things(&home).await;
    let mut service = home.service().await;
    let (a, b, c) = (put("a"), put("b"), put("c"));
    let sql =
        format!("BEGIN; {a}; SAVEPOINT s; {b}; ROLLBACK TO s; {c}; SAVEPOINT t; {b}; RELEASE t; COMMIT");
    run(&mut service, &sql).await.unwrap();
    assert_eq!(keys(&database).await, [r#"["a"]"#, r#"["c"]"#, r#"["b"]"#]);
    let chain = |rows: &[seamline_flow::source::OutboxRow], idx: usize| rows[idx].previous["events"];
    run(&mut service, &format!("BEGIN; {a}; SAVEPOINT s; {a}; ROLLBACK TO s; {a}; COMMIT")).await.unwrap();
    let rows = database.waiting(1000).await.unwrap();
    assert_eq!(chain(&rows, 3), Some(rows[0].sequence));
    assert_eq!(chain(&rows, 4), Some(rows[3].sequence), "the chain does not name what was rolled back");
    run(&mut service, &format!("BEGIN; {a}; ROLLBACK")).await.unwrap();
    run(&mut service, &format!("BEGIN; {a}")).await.unwrap();
    drop(service);
    assert_eq!(keys(&database).await.len(), 5, "nor what its process did not live to commit");
    assert_eq!(database.counts(&"thing".parse().unwrap()).await.unwrap().missing(), 0);
}

#[tokio::test]
#[cfg_attr(not(servers_here), ignore = "not run: needs PostgreSQL; `cargo x test` starts one")]
async fn a_prepared_transaction_is_published_when_it_commits() {
    let home = Home::new().await;
    let database = things(&home).await;
    let mut service = home.service().await;
    let allowed: i32 = sqlx::query_scalar("SELECT current_setting('max_prepared_transactions')::int")
        .fetch_one(&mut service)
        .await
        .unwrap();
    let prepared = run(&mut service, &format!("BEGIN; {}; PREPARE TRANSACTION 'one'", put("a"))).await;
    if allowed == 0 {
        assert!(prepared.unwrap_err().starts_with("55000 "), "the server refuses all of them");
        return;
    }
    prepared.unwrap();
    run(&mut service, &format!("BEGIN; {}; PREPARE TRANSACTION 'two'", put("b"))).await.unwrap();
    assert_eq!(keys(&database).await, Vec::<String>::new());
    run(&mut service, "COMMIT PREPARED 'one'").await.unwrap();
    run(&mut service, "ROLLBACK PREPARED 'two'").await.unwrap();
    assert_eq!(keys(&database).await, [r#"["a"]"#]);
}

#[tokio::test]
#[cfg_attr(not(servers_here), ignore = "not run: needs PostgreSQL; `cargo x test` starts one")]
async fn keys_in_crossing_orders_do_not_wait_for_each_other_in_a_circle() {
    let home = Home::new().await;
    let database = things(&home).await;
    let writers = (0..8).map(|writer| {
        let home = &home;
        async move {
            let mut service = home.service().await;
            for turn in 0..20 {
                let mut keys: Vec<String> = (0..6).map(|n| format!("'[\"k{n}\"]'")).collect();
                keys.rotate_left((writer + turn) % 6);
                if writer % 2 == 0 {
                    keys.reverse();
                }
                let keys = keys.join(", ");
                let sql = format!("SELECT seamline.publish('thing', 'ThingDone', ARRAY[{keys}])");
                run(&mut service, &sql).await.unwrap();
            }
        }
    });
    join_all(writers).await;
    assert_eq!(database.waiting(10_000).await.unwrap().len(), 8 * 20 * 6);
}

#[tokio::test]
#[cfg_attr(not(servers_here), ignore = "not run: needs PostgreSQL; `cargo x test` starts one")]
async fn an_open_transaction_delays_nothing() {
    let home = Home::new().await;
    let database = things(&home).await;
    let (mut here, mut elsewhere) = (home.service().await, home.elsewhere().await);
    run(&mut elsewhere, "BEGIN; SELECT pg_current_xact_id()").await.unwrap();
    run(&mut here, &format!("BEGIN; {}", put("open"))).await.unwrap();
    run(&mut home.service().await, &put("later")).await.unwrap();
    assert_eq!(keys(&database).await, [r#"["later"]"#], "a lower id is still open");
    run(&mut here, "COMMIT").await.unwrap();
    assert_eq!(keys(&database).await, [r#"["open"]"#, r#"["later"]"#], "and is not passed by");
    run(&mut elsewhere, "ROLLBACK").await.unwrap();
}

async fn write(mut service: PgConnection, writer: usize) -> BTreeSet<u64> {
    let mut committed = BTreeSet::new();
    for turn in 0..25 {
        let key = (writer * 7 + turn * 13) % 40;
        let sql = format!(
            "INSERT INTO thing VALUES ('{key}', 'new', 1) ON CONFLICT (thing_id) DO UPDATE SET amount = thing.amount + 1"
        );
        run(&mut service, &format!("BEGIN; {sql}")).await.unwrap();
        let publish = "SELECT seamline.publish('thing', 'ThingDone', $1), pg_sleep(random() * 0.005)";
        let (id, ()): (i64, ()) =
            sqlx::query_as(publish).bind(format!("[\"{key}\"]")).fetch_one(&mut service).await.unwrap();
        if turn % 5 == 4 {
            run(&mut service, "ROLLBACK").await.unwrap();
        } else {
            run(&mut service, "COMMIT").await.unwrap();
            committed.insert(u64::try_from(id).unwrap());
        }
    }
    committed
}

#[tokio::test]
#[cfg_attr(not(servers_here), ignore = "not run: needs PostgreSQL; `cargo x test` starts one")]
async fn nothing_of_many_writers_is_lost_while_the_outbox_is_drained() {
    // marten 4964: a poll whose statements see different snapshots passes over what commits in between.
    const WRITERS: usize = 32;
    let home = Home::new().await;
    let database = things(&home).await;
    let Taken::Held(mut tenure) = database.take_over("relay", at(0), TTL).await.unwrap() else {
        panic!("nobody holds it")
    };
    let mut services = Vec::new();
    for _ in 0..WRITERS {
        services.push(home.service().await);
    }
    let writers = join_all(services.into_iter().enumerate().map(|(writer, service)| write(service, writer)));
    let (ended, mut end) = tokio::sync::oneshot::channel();
    let writing = async {
        let committed: BTreeSet<u64> = writers.await.into_iter().flatten().collect();
        ended.send(()).unwrap();
        committed
    };
    let draining = async {
        let (mut drained, mut over) = (Vec::new(), false);
        loop {
            // It is told once.
            over |= end.try_recv().is_ok();
            let rows = database.waiting(100).await.unwrap();
            if rows.is_empty() && over {
                return drained;
            }
            if rows.is_empty() {
                assert!(database.doze(Duration::from_millis(50)).await.unwrap());
                if over {
                    return drained;
                }
                continue;
            }
            drained.extend(rows.iter().map(|row| (row.key.clone(), row.sequence.0)));
            let published = rows.iter().map(|row| row.sequence).collect();
            let removal = Removal { number: tenure.batch + 1, published, ..Removal::default() };
            assert_eq!(database.remove(&tenure, &removal, at(1), TTL).await.unwrap(), Removed::Done);
            tenure.batch += 1;
        }
    };
    let (committed, mut drained) = tokio::join!(writing, draining);
    for row in database.waiting(100_000).await.unwrap() {
        drained.push((row.key, row.sequence.0));
    }
    let seen: BTreeSet<u64> = drained.iter().map(|(_, sequence)| *sequence).collect();
    assert_eq!(seen.len(), drained.len(), "nothing twice");
    assert_eq!(seen, committed);
    let mut last = std::collections::BTreeMap::new();
    for (key, sequence) in drained {
        assert!(last.insert(key, sequence) < Some(sequence), "in order for its key");
    }
}
