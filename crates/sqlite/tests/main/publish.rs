//! Publishing by key, as a service of any language does it: with SQL on its own connection.

use crate::fixture::{Files, THING, key, published, run, things};
use seamline_flow::source::{Act, Source};
use seamline_message::codec::{Codec, Row};
use seamline_message::sequence::Sequence;
use seamline_sqlite::context::Database;
use seamline_sqlite::install::InstallError;
use std::collections::BTreeMap;

/// A thing with a value of every kind that SQL can hold in more than one way, and a key of two parts.
const MANY: &str = "key: [region, number]\nattributes:
  region: { type: string, meaning: Where. }
  number: { type: integer, meaning: Which. }
  big: { type: integer, optional: true, meaning: A big one. }
  money: { type: 'decimal(18,2)', unit: EUR, optional: true, meaning: What it costs. }
  open: { type: boolean, optional: true, meaning: It is open. }
  note: { type: string, optional: true, meaning: What is said. }
  blob: { type: bytes, optional: true, meaning: What it looks like. }
  day: { type: date, zone: UTC, optional: true, meaning: When. }
  at: { type: timestamp, optional: true, meaning: At what moment. }
  mark: { type: uuid, optional: true, meaning: Its mark. }
  ratio: { type: 'decimal(10,4)', unit: one, approximate: true, optional: true, meaning: How much of it. }
  place: { type: object, optional: true, meaning: Where it lies., attributes: { city: { type: string, optional: true, meaning: The city. } } }
state: {}
";

const MANY_TABLE: &str = "CREATE TABLE many (region TEXT, number INTEGER, big, money REAL, open, note TEXT, blob BLOB, \
    day TEXT, at TEXT, mark, ratio REAL, place_city TEXT, PRIMARY KEY (region, number))";

async fn many(files: &Files, table: &str) -> (Database, Codec) {
    let database = files.context().await;
    let (contract, publication) = published(MANY, "feed: outbox, table: many");
    run(&mut *database.writer().await, table).await.unwrap();
    database.install_producer(&contract, &publication).await.unwrap();
    (database, Codec::compile(&contract).unwrap())
}

/// Writes a row, publishes it and reads what waits as the relay does.
async fn through(insert: &str, key: &str) -> Result<Row, Vec<String>> {
    let files = Files::new();
    let (database, codec) = many(&files, MANY_TABLE).await;
    let publish = format!("INSERT INTO seamline_publish (contract, key) VALUES ('thing', '{key}')");
    let mut service = files.service().await;
    run(&mut service, &format!("BEGIN; {insert}; {publish}; COMMIT")).await.unwrap();
    let waiting = database.waiting(10).await.unwrap();
    let state = waiting[0].state.as_ref().expect("the row is there");
    let row = codec.read_source(state).map_err(|violations| {
        violations
            .iter()
            .map(|violation| format!("{} {}", violation.rule, violation.path))
            .collect::<Vec<_>>()
    })?;
    assert_eq!(codec.key_of(&row).as_str(), waiting[0].key);
    let scanned = database.scan(&"thing".parse().unwrap(), None, 10).await.unwrap();
    assert_eq!(&scanned[0].state, state, "a scan says the same");
    assert_eq!(scanned[0].key.as_str(), waiting[0].key);
    Ok(row)
}

fn text(codec_row: &Row, codec: &Codec) -> String {
    String::from_utf8(codec.state_part(None, codec_row)).unwrap()
}

