//! A producer's database: the outbox as a queue, its lease, quarantine, the source view.

mod hours;
mod key;
mod quarantine;
mod queue;
mod rebase;

use crate::context::Database;
use crate::file::{begin, commit, not_applied};
use jiff::Timestamp;
use seamline_contract::id::ContractId;
use seamline_flow::port::PortError;
use seamline_flow::source::{
    Act, AsideRow, Incarnation, KeyFacts, OutboxRow, Rebase, Removal, Removed, Source, SourceCounts,
    SourceRow, Taken, Tenure, within,
};
use seamline_message::key::RecordKey;
use seamline_message::sequence::Sequence;
use std::time::Duration;

/// The columns of an outbox row, which a row in quarantine has too.
const COLUMNS: &str = "id, contract, version, key, change, details, effective, reason, state, moved, previous, \
    void_channel, void_sequence, void_previous, correlation, causation, traceparent, written_at";

pub(crate) use queue::{end_of, held_by_another};

impl Database {
    /// Returns the state that the source view holds for a key, in source form, as it is committed now; none: no row.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn state(&self, contract: &ContractId, key: &RecordKey) -> Result<Option<Vec<u8>>, PortError> {
        let mut reader = self.readers().acquire().await.map_err(not_applied)?;
        let facts = key::look(&mut reader, contract, std::slice::from_ref(key)).await.map_err(not_applied)?;
        Ok(facts.into_iter().next().and_then(|facts| facts.state))
    }
}

impl Source for Database {
    async fn take_over(&self, holder: &str, now: Timestamp, ttl: Duration) -> Result<Taken, PortError> {
        let mut writer = self.writer().await;
        let mut transaction = begin(&mut writer).await?;
        let taken = queue::take_over(&mut transaction, holder, now, ttl).await.map_err(not_applied)?;
        if matches!(taken, Taken::Held(_)) {
            commit(transaction).await?;
        }
        Ok(taken)
    }

    async fn waiting(&self, limit: usize) -> Result<Vec<OutboxRow>, PortError> {
        let mut reader = self.readers().acquire().await.map_err(not_applied)?;
        queue::waiting(&mut reader, limit).await.map_err(not_applied)
    }

    async fn due(
        &self,
        contract: &ContractId,
        until: Timestamp,
        limit: usize,
        weight: u64,
    ) -> Result<Vec<OutboxRow>, PortError> {
        let mut reader = self.readers().acquire().await.map_err(not_applied)?;
        let rows = hours::due(&mut reader, contract, until, limit).await.map_err(not_applied)?;
        Ok(within(rows, weight))
    }

    async fn deferred(&self, rows: &[Sequence]) -> Result<Vec<OutboxRow>, PortError> {
        let mut reader = self.readers().acquire().await.map_err(not_applied)?;
        hours::deferred(&mut reader, rows).await.map_err(not_applied)
    }

    async fn recall(&self, but: &[ContractId]) -> Result<u64, PortError> {
        let mut writer = self.writer().await;
        let mut transaction = begin(&mut writer).await?;
        let moved = hours::recall(&mut transaction, but).await.map_err(not_applied)?;
        if moved > 0 {
            commit(transaction).await?;
        }
        Ok(moved)
    }

    async fn remove(
        &self,
        tenure: &Tenure,
        removal: &Removal,
        now: Timestamp,
        ttl: Duration,
    ) -> Result<Removed, PortError> {
        let mut writer = self.writer().await;
        let mut transaction = begin(&mut writer).await?;
        let removed =
            queue::remove(&mut transaction, tenure, removal, now, ttl).await.map_err(not_applied)?;
        if removed == Removed::Done {
            commit(transaction).await?;
        }
        Ok(removed)
    }

    async fn incarnation(&self) -> Result<Incarnation, PortError> {
        let mut reader = self.readers().acquire().await.map_err(not_applied)?;
        rebase::incarnation(&mut reader).await.map_err(not_applied)
    }

