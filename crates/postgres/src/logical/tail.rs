//! The stream of one outbox while its relay is held: connected, read, and handed out row by row.

use super::buffer::{Buffer, Cursor, Entry};
use super::pgoutput::Relations;
use super::slot::{self, Standing};
use super::{Connect, sure};
use crate::sql::corrupt;
use futures_util::FutureExt;
use pgwire_replication::{Lsn, ReplicationClient, ReplicationEvent};
use seamline_flow::source::{OutboxRow, Removal};
use seamline_message::sequence::Sequence;
use sqlx::postgres::PgConnection;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// How long the server may take to begin.
const BEGIN: Duration = Duration::from_secs(10);

/// How long nobody tries again after a connection failed. Meanwhile rows leave by the queue.
const REST: Duration = Duration::from_secs(5);

/// How many rows are kept at most while the outbox itself is read.
const ASIDE_ROWS: usize = 4_000;

/// How many bytes of rows are read ahead.
const BYTES: u64 = 16 << 20;

/// How often more is waited for where the reader of the connection has to catch up.
const TURNS: u32 = 4;

/// How often it is looked whether a slot is free.
const FREE_TURNS: u32 = 200;

/// How long a row that others do not see yet is left alone.
const UNSEEN: Duration = Duration::from_millis(5);

/// Where the next rows come from.
#[derive(Debug)]
enum Phase {
    /// From the table. `left` are those of the last look that saw all, and have not left yet.
    Queue { left: Option<BTreeSet<Sequence>>, returned: i64 },
    /// From the stream. Up to `looked_to`, rows may have left by the table.
    Stream { looked_to: Lsn, returned: i64 },
}

const FROM_THE_TABLE: Phase = Phase::Queue { left: None, returned: -1 };

/// A connection that streams.
struct Stream {
    client: ReplicationClient,
    relations: Relations,
    buffer: Buffer,
    kept: Cursor,
}

/// The stream of an outbox.
pub(crate) struct Tail {
    connect: Connect,
    stream: Option<Stream>,
    phase: Phase,
    rests_until: Option<Instant>,
}

/// What a removal takes out of the stream.
#[derive(Debug, Default)]
pub(crate) struct Leaving {
    gone: BTreeSet<Cursor>,
    /// What the slot is still needed for, to be kept with the removal.
    pub(crate) cursor: Option<Cursor>,
}

impl std::fmt::Debug for Tail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tail").field("phase", &self.phase).finish_non_exhaustive()
    }
}

impl Tail {
    pub(crate) fn new(connect: Connect) -> Tail {
        Tail { connect, stream: None, phase: FROM_THE_TABLE, rests_until: None }
    }

    /// A tenure begins: what waits is in the table, whoever removed what before.
    pub(crate) fn begin(&mut self) {
        self.back_to_the_table();
        self.rests_until = None;
    }

    /// The tenure is another's, or the connection is of no use: nothing is known of what came.
    pub(crate) fn end(&mut self) {
        self.stream = None;
        self.phase = FROM_THE_TABLE;
    }

    fn back_to_the_table(&mut self) {
        self.phase = FROM_THE_TABLE;
        let entries = self.stream.iter_mut().flat_map(|stream| stream.buffer.entries_mut());
        entries.for_each(|entry| (entry.sure, entry.handed) = (false, false));
    }

    /// Returns how many rows came through the stream and wait; none while the table is read.
    pub(crate) fn streamed(&self) -> Option<usize> {
        let stream = self.stream.as_ref().filter(|_| self.streams())?;
        Some(stream.buffer.entries().len())
    }

    /// Returns whether the next rows come from the stream.
    pub(crate) fn streams(&self) -> bool {
        matches!(self.phase, Phase::Stream { .. })
    }

    /// Returns whether the stream comes.
    pub(crate) fn is_connected(&self) -> bool {
        self.stream.is_some()
    }

    /// Connects where it is not connected. A connection that fails is tried again later; a slot that cannot go on is an error.
    pub(crate) async fn connect(&mut self, conn: &mut PgConnection) -> Result<(), sqlx::Error> {
        if self.stream.is_some() || self.rests_until.is_some_and(|until| Instant::now() < until) {
            return Ok(());
        }
        let kept = slot::look(conn).await?;
        let standing = kept.as_ref().map_or(Standing::NotMade, |kept| kept.standing.clone());
        let Some(kept) = kept.filter(|_| standing == Standing::Whole) else {
            return Err(corrupt(standing.wrong().unwrap_or_default()));
        };
        // Whoever reads the slot holds the outbox no more.
        let other = "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = $1 AND active";
        if let Err(error) = sqlx::query(other).bind(&kept.slot).execute(&mut *conn).await {
            tracing::warn!(%error, "who reads the replication slot cannot be ended");
        }
        wait_until_free(conn, &kept.slot).await?;
        match self.open(&kept.slot, kept.cursor).await {
            Ok(client) => {
                let buffer = Buffer::at(kept.cursor);
                let relations = Relations::default();
                self.stream = Some(Stream { client, relations, buffer, kept: kept.cursor });
                self.rests_until = None;
            }
            Err(error) => {
                if self.rests_until.is_none() {
                    tracing::warn!(error, "the replication slot cannot be read; rows leave by the queue");
                }
                self.rests_until = Some(Instant::now() + REST);
            }
        }
        Ok(())
    }

