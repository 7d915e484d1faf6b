//! A Parquet file as a row set: typed by its schema, read some rows at a time, row group by row group.

mod column;

use crate::cell::Cell;
use crate::csv::{Stamp, not_opened, stamp};
use crate::kind::{Declared, Kind};
use crate::rowset::{Column, Described, Digest, DigestAsk, Only, ReadError, RowSet, Sink};
use column::{Form, Leaf, Root, Values, roots};
use parquet::column::reader::ColumnReader;
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, RowGroupReader, SerializedFileReader};
use std::collections::BTreeMap;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// How many rows of a column are in memory at once.
const ROWS_MAX: u64 = 256;

/// How many bytes they should have at most, by what is usual in their row group.
const BATCH_BYTES: u64 = 1 << 20;

/// A Parquet file.
#[derive(Debug)]
pub struct ParquetFile {
    path: PathBuf,
    name: String,
    stamp: Option<Stamp>,
}

impl ParquetFile {
    /// Returns the file at a path; it is opened when it is read.
    pub fn new(path: &Path) -> ParquetFile {
        ParquetFile { path: path.to_owned(), name: path.display().to_string(), stamp: None }
    }

    fn opened(&self) -> Result<SerializedFileReader<File>, ReadError> {
        let file = File::open(&self.path).map_err(|error| not_opened(&self.path, &error))?;
        if self.path.is_dir() {
            return Err(ReadError::Usage {
                message: format!("`{}` is a folder", self.name),
                help: "name one file; DuckDB's `COPY (FROM 'folder/*.parquet') TO 'rows.parquet'` makes one of many"
                    .to_owned(),
            });
        }
        caught(|| SerializedFileReader::new(file)).map_err(|error| ReadError::Usage {
            message: format!("`{}` is no whole Parquet file: {}", self.name, said(&error)),
            help: "write it anew; a file that is still being written has no end yet".to_owned(),
        })
    }

    fn roots(&self, reader: &SerializedFileReader<File>) -> Result<Vec<Root>, ReadError> {
        let roots = roots(reader.metadata().file_metadata().schema_descr());
        let twice =
            roots.iter().enumerate().find(|(at, root)| roots[..*at].iter().any(|it| it.name == root.name));
        match twice {
            None => Ok(roots),
            Some((_, root)) => Err(ReadError::Usage {
                message: format!("`{}` has two columns `{}`", self.name, root.name),
                help: "give each a name of its own".to_owned(),
            }),
        }
    }

    /// Returns where the asked columns are.
    fn chosen(&self, roots: Vec<Root>, columns: &[String]) -> Result<Vec<(String, Leaf)>, ReadError> {
        let chosen = columns.iter().map(|column| {
            let root = roots.iter().find(|root| root.name == *column);
            let root = root.ok_or_else(|| ReadError::Unreachable {
                message: format!("`{}` has other columns than when it was opened", self.name),
                help: "compare again when nobody writes it".to_owned(),
            })?;
            let leaf = root.leaf.clone().map_err(|why| ReadError::Usage {
                message: format!("the column `{column}` of `{}` {why}", self.name),
                help: format!("leave it out with `--ignore {column}`"),
            })?;
            Ok((column.clone(), leaf))
        });
        chosen.collect()
    }

    fn broken(&self, error: &ParquetError) -> ReadError {
        ReadError::Usage {
            message: format!("`{}` cannot be read: {}", self.name, said(error)),
            help: "write it anew, without compression or with snappy, gzip, zstd or lz4".to_owned(),
        }
    }

