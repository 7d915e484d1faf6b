//! What a run of events does: one batch of reactions, chain markers and records that wait, made from the records alone.

use crate::case::{CaseKind, NewCase};
use crate::hold::{Hold, Moved, details, raise, written_first};
use crate::intake::{EventLane, Intake};
use crate::log::{Fetch, Incoming};
use crate::position::Accounting;
use crate::projector::batch::is_broken;
use crate::projector::open::{AsideFacts, aside, invalid, quarantine_case};
use crate::reactor::decide::{Chain, Place, place};
use crate::reactor::open::{OpenedEvent, Reaction};
use crate::store::{AsideCause, AsideRecord, Batch, InboxRow};
use jiff::Timestamp;
use seamline_contract::subscription::OnInvalid;
use seamline_message::key::RecordKey;
use seamline_message::sequence::Sequence;
use seamline_message::violation::Violation;
use std::collections::BTreeMap;

/// What is known of a key before.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Known {
    /// The last sequence seen on this topic.
    pub seen: Option<Sequence>,
    /// The sequence that the projection reached, whatever became of it.
    pub reached: Option<Sequence>,
    /// Its records in quarantine on this lane, in the order of offsets.
    pub held: Vec<Held>,
}

/// A record in quarantine, opened again.
#[derive(Debug, Clone, PartialEq)]
pub struct Held {
    /// The record.
    pub record: AsideRecord,
    /// What it says.
    pub opened: OpenedEvent,
    /// It is in the store; otherwise it goes there with this batch.
    pub stored: bool,
}

/// A batch with why it ends where it ends.
#[derive(Debug, Clone, PartialEq)]
pub struct Made {
    /// To write.
    pub batch: Batch,
    /// How far it comes.
    pub moved: Moved,
    /// It was cut before a record.
    pub cut: Option<Cut>,
}

/// Why a batch was cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cut {
    /// The next reaction waits for its projection.
    Waiting,
    /// The next record breaks its contract, and the partition stops at such. The case is in the batch.
    Halted(Box<NewCase>),
}

/// Makes the batch of a run of events. `opened` is aligned with the records.
pub fn make(fold: Fold<'_>, hold: &Hold, fetch: &Fetch, opened: Vec<OpenedEvent>) -> Made {
    let mut fold = fold;
    let from = hold.offset();
    let (mut handed, mut cut, mut next) = (0, None, fetch.next);
    let mut leader_epoch = None;
    for (record, opened) in fetch.records.iter().zip(opened) {
        if let Some(reason) = fold.take(record, opened) {
            (cut, next) = (Some(reason), record.offset);
            break;
        }
        handed += 1;
        leader_epoch = Some(record.leader_epoch);
    }
    fold.accounting.handed += handed;
    fold.accounting.to = next;
    fold.accounting.absent += next - from - handed;
    let mut batch = fold.finish(hold);
    if let Some(position) = &mut batch.next.position {
        position.offset = next;
        position.leader_epoch = leader_epoch.unwrap_or(position.leader_epoch);
    }
    let broken = batch.aside.iter().filter(|record| is_broken(&record.cause)).count();
    let moved = Moved {
        handed,
        aside: broken as u64,
        inbox: batch.inbox.len() as u64,
        behind: fetch.end.saturating_sub(next),
        written: written_first(&fetch.records),
    };
    Made { batch, moved, cut }
}

/// Folds events into what one transaction writes.
#[derive(Debug)]
pub struct Fold<'a> {
    intake: &'a Intake,
    events: &'a EventLane,
    hold: &'a Hold,
    now: Timestamp,
    keys: BTreeMap<RecordKey, Known>,
    seen: BTreeMap<RecordKey, Sequence>,
    accounting: Accounting,
    inbox: Vec<InboxRow>,
    /// Records of no key, and those that keep their place in quarantine for ever.
    aside: Vec<AsideRecord>,
    released: Vec<u64>,
    cases: Vec<NewCase>,
}

