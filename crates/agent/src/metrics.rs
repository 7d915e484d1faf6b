//! What the agents' workers did, as Prometheus reads it. No key, value or offset is a label.

mod labels;
mod passes;
mod process;
mod progress;
mod stream;

use crate::agent::Agent;
use crate::lane::{LaneWork, Read};
use crate::metrics::labels::{
    OfCall, OfContext, OfContract, OfInbox, OfJob, OfLane, OfRequest, OfSubscription, OfWorker, Outcome,
    RecordOutcome,
};
use crate::metrics::passes::{OfSubject, PassOutcome};
use crate::metrics::process::Process;
use crate::metrics::progress::Progress;
use crate::metrics::stream::StreamFamilies;
use jiff::Timestamp;
use jiff::civil::Time;
use jiff::tz::Offset;
use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use seamline_contract::id::{ContractRef, SubscriptionRef};
use seamline_flow::inbox::{InboxCount, InboxState};
use seamline_flow::job::JobKind;
use seamline_flow::relay::Stepped;
use seamline_flow::source::SourceCounts;
use std::sync::Arc;
use std::time::Duration;

type Seconds<L> = Family<L, Histogram, fn() -> Histogram>;

#[derive(Debug, Clone)]
struct Families {
    relay_rows: Family<Outcome, Counter>,
    outbox_rows: Family<OfContract, Gauge>,
    deferred_rows: Family<OfContract, Gauge>,
    aside_rows: Family<OfContract, Gauge>,
    lane_records: Family<RecordOutcome, Counter>,
    lane_lag: Family<OfLane, Gauge>,
    lanes_held: Family<OfContext, Gauge>,
    relays_held: Family<OfContext, Gauge>,
    staleness: Seconds<OfSubscription>,
    step_errors: Family<OfWorker, Counter>,
    stopped: Family<OfWorker, Gauge>,
    batches: Family<OfWorker, Counter>,
    log: Seconds<OfCall>,
    commit: Seconds<OfContext>,
    replicas: Family<OfContext, Gauge>,
    slot_kept_bytes: Family<OfContext, Gauge>,
    job_records: Family<OfJob, Counter>,
    inbox_rows: Family<OfInbox, Gauge>,
    inbox_oldest: Family<OfSubscription, Gauge>,
    errands: Family<OfWorker, Counter>,
    set_records: Family<OfWorker, Counter>,
    commands_late: Family<OfContext, Counter>,
    requests: Seconds<OfRequest>,
    readers: Family<OfContract, Gauge>,
    major_ends: Family<OfContract, Gauge>,
    passes: Family<PassOutcome, Counter>,
    passes_postponed: Family<OfContext, Counter>,
    drifted: Family<OfSubject, Gauge>,
    stream: StreamFamilies,
}

/// From a millisecond to a minute.
fn calls() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 17))
}

/// From a millisecond to a day: a bootstrap reads what is old.
fn ages() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 3.0, 18))
}

/// The metrics of a process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    families: Families,
    progress: Arc<Progress>,
}

impl Default for Metrics {
    fn default() -> Self {
        Metrics::new()
    }
}

impl Metrics {
    /// Returns metrics in which nothing is counted yet.
    pub fn new() -> Metrics {
        let families = Families {
            relay_rows: Family::default(),
            outbox_rows: Family::default(),
            deferred_rows: Family::default(),
            aside_rows: Family::default(),
            lane_records: Family::default(),
            lane_lag: Family::default(),
            lanes_held: Family::default(),
            relays_held: Family::default(),
            staleness: Seconds::new_with_constructor(ages),
            step_errors: Family::default(),
            stopped: Family::default(),
            batches: Family::default(),
            log: Seconds::new_with_constructor(calls),
            commit: Seconds::new_with_constructor(calls),
            replicas: Family::default(),
            slot_kept_bytes: Family::default(),
            job_records: Family::default(),
            inbox_rows: Family::default(),
            inbox_oldest: Family::default(),
            errands: Family::default(),
            set_records: Family::default(),
            commands_late: Family::default(),
            requests: Seconds::new_with_constructor(calls),
            readers: Family::default(),
            major_ends: Family::default(),
            passes: Family::default(),
            passes_postponed: Family::default(),
            drifted: Family::default(),
            stream: StreamFamilies::default(),
        };
        let mut registry = Registry::default();
        register(&mut registry, &families);
        registry.register_collector(Box::new(Process));
        Metrics { registry, families, progress: Arc::default() }
    }