    async fn open(&self, slot: &str, cursor: Cursor) -> Result<ReplicationClient, String> {
        let config = self.connect.config(slot, cursor);
        let config = config.ok_or("its place wants `sslmode` and the stream cannot be encrypted")?;
        let mut client = ReplicationClient::connect(config).await.map_err(|error| error.to_string())?;
        match tokio::time::timeout(BEGIN, client.wait_started()).await {
            Ok(Ok(())) => Ok(client),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => {
                client.abort();
                Err("the server does not begin".to_owned())
            }
        }
    }

    /// Takes what came, until there are so many rows or nothing more is there. A connection that broke is given up.
    async fn fill(&mut self, rows: usize) {
        let Some(stream) = &mut self.stream else { return };
        let mut turns = 0;
        while stream.buffer.entries().len() < rows && stream.buffer.weight() < BYTES {
            match stream.client.recv().now_or_never() {
                Some(event) => {
                    if let Err(error) = stream.take(event) {
                        return self.broke(&error);
                    }
                }
                None if turns < TURNS => {
                    turns += 1;
                    tokio::task::yield_now().await;
                }
                None => return,
            }
        }
    }

    fn broke(&mut self, error: &str) {
        tracing::warn!(error, "the stream of the outbox ended; rows leave by the queue until it is back");
        self.end();
        self.rests_until = Some(Instant::now() + REST);
    }

    /// Waits until rows came that can be handed out, at most as long as `patience`. Returns false where the outbox itself is
    /// read.
    ///
    /// Cancel safe.
    pub(crate) async fn doze(&mut self, patience: Duration) -> bool {
        if !self.streams() {
            return false;
        }
        let Some(stream) = &mut self.stream else { return false };
        if !stream.buffer.entries().is_empty() {
            tokio::time::sleep(UNSEEN.min(patience)).await;
            return true;
        }
        let came = async {
            while stream.buffer.entries().is_empty() {
                let event = stream.client.recv().await;
                stream.take(event)?;
            }
            Ok::<(), String>(())
        };
        if let Ok(Err(error)) = tokio::time::timeout(patience, came).await {
            self.broke(&error);
        }
        true
    }

    /// Before the table is read: goes over to the stream where all that a look at the table saw has left since. Otherwise
    /// forgets what the table shows anyway, and returns how often rows came back.
    pub(crate) async fn before_the_table(&mut self, conn: &mut PgConnection) -> Result<bool, sqlx::Error> {
        let Phase::Queue { left, returned } = &mut self.phase else { return Ok(true) };
        if self.stream.is_some() && left.as_ref().is_some_and(BTreeSet::is_empty) {
            // Invariant: whatever is committed behind this position was removed by nobody.
            let now: String =
                sqlx::query_scalar("SELECT pg_current_wal_insert_lsn()::text").fetch_one(conn).await?;
            let looked_to = now.parse().map_err(|_| corrupt("a position in the log cannot be read"))?;
            self.phase = Phase::Stream { looked_to, returned: *returned };
            return Ok(true);
        }
        *left = None;
        let mark = format!("SELECT {}", sure::RETURNED);
        *returned = sqlx::query_scalar(sqlx::AssertSqlSafe(mark)).fetch_one(&mut *conn).await?;
        self.fill(ASIDE_ROWS).await;
        let Some(stream) = &mut self.stream else { return Ok(false) };
        let known = sure::known(conn, stream.buffer.entries().iter(), Lsn::ZERO).await?;
        let entries = stream.buffer.entries().iter().zip(known);
        let shown: BTreeSet<Cursor> =
            entries.filter(|(_, known)| known.visible).map(|(entry, _)| entry.at).collect();
        stream.buffer.forget(|entry| shown.contains(&entry.at));
        Ok(false)
    }

    /// Notes what the table showed; `all`: nothing else waits there.
    pub(crate) fn after_the_table(&mut self, rows: &[OutboxRow], all: bool) {
        if let Phase::Queue { left, .. } = &mut self.phase {
            *left = all.then(|| rows.iter().map(|row| row.sequence).collect());
        }
    }

    /// Returns rows of the stream behind those that were taken, which must be its first; none when they are not, or where only
    /// the table tells.
    pub(crate) async fn rows(
        &mut self,
        conn: &mut PgConnection,
        taken: &[OutboxRow],
        limit: usize,
        weight: u64,
    ) -> Result<Vec<OutboxRow>, sqlx::Error> {
        self.fill(taken.len() + limit).await;
        let (Phase::Stream { looked_to, returned }, Some(stream)) = (&self.phase, &mut self.stream) else {
            return Ok(Vec::new());
        };
        stream.make_sure(conn, *looked_to, taken.len() + limit).await?;
        let first = stream.buffer.entries().iter().map(|entry| entry.row.sequence);
        if !taken.iter().map(|row| row.sequence).eq(first.take(taken.len())) {
            return Ok(Vec::new());
        }
        let (mut rows, mut read) = (Vec::new(), 0);
        for entry in stream.buffer.entries_mut().skip(taken.len()).take(limit) {
            if !entry.sure || read >= weight {
                break;
            }
            entry.handed = true;
            read += entry.row.weight();
            rows.push(entry.row.clone());
        }
        if rows.is_empty() {
            return Ok(rows);
        }
        if sure::behind(conn, &mut rows).await? == *returned {
            return Ok(rows);
        }
        // Rows came back that go before these.
        self.back_to_the_table();
        Ok(Vec::new())
    }

