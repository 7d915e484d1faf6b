//! Source form is read as databases print it, and never loses anything.

use crate::fixture::{everything, policy, policy_row, told};
use seamline_contract::value::Value;

/// Reads one attribute and returns the canonical JSON of its value, or the rules and paths that it breaks.
fn check(attribute: &str, json: &str) -> String {
    let codec = everything();
    match codec.read_source(format!("{{\"{attribute}\":{json}}}").as_bytes()) {
        Err(violations) => told(&violations).join(", "),
        Ok(row) => {
            let slot = codec.contract().slot(&attribute.parse().unwrap()).unwrap();
            let mut out = Vec::new();
            seamline_message::canonical::write(&row[slot], &mut out);
            String::from_utf8(out).unwrap()
        }
    }
}

#[test]
fn what_databases_print_is_read_exactly() {
    for (attribute, json, canonical) in [
        ("whole", "17", r#""17""#),
        ("whole", r#""-9223372036854775808""#, r#""-9223372036854775808""#),
        ("whole", "17.0", r#""17""#),
        ("whole", "1e3", r#""1000""#),
        ("exact", "12.1", r#""12.10""#),
        ("exact", r#""12.100""#, r#""12.10""#),
        ("exact", "1.2e1", r#""12.00""#),
        ("exact", "-0.0", r#""0.00""#),
        ("exact", "9999999999.99", r#""9999999999.99""#),
        ("flatMaybe", r#""12345678901234567890""#, r#""12345678901234567890""#),
        ("about", "12.345", "12.345"),
        ("yes", "1", "true"),
        ("yes", "0", "false"),
        ("yes", "true", "true"),
        ("instant", r#""2026-01-02 03:04:05.6+02""#, r#""2026-01-02T01:04:05.600000Z""#),
        ("instant", r#""2026-01-01T00:04-00:30""#, r#""2026-01-01T00:34:00.000000Z""#),
        ("instant", r#""1960-02-29T00:00:00.0000010Z""#, r#""1960-02-29T00:00:00.000001Z""#),
        ("id", r#""0123456789ABCDEF0123456789ABCDEF""#, r#""01234567-89ab-cdef-0123-456789abcdef""#),
        ("raw", r#""\\xFFfe""#, r#""//4=""#),
        ("raw", r#""""#, r#""""#),
        ("span", r#""90s""#, r#""PT90.000000S""#),
        ("span", "-1", r#""-PT0.000001S""#),
        ("amounts", r#""[1, 2.5]""#, r#"["1.000","2.500"]"#),
        ("notes", r#"{"b":"2","a":"1","c":null}"#, r#"{"a":"1","b":"2"}"#),
        ("textMaybe", "null", "null"),
    ] {
        assert_eq!(check(attribute, json), canonical, "{attribute} {json}");
    }
}

#[test]
fn what_would_lose_something_is_refused() {
    for (attribute, json) in [
        ("whole", "17.5"),
        ("whole", "9223372036854775808"),
        ("whole", r#""017""#),
        ("whole", r#"" 17""#),
        ("whole", "true"),
        ("exact", "12.345"),
        ("exact", "0.30000000000000004"),
        ("exact", "99999999999.99"),
        ("exact", "1e99"),
        ("exact", "1e-3"),
        ("exact", r#""12,1""#),
        ("exact", r#""""#),
        ("exact", "1e999999999999999999999"),
        ("about", r#""1.5""#),
        ("about", "1e999"),
        ("yes", "2"),
        ("yes", r#""true""#),
        ("text", "1"),
        ("day", r#""2026-02-29""#),
        ("day", r#""2026-1-1""#),
        ("day", r#""2026-01-01T00:00:00Z""#),
        ("instant", r#""2026-01-02T03:04:05""#),
        ("instant", r#""2026-01-02T24:00:00Z""#),
        ("instant", r#""2026-01-02T03:04:60Z""#),
        ("instant", r#""2026-01-02T03:04:05.0000001Z""#),
        ("instant", r#""2026-01-02T03:04:05.Z""#),
        ("instant", r#""2026-01-02T03:04:05+""#),
        ("id", r#""0123""#),
        ("raw", r#""f""#),
        ("raw", r#""//4=""#),
        ("span", r#""1y""#),
        ("span", "0.5"),
    ] {
        assert_eq!(check(attribute, json), format!("TYPE state.{attribute}"), "{attribute} {json}");
    }
    assert_eq!(
        check("place", r#"{"number":"x","since":1}"#),
        "TYPE state.place.number, TYPE state.place.since"
    );
    assert_eq!(check("lines", r#"[{"sku":"a"},{"sku":1}]"#), "TYPE state.lines[1].sku");
    assert_eq!(check("notes", r#"{"secret":1}"#), "TYPE state.notes.*");
    assert_eq!(check("place", r#""{""#), "JSON state.place");
}

#[test]
fn undeclared_members_are_refused_at_every_depth() {
    assert_eq!(check("unknown", "1"), "SHAPE state");
    assert_eq!(check("place", r#"{"number":1,"planet":"Earth"}"#), "SHAPE state.place");
}

#[test]
fn all_violations_of_a_state_come_at_once_and_hold_no_value() {
    let codec = policy();
    let row = policy_row(
        &codec,
        &[
            ("policyId", r#""P-1\n""#),
            ("claimsStatus", r#""secret""#),
            ("coverFrom", "null"),
            ("annualPremium", "-1"),
            ("holderName", r#""secret secret secret secret secret secret secret""#),
            ("address", r#"{"street":"secret"}"#),
        ],
    );
    let violations = codec.judge_state(&row);
    assert_eq!(
        told(&violations),
        [
            "REQUIRED state.address.city",
            "RANGE state.annualPremium",
            "VALUES state.claimsStatus",
            "REQUIRED state.coverFrom",
            "LENGTH state.holderName",
            "PATTERN state.policyId",
        ]
    );
    assert!(violations.iter().all(|violation| !violation.to_string().contains("secret")));
}

#[test]
fn a_state_that_keeps_its_contract_has_no_violations() {
    let codec = policy();
    assert_eq!(codec.judge_state(&policy_row(&codec, &[])), []);
}

#[test]
fn values_that_cannot_travel_are_found() {
    let codec = policy();
    let slot = |name: &str| codec.contract().slot(&name.parse().unwrap()).unwrap();
    for (name, value) in [
        ("annualPremium", Value::Decimal("1.005".parse().unwrap())),
        ("annualPremium", Value::Integer(1)),
        ("coverFrom", Value::Date("-000001-01-01".parse().unwrap())),
        ("holderName", Value::Integer(1)),
    ] {
        let mut row = policy_row(&codec, &[]);
        row[slot(name)] = value;
        assert_eq!(told(&codec.judge_state(&row)), [format!("TYPE state.{name}")]);
    }
}

#[test]
fn bytes_that_are_no_json_object_are_refused() {
    let codec = policy();
    for bytes in [
        &b""[..],
        b"[]",
        b"{",
        b"{} {}",
        b"{\"policyId\":\"\xff\"}",
        b"{\"policyId\":\"a\",\"policyId\":\"a\"}",
    ] {
        assert!(codec.read_source(bytes).is_err(), "{}", String::from_utf8_lossy(bytes));
    }
}
