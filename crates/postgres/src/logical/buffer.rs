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
    /// How many bytes their rows have.
    weight: u64,
    open: Option<Open>,
    /// Up to here everything came.
    seen: Lsn,
    /// What comes before it is no longer needed.
    needed: Cursor,
}

impl Buffer {
    /// Returns one for a stream that begins at a cursor.
    pub(crate) fn at(cursor: Cursor) -> Buffer {
        Buffer { entries: VecDeque::new(), weight: 0, open: None, seen: cursor.lsn, needed: cursor }
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
            self.weight += row.weight();
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
        self.weight
    }

    /// Forgets rows.
    pub(crate) fn forget(&mut self, which: impl Fn(&Entry) -> bool) {
        self.entries.retain(|entry| {
            let stays = !which(entry);
            self.weight -= if stays { 0 } else { entry.row.weight() };
            stays
        });
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

#[cfg(test)]
mod tests {
    use super::{Buffer, Cursor};
    use jiff::Timestamp;
    use pgwire_replication::Lsn;
    use seamline_flow::source::{Act, OutboxRow};
    use seamline_message::sequence::Sequence;
    use std::collections::{BTreeMap, BTreeSet};

    fn row(sequence: u64) -> OutboxRow {
        OutboxRow {
            sequence: Sequence(sequence),
            contract: "thing".parse().unwrap(),
            version: "1.0.0".parse().unwrap(),
            key: format!("[\"{sequence}\"]"),
            act: Act::State,
            state: None,
            moved: None,
            previous: BTreeMap::new(),
            written_at: Timestamp::UNIX_EPOCH,
            correlation: None,
            causation: None,
            traceparent: None,
            behind: false,
        }
    }

    fn at(lsn: u64, idx: u64) -> Cursor {
        Cursor { lsn: Lsn(lsn), idx }
    }

    /// A transaction at 10 with three rows, and one at 20 with a row that is still open.
    fn buffer(from: Cursor) -> Buffer {
        let mut buffer = Buffer::at(from);
        buffer.begin(Lsn(10), 1);
        (1..=3).for_each(|sequence| buffer.push(row(sequence)));
        buffer.commit(Lsn(12));
        buffer.begin(Lsn(20), 2);
        buffer.push(row(4));
        buffer
    }

    fn places(buffer: &Buffer) -> Vec<Cursor> {
        buffer.entries().iter().map(|entry| entry.at).collect()
    }

    #[test]
    fn many_rows_of_one_commit_have_each_a_place() {
        let buffer = buffer(at(0, 0));
        assert_eq!(places(&buffer), [at(10, 0), at(10, 1), at(10, 2), at(20, 0)]);
        assert_eq!(places(&self::buffer(at(10, 2))), [at(10, 2), at(20, 0)], "it goes on in their midst");
        assert_eq!(buffer.weight(), 4 * 5);
    }

    #[test]
    fn what_is_needed_begins_at_the_first_row_that_has_not_left() {
        let mut buffer = buffer(at(0, 0));
        let needed = |buffer: &Buffer, gone: &[Cursor]| {
            buffer.needed_without(&gone.iter().copied().collect::<BTreeSet<_>>())
        };
        assert_eq!(needed(&buffer, &[]), at(10, 0));
        assert_eq!(needed(&buffer, &[at(10, 0)]), at(10, 1), "the rest of its transaction is needed");
        assert_eq!(needed(&buffer, &[at(10, 1), at(20, 0)]), at(10, 0), "one before it stays");
        let first = [at(10, 0), at(10, 1), at(10, 2)];
        assert_eq!(needed(&buffer, &first), at(20, 0));
        let all = [first.as_slice(), &[at(20, 0)]].concat();
        assert_eq!(needed(&buffer, &all), at(20, 1), "more of the open transaction may come");
        buffer.alive(Lsn(30));
        assert_eq!(needed(&buffer, &all), at(20, 1), "whatever the server says meanwhile");
        buffer.commit(Lsn(22));
        assert_eq!(needed(&buffer, &all), at(22, 0));
        buffer.alive(Lsn(30));
        assert_eq!(needed(&buffer, &all), at(30, 0), "an idle outbox needs nothing");
        buffer.forget(|entry| all.contains(&entry.at));
        assert_eq!((places(&buffer), buffer.weight()), (Vec::new(), 0));
    }
}
