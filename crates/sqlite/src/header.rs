//! Headers of records as JSON that an operator can read.

use crate::file::corrupt;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use seamline_message::envelope::Header;
use serde_json::{Value, json};

/// Returns headers as they are stored: `[["name","text"],["name",null],["name",{"base64":"…"}]]`.
pub(crate) fn header_text(headers: &[Header]) -> String {
    let all = headers.iter().map(|header| {
        let value = header.value.as_ref().map_or(Value::Null, |bytes| match std::str::from_utf8(bytes) {
            Ok(text) => Value::String(text.to_owned()),
            Err(_) => json!({ "base64": STANDARD.encode(bytes) }),
        });
        json!([header.name, value])
    });
    Value::Array(all.collect()).to_string()
}

/// Reads headers as they are stored.
pub(crate) fn headers_of(text: &str) -> Result<Vec<Header>, sqlx::Error> {
    let stored: Vec<(String, Value)> = serde_json::from_str(text).map_err(corrupt)?;
    let header = |(name, value)| {
        let value = match value {
            Value::Null => None,
            Value::String(text) => Some(text.into_bytes()),
            coded => {
                let text = coded.get("base64").and_then(Value::as_str);
                let text = text.ok_or_else(|| corrupt("a stored header is no text, null or base64"))?;
                Some(STANDARD.decode(text).map_err(corrupt)?)
            }
        };
        Ok(Header { name, value })
    };
    stored.into_iter().map(header).collect()
}
