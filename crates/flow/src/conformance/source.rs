//! The suite of the port to a producer's database.

mod hours;
mod rebase;

use super::{TTL, context, moment, sure};
use crate::case::{CaseKind, Cases, NewCase};
use crate::port::PortError;
use crate::source::{
    Act, KeyFacts, OutboxRow, Removal, Removed, SetAside, Source, SourceCounts, Taken, Tenure,
};
use seamline_contract::id::ContractId;
use seamline_message::key::RecordKey;
use seamline_message::sequence::Sequence;

/// What a transaction of the service does to one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Write {
    /// Gives it a state that differs for each number, and publishes a change.
    Put(usize, u32),
    /// Deletes its row, and publishes a change.
    Delete(usize),
    /// Gives it a state, and publishes nothing.
    Silent(usize, u32),
}

/// Makes databases for the suite, with one contract that has one events channel and a state channel.
pub trait SourceFixture {
    /// The adapter; cases that a removal raises are in the same database.
    type Source: Source + Cases;

    /// Returns a database in which nothing was published.
    fn fresh(&self) -> impl Future<Output = Self::Source>;

    /// Returns the contract.
    fn contract(&self) -> ContractId;

    /// Returns the name of its events channel, as `ChannelId` prints it.
    fn channel(&self) -> String;

    /// Returns the key of a number below 8; keys rise with their numbers, as texts and in the order of scans.
    fn key(&self, number: usize) -> RecordKey;

    /// Runs transactions that each make their writes in turn and then commit in the order of `commits` (indices; one that is
    /// left out rolls back). Returns false where the database has one writer at a time; nothing is done then.
    fn interleave(
        &self,
        source: &Self::Source,
        transactions: &[Vec<Write>],
        commits: &[usize],
    ) -> impl Future<Output = bool>;

    /// Runs one transaction.
    fn transact(&self, source: &Self::Source, writes: &[Write], commit: bool) -> impl Future<Output = ()>;
}

/// Runs the whole suite.
pub async fn all<F: SourceFixture>(fixture: &F) {
    a_tenure_ends_with_the_next(fixture).await;
    a_change_is_published_with_its_transaction(fixture).await;
    rows_of_a_key_form_a_chain(fixture).await;
    late_commits_wait_with_their_low_ids(fixture).await;
    a_removal_takes_exactly_its_rows(fixture).await;
    a_removal_without_the_right_number_takes_nothing(fixture).await;
    what_waits_behind_rows_is_told_while_they_are_all_before_it(fixture).await;
    rows_aside_hold_later_ones_behind_them(fixture).await;
    redriven_rows_wait_again_in_order(fixture).await;
    a_discarded_change_leaves_a_void(fixture).await;
    emission_tells_the_state_and_no_change(fixture).await;
    a_void_explains_only_what_is_missing(fixture).await;
    the_view_is_scanned_by_key(fixture).await;
    hours::what_is_put_off_is_due_at_its_hour(fixture).await;
    hours::what_was_put_off_is_called_back(fixture).await;
    rebase::what_waits_is_numbered_anew(fixture).await;
    rebase::quarantine_is_read_in_pages(fixture).await;
}

async fn write<F: SourceFixture>(fixture: &F, source: &F::Source, writes: &[Write]) {
    fixture.transact(source, writes, true).await;
}

async fn held<S: Source>(source: &S) -> Tenure {
    match sure(source.take_over("relay", moment(0), TTL).await) {
        Taken::Held(tenure) => tenure,
        Taken::Busy { .. } => panic!("its own holder may take it again"),
    }
}

async fn waiting<S: Source>(source: &S) -> Vec<OutboxRow> {
    let rows = sure(source.waiting(100).await);
    assert!(rows.is_sorted_by(|a, b| a.sequence < b.sequence), "by sequence");
    rows
}

async fn remove<S: Source>(source: &S, tenure: &Tenure, removal: &Removal) -> Removed {
    sure(source.remove(tenure, removal, moment(1), TTL).await)
}

fn published(tenure: &Tenure, rows: &[OutboxRow]) -> Removal {
    let published = rows.iter().map(|row| row.sequence).collect();
    Removal { number: tenure.batch + 1, published, ..Removal::default() }
}

