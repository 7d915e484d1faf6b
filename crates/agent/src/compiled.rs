//! What one database of a context is to run, compiled from the estate: what is published from it, what is kept in it.

use crate::agent::AgentError;
use crate::errand::ErrandPlan;
use crate::lane::{Kind, readings};
use crate::place::Place;
use crate::reference::{outflows, taken};
use crate::site::Site;
use seamline_contract::channel::ChannelKind;
use seamline_contract::composition::{Composition, compose};
use seamline_contract::id::{ContextId, ContractRef, SystemId};
use seamline_contract::publication::{Feed, Publication};
use seamline_contract::resolve::{ResolvedContract, resolve, resolve_all};
use seamline_contract::subscription::Subscription;
#[cfg(feature = "kafka")]
use seamline_flow::audit::publish;
use seamline_flow::audit::publish::points_topic;
#[cfg(feature = "kafka")]
use seamline_flow::digest_key;
use seamline_flow::digest_key::ledger_topic;
use seamline_flow::intake::Intake;
use seamline_flow::outlet::{Outlet, OutletError, OutletSet, TopicPlan};
use seamline_flow::reference::Outflow;
use seamline_flow::store::Projection;
#[cfg(feature = "kafka")]
use seamline_kafka::access;
use seamline_postgres::install as server;
use seamline_postgres::logical::slot;
use seamline_sqlite::install::{compose as file_compose, consumer, errand as file_errand, producer};

/// What a context publishes: the contract and where its state is read.
#[derive(Debug, Clone)]
pub(crate) struct Published {
    pub(crate) contract: ResolvedContract,
    pub(crate) publication: Publication,
    /// How it is composed from projections of the same database; none: a service publishes it.
    pub(crate) composition: Option<Composition>,
    /// No other database has rows of it.
    pub(crate) whole: bool,
}

/// What one database of a context is to run; nothing is opened.
#[derive(Debug)]
pub struct Compiled {
    /// Where the database is.
    pub place: Place,
    /// What is published from it; none when nothing is.
    pub outlets: Option<OutletSet>,
    /// The subscriptions that are kept in it.
    pub intakes: Vec<Intake>,
    /// The commands that are sent from it and received in it.
    pub errands: ErrandPlan,
    /// The reference data that is sent from it.
    pub outflows: Vec<Outflow>,
    pub(crate) published: Vec<Published>,
}

impl Compiled {
    /// Compiles what a context is to run, one for each of its databases that has work; one even where none has.
    ///
    /// # Errors
    /// When a contract, a subscription or a place cannot be used.
    pub fn of(site: &Site, context: &ContextId) -> Result<Vec<Compiled>, AgentError> {
        let located = site.located(context)?;
        // A system that its context does not declare is a finding of `check`; here it is in the first database.
        let known = |system: &SystemId| located.iter().any(|it| it.systems.contains(system));
        let mut all = Vec::new();
        for (at, it) in located.iter().enumerate() {
            let holds = |system: &SystemId| it.systems.contains(system) || (at == 0 && !known(system));
            let published = published(site, context, holds)?;
            let outlets = outlets(site, context, &published, holds)?;
            let mut intakes = Vec::new();
            for subscription in site.estate.subscriptions.iter().filter(|it| &it.name.context == context) {
                if !kept_in(subscription).map_or(at == 0, holds) {
                    continue;
                }
                let contract =
                    resolve(&site.estate, &subscription.contract).map_err(AgentError::Unresolved)?;
                let mut intake = Intake::compile(subscription, &contract, &site.environment.topics)?;
                intake.served = served(site, &subscription.contract);
                if let Some(said) = site.environment.generations_of(&subscription.contract) {
                    intake = intake.in_generations(&site.environment.topics, said);
                }
                intakes.push(intake);
            }
            let errands =
                ErrandPlan::of(site, context, it.systems.first(), |system| system.map_or(at == 0, holds))?;
            let outflows = outflows(site, &published)?;
            all.push(Compiled { place: it.place.clone(), outlets, intakes, errands, outflows, published });
        }
        let idle = |it: &Compiled| it.outlets.is_none() && it.intakes.is_empty() && it.errands.is_empty();
        if all.iter().all(idle) {
            all.truncate(1);
        } else {
            all.retain(|it| !idle(it));
        }
        Ok(all)
    }

