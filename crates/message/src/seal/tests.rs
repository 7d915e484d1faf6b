//! What is sealed is nobody's to read without its key, at another place, or altered; and it is the same whenever it is sealed.

use super::{KeyId, Keys, Place, Ring, Secret, SubjectKey, WrapError, keys_of, seal, unseal};
use crate::codec::Codec;
use crate::key::RecordKey;
use crate::sequence::Sequence;
use crate::violation::Rule;
use seamline_contract::id::{ContractRef, EventName};
use seamline_contract::path::DocumentId;
use seamline_contract::resolve::resolve;
use seamline_lang::estate::read_estate;
use std::collections::BTreeMap;

const CONTRACT: &str = "apiVersion: seamline/v1
kind: Contract
context: crm
version: 1.0.0
status: active
meaning: Who a customer is.
key: number
subject: customerId
classification: internal
attributes:
  number: { type: string, meaning: Identifies an address. }
  customerId: { type: string, classification: pii, meaning: Identifies a customer. }
  email: { type: string, classification: pii, meaning: Where to write to. }
  lines: { type: list<string>, classification: pii, optional: true, meaning: The address. }
  stage: { type: string, meaning: Where it stands. }
events:
  encoding: sealed
  AddressGiven:
    meaning: Was given.
    sets: [customerId, email, lines, stage]
    details: { told: { type: string, classification: pii, meaning: Who told it. }, channel: { type: string, meaning: How. } }
  AddressChecked: { meaning: Was checked., sets: [stage] }
";

const PAYLOAD: &str = r#"{"carries":{"customerId":"C-1","email":"a\"b@example.org","lines":["é","x"],"stage":"new"},"change":"AddressGiven","details":{"channel":"web","told":"a clerk"},"key":["7"]}"#;

fn codec() -> Codec {
    let files = BTreeMap::from(
        [
            ("seamline.yaml", "apiVersion: seamline/v1\nkind: Estate\nroots: [.]\n"),
            ("crm/crm.context.yaml", "apiVersion: seamline/v1\nkind: Context\ncontext: crm\nmeaning: Knows customers.\nteam: crm\n"),
            ("crm/address.contract.yaml", CONTRACT),
        ]
        .map(|(path, text)| (DocumentId(path.to_owned()), text.to_owned())),
    );
    let read = read_estate(&files, DocumentId("seamline.yaml".to_owned()));
    Codec::compile(&resolve(&read.estate, &"crm/address@1".parse().unwrap()).unwrap()).unwrap()
}

fn contract() -> ContractRef {
    "crm/address@1".parse().unwrap()
}

fn record_key() -> RecordKey {
    RecordKey::from_texts(&["7".to_owned()])
}

fn subject_key(number: u8) -> SubjectKey {
    SubjectKey { id: KeyId::of([number; 32]), secret: Secret::of([number; 32]) }
}

fn event(name: &str) -> EventName {
    name.parse().unwrap()
}

/// Seals the payload as the record of a sequence.
fn sealed(sequence: u64) -> Vec<u8> {
    let (contract, key) = (contract(), record_key());
    let place = Place { contract: &contract, key: &key, sequence: Sequence(sequence) };
    let event = event("AddressGiven");
    seal(&codec(), &event, PAYLOAD.as_bytes(), &subject_key(1), &place).unwrap().unwrap()
}

/// Unseals a payload as the record of a sequence.
fn unsealed(payload: &[u8], keys: &Keys, sequence: u64) -> Result<super::Unsealed, (Rule, String)> {
    let (contract, key) = (contract(), record_key());
    let place = Place { contract: &contract, key: &key, sequence: Sequence(sequence) };
    unseal(payload, keys, &place).map_err(|violation| (violation.rule, violation.path))
}

fn known(number: u8) -> Keys {
    Keys::from([(subject_key(number).id, Some(subject_key(number).secret))])
}

#[test]
fn what_is_personal_is_sealed_and_the_rest_and_the_subject_stay() {
    let text = String::from_utf8(sealed(5)).unwrap();
    for gone in ["example.org", "é", "a clerk"] {
        assert!(!text.contains(gone), "{gone} in {text}");
    }
    for stays in [r#""customerId":"C-1""#, r#""stage":"new""#, r#""channel":"web""#, r#""key":["7"]"#] {
        assert!(text.contains(stays), "{stays} not in {text}");
    }
    let read = unsealed(text.as_bytes(), &known(1), 5).unwrap();
    assert_eq!((String::from_utf8(read.payload).unwrap().as_str(), read.erased.len()), (PAYLOAD, 0));
}

