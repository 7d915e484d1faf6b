//! Rebasing an outbox: after a restore, or a log that lost its end, the next incarnation begins in which every key is
//! published again. Its sequences are above all of the older ones, so that consumers take what comes.
//!
//! The one step that must be whole is one transaction of the source. What comes before changes nothing; what comes after is
//! begun again from what the keys themselves say.

use crate::backfill::CHUNK_KEYS;
use crate::clock::Clock;
use crate::log::{Incoming, Log};
use crate::outlet::{Outlet, OutletSet};
use crate::port::PortError;
use crate::relay::RelayPorts;
use crate::relay::batch::{Agreement, agree};
use crate::relay::last::last_batch;
use crate::source::{Act, Incarnation, KeyFacts, OutboxRow, Rebase, Removed, Source, Taken};
use crate::stop;
use crate::sweep::Sweep;
use jiff::Timestamp;
use seamline_contract::channel::ChannelKind;
use seamline_contract::id::ContractId;
use seamline_message::envelope::Envelope;
use seamline_message::key::RecordKey;
use seamline_message::sequence::Sequence;
use std::collections::{BTreeMap, BTreeSet};

/// How many records are read at once.
const READ_MAX: usize = 500;

/// The highest incarnation that a sequence has room for.
pub const INCARNATION_MAX: u16 = 0x7fff;

/// What a rebase would do. As long as a relay is at work it may be outdated at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The source.
    pub source: String,
    /// Why source and log are not of one history; none where they are.
    pub why: Option<&'static str>,
    /// The incarnation of now.
    pub from: u16,
    /// The incarnation in which every key is published again.
    pub to: u16,
    /// It is open already, and is only filled.
    pub resumes: bool,
    /// Rows that wait and get new sequences.
    pub waiting: u64,
    /// Rows that wait and are in the log already, under the same sequence and moment: they leave as published.
    pub published: Vec<Sequence>,
    /// The number of the last batch in the log; zero where it has none.
    batch: u64,
}

/// What became of a rebase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rebased {
    /// It is done.
    Done(Filled),
    /// Another holds the outbox.
    Busy {
        /// Until when, unless renewed.
        until: Timestamp,
    },
    /// There is no incarnation left.
    Exhausted,
}

/// How many rows were written to fill an incarnation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Filled {
    /// Keys published as they are.
    pub keys: u64,
    /// Keys ended that only the log has.
    pub ended: u64,
}

/// Looks at what a rebase would do, and changes nothing.
///
/// # Errors
/// The ports'.
pub async fn plan<S: Source, L: Log>(source: &S, log: &L, outlets: &OutletSet) -> Result<Plan, PortError> {
    let Incarnation { current, filling, batch: removed } = source.incarnation().await?;
    let batch = last_batch(log, outlets).await?;
    let waiting = all_waiting(source, outlets).await?;
    let why = match agree(removed, batch.as_ref(), &waiting) {
        Agreement::Rewound(why) => Some(why),
        Agreement::Agrees | Agreement::Ahead(_) => None,
    };
    let in_log =
        batch.as_ref().and_then(|batch| batch.rows.iter().max()).map_or(0, |last| last.incarnation());
    let resumes = filling && why.is_none();
    let published = if resumes { Vec::new() } else { in_the_log(log, outlets, &waiting).await? };
    let numbered = waiting.iter().filter(|row| !matches!(row.act, Act::Void { .. })).count() as u64;
    Ok(Plan {
        source: outlets.source_name(),
        why,
        from: current,
        to: if resumes { current } else { current.max(in_log).saturating_add(1) },
        resumes,
        waiting: if resumes { 0 } else { numbered - published.len() as u64 },
        published,
        batch: batch.map_or(0, |batch| batch.number),
    })
}

