//! The outbox as a queue: tenures, removal, quarantine, voids and the conserved counts.

use crate::fixture::{Files, TTL, at, key, run, things};
use seamline_flow::case::{CaseKind, Cases, NewCase};
use seamline_flow::port::PortError;
use seamline_flow::source::{Act, OutboxRow, Removal, Removed, SetAside, Source, Taken, Tenure};
use seamline_message::sequence::Sequence;
use seamline_sqlite::context::Database;
use std::time::Duration;

async fn publish(files: &Files, keys: &[&str]) {
    let mut service = files.service().await;
    for key in keys {
        let sql = format!(
            "INSERT OR REPLACE INTO thing VALUES ('{key}', 'new', 1); \
             INSERT INTO seamline_publish (contract, change, key) VALUES ('thing', 'ThingDone', '[\"{key}\"]')"
        );
        run(&mut service, &sql).await.unwrap();
    }
}

async fn tenure(database: &Database, holder: &str) -> Tenure {
    match database.take_over(holder, at(0), TTL).await.unwrap() {
        Taken::Held(tenure) => tenure,
        Taken::Busy { until } => panic!("busy until {until}"),
    }
}

fn sequences(rows: &[OutboxRow]) -> Vec<Sequence> {
    rows.iter().map(|row| row.sequence).collect()
}

fn aside(sequence: Sequence, broken: bool) -> SetAside {
    let violation = broken.then(|| ("RANGE".to_owned(), "state.amount".to_owned(), "too small".to_owned()));
    SetAside { sequence, violation }
}

#[tokio::test]
async fn only_the_latest_tenure_removes_and_only_in_order() {
    let files = Files::new();
    let database = things(&files).await;
    publish(&files, &["a", "b", "c"]).await;
    let first = tenure(&database, "one").await;
    assert!(
        matches!(database.take_over("two", at(29), TTL).await.unwrap(), Taken::Busy { until } if until == at(30))
    );
    let Taken::Held(second) = database.take_over("two", at(30), TTL).await.unwrap() else {
        panic!("it expired")
    };
    assert!(second.epoch > first.epoch);
    let rows = sequences(&database.waiting(2).await.unwrap());
    let removal = |number| Removal { number, published: rows.clone(), ..Removal::default() };
    assert_eq!(database.remove(&first, &removal(1), at(31), TTL).await.unwrap(), Removed::Fenced);
    for wrong in [0, 2] {
        assert_eq!(database.remove(&second, &removal(wrong), at(31), TTL).await.unwrap(), Removed::Fenced);
    }
    assert_eq!(database.waiting(10).await.unwrap().len(), 3, "nothing left");
    assert_eq!(database.remove(&second, &removal(1), at(31), TTL).await.unwrap(), Removed::Done);
    assert_eq!(database.waiting(10).await.unwrap().len(), 1);
    let nothing = Removal { number: 1, ..Removal::default() };
    assert_eq!(database.remove(&second, &nothing, at(50), TTL).await.unwrap(), Removed::Done);
    assert!(
        matches!(database.take_over("one", at(79), TTL).await.unwrap(), Taken::Busy { until } if until == at(80))
    );
    let counts = database.counts(&"thing".parse().unwrap()).await.unwrap();
    assert_eq!((counts.committed, counts.published, counts.waiting, counts.missing()), (3, 2, 1, 0));
}

