//! Erasures: the personal data of one subject leaves what Seamline keeps, in each context by a job of its own.
//!
//! The owner's service erases in its own tables; nothing here writes them. The owner's job waits for that, publishes the keys once
//! more, and marks in the log how far a reader must have come. A consumer's job confirms once its lanes are there, its rows are newer
//! and its quarantine and inbox hold nothing of these keys.
//!
//! Where events are sealed, the owner's job destroys the key of the subject before it marks the log.
//!
//! Invariant: the subject, keys and digests of values are in the job's part alone, and go before the job is over. What stays is the
//! proof.

pub mod copy;
pub mod find;
pub mod mark;
pub mod source;
pub mod work;

use crate::intake::Intake;
use crate::outlet::Outlet;
use crate::port::PortError;
use jiff::Timestamp;
use seamline_contract::id::AttributeIdentity;
use seamline_message::digest::{DigestKey, Domain, digest};
use seamline_message::key::RecordKey;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// The part of a job that holds the keys.
pub const KEYS: u32 = 0;

/// How many digits salt and digest of a name have each.
const DIGITS: usize = 16;

/// A database whose files can be left without what was deleted.
pub trait Scrub: Send + Sync {
    /// Leaves nothing in the files of what was deleted before, where the database lets anybody do that. Returns false where others are
    /// in the way just now: try again.
    fn scrub(&self) -> impl Future<Output = Result<bool, PortError>> + Send;
}

/// The name of an erasure: a salt, and the digest of the subject under it. It tells nothing of the subject to who cannot guess it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ErasureId {
    salt: [u8; DIGITS / 2],
    digest: String,
}

impl ErasureId {
    /// Names the erasure of a subject; `random` makes the name another each time.
    pub fn new(of: &AttributeIdentity, subject: &str, random: [u8; 32]) -> ErasureId {
        let mut salt = [0; DIGITS / 2];
        salt.copy_from_slice(&random[..DIGITS / 2]);
        ErasureId { digest: digest_under(salt, &of.to_string(), subject), salt }
    }

    /// Returns whether it is the erasure of a subject.
    pub fn is_of(&self, of: &AttributeIdentity, subject: &str) -> bool {
        digest_under(self.salt, &of.to_string(), subject) == self.digest
    }

    /// Returns the digest of a value of an attribute, by which it is known again without being kept.
    pub fn digest(&self, attribute: &str, value: &str) -> String {
        digest_under(self.salt, attribute, value)
    }
}

fn digest_under(salt: [u8; DIGITS / 2], name: &str, text: &str) -> String {
    let mut key = [0; 32];
    key.iter_mut().zip(salt.iter().cycle()).for_each(|(to, from)| *to = *from);
    let mut digits = digest(&DigestKey(key), Domain::Raw, name.as_bytes(), text.as_bytes()).to_string();
    digits.truncate(DIGITS);
    digits
}

impl fmt::Display for ErasureId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.salt.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        write!(f, "-{}", self.digest)
    }
}

/// A text that names no erasure.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not the name of an erasure: sixteen digits, a hyphen, sixteen digits")]
pub struct NoErasureId;

impl FromStr for ErasureId {
    type Err = NoErasureId;
    fn from_str(text: &str) -> Result<ErasureId, NoErasureId> {
        let (salt, digest) = text.split_once('-').ok_or(NoErasureId)?;
        let hex = |text: &str| {
            text.len() == DIGITS && text.bytes().all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f'))
        };
        if !hex(salt) || !hex(digest) {
            return Err(NoErasureId);
        }
        let number = u64::from_str_radix(salt, 16).map_err(|_| NoErasureId)?;
        Ok(ErasureId { salt: number.to_be_bytes(), digest: digest.to_owned() })
    }
}

/// What is to be erased, and on whose word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EraseOrders {
    pub(crate) version: u32,
    /// The name of the erasure, the same in all contexts.
    pub id: String,
    /// The attribute that names the subject: `context/contract.attribute`.
    pub of: String,
    /// Who asked for it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// The source had erased before: what its tables hold is what stays.
    pub erased: bool,
}

impl EraseOrders {
    /// Returns orders.
    pub fn new(id: &ErasureId, of: &AttributeIdentity, by: &str, reason: &str, erased: bool) -> EraseOrders {
        let (by, reason) = (by.to_owned(), reason.to_owned());
        EraseOrders { version: 1, id: id.to_string(), of: of.to_string(), by, reason, erased }
    }

    /// Returns whether a contract is published from here with such a subject.
    pub fn is_for_outlet(&self, outlet: &Outlet) -> bool {
        is_of(outlet.codec.contract().subject(), &self.of)
    }

    /// Returns whether a subscription here may hold personal data of such a subject.
    pub fn is_for_intake(&self, intake: &Intake) -> bool {
        is_of(intake.codec.contract().subject(), &self.of) && is_personal(intake)
    }
}

fn is_of(subject: Option<&AttributeIdentity>, of: &str) -> bool {
    subject.is_some_and(|subject| subject.to_string() == of)
}

