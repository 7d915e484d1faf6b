//! The injector: breaks things by raw SQL and raw appends, as people and networks do, and keeps the answer key.

use crate::demo::fault::FaultKind;
use crate::demo::insurer::{Insurer, key};
use crate::demo::scene::Scene;
use anyhow::{Context, Result};
use seamline_flow::log::{Fetched, Incoming, Log, Outgoing};
use seamline_message::key::partition;
use sqlx::Row;

/// A fault that was injected: the injector's own record, which the product does not see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Injected {
    /// The kind.
    pub(crate) kind: FaultKind,
    /// The key's canonical text; none where no key is concerned.
    pub(crate) key: Option<String>,
    /// The context in whose care it lies.
    pub(crate) context: &'static str,
    /// What was done, for people.
    pub(crate) what: String,
}

/// A consumer's table that hands can reach.
struct Table {
    context: &'static str,
    name: &'static str,
    key: &'static str,
    edit: &'static str,
    insert: &'static str,
}

const TABLES: [Table; 3] = [
    Table {
        context: "claims",
        name: "policy_eligibility",
        key: "policy_ref",
        edit: "UPDATE policy_eligibility SET may_open_claim = 1 - may_open_claim WHERE policy_ref = ?1",
        insert: "INSERT INTO policy_eligibility (policy_ref, may_open_claim, cover_from) VALUES (?1, 1, '2026-01-01')",
    },
    Table {
        context: "crm",
        name: "policy_copy",
        key: "policy_id",
        edit: "UPDATE policy_copy SET product = product || ' XL' WHERE policy_id = ?1",
        insert: "INSERT INTO policy_copy (policy_id, cover, cover_from, product, holder_name, annual_premium)
                 VALUES (?1, 'eligible', '2026-01-01', 'Cargo', 'Nordwind Bakery', '100.00')",
    },
    Table {
        context: "billing",
        name: "policy_terms",
        key: "contract_ref",
        edit: "UPDATE policy_terms SET yearly_premium = '1.00' WHERE contract_ref = ?1",
        insert: "INSERT INTO policy_terms (contract_ref, bill_from, yearly_premium) VALUES (?1, '2026-01-01', '100.00')",
    },
];

/// The topic whose records are repeated, shuffled and poisoned: what claims is entitled to.
const TOPIC: &str = "policy-administration.policy.v2.eligibility.state";

/// A fault to come: all but its policy is drawn from the seed beforehand.
struct Planned {
    due: f64,
    kind: FaultKind,
    table: usize,
    crash: usize,
}

/// The contexts whose workers are killed.
const CRASHES: [&str; 4] = ["policy-administration", "claims", "crm", "billing"];

/// A fault under way: its policy is frozen, and it waits until all that was in flight arrived.
struct Pending {
    kind: FaultKind,
    policy: String,
    table: usize,
}

/// Injects the faults of a plan, one after the other, when their time has come.
pub(crate) struct Injector {
    plan: Vec<Planned>,
    pending: Vec<Pending>,
    strangers: u32,
    /// What was injected.
    pub(crate) injected: Vec<Injected>,
}

impl Injector {
    /// Plans `times` of each kind between a tenth and nine tenths of the run; a crash is the caller's to carry out.
    pub(crate) fn new(kinds: &[FaultKind], times: usize, seconds: f64, insurer: &mut Insurer) -> Self {
        let mut plan: Vec<Planned> = Vec::new();
        for kind in kinds {
            for _ in 0..times {
                let share = 0.2 + 0.7 * insurer.below(1_000) as f64 / 1_000.0;
                let (table, crash) = (insurer.below(TABLES.len()), insurer.below(CRASHES.len()));
                plan.push(Planned { due: share * seconds, kind: *kind, table, crash });
            }
        }
        plan.sort_by(|a, b| b.due.total_cmp(&a.due));
        Injector { plan, pending: Vec::new(), strangers: 0, injected: Vec::new() }
    }

    /// Returns whether everything planned was injected.
    pub(crate) fn is_done(&self) -> bool {
        self.plan.is_empty() && self.pending.is_empty()
    }

