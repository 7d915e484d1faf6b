//! The envelope: what travels in the headers of a record, as CloudEvents 1.0 for Kafka in binary mode.

use crate::canonical;
use crate::codec::{self, avro};
use crate::headers::Headers;
use crate::seal;
use crate::sequence::Sequence;
use crate::violation::{Rule, Violation};
use jiff::Timestamp;
use seamline_contract::id::{ContractName, ContractRef, EventName, Major, Version};
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

/// The header that says how the value is written.
pub const CONTENT_TYPE: &str = "content-type";
/// The content type of canonical JSON.
pub const JSON: &str = "application/json";
pub(crate) const SPEC_VERSION: &str = "ce_specversion";
pub(crate) const ID: &str = "ce_id";
pub(crate) const SOURCE: &str = "ce_source";
pub(crate) const TYPE: &str = "ce_type";
pub(crate) const SUBJECT: &str = "ce_subject";
/// The header that says when a row was written at its source.
pub const TIME: &str = "ce_time";
pub(crate) const DATA_SCHEMA: &str = "ce_dataschema";
pub(crate) const PARTITION_KEY: &str = "ce_partitionkey";
/// The place of a row in its set.
pub(crate) const PLACE: &str = "ce_place";
pub(crate) const SEQUENCE: &str = "ce_sequence";
pub(crate) const PREVIOUS: &str = "ce_previous";
pub(crate) const CORRELATION: &str = "ce_correlationid";
pub(crate) const CAUSATION: &str = "ce_causationid";
pub(crate) const EFFECTIVE: &str = "ce_effectivetime";
pub(crate) const TRACE_PARENT: &str = "traceparent";

/// What comes before contract and version in `ce_dataschema`.
pub(crate) const SCHEMA_PREFIX: &str = "urn:seamline:";

/// What travels in the headers, as who writes it has it.
pub struct Heading<'a> {
    /// How the value is written.
    pub content_type: &'a str,
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

/// How many bytes the headers mostly have, and what keeps them apart.
const ROOM: usize = 768;

impl Heading<'_> {
    /// Returns the headers, in a fixed order.
    pub fn headers(&self) -> Headers {
        let (context, contract) = (self.name.context.as_str(), self.name.contract.as_str());
        let mut headers = Headers::with_capacity(ROOM);
        headers.push_texts(CONTENT_TYPE, &[self.content_type]);
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
            content_type: JSON,
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
    pub fn from_headers(headers: &Headers) -> Result<Envelope, Violation> {
        let read = Reading::of(headers);
        let said = read.said(None)?;
        let name = read_name(said.schema.0).expect("it was read before");
        let kind = match said.kind {
            Kind::Event(event) => MessageKind::Event(event.parse().expect("it was read before")),
            Kind::State => MessageKind::State,
            Kind::Void => MessageKind::Void,
        };
        Ok(Envelope {
            id: said.id.to_owned(),
            source: said.source.to_owned(),
            kind,
            time: said.time,
            contract: ContractRef { name, major: said.schema.1.major },
            version: said.schema.1,
            key_text: said.key_text.to_owned(),
            sequence: said.sequence,
            previous: said.previous,
            correlation: said.correlation.map(ToOwned::to_owned),
            causation: said.causation.map(ToOwned::to_owned),
            effective: said.effective.map(ToOwned::to_owned),
            traceparent: said.traceparent.map(ToOwned::to_owned),
        })
    }

    /// Reads the headers of a record of a topic of states: what `from_headers` reads, without a copy.
    ///
    /// # Errors
    /// As for `from_headers`, in the same order.
    pub fn state_of<'a>(
        headers: &'a Headers,
        contract: &ContractName,
    ) -> Result<StateHeaders<'a>, Violation> {
        let said = Reading::of(headers).said(Some(contract))?;
        Ok(StateHeaders {
            key_text: said.key_text,
            sequence: said.sequence,
            is_state: said.kind == Kind::State,
            of_contract: said.is_of,
            major: said.schema.1.major,
        })
    }
}

/// What the headers of a record say on a topic of states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateHeaders<'a> {
    /// The canonical text of the key.
    pub key_text: &'a str,
    /// The version of the key.
    pub sequence: Sequence,
    /// It is a state, and no event or void.
    pub is_state: bool,
    /// It is of the contract that was asked for.
    pub of_contract: bool,
    /// The major under which it was written.
    pub major: Major,
}

