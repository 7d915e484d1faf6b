//! A strict JSON reader over bytes: no tree is built, nothing is guessed, duplicate keys and lone surrogates are refused.

use std::borrow::Cow;
use std::collections::BTreeSet;

/// How deep values may be nested.
pub(crate) const DEPTH_MAX: u32 = 64;

/// Why bytes are not JSON as it is read here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct JsonFault {
    /// The byte at which it was noticed.
    pub(crate) at: usize,
    /// What is wrong there.
    pub(crate) what: &'static str,
}

/// The kind of the value that comes next, told by its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    Text,
    Number,
    Boolean,
    Null,
    Object,
    Array,
}

/// A place in a text. Every method that reads a value skips the white space before it.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: u32,
}

/// Bytes that a string holds as they are: neither quote, backslash nor control character.
const PLAIN: [bool; 256] = {
    let mut plain = [true; 256];
    let mut byte = 0;
    while byte < 0x20 {
        plain[byte] = false;
        byte += 1;
    }
    plain[b'"' as usize] = false;
    plain[b'\\' as usize] = false;
    plain
};

impl<'a> Reader<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Reader { text, at: 0, depth: 0 }
    }

    /// Returns the byte at which the reader stands.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    pub(crate) fn fault<T>(&self, what: &'static str) -> Result<T, JsonFault> {
        Err(JsonFault { at: self.at, what })
    }

    fn bytes(&self) -> &'a [u8] {
        self.text.as_bytes()
    }

    pub(crate) fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.bytes().get(self.at) {
            self.at += 1;
        }
    }

    /// Returns the next byte that is no white space, without taking it.
    fn peek(&mut self) -> Option<u8> {
        self.skip_space();
        self.bytes().get(self.at).copied()
    }

    fn take_if(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    /// Takes some bytes when they are exactly what comes next.
    pub(crate) fn take_exactly(&mut self, expected: &[u8]) -> bool {
        let there = self.bytes()[self.at..].starts_with(expected);
        if there {
            self.at += expected.len();
        }
        there
    }

    pub(crate) fn next(&mut self) -> Result<Next, JsonFault> {
        match self.peek() {
            Some(b'"') => Ok(Next::Text),
            Some(b'-' | b'0'..=b'9') => Ok(Next::Number),
            Some(b't' | b'f') => Ok(Next::Boolean),
            Some(b'n') => Ok(Next::Null),
            Some(b'{') => Ok(Next::Object),
            Some(b'[') => Ok(Next::Array),
            Some(_) => self.fault("no value begins so"),
            None => self.fault("a value is missing"),
        }
    }

    /// Refuses anything but white space after the value.
    pub(crate) fn end(&mut self) -> Result<(), JsonFault> {
        if self.peek().is_none() { Ok(()) } else { self.fault("something follows the value") }
    }

    fn open(&mut self, bracket: u8, what: &'static str) -> Result<(), JsonFault> {
        if !self.take_if(bracket) {
            return self.fault(what);
        }
        self.depth += 1;
        if self.depth > DEPTH_MAX { self.fault("nested too deep") } else { Ok(()) }
    }

    /// Takes the bracket that opens an object.
    pub(crate) fn open_object(&mut self) -> Result<(), JsonFault> {
        self.open(b'{', "not an object")
    }

    /// Takes the bracket that opens an array.
    pub(crate) fn open_array(&mut self) -> Result<(), JsonFault> {
        self.open(b'[', "not an array")
    }

    /// Returns whether another member or element follows; takes the comma before it, or the closing bracket.
    pub(crate) fn more(&mut self, first: bool, closing: u8) -> Result<bool, JsonFault> {
        match self.peek() {
            Some(byte) if byte == closing => {
                self.at += 1;
                self.depth -= 1;
                Ok(false)
            }
            Some(b',') if !first => {
                self.at += 1;
                if self.peek() == Some(closing) { self.fault("a comma before the end") } else { Ok(true) }
            }
            Some(_) if first => Ok(true),
            _ => self.fault("a comma or the end is missing"),
        }
    }

    /// Reads the name of a member and the colon.
    pub(crate) fn name(&mut self) -> Result<Cow<'a, str>, JsonFault> {
        let name = self.string()?;
        if self.take_if(b':') { Ok(name) } else { self.fault("a colon is missing") }
    }

    /// Reads a string.
    pub(crate) fn string(&mut self) -> Result<Cow<'a, str>, JsonFault> {
        if !self.take_if(b'"') {
            return self.fault("not a string");
        }
        let start = self.at;
        self.skip_plain();
        if self.bytes().get(self.at) == Some(&b'"') {
            self.at += 1;
            return Ok(Cow::Borrowed(&self.text[start..self.at - 1]));
        }
        let mut text = self.text[start..self.at].to_owned();
        loop {
            match self.bytes().get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Cow::Owned(text));
                }
                Some(b'\\') => text.push(self.escape()?),
                Some(_) => return self.fault("a control character in a string"),
                None => return self.fault("a string without an end"),
            }
            let plain = self.at;
            self.skip_plain();
            text.push_str(&self.text[plain..self.at]);
        }
    }

    fn skip_plain(&mut self) {
        let rest = &self.bytes()[self.at..];
        self.at += rest.iter().position(|byte| !PLAIN[usize::from(*byte)]).unwrap_or(rest.len());
    }

    fn escape(&mut self) -> Result<char, JsonFault> {
        let kind = self.bytes().get(self.at + 1).copied();
        self.at += 2;
        Ok(match kind {
            Some(plain @ (b'"' | b'\\' | b'/')) => char::from(plain),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode(),
            _ => {
                self.at -= 2;
                return self.fault("a bad escape");
            }
        })
    }

    fn unicode(&mut self) -> Result<char, JsonFault> {
        let first = self.hex()?;
        let point = if (0xd800..0xdc00).contains(&first) && self.take_exactly(b"\\u") {
            let second = self.hex()?;
            if !(0xdc00..0xe000).contains(&second) {
                return self.fault("an unpaired surrogate");
            }
            0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)
        } else {
            first
        };
        match char::from_u32(point) {
            Some(point) => Ok(point),
            None => self.fault("an unpaired surrogate"),
        }
    }

    fn hex(&mut self) -> Result<u32, JsonFault> {
        let digits = self.bytes().get(self.at..self.at + 4).unwrap_or_default();
        let value =
            digits.iter().try_fold(0, |value, byte| Some(value << 4 | char::from(*byte).to_digit(16)?));
        match value {
            Some(value) if digits.len() == 4 => {
                self.at += 4;
                Ok(value)
            }
            _ => self.fault("a bad escape"),
        }
    }

    /// Reads a number as its text.
    pub(crate) fn number(&mut self) -> Result<&'a str, JsonFault> {
        self.skip_space();
        let start = self.at;
        self.take_exactly(b"-");
        let whole = self.at;
        if self.digits() == 0 || (self.bytes()[whole] == b'0' && self.at > whole + 1) {
            return self.fault("not a number");
        }
        if self.take_exactly(b".") && self.digits() == 0 {
            return self.fault("not a number");
        }
        if self.take_exactly(b"e") || self.take_exactly(b"E") {
            if !self.take_exactly(b"+") {
                self.take_exactly(b"-");
            }
            if self.digits() == 0 {
                return self.fault("not a number");
            }
        }
        Ok(&self.text[start..self.at])
    }

    fn digits(&mut self) -> usize {
        let rest = &self.bytes()[self.at..];
        let count = rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
        self.at += count;
        count
    }

    /// Reads `true` or `false`.
    pub(crate) fn boolean(&mut self) -> Result<bool, JsonFault> {
        self.skip_space();
        if self.take_exactly(b"true") {
            Ok(true)
        } else if self.take_exactly(b"false") {
            Ok(false)
        } else {
            self.fault("not a boolean")
        }
    }

    /// Reads `null`.
    pub(crate) fn null(&mut self) -> Result<(), JsonFault> {
        self.skip_space();
        if self.take_exactly(b"null") { Ok(()) } else { self.fault("not null") }
    }

    /// Reads an array of strings, handing over each.
    pub(crate) fn texts(&mut self, mut each: impl FnMut(Cow<'a, str>)) -> Result<(), JsonFault> {
        self.open_array()?;
        let mut first = true;
        while self.more(first, b']')? {
            each(self.string()?);
            first = false;
        }
        Ok(())
    }

    /// Reads a value of any kind and forgets it; as strict as everywhere.
    pub(crate) fn skip_value(&mut self) -> Result<(), JsonFault> {
        match self.next()? {
            Next::Text => self.string().map(drop),
            Next::Number => self.number().map(drop),
            Next::Boolean => self.boolean().map(drop),
            Next::Null => self.null(),
            Next::Array => {
                self.open_array()?;
                let mut first = true;
                while self.more(first, b']')? {
                    self.skip_value()?;
                    first = false;
                }
                Ok(())
            }
            Next::Object => {
                self.open_object()?;
                let mut seen = Seen::default();
                let mut first = true;
                while self.more(first, b'}')? {
                    let name = self.name()?;
                    seen.insert(name, self)?;
                    self.skip_value()?;
                    first = false;
                }
                Ok(())
            }
        }
    }
}

