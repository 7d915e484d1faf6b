//! The data plane on SQLite beside raw batched writes of the same bytes with the same durability, in one run.
//!
//! - `relay`: rows from a filled outbox into the log and out of the outbox. The peer writes the rows that then are in the
//!   log, all bytes and the same primary key, into a plain table, and deletes the outbox rows of a plain outbox by id, one
//!   transaction on each file for each batch. It reads, judges and encodes nothing.
//! - `projector`: state records of a filled log into a projection. The peer writes the rows that then are in the projection,
//!   markers among them, into a plain table with the same primary key. It reads nothing. Fresh keys: plain inserts; keys that
//!   are there: upserts.
//! - `publish`: `INSERT INTO seamline_publish` for each row of one transaction. The peer inserts the finished outbox rows.
//!
//! Both sides write with `journal_mode = WAL` and `synchronous = FULL`; the best of several batch sizes counts for the peer.

use jiff::Timestamp;
use seamline_contract::channel::DEFAULT_TOPICS;
use seamline_contract::path::DocumentId;
use seamline_contract::publication::Publication;
use seamline_contract::resolve::{ResolvedContract, resolve};
use seamline_flow::clock::{Clock, Entropy};
use seamline_flow::digest_key;
use seamline_flow::hold::{DigestEpoch, Ports, Step as Projected, Take};
use seamline_flow::intake::Intake;
use seamline_flow::outlet::{Outlet, OutletSet};
use seamline_flow::projector::Projector;
use seamline_flow::relay::{FIRST_ROWS, Relay, RelayPorts, Step, TakeOver};
use seamline_lang::estate::read_estate;
use seamline_sqlite::context::Database;
use seamline_sqlite::log::EmbeddedLog;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous, SqliteValueRef,
};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Decode, Row, Sqlite, TypeInfo, ValueRef};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

const ROUNDS: usize = 3;
const ROWS: usize = 20_000;
const PARTITIONS: u32 = 4;
const PEER_BATCHES: [usize; 3] = [500, 1_000, 4_000];
const TTL: Duration = Duration::from_secs(600);

const CONTRACT: &str = "apiVersion: seamline/v1
kind: Contract
id: policy
context: policy-administration
version: 2.1.0
status: active
meaning: Where a policy stands in its life and what it covers.
key: policyId
classification: internal
attributes:
  policyId: { type: string, pattern: 'P-[0-9]{8}', meaning: 'Identifies a policy for life.' }
  claimsStatus:
    type: enum
    meaning: Active for claims eligibility.
    values: { eligible: Underwriting stands behind the cover., ineligible: Suspended or over. }
    moves: [-> eligible, eligible -> ineligible, ineligible -> eligible]
  coverFrom: { type: date, zone: Europe/Berlin, meaning: 'First day of cover.' }
  coverTo: { type: date, zone: Europe/Berlin, optional: true, meaning: 'Last day of cover.' }
  product: { type: string, meaning: 'Sales name of the product.' }
  holderName: { type: string, meaning: 'Legal name of the holder.' }
  annualPremium: { type: 'decimal(12,2)', unit: EUR, meaning: 'Agreed premium for twelve months.' }
invariants:
  coverEndsAfterItBegins: coverTo == null || coverFrom <= coverTo
events:
  PolicyBound: { meaning: Underwriting accepted the risk., effective: coverFrom, becomes: { claimsStatus: eligible }, with: [coverFrom, coverTo, product, holderName] }
  PolicySuspended: { meaning: Cover stops until released., becomes: { claimsStatus: ineligible } }
state: {}
guarantees:
  events: { retention: 400d, replay: auditState }
  state: { freshness: 30s p99, replay: currentState, tombstones: 14d }
reconciliation: { every: 15m, countBy: claimsStatus, repair: reemit }
";

const PUBLICATION: &str = "{ apiVersion: seamline/v1, kind: Publication, context: policy-administration, \
    contract: policy, system: core, feed: outbox, table: policy_current, columns: { policyId: policy_no } }";

