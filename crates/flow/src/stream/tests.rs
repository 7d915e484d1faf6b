//! Lanes held against points.

use super::{Verdict, Why, judge};
use crate::audit::publish::Published;
use crate::hold::{DigestEpoch, Hold};
use crate::points::{Passed, Point, Points};
use crate::position::{Accounting, Position, TopicIdentity};
use crate::store::{Grip, Lane, LaneState};
use jiff::Timestamp;
use seamline_message::digest::{Digest, DigestKey};
use seamline_message::key::RecordKey;
use seamline_message::sequence::Sequence;
use seamline_message::sums::Sums;

const DIGEST: DigestEpoch = DigestEpoch { epoch: 2, key: DigestKey([7; 32]) };

fn sums(sequence: u64) -> Sums {
    let mut sums = Sums::new();
    sums.add(&RecordKey::from_texts(&["a".to_owned()]), Sequence(sequence), Digest(9));
    sums
}

/// Returns a lane at offset 10 whose sums are those of sequence 4, its bootstrap being over at 6.
fn hold() -> Hold {
    let topic =
        TopicIdentity { cluster: "c".to_owned(), name: "t".to_owned(), id: "7".to_owned(), partitions: 1 };
    let subscription = "claims/covers".parse().unwrap();
    let lane = Lane { subscription, topic: "t".to_owned(), partition: 0 };
    let position = Position {
        cluster: "c".to_owned(),
        topic_id: "7".to_owned(),
        partition: 0,
        leader_epoch: 0,
        offset: 10,
    };
    let state = LaneState {
        position: Some(position),
        bootstrap_end: Some(6),
        sums: sums(4),
        digest_epoch: 2,
        accounting: Accounting::default(),
    };
    Hold::held(lane, topic, Grip { epoch: 1, state }, Timestamp::UNIX_EPOCH)
}

fn points() -> Points {
    let mut points = Points::default();
    points.near(5, 5, Timestamp::UNIX_EPOCH);
    points.begin(5, &sums(4));
    points.remember(Passed::default(), 10, &sums(4));
    points
}

fn point(offset: u64, sequence: u64) -> Published {
    let point = Point { offset, sums: sums(sequence) };
    Published { topic_id: "7".to_owned(), epoch: 2, partition: 0, point }
}

#[test]
fn a_point_is_equal_or_different_and_never_in_flight() {
    let (points, hold) = (points(), hold());
    assert_eq!(judge(&points, &hold, DIGEST, &point(8, 4)), Verdict::Same);
    assert_eq!(judge(&points, &hold, DIGEST, &point(11, 4)), Verdict::Ahead);
    let open = sums(4).minus(&sums(5));
    assert_eq!(judge(&points, &hold, DIGEST, &point(10, 5)), Verdict::Differs(Box::new(open)));
}

#[test]
fn what_cannot_be_compared_says_why() {
    let (points, mut hold) = (points(), hold());
    let says = |published: &Published, hold: &Hold, why| {
        assert_eq!(judge(&points, hold, DIGEST, published), Verdict::Inconclusive(why));
    };
    says(&Published { topic_id: "8".to_owned(), ..point(8, 5) }, &hold, Why::OtherTopic);
    says(&Published { epoch: 3, ..point(8, 5) }, &hold, Why::OtherEpoch);
    says(&point(5, 5), &hold, Why::Bootstrap);
    hold.grip.as_mut().unwrap().state.bootstrap_end = None;
    says(&point(4, 5), &hold, Why::Late);
    hold.grip.as_mut().unwrap().state.digest_epoch = 1;
    says(&point(8, 5), &hold, Why::OtherEpoch);
}
