//! Tables of a real server as sides of a comparison.

use crate::fixture::{Home, run};
use seamline_compare::difference::{Conclusion, Difference, How, Outcome, What};
use seamline_compare::plan::{Ask, Plan};
use seamline_compare::rowset::RowSet;
use seamline_compare::run::{CompareError, Report, compare};
use seamline_postgres::database::Options;
use seamline_postgres::rowset::{PostgresRows, Relation};
use sqlx::{Connection, Row};
use std::time::Duration;

#[derive(Default)]
struct Kept(Vec<Difference>);

impl Report for Kept {
    fn plan(&mut self, _: &Plan) -> std::io::Result<()> {
        Ok(())
    }

    fn difference(&mut self, difference: &Difference) -> std::io::Result<()> {
        self.0.push(difference.clone());
        Ok(())
    }
}

fn side(options: &Options, text: &str) -> PostgresRows {
    let relation = match text.starts_with("select") {
        true => Relation::Query(text.to_owned()),
        false => Relation::Table(text.to_owned()),
    };
    PostgresRows::new(options, relation, None).unwrap()
}

type Compared = Result<(Outcome, Vec<Difference>), CompareError>;

/// Compares on a thread of its own, as from any async program.
fn compared(home: &Home, left: &str, right: &str, ask: &Ask) -> Compared {
    let options = home.options();
    std::thread::scope(|scope| {
        let work = scope.spawn(|| {
            let mut kept = Kept::default();
            let outcome = compare(&mut side(&options, left), &mut side(&options, right), ask, &mut kept)?;
            Ok((outcome, kept.0))
        });
        work.join().unwrap()
    })
}

fn rows_only() -> Ask {
    Ask { rows_only: true, ..Ask::default() }
}

/// Compares by digests and by all rows: both must find the same keys, which are returned.
fn keys(home: &Home, left: &str, right: &str, ask: &Ask) -> Vec<String> {
    let by = |ask: &Ask| {
        let (outcome, found) = compared(home, left, right, ask).unwrap();
        let one = |it: &Difference| {
            let key: Vec<String> = it.key.iter().map(ToString::to_string).collect();
            let fields: Vec<&str> = it.fields.iter().map(|field| field.column.as_str()).collect();
            format!("{} {} {}", it.what.name(), key.join(","), fields.join(","))
        };
        (outcome.how, found.iter().map(one).collect::<Vec<String>>())
    };
    let (how, digested) = by(ask);
    assert_eq!(how, How::Digests);
    let (how, read) = by(&Ask { rows_only: true, ..ask.clone() });
    assert_eq!(how, How::Rows);
    assert_eq!(digested, read, "digests and rows agree");
    digested
}

const EVERYTHING: &str = "CREATE TABLE a (id bigint PRIMARY KEY, n numeric, f float8, small int, t text, c char(6), at timestamptz, \
    day date, l timestamp, u uuid, j jsonb, w json, b bytea, list int[], label text, i interval);
    INSERT INTO a SELECT g, g, g, g, 'text ' || g, 'ab', '2024-01-01Z'::timestamptz + g * interval '1s', '1969-12-31', 'infinity',
      md5(g::text)::uuid, jsonb_build_object('a', g), json_build_object('b', g), decode(md5(g::text), 'hex'), ARRAY[g, NULL], 'x', '1 day'
      FROM generate_series(1, 3000) g;
    CREATE TABLE b (LIKE a INCLUDING ALL); INSERT INTO b SELECT * FROM a; ANALYZE a; ANALYZE b";