/// Takes the outbox over, opens the next incarnation and fills it; one that is open and not filled is filled. `told` hears
/// how many rows were written so far.
///
/// # Errors
/// The ports'. What was done stays done, and to repeat it goes on from there.
pub async fn rebase<S: Source, L: Log, C: Clock>(
    ports: RelayPorts<'_, S, L, C>,
    outlets: &OutletSet,
    told: &mut (dyn FnMut(u64) + Send),
) -> Result<Rebased, PortError> {
    let RelayPorts { source, log, clock, holder, ttl, .. } = ports;
    let tenure = match source.take_over(holder, clock.now(), ttl).await? {
        Taken::Held(tenure) => tenure,
        Taken::Busy { until } => return Ok(Rebased::Busy { until }),
    };
    // Whoever held the outbox before writes no more: what the log holds now is final.
    log.fence(&outlets.producer_name()).await?;
    stop::here("fenced");
    let plan = plan(source, log, outlets).await?;
    if plan.to > INCARNATION_MAX {
        return Ok(Rebased::Exhausted);
    }
    if !plan.resumes {
        let rebase = Rebase { incarnation: plan.to, batch: plan.batch, published: plan.published };
        if source.rebase(&tenure, &rebase, clock.now(), ttl).await? == Removed::Fenced {
            return Ok(Rebased::Busy { until: clock.now() });
        }
        stop::here("rebased");
    }
    let mut filled = Filled::default();
    for outlet in outlets.iter() {
        let contract = &outlet.contract.name.contract;
        publish_all(source, contract, plan.to, &mut |rows| {
            filled.keys += rows;
            told(filled.keys);
        })
        .await?;
        end_strangers(source, log, outlet, plan.to, &mut |rows| {
            filled.ended += rows;
            told(filled.keys + filled.ended);
        })
        .await?;
    }
    source.filled(plan.to).await?;
    Ok(Rebased::Done(filled))
}

/// Returns what waits, also for its hour.
async fn all_waiting<S: Source>(source: &S, outlets: &OutletSet) -> Result<Vec<OutboxRow>, PortError> {
    let mut limit = 10_000;
    let mut rows = loop {
        let rows = source.waiting(limit).await?;
        if rows.len() < limit {
            break rows;
        }
        limit *= 2;
    };
    for outlet in outlets.iter() {
        rows.extend(source.due(&outlet.contract.name.contract, Timestamp::MAX, usize::MAX, u64::MAX).await?);
    }
    rows.sort_by_key(|row| (row.place(), row.sequence));
    Ok(rows)
}

/// Returns which rows that wait are in the log: a restored outbox holds again what left it since. The moment tells such a row
/// from one that was written since under a sequence that was drawn twice.
async fn in_the_log<L: Log>(
    log: &L,
    outlets: &OutletSet,
    waiting: &[OutboxRow],
) -> Result<Vec<Sequence>, PortError> {
    let mut found = BTreeSet::new();
    for outlet in outlets.iter() {
        let contract = &outlet.contract.name.contract;
        let rows: BTreeMap<Sequence, &OutboxRow> =
            waiting.iter().filter(|row| row.contract == *contract).map(|row| (row.sequence, row)).collect();
        if rows.is_empty() {
            continue;
        }
        for channel in outlet.all().flat_map(|outlet| &outlet.channels) {
            let Some(topic) = log.topic(&channel.topic).await? else { continue };
            for partition in 0..topic.partitions {
                let mut sweep = Sweep::begin(log, &topic, partition).await?;
                while let Some(records) = sweep.next(log, READ_MAX).await? {
                    found.extend(records.iter().filter_map(|record| same(&rows, record)));
                }
            }
        }
    }
    Ok(found.into_iter().collect())
}

fn same(rows: &BTreeMap<Sequence, &OutboxRow>, record: &Incoming) -> Option<Sequence> {
    let envelope = Envelope::from_headers(&record.headers).ok()?;
    let row = rows.get(&envelope.sequence)?;
    (row.key == envelope.key_text && row.written_at == envelope.time).then_some(row.sequence)
}

