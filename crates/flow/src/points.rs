//! Points: the sums of a lane at offsets that both sides know, so that two of them can be compared while they move.

use seamline_message::sums::Sums;
use std::collections::VecDeque;

/// The offsets at which sums are remembered are multiples of this.
pub const STRIDE: u64 = 1_024;

/// How many are remembered.
pub const REMEMBERED: usize = 64;

/// The sums over everything before an offset.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// The offset; what is at it is not in the sums.
    pub offset: u64,
    /// The sums.
    pub sums: Sums,
}

/// The last points of a lane, oldest first. In memory only: a restart begins anew.
#[derive(Debug, Clone, Default)]
pub struct Points(VecDeque<Point>);

impl Points {
    /// Returns the sums at an offset, when they are remembered.
    pub fn at(&self, offset: u64) -> Option<&Sums> {
        self.0.iter().find(|point| point.offset == offset).map(|point| &point.sums)
    }

    /// Remembers points that a durable batch passed, in the order of offsets, and forgets the oldest.
    pub fn remember(&mut self, passed: Vec<Point>) {
        self.0.extend(passed);
        while self.0.len() > REMEMBERED {
            self.0.pop_front();
        }
    }

    /// Forgets all: what follows is not known to follow on them.
    pub fn forget(&mut self) {
        self.0.clear();
    }
}

/// Returns the offsets of points that are passed between two reading positions, in order, the last `REMEMBERED` at most.
pub fn passed(from: u64, to: u64) -> Vec<u64> {
    let last = to / STRIDE;
    let first = (from / STRIDE + 1).max(last.saturating_sub(REMEMBERED as u64 - 1));
    (first..=last).map(|multiple| multiple * STRIDE).collect()
}

#[cfg(test)]
mod tests {
    use super::{Point, Points, REMEMBERED, STRIDE, passed};
    use seamline_message::sums::Sums;

    #[test]
    fn a_point_is_passed_once() {
        assert_eq!(passed(0, STRIDE - 1), Vec::<u64>::new());
        assert_eq!(passed(STRIDE - 1, STRIDE), vec![STRIDE]);
        assert_eq!(passed(STRIDE, STRIDE), Vec::<u64>::new());
        assert_eq!(passed(10, 3 * STRIDE + 5), vec![STRIDE, 2 * STRIDE, 3 * STRIDE]);
        assert_eq!(passed(0, 1_000 * STRIDE).len(), REMEMBERED);
    }

    #[test]
    fn the_oldest_points_are_forgotten() {
        let mut points = Points::default();
        let point = |multiple: u64| Point { offset: multiple * STRIDE, sums: Sums::new() };
        points.remember((1..=REMEMBERED as u64 + 1).map(point).collect());
        assert_eq!(points.at(STRIDE), None);
        assert_eq!(points.at(2 * STRIDE), Some(&Sums::new()));
        points.forget();
        assert_eq!(points.at(2 * STRIDE), None);
    }
}
