//! The relay: rows leave the outbox for the log, batch by batch, each in one append and one removal.

pub mod batch;
pub mod decide;
pub mod generation;
mod hours;
pub mod last;
mod reach;
pub mod records;
mod topics;

#[cfg(test)]
pub(crate) mod fixture;

use crate::case::NewCase;
use crate::clock::Clock;
use crate::flood::{Flood, source_case};
use crate::log::{Appended, Fence, Log};
use crate::outlet::OutletSet;
use crate::port::PortError;
use crate::relay::batch::{Agreement, agree, encode};
use crate::relay::decide::{Plan, decide, rewound_case, unserved_case};
use crate::relay::generation::Written;
use crate::relay::hours::Hourly;
use crate::relay::last::last_batch;
use crate::relay::reach::{READ_BYTES_MAX, is_full, limit_after};
use crate::seal::Vault;
use crate::seal::sealer::keys_for;
use crate::source::{OutboxRow, Removal, Removed, Source, Taken, Tenure};
use crate::stop;
use futures_util::future::join;
use jiff::Timestamp;
use seamline_contract::id::ContractId;
use seamline_message::mutant::{self, Mutant};
use seamline_message::sequence::Sequence;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How many rows one step takes at most.
pub const STEP_ROWS: usize = 4_000;

/// How many rows the first step should take at most, before the size of rows is known.
pub const FIRST_ROWS: usize = 256;

/// How many rows are looked at to find some behind those of parked contracts.
pub const LOOK_ROWS_MAX: usize = 64_000;

/// How long a parked contract rests before its topics are tried again.
pub const PARKED: Duration = Duration::from_secs(60);

/// The ports of a relay, and on whose behalf they are used.
#[derive(Debug)]
pub struct RelayPorts<'a, S, L, C> {
    /// The producer's database.
    pub source: &'a S,
    /// The log.
    pub log: &'a L,
    /// The clock.
    pub clock: &'a C,
    /// Who takes the outbox.
    pub holder: &'a str,
    /// How long it stays taken without a removal.
    pub ttl: Duration,
    /// How many rows the first step takes at most; the next ones grow with what was found.
    pub first_rows: usize,
}

impl<S, L, C> Clone for RelayPorts<'_, S, L, C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S, L, C> Copy for RelayPorts<'_, S, L, C> {}

/// What became of the wish to hold an outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TakeOver<T> {
    /// It is held.
    Held(T),
    /// Another holds it.
    Busy {
        /// Until when, unless renewed.
        until: Timestamp,
    },
    /// Source and log are not of one history. Nothing was published; the case is raised.
    Rewound(Box<NewCase>),
}

/// What one step did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// What it says, durably.
    Stepped(Stepped),
    /// Somebody else took the outbox; the next step takes it again.
    LostTenure,
    /// Another holds the outbox.
    Busy {
        /// Until when, unless renewed.
        until: Timestamp,
    },
    /// Source and log are not of one history. Nothing was published; the case is raised.
    Rewound(Box<NewCase>),
}

/// How far a step came.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stepped {
    /// Rows that are in the log and left the outbox.
    pub published: u64,
    /// Rows that went to quarantine.
    pub aside: u64,
    /// Rows that were put off until their hour.
    pub deferred: u64,
    /// Contracts of which all left that was due at an hour.
    pub sent: Vec<ContractId>,
    /// More rows may wait that could leave at once.
    pub more: bool,
    /// Rows seen that stay, since their contract is parked or not served.
    pub staying: u64,
    /// Cases that were raised.
    pub cases: Vec<NewCase>,
}

/// The right to empty an outbox, as long as nobody else takes it.
#[derive(Debug, Clone)]
struct Held {
    tenure: Tenure,
    fence: Fence,
    renewed: Timestamp,
}

/// Rows, and what is to become of them.
#[derive(Debug)]
struct Ready {
    rows: Vec<OutboxRow>,
    plan: Plan,
    /// More may wait behind them.
    more: bool,
    /// They were put off, and their hour has come.
    due: bool,
}

/// What became of a plan.
enum Done {
    Stepped(Held, Stepped),
    Fenced,
    /// Nothing was published.
    Refused {
        held: Held,
        topic: String,
        reason: String,
    },
}

