//! The inbox as its workers and operators use it.

use crate::case::moment;
use crate::context::Database;
use crate::file::{begin, commit, corrupt, not_applied, signed, unsigned};
use jiff::Timestamp;
use seamline_contract::id::SubscriptionRef;
use seamline_flow::inbox::{Failure, Inbox, InboxCount, InboxEntry, InboxState, Purged};
use seamline_flow::port::PortError;
use seamline_message::key::RecordKey;
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use std::time::Duration;

impl Inbox for Database {
    async fn claim(
        &self,
        subscription: &SubscriptionRef,
        hold: Duration,
        most: u32,
    ) -> Result<Vec<InboxEntry>, PortError> {
        let mut writer = self.writer().await;
        let mut transaction = begin(&mut writer).await?;
        let rows = claim(&mut transaction, subscription, hold, most).await.map_err(not_applied)?;
        commit(transaction).await?;
        Ok(rows)
    }

    async fn done(&self, number: u64, attempt: u32) -> Result<bool, PortError> {
        let mut writer = self.writer().await;
        let mut transaction = begin(&mut writer).await?;
        if !stands(&mut transaction, number, attempt).await.map_err(not_applied)? {
            return Ok(false);
        }
        let query = sqlx::query("INSERT INTO seamline_done (number, attempt) VALUES (?, ?)");
        let query = query.bind(signed(number)).bind(attempt);
        query.execute(&mut *transaction).await.map_err(not_applied)?;
        commit(transaction).await?;
        Ok(true)
    }

    async fn failed(
        &self,
        number: u64,
        attempt: u32,
        failure: &Failure<'_>,
    ) -> Result<Option<InboxState>, PortError> {
        let mut writer = self.writer().await;
        let mut transaction = begin(&mut writer).await?;
        if !stands(&mut transaction, number, attempt).await.map_err(not_applied)? {
            return Ok(None);
        }
        let query = sqlx::query(
            "INSERT INTO seamline_failed (number, why, attempt, again, most) VALUES (?, ?, ?, ?, ?)",
        );
        let again = failure.again.map_or(-1.0, |span| span.as_secs_f64());
        let query = query.bind(signed(number)).bind(failure.why).bind(attempt).bind(again).bind(failure.most);
        query.execute(&mut *transaction).await.map_err(not_applied)?;
        let became = sqlx::query_scalar("SELECT state FROM seamline_inbox WHERE number = ?");
        let became: String =
            became.bind(signed(number)).fetch_one(&mut *transaction).await.map_err(not_applied)?;
        commit(transaction).await?;
        Ok(Some(state(&became).map_err(not_applied)?))
    }

    async fn retry(&self, number: u64) -> Result<bool, PortError> {
        let statement = "UPDATE seamline_inbox SET state = 'waiting', attempts = 0, due = NULL \
                         WHERE number = ? AND state = 'failed'";
        let mut writer = self.writer().await;
        let mut transaction = begin(&mut writer).await?;
        let query = sqlx::query(statement).bind(signed(number));
        let changed = query.execute(&mut *transaction).await.map_err(not_applied)?.rows_affected();
        commit(transaction).await?;
        Ok(changed > 0)
    }

    async fn skip(&self, number: u64, why: &str) -> Result<bool, PortError> {
        let statement = "UPDATE seamline_inbox SET state = 'done', due = NULL, why = ?, ended_at = \
                         strftime('%Y-%m-%dT%H:%M:%fZ', 'now') WHERE number = ? AND state IN ('waiting', 'failed')";
        let mut writer = self.writer().await;
        let mut transaction = begin(&mut writer).await?;
        let query = sqlx::query(statement).bind(why).bind(signed(number));
        let changed = query.execute(&mut *transaction).await.map_err(not_applied)?.rows_affected();
        commit(transaction).await?;
        Ok(changed > 0)
    }

    async fn entry(&self, number: u64) -> Result<Option<InboxEntry>, PortError> {
        let query = sqlx::query("SELECT * FROM seamline_inbox WHERE number = ?").bind(signed(number));
        let row = query.fetch_optional(self.readers()).await.map_err(not_applied)?;
        row.as_ref().map(entry).transpose().map_err(not_applied)
    }

    async fn entries(
        &self,
        subscription: Option<&SubscriptionRef>,
        limit: u32,
    ) -> Result<Vec<InboxEntry>, PortError> {
        let statement = "SELECT * FROM seamline_inbox WHERE state <> 'done' AND (?1 IS NULL OR subscription = ?1) \
                         ORDER BY number LIMIT ?2";
        let query = sqlx::query(statement).bind(subscription.map(ToString::to_string)).bind(limit);
        let rows = query.fetch_all(self.readers()).await.map_err(not_applied)?;
        rows.iter().map(entry).collect::<Result<_, _>>().map_err(not_applied)
    }

