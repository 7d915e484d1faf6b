//! Publishing by key, as a service of any language does it: with SQL on its own connection.

use crate::fixture::{Home, THING, THING_TABLE, installed, key, published, run, things};
use seamline_flow::source::{Act, Source};
use seamline_message::codec::Codec;
use seamline_postgres::database::Database;
use seamline_postgres::install::{InstallError, producer};
use std::collections::BTreeMap;

/// A thing with a value of every kind, and a key of two parts.
const MANY: &str = "key: [region, number]\nattributes:
  region: { type: string, meaning: Where. }
  number: { type: integer, meaning: Which. }
  big: { type: integer, optional: true, meaning: A big one. }
  money: { type: 'decimal(18,2)', unit: EUR, optional: true, meaning: What it costs. }
  open: { type: boolean, optional: true, meaning: It is open. }
  note: { type: string, optional: true, meaning: What is said. }
  code: { type: string, optional: true, meaning: A short one. }
  kind: { type: enum, optional: true, values: { new: Not yet., done: It is. }, meaning: How it stands. }
  blob: { type: bytes, optional: true, meaning: What it looks like. }
  day: { type: date, zone: UTC, optional: true, meaning: When. }
  at: { type: timestamp, optional: true, meaning: At what moment. }
  span: { type: duration, optional: true, meaning: How long. }
  mark: { type: uuid, optional: true, meaning: Its mark. }
  ratio: { type: 'decimal(10,4)', unit: one, approximate: true, optional: true, meaning: How much of it. }
  days: { type: list, of: { type: date, zone: UTC }, optional: true, meaning: On which days. }
  place: { type: object, optional: true, meaning: Where it lies., attributes: { city: { type: string, optional: true, meaning: The city. } } }
state: {}
";

const MANY_TABLE: &str = "CREATE TYPE kind AS ENUM ('new', 'done'); CREATE DOMAIN euros AS numeric; \
    CREATE TABLE many (region text, number integer, big bigint, money euros, open boolean, note text, code char(5), \
    kind kind, blob bytea, day date, at timestamptz, span interval, mark uuid, ratio double precision, days date[], \
    place_city varchar(20), PRIMARY KEY (region, number))";

async fn many(home: &Home) -> (Database, Codec) {
    let database = installed(home, MANY_TABLE, MANY, "feed: outbox, table: many").await;
    (database, Codec::compile(&published(MANY, "feed: outbox, table: many").0).unwrap())
}

/// Settings of a session that change how PostgreSQL prints.
const CONTRARY: &str = "SET datestyle = 'SQL, DMY'; SET intervalstyle = 'sql_standard'; SET timezone = 'Asia/Kolkata'; \
    SET extra_float_digits = -15; SET bytea_output = 'escape'; SET search_path = pg_temp";

/// Writes a row with one value, publishes it under contrary settings and reads what waits as the relay does.
async fn through(
    home: &Home,
    database: &Database,
    codec: &Codec,
    column: &str,
    value: &str,
) -> Result<String, String> {
    let mut service = home.service().await;
    run(&mut service, "DELETE FROM many").await.unwrap();
    let insert = format!(
        "INSERT INTO many (region, number, {column}) VALUES (E'n\"o\\\\''rth\u{7f}\u{2028}\\n', 7, {value})"
    );
    run(&mut service, &insert).await.unwrap();
    let publish =
        "SELECT seamline.publish('thing', NULL, E'[\"n\\\\\"o\\\\\\\\''rth\u{7f}\u{2028}\\\\n\",\"7\"]')";
    run(&mut service, &format!("{CONTRARY}; {publish}")).await.unwrap();
    let waiting = database.waiting(1000).await.unwrap();
    let last = waiting.last().unwrap();
    let state = last.state.as_ref().expect("the row is there");
    let row = codec.read_source(state).map_err(|violations| {
        violations.iter().map(|found| format!("{} {}", found.rule, found.path)).collect::<Vec<_>>().join(", ")
    })?;
    assert_eq!(codec.key_of(&row).as_str(), last.key);
    let scanned = database.scan(&"thing".parse().unwrap(), None, 10).await.unwrap();
    assert_eq!(&scanned[0].state, state, "a scan says the same");
    assert_eq!(scanned[0].key.as_str(), last.key);
    let text = String::from_utf8(codec.state_part(None, &row)).unwrap();
    let json: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&text).unwrap();
    let others = |name: &&String| *name != "region" && *name != "number";
    Ok(json.keys().filter(others).map(|name| json[name].to_string()).collect())
}

