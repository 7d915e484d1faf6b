//! What is refused, where, and with which mend.

use crate::scopes::compiled;
use seamline_expr::program::{COST_MAX, compile};
use seamline_expr::scope::Scope;

/// Holds the first error against the part of the text it should point at, its message, and a part of its help.
fn check(text: &str, place: &str, message: &str, help: &str) {
    let errors = compiled(text).expect_err(text);
    let error = &errors[0];
    assert_eq!(&text[error.bytes.clone()], place, "{text}: {error:?}");
    assert_eq!(error.message, message, "{text}");
    let given = error.help.as_deref().unwrap_or_default();
    assert!(given.contains(help), "{text}: {given}");
}

#[test]
fn names_are_declared_or_refused_with_the_nearest() {
    check("coverfrom == coverFrom", "coverfrom", "`coverfrom` is not declared", "did you mean `coverFrom`?");
    check("cover == eligible", "eligible", "`eligible` is not declared", "quote it: `'eligible'`");
    check("address.ctiy == 'Ulm'", "address.ctiy", "there is no member `ctiy`", "did you mean `city`?");
    check("premium.cents > 1", "premium.cents", "a value of type decimal has no members", "only objects");
    check("sise(policyId) > 1", "sise", "there is no function `sise`", "did you mean `size`?");
    check("namespace == 'a'", "namespace", "`namespace` is a word that CEL keeps for itself", "quote it");
}

#[test]
fn enumerations_are_compared_with_their_values() {
    let values = "did you mean `eligible`? the values are `eligible`, `ineligible`";
    check("cover == 'eligibel'", "'eligibel'", "`eligibel` is not one of the values", values);
    check("'x' != cover", "'x'", "`x` is not one of the values", "the values are `eligible`");
    check("cover in ['eligible', 'x']", "'x'", "`x` is not one of the values", "the values are");
    check("cover < 'f'", "cover < 'f'", "values of type enum and string have no order", "only equal or not");
}

#[test]
fn bytes_are_those_of_text_beyond_ascii() {
    check("policyId == 'é€𝄞' && cover == 'é'", "'é'", "`é` is not one of the values", "the values are");
    check("'é' == 'é' && größe > 1", "ö", "`ö` has no meaning here", "names are ASCII");
    check(
        "(policyId + 'é') > 1",
        "(policyId + 'é') > 1",
        "values of type string and integer have no order",
        "without quotes",
    );
    check(
        "size(['é', 'ü'], 1)",
        "size(['é', 'ü'], 1)",
        "`size` does not take list and integer",
        "write `size(x)`",
    );
}

#[test]
fn what_may_have_no_value_is_guarded() {
    let guard = "guard it: `coverTo != null && …`";
    check("coverFrom <= coverTo", "coverTo", "`coverTo` may have no value here", guard);
    check("previous.city == 'Ulm'", "previous", "`previous` may have no value here", "guard it");
    check("premium + null > 1", "null", "`null` is no value to work with", "compare with it");
    check("paid || active", "paid", "`paid` may have no value here", "guard it");
    check(
        "labels['size'] + 'x' == 'x'",
        "labels['size']",
        "`labels['size']` may have no value here",
        "guard it",
    );
}

#[test]
fn types_do_not_mix() {
    check(
        "coverFrom == '2026-01-01'",
        "coverFrom == '2026-01-01'",
        "a value of type date is never equal to one of type string",
        "date('2026-01-31')",
    );
    check(
        "boundAt > '2026'",
        "boundAt > '2026'",
        "values of type timestamp and string have no order",
        "timestamp(",
    );
    check(
        "units == '3'",
        "units == '3'",
        "a value of type integer is never equal to one of type string",
        "without quotes",
    );
    check(
        "active ? 1 : 'a'",
        "active ? 1 : 'a'",
        "one side is of type integer, the other of type string",
        "one type",
    );
    check("units && active", "units", "a condition is needed, not a value of type integer", "compare it");
    check("[1, 'a']", "'a'", "an element of type string in a list of integer", "one type");
    check("-policyId == 'a'", "policyId", "a value of type string has no sign", "numbers and durations");
    check("units in 'abc'", "'abc'", "`in` needs a list or a map, not a value of type string", "['a', 'b']");
    check(
        "coverFrom + coverFrom == coverFrom",
        "coverFrom + coverFrom",
        "`+` does not take date and date",
        "use numbers",
    );
    check("trace < trace", "trace < trace", "values of type uuid and uuid have no order", "compare numbers");
}

