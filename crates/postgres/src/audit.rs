//! What auditors keep in a producer's database, and how lanes compared with what they told, in a consumer's.

use crate::case::moment;
use crate::database::{Database, commit};
use crate::ledger::{KEPT, get, put};
use crate::sql::{corrupt, not_applied, signed, unsigned};
use crate::store::lane::{end_of, partition, partition_of};
use jiff::Timestamp;
use seamline_flow::audit::keep::{AuditGrip, AuditTaken, AuditWrite, Auditing, Audits, Part};
use seamline_flow::lease::holds;
use seamline_flow::ledger::Entry;
use seamline_flow::port::PortError;
use seamline_flow::position::Position;
use seamline_flow::store::{Committed, Lane};
use seamline_flow::stream::note::{Note, Notes};
use seamline_message::key::RecordKey;
use seamline_message::sums::Sums;
use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};
use std::time::Duration;

impl Audits for Database {
    async fn audit_take(
        &self,
        topic: &str,
        holder: &str,
        now: Timestamp,
        ttl: Duration,
    ) -> Result<AuditTaken, PortError> {
        let mut transaction = self.begin().await?;
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
        let mut transaction = self.begin().await?;
        if !store(&mut transaction, write, now, ttl).await.map_err(not_applied)? {
            return Ok(Committed::Fenced);
        }
        commit(transaction).await?;
        Ok(Committed::Done)
    }

    async fn audit_known(&self, topic: &str, keys: &[RecordKey]) -> Result<Vec<Option<Entry>>, PortError> {
        get(self, KEPT, topic, keys).await
    }

    async fn audits(&self) -> Result<Vec<Auditing>, PortError> {
        let mut conn = self.pool().acquire().await.map_err(not_applied)?;
        let all = "SELECT topic, holder, (extract(epoch FROM until) * 1000000)::bigint AS until_micros \
            FROM seamline.audit ORDER BY topic";
        let rows = sqlx::query(all).fetch_all(&mut *conn).await.map_err(not_applied)?;
        let mut audits = Vec::new();
        for row in rows {
            let topic: String = row.get("topic");
            let until = until(&row).map_err(not_applied)?;
            let parts = parts(&mut conn, &topic).await.map_err(not_applied)?;
            audits.push(Auditing { topic, holder: row.get("holder"), until, parts });
        }
        Ok(audits)
    }
}

async fn take(
    conn: &mut PgConnection,
    topic: &str,
    holder: &str,
    now: Timestamp,
    ttl: Duration,
) -> Result<AuditTaken, sqlx::Error> {
    let made = "INSERT INTO seamline.audit (topic, epoch) VALUES ($1, 0) ON CONFLICT DO NOTHING";
    sqlx::query(made).bind(topic).execute(&mut *conn).await?;
    let found = "SELECT epoch, holder, (extract(epoch FROM until) * 1000000)::bigint AS until_micros \
        FROM seamline.audit WHERE topic = $1 FOR UPDATE";
    let row = sqlx::query(found).bind(topic).fetch_one(&mut *conn).await?;
    let other = row.get::<Option<&str>, _>("holder").is_some_and(|other| other != holder);
    if let Some(until) = until(&row)?.filter(|until| other && holds(*until, now)) {
        return Ok(AuditTaken::Busy { until });
    }
    let epoch = row.get::<i64, _>("epoch") + 1;
    let take = "UPDATE seamline.audit SET epoch = $2, holder = $3, until = $4::timestamptz WHERE topic = $1";
    let take = sqlx::query(take).bind(topic).bind(epoch).bind(holder).bind(end_of(now, ttl));
    take.execute(&mut *conn).await?;
    Ok(AuditTaken::Held(AuditGrip { epoch: unsigned(epoch)?, parts: parts(conn, topic).await? }))
}

fn until(row: &PgRow) -> Result<Option<Timestamp>, sqlx::Error> {
    let until: Option<i64> = row.get("until_micros");
    until.map(Timestamp::from_microsecond).transpose().map_err(corrupt)
}

async fn parts(conn: &mut PgConnection, topic: &str) -> Result<Vec<Part>, sqlx::Error> {
    let parts = "SELECT * FROM seamline.audit_part WHERE topic = $1 ORDER BY partition";
    sqlx::query(parts).bind(topic).fetch_all(conn).await?.iter().map(part).collect()
}