#[tokio::test]
#[cfg_attr(not(servers_here), ignore = "not run: needs PostgreSQL; `cargo x test` starts one")]
async fn changes_that_weak_digests_miss_are_found_by_digests_and_by_rows() {
    let home = Home::new().await;
    let mut conn = home.service().await;
    run(&mut conn, EVERYTHING).await.unwrap();
    assert!(keys(&home, "a", "b", &Ask::default()).is_empty());
    // A sign, a number that folds to the same 32 bits, and values swapped between rows of one bucket.
    for (change, expected) in [
        ("UPDATE b SET n = -n WHERE id = 5", vec!["different 5 n"]),
        ("UPDATE b SET small = NULL WHERE id = 3000", vec!["different 3000 small"]),
        (
            "UPDATE b SET t = CASE id WHEN 1 THEN 'text 2' ELSE 'text 1' END WHERE id IN (1, 2)",
            vec!["different 1 t", "different 2 t"],
        ),
        ("DELETE FROM b WHERE id = 1", vec!["only-left 1 "]),
        ("INSERT INTO b SELECT 9000, n, f FROM a WHERE id = 1", vec!["only-right 9000 "]),
        ("UPDATE b SET at = 'infinity', day = '0044-03-15 BC' WHERE id = 7", vec!["different 7 at,day"]),
        ("UPDATE b SET f = 'NaN' WHERE id = 7", vec!["different 7 f"]),
        ("UPDATE b SET list = ARRAY[8] WHERE id = 8", vec!["different 8 list"]),
        ("UPDATE b SET b = b || '\\x00' WHERE id = 8", vec!["different 8 b"]),
        ("UPDATE b SET w = '\"\\ud800\"' WHERE id = 8", vec!["different 8 w"]),
        ("UPDATE b SET t = repeat('x', 1048576) WHERE id = 8", vec!["different 8 t"]),
        ("UPDATE b SET t = 'ab', label = 'c' WHERE id = 8", vec!["different 8 t,label"]),
        // The same values in another form.
        ("UPDATE b SET n = n::numeric(20,8), f = CASE id WHEN 9 THEN '-0' ELSE f END", vec!["different 9 f"]),
        ("UPDATE b SET w = (' ' || w::text)::json", vec![]),
    ] {
        run(&mut conn, "BEGIN; CREATE TABLE kept AS SELECT * FROM b; COMMIT").await.unwrap();
        run(&mut conn, change).await.unwrap();
        assert_eq!(keys(&home, "a", "b", &Ask::default()), expected, "{change}");
        run(&mut conn, "TRUNCATE b; INSERT INTO b SELECT * FROM kept; DROP TABLE kept").await.unwrap();
    }
}

#[tokio::test]
#[cfg_attr(not(servers_here), ignore = "not run: needs PostgreSQL; `cargo x test` starts one")]
async fn what_hides_a_difference_elsewhere_hides_none_here() {
    let home = Home::new().await;
    let mut conn = home.service().await;
    let table = "(id int PRIMARY KEY, n numeric, f float8, at timestamptz, one text, two text, w json)";
    run(&mut conn, &format!("CREATE TABLE a {table}; CREATE TABLE b {table}")).await.unwrap();
    for (left, right, expected) in [
        // Texts that are the same behind one another.
        ("(1, 1, 1, NULL, 'ab', 'c', NULL)", "(1, 1, 1, NULL, 'a', 'bc', NULL)", vec!["different 1 one,two"]),
        // No value and an empty text, no value that moved to the next column.
        ("(1, 1, 1, NULL, NULL, 'x', NULL)", "(1, 1, 1, NULL, '', 'x', NULL)", vec!["different 1 one"]),
        ("(1, 1, 1, NULL, NULL, 'x', NULL)", "(1, 1, 1, NULL, 'x', NULL, NULL)", vec!["different 1 one,two"]),
        // Two changes of one kind, which cancel under an exclusive or.
        (
            "(1, 5, 1, NULL, 'x', 'x', NULL), (2, 5, 1, NULL, 'x', 'x', NULL)",
            "(1, 6, 1, NULL, 'x', 'x', NULL), (2, 6, 1, NULL, 'x', 'x', NULL)",
            vec!["different 1 n", "different 2 n"],
        ),
        // Digits that a formatted value would not show.
        (
            "(1, 1, 0.3, NULL, '', '', NULL)",
            "(1, 1, 0.1::float8 + 0.2::float8, NULL, '', '', NULL)",
            vec!["different 1 f"],
        ),
        (
            "(1, 1, 1, '1969-12-31 23:59:59.999999Z', '', '', NULL)",
            "(1, 1, 1, '1969-12-31 23:59:59.999998Z', '', '', NULL)",
            vec!["different 1 at"],
        ),
        ("(1, 1e-30, 1, NULL, '', '', NULL)", "(1, 0, 1, NULL, '', '', NULL)", vec!["different 1 n"]),
        // Numbers that are none.
        (
            "(1, 'NaN', 'Infinity', 'infinity', '', '', NULL)",
            "(1, 1, '-Infinity', '-infinity', '', '', NULL)",
            vec!["different 1 n,f,at"],
        ),
        (
            "(1, 'NaN', 'NaN', 'infinity', '', '', NULL)",
            "(1, 'NaN', 'NaN', 'infinity', '', '', NULL)",
            vec![],
        ),
        // The same in another form.
        ("(1, 0, 0, NULL, '', '', NULL)", "(1, 0.000, '-0', NULL, '', '', NULL)", vec![]),
        (
            "(1, 1, 1, NULL, '', '', '{\"a\": 1, \"b\": [1.0, 2]}')",
            "(1, 1.00, 1, NULL, '', '', '{\"b\":[1,2e0],\"a\":1}')",
            vec![],
        ),
        (
            "(1, 1, 1, NULL, '', '', '{\"b\": [1, 2]}')",
            "(1, 1, 1, NULL, '', '', '{\"b\": [2, 1]}')",
            vec!["different 1 w"],
        ),
    ] {
        let fill = format!("TRUNCATE a, b; INSERT INTO a VALUES {left}; INSERT INTO b VALUES {right}");
        run(&mut conn, &fill).await.unwrap();
        assert_eq!(keys(&home, "a", "b", &Ask::default()), expected, "{left} and {right}");
    }
}

