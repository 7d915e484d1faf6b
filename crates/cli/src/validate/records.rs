//! The payloads of a file, one after the other: one JSON value, the elements of an array, or lines. At most one payload is
//! in memory.

use std::io::{BufRead, Result};

/// The longest payload that is looked at, in bytes; a log takes no longer value.
const RECORD_BYTES_MAX: usize = 8 * 1024 * 1024;

/// How many bytes of a first line are looked at to tell lines from one value.
const GLANCE_BYTES: usize = 64 * 1024;

/// A payload of a file, or what stands in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    /// The line on which it begins, from one.
    pub(crate) line: u64,
    /// Its bytes, or why they are none.
    pub(crate) bytes: std::result::Result<Vec<u8>, &'static str>,
}

/// How payloads follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// One value is the whole file.
    One,
    /// Elements of one array.
    Array,
    /// One value a line.
    Lines,
}

/// Reads the payloads of a file.
pub(crate) struct Records<R> {
    input: R,
    layout: Layout,
    line: u64,
    is_over: bool,
}

impl<R: BufRead> Records<R> {
    /// Begins a file: skips its byte order mark, and tells its layout unless it is said to be lines.
    ///
    /// # Errors
    /// The input's.
    pub(crate) fn open(mut input: R, lines: bool) -> Result<Records<R>> {
        if input.fill_buf()?.starts_with(b"\xef\xbb\xbf") {
            input.consume(3);
        }
        let mut records = Records { input, layout: Layout::Lines, line: 1, is_over: false };
        if !lines {
            records.layout = records.glance()?;
        }
        Ok(records)
    }

    /// Returns the layout.
    pub(crate) fn layout(&self) -> Layout {
        self.layout
    }

    /// Skips the white space at the beginning and tells the layout. An array is opened.
    fn glance(&mut self) -> Result<Layout> {
        match self.skip_space()? {
            Some(b'[') => {
                self.input.consume(1);
                Ok(Layout::Array)
            }
            Some(_) => {
                // Lines: the first one holds a whole value, and another follows it.
                let seen = self.input.fill_buf()?;
                let seen = &seen[..seen.len().min(GLANCE_BYTES)];
                let mut scan = Scan::default();
                let end = seen.iter().position(|byte| *byte == b'\n');
                let Some(end) = end else { return Ok(Layout::Lines) };
                seen[..end].iter().for_each(|byte| scan.take(*byte));
                Ok(if scan.is_balanced() { Layout::Lines } else { Layout::One })
            }
            None => Ok(Layout::Lines),
        }
    }

    /// Returns the next payload; none at the end.
    ///
    /// # Errors
    /// The input's.
    pub(crate) fn next(&mut self) -> Result<Option<Record>> {
        if self.is_over {
            return Ok(None);
        }
        match self.layout {
            Layout::Array => self.element(),
            Layout::One => {
                self.is_over = true;
                let line = self.line;
                Ok(Some(self.read_until(line, |_, _| false)?))
            }
            Layout::Lines => self.text_line(),
        }
    }

    fn text_line(&mut self) -> Result<Option<Record>> {
        if self.skip_space()?.is_none() {
            return Ok(None);
        }
        let line = self.line;
        self.read_until(line, |_, byte| byte == b'\n').map(Some)
    }

    fn element(&mut self) -> Result<Option<Record>> {
        let first = self.skip_space()?;
        let line = self.line;
        match first {
            None => {
                self.is_over = true;
                Ok(Some(Record { line, bytes: Err("the array has no end") }))
            }
            Some(b']') => {
                self.input.consume(1);
                self.is_over = true;
                let after = self.skip_space()?;
                let line = self.line;
                Ok(after.map(|_| Record { line, bytes: Err("something follows the array") }))
            }
            Some(_) => {
                let record =
                    self.read_until(line, |scan, byte| scan.is_balanced() && matches!(byte, b',' | b']'))?;
                if self.skip_space()? == Some(b',') {
                    self.input.consume(1);
                }
                Ok(Some(record))
            }
        }
    }

    /// Reads up to the byte at which it ends, which is left; what is too long is passed over.
    fn read_until(&mut self, line: u64, ends: impl Fn(&Scan, u8) -> bool) -> Result<Record> {
        let mut bytes = Vec::new();
        let mut is_long = false;
        let mut scan = Scan::default();
        loop {
            let seen = self.input.fill_buf()?;
            if seen.is_empty() {
                break;
            }
            let mut taken = 0;
            let mut is_done = false;
            for byte in seen {
                if ends(&scan, *byte) {
                    is_done = true;
                    break;
                }
                scan.take(*byte);
                self.line += u64::from(*byte == b'\n');
                taken += 1;
            }
            if bytes.len() + taken > RECORD_BYTES_MAX {
                is_long = true;
                bytes = Vec::new();
            }
            if !is_long {
                bytes.extend_from_slice(&seen[..taken]);
            }
            self.input.consume(taken);
            if is_done {
                break;
            }
        }
        let bytes = if is_long { Err("longer than 8 MiB, and not looked at") } else { Ok(bytes) };
        Ok(Record { line, bytes })
    }

