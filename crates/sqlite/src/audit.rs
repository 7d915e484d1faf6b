//! What auditors keep in a producer's database, and how lanes compared with what they told, in a consumer's.

use crate::case::moment;
use crate::context::Database;
use crate::file::{begin, commit, corrupt, not_applied, signed, unsigned};
use crate::ledger::{KEPT, get, put};
use crate::source::{end_of, held_by_another};
use jiff::Timestamp;
use seamline_flow::audit::keep::{AuditGrip, AuditTaken, AuditWrite, Auditing, Audits, Part};
use seamline_flow::ledger::Entry;
use seamline_flow::port::PortError;
use seamline_flow::position::Position;
use seamline_flow::store::{Committed, Lane};
use seamline_flow::stream::note::{Note, Notes};
use seamline_message::key::RecordKey;
use seamline_message::sums::Sums;
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use std::time::Duration;

impl Audits for Database {
    async fn audit_take(
        &self,
        topic: &str,
        holder: &str,
        now: Timestamp,
        ttl: Duration,
    ) -> Result<AuditTaken, PortError> {
        let mut writer = self.writer().await;
        let mut transaction = begin(&mut writer).await?;
        let taken = take(&mut transaction, topic, holder, now, ttl).await.map_err(not_applied)?;
        commit(transaction).await?;
        Ok(taken)
    }

    async fn audit_write(
        &self,
        write: &AuditWrite,
        now: Timestamp,
        ttl: Duration,
    ) -> Result<Committed, PortError> {
        let mut writer = self.writer().await;
        let mut transaction = begin(&mut writer).await?;
        let is_ours = store(&mut transaction, write, now, ttl).await.map_err(not_applied)?;
        if !is_ours {
            return Ok(Committed::Fenced);
        }
        commit(transaction).await?;
        Ok(Committed::Done)
    }

    async fn audit_known(&self, topic: &str, keys: &[RecordKey]) -> Result<Vec<Option<Entry>>, PortError> {
        get(self, KEPT, topic, keys).await
    }

    async fn audits(&self) -> Result<Vec<Auditing>, PortError> {
        let mut reader = self.readers().acquire().await.map_err(not_applied)?;
        let all = "SELECT topic, holder, until FROM seamline_audit ORDER BY topic";
        let rows = sqlx::query(all).fetch_all(&mut *reader).await.map_err(not_applied)?;
        let mut audits = Vec::new();
        for row in rows {
            let topic: String = row.get("topic");
            let until: Option<&str> = row.get("until");
            let until = until.map(moment).transpose().map_err(not_applied)?;
            let parts = parts(&mut reader, &topic).await.map_err(not_applied)?;
            audits.push(Auditing { topic, holder: row.get("holder"), until, parts });
        }
        Ok(audits)
    }
}

async fn take(
    conn: &mut SqliteConnection,
    topic: &str,
    holder: &str,
    now: Timestamp,
    ttl: Duration,
) -> Result<AuditTaken, sqlx::Error> {
    let made = "INSERT INTO seamline_audit (topic, epoch) VALUES (?, 0) ON CONFLICT DO NOTHING";
    sqlx::query(made).bind(topic).execute(&mut *conn).await?;
    let found = "SELECT epoch, holder, until FROM seamline_audit WHERE topic = ?";
    let row = sqlx::query(found).bind(topic).fetch_one(&mut *conn).await?;
    if let Some(until) = held_by_another(row.get("holder"), row.get("until"), holder, now)? {
        return Ok(AuditTaken::Busy { until });
    }
    let epoch = row.get::<i64, _>("epoch") + 1;
    let take = "UPDATE seamline_audit SET epoch = ?, holder = ?, until = ? WHERE topic = ?";
    let take = sqlx::query(take).bind(epoch).bind(holder).bind(end_of(now, ttl)).bind(topic);
    take.execute(&mut *conn).await?;
    Ok(AuditTaken::Held(AuditGrip { epoch: unsigned(epoch)?, parts: parts(conn, topic).await? }))
}

async fn parts(conn: &mut SqliteConnection, topic: &str) -> Result<Vec<Part>, sqlx::Error> {
    let parts = "SELECT * FROM seamline_audit_part WHERE topic = ? ORDER BY partition";
    sqlx::query(parts).bind(topic).fetch_all(conn).await?.iter().map(part).collect()
}

