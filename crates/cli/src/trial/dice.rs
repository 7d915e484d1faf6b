//! Chance, all of it from one seed.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Draws from a seed.
pub(crate) struct Dice(ChaCha8Rng);

impl Dice {
    /// Returns the dice of a seed.
    pub(crate) fn new(seed: u64) -> Dice {
        Dice(ChaCha8Rng::seed_from_u64(seed))
    }

    /// Returns a number below `end`; zero when `end` is.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        let wide = u128::from(self.0.next_u64()) * end as u128;
        usize::try_from(wide >> 64).expect("below `end`, which is a usize")
    }

    /// Returns a number from `least` to `most`, both included; `least` when `most` is less.
    pub(crate) fn between(&mut self, least: i128, most: i128) -> i128 {
        let wide = u128::from(self.0.next_u64()) << 64 | u128::from(self.0.next_u64());
        let Some(span) = most.checked_sub(least).and_then(|span| u128::try_from(span).ok()) else {
            return least;
        };
        let over = wide % span.saturating_add(1);
        least + i128::try_from(over).unwrap_or(0)
    }

    /// Returns true once in so many times.
    pub(crate) fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// Returns one of some things; none of nothing.
    pub(crate) fn one_of<'a, T>(&mut self, things: &'a [T]) -> Option<&'a T> {
        things.get(self.below(things.len()))
    }

    /// Returns a letter of some ranges, each as likely as another.
    pub(crate) fn letter(&mut self, ranges: &[(char, char)]) -> Option<char> {
        let (from, to) = *self.one_of(ranges)?;
        let at = self.between(i128::from(u32::from(from)), i128::from(u32::from(to)));
        // A range may cross the surrogates, which are no letters.
        Some(u32::try_from(at).ok().and_then(char::from_u32).unwrap_or(from))
    }

    /// Returns so many bytes.
    pub(crate) fn bytes<const LENGTH: usize>(&mut self) -> [u8; LENGTH] {
        std::array::from_fn(|_| u8::try_from(self.below(256)).unwrap_or(0))
    }

    /// Puts things into another order.
    pub(crate) fn shuffle<T>(&mut self, things: &mut [T]) {
        for at in (1..things.len()).rev() {
            things.swap(at, self.below(at + 1));
        }
    }
}
