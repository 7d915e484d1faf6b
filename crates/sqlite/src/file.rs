//! One SQLite file: how it is opened, who writes, who reads, and which formats its stored tables have.

use seamline_flow::port::{Cause, PortError};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row, Sqlite, Transaction};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::{Mutex, MutexGuard};

/// How long a writer waits for another process before it gives up.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Connections that read beside the one that writes.
const READERS_MAX: u32 = 4;

const BUSY: i32 = 5;
const READ_ONLY: i32 = 8;
const CANNOT_OPEN: i32 = 14;
const NOT_A_DATABASE: i32 = 26;

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It is not there, or its directory is not.
    #[error("there is no file `{0}`")]
    Missing(PathBuf),
    /// It is something else.
    #[error("`{0}` is not an SQLite database")]
    NotADatabase(PathBuf),
    /// Nobody here may write it.
    #[error("`{0}` is read-only")]
    ReadOnly(PathBuf),
    /// Another process holds a transaction that writes.
    #[error("`{0}` is locked by another process")]
    Locked(PathBuf),
    /// A newer program wrote it.
    #[error("`{path}` holds `{stored}` in format {found}; this program knows formats up to {known}")]
    Newer {
        /// The file.
        path: PathBuf,
        /// The stored table.
        stored: String,
        /// Its format.
        found: i64,
        /// The newest format known here; zero when the table is not known at all.
        known: i64,
    },
    /// SQLite says something else.
    #[error("`{path}` cannot be opened: {source}")]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        source: sqlx::Error,
    },
}

impl OpenError {
    /// Returns what to do next.
    pub fn help(&self) -> &'static str {
        match self {
            OpenError::Missing(_) => "check the path in the environment, or make the database first",
            OpenError::NotADatabase(_) => "check the path in the environment; the file was left as it is",
            OpenError::ReadOnly(_) => "give this user the right to write the file and its directory",
            OpenError::Locked(_) => "end the transaction that holds it, then try again",
            OpenError::Newer { .. } => "use the program that wrote it, or a newer one; nothing was changed",
            OpenError::Sqlite { .. } => {
                "see what SQLite says; `sqlite3 FILE 'pragma integrity_check'` tells more"
            }
        }
    }
}

/// The stored tables of a kind of file, each with the newest format known here.
pub(crate) type Formats = &'static [(&'static str, i64)];

/// One SQLite file.
#[derive(Debug)]
pub(crate) struct File {
    writer: Mutex<SqliteConnection>,
    readers: SqlitePool,
}

impl File {
    /// Opens a file.
    pub(crate) async fn open(
        path: &Path,
        create: bool,
        patience: Duration,
        formats: Formats,
    ) -> Result<File, OpenError> {
        match std::fs::metadata(path) {
            Err(_) if !create => return Err(OpenError::Missing(path.to_owned())),
            Ok(there) if there.permissions().readonly() => return Err(OpenError::ReadOnly(path.to_owned())),
            _ => {}
        }
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(create)
            .foreign_keys(true)
            .busy_timeout(patience)
            .statement_cache_capacity(256)
            .command_buffer_size(64)
            .row_buffer_size(512)
            .disable_statement_logging();
        let writing =
            options.clone().journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Full);
        let wrong = |source| classify(path, source);
        let mut writer = writing.connect().await.map_err(wrong)?;
        // A file that cannot be written, or is held by somebody, says so here and not in the first batch.
        let probe = writer.begin_with("BEGIN IMMEDIATE").await.map_err(wrong)?;
        probe.rollback().await.map_err(wrong)?;
        check_formats(&mut writer, path, formats).await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS_MAX)
            .test_before_acquire(false)
            .connect_lazy_with(options.read_only(true));
        Ok(File { writer: Mutex::new(writer), readers })
    }

    /// Returns the connection that writes, once nobody else in this process uses it.
    pub(crate) async fn writer(&self) -> MutexGuard<'_, SqliteConnection> {
        self.writer.lock().await
    }

    /// Returns the connections that read.
    pub(crate) fn readers(&self) -> &SqlitePool {
        &self.readers
    }
}

fn classify(path: &Path, source: sqlx::Error) -> OpenError {
    let path = path.to_owned();
    match code(&source) {
        Some(BUSY) => OpenError::Locked(path),
        Some(READ_ONLY) => OpenError::ReadOnly(path),
        Some(CANNOT_OPEN) => OpenError::Missing(path),
        Some(NOT_A_DATABASE) => OpenError::NotADatabase(path),
        _ => OpenError::Sqlite { path, source },
    }
}