    /// Passes over white space. Returns the byte behind it, which is left.
    fn skip_space(&mut self) -> Result<Option<u8>> {
        loop {
            let seen = self.input.fill_buf()?;
            if seen.is_empty() {
                return Ok(None);
            }
            let space = seen.iter().position(|byte| !matches!(byte, b' ' | b'\t' | b'\r' | b'\n'));
            let taken = space.unwrap_or(seen.len());
            self.line += seen[..taken].iter().map(|byte| u64::from(*byte == b'\n')).sum::<u64>();
            let next = space.map(|at| seen[at]);
            self.input.consume(taken);
            if next.is_some() {
                return Ok(next);
            }
        }
    }
}

/// Where a scan stands in JSON: enough to find the end of a value, nothing more.
#[derive(Debug, Default)]
struct Scan {
    depth: u64,
    in_text: bool,
    is_escaped: bool,
}

impl Scan {
    fn take(&mut self, byte: u8) {
        if self.in_text {
            let escapes = byte == b'\\' && !self.is_escaped;
            self.in_text = byte != b'"' || self.is_escaped;
            self.is_escaped = escapes;
            return;
        }
        match byte {
            b'"' => self.in_text = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
    }

    fn is_balanced(&self) -> bool {
        self.depth == 0 && !self.in_text
    }
}

#[cfg(test)]
mod tests {
    use super::{Layout, Records};
    use std::io::{BufRead, BufReader};

    /// Returns the layout, and each payload with its line; a small buffer makes payloads cross its edges.
    fn read(text: &[u8], lines: bool) -> (Layout, Vec<(u64, String)>) {
        let wide = Records::open(BufReader::new(text), lines).unwrap();
        let layout = wide.layout();
        let mut records = Records { input: BufReader::with_capacity(3, text), ..wide };
        if layout == Layout::Array {
            assert_eq!(records.skip_space().unwrap(), Some(b'['));
            records.input.consume(1);
        } else {
            records.line = 1;
        }
        let mut all = Vec::new();
        while let Some(record) = records.next().unwrap() {
            let text = match record.bytes {
                Ok(bytes) => String::from_utf8(bytes).unwrap().trim().to_owned(),
                Err(why) => format!("! {why}"),
            };
            all.push((record.line, text));
        }
        (layout, all)
    }

    fn told(lines: &[(u64, &str)]) -> Vec<(u64, String)> {
        lines.iter().map(|(line, text)| (*line, (*text).to_owned())).collect()
    }

    #[test]
    fn one_value_an_array_and_lines_are_told_apart() {
        assert_eq!(read(b"{\"a\":\n 1}\n", false), (Layout::One, told(&[(1, "{\"a\":\n 1}")])));
        assert_eq!(read(b"{\"a\":1}", false), (Layout::Lines, told(&[(1, "{\"a\":1}")])));
        let lines = b"{\"a\":1}\r\n\r\n{\"b\":\"}\\\"\\n\"}\n";
        assert_eq!(
            read(lines, false),
            (Layout::Lines, told(&[(1, "{\"a\":1}"), (3, "{\"b\":\"}\\\"\\n\"}")]))
        );
        let array = b"[ {\"a\":[1,2]},\n{\"b\":\"],\\\\\"}\n , 3]\n";
        let expected = told(&[(1, "{\"a\":[1,2]}"), (2, "{\"b\":\"],\\\\\"}"), (3, "3")]);
        assert_eq!(read(array, false), (Layout::Array, expected));
    }

    #[test]
    fn a_broken_line_spoils_no_other() {
        let lines = read(b"{\"a\":\n{\"b\":1}\n", true).1;
        assert_eq!(lines, told(&[(1, "{\"a\":"), (2, "{\"b\":1}")]));
    }

    #[test]
    fn an_array_that_does_not_end_or_goes_on_says_so() {
        assert_eq!(read(b"[{}", false).1, told(&[(1, "{}"), (1, "! the array has no end")]));
        assert_eq!(read(b"[{}]\nx", false).1, told(&[(1, "{}"), (2, "! something follows the array")]));
        assert_eq!(read(b"[]", false).1, told(&[]));
        assert_eq!(read(b" \n", false).1, told(&[]));
    }
}
