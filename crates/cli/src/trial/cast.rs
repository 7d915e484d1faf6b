//! What of an estate can be tried: what it publishes through an outbox and whoever subscribes to it, each on SQLite.

use crate::trial::table::Table;
use seamline_contract::channel::{Cadence, DEFAULT_TOPICS};
use seamline_contract::context::Engine;
use seamline_contract::environment::{Environment, LogPlace};
use seamline_contract::estate::Estate;
use seamline_contract::id::{ContextId, ContractRef};
use seamline_contract::path::DocumentId;
use seamline_contract::publication::{Feed, Publication};
use seamline_contract::resolve::{ResolvedContract, resolve};
use seamline_contract::subscription::Subscription;
use seamline_flow::intake::Intake;
use seamline_flow::store::Projection;
use seamline_message::codec::Codec;
use seamline_sqlite::install::{consumer, producer};
use std::collections::{BTreeMap, BTreeSet};

/// How many partitions a topic has in a trial.
const PARTITIONS: u32 = 3;

/// A contract whose service is played.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    /// The contract.
    pub(crate) contract: ResolvedContract,
    /// Its codec.
    pub(crate) codec: Codec,
    /// Its table.
    pub(crate) table: Table,
}

/// Something that cannot be tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Untried {
    /// The document, as it is referred to.
    pub(crate) what: String,
    /// Why.
    pub(crate) why: String,
}

/// An estate cut to what can be tried.
pub(crate) struct Cast {
    /// The estate, without what cannot be.
    pub(crate) estate: Estate,
    /// Whose services are played.
    pub(crate) parts: Vec<Part>,
    /// What is left out.
    pub(crate) untried: Vec<Untried>,
    /// Systems of an engine that this version cannot run on, and that SQLite stands in for.
    pub(crate) stand_ins: Vec<String>,
    /// Contracts that are sent at hours, and at once here: nobody waits for them.
    pub(crate) at_hours: Vec<String>,
}

/// Cuts an estate to what can be tried.
pub(crate) fn cast(whole: &Estate) -> Cast {
    let mut whole = whole.clone();
    let at_hours = send_at_once(&mut whole);
    let whole = &whole;
    let mut cast = Cast {
        estate: Estate { publications: Vec::new(), subscriptions: Vec::new(), ..whole.clone() },
        parts: Vec::new(),
        untried: Vec::new(),
        stand_ins: Vec::new(),
        at_hours,
    };
    for context in &whole.contexts {
        let mysql = context.systems.iter().filter(|system| system.engine == Engine::Mysql);
        cast.stand_ins.extend(mysql.map(|system| format!("{}/{}", context.id, system.id)));
    }
    let mut tables = consumer_tables(whole);
    for publication in &whole.publications {
        let mut publication = publication.clone();
        let taken = (publication.contract.context.clone(), publication.table.to_lowercase());
        // All systems of a context are one file here: what has the same name in two of them gets another.
        if !tables.insert(taken) {
            publication.table = format!("{} of {}", publication.table, publication.contract.contract);
        }
        match part(whole, &publication) {
            Ok(part) => {
                cast.parts.push(part);
                cast.estate.publications.push(publication);
            }
            Err(why) => {
                cast.untried.push(Untried { what: format!("publication {}", publication.contract), why });
            }
        }
    }
    let published: BTreeSet<ContractRef> =
        cast.parts.iter().map(|part| part.contract.contract.reference()).collect();
    let mut projections: BTreeMap<ContextId, Vec<Projection>> = BTreeMap::new();
    for subscription in &whole.subscriptions {
        let there = projections.entry(subscription.name.context.clone()).or_default();
        match admitted(whole, &published, subscription, there) {
            Ok(()) => cast.estate.subscriptions.push(subscription.clone()),
            Err(why) => {
                cast.untried.push(Untried { what: format!("subscription {}", subscription.name), why });
            }
        }
    }
    cast
}

/// Takes the hours off all contracts. Returns which had some.
fn send_at_once(estate: &mut Estate) -> Vec<String> {
    let mut had = Vec::new();
    for contract in &mut estate.contracts {
        let events = contract.events.as_mut().map(|events| &mut events.terms);
        let mut has = false;
        for terms in events.into_iter().chain(&mut contract.state) {
            has |= std::mem::take(&mut terms.cadence) != Cadence::Continuous;
        }
        if has {
            had.push(contract.reference().to_string());
        }
    }
    had
}

/// Returns the environment of a trial: everything in files beside the log.
pub(crate) fn environment() -> Environment {
    Environment {
        document: DocumentId("try.environment.yaml".to_owned()),
        id: "try".parse().expect("an id"),
        systems: Vec::new(),
        variables: Vec::new(),
        log: LogPlace::Embedded { path: "log.db".to_owned() },
        topics: DEFAULT_TOPICS.to_owned(),
        partitions: PARTITIONS,
        replicas: 1,
        generations: Vec::new(),
        hub: None,
    }
}

fn consumer_tables(estate: &Estate) -> BTreeSet<(ContextId, String)> {
    let table = |it: &Subscription| Some((it.name.context.clone(), it.projection()?.0.to_lowercase()));
    estate.subscriptions.iter().filter_map(table).collect()
}

fn part(estate: &Estate, publication: &Publication) -> Result<Part, String> {
    let feed = match publication.feed {
        Feed::Outbox => None,
        Feed::Cdc => Some("cdc"),
        Feed::Store => Some("store"),
        Feed::Snapshot => Some("snapshot"),
        Feed::Projections => Some("projections"),
    };
    if let Some(feed) = feed {
        let cannot = match publication.feed {
            Feed::Projections => "which a trial does not play: install the context, and let its agent run",
            Feed::Outbox | Feed::Cdc | Feed::Store | Feed::Snapshot => "which this version cannot run",
        };
        return Err(format!("its feed is `{feed}`, {cannot}"));
    }
    let current = estate.current(&publication.contract).ok_or("there is no such contract")?;
    let contract = resolve(estate, &current.reference())
        .map_err(|reasons| reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))?;
    let codec = Codec::compile(&contract).map_err(|error| error.to_string())?;
    let table = Table::of(&contract, publication)
        .ok_or("it computes values from columns that only its service knows")?;
    producer::statements(&contract, publication).map_err(|error| error.to_string())?;
    Ok(Part { contract, codec, table })
}

fn admitted(
    estate: &Estate,
    published: &BTreeSet<ContractRef>,
    subscription: &Subscription,
    there: &mut Vec<Projection>,
) -> Result<(), String> {
    if !published.contains(&subscription.contract) {
        return Err(format!("nothing that can be tried publishes `{}`", subscription.contract));
    }
    let contract = resolve(estate, &subscription.contract)
        .map_err(|reasons| reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))?;
    let intake =
        Intake::compile(subscription, &contract, DEFAULT_TOPICS).map_err(|error| error.to_string())?;
    if intake.reference.is_some() {
        return Err("it takes sets of reference data, which are not tried".to_owned());
    }
    if intake.state.is_none() && intake.events.is_none() {
        return Err("it neither keeps a table nor reacts".to_owned());
    }
    if let Some(state) = intake.state {
        there.push(state.projection);
        if let Err(error) = consumer::statements(there) {
            there.pop();
            return Err(error.to_string());
        }
    }
    Ok(())
}
