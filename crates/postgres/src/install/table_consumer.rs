//! The tables that producers and consumers share, and those that a consumer has beside.

use super::table::Table;

/// What producers and consumers have: cases and ledgers.
pub(crate) const SHARED: &[Table] = &[];

/// What a consumer has beside.
pub(crate) const CONSUMER: &[Table] = &[];
