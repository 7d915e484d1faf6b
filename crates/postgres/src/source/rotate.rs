//! Cutting off the drained tables of the outbox, so that rows removed under somebody's old snapshot are not passed again.

use super::OUTBOXES;
use crate::database::Database;
use jiff::Timestamp;
use sqlx::{AssertSqlSafe, Connection};
use std::sync::atomic::Ordering;

/// PostgreSQL's code of a lock that was not had in time.
const LOCK_NOT_AVAILABLE: &str = "55P03";

/// Pages from which on cutting off is worth its lock.
const PAGES_MIN: i64 = 64;

impl Database {
    /// Cuts off what is drained, once a minute. What was removed stays removed if it cannot be.
    pub(super) async fn rotate_in_time(&self, now: Timestamp) {
        let minute = now.as_second() / 60;
        if self.rotated().swap(minute, Ordering::Relaxed) == minute {
            return;
        }
        if let Err(error) = self.rotate().await {
            tracing::warn!(%error, "drained tables of the outbox could not be cut off");
        }
    }

    /// Cuts off each table of the outbox that is drained and is not being filled, unless somebody uses it: then a later call
    /// does.
    ///
    /// # Errors
    /// When PostgreSQL does not answer; a table may be cut off then, which changes nothing that can be read.
    pub async fn rotate(&self) -> Result<(), sqlx::Error> {
        let mut conn = self.pool().acquire().await?;
        let idle = "SELECT i FROM generate_series(0, 2) AS i \
            WHERE i <> floor(date_part('epoch', clock_timestamp()) / 60)::bigint % 3 \
            AND pg_relation_size(('seamline.outbox_' || i)::regclass) \
            >= $1 * current_setting('block_size')::bigint ORDER BY i";
        let idle: Vec<i32> = sqlx::query_scalar(idle).bind(PAGES_MIN).fetch_all(&mut *conn).await?;
        for idx in idle {
            let table = OUTBOXES[usize::try_from(idx).expect("a number of an outbox")];
            let mut transaction = conn.begin().await?;
            sqlx::query("SET LOCAL lock_timeout = '50ms'").execute(&mut *transaction).await?;
            let lock = format!("LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE");
            match sqlx::query(AssertSqlSafe(lock)).execute(&mut *transaction).await {
                Ok(_) => {}
                Err(error) if is_busy(&error) => continue,
                Err(error) => return Err(error),
            }
            // Invariant: under this lock nobody has a row here that is not committed, and a fresh snapshot sees those that are.
            let left = format!("SELECT EXISTS (SELECT FROM {table})");
            let left: bool = sqlx::query_scalar(AssertSqlSafe(left)).fetch_one(&mut *transaction).await?;
            if !left {
                sqlx::query(AssertSqlSafe(format!("TRUNCATE {table}"))).execute(&mut *transaction).await?;
                transaction.commit().await?;
            }
        }
        Ok(())
    }
}

fn is_busy(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(sqlx::error::DatabaseError::code).as_deref()
        == Some(LOCK_NOT_AVAILABLE)
}
