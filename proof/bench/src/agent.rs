//! The program itself on the estate that is measured: installed, started, watched and stopped as an operator would.

use crate::model::{Model, PARTITIONS, write_files};
use crate::site::Site;
use anyhow::{Context, Result, bail, ensure};
use sqlx::{AssertSqlSafe, PgPool};
use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The consumer's context.
pub(crate) const CONSUMER: &str = "claims";

/// How often a context is installed before that counts as failed.
const INSTALLS: u32 = 5;

/// How long anything here may take that ends by itself.
const PATIENCE: Duration = Duration::from_secs(900);

/// Both contexts, installed.
pub(crate) struct Estate {
    directory: TempDir,
    program: PathBuf,
    /// The producer's context.
    pub(crate) producer: String,
    /// The producer's database.
    pub(crate) source: PgPool,
    /// Its URL.
    pub(crate) source_url: String,
    /// The consumer's database.
    pub(crate) target: PgPool,
    /// The topic of states.
    pub(crate) states: String,
    contracts: usize,
}

/// How large an estate is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Contracts of one form, each with a subscription.
    pub(crate) contracts: usize,
    /// Of each topic.
    pub(crate) partitions: u32,
}

impl Estate {
    /// Installs both contexts with so many policies.
    pub(crate) async fn install(site: &mut Site, rows: usize) -> Result<Estate> {
        Estate::shaped(site, rows, Shape { contracts: 1, partitions: PARTITIONS }).await
    }

    /// Installs both contexts with so many policies of each contract.
    pub(crate) async fn shaped(site: &mut Site, rows: usize, shape: Shape) -> Result<Estate> {
        let program = std::env::var_os("SEAMLINE_PROGRAM").map(PathBuf::from);
        let program =
            program.context("`SEAMLINE_PROGRAM` is not set; run `cargo x bench flow`, which builds it")?;
        let model = Model::compile(&site.name)?;
        let (source_url, source) = site.database("source").await?;
        let (target_url, target) = site.database("target").await?;
        model.make_policies(&source, rows).await?;
        for more in (2..=shape.contracts).map(suffix) {
            let make = format!(
                "CREATE TABLE policy_current{more} (LIKE policy_current INCLUDING ALL); \
                 INSERT INTO policy_current{more} SELECT * FROM policy_current"
            );
            crate::peers::run(&mut *source.acquire().await?, &make).await?;
        }
        let directory = tempfile::tempdir()?;
        write_files(directory.path(), &site.name, shape.contracts)?;
        let environment = format!(
            "apiVersion: seamline/v1\nkind: Environment\nid: bench\nsystems:\n  {}/core: {{ url: '{source_url}' }}\n  \
             claims/claims-db: {{ url: '{target_url}' }}\nlog:\n  kafka: {{ bootstrap.servers: '{}' }}\n  \
             partitions: {}\n  replicas: 1\n",
            site.name, site.addresses.kafka, shape.partitions
        );
        std::fs::write(directory.path().join("bench.environment.yaml"), environment)?;
        let states = model.intake.state.as_ref().context("it has a table")?.topic.clone();
        let producer = site.name.clone();
        let contracts = shape.contracts;
        let estate = Estate { directory, program, producer, source, source_url, target, states, contracts };
        for context in [&estate.producer, CONSUMER] {
            estate.install_context(context)?;
        }
        Ok(estate)
    }

    /// Installs a context; tried again, since on a busy machine a first connection may come late.
    fn install_context(&self, context: &str) -> Result<()> {
        for _ in 1..INSTALLS {
            if self.command(&["install", context, "--yes"]).output()?.status.success() {
                return Ok(());
            }
        }
        let done = self.command(&["install", context, "--yes"]).output()?;
        ensure!(done.status.success(), "install: {}", String::from_utf8_lossy(&done.stderr));
        Ok(())
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(args).arg("--env").arg("bench").arg("--estate").arg(self.directory.path());
        command
    }

