//! The keys of subjects in the simulated producer's database. They are in no transaction with anything else.

use super::SimSource;
use jiff::Timestamp;
use seamline_contract::id::ContractId;
use seamline_flow::port::PortError;
use seamline_flow::seal::{KeptKey, NewKey, Vault};
use seamline_message::seal::{KeyId, Wrapped};

/// A key of a subject; destroyed: neither subject nor key is left.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Kept {
    contract: ContractId,
    id: KeyId,
    subject: Option<String>,
    wrapped: Option<Wrapped>,
}

impl Kept {
    fn told(&self) -> KeptKey {
        KeptKey { id: self.id, wrapped: self.wrapped.clone() }
    }

    fn is_of(&self, contract: &ContractId, subject: &str) -> bool {
        self.contract == *contract && self.subject.as_deref() == Some(subject)
    }
}

impl Vault for SimSource {
    async fn keys_of(
        &self,
        contract: &ContractId,
        subjects: &[String],
    ) -> Result<Vec<Option<KeptKey>>, PortError> {
        let look = || {
            let state = self.state();
            let of = |subject: &String| {
                let kept = state.committed.seals.iter().find(|kept| kept.is_of(contract, subject));
                kept.map(Kept::told)
            };
            subjects.iter().map(of).collect()
        };
        self.world.call("source.keys_of", look).await
    }

    async fn keep_keys(&self, contract: &ContractId, keys: &[NewKey], _: Timestamp) -> Result<(), PortError> {
        let keep = || {
            let seals = &mut self.state().committed.seals;
            for key in keys {
                if !seals.iter().any(|kept| kept.is_of(contract, &key.subject)) {
                    let (subject, wrapped) = (Some(key.subject.clone()), Some(key.wrapped.clone()));
                    seals.push(Kept { contract: contract.clone(), id: key.id, subject, wrapped });
                }
            }
        };
        self.world.call("source.keep_keys", keep).await
    }

    async fn keys_by_id(&self, contract: &ContractId, ids: &[KeyId]) -> Result<Vec<KeptKey>, PortError> {
        let look = || {
            let state = self.state();
            let asked = |kept: &&Kept| kept.contract == *contract && ids.contains(&kept.id);
            state.committed.seals.iter().filter(asked).map(Kept::told).collect()
        };
        self.world.call("source.keys_by_id", look).await
    }

    async fn destroy_keys(
        &self,
        contract: &ContractId,
        subject: &str,
        _: Timestamp,
    ) -> Result<u64, PortError> {
        let destroy = || {
            let mut state = self.state();
            let theirs = state.committed.seals.iter_mut().filter(|kept| kept.is_of(contract, subject));
            theirs.map(|kept| (kept.subject, kept.wrapped) = (None, None)).count() as u64
        };
        self.world.call("source.destroy_keys", destroy).await
    }

    async fn keys_not_under(&self, under: &str, limit: usize) -> Result<Vec<KeptKey>, PortError> {
        let look = || {
            let state = self.state();
            let other = |kept: &&Kept| kept.wrapped.as_ref().is_some_and(|it| it.under != under);
            state.committed.seals.iter().filter(other).take(limit).map(Kept::told).collect()
        };
        self.world.call("source.keys_not_under", look).await
    }

    async fn rewrap_key(&self, id: KeyId, from: &Wrapped, to: &Wrapped) -> Result<bool, PortError> {
        let change = || {
            let mut state = self.state();
            let same = |kept: &&mut Kept| kept.id == id && kept.wrapped.as_ref() == Some(from);
            let kept = state.committed.seals.iter_mut().find(same);
            kept.map(|kept| kept.wrapped = Some(to.clone())).is_some()
        };
        self.world.call("source.rewrap_key", change).await
    }
}
