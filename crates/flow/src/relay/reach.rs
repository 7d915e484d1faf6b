//! How much one step takes: as many rows as are small enough together. Pure.

use crate::relay::STEP_ROWS;
use crate::source::OutboxRow;

/// How many bytes of keys, states and details one step aims at, at most.
const STEP_BYTES: u64 = 4 << 20;

/// How many bytes of them are read at once, and one row more, however much larger rows are than those before.
pub(super) const READ_BYTES_MAX: u64 = 2 * STEP_BYTES;

/// Returns whether more may wait behind rows that were read up to that limit and weight.
pub(super) fn is_full(rows: &[OutboxRow], limit: usize, weight: u64) -> bool {
    rows.len() >= limit || total(rows) >= weight
}

/// Returns how many rows like these make a step: `limit` where there are none, at first no more than four times `first`.
pub(super) fn limit_after(rows: &[OutboxRow], limit: usize, first: usize) -> usize {
    let Some(each) = total(rows).checked_div(rows.len() as u64) else { return limit };
    let fit = usize::try_from(STEP_BYTES / each.max(1)).unwrap_or(STEP_ROWS).clamp(16, STEP_ROWS);
    // Never more than fourfold at once: the next rows may be larger than these.
    fit.min(rows.len().max(first) * 4)
}

fn total(rows: &[OutboxRow]) -> u64 {
    rows.iter().map(OutboxRow::weight).sum()
}