const SUBSCRIPTION: &str = "apiVersion: seamline/v1
kind: Subscription
id: cover
context: claims
contract: policy-administration/policy@2
purpose: claims-handling
into:
  system: claims-db
  table: cover
  columns:
    policy_ref: policyId
    may_open_claim: { is: \"claimsStatus == 'eligible'\", meaning: 'A claim may be opened.' }
    cover_from: coverFrom
    cover_to: coverTo
    product: product
    holder: holderName
    premium: annualPremium
";

const POLICIES: &str = "CREATE TABLE policy_current (policy_no TEXT PRIMARY KEY, claims_status TEXT, cover_from TEXT, \
    cover_to TEXT, product TEXT, holder_name TEXT, annual_premium TEXT)";

const OUTBOX: &str = "id, contract, version, key, change, details, effective, reason, state, moved, previous, \
    correlation, causation, traceparent, written_at";

const RECORD: &str = "topic, partition, offset, time, key, headers, value";

const COVER: &str = "policy_ref, may_open_claim, cover_from, cover_to, product, holder, premium, seamline_sequence, \
    seamline_offset, seamline_received, seamline_written";

struct Wall;

impl Clock for Wall {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

impl Entropy for Wall {
    fn bytes(&self) -> [u8; 32] {
        [7; 32]
    }
}

/// What is compiled once.
struct Estate {
    contract: ResolvedContract,
    publication: Publication,
    outlets: OutletSet,
    intake: Intake,
}

fn estate() -> Estate {
    let files = [
        ("policy-administration/policy.contract.yaml", CONTRACT),
        ("policy-administration/policy.publication.yaml", PUBLICATION),
        ("claims/cover.subscription.yaml", SUBSCRIPTION),
    ];
    let files: BTreeMap<_, _> =
        files.map(|(path, text)| (DocumentId(path.to_owned()), text.to_owned())).into_iter().collect();
    let reading = read_estate(&files, DocumentId("seamline.yaml".to_owned()));
    assert!(reading.findings.is_empty(), "{:?}", reading.findings);
    let subscription = &reading.estate.subscriptions[0];
    let contract = resolve(&reading.estate, &subscription.contract).expect("the contract carries nothing");
    let outlet = Outlet::compile(&contract, DEFAULT_TOPICS, PARTITIONS).expect("the contract is sound");
    let (context, system) = ("policy-administration".parse(), "core".parse());
    let (context, system) = (context.expect("it is a name"), system.expect("it is a name"));
    let outlets = OutletSet::new(context, system, vec![outlet]).expect("there is one outlet");
    let intake = Intake::compile(subscription, &contract, DEFAULT_TOPICS).expect("the subscription is sound");
    Estate { publication: reading.estate.publications[0].clone(), contract, outlets, intake }
}

/// A cell as SQLite holds it.
enum Cell {
    Null,
    Integer(i64),
    Text(String),
    Blob(Vec<u8>),
}

fn cell(value: SqliteValueRef<'_>) -> Cell {
    fn decode<'r, T: Decode<'r, Sqlite>>(value: SqliteValueRef<'r>) -> T {
        T::decode(value).expect("the type is that of the cell")
    }
    if value.is_null() {
        return Cell::Null;
    }
    let ty = value.type_info().name().to_owned();
    match ty.as_str() {
        "INTEGER" => Cell::Integer(decode(value)),
        "TEXT" => Cell::Text(decode(value)),
        _ => Cell::Blob(decode(value)),
    }
}

type Rows = Vec<Vec<Cell>>;

/// Opens a file as the adapter does.
async fn connect(path: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
    let options = options.journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Full);
    options.disable_statement_logging().connect().await.expect("the directory is ours")
}

async fn run(conn: &mut SqliteConnection, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(conn).await.expect("the statement is sound");
}

async fn read(path: &Path, table: &str, columns: &str) -> Rows {
    let mut conn = connect(path).await;
    let read = sqlx::query(AssertSqlSafe(format!("SELECT {columns} FROM {table}")));
    let rows = read.fetch_all(&mut conn).await.expect("the table is there");
    let width = columns.split(", ").count();
    let cells = |row: &sqlx::sqlite::SqliteRow| {
        (0..width).map(|idx| cell(row.try_get_raw(idx).expect("the column is there"))).collect()
    };
    rows.iter().map(cells).collect()
}

/// Writes rows with as few statements as the adapter's, without a transaction of its own.
async fn write(
    conn: &mut SqliteConnection,
    table: &str,
    columns: &str,
    end: &str,
    rows: &[Vec<Cell>],
    size: usize,
) {
    for part in rows.chunks(size) {
        let row = format!("({})", vec!["?"; part[0].len()].join(","));
        let places = vec![row.as_str(); part.len()].join(",");
        let statement = format!("INSERT INTO {table} ({columns}) VALUES {places} {end}");
        let mut query = sqlx::query(AssertSqlSafe(statement));
        for cell in part.iter().flatten() {
            query = match cell {
                Cell::Null => query.bind(None::<i64>),
                Cell::Integer(number) => query.bind(*number),
                Cell::Text(text) => query.bind(text.as_str()),
                Cell::Blob(bytes) => query.bind(bytes.as_slice()),
            };
        }
        query.execute(&mut *conn).await.expect("the rows are sound");
    }
}

const STATEMENT_ROWS: usize = 250;
const CHECKPOINT: &str = "PRAGMA wal_checkpoint(TRUNCATE)";

/// Rows a second of one measurement on both sides.
struct Rates {
    ours: f64,
    theirs: f64,
}

fn rate(rows: usize, begun: Instant) -> f64 {
    rows as f64 / begun.elapsed().as_secs_f64()
}

/// One round: its files, which begin empty.
struct Round<'a> {
    estate: &'a Estate,
    directory: &'a Path,
    database: Database,
    log: EmbeddedLog,
    consumer: Database,
}

