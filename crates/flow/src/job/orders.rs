//! How a job is to be done, and how far it is: what its texts in the database hold. Both carry a version.

use crate::erasure::{EraseOrders, Erasing, Subject};
use crate::job::tally::Tally;
use crate::position::{Position, TopicIdentity};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The version of these formats.
const VERSION: u32 = 1;

/// The version of orders that name an era: who does not know of it must not take them for wider ones.
const WITH_ERA: u32 = 2;

/// How a projection is to be derived anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RehearseOrders {
    version: u32,
    /// What differs is to be merged.
    pub merge: bool,
    /// The translation by which it is derived: who runs another must not work on it.
    pub translation: String,
    /// At most so many records and rows in a second; none: as fast as it goes.
    pub rate: Option<u32>,
    /// Only these keys, as their record keys; all where it is empty.
    pub keys: BTreeSet<String>,
    /// Only keys whose last record was written at this moment or later.
    pub from: Option<Timestamp>,
    /// Only keys whose last record was written before this moment.
    pub until: Option<Timestamp>,
    /// Only keys whose last record was written under this major.
    pub era: Option<u32>,
}

impl RehearseOrders {
    /// Returns orders to derive all keys.
    pub fn all(translation: &str, merge: bool, rate: Option<u32>) -> RehearseOrders {
        let (translation, keys) = (translation.to_owned(), BTreeSet::new());
        RehearseOrders {
            version: VERSION,
            merge,
            translation,
            rate,
            keys,
            from: None,
            until: None,
            era: None,
        }
    }

    /// Returns orders for some keys, and for those written last within a time.
    #[must_use]
    pub fn narrowed(
        self,
        keys: BTreeSet<String>,
        from: Option<Timestamp>,
        until: Option<Timestamp>,
    ) -> RehearseOrders {
        RehearseOrders { keys, from, until, ..self }
    }

    /// Returns orders for keys that were written last under a major.
    #[must_use]
    pub fn of_era(self, era: Option<u32>) -> RehearseOrders {
        let version = if era.is_some() { WITH_ERA } else { self.version };
        RehearseOrders { version, era, ..self }
    }

    /// Returns whether only some keys are asked for.
    pub fn is_partial(&self) -> bool {
        !self.keys.is_empty() || self.from.is_some() || self.until.is_some() || self.era.is_some()
    }
}

/// How a contract is to be published once more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackfillOrders {
    version: u32,
    /// Rows that there were when it was filed.
    pub rows: u64,
    /// At most so many rows in a second; none: as fast as it goes.
    pub rate: Option<u32>,
}

impl BackfillOrders {
    /// Returns orders.
    pub fn new(rows: u64, rate: Option<u32>) -> BackfillOrders {
        BackfillOrders { version: VERSION, rows, rate }
    }
}

/// What is to leave quarantine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RedriveOrders {
    version: u32,
    /// Only what is in this issue; none: all of the subject.
    pub issue: Option<String>,
    /// Messages that waited when it was filed, those behind others not counted.
    pub items: u64,
    /// At most so many messages in a second; of each lane at a consumer. None: as fast as it goes.
    pub rate: Option<u32>,
}

impl RedriveOrders {
    /// Returns orders.
    pub fn new(issue: Option<String>, items: u64, rate: Option<u32>) -> RedriveOrders {
        RedriveOrders { version: VERSION, issue, items, rate }
    }
}

/// What a rehearsal does just now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Phase {
    /// It begins.
    #[default]
    Begin,
    /// It reads the log up to the ends that it saw when it began.
    Read,
    /// It compares with the table.
    Compare,
    /// The holders of the lanes merge.
    Merge,
    /// It compares again.
    Verify,
}

impl Phase {
    /// Returns the word by which it is told.
    pub fn word(self) -> &'static str {
        match self {
            Phase::Begin => "begins",
            Phase::Read => "reads the log",
            Phase::Compare => "compares with the table",
            Phase::Merge => "merges",
            Phase::Verify => "compares again",
        }
    }
}

