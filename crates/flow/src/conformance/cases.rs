//! The suite of the port to cases.

use super::{context, moment, sure};
use crate::case::{CaseKind, CaseStage, Cases, NewCase};

/// Makes storages of cases for the suite.
pub trait CasesFixture {
    /// The adapter.
    type Cases: Cases;

    /// Returns a storage without cases.
    fn fresh(&self) -> impl Future<Output = Self::Cases>;
}

/// Runs the whole suite.
pub async fn all<F: CasesFixture>(fixture: &F) {
    a_case_is_kept_as_it_was_raised(fixture).await;
    raised_again_it_stays_one(fixture).await;
    a_closed_case_reopens(fixture).await;
    a_case_that_is_not_there_does_not_move(fixture).await;
}

fn new(fingerprint: &str, summary: &str) -> NewCase {
    NewCase {
        kind: CaseKind::Drift,
        fingerprint: fingerprint.to_owned(),
        subject: "claims/covers".to_owned(),
        owed_by: context(),
        summary: summary.to_owned(),
        details: r#"{"rows":"3"}"#.to_owned(),
    }
}

async fn a_case_is_kept_as_it_was_raised<F: CasesFixture>(fixture: &F) {
    let cases = fixture.fresh().await;
    let mut ids = Vec::new();
    for (n, kind) in CaseKind::ALL.into_iter().enumerate() {
        let raised = NewCase { kind, ..new(&format!("f{n}"), "rows differ") };
        ids.push(sure(cases.raise(&raised, moment(5)).await));
    }
    let all = sure(cases.cases(false).await);
    assert_eq!(all.iter().map(|case| case.id).collect::<Vec<_>>(), ids, "by number");
    for (case, kind) in all.iter().zip(CaseKind::ALL) {
        assert_eq!(case.raised.kind, kind);
        assert_eq!((case.stage, case.opened, case.times), (CaseStage::Open, moment(5), 1));
        assert!(!case.timeline.is_empty(), "its timeline begins with its opening");
    }
    assert_eq!(all[0].raised, NewCase { kind: CaseKind::ALL[0], ..new("f0", "rows differ") });
}

async fn raised_again_it_stays_one<F: CasesFixture>(fixture: &F) {
    let cases = fixture.fresh().await;
    let id = sure(cases.raise(&new("f", "one row differs"), moment(1)).await);
    assert!(sure(cases.advance(id, CaseStage::Acknowledged, "seen", moment(2)).await));
    assert_eq!(sure(cases.raise(&new("f", "two rows differ"), moment(3)).await), id);
    let all = sure(cases.cases(false).await);
    assert_eq!(all.len(), 1);
    assert_eq!((all[0].times, all[0].stage, all[0].opened), (2, CaseStage::Acknowledged, moment(1)));
    assert_eq!(all[0].raised.summary, "two rows differ", "as it was raised last");
}

async fn a_closed_case_reopens<F: CasesFixture>(fixture: &F) {
    let cases = fixture.fresh().await;
    let id = sure(cases.raise(&new("f", "rows differ"), moment(1)).await);
    for (stage, at) in CaseStage::ALL.into_iter().skip(1).zip(2..) {
        assert!(sure(cases.advance(id, stage, "so it goes", moment(at)).await));
    }
    assert_eq!(sure(cases.cases(false).await), [], "closed ones only when asked for");
    let closed = sure(cases.cases(true).await);
    assert_eq!(closed[0].stage, CaseStage::Closed);
    assert!(closed[0].timeline.iter().any(|(at, what)| *at == moment(3) && what.contains("so it goes")));
    assert_eq!(sure(cases.raise(&new("f", "rows differ"), moment(9)).await), id);
    let open = sure(cases.cases(false).await);
    assert_eq!((open[0].stage, open[0].times, open[0].opened), (CaseStage::Open, 2, moment(1)));
    assert!(open[0].timeline.len() > closed[0].timeline.len(), "the timeline goes on");
    assert!(open[0].timeline.is_sorted_by_key(|(at, _)| *at));
}

async fn a_case_that_is_not_there_does_not_move<F: CasesFixture>(fixture: &F) {
    let cases = fixture.fresh().await;
    assert!(!sure(cases.advance(7, CaseStage::Closed, "", moment(1)).await));
    assert_eq!(sure(cases.cases(true).await), []);
}