#[test]
fn a_record_is_the_same_whenever_it_is_sealed_and_another_at_another_place() {
    assert_eq!(sealed(5), sealed(5));
    assert_ne!(sealed(5), sealed(6));
    assert_eq!(keys_of(&sealed(5)), [subject_key(1).id].into());
    assert_eq!(keys_of(b"no json"), [].into());
}

#[test]
fn what_was_moved_altered_or_is_under_another_key_is_not_read() {
    let payload = sealed(5);
    let broken = Err((Rule::Sealed, "carries.email".to_owned()));
    assert_eq!(unsealed(&payload, &known(1), 6), broken, "moved to another record");
    let other = Keys::from([(subject_key(1).id, Some(subject_key(2).secret))]);
    assert_eq!(unsealed(&payload, &other, 5), broken);
    assert_eq!(unsealed(&payload, &Keys::new(), 5), broken, "its owner does not know the key");
    let text = String::from_utf8(payload).unwrap();
    let at = text.find("\"email\":{\"sealed\":\"").unwrap() + 60;
    let letter = if text.as_bytes()[at] == b'A' { "B" } else { "A" };
    let altered = format!("{}{letter}{}", &text[..at], &text[at + 1..]);
    assert_eq!(unsealed(altered.as_bytes(), &known(1), 5), broken);
    let swapped = text.replace("\"email\":", "\"e\":").replace("\"lines\":", "\"email\":");
    assert!(unsealed(swapped.as_bytes(), &known(1), 5).is_err(), "moved to another attribute");
}

#[test]
fn what_was_erased_is_null_and_named_and_the_event_is_read() {
    let erased = Keys::from([(subject_key(1).id, None)]);
    let read = unsealed(&sealed(5), &erased, 5).unwrap();
    assert_eq!(read.erased, ["carries.email", "carries.lines", "details.told"]);
    let text = String::from_utf8(read.payload.clone()).unwrap();
    let expected = r#"{"carries":{"customerId":"C-1","email":null,"lines":null,"stage":"new"},"change":"AddressGiven","details":{"channel":"web","told":null},"erased":["carries.email","carries.lines","details.told"],"key":["7"]}"#;
    assert_eq!(text, expected);
    let (codec, key) = (codec(), record_key());
    let message = codec.decode_erased_event(None, Some(key.as_bytes()), &read.payload, &read.erased).unwrap();
    assert!(message.row[codec.contract().slot(&"email".parse().unwrap()).unwrap()].is_null());
    let strict = codec.decode_event(None, Some(key.as_bytes()), &read.payload).unwrap_err();
    assert_eq!(
        (strict.rule, strict.path.as_str()),
        (Rule::Required, "carries.email"),
        "nobody else may leave it out"
    );
}

#[test]
fn an_event_without_personal_values_is_not_sealed() {
    let (contract, key) = (contract(), record_key());
    let place = Place { contract: &contract, key: &key, sequence: Sequence(5) };
    let payload = br#"{"carries":{"stage":"checked"},"change":"AddressChecked","key":["7"]}"#;
    assert_eq!(seal(&codec(), &event("AddressChecked"), payload, &subject_key(1), &place), Ok(None));
}

#[test]
fn a_key_is_kept_wrapped_and_moves_to_another_key_encryption_key() {
    let (one, two) = (Secret::of([8; 32]), Secret::of([9; 32]));
    let key = subject_key(1);
    let kept = Ring::new(one, Vec::new()).wrap(&key);
    assert!(!kept.bytes.windows(4).any(|bytes| bytes == [1; 4]), "it is not kept as it is");
    let turned = Ring::new(two, vec![one]);
    assert_eq!(turned.unwrap(key.id, &kept), Ok(key));
    assert_ne!(turned.under(), kept.under);
    let alone = Ring::new(two, Vec::new());
    assert_eq!(
        alone.unwrap(key.id, &kept),
        Err(WrapError::Elsewhere { id: key.id, under: kept.under.clone() })
    );
    assert_eq!(alone.unwrap(key.id, &turned.wrap(&key)), Ok(key));
    let other = subject_key(2).id;
    assert_eq!(turned.unwrap(other, &kept), Err(WrapError::Altered(other)), "it is kept as another's");
}

#[test]
fn secrets_are_read_and_not_printed() {
    let digits = "0f".repeat(32);
    let secret = Secret::read(&format!(" {}\n", digits.to_uppercase())).unwrap();
    assert_eq!((secret.digits(), format!("{secret:?}")), (digits.clone(), "Secret(…)".to_owned()));
    for text in ["", "0f", &digits[1..], &"zz".repeat(32)] {
        assert_eq!(Secret::read(text), None, "{text}");
    }
    assert_eq!("ab".repeat(16).parse::<KeyId>().unwrap().to_string(), "ab".repeat(16));
    assert!("AB".repeat(16).parse::<KeyId>().is_err());
}
