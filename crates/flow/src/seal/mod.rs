//! Sealed values: the keys of subjects, kept in the producer's own database, and who asks for them.
//!
//! A key lies nowhere else: what is sealed under it is gone everywhere, in every copy of the log, once it is destroyed there.

pub mod open;
pub mod sealer;

use crate::port::PortError;
use jiff::Timestamp;
use seamline_contract::id::{ContractId, ContractRef};
use seamline_message::seal::{KeyId, Keys, Wrapped};
use std::fmt::Debug;
use std::pin::Pin;

/// How many keys are asked for at once.
pub const KEYS_MAX: usize = 500;

/// A key of a subject as a database keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptKey {
    /// Its id.
    pub id: KeyId,
    /// The key, wrapped; none: it was destroyed.
    pub wrapped: Option<Wrapped>,
}

/// A key to be kept for a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewKey {
    /// The text of the subject.
    pub subject: String,
    /// Its id.
    pub id: KeyId,
    /// The key, wrapped.
    pub wrapped: Wrapped,
}

/// The keys that a producer's database keeps.
pub trait Vault: Send + Sync {
    /// Returns the keys of subjects of a contract, aligned with them; none for who has none, or none that is not destroyed.
    fn keys_of(
        &self,
        contract: &ContractId,
        subjects: &[String],
    ) -> impl Future<Output = Result<Vec<Option<KeptKey>>, PortError>> + Send;

    /// Keeps keys of subjects, in one transaction; who has one already keeps that.
    fn keep_keys(
        &self,
        contract: &ContractId,
        keys: &[NewKey],
        now: Timestamp,
    ) -> impl Future<Output = Result<(), PortError>> + Send;

    /// Returns keys of a contract by id, destroyed ones among them; those that it never had are left out.
    fn keys_by_id(
        &self,
        contract: &ContractId,
        ids: &[KeyId],
    ) -> impl Future<Output = Result<Vec<KeptKey>, PortError>> + Send;

    /// Destroys the keys of a subject of a contract, and forgets whose they were. Returns how many there were.
    ///
    /// # Errors
    /// After `Unknown` it may be done: it is safe to repeat.
    fn destroy_keys(
        &self,
        contract: &ContractId,
        subject: &str,
        now: Timestamp,
    ) -> impl Future<Output = Result<u64, PortError>> + Send;

    /// Returns keys that are kept under another key-encryption key, at most `limit`.
    fn keys_not_under(
        &self,
        under: &str,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<KeptKey>, PortError>> + Send;

    /// Keeps a key under another key-encryption key, where it is still as it was. Returns whether it was.
    fn rewrap_key(
        &self,
        id: KeyId,
        from: &Wrapped,
        to: &Wrapped,
    ) -> impl Future<Output = Result<bool, PortError>> + Send;
}

/// What is pending of an answer about keys.
pub type Answering<'a> = Pin<Box<dyn Future<Output = Result<Keys, PortError>> + Send + 'a>>;

/// Who can be asked for the keys of a contract: its owner.
pub trait Keyholder: Debug + Send + Sync {
    /// Returns keys by id, at most `KEYS_MAX` at once: none for one that was destroyed. What its owner never had is left out.
    fn ask<'a>(&'a self, contract: &'a ContractRef, ids: &'a [KeyId]) -> Answering<'a>;
}

/// Why keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// A contract seals, and no key-encryption key was given.
    #[error("`{0}` seals personal data, and this process has no key-encryption key of its context")]
    NoRing(ContractRef),
    /// Nobody can be asked for the keys.
    #[error("values of `{0}` are sealed, and this process was not told where to ask for their keys")]
    NobodyToAsk(ContractRef),
    /// A key was kept under another key-encryption key.
    #[error(transparent)]
    Wrap(#[from] seamline_message::seal::WrapError),
    /// The database did not keep a key.
    #[error("a key of `{0}` was destroyed while it was made")]
    Gone(ContractRef),
}

impl From<SealError> for PortError {
    fn from(error: SealError) -> PortError {
        PortError::NotApplied(Box::new(error))
    }
}
