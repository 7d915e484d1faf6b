//! Where one round is measured: databases and topics of its own on the servers, removed at its end.

use crate::cpu::Servers;
use crate::peers::{connect, run};
use anyhow::{Context, Result};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);

/// The servers.
#[derive(Debug, Clone)]
pub(crate) struct Addresses {
    /// A URL of a superuser, of any database.
    pub(crate) postgres: String,
    /// `host:port` of a broker.
    pub(crate) kafka: String,
    /// Their processes.
    pub(crate) servers: Servers,
}

impl Addresses {
    /// Reads them from the environment and connects once.
    pub(crate) async fn find() -> Result<Addresses> {
        let read = |name: &str| {
            std::env::var(name).with_context(|| {
                format!("`{name}` is not set; run `cargo x bench flow`, which starts servers")
            })
        };
        let (postgres, kafka) = (read("SEAMLINE_POSTGRES")?, read("SEAMLINE_KAFKA")?);
        let mut conn = connect(&postgres).await?;
        let backend: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut conn).await?;
        let port = kafka.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        let port = port.with_context(|| format!("`SEAMLINE_KAFKA` is `{kafka}`; write it as `host:port`"))?;
        let servers = Servers::find(backend.cast_unsigned(), port);
        Ok(Addresses { postgres, kafka, servers })
    }

    /// Returns the URL of a database on the same server.
    pub(crate) fn database(&self, name: &str) -> String {
        let server = self.postgres.rsplit_once('/').map_or(self.postgres.as_str(), |(server, _)| server);
        format!("{server}/{name}")
    }

    /// Returns an administrator of topics.
    pub(crate) fn admin(&self) -> Result<AdminClient<DefaultClientContext>> {
        Ok(ClientConfig::new().set("bootstrap.servers", &self.kafka).create()?)
    }
}

/// Databases and topics of one round.
pub(crate) struct Site {
    /// The servers.
    pub(crate) addresses: Addresses,
    /// The name of the producer's context: all topics begin with it, also those that follow no template.
    pub(crate) name: String,
    databases: Vec<String>,
}

impl Site {
    /// Begins with nothing.
    pub(crate) fn new(addresses: &Addresses, name: &str) -> Site {
        let name = format!("bench-{}-{name}", std::process::id());
        Site { addresses: addresses.clone(), name, databases: Vec::new() }
    }

    /// Returns the name of a database.
    pub(crate) fn database_name(&self, what: &str) -> String {
        format!("{}_{what}", self.name).replace('-', "_")
    }

    /// Makes an empty database; returns its URL and connections to it.
    pub(crate) async fn database(&mut self, what: &str) -> Result<(String, PgPool)> {
        let name = self.database_name(what);
        let mut conn = connect(&self.addresses.postgres).await?;
        run(&mut conn, &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await?;
        run(&mut conn, &format!("CREATE DATABASE {name}")).await?;
        self.databases.push(name.clone());
        let url = self.addresses.database(&name);
        let pool = PgPoolOptions::new().max_connections(8).connect(&url).await?;
        Ok((url, pool))
    }

    /// Makes compacted topics with so many partitions.
    pub(crate) async fn topics(&self, names: &[String], partitions: i32) -> Result<()> {
        let new = |name| {
            NewTopic::new(name, partitions, TopicReplication::Fixed(1)).set("cleanup.policy", "compact")
        };
        let topics: Vec<NewTopic<'_>> = names.iter().map(|name| new(name)).collect();
        let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
        for made in self.addresses.admin()?.create_topics(&topics, &options).await? {
            made.map_err(|(topic, code)| anyhow::anyhow!("topic `{topic}`: {code}"))?;
        }
        Ok(())
    }

    /// Removes everything that was made.
    pub(crate) async fn remove(self) -> Result<()> {
        let mut conn = connect(&self.addresses.postgres).await?;
        for database in &self.databases {
            run(&mut conn, &format!("DROP DATABASE IF EXISTS {database} WITH (FORCE)")).await?;
        }
        let asking: BaseConsumer =
            ClientConfig::new().set("bootstrap.servers", &self.addresses.kafka).create()?;
        let known = asking.fetch_metadata(None, PATIENCE)?;
        let ours =
            known.topics().iter().map(|topic| topic.name()).filter(|name| name.starts_with(&self.name));
        let ours: Vec<String> = ours.map(ToOwned::to_owned).collect();
        let admin = self.addresses.admin()?;
        let options = AdminOptions::new();
        let names: Vec<&str> = ours.iter().map(String::as_str).collect();
        if !names.is_empty() {
            for answer in admin.delete_topics(&names, &options).await? {
                answer.map_err(|(topic, code)| anyhow::anyhow!("topic `{topic}`: {code}"))?;
            }
        }
        Ok(())
    }
}