impl<'a> Fold<'a> {
    /// Begins with the lane as it is.
    pub fn new(
        intake: &'a Intake,
        events: &'a EventLane,
        hold: &'a Hold,
        keys: BTreeMap<RecordKey, Known>,
        now: Timestamp,
    ) -> Fold<'a> {
        Fold {
            intake,
            events,
            hold,
            now,
            keys,
            seen: BTreeMap::new(),
            accounting: hold.state().accounting,
            inbox: Vec::new(),
            aside: Vec::new(),
            released: Vec::new(),
            cases: Vec::new(),
        }
    }

    /// Takes the next record in. Returns why not, and then nothing has changed but the cases.
    fn take(&mut self, record: &Incoming, opened: OpenedEvent) -> Option<Cut> {
        let (key, sequence, previous) = match &opened {
            OpenedEvent::Foreign { key, violation, .. } => {
                let (key, violation) = (key.clone(), violation.clone());
                return self.broken(record, key, None, opened, &violation);
            }
            OpenedEvent::Known { key, sequence, previous, .. } => (key.clone(), *sequence, *previous),
        };
        let chain = self.chain(&key);
        match place(chain, sequence, previous) {
            Place::Duplicate => self.accounting.duplicates += 1,
            Place::Superseded => self.accounting.superseded += 1,
            Place::Behind => self.hold_back(record, &key, opened, AsideCause::Behind),
            Place::Broken => {
                let case = chain_case(self.intake, self.hold, record.offset, &key, chain.seen, previous);
                raise(&mut self.cases, case);
                let cause = AsideCause::Gap { seen: chain.seen, named: previous };
                self.hold_back(record, &key, opened, cause);
            }
            Place::Follows => return self.follow(record, &key, sequence, opened),
        }
        None
    }

    fn follow(
        &mut self,
        record: &Incoming,
        key: &RecordKey,
        sequence: Sequence,
        opened: OpenedEvent,
    ) -> Option<Cut> {
        let OpenedEvent::Known { reaction, .. } = &opened else { return None };
        if let Reaction::Invalid(violation) = reaction {
            let violation = violation.clone();
            if self.events.on_invalid == OnInvalid::Skip && self.must_wait(key, sequence) {
                return Some(Cut::Waiting);
            }
            return self.broken(record, Some(key.clone()), Some(sequence), opened, &violation);
        }
        let ready = self.is_ready(key, reaction, record.time);
        if !ready || self.must_wait(key, sequence) {
            return Some(Cut::Waiting);
        }
        let reaction = reaction.clone();
        self.react(key, reaction);
        self.accounting.applied += 1;
        self.advance(key, sequence);
        None
    }

    /// A record that breaks its contract, at its place in the chain or at none.
    fn broken(
        &mut self,
        record: &Incoming,
        key: Option<RecordKey>,
        sequence: Option<Sequence>,
        opened: OpenedEvent,
        violation: &Violation,
    ) -> Option<Cut> {
        let case = quarantine_case(self.intake, &self.hold.lane, record.offset, key.as_ref(), violation);
        raise(&mut self.cases, case.clone());
        if self.events.on_invalid == OnInvalid::Halt {
            return Some(Cut::Halted(Box::new(case)));
        }
        self.accounting.quarantined += 1;
        let set_aside = self.aside_record(record, key.clone(), sequence, &opened, invalid(violation));
        match key {
            None => self.aside.push(set_aside),
            Some(key) => {
                let held = Held { record: set_aside, opened, stored: false };
                self.keys.entry(key.clone()).or_default().held.push(held);
                if let (OnInvalid::Skip, Some(sequence)) = (self.events.on_invalid, sequence) {
                    self.advance(&key, sequence);
                }
            }
        }
        None
    }

    fn hold_back(&mut self, record: &Incoming, key: &RecordKey, opened: OpenedEvent, cause: AsideCause) {
        self.accounting.held += 1;
        let OpenedEvent::Known { sequence, .. } = &opened else { return };
        let set_aside = self.aside_record(record, Some(key.clone()), Some(*sequence), &opened, cause);
        let held = Held { record: set_aside, opened, stored: false };
        self.keys.entry(key.clone()).or_default().held.push(held);
    }

    fn aside_record(
        &self,
        record: &Incoming,
        key: Option<RecordKey>,
        sequence: Option<Sequence>,
        opened: &OpenedEvent,
        cause: AsideCause,
    ) -> AsideRecord {
        let (OpenedEvent::Known { digest, .. } | OpenedEvent::Foreign { digest, .. }) = opened;
        let facts = AsideFacts { key, sequence, received: *digest, cause };
        aside(&self.hold.lane, record, facts, self.now)
    }

    /// Returns what is known of the chain of a key at this moment.
    pub fn chain(&self, key: &RecordKey) -> Chain {
        let known = self.keys.get(key);
        Chain {
            seen: known.and_then(|known| known.seen),
            waiting: known.is_some_and(|known| !known.held.is_empty()),
            midway: self.accounting.from > 0 || self.intake.begins_midway(),
        }
    }

    /// Returns whether the projection reached a reaction's sequence, or need not be waited for any more.
    fn is_ready(&self, key: &RecordKey, reaction: &Reaction, taken: Timestamp) -> bool {
        let Reaction::Inbox(row) = reaction else { return true };
        !self.is_behind(key, row.sequence)
            || self.now >= taken.saturating_add(self.events.deadline).unwrap_or(taken)
    }

    fn is_behind(&self, key: &RecordKey, sequence: Sequence) -> bool {
        let reached = self.keys.get(key).and_then(|known| known.reached);
        self.intake.state.is_some() && reached < Some(sequence)
    }

    /// Returns whether a reaction that is released once the chain comes to a sequence still waits for its projection.
    fn must_wait(&self, key: &RecordKey, sequence: Sequence) -> bool {
        let Some(known) = self.keys.get(key) else { return false };
        let mut seen = sequence;
        while let Some((next, idx)) = next_held(known, seen) {
            let held = &known.held[idx];
            if let OpenedEvent::Known { reaction, .. } = &held.opened
                && !self.is_ready(key, reaction, held.record.since)
            {
                return true;
            }
            seen = next;
        }
        false
    }

    /// Puts a reaction into the inbox; one that did not wait for its projection says so.
    pub fn react(&mut self, key: &RecordKey, reaction: Reaction) {
        if let Reaction::Inbox(row) = reaction {
            let projection_behind = self.is_behind(key, row.sequence);
            self.inbox.push(InboxRow { projection_behind, ..*row });
        }
    }

    /// Moves the chain of a key on to a sequence, and releases what follows there in its order.
    pub fn advance(&mut self, key: &RecordKey, sequence: Sequence) {
        let mut seen = sequence;
        while let Some((next, idx)) = self.keys.get(key).and_then(|known| next_held(known, seen)) {
            let held = self.release(key, idx);
            self.accounting.held = self.accounting.held.saturating_sub(1);
            self.accounting.applied += 1;
            if let OpenedEvent::Known { reaction, .. } = held.opened {
                self.react(key, reaction);
            }
            seen = next;
        }
        self.seen.insert(key.clone(), seen);
        self.keys.entry(key.clone()).or_default().seen = Some(seen);
        self.release_passed(key, seen);
    }

    /// Releases records of a key that its chain has passed: they came twice.
    fn release_passed(&mut self, key: &RecordKey, seen: Sequence) {
        let skips = self.events.on_invalid == OnInvalid::Skip;
        let passed = |held: &Held| {
            held.record.sequence.is_some_and(|sequence| sequence <= seen)
                && !(skips && is_broken(&held.record.cause))
        };
        while let Some(idx) = self.keys.get(key).and_then(|known| known.held.iter().position(passed)) {
            let held = self.release(key, idx);
            let placed = if is_broken(&held.record.cause) {
                &mut self.accounting.quarantined
            } else {
                &mut self.accounting.held
            };
            *placed = placed.saturating_sub(1);
            self.accounting.duplicates += 1;
        }
    }

    /// Takes a record of a key out of quarantine. Its place in the accounting is the caller's.
    pub fn release(&mut self, key: &RecordKey, idx: usize) -> Held {
        let known = self.keys.get_mut(key).expect("a held record has a known key");
        let held = known.held.remove(idx);
        if held.stored {
            self.released.push(held.record.offset);
        }
        held
    }

    /// Returns the records of a key that wait.
    pub fn held(&self, key: &RecordKey) -> &[Held] {
        self.keys.get(key).map_or(&[], |known| known.held.as_slice())
    }

    /// Returns the accounting, to say what became of a record that was released.
    pub fn accounting(&mut self) -> &mut Accounting {
        &mut self.accounting
    }

    /// Returns the batch; its position is still that of before.
    pub fn finish(self, hold: &Hold) -> Batch {
        let mut next = hold.state().clone();
        next.accounting = self.accounting;
        let mut batch = hold.batch(next);
        let pending = self.keys.into_values().flat_map(|known| known.held).filter(|held| !held.stored);
        batch.aside = self.aside.into_iter().chain(pending.map(|held| held.record)).collect();
        batch.aside.sort_by_key(|record| record.offset);
        batch.chains = self.seen.into_iter().collect();
        batch.inbox = self.inbox;
        batch.released = self.released;
        batch.cases = self.cases;
        batch
    }
}

