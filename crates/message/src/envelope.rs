//! The envelope: what travels in the headers of a record, as CloudEvents 1.0 for Kafka in binary mode.

use crate::canonical;
use crate::headers::Headers;
use crate::sequence::Sequence;
use crate::violation::{Rule, Violation};
use jiff::Timestamp;
use seamline_contract::id::{ContractName, ContractRef, EventName, Version};
use seamline_contract::value::Value;
use std::fmt;

/// A header of a record. Names can repeat, values can be absent or any bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The name.
    pub name: String,
    /// The bytes.
    pub value: Option<Vec<u8>>,
}

/// What a message is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MessageKind {
    /// An event of the contract.
    Event(EventName),
    /// The state of a key, or its deletion.
    State,
    /// What stands in the chain in place of an event that was discarded or lost.
    Void,
}

/// What travels in the headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// The id of the message, unique in its source.
    pub id: String,
    /// Who says it, `/context`.
    pub source: String,
    /// What it is.
    pub kind: MessageKind,
    /// When it was committed.
    pub time: Timestamp,
    /// The contract at a major.
    pub contract: ContractRef,
    /// The version that wrote it; of the same major.
    pub version: Version,
    /// The canonical text of the key.
    pub key_text: String,
    /// The version of the key.
    pub sequence: Sequence,
    /// The key's sequence before it on this topic; none begins a chain.
    pub previous: Option<Sequence>,
    /// What request or process it belongs to.
    pub correlation: Option<String>,
    /// The message that caused it.
    pub causation: Option<String>,
    /// When it takes effect, a day or an instant.
    pub effective: Option<String>,
    /// The trace, as W3C Trace Context writes it.
    pub traceparent: Option<String>,
}

pub(crate) const CONTENT_TYPE: &str = "content-type";
pub(crate) const JSON: &str = "application/json";
pub(crate) const SPEC_VERSION: &str = "ce_specversion";
pub(crate) const ID: &str = "ce_id";
pub(crate) const SOURCE: &str = "ce_source";
pub(crate) const TYPE: &str = "ce_type";
pub(crate) const SUBJECT: &str = "ce_subject";
/// The header that says when a row was written at its source.
pub const TIME: &str = "ce_time";
pub(crate) const DATA_SCHEMA: &str = "ce_dataschema";
pub(crate) const PARTITION_KEY: &str = "ce_partitionkey";
const SEQUENCE: &str = "ce_sequence";
const PREVIOUS: &str = "ce_previous";
pub(crate) const CORRELATION: &str = "ce_correlationid";
pub(crate) const CAUSATION: &str = "ce_causationid";
const EFFECTIVE: &str = "ce_effectivetime";
pub(crate) const TRACE_PARENT: &str = "traceparent";

/// What comes before contract and version in `ce_dataschema`.
pub(crate) const SCHEMA_PREFIX: &str = "urn:seamline:";

/// What travels in the headers, as who writes it has it.
pub struct Heading<'a> {
    /// The id of the message, unique in its source.
    pub id: &'a dyn fmt::Display,
    /// Who says it, `/context`.
    pub source: &'a str,
    /// The event, `state` or `void`.
    pub kind: &'a str,
    /// When it was committed, in canonical form.
    pub time: &'a str,
    /// The contract.
    pub name: &'a ContractName,
    /// The version that writes it.
    pub version: Version,
    /// The canonical text of the key.
    pub key_text: &'a str,
    /// The version of the key.
    pub sequence: Sequence,
    /// The key's sequence before it on this topic; none begins a chain.
    pub previous: Option<Sequence>,
    /// What request or process it belongs to.
    pub correlation: Option<&'a str>,
    /// The message that caused it.
    pub causation: Option<&'a str>,
    /// When it takes effect, in canonical form.
    pub effective: Option<&'a str>,
    /// The trace.
    pub traceparent: Option<&'a str>,
}

/// What the kinds are called that are no events.
pub const STATE: &str = "state";
/// What stands in the place of an event.
pub const VOID: &str = "void";

/// How many headers there are at most, and how many bytes they mostly have.
const ROOM: (usize, usize) = (16, 640);

