//! Sequences: the version of one key, which rises for ever and is the order of truth for that key.

use std::fmt;
use std::str::FromStr;

/// How many bits a number has within its incarnation.
const NUMBER_BITS: u32 = 48;

/// The digits of the text form, so that texts are ordered as numbers are.
const DIGITS: usize = 19;

/// The outbox id of a change: an incarnation in the 15 bits after the sign, a number in the 48 below.
/// Not gap-free. At most `i64::MAX`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Sequence(pub u64);

impl Sequence {
    /// Below every sequence that an outbox draws.
    pub const MIN: Sequence = Sequence(0);

    /// Returns how often the source's history was opened anew, 0 to 32767.
    pub fn incarnation(self) -> u16 {
        u16::try_from((self.0 >> NUMBER_BITS) & 0x7fff).expect("15 bits fit")
    }

    /// Returns the sequence below the first one of an incarnation.
    ///
    /// # Panics
    /// When the incarnation needs more than 15 bits.
    pub fn floor_of(incarnation: u16) -> Sequence {
        assert!(incarnation <= 0x7fff, "an incarnation has 15 bits");
        Sequence(u64::from(incarnation) << NUMBER_BITS)
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:0width$}", self.0, width = DIGITS)
    }
}

/// A text that is no sequence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a sequence of 19 digits")]
pub struct NotASequence;

impl FromStr for Sequence {
    type Err = NotASequence;
    fn from_str(text: &str) -> Result<Self, NotASequence> {
        if text.len() != DIGITS || !text.bytes().all(|c| c.is_ascii_digit()) {
            return Err(NotASequence);
        }
        let number: i64 = text.parse().map_err(|_| NotASequence)?;
        u64::try_from(number).map(Sequence).map_err(|_| NotASequence)
    }
}

#[cfg(test)]
mod tests {
    use super::Sequence;

    #[test]
    fn texts_are_ordered_as_numbers_are() {
        let numbers = [0, 9, 10, 1 << 48, (1 << 48) + 1, i64::MAX as u64];
        let texts: Vec<String> = numbers.iter().map(|number| Sequence(*number).to_string()).collect();
        assert!(texts.is_sorted());
        for (number, text) in numbers.iter().zip(&texts) {
            assert_eq!(text.parse(), Ok(Sequence(*number)));
        }
    }

    #[test]
    fn an_incarnation_is_above_all_numbers_of_the_one_before() {
        assert_eq!(Sequence(41).incarnation(), 0);
        assert_eq!(Sequence::floor_of(3).incarnation(), 3);
        assert!(Sequence::floor_of(3) > Sequence(Sequence::floor_of(2).0 + (1 << 48) - 1));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "1", "+000000000000000001", "9999999999999999999", "00000000000000000001"] {
            assert!(text.parse::<Sequence>().is_err(), "{text}");
        }
    }
}
