//! Events in structured mode: the envelope stands in the value, as the JSON event format of CloudEvents 1.0 has it.
//! `docs/reference/encodings.md` is normative.

use super::payload::Top;
use super::read::{json_violation, utf8};
use crate::envelope::{
    CAUSATION, CONTENT_TYPE, CORRELATION, DATA_SCHEMA, EFFECTIVE, ID, JSON, PARTITION_KEY, PREVIOUS, Reading,
    SEQUENCE, SOURCE, SPEC_VERSION, SUBJECT, TIME, TRACE_PARENT, TYPE, VOID, wrong,
};
use crate::headers::Headers;
use crate::json::{JsonFault, Next, Reader};
use crate::violation::{Rule, Violation};

/// What the content type of every event format begins with.
const MODE: &str = "application/cloudevents";

/// The members of an event that are attributes, and the headers that say the same in binary mode.
const ATTRIBUTES: [(&str, &str); 14] = [
    ("specversion", SPEC_VERSION),
    ("id", ID),
    ("source", SOURCE),
    ("type", TYPE),
    ("subject", SUBJECT),
    ("time", TIME),
    ("dataschema", DATA_SCHEMA),
    ("partitionkey", PARTITION_KEY),
    ("sequence", SEQUENCE),
    ("previous", PREVIOUS),
    ("correlationid", CORRELATION),
    ("causationid", CAUSATION),
    ("effectivetime", EFFECTIVE),
    ("traceparent", TRACE_PARENT),
];

/// The members of an event that are read: the attributes, then these.
const OTHERS: [&str; 3] = ["datacontenttype", "data_base64", "data"];

/// A record in binary mode: its headers and its value.
pub type Binary = (Headers, Option<Vec<u8>>);

/// Returns the record that says in binary mode what one in structured mode says; none for a record in binary mode. The data
/// stays as it was sent.
///
/// # Errors
/// HEADER with the path of the header, or of the header that the attribute would be, that is repeated, null, malformed, or
/// names a format that is not read; JSON when the value is none; SHAPE when there is no data.
pub fn to_binary(headers: &Headers, value: Option<&[u8]>) -> Result<Option<Binary>, Violation> {
    let is_so = |(name, value): (&[u8], Option<&[u8]>)| {
        name == CONTENT_TYPE.as_bytes() && value.is_some_and(|it| begins_with(it, MODE))
    };
    if !headers.iter().any(is_so) {
        return Ok(None);
    }
    judge_format(Reading::of(headers).text(CONTENT_TYPE)?)?;
    let message = "a record in structured mode without a value; a deletion is sent in binary mode";
    let value = value.ok_or_else(|| wrong(CONTENT_TYPE, message))?;
    let event = Event::read(utf8(value)?)?;
    event.judge()?;
    let mut headers = Headers::with_capacity(value.len());
    headers.push_texts(CONTENT_TYPE, &[JSON]);
    for ((_, header), text) in ATTRIBUTES.iter().zip(&event.attributes) {
        if let Some(text) = text {
            headers.push_texts(header, &[text]);
        }
    }
    Ok(Some((headers, event.data.map(|data| data.as_bytes().to_vec()))))
}

fn begins_with(bytes: &[u8], text: &str) -> bool {
    bytes.get(..text.len()).is_some_and(|start| start.eq_ignore_ascii_case(text.as_bytes()))
}

/// Judges the event format, which is JSON in UTF-8.
fn judge_format(content_type: &str) -> Result<(), Violation> {
    let mut parts = content_type.split(';').map(|part| part.trim().to_ascii_lowercase());
    let format = parts.next().unwrap_or_default();
    match format.strip_prefix(MODE) {
        Some("+json") => {}
        Some(other) if other.starts_with("-batch") => {
            let message = "a batch of events; a record holds one event, so send each as a record of its own";
            return Err(wrong(CONTENT_TYPE, message));
        }
        _ => {
            return Err(wrong(CONTENT_TYPE, "an event format that is not read here; send the event as JSON"));
        }
    }
    if parts.all(|part| matches!(part.as_str(), "charset=utf-8" | "charset=\"utf-8\"")) {
        Ok(())
    } else {
        Err(wrong(CONTENT_TYPE, "another charset than UTF-8, or a parameter that is not read here"))
    }
}

/// What of an event is read.
#[derive(Default)]
struct Event<'a> {
    /// Aligned with `ATTRIBUTES`.
    attributes: [Option<String>; ATTRIBUTES.len()],
    content_type: Option<String>,
    /// Binary data, whatever it is.
    is_binary: bool,
    data: Option<&'a str>,
}

impl<'a> Event<'a> {
    fn read(text: &'a str) -> Result<Event<'a>, Violation> {
        let names: Vec<&str> = ATTRIBUTES.iter().map(|(name, _)| *name).chain(OTHERS).collect();
        let mut event = Event::default();
        let mut broken = None;
        let mut reader = Reader::new(text);
        let mut read = || -> Result<(), JsonFault> {
            let mut top = Top::open(&mut reader)?;
            while let Some(idx) = top.next(&mut reader, &names)? {
                let is_null = reader.next()? == Next::Null;
                match names[idx] {
                    "data" => {
                        let start = reader.at();
                        reader.skip_value()?;
                        event.data = (!is_null).then(|| &text[start..reader.at()]);
                    }
                    "data_base64" => {
                        event.is_binary = !is_null;
                        reader.skip_value()?;
                    }
                    _ if is_null => reader.null()?,
                    _ if reader.next()? != Next::Text => {
                        let path = ATTRIBUTES.get(idx).map_or("ce_datacontenttype", |(_, header)| header);
                        broken.get_or_insert_with(|| wrong(path, "not a text"));
                        reader.skip_value()?;
                    }
                    "datacontenttype" => event.content_type = Some(reader.string()?.into_owned()),
                    _ => event.attributes[idx] = Some(reader.string()?.into_owned()),
                }
            }
            reader.end()
        };
        read().map_err(json_violation)?;
        broken.map_or(Ok(event), Err)
    }

    fn judge(&self) -> Result<(), Violation> {
        if self.is_binary {
            return Err(wrong("data_base64", "binary data; what a contract says travels as JSON in `data`"));
        }
        if self.content_type.as_deref().is_some_and(|it| it != JSON) {
            return Err(wrong("ce_datacontenttype", "data that is not `application/json`"));
        }
        let kind = ATTRIBUTES.iter().position(|(name, _)| *name == "type").expect("it is one of them");
        let is_void = self.attributes[kind].as_deref().is_some_and(|it| it.rsplit('.').next() == Some(VOID));
        if self.data.is_none() && !is_void {
            let message = "missing; a deletion is a record without a value, in binary mode";
            return Err(Violation::new(Rule::Shape, "data", message));
        }
        Ok(())
    }
}