impl Heading<'_> {
    /// Returns the headers, in a fixed order.
    pub fn headers(&self) -> Headers {
        let (context, contract) = (self.name.context.as_str(), self.name.contract.as_str());
        let mut headers = Headers::with_capacity(ROOM.0, ROOM.1);
        headers.push_texts(CONTENT_TYPE, &[JSON]);
        headers.push_texts(SPEC_VERSION, &["1.0"]);
        headers.push_printed(ID, format_args!("{}", self.id));
        headers.push_texts(SOURCE, &[self.source]);
        headers.push_texts(TYPE, &[context, ".", contract, ".", self.kind]);
        headers.push_texts(SUBJECT, &[self.key_text]);
        headers.push_texts(TIME, &[self.time]);
        headers
            .push_printed(DATA_SCHEMA, format_args!("{SCHEMA_PREFIX}{context}/{contract}@{}", self.version));
        headers.push_texts(PARTITION_KEY, &[self.key_text]);
        headers.push_printed(SEQUENCE, format_args!("{}", self.sequence));
        if let Some(previous) = self.previous {
            headers.push_printed(PREVIOUS, format_args!("{previous}"));
        }
        let optional = [
            (CORRELATION, self.correlation),
            (CAUSATION, self.causation),
            (EFFECTIVE, self.effective),
            (TRACE_PARENT, self.traceparent),
        ];
        for (name, value) in optional {
            if let Some(value) = value {
                headers.push_texts(name, &[value]);
            }
        }
        headers
    }
}

impl Envelope {
    /// Returns the headers, in a fixed order.
    pub fn to_headers(&self) -> Vec<Header> {
        let time = canonical::text(&Value::Timestamp(self.time)).expect("an instant has a text");
        let heading = Heading {
            id: &self.id,
            source: &self.source,
            kind: match &self.kind {
                MessageKind::Event(event) => event.as_str(),
                MessageKind::State => STATE,
                MessageKind::Void => VOID,
            },
            time: &time,
            name: &self.contract.name,
            version: self.version,
            key_text: &self.key_text,
            sequence: self.sequence,
            previous: self.previous,
            correlation: self.correlation.as_deref(),
            causation: self.causation.as_deref(),
            effective: self.effective.as_deref(),
            traceparent: self.traceparent.as_deref(),
        };
        heading.headers().to_vec()
    }

    /// Reads the headers of a record. Headers of others are ignored.
    ///
    /// # Errors
    /// HEADER with the path of the header that is missing, repeated, null, not UTF-8, malformed or at odds with another.
    pub fn from_headers(headers: &[Header]) -> Result<Envelope, Violation> {
        let read = Came(headers);
        if read.text(SPEC_VERSION)? != "1.0" {
            return Err(wrong(SPEC_VERSION, "a version of CloudEvents that is not read here"));
        }
        if !matches!(read.optional(CONTENT_TYPE)?, None | Some(JSON)) {
            return Err(wrong(CONTENT_TYPE, "an encoding that is not read here"));
        }
        let (name, version) = read_schema(read.text(DATA_SCHEMA)?)
            .ok_or_else(|| wrong(DATA_SCHEMA, "not a contract with a version"))?;
        let kind = read_kind(read.text(TYPE)?, &name)
            .ok_or_else(|| wrong(TYPE, "not an event, `state` or `void` of the contract of the schema"))?;
        let source = read.text(SOURCE)?;
        if source.strip_prefix('/') != Some(name.context.as_str()) {
            return Err(wrong(SOURCE, "not the context of the schema"));
        }
        let key_text = read.text(SUBJECT)?;
        if read.optional(PARTITION_KEY)?.is_some_and(|key| key != key_text) {
            return Err(wrong(PARTITION_KEY, "not the subject"));
        }
        let sequence =
            |name: &str, text: &str| text.parse().map_err(|_| wrong(name, "not a sequence of 19 digits"));
        Ok(Envelope {
            id: read.text(ID)?.to_owned(),
            source: source.to_owned(),
            kind,
            time: read.text(TIME)?.parse().map_err(|_| wrong(TIME, "not an instant of RFC 3339"))?,
            contract: ContractRef { name, major: version.major },
            version,
            key_text: key_text.to_owned(),
            sequence: sequence(SEQUENCE, read.text(SEQUENCE)?)?,
            previous: read.optional(PREVIOUS)?.map(|text| sequence(PREVIOUS, text)).transpose()?,
            correlation: read.optional(CORRELATION)?.map(ToOwned::to_owned),
            causation: read.optional(CAUSATION)?.map(ToOwned::to_owned),
            effective: read.optional(EFFECTIVE)?.map(ToOwned::to_owned),
            traceparent: read.optional(TRACE_PARENT)?.map(ToOwned::to_owned),
        })
    }
}

pub(crate) fn wrong(header: &str, message: &str) -> Violation {
    Violation::new(Rule::Header, format!("headers.{header}"), message)
}

pub(crate) fn read_schema(text: &str) -> Option<(ContractName, Version)> {
    let (name, version) = text.strip_prefix(SCHEMA_PREFIX)?.split_once('@')?;
    let (context, contract) = name.split_once('/')?;
    let name = ContractName { context: context.parse().ok()?, contract: contract.parse().ok()? };
    Some((name, version.parse().ok()?))
}

