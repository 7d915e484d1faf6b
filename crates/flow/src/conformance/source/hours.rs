//! Rows that are put off until their hour: out of the way, and of the key that they are of.

use super::{SourceFixture, Write, counts, facts, held, published, remove, waiting, write};
use crate::conformance::{TTL, moment, sure};
use crate::source::{OutboxRow, Rebase, Removal, Removed, SetAside, Source, Tenure};
use jiff::Timestamp;

async fn put_off<S: Source>(source: &S, tenure: &Tenure, rows: &[OutboxRow]) {
    let deferred = rows.iter().map(|row| row.sequence).collect();
    let removal = Removal { number: tenure.batch, deferred, ..Removal::default() };
    assert_eq!(remove(source, tenure, &removal).await, Removed::Done);
}

async fn due<F: SourceFixture>(
    fixture: &F,
    source: &F::Source,
    until: Timestamp,
    limit: usize,
) -> Vec<OutboxRow> {
    sure(source.due(&fixture.contract(), until, limit, u64::MAX).await)
}

/// Rows that are put off wait, whole keys together; who takes them takes them as any other.
pub(super) async fn what_is_put_off_is_due_at_its_hour<F: SourceFixture>(fixture: &F) {
    let source = fixture.fresh().await;
    write(fixture, &source, &[Write::Put(1, 1), Write::Put(0, 1), Write::Put(1, 2)]).await;
    let rows = waiting(&source).await;
    let mut tenure = held(&source).await;
    put_off(&source, &tenure, &rows).await;
    assert_eq!(waiting(&source).await, [], "they are in nobody's way");
    let now = counts(fixture, &source).await;
    assert_eq!((now.committed, now.published, now.waiting, now.deferred, now.missing()), (3, 0, 3, 3, 0));
    assert!(facts(fixture, &source, 1).await.waiting);
    let before =
        rows.iter().map(|row| row.written_at).min().expect("rows").checked_sub(TTL).expect("in range");
    assert_eq!(due(fixture, &source, before, 100).await, [], "their hour has not come");
    let there = due(fixture, &source, Timestamp::MAX, 100).await;
    assert_eq!(
        there,
        [&rows[1], &rows[0], &rows[2]].map(Clone::clone),
        "by key, then in the order of the queue"
    );
    assert_eq!(due(fixture, &source, Timestamp::MAX, 2).await, there[..2], "at most `limit`");
    let light = sure(source.due(&fixture.contract(), Timestamp::MAX, 100, 1).await);
    assert_eq!(light, there[..1], "as many as reach the weight");
    let other = "other".parse().expect("an id");
    assert_eq!(sure(source.due(&other, Timestamp::MAX, 100, u64::MAX).await), []);
    let mut named = sure(source.deferred(&[rows[0].sequence, rows[2].sequence]).await);
    named.sort_by_key(|row| row.sequence);
    assert_eq!(named, [rows[0].clone(), rows[2].clone()]);

    write(fixture, &source, &[Write::Put(2, 1)]).await;
    let late = waiting(&source).await;
    let both = [late[0].clone(), there[0].clone(), there[1].clone()];
    assert_eq!(remove(&source, &tenure, &published(&tenure, &both)).await, Removed::Done);
    tenure.batch += 1;
    assert_eq!(due(fixture, &source, Timestamp::MAX, 100).await, there[2..]);
    let broken = Some(("RANGE".into(), "state.amount".into(), "too much".into()));
    let aside = vec![SetAside { sequence: there[2].sequence, violation: broken }];
    let removal = Removal { number: tenure.batch, aside, ..Removal::default() };
    assert_eq!(remove(&source, &tenure, &removal).await, Removed::Done);
    let now = counts(fixture, &source).await;
    assert_eq!((now.committed, now.published, now.waiting, now.deferred, now.aside), (4, 3, 0, 0, 1));
    write(fixture, &source, &[Write::Put(1, 3)]).await;
    put_off(&source, &tenure, &waiting(&source).await).await;
    let behind = due(fixture, &source, Timestamp::MAX, 100).await;
    assert!(behind.len() == 1 && behind[0].behind, "one of its key is in quarantine");
    assert_eq!(sure(source.redrive(&fixture.contract(), &there[2].key).await), 1);
    assert_eq!(
        due(fixture, &source, Timestamp::MAX, 100).await,
        [],
        "none passes one of its key that is back"
    );
    put_off(&source, &tenure, &waiting(&source).await).await;
    let again: Vec<_> =
        due(fixture, &source, Timestamp::MAX, 100).await.iter().map(|row| row.sequence).collect();
    assert_eq!(again, [there[2].sequence, behind[0].sequence]);
}

/// What need not be put off any longer is back where it was, and a rebase finds all that waits.
pub(super) async fn what_was_put_off_is_called_back<F: SourceFixture>(fixture: &F) {
    let source = fixture.fresh().await;
    write(fixture, &source, &[Write::Put(0, 1), Write::Put(1, 1), Write::Put(0, 2)]).await;
    let rows = waiting(&source).await;
    let tenure = held(&source).await;
    put_off(&source, &tenure, &rows[..2]).await;
    assert_eq!(sure(source.recall(&[fixture.contract()]).await), 0, "it is still sent at hours");
    assert_eq!(waiting(&source).await, rows[2..]);
    assert_eq!(sure(source.recall(&[]).await), 2);
    assert_eq!(waiting(&source).await, rows);
    assert_eq!(counts(fixture, &source).await.deferred, 0);

    put_off(&source, &tenure, &rows[..2]).await;
    let rebase = Rebase { incarnation: 3, batch: 9, published: vec![rows[1].sequence] };
    assert_eq!(sure(source.rebase(&tenure, &rebase, moment(2), TTL).await), Removed::Done);
    let moved = waiting(&source).await;
    assert_eq!(moved.iter().map(|row| &row.key).collect::<Vec<_>>(), [&rows[0].key, &rows[2].key]);
    assert!(moved.iter().all(|row| row.sequence.incarnation() == 3), "{moved:?}");
    assert_eq!(counts(fixture, &source).await.missing(), 0);
}
