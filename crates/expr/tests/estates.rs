//! Every expression of the example estates compiles over what its contract declares, and says what it should.

use crate::scopes::{day, decimal, one_of, optional, required, text};
use seamline_contract::value::Value;
use seamline_expr::kind::{Kind, Variable};
use seamline_expr::program::compile;
use seamline_expr::scope::Scope;

fn check(variables: Vec<Variable>, expression: &str, kind: &Kind, uses: &[&str], rows: &[(&[Value], Value)]) {
    let program =
        compile(expression, &Scope { variables }).unwrap_or_else(|errors| panic!("{expression}: {errors:?}"));
    assert_eq!(program.kind(), kind, "{expression}");
    let paths: Vec<String> = program.uses().iter().map(ToString::to_string).collect();
    assert_eq!(paths, uses, "{expression}");
    for (row, expected) in rows {
        assert_eq!(program.eval(row).as_ref(), Ok(expected), "{expression} of {row:?}");
    }
}

const YES: Value = Value::Boolean(true);
const NO: Value = Value::Boolean(false);

#[test]
fn invariants_hold_and_fail() {
    check(
        vec![required("coverFrom", Kind::Date), optional("coverTo", Kind::Date)],
        "coverTo == null || coverFrom <= coverTo",
        &Kind::Boolean,
        &["coverFrom", "coverTo"],
        &[
            (&[day("2026-02-01"), Value::Null], YES),
            (&[day("2026-02-01"), day("2026-02-01")], YES),
            (&[day("2026-02-01"), day("2026-01-31")], NO),
        ],
    );
    check(
        vec![required("outstanding", Kind::Decimal), required("delinquency", one_of(&["none", "overdue"]))],
        "outstanding > decimal('0') || delinquency == 'none'",
        &Kind::Boolean,
        &["delinquency", "outstanding"],
        &[
            (&[decimal("0.01"), text("overdue")], YES),
            (&[decimal("0.00"), text("none")], YES),
            (&[decimal("0.00"), text("overdue")], NO),
        ],
    );
}

#[test]
fn columns_translate() {
    let cover = || vec![required("claimsStatus", one_of(&["eligible", "ineligible"]))];
    check(
        cover(),
        "claimsStatus == 'eligible'",
        &Kind::Boolean,
        &["claimsStatus"],
        &[(&[text("eligible")], YES), (&[text("ineligible")], NO)],
    );
    check(
        vec![required("accountStatus", one_of(&["open", "blocked"]))],
        "accountStatus == 'blocked'",
        &Kind::Boolean,
        &["accountStatus"],
        &[(&[text("blocked")], YES), (&[text("open")], NO)],
    );
    check(
        vec![required("coverFrom", Kind::Date)],
        "coverFrom",
        &Kind::Date,
        &["coverFrom"],
        &[(&[day("2026-02-01")], day("2026-02-01"))],
    );
    check(
        vec![required("unitPrice", Kind::Decimal)],
        "unitPrice >= decimal('1')",
        &Kind::Boolean,
        &["unitPrice"],
        &[(&[decimal("1.00")], YES), (&[decimal("0.99")], NO)],
    );
    check(
        vec![required("playingTime", Kind::Integer)],
        "playingTime > 600000",
        &Kind::Boolean,
        &["playingTime"],
        &[(&[Value::Integer(600_001)], YES), (&[Value::Integer(600_000)], NO)],
    );
}

#[test]
fn majors_map_and_views_are_computed() {
    check(
        vec![required("status", one_of(&["ACTIVE", "INACTIVE"]))],
        "status == 'ACTIVE' ? 'eligible' : 'ineligible'",
        &one_of(&["eligible", "ineligible"]),
        &["status"],
        &[(&[text("ACTIVE")], text("eligible")), (&[text("INACTIVE")], text("ineligible"))],
    );
    check(
        vec![required("claimsStatus", one_of(&["eligible", "ineligible"]))],
        "claimsStatus == 'eligible' ? 'ACTIVE' : 'INACTIVE'",
        &one_of(&["ACTIVE", "INACTIVE"]),
        &["claimsStatus"],
        &[(&[text("eligible")], text("ACTIVE"))],
    );
    check(
        vec![
            required("cover", one_of(&["eligible", "ineligible"])),
            optional("arrears", one_of(&["none", "overdue"])),
        ],
        "cover == 'ineligible' ? 'notCovered' : arrears != null && arrears != 'none' ? 'payNow' : 'inOrder'",
        &one_of(&["notCovered", "payNow", "inOrder"]),
        &["arrears", "cover"],
        &[
            (&[text("ineligible"), text("overdue")], text("notCovered")),
            (&[text("eligible"), text("overdue")], text("payNow")),
            (&[text("eligible"), text("none")], text("inOrder")),
            (&[text("eligible"), Value::Null], text("inOrder")),
        ],
    );
}

#[test]
fn legacy_columns_and_standards_compile() {
    check(
        vec![required("STATUS", Kind::String)],
        "STATUS in ['A', 'B', 'R']",
        &Kind::Boolean,
        &[],
        &[(&[text("B")], YES), (&[text("X")], NO)],
    );
    check(
        vec![required("VALID_TO", Kind::Date)],
        "VALID_TO == date('9999-12-31') ? null : VALID_TO",
        &Kind::Date,
        &[],
        &[(&[day("9999-12-31")], Value::Null), (&[day("2026-01-01")], day("2026-01-01"))],
    );
    let use_of = Kind::Object(vec![required("classification", Kind::String)]);
    let subscription =
        Kind::Object(vec![required("uses", Kind::List(Box::new(use_of))), optional("view", Kind::String)]);
    check(
        vec![required("subscription", subscription.clone())],
        "subscription.uses.exists(a, a.classification == 'pii')",
        &Kind::Boolean,
        &["subscription.uses"],
        &[],
    );
    check(
        vec![required("subscription", subscription)],
        "subscription.view != null",
        &Kind::Boolean,
        &["subscription.view"],
        &[],
    );
}
