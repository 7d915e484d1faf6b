//! Headers of a record in one piece of memory: a batch has tens of thousands of them, written or read once and then forgotten.

use crate::envelope::Header;
use std::fmt;
use std::io::Write;

/// The length that stands for no value.
const NONE: u32 = u32::MAX;

/// Headers in their order. Names can repeat, values can be absent or any bytes.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Headers {
    /// Of each header the length of its name, the name, the length of its value or `NONE`, the value.
    bytes: Vec<u8>,
}

impl Headers {
    /// Returns no headers, with room for so many bytes of names and values.
    pub fn with_capacity(bytes: usize) -> Headers {
        Headers { bytes: Vec::with_capacity(bytes) }
    }

    /// Appends a header.
    ///
    /// # Panics
    /// When a name or value has 4 GiB: no log takes one.
    pub fn push(&mut self, name: &str, value: Option<&[u8]>) {
        self.push_name(name);
        self.bytes.extend_from_slice(&value.map_or(NONE.to_le_bytes(), |value| length(value.len())));
        self.bytes.extend_from_slice(value.unwrap_or_default());
    }

    /// Appends a header whose value is the texts one after the other.
    ///
    /// # Panics
    /// As `push`.
    pub fn push_texts(&mut self, name: &str, texts: &[&str]) {
        self.push_name(name);
        self.bytes.extend_from_slice(&length(texts.iter().map(|text| text.len()).sum()));
        texts.iter().for_each(|text| self.bytes.extend_from_slice(text.as_bytes()));
    }

    /// Appends a header whose value is what is printed.
    ///
    /// # Panics
    /// As `push`.
    pub fn push_printed(&mut self, name: &str, value: fmt::Arguments<'_>) {
        self.push_name(name);
        let at = self.bytes.len();
        self.bytes.extend_from_slice(&NONE.to_le_bytes());
        let begin = self.bytes.len();
        self.bytes.write_fmt(value).expect("memory takes every text");
        let printed = length(self.bytes.len() - begin);
        self.bytes[at..begin].copy_from_slice(&printed);
    }

    fn push_name(&mut self, name: &str) {
        self.bytes.extend_from_slice(&length(name.len()));
        self.bytes.extend_from_slice(name.as_bytes());
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Returns names and values, in order.
    pub fn iter(&self) -> Iter<'_> {
        Iter(&self.bytes)
    }

    /// Returns the value of the first header of a name; none where there is no such header, or it has no value.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.iter().find(|(other, _)| *other == name.as_bytes())?.1
    }

    /// Returns them one by one.
    pub fn to_vec(&self) -> Vec<Header> {
        let name = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
        self.iter()
            .map(|(bytes, value)| Header { name: name(bytes), value: value.map(<[u8]>::to_vec) })
            .collect()
    }
}

fn length(bytes: usize) -> [u8; 4] {
    let length = u32::try_from(bytes).ok().filter(|length| *length != NONE);
    length.expect("a header is shorter than 4 GiB").to_le_bytes()
}

impl From<&[Header]> for Headers {
    fn from(headers: &[Header]) -> Headers {
        let mut all = Headers::default();
        headers.iter().for_each(|header| all.push(&header.name, header.value.as_deref()));
        all
    }
}

impl From<Vec<Header>> for Headers {
    fn from(headers: Vec<Header>) -> Headers {
        Headers::from(headers.as_slice())
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.to_vec()).finish()
    }
}

impl<'a> IntoIterator for &'a Headers {
    type Item = (&'a [u8], Option<&'a [u8]>);
    type IntoIter = Iter<'a>;
    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// The headers that are left, the name of each as its bytes.
#[derive(Debug, Clone)]
pub struct Iter<'a>(&'a [u8]);

impl<'a> Iter<'a> {
    fn take(&mut self, length: u32) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(length as usize);
        self.0 = rest;
        taken
    }

    fn length(&mut self) -> Option<u32> {
        let (length, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_le_bytes(*length))
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a [u8], Option<&'a [u8]>);
    fn next(&mut self) -> Option<Self::Item> {
        let length = self.length()?;
        let name = self.take(length);
        let length = self.length().expect("a value follows each name");
        Some((name, (length != NONE).then(|| self.take(length))))
    }
}

#[cfg(test)]
mod tests {
    use super::Headers;
    use crate::envelope::Header;

    #[test]
    fn headers_are_those_that_were_put_in() {
        let header = |name: &str, value: Option<&[u8]>| Header {
            name: name.to_owned(),
            value: value.map(<[u8]>::to_vec),
        };
        let given = vec![
            header("a", Some(b"1")),
            header("", None),
            header("a", Some(b"")),
            header("b", Some(&[0, 255])),
        ];
        let headers = Headers::from(given.clone());
        assert_eq!(headers.to_vec(), given);
        assert_eq!(headers.get("a"), Some(&b"1"[..]));
        assert_eq!(headers.get("b"), Some(&[0, 255][..]));
        assert_eq!((headers.get(""), headers.get("c")), (None, None));
        assert_ne!(headers, Headers::from(given[1..].to_vec()));
    }

    #[test]
    fn pieces_and_prints_make_one_value() {
        let mut headers = Headers::with_capacity(16);
        headers.push_texts("type", &["a", ".", "b"]);
        headers.push_printed("number", format_args!("{:03}", 7));
        let read: Vec<_> = headers.iter().collect();
        assert_eq!(read, [(&b"type"[..], Some(&b"a.b"[..])), (&b"number"[..], Some(&b"007"[..]))]);
    }
}
