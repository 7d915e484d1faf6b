//! The keys of subjects in a producer's database.

use crate::database::{Database, commit};
use crate::sql::{corrupt, not_applied};
use jiff::Timestamp;
use seamline_contract::id::ContractId;
use seamline_flow::port::PortError;
use seamline_flow::seal::{KeptKey, NewKey, Vault};
use seamline_message::seal::{KeyId, Wrapped};
use sqlx::Row;
use sqlx::postgres::PgRow;

impl Vault for Database {
    async fn keys_of(
        &self,
        contract: &ContractId,
        subjects: &[String],
    ) -> Result<Vec<Option<KeptKey>>, PortError> {
        let look = "SELECT s.id, s.under, s.wrapped FROM unnest($1::text[]) WITH ORDINALITY asked (subject, place) \
                    LEFT JOIN seamline.seal s ON s.contract = $2 AND s.subject = asked.subject ORDER BY asked.place";
        let look = sqlx::query(look).bind(subjects).bind(contract.as_str());
        let rows = look.fetch_all(self.pool()).await.map_err(not_applied)?;
        let found = rows.iter().map(|row| match row.get::<Option<&str>, _>("id") {
            Some(_) => kept(row).map(Some),
            None => Ok(None),
        });
        found.collect::<Result<_, _>>().map_err(not_applied)
    }

    async fn keep_keys(
        &self,
        contract: &ContractId,
        keys: &[NewKey],
        now: Timestamp,
    ) -> Result<(), PortError> {
        let each = |of: fn(&NewKey) -> String| keys.iter().map(of).collect::<Vec<String>>();
        let bytes: Vec<&[u8]> = keys.iter().map(|key| key.wrapped.bytes.as_slice()).collect();
        let mut transaction = self.begin().await?;
        let keep = "INSERT INTO seamline.seal (id, contract, subject, under, wrapped, made) \
                    SELECT k.id, $1, k.subject, k.under, k.wrapped, $6::timestamptz \
                    FROM unnest($2::text[], $3::text[], $4::text[], $5::bytea[]) k (id, subject, under, wrapped) \
                    ORDER BY k.subject ON CONFLICT DO NOTHING";
        let keep = sqlx::query(keep).bind(contract.as_str()).bind(each(|key| key.id.to_string()));
        let keep = keep.bind(each(|key| key.subject.clone())).bind(each(|key| key.wrapped.under.clone()));
        let keep = keep.bind(bytes).bind(now.to_string());
        keep.execute(&mut *transaction).await.map_err(not_applied)?;
        commit(transaction).await
    }

    async fn keys_by_id(&self, contract: &ContractId, ids: &[KeyId]) -> Result<Vec<KeptKey>, PortError> {
        let asked: Vec<String> = ids.iter().map(ToString::to_string).collect();
        let look = "SELECT id, under, wrapped FROM seamline.seal WHERE contract = $1 AND id = ANY ($2)";
        let look = sqlx::query(look).bind(contract.as_str()).bind(asked);
        let rows = look.fetch_all(self.pool()).await.map_err(not_applied)?;
        rows.iter().map(kept).collect::<Result<_, _>>().map_err(not_applied)
    }

    async fn destroy_keys(
        &self,
        contract: &ContractId,
        subject: &str,
        now: Timestamp,
    ) -> Result<u64, PortError> {
        let mut transaction = self.begin().await?;
        let destroy = "UPDATE seamline.seal SET subject = NULL, under = NULL, wrapped = NULL, \
                       destroyed = $1::timestamptz WHERE contract = $2 AND subject = $3";
        let destroy = sqlx::query(destroy).bind(now.to_string()).bind(contract.as_str()).bind(subject);
        let gone = destroy.execute(&mut *transaction).await.map_err(not_applied)?.rows_affected();
        commit(transaction).await?;
        Ok(gone)
    }

    async fn keys_not_under(&self, under: &str, limit: usize) -> Result<Vec<KeptKey>, PortError> {
        let look = "SELECT id, under, wrapped FROM seamline.seal WHERE under <> $1 ORDER BY id LIMIT $2";
        let look = sqlx::query(look).bind(under).bind(i64::try_from(limit).unwrap_or(i64::MAX));
        let rows = look.fetch_all(self.pool()).await.map_err(not_applied)?;
        rows.iter().map(kept).collect::<Result<_, _>>().map_err(not_applied)
    }

    async fn rewrap_key(&self, id: KeyId, from: &Wrapped, to: &Wrapped) -> Result<bool, PortError> {
        let mut transaction = self.begin().await?;
        let change = "UPDATE seamline.seal SET under = $1, wrapped = $2 \
                      WHERE id = $3 AND under = $4 AND wrapped = $5";
        let change = sqlx::query(change).bind(&to.under).bind(&to.bytes).bind(id.to_string());
        let change = change.bind(&from.under).bind(&from.bytes);
        let changed = change.execute(&mut *transaction).await.map_err(not_applied)?.rows_affected();
        commit(transaction).await?;
        Ok(changed > 0)
    }
}

fn kept(row: &PgRow) -> Result<KeptKey, sqlx::Error> {
    let id = row.get::<&str, _>("id").parse().map_err(corrupt)?;
    let under: Option<String> = row.get("under");
    let bytes: Option<Vec<u8>> = row.get("wrapped");
    Ok(KeptKey { id, wrapped: under.zip(bytes).map(|(under, bytes)| Wrapped { under, bytes }) })
}
