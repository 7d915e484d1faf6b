//! The reference page is what happens: its row is the tests' row, and every example on it is run.

use crate::scopes::{compiled, everything};
use seamline_contract::value::Value;
use seamline_expr::program::{COST_MAX, DEPTH_MAX, LIST_MAX, TEXT_MAX};

const PAGE: &str = include_str!("../../../docs/reference/expressions.md");

/// Returns the lines of the page's blocks of a kind, in two columns.
fn examples(kind: &str) -> Vec<(&'static str, &'static str)> {
    let mut found = Vec::new();
    let mut inside = false;
    for line in PAGE.lines() {
        if line.starts_with("```") {
            inside = line.strip_prefix("```") == Some(kind);
        } else if inside && !line.trim().is_empty() {
            let (left, right) = line.split_once(" → ").expect(line);
            found.push((left.trim(), right.trim()));
        }
    }
    found
}

fn shown(value: &Value) -> String {
    let list = |parts: Vec<String>| parts.join(", ");
    match value {
        Value::Null => "null".to_owned(),
        Value::Boolean(value) => value.to_string(),
        Value::Integer(value) => value.to_string(),
        Value::Decimal(value) => value.to_string(),
        Value::Approximate(value) => value.to_string(),
        Value::String(value) => format!("'{value}'"),
        Value::Date(value) => value.to_string(),
        Value::Timestamp(value) => value.to_string(),
        Value::Duration(micros) => format!("{}s", micros / 1_000_000),
        Value::Bytes(bytes) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        Value::Uuid(bytes) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        Value::List(values) => format!("[{}]", list(values.iter().map(shown).collect())),
        Value::Map(map) => {
            format!(
                "{{{}}}",
                list(map.iter().map(|(key, value)| format!("{key}: {}", shown(value))).collect())
            )
        }
    }
}

#[test]
fn the_row_of_the_page_is_the_row_of_the_tests() {
    let (scope, row) = everything();
    let told: Vec<(String, String)> = scope
        .variables
        .iter()
        .zip(&row)
        .map(|(variable, value)| {
            let mark = if variable.optional { "?" } else { "" };
            (format!("{}: {}{mark}", variable.name, variable.kind), shown(value))
        })
        .collect();
    let written: Vec<(String, String)> =
        examples("row").into_iter().map(|(left, right)| (left.to_owned(), right.to_owned())).collect();
    assert_eq!(written, told);
}

#[test]
fn every_example_of_the_page_yields_what_it_says() {
    let (_, row) = everything();
    let examples = examples("yields");
    assert!(examples.len() > 30, "the page is read");
    for (expression, result) in examples {
        let program = compiled(expression).unwrap_or_else(|errors| panic!("{expression}: {errors:?}"));
        let yielded = match program.eval(&row) {
            Ok(value) => shown(&value),
            Err(error) => format!("error: {error}"),
        };
        assert_eq!(yielded, result, "{expression}");
    }
}

#[test]
fn every_refusal_of_the_page_is_one() {
    let examples = examples("refused");
    assert!(examples.len() > 8, "the page is read");
    for (expression, refusal) in examples {
        let errors = compiled(expression).expect_err(expression);
        let told = format!("{}; {}", errors[0].message, errors[0].help.as_deref().unwrap_or_default());
        assert_eq!(told, refusal, "{expression}");
    }
}

#[test]
fn the_bounds_of_the_page_are_the_bounds() {
    for (what, bound) in [
        ("bytes of text", TEXT_MAX as u64),
        ("operations deep", DEPTH_MAX as u64),
        ("elements of a list", LIST_MAX as u64),
        ("steps", COST_MAX),
    ] {
        assert!(PAGE.contains(&format!("| {what} | {bound} |")), "{what}: {bound}");
    }
}
