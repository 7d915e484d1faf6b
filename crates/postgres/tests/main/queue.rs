//! The outbox as a queue: tenures, removal, quarantine, voids, rotation and the relay's sleep.

use crate::fixture::{Home, TTL, at, key, run, things};
use seamline_flow::port::PortError;
use seamline_flow::source::{Act, OutboxRow, Removal, Removed, SetAside, Source, Taken, Tenure};
use seamline_message::sequence::Sequence;
use seamline_postgres::database::Database;
use std::time::Duration;

async fn publish(home: &Home, keys: &[&str]) {
    let mut service = home.service().await;
    for key in keys {
        let sql = format!(
            "INSERT INTO thing VALUES ('{key}', 'new', 1) ON CONFLICT DO NOTHING; \
             SELECT seamline.publish('thing', 'ThingDone', '[\"{key}\"]')"
        );
        run(&mut service, &sql).await.unwrap();
    }
}

async fn tenure(database: &Database, holder: &str) -> Tenure {
    match database.take_over(holder, at(0), TTL).await.unwrap() {
        Taken::Held(tenure) => tenure,
        Taken::Busy { until } => panic!("busy until {until}"),
    }
}

fn sequences(rows: &[OutboxRow]) -> Vec<Sequence> {
    rows.iter().map(|row| row.sequence).collect()
}

fn aside(sequence: Sequence, broken: bool) -> SetAside {
    let violation = broken.then(|| ("RANGE".to_owned(), "state.amount".to_owned(), "too small".to_owned()));
    SetAside { sequence, violation }
}

#[tokio::test]
#[cfg_attr(not(servers_here), ignore = "not run: needs PostgreSQL; `cargo x test` starts one")]
async fn a_removal_of_a_row_that_is_not_there_removes_nothing() {
    let home = Home::new().await;
    let database = things(&home).await;
    publish(&home, &["a", "b"]).await;
    let held = tenure(&database, "one").await;
    let mut rows = sequences(&database.waiting(10).await.unwrap());
    rows.push(Sequence(999_999));
    let removal = Removal { number: 1, published: rows.clone(), ..Removal::default() };
    let told = database.remove(&held, &removal, at(1), TTL).await;
    assert!(matches!(told, Err(PortError::NotApplied(_))), "{told:?}");
    assert_eq!(database.waiting(10).await.unwrap().len(), 2);
    rows.pop();
    let removal = Removal { number: 1, published: rows, ..Removal::default() };
    assert_eq!(
        database.remove(&held, &removal, at(1), TTL).await.unwrap(),
        Removed::Done,
        "its number is free"
    );
}