    /// Returns the SQL that installing runs in the database.
    ///
    /// # Errors
    /// When a publication cannot be read by SQL.
    pub fn install_sql(&self) -> Result<Vec<String>, AgentError> {
        let mut statements = Vec::new();
        let projections = projections(&self.intakes);
        match &self.place {
            Place::Sqlite(_) => {
                for it in self.published.iter().filter(|it| it.composition.is_none()) {
                    statements.extend(producer::statements(&it.contract, &it.publication)?);
                }
                statements.extend(consumer::statements(&projections)?);
                for (it, composition) in self.composed() {
                    statements.extend(file_compose::view(composition));
                    statements.extend(producer::statements(&it.contract, &it.publication)?);
                    statements.extend(file_compose::triggers(&it.contract, composition));
                }
                if !self.errands.is_empty() {
                    statements.extend(file_errand::all_statements(&self.errands.rules));
                }
            }
            Place::Postgres(_) => {
                for it in self.published.iter().filter(|it| it.composition.is_none()) {
                    statements.extend(server::producer::statements(&it.contract, &it.publication)?);
                }
                statements.extend(server::consumer::statements(&projections)?);
                for (it, composition) in self.composed() {
                    statements.extend(server::compose::view(composition));
                    statements.extend(server::producer::statements(&it.contract, &it.publication)?);
                    statements.extend(server::compose::triggers(&it.contract, composition));
                }
                if self.replicates() {
                    statements.extend(slot::statements());
                }
                if let Some(context) = self.errands.context().filter(|_| !self.errands.is_empty()) {
                    statements.extend(server::errand::all_statements(context, &self.errands.rules));
                }
            }
        }
        Ok(statements)
    }

    /// Returns what is composed from its projections.
    fn composed(&self) -> impl Iterator<Item = (&Published, &Composition)> {
        self.published.iter().filter_map(|it| Some((it, it.composition.as_ref()?)))
    }

    /// Returns whether rows of its outbox leave through logical replication.
    fn replicates(&self) -> bool {
        matches!(&self.place, Place::Postgres(options) if options.replication) && self.outlets.is_some()
    }

    /// Returns the statement that installing runs after all others, in a transaction of its own; none where there is none.
    pub fn install_last(&self) -> Option<&'static str> {
        self.replicates().then_some(slot::MAKE)
    }

    /// Returns the SQL that gives a service's role what it needs, and an agent's role what its workers need. A file has no
    /// roles.
    pub fn grants(&self, service: &str, agent: &str) -> Vec<String> {
        let Place::Postgres(_) = self.place else { return Vec::new() };
        let mut grants = Vec::new();
        if self.outlets.is_some() {
            grants.extend(server::producer::grants(service, agent));
        }
        if self.replicates() {
            grants.push(slot::grant(agent));
        }
        if !self.intakes.is_empty() {
            grants.extend(server::consumer::grants(&projections(&self.intakes), service, agent));
        }
        for (_, composition) in self.composed() {
            grants.extend(server::compose::grants(composition, service));
        }
        if !self.errands.is_empty() {
            grants.extend(server::errand::grants(service, agent));
        }
        grants
    }

    /// Returns the commands that let a principal of Apache Kafka write and read what its workers need, and no more.
    #[cfg(feature = "kafka")]
    pub fn access(&self, principal: &str) -> Vec<String> {
        let (written, mut read) = self.topics();
        let mut producers = Vec::new();
        if !self.errands.is_empty() {
            producers.push(self.errands.name.clone());
        }
        producers.extend(self.outflows.iter().map(Outflow::producer_name));
        // Before it writes, a sender looks for the last set that is there.
        read.extend(self.outflows.iter().map(|it| it.topic.name.clone()));
        if let Some(outlets) = &self.outlets {
            producers.push(outlets.producer_name());
            producers.extend(
                outlets.all().flat_map(|it| &it.channels).map(|it| digest_key::producer_name(&it.topic)),
            );
            let states = outlets.all().flat_map(|it| it.channels_of(ChannelKind::State));
            producers.extend(states.map(|it| publish::producer_name(&it.topic)));
            // A relay reads its own batch records, and digest keys before it makes one.
            let ledgers = outlets.all().flat_map(|it| &it.channels).map(|it| ledger_topic(&it.topic));
            read.extend(ledgers.chain([outlets.batches().name]));
            // Link 1 is compared with what is in the topics.
            read.extend(outlets.all().flat_map(|it| &it.channels).map(|it| it.topic.clone()));
        }
        read.sort();
        read.dedup();
        let mut lines = Vec::new();
        if !written.is_empty() {
            lines.extend(access::producer(principal, &texts(&producers), &texts(&written)));
        }
        lines.extend(access::consumer(principal, &texts(&read)));
        lines
    }
}

