//! The services of a trial: each writes its own table and publishes by key, in one transaction of its context's file.

use crate::proving::fault::FaultKind;
use crate::proving::scene::{Scene, Target};
use crate::proving::services::{Blow, Services};
use crate::trial::cast::Part;
use crate::trial::dice::Dice;
use crate::trial::draft::{Desk, Draft, follow, fresh, nudge, stranger, told};
use anyhow::{Context, Result};
use seamline_contract::id::{ContractName, EventName};
use seamline_message::codec::Row;
use seamline_message::key::RecordKey;
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};
use std::collections::BTreeMap;

/// A contract has so many rows before most changes are of rows that it has.
const ROWS: usize = 12;

/// Once there are enough rows, one change in so many makes another.
const GROW: usize = 5;

/// What was tried of one contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Played {
    /// The contract.
    pub(crate) contract: ContractName,
    /// Keys that began.
    pub(crate) keys: usize,
    /// Changes published.
    pub(crate) changes: u64,
    /// How often each event was published, in the order written.
    pub(crate) events: Vec<(EventName, u64)>,
}

/// The services of a trial.
pub(crate) struct Trade {
    dice: Dice,
    desks: Vec<Desk>,
    changes: Vec<u64>,
    events: BTreeMap<(usize, EventName), u64>,
}

impl Trade {
    /// Returns services without any row.
    pub(crate) fn new(seed: u64, parts: Vec<Part>) -> Trade {
        let desks: Vec<Desk> = parts.into_iter().map(Desk::new).collect();
        let changes = vec![0; desks.len()];
        Trade { dice: Dice::new(seed), desks, changes, events: BTreeMap::new() }
    }

    /// Makes the tables of a context.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn make_tables(
        parts: &[Part],
        context: &str,
        conn: &mut SqliteConnection,
    ) -> Result<()> {
        for part in parts.iter().filter(|part| part.contract.contract.name.context.as_str() == context) {
            sqlx::raw_sql(AssertSqlSafe(part.table.create())).execute(&mut *conn).await?;
        }
        Ok(())
    }

    /// Writes one change of some contract. Returns whether one was found.
    ///
    /// # Errors
    /// The database's; then nothing of it happened.
    pub(crate) async fn change(&mut self, scene: &Scene) -> Result<bool> {
        let at = self.dice.below(self.desks.len());
        let grow = self.desks[at].rows.len() < ROWS || self.dice.once_in(GROW);
        let mut draft = if grow { fresh(&mut self.dice, &self.desks, at) } else { None };
        if draft.is_none() && !self.desks[at].rows.is_empty() {
            draft = follow(&mut self.dice, &self.desks, at);
        }
        let Some(draft) = draft else { return Ok(false) };
        self.write(scene, at, &draft, Way::Published).await?;
        let desk = &mut self.desks[at];
        desk.used.insert(draft.key.clone());
        if draft.ends {
            desk.rows.remove(&draft.key);
        } else {
            desk.rows.insert(draft.key, draft.row);
        }
        Ok(true)
    }

    /// Returns what was tried of each contract.
    pub(crate) fn played(&self) -> Vec<Played> {
        let played = |(at, desk): (usize, &Desk)| {
            let count = |name: &EventName| self.events.get(&(at, name.clone())).copied().unwrap_or(0);
            Played {
                contract: desk.part.contract.contract.name.clone(),
                keys: desk.used.len(),
                changes: self.changes[at],
                events: desk.events().iter().map(|it| (it.name.clone(), count(&it.name))).collect(),
            }
        };
        self.desks.iter().enumerate().map(played).collect()
    }

    fn at(&self, contract: &ContractName) -> Option<usize> {
        self.desks.iter().position(|desk| desk.part.contract.contract.name == *contract)
    }

    /// Writes a row and publishes it, in one transaction.
    async fn write(&mut self, scene: &Scene, at: usize, draft: &Draft, way: Way) -> Result<()> {
        let desk = &self.desks[at];
        let name = &desk.part.contract.contract.name;
        let mut writer = scene.file(name.context.as_str()).writer().await;
        let mut tx = writer.begin().await?;
        run(&mut tx, desk.part.table.put(&draft.row)).await?;
        if way != Way::Silent {
            publish(&mut tx, name, draft).await?;
        }
        if way == Way::Lost {
            // In the same transaction, so that no relay can have seen it.
            let vanish = "DELETE FROM seamline_outbox WHERE contract = ?1 AND key = ?2";
            let vanish = sqlx::query(vanish).bind(name.contract.as_str()).bind(draft.key.as_str());
            vanish.execute(&mut *tx).await?;
        }
        if draft.ends {
            run(&mut tx, desk.part.table.delete(&draft.row)).await?;
        }
        tx.commit().await?;
        if way != Way::Silent {
            self.changes[at] += 1;
            if let Some(change) = &draft.change {
                *self.events.entry((at, change.event.clone())).or_default() += 1;
            }
        }
        Ok(())
    }
}

/// How a change gets out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Published,
    Silent,
    Lost,
}

