//! Conformance of `Vault`: one key for a subject, none after it is destroyed, and each of its contract alone.

use super::sure;
use crate::seal::{KeptKey, NewKey, Vault};
use jiff::Timestamp;
use seamline_contract::id::ContractId;
use seamline_message::seal::{KeyId, Wrapped};

/// Checks a database whose producer's tables are there, and which keeps no key yet.
///
/// # Panics
/// When it does not conform.
pub async fn check<V: Vault>(vault: &V) {
    let (one, other): (ContractId, ContractId) =
        ("one".parse().expect("it is an id"), "other".parse().expect("it is an id"));
    let subjects = ["B-7".to_owned(), "it's \"B\"".to_owned(), "B-7".to_owned()];
    let now = Timestamp::UNIX_EPOCH;
    assert_eq!(sure(vault.keys_of(&one, &subjects).await), [None, None, None]);
    sure(vault.keep_keys(&one, &[key("B-7", 1), key("it's \"B\"", 2)], now).await);
    sure(vault.keep_keys(&one, &[key("B-7", 3)], now).await);
    sure(vault.keep_keys(&other, &[key("B-7", 4)], now).await);
    let (first, second) = (kept(1), kept(2));
    let all = [Some(first.clone()), Some(second.clone()), Some(first.clone())];
    assert_eq!(sure(vault.keys_of(&one, &subjects).await), all, "who has a key keeps it");
    let ids = [id(2), id(3), id(4)];
    assert_eq!(sure(vault.keys_by_id(&one, &ids).await), std::slice::from_ref(&second));

    let (old, new) = (wrapped(2), Wrapped { under: "new".to_owned(), bytes: vec![9; 48] });
    assert_eq!(sure(vault.keys_not_under("old", 10).await), []);
    assert_eq!(sure(vault.keys_not_under("new", 2).await).len(), 2);
    assert!(sure(vault.rewrap_key(id(2), &old, &new).await));
    assert!(!sure(vault.rewrap_key(id(2), &old, &new).await), "it is not as it was");
    let moved = KeptKey { id: id(2), wrapped: Some(new.clone()) };
    assert_eq!(sure(vault.keys_of(&one, &subjects[1..2]).await), [Some(moved)]);

    assert_eq!(sure(vault.destroy_keys(&one, "B-7", now).await), 1);
    assert_eq!(sure(vault.destroy_keys(&one, "B-7", now).await), 0, "it is safe to repeat");
    assert_eq!(sure(vault.keys_of(&one, &subjects[..1]).await), [None]);
    assert_eq!(sure(vault.keys_by_id(&one, &[id(1)]).await), [KeptKey { id: id(1), wrapped: None }]);
    assert!(!sure(vault.rewrap_key(id(1), &wrapped(1), &new).await), "what was destroyed stays destroyed");
    let theirs = sure(vault.keys_of(&other, &subjects[..1]).await);
    assert_eq!(theirs, [Some(kept(4))], "the keys of another contract stay");
    sure(vault.keep_keys(&one, &[key("B-7", 5)], now).await);
    assert_eq!(
        sure(vault.keys_of(&one, &subjects[..1]).await),
        [Some(kept(5))],
        "what comes later has another"
    );
}

fn id(number: u8) -> KeyId {
    KeyId::of([number; 32])
}

fn wrapped(number: u8) -> Wrapped {
    Wrapped { under: "old".to_owned(), bytes: vec![number; 48] }
}

fn kept(number: u8) -> KeptKey {
    KeptKey { id: id(number), wrapped: Some(wrapped(number)) }
}

fn key(subject: &str, number: u8) -> NewKey {
    NewKey { subject: subject.to_owned(), id: id(number), wrapped: wrapped(number) }
}