    /// Returns what a removal takes out of the stream.
    pub(crate) fn leaving(&self, removal: &Removal) -> Leaving {
        let Some(stream) = &self.stream else { return Leaving::default() };
        let removed = removed_by(removal);
        let handed = |entry: &&Entry| entry.handed && removed.contains(&entry.row.sequence);
        let gone: BTreeSet<Cursor> =
            stream.buffer.entries().iter().filter(handed).map(|entry| entry.at).collect();
        let needed = stream.buffer.needed_without(&gone);
        Leaving { cursor: (needed > stream.kept).then_some(needed), gone }
    }

    /// The removal is committed, and the cursor with it: only now the server is told.
    pub(crate) fn left(&mut self, leaving: &Leaving, removal: &Removal) {
        let gone: BTreeSet<Sequence> = removed_by(removal);
        if let Phase::Queue { left: Some(left), .. } = &mut self.phase {
            left.retain(|sequence| !gone.contains(sequence));
        }
        let Some(stream) = &mut self.stream else { return };
        stream.buffer.forget(|entry| leaving.gone.contains(&entry.at));
        if let Some(cursor) = leaving.cursor {
            stream.kept = cursor;
            stream.buffer.need_from(cursor);
            stream.client.update_applied_lsn(cursor.lsn);
        }
        // What stays must not keep the server's log, and what nobody told of is found: the table is looked at again.
        let first = stream.buffer.entries().front().filter(|entry| entry.handed).map(|entry| entry.at);
        let stays = first.is_some_and(|first| leaving.gone.last().is_some_and(|last| first < *last));
        if self.streams() && (stays || gone.is_empty()) {
            self.back_to_the_table();
        }
    }
}

fn removed_by(removal: &Removal) -> BTreeSet<Sequence> {
    let aside = removal.aside.iter().map(|row| &row.sequence);
    removal.published.iter().chain(&removal.deferred).chain(aside).copied().collect()
}

/// Waits until nobody reads a slot, for a while.
async fn wait_until_free(conn: &mut PgConnection, slot: &str) -> Result<(), sqlx::Error> {
    let active = "SELECT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = $1 AND active)";
    for _ in 0..FREE_TURNS {
        if !sqlx::query_scalar::<_, bool>(active).bind(slot).fetch_one(&mut *conn).await? {
            break;
        }
        tokio::time::sleep(UNSEEN).await;
    }
    Ok(())
}

impl Stream {
    fn take(&mut self, event: pgwire_replication::Result<Option<ReplicationEvent>>) -> Result<(), String> {
        match event.map_err(|error| error.to_string())? {
            Some(ReplicationEvent::Begin { final_lsn, xid, .. }) => self.buffer.begin(final_lsn, xid),
            Some(ReplicationEvent::XLogData { data, .. }) => {
                let row = self.relations.read(&data).map_err(|error| error.to_string())?;
                row.into_iter().for_each(|row| self.buffer.push(row));
            }
            Some(ReplicationEvent::Commit { end_lsn, .. }) => self.buffer.commit(end_lsn),
            Some(ReplicationEvent::KeepAlive { wal_end, .. }) => self.buffer.alive(wal_end),
            Some(ReplicationEvent::Message { .. }) => {}
            Some(ReplicationEvent::StoppedAt { .. }) | None => return Err("the server ended it".to_owned()),
        }
        Ok(())
    }

    /// Asks of the first rows which are not sure yet, up to one that others do not see, and forgets those that left before.
    async fn make_sure(
        &mut self,
        conn: &mut PgConnection,
        looked_to: Lsn,
        limit: usize,
    ) -> Result<(), sqlx::Error> {
        let first = self.buffer.entries().iter().take(limit);
        let asked: Vec<&Entry> = first.filter(|entry| !entry.sure).collect();
        let known = sure::known(conn, asked.iter().copied(), looked_to).await?;
        let known: Vec<_> = asked.iter().map(|entry| entry.at).zip(known).collect();
        let seen = known.into_iter().take_while(|(_, known)| known.visible);
        let (waiting, gone): (Vec<_>, Vec<_>) = seen.partition(|(_, known)| known.waits);
        let waiting: BTreeSet<Cursor> = waiting.into_iter().map(|(at, _)| at).collect();
        let gone: BTreeSet<Cursor> = gone.into_iter().map(|(at, _)| at).collect();
        self.buffer.forget(|entry| gone.contains(&entry.at));
        self.buffer.entries_mut().filter(|entry| waiting.contains(&entry.at)).for_each(|entry| {
            entry.sure = true;
        });
        Ok(())
    }
}
