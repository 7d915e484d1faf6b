//! What is written into a projection's columns is what is read, at the borders of every type.

use crate::fixture::{Home, TTL, at, key, run};
use seamline_contract::attribute::Type;
use seamline_contract::value::Value;
use seamline_flow::position::Accounting;
use seamline_flow::store::{
    Batch, Column, Committed, Gripped, Had, Lane, LaneState, Marker, Projection, RehearsedBy, RowWrite, Store,
};
use seamline_message::digest::Digest;
use seamline_message::key::RecordKey;
use seamline_message::sequence::Sequence;
use seamline_message::sums::Sums;
use seamline_postgres::database::Database;
use std::collections::BTreeMap;

/// Returns a projection with columns of types, of which the first is the key.
pub(crate) fn projection(columns: &[(&str, Type, bool)]) -> Projection {
    Projection {
        subscription: "claims/covers".parse().unwrap(),
        table: "covers".to_owned(),
        columns: columns
            .iter()
            .enumerate()
            .map(|(idx, (name, ty, approximate))| Column {
                name: (*name).to_owned(),
                ty: ty.clone(),
                optional: idx > 0,
                approximate: *approximate,
            })
            .collect(),
        key: vec![0],
        keep_ended: false,
        rehearsal: RehearsedBy::Comparison,
    }
}

fn lane() -> Lane {
    Lane { subscription: "claims/covers".parse().unwrap(), topic: "t".to_owned(), partition: 0 }
}

pub(crate) fn row(key: RecordKey, values: Vec<Value>, sequence: u64) -> RowWrite {
    let marker = Marker {
        sequence: Sequence(sequence),
        offset: sequence,
        received: Digest(u128::from(sequence)),
        written: Digest(u128::from(sequence) + 1),
    };
    RowWrite { key, values, marker, had: Had::More }
}

