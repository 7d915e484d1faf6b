//! Link 2 without a scan: a lane holds its own sums against those that the auditor of its topic tells, point by point.

pub mod board;
pub mod drill;
pub mod note;

use crate::audit::publish::Published;
use crate::clock::Clock;
use crate::drift::{Drift, Link, Outcome, Report};
use crate::hold::{DigestEpoch, Hold};
use crate::intake::Intake;
use crate::log::Log;
use crate::points::{Points, Unknown};
use crate::port::PortError;
use crate::projector::Projector;
use crate::store::Store;
use crate::stream::drill::{Drilled, drill};
use jiff::Timestamp;
use seamline_message::key::BUCKETS;
use seamline_message::mutant::{self, Mutant};
use seamline_message::sums::{BucketSum, Sums};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a lane is left alone after the log was read for its keys, at first and at most.
const LEFT_ALONE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(600));

/// Why a point says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Why {
    /// It was made under another digest key than what is here.
    OtherEpoch,
    /// It is of another topic of that name.
    OtherTopic,
    /// It lies within the bootstrap.
    Bootstrap,
    /// The lane began, or fell behind for longer than the log surely keeps what was overtaken, and did not pass the end since.
    Late,
    /// The auditor is further behind than the lane remembers.
    Forgotten,
    /// A part of the log, or the lane, could not be had for the rehearsal.
    Unread,
    /// The sums count rows that vanished and came back with a later message: they must be counted anew.
    Recount,
    /// The log, read again, says what was received: what the auditor read is not there, or reads otherwise here.
    Otherwise,
}

impl Why {
    /// Returns whether sums were compared and differ, and no key explains it.
    pub fn is_a_difference(self) -> bool {
        match self {
            Why::Recount | Why::Otherwise => true,
            Why::OtherEpoch | Why::OtherTopic | Why::Bootstrap | Why::Late | Why::Forgotten | Why::Unread => {
                false
            }
        }
    }

    /// Returns it in words.
    pub fn words(self) -> &'static str {
        match self {
            Why::OtherEpoch => {
                "the sums are under another epoch of the digest key: `seamline reconcile --repair` makes them anew"
            }
            Why::OtherTopic => "the auditor reads another topic of that name",
            Why::Bootstrap => "the bootstrap is not over",
            Why::Late => {
                "the lane began a moment ago or fell far behind: it compares from the next end on that it passes"
            }
            Why::Forgotten => "the auditor is further behind than the lane remembers",
            Why::Unread => "the sums differ, and the log could not be read for the keys: it is tried again",
            Why::Recount => {
                "the sums count rows that vanished and came back: `seamline reconcile` names them, `--repair` counts anew"
            }
            Why::Otherwise => {
                "the auditor's sums differ, and the log read again says what was received: the versions of the contract may differ, \
                 or the log lost what it had"
            }
        }
    }
}

/// What a point says of a lane.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// All that lies before it was received as it was sent.
    Same,
    /// It was not read that far yet.
    Ahead,
    /// These sums are too many here; none of it is in flight.
    Differs(Box<Sums>),
    /// It says nothing.
    Inconclusive(Why),
}

/// Holds what a lane remembers against a point.
pub fn judge(points: &Points, hold: &Hold, digest: DigestEpoch, published: &Published) -> Verdict {
    if published.topic_id != hold.topic.id {
        return Verdict::Inconclusive(Why::OtherTopic);
    }
    if published.epoch != digest.epoch || hold.state().digest_epoch != digest.epoch {
        return Verdict::Inconclusive(Why::OtherEpoch);
    }
    let offset = published.point.offset;
    if hold.state().bootstrap_end.is_some_and(|end| offset < end) {
        return Verdict::Inconclusive(Why::Bootstrap);
    }
    match points.at(offset) {
        Ok(sums) if sums == published.point.sums || mutant::is(Mutant::SumsUnwatched) => Verdict::Same,
        Ok(sums) => Verdict::Differs(Box::new(sums.minus(&published.point.sums))),
        Err(Unknown::Ahead) => Verdict::Ahead,
        Err(Unknown::Late) => Verdict::Inconclusive(Why::Late),
        Err(Unknown::Forgotten) => Verdict::Inconclusive(Why::Forgotten),
    }
}

