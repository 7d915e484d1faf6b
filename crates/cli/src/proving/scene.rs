//! The stage of a proof: the agents of an estate's contexts in this process, their files, their log.

use anyhow::{Context, Result};
use seamline_agent::agent::Agent;
use seamline_agent::log::SiteLog;
use seamline_agent::site::Site;
use seamline_contract::id::ContractName;
use seamline_contract::subscription::Role;
use seamline_flow::store::Projection;
use seamline_sqlite::context::Database;
use seamline_sqlite::log::EmbeddedLog;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

/// An estate, ready to run.
pub(crate) struct Scene {
    /// The log.
    pub(crate) log: Arc<SiteLog>,
    /// By context.
    pub(crate) agents: BTreeMap<String, Rc<Agent>>,
    /// The tables of consumers, by context and subscription.
    pub(crate) targets: Vec<Target>,
}

/// A consumer's table, which hands can reach, and what it is a copy of.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Target {
    /// The consumer.
    pub(crate) context: String,
    /// What it copies.
    pub(crate) contract: ContractName,
    /// The topic it reads.
    pub(crate) topic: String,
    /// The table.
    pub(crate) projection: Projection,
    /// Its rows are held against the log; those of a cache or an interpretation are not.
    pub(crate) is_copy: bool,
}

impl Scene {
    /// Opens the log and every context's database, lets `prepare` make the services' own tables, and installs.
    ///
    /// # Errors
    /// When a file cannot be used, or something cannot be installed.
    pub(crate) async fn open(
        site: &Site,
        prepare: impl AsyncFn(&Agent, &Database) -> Result<()>,
    ) -> Result<Scene> {
        let log = Arc::new(site.log(true).await?);
        let mut agents = BTreeMap::new();
        for context in &site.estate.contexts {
            let mut opened = Agent::open_all(site, &context.id, &log, true).await?;
            let agent = opened.pop().context("a context has a database")?;
            prepare(&agent, file_of(&agent)).await?;
            agents.insert(context.id.to_string(), Rc::new(agent));
        }
        // Topics first: a subscription is installed against topics that are there.
        for agent in agents.values() {
            agent.install().await?;
        }
        let targets = agents.iter().flat_map(|(context, agent)| targets(context, agent)).collect();
        Ok(Scene { log, agents, targets })
    }

    /// Returns the agent of a context.
    ///
    /// # Panics
    /// When the estate has no such context.
    pub(crate) fn agent(&self, context: &str) -> &Rc<Agent> {
        self.agents.get(context).expect("the proof names contexts of its own estate")
    }

    /// Returns the file of a context.
    ///
    /// # Panics
    /// When the estate has no such context.
    pub(crate) fn file(&self, context: &str) -> &Database {
        file_of(self.agent(context))
    }

    /// Returns the file of the log.
    pub(crate) fn log_file(&self) -> &EmbeddedLog {
        self.log.file().expect("the proof's log is a file")
    }

    /// Returns the contexts that read a topic of state, each once.
    pub(crate) fn readers(&self, topic: &str) -> Vec<String> {
        let mut readers: Vec<String> =
            self.targets.iter().filter(|it| it.topic == topic).map(|it| it.context.clone()).collect();
        readers.dedup();
        readers
    }
}

fn file_of(agent: &Agent) -> &Database {
    agent.database.file().expect("the proof's databases are files")
}

fn targets(context: &str, agent: &Agent) -> Vec<Target> {
    let target = |intake: &seamline_flow::intake::Intake| {
        let state = intake.state.as_ref()?;
        Some(Target {
            context: context.to_owned(),
            contract: intake.contract.name.clone(),
            topic: state.topic.clone(),
            projection: state.projection.clone(),
            is_copy: matches!(intake.role, Role::Projection | Role::Derived),
        })
    };
    agent.intakes.iter().filter_map(target).collect()
}
