//! The database of one system: a pool of connections, the schema of the service's tables, and begin and commit.

use crate::logical::{Connect, password_in, tail::Tail};
use crate::sql::{commit_failed, not_applied};
use seamline_flow::port::PortError;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, Postgres, Transaction};
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How long a call waits for a connection before it gives up.
const PATIENCE: Duration = Duration::from_secs(10);

/// Connections of one agent to one database.
const CONNECTIONS_MAX: u32 = 8;

/// Settings by which PostgreSQL prints values inside of JSON and isolates our transactions, whatever the role's or the
/// database's own are.
const SETTINGS: [(&str, &str); 5] = [
    ("timezone", "UTC"),
    ("bytea_output", "hex"),
    ("extra_float_digits", "1"),
    ("intervalstyle", "postgres"),
    ("default_transaction_isolation", "read committed"),
];

/// Where a database is and as whom to use it. Secrets are texts here: never print it.
#[derive(Clone)]
pub struct Options {
    /// `postgres://host:port/database`, with libpq's parameters.
    pub url: String,
    /// The user; none: the URL's.
    pub user: Option<String>,
    /// The password; none: the URL's.
    pub password: Option<String>,
    /// The schema of tables that are named without one.
    pub schema: String,
    /// Rows of its outbox leave through logical replication.
    pub replication: bool,
}

/// Why a database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL is none.
    #[error("the URL of the database cannot be read")]
    Url(#[source] sqlx::Error),
    /// It does not answer, or refuses.
    #[error("`{host}:{port}/{database}` cannot be used: {source}")]
    Refused {
        /// The host.
        host: String,
        /// The port.
        port: u16,
        /// The database.
        database: String,
        /// What PostgreSQL says.
        source: sqlx::Error,
    },
}

impl OpenError {
    /// Returns what to do next.
    pub fn help(&self) -> &'static str {
        match self {
            OpenError::Url(_) => "write it as `postgres://host:port/database` in the environment",
            OpenError::Refused { .. } => "run `seamline doctor`: it names what is in the way",
        }
    }
}

/// One PostgreSQL database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Database {
    pool: PgPool,
    schema: String,
    bells: PgPool,
    bell: Arc<Mutex<Option<PgListener>>>,
    rotated: Arc<AtomicI64>,
    tail: Option<Arc<tokio::sync::Mutex<Tail>>>,
}

impl Database {
    /// Opens a database and connects once.
    ///
    /// # Errors
    /// When it cannot be used.
    pub async fn open(options: &Options) -> Result<Database, OpenError> {
        let mut connect: PgConnectOptions = options.url.parse().map_err(OpenError::Url)?;
        if let Some(user) = &options.user {
            connect = connect.username(user);
        }
        if let Some(password) = &options.password {
            connect = connect.password(password);
        }
        let connect = connect
            .application_name("seamline")
            .options([("search_path", format!("\"{}\"", options.schema.replace('"', "\"\"")))])
            .options(SETTINGS)
            .disable_statement_logging();
        let (host, port) = (connect.get_host().to_owned(), connect.get_port());
        let database = connect.get_database().unwrap_or_default().to_owned();
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS_MAX)
            .acquire_timeout(PATIENCE)
            .test_before_acquire(false)
            .connect_with(connect.clone())
            .await
            .map_err(|source| OpenError::Refused { host, port, database, source })?;
        let tail = options.replication.then(|| {
            let password = options.password.clone().or_else(|| password_in(&options.url));
            Arc::new(tokio::sync::Mutex::new(Tail::new(Connect::of(&connect, password.as_deref()))))
        });
        // Whoever listens keeps its connection, and closes it: nothing of it may be found by the next.
        let bells = PgPoolOptions::new()
            .max_connections(1)
            .min_connections(0)
            .acquire_timeout(PATIENCE)
            .after_release(|_, _| Box::pin(async { Ok(false) }))
            .connect_lazy_with(connect);
        Ok(Database {
            pool,
            schema: options.schema.clone(),
            bells,
            bell: Arc::default(),
            rotated: Arc::default(),
            tail,
        })
    }

    /// Returns the connections.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Returns the schema of tables that are named without one.
    pub fn schema(&self) -> &str {
        &self.schema
    }

    /// Returns whether rows of its outbox leave through logical replication.
    pub fn replicates(&self) -> bool {
        self.tail.is_some()
    }

    /// Returns how many rows came through the stream and wait; none while the outbox itself is read.
    pub async fn streamed(&self) -> Option<usize> {
        self.tail.as_ref()?.lock().await.streamed()
    }

    /// Returns the stream of its outbox, where rows leave through it.
    pub(crate) fn tail(&self) -> Option<&tokio::sync::Mutex<Tail>> {
        self.tail.as_deref()
    }

    /// Returns the connection that listens while nothing is to be done, made anew where there is none.
    pub(crate) fn bells(&self) -> &PgPool {
        &self.bells
    }

    /// Returns the connection that listens, between two sleeps.
    pub(crate) fn bell(&self) -> &Mutex<Option<PgListener>> {
        &self.bell
    }

    /// Returns the minute in which the drained tables of the outbox were last cut off.
    pub(crate) fn rotated(&self) -> &AtomicI64 {
        &self.rotated
    }

    /// Begins a transaction, READ COMMITTED.
    ///
    /// Cancel safe: dropped amid BEGIN, the client would put its connection back into the pool without knowing that a
    /// transaction is open there, and what the next one writes would hang in it. So a task of its own waits for the answer.
    pub(crate) async fn begin(&self) -> Result<Transaction<'static, Postgres>, PortError> {
        let pool = self.pool.clone();
        let begun = tokio::spawn(async move { pool.begin().await }).await;
        begun.map_err(|ended| PortError::NotApplied(Box::new(ended)))?.map_err(not_applied)
    }
}

/// Commits a transaction.
pub(crate) async fn commit(transaction: Transaction<'static, Postgres>) -> Result<(), PortError> {
    transaction.commit().await.map_err(commit_failed)
}
