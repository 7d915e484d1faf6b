//! Lanes: their leases, positions, sums and accounting, and the chains of their keys.

use crate::file::{corrupt, signed, unsigned};
use crate::source::{end_of, held_by_another};
use jiff::Timestamp;
use seamline_contract::id::SubscriptionRef;
use seamline_flow::position::{Accounting, Position};
use seamline_flow::store::{Grip, Gripped, Lane, LaneState};
use seamline_message::key::RecordKey;
use seamline_message::sequence::Sequence;
use seamline_message::sums::Sums;
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use std::time::Duration;

pub(super) async fn grip(
    conn: &mut SqliteConnection,
    lane: &Lane,
    holder: &str,
    now: Timestamp,
    ttl: Duration,
    force: bool,
) -> Result<Gripped, sqlx::Error> {
    let (epoch, state) = match find(conn, lane).await? {
        Some(row) => {
            let busy = held_by_another(row.get("holder"), row.get("until"), holder, now)?;
            if let Some(until) = busy.filter(|_| !force) {
                return Ok(Gripped::Busy { until });
            }
            (row.get::<i64, _>("epoch") + 1, state(&row)?)
        }
        None => {
            let state = LaneState {
                position: None,
                bootstrap_end: None,
                sums: Sums::new(),
                digest_epoch: 0,
                accounting: Accounting::default(),
            };
            let lane_row = "INSERT INTO seamline_lane (subscription, topic, partition, epoch, digest_epoch, sums, \
                counted_from, counted_to, handed, applied, superseded, duplicates, conflicts, coalesced, held, \
                quarantined, absent) VALUES (?, ?, ?, 0, 0, ?, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)";
            let query = sqlx::query(lane_row).bind(lane.subscription.to_string()).bind(&lane.topic);
            query.bind(lane.partition).bind(state.sums.to_bytes()).execute(&mut *conn).await?;
            (1, state)
        }
    };
    let take = "UPDATE seamline_lane SET epoch = ?, holder = ?, until = ? \
                WHERE subscription = ? AND topic = ? AND partition = ?";
    let query = sqlx::query(take).bind(epoch).bind(holder).bind(end_of(now, ttl));
    let query = query.bind(lane.subscription.to_string()).bind(&lane.topic).bind(lane.partition);
    query.execute(conn).await?;
    Ok(Gripped::Held(Grip { epoch: unsigned(epoch)?, state }))
}

async fn find(conn: &mut SqliteConnection, lane: &Lane) -> Result<Option<SqliteRow>, sqlx::Error> {
    let row = "SELECT * FROM seamline_lane WHERE subscription = ? AND topic = ? AND partition = ?";
    let row = sqlx::query(row).bind(lane.subscription.to_string()).bind(&lane.topic).bind(lane.partition);
    row.fetch_optional(conn).await
}

/// Returns whether a lane still has an epoch and a position.
pub(super) async fn is_at(
    conn: &mut SqliteConnection,
    lane: &Lane,
    epoch: u64,
    expected: Option<&Position>,
) -> Result<bool, sqlx::Error> {
    let Some(row) = find(conn, lane).await? else { return Ok(false) };
    Ok(unsigned(row.get("epoch"))? == epoch && position(&row)?.as_ref() == expected)
}

