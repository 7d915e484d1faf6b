//! A database of a context: SQLite or PostgreSQL, behind the ports.

use crate::errand::ErrandPlan;
use crate::meter::Timer;
use jiff::Timestamp;
use prometheus_client::metrics::histogram::Histogram;
use seamline_contract::id::{ContractId, SubscriptionRef};
use seamline_flow::intake::Intake;
use seamline_flow::outlet::OutletSet;
use seamline_flow::port::PortError;
use seamline_flow::reference::Outflow;
use seamline_flow::source::{
    Act, AsideRow, Incarnation, KeyFacts, OutboxRow, Rebase, Removal, Removed, Source, SourceCounts,
    SourceRow, Taken, Tenure,
};
use seamline_flow::store::{
    AsideRecord, Batch, Committed, Difference, Gripped, Lane, LaneState, LiveRow, Markers, Projection,
    Rehearsed, Store, TakenSet,
};
use seamline_message::digest::Digest;
use seamline_message::key::RecordKey;
use seamline_message::sequence::Sequence;
use seamline_postgres::database::Database as PostgresDatabase;
use seamline_sqlite::context::Database as SqliteDatabase;
use std::sync::OnceLock;
use std::time::Duration;

/// A database of a context.
#[derive(Debug)]
pub struct Database {
    at: At,
    commits: OnceLock<Histogram>,
}

#[derive(Debug)]
enum At {
    Sqlite(SqliteDatabase),
    Postgres(PostgresDatabase),
}

/// Calls the same method on whichever database it is.
macro_rules! either {
    ($database:expr, $it:ident => $call:expr) => {
        match &$database.at {
            At::Sqlite($it) => $call.await,
            At::Postgres($it) => $call.await,
        }
    };
}

/// What the work on a database needs of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Needs {
    outbox: bool,
    lanes: bool,
    letters: bool,
    sets: bool,
    seals: bool,
}

impl Needs {
    pub(crate) fn of(
        outlets: Option<&OutletSet>,
        intakes: &[Intake],
        errands: &ErrandPlan,
        outflows: &[Outflow],
    ) -> Needs {
        let outbox = outlets.is_some();
        let seals = outlets.is_some_and(|outlets| !outlets.sealing().is_empty());
        let sets = !outflows.is_empty() || intakes.iter().any(|intake| intake.reference.is_some());
        Needs { outbox, lanes: !intakes.is_empty(), letters: !errands.is_empty(), sets, seals }
    }
}

mod exchange;
mod install;
mod ports;

impl Database {
    /// Returns a SQLite file.
    pub fn sqlite(database: SqliteDatabase) -> Database {
        Database { at: At::Sqlite(database), commits: OnceLock::new() }
    }

    /// Returns a PostgreSQL database.
    pub fn postgres(database: PostgresDatabase) -> Database {
        Database { at: At::Postgres(database), commits: OnceLock::new() }
    }

    /// Returns the SQLite file, when it is one.
    pub fn file(&self) -> Option<&SqliteDatabase> {
        match &self.at {
            At::Sqlite(database) => Some(database),
            At::Postgres(_) => None,
        }
    }

    /// Returns the PostgreSQL database, when it is one.
    pub fn server(&self) -> Option<&PostgresDatabase> {
        match &self.at {
            At::Sqlite(_) => None,
            At::Postgres(database) => Some(database),
        }
    }

    /// Measures commits from now on. The first to ask is told.
    pub(crate) fn measure(&self, commits: Histogram) {
        self.commits.get_or_init(|| commits);
    }
}

impl Database {
    /// Returns a table that is needed and not there; none when all are.
    pub(crate) async fn missing(
        &self,
        needs: &Needs,
        projections: &[Projection],
    ) -> Result<Option<String>, PortError> {
        let wanted = |wanted: bool, table: &'static str| wanted.then_some(table).into_iter();
        match &self.at {
            At::Sqlite(file) => {
                let needed = ["seamline_case", "seamline_job", "seamline_replica", "seamline_pass"]
                    .into_iter()
                    .chain(wanted(needs.outbox, "seamline_outbox"))
                    .chain(wanted(needs.outbox, "seamline_deferred"))
                    .chain(wanted(needs.lanes, "seamline_lane"))
                    .chain(wanted(needs.letters, "seamline_letter"))
                    .chain(wanted(needs.sets, "seamline_set"))
                    .chain(wanted(needs.seals, "seamline_seal"));
                for table in needed.chain(projections.iter().map(|it| it.table.as_str())) {
                    if !file.has_table(table).await? {
                        return Ok(Some(table.to_owned()));
                    }
                }
                let older = needs.lanes && file.is_older("seamline_inbox").await?;
                Ok(older.then(|| "seamline_inbox of today's format".to_owned()))
            }
            At::Postgres(server) => {
                let needed = ["seamline.cases", "seamline.job", "seamline.replica", "seamline.pass"]
                    .into_iter()
                    .chain(wanted(needs.outbox, "seamline.outbox_0"))
                    .chain(wanted(needs.outbox, "seamline.deferred"))
                    .chain(wanted(needs.lanes, "seamline.lane"))
                    .chain(wanted(needs.letters, "seamline.letter"))
                    .chain(wanted(needs.sets, "seamline.set"))
                    .chain(wanted(needs.seals, "seamline.seal"));
                for table in needed.chain(projections.iter().map(|it| it.table.as_str())) {
                    if !server.has_table(table).await? {
                        return Ok(Some(table.to_owned()));
                    }
                }
                let older = needs.lanes && server.is_older("inbox").await?;
                Ok(older.then(|| "seamline.inbox of today's format".to_owned()))
            }
        }
    }

