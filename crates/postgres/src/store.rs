//! A consumer's database: projections with markers, inbox, quarantine, sums and positions in one commit.

mod aside;
mod commit;
mod copy;
pub(crate) mod lane;
mod projection;
mod refusal;
mod rehearsal;
mod repair;
mod row;

use crate::database::{Database, commit as finish};
use crate::set;
use crate::sql::not_applied;
use jiff::Timestamp;
use projection::Plan;
use seamline_contract::id::SubscriptionRef;
use seamline_flow::port::PortError;
use seamline_flow::stop;
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
        let mut transaction = self.begin().await?;
        let gripped =
            lane::grip(&mut transaction, lane, holder, now, ttl, force).await.map_err(not_applied)?;
        if matches!(gripped, Gripped::Held(_)) {
            finish(transaction).await?;
        }
        Ok(gripped)
    }

    async fn markers(&self, projection: &Projection, keys: &[RecordKey]) -> Result<Vec<Markers>, PortError> {
        let mut transaction = self.begin().await?;
        row::markers(&mut transaction, &Plan::of(projection, self.schema()), keys).await.map_err(not_applied)
    }

    async fn chains(
        &self,
        lane: &Lane,
        keys: &[RecordKey],
    ) -> Result<Vec<(Option<Sequence>, bool)>, PortError> {
        let mut reader = self.pool().acquire().await.map_err(not_applied)?;
        lane::chains(&mut reader, lane, keys).await.map_err(not_applied)
    }

    async fn commit(
        &self,
        projection: Option<&Projection>,
        batch: &Batch,
        now: Timestamp,
        ttl: Duration,
    ) -> Result<Committed, PortError> {
        let plan = projection.map(|projection| Plan::of(projection, self.schema()));
        let mut transaction = self.begin().await?;
        let mut committed = commit::commit(&mut transaction, plan.as_ref(), batch, true, now, ttl).await;
        if committed.as_ref().is_err_and(|error| error.as_database_error().is_some()) {
            // Perhaps only COPY is refused, or a row is there that nobody knew of: then the ordinary way goes.
            transaction.rollback().await.map_err(not_applied)?;
            transaction = self.begin().await?;
            committed = commit::commit(&mut transaction, plan.as_ref(), batch, false, now, ttl).await;
        }
        let committed = committed.map_err(|error| refusal::not_applied(projection, error))?;
        if committed == Committed::Done {
            if !batch.inbox.is_empty() {
                stop::here("reacting");
            } else if !batch.rows.is_empty() || !batch.ended.is_empty() {
                stop::here("applied");
            }
            finish(transaction).await?;
        }
        Ok(committed)
    }

    async fn commit_unread(
        &self,
        projection: &Projection,
        batch: &Batch,
        now: Timestamp,
        ttl: Duration,
    ) -> Result<Option<Committed>, PortError> {
        let plan = Plan::of(projection, self.schema());
        let mut transaction = self.begin().await?;
        let committed = commit::unread(&mut transaction, &plan, batch, now, ttl).await;
        match committed {
            Ok(Some(Committed::Done)) => {
                stop::here("applied");
                finish(transaction).await?;
                Ok(Some(Committed::Done))
            }
            Ok(other) => Ok(other),
            // A row may be there; where it is something else, the ordinary way tells.
            Err(error) if error.as_database_error().is_some() => {
                transaction.rollback().await.map_err(not_applied)?;
                Ok(None)
            }
            Err(error) => Err(not_applied(error)),
        }
    }

    async fn rows(
        &self,
        projection: &Projection,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<LiveRow>, PortError> {
        let mut reader = self.pool().acquire().await.map_err(not_applied)?;
        row::rows(&mut reader, &Plan::of(projection, self.schema()), after, limit).await.map_err(not_applied)
    }

    async fn received_aside(
        &self,
        projection: &Projection,
        after: Option<&RecordKey>,
        limit: usize,
    ) -> Result<Vec<(RecordKey, Sequence, Digest)>, PortError> {
        let mut reader = self.pool().acquire().await.map_err(not_applied)?;
        aside::received(&mut reader, &projection.subscription, after, limit).await.map_err(not_applied)
    }

    async fn rehearsal_begin(&self, projection: &Projection) -> Result<(), PortError> {
        let mut transaction = self.begin().await?;
        rehearsal::begin(&mut transaction, &Plan::of(projection, self.schema()))
            .await
            .map_err(not_applied)?;
        finish(transaction).await
    }

    async fn rehearsal_put(&self, projection: &Projection, rows: &[Rehearsed]) -> Result<(), PortError> {
        let mut transaction = self.begin().await?;
        rehearsal::put(&mut transaction, &Plan::of(projection, self.schema()), rows)
            .await
            .map_err(not_applied)?;
        finish(transaction).await
    }

    async fn rehearsal_is_kept(&self, projection: &Projection) -> Result<bool, PortError> {
        let mut reader = self.pool().acquire().await.map_err(not_applied)?;
        rehearsal::is_kept(&mut reader, &Plan::of(projection, self.schema())).await.map_err(not_applied)
    }

    async fn rehearsal_diff(
        &self,
        projection: &Projection,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Difference>, PortError> {
        let mut transaction = self.begin().await?;
        rehearsal::diff(&mut transaction, &Plan::of(projection, self.schema()), after, limit)
            .await
            .map_err(not_applied)
    }

    async fn rehearsal_end(&self, projection: &Projection) -> Result<(), PortError> {
        let mut transaction = self.begin().await?;
        rehearsal::end(&mut transaction, &Plan::of(projection, self.schema())).await.map_err(not_applied)?;
        finish(transaction).await
    }

    async fn aside(
        &self,
        subscription: &SubscriptionRef,
        key: Option<&RecordKey>,
        limit: usize,
    ) -> Result<Vec<AsideRecord>, PortError> {
        let mut reader = self.pool().acquire().await.map_err(not_applied)?;
        aside::records(&mut reader, subscription, key, limit).await.map_err(not_applied)
    }

    async fn aside_from(
        &self,
        subscription: &SubscriptionRef,
        from: Option<(&Lane, u64)>,
        limit: usize,
    ) -> Result<Vec<AsideRecord>, PortError> {
        let mut reader = self.pool().acquire().await.map_err(not_applied)?;
        aside::from(&mut reader, subscription, from, limit).await.map_err(not_applied)
    }

    async fn lanes(&self, subscription: &SubscriptionRef) -> Result<Vec<(Lane, LaneState)>, PortError> {
        let mut reader = self.pool().acquire().await.map_err(not_applied)?;
        lane::lanes(&mut reader, subscription).await.map_err(not_applied)
    }

    async fn taken(&self, subscription: &SubscriptionRef) -> Result<Option<TakenSet>, PortError> {
        let mut reader = self.pool().acquire().await.map_err(not_applied)?;
        set::taken(&mut reader, subscription).await.map_err(not_applied)
    }
}
