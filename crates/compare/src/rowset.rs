//! The port: a row set as whoever holds it hands it over, always read-only.

use crate::cell::Cell;
use crate::kind::{Declared, Kind};
use crate::shown::Value;
use std::collections::BTreeMap;

/// Why a side cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// What was asked for is not there, or not of this form.
    #[error("{message}")]
    Usage {
        /// What is wrong.
        message: String,
        /// What to do next.
        help: String,
    },
    /// It does not answer, or refuses.
    #[error("{message}")]
    Unreachable {
        /// What is wrong.
        message: String,
        /// What to do next.
        help: String,
    },
}

impl ReadError {
    /// Returns what to do next.
    pub fn help(&self) -> &str {
        match self {
            ReadError::Usage { help, .. } | ReadError::Unreachable { help, .. } => help,
        }
    }
}

/// A column of a side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name there.
    pub name: String,
    /// What its values are.
    pub declared: Declared,
    /// Its type as its system names it.
    pub native: String,
}

/// What a side says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// In their order there.
    pub columns: Vec<Column>,
    /// The columns that it guarantees to be unique and to have values; empty: it guarantees none.
    pub key: Vec<String>,
    /// About how many rows there are.
    pub rows: Option<u64>,
    /// Sides with the same engine can compute digests that compare.
    pub engine: Option<String>,
    /// The first and the last of its key, where that is one whole number by which it finds rows fast.
    pub bounds: Option<Bounds>,
}

/// The first and the last of whole numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bounds {
    /// The column of the numbers.
    pub column: String,
    /// The least.
    pub first: i64,
    /// The greatest.
    pub last: i64,
}

/// How rows fall into buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Buckets {
    /// By the hash of their key.
    Hashed,
    /// By the range in which their key is, a whole number: `width` of them from `first` on are the first bucket, and so on. What is before
    /// is in the first bucket, what is behind in the last.
    Ranges {
        /// The first number of the first bucket.
        first: i64,
        /// How many numbers a bucket has, at least one.
        width: i64,
    },
}

/// A column of which digests are computed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DigestColumn {
    /// Its name on this side.
    pub name: String,
    /// As what it is compared.
    pub kind: Kind,
    /// Its type has the same name on both sides.
    pub is_same: bool,
}

/// Which digests are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DigestAsk {
    /// The columns, those of the key first, in one order for both sides.
    pub columns: Vec<DigestColumn>,
    /// How many of them are the key.
    pub n_key: usize,
    /// How rows fall into buckets.
    pub by: Buckets,
    /// Into how many: a power of two.
    pub buckets: u32,
    /// Only buckets below this one are read.
    pub below: u32,
    /// By which rows are hashed, chosen anew for each run.
    pub seed: i64,
}

/// The digest of a bucket: equal ones mean equal rows, but for a chance of one in 2⁶⁴.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Digest {
    /// How many rows.
    pub rows: u64,
    /// The sum of the hashes of its rows.
    pub sum: i128,
}

/// Which rows are asked for.
#[derive(Debug, Clone, PartialEq)]
pub enum Only {
    /// All.
    All,
    /// Those of some buckets.
    Buckets(DigestAsk, Vec<u32>),
    /// Those with these keys, which have the kinds beside them. A side may hand over others, too.
    Keys(Vec<Kind>, Vec<Vec<Value>>),
}

/// Takes a row: as many cells as columns were asked for.
pub type Sink<'s> = dyn FnMut(&[Cell<'_>]) -> Result<(), ReadError> + 's;

/// A row set. Calls may take long; each reads one state of it where its system has such a thing.
pub trait RowSet: Send {
    /// Returns what it is called in messages: no secret is in it.
    fn name(&self) -> &str;

    /// Describes it.
    ///
    /// # Errors
    /// When it is not there, or cannot be reached.
    fn describe(&mut self) -> Result<Described, ReadError>;

    /// Returns the digests of all buckets that have rows; none when it can compute none of these columns.
    ///
    /// # Errors
    /// When it cannot be reached.
    fn digests(&mut self, ask: &DigestAsk) -> Result<Option<BTreeMap<u32, Digest>>, ReadError>;

    /// Hands over rows in any order.
    ///
    /// # Errors
    /// When it cannot be reached, and what the sink returns.
    fn read(&mut self, columns: &[String], only: &Only, sink: &mut Sink<'_>) -> Result<(), ReadError>;

    /// Returns what happened to it as a whole since it was described, that no state of it explains: truncated, replaced.
    ///
    /// # Errors
    /// When it cannot be reached.
    fn upset(&mut self) -> Result<Option<String>, ReadError>;
}
