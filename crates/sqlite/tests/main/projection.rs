//! Projections: what is installed, what is written and read back, and what a rehearsal finds.

use crate::fixture::{Files, TTL, at, key, projection, run};
use seamline_contract::attribute::{Attribute, Origin, Shape, Type};
use seamline_contract::value::Value;
use seamline_flow::position::{Accounting, Position};
use seamline_flow::store::{
    Batch, Committed, Grip, Gripped, Had, KeyEnd, Lane, LaneState, Marker, Markers, Projection, Rehearsed,
    RowWrite, Store,
};
use seamline_message::digest::Digest;
use seamline_message::key::RecordKey;
use seamline_message::sequence::Sequence;
use seamline_sqlite::context::Database;
use seamline_sqlite::install::InstallError;
use std::collections::BTreeMap;

fn lane(projection: &Projection) -> Lane {
    Lane { subscription: projection.subscription.clone(), topic: "t".to_owned(), partition: 0 }
}

fn marker(sequence: u64) -> Marker {
    let digest = |of: u128| Digest(of << 64 | u128::from(sequence));
    Marker { sequence: Sequence(sequence), offset: sequence + 100, received: digest(1), written: digest(2) }
}

fn write(texts: &[&str], values: Vec<Value>, sequence: u64) -> RowWrite {
    RowWrite { key: key(texts), values, marker: marker(sequence), had: Had::More }
}

async fn grip(database: &Database, projection: &Projection) -> Grip {
    match database.grip(&lane(projection), "one", at(0), TTL, true).await.unwrap() {
        Gripped::Held(grip) => grip,
        Gripped::Busy { until } => panic!("busy until {until}"),
    }
}

fn batch(projection: &Projection, grip: &Grip) -> Batch {
    let position = Position {
        cluster: "c".to_owned(),
        topic_id: "i".to_owned(),
        partition: 0,
        leader_epoch: 0,
        offset: grip.state.position.as_ref().map_or(1, |at| at.offset + 1),
    };
    let next =
        LaneState { position: Some(position), accounting: Accounting::default(), ..grip.state.clone() };
    Batch {
        lane: lane(projection),
        epoch: grip.epoch,
        expected: grip.state.position.clone(),
        next,
        rows: Vec::new(),
        ended: Vec::new(),
        purge: Vec::new(),
        restore: Vec::new(),
        chains: Vec::new(),
        inbox: Vec::new(),
        aside: Vec::new(),
        released: Vec::new(),
        received_aside: Vec::new(),
        set: None,
        cases: Vec::new(),
    }
}

/// Commits what a test puts into an empty batch.
async fn commit(database: &Database, projection: &Projection, fill: impl FnOnce(&mut Batch)) {
    let held = grip(database, projection).await;
    let mut filled = batch(projection, &held);
    fill(&mut filled);
    assert_eq!(database.commit(Some(projection), &filled, at(1), TTL).await.unwrap(), Committed::Done);
}

fn cover() -> Projection {
    projection("cover", &[("ref", Type::String), ("open", Type::Boolean)], 1)
}

async fn installed(files: &Files, projection: &Projection) -> Database {
    let database = files.context().await;
    database.install_consumer(std::slice::from_ref(projection)).await.unwrap();
    database
}

fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

#[tokio::test]
async fn a_column_that_was_declared_since_is_added() {
    let files = Files::new();
    let database = installed(&files, &cover()).await;
    let mut wider = cover();
    wider.columns.push(seamline_flow::store::Column {
        name: "note".to_owned(),
        ty: Type::String,
        optional: true,
        approximate: false,
    });
    database.install_consumer(std::slice::from_ref(&wider)).await.unwrap();
    run(&mut *database.writer().await, "SELECT note FROM cover").await.unwrap();
    let narrower = database.install_consumer(&[cover()]).await.unwrap_err();
    assert!(narrower.to_string().contains("has the column `note`"), "{narrower}");
}

