//! The replicas at work on a file, and the leases that they hold.

use crate::case::moment;
use crate::context::Database;
use crate::file::{begin, commit, corrupt, not_applied};
use crate::source::end_of;
use jiff::Timestamp;
use seamline_flow::lease::{Lease, Leases, holds};
use seamline_flow::port::PortError;
use seamline_flow::store::Lane;
use sqlx::Row;
use sqlx::sqlite::SqliteConnection;
use std::time::Duration;

impl Leases for Database {
    async fn attend(&self, holder: &str, now: Timestamp, ttl: Duration) -> Result<Vec<String>, PortError> {
        let mut writer = self.writer().await;
        let mut transaction = begin(&mut writer).await?;
        let present = attend(&mut transaction, holder, now, ttl).await.map_err(not_applied)?;
        commit(transaction).await?;
        Ok(present)
    }

    async fn leases(&self, now: Timestamp) -> Result<Vec<Lease>, PortError> {
        let mut reader = self.readers().acquire().await.map_err(not_applied)?;
        leases(&mut reader, now).await.map_err(not_applied)
    }
}

async fn attend(
    conn: &mut SqliteConnection,
    holder: &str,
    now: Timestamp,
    ttl: Duration,
) -> Result<Vec<String>, sqlx::Error> {
    let note = "INSERT INTO seamline_replica (holder, until) VALUES (?, ?) \
                ON CONFLICT (holder) DO UPDATE SET until = excluded.until";
    sqlx::query(note).bind(holder).bind(end_of(now, ttl)).execute(&mut *conn).await?;
    let there = sqlx::query("SELECT holder, until FROM seamline_replica ORDER BY holder");
    let mut present = Vec::new();
    for row in there.fetch_all(&mut *conn).await? {
        let there: String = row.get("holder");
        if holds(moment(row.get("until"))?, now) {
            present.push(there);
        } else {
            sqlx::query("DELETE FROM seamline_replica WHERE holder = ?")
                .bind(there)
                .execute(&mut *conn)
                .await?;
        }
    }
    Ok(present)
}

async fn leases(conn: &mut SqliteConnection, now: Timestamp) -> Result<Vec<Lease>, sqlx::Error> {
    let mut leases = Vec::new();
    if has_table(conn, "seamline_lease").await? {
        let outbox =
            "SELECT holder, until FROM seamline_lease WHERE holder IS NOT NULL AND until IS NOT NULL";
        for row in sqlx::query(outbox).fetch_all(&mut *conn).await? {
            leases.push(Lease { lane: None, holder: row.get("holder"), until: moment(row.get("until"))? });
        }
    }
    if has_table(conn, "seamline_lane").await? {
        let lanes = "SELECT subscription, topic, partition, holder, until FROM seamline_lane \
                     WHERE holder IS NOT NULL AND until IS NOT NULL ORDER BY subscription, topic, partition";
        for row in sqlx::query(lanes).fetch_all(&mut *conn).await? {
            let lane = Lane {
                subscription: row.get::<&str, _>("subscription").parse().map_err(corrupt)?,
                topic: row.get("topic"),
                partition: row.get("partition"),
            };
            leases.push(Lease {
                lane: Some(lane),
                holder: row.get("holder"),
                until: moment(row.get("until"))?,
            });
        }
    }
    leases.retain(|lease| holds(lease.until, now));
    Ok(leases)
}

async fn has_table(conn: &mut SqliteConnection, name: &str) -> Result<bool, sqlx::Error> {
    let count = sqlx::query_scalar("SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = ?");
    let count: i64 = count.bind(name).fetch_one(conn).await?;
    Ok(count > 0)
}
