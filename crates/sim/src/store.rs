//! The simulated consumer's database: lanes, projections with markers, inbox, quarantine, rehearsal.

mod sets;

use crate::cases::CaseTable;
use crate::fault::Fault;
use crate::source::end_of;
use crate::world::World;
use jiff::Timestamp;
use seamline_contract::id::{ContractId, SubscriptionRef};
use seamline_contract::value::Value;
use seamline_flow::port::PortError;
use seamline_flow::position::Accounting;
use seamline_flow::reference::Sending;
use seamline_flow::store::{
    AsideRecord, Batch, Committed, Difference, Grip, Gripped, InboxRow, Lane, LaneState, LiveRow, Marker,
    Markers, Projection, Rehearsed, RehearsedBy, RowWrite, Store, TakenSet,
};
use seamline_message::digest::Digest;
use seamline_message::key::RecordKey;
use seamline_message::sequence::Sequence;
use seamline_message::sums::Sums;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// A row as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredRow {
    /// The values by column.
    pub values: Vec<Value>,
    /// Its marker.
    pub marker: Option<Marker>,
    /// It is marked as ended.
    pub ended: bool,
}

/// All that belongs to one subscription.
#[derive(Debug, Clone, Default)]
struct Table {
    rows: BTreeMap<RecordKey, StoredRow>,
    ended: BTreeMap<RecordKey, Marker>,
    received_aside: BTreeMap<RecordKey, (Sequence, Digest)>,
    inbox: Vec<InboxRow>,
    rehearsals: BTreeMap<RehearsedBy, BTreeMap<RecordKey, Rehearsed>>,
}

#[derive(Debug)]
struct LaneRow {
    epoch: u64,
    held: Option<(String, Timestamp)>,
    state: LaneState,
}

#[derive(Debug, Default)]
struct State {
    lanes: BTreeMap<Lane, LaneRow>,
    tables: BTreeMap<SubscriptionRef, Table>,
    chains: BTreeMap<(SubscriptionRef, String, RecordKey), Sequence>,
    aside: BTreeMap<(Lane, u64), AsideRecord>,
    sets: BTreeMap<SubscriptionRef, TakenSet>,
    sending: BTreeMap<ContractId, Sending>,
    cases: CaseTable,
}

/// A consumer's database.
#[derive(Debug)]
pub struct SimStore {
    world: Arc<World>,
    state: Mutex<State>,
}

impl SimStore {
    /// Returns an empty database.
    pub fn new(world: &Arc<World>) -> SimStore {
        SimStore { world: Arc::clone(world), state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no actor panics while it holds the store")
    }

    /// Returns the rows of a projection.
    pub fn table(&self, subscription: &SubscriptionRef) -> BTreeMap<RecordKey, StoredRow> {
        self.state().tables.get(subscription).map(|table| table.rows.clone()).unwrap_or_default()
    }

    /// Writes or deletes a row of a projection as a hand would.
    pub fn set_row(&self, subscription: &SubscriptionRef, key: &RecordKey, row: Option<StoredRow>) {
        let mut state = self.state();
        let rows = &mut state.tables.entry(subscription.clone()).or_default().rows;
        match row {
            Some(row) => rows.insert(key.clone(), row),
            None => rows.remove(key),
        };
    }

    /// Returns the inbox of a subscription, in order.
    pub fn inbox(&self, subscription: &SubscriptionRef) -> Vec<InboxRow> {
        self.state().tables.get(subscription).map(|table| table.inbox.clone()).unwrap_or_default()
    }

    /// Returns the records in quarantine.
    pub fn in_quarantine(&self) -> Vec<AsideRecord> {
        self.state().aside.values().cloned().collect()
    }

    /// Returns all lanes.
    pub fn all_lanes(&self) -> Vec<(Lane, LaneState)> {
        self.state().lanes.iter().map(|(lane, row)| (lane.clone(), row.state.clone())).collect()
    }

    /// Changes the sums of a lane as a bug in a projector would.
    pub fn change_sums(&self, lane: &Lane, change: impl FnOnce(&mut Sums)) {
        if let Some(lane) = self.state().lanes.get_mut(lane) {
            change(&mut lane.state.sums);
        }
    }
}

fn no_lane() -> LaneState {
    LaneState {
        position: None,
        bootstrap_end: None,
        sums: Sums::new(),
        digest_epoch: 0,
        accounting: Accounting::default(),
    }
}

impl State {
    fn table(&mut self, subscription: &SubscriptionRef) -> &mut Table {
        self.tables.entry(subscription.clone()).or_default()
    }

