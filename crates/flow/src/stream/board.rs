//! The points that were told of a topic, and not compared yet: put here by whoever reads them, taken by the lanes.

use crate::audit::publish::{Published, points_topic, read};
use crate::log::{Fetched, Log};
use crate::port::PortError;
use crate::position::TopicIdentity;
use jiff::Timestamp;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard};

/// How many points of a partition wait for its lane at most; the oldest go.
const WAITING_MAX: usize = 32;

/// How many records are read at once.
const READ_MAX: usize = 500;

/// The points of one topic, by partition.
#[derive(Debug, Default)]
pub struct Board {
    points: Mutex<BTreeMap<u32, VecDeque<Published>>>,
    heard: Mutex<Option<Timestamp>>,
}

impl Board {
    /// Puts a point up.
    pub fn put(&self, published: Published, now: Timestamp) {
        let mut points = lock(&self.points);
        let waiting = points.entry(published.partition).or_default();
        waiting.push_back(published);
        while waiting.len() > WAITING_MAX {
            waiting.pop_front();
        }
        *lock(&self.heard) = Some(now);
    }

    /// Takes the newest point of a partition that a lane has reached; older ones go.
    pub fn take(&self, partition: u32, reached: u64) -> Option<Published> {
        let mut points = lock(&self.points);
        let waiting = points.get_mut(&partition)?;
        let newest = waiting.iter().rposition(|published| published.point.offset <= reached)?;
        waiting.drain(..=newest).next_back()
    }

    /// Returns when a point was put up last.
    pub fn heard(&self) -> Option<Timestamp> {
        *lock(&self.heard)
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().expect("nothing panics while it holds it")
}

/// Reads the points of a topic from now on.
#[derive(Debug)]
pub struct Listener {
    topic: String,
    place: Option<(TopicIdentity, u64)>,
}

/// What a listener heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// So many points.
    Points(u64),
    /// There is no topic with points yet.
    NoTopic,
}

impl Listener {
    /// Returns one for the points of a topic.
    pub fn new(topic: &str) -> Listener {
        Listener { topic: points_topic(topic), place: None }
    }

    /// Puts up what came since; begins with the end.
    ///
    /// # Errors
    /// The log's; it is safe to go on.
    pub async fn step<L: Log>(&mut self, log: &L, board: &Board, now: Timestamp) -> Result<Heard, PortError> {
        let Some((topic, next)) = &mut self.place else {
            let Some(topic) = log.topic(&self.topic).await? else { return Ok(Heard::NoTopic) };
            if let Some((_, end)) = log.ends(&topic, 0).await? {
                self.place = Some((topic, end));
            }
            return Ok(Heard::Points(0));
        };
        match log.fetch(topic, 0, *next, READ_MAX).await? {
            Fetched::Records(fetch) => {
                *next = fetch.next;
                let mut heard = 0;
                for published in fetch.records.iter().filter_map(read) {
                    board.put(published, now);
                    heard += 1;
                }
                Ok(Heard::Points(heard))
            }
            Fetched::OutOfRange { start, end } => {
                *next = start.max((*next).min(end));
                Ok(Heard::Points(0))
            }
            // A point is never in Avro: what names a schema there is nothing of ours.
            Fetched::NoSchema(_) => {
                *next += 1;
                Ok(Heard::Points(0))
            }
            Fetched::NoTopic => {
                self.place = None;
                Ok(Heard::NoTopic)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Board, WAITING_MAX};
    use crate::audit::publish::Published;
    use crate::points::Point;
    use jiff::Timestamp;
    use seamline_message::sums::Sums;

    fn point(offset: u64) -> Published {
        let point = Point { offset, sums: Sums::new() };
        Published { topic_id: "t".to_owned(), epoch: 1, partition: 2, point }
    }

    #[test]
    fn a_lane_takes_the_newest_point_that_it_has_reached_and_once() {
        let board = Board::default();
        for offset in [3, 5, 9] {
            board.put(point(offset), Timestamp::UNIX_EPOCH);
        }
        assert_eq!(board.take(1, 100), None);
        assert_eq!(board.take(2, 2), None);
        assert_eq!(board.take(2, 8), Some(point(5)));
        assert_eq!(board.take(2, 8), None);
        assert_eq!(board.take(2, 9), Some(point(9)));
        (0..2 * WAITING_MAX as u64).for_each(|offset| board.put(point(offset), Timestamp::UNIX_EPOCH));
        assert_eq!(board.take(2, WAITING_MAX as u64 - 1), None, "the oldest are gone");
    }
}
