//! Databases of their own, contracts and services for the tests.

use jiff::Timestamp;
use seamline_contract::path::DocumentId;
use seamline_contract::publication::Publication;
use seamline_contract::resolve::{ResolvedContract, resolve};
use seamline_lang::estate::read_estate;
use seamline_message::key::RecordKey;
use seamline_postgres::database::{Database, Options};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// How long leases last here.
pub(crate) const TTL: Duration = Duration::from_secs(30);

/// Returns the moment so many seconds after the beginning.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

/// A database that is there as long as this value.
pub(crate) struct Home {
    server: PgConnectOptions,
    name: String,
}

impl Home {
    /// Makes a database.
    pub(crate) async fn new() -> Home {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let server = std::env::var("SEAMLINE_POSTGRES").expect("SEAMLINE_POSTGRES names a server");
        let server: PgConnectOptions = server.parse().unwrap();
        let number = MADE.fetch_add(1, Ordering::SeqCst);
        let name = format!("seamline_test_{}_{number}", std::process::id());
        let mut conn = server.connect().await.unwrap();
        // Concurrent copies of one template wait for each other only so long.
        run(&mut conn, &format!("CREATE DATABASE {name} TEMPLATE template0")).await.unwrap();
        Home { server, name }
    }

    pub(crate) fn options(&self) -> Options {
        let (host, port) = (self.server.get_host(), self.server.get_port());
        Options {
            url: format!("postgres://{}@{host}:{port}/{}", self.server.get_username(), self.name),
            user: None,
            password: None,
            schema: "public".to_owned(),
            replication: false,
        }
    }

    pub(crate) async fn open(&self) -> Database {
        Database::open(&self.options()).await.unwrap()
    }

    /// Connects as a service would: with its own connection and nothing of ours.
    pub(crate) async fn service(&self) -> PgConnection {
        self.server.clone().database(&self.name).disable_statement_logging().connect().await.unwrap()
    }

    /// Returns where the server is, and the name of the database there.
    pub(crate) fn address(&self) -> (String, u16, String) {
        (self.server.get_host().to_owned(), self.server.get_port(), self.name.clone())
    }

    /// Returns where the server's own database is.
    pub(crate) fn server(&self) -> PgConnectOptions {
        self.server.clone()
    }

    /// Connects to another database of the same server.
    pub(crate) async fn elsewhere(&self) -> PgConnection {
        self.server.clone().disable_statement_logging().connect().await.unwrap()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let (server, name) = (self.server.clone(), self.name.clone());
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let mut conn = server.connect().await.unwrap();
                // A slot that is still read keeps its database.
                let readers = format!(
                    "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE database = '{name}' AND active"
                );
                let mut dropped = Err(String::new());
                for _ in 0..100 {
                    run(&mut conn, &readers).await.unwrap();
                    dropped = run(&mut conn, &format!("DROP DATABASE {name} WITH (FORCE)")).await;
                    if dropped.is_ok() {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                dropped.unwrap();
                conn.close().await.unwrap();
            });
        });
        dropped.join().unwrap();
    }
}

/// Runs statements, and returns PostgreSQL's message for the first that fails.
pub(crate) async fn run(conn: &mut PgConnection, sql: &str) -> Result<(), String> {
    let done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(conn).await;
    done.map(|_| ()).map_err(|error| match error.as_database_error() {
        Some(refused) => format!("{} {}", refused.code().unwrap_or_default(), refused.message()),
        None => error.to_string(),
    })
}

/// Reads a contract and its publication, in an estate of its own.
pub(crate) fn published(contract: &str, publication: &str) -> (ResolvedContract, Publication) {
    let file = |path: &str, text: String| (DocumentId(path.to_owned()), text);
    let files = BTreeMap::from([
        file("seamline.yaml", "apiVersion: seamline/v1\nkind: Estate\nroots: [.]\n".to_owned()),
        file(
            "proof/proof.context.yaml",
            "apiVersion: seamline/v1\nkind: Context\ncontext: proof\nmeaning: A context.\nteam: proof\n"
                .to_owned(),
        ),
        file(
            "proof/thing.contract.yaml",
            format!(
                "apiVersion: seamline/v1\nkind: Contract\ncontext: proof\nversion: 1.2.0\nstatus: active\n\
                 meaning: A thing.\n{contract}"
            ),
        ),
        file(
            "proof/thing.publication.yaml",
            format!(
                "{{ apiVersion: seamline/v1, kind: Publication, contract: thing, system: db, {publication} }}"
            ),
        ),
    ]);
    let reading = read_estate(&files, DocumentId("seamline.yaml".to_owned()));
    let resolved = resolve(&reading.estate, &"proof/thing@1".parse().unwrap());
    let resolved = resolved.unwrap_or_else(|reasons| panic!("{reasons:?} {:?}", reading.findings));
    let publication = reading.estate.publications.first().cloned();
    (resolved, publication.unwrap_or_else(|| panic!("{:?}", reading.findings)))
}

/// A thing with events, moves and a view.
pub(crate) const THING: &str = "key: thingId\nattributes:
  thingId: { type: string, meaning: Identifies it. }
  status: { type: enum, meaning: How it stands., values: { new: Not yet., done: It is. }, moves: [-> new, new -> done] }
  amount: { type: 'decimal(12,2)', unit: EUR, meaning: What it costs. }
events:
  ThingMade: { meaning: It begins., becomes: { status: new } }
  ThingDone: { meaning: It is done., becomes: { status: done } }
  ThingGone: { meaning: It ends., ends: true }
state: {}
views:
  short: { for: [other], only: [status], events: [ThingDone] }
";

/// The table of things, and the publication that reads it.
pub(crate) const THING_TABLE: &str =
    "CREATE TABLE thing (thing_id text PRIMARY KEY, status text, amount numeric)";

/// Makes a table, and publishes it.
pub(crate) async fn installed(home: &Home, table: &str, contract: &str, publication: &str) -> Database {
    let database = home.open().await;
    let (contract, publication) = published(contract, publication);
    run(&mut home.service().await, table).await.unwrap();
    database.install_producer(&contract, &publication).await.unwrap();
    database
}

/// Installs things.
pub(crate) async fn things(home: &Home) -> Database {
    installed(home, THING_TABLE, THING, "feed: outbox, table: thing").await
}

pub(crate) fn key(texts: &[&str]) -> RecordKey {
    RecordKey::from_texts(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>())
}