    fn grip(&mut self, lane: &Lane, holder: &str, now: Timestamp, ttl: Duration, force: bool) -> Gripped {
        let new = || LaneRow { epoch: 0, held: None, state: no_lane() };
        let row = self.lanes.entry(lane.clone()).or_insert_with(new);
        if let Some((there, until)) = &row.held
            && there != holder
            && *until > now
            && !force
        {
            return Gripped::Busy { until: *until };
        }
        row.epoch += 1;
        row.held = Some((holder.to_owned(), end_of(now, ttl)));
        Gripped::Held(Grip { epoch: row.epoch, state: row.state.clone() })
    }

    fn commit(
        &mut self,
        projection: Option<&Projection>,
        batch: &Batch,
        now: Timestamp,
        ttl: Duration,
    ) -> Committed {
        let Some(lane) = self.lanes.get_mut(&batch.lane) else { return Committed::Fenced };
        if lane.epoch != batch.epoch || lane.state.position != batch.expected {
            return Committed::Fenced;
        }
        lane.state = batch.next.clone();
        if let Some((_, until)) = &mut lane.held {
            *until = end_of(now, ttl);
        }
        let keep_ended = projection.is_some_and(|projection| projection.keep_ended);
        self.table(&batch.lane.subscription).write(batch, keep_ended);
        let Lane { subscription, topic, .. } = &batch.lane;
        for (key, sequence) in &batch.chains {
            self.chains.insert((subscription.clone(), topic.clone(), key.clone()), *sequence);
        }
        for record in &batch.aside {
            self.aside.insert((record.lane.clone(), record.offset), record.clone());
        }
        for offset in &batch.released {
            self.aside.remove(&(batch.lane.clone(), *offset));
        }
        if let Some(set) = &batch.set {
            self.sets.insert(subscription.clone(), set.clone());
        }
        for case in &batch.cases {
            self.cases.raise(case, now);
        }
        Committed::Done
    }
}

impl Table {
    fn write(&mut self, batch: &Batch, keep_ended: bool) {
        for (key, seen) in &batch.purge {
            if self.rows.get(key).is_some_and(|row| row.marker == *seen) {
                self.rows.remove(key);
                self.ended.remove(key);
            }
        }
        for (row, seen) in &batch.restore {
            let there = self.rows.get(&row.key);
            if there.is_none_or(|there| there.marker.is_some())
                && there.and_then(|row| row.marker.clone()) == *seen
            {
                self.put(row);
            }
        }
        for row in &batch.rows {
            if self.highest(&row.key).is_none_or(|highest| highest < row.marker.sequence) {
                self.put(row);
            }
        }
        for end in &batch.ended {
            if self.highest(&end.key).is_none_or(|highest| highest < end.marker.sequence) {
                self.end(&end.key, &end.marker, keep_ended);
            }
        }
        for row in &batch.inbox {
            if !self.inbox.iter().any(|there| there.id == row.id) {
                self.inbox.push(row.clone());
            }
        }
        for (key, aside) in &batch.received_aside {
            match aside {
                Some(aside) => self.received_aside.insert(key.clone(), *aside),
                None => self.received_aside.remove(key),
            };
        }
    }

    fn highest(&self, key: &RecordKey) -> Option<Sequence> {
        let row = self.rows.get(key).and_then(|row| row.marker.as_ref());
        row.into_iter().chain(self.ended.get(key)).map(|marker| marker.sequence).max()
    }

    fn put(&mut self, row: &RowWrite) {
        let stored = StoredRow { values: row.values.clone(), marker: Some(row.marker.clone()), ended: false };
        self.rows.insert(row.key.clone(), stored);
    }

    fn end(&mut self, key: &RecordKey, marker: &Marker, keep: bool) {
        self.ended.insert(key.clone(), marker.clone());
        match self.rows.get_mut(key) {
            Some(row) if keep => {
                row.ended = true;
                row.marker = Some(marker.clone());
            }
            _ => {
                self.rows.remove(key);
            }
        }
    }

