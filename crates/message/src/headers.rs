//! Headers of a record that is written: all of them in one piece of memory, since a batch has tens of thousands.

use crate::envelope::Header;
use std::fmt;
use std::io::Write;

/// Names and values in order. Names can repeat, values can be absent or any bytes.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Headers {
    bytes: Vec<u8>,
    ends: Vec<Ends>,
}

/// Where a header ends in the bytes; it begins where the one before ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ends {
    name: usize,
    /// None: no value.
    value: Option<usize>,
}

impl Headers {
    /// Returns none, with room for some.
    pub fn with_capacity(headers: usize, bytes: usize) -> Headers {
        Headers { bytes: Vec::with_capacity(bytes), ends: Vec::with_capacity(headers) }
    }

    /// Adds a header; no value: null.
    pub fn push(&mut self, name: &str, value: Option<&[u8]>) {
        self.bytes.extend_from_slice(name.as_bytes());
        let name = self.bytes.len();
        self.bytes.extend_from_slice(value.unwrap_or_default());
        self.ends.push(Ends { name, value: value.map(|_| self.bytes.len()) });
    }

    /// Adds a header whose value is the texts one after the other.
    pub fn push_texts(&mut self, name: &str, texts: &[&str]) {
        self.bytes.extend_from_slice(name.as_bytes());
        let name = self.bytes.len();
        texts.iter().for_each(|text| self.bytes.extend_from_slice(text.as_bytes()));
        self.ends.push(Ends { name, value: Some(self.bytes.len()) });
    }

    /// Adds a header whose value is what is printed.
    pub fn push_printed(&mut self, name: &str, value: fmt::Arguments<'_>) {
        self.bytes.extend_from_slice(name.as_bytes());
        let name = self.bytes.len();
        self.bytes.write_fmt(value).expect("memory takes every text");
        self.ends.push(Ends { name, value: Some(self.bytes.len()) });
    }

    /// Returns how many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Returns names and values in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&[u8]>)> {
        let mut begin = 0;
        self.ends.iter().map(move |ends| {
            let name = std::str::from_utf8(&self.bytes[begin..ends.name]).expect("it was a text");
            let value = ends.value.map(|end| &self.bytes[ends.name..end]);
            begin = ends.value.unwrap_or(ends.name);
            (name, value)
        })
    }

    /// Returns them as they are read from a log.
    pub fn to_vec(&self) -> Vec<Header> {
        let header = |(name, value): (&str, Option<&[u8]>)| Header {
            name: name.to_owned(),
            value: value.map(<[u8]>::to_vec),
        };
        self.iter().map(header).collect()
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.to_vec()).finish()
    }
}

impl From<Vec<Header>> for Headers {
    fn from(headers: Vec<Header>) -> Headers {
        let mut written = Headers::default();
        headers.iter().for_each(|header| written.push(&header.name, header.value.as_deref()));
        written
    }
}

#[cfg(test)]
mod tests {
    use super::Headers;
    use crate::envelope::Header;

    #[test]
    fn headers_are_read_as_they_were_written() {
        let header = |name: &str, value: Option<&[u8]>| Header {
            name: name.to_owned(),
            value: value.map(<[u8]>::to_vec),
        };
        let headers = vec![
            header("a", Some(b"1")),
            header("", None),
            header("a", Some(b"\xff")),
            header("empty", Some(b"")),
            header("last", None),
        ];
        let written = Headers::from(headers.clone());
        assert_eq!(written.to_vec(), headers);
        assert_eq!(written.len(), 5);
    }

    #[test]
    fn pieces_and_prints_make_one_value() {
        let mut headers = Headers::with_capacity(2, 16);
        headers.push_texts("type", &["a", ".", "b"]);
        headers.push_printed("number", format_args!("{:03}", 7));
        let read: Vec<_> = headers.iter().collect();
        assert_eq!(read, [("type", Some(&b"a.b"[..])), ("number", Some(&b"007"[..]))]);
    }
}
