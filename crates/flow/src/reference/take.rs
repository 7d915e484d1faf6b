//! Taking a set: its rows are gathered in memory, and replace those of the former set in one commit with the position.
//!
//! Invariants: the position stands behind a manifest, so that a set begun is read again from its first row; the table holds the
//! rows of one whole set, or what hands did to them; numbers only rise.

use super::gather::{Broken, Gather, Judged, Whole};
use super::{PARTITION, ReferenceLane};
use crate::case::{CaseKind, NewCase};
use crate::clock::Clock;
use crate::hold::{Hold, Moved, NOT_DIGESTED, Ports, Step, details, raise};
use crate::intake::Intake;
use crate::log::{Fetched, Log};
use crate::port::PortError;
use crate::position::Accounting;
use crate::stop;
use crate::store::{
    Batch, Committed, Gripped, Had, KeyEnd, Lane, LiveRow, Marker, RowWrite, Store, TakenSet,
};
use jiff::Timestamp;
use seamline_message::digest::{DigestKey, Domain, digest, written};
use seamline_message::key::RecordKey;
use seamline_message::sequence::Sequence;
use std::collections::BTreeMap;

/// How many records one step reads at most.
const STEP_RECORDS: usize = 1_000;

/// How many rows of the table are read at once.
const LIVE_ROWS: usize = 1_000;

/// Rows of sets are digested to be recognised, not to be compared with a ledger.
pub const KEY: DigestKey = DigestKey([0; 32]);

/// Takes the sets of one subscription.
#[derive(Debug)]
pub struct Taker<'a, S, L, C> {
    ports: Ports<'a, S, L, C>,
    intake: &'a Intake,
    sets: &'a ReferenceLane,
    held: Option<Held>,
}

/// The lane, as long as it is ours, and what was read behind its position.
#[derive(Debug)]
struct Held {
    hold: Hold,
    gather: Gather,
    /// The next offset to read: at or behind the position.
    at: u64,
}

/// Returns the lane of a subscription to reference data.
pub fn lane(intake: &Intake, sets: &ReferenceLane) -> Lane {
    intake.lane(&sets.table.topic, PARTITION)
}

impl<'a, S: Store, L: Log, C: Clock> Taker<'a, S, L, C> {
    /// Returns one for a subscription; none where it takes no sets.
    pub fn new(ports: Ports<'a, S, L, C>, intake: &'a Intake) -> Option<Self> {
        Some(Taker { ports, intake, sets: intake.reference.as_ref()?, held: None })
    }

    /// Reads one batch further, and takes the newest set that is whole. Cancel safe: what is not durable is read again.
    ///
    /// # Errors
    /// The ports'. It is safe to go on: after `Unknown` the next step takes the lane again and goes on from what it says.
    pub async fn step(&mut self) -> Result<Step, PortError> {
        let mut held = match self.held.take() {
            Some(held) if held.hold.grip.is_some() => held,
            _ => match self.take().await? {
                Ok(held) => held,
                Err(instead) => return Ok(instead),
            },
        };
        let stepped = self.read(&mut held).await;
        if held.hold.grip.is_some() && !matches!(stepped, Ok(Step::NoTopic)) {
            self.held = Some(held);
        }
        stepped
    }

    async fn take(&self) -> Result<Result<Held, Step>, PortError> {
        let Ports { store, log, clock, holder, ttl } = self.ports;
        let lane = lane(self.intake, self.sets);
        let Some(topic) = log.topic(&lane.topic).await? else { return Ok(Err(Step::NoTopic)) };
        let now = clock.now();
        let grip = match store.grip(&lane, holder, now, ttl, false).await? {
            Gripped::Held(grip) => grip,
            Gripped::Busy { until } => return Ok(Err(Step::Busy { until })),
        };
        let mut hold = Hold::held(lane, topic, grip.clone(), now);
        // A topic made anew, or never read, is read from its beginning: a set stands for itself, and its number says whether it is newer.
        if !grip.state.position.as_ref().is_some_and(|position| position.is_in(&hold.topic)) {
            let Some((oldest, end)) = log.ends(&hold.topic, PARTITION).await? else {
                return Ok(Err(Step::NoTopic));
            };
            let batch = hold.batch(hold.first(oldest, end, NOT_DIGESTED));
            if hold.commit(self.ports, None, batch).await? == Committed::Fenced {
                return Ok(Err(Step::Fenced));
            }
        }
        let at = hold.offset();
        Ok(Ok(Held { hold, gather: Gather::new(self.intake.contract.clone()), at }))
    }

