//! What auditors keep in the simulated database, and how lanes compared.

use super::{SimSource, end_of};
use crate::cases::merge;
use jiff::Timestamp;
use seamline_flow::audit::keep::{AuditGrip, AuditTaken, AuditWrite, Auditing, Audits, Part};
use seamline_flow::ledger::Entry;
use seamline_flow::port::PortError;
use seamline_flow::store::{Committed, Lane};
use seamline_flow::stream::note::{Note, Notes};
use seamline_message::key::RecordKey;
use std::collections::BTreeMap;
use std::time::Duration;

/// The audits of one database, and its notes.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct AuditTable {
    topics: BTreeMap<String, Audit>,
    notes: BTreeMap<Lane, Note>,
}

#[derive(Debug, Clone, PartialEq, Default)]
struct Audit {
    epoch: u64,
    held: Option<(String, Timestamp)>,
    parts: BTreeMap<u32, Part>,
    entries: BTreeMap<RecordKey, (Entry, u64)>,
}

impl AuditTable {
    fn take(&mut self, topic: &str, holder: &str, now: Timestamp, ttl: Duration) -> AuditTaken {
        let audit = self.topics.entry(topic.to_owned()).or_default();
        if let Some((there, until)) = &audit.held
            && there != holder
            && *until > now
        {
            return AuditTaken::Busy { until: *until };
        }
        audit.epoch += 1;
        audit.held = Some((holder.to_owned(), end_of(now, ttl)));
        AuditTaken::Held(AuditGrip { epoch: audit.epoch, parts: audit.parts.values().cloned().collect() })
    }

    fn write(&mut self, write: &AuditWrite, now: Timestamp, ttl: Duration) -> Committed {
        let audit = self.topics.get_mut(&write.topic).filter(|audit| audit.epoch == write.epoch);
        let Some(audit) = audit else { return Committed::Fenced };
        if let Some((_, until)) = &mut audit.held {
            *until = end_of(now, ttl);
        }
        if write.reset {
            audit.parts.clear();
            audit.entries.clear();
        }
        audit.parts.extend(write.parts.iter().map(|part| (part.position.partition, part.clone())));
        merge(&mut audit.entries, &write.entries);
        Committed::Done
    }
}

impl Audits for SimSource {
    async fn audit_take(
        &self,
        topic: &str,
        holder: &str,
        now: Timestamp,
        ttl: Duration,
    ) -> Result<AuditTaken, PortError> {
        let take = || self.state().committed.audits.take(topic, holder, now, ttl);
        self.world.call("audits.take", take).await
    }

    async fn audit_write(
        &self,
        write: &AuditWrite,
        now: Timestamp,
        ttl: Duration,
    ) -> Result<Committed, PortError> {
        self.world.call("audits.write", || self.state().committed.audits.write(write, now, ttl)).await
    }

    async fn audit_known(&self, topic: &str, keys: &[RecordKey]) -> Result<Vec<Option<Entry>>, PortError> {
        let known = || {
            let state = self.state();
            let audit = state.committed.audits.topics.get(topic);
            let of = |key| Some(audit?.entries.get(key)?.0.clone());
            keys.iter().map(of).collect::<Vec<_>>()
        };
        self.world.call("audits.known", known).await
    }

    async fn audits(&self) -> Result<Vec<Auditing>, PortError> {
        let all = || {
            let state = self.state();
            let one = |(topic, audit): (&String, &Audit)| Auditing {
                topic: topic.clone(),
                holder: audit.held.as_ref().map(|(holder, _)| holder.clone()),
                until: audit.held.as_ref().map(|(_, until)| *until),
                parts: audit.parts.values().cloned().collect(),
            };
            state.committed.audits.topics.iter().map(one).collect::<Vec<_>>()
        };
        self.world.call("audits.audits", all).await
    }
}

impl Notes for SimSource {
    async fn note_compared(&self, note: &Note) -> Result<(), PortError> {
        let keep = || {
            self.state().committed.audits.notes.insert(note.lane.clone(), note.clone());
        };
        self.world.call("notes.note", keep).await
    }

    async fn compared(&self) -> Result<Vec<Note>, PortError> {
        let all = || self.state().committed.audits.notes.values().cloned().collect::<Vec<_>>();
        self.world.call("notes.all", all).await
    }
}
