//! Sealed values: what is personal in an event is encrypted under a key of its subject, and is gone once that key is destroyed.
//! `docs/reference/sealed.md` is normative.
//!
//! Invariant: the same value at the same place under the same key has the same bytes, so that a record that is written twice is the
//! same record; and what was sealed at one place cannot be read at another.

use crate::canonical;
use crate::codec::Codec;
use crate::json::{JsonFault, Next, Reader};
use crate::key::RecordKey;
use crate::sequence::Sequence;
use crate::violation::{Rule, Violation};
use aes_gcm_siv::aead::{Aead, KeyInit, Payload};
use aes_gcm_siv::{Aes256GcmSiv, Nonce};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use seamline_contract::id::{ContractRef, EventName};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::str::FromStr;

/// The content type of JSON in which some values are sealed. Who does not know it reads nothing of the record.
pub const CONTENT_TYPE: &str = "application/vnd.seamline.sealed+json";

/// What comes first in whatever is authenticated: the version of the form.
const VERSION: u8 = 1;

/// The member of a sealed value.
const SEALED: &str = "sealed";

/// The members of an event in which values are sealed.
const SEALED_IN: [&str; 2] = ["carries", "details"];

/// The member of a payload that names what was erased.
const ERASED: &str = "erased";

/// Which key a value is sealed under. It tells nothing of the subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; 16]);

impl KeyId {
    /// Makes an id of bytes that nobody could guess.
    pub fn of(random: [u8; 32]) -> KeyId {
        let mut id = [0; 16];
        id.copy_from_slice(&random[..16]);
        KeyId(id)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A text that is no id of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the id of a key: 32 digits, `0` to `9` and `a` to `f`")]
pub struct NoKeyId;

impl FromStr for KeyId {
    type Err = NoKeyId;
    fn from_str(text: &str) -> Result<KeyId, NoKeyId> {
        Ok(KeyId(from_digits(text).ok_or(NoKeyId)?))
    }
}

/// A secret of 32 bytes. Never print it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Secret([u8; 32]);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Secret {
    /// Makes a secret of bytes that nobody could guess.
    pub fn of(random: [u8; 32]) -> Secret {
        Secret(random)
    }

    /// Reads 64 hexadecimal digits; none for any other text.
    pub fn read(text: &str) -> Option<Secret> {
        Some(Secret(from_digits(&text.trim().to_ascii_lowercase())?))
    }

    /// Returns it as digits, for who is entitled to it.
    pub fn digits(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn cipher(&self) -> Aes256GcmSiv {
        Aes256GcmSiv::new(&self.0.into())
    }
}

fn from_digits<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N || !text.bytes().all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    let mut bytes = [0; N];
    for (idx, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * idx..2 * idx + 2], 16).ok()?;
    }
    Some(bytes)
}

/// A key of a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubjectKey {
    /// Its id.
    pub id: KeyId,
    /// The key.
    pub secret: Secret,
}

/// The key under which keys of subjects are kept, and older ones until none is kept under them any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ring {
    current: Secret,
    older: Vec<Secret>,
}

/// A key of a subject as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrapped {
    /// Tells which key it is kept under, and nothing of that key.
    pub under: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// Why a key that is kept cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WrapError {
    /// The key that it is kept under is not here.
    #[error("key `{id}` is kept under `{under}`, which is none of the key-encryption keys given")]
    Elsewhere {
        /// Of the subject's key.
        id: KeyId,
        /// Of the key that it is kept under.
        under: String,
    },
    /// It was changed where it is kept.
    #[error("key `{0}` is not as it was kept")]
    Altered(KeyId),
}

impl Ring {
    /// Returns a ring that wraps under one key and unwraps under older ones, too.
    pub fn new(current: Secret, older: Vec<Secret>) -> Ring {
        Ring { current, older }
    }

    /// Returns the name of the key under which it wraps.
    pub fn under(&self) -> String {
        name_of(&self.current)
    }

    /// Wraps a key.
    ///
    /// # Panics
    /// Never: a key has few bytes.
    pub fn wrap(&self, key: &SubjectKey) -> Wrapped {
        let associated = framed(&[b"key", &key.id.0]);
        let payload = Payload { msg: &key.secret.0, aad: &associated };
        let bytes = self.current.cipher().encrypt(&nonce(&associated), payload);
        Wrapped { under: self.under(), bytes: bytes.expect("32 bytes are not too many") }
    }

