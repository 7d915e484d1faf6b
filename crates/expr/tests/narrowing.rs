//! What a condition proves of paths that may have no value, and what it does not.

use crate::scopes::{compiled, optional, required};
use proptest::prelude::{ProptestConfig, Strategy, prop_oneof, proptest};
use proptest::sample::select;
use seamline_contract::value::Value;
use seamline_expr::kind::Kind;
use seamline_expr::program::{EvalError, compile};
use seamline_expr::scope::Scope;

fn proven(text: &str) {
    assert!(compiled(text).is_ok(), "{text}: {:?}", compiled(text).unwrap_err());
}

fn unproven(text: &str) {
    let errors = compiled(text).expect_err(text);
    assert!(
        errors.iter().all(|error| error.message.ends_with("may have no value here")),
        "{text}: {errors:?}"
    );
}

#[test]
fn conditions_prove_what_they_ask() {
    for text in [
        "coverTo == null || coverFrom <= coverTo",
        "null == coverTo || coverFrom <= coverTo",
        "coverTo != null && coverFrom <= coverTo",
        "!(coverTo == null) && coverFrom <= coverTo",
        "!(coverTo != null && coverFrom > coverTo)",
        "coverTo != null ? coverFrom <= coverTo : true",
        "coverTo == null ? true : coverFrom <= coverTo",
        "coverTo == null || limit == null || coverFrom <= coverTo && limit > 1",
        "!(coverTo == null || limit == null) && coverFrom <= coverTo && limit > 1",
        "(limit == 1 || limit == 2) && limit > 1",
        "limit in [1, 2] && limit > 1",
        "address.street != null && address.street.startsWith('R')",
        "has(address.street) && size(address.street) > 1",
        "previous != null && previous.city == 'Ulm'",
        "previous != null && previous.street != null && previous.street.size() > 1",
        "labels['size'] != null && labels['size'].size() > 1",
        "labels['size'] != null && labels.size.size() > 1",
        "places.all(p, p.street == null || p.street.size() > 1)",
        "limit != null && amounts.all(x, x < limit)",
        "size(places.map(p, p.street != null, p.street)) > 1",
        "limit == 3",
        "limit != 3",
        "discount == premium",
    ] {
        proven(text);
    }
}

#[test]
fn conditions_prove_nothing_else() {
    for text in [
        "coverFrom <= coverTo",
        "coverTo == null && coverFrom <= coverTo",
        "coverTo != null || coverFrom <= coverTo",
        "coverFrom <= coverTo || coverTo == null",
        "!(coverTo != null) && coverFrom <= coverTo",
        "coverTo == null ? coverFrom <= coverTo : true",
        "limit != null || coverTo == null || coverFrom <= coverTo && limit > 1",
        "(limit == 1 || units == 2) && limit > 1",
        "(coverTo == null || limit == null) && limit > 1",
        "!(coverTo == null && limit == null) && limit > 1",
        "limit != 3 && limit > 1",
        "limit in amounts && limit > 1",
        "!(limit in [1, 2]) && limit > 1",
        "limit == units && limit > 1",
        "!has(address.street) && size(address.street) > 1",
        "labels['size'] != null && labels['colour'].size() > 1",
        "labels['a.b'] != null && labels['a'].size() > 1",
        "places.all(p, p.street != null) && places.all(p, p.street.size() > 1)",
        "previous.city == 'Ulm'",
        "address.street != null && previous.street.size() > 1",
    ] {
        unproven(text);
    }
}

#[test]
fn results_say_whether_they_may_have_no_value() {
    for (text, optional) in [
        ("coverTo", true),
        ("coverFrom", false),
        ("active ? coverFrom : null", true),
        ("active ? coverTo : coverFrom", true),
        ("coverTo != null ? coverTo : coverFrom", false),
        ("labels['a']", true),
        ("coverTo == null", false),
        ("null", true),
    ] {
        assert_eq!(compiled(text).unwrap().optional(), optional, "{text}");
    }
}

#[test]
fn uses_are_every_path_that_is_read() {
    for (text, uses) in [
        ("address.city == 'Ulm'", vec!["address.city"]),
        ("address == address && address.city == 'Ulm'", vec!["address", "address.city"]),
        ("address.city == 'Ulm' && address == address", vec!["address", "address.city"]),
        ("previous != null && previous.city == 'Ulm'", vec!["previous", "previous.city"]),
        ("has(address.street)", vec!["address.street"]),
        ("labels.colour == 'red'", vec!["labels"]),
        ("labels['colour'] == policyId", vec!["labels", "policyId"]),
        ("places.exists(p, p.city == policyId)", vec!["places", "policyId"]),
        ("places[0].city == 'Ulm'", vec!["places"]),
        ("amounts[units] == 1", vec!["amounts", "units"]),
        ("false ? units == 1 : active", vec!["active", "units"]),
        ("1 == 1", vec![]),
    ] {
        let program = compiled(text).unwrap_or_else(|errors| panic!("{text}: {errors:?}"));
        let paths: Vec<String> = program.uses().iter().map(ToString::to_string).collect();
        assert_eq!(paths, uses, "{text}");
    }
}

/// Conditions over `m`, `n` and `p`, guarded or not.
fn conditions() -> impl Strategy<Value = String> {
    let atoms = [
        "m == null",
        "null != m",
        "n == null",
        "n != null",
        "m > 0",
        "n < 1",
        "m == 1",
        "n in [0, 1]",
        "m < n",
        "p",
    ];
    let atom = select(atoms.to_vec()).prop_map(|atom| format!("({atom})"));
    atom.prop_recursive(4, 12, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} && {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} || {b})")),
            (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("size([0].map(x, {a}, {b})) == 1")),
            inner.prop_map(|inner| format!("!{inner}")),
        ]
    })
}

/// Evaluates an expression over every row there can be of `m`, `n` and `p`; returns whether a value was ever missing.
fn misses_a_value(expression: &str) -> Option<bool> {
    let integer = |name| optional(name, Kind::Integer);
    let scope = Scope { variables: vec![integer("m"), integer("n"), required("p", Kind::Boolean)] };
    let program = compile(expression, &scope).ok()?;
    let numbers = [Value::Null, Value::Integer(0), Value::Integer(1)];
    let rows = numbers.iter().flat_map(|m| numbers.iter().map(move |n| (m, n)));
    Some(rows.flat_map(|row| [(row, true), (row, false)]).any(|((m, n), p)| {
        program.eval(&[m.clone(), n.clone(), Value::Boolean(p)]) == Err(EvalError::NoValue)
    }))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]
    #[test]
    fn what_compiles_never_misses_a_value(expression in conditions()) {
        assert_ne!(misses_a_value(&expression), Some(true), "{expression}");
    }
}