impl Compiled {
    /// Returns the names of the topics that its relay writes, and of those that its lanes read, each sorted.
    pub fn topics(&self) -> (Vec<String>, Vec<String>) {
        let mut written = Vec::new();
        if let Some(outlets) = &self.outlets {
            written.push(outlets.batches().name);
            let channels = outlets.all().flat_map(|outlet| &outlet.channels);
            let states = outlets.all().flat_map(|outlet| outlet.channels_of(ChannelKind::State));
            written.extend(states.map(|it| points_topic(&it.topic)));
            written.extend(channels.flat_map(|it| [it.topic.clone(), ledger_topic(&it.topic)]));
        }
        let mut read: Vec<String> = readings(&self.intakes)
            .into_iter()
            .flat_map(|reading| {
                let points = (reading.kind == Kind::State).then(|| points_topic(reading.topic));
                [reading.topic.to_owned(), ledger_topic(reading.topic)].into_iter().chain(points)
            })
            .collect();
        let (posted, heard) = self.errands.topics();
        written.extend(posted);
        read.extend(heard);
        written.extend(self.outflows.iter().map(|it| it.topic.name.clone()));
        read.extend(taken(&self.intakes).map(ToOwned::to_owned));
        written.sort();
        written.dedup();
        read.sort();
        read.dedup();
        (written, read)
    }
}

#[cfg(feature = "kafka")]
fn texts(all: &[String]) -> Vec<&str> {
    all.iter().map(String::as_str).collect()
}

/// Returns the projections of subscriptions.
pub(crate) fn projections(intakes: &[Intake]) -> Vec<Projection> {
    intakes.iter().filter_map(Intake::table).map(|table| table.projection.clone()).collect()
}

/// Returns the newer major that serves an older one, and until when.
fn served(site: &Site, read: &ContractRef) -> Option<(ContractRef, String)> {
    let current = site.estate.current(&read.name)?;
    let serves = current.serves.iter().find(|it| it.version == read.major)?;
    Some((current.reference(), serves.until.clone()))
}

fn kept_in(subscription: &Subscription) -> Option<&SystemId> {
    subscription.into.as_ref().map(|into| &into.system)
}

fn published(
    site: &Site,
    context: &ContextId,
    holds: impl Fn(&SystemId) -> bool,
) -> Result<Vec<Published>, AgentError> {
    let mut published = Vec::new();
    for publication in site.estate.publications.iter().filter(|it| &it.contract.context == context) {
        if !publication.systems.iter().any(&holds) {
            continue;
        }
        if matches!(publication.feed, Feed::Cdc | Feed::Store) {
            return Err(AgentError::Feed(publication.contract.contract.clone()));
        }
        let Some(current) = site.estate.current(&publication.contract) else { continue };
        let contract = resolve(&site.estate, &current.reference()).map_err(AgentError::Unresolved)?;
        let whole = publication.systems.iter().all(&holds);
        let composition = match publication.feed {
            Feed::Projections => Some(composed(site, &contract, publication)?),
            Feed::Outbox | Feed::Snapshot | Feed::Cdc | Feed::Store => None,
        };
        published.push(Published { contract, publication: publication.clone(), composition, whole });
    }
    Ok(published)
}

fn composed(
    site: &Site,
    contract: &ResolvedContract,
    publication: &Publication,
) -> Result<Composition, AgentError> {
    let resolved = resolve_all(&site.estate);
    let find = |reference: &ContractRef| resolved.get(reference).and_then(|it| it.as_ref().ok());
    let subscriptions: Vec<&Subscription> = site.estate.subscriptions.iter().collect();
    compose(contract, publication, &subscriptions, &find).map_err(|gaps| AgentError::Composition {
        contract: publication.contract.clone(),
        gaps: gaps.into_iter().map(|gap| gap.message).collect(),
    })
}

fn outlets(
    site: &Site,
    context: &ContextId,
    published: &[Published],
    holds: impl Fn(&SystemId) -> bool,
) -> Result<Option<OutletSet>, AgentError> {
    // One outbox serves all systems that are in one database: it is named after the first that publishes.
    let mut systems = published.iter().flat_map(|it| &it.publication.systems);
    let Some(system) = systems.find(|system| holds(system)).cloned() else { return Ok(None) };
    let environment = &site.environment;
    let plan = TopicPlan {
        template: &environment.topics,
        partitions: environment.partitions,
        generations: &environment.generations,
    };
    let compiled: Result<Vec<Outlet>, OutletError> =
        published.iter().map(|it| Outlet::compile_in(&it.contract, plan)).collect();
    Ok(Some(OutletSet::new(context.clone(), system, compiled?)?))
}