    /// Returns all of them in the OpenMetrics text format.
    pub fn text(&self) -> String {
        let mut out = String::new();
        text::encode(&mut out, &self.registry).expect("a text takes all that is written to it");
        out
    }

    /// Counts a request for a contract, by what was answered and how long it took.
    pub(crate) fn requested(&self, contract: &str, status: u16, took: Duration) {
        let labels = OfRequest { contract: contract.to_owned(), status };
        self.families.requests.get_or_create(&labels).observe(took.as_secs_f64());
    }

    /// Returns how many rows and records were moved by all agents so far.
    pub fn moved(&self) -> u64 {
        self.progress.moved()
    }

    /// Returns how many rows and records all agents moved, or came past in jobs, so far.
    pub fn done(&self) -> u64 {
        self.progress.done()
    }

    /// Returns whether a job of an agent was looked at after all that is done so far, and could do nothing.
    pub fn waits(&self, agent: &Agent, job: u64) -> bool {
        self.progress.waits(&agent.place.to_string(), job)
    }

    /// Returns the metrics of one agent, and measures its database and log from now on.
    pub(crate) fn of(&self, agent: &Agent) -> AgentMetrics {
        let context = agent.context.to_string();
        let families = self.families.clone();
        let log = |call| families.log.get_or_create_owned(&OfCall { call });
        agent.log.measure(log("append"), log("fetch"));
        agent.database.measure(families.commit.get_or_create_owned(&OfContext { context: context.clone() }));
        AgentMetrics {
            context,
            place: agent.place.to_string(),
            families,
            progress: Arc::clone(&self.progress),
        }
    }
}

fn register(registry: &mut Registry, families: &Families) {
    let f = families;
    let registry = registry.sub_registry_with_prefix("seamline");
    registry.register("relay_rows", "Outbox rows that left, by what became of them", f.relay_rows.clone());
    registry.register("outbox_rows", "Outbox rows that wait", f.outbox_rows.clone());
    let deferred = "Outbox rows that wait for their hour";
    registry.register("outbox_deferred_rows", deferred, f.deferred_rows.clone());
    registry.register("quarantine_rows", "Outbox rows in quarantine", f.aside_rows.clone());
    registry.register("lane_records", "Records read, by what became of them", f.lane_records.clone());
    registry.register("lane_lag_offsets", "Offsets between a lane and the end", f.lane_lag.clone());
    registry.register("lanes_held", "Lanes held by this process", f.lanes_held.clone());
    registry.register("relays_held", "Relays held by this process", f.relays_held.clone());
    registry.register_with_unit(
        "staleness",
        "From a row's being written at the source to the record's being applied, of the first record of each batch",
        Unit::Seconds,
        f.staleness.clone(),
    );
    registry.register("step_errors", "Steps that failed and are tried again", f.step_errors.clone());
    registry.register("workers_stopped", "Workers that rest with a case raised", f.stopped.clone());
    registry.register("batches", "Steps that moved something", f.batches.clone());
    registry.register_with_unit("log", "Calls of the log", Unit::Seconds, f.log.clone());
    registry.register_with_unit(
        "commit",
        "Commits of batches in a database",
        Unit::Seconds,
        f.commit.clone(),
    );
    registry.register(
        "job_records",
        "Records and rows that jobs came past, by what they do",
        f.job_records.clone(),
    );
    let what = "Bytes of a server's log that it keeps for the slot of an outbox";
    registry.register("slot_kept_bytes", what, f.slot_kept_bytes.clone());
    registry.register("replicas", "Agents at work on this context's databases", f.replicas.clone());
    registry.register(
        "set_records",
        "Records of reference data that were sent or taken",
        f.set_records.clone(),
    );
    registry.register("errands", "Commands and outcomes that were posted or heard", f.errands.clone());
    registry.register("commands_late", "Commands without an answer past its time", f.commands_late.clone());
    registry.register_with_unit("request", "Requests that were answered", Unit::Seconds, f.requests.clone());
    registry.register("inbox_rows", "Rows of the inbox that are not done, by state", f.inbox_rows.clone());
    registry.register_with_unit(
        "inbox_oldest",
        "Since when the oldest row of the inbox waits that is not done",
        Unit::Seconds,
        f.inbox_oldest.clone(),
    );
    registry.register(
        "subscriptions",
        "Subscriptions kept here, by the major that they read",
        f.readers.clone(),
    );
    registry.register_with_unit(
        "major_ends_timestamp",
        "When an older major that is published here ends, in seconds since the epoch",
        Unit::Seconds,
        f.major_ends.clone(),
    );
    registry.register("passes", "Comparisons made by cadence, by how they ended", f.passes.clone());
    registry.register(
        "passes_postponed",
        "Comparisons put off since the database was slow",
        f.passes_postponed.clone(),
    );
    registry.register("drifted_keys", "Keys that differed in the last comparison", f.drifted.clone());
    stream::register(registry, &f.stream);
}