fn aside(tenure: &Tenure, rows: &[OutboxRow]) -> Removal {
    let broken = |idx: usize| (idx == 0).then(|| ("RANGE".into(), "state.amount".into(), "too much".into()));
    let set = |(idx, row): (usize, &OutboxRow)| SetAside { sequence: row.sequence, violation: broken(idx) };
    let aside = rows.iter().enumerate().map(set).collect();
    Removal { number: tenure.batch, aside, ..Removal::default() }
}

async fn counts<F: SourceFixture>(fixture: &F, source: &F::Source) -> SourceCounts {
    sure(source.counts(&fixture.contract()).await)
}

async fn facts<F: SourceFixture>(fixture: &F, source: &F::Source, number: usize) -> KeyFacts {
    let facts = sure(source.look(&fixture.contract(), &[fixture.key(number)]).await);
    facts.into_iter().next().expect("one answer for each key asked")
}

async fn a_tenure_ends_with_the_next<F: SourceFixture>(fixture: &F) {
    let source = fixture.fresh().await;
    let first = held(&source).await;
    assert_eq!(first.batch, 0);
    let busy = sure(source.take_over("other", moment(10), TTL).await);
    assert_eq!(busy, Taken::Busy { until: moment(30) });
    let again = held(&source).await;
    assert!(again.epoch > first.epoch, "each take-over raises the epoch, also its own holder's");
    let Taken::Held(next) = sure(source.take_over("other", moment(31), TTL).await) else {
        panic!("the lease has expired")
    };
    assert!(next.epoch > again.epoch);
    write(fixture, &source, &[Write::Put(0, 1)]).await;
    let rows = waiting(&source).await;
    assert_eq!(remove(&source, &again, &published(&again, &rows)).await, Removed::Fenced);
    assert_eq!(waiting(&source).await, rows, "nothing left");
    let prolonged = source.remove(&next, &published(&next, &rows), moment(50), TTL).await;
    assert_eq!(sure(prolonged), Removed::Done);
    let busy = sure(source.take_over("relay", moment(70), TTL).await);
    assert_eq!(busy, Taken::Busy { until: moment(80) }, "a removal prolongs the lease");
    let Taken::Held(last) = sure(source.take_over("relay", moment(81), TTL).await) else {
        panic!("the lease has expired")
    };
    assert_eq!(last.batch, next.batch + 1);
}

async fn what_waits_behind_rows_is_told_while_they_are_all_before_it<F: SourceFixture>(fixture: &F) {
    let source = fixture.fresh().await;
    write(fixture, &source, &[Write::Put(0, 1), Write::Put(1, 1), Write::Put(2, 1), Write::Put(3, 1)]).await;
    let rows = waiting(&source).await;
    let (before, behind) = rows.split_at(2);
    assert_eq!(sure(source.waiting_behind(before, 10, u64::MAX).await), behind);
    assert_eq!(sure(source.waiting_behind(before, 1, u64::MAX).await), behind[..1]);
    assert_eq!(sure(source.waiting_behind(&before[1..], 10, u64::MAX).await), [], "another waits before it");
    let each = behind[0].weight();
    assert_eq!(sure(source.waiting_behind(before, 10, each).await), behind[..1], "it reaches the weight");
    assert_eq!(sure(source.waiting_behind(before, 10, each + 1).await), behind, "the second reaches it");
    let tenure = held(&source).await;
    assert_eq!(remove(&source, &tenure, &published(&tenure, before)).await, Removed::Done);
    assert_eq!(sure(source.waiting_behind(before, 10, u64::MAX).await), [], "they wait no more");
    assert_eq!(waiting(&source).await, behind);
}

async fn a_change_is_published_with_its_transaction<F: SourceFixture>(fixture: &F) {
    let source = fixture.fresh().await;
    fixture.transact(&source, &[Write::Put(0, 1)], false).await;
    assert_eq!(waiting(&source).await, [], "rolled back");
    assert_eq!(counts(fixture, &source).await, SourceCounts::default());
    write(fixture, &source, &[Write::Put(0, 1), Write::Put(1, 2)]).await;
    let rows = waiting(&source).await;
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0].key, fixture.key(0).as_str());
    assert_eq!(rows[0].contract, fixture.contract());
    assert!(rows[0].state.is_some() && rows[0].state != rows[1].state);
    assert!(matches!(rows[0].act, Act::Change(_)) && !rows[0].behind);
    assert_eq!(sure(source.waiting(1).await), rows[..1], "at most `limit`, the lowest first");
    let each = rows[0].weight();
    assert!(each > rows[0].key.len() as u64);
    assert_eq!(sure(source.waiting_within(10, each).await), rows[..1], "the first reaches the weight");
    assert_eq!(sure(source.waiting_within(10, each + 1).await), rows, "the second reaches it");
    assert_eq!(sure(source.waiting_within(1, u64::MAX).await), rows[..1]);
    let now = counts(fixture, &source).await;
    assert_eq!((now.committed, now.waiting, now.missing()), (2, 2, 0));
}

