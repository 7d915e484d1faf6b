//! The inbox as its workers and operators use it.

use crate::database::{Database, commit};
use crate::sql::{corrupt, not_applied, signed, unsigned};
use jiff::Timestamp;
use seamline_contract::id::SubscriptionRef;
use seamline_flow::inbox::{Failure, Inbox, InboxCount, InboxEntry, InboxState, Purged};
use seamline_flow::port::PortError;
use seamline_message::key::RecordKey;
use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};
use std::time::Duration;

const COLUMNS: &str = "number, subscription, id, key, event, payload, state, attempts, why, \
                       (extract(epoch FROM received_at) * 1000000)::bigint AS received_micros";

impl Inbox for Database {
    async fn claim(
        &self,
        subscription: &SubscriptionRef,
        hold: Duration,
        most: u32,
    ) -> Result<Vec<InboxEntry>, PortError> {
        let mut transaction = self.begin().await?;
        let rows = claim(&mut transaction, subscription, hold, most).await.map_err(not_applied)?;
        commit(transaction).await?;
        Ok(rows)
    }

    async fn done(&self, number: u64, attempt: u32) -> Result<bool, PortError> {
        let query = sqlx::query("SELECT seamline.done($1, $2)").bind(signed(number));
        let mut transaction = self.begin().await?;
        let ended = standing(query.bind(int(attempt)).execute(&mut *transaction).await)?;
        commit(transaction).await?;
        Ok(ended.is_some())
    }

    async fn failed(
        &self,
        number: u64,
        attempt: u32,
        failure: &Failure<'_>,
    ) -> Result<Option<InboxState>, PortError> {
        let call = "SELECT seamline.failed($1, $2, $3, $4 * interval '1 microsecond', $5)";
        let query = sqlx::query(call).bind(signed(number)).bind(failure.why).bind(int(attempt));
        let query = query.bind(failure.again.map(micros)).bind(int(failure.most));
        let mut transaction = self.begin().await?;
        let became = standing(query.fetch_one(&mut *transaction).await)?;
        commit(transaction).await?;
        became.map(|row| state(row.get(0))).transpose().map_err(not_applied)
    }

    async fn retry(&self, number: u64) -> Result<bool, PortError> {
        let statement = "UPDATE seamline.inbox SET state = 'waiting', attempts = 0, due = NULL \
                         WHERE number = $1 AND state = 'failed'";
        let mut transaction = self.begin().await?;
        let query = sqlx::query(statement).bind(signed(number));
        let changed = query.execute(&mut *transaction).await.map_err(not_applied)?.rows_affected();
        commit(transaction).await?;
        Ok(changed > 0)
    }

    async fn skip(&self, number: u64, why: &str) -> Result<bool, PortError> {
        let statement = "UPDATE seamline.inbox SET state = 'done', due = NULL, why = $2, ended_at = clock_timestamp() \
                         WHERE number = $1 AND state IN ('waiting', 'failed')";
        let mut transaction = self.begin().await?;
        let query = sqlx::query(statement).bind(signed(number)).bind(why);
        let changed = query.execute(&mut *transaction).await.map_err(not_applied)?.rows_affected();
        commit(transaction).await?;
        Ok(changed > 0)
    }

    async fn entry(&self, number: u64) -> Result<Option<InboxEntry>, PortError> {
        let statement = format!("SELECT {COLUMNS} FROM seamline.inbox WHERE number = $1");
        let query = sqlx::query(sqlx::AssertSqlSafe(statement)).bind(signed(number));
        let row = query.fetch_optional(self.pool()).await.map_err(not_applied)?;
        row.as_ref().map(entry).transpose().map_err(not_applied)
    }

    async fn entries(
        &self,
        subscription: Option<&SubscriptionRef>,
        limit: u32,
    ) -> Result<Vec<InboxEntry>, PortError> {
        let statement = format!(
            "SELECT {COLUMNS} FROM seamline.inbox WHERE state <> 'done' AND ($1 IS NULL OR subscription = $1) \
             ORDER BY number LIMIT $2"
        );
        let query = sqlx::query(sqlx::AssertSqlSafe(statement));
        let query = query.bind(subscription.map(ToString::to_string)).bind(i64::from(limit));
        let rows = query.fetch_all(self.pool()).await.map_err(not_applied)?;
        rows.iter().map(entry).collect::<Result<_, _>>().map_err(not_applied)
    }

