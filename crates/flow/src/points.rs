//! Points: the sums of a lane at offsets that both sides know, so that two of them can be compared while they move.

use crate::rehearsal::COMPACTION_LAG;
use jiff::Timestamp;
use seamline_message::sums::{BucketSum, Sums};
use std::collections::VecDeque;
use std::time::Duration;

/// The offsets at which sums are remembered are multiples of this.
pub const STRIDE: u64 = 1_024;

/// How many of these are remembered.
pub const REMEMBERED: usize = 64;

/// How many single changes are remembered, so that the sums at any offset among them can be told.
pub const CHANGES: usize = 2_048;

/// Who was at an end of a log within this time, by their own clock, has surely seen all that was overtaken since: the log keeps it for
/// twice as long.
pub const NEAR: Duration = Duration::from_secs(COMPACTION_LAG.as_secs() / 2);

/// The sums over everything before an offset.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// The offset; what is at it is not in the sums.
    pub offset: u64,
    /// The sums.
    pub sums: Sums,
}

/// What one record changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// Its offset.
    pub offset: u64,
    /// The bucket of its key.
    pub bucket: usize,
    /// What the bucket was before.
    pub before: BucketSum,
}

/// What a batch passes: to remember once it is durable.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Passed {
    /// The points at strides, in the order of offsets.
    pub points: Vec<Point>,
    /// What its records changed, in the order of offsets.
    pub changes: Vec<Change>,
}

/// Why the sums at an offset cannot be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// It was not read that far yet.
    Ahead,
    /// What lies before it was read so late, or since so short, that the log may have dropped some of it before.
    Late,
    /// It is further back than is remembered.
    Forgotten,
}

/// The last points of a lane. In memory only: a restart begins anew.
#[derive(Debug, Clone, Default)]
pub struct Points {
    strides: VecDeque<Point>,
    changes: VecDeque<Change>,
    /// Every change at this offset or later is among `changes`.
    floor: u64,
    /// Where the lane stood, and its sums, when it was last looked at.
    last: Option<(u64, Sums)>,
    near: Near,
}

/// How near the end of the log a reader has been.
#[derive(Debug, Clone, Copy, Default)]
struct Near {
    /// An end that was seen, and when.
    seen: Option<(u64, Timestamp)>,
    /// When an end was seen that was reached since.
    reached: Option<Timestamp>,
    /// From this offset on nothing was missed that the log dropped.
    from: Option<u64>,
}

impl Points {
    /// Says where the lane stands before it reads. Sums that changed since by anything but reading make all that is remembered void.
    pub fn begin(&mut self, offset: u64, sums: &Sums) {
        if self.last.as_ref().is_some_and(|(at, then)| *at == offset && then == sums) {
            return;
        }
        self.strides.clear();
        self.changes.clear();
        (self.floor, self.last) = (offset, Some((offset, sums.clone())));
    }

    /// Says that the log ends at an offset, when it was read from another one on. `now` is from before the reading.
    pub fn near(&mut self, offset: u64, end: u64, now: Timestamp) {
        let near = &mut self.near;
        match near.seen {
            Some((seen, at)) if offset >= seen => (near.reached, near.seen) = (Some(at), Some((end, now))),
            Some(_) => {}
            None => near.seen = Some((end, now)),
        }
        if !near.reached.is_some_and(|at| is_near(at, now)) {
            near.from = near.from.max(Some(end));
        }
    }

    /// Returns when an end was seen that was reached since; none before one was.
    pub fn reached(&self) -> Option<Timestamp> {
        self.near.reached
    }

    /// Returns the sums over everything before an offset.
    ///
    /// # Errors
    /// Why they cannot be told.
    pub fn at(&self, offset: u64) -> Result<Sums, Unknown> {
        let Some((stands, sums)) = &self.last else { return Err(Unknown::Ahead) };
        if offset > *stands {
            return Err(Unknown::Ahead);
        }
        if self.near.from.is_none_or(|from| offset < from) {
            return Err(Unknown::Late);
        }
        if let Some(point) = self.strides.iter().find(|point| point.offset == offset) {
            return Ok(point.sums.clone());
        }
        if offset < self.floor {
            return Err(Unknown::Forgotten);
        }
        let mut sums = sums.clone();
        for change in self.changes.iter().rev().take_while(|change| change.offset >= offset) {
            sums.buckets[change.bucket] = change.before;
        }
        Ok(sums)
    }

    /// Remembers what a durable batch passed, where the lane stands after it, and forgets the oldest.
    pub fn remember(&mut self, passed: Passed, offset: u64, sums: &Sums) {
        self.strides.extend(passed.points);
        let strides = self.strides.len().saturating_sub(REMEMBERED);
        self.strides.drain(..strides);
        self.changes.extend(passed.changes);
        let changes = self.changes.len().saturating_sub(CHANGES);
        if let Some(last) = self.changes.drain(..changes).next_back() {
            self.floor = last.offset + 1;
        }
        self.last = Some((offset, sums.clone()));
    }

