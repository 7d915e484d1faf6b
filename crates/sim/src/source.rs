//! The simulated producer's database: transactions of several writers, ids in the order of draws, an outbox as a queue.

mod audits;
mod hours;
mod port;
mod vault;

use crate::cases::CaseTable;
use crate::fault::Fault;
use crate::world::World;
use jiff::{SignedDuration, Timestamp};
use seamline_contract::channel::ChannelKind;
use seamline_contract::id::{ContractId, Version};
use seamline_contract::resolve::ResolvedContract;
use seamline_flow::port::PortError;
use seamline_flow::rebase::renumbered;
use seamline_flow::source::{
    Act, KeyFacts, OutboxRow, Rebase, Removal, Removed, SourceCounts, Taken, Tenure,
};
use seamline_message::codec::Change;
use seamline_message::key::RecordKey;
use seamline_message::sequence::Sequence;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// What the source knows of its contract.
#[derive(Debug, Clone)]
struct Plan {
    contract: ContractId,
    version: Version,
    /// By event: the events channels that carry it, and whether it ends the key.
    events: BTreeMap<String, (Vec<String>, bool)>,
    moving: Vec<String>,
}

/// All that is committed.
#[derive(Debug, Clone, PartialEq, Default)]
struct Database {
    rows: BTreeMap<RecordKey, Vec<u8>>,
    keys: BTreeMap<RecordKey, KeyRow>,
    outbox: BTreeMap<Sequence, OutboxRow>,
    /// Rows that are put off until their hour.
    deferred: BTreeMap<Sequence, OutboxRow>,
    aside: BTreeMap<Sequence, AsideState>,
    explained: BTreeSet<Sequence>,
    published: u64,
    lost: u64,
    epoch: u64,
    batch: u64,
    filling: bool,
    held: Option<(String, Timestamp)>,
    cases: CaseTable,
    /// The keys of subjects.
    seals: Vec<vault::Kept>,
    audits: audits::AuditTable,
}

/// A row in quarantine: why, and since when.
type AsideState = (OutboxRow, Option<(String, String, String)>, Timestamp);

#[derive(Debug, Clone, PartialEq, Default)]
struct KeyRow {
    sequence: Option<Sequence>,
    chains: BTreeMap<String, Sequence>,
    moved: Option<Vec<u8>>,
    written: u64,
}

#[derive(Debug)]
struct State {
    committed: Database,
    kept: Option<Database>,
    drawn: u64,
    locks: BTreeMap<RecordKey, u64>,
    transactions: u64,
    highest_committed: u64,
}

/// A producer's database with one contract.
#[derive(Debug)]
pub struct SimSource {
    world: Arc<World>,
    plan: Plan,
    state: Mutex<State>,
}

/// A transaction of the service. Dropped without a commit, it rolls back.
#[derive(Debug)]
pub struct Transaction<'a> {
    source: &'a SimSource,
    id: u64,
    locked: BTreeSet<RecordKey>,
    rows: BTreeMap<RecordKey, Option<Vec<u8>>>,
    keys: BTreeMap<RecordKey, KeyRow>,
    outbox: Vec<OutboxRow>,
}

impl SimSource {
    /// Returns an empty database that publishes a contract.
    pub fn new(world: &Arc<World>, contract: &ResolvedContract) -> SimSource {
        let channels = contract.channels();
        let events = contract.contract.events.iter().flat_map(|events| &events.events);
        let carried = |event| {
            let carries = channels.iter().filter(|channel| channel.kind == ChannelKind::Events);
            carries.filter(|channel| contract.on_channel(event, channel)).map(ToString::to_string).collect()
        };
        let events = events.map(|event| (event.name.to_string(), (carried(&event.name), event.ends)));
        let moving = contract.attributes.iter().filter(|attribute| attribute.shape.moves.is_some());
        let plan = Plan {
            contract: contract.contract.name.contract.clone(),
            version: contract.contract.version,
            events: events.collect(),
            moving: moving.map(|attribute| attribute.name.to_string()).collect(),
        };
        let state = State {
            committed: Database::default(),
            kept: None,
            drawn: 0,
            locks: BTreeMap::new(),
            transactions: 0,
            highest_committed: 0,
        };
        SimSource { world: Arc::clone(world), plan, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no actor panics while it holds the source")
    }

    /// Begins a transaction.
    pub fn begin(&self) -> Transaction<'_> {
        let mut state = self.state();
        state.transactions += 1;
        Transaction {
            source: self,
            id: state.transactions,
            locked: BTreeSet::new(),
            rows: BTreeMap::new(),
            keys: BTreeMap::new(),
            outbox: Vec::new(),
        }
    }