async fn rows_of_a_key_form_a_chain<F: SourceFixture>(fixture: &F) {
    let source = fixture.fresh().await;
    for acts in [Write::Put(0, 1), Write::Put(1, 1), Write::Put(0, 2), Write::Delete(0), Write::Put(0, 3)] {
        write(fixture, &source, &[acts]).await;
    }
    let rows = waiting(&source).await;
    let of_key: Vec<&OutboxRow> = rows.iter().filter(|row| row.key == fixture.key(0).as_str()).collect();
    assert_eq!(of_key.len(), 4);
    assert_eq!(of_key[0].previous.get(&fixture.channel()), Some(&None), "the first begins its chain");
    for pair in of_key.windows(2) {
        assert_eq!(pair[1].previous.get(&fixture.channel()), Some(&Some(pair[0].sequence)));
    }
    let known = facts(fixture, &source, 0).await;
    assert_eq!(known.sequence, Some(of_key[3].sequence));
    assert_eq!(known.chains.get(&fixture.channel()), Some(&of_key[3].sequence));
    assert!(known.waiting && !known.aside);
    let never = facts(fixture, &source, 7).await;
    assert_eq!((never.sequence, never.state, never.waiting), (None, None, false));
}

async fn late_commits_wait_with_their_low_ids<F: SourceFixture>(fixture: &F) {
    let source = fixture.fresh().await;
    let writers = [vec![Write::Put(0, 1)], vec![Write::Put(1, 1)], vec![Write::Put(2, 1)]];
    if !fixture.interleave(&source, &writers, &[1]).await {
        return;
    }
    let early = waiting(&source).await;
    assert_eq!(early.len(), 1, "what is not committed is not seen");
    let tenure = held(&source).await;
    assert_eq!(remove(&source, &tenure, &published(&tenure, &early)).await, Removed::Done);
    let source = fixture.fresh().await;
    fixture.interleave(&source, &writers, &[2, 0, 1]).await;
    let keys: Vec<String> = waiting(&source).await.into_iter().map(|row| row.key).collect();
    assert_eq!(keys, [0, 1, 2].map(|n| fixture.key(n).to_string()), "ids follow the draw, not the commit");
}

async fn a_removal_takes_exactly_its_rows<F: SourceFixture>(fixture: &F) {
    let source = fixture.fresh().await;
    let tenure = held(&source).await;
    write(fixture, &source, &[Write::Put(0, 1), Write::Put(1, 1), Write::Put(2, 1)]).await;
    let rows = waiting(&source).await;
    write(fixture, &source, &[Write::Put(3, 1)]).await;
    let case = NewCase {
        kind: CaseKind::Quarantine,
        fingerprint: "f".to_owned(),
        subject: "orders".to_owned(),
        owed_by: context(),
        summary: "a row breaks its contract".to_owned(),
        details: "{}".to_owned(),
    };
    let removal =
        Removal { cases: vec![case.clone()], ..published(&tenure, &[rows[0].clone(), rows[2].clone()]) };
    assert_eq!(remove(&source, &tenure, &removal).await, Removed::Done);
    let left: Vec<String> = waiting(&source).await.into_iter().map(|row| row.key).collect();
    assert_eq!(left, [1, 3].map(|n| fixture.key(n).to_string()));
    let now = counts(fixture, &source).await;
    assert_eq!((now.committed, now.published, now.waiting, now.missing()), (4, 2, 2, 0));
    let cases = sure(source.cases(false).await);
    assert_eq!(
        cases.into_iter().map(|case| case.raised).collect::<Vec<_>>(),
        [case],
        "its case came with it"
    );
}

