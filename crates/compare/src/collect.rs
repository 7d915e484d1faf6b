//! The rows of both sides, read at once and brought into one order.

use crate::encode::{Rule, write};
use crate::plan::{Hand, Plan};
use crate::rowset::{Only, ReadError, RowSet};
use crate::sort::{MEMORY_MAX, Sorted, Sorter};
use std::collections::BTreeSet;
use std::io;

/// Two sides.
pub(crate) struct Sides<'s> {
    /// The left.
    pub(crate) left: &'s mut dyn RowSet,
    /// The right.
    pub(crate) right: &'s mut dyn RowSet,
}

/// Why a side failed, and which.
#[derive(Debug)]
pub(crate) struct SideError(pub(crate) Hand, pub(crate) ReadError);

impl Sides<'_> {
    /// Does the same with both sides at once.
    ///
    /// # Errors
    /// The left's before the right's.
    ///
    /// # Panics
    /// When the work does.
    pub(crate) fn both<T: Send>(
        &mut self,
        work: impl Fn(Hand, &mut dyn RowSet) -> Result<T, ReadError> + Sync,
    ) -> Result<[T; 2], SideError> {
        let (left, right) = (&mut *self.left, &mut *self.right);
        let work = &work;
        let (left, right) = std::thread::scope(|scope| {
            let right = scope.spawn(move || work(Hand::Right, right));
            let left = work(Hand::Left, left);
            (left, right.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        });
        let left = left.map_err(|error| SideError(Hand::Left, error))?;
        Ok([left, right.map_err(|error| SideError(Hand::Right, error))?])
    }
}

/// Which keys are taken of those that a side hands over.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Take<'t> {
    /// All.
    All,
    /// A share of them, by hash: the same ones on both sides.
    Share(f64),
    /// These.
    These(&'t BTreeSet<Vec<u8>>),
}

impl Take<'_> {
    fn takes(&self, key: &[u8]) -> bool {
        match self {
            Take::All => true,
            Take::Share(share) => {
                let hash: [u8; 32] = blake3::hash(key).into();
                let (first, _) = hash.split_first_chunk().expect("a hash has eight bytes");
                // 53 bits are enough for a share.
                ((u64::from_le_bytes(*first) >> 11) as f64) < share * (1_u64 << 53) as f64
            }
            Take::These(keys) => keys.contains(key),
        }
    }
}

/// What was read of a side.
#[derive(Debug)]
pub(crate) struct Collected {
    /// Its rows by key.
    pub(crate) sorted: Sorted,
    /// How many.
    pub(crate) rows: u64,
    /// How many of them lack a value in their key.
    pub(crate) rows_without_key: u64,
    /// In how many rows the value of each column was none of its kind.
    pub(crate) unread: Vec<u64>,
}

/// Reads a side.
///
/// # Errors
/// When it cannot be read, or a temporary file cannot be written.
pub(crate) fn collect(
    side: &mut dyn RowSet,
    columns: &[String],
    plan: &Plan,
    only: &Only,
    take: Take<'_>,
) -> Result<Collected, ReadError> {
    let rules: Vec<&Rule> = plan.rules().collect();
    let mut sorter = Sorter::new(MEMORY_MAX);
    let mut row = Vec::new();
    let (mut rows, mut rows_without_key) = (0, 0);
    let mut unread = vec![0; rules.len()];
    side.read(columns, only, &mut |cells| {
        row.clear();
        let mut has_key = true;
        for (at, rule) in rules[..plan.n_key].iter().enumerate() {
            let begin = row.len();
            unread[at] += u64::from(!write(&cells[at], rule, &mut row));
            has_key &= row[begin] != crate::encode::NULL;
        }
        let key = row.len();
        if !take.takes(&row) {
            return Ok(());
        }
        for (at, rule) in rules.iter().enumerate().skip(plan.n_key) {
            unread[at] += u64::from(!write(&cells[at], rule, &mut row));
        }
        rows += 1;
        rows_without_key += u64::from(!has_key);
        sorter.push(&row, key).map_err(no_room)
    })?;
    Ok(Collected { sorted: sorter.sorted().map_err(no_room)?, rows, rows_without_key, unread })
}

/// Returns the failure of a temporary file.
pub(crate) fn no_room(error: io::Error) -> ReadError {
    ReadError::Unreachable {
        message: format!("a temporary file cannot be used: {error}"),
        help: "make room, or name a folder with more of it in `TMPDIR`; nothing else was written".to_owned(),
    }
}
