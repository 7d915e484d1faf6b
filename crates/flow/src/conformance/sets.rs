//! The suite of the port to the sets of a producer's database.

use super::{digest_of, moment, sure};
use crate::reference::{Sending, SentSet, Sets};
use seamline_contract::id::ContractId;

/// Makes databases for the suite.
pub trait SetsFixture {
    /// The adapter.
    type Sets: Sets;

    /// Returns a database that publishes a contract with reference data.
    fn fresh(&self) -> impl Future<Output = Self::Sets>;

    /// Returns the contract.
    fn contract(&self) -> ContractId;

    /// Asks for a set as its service does.
    fn ask(&self, sets: &Self::Sets) -> impl Future<Output = ()>;
}

/// Runs the whole suite.
pub async fn all<F: SetsFixture>(fixture: &F) {
    numbers_rise_above_all_that_are_known(fixture).await;
    what_was_asked_for_is_counted(fixture).await;
    the_last_set_is_the_one_with_the_highest_number(fixture).await;
}

async fn numbers_rise_above_all_that_are_known<F: SetsFixture>(fixture: &F) {
    let (sets, contract) = (fixture.fresh().await, fixture.contract());
    assert_eq!(sure(sets.sending(&contract).await), Sending::default());
    assert_eq!(sure(sets.draw(&contract, 0).await), 1);
    assert_eq!(sure(sets.draw(&contract, 0).await), 2);
    assert_eq!(sure(sets.draw(&contract, 41).await), 42, "above what the log holds");
    assert_eq!(sure(sets.draw(&contract, 7).await), 43);
    assert_eq!(sure(sets.sending(&contract).await), Sending { drawn: 43, ..Sending::default() });
}

async fn what_was_asked_for_is_counted<F: SetsFixture>(fixture: &F) {
    let (sets, contract) = (fixture.fresh().await, fixture.contract());
    fixture.ask(&sets).await;
    fixture.ask(&sets).await;
    assert_eq!(sure(sets.sending(&contract).await), Sending { asked: 2, ..Sending::default() });
}

async fn the_last_set_is_the_one_with_the_highest_number<F: SetsFixture>(fixture: &F) {
    let (sets, contract) = (fixture.fresh().await, fixture.contract());
    let set = |number: u64, hour: Option<i64>| SentSet {
        number,
        rows: number * 3,
        digest: digest_of(u128::from(number)),
        hour: hour.map(moment),
        asked: number,
        taken: moment(7),
    };
    for sent in [set(4, Some(3)), set(5, None)] {
        sure(sets.sent(&contract, &sent).await);
        assert_eq!(sure(sets.sending(&contract).await).last, Some(sent));
    }
    sure(sets.sent(&contract, &set(4, Some(3))).await);
    assert_eq!(
        sure(sets.sending(&contract).await).last,
        Some(set(5, None)),
        "who notes late changes nothing"
    );
}
