//! Commands and their outcomes in a context's database.

use crate::case::raise;
use crate::database::{Database, commit};
use crate::sql::{corrupt, not_applied, signed, unsigned};
use jiff::Timestamp;
use seamline_contract::id::SubscriptionRef;
use seamline_flow::case::NewCase;
use seamline_flow::errand::{Answer, Errands, Letter, Overdue, Refused};
use seamline_flow::port::PortError;
use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};
use std::collections::BTreeMap;

impl Errands for Database {
    async fn letters(&self, limit: u32) -> Result<Vec<Letter>, PortError> {
        let statement = "SELECT *, (extract(epoch FROM written_at) * 1000000)::bigint AS written_micros \
                         FROM seamline.letter WHERE state = 'waiting' ORDER BY number LIMIT $1";
        let query = sqlx::query(statement).bind(i64::from(limit));
        let rows = query.fetch_all(self.pool()).await.map_err(not_applied)?;
        rows.iter().map(letter).collect::<Result<_, _>>().map_err(not_applied)
    }

    async fn posted(&self, letters: &[Letter], now: Timestamp) -> Result<(), PortError> {
        let mut transaction = self.begin().await?;
        posted(&mut transaction, letters, now).await.map_err(not_applied)?;
        commit(transaction).await
    }

    async fn refuse(&self, refused: &[Refused], cases: &[NewCase], now: Timestamp) -> Result<(), PortError> {
        let mut transaction = self.begin().await?;
        refuse(&mut transaction, refused, cases, now).await.map_err(not_applied)?;
        commit(transaction).await
    }

    async fn heard(
        &self,
        subscription: &SubscriptionRef,
        ids: &[String],
    ) -> Result<Vec<Option<String>>, PortError> {
        let statement =
            "SELECT id, payload FROM seamline.inbox WHERE subscription = $1 AND id = ANY ($2::text[])";
        let query = sqlx::query_as(statement).bind(subscription.to_string()).bind(ids);
        let there: Vec<(String, String)> = query.fetch_all(self.pool()).await.map_err(not_applied)?;
        let there: BTreeMap<String, String> = there.into_iter().collect();
        Ok(ids.iter().map(|id| there.get(id).cloned()).collect())
    }

    async fn answered(&self, answers: &[Answer], now: Timestamp) -> Result<(), PortError> {
        let statement = "UPDATE seamline.command c SET state = 'answered', outcome = u.outcome, answer = u.answer, \
                         ended_at = $4::timestamptz FROM unnest($1::text[], $2::text[], $3::text[]) AS u (id, outcome, answer) \
                         WHERE c.id = u.id AND c.state <> 'answered'";
        let query = sqlx::query(statement).bind(answers.iter().map(|it| it.id.as_str()).collect::<Vec<_>>());
        let query = query.bind(answers.iter().map(|it| it.outcome.as_str()).collect::<Vec<_>>());
        let query = query.bind(answers.iter().map(|it| it.payload.as_str()).collect::<Vec<_>>());
        let mut transaction = self.begin().await?;
        query.bind(now.to_string()).execute(&mut *transaction).await.map_err(not_applied)?;
        commit(transaction).await
    }

    async fn overdue(&self, now: Timestamp, limit: u32) -> Result<Vec<Overdue>, PortError> {
        let statement = "SELECT id, contract, command, subscription, (extract(epoch FROM due) * 1000000)::bigint AS due_micros \
                         FROM seamline.command WHERE state IN ('waiting', 'sent') AND NOT late AND due IS NOT NULL \
                         AND due < $1::timestamptz ORDER BY due LIMIT $2";
        let query = sqlx::query(statement).bind(now.to_string()).bind(i64::from(limit));
        let rows = query.fetch_all(self.pool()).await.map_err(not_applied)?;
        rows.iter().map(overdue).collect::<Result<_, _>>().map_err(not_applied)
    }

    async fn late(&self, ids: &[String], cases: &[NewCase], now: Timestamp) -> Result<(), PortError> {
        let mut transaction = self.begin().await?;
        late(&mut transaction, ids, cases, now).await.map_err(not_applied)?;
        commit(transaction).await
    }

