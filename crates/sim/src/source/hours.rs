//! Rows of the simulated outbox that are put off until their hour.

use super::{Database, place};
use jiff::Timestamp;
use seamline_contract::id::ContractId;
use seamline_flow::source::OutboxRow;
use seamline_message::sequence::Sequence;

impl Database {
    pub(super) fn due(&self, contract: &ContractId, until: Timestamp, limit: usize) -> Vec<OutboxRow> {
        let is_held_up = |row: &OutboxRow| {
            let before = |other: &&OutboxRow| other.key == row.key && place(other) < place(row);
            self.deferred.values().filter(before).any(|other| other.written_at > until)
                || self.outbox.values().any(|other| before(&other))
        };
        let is_due =
            |row: &&OutboxRow| row.contract == *contract && row.written_at <= until && !is_held_up(row);
        let mut rows: Vec<OutboxRow> = self.deferred.values().filter(is_due).cloned().collect();
        rows.sort_by_key(|row| (row.key.clone(), place(row)));
        rows.truncate(limit);
        self.behind(rows)
    }

    /// Takes a row that waits, also for its hour.
    pub(super) fn take(&mut self, sequence: Sequence) -> Option<OutboxRow> {
        self.outbox.remove(&sequence).or_else(|| self.deferred.remove(&sequence))
    }
}