/// The relay of one database.
#[derive(Debug)]
pub struct Relay<'a, S, L, C> {
    ports: RelayPorts<'a, S, L, C>,
    outlets: &'a OutletSet,
    /// None: what was done last is not known, or the outbox was lost; it is taken over again.
    held: Option<Held>,
    /// By topic that is there, its partitions.
    partitions: BTreeMap<String, u32>,
    /// By contract, the generations of topics that rows went to, whoever wrote them.
    written: Written,
    /// Contracts that rest, and until when.
    parked: BTreeMap<ContractId, Timestamp>,
    /// What went aside lately, by contract.
    floods: BTreeMap<ContractId, Flood>,
    /// Contracts that are not served and whose case is raised, and until when it is not raised again.
    told: BTreeMap<ContractId, Timestamp>,
    hourly: Hourly,
    /// How many rows the next step takes: as many as are small enough together.
    limit: usize,
    /// What the next step is to publish, read and decided while the one before was published.
    ahead: Option<Ready>,
    /// Used by a mutant only.
    last_read: Sequence,
}

impl<'a, S: Source + Vault, L: Log, C: Clock> Relay<'a, S, L, C> {
    /// Takes an outbox over: raises the epoch of its lease, fences the predecessor off the log, and only then reads.
    ///
    /// # Errors
    /// The ports'; it is safe to repeat.
    pub async fn take_over(
        ports: RelayPorts<'a, S, L, C>,
        outlets: &'a OutletSet,
    ) -> Result<TakeOver<Self>, PortError> {
        let mut relay = Relay {
            ports,
            outlets,
            held: None,
            partitions: BTreeMap::new(),
            written: Written::new(),
            parked: BTreeMap::new(),
            floods: BTreeMap::new(),
            told: BTreeMap::new(),
            hourly: Hourly::default(),
            limit: ports.first_rows,
            ahead: None,
            last_read: Sequence::MIN,
        };
        Ok(match relay.take().await? {
            TakeOver::Held(()) => TakeOver::Held(relay),
            TakeOver::Busy { until } => TakeOver::Busy { until },
            TakeOver::Rewound(case) => TakeOver::Rewound(case),
        })
    }

    async fn take(&mut self) -> Result<TakeOver<()>, PortError> {
        let RelayPorts { source, log, clock, holder, ttl, .. } = self.ports;
        let now = clock.now();
        let mut tenure = match source.take_over(holder, now, ttl).await? {
            Taken::Held(tenure) => tenure,
            Taken::Busy { until } => return Ok(TakeOver::Busy { until }),
        };
        let fence = log.fence(&self.outlets.producer_name()).await?;
        // Invariant: whoever held the outbox before writes no more, to the log or the source. Only now is what they hold final.
        let batch = last_batch(self.ports.log, self.outlets).await?;
        let through = batch.as_ref().filter(|batch| batch.number > tenure.batch);
        let waiting = match through {
            Some(batch) => {
                let mut rows = self.waiting_through(batch.rows.iter().max().copied()).await?;
                rows.extend(source.deferred(&batch.rows).await?);
                rows
            }
            None => Vec::new(),
        };
        self.written = batch.as_ref().map(|batch| batch.written.clone()).unwrap_or_default();
        match agree(tenure.batch, batch.as_ref(), &waiting) {
            Agreement::Agrees => {}
            Agreement::Ahead(batch) => {
                let removal =
                    Removal { number: batch.number, published: batch.rows.clone(), ..Removal::default() };
                if source.remove(&tenure, &removal, now, ttl).await? == Removed::Fenced {
                    return Ok(TakeOver::Busy { until: now });
                }
                tenure.batch = batch.number;
            }
            Agreement::Rewound(why) => {
                let case = rewound_case(self.outlets, why, tenure.batch, batch.map(|batch| batch.number));
                let removal =
                    Removal { number: tenure.batch, cases: vec![case.clone()], ..Removal::default() };
                source.remove(&tenure, &removal, now, ttl).await?;
                return Ok(TakeOver::Rewound(Box::new(case)));
            }
        }
        let at_hours = self.outlets.iter().filter(|outlet| outlet.schedule.is_some());
        let at_hours: Vec<_> = at_hours.map(|outlet| outlet.contract.name.contract.clone()).collect();
        source.recall(&at_hours).await?;
        (self.held, self.hourly) = (Some(Held { tenure, fence, renewed: now }), Hourly::default());
        Ok(TakeOver::Held(()))
    }

    /// Returns rows that wait, at least those up to a sequence.
    async fn waiting_through(&self, last: Option<Sequence>) -> Result<Vec<OutboxRow>, PortError> {
        let mut limit = STEP_ROWS;
        loop {
            let rows = self.ports.source.waiting(limit).await?;
            if rows.len() < limit || rows.iter().any(|row| Some(row.place()) > last) {
                return Ok(rows);
            }
            limit *= 2;
        }
    }