    /// Forgets all: what follows is not known to follow on them.
    pub fn forget(&mut self) {
        *self = Points::default();
    }
}

/// Returns whether who was at an end at a moment has surely missed nothing since. A clock may have been set back.
pub fn is_near(at: Timestamp, now: Timestamp) -> bool {
    Duration::try_from(now.duration_since(at)).is_ok_and(|since| since < NEAR) || at >= now
}

/// Returns the offsets of points that are passed between two reading positions, in order, the last `REMEMBERED` at most.
pub fn passed(from: u64, to: u64) -> Vec<u64> {
    let last = to / STRIDE;
    let first = (from / STRIDE + 1).max(last.saturating_sub(REMEMBERED as u64 - 1));
    (first..=last).map(|multiple| multiple * STRIDE).collect()
}

#[cfg(test)]
mod tests {
    use super::{CHANGES, Change, Passed, Point, Points, REMEMBERED, STRIDE, Unknown, passed};
    use jiff::Timestamp;
    use seamline_message::sums::{BucketSum, Sums};

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + hours * 3_600).unwrap()
    }

    /// Returns sums that tell how many records are in them.
    fn sums(count: u64) -> Sums {
        let mut sums = Sums::new();
        sums.buckets[3] = BucketSum { count, digests: u128::from(count) << 64, sequences: count };
        sums
    }

    /// Returns a lane that began at the end of an empty log, and read one record at each offset below `to`.
    fn read(to: u64) -> Points {
        let mut points = Points::default();
        points.near(0, 0, at(0));
        points.near(0, 0, at(0));
        points.begin(0, &sums(0));
        let change = |offset| Change { offset, bucket: 3, before: sums(offset).buckets[3] };
        let strides = passed(0, to).into_iter().map(|offset| Point { offset, sums: sums(offset) }).collect();
        let read = Passed { points: strides, changes: (0..to).map(change).collect() };
        points.remember(read, to, &sums(to));
        points
    }

    #[test]
    fn a_point_is_passed_once() {
        assert_eq!(passed(0, STRIDE - 1), Vec::<u64>::new());
        assert_eq!(passed(STRIDE - 1, STRIDE), vec![STRIDE]);
        assert_eq!(passed(STRIDE, STRIDE), Vec::<u64>::new());
        assert_eq!(passed(10, 3 * STRIDE + 5), vec![STRIDE, 2 * STRIDE, 3 * STRIDE]);
        assert_eq!(passed(0, 1_000 * STRIDE).len(), REMEMBERED);
    }

    #[test]
    fn the_sums_at_any_late_offset_and_at_strides_are_known() {
        let points = read(10);
        (0..=10).for_each(|offset| assert_eq!(points.at(offset), Ok(sums(offset))));
        assert_eq!(points.at(11), Err(Unknown::Ahead));
        let to = 4 * STRIDE + 7;
        let points = read(to);
        assert_eq!(points.at(to - CHANGES as u64), Ok(sums(to - CHANGES as u64)));
        assert_eq!(points.at(to - CHANGES as u64 - 1), Err(Unknown::Forgotten));
        assert_eq!(points.at(STRIDE), Ok(sums(STRIDE)));
        assert_eq!(read(1_000 * STRIDE).at(STRIDE), Err(Unknown::Forgotten));
    }

    #[test]
    fn sums_that_changed_by_anything_but_reading_void_what_was_before() {
        let mut points = read(10);
        points.begin(10, &sums(10));
        assert_eq!(points.at(9), Ok(sums(9)));
        points.begin(10, &sums(77));
        assert_eq!((points.at(9), points.at(10)), (Err(Unknown::Forgotten), Ok(sums(77))));
    }

    #[test]
    fn who_begins_compares_from_the_first_end_on_and_who_falls_behind_from_the_next() {
        let mut points = Points::default();
        points.begin(5, &sums(5));
        points.near(5, 8, at(0));
        points.remember(Passed::default(), 9, &sums(9));
        assert_eq!((points.at(7), points.at(8)), (Err(Unknown::Late), Ok(sums(9))));
        points.near(9, 20, at(1));
        points.remember(Passed::default(), 30, &sums(9));
        assert_eq!(points.at(20), Ok(sums(9)), "it was at an end an hour ago");
        points.near(30, 50, at(20));
        points.remember(Passed::default(), 60, &sums(9));
        assert_eq!((points.at(49), points.at(50)), (Err(Unknown::Late), Ok(sums(9))));
        points.forget();
        assert_eq!(points.at(50), Err(Unknown::Ahead));
    }

    #[test]
    fn who_is_never_quite_at_the_end_compares_all_the_same() {
        let mut points = Points::default();
        points.begin(0, &sums(0));
        (0..500).for_each(|hour| points.near(10 * hour, 10 * hour + 15, at(hour as i64)));
        points.remember(Passed::default(), 6_000, &sums(0));
        assert_eq!(points.at(100), Ok(sums(0)));
    }
}
