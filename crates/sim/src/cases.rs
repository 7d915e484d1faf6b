//! Cases and ledgers, kept in memory beside a simulated database.

use crate::world::World;
use jiff::Timestamp;
use seamline_flow::case::{Case, CaseStage, Cases, NewCase};
use seamline_flow::ledger::{Entry, Ledger};
use seamline_flow::port::PortError;
use seamline_message::key::RecordKey;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard};

/// The cases of one database.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CaseTable(Vec<Case>);

impl CaseTable {
    /// Raises a case and returns its number.
    pub fn raise(&mut self, new: &NewCase, now: Timestamp) -> u64 {
        if let Some(case) = self.0.iter_mut().find(|case| case.raised.fingerprint == new.fingerprint) {
            case.raised = new.clone();
            case.times += 1;
            if case.stage == CaseStage::Closed {
                case.stage = CaseStage::Open;
                case.timeline.push((now, "reopened".to_owned()));
            }
            return case.id;
        }
        let id = self.0.len() as u64 + 1;
        self.0.push(Case {
            id,
            raised: new.clone(),
            stage: CaseStage::Open,
            opened: now,
            times: 1,
            timeline: vec![(now, "opened".to_owned())],
        });
        id
    }

    /// Returns all cases by number; closed ones only when asked for.
    pub fn list(&self, closed: bool) -> Vec<Case> {
        self.0.iter().filter(|case| closed || case.stage != CaseStage::Closed).cloned().collect()
    }

    /// Moves a case to a stage. Returns whether there is such a case.
    pub fn advance(&mut self, id: u64, stage: CaseStage, note: &str, now: Timestamp) -> bool {
        let Some(case) = self.0.iter_mut().find(|case| case.id == id) else { return false };
        case.stage = stage;
        case.timeline.push((now, format!("{}: {note}", stage.word())));
        true
    }
}

/// Cases alone, without a database around them.
#[derive(Debug)]
pub struct SimCases {
    world: Arc<World>,
    table: Mutex<CaseTable>,
}

impl SimCases {
    /// Returns a storage without cases.
    pub fn new(world: &Arc<World>) -> SimCases {
        SimCases { world: Arc::clone(world), table: Mutex::default() }
    }

    fn table(&self) -> MutexGuard<'_, CaseTable> {
        self.table.lock().expect("no actor panics while it holds the cases")
    }
}

impl Cases for SimCases {
    async fn raise(&self, new: &NewCase, now: Timestamp) -> Result<u64, PortError> {
        self.world.call("cases.raise", || self.table().raise(new, now)).await
    }

    async fn cases(&self, closed: bool) -> Result<Vec<Case>, PortError> {
        self.world.call("cases.cases", || self.table().list(closed)).await
    }

    async fn advance(
        &self,
        id: u64,
        stage: CaseStage,
        note: &str,
        now: Timestamp,
    ) -> Result<bool, PortError> {
        self.world.call("cases.advance", || self.table().advance(id, stage, note, now)).await
    }
}

/// The entries of a topic, each with the offset of the key's last record.
type Entries = BTreeMap<RecordKey, (Entry, u64)>;

/// Ledgers in memory.
#[derive(Debug)]
pub struct SimLedger {
    world: Arc<World>,
    topics: Mutex<BTreeMap<String, Entries>>,
}

impl SimLedger {
    /// Returns a storage without ledgers.
    pub fn new(world: &Arc<World>) -> SimLedger {
        SimLedger { world: Arc::clone(world), topics: Mutex::default() }
    }

    fn topics(&self) -> MutexGuard<'_, BTreeMap<String, Entries>> {
        self.topics.lock().expect("no actor panics while it holds the ledgers")
    }

    fn put_now(&self, topic: &str, entries: &[Entry]) {
        merge(self.topics().entry(topic.to_owned()).or_default(), entries);
    }
}

/// Merges entries into those that are there.
pub(crate) fn merge(ledger: &mut Entries, entries: &[Entry]) {
    for entry in entries {
        let Some((kept, last_at)) = ledger.get_mut(&entry.key) else {
            ledger.insert(entry.key.clone(), (entry.clone(), entry.offset));
            continue;
        };
        let mut last = kept.last;
        if entry.offset >= *last_at {
            (last, *last_at) = (entry.last, entry.offset);
        }
        if entry.sequence > kept.sequence {
            *kept = entry.clone();
        }
        kept.last = last;
    }
}

impl Ledger for SimLedger {
    async fn ledger_clear(&self, topic: &str) -> Result<(), PortError> {
        let clear = || {
            self.topics().remove(topic);
        };
        self.world.call("ledger.clear", clear).await
    }

    async fn ledger_put(&self, topic: &str, entries: &[Entry]) -> Result<(), PortError> {
        self.world.call("ledger.put", || self.put_now(topic, entries)).await
    }

    async fn ledger_get(&self, topic: &str, keys: &[RecordKey]) -> Result<Vec<Option<Entry>>, PortError> {
        let get = || {
            let topics = self.topics();
            let of = |key| Some(topics.get(topic)?.get(key)?.0.clone());
            keys.iter().map(of).collect::<Vec<_>>()
        };
        self.world.call("ledger.get", get).await
    }

    async fn ledger_scan(
        &self,
        topic: &str,
        after: Option<&RecordKey>,
        limit: usize,
    ) -> Result<Vec<Entry>, PortError> {
        let scan = || {
            let topics = self.topics();
            let Some(ledger) = topics.get(topic) else { return Vec::new() };
            let from = (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
            ledger.range::<RecordKey, _>(from).take(limit).map(|(_, (entry, _))| entry.clone()).collect()
        };
        self.world.call("ledger.scan", scan).await
    }
}
