//! How many rows a second a commit writes, beside the same upsert done by the server alone.

use crate::fixture::{Home, TTL, at, run};
use crate::types::{batch, epoch, projection, row};
use rust_decimal::Decimal;
use seamline_contract::attribute::Type;
use seamline_contract::value::Value;
use seamline_flow::store::{Committed, RowWrite, Store};
use seamline_message::key::RecordKey;
use std::time::Instant;

const BATCHES: u64 = 16;

/// Returns rows of ten columns.
fn rows(count: u64, sequence: u64) -> Vec<RowWrite> {
    let of = |number: u64| {
        let text = format!("P-{number:08}");
        let mut values =
            vec![Value::String(text.clone()), Value::Integer(i64::try_from(number + sequence).unwrap())];
        values.push(Value::Decimal(Decimal::new(i64::try_from(number * 7 + sequence).unwrap(), 2)));
        values.push(Value::Date("2026-01-02".parse().unwrap()));
        values.push(Value::Timestamp(at(i64::try_from(sequence).unwrap())));
        values.extend((0..5).map(|idx| Value::String(format!("text {idx} of {number} at {sequence}"))));
        row(RecordKey::from_texts(&[text]), values, sequence)
    };
    (0..count).map(of).collect()
}

#[tokio::test]
#[ignore = "measures; run it alone with --nocapture"]
async fn a_commit_beside_the_upsert_of_the_server() {
    for count in [512, 2048, 8192] {
        let home = Home::new().await;
        let database = home.open().await;
        let mut columns = vec![
            ("id", Type::String, false),
            ("amount", Type::Integer, false),
            ("price", Type::Decimal { precision: 12, scale: 2 }, false),
            ("day", Type::Date, false),
            ("at", Type::Timestamp, false),
        ];
        columns.extend(["t0", "t1", "t2", "t3", "t4"].map(|name| (name, Type::String, false)));
        let projection = projection(&columns);
        database.install_consumer(std::slice::from_ref(&projection)).await.unwrap();
        let epoch = epoch(&database, false).await;
        let mut spent = 0.0;
        for sequence in 1..=BATCHES {
            let batch = batch(epoch, rows(count, sequence));
            let start = Instant::now();
            let done = database.commit(Some(&projection), &batch, at(0), TTL).await.unwrap();
            assert_eq!(done, Committed::Done);
            if sequence > 1 {
                spent += start.elapsed().as_secs_f64();
            }
        }
        let mut service = home.service().await;
        run(&mut service, "CREATE TABLE staging AS SELECT * FROM covers").await.unwrap();
        let names = "id, amount, price, day, at, t0, t1, t2, t3, t4, seamline_sequence, seamline_offset, \
                     seamline_received, seamline_written";
        let sets: Vec<String> = names.split(", ").map(|name| format!("{name} = excluded.{name}")).collect();
        let upsert = format!(
            "INSERT INTO covers AS t ({names}) SELECT {names} FROM staging ON CONFLICT (id) DO UPDATE SET {} \
             WHERE excluded.seamline_sequence > t.seamline_sequence",
            sets.join(", ")
        );
        let mut alone = 0.0;
        for _ in 1..BATCHES {
            let next = "UPDATE staging SET seamline_sequence = seamline_sequence + 1; VACUUM staging";
            for statement in next.split("; ") {
                run(&mut service, statement).await.unwrap();
            }
            let start = Instant::now();
            run(&mut service, &upsert).await.unwrap();
            alone += start.elapsed().as_secs_f64();
        }
        let rate = |seconds: f64| f64::from(u32::try_from(count * (BATCHES - 1)).unwrap()) / seconds;
        println!(
            "{count} rows: commit {:.0} rows/s, server alone {:.0} rows/s, ratio {:.2}",
            rate(spent),
            rate(alone),
            rate(spent) / rate(alone)
        );
    }
}