    async fn read(&self, held: &mut Held) -> Result<Step, PortError> {
        match self.ports.log.fetch(&held.hold.topic, PARTITION, held.at, STEP_RECORDS).await? {
            Fetched::Records(fetch) => {
                let (read, behind) = (fetch.next - held.at, fetch.end.saturating_sub(fetch.next));
                held.at = fetch.next;
                fetch.records.into_iter().for_each(|record| held.gather.take(record));
                if behind > 0 && read > 0 {
                    return held
                        .hold
                        .renew(self.ports, Step::Moved(Moved { behind, ..Moved::default() }))
                        .await;
                }
                match held.gather.judged(held.hold.offset(), held.at) {
                    Some(judged) => self.apply(held, judged, behind).await,
                    None => held.hold.renew(self.ports, Step::Idle).await,
                }
            }
            // What is gone was overtaken: the sets behind it stand for themselves.
            Fetched::OutOfRange { start, end } => {
                let first = held.hold.first(start, end, NOT_DIGESTED);
                let batch = held.hold.batch(first);
                held.gather = Gather::new(self.intake.contract.clone());
                held.at = start;
                Ok(match held.hold.commit(self.ports, None, batch).await? {
                    Committed::Done => Step::Idle,
                    Committed::Fenced => Step::Fenced,
                })
            }
            Fetched::NoTopic => {
                held.hold.grip = None;
                Ok(Step::NoTopic)
            }
        }
    }

    /// Moves the position behind the last manifest, and takes the newest set that is whole with it.
    async fn apply(&self, held: &mut Held, judged: Judged, behind: u64) -> Result<Step, PortError> {
        let there = self.ports.store.taken(&self.intake.subscription).await?;
        let lane = held.hold.lane.clone();
        let mut next = held.hold.state().clone();
        let from = held.hold.offset();
        let position = next.position.as_mut().expect("a held lane was started");
        position.offset = judged.next;
        let counts = &mut next.accounting;
        counts.to = judged.next;
        counts.handed += judged.handed;
        counts.absent += (judged.next - from).saturating_sub(judged.handed);
        let mut batch = held.hold.batch(next);
        for broken in &judged.broken {
            raise(&mut batch.cases, broken_case(self.intake, &lane, broken));
        }
        let now = self.ports.clock.now();
        let mut outcome = Outcome { refused: judged.broken.len() as u64, ..Outcome::default() };
        let mut has_rows = false;
        match judged.whole.map(|whole| decide(whole, there.as_ref())) {
            None => {}
            Some(Verdict::Duplicate) => outcome.duplicates = judged.handed - outcome.refused,
            Some(Verdict::Refused(broken)) => {
                outcome.refused = judged.handed;
                raise(&mut batch.cases, broken_case(self.intake, &lane, &broken));
            }
            Some(Verdict::Take(whole)) => match self.rows(&whole) {
                Ok(rows) => {
                    outcome.applied = (rows.len() as u64 + 1).min(judged.handed - outcome.refused);
                    let live = self.live().await?;
                    replace(&mut batch, self.sets.table.projection.keep_ended, whole.number, rows, live);
                    batch.set = Some(taken_set(&whole, now));
                    has_rows = true;
                }
                Err(broken) => {
                    outcome.refused = judged.handed;
                    raise(&mut batch.cases, broken_case(self.intake, &lane, &broken));
                }
            },
        }
        outcome.add(&mut batch.next.accounting, judged.handed);
        stop::here("set-gathered");
        let projection = has_rows.then_some(&self.sets.table.projection);
        let moved = Moved { handed: judged.handed, aside: outcome.refused, behind, ..Moved::default() };
        Ok(match held.hold.commit(self.ports, projection, batch).await? {
            Committed::Done => {
                stop::here("set-taken");
                Step::Moved(moved)
            }
            Committed::Fenced => Step::Fenced,
        })
    }

    /// Reads and derives the rows of a set.
    fn rows(&self, whole: &Whole) -> Result<BTreeMap<RecordKey, RowWrite>, Broken> {
        let broken = |why: String| Broken { number: Some(whole.number), why };
        let mut rows = BTreeMap::new();
        for row in &whole.rows {
            let read = || {
                let typed = self.intake.codec.typed_key(Some(row.key_text.as_bytes()))?;
                let key = typed.key.clone();
                let (values, state) = self.intake.decode_state(whole.version.major, typed, &row.value)?;
                let received = digest(&KEY, Domain::State, key.as_bytes(), &row.value[state]);
                let values = self.intake.derive(values)?;
                let stored = self.sets.table.written.written(&KEY, key.as_bytes(), &values);
                Ok((key, values, received, stored))
            };
            let (key, values, received, stored) =
                read().map_err(|violation: seamline_message::violation::Violation| {
                    broken(format!("a row of it breaks its contract: {violation}"))
                })?;
            let sequence = Sequence(whole.number);
            let marker = Marker { sequence, offset: row.offset, received, written: stored };
            let write = RowWrite { key: key.clone(), values, marker, had: Had::Nothing };
            if rows.insert(key, write).is_some() {
                return Err(broken("two rows of it have one key".to_owned()));
            }
        }
        Ok(rows)
    }