    /// Changes or deletes a row as a hand would: nothing is published.
    pub fn set_row(&self, key: &RecordKey, state: Option<Vec<u8>>) {
        let rows = &mut self.state().committed.rows;
        match state {
            Some(state) => rows.insert(key.clone(), state),
            None => rows.remove(key),
        };
    }

    /// Loses a row of the outbox. Returns it.
    pub fn lose(&self, sequence: Sequence) -> Option<OutboxRow> {
        self.state().committed.take(sequence)
    }

    /// Returns the rows that wait.
    pub fn outbox(&self) -> Vec<OutboxRow> {
        let state = self.state();
        state.committed.outbox.values().chain(state.committed.deferred.values()).cloned().collect()
    }

    /// Returns the sequences of rows that were discarded or mended by a void.
    pub fn explained(&self) -> BTreeSet<Sequence> {
        self.state().committed.explained.clone()
    }

    /// Returns the conserved counts.
    pub fn true_counts(&self) -> SourceCounts {
        self.state().committed.counts()
    }

    /// Returns the keys with rows in quarantine, and of each row its sequence and whether it is broken itself.
    pub fn in_quarantine(&self) -> Vec<(Sequence, RecordKey, bool)> {
        let state = self.state();
        let key =
            |row: &OutboxRow| RecordKey::parse(row.key.as_bytes()).expect("keys are published as they are");
        let rows = state.committed.aside.iter();
        rows.map(|(sequence, (row, violation, _))| (*sequence, key(row), violation.is_some())).collect()
    }

    /// Returns the rows of the source view.
    pub fn rows(&self) -> BTreeMap<RecordKey, Vec<u8>> {
        self.state().committed.rows.clone()
    }

    /// Keeps a copy of the database, as a backup does.
    pub fn back_up(&self) {
        let mut state = self.state();
        state.kept = Some(state.committed.clone());
    }

    /// Restores the copy. Returns false where none was kept, or nothing happened since.
    pub fn restore(&self) -> bool {
        let mut state = self.state();
        let Some(kept) = state.kept.take().filter(|kept| kept.batch != state.committed.batch) else {
            return false;
        };
        state.drawn = kept.keys.values().filter_map(|key| key.sequence).max().map_or(0, |last| last.0);
        state.highest_committed = state.drawn;
        state.committed = kept;
        true
    }

    /// Lets one call through as soon as no transaction holds any of its keys.
    async fn call_locked<T: Debug>(
        &self,
        what: &str,
        keys: &[RecordKey],
        apply: impl Fn() -> T,
    ) -> Result<T, PortError> {
        loop {
            let free = || !keys.iter().any(|key| self.state().locks.contains_key(key));
            let answer = self.world.call(what, || free().then(&apply)).await?;
            if let Some(answer) = answer {
                return Ok(answer);
            }
        }
    }

    fn draw(&self) -> Sequence {
        let mut state = self.state();
        state.drawn += 1;
        Sequence(state.drawn)
    }

    fn row(&self, sequence: Sequence, key: &RecordKey, act: Act, state: Option<Vec<u8>>) -> OutboxRow {
        OutboxRow {
            sequence,
            contract: self.plan.contract.clone(),
            version: self.plan.version,
            key: key.to_string(),
            act,
            state,
            moved: None,
            previous: BTreeMap::new(),
            written_at: self.world.now(),
            correlation: None,
            causation: None,
            traceparent: None,
            behind: false,
        }
    }

    /// Makes an outbox row for a key, and brings the key's own row forward.
    fn publish(
        &self,
        known: &mut KeyRow,
        key: &RecordKey,
        change: Option<Change>,
        now: Option<Vec<u8>>,
    ) -> OutboxRow {
        let sequence = self.draw();
        let event = change.as_ref().map(|change| change.event.to_string());
        let (channels, ends) =
            event.and_then(|event| self.plan.events.get(&event)).cloned().unwrap_or_default();
        let moved = if ends { None } else { now.as_deref().map(|state| self.moved(state)) };
        let act = change.map_or(Act::State, Act::Change);
        let mut row = self.row(sequence, key, act, now);
        row.moved = std::mem::replace(&mut known.moved, moved);
        for channel in channels {
            let previous = known.chains.insert(channel.clone(), sequence);
            row.previous.insert(channel, previous);
        }
        known.sequence = Some(sequence);
        known.written += 1;
        row
    }

