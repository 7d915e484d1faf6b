//! A stage: databases and topics of its own on shared servers, with the estate installed, for one scenario.

use crate::faults::Done;
use crate::faults::kit::Kit;
use crate::faults::process::{Running, Said, run, within};
use crate::faults::verdict::Outcome;
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use xtask::command::root;

/// The contexts of the estate, producers first.
pub(crate) const CONTEXTS: [&str; 4] = ["sales", "stock", "dispatch", "desk"];

/// After how many seconds another takes over.
pub(crate) const LEASE: u64 = 2;

/// How many partitions a topic of the estate has, as it is written.
pub(crate) const PARTITIONS: u32 = 3;

/// How long a command of the program or the oracle may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// How long writers may take to begin.
const BEGUN: Duration = Duration::from_secs(60);

/// Where servers are.
#[derive(Debug, Clone)]
pub(crate) struct Addresses {
    /// Host and port of PostgreSQL, for the oracle.
    pub(crate) postgres: String,
    /// Host and port of a broker, for the oracle.
    pub(crate) kafka: String,
    /// The same for the program under test: perhaps a proxy's.
    pub(crate) tested_postgres: String,
    pub(crate) tested_kafka: String,
}

/// One scenario's world.
pub(crate) struct Stage<'a> {
    pub(crate) kit: &'a Kit,
    pub(crate) mutant: Option<&'a str>,
    pub(crate) seed: u64,
    pub(crate) folder: TempDir,
    addresses: Addresses,
    prefix: String,
    calls: Cell<u32>,
}

