//! What travels in the headers of an errand: a command on its way to the owner, or its outcome on its way back.

use crate::canonical;
use crate::envelope::{
    CAUSATION, CONTENT_TYPE, CORRELATION, DATA_SCHEMA, Header, ID, JSON, PARTITION_KEY, Reading,
    SCHEMA_PREFIX, SOURCE, SPEC_VERSION, SUBJECT, TIME, TRACE_PARENT, TYPE, wrong,
};
use crate::headers::Headers;
use crate::violation::Violation;
use jiff::Timestamp;
use seamline_contract::id::{CommandName, ContextId, ContractRef, Version};
use seamline_contract::value::Value;

/// What an errand is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ErrandKind {
    /// A command of the contract.
    Command(CommandName),
    /// How a command ended.
    Outcome,
}

/// What travels in the headers of an errand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Errand {
    /// The id of a command, unique at its sender; that of an outcome is its command's.
    pub id: String,
    /// Who says it.
    pub from: ContextId,
    /// What it is.
    pub kind: ErrandKind,
    /// When it was said.
    pub time: Timestamp,
    /// The contract of the receiver of commands, at a major.
    pub contract: ContractRef,
    /// The version that wrote it; of the same major.
    pub version: Version,
    /// The canonical text of the key.
    pub key_text: String,
    /// Of a command: what request or process it belongs to. Of an outcome it is the command's id.
    pub correlation: Option<String>,
    /// The message that caused it.
    pub causation: Option<String>,
    /// The trace, as W3C Trace Context writes it.
    pub traceparent: Option<String>,
}

impl Errand {
    /// Returns the headers, in a fixed order.
    ///
    /// # Panics
    /// Never: an instant has a text.
    pub fn to_headers(&self) -> Vec<Header> {
        let name = &self.contract.name;
        let (kind, id, correlation) = match &self.kind {
            ErrandKind::Command(command) => (command.as_str(), self.id.clone(), self.correlation.clone()),
            ErrandKind::Outcome => ("outcome", format!("{}/outcome", self.id), Some(self.id.clone())),
        };
        let time = canonical::text(&Value::Timestamp(self.time)).expect("an instant has a text");
        let headers = [
            (CONTENT_TYPE, Some(JSON.to_owned())),
            (SPEC_VERSION, Some("1.0".to_owned())),
            (ID, Some(id)),
            (SOURCE, Some(format!("/{}", self.from))),
            (TYPE, Some(format!("{}.{}.{kind}", name.context, name.contract))),
            (SUBJECT, Some(self.key_text.clone())),
            (TIME, Some(time)),
            (DATA_SCHEMA, Some(format!("{SCHEMA_PREFIX}{name}@{}", self.version))),
            (PARTITION_KEY, Some(self.key_text.clone())),
            (CORRELATION, correlation),
            (CAUSATION, self.causation.clone()),
            (TRACE_PARENT, self.traceparent.clone()),
        ];
        let header = |(name, value): (&str, Option<String>)| {
            Some(Header { name: name.to_owned(), value: Some(value?.into_bytes()) })
        };
        headers.into_iter().filter_map(header).collect()
    }

    /// Reads the headers of a record. Headers of others are ignored.
    ///
    /// # Errors
    /// HEADER with the path of the header that is missing, repeated, null, not UTF-8, malformed or at odds with another.
    pub fn from_headers(headers: &Headers) -> Result<Errand, Violation> {
        let read = Reading::of(headers);
        let (contract, version, of) = read.of_contract()?;
        let kind = match of {
            Some("outcome") => Some(ErrandKind::Outcome),
            other => other.and_then(|command| command.parse().ok()).map(ErrandKind::Command),
        };
        let kind =
            kind.ok_or_else(|| wrong(TYPE, "not a command or `outcome` of the contract of the schema"))?;
        let from = read.text(SOURCE)?.strip_prefix('/').and_then(|source| source.parse::<ContextId>().ok());
        let from = from.ok_or_else(|| wrong(SOURCE, "not a context"))?;
        let correlation = read.optional(CORRELATION)?.map(ToOwned::to_owned);
        let id = match &kind {
            ErrandKind::Command(_) => read.text(ID)?.to_owned(),
            ErrandKind::Outcome => {
                correlation.clone().ok_or_else(|| wrong(CORRELATION, "missing: whose outcome is it"))?
            }
        };
        let key_text = read.text(SUBJECT)?;
        if read.optional(PARTITION_KEY)?.is_some_and(|key| key != key_text) {
            return Err(wrong(PARTITION_KEY, "not the subject"));
        }
        Ok(Errand {
            id,
            from,
            kind,
            time: read.text(TIME)?.parse().map_err(|_| wrong(TIME, "not an instant of RFC 3339"))?,
            contract,
            version,
            key_text: key_text.to_owned(),
            correlation,
            causation: read.optional(CAUSATION)?.map(ToOwned::to_owned),
            traceparent: read.optional(TRACE_PARENT)?.map(ToOwned::to_owned),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Errand, ErrandKind};

    fn errand(kind: ErrandKind) -> Errand {
        let is_outcome = kind == ErrandKind::Outcome;
        Errand {
            id: "c-1".to_owned(),
            from: if is_outcome { "order" } else { "fraud" }.parse().unwrap(),
            kind,
            time: "2026-01-02T03:04:05.000006Z".parse().unwrap(),
            contract: "order/order@1".parse().unwrap(),
            version: "1.0.0".parse().unwrap(),
            key_text: "[\"7\"]".to_owned(),
            correlation: Some(if is_outcome { "c-1" } else { "review-9" }.to_owned()),
            causation: None,
            traceparent: None,
        }
    }

    #[test]
    fn an_errand_reads_as_it_was_written() {
        for kind in [ErrandKind::Command("CorrectShippingAddress".parse().unwrap()), ErrandKind::Outcome] {
            let errand = errand(kind);
            assert_eq!(Errand::from_headers(&errand.to_headers().into()).unwrap(), errand);
        }
    }

    #[test]
    fn a_broken_header_is_named() {
        let headers = errand(ErrandKind::Outcome).to_headers();
        for name in ["ce_id", "ce_type", "ce_source", "ce_subject", "ce_time", "ce_correlationid"] {
            let mut headers = headers.clone();
            headers.retain(|header| header.name != name || name == "ce_id");
            let read = Errand::from_headers(&headers.into()).map_err(|violation| violation.path);
            match name {
                // That of an outcome is its own; whose it is, is its correlation.
                "ce_id" => assert!(read.is_ok()),
                _ => assert_eq!(read, Err(format!("headers.{name}"))),
            }
        }
    }
}
