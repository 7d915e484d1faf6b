//! Files, clocks, contracts and rows for the tests.

use jiff::Timestamp;
use seamline_contract::attribute::Type;
use seamline_contract::path::DocumentId;
use seamline_contract::publication::Publication;
use seamline_contract::resolve::{ResolvedContract, resolve};
use seamline_flow::clock::Clock;
use seamline_flow::store::{Column, Projection, RehearsedBy};
use seamline_lang::estate::read_estate;
use seamline_message::key::RecordKey;
use seamline_sqlite::context::Database;
use seamline_sqlite::log::EmbeddedLog;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tempfile::TempDir;

/// How long leases last here.
pub(crate) const TTL: Duration = Duration::from_secs(30);

/// A clock that is moved by hand, in microseconds.
#[derive(Debug, Default)]
pub(crate) struct Hands(AtomicI64);

impl Hands {
    pub(crate) fn pass(&self, span: Duration) {
        self.0.fetch_add(i64::try_from(span.as_micros()).unwrap(), Ordering::SeqCst);
    }
}

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        at(0) + Duration::from_micros(self.0.load(Ordering::SeqCst).try_into().unwrap())
    }
}

/// Returns the moment so many seconds after the beginning.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

/// A directory with the files of a test.
pub(crate) struct Files {
    pub(crate) directory: TempDir,
    pub(crate) hands: Arc<Hands>,
}

impl Files {
    pub(crate) fn new() -> Files {
        Files { directory: tempfile::tempdir().unwrap(), hands: Arc::default() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) async fn context(&self) -> Database {
        Database::create(&self.path("context.db")).await.unwrap()
    }

    pub(crate) async fn log(&self) -> EmbeddedLog {
        EmbeddedLog::open(&self.path("log.db"), true, self.hands.clone()).await.unwrap()
    }

    /// Opens the context's file as a service of another process would: with its own connection and nothing of ours.
    pub(crate) async fn service(&self) -> SqliteConnection {
        let options = SqliteConnectOptions::new().filename(self.path("context.db")).create_if_missing(true);
        options.busy_timeout(Duration::from_secs(5)).connect().await.unwrap()
    }
}

/// Runs statements, and returns SQLite's message for the first that fails.
pub(crate) async fn run(conn: &mut SqliteConnection, sql: &str) -> Result<(), String> {
    let done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(conn).await;
    done.map(|_| ()).map_err(|error| error.as_database_error().unwrap().message().to_owned())
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
    "CREATE TABLE thing (thing_id TEXT PRIMARY KEY, status TEXT, amount NUMERIC)";

/// Installs things into a context's file.
pub(crate) async fn things(files: &Files) -> Database {
    let database = files.context().await;
    let (contract, publication) = published(THING, "feed: outbox, table: thing");
    run(&mut *database.writer().await, THING_TABLE).await.unwrap();
    database.install_producer(&contract, &publication).await.unwrap();
    database
}

pub(crate) fn key(texts: &[&str]) -> RecordKey {
    RecordKey::from_texts(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>())
}

/// Returns a projection with columns `name` of types, of which the first `keys` are the key.
pub(crate) fn projection(table: &str, columns: &[(&str, Type)], keys: usize) -> Projection {
    Projection {
        subscription: "claims/covers".parse().unwrap(),
        table: table.to_owned(),
        columns: columns
            .iter()
            .map(|(name, ty)| Column {
                name: (*name).to_owned(),
                ty: ty.clone(),
                optional: true,
                approximate: false,
            })
            .collect(),
        key: (0..keys).collect(),
        keep_ended: false,
        rehearsal: RehearsedBy::Comparison,
    }
}
