//! `cargo x faults`: named scenarios on real servers, each judged by an oracle that shares nothing with the product; and
//! deliberate bugs, each of which must make a scenario fail.

mod aside;
mod bugs;
mod catalogue;
mod commands;
mod content;
mod crash;
mod deploy;
mod disks;
mod ends;
mod history;
mod jobs;
mod kit;
mod load;
mod lost;
mod majors;
mod network;
pub(crate) mod page;
mod pool;
mod process;
mod servers;
mod sets;
pub(crate) mod soak;
mod stage;
mod stream;
mod tables;
mod verdict;

use anyhow::{Context, Result, bail};
use bugs::{MUTANTS, Mutant, mutant};
use catalogue::{Alone, SCENARIOS, scenario};
use kit::Kit;
use pool::{Job, Pace};
use stage::{Addresses, PARTITIONS, Stage};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use verdict::Outcome;
use xtask::proxy::{Protocol, Proxy};
use xtask::services::kafka::Kafka;
use xtask::services::postgres::Postgres;

/// What a scenario left.
pub(crate) struct Done {
    /// How many faults fired.
    pub(crate) injected: u64,
    pub(crate) outcome: Outcome,
}

/// The servers that scenarios share.
pub(crate) struct Servers {
    pub(crate) postgres: Postgres,
    pub(crate) kafka: Kafka,
}

/// What stands before the servers, for programs whose answers are to be lost.
pub(crate) struct Proxies {
    pub(crate) postgres: Proxy,
    pub(crate) kafka: Proxy,
}

/// What one run of scenarios is told.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Options {
    pub(crate) seed: u64,
    /// How long a foreign transaction is held.
    pub(crate) hold_seconds: u64,
    /// How long the many writers write.
    pub(crate) seconds: u64,
    /// How many rows the one big transaction has.
    pub(crate) rows: u64,
    /// How many keys are in quarantine at once.
    pub(crate) keys: u64,
}

impl Default for Options {
    /// What shows the fact in little time.
    fn default() -> Options {
        Options { seed: 1, hold_seconds: 10, seconds: 6, rows: 20_000, keys: 5_000 }
    }
}

impl Options {
    /// What takes its time.
    pub(crate) fn full() -> Options {
        Options { hold_seconds: 180, seconds: 60, rows: 1_000_000, keys: 100_000, ..Options::default() }
    }
}

/// Where a scenario takes place.
pub(crate) struct Ground<'a> {
    kit: &'a Kit,
    servers: &'a Mutex<Servers>,
    pub(crate) proxies: &'a Proxies,
    mutant: Option<&'a str>,
    pub(crate) options: Options,
}

impl<'a> Ground<'a> {
    /// Returns databases and topics of its own, installed.
    pub(crate) fn stage(&self) -> Result<Stage<'a>> {
        self.stage_of(PARTITIONS)
    }

    /// The same, where each topic has so many partitions.
    pub(crate) fn stage_of(&self, partitions: u32) -> Result<Stage<'a>> {
        Stage::set(self.kit, &self.addresses(), self.mutant, self.options.seed, partitions)
    }

    /// The same, reached by the program through the proxies.
    pub(crate) fn stage_through_proxies(&self) -> Result<Stage<'a>> {
        let tested_postgres = format!("127.0.0.1:{}", self.proxies.postgres.port());
        let tested_kafka = format!("127.0.0.1:{}", self.proxies.kafka.port());
        let addresses = Addresses { tested_postgres, tested_kafka, ..self.addresses() };
        Stage::set(self.kit, &addresses, self.mutant, self.options.seed, PARTITIONS)
    }

    fn addresses(&self) -> Addresses {
        let servers = self.servers();
        let postgres = format!("127.0.0.1:{}", servers.postgres.port());
        let kafka = servers.kafka.address();
        Addresses { tested_postgres: postgres.clone(), tested_kafka: kafka.clone(), postgres, kafka }
    }

    /// Returns the servers, to be stopped and started.
    pub(crate) fn servers(&self) -> MutexGuard<'a, Servers> {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const USAGE: &str = "usage: cargo x faults [NAME…] [--mutant NAME | --mutants | --everything] [--at-once N] [--json] [--seed N] \
                     [--full] [--hold SECONDS] [--seconds N] [--rows N] [--keys N] [--program PATH] [--list]";

/// How many run side by side where all are asked for.
const AT_ONCE: usize = 3;

/// None begins later than this after the first.
const WITHIN: Duration = Duration::from_secs(1500);

/// Runs the command.
///
/// # Errors
/// Something did not pass, or a deliberate bug was not caught.
pub(crate) fn run(args: &[&str]) -> Result<()> {
    let Some(asked) = Asked::read(args)? else {
        SCENARIOS.iter().for_each(|scenario| println!("{:<26} {}", scenario.name, scenario.fault));
        return Ok(());
    };
    let kit = Kit::build(asked.program.as_deref())?;
    kit.selftest()?;
    let proxies =
        Proxies { postgres: Proxy::start(Protocol::Postgres)?, kafka: Proxy::start(Protocol::Kafka)? };
    let kept = servers(Some(&proxies), asked.jobs.iter().any(|job| job.alone() != Alone::Servers))?;
    let failing = servers(None, asked.jobs.iter().any(|job| job.alone() == Alone::Servers))?;
    let ground = |job: Job| {
        let servers = if job.alone() == Alone::Servers { &failing } else { &kept };
        let servers = servers.as_ref().expect("servers are started for each job that needs them");
        Ground { kit: &kit, servers, proxies: &proxies, mutant: job.mutant(), options: asked.options }
    };
    let number = asked.jobs.len();
    let left = pool::run(asked.jobs, &ground, asked.pace);
    if left.is_empty() {
        return Ok(());
    }
    let alone: String = left.iter().map(|command| format!("\n  {command}")).collect();
    bail!("{} of {} did not go as they must; each alone:{alone}", left.len(), number)
}

