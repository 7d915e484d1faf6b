//! The scenarios: what is injected, and what must hold.

use crate::faults::crash::{self, Point};
use crate::faults::{
    Done, Ground, aside, commands, content, deploy, disks, ends, history, jobs, load, lost, majors, network,
    servers, sets, stream, tables,
};
use anyhow::{Context, Result};
use xtask::proxy::Request;

pub(crate) type Run = fn(&Ground<'_>) -> Result<Done>;

/// What a scenario must have for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Alone {
    /// Servers that nobody else uses.
    Servers,
    /// The proxies.
    Proxies,
    /// The machine: it says how fast something must be.
    Machine,
    /// Nothing.
    Nothing,
}

pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) alone: Alone,
    /// What is injected, and when.
    pub(crate) fault: &'static str,
    /// What must hold beyond what holds everywhere.
    pub(crate) holds: &'static str,
    pub(crate) run: Run,
}

macro_rules! at {
    ($act:path, $context:literal, $point:literal, $passing:literal) => {
        |ground| $act(ground, Point { context: $context, name: $point, passing: $passing })
    };
}

const fn shared(name: &'static str, fault: &'static str, holds: &'static str, run: Run) -> Scenario {
    Scenario { name, alone: Alone::Nothing, fault, holds, run }
}

const DIES: &str = "Whoever comes next finds out what was done, and goes on.";
const LATE: &str = "Another takes over; who wakes late changes nothing, and compaction keeps the newest.";
const BACK: &str = "All go on by themselves when it is back.";
const ASKED_AGAIN: &str = "Whoever asked finds out whether it happened; nothing is done twice.";

