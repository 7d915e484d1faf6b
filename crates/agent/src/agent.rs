//! The agent of one context: compiled from the estate, installed into its database, stepped until told to stop.

use crate::clock::{SystemClock, SystemEntropy};
use crate::lanes::Lanes;
use crate::site::{Site, SiteError};
use jiff::Timestamp;
use seamline_contract::id::{ContextId, ContractId, SystemId};
use seamline_contract::publication::{Feed, Publication};
use seamline_contract::resolve::{ResolvedContract, Unresolved, resolve};
use seamline_flow::clock::Clock;
use seamline_flow::hold::Ports;
use seamline_flow::intake::{Intake, IntakeError};
use seamline_flow::outlet::{Outlet, OutletError, OutletSet};
use seamline_flow::port::PortError;
use seamline_flow::relay::{Relay, RelayPorts, Step, TakeOver};
use seamline_flow::source::Source;
use seamline_flow::store::{Projection, Store};
use seamline_sqlite::context::Database;
use seamline_sqlite::install::InstallError;
use seamline_sqlite::install::{consumer, producer};
use seamline_sqlite::log::EmbeddedLog;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long a lease lasts without a commit, unless told otherwise.
pub const LEASE: Duration = Duration::from_secs(10);

/// How long a worker sleeps when there was nothing to do.
const NAP: Duration = Duration::from_millis(15);

