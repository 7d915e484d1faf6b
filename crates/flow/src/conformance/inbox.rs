//! The suite of the port to the inbox as its workers use it.

use super::store::{StoreFixture, commit, projection, reaction};
use super::{key, moment, subscription, sure};
use crate::inbox::{Failure, Inbox, InboxEntry, InboxState, Purged};
use crate::store::InboxRow;
use std::time::Duration;

/// Long enough that no claim of the suite lapses.
const LONG: Duration = Duration::from_secs(600);

/// So short that a claim lapsed once it was made.
const SHORT: Duration = Duration::from_micros(1);

/// Runs the whole suite.
pub async fn all<F: StoreFixture>(fixture: &F)
where
    F::Store: Inbox,
{
    rows_of_a_key_are_claimed_in_order(fixture).await;
    a_claim_lapses_and_who_had_it_can_end_nothing(fixture).await;
    a_failure_rests_and_holds_back_its_key(fixture).await;
    a_row_is_passed_over(fixture).await;
    what_is_done_is_forgotten(fixture).await;
    what_is_done_of_some_keys_is_purged(fixture).await;
}

/// Returns a store with reactions: each an id and a key.
async fn filled<F: StoreFixture>(fixture: &F, rows: &[(&str, &str)]) -> F::Store {
    let projection = projection();
    let store = fixture.fresh(&projection).await;
    let inbox = rows.iter().zip(1..);
    let inbox =
        inbox.map(|((id, of), sequence)| InboxRow { key: key(of), ..reaction(id, sequence) }).collect();
    commit(&store, &projection, |batch| batch.inbox = inbox).await;
    store
}

async fn claim<I: Inbox>(inbox: &I, hold: Duration, most: u32) -> Vec<InboxEntry> {
    sure(inbox.claim(&subscription(), hold, most).await)
}

fn ids(rows: &[InboxEntry]) -> Vec<&str> {
    rows.iter().map(|row| row.id.as_str()).collect()
}