/// All scenarios, in the order in which they are listed.
pub(crate) const SCENARIOS: &[Scenario] = &[
    shared("calm", "Nothing.", "What all others are held against.", content::calm),
    shared(
        "killed-read",
        "SIGKILL of the producer's agent when it has read rows, twice.",
        DIES,
        at!(crash::killed, "sales", "read", 4),
    ),
    shared(
        "killed-produced",
        "SIGKILL when records are produced and their transaction is not committed, twice.",
        DIES,
        at!(crash::killed, "sales", "produced", 4),
    ),
    shared(
        "killed-committed",
        "SIGKILL when the log has committed and the rows are not removed, twice.",
        DIES,
        at!(crash::killed, "sales", "committed", 4),
    ),
    shared(
        "killed-removed",
        "SIGKILL when rows were just removed, twice.",
        DIES,
        at!(crash::killed, "sales", "removed", 4),
    ),
    shared(
        "killed-streaming-committed",
        "The same when the log has committed, while rows leave the outbox through logical replication.",
        DIES,
        at!(crash::killed_streaming, "sales", "committed", 4),
    ),
    shared(
        "killed-streaming-removed",
        "The same when rows were just removed, and the server of the slot was told or not.",
        DIES,
        at!(crash::killed_streaming, "sales", "removed", 4),
    ),
    shared(
        "killed-polled",
        "SIGKILL of the consumer's agent when it has read records, twice.",
        DIES,
        at!(crash::killed, "desk", "polled", 4),
    ),
    shared(
        "killed-applied",
        "SIGKILL when rows are written and not committed, twice.",
        DIES,
        at!(crash::killed, "desk", "applied", 4),
    ),
    shared(
        "killed-stored",
        "SIGKILL when rows and position are committed, twice.",
        DIES,
        at!(crash::killed, "desk", "stored", 4),
    ),
    shared(
        "killed-reacting",
        "SIGKILL between reactions and their position, twice.",
        "Each reaction is in the inbox once.",
        at!(crash::killed, "dispatch", "reacting", 2),
    ),
    shared(
        "killed-commands",
        "SIGKILL of a sender's agent between the log and its letters, of the owner's over its inbox, and between the log and its answers.",
        "Each command is in the owner's inbox once, and its outcome in the sender's.",
        commands::killed,
    ),
    shared(
        "killed-reference",
        "SIGKILL of the owner's agent when a number is drawn, amid a set and behind it, of the consumer's before and behind its commit, while \
         sets change; then two agents on each side, and one of them gets SIGKILL.",
        "The consumer's table is one whole set whenever it is read, and in the end the newest.",
        sets::killed,
    ),
    shared(
        "zombie-read",
        "SIGSTOP for longer than the lease when rows are read, then CONT.",
        LATE,
        at!(crash::zombie, "sales", "read", 4),
    ),
    shared(
        "zombie-produced",
        "SIGSTOP when records are produced and not committed, then CONT.",
        LATE,
        at!(crash::zombie, "sales", "produced", 4),
    ),
    shared(
        "zombie-committed",
        "SIGSTOP when the log has committed and the rows are not removed, then CONT.",
        LATE,
        at!(crash::zombie, "sales", "committed", 4),
    ),
    shared(
        "zombie-polled",
        "SIGSTOP of the consumer's agent when it has read records, then CONT.",
        LATE,
        at!(crash::zombie, "desk", "polled", 6),
    ),
    Scenario {
        name: "broker-stopped",
        alone: Alone::Servers,
        fault: "The broker is stopped under load and started again, twice.",
        holds: BACK,
        run: |ground| servers::away(ground, |it| it.kafka.stop(), |it| it.kafka.restart()),
    },
    // librdkafka 4134: gaps under an idempotent producer whose broker went away.
    Scenario {
        name: "broker-killed",
        alone: Alone::Servers,
        fault: "The broker gets SIGKILL under load and is started again, twice.",
        holds: BACK,
        run: |ground| servers::away(ground, |it| it.kafka.kill9(), |it| it.kafka.restart()),
    },
    Scenario {
        name: "postgres-stopped",
        alone: Alone::Servers,
        fault: "PostgreSQL is stopped fast under load and started again, twice.",
        holds: BACK,
        run: |ground| servers::away(ground, |it| it.postgres.stop_fast(), |it| it.postgres.restart()),
    },
    Scenario {
        name: "postgres-killed",
        alone: Alone::Servers,
        fault: "PostgreSQL gets SIGKILL under load and is started again, twice.",
        holds: BACK,
        run: |ground| servers::away(ground, |it| it.postgres.kill9(), |it| it.postgres.restart()),
    },
    Scenario {
        name: "broker-lost-its-end",
        alone: Alone::Servers,
        fault: "The broker gets SIGKILL under load, and the last second of each topic is cut off before it is started again.",
        holds: "A case says so for each producer; the rebase of their outboxes mends every copy.",
        run: ends::lost,
    },
    Scenario {
        name: "disk-full-broker",
        alone: Alone::Servers,
        fault: "The broker cannot lengthen its files, and ends; then there is room, and it is started again.",
        holds: BACK,
        run: disks::broker,
    },
    Scenario {
        name: "commit-answer-lost",
        alone: Alone::Proxies,
        fault: "The answer of a COMMIT is lost on its way from PostgreSQL, four times.",
        holds: ASKED_AGAIN,
        run: |ground| lost::answers(ground, |it| &it.postgres, Request::PostgresCommit),
    },
    Scenario {
        name: "log-commit-answer-lost",
        alone: Alone::Proxies,
        fault: "The answer of a transaction's end is lost on its way from the broker, four times.",
        holds: ASKED_AGAIN,
        run: |ground| lost::answers(ground, |it| &it.kafka, Request::KAFKA_END_TXN),
    },
    Scenario {
        name: "network-slow",
        alone: Alone::Proxies,
        fault: "Every piece comes late on its way to and from PostgreSQL, then the broker.",
        holds: BACK,
        run: |ground| network::bad(ground, network::slow),
    },
    Scenario {
        name: "network-half-open",
        alone: Alone::Proxies,
        fault: "Answers, then requests, vanish on their way, from PostgreSQL and then the broker; then the connections are reset.",
        holds: BACK,
        run: |ground| network::bad(ground, network::half_open),
    },
    Scenario {
        name: "network-resets",
        alone: Alone::Proxies,
        fault: "Connections to PostgreSQL and then to the broker are reset, six times each.",
        holds: BACK,
        run: |ground| network::bad(ground, network::reset),
    },
    shared(
        "consumers-behind",
        "Consumers are away while few keys change very often, and catch up with it at once.",
        "Rows are those of the last state, every event is reacted to.",
        deploy::behind,
    ),
    // parallel-consumer 826 and 857: partitions are stuck or lost when they change hands.
    shared(
        "agents-rolled",
        "Agents are replaced one after another under load, three times around.",
        "No lane is stuck or lost, and each that is told to end does.",
        deploy::rolled,
    ),
    shared(
        "projection-altered",
        "A column, then a table of a consumer have another name for a while.",
        "Its lanes stand still, and go on by themselves.",
        deploy::altered,
    ),
    shared(
        "disk-full-projection",
        "The disk of a projection's table is full for a while.",
        "Its lanes stand still, and go on by themselves.",
        disks::projection,
    ),
    shared(
        "disk-full-agent",
        "No agent can write to any file: neither its log nor a temporary one.",
        "They go on: an agent keeps nothing on a disk.",
        disks::agent,
    ),
    shared(
        "grants-revoked",
        "Rights of the agents' role on a projection, then on the outbox, are revoked.",
        "Work stands still; the log says so, and what the doctor names mends it.",
        tables::revoked,
    ),
    // debezium 7801.
    shared(
        "second-unique-key",
        "A consumer makes a value unique that rows pass on to each other.",
        "The lane stands still, log, doctor and installation name the key; it goes on when it is dropped.",
        tables::second_key,
    ),
    shared(
        "table-renamed",
        "A producer's table gets another name; then another table takes the old one.",
        "Publishing follows the table; the doctor names both; installing refuses a name that is gone.",
        tables::renamed,
    ),
    shared(
        "effective-times",
        "Changes take effect in the first and in the last year that there is.",
        "They arrive as written.",
        deploy::effective,
    ),
    shared(
        "contradicting-records",
        "A sequence comes with another content under the same id, twice.",
        "The first stays at consumers; a case names it.",
        content::contradicted,
    ),
    shared(
        "writers",
        "64 writers: random pauses, aborts, savepoints, crossing keys, ids that commit out of order.",
        "At every isolation level.",
        load::writers,
    ),
    shared(
        "foreign-transaction",
        "A writing transaction is held open in another database.",
        "Nothing waits for it: the outbox is empty while it is open still.",
        load::foreign_transaction,
    ),
    shared(
        "one-big-transaction",
        "One transaction publishes very many rows.",
        "It arrives whole.",
        load::one_big_transaction,
    ),
    shared(
        "drift",
        "Rows, sources and topics are changed by hand, in ten ways.",
        "Each is named with link, kind, key and owner, nothing else is; all is mended.",
        content::drift,
    ),
    Scenario {
        name: "stream-drift",
        alone: Alone::Machine,
        fault: "A record is lost and another altered between the log and the desk, over 12 partitions: once while as many changes are published as \
         arrive, up to 5,000 a second, and once at one change a second.",
        holds: "Link 2 names both keys and no other within 10 s of their commit, without a scan; `case repair` mends them and closes the case.",
        run: stream::drift,
    },
    shared(
        "poison",
        "Records that are no JSON, have no key, forged headers, another era, 2 MB; one of 2 MB that breaks nothing.",
        "The broken ones are in quarantine and hold nothing up; the other arrives.",
        content::poison,
    ),
    shared(
        "repeated-records",
        "Old records come again at the end of the log, of ended keys too.",
        "No row changes; the log's order is named and mended.",
        content::repeated,
    ),
    shared(
        "compaction-in-bootstrap",
        "Topics are compacted at once while consumers read them for the first time.",
        "Nothing is lost; a pass that was outrun is inconclusive, never drift.",
        history::compaction_in_bootstrap,
    ),
    shared(
        "compaction-in-rehearsal",
        "Topics are compacted after seconds, and written to, while they are reconciled again and again.",
        "Each pass is clean or inconclusive, never drift.",
        history::compaction_in_rehearsal,
    ),
    shared(
        "retention-passed",
        "Events are removed while their reader is away.",
        "It stops and says so.",
        history::retention_passed,
    ),
    shared(
        "topic-recreated",
        "A topic is deleted and made anew under its name.",
        "Its reader stops, says so, and leaves its rows alone.",
        history::topic_recreated,
    ),
    shared(
        "database-rewound",
        "A producer's database is put back to an earlier moment, its sequence with it.",
        "Its relay publishes nothing more, and says so.",
        history::database_rewound,
    ),
    shared(
        "outbox-rebased",
        "A producer's database is put back, and the rebase of its outbox is killed at each of its steps.",
        "Every copy becomes what the database is, keys that only the log had end, and no chain waits for what is lost.",
        history::rebased,
    ),
    shared(
        "majors",
        "A new major is rolled out while agents of the old estate are at work; then its consumer moves.",
        "The older major goes on unbroken from the same rows, and the newer one is filled.",
        majors::rolled_out,
    ),
    shared(
        "poison-flood",
        "Two thousand rows of one contract break it at once.",
        "A breaker lets the rest wait; what went aside is one issue, and is given up as one.",
        content::flood_of_poison,
    ),
    shared(
        "quarantine-flood",
        "Every key of a consumer is in its quarantine, and all are released at once while some change.",
        "They are listed as one issue, soon; the release keeps their order, and bounds its memory.",
        aside::flood,
    ),
    shared(
        "job-killed",
        "SIGKILL of the agent that works a merging job, at each of its steps.",
        "The job goes on where it was, and mends what was spoilt.",
        jobs::killed,
    ),
    shared(
        "job-beside-live",
        "A job that merges is paused after it began, until its keys have changed.",
        "What is newer than the job stays.",
        jobs::beside_live,
    ),
];

/// Returns the scenario of a name.
pub(crate) fn scenario(name: &str) -> Result<&'static Scenario> {
    let found = SCENARIOS.iter().find(|scenario| scenario.name == name);
    found.with_context(|| format!("no scenario `{name}`; `cargo x faults --list` names them"))
}
