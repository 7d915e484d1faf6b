//! Records in quarantine at the consumer, exactly as they were read.

use super::lane::{partition, partition_of};
use crate::case::moment;
use crate::ledger::{digest_of, key_of};
use crate::sql::{corrupt, signed, unsigned};
use seamline_contract::id::SubscriptionRef;
use seamline_flow::store::{AsideCause, AsideRecord, Lane};
use seamline_message::digest::Digest;
use seamline_message::key::RecordKey;
use seamline_message::sequence::Sequence;
use seamline_message::stored_headers::{header_text, headers_of};
use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};

/// Writes records; one that is there gets the newer cause.
pub(super) async fn write(conn: &mut PgConnection, records: &[AsideRecord]) -> Result<(), sqlx::Error> {
    const STATEMENT: &str = "INSERT INTO seamline.aside (subscription, topic, partition, \"offset\", key, sequence, \
        received, cause, rule, path, message, gap_seen, gap_named, raw_key, headers, value, since) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17) \
        ON CONFLICT (subscription, topic, partition, \"offset\") DO UPDATE SET key = excluded.key, \
        sequence = excluded.sequence, received = excluded.received, cause = excluded.cause, rule = excluded.rule, \
        path = excluded.path, message = excluded.message, gap_seen = excluded.gap_seen, \
        gap_named = excluded.gap_named, raw_key = excluded.raw_key, headers = excluded.headers, \
        value = excluded.value, since = excluded.since";
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
        // A broken record may carry what no text of PostgreSQL holds: U+0000.
        let clean = |text: &String| text.replace('\0', "\u{fffd}");
        let query =
            sqlx::query(STATEMENT).bind(record.lane.subscription.to_string()).bind(&record.lane.topic);
        let query = query.bind(partition(&record.lane)).bind(signed(record.offset));
        let query = query.bind(record.key.as_ref().map(RecordKey::as_str));
        let query = query.bind(record.sequence.map(|sequence| signed(sequence.0)));
        let query = query.bind(record.received.to_bytes()).bind(cause);
        let query = query.bind(invalid.map(|(rule, _, _)| clean(rule)));
        let query = query.bind(invalid.map(|(_, path, _)| clean(path)));
        let query = query.bind(invalid.map(|(_, _, message)| clean(message)));
        let query = query.bind(gap.0.map(|seen| signed(seen.0))).bind(gap.1.map(|named| signed(named.0)));
        let query = query.bind(record.raw_key.as_deref()).bind(header_text(&record.headers).into_bytes());
        let query = query.bind(record.value.as_deref()).bind(record.since.to_string());
        query.execute(&mut *conn).await?;
    }
    Ok(())
}

pub(super) async fn records(
    conn: &mut PgConnection,
    subscription: &SubscriptionRef,
    key: Option<&RecordKey>,
    limit: usize,
) -> Result<Vec<AsideRecord>, sqlx::Error> {
    let records = "SELECT * FROM seamline.aside WHERE subscription = $1 AND ($2::text IS NULL OR key = $2) \
                   ORDER BY topic, partition, \"offset\" LIMIT $3";
    let query = sqlx::query(records).bind(subscription.to_string()).bind(key.map(RecordKey::as_str));
    let rows = query.bind(i64::try_from(limit).unwrap_or(i64::MAX)).fetch_all(conn).await?;
    rows.iter().map(|row| record(row, subscription)).collect()
}

pub(super) async fn from(
    conn: &mut PgConnection,
    subscription: &SubscriptionRef,
    from: Option<(&Lane, u64)>,
    limit: usize,
) -> Result<Vec<AsideRecord>, sqlx::Error> {
    let records = "SELECT * FROM seamline.aside WHERE subscription = $1 \
        AND (topic, partition, \"offset\") >= ($2, $3, $4) ORDER BY topic, partition, \"offset\" LIMIT $5";
    let (topic, partition, offset) =
        from.map_or(("", 0, 0), |(lane, offset)| (lane.topic.as_str(), partition(lane), signed(offset)));
    let query = sqlx::query(records).bind(subscription.to_string()).bind(topic).bind(partition).bind(offset);
    let rows = query.bind(i64::try_from(limit).unwrap_or(i64::MAX)).fetch_all(conn).await?;
    rows.iter().map(|row| record(row, subscription)).collect()
}

fn record(row: &PgRow, subscription: &SubscriptionRef) -> Result<AsideRecord, sqlx::Error> {
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
    let (topic, partition) = (row.get("topic"), partition_of(row)?);
    let headers = std::str::from_utf8(row.get("headers")).map_err(corrupt)?;
    Ok(AsideRecord {
        lane: Lane { subscription: subscription.clone(), topic, partition },
        offset: unsigned(row.get("offset"))?,
        key: row.get::<Option<&str>, _>("key").map(key_of).transpose()?,
        sequence: sequence("sequence")?,
        received: digest_of(row.get("received"))?,
        cause,
        raw_key: row.get("raw_key"),
        headers: headers_of(headers).map_err(corrupt)?,
        value: row.get("value"),
        since: moment(row.get("since"))?,
    })
}

pub(super) async fn received(
    conn: &mut PgConnection,
    subscription: &SubscriptionRef,
    after: Option<&RecordKey>,
    limit: usize,
) -> Result<Vec<(RecordKey, Sequence, Digest)>, sqlx::Error> {
    let rows = "SELECT key, sequence, digest FROM seamline.received_aside WHERE subscription = $1 AND key > $2 \
                ORDER BY key LIMIT $3";
    let query = sqlx::query(rows).bind(subscription.to_string()).bind(after.map_or("", RecordKey::as_str));
    let rows = query.bind(i64::try_from(limit).unwrap_or(i64::MAX)).fetch_all(conn).await?;
    let row =
        |row: &PgRow| Ok((key_of(row.get(0))?, Sequence(unsigned(row.get(1))?), digest_of(row.get(2))?));
    rows.iter().map(row).collect()
}