/// The control of the test above: the server's own hash of rows, summed up, cannot see them.
#[tokio::test]
#[cfg_attr(not(servers_here), ignore = "not run: needs PostgreSQL; `cargo x test` starts one")]
async fn the_servers_own_hash_of_a_row_would_miss_them() {
    let home = Home::new().await;
    let mut conn = home.service().await;
    for (one, two) in [
        ("VALUES (1, 5.0)", "VALUES (1, -5.0)"),
        ("VALUES (1, 1::bigint)", "VALUES (1, 4294967296::bigint)"),
        ("VALUES (1, 'a'), (2, 'b')", "VALUES (1, 'b'), (2, 'a')"),
    ] {
        let sums = format!(
            "SELECT (SELECT sum(hash_record_extended(t, 7)) FROM ({one}) t) = (SELECT sum(hash_record_extended(t, 7)) FROM ({two}) t)"
        );
        let same: bool = sqlx::query(sqlx::AssertSqlSafe(sums)).fetch_one(&mut conn).await.unwrap().get(0);
        assert!(same, "{one} and {two}");
        let (left, right) =
            (format!("select * from ({one}) v(id, x)"), format!("select * from ({two}) v(id, x)"));
        let ask = Ask { key: vec!["id".to_owned()], ..Ask::default() };
        assert!(!keys(&home, &left, &right, &ask).is_empty(), "{one} and {two}");
    }
}

#[tokio::test]
#[cfg_attr(not(servers_here), ignore = "not run: needs PostgreSQL; `cargo x test` starts one")]
async fn keys_of_every_kind_and_collation_meet() {
    let home = Home::new().await;
    let mut conn = home.service().await;
    run(
        &mut conn,
        "CREATE TABLE a (code text COLLATE \"C\" PRIMARY KEY, n int); CREATE TABLE b (code varchar(20) COLLATE \"en_US\" PRIMARY KEY, n bigint);
         INSERT INTO a VALUES ('a', 1), ('B', 2), ('ä', 3), ('b ', 4), ('b', 5), ('-1', 6); INSERT INTO b SELECT * FROM a;
         CREATE TABLE d (k numeric PRIMARY KEY, n int); CREATE TABLE e (k int PRIMARY KEY, n int);
         INSERT INTO d VALUES (1.0, 1), (2.00, 2), (3, 3); INSERT INTO e VALUES (1, 1), (2, 2), (4, 4)",
    )
    .await
    .or_else(|said| if said.contains("en_US") { Ok(()) } else { Err(said) })
    .unwrap();
    let has_collation = run(&mut conn, "SELECT 1 FROM b LIMIT 0").await.is_ok();
    if !has_collation {
        let same = "CREATE TABLE a (code text COLLATE \"C\" PRIMARY KEY, n int); CREATE TABLE b (code varchar(20) COLLATE \"POSIX\" PRIMARY KEY, n bigint);
            INSERT INTO a VALUES ('a', 1), ('B', 2), ('ä', 3), ('b ', 4), ('b', 5), ('-1', 6); INSERT INTO b SELECT * FROM a;
            CREATE TABLE d (k numeric PRIMARY KEY, n int); CREATE TABLE e (k int PRIMARY KEY, n int);
            INSERT INTO d VALUES (1.0, 1), (2.00, 2), (3, 3); INSERT INTO e VALUES (1, 1), (2, 2), (4, 4)";
        run(&mut conn, same).await.unwrap();
    }
    assert!(keys(&home, "a", "b", &Ask::default()).is_empty());
    run(&mut conn, "UPDATE b SET n = 0 WHERE code = 'b '; DELETE FROM b WHERE code = 'B'").await.unwrap();
    assert_eq!(keys(&home, "a", "b", &Ask::default()), ["only-left B ", "different b  n"]);
    assert_eq!(keys(&home, "d", "e", &Ask::default()), ["only-left 3 ", "only-right 4 "]);
}