    async fn rebase(
        &self,
        tenure: &Tenure,
        rebase: &Rebase,
        now: Timestamp,
        ttl: Duration,
    ) -> Result<Removed, PortError> {
        let mut writer = self.writer().await;
        let mut transaction = begin(&mut writer).await?;
        let removed =
            rebase::rebase(&mut transaction, tenure, rebase, now, ttl).await.map_err(not_applied)?;
        if removed == Removed::Done {
            commit(transaction).await?;
        }
        Ok(removed)
    }

    async fn filled(&self, incarnation: u16) -> Result<(), PortError> {
        let mut writer = self.writer().await;
        let mut transaction = begin(&mut writer).await?;
        rebase::filled(&mut transaction, incarnation).await.map_err(not_applied)?;
        commit(transaction).await
    }

    async fn emit(&self, contract: &ContractId, keys: &[RecordKey]) -> Result<u64, PortError> {
        let mut writer = self.writer().await;
        let mut transaction = begin(&mut writer).await?;
        let written = key::emit(&mut transaction, contract, keys).await.map_err(not_applied)?;
        commit(transaction).await?;
        Ok(written)
    }

    async fn void(&self, contract: &ContractId, key: &RecordKey, act: &Act) -> Result<(), PortError> {
        let mut writer = self.writer().await;
        let mut transaction = begin(&mut writer).await?;
        quarantine::void(&mut transaction, contract, key, act).await.map_err(not_applied)?;
        commit(transaction).await
    }

    async fn explain_lost(&self, contract: &ContractId, rows: u64) -> Result<(), PortError> {
        let mut writer = self.writer().await;
        let mut transaction = begin(&mut writer).await?;
        quarantine::explain_lost(&mut transaction, contract, rows).await.map_err(not_applied)?;
        commit(transaction).await
    }

    async fn scan(
        &self,
        contract: &ContractId,
        after: Option<&RecordKey>,
        limit: usize,
    ) -> Result<Vec<SourceRow>, PortError> {
        let mut reader = self.readers().acquire().await.map_err(not_applied)?;
        key::scan(&mut reader, contract, after, limit).await.map_err(not_applied)
    }

    async fn look(&self, contract: &ContractId, keys: &[RecordKey]) -> Result<Vec<KeyFacts>, PortError> {
        let mut reader = self.readers().acquire().await.map_err(not_applied)?;
        key::look(&mut reader, contract, keys).await.map_err(not_applied)
    }

    async fn published(
        &self,
        contract: &ContractId,
        after: Option<&RecordKey>,
        limit: usize,
    ) -> Result<Vec<KeyFacts>, PortError> {
        let mut reader = self.readers().acquire().await.map_err(not_applied)?;
        key::published(&mut reader, contract, after, limit).await.map_err(not_applied)
    }

    async fn counts(&self, contract: &ContractId) -> Result<SourceCounts, PortError> {
        let mut reader = self.readers().acquire().await.map_err(not_applied)?;
        quarantine::counts(&mut reader, contract).await.map_err(not_applied)
    }

    async fn aside_after(&self, after: Option<Sequence>, limit: usize) -> Result<Vec<AsideRow>, PortError> {
        let mut reader = self.readers().acquire().await.map_err(not_applied)?;
        quarantine::aside(&mut reader, after, limit).await.map_err(not_applied)
    }

    async fn aside_row(&self, sequence: Sequence) -> Result<Option<OutboxRow>, PortError> {
        let mut reader = self.readers().acquire().await.map_err(not_applied)?;
        quarantine::row(&mut reader, sequence).await.map_err(not_applied)
    }

    async fn redrive_all(&self, contract: &ContractId, keys: &[String]) -> Result<u64, PortError> {
        let mut writer = self.writer().await;
        let mut transaction = begin(&mut writer).await?;
        let moved = quarantine::redrive(&mut transaction, contract, keys).await.map_err(not_applied)?;
        commit(transaction).await?;
        Ok(moved)
    }

    async fn discard(&self, sequence: Sequence) -> Result<bool, PortError> {
        let mut writer = self.writer().await;
        let mut transaction = begin(&mut writer).await?;
        let there = quarantine::discard(&mut transaction, sequence).await.map_err(not_applied)?;
        commit(transaction).await?;
        Ok(there)
    }
}
