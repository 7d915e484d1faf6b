//! What a condition proves of paths that may have no value, and what it does not.

use crate::scopes::compiled;

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