fn is_older(facts: &KeyFacts, incarnation: u16) -> bool {
    facts.sequence.is_none_or(|sequence| sequence.incarnation() < incarnation)
}

/// Publishes every key of the source view that has no row in an incarnation yet.
async fn publish_all<S: Source>(
    source: &S,
    contract: &ContractId,
    incarnation: u16,
    told: &mut (dyn FnMut(u64) + Send),
) -> Result<(), PortError> {
    let mut after: Option<RecordKey> = None;
    loop {
        let rows = source.scan(contract, after.as_ref(), CHUNK_KEYS).await?;
        let Some(last) = rows.last() else { return Ok(()) };
        after = Some(last.key.clone());
        let keys: Vec<RecordKey> = rows.into_iter().map(|row| row.key).collect();
        let facts = source.look(contract, &keys).await?;
        let older = facts.into_iter().filter(|facts| is_older(facts, incarnation));
        let keys: Vec<RecordKey> = older.map(|facts| facts.key).collect();
        if !keys.is_empty() {
            told(source.emit(contract, &keys).await?);
            stop::here("filled");
        }
    }
}

/// Ends the keys that the log has and the source has not: they came after what was restored.
async fn end_strangers<S: Source, L: Log>(
    source: &S,
    log: &L,
    outlet: &Outlet,
    incarnation: u16,
    told: &mut (dyn FnMut(u64) + Send),
) -> Result<(), PortError> {
    let contract = &outlet.contract.name.contract;
    for channel in outlet.all().flat_map(|outlet| outlet.channels_of(ChannelKind::State)) {
        let Some(topic) = log.topic(&channel.topic).await? else { continue };
        for partition in 0..topic.partitions {
            let mut sweep = Sweep::begin(log, &topic, partition).await?;
            while let Some(records) = sweep.next(log, READ_MAX).await? {
                let mut last: BTreeMap<RecordKey, (bool, Sequence)> = BTreeMap::new();
                for record in &records {
                    let key = record.key.as_deref().and_then(|key| RecordKey::parse(key).ok());
                    let envelope = Envelope::from_headers(&record.headers).ok();
                    if let (Some(key), Some(envelope)) = (key, envelope) {
                        last.insert(key, (record.value.is_some(), envelope.sequence));
                    }
                }
                let keys: Vec<RecordKey> = last.keys().cloned().collect();
                let facts = source.look(contract, &keys).await?;
                let is_strange = |facts: &KeyFacts| {
                    let (is_live, sequence) = last[&facts.key];
                    let above = facts.sequence.is_none_or(|drawn| sequence > drawn);
                    facts.state.is_none() && is_older(facts, incarnation) && (is_live || above)
                };
                let keys: Vec<RecordKey> =
                    facts.into_iter().filter(is_strange).map(|facts| facts.key).collect();
                if !keys.is_empty() {
                    told(source.emit(contract, &keys).await?);
                    stop::here("filled");
                }
            }
        }
    }
    Ok(())
}

/// Gives rows that wait, in their order, sequences of an incarnation. Returns the new sequence by the old one. Pure.
pub fn renumbered(rows: impl Iterator<Item = Sequence>, incarnation: u16) -> BTreeMap<Sequence, Sequence> {
    let floor = Sequence::floor_of(incarnation);
    rows.zip(1..).map(|(old, number)| (old, Sequence(floor.0 + number))).collect()
}

#[cfg(test)]
mod tests {
    use super::renumbered;
    use seamline_message::sequence::Sequence;

    #[test]
    fn rows_keep_their_order_in_a_new_incarnation() {
        let made = renumbered([Sequence(3), Sequence(9)].into_iter(), 2);
        let floor = Sequence::floor_of(2).0;
        let expected = [(Sequence(3), Sequence(floor + 1)), (Sequence(9), Sequence(floor + 2))];
        assert_eq!(made.into_iter().collect::<Vec<_>>(), expected);
    }
}
