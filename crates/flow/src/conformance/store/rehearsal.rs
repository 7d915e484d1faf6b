//! The part of the store's suite that is about rehearsals.

use super::{StoreFixture, Tamper, commit, end, marker, projection, row, values};
use crate::conformance::{key, sure};
use crate::store::{Difference, Marker, Projection, Rehearsed, RehearsedBy, Store};
use seamline_contract::value::Value;

fn rehearsed(text: &str, amount: Option<i64>, sequence: u64) -> Rehearsed {
    let values = amount.map(|amount| values(text, amount));
    Rehearsed { key: key(text), values, marker: marker(sequence), left: false }
}

async fn differences<S: Store>(store: &S, projection: &Projection) -> Vec<Difference> {
    let mut all: Vec<Difference> = Vec::new();
    loop {
        let after = all.last().map(|difference| difference.cursor.clone());
        let page = sure(store.rehearsal_diff(projection, after.as_deref(), 2).await);
        assert!(page.len() <= 2, "at most `limit`");
        if page.is_empty() {
            all.sort_by(|a, b| a.key.cmp(&b.key));
            return all;
        }
        all.extend(page);
    }
}

pub(super) async fn a_rehearsal_finds_what_differs<F: StoreFixture>(fixture: &F) {
    let projection = projection();
    let store = fixture.fresh(&projection).await;
    let rows = ["corrupt", "moved", "phantom", "same", "stale"].into_iter().zip(1..);
    let rows = rows.map(|(name, n)| row(name, 5, n)).collect();
    let ended = vec![end("both-ended", 6), end("returned", 7)];
    commit(&store, &projection, |batch| (batch.rows, batch.ended) = (rows, ended)).await;
    fixture.tamper(&store, &projection, &Tamper::Set(key("corrupt"), 1, Value::Integer(6))).await;
    fixture.tamper(&store, &projection, &Tamper::Insert(values("orphan", 1))).await;
    sure(store.rehearsal_begin(&projection).await);
    let moved = Rehearsed { marker: Marker { offset: 21, ..marker(2) }, ..rehearsed("moved", Some(5), 2) };
    let right = [
        rehearsed("both-ended", None, 6),
        rehearsed("corrupt", Some(5), 1),
        rehearsed("ended-unseen", None, 9),
        rehearsed("missing", Some(5), 10),
        moved,
        rehearsed("phantom", None, 8),
        rehearsed("returned", Some(5), 11),
        rehearsed("same", Some(5), 4),
        rehearsed("stale", Some(8), 12),
    ];
    sure(store.rehearsal_put(&projection, &right).await);
    let found = differences(&store, &projection).await;
    let keys: Vec<String> =
        found.iter().filter_map(|found| Some(found.key.as_ref()?.texts().remove(0))).collect();
    assert_eq!(keys, ["corrupt", "missing", "moved", "orphan", "phantom", "returned", "stale"]);
    let of = |text: &str| found.iter().find(|found| found.key == Some(key(text))).expect("it was found");
    assert_eq!(of("corrupt").live.as_ref().map(|live| live.values[1].clone()), Some(Ok(Value::Integer(6))));
    assert_eq!(of("corrupt").rehearsed, Some(rehearsed("corrupt", Some(5), 1)));
    assert!(of("missing").live.is_none() && of("missing").ended.is_none());
    assert!(of("orphan").rehearsed.is_none());
    assert_eq!(of("orphan").live.as_ref().map(|live| live.marker.clone()), Some(None));
    assert_eq!(of("phantom").rehearsed, Some(rehearsed("phantom", None, 8)));
    assert_eq!(of("returned").ended, Some(marker(7)), "with the tombstone that it should be newer than");
    sure(store.rehearsal_begin(&projection).await);
    let found = differences(&store, &projection).await;
    assert_eq!(found.len(), 6, "made anew it is empty, and every row of the table differs");
    sure(store.rehearsal_end(&projection).await);
}

pub(super) async fn a_rehearsal_keeps_the_highest<F: StoreFixture>(fixture: &F) {
    let projection = projection();
    let store = fixture.fresh(&projection).await;
    sure(store.rehearsal_begin(&projection).await);
    sure(store.rehearsal_put(&projection, &[rehearsed("a", Some(5), 5)]).await);
    sure(store.rehearsal_put(&projection, &[rehearsed("a", Some(4), 4), rehearsed("b", None, 2)]).await);
    sure(store.rehearsal_put(&projection, &[rehearsed("b", Some(1), 1)]).await);
    let found = differences(&store, &projection).await;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].rehearsed, Some(rehearsed("a", Some(5), 5)));
    sure(store.rehearsal_end(&projection).await);
}

pub(super) async fn a_key_that_is_left_is_told_apart<F: StoreFixture>(fixture: &F) {
    let projection = projection();
    let store = fixture.fresh(&projection).await;
    let rows = ["left", "same"].into_iter().zip(1..).map(|(name, n)| row(name, 5, n)).collect();
    commit(&store, &projection, |batch| batch.rows = rows).await;
    sure(store.rehearsal_begin(&projection).await);
    let left = |text, sequence| Rehearsed { left: true, ..rehearsed(text, None, sequence) };
    let put = [rehearsed("left", Some(5), 1), rehearsed("same", Some(5), 2), rehearsed("back", None, 3)];
    sure(store.rehearsal_put(&projection, &put).await);
    let put = [left("left", 4), left("unseen", 5), left("back", 6)];
    sure(store.rehearsal_put(&projection, &put).await);
    let found = differences(&store, &projection).await;
    assert_eq!(found.len(), 1, "one without a row is no difference");
    assert_eq!(found[0].rehearsed, Some(left("left", 4)), "the highest sequence speaks");
    sure(store.rehearsal_put(&projection, &[rehearsed("left", Some(5), 7)]).await);
    let found = differences(&store, &projection).await;
    assert_eq!(found[0].rehearsed, Some(rehearsed("left", Some(5), 7)));
    sure(store.rehearsal_end(&projection).await);
}

pub(super) async fn a_rehearsal_is_kept_until_it_ends<F: StoreFixture>(fixture: &F) {
    let projection = projection();
    let of_job = Projection { rehearsal: RehearsedBy::Job, ..projection.clone() };
    let store = fixture.fresh(&projection).await;
    assert!(!sure(store.rehearsal_is_kept(&of_job).await), "it was not made");
    sure(store.rehearsal_begin(&of_job).await);
    sure(store.rehearsal_put(&of_job, &[rehearsed("a", Some(5), 5)]).await);
    assert!(sure(store.rehearsal_is_kept(&of_job).await));
    sure(store.rehearsal_begin(&projection).await);
    assert_eq!(differences(&store, &projection).await, [], "each has a table of its own");
    sure(store.rehearsal_end(&projection).await);
    assert!(!sure(store.rehearsal_is_kept(&projection).await));
    assert!(sure(store.rehearsal_is_kept(&of_job).await));
    assert_eq!(differences(&store, &of_job).await.len(), 1);
    sure(store.rehearsal_end(&of_job).await);
    assert!(!sure(store.rehearsal_is_kept(&of_job).await));
}
