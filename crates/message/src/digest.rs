//! Digests: what tells one record from another without its contract. `docs/reference/digests.md` is normative.

use crate::canonical;
use seamline_contract::value::Value;
use std::fmt;

/// The secret of a ledger epoch under which records are digested.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct DigestKey(pub [u8; 32]);

impl fmt::Debug for DigestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DigestKey(…)")
    }
}

/// The first 128 bits of a keyed hash, as a little-endian number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub u128);

impl Digest {
    /// Returns the bytes, in the order of the hash.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.to_le_bytes()
    }

    /// Returns the digest of such bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> Digest {
        Digest(u128::from_le_bytes(bytes))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What a digest is of, so that equal bytes of two kinds differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Domain {
    /// The `state` member of a state record, as sent.
    State = 1,
    /// The value of an event, as sent.
    Event = 2,
    /// A value that cannot be decoded.
    Raw = 3,
    /// A deletion; no content.
    Tombstone = 4,
    /// The columns of a row as stored.
    Written = 5,
}

/// Returns the digest of a record.
pub fn digest(key: &DigestKey, domain: Domain, record_key: &[u8], content: &[u8]) -> Digest {
    let mut hasher = blake3::Hasher::new_keyed(&key.0);
    hasher.update(&[domain as u8]);
    for part in [record_key, content] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    let hash = hasher.finalize();
    let (first, _) = hash.as_bytes().split_first_chunk::<16>().expect("a hash has 32 bytes");
    Digest::from_bytes(*first)
}

/// Returns the digest of a row's columns as stored, whatever their order: their names with their values, no-value omitted.
pub fn written(key: &DigestKey, record_key: &[u8], columns: &[(&str, &Value)]) -> Digest {
    let mut content = Vec::with_capacity(64);
    canonical::write_members(columns.to_vec(), &mut content);
    digest(key, Domain::Written, record_key, &content)
}

/// The names of columns in canonical order, for digests of many rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns {
    /// The name as canonical JSON with the colon after it, and the place of the value.
    names: Vec<(Vec<u8>, usize)>,
}

impl Columns {
    /// Returns those of some names; a value stands at the place of its name.
    pub fn of<'n>(names: impl IntoIterator<Item = &'n str>) -> Columns {
        let mut named: Vec<(usize, &str)> = names.into_iter().enumerate().collect();
        named.sort_by(|(_, one), (_, two)| canonical::order(one, two));
        let quoted = |(place, name): (usize, &str)| {
            let mut quoted = Vec::with_capacity(name.len() + 3);
            canonical::write_text(name, &mut quoted);
            quoted.push(b':');
            (quoted, place)
        };
        Columns { names: named.into_iter().map(quoted).collect() }
    }

    /// Returns the digest of a row: that of `written`.
    ///
    /// # Panics
    /// When there are fewer values than names.
    pub fn written(&self, key: &DigestKey, record_key: &[u8], values: &[Value]) -> Digest {
        let mut content = Vec::with_capacity(256);
        content.push(b'{');
        for (name, place) in &self.names {
            let value = &values[*place];
            if value.is_null() {
                continue;
            }
            if content.len() > 1 {
                content.push(b',');
            }
            content.extend_from_slice(name);
            canonical::write(value, &mut content);
        }
        content.push(b'}');
        digest(key, Domain::Written, record_key, &content)
    }
}

#[cfg(test)]
mod tests {
    use super::{Columns, Digest, DigestKey, Domain, digest, written};
    use seamline_contract::value::Value;

    const KEY: DigestKey = DigestKey([7; 32]);

    #[test]
    fn framing_tells_where_the_key_ends() {
        assert_ne!(digest(&KEY, Domain::State, b"ab", b"c"), digest(&KEY, Domain::State, b"a", b"bc"));
        assert_ne!(digest(&KEY, Domain::State, b"a", b""), digest(&KEY, Domain::Tombstone, b"a", b""));
        assert_ne!(
            digest(&KEY, Domain::State, b"a", b""),
            digest(&DigestKey([8; 32]), Domain::State, b"a", b"")
        );
    }

    #[test]
    fn columns_have_no_order_and_no_value_is_no_column() {
        let (one, two) = (Value::Integer(1), Value::String("2".into()));
        let there = written(&KEY, b"k", &[("a", &one), ("b", &two), ("c", &Value::Null)]);
        assert_eq!(there, written(&KEY, b"k", &[("b", &two), ("a", &one)]));
        assert_ne!(there, written(&KEY, b"k", &[("b", &one), ("a", &two)]));
        let columns = Columns::of(["c", "b", "a"]);
        assert_eq!(columns.written(&KEY, b"k", &[Value::Null, two.clone(), one.clone()]), there);
        assert_ne!(columns.written(&KEY, b"k", &[Value::Null, one, two]), there);
        let none = Columns::of(["c"]).written(&KEY, b"k", &[Value::Null]);
        assert_eq!(none, written(&KEY, b"k", &[]));
    }

    #[test]
    fn a_digest_prints_its_bytes_in_order_and_its_key_not_at_all() {
        let text = digest(&KEY, Domain::Raw, b"k", b"v").to_string();
        assert_eq!(text.len(), 32);
        assert_eq!(Digest::from_bytes(*b"0123456789abcdef").to_string(), "30313233343536373839616263646566");
        assert_eq!(format!("{KEY:?}"), "DigestKey(…)");
    }
}
