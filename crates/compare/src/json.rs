//! JSON documents as values: the order of keys, blanks and the writing of numbers and texts say nothing.
//!
//! The reader is ours since half a surrogate pair and numbers of any length must be told apart and not refused or rounded.

use crate::encode::{END, write_bytes, write_null};
use crate::number::Number;

/// How deep documents may be nested.
const DEPTH_MAX: usize = 200;

const FALSE: u8 = 0x10;
const TRUE: u8 = 0x11;
const NUMBER: u8 = 0x12;
const TEXT: u8 = 0x13;
const ARRAY: u8 = 0x14;
const OBJECT: u8 = 0x15;

/// Writes a document so that equal ones have the same bytes; of two members with one name the later counts, as in databases.
/// Returns nothing, and leaves `out` as it was, when the text is no JSON.
pub(crate) fn write(text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let at = out.len();
    let mut reader = Reader { text, at: 0 };
    let done = reader.value(DEPTH_MAX, out).filter(|()| {
        reader.blanks();
        reader.at == text.len()
    });
    if done.is_none() {
        out.truncate(at);
    }
    done
}

struct Reader<'t> {
    text: &'t [u8],
    at: usize,
}

impl Reader<'_> {
    fn blanks(&mut self) {
        while self.peek().is_some_and(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn take(&mut self, wanted: &[u8]) -> Option<()> {
        self.text[self.at..].starts_with(wanted).then(|| self.at += wanted.len())
    }

    fn value(&mut self, depth: usize, out: &mut Vec<u8>) -> Option<()> {
        self.blanks();
        match self.peek()? {
            b'n' => {
                self.take(b"null")?;
                write_null(out);
            }
            b't' => {
                self.take(b"true")?;
                out.push(TRUE);
            }
            b'f' => {
                self.take(b"false")?;
                out.push(FALSE);
            }
            b'"' => {
                out.push(TEXT);
                write_bytes(&self.string()?, out);
            }
            b'[' => self.array(depth.checked_sub(1)?, out)?,
            b'{' => self.object(depth.checked_sub(1)?, out)?,
            _ => self.number(out)?,
        }
        Some(())
    }

    fn number(&mut self, out: &mut Vec<u8>) -> Option<()> {
        let from = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte)) {
            self.at += 1;
        }
        let text = std::str::from_utf8(&self.text[from..self.at]).ok()?;
        let digits = text.strip_prefix('-').unwrap_or(text);
        let is_json = digits.starts_with(|first: char| first.is_ascii_digit());
        out.push(NUMBER);
        Number::from_text(text).filter(|_| is_json)?.write(out);
        Some(())
    }

    fn array(&mut self, depth: usize, out: &mut Vec<u8>) -> Option<()> {
        self.take(b"[")?;
        out.push(ARRAY);
        self.blanks();
        if self.take(b"]").is_none() {
            loop {
                self.value(depth, out)?;
                self.blanks();
                if self.take(b",").is_none() {
                    self.take(b"]")?;
                    break;
                }
            }
        }
        out.push(END);
        Some(())
    }

    fn object(&mut self, depth: usize, out: &mut Vec<u8>) -> Option<()> {
        self.take(b"{")?;
        let mut members = std::collections::BTreeMap::new();
        self.blanks();
        if self.take(b"}").is_none() {
            loop {
                self.blanks();
                let name = self.string()?;
                self.blanks();
                self.take(b":")?;
                let mut value = Vec::new();
                self.value(depth, &mut value)?;
                members.insert(name, value);
                self.blanks();
                if self.take(b",").is_none() {
                    self.take(b"}")?;
                    break;
                }
            }
        }
        out.push(OBJECT);
        for (name, value) in members {
            out.push(TEXT);
            write_bytes(&name, out);
            out.extend(value);
        }
        out.push(END);
        Some(())
    }

    /// Returns a text as UTF-8, in which half a surrogate pair stands as its three bytes.
    fn string(&mut self) -> Option<Vec<u8>> {
        self.take(b"\"")?;
        let mut text = Vec::new();
        loop {
            let byte = self.peek()?;
            self.at += 1;
            match byte {
                b'"' => break,
                b'\\' => self.escape(&mut text)?,
                ..0x20 => return None,
                other => text.push(other),
            }
        }
        Some(text)
    }

    fn escape(&mut self, text: &mut Vec<u8>) -> Option<()> {
        let byte = self.peek()?;
        self.at += 1;
        text.push(match byte {
            b'"' | b'\\' | b'/' => byte,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let code = self.unit()?;
                self.push(code, text);
                return Some(());
            }
            _ => return None,
        });
        Some(())
    }

    fn unit(&mut self) -> Option<u32> {
        let digits = self.text.get(self.at..self.at + 4)?;
        let text = std::str::from_utf8(digits).ok().filter(|_| digits.iter().all(u8::is_ascii_hexdigit))?;
        self.at += 4;
        u32::from_str_radix(text, 16).ok()
    }

    fn push(&mut self, unit: u32, text: &mut Vec<u8>) {
        let mut code = unit;
        if (0xd800..0xdc00).contains(&unit) && self.text[self.at..].starts_with(b"\\u") {
            let back = self.at;
            self.at += 2;
            match self.unit() {
                Some(low) if (0xdc00..0xe000).contains(&low) => {
                    code = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
                }
                _ => self.at = back,
            }
        }
        match char::from_u32(code) {
            Some(letter) => text.extend(letter.encode_utf8(&mut [0; 4]).bytes()),
            None => {
                for (shift, lead, bits) in [(12, 0xe0, 0x0f), (6, 0x80, 0x3f), (0, 0x80, 0x3f)] {
                    text.push(
                        u8::try_from(lead | ((code >> shift) & bits)).expect("six bits and their lead"),
                    );
                }
            }
        }
    }
}