fn part(row: &PgRow) -> Result<Part, sqlx::Error> {
    Ok(Part {
        position: Position {
            cluster: row.get("cluster"),
            topic_id: row.get("topic_id"),
            partition: partition_of(row)?,
            leader_epoch: row.get("leader_epoch"),
            offset: unsigned(row.get("offset"))?,
        },
        digest_epoch: u32::try_from(row.get::<i64, _>("digest_epoch")).map_err(corrupt)?,
        sums: Sums::from_bytes(row.get("sums")).map_err(corrupt)?,
        near: moment(row.get("near"))?,
    })
}

/// Returns whether the epoch still is the topic's; nothing is written where it is not.
async fn store(
    conn: &mut PgConnection,
    write: &AuditWrite,
    now: Timestamp,
    ttl: Duration,
) -> Result<bool, sqlx::Error> {
    let keep = "UPDATE seamline.audit SET until = $3::timestamptz WHERE topic = $1 AND epoch = $2";
    let keep = sqlx::query(keep).bind(&write.topic).bind(signed(write.epoch)).bind(end_of(now, ttl));
    if keep.execute(&mut *conn).await?.rows_affected() == 0 {
        return Ok(false);
    }
    if write.reset {
        for clear in [
            "DELETE FROM seamline.audit_part WHERE topic = $1",
            "DELETE FROM seamline.audit_key WHERE topic = $1",
        ] {
            sqlx::query(clear).bind(&write.topic).execute(&mut *conn).await?;
        }
    }
    for part in &write.parts {
        let statement = "INSERT INTO seamline.audit_part \
            (topic, partition, cluster, topic_id, leader_epoch, \"offset\", digest_epoch, sums, near) \
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (topic, partition) DO UPDATE SET \
            cluster = excluded.cluster, topic_id = excluded.topic_id, leader_epoch = excluded.leader_epoch, \
            \"offset\" = excluded.\"offset\", digest_epoch = excluded.digest_epoch, sums = excluded.sums, \
            near = excluded.near";
        let at = &part.position;
        let number = i32::try_from(at.partition).map_err(corrupt)?;
        let query = sqlx::query(statement).bind(&write.topic).bind(number).bind(&at.cluster);
        let query = query.bind(&at.topic_id).bind(at.leader_epoch).bind(signed(at.offset));
        let query =
            query.bind(i64::from(part.digest_epoch)).bind(part.sums.to_bytes()).bind(part.near.to_string());
        query.execute(&mut *conn).await?;
    }
    put(conn, KEPT, &write.topic, &write.entries).await?;
    Ok(true)
}

impl Notes for Database {
    async fn note_compared(&self, note: &Note) -> Result<(), PortError> {
        let mut transaction = self.begin().await?;
        let statement = "INSERT INTO seamline.compared \
            (subscription, topic, partition, \"offset\", at, outcome, reason) VALUES ($1, $2, $3, $4, $5, $6, $7) \
            ON CONFLICT (subscription, topic, partition) DO UPDATE SET \"offset\" = excluded.\"offset\", \
            at = excluded.at, outcome = excluded.outcome, reason = excluded.reason";
        let query = sqlx::query(statement).bind(note.lane.subscription.to_string()).bind(&note.lane.topic);
        let query = query.bind(partition(&note.lane)).bind(signed(note.offset)).bind(note.at.to_string());
        let query = query.bind(&note.outcome).bind(&note.reason);
        query.execute(&mut *transaction).await.map_err(not_applied)?;
        commit(transaction).await
    }

    async fn compared(&self) -> Result<Vec<Note>, PortError> {
        let all = "SELECT * FROM seamline.compared ORDER BY subscription, topic, partition";
        let rows = sqlx::query(all).fetch_all(self.pool()).await.map_err(not_applied)?;
        rows.iter().map(note).collect::<Result<_, _>>().map_err(not_applied)
    }
}

fn note(row: &PgRow) -> Result<Note, sqlx::Error> {
    let subscription: &str = row.get("subscription");
    let subscription = subscription.parse().map_err(corrupt)?;
    Ok(Note {
        lane: Lane { subscription, topic: row.get("topic"), partition: partition_of(row)? },
        offset: unsigned(row.get("offset"))?,
        at: moment(row.get("at"))?,
        outcome: row.get("outcome"),
        reason: row.get("reason"),
    })
}