    /// Publishes and removes the lowest rows, at most `STEP_ROWS`, fewer when they are large.
    ///
    /// # Errors
    /// The ports'. What was done last is then not known: the next step takes the outbox over again and finds out.
    pub async fn step(&mut self) -> Result<Step, PortError> {
        if self.held.is_none() {
            match self.take().await? {
                TakeOver::Held(()) => {}
                TakeOver::Busy { until } => return Ok(Step::Busy { until }),
                TakeOver::Rewound(case) => return Ok(Step::Rewound(case)),
            }
        }
        let held = self.held.take().expect("taken above where it was not held");
        // Dropped with this future, or by an error: then it is read again.
        let ahead = self.ahead.take();
        self.step_held(held, ahead).await
    }

    /// Puts `held` back only when the outcome of everything is known.
    ///
    /// While a batch is published and removed, the next is read and decided; it is published only after the removal.
    async fn step_held(&mut self, held: Held, ahead: Option<Ready>) -> Result<Step, PortError> {
        let now = self.ports.clock.now();
        self.parked.retain(|_, until| *until > now);
        let mut cases = self.look_for_topics(now).await?;
        let number = held.tenure.batch + 1;
        let Ready { rows, mut plan, more, due } = self.ready(ahead, now, number).await?;
        if !rows.is_empty() {
            stop::here("read");
        }
        cases.append(&mut plan.cases);
        cases.append(&mut self.hourly.cases);
        cases.extend(self.unserved(&plan, now));
        cases.extend(self.flooded(&rows, &plan, now));
        let is_plain = plan.aside.is_empty() && plan.staying == 0 && cases.is_empty();
        let (done, ahead) = join(
            self.publish(held, plan, cases, now, more),
            self.read_ahead((more && is_plain && !due).then_some(&rows), number + 1),
        )
        .await;
        match done? {
            Done::Stepped(held, mut stepped) => {
                stepped.sent = std::mem::take(&mut self.hourly.done);
                self.limit = ahead
                    .as_ref()
                    .map_or(self.limit, |ready| limit_after(&ready.rows, self.limit, self.ports.first_rows));
                (self.held, self.ahead) = (Some(held), ahead);
                Ok(Step::Stepped(stepped))
            }
            Done::Fenced => Ok(Step::LostTenure),
            Done::Refused { held, topic, reason } => {
                let case = self.park(&topic, &reason, now);
                match self.remove(held, Plan::default(), vec![case], now, true).await? {
                    Done::Stepped(held, stepped) => {
                        self.held = Some(held);
                        Ok(Step::Stepped(stepped))
                    }
                    Done::Fenced | Done::Refused { .. } => Ok(Step::LostTenure),
                }
            }
        }
    }

    /// Counts the rows of a plan that break their contract, and lets a contract rest that has too many: what is in the plan is
    /// finished.
    fn flooded(&mut self, rows: &[OutboxRow], plan: &Plan, now: Timestamp) -> Vec<NewCase> {
        let broken = plan.aside.iter().filter(|aside| aside.violation.is_some()).map(|aside| aside.sequence);
        let broken: BTreeSet<Sequence> = broken.collect();
        if broken.is_empty() {
            return Vec::new();
        }
        for row in rows.iter().filter(|row| broken.contains(&row.sequence)) {
            self.floods.entry(row.contract.clone()).or_default().count(now, 1);
        }
        let resting = self.floods.iter().filter_map(|(id, flood)| Some((id.clone(), flood.rests(now)?)));
        let resting: Vec<(ContractId, Timestamp)> = resting.collect();
        self.parked.extend(resting.iter().cloned());
        resting.iter().filter_map(|(id, _)| self.outlets.get(id)).map(source_case).collect()
    }

    async fn plan(&self, rows: &[OutboxRow], number: u64, due: bool) -> Result<Plan, PortError> {
        let (parked, now) = (self.parked.keys().cloned().collect(), self.ports.clock.now());
        let sealing = self.outlets.sealing();
        let keys = keys_for(self.ports.source, &sealing, rows, now).await?;
        let mut plan = decide(self.outlets, rows, &parked, &self.partitions, number, &keys, due);
        if let (Some(batch), Some(last)) = (&mut plan.batch, plan.records.last_mut()) {
            batch.written.clone_from(&self.written);
            generation::add(self.outlets, &mut batch.written);
            if !batch.written.is_empty() {
                // The batch record is the last of an append.
                last.value = Some(encode(batch));
            }
        }
        Ok(plan)
    }

