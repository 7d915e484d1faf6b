//! What a simulated database knows of the sets of reference data that it sends, and its cases.

use super::SimStore;
use jiff::Timestamp;
use seamline_contract::id::ContractId;
use seamline_flow::case::{Case, CaseStage, Cases, NewCase};
use seamline_flow::port::PortError;
use seamline_flow::reference::{Sending, SentSet, Sets};

impl SimStore {
    /// Asks for a set, as a service does.
    pub fn ask(&self, contract: &ContractId) {
        self.with(contract, |sending| sending.asked += 1);
    }

    fn with<T>(&self, contract: &ContractId, with: impl FnOnce(&mut Sending) -> T) -> T {
        with(self.state().sending.entry(contract.clone()).or_default())
    }
}

impl Sets for SimStore {
    async fn sending(&self, contract: &ContractId) -> Result<Sending, PortError> {
        self.world.call("sets.sending", || self.with(contract, |sending| sending.clone())).await
    }

    async fn draw(&self, contract: &ContractId, above: u64) -> Result<u64, PortError> {
        let draw = |sending: &mut Sending| {
            sending.drawn = sending.drawn.max(above) + 1;
            sending.drawn
        };
        self.world.call("sets.draw", || self.with(contract, draw)).await
    }

    async fn sent(&self, contract: &ContractId, set: &SentSet) -> Result<(), PortError> {
        let note = |sending: &mut Sending| {
            if sending.last.as_ref().is_none_or(|last| last.number < set.number) {
                sending.last = Some(set.clone());
            }
        };
        self.world.call("sets.sent", || self.with(contract, note)).await
    }
}

impl Cases for SimStore {
    async fn raise(&self, new: &NewCase, now: Timestamp) -> Result<u64, PortError> {
        self.world.call("cases.raise", || self.state().cases.raise(new, now)).await
    }

    async fn cases(&self, closed: bool) -> Result<Vec<Case>, PortError> {
        self.world.call("cases.cases", || self.state().cases.list(closed)).await
    }

    async fn advance(
        &self,
        id: u64,
        stage: CaseStage,
        note: &str,
        now: Timestamp,
    ) -> Result<bool, PortError> {
        self.world.call("cases.advance", || self.state().cases.advance(id, stage, note, now)).await
    }
}