#[tokio::test]
#[cfg_attr(not(servers_here), ignore = "not run: needs PostgreSQL; `cargo x test` starts one")]
async fn two_rows_with_one_key_and_keys_without_a_value_are_told() {
    let home = Home::new().await;
    let mut conn = home.service().await;
    run(
        &mut conn,
        "CREATE TABLE a (id int, t text); CREATE TABLE b (id int, t text);
         INSERT INTO a VALUES (1, 'x'), (1, 'y'), (2, 'z'), (NULL, 'n'); INSERT INTO b VALUES (1, 'y'), (1, 'x'), (2, 'z'), (2, 'z'), (NULL, 'n')",
    )
    .await
    .unwrap();
    let by_id = Ask { key: vec!["id".to_owned()], ..Ask::default() };
    let (outcome, found) = compared(&home, "a", "b", &Ask { rows_only: true, ..by_id.clone() }).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].what, found[0].left_rows, found[0].right_rows), (What::Duplicate, 1, 2));
    assert!(outcome.notes.iter().any(|note| note.contains("no value in their key")), "{:?}", outcome.notes);
    assert_eq!(keys(&home, "a", "b", &by_id), ["duplicate 2 "]);
    let CompareError::Plan(problems) = compared(&home, "a", "b", &Ask::default()).unwrap_err() else {
        panic!("it has no key")
    };
    assert!(problems[0].help.contains("--key id"), "{problems:?}");
}

#[tokio::test]
#[cfg_attr(not(servers_here), ignore = "not run: needs PostgreSQL; `cargo x test` starts one")]
async fn a_table_that_was_truncated_meanwhile_is_inconclusive() {
    let home = Home::new().await;
    let mut conn = home.service().await;
    run(&mut conn, "CREATE TABLE a (id int PRIMARY KEY); INSERT INTO a SELECT generate_series(1, 10)")
        .await
        .unwrap();
    let options = home.options();
    let mut left = std::thread::spawn(move || {
        let mut left = side(&options, "a");
        left.describe().unwrap();
        assert_eq!(left.upset().unwrap(), None);
        left
    })
    .join()
    .unwrap();
    run(&mut conn, "TRUNCATE a; INSERT INTO a SELECT generate_series(1, 10)").await.unwrap();
    std::thread::spawn(move || {
        let what = left.upset().unwrap();
        assert_eq!(what.as_deref(), Some("was truncated, replaced or rewritten"));
    })
    .join()
    .unwrap();
}

#[tokio::test]
#[cfg_attr(not(servers_here), ignore = "not run: needs PostgreSQL; `cargo x test` starts one")]
async fn what_is_in_flight_settles_and_what_stands_does_not() {
    let home = Home::new().await;
    let mut conn = home.service().await;
    run(
        &mut conn,
        "CREATE TABLE a (id int, part text, n int, PRIMARY KEY (id, part)); INSERT INTO a SELECT g, 'it''s \\ ' || g, 0 FROM generate_series(1, 500) g;
         CREATE TABLE b (LIKE a INCLUDING ALL); INSERT INTO b SELECT * FROM a; UPDATE b SET n = 1 WHERE id IN (7, 8)",
    )
    .await
    .unwrap();
    let options = home.options();
    let ask = Ask { settle: Duration::from_secs(3), ..rows_only() };
    let comparing = std::thread::spawn(move || {
        let mut kept = Kept::default();
        let outcome = compare(&mut side(&options, "a"), &mut side(&options, "b"), &ask, &mut kept).unwrap();
        (outcome, kept.0)
    });
    // It has begun when both sides of it read this database: then one of the two arrives.
    let reads = "SELECT count(*) FROM pg_stat_activity
         WHERE application_name = 'seamline compare' AND query LIKE 'COPY%' AND datname = current_database()";
    while sqlx::query_scalar::<_, i64>(reads).fetch_one(&mut conn).await.unwrap() < 2 {
        tokio::task::yield_now().await;
    }
    tokio::time::sleep(Duration::from_millis(700)).await;
    run(&mut conn, "UPDATE a SET n = 1 WHERE id = 7").await.unwrap();
    let (outcome, found) = comparing.join().unwrap();
    assert_eq!((outcome.settled, outcome.unsettled, outcome.conclusion()), (1, 0, Conclusion::Different));
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].key[0].to_string(), "8");
}

#[tokio::test]
#[cfg_attr(not(servers_here), ignore = "not run: needs PostgreSQL; `cargo x test` starts one")]
async fn nothing_is_written_and_what_is_wrong_says_what_to_do() {
    let home = Home::new().await;
    let mut conn = home.service().await;
    run(&mut conn, "CREATE TABLE orders (id int PRIMARY KEY, n int); CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'INSERT INTO orders VALUES (1, 1) RETURNING 1'")
        .await
        .unwrap();
    let refused = |left: &str| match compared(&home, left, "orders", &Ask::default()).unwrap_err() {
        CompareError::Side { source, .. } => format!("{source}; {}", source.help()),
        other => panic!("{other:?}"),
    };
    assert!(refused("order").contains("is `orders` meant?"), "{}", refused("order"));
    assert!(
        refused("select f() as id, 1 as n").contains("only reads"),
        "{}",
        refused("select f() as id, 1 as n")
    );
    assert!(
        refused("select nothing from orders").contains("nothing"),
        "{}",
        refused("select nothing from orders")
    );
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM orders").fetch_one(&mut conn).await.unwrap();
    assert_eq!(count, 0);
    conn.close().await.unwrap();
}
