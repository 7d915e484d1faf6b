//! Nothing that is written, and no row that does not fit, makes the crate panic, overflow the stack or leave its bounds.

use crate::scopes::everything;
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};
use proptest::sample::select;
use seamline_contract::value::Value;
use seamline_expr::program::{TEXT_MAX, compile};

/// Compiles, holds the bytes of errors against the text, and evaluates a row.
fn survive(text: &str, row: &[Value]) {
    match compile(text, &everything().0) {
        Ok(program) => drop(program.eval(row)),
        Err(errors) => {
            assert!(!errors.is_empty());
            for error in errors {
                assert!(text.get(error.bytes.clone()).is_some(), "{text:?}: {error:?}");
                assert!(error.help.is_some(), "{text:?}: {error:?}");
                assert!(!error.message.ends_with('.'), "{error:?}");
            }
        }
    }
}

#[test]
fn repeated_words_are_harmless_on_a_small_stack() {
    let parts = [
        "!",
        "- ",
        "-",
        "(",
        "[",
        ")",
        "{",
        "a.",
        "a?",
        "a?b:",
        "true?true:",
        "1+",
        "1==",
        "a[",
        "f(",
        "x.all(x,",
        "amounts.all(x,",
        "active&&",
        "active||",
        "!(",
        "'",
        "\"",
        "r'",
        "\\",
        "1",
        "1.",
        ".",
        "é",
        "𝄞",
        "in ",
        ",",
        "\n",
        "address.city",
        "units<units&&",
        "has(",
        "amounts+",
        "'a'+",
        "[1,",
        "\u{0}",
        "policyId.size().",
    ];
    let run = move || {
        let (_, row) = everything();
        for part in parts {
            for count in [1, 2, 63, 64, 65, TEXT_MAX / part.len(), TEXT_MAX] {
                let text = part.repeat(count);
                survive(&text, &row);
                survive(&format!("{text}1"), &row);
                survive(&format!("{text}active"), &row);
            }
        }
    };
    std::thread::Builder::new().stack_size(512 << 10).spawn(run).unwrap().join().unwrap();
}

#[test]
fn long_conjunctions_are_no_nesting() {
    let text = vec!["active"; 400].join(" && ");
    let (scope, row) = everything();
    assert_eq!(compile(&text, &scope).unwrap().eval(&row), Ok(Value::Boolean(true)));
    assert!(compile(&vec!["active"; 600].join(" && "), &scope).is_err(), "longer than TEXT_MAX");
}

fn soup() -> impl Strategy<Value = String> {
    let words = [
        "units",
        "limit",
        "premium",
        "ratio",
        "cover",
        "coverTo",
        "coverFrom",
        "active",
        "paid",
        "policyId",
        "address",
        "places",
        "amounts",
        "labels",
        "boundAt",
        "delay",
        "trace",
        "x",
        "city",
        ".",
        ".",
        "(",
        ")",
        "[",
        "]",
        ",",
        "==",
        "!=",
        "<",
        ">=",
        "&&",
        "||",
        "!",
        "+",
        "-",
        "*",
        "/",
        "%",
        "?",
        ":",
        "in",
        "'a'",
        "'eligible'",
        "1",
        "0",
        "2.5",
        "null",
        "true",
        "9223372036854775807",
        "all(x,",
        "map(x,",
        "filter(x,",
        "size(",
        "string(",
        "int(",
        "has(",
        "matches('a')",
        "date('2026-01-31')",
        "duration('30s')",
        "timestamp('2026-01-31T00:00:00Z')",
        "decimal('0.1')",
    ];
    proptest::collection::vec(select(words.to_vec()), 0..14).prop_map(|words| words.join(" "))
}

/// Expressions that compile, each of which reads what a foreign row does not have.
fn sound() -> impl Strategy<Value = &'static str> {
    select(vec![
        "units + 1 > 2",
        "units * units / units % units == 1",
        "-units == 1",
        "-delay == delay",
        "premium / premium == 1.0",
        "premium * premium - premium > 0.1",
        "ratio * ratio / ratio > 1",
        "coverFrom < coverFrom",
        "boundAt + delay > boundAt - delay",
        "boundAt - boundAt > delay + delay",
        "policyId + policyId == 'a'",
        "size(policyId) + size(payload) + size(labels) + size(places) > 1",
        "policyId.startsWith('P') || policyId.endsWith('P') || policyId.contains('P') || policyId.matches('P')",
        "string(units) + string(premium) + string(coverFrom) + string(boundAt) + string(active) == ''",
        "int(premium) + int(policyId) > 1",
        "amounts[units] == 1",
        "places[0].city == labels['a']",
        "places.map(p, p.city).filter(c, c > 'A').exists_one(c, c == 'Ulm')",
        "amounts.map(a, a > 4, a * 2).all(a, a in [4, 8])",
        "'a' in labels || units in amounts",
        "address == previous || payload == payload || trace == trace",
        "active ? cover : policyId",
    ])
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Boolean),
        prop_oneof![any::<i64>(), -3..3_i64, Just(i64::MIN), Just(i64::MAX)].prop_map(Value::Integer),
        (any::<i64>(), 0..28_u32).prop_map(|(n, scale)| Value::Decimal(rust_decimal::Decimal::new(n, scale))),
        Just(Value::Decimal(rust_decimal::Decimal::MAX)),
        any::<f64>().prop_map(Value::Approximate),
        "\\PC{0,6}".prop_map(Value::String),
        Just(Value::Date(jiff::civil::Date::MAX)),
        prop_oneof![Just(jiff::Timestamp::MIN), Just(jiff::Timestamp::MAX)].prop_map(Value::Timestamp),
        prop_oneof![any::<i64>(), Just(i64::MIN)].prop_map(Value::Duration),
        any::<[u8; 16]>().prop_map(Value::Uuid),
        proptest::collection::vec(any::<u8>(), 0..4).prop_map(Value::Bytes),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::List),
            proptest::collection::btree_map("a|city|street", inner, 0..3).prop_map(Value::Map),
        ]
    })
}

proptest! {
    #[test]
    fn any_text_is_harmless(text in "\\PC{0,60}") {
        survive(&text, &everything().1);
    }

    #[test]
    fn any_words_are_harmless(text in soup(), row in proptest::collection::vec(value(), 0..22)) {
        survive(&text, &everything().1);
        survive(&text, &row);
    }

    #[test]
    fn any_row_is_harmless(text in sound(), row in proptest::collection::vec(value(), 0..22)) {
        assert!(compile(text, &everything().0).is_ok(), "{text}: {:?}", compile(text, &everything().0));
        survive(text, &row);
    }
}
