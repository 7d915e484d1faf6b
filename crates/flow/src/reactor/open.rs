//! Opening a record of an events topic: its envelope, its key, its digest, and the reaction it asks for.

use crate::intake::{EventLane, Intake};
use crate::log::Incoming;
use crate::plain;
use crate::projector::open::identify;
use crate::seal::open::decode_event;
use crate::store::{AsideRecord, InboxRow};
use seamline_message::digest::{Digest, DigestKey, Domain, digest};
use seamline_message::envelope::{Envelope, MessageKind};
use seamline_message::key::RecordKey;
use seamline_message::seal::Keys;
use seamline_message::sequence::Sequence;
use seamline_message::violation::{Rule, Violation};

/// A record of an events topic.
#[derive(Debug, Clone, PartialEq)]
pub enum OpenedEvent {
    /// It has no usable envelope.
    Foreign {
        /// The key, where it has a canonical one.
        key: Option<RecordKey>,
        /// The digest of its bytes.
        digest: Digest,
        /// What is wrong first.
        violation: Violation,
    },
    /// It has a place in the chain of a key.
    Known {
        /// The key.
        key: RecordKey,
        /// The sequence.
        sequence: Sequence,
        /// What preceded it.
        previous: Option<Sequence>,
        /// The digest.
        digest: Digest,
        /// What it asks for.
        reaction: Reaction,
    },
}

/// What a record of an events topic asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Reaction {
    /// Nothing but its place in the chain: a void, an event nobody reacts to, one from before the start.
    None,
    /// A row of the inbox.
    Inbox(Box<InboxRow>),
    /// It breaks its contract.
    Invalid(Violation),
}

/// Opens a record of an events topic; `keys` are those under which its values are sealed.
pub fn open(
    intake: &Intake,
    lane: &EventLane,
    (secret, keys): (&DigestKey, &Keys),
    record: &Incoming,
) -> OpenedEvent {
    let raw_key = record.key.as_deref().unwrap_or_default();
    let value = record.value.as_deref().unwrap_or_default();
    let foreign = |violation: Violation| OpenedEvent::Foreign {
        key: intake.codec.decode_key(record.key.as_deref()).ok(),
        digest: digest(secret, Domain::Raw, raw_key, value),
        violation: record.fault.clone().unwrap_or(violation),
    };
    let (key, envelope) = match identify(intake, record) {
        Ok(identified) => identified,
        Err(violation) => return foreign(violation),
    };
    let reaction = match &envelope.kind {
        MessageKind::State => {
            return foreign(Violation::new(Rule::Schema, "headers.ce_type", "not an event"));
        }
        MessageKind::Void => Reaction::None,
        MessageKind::Event(event) => {
            let before_start = lane.since.is_some_and(|since| record.time < since);
            let ours = intake.event_name(envelope.contract.major, event);
            if before_start || !lane.reacts_to.contains(ours) {
                Reaction::None
            } else {
                react(intake, record, (&key, &envelope), keys)
            }
        }
    };
    OpenedEvent::Known {
        digest: digest(secret, Domain::Event, key.as_bytes(), value),
        key,
        sequence: envelope.sequence,
        previous: envelope.previous,
        reaction,
    }
}

fn react(
    intake: &Intake,
    record: &Incoming,
    (key, envelope): (&RecordKey, &Envelope),
    keys: &Keys,
) -> Reaction {
    if record.value.is_none() {
        return Reaction::Invalid(Violation::new(Rule::Json, "", "an event without a value"));
    }
    if let Some(fault) = &record.fault {
        return Reaction::Invalid(fault.clone());
    }
    let major = envelope.contract.major;
    let (message, payload) = match decode_event(intake, (key, envelope), record, keys) {
        Ok(read) => read,
        Err(violation) => return Reaction::Invalid(violation),
    };
    let told = match &envelope.kind {
        MessageKind::Event(event) => Some(intake.event_name(major, event)),
        MessageKind::State | MessageKind::Void => None,
    };
    if told != Some(&message.change) {
        return Reaction::Invalid(Violation::new(
            Rule::Event,
            "change",
            "another event than the headers say",
        ));
    }
    Reaction::Inbox(Box::new(InboxRow {
        id: envelope.id.clone(),
        key: key.clone(),
        event: message.change.to_string(),
        sequence: envelope.sequence,
        effective: message.effective,
        reason: message.reason.map(|reason| reason.to_string()),
        correlation: envelope.correlation.clone(),
        traceparent: envelope.traceparent.clone(),
        payload,
        projection_behind: false,
    }))
}

/// Returns a record in quarantine as it was read; its time is that of being set aside.
pub fn as_read(record: &AsideRecord) -> Incoming {
    let mut read = Incoming {
        offset: record.offset,
        leader_epoch: -1,
        time: record.since,
        key: record.raw_key.clone(),
        headers: record.headers.as_slice().into(),
        value: record.value.clone(),
        fault: None,
    };
    plain::waiting(&mut read);
    read
}
