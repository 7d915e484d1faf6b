//! The auditor: reads a topic back and keeps in the ledger, by key, what the log holds.

use crate::ledger::{Entry, Ledger};
use crate::log::{Incoming, Log};
use crate::outlet::{OutChannel, Outlet};
use crate::port::PortError;
use crate::position::TopicIdentity;
use crate::seal::open::is_sealed;
use crate::sweep::Sweep;
use seamline_contract::channel::ChannelKind;
use seamline_message::digest::{Digest, DigestKey, Domain, digest};
use seamline_message::envelope::{Envelope, MessageKind};
use seamline_message::key::RecordKey;
use seamline_message::sequence::Sequence;
use std::collections::{BTreeMap, BTreeSet};

/// How many records are read at once.
pub const READ_MAX: usize = 500;

/// An event that is in no record, though a record or the source names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Gap {
    /// The channel, by the name of its chains.
    pub channel: String,
    /// The key.
    pub key: RecordKey,
    /// The last sequence before it that is there; none: the chain begins with it.
    pub after: Option<Sequence>,
    /// The sequence that is not there.
    pub missing: Sequence,
}

/// A record that no relay of the contract wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreign {
    /// Its partition.
    pub partition: u32,
    /// Its offset.
    pub offset: u64,
    /// Its key, where that is canonical.
    pub key: Option<RecordKey>,
}

/// What a topic holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Audit {
    /// The topic's oldest offsets, as of the last read, and the ends up to which it was read, by partition.
    pub ranges: Vec<(u64, u64)>,
    /// Records read.
    pub records: u64,
    /// Records without a canonical key or an envelope of the contract.
    pub foreign: Vec<Foreign>,
    /// Records that repeat the one before of their key.
    pub duplicates: u64,
    /// Keys with one sequence in two contents, and the highest such sequence.
    pub conflicts: BTreeMap<RecordKey, Sequence>,
    /// Keys with a record, on a channel of events, that is not above the one before.
    pub disordered: BTreeSet<RecordKey>,
    /// Events that are in no record.
    pub gaps: BTreeSet<Gap>,
}

/// Builds the ledger of a channel's topic anew, to ends fixed at the start. None where there is no such topic.
///
/// # Errors
/// The ports'; the ledger is then of no use until built again.
pub async fn audit<L: Log, D: Ledger>(
    log: &L,
    ledger: &D,
    outlet: &Outlet,
    channel: &OutChannel,
    key: &DigestKey,
) -> Result<Option<(TopicIdentity, Audit)>, PortError> {
    let Some(topic) = log.topic(&channel.topic).await? else { return Ok(None) };
    ledger.ledger_clear(&channel.topic).await?;
    let mut audit = Audit::default();
    for partition in 0..topic.partitions {
        let sweep = Sweep::begin(log, &topic, partition).await?;
        let end = sweep.end;
        let start =
            read(log, ledger, &Reading { outlet, channel, key, partition }, sweep, &mut audit).await?;
        audit.ranges.push((start, end));
    }
    Ok(Some((topic, audit)))
}

/// Brings a ledger up to ends fixed now, from the ends of an audit on.
///
/// # Errors
/// The ports'; safe to repeat.
pub async fn catch_up<L: Log, D: Ledger>(
    log: &L,
    ledger: &D,
    outlet: &Outlet,
    channel: &OutChannel,
    key: &DigestKey,
    (topic, audit): (&TopicIdentity, &mut Audit),
) -> Result<(), PortError> {
    for partition in 0..topic.partitions {
        let from = audit.ranges[partition as usize].1;
        let sweep = Sweep::begin(log, topic, partition).await?.from(from);
        let end = sweep.end.max(from);
        let start = read(log, ledger, &Reading { outlet, channel, key, partition }, sweep, audit).await?;
        audit.ranges[partition as usize] = (start, end);
    }
    Ok(())
}

/// What a partition is read as.
pub(crate) struct Reading<'a> {
    pub(crate) outlet: &'a Outlet,
    pub(crate) channel: &'a OutChannel,
    pub(crate) key: &'a DigestKey,
    pub(crate) partition: u32,
}

