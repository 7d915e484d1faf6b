//! An Apache Kafka broker of our own: one process is broker and controller, on loopback, in plain text.

use crate::services::jars;
use crate::services::metadata::broker_answers;
use crate::services::port::free_port;
use crate::services::server::Server;
use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::fmt::Write;
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::time::Duration;

const STOP_MAX: Duration = Duration::from_secs(60);
const STARTS: u32 = 3;

/// What no port is part of. One broker holds every replica; compaction and retention come soon, for tests wait on them.
const PROPERTIES: &str = "\
process.roles=broker,controller
node.id=1
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=data
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
group.initial.rebalance.delay.ms=0
log.cleaner.backoff.ms=1000
log.segment.delete.delay.ms=1000
log.retention.check.interval.ms=2000
";

/// A broker. When dropped, it is stopped and its data removed.
pub struct Kafka {
    server: Server,
    jars: PathBuf,
    ports: Ports,
}

struct Ports {
    clients: u16,
    controller: u16,
    proxied: Option<Proxied>,
}

/// A second listener, for clients that come through a proxy.
struct Proxied {
    /// Where the broker listens, and the proxy forwards to.
    port: u16,
    /// Where the proxy listens, which is what the broker tells such clients.
    advertised: u16,
}

impl Kafka {
    /// Starts a fresh broker on free ports. With `proxy`, the port of a proxy, it has a second listener for it to
    /// forward to: clients that come that way are told the proxy's port, and never leave it.
    ///
    /// # Errors
    /// Kafka cannot be fetched, or does not start: then the error ends with the last lines of its log.
    pub fn start(proxy: Option<u16>) -> Result<Self> {
        let jars = jars::kafka()?;
        for _ in 1..STARTS {
            let mut kafka = Self::create(&jars, proxy)?;
            let started = kafka.restart();
            if started.is_ok() || !kafka.server.port_was_taken() {
                return started.map(|()| kafka);
            }
        }
        let mut kafka = Self::create(&jars, proxy)?;
        kafka.restart()?;
        Ok(kafka)
    }

    fn create(jars: &Path, proxy: Option<u16>) -> Result<Self> {
        let server = Server::new("kafka", "KILL", None)?;
        let proxied = match proxy {
            Some(advertised) => Some(Proxied { port: free_port()?, advertised }),
            None => None,
        };
        let ports = Ports { clients: free_port()?, controller: free_port()?, proxied };
        let file = server.folder().join("server.properties");
        fs::write(&file, ports.properties()).with_context(|| file.display().to_string())?;
        let mut args = java(&["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"], jars);
        let format = ["kafka.tools.StorageTool", "format", "-c", "server.properties", "-t"];
        args.extend(format.map(str::to_owned));
        args.push(cluster_id());
        server.prepare(Path::new("java"), &args)?;
        Ok(Self { server, jars: jars.to_path_buf(), ports })
    }

    /// Returns host and port for clients.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.ports.clients)
    }

    /// Returns the folder of its topics' files.
    pub fn data(&self) -> PathBuf {
        self.server.folder().join("data")
    }

    /// Returns the number of its process, if it runs.
    pub fn id(&self) -> Option<u32> {
        self.server.id()
    }

    /// Returns the folder of Kafka's jars.
    pub fn jars(&self) -> String {
        self.jars.display().to_string()
    }

    /// Returns the port that the proxy must forward to, if the broker was started for one.
    pub fn proxied_port(&self) -> Option<u16> {
        self.ports.proxied.as_ref().map(|proxied| proxied.port)
    }

    /// Starts the stopped broker on the same data and ports, and waits until it answers with metadata.
    ///
    /// # Errors
    /// It runs, or does not start.
    pub fn restart(&mut self) -> Result<()> {
        if self.server.id().is_some() {
            bail!("kafka runs already; stop it first");
        }
        let mut args = java(&["-Xms256m", "-Xmx512m"], &self.jars);
        args.extend(["kafka.Kafka", "server.properties"].map(str::to_owned));
        let port = self.ports.clients;
        self.server.start(Path::new("java"), &args, || broker_answers(port))
    }

    /// Stops the broker as an administrator would.
    ///
    /// # Errors
    /// It does not run, or does not end.
    pub fn stop(&mut self) -> Result<()> {
        self.server.end_by("TERM", STOP_MAX)
    }

    /// Kills the broker.
    ///
    /// # Errors
    /// It does not run.
    pub fn kill9(&mut self) -> Result<()> {
        self.server.end_by("KILL", STOP_MAX)
    }

    /// Fails if the broker has ended by itself.
    ///
    /// # Errors
    /// It has ended; with the last lines of its log.
    pub fn check(&mut self) -> Result<()> {
        self.server.check()
    }
}

impl Ports {
    fn properties(&self) -> String {
        let Self { clients, controller, proxied } = self;
        let mut listeners = format!("PLAINTEXT://127.0.0.1:{clients}");
        let mut advertised = listeners.clone();
        if let Some(Proxied { port, advertised: proxy }) = proxied {
            write!(listeners, ",PROXIED://127.0.0.1:{port}").expect("a text takes all");
            write!(advertised, ",PROXIED://127.0.0.1:{proxy}").expect("a text takes all");
        }
        format!(
            "{PROPERTIES}listeners={listeners},CONTROLLER://127.0.0.1:{controller}\n\
             advertised.listeners={advertised}\ncontroller.quorum.voters=1@127.0.0.1:{controller}\n"
        )
    }
}

fn java(options: &[&str], jars: &Path) -> Vec<String> {
    let mut args: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
    args.extend(["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp"].map(str::to_owned));
    args.push(jars.join("*").display().to_string());
    args
}

fn cluster_id() -> String {
    let random = RandomState::new();
    // Its first letter is no dash, which Kafka's tools would take for an option.
    let (high, low) = (random.hash_one(0) >> 1, random.hash_one(1));
    URL_SAFE_NO_PAD.encode([high.to_be_bytes(), low.to_be_bytes()].concat())
}

#[cfg(test)]
mod tests {
    use super::{Ports, Proxied, cluster_id};

    #[test]
    fn proxy_is_what_its_clients_are_told() {
        let text = Ports { clients: 1, controller: 2, proxied: Some(Proxied { port: 3, advertised: 4 }) }
            .properties();
        assert!(text.contains(
            "\nlisteners=PLAINTEXT://127.0.0.1:1,PROXIED://127.0.0.1:3,CONTROLLER://127.0.0.1:2\n"
        ));
        assert!(
            text.contains("\nadvertised.listeners=PLAINTEXT://127.0.0.1:1,PROXIED://127.0.0.1:4\n"),
            "{text}"
        );
        let text = Ports { clients: 1, controller: 2, proxied: None }.properties();
        assert!(!text.contains("PROXIED://"), "{text}");
    }

    #[test]
    fn clusters_have_ids_of_their_own() {
        assert_eq!(cluster_id().len(), 22);
        assert_ne!(cluster_id(), cluster_id());
        assert!((0..1000).all(|_| !cluster_id().starts_with('-')));
    }
}
