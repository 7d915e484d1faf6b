//! What became of every change: the conserved counts at sources and lanes, and what is left to do.

use crate::site::no_answer;
use anyhow::Result;
use jiff::Timestamp;
use seamline_agent::agent::Agent;
use seamline_agent::log::SiteLog;
use seamline_agent::metrics::Metrics;
use seamline_contract::id::{ContextId, ContractRef, SubscriptionRef};
use seamline_flow::era::{Ending, days};
use seamline_flow::errand::Errands;
use seamline_flow::handover::Lineage;
use seamline_flow::job::{Job, JobKind, JobStage};
use seamline_flow::log::{Fetched, Log};
use seamline_flow::position::{Accounting, TopicIdentity};
use seamline_flow::reference::send::due;
use seamline_flow::reference::{Sets, late};
use seamline_flow::source::{Source, SourceCounts};
use seamline_flow::store::{Lane, Store};
use std::collections::BTreeMap;
use std::time::Duration;

/// The counts of a contract at its source.
pub(crate) struct SourceAccount {
    /// The contract.
    pub(crate) contract: ContractRef,
    /// Its counts.
    pub(crate) counts: SourceCounts,
    /// The next hour at which its rows leave; none: they leave as they come.
    pub(crate) next: Option<Timestamp>,
    /// Rows whose hour has come, as far as they are counted.
    pub(crate) due: u64,
}

/// The counts of a lane.
pub(crate) struct LaneAccount {
    /// The lane.
    pub(crate) lane: Lane,
    /// What became of what was handed over; none before it was taken for the first time.
    pub(crate) accounting: Option<Accounting>,
    /// Offsets between its position and the end of its partition.
    pub(crate) behind: u64,
    /// For how long the oldest record that it has not read lies in the log; none where it has read all.
    pub(crate) stale: Option<Duration>,
}

/// What a context's work takes in one of its databases.
pub(crate) struct Keeping {
    /// The context.
    pub(crate) context: ContextId,
    /// Where the database is.
    pub(crate) place: String,
    /// For how long the oldest row of its outbox waits; none where none waits.
    pub(crate) waits: Option<Duration>,
    /// Bytes on disk: of what is ours, of a file all.
    pub(crate) bytes: u64,
    /// Jobs that are not over, by number.
    pub(crate) jobs: Vec<u64>,
    /// Subscriptions whose rows may have been written by another translation than the estate's.
    pub(crate) translated_otherwise: Vec<String>,
}

/// Who reads one major of a contract.
pub(crate) struct MajorAccount {
    /// The contract in that major.
    pub(crate) contract: ContractRef,
    /// The subscriptions that read it.
    pub(crate) readers: Vec<SubscriptionRef>,
    /// Its share among the subscriptions that read the contract in any major, from 0 to 1.
    pub(crate) share: f64,
    /// The last day on which it is written, where a newer major serves it, and how far that is.
    pub(crate) ends: Option<(String, Option<Ending>)>,
}

/// Returns who reads which major of each contract that is read or published here, sorted.
pub(crate) fn majors(agents: &[Agent]) -> Vec<MajorAccount> {
    let now = Timestamp::now();
    let mut read: BTreeMap<ContractRef, Vec<SubscriptionRef>> = BTreeMap::new();
    let mut until: BTreeMap<ContractRef, String> = BTreeMap::new();
    for agent in agents {
        for outlet in agent.outlets.iter().flat_map(|outlets| outlets.all()) {
            read.entry(outlet.contract.clone()).or_default();
            let end = outlet.descent.as_ref().map(|descent| descent.until.to_string());
            until.extend(end.map(|end| (outlet.contract.clone(), end)));
        }
        for intake in &agent.intakes {
            read.entry(intake.contract.clone()).or_default().push(intake.subscription.clone());
            let end = intake.served.as_ref().map(|(_, end)| end.clone());
            until.extend(end.map(|end| (intake.contract.clone(), end)));
        }
    }
    let all = |contract: &ContractRef| -> usize {
        read.iter().filter(|(it, _)| it.name == contract.name).map(|(_, readers)| readers.len()).sum()
    };
    let account = |(contract, readers): (&ContractRef, &Vec<SubscriptionRef>)| MajorAccount {
        share: readers.len() as f64 / all(contract).max(1) as f64,
        ends: until.get(contract).map(|end| (end.clone(), days(end, now))),
        contract: contract.clone(),
        readers: readers.clone(),
    };
    read.iter().map(account).collect()
}