    fn group(
        &self,
        group: &dyn RowGroupReader,
        chosen: &[(String, Leaf)],
        sink: &mut Sink<'_>,
    ) -> Result<(), ReadError> {
        let rows = u64::try_from(group.metadata().num_rows()).unwrap_or(0);
        let widest = chosen.iter().map(|(_, leaf)| group.metadata().column(leaf.at).uncompressed_size());
        let row_bytes = u64::try_from(widest.max().unwrap_or(0)).unwrap_or(0) / rows.max(1);
        let step = (BATCH_BYTES / row_bytes.max(1)).clamp(1, ROWS_MAX);
        let batch = |(_, leaf): &(String, Leaf)| Batch::new(group, leaf.clone());
        let batches = caught(|| chosen.iter().map(batch).collect::<Result<Vec<Batch>, ParquetError>>());
        let mut batches = batches.map_err(|error| self.broken(&error))?;
        let mut left = rows;
        while left > 0 {
            let now = left.min(step);
            for batch in &mut batches {
                caught(|| batch.fill(now)).map_err(|error| self.broken(&error))?;
            }
            let mut places = vec![Place::default(); batches.len()];
            for _ in 0..now {
                let mut cells = Vec::with_capacity(batches.len());
                for ((batch, place), (name, _)) in batches.iter().zip(&mut places).zip(chosen) {
                    cells.push(batch.next(place).ok_or_else(|| self.beyond(name))?);
                }
                sink(&cells)?;
            }
            left -= now;
        }
        Ok(())
    }

    fn beyond(&self, column: &str) -> ReadError {
        ReadError::Usage {
            message: format!("the column `{column}` of `{}` has a value that its type has not", self.name),
            help: format!("write it anew with another type, or leave it out with `--ignore {column}`"),
        }
    }
}

/// Calls the library, which falls over some bytes that contradict themselves; what it was reading then is not used again.
fn caught<T>(call: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, ParquetError> {
    let fell = |_| Err(ParquetError::General("its bytes contradict themselves".to_owned()));
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(fell)
}

/// Returns what the library says, without its own prefix.
fn said(error: &ParquetError) -> String {
    let text = error.to_string();
    let text = text.split_once(": ").map_or(text.as_str(), |(_, behind)| behind);
    text.trim_end_matches('.').to_owned()
}

/// Where a reader of a batch stands.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    level: usize,
    value: usize,
}

/// Some rows of a column.
struct Batch {
    leaf: Leaf,
    reader: ColumnReader,
    values: Values,
    levels: Vec<i16>,
    repeats: Vec<i16>,
}

impl Batch {
    fn new(group: &dyn RowGroupReader, leaf: Leaf) -> Result<Batch, ParquetError> {
        let reader = group.get_column_reader(leaf.at)?;
        let values = match &reader {
            ColumnReader::BoolColumnReader(_) => Values::Boolean(Vec::new()),
            ColumnReader::Int32ColumnReader(_) => Values::Int32(Vec::new()),
            ColumnReader::Int64ColumnReader(_) => Values::Int64(Vec::new()),
            ColumnReader::Int96ColumnReader(_) => Values::Int96(Vec::new()),
            ColumnReader::FloatColumnReader(_) => Values::Float(Vec::new()),
            ColumnReader::DoubleColumnReader(_) => Values::Double(Vec::new()),
            ColumnReader::ByteArrayColumnReader(_) => Values::Bytes(Vec::new()),
            ColumnReader::FixedLenByteArrayColumnReader(_) => Values::Fixed(Vec::new()),
        };
        Ok(Batch { leaf, reader, values, levels: Vec::new(), repeats: Vec::new() })
    }

