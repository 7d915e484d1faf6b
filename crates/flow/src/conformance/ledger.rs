//! The suite of the port to the ledger's storage.

use super::{digest_of, key, sure};
use crate::ledger::{Entry, Ledger};
use seamline_message::sequence::Sequence;

/// Makes ledgers for the suite.
pub trait LedgerFixture {
    /// The adapter.
    type Ledger: Ledger;

    /// Returns a storage that is empty.
    fn fresh(&self) -> impl Future<Output = Self::Ledger>;
}

/// Runs the whole suite.
pub async fn all<F: LedgerFixture>(fixture: &F) {
    entries_are_read_back(fixture).await;
    the_higher_sequence_stays_and_the_higher_offset_is_last(fixture).await;
    scans_follow_the_text_of_keys(fixture).await;
    topics_are_apart(fixture).await;
}

fn entry(text: &str, sequence: u64, offset: u64) -> Entry {
    Entry {
        key: key(text),
        sequence: Sequence(sequence),
        offset,
        last: Sequence(sequence),
        version: "2.1.0".parse().ok(),
        digest: digest_of(u128::from(sequence)),
        ended: false,
    }
}

async fn entries_are_read_back<F: LedgerFixture>(fixture: &F) {
    let ledger = fixture.fresh().await;
    let whole = Entry { version: None, ended: true, ..entry("b", 9, 4) };
    sure(ledger.ledger_put("t", &[entry("a", 7, 3), whole.clone()]).await);
    let got = sure(ledger.ledger_get("t", &[key("b"), key("x"), key("a"), key("b")]).await);
    assert_eq!(got, [Some(whole.clone()), None, Some(entry("a", 7, 3)), Some(whole)], "in the order asked");
}

async fn the_higher_sequence_stays_and_the_higher_offset_is_last<F: LedgerFixture>(fixture: &F) {
    let ledger = fixture.fresh().await;
    sure(ledger.ledger_put("t", &[entry("a", 5, 10)]).await);
    sure(ledger.ledger_put("t", &[entry("a", 3, 11)]).await);
    let late = Entry { last: Sequence(3), ..entry("a", 5, 10) };
    assert_eq!(sure(ledger.ledger_get("t", &[key("a")]).await), [Some(late)], "an older record came last");
    sure(ledger.ledger_put("t", &[entry("a", 8, 12)]).await);
    assert_eq!(sure(ledger.ledger_get("t", &[key("a")]).await), [Some(entry("a", 8, 12))]);
    sure(ledger.ledger_put("u", &[entry("a", 3, 1), entry("a", 5, 2), entry("a", 4, 3)]).await);
    let got = sure(ledger.ledger_get("u", &[key("a")]).await);
    assert_eq!(got, [Some(Entry { last: Sequence(4), ..entry("a", 5, 2) })], "within one call, too");
}

async fn scans_follow_the_text_of_keys<F: LedgerFixture>(fixture: &F) {
    let ledger = fixture.fresh().await;
    let names = ["a", "B", "b", "ä", "a b", "10", "9"];
    let entries: Vec<Entry> = names.iter().zip(1..).map(|(name, n)| entry(name, n, n)).collect();
    sure(ledger.ledger_put("t", &entries).await);
    let mut keys: Vec<_> = names.iter().map(|name| key(name)).collect();
    keys.sort();
    let mut read = Vec::new();
    loop {
        let page = sure(ledger.ledger_scan("t", read.last(), 2).await);
        assert!(page.len() <= 2);
        if page.is_empty() {
            break;
        }
        read.extend(page.into_iter().map(|entry| entry.key));
    }
    assert_eq!(read, keys);
}

async fn topics_are_apart<F: LedgerFixture>(fixture: &F) {
    let ledger = fixture.fresh().await;
    for topic in ["t", "u"] {
        sure(ledger.ledger_put(topic, &[entry("a", 1, 1)]).await);
    }
    sure(ledger.ledger_clear("t").await);
    assert_eq!(sure(ledger.ledger_scan("t", None, 9).await), []);
    assert_eq!(sure(ledger.ledger_scan("u", None, 9).await), [entry("a", 1, 1)]);
}
