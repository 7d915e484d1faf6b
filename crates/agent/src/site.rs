//! Where an estate runs: the databases of its contexts and the log, as one environment says.

use crate::clock::SystemClock;
use crate::database::Database;
use crate::log::SiteLog;
use crate::place::{Place, folder_of};
use crate::variables::{Variables, of_process};
use seamline_contract::context::Engine;
use seamline_contract::environment::{Environment, LogPlace, RelayBy};
use seamline_contract::estate::Estate;
use seamline_contract::id::{ContextId, SystemId};
use seamline_postgres::database as postgres;
use seamline_sqlite::context::Database as SqliteDatabase;
use seamline_sqlite::file::OpenError;
use seamline_sqlite::log::EmbeddedLog;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Returns a secret that no file of an estate holds: a variable of the process, or the content of the file that `NAME_FILE`
/// names, without the end of its line. `used_in` says what for; the value never appears in errors.
///
/// # Errors
/// When neither is there, or the file cannot be read.
pub fn secret(name: &str, used_in: &str) -> Result<String, SiteError> {
    Variables { declared: &[], process: &of_process }.expand(&format!("${{{name}}}"), used_in)
}

/// Why a place cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SiteError {
    /// The environment's log is Apache Kafka, which this build has not.
    #[error("environment `{0}` has Apache Kafka as its log, and this program was built without it")]
    Kafka(String),
    /// The log is no file.
    #[error("environment `{0}` has no embedded log")]
    NoFile(String),
    /// A place is of another kind than its system.
    #[error("system `{system}` is declared as {declared}, and the environment places it at `{scheme}://`")]
    Engine {
        /// The system.
        system: String,
        /// Its engine.
        declared: &'static str,
        /// The scheme of its place.
        scheme: String,
    },
    /// A place is of a kind that is not known.
    #[error("system `{system}` is placed at `{scheme}://`, which this version has not")]
    Scheme {
        /// The system.
        system: String,
        /// The scheme of its place.
        scheme: String,
    },
    /// Rows of a file's outbox do not leave through replication.
    #[error("system `{system}` is placed at `{scheme}://`, and `relay: replication` needs PostgreSQL")]
    Replication {
        /// The system.
        system: String,
        /// The scheme of its place.
        scheme: String,
    },
    /// The environment does not say where a system is.
    #[error("environment `{environment}` does not say where system `{system}` is")]
    NoPlace {
        /// The environment.
        environment: String,
        /// The system.
        system: String,
    },
    /// Two systems of one context are in one database under two schemas or users.
    #[error("systems `{one}` and `{other}` are in one database, and not under the same user and schema")]
    Split {
        /// One.
        one: String,
        /// The other.
        other: String,
    },
    /// There is no such context.
    #[error("there is no context `{0}`")]
    NoContext(ContextId),
    /// A context that is to run has no system.
    #[error("context `{0}` has no system to run on")]
    NoSystem(ContextId),
    /// A variable has no text.
    #[error("`${{{name}}}`, used in {used_in}, {what}")]
    Variable {
        /// Its name.
        name: String,
        /// Where it is used.
        used_in: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A variable holds no key.
    #[error("`{name}` holds no key-encryption key")]
    Key {
        /// Its name.
        name: String,
    },
    /// The file of a variable cannot be read.
    #[error("`{path}`, named by `{name}` for {used_in}, cannot be read: {source}")]
    VariableFile {
        /// The name of the variable that names the file.
        name: String,
        /// Where it is used.
        used_in: String,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A PostgreSQL database cannot be used.
    #[error(transparent)]
    Postgres(#[from] postgres::OpenError),
    /// Apache Kafka cannot be used.
    #[cfg(feature = "kafka")]
    #[error(transparent)]
    Broker(#[from] seamline_kafka::open::OpenError),
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
            SiteError::Kafka(_) => "build it with `--features kafka`, or name an environment with \
                 `log: { embedded: .seamline/log.db }`"
                .to_owned(),
            SiteError::NoFile(_) => {
                "name an environment with `log: { embedded: .seamline/log.db }`".to_owned()
            }
            SiteError::Engine { .. } => {
                "give it a place of its engine, or leave it out of an environment with an embedded log"
                    .to_owned()
            }
            SiteError::Scheme { .. } => "place it at `postgres://…` or `sqlite://…`".to_owned(),
            SiteError::Replication { .. } => {
                "leave out `relay`: the relay reads the outbox as a queue".to_owned()
            }
            SiteError::NoPlace { system, .. } => {
                format!("write `systems: {{ {system}: {{ url: 'postgres://host:port/database' }} }}` in it")
            }
            SiteError::Split { .. } => {
                "give each a database of its own, or both the same user and schema".to_owned()
            }
            SiteError::NoContext(_) => "`seamline show` lists what there is".to_owned(),
            SiteError::NoSystem(_) => "declare its `systems` in the context's file".to_owned(),
            SiteError::Variable { name, .. } => {
                format!("set {name}, or let {name}_FILE name a file that holds it")
            }
            SiteError::Key { .. } => "write 64 hexadecimal digits that nobody could guess, such as `openssl rand -hex 32` prints; older \
                 keys apart by commas"
                .to_owned(),
            SiteError::VariableFile { .. } => "check the path and who may read it".to_owned(),
            SiteError::Open(error) => error.help().to_owned(),
            SiteError::Postgres(error) => error.help().to_owned(),
            #[cfg(feature = "kafka")]
            SiteError::Broker(error) => error.help().to_owned(),
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

/// A database of a context, and which of its systems it is.
pub struct Located {
    /// Where it is.
    pub place: Place,
    /// The systems, in the order declared; empty for a context that declares none.
    pub systems: Vec<SystemId>,
}

impl Site {
    /// Returns whether the log is a file, which nothing cleans.
    pub fn is_embedded(&self) -> bool {
        matches!(self.environment.log, LogPlace::Embedded { .. })
    }

    /// Returns the file of the log.
    ///
    /// # Errors
    /// When the environment has no embedded log.
    pub fn log_path(&self) -> Result<PathBuf, SiteError> {
        match &self.environment.log {
            LogPlace::Embedded { path } => Ok(self.root.join(self.expand(path, "the path of the log")?)),
            LogPlace::Kafka { .. } => Err(SiteError::NoFile(self.environment.id.to_string())),
        }
    }

    /// Returns how the log is called in messages: its file, or the brokers.
    ///
    /// # Errors
    /// When a variable has no text.
    pub fn log_name(&self) -> Result<String, SiteError> {
        let LogPlace::Kafka { properties } = &self.environment.log else {
            return Ok(self.log_path()?.display().to_string());
        };
        let brokers = properties.iter().find(|(name, _)| name == "bootstrap.servers");
        let brokers = brokers.map_or("", |(_, text)| text.as_str());
        Ok(format!("kafka://{}", self.expand(brokers, "`bootstrap.servers` of the log")?))
    }

    /// Returns the databases of a context, each once, with the systems that are in it.
    ///
    /// # Errors
    /// When there is no such context, or a place of it cannot be used.
    pub fn located(&self, context: &ContextId) -> Result<Vec<Located>, SiteError> {
        let declared = self.estate.context(context).ok_or_else(|| SiteError::NoContext(context.clone()))?;
        if declared.systems.is_empty() {
            return match self.environment.log {
                LogPlace::Embedded { .. } => {
                    Ok(vec![Located { place: self.default_place(context)?, systems: Vec::new() }])
                }
                LogPlace::Kafka { .. } => Err(SiteError::NoSystem(context.clone())),
            };
        }
        let mut located: Vec<Located> = Vec::new();
        for system in &declared.systems {
            let place = self.place(context, &system.id, system.engine)?;
            match located.iter_mut().find(|there| there.place.is_same_database(&place)) {
                Some(there) if there.place == place => there.systems.push(system.id.clone()),
                Some(there) => {
                    let one = there.systems.first().map(ToString::to_string).unwrap_or_default();
                    return Err(SiteError::Split {
                        one: format!("{context}/{one}"),
                        other: format!("{context}/{}", system.id),
                    });
                }
                None => located.push(Located { place, systems: vec![system.id.clone()] }),
            }
        }
        Ok(located)
    }

    fn place(&self, context: &ContextId, system: &SystemId, engine: Engine) -> Result<Place, SiteError> {
        let name = format!("{context}/{system}");
        let named =
            |it: &&seamline_contract::environment::Place| &it.context == context && &it.system == system;
        let Some(written) = self.environment.systems.iter().find(named) else {
            return match self.environment.log {
                LogPlace::Embedded { .. } => self.default_place(context),
                LogPlace::Kafka { .. } => {
                    Err(SiteError::NoPlace { environment: self.environment.id.to_string(), system: name })
                }
            };
        };
        let url = self.expand(&written.url, &format!("`url` of `{name}`"))?;
        let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme).to_owned();
        let contradicts =
            |declared| SiteError::Engine { system: name.clone(), declared, scheme: scheme.clone() };
        let replication = written.relay == RelayBy::Replication;
        match (scheme.as_str(), engine) {
            ("sqlite", Engine::Sqlite) if replication => Err(SiteError::Replication { system: name, scheme }),
            ("sqlite", Engine::Sqlite) => Ok(Place::Sqlite(self.root.join(&url["sqlite://".len()..]))),
            ("postgres" | "postgresql", Engine::Postgres) => {
                let each = |text: &Option<String>, what: &str| {
                    let used_in = format!("`{what}` of `{name}`");
                    text.as_ref().map(|text| self.expand(text, &used_in)).transpose()
                };
                Ok(Place::Postgres(Box::new(postgres::Options {
                    user: each(&written.user, "user")?,
                    password: each(&written.password, "password")?,
                    schema: each(&written.schema, "schema")?.unwrap_or_else(|| "public".to_owned()),
                    url,
                    replication,
                })))
            }
            ("sqlite", Engine::Postgres) => Err(contradicts("PostgreSQL")),
            ("postgres" | "postgresql", Engine::Sqlite) => Err(contradicts("SQLite")),
            ("sqlite" | "postgres" | "postgresql", Engine::Mysql) => Err(contradicts("MySQL")),
            _ => Err(SiteError::Scheme { system: name, scheme }),
        }
    }

    /// A system that the environment does not name is a file beside the embedded log, whatever its engine: one estate runs
    /// on servers and on a laptop.
    fn default_place(&self, context: &ContextId) -> Result<Place, SiteError> {
        let log = self.log_path()?;
        Ok(Place::Sqlite(log.parent().unwrap_or(&self.root).join(format!("{context}.db"))))
    }

    fn expand(&self, text: &str, used_in: &str) -> Result<String, SiteError> {
        Variables { declared: &self.environment.variables, process: &of_process }.expand(text, used_in)
    }

    /// Returns librdkafka's properties of the log, with secrets in them: never print them.
    ///
    /// # Errors
    /// When a variable has no text.
    pub fn log_properties(&self) -> Result<Vec<(String, String)>, SiteError> {
        let LogPlace::Kafka { properties } = &self.environment.log else { return Ok(Vec::new()) };
        let expanded = properties
            .iter()
            .map(|(name, text)| Ok((name.clone(), self.expand(text, &format!("`{name}` of the log"))?)));
        expanded.collect()
    }

    /// Opens the log; `create` makes an embedded one where there is none.
    ///
    /// # Errors
    /// When its file or its brokers cannot be used.
    pub async fn log(&self, create: bool) -> Result<SiteLog, SiteError> {
        if let LogPlace::Kafka { .. } = self.environment.log {
            return self.kafka().await;
        }
        let path = self.log_path()?;
        if create {
            make_folder(&path)?;
        }
        Ok(SiteLog::embedded(EmbeddedLog::open(&path, create, Arc::new(SystemClock)).await?))
    }

    #[cfg(feature = "kafka")]
    async fn kafka(&self) -> Result<SiteLog, SiteError> {
        let properties = seamline_kafka::properties::Properties::new(&self.log_properties()?)?;
        let replicas = self.environment.replicas;
        Ok(SiteLog::kafka(seamline_kafka::log::KafkaLog::open(&properties, replicas).await?))
    }

    #[cfg(not(feature = "kafka"))]
    async fn kafka(&self) -> Result<SiteLog, SiteError> {
        Err(SiteError::Kafka(self.environment.id.to_string()))
    }

    /// Opens a database; `create` makes a file where there is none.
    ///
    /// # Errors
    /// When it cannot be used.
    pub async fn database(&self, place: &Place, create: bool) -> Result<Database, SiteError> {
        match place {
            Place::Sqlite(path) if create => {
                make_folder(path)?;
                Ok(Database::sqlite(SqliteDatabase::create(path).await?))
            }
            Place::Sqlite(path) => Ok(Database::sqlite(SqliteDatabase::open(path).await?)),
            Place::Postgres(options) => Ok(Database::postgres(postgres::Database::open(options).await?)),
        }
    }
}

fn make_folder(file: &Path) -> Result<(), SiteError> {
    let Some(folder) = folder_of(file) else { return Ok(()) };
    std::fs::create_dir_all(&folder).map_err(|source| SiteError::Folder { path: folder, source })
}