/// The metrics of one agent.
pub(crate) struct AgentMetrics {
    context: String,
    place: String,
    families: Families,
    progress: Arc<Progress>,
}

impl AgentMetrics {
    fn context(&self) -> OfContext {
        OfContext { context: self.context.clone() }
    }

    fn worker(&self, worker: &'static str) -> OfWorker {
        OfWorker { context: self.context.clone(), worker }
    }

    /// Counts a step of the relay.
    pub(crate) fn relayed(&self, stepped: &Stepped, held: bool) {
        self.families.relays_held.get_or_create(&self.context()).set(i64::from(held));
        let moved = stepped.published + stepped.aside;
        if moved == 0 {
            return;
        }
        self.progress.add_moved(moved);
        self.families.batches.get_or_create(&self.worker("relay")).inc();
        for (outcome, count) in [("published", stepped.published), ("aside", stepped.aside)] {
            let labels = Outcome { context: self.context.clone(), outcome };
            self.families.relay_rows.get_or_create(&labels).inc_by(count);
        }
    }

    /// Counts a step of a lane.
    pub(crate) fn read(&self, lane: &LaneWork<'_>, worker: &'static str, read: &Read) {
        if !lane.is_held() {
            return;
        }
        self.families.lane_lag.get_or_create(&self.lane(lane)).set(signed(read.moved.behind));
        let moved = read.moved.handed + read.moved.inbox;
        if moved == 0 {
            return;
        }
        self.progress.add_moved(moved);
        self.families.batches.get_or_create(&self.worker(worker)).inc();
        let subscription = lane.reading.intake.subscription.to_string();
        let it = &read.outcomes;
        for (outcome, count) in [
            ("applied", it.applied),
            ("superseded", it.superseded),
            ("duplicate", it.duplicates),
            ("conflict", it.conflicts),
            ("coalesced", it.coalesced),
            ("held", it.held),
            ("quarantined", it.quarantined),
            ("absent", it.absent),
        ] {
            let (context, subscription) = (self.context.clone(), subscription.clone());
            self.families
                .lane_records
                .get_or_create(&RecordOutcome { context, subscription, outcome })
                .inc_by(count);
        }
        if let Some(written) = read.moved.written {
            let age = Duration::try_from(Timestamp::now().duration_since(written)).unwrap_or_default();
            let labels = OfSubscription { context: self.context.clone(), subscription };
            self.families.staleness.get_or_create(&labels).observe(age.as_secs_f64());
        }
    }

    fn lane(&self, lane: &LaneWork<'_>) -> OfLane {
        OfLane {
            context: self.context.clone(),
            subscription: lane.reading.intake.subscription.to_string(),
            topic: lane.reading.topic.to_owned(),
            partition: lane.partition,
        }
    }

    /// Forgets a lane that is no longer held here.
    pub(crate) fn lane_left(&self, lane: &LaneWork<'_>) {
        self.families.lane_lag.remove(&self.lane(lane));
        self.compared_left(lane);
    }

    /// Says how many lanes are held here.
    pub(crate) fn lanes_held(&self, lanes: usize) {
        self.families.lanes_held.get_or_create(&self.context()).set(lanes.try_into().unwrap_or(i64::MAX));
    }

    /// Counts a step of a job.
    pub(crate) fn worked(&self, kind: JobKind, moved: u64) {
        self.count_job(kind.word(), moved);
    }

