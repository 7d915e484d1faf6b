//! The relay's sleep: publishing rings only while somebody sleeps, since a notification puts commits in one queue.

use super::OUTBOXES;
use crate::database::Database;
use crate::install::publish::{BELL, CHANNEL, RINGS};
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgListener;
use std::time::Duration;

/// How long it sleeps where a transaction that publishes is open and will not ring.
const NAP: Duration = Duration::from_millis(50);

impl Database {
    /// Sleeps until rows may have come, at most as long as `patience`.
    ///
    /// A transaction that publishes shares an advisory lock while nobody sleeps. Who goes to sleep takes it alone: that fails
    /// while a transaction is open that did not ring, and whoever publishes from then on fails to share it, and rings. What
    /// was published before is seen by the look at the outbox in between.
    pub(super) async fn sleep(&self, patience: Duration) -> Result<bool, sqlx::Error> {
        // Taken out, so that a sleep that is cut short closes its connection, and the lock goes with it.
        let taken = self.bell().lock().expect("nobody panics here").take();
        let mut listener = match taken {
            Some(listener) => listener,
            None => {
                let mut listener = PgListener::connect_with(self.bells()).await?;
                listener.eager_reconnect(false);
                listener.listen(CHANNEL).await?;
                listener
            }
        };
        let alone = format!("SELECT {RINGS} AND pg_try_advisory_lock($1)");
        let alone: bool =
            sqlx::query_scalar(AssertSqlSafe(alone)).bind(BELL).fetch_one(&mut listener).await?;
        if !alone {
            *self.bell().lock().expect("nobody panics here") = Some(listener);
            tokio::time::sleep(NAP.min(patience)).await;
            return Ok(true);
        }
        let tables = OUTBOXES.map(|table| format!("EXISTS (SELECT FROM {table})")).join(" OR ");
        let waits = format!("SELECT {tables} OR EXISTS (SELECT FROM seamline.void)");
        let waits: bool = sqlx::query_scalar(AssertSqlSafe(waits)).fetch_one(&mut listener).await?;
        // A lost connection ends the sleep as a ring does.
        if !waits
            && let Ok(heard) = tokio::time::timeout(patience, listener.try_recv()).await
            && heard?.is_none()
        {
            return Ok(true);
        }
        sqlx::query("SELECT pg_advisory_unlock($1)").bind(BELL).execute(&mut listener).await?;
        *self.bell().lock().expect("nobody panics here") = Some(listener);
        Ok(true)
    }
}
