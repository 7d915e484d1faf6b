//! Scopes and rows that the tests share.

use seamline_contract::value::Value;
use seamline_expr::kind::{Kind, Variable};
use seamline_expr::program::{ExprError, Program, compile};
use seamline_expr::scope::Scope;
use std::collections::BTreeMap;

pub(crate) fn required(name: &str, kind: Kind) -> Variable {
    Variable { name: name.to_owned(), kind, optional: false }
}

pub(crate) fn optional(name: &str, kind: Kind) -> Variable {
    Variable { optional: true, ..required(name, kind) }
}

pub(crate) fn one_of(values: &[&str]) -> Kind {
    Kind::Enum(values.iter().map(|value| (*value).to_owned()).collect(), false)
}

pub(crate) fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

pub(crate) fn day(text: &str) -> Value {
    Value::Date(text.parse().unwrap())
}

pub(crate) fn decimal(text: &str) -> Value {
    Value::Decimal(text.parse().unwrap())
}

/// One attribute of every type, and a row of values for them.
pub(crate) fn everything() -> (Scope, Vec<Value>) {
    let address = Kind::Object(vec![
        required("city", Kind::String),
        optional("street", Kind::String),
        required("country", one_of(&["DE", "FR"])),
    ]);
    let list = |kind| Kind::List(Box::new(kind));
    let place = |city: &str| {
        let street = if city == "Lyon" { Value::Null } else { text("Ring 1") };
        let members = [("city", text(city)), ("street", street), ("country", text("FR"))];
        Value::Map(members.map(|(name, value)| (name.to_owned(), value)).into())
    };
    let labels = BTreeMap::from([("colour".to_owned(), text("red"))]);
    let rows = vec![
        (required("policyId", Kind::String), text("P-00000017")),
        (required("cover", one_of(&["eligible", "ineligible"])), text("eligible")),
        (required("coverFrom", Kind::Date), day("2026-02-01")),
        (optional("coverTo", Kind::Date), day("2026-12-31")),
        (required("premium", Kind::Decimal), decimal("120.50")),
        (optional("discount", Kind::Decimal), Value::Null),
        (required("units", Kind::Integer), Value::Integer(3)),
        (optional("limit", Kind::Integer), Value::Integer(10)),
        (required("ratio", Kind::Approximate), Value::Approximate(0.5)),
        (required("active", Kind::Boolean), Value::Boolean(true)),
        (optional("paid", Kind::Boolean), Value::Null),
        (required("boundAt", Kind::Timestamp), Value::Timestamp("2026-01-31T10:00:00Z".parse().unwrap())),
        (required("delay", Kind::Duration), Value::Duration(90_000_000)),
        (required("payload", Kind::Bytes), Value::Bytes(vec![1, 2, 3])),
        (required("trace", Kind::Uuid), Value::Uuid([7; 16])),
        (required("address", address.clone()), place("Ulm")),
        (optional("previous", address.clone()), Value::Null),
        (required("places", list(address)), Value::List(vec![place("Ulm"), place("Lyon")])),
        (required("amounts", list(Kind::Integer)), Value::List([4, 5, 6].map(Value::Integer).to_vec())),
        (required("labels", Kind::Map(Box::new(Kind::String))), Value::Map(labels)),
    ];
    let (variables, row) = rows.into_iter().unzip();
    (Scope { variables }, row)
}

pub(crate) fn compiled(text: &str) -> Result<Program, Vec<ExprError>> {
    compile(text, &everything().0)
}