/// The names of an object that were read, where no slot tells.
#[derive(Default)]
pub(crate) struct Seen<'a>(BTreeSet<Cow<'a, str>>);

impl<'a> Seen<'a> {
    /// Remembers a name.
    pub(crate) fn insert(&mut self, name: Cow<'a, str>, reader: &Reader<'a>) -> Result<(), JsonFault> {
        if self.0.insert(name) { Ok(()) } else { reader.fault(DUPLICATE) }
    }

    /// Returns how many there are.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }
}

/// What a duplicate key is called.
pub(crate) const DUPLICATE: &str = "a key is there twice";

#[cfg(test)]
mod tests {
    use super::Reader;

    fn valid(text: &str) -> bool {
        let mut reader = Reader::new(text);
        reader.skip_value().and_then(|()| reader.end()).is_ok()
    }

    #[test]
    fn json_is_read_and_nothing_else_is() {
        for text in
            ["{}", " [ ] ", "[1,-0,0.5,1e3,1E-3,-1.25e+10]", r#"{"a":{"b":[true,false,null]},"":"x"}"#]
        {
            assert!(valid(text), "{text}");
        }
        for text in [
            "",
            "{",
            "[1,]",
            "{\"a\":1,}",
            "[,1]",
            "01",
            "1.",
            ".5",
            "+1",
            "1e",
            "-",
            "nul",
            "truex",
            "{} x",
            "'a'",
            "[1 2]",
            "{\"a\" 1}",
            "{a:1}",
            "\"a",
            "\"\u{1}\"",
            r#""\x""#,
            r#""\u12""#,
            r#""\u+123""#,
            "NaN",
        ] {
            assert!(!valid(text), "{text}");
        }
    }

    #[test]
    fn duplicate_keys_are_refused_however_they_are_spelt() {
        assert!(!valid(r#"{"a":1,"a":2}"#));
        assert!(!valid(r#"[{"a":1,"\u0061":2}]"#));
        assert!(valid(r#"{"a":1,"A":2}"#));
    }

    #[test]
    fn escapes_are_read_and_lone_surrogates_refused() {
        assert_eq!(Reader::new(r#""a\u00e9\ud83d\ude00\/\n""#).string().unwrap(), "a\u{e9}\u{1f600}/\n");
        for text in [r#""\ud83d""#, r#""\ude00""#, r#""\ud83d\u0041""#, r#""\ud83dx""#] {
            assert!(!valid(text), "{text}");
        }
    }

    #[test]
    fn depth_ends_at_64() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(valid(&nested(64)));
        assert!(!valid(&nested(65)));
        assert!(!valid(&"[".repeat(1_000_000)));
    }
}
