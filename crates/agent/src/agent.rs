//! The agent of one database of a context: compiled from the estate, installed, and run by its workers.

use crate::clock::{SystemClock, SystemEntropy};
use crate::compiled::{Compiled, Published, projections};
use crate::database::{Database, Needs};
use crate::errand::{self, ErrandPlan};
use crate::lane::{Kind, LaneWork, readings};
use crate::log::SiteLog;
use crate::pass::{Watched, watched};
use crate::place::Place;
use crate::reference;
use crate::seal;
use crate::site::{Site, SiteError};
use crate::workers::Workers;
use jiff::Timestamp;
use seamline_contract::channel::ChannelKind;
use seamline_contract::id::{ContextId, ContractId, ContractName, ContractRef, SubscriptionRef};
use seamline_contract::resolve::Unresolved;
use seamline_contract::subscription::StartsAt;
use seamline_flow::clock::{Clock, Entropy};
use seamline_flow::hold::Ports;
use seamline_flow::intake::{Intake, IntakeError};
use seamline_flow::lease::Leases;
use seamline_flow::log::Log;
use seamline_flow::outlet::{OutletError, OutletSet};
use seamline_flow::port::PortError;
use seamline_flow::reference::{Outflow, OutflowError};
use seamline_flow::source::Source;
use seamline_flow::store::Store;
use std::collections::BTreeSet;
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
    /// Reference data cannot be sent.
    #[error(transparent)]
    Outflow(#[from] OutflowError),
    /// A subscription cannot be run.
    #[error(transparent)]
    Intake(#[from] IntakeError),
    /// Something cannot be installed in a SQLite file.
    #[error(transparent)]
    Sqlite(#[from] seamline_sqlite::install::InstallError),
    /// Something cannot be installed in a PostgreSQL database.
    #[error(transparent)]
    Postgres(#[from] seamline_postgres::install::InstallError),
    /// The publication's feed is one that is not built.
    #[error("the publication of `{0}` has a feed of `cdc` or `store`, which this version has not")]
    Feed(ContractId),
    /// A derived contract cannot be composed from the projections that there are.
    #[error("`{contract}` cannot be composed from projections: {}", if .gaps.is_empty() { "it is not derived".to_owned() } else { .gaps.join("; ") })]
    Composition {
        /// The contract.
        contract: ContractName,
        /// What is missing.
        gaps: Vec<String>,
    },
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
            AgentError::Sqlite(error) => error.help().to_owned(),
            AgentError::Postgres(error) => error.help().to_owned(),
            AgentError::Unresolved(_)
            | AgentError::Composition { .. }
            | AgentError::Outlet(_)
            | AgentError::Outflow(_)
            | AgentError::Intake(_) => "run `seamline check` and mend what it finds".to_owned(),
            AgentError::Feed(_) => {
                "write `feed: outbox`, and publish by key in the service's transactions".to_owned()
            }
            AgentError::Rewound(_) => {
                "nothing was published; `seamline case list` says what mends it".to_owned()
            }
            AgentError::Port(error) if error.to_string().contains("InvalidReplicationFactor") => {
                "say in the environment on how many brokers a topic is kept: `log: { kafka: …, replicas: 1 }`; then run it \
                 again"
                    .to_owned()
            }
            AgentError::Port(_) => {
                "run it again: what was not done is done then, and nothing twice".to_owned()
            }
        }
    }
}

/// The agent of one database of a context.
#[derive(Debug)]
pub struct Agent {
    /// The context.
    pub context: ContextId,
    /// Where its database is.
    pub place: Place,
    /// Its database.
    pub database: Database,
    /// The log.
    pub log: Arc<SiteLog>,
    /// What is published from it; none when nothing is.
    pub outlets: Option<OutletSet>,
    /// The subscriptions that are kept in it.
    pub intakes: Vec<Intake>,
    /// The commands that are sent from it and received in it.
    pub errands: ErrandPlan,
    /// The reference data that is sent from it.
    pub outflows: Vec<Outflow>,
    /// What is compared, and how often.
    pub watched: Vec<Watched>,
    /// How long its leases last without a commit.
    pub lease: Duration,
    published: Vec<Published>,
    holder: String,
}

impl Agent {
    /// Compiles the agents of a context and opens their databases; `create` makes a file where there is none.
    ///
    /// # Errors
    /// When a contract, a subscription or a place cannot be used.
    pub async fn open_all(
        site: &Site,
        context: &ContextId,
        log: &Arc<SiteLog>,
        create: bool,
    ) -> Result<Vec<Agent>, AgentError> {
        let mut agents = Vec::new();
        for compiled in Compiled::of(site, context)? {
            agents.push(Agent::open(site, context, compiled, Arc::clone(log), create).await?);
        }
        Ok(agents)
    }

    /// Opens the database of what was compiled; `create` makes a file where there is none.
    ///
    /// # Errors
    /// When the place cannot be used.
    pub async fn open(
        site: &Site,
        context: &ContextId,
        compiled: Compiled,
        log: Arc<SiteLog>,
        create: bool,
    ) -> Result<Agent, AgentError> {
        let Compiled { place, mut outlets, mut intakes, errands, outflows, published } = compiled;
        if let Some(outlets) = outlets.as_mut().filter(|outlets| !outlets.sealing().is_empty())
            && let Some(sealer) = seal::sealer(context)?
        {
            outlets.seal_with(&sealer);
        }
        for intake in &mut intakes {
            intake.keyholder = seal::keyholder(site, intake.codec.contract(), context)?;
        }
        let database = site.database(&place, create).await?;
        let (context, holder) = (context.clone(), holder());
        let watched = watched(site, outlets.as_ref(), &intakes);
        Ok(Agent {
            context,
            place,
            database,
            log,
            outlets,
            intakes,
            errands,
            outflows,
            watched,
            lease: LEASE,
            published,
            holder,
        })
    }

    /// Installs outbox, source views, projections and topics, and takes the starting points of reactions: what is
    /// published from now on is reacted to, whenever an agent comes. Repeating it brings them up to date.
    ///
    /// Where a topic is not there yet, its reactions begin when an agent first sees it, or when this is repeated.
    ///
    /// # Errors
    /// When something is in the way; what was installed before it stays, and is no harm.
    pub async fn install(&self) -> Result<(), AgentError> {
        self.database.install(&self.published, &projections(&self.intakes)).await?;
        if self.outlets.is_some() {
            self.database.install_slot().await?;
        }
        if !self.errands.is_empty() {
            self.database.install_errands(&self.context, &self.errands.rules).await?;
        }
        for spec in self.errands.topics.iter().chain(self.outflows.iter().map(|it| &it.topic)) {
            self.log.create(spec).await?;
        }
        if let Some(outlets) = &self.outlets {
            outlets.create_topics(self.log.as_ref(), &SystemEntropy).await?;
        }
        self.begin_reactions().await?;
        Ok(())
    }

    /// Takes the starting point of each reaction that has none. What another holds has one.
    async fn begin_reactions(&self) -> Result<(), PortError> {
        for reading in readings(&self.intakes).into_iter().filter(|reading| reading.kind == Kind::Events) {
            let Some(topic) = self.log.topic(reading.topic).await? else { continue };
            for partition in 0..topic.partitions {
                LaneWork::new(self.ports(), reading, partition).begin().await?;
            }
        }
        Ok(())
    }

    /// Returns the contracts with a topic of state, of whatever major, that holds nothing although keys were published, or there
    /// are rows of what is composed: a new major's, a new view's, or a new composition's is filled by a backfill.
    ///
    /// # Errors
    /// The ports'.
    pub async fn to_fill(&self) -> Result<Vec<ContractRef>, PortError> {
        let (mut to_fill, now) = (Vec::new(), SystemClock.now());
        for outlet in self.outlets.iter().flat_map(OutletSet::iter) {
            let id = &outlet.contract.name.contract;
            // What is composed may have rows that nobody ever changed.
            let is_composed = || {
                let mut published = self.published.iter();
                published.any(|it| it.contract.contract.name.contract == *id && it.composition.is_some())
            };
            if self.database.published(id, None, 1).await?.is_empty()
                && (!is_composed() || self.database.scan(id, None, 1).await?.is_empty())
            {
                continue;
            }
            let alive = outlet.all().filter(|it| it.is_alive(now));
            for channel in alive.flat_map(|it| it.channels_of(ChannelKind::State)) {
                if self.is_empty(&channel.topic).await? {
                    to_fill.push(outlet.contract.clone());
                    break;
                }
            }
        }
        Ok(to_fill)
    }

    /// Returns subscriptions that reacted to an older major and begin with the newer one `now`: what is published after the last
    /// agent of the older and before the first of the newer would come to neither.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn with_a_gap(&self) -> Result<Vec<SubscriptionRef>, PortError> {
        let mut found = Vec::new();
        for intake in &self.intakes {
            let Some(events) = intake.events.as_ref().filter(|it| it.starts_at == StartsAt::Now) else {
                continue;
            };
            let lanes = self.database.lanes(&intake.subscription).await?;
            let began = lanes.iter().filter(|(_, state)| state.position.is_some());
            let topics: BTreeSet<&String> = began.map(|(lane, _)| &lane.topic).collect();
            if !topics.contains(&events.topic) && events.older.iter().any(|older| topics.contains(older)) {
                found.push(intake.subscription.clone());
            }
        }
        Ok(found)
    }

    /// Returns whether a topic that is there never held a record.
    async fn is_empty(&self, topic: &str) -> Result<bool, PortError> {
        let Some(topic) = self.log.topic(topic).await? else { return Ok(false) };
        for partition in 0..topic.partitions {
            let ends = self.log.ends(&topic, partition).await?;
            if ends.is_some_and(|(_, end)| end > 0) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Keeps the keys of subjects under the present key-encryption key of the context, where something is sealed. Returns how many were
    /// kept under an older one.
    ///
    /// # Errors
    /// When there is no key-encryption key, or one is kept under a key that is not given; or the database's.
    pub async fn turn_keys(&self) -> Result<u64, AgentError> {
        if let Some(error) = seal::missing(&self.context, self.outlets.as_ref()) {
            return Err(error.into());
        }
        let sealer = self.outlets.iter().flat_map(OutletSet::iter).find_map(|outlet| outlet.sealer.as_ref());
        match sealer {
            Some(sealer) => Ok(sealer.rewrap(&self.database).await?),
            None => Ok(0),
        }
    }

    /// Returns a table that its work needs and its database has not; none when it is installed.
    ///
    /// # Errors
    /// The database's.
    pub async fn missing(&self) -> Result<Option<String>, PortError> {
        let needs = Needs::of(self.outlets.as_ref(), &self.intakes, &self.errands, &self.outflows);
        self.database.missing(&needs, &projections(&self.intakes)).await
    }

    /// Returns whether it publishes a contract, or keeps a subscription, of this printed name.
    pub fn deals_with(&self, name: &str) -> bool {
        let mut outlets = self.outlets.iter().flat_map(OutletSet::all);
        outlets.any(|outlet| outlet.contract.to_string() == name)
            || self.intakes.iter().any(|intake| intake.subscription.to_string() == name)
    }

    /// Returns whether all rows of a contract that it publishes are in its own database.
    pub fn has_all_of(&self, contract: &ContractId) -> bool {
        let of = |it: &&Published| &it.contract.contract.name.contract == contract;
        self.published.iter().find(of).is_some_and(|it| it.whole)
    }

    /// Returns the ports of its subscriptions.
    pub fn ports(&self) -> Ports<'_, Database, SiteLog, SystemClock> {
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

    /// Returns its workers, none of them at work yet.
    pub fn workers(&self) -> Workers<'_> {
        Workers::new(self)
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
            self.release_lanes(&intake.subscription.to_string(), &self.holder).await?;
        }
        self.release_jobs().await?;
        errand::release(self.ports(), &self.context, &self.errands).await?;
        reference::release(self.ports(), &self.context, &self.outflows, &self.intakes).await?;
        self.database.attend(&self.holder, now, at_once).await?;
        Ok(())
    }

    /// Gives back the lanes of a subscription that somebody here holds.
    pub(crate) async fn release_lanes(&self, subscription: &str, holder: &str) -> Result<(), PortError> {
        let now = SystemClock.now();
        for intake in self.intakes.iter().filter(|it| it.subscription.to_string() == subscription) {
            for (lane, _) in self.database.lanes(&intake.subscription).await? {
                self.database.grip(&lane, holder, now, Duration::ZERO, false).await?;
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

/// Returns a name that no other agent has: process ids repeat between machines and after restarts.
fn holder() -> String {
    let bytes = SystemEntropy.bytes();
    let random = bytes.iter().take(4).map(|byte| format!("{byte:02x}")).collect::<String>();
    format!("{}/{}/{random}", std::process::id(), Timestamp::now())
}