    fn markers(&self, key: &RecordKey) -> Markers {
        Markers {
            row: self.rows.get(key).and_then(|row| row.marker.clone()),
            ended: self.ended.get(key).cloned(),
            aside: self.received_aside.get(key).copied(),
        }
    }

    fn difference(&self, rehearsal: &BTreeMap<RecordKey, Rehearsed>, key: &RecordKey) -> Option<Difference> {
        let (row, rehearsed) = (self.rows.get(key), rehearsal.get(key));
        let same = match (row, rehearsed) {
            (None, rehearsed) => rehearsed.is_none_or(|rehearsed| rehearsed.values.is_none()),
            (Some(_), None) => false,
            (Some(row), Some(rehearsed)) => {
                let values = match &rehearsed.values {
                    Some(values) => !row.ended && row.values == *values,
                    None => row.ended,
                };
                values && row.marker.as_ref() == Some(&rehearsed.marker)
            }
        };
        (!same).then(|| Difference {
            cursor: key.to_string(),
            key: Some(key.clone()),
            live: row.map(|row| live(key, row)),
            ended: self.ended.get(key).cloned(),
            rehearsed: rehearsed.cloned(),
        })
    }
}

fn live(key: &RecordKey, row: &StoredRow) -> LiveRow {
    LiveRow {
        key: Some(key.clone()),
        cursor: key.to_string(),
        values: row.values.iter().cloned().map(Ok).collect(),
        marker: row.marker.clone(),
        ended: row.ended,
    }
}

fn behind(after: Option<&str>) -> (Bound<RecordKey>, Bound<RecordKey>) {
    let key = |text: &str| RecordKey::parse(text.as_bytes()).expect("cursors are keys");
    (after.map_or(Bound::Unbounded, |after| Bound::Excluded(key(after))), Bound::Unbounded)
}

impl Store for SimStore {
    async fn grip(
        &self,
        lane: &Lane,
        holder: &str,
        now: Timestamp,
        ttl: Duration,
        force: bool,
    ) -> Result<Gripped, PortError> {
        let grip = || self.state().grip(lane, holder, now, ttl, force);
        let what = format!("store.grip {} {}", lane.topic, lane.partition);
        self.world.call(&what, grip).await
    }

    async fn markers(&self, projection: &Projection, keys: &[RecordKey]) -> Result<Vec<Markers>, PortError> {
        let read = || {
            let mut state = self.state();
            let table = state.table(&projection.subscription);
            keys.iter().map(|key| table.markers(key)).collect::<Vec<_>>()
        };
        self.world.call("store.markers", read).await
    }

    async fn chains(
        &self,
        lane: &Lane,
        keys: &[RecordKey],
    ) -> Result<Vec<(Option<Sequence>, bool)>, PortError> {
        let read = || {
            let state = self.state();
            let of = |key: &RecordKey| {
                let at = (lane.subscription.clone(), lane.topic.clone(), key.clone());
                let mut aside = state.aside.values();
                let here = |record: &AsideRecord| record.lane == *lane && record.key.as_ref() == Some(key);
                (state.chains.get(&at).copied(), aside.any(here))
            };
            keys.iter().map(of).collect::<Vec<_>>()
        };
        self.world.call("store.chains", read).await
    }

    async fn commit(
        &self,
        projection: Option<&Projection>,
        batch: &Batch,
        now: Timestamp,
        ttl: Duration,
    ) -> Result<Committed, PortError> {
        let commit = || {
            let committed = self.state().commit(projection, batch, now, ttl);
            if committed == Committed::Fenced {
                self.world.fired(Fault::ZombieCommit);
            }
            committed
        };
        let what = format!("store.commit {} {}", batch.lane.topic, batch.lane.partition);
        self.world.call(&what, commit).await
    }