    /// Returns how many bytes on disk our own tables take; of a file, all of it.
    ///
    /// # Errors
    /// The database's.
    pub async fn bytes(&self) -> Result<u64, PortError> {
        either!(self, it => it.bytes())
    }
}

impl Database {
    /// Returns the state that a source view holds for a key, in source form, as it is committed now; none: no row.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn state(
        &self,
        contract: &ContractId,
        key: &RecordKey,
    ) -> Result<Option<Vec<u8>>, PortError> {
        either!(self, it => it.state(contract, key))
    }

    /// Returns how many bytes of its log a server keeps for the slot of the outbox; none where there is none.
    pub(crate) async fn slot_kept_bytes(&self) -> Result<Option<u64>, PortError> {
        match &self.at {
            At::Postgres(server) if server.replicates() => server.slot_kept_bytes().await,
            At::Postgres(_) | At::Sqlite(_) => Ok(None),
        }
    }

    /// Returns why rows of the outbox cannot leave through logical replication; none where they can, or leave by the queue.
    pub(crate) async fn slot_in_the_way(&self) -> Result<Option<&'static str>, PortError> {
        match &self.at {
            At::Postgres(server) if server.replicates() => Ok(server.slot().await?.wrong()),
            At::Postgres(_) | At::Sqlite(_) => Ok(None),
        }
    }
}

impl Source for Database {
    async fn take_over(&self, holder: &str, now: Timestamp, ttl: Duration) -> Result<Taken, PortError> {
        either!(self, it => Source::take_over(it, holder, now, ttl))
    }

    async fn waiting(&self, limit: usize) -> Result<Vec<OutboxRow>, PortError> {
        either!(self, it => Source::waiting(it, limit))
    }

    async fn due(
        &self,
        contract: &ContractId,
        until: Timestamp,
        limit: usize,
        weight: u64,
    ) -> Result<Vec<OutboxRow>, PortError> {
        either!(self, it => Source::due(it, contract, until, limit, weight))
    }

    async fn deferred(&self, rows: &[Sequence]) -> Result<Vec<OutboxRow>, PortError> {
        either!(self, it => Source::deferred(it, rows))
    }

    async fn recall(&self, but: &[ContractId]) -> Result<u64, PortError> {
        either!(self, it => Source::recall(it, but))
    }

    async fn waiting_within(&self, limit: usize, weight: u64) -> Result<Vec<OutboxRow>, PortError> {
        either!(self, it => Source::waiting_within(it, limit, weight))
    }

    async fn waiting_behind(
        &self,
        taken: &[OutboxRow],
        limit: usize,
        weight: u64,
    ) -> Result<Vec<OutboxRow>, PortError> {
        either!(self, it => Source::waiting_behind(it, taken, limit, weight))
    }

    async fn doze(&self, patience: Duration) -> Result<bool, PortError> {
        either!(self, it => Source::doze(it, patience))
    }

    async fn remove(
        &self,
        tenure: &Tenure,
        removal: &Removal,
        now: Timestamp,
        ttl: Duration,
    ) -> Result<Removed, PortError> {
        let _timer = Timer::start(self.commits.get());
        either!(self, it => Source::remove(it, tenure, removal, now, ttl))
    }

    async fn incarnation(&self) -> Result<Incarnation, PortError> {
        either!(self, it => Source::incarnation(it))
    }

    async fn rebase(
        &self,
        tenure: &Tenure,
        rebase: &Rebase,
        now: Timestamp,
        ttl: Duration,
    ) -> Result<Removed, PortError> {
        either!(self, it => Source::rebase(it, tenure, rebase, now, ttl))
    }

    async fn filled(&self, incarnation: u16) -> Result<(), PortError> {
        either!(self, it => Source::filled(it, incarnation))
    }

    async fn emit(&self, contract: &ContractId, keys: &[RecordKey]) -> Result<u64, PortError> {
        either!(self, it => Source::emit(it, contract, keys))
    }

    async fn void(&self, contract: &ContractId, key: &RecordKey, act: &Act) -> Result<(), PortError> {
        either!(self, it => Source::void(it, contract, key, act))
    }

    async fn explain_lost(&self, contract: &ContractId, rows: u64) -> Result<(), PortError> {
        either!(self, it => Source::explain_lost(it, contract, rows))
    }

    async fn scan(
        &self,
        contract: &ContractId,
        after: Option<&RecordKey>,
        limit: usize,
    ) -> Result<Vec<SourceRow>, PortError> {
        either!(self, it => Source::scan(it, contract, after, limit))
    }