    /// Unwraps a key.
    ///
    /// # Errors
    /// When it is kept under another key than those here, or was altered.
    pub fn unwrap(&self, id: KeyId, wrapped: &Wrapped) -> Result<SubjectKey, WrapError> {
        let all = std::iter::once(&self.current).chain(&self.older);
        let Some(under) = all.into_iter().find(|it| name_of(it) == wrapped.under) else {
            return Err(WrapError::Elsewhere { id, under: wrapped.under.clone() });
        };
        let associated = framed(&[b"key", &id.0]);
        let payload = Payload { msg: &wrapped.bytes, aad: &associated };
        let bytes = under.cipher().decrypt(&nonce(&associated), payload);
        let bytes = bytes.ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        Ok(SubjectKey { id, secret: Secret(bytes.ok_or(WrapError::Altered(id))?) })
    }
}

/// Names a key without telling anything of it.
fn name_of(secret: &Secret) -> String {
    let hash = blake3::derive_key("seamline 2026 name of a key-encryption key", &secret.0);
    hash[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The record in which a value is sealed.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The contract whose text it is written by.
    pub contract: &'a ContractRef,
    /// The key of the record.
    pub key: &'a RecordKey,
    /// Its sequence.
    pub sequence: Sequence,
}

impl Place<'_> {
    /// Returns what is authenticated with a value: it is read at this place and at no other.
    fn associated(&self, path: &str) -> Vec<u8> {
        let contract = self.contract.to_string();
        let sequence = self.sequence.0.to_be_bytes();
        framed(&[b"value", contract.as_bytes(), path.as_bytes(), self.key.as_bytes(), &sequence])
    }
}

fn framed(parts: &[&[u8]]) -> Vec<u8> {
    let mut framed = vec![VERSION];
    for part in parts {
        framed.extend_from_slice(&(part.len() as u64).to_le_bytes());
        framed.extend_from_slice(part);
    }
    framed
}

/// Values at different places have different ones; where one repeats, AES-GCM-SIV (RFC 8452) tells only that the value is the same.
fn nonce(associated: &[u8]) -> Nonce {
    let hash = blake3::hash(associated);
    let mut nonce = [0; 12];
    nonce.copy_from_slice(&hash.as_bytes()[..12]);
    nonce.into()
}

/// A value of a payload: `carries.email`, and where its bytes are.
type Part = (String, Range<usize>);

/// Returns the payload of an event with its personal values sealed; none where it has none.
///
/// # Errors
/// JSON, when it is none.
///
/// # Panics
/// When a value is larger than anything that fits into a record.
pub fn seal(
    codec: &Codec,
    event: &EventName,
    payload: &[u8],
    key: &SubjectKey,
    place: &Place<'_>,
) -> Result<Option<Vec<u8>>, Violation> {
    let sealed = sealed_paths(codec, event);
    let parts = parts(payload)?.values;
    let mut changes = Vec::new();
    for (path, range) in parts.into_iter().filter(|(path, _)| sealed.contains(path)) {
        let associated = place.associated(&path);
        let message = Payload { msg: &payload[range.clone()], aad: &associated };
        let bytes = key.secret.cipher().encrypt(&nonce(&associated), message);
        let bytes = bytes.expect("a value is smaller than what can be encrypted at once");
        let text = format!("{{\"{SEALED}\":\"{}.{}\"}}", key.id, URL_SAFE_NO_PAD.encode(bytes));
        changes.push((range, text.into_bytes()));
    }
    Ok((!changes.is_empty()).then(|| spliced(payload, changes)))
}

/// Returns whether an event of a contract has values that are sealed, where its channel seals.
pub fn is_sealed(codec: &Codec, event: &EventName) -> bool {
    !sealed_paths(codec, event).is_empty()
}

fn sealed_paths(codec: &Codec, event: &EventName) -> BTreeSet<String> {
    let contract = codec.contract();
    let subject = contract.contract.subject.as_ref();
    let carried = contract.personal().into_iter().filter(|name| Some(*name) != subject);
    let told = contract.personal_details(event).into_iter();
    carried.map(|name| format!("carries.{name}")).chain(told.map(|name| format!("details.{name}"))).collect()
}

/// What is in a payload.
struct Parts {
    values: Vec<Part>,
    /// Where the member that names what was erased has its place.
    erased_at: usize,
}

