//! Gathering records of a topic of reference data into sets. Pure.

use super::{SET_BYTES_MAX, SET_ROWS_MAX};
use crate::log::Incoming;
use jiff::Timestamp;
use seamline_contract::id::{ContractRef, Version};
use seamline_message::mutant::{self, Mutant};
use seamline_message::set::{Manifest, Part, SetDigest, SetRecord};
use std::collections::BTreeMap;

/// A row of a set, as it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The canonical text of its key.
    pub key_text: String,
    /// Its value.
    pub value: Vec<u8>,
    /// Where it was read.
    pub offset: u64,
}

/// A set that is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whole {
    /// Its number.
    pub number: u64,
    /// The version that wrote it.
    pub version: Version,
    /// When the source was read.
    pub taken: Timestamp,
    /// What its owner says of it.
    pub manifest: Manifest,
    /// Its rows, in their order.
    pub rows: Vec<Row>,
}

/// A set that is not to be taken, or a record that is none of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Its number, where it has one.
    pub number: Option<u64>,
    /// Why: what does not hold, without values.
    pub why: String,
}

/// What was judged up to the last manifest.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Judged {
    /// The offset behind the last manifest, or behind the last record that is none of a set.
    pub next: u64,
    /// Records handed over up to there.
    pub handed: u64,
    /// The newest whole set.
    pub whole: Option<Whole>,
    /// What was broken behind it.
    pub broken: Vec<Broken>,
}

/// The set that is being read.
#[derive(Debug)]
struct Open {
    number: u64,
    rows: BTreeMap<u64, Row>,
    bytes: usize,
    spoilt: Option<String>,
}

impl Open {
    fn new(number: u64) -> Open {
        Open { number, rows: BTreeMap::new(), bytes: 0, spoilt: None }
    }

    fn take(&mut self, place: u64, row: Row) {
        if self.spoilt.is_some() {
            return;
        }
        if let Some(there) = self.rows.get(&place) {
            if (&there.key_text, &there.value) != (&row.key_text, &row.value) {
                self.spoil(format!("place {place} has two rows"));
            }
            return;
        }
        self.bytes += row.key_text.len() + row.value.len();
        self.rows.insert(place, row);
        if self.rows.len() > SET_ROWS_MAX || self.bytes > SET_BYTES_MAX {
            self.spoil("it is larger than a set may be".to_owned());
        }
    }

    fn spoil(&mut self, why: String) {
        self.rows.clear();
        self.spoilt = Some(why);
    }

    /// Returns the rows in their order.
    ///
    /// # Errors
    /// Why the set is not whole.
    fn close(self, manifest: &Manifest) -> Result<Vec<Row>, String> {
        if let Some(why) = self.spoilt {
            return Err(why);
        }
        let (there, said) = (self.rows.len() as u64, manifest.rows);
        if there != said || self.rows.last_key_value().is_some_and(|(place, _)| place + 1 != said) {
            return Err(format!("{there} of its rows are there, and its manifest says {said}"));
        }
        let rows: Vec<Row> = self.rows.into_values().collect();
        let mut digest = SetDigest::default();
        rows.iter().for_each(|row| digest.add(&row.key_text, &row.value));
        match digest.finish() == manifest.digest {
            true => Ok(rows),
            false => Err("its rows have another digest than its manifest says".to_owned()),
        }
    }
}

/// Gathers records into sets, in the order of their offsets.
#[derive(Debug)]
pub struct Gather {
    contract: ContractRef,
    open: Option<Open>,
    handed: u64,
    judged: Judged,
}

impl Gather {
    /// Returns one for the sets of a contract at a major.
    pub fn new(contract: ContractRef) -> Gather {
        Gather { contract, open: None, handed: 0, judged: Judged::default() }
    }

    /// Returns what was judged since it was asked last, where it goes beyond a position: up to the last manifest, or, where no set
    /// is begun behind it, up to where was read.
    pub fn judged(&mut self, position: u64, read: u64) -> Option<Judged> {
        if mutant::is(Mutant::ManifestIgnored) {
            self.end_unasked();
        }
        if self.open.is_none() {
            self.judged.next = read;
            self.judged.handed = self.handed;
        }
        if self.judged.next <= position {
            return None;
        }
        let judged = std::mem::take(&mut self.judged);
        self.handed -= judged.handed;
        Some(judged)
    }

    /// Takes the next record in.
    pub fn take(&mut self, record: Incoming) {
        self.handed += 1;
        // What is emptied says nothing.
        let Some(value) = record.value else { return };
        let offset = record.offset;
        let read = match SetRecord::from_headers(&record.headers) {
            Ok(read) if read.contract == self.contract => read,
            Ok(read) => return self.broken(offset, None, format!("a record is of `{}`", read.contract)),
            Err(violation) => {
                return self.broken(offset, None, format!("a record is of no set: {violation}"));
            }
        };
        match read.part {
            Part::Row { place, key_text } => {
                // A set that was begun and never ended is nobody's: its number was not promised.
                if self.open.as_ref().is_none_or(|open| open.number < read.number) {
                    self.open = Some(Open::new(read.number));
                }
                if let Some(open) = self.open.as_mut().filter(|open| open.number == read.number) {
                    open.take(place, Row { key_text, value, offset });
                }
            }
            Part::Manifest => {
                let number = read.number;
                let closed = Manifest::from_json(&value).map_err(|violation| violation.to_string());
                let closed = closed.and_then(|manifest| {
                    let open = self.open.take_if(|open| open.number <= number);
                    let open = open.filter(|open| open.number == number).unwrap_or_else(|| Open::new(number));
                    Ok((open.close(&manifest)?, manifest))
                });
                match closed {
                    Ok((rows, manifest)) => {
                        let (version, taken) = (read.version, read.taken);
                        self.whole(offset, Whole { number, version, taken, manifest, rows });
                    }
                    Err(why) => self.broken(offset, Some(number), why),
                }
            }
        }
    }

    fn whole(&mut self, offset: u64, whole: Whole) {
        self.settle(offset);
        // Of what is older than a set that is whole, nothing is needed any more.
        self.judged.broken.clear();
        self.judged.whole = Some(whole);
    }

    fn broken(&mut self, offset: u64, number: Option<u64>, why: String) {
        self.settle(offset);
        self.judged.broken.push(Broken { number, why });
    }

    fn settle(&mut self, offset: u64) {
        self.judged.next = offset + 1;
        self.judged.handed = self.handed;
    }

    /// The deliberate bug: what was read so far counts as a set though no manifest says so.
    fn end_unasked(&mut self) {
        let Some(open) = self.open.take() else { return };
        let (rows, digest) = (open.rows.len() as u64, SetDigest::default().finish());
        let manifest = Manifest { rows, digest, hour: None, slot: 0, slots: BTreeMap::new() };
        let Some(last) = open.rows.values().map(|row| row.offset).max() else { return };
        let version = Version { major: self.contract.major, minor: 0, patch: 0 };
        let (number, taken) = (open.number, Timestamp::UNIX_EPOCH);
        self.whole(last, Whole { number, version, taken, manifest, rows: open.rows.into_values().collect() });
    }
}