#[test]
fn what_does_not_parse_says_where_and_why() {
    check("", "", "the expression is empty", "write what must hold");
    check("units = 3", "=", "`=` has no meaning here", "`==`");
    check("active & active", "&", "`&` has no meaning here", "`&&`");
    check("active and active", "and", "`and` is not expected here", "`&&`");
    check("not active", "not", "`not` is no operator", "`!`");
    check("units + ", "", "the expression stops too early", "missing at its end");
    check("(units > 1", "(", "this bracket is not closed", "close it with `)`");
    check("units > 1)", ")", "`)` is not expected here", "no bracket is open");
    check("policyId == 'a", "'a", "the text does not end", "close it with `'`");
    check("policyId == 'a\\q'", "\\q", "this escape is not known", "`\\n`");
    check("active ? 1", "", "`:` is missing after `?`", "condition ? one : other");
    check("{'a': 1}", "{", "`{` has no meaning here", "not written in expressions");
    check("units > 1e3", "1e3", "`1e3` is no number", "write all digits");
    check("units == 0x10", "0x10", "`0x10` is no number", "write all digits");
}

#[test]
fn literals_are_exact_or_refused() {
    let many = "0.12345678901234567890123456789";
    check(&format!("premium > {many}"), many, "the number has too many digits", "28 digits");
    check("units > 9223372036854775808", "9223372036854775808", "the number has too many digits", "64 bits");
    check("premium > decimal('1_0')", "'1_0'", "`1_0` is no decimal", "decimal('0.10')");
    check("coverFrom > date('2026-2-1')", "'2026-2-1'", "`2026-2-1` is no date", "date('2026-01-31')");
    check(
        "coverFrom > date('2026-02-01T00:00')",
        "'2026-02-01T00:00'",
        "`2026-02-01T00:00` is no date",
        "date(",
    );
    check("delay > duration('1h30m')", "'1h30m'", "`1h30m` is no duration", "duration('30s')");
    check(
        "coverFrom > date(policyId)",
        "date(policyId)",
        "`date` takes one text, written out",
        "date('2026-01-31')",
    );
    check("policyId.matches('(')", "'('", "this is no regular expression", "no look-around");
    check(
        "policyId.matches('((a{1000}){1000}){9}')",
        "'((a{1000}){1000}){9}'",
        "this is no regular expression",
        "",
    );
}

#[test]
fn variables_of_macros_hide_nothing() {
    check("amounts.all(units, units > 1)", "units", "`units` has a meaning already", "another name");
    check("places.all(x, amounts.all(x, x > 1))", "x", "`x` has a meaning already", "another name");
    check("amounts.all(1, true)", "1", "a variable is needed here", "such as `x`");
    check("amounts.all(x)", "all", "a variable and a condition are needed", "list.all");
    check("policyId.all(x, true)", "policyId", "a list is needed, not a value of type string", "over lists");
    check("amounts.all(x, x > 1) && x > 1", "x", "`x` is not declared", "declared are");
    assert!(compiled("amounts.all(x, x > 1) && amounts.exists(x, x > 1)").is_ok());
}

#[test]
fn all_errors_come_at_once_in_the_order_of_the_text() {
    let errors = compiled("unknown == 1 || cover == 'x' && coverTo > coverFrom").unwrap_err();
    let places: Vec<usize> = errors.iter().map(|error| error.bytes.start).collect();
    assert_eq!(places, [0, 25, 32]);
}

#[test]
fn what_may_take_too_long_is_refused() {
    let errors = compiled("amounts.all(x, amounts.all(y, x < y))").unwrap_err();
    assert!(errors[0].message.starts_with("the expression may take"), "{errors:?}");
    let cost = compiled("amounts.all(x, x > 1)").unwrap().cost();
    assert!(cost < COST_MAX && cost > 1_000, "{cost}");
    let nested = (0..20).fold("true".to_owned(), |body, idx| format!("amounts.all(x{idx}, {body})"));
    assert!(compiled(&nested).is_err());
}

#[test]
fn nothing_is_declared_in_an_empty_scope() {
    let errors = compile("a", &Scope::default()).unwrap_err();
    assert_eq!(errors[0].help.as_deref(), Some("nothing is declared here; quote it if it is a text"));
}