impl Round<'_> {
    async fn begin<'a>(estate: &'a Estate, directory: &'a Path) -> Round<'a> {
        let database = Database::create(&directory.join("core.db")).await.expect("the directory is ours");
        let consumer = Database::create(&directory.join("claims.db")).await.expect("the directory is ours");
        let log = EmbeddedLog::open(&directory.join("log.db"), true, Arc::new(Wall)).await;
        let log = log.expect("the directory is ours");
        run(&mut *database.writer().await, POLICIES).await;
        let installed = database.install_producer(&estate.contract, &estate.publication).await;
        installed.expect("the table is as the publication says");
        let projection = &estate.intake.state.as_ref().expect("it has a table").projection;
        consumer.install_consumer(std::slice::from_ref(projection)).await.expect("the file is empty");
        estate.outlets.create_topics(&log, &Wall).await.expect("the log is empty");
        Round { estate, directory, database, log, consumer }
    }

    /// Publishes an event of every policy, one statement each, in one transaction.
    async fn publish(&self, event: &str) -> Rates {
        let publish = "INSERT INTO seamline_publish (contract, change, key) VALUES ('policy', ?, ?)";
        let mut writer = self.database.writer().await;
        let begun = Instant::now();
        let mut transaction = writer.begin().await.expect("nobody else writes");
        for idx in 0..ROWS {
            let query = sqlx::query(publish).bind(event).bind(format!("[\"P-{idx:08}\"]"));
            query.execute(&mut *transaction).await.expect("the event is known");
        }
        transaction.commit().await.expect("nobody else writes");
        let ours = rate(ROWS, begun);
        run(&mut writer, CHECKPOINT).await;
        let outbox = read(self.database.path(), "seamline_outbox", OUTBOX).await;
        assert_eq!(outbox.len(), ROWS);
        let mut peer = self.peer(&format!("publish-{event}")).await;
        run(&mut peer, &format!("CREATE TABLE outbox (id INTEGER PRIMARY KEY, {})", &OUTBOX[4..])).await;
        let begun = Instant::now();
        let mut transaction = peer.begin().await.expect("nobody else writes");
        write(&mut transaction, "outbox", OUTBOX, "", &outbox, 1).await;
        transaction.commit().await.expect("nobody else writes");
        Rates { ours, theirs: rate(ROWS, begun) }
    }

    async fn peer(&self, name: &str) -> SqliteConnection {
        connect(&self.directory.join(format!("{name}.db"))).await
    }

    async fn relay(&self, name: &str) -> Rates {
        let outbox = read(self.database.path(), "seamline_outbox", OUTBOX).await;
        let before = read(&self.directory.join("log.db"), "log_record", RECORD).await.len();
        let ports = RelayPorts {
            source: &self.database,
            log: &self.log,
            clock: &Wall,
            holder: "bench",
            ttl: TTL,
            first_rows: FIRST_ROWS,
        };
        let relay = Relay::take_over(ports, &self.estate.outlets).await.expect("the files are ours");
        let TakeOver::Held(mut relay) = relay else { panic!("nobody else holds the outbox") };
        let begun = Instant::now();
        let mut published = 0;
        loop {
            match relay.step().await.expect("the files are ours") {
                Step::Stepped(stepped) => {
                    assert_eq!(stepped.aside, 0, "{:?}", stepped.cases);
                    published += stepped.published;
                    if !stepped.more {
                        break;
                    }
                }
                other => panic!("{other:?}"),
            }
        }
        let ours = rate(ROWS, begun);
        assert_eq!(published, ROWS as u64);
        let log = format!(
            "(SELECT * FROM log_record ORDER BY time, topic, partition, offset LIMIT -1 OFFSET {before})"
        );
        let records = read(&self.directory.join("log.db"), &log, RECORD).await;
        assert!(records.len() >= 2 * ROWS, "an event and a state of each row");
        let mut theirs: f64 = 0.0;
        for batch in PEER_BATCHES {
            theirs = theirs.max(self.raw_relay(&format!("{name}-{batch}"), &outbox, &records, batch).await);
        }
        Rates { ours, theirs }
    }

    /// Writes records into a plain table and deletes rows from a plain outbox, in as many batches as there are.
    async fn raw_relay(&self, name: &str, outbox: &[Vec<Cell>], records: &[Vec<Cell>], batch: usize) -> f64 {
        let (mut source, mut log) = (self.peer(&format!("{name}-outbox")).await, self.peer(name).await);
        run(&mut source, &format!("CREATE TABLE outbox (id INTEGER PRIMARY KEY, {})", &OUTBOX[4..])).await;
        write(&mut source, "outbox", OUTBOX, "", outbox, STATEMENT_ROWS).await;
        run(&mut source, CHECKPOINT).await;
        let key = "PRIMARY KEY (topic, partition, offset)) WITHOUT ROWID";
        run(&mut log, &format!("CREATE TABLE record ({RECORD}, {key}")).await;
        let begun = Instant::now();
        let records = records.chunks(records.len().div_ceil(ROWS / batch));
        for (rows, records) in outbox.chunks(batch).zip(records) {
            let mut transaction = log.begin().await.expect("nobody else writes");
            write(&mut transaction, "record", RECORD, "", records, STATEMENT_ROWS).await;
            transaction.commit().await.expect("nobody else writes");
            let Some(Cell::Integer(last)) = rows.last().map(|row| &row[0]) else { panic!("a row has an id") };
            let mut transaction = source.begin().await.expect("nobody else writes");
            let delete = sqlx::query("DELETE FROM outbox WHERE id <= ?").bind(last);
            delete.execute(&mut *transaction).await.expect("the table is there");
            transaction.commit().await.expect("nobody else writes");
        }
        rate(ROWS, begun)
    }

    /// Projects what the log has since the last time. The peer's tables have what `there` holds before.
    async fn project(&self, name: &str, there: &[Vec<Cell>]) -> (Rates, Rows) {
        let topic = &self.estate.intake.state.as_ref().expect("it has a table").topic;
        let (epoch, key) = digest_key::ensure(&self.log, &Wall, topic, 1).await.expect("the log is ours");
        let ports = Ports { store: &self.consumer, log: &self.log, clock: &Wall, holder: "bench", ttl: TTL };
        run(&mut *self.consumer.writer().await, CHECKPOINT).await;
        let begun = Instant::now();
        let mut handed = 0;
        for partition in 0..PARTITIONS {
            let digest = DigestEpoch { epoch, key };
            let lane = Projector::take(ports, &self.estate.intake, partition, digest, false).await;
            let Take::Held(mut lane) = lane.expect("the files are ours") else {
                panic!("nobody else holds it")
            };
            while let Projected::Moved(moved) = lane.step().await.expect("the files are ours") {
                assert_eq!(moved.aside, 0);
                handed += moved.handed;
            }
        }
        let ours = rate(ROWS, begun);
        assert_eq!(handed, ROWS as u64);
        let rows = read(self.consumer.path(), "cover", COVER).await;
        assert_eq!(rows.len(), ROWS);
        let mut theirs: f64 = 0.0;
        for batch in PEER_BATCHES {
            theirs = theirs.max(self.raw_project(&format!("{name}-{batch}"), there, &rows, batch).await);
        }
        (Rates { ours, theirs }, rows)
    }

    /// Writes rows into a plain table: inserts where it is empty, else upserts.
    async fn raw_project(&self, name: &str, there: &[Vec<Cell>], rows: &[Vec<Cell>], batch: usize) -> f64 {
        let mut peer = self.peer(name).await;
        run(&mut peer, &format!("CREATE TABLE cover (policy_ref TEXT PRIMARY KEY, {})", &COVER[12..])).await;
        write(&mut peer, "cover", COVER, "", there, STATEMENT_ROWS).await;
        run(&mut peer, CHECKPOINT).await;
        let sets: Vec<String> =
            COVER.split(", ").map(|column| format!("{column} = excluded.{column}")).collect();
        let upsert = format!("ON CONFLICT (policy_ref) DO UPDATE SET {}", sets.join(", "));
        let end = if there.is_empty() { "" } else { &upsert };
        let begun = Instant::now();
        for part in rows.chunks(batch) {
            let mut transaction = peer.begin().await.expect("nobody else writes");
            write(&mut transaction, "cover", COVER, end, part, STATEMENT_ROWS).await;
            transaction.commit().await.expect("nobody else writes");
        }
        rate(ROWS, begun)
    }
}