impl<'a> Stage<'a> {
    /// Makes databases, tables and topics.
    pub(crate) fn set(
        kit: &'a Kit,
        addresses: &Addresses,
        mutant: Option<&'a str>,
        seed: u64,
        partitions: u32,
    ) -> Result<Stage<'a>> {
        static STAGES: AtomicU32 = AtomicU32::new(0);
        let prefix = format!("f{}x{}", std::process::id(), STAGES.fetch_add(1, Ordering::Relaxed));
        let folder = tempfile::Builder::new().prefix("seamline-faults-").tempdir()?;
        let stage =
            Stage { kit, mutant, seed, folder, addresses: addresses.clone(), prefix, calls: Cell::new(0) };
        stage.write_estate(partitions)?;
        let databases: serde_json::Map<String, Value> = CONTEXTS
            .iter()
            .map(|context| ((*context).to_owned(), json!(stage.url(context, &stage.addresses.postgres))))
            .collect();
        let world = json!({
            "postgres": databases, "brokers": stage.addresses.kafka, "prefix": stage.prefix, "system": stage.system(),
        });
        fs::write(stage.path("world.json"), world.to_string())?;
        fs::write(stage.path("acts"), "")?;
        stage.oracle(&["create"])?;
        stage.oracle(&["setup"])?;
        for context in CONTEXTS {
            stage.seamline_well(&["install", context, "--yes"])?;
        }
        Ok(stage)
    }

    /// Copies the estate, with names of topics and of the systems that no other stage has.
    fn write_estate(&self, partitions: u32) -> Result<()> {
        let from = root().join("proof/estate");
        let (few, many) = (format!("partitions: {PARTITIONS}\n"), format!("partitions: {partitions}\n"));
        let mut folders = vec![PathBuf::new()];
        while let Some(folder) = folders.pop() {
            fs::create_dir_all(self.estate().join(&folder))?;
            for entry in fs::read_dir(from.join(&folder))? {
                let entry = entry?;
                let below = folder.join(entry.file_name());
                if entry.file_type()?.is_dir() {
                    folders.push(below);
                    continue;
                }
                let text = fs::read_to_string(entry.path())?;
                let text = text.replace("'proof.", &format!("'{}.", self.prefix));
                let text = text.replace(&few, &many);
                let text = text.replace("/store:", &format!("/{}:", self.system()));
                let text = text.replace("  store:", &format!("  {}:", self.system()));
                let text = text.replace("system: store", &format!("system: {}", self.system()));
                fs::write(self.estate().join(below), text)?;
            }
        }
        Ok(())
    }

    fn system(&self) -> String {
        format!("store-{}", self.prefix)
    }

    fn url(&self, context: &str, server: &str) -> String {
        format!("postgres://postgres@{server}/{}_{context}", self.prefix)
    }

    fn estate(&self) -> PathBuf {
        self.path("estate")
    }

    /// Returns a path below the stage's folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Returns the topic of a channel of a contract.
    pub(crate) fn topic(&self, contract: &str, channel: &str) -> String {
        format!("{}.{contract}.v1.{channel}", self.prefix)
    }

    fn call_name(&self, words: &[&str]) -> String {
        self.calls.set(self.calls.get() + 1);
        let words: String = words.iter().take(2).map(|word| format!("-{}", word.replace('/', "-"))).collect();
        let words: String =
            words.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(40).collect();
        format!("{:03}{words}", self.calls.get())
    }

    /// Returns a call of the program in the estate.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.kit.seamline);
        command.args(words).args(["--env", "servers"]).current_dir(self.estate());
        for context in CONTEXTS {
            let name = format!("{}_URL", context.to_uppercase());
            command.env(name, self.url(context, &self.addresses.tested_postgres));
        }
        command.env("BROKERS", &self.addresses.tested_kafka);
        command.env_remove("SEAMLINE_STOP").env_remove("SEAMLINE_ASTRAY");
        match self.mutant {
            Some(mutant) => command.env("SEAMLINE_MUTANT", mutant),
            None => command.env_remove("SEAMLINE_MUTANT"),
        };
        command
    }

    /// Runs the program to its end.
    pub(crate) fn seamline(&self, words: &[&str]) -> Result<Said> {
        run(&mut self.command(words), self.folder.path(), &self.call_name(words), PATIENCE)
    }

    /// Runs the program, which must end with 0.
    pub(crate) fn seamline_well(&self, words: &[&str]) -> Result<Said> {
        let said = self.seamline(words)?;
        if said.code != Some(0) {
            bail!("`seamline {}` ended with {:?}: {}", words.join(" "), said.code, said.tail());
        }
        Ok(said)
    }

    /// Lets rows of a context's outbox leave through logical replication from now on.
    pub(crate) fn stream(&self, context: &str) -> Result<()> {
        let file = self.estate().join("environments/servers.environment.yaml");
        let text = fs::read_to_string(&file)?;
        let url = format!("url: '${{{}_URL}}'", context.to_uppercase());
        ensure!(text.contains(&url), "the environment does not say `{url}`");
        fs::write(&file, text.replace(&url, &format!("{url}, relay: replication")))?;
        self.seamline_well(&["install", context, "--yes"])?;
        Ok(())
    }

    /// Has a subscription agree to what its contract says now: a review, of no environment.
    pub(crate) fn accept(&self, subscription: &str) -> Result<()> {
        let words = ["accept", subscription, "--yes"];
        let mut command = Command::new(&self.kit.seamline);
        command.args(words).current_dir(self.estate());
        let said = run(&mut command, self.folder.path(), &self.call_name(&words), PATIENCE)?;
        match said.code {
            Some(0) => Ok(()),
            code => bail!("`{subscription}` is not accepted: {code:?}: {}", said.tail()),
        }
    }

    /// Starts the agent of a context; `stop` names the point, the passing and the signal that it sends itself.
    pub(crate) fn agent(&self, context: &str, stop: Option<&str>) -> Result<Running> {
        let lease = LEASE.to_string();
        let words = ["agent", context, "--lease", &lease];
        let mut command = self.command(&words);
        if let Some(stop) = stop {
            command.env("SEAMLINE_STOP", stop);
        }
        Running::start(&mut command, self.folder.path(), &self.call_name(&words))
    }

    /// Starts the agent of a context as a role that is no superuser.
    pub(crate) fn agent_as(&self, context: &str, role: &str) -> Result<Running> {
        let lease = LEASE.to_string();
        let words = ["agent", context, "--lease", &lease];
        let mut command = self.command(&words);
        self.as_role(&mut command, role);
        Running::start(&mut command, self.folder.path(), &self.call_name(&words))
    }

    /// Lets a call of the program reach its databases as a role.
    pub(crate) fn as_role(&self, command: &mut Command, role: &str) {
        for context in CONTEXTS {
            let url = self.url(context, &self.addresses.tested_postgres);
            let url = url.replacen("postgres@", &format!("{role}@"), 1);
            command.env(format!("{}_URL", context.to_uppercase()), url);
        }
    }

    /// Waits until the log of any agent says something.
    pub(crate) fn has_logged(&self, text: &str, time: Duration) -> bool {
        let says = |file: fs::DirEntry| {
            let is_log = file.file_name().to_string_lossy().contains("-agent");
            is_log && fs::read_to_string(file.path()).is_ok_and(|log| log.contains(text))
        };
        let any =
            || fs::read_dir(self.folder.path()).is_ok_and(|mut files| files.any(|it| it.is_ok_and(says)));
        within(time, || any().then_some(())).is_some()
    }

    /// Returns a name that no other stage has, for what belongs to the whole server.
    pub(crate) fn name(&self, what: &str) -> String {
        format!("{}_{what}", self.prefix)
    }

    /// Returns whether a directory of the broker is that of a partition of one of the stage's topics.
    pub(crate) fn has_partition(&self, directory: &str) -> bool {
        directory.starts_with(&format!("{}.", self.prefix))
    }

    /// Starts the agent of a context, on whose way from the log records of some keys are lost, and others altered.
    pub(crate) fn agent_astray(&self, context: &str, (lost, altered): (&str, &str)) -> Result<Running> {
        let lease = LEASE.to_string();
        let words = ["agent", context, "--lease", &lease];
        let mut command = self.command(&words);
        command.env("SEAMLINE_ASTRAY", format!("{lost}:{altered}"));
        Running::start(&mut command, self.folder.path(), &self.call_name(&words))
    }

    /// Starts one agent for each context.
    pub(crate) fn agents(&self) -> Result<Vec<Running>> {
        CONTEXTS.iter().map(|context| self.agent(context, None)).collect()
    }

    fn oracle_command(&self, words: &[&str]) -> Command {
        let mut command = self.kit.oracle();
        command
            .arg("--world")
            .arg(self.path("world.json"))
            .args(["--seed", &self.seed.to_string()])
            .args(words);
        command
    }

    /// Runs the oracle, which must end with 0. Returns its last line.
    pub(crate) fn oracle(&self, words: &[&str]) -> Result<Value> {
        Ok(last_line(&self.oracle_well(words)?))
    }

    /// Runs the oracle, which must end with 0. Returns all that it said.
    pub(crate) fn oracle_well(&self, words: &[&str]) -> Result<Said> {
        let said = self.oracle_said(words)?;
        if said.code != Some(0) {
            bail!("`oracle {}` ended with {:?}: {}", words.join(" "), said.code, said.tail());
        }
        Ok(said)
    }

    /// Runs the oracle, however it ends.
    pub(crate) fn oracle_said(&self, words: &[&str]) -> Result<Said> {
        run(&mut self.oracle_command(words), self.folder.path(), &self.call_name(words), PATIENCE)
    }

    /// Starts writers, until they are told to stop.
    pub(crate) fn writers(&self, number: u32) -> Result<Running> {
        self.writers_with(number, &[])
    }

    /// Starts writers with more words for the oracle.
    pub(crate) fn writers_with(&self, number: u32, more: &[&str]) -> Result<Running> {
        let (number, acts) = (number.to_string(), self.path("acts").to_string_lossy().into_owned());
        let mut words = vec!["drive", "--writers", &number, "--acts", &acts];
        words.extend(more);
        let name = self.call_name(&words);
        let mut writers = Running::start(&mut self.oracle_command(&words), self.folder.path(), &name)?;
        if !writers.has_said_within(BEGUN) {
            bail!("the writers do not begin");
        }
        Ok(writers)
    }

    /// Starts a load of so many changes a second, or of as many as arrive at the desk, until it is told to stop.
    pub(crate) fn busy(&self, changes_per_second: u32) -> Result<Running> {
        let rate = changes_per_second.to_string();
        let words = ["busy", "--rate", &rate];
        let mut load =
            Running::start(&mut self.oracle_command(&words), self.folder.path(), &self.call_name(&words))?;
        ensure!(load.has_said_within(BEGUN), "the load does not begin");
        Ok(load)
    }

    /// Opens a writing transaction in a database that is nobody's, for so many seconds.
    pub(crate) fn hold_transaction(&self, seconds: u64) -> Result<Running> {
        let seconds = seconds.to_string();
        let words = ["hold", "--seconds", &seconds];
        Running::start(&mut self.oracle_command(&words), self.folder.path(), &self.call_name(&words))
    }

    /// Returns the one cell of a query.
    pub(crate) fn cell(&self, context: &str, query: &str) -> Result<String> {
        let rows = self.oracle(&["sql", context, query])?;
        rows[0][0].as_str().map(str::to_owned).with_context(|| format!("`{query}` returned {rows}"))
    }

    /// Returns how many rows wait in the outbox of a producer.
    pub(crate) fn waiting(&self, context: &str) -> Result<u64> {
        let tables = ["outbox_0", "outbox_1", "outbox_2"];
        let counts: Vec<String> =
            tables.iter().map(|table| format!("(SELECT count(*) FROM seamline.{table})")).collect();
        Ok(self.cell(context, &format!("SELECT ({})::text", counts.join(" + ")))?.parse()?)
    }

    /// Ends the scenario: databases go, topics go with their broker; what a failure left behind stays to be looked at.
    pub(crate) fn done(self, injected: u64, outcome: Outcome) -> Result<Done> {
        if matches!(outcome, Outcome::Passed(_)) || self.mutant.is_some() {
            self.oracle(&["drop"])?;
        } else {
            eprintln!("what it left: {}", self.folder.keep().display());
        }
        Ok(Done { injected, outcome })
    }
}

/// Returns the last line of JSON that a program printed; null without one.
pub(crate) fn last_line(said: &Said) -> Value {
    said.out.lines().rev().find_map(|line| serde_json::from_str(line).ok()).unwrap_or(Value::Null)
}

/// Returns all lines of JSON that a program printed.
pub(crate) fn lines(said: &Said) -> Vec<Value> {
    said.out.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Writes lines of JSON to a file.
pub(crate) fn write_lines(path: &Path, lines: &[Value]) -> Result<()> {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    Ok(fs::write(path, text)?)
}