/// What a message is, as its header says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind<'a> {
    Event(&'a str),
    State,
    Void,
}

/// An envelope as texts of the headers.
struct Said<'a> {
    id: &'a str,
    source: &'a str,
    kind: Kind<'a>,
    time: Timestamp,
    /// The contract's name and its version.
    schema: (&'a str, Version),
    /// The name is the one that was expected.
    is_of: bool,
    key_text: &'a str,
    sequence: Sequence,
    previous: Option<Sequence>,
    correlation: Option<&'a str>,
    causation: Option<&'a str>,
    effective: Option<&'a str>,
    traceparent: Option<&'a str>,
}

pub(crate) fn wrong(header: &str, message: &str) -> Violation {
    Violation::new(Rule::Header, format!("headers.{header}"), message)
}

fn read_name(text: &str) -> Option<ContractName> {
    let (context, contract) = text.split_once('/')?;
    Some(ContractName { context: context.parse().ok()?, contract: contract.parse().ok()? })
}

pub(crate) fn read_schema(text: &str) -> Option<(ContractName, Version)> {
    let (name, version) = text.strip_prefix(SCHEMA_PREFIX)?.split_once('@')?;
    Some((read_name(name)?, version.parse().ok()?))
}

/// Returns whether a text is the name of a contract.
fn is_name(text: &str, name: &ContractName) -> bool {
    let rest = text.strip_prefix(name.context.as_str()).and_then(|rest| rest.strip_prefix('/'));
    rest == Some(name.contract.as_str())
}

/// Reads `context.contract.kind` of a contract's name.
fn read_kind<'a>(text: &'a str, (context, contract): (&str, &str)) -> Option<Kind<'a>> {
    let rest = text.strip_prefix(context)?.strip_prefix('.')?;
    match rest.strip_prefix(contract)?.strip_prefix('.')? {
        STATE => Some(Kind::State),
        VOID => Some(Kind::Void),
        event => event.parse::<EventName>().ok().map(|_| Kind::Event(event)),
    }
}

/// The headers of ours, in the order of the alphabet.
const OURS: [&str; 16] = [
    CAUSATION,
    CORRELATION,
    DATA_SCHEMA,
    EFFECTIVE,
    ID,
    PARTITION_KEY,
    PLACE,
    PREVIOUS,
    SEQUENCE,
    SOURCE,
    SPEC_VERSION,
    SUBJECT,
    TIME,
    TYPE,
    CONTENT_TYPE,
    TRACE_PARENT,
];

/// A header as it came.
#[derive(Clone, Copy)]
enum Came<'a> {
    Never,
    Once(Option<&'a [u8]>),
    Twice,
}

/// The headers of a record as they came, each of ours at its place in `OURS`.
pub(crate) struct Reading<'a>([Came<'a>; OURS.len()]);

impl<'a> Reading<'a> {
    pub(crate) fn of(headers: &'a Headers) -> Reading<'a> {
        let mut came = [Came::Never; OURS.len()];
        for (name, value) in headers {
            if let Some(idx) = OURS.iter().position(|ours| ours.as_bytes() == name) {
                came[idx] = match came[idx] {
                    Came::Never => Came::Once(value),
                    Came::Once(_) | Came::Twice => Came::Twice,
                };
            }
        }
        Reading(came)
    }

    /// Returns the contract and the version of a message in JSON, and what its type says of that contract; none: of another.
    pub(crate) fn of_contract(&self) -> Result<(ContractRef, Version, Option<&'a str>), Violation> {
        if self.text(SPEC_VERSION)? != "1.0" {
            return Err(wrong(SPEC_VERSION, "a version of CloudEvents that is not read here"));
        }
        if !matches!(self.optional(CONTENT_TYPE)?, None | Some(JSON)) {
            return Err(wrong(CONTENT_TYPE, "an encoding that is not read here"));
        }
        let (name, version) = read_schema(self.text(DATA_SCHEMA)?)
            .ok_or_else(|| wrong(DATA_SCHEMA, "not a contract with a version"))?;
        let contract = ContractRef { name, major: version.major };
        let prefix = format!("{}.{}.", contract.name.context, contract.name.contract);
        let of = self.text(TYPE)?.strip_prefix(&prefix);
        Ok((contract, version, of))
    }

    pub(crate) fn optional(&self, name: &str) -> Result<Option<&'a str>, Violation> {
        let idx = OURS.iter().position(|ours| *ours == name).expect("it is one of ours");
        let bytes = match self.0[idx] {
            Came::Never => return Ok(None),
            Came::Twice => return Err(wrong(name, "there twice")),
            Came::Once(value) => value.ok_or_else(|| wrong(name, "null"))?,
        };
        let text = std::str::from_utf8(bytes).map_err(|_| wrong(name, "not UTF-8"))?;
        if bytes.contains(&0) { Err(wrong(name, "U+0000 in it")) } else { Ok(Some(text)) }
    }