fn parts(payload: &[u8]) -> Result<Parts, Violation> {
    let text = std::str::from_utf8(payload).map_err(|_| unreadable("not UTF-8"))?;
    let mut reader = Reader::new(text);
    let mut parts = Parts { values: Vec::new(), erased_at: text.len() };
    let mut read = || -> Result<(), JsonFault> {
        reader.open_object()?;
        let mut first = true;
        while reader.more(first, b'}')? {
            first = false;
            reader.skip_space();
            let start = reader.at();
            let name = reader.name()?;
            if name.as_ref() > ERASED {
                parts.erased_at = parts.erased_at.min(start);
            }
            if SEALED_IN.contains(&name.as_ref()) && reader.next()? == Next::Object {
                members(&mut reader, &name, &mut parts.values)?;
            } else {
                reader.skip_value()?;
            }
        }
        reader.end()
    };
    read().map_err(|fault| unreadable(fault.what))?;
    Ok(parts)
}

fn members(reader: &mut Reader<'_>, top: &str, values: &mut Vec<Part>) -> Result<(), JsonFault> {
    reader.open_object()?;
    let mut first = true;
    while reader.more(first, b'}')? {
        first = false;
        let name = reader.name()?;
        reader.skip_space();
        let start = reader.at();
        reader.skip_value()?;
        values.push((format!("{top}.{name}"), start..reader.at()));
    }
    Ok(())
}

fn unreadable(what: &str) -> Violation {
    Violation::new(Rule::Json, "", format!("{what}, where values are sealed"))
}

/// Returns bytes with some ranges replaced, which are in order and apart.
fn spliced(bytes: &[u8], changes: Vec<(Range<usize>, Vec<u8>)>) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + changes.iter().map(|(_, with)| with.len()).sum::<usize>());
    let mut from = 0;
    for (range, with) in changes {
        out.extend_from_slice(&bytes[from..range.start]);
        out.extend_from_slice(&with);
        from = range.end;
    }
    out.extend_from_slice(&bytes[from..]);
    out
}

/// Reads a sealed value: its key, and what is encrypted. None for any other value.
fn sealed(value: &[u8]) -> Option<(KeyId, Vec<u8>)> {
    let text = std::str::from_utf8(value).ok()?;
    let text = text.strip_prefix("{\"sealed\":\"")?.strip_suffix("\"}")?;
    let (id, bytes) = text.split_once('.')?;
    Some((id.parse().ok()?, URL_SAFE_NO_PAD.decode(bytes).ok()?))
}

/// Returns the keys under which values of a payload are sealed; none where it cannot be read.
pub fn keys_of(payload: &[u8]) -> BTreeSet<KeyId> {
    let values = parts(payload).map(|parts| parts.values).unwrap_or_default();
    values.into_iter().filter_map(|(_, range)| Some(sealed(&payload[range])?.0)).collect()
}

/// What is known of keys: the key; none where it was destroyed. What is not in it is not at its owner.
pub type Keys = BTreeMap<KeyId, Option<Secret>>;

/// A payload that was sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsealed {
    /// The payload as it was before; what was erased is left out, and named in its member `erased`.
    pub payload: Vec<u8>,
    /// The paths of what was erased: `carries.email`.
    pub erased: Vec<String>,
}

/// Opens the sealed values of a payload.
///
/// # Errors
/// SEALED, when a value is not as it was sealed at this place, or its key is not known; JSON, when it is none.
///
/// # Panics
/// Never: names of attributes are texts.
pub fn unseal(payload: &[u8], keys: &Keys, place: &Place<'_>) -> Result<Unsealed, Violation> {
    let parts = parts(payload)?;
    let (mut changes, mut erased) = (Vec::new(), Vec::new());
    for (path, range) in &parts.values {
        let Some((id, bytes)) = sealed(&payload[range.clone()]) else { continue };
        let broken = |what: &str| Violation::new(Rule::Sealed, path.as_str(), what);
        let Some(secret) = keys.get(&id) else {
            return Err(broken("sealed under a key that its owner does not know"));
        };
        let Some(secret) = secret else {
            erased.push(path.clone());
            changes.push((range.clone(), b"null".to_vec()));
            continue;
        };
        let associated = place.associated(path);
        let message = Payload { msg: &bytes, aad: &associated };
        let value = secret.cipher().decrypt(&nonce(&associated), message);
        let value = value.map_err(|_| broken("not what was sealed at this place"))?;
        changes.push((range.clone(), value));
    }
    if !erased.is_empty() {
        let mut named = format!("\"{ERASED}\":[").into_bytes();
        for (idx, path) in erased.iter().enumerate() {
            if idx > 0 {
                named.push(b',');
            }
            canonical::write_text(path, &mut named);
        }
        named.extend_from_slice(b"],");
        changes.push((parts.erased_at..parts.erased_at, named));
        changes.sort_by_key(|(range, _)| range.start);
    }
    Ok(Unsealed { payload: spliced(payload, changes), erased })
}

#[cfg(test)]
mod tests;