    fn moved(&self, state: &[u8]) -> Vec<u8> {
        let state: serde_json::Value = serde_json::from_slice(state).expect("states are JSON");
        let moving = self.plan.moving.iter().map(|name| (name.clone(), state[name.as_str()].clone()));
        serde_json::Value::Object(moving.collect()).to_string().into_bytes()
    }
}

impl Transaction<'_> {
    /// Locks a key, and waits while another transaction has it.
    pub async fn lock(&mut self, key: &RecordKey) {
        while !self.try_lock(key) {
            self.source.world.step().await;
        }
    }

    /// Locks a key. Returns false where another transaction has it.
    pub fn try_lock(&mut self, key: &RecordKey) -> bool {
        let holder = *self.source.state().locks.entry(key.clone()).or_insert(self.id);
        if holder == self.id {
            self.locked.insert(key.clone());
        }
        holder == self.id
    }

    /// Returns the row of a key as this transaction sees it.
    pub fn read(&self, key: &RecordKey) -> Option<Vec<u8>> {
        let committed = || self.source.state().committed.rows.get(key).cloned();
        self.rows.get(key).cloned().unwrap_or_else(committed)
    }

    /// Writes or deletes the row of a locked key.
    pub fn write(&mut self, key: &RecordKey, state: Option<Vec<u8>>) {
        assert!(self.locked.contains(key), "a row is written under its lock");
        self.rows.insert(key.clone(), state);
    }

    /// Publishes a locked key with the state of this moment.
    pub fn publish(&mut self, key: &RecordKey, change: Option<Change>) -> Sequence {
        assert!(self.locked.contains(key), "a key is published under its lock");
        let state = self.read(key);
        let committed = || self.source.state().committed.keys.get(key).cloned().unwrap_or_default();
        let mut known = self.keys.remove(key).unwrap_or_else(committed);
        let row = self.source.publish(&mut known, key, change, state);
        self.keys.insert(key.clone(), known);
        let sequence = row.sequence;
        self.outbox.push(row);
        sequence
    }

    /// Makes all of it durable.
    pub fn commit(mut self) {
        let mut state = self.source.state();
        let lowest = self.outbox.iter().map(|row| row.sequence.0).min();
        let late = lowest.is_some_and(|lowest| lowest < state.highest_committed);
        for row in self.outbox.drain(..) {
            state.highest_committed = state.highest_committed.max(row.sequence.0);
            state.committed.outbox.insert(row.sequence, row);
        }
        for (key, row) in std::mem::take(&mut self.rows) {
            match row {
                Some(row) => state.committed.rows.insert(key, row),
                None => state.committed.rows.remove(&key),
            };
        }
        state.committed.keys.append(&mut self.keys);
        drop(state);
        if late {
            self.source.world.fired(Fault::LateCommit);
        }
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        if !self.outbox.is_empty() {
            self.source.world.fired(Fault::Rollback);
        }
        let mut state = self.source.state();
        state.locks.retain(|_, holder| *holder != self.id);
    }
}

/// Returns where a row stands in the queue: a void stands where the event stood whose place it takes.
fn place(row: &OutboxRow) -> (Sequence, Sequence) {
    match row.act {
        Act::Void { sequence, .. } => (sequence, row.sequence),
        Act::Change(_) | Act::State => (row.sequence, row.sequence),
    }
}

impl Database {
    fn waiting(&self, limit: usize) -> Vec<OutboxRow> {
        let mut rows: Vec<OutboxRow> = self.outbox.values().cloned().collect();
        rows.sort_by_key(place);
        rows.truncate(limit);
        self.behind(rows)
    }

    fn behind(&self, mut rows: Vec<OutboxRow>) -> Vec<OutboxRow> {
        for row in &mut rows {
            let at = place(row).0;
            row.behind = self.aside.values().any(|(aside, ..)| aside.key == row.key && place(aside).0 < at);
        }
        rows
    }

    fn take_over(&mut self, holder: &str, now: Timestamp, ttl: Duration) -> Taken {
        if let Some((there, until)) = &self.held
            && there != holder
            && *until > now
        {
            return Taken::Busy { until: *until };
        }
        self.epoch += 1;
        self.held = Some((holder.to_owned(), end_of(now, ttl)));
        Taken::Held(Tenure { epoch: self.epoch, batch: self.batch })
    }

    /// Returns whether each row that goes aside without a violation goes behind another of its key.
    fn is_behind_something(&self, removal: &Removal) -> bool {
        let row = |sequence: &Sequence| {
            let row = self.outbox.get(sequence).or_else(|| self.deferred.get(sequence));
            row.map(|row| (&row.key, place(row)))
        };
        let mut going: Vec<_> = removal.aside.iter().filter_map(|aside| row(&aside.sequence)).collect();
        going.extend(self.aside.values().map(|(row, ..)| (&row.key, place(row))));
        let plain = removal.aside.iter().filter(|aside| aside.violation.is_none());
        plain
            .filter_map(|aside| row(&aside.sequence))
            .all(|(key, at)| going.iter().any(|(other, before)| *other == key && *before < at))
    }