/// Returns what work takes in a database.
///
/// # Errors
/// The database's.
pub(crate) async fn keeping(agent: &Agent) -> Result<Keeping> {
    let oldest = match &agent.outlets {
        Some(_) => agent.database.waiting(1).await.map_err(no_answer)?.pop(),
        None => None,
    };
    let others = agent.translated_otherwise().await.map_err(no_answer)?;
    Ok(Keeping {
        context: agent.context.clone(),
        place: agent.place.to_string(),
        waits: oldest.map(|row| since(row.written_at)),
        bytes: agent.database.bytes().await.map_err(no_answer)?,
        jobs: agent.jobs().await.map_err(no_answer)?.iter().map(|job| job.id).collect(),
        translated_otherwise: others.iter().map(|intake| intake.subscription.to_string()).collect(),
    })
}

/// Returns how long a moment is ago; none of the time where it is ahead of our clock.
fn since(moment: Timestamp) -> Duration {
    Duration::try_from(Timestamp::now().duration_since(moment)).unwrap_or_default()
}

/// Returns for how long the first record at an offset or behind it lies in the log.
async fn staleness(
    log: &SiteLog,
    topic: &TopicIdentity,
    partition: u32,
    from: u64,
) -> Result<Option<Duration>> {
    let fetched = log.fetch(topic, partition, from, 1).await.map_err(no_answer)?;
    let Fetched::Records(fetch) = fetched else { return Ok(None) };
    Ok(fetch.records.first().map(|record| since(record.time)))
}

/// The set of reference data that a subscription has, or that a source sent.
pub(crate) struct SetAccount {
    /// The subscription, or the contract at its source.
    pub(crate) subject: String,
    /// Its number and how many rows it has; none before the first.
    pub(crate) set: Option<(u64, u64)>,
    /// When its source was read.
    pub(crate) taken: Option<Timestamp>,
    /// The hour whose set should be there, and is not.
    pub(crate) late: Option<Timestamp>,
}

/// Returns the sets that a context sent, and those that its subscriptions have.
///
/// # Errors
/// The database's.
pub(crate) async fn sets(agent: &Agent) -> Result<Vec<SetAccount>> {
    let mut accounts = Vec::new();
    for outflow in &agent.outflows {
        let sending = agent.database.sending(&outflow.contract.name.contract).await.map_err(no_answer)?;
        let subject = outflow.contract.to_string();
        let (set, taken) = sending.last.map(|set| ((set.number, set.rows), set.taken)).unzip();
        accounts.push(SetAccount { subject, set, taken, late: None });
    }
    for intake in &agent.intakes {
        let Some(lane) = &intake.reference else { continue };
        let there = agent.database.taken(&intake.subscription).await.map_err(no_answer)?;
        let late = late(lane, there.as_ref(), Timestamp::now());
        let (set, taken) = there.map(|set| ((set.number, set.rows), set.taken)).unzip();
        accounts.push(SetAccount { subject: intake.subscription.to_string(), set, taken, late });
    }
    Ok(accounts)
}

/// Returns the counts of what a context publishes.
///
/// # Errors
/// The source's.
pub(crate) async fn sources(agent: &Agent) -> Result<Vec<SourceAccount>> {
    let mut accounts = Vec::new();
    for outlet in agent.outlets.iter().flat_map(|outlets| outlets.iter()) {
        let contract = &outlet.contract.name.contract;
        let counts = agent.database.counts(contract).await.map_err(no_answer)?;
        let (mut next, mut due) = (None, 0);
        if let Some(schedule) = &outlet.schedule {
            let (now, hours) = (Timestamp::now(), &schedule.hours);
            next = Some(hours.next(now));
            let rows = agent.database.due(contract, hours.last(now), DUE_MAX, DUE_BYTES_MAX).await;
            due = rows.map_err(no_answer)?.len() as u64;
        }
        accounts.push(SourceAccount { contract: outlet.contract.clone(), counts, next, due });
    }
    Ok(accounts)
}

impl SourceAccount {
    /// Returns how many rows wait that need not wait for an hour.
    pub(crate) fn left(&self) -> u64 {
        self.counts.waiting - self.counts.deferred + self.due
    }
}

