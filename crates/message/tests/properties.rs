//! What holds for every row: what was written is read, has one form, and no byte changes unnoticed.

use crate::fixture::everything;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use rust_decimal::Decimal;
use seamline_contract::value::Value;
use seamline_message::codec::{Codec, Row};
use seamline_message::digest::{Digest, DigestKey, Domain, digest};
use std::collections::BTreeMap;
use std::sync::LazyLock;

static CODEC: LazyLock<Codec> = LazyLock::new(everything);
const SECRET: DigestKey = DigestKey([3; 32]);

fn text() -> impl Strategy<Value = Value> {
    prop_oneof![
        "[a-z0-9 ]{0,12}",
        "\\PC{0,6}",
        any::<String>().prop_map(|text| text.chars().take(6).collect())
    ]
    .prop_map(Value::String)
}

fn whole() -> impl Strategy<Value = Value> {
    prop_oneof![any::<i64>(), -5..5_i64].prop_map(Value::Integer)
}

fn exact(precision: u32, scale: u32) -> impl Strategy<Value = Value> {
    let most = 10_i128.pow(precision) - 1;
    prop_oneof![-most..=most, -200..200_i128]
        .prop_map(move |digits| Value::Decimal(Decimal::from_i128_with_scale(digits, scale)))
}

fn day() -> impl Strategy<Value = Value> {
    (0..=9999_i16, 1..=12_i8, 1..=28_i8)
        .prop_map(|(year, month, day)| Value::Date(jiff::civil::Date::new(year, month, day).unwrap()))
}

fn instant() -> impl Strategy<Value = Value> {
    (-62_167_219_200_000_000..253_402_207_200_000_000_i64)
        .prop_map(|micros| Value::Timestamp(jiff::Timestamp::from_microsecond(micros).unwrap()))
}

fn about() -> impl Strategy<Value = Value> {
    any::<f64>().prop_filter_map("finite", |number| number.is_finite().then_some(Value::Approximate(number)))
}

fn maybe(strategy: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    option::of(strategy).prop_map(|value| value.unwrap_or(Value::Null))
}

