//! How long a failing worker rests: a little, then ever longer, and never in step with others.

use crate::clock::SystemEntropy;
use seamline_flow::clock::Entropy;
use std::time::Duration;

const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(10);

/// The failures of one worker in a row.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Returns whether the next failure is the first in a row.
    pub(super) fn is_first(&self) -> bool {
        self.failures == 0
    }

    /// Counts a failure and returns how long to rest: between half and all of a span that doubles.
    pub(super) fn next(&mut self) -> Duration {
        let span = SHORTEST.saturating_mul(1 << self.failures.min(16)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        span / 2 + self.jitter(span / 2)
    }

    /// Forgets the failures. Returns whether there were any.
    pub(super) fn reset(&mut self) -> bool {
        std::mem::take(&mut self.failures) > 0
    }

    /// Returns a random span, less than `span`.
    pub(super) fn jitter(&self, span: Duration) -> Duration {
        let bytes = SystemEntropy.bytes();
        span.mul_f64(f64::from(bytes[0]) / 256.0)
    }
}

#[cfg(test)]
mod tests {
    use super::{Backoff, LONGEST, SHORTEST};

    #[test]
    fn rests_double_up_to_a_cap_and_begin_anew_after_success() {
        let mut backoff = Backoff::default();
        let first = backoff.next();
        assert!(first >= SHORTEST / 2 && first < SHORTEST, "{first:?}");
        for _ in 0..20 {
            backoff.next();
        }
        let late = backoff.next();
        assert!(late >= LONGEST / 2 && late < LONGEST, "{late:?}");
        assert!(backoff.reset() && !backoff.reset());
        assert!(backoff.next() < SHORTEST);
    }
}