/// The reading of one partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reach {
    /// The partition.
    pub partition: u32,
    /// The first offset.
    pub start: u64,
    /// The next offset to read.
    pub at: u64,
    /// The end seen at the beginning: from it on the lane alone reads.
    pub end: u64,
    /// The end seen once all was read: who compares must have read as far.
    pub fence: u64,
    /// Where the lane stands still: at a position that is not in this topic, or that it does not hold any more.
    pub standing: Option<Standing>,
}

/// A position from which a lane cannot read on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Standing {
    /// The cluster's id.
    pub cluster: String,
    /// The topic's id.
    pub topic_id: String,
    /// The next offset.
    pub offset: u64,
}

impl Standing {
    /// Returns a position as one from which a lane cannot read on.
    pub fn at(position: &Position) -> Standing {
        let (cluster, topic_id) = (position.cluster.clone(), position.topic_id.clone());
        Standing { cluster, topic_id, offset: position.offset }
    }
}

/// How far a rehearsal is.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rehearsing {
    version: u32,
    /// What it does.
    pub phase: Phase,
    /// The cluster of the topic.
    pub cluster: String,
    /// The id of the topic.
    pub topic_id: String,
    /// When it began, or began anew.
    pub began: Option<Timestamp>,
    /// How often it began anew.
    pub restarts: u32,
    /// The partitions, by number.
    pub reaches: Vec<Reach>,
    /// Records read.
    pub records: u64,
    /// Records that break their contract, under this translation.
    pub broken: u64,
    /// The cursor of the comparison under way.
    pub cursor: Option<String>,
    /// What differed.
    pub found: Tally,
    /// What still differed after merging.
    pub left: Tally,
    /// Keys merged.
    pub merged: u64,
}

impl Rehearsing {
    /// Begins with a topic.
    pub fn of(topic: &TopicIdentity, reaches: Vec<Reach>, now: Timestamp, restarts: u32) -> Rehearsing {
        let (cluster, topic_id) = (topic.cluster.clone(), topic.id.clone());
        let (phase, began) = (Phase::Read, Some(now));
        Rehearsing {
            version: VERSION,
            phase,
            cluster,
            topic_id,
            began,
            restarts,
            reaches,
            ..Rehearsing::default()
        }
    }

    /// Returns whether it reads this very topic.
    pub fn is_of(&self, topic: &TopicIdentity) -> bool {
        self.cluster == topic.cluster && self.topic_id == topic.id
    }

    /// Returns the reading of a partition.
    pub fn reach(&self, partition: u32) -> Option<&Reach> {
        self.reaches.iter().find(|reach| reach.partition == partition)
    }

    /// Returns how many offsets were read, and how many there are to read.
    pub fn offsets(&self) -> (u64, u64) {
        let read = self.reaches.iter().map(|reach| reach.at - reach.start).sum();
        (read, self.reaches.iter().map(|reach| reach.end - reach.start).sum())
    }
}

/// How far the merging of a lane is.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Merging {
    version: u32,
    /// Of which beginning of the rehearsal it is.
    pub restarts: u32,
    /// The cursor of the comparison.
    pub cursor: Option<String>,
    /// Keys merged.
    pub merged: u64,
    /// The sums are to be counted anew.
    pub recount: bool,
    /// Nothing is left.
    pub done: bool,
}

impl Merging {
    /// Begins.
    pub fn of(restarts: u32) -> Merging {
        Merging { version: VERSION, restarts, ..Merging::default() }
    }
}

/// How far a backfill is.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Publishing {
    version: u32,
    /// The last key published.
    pub after: Option<String>,
    /// Outbox rows written.
    pub rows: u64,
    /// When it began.
    pub began: Option<Timestamp>,
}

impl Publishing {
    /// Begins.
    pub fn at(now: Timestamp) -> Publishing {
        Publishing { version: VERSION, began: Some(now), ..Publishing::default() }
    }
}

