//! The insurer's services: each writes its own tables and publishes by key, in one transaction of its own database.

use crate::proving::fault::FaultKind;
use crate::proving::scene::{Scene, Target};
use crate::proving::services::{Blow, Services};
use anyhow::Result;
use jiff::ToSpan;
use jiff::civil::{Date, date};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;
use seamline_contract::id::ContractName;
use seamline_message::key::RecordKey;
use sqlx::{Connection, Row, SqliteConnection};
use std::collections::BTreeMap;

/// The tables of the services, by context. Nothing of Seamline is in them.
pub(crate) const TABLES: [(&str, &str); 4] = [
    (
        "policy-administration",
        "CREATE TABLE IF NOT EXISTS policy_current (policy_no TEXT PRIMARY KEY, claims_status TEXT NOT NULL,
           cover_from TEXT NOT NULL, cover_to TEXT, product TEXT NOT NULL, holder_name TEXT NOT NULL,
           annual_premium TEXT NOT NULL) STRICT",
    ),
    (
        "billing",
        "CREATE TABLE IF NOT EXISTS receivable_current (contract_ref TEXT PRIMARY KEY, billing_status TEXT NOT NULL,
           delinquency TEXT NOT NULL, outstanding TEXT NOT NULL, paid_to TEXT) STRICT",
    ),
    (
        "claims",
        "CREATE TABLE IF NOT EXISTS claim_stop (message TEXT PRIMARY KEY, policy_ref TEXT NOT NULL, reason TEXT) STRICT",
    ),
    (
        "document-management",
        "CREATE TABLE IF NOT EXISTS document (message TEXT PRIMARY KEY, policy_ref TEXT NOT NULL, kind TEXT NOT NULL,
           times INTEGER NOT NULL) STRICT",
    ),
];

/// CRM's own answer: cover and payment side by side, composed from two projections, each in its owner's words.
pub(crate) const OVERVIEW: &str = "CREATE VIEW IF NOT EXISTS policy_overview AS
    SELECT p.policy_id, p.cover, p.cover_to, p.product, r.payment, r.arrears,
           CASE WHEN p.cover = 'ineligible' THEN 'notCovered'
                WHEN r.arrears IS NOT NULL AND r.arrears <> 'none' THEN 'payNow'
                ELSE 'inOrder' END AS notice
      FROM policy_copy p LEFT JOIN receivable_copy r ON r.policy_id = p.policy_id";

const PRODUCTS: [&str; 4] = ["Motor Plus", "Home Basic", "Cargo", "Liability"];
const HOLDERS: [&str; 6] = [
    "Harbour Logistics",
    "Nordwind Bakery",
    "Linden Clinic",
    "Atlas Rail Parts",
    "Mühle & Söhne",
    "Port Authority",
];

/// Where a policy stands, as policy administration last committed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stand {
    Eligible,
    Suspended,
    Ended,
}

/// What the services remember between two transactions.
pub(crate) struct Insurer {
    rng: ChaCha8Rng,
    stands: BTreeMap<String, Stand>,
    frozen: Vec<String>,
    next: u32,
    strangers: u32,
}

/// The canonical key text of a policy.
fn key(policy: &str) -> String {
    format!("[\"{policy}\"]")
}

impl Insurer {
    /// Returns services without any policy.
    pub(crate) fn new(rng: ChaCha8Rng) -> Self {
        Insurer { rng, stands: BTreeMap::new(), frozen: Vec::new(), next: 1, strangers: 0 }
    }

    /// Returns how many policies the services write.
    pub(crate) fn policies(&self) -> usize {
        self.stands.len() + self.frozen.len()
    }

