//! `cargo x faults`: named scenarios on real servers, each judged by an oracle that shares nothing with the product; and
//! deliberate bugs, each of which must make a scenario fail.

mod content;
mod crash;
mod history;
mod kit;
mod load;
mod lost;
mod process;
mod servers;
mod stage;
mod verdict;

use anyhow::{Context, Result, bail};
use crash::Point;
use kit::Kit;
use serde_json::json;
use stage::{Addresses, Stage};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use verdict::Outcome;
use xtask::proxy::{Protocol, Proxy, Request};
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
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Options {
    pub(crate) seed: u64,
    /// How long a foreign transaction is held, in seconds.
    pub(crate) hold: Option<u64>,
    /// How long the many writers write.
    pub(crate) seconds: Option<u64>,
    /// How many rows the one big transaction has.
    pub(crate) rows: Option<u64>,
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
        Stage::set(self.kit, &self.addresses(), self.mutant, self.options.seed)
    }

    /// The same, reached by the program through the proxies.
    pub(crate) fn stage_through_proxies(&self) -> Result<Stage<'a>> {
        let tested_postgres = format!("127.0.0.1:{}", self.proxies.postgres.port());
        let tested_kafka = format!("127.0.0.1:{}", self.proxies.kafka.port());
        let addresses = Addresses { tested_postgres, tested_kafka, ..self.addresses() };
        Stage::set(self.kit, &addresses, self.mutant, self.options.seed)
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