fn read_kind(text: &str, name: &ContractName) -> Option<MessageKind> {
    let rest = text.strip_prefix(name.context.as_str())?.strip_prefix('.')?;
    match rest.strip_prefix(name.contract.as_str())?.strip_prefix('.')? {
        STATE => Some(MessageKind::State),
        VOID => Some(MessageKind::Void),
        event => event.parse().ok().map(MessageKind::Event),
    }
}

/// The headers of a record as they came.
pub(crate) struct Came<'a>(pub(crate) &'a [Header]);

impl<'a> Came<'a> {
    pub(crate) fn optional(&self, name: &str) -> Result<Option<&'a str>, Violation> {
        let mut found = self.0.iter().filter(|header| header.name == name);
        let Some(header) = found.next() else { return Ok(None) };
        if found.next().is_some() {
            return Err(wrong(name, "there twice"));
        }
        let bytes = header.value.as_deref().ok_or_else(|| wrong(name, "null"))?;
        let text = std::str::from_utf8(bytes).map_err(|_| wrong(name, "not UTF-8"))?;
        if text.contains('\0') { Err(wrong(name, "U+0000 in it")) } else { Ok(Some(text)) }
    }

    pub(crate) fn text(&self, name: &str) -> Result<&'a str, Violation> {
        self.optional(name)?.filter(|text| !text.is_empty()).ok_or_else(|| wrong(name, "missing"))
    }
}

#[cfg(test)]
mod tests {
    use super::{Envelope, Header, MessageKind};
    use crate::sequence::Sequence;

    fn envelope() -> Envelope {
        Envelope {
            id: "0000000000000000042-policy".into(),
            source: "/policy-administration".into(),
            kind: MessageKind::Event("PolicySuspended".parse().unwrap()),
            time: "2026-01-02T03:04:05.000006Z".parse().unwrap(),
            contract: "policy-administration/policy@2".parse().unwrap(),
            version: "2.1.0".parse().unwrap(),
            key_text: "[\"P-00000001\"]".into(),
            sequence: Sequence(42),
            previous: Some(Sequence(41)),
            correlation: Some("a".into()),
            causation: None,
            effective: Some("2026-01-01".into()),
            traceparent: None,
        }
    }

    /// Changes the headers of an envelope and returns the path of what is then wrong; none when nothing is.
    fn refused(change: impl FnOnce(&mut Vec<Header>)) -> Option<String> {
        let mut headers = envelope().to_headers();
        change(&mut headers);
        Envelope::from_headers(&headers).err().map(|violation| violation.path)
    }

    fn set(headers: &mut [Header], name: &str, value: Option<&[u8]>) {
        let header = headers.iter_mut().find(|header| header.name == name).unwrap();
        header.value = value.map(<[u8]>::to_vec);
    }

    #[test]
    fn an_envelope_reads_as_it_was_written() {
        for kind in [MessageKind::State, MessageKind::Void, envelope().kind] {
            let envelope = Envelope { kind, ..envelope() };
            assert_eq!(Envelope::from_headers(&envelope.to_headers()).unwrap(), envelope);
        }
    }

    #[test]
    fn headers_of_others_are_ignored_even_null_binary_or_repeated() {
        assert_eq!(
            refused(|headers| {
                for value in [None, Some(vec![0xff])] {
                    headers.push(Header { name: "x-other".into(), value });
                }
            }),
            None
        );
    }

    #[test]
    fn a_broken_header_is_named() {
        for name in [
            "ce_id",
            "ce_type",
            "ce_source",
            "ce_subject",
            "ce_time",
            "ce_dataschema",
            "ce_sequence",
            "ce_previous",
        ] {
            let path = Some(format!("headers.{name}"));
            assert_eq!(refused(|headers| set(headers, name, None)), path, "null {name}");
            assert_eq!(refused(|headers| set(headers, name, Some(b"\xff"))), path, "binary {name}");
            assert_eq!(refused(|headers| set(headers, name, Some(b"a\0"))), path, "NUL in {name}");
            assert_eq!(
                refused(|headers| headers.push(Header { name: name.into(), value: None })),
                path,
                "repeated {name}"
            );
            if name != "ce_previous" {
                assert_eq!(
                    refused(|headers| headers.retain(|header| header.name != name)),
                    path,
                    "missing {name}"
                );
            }
        }
    }

    #[test]
    fn headers_at_odds_are_refused() {
        for (name, value) in [
            ("ce_type", "policy-administration.policy.lowercase"),
            ("ce_type", "claims.policy.state"),
            ("ce_source", "/claims"),
            ("ce_partitionkey", "[\"P-00000002\"]"),
            ("ce_sequence", "42"),
            ("ce_dataschema", "urn:seamline:policy-administration/policy@2"),
            ("ce_specversion", "0.3"),
            ("ce_time", "yesterday"),
        ] {
            assert_eq!(
                refused(|headers| set(headers, name, Some(value.as_bytes()))),
                Some(format!("headers.{name}"))
            );
        }
    }
}
