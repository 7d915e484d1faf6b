//! A CSV file as a row set: its first line names the columns, an empty field is no value, everything else is a text until a side knows better.

use crate::cell::Cell;
use crate::kind::{Declared, Kind};
use crate::rowset::{Column, Described, Digest, DigestAsk, Only, ReadError, RowSet, Sink};
use csv::{ByteRecord, Reader, ReaderBuilder};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// A file of comma-separated values, in UTF-8.
#[derive(Debug)]
pub struct CsvFile {
    path: PathBuf,
    name: String,
    stamp: Option<Stamp>,
}

/// By what a file is the same as before.
pub(crate) type Stamp = (u64, Option<SystemTime>);

/// Returns what a file is now.
pub(crate) fn stamp(path: &Path) -> Option<Stamp> {
    let there = std::fs::metadata(path).ok()?;
    Some((there.len(), there.modified().ok()))
}

/// Returns the refusal of a file that cannot be opened.
pub(crate) fn not_opened(path: &Path, error: &std::io::Error) -> ReadError {
    let message = format!("`{}` cannot be opened: {error}", path.display());
    ReadError::Unreachable { message, help: "check the path, and whether you may read it".to_owned() }
}

impl CsvFile {
    /// Returns the file at a path; it is opened when it is read.
    pub fn new(path: &Path) -> CsvFile {
        CsvFile { path: path.to_owned(), name: path.display().to_string(), stamp: None }
    }

    fn reader(&self) -> Result<Reader<File>, ReadError> {
        let file = File::open(&self.path).map_err(|error| not_opened(&self.path, &error))?;
        let delimiter = if self.path.extension().is_some_and(|it| it == "tsv") { b'\t' } else { b',' };
        Ok(ReaderBuilder::new().delimiter(delimiter).buffer_capacity(256 << 10).from_reader(file))
    }

    fn broken(&self, error: &csv::Error) -> ReadError {
        ReadError::Usage {
            message: format!("`{}` is no CSV: {error}", self.name),
            help: "write it in UTF-8, with names in the first line and as many fields in each; a text with commas or quotes stands in \
                   double quotes"
                .to_owned(),
        }
    }

    fn names(&self, reader: &mut Reader<File>) -> Result<Vec<String>, ReadError> {
        let headers = reader.headers().map_err(|error| self.broken(&error))?;
        let names: Vec<String> =
            headers.iter().map(|name| name.trim_start_matches('\u{feff}').to_owned()).collect();
        let twice = names.iter().enumerate().find(|(at, name)| names[..*at].contains(name));
        match twice {
            _ if names.iter().all(String::is_empty) => Err(ReadError::Usage {
                message: format!("`{}` has no first line with the names of columns", self.name),
                help: "put their names there, with commas between".to_owned(),
            }),
            Some((_, name)) => Err(ReadError::Usage {
                message: format!("`{}` has two columns `{name}`", self.name),
                help: "give each a name of its own".to_owned(),
            }),
            None => Ok(names),
        }
    }
}

impl RowSet for CsvFile {
    fn name(&self) -> &str {
        &self.name
    }

    fn describe(&mut self) -> Result<Described, ReadError> {
        self.stamp = stamp(&self.path);
        let names = self.names(&mut self.reader()?)?;
        let column =
            |name| Column { name, declared: Declared::loose(Kind::Text), native: "text of a CSV".to_owned() };
        Ok(Described {
            columns: names.into_iter().map(column).collect(),
            key: Vec::new(),
            rows: None,
            engine: None,
            bounds: None,
        })
    }

    fn digests(&mut self, _: &DigestAsk) -> Result<Option<BTreeMap<u32, Digest>>, ReadError> {
        Ok(None)
    }

    fn read(&mut self, columns: &[String], _: &Only, sink: &mut Sink<'_>) -> Result<(), ReadError> {
        let mut reader = self.reader()?;
        let names = self.names(&mut reader)?;
        let place = |column: &String| names.iter().position(|name| name == column);
        let at: Option<Vec<usize>> = columns.iter().map(place).collect();
        let at = at.ok_or_else(|| ReadError::Unreachable {
            message: format!("`{}` has other columns than when it was opened", self.name),
            help: "compare again when nobody writes it".to_owned(),
        })?;
        let mut record = ByteRecord::new();
        while reader.read_byte_record(&mut record).map_err(|error| self.broken(&error))? {
            let mut cells = Vec::with_capacity(at.len());
            for idx in &at {
                cells.push(match std::str::from_utf8(&record[*idx]) {
                    Ok("") => Cell::Null,
                    Ok(text) => Cell::Text(Cow::Borrowed(text)),
                    Err(_) => {
                        let line = record.position().map_or(0, csv::Position::line);
                        return Err(ReadError::Usage {
                            message: format!("line {line} of `{}` is not UTF-8", self.name),
                            help: "convert the file first, as `iconv -f latin1 -t utf-8` does".to_owned(),
                        });
                    }
                });
            }
            sink(&cells)?;
        }
        Ok(())
    }

    fn upset(&mut self) -> Result<Option<String>, ReadError> {
        Ok((stamp(&self.path) != self.stamp).then(|| "was written".to_owned()))
    }
}
