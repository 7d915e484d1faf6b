//! Rows of whose keys nothing was read: written whole, or not at all.

use super::{StoreFixture, TTL, brief, commit, empty, end, gripped, known, live, projection, row};
use crate::conformance::{moment, sure};
use crate::store::{Batch, Committed, Grip, Had, RowWrite, Store};

/// A row whose key is taken for new.
fn new(text: &str, amount: i64, sequence: u64) -> RowWrite {
    RowWrite { had: Had::Nothing, ..row(text, amount, sequence) }
}

async fn unread<S: Store>(store: &S, grip: &Grip, rows: Vec<RowWrite>) -> Option<Committed> {
    let batch = Batch { rows, ..empty("state", grip) };
    sure(store.commit_unread(&projection(), &batch, moment(1), TTL).await)
}

pub(super) async fn unread_rows_are_written_only_where_nothing_is<F: StoreFixture>(fixture: &F) {
    let projection = projection();
    let store = fixture.fresh(&projection).await;
    let grip = gripped(&store, "state").await;
    let old = Grip { epoch: grip.epoch - 1, ..grip.clone() };
    assert_ne!(unread(&store, &old, vec![new("a", 1, 1)]).await, Some(Committed::Done), "an older epoch");
    assert_eq!(live(&store, &projection).await, []);
    let done = unread(&store, &grip, vec![new("a", 1, 1), new("b", 2, 2)]).await;
    let written = live(&store, &projection).await;
    assert_eq!((written.len(), done), if done.is_some() { (2, Some(Committed::Done)) } else { (0, None) });
    commit(&store, &projection, |batch| batch.rows = vec![row("a", 1, 1), row("b", 2, 2)]).await;
    let before = brief(&live(&store, &projection).await);
    let grip = gripped(&store, "state").await;
    assert_eq!(unread(&store, &grip, vec![new("a", 9, 9), new("c", 3, 3)]).await, None, "a row is there");
    assert_eq!(brief(&live(&store, &projection).await), before, "nothing of it was written");
    commit(&store, &projection, |batch| batch.ended = vec![end("d", 7)]).await;
    let grip = gripped(&store, "state").await;
    assert_eq!(unread(&store, &grip, vec![new("d", 4, 4), new("e", 5, 5)]).await, None, "a key ended");
    assert_eq!(brief(&live(&store, &projection).await), before, "nothing of it was written");
    assert_eq!(known(&store, &projection, "d").await.row, None);
    assert_eq!(gripped(&store, "state").await.state, grip.state, "and the lane is where it was");
}