/// Returns the oldest offset at the end of it.
async fn read<L: Log, D: Ledger>(
    log: &L,
    ledger: &D,
    reading: &Reading<'_>,
    mut sweep: Sweep,
    audit: &mut Audit,
) -> Result<u64, PortError> {
    while let Some(records) = sweep.next(log, READ_MAX).await? {
        let mut read = reading.entries(&records, audit);
        let keys = keys_of(&read);
        let known = ledger.ledger_get(&reading.channel.topic, &keys).await?;
        let mut known: BTreeMap<RecordKey, Entry> =
            known.into_iter().flatten().map(|entry| (entry.key.clone(), entry)).collect();
        let chain = (&*reading.channel.chain, reading.channel.begins_midway());
        match reading.channel.id.kind {
            ChannelKind::Events => {
                read.retain(|(entry, envelope)| link(audit, chain, &mut known, entry, envelope, sweep.start));
            }
            ChannelKind::State => read.iter().for_each(|(entry, _)| meet(audit, &mut known, entry)),
        }
        let entries: Vec<Entry> = read.into_iter().map(|(entry, _)| entry).collect();
        if !entries.is_empty() {
            ledger.ledger_put(&reading.channel.topic, &entries).await?;
        }
    }
    Ok(sweep.start)
}

/// Returns the keys of some entries, sorted, each once.
pub(crate) fn keys_of(read: &[(Entry, Envelope)]) -> Vec<RecordKey> {
    let keys: BTreeSet<&RecordKey> = read.iter().map(|(entry, _)| &entry.key).collect();
    keys.into_iter().cloned().collect()
}

/// Holds a record of a state topic against the highest one before of its key. An older one is told by its entry, if it
/// comes last.
pub(crate) fn meet(audit: &mut Audit, known: &mut BTreeMap<RecordKey, Entry>, entry: &Entry) {
    match known.get(&entry.key) {
        Some(last) if entry.sequence < last.sequence => {}
        Some(last) if entry.sequence == last.sequence => again(audit, last, entry),
        _ => {
            known.insert(entry.key.clone(), entry.clone());
        }
    }
}

/// A sequence that comes again: the same record, or another content under it.
fn again(audit: &mut Audit, last: &Entry, entry: &Entry) {
    if entry.digest == last.digest {
        audit.duplicates += 1;
    } else {
        audit.conflicts.insert(entry.key.clone(), entry.sequence);
    }
}

/// Holds a record of an events topic, whose oldest offset is `start`, against the one before of its key. Returns whether it is the
/// new last one.
pub(crate) fn link(
    audit: &mut Audit,
    (channel, begins_midway): (&str, bool),
    known: &mut BTreeMap<RecordKey, Entry>,
    entry: &Entry,
    envelope: &Envelope,
    start: u64,
) -> bool {
    let last = known.get(&entry.key);
    if envelope.kind == MessageKind::Void {
        audit
            .gaps
            .retain(|gap| gap.channel != channel || gap.key != entry.key || gap.missing != entry.sequence);
    }
    match last {
        Some(last) if entry.sequence == last.sequence => {
            again(audit, last, entry);
            return false;
        }
        Some(last) if entry.sequence < last.sequence => {
            if envelope.kind != MessageKind::Void {
                audit.disordered.insert(entry.key.clone());
            }
            return false;
        }
        _ => {}
    }
    let after = last.map(|last| last.sequence);
    let cut = is_cut(last, start) || (last.is_none() && begins_midway);
    if let Some(missing) = envelope.previous.filter(|previous| Some(*previous) != after && !cut) {
        audit.gaps.insert(Gap { channel: channel.to_owned(), key: entry.key.clone(), after, missing });
    }
    known.insert(entry.key.clone(), entry.clone());
    true
}

/// Returns whether what came after the last known record of a key may have been removed: its place is older than the oldest there is.
pub(crate) fn is_cut(last: Option<&Entry>, start: u64) -> bool {
    last.map_or(start > 0, |last| last.offset < start)
}