    /// Starts the agent of some contexts. Its lease outlasts every stop by a signal here.
    pub(crate) fn start(&self, contexts: &[&str]) -> Result<Running> {
        let log = self.directory.path().join(format!("{}.log", contexts.join("-")));
        let mut command = self.command(&["agent", "--log", "json", "--lease", "600"]);
        command.args(contexts).stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log)?);
        Ok(Running { child: command.spawn()?, log })
    }

    /// Publishes an event of the policies of every contract, in transactions of a thousand; their status changes with it.
    pub(crate) async fn publish(&self, event: &str, status: &str, rows: usize) -> Result<()> {
        let mut conn = self.source.acquire().await?;
        for from in (0..rows).step_by(1_000) {
            let to = (from + 1_000).min(rows);
            let range = format!("policy_no > 'P-{from:08}' AND policy_no <= 'P-{to:08}'");
            for number in 1..=self.contracts {
                let (table, contract) = (suffix(number), suffix(number).replace('_', "-"));
                let publish = format!(
                    "BEGIN; UPDATE policy_current{table} SET claims_status = '{status}' WHERE {range}; \
                     SELECT count(seamline.publish('policy{contract}', '{event}', '[\"' || policy_no || '\"]')) \
                     FROM policy_current{table} WHERE {range}; COMMIT"
                );
                crate::peers::run(&mut conn, &publish).await?;
            }
        }
        Ok(())
    }

    /// Waits until the outbox is empty.
    pub(crate) async fn drained(&self, agent: &mut Running) -> Result<()> {
        let left = "SELECT EXISTS (SELECT FROM seamline.outbox_0) OR EXISTS (SELECT FROM seamline.outbox_1) \
            OR EXISTS (SELECT FROM seamline.outbox_2)";
        until(agent, async || Ok(!sqlx::query_scalar::<_, bool>(left).fetch_one(&self.source).await?)).await
    }

    /// Waits until so many rows of every projection have a status.
    pub(crate) async fn projected(&self, agent: &mut Running, eligible: bool, rows: usize) -> Result<()> {
        let of = |number| format!("SELECT may_open_claim FROM cover{}", suffix(number));
        let all: Vec<String> = (1..=self.contracts).map(of).collect();
        let there =
            format!("SELECT count(*) FROM ({}) AS covers WHERE may_open_claim = $1", all.join(" UNION ALL "));
        let there = async || {
            let there = sqlx::query_scalar::<_, i64>(AssertSqlSafe(there.clone()));
            there.bind(eligible).fetch_one(&self.target).await
        };
        until(agent, async || Ok(there().await? >= (rows * self.contracts) as i64)).await
    }
}

/// Returns what tells the tables of a contract from those of the first.
fn suffix(number: usize) -> String {
    if number == 1 { String::new() } else { format!("_{number}") }
}

/// Waits for a condition, and for no longer than the process lives.
pub(crate) async fn until(process: &mut Running, mut holds: impl AsyncFnMut() -> Result<bool>) -> Result<()> {
    let begun = Instant::now();
    while !holds().await? {
        process.check()?;
        ensure!(
            begun.elapsed() < PATIENCE,
            "not done after {} seconds:\n{}",
            PATIENCE.as_secs(),
            process.tail()
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

/// A process, killed when dropped.
pub(crate) struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    /// Watches over a process that writes to a file.
    pub(crate) fn new(child: Child, log: PathBuf) -> Running {
        Running { child, log }
    }

    /// Returns its number.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    fn check(&mut self) -> Result<()> {
        if let Some(ended) = self.child.try_wait()? {
            bail!("the process ended, {ended}:\n{}", self.tail());
        }
        Ok(())
    }

    fn tail(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    /// Sends it a signal by name.
    pub(crate) fn signal(&self, name: &str) -> Result<()> {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.pid().to_string()]).status()?;
        ensure!(sent.success(), "kill -{name}: {sent}");
        Ok(())
    }

    /// Ends it as an operator would, and waits.
    pub(crate) fn end(mut self) -> Result<()> {
        self.signal("TERM")?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended, or is to end now: either way nothing is left.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
