//! Sums: an additive fingerprint of a set of records, in 64 buckets by key. Order-free, and what was added can be taken away.

use crate::digest::Digest;
use crate::key::{BUCKETS, RecordKey};
use crate::mutant::{self, Mutant};
use crate::sequence::Sequence;

/// The version of the stored form.
const VERSION: u8 = 1;

/// The bytes of one bucket in the stored form.
const BUCKET_BYTES: usize = 32;

/// The sums of one bucket; all of them wrap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BucketSum {
    /// How many records.
    pub count: u64,
    /// The sum of their digests.
    pub digests: u128,
    /// The sum of their sequences.
    pub sequences: u64,
}

impl BucketSum {
    fn plus(self, other: BucketSum) -> BucketSum {
        BucketSum {
            count: self.count.wrapping_add(other.count),
            digests: combine(self.digests, other.digests, u128::wrapping_add),
            sequences: self.sequences.wrapping_add(other.sequences),
        }
    }

    fn less(self, other: BucketSum) -> BucketSum {
        BucketSum {
            count: self.count.wrapping_sub(other.count),
            digests: combine(self.digests, other.digests, u128::wrapping_sub),
            sequences: self.sequences.wrapping_sub(other.sequences),
        }
    }
}

fn combine(one: u128, two: u128, right: fn(u128, u128) -> u128) -> u128 {
    if mutant::is(Mutant::XorForSum) { one ^ two } else { right(one, two) }
}

/// The sums of a set of records. Keys that are deleted are not in the set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sums {
    /// By `RecordKey::bucket`.
    pub buckets: [BucketSum; BUCKETS],
}

impl Default for Sums {
    fn default() -> Self {
        Sums::new()
    }
}

/// Bytes that are no sums of a version known here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotSums {
    /// There are none.
    #[error("sums without a version")]
    Empty,
    /// A version that is not known here.
    #[error("sums of version {0}, which is not known here")]
    Version(u8),
    /// Not as many bytes as the version has.
    #[error("sums of {0} bytes")]
    Length(usize),
}

impl Sums {
    /// Returns the sums of no records.
    pub fn new() -> Sums {
        Sums { buckets: [BucketSum::default(); BUCKETS] }
    }

    /// Adds a record.
    pub fn add(&mut self, key: &RecordKey, sequence: Sequence, digest: Digest) {
        let bucket = &mut self.buckets[key.bucket()];
        *bucket = bucket.plus(BucketSum { count: 1, digests: digest.0, sequences: sequence.0 });
    }

    /// Takes a record away that was added.
    pub fn subtract(&mut self, key: &RecordKey, sequence: Sequence, digest: Digest) {
        let bucket = &mut self.buckets[key.bucket()];
        *bucket = bucket.less(BucketSum { count: 1, digests: digest.0, sequences: sequence.0 });
    }

    /// Puts a record of a key in place of another; where there is none, none is added or taken away. Returns the bucket that
    /// changed, and what it was.
    pub fn replace(
        &mut self,
        key: &RecordKey,
        before: Option<(Sequence, Digest)>,
        after: Option<(Sequence, Digest)>,
    ) -> Option<(usize, BucketSum)> {
        if before == after {
            return None;
        }
        let one = |(sequence, digest): (Sequence, Digest)| BucketSum {
            count: 1,
            digests: digest.0,
            sequences: sequence.0,
        };
        let place = key.bucket();
        let bucket = &mut self.buckets[place];
        let was = *bucket;
        if let Some(before) = before {
            *bucket = bucket.less(one(before));
        }
        if let Some(after) = after {
            *bucket = bucket.plus(one(after));
        }
        Some((place, was))
    }

    /// Adds another set.
    pub fn merge(&mut self, other: &Sums) {
        for (bucket, more) in self.buckets.iter_mut().zip(&other.buckets) {
            *bucket = bucket.plus(*more);
        }
    }

    /// Returns what is left when another set is taken away; all zeros when they are the same.
    #[must_use]
    pub fn minus(&self, other: &Sums) -> Sums {
        let mut left = self.clone();
        for (bucket, less) in left.buckets.iter_mut().zip(&other.buckets) {
            *bucket = bucket.less(*less);
        }
        left
    }

    /// Returns the sums over all buckets.
    pub fn total(&self) -> BucketSum {
        self.buckets.iter().fold(BucketSum::default(), |total, bucket| total.plus(*bucket))
    }

    /// Returns the stored form: a version, then count, digests and sequences of each bucket, little-endian.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(1 + BUCKETS * BUCKET_BYTES);
        bytes.push(VERSION);
        for bucket in &self.buckets {
            bytes.extend_from_slice(&bucket.count.to_le_bytes());
            bytes.extend_from_slice(&bucket.digests.to_le_bytes());
            bytes.extend_from_slice(&bucket.sequences.to_le_bytes());
        }
        bytes
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// When the bytes are of no version that is known here, or not as many as it has.
    pub fn from_bytes(bytes: &[u8]) -> Result<Sums, NotSums> {
        let (version, rest) = bytes.split_first().ok_or(NotSums::Empty)?;
        if *version != VERSION {
            return Err(NotSums::Version(*version));
        }
        let (chunks, left) = rest.as_chunks::<BUCKET_BYTES>();
        if chunks.len() != BUCKETS || !left.is_empty() {
            return Err(NotSums::Length(bytes.len()));
        }
        let mut sums = Sums::new();
        for (bucket, chunk) in sums.buckets.iter_mut().zip(chunks) {
            let part = |from: usize| chunk[from..].first_chunk().copied().expect("a chunk holds all parts");
            bucket.count = u64::from_le_bytes(part(0));
            bucket.sequences = u64::from_le_bytes(part(24));
            let digests = chunk[8..].first_chunk().copied().expect("a chunk holds all parts");
            bucket.digests = u128::from_le_bytes(digests);
        }
        Ok(sums)
    }
}