/// Returns the counts of the lanes of a context's subscriptions: those taken, and those whose topic is there.
///
/// # Errors
/// The ports'.
pub(crate) async fn lanes(agent: &Agent) -> Result<Vec<LaneAccount>> {
    let mut accounts = Vec::new();
    let former = agent.intakes.iter().flat_map(|intake| &intake.former);
    let read = agent.intakes.iter().chain(former).flat_map(|intake| {
        let state = intake.table().map(|table| table.topic.as_str());
        let events = intake.events.as_ref().map(|events| events.topic.as_str());
        let lineage = intake.lineage.as_deref();
        state.into_iter().chain(events).map(move |topic| (&intake.subscription, topic, lineage))
    });
    let heard = agent.errands.heard().map(|(subscription, topic)| (subscription, topic, None));
    for (subscription, name, lineage) in read.chain(heard) {
        let stored = agent.database.lanes(subscription).await.map_err(no_answer)?;
        let Some(topic) = agent.log.topic(name).await.map_err(no_answer)? else { continue };
        for partition in 0..topic.partitions {
            let lane = Lane { subscription: subscription.clone(), topic: name.to_owned(), partition };
            let found = stored.iter().find(|(there, _)| *there == lane).map(|(_, state)| state);
            // What another generation brings is no concern of a lane that was left for it, or never read.
            let is_over = |lineage: &Lineage| match found {
                Some(state) => lineage.left_for(state).is_some(),
                None => lineage.is_former(),
            };
            if lineage.is_some_and(is_over) {
                continue;
            }
            let position = found.and_then(|state| state.position.as_ref()).map(|position| position.offset);
            let Some((start, end)) = agent.log.ends(&topic, partition).await.map_err(no_answer)? else {
                continue;
            };
            let from = position.unwrap_or(start);
            let behind = end.saturating_sub(from);
            let stale = match behind {
                0 => None,
                _ => staleness(&agent.log, &topic, partition, from).await?,
            };
            let accounting = found.map(|state| state.accounting);
            accounts.push(LaneAccount { lane, accounting, behind, stale });
        }
    }
    Ok(accounts)
}

/// How many rows are counted whose hour has come, and of how many bytes, since they are read for it.
const DUE_MAX: usize = 1_000;
const DUE_BYTES_MAX: u64 = 4 << 20;

/// How many letters are counted of each database.
const LETTERS_MAX: u32 = 1_000;

/// What is left to do in a context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Left {
    /// Outbox rows that wait for the relay and not for an hour, letters that wait to be posted, as far as they are counted, and sets that are due.
    pub(crate) rows: u64,
    /// Offsets that its lanes have not read.
    pub(crate) behind: u64,
    /// Jobs that are to be worked and are not over.
    pub(crate) jobs: u64,
}

/// Returns what is left to do in contexts whose agents measure by `metrics`. Outboxes come first: what left one before it was counted is in the log by then,
/// and is missed by no lane that is looked at afterwards.
///
/// # Errors
/// The ports'.
pub(crate) async fn left(agents: &[Agent], metrics: &Metrics) -> Result<Left> {
    let mut left = Left::default();
    for agent in agents {
        left.rows += sources(agent).await?.iter().map(SourceAccount::left).sum::<u64>();
        if !agent.errands.is_empty() {
            left.rows += agent.database.letters(LETTERS_MAX).await.map_err(no_answer)?.len() as u64;
        }
        for outflow in &agent.outflows {
            let sending = agent.database.sending(&outflow.contract.name.contract).await.map_err(no_answer)?;
            left.rows += u64::from(due(outflow, &sending, Timestamp::now()).is_some());
        }
    }
    for agent in agents {
        let open = agent.jobs().await.map_err(no_answer)?.into_iter();
        // An erasure that can do nothing after all that was done here waits for services.
        let waits = |job: &Job| job.filed.kind == JobKind::Erase && metrics.waits(agent, job.id);
        let ours = |job: &&Job| job.stage != JobStage::Paused && !waits(job) && agent.can_work(job);
        left.jobs += open.filter(|job| ours(&job)).count() as u64;
        left.behind += lanes(agent).await?.iter().map(|it| it.behind).sum::<u64>();
    }
    Ok(left)
}