    /// Reads and decides what comes behind rows that are on their way, unless something is in the way of it. What does not
    /// work here is told when it is tried again.
    async fn read_ahead(&self, behind: Option<&Vec<OutboxRow>>, number: u64) -> Option<Ready> {
        let rows = self.ports.source.waiting_behind(behind?, self.limit, READ_BYTES_MAX).await.ok()?;
        if rows.is_empty() || mutant::is(Mutant::IdAfterLast) {
            return None;
        }
        let plan = self.plan(&rows, number, false).await.ok()?;
        Some(Ready { more: is_full(&rows, self.limit, READ_BYTES_MAX), plan, rows, due: false })
    }

    async fn publish(
        &self,
        held: Held,
        mut plan: Plan,
        cases: Vec<NewCase>,
        now: Timestamp,
        more: bool,
    ) -> Result<Done, PortError> {
        if !plan.records.is_empty() {
            match self.ports.log.append(&held.fence, std::mem::take(&mut plan.records)).await? {
                Appended::Done => {}
                Appended::Fenced => return Ok(Done::Fenced),
                Appended::Refused { topic, reason } => return Ok(Done::Refused { held, topic, reason }),
            }
        }
        self.remove(held, plan, cases, now, more).await
    }

    /// Returns the cases of contracts that are not served, each once in a while: an idle relay writes nothing.
    fn unserved(&mut self, plan: &Plan, now: Timestamp) -> Vec<NewCase> {
        self.told.retain(|_, until| *until > now);
        let until = now.saturating_add(PARKED).unwrap_or(Timestamp::MAX);
        let untold = plan.unserved.iter().filter(|contract| !self.told.contains_key(*contract));
        let untold: Vec<ContractId> = untold.cloned().collect();
        self.told.extend(untold.iter().map(|contract| (contract.clone(), until)));
        untold.iter().map(|contract| unserved_case(self.outlets, contract)).collect()
    }

    async fn remove(
        &self,
        held: Held,
        plan: Plan,
        cases: Vec<NewCase>,
        now: Timestamp,
        more: bool,
    ) -> Result<Done, PortError> {
        let Held { mut tenure, fence, mut renewed } = held;
        let mut stepped = Stepped {
            published: plan.batch.as_ref().map_or(0, |batch| batch.rows.len() as u64),
            aside: plan.aside.len() as u64,
            deferred: plan.deferred.len() as u64,
            sent: Vec::new(),
            more,
            staying: plan.staying,
            cases: cases.clone(),
        };
        stepped.more &= !plan.rests() || plan == Plan::default();
        let removal = Removal {
            number: plan.batch.as_ref().map_or(tenure.batch, |batch| batch.number),
            published: plan.batch.map(|batch| batch.rows).unwrap_or_default(),
            aside: plan.aside,
            deferred: plan.deferred,
            cases,
        };
        let idle = removal == Removal { number: removal.number, ..Removal::default() };
        if !idle || now.duration_since(renewed).unsigned_abs() >= self.ports.ttl / 3 {
            match self.ports.source.remove(&tenure, &removal, now, self.ports.ttl).await? {
                Removed::Done => {}
                Removed::Fenced => return Ok(Done::Fenced),
            }
            if !removal.published.is_empty() {
                stop::here("removed");
            }
            tenure.batch = removal.number;
            renewed = now;
        }
        Ok(Done::Stepped(Held { tenure, fence, renewed }, stepped))
    }

    /// Returns rows to decide on, and whether more may wait behind them. Looks past those of parked contracts.
    async fn rows(&mut self) -> Result<(Vec<OutboxRow>, bool), PortError> {
        let (mut limit, mut weight) = (self.limit, READ_BYTES_MAX);
        loop {
            let mut rows = self.ports.source.waiting_within(limit, weight).await?;
            let full = is_full(&rows, limit, weight);
            let stays = |row: &OutboxRow| {
                let is_served =
                    self.outlets.get(&row.contract).is_some_and(|outlet| outlet.knows(row.version));
                self.parked.contains_key(&row.contract) || !is_served
            };
            if full && limit < LOOK_ROWS_MAX && rows.iter().all(stays) {
                (limit, weight) = (limit * 2, weight * 2);
                continue;
            }
            self.limit = limit_after(&rows, self.limit, self.ports.first_rows);
            if mutant::is(Mutant::IdAfterLast) {
                let last = self.last_read;
                rows.retain(|row| row.sequence > last);
                self.last_read = rows.iter().map(|row| row.sequence).max().unwrap_or(last);
            }
            return Ok((rows, full));
        }
    }
}
