//! Rows in memory as a side: with digests that are right, or wrong in one of the ways that others were.

use seamline_compare::cell::Cell;
use seamline_compare::difference::{Difference, Outcome};
use seamline_compare::kind::{Declared, Kind};
use seamline_compare::plan::{Ask, Plan};
use seamline_compare::rowset::{
    Bounds, Buckets, Column, Described, Digest, DigestAsk, Only, ReadError, RowSet, Sink,
};
use seamline_compare::run::{Report, compare};
use std::collections::BTreeMap;

/// A key, a number, a text.
pub(crate) type Row = (i64, Option<i64>, Option<String>);

/// How digests of a bucket are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Digests {
    /// None are.
    None,
    /// The sum of a hash of each whole row.
    Right,
    /// By exclusive or: the same change twice cancels.
    Xor,
    /// A hash of each column, added up: values swapped between rows cancel.
    ByColumn,
    /// The texts of a row behind one another without an end.
    Unframed,
}

/// A side in memory. Each reading shows the next of its states, the last one for ever.
#[derive(Debug, Clone)]
pub(crate) struct Memory {
    pub(crate) states: Vec<Vec<Row>>,
    pub(crate) digests: Digests,
    pub(crate) upset: Option<String>,
    /// Its digests are of ranges of keys.
    pub(crate) has_bounds: bool,
    at: usize,
}

impl Memory {
    pub(crate) fn new(rows: &[Row], digests: Digests) -> Memory {
        Memory { states: vec![rows.to_vec()], digests, upset: None, has_bounds: false, at: 0 }
    }

    /// Returns a side that others write: it shows these states one after the other.
    pub(crate) fn moving(states: &[Vec<Row>]) -> Memory {
        Memory { states: states.to_vec(), digests: Digests::None, upset: None, has_bounds: false, at: 0 }
    }
}

fn hash(bytes: &[u8]) -> u64 {
    let hash = blake3::hash(bytes);
    u64::from_le_bytes(hash.as_bytes()[..8].try_into().unwrap())
}

fn bucket(key: i64, ask: &DigestAsk) -> u32 {
    match ask.by {
        Buckets::Hashed => u32::try_from(hash(&key.to_le_bytes()) % u64::from(ask.buckets)).unwrap(),
        Buckets::Ranges { first, width } => {
            u32::try_from(((key - first) / width).clamp(0, i64::from(ask.buckets) - 1)).unwrap()
        }
    }
}

fn digest(row: &Row, how: Digests) -> u64 {
    let (key, number, text) = row;
    let parts = [format!("{key}"), format!("{number:?}"), format!("{text:?}")];
    match how {
        Digests::ByColumn => {
            parts.iter().fold(0, |sum: u64, part| sum.wrapping_mul(31).wrapping_add(hash(part.as_bytes())))
        }
        Digests::Unframed => {
            let plain = |value: &Option<String>| value.clone().unwrap_or_default();
            hash(format!("{key}{}{}", plain(&number.map(|it| it.to_string())), plain(text)).as_bytes())
        }
        _ => hash(format!("{parts:?}").as_bytes()),
    }
}

impl RowSet for Memory {
    fn name(&self) -> &str {
        "memory"
    }

    fn describe(&mut self) -> Result<Described, ReadError> {
        let column = |(name, kind): (&str, Kind)| Column {
            name: name.to_owned(),
            native: kind.to_string(),
            declared: Declared::strict(kind),
        };
        let columns = [("id", Kind::Integer), ("number", Kind::Integer), ("text", Kind::Text)];
        Ok(Described {
            columns: columns.into_iter().map(column).collect(),
            key: vec!["id".to_owned()],
            rows: Some(self.states[0].len() as u64),
            engine: (self.digests != Digests::None).then(|| "memory".to_owned()),
            bounds: self.has_bounds.then(|| Bounds { column: "id".to_owned(), first: -15, last: 15 }),
        })
    }

    fn digests(&mut self, ask: &DigestAsk) -> Result<Option<BTreeMap<u32, Digest>>, ReadError> {
        let mut found: BTreeMap<u32, Digest> = BTreeMap::new();
        for row in &self.states[0] {
            let at = bucket(row.0, ask);
            if at < ask.below {
                let digest = found.entry(at).or_default();
                digest.rows += 1;
                let hash = self::digest(row, self.digests);
                digest.sum = match self.digests {
                    Digests::Xor => digest.sum ^ i128::from(hash),
                    // Wrapping, as what is by column does: so both orders of two values are one.
                    Digests::ByColumn => {
                        let so_far = u64::try_from(digest.sum).unwrap();
                        i128::from(so_far.wrapping_add(hash))
                    }
                    _ => digest.sum + i128::from(hash),
                };
            }
        }
        Ok(Some(found))
    }

    fn read(&mut self, columns: &[String], only: &Only, sink: &mut Sink<'_>) -> Result<(), ReadError> {
        let state = &self.states[self.at.min(self.states.len() - 1)];
        self.at += 1;
        for (key, number, text) in state {
            if let Only::Buckets(ask, buckets) = only
                && !buckets.contains(&bucket(*key, ask))
            {
                continue;
            }
            let cell = |name: &String| match name.as_str() {
                "id" => Cell::Integer(*key),
                "number" => number.map_or(Cell::Null, Cell::Integer),
                _ => text.as_ref().map_or(Cell::Null, |text| Cell::Text(text.as_str().into())),
            };
            sink(&columns.iter().map(cell).collect::<Vec<_>>())?;
        }
        Ok(())
    }

    fn upset(&mut self) -> Result<Option<String>, ReadError> {
        Ok(self.upset.clone())
    }
}

/// Keeps what is reported.
#[derive(Debug, Default)]
pub(crate) struct Kept(pub(crate) Vec<Difference>);

impl Report for Kept {
    fn plan(&mut self, _: &Plan) -> std::io::Result<()> {
        Ok(())
    }

    fn difference(&mut self, difference: &Difference) -> std::io::Result<()> {
        self.0.push(difference.clone());
        Ok(())
    }
}

/// Compares two sides.
pub(crate) fn compared(mut left: Memory, mut right: Memory, ask: &Ask) -> (Outcome, Vec<Difference>) {
    let mut kept = Kept::default();
    let outcome = compare(&mut left, &mut right, ask, &mut kept).unwrap();
    (outcome, kept.0)
}
