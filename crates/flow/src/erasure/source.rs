//! The owner's side of an erasure: waits until the service has erased, publishes the keys once more, and marks the log.

use crate::backfill::CHUNK_KEYS;
use crate::clock::Clock;
use crate::erasure::mark::{self, Mark};
use crate::erasure::{Ahead, Erasing, ErasureId, Held, SourceProof, Subject, TopicProof, find};
use crate::hold::Ports;
use crate::log::{Cleanup, Log};
use crate::outlet::{OutChannel, Outlet, is_personal};
use crate::port::PortError;
use crate::seal::Vault;
use crate::seal::sealer::seals;
use crate::source::{KeyFacts, Source};
use crate::stop;
use jiff::Timestamp;
use seamline_contract::channel::ChannelKind;
use seamline_message::key::RecordKey;
use seamline_message::sequence::Sequence;
use std::collections::{BTreeMap, BTreeSet};

/// How many rows of quarantine are read at once.
const PAGE: usize = 500;

/// Brings the erasure of one published contract a step further.
pub(crate) async fn step<S: Source + Vault, L: Log, C: Clock>(
    ports: Ports<'_, S, L, C>,
    outlet: &Outlet,
    (id, subject): (&ErasureId, &Subject),
    at: &mut Erasing,
) -> Result<Ahead, PortError> {
    let name = outlet.contract.name.to_string();
    let keys = subject.keys(&name);
    let proof = at.sources.entry(name.clone()).or_default();
    proof.keys = keys.len() as u64;
    if proof.done.is_some() {
        return Ok(Ahead::Over);
    }
    let none = BTreeMap::new();
    let held = subject.contracts.get(&name).unwrap_or(&none);
    if proof.after.is_none() {
        return erased(ports.store, outlet, (id, held, &keys), proof).await;
    }
    let facts = looked(ports.store, outlet, &keys).await?;
    let aside = facts.iter().filter(|facts| facts.aside).count();
    if aside > 0 {
        return Ok(Ahead::Waits(format!(
            "{name}: what is published of {aside} keys is in quarantine, see `seamline quarantine list`"
        )));
    }
    if facts.iter().any(|facts| facts.waiting) {
        return Ok(Ahead::Waits(format!("{name}: what is published once more waits in the outbox")));
    }
    if outlet.all().any(seals) && proof.unsealable.is_none() {
        return unsealed(ports, outlet, subject, proof).await;
    }
    marked(ports, outlet, id, proof).await
}

/// Destroys the keys under which personal data of the subject is sealed: what is in the log of it is nobody's to read then.
///
/// Invariant: no row of these keys waits. What a relay may have to write once more would otherwise be sealed under another key, and be
/// another record.
async fn unsealed<S: Vault, L, C: Clock>(
    ports: Ports<'_, S, L, C>,
    outlet: &Outlet,
    subject: &Subject,
    proof: &mut SourceProof,
) -> Result<Ahead, PortError> {
    let contract = &outlet.contract.name;
    let Some(name) = &subject.name else {
        return Ok(Ahead::Waits(format!(
            "{contract}: whose keys are to be destroyed was not said by the program that filed it: abort the job, and run `seamline erase` again"
        )));
    };
    let now = ports.clock.now();
    ports.store.destroy_keys(&contract.contract, name, now).await?;
    stop::here("erase-unsealed");
    proof.unsealable = Some(now);
    Ok(Ahead::Moved)
}

async fn looked<S: Source>(
    source: &S,
    outlet: &Outlet,
    keys: &[RecordKey],
) -> Result<Vec<KeyFacts>, PortError> {
    let mut facts = Vec::new();
    for keys in keys.chunks(CHUNK_KEYS) {
        facts.extend(source.look(&outlet.contract.name.contract, keys).await?);
    }
    Ok(facts)
}

