//! A producer's database: the outbox as a queue, its lease, quarantine, the source view.

mod doze;
mod hours;
mod key;
mod quarantine;
mod queue;
mod rebase;
mod rotate;
mod streamed;

use crate::database::{Database, commit};
use crate::sql::{commit_failed, is_busy, not_applied};
use jiff::Timestamp;
use queue::Waiting;
use seamline_contract::id::ContractId;
use seamline_flow::port::PortError;
use seamline_flow::source::{
    Act, AsideRow, Incarnation, KeyFacts, OutboxRow, Rebase, Removal, Removed, Source, SourceCounts,
    SourceRow, Taken, Tenure,
};
use seamline_message::key::RecordKey;
use seamline_message::sequence::Sequence;
use sqlx::Postgres;
use sqlx::pool::PoolConnection;
use std::collections::BTreeSet;
use std::time::Duration;

/// The tables of the outbox.
const OUTBOXES: [&str; 3] = ["seamline.outbox_0", "seamline.outbox_1", "seamline.outbox_2"];

/// The columns of an outbox row, which a row in quarantine has too.
const COLUMNS: &str = "id, contract, version, key, change, details, effective, reason, state, moved, previous, \
    correlation, causation, traceparent, written_at";

/// Returns those columns of a table.
fn columns(table: &str) -> String {
    COLUMNS.split(", ").map(|column| format!("{table}.{column}")).collect::<Vec<_>>().join(", ")
}

impl Database {
    /// Returns the state that the source view holds for a key, in source form, as it is committed now; none: no row. It locks nothing.
    ///
    /// # Errors
    /// The database's.
    pub async fn state(&self, contract: &ContractId, key: &RecordKey) -> Result<Option<Vec<u8>>, PortError> {
        let function = crate::sql::quoted(&format!("state_{contract}"));
        let query = sqlx::query_scalar(sqlx::AssertSqlSafe(format!("SELECT seamline.{function}($1)")));
        let state: Option<String> =
            query.bind(key.as_str()).fetch_one(self.pool()).await.map_err(not_applied)?;
        Ok(state.map(String::into_bytes))
    }
}

/// Returns the rows, and closes a connection on which more would come.
fn kept(mut reader: PoolConnection<Postgres>, waiting: Waiting) -> Vec<OutboxRow> {
    if waiting.cut {
        reader.close_on_drop();
    }
    waiting.rows
}

impl Source for Database {
    async fn take_over(&self, holder: &str, now: Timestamp, ttl: Duration) -> Result<Taken, PortError> {
        let mut transaction = self.begin().await?;
        let taken = queue::take_over(&mut transaction, holder, now, ttl).await.map_err(not_applied)?;
        let held = matches!(taken, Taken::Held(_));
        if held {
            commit(transaction).await?;
        }
        if let Some(tail) = self.tail() {
            let mut tail = tail.lock().await;
            if held { tail.begin() } else { tail.end() }
        }
        Ok(taken)
    }

    async fn waiting(&self, limit: usize) -> Result<Vec<OutboxRow>, PortError> {
        let mut reader = self.pool().acquire().await.map_err(not_applied)?;
        let waiting = queue::waiting(&mut reader, limit, u64::MAX).await.map_err(not_applied)?;
        Ok(kept(reader, waiting))
    }

    async fn waiting_within(&self, limit: usize, weight: u64) -> Result<Vec<OutboxRow>, PortError> {
        if let Some(tail) = self.tail() {
            return streamed::waiting(self, &mut *tail.lock().await, limit, weight).await;
        }
        let mut reader = self.pool().acquire().await.map_err(not_applied)?;
        let waiting = queue::waiting(&mut reader, limit, weight).await.map_err(not_applied)?;
        Ok(kept(reader, waiting))
    }

    async fn waiting_behind(
        &self,
        taken: &[OutboxRow],
        limit: usize,
        weight: u64,
    ) -> Result<Vec<OutboxRow>, PortError> {
        let mut reader = self.pool().acquire().await.map_err(not_applied)?;
        if let Some(tail) = self.tail() {
            let mut tail = tail.lock().await;
            if tail.streams() {
                return tail.rows(&mut reader, taken, limit, weight).await.map_err(not_applied);
            }
        }
        let waiting = queue::waiting_behind(&mut reader, taken, limit, weight).await.map_err(not_applied)?;
        Ok(kept(reader, waiting))
    }

