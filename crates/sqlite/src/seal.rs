//! The keys of subjects in a producer's file.

use crate::context::Database;
use crate::file::{begin, commit, corrupt, not_applied};
use jiff::Timestamp;
use seamline_contract::id::ContractId;
use seamline_flow::port::PortError;
use seamline_flow::seal::{KeptKey, NewKey, Vault};
use seamline_message::seal::{KeyId, Wrapped};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

impl Vault for Database {
    async fn keys_of(
        &self,
        contract: &ContractId,
        subjects: &[String],
    ) -> Result<Vec<Option<KeptKey>>, PortError> {
        let asked = serde_json::Value::from(subjects).to_string();
        let look = "SELECT s.id, s.under, s.wrapped FROM json_each(?) asked \
                    LEFT JOIN seamline_seal s ON s.contract = ? AND s.subject = asked.value ORDER BY asked.key";
        let look = sqlx::query(look).bind(asked).bind(contract.as_str());
        let rows = look.fetch_all(self.readers()).await.map_err(not_applied)?;
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
        let mut writer = self.writer().await;
        let mut transaction = begin(&mut writer).await?;
        for key in keys {
            let keep = "INSERT INTO seamline_seal (id, contract, subject, under, wrapped, made) \
                        VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING";
            let keep = sqlx::query(keep).bind(key.id.to_string()).bind(contract.as_str()).bind(&key.subject);
            let keep = keep.bind(&key.wrapped.under).bind(&key.wrapped.bytes).bind(now.to_string());
            keep.execute(&mut *transaction).await.map_err(not_applied)?;
        }
        commit(transaction).await
    }

    async fn keys_by_id(&self, contract: &ContractId, ids: &[KeyId]) -> Result<Vec<KeptKey>, PortError> {
        let asked: Vec<String> = ids.iter().map(ToString::to_string).collect();
        let look = "SELECT id, under, wrapped FROM seamline_seal \
                    WHERE contract = ? AND id IN (SELECT value FROM json_each(?))";
        let look = sqlx::query(look).bind(contract.as_str()).bind(serde_json::Value::from(asked).to_string());
        let rows = look.fetch_all(self.readers()).await.map_err(not_applied)?;
        rows.iter().map(kept).collect::<Result<_, _>>().map_err(not_applied)
    }

    async fn destroy_keys(
        &self,
        contract: &ContractId,
        subject: &str,
        now: Timestamp,
    ) -> Result<u64, PortError> {
        let mut writer = self.writer().await;
        let mut transaction = begin(&mut writer).await?;
        let destroy = "UPDATE seamline_seal SET subject = NULL, under = NULL, wrapped = NULL, destroyed = ? \
                       WHERE contract = ? AND subject = ?";
        let destroy = sqlx::query(destroy).bind(now.to_string()).bind(contract.as_str()).bind(subject);
        let gone = destroy.execute(&mut *transaction).await.map_err(not_applied)?.rows_affected();
        commit(transaction).await?;
        Ok(gone)
    }

    async fn keys_not_under(&self, under: &str, limit: usize) -> Result<Vec<KeptKey>, PortError> {
        let look = "SELECT id, under, wrapped FROM seamline_seal WHERE under <> ? ORDER BY id LIMIT ?";
        let look = sqlx::query(look).bind(under).bind(i64::try_from(limit).unwrap_or(i64::MAX));
        let rows = look.fetch_all(self.readers()).await.map_err(not_applied)?;
        rows.iter().map(kept).collect::<Result<_, _>>().map_err(not_applied)
    }

    async fn rewrap_key(&self, id: KeyId, from: &Wrapped, to: &Wrapped) -> Result<bool, PortError> {
        let mut writer = self.writer().await;
        let mut transaction = begin(&mut writer).await?;
        let change =
            "UPDATE seamline_seal SET under = ?, wrapped = ? WHERE id = ? AND under = ? AND wrapped = ?";
        let change = sqlx::query(change).bind(&to.under).bind(&to.bytes).bind(id.to_string());
        let change = change.bind(&from.under).bind(&from.bytes);
        let changed = change.execute(&mut *transaction).await.map_err(not_applied)?.rows_affected();
        commit(transaction).await?;
        Ok(changed > 0)
    }
}

fn kept(row: &SqliteRow) -> Result<KeptKey, sqlx::Error> {
    let id = row.get::<&str, _>("id").parse().map_err(corrupt)?;
    let under: Option<String> = row.get("under");
    let bytes: Option<Vec<u8>> = row.get("wrapped");
    Ok(KeptKey { id, wrapped: under.zip(bytes).map(|(under, bytes)| Wrapped { under, bytes }) })
}
