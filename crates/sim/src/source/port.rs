//! What the simulated database answers through the ports of a producer.

use super::{AsideState, Database, SimSource, end_of};
use crate::fault::Fault;
use jiff::Timestamp;
use seamline_contract::id::ContractId;
use seamline_flow::case::{Case, CaseStage, Cases, NewCase};
use seamline_flow::port::PortError;
use seamline_flow::source::{
    Act, AsideRow, Incarnation, KeyFacts, OutboxRow, Rebase, Removal, Removed, Source, SourceCounts,
    SourceRow, Taken, Tenure, within,
};
use seamline_message::key::RecordKey;
use seamline_message::sequence::Sequence;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::time::Duration;

impl Source for SimSource {
    async fn take_over(&self, holder: &str, now: Timestamp, ttl: Duration) -> Result<Taken, PortError> {
        let take = || self.state().committed.take_over(holder, now, ttl);
        self.world.call("source.take_over", take).await
    }

    async fn waiting(&self, limit: usize) -> Result<Vec<OutboxRow>, PortError> {
        self.world.call("source.waiting", || self.state().committed.waiting(limit)).await
    }

    async fn due(
        &self,
        contract: &ContractId,
        until: Timestamp,
        limit: usize,
        weight: u64,
    ) -> Result<Vec<OutboxRow>, PortError> {
        let due = || within(self.state().committed.due(contract, until, limit), weight);
        self.world.call("source.due", due).await
    }

    async fn deferred(&self, rows: &[Sequence]) -> Result<Vec<OutboxRow>, PortError> {
        let there = || {
            let state = self.state();
            let there = rows.iter().filter_map(|row| state.committed.deferred.get(row));
            there.cloned().collect::<Vec<_>>()
        };
        self.world.call("source.deferred", there).await
    }

    async fn recall(&self, but: &[ContractId]) -> Result<u64, PortError> {
        let recall = || {
            let mut state = self.state();
            let all = std::mem::take(&mut state.committed.deferred);
            let (stay, back): (BTreeMap<_, _>, BTreeMap<_, _>) =
                all.into_iter().partition(|(_, row)| but.contains(&row.contract));
            let rows = back.len() as u64;
            state.committed.deferred = stay;
            state.committed.outbox.extend(back);
            rows
        };
        self.world.call("source.recall", recall).await
    }

    async fn remove(
        &self,
        tenure: &Tenure,
        removal: &Removal,
        now: Timestamp,
        ttl: Duration,
    ) -> Result<Removed, PortError> {
        let remove = || {
            let mut state = self.state();
            if tenure.epoch < state.committed.epoch {
                self.world.fired(Fault::ZombieRemoval);
            }
            let is_held = tenure.epoch == state.committed.epoch;
            (!is_held || state.committed.is_behind_something(removal))
                .then(|| state.committed.remove(tenure, removal, now, ttl))
        };
        let removed = self.world.call("source.remove", remove).await?;
        removed.ok_or_else(|| PortError::NotApplied("a row no longer waits behind one in quarantine".into()))
    }

    async fn incarnation(&self) -> Result<Incarnation, PortError> {
        self.world.call("source.incarnation", || self.incarnation_now()).await
    }

    async fn rebase(
        &self,
        tenure: &Tenure,
        rebase: &Rebase,
        now: Timestamp,
        ttl: Duration,
    ) -> Result<Removed, PortError> {
        self.world.call("source.rebase", || self.rebase_now(tenure, rebase, now, ttl)).await
    }

    async fn filled(&self, incarnation: u16) -> Result<(), PortError> {
        let fill = || {
            let mut state = self.state();
            if Sequence(state.drawn).incarnation() == incarnation {
                state.committed.filling = false;
            }
        };
        self.world.call("source.filled", fill).await
    }

    async fn emit(&self, _: &ContractId, keys: &[RecordKey]) -> Result<u64, PortError> {
        self.call_locked("source.emit", keys, || self.emit_now(keys)).await
    }

    async fn void(&self, _: &ContractId, key: &RecordKey, act: &Act) -> Result<(), PortError> {
        let keys = std::slice::from_ref(key);
        self.call_locked("source.void", keys, || self.void_now(key, act)).await
    }

    async fn explain_lost(&self, _: &ContractId, rows: u64) -> Result<(), PortError> {
        self.world.call("source.explain_lost", || self.state().committed.lost += rows).await
    }

    async fn scan(
        &self,
        _: &ContractId,
        after: Option<&RecordKey>,
        limit: usize,
    ) -> Result<Vec<SourceRow>, PortError> {
        let scan = || {
            let state = self.state();
            let rows = state.committed.rows.range::<RecordKey, _>(behind(after)).take(limit);
            rows.map(|(key, state)| SourceRow { key: key.clone(), state: state.clone() }).collect::<Vec<_>>()
        };
        self.world.call("source.scan", scan).await
    }

    async fn look(&self, _: &ContractId, keys: &[RecordKey]) -> Result<Vec<KeyFacts>, PortError> {
        let look = || {
            let state = self.state();
            keys.iter().map(|key| state.committed.facts(key, true)).collect::<Vec<_>>()
        };
        self.call_locked("source.look", keys, look).await
    }

    async fn published(
        &self,
        _: &ContractId,
        after: Option<&RecordKey>,
        limit: usize,
    ) -> Result<Vec<KeyFacts>, PortError> {
        let list = || {
            let state = self.state();
            let keys = state.committed.keys.range::<RecordKey, _>(behind(after)).take(limit);
            keys.map(|(key, _)| state.committed.facts(key, false)).collect::<Vec<_>>()
        };
        self.world.call("source.published", list).await
    }

