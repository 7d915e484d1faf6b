//! Shapes that stand elsewhere: shared types, and what an attribute is like.

use crate::{CONTRACT, broken, lines, read};
use seamline_contract::attribute::{Attribute, Type};
use seamline_lang::estate::Reading;

const GEOGRAPHY: &str = "\
apiVersion: seamline/v1
kind: Types
types:
  Place:
    type: object
    attributes:
      city: { type: string, length: 80 }
      at: { type: Point, optional: true }
  Point: { type: object, attributes: { lat: { type: 'decimal(8,5)' }, lon: { type: 'decimal(8,5)' } } }
  Country: { type: string, pattern: '[A-Z]{2}' }
";

fn with(types: &str, attribute: &str) -> Reading {
    let contract = CONTRACT.replace("  claimsStatus:\n", &format!("  {attribute}\n  claimsStatus:\n"));
    read(&[("geo.types.yaml", types), ("policy.contract.yaml", &contract)])
}

fn second(reading: &Reading) -> &Attribute {
    &reading.estate.contracts[0].attributes[1]
}

/// Returns paths with types and meanings, inner ones after outer ones.
fn told(attribute: &Attribute, path: &str, into: &mut Vec<String>) {
    let shape = attribute.own_shape().expect("it is decided here");
    let optional = if attribute.optional { "?" } else { "" };
    into.push(format!("{path}: {}{optional} {}", shape.ty, attribute.meaning));
    if let Type::Object(members) = &shape.ty {
        members.iter().for_each(|member| told(member, &format!("{path}.{}", member.name), into));
    }
}

#[test]
fn a_shared_type_is_filled_in_and_means_what_its_user_says() {
    let reading = with(
        GEOGRAPHY,
        "home: { type: geo.Place, meaning: 'Where the insured lives.', meanings: { city: 'As in the register.', at: 'The door.', at.lat: 'North.' } }",
    );
    assert_eq!(lines(&reading), [""; 0]);
    let mut members = Vec::new();
    told(second(&reading), "home", &mut members);
    assert_eq!(
        members,
        [
            "home: object Where the insured lives.",
            "home.city: string As in the register.",
            "home.at: object? The door.",
            "home.at.lat: decimal(8,5) North.",
            "home.at.lon: decimal(8,5) ",
        ]
    );
}

#[test]
fn a_shared_type_is_narrowed_where_it_is_used_and_its_document_may_go_unnamed() {
    let reading =
        with(GEOGRAPHY, "land: { type: Country, pattern: '(DE|FR)', meaning: 'Where it is insured.' }");
    assert_eq!(lines(&reading), [""; 0]);
    assert_eq!(second(&reading).own_shape().unwrap().pattern.as_deref(), Some("(DE|FR)"));
    assert_eq!(reading.estate.types[0].types.len(), 3);
}

#[test]
fn what_a_shared_type_may_not_say_is_refused() {
    let types = |body: &str| format!("apiVersion: seamline/v1\nkind: Types\ntypes:\n  A: {body}\n");
    for (body, expected) in [
        (
            "{ type: string, meaning: 'It is.' }",
            "4:22 LANGUAGE_UNKNOWN_KEY a shared type has no key `meaning`",
        ),
        ("{ type: string, optional: true }", "4:22 LANGUAGE_UNKNOWN_KEY a shared type has no key `optional`"),
        (
            "{ type: object, attributes: { x: { from: a/b@1.c } } }",
            "4:41 LANGUAGE_UNKNOWN_KEY a member of a shared type has no key `from`",
        ),
        ("{ type: B }", "4:14 LANGUAGE_NAME there is no shared type `B`"),
        (
            "{ type: object, attributes: { x: { type: A } } }",
            "4:47 LANGUAGE_VALUE `A` leads in a circle, or through more than 8 others",
        ),
    ] {
        let reading = read(&[("a.types.yaml", types(body).as_str())]);
        let lines = lines(&reading);
        assert!(lines.contains(&format!("a.types.yaml:{expected}")), "{body}: {lines:#?}");
    }
}

#[test]
fn what_its_user_may_not_say_is_refused() {
    for (attribute, expected) in [
        ("x: { type: geo.Plaice, meaning: M. }", "11:14 LANGUAGE_NAME there is no shared type `geo.Plaice`"),
        (
            "x: { type: geo.Place, meaning: M., meanings: { town: T. } }",
            "11:50 LANGUAGE_NAME the type has no member `town`",
        ),
        (
            "x: { type: geo.Country, meaning: M., zone: UTC }",
            "11:40 LANGUAGE_VALUE `zone` says nothing about a value of type `string`",
        ),
        (
            "x: { type: geo.Place, meaning: M., attributes: { y: { type: string } } }",
            "11:38 LANGUAGE_VALUE `attributes` comes with the type",
        ),
        (
            "x: { type: string, meaning: M., meanings: { y: N. } }",
            "11:35 LANGUAGE_VALUE `meanings` are those of the members of a shared type",
        ),
    ] {
        let found = lines(&with(GEOGRAPHY, attribute));
        assert_eq!(found, [format!("policy.contract.yaml:{expected}")], "{attribute}");
    }
}

#[test]
fn of_two_types_of_one_name_the_document_is_named() {
    let contract = CONTRACT.replace("type: string,", "type: Point,");
    let reading = read(&[
        ("geo.types.yaml", GEOGRAPHY),
        ("map.types.yaml", GEOGRAPHY),
        ("policy.contract.yaml", &contract),
    ]);
    let expected = "policy.contract.yaml:10:21 LANGUAGE_NAME `Point` is the name of 2 shared types";
    assert_eq!(lines(&reading), [expected]);
}

#[test]
fn likeness_in_a_circle_is_refused_and_ends() {
    let attribute =
        "  a: { type: object, meaning: M., attributes: { x: { like: a, meaning: M. } } }\n  claimsStatus:\n";
    let found = lines(&broken("  claimsStatus:\n", attribute));
    let expected = "LANGUAGE_VALUE `a` leads in a circle, or through more than 8 others";
    assert_eq!(found, [format!("policy.contract.yaml:11:60 {expected}")]);
}

#[test]
fn types_of_types_do_not_grow_without_end() {
    let mut types = "apiVersion: seamline/v1\nkind: Types\ntypes:\n  T0: { type: string }\n".to_owned();
    for idx in 1..8 {
        let members: Vec<String> = (0..20).map(|at| format!("m{at}: {{ type: T{} }}", idx - 1)).collect();
        types += &format!("  T{idx}: {{ type: object, attributes: {{ {} }} }}\n", members.join(", "));
    }
    let found = lines(&read(&[("a.types.yaml", types.as_str())]));
    assert!(
        found.iter().any(|line| line.contains("and others make more than 5000 attributes")),
        "{found:#?}"
    );
}