fn object(members: Vec<(&'static str, BoxedStrategy<Value>)>) -> impl Strategy<Value = Value> {
    let (names, values): (Vec<&str>, Vec<BoxedStrategy<Value>>) = members.into_iter().unzip();
    values.prop_map(move |values| {
        let there = names.iter().zip(values).filter(|(_, value)| !value.is_null());
        Value::Map(there.map(|(name, value)| ((*name).to_owned(), value)).collect())
    })
}

fn key_parts() -> Vec<BoxedStrategy<Value>> {
    vec![
        text().boxed(),
        whole().boxed(),
        exact(12, 2).boxed(),
        day().boxed(),
        instant().boxed(),
        any::<[u8; 16]>().prop_map(Value::Uuid).boxed(),
        vec(any::<u8>(), 0..8).prop_map(Value::Bytes).boxed(),
        any::<bool>().prop_map(Value::Boolean).boxed(),
    ]
}

/// Rows that keep the contract of every type.
pub(crate) fn rows() -> impl Strategy<Value = Row> {
    let mut slots = key_parts();
    let place = object(vec![
        ("street", maybe(text()).boxed()),
        ("number", whole().boxed()),
        ("since", maybe(day()).boxed()),
    ]);
    let line = object(vec![("sku", text().boxed()), ("count", maybe(whole()).boxed())]);
    let notes =
        btree_map("\\PC{0,3}", text(), 0..4).prop_map(|notes: BTreeMap<String, Value>| Value::Map(notes));
    slots.extend([
        maybe(text()).boxed(),
        maybe(whole()).boxed(),
        maybe(exact(28, 10)).boxed(),
        maybe(exact(20, 0)).boxed(),
        maybe(about()).boxed(),
        maybe(day()).boxed(),
        maybe(instant()).boxed(),
        maybe(any::<[u8; 16]>().prop_map(Value::Uuid)).boxed(),
        maybe(vec(any::<u8>(), 0..40).prop_map(Value::Bytes)).boxed(),
        maybe(any::<bool>().prop_map(Value::Boolean)).boxed(),
        maybe(any::<i64>().prop_map(Value::Duration)).boxed(),
        maybe("(one|two|three)".prop_map(Value::String)).boxed(),
        maybe(place).boxed(),
        maybe(notes).boxed(),
        maybe(vec(exact(6, 3), 0..4).prop_map(Value::List)).boxed(),
        maybe(vec(line, 0..3).prop_map(Value::List)).boxed(),
    ]);
    slots
}

/// Reads a state record; returns what it says and its digest, as a consumer would.
fn read(key: &[u8], value: &[u8]) -> Option<(Row, Option<String>, Digest)> {
    let message = CODEC.decode_state(None, Some(key), value).ok()?;
    let content = &value[message.state];
    Some((message.row, message.effective, digest(&SECRET, Domain::State, key, content)))
}

/// Returns the members of an object in reverse order, with white space, and every text escaped in full.
fn respelt(members: &mut dyn DoubleEndedIterator<Item = (&str, &Value)>) -> String {
    let there = members.rev().filter(|(_, value)| !value.is_null());
    let members: Vec<String> =
        there.map(|(name, value)| format!("{} :\t{}", escaped(name), respelt_value(value))).collect();
    format!(" {{ {} }}", members.join(" ,\r\n"))
}

fn respelt_value(value: &Value) -> String {
    match value {
        Value::List(elements) => {
            format!("[ {} ]", elements.iter().map(respelt_value).collect::<Vec<String>>().join(" ,\n"))
        }
        Value::Map(members) => respelt(&mut members.iter().map(|(name, value)| (name.as_str(), value))),
        Value::Boolean(_) => seamline_message::canonical::text(value).unwrap(),
        Value::Approximate(number) => format!("{number:e}"),
        scalar => escaped(&seamline_message::canonical::text(scalar).unwrap()),
    }
}

fn escaped(text: &str) -> String {
    format!("\"{}\"", text.encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect::<String>())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_is_written_is_read(row in rows(), effective in option::of(Just("2026-01-01"))) {
        prop_assert_eq!(CODEC.judge_state(&row), vec![]);
        let key = CODEC.key_of(&row);
        let value = CODEC.encode_state(None, &row, effective);
        let (read_row, read_effective, _) = read(key.as_bytes(), &value).unwrap();
        prop_assert_eq!(&read_row, &row);
        prop_assert_eq!(read_effective.as_deref(), effective);
        prop_assert_eq!(CODEC.encode_state(None, &read_row, effective), value);
    }

    #[test]
    fn another_spelling_says_the_same(row in rows()) {
        let key = CODEC.key_of(&row);
        let value = CODEC.encode_state(None, &row, None);
        let attributes = CODEC.contract().attributes.iter().enumerate();
        let others = attributes.filter(|(slot, _)| !CODEC.contract().key.contains(slot));
        let state = respelt(&mut others.map(|(slot, attribute)| (attribute.name.as_str(), &row[slot])));
        let other = format!("{{\"state\":{state}, \"key\" :{}}}", key.as_str().replacen('[', " [ ", 1));
        let (read_row, _, _) = read(key.as_bytes(), other.as_bytes()).unwrap();
        prop_assert_eq!(&read_row, &row);
        prop_assert_eq!(CODEC.encode_state(None, &read_row, None), value);
    }

    #[test]
    fn no_byte_changes_unnoticed(row in rows(), at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let key = CODEC.key_of(&row);
        let value = CODEC.encode_state(None, &row, None);
        let mut other = value.clone();
        let at = at.index(other.len());
        prop_assume!(other[at] != to);
        other[at] = to;
        let (_, _, right) = read(key.as_bytes(), &value).unwrap();
        if let Some((_, _, digest)) = read(key.as_bytes(), &other) {
            prop_assert_ne!(digest, right, "byte {}", at);
        }
        prop_assert_ne!(digest(&SECRET, Domain::Event, key.as_bytes(), &value), digest(&SECRET, Domain::Event, key.as_bytes(), &other));
    }

    #[test]
    fn no_bytes_make_the_reader_fall(bytes in vec(any::<u8>(), 0..64), cut in any::<prop::sample::Index>(), row in rows()) {
        let key = CODEC.key_of(&row);
        let value = CODEC.encode_state(None, &row, None);
        let _ = CODEC.decode_state(None, Some(&bytes), &bytes);
        let _ = CODEC.decode_event(None, Some(key.as_bytes()), &bytes);
        let _ = CODEC.read_source(&bytes);
        prop_assert!(read(key.as_bytes(), &value[..cut.index(value.len())]).is_none());
    }
}

#[test]
fn a_members_place_in_the_stream_never_tells_it_apart() {
    let row: Row = vec![Value::Null; CODEC.contract().attributes.len()];
    assert_eq!(CODEC.state_part(None, &row), b"{}");
}