    /// Returns how much is done by all agents so far.
    pub(crate) fn done(&self) -> u64 {
        self.progress.done()
    }

    /// Says that a job could do nothing when so much was done.
    pub(crate) fn waits(&self, job: u64, done: u64) {
        self.progress.wait(&self.place, job, done);
    }

    /// Counts what a lane did for a job.
    pub(crate) fn lane_worked(&self, kind: JobKind, moved: u64) {
        self.count_job(if kind == JobKind::Redrive { kind.word() } else { "merge" }, moved);
    }

    fn count_job(&self, job: &'static str, moved: u64) {
        self.progress.add_worked(moved);
        self.families.job_records.get_or_create(&OfJob { context: self.context.clone(), job }).inc_by(moved);
    }

    /// Counts a step that failed.
    pub(crate) fn step_error(&self, worker: &'static str) {
        self.families.step_errors.get_or_create(&self.worker(worker)).inc();
    }

    /// Counts workers that rest with a case raised.
    pub(crate) fn stopped(&self, worker: &'static str, change: i64) {
        self.families.stopped.get_or_create(&self.worker(worker)).inc_by(change);
    }

    /// Says how many bytes of its log a server keeps for the slot of the outbox.
    pub(crate) fn slot_kept(&self, bytes: u64) {
        self.families.slot_kept_bytes.get_or_create(&self.context()).set(signed(bytes));
    }

    /// Says how many replicas there are.
    pub(crate) fn replicas(&self, replicas: usize) {
        self.families.replicas.get_or_create(&self.context()).set(replicas.try_into().unwrap_or(i64::MAX));
    }

    /// Counts commands and outcomes that were posted or heard.
    pub(crate) fn errands(&self, worker: &'static str, count: u64) {
        self.progress.add_moved(count);
        self.families.errands.get_or_create(&self.worker(worker)).inc_by(count);
    }

    /// Counts records of reference data that were sent or taken.
    pub(crate) fn set_records(&self, worker: &'static str, count: u64) {
        self.progress.add_moved(count);
        self.families.set_records.get_or_create(&self.worker(worker)).inc_by(count);
    }

    /// Counts commands that were found to be late.
    pub(crate) fn commands_late(&self, count: u64) {
        self.families.commands_late.get_or_create(&self.context()).inc_by(count);
    }

    /// Says how many rows of a subscription's inbox are not done, and since when the oldest is there.
    pub(crate) fn inbox(&self, subscription: &SubscriptionRef, counts: &[InboxCount]) {
        let own: Vec<&InboxCount> = counts.iter().filter(|it| &it.subscription == subscription).collect();
        for state in InboxState::ALL.into_iter().filter(|state| *state != InboxState::Done) {
            let rows = own.iter().find(|it| it.state == state).map_or(0, |it| it.rows);
            let (context, subscription) = (self.context.clone(), subscription.to_string());
            let labels = OfInbox { context, subscription, state: state.word() };
            self.families.inbox_rows.get_or_create(&labels).set(signed(rows));
        }
        let oldest = own.iter().map(|it| Timestamp::now().duration_since(it.oldest).as_secs()).max();
        let (context, subscription) = (self.context.clone(), subscription.to_string());
        let labels = OfSubscription { context, subscription };
        self.families.inbox_oldest.get_or_create(&labels).set(oldest.unwrap_or(0));
    }

    /// Says how many subscriptions read which major, and when the older majors that are published end.
    pub(crate) fn majors(&self, agent: &Agent) {
        let labels = |contract: &ContractRef| OfContract {
            context: self.context.clone(),
            contract: contract.to_string(),
        };
        let readers = &self.families.readers;
        for intake in &agent.intakes {
            let reads = agent.intakes.iter().filter(|it| it.contract == intake.contract).count();
            readers.get_or_create(&labels(&intake.contract)).set(reads.try_into().unwrap_or(i64::MAX));
        }
        for outlet in agent.outlets.iter().flat_map(|outlets| outlets.all()) {
            let Some(descent) = &outlet.descent else { continue };
            let end = descent.until.tomorrow().ok().map(|day| day.to_datetime(Time::midnight()));
            let end = end.and_then(|end| Offset::UTC.to_timestamp(end).ok());
            if let Some(end) = end {
                self.families.major_ends.get_or_create(&labels(&outlet.contract)).set(end.as_second());
            }
        }
    }

