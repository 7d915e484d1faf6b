//! Whether an event follows on what was seen of its key: a chain is never silently filled.

use seamline_message::sequence::Sequence;

/// What an event is to the chain of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// It was seen.
    Duplicate,
    /// Later ones were seen.
    Superseded,
    /// It is the next.
    Follows,
    /// An earlier one of its key waits in quarantine: it goes behind.
    Behind,
    /// One before it was not seen.
    Broken,
}

/// What is known of the chain of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Chain {
    /// The last sequence seen; none for an unknown key.
    pub seen: Option<Sequence>,
    /// Records of the key wait in quarantine.
    pub waiting: bool,
    /// The lane began after the topic's first record: the first event of an unknown key may be in the middle of its chain.
    pub midway: bool,
}

/// Judges an event by what was seen of its key. A sequence that was passed is judged before the chain.
pub fn place(chain: Chain, sequence: Sequence, previous: Option<Sequence>) -> Place {
    match (chain.seen, previous) {
        (Some(seen), _) if sequence == seen => Place::Duplicate,
        (Some(seen), _) if sequence < seen => Place::Superseded,
        (Some(seen), Some(previous)) if previous == seen => Place::Follows,
        (Some(seen), None) if sequence.incarnation() > seen.incarnation() => Place::Follows,
        (None, None) => Place::Follows,
        (None, Some(_)) if chain.midway && !chain.waiting => Place::Follows,
        _ if chain.waiting => Place::Behind,
        _ => Place::Broken,
    }
}

#[cfg(test)]
mod tests {
    use super::{Chain, Place, place};
    use seamline_message::sequence::Sequence;

    fn judge(seen: Option<u64>, sequence: u64, previous: Option<u64>) -> Place {
        let chain = Chain { seen: seen.map(Sequence), ..Chain::default() };
        place(chain, Sequence(sequence), previous.map(Sequence))
    }

    #[test]
    fn an_event_follows_on_the_one_that_it_names() {
        assert_eq!(judge(None, 3, None), Place::Follows);
        assert_eq!(judge(Some(3), 7, Some(3)), Place::Follows);
    }

    #[test]
    fn a_sequence_that_was_passed_is_judged_before_its_chain() {
        assert_eq!(judge(Some(3), 3, Some(1)), Place::Duplicate);
        assert_eq!(judge(Some(3), 2, Some(3)), Place::Superseded);
        assert_eq!(judge(Some(3), 2, None), Place::Superseded);
    }

    #[test]
    fn a_missing_event_breaks_the_chain() {
        assert_eq!(judge(Some(3), 7, Some(5)), Place::Broken);
        assert_eq!(judge(Some(3), 7, Some(1)), Place::Broken);
        assert_eq!(judge(Some(3), 7, None), Place::Broken);
        assert_eq!(judge(None, 7, Some(5)), Place::Broken);
    }

    #[test]
    fn a_chain_begins_again_in_a_higher_incarnation() {
        let next = Sequence::floor_of(1).0 + 1;
        assert_eq!(judge(Some(3), next, None), Place::Follows);
        assert_eq!(judge(Some(3), next, Some(2)), Place::Broken);
    }

    #[test]
    fn a_key_is_met_in_the_middle_of_its_chain_once() {
        let midway = Chain { midway: true, ..Chain::default() };
        assert_eq!(place(midway, Sequence(7), Some(Sequence(5))), Place::Follows);
        let known = Chain { seen: Some(Sequence(7)), ..midway };
        assert_eq!(place(known, Sequence(9), Some(Sequence(8))), Place::Broken);
    }

    #[test]
    fn behind_a_record_in_quarantine_an_event_waits() {
        let chain = Chain { seen: Some(Sequence(3)), waiting: true, midway: false };
        assert_eq!(place(chain, Sequence(7), Some(Sequence(5))), Place::Behind);
        assert_eq!(place(chain, Sequence(5), Some(Sequence(3))), Place::Follows);
        let unknown = Chain { seen: None, waiting: true, midway: true };
        assert_eq!(place(unknown, Sequence(7), Some(Sequence(5))), Place::Behind);
    }
}