#[tokio::test]
async fn a_table_that_differs_is_named_and_nothing_is_changed() {
    let markers = "seamline_sequence INTEGER, seamline_offset INTEGER, seamline_received BLOB, \
                   seamline_written BLOB, seamline_ended INTEGER";
    for (sql, difference) in [
        (
            "CREATE TABLE cover (ref TEXT PRIMARY KEY, open INTEGER)".to_owned(),
            "lacks the column `seamline_sequence`",
        ),
        (format!("CREATE TABLE cover (open INTEGER, {markers})"), "lacks the column `ref`"),
        (
            format!("CREATE TABLE cover (ref TEXT PRIMARY KEY, open NUMERIC, {markers})"),
            "`NUMERIC`, not `INTEGER`",
        ),
        (
            format!("CREATE TABLE cover (ref TEXT, open INTEGER PRIMARY KEY, {markers})"),
            "another primary key",
        ),
        (
            format!("CREATE TABLE cover (ref TEXT PRIMARY KEY, open INTEGER, more TEXT, {markers})"),
            "column `more`",
        ),
        (
            format!("CREATE TABLE cover (ref TEXT PRIMARY KEY, open INTEGER AS (1), {markers})"),
            "computes the column `open`",
        ),
        (
            format!("CREATE TABLE cover (ref TEXT PRIMARY KEY, open INTEGER, {markers}) WITHOUT ROWID"),
            "WITHOUT ROWID",
        ),
        ("CREATE VIEW cover AS SELECT 1".to_owned(), "is a view"),
        (
            format!(
                "CREATE TABLE cover (ref TEXT PRIMARY KEY, open INTEGER, {markers}); \
                 CREATE TRIGGER tr AFTER INSERT ON cover BEGIN SELECT 1; END"
            ),
            "the trigger `tr`",
        ),
    ] {
        let files = Files::new();
        let database = files.context().await;
        run(&mut *database.writer().await, &sql).await.unwrap();
        let error = database.install_consumer(&[cover()]).await.unwrap_err();
        assert!(
            matches!(error, InstallError::Table { .. }) && error.to_string().contains(difference),
            "{error}"
        );
        let lanes: i64 =
            sqlx::query_scalar("SELECT count(*) FROM sqlite_master WHERE name = 'seamline_lane'")
                .fetch_one(database.readers())
                .await
                .unwrap();
        assert_eq!(lanes, 0);
    }
}

#[tokio::test]
async fn installing_again_keeps_rows_and_a_table_of_the_services_own_making_will_do() {
    let files = Files::new();
    let database = files.context().await;
    let own = "CREATE TABLE Cover (REF text PRIMARY KEY NOT NULL, open integer NOT NULL, seamline_sequence INTEGER, \
        seamline_offset INTEGER, seamline_received BLOB, seamline_written BLOB, seamline_ended INTEGER)";
    run(&mut *database.writer().await, own).await.unwrap();
    for _ in 0..2 {
        database.install_consumer(&[cover()]).await.unwrap();
        commit(&database, &cover(), |batch| {
            batch.rows = vec![write(&["a"], vec![text("a"), Value::Boolean(true)], 5)]
        })
        .await;
    }
    assert_eq!(database.rows(&cover(), None, 10).await.unwrap().len(), 1);
    let twice = [cover(), Projection { table: "COVER".to_owned(), ..cover() }];
    assert!(matches!(database.install_consumer(&twice).await, Err(InstallError::Projection { .. })));
}