/// Measures everything once, on files of its own.
async fn round(estate: &Estate) -> [Rates; 4] {
    let directory = tempfile::tempdir().expect("there is a directory for temporary files");
    let round = Round::begin(estate, directory.path()).await;
    let policies = format!(
        "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {ROWS}) \
         INSERT INTO policy_current SELECT printf('P-%08d', i), 'eligible', '2026-01-01', '2026-12-31', 'Motor Plus', \
         'Harbour Logistics ' || i, (100 + i) || '.50' FROM n"
    );
    run(&mut *round.database.writer().await, &policies).await;
    let publish = round.publish("PolicyBound").await;
    let relay = round.relay("bound").await;
    let (fresh, rows) = round.project("fresh", &[]).await;
    let suspend = "UPDATE policy_current SET claims_status = 'ineligible'";
    run(&mut *round.database.writer().await, suspend).await;
    round.publish("PolicySuspended").await;
    round.relay("suspended").await;
    let (updates, _) = round.project("updates", &rows).await;
    [relay, fresh, updates, publish]
}

/// Prints the median of the ratios of rounds.
fn print(bench: &str, peer: &str, goal: Option<f64>, mut rounds: Vec<&Rates>, json: bool) {
    rounds.sort_by(|a, b| (a.ours / a.theirs).total_cmp(&(b.ours / b.theirs)));
    let Rates { ours, theirs } = rounds[rounds.len() / 2];
    let ratio = ours / theirs;
    if json {
        let goal = goal.map_or("null".to_owned(), |goal| goal.to_string());
        println!(
            "{{\"bench\":\"{bench}\",\"ours\":{ours:.0},\"theirs\":{theirs:.0},\"peer\":\"{peer}\",\
             \"unit\":\"rows a second\",\"ratio\":{ratio:.2},\"goal\":{goal},\"better\":\"higher\"}}"
        );
    } else {
        let goal = goal.map_or(String::new(), |goal| format!(" (goal ≥ {goal})"));
        println!("{bench}: {ratio:.2} of {peer}{goal}; {ours:.0} against {theirs:.0} rows a second");
    }
}

fn main() {
    let json = std::env::args().any(|arg| arg == "--json");
    let estate = estate();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime can be made");
    let rounds: Vec<[Rates; 4]> = (0..ROUNDS).map(|_| runtime.block_on(round(&estate))).collect();
    let measured = [
        ("relay", "raw batched inserts and deletes", Some(0.5)),
        ("projector-fresh", "raw batched inserts", Some(0.5)),
        ("projector-updates", "raw batched upserts", Some(0.5)),
        ("publish", "a plain insert of the finished row", None),
    ];
    for (idx, (bench, peer, goal)) in measured.into_iter().enumerate() {
        print(bench, peer, goal, rounds.iter().map(|round| &round[idx]).collect(), json);
    }
}