/// Returns the waiting record that follows on a sequence, with its own sequence; none when that one is broken.
fn next_held(known: &Known, seen: Sequence) -> Option<(Sequence, usize)> {
    let chain = Chain { seen: Some(seen), waiting: true, midway: false };
    known.held.iter().enumerate().find_map(|(idx, held)| match &held.opened {
        OpenedEvent::Known { sequence, previous, reaction, .. }
            if place(chain, *sequence, *previous) == Place::Follows
                && !is_broken(&held.record.cause)
                && !matches!(reaction, Reaction::Invalid(_)) =>
        {
            Some((*sequence, idx))
        }
        _ => None,
    })
}

/// The case of a chain that is broken: one for each key.
fn chain_case(
    intake: &Intake,
    hold: &Hold,
    offset: u64,
    key: &RecordKey,
    seen: Option<Sequence>,
    named: Option<Sequence>,
) -> NewCase {
    let text = |sequence: Option<Sequence>| sequence.map_or_else(|| "none".to_owned(), |it| it.to_string());
    let facts = [
        ("offset", offset.to_string()),
        ("key", key.to_string()),
        ("seen", text(seen)),
        ("named", text(named)),
    ];
    let lane = &hold.lane;
    NewCase {
        kind: CaseKind::Chain,
        fingerprint: format!("chain/{}/{}/{key}", lane.subscription, lane.topic),
        subject: lane.subscription.to_string(),
        owed_by: intake.contract.name.context.clone(),
        summary: format!("an event is missing from the chain of a key on `{}`", lane.topic),
        details: details(lane, &facts),
    }
}

#[cfg(test)]
mod tests;