pub(crate) fn batch(epoch: u64, rows: Vec<RowWrite>) -> Batch {
    Batch {
        lane: lane(),
        epoch,
        expected: None,
        next: LaneState {
            position: None,
            bootstrap_end: None,
            sums: Sums::new(),
            digest_epoch: 1,
            accounting: Accounting::default(),
        },
        rows,
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

pub(crate) async fn epoch(database: &Database, force: bool) -> u64 {
    match database.grip(&lane(), "one", at(0), TTL, force).await.unwrap() {
        Gripped::Held(grip) => grip.epoch,
        Gripped::Busy { .. } => panic!("it is its own"),
    }
}

/// Returns a type, whether it is approximate, and values of it.
fn borders() -> Vec<(Type, bool, Vec<Value>)> {
    let decimal = |precision, scale| Type::Decimal { precision, scale };
    let decimals = |texts: &[&str]| texts.iter().map(|text| Value::Decimal(text.parse().unwrap())).collect();
    let text = |text: &str| Value::String(text.to_owned());
    let moments = [
        "0000-01-01T00:00:00Z",
        "0000-02-29T23:59:59.999999Z",
        "0001-01-01T00:00:00Z",
        "1883-11-18T12:03:58.000001Z",
        "1969-12-31T23:59:59.999999Z",
        "9999-12-30T22:00:00.999999Z",
    ];
    let days = ["0000-01-01", "0000-02-29", "0001-01-01", "1582-10-10", "9999-12-31"];
    let nested = BTreeMap::from([
        ("b".to_owned(), Value::List(vec![text("\u{1f600} \"\\"), Value::Null])),
        ("a".to_owned(), Value::Approximate(1e-7)),
        ("c".to_owned(), Value::Approximate(0.1 + 0.2)),
        ("d".to_owned(), Value::Approximate(31.245_270_191_439_438)),
        ("e".to_owned(), Value::Approximate(121.487_919_511_619_45)),
        ("f".to_owned(), Value::Approximate(2.225_073_858_507_201_4e-308)),
    ]);
    let list = Type::Object(Vec::new());
    vec![
        (
            Type::String,
            false,
            vec![text(""), text("x".repeat(1 << 20).as_str()), text(" \t\n\\N{},\"NULL\"")],
        ),
        (Type::Integer, false, vec![Value::Integer(i64::MIN), Value::Integer(i64::MAX), Value::Integer(0)]),
        (
            decimal(28, 10),
            false,
            decimals(&["999999999999999999.9999999999", "-0.0000000001", "0.0000000000"]),
        ),
        (decimal(4, 2), false, decimals(&["12.10", "-99.99", "0.00"])),
        (
            decimal(9, 2),
            true,
            [5e-324, f64::MAX, 0.1 + 0.2, -12.1].into_iter().map(Value::Approximate).collect(),
        ),
        (Type::Boolean, false, vec![Value::Boolean(true), Value::Boolean(false)]),
        (Type::Date, false, days.iter().map(|day| Value::Date(day.parse().unwrap())).collect()),
        (Type::Timestamp, false, moments.iter().map(|at| Value::Timestamp(at.parse().unwrap())).collect()),
        (Type::Uuid, false, vec![Value::Uuid([0; 16]), Value::Uuid([0xff; 16])]),
        (Type::Bytes, false, vec![Value::Bytes(Vec::new()), Value::Bytes((0..=255).collect())]),
        (Type::Duration, false, vec![Value::Duration(i64::MIN), Value::Duration(i64::MAX)]),
        (list, false, vec![Value::Map(nested), Value::Map(BTreeMap::new())]),
    ]
}

#[tokio::test]
#[cfg_attr(not(servers_here), ignore = "not run: needs PostgreSQL; `cargo x test` starts one")]
async fn what_is_written_is_what_is_read() {
    let home = Home::new().await;
    let database = home.open().await;
    let borders = borders();
    let names: Vec<String> = (0..borders.len()).map(|idx| format!("c{idx}")).collect();
    let mut columns = vec![("id", Type::Integer, false)];
    columns.extend(
        borders
            .iter()
            .zip(&names)
            .map(|((ty, approximate, _), name)| (name.as_str(), ty.clone(), *approximate)),
    );
    let projection = projection(&columns);
    database.install_consumer(std::slice::from_ref(&projection)).await.unwrap();
    database.install_consumer(std::slice::from_ref(&projection)).await.unwrap();
    let most = borders.iter().map(|(_, _, values)| values.len()).max().unwrap();
    // Enough of new keys to be copied, and some that are not.
    let rows: Vec<RowWrite> = (0..=most + 70)
        .map(|idx| {
            let id = i64::try_from(idx).unwrap();
            let mut values = vec![Value::Integer(id)];
            let border = |values: &Vec<Value>| values.get(idx % (most + 1)).cloned().unwrap_or(Value::Null);
            values.extend(borders.iter().map(|(_, _, values)| border(values)));
            RowWrite {
                had: if idx > most { Had::Nothing } else { Had::More },
                ..row(key(&[&id.to_string()]), values, 7)
            }
        })
        .collect();
    let batch = batch(epoch(&database, false).await, rows.clone());
    assert_eq!(database.commit(Some(&projection), &batch, at(0), TTL).await.unwrap(), Committed::Done);
    let read = database.rows(&projection, None, 100).await.unwrap();
    assert_eq!(read.len(), rows.len());
    for (read, row) in read.iter().zip(&rows) {
        assert_eq!(read.key.as_ref(), Some(&row.key));
        for (read, written) in read.values.iter().zip(&row.values) {
            assert_eq!(read.as_ref(), Ok(written));
        }
        assert_eq!(read.marker.as_ref(), Some(&row.marker));
    }
    let rest = database.rows(&projection, Some(&read[1].cursor), 100).await.unwrap();
    assert_eq!(rest, read[2..]);
}

#[tokio::test]
#[cfg_attr(not(servers_here), ignore = "not run: needs PostgreSQL; `cargo x test` starts one")]
async fn a_cell_that_no_value_is_stored_as_is_shown() {
    let home = Home::new().await;
    let database = home.open().await;
    let projection = projection(&[
        ("id", Type::Date, false),
        ("at", Type::Timestamp, false),
        ("o", Type::Object(Vec::new()), false),
    ]);
    database.install_consumer(std::slice::from_ref(&projection)).await.unwrap();
    let row = "INSERT INTO covers (id, at, o) VALUES ('infinity', '-infinity', 'null')";
    run(&mut home.service().await, row).await.unwrap();
    let rows = database.rows(&projection, None, 10).await.unwrap();
    assert_eq!(rows[0].key, None);
    let shown = ["infinity", "-infinity", "null"].map(|text| Err(text.to_owned()));
    assert_eq!(rows[0].values, shown);
    assert_eq!(database.rows(&projection, Some(&rows[0].cursor), 10).await.unwrap(), []);
}

#[tokio::test]
#[cfg_attr(not(servers_here), ignore = "not run: needs PostgreSQL; `cargo x test` starts one")]
async fn an_earlier_holder_writes_nothing_even_while_the_next_one_commits() {
    let home = Home::new().await;
    let database = home.open().await;
    let projection = projection(&[("id", Type::Integer, false)]);
    database.install_consumer(std::slice::from_ref(&projection)).await.unwrap();
    let old = epoch(&database, false).await;
    let new = epoch(&database, true).await;
    let write =
        |epoch, id: i64| batch(epoch, vec![row(key(&[&id.to_string()]), vec![Value::Integer(id)], 1)]);
    let (old, new) = (write(old, 1), write(new, 2));
    let both = futures_util::future::join(
        database.commit(Some(&projection), &old, at(0), TTL),
        database.commit(Some(&projection), &new, at(0), TTL),
    );
    let (old, new) = both.await;
    assert_eq!((old.unwrap(), new.unwrap()), (Committed::Fenced, Committed::Done));
    let there = database.rows(&projection, None, 10).await.unwrap();
    assert_eq!(there.iter().map(|row| row.key.clone()).collect::<Vec<_>>(), [Some(key(&["2"]))]);
}
