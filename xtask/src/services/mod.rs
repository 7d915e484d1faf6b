//! The servers that tests need: PostgreSQL and Apache Kafka, each fresh, on free ports, in a temporary directory.

mod jars;
mod metadata;
pub(crate) mod port;
mod server;

pub mod kafka;
pub mod postgres;

use crate::services::kafka::Kafka;
use crate::services::postgres::Postgres;
use crate::tools;
use anyhow::{Context, Result, bail};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

/// How many transactions tests may prepare at once.
const PREPARED_MAX: u32 = 64;

/// How often the servers are looked at while nothing else is done.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Where the servers listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses {
    /// The URL of a superuser's database.
    pub postgres: String,
    /// Host and port of a broker.
    pub kafka: String,
    /// The folder of Kafka's jars, for tests that start a broker of their own.
    pub jars: String,
}

impl Addresses {
    /// Returns the variables by which tests find the servers; the first has them built in.
    pub fn variables(&self) -> [(&str, &str); 4] {
        [
            ("SEAMLINE_SERVICES", "1"),
            ("SEAMLINE_POSTGRES", &self.postgres),
            ("SEAMLINE_KAFKA", &self.kafka),
            ("SEAMLINE_KAFKA_LIBS", &self.jars),
        ]
    }
}

/// Installs what is missing, starts both servers, works, and stops them, however the work ends.
///
/// # Errors
/// A server does not start, or the work fails.
pub fn with<T>(work: impl FnOnce(&Addresses) -> Result<T>) -> Result<T> {
    tools::install_missing()?;
    let (postgres, kafka) = start()?;
    work(&Addresses { postgres: postgres.url(), kafka: kafka.address(), jars: kafka.jars() })
}

/// Starts both servers and runs a command that finds them; without one, waits until a signal ends us.
///
/// # Errors
/// A server does not start, or ends while we wait; the command fails.
pub fn run(command: &[&str]) -> Result<()> {
    if let [program, args @ ..] = command {
        return with(|addresses| {
            addresses.variables().iter().for_each(|(name, value)| eprintln!("{name}={value}"));
            let status = Command::new(program)
                .args(args)
                .envs(addresses.variables())
                .status()
                .with_context(|| format!("cannot start `{program}`"))?;
            if !status.success() {
                bail!("`{}` ended with {status}", command.join(" "));
            }
            Ok(())
        });
    }
    tools::install_missing()?;
    let (mut postgres, mut kafka) = start()?;
    let addresses = Addresses { postgres: postgres.url(), kafka: kafka.address(), jars: kafka.jars() };
    addresses.variables().iter().for_each(|(name, value)| println!("{name}={value}"));
    eprintln!("both answer; Ctrl-C stops and removes them");
    loop {
        postgres.check()?;
        kafka.check()?;
        thread::sleep(LOOK_EVERY);
    }
}

fn start() -> Result<(Postgres, Kafka)> {
    thread::scope(|scope| {
        let kafka = scope.spawn(|| timed("Apache Kafka", || Kafka::start(None)));
        let postgres = timed("PostgreSQL", || Postgres::start(PREPARED_MAX));
        let kafka = kafka.join().expect("starting a server does not panic");
        Ok((postgres?, kafka?))
    })
}

fn timed<T>(name: &str, start: impl FnOnce() -> Result<T>) -> Result<T> {
    let begun = Instant::now();
    let server = start().with_context(|| format!("{name} did not start"))?;
    eprintln!("{name} answers after {:.1} s", begun.elapsed().as_secs_f64());
    Ok(server)
}
