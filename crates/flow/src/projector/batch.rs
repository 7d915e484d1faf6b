//! What a run of state records does to a projection: one batch, made from the records and what is known of their keys.

use crate::case::{CaseKind, NewCase};
use crate::hold::{Hold, Moved, details, raise, written_first};
use crate::intake::Intake;
use crate::log::{Fetch, Incoming};
use crate::points::{Change, Passed, Point, passed};
use crate::position::Accounting;
use crate::projector::decide::{Verdict, decide, in_sums};
use crate::projector::open::{AsideFacts, Content, Opened, aside, invalid, quarantine_case};
use crate::store::{AsideCause, AsideRecord, Batch, Had, KeyEnd, Lane, Marker, Markers, RowWrite};
use jiff::Timestamp;
use seamline_contract::value::Value;
use seamline_message::digest::Digest;
use seamline_message::key::RecordKey;
use seamline_message::mutant::{self, Mutant};
use seamline_message::sequence::Sequence;
use seamline_message::sums::{BucketSum, Sums};
use seamline_message::violation::Violation;
use std::collections::HashMap;

/// What is known of a key before.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Known {
    /// Its markers.
    pub markers: Markers,
    /// Its records in quarantine on this lane: offset and sequence.
    pub waiting: Vec<(u64, Sequence)>,
}

/// A batch with what it passes.
#[derive(Debug, Clone, PartialEq)]
pub struct Made {
    /// To write.
    pub batch: Batch,
    /// The points passed, to remember once it is durable.
    pub passed: Passed,
    /// How far it comes.
    pub moved: Moved,
}

/// Makes the batch of a run of records. `opened` is aligned with the records.
///
/// `comparable` says that the digests that are stored were made under the key of today; where they were not, an equal
/// sequence is taken for the same record.
pub fn make(
    intake: &Intake,
    hold: &Hold,
    fetch: &Fetch,
    opened: Vec<Opened>,
    known: HashMap<RecordKey, Known>,
    comparable: bool,
    now: Timestamp,
) -> Made {
    let from = hold.offset();
    let mut fold = Fold::new(intake, hold, known, comparable, now);
    let mut marks = passed(from, fetch.next).into_iter().peekable();
    let mut passed = Passed::default();
    for (record, opened) in fetch.records.iter().zip(opened) {
        while let Some(offset) = marks.next_if(|mark| *mark <= record.offset) {
            passed.points.push(Point { offset, sums: fold.sums.clone() });
        }
        if mutant::is(Mutant::RecordDropped) && record.offset % 16 == 5 {
            fold.accounting.superseded += 1;
            continue;
        }
        fold.take(record, opened);
        passed.changes.extend(fold.touched.take().map(|(bucket, before)| Change {
            offset: record.offset,
            bucket,
            before,
        }));
    }
    passed.points.extend(marks.map(|offset| Point { offset, sums: fold.sums.clone() }));
    let handed = fetch.records.len() as u64;
    fold.accounting.handed += handed;
    fold.accounting.to = fetch.next;
    fold.accounting.absent += fetch.next - from - handed;
    let mut batch = fold.finish(hold);
    if let Some(position) = &mut batch.next.position {
        position.offset = fetch.next;
        position.leader_epoch = fetch.records.last().map_or(position.leader_epoch, |last| last.leader_epoch);
    }
    let moved = Moved {
        handed,
        aside: batch.aside.len() as u64,
        inbox: 0,
        behind: fetch.end.saturating_sub(fetch.next),
        written: written_first(&fetch.records),
    };
    Made { batch, passed, moved }
}

/// Folds state records into what one transaction writes.
#[derive(Debug)]
pub struct Fold<'a> {
    intake: &'a Intake,
    lane: &'a Lane,
    comparable: bool,
    now: Timestamp,
    /// The place of each key in `works`; sorted once all are taken.
    places: HashMap<RecordKey, usize>,
    works: Vec<Work>,
    /// The sums so far.
    pub sums: Sums,
    /// The bucket that the last record changed, and what it was.
    touched: Option<(usize, BucketSum)>,
    /// The accounting so far; what was handed over, and the offsets, are the caller's.
    pub accounting: Accounting,
    aside: Vec<AsideRecord>,
    released: Vec<u64>,
    cases: Vec<NewCase>,
}

