//! The replicas at work on a database, and the leases that they hold.

use crate::database::{Database, commit};
use crate::sql::{corrupt, not_applied};
use jiff::Timestamp;
use seamline_flow::lease::{Lease, Leases, holds, latest};
use seamline_flow::port::PortError;
use seamline_flow::store::Lane;
use sqlx::Row;
use sqlx::postgres::PgConnection;
use std::time::Duration;

impl Leases for Database {
    async fn attend(&self, holder: &str, now: Timestamp, ttl: Duration) -> Result<Vec<String>, PortError> {
        let mut transaction = self.begin().await?;
        let present = attend(&mut transaction, holder, now, ttl).await.map_err(not_applied)?;
        commit(transaction).await?;
        Ok(present)
    }

    async fn leases(&self, now: Timestamp) -> Result<Vec<Lease>, PortError> {
        let mut reader = self.pool().acquire().await.map_err(not_applied)?;
        leases(&mut reader, now).await.map_err(not_applied)
    }
}

async fn attend(
    conn: &mut PgConnection,
    holder: &str,
    now: Timestamp,
    ttl: Duration,
) -> Result<Vec<String>, sqlx::Error> {
    let until = now.checked_add(ttl).unwrap_or(Timestamp::MAX).to_string();
    // Who else forgets them at this moment does it for both: nobody waits for a row that another deletes.
    let forget = "DELETE FROM seamline.replica WHERE holder IN (SELECT holder FROM seamline.replica \
                  WHERE (until <= $1::timestamptz OR until > $3::timestamptz) AND holder <> $2 FOR UPDATE SKIP LOCKED)";
    sqlx::query(forget)
        .bind(now.to_string())
        .bind(holder)
        .bind(latest(now).to_string())
        .execute(&mut *conn)
        .await?;
    let note = "INSERT INTO seamline.replica (holder, until) VALUES ($1, $2::timestamptz) \
                ON CONFLICT (holder) DO UPDATE SET until = excluded.until";
    sqlx::query(note).bind(holder).bind(until).execute(&mut *conn).await?;
    let there = "SELECT holder FROM seamline.replica WHERE until > $1::timestamptz AND until <= $2::timestamptz ORDER BY holder";
    sqlx::query_scalar(there).bind(now.to_string()).bind(latest(now).to_string()).fetch_all(conn).await
}

async fn leases(conn: &mut PgConnection, now: Timestamp) -> Result<Vec<Lease>, sqlx::Error> {
    let there = "SELECT to_regclass('seamline.lease') IS NOT NULL, to_regclass('seamline.lane') IS NOT NULL";
    let there = sqlx::query(there).fetch_one(&mut *conn).await?;
    let (outbox, lanes): (bool, bool) = (there.get(0), there.get(1));
    let mut leases = Vec::new();
    if outbox {
        let outbox = "SELECT holder, (extract(epoch FROM until) * 1000000)::bigint FROM seamline.lease \
                      WHERE holder IS NOT NULL AND until > $1::timestamptz";
        for row in sqlx::query(outbox).bind(now.to_string()).fetch_all(&mut *conn).await? {
            leases.push(Lease { lane: None, holder: row.get(0), until: moment(row.get(1))? });
        }
    }
    if lanes {
        let lanes = "SELECT holder, (extract(epoch FROM until) * 1000000)::bigint, subscription, topic, partition \
                     FROM seamline.lane WHERE holder IS NOT NULL AND until > $1::timestamptz \
                     ORDER BY subscription, topic, partition";
        for row in sqlx::query(lanes).bind(now.to_string()).fetch_all(&mut *conn).await? {
            let lane = Lane {
                subscription: row.get::<&str, _>(2).parse().map_err(corrupt)?,
                topic: row.get(3),
                partition: u32::try_from(row.get::<i32, _>(4)).map_err(corrupt)?,
            };
            leases.push(Lease { lane: Some(lane), holder: row.get(0), until: moment(row.get(1))? });
        }
    }
    leases.retain(|lease: &Lease| holds(lease.until, now));
    Ok(leases)
}

fn moment(micros: i64) -> Result<Timestamp, sqlx::Error> {
    Timestamp::from_microsecond(micros).map_err(corrupt)
}
