//! The database of one context: one SQLite file, in which the service's own tables live too.

use crate::file::{File, OpenError, PATIENCE, not_applied, run_all};
use crate::install::table;
use seamline_flow::port::PortError;
use sqlx::Connection;
use sqlx::sqlite::{SqliteConnection, SqlitePool};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::MutexGuard;

/// The database of one context. One connection writes in a process; other processes wait for each other.
#[derive(Debug)]
pub struct Database {
    file: File,
    path: PathBuf,
}

impl Database {
    /// Opens a database that is there.
    ///
    /// # Errors
    /// When the file cannot be used, or a newer program wrote it.
    pub async fn open(path: &Path) -> Result<Database, OpenError> {
        Database::open_within(path, PATIENCE).await
    }

    /// Opens a database that is there, and waits at most this long for another process, now and in each call.
    ///
    /// # Errors
    /// When the file cannot be used, or a newer program wrote it.
    pub async fn open_within(path: &Path, patience: Duration) -> Result<Database, OpenError> {
        let file = File::open(path, false, patience, table::FORMATS).await?;
        Ok(Database { file, path: path.to_owned() })
    }

    /// Opens a database and makes it where there is none; tables of cases and ledgers are in it afterwards.
    ///
    /// # Errors
    /// When the file cannot be used, or a newer program wrote it.
    pub async fn create(path: &Path) -> Result<Database, OpenError> {
        let file = File::open(path, true, PATIENCE, table::FORMATS).await?;
        let wrong = |source| OpenError::Sqlite { path: path.to_owned(), source };
        {
            let mut writer = file.writer().await;
            let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await.map_err(wrong)?;
            run_all(&mut transaction, &table::statements(&[table::SHARED])).await.map_err(wrong)?;
            transaction.commit().await.map_err(wrong)?;
        }
        Ok(Database { file, path: path.to_owned() })
    }

    /// Returns the path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the connection that writes, for a service in this process. Everybody else here waits until it is dropped.
    pub async fn writer(&self) -> MutexGuard<'_, SqliteConnection> {
        self.file.writer().await
    }

    /// Returns whether there is a table of a name.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn has_table(&self, name: &str) -> Result<bool, PortError> {
        let count =
            sqlx::query_scalar("SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = ?");
        let count: i64 = count.bind(name).fetch_one(self.readers()).await.map_err(not_applied)?;
        Ok(count > 0)
    }

    /// Returns whether a stored table is there in an older format than that of this program.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn is_older(&self, stored: &str) -> Result<bool, PortError> {
        let found = sqlx::query_scalar("SELECT version FROM seamline_format WHERE stored = ?").bind(stored);
        let found: Option<i64> = found.fetch_optional(self.readers()).await.map_err(not_applied)?;
        let known = table::FORMATS.iter().find(|(name, _)| *name == stored).map(|(_, version)| *version);
        Ok(found < known)
    }

    /// Returns how many bytes the file has.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn bytes(&self) -> Result<u64, PortError> {
        let bytes = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";
        let bytes: i64 = sqlx::query_scalar(bytes).fetch_one(self.readers()).await.map_err(not_applied)?;
        Ok(u64::try_from(bytes).unwrap_or_default())
    }

    /// Returns the connections that read; what is committed is seen.
    pub fn readers(&self) -> &SqlitePool {
        self.file.readers()
    }
}
