//! How an auditor reads on: batches of several partitions are kept by one write.

use super::raise;
use super::sum::{late, only_states, sum};
use super::{AuditWrite, Auditor, Held};
use crate::audit::keep::{Audits, Part};
use crate::auditor::{Reading, keys_of, link};
use crate::clock::Clock;
use crate::ledger::Entry;
use crate::log::{Fetch, Fetched, Log};
use crate::points::{Passed, is_near};
use crate::port::PortError;
use crate::source::Source;
use seamline_contract::channel::ChannelKind;
use seamline_message::envelope::Envelope;
use seamline_message::key::RecordKey;
use std::collections::BTreeMap;

/// How many records one step takes at most.
const STEP_RECORDS: usize = 1_024;

/// How many bytes of values are enough for one step.
const STEP_BYTES: usize = 4 << 20;

/// What reading a partition came to.
enum Read {
    /// It goes on: with records, or past offsets that hold none.
    Batch(Fetch),
    /// There is nothing more.
    Nothing,
    /// Nothing that was kept can be built upon.
    Unfounded,
    /// The topic is not there any more.
    NoTopic,
}

/// What was read of one partition.
struct Batch {
    /// Which of the tracks.
    track: usize,
    /// The part as it is to be.
    part: Part,
    read: Vec<(Entry, Envelope)>,
    from: u64,
    /// The oldest offset of the log.
    start: u64,
}

impl<S: Source + Audits, L: Log, C: Clock> Auditor<'_, S, L, C> {
    /// Reads partitions one batch further, in turn, until there is enough for one write. Returns how many records, or none where it
    /// must be taken again.
    pub(super) async fn read(&mut self) -> Result<Option<u64>, PortError> {
        let count = self.held().tracks.len();
        let first = self.held().next;
        let (mut fetches, mut records, mut bytes) = (Vec::new(), 0, 0);
        for track in (first..count).chain(0..first) {
            match self.fetch(track, STEP_RECORDS - records).await? {
                Read::Batch(fetch) => {
                    records += fetch.records.len();
                    bytes +=
                        fetch.records.iter().filter_map(|it| it.value.as_ref()).map(Vec::len).sum::<usize>();
                    fetches.push((track, fetch));
                }
                Read::Nothing => {}
                Read::Unfounded => return self.restart().await,
                Read::NoTopic => {
                    self.held = None;
                    return Ok(None);
                }
            }
            self.held().next = (track + 1) % count;
            if records >= STEP_RECORDS || bytes >= STEP_BYTES {
                break;
            }
        }
        if fetches.is_empty() {
            return Ok(Some(0));
        }
        Ok(self.keep(fetches).await?.then_some(records as u64))
    }

    async fn fetch(&mut self, track: usize, limit: usize) -> Result<Read, PortError> {
        let (log, now) = (self.ports.log, self.ports.clock.now());
        let kind = self.channel.id.kind;
        let Held { topic, tracks, .. } = self.held();
        let track = &mut tracks[track];
        let from = track.part.position.offset;
        track.points.begin(from, &track.part.sums);
        Ok(match log.fetch(topic, track.part.position.partition, from, limit).await? {
            Fetched::Records(fetch) => {
                track.points.near(from, fetch.end, now);
                track.end = fetch.end;
                let reached = track.points.reached();
                track.part.near = reached.map_or(track.part.near, |at| at.max(track.part.near));
                if !is_near(track.part.near, now) {
                    Read::Unfounded
                } else if fetch.next == from {
                    Read::Nothing
                } else {
                    Read::Batch(fetch)
                }
            }
            // What retention removed was read, or is nobody's business any more.
            Fetched::OutOfRange { start, end } if start > from && kind == ChannelKind::Events => {
                Read::Batch(Fetch { records: Vec::new(), next: start, start, end })
            }
            // The log lost what was in it, or forgot it before it was read.
            Fetched::OutOfRange { .. } => Read::Unfounded,
            Fetched::NoSchema(_) => Read::Nothing,
            Fetched::NoTopic => Read::NoTopic,
        })
    }

    /// Keeps what batches say of their keys. Returns false where it is not ours any more.
    async fn keep(&mut self, fetches: Vec<(usize, Fetch)>) -> Result<bool, PortError> {
        let mut batches: Vec<Batch> =
            fetches.into_iter().map(|(track, fetch)| self.batch(track, &fetch)).collect();
        let (channel, ports) = (self.channel, self.ports);
        let keys: Vec<RecordKey> = batches.iter().flat_map(|batch| keys_of(&batch.read)).collect();
        let known = ports.database.audit_known(&channel.topic, &keys).await?;
        let mut known: BTreeMap<RecordKey, Entry> =
            known.into_iter().flatten().map(|entry| (entry.key.clone(), entry)).collect();
        let seen: Vec<Passed> = batches.iter_mut().map(|batch| self.judge(batch, &mut known)).collect();
        let held = self.held();
        raise::bound(&mut held.found, &mut held.late);
        let (mut parts, mut entries) = (Vec::new(), Vec::new());
        for batch in &mut batches {
            parts.push(batch.part.clone());
            entries.extend(batch.read.drain(..).map(|(entry, _)| entry));
        }
        let write = AuditWrite { parts, entries, ..self.write_of() };
        if !self.write(write).await? {
            return Ok(false);
        }
        for (batch, seen) in batches.into_iter().zip(seen) {
            let track = &mut self.held().tracks[batch.track];
            track.points.remember(seen, batch.part.position.offset, &batch.part.sums);
            track.part = batch.part;
        }
        Ok(true)
    }

    /// Reads the records of a batch; what is nothing of ours is noted.
    fn batch(&mut self, track: usize, fetch: &Fetch) -> Batch {
        let (outlet, channel) = (self.outlet, self.channel);
        let held = self.held();
        let mut part = held.tracks[track].part.clone();
        let (from, partition) = (part.position.offset, part.position.partition);
        let reading = Reading { outlet, channel, key: &held.digest.key, partition };
        let mut read = reading.entries(&fetch.records, &mut held.found);
        if channel.id.kind == ChannelKind::State {
            only_states(outlet, &mut read, partition, &mut held.found);
        }
        part.position.offset = fetch.next;
        let last = fetch.records.last().map(|record| record.leader_epoch);
        part.position.leader_epoch = last.unwrap_or(part.position.leader_epoch);
        Batch { track, part, read, from, start: fetch.start }
    }

    /// Holds a batch against what is known of its keys, and leaves of it what is to be kept.
    fn judge(&mut self, batch: &mut Batch, known: &mut BTreeMap<RecordKey, Entry>) -> Passed {
        let channel = self.channel;
        let held = self.held();
        match channel.id.kind {
            ChannelKind::State => {
                let (from, next) = (batch.from, batch.part.position.offset);
                let seen = sum(&mut held.found, known, &batch.read, &mut batch.part.sums, (from, next));
                late(&mut held.late, known, &batch.read);
                seen
            }
            ChannelKind::Events => {
                let chain = (channel.chain.as_str(), channel.begins_midway());
                batch.read.retain(|(entry, envelope)| {
                    link(&mut held.found, chain, known, entry, envelope, batch.start)
                });
                Passed::default()
            }
        }
    }
}