    async fn counts(&self, _: &ContractId) -> Result<SourceCounts, PortError> {
        self.world.call("source.counts", || self.state().committed.counts()).await
    }

    async fn aside_after(&self, after: Option<Sequence>, limit: usize) -> Result<Vec<AsideRow>, PortError> {
        let list = || {
            let state = self.state();
            let row = |(row, violation, since): &AsideState| AsideRow {
                sequence: row.sequence,
                contract: row.contract.clone(),
                version: row.version,
                key: row.key.clone(),
                change: match &row.act {
                    Act::Change(change) => Some(change.event.to_string()),
                    Act::State | Act::Void { .. } => None,
                },
                violation: violation.clone(),
                since: *since,
            };
            let rows = state.committed.aside.iter().filter(|(at, _)| after.is_none_or(|after| **at > after));
            rows.take(limit).map(|(_, aside)| row(aside)).collect::<Vec<_>>()
        };
        self.world.call("source.aside", list).await
    }

    async fn aside_row(&self, sequence: Sequence) -> Result<Option<OutboxRow>, PortError> {
        let find = || self.state().committed.aside.get(&sequence).map(|(row, ..)| row.clone());
        self.world.call("source.aside_row", find).await
    }

    async fn redrive_all(&self, _: &ContractId, keys: &[String]) -> Result<u64, PortError> {
        let redrive = || {
            let mut state = self.state();
            keys.iter().map(|key| state.committed.redrive(key)).sum::<u64>()
        };
        self.world.call("source.redrive", redrive).await
    }

    async fn discard(&self, sequence: Sequence) -> Result<bool, PortError> {
        let keys: Vec<RecordKey> = {
            let state = self.state();
            let row = state.committed.aside.get(&sequence).map(|(row, ..)| row.key.clone());
            row.and_then(|key| RecordKey::parse(key.as_bytes()).ok()).into_iter().collect()
        };
        self.call_locked("source.discard", &keys, || self.discard_now(sequence)).await
    }
}

fn behind(after: Option<&RecordKey>) -> (Bound<&RecordKey>, Bound<&RecordKey>) {
    (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded)
}

impl Cases for SimSource {
    async fn raise(&self, new: &NewCase, now: Timestamp) -> Result<u64, PortError> {
        self.world.call("cases.raise", || self.state().committed.cases.raise(new, now)).await
    }

    async fn cases(&self, closed: bool) -> Result<Vec<Case>, PortError> {
        self.world.call("cases.cases", || self.state().committed.cases.list(closed)).await
    }

    async fn advance(
        &self,
        id: u64,
        stage: CaseStage,
        note: &str,
        now: Timestamp,
    ) -> Result<bool, PortError> {
        let advance = || self.state().committed.cases.advance(id, stage, note, now);
        self.world.call("cases.advance", advance).await
    }
}

impl SimSource {
    fn write_void(&self, key: &RecordKey, act: Act) {
        let sequence = self.draw();
        let row = self.row(sequence, key, act, None);
        let mut state = self.state();
        state.committed.outbox.insert(sequence, row);
        let known = state.committed.keys.entry(key.clone()).or_default();
        known.written += 1;
        known.sequence.get_or_insert(sequence);
    }

    fn discard_now(&self, sequence: Sequence) -> bool {
        let Some((row, ..)) = self.state().committed.aside.remove(&sequence) else { return false };
        let key = RecordKey::parse(row.key.as_bytes()).expect("keys are published as they are written");
        if let Act::Change(_) = row.act {
            for (channel, previous) in row.previous {
                self.write_void(&key, Act::Void { channel, sequence, previous });
            }
        }
        self.state().committed.explained.insert(sequence);
        true
    }

    fn void_now(&self, key: &RecordKey, act: &Act) {
        if let Act::Void { sequence, .. } = act {
            let is_missing = self.state().committed.counts().missing() > 0;
            self.write_void(key, act.clone());
            if is_missing {
                self.state().committed.explained.insert(*sequence);
            }
        }
    }

    fn incarnation_now(&self) -> Incarnation {
        let state = self.state();
        let Database { filling, batch, .. } = state.committed;
        Incarnation { current: Sequence(state.drawn).incarnation(), filling, batch }
    }

    fn rebase_now(&self, tenure: &Tenure, rebase: &Rebase, now: Timestamp, ttl: Duration) -> Removed {
        let mut state = self.state();
        if tenure.epoch != state.committed.epoch {
            return Removed::Fenced;
        }
        state.committed.batch = rebase.batch;
        if let Some((_, until)) = &mut state.committed.held {
            *until = end_of(now, ttl);
        }
        if Sequence(state.drawn).incarnation() >= rebase.incarnation {
            return Removed::Done;
        }
        let last = state.committed.rebase(rebase);
        state.drawn = last.0;
        state.highest_committed = last.0;
        Removed::Done
    }

    fn emit_now(&self, keys: &[RecordKey]) -> u64 {
        for key in keys {
            let (mut known, row) = {
                let committed = &self.state().committed;
                (committed.keys.get(key).cloned().unwrap_or_default(), committed.rows.get(key).cloned())
            };
            let row = self.publish(&mut known, key, None, row);
            let mut state = self.state();
            state.highest_committed = state.highest_committed.max(row.sequence.0);
            state.committed.keys.insert(key.clone(), known);
            state.committed.outbox.insert(row.sequence, row);
        }
        keys.len() as u64
    }
}