type Run = fn(&Ground<'_>) -> Result<Done>;

struct Scenario {
    name: &'static str,
    run: Run,
}

macro_rules! at {
    ($act:path, $context:literal, $point:literal, $passing:literal) => {
        |ground| $act(ground, Point { context: $context, name: $point, passing: $passing })
    };
}

const SCENARIOS: &[Scenario] = &[
    Scenario { name: "calm", run: content::calm },
    Scenario { name: "killed-read", run: at!(crash::killed, "sales", "read", 4) },
    Scenario { name: "killed-produced", run: at!(crash::killed, "sales", "produced", 4) },
    Scenario { name: "killed-committed", run: at!(crash::killed, "sales", "committed", 4) },
    Scenario { name: "killed-removed", run: at!(crash::killed, "sales", "removed", 4) },
    Scenario { name: "killed-polled", run: at!(crash::killed, "desk", "polled", 4) },
    Scenario { name: "killed-applied", run: at!(crash::killed, "desk", "applied", 4) },
    Scenario { name: "killed-stored", run: at!(crash::killed, "desk", "stored", 4) },
    Scenario { name: "killed-reacting", run: at!(crash::killed, "dispatch", "reacting", 2) },
    Scenario { name: "zombie-read", run: at!(crash::zombie, "sales", "read", 4) },
    Scenario { name: "zombie-produced", run: at!(crash::zombie, "sales", "produced", 4) },
    Scenario { name: "zombie-committed", run: at!(crash::zombie, "sales", "committed", 4) },
    Scenario { name: "zombie-polled", run: at!(crash::zombie, "desk", "polled", 6) },
    Scenario {
        name: "broker-stopped",
        run: |ground| servers::away(ground, |it| it.kafka.stop(), |it| it.kafka.restart()),
    },
    Scenario {
        name: "broker-killed",
        run: |ground| servers::away(ground, |it| it.kafka.kill9(), |it| it.kafka.restart()),
    },
    Scenario {
        name: "postgres-stopped",
        run: |ground| servers::away(ground, |it| it.postgres.stop_fast(), |it| it.postgres.restart()),
    },
    Scenario {
        name: "postgres-killed",
        run: |ground| servers::away(ground, |it| it.postgres.kill9(), |it| it.postgres.restart()),
    },
    Scenario {
        name: "commit-answer-lost",
        run: |ground| lost::answers(ground, |it| &it.postgres, Request::PostgresCommit),
    },
    Scenario {
        name: "log-commit-answer-lost",
        run: |ground| lost::answers(ground, |it| &it.kafka, Request::KAFKA_END_TXN),
    },
    Scenario { name: "writers", run: load::writers },
    Scenario { name: "foreign-transaction", run: load::foreign_transaction },
    Scenario { name: "one-big-transaction", run: load::one_big_transaction },
    Scenario { name: "drift", run: content::drift },
    Scenario { name: "poison", run: content::poison },
    Scenario { name: "repeated-records", run: content::repeated },
    Scenario { name: "compaction-in-bootstrap", run: history::compaction_in_bootstrap },
    Scenario { name: "retention-passed", run: history::retention_passed },
    Scenario { name: "topic-recreated", run: history::topic_recreated },
    Scenario { name: "database-rewound", run: history::database_rewound },
];

/// The deliberate bugs that real servers show, each with the scenario that must fail.
const MUTANTS: &[(&str, &str)] = &[
    ("id-after-last", "writers"),
    ("position-before-rows", "killed-applied"),
    ("lost-tombstone", "repeated-records"),
    ("digest-of-meant", "drift"),
    ("order-reversed", "calm"),
    ("view-uncut", "calm"),
    ("fence-removed", "zombie-produced"),
    ("removal-unfenced", "zombie-committed"),
    ("state-before-lock", "writers"),
    ("offset-for-sequence", "repeated-records"),
    ("reactions-after-position", "killed-reacting"),
];

const USAGE: &str = "usage: cargo x faults [NAME…] [--mutant NAME | --mutants] [--json] [--seed N] [--hold SECONDS] [--seconds N] [--rows N] [--program PATH] [--list]";

/// Runs the command.
///
/// # Errors
/// Something did not pass, or a deliberate bug was not caught.
pub(crate) fn run(args: &[&str]) -> Result<()> {
    let Some(asked) = Asked::read(args)? else {
        SCENARIOS.iter().for_each(|scenario| println!("{}", scenario.name));
        return Ok(());
    };
    let kit = Kit::build(asked.program.as_deref())?;
    kit.selftest()?;
    let proxies =
        Proxies { postgres: Proxy::start(Protocol::Postgres)?, kafka: Proxy::start(Protocol::Kafka)? };
    let servers = Servers { postgres: Postgres::start()?, kafka: Kafka::start(Some(proxies.kafka.port()))? };
    proxies.postgres.forward_to(servers.postgres.port());
    proxies.kafka.forward_to(servers.kafka.proxied_port().context("the broker has no listener for a proxy")?);
    let servers = Mutex::new(servers);
    let ground =
        |mutant| Ground { kit: &kit, servers: &servers, proxies: &proxies, mutant, options: asked.options };
    if asked.mutants.is_empty() { scenarios(&asked, &ground(None)) } else { mutants(&asked, &ground) }
}

/// What was asked for.
struct Asked {
    scenarios: Vec<&'static Scenario>,
    mutants: Vec<(&'static str, &'static str)>,
    json: bool,
    program: Option<String>,
    options: Options,
}

impl Asked {
    /// Returns none when only a list was asked for.
    fn read(args: &[&str]) -> Result<Option<Asked>> {
        let options = Options { seed: 1, ..Options::default() };
        let mut asked =
            Asked { scenarios: Vec::new(), mutants: Vec::new(), json: false, program: None, options };
        let mut rest = args.iter();
        while let Some(word) = rest.next() {
            let mut value =
                || rest.next().copied().with_context(|| format!("`{word}` takes a value; {USAGE}"));
            let number =
                |text: &str| text.parse::<u64>().with_context(|| format!("`{text}` is no number; {USAGE}"));
            match *word {
                "--list" => return Ok(None),
                "--json" => asked.json = true,
                "--mutants" => asked.mutants = MUTANTS.to_vec(),
                "--mutant" => {
                    let name = value()?;
                    let known = MUTANTS.iter().find(|(mutant, _)| *mutant == name);
                    asked.mutants.push(*known.with_context(|| format!("no mutant `{name}`"))?);
                }
                "--program" => asked.program = Some(value()?.to_owned()),
                "--seed" => asked.options.seed = number(value()?)?,
                "--hold" => asked.options.hold = Some(number(value()?)?),
                "--seconds" => asked.options.seconds = Some(number(value()?)?),
                "--rows" => asked.options.rows = Some(number(value()?)?),
                flag if flag.starts_with('-') => bail!("no flag `{flag}`; {USAGE}"),
                name => asked.scenarios.push(scenario(name)?),
            }
        }
        if asked.scenarios.is_empty() {
            asked.scenarios = SCENARIOS.iter().collect();
        }
        Ok(Some(asked))
    }
}

fn scenario(name: &str) -> Result<&'static Scenario> {
    let found = SCENARIOS.iter().find(|scenario| scenario.name == name);
    found.with_context(|| format!("no scenario `{name}`; `cargo x faults --list` names them"))
}