    /// One transaction of policy administration: a new policy, or a change of one it has.
    ///
    /// # Errors
    /// Those of the database; then nothing of it happened.
    pub(crate) async fn underwrite(&mut self, core: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        let grow = self.stands.len() < 40 || self.below(4) == 0;
        if grow {
            return self.bind(core).await;
        }
        let chosen = self.below(self.stands.len());
        let (no, stand) =
            self.stands.iter().nth(chosen).map(|(no, stand)| (no.clone(), *stand)).expect("chosen below");
        let dice = self.below(10);
        let (sql, change, reason, after): (&str, &str, Option<&str>, Stand) = match (stand, dice) {
            (Stand::Eligible, 0..4) => (
                "UPDATE policy_current SET claims_status = 'ineligible' WHERE policy_no = ?1",
                "PolicySuspended",
                Some("FRAUD_REVIEW"),
                Stand::Suspended,
            ),
            (Stand::Eligible, 4) => (
                "UPDATE policy_current SET claims_status = 'ineligible', cover_to = max(cover_from, '2026-12-31')
                  WHERE policy_no = ?1",
                "PolicyEnded",
                Some("CANCELLED"),
                Stand::Ended,
            ),
            (Stand::Eligible, _) => (
                "UPDATE policy_current SET cover_to = date(coalesce(cover_to, cover_from), '+1 year'),
                        annual_premium = printf('%.2f', annual_premium + 1) WHERE policy_no = ?1",
                "PolicyRenewed",
                None,
                Stand::Eligible,
            ),
            (Stand::Suspended, _) => (
                "UPDATE policy_current SET claims_status = 'eligible' WHERE policy_no = ?1",
                "PolicyReinstated",
                None,
                Stand::Eligible,
            ),
            (Stand::Ended, _) => return self.bind(core).await,
        };
        let mut tx = core.begin().await?;
        sqlx::query(sql).bind(&no).execute(&mut *tx).await?;
        publish(&mut tx, "policy", Some(change), &no, reason).await?;
        tx.commit().await?;
        if after == Stand::Ended {
            self.stands.remove(&no)
        } else {
            self.stands.insert(no, after)
        };
        Ok(())
    }

    async fn bind(&mut self, core: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        let no = format!("P-{:08}", self.next);
        let from = date(2026, 1, 1).saturating_add(i64::try_from(self.below(300)).expect("small").days());
        let to = (self.below(3) > 0).then(|| from.saturating_add(1.year()));
        let premium = format!("{}.{:02}", 90 + self.below(900), self.below(100));
        let (product, holder) = (PRODUCTS[self.below(PRODUCTS.len())], HOLDERS[self.below(HOLDERS.len())]);
        let mut tx = core.begin().await?;
        sqlx::query("INSERT INTO policy_current VALUES (?1, 'eligible', ?2, ?3, ?4, ?5, ?6)")
            .bind(&no)
            .bind(from.to_string())
            .bind(to.map(|to: Date| to.to_string()))
            .bind(product)
            .bind(holder)
            .bind(premium)
            .execute(&mut *tx)
            .await?;
        publish(&mut tx, "policy", Some("PolicyBound"), &no, None).await?;
        tx.commit().await?;
        self.next += 1;
        self.stands.insert(no, Stand::Eligible);
        Ok(())
    }

    /// One transaction of billing: a premium arrives, falls overdue, is chased or settled, on some open account.
    ///
    /// # Errors
    /// Those of the database; then nothing of it happened.
    pub(crate) async fn collect(&mut self, ledger: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        let mut tx = ledger.begin().await?;
        let accounts = sqlx::query(
            "SELECT contract_ref, billing_status, delinquency FROM receivable_current WHERE billing_status <> 'closed'
              ORDER BY contract_ref",
        )
        .fetch_all(&mut *tx)
        .await?;
        let accounts: Vec<_> =
            accounts.iter().filter(|row| !self.frozen.contains(&row.get::<String, _>(0))).collect();
        if accounts.is_empty() {
            return Ok(());
        }
        let account = accounts[self.below(accounts.len())];
        let (no, status, delinquency): (String, String, String) =
            (account.get(0), account.get(1), account.get(2));
        let (sql, change) = match (status.as_str(), delinquency.as_str()) {
            ("awaiting", _) => (
                "UPDATE receivable_current SET billing_status = 'active', paid_to = '2026-12-31' WHERE contract_ref = ?1",
                "FirstPremiumCollected",
            ),
            (_, "none") => (
                "UPDATE receivable_current SET delinquency = 'overdue', outstanding = '120.00' WHERE contract_ref = ?1",
                "PremiumFellOverdue",
            ),
            (_, "overdue") if self.below(2) == 0 => (
                "UPDATE receivable_current SET delinquency = 'dunning' WHERE contract_ref = ?1",
                "DunningStarted",
            ),
            _ => (
                "UPDATE receivable_current SET delinquency = 'none', outstanding = '0.00' WHERE contract_ref = ?1",
                "ArrearsSettled",
            ),
        };
        sqlx::query(sql).bind(&no).execute(&mut *tx).await?;
        publish(&mut tx, "receivable", Some(change), &no, None).await?;
        tx.commit().await
    }
}