#[tokio::test]
#[cfg_attr(not(servers_here), ignore = "not run: needs PostgreSQL; `cargo x test` starts one")]
async fn a_discarded_row_leaves_a_void_at_its_place_in_each_chain() {
    let home = Home::new().await;
    let database = things(&home).await;
    publish(&home, &["a", "a"]).await;
    let held = tenure(&database, "one").await;
    let rows = sequences(&database.waiting(10).await.unwrap());
    let both = vec![aside(rows[0], true), aside(rows[1], false)];
    let removal = Removal { aside: both, ..Removal::default() };
    assert_eq!(database.remove(&held, &removal, at(5), TTL).await.unwrap(), Removed::Done);
    assert!(database.discard(rows[0]).await.unwrap());
    assert_eq!(database.redrive(&"thing".parse().unwrap(), r#"["a"]"#).await.unwrap(), 1);
    let waiting = database.waiting(10).await.unwrap();
    let voids: Vec<_> = waiting.iter().take(2).map(|row| row.act.clone()).collect();
    let void = |channel: &str| Act::Void { channel: channel.to_owned(), sequence: rows[0], previous: None };
    assert_eq!(voids, [void("events"), void("short.events")], "they go before what came after");
    assert_eq!(waiting[2].sequence, rows[1]);
    let again = vec![aside(waiting[0].sequence, true)];
    let removal = Removal { aside: again, ..Removal::default() };
    assert_eq!(database.remove(&held, &removal, at(6), TTL).await.unwrap(), Removed::Done, "a void, too");
    assert!(database.waiting(10).await.unwrap()[1].behind);
    assert_eq!(database.redrive(&"thing".parse().unwrap(), r#"["a"]"#).await.unwrap(), 1);
    assert_eq!(database.waiting(10).await.unwrap(), waiting, "as they were");
    let counts = database.counts(&"thing".parse().unwrap()).await.unwrap();
    assert_eq!((counts.waiting, counts.lost, counts.missing()), (3, 1, 0));
}

#[tokio::test]
#[cfg_attr(not(servers_here), ignore = "not run: needs PostgreSQL; `cargo x test` starts one")]
async fn a_row_that_vanished_is_missing_until_it_is_explained() {
    let home = Home::new().await;
    let database = things(&home).await;
    publish(&home, &["a", "b"]).await;
    let contract = "thing".parse().unwrap();
    let lost = database.waiting(10).await.unwrap()[0].sequence;
    let vanish: String =
        (0..3).map(|n| format!("DELETE FROM seamline.outbox_{n} WHERE id = {};", lost.0)).collect();
    run(&mut home.service().await, &vanish).await.unwrap();
    assert_eq!(database.counts(&contract).await.unwrap().missing(), 1);
    for channel in ["events", "short.events"] {
        let act = Act::Void { channel: channel.to_owned(), sequence: lost, previous: None };
        database.void(&contract, &key(&["a"]), &act).await.unwrap();
    }
    assert_eq!(database.counts(&contract).await.unwrap().missing(), 0, "one row, however many chains");
    assert!(database.void(&contract, &key(&["a"]), &Act::State).await.is_err());
}

#[tokio::test]
#[cfg_attr(not(servers_here), ignore = "not run: needs PostgreSQL; `cargo x test` starts one")]
async fn a_drained_table_is_cut_off_and_one_in_use_is_left() {
    let home = Home::new().await;
    let database = things(&home).await;
    let mut service = home.service().await;
    // Each row in each table, so that two of them are not the one that is filled now.
    let fill: String = (0..3)
        .map(|n| {
            format!(
                "INSERT INTO seamline.outbox_{n} (id, contract, version, key, previous, state) \
                 SELECT 1000000 * ({n} + 1) + i, 'thing', '1.2.0', '[\"a\"]', '{{}}', repeat('x', 500) FROM generate_series(1, 5000) i;"
            )
        })
        .collect();
    run(&mut service, &fill).await.unwrap();
    let size = "SELECT sum(pg_relation_size(('seamline.outbox_' || i)::regclass))::bigint FROM generate_series(0, 2) i";
    let full: i64 = sqlx::query_scalar(size).fetch_one(database.pool()).await.unwrap();
    database.rotate().await.unwrap();
    assert_eq!(database.waiting(100_000).await.unwrap().len(), 15_000, "what waits stays");
    let mut reader = home.service().await;
    run(&mut reader, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1 FROM thing").await.unwrap();
    let drain: String = (0..3).map(|n| format!("DELETE FROM seamline.outbox_{n};")).collect();
    run(&mut service, &drain).await.unwrap();
    let mut publisher = home.service().await;
    let hold: String =
        (0..3).map(|n| format!("LOCK TABLE seamline.outbox_{n} IN ROW EXCLUSIVE MODE;")).collect();
    run(&mut publisher, &format!("BEGIN; {hold}")).await.unwrap();
    database.rotate().await.unwrap();
    let left: i64 = sqlx::query_scalar(size).fetch_one(database.pool()).await.unwrap();
    assert_eq!(left, full, "somebody publishes there");
    run(&mut publisher, "COMMIT").await.unwrap();
    database.rotate().await.unwrap();
    let left: i64 = sqlx::query_scalar(size).fetch_one(database.pool()).await.unwrap();
    assert!(left * 2 < full, "{left} of {full} bytes are left, whatever snapshots there are");
    run(&mut reader, "COMMIT").await.unwrap();
}

#[tokio::test]
#[cfg_attr(not(servers_here), ignore = "not run: needs PostgreSQL; `cargo x test` starts one")]
async fn a_sleeping_relay_is_woken_by_whoever_publishes() {
    let home = Home::new().await;
    let mut service = home.service().await;
    // The server may allow prepared transactions.
    let set = "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET seamline.doorbell = ''on''', current_database()); END $$";
    run(&mut service, set).await.unwrap();
    let database = things(&home).await;
    let long = Duration::from_secs(60);
    let (slept, ()) = tokio::time::timeout(long / 2, async {
        tokio::join!(database.doze(long), async {
            let mut service = home.service().await;
            let asleep = "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ExclusiveLock' \
                AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))";
            while !sqlx::query_scalar::<_, bool>(asleep).fetch_one(&mut service).await.unwrap() {
                tokio::task::yield_now().await;
            }
            publish(&home, &["a"]).await;
        })
    })
    .await
    .expect("it was woken");
    assert!(slept.unwrap());
    assert_eq!(database.waiting(10).await.unwrap().len(), 1);
    // With rows there, or with somebody publishing who will not ring, it does not sleep.
    assert!(tokio::time::timeout(long / 2, database.doze(long)).await.unwrap().unwrap());
    let mut service = home.service().await;
    run(&mut service, "BEGIN; SELECT seamline.publish('thing', 'ThingDone', '[\"b\"]')").await.unwrap();
    assert!(tokio::time::timeout(long / 2, database.doze(long)).await.unwrap().unwrap());
    run(&mut service, "COMMIT").await.unwrap();
    // Cut short, it leaves nothing behind by which others would ring for ever.
    let rows = sequences(&database.waiting(10).await.unwrap());
    let held = tenure(&database, "one").await;
    let removal = Removal { number: 1, published: rows, ..Removal::default() };
    assert_eq!(database.remove(&held, &removal, at(1), TTL).await.unwrap(), Removed::Done);
    assert!(tokio::time::timeout(Duration::from_millis(100), database.doze(long)).await.is_err());
    let locked = "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' \
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))";
    while sqlx::query_scalar::<_, bool>(locked).fetch_one(&mut service).await.unwrap() {
        tokio::task::yield_now().await;
    }
}
