//! On the subset that both have, the crate `cel` and this one agree.

use crate::scopes::{one_of, optional, required, text};
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_oneof, proptest};
use proptest::sample::select;
use proptest::strategy::BoxedStrategy;
use seamline_contract::value::Value;
use seamline_expr::kind::Kind;
use seamline_expr::program::compile;
use seamline_expr::scope::Scope;

fn scope() -> Scope {
    Scope {
        variables: vec![
            required("a", Kind::Integer),
            required("b", Kind::Integer),
            optional("n", Kind::Integer),
            required("s", Kind::String),
            required("e", one_of(&["one", "two"])),
            required("p", Kind::Boolean),
            required("ns", Kind::List(Box::new(Kind::Integer))),
        ],
    }
}

fn infix(operators: &'static [&'static str], parts: BoxedStrategy<String>) -> BoxedStrategy<String> {
    (parts.clone(), select(operators), parts)
        .prop_map(|(a, operator, b)| format!("({a} {operator} {b})"))
        .boxed()
}

fn choice(condition: BoxedStrategy<String>, parts: BoxedStrategy<String>) -> BoxedStrategy<String> {
    (condition, parts.clone(), parts).prop_map(|(test, yes, no)| format!("({test} ? {yes} : {no})")).boxed()
}

fn integers(depth: u32, locals: u32) -> BoxedStrategy<String> {
    let mut names = vec!["a".to_owned(), "b".to_owned(), "ns[1]".to_owned()];
    names.extend((0..locals).map(|idx| format!("x{idx}")));
    let leaf = prop_oneof![select(names), (-3..9_i64).prop_map(|number| number.to_string())];
    if depth == 0 {
        return leaf.boxed();
    }
    let inner = integers(depth - 1, locals);
    prop_oneof![
        leaf,
        infix(&["+", "-", "*", "/", "%"], inner.clone()),
        choice(conditions(depth - 1, locals), inner.clone()),
        inner.prop_map(|inner| format!("(-({inner}))")),
        texts(depth - 1, locals).prop_map(|inner| format!("size({inner})")),
        Just("size(ns)".to_owned()),
    ]
    .boxed()
}

fn texts(depth: u32, locals: u32) -> BoxedStrategy<String> {
    let leaf = select(vec!["s", "e", "'one'", "\"it's\"", "''", "'\\n\\''"]).prop_map(str::to_owned);
    if depth == 0 {
        return leaf.boxed();
    }
    let inner = texts(depth - 1, locals);
    prop_oneof![leaf, infix(&["+"], inner.clone()), choice(conditions(depth - 1, locals), inner)].boxed()
}

fn conditions(depth: u32, locals: u32) -> BoxedStrategy<String> {
    let leaf = select(vec![
        "p",
        "true",
        "false",
        "e == 'one'",
        "n == null",
        "n != null && n > a",
        "n == null || n <= b",
    ])
    .prop_map(|leaf| format!("({leaf})"));
    if depth == 0 {
        return leaf.boxed();
    }
    let inner = conditions(depth - 1, locals);
    let (numbers, words) = (integers(depth - 1, locals), texts(depth - 1, locals));
    let body = conditions(depth - 1, locals + 1);
    let made = integers(depth - 1, locals + 1);
    let mut choices = vec![
        leaf.boxed(),
        inner.clone().prop_map(|inner| format!("!{inner}")).boxed(),
        infix(&["&&", "||", "==", "!="], inner.clone()),
        choice(inner.clone(), inner.clone()),
        infix(&["==", "!=", "<", "<=", ">", ">="], numbers.clone()),
        (numbers.clone(), numbers).prop_map(|(a, b)| format!("({a} in [1, {b}, 3])")).boxed(),
        (words.clone(), select(vec!["startsWith", "endsWith", "contains"]), words)
            .prop_map(|(a, function, b)| format!("({a}).{function}({b})"))
            .boxed(),
    ];
    // Macros over macros may take too long and are refused.
    if locals == 0 {
        let each = (select(vec!["all", "exists", "exists_one"]), body.clone());
        choices.push(each.prop_map(move |(each, body)| format!("ns.{each}(x{locals}, {body})")).boxed());
        let kept = (body, made);
        choices.push(
            kept.prop_map(move |(body, made)| {
                format!("(a in ns.filter(x{locals}, {body}).map(x{locals}, {made}))")
            })
            .boxed(),
        );
    }
    proptest::strategy::Union::new(choices).boxed()
}

#[derive(Debug, Clone)]
struct Row {
    a: i64,
    b: i64,
    n: Option<i64>,
    s: String,
    e: &'static str,
    p: bool,
    ns: Vec<i64>,
}

impl Row {
    fn slots(&self) -> Vec<Value> {
        vec![
            Value::Integer(self.a),
            Value::Integer(self.b),
            self.n.map_or(Value::Null, Value::Integer),
            text(&self.s),
            text(self.e),
            Value::Boolean(self.p),
            Value::List(self.ns.iter().copied().map(Value::Integer).collect()),
        ]
    }

    fn judge(&self, expression: &str) -> Option<bool> {
        let program =
            cel::Program::compile(expression).unwrap_or_else(|error| panic!("{expression}: {error}"));
        let mut context = cel::Context::default();
        context.add_variable_from_value("a", self.a);
        context.add_variable_from_value("b", self.b);
        context.add_variable_from_value("n", self.n);
        context.add_variable_from_value("s", self.s.clone());
        context.add_variable_from_value("e", self.e);
        context.add_variable_from_value("p", self.p);
        context.add_variable_from_value("ns", self.ns.clone());
        match program.execute(&context) {
            Ok(cel::Value::Bool(truth)) => Some(truth),
            Ok(other) => panic!("{expression}: {other:?}"),
            Err(_) => None,
        }
    }
}

fn row() -> impl Strategy<Value = Row> {
    let number = || prop_oneof![-4..9_i64, any::<i64>()];
    let few = || -2..4_i64;
    (
        number(),
        number(),
        proptest::option::of(few()),
        "[a-z]{0,3}",
        select(vec!["one", "two"]),
        any::<bool>(),
        proptest::collection::vec(few(), 0..4),
    )
        .prop_map(|(a, b, n, s, e, p, ns)| Row { a, b, n, s, e, p, ns })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    // Where one operand of `&&` or `||` fails and the other decides, CEL forgives in both orders, the profile only
    // after the deciding one; so a failure here binds the reference to nothing.
    #[test]
    fn both_say_the_same(expression in conditions(3, 0), row in row()) {
        let program = compile(&expression, &scope());
        let program = program.unwrap_or_else(|errors| panic!("{expression}: {errors:?}"));
        assert_eq!(program.kind(), &Kind::Boolean);
        if let Ok(ours) = program.eval(&row.slots()) {
            assert_eq!(Some(ours), row.judge(&expression).map(Value::Boolean), "{expression}");
        } else if !expression.contains("&&") && !expression.contains("||") && !expression.contains("exists") && !expression.contains("all") {
            assert_eq!(row.judge(&expression), None, "{expression}");
        }
    }
}

#[test]
fn the_reference_can_disagree() {
    let row = Row { a: 1, b: 2, n: None, s: String::new(), e: "one", p: true, ns: vec![] };
    let ours = compile("a > b", &scope()).unwrap().eval(&row.slots()).unwrap();
    assert_ne!(Some(ours), row.judge("a < b").map(Value::Boolean));
}
