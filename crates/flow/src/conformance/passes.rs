//! The suite of the port to passes.

use super::{moment, sure};
use crate::drift::Conclusion;
use crate::pass::{PASSES_KEPT, Pass, Passes, Watch};

/// Makes storages of passes for the suite.
pub trait PassesFixture {
    /// The adapter.
    type Passes: Passes;

    /// Returns a storage without passes.
    fn fresh(&self) -> impl Future<Output = Self::Passes>;
}

/// Runs the whole suite.
pub async fn all<F: PassesFixture>(fixture: &F) {
    a_watch_is_changed_by_one_at_a_time(fixture).await;
    passes_come_back_as_they_were_noted(fixture).await;
    old_passes_go_and_the_last_of_each_day_stays(fixture).await;
}

async fn a_watch_is_changed_by_one_at_a_time<F: PassesFixture>(fixture: &F) {
    let passes = fixture.fresh().await;
    assert_eq!(sure(passes.watches().await), []);
    let new = Watch::new("claims/covers", moment(1));
    assert!(sure(passes.change_watch(&new).await));
    assert!(!sure(passes.change_watch(&new).await), "another made it first");
    let stored = sure(passes.watches().await);
    assert_eq!(stored, [Watch { turn: 1, ..new.clone() }]);
    let begun = Watch {
        began: Some(moment(9)),
        holder: Some(("one".to_owned(), moment(19))),
        paused: Some("not now".to_owned()),
        ..stored[0].clone()
    };
    assert!(sure(passes.change_watch(&begun).await));
    assert!(!sure(passes.change_watch(&stored[0]).await), "it was changed since it was read");
    assert!(sure(passes.change_watch(&Watch::new("billing/accounts", moment(2))).await));
    let subjects: Vec<String> = sure(passes.watches().await).into_iter().map(|it| it.subject).collect();
    assert_eq!(subjects, ["billing/accounts", "claims/covers"], "by subject");
    assert_eq!(sure(passes.watches().await)[1], Watch { turn: 2, ..begun });
}

fn pass(subject: &str, second: i64, conclusion: Conclusion) -> Pass {
    Pass {
        subject: subject.to_owned(),
        holder: "one".to_owned(),
        began: moment(second),
        ended: moment(second + 1),
        conclusion,
        rows: 7,
        drifted: u64::from(conclusion == Conclusion::Drift),
        bytes: 1 << 40,
        facts: r#"{"counts":{}}"#.to_owned(),
    }
}

async fn passes_come_back_as_they_were_noted<F: PassesFixture>(fixture: &F) {
    let passes = fixture.fresh().await;
    for (second, conclusion) in (1..).zip(Conclusion::ALL) {
        sure(passes.note_pass(&pass("claims/covers", second, conclusion)).await);
    }
    sure(passes.note_pass(&pass("billing/accounts", 9, Conclusion::Clean)).await);
    let of_one = sure(passes.passes(Some("claims/covers"), 2).await);
    let newest =
        [pass("claims/covers", 3, Conclusion::Drift), pass("claims/covers", 2, Conclusion::Inconclusive)];
    assert_eq!(of_one, newest, "the newest first, and no more than asked for");
    let all = sure(passes.passes(None, 100).await);
    assert_eq!(all.len(), 4);
    assert_eq!(all[0].subject, "billing/accounts");
}

async fn old_passes_go_and_the_last_of_each_day_stays<F: PassesFixture>(fixture: &F) {
    const DAY: i64 = 86_400;
    let passes = fixture.fresh().await;
    sure(passes.note_pass(&pass("claims/covers", 1, Conclusion::Clean)).await);
    sure(passes.note_pass(&pass("claims/covers", 2, Conclusion::Clean)).await);
    sure(passes.note_pass(&pass("claims/covers", 3, Conclusion::Inconclusive)).await);
    sure(passes.note_pass(&pass("billing/accounts", 4, Conclusion::Clean)).await);
    for second in 0..i64::from(PASSES_KEPT) {
        sure(passes.note_pass(&pass("claims/covers", DAY + second, Conclusion::Clean)).await);
    }
    let left = sure(passes.passes(Some("claims/covers"), u32::MAX >> 1).await);
    assert_eq!(left.len() as u64, u64::from(PASSES_KEPT) + 1);
    assert_eq!(
        left.last(),
        Some(&pass("claims/covers", 2, Conclusion::Clean)),
        "the last that saw all that day"
    );
    assert_eq!(sure(passes.passes(Some("billing/accounts"), 9).await).len(), 1, "another's stay");
}
