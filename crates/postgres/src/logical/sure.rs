//! What the database says of rows that the stream brought: whether others see them, whether they still wait, and behind what.

use super::buffer::Entry;
use crate::sql::signed;
use pgwire_replication::Lsn;
use seamline_flow::source::OutboxRow;
use sqlx::Row;
use sqlx::postgres::PgConnection;

/// The mark that rises whenever rows come back into the outbox behind later rows of their keys.
pub(crate) const RETURNED: &str = "coalesce((SELECT epoch FROM seamline.lease WHERE name = 'returned'), 0)";

/// Says that rows came back into the outbox, to whoever hands out what came after them.
pub(crate) async fn returned(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    let mark = "INSERT INTO seamline.lease AS l (name, epoch, batch) VALUES ('returned', 1, 0) \
        ON CONFLICT (name) DO UPDATE SET epoch = l.epoch + 1";
    sqlx::query(mark).execute(conn).await?;
    Ok(())
}

/// What is known of a row that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Known {
    /// Its transaction is visible to others.
    pub(crate) visible: bool,
    /// It waits, or was not looked for.
    pub(crate) waits: bool,
}

/// The numbers of transactions come without their upper half, which is that of the newest one or beside it.
const KNOWN: &str = "WITH s AS MATERIALIZED (SELECT pg_current_snapshot() AS snapshot, \
        pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS newest), \
    u AS (SELECT u.*, s.snapshot, (s.newest & -4294967296) + u.xid AS whole, (s.newest & 4294967295) - u.xid AS apart \
        FROM s, unnest($1::bigint[], $2::bigint[], $3::bool[]) WITH ORDINALITY AS u (id, xid, looked, n)) \
    SELECT pg_visible_in_snapshot((CASE WHEN u.apart < -2147483648 THEN u.whole - 4294967296 \
        WHEN u.apart > 2147483648 THEN u.whole + 4294967296 ELSE u.whole END)::text::xid8, u.snapshot), \
    NOT u.looked OR EXISTS (SELECT FROM seamline.outbox_0 o WHERE o.id = u.id) \
        OR EXISTS (SELECT FROM seamline.outbox_1 o WHERE o.id = u.id) \
        OR EXISTS (SELECT FROM seamline.outbox_2 o WHERE o.id = u.id) \
        OR EXISTS (SELECT FROM seamline.void o WHERE o.id = u.id) FROM u ORDER BY u.n";

/// Asks of rows, in one snapshot. Only those up to `looked_to` are looked for in the outbox: of others, nobody can have removed
/// one.
pub(crate) async fn known<'e>(
    conn: &mut PgConnection,
    entries: impl Iterator<Item = &'e Entry>,
    looked_to: Lsn,
) -> Result<Vec<Known>, sqlx::Error> {
    let (mut ids, mut xids, mut looked) = (Vec::new(), Vec::new(), Vec::new());
    for entry in entries {
        ids.push(signed(entry.row.sequence.0));
        xids.push(i64::from(entry.xid));
        looked.push(entry.at.lsn <= looked_to);
    }
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query(KNOWN).bind(ids).bind(xids).bind(looked).fetch_all(conn).await?;
    Ok(rows.iter().map(|row| Known { visible: row.get(0), waits: row.get(1) }).collect())
}

/// Says of rows whether an earlier one of their key is in quarantine, and returns how often rows came back, in one snapshot.
pub(crate) async fn behind(conn: &mut PgConnection, rows: &mut [OutboxRow]) -> Result<i64, sqlx::Error> {
    let asked = format!(
        "SELECT {RETURNED}, ARRAY(SELECT u.n FROM unnest($1::text[], $2::text[], $3::bigint[]) \
         WITH ORDINALITY AS u (contract, key, place, n) WHERE (SELECT EXISTS (SELECT FROM seamline.quarantine)) \
         AND EXISTS (SELECT FROM seamline.quarantine q WHERE q.contract = u.contract AND q.key = u.key \
         AND coalesce(q.void_place, q.id) < u.place))"
    );
    let contracts: Vec<&str> = rows.iter().map(|row| row.contract.as_str()).collect();
    let keys: Vec<&str> = rows.iter().map(|row| row.key.as_str()).collect();
    let places: Vec<i64> = rows.iter().map(|row| signed(row.place().0)).collect();
    let asked = sqlx::query(sqlx::AssertSqlSafe(asked)).bind(contracts).bind(keys).bind(places);
    let answer = asked.fetch_one(conn).await?;
    for place in answer.get::<Vec<i64>, _>(1) {
        let idx = usize::try_from(place - 1).expect("they are numbered from one");
        rows[idx].behind = true;
    }
    Ok(answer.get(0))
}
