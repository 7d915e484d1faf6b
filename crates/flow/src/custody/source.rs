//! Link 1: the source view against the log, each state topic and each chain of events.

use crate::auditor::{Audit, Foreign, Gap, audit, catch_up, is_cut};
use crate::case::NewCase;
use crate::custody::cases::cases;
use crate::custody::judge::{Found, Verdict, awaits_backfill, differing, judge};
use crate::custody::mark::{BESIDE, is_marked, mark, unknown};
use crate::digest_key;
use crate::drift::{Drift, DriftKind, Link, Outcome, Report};
use crate::ledger::{Entry, Ledger};
use crate::log::{Fetched, Log};
use crate::outlet::{OutChannel, Outlet};
use crate::port::PortError;
use crate::position::TopicIdentity;
use crate::source::{KeyFacts, Source};
use seamline_contract::channel::ChannelKind;
use seamline_contract::id::{ContractId, ContractRef};
use seamline_contract::value::Value;
use seamline_message::canonical;
use seamline_message::digest::{Digest, DigestKey, Domain, digest};
use seamline_message::key::RecordKey;
use std::collections::BTreeSet;

/// How many keys are compared at once.
const CHUNK: usize = 500;

/// How often a key that keeps changing is looked at before it counts as unsettled.
const LOOKS_MAX: usize = 8;

/// What a check of the source link found for one contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceCheck {
    /// The contract.
    pub contract: ContractRef,
    /// One for each state topic, the own one first; and one for each events topic that could not be read.
    pub reports: Vec<Report>,
    /// Events that are in no record, sorted.
    pub gaps: Vec<Gap>,
    /// Rows that are nowhere; below zero: more left than were written.
    pub missing: i128,
    /// Keys that differ only by attributes added since their record was written.
    pub awaiting_backfill: u64,
    /// Where records lie that no relay wrote and that no later record overtakes, since they have no key or are on an
    /// events topic: topic, partition and offset.
    pub foreign: Vec<String>,
    /// One sequence with two contents: topic and key.
    pub conflicts: BTreeSet<(String, RecordKey)>,
    /// Events that came after a later one of their key: topic and key.
    pub disordered: BTreeSet<(String, RecordKey)>,
    /// The cases that this makes, not raised yet.
    pub cases: Vec<NewCase>,
}

/// Compares the source view of a contract with every state topic, and the chains that the source drew with every events
/// topic. What differs is read again under the key's lock until source and log both stood still: then it is definite. `pass`
/// names this pass, and no other that may run at the same time: of two, at most one comes to a conclusion.
///
/// # Errors
/// The ports'; begin again.
pub async fn check_source<S: Source, D: Ledger, L: Log>(
    source: &S,
    ledger: &D,
    log: &L,
    outlet: &Outlet,
    pass: &str,
) -> Result<SourceCheck, PortError> {
    let contract = outlet.contract.name.contract.clone();
    let mut check = SourceCheck {
        contract: outlet.contract.clone(),
        reports: Vec::new(),
        gaps: Vec::new(),
        // The rows of an older major are those of the newest, and counted there.
        missing: match outlet.descent {
            None => source.counts(&contract).await?.missing(),
            Some(_) => 0,
        },
        awaiting_backfill: 0,
        foreign: Vec::new(),
        conflicts: BTreeSet::new(),
        disordered: BTreeSet::new(),
        cases: Vec::new(),
    };
    for channel in &outlet.channels {
        let Some((_, key)) = digest_key::current(log, &channel.topic).await? else {
            check.reports.push(unknown(outlet, channel, "it has no digest key yet"));
            continue;
        };
        mark(ledger, channel, pass).await?;
        let Some((topic, read)) = audit(log, ledger, outlet, channel, &key).await? else {
            check.reports.push(unknown(outlet, channel, "there is no such topic"));
            continue;
        };
        let mut comparing = Pass {
            source,
            ledger,
            log,
            outlet,
            channel,
            contract: &contract,
            key,
            topic,
            read,
            undecided_tails: 0,
        };
        match channel.id.kind {
            ChannelKind::State => {
                let mut found = Found::default();
                comparing.state(&mut found).await?;
                if !is_marked(ledger, channel, pass).await? {
                    check.reports.push(unknown(outlet, channel, BESIDE));
                    continue;
                }
                check.awaiting_backfill += found.awaiting_backfill;
                check.foreign.append(&mut found.foreign);
                check.reports.push(comparing.report(found));
            }
            ChannelKind::Events => {
                comparing.tails().await?;
                let is_ours = is_marked(ledger, channel, pass).await?;
                comparing.chains(&mut check, is_ours);
            }
        }
    }
    check.gaps.sort();
    // All generations of a topic hold one chain, and one void mends it in all of them.
    check.gaps.dedup_by_key(|gap| (gap.channel.clone(), gap.key.clone(), gap.missing));
    check.cases = cases(&check);
    Ok(check)
}

