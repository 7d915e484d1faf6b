//! The consumer's side: the keys of sealed records are asked of their owner, and used once. None is kept.

use crate::intake::Intake;
use crate::log::Incoming;
use crate::port::PortError;
use crate::seal::{KEYS_MAX, SealError};
use seamline_message::codec::EventMessage;
use seamline_message::envelope::{self, Envelope};
use seamline_message::key::RecordKey;
use seamline_message::seal::{self, KeyId, Keys, Place, Unsealed};
use seamline_message::violation::Violation;
use std::collections::BTreeSet;

/// Returns whether values of a record are sealed.
pub fn is_sealed(record: &Incoming) -> bool {
    record.headers.get(envelope::CONTENT_TYPE) == Some(seal::CONTENT_TYPE.as_bytes())
}

/// Asks for the keys of some records. What needs none asks nobody.
///
/// # Errors
/// That of who is asked; `NotApplied` with `SealError` where nobody can be. Nothing was read then: repeat it.
pub async fn keys_of<'r>(
    intake: &Intake,
    records: impl Iterator<Item = &'r Incoming>,
) -> Result<Keys, PortError> {
    let values = records.filter(|record| is_sealed(record)).filter_map(|record| record.value.as_deref());
    let ids: BTreeSet<KeyId> = values.flat_map(seal::keys_of).collect();
    let ids: Vec<KeyId> = ids.into_iter().collect();
    let mut keys = Keys::new();
    for ids in ids.chunks(KEYS_MAX) {
        let holder = intake.keyholder.as_ref();
        let holder = holder.ok_or_else(|| SealError::NobodyToAsk(intake.contract.clone()))?;
        keys.extend(holder.ask(&intake.contract, ids).await?);
    }
    Ok(keys)
}

/// Reads an event, sealed or not. Returns with it the payload that a reaction gets: in it what was erased is null, and named.
///
/// # Errors
/// The first violation.
pub(crate) fn decode_event(
    intake: &Intake,
    (key, envelope): (&RecordKey, &Envelope),
    record: &Incoming,
    keys: &Keys,
) -> Result<(EventMessage, Vec<u8>), Violation> {
    let value = record.value.as_deref().unwrap_or_default();
    let (major, record_key) = (envelope.contract.major, record.key.as_deref());
    if !is_sealed(record) {
        return intake.decode_event(major, record_key, value, &[]);
    }
    let place = Place { contract: &envelope.contract, key, sequence: envelope.sequence };
    let Unsealed { payload, erased } = seal::unseal(value, keys, &place)?;
    intake.decode_event(major, record_key, &payload, &erased)
}
