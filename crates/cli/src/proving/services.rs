//! What a proof asks of the services of an estate: keys to strike at, and how a service does wrong by its own tables.

use crate::proving::fault::FaultKind;
use crate::proving::scene::{Scene, Target};
use anyhow::Result;
use seamline_contract::id::ContractName;
use seamline_message::key::RecordKey;

/// What happens to a row at its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blow {
    /// It is changed and published, once more.
    Again,
    /// It is changed, and nothing is published.
    Unpublished,
    /// It is changed and published, and the outbox row vanishes in the same transaction.
    Lost,
    /// It is changed so that it breaks its contract, and published.
    Invalid,
}

/// The services of an estate.
pub(crate) trait Services {
    /// Returns a number below `end`, from the seed.
    fn below(&mut self, end: usize) -> usize;

    /// Returns whether a fault of a kind can strike at keys of a target.
    fn suits(&self, target: &Target, kind: FaultKind) -> bool;

    /// Returns a key of a contract that no later change will touch, so that what is done to it stays to be found.
    fn freeze(&mut self, contract: &ContractName) -> Option<RecordKey>;

    /// Returns a key of a contract that no service ever wrote or will write.
    fn stranger(&mut self, contract: &ContractName) -> Option<RecordKey>;

    /// Strikes a row at its source.
    ///
    /// # Errors
    /// The database's; then nothing of it happened.
    async fn strike(
        &mut self,
        scene: &Scene,
        contract: &ContractName,
        key: &RecordKey,
        blow: Blow,
    ) -> Result<()>;

    /// Mends a row that breaks its contract; only its service knows how.
    ///
    /// # Errors
    /// The database's.
    async fn correct(&mut self, scene: &Scene, contract: &ContractName, key: &RecordKey) -> Result<()>;
}
