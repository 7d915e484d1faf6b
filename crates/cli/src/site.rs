//! The site that a command works on: an estate in one environment, its log, and the agents of its contexts.

use crate::exit::{Exit, Refusal, unreachable};
use crate::opened::{context, environment, is_own, opened_to_run};
use anyhow::{Context as _, Result};
use seamline_agent::agent::{Agent, AgentError};
use seamline_agent::log::SiteLog;
use seamline_agent::site::{Site, SiteError};
use seamline_contract::id::ContextId;
use seamline_flow::port::PortError;
use seamline_sqlite::file::OpenError;
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

/// Does a command's work on this thread, with all that it spawns there.
///
/// # Errors
/// The work's.
pub(crate) fn block_on(work: impl Future<Output = Result<Exit>>) -> Result<Exit> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
    runtime.block_on(tokio::task::LocalSet::new().run_until(work))
}

/// Returns the named contexts; when none is named all that publish or subscribe, but for those of other repositories, which their own
/// teams run.
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
        let own = site.estate.contexts.iter().filter(|it| is_own(&it.document));
        return Ok(own.map(|it| it.id.clone()).filter(busy).collect());
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
        agents.extend(installed(site, context, &log).await?);
    }
    Ok(agents)
}

async fn installed(site: &Site, context: &ContextId, log: &Arc<SiteLog>) -> Result<Vec<Agent>> {
    let opened = Agent::open_all(site, context, log, false).await;
    let agents = opened.map_err(|error| not_there(error, context.as_str()))?;
    for agent in &agents {
        if let Some(table) = agent.missing().await.map_err(no_answer)? {
            let place = &agent.place;
            let message =
                format!("context `{context}` is not installed in `{place}`: there is no table `{table}`");
            return Err(unreachable(message, format!("run `seamline install {context}` first")));
        }
    }
    Ok(agents)
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
        AgentError::Unresolved(_)
        | AgentError::Composition { .. }
        | AgentError::Outlet(_)
        | AgentError::Outflow(_)
        | AgentError::Intake(_) => Exit::Findings,
        AgentError::Site(SiteError::NoContext(_)) => Exit::Usage,
        AgentError::Site(_)
        | AgentError::Sqlite(_)
        | AgentError::Postgres(_)
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