/// Returns whether what a subscription reads carries personal data.
pub fn is_personal(intake: &Intake) -> bool {
    let contract = intake.codec.contract();
    let view = intake.view.as_ref().and_then(|view| contract.contract.view(view));
    contract.carries_personal(view)
}

/// The keys of a subject, while its erasure is open.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Subject {
    pub(crate) version: u32,
    /// By contract, `context/contract`: the record keys, each with what its source held of it.
    pub contracts: BTreeMap<String, BTreeMap<String, Held>>,
    /// The subject, whose keys are destroyed; none: an older program filed it.
    #[serde(default)]
    pub name: Option<String>,
}

/// What a source held of a key when the erasure was filed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Held {
    /// The last sequence drawn for it; zero: none.
    pub sequence: u64,
    /// The digest of each personal value, by attribute.
    pub values: BTreeMap<String, String>,
}

impl Subject {
    /// Returns the keys of contracts that a subject has.
    pub fn of(name: &str, contracts: BTreeMap<String, BTreeMap<String, Held>>) -> Subject {
        Subject { version: 1, contracts, name: Some(name.to_owned()) }
    }

    /// Returns the keys of one contract, sorted.
    pub(crate) fn keys(&self, contract: &str) -> Vec<RecordKey> {
        let keys = self.contracts.get(contract).into_iter().flat_map(BTreeMap::keys);
        keys.filter_map(|key| RecordKey::parse(key.as_bytes()).ok()).collect()
    }
}

/// How far an erasure is in one database: once it is over, the proof.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Erasing {
    pub(crate) version: u32,
    /// What is published from here, by contract.
    pub sources: BTreeMap<String, SourceProof>,
    /// What is kept here, by subscription.
    pub copies: BTreeMap<String, CopyProof>,
    /// The keys are forgotten.
    pub forgotten: bool,
}

/// What was done at a source.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceProof {
    /// Keys of the subject.
    pub keys: u64,
    /// Rows given up in quarantine.
    pub quarantine: u64,
    /// All that was published before the keys were published once more has at most this sequence; none: they were not yet.
    pub after: Option<u64>,
    /// The topics that carry personal data, by name.
    pub topics: BTreeMap<String, TopicProof>,
    /// When the keys were destroyed under which its personal data is sealed; none: they were not, or nothing is sealed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsealable: Option<Timestamp>,
    /// When the log was marked.
    pub done: Option<Timestamp>,
}

/// How far a topic must be read, and until when it holds what was.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TopicProof {
    /// By partition, the offset before which the last record of each key was written after the source had erased.
    pub ends: BTreeMap<u32, u64>,
    /// What is personal in it is sealed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sealed: bool,
    /// When the log has removed what was written before; none: it never does by itself.
    pub leaves: Option<Timestamp>,
}

/// What was done at a consumer.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CopyProof {
    /// Keys of the subject.
    pub keys: u64,
    /// Records given up in quarantine.
    pub quarantine: u64,
    /// Rows deleted from the inbox.
    pub inbox: u64,
    /// By topic and partition, the position with which it confirmed.
    pub positions: BTreeMap<String, BTreeMap<u32, u64>>,
    /// When it confirmed.
    pub done: Option<Timestamp>,
}

/// What a step of one part of an erasure came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ahead {
    /// It went on: write down how far it is.
    Moved,
    /// It can do nothing yet: why.
    Waits(String),
    /// Nothing is left.
    Over,
}

#[cfg(test)]
mod tests {
    use super::ErasureId;
    use seamline_contract::id::{AttributeIdentity, ContractName};

    fn identity(path: &str) -> AttributeIdentity {
        let contract =
            ContractName { context: "crm".parse().unwrap(), contract: "customer".parse().unwrap() };
        AttributeIdentity { contract, path: path.parse().unwrap() }
    }

    #[test]
    fn a_name_is_known_again_by_who_knows_the_subject_and_by_nobody_else() {
        let of = identity("customerId");
        let id = ErasureId::new(&of, "C-1", [7; 32]);
        assert!(id.is_of(&of, "C-1"));
        assert!(!id.is_of(&of, "C-2") && !id.is_of(&identity("other"), "C-1"));
        assert_eq!(id.to_string().parse(), Ok(id.clone()));
        assert_ne!(ErasureId::new(&of, "C-1", [8; 32]), id, "each erasure has a name of its own");
        assert!(!id.to_string().contains("C-1"));
        for text in ["", "-", "07070707070707-0", &id.to_string()[1..], &format!("{id}0")] {
            assert!(text.parse::<ErasureId>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_value_has_another_digest_in_another_attribute_and_under_another_name() {
        let of = identity("customerId");
        let (one, other) = (ErasureId::new(&of, "C-1", [7; 32]), ErasureId::new(&of, "C-1", [8; 32]));
        assert_eq!(one.digest("email", "a"), one.digest("email", "a"));
        assert_ne!(one.digest("email", "a"), one.digest("name", "a"));
        assert_ne!(one.digest("email", "a"), one.digest("email", "b"));
        assert_ne!(one.digest("email", "a"), other.digest("email", "a"));
    }
}