    async fn due(
        &self,
        contract: &ContractId,
        until: Timestamp,
        limit: usize,
        weight: u64,
    ) -> Result<Vec<OutboxRow>, PortError> {
        let mut reader = self.pool().acquire().await.map_err(not_applied)?;
        let due = hours::due(&mut reader, contract, until, limit, weight).await.map_err(not_applied)?;
        Ok(kept(reader, due))
    }

    async fn deferred(&self, rows: &[Sequence]) -> Result<Vec<OutboxRow>, PortError> {
        let mut reader = self.pool().acquire().await.map_err(not_applied)?;
        hours::deferred(&mut reader, rows).await.map_err(not_applied)
    }

    async fn recall(&self, but: &[ContractId]) -> Result<u64, PortError> {
        let mut transaction = self.begin().await?;
        let moved = hours::recall(&mut transaction, but).await.map_err(not_applied)?;
        if moved > 0 {
            commit(transaction).await?;
        }
        Ok(moved)
    }

    async fn doze(&self, patience: Duration) -> Result<bool, PortError> {
        if let Some(tail) = self.tail()
            && tail.lock().await.doze(patience).await
        {
            return Ok(true);
        }
        self.sleep(patience).await.map_err(not_applied)
    }

    async fn remove(
        &self,
        tenure: &Tenure,
        removal: &Removal,
        now: Timestamp,
        ttl: Duration,
    ) -> Result<Removed, PortError> {
        if let Some(tail) = self.tail() {
            return streamed::remove(self, tail, tenure, removal, now, ttl).await;
        }
        let mut transaction = self.begin().await?;
        let removed =
            queue::remove(&mut transaction, tenure, removal, now, ttl).await.map_err(not_applied)?;
        if removed == Removed::Done {
            commit(transaction).await?;
            self.rotate_in_time(now).await;
        }
        Ok(removed)
    }

    async fn incarnation(&self) -> Result<Incarnation, PortError> {
        let mut reader = self.pool().acquire().await.map_err(not_applied)?;
        rebase::incarnation(&mut reader).await.map_err(not_applied)
    }

    async fn rebase(
        &self,
        tenure: &Tenure,
        rebase: &Rebase,
        now: Timestamp,
        ttl: Duration,
    ) -> Result<Removed, PortError> {
        let mut transaction = self.begin().await?;
        let removed =
            rebase::rebase(&mut transaction, tenure, rebase, now, ttl).await.map_err(not_applied)?;
        if removed == Removed::Done {
            commit(transaction).await?;
        }
        Ok(removed)
    }

    async fn filled(&self, incarnation: u16) -> Result<(), PortError> {
        let mut transaction = self.begin().await?;
        rebase::filled(&mut transaction, incarnation).await.map_err(not_applied)?;
        commit(transaction).await
    }

    async fn emit(&self, contract: &ContractId, keys: &[RecordKey]) -> Result<u64, PortError> {
        // Invariant: nobody waits here long for a key who holds another, as in `look`.
        let mut transaction = self.begin().await?;
        key::be_brief(&mut transaction).await.map_err(not_applied)?;
        key::enter(&mut transaction, contract).await.map_err(not_applied)?;
        match key::emit(&mut transaction, contract, keys).await {
            Ok(written) => {
                commit(transaction).await?;
                return Ok(written);
            }
            Err(error) if !is_busy(&error) => return Err(not_applied(error)),
            Err(_) => transaction.rollback().await.map_err(not_applied)?,
        }
        let mut written = 0;
        for key in keys.iter().collect::<BTreeSet<_>>() {
            let mut transaction = self.begin().await?;
            key::enter(&mut transaction, contract).await.map_err(not_applied)?;
            let one = key::emit(&mut transaction, contract, std::slice::from_ref(key)).await;
            let one = one.map_err(not_applied)?;
            commit(transaction).await?;
            written += one;
        }
        Ok(written)
    }