/// Why an agent cannot be made or go on.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// A place cannot be used.
    #[error(transparent)]
    Site(#[from] SiteError),
    /// A contract does not resolve.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Unresolved(Vec<Unresolved>),
    /// A contract cannot be published.
    #[error(transparent)]
    Outlet(#[from] OutletError),
    /// A subscription cannot be run.
    #[error(transparent)]
    Intake(#[from] IntakeError),
    /// Something cannot be installed.
    #[error(transparent)]
    Install(#[from] InstallError),
    /// The publication's feed is not the outbox.
    #[error("the publication of `{0}` has a feed other than the outbox, which this version has not")]
    Feed(ContractId),
    /// Source and log are not of one history.
    #[error("{0}")]
    Rewound(String),
    /// A port failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

impl AgentError {
    /// Returns what to do next.
    pub fn help(&self) -> String {
        match self {
            AgentError::Site(error) => error.help(),
            AgentError::Install(error) => error.help().to_owned(),
            AgentError::Unresolved(_) | AgentError::Outlet(_) | AgentError::Intake(_) => {
                "run `seamline check` and mend what it finds".to_owned()
            }
            AgentError::Feed(_) => {
                "write `feed: outbox`, and publish by key in the service's transactions".to_owned()
            }
            AgentError::Rewound(_) => "nothing was published; see `seamline case list`".to_owned(),
            AgentError::Port(_) => {
                "run it again: what was not done is done then, and nothing twice".to_owned()
            }
        }
    }
}

/// What a context publishes: the contract and where its state is read.
#[derive(Debug, Clone)]
struct Published {
    contract: ResolvedContract,
    publication: Publication,
}

/// What a context is to run, compiled from the estate; nothing is opened.
#[derive(Debug)]
pub struct Compiled {
    /// What it publishes; none when it publishes nothing.
    pub outlets: Option<OutletSet>,
    /// What it subscribes to.
    pub intakes: Vec<Intake>,
    published: Vec<Published>,
}

impl Compiled {
    /// Compiles what a context is to run.
    ///
    /// # Errors
    /// When a contract or a subscription cannot be used.
    pub fn of(site: &Site, context: &ContextId) -> Result<Compiled, AgentError> {
        let published = published(site, context)?;
        let outlets = outlets(site, context, &published)?;
        let mut intakes = Vec::new();
        for subscription in site.estate.subscriptions.iter().filter(|it| &it.name.context == context) {
            let contract = resolve(&site.estate, &subscription.contract).map_err(AgentError::Unresolved)?;
            intakes.push(Intake::compile(subscription, &contract, &site.environment.topics)?);
        }
        Ok(Compiled { outlets, intakes, published })
    }

    /// Returns the SQL that installing runs in the context's database.
    ///
    /// # Errors
    /// When a publication cannot be read by SQL.
    pub fn install_sql(&self) -> Result<Vec<String>, AgentError> {
        let mut statements = Vec::new();
        for it in &self.published {
            statements.extend(producer::statements(&it.contract, &it.publication)?);
        }
        statements.extend(consumer::statements(&projections(&self.intakes))?);
        Ok(statements)
    }
}

fn projections(intakes: &[Intake]) -> Vec<Projection> {
    intakes.iter().filter_map(|intake| intake.state.as_ref()).map(|state| state.projection.clone()).collect()
}

/// The agent of one context.
#[derive(Debug)]
pub struct Agent {
    /// The context.
    pub context: ContextId,
    /// Its database.
    pub database: Database,
    /// The log.
    pub log: Arc<EmbeddedLog>,
    /// What it publishes; none when it publishes nothing.
    pub outlets: Option<OutletSet>,
    /// What it subscribes to.
    pub intakes: Vec<Intake>,
    /// How long its leases last without a commit.
    pub lease: Duration,
    published: Vec<Published>,
    holder: String,
}

impl Agent {
    /// Compiles the agent of a context and opens its database; `create` makes the file where there is none.
    ///
    /// # Errors
    /// When a contract, a subscription or a place cannot be used.
    pub async fn open(
        site: &Site,
        context: &ContextId,
        log: Arc<EmbeddedLog>,
        create: bool,
    ) -> Result<Agent, AgentError> {
        let Compiled { outlets, intakes, published } = Compiled::of(site, context)?;
        let database = site.database(context, create).await?;
        let holder = format!("{}/{}", std::process::id(), Timestamp::now());
        Ok(Agent {
            context: context.clone(),
            database,
            log,
            outlets,
            intakes,
            lease: LEASE,
            published,
            holder,
        })
    }

    /// Installs outbox, source views, projections and topics. Repeating it brings them up to date.
    ///
    /// # Errors
    /// When something is in the way; what was installed before it stays, and is no harm.
    pub async fn install(&self) -> Result<(), AgentError> {
        for it in &self.published {
            self.database.install_producer(&it.contract, &it.publication).await?;
        }
        self.database.install_consumer(&projections(&self.intakes)).await?;
        if let Some(outlets) = &self.outlets {
            outlets.create_topics(self.log.as_ref(), &SystemEntropy).await?;
        }
        Ok(())
    }

    /// Returns the ports of its subscriptions.
    pub fn ports(&self) -> Ports<'_, Database, EmbeddedLog, SystemClock> {
        Ports {
            store: &self.database,
            log: self.log.as_ref(),
            clock: &SystemClock,
            holder: &self.holder,
            ttl: self.lease,
        }
    }

    /// Returns under which name it takes leases.
    pub fn holder(&self) -> &str {
        &self.holder
    }

    /// Returns the workers of this context, none of them at work yet.
    pub fn workers(&self) -> Workers<'_> {
        Workers { agent: self, relay: None, lanes: Lanes::new(self.ports(), &self.intakes) }
    }

    /// Gives back its leases, so that the next one need not wait for their ends. Leases of others stay.
    ///
    /// # Errors
    /// The ports'; a lease that was not given back ends by itself.
    pub async fn release(&self) -> Result<(), AgentError> {
        let (now, at_once) = (SystemClock.now(), Duration::ZERO);
        if self.outlets.is_some() {
            self.database.take_over(&self.holder, now, at_once).await?;
        }
        for intake in &self.intakes {
            for (lane, _) in self.database.lanes(&intake.subscription).await? {
                self.database.grip(&lane, &self.holder, now, at_once, false).await?;
            }
        }
        Ok(())
    }

    /// Works until `stop` is set and nothing is left to do. Cancel safe: what is not durable is done again.
    ///
    /// # Errors
    /// When a worker must not go on: the case is raised.
    pub async fn run(&self, stop: &AtomicBool) -> Result<(), AgentError> {
        let mut workers = self.workers();
        loop {
            let moved = workers.round().await?;
            if moved == 0 {
                if stop.load(Ordering::Relaxed) {
                    return Ok(());
                }
                tokio::time::sleep(NAP).await;
            }
        }
    }
}

fn published(site: &Site, context: &ContextId) -> Result<Vec<Published>, AgentError> {
    let mut published = Vec::new();
    for publication in site.estate.publications.iter().filter(|it| &it.contract.context == context) {
        if publication.feed != Feed::Outbox {
            return Err(AgentError::Feed(publication.contract.contract.clone()));
        }
        let Some(current) = site.estate.current(&publication.contract) else { continue };
        let contract = resolve(&site.estate, &current.reference()).map_err(AgentError::Unresolved)?;
        published.push(Published { contract, publication: publication.clone() });
    }
    Ok(published)
}

fn outlets(
    site: &Site,
    context: &ContextId,
    published: &[Published],
) -> Result<Option<OutletSet>, AgentError> {
    let Some(first) = published.first() else { return Ok(None) };
    // One file holds all systems of a context here, so one outbox serves them all.
    let system: SystemId = first.publication.systems[0].clone();
    let environment = &site.environment;
    let compiled: Result<Vec<Outlet>, OutletError> = published
        .iter()
        .map(|it| Outlet::compile(&it.contract, &environment.topics, environment.partitions))
        .collect();
    Ok(Some(OutletSet::new(context.clone(), system, compiled?)?))
}

/// The relay and the lanes of a context, as one worker runs them. Dropping them at any instant loses nothing.
pub struct Workers<'a> {
    agent: &'a Agent,
    relay: Option<Relay<'a, Database, EmbeddedLog, SystemClock>>,
    lanes: Lanes<'a>,
}

impl Workers<'_> {
    /// Steps everything once. Returns how much moved.
    ///
    /// # Errors
    /// When a worker must not go on: the case is raised.
    pub async fn round(&mut self) -> Result<u64, AgentError> {
        let published = self.relay().await?;
        let round = self.lanes.round().await?;
        Ok(published + round.handed + round.inbox + round.waiting)
    }

    async fn relay(&mut self) -> Result<u64, AgentError> {
        let Some(outlets) = &self.agent.outlets else { return Ok(0) };
        if self.relay.is_none() {
            let agent = self.agent;
            let ports = RelayPorts {
                source: &agent.database,
                log: agent.log.as_ref(),
                clock: &SystemClock,
                holder: &agent.holder,
                ttl: agent.lease,
            };
            match Relay::take_over(ports, outlets).await? {
                TakeOver::Held(relay) => self.relay = Some(relay),
                TakeOver::Busy { .. } => return Ok(0),
                TakeOver::Rewound(case) => return Err(AgentError::Rewound(case.summary)),
            }
        }
        match self.relay.as_mut().expect("it was taken over").step().await? {
            Step::Stepped(stepped) => Ok(stepped.published + stepped.aside),
            Step::LostTenure | Step::Busy { .. } => Ok(0),
            Step::Rewound(case) => Err(AgentError::Rewound(case.summary)),
        }
    }
}
