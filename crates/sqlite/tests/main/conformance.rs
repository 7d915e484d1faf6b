//! The suites that every adapter of a port passes.

use crate::fixture::{Files, Hands, THING_TABLE, key, published, run};
use seamline_contract::id::ContractId;
use seamline_contract::value::Value;
use seamline_flow::conformance::audits::{self, AuditFixture};
use seamline_flow::conformance::cases::CasesFixture;
use seamline_flow::conformance::jobs::JobsFixture;
use seamline_flow::conformance::ledger::LedgerFixture;
use seamline_flow::conformance::log::LogFixture;
use seamline_flow::conformance::passes::PassesFixture;
use seamline_flow::conformance::sets::SetsFixture;
use seamline_flow::conformance::source::{SourceFixture, Write};
use seamline_flow::conformance::store::{StoreFixture, Tamper};
use seamline_flow::conformance::{cases, inbox, jobs, ledger, log, passes, seal, sets, source, store};
use seamline_flow::store::{InboxRow, Projection};
use seamline_message::key::RecordKey;
use seamline_message::sequence::Sequence;
use seamline_sqlite::context::Database;
use seamline_sqlite::log::EmbeddedLog;
use sqlx::{AssertSqlSafe, Row};
use std::cell::Cell;
use std::time::Duration;

/// Makes files in one directory, one for each port asked for.
struct Fresh {
    files: Files,
    made: Cell<u32>,
}

impl Fresh {
    fn new() -> Fresh {
        Fresh { files: Files::new(), made: Cell::new(0) }
    }

    fn next(&self) -> std::path::PathBuf {
        self.made.set(self.made.get() + 1);
        self.files.path(&format!("{}.db", self.made.get()))
    }

    async fn context(&self) -> Database {
        Database::create(&self.next()).await.unwrap()
    }

    fn hands(&self) -> &Hands {
        &self.files.hands
    }
}

impl LogFixture for Fresh {
    type Log = EmbeddedLog;

    async fn fresh(&self) -> EmbeddedLog {
        EmbeddedLog::open(&self.next(), true, self.files.hands.clone()).await.unwrap()
    }

    async fn compact(&self, log: &EmbeddedLog, topic: &str, after: Duration) -> bool {
        self.hands().pass(after);
        let now = seamline_flow::clock::Clock::now(self.hands());
        log.compact(topic, now).await.unwrap();
        true
    }

    async fn delete(&self, log: &EmbeddedLog, topic: &str) -> bool {
        log.delete_topic(topic).await.unwrap()
    }
}

impl LedgerFixture for Fresh {
    type Ledger = Database;

    async fn fresh(&self) -> Database {
        self.context().await
    }
}

impl JobsFixture for Fresh {
    type Jobs = Database;

    async fn fresh(&self) -> Database {
        self.context().await
    }
}

#[tokio::test]
async fn jobs_pass() {
    jobs::all(&Fresh::new()).await;
}

impl PassesFixture for Fresh {
    type Passes = Database;

    async fn fresh(&self) -> Database {
        self.context().await
    }
}

#[tokio::test]
async fn passes_pass() {
    passes::all(&Fresh::new()).await;
}

impl CasesFixture for Fresh {
    type Cases = Database;

    async fn fresh(&self) -> Database {
        self.context().await
    }
}

const RATE: &str = "key: currency\nattributes:
  currency: { type: string, meaning: The currency. }
reference: {}
";

impl SetsFixture for Fresh {
    type Sets = Database;

    async fn fresh(&self) -> Database {
        let database = self.context().await;
        run(&mut *database.writer().await, "CREATE TABLE rate (currency TEXT PRIMARY KEY)").await.unwrap();
        let (contract, publication) = published(RATE, "feed: snapshot, table: rate");
        database.install_producer(&contract, &publication).await.unwrap();
        database
    }

    fn contract(&self) -> ContractId {
        "thing".parse().unwrap()
    }

    async fn ask(&self, sets: &Database) {
        let ask =
            |contract: &str| format!("INSERT INTO seamline_publish_set (contract) VALUES ('{contract}')");
        let mut writer = sets.writer().await;
        run(&mut writer, &ask("thing")).await.unwrap();
        let refused = run(&mut writer, &ask("other")).await.unwrap_err();
        assert!(refused.contains("none with reference data"), "{refused}");
    }
}

#[tokio::test]
async fn sets_pass() {
    sets::all(&Fresh::new()).await;
}