#[tokio::test]
async fn a_row_aside_keeps_later_ones_of_its_key_behind_it_until_redriven() {
    let files = Files::new();
    let database = things(&files).await;
    publish(&files, &["a", "b", "a"]).await;
    let held = tenure(&database, "one").await;
    let rows = sequences(&database.waiting(10).await.unwrap());
    let case = NewCase {
        kind: CaseKind::Quarantine,
        fingerprint: "f".to_owned(),
        subject: "proof/thing".to_owned(),
        owed_by: "proof".parse().unwrap(),
        summary: "a row breaks its contract".to_owned(),
        details: "{}".to_owned(),
    };
    let removal =
        Removal { number: 0, aside: vec![aside(rows[0], true)], cases: vec![case], ..Removal::default() };
    assert_eq!(database.remove(&held, &removal, at(5), TTL).await.unwrap(), Removed::Done);
    let left = database.waiting(10).await.unwrap();
    assert_eq!(left.iter().map(|row| row.behind).collect::<Vec<_>>(), [false, true]);
    assert_eq!(database.cases(false).await.unwrap().len(), 1);
    let there = database.aside(10).await.unwrap();
    assert_eq!((there[0].sequence, there[0].since), (rows[0], at(5)));
    assert_eq!(there[0].violation.as_ref().unwrap().0, "RANGE");
    assert!(database.look(&"thing".parse().unwrap(), &[key(&["a"])]).await.unwrap()[0].aside);
    assert_eq!(database.redrive(&"thing".parse().unwrap(), r#"["a"]"#).await.unwrap(), 1);
    assert_eq!(sequences(&database.waiting(10).await.unwrap()), rows, "as they were, in their order");
}

#[tokio::test]
async fn a_discarded_row_leaves_a_void_at_its_place_in_each_chain() {
    let files = Files::new();
    let database = things(&files).await;
    publish(&files, &["a", "a"]).await;
    let held = tenure(&database, "one").await;
    let rows = sequences(&database.waiting(10).await.unwrap());
    let both = vec![aside(rows[0], true), aside(rows[1], false)];
    let removal = Removal { aside: both, ..Removal::default() };
    assert_eq!(database.remove(&held, &removal, at(5), TTL).await.unwrap(), Removed::Done);
    assert!(database.discard(rows[0]).await.unwrap());
    assert!(!database.discard(rows[0]).await.unwrap(), "once");
    assert_eq!(database.redrive(&"thing".parse().unwrap(), r#"["a"]"#).await.unwrap(), 1);
    let waiting = database.waiting(10).await.unwrap();
    let voids: Vec<_> = waiting.iter().take(2).map(|row| row.act.clone()).collect();
    let void = |channel: &str| Act::Void { channel: channel.to_owned(), sequence: rows[0], previous: None };
    assert_eq!(voids, [void("events"), void("short.events")], "they go before what came after");
    assert_eq!(waiting[2].sequence, rows[1]);
    assert!(waiting.iter().all(|row| !row.behind));
    let counts = database.counts(&"thing".parse().unwrap()).await.unwrap();
    assert_eq!((counts.waiting, counts.lost, counts.missing()), (3, 1, 0));
}

#[tokio::test]
async fn a_row_that_vanished_is_missing_until_it_is_explained() {
    let files = Files::new();
    let database = things(&files).await;
    publish(&files, &["a", "b"]).await;
    let contract = "thing".parse().unwrap();
    let lost = database.waiting(10).await.unwrap()[0].sequence;
    run(&mut files.service().await, &format!("DELETE FROM seamline_outbox WHERE id = {}", lost.0))
        .await
        .unwrap();
    assert_eq!(database.counts(&contract).await.unwrap().missing(), 1);
    for channel in ["events", "short.events"] {
        let act = Act::Void { channel: channel.to_owned(), sequence: lost, previous: None };
        database.void(&contract, &key(&["a"]), &act).await.unwrap();
    }
    assert_eq!(database.counts(&contract).await.unwrap().missing(), 0, "one row, however many chains");
    let published = database.waiting(10).await.unwrap()[0].sequence;
    let act = Act::Void { channel: "events".to_owned(), sequence: published, previous: None };
    database.void(&contract, &key(&["b"]), &act).await.unwrap();
    assert_eq!(
        database.counts(&contract).await.unwrap().missing(),
        0,
        "what is not missing is not lost here"
    );
    database.explain_lost(&contract, 2).await.unwrap();
    assert_eq!(database.counts(&contract).await.unwrap().missing(), -2);
    assert!(database.void(&contract, &key(&["a"]), &Act::State).await.is_err());
}

#[tokio::test]
async fn a_busy_file_is_an_answer_that_had_no_effect() {
    let files = Files::new();
    // Kept: a file is locked for a moment while its last connection closes.
    let _installed = things(&files).await;
    let database = Database::open_within(&files.path("context.db"), Duration::from_millis(20)).await.unwrap();
    let mut other = files.service().await;
    run(&mut other, "BEGIN IMMEDIATE").await.unwrap();
    assert!(matches!(database.take_over("one", at(0), TTL).await, Err(PortError::NotApplied(_))));
    assert_eq!(database.waiting(1).await.unwrap(), [], "reading goes on");
    run(&mut other, "ROLLBACK").await.unwrap();
    tenure(&database, "one").await;
}

#[tokio::test]
async fn another_process_waits_for_its_turn() {
    let files = Files::new();
    let (one, two) = (things(&files).await, files.context().await);
    let mut work = tokio::task::JoinSet::new();
    for (n, database) in [one, two].into_iter().enumerate() {
        work.spawn(async move {
            for idx in 0..50 {
                let sql = format!("INSERT INTO thing VALUES ('{n}-{idx}', 'new', 1)");
                let mut writer = database.writer().await;
                run(&mut writer, &sql).await.unwrap();
                drop(writer);
                database.emit(&"thing".parse().unwrap(), &[key(&[&format!("{n}-{idx}")])]).await.unwrap();
            }
        });
    }
    while let Some(done) = work.join_next().await {
        done.unwrap();
    }
    assert_eq!(files.context().await.waiting(1000).await.unwrap().len(), 100);
}