/// How the last point of a lane compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Word {
    /// Equal.
    Clean,
    /// Keys were lost or altered between the log and here; a case names them.
    Drift,
    /// Nothing could be said.
    Inconclusive(Why),
}

impl Word {
    /// Returns the word under which it is stored and counted.
    pub fn word(self) -> &'static str {
        match self {
            Word::Clean => "clean",
            Word::Drift => "drift",
            Word::Inconclusive(_) => "inconclusive",
        }
    }
}

/// One comparison of one lane.
#[derive(Debug, Clone, PartialEq)]
pub struct Compared {
    /// The offset of the point.
    pub offset: u64,
    /// What it says.
    pub word: Word,
    /// What differs and was not told before, by key.
    pub drifts: Vec<Drift>,
}

/// What a lane knows of its differences.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    /// The difference that was looked into last, and what came of it.
    known: Option<(Sums, Word)>,
    /// When a difference is looked into again at the earliest, and how long it is left alone.
    not_before: Option<(Timestamp, Duration)>,
}

impl Memory {
    /// Holds a lane against a point, and puts a new difference down to its keys: reads the partition for that, and keeps the lane
    /// where it is meanwhile. Returns none where the lane has not read that far.
    ///
    /// # Errors
    /// The ports'. The difference is looked into again.
    pub async fn compare<S: Store, L: Log, C: Clock>(
        &mut self,
        lane: &mut Projector<'_, S, L, C>,
        published: &Published,
    ) -> Result<Option<Compared>, PortError> {
        if lane.hold.grip.is_none() {
            return Ok(None);
        }
        let offset = published.point.offset;
        let told = |word| Ok(Some(Compared { offset, word, drifts: Vec::new() }));
        let open = match judge(&lane.points, &lane.hold, lane.digest, published) {
            Verdict::Ahead => return Ok(None),
            Verdict::Inconclusive(why) => return told(Word::Inconclusive(why)),
            Verdict::Same => {
                *self = Memory::default();
                return told(Word::Clean);
            }
            Verdict::Differs(open) => *open,
        };
        let now = lane.ports.clock.now();
        if let Some((known, word)) = &self.known {
            let is_told = *known == open && *word == Word::Drift;
            // The log is read again for each new difference, and not all the time.
            if is_told || self.not_before.is_some_and(|(at, _)| now < at) {
                return told(*word);
            }
        }
        let buckets: Vec<usize> =
            (0..BUCKETS).filter(|bucket| open.buckets[*bucket] != BucketSum::default()).collect();
        let drilled = drill(lane.ports, lane.intake, lane.digest, &mut lane.hold, &buckets).await?;
        let (word, drifts) = match drilled {
            Drilled::Drifts(drifts) => (Word::Drift, drifts),
            Drilled::Lost(_) => return told(Word::Inconclusive(Why::Unread)),
            Drilled::Recount => (Word::Inconclusive(Why::Recount), Vec::new()),
            Drilled::Otherwise => (Word::Inconclusive(Why::Otherwise), Vec::new()),
        };
        let alone = self.not_before.map_or(LEFT_ALONE.0, |(_, alone)| (alone * 2).min(LEFT_ALONE.1));
        self.not_before = now.checked_add(alone).ok().map(|at| (at, alone));
        self.known = Some((open, word));
        Ok(Some(Compared { offset, word, drifts }))
    }

    /// Returns the report of what a comparison found, as a scan would make it.
    pub fn report(intake: &Intake, compared: &Compared, topic: &str, partition: u32) -> Report {
        Report {
            subject: intake.subscription.to_string(),
            link: Link::Stream,
            outcome: Outcome::Drift,
            rows: 0,
            counts: BTreeMap::new(),
            drifts: compared.drifts.clone(),
            proves: vec![format!("partition {partition} of `{topic}`, up to offset {}", compared.offset)],
        }
    }
}

#[cfg(test)]
mod tests;
