//! The doctor: looks at the log and the databases of contexts, and says what stands in the way, why, and how to mend it.

mod audit;
mod epoch;
mod server;
mod tables;

use crate::compiled::{Compiled, projections};
use crate::database::{Database, Needs};
use crate::lane::readings;
use crate::log::SiteLog;
use crate::place::Place;
use crate::site::Site;
use jiff::Timestamp;
use seamline_contract::channel::ChannelKind;
use seamline_contract::id::ContextId;
use seamline_flow::audit::publish::points_spec;
use seamline_flow::digest_key;
use seamline_flow::lease::Leases;
use seamline_flow::log::{Log, TopicSpec};
use seamline_flow::outlet::OutletSet;
use seamline_flow::source::Source;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long one question may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Health {
    /// It is as it should be.
    Well,
    /// It is not.
    Ill,
    /// It could not be seen.
    Unreachable,
}

/// A check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What was looked at: a word that stays the same.
    pub name: &'static str,
    /// Of what.
    pub subject: String,
    /// How it came out.
    pub health: Health,
    /// What was seen, and where it is ill why that matters.
    pub says: String,
    /// What mends it: a command where there is one. None where it is well.
    pub mend: Option<String>,
}

/// The checks so far.
#[derive(Debug, Default)]
pub(crate) struct Checks(Vec<Check>);

impl Checks {
    fn push(
        &mut self,
        name: &'static str,
        subject: &str,
        health: Health,
        says: String,
        mend: Option<String>,
    ) {
        self.0.push(Check { name, subject: subject.to_owned(), health, says, mend });
    }

    pub(crate) fn well(&mut self, name: &'static str, subject: &str, says: impl Into<String>) {
        self.push(name, subject, Health::Well, says.into(), None);
    }

    pub(crate) fn ill(
        &mut self,
        name: &'static str,
        subject: &str,
        says: impl Into<String>,
        mend: impl Into<String>,
    ) {
        self.push(name, subject, Health::Ill, says.into(), Some(mend.into()));
    }

    pub(crate) fn unreachable(
        &mut self,
        name: &'static str,
        subject: &str,
        says: impl Into<String>,
        mend: impl Into<String>,
    ) {
        self.push(name, subject, Health::Unreachable, says.into(), Some(mend.into()));
    }