    /// Says how many rows of a contract wait, and are aside.
    pub(crate) fn counts(&self, contract: &ContractRef, counts: &SourceCounts) {
        let labels = OfContract { context: self.context.clone(), contract: contract.to_string() };
        self.families.outbox_rows.get_or_create(&labels).set(signed(counts.waiting));
        self.families.deferred_rows.get_or_create(&labels).set(signed(counts.deferred));
        self.families.aside_rows.get_or_create(&labels).set(signed(counts.aside));
    }
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::{
        Metrics, OfCall, OfContext, OfContract, OfInbox, OfJob, OfLane, OfRequest, OfSubject, OfSubscription,
        OfWorker, Outcome, PassOutcome, RecordOutcome,
    };
    use std::collections::BTreeSet;

    /// Counts something of everything: a family without a member is not printed.
    fn counted() -> Metrics {
        let metrics = Metrics::new();
        let f = &metrics.families;
        let text = || "it".to_owned();
        let context = OfContext { context: text() };
        let worker = OfWorker { context: text(), worker: "relay" };
        let contract = OfContract { context: text(), contract: text() };
        let lane = OfLane { context: text(), subscription: text(), topic: text(), partition: 0 };
        f.relay_rows.get_or_create(&Outcome { context: text(), outcome: "published" }).inc();
        f.outbox_rows.get_or_create(&contract).set(1);
        f.deferred_rows.get_or_create(&contract).set(1);
        f.aside_rows.get_or_create(&contract).set(1);
        let outcome = RecordOutcome { context: text(), subscription: text(), outcome: "applied" };
        f.lane_records.get_or_create(&outcome).inc();
        f.lane_lag.get_or_create(&lane).set(1);
        super::stream::count(&f.stream, &lane);
        f.lanes_held.get_or_create(&context).set(1);
        f.relays_held.get_or_create(&context).set(1);
        f.staleness.get_or_create(&OfSubscription { context: text(), subscription: text() }).observe(1.0);
        f.step_errors.get_or_create(&worker).inc();
        f.stopped.get_or_create(&worker).set(1);
        f.batches.get_or_create(&worker).inc();
        f.log.get_or_create(&OfCall { call: "append" }).observe(1.0);
        f.commit.get_or_create(&context).observe(1.0);
        f.job_records.get_or_create(&OfJob { context: text(), job: "merge" }).inc();
        f.replicas.get_or_create(&context).set(1);
        f.slot_kept_bytes.get_or_create(&context).set(1);
        f.requests.get_or_create(&OfRequest { contract: text(), status: 200 }).observe(1.0);
        f.errands.get_or_create(&worker).inc();
        f.set_records.get_or_create(&worker).inc();
        f.commands_late.get_or_create(&context).inc();
        let inbox = OfInbox { context: text(), subscription: text(), state: "waiting" };
        f.inbox_rows.get_or_create(&inbox).set(1);
        f.inbox_oldest.get_or_create(&OfSubscription { context: text(), subscription: text() }).set(1);
        f.readers.get_or_create(&contract).set(1);
        f.major_ends.get_or_create(&contract).set(1);
        f.passes.get_or_create(&PassOutcome { context: text(), subject: text(), outcome: "clean" }).inc();
        f.passes_postponed.get_or_create(&context).inc();
        f.drifted.get_or_create(&OfSubject { context: text(), subject: text() }).set(1);
        metrics
    }

    #[test]
    fn the_reference_page_tells_of_each_metric_and_of_no_other() {
        let page = include_str!("../../../docs/reference/agent.md");
        let (_, page) = page.split_once("| metric |").unwrap();
        let table = page.lines().skip(2).take_while(|line| line.starts_with("| `"));
        let told: BTreeSet<&str> = table.map(|line| line.split('`').nth(1).unwrap()).collect();
        let text = counted().text();
        let kinds = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        let there: BTreeSet<String> = kinds
            .map(|line| {
                let (name, kind) = line.split_once(' ').unwrap();
                format!("{name}{}", if kind == "counter" { "_total" } else { "" })
            })
            .collect();
        assert_eq!(told, there.iter().map(String::as_str).collect());
    }
}
