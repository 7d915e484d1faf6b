//! The producer's side: the keys under which a relay seals, made where a subject has none.

use crate::clock::Entropy;
use crate::outlet::Outlet;
use crate::port::PortError;
use crate::seal::{KeptKey, NewKey, SealError, Vault};
use crate::source::OutboxRow;
use jiff::Timestamp;
use seamline_contract::channel::{ChannelKind, Encoding};
use seamline_contract::id::{ContractId, ContractRef};
use seamline_message::canonical;
use seamline_message::key::RecordKey;
use seamline_message::seal::{KeyId, Keys, Ring, Secret, SubjectKey};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

/// How many keys are looked for at once.
const PAGE: usize = 500;

/// Keys by contract and subject.
pub type SubjectKeys = BTreeMap<(ContractId, String), SubjectKey>;

/// Makes, wraps and unwraps the keys of subjects.
#[derive(Clone)]
pub struct Sealer {
    ring: Ring,
    entropy: Arc<dyn Entropy>,
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer(…)")
    }
}

/// Returns whether a contract seals its events.
pub fn seals(outlet: &Outlet) -> bool {
    outlet.codec.encoding(ChannelKind::Events) == Encoding::Sealed
}

impl Sealer {
    /// Returns a sealer that keeps keys under those of a ring.
    pub fn new(ring: Ring, entropy: Arc<dyn Entropy>) -> Sealer {
        Sealer { ring, entropy }
    }

    /// Returns the keys of some subjects of a contract; makes those that are missing.
    ///
    /// # Errors
    /// The vault's; `NotApplied` with `SealError`.
    async fn keys<V: Vault>(
        &self,
        vault: &V,
        contract: &ContractRef,
        subjects: &[String],
        now: Timestamp,
    ) -> Result<Vec<SubjectKey>, PortError> {
        let name = &contract.name.contract;
        let mut kept = vault.keys_of(name, subjects).await?;
        if kept.iter().any(Option::is_none) {
            let missing = subjects.iter().zip(&kept).filter(|(_, key)| key.is_none());
            let missing: Vec<NewKey> = missing.map(|(subject, _)| self.made(subject)).collect();
            vault.keep_keys(name, &missing, now).await?;
            kept = vault.keys_of(name, subjects).await?;
        }
        let unwrapped = |kept: Option<KeptKey>| {
            let kept = kept.and_then(|kept| Some((kept.id, kept.wrapped?)));
            let (id, wrapped) = kept.ok_or_else(|| SealError::Gone(contract.clone()))?;
            Ok(self.ring.unwrap(id, &wrapped).map_err(SealError::Wrap)?)
        };
        kept.into_iter().map(unwrapped).collect()
    }

    fn made(&self, subject: &str) -> NewKey {
        let key =
            SubjectKey { id: KeyId::of(self.entropy.bytes()), secret: Secret::of(self.entropy.bytes()) };
        NewKey { subject: subject.to_owned(), id: key.id, wrapped: self.ring.wrap(&key) }
    }

    /// Returns keys by id for who is entitled to them: none for those that were destroyed.
    ///
    /// # Errors
    /// The vault's; `NotApplied` with `SealError`.
    pub async fn look<V: Vault>(
        &self,
        vault: &V,
        contract: &ContractId,
        ids: &[KeyId],
    ) -> Result<Keys, PortError> {
        let mut keys = Keys::new();
        for kept in vault.keys_by_id(contract, ids).await? {
            let key = kept.wrapped.map(|wrapped| self.ring.unwrap(kept.id, &wrapped));
            keys.insert(kept.id, key.transpose().map_err(SealError::Wrap)?.map(|key| key.secret));
        }
        Ok(keys)
    }

    /// Keeps what is kept under older key-encryption keys under the present one. Returns how many keys were moved.
    ///
    /// # Errors
    /// The vault's; `NotApplied` with `SealError` where one is kept under a key that is not here. Safe to repeat.
    pub async fn rewrap<V: Vault>(&self, vault: &V) -> Result<u64, PortError> {
        let (under, mut moved) = (self.ring.under(), 0);
        loop {
            let page = vault.keys_not_under(&under, PAGE).await?;
            if page.is_empty() {
                return Ok(moved);
            }
            for kept in page {
                let Some(wrapped) = kept.wrapped else { continue };
                let key = self.ring.unwrap(kept.id, &wrapped).map_err(SealError::Wrap)?;
                // One that was destroyed meanwhile stays destroyed.
                moved += u64::from(vault.rewrap_key(kept.id, &wrapped, &self.ring.wrap(&key)).await?);
            }
        }
    }
}

/// Returns the keys that rows are sealed under, each made where its subject has none.
///
/// # Errors
/// The vault's; `NotApplied` with `SealError`.
pub(crate) async fn keys_for<V: Vault>(
    vault: &V,
    outlets: &[&Outlet],
    rows: &[OutboxRow],
    now: Timestamp,
) -> Result<SubjectKeys, PortError> {
    let mut keys = SubjectKeys::new();
    for outlet in outlets {
        let contract = &outlet.contract.name.contract;
        let theirs = rows.iter().filter(|row| &row.contract == contract);
        let of = |row: &OutboxRow| -> Vec<String> {
            outlet.all().filter(|it| seals(it)).filter_map(|it| subject_of_row(it, row)).collect()
        };
        let subjects: BTreeSet<String> = theirs.flat_map(of).collect();
        let subjects: Vec<String> = subjects.into_iter().collect();
        for subjects in subjects.chunks(PAGE) {
            let sealer = outlet.sealer.as_ref().ok_or_else(|| SealError::NoRing(outlet.contract.clone()))?;
            let made = sealer.keys(vault, &outlet.contract, subjects, now).await?;
            let named = subjects.iter().map(|subject| (contract.clone(), subject.clone()));
            keys.extend(named.zip(made));
        }
    }
    Ok(keys)
}

/// Returns the subject of a row, read as a major; none where it has none, or cannot be read: then nothing of it is published.
fn subject_of_row(outlet: &Outlet, row: &OutboxRow) -> Option<String> {
    let contract = outlet.codec.contract();
    let slot = contract.slot(contract.contract.subject.as_ref()?)?;
    match &row.state {
        Some(state) => canonical::text(&outlet.read_source(row.version.major, state).ok()?[slot]),
        // Of a key without a row only the key is known.
        None => {
            let place = contract.key.iter().position(|of| *of == slot)?;
            RecordKey::parse(row.key.as_bytes()).ok()?.texts().get(place).cloned()
        }
    }
}