    async fn look(&self, contract: &ContractId, keys: &[RecordKey]) -> Result<Vec<KeyFacts>, PortError> {
        either!(self, it => Source::look(it, contract, keys))
    }

    async fn published(
        &self,
        contract: &ContractId,
        after: Option<&RecordKey>,
        limit: usize,
    ) -> Result<Vec<KeyFacts>, PortError> {
        either!(self, it => Source::published(it, contract, after, limit))
    }

    async fn counts(&self, contract: &ContractId) -> Result<SourceCounts, PortError> {
        either!(self, it => Source::counts(it, contract))
    }

    async fn aside_after(&self, after: Option<Sequence>, limit: usize) -> Result<Vec<AsideRow>, PortError> {
        either!(self, it => Source::aside_after(it, after, limit))
    }

    async fn aside_row(&self, sequence: Sequence) -> Result<Option<OutboxRow>, PortError> {
        either!(self, it => Source::aside_row(it, sequence))
    }

    async fn redrive_all(&self, contract: &ContractId, keys: &[String]) -> Result<u64, PortError> {
        either!(self, it => Source::redrive_all(it, contract, keys))
    }

    async fn discard(&self, sequence: Sequence) -> Result<bool, PortError> {
        either!(self, it => Source::discard(it, sequence))
    }
}

impl Store for Database {
    async fn grip(
        &self,
        lane: &Lane,
        holder: &str,
        now: Timestamp,
        ttl: Duration,
        force: bool,
    ) -> Result<Gripped, PortError> {
        either!(self, it => Store::grip(it, lane, holder, now, ttl, force))
    }

    async fn markers(&self, projection: &Projection, keys: &[RecordKey]) -> Result<Vec<Markers>, PortError> {
        either!(self, it => Store::markers(it, projection, keys))
    }

    async fn chains(
        &self,
        lane: &Lane,
        keys: &[RecordKey],
    ) -> Result<Vec<(Option<Sequence>, bool)>, PortError> {
        either!(self, it => Store::chains(it, lane, keys))
    }

    async fn commit(
        &self,
        projection: Option<&Projection>,
        batch: &Batch,
        now: Timestamp,
        ttl: Duration,
    ) -> Result<Committed, PortError> {
        let _timer = Timer::start(self.commits.get());
        either!(self, it => Store::commit(it, projection, batch, now, ttl))
    }

    async fn commit_unread(
        &self,
        projection: &Projection,
        batch: &Batch,
        now: Timestamp,
        ttl: Duration,
    ) -> Result<Option<Committed>, PortError> {
        let _timer = Timer::start(self.commits.get());
        either!(self, it => Store::commit_unread(it, projection, batch, now, ttl))
    }

    async fn rows(
        &self,
        projection: &Projection,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<LiveRow>, PortError> {
        either!(self, it => Store::rows(it, projection, after, limit))
    }

    async fn received_aside(
        &self,
        projection: &Projection,
        after: Option<&RecordKey>,
        limit: usize,
    ) -> Result<Vec<(RecordKey, Sequence, Digest)>, PortError> {
        either!(self, it => Store::received_aside(it, projection, after, limit))
    }

    async fn rehearsal_begin(&self, projection: &Projection) -> Result<(), PortError> {
        either!(self, it => Store::rehearsal_begin(it, projection))
    }

    async fn rehearsal_put(&self, projection: &Projection, rows: &[Rehearsed]) -> Result<(), PortError> {
        either!(self, it => Store::rehearsal_put(it, projection, rows))
    }

    async fn rehearsal_is_kept(&self, projection: &Projection) -> Result<bool, PortError> {
        either!(self, it => Store::rehearsal_is_kept(it, projection))
    }

    async fn rehearsal_diff(
        &self,
        projection: &Projection,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Difference>, PortError> {
        either!(self, it => Store::rehearsal_diff(it, projection, after, limit))
    }

    async fn rehearsal_end(&self, projection: &Projection) -> Result<(), PortError> {
        either!(self, it => Store::rehearsal_end(it, projection))
    }

    async fn aside(
        &self,
        subscription: &SubscriptionRef,
        key: Option<&RecordKey>,
        limit: usize,
    ) -> Result<Vec<AsideRecord>, PortError> {
        either!(self, it => Store::aside(it, subscription, key, limit))
    }

    async fn aside_from(
        &self,
        subscription: &SubscriptionRef,
        from: Option<(&Lane, u64)>,
        limit: usize,
    ) -> Result<Vec<AsideRecord>, PortError> {
        either!(self, it => Store::aside_from(it, subscription, from, limit))
    }

    async fn lanes(&self, subscription: &SubscriptionRef) -> Result<Vec<(Lane, LaneState)>, PortError> {
        either!(self, it => Store::lanes(it, subscription))
    }

    async fn taken(&self, subscription: &SubscriptionRef) -> Result<Option<TakenSet>, PortError> {
        either!(self, it => Store::taken(it, subscription))
    }
}
