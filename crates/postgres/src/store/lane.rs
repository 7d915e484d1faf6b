//! Lanes: their leases, positions, sums and accounting, and the chains of their keys.

use super::projection::Bound;
use crate::sql::{corrupt, signed, unsigned};
use jiff::Timestamp;
use seamline_contract::id::SubscriptionRef;
use seamline_flow::lease::holds;
use seamline_flow::position::{Accounting, Position};
use seamline_flow::store::{Grip, Gripped, Lane, LaneState};
use seamline_message::key::RecordKey;
use seamline_message::sequence::Sequence;
use seamline_message::sums::Sums;
use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};
use std::time::Duration;

/// The row of a lane, whose parameters are the first three.
const IS_LANE: &str = "subscription = $1 AND topic = $2 AND partition = $3";

/// Expressions by which the rest of a transaction looks keys up one by one: a plan that was made while a table was small, or
/// for many keys at once, reads all of it.
pub(super) const BY_KEY: &str = "set_config('plan_cache_mode', 'force_generic_plan', true), \
    set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true), \
    set_config('enable_mergejoin', 'off', true)";

/// Binds the first three parameters.
pub(super) fn of_lane<'q>(query: Bound<'q>, lane: &'q Lane) -> Bound<'q> {
    query.bind(lane.subscription.to_string()).bind(&lane.topic).bind(partition(lane))
}

/// Returns a partition's number as PostgreSQL holds it.
///
/// # Panics
/// When it needs the sign bit: Kafka's have 31 bits.
pub(crate) fn partition(lane: &Lane) -> i32 {
    i32::try_from(lane.partition).expect("partitions have 31 bits")
}

pub(super) async fn grip(
    conn: &mut PgConnection,
    lane: &Lane,
    holder: &str,
    now: Timestamp,
    ttl: Duration,
    force: bool,
) -> Result<Gripped, sqlx::Error> {
    let made = "INSERT INTO seamline.lane (subscription, topic, partition, epoch, digest_epoch, sums, \
        counted_from, counted_to, handed, applied, superseded, duplicates, conflicts, coalesced, held, \
        quarantined, absent) VALUES ($1, $2, $3, 0, 0, $4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0) ON CONFLICT DO NOTHING";
    of_lane(sqlx::query(made), lane).bind(Sums::new().to_bytes()).execute(&mut *conn).await?;
    let found = format!(
        "SELECT *, (extract(epoch FROM until) * 1000000)::bigint AS until_micros FROM seamline.lane \
         WHERE {IS_LANE} FOR UPDATE"
    );
    let row = of_lane(sqlx::query(sqlx::AssertSqlSafe(found)), lane).fetch_one(&mut *conn).await?;
    let until: Option<i64> = row.get("until_micros");
    let until = until.map(Timestamp::from_microsecond).transpose().map_err(corrupt)?;
    let other = row.get::<Option<&str>, _>("holder").is_some_and(|other| other != holder);
    if let Some(until) = until.filter(|until| other && holds(*until, now) && !force) {
        return Ok(Gripped::Busy { until });
    }
    let epoch = row.get::<i64, _>("epoch") + 1;
    let take =
        format!("UPDATE seamline.lane SET epoch = $4, holder = $5, until = $6::timestamptz WHERE {IS_LANE}");
    let query = of_lane(sqlx::query(sqlx::AssertSqlSafe(take)), lane).bind(epoch);
    query.bind(holder).bind(end_of(now, ttl)).execute(conn).await?;
    Ok(Gripped::Held(Grip { epoch: unsigned(epoch)?, state: state(&row)? }))
}

pub(crate) fn end_of(now: Timestamp, ttl: Duration) -> String {
    now.checked_add(ttl).unwrap_or(Timestamp::MAX).to_string()
}

/// Locks a lane until the transaction ends, and returns whether it still has an epoch and a position. Until then, keys are
/// looked up one by one.
pub(super) async fn is_at(
    conn: &mut PgConnection,
    lane: &Lane,
    epoch: u64,
    expected: Option<&Position>,
) -> Result<bool, sqlx::Error> {
    let found = format!(
        "SELECT epoch, cluster, topic_id, partition, leader_epoch, \"offset\", {BY_KEY} FROM seamline.lane \
         WHERE {IS_LANE} FOR UPDATE"
    );
    let found = of_lane(sqlx::query(sqlx::AssertSqlSafe(found)), lane).fetch_optional(conn).await?;
    let Some(row) = found else { return Ok(false) };
    Ok(unsigned(row.get("epoch"))? == epoch && position(&row)?.as_ref() == expected)
}

