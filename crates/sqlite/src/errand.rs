//! Commands and their outcomes in a context's file.

use crate::case::{moment, raise};
use crate::context::Database;
use crate::file::{begin, commit, corrupt, not_applied, signed, unsigned};
use jiff::Timestamp;
use seamline_contract::id::SubscriptionRef;
use seamline_flow::case::NewCase;
use seamline_flow::errand::{Answer, Errands, Letter, Overdue, Refused};
use seamline_flow::port::PortError;
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

impl Errands for Database {
    async fn letters(&self, limit: u32) -> Result<Vec<Letter>, PortError> {
        let statement = "SELECT * FROM seamline_letter WHERE state = 'waiting' ORDER BY number LIMIT ?";
        let query = sqlx::query(statement).bind(limit);
        let rows = query.fetch_all(self.readers()).await.map_err(not_applied)?;
        rows.iter().map(letter).collect::<Result<_, _>>().map_err(not_applied)
    }

    async fn posted(&self, letters: &[Letter], now: Timestamp) -> Result<(), PortError> {
        let mut writer = self.writer().await;
        let mut transaction = begin(&mut writer).await?;
        posted(&mut transaction, letters, now).await.map_err(not_applied)?;
        commit(transaction).await
    }

    async fn refuse(&self, refused: &[Refused], cases: &[NewCase], now: Timestamp) -> Result<(), PortError> {
        let mut writer = self.writer().await;
        let mut transaction = begin(&mut writer).await?;
        refuse(&mut transaction, refused, cases, now).await.map_err(not_applied)?;
        commit(transaction).await
    }

    async fn heard(
        &self,
        subscription: &SubscriptionRef,
        ids: &[String],
    ) -> Result<Vec<Option<String>>, PortError> {
        let ids = serde_json::to_string(ids).map_err(not_applied)?;
        let statement = "SELECT i.payload FROM json_each(?1) k LEFT JOIN seamline_inbox i \
                         ON i.subscription = ?2 AND i.id = k.value ORDER BY k.key";
        let query = sqlx::query_scalar(statement).bind(ids).bind(subscription.to_string());
        query.fetch_all(self.readers()).await.map_err(not_applied)
    }

    async fn answered(&self, answers: &[Answer], now: Timestamp) -> Result<(), PortError> {
        let mut writer = self.writer().await;
        let mut transaction = begin(&mut writer).await?;
        let statement = "UPDATE seamline_command SET state = 'answered', outcome = ?, answer = ?, ended_at = ? \
                         WHERE id = ? AND state <> 'answered'";
        for it in answers {
            let query = sqlx::query(statement).bind(&it.outcome).bind(&it.payload).bind(now.to_string());
            query.bind(&it.id).execute(&mut *transaction).await.map_err(not_applied)?;
        }
        commit(transaction).await
    }

    async fn overdue(&self, now: Timestamp, limit: u32) -> Result<Vec<Overdue>, PortError> {
        let statement = "SELECT id, contract, command, subscription, due FROM seamline_command \
                         WHERE state IN ('waiting', 'sent') AND NOT late AND due IS NOT NULL AND due < ? ORDER BY due LIMIT ?";
        let query = sqlx::query(statement).bind(now.to_string()).bind(limit);
        let rows = query.fetch_all(self.readers()).await.map_err(not_applied)?;
        rows.iter().map(overdue).collect::<Result<_, _>>().map_err(not_applied)
    }

    async fn late(&self, ids: &[String], cases: &[NewCase], now: Timestamp) -> Result<(), PortError> {
        let mut writer = self.writer().await;
        let mut transaction = begin(&mut writer).await?;
        late(&mut transaction, ids, cases, now).await.map_err(not_applied)?;
        commit(transaction).await
    }

    async fn forget_commands(&self, before: Timestamp, limit: u32) -> Result<u64, PortError> {
        let statement = "DELETE FROM seamline_command WHERE id IN (SELECT id FROM seamline_command \
                         WHERE ended_at < ? ORDER BY ended_at LIMIT ?)";
        let mut writer = self.writer().await;
        let mut transaction = begin(&mut writer).await?;
        let query = sqlx::query(statement).bind(before.to_string()).bind(limit);
        let forgotten = query.execute(&mut *transaction).await.map_err(not_applied)?.rows_affected();
        commit(transaction).await?;
        Ok(forgotten)
    }
}

async fn posted(conn: &mut SqliteConnection, letters: &[Letter], now: Timestamp) -> Result<(), sqlx::Error> {
    for letter in letters {
        if letter.outcome.is_none() {
            let sent =
                "UPDATE seamline_command SET state = 'sent', sent_at = ? WHERE id = ? AND state = 'waiting'";
            sqlx::query(sent).bind(now.to_string()).bind(&letter.id).execute(&mut *conn).await?;
        }
        let gone = sqlx::query("DELETE FROM seamline_letter WHERE number = ?");
        gone.bind(signed(letter.number)).execute(&mut *conn).await?;
    }
    Ok(())
}

async fn refuse(
    conn: &mut SqliteConnection,
    refused: &[Refused],
    cases: &[NewCase],
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    for it in refused {
        let (rule, path, message) = &it.violation;
        let statement = "UPDATE seamline_letter SET state = 'refused', rule = ?, path = ?, message = ? \
                         WHERE number = ? RETURNING id, outcome";
        let query = sqlx::query(statement).bind(rule).bind(path).bind(message).bind(signed(it.number));
        let Some(row) = query.fetch_optional(&mut *conn).await? else { continue };
        if row.get::<Option<&str>, _>(1).is_none() {
            let statement =
                "UPDATE seamline_command SET state = 'refused', why = ?, ended_at = ? WHERE id = ?";
            let query = sqlx::query(statement).bind(format!("{rule} at `{path}`: {message}"));
            query.bind(now.to_string()).bind(row.get::<&str, _>(0)).execute(&mut *conn).await?;
        }
    }
    for case in cases {
        raise(conn, case, now).await?;
    }
    Ok(())
}

async fn late(
    conn: &mut SqliteConnection,
    ids: &[String],
    cases: &[NewCase],
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    for id in ids {
        let statement = sqlx::query("UPDATE seamline_command SET late = 1 WHERE id = ?");
        statement.bind(id).execute(&mut *conn).await?;
    }
    for case in cases {
        raise(conn, case, now).await?;
    }
    Ok(())
}

fn letter(row: &SqliteRow) -> Result<Letter, sqlx::Error> {
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
        written_at: moment(row.get("written_at"))?,
    })
}

fn overdue(row: &SqliteRow) -> Result<Overdue, sqlx::Error> {
    Ok(Overdue {
        id: row.get("id"),
        contract: row.get("contract"),
        command: row.get("command"),
        subscription: row.get::<&str, _>("subscription").parse().map_err(corrupt)?,
        due: moment(row.get("due"))?,
    })
}
