//! Rows in the order of their bytes, in bounded memory: what does not fit waits in temporary files, sorted, and is merged.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};

/// What the rows of one side take in memory before they go to a file.
pub(crate) const MEMORY_MAX: usize = 32 << 20;

/// How many files are read at once; more are merged to one before.
const RUNS_MAX: usize = 64;

const BUFFER: usize = 64 << 10;

/// Where a row stands, and how it begins.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    begin: u128,
    at: usize,
    key: u32,
    length: u32,
}

/// Takes rows.
#[derive(Debug)]
pub(crate) struct Sorter {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    runs: Vec<File>,
    memory_max: usize,
}

impl Sorter {
    /// Begins without rows.
    pub(crate) fn new(memory_max: usize) -> Sorter {
        Sorter { bytes: Vec::new(), entries: Vec::new(), runs: Vec::new(), memory_max }
    }

    /// Takes a row, of which the first bytes are its key.
    ///
    /// # Errors
    /// When a temporary file cannot be written.
    ///
    /// # Panics
    /// With a row of four gibibytes.
    pub(crate) fn push(&mut self, row: &[u8], key: usize) -> io::Result<()> {
        let taken = self.bytes.len() + self.entries.len() * size_of::<Entry>();
        if taken + row.len() > self.memory_max && !self.entries.is_empty() {
            self.spill()?;
        }
        let length = |length: usize| u32::try_from(length).expect("a row is shorter than four gibibytes");
        let mut begin = [0; 16];
        let n_begin = row.len().min(16);
        begin[..n_begin].copy_from_slice(&row[..n_begin]);
        self.entries.push(Entry {
            begin: u128::from_be_bytes(begin),
            at: self.bytes.len(),
            key: length(key),
            length: length(row.len()),
        });
        self.bytes.extend_from_slice(row);
        Ok(())
    }

    fn sort(&mut self) {
        let bytes = &self.bytes;
        let row = |entry: &Entry| &bytes[entry.at..entry.at + entry.length as usize];
        self.entries.sort_unstable_by(|a, b| a.begin.cmp(&b.begin).then_with(|| row(a).cmp(row(b))));
    }

    fn spill(&mut self) -> io::Result<()> {
        self.sort();
        let mut file = BufWriter::with_capacity(BUFFER, tempfile::tempfile()?);
        for entry in &self.entries {
            write_row(&mut file, &self.bytes[entry.at..entry.at + entry.length as usize], entry.key)?;
        }
        self.runs.push(file.into_inner()?);
        self.bytes.clear();
        self.entries.clear();
        if self.runs.len() == RUNS_MAX {
            let mut merged = Merged::new(std::mem::take(&mut self.runs))?;
            let mut file = BufWriter::with_capacity(BUFFER, tempfile::tempfile()?);
            while let Some(head) = merged.heap.peek() {
                write_row(&mut file, &head.0.row, head.0.key)?;
                merged.advance()?;
            }
            self.runs.push(file.into_inner()?);
        }
        Ok(())
    }

    /// Ends: no more rows come.
    ///
    /// # Errors
    /// When a temporary file cannot be written or read.
    pub(crate) fn sorted(mut self) -> io::Result<Sorted> {
        if self.runs.is_empty() {
            self.sort();
            return Ok(Sorted::Memory { bytes: self.bytes, entries: self.entries, at: 0 });
        }
        if !self.entries.is_empty() {
            self.spill()?;
        }
        Ok(Sorted::Files(Merged::new(self.runs)?))
    }
}

fn write_row(file: &mut impl Write, row: &[u8], key: u32) -> io::Result<()> {
    let length = u32::try_from(row.len()).expect("it was taken as shorter");
    file.write_all(&key.to_le_bytes())?;
    file.write_all(&length.to_le_bytes())?;
    file.write_all(row)
}

/// Rows in order.
#[derive(Debug)]
pub(crate) enum Sorted {
    /// All of them fit into memory.
    Memory { bytes: Vec<u8>, entries: Vec<Entry>, at: usize },
    /// They wait in files.
    Files(Merged),
}

/// A row at the head.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head<'r> {
    /// The bytes of its key.
    pub(crate) key: &'r [u8],
    /// All its bytes, the key's first.
    pub(crate) row: &'r [u8],
}

impl Sorted {
    /// Returns the next row.
    pub(crate) fn head(&self) -> Option<Head<'_>> {
        match self {
            Sorted::Memory { bytes, entries, at } => entries.get(*at).map(|entry| {
                let row = &bytes[entry.at..entry.at + entry.length as usize];
                Head { key: &row[..entry.key as usize], row }
            }),
            Sorted::Files(merged) => merged.heap.peek().map(|head| {
                let row = &head.0.row;
                Head { key: &row[..head.0.key as usize], row }
            }),
        }
    }

    /// Goes on to the row after it.
    ///
    /// # Errors
    /// When a temporary file cannot be read.
    pub(crate) fn advance(&mut self) -> io::Result<()> {
        match self {
            Sorted::Memory { at, .. } => *at += 1,
            Sorted::Files(merged) => merged.advance()?,
        }
        Ok(())
    }
}

/// The heads of several sorted files.
#[derive(Debug)]
pub(crate) struct Merged {
    files: Vec<BufReader<File>>,
    heap: BinaryHeap<Reverse<First>>,
}

#[derive(Debug, PartialEq, Eq)]
struct First {
    row: Vec<u8>,
    key: u32,
    file: usize,
}

impl Ord for First {
    fn cmp(&self, other: &First) -> Ordering {
        self.row.cmp(&other.row)
    }
}

impl PartialOrd for First {
    fn partial_cmp(&self, other: &First) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Merged {
    fn new(runs: Vec<File>) -> io::Result<Merged> {
        let mut merged = Merged { files: Vec::new(), heap: BinaryHeap::new() };
        for (idx, mut file) in runs.into_iter().enumerate() {
            file.rewind()?;
            let mut file = BufReader::with_capacity(BUFFER, file);
            let mut first = First { row: Vec::new(), key: 0, file: idx };
            if first.fill(&mut file)? {
                merged.heap.push(Reverse(first));
            }
            merged.files.push(file);
        }
        Ok(merged)
    }

    fn advance(&mut self) -> io::Result<()> {
        let Some(mut head) = self.heap.peek_mut() else { return Ok(()) };
        let file = &mut self.files[head.0.file];
        if !head.0.fill(file)? {
            PeekMut::pop(head);
        }
        Ok(())
    }
}

impl First {
    /// Reads the next row; false at the end of the file.
    fn fill(&mut self, file: &mut impl Read) -> io::Result<bool> {
        let mut head = [0; 8];
        match file.read_exact(&mut head) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            other => other?,
        }
        let [a, b, c, d, e, f, g, h] = head;
        self.key = u32::from_le_bytes([a, b, c, d]);
        self.row.resize(u32::from_le_bytes([e, f, g, h]) as usize, 0);
        file.read_exact(&mut self.row)?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::{Entry, Sorter};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn rows_come_in_order_whatever_fits_into_memory(
            rows in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..40), 0..400),
            memory in 1_usize..20_000,
        ) {
            let mut sorter = Sorter::new(memory + size_of::<Entry>());
            for row in &rows {
                sorter.push(row, 1).unwrap();
            }
            let mut sorted = sorter.sorted().unwrap();
            let mut found = Vec::new();
            while let Some(head) = sorted.head() {
                assert_eq!(head.key, &head.row[..1]);
                found.push(head.row.to_vec());
                sorted.advance().unwrap();
            }
            let mut expected = rows;
            expected.sort();
            prop_assert_eq!(found, expected);
        }
    }
}