    /// Returns the rows of the table, whoever wrote them.
    async fn live(&self) -> Result<Vec<LiveRow>, PortError> {
        let projection = &self.sets.table.projection;
        let mut all: Vec<LiveRow> = Vec::new();
        loop {
            let after = all.last().map(|row| row.cursor.as_str());
            let rows = self.ports.store.rows(projection, after, LIVE_ROWS).await?;
            let is_last = rows.len() < LIVE_ROWS;
            all.extend(rows);
            if is_last {
                return Ok(all);
            }
        }
    }
}

/// What becomes of a set that is whole.
enum Verdict {
    Take(Whole),
    Duplicate,
    Refused(Broken),
}

fn decide(whole: Whole, there: Option<&TakenSet>) -> Verdict {
    let Some(there) = there else { return Verdict::Take(whole) };
    let refused = |why: String| Verdict::Refused(Broken { number: Some(whole.number), why });
    match whole.number.cmp(&there.number) {
        std::cmp::Ordering::Greater => Verdict::Take(whole),
        std::cmp::Ordering::Equal if whole.manifest.digest == there.digest => Verdict::Duplicate,
        std::cmp::Ordering::Equal => refused("a set of that number has other rows".to_owned()),
        std::cmp::Ordering::Less => refused(format!("it is older than set {}, which is here", there.number)),
    }
}

/// Lets the rows of a set replace those of the table.
fn replace(
    batch: &mut Batch,
    keep_ended: bool,
    number: u64,
    mut rows: BTreeMap<RecordKey, RowWrite>,
    live: Vec<LiveRow>,
) {
    let sequence = Sequence(number);
    for row in live {
        let Some(key) = row.key else { continue };
        let marker = row.marker;
        let is_older = marker.as_ref().is_some_and(|marker| marker.sequence < sequence);
        match rows.get_mut(&key) {
            Some(write) if is_older && !row.ended => write.had = Had::Row,
            Some(write) if is_older || marker.is_none() => write.had = Had::More,
            // Of what another channel wrote, the sequence says nothing here.
            Some(write) => {
                write.had = Had::More;
                batch.purge.push((key, marker));
            }
            None if keep_ended && row.ended => {}
            None if keep_ended && is_older => {
                let offset = batch.next.accounting.to;
                let none = written(&KEY, key.as_bytes(), &[]);
                let received = digest(&KEY, Domain::Tombstone, key.as_bytes(), &[]);
                batch
                    .ended
                    .push(KeyEnd { key, marker: Marker { sequence, offset, received, written: none } });
            }
            None => batch.purge.push((key, marker)),
        }
    }
    batch.ended.sort_by(|one, two| one.key.cmp(&two.key));
    batch.rows = std::mem::take(&mut rows).into_values().collect();
}

fn taken_set(whole: &Whole, now: Timestamp) -> TakenSet {
    TakenSet {
        number: whole.number,
        rows: whole.manifest.rows,
        digest: whole.manifest.digest,
        version: whole.version,
        hour: whole.manifest.hour,
        taken: whole.taken,
        applied: now,
    }
}

/// What became of the records of a step; what is none of these was overtaken.
#[derive(Default)]
struct Outcome {
    applied: u64,
    duplicates: u64,
    refused: u64,
}

impl Outcome {
    fn add(&self, counts: &mut Accounting, handed: u64) {
        counts.applied += self.applied;
        counts.duplicates += self.duplicates;
        // Nothing of it waits for a decision: the next set comes whole.
        counts.conflicts += self.refused;
        counts.superseded += handed - self.applied - self.duplicates - self.refused;
    }
}

fn broken_case(intake: &Intake, lane: &Lane, broken: &Broken) -> NewCase {
    let (number, set) = match broken.number {
        Some(number) => (number.to_string(), format!("set {number} of `{}`", intake.contract)),
        None => (String::new(), format!("a set of `{}`", intake.contract)),
    };
    NewCase {
        kind: CaseKind::Quarantine,
        fingerprint: format!("set/{}/{}", intake.subscription, intake.contract),
        subject: intake.subscription.to_string(),
        // Whoever decides on the contract sent it; the former set stays.
        owed_by: intake.contract.name.context.clone(),
        summary: format!("{set} is not taken: {}; the former set stays", broken.why),
        details: details(lane, &[("set", number)]),
    }
}
