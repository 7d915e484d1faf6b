//! The next incarnation of an outbox, and quarantine of many keys.

use super::{SourceFixture, Write, aside, counts, facts, held, published, remove, waiting, write};
use crate::conformance::{TTL, moment, sure};
use crate::source::{Incarnation, Rebase, Removed, Source};
use seamline_message::sequence::Sequence;

/// What waits, what is aside and what was published already find their places in the next incarnation.
pub(super) async fn what_waits_is_numbered_anew<F: SourceFixture>(fixture: &F) {
    let source = fixture.fresh().await;
    assert_eq!(sure(source.incarnation().await), Incarnation::default());
    write(fixture, &source, &[Write::Put(0, 1)]).await;
    let tenure = held(&source).await;
    remove(&source, &tenure, &published(&tenure, &waiting(&source).await)).await;
    write(fixture, &source, &[Write::Put(0, 2), Write::Put(1, 1), Write::Put(2, 1), Write::Put(1, 2)]).await;
    let rows = waiting(&source).await;
    let tenure = held(&source).await;
    remove(&source, &tenure, &aside(&tenure, &rows[2..3])).await;
    let rebase = Rebase { incarnation: 3, batch: 9, published: vec![rows[0].sequence] };
    assert_eq!(sure(source.rebase(&tenure, &rebase, moment(2), TTL).await), Removed::Done);
    let now = sure(source.incarnation().await);
    assert_eq!(now, Incarnation { current: 3, filling: true, batch: 9 });

    let moved = waiting(&source).await;
    assert!(moved.iter().all(|row| row.sequence.incarnation() == 3), "{moved:?}");
    assert_eq!(moved.iter().map(|row| &row.key).collect::<Vec<_>>(), [&rows[1].key, &rows[3].key]);
    let channel = fixture.channel();
    assert_eq!(moved[0].previous[&channel], rows[1].previous[&channel], "what is not moved stays named");
    assert_eq!(moved[1].previous[&channel], Some(moved[0].sequence), "what is moved is named anew");
    let known = facts(fixture, &source, 1).await;
    assert_eq!((known.sequence, known.chains[&channel]), (Some(moved[1].sequence), moved[1].sequence));
    let there = sure(source.aside(10).await);
    assert!(there.len() == 1 && there[0].sequence.incarnation() == 3, "{there:?}");
    assert!(there[0].sequence > moved[0].sequence && there[0].sequence < moved[1].sequence);
    let told = counts(fixture, &source).await;
    assert_eq!((told.published, told.waiting, told.aside, told.missing()), (2, 2, 1, 0));

    let again = Rebase { published: Vec::new(), ..rebase.clone() };
    assert_eq!(sure(source.rebase(&tenure, &again, moment(3), TTL).await), Removed::Done);
    assert_eq!(waiting(&source).await, moved, "it is open already");
    write(fixture, &source, &[Write::Put(3, 1)]).await;
    assert!(waiting(&source).await[2].sequence > moved[1].sequence, "what comes is above it");
    sure(source.filled(2).await);
    assert!(sure(source.incarnation().await).filling, "another was meant");
    sure(source.filled(3).await);
    assert!(!sure(source.incarnation().await).filling);
    let next = held(&source).await;
    assert_eq!(next.batch, 9);
    let late = Rebase { incarnation: 4, ..rebase };
    assert_eq!(sure(source.rebase(&tenure, &late, moment(4), TTL).await), Removed::Fenced);
    assert_eq!(sure(source.incarnation().await).current, 3);
}

/// Quarantine is read page by page, and the rows of many keys go back at once.
pub(super) async fn quarantine_is_read_in_pages<F: SourceFixture>(fixture: &F) {
    let source = fixture.fresh().await;
    write(fixture, &source, &[Write::Put(0, 1), Write::Put(1, 1), Write::Put(2, 1)]).await;
    let rows = waiting(&source).await;
    let tenure = held(&source).await;
    for row in &rows {
        remove(&source, &tenure, &aside(&tenure, std::slice::from_ref(row))).await;
    }
    let first = sure(source.aside_after(None, 2).await);
    assert_eq!(
        first.iter().map(|row| row.sequence).collect::<Vec<_>>(),
        [rows[0].sequence, rows[1].sequence]
    );
    let last = sure(source.aside_after(Some(first[1].sequence), 2).await);
    assert_eq!(last.iter().map(|row| row.sequence).collect::<Vec<_>>(), [rows[2].sequence]);
    let row = sure(source.aside_row(rows[1].sequence).await).expect("it is there");
    assert_eq!((&row.key, &row.state, &row.previous), (&rows[1].key, &rows[1].state, &rows[1].previous));
    assert_eq!(sure(source.aside_row(Sequence(rows[2].sequence.0 + 1)).await), None);
    let keys = [rows[0].key.clone(), rows[2].key.clone()];
    assert_eq!(sure(source.redrive_all(&fixture.contract(), &keys).await), 2);
    assert_eq!(sure(source.aside(10).await).len(), 1);
    assert_eq!(waiting(&source).await.len(), 2);
}
