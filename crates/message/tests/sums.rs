//! Sums tell sets apart, in any order, and what was added can be taken away.

use proptest::prelude::*;
use seamline_message::digest::{Digest, DigestKey, Domain, digest};
use seamline_message::key::RecordKey;
use seamline_message::sequence::Sequence;
use seamline_message::sums::Sums;

fn records() -> impl Strategy<Value = Vec<(RecordKey, Sequence, Digest)>> {
    let record = (0..1000_u32, any::<u64>(), any::<u128>()).prop_map(|(key, sequence, digest)| {
        (RecordKey::from_texts(&[key.to_string()]), Sequence(sequence), Digest(digest))
    });
    prop::collection::vec(record, 0..50)
}

fn sums(records: &[(RecordKey, Sequence, Digest)]) -> Sums {
    let mut sums = Sums::new();
    records.iter().for_each(|(key, sequence, digest)| sums.add(key, *sequence, *digest));
    sums
}

proptest! {
    #[test]
    fn sums_have_no_order_and_cancel(records in records(), others in records()) {
        let (one, two) = (sums(&records), sums(&others));
        let reversed: Vec<_> = records.iter().rev().cloned().collect();
        prop_assert_eq!(&sums(&reversed), &one);
        let mut both = one.clone();
        both.merge(&two);
        prop_assert_eq!(both.minus(&two), one.clone());
        for (key, sequence, digest) in &records {
            both.subtract(key, *sequence, *digest);
        }
        prop_assert_eq!(&both, &two);
        prop_assert_eq!(both.total().count, others.len() as u64);
        prop_assert_eq!(one.minus(&one), Sums::new());
        prop_assert_eq!(Sums::from_bytes(&one.to_bytes()), Ok(one));
    }
}

#[test]
fn other_stored_forms_are_refused() {
    let bytes = Sums::new().to_bytes();
    assert_eq!(bytes.len(), 2049);
    for other in [&[][..], &bytes[..2048], &[&bytes[..], &[0]].concat(), &[&[2], &bytes[1..]].concat()] {
        assert!(Sums::from_bytes(other).is_err());
    }
}

/// Two equal records: what an exclusive or cannot see.
fn a_pair_is_seen() -> bool {
    let key = RecordKey::from_texts(&["a".to_owned()]);
    let digest = digest(&DigestKey([1; 32]), Domain::State, key.as_bytes(), b"{}");
    sums(&[(key.clone(), Sequence(1), digest), (key.clone(), Sequence(2), digest)]).total().digests != 0
}

#[test]
fn a_pair_does_not_cancel() {
    assert!(a_pair_is_seen());
}

#[cfg(feature = "mutants")]
#[test]
fn the_check_of_pairs_fails_where_sums_are_exclusive_ors() {
    use seamline_message::mutant::{Mutant, is, with};
    assert!(with(None, a_pair_is_seen));
    assert!(!with(Some(Mutant::XorForSum), a_pair_is_seen));
    assert!(with(Some(Mutant::LostTombstone), || is(Mutant::LostTombstone) && !is(Mutant::XorForSum)));
}