    async fn inbox_counts(&self) -> Result<Vec<InboxCount>, PortError> {
        let statement = "SELECT subscription, state, count(*), min(received_at) FROM seamline_inbox \
                         WHERE state <> 'done' GROUP BY 1, 2 ORDER BY 1, 2";
        let rows = sqlx::query(statement).fetch_all(self.readers()).await.map_err(not_applied)?;
        rows.iter().map(count).collect::<Result<_, _>>().map_err(not_applied)
    }

    async fn purge_done(
        &self,
        subscription: &SubscriptionRef,
        keys: &[RecordKey],
    ) -> Result<Purged, PortError> {
        let mut writer = self.writer().await;
        let mut transaction = begin(&mut writer).await?;
        let purged = purge_done(&mut transaction, subscription, keys).await.map_err(not_applied)?;
        commit(transaction).await?;
        Ok(purged)
    }

    async fn forget_done(&self, before: Timestamp, limit: u32) -> Result<u64, PortError> {
        let statement = "DELETE FROM seamline_inbox WHERE number IN (SELECT number FROM seamline_inbox \
                         WHERE state = 'done' AND coalesce(ended_at, received_at) < ? ORDER BY number LIMIT ?)";
        let mut writer = self.writer().await;
        let mut transaction = begin(&mut writer).await?;
        let query = sqlx::query(statement).bind(before.to_string()).bind(limit);
        let forgotten = query.execute(&mut *transaction).await.map_err(not_applied)?.rows_affected();
        commit(transaction).await?;
        Ok(forgotten)
    }
}

async fn claim(
    conn: &mut SqliteConnection,
    subscription: &SubscriptionRef,
    hold: Duration,
    most: u32,
) -> Result<Vec<InboxEntry>, sqlx::Error> {
    let free = sqlx::query_scalar("SELECT number FROM seamline_claimable WHERE subscription = ? LIMIT ?");
    let free: Vec<i64> = free.bind(subscription.to_string()).bind(most).fetch_all(&mut *conn).await?;
    let mut rows = Vec::new();
    for number in free {
        let claim = sqlx::query("INSERT INTO seamline_claim (number, hold) VALUES (?, ?)");
        claim.bind(number).bind(hold.as_secs_f64()).execute(&mut *conn).await?;
        let row = sqlx::query("SELECT * FROM seamline_inbox WHERE number = ?").bind(number);
        rows.push(entry(&row.fetch_one(&mut *conn).await?)?);
    }
    Ok(rows)
}

/// Returns whether a row is claimed, and was claimed so often.
async fn stands(conn: &mut SqliteConnection, number: u64, attempt: u32) -> Result<bool, sqlx::Error> {
    let there = "SELECT count(*) FROM seamline_inbox WHERE number = ? AND state = 'claimed' AND attempts = ?";
    let there: i64 = sqlx::query_scalar(there).bind(signed(number)).bind(attempt).fetch_one(conn).await?;
    Ok(there > 0)
}

fn state(word: &str) -> Result<InboxState, sqlx::Error> {
    let known = InboxState::ALL.into_iter().find(|state| state.word() == word);
    known.ok_or_else(|| corrupt("a row of the inbox is in a state that is not known here"))
}

fn entry(row: &SqliteRow) -> Result<InboxEntry, sqlx::Error> {
    Ok(InboxEntry {
        number: unsigned(row.get("number"))?,
        subscription: row.get::<&str, _>("subscription").parse().map_err(corrupt)?,
        id: row.get("id"),
        key: row.get("key"),
        event: row.get("event"),
        payload: row.get("payload"),
        state: state(row.get("state"))?,
        attempts: row.get("attempts"),
        why: row.get("why"),
        received_at: moment(row.get("received_at"))?,
    })
}

fn count(row: &SqliteRow) -> Result<InboxCount, sqlx::Error> {
    Ok(InboxCount {
        subscription: row.get::<&str, _>(0).parse().map_err(corrupt)?,
        state: state(row.get(1))?,
        rows: unsigned(row.get(2))?,
        oldest: moment(row.get(3))?,
    })
}

async fn purge_done(
    conn: &mut SqliteConnection,
    subscription: &SubscriptionRef,
    keys: &[RecordKey],
) -> Result<Purged, sqlx::Error> {
    let mut purged = Purged::default();
    for key in keys {
        let gone = "DELETE FROM seamline_inbox WHERE subscription = ? AND key = ? AND state = 'done'";
        let gone = sqlx::query(gone).bind(subscription.to_string()).bind(key.as_str());
        purged.gone += gone.execute(&mut *conn).await?.rows_affected();
        let open = "SELECT count(*) FROM seamline_inbox WHERE subscription = ? AND key = ?";
        let open = sqlx::query_scalar(open).bind(subscription.to_string()).bind(key.as_str());
        purged.open += unsigned(open.fetch_one(&mut *conn).await?)?;
    }
    Ok(purged)
}