/// Writes what a lane is after a batch, and prolongs its lease.
pub(super) async fn write(
    conn: &mut SqliteConnection,
    lane: &Lane,
    next: &LaneState,
    now: Timestamp,
    ttl: Duration,
) -> Result<(), sqlx::Error> {
    let statement = "UPDATE seamline_lane SET until = ?, cluster = ?, topic_id = ?, leader_epoch = ?, offset = ?, \
        bootstrap_end = ?, digest_epoch = ?, sums = ?, counted_from = ?, counted_to = ?, handed = ?, applied = ?, \
        superseded = ?, duplicates = ?, conflicts = ?, coalesced = ?, held = ?, quarantined = ?, absent = ? \
        WHERE subscription = ? AND topic = ? AND partition = ?";
    let position = next.position.as_ref();
    let mut query = sqlx::query(statement).bind(end_of(now, ttl));
    query = query.bind(position.map(|at| at.cluster.as_str())).bind(position.map(|at| at.topic_id.as_str()));
    query = query.bind(position.map(|at| at.leader_epoch)).bind(position.map(|at| signed(at.offset)));
    query = query.bind(next.bootstrap_end.map(signed)).bind(next.digest_epoch).bind(next.sums.to_bytes());
    let counts = &next.accounting;
    for count in [
        counts.from,
        counts.to,
        counts.handed,
        counts.applied,
        counts.superseded,
        counts.duplicates,
        counts.conflicts,
        counts.coalesced,
        counts.held,
        counts.quarantined,
        counts.absent,
    ] {
        query = query.bind(signed(count));
    }
    query = query.bind(lane.subscription.to_string()).bind(&lane.topic).bind(lane.partition);
    query.execute(conn).await?;
    Ok(())
}

pub(super) async fn lanes(
    conn: &mut SqliteConnection,
    subscription: &SubscriptionRef,
) -> Result<Vec<(Lane, LaneState)>, sqlx::Error> {
    let rows = "SELECT * FROM seamline_lane WHERE subscription = ? ORDER BY topic, partition";
    let rows = sqlx::query(rows).bind(subscription.to_string()).fetch_all(conn).await?;
    let lane = |row: &SqliteRow| {
        let (topic, partition) = (row.get("topic"), row.get("partition"));
        Ok((Lane { subscription: subscription.clone(), topic, partition }, state(row)?))
    };
    rows.iter().map(lane).collect()
}

fn state(row: &SqliteRow) -> Result<LaneState, sqlx::Error> {
    let count = |name: &str| unsigned(row.get(name));
    let end: Option<i64> = row.get("bootstrap_end");
    Ok(LaneState {
        position: position(row)?,
        bootstrap_end: end.map(unsigned).transpose()?,
        sums: Sums::from_bytes(row.get("sums")).map_err(corrupt)?,
        digest_epoch: row.get("digest_epoch"),
        accounting: Accounting {
            from: count("counted_from")?,
            to: count("counted_to")?,
            handed: count("handed")?,
            applied: count("applied")?,
            superseded: count("superseded")?,
            duplicates: count("duplicates")?,
            conflicts: count("conflicts")?,
            coalesced: count("coalesced")?,
            held: count("held")?,
            quarantined: count("quarantined")?,
            absent: count("absent")?,
        },
    })
}

fn position(row: &SqliteRow) -> Result<Option<Position>, sqlx::Error> {
    let Some(offset) = row.get::<Option<i64>, _>("offset") else { return Ok(None) };
    Ok(Some(Position {
        cluster: row.get("cluster"),
        topic_id: row.get("topic_id"),
        partition: row.get("partition"),
        leader_epoch: row.get("leader_epoch"),
        offset: unsigned(offset)?,
    }))
}

pub(super) async fn chains(
    conn: &mut SqliteConnection,
    lane: &Lane,
    keys: &[RecordKey],
) -> Result<Vec<(Option<Sequence>, bool)>, sqlx::Error> {
    let keys: Vec<&str> = keys.iter().map(RecordKey::as_str).collect();
    let keys = serde_json::to_string(&keys).map_err(corrupt)?;
    let chains = "SELECT c.sequence, EXISTS (SELECT 1 FROM seamline_aside a WHERE a.subscription = ?2 \
        AND a.topic = ?3 AND a.partition = ?4 AND a.key = k.value) FROM json_each(?1) k \
        LEFT JOIN seamline_chain c ON c.subscription = ?2 AND c.topic = ?3 AND c.partition = ?4 \
        AND c.key = k.value ORDER BY k.key";
    let query = sqlx::query(chains).bind(keys).bind(lane.subscription.to_string()).bind(&lane.topic);
    let rows = query.bind(lane.partition).fetch_all(conn).await?;
    let chain = |row: &SqliteRow| {
        let sequence: Option<i64> = row.get(0);
        Ok((sequence.map(unsigned).transpose()?.map(Sequence), row.get(1)))
    };
    rows.iter().map(chain).collect()
}