    fn remove(&mut self, tenure: &Tenure, removal: &Removal, now: Timestamp, ttl: Duration) -> Removed {
        let follows = self.batch + u64::from(!removal.published.is_empty());
        if tenure.epoch != self.epoch || removal.number != follows {
            return Removed::Fenced;
        }
        for sequence in &removal.published {
            self.published += u64::from(self.take(*sequence).is_some());
        }
        for aside in &removal.aside {
            if let Some(row) = self.take(aside.sequence) {
                self.aside.insert(aside.sequence, (row, aside.violation.clone(), now));
            }
        }
        for sequence in &removal.deferred {
            let row = self.outbox.remove(sequence);
            self.deferred.extend(row.map(|row| (*sequence, row)));
        }
        for case in &removal.cases {
            self.cases.raise(case, now);
        }
        self.batch = removal.number;
        if let Some((_, until)) = &mut self.held {
            *until = end_of(now, ttl);
        }
        Removed::Done
    }

    /// Gives what waits sequences of an incarnation. Returns the last one drawn.
    fn rebase(&mut self, rebase: &Rebase) -> Sequence {
        for sequence in &rebase.published {
            self.published += u64::from(self.take(*sequence).is_some());
        }
        self.outbox.append(&mut self.deferred);
        let is_void = |row: &OutboxRow| matches!(row.act, Act::Void { .. });
        let waiting = self.outbox.iter().filter(|(_, row)| !is_void(row)).map(|(at, _)| *at);
        let aside = self.aside.iter().filter(|(_, (row, ..))| !is_void(row)).map(|(at, _)| *at);
        let old: BTreeSet<Sequence> = waiting.chain(aside).collect();
        let new = renumbered(old.iter().copied(), rebase.incarnation);
        for (old, at) in &new {
            let mut aside = self.aside.remove(old);
            let mut waiting = self.outbox.remove(old);
            let row = aside.as_mut().map(|(row, ..)| row).or(waiting.as_mut()).expect("it waits");
            row.sequence = *at;
            for previous in row.previous.values_mut().flatten() {
                *previous = new.get(previous).copied().unwrap_or(*previous);
            }
            let key = RecordKey::parse(row.key.as_bytes()).expect("keys are published as they are written");
            let known = self.keys.entry(key).or_default();
            known.sequence = Some(*at);
            known.chains.extend(row.previous.keys().map(|chain| (chain.clone(), *at)));
            self.aside.extend(aside.map(|aside| (*at, aside)));
            self.outbox.extend(waiting.map(|row| (*at, row)));
        }
        self.filling = true;
        new.into_values().max().unwrap_or(Sequence::floor_of(rebase.incarnation))
    }

    fn facts(&self, key: &RecordKey, with_state: bool) -> KeyFacts {
        let known = self.keys.get(key).cloned().unwrap_or_default();
        let state = if with_state { self.rows.get(key).cloned() } else { None };
        KeyFacts {
            key: key.clone(),
            state,
            sequence: known.sequence,
            chains: known.chains,
            waiting: self.outbox.values().chain(self.deferred.values()).any(|row| row.key == key.as_str()),
            aside: self.aside.values().any(|(row, ..)| row.key == key.as_str()),
        }
    }

    fn counts(&self) -> SourceCounts {
        SourceCounts {
            committed: self.keys.values().map(|key| key.written).sum(),
            published: self.published,
            waiting: (self.outbox.len() + self.deferred.len()) as u64,
            deferred: self.deferred.len() as u64,
            aside: self.aside.len() as u64,
            lost: self.lost + self.explained.len() as u64,
        }
    }

    fn redrive(&mut self, key: &str) -> u64 {
        let (back, stay) =
            std::mem::take(&mut self.aside).into_iter().partition(|(_, (row, ..))| row.key == key);
        let back: BTreeMap<Sequence, _> = back;
        self.aside = stay;
        let rows = back.len() as u64;
        self.outbox.extend(back.into_iter().map(|(sequence, (row, ..))| (sequence, row)));
        rows
    }
}

/// Returns when a lease ends.
pub fn end_of(now: Timestamp, ttl: Duration) -> Timestamp {
    now + SignedDuration::try_from(ttl).expect("leases are short")
}