async fn rows_of_a_key_are_claimed_in_order<F: StoreFixture>(fixture: &F)
where
    F::Store: Inbox,
{
    let inbox = filled(fixture, &[("1", "a"), ("2", "a"), ("3", "b"), ("4", "c")]).await;
    let first = claim(&inbox, LONG, 2).await;
    assert_eq!(ids(&first), ["1", "3"], "by number, and never two of one key");
    assert_eq!((first[0].state, first[0].attempts), (InboxState::Claimed, 1));
    assert_eq!((first[0].event.as_str(), first[0].key.as_str()), ("CoverBegan", r#"["a"]"#));
    let rest = claim(&inbox, LONG, 9).await;
    assert_eq!(ids(&rest), ["4"], "behind a claimed row its key waits");
    assert!(sure(inbox.done(first[0].number, 1).await));
    assert!(!sure(inbox.done(first[0].number, 1).await), "what is done is not claimed");
    assert_eq!(ids(&claim(&inbox, LONG, 9).await), ["2"]);
    let others = "claims/others".parse().expect("it is a reference");
    assert_eq!(sure(inbox.claim(&others, LONG, 9).await), [], "each subscription has its own");
}

async fn a_claim_lapses_and_who_had_it_can_end_nothing<F: StoreFixture>(fixture: &F)
where
    F::Store: Inbox,
{
    let inbox = filled(fixture, &[("1", "a")]).await;
    let lapsed = claim(&inbox, SHORT, 1).await;
    let mut again = Vec::new();
    // A clock may be as coarse as a millisecond.
    while again.is_empty() {
        again = claim(&inbox, LONG, 1).await;
    }
    assert_eq!((ids(&again), again[0].attempts), (vec!["1"], 2));
    let failure = Failure { why: "late", again: None, most: 9 };
    assert!(!sure(inbox.done(lapsed[0].number, 1).await), "another claimed it since");
    assert_eq!(sure(inbox.failed(lapsed[0].number, 1, &failure).await), None);
    assert!(sure(inbox.done(again[0].number, 2).await));
    assert_eq!(claim(&inbox, LONG, 1).await, []);
}

async fn a_failure_rests_and_holds_back_its_key<F: StoreFixture>(fixture: &F)
where
    F::Store: Inbox,
{
    let inbox = filled(fixture, &[("1", "a"), ("2", "a")]).await;
    let number = claim(&inbox, LONG, 1).await[0].number;
    let soon = Failure { why: "no answer", again: Some(Duration::ZERO), most: 2 };
    assert_eq!(sure(inbox.failed(number, 1, &soon).await), Some(InboxState::Waiting));
    let again = claim(&inbox, LONG, 1).await;
    assert_eq!((again[0].number, again[0].attempts), (number, 2));
    assert_eq!(again[0].why.as_deref(), Some("no answer"));
    assert_eq!(sure(inbox.failed(number, 2, &soon).await), Some(InboxState::Failed), "an attempt too many");
    assert_eq!(claim(&inbox, LONG, 9).await, [], "its key waits behind it");
    let counts = sure(inbox.inbox_counts().await);
    let counts: Vec<_> = counts.iter().map(|it| (it.subscription.clone(), it.state, it.rows)).collect();
    let of = |state| (subscription(), state, 1);
    assert_eq!(counts, [of(InboxState::Failed), of(InboxState::Waiting)]);
    assert!(sure(inbox.retry(number).await) && !sure(inbox.retry(number).await));
    let later = Failure { why: "no answer", again: Some(LONG), most: 9 };
    let again = claim(&inbox, LONG, 9).await;
    assert_eq!((ids(&again), again[0].attempts), (vec!["1"], 1), "its attempts are counted anew");
    assert_eq!(sure(inbox.failed(number, 1, &later).await), Some(InboxState::Waiting));
    assert_eq!(claim(&inbox, LONG, 9).await, [], "it rests");
}

async fn a_row_is_passed_over<F: StoreFixture>(fixture: &F)
where
    F::Store: Inbox,
{
    let inbox = filled(fixture, &[("1", "a"), ("2", "a"), ("3", "b")]).await;
    let all = sure(inbox.entries(None, 9).await);
    assert_eq!(ids(&all), ["1", "2", "3"]);
    assert!(sure(inbox.skip(all[0].number, "a test order").await));
    assert!(!sure(inbox.skip(all[0].number, "again").await));
    let skipped = sure(inbox.entry(all[0].number).await).expect("it is kept");
    assert_eq!((skipped.state, skipped.why.as_deref()), (InboxState::Done, Some("a test order")));
    assert_eq!(ids(&claim(&inbox, LONG, 1).await), ["2"]);
    assert!(!sure(inbox.skip(all[1].number, "it is claimed").await));
    assert_eq!(ids(&sure(inbox.entries(Some(&subscription()), 1).await)), ["2"], "no more than asked for");
}

async fn what_is_done_is_forgotten<F: StoreFixture>(fixture: &F)
where
    F::Store: Inbox,
{
    // NServiceBus.Persistence.Sql 778: an inbox grows without end.
    let inbox = filled(fixture, &[("1", "a"), ("2", "b"), ("3", "c")]).await;
    for row in claim(&inbox, LONG, 2).await {
        assert!(sure(inbox.done(row.number, 1).await));
    }
    // The suites' moments lie after the servers'.
    assert_eq!(sure(inbox.forget_done(moment(-200_000_000), 9).await), 0, "not before their time");
    assert_eq!(sure(inbox.forget_done(moment(90_000_000), 1).await), 1, "no more than asked for");
    assert_eq!(sure(inbox.forget_done(moment(90_000_000), 9).await), 1);
    assert_eq!(ids(&sure(inbox.entries(None, 9).await)), ["3"]);
}

async fn what_is_done_of_some_keys_is_purged<F: StoreFixture>(fixture: &F)
where
    F::Store: Inbox,
{
    let inbox = filled(fixture, &[("1", "a"), ("2", "a"), ("3", "b"), ("4", "c")]).await;
    let rows = claim(&inbox, LONG, 9).await;
    for row in rows.iter().filter(|row| row.id != "4") {
        assert!(sure(inbox.done(row.number, 1).await));
    }
    let purged = sure(inbox.purge_done(&subscription(), &[key("a"), key("c")]).await);
    assert_eq!(purged, Purged { gone: 1, open: 2 }, "what is claimed or waits stays");
    assert_eq!(sure(inbox.entry(rows[0].number).await), None);
    assert!(sure(inbox.entry(rows[1].number).await).is_some(), "another key's row stays");
    assert_eq!(sure(inbox.purge_done(&subscription(), &[key("a"), key("c")]).await).gone, 0);
    assert_eq!(sure(inbox.purge_done(&subscription(), &[]).await), Purged::default());
    let others = "claims/others".parse().expect("it is a reference");
    assert_eq!(sure(inbox.purge_done(&others, &[key("b")]).await), Purged::default(), "another's rows stay");
}
