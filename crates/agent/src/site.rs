//! Where an estate runs: the databases of its contexts and the log, as one environment says.

use crate::clock::SystemClock;
use seamline_contract::context::Engine;
use seamline_contract::environment::{Environment, LogPlace};
use seamline_contract::estate::Estate;
use seamline_contract::id::ContextId;
use seamline_sqlite::context::Database;
use seamline_sqlite::file::OpenError;
use seamline_sqlite::log::EmbeddedLog;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why a place cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SiteError {
    /// The environment's log is Apache Kafka.
    #[error("environment `{0}` has Apache Kafka as its log, which this version has not")]
    Kafka(String),
    /// A system is no SQLite file.
    #[error("system `{0}` is on another database than SQLite, which this version has not")]
    Engine(String),
    /// There is no such context.
    #[error("there is no context `{0}`")]
    NoContext(ContextId),
    /// A file cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A folder cannot be made.
    #[error("folder `{path}` cannot be made")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl SiteError {
    /// Returns what to do next.
    pub fn help(&self) -> String {
        match self {
            SiteError::Kafka(_) => {
                "name an environment with `log: { embedded: .seamline/log.db }`".to_owned()
            }
            SiteError::Engine(_) => "give it `engine: sqlite`, or leave it out of the environment".to_owned(),
            SiteError::NoContext(_) => "`seamline show` lists what there is".to_owned(),
            SiteError::Open(error) => error.help().to_owned(),
            SiteError::Folder { .. } => "make it, or run from where you may write".to_owned(),
        }
    }
}

/// An estate in one of its environments.
#[derive(Debug, Clone)]
pub struct Site {
    /// The folder from which relative paths of the environment count.
    pub root: PathBuf,
    /// The estate.
    pub estate: Estate,
    /// The environment.
    pub environment: Environment,
}

impl Site {
    /// Returns the file of the log.
    ///
    /// # Errors
    /// When the environment has no embedded log.
    pub fn log_path(&self) -> Result<PathBuf, SiteError> {
        match &self.environment.log {
            LogPlace::Embedded { path } => Ok(self.root.join(path)),
            LogPlace::Kafka { .. } => Err(SiteError::Kafka(self.environment.id.to_string())),
        }
    }

    /// Returns the file of a context: where the environment says that its systems are, else beside the log.
    ///
    /// # Errors
    /// When there is no such context, or a system of it is no SQLite file.
    pub fn database_path(&self, context: &ContextId) -> Result<PathBuf, SiteError> {
        let declared = self.estate.context(context).ok_or_else(|| SiteError::NoContext(context.clone()))?;
        if let Some(system) = declared.systems.iter().find(|system| system.engine != Engine::Sqlite) {
            return Err(SiteError::Engine(format!("{context}/{}", system.id)));
        }
        if let Some(place) = self.environment.systems.iter().find(|place| &place.context == context) {
            let path = place.url.strip_prefix("sqlite://");
            let path = path.ok_or_else(|| SiteError::Engine(format!("{context}/{}", place.system)))?;
            return Ok(self.root.join(path));
        }
        let log = self.log_path()?;
        Ok(log.parent().unwrap_or(&self.root).join(format!("{context}.db")))
    }

    /// Opens the log; `create` makes it where there is none.
    ///
    /// # Errors
    /// When its file cannot be used.
    pub async fn log(&self, create: bool) -> Result<EmbeddedLog, SiteError> {
        let path = self.log_path()?;
        if create {
            make_folder(&path)?;
        }
        Ok(EmbeddedLog::open(&path, create, Arc::new(SystemClock)).await?)
    }

    /// Opens a context's database; `create` makes it where there is none.
    ///
    /// # Errors
    /// When its file cannot be used.
    pub async fn database(&self, context: &ContextId, create: bool) -> Result<Database, SiteError> {
        let path = self.database_path(context)?;
        if !create {
            return Ok(Database::open(&path).await?);
        }
        make_folder(&path)?;
        Ok(Database::create(&path).await?)
    }
}

fn make_folder(file: &Path) -> Result<(), SiteError> {
    let Some(folder) = file.parent() else { return Ok(()) };
    std::fs::create_dir_all(folder).map_err(|source| SiteError::Folder { path: folder.to_owned(), source })
}
