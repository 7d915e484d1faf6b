//! The suites that every store, ledger and workflow of cases passes.

use crate::fixture::{Home, run};
use seamline_contract::value::Value;
use seamline_flow::conformance::audits::{self, AuditFixture};
use seamline_flow::conformance::cases::{self, CasesFixture};
use seamline_flow::conformance::inbox;
use seamline_flow::conformance::jobs::{self, JobsFixture};
use seamline_flow::conformance::ledger::{self, LedgerFixture};
use seamline_flow::conformance::passes::{self, PassesFixture};
use seamline_flow::conformance::store::{self, StoreFixture, Tamper};
use seamline_flow::store::{InboxRow, Projection};
use seamline_message::key::RecordKey;
use seamline_message::sequence::Sequence;
use seamline_postgres::database::Database;
use sqlx::Row;
use sqlx::postgres::PgRow;
use std::cell::RefCell;

/// Makes databases that are there as long as this value.
#[derive(Default)]
struct Fresh {
    homes: RefCell<Vec<Home>>,
}

impl Fresh {
    async fn installed(&self, projections: &[Projection]) -> Database {
        let home = Home::new().await;
        let database = home.open().await;
        database.install_consumer(projections).await.unwrap();
        self.homes.borrow_mut().push(home);
        database
    }
}

impl LedgerFixture for Fresh {
    type Ledger = Database;

    async fn fresh(&self) -> Database {
        self.installed(&[]).await
    }
}

impl AuditFixture for Fresh {
    type Audits = Database;

    async fn fresh(&self) -> Database {
        self.installed(&[]).await
    }
}

#[tokio::test]
#[cfg_attr(not(servers_here), ignore = "not run: needs PostgreSQL; `cargo x test` starts one")]
async fn audits_pass() {
    audits::all(&Fresh::default()).await;
}

impl CasesFixture for Fresh {
    type Cases = Database;

    async fn fresh(&self) -> Database {
        self.installed(&[]).await
    }
}

impl JobsFixture for Fresh {
    type Jobs = Database;

    async fn fresh(&self) -> Database {
        self.installed(&[]).await
    }
}

impl PassesFixture for Fresh {
    type Passes = Database;

    async fn fresh(&self) -> Database {
        self.installed(&[]).await
    }
}

fn literal(value: &Value) -> String {
    match value {
        Value::Integer(number) => number.to_string(),
        Value::String(text) => format!("'{text}'"),
        _ => "NULL".to_owned(),
    }
}

impl StoreFixture for Fresh {
    type Store = Database;

    async fn fresh(&self, projection: &Projection) -> Database {
        self.installed(std::slice::from_ref(projection)).await
    }

    async fn tamper(&self, store: &Database, projection: &Projection, how: &Tamper) {
        let (table, columns) = (&projection.table, &projection.columns);
        let of = |key: &RecordKey| format!("{} = '{}'", columns[0].name, key.texts()[0]);
        let sql = match how {
            Tamper::Set(key, idx, value) => {
                format!("UPDATE {table} SET {} = {} WHERE {}", columns[*idx].name, literal(value), of(key))
            }
            Tamper::Delete(key) => format!("DELETE FROM {table} WHERE {}", of(key)),
            Tamper::Insert(values) => {
                let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
                let values: Vec<String> = values.iter().map(literal).collect();
                format!("INSERT INTO {table} ({}) VALUES ({})", names.join(", "), values.join(", "))
            }
        };
        run(&mut store.pool().acquire().await.unwrap(), &sql).await.unwrap();
    }

    async fn inbox(&self, store: &Database, projection: &Projection) -> Vec<InboxRow> {
        let rows = sqlx::query("SELECT * FROM seamline.inbox WHERE subscription = $1 ORDER BY number")
            .bind(projection.subscription.to_string())
            .fetch_all(store.pool())
            .await
            .unwrap();
        let row = |row: &PgRow| InboxRow {
            id: row.get("id"),
            key: RecordKey::parse(row.get::<&str, _>("key").as_bytes()).unwrap(),
            event: row.get("event"),
            sequence: Sequence(row.get::<i64, _>("sequence").try_into().unwrap()),
            effective: row.get("effective"),
            reason: row.get("reason"),
            correlation: row.get("correlation"),
            traceparent: row.get("traceparent"),
            payload: row.get::<String, _>("payload").into_bytes(),
            projection_behind: row.get("projection_behind"),
        };
        rows.iter().map(row).collect()
    }
}

#[tokio::test]
#[cfg_attr(not(servers_here), ignore = "not run: needs PostgreSQL; `cargo x test` starts one")]
async fn the_store_passes() {
    store::all(&Fresh::default()).await;
}

#[tokio::test]
#[cfg_attr(not(servers_here), ignore = "not run: needs PostgreSQL; `cargo x test` starts one")]
async fn the_ledger_passes() {
    ledger::all(&Fresh::default()).await;
}

#[tokio::test]
#[cfg_attr(not(servers_here), ignore = "not run: needs PostgreSQL; `cargo x test` starts one")]
async fn jobs_pass() {
    jobs::all(&Fresh::default()).await;
}

#[tokio::test]
#[cfg_attr(not(servers_here), ignore = "not run: needs PostgreSQL; `cargo x test` starts one")]
async fn passes_pass() {
    passes::all(&Fresh::default()).await;
}

#[tokio::test]
#[cfg_attr(not(servers_here), ignore = "not run: needs PostgreSQL; `cargo x test` starts one")]
async fn cases_pass() {
    cases::all(&Fresh::default()).await;
}

#[tokio::test]
#[cfg_attr(not(servers_here), ignore = "not run: needs PostgreSQL; `cargo x test` starts one")]
async fn the_inbox_passes() {
    inbox::all(&Fresh::default()).await;
}
