//! Opening a state record: its envelope, its key, its digest, and the row it asks for or why there is none.

use crate::case::{CaseKind, NewCase};
use crate::hold::details;
use crate::intake::Intake;
use crate::log::Incoming;
use crate::store::{AsideCause, AsideRecord, Lane};
use jiff::Timestamp;
use seamline_contract::id::Major;
use seamline_contract::value::Value;
use seamline_message::codec::TypedKey;
use seamline_message::digest::{Digest, DigestKey, Domain, digest, written};
use seamline_message::envelope::Envelope;
use seamline_message::key::RecordKey;
use seamline_message::sequence::Sequence;
use seamline_message::violation::{Rule, Violation};

/// A state record.
#[derive(Debug, Clone, PartialEq)]
pub enum Opened {
    /// It has no usable key or envelope: nothing tells whose state it is.
    Foreign {
        /// The digest of its bytes.
        digest: Digest,
        /// What is wrong first.
        violation: Violation,
    },
    /// It is of a key, at a sequence.
    Known {
        /// The key.
        key: RecordKey,
        /// The sequence.
        sequence: Sequence,
        /// The digest as received.
        digest: Digest,
        /// What it asks for.
        content: Content,
    },
}

/// What a state record asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// A row of these columns, with their digest as they should be stored.
    Row(Vec<Value>, Digest),
    /// The end of the key, with the digest of no columns.
    End(Digest),
    /// Nothing: it breaks its contract.
    Invalid(Violation),
}

/// Opens a state record, and derives its row.
pub fn open(intake: &Intake, secret: &DigestKey, record: &Incoming) -> Opened {
    let raw_key = record.key.as_deref();
    let raw = || {
        digest(secret, Domain::Raw, raw_key.unwrap_or_default(), record.value.as_deref().unwrap_or_default())
    };
    let (typed, sequence, major) = match identify_state(intake, record) {
        Ok(identified) => identified,
        Err(violation) => return Opened::Foreign { digest: raw(), violation },
    };
    let key = typed.key.clone();
    let Some(value) = &record.value else {
        let received = digest(secret, Domain::Tombstone, key.as_bytes(), &[]);
        let content = Content::End(written(secret, key.as_bytes(), &[]));
        return Opened::Known { key, sequence, digest: received, content };
    };
    let (row, state) = match intake.decode_state(major, typed, value) {
        Ok(read) => read,
        Err(violation) => {
            return Opened::Known { key, sequence, digest: raw(), content: Content::Invalid(violation) };
        }
    };
    let received = digest(secret, Domain::State, key.as_bytes(), &value[state]);
    let content = match intake.derive(row) {
        Ok(values) => {
            let stored = written_row(intake, secret, &key, &values);
            Content::Row(values, stored)
        }
        Err(violation) => Content::Invalid(violation),
    };
    Opened::Known { key, sequence, digest: received, content }
}

/// Returns the digest of a row of the projection; of no columns without one.
pub fn written_row(intake: &Intake, secret: &DigestKey, key: &RecordKey, values: &[Value]) -> Digest {
    match intake.table() {
        Some(state) => state.written.written(secret, key.as_bytes(), values),
        None => written(secret, key.as_bytes(), &[]),
    }
}

/// Returns the key, the sequence and the major of a state of this contract.
fn identify_state(intake: &Intake, record: &Incoming) -> Result<(TypedKey, Sequence, Major), Violation> {
    let typed = intake.codec.typed_key(record.key.as_deref())?;
    let said = Envelope::state_of(&record.headers, &intake.contract.name)?;
    agree(intake, &typed.key, (said.of_contract, said.major), said.key_text)?;
    if said.is_state {
        Ok((typed, said.sequence, said.major))
    } else {
        Err(Violation::new(Rule::Schema, "headers.ce_type", "not a state"))
    }
}

/// Returns the key and the envelope of a record of this contract, in its major or an older one whose history is read.
///
/// # Errors
/// What is wrong first.
pub fn identify(intake: &Intake, record: &Incoming) -> Result<(RecordKey, Envelope), Violation> {
    let key = intake.codec.decode_key(record.key.as_deref())?;
    let envelope = Envelope::from_headers(&record.headers)?;
    agree(
        intake,
        &key,
        (envelope.contract.name == intake.contract.name, envelope.contract.major),
        &envelope.key_text,
    )?;
    Ok((key, envelope))
}

/// Judges whether a record is of this contract, in its major or an older one whose history is read, and of its key.
fn agree(
    intake: &Intake,
    key: &RecordKey,
    (of_contract, major): (bool, Major),
    key_text: &str,
) -> Result<(), Violation> {
    let is_read = major == intake.contract.major || intake.eras.contains_key(&major);
    if !of_contract || !is_read {
        return Err(Violation::new(Rule::Schema, "headers.ce_dataschema", "of another contract or major"));
    }
    if key_text != key.as_str() {
        return Err(Violation::new(Rule::Key, "headers.ce_subject", "another key than that of the record"));
    }
    Ok(())
}

/// What is kept of a record that goes aside, beside the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AsideFacts {
    /// The key, where it has a canonical one.
    pub key: Option<RecordKey>,
    /// The sequence, where it has one.
    pub sequence: Option<Sequence>,
    /// The digest.
    pub received: Digest,
    /// Why it goes aside.
    pub cause: AsideCause,
}

/// Returns a record for quarantine, exactly as it was read.
pub fn aside(lane: &Lane, record: &Incoming, facts: AsideFacts, now: Timestamp) -> AsideRecord {
    AsideRecord {
        lane: lane.clone(),
        offset: record.offset,
        key: facts.key,
        sequence: facts.sequence,
        received: facts.received,
        cause: facts.cause,
        raw_key: record.key.clone(),
        headers: record.headers.to_vec(),
        value: record.value.clone(),
        since: now,
    }
}

/// Returns a violation as a cause for quarantine.
pub fn invalid(violation: &Violation) -> AsideCause {
    AsideCause::Invalid {
        rule: violation.rule.to_string(),
        path: violation.path.clone(),
        message: violation.message.clone(),
    }
}

/// The case of a record that breaks its contract: one for each rule and place.
pub fn quarantine_case(
    intake: &Intake,
    lane: &Lane,
    offset: u64,
    key: Option<&RecordKey>,
    broken: &Violation,
) -> NewCase {
    let key = key.map_or_else(|| "none".to_owned(), ToString::to_string);
    let ours = broken.path.starts_with("into.");
    let owed_by = if ours { intake.consumer().clone() } else { intake.contract.name.context.clone() };
    NewCase {
        kind: CaseKind::Quarantine,
        fingerprint: format!(
            "quarantine/{}/{}/{}/{}",
            lane.subscription, lane.topic, broken.rule, broken.path
        ),
        subject: lane.subscription.to_string(),
        owed_by,
        summary: format!("a message on `{}` breaks its contract: {broken}", lane.topic),
        details: details(lane, &[("offset", offset.to_string()), ("key", key)]),
    }
}
