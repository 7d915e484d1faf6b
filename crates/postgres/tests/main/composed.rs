//! Contracts that are composed from projections: what is published when rows of a projection change, and that no change is lost
//! between two who change one composed row at once.

use crate::fixture::{Home, run};
use seamline_contract::composition::compose;
use seamline_contract::id::ContractRef;
use seamline_contract::path::DocumentId;
use seamline_contract::resolve::resolve_all;
use seamline_contract::subscription::Subscription;
use seamline_flow::intake::Intake;
use seamline_lang::estate::read_estate;
use seamline_message::codec::Codec;
use seamline_postgres::database::Database;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Row};
use std::collections::BTreeMap;
use std::time::Duration;

const ESTATE: [(&str, &str); 9] = [
    ("seamline.yaml", "apiVersion: seamline/v1\nkind: Estate\nroots: [.]\n"),
    ("made/made.context.yaml", "apiVersion: seamline/v1\nkind: Context\nid: made\nmeaning: A context.\nteam: made\n"),
    (
        "proof/proof.context.yaml",
        "apiVersion: seamline/v1\nkind: Context\nid: proof\nmeaning: A context.\nteam: proof\n\
         systems: { db: { engine: postgres, meaning: A database. } }\n",
    ),
    (
        "made/cover.contract.yaml",
        "apiVersion: seamline/v1\nkind: Contract\nversion: 1.0.0\nstatus: active\nmeaning: A cover.\nkey: coverId
attributes:
  coverId: { type: string, meaning: Identifies it. }
  status: { type: enum, meaning: How it stands., values: { open: Open., over: Over. }, moves: [-> open, open -> over] }
  noted: { type: string, optional: true, meaning: A note. }
state: {}\n",
    ),
    (
        "made/debt.contract.yaml",
        "apiVersion: seamline/v1\nkind: Contract\nversion: 2.0.0\nstatus: active\nmeaning: A debt.\nkey: cover
attributes:
  cover: { from: made/cover@1.coverId }
  amount: { type: 'decimal(12,2)', unit: EUR, meaning: What is owed. }
  wait: { type: duration, optional: true, meaning: How long. }
  parts: { type: list<string>, optional: true, meaning: Its parts. }
state: {}\n",
    ),
    (
        "proof/covers.subscription.yaml",
        "apiVersion: seamline/v1\nkind: Subscription\ncontract: made/cover@1\npurpose: proof\n\
         into: { system: db, table: cover_copy, columns: { id: coverId, status: status, noted: noted } }\n",
    ),
    (
        "proof/debts.subscription.yaml",
        "apiVersion: seamline/v1\nkind: Subscription\ncontract: made/debt@2\npurpose: proof\n\
         into: { system: db, table: debt_copy, columns: { of: cover, owed: amount, wait: wait, parts: parts } }\n",
    ),
    (
        "proof/overview.contract.yaml",
        "apiVersion: seamline/v1\nkind: Contract\nversion: 1.0.0\nstatus: active\nmeaning: Both.\nkey: id
derived: { from: [made/cover@1, made/debt@2], on: { made/debt@2: cover } }
attributes:
  id: { from: made/cover@1.coverId }
  status: { from: made/cover@1.status }
  owed: { from: made/debt@2.amount, optional: true }
  wait: { from: made/debt@2.wait, optional: true }
  parts: { from: made/debt@2.parts, optional: true }
  isDue: { type: boolean, meaning: It is owed., computed: \"owed != null && owed > decimal('0')\" }
state: {}\n",
    ),
    (
        "proof/overview.publication.yaml",
        "apiVersion: seamline/v1\nkind: Publication\ncontract: overview\nsystem: db\ntable: overview\nfeed: projections\n",
    ),
];

/// Installs the two projections and what is composed from them; returns the codec of the latter.
async fn installed(home: &Home) -> (Database, Codec) {
    let files: BTreeMap<DocumentId, String> =
        ESTATE.iter().map(|(path, text)| (DocumentId((*path).to_owned()), (*text).to_owned())).collect();
    let reading = read_estate(&files, DocumentId("seamline.yaml".to_owned()));
    let estate = &reading.estate;
    let resolved = resolve_all(estate);
    let find = |reference: &ContractRef| resolved.get(reference).and_then(|it| it.as_ref().ok());
    let subscriptions: Vec<&Subscription> = estate.subscriptions.iter().collect();
    let contract = find(&"proof/overview@1".parse().unwrap()).unwrap();
    let publication = estate.publications.first().unwrap_or_else(|| panic!("{:?}", reading.findings));
    let composition = compose(contract, publication, &subscriptions, &find).unwrap();
    let projections: Vec<_> = subscriptions
        .iter()
        .map(|it| Intake::compile(it, find(&it.contract).unwrap(), "{context}.{contract}.{channel}").unwrap())
        .map(|intake| intake.table().unwrap().projection.clone())
        .collect();
    let database = home.open().await;
    // Twice: what is there is no hindrance.
    for _ in 0..2 {
        database.install_consumer(&projections).await.unwrap();
        database.install_composed(contract, publication, &composition).await.unwrap();
        database.forget_compositions(&projections, std::slice::from_ref(&composition)).await.unwrap();
    }
    (database, Codec::compile(contract).unwrap())
}

fn cover(id: &str, status: &str, sequence: u32) -> String {
    format!(
        "INSERT INTO cover_copy (id, status, seamline_sequence) VALUES ('{id}', '{status}', {sequence}) \
         ON CONFLICT (id) DO UPDATE SET status = excluded.status, seamline_sequence = excluded.seamline_sequence"
    )
}

fn debt(id: &str, owed: &str, sequence: u32) -> String {
    format!(
        "INSERT INTO debt_copy (\"of\", owed, seamline_sequence) VALUES ('{id}', {owed}, {sequence}) \
         ON CONFLICT (\"of\") DO UPDATE SET owed = excluded.owed, seamline_sequence = excluded.seamline_sequence"
    )
}

/// Takes all rows out of the outbox: key, state and lineage, in order.
async fn taken(conn: &mut PgConnection) -> Vec<(String, Option<String>, Option<String>)> {
    let taken = "WITH gone AS (DELETE FROM seamline.outbox_0 RETURNING id, key, state, causation), \
         more AS (DELETE FROM seamline.outbox_1 RETURNING id, key, state, causation), \
         most AS (DELETE FROM seamline.outbox_2 RETURNING id, key, state, causation) \
         SELECT * FROM (TABLE gone UNION ALL TABLE more UNION ALL TABLE most) o ORDER BY id";
    let rows = sqlx::query(taken).fetch_all(conn).await.unwrap();
    rows.iter().map(|row| (row.get(1), row.get(2), row.get(3))).collect()
}

async fn number(conn: &mut PgConnection, query: &str) -> i64 {
    sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(conn).await.unwrap()
}

#[tokio::test]
#[cfg_attr(not(servers_here), ignore = "not run: needs PostgreSQL; `cargo x test` starts one")]
async fn what_changed_is_published_with_what_it_is_made_of() {
    let home = Home::new().await;
    let (_, codec) = installed(&home).await;
    let mut lane = home.service().await;
    let slot = |name: &str| codec.contract().slot(&name.parse().unwrap()).unwrap();
    run(&mut lane, &cover("A", "open", 7)).await.unwrap();
    let rows = taken(&mut lane).await;
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!(rows[0].0, "[\"A\"]");
    assert_eq!(rows[0].2.as_deref(), Some("made/cover@1/0000000000000000007"));
    let row = codec.read_source(rows[0].1.as_ref().unwrap().as_bytes()).unwrap();
    assert!(row[slot("owed")].is_null());
    assert_eq!(row[slot("isDue")], seamline_contract::value::Value::Boolean(false));
    assert!(codec.judge_state(&row).is_empty());

    // What the other has of it; a list and a duration come back as they were.
    let debt_of_a = "INSERT INTO debt_copy (\"of\", owed, wait, parts, seamline_sequence) \
                     VALUES ('A', 12.50, -90500000, '[\"x\", \"y\"]', 9)";
    run(&mut lane, debt_of_a).await.unwrap();
    let rows = taken(&mut lane).await;
    assert_eq!(
        rows[0].2.as_deref(),
        Some("made/cover@1/0000000000000000007 made/debt@2/0000000000000000009")
    );
    let row = codec.read_source(rows[0].1.as_ref().unwrap().as_bytes()).unwrap();
    assert_eq!(row[slot("wait")], seamline_contract::value::Value::Duration(-90_500_000));
    let text = |text: &str| seamline_contract::value::Value::String(text.to_owned());
    assert_eq!(row[slot("parts")], seamline_contract::value::Value::List(vec![text("x"), text("y")]));
    assert_eq!(row[slot("isDue")], seamline_contract::value::Value::Boolean(true));

    // A change of nothing that is carried, and a debt without a cover, tell nothing.
    run(&mut lane, "UPDATE cover_copy SET noted = 'n', seamline_sequence = 8").await.unwrap();
    run(&mut lane, &debt("Z", "1", 3)).await.unwrap();
    assert_eq!(taken(&mut lane).await, Vec::new());
    assert_eq!(number(&mut lane, "SELECT count(*) FROM seamline.touched").await, 0);

    // Gone at the other, the attributes have no value; gone at the first, there is no row; marked is gone.
    run(&mut lane, "DELETE FROM debt_copy WHERE \"of\" = 'A'").await.unwrap();
    let rows = taken(&mut lane).await;
    let row = codec.read_source(rows[0].1.as_ref().unwrap().as_bytes()).unwrap();
    assert!(row[slot("owed")].is_null() && row[slot("parts")].is_null());
    run(&mut lane, "UPDATE cover_copy SET seamline_ended = true").await.unwrap();
    let rows = taken(&mut lane).await;
    assert_eq!((rows.len(), &rows[0].1), (1, &None));
    run(&mut lane, "DELETE FROM cover_copy").await.unwrap();
    assert_eq!(taken(&mut lane).await, Vec::new(), "it ended once");

    // Several changes of one transaction are one; a key that a hand renames is two.
    let many =
        format!("BEGIN; {}; {}; {}; COMMIT", cover("B", "open", 1), debt("B", "2", 2), cover("B", "over", 3));
    run(&mut lane, &many).await.unwrap();
    assert_eq!(taken(&mut lane).await.len(), 1);
    run(&mut lane, "UPDATE cover_copy SET id = 'C' WHERE id = 'B'").await.unwrap();
    let rows = taken(&mut lane).await;
    assert_eq!(rows.iter().filter(|row| row.1.is_none()).count(), 1, "{rows:?}");
    assert_eq!(rows.len(), 2);

    // Published by name, as a repair does, it says the same.
    run(&mut lane, "SELECT seamline.publish('overview', NULL, '[\"C\"]')").await.unwrap();
    let rows = taken(&mut lane).await;
    assert_eq!(rows[0].2.as_deref(), Some("made/cover@1/0000000000000000003"));
}

/// One who changed the cover has published and not committed, when another who changed the debt commits. Returns the state
/// that is published last.
async fn last_of_two(home: &Home) -> String {
    let (mut one, mut other) = (home.service().await, home.service().await);
    run(&mut one, &format!("{}; {}", cover("A", "open", 1), debt("A", "1", 1))).await.unwrap();
    taken(&mut one).await;
    run(&mut one, &format!("BEGIN; {}; SET CONSTRAINTS ALL IMMEDIATE", cover("A", "over", 2))).await.unwrap();
    let committing = tokio::spawn(async move {
        run(&mut other, &format!("BEGIN; {}; COMMIT", debt("A", "2", 2))).await.unwrap();
    });
    // It waits: for the key, or for nothing that helps it.
    let mut watch = home.service().await;
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    for _ in 0..1_000 {
        if number(&mut watch, waits).await > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(number(&mut watch, waits).await, 1, "the other waits");
    run(&mut one, "COMMIT").await.unwrap();
    committing.await.unwrap();
    taken(&mut one).await.last().unwrap().1.clone().unwrap()
}

#[tokio::test]
#[cfg_attr(not(servers_here), ignore = "not run: needs PostgreSQL; `cargo x test` starts one")]
async fn of_two_who_change_one_row_the_later_publishes_what_both_left() {
    let home = Home::new().await;
    let _database = installed(&home).await;
    let last = last_of_two(&home).await;
    assert!(last.contains("\"over\"") && last.contains("2.00"), "{last}");

    // Without the lock before the state is read, the first one's change is lost: the test would show it.
    let mut conn = home.service().await;
    let none = "CREATE OR REPLACE FUNCTION seamline.lock(contract text, keys text[]) RETURNS void LANGUAGE sql AS 'SELECT'";
    run(&mut conn, none).await.unwrap();
    let last = last_of_two(&home).await;
    assert!(last.contains("\"open\"") && last.contains("2.00"), "{last}");
}

#[tokio::test]
#[cfg_attr(not(servers_here), ignore = "not run: needs PostgreSQL; `cargo x test` starts one")]
async fn two_lanes_over_the_same_keys_neither_lose_a_change_nor_wait_for_each_other() {
    const KEYS: i64 = 400;
    let home = Home::new().await;
    let _database = installed(&home).await;
    let mut conn = home.service().await;
    let given = format!("generate_series(1, {KEYS}) i");
    run(
        &mut conn,
        &format!(
            "INSERT INTO cover_copy (id, status) SELECT i::text, 'open' FROM {given}; \
             INSERT INTO debt_copy (\"of\", owed) SELECT i::text, 0 FROM {given}"
        ),
    )
    .await
    .unwrap();
    assert_eq!(
        i64::try_from(taken(&mut conn).await.len()).unwrap(),
        KEYS,
        "one transaction, one row for each key"
    );
    // Each lane changes all rows in several statements of one transaction, in an order of its own.
    let lane = |mut conn: PgConnection, table: &'static str, change: &'static str, order: &'static str| async move {
        for round in 0..15 {
            let key = if table == "cover_copy" { "id" } else { "\"of\"" };
            let change = change.replace("ROUND", &round.to_string());
            let mut transaction = "BEGIN; ".to_owned();
            for part in 0..4 {
                transaction.push_str(&format!(
                    "UPDATE {table} SET {change} WHERE {key} IN (SELECT i::text FROM generate_series(1, {KEYS}) i \
                     WHERE i % 4 = {order}); ",
                    order = order.replace("PART", &part.to_string())
                ));
            }
            transaction.push_str("COMMIT");
            run(&mut conn, &transaction).await.unwrap();
        }
    };
    let one = lane(
        home.service().await,
        "cover_copy",
        "noted = 'ROUND', status = (ARRAY['open', 'over'])[1 + (ROUND + 1) % 2]",
        "PART",
    );
    let other = lane(home.service().await, "debt_copy", "owed = ROUND + 1", "3 - PART");
    tokio::join!(one, other);
    let lost = "SELECT count(*) FROM (SELECT DISTINCT ON (o.key) o.key, o.state FROM (TABLE seamline.outbox_0 UNION ALL \
         TABLE seamline.outbox_1 UNION ALL TABLE seamline.outbox_2) o ORDER BY o.key, o.id DESC) o \
         JOIN seamline.source_overview s ON s.key = o.key WHERE s.state IS DISTINCT FROM o.state";
    assert_eq!(number(&mut conn, lost).await, 0);
    assert_eq!(i64::try_from(taken(&mut conn).await.len()).unwrap(), 2 * 15 * KEYS);
}

#[tokio::test]
#[cfg_attr(not(servers_here), ignore = "not run: needs PostgreSQL; `cargo x test` starts one")]
async fn a_batch_of_thousands_of_rows_is_published_by_a_few_statements() {
    let home = Home::new().await;
    let _database = installed(&home).await;
    let mut conn = home.service().await;
    let many = "INSERT INTO cover_copy (id, status) SELECT i::text, 'open' FROM generate_series(1, 5000) i";
    // A call is counted for each function that is called; those of one line of SQL are inlined, or run in another.
    run(&mut conn, &format!("SET track_functions = 'pl'; {many}")).await.unwrap();
    assert_eq!(taken(&mut conn).await.len(), 5_000);
    let calls =
        "SELECT coalesce(sum(calls), 0)::bigint FROM pg_stat_user_functions WHERE schemaname = 'seamline'";
    drop(conn);
    let mut conn = home.service().await;
    let mut counted = 0;
    for _ in 0..400 {
        counted = number(&mut conn, calls).await;
        if counted > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    assert!((1..50).contains(&counted), "{counted} calls of functions");
}

#[tokio::test]
#[cfg_attr(not(servers_here), ignore = "not run: needs PostgreSQL; `cargo x test` starts one")]
async fn what_is_not_ours_is_not_replaced_and_what_is_not_composed_any_more_is_not_published() {
    let home = Home::new().await;
    let mut conn = home.service().await;
    run(&mut conn, "CREATE VIEW overview AS SELECT 1 AS one").await.unwrap();
    let refused = std::panic::AssertUnwindSafe(installed(&home));
    let refused = futures_util::FutureExt::catch_unwind(refused).await;
    assert!(refused.is_err());
    assert_eq!(number(&mut conn, "SELECT one::bigint FROM overview").await, 1);
    run(&mut conn, "DROP VIEW overview").await.unwrap();
    let (database, _) = installed(&home).await;
    let projection = |table: &str| seamline_flow::store::Projection {
        subscription: "proof/any".parse().unwrap(),
        table: table.to_owned(),
        columns: Vec::new(),
        key: Vec::new(),
        keep_ended: false,
        rehearsal: seamline_flow::store::RehearsedBy::Comparison,
    };
    database.forget_compositions(&[projection("cover_copy"), projection("debt_copy")], &[]).await.unwrap();
    run(&mut conn, &format!("{}; {}", cover("A", "open", 1), debt("A", "1", 1))).await.unwrap();
    assert_eq!(taken(&mut conn).await, Vec::new());
}
