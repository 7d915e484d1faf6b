//! The history that an events topic holds: every event as it was, and whether none is missing. Pure.

use crate::intake::Intake;
use crate::log::Incoming;
use crate::port::PortError;
use crate::projector::open::identify;
use crate::seal::open::{decode_event, keys_of};
use jiff::Timestamp;
use seamline_contract::id::{EventName, Version};
use seamline_message::envelope::MessageKind;
use seamline_message::key::RecordKey;
use seamline_message::seal::Keys;
use seamline_message::sequence::Sequence;
use seamline_message::violation::{Rule, Violation};
use std::collections::{BTreeSet, HashMap};

/// Which part of a history is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Asked {
    /// Only these keys; all where it is empty.
    pub keys: BTreeSet<RecordKey>,
    /// Only what was written at this moment or later.
    pub from: Option<Timestamp>,
    /// Only what was written before this moment.
    pub until: Option<Timestamp>,
    /// Only what was written in this incarnation of its source.
    pub incarnation: Option<u16>,
}

impl Asked {
    fn is_within(&self, written: Timestamp, sequence: Sequence) -> bool {
        self.from.is_none_or(|from| written >= from)
            && self.until.is_none_or(|until| written < until)
            && self.incarnation.is_none_or(|incarnation| sequence.incarnation() == incarnation)
    }
}

/// Something that happened to a key.
#[derive(Debug, Clone, PartialEq)]
pub struct Past {
    /// The key.
    pub key: RecordKey,
    /// Its sequence.
    pub sequence: Sequence,
    /// What preceded it on this topic; none begins a chain.
    pub previous: Option<Sequence>,
    /// When it was written at its source.
    pub written: Timestamp,
    /// The version under which it was written.
    pub version: Version,
    /// What it is.
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// An event, by its name in the major that is read, with its payload as that major sends it.
    Event(EventName, Vec<u8>),
    /// The place of an event that was lost or given up.
    Void,
    /// An event that breaks its contract.
    Broken(Violation),
}

/// What was found while a history was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Events told.
    pub events: u64,
    /// Voids told.
    pub voids: u64,
    /// Events told that break their contract.
    pub broken: u64,
    /// Keys that were met.
    pub keys: u64,
    /// Keys of which older events left the topic, within what is asked for.
    pub midway: u64,
    /// Events whose previous one is not there.
    pub gaps: u64,
    /// Records of which nothing tells whose they are.
    pub foreign: u64,
}

impl Counts {
    /// Returns whether what was told is all that happened, and all of it can be read.
    pub fn is_whole(&self) -> bool {
        self.broken + self.midway + self.gaps + self.foreign == 0
    }
}

/// The reading of a history. Of each key it keeps a hash and a number.
#[derive(Debug)]
pub struct Reading<'a> {
    intake: &'a Intake,
    asked: &'a Asked,
    /// By the hash of a key, its last sequence.
    chains: HashMap<u64, Sequence>,
    /// By the hash of a key, what is missing of its chain so far.
    missing: BTreeSet<(u64, Sequence)>,
    /// What was found so far.
    counts: Counts,
    /// The keys of what is read next, where it is sealed.
    keys: Keys,
}

impl<'a> Reading<'a> {
    /// Begins.
    pub fn new(intake: &'a Intake, asked: &'a Asked) -> Reading<'a> {
        let (chains, missing) = (HashMap::new(), BTreeSet::new());
        Reading { intake, asked, chains, missing, counts: Counts::default(), keys: Keys::new() }
    }

    /// Returns what was found so far.
    pub fn counts(&self) -> Counts {
        Counts { gaps: self.missing.len() as u64, ..self.counts }
    }

    /// Asks for the keys of the records that are read next, where they are sealed.
    ///
    /// # Errors
    /// That of who is asked.
    pub async fn expect(&mut self, records: &[Incoming]) -> Result<(), PortError> {
        self.keys = keys_of(self.intake, records.iter()).await?;
        Ok(())
    }

    /// Takes the next record of a partition in, and returns what happened; none where that is not asked for, or was told.
    pub fn take(&mut self, record: &Incoming) -> Option<Past> {
        let Ok((key, envelope)) = identify(self.intake, record) else {
            self.counts.foreign += 1;
            return None;
        };
        if !self.asked.keys.is_empty() && !self.asked.keys.contains(&key) {
            return None;
        }
        let (sequence, previous, written) = (envelope.sequence, envelope.previous, envelope.time);
        let hash = short(&key);
        let is_within = self.asked.is_within(written, sequence);
        match (self.chains.get(&hash).copied(), previous) {
            // A void comes when its loss was noticed, after what it precedes; all else was told.
            (Some(last), _) if sequence <= last => {
                if !self.missing.remove(&(hash, sequence)) {
                    return None;
                }
            }
            (None, previous) => {
                self.counts.keys += 1;
                // What left the topic before the first moment that is asked for is not missed.
                let begins_before = self.asked.from.is_some_and(|from| written < from);
                self.counts.midway += u64::from(previous.is_some() && !begins_before);
                self.chains.insert(hash, sequence);
            }
            (Some(last), previous) => {
                // A new incarnation begins its chains anew.
                let begins = previous.is_none() && last.incarnation() < sequence.incarnation();
                if is_within && !begins && previous != Some(last) {
                    self.missing.insert((hash, previous.unwrap_or(sequence)));
                }
                self.chains.insert(hash, sequence);
            }
        }
        if !is_within {
            return None;
        }
        let what = match &envelope.kind {
            MessageKind::Void => What::Void,
            MessageKind::State => {
                What::Broken(Violation::new(Rule::Schema, "headers.ce_type", "not an event"))
            }
            MessageKind::Event(_) => match decode_event(self.intake, (&key, &envelope), record, &self.keys) {
                Ok((message, payload)) => What::Event(message.change, payload),
                Err(violation) => What::Broken(violation),
            },
        };
        match &what {
            What::Event(..) => self.counts.events += 1,
            What::Void => self.counts.voids += 1,
            What::Broken(_) => self.counts.broken += 1,
        }
        Some(Past { key, sequence, previous, written, version: envelope.version, what })
    }
}

fn short(key: &RecordKey) -> u64 {
    key.hash().iter().take(8).fold(0, |all, byte| all << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests;