/// Runs one scenario; what goes wrong around it makes it inconclusive.
fn play(scenario: &Scenario, ground: &Ground<'_>) -> (Done, f64) {
    let begun = Instant::now();
    let done = (scenario.run)(ground)
        .unwrap_or_else(|error| Done { injected: 0, outcome: Outcome::Inconclusive(format!("{error:#}")) });
    let done = match done {
        Done { injected: 0, outcome: Outcome::Passed(detail) } => {
            Done { injected: 0, outcome: Outcome::Inconclusive(format!("the fault did not fire; {detail}")) }
        }
        done => done,
    };
    (done, begun.elapsed().as_secs_f64())
}

fn scenarios(asked: &Asked, ground: &Ground<'_>) -> Result<()> {
    let mut left = Vec::new();
    for scenario in &asked.scenarios {
        let (done, seconds) = play(scenario, ground);
        if asked.json {
            println!(
                "{}",
                json!({
                    "scenario": scenario.name, "injected": done.injected, "outcome": done.outcome.to_string(),
                    "seconds": (seconds * 10.0).round() / 10.0, "detail": done.outcome.detail(),
                })
            );
        } else {
            println!(
                "{:<26} {:<12} {seconds:5.1} s  {}",
                scenario.name,
                done.outcome.to_string(),
                done.outcome.detail()
            );
        }
        if !matches!(done.outcome, Outcome::Passed(_)) {
            left.push(scenario.name);
        }
    }
    if !left.is_empty() {
        bail!("not passed: {}", left.join(", "));
    }
    Ok(())
}

/// Each bug must make its scenario fail. One that could not be judged caught nothing.
fn mutants<'a>(asked: &Asked, ground: &dyn Fn(Option<&'static str>) -> Ground<'a>) -> Result<()> {
    let mut missed = Vec::new();
    for (mutant, name) in &asked.mutants {
        let (done, seconds) = play(scenario(name)?, &ground(Some(mutant)));
        // What failed before the fault was injected says nothing of the bug.
        let is_caught = done.injected > 0 && matches!(done.outcome, Outcome::Failed(_));
        let (outcome, detail) = (done.outcome.to_string(), done.outcome.detail());
        if asked.json {
            println!(
                "{}",
                json!({
                    "mutant": mutant, "scenario": name, "caught": is_caught, "injected": done.injected, "outcome": outcome,
                    "seconds": (seconds * 10.0).round() / 10.0, "detail": detail,
                })
            );
        } else {
            let word = if is_caught { "caught" } else { "NOT CAUGHT" };
            println!("{mutant:<26} {word:<12} {seconds:5.1} s  by {name}: {detail}");
        }
        if !is_caught {
            missed.push(*mutant);
        }
    }
    if !missed.is_empty() {
        bail!("deliberate bugs went unnoticed: {}", missed.join(", "));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Asked, MUTANTS, SCENARIOS, scenario};

    #[test]
    fn each_mutant_has_a_scenario_and_each_name_is_there_once() {
        assert!(MUTANTS.iter().all(|(_, name)| scenario(name).is_ok()));
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
        let all = Asked::read(&[]).unwrap().unwrap();
        assert_eq!(all.scenarios.len(), SCENARIOS.len());
        assert!(Asked::read(&["--list"]).unwrap().is_none());
    }
}