impl Services for Insurer {
    fn below(&mut self, end: usize) -> usize {
        let wide = u128::from(self.rng.next_u64()) * end as u128;
        usize::try_from(wide >> 64).expect("below `end`, which is a usize")
    }

    fn suits(&self, target: &Target, kind: FaultKind) -> bool {
        // Poison and disorder strike where claims reads: nobody else meets the same record.
        let apart = match kind {
            FaultKind::Poison | FaultKind::Duplicate | FaultKind::Reordering | FaultKind::Late => {
                target.context == "claims"
            }
            _ => target.is_copy,
        };
        target.contract.contract.as_str() == "policy" && apart
    }

    fn freeze(&mut self, _contract: &ContractName) -> Option<RecordKey> {
        let free: Vec<String> = self
            .stands
            .iter()
            .filter(|(_, stand)| **stand == Stand::Eligible)
            .map(|(no, _)| no.clone())
            .collect();
        if free.is_empty() {
            return None;
        }
        let chosen = free[self.below(free.len())].clone();
        self.stands.remove(&chosen);
        self.frozen.push(chosen.clone());
        Some(RecordKey::from_texts(&[chosen]))
    }

    fn stranger(&mut self, _contract: &ContractName) -> Option<RecordKey> {
        self.strangers += 1;
        Some(RecordKey::from_texts(&[format!("P-9{:07}", self.strangers)]))
    }

    async fn strike(
        &mut self,
        scene: &Scene,
        _contract: &ContractName,
        key: &RecordKey,
        blow: Blow,
    ) -> Result<()> {
        let sql = match blow {
            Blow::Again => {
                "UPDATE policy_current SET annual_premium = printf('%.2f', annual_premium + 1) WHERE policy_no = ?1"
            }
            Blow::Unpublished => {
                "UPDATE policy_current SET cover_from = date(cover_from, '-1 day') WHERE policy_no = ?1"
            }
            Blow::Lost => {
                "UPDATE policy_current SET cover_to = date(coalesce(cover_to, cover_from), '+1 year') WHERE policy_no = ?1"
            }
            Blow::Invalid => "UPDATE policy_current SET cover_to = '1999-12-31' WHERE policy_no = ?1",
        };
        let policy = policy_of(key.as_str());
        let mut writer = scene.file("policy-administration").writer().await;
        let mut tx = writer.begin().await?;
        sqlx::query(sql).bind(&policy).execute(&mut *tx).await?;
        if blow != Blow::Unpublished {
            publish(&mut tx, "policy", Some("PolicyRenewed"), &policy, None).await?;
        }
        if blow == Blow::Lost {
            // In the same transaction, so that no relay can have seen it.
            let vanish = "DELETE FROM seamline_outbox WHERE key = ?1";
            sqlx::query(vanish).bind(key.as_str()).execute(&mut *tx).await?;
        }
        Ok(tx.commit().await?)
    }

    async fn correct(&mut self, scene: &Scene, _contract: &ContractName, key: &RecordKey) -> Result<()> {
        let mut writer = scene.file("policy-administration").writer().await;
        sqlx::query("UPDATE policy_current SET cover_to = NULL WHERE policy_no = ?1")
            .bind(policy_of(key.as_str()))
            .execute(&mut *writer)
            .await?;
        Ok(())
    }
}

/// Publishes by key: the one statement a service adds to its transaction.
async fn publish(
    tx: &mut SqliteConnection,
    contract: &str,
    change: Option<&str>,
    policy: &str,
    reason: Option<&str>,
) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO seamline_publish (contract, change, key, reason) VALUES (?1, ?2, ?3, ?4)")
        .bind(contract)
        .bind(change)
        .bind(key(policy))
        .bind(reason)
        .execute(tx)
        .await?;
    Ok(())
}

