//! An example estate in a folder of its own, with its agents, and what its databases and log say.

use seamline_agent::agent::Agent;
use seamline_agent::log::SiteLog;
use seamline_agent::site::Site;
use seamline_agent::workers::Workers;
use seamline_contract::estate::Estate;
use seamline_contract::id::{ContextId, ContractId};
use seamline_flow::drift::{Conclusion, Outcome};
use seamline_flow::intake::Intake;
use seamline_flow::log::{Fetched, Incoming, Log};
use seamline_flow::source::{Source, SourceCounts};
use seamline_flow::store::Store;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, ConnectOptions, Row};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// A running estate.
pub(crate) struct Place {
    pub(crate) directory: TempDir,
    pub(crate) site: Site,
    pub(crate) log: Arc<SiteLog>,
}

/// Returns the folder of an example estate.
pub(crate) fn example(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples")).join(name)
}

impl Place {
    /// Opens an example on its laptop environment, with all files in a new folder.
    pub(crate) async fn new(name: &str) -> Place {
        Place::of(name, |_| {}).await
    }

    /// The same, with the estate changed before it is placed.
    pub(crate) async fn of(name: &str, change: impl FnOnce(&mut Estate)) -> Place {
        let opened = seamline_estate::open::open(&example(name)).unwrap();
        assert!(opened.reading.findings.is_empty(), "{:?}", opened.reading.findings);
        let directory = tempfile::tempdir().unwrap();
        let mut estate = opened.reading.estate;
        change(&mut estate);
        let environment = estate.environments.iter().find(|it| it.id.as_str() == "laptop").unwrap().clone();
        let site = Site { root: directory.path().to_owned(), estate, environment };
        let log = Arc::new(site.log(true).await.unwrap());
        Place { directory, site, log }
    }

    /// Returns the file of a context.
    pub(crate) fn file(&self, context: &str) -> PathBuf {
        let located = self.site.located(&context.parse().unwrap()).unwrap();
        located[0].place.file().unwrap().to_owned()
    }

    /// Opens the agent of a context.
    pub(crate) async fn agent(&self, context: &str) -> Agent {
        let context: ContextId = context.parse().unwrap();
        Agent::open_all(&self.site, &context, &self.log, true).await.unwrap().pop().unwrap()
    }

    /// Opens the agents of contexts, and installs them.
    pub(crate) async fn installed(&self, contexts: &[&str]) -> Vec<Agent> {
        let mut agents = Vec::new();
        for context in contexts {
            let agent = self.agent(context).await;
            agent.install().await.unwrap();
            agents.push(agent);
        }
        agents
    }

    /// Opens a context's file as its service does: with a connection of its own, and nothing of ours.
    pub(crate) async fn service(&self, context: &str) -> SqliteConnection {
        connect(&self.file(context)).await
    }
}

/// Opens a file with a connection of its own, and makes it where there is none.
pub(crate) async fn connect(path: &Path) -> SqliteConnection {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let options = SqliteConnectOptions::new().filename(path).create_if_missing(true).foreign_keys(false);
    options.busy_timeout(Duration::from_secs(5)).connect().await.unwrap()
}

/// Runs statements.
pub(crate) async fn run(conn: &mut SqliteConnection, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(conn).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
}

/// Returns the rows of a query, each with its cells as texts and `-` for none, in the order of the query.
pub(crate) async fn rows(conn: &mut SqliteConnection, sql: &str) -> Vec<Vec<String>> {
    let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(conn).await;
    let rows = rows.unwrap_or_else(|error| panic!("{sql}: {error}"));
    let cells = |row: &SqliteRow| (0..row.len()).map(|idx| text(row.get_unchecked(idx))).collect();
    rows.iter().map(cells).collect()
}

fn text(cell: Option<Vec<u8>>) -> String {
    let bytes = cell.unwrap_or_else(|| b"-".to_vec());
    String::from_utf8(bytes).unwrap_or_else(|error| format!("{:?}", error.into_bytes()))
}

/// Returns a number.
pub(crate) async fn number(conn: &mut SqliteConnection, sql: &str) -> i64 {
    let number = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(conn).await;
    number.unwrap_or_else(|error| panic!("{sql}: {error}"))
}

/// Steps all agents until none of them moves anything.
pub(crate) async fn settle(agents: &[Agent]) {
    let mut workers: Vec<Workers<'_>> = agents.iter().map(Agent::workers).collect();
    let mut idle = 0;
    // The second idle round proves that what the last one published was read by those before it.
    while idle < 2 {
        let mut moved = 0;
        for workers in &mut workers {
            moved += workers.round().await.unwrap();
        }
        idle = if moved == 0 { idle + 1 } else { 0 };
    }
}

/// Lets the leases of a context run out, as they would with time after its agent died.
pub(crate) async fn expire(conn: &mut SqliteConnection) {
    let tables = rows(
        conn,
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name IN ('seamline_lane', 'seamline_lease')",
    )
    .await;
    for table in tables {
        run(conn, &format!("UPDATE {} SET until = '2000-01-01T00:00:00Z'", table[0])).await;
    }
}

/// Returns the intake of a subscription.
pub(crate) fn intake<'a>(agent: &'a Agent, subscription: &str) -> &'a Intake {
    let wanted = |intake: &&Intake| intake.subscription.to_string().ends_with(&format!("/{subscription}"));
    agent.intakes.iter().find(wanted).unwrap()
}

/// Fails unless everything that an agent published or was handed is accounted for, and all its links are clean.
pub(crate) async fn assert_conserved(agent: &Agent) {
    for contract in published(agent) {
        let counts = agent.database.counts(&contract).await.unwrap();
        assert_eq!(counts.missing(), 0, "{contract}: {counts:?}");
    }
    for intake in &agent.intakes {
        for (lane, state) in agent.database.lanes(&intake.subscription).await.unwrap() {
            assert!(state.accounting.balanced(), "{lane:?}: {:?}", state.accounting);
        }
    }
    let compared = agent.compare(|_| true).await.unwrap();
    for report in compared.reports() {
        assert_eq!(report.outcome, Outcome::Clean, "{} {}: {:?}", report.subject, report.link, report.drifts);
        for (label, (right, other)) in &report.counts {
            assert_eq!(right, other, "{} {} {label}", report.subject, report.link);
        }
    }
    assert_eq!(compared.conclusion(), Conclusion::Clean, "{compared:?}");
    assert_eq!(compared.source_plans(), []);
    assert_eq!(compared.consumer_plans().count(), 0, "{compared:?}");
}

fn published(agent: &Agent) -> Vec<ContractId> {
    let outlets = agent.outlets.iter().flat_map(|outlets| outlets.iter());
    outlets.map(|outlet| outlet.contract.name.contract.clone()).collect()
}

/// Returns the counts of a contract.
pub(crate) async fn counts(agent: &Agent, contract: &str) -> SourceCounts {
    agent.database.counts(&contract.parse().unwrap()).await.unwrap()
}

/// Returns all records of a topic, by partition.
pub(crate) async fn records(log: &SiteLog, topic: &str) -> Vec<(u32, Incoming)> {
    let topic = log.topic(topic).await.unwrap().unwrap();
    let mut all = Vec::new();
    for partition in 0..topic.partitions {
        let mut from = 0;
        while let Fetched::Records(fetch) = log.fetch(&topic, partition, from, 1000).await.unwrap() {
            if fetch.next == from {
                break;
            }
            from = fetch.next;
            all.extend(fetch.records.into_iter().map(|record| (partition, record)));
        }
    }
    all
}