    pub(crate) fn text(&self, name: &str) -> Result<&'a str, Violation> {
        self.optional(name)?.filter(|text| !text.is_empty()).ok_or_else(|| wrong(name, "missing"))
    }

    /// Reads them all. A name that is as expected is known to be one.
    fn said(&self, expected: Option<&ContractName>) -> Result<Said<'a>, Violation> {
        if self.text(SPEC_VERSION)? != "1.0" {
            return Err(wrong(SPEC_VERSION, "a version of CloudEvents that is not read here"));
        }
        if !matches!(
            self.optional(CONTENT_TYPE)?,
            None | Some(JSON | avro::CONTENT_TYPE | seal::CONTENT_TYPE)
        ) {
            return Err(wrong(CONTENT_TYPE, "an encoding that is not read here"));
        }
        let no_schema = || wrong(DATA_SCHEMA, "not a contract with a version");
        let schema =
            self.text(DATA_SCHEMA)?.strip_prefix(SCHEMA_PREFIX).and_then(|text| text.split_once('@'));
        let (name, version) = schema.ok_or_else(no_schema)?;
        let is_of = expected.is_some_and(|expected| is_name(name, expected));
        if !is_of && read_name(name).is_none() {
            return Err(no_schema());
        }
        let version: Version = version.parse().map_err(|_| no_schema())?;
        let (context, contract) = name.split_once('/').ok_or_else(no_schema)?;
        let kind = read_kind(self.text(TYPE)?, (context, contract))
            .ok_or_else(|| wrong(TYPE, "not an event, `state` or `void` of the contract of the schema"))?;
        let source = self.text(SOURCE)?;
        if source.strip_prefix('/') != Some(context) {
            return Err(wrong(SOURCE, "not the context of the schema"));
        }
        let key_text = self.text(SUBJECT)?;
        if self.optional(PARTITION_KEY)?.is_some_and(|key| key != key_text) {
            return Err(wrong(PARTITION_KEY, "not the subject"));
        }
        let sequence =
            |name: &str, text: &str| text.parse().map_err(|_| wrong(name, "not a sequence of 19 digits"));
        let instant = |text: &str| codec::instant(text).or_else(|| text.parse().ok());
        Ok(Said {
            id: self.text(ID)?,
            source,
            kind,
            time: instant(self.text(TIME)?).ok_or_else(|| wrong(TIME, "not an instant of RFC 3339"))?,
            schema: (name, version),
            is_of,
            key_text,
            sequence: sequence(SEQUENCE, self.text(SEQUENCE)?)?,
            previous: self.optional(PREVIOUS)?.map(|text| sequence(PREVIOUS, text)).transpose()?,
            correlation: self.optional(CORRELATION)?,
            causation: self.optional(CAUSATION)?,
            effective: self.optional(EFFECTIVE)?,
            traceparent: self.optional(TRACE_PARENT)?,
        })
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
        Envelope::from_headers(&headers.into()).err().map(|violation| violation.path)
    }

    fn set(headers: &mut [Header], name: &str, value: Option<&[u8]>) {
        let header = headers.iter_mut().find(|header| header.name == name).unwrap();
        header.value = value.map(<[u8]>::to_vec);
    }

    #[test]
    fn an_envelope_reads_as_it_was_written() {
        for kind in [MessageKind::State, MessageKind::Void, envelope().kind] {
            let envelope = Envelope { kind, ..envelope() };
            assert_eq!(Envelope::from_headers(&envelope.to_headers().into()).unwrap(), envelope);
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