async fn a_removal_without_the_right_number_takes_nothing<F: SourceFixture>(fixture: &F) {
    let source = fixture.fresh().await;
    let tenure = held(&source).await;
    write(fixture, &source, &[Write::Put(0, 1)]).await;
    let rows = waiting(&source).await;
    for number in [tenure.batch, tenure.batch + 2] {
        let removal = Removal { number, ..published(&tenure, &rows) };
        assert_eq!(remove(&source, &tenure, &removal).await, Removed::Fenced, "number {number}");
    }
    assert_eq!(remove(&source, &tenure, &published(&tenure, &rows)).await, Removed::Done);
    let repeated = remove(&source, &tenure, &published(&tenure, &rows)).await;
    assert_eq!(repeated, Removed::Fenced, "that batch was removed before");
    assert_eq!(held(&source).await.batch, tenure.batch + 1);
    assert_eq!(counts(fixture, &source).await.published, 1);
}

async fn rows_aside_hold_later_ones_behind_them<F: SourceFixture>(fixture: &F) {
    let source = fixture.fresh().await;
    let tenure = held(&source).await;
    write(fixture, &source, &[Write::Put(0, 1), Write::Put(1, 1)]).await;
    write(fixture, &source, &[Write::Put(0, 2)]).await;
    let rows = waiting(&source).await;
    assert_eq!(remove(&source, &tenure, &aside(&tenure, &rows[..1])).await, Removed::Done);
    let behind: Vec<bool> = waiting(&source).await.iter().map(|row| row.behind).collect();
    assert_eq!(behind, [false, true], "what waits behind a row aside says so");
    write(fixture, &source, &[Write::Put(0, 3)]).await;
    assert!(waiting(&source).await[2].behind, "what comes later, too");
    let list = sure(source.aside(10).await);
    assert_eq!(list.len(), 1);
    assert_eq!((list[0].sequence, list[0].key.as_str()), (rows[0].sequence, rows[0].key.as_str()));
    let violation = list[0].violation.clone().expect("it broke its contract");
    assert_eq!(violation, ("RANGE".to_owned(), "state.amount".to_owned(), "too much".to_owned()));
    assert!(list[0].change.is_some());
    assert!(facts(fixture, &source, 0).await.aside);
    let now = counts(fixture, &source).await;
    assert_eq!((now.committed, now.aside, now.waiting, now.missing()), (4, 1, 3, 0));
}

async fn redriven_rows_wait_again_in_order<F: SourceFixture>(fixture: &F) {
    let source = fixture.fresh().await;
    let tenure = held(&source).await;
    for number in 1..=3 {
        write(fixture, &source, &[Write::Put(0, number)]).await;
    }
    let rows = waiting(&source).await;
    remove(&source, &tenure, &aside(&tenure, &rows)).await;
    let list = sure(source.aside(10).await);
    let order: Vec<Sequence> = list.iter().map(|row| row.sequence).collect();
    assert_eq!(order, rows.iter().map(|row| row.sequence).collect::<Vec<_>>(), "by sequence");
    assert!(list[1].violation.is_none(), "it only waits behind another");
    assert_eq!(sure(source.aside(2).await), list[..2]);
    assert_eq!(sure(source.redrive(&fixture.contract(), fixture.key(1).as_str()).await), 0);
    assert_eq!(sure(source.redrive(&fixture.contract(), fixture.key(0).as_str()).await), 3);
    assert_eq!(waiting(&source).await, rows, "as they were");
    // Decided before they were re-driven: nothing is there any more to wait behind.
    let late = SetAside { sequence: rows[1].sequence, violation: None };
    let removal = Removal { number: tenure.batch, aside: vec![late], ..Removal::default() };
    let late = source.remove(&tenure, &removal, moment(1), TTL).await;
    assert!(matches!(late, Err(PortError::NotApplied(_))), "{late:?}");
    assert_eq!(waiting(&source).await, rows, "nothing left");
    let now = counts(fixture, &source).await;
    assert_eq!((now.aside, now.waiting, now.missing()), (0, 3, 0));
    assert!(!facts(fixture, &source, 0).await.aside);
}

async fn a_discarded_change_leaves_a_void<F: SourceFixture>(fixture: &F) {
    let source = fixture.fresh().await;
    let tenure = held(&source).await;
    write(fixture, &source, &[Write::Put(0, 1)]).await;
    write(fixture, &source, &[Write::Put(0, 2)]).await;
    let rows = waiting(&source).await;
    remove(&source, &tenure, &published(&tenure, &rows[..1])).await;
    let tenure = held(&source).await;
    remove(&source, &tenure, &aside(&tenure, &rows[1..])).await;
    assert!(sure(source.discard(rows[1].sequence).await));
    assert!(!sure(source.discard(rows[1].sequence).await), "it is gone");
    let left = waiting(&source).await;
    assert_eq!(left.len(), 1);
    let sequence = rows[1].sequence;
    let void = Act::Void { channel: fixture.channel(), sequence, previous: Some(rows[0].sequence) };
    assert_eq!(left[0].act, void, "in its place in the chain");
    assert_eq!(left[0].key, rows[1].key);
    assert!(!left[0].behind, "nothing is aside any more");
    assert_eq!(counts(fixture, &source).await.missing(), 0);
}

