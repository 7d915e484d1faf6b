//! Headers of records as databases keep them: JSON that an operator can read.

use crate::envelope::Header;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// Returns headers as they are stored: `[["name","text"],["name",null],["name",{"base64":"…"}]]`.
pub fn header_text(headers: &[Header]) -> String {
    let mut text = "[".to_owned();
    for (idx, header) in headers.iter().enumerate() {
        text.push_str(if idx == 0 { "[" } else { ",[" });
        push_string(&mut text, &header.name);
        text.push(',');
        match header.value.as_deref().map(|bytes| (bytes, std::str::from_utf8(bytes))) {
            None => text.push_str("null"),
            Some((_, Ok(value))) => push_string(&mut text, value),
            // The letters of base64 need no escape.
            Some((bytes, Err(_))) => text.extend(["{\"base64\":\"", &STANDARD.encode(bytes), "\"}"]),
        }
        text.push(']');
    }
    text.push(']');
    text
}

/// Appends a JSON string. Most need no escape, and are copied as a whole.
fn push_string(text: &mut String, value: &str) {
    if value.bytes().any(|byte| byte < b' ' || byte == b'"' || byte == b'\\') {
        text.push_str(&Value::from(value).to_string());
    } else {
        text.extend(["\"", value, "\""]);
    }
}

/// A stored text that is none of headers.
#[derive(Debug, thiserror::Error)]
#[error("stored headers cannot be read: {0}")]
pub struct NoHeaders(String);

/// Reads headers as they are stored.
///
/// # Errors
/// When the text was not written by `header_text`.
pub fn headers_of(text: &str) -> Result<Vec<Header>, NoHeaders> {
    let corrupt = |what: &dyn std::fmt::Display| NoHeaders(what.to_string());
    let stored: Vec<(String, Value)> = serde_json::from_str(text).map_err(|error| corrupt(&error))?;
    let header = |(name, value)| {
        let value = match value {
            Value::Null => None,
            Value::String(text) => Some(text.into_bytes()),
            coded => {
                let text = coded.get("base64").and_then(Value::as_str);
                let text = text.ok_or_else(|| corrupt(&"one is no text, null or base64"))?;
                Some(STANDARD.decode(text).map_err(|error| corrupt(&error))?)
            }
        };
        Ok(Header { name, value })
    };
    stored.into_iter().map(header).collect()
}

#[cfg(test)]
mod tests {
    use super::{header_text, headers_of};
    use crate::envelope::Header;

    #[test]
    fn headers_are_stored_as_json_and_read_as_they_were() {
        let header = |name: &str, value: Option<&[u8]>| Header {
            name: name.to_owned(),
            value: value.map(ToOwned::to_owned),
        };
        let headers = [
            header("plain", Some(b"[1]")),
            header("esc\"aped", Some(b"[\"P\\1\"]\n")),
            header("none", None),
            header("none", Some(b"")),
            header("bytes", Some(&[0xff, 0])),
        ];
        let text = header_text(&headers);
        let json = r#"[["plain","[1]"],["esc\"aped","[\"P\\1\"]\n"],["none",null],["none",""],["bytes",{"base64":"/wA="}]]"#;
        assert_eq!(text, json);
        assert_eq!(headers_of(&text).unwrap(), headers);
        assert_eq!(header_text(&[]), "[]");
    }
}
