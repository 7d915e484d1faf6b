//! Whether a state record has an effect: the sequence is the order of truth for its key.

use crate::store::{Marker, Markers};
use seamline_message::digest::Digest;
use seamline_message::mutant::{self, Mutant};
use seamline_message::sequence::Sequence;

/// What a record is to what is known of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Newer: it has its effect.
    Apply,
    /// The same: nothing is written.
    Duplicate,
    /// Older: nothing is written.
    Superseded,
    /// The same sequence with another content: a case; the first stays.
    Conflict,
}

/// Judges a record by what is known of its key: its row or its end, and what waits in quarantine under its sequence.
///
/// An older record than the one in quarantine still has its effect on the row: the row keeps the last valid value.
pub fn decide(markers: &Markers, sequence: Sequence, digest: Digest) -> Verdict {
    let same = |received: Digest| if received == digest { Verdict::Duplicate } else { Verdict::Conflict };
    if let Some((aside, received)) = markers.aside
        && aside == sequence
    {
        return same(received);
    }
    match speaking(markers) {
        Some(marker) if sequence < marker.sequence && !mutant::is(Mutant::OffsetForSequence) => {
            Verdict::Superseded
        }
        Some(marker) if sequence == marker.sequence && !mutant::is(Mutant::ConflictApplied) => {
            same(marker.received)
        }
        _ => Verdict::Apply,
    }
}

/// Returns the marker that speaks for a key: of its row or of its end, the higher sequence.
pub fn speaking(markers: &Markers) -> Option<&Marker> {
    match (&markers.row, &markers.ended) {
        (Some(row), Some(ended)) => Some(if ended.sequence >= row.sequence { ended } else { row }),
        (row, ended) => row.as_ref().or(ended.as_ref()),
    }
}

/// Returns the record of a key that is in the sums: the last one received, unless it is a deletion.
pub fn in_sums(markers: &Markers) -> Option<(Sequence, Digest)> {
    let spoken = speaking(markers);
    match (markers.aside, spoken) {
        (Some(aside), Some(marker)) if marker.sequence > aside.0 => live(markers, marker),
        (Some(aside), _) => Some(aside),
        (None, Some(marker)) => live(markers, marker),
        (None, None) => None,
    }
}

fn live(markers: &Markers, spoken: &Marker) -> Option<(Sequence, Digest)> {
    let ended = markers.ended.as_ref().is_some_and(|ended| ended.sequence == spoken.sequence);
    (!ended).then_some((spoken.sequence, spoken.received))
}

/// Returns the highest sequence that was received of a key, whatever became of it.
pub fn reached(markers: &Markers) -> Option<Sequence> {
    let aside = markers.aside.map(|(sequence, _)| sequence);
    aside.max(speaking(markers).map(|marker| marker.sequence))
}

#[cfg(test)]
mod tests {
    use super::{Verdict, decide, in_sums, reached, speaking};
    use crate::store::{Marker, Markers};
    use seamline_message::digest::Digest;
    use seamline_message::sequence::Sequence;

    fn marker(sequence: u64, digest: u128) -> Marker {
        Marker { sequence: Sequence(sequence), offset: 0, received: Digest(digest), written: Digest(0) }
    }

    fn judge(markers: &Markers, sequence: u64, digest: u128) -> Verdict {
        decide(markers, Sequence(sequence), Digest(digest))
    }

    #[test]
    fn only_a_higher_sequence_has_an_effect() {
        let row = Markers { row: Some(marker(5, 50)), ..Markers::default() };
        assert_eq!(judge(&Markers::default(), 1, 10), Verdict::Apply);
        assert_eq!(judge(&row, 6, 60), Verdict::Apply);
        assert_eq!(judge(&row, 5, 50), Verdict::Duplicate);
        assert_eq!(judge(&row, 4, 50), Verdict::Superseded);
    }

    #[test]
    fn one_sequence_with_two_contents_is_a_conflict() {
        let row = Markers { row: Some(marker(5, 50)), ..Markers::default() };
        assert_eq!(judge(&row, 5, 51), Verdict::Conflict);
        let aside = Markers { aside: Some((Sequence(7), Digest(70))), ..row };
        assert_eq!(judge(&aside, 7, 71), Verdict::Conflict);
        assert_eq!(judge(&aside, 7, 70), Verdict::Duplicate);
    }

    #[test]
    fn a_key_that_ended_stays_ended_for_older_records() {
        let ended = Markers { row: Some(marker(5, 50)), ended: Some(marker(9, 90)), aside: None };
        assert_eq!(judge(&ended, 8, 80), Verdict::Superseded);
        assert_eq!(judge(&ended, 10, 100), Verdict::Apply);
        assert_eq!(speaking(&ended), Some(&marker(9, 90)));
        let again = Markers { row: Some(marker(10, 100)), ..ended };
        assert_eq!(speaking(&again), Some(&marker(10, 100)));
    }

    #[test]
    fn a_record_older_than_the_one_aside_still_reaches_the_row() {
        let markers =
            Markers { row: Some(marker(3, 30)), ended: None, aside: Some((Sequence(5), Digest(50))) };
        assert_eq!(judge(&markers, 4, 40), Verdict::Apply);
        assert_eq!(judge(&markers, 2, 20), Verdict::Superseded);
        assert_eq!(reached(&markers), Some(Sequence(5)));
    }

    #[test]
    fn the_sums_hold_the_last_record_received_unless_it_ended_the_key() {
        let row = Markers { row: Some(marker(3, 30)), ..Markers::default() };
        assert_eq!(in_sums(&row), Some((Sequence(3), Digest(30))));
        let aside = Markers { aside: Some((Sequence(5), Digest(50))), ..row.clone() };
        assert_eq!(in_sums(&aside), Some((Sequence(5), Digest(50))));
        let ended = Markers { ended: Some(marker(4, 40)), ..row };
        assert_eq!(in_sums(&ended), None);
        let both = Markers { aside: Some((Sequence(5), Digest(50))), ..ended };
        assert_eq!(in_sums(&both), Some((Sequence(5), Digest(50))));
        assert_eq!(in_sums(&Markers::default()), None);
    }
}