/// Gives up what quarantine held, and publishes the keys once more when the source has erased.
async fn erased<S: Source>(
    source: &S,
    outlet: &Outlet,
    (id, held, keys): (&ErasureId, &BTreeMap<String, Held>, &[RecordKey]),
    proof: &mut SourceProof,
) -> Result<Ahead, PortError> {
    let gone = discarded(source, outlet, held).await?;
    if gone > 0 {
        stop::here("erase-discarded");
        proof.quarantine += gone;
        return Ok(Ahead::Moved);
    }
    let facts = looked(source, outlet, keys).await?;
    let contract = outlet.codec.contract();
    let holds = |facts: &&KeyFacts| {
        let now = find::values(contract, facts.state.as_deref());
        let held = held.get(facts.key.as_str()).map(|held| &held.values);
        let same = |(name, value): (&String, &String)| {
            held.and_then(|held| held.get(name)) == Some(&id.digest(name, value))
        };
        now.iter().any(same)
    };
    let left = facts.iter().filter(holds).count();
    if left > 0 {
        let (name, all) = (&outlet.contract.name, facts.len());
        return Ok(Ahead::Waits(format!(
            "{name}: the source still holds personal data under {left} of {all} keys, which its service erases there, or deletes the rows"
        )));
    }
    // What comes after it has a higher sequence: all keys of a source draw from one row of numbers.
    let after = facts.iter().filter_map(|facts| facts.sequence).max();
    for keys in keys.chunks(CHUNK_KEYS) {
        source.emit(&outlet.contract.name.contract, keys).await?;
    }
    stop::here("erase-emitted");
    proof.after = Some(after.map_or(0, |sequence| sequence.0));
    Ok(Ahead::Moved)
}

/// Gives up the rows in quarantine that were written before the erasure was filed; what waits behind them goes on.
async fn discarded<S: Source>(
    source: &S,
    outlet: &Outlet,
    held: &BTreeMap<String, Held>,
) -> Result<u64, PortError> {
    let contract = &outlet.contract.name.contract;
    let (mut gone, mut keys, mut after): (u64, BTreeSet<String>, Option<Sequence>) = Default::default();
    loop {
        let rows = source.aside_after(after, PAGE).await?;
        let Some(last) = rows.last() else { break };
        after = Some(last.sequence);
        for row in rows.iter().filter(|row| &row.contract == contract) {
            if held.get(&row.key).is_some_and(|held| row.sequence.0 <= held.sequence)
                && source.discard(row.sequence).await?
            {
                gone += 1;
                keys.insert(row.key.clone());
            }
        }
    }
    if !keys.is_empty() {
        source.redrive_all(contract, &keys.into_iter().collect::<Vec<_>>()).await?;
    }
    Ok(gone)
}

/// Marks in the log how far each topic with personal data must be read.
async fn marked<S, L: Log, C: Clock>(
    ports: Ports<'_, S, L, C>,
    outlet: &Outlet,
    id: &ErasureId,
    proof: &mut SourceProof,
) -> Result<Ahead, PortError> {
    let now = ports.clock.now();
    let after = proof.after.unwrap_or_default();
    for outlet in outlet.all() {
        let contract = outlet.codec.contract();
        for channel in outlet.channels.iter().filter(|channel| is_personal(contract, &channel.id)) {
            let Some(topic) = ports.log.topic(&channel.topic).await? else { continue };
            let mut ends = BTreeMap::new();
            for partition in 0..topic.partitions {
                let ended = ports.log.decided(&topic, partition).await?;
                let end = ports.log.ends(&topic, partition).await?;
                let Some((_, end)) = end.filter(|_| ended) else {
                    let place = format!("partition {partition} of `{}`", topic.name);
                    return Ok(Ahead::Waits(format!("{place}: a transaction is not decided yet")));
                };
                ends.insert(partition, end);
            }
            let mark = Mark::new(&topic.id, after, ends.clone());
            mark::write(ports.log, &channel.topic, &id.to_string(), &mark).await?;
            let sealed = channel.id.kind == ChannelKind::Events && seals(outlet);
            let proven = TopicProof { ends, sealed, leaves: leaves(channel, now) };
            proof.topics.insert(channel.topic.clone(), proven);
        }
    }
    stop::here("erase-marked");
    proof.done = Some(now);
    Ok(Ahead::Moved)
}

/// Returns when a topic has lost what was overtaken before now.
fn leaves(channel: &OutChannel, now: Timestamp) -> Option<Timestamp> {
    let lasts = match &channel.spec.cleanup {
        Cleanup::Compact { max_lag, .. } => *max_lag,
        Cleanup::Delete { retention } => *retention,
    };
    now.checked_add(lasts?).ok()
}