/// Billing works its inbox: a bound policy opens an account, an ended one closes it. Returns how many it took.
///
/// # Errors
/// Those of the database; then nothing of it happened.
pub(crate) async fn bill(ledger: &mut SqliteConnection) -> Result<usize, sqlx::Error> {
    let mut tx = ledger.begin().await?;
    let ready = take_ready(&mut tx).await?;
    for message in &ready {
        let policy = policy_of(&message.key);
        match message.event.as_str() {
            "PolicyBound" => {
                let opened = sqlx::query(
                    "INSERT INTO receivable_current VALUES (?1, 'awaiting', 'none', '0.00', NULL) ON CONFLICT DO NOTHING",
                )
                .bind(&policy)
                .execute(&mut *tx)
                .await?;
                if opened.rows_affected() == 1 {
                    publish(&mut tx, "receivable", None, &policy, None).await?;
                }
            }
            "PolicyEnded" => {
                let closed = sqlx::query(
                    "UPDATE receivable_current SET billing_status = 'closed' WHERE contract_ref = ?1 AND billing_status <> 'closed'",
                )
                .bind(&policy)
                .execute(&mut *tx)
                .await?;
                if closed.rows_affected() == 1 {
                    publish(&mut tx, "receivable", Some("AccountClosed"), &policy, None).await?;
                }
            }
            _ => {}
        }
    }
    tx.commit().await?;
    Ok(ready.len())
}

/// Claims works its inbox: a suspension stops running claims.
///
/// # Errors
/// Those of the database; then nothing of it happened.
pub(crate) async fn stop_claims(claims: &mut SqliteConnection) -> Result<usize, sqlx::Error> {
    let mut tx = claims.begin().await?;
    let ready = take_ready(&mut tx).await?;
    for message in &ready {
        sqlx::query("INSERT INTO claim_stop VALUES (?1, ?2, ?3)")
            .bind(&message.id)
            .bind(policy_of(&message.key))
            .bind(&message.reason)
            .execute(&mut *tx)
            .await?;
    }
    tx.commit().await?;
    Ok(ready.len())
}

/// Document management works its inbox: one document for each event, and a witness if it ever were two.
///
/// # Errors
/// Those of the database; then nothing of it happened.
pub(crate) async fn print_documents(dms: &mut SqliteConnection) -> Result<usize, sqlx::Error> {
    let mut tx = dms.begin().await?;
    let ready = take_ready(&mut tx).await?;
    for message in &ready {
        sqlx::query(
            "INSERT INTO document VALUES (?1, ?2, ?3, 1) ON CONFLICT DO UPDATE SET times = times + 1",
        )
        .bind(&message.id)
        .bind(policy_of(&message.key))
        .bind(&message.event)
        .execute(&mut *tx)
        .await?;
    }
    tx.commit().await?;
    Ok(ready.len())
}

/// A reaction as the inbox holds it.
struct Message {
    id: String,
    key: String,
    event: String,
    reason: Option<String>,
}

async fn take_ready(tx: &mut SqliteConnection) -> Result<Vec<Message>, sqlx::Error> {
    let rows = sqlx::query(
        "UPDATE seamline_inbox SET state = 'done', attempts = attempts + 1
          WHERE rowid IN (SELECT rowid FROM seamline_inbox WHERE state = 'waiting' ORDER BY rowid LIMIT 100)
         RETURNING rowid, id, key, event, reason",
    )
    .fetch_all(tx)
    .await?;
    let mut messages: Vec<(i64, Message)> = rows
        .iter()
        .map(|row| {
            let message = Message { id: row.get(1), key: row.get(2), event: row.get(3), reason: row.get(4) };
            (row.get(0), message)
        })
        .collect();
    messages.sort_by_key(|(order, _)| *order);
    Ok(messages.into_iter().map(|(_, message)| message).collect())
}

fn policy_of(key: &str) -> String {
    key.trim_start_matches("[\"").trim_end_matches("\"]").to_owned()
}