/// Starts servers where they are needed, behind proxies where there are any.
fn servers(proxies: Option<&Proxies>, needed: bool) -> Result<Option<Mutex<Servers>>> {
    if !needed {
        return Ok(None);
    }
    // As it is shipped: writers ring for relays that sleep.
    let postgres = Postgres::start(0)?;
    let kafka = Kafka::start(proxies.map(|proxies| proxies.kafka.port()))?;
    if let Some(proxies) = proxies {
        proxies.postgres.forward_to(postgres.port());
        proxies.kafka.forward_to(kafka.proxied_port().context("the broker has no listener for a proxy")?);
    }
    Ok(Some(Mutex::new(Servers { postgres, kafka })))
}

/// What was asked for.
struct Asked {
    jobs: Vec<Job>,
    program: Option<String>,
    options: Options,
    pace: Pace,
}

impl Asked {
    /// Returns none when only a list was asked for.
    fn read(args: &[&str]) -> Result<Option<Asked>> {
        let pace = Pace { at_once: 1, within: WITHIN, json: false, seed: 1 };
        let mut asked = Asked { jobs: Vec::new(), program: None, options: Options::default(), pace };
        let mut rest = args.iter();
        while let Some(word) = rest.next() {
            let mut value =
                || rest.next().copied().with_context(|| format!("`{word}` takes a value; {USAGE}"));
            let number =
                |text: &str| text.parse::<u64>().with_context(|| format!("`{text}` is no number; {USAGE}"));
            match *word {
                "--list" => return Ok(None),
                "--json" => asked.pace.json = true,
                "--mutants" => asked.jobs.extend(all_mutants()?),
                "--everything" => {
                    asked.jobs.extend(SCENARIOS.iter().map(Job::of));
                    asked.jobs.extend(all_mutants()?);
                    asked.pace.at_once = AT_ONCE;
                }
                "--mutant" => asked.jobs.extend(jobs_of(mutant(value()?)?)?),
                "--at-once" => asked.pace.at_once = number(value()?)?.clamp(1, 16) as usize,
                "--program" => asked.program = Some(value()?.to_owned()),
                "--seed" => asked.pace.seed = number(value()?)?,
                "--full" => asked.options = Options::full(),
                "--hold" => asked.options.hold_seconds = number(value()?)?,
                "--seconds" => asked.options.seconds = number(value()?)?,
                "--rows" => asked.options.rows = number(value()?)?,
                "--keys" => asked.options.keys = number(value()?)?,
                flag if flag.starts_with('-') => bail!("no flag `{flag}`; {USAGE}"),
                name => asked.jobs.push(Job::of(scenario(name)?)),
            }
        }
        if asked.jobs.is_empty() {
            asked.jobs = SCENARIOS.iter().map(Job::of).collect();
        }
        asked.options.seed = asked.pace.seed;
        Ok(Some(asked))
    }
}

fn all_mutants() -> Result<Vec<Job>> {
    Ok(MUTANTS.iter().map(jobs_of).collect::<Result<Vec<_>>>()?.concat())
}

/// Returns a job for each scenario that must notice a bug.
fn jobs_of(mutant: &'static Mutant) -> Result<Vec<Job>> {
    mutant.scenarios.iter().map(|name| Ok(Job::with(mutant, scenario(name)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::{Asked, MUTANTS, SCENARIOS, all_mutants, scenario};

    #[test]
    fn each_mutant_has_a_scenario_and_each_name_is_there_once() {
        assert!(MUTANTS.iter().all(|mutant| !mutant.scenarios.is_empty()));
        assert!(MUTANTS.iter().flat_map(|mutant| mutant.scenarios).all(|name| scenario(name).is_ok()));
        let mut names: Vec<&str> = SCENARIOS.iter().map(|it| it.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), SCENARIOS.len());
    }

    #[test]
    fn what_is_not_there_is_refused() {
        for args in
            [&["no-such"][..], &["--no-such"], &["--mutant", "no-such"], &["--seed"], &["--seed", "x"]]
        {
            assert!(Asked::read(args).is_err(), "{args:?}");
        }
        assert!(Asked::read(&["--list"]).unwrap().is_none());
    }

    #[test]
    fn all_is_what_is_asked_for_where_nothing_is_named() {
        let jobs = |args: &[&str]| Asked::read(args).unwrap().unwrap().jobs.len();
        assert_eq!(jobs(&[]), SCENARIOS.len());
        assert_eq!(jobs(&["calm", "poison"]), 2);
        let bugs = all_mutants().unwrap().len();
        assert!(bugs >= MUTANTS.len());
        assert_eq!(jobs(&["--mutants"]), bugs);
        assert_eq!(jobs(&["--everything"]), SCENARIOS.len() + bugs);
    }

    #[test]
    fn full_size_is_larger_and_a_size_of_ones_own_goes_before_it() {
        let rows = |args: &[&str]| Asked::read(args).unwrap().unwrap().options.rows;
        assert!(rows(&[]) < rows(&["--full"]));
        assert_eq!(rows(&["--full", "--rows", "7"]), 7);
    }
}
