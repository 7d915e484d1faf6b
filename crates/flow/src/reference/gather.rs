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

#[cfg(test)]
mod tests {
    use super::{Gather, Judged};
    use crate::log::Incoming;
    use jiff::Timestamp;
    use seamline_message::set::{Manifest, Part, SetDigest, SetRecord};
    use std::collections::BTreeMap;

    /// What is in a topic, in order.
    #[derive(Debug, Clone, Copy)]
    enum In {
        /// A row of a set: its number, its place and its text.
        Row(u64, u64, &'static str),
        /// The manifest of a set: its number, and the texts of its rows.
        Manifest(u64, &'static [&'static str]),
        /// A place that was emptied.
        Empty,
        /// A record of another contract.
        Other,
    }

    fn record(offset: u64, what: In) -> Incoming {
        let (number, part, value) = match what {
            In::Row(number, place, text) => (
                number,
                Part::Row { place, key_text: format!("[\"{text}\"]") },
                Some(text.as_bytes().to_vec()),
            ),
            In::Manifest(number, texts) => {
                let mut digest = SetDigest::default();
                texts.iter().for_each(|text| digest.add(&format!("[\"{text}\"]"), text.as_bytes()));
                let (rows, digest) = (texts.len() as u64, digest.finish());
                let manifest = Manifest { rows, digest, hour: None, slot: 0, slots: BTreeMap::new() };
                (number, Part::Manifest, Some(manifest.to_json()))
            }
            In::Empty => (0, Part::Manifest, None),
            In::Other => (1, Part::Manifest, Some(b"{}".to_vec())),
        };
        let contract = if matches!(what, In::Other) { "bank/other@1" } else { "bank/rate@1" };
        let contract = contract.parse().unwrap();
        let (version, taken) = ("1.0.0".parse().unwrap(), Timestamp::UNIX_EPOCH);
        let headers = SetRecord { contract, version, number, taken, part }.to_headers().into();
        Incoming { offset, leader_epoch: 0, time: Timestamp::UNIX_EPOCH, key: None, headers, value }
    }

    fn judged(topic: &[In]) -> Option<Judged> {
        let mut gather = Gather::new("bank/rate@1".parse().unwrap());
        (0..).zip(topic).for_each(|(offset, what)| gather.take(record(offset, *what)));
        gather.judged(0, topic.len() as u64)
    }

    /// The number of the set that is taken, why others are not, and behind which offset.
    fn check(topic: &[In], whole: Option<u64>, broken: &[&str], next: Option<u64>) {
        let judged = judged(topic);
        let at = judged.as_ref().map(|it| it.next);
        let judged = judged.unwrap_or_default();
        let why: Vec<&str> = judged.broken.iter().map(|it| it.why.as_str()).collect();
        assert_eq!(judged.whole.map(|it| it.number), whole, "{topic:?}");
        assert_eq!((why, at), (broken.to_vec(), next), "{topic:?}");
    }

    const AB: &[&str] = &["a", "b"];

    #[test]
    fn a_set_is_taken_when_it_is_whole() {
        use In::{Empty, Manifest, Row};
        check(&[Row(1, 0, "a"), Row(1, 1, "b"), Manifest(1, AB)], Some(1), &[], Some(3));
        check(&[Manifest(1, &[])], Some(1), &[], Some(1));
        check(&[Row(1, 1, "b"), Row(1, 0, "a"), Empty, Manifest(1, AB)], Some(1), &[], Some(4));
        check(&[Row(1, 0, "a"), Row(1, 0, "a"), Row(1, 1, "b"), Manifest(1, AB)], Some(1), &[], Some(4));
    }

    #[test]
    fn the_position_stays_before_a_set_that_is_not_ended() {
        use In::{Manifest, Row};
        check(&[Row(1, 0, "a"), Row(1, 1, "b")], None, &[], None);
        let begun = [Row(1, 0, "a"), Row(1, 1, "b"), Manifest(1, AB), Row(2, 0, "c")];
        check(&begun, Some(1), &[], Some(3));
        // Who began it died: nobody waits for its end, and nobody is told.
        let begun_anew = [Row(1, 0, "x"), Row(2, 0, "a"), Row(2, 1, "b"), Row(1, 1, "y"), Manifest(2, AB)];
        check(&begun_anew, Some(2), &[], Some(5));
    }

    #[test]
    fn a_set_that_is_not_as_its_manifest_says_is_broken() {
        use In::{Manifest, Other, Row};
        let missing = "1 of its rows are there, and its manifest says 2";
        check(&[Row(1, 0, "a"), Manifest(1, AB)], None, &[missing], Some(2));
        check(&[Row(1, 1, "b"), Manifest(1, AB)], None, &[missing], Some(2));
        let more = [Row(1, 0, "a"), Row(1, 1, "b"), Row(1, 2, "c"), Manifest(1, AB)];
        check(&more, None, &["3 of its rows are there, and its manifest says 2"], Some(4));
        let holes = [Row(1, 0, "a"), Row(1, 2, "b"), Manifest(1, AB)];
        check(&holes, None, &["2 of its rows are there, and its manifest says 2"], Some(3));
        let forged = [Row(1, 0, "a"), Row(1, 1, "x"), Manifest(1, AB)];
        check(&forged, None, &["its rows have another digest than its manifest says"], Some(3));
        let twice = [Row(1, 0, "a"), Row(1, 0, "x"), Row(1, 1, "b"), Manifest(1, AB)];
        check(&twice, None, &["place 0 has two rows"], Some(4));
        check(&[Manifest(1, AB)], None, &["0 of its rows are there, and its manifest says 2"], Some(1));
        check(&[Other], None, &["a record is of `bank/other@1`"], Some(1));
    }

    #[test]
    fn of_several_sets_the_newest_whole_one_counts() {
        use In::{Manifest, Row};
        let two = [Row(1, 0, "x"), Manifest(1, &["x"]), Row(2, 0, "a"), Row(2, 1, "b"), Manifest(2, AB)];
        check(&two, Some(2), &[], Some(5));
        // What compaction left of an older set is no case once a newer one is whole.
        let compacted = [Manifest(1, AB), Row(2, 0, "a"), Row(2, 1, "b"), Manifest(2, AB)];
        check(&compacted, Some(2), &[], Some(4));
        let broken_behind =
            [Row(1, 0, "a"), Row(1, 1, "b"), Manifest(1, AB), Row(2, 0, "a"), Manifest(2, AB)];
        check(&broken_behind, Some(1), &["1 of its rows are there, and its manifest says 2"], Some(5));
    }

    #[test]
    fn records_are_counted_once() {
        let mut gather = Gather::new("bank/rate@1".parse().unwrap());
        let topic = [In::Row(1, 0, "a"), In::Row(1, 1, "b"), In::Manifest(1, AB), In::Row(2, 0, "a")];
        (0..).zip(topic).for_each(|(offset, what)| gather.take(record(offset, what)));
        assert_eq!(gather.judged(0, 4).map(|it| (it.next, it.handed)), Some((3, 3)));
        assert_eq!(gather.judged(3, 4), None);
        (4..)
            .zip([In::Row(2, 1, "b"), In::Manifest(2, AB)])
            .for_each(|(offset, what)| gather.take(record(offset, what)));
        assert_eq!(gather.judged(3, 9).map(|it| (it.next, it.handed)), Some((9, 3)));
        assert_eq!(gather.judged(9, 12).map(|it| (it.next, it.handed)), Some((12, 0)), "holes are passed");
    }
}