/// Whether somebody else held the file.
pub(crate) fn is_busy(error: &sqlx::Error) -> bool {
    code(error) == Some(BUSY)
}

/// Returns SQLite's primary result code.
fn code(error: &sqlx::Error) -> Option<i32> {
    let extended: i32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(extended & 0xff)
}

async fn check_formats(conn: &mut SqliteConnection, path: &Path, formats: Formats) -> Result<(), OpenError> {
    let wrong = |source| classify(path, source);
    let there = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'seamline_format'";
    let there: i64 = sqlx::query_scalar(there).fetch_one(&mut *conn).await.map_err(wrong)?;
    if there == 0 {
        return Ok(());
    }
    let stored = sqlx::query("SELECT stored, version FROM seamline_format ORDER BY stored");
    for row in stored.fetch_all(&mut *conn).await.map_err(wrong)? {
        let (stored, found): (String, i64) = (row.get(0), row.get(1));
        let known = formats.iter().find(|(name, _)| *name == stored).map_or(0, |(_, version)| *version);
        if found > known {
            return Err(OpenError::Newer { path: path.to_owned(), stored, found, known });
        }
    }
    Ok(())
}

/// Returns the statements that record the formats of stored tables.
pub(crate) fn format_statements(formats: impl IntoIterator<Item = (&'static str, i64)>) -> Vec<String> {
    let table = "CREATE TABLE IF NOT EXISTS seamline_format (\n  stored TEXT NOT NULL PRIMARY KEY,\n  \
                 version INTEGER NOT NULL\n) WITHOUT ROWID";
    let mut statements = vec![table.to_owned()];
    statements.extend(formats.into_iter().map(|(stored, version)| {
        format!("INSERT OR REPLACE INTO seamline_format (stored, version) VALUES ('{stored}', {version})")
    }));
    statements
}

/// Runs statements that return nothing.
pub(crate) async fn run_all(conn: &mut SqliteConnection, statements: &[String]) -> Result<(), sqlx::Error> {
    for statement in statements {
        sqlx::query(AssertSqlSafe(statement.as_str())).persistent(false).execute(&mut *conn).await?;
    }
    Ok(())
}

/// Begins a transaction that writes: it holds the file from its first moment, so that what it reads stays true.
pub(crate) async fn begin(conn: &mut SqliteConnection) -> Result<Transaction<'_, Sqlite>, PortError> {
    conn.begin_with("BEGIN IMMEDIATE").await.map_err(not_applied)
}

/// Commits. Only an error of the commit itself leaves its outcome unknown.
pub(crate) async fn commit(transaction: Transaction<'_, Sqlite>) -> Result<(), PortError> {
    transaction.commit().await.map_err(|error| {
        if is_busy(&error) { not_applied(error) } else { PortError::Unknown(Box::new(error)) }
    })
}

/// Returns the error of a call that had no effect: what was done is rolled back.
pub(crate) fn not_applied(error: impl Into<Cause>) -> PortError {
    PortError::NotApplied(error.into())
}

/// Returns the error of a stored value that nobody here could have written.
pub(crate) fn corrupt(what: impl Into<Cause>) -> sqlx::Error {
    sqlx::Error::Decode(what.into())
}

/// Returns a name as SQL quotes it.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Returns a text as SQL quotes it.
pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Returns a number as SQLite holds it.
///
/// # Panics
/// When it needs the sign bit: offsets, sequences and counts never do.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).expect("sequences, offsets and counts have 63 bits")
}

/// Returns a number that SQLite holds and that is never negative.
pub(crate) fn unsigned(number: i64) -> Result<u64, sqlx::Error> {
    u64::try_from(number).map_err(corrupt)
}

/// Returns the sizes in which rows are written: few sizes, so that each statement is prepared once.
pub(crate) fn chunks<T>(mut rows: &[T], columns: usize) -> Vec<&[T]> {
    /// SQLite's own limit of parameters is 32766.
    const PARAMETERS_MAX: usize = 32_000;
    let mut parts = Vec::new();
    for size in [256, 64, 16, 4, 1] {
        if size > 1 && size * columns > PARAMETERS_MAX {
            continue;
        }
        while rows.len() >= size {
            let (part, rest) = rows.split_at(size);
            parts.push(part);
            rows = rest;
        }
    }
    parts
}

/// Returns `(?,?),(?,?)` for rows of columns.
pub(crate) fn places(rows: usize, columns: usize) -> String {
    let row = format!("({})", vec!["?"; columns].join(","));
    vec![row.as_str(); rows].join(",")
}
