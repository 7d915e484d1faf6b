//! Record keys: the canonical text of a key, its bucket, and the partition that Kafka's clients put it in.

use crate::canonical;
use crate::json::Reader;
use crate::mutant::{self, Mutant};
use crate::violation::{Rule, Violation};
use std::borrow::Cow;
use std::fmt;

/// How many buckets sums have.
pub const BUCKETS: usize = 64;

/// How many bytes the text of a key may have: with more, a B-tree of PostgreSQL could not hold it beside a name.
pub const KEY_BYTES_MAX: usize = 1024;

/// The canonical text of a key: the JSON array of the canonical texts of its values, `["P-00000001"]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordKey(String);

impl RecordKey {
    /// Returns the key of some canonical texts, in the order of the key.
    pub fn from_texts(texts: &[String]) -> RecordKey {
        RecordKey(array_of(texts.iter().map(String::as_str)))
    }

    /// Reads a key.
    ///
    /// # Errors
    /// KEY, when the bytes are not the canonical text of a key.
    pub fn parse(bytes: &[u8]) -> Result<RecordKey, Violation> {
        RecordKey::parse_with_texts(bytes).map(|(key, _)| key)
    }

    /// Reads a key, and the canonical texts of its values.
    pub(crate) fn parse_with_texts(bytes: &[u8]) -> Result<(RecordKey, Vec<Cow<'_, str>>), Violation> {
        if bytes.len() > KEY_BYTES_MAX {
            return Err(Violation::new(Rule::Key, "key", "longer than 1024 bytes"));
        }
        let wrong = || {
            Violation::new(Rule::Key, "key", "not a JSON array of texts in canonical form, without U+0000")
        };
        let text = std::str::from_utf8(bytes).map_err(|_| wrong())?;
        let mut texts = Vec::new();
        let mut reader = Reader::new(text);
        reader.texts(|text| texts.push(text)).and_then(|()| reader.end()).map_err(|_| wrong())?;
        let storable = !texts.is_empty() && texts.iter().all(|text| !text.contains('\0'));
        if storable && is_canonical(text, &texts) {
            Ok((RecordKey(text.to_owned()), texts))
        } else {
            Err(wrong())
        }
    }

    /// Returns the canonical texts of the values, in the order of the key.
    pub fn texts(&self) -> Vec<String> {
        let mut texts = Vec::new();
        let read = Reader::new(&self.0).texts(|text| texts.push(text.into_owned()));
        read.expect("a record key is an array of texts");
        texts
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the bytes of the text: the key of the record in the log.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Returns a hash of the text, the same everywhere and for ever.
    pub fn hash(&self) -> [u8; 32] {
        *blake3::hash(self.as_bytes()).as_bytes()
    }

    /// Returns the bucket of sums that the key belongs to, below `BUCKETS`.
    pub fn bucket(&self) -> usize {
        usize::from(self.hash()[0] & 63)
    }
}

impl fmt::Display for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Returns whether a JSON array of some texts is written in the only way.
fn is_canonical(text: &str, texts: &[Cow<'_, str>]) -> bool {
    // What needs no escape is written as it is: only white space can be too much.
    if texts.iter().all(|text| matches!(text, Cow::Borrowed(_))) {
        let plain: usize = texts.iter().map(|text| text.len() + "\"\",".len()).sum();
        return text.len() == plain + "[]".len() - ",".len();
    }
    array_of(texts.iter().map(AsRef::as_ref)) == text
}

/// Returns the JSON array of some texts.
fn array_of<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    let mut bytes = vec![b'['];
    for (idx, text) in texts.enumerate() {
        if idx > 0 {
            bytes.push(b',');
        }
        canonical::write_text(text, &mut bytes);
    }
    bytes.push(b']');
    String::from_utf8(bytes).expect("texts are UTF-8")
}

/// Returns Kafka's hash of a record key: MurmurHash2, 32 bits, seed 0x9747b28c, as Kafka's clients compute it.
pub fn murmur2(bytes: &[u8]) -> u32 {
    const FACTOR: u32 = 0x5bd1_e995;
    const SEED: u32 = 0x9747_b28c;
    let length = u32::try_from(bytes.len()).expect("a record key is shorter than 4 GiB");
    let mut hash = SEED ^ length;
    let (words, tail) = bytes.as_chunks::<4>();
    for word in words {
        let mut mixed = u32::from_le_bytes(*word).wrapping_mul(FACTOR);
        mixed ^= mixed >> 24;
        hash = hash.wrapping_mul(FACTOR) ^ mixed.wrapping_mul(FACTOR);
    }
    if !tail.is_empty() {
        for (idx, byte) in tail.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * idx);
        }
        hash = hash.wrapping_mul(FACTOR);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(FACTOR);
    hash ^ (hash >> 15)
}

/// Returns the partition of a record key, as Kafka's default partitioner for Java chooses it.
///
/// # Panics
/// When there are no partitions.
pub fn partition(bytes: &[u8], partitions: u32) -> u32 {
    let hash = murmur2(bytes) & 0x7fff_ffff;
    if mutant::is(Mutant::PartitionOfAnother) {
        return (hash + 1) % partitions;
    }
    hash % partitions
}

#[cfg(test)]
mod tests {
    use super::{KEY_BYTES_MAX, RecordKey, murmur2, partition};

    #[test]
    fn murmur2_hashes_as_kafka_does() {
        for (text, hash) in [
            ("21", -973_932_308_i32),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(text.as_bytes()).cast_signed(), hash, "{text}");
        }
        assert_eq!(partition(b"21", 12), ((-973_932_308_i32).cast_unsigned() & 0x7fff_ffff) % 12);
    }

    #[test]
    fn a_key_reads_as_it_was_written() {
        for texts in [vec!["P-00000001"], vec!["", "a\"b\\c\n\u{1}\u{7f}é\u{1f600}"], vec!["1", "2"]] {
            let texts: Vec<String> = texts.into_iter().map(ToOwned::to_owned).collect();
            let key = RecordKey::from_texts(&texts);
            assert_eq!(key.texts(), texts);
            assert_eq!(RecordKey::parse(key.as_bytes()).unwrap(), key);
            assert!(key.bucket() < 64);
        }
    }

    #[test]
    fn a_key_that_is_not_canonical_is_refused() {
        let long = format!("[\"{}\"]", "a".repeat(KEY_BYTES_MAX - 4));
        assert!(RecordKey::parse(long.as_bytes()).is_ok());
        let longer = format!("[\"{}\"]", "a".repeat(KEY_BYTES_MAX - 3));
        assert!(RecordKey::parse(longer.as_bytes()).is_err());
        let other: [&[u8]; 13] = [
            b"",
            b"[]",
            b"[\"a\" ]",
            b" [\"a\"]",
            b"[\"a\"] ",
            b"[\"\\u0061\"]",
            b"[1]",
            b"\"a\"",
            b"[\"a\",]",
            b"[\"\xff\"]",
            b"[\"a\\/b\"]",
            b"[\"a\",null]",
            b"[\"a\\u0000\"]",
        ];
        for bytes in other {
            assert!(RecordKey::parse(bytes).is_err(), "{}", String::from_utf8_lossy(bytes));
        }
    }
}