fn part(row: &SqliteRow) -> Result<Part, sqlx::Error> {
    Ok(Part {
        position: Position {
            cluster: row.get("cluster"),
            topic_id: row.get("topic_id"),
            partition: row.get("partition"),
            leader_epoch: row.get("leader_epoch"),
            offset: unsigned(row.get("offset"))?,
        },
        digest_epoch: row.get("digest_epoch"),
        sums: Sums::from_bytes(row.get("sums")).map_err(corrupt)?,
        near: moment(row.get("near"))?,
    })
}

/// Returns whether the epoch still is the topic's; nothing is written where it is not.
async fn store(
    conn: &mut SqliteConnection,
    write: &AuditWrite,
    now: Timestamp,
    ttl: Duration,
) -> Result<bool, sqlx::Error> {
    let keep = "UPDATE seamline_audit SET until = ? WHERE topic = ? AND epoch = ?";
    let keep = sqlx::query(keep).bind(end_of(now, ttl)).bind(&write.topic).bind(signed(write.epoch));
    if keep.execute(&mut *conn).await?.rows_affected() == 0 {
        return Ok(false);
    }
    if write.reset {
        for clear in [
            "DELETE FROM seamline_audit_part WHERE topic = ?",
            "DELETE FROM seamline_audit_key WHERE topic = ?",
        ] {
            sqlx::query(clear).bind(&write.topic).execute(&mut *conn).await?;
        }
    }
    for part in &write.parts {
        let statement = "INSERT INTO seamline_audit_part \
            (topic, partition, cluster, topic_id, leader_epoch, offset, digest_epoch, sums, near) \
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (topic, partition) DO UPDATE SET \
            cluster = excluded.cluster, topic_id = excluded.topic_id, leader_epoch = excluded.leader_epoch, \
            offset = excluded.offset, digest_epoch = excluded.digest_epoch, sums = excluded.sums, \
            near = excluded.near";
        let at = &part.position;
        let query = sqlx::query(statement).bind(&write.topic).bind(at.partition).bind(&at.cluster);
        let query = query.bind(&at.topic_id).bind(at.leader_epoch).bind(signed(at.offset));
        let query = query.bind(part.digest_epoch).bind(part.sums.to_bytes()).bind(part.near.to_string());
        query.execute(&mut *conn).await?;
    }
    put(conn, KEPT, &write.topic, &write.entries).await?;
    Ok(true)
}

impl Notes for Database {
    async fn note_compared(&self, note: &Note) -> Result<(), PortError> {
        let mut writer = self.writer().await;
        let mut transaction = begin(&mut writer).await?;
        let statement = "INSERT INTO seamline_compared \
            (subscription, topic, partition, offset, at, outcome, reason) VALUES (?, ?, ?, ?, ?, ?, ?) \
            ON CONFLICT (subscription, topic, partition) DO UPDATE SET offset = excluded.offset, \
            at = excluded.at, outcome = excluded.outcome, reason = excluded.reason";
        let Lane { subscription, topic, partition } = &note.lane;
        let query = sqlx::query(statement).bind(subscription.to_string()).bind(topic).bind(partition);
        let query = query.bind(signed(note.offset)).bind(note.at.to_string());
        let query = query.bind(&note.outcome).bind(&note.reason);
        query.execute(&mut *transaction).await.map_err(not_applied)?;
        commit(transaction).await
    }

    async fn compared(&self) -> Result<Vec<Note>, PortError> {
        let all = "SELECT * FROM seamline_compared ORDER BY subscription, topic, partition";
        let rows = sqlx::query(all).fetch_all(self.readers()).await.map_err(not_applied)?;
        rows.iter().map(note).collect::<Result<_, _>>().map_err(not_applied)
    }
}

fn note(row: &SqliteRow) -> Result<Note, sqlx::Error> {
    let subscription: &str = row.get("subscription");
    let subscription = subscription.parse().map_err(corrupt)?;
    Ok(Note {
        lane: Lane { subscription, topic: row.get("topic"), partition: row.get("partition") },
        offset: unsigned(row.get("offset"))?,
        at: moment(row.get("at"))?,
        outcome: row.get("outcome"),
        reason: row.get("reason"),
    })
}