/// Writes what a lane is after a batch, and prolongs its lease.
pub(super) async fn write(
    conn: &mut PgConnection,
    lane: &Lane,
    next: &LaneState,
    now: Timestamp,
    ttl: Duration,
) -> Result<(), sqlx::Error> {
    const STATEMENT: &str = "UPDATE seamline.lane SET until = $4::timestamptz, cluster = $5, topic_id = $6, \
        leader_epoch = $7, \"offset\" = $8, bootstrap_end = $9, digest_epoch = $10, sums = $11, counted_from = $12, \
        counted_to = $13, handed = $14, applied = $15, superseded = $16, duplicates = $17, conflicts = $18, \
        coalesced = $19, held = $20, quarantined = $21, absent = $22 \
        WHERE subscription = $1 AND topic = $2 AND partition = $3";
    let position = next.position.as_ref();
    let mut query = of_lane(sqlx::query(STATEMENT), lane).bind(end_of(now, ttl));
    query = query.bind(position.map(|at| at.cluster.as_str())).bind(position.map(|at| at.topic_id.as_str()));
    query = query.bind(position.map(|at| at.leader_epoch)).bind(position.map(|at| signed(at.offset)));
    query = query.bind(next.bootstrap_end.map(signed)).bind(i64::from(next.digest_epoch));
    query = query.bind(next.sums.to_bytes());
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
    query.execute(conn).await?;
    Ok(())
}

pub(super) async fn lanes(
    conn: &mut PgConnection,
    subscription: &SubscriptionRef,
) -> Result<Vec<(Lane, LaneState)>, sqlx::Error> {
    let rows = "SELECT * FROM seamline.lane WHERE subscription = $1 ORDER BY topic, partition";
    let rows = sqlx::query(rows).bind(subscription.to_string()).fetch_all(conn).await?;
    let lane = |row: &PgRow| {
        let (topic, partition) = (row.get("topic"), partition_of(row)?);
        Ok((Lane { subscription: subscription.clone(), topic, partition }, state(row)?))
    };
    rows.iter().map(lane).collect()
}

/// Reads the number of a partition.
pub(crate) fn partition_of(row: &PgRow) -> Result<u32, sqlx::Error> {
    u32::try_from(row.get::<i32, _>("partition")).map_err(corrupt)
}

fn state(row: &PgRow) -> Result<LaneState, sqlx::Error> {
    let count = |name: &str| unsigned(row.get(name));
    let end: Option<i64> = row.get("bootstrap_end");
    Ok(LaneState {
        position: position(row)?,
        bootstrap_end: end.map(unsigned).transpose()?,
        sums: Sums::from_bytes(row.get("sums")).map_err(corrupt)?,
        digest_epoch: u32::try_from(row.get::<i64, _>("digest_epoch")).map_err(corrupt)?,
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

fn position(row: &PgRow) -> Result<Option<Position>, sqlx::Error> {
    let Some(offset) = row.get::<Option<i64>, _>("offset") else { return Ok(None) };
    Ok(Some(Position {
        cluster: row.get("cluster"),
        topic_id: row.get("topic_id"),
        partition: partition_of(row)?,
        leader_epoch: row.get("leader_epoch"),
        offset: unsigned(offset)?,
    }))
}

pub(super) async fn chains(
    conn: &mut PgConnection,
    lane: &Lane,
    keys: &[RecordKey],
) -> Result<Vec<(Option<Sequence>, bool)>, sqlx::Error> {
    let keys: Vec<&str> = keys.iter().map(RecordKey::as_str).collect();
    let chains = "SELECT c.sequence, EXISTS (SELECT FROM seamline.aside a WHERE a.subscription = $1 \
        AND a.topic = $2 AND a.partition = $3 AND a.key = k.key) \
        FROM unnest($4::text[]) WITH ORDINALITY AS k (key, place) \
        LEFT JOIN seamline.chain c ON c.subscription = $1 AND c.topic = $2 AND c.partition = $3 \
        AND c.key = k.key ORDER BY k.place";
    let rows = of_lane(sqlx::query(chains), lane).bind(keys).fetch_all(conn).await?;
    let chain = |row: &PgRow| {
        let sequence: Option<i64> = row.get(0);
        Ok((sequence.map(unsigned).transpose()?.map(Sequence), row.get(1)))
    };
    rows.iter().map(chain).collect()
}