impl Reading<'_> {
    /// Returns records as the ledger keeps them; what is nothing of ours is noted.
    pub(crate) fn entries(&self, records: &[Incoming], audit: &mut Audit) -> Vec<(Entry, Envelope)> {
        audit.records += records.len() as u64;
        let mut read = Vec::with_capacity(records.len());
        for record in records {
            match self.entry(record) {
                Some(entry) => read.push(entry),
                None => {
                    let key = record.key.as_deref().and_then(|key| RecordKey::parse(key).ok());
                    let (partition, offset) = (self.partition, record.offset);
                    audit.foreign.push(Foreign { partition, offset, key });
                }
            }
        }
        read
    }

    /// Returns a record as the ledger keeps it; none for what is nothing of ours.
    fn entry(&self, record: &Incoming) -> Option<(Entry, Envelope)> {
        let key = RecordKey::parse(record.key.as_deref()?).ok()?;
        let envelope = Envelope::from_headers(&record.headers).ok()?;
        if envelope.contract != self.outlet.contract {
            return None;
        }
        let entry = Entry {
            digest: self.digest(&key, record),
            sequence: envelope.sequence,
            offset: record.offset,
            last: envelope.sequence,
            version: Some(envelope.version),
            ended: record.value.is_none(),
            key,
        };
        Some((entry, envelope))
    }

    fn digest(&self, key: &RecordKey, record: &Incoming) -> Digest {
        let (codec, view) = (&self.outlet.codec, self.channel.id.view.as_ref());
        let bytes = Some(key.as_bytes());
        let (domain, content) = match (&record.value, self.channel.id.kind) {
            (None, ChannelKind::State) => (Domain::Tombstone, &[][..]),
            (None, ChannelKind::Events) => (Domain::Event, &[][..]),
            (Some(value), ChannelKind::State) => match codec.decode_state(view, bytes, value) {
                Ok(message) => (Domain::State, &value[message.state]),
                Err(_) => (Domain::Raw, value.as_slice()),
            },
            // What is sealed is nobody's to read here.
            (Some(value), ChannelKind::Events) if is_sealed(record) => (Domain::Event, value.as_slice()),
            (Some(value), ChannelKind::Events) => match codec.decode_event(view, bytes, value) {
                Ok(_) => (Domain::Event, value.as_slice()),
                Err(_) => (Domain::Raw, value.as_slice()),
            },
        };
        digest(self.key, domain, key.as_bytes(), content)
    }
}

#[cfg(test)]
mod tests {
    use super::{Audit, Gap, link, meet};
    use crate::ledger::Entry;
    use seamline_message::digest::Digest;
    use seamline_message::envelope::{Envelope, MessageKind};
    use seamline_message::key::RecordKey;
    use seamline_message::sequence::Sequence;
    use std::collections::BTreeMap;

    fn key() -> RecordKey {
        RecordKey::from_texts(&["a".to_owned()])
    }

    /// Links records from an offset on, each a sequence and the previous one it names, 0 for none; a void has a minus.
    fn linked(records: &[(i64, u64)], start: u64) -> Audit {
        let (mut audit, mut known) = (Audit::default(), BTreeMap::new());
        chained(&mut audit, &mut known, records, start, start);
        audit
    }

    /// Links records that begin at an offset, when `start` is the oldest.
    fn chained(
        audit: &mut Audit,
        known: &mut BTreeMap<RecordKey, Entry>,
        records: &[(i64, u64)],
        first: u64,
        start: u64,
    ) {
        for (offset, (sequence, previous)) in (first..).zip(records) {
            let kind =
                if *sequence < 0 { MessageKind::Void } else { MessageKind::Event("Bound".parse().unwrap()) };
            let envelope = Envelope {
                id: String::new(),
                source: String::new(),
                kind,
                time: "2026-01-02T03:04:05Z".parse().unwrap(),
                contract: "policy-administration/policy@2".parse().unwrap(),
                version: "2.1.0".parse().unwrap(),
                key_text: key().to_string(),
                sequence: Sequence(sequence.unsigned_abs()),
                previous: (*previous > 0).then_some(Sequence(*previous)),
                correlation: None,
                causation: None,
                effective: None,
                traceparent: None,
            };
            let entry = Entry {
                key: key(),
                sequence: envelope.sequence,
                offset,
                last: envelope.sequence,
                version: None,
                digest: Digest(u128::from(*previous)),
                ended: false,
            };
            link(audit, ("events", false), known, &entry, &envelope, start);
        }
    }

