//! Two sorted sides held against each other, key by key: one pass, one row of each in memory.

use crate::difference::What;
use crate::sort::Sorted;
use std::cmp::Ordering;
use std::io;

/// A key about which the sides differ, as bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// The bytes of the key.
    pub(crate) key: Vec<u8>,
    /// The first row of the left that the right has not.
    pub(crate) left: Option<Vec<u8>>,
    /// The first row of the right that the left has not.
    pub(crate) right: Option<Vec<u8>>,
    /// How many rows of the key are on the left, on the right.
    pub(crate) rows: [u64; 2],
}

impl Found {
    /// Returns what is different.
    pub(crate) fn what(&self) -> What {
        match self.rows {
            [1, 0] => What::OnlyLeft,
            [0, 1] => What::OnlyRight,
            [1, 1] => What::Different,
            _ => What::Duplicate,
        }
    }

    /// Returns the digest of what stands on both sides.
    pub(crate) fn fingerprint(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        for row in [&self.left, &self.right] {
            let row = row.as_deref();
            hasher.update(&row.map_or(0, |row| row.len() as u64 + 1).to_le_bytes());
            hasher.update(row.unwrap_or_default());
        }
        self.rows.iter().for_each(|rows| {
            hasher.update(&rows.to_le_bytes());
        });
        hasher.finalize().into()
    }
}

/// Hands over the keys about which the sides differ, in their order. Rows that stand on both sides equally often are the same,
/// also where they share their key.
///
/// # Errors
/// When a temporary file cannot be read, and what `found` returns.
pub(crate) fn merge<E: From<io::Error>>(
    left: &mut Sorted,
    right: &mut Sorted,
    found: &mut dyn FnMut(Found) -> Result<(), E>,
) -> Result<(), E> {
    let mut key = Vec::new();
    loop {
        let next = match (left.head(), right.head()) {
            (None, None) => return Ok(()),
            (Some(head), None) | (None, Some(head)) => head.key,
            (Some(left), Some(right)) => left.key.min(right.key),
        };
        key.clear();
        key.extend_from_slice(next);
        if let Some(difference) = group(&key, left, right)? {
            found(difference)?;
        }
    }
}

/// Goes past all rows of a key.
fn group(key: &[u8], left: &mut Sorted, right: &mut Sorted) -> io::Result<Option<Found>> {
    let mut found = Found::default();
    loop {
        let one = left.head().filter(|head| head.key == key).map(|head| head.row);
        let two = right.head().filter(|head| head.key == key).map(|head| head.row);
        let order = match (one, two) {
            (None, None) => break,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(one), Some(two)) => one.cmp(two),
        };
        if order == Ordering::Less && found.left.is_none() {
            found.left = one.map(<[u8]>::to_vec);
        }
        if order == Ordering::Greater && found.right.is_none() {
            found.right = two.map(<[u8]>::to_vec);
        }
        if order.is_le() {
            found.rows[0] += 1;
            left.advance()?;
        }
        if order.is_ge() {
            found.rows[1] += 1;
            right.advance()?;
        }
    }
    if found.left.is_none() && found.right.is_none() {
        return Ok(None);
    }
    found.key = key.to_vec();
    Ok(Some(found))
}

#[cfg(test)]
mod tests {
    use super::{Found, merge};
    use crate::difference::What;
    use crate::sort::{Sorted, Sorter};

    fn sorted(rows: &[&str]) -> Sorted {
        let mut sorter = Sorter::new(1 << 20);
        rows.iter().for_each(|row| sorter.push(row.as_bytes(), 1).unwrap());
        sorter.sorted().unwrap()
    }

    fn check(left: &[&str], right: &[&str], expected: &[(&str, What)]) {
        let mut found: Vec<Found> = Vec::new();
        let mut take = |difference| {
            found.push(difference);
            Ok::<(), std::io::Error>(())
        };
        merge(&mut sorted(left), &mut sorted(right), &mut take).unwrap();
        let found: Vec<(&str, What)> =
            found.iter().map(|it| (std::str::from_utf8(&it.key).unwrap(), it.what())).collect();
        assert_eq!(found, expected, "{left:?} and {right:?}");
    }

    #[test]
    fn each_key_is_one_difference_of_one_kind() {
        check(&["a1", "b1"], &["b1", "a1"], &[]);
        check(&["a1", "b1"], &["a1"], &[("b", What::OnlyLeft)]);
        check(&[], &["a1"], &[("a", What::OnlyRight)]);
        check(&["a1", "b2"], &["a2", "b1"], &[("a", What::Different), ("b", What::Different)]);
        check(&["a1", "a1"], &["a1", "a1"], &[]);
        check(&["a1", "a2"], &["a2", "a1"], &[]);
        check(&["a1", "a1"], &["a1"], &[("a", What::Duplicate)]);
        check(&["a1", "a2"], &["a1", "a3"], &[("a", What::Duplicate)]);
        check(&["a1", "a2"], &[], &[("a", What::Duplicate)]);
    }
}
