//! Whose difference it is: what the lane's sums already know to be missing was lost on the stream, the rest in the table.

use seamline_message::digest::Digest;
use seamline_message::key::{BUCKETS, RecordKey};
use seamline_message::sequence::Sequence;
use seamline_message::sums::{BucketSum, Sums};
use std::collections::{BTreeMap, BTreeSet};

/// The last record of a key, where it is in the sums.
pub type Last = Option<(Sequence, Digest)>;

/// A key of which the consumer holds another last record than the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// What the consumer holds, by markers.
    pub held: Last,
    /// What the log says.
    pub logged: Last,
}

/// What the sums of a lane say about the differences of its keys.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Blame {
    /// Keys that were not received as the log says: of the stream. All others are of the table.
    pub stream: BTreeSet<RecordKey>,
    /// Buckets that differ though every key in them is held as the log says: rows vanished there, and came back with a
    /// later message, and nothing took the old record out of the sums.
    pub residual: Vec<usize>,
}

/// At most so many keys of a bucket are tried in all combinations.
const TRIED_MAX: usize = 12;

/// Puts differences down to the stream or to the table.
///
/// Sums change with what is received, and never with what a hand does to the table. So the keys whose differences add up
/// to the difference of a bucket are of the stream; where none do, all of that bucket are.
pub fn blame(received: &Sums, logged: &Sums, gaps: &BTreeMap<RecordKey, Gap>) -> Blame {
    let open = received.minus(logged);
    let mut blame = Blame::default();
    for bucket in (0..BUCKETS).filter(|bucket| open.buckets[*bucket] != BucketSum::default()) {
        let here: Vec<(&RecordKey, Sums)> = gaps
            .iter()
            .filter(|(key, _)| key.bucket() == bucket)
            .map(|(key, gap)| (key, difference(key, gap)))
            .collect();
        if here.is_empty() {
            blame.residual.push(bucket);
            continue;
        }
        let chosen = explain(open.buckets[bucket], bucket, &here);
        blame.stream.extend(chosen.into_iter().cloned());
    }
    blame
}

fn difference(key: &RecordKey, gap: &Gap) -> Sums {
    let (mut held, mut logged) = (Sums::new(), Sums::new());
    for (sums, last) in [(&mut held, gap.held), (&mut logged, gap.logged)] {
        if let Some((sequence, digest)) = last {
            sums.add(key, sequence, digest);
        }
    }
    held.minus(&logged)
}

/// Returns the fewest keys whose differences add up to that of the bucket; all where none do.
fn explain<'k>(open: BucketSum, bucket: usize, here: &[(&'k RecordKey, Sums)]) -> Vec<&'k RecordKey> {
    let adds_up = |chosen: &mut dyn Iterator<Item = &(&'k RecordKey, Sums)>| {
        let mut sum = Sums::new();
        chosen.for_each(|(_, difference)| sum.merge(difference));
        sum.buckets[bucket] == open
    };
    let all = || here.iter().map(|(key, _)| *key).collect();
    if here.len() > TRIED_MAX {
        let single = here.iter().find(|one| adds_up(&mut std::iter::once(*one)));
        return single.map_or_else(all, |(key, _)| vec![*key]);
    }
    let mut masks: Vec<u32> = (1..1_u32 << here.len()).collect();
    masks.sort_by_key(|mask| mask.count_ones());
    let chosen = |mask: u32| here.iter().enumerate().filter(move |(idx, _)| mask >> idx & 1 == 1);
    let found = masks.into_iter().find(|mask| adds_up(&mut chosen(*mask).map(|(_, one)| one)));
    found.map_or_else(all, |mask| chosen(mask).map(|(_, (key, _))| *key).collect())
}

#[cfg(test)]
mod tests {
    use super::{Blame, Gap, Last, blame};
    use seamline_message::digest::Digest;
    use seamline_message::key::RecordKey;
    use seamline_message::sequence::Sequence;
    use seamline_message::sums::Sums;
    use std::collections::BTreeMap;

    /// Keys that share a bucket.
    fn keys(count: usize) -> Vec<RecordKey> {
        let all = (0..100_000).map(|idx| RecordKey::from_texts(&[format!("K-{idx}")]));
        all.filter(|key| key.bucket() == 7).take(count).collect()
    }

    fn last(number: u64) -> Last {
        Some((Sequence(number), Digest(u128::from(number) << 64 | 0x5eed)))
    }

    fn sums(records: &[(&RecordKey, Last)]) -> Sums {
        let mut sums = Sums::new();
        for (key, last) in records {
            let (sequence, digest) = last.unwrap();
            sums.add(key, sequence, digest);
        }
        sums
    }

    fn missing(number: u64) -> Gap {
        Gap { held: None, logged: last(number) }
    }

    #[test]
    fn a_row_deleted_by_hand_is_of_the_table() {
        let keys = keys(2);
        let same = sums(&[(&keys[0], last(1)), (&keys[1], last(2))]);
        let gaps = BTreeMap::from([(keys[0].clone(), missing(1))]);
        assert_eq!(blame(&same, &same, &gaps), Blame::default());
    }

    #[test]
    fn a_record_never_received_is_of_the_stream() {
        let keys = keys(2);
        let logged = sums(&[(&keys[0], last(1)), (&keys[1], last(2))]);
        let received = sums(&[(&keys[1], last(2))]);
        let gaps = BTreeMap::from([(keys[0].clone(), missing(1))]);
        assert_eq!(blame(&received, &logged, &gaps).stream, [keys[0].clone()].into());
    }

    #[test]
    fn in_one_bucket_the_key_that_explains_the_difference_is_of_the_stream() {
        let keys = keys(3);
        let logged = sums(&[(&keys[0], last(1)), (&keys[1], last(2)), (&keys[2], last(3))]);
        let received = sums(&[(&keys[0], last(1)), (&keys[2], last(3))]);
        let gaps = BTreeMap::from([(keys[0].clone(), missing(1)), (keys[1].clone(), missing(2))]);
        assert_eq!(blame(&received, &logged, &gaps).stream, [keys[1].clone()].into());
    }

    #[test]
    fn several_keys_can_explain_one_bucket_together() {
        let keys = keys(3);
        let logged = sums(&[(&keys[0], last(1)), (&keys[1], last(2)), (&keys[2], last(3))]);
        let received = sums(&[(&keys[1], last(20))]);
        let gaps = BTreeMap::from([
            (keys[0].clone(), missing(1)),
            (keys[1].clone(), Gap { held: last(20), logged: last(2) }),
            (keys[2].clone(), missing(3)),
        ]);
        assert_eq!(blame(&received, &logged, &gaps).stream.len(), 3);
    }

    #[test]
    fn where_nothing_explains_it_all_of_the_bucket_are_of_the_stream() {
        let keys = keys(2);
        let logged = sums(&[(&keys[0], last(1)), (&keys[1], last(2))]);
        let received = sums(&[(&keys[0], last(9)), (&keys[1], last(2))]);
        let gaps = BTreeMap::from([(keys[0].clone(), missing(1)), (keys[1].clone(), missing(2))]);
        assert_eq!(blame(&received, &logged, &gaps).stream.len(), 2);
    }

    #[test]
    fn a_row_that_vanished_and_came_back_is_left_in_the_sums() {
        let keys = keys(1);
        let logged = sums(&[(&keys[0], last(2))]);
        let received = sums(&[(&keys[0], last(1)), (&keys[0], last(2))]);
        let found = blame(&received, &logged, &BTreeMap::new());
        assert_eq!(found, Blame { residual: vec![7], ..Blame::default() });
    }
}