/// One topic of one contract, being compared.
struct Pass<'a, S, D, L> {
    source: &'a S,
    ledger: &'a D,
    log: &'a L,
    outlet: &'a Outlet,
    channel: &'a OutChannel,
    contract: &'a ContractId,
    key: DigestKey,
    topic: TopicIdentity,
    read: Audit,
    /// Keys whose last event may be in the log and is not decided.
    undecided_tails: u64,
}

impl<S: Source, D: Ledger, L: Log> Pass<'_, S, D, L> {
    async fn state(&mut self, found: &mut Found) -> Result<(), PortError> {
        let mut after = None;
        loop {
            let rows = self.source.scan(self.contract, after.as_ref(), CHUNK).await?;
            let Some(last) = rows.last() else { break };
            after = Some(last.key.clone());
            found.rows += rows.len() as u64;
            let keys: Vec<RecordKey> = rows.iter().map(|row| row.key.clone()).collect();
            let entries = self.ledger.ledger_get(&self.channel.topic, &keys).await?;
            let mut suspects = Vec::new();
            for (row, entry) in rows.iter().zip(&entries) {
                let same = entry.as_ref().is_some_and(|entry| {
                    self.digest(&row.key, &row.state) == Some(entry.digest) && entry.last == entry.sequence
                });
                if same {
                    let side = found.counts.entry(self.counted(&row.state)).or_default();
                    *side = (side.0 + 1, side.1 + 1);
                } else {
                    suspects.push(row.key.clone());
                }
            }
            self.settle(suspects, found).await?;
        }
        self.entries(found).await?;
        self.foreign(found).await?;
        self.conflicts(found).await
    }

    /// Reports records that no relay of the contract wrote, but those that a later record of their key overtook. One
    /// without a key stands for no row and cannot be overtaken: it is no drift, and makes a case.
    async fn foreign(&self, found: &mut Found) -> Result<(), PortError> {
        for foreign in &self.read.foreign {
            let Some(key) = &foreign.key else {
                found.foreign.push(self.place(foreign));
                continue;
            };
            let entries = self.ledger.ledger_get(&self.channel.topic, std::slice::from_ref(key)).await?;
            if entries.iter().flatten().any(|entry| entry.offset > foreign.offset) {
                continue;
            }
            let cause = "a record that is none of this contract";
            found.drifts.push(self.drift(DriftKind::Orphan, key, cause));
        }
        Ok(())
    }

    fn place(&self, foreign: &Foreign) -> String {
        format!("{}, partition {}, offset {}", self.channel.topic, foreign.partition, foreign.offset)
    }

    /// Reports keys whose last sequence has two contents: who read the first keeps it. Published again under a new
    /// sequence, both are overtaken.
    async fn conflicts(&self, found: &mut Found) -> Result<(), PortError> {
        for (key, sequence) in &self.read.conflicts {
            let entries = self.ledger.ledger_get(&self.channel.topic, std::slice::from_ref(key)).await?;
            let overtaken = entries.iter().flatten().any(|entry| entry.sequence > *sequence);
            if overtaken || found.drifts.iter().any(|drift| drift.key.as_ref() == Ok(key)) {
                continue;
            }
            let cause = "the log holds its last sequence with two contents";
            let drift = self.drift(DriftKind::Corrupt, key, cause);
            found.drifts.push(Drift { expected: Some(*sequence), found: Some(*sequence), ..drift });
        }
        Ok(())
    }

    /// Looks for records that no row stands behind, and for those above any sequence that was drawn.
    async fn entries(&mut self, found: &mut Found) -> Result<(), PortError> {
        let judged: BTreeSet<RecordKey> =
            found.drifts.iter().filter_map(|drift| drift.key.clone().ok()).collect();
        let mut after = None;
        loop {
            let entries = self.ledger.ledger_scan(&self.channel.topic, after.as_ref(), CHUNK).await?;
            let Some(last) = entries.last() else { return Ok(()) };
            after = Some(last.key.clone());
            let keys: Vec<RecordKey> = entries.iter().map(|entry| entry.key.clone()).collect();
            let facts = self.source.look(self.contract, &keys).await?;
            let suspect = |(entry, facts): &(&Entry, &KeyFacts)| {
                let above = facts.sequence.is_none_or(|drawn| entry.sequence > drawn);
                // A row that is there was compared by the scan, or came after it and is published with its key.
                (above || (facts.state.is_none() && !entry.ended)) && !judged.contains(&entry.key)
            };
            let suspects: Vec<RecordKey> =
                entries.iter().zip(&facts).filter(suspect).map(|(entry, _)| entry.key.clone()).collect();
            self.settle(suspects, found).await?;
        }
    }

    /// Looks at keys until each is known for sure: the source says the same before and after the log was read. A log may have
    /// taken a record a moment before it can be read: what it seems to lack is looked for as often as can be, at last once all
    /// that it took is decided.
    async fn settle(&mut self, mut suspects: Vec<RecordKey>, found: &mut Found) -> Result<(), PortError> {
        for look in 1..=LOOKS_MAX {
            if suspects.is_empty() {
                return Ok(());
            }
            let before = self.source.look(self.contract, &suspects).await?;
            // Invariant: what left the outbox before this moment was appended before it.
            let undecided = self.undecided(if look == LOOKS_MAX { &suspects } else { &[] }).await?;
            let until = (&self.topic, &mut self.read);
            catch_up(self.log, self.ledger, self.outlet, self.channel, &self.key, until).await?;
            let entries = self.ledger.ledger_get(&self.channel.topic, &suspects).await?;
            let after = self.source.look(self.contract, &suspects).await?;
            let mut again = Vec::new();
            for ((before, after), entry) in before.iter().zip(&after).zip(&entries) {
                let lacks = entry.as_ref().map(|entry| entry.sequence) < after.sequence;
                let open = look < LOOKS_MAX || undecided.contains(&self.partition(&after.key));
                if before != after || (lacks && !after.waiting && !after.aside && open) {
                    again.push(after.key.clone());
                } else {
                    self.conclude(after, entry.as_ref(), found).await?;
                }
            }
            suspects = again;
        }
        found.unsettled += suspects.len() as u64;
        Ok(())
    }

    fn partition(&self, key: &RecordKey) -> u32 {
        self.outlet.codec.partition(key, self.topic.partitions)
    }

    /// Returns the partitions of keys on which something that was appended before is not decided yet.
    async fn undecided(&self, keys: &[RecordKey]) -> Result<BTreeSet<u32>, PortError> {
        let mut undecided = BTreeSet::new();
        for partition in keys.iter().map(|key| self.partition(key)).collect::<BTreeSet<_>>() {
            if !self.log.decided(&self.topic, partition).await? {
                undecided.insert(partition);
            }
        }
        Ok(undecided)
    }

    async fn conclude(
        &self,
        facts: &KeyFacts,
        entry: Option<&Entry>,
        found: &mut Found,
    ) -> Result<(), PortError> {
        let row = facts.state.as_deref().and_then(|state| self.digest(&facts.key, state));
        let verdict = judge(facts, row, entry);
        let record = match entry.filter(|entry| !entry.ended) {
            Some(entry) => self.record_state(entry).await?,
            None => None,
        };
        let states = [
            facts.state.as_deref().map(|state| self.counted(state)),
            record.as_deref().map(|state| self.counted_record(state)),
        ];
        if let Some(state) = &states[0] {
            found.counts.entry(state.clone()).or_default().0 += 1;
        }
        if let Some(state) = &states[1] {
            found.counts.entry(state.clone()).or_default().1 += 1;
        }
        let sent = facts.state.as_deref().and_then(|state| self.part(state));
        let (names, only_lacks) = match (&sent, &record) {
            (Some(sent), Some(record)) => differing(sent, record),
            _ => (Vec::new(), false),
        };
        let (kind, expected, at, cause) = match verdict {
            Verdict::Agrees => return Ok(()),
            Verdict::Waiting => {
                found.waiting += 1;
                return Ok(());
            }
            Verdict::Aside => {
                found.aside += 1;
                return Ok(());
            }
            Verdict::Drifted { kind, expected, found, cause } => (kind, expected, found, cause),
            Verdict::Differs => {
                let written = entry.and_then(|entry| entry.version);
                let current = self.outlet.codec.contract().contract.version;
                if awaits_backfill(written, current, only_lacks) {
                    found.awaiting_backfill += 1;
                    return Ok(());
                }
                let at = entry.map(|entry| entry.sequence);
                (DriftKind::Corrupt, facts.sequence, at, "changed at the source without publishing")
            }
        };
        let states = states.map(Option::unwrap_or_default);
        let drift = self.drift(kind, &facts.key, cause);
        found.drifts.push(Drift { differing: names, states, expected, found: at, ..drift });
        Ok(())
    }

    fn drift(&self, kind: DriftKind, key: &RecordKey, cause: &str) -> Drift {
        Drift {
            link: Link::Source,
            kind,
            key: Ok(key.clone()),
            differing: Vec::new(),
            states: Default::default(),
            expected: None,
            found: None,
            owed_by: self.outlet.contract.name.context.clone(),
            cause: cause.to_owned(),
        }
    }

    /// Adds what was found of the chains of an events topic, unless another pass took the ledger.
    fn chains(&self, check: &mut SourceCheck, is_ours: bool) {
        if !is_ours {
            check.reports.push(unknown(self.outlet, self.channel, BESIDE));
            return;
        }
        if self.undecided_tails > 0 {
            let why = "a transaction of the log is not decided for long";
            check.reports.push(unknown(self.outlet, self.channel, why));
        }
        let at = |key: &RecordKey| (self.channel.topic.clone(), key.clone());
        check.gaps.extend(self.read.gaps.iter().cloned());
        check.foreign.extend(self.read.foreign.iter().map(|foreign| self.place(foreign)));
        check.conflicts.extend(self.read.conflicts.keys().map(at));
        check.disordered.extend(self.read.disordered.iter().map(at));
    }

    /// Finds events that the source drew and the log does not have at the end of a chain.
    async fn tails(&mut self) -> Result<(), PortError> {
        let name = self.channel.chain.clone();
        let mut after = None;
        loop {
            let known = self.source.published(self.contract, after.as_ref(), CHUNK).await?;
            let Some(last) = known.last() else { return Ok(()) };
            after = Some(last.key.clone());
            let keys: Vec<RecordKey> = known.iter().map(|facts| facts.key.clone()).collect();
            let entries = self.ledger.ledger_get(&self.channel.topic, &keys).await?;
            let behind = known.iter().zip(&entries).filter(|(facts, entry)| {
                facts.chains.get(&name).copied() > entry.as_ref().map(|entry| entry.sequence)
            });
            let suspects: Vec<RecordKey> = behind.map(|(facts, _)| facts.key.clone()).collect();
            self.tails_of(&name, suspects).await?;
        }
    }

    /// A log may have taken a record a moment before it can be read: what it seems to lack is looked for as often as can be.
    async fn tails_of(&mut self, name: &str, mut suspects: Vec<RecordKey>) -> Result<(), PortError> {
        let mut gaps = Vec::new();
        for look in 1..=LOOKS_MAX {
            gaps.clear();
            if suspects.is_empty() {
                return Ok(());
            }
            let facts = self.source.look(self.contract, &suspects).await?;
            let undecided = self.undecided(if look == LOOKS_MAX { &suspects } else { &[] }).await?;
            let until = (&self.topic, &mut self.read);
            catch_up(self.log, self.ledger, self.outlet, self.channel, &self.key, until).await?;
            let entries = self.ledger.ledger_get(&self.channel.topic, &suspects).await?;
            for (facts, entry) in facts.iter().zip(&entries) {
                let at = entry.as_ref().map(|entry| entry.sequence);
                let drawn = facts.chains.get(name).copied();
                let partition = self.partition(&facts.key);
                let cut = is_cut(entry.as_ref(), self.read.ranges[partition as usize].0)
                    || (entry.is_none() && self.channel.generation > 1);
                if let Some(missing) = drawn.filter(|_| drawn > at && !facts.waiting && !facts.aside && !cut)
                {
                    if undecided.contains(&partition) {
                        self.undecided_tails += 1;
                        continue;
                    }
                    gaps.push(Gap { channel: name.to_owned(), key: facts.key.clone(), after: at, missing });
                }
            }
            suspects = gaps.iter().map(|gap| gap.key.clone()).collect();
        }
        self.read.gaps.extend(gaps);
        Ok(())
    }

    /// Returns the state of the record behind an entry as sent; none when it is gone meanwhile or cannot be read.
    async fn record_state(&self, entry: &Entry) -> Result<Option<Vec<u8>>, PortError> {
        let partition = self.outlet.codec.partition(&entry.key, self.topic.partitions);
        let Fetched::Records(fetch) = self.log.fetch(&self.topic, partition, entry.offset, 1).await? else {
            return Ok(None);
        };
        let record = fetch.records.into_iter().find(|record| record.offset == entry.offset);
        let value = record.and_then(|record| record.value);
        let read = value.and_then(|value| serde_json::from_slice::<serde_json::Value>(&value).ok());
        Ok(read.and_then(|read| read.get("state").map(|state| state.to_string().into_bytes())))
    }

    /// Returns the bytes that a state in source form travels as on this channel; none when it breaks its contract.
    fn part(&self, state: &[u8]) -> Option<Vec<u8>> {
        let row = self.outlet.read_source(self.outlet.newest(), state).ok()?;
        Some(self.outlet.codec.state_part(self.channel.id.view.as_ref(), &row))
    }

    fn digest(&self, key: &RecordKey, state: &[u8]) -> Option<Digest> {
        Some(digest(&self.key, Domain::State, key.as_bytes(), &self.part(state)?))
    }

    /// Returns the value by which a row of the source is counted; empty without one.
    fn counted(&self, state: &[u8]) -> String {
        let contract = self.outlet.codec.contract();
        let slot =
            contract.contract.reconciliation.as_ref().and_then(|reconciliation| {
                reconciliation.count_by.as_ref().and_then(|name| contract.slot(name))
            });
        let row = self.outlet.read_source(self.outlet.newest(), state).ok();
        let value = slot.zip(row).map(|(slot, row)| row[slot].clone());
        value
            .filter(|value| *value != Value::Null)
            .and_then(|value| canonical::text(&value))
            .unwrap_or_default()
    }

    fn counted_record(&self, state: &[u8]) -> String {
        let contract = &self.outlet.codec.contract().contract;
        let name =
            contract.reconciliation.as_ref().and_then(|reconciliation| reconciliation.count_by.as_ref());
        let read = serde_json::from_slice::<serde_json::Value>(state).ok();
        let value = name.zip(read).and_then(|(name, read)| read.get(name.as_str()).cloned());
        value.map_or_else(String::new, |value| value.as_str().map_or(value.to_string(), ToOwned::to_owned))
    }

    fn report(&self, mut found: Found) -> Report {
        found.drifts.sort_by(|one, two| one.key.cmp(&two.key));
        let mut open = Vec::new();
        for (rows, why) in [
            (found.waiting, "keys have rows that wait in the outbox"),
            (found.aside, "keys have rows in quarantine"),
            (found.unsettled, "keys kept changing while they were compared"),
        ] {
            if rows > 0 {
                open.push(format!("`{}`: {rows} {why}", self.channel.topic));
            }
        }
        let outcome = match (found.drifts.is_empty(), open.is_empty()) {
            (false, _) => Outcome::Drift,
            (true, true) => Outcome::Clean,
            (true, false) => Outcome::Inconclusive(open),
        };
        let ranges = self.read.ranges.iter().enumerate();
        let mut proves: Vec<String> = ranges
            .map(|(partition, (from, to))| {
                format!("partition {partition} of `{}` from {from} to {to}", self.channel.topic)
            })
            .collect();
        proves.push(format!("all {} rows of the source view", found.rows));
        Report {
            subject: self.outlet.contract.to_string(),
            link: Link::Source,
            outcome,
            rows: found.rows,
            counts: found.counts,
            drifts: found.drifts,
            proves,
        }
    }
}