#[tokio::test]
async fn an_inbox_of_the_first_format_keeps_its_rows_and_gets_the_columns_of_today() {
    let files = Files::new();
    let database = files.context().await;
    database.install_consumer(&[]).await.unwrap();
    {
        let mut service = database.writer().await;
        for view in ["claimable", "claim", "done", "failed", "answer"] {
            run(&mut service, &format!("DROP VIEW seamline_{view}")).await.unwrap();
        }
        for column in ["due", "why", "ended_at", "correlation", "traceparent"] {
            run(&mut service, &format!("ALTER TABLE seamline_inbox DROP COLUMN {column}")).await.unwrap();
        }
        let fill = "INSERT INTO seamline_inbox (subscription, id, key, event, sequence, payload, projection_behind, \
                    received_at) VALUES ('proof/cover', 'i', 'k', 'E', 1, '{}', 0, '2026-01-01T00:00:00Z')";
        run(&mut service, fill).await.unwrap();
        run(&mut service, "UPDATE seamline_format SET version = 1 WHERE stored = 'seamline_inbox'")
            .await
            .unwrap();
    }
    assert!(database.is_older("seamline_inbox").await.unwrap());
    database.install_consumer(&[]).await.unwrap();
    assert!(!database.is_older("seamline_inbox").await.unwrap());
    let mut service = files.service().await;
    run(&mut service, "INSERT INTO seamline_claim (number, hold) VALUES (1, 60)").await.unwrap();
    let again = run(&mut service, "INSERT INTO seamline_claim (number) VALUES (1)").await.unwrap_err();
    assert!(again.contains("cannot be claimed now"), "{again}");
    let late =
        run(&mut service, "INSERT INTO seamline_done (number, attempt) VALUES (1, 2)").await.unwrap_err();
    assert!(late.contains("is not claimed"), "{late}");
    run(&mut service, "INSERT INTO seamline_done (number, attempt) VALUES (1, 1)").await.unwrap();
}

#[tokio::test]
async fn the_row_of_the_least_integer_is_read_like_any_other() {
    let files = Files::new();
    let counter = projection("counter", &[("number", Type::Integer), ("open", Type::Boolean)], 1);
    let database = installed(&files, &counter).await;
    commit(&database, &counter, |batch| {
        batch.rows = [i64::MIN, i64::MAX]
            .map(|number| {
                write(&[&number.to_string()], vec![Value::Integer(number), Value::Boolean(true)], 5)
            })
            .to_vec();
    })
    .await;
    let first = database.rows(&counter, None, 1).await.unwrap();
    assert_eq!(first[0].values[0], Ok(Value::Integer(i64::MIN)));
    let rest = database.rows(&counter, Some(&first[0].cursor), 10).await.unwrap();
    assert_eq!(rest.len(), 1);
}

fn member(name: &str, ty: Type) -> Attribute {
    Attribute {
        name: name.parse().unwrap(),
        origin: Origin::Own(Shape::of(ty)),
        meaning: String::new(),
        optional: true,
        classification: None,
        purposes: None,
        deprecated: None,
        computed: None,
        derived_from: Vec::new(),
    }
}