/// How far a redrive is.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Redriving {
    version: u32,
    /// At a source: the sequence of the last row that was looked at.
    pub after: Option<u64>,
    /// Messages tried again.
    pub moved: u64,
    /// Messages that stay, for the same reason. A source tells by its quarantine instead.
    pub stayed: u64,
    /// When it began.
    pub began: Option<Timestamp>,
}

impl Redriving {
    /// Begins.
    pub fn at(now: Timestamp) -> Redriving {
        Redriving { version: VERSION, began: Some(now), ..Redriving::default() }
    }
}

/// How far the redrive of a lane is.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LaneRedriving {
    version: u32,
    /// The next offset to look at.
    pub next: u64,
    /// Messages tried again.
    pub moved: u64,
    /// Messages that stay.
    pub stayed: u64,
    /// Nothing is left.
    pub done: bool,
}

impl LaneRedriving {
    /// Begins.
    pub fn begin() -> LaneRedriving {
        LaneRedriving { version: VERSION, ..LaneRedriving::default() }
    }
}

/// A text of a job that is not as it should be.
#[derive(Debug, thiserror::Error)]
#[error("a job's text cannot be read: {0}")]
pub struct Unreadable(String);

/// A text that carries its version.
pub trait Versioned: Serialize + DeserializeOwned {
    /// The version that was read.
    fn version(&self) -> u32;
}

macro_rules! versioned {
    ($($form:ident),*) => {
        $(impl Versioned for $form {
            fn version(&self) -> u32 {
                self.version
            }
        })*
    };
}

versioned!(
    RehearseOrders,
    BackfillOrders,
    RedriveOrders,
    EraseOrders,
    Rehearsing,
    Merging,
    Publishing,
    Redriving,
    LaneRedriving,
    Erasing,
    Subject
);

/// Reads a text.
///
/// # Errors
/// When it is none of these, or of a version that is not known here.
pub fn read<T: Versioned>(text: &str) -> Result<T, Unreadable> {
    let read: T = serde_json::from_str(text).map_err(|error| Unreadable(error.to_string()))?;
    match read.version() {
        0..=WITH_ERA => Ok(read),
        newer => {
            Err(Unreadable(format!("it has version {newer}; this program knows versions up to {WITH_ERA}")))
        }
    }
}

/// Reads a text that may be empty: then nothing was done yet.
///
/// # Errors
/// As for `read`.
pub fn read_progress<T: Versioned + Default>(text: &str) -> Result<T, Unreadable> {
    if text.is_empty() { Ok(T::default()) } else { read(text) }
}

/// Returns the text.
///
/// # Panics
/// Never: these have a text.
pub fn write<T: Versioned>(what: &T) -> String {
    serde_json::to_string(what).expect("maps have texts as keys")
}

#[cfg(test)]
mod tests {
    use super::{Merging, RehearseOrders, read, read_progress, write};

    #[test]
    fn a_text_is_read_as_it_was_written_and_a_newer_one_is_refused() {
        let orders = RehearseOrders::all("a: b", true, Some(500));
        assert_eq!(read::<RehearseOrders>(&write(&orders)).unwrap(), orders);
        let of_era = orders.clone().of_era(Some(1));
        assert!(write(&of_era).contains("\"version\":2"), "an older program must not do more than was asked");
        assert_eq!(read::<RehearseOrders>(&write(&of_era)).unwrap(), of_era);
        let older = write(&orders).replace(",\"era\":null", "");
        assert_eq!(read::<RehearseOrders>(&older).unwrap(), orders);
        let newer = write(&orders).replace("\"version\":1", "\"version\":3");
        let said = read::<RehearseOrders>(&newer).unwrap_err().to_string();
        assert!(said.contains("version 3"), "{said}");
        assert_eq!(read_progress::<Merging>("").unwrap(), Merging::default());
        assert!(read_progress::<Merging>("{").is_err());
    }
}