    async fn inbox_counts(&self) -> Result<Vec<InboxCount>, PortError> {
        let statement = "SELECT subscription, state, count(*), (extract(epoch FROM min(received_at)) * 1000000)::bigint \
                         FROM seamline.inbox WHERE state <> 'done' GROUP BY 1, 2 ORDER BY 1, 2";
        let rows = sqlx::query(statement).fetch_all(self.pool()).await.map_err(not_applied)?;
        rows.iter().map(count).collect::<Result<_, _>>().map_err(not_applied)
    }

    async fn purge_done(
        &self,
        subscription: &SubscriptionRef,
        keys: &[RecordKey],
    ) -> Result<Purged, PortError> {
        let keys: Vec<&str> = keys.iter().map(RecordKey::as_str).collect();
        let mut transaction = self.begin().await?;
        let gone = "DELETE FROM seamline.inbox WHERE subscription = $1 AND key = ANY($2) AND state = 'done'";
        let gone = sqlx::query(gone).bind(subscription.to_string()).bind(&keys);
        let gone = gone.execute(&mut *transaction).await.map_err(not_applied)?.rows_affected();
        let open = "SELECT count(*) FROM seamline.inbox WHERE subscription = $1 AND key = ANY($2)";
        let open = sqlx::query_scalar(open).bind(subscription.to_string()).bind(&keys);
        let open: i64 = open.fetch_one(&mut *transaction).await.map_err(not_applied)?;
        let open = unsigned(open).map_err(not_applied)?;
        commit(transaction).await?;
        Ok(Purged { gone, open })
    }

    async fn forget_done(&self, before: Timestamp, limit: u32) -> Result<u64, PortError> {
        // Two agents that forget at once do not wait for each other.
        let statement = "DELETE FROM seamline.inbox WHERE number IN (SELECT number FROM seamline.inbox \
                         WHERE state = 'done' AND coalesce(ended_at, received_at) < $1::timestamptz \
                         ORDER BY coalesce(ended_at, received_at) LIMIT $2 FOR UPDATE SKIP LOCKED)";
        let mut transaction = self.begin().await?;
        let query = sqlx::query(statement).bind(before.to_string()).bind(i64::from(limit));
        let forgotten = query.execute(&mut *transaction).await.map_err(not_applied)?.rows_affected();
        commit(transaction).await?;
        Ok(forgotten)
    }
}

/// Returns the answer of a call about a claim; none when the claim does not stand.
fn standing<T>(answer: Result<T, sqlx::Error>) -> Result<Option<T>, PortError> {
    /// Object not in prerequisite state: what our functions say then.
    const LOST: &str = "55000";
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) => {
            let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
            if code.is_some_and(|code| code == LOST) { Ok(None) } else { Err(not_applied(error)) }
        }
    }
}

async fn claim(
    conn: &mut PgConnection,
    subscription: &SubscriptionRef,
    hold: Duration,
    most: u32,
) -> Result<Vec<InboxEntry>, sqlx::Error> {
    let statement = format!(
        "SELECT {COLUMNS} FROM seamline.claim($1, $2 * interval '1 microsecond', $3) ORDER BY number"
    );
    let query = sqlx::query(sqlx::AssertSqlSafe(statement)).bind(subscription.to_string());
    let rows = query.bind(micros(hold)).bind(int(most)).fetch_all(conn).await?;
    rows.iter().map(entry).collect()
}

fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

fn int(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

fn state(word: &str) -> Result<InboxState, sqlx::Error> {
    let known = InboxState::ALL.into_iter().find(|state| state.word() == word);
    known.ok_or_else(|| corrupt("a row of the inbox is in a state that is not known here"))
}

fn moment(micros: i64) -> Result<Timestamp, sqlx::Error> {
    Timestamp::from_microsecond(micros).map_err(corrupt)
}

fn entry(row: &PgRow) -> Result<InboxEntry, sqlx::Error> {
    Ok(InboxEntry {
        number: unsigned(row.get("number"))?,
        subscription: row.get::<&str, _>("subscription").parse().map_err(corrupt)?,
        id: row.get("id"),
        key: row.get("key"),
        event: row.get("event"),
        payload: row.get("payload"),
        state: state(row.get("state"))?,
        attempts: u32::try_from(row.get::<i32, _>("attempts")).map_err(corrupt)?,
        why: row.get("why"),
        received_at: moment(row.get("received_micros"))?,
    })
}

fn count(row: &PgRow) -> Result<InboxCount, sqlx::Error> {
    Ok(InboxCount {
        subscription: row.get::<&str, _>(0).parse().map_err(corrupt)?,
        state: state(row.get(1))?,
        rows: unsigned(row.get(2))?,
        oldest: moment(row.get(3))?,
    })
}
