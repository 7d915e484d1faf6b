//! An inbox as its workers use it: many at once, each with its own connection, some of them giving up.

use crate::fixture::{Home, run};
use seamline_postgres::database::Database;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Row};

const SUBSCRIPTION: &str = "claims/covers";
const KEYS: i64 = 7;
const ROWS: i64 = 140;
const WORKERS: u32 = 6;

async fn installed(home: &Home) -> Database {
    let database = home.open().await;
    database.install_consumer(&[]).await.unwrap();
    let mut owner = home.service().await;
    run(&mut owner, "INSERT INTO seamline.context (context) VALUES ('claims')").await.unwrap();
    database
}

async fn fill(owner: &mut PgConnection, rows: i64) {
    let fill = format!(
        "INSERT INTO seamline.inbox (subscription, id, key, event, sequence, payload, projection_behind, received_at) \
         SELECT '{SUBSCRIPTION}', 'i' || n, 'k' || n % {KEYS}, 'E', n, '{{}}', false, now() \
         FROM generate_series(1, {rows}) n"
    );
    run(owner, &fill).await.unwrap();
}

/// Takes one row in one transaction, as docs/guide/inbox.md shows it. Each third attempt is given up: by a connection that
/// breaks, or by a failure that is told. Returns whether there was a row.
async fn work(conn: &mut PgConnection, turn: u32) -> bool {
    let mut transaction = conn.begin().await.unwrap();
    let claimed = sqlx::query("SELECT number, attempts FROM seamline.claim($1)").bind(SUBSCRIPTION);
    let Some(row) = claimed.fetch_optional(&mut *transaction).await.unwrap() else { return false };
    let number: i64 = row.get(0);
    let effect = "INSERT INTO effect (number) VALUES ($1)";
    match turn % 6 {
        2 => {
            sqlx::query(effect).bind(number).execute(&mut *transaction).await.unwrap();
            transaction.rollback().await.unwrap();
        }
        5 => {
            let failed = "SELECT seamline.failed($1, 'in vain', again => '0')";
            sqlx::query(failed).bind(number).execute(&mut *transaction).await.unwrap();
            transaction.commit().await.unwrap();
        }
        _ => {
            sqlx::query(effect).bind(number).execute(&mut *transaction).await.unwrap();
            sqlx::query("SELECT seamline.done($1)").bind(number).execute(&mut *transaction).await.unwrap();
            transaction.commit().await.unwrap();
        }
    }
    true
}

#[tokio::test]
#[cfg_attr(not(servers_here), ignore = "not run: needs PostgreSQL; `cargo x test` starts one")]
async fn workers_at_once_work_off_each_row_once_and_each_key_in_order() {
    let home = Home::new().await;
    let _database = installed(&home).await;
    let mut owner = home.service().await;
    run(&mut owner, "CREATE TABLE effect (at bigserial PRIMARY KEY, number bigint NOT NULL UNIQUE)")
        .await
        .unwrap();
    fill(&mut owner, ROWS).await;
    let mut workers = Vec::new();
    for nth in 0..WORKERS {
        let mut conn = home.service().await;
        workers.push(tokio::spawn(async move {
            for turn in nth.. {
                let left = "SELECT count(*) FROM seamline.inbox WHERE state <> 'done'";
                if !work(&mut conn, turn).await
                    && sqlx::query_scalar::<_, i64>(left).fetch_one(&mut conn).await.unwrap() == 0
                {
                    return;
                }
            }
        }));
    }
    for worker in workers {
        worker.await.unwrap();
    }
    let count = |sql: String| async move { sqlx::query_scalar::<_, i64>(AssertSqlSafe(sql)) };
    let effects = count("SELECT count(*) FROM effect".to_owned()).await.fetch_one(&mut owner).await.unwrap();
    assert_eq!(effects, ROWS, "each once");
    // A number is drawn while its row is locked: what was worked off later drew a higher one.
    let crossed = "SELECT count(*) FROM effect a JOIN effect b ON a.number < b.number AND a.at > b.at \
                   JOIN seamline.inbox i ON i.number = a.number JOIN seamline.inbox j ON j.number = b.number AND i.key = j.key";
    assert_eq!(
        count(crossed.to_owned()).await.fetch_one(&mut owner).await.unwrap(),
        0,
        "in the order of each key"
    );
}

#[tokio::test]
#[cfg_attr(not(servers_here), ignore = "not run: needs PostgreSQL; `cargo x test` starts one")]
async fn an_inbox_of_the_first_format_keeps_its_rows_and_gets_the_columns_of_today() {
    let home = Home::new().await;
    let database = installed(&home).await;
    let mut owner = home.service().await;
    let first = "DROP FUNCTION seamline.claim, seamline.done, seamline.failed; \
                 ALTER TABLE seamline.inbox DROP COLUMN due, DROP COLUMN why, DROP COLUMN ended_at, \
                 DROP COLUMN correlation, DROP COLUMN traceparent; \
                 UPDATE seamline.format SET version = 1 WHERE stored = 'inbox'";
    run(&mut owner, first).await.unwrap();
    fill(&mut owner, 3).await;
    run(&mut owner, "UPDATE seamline.inbox SET state = 'done' WHERE number = 1").await.unwrap();
    assert!(database.is_older("inbox").await.unwrap());
    database.install_consumer(&[]).await.unwrap();
    assert!(!database.is_older("inbox").await.unwrap());
    let claimed = "SELECT count(*) FROM seamline.claim('claims/covers', most => 9)";
    assert_eq!(sqlx::query_scalar::<_, i64>(claimed).fetch_one(&mut owner).await.unwrap(), 2);
}

#[tokio::test]
#[cfg_attr(not(servers_here), ignore = "not run: needs PostgreSQL; `cargo x test` starts one")]
async fn a_worker_is_told_what_it_does_wrong() {
    let home = Home::new().await;
    let _database = installed(&home).await;
    let mut owner = home.service().await;
    fill(&mut owner, 1).await;
    for (wrong, told) in [
        (
            "SELECT seamline.claim('covers')",
            "22023 seamline: `subscription` is none of this database's context",
        ),
        (
            "SELECT seamline.claim('claims/covers', most => 0)",
            "22023 seamline: `hold` and `most` must be more",
        ),
        ("SELECT seamline.done(1)", "55000 seamline: row 1 of the inbox is not claimed"),
        ("SELECT seamline.failed(1, '')", "22023 seamline: `why` says nothing"),
        ("SELECT seamline.failed(1, 'no')", "55000 seamline: row 1 of the inbox is not claimed"),
    ] {
        let error = run(&mut owner, wrong).await.unwrap_err();
        assert!(error.starts_with(told), "{wrong}: {error}");
    }
}
