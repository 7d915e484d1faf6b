//! The site that a command works on: an estate in one environment, its log, and the agents of its contexts.

use crate::exit::{Exit, Refusal, unreachable};
use crate::opened::{context, environment, opened_to_run};
use anyhow::Result;
use seamline_agent::agent::{Agent, AgentError};
use seamline_agent::site::{Site, SiteError};
use seamline_contract::id::ContextId;
use seamline_flow::port::PortError;
use seamline_sqlite::context::Database;
use seamline_sqlite::file::OpenError;
use seamline_sqlite::log::EmbeddedLog;
use std::path::PathBuf;
use std::sync::Arc;

/// Where a command works.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Where {
    /// A folder of the estate.
    #[arg(long, default_value = ".")]
    pub(crate) estate: PathBuf,
    /// The environment; not needed where there is only one.
    #[arg(long, value_name = "ID")]
    pub(crate) env: Option<String>,
}

impl Where {
    /// Opens the estate in its environment.
    ///
    /// # Errors
    /// When there is no such estate or environment, or the estate has errors.
    pub(crate) fn site(&self) -> Result<Site> {
        let opened = opened_to_run(&self.estate)?;
        let estate = opened.reading.estate;
        let environment = environment(&estate, self.env.as_deref())?.clone();
        Ok(Site { root: opened.root, estate, environment })
    }

    /// Returns what to add to a command so that it means the same place.
    pub(crate) fn arguments(&self) -> String {
        let mut text = String::new();
        if self.estate.as_os_str() != "." {
            text.push_str(&format!(" --estate {}", self.estate.display()));
        }
        if let Some(env) = &self.env {
            text.push_str(&format!(" --env {env}"));
        }
        text
    }
}

/// Does a command's work on this thread.
///
/// # Errors
/// The work's.
pub(crate) fn block_on(work: impl Future<Output = Result<Exit>>) -> Result<Exit> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

/// Returns the named contexts; all that publish or subscribe when none is named.
///
/// # Errors
/// When there is no such context.
pub(crate) fn contexts(site: &Site, names: &[String]) -> Result<Vec<ContextId>> {
    if names.is_empty() {
        let busy = |id: &ContextId| {
            let estate = &site.estate;
            let publishes = estate.publications.iter().any(|it| &it.contract.context == id);
            publishes || estate.subscriptions.iter().any(|it| &it.name.context == id)
        };
        return Ok(site.estate.contexts.iter().map(|it| it.id.clone()).filter(busy).collect());
    }
    let mut found: Vec<ContextId> = Vec::new();
    for name in names {
        let id = context(&site.estate, name)?;
        if !found.contains(&id) {
            found.push(id);
        }
    }
    Ok(found)
}

/// Opens the agents of contexts that are installed.
///
/// # Errors
/// When a file is missing or cannot be used, or a context is not installed in it.
pub(crate) async fn agents(site: &Site, contexts: &[ContextId]) -> Result<Vec<Agent>> {
    let first = contexts.first().map(ToString::to_string).unwrap_or_default();
    let log = site.log(false).await.map_err(|error| not_there(error.into(), &first))?;
    let log = Arc::new(log);
    let mut agents = Vec::new();
    for context in contexts {
        agents.push(agent(site, context, &log).await?);
    }
    Ok(agents)
}

async fn agent(site: &Site, context: &ContextId, log: &Arc<EmbeddedLog>) -> Result<Agent> {
    let opened = Agent::open(site, context, Arc::clone(log), false).await;
    let agent = opened.map_err(|error| not_there(error, context.as_str()))?;
    let mut needed: Vec<&str> = vec!["seamline_case"];
    if agent.outlets.is_some() {
        needed.push("seamline_outbox");
    }
    if !agent.intakes.is_empty() {
        needed.push("seamline_lane");
    }
    needed.extend(agent.intakes.iter().filter_map(|it| Some(it.state.as_ref()?.projection.table.as_str())));
    for table in needed {
        if !has_table(&agent.database, table).await? {
            let path = agent.database.path().display();
            let message =
                format!("context `{context}` is not installed in `{path}`: there is no table `{table}`");
            return Err(unreachable(message, format!("run `seamline install {context}` first")));
        }
    }
    Ok(agent)
}

/// Gives back the leases of agents.
///
/// # Errors
/// The ports'; a lease that was not given back ends by itself.
pub(crate) async fn release(agents: &[Agent]) -> Result<()> {
    for agent in agents {
        agent.release().await.map_err(refused)?;
    }
    Ok(())
}

async fn has_table(database: &Database, table: &str) -> Result<bool> {
    let count = sqlx::query_scalar("SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = ?");
    let count: i64 = count.bind(table).fetch_one(database.readers()).await?;
    Ok(count > 0)
}

/// Returns the refusal of something that is not there yet, or cannot be used.
fn not_there(error: AgentError, context: &str) -> anyhow::Error {
    match error {
        AgentError::Site(SiteError::Open(OpenError::Missing(path))) => unreachable(
            format!("there is no file `{}`", path.display()),
            format!("restore it if it was there before; else run `seamline install {context}` first"),
        ),
        other => refused(other),
    }
}

/// Returns the refusal of an agent.
pub(crate) fn refused(error: AgentError) -> anyhow::Error {
    let exit = match &error {
        AgentError::Unresolved(_) | AgentError::Outlet(_) | AgentError::Intake(_) => Exit::Findings,
        AgentError::Site(SiteError::NoContext(_)) => Exit::Usage,
        AgentError::Site(_)
        | AgentError::Install(_)
        | AgentError::Feed(_)
        | AgentError::Rewound(_)
        | AgentError::Port(_) => Exit::Unreachable,
    };
    Refusal { exit, message: error.to_string(), help: error.help() }.into()
}

/// Returns the refusal of a port.
pub(crate) fn no_answer(error: PortError) -> anyhow::Error {
    refused(AgentError::Port(error))
}
