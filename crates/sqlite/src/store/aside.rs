//! Records in quarantine at the consumer, exactly as they were read.

use crate::case::moment;
use crate::file::{corrupt, signed, unsigned};
use crate::ledger::{digest_of, key_of};
use seamline_contract::id::SubscriptionRef;
use seamline_flow::store::{AsideCause, AsideRecord, Lane};
use seamline_message::digest::Digest;
use seamline_message::key::RecordKey;
use seamline_message::sequence::Sequence;
use seamline_message::stored_headers::{header_text, headers_of};
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

/// Writes records; one that is there gets the newer cause.
pub(super) async fn write(conn: &mut SqliteConnection, records: &[AsideRecord]) -> Result<(), sqlx::Error> {
    let statement = "INSERT OR REPLACE INTO seamline_aside (subscription, topic, partition, offset, key, sequence, \
        received, cause, rule, path, message, gap_seen, gap_named, raw_key, headers, value, since) \
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    for record in records {
        let (mut invalid, mut gap) = (None, (None, None));
        let cause = match &record.cause {
            AsideCause::Invalid { rule, path, message } => {
                invalid = Some((rule, path, message));
                "invalid"
            }
            AsideCause::Behind => "behind",
            AsideCause::Gap { seen, named } => {
                gap = (*seen, *named);
                "gap"
            }
        };
        let query =
            sqlx::query(statement).bind(record.lane.subscription.to_string()).bind(&record.lane.topic);
        let query = query.bind(record.lane.partition).bind(signed(record.offset));
        let query = query.bind(record.key.as_ref().map(RecordKey::as_str));
        let query = query.bind(record.sequence.map(|sequence| signed(sequence.0)));
        let query = query.bind(record.received.to_bytes().to_vec()).bind(cause);
        let query = query.bind(invalid.map(|(rule, _, _)| rule)).bind(invalid.map(|(_, path, _)| path));
        let query = query.bind(invalid.map(|(_, _, message)| message));
        let query = query.bind(gap.0.map(|seen| signed(seen.0))).bind(gap.1.map(|named| signed(named.0)));
        let query = query.bind(record.raw_key.as_deref()).bind(header_text(&record.headers));
        let query = query.bind(record.value.as_deref()).bind(record.since.to_string());
        query.execute(&mut *conn).await?;
    }
    Ok(())
}

pub(super) async fn records(
    conn: &mut SqliteConnection,
    subscription: &SubscriptionRef,
    key: Option<&RecordKey>,
    limit: usize,
) -> Result<Vec<AsideRecord>, sqlx::Error> {
    let records = "SELECT * FROM seamline_aside WHERE subscription = ?1 AND (?2 IS NULL OR key = ?2) \
                   ORDER BY topic, partition, offset LIMIT ?3";
    let query = sqlx::query(records).bind(subscription.to_string()).bind(key.map(RecordKey::as_str));
    let rows = query.bind(i64::try_from(limit).unwrap_or(i64::MAX)).fetch_all(conn).await?;
    rows.iter().map(|row| record(row, subscription)).collect()
}

pub(super) async fn from(
    conn: &mut SqliteConnection,
    subscription: &SubscriptionRef,
    from: Option<(&Lane, u64)>,
    limit: usize,
) -> Result<Vec<AsideRecord>, sqlx::Error> {
    let records = "SELECT * FROM seamline_aside WHERE subscription = ?1 AND (topic, partition, offset) >= (?2, ?3, ?4) \
                   ORDER BY topic, partition, offset LIMIT ?5";
    let (topic, partition, offset) =
        from.map_or(("", 0, 0), |(lane, offset)| (lane.topic.as_str(), lane.partition, offset));
    let query = sqlx::query(records).bind(subscription.to_string()).bind(topic).bind(partition);
    let query = query.bind(signed(offset)).bind(i64::try_from(limit).unwrap_or(i64::MAX));
    query.fetch_all(conn).await?.iter().map(|row| record(row, subscription)).collect()
}

fn record(row: &SqliteRow, subscription: &SubscriptionRef) -> Result<AsideRecord, sqlx::Error> {
    let sequence = |name: &str| -> Result<Option<Sequence>, sqlx::Error> {
        row.get::<Option<i64>, _>(name).map(|number| unsigned(number).map(Sequence)).transpose()
    };
    let text = |name: &str| row.get::<Option<String>, _>(name).unwrap_or_default();
    let cause = match row.get::<&str, _>("cause") {
        "invalid" => AsideCause::Invalid { rule: text("rule"), path: text("path"), message: text("message") },
        "behind" => AsideCause::Behind,
        "gap" => AsideCause::Gap { seen: sequence("gap_seen")?, named: sequence("gap_named")? },
        _ => return Err(corrupt("a record is aside for a cause that is not known here")),
    };
    let (topic, partition) = (row.get("topic"), row.get("partition"));
    Ok(AsideRecord {
        lane: Lane { subscription: subscription.clone(), topic, partition },
        offset: unsigned(row.get("offset"))?,
        key: row.get::<Option<&str>, _>("key").map(key_of).transpose()?,
        sequence: sequence("sequence")?,
        received: digest_of(row.get("received"))?,
        cause,
        raw_key: row.get("raw_key"),
        headers: headers_of(row.get("headers")).map_err(corrupt)?,
        value: row.get("value"),
        since: moment(row.get("since"))?,
    })
}

pub(super) async fn received(
    conn: &mut SqliteConnection,
    subscription: &SubscriptionRef,
    after: Option<&RecordKey>,
    limit: usize,
) -> Result<Vec<(RecordKey, Sequence, Digest)>, sqlx::Error> {
    let rows = "SELECT key, sequence, digest FROM seamline_received_aside WHERE subscription = ? AND key > ? \
                ORDER BY key LIMIT ?";
    let query = sqlx::query(rows).bind(subscription.to_string()).bind(after.map_or("", RecordKey::as_str));
    let rows = query.bind(i64::try_from(limit).unwrap_or(i64::MAX)).fetch_all(conn).await?;
    let row =
        |row: &SqliteRow| Ok((key_of(row.get(0))?, Sequence(unsigned(row.get(1))?), digest_of(row.get(2))?));
    rows.iter().map(row).collect()
}