impl Services for Trade {
    fn below(&mut self, end: usize) -> usize {
        self.dice.below(end)
    }

    fn suits(&self, target: &Target, kind: FaultKind) -> bool {
        let Some(at) = self.at(&target.contract) else { return false };
        let desk = &self.desks[at];
        match kind {
            FaultKind::Invalid => desk.part.table.can_be_spoilt(&desk.part.contract),
            FaultKind::Unpublished
            | FaultKind::Lost
            | FaultKind::Late
            | FaultKind::Reordering
            | FaultKind::Duplicate => !desk.loose().is_empty(),
            _ => true,
        }
    }

    fn freeze(&mut self, contract: &ContractName) -> Option<RecordKey> {
        let at = self.at(contract)?;
        let desk = &mut self.desks[at];
        // A few rows stay, so that the load goes on.
        if desk.rows.len() < 2 {
            return None;
        }
        let chosen = self.dice.below(desk.rows.len());
        let (key, row) = desk.rows.iter().nth(chosen).map(|(key, row)| (key.clone(), row.clone()))?;
        desk.rows.remove(&key);
        desk.frozen.insert(key.clone(), row);
        Some(key)
    }

    fn stranger(&mut self, contract: &ContractName) -> Option<RecordKey> {
        let at = self.at(contract)?;
        let key = stranger(&mut self.dice, &self.desks[at])?;
        self.desks[at].used.insert(key.clone());
        Some(key)
    }

    async fn strike(
        &mut self,
        scene: &Scene,
        contract: &ContractName,
        key: &RecordKey,
        blow: Blow,
    ) -> Result<()> {
        let at = self.at(contract).context("a fault is chosen where it suits")?;
        let row = self.desks[at].frozen.get(key).context("a row that is struck is frozen")?.clone();
        if blow == Blow::Invalid {
            return self.spoil(scene, at, key, &row).await;
        }
        let draft = self.other(at, key, &row, blow == Blow::Lost).context("a row has another state")?;
        let way = match blow {
            Blow::Unpublished => Way::Silent,
            Blow::Lost => Way::Lost,
            Blow::Again | Blow::Invalid => Way::Published,
        };
        self.write(scene, at, &draft, way).await?;
        self.desks[at].frozen.insert(key.clone(), draft.row);
        Ok(())
    }

    async fn correct(&mut self, scene: &Scene, contract: &ContractName, key: &RecordKey) -> Result<()> {
        let at = self.at(contract).context("a contract that is played")?;
        let desk = &self.desks[at];
        let Some(row) = desk.frozen.get(key).or_else(|| desk.rows.get(key)) else { return Ok(()) };
        let mut writer = scene.file(contract.context.as_str()).writer().await;
        run(&mut writer, desk.part.table.put(row)).await
    }
}

impl Trade {
    /// Draws another state of a row, by an event where that is wanted and there is one.
    fn other(&mut self, at: usize, key: &RecordKey, row: &Row, by_event: bool) -> Option<Draft> {
        if by_event {
            for event in self.desks[at].events().to_vec().iter().filter(|event| !event.ends) {
                let draft = told(&mut self.dice, &self.desks, at, key, row, event);
                if let Some(draft) = draft.filter(|draft| draft.row != *row) {
                    return Some(draft);
                }
            }
        }
        nudge(&mut self.dice, &self.desks[at], key, row)
    }

    async fn spoil(&mut self, scene: &Scene, at: usize, key: &RecordKey, row: &Row) -> Result<()> {
        let part = &self.desks[at].part;
        let name = &part.contract.contract.name;
        let sql = part.table.spoil(&part.contract, row).context("a fault is chosen where it suits")?;
        let mut writer = scene.file(name.context.as_str()).writer().await;
        let mut tx = writer.begin().await?;
        run(&mut tx, sql).await?;
        let draft = Draft { key: key.clone(), row: row.clone(), change: None, ends: false };
        publish(&mut tx, name, &draft).await?;
        Ok(tx.commit().await?)
    }
}

async fn run(conn: &mut SqliteConnection, sql: String) -> Result<()> {
    let done = sqlx::query(AssertSqlSafe(sql.clone())).persistent(false).execute(conn).await;
    done.with_context(|| sql)?;
    Ok(())
}

/// Publishes by key: the one statement a service adds to its transaction.
async fn publish(conn: &mut SqliteConnection, contract: &ContractName, draft: &Draft) -> Result<()> {
    let change = draft.change.as_ref();
    let details = change.and_then(|change| change.details.clone());
    let details = details.map(String::from_utf8).transpose()?;
    sqlx::query(
        "INSERT INTO seamline_publish (contract, change, key, reason, effective, details)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )
    .bind(contract.contract.as_str())
    .bind(change.map(|change| change.event.to_string()))
    .bind(draft.key.as_str())
    .bind(change.and_then(|change| change.reason.clone()))
    .bind(change.and_then(|change| change.effective.clone()))
    .bind(details)
    .execute(conn)
    .await
    .with_context(|| format!("cannot publish {} of `{contract}`", draft.key))?;
    Ok(())
}