async fn state(columns: &str, values: &str) -> Result<String, Vec<String>> {
    let insert = format!("INSERT INTO many (region, number, {columns}) VALUES ('n\"o\\''rth', 7, {values})");
    let row = through(&insert, r#"["n\"o\\''rth","7"]"#).await?;
    let (contract, _) = published(MANY, "feed: outbox, table: many");
    let codec = Codec::compile(&contract).unwrap();
    let text = text(&row, &codec);
    let members = text.trim_start_matches('{').trim_end_matches('}');
    Ok(members
        .replace(r#""number":"7""#, "")
        .replace(r#""region":"n\"o\\'rth""#, "")
        .trim_matches(',')
        .replace(",,", ","))
}

#[tokio::test]
async fn a_double_is_the_decimal_that_was_stored() {
    for (stored, expected) in [
        ("12.3", r#""money":"12.30""#),
        ("0.1", r#""money":"0.10""#),
        ("1234567890123.45", r#""money":"1234567890123.45""#),
        ("-0.07", r#""money":"-0.07""#),
        ("5", r#""money":"5.00""#),
    ] {
        assert_eq!(state("money", stored).await.as_deref(), Ok(expected), "{stored}");
    }
    assert_eq!(
        state("money", "12.345").await,
        Err(vec!["TYPE state.money".to_owned()]),
        "nothing is rounded"
    );
}

#[tokio::test]
async fn integers_past_two_to_the_53_keep_every_digit() {
    assert_eq!(state("big", "9007199254740993").await.as_deref(), Ok(r#""big":"9007199254740993""#));
    assert_eq!(
        state("big", "'-9223372036854775808'").await.as_deref(),
        Ok(r#""big":"-9223372036854775808""#)
    );
    assert!(state("big", "1.5").await.is_err(), "a fraction is no integer");
}

#[tokio::test]
async fn booleans_are_read_as_services_write_them() {
    for (stored, expected) in
        [("1", "true"), ("0", "false"), ("'true'", "true"), ("TRUE", "true"), ("'False'", "false")]
    {
        assert_eq!(state("open", stored).await, Ok(format!(r#""open":{expected}"#)), "{stored}");
    }
    assert!(state("open", "2").await.is_err());
}

#[tokio::test]
async fn texts_bytes_days_and_marks_arrive_as_they_are() {
    assert_eq!(
        state("note", "'it''s \"so\" \\ ' || char(1) || char(10)").await.as_deref(),
        Ok(r#""note":"it's \"so\" \\ \u0001\n""#)
    );
    assert!(state("note", "'a' || char(0)").await.is_err(), "not every database can store it");
    assert_eq!(state("note", "x'c3a4'").await.as_deref(), Ok(r#""note":"ä""#), "a blob in a column of texts");
    assert_eq!(state("blob", "x'00ff'").await.as_deref(), Ok(r#""blob":"AP8=""#));
    assert_eq!(state("blob", "''").await.as_deref(), Ok(r#""blob":"""#), "empty is not absent");
    assert_eq!(state("day", "'2026-02-28'").await.as_deref(), Ok(r#""day":"2026-02-28""#));
    assert_eq!(
        state("at", "'2026-02-28 01:02:03+01:00'").await.as_deref(),
        Ok(r#""at":"2026-02-28T00:02:03.000000Z""#)
    );
    assert!(state("at", "'2026-02-28 01:02:03'").await.is_err(), "no zone is no moment");
    let mark = r#""mark":"01234567-89ab-cdef-0123-456789abcdef""#;
    assert_eq!(state("mark", "'01234567-89AB-cdef-0123-456789ABCDEF'").await.as_deref(), Ok(mark));
    assert_eq!(state("mark", "x'0123456789abcdef0123456789abcdef'").await.as_deref(), Ok(mark));
    assert_eq!(state("ratio", "0.1").await.as_deref(), Ok(r#""ratio":0.1"#));
    assert_eq!(state("place_city", "'Bonn'").await.as_deref(), Ok(r#""place":{"city":"Bonn""#));
    assert_eq!(state("place_city", "NULL").await.as_deref(), Ok(""), "no value at all is no object");
}

const MAKE: &str = "INSERT INTO thing VALUES ('a', 'new', 1.5); \
    INSERT INTO seamline_publish (contract, change, key) VALUES ('thing', 'ThingMade', '[\"a\"]')";
const DO: &str = "UPDATE thing SET status = 'done' WHERE thing_id = 'a'; \
    INSERT INTO seamline_publish (contract, change, key, effective, reason, details, correlation, causation, traceparent) \
    VALUES ('thing', 'ThingDone', '[\"a\"]', '2026-01-01', 'R', '{\"x\":1}', 'c', 'm', 't')";
const END: &str = "INSERT INTO seamline_publish (contract, change, key) VALUES ('thing', 'ThingGone', '[\"a\"]'); \
    DELETE FROM thing WHERE thing_id = 'a'";

#[tokio::test]
async fn an_outbox_row_holds_its_moment_its_chains_and_what_moved() {
    let files = Files::new();
    let database = things(&files).await;
    let mut service = files.service().await;
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
    assert_eq!(facts[0].sequence, at(3));
    let chains = BTreeMap::from([
        ("events".to_owned(), rows[3].sequence),
        ("short.events".to_owned(), rows[1].sequence),
    ]);
    assert_eq!((&facts[0].chains, facts[0].waiting, facts[0].state.is_some()), (&chains, true, true));
    assert_eq!((facts[1].sequence, facts[1].waiting, facts[1].state.is_some()), (None, false, false));
}

#[tokio::test]
async fn what_is_rolled_back_was_never_published() {
    let files = Files::new();
    let database = things(&files).await;
    let mut service = files.service().await;
    run(&mut service, &format!("BEGIN; {MAKE}; ROLLBACK")).await.unwrap();
    run(&mut service, &format!("BEGIN; {MAKE}")).await.unwrap();
    drop(service);
    assert_eq!(database.waiting(10).await.unwrap(), [], "nor what its process did not live to commit");
    assert_eq!(database.counts(&"thing".parse().unwrap()).await.unwrap().committed, 0);
}

#[tokio::test]
async fn what_cannot_be_published_is_refused_with_its_reason() {
    let files = Files::new();
    let database = things(&files).await;
    let mut service = files.service().await;
    for (columns, values, reason) in [
        ("contract, key", "'other', '[\"a\"]'", "`contract` is none"),
        ("key", "'[\"a\"]'", "`contract` is none"),
        ("contract, change, key", "'thing', 'ThingLost', '[\"a\"]'", "no event of the contract"),
        ("contract", "'thing'", "is not JSON"),
        ("contract, key", "'thing', 'a'", "is not JSON"),
        ("contract, key", "'thing', '\"a\"'", "a JSON array with one text"),
        ("contract, key", "'thing', '[\"a\",\"b\"]'", "a JSON array with one text"),
        ("contract, key", "'thing', '[1]'", "a JSON array with one text"),
        ("contract, key", "'thing', '[ \"a\" ]'", "not canonical"),
        ("contract, key", "'thing', '[\"\\u0061\"]'", "not canonical"),
        ("contract, key, details", "'thing', '[\"a\"]', '[]'", "`details` is not"),
    ] {
        let publish = format!("INSERT INTO seamline_publish ({columns}) VALUES ({values})");
        let told = run(&mut service, &publish).await.unwrap_err();
        assert!(told.starts_with("seamline: ") && told.contains(reason), "{values}: {told}");
    }
    assert_eq!(database.waiting(10).await.unwrap(), []);
}

#[tokio::test]
async fn publishing_finds_the_row_by_the_index_of_its_key() {
    let files = Files::new();
    let (database, _) = many(&files, MANY_TABLE).await;
    let rows: Vec<(i64, i64, i64, String)> = sqlx::query_as(
        "EXPLAIN QUERY PLAN SELECT s.state FROM seamline_source_thing s WHERE s.key0 = json_extract(?1, '$[0]') \
         AND s.key1 = CAST(json_extract(?1, '$[1]') AS INTEGER) AND s.key = ?1",
    )
    .bind("[\"n\",\"1\"]")
    .fetch_all(database.readers())
    .await
    .unwrap();
    assert!(rows.iter().any(|row| row.3.contains("USING INDEX")), "{rows:?}");
}

#[tokio::test]
async fn a_decimal_key_keeps_every_digit_that_is_stored() {
    let files = Files::new();
    let database = files.context().await;
    let text = "key: amount\nattributes:\n  amount: { type: 'decimal(28,3)', unit: EUR, meaning: What it costs. }\nstate: {}\n";
    let (contract, publication) = published(text, "feed: outbox, table: many");
    run(&mut *database.writer().await, "CREATE TABLE many (amount)").await.unwrap();
    database.install_producer(&contract, &publication).await.unwrap();
    let mut service = files.service().await;
    let stored = [
        ("'9999999999999999999999999.999'", "9999999999999999999999999.999"),
        ("'-12345678901234567.890'", "-12345678901234567.890"),
        ("9007199254740993", "9007199254740993.000"),
        ("'1.5'", "1.500"),
        ("17", "17.000"),
        ("2.25", "2.250"),
    ];
    for (cell, key) in stored {
        let publish = format!("INSERT INTO seamline_publish (contract, key) VALUES ('thing', '[\"{key}\"]')");
        run(&mut service, &format!("INSERT INTO many VALUES ({cell}); {publish}")).await.unwrap();
    }
    let waiting = database.waiting(10).await.unwrap();
    let found: Vec<&str> =
        waiting.iter().filter(|row| row.state.is_some()).map(|row| row.key.as_str()).collect();
    let wanted: Vec<String> = stored.iter().map(|(_, key)| format!("[\"{key}\"]")).collect();
    assert_eq!(found, wanted);
}

#[tokio::test]
async fn scans_pass_every_key_once_whatever_its_collation() {
    let files = Files::new();
    let table = MANY_TABLE
        .replace("region TEXT", "region TEXT COLLATE NOCASE")
        .replace(", PRIMARY KEY (region, number)", "");
    let (database, _) = many(&files, &table).await;
    let mut service = files.service().await;
    for (n, region) in ["a", "A", "b", "ä", "", "B", "[1]"].into_iter().enumerate() {
        run(&mut service, &format!("INSERT INTO many (region, number) VALUES ('{region}', {})", n % 3))
            .await
            .unwrap();
    }
    let contract = "thing".parse().unwrap();
    let mut keys = Vec::new();
    loop {
        let page = database.scan(&contract, keys.last(), 2).await.unwrap();
        if page.is_empty() {
            break;
        }
        keys.extend(page.into_iter().map(|row| row.key));
    }
    assert_eq!(keys.len(), 7);
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 7);
}

#[tokio::test]
async fn installing_again_upgrades_and_keeps_what_waits() {
    let files = Files::new();
    let database = things(&files).await;
    let mut service = files.service().await;
    run(&mut service, MAKE).await.unwrap();
    let wider = crate::fixture::THING.replace(
        "ThingGone:",
        "ThingSold: { meaning: It is sold., becomes: { status: done } }\n  ThingGone:",
    );
    let (contract, publication) = published(&wider, "feed: outbox, table: thing");
    database.install_producer(&contract, &publication).await.unwrap();
    let sold =
        "INSERT INTO seamline_publish (contract, change, key) VALUES ('thing', 'ThingSold', '[\"a\"]')";
    run(&mut service, sold).await.unwrap();
    let rows = database.waiting(10).await.unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[1].previous["events"], Some(rows[0].sequence));
}

#[tokio::test]
async fn a_table_that_is_not_there_is_found_at_installation() {
    let files = Files::new();
    let database = files.context().await;
    let (contract, publication) = published(crate::fixture::THING, "feed: outbox, table: thing");
    let error = database.install_producer(&contract, &publication).await.unwrap_err();
    assert!(matches!(error, InstallError::Source { .. }), "{error}");
    run(&mut *database.writer().await, "CREATE TABLE thing (thing_id TEXT)").await.unwrap();
    let error = database.install_producer(&contract, &publication).await.unwrap_err();
    assert!(matches!(error, InstallError::Source { .. }), "{error}");
    let there: i64 =
        sqlx::query_scalar("SELECT count(*) FROM sqlite_master WHERE name LIKE 'seamline_outbox%'")
            .fetch_one(database.readers())
            .await
            .unwrap();
    assert_eq!(there, 0, "nothing was changed");
}

#[tokio::test]
async fn emitting_writes_state_alone_and_leaves_chains() {
    let files = Files::new();
    let database = things(&files).await;
    run(&mut files.service().await, MAKE).await.unwrap();
    let contract = "thing".parse().unwrap();
    assert_eq!(database.emit(&contract, &[key(&["a"]), key(&["gone"])]).await.unwrap(), 2);
    let rows = database.waiting(10).await.unwrap();
    assert_eq!((&rows[1].act, rows[1].previous.len(), rows[1].state.is_some()), (&Act::State, 0, true));
    assert_eq!((&rows[2].act, rows[2].state.is_some()), (&Act::State, false), "no row yields its removal");
    let facts = database.published(&contract, None, 10).await.unwrap();
    assert_eq!(facts[0].sequence, Some(rows[1].sequence));
    assert_eq!(facts[0].chains, BTreeMap::from([("events".to_owned(), rows[0].sequence)]));
    assert!(rows[0].sequence > Sequence::MIN);
}

#[tokio::test]
async fn a_key_that_sqlite_has_no_text_for_is_refused_at_installation() {
    let files = Files::new();
    let database = files.context().await;
    let contract = crate::fixture::THING.replace("thingId: { type: string,", "thingId: { type: bytes,");
    let (contract, publication) = published(&contract, "feed: outbox, table: thing");
    let error = database.install_producer(&contract, &publication).await.unwrap_err();
    assert!(matches!(error, InstallError::Key { .. }), "{error}");
}

#[tokio::test]
async fn a_strict_publication_is_refused_and_not_taken_for_kept() {
    let files = Files::new();
    let database = files.context().await;
    let (contract, publication) = published(THING, "feed: outbox, table: thing, strict: true");
    let refused = database.install_producer(&contract, &publication).await.unwrap_err();
    assert!(refused.to_string().contains("`strict`"), "{refused}");
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
async fn a_state_that_no_channel_takes_is_refused_where_it_is_published() {
    let files = Files::new();
    let database = files.context().await;
    let (contract, publication) = published(LARGE, "feed: outbox, table: large");
    let table = "CREATE TABLE large (thing_id TEXT PRIMARY KEY, note TEXT, blob BLOB, lines TEXT)";
    run(&mut *database.writer().await, table).await.unwrap();
    database.install_producer(&contract, &publication).await.unwrap();
    let mut service = files.service().await;
    let umlauts = format!("'{}', NULL, NULL", "\u{fc}".repeat(600));
    let lines = format!("NULL, NULL, '[\"{}\", \"b\"]'", "a".repeat(1100));
    for (values, largest) in [
        (umlauts.as_str(), "note"),
        ("'short', zeroblob(1100), NULL", "blob"),
        (&lines, "lines"),
        ("printf('%.*c', 600, 'x'), zeroblob(700), NULL", "blob"),
    ] {
        let insert = format!("INSERT INTO large VALUES ('a', {values})");
        let publish = "INSERT INTO seamline_publish (contract, key) VALUES ('thing', '[\"a\"]')";
        let told = run(&mut service, &format!("BEGIN; {insert}; {publish}")).await.unwrap_err();
        let begins = format!(
            "seamline: `thing`: the state is larger than the 1024 bytes that its channel takes, most of it in `{largest}`; publish"
        );
        assert!(told.starts_with(&begins), "{values}: {told}");
        run(&mut service, "ROLLBACK").await.unwrap();
    }
    assert_eq!(database.waiting(10).await.unwrap(), []);
    let fits = "INSERT INTO large VALUES ('b', NULL, zeroblob(900), NULL), ('c', printf('%.*c', 1000, 'x'), NULL, NULL)";
    let publish =
        "INSERT INTO seamline_publish (contract, key) VALUES ('thing', '[\"b\"]'), ('thing', '[\"c\"]')";
    run(&mut service, &format!("{fits}; {publish}")).await.unwrap();
    assert_eq!(
        database.waiting(10).await.unwrap().len(),
        2,
        "its source form is larger, and what travels is not"
    );
}
