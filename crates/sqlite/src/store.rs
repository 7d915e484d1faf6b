//! A consumer's database: projections with markers, inbox, quarantine, sums and positions in one commit.

mod aside;
mod commit;
mod lane;
mod projection;
mod rehearsal;
mod row;

use crate::context::Database;
use crate::file::{begin, commit as finish, not_applied};
use crate::set;
use jiff::Timestamp;
use projection::Plan;
use seamline_contract::id::SubscriptionRef;
use seamline_flow::port::PortError;
use seamline_flow::store::{
    AsideRecord, Batch, Committed, Difference, Gripped, Lane, LaneState, LiveRow, Markers, Projection,
    Rehearsed, Store, TakenSet,
};
use seamline_message::digest::Digest;
use seamline_message::key::RecordKey;
use seamline_message::sequence::Sequence;
use std::time::Duration;

impl Store for Database {
    async fn grip(
        &self,
        lane: &Lane,
        holder: &str,
        now: Timestamp,
        ttl: Duration,
        force: bool,
    ) -> Result<Gripped, PortError> {
        let mut writer = self.writer().await;
        let mut transaction = begin(&mut writer).await?;
        let gripped =
            lane::grip(&mut transaction, lane, holder, now, ttl, force).await.map_err(not_applied)?;
        if matches!(gripped, Gripped::Held(_)) {
            finish(transaction).await?;
        }
        Ok(gripped)
    }

    async fn markers(&self, projection: &Projection, keys: &[RecordKey]) -> Result<Vec<Markers>, PortError> {
        let mut reader = self.readers().acquire().await.map_err(not_applied)?;
        row::markers(&mut reader, &Plan::of(projection), keys).await.map_err(not_applied)
    }

    async fn chains(
        &self,
        lane: &Lane,
        keys: &[RecordKey],
    ) -> Result<Vec<(Option<Sequence>, bool)>, PortError> {
        let mut reader = self.readers().acquire().await.map_err(not_applied)?;
        lane::chains(&mut reader, lane, keys).await.map_err(not_applied)
    }

    async fn commit(
        &self,
        projection: Option<&Projection>,
        batch: &Batch,
        now: Timestamp,
        ttl: Duration,
    ) -> Result<Committed, PortError> {
        let plan = projection.map(Plan::of);
        let mut writer = self.writer().await;
        let mut transaction = begin(&mut writer).await?;
        let committed =
            commit::commit(&mut transaction, plan.as_ref(), batch, now, ttl).await.map_err(not_applied)?;
        if committed == Committed::Done {
            finish(transaction).await?;
        }
        Ok(committed)
    }

    async fn rows(
        &self,
        projection: &Projection,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<LiveRow>, PortError> {
        let mut reader = self.readers().acquire().await.map_err(not_applied)?;
        row::rows(&mut reader, &Plan::of(projection), after, limit).await.map_err(not_applied)
    }

    async fn received_aside(
        &self,
        projection: &Projection,
        after: Option<&RecordKey>,
        limit: usize,
    ) -> Result<Vec<(RecordKey, Sequence, Digest)>, PortError> {
        let mut reader = self.readers().acquire().await.map_err(not_applied)?;
        aside::received(&mut reader, &projection.subscription, after, limit).await.map_err(not_applied)
    }

    async fn rehearsal_begin(&self, projection: &Projection) -> Result<(), PortError> {
        let mut writer = self.writer().await;
        let mut transaction = begin(&mut writer).await?;
        rehearsal::begin(&mut transaction, &Plan::of(projection)).await.map_err(not_applied)?;
        finish(transaction).await
    }

    async fn rehearsal_put(&self, projection: &Projection, rows: &[Rehearsed]) -> Result<(), PortError> {
        let mut writer = self.writer().await;
        let mut transaction = begin(&mut writer).await?;
        rehearsal::put(&mut transaction, &Plan::of(projection), rows).await.map_err(not_applied)?;
        finish(transaction).await
    }

    async fn rehearsal_is_kept(&self, projection: &Projection) -> Result<bool, PortError> {
        let mut reader = self.readers().acquire().await.map_err(not_applied)?;
        rehearsal::is_kept(&mut reader, &Plan::of(projection)).await.map_err(not_applied)
    }

    async fn rehearsal_diff(
        &self,
        projection: &Projection,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Difference>, PortError> {
        let mut reader = self.readers().begin().await.map_err(not_applied)?;
        rehearsal::diff(&mut reader, &Plan::of(projection), after, limit).await.map_err(not_applied)
    }

    async fn rehearsal_end(&self, projection: &Projection) -> Result<(), PortError> {
        let mut writer = self.writer().await;
        let mut transaction = begin(&mut writer).await?;
        rehearsal::end(&mut transaction, &Plan::of(projection)).await.map_err(not_applied)?;
        finish(transaction).await
    }

    async fn aside(
        &self,
        subscription: &SubscriptionRef,
        key: Option<&RecordKey>,
        limit: usize,
    ) -> Result<Vec<AsideRecord>, PortError> {
        let mut reader = self.readers().acquire().await.map_err(not_applied)?;
        aside::records(&mut reader, subscription, key, limit).await.map_err(not_applied)
    }

    async fn aside_from(
        &self,
        subscription: &SubscriptionRef,
        from: Option<(&Lane, u64)>,
        limit: usize,
    ) -> Result<Vec<AsideRecord>, PortError> {
        let mut reader = self.readers().acquire().await.map_err(not_applied)?;
        aside::from(&mut reader, subscription, from, limit).await.map_err(not_applied)
    }

    async fn lanes(&self, subscription: &SubscriptionRef) -> Result<Vec<(Lane, LaneState)>, PortError> {
        let mut reader = self.readers().acquire().await.map_err(not_applied)?;
        lane::lanes(&mut reader, subscription).await.map_err(not_applied)
    }

    async fn taken(&self, subscription: &SubscriptionRef) -> Result<Option<TakenSet>, PortError> {
        let mut reader = self.readers().acquire().await.map_err(not_applied)?;
        set::taken(&mut reader, subscription).await.map_err(not_applied)
    }
}
