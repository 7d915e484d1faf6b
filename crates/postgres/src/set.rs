//! Sets of reference data in a context's database.

use crate::case::moment;
use crate::database::{Database, commit};
use crate::sql::{corrupt, not_applied, signed, unsigned};
use seamline_contract::id::{ContractId, SubscriptionRef};
use seamline_flow::port::PortError;
use seamline_flow::reference::{Sending, SentSet, Sets};
use seamline_flow::store::TakenSet;
use seamline_message::digest::Digest;
use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};

impl Sets for Database {
    async fn sending(&self, contract: &ContractId) -> Result<Sending, PortError> {
        let query = sqlx::query("SELECT * FROM seamline.set_out WHERE contract = $1").bind(contract.as_str());
        let row = query.fetch_optional(self.pool()).await.map_err(not_applied)?;
        row.as_ref().map(sending).transpose().map_err(not_applied).map(Option::unwrap_or_default)
    }

    async fn draw(&self, contract: &ContractId, above: u64) -> Result<u64, PortError> {
        let mut transaction = self.begin().await?;
        let draw =
            "UPDATE seamline.set_out SET drawn = greatest(drawn, $1) + 1 WHERE contract = $2 RETURNING drawn";
        let draw = sqlx::query_scalar(draw).bind(signed(above)).bind(contract.as_str());
        let drawn: i64 = draw.fetch_one(&mut *transaction).await.map_err(not_applied)?;
        commit(transaction).await?;
        unsigned(drawn).map_err(not_applied)
    }

    async fn sent(&self, contract: &ContractId, set: &SentSet) -> Result<(), PortError> {
        let mut transaction = self.begin().await?;
        let note = "UPDATE seamline.set_out SET number = $1, rows = $2, digest = $3, hour = $4, asked_then = $5, taken = $6 \
                    WHERE contract = $7 AND (number IS NULL OR number < $1)";
        let note = sqlx::query(note).bind(signed(set.number)).bind(signed(set.rows));
        let note = note.bind(set.digest.to_bytes().to_vec()).bind(set.hour.map(|hour| hour.to_string()));
        let note = note.bind(signed(set.asked)).bind(set.taken.to_string()).bind(contract.as_str());
        note.execute(&mut *transaction).await.map_err(not_applied)?;
        commit(transaction).await
    }
}

fn sending(row: &PgRow) -> Result<Sending, sqlx::Error> {
    let last = match row.get::<Option<i64>, _>("number") {
        None => None,
        Some(number) => Some(SentSet {
            number: unsigned(number)?,
            rows: unsigned(row.get("rows"))?,
            digest: digest(row)?,
            hour: hour(row)?,
            asked: unsigned(row.get("asked_then"))?,
            taken: moment(row.get("taken"))?,
        }),
    };
    Ok(Sending { drawn: unsigned(row.get("drawn"))?, asked: unsigned(row.get("asked"))?, last })
}

fn digest(row: &PgRow) -> Result<Digest, sqlx::Error> {
    Ok(Digest::from_bytes(row.get::<&[u8], _>("digest").try_into().map_err(corrupt)?))
}

fn hour(row: &PgRow) -> Result<Option<jiff::Timestamp>, sqlx::Error> {
    row.get::<Option<&str>, _>("hour").map(moment).transpose()
}

/// Returns the set that the table of a subscription holds.
pub(crate) async fn taken(
    conn: &mut PgConnection,
    subscription: &SubscriptionRef,
) -> Result<Option<TakenSet>, sqlx::Error> {
    let query =
        sqlx::query("SELECT * FROM seamline.set WHERE subscription = $1").bind(subscription.to_string());
    let Some(row) = query.fetch_optional(conn).await? else { return Ok(None) };
    Ok(Some(TakenSet {
        number: unsigned(row.get("number"))?,
        rows: unsigned(row.get("rows"))?,
        digest: digest(&row)?,
        version: row.get::<&str, _>("version").parse().map_err(corrupt)?,
        hour: hour(&row)?,
        taken: moment(row.get("taken"))?,
        applied: moment(row.get("applied"))?,
    }))
}

/// Writes which set the table of a subscription holds from now on.
pub(crate) async fn write(
    conn: &mut PgConnection,
    subscription: &SubscriptionRef,
    set: &TakenSet,
) -> Result<(), sqlx::Error> {
    let write = "INSERT INTO seamline.set (subscription, number, rows, digest, version, hour, taken, applied) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (subscription) DO UPDATE SET number = excluded.number, \
                 rows = excluded.rows, digest = excluded.digest, version = excluded.version, hour = excluded.hour, \
                 taken = excluded.taken, applied = excluded.applied";
    let write = sqlx::query(write).bind(subscription.to_string()).bind(signed(set.number));
    let write =
        write.bind(signed(set.rows)).bind(set.digest.to_bytes().to_vec()).bind(set.version.to_string());
    let write = write.bind(set.hour.map(|hour| hour.to_string())).bind(set.taken.to_string());
    write.bind(set.applied.to_string()).execute(conn).await?;
    Ok(())
}