    async fn void(&self, contract: &ContractId, key: &RecordKey, act: &Act) -> Result<(), PortError> {
        let mut transaction = self.begin().await?;
        quarantine::void(&mut transaction, contract, key, act).await.map_err(not_applied)?;
        commit(transaction).await
    }

    async fn explain_lost(&self, contract: &ContractId, rows: u64) -> Result<(), PortError> {
        let mut writer = self.pool().acquire().await.map_err(not_applied)?;
        quarantine::explain_lost(&mut writer, contract, rows).await.map_err(commit_failed)
    }

    async fn scan(
        &self,
        contract: &ContractId,
        after: Option<&RecordKey>,
        limit: usize,
    ) -> Result<Vec<SourceRow>, PortError> {
        let mut reader = self.pool().acquire().await.map_err(not_applied)?;
        key::scan(&mut reader, contract, after, limit).await.map_err(not_applied)
    }

    async fn look(&self, contract: &ContractId, keys: &[RecordKey]) -> Result<Vec<KeyFacts>, PortError> {
        // A later statement than the lock's has a younger snapshot. The locks go with their transaction.
        let mut transaction = self.begin().await?;
        key::enter(&mut transaction, contract).await.map_err(not_applied)?;
        let busy = key::lock_free(&mut transaction, contract, keys).await.map_err(not_applied)?;
        let mut facts = key::look(&mut transaction, contract, keys).await.map_err(not_applied)?;
        transaction.rollback().await.map_err(not_applied)?;
        // Invariant: nobody waits here for a key who holds another. A writer of several keys, in whatever order, would run into
        // a deadlock, and it might be the service that is refused.
        for key in busy {
            let mut transaction = self.begin().await?;
            key::enter(&mut transaction, contract).await.map_err(not_applied)?;
            key::lock(&mut transaction, contract, &key).await.map_err(not_applied)?;
            let found = key::look(&mut transaction, contract, std::slice::from_ref(&key)).await;
            let found = found.map_err(not_applied)?;
            transaction.rollback().await.map_err(not_applied)?;
            for found in found {
                facts.iter_mut().filter(|facts| facts.key == key).for_each(|facts| facts.clone_from(&found));
            }
        }
        Ok(facts)
    }

    async fn published(
        &self,
        contract: &ContractId,
        after: Option<&RecordKey>,
        limit: usize,
    ) -> Result<Vec<KeyFacts>, PortError> {
        let mut reader = self.pool().acquire().await.map_err(not_applied)?;
        key::published(&mut reader, contract, after, limit).await.map_err(not_applied)
    }

    async fn counts(&self, contract: &ContractId) -> Result<SourceCounts, PortError> {
        let mut reader = self.pool().acquire().await.map_err(not_applied)?;
        quarantine::counts(&mut reader, contract).await.map_err(not_applied)
    }

    async fn aside_after(&self, after: Option<Sequence>, limit: usize) -> Result<Vec<AsideRow>, PortError> {
        let mut reader = self.pool().acquire().await.map_err(not_applied)?;
        quarantine::aside(&mut reader, after, limit).await.map_err(not_applied)
    }

    async fn aside_row(&self, sequence: Sequence) -> Result<Option<OutboxRow>, PortError> {
        let mut reader = self.pool().acquire().await.map_err(not_applied)?;
        quarantine::row(&mut reader, sequence).await.map_err(not_applied)
    }

    async fn redrive_all(&self, contract: &ContractId, keys: &[String]) -> Result<u64, PortError> {
        let mut transaction = self.begin().await?;
        let moved = quarantine::redrive(&mut transaction, contract, keys).await.map_err(not_applied)?;
        commit(transaction).await?;
        Ok(moved)
    }

    async fn discard(&self, sequence: Sequence) -> Result<bool, PortError> {
        let mut transaction = self.begin().await?;
        let there = quarantine::discard(&mut transaction, sequence).await.map_err(not_applied)?;
        commit(transaction).await?;
        Ok(there)
    }
}