    /// Injects what is due at a moment of the run, in seconds. Returns the context to crash, when a crash is due.
    ///
    /// # Errors
    /// When a database or the log does not do it.
    pub(crate) async fn tick(
        &mut self,
        at: f64,
        scene: &Scene,
        insurer: &mut Insurer,
    ) -> Result<Option<&'static str>> {
        let mut crash = None;
        while let Some(mut planned) = self.plan.pop_if(|planned| planned.due <= at) {
            let (kind, table) = (planned.kind, planned.table);
            match kind {
                FaultKind::Crash => {
                    let context = CRASHES[planned.crash];
                    self.note(kind, None, context, format!("the workers of {context} are killed"));
                    crash = Some(context);
                }
                FaultKind::Poison => self.poison(scene).await?,
                FaultKind::Insert => self.insert(scene, table).await?,
                _ => match insurer.freeze() {
                    Some(policy) => self.pending.push(Pending { kind, policy, table }),
                    None => {
                        planned.due = at + 0.2;
                        self.plan.push(planned);
                        break;
                    }
                },
            }
            if crash.is_some() {
                break;
            }
        }
        for pending in std::mem::take(&mut self.pending) {
            if !settled(scene, &pending.policy).await? || !self.strike(scene, &pending).await? {
                self.pending.push(pending);
            }
        }
        Ok(crash)
    }

    fn note(&mut self, kind: FaultKind, key: Option<String>, context: &'static str, what: String) {
        self.injected.push(Injected { kind, key, context, what });
    }

    /// Injects one fault into a settled policy. Returns whether it could be.
    async fn strike(&mut self, scene: &Scene, pending: &Pending) -> Result<bool> {
        let policy = &pending.policy;
        let table = &TABLES[pending.table];
        let mut context = "policy-administration";
        let what = match pending.kind {
            FaultKind::Duplicate | FaultKind::Reordering | FaultKind::Late => {
                let Some(what) = disorder(scene, pending).await? else { return Ok(false) };
                what
            }
            FaultKind::Edit => {
                execute(scene, table.context, table.edit, policy).await?;
                context = table.context;
                format!("a cell of {policy} in {}'s {} changed by hand", table.context, table.name)
            }
            FaultKind::Delete => {
                let sql = format!("DELETE FROM {} WHERE {} = ?1", table.name, table.key);
                execute(scene, table.context, &sql, policy).await?;
                context = table.context;
                format!("{policy} deleted from {}'s {} by hand", table.context, table.name)
            }
            FaultKind::Unpublished => {
                let sql =
                    "UPDATE policy_current SET cover_from = date(cover_from, '-1 day') WHERE policy_no = ?1";
                execute(scene, context, sql, policy).await?;
                format!("cover of {policy} changed at its source, published nothing")
            }
            FaultKind::Lost => {
                lose(scene, policy).await?;
                format!("a renewal of {policy} vanished from the outbox")
            }
            FaultKind::Invalid => {
                let sql = "UPDATE policy_current SET cover_to = '1999-12-31' WHERE policy_no = ?1";
                change(scene, sql, policy).await?;
                format!("{policy} renewed to a day before its cover begins")
            }
            FaultKind::Crash | FaultKind::Poison | FaultKind::Insert => unreachable!("these need no policy"),
        };
        self.note(pending.kind, Some(key(policy)), context, what);
        Ok(true)
    }

    async fn poison(&mut self, scene: &Scene) -> Result<()> {
        let record = Outgoing {
            topic: TOPIC.to_owned(),
            partition: 0,
            key: None,
            headers: Vec::new(),
            value: Some(b"<policy status=\"ACTIVE\"/>".to_vec()),
        };
        scene.log_file().inject(record).await?;
        self.note(
            FaultKind::Poison,
            None,
            "claims",
            "bytes that are no message appended to what claims reads".to_owned(),
        );
        Ok(())
    }

    async fn insert(&mut self, scene: &Scene, table: usize) -> Result<()> {
        let table = &TABLES[table];
        self.strangers += 1;
        let policy = format!("P-9{:07}", self.strangers);
        execute(scene, table.context, table.insert, &policy).await?;
        let what = format!("{policy} inserted into {}'s {} by hand", table.context, table.name);
        self.note(FaultKind::Insert, Some(key(&policy)), table.context, what);
        Ok(())
    }
}

async fn execute(scene: &Scene, context: &str, sql: &str, policy: &str) -> Result<()> {
    let mut writer = scene.file(context).writer().await;
    let done = sqlx::query(sqlx::AssertSqlSafe(sql.to_owned())).bind(policy).execute(&mut *writer).await;
    done.with_context(|| format!("{context}: {sql}"))?;
    Ok(())
}