/// One key in the course of a fold.
#[derive(Debug)]
struct Work {
    before: Markers,
    now: Markers,
    waiting: Vec<(u64, Sequence)>,
    write: Option<Write>,
}

#[derive(Debug)]
enum Write {
    Row(Vec<Value>, Marker),
    End(Marker),
}

impl<'a> Fold<'a> {
    /// Begins with the lane as it is.
    pub fn new(
        intake: &'a Intake,
        hold: &'a Hold,
        known: HashMap<RecordKey, Known>,
        comparable: bool,
        now: Timestamp,
    ) -> Fold<'a> {
        let work = |known: Known| Work {
            before: known.markers.clone(),
            now: known.markers,
            waiting: known.waiting,
            write: None,
        };
        let (mut places, mut works) = (HashMap::with_capacity(known.len()), Vec::with_capacity(known.len()));
        for (key, known) in known {
            places.insert(key, works.len());
            works.push(work(known));
        }
        Fold {
            intake,
            lane: &hold.lane,
            comparable,
            now,
            places,
            works,
            sums: hold.state().sums.clone(),
            touched: None,
            accounting: hold.state().accounting,
            aside: Vec::new(),
            released: Vec::new(),
            cases: Vec::new(),
        }
    }

    /// Takes the next record in, and returns what it was to its key; none for one that is nobody's.
    pub fn take(&mut self, record: &Incoming, opened: Opened) -> Option<Verdict> {
        match opened {
            Opened::Foreign { digest, violation } => {
                self.set_aside(record, None, None, digest, &violation);
                None
            }
            Opened::Known { key, sequence, digest, content } => {
                let place = *self.places.get(&key).expect("what is known of every key is given");
                let verdict = match decide(&self.works[place].now, sequence, digest) {
                    Verdict::Conflict if !self.comparable => Verdict::Duplicate,
                    verdict => verdict,
                };
                match verdict {
                    Verdict::Duplicate => self.accounting.duplicates += 1,
                    Verdict::Superseded => self.accounting.superseded += 1,
                    Verdict::Conflict => {
                        self.accounting.conflicts += 1;
                        let case = conflict_case(self.intake, self.lane, record.offset, &key, sequence);
                        raise(&mut self.cases, case);
                    }
                    Verdict::Apply => self.apply(record, (&key, place), sequence, digest, content),
                }
                Some(verdict)
            }
        }
    }

    /// Forgets that a record waits in quarantine, since it is now applied again. The sums let it go.
    pub fn forget_aside(&mut self, key: &RecordKey, sequence: Sequence) {
        let Some(work) = self.places.get(key).map(|place| &mut self.works[*place]) else { return };
        if work.now.aside.is_some_and(|(aside, _)| aside == sequence) {
            let before = in_sums(&work.now);
            work.now.aside = None;
            self.sums.replace(key, before, in_sums(&work.now));
        }
    }

    fn apply(
        &mut self,
        record: &Incoming,
        (key, place): (&RecordKey, usize),
        sequence: Sequence,
        digest: Digest,
        content: Content,
    ) {
        let marker = |written| Marker { sequence, offset: record.offset, received: digest, written };
        let keep_ended = self.intake.state.as_ref().is_some_and(|state| state.projection.keep_ended);
        let work = &mut self.works[place];
        let before = in_sums(&work.now);
        let write = match content {
            Content::Invalid(violation) => {
                if work.now.aside.is_none_or(|(aside, _)| aside < sequence) {
                    work.now.aside = Some((sequence, digest));
                }
                self.touched = self.sums.replace(key, before, in_sums(&work.now));
                self.set_aside(record, Some(key), Some(sequence), digest, &violation);
                return;
            }
            Content::Row(values, written) => {
                work.now.row = Some(marker(written));
                Write::Row(values, marker(written))
            }
            Content::End(written) => {
                work.now.ended = Some(marker(written));
                if !keep_ended {
                    work.now.row = None;
                }
                Write::End(marker(written))
            }
        };
        match work.write.replace(write) {
            None => self.accounting.applied += u64::from(!mutant::is(Mutant::AppliedUncounted)),
            Some(overtaken) => {
                self.accounting.coalesced += 1;
                if mutant::is(Mutant::CoalesceFirst) {
                    work.write = Some(overtaken);
                }
            }
        }
        if work.now.aside.is_some_and(|(aside, _)| aside < sequence) {
            work.now.aside = None;
        }
        self.touched = self.sums.replace(key, before, in_sums(&work.now));
        if !self.aside.is_empty() || !work.waiting.is_empty() {
            self.release_overtaken((key, place), sequence);
        }
    }

    /// Broken records of a key that a valid one overtakes have nothing left to wait for.
    fn release_overtaken(&mut self, (key, place): (&RecordKey, usize), sequence: Sequence) {
        let pending = self.aside.len();
        self.aside.retain(|record| record.key.as_ref() != Some(key) || record.sequence >= Some(sequence));
        let dropped = (pending - self.aside.len()) as u64;
        self.accounting.quarantined = self.accounting.quarantined.saturating_sub(dropped);
        self.accounting.coalesced += dropped;
        let work = &mut self.works[place];
        let (overtaken, waiting): (Vec<_>, Vec<_>) =
            work.waiting.drain(..).partition(|(_, aside)| *aside < sequence);
        work.waiting = waiting;
        let overtaken: Vec<u64> = overtaken.into_iter().map(|(offset, _)| offset).collect();
        self.accounting.quarantined = self.accounting.quarantined.saturating_sub(overtaken.len() as u64);
        self.accounting.superseded += overtaken.len() as u64;
        self.released.extend(overtaken);
    }

    fn set_aside(
        &mut self,
        record: &Incoming,
        key: Option<&RecordKey>,
        sequence: Option<Sequence>,
        received: Digest,
        violation: &Violation,
    ) {
        self.accounting.quarantined += 1;
        let facts = AsideFacts { key: key.cloned(), sequence, received, cause: invalid(violation) };
        self.aside.push(aside(self.lane, record, facts, self.now));
        raise(&mut self.cases, quarantine_case(self.intake, self.lane, record.offset, key, violation));
    }

    /// Returns the batch; its position is still that of before.
    pub fn finish(self, hold: &Hold) -> Batch {
        let mut next = hold.state().clone();
        next.sums = self.sums;
        next.accounting = self.accounting;
        let mut batch = hold.batch(next);
        batch.aside = self.aside;
        batch.released = self.released;
        batch.cases = self.cases;
        let mut keys: Vec<(RecordKey, usize)> = self.places.into_iter().collect();
        keys.sort_unstable();
        let mut works = self.works;
        for (key, place) in keys {
            let work = &mut works[place];
            if work.before.aside != work.now.aside {
                batch.received_aside.push((key.clone(), work.now.aside));
            }
            match work.write.take() {
                None => {}
                Some(Write::Row(values, marker)) => {
                    let had = match (&work.before.row, &work.before.ended) {
                        (None, None) => Had::Nothing,
                        (Some(_), None) => Had::Row,
                        (_, Some(_)) => Had::More,
                    };
                    batch.rows.push(RowWrite { key, values, marker, had });
                }
                Some(Write::End(_)) if mutant::is(Mutant::LostTombstone) => {
                    batch.purge.extend(work.before.row.take().map(|row| (key, Some(row))));
                }
                Some(Write::End(marker)) => batch.ended.push(KeyEnd { key, marker }),
            }
        }
        batch
    }
}

/// The case of one sequence with two contents.
fn conflict_case(intake: &Intake, lane: &Lane, offset: u64, key: &RecordKey, sequence: Sequence) -> NewCase {
    let facts =
        [("offset", offset.to_string()), ("key", key.to_string()), ("sequence", sequence.to_string())];
    NewCase {
        kind: CaseKind::Conflict,
        fingerprint: format!("conflict/{}/{}/{key}/{sequence}", lane.subscription, lane.topic),
        subject: lane.subscription.to_string(),
        owed_by: intake.contract.name.context.clone(),
        summary: format!("`{}` holds one sequence of a key with two contents; the first stays", lane.topic),
        details: details(lane, &facts),
    }
}

/// Returns whether a cause counts as broken, and not as waiting behind something broken.
pub fn is_broken(cause: &AsideCause) -> bool {
    matches!(cause, AsideCause::Invalid { .. })
}

#[cfg(test)]
mod tests;