    async fn rows(
        &self,
        projection: &Projection,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<LiveRow>, PortError> {
        let read = || {
            let mut state = self.state();
            let rows = state.table(&projection.subscription).rows.range(behind(after));
            rows.take(limit).map(|(key, row)| live(key, row)).collect::<Vec<_>>()
        };
        self.world.call("store.rows", read).await
    }

    async fn received_aside(
        &self,
        projection: &Projection,
        after: Option<&RecordKey>,
        limit: usize,
    ) -> Result<Vec<(RecordKey, Sequence, Digest)>, PortError> {
        let read = || {
            let mut state = self.state();
            let from = behind(after.map(RecordKey::as_str));
            let keys = state.table(&projection.subscription).received_aside.range(from).take(limit);
            keys.map(|(key, (sequence, digest))| (key.clone(), *sequence, *digest)).collect::<Vec<_>>()
        };
        self.world.call("store.received_aside", read).await
    }

    async fn rehearsal_begin(&self, projection: &Projection) -> Result<(), PortError> {
        let begin = || {
            let mut state = self.state();
            state.table(&projection.subscription).rehearsals.insert(projection.rehearsal, BTreeMap::new());
        };
        self.world.call("store.rehearsal_begin", begin).await
    }

    async fn rehearsal_put(&self, projection: &Projection, rows: &[Rehearsed]) -> Result<(), PortError> {
        let put = || {
            let mut state = self.state();
            let rehearsals = &mut state.table(&projection.subscription).rehearsals;
            let rehearsal = rehearsals.entry(projection.rehearsal).or_default();
            for row in rows {
                let kept = rehearsal.get(&row.key);
                if kept.is_none_or(|kept| kept.marker.sequence < row.marker.sequence) {
                    rehearsal.insert(row.key.clone(), row.clone());
                }
            }
        };
        self.world.call("store.rehearsal_put", put).await
    }

    async fn rehearsal_is_kept(&self, projection: &Projection) -> Result<bool, PortError> {
        let kept = || {
            let mut state = self.state();
            state.table(&projection.subscription).rehearsals.contains_key(&projection.rehearsal)
        };
        self.world.call("store.rehearsal_is_kept", kept).await
    }

    async fn rehearsal_diff(
        &self,
        projection: &Projection,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Difference>, PortError> {
        let compare = || {
            let mut state = self.state();
            let table = state.table(&projection.subscription);
            let rehearsal = table.rehearsals.get(&projection.rehearsal).cloned().unwrap_or_default();
            let (rows, rehearsed) = (table.rows.range(behind(after)), rehearsal.range(behind(after)));
            let keys: BTreeSet<RecordKey> =
                rows.map(|(key, _)| key).chain(rehearsed.map(|(key, _)| key)).cloned().collect();
            keys.iter().filter_map(|key| table.difference(&rehearsal, key)).take(limit).collect::<Vec<_>>()
        };
        self.world.call("store.rehearsal_diff", compare).await
    }

    async fn rehearsal_end(&self, projection: &Projection) -> Result<(), PortError> {
        let end = || {
            self.state().table(&projection.subscription).rehearsals.remove(&projection.rehearsal);
        };
        self.world.call("store.rehearsal_end", end).await
    }

    async fn aside(
        &self,
        subscription: &SubscriptionRef,
        key: Option<&RecordKey>,
        limit: usize,
    ) -> Result<Vec<AsideRecord>, PortError> {
        let read = || {
            let state = self.state();
            let asked = |record: &&AsideRecord| {
                record.lane.subscription == *subscription && (key.is_none() || record.key.as_ref() == key)
            };
            state.aside.values().filter(asked).take(limit).cloned().collect::<Vec<_>>()
        };
        self.world.call("store.aside", read).await
    }

    async fn aside_from(
        &self,
        subscription: &SubscriptionRef,
        from: Option<(&Lane, u64)>,
        limit: usize,
    ) -> Result<Vec<AsideRecord>, PortError> {
        let read = || {
            let state = self.state();
            let place = |lane: &Lane, offset| (lane.topic.clone(), lane.partition, offset);
            let asked = |record: &&AsideRecord| {
                let at = place(&record.lane, record.offset);
                record.lane.subscription == *subscription
                    && from.is_none_or(|(lane, offset)| at >= place(lane, offset))
            };
            state.aside.values().filter(asked).take(limit).cloned().collect::<Vec<_>>()
        };
        self.world.call("store.aside", read).await
    }

    async fn lanes(&self, subscription: &SubscriptionRef) -> Result<Vec<(Lane, LaneState)>, PortError> {
        let read = || {
            let lanes = self.all_lanes().into_iter();
            lanes.filter(|(lane, _)| lane.subscription == *subscription).collect::<Vec<_>>()
        };
        self.world.call("store.lanes", read).await
    }

    async fn taken(&self, subscription: &SubscriptionRef) -> Result<Option<TakenSet>, PortError> {
        self.world.call("store.taken", || self.state().sets.get(subscription).cloned()).await
    }
}