/// A thing whose events are sealed.
const SEALED: &str = "key: thingId
subject: ownerId
attributes:
  thingId: { type: string, meaning: Identifies it. }
  ownerId: { type: string, meaning: Identifies its owner. }
  name: { type: string, classification: pii, meaning: The name of its owner. }
events:
  encoding: sealed
  ThingNamed: { meaning: It got a name., sets: [name] }
state: {}
";

#[tokio::test]
async fn the_vault_passes() {
    let fresh = Fresh::new();
    let database = fresh.context().await;
    let table = "CREATE TABLE thing (thing_id TEXT PRIMARY KEY, owner_id TEXT, name TEXT)";
    run(&mut *database.writer().await, table).await.unwrap();
    let (contract, publication) = published(SEALED, "feed: outbox, table: thing");
    database.install_producer(&contract, &publication).await.unwrap();
    seal::check(&database).await;
}

#[tokio::test]
async fn the_log_passes() {
    log::all(&Fresh::new()).await;
}

impl AuditFixture for Fresh {
    type Audits = Database;

    async fn fresh(&self) -> Database {
        self.context().await
    }
}

#[tokio::test]
async fn audits_pass() {
    audits::all(&Fresh::new()).await;
}

#[tokio::test]
async fn the_ledger_passes() {
    ledger::all(&Fresh::new()).await;
}

#[tokio::test]
async fn cases_pass() {
    cases::all(&Fresh::new()).await;
}

/// A thing with one channel of events.
const PLAIN: &str = "key: thingId\nattributes:
  thingId: { type: string, meaning: Identifies it. }
  status: { type: string, meaning: How it stands. }
  amount: { type: integer, meaning: How many. }
events:
  ThingChanged: { meaning: It is another., sets: [amount] }
state: {}
";

impl SourceFixture for Fresh {
    type Source = Database;

    async fn fresh(&self) -> Database {
        let database = self.context().await;
        let (contract, publication) = published(PLAIN, "feed: outbox, table: thing");
        run(&mut *database.writer().await, THING_TABLE).await.unwrap();
        database.install_producer(&contract, &publication).await.unwrap();
        database
    }

    fn contract(&self) -> ContractId {
        "thing".parse().unwrap()
    }

    fn channel(&self) -> String {
        "events".to_owned()
    }

    fn key(&self, number: usize) -> RecordKey {
        key(&[&format!("k{number}")])
    }

    async fn interleave(&self, _source: &Database, _transactions: &[Vec<Write>], _commits: &[usize]) -> bool {
        false
    }

    async fn transact(&self, source: &Database, writes: &[Write], commit: bool) {
        let mut sql = "BEGIN".to_owned();
        for write in writes {
            let (number, change) = match write {
                Write::Put(number, value) | Write::Silent(number, value) => {
                    (number, format!("INSERT OR REPLACE INTO thing VALUES ('k{number}', 's', {value})"))
                }
                Write::Delete(number) => (number, format!("DELETE FROM thing WHERE thing_id = 'k{number}'")),
            };
            sql = format!("{sql}; {change}");
            if !matches!(write, Write::Silent(..)) {
                sql = format!(
                    "{sql}; INSERT INTO seamline_publish (contract, change, key) \
                     VALUES ('thing', 'ThingChanged', '[\"k{number}\"]')"
                );
            }
        }
        let end = if commit { "COMMIT" } else { "ROLLBACK" };
        run(&mut *source.writer().await, &format!("{sql}; {end}")).await.unwrap();
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
        let database = self.context().await;
        database.install_consumer(std::slice::from_ref(projection)).await.unwrap();
        database
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
        run(&mut *store.writer().await, &sql).await.unwrap();
    }

    async fn inbox(&self, store: &Database, projection: &Projection) -> Vec<InboxRow> {
        let rows = format!(
            "SELECT * FROM seamline_inbox WHERE subscription = '{}' ORDER BY number",
            projection.subscription
        );
        let rows = sqlx::query(AssertSqlSafe(rows)).fetch_all(store.readers()).await.unwrap();
        let row = |row: &sqlx::sqlite::SqliteRow| InboxRow {
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
async fn the_source_passes() {
    source::all(&Fresh::new()).await;
}

#[tokio::test]
async fn the_store_passes() {
    store::all(&Fresh::new()).await;
}

#[tokio::test]
async fn the_inbox_passes() {
    inbox::all(&Fresh::new()).await;
}
