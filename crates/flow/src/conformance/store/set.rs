//! What comes with a commit beside rows: a set of reference data, and cases.

use super::{StoreFixture, answer, at, commit, empty, gripped, projection, row};
use crate::case::{CaseKind, Cases, NewCase};
use crate::conformance::{TTL, context, digest_of, moment, subscription, sure};
use crate::store::{Batch, Committed, Store, TakenSet};

fn set(number: u64) -> TakenSet {
    TakenSet {
        number,
        rows: 1,
        digest: digest_of(u128::from(number)),
        version: "2.1.0".parse().expect("it is a version"),
        hour: (number > 1).then(|| moment(3)),
        taken: moment(4),
        applied: moment(5),
    }
}

pub(super) async fn a_set_comes_with_its_commit<F: StoreFixture>(fixture: &F) {
    let projection = projection();
    let store = fixture.fresh(&projection).await;
    let of = &projection.subscription;
    assert_eq!(sure(store.taken(of).await), None);
    for number in [1, 2] {
        let grip = gripped(&store, "reference").await;
        let rows = vec![row("a", 1, number)];
        let batch = Batch { rows, set: Some(set(number)), next: at(number), ..empty("reference", &grip) };
        assert_eq!(sure(store.commit(Some(&projection), &batch, moment(1), TTL).await), Committed::Done);
        assert_eq!(sure(store.taken(of).await), Some(set(number)));
        let fenced = Batch { set: Some(set(9)), ..batch };
        assert_eq!(sure(store.commit(Some(&projection), &fenced, moment(1), TTL).await), Committed::Fenced);
        assert_eq!(sure(store.taken(of).await), Some(set(number)), "nothing of a fenced commit is there");
    }
    let grip = gripped(&store, "reference").await;
    let without = Batch { next: at(8), ..empty("reference", &grip) };
    assert_eq!(sure(store.commit(Some(&projection), &without, moment(1), TTL).await), Committed::Done);
    assert_eq!(sure(store.taken(of).await), Some(set(2)), "a commit without a set leaves it");
}

pub(super) async fn a_case_comes_with_its_commit<F: StoreFixture>(fixture: &F) {
    let projection = projection();
    let store = fixture.fresh(&projection).await;
    let case = NewCase {
        kind: CaseKind::Conflict,
        fingerprint: "f".to_owned(),
        subject: subscription().to_string(),
        owed_by: context(),
        summary: "one sequence has two contents".to_owned(),
        details: "{}".to_owned(),
    };
    let fenced = Batch { cases: vec![case.clone()], ..empty("state", &gripped(&store, "state").await) };
    gripped(&store, "state").await;
    assert_eq!(answer(&store, &projection, &fenced).await, Committed::Fenced);
    assert_eq!(sure(store.cases(true).await), []);
    commit(&store, &projection, |batch| batch.cases = vec![case.clone()]).await;
    let raised: Vec<NewCase> = sure(store.cases(false).await).into_iter().map(|case| case.raised).collect();
    assert_eq!(raised, [case]);
}
