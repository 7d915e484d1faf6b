//! The suite of the ports to what auditors keep, and to how lanes compared.

use super::{TTL, digest_of, key, moment, subscription, sure};
use crate::audit::keep::{AuditGrip, AuditTaken, AuditWrite, Audits, Part};
use crate::ledger::Entry;
use crate::position::Position;
use crate::store::{Committed, Lane};
use crate::stream::note::{Note, Notes};
use seamline_message::sequence::Sequence;
use seamline_message::sums::Sums;
use std::time::Duration;

/// Makes storages for the suite.
pub trait AuditFixture {
    /// The adapter.
    type Audits: Audits + Notes;

    /// Returns a storage that is empty.
    fn fresh(&self) -> impl Future<Output = Self::Audits>;
}

/// Runs the whole suite.
pub async fn all<F: AuditFixture>(fixture: &F) {
    one_auditor_holds_a_topic_until_its_time_is_over(fixture).await;
    a_write_changes_parts_and_entries_together_and_only_under_the_epoch(fixture).await;
    a_reset_empties_one_topic(fixture).await;
    the_last_comparison_of_each_lane_is_kept(fixture).await;
}

fn part(partition: u32, offset: u64) -> Part {
    let mut sums = Sums::new();
    sums.add(&key("a"), Sequence(offset), digest_of(9));
    Part {
        position: Position {
            cluster: "c".to_owned(),
            topic_id: "7".to_owned(),
            partition,
            leader_epoch: 3,
            offset,
        },
        digest_epoch: 2,
        sums,
        near: moment(7),
    }
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

async fn take<A: Audits>(audits: &A, topic: &str, holder: &str, seconds: i64) -> AuditGrip {
    match sure(audits.audit_take(topic, holder, moment(seconds), TTL).await) {
        AuditTaken::Held(grip) => grip,
        AuditTaken::Busy { until } => panic!("it is free, and held until {until}"),
    }
}

fn write(topic: &str, epoch: u64, parts: Vec<Part>, entries: Vec<Entry>) -> AuditWrite {
    AuditWrite { topic: topic.to_owned(), epoch, reset: false, parts, entries }
}

async fn one_auditor_holds_a_topic_until_its_time_is_over<F: AuditFixture>(fixture: &F) {
    let audits = fixture.fresh().await;
    let first = take(&audits, "t", "one", 0).await;
    assert_eq!(first.parts, []);
    let until = moment(0).checked_add(TTL).expect("it is soon");
    let busy = AuditTaken::Busy { until };
    assert_eq!(sure(audits.audit_take("t", "two", moment(5), TTL).await), busy);
    assert!(take(&audits, "u", "two", 5).await.epoch > 0, "another topic is free");
    assert!(take(&audits, "t", "one", 6).await.epoch > first.epoch, "its own it may take again");
    let second = take(&audits, "t", "two", 60).await;
    assert!(second.epoch > first.epoch + 1);
    sure(audits.audit_take("t", "two", moment(61), Duration::ZERO).await);
    take(&audits, "t", "one", 62).await;
    let all = sure(audits.audits().await);
    let seen: Vec<_> = all.iter().map(|it| (it.topic.as_str(), it.holder.as_deref())).collect();
    assert_eq!(seen, [("t", Some("one")), ("u", Some("two"))]);
}

async fn a_write_changes_parts_and_entries_together_and_only_under_the_epoch<F: AuditFixture>(fixture: &F) {
    let audits = fixture.fresh().await;
    let grip = take(&audits, "t", "one", 0).await;
    let both = write("t", grip.epoch, vec![part(1, 8), part(0, 5)], vec![entry("a", 4, 3)]);
    assert_eq!(sure(audits.audit_write(&both, moment(1), TTL).await), Committed::Done);
    let got = sure(audits.audit_known("t", &[key("x"), key("a")]).await);
    assert_eq!(got, [None, Some(entry("a", 4, 3))]);
    assert_eq!(sure(audits.audit_known("u", &[key("a")]).await), [None]);
    let later = take(&audits, "t", "two", 60).await;
    assert_eq!(later.parts, [part(0, 5), part(1, 8)]);
    let late = write("t", grip.epoch, vec![part(0, 9)], vec![entry("a", 9, 9)]);
    assert_eq!(sure(audits.audit_write(&late, moment(61), TTL).await), Committed::Fenced);
    let on = write("t", later.epoch, vec![part(0, 6)], vec![entry("a", 2, 7)]);
    assert_eq!(sure(audits.audit_write(&on, moment(62), TTL).await), Committed::Done);
    let kept = Entry { last: Sequence(2), ..entry("a", 4, 3) };
    assert_eq!(sure(audits.audit_known("t", &[key("a")]).await), [Some(kept)], "merged as a ledger does");
    assert_eq!(take(&audits, "t", "two", 63).await.parts, [part(0, 6), part(1, 8)]);
}

async fn a_reset_empties_one_topic<F: AuditFixture>(fixture: &F) {
    let audits = fixture.fresh().await;
    for topic in ["t", "u"] {
        let grip = take(&audits, topic, "one", 0).await;
        let some = write(topic, grip.epoch, vec![part(0, 5), part(1, 5)], vec![entry("a", 4, 3)]);
        sure(audits.audit_write(&some, moment(1), TTL).await);
    }
    let grip = take(&audits, "t", "one", 2).await;
    let anew = AuditWrite { reset: true, ..write("t", grip.epoch, vec![part(0, 1)], vec![entry("b", 1, 0)]) };
    assert_eq!(sure(audits.audit_write(&anew, moment(3), TTL).await), Committed::Done);
    let got = sure(audits.audit_known("t", &[key("a"), key("b")]).await);
    assert_eq!(got, [None, Some(entry("b", 1, 0))]);
    assert_eq!(take(&audits, "t", "one", 4).await.parts, [part(0, 1)]);
    assert_eq!(take(&audits, "u", "one", 4).await.parts, [part(0, 5), part(1, 5)]);
    assert_eq!(sure(audits.audit_known("u", &[key("a")]).await), [Some(entry("a", 4, 3))]);
}

async fn the_last_comparison_of_each_lane_is_kept<F: AuditFixture>(fixture: &F) {
    let notes = fixture.fresh().await;
    let note = |partition, offset, outcome: &str, reason: &str| Note {
        lane: Lane { subscription: subscription(), topic: "t".to_owned(), partition },
        offset,
        at: moment(i64::try_from(offset).expect("it is small")),
        outcome: outcome.to_owned(),
        reason: reason.to_owned(),
    };
    sure(notes.note_compared(&note(1, 4, "inconclusive", "why")).await);
    sure(notes.note_compared(&note(0, 5, "clean", "")).await);
    sure(notes.note_compared(&note(1, 9, "drift", "")).await);
    assert_eq!(sure(notes.compared().await), [note(0, 5, "clean", ""), note(1, 9, "drift", "")]);
}