#[tokio::test]
async fn values_of_every_type_are_read_back_as_they_were_written() {
    let object = Type::Object(vec![member("day", Type::Date), member("count", Type::Integer)]);
    let list = Type::List(Box::new(member("element", Type::Decimal { precision: 6, scale: 3 })));
    let map = Type::Map(Box::new(member("value", Type::Bytes)));
    let decimal = Type::Decimal { precision: 28, scale: 2 };
    let cells: Vec<(Type, Vec<Value>)> = vec![
        (Type::String, vec![text(""), text("it's \"so\"\0 ä\n"), text("007"), text("1e3")]),
        (Type::Integer, vec![Value::Integer(i64::MIN), Value::Integer(9_007_199_254_740_993)]),
        (
            decimal.clone(),
            vec![
                Value::Decimal("12345678901234567890123456.70".parse().unwrap()),
                Value::Decimal("-0.10".parse().unwrap()),
                Value::Approximate(0.1),
                Value::Approximate(-2.0),
                Value::Approximate(1e300),
            ],
        ),
        (Type::Boolean, vec![Value::Boolean(true), Value::Boolean(false)]),
        (Type::Date, vec![Value::Date("2026-02-28".parse().unwrap())]),
        (Type::Timestamp, vec![Value::Timestamp("2026-02-28T01:02:03.000004Z".parse().unwrap())]),
        (Type::Uuid, vec![Value::Uuid(*b"0123456789abcdef"), Value::Uuid([0; 16])]),
        (Type::Bytes, vec![Value::Bytes(vec![]), Value::Bytes(vec![0, 255])]),
        (Type::Duration, vec![Value::Duration(-1), Value::Duration(90_000_000)]),
        (Type::Enum, vec![text("eligible")]),
        (
            object,
            vec![Value::Map(BTreeMap::from([
                ("day".to_owned(), Value::Date("2026-02-28".parse().unwrap())),
                ("count".to_owned(), Value::Integer(i64::MAX)),
            ]))],
        ),
        (list, vec![Value::List(vec![Value::Decimal("1.500".parse().unwrap())]), Value::List(vec![])]),
        (map, vec![Value::Map(BTreeMap::from([("k".to_owned(), Value::Bytes(vec![1, 2]))]))]),
    ];
    let names: Vec<String> = (0..cells.len()).map(|idx| format!("c{idx}")).collect();
    let mut columns = vec![("ref", Type::String)];
    columns.extend(names.iter().map(String::as_str).zip(cells.iter().map(|(ty, _)| ty.clone())));
    let projection = projection("wide", &columns, 1);
    let files = Files::new();
    let database = installed(&files, &projection).await;
    let rows: Vec<RowWrite> = (0..6)
        .map(|idx| {
            let name = format!("k{idx}");
            let value = |(_, values): &(Type, Vec<Value>)| values.get(idx).cloned().unwrap_or(Value::Null);
            let values = std::iter::once(text(&name)).chain(cells.iter().map(value)).collect();
            write(&[&name], values, 1)
        })
        .collect();
    commit(&database, &projection, |batch| batch.rows = rows.clone()).await;
    let read = database.rows(&projection, None, 100).await.unwrap();
    assert_eq!(read.len(), rows.len());
    for (read, written) in read.iter().zip(&rows) {
        let values: Vec<Value> = read.values.iter().map(|value| value.clone().unwrap()).collect();
        assert_eq!(values, written.values);
        assert_eq!((read.key.as_ref(), read.marker.as_ref()), (Some(&written.key), Some(&written.marker)));
    }
    database.rehearsal_begin(&projection).await.unwrap();
    let rehearsed = |row: &RowWrite| Rehearsed {
        key: row.key.clone(),
        values: Some(row.values.clone()),
        marker: row.marker.clone(),
        left: false,
    };
    database.rehearsal_put(&projection, &rows.iter().map(rehearsed).collect::<Vec<_>>()).await.unwrap();
    assert_eq!(database.rehearsal_diff(&projection, None, 10).await.unwrap(), []);
}

#[tokio::test]
async fn what_a_type_is_not_stored_as_is_told_and_not_guessed() {
    let decimal = Type::Decimal { precision: 12, scale: 2 };
    let projection =
        projection("cover", &[("ref", Type::String), ("money", decimal), ("open", Type::Boolean)], 1);
    let files = Files::new();
    let database = installed(&files, &projection).await;
    run(
        &mut files.service().await,
        "INSERT INTO cover (ref, money, open) VALUES ('a', 12.5, 2), (x'00ff', '12.50', 1)",
    )
    .await
    .unwrap();
    let rows = database.rows(&projection, None, 10).await.unwrap();
    assert_eq!(rows[0].values[1], Err("12.5".to_owned()), "not at its scale");
    assert_eq!(rows[0].values[2], Err("2".to_owned()));
    assert_eq!((&rows[0].key, &rows[0].marker), (&Some(key(&["a"])), &None));
    assert_eq!((&rows[1].key, &rows[1].values[0]), (&None, &Err("00ff".to_owned())));
}

fn keys_of(found: &[seamline_flow::store::Difference]) -> Vec<String> {
    found
        .iter()
        .map(|difference| difference.key.as_ref().map_or_else(|| "?".to_owned(), RecordKey::to_string))
        .collect()
}