#[tokio::test]
#[cfg_attr(not(servers_here), ignore = "not run: needs PostgreSQL; `cargo x test` starts one")]
async fn values_arrive_as_they_are_whatever_the_session_says() {
    let home = Home::new().await;
    let (database, codec) = many(&home).await;
    for (column, value, expected) in [
        ("big", "9007199254740993", r#""9007199254740993""#),
        ("big", "-9223372036854775808", r#""-9223372036854775808""#),
        ("money", "12.3", r#""12.30""#),
        ("money", "1234567890123456.78", r#""1234567890123456.78""#),
        ("open", "true", "true"),
        ("note", "E'it''s \"so\" \\\\ \\n\u{1}'", r#""it's \"so\" \\ \n\u0001""#),
        ("note", "' blanks '", r#"" blanks ""#),
        ("code", "'ab'", r#""ab""#),
        ("kind", "'done'", r#""done""#),
        ("blob", "'\\x00ff6162'", r#""AP9hYg==""#),
        ("blob", "''", r#""""#),
        ("day", "'2026-02-28'", r#""2026-02-28""#),
        ("at", "'2026-02-28 01:02:03.5+01'", r#""2026-02-28T00:02:03.500000Z""#),
        ("at", "'1890-01-01 00:00:00Z'", r#""1890-01-01T00:00:00.000000Z""#),
        ("span", "'1 day 00:00:01.5'", r#""PT86401.500000S""#),
        ("span", "'-00:01:30'", r#""-PT90.000000S""#),
        ("mark", "'01234567-89AB-cdef-0123-456789ABCDEF'", r#""01234567-89ab-cdef-0123-456789abcdef""#),
        ("ratio", "0.1", "0.1"),
        ("ratio", "1.0 / 3", "0.333333333333333"),
        ("days", "ARRAY['2026-02-28'::date]", r#"["2026-02-28"]"#),
        ("place_city", "'Bonn'", r#"{"city":"Bonn"}"#),
        ("place_city", "NULL", ""),
    ] {
        let got = through(&home, &database, &codec, column, value).await;
        if column == "ratio" {
            assert!(got.unwrap().starts_with(expected), "{column} {value}");
        } else {
            assert_eq!(got.as_deref(), Ok(expected), "{column} {value}");
        }
    }
}

#[tokio::test]
#[cfg_attr(not(servers_here), ignore = "not run: needs PostgreSQL; `cargo x test` starts one")]
async fn what_no_contract_can_hold_is_refused_and_never_another_value() {
    let home = Home::new().await;
    let (database, codec) = many(&home).await;
    for (column, value) in [
        ("money", "12.345"),
        ("money", "'NaN'"),
        ("ratio", "'NaN'"),
        ("ratio", "'-Infinity'"),
        ("day", "'infinity'"),
        ("day", "'0044-03-15 BC'"),
        ("day", "'12026-01-01'"),
        ("at", "'infinity'"),
        ("at", "'-infinity'"),
        ("at", "'0044-03-15 00:00:00Z BC'"),
        ("at", "'12026-01-01 00:00:00Z'"),
        ("span", "'1 month'"),
        ("days", "ARRAY['infinity'::date]"),
    ] {
        let got = through(&home, &database, &codec, column, value).await;
        assert!(got.as_ref().is_err_and(|found| found.contains(column)), "{column} {value}: {got:?}");
    }
}

#[tokio::test]
#[cfg_attr(not(servers_here), ignore = "not run: needs PostgreSQL; `cargo x test` starts one")]
async fn keys_of_every_type_are_found_and_scanned() {
    for (ty, column, values) in [
        ("string", "varchar(9) COLLATE \"en_US\"", ["'b'", "'B'", "'a'"]),
        ("string", "char(9)", ["'b'", "'B'", "'a'"]),
        ("integer", "numeric(9,2)", ["7", "-7", "0"]),
        ("integer", "bigint", ["9007199254740993", "-7", "0"]),
        ("'decimal(9,2)', unit: one", "numeric", ["7", "7.25", "-0.5"]),
        ("boolean", "boolean", ["true", "false", "true"]),
        ("'date', zone: UTC", "date", ["'2026-01-01'", "'1999-12-31'", "'0001-01-01'"]),
        ("'date', zone: UTC", "timestamp", ["'2026-01-01'", "'1999-12-31'", "'0001-01-01'"]),
        (
            "timestamp",
            "timestamptz",
            ["'2026-01-01 00:00:00.000001Z'", "'1999-12-31 12:00Z'", "'2026-01-01Z'"],
        ),
        ("uuid", "uuid", ["gen_random_uuid()", "gen_random_uuid()", "gen_random_uuid()"]),
        ("uuid", "text", ["upper(gen_random_uuid()::text)", "gen_random_uuid()", "gen_random_uuid()"]),
    ] {
        let column = if column.contains("en_US") { "varchar(9)" } else { column };
        let home = Home::new().await;
        let contract = format!(
            "key: thingId\nattributes:\n  thingId: {{ type: {ty}, meaning: Identifies it. }}\n  amount: {{ type: integer, meaning: Any. }}\nstate: {{}}\n"
        );
        let table = format!("CREATE TABLE thing (thing_id {column} PRIMARY KEY, amount integer)");
        let database = installed(&home, &table, &contract, "feed: outbox, table: thing").await;
        let id = "thing".parse().unwrap();
        let mut service = home.service().await;
        for value in values {
            let row = format!("INSERT INTO thing VALUES ({value}, 1) ON CONFLICT DO NOTHING");
            run(&mut service, &row).await.unwrap();
        }
        let codec = Codec::compile(&published(&contract, "feed: outbox, table: thing").0).unwrap();
        let mut keys = Vec::new();
        loop {
            let page = database.scan(&id, keys.last(), 1).await.unwrap();
            let Some(row) = page.into_iter().next() else { break };
            let read = codec.read_source(&row.state).unwrap();
            assert_eq!(codec.key_of(&read), row.key, "{ty} {column}");
            keys.push(row.key);
        }
        assert_eq!(keys.len(), if ty == "boolean" { 2 } else { 3 }, "{ty} {column}");
        database.emit(&id, &keys).await.unwrap();
        let waiting = database.waiting(10).await.unwrap();
        assert!(
            waiting.len() == keys.len() && waiting.iter().all(|row| row.state.is_some()),
            "{ty} {column}"
        );
        let looked = database.look(&id, &[keys[0].clone(), key(&["\u{e4}"])]).await.unwrap();
        assert!(looked[0].state.is_some() && looked[1].state.is_none(), "{ty} {column}");
    }
}

const MAKE: &str = "INSERT INTO thing VALUES ('a', 'new', 1.5); \
    SELECT seamline.publish('thing', 'ThingMade', '[\"a\"]')";
const DO: &str = "UPDATE thing SET status = 'done' WHERE thing_id = 'a'; \
    SELECT seamline.publish('thing', 'ThingDone', '[\"a\"]', effective => '2026-01-01', reason => 'R', details => '{\"x\":1}', \
    correlation => 'c', causation => 'm', traceparent => 't')";
const END: &str =
    "SELECT seamline.publish('thing', 'ThingGone', '[\"a\"]'); DELETE FROM thing WHERE thing_id = 'a'";

#[tokio::test]
#[cfg_attr(not(servers_here), ignore = "not run: needs PostgreSQL; `cargo x test` starts one")]
async fn an_outbox_row_holds_its_moment_its_chains_and_what_moved() {
    let home = Home::new().await;
    let database = things(&home).await;
    let mut service = home.service().await;
    for sql in [MAKE, DO, END, MAKE] {
        run(&mut service, &format!("BEGIN; {sql}; COMMIT")).await.unwrap();
    }
    let rows = database.waiting(10).await.unwrap();
    let moved: Vec<_> = rows.iter().map(|row| row.moved.as_deref().map(String::from_utf8_lossy)).collect();
    assert_eq!(moved, [None, Some(r#"{"status":"new"}"#.into()), Some(r#"{"status":"done"}"#.into()), None]);
    let at = |n: usize| Some(rows[n].sequence);
    let chain = |row: usize| rows[row].previous.clone().into_iter().collect::<Vec<_>>();
    assert_eq!(chain(0), [("events".to_owned(), None)]);
    assert_eq!(chain(1), [("events".to_owned(), at(0)), ("short.events".to_owned(), None)]);
    assert_eq!(chain(2), [("events".to_owned(), at(1))]);
    assert_eq!(chain(3), [("events".to_owned(), at(2))], "the chain goes on through deletion");
    let Act::Change(change) = &rows[1].act else { panic!("it tells of a change") };
    assert_eq!((change.event.as_str(), change.reason.as_deref()), ("ThingDone", Some("R")));
    assert_eq!(
        (change.effective.as_deref(), change.details.as_deref()),
        (Some("2026-01-01"), Some(&br#"{"x":1}"#[..]))
    );
    assert_eq!(rows[1].correlation.as_deref(), Some("c"));
    assert_eq!((rows[1].causation.as_deref(), rows[1].traceparent.as_deref()), (Some("m"), Some("t")));
    assert_eq!(rows[1].version, "1.2.0".parse().unwrap());
    assert!(rows[2].state.is_some(), "before the deletion the state is there");
    let facts = database.look(&"thing".parse().unwrap(), &[key(&["a"]), key(&["b"])]).await.unwrap();
    let chains = BTreeMap::from([
        ("events".to_owned(), rows[3].sequence),
        ("short.events".to_owned(), rows[1].sequence),
    ]);
    assert_eq!((&facts[0].chains, facts[0].waiting, facts[0].state.is_some()), (&chains, true, true));
    assert_eq!((facts[1].sequence, facts[1].waiting, facts[1].state.is_some()), (None, false, false));
}

#[tokio::test]
#[cfg_attr(not(servers_here), ignore = "not run: needs PostgreSQL; `cargo x test` starts one")]
async fn what_cannot_be_published_is_refused_with_its_reason() {
    let home = Home::new().await;
    let database = things(&home).await;
    let mut service = home.service().await;
    for (arguments, reason) in [
        ("'other', NULL, '[\"a\"]'", "`contract` is none"),
        ("NULL, NULL, '[\"a\"]'", "`contract` is none"),
        ("'thing', 'ThingLost', '[\"a\"]'", "no event of the contract"),
        ("'thing', NULL, NULL::text", "is not JSON"),
        ("'thing', NULL, 'a'", "is not JSON"),
        ("'thing', NULL, '\"a\"'", "a JSON array with one text"),
        ("'thing', NULL, '[\"a\",\"b\"]'", "a JSON array with one text"),
        ("'thing', NULL, '[1]'", "a JSON array with one text"),
        ("'thing', NULL, '[ \"a\" ]'", "not canonical"),
        ("'thing', NULL, '[\"\\u0061\"]'", "not canonical"),
        ("'thing', NULL, '[\"a\"]', '[]'", "`details` is not"),
        ("'thing', NULL, '[\"a\"]', state => '7'", "`state` is not"),
        ("'thing', NULL, ARRAY['[\"a\"]', '[\"a\"]']", "a key twice"),
        ("'thing', NULL, ARRAY['[\"a\"]', NULL]", "or a null"),
    ] {
        let told = run(&mut service, &format!("SELECT seamline.publish({arguments})")).await.unwrap_err();
        assert!(told.contains("seamline: ") && told.contains(reason), "{arguments}: {told}");
    }
    let told = run(&mut service, "SELECT seamline.lock('other', '{}')").await.unwrap_err();
    assert!(told.contains("`contract` is none"), "{told}");
    assert_eq!(database.waiting(10).await.unwrap(), []);
    let given = "SELECT seamline.lock('thing', ARRAY['[\"a\"]']); \
        SELECT seamline.publish('thing', NULL, '[\"a\"]', state => '{\"thingId\":\"a\"}')";
    run(&mut service, &format!("BEGIN; {given}; COMMIT")).await.unwrap();
    assert_eq!(database.waiting(10).await.unwrap()[0].state.as_deref(), Some(&br#"{"thingId":"a"}"#[..]));
}

#[tokio::test]
#[cfg_attr(not(servers_here), ignore = "not run: needs PostgreSQL; `cargo x test` starts one")]
async fn strict_refuses_a_commit_whose_last_published_state_is_no_longer_true() {
    let home = Home::new().await;
    let database = installed(&home, THING_TABLE, THING, "feed: outbox, table: thing, strict: true").await;
    let mut service = home.service().await;
    let late = format!("BEGIN; {MAKE}; UPDATE thing SET amount = 7; COMMIT");
    let told = run(&mut service, &late).await.unwrap_err();
    assert!(told.contains("the state changed after it was published"), "{told}");
    assert_eq!(database.waiting(10).await.unwrap(), []);
    let again = "SELECT seamline.publish('thing', NULL, '[\"a\"]')";
    run(&mut service, &format!("BEGIN; {MAKE}; UPDATE thing SET amount = 7; {again}; COMMIT")).await.unwrap();
    run(&mut service, &format!("BEGIN; {END}; COMMIT")).await.unwrap();
    let database = installed(&home, "SELECT", THING, "feed: outbox, table: thing").await;
    run(&mut service, &late).await.unwrap();
    assert_eq!(database.waiting(10).await.unwrap().len(), 4, "left out, it is not checked");
}

#[tokio::test]
#[cfg_attr(not(servers_here), ignore = "not run: needs PostgreSQL; `cargo x test` starts one")]
async fn a_service_may_publish_and_nothing_else() {
    let home = Home::new().await;
    let database = things(&home).await;
    let role = format!("seamline_test_service_{}", std::process::id());
    let mut service = home.service().await;
    run(&mut service, &format!("CREATE ROLE {role}; GRANT SELECT, INSERT, UPDATE ON thing TO {role}"))
        .await
        .unwrap();
    let publish = "SELECT seamline.publish('thing', NULL, '[\"a\"]')";
    let told = run(&mut service, &format!("SET ROLE {role}; {publish}")).await.unwrap_err();
    assert!(told.contains("permission denied"), "{told}");
    run(&mut service, &format!("RESET ROLE; {}", producer::grants(&role, "postgres").join("; ")))
        .await
        .unwrap();
    // Objects of the session's own that stand before ours are not taken for ours.
    let attack = "CREATE TEMP TABLE contract (contract text); CREATE TEMP TABLE key (key text)";
    run(&mut service, &format!("SET ROLE {role}; SET search_path = pg_temp, public; {attack}; {publish}"))
        .await
        .unwrap();
    for forbidden in [
        "SELECT FROM seamline.outbox_0",
        "DELETE FROM seamline.key",
        "SELECT seamline.publish_thing(NULL, '[\"a\"]', NULL, NULL, NULL, NULL, NULL, NULL, NULL)",
    ] {
        let told = run(&mut service, forbidden).await.unwrap_err();
        assert!(told.contains("permission denied"), "{forbidden}: {told}");
    }
    assert_eq!(database.waiting(10).await.unwrap().len(), 1);
    run(&mut service, &format!("RESET ROLE; DROP OWNED BY {role}; DROP ROLE {role}")).await.unwrap();
}

#[tokio::test]
#[cfg_attr(not(servers_here), ignore = "not run: needs PostgreSQL; `cargo x test` starts one")]
async fn installing_again_upgrades_and_keeps_what_waits() {
    let home = Home::new().await;
    let database = things(&home).await;
    let mut service = home.service().await;
    run(&mut service, MAKE).await.unwrap();
    let wider = THING.replace(
        "ThingGone:",
        "ThingSold: { meaning: It is sold., becomes: { status: done } }\n  ThingGone:",
    );
    let (contract, publication) = published(&wider, "feed: outbox, table: thing");
    database.install_producer(&contract, &publication).await.unwrap();
    run(&mut service, "SELECT seamline.publish('thing', 'ThingSold', '[\"a\"]')").await.unwrap();
    let rows = database.waiting(10).await.unwrap();
    assert_eq!(rows[1].previous["events"], Some(rows[0].sequence));
}

#[tokio::test]
#[cfg_attr(not(servers_here), ignore = "not run: needs PostgreSQL; `cargo x test` starts one")]
async fn what_cannot_be_installed_changes_nothing() {
    let home = Home::new().await;
    let database = home.open().await;
    let (contract, publication) = published(THING, "feed: outbox, table: thing");
    let error = database.install_producer(&contract, &publication).await.unwrap_err();
    assert!(error.to_string().contains("no table or view `thing`"), "{error}");
    let mut service = home.service().await;
    run(&mut service, "CREATE TABLE thing (thing_id text, status text)").await.unwrap();
    let error = database.install_producer(&contract, &publication).await.unwrap_err();
    assert!(error.to_string().contains("no column `amount`"), "{error}");
    let there: bool = sqlx::query_scalar("SELECT to_regnamespace('seamline') IS NOT NULL")
        .fetch_one(&mut service)
        .await
        .unwrap();
    assert!(!there, "nothing was changed");
    run(&mut service, "ALTER TABLE thing ADD amount numeric").await.unwrap();
    database.install_producer(&contract, &publication).await.unwrap();
    run(&mut service, "UPDATE seamline.context SET context = 'other'").await.unwrap();
    let error = database.install_producer(&contract, &publication).await.unwrap_err();
    assert!(matches!(&error, InstallError::Context { there, .. } if there == "other"), "{error}");
    let printed = producer::statements(&contract, &publication).unwrap().join(";\n");
    let told = run(&mut service, &format!("BEGIN; {printed}; COMMIT")).await.unwrap_err();
    assert!(told.contains("of context `other`"), "printed statements refuse it too: {told}");
    run(&mut service, "ROLLBACK; UPDATE seamline.context SET context = 'proof'").await.unwrap();
    run(&mut service, &format!("BEGIN; {printed}; COMMIT")).await.unwrap();
    run(&mut service, "UPDATE seamline.format SET version = 9 WHERE stored = 'outbox'").await.unwrap();
    let error = database.install_producer(&contract, &publication).await.unwrap_err();
    assert!(matches!(&error, InstallError::Newer { stored, found: 9, .. } if stored == "outbox"), "{error}");
}

#[tokio::test]
#[cfg_attr(not(servers_here), ignore = "not run: needs PostgreSQL; `cargo x test` starts one")]
async fn publishing_finds_the_row_by_the_index_of_its_key() {
    let home = Home::new().await;
    let (database, _) = many(&home).await;
    let explain = "EXPLAIN SELECT s.state FROM seamline.source_thing s WHERE s.key0 = 'n' AND s.key1 = 1 AND s.key = 'k'";
    let rows: Vec<(String,)> = sqlx::query_as(explain).fetch_all(database.pool()).await.unwrap();
    assert!(rows.iter().any(|row| row.0.contains("Index")), "{rows:?}");
}

/// A thing whose state takes at most a kibibyte.
const LARGE: &str = "key: thingId\nattributes:
  thingId: { type: string, meaning: Identifies it. }
  note: { type: string, optional: true, meaning: What is said. }
  blob: { type: bytes, optional: true, meaning: What it looks like. }
  lines: { type: list, of: string, optional: true, meaning: What it has. }
state: { limit: 1KiB }
";

#[tokio::test]
#[cfg_attr(not(servers_here), ignore = "not run: needs PostgreSQL; `cargo x test` starts one")]
async fn a_state_that_no_channel_takes_is_refused_where_it_is_published() {
    let home = Home::new().await;
    let table = "CREATE TABLE large (thing_id text PRIMARY KEY, note text, blob bytea, lines jsonb)";
    let database = installed(&home, table, LARGE, "feed: outbox, table: large").await;
    let mut service = home.service().await;
    for (values, largest) in [
        ("repeat('\u{fc}', 600), NULL, NULL", "note"),
        ("'short', decode(repeat('00', 1100), 'hex'), NULL", "blob"),
        ("NULL, NULL, jsonb_build_array(repeat('a', 1100), 'b')", "lines"),
        ("repeat('x', 600), decode(repeat('00', 700), 'hex'), NULL", "blob"),
    ] {
        let insert = format!("INSERT INTO large VALUES ('a', {values})");
        let publish = "SELECT seamline.publish('thing', NULL, '[\"a\"]')";
        let told = run(&mut service, &format!("BEGIN; {insert}; {publish}")).await.unwrap_err();
        let says = format!(
            "seamline: `thing`: the state is larger than the 1024 bytes that its channel takes, most of it in `{largest}`; publish"
        );
        assert!(told.contains(&says), "{values}: {told}");
        run(&mut service, "ROLLBACK").await.unwrap();
    }
    assert_eq!(database.waiting(10).await.unwrap(), []);
    let given = format!(
        "SELECT seamline.publish('thing', NULL, '[\"z\"]', state => '{{\"thingId\":\"z\",\"note\":\"{}\"}}')",
        "x".repeat(1100)
    );
    let told = run(&mut service, &given).await.unwrap_err();
    assert!(told.contains("most of it in `note`"), "{told}");
    let fits = "INSERT INTO large VALUES ('b', NULL, decode(repeat('00', 900), 'hex'), NULL), ('c', repeat('x', 1000), NULL, NULL); \
        SELECT seamline.publish('thing', NULL, ARRAY['[\"b\"]', '[\"c\"]'])";
    run(&mut service, fits).await.unwrap();
    assert_eq!(
        database.waiting(10).await.unwrap().len(),
        2,
        "its source form is larger, and what travels is not"
    );
}
