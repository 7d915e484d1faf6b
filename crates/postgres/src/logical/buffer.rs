//! The rows of committed transactions that came through the stream and have not left the outbox yet. Pure.

use pgwire_replication::Lsn;
use seamline_flow::source::OutboxRow;
use std::collections::{BTreeSet, VecDeque};

/// A place in the stream: where a transaction committed, and which of its rows. Many changes have one commit, so that neither
/// alone is a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cursor {
    /// Where the transaction committed.
    pub(crate) lsn: Lsn,
    /// How many rows of it come before.
    pub(crate) idx: u64,
}

/// A row that came.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) at: Cursor,
    /// Its transaction.
    pub(crate) xid: u32,
    pub(crate) row: OutboxRow,
    /// It waits in the outbox, as others see it.
    pub(crate) sure: bool,
    /// The relay has it.
    pub(crate) handed: bool,
}

/// A transaction whose rows are coming. It is committed: version 1 of the protocol tells of no other.
#[derive(Debug, Clone, Copy)]
struct Open {
    next: Cursor,
    xid: u32,
}

/// The rows, in the order of the stream.
#[derive(Debug)]
pub(crate) struct Buffer {
    entries: VecDeque<Entry>,
    open: Option<Open>,
    /// Up to here everything came.
    seen: Lsn,
    /// What comes before it is no longer needed.
    needed: Cursor,
}

impl Buffer {
    /// Returns one for a stream that begins at a cursor.
    pub(crate) fn at(cursor: Cursor) -> Buffer {
        Buffer { entries: VecDeque::new(), open: None, seen: cursor.lsn, needed: cursor }
    }

    pub(crate) fn begin(&mut self, lsn: Lsn, xid: u32) {
        self.open = Some(Open { next: Cursor { lsn, idx: 0 }, xid });
    }

    /// Takes a row of the transaction that is open.
    ///
    /// # Panics
    /// When none is.
    pub(crate) fn push(&mut self, row: OutboxRow) {
        let open = self.open.as_mut().expect("rows come inside of transactions");
        let (at, xid) = (open.next, open.xid);
        open.next.idx += 1;
        if at >= self.needed {
            self.entries.push_back(Entry { at, xid, row, sure: false, handed: false });
        }
    }

    pub(crate) fn commit(&mut self, end: Lsn) {
        self.open = None;
        self.seen = self.seen.max(end);
    }

    /// The server sent all up to here.
    pub(crate) fn alive(&mut self, end: Lsn) {
        if self.open.is_none() {
            self.seen = self.seen.max(end);
        }
    }

    pub(crate) fn entries(&self) -> &VecDeque<Entry> {
        &self.entries
    }

    pub(crate) fn entries_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.entries.iter_mut()
    }

    /// Returns how many bytes its rows have.
    pub(crate) fn weight(&self) -> u64 {
        self.entries.iter().map(|entry| entry.row.weight()).sum()
    }

    /// Forgets rows.
    pub(crate) fn forget(&mut self, which: impl Fn(&Entry) -> bool) {
        self.entries.retain(|entry| !which(entry));
    }

    /// Returns what the stream must tell again from, after a restart, once these rows are gone.
    pub(crate) fn needed_without(&self, gone: &BTreeSet<Cursor>) -> Cursor {
        let first = self.entries.iter().map(|entry| entry.at).find(|at| !gone.contains(at));
        first.or(self.open.map(|open| open.next)).unwrap_or(Cursor { lsn: self.seen, idx: 0 })
    }

    /// Notes that nothing before a cursor is needed.
    pub(crate) fn need_from(&mut self, cursor: Cursor) {
        self.needed = self.needed.max(cursor);
    }
}