    /// Reads the next rows in place of those that it holds.
    fn fill(&mut self, rows: u64) -> Result<(), ParquetError> {
        use ColumnReader as R;
        self.levels.clear();
        self.repeats.clear();
        let rows = usize::try_from(rows).expect("a batch has few rows");
        let (levels, repeats) = (&mut self.levels, &mut self.repeats);
        macro_rules! read {
            ($reader:expr, $values:expr) => {{
                $values.clear();
                $reader.read_records(rows, Some(levels), Some(repeats), $values)?
            }};
        }
        let (records, _, _) = match (&mut self.reader, &mut self.values) {
            (R::BoolColumnReader(reader), Values::Boolean(values)) => read!(reader, values),
            (R::Int32ColumnReader(reader), Values::Int32(values)) => read!(reader, values),
            (R::Int64ColumnReader(reader), Values::Int64(values)) => read!(reader, values),
            (R::Int96ColumnReader(reader), Values::Int96(values)) => read!(reader, values),
            (R::FloatColumnReader(reader), Values::Float(values)) => read!(reader, values),
            (R::DoubleColumnReader(reader), Values::Double(values)) => read!(reader, values),
            (R::ByteArrayColumnReader(reader), Values::Bytes(values)) => read!(reader, values),
            (R::FixedLenByteArrayColumnReader(reader), Values::Fixed(values)) => read!(reader, values),
            _ => unreachable!("the values are of the reader's type"),
        };
        if records != rows {
            let short = format!("a column ends {} rows early", rows - records);
            return Err(ParquetError::EOF(short));
        }
        Ok(())
    }

    /// Returns the next row's cell; none when a value is none of its form.
    fn next(&self, place: &mut Place) -> Option<Cell<'_>> {
        let Some(list_level) = self.leaf.list_level else {
            let level = self.level(place);
            return self.value(level, place);
        };
        let level = self.level(place);
        if level < list_level {
            // One level below is a list without elements, wherever there can be none at all.
            return Some(if level + 1 == list_level { Cell::List(Vec::new()) } else { Cell::Null });
        }
        let mut cells = vec![self.value(level, place)?];
        while self.repeats.get(place.level).is_some_and(|repeat| *repeat > 0) {
            let level = self.level(place);
            cells.push(self.value(level, place)?);
        }
        Some(Cell::List(cells))
    }

    /// Goes past a definition level; a column that always has values has none.
    fn level(&self, place: &mut Place) -> i16 {
        let level = self.levels.get(place.level).copied().unwrap_or(self.leaf.full_level);
        place.level += 1;
        level
    }

    fn value(&self, level: i16, place: &mut Place) -> Option<Cell<'_>> {
        if level < self.leaf.full_level {
            return Some(Cell::Null);
        }
        place.value += 1;
        self.values.cell(place.value - 1, self.leaf.form)
    }
}

impl RowSet for ParquetFile {
    fn name(&self) -> &str {
        &self.name
    }

    fn describe(&mut self) -> Result<Described, ReadError> {
        self.stamp = stamp(&self.path);
        let reader = self.opened()?;
        let column = |root: Root| {
            let declared = match &root.leaf {
                Ok(Leaf { form: Form::Nothing, .. }) => Declared::loose(Kind::Text),
                Ok(leaf) => Declared::strict(leaf.kind()),
                Err(_) => Declared::strict(Kind::Opaque("nested type of Parquet".to_owned())),
            };
            let native = format!("{} of Parquet", declared.kind);
            Column { name: root.name, declared, native }
        };
        Ok(Described {
            columns: self.roots(&reader)?.into_iter().map(column).collect(),
            key: Vec::new(),
            rows: u64::try_from(reader.metadata().file_metadata().num_rows()).ok(),
            engine: None,
            bounds: None,
        })
    }

    fn digests(&mut self, _: &DigestAsk) -> Result<Option<BTreeMap<u32, Digest>>, ReadError> {
        Ok(None)
    }

    fn read(&mut self, columns: &[String], _: &Only, sink: &mut Sink<'_>) -> Result<(), ReadError> {
        let reader = self.opened()?;
        let chosen = self.chosen(self.roots(&reader)?, columns)?;
        for idx in 0..reader.num_row_groups() {
            let group = caught(|| reader.get_row_group(idx)).map_err(|error| self.broken(&error))?;
            self.group(&*group, &chosen, sink)?;
        }
        Ok(())
    }

    fn upset(&mut self) -> Result<Option<String>, ReadError> {
        Ok((stamp(&self.path) != self.stamp).then(|| "was written".to_owned()))
    }
}