#[tokio::test]
async fn composite_keys_of_several_types_are_found_again() {
    let columns =
        [("region", Type::String), ("number", Type::Integer), ("mark", Type::Bytes), ("open", Type::Boolean)];
    let projection = projection("cover", &columns, 3);
    let files = Files::new();
    let database = installed(&files, &projection).await;
    let row = |region: &str, number: i64, sequence| {
        let values =
            vec![text(region), Value::Integer(number), Value::Bytes(vec![0, 255]), Value::Boolean(true)];
        RowWrite {
            key: key(&[region, &number.to_string(), "AP8="]),
            values,
            marker: marker(sequence),
            had: Had::More,
        }
    };
    let rows = vec![row("o'\"\\ä", 1, 5), row("o'\"\\ä", 2, 6)];
    let keys: Vec<RecordKey> = rows.iter().map(|row| row.key.clone()).collect();
    commit(&database, &projection, |batch| batch.rows = rows).await;
    let asked = [keys[1].clone(), key(&["x", "1", "AP8="]), keys[0].clone()];
    let found = database.markers(&projection, &asked).await.unwrap();
    let markers = |sequence| Markers { row: Some(marker(sequence)), ..Markers::default() };
    assert_eq!(found, [markers(6), Markers::default(), markers(5)], "in the order asked");
    let end = KeyEnd { key: keys[0].clone(), marker: marker(7) };
    commit(&database, &projection, |batch| batch.ended = vec![end]).await;
    let found = database.markers(&projection, &keys).await.unwrap();
    assert_eq!(found[0], Markers { ended: Some(marker(7)), ..Markers::default() });
    assert_eq!(database.rows(&projection, None, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_lower_sequence_changes_nothing_whatever_it_says() {
    for keep_ended in [false, true] {
        let projection = Projection { keep_ended, ..cover() };
        let files = Files::new();
        let database = installed(&files, &projection).await;
        let row = |sequence, open| write(&["a"], vec![text("a"), Value::Boolean(open)], sequence);
        let end = |sequence| KeyEnd { key: key(&["a"]), marker: marker(sequence) };
        let markers = async || database.markers(&projection, &[key(&["a"])]).await.unwrap().remove(0);
        commit(&database, &projection, |batch| batch.rows = vec![row(5, true)]).await;
        for sequence in [4, 5] {
            commit(&database, &projection, |batch| batch.rows = vec![row(sequence, false)]).await;
            commit(&database, &projection, |batch| batch.ended = vec![end(sequence - 1)]).await;
        }
        assert_eq!(markers().await, Markers { row: Some(marker(5)), ..Markers::default() });
        assert_eq!(database.rows(&projection, None, 9).await.unwrap()[0].values[1], Ok(Value::Boolean(true)));
        commit(&database, &projection, |batch| batch.ended = vec![end(8)]).await;
        commit(&database, &projection, |batch| batch.rows = vec![row(7, true)]).await;
        commit(&database, &projection, |batch| batch.ended = vec![end(6)]).await;
        assert_eq!(markers().await, Markers { ended: Some(marker(8)), ..Markers::default() });
        let rows = database.rows(&projection, None, 9).await.unwrap();
        assert_eq!(rows.iter().map(|row| row.ended).collect::<Vec<_>>(), vec![true; usize::from(keep_ended)]);
        commit(&database, &projection, |batch| batch.rows = vec![row(9, true)]).await;
        assert_eq!(
            markers().await,
            Markers { row: Some(marker(9)), ..Markers::default() },
            "a key begins again"
        );
        assert!(!database.rows(&projection, None, 9).await.unwrap()[0].ended);
    }
}

#[tokio::test]
async fn repairs_touch_only_what_they_saw() {
    let projection = cover();
    let files = Files::new();
    let database = installed(&files, &projection).await;
    let row = |name: &str, sequence, open| write(&[name], vec![text(name), Value::Boolean(open)], sequence);
    commit(&database, &projection, |batch| batch.rows = vec![row("a", 5, true), row("b", 5, true)]).await;
    run(&mut files.service().await, "INSERT INTO cover (ref, open) VALUES ('c', 1)").await.unwrap();
    commit(&database, &projection, |batch| {
        batch.restore = vec![
            (row("a", 5, false), Some(marker(4))),
            (row("b", 5, false), Some(marker(5))),
            (row("d", 3, false), None),
        ];
        batch.purge = vec![(key(&["a"]), None), (key(&["b"]), Some(marker(9))), (key(&["c"]), None)];
    })
    .await;
    let rows = database.rows(&projection, None, 9).await.unwrap();
    let open =
        |idx: usize| (rows[idx].key.clone().unwrap().to_string(), rows[idx].values[1].clone().unwrap());
    assert_eq!(rows.len(), 3);
    assert_eq!(open(0), (r#"["a"]"#.to_owned(), Value::Boolean(true)), "its marker is another");
    assert_eq!(open(1), (r#"["b"]"#.to_owned(), Value::Boolean(false)));
    assert_eq!(open(2), (r#"["d"]"#.to_owned(), Value::Boolean(false)));
}

#[tokio::test]
async fn a_rehearsal_finds_what_was_done_by_hand_and_nothing_else() {
    let projection = cover();
    let files = Files::new();
    let database = installed(&files, &projection).await;
    let row = |name: &str, sequence| write(&[name], vec![text(name), Value::Boolean(true)], sequence);
    let rows: Vec<RowWrite> = ["a", "b", "c", "d", "f"].into_iter().map(|name| row(name, 5)).collect();
    commit(&database, &projection, |batch| batch.rows = rows.clone()).await;
    commit(&database, &projection, |batch| {
        batch.ended = vec![KeyEnd { key: key(&["f"]), marker: marker(6) }]
    })
    .await;
    database.rehearsal_begin(&projection).await.unwrap();
    let mut rehearsed: Vec<Rehearsed> = rows
        .iter()
        .map(|row| Rehearsed {
            key: row.key.clone(),
            values: Some(row.values.clone()),
            marker: row.marker.clone(),
            left: false,
        })
        .collect();
    database.rehearsal_put(&projection, &rehearsed).await.unwrap();
    rehearsed.truncate(4);
    rehearsed.push(Rehearsed { key: key(&["f"]), values: None, marker: marker(6), left: false });
    database.rehearsal_put(&projection, &rehearsed).await.unwrap();
    assert_eq!(database.rehearsal_diff(&projection, None, 10).await.unwrap(), []);
    run(
        &mut files.service().await,
        "UPDATE cover SET open = 0 WHERE ref = 'a'; UPDATE cover SET seamline_sequence = 4 WHERE ref = 'b'; \
         DELETE FROM cover WHERE ref = 'c'; INSERT INTO cover (ref, open) VALUES ('e', 1)",
    )
    .await
    .unwrap();
    let mut found = Vec::new();
    loop {
        let after =
            found.last().map(|difference: &seamline_flow::store::Difference| difference.cursor.clone());
        let page = database.rehearsal_diff(&projection, after.as_deref(), 1).await.unwrap();
        if page.is_empty() {
            break;
        }
        found.extend(page);
    }
    assert_eq!(keys_of(&found), [r#"["a"]"#, r#"["b"]"#, r#"["e"]"#, r#"["c"]"#]);
    assert_eq!(found[0].live.as_ref().unwrap().values[1], Ok(Value::Boolean(false)));
    assert_eq!((found[2].rehearsed.is_none(), found[3].live.is_none()), (true, true));
    database.rehearsal_end(&projection).await.unwrap();
    assert!(database.rehearsal_diff(&projection, None, 1).await.is_err(), "there is none any more");
}

#[tokio::test]
async fn a_batch_that_is_dropped_leaves_no_trace_and_the_next_goes_on() {
    let projection = cover();
    let files = Files::new();
    let database = installed(&files, &projection).await;
    let held = grip(&database, &projection).await;
    let mut filled = batch(&projection, &held);
    filled.rows = (0..2000)
        .map(|idx| format!("k{idx}"))
        .map(|name| write(&[&name], vec![text(&name), Value::Boolean(true)], 1))
        .collect();
    {
        let commit = database.commit(Some(&projection), &filled, at(1), TTL);
        let mut commit = std::pin::pin!(commit);
        let waker = std::task::Waker::noop();
        for _ in 0..3 {
            let polled = commit.as_mut().poll(&mut std::task::Context::from_waker(waker));
            assert!(polled.is_pending(), "it has not ended yet");
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(database.rows(&projection, None, 9).await.unwrap(), []);
    assert_eq!(database.commit(Some(&projection), &filled, at(1), TTL).await.unwrap(), Committed::Done);
    assert_eq!(database.rows(&projection, None, 9999).await.unwrap().len(), 2000);
    assert_eq!(database.commit(Some(&projection), &filled, at(1), TTL).await.unwrap(), Committed::Fenced);
}
