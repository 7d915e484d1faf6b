//! What a comparison found: each difference, and the outcome of the whole.

use crate::shown::{Looks, Value};
use std::collections::BTreeMap;

/// What is different about a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// A row on the left, none on the right.
    OnlyLeft,
    /// A row on the right, none on the left.
    OnlyRight,
    /// A row on both sides, with other values.
    Different,
    /// Several rows on a side, and not the same on both.
    Duplicate,
}

impl What {
    /// All of them.
    pub const ALL: [What; 4] = [What::OnlyLeft, What::OnlyRight, What::Different, What::Duplicate];

    /// Returns its name for programs.
    pub fn name(self) -> &'static str {
        match self {
            What::OnlyLeft => "only-left",
            What::OnlyRight => "only-right",
            What::Different => "different",
            What::Duplicate => "duplicate",
        }
    }
}

/// A value that differs.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// The column's name on the left.
    pub column: String,
    /// On the left.
    pub left: Value,
    /// On the right.
    pub right: Value,
    /// What the two look like beside each other.
    pub looks: Option<Looks>,
}

/// A key about which the sides differ.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// What is different.
    pub what: What,
    /// The values of the key.
    pub key: Vec<Value>,
    /// The values that differ, where one row stands on each side; in the order of columns.
    pub fields: Vec<Field>,
    /// How many rows the left has of the key.
    pub left_rows: u64,
    /// How many rows the right has of the key.
    pub right_rows: u64,
}

/// How the sides were compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// By digests computed where the rows are, then the rows of the buckets that differ.
    Digests,
    /// By all rows of both sides.
    Rows,
}

/// What is known of a column's differences.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// In how many rows it differs.
    pub rows: u64,
    /// What so many of them look like.
    pub looks: BTreeMap<Looks, u64>,
}

/// How a comparison ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conclusion {
    /// All of both was seen and is the same.
    Equal,
    /// Something differs.
    Different,
    /// Nothing differs for certain, and not all was seen or stood still.
    Inconclusive,
}

/// The whole of a comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// How it was done.
    pub how: How,
    /// Rows of the left, of the right; with `--sample` of those that were looked at.
    pub rows: [u64; 2],
    /// Keys that differ, by what.
    pub found: BTreeMap<What, u64>,
    /// The columns that differ, by their name on the left.
    pub columns: BTreeMap<String, Tally>,
    /// Keys that differed when they were first read and are the same now.
    pub settled: u64,
    /// Keys that still changed when the time was over.
    pub unsettled: u64,
    /// How many rows there are of each value of the columns that were to be counted by, on the left and on the right.
    pub counts: BTreeMap<String, [u64; 2]>,
    /// What else to know.
    pub notes: Vec<String>,
    /// Why nobody can say that the sides are equal.
    pub reasons: Vec<String>,
}

impl Outcome {
    /// Returns how many keys differ.
    pub fn differences(&self) -> u64 {
        self.found.values().sum()
    }

    /// Returns how it ends.
    pub fn conclusion(&self) -> Conclusion {
        if self.differences() > 0 {
            Conclusion::Different
        } else if self.reasons.is_empty() {
            Conclusion::Equal
        } else {
            Conclusion::Inconclusive
        }
    }

    /// Adds a difference.
    pub(crate) fn add(&mut self, difference: &Difference) {
        *self.found.entry(difference.what).or_default() += 1;
        for field in &difference.fields {
            let tally = self.columns.entry(field.column.clone()).or_default();
            tally.rows += 1;
            if let Some(looks) = field.looks {
                *tally.looks.entry(looks).or_default() += 1;
            }
        }
    }
}
