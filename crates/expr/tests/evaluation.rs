//! What expressions yield of a row with values of every type.

use crate::scopes::{compiled, day, decimal, everything, text};
use seamline_contract::value::Value;
use seamline_expr::program::{EvalError, LIST_MAX};

fn check(expression: &str, expected: Result<Value, EvalError>) {
    let program = compiled(expression).unwrap_or_else(|errors| panic!("{expression}: {errors:?}"));
    assert_eq!(program.eval(&everything().1), expected, "{expression}");
}

#[test]
fn numbers_are_exact_or_an_error() {
    for (expression, expected) in [
        ("0.1 + 0.2", Ok(decimal("0.3"))),
        ("0.1 + 0.2 == 0.3", Ok(Value::Boolean(true))),
        ("premium * 2", Ok(decimal("241"))),
        ("premium / 4", Ok(decimal("30.125"))),
        ("premium / 7", Err(EvalError::Inexact("/"))),
        ("10000000000000000.5 * 10000000000000000.5", Err(EvalError::Inexact("*"))),
        ("decimal('9999999999999999999999999999') + 0.01", Err(EvalError::Inexact("+"))),
        ("7 / 2", Ok(Value::Integer(3))),
        ("-7 % 2", Ok(Value::Integer(-1))),
        ("units / 0", Err(EvalError::DivisionByZero)),
        ("premium % 0", Err(EvalError::DivisionByZero)),
        ("9223372036854775807 + units", Err(EvalError::Inexact("+"))),
        ("-9223372036854775808", Ok(Value::Integer(i64::MIN))),
        ("-units", Ok(Value::Integer(-3))),
        ("ratio * 2", Ok(Value::Approximate(1.0))),
        ("ratio == 0.5", Ok(Value::Boolean(true))),
        ("units == 3.0 && units < premium", Ok(Value::Boolean(true))),
        ("int(premium * 2)", Ok(Value::Integer(241))),
        ("int(premium)", Err(EvalError::Inexact("int"))),
        ("int(policyId)", Err(EvalError::NotConvertible("integer"))),
    ] {
        check(expression, expected);
    }
}

#[test]
fn time_is_compared_and_moved() {
    for (expression, expected) in [
        ("coverFrom == date('2026-02-01')", Value::Boolean(true)),
        ("boundAt + duration('1h') > timestamp('2026-01-31T10:59:59Z')", Value::Boolean(true)),
        ("boundAt - timestamp('2026-01-31T09:58:30Z') == delay", Value::Boolean(true)),
        ("-delay < delay", Value::Boolean(true)),
        ("delay + delay", Value::Duration(180_000_000)),
        ("boundAt == timestamp('2026-01-31T11:00:00+01:00')", Value::Boolean(true)),
        ("active ? coverFrom : null", day("2026-02-01")),
    ] {
        check(expression, Ok(expected));
    }
}

#[test]
fn no_value_is_equal_only_to_itself() {
    for (expression, expected) in [
        ("discount == null", true),
        ("discount != null", false),
        ("discount == premium", false),
        ("paid != true", true),
        ("previous == null || previous.city == 'Ulm'", true),
        ("labels['nothing'] == null", true),
        ("has(address.street)", true),
        ("places.exists(p, p.street == null)", true),
    ] {
        check(expression, Ok(Value::Boolean(expected)));
    }
}

#[test]
fn texts_lists_maps_and_objects_are_read() {
    for (expression, expected) in [
        (
            "policyId.startsWith('P-') && policyId.endsWith('17') && policyId.contains('000')",
            Value::Boolean(true),
        ),
        ("policyId.matches(r'^P-\\d{8}$')", Value::Boolean(true)),
        ("size('é𝄞')", Value::Integer(2)),
        ("policyId + '/' + string(units)", text("P-00000017/3")),
        ("string(premium)", text("120.50")),
        ("amounts[2]", Value::Integer(6)),
        ("5 in amounts && 'colour' in labels", Value::Boolean(true)),
        ("labels.colour == 'red' && labels['colour'] == 'red'", Value::Boolean(true)),
        ("places[1].city", text("Lyon")),
        ("places.map(p, p.street != null, p.city)", Value::List(vec![text("Ulm")])),
        ("amounts.filter(x, x > 4)", Value::List(vec![Value::Integer(5), Value::Integer(6)])),
        (
            "amounts.exists_one(x, x == 5) && amounts.all(x, x > 3) && !amounts.exists(x, x > 6)",
            Value::Boolean(true),
        ),
        ("size(payload) + payload.size()", Value::Integer(6)),
    ] {
        check(expression, Ok(expected));
    }
    check("amounts[3] == 1", Err(EvalError::NoElement(3)));
    check("amounts[-1] == 1", Err(EvalError::NoElement(-1)));
}

#[test]
fn rows_that_do_not_fit_are_errors() {
    let program = compiled("amounts.all(x, x > 1)").unwrap();
    let (scope, mut row) = everything();
    let slot = scope.variables.iter().position(|variable| variable.name == "amounts").unwrap();
    assert_eq!(program.eval(&[]), Err(EvalError::ForeignRow));
    row[slot] = Value::List(vec![Value::Integer(2), Value::Null]);
    assert_eq!(program.eval(&row), Err(EvalError::NoValue));
    row[slot] = Value::List(vec![Value::Integer(2); LIST_MAX + 1]);
    assert_eq!(program.eval(&row), Err(EvalError::ListTooLong(LIST_MAX + 1)));
    row[slot] = text("a");
    assert_eq!(program.eval(&row), Err(EvalError::ForeignRow));
}