    fn entry(sequence: u64, content: u128) -> Entry {
        Entry {
            key: key(),
            sequence: Sequence(sequence),
            offset: 0,
            last: Sequence(sequence),
            version: None,
            digest: Digest(content),
            ended: false,
        }
    }

    #[test]
    fn one_sequence_with_two_states_is_a_conflict_and_a_repetition_is_none() {
        let met = |records: &[(u64, u128)]| {
            let (mut audit, mut known) = (Audit::default(), BTreeMap::new());
            records.iter().for_each(|(at, content)| meet(&mut audit, &mut known, &entry(*at, *content)));
            audit
        };
        assert_eq!(met(&[(4, 1), (4, 2)]).conflicts, [(key(), Sequence(4))].into());
        let again = met(&[(4, 1), (5, 2), (4, 1), (5, 2)]);
        assert_eq!((again.conflicts.len(), again.duplicates), (0, 1));
    }

    fn gap(after: u64, missing: u64) -> Gap {
        let after = (after > 0).then_some(Sequence(after));
        Gap { channel: "events".to_owned(), key: key(), after, missing: Sequence(missing) }
    }

    #[test]
    fn a_whole_chain_has_no_gap() {
        assert_eq!(linked(&[(1, 0), (4, 1), (5, 4)], 0), Audit::default());
    }

    #[test]
    fn a_previous_that_was_not_seen_is_a_gap() {
        assert_eq!(linked(&[(1, 0), (5, 4), (6, 5)], 0).gaps, [gap(1, 4)].into());
        assert_eq!(linked(&[(5, 4)], 0).gaps, [gap(0, 4)].into(), "at the beginning, too");
    }

    #[test]
    fn what_retention_cut_is_no_gap() {
        assert_eq!(linked(&[(5, 4), (6, 5)], 8).gaps, [].into());
        assert_eq!(linked(&[(5, 4), (7, 6)], 8).gaps, [gap(5, 6)].into());
    }

    #[test]
    fn what_retention_cut_while_it_was_read_is_no_gap() {
        let read = |start| {
            let (mut audit, mut known) = (Audit::default(), BTreeMap::new());
            chained(&mut audit, &mut known, &[(1, 0), (4, 1)], 0, 0);
            chained(&mut audit, &mut known, &[(9, 6), (11, 10)], 30, start);
            audit.gaps
        };
        assert_eq!(read(20), [gap(9, 10)].into(), "the record of 6 may have been there");
        assert_eq!(read(1), [gap(4, 6), gap(9, 10)].into(), "what was cut lies before the last known one");
    }

    #[test]
    fn a_void_fills_a_gap() {
        assert_eq!(linked(&[(1, 0), (5, 4), (-4, 1), (6, 5)], 0), Audit::default());
        assert_eq!(linked(&[(1, 0), (-4, 1), (5, 4)], 0), Audit::default());
    }

    #[test]
    fn a_repetition_is_a_duplicate_and_a_fall_is_disorder() {
        let audit = linked(&[(1, 0), (4, 1), (4, 1)], 0);
        assert_eq!((audit.duplicates, audit.conflicts.len()), (1, 0));
        assert_eq!(linked(&[(4, 1), (4, 2)], 8).conflicts, [(key(), Sequence(4))].into());
        assert_eq!(linked(&[(1, 0), (4, 1), (3, 1)], 0).disordered, [key()].into());
    }
}