/// Changes a policy and publishes its renewal, as its service would.
async fn change(scene: &Scene, sql: &'static str, policy: &str) -> Result<()> {
    let mut writer = scene.file("policy-administration").writer().await;
    let mut tx = sqlx::Connection::begin(&mut *writer).await?;
    sqlx::query(sql).bind(policy).execute(&mut *tx).await?;
    let publish =
        "INSERT INTO seamline_publish (contract, change, key) VALUES ('policy', 'PolicyRenewed', ?1)";
    sqlx::query(publish).bind(key(policy)).execute(&mut *tx).await?;
    Ok(tx.commit().await?)
}

/// Renews a policy and lets the outbox row vanish, all in one transaction, so that no relay can have seen it.
async fn lose(scene: &Scene, policy: &str) -> Result<()> {
    let mut writer = scene.file("policy-administration").writer().await;
    let mut tx = sqlx::Connection::begin(&mut *writer).await?;
    let renew = "UPDATE policy_current SET cover_to = date(coalesce(cover_to, cover_from), '+1 year') WHERE policy_no = ?1";
    sqlx::query(renew).bind(policy).execute(&mut *tx).await?;
    let publish =
        "INSERT INTO seamline_publish (contract, change, key) VALUES ('policy', 'PolicyRenewed', ?1)";
    sqlx::query(publish).bind(key(policy)).execute(&mut *tx).await?;
    sqlx::query("DELETE FROM seamline_outbox WHERE key = ?1").bind(key(policy)).execute(&mut *tx).await?;
    Ok(tx.commit().await?)
}

/// Returns whether all that was published of a policy is in every table that hands can reach.
async fn settled(scene: &Scene, policy: &str) -> Result<bool> {
    let readers = scene.file("policy-administration").readers();
    let published = sqlx::query("SELECT sequence FROM seamline_key WHERE contract = 'policy' AND key = ?1")
        .bind(key(policy))
        .fetch_optional(readers)
        .await?;
    let Some(published) = published else { return Ok(false) };
    for table in &TABLES {
        let sql = format!("SELECT seamline_sequence FROM {} WHERE {} = ?1", table.name, table.key);
        let row = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(policy)
            .fetch_optional(scene.file(table.context).readers())
            .await?;
        let arrived = row.and_then(|row| row.get::<Option<i64>, _>(0));
        if arrived != Some(published.get::<i64, _>(0)) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Repeats records of a policy as a network or an old producer would. Returns nothing when there are too few of them.
async fn disorder(scene: &Scene, pending: &Pending) -> Result<Option<String>> {
    let records = records_of(scene, &pending.policy).await?;
    let [.., older, last] = records.as_slice() else {
        // One record alone cannot be out of order: the policy is changed once more, and this is tried again.
        let sql = "UPDATE policy_current SET annual_premium = printf('%.2f', annual_premium + 1) WHERE policy_no = ?1";
        change(scene, sql, &pending.policy).await?;
        return Ok(None);
    };
    let policy = &pending.policy;
    let (again, what) = match pending.kind {
        FaultKind::Duplicate => (vec![last], format!("the last record of {policy} delivered twice")),
        FaultKind::Reordering => (vec![older, last], format!("records of {policy} delivered out of order")),
        _ => (vec![older], format!("an old record of {policy} written after its last one")),
    };
    for record in again {
        scene
            .log_file()
            .inject(Outgoing {
                topic: TOPIC.to_owned(),
                partition: partition(key(policy).as_bytes(), scene.partitions),
                key: record.key.clone(),
                headers: record.headers.clone(),
                value: record.value.clone(),
            })
            .await?;
    }
    Ok(Some(what))
}

async fn records_of(scene: &Scene, policy: &str) -> Result<Vec<Incoming>> {
    let topic = scene.log.topic(TOPIC).await?.context("the topic is made when the producer is installed")?;
    let wanted = key(policy);
    let place = partition(wanted.as_bytes(), topic.partitions);
    let mut records = Vec::new();
    let mut from = 0;
    while let Fetched::Records(fetch) = scene.log.fetch(&topic, place, from, 1_000).await? {
        if fetch.next == from {
            break;
        }
        from = fetch.next;
        records.extend(
            fetch.records.into_iter().filter(|record| record.key.as_deref() == Some(wanted.as_bytes())),
        );
    }
    Ok(records)
}