async fn emission_tells_the_state_and_no_change<F: SourceFixture>(fixture: &F) {
    let source = fixture.fresh().await;
    write(fixture, &source, &[Write::Put(0, 1)]).await;
    write(fixture, &source, &[Write::Put(1, 1)]).await;
    write(fixture, &source, &[Write::Delete(1)]).await;
    write(fixture, &source, &[Write::Silent(0, 9)]).await;
    let before = waiting(&source).await;
    let chain = facts(fixture, &source, 0).await.chains;
    let keys = [fixture.key(0), fixture.key(1)];
    assert_eq!(sure(source.emit(&fixture.contract(), &keys).await), 2);
    let all = waiting(&source).await;
    let emitted = &all[before.len()..];
    assert_eq!(emitted.len(), 2);
    assert!(emitted.iter().all(|row| row.act == Act::State && row.previous.is_empty()));
    let of = |number: usize| emitted.iter().find(|row| row.key == fixture.key(number).as_str());
    let present = of(0).expect("its row was written");
    let known = facts(fixture, &source, 0).await;
    assert_eq!(present.state, known.state, "the state that the view holds now");
    assert_ne!(present.state, before[0].state);
    assert_eq!((known.sequence, known.chains), (Some(present.sequence), chain), "chains are left alone");
    assert!(of(1).expect("its row was written").state.is_none(), "a key without a row yields its removal");
    assert_eq!(counts(fixture, &source).await.missing(), 0);
}

async fn a_void_explains_only_what_is_missing<F: SourceFixture>(fixture: &F) {
    let source = fixture.fresh().await;
    write(fixture, &source, &[Write::Put(0, 1)]).await;
    let rows = waiting(&source).await;
    let act = Act::Void { channel: fixture.channel(), sequence: rows[0].sequence, previous: None };
    sure(source.void(&fixture.contract(), &fixture.key(0), &act).await);
    assert_eq!(waiting(&source).await[1].act, act);
    assert_eq!(counts(fixture, &source).await.missing(), 0, "nothing was missing: the log lost it");
    sure(source.explain_lost(&fixture.contract(), 3).await);
    assert_eq!(counts(fixture, &source).await.missing(), -3);
}

async fn the_view_is_scanned_by_key<F: SourceFixture>(fixture: &F) {
    let source = fixture.fresh().await;
    for number in [3, 1, 4, 0, 6] {
        write(fixture, &source, &[Write::Put(number, 7)]).await;
    }
    write(fixture, &source, &[Write::Delete(4)]).await;
    write(fixture, &source, &[Write::Silent(5, 1)]).await;
    let contract = fixture.contract();
    let mut scanned: Vec<RecordKey> = Vec::new();
    loop {
        let page = sure(source.scan(&contract, scanned.last(), 2).await);
        assert!(page.len() <= 2);
        if page.is_empty() {
            break;
        }
        for row in page {
            assert_eq!(
                sure(source.look(&contract, std::slice::from_ref(&row.key)).await)[0].state,
                Some(row.state)
            );
            scanned.push(row.key);
        }
    }
    assert_eq!(scanned, [0, 1, 3, 5, 6].map(|n| fixture.key(n)));
    let first = sure(source.published(&contract, None, 3).await);
    let rest = sure(source.published(&contract, first.last().map(|facts| &facts.key), 9).await);
    let known: Vec<RecordKey> = first.iter().chain(&rest).map(|facts| facts.key.clone()).collect();
    assert_eq!(known, [0, 1, 3, 4, 6].map(|n| fixture.key(n)), "those ever published");
    assert!(first.iter().all(|facts| facts.state.is_none() && facts.sequence.is_some()));
    let asked = [fixture.key(6), fixture.key(0), fixture.key(6)];
    let looked = sure(source.look(&contract, &asked).await);
    assert_eq!(looked.into_iter().map(|facts| facts.key).collect::<Vec<_>>(), asked, "in the order asked");
}