    /// Says that all of a kind is well when nothing of it was ill since there were `before` checks.
    pub(crate) fn well_unless_ill(
        &mut self,
        before: usize,
        name: &'static str,
        subject: &str,
        says: impl Into<String>,
    ) {
        if self.0.len() == before {
            self.well(name, subject, says);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

/// Looks at the log and at all databases of contexts. Reads only.
pub async fn examine(site: &Site, contexts: &[ContextId]) -> Vec<Check> {
    let mut checks = Checks::default();
    let log = log(site, &mut checks).await;
    for context in contexts {
        match Compiled::of(site, context) {
            Ok(all) => {
                for compiled in all {
                    if let Some(log) = &log {
                        topics(log, context, &compiled, &mut checks).await;
                    }
                    database(site, context, &compiled, log.as_ref(), &mut checks).await;
                }
            }
            Err(error) => checks.ill("contracts", context.as_str(), error.to_string(), error.help()),
        }
    }
    checks.0
}

async fn log(site: &Site, checks: &mut Checks) -> Option<SiteLog> {
    let name = site.log_name().unwrap_or_else(|_| "log".to_owned());
    match tokio::time::timeout(PATIENCE, site.log(false)).await {
        Ok(Ok(log)) => {
            checks.well("log", &name, "answers");
            Some(log)
        }
        Ok(Err(error)) => {
            checks.unreachable("log", &name, error.to_string(), error.help());
            None
        }
        Err(_) => {
            checks.unreachable("log", &name, "does not answer", "check that it runs and may be reached");
            None
        }
    }
}

/// Holds the topics that a database's work writes and reads against what its contracts want.
async fn topics(log: &SiteLog, context: &ContextId, compiled: &Compiled, checks: &mut Checks) {
    let mut wanted: Vec<TopicSpec> = Vec::new();
    if let Some(outlets) = &compiled.outlets {
        wanted.push(outlets.batches());
        for channel in outlets.all().flat_map(|outlet| &outlet.channels) {
            wanted.extend([channel.spec.clone(), digest_key::ledger_spec(&channel.topic)]);
            if channel.id.kind == ChannelKind::State {
                wanted.push(points_spec(&channel.topic));
            }
        }
    }
    wanted.extend(compiled.outflows.iter().map(|outflow| outflow.topic.clone()));
    for spec in wanted {
        let before = checks.len();
        match log.check(&spec).await {
            Ok(differences) => {
                for it in differences {
                    let says = format!("{} is `{}` and should be `{}`", it.setting, it.found, it.wanted);
                    checks.ill("topic", &spec.name, says, it.mend);
                }
                let says = format!("as its contract wants, {} partitions", spec.partitions);
                checks.well_unless_ill(before, "topic", &spec.name, says);
            }
            Err(error) => checks.unreachable(
                "topic",
                &spec.name,
                error.to_string(),
                "check that the broker runs, and that this principal may describe the topic and its configuration",
            ),
        }
    }
    for outlet in compiled.outlets.iter().flat_map(OutletSet::all) {
        for (number, topic) in outlet.former_topics() {
            // What cannot be reached is told of above.
            if let Ok(Some(_)) = log.topic(&topic).await {
                let says = format!(
                    "is of generation {number}, which is written no more: once `seamline status` of no consumer shows a                      lane of it, delete it with its `.ledger`"
                );
                checks.well("topic", &topic, says);
            }
        }
    }
    for reading in readings(&compiled.intakes).into_iter().filter(|it| !it.is_former()) {
        let of = format!("{} for {}", reading.topic, reading.intake.subscription);
        let producer = &reading.intake.contract.name.context;
        match digest_key::current(log, reading.topic).await {
            Ok(Some(_)) => checks.well("reading", &of, "is there, with its digest key"),
            Ok(None) => checks.ill(
                "reading",
                &of,
                format!("is not there, or `{context}` may not see it: nothing can be read"),
                format!("seamline install {producer}"),
            ),
            Err(error) => checks.unreachable("reading", &of, error.to_string(), "check the log first"),
        }
    }
}

async fn database(
    site: &Site,
    context: &ContextId,
    compiled: &Compiled,
    log: Option<&SiteLog>,
    checks: &mut Checks,
) {
    let place = &compiled.place;
    let subject = format!("{context} at {place}");
    let opened = tokio::time::timeout(PATIENCE, site.database(place, false)).await;
    let database = match opened {
        Ok(Ok(database)) => database,
        Ok(Err(error)) => {
            let mend = match place {
                Place::Sqlite(_) => error.help(),
                Place::Postgres(_) => {
                    "check host, port, database, user and password, and pg_hba.conf".to_owned()
                }
            };
            return checks.unreachable("database", &subject, error.to_string(), mend);
        }
        Err(_) => {
            let mend = "check that it runs and may be reached";
            return checks.unreachable("database", &subject, "does not answer", mend);
        }
    };
    checks.well("database", &subject, "answers");
    if let Some(server) = database.server() {
        server::examine(server, &subject, context, checks).await;
    }
    let install = format!("seamline install {context}");
    let needs =
        Needs::of(compiled.outlets.as_ref(), &compiled.intakes, &compiled.errands, &compiled.outflows);
    match database.missing(&needs, &projections(&compiled.intakes)).await {
        Ok(None) => {}
        Ok(Some(table)) => {
            return checks.ill("installed", &subject, format!("there is no table `{table}`"), install);
        }
        Err(error) => {
            return checks.unreachable("installed", &subject, error.to_string(), "see what it says");
        }
    }
    checks.well("installed", &subject, "all tables are there");
    tables::examine(&database, compiled, &install, checks).await;
    leases(&database, &subject, context, compiled, checks).await;
    audit::examine(&database, site, context, compiled, checks).await;
    if let Some(log) = log {
        epoch::examine(&database, log, compiled, checks).await;
    }
}

async fn leases(
    database: &Database,
    subject: &str,
    context: &ContextId,
    compiled: &Compiled,
    checks: &mut Checks,
) {
    let leases = match database.leases(Timestamp::now()).await {
        Ok(leases) => leases,
        Err(error) => return checks.unreachable("leases", subject, error.to_string(), "see what it says"),
    };
    let mut holders: BTreeMap<&str, (usize, bool)> = BTreeMap::new();
    for lease in &leases {
        let (lanes, relay) = holders.entry(&lease.holder).or_default();
        *lanes += usize::from(lease.lane.is_some());
        *relay |= lease.lane.is_none();
    }
    for (holder, (lanes, relay)) in &holders {
        let relay = if *relay { "the relay and " } else { "" };
        checks.well("leases", subject, format!("{holder} holds {relay}{lanes} lanes"));
    }
    let mut waiting = 0;
    for outlet in compiled.outlets.iter().flat_map(|outlets| outlets.iter()) {
        let counts = database.counts(&outlet.contract.name.contract).await;
        waiting += counts.map_or(0, |counts| counts.waiting - counts.deferred);
    }
    let relayed = leases.iter().any(|lease| lease.lane.is_none());
    if waiting > 0 && !relayed {
        let says = format!("{waiting} outbox rows wait, and no agent holds the relay");
        checks.ill("leases", subject, says, format!("seamline agent {context}"));
    } else if holders.is_empty() {
        checks.well("leases", subject, "no agent is at work, and nothing waits for the relay");
    }
}
