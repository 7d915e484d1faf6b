//! Keys that a lane has surely not written: while it is being built up, most are new, and nothing need be read to know it.

use seamline_message::key::RecordKey;

/// Bits for each record that is expected: one key in a few hundred is then taken for another.
const BITS_EACH: u64 = 12;

/// The most bits: a mebibyte. With more keys than that holds, more of them are looked up.
const BITS_MAX: u64 = 1 << 23;

/// How many bits a key sets.
const PROBES: usize = 4;

/// The keys written since a lane was taken, as a set that may hold a key too much and never one too few (B. Bloom,
/// "Space/time trade-offs in hash coding with allowable errors").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fresh {
    words: Vec<u64>,
}

impl Fresh {
    /// Returns the empty set, for about so many keys.
    pub fn of(keys: u64) -> Fresh {
        let bits = keys.saturating_mul(BITS_EACH).clamp(64, BITS_MAX).next_power_of_two();
        Fresh { words: vec![0; usize::try_from(bits / 64).expect("a mebibyte at most")] }
    }

    /// Returns whether a key was surely not put in.
    pub fn lacks(&self, key: &RecordKey) -> bool {
        self.places(key).into_iter().any(|(word, bit)| self.words[word] & bit == 0)
    }

    /// Puts a key in.
    pub fn put(&mut self, key: &RecordKey) {
        for (word, bit) in self.places(key) {
            self.words[word] |= bit;
        }
    }

    fn places(&self, key: &RecordKey) -> [(usize, u64); PROBES] {
        let hash = key.hash();
        let (parts, _) = hash.as_chunks::<4>();
        std::array::from_fn(|probe| {
            let place = u32::from_le_bytes(parts[1 + probe]) as usize % (self.words.len() * 64);
            (place / 64, 1 << (place % 64))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Fresh;
    use seamline_message::key::RecordKey;

    fn key(number: u32) -> RecordKey {
        RecordKey::from_texts(&[number.to_string()])
    }

    #[test]
    fn a_key_that_was_put_in_is_never_lacking() {
        for expected in [0, 10, 1_000] {
            let mut fresh = Fresh::of(expected);
            (0..1_000).for_each(|number| fresh.put(&key(number)));
            assert!((0..1_000).all(|number| !fresh.lacks(&key(number))));
        }
    }

    #[test]
    fn nearly_all_others_are() {
        let mut fresh = Fresh::of(1_000);
        assert!(fresh.lacks(&key(0)));
        (0..1_000).for_each(|number| fresh.put(&key(number)));
        let lacking = (1_000..2_000).filter(|number| fresh.lacks(&key(*number))).count();
        assert!(lacking > 950, "{lacking}");
    }
}