    async fn forget_commands(&self, before: Timestamp, limit: u32) -> Result<u64, PortError> {
        let statement = "DELETE FROM seamline.command WHERE id IN (SELECT id FROM seamline.command \
                         WHERE ended_at < $1::timestamptz ORDER BY ended_at LIMIT $2 FOR UPDATE SKIP LOCKED)";
        let mut transaction = self.begin().await?;
        let query = sqlx::query(statement).bind(before.to_string()).bind(i64::from(limit));
        let forgotten = query.execute(&mut *transaction).await.map_err(not_applied)?.rows_affected();
        commit(transaction).await?;
        Ok(forgotten)
    }
}

async fn posted(conn: &mut PgConnection, letters: &[Letter], now: Timestamp) -> Result<(), sqlx::Error> {
    let sent = "UPDATE seamline.command SET state = 'sent', sent_at = $2::timestamptz \
                WHERE id = ANY ($1::text[]) AND state = 'waiting'";
    let commands = letters.iter().filter(|letter| letter.outcome.is_none());
    let commands: Vec<&str> = commands.map(|letter| letter.id.as_str()).collect();
    sqlx::query(sent).bind(commands).bind(now.to_string()).execute(&mut *conn).await?;
    let numbers: Vec<i64> = letters.iter().map(|letter| signed(letter.number)).collect();
    let gone = "DELETE FROM seamline.letter WHERE number = ANY ($1::bigint[])";
    sqlx::query(gone).bind(numbers).execute(conn).await?;
    Ok(())
}

async fn refuse(
    conn: &mut PgConnection,
    refused: &[Refused],
    cases: &[NewCase],
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    for it in refused {
        let (rule, path, message) = &it.violation;
        let statement = "UPDATE seamline.letter SET state = 'refused', rule = $2, path = $3, message = $4 \
                         WHERE number = $1 RETURNING id, outcome";
        let query = sqlx::query(statement).bind(signed(it.number)).bind(rule).bind(path).bind(message);
        let Some(row) = query.fetch_optional(&mut *conn).await? else { continue };
        if row.get::<Option<&str>, _>(1).is_none() {
            let statement = "UPDATE seamline.command SET state = 'refused', why = $2, ended_at = $3::timestamptz WHERE id = $1";
            let query = sqlx::query(statement).bind(row.get::<&str, _>(0));
            query
                .bind(format!("{rule} at `{path}`: {message}"))
                .bind(now.to_string())
                .execute(&mut *conn)
                .await?;
        }
    }
    for case in cases {
        raise(conn, case, now).await?;
    }
    Ok(())
}

async fn late(
    conn: &mut PgConnection,
    ids: &[String],
    cases: &[NewCase],
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let statement = "UPDATE seamline.command SET late = true WHERE id = ANY ($1::text[])";
    sqlx::query(statement).bind(ids).execute(&mut *conn).await?;
    for case in cases {
        raise(conn, case, now).await?;
    }
    Ok(())
}

fn letter(row: &PgRow) -> Result<Letter, sqlx::Error> {
    Ok(Letter {
        number: unsigned(row.get("number"))?,
        id: row.get("id"),
        contract: row.get("contract"),
        command: row.get("command"),
        outcome: row.get("outcome"),
        recipient: row.get("recipient"),
        key: row.get("key"),
        details: row.get::<Option<String>, _>("details").map(String::into_bytes),
        correlation: row.get("correlation"),
        causation: row.get("causation"),
        traceparent: row.get("traceparent"),
        written_at: Timestamp::from_microsecond(row.get("written_micros")).map_err(corrupt)?,
    })
}

fn overdue(row: &PgRow) -> Result<Overdue, sqlx::Error> {
    Ok(Overdue {
        id: row.get("id"),
        contract: row.get("contract"),
        command: row.get("command"),
        subscription: row.get::<&str, _>("subscription").parse().map_err(corrupt)?,
        due: Timestamp::from_microsecond(row.get("due_micros")).map_err(corrupt)?,
    })
}