/// Reads what [`write`] wrote as JSON, and returns what follows.
///
/// # Panics
/// With other bytes.
pub(crate) fn show<'b>(bytes: &'b [u8], out: &mut String) -> &'b [u8] {
    let (tag, mut rest) = bytes.split_first().expect("a document has a value");
    match *tag {
        FALSE => out.push_str("false"),
        TRUE => out.push_str("true"),
        NUMBER => {
            let (number, after) = Number::read(rest);
            out.push_str(&number.text());
            rest = after;
        }
        TEXT => rest = show_text(rest, out),
        ARRAY => {
            out.push('[');
            let mut is_first = true;
            while rest.first() != Some(&END) {
                if !std::mem::take(&mut is_first) {
                    out.push(',');
                }
                rest = show(rest, out);
            }
            out.push(']');
            rest = &rest[1..];
        }
        OBJECT => {
            out.push('{');
            let mut is_first = true;
            while rest.first() != Some(&END) {
                if !std::mem::take(&mut is_first) {
                    out.push(',');
                }
                rest = show(rest, out);
                out.push(':');
                rest = show(rest, out);
            }
            out.push('}');
            rest = &rest[1..];
        }
        _ => out.push_str("null"),
    }
    rest
}

fn show_text<'b>(bytes: &'b [u8], out: &mut String) -> &'b [u8] {
    let (text, rest) = crate::encode::read_bytes(bytes);
    out.push('"');
    for letter in String::from_utf8_lossy(&text).chars() {
        match letter {
            '"' | '\\' => out.extend(['\\', letter]),
            control if control < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(control))),
            other => out.push(other),
        }
    }
    out.push('"');
    rest
}

#[cfg(test)]
mod tests {
    use super::{show, write};

    fn bytes(text: &str) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        write(text.as_bytes(), &mut out).map(|()| out)
    }

    #[test]
    fn documents_are_equal_by_what_they_say() {
        for (one, two) in [
            (r#"{"a":1,"b":[true,null]}"#, r#"{ "b" : [ true , null ], "a" : 1.0 }"#),
            (r#""ä""#, r#""\u00e4""#),
            (r#""😀""#, r#""\ud83d\ude00""#),
            ("1e2", "100"),
            (r#"{"a":1,"a":2}"#, r#"{"a":2}"#),
        ] {
            assert_eq!(bytes(one).unwrap(), bytes(two).unwrap(), "{one} and {two}");
        }
        for (one, two) in [
            ("[1,2]", "[2,1]"),
            (r#""\ud83d""#, r#""\ud83e""#),
            (r#""\ud83d""#, r#""\ufffd""#),
            ("12345678901234567890123", "12345678901234567890124"),
            (r#"["ab","c"]"#, r#"["a","bc"]"#),
            (r#"["a"]"#, r#"[["a"]]"#),
            ("{}", "[]"),
            ("null", "\"null\""),
        ] {
            assert_ne!(bytes(one).unwrap(), bytes(two).unwrap(), "{one} and {two}");
        }
    }

    #[test]
    fn what_is_no_json_is_refused_and_nothing_deep_overflows() {
        for text in
            ["", "{", "[1,]", "nul", "1 2", "\"\n\"", "{\"a\"}", "NaN", "\"\\u12\"", "\"\\u+123\"", ".5"]
        {
            assert_eq!(bytes(text), None, "{text}");
        }
        assert_eq!(bytes(&"[".repeat(100_000)), None);
    }

    #[test]
    fn a_document_is_shown_as_json() {
        let mut out = String::new();
        show(&bytes(r#"{"b":[1.50,"x\""],"a":null}"#).unwrap(), &mut out);
        assert_eq!(out, r#"{"a":null,"b":[1.5,"x\""]}"#);
    }
}
