//! The suite of the port to a consumer's database.

mod rehearsal;
mod set;
mod unread;

use super::{TTL, digest_of, key, moment, subscription, sure};
use crate::case::Cases;
use crate::position::{Accounting, Position};
use crate::store::{
    AsideCause, AsideRecord, Batch, Column, Committed, Grip, Gripped, Had, InboxRow, KeyEnd, Lane, LaneState,
    LiveRow, Marker, Markers, Projection, RehearsedBy, RowWrite, Store,
};
use seamline_contract::attribute::Type;
use seamline_contract::value::Value;
use seamline_message::envelope::Header;
use seamline_message::key::RecordKey;
use seamline_message::sequence::Sequence;
use seamline_message::sums::Sums;

/// What a hand does to a projection table, past all ports.
#[derive(Debug, Clone, PartialEq)]
pub enum Tamper {
    /// Sets a cell of a key's row.
    Set(RecordKey, usize, Value),
    /// Deletes a key's row.
    Delete(RecordKey),
    /// Inserts a row without a marker.
    Insert(Vec<Value>),
}

/// Makes databases for the suite.
pub trait StoreFixture {
    /// The adapter; cases that a commit raises are in the same database.
    type Store: Store + Cases;

    /// Returns a database with an empty projection table.
    fn fresh(&self, projection: &Projection) -> impl Future<Output = Self::Store>;

    /// Changes the table as a hand would.
    fn tamper(&self, store: &Self::Store, projection: &Projection, how: &Tamper) -> impl Future<Output = ()>;

    /// Returns the inbox in the order of its rows.
    fn inbox(&self, store: &Self::Store, projection: &Projection) -> impl Future<Output = Vec<InboxRow>>;
}

/// Runs the whole suite.
pub async fn all<F: StoreFixture>(fixture: &F) {
    a_grip_ends_with_the_next(fixture).await;
    a_commit_needs_epoch_and_position(fixture).await;
    the_lane_is_as_the_last_commit_left_it(fixture).await;
    rows_are_read_back_with_their_markers(fixture).await;
    a_lower_sequence_writes_nothing(fixture).await;
    an_ended_key_leaves_its_tombstone(fixture).await;
    a_kept_row_is_marked_as_ended(fixture).await;
    a_key_returns_after_its_end(fixture).await;
    unread::unread_rows_are_written_only_where_nothing_is(fixture).await;
    repairs_need_the_marker_they_saw(fixture).await;
    hands_are_seen_as_they_wrote(fixture).await;
    a_reaction_is_there_once(fixture).await;
    records_aside_are_kept_as_read(fixture).await;
    chains_are_kept_by_topic(fixture).await;
    a_state_aside_is_remembered(fixture).await;
    rehearsal::a_rehearsal_finds_what_differs(fixture).await;
    rehearsal::a_rehearsal_keeps_the_highest(fixture).await;
    rehearsal::a_key_that_is_left_is_told_apart(fixture).await;
    rehearsal::a_rehearsal_is_kept_until_it_ends(fixture).await;
    set::a_case_comes_with_its_commit(fixture).await;
    set::a_set_comes_with_its_commit(fixture).await;
}

pub(super) fn projection() -> Projection {
    let column = |name: &str, ty: Type, optional: bool| Column {
        name: name.to_owned(),
        ty,
        optional,
        approximate: false,
    };
    Projection {
        subscription: subscription(),
        table: "covers".to_owned(),
        columns: vec![
            column("cover_ref", Type::String, false),
            column("amount", Type::Integer, false),
            column("note", Type::String, true),
        ],
        key: vec![0],
        keep_ended: false,
        rehearsal: RehearsedBy::Comparison,
    }
}

fn lane(topic: &str) -> Lane {
    Lane { subscription: subscription(), topic: topic.to_owned(), partition: 0 }
}

fn marker(sequence: u64) -> Marker {
    Marker {
        sequence: Sequence(sequence),
        offset: sequence * 10,
        received: digest_of(u128::from(sequence) + (1 << 100)),
        written: digest_of(u128::from(sequence) + (1 << 120)),
    }
}

fn values(text: &str, amount: i64) -> Vec<Value> {
    vec![Value::String(text.to_owned()), Value::Integer(amount), Value::Null]
}

fn row(text: &str, amount: i64, sequence: u64) -> RowWrite {
    RowWrite { key: key(text), values: values(text, amount), marker: marker(sequence), had: Had::More }
}

fn end(text: &str, sequence: u64) -> KeyEnd {
    KeyEnd { key: key(text), marker: marker(sequence) }
}

fn at(offset: u64) -> LaneState {
    let position =
        Position { cluster: "c".to_owned(), topic_id: "t".to_owned(), partition: 0, leader_epoch: 3, offset };
    let mut sums = Sums::new();
    sums.add(&key("a"), Sequence(offset), digest_of(7));
    LaneState {
        position: Some(position),
        bootstrap_end: Some(5),
        sums,
        digest_epoch: 2,
        accounting: Accounting { to: offset, handed: offset, applied: offset, ..Accounting::default() },
    }
}

async fn gripped<S: Store>(store: &S, topic: &str) -> Grip {
    match sure(store.grip(&lane(topic), "projector", moment(0), TTL, false).await) {
        Gripped::Held(grip) => grip,
        Gripped::Busy { .. } => panic!("its own holder may take it again"),
    }
}

fn empty(topic: &str, grip: &Grip) -> Batch {
    let offset = grip.state.position.as_ref().map_or(0, |position| position.offset);
    Batch {
        lane: lane(topic),
        epoch: grip.epoch,
        expected: grip.state.position.clone(),
        next: at(offset + 1),
        rows: Vec::new(),
        ended: Vec::new(),
        purge: Vec::new(),
        restore: Vec::new(),
        chains: Vec::new(),
        inbox: Vec::new(),
        aside: Vec::new(),
        released: Vec::new(),
        received_aside: Vec::new(),
        set: None,
        cases: Vec::new(),
    }
}

async fn answer<S: Store>(store: &S, projection: &Projection, batch: &Batch) -> Committed {
    sure(store.commit(Some(projection), batch, moment(1), TTL).await)
}

/// Takes the lane, and commits a batch that `fill` completes.
pub(super) async fn commit<S: Store>(store: &S, projection: &Projection, fill: impl FnOnce(&mut Batch)) {
    let mut batch = empty("state", &gripped(store, "state").await);
    fill(&mut batch);
    assert_eq!(answer(store, projection, &batch).await, Committed::Done);
}

async fn live<S: Store>(store: &S, projection: &Projection) -> Vec<LiveRow> {
    let mut rows: Vec<LiveRow> = Vec::new();
    loop {
        let after = rows.last().map(|row| row.cursor.clone());
        let page = sure(store.rows(projection, after.as_deref(), 2).await);
        assert!(page.len() <= 2, "at most `limit`");
        if page.is_empty() {
            rows.sort_by(|a, b| a.key.cmp(&b.key));
            return rows;
        }
        rows.extend(page);
    }
}

async fn known<S: Store>(store: &S, projection: &Projection, text: &str) -> Markers {
    sure(store.markers(projection, &[key(text)]).await).remove(0)
}

/// The values of a row, and its sequence.
type Brief = (Vec<Result<Value, String>>, Option<u64>);

fn brief(rows: &[LiveRow]) -> Vec<Brief> {
    rows.iter().map(|row| (row.values.clone(), row.marker.as_ref().map(|marker| marker.sequence.0))).collect()
}

fn as_read(values: Vec<Value>) -> Vec<Result<Value, String>> {
    values.into_iter().map(Ok).collect()
}

async fn a_grip_ends_with_the_next<F: StoreFixture>(fixture: &F) {
    let projection = projection();
    let store = fixture.fresh(&projection).await;
    let first = gripped(&store, "state").await;
    assert_eq!((first.state.position.clone(), first.state.bootstrap_end), (None, None));
    let busy = sure(store.grip(&lane("state"), "other", moment(10), TTL, false).await);
    assert_eq!(busy, Gripped::Busy { until: moment(30) });
    let again = gripped(&store, "state").await;
    assert!(again.epoch > first.epoch, "each taking raises the epoch, also its own holder's");
    let Gripped::Held(forced) = sure(store.grip(&lane("state"), "other", moment(11), TTL, true).await) else {
        panic!("force takes it anyway")
    };
    assert!(forced.epoch > again.epoch);
    let Gripped::Held(late) = sure(store.grip(&lane("state"), "third", moment(42), TTL, false).await) else {
        panic!("the lease has expired")
    };
    assert_eq!(answer(&store, &projection, &empty("state", &forced)).await, Committed::Fenced);
    let batch = empty("state", &late);
    assert_eq!(sure(store.commit(Some(&projection), &batch, moment(60), TTL).await), Committed::Done);
    let busy = sure(store.grip(&lane("state"), "other", moment(80), TTL, false).await);
    assert_eq!(busy, Gripped::Busy { until: moment(90) }, "a commit prolongs the lease");
    let free = sure(store.grip(&lane("events"), "other", moment(80), TTL, false).await);
    assert!(matches!(free, Gripped::Held(_)), "lanes are taken one by one");
}

async fn a_commit_needs_epoch_and_position<F: StoreFixture>(fixture: &F) {
    let projection = projection();
    let store = fixture.fresh(&projection).await;
    let grip = gripped(&store, "state").await;
    let batch = Batch { rows: vec![row("a", 1, 1)], ..empty("state", &grip) };
    let old = Batch { epoch: grip.epoch - 1, ..batch.clone() };
    let elsewhere = Batch { expected: at(9).position, ..batch.clone() };
    for (batch, why) in [(&old, "an older epoch"), (&elsewhere, "another position")] {
        assert_eq!(answer(&store, &projection, batch).await, Committed::Fenced, "{why}");
        assert_eq!(live(&store, &projection).await, [], "{why}: nothing was written");
    }
    assert_eq!(answer(&store, &projection, &batch).await, Committed::Done);
    assert_eq!(answer(&store, &projection, &batch).await, Committed::Fenced, "the position went on");
    let moved = Grip { epoch: grip.epoch, state: batch.next.clone() };
    let elsewhere =
        LaneState { position: at(1).position.map(|p| Position { topic_id: "u".into(), ..p }), ..at(1) };
    let other = empty("state", &Grip { epoch: grip.epoch, state: elsewhere });
    assert_eq!(
        answer(&store, &projection, &other).await,
        Committed::Fenced,
        "the position is in another topic"
    );
    assert_eq!(answer(&store, &projection, &empty("state", &moved)).await, Committed::Done);
}

async fn the_lane_is_as_the_last_commit_left_it<F: StoreFixture>(fixture: &F) {
    let projection = projection();
    let store = fixture.fresh(&projection).await;
    let grip = gripped(&store, "state").await;
    assert_eq!(grip.state.sums, Sums::new());
    commit(&store, &projection, |batch| batch.next = at(77)).await;
    assert_eq!(gripped(&store, "state").await.state, at(77));
    gripped(&store, "events").await;
    let lanes = sure(store.lanes(&subscription()).await);
    let names: Vec<&str> = lanes.iter().map(|(lane, _)| lane.topic.as_str()).collect();
    assert_eq!(names, ["events", "state"], "sorted");
    assert_eq!(lanes[1].1, at(77));
    let other = "billing/covers".parse().expect("it is a reference");
    assert_eq!(sure(store.lanes(&other).await), []);
}

async fn rows_are_read_back_with_their_markers<F: StoreFixture>(fixture: &F) {
    let projection = projection();
    let store = fixture.fresh(&projection).await;
    let noted =
        vec![Value::String("c".into()), Value::Integer(i64::MIN), Value::String("\u{e9} '\"\\".into())];
    let rows = vec![
        row("a", 1, 1),
        row("b", i64::MAX, 2),
        RowWrite { key: key("c"), values: noted.clone(), marker: marker(3), had: Had::More },
    ];
    commit(&store, &projection, |batch| batch.rows = rows.clone()).await;
    let read = live(&store, &projection).await;
    for (read, written) in read.iter().zip(&rows) {
        assert_eq!(read.key.as_ref(), Some(&written.key));
        assert_eq!(read.values, as_read(written.values.clone()));
        assert_eq!(read.marker.as_ref(), Some(&written.marker));
        assert!(!read.ended);
    }
    assert_eq!(read.len(), 3);
    let asked = [key("c"), key("x"), key("a"), key("c")];
    let markers = sure(store.markers(&projection, &asked).await);
    let sequences: Vec<Option<u64>> =
        markers.iter().map(|m| m.row.as_ref().map(|row| row.sequence.0)).collect();
    assert_eq!(sequences, [Some(3), None, Some(1), Some(3)], "in the order asked");
}

async fn a_lower_sequence_writes_nothing<F: StoreFixture>(fixture: &F) {
    let projection = projection();
    let store = fixture.fresh(&projection).await;
    commit(&store, &projection, |batch| batch.rows = vec![row("a", 5, 5)]).await;
    commit(&store, &projection, |batch| batch.rows = vec![row("a", 4, 4)]).await;
    commit(&store, &projection, |batch| batch.rows = vec![row("a", 99, 5)]).await;
    commit(&store, &projection, |batch| batch.ended = vec![end("a", 3)]).await;
    assert_eq!(brief(&live(&store, &projection).await), [(as_read(values("a", 5)), Some(5))]);
    commit(&store, &projection, |batch| batch.rows = vec![row("a", 6, 6)]).await;
    assert_eq!(brief(&live(&store, &projection).await), [(as_read(values("a", 6)), Some(6))]);
}

async fn an_ended_key_leaves_its_tombstone<F: StoreFixture>(fixture: &F) {
    let projection = projection();
    let store = fixture.fresh(&projection).await;
    commit(&store, &projection, |batch| batch.rows = vec![row("a", 1, 1)]).await;
    commit(&store, &projection, |batch| batch.ended = vec![end("a", 2), end("never", 3)]).await;
    assert_eq!(live(&store, &projection).await, []);
    assert_eq!(known(&store, &projection, "a").await.ended, Some(marker(2)));
    assert_eq!(known(&store, &projection, "a").await.row, None);
    assert_eq!(known(&store, &projection, "never").await.ended, Some(marker(3)));
    commit(&store, &projection, |batch| batch.rows = vec![row("a", 9, 1)]).await;
    assert_eq!(live(&store, &projection).await, [], "an old row does not come back");
}

async fn a_kept_row_is_marked_as_ended<F: StoreFixture>(fixture: &F) {
    let projection = Projection { keep_ended: true, ..projection() };
    let store = fixture.fresh(&projection).await;
    commit(&store, &projection, |batch| batch.rows = vec![row("a", 1, 1)]).await;
    commit(&store, &projection, |batch| batch.ended = vec![end("a", 2)]).await;
    let read = live(&store, &projection).await;
    assert!(read.len() == 1 && read[0].ended, "its row stays, marked");
    assert_eq!(read[0].values, as_read(values("a", 1)));
    assert_eq!(known(&store, &projection, "a").await.ended, Some(marker(2)));
    commit(&store, &projection, |batch| batch.rows = vec![row("a", 3, 3)]).await;
    let read = live(&store, &projection).await;
    assert!(read.len() == 1 && !read[0].ended, "it is no longer ended");
}

async fn a_key_returns_after_its_end<F: StoreFixture>(fixture: &F) {
    let projection = projection();
    let store = fixture.fresh(&projection).await;
    commit(&store, &projection, |batch| batch.ended = vec![end("a", 2)]).await;
    commit(&store, &projection, |batch| batch.rows = vec![row("a", 3, 3)]).await;
    assert_eq!(brief(&live(&store, &projection).await), [(as_read(values("a", 3)), Some(3))]);
    assert_eq!(known(&store, &projection, "a").await.row, Some(marker(3)));
    commit(&store, &projection, |batch| batch.ended = vec![end("a", 2)]).await;
    assert_eq!(live(&store, &projection).await.len(), 1, "an old end does not end it");
}

async fn repairs_need_the_marker_they_saw<F: StoreFixture>(fixture: &F) {
    let projection = projection();
    let store = fixture.fresh(&projection).await;
    commit(&store, &projection, |batch| batch.rows = vec![row("a", 1, 1), row("b", 2, 2)]).await;
    fixture.tamper(&store, &projection, &Tamper::Insert(values("o", 7))).await;
    let stale = Some(marker(9));
    commit(&store, &projection, |batch| {
        batch.purge = vec![(key("a"), stale.clone()), (key("o"), stale.clone())];
        batch.restore = vec![(row("b", 20, 2), stale.clone()), (row("c", 3, 3), stale)];
    })
    .await;
    let before = [
        (as_read(values("a", 1)), Some(1)),
        (as_read(values("b", 2)), Some(2)),
        (as_read(values("o", 7)), None),
    ];
    assert_eq!(brief(&live(&store, &projection).await), before, "the markers are others by now");
    commit(&store, &projection, |batch| {
        batch.purge = vec![(key("a"), Some(marker(1))), (key("o"), None)];
        batch.restore = vec![(row("b", 20, 2), Some(marker(2))), (row("c", 3, 3), None)];
    })
    .await;
    let after = [(as_read(values("b", 20)), Some(2)), (as_read(values("c", 3)), Some(3))];
    assert_eq!(brief(&live(&store, &projection).await), after);
    assert_eq!(known(&store, &projection, "a").await, Markers::default());
}

async fn hands_are_seen_as_they_wrote<F: StoreFixture>(fixture: &F) {
    let projection = projection();
    let store = fixture.fresh(&projection).await;
    commit(&store, &projection, |batch| batch.rows = vec![row("a", 1, 1), row("b", 2, 2)]).await;
    fixture.tamper(&store, &projection, &Tamper::Set(key("a"), 1, Value::Integer(99))).await;
    fixture.tamper(&store, &projection, &Tamper::Delete(key("b"))).await;
    fixture.tamper(&store, &projection, &Tamper::Insert(values("c", 3))).await;
    let read = live(&store, &projection).await;
    assert_eq!(brief(&read), [(as_read(values("a", 99)), Some(1)), (as_read(values("c", 3)), None)]);
    assert_eq!(read[0].marker, Some(marker(1)), "a hand leaves the marker as it is");
}

pub(super) fn reaction(id: &str, sequence: u64) -> InboxRow {
    InboxRow {
        id: id.to_owned(),
        key: key("a"),
        event: "CoverBegan".to_owned(),
        sequence: Sequence(sequence),
        effective: Some("2026-01-01".to_owned()),
        reason: None,
        correlation: (sequence == 1).then(|| "c".to_owned()),
        traceparent: None,
        payload: br#"{"key":{}}"#.to_vec(),
        projection_behind: sequence == 2,
    }
}

async fn a_reaction_is_there_once<F: StoreFixture>(fixture: &F) {
    let projection = projection();
    let store = fixture.fresh(&projection).await;
    let first = vec![reaction("z", 1), reaction("b", 2)];
    commit(&store, &projection, |batch| batch.inbox = first.clone()).await;
    let again = InboxRow { event: "Other".to_owned(), ..reaction("b", 2) };
    commit(&store, &projection, |batch| batch.inbox = vec![again, reaction("a", 3)]).await;
    let all = [reaction("z", 1), reaction("b", 2), reaction("a", 3)];
    assert_eq!(fixture.inbox(&store, &projection).await, all, "in order, each as it came first");
}

fn record(topic: &str, offset: u64, text: Option<&str>) -> AsideRecord {
    let header = |value: Option<&[u8]>| Header { name: "h".to_owned(), value: value.map(<[u8]>::to_vec) };
    AsideRecord {
        lane: lane(topic),
        offset,
        key: text.map(key),
        sequence: text.map(|_| Sequence(offset)),
        received: digest_of(u128::from(offset)),
        cause: match offset % 3 {
            0 => AsideCause::Behind,
            1 => AsideCause::Gap { seen: None, named: Some(Sequence(4)) },
            _ => AsideCause::Invalid {
                rule: "TYPE".into(),
                path: "state.amount".into(),
                message: "no number".into(),
            },
        },
        raw_key: Some(vec![0, 255]),
        headers: vec![header(Some(&[1, 200])), header(None)],
        value: text.map(|_| vec![7]),
        since: moment(3),
    }
}

async fn records_aside_are_kept_as_read<F: StoreFixture>(fixture: &F) {
    let projection = projection();
    let store = fixture.fresh(&projection).await;
    let aside =
        vec![record("state", 9, Some("a")), record("state", 10, None), record("state", 11, Some("b"))];
    commit(&store, &projection, |batch| batch.aside = aside.clone()).await;
    let mut events = empty("events", &gripped(&store, "events").await);
    events.aside = vec![record("events", 30, Some("a"))];
    assert_eq!(answer(&store, &projection, &events).await, Committed::Done);
    let all: Vec<AsideRecord> = events.aside.iter().chain(&aside).cloned().collect();
    assert_eq!(sure(store.aside(&subscription(), None, 9).await), all, "by topic and offset");
    assert_eq!(sure(store.aside(&subscription(), None, 2).await), all[..2]);
    let of_key = sure(store.aside(&subscription(), Some(&key("a")), 9).await);
    assert_eq!(of_key, [all[0].clone(), all[1].clone()]);
    commit(&store, &projection, |batch| batch.released = vec![9, 11, 30]).await;
    let left = sure(store.aside(&subscription(), None, 9).await);
    assert_eq!(left, [all[0].clone(), all[2].clone()], "released are this lane's only");
}

async fn chains_are_kept_by_topic<F: StoreFixture>(fixture: &F) {
    let projection = projection();
    let store = fixture.fresh(&projection).await;
    let mut batch = empty("events", &gripped(&store, "events").await);
    batch.chains = vec![(key("a"), Sequence(5)), (key("b"), Sequence(6))];
    batch.aside = vec![record("events", 12, Some("b")), record("events", 15, Some("c"))];
    assert_eq!(answer(&store, &projection, &batch).await, Committed::Done);
    let keys = [key("c"), key("b"), key("x"), key("a")];
    let chains = sure(store.chains(&lane("events"), &keys).await);
    assert_eq!(chains, [(None, true), (Some(Sequence(6)), true), (None, false), (Some(Sequence(5)), false)]);
    let other = sure(store.chains(&lane("more-events"), &keys[3..]).await);
    assert_eq!(other, [(None, false)]);
    let mut batch = empty("events", &gripped(&store, "events").await);
    batch.chains = vec![(key("a"), Sequence(8))];
    assert_eq!(answer(&store, &projection, &batch).await, Committed::Done);
    let chains = sure(store.chains(&lane("events"), &keys[3..]).await);
    assert_eq!(chains, [(Some(Sequence(8)), false)]);
}

async fn a_state_aside_is_remembered<F: StoreFixture>(fixture: &F) {
    let projection = projection();
    let store = fixture.fresh(&projection).await;
    let of = |sequence: u64| Some((Sequence(sequence), digest_of(u128::from(sequence))));
    let states = vec![(key("a"), of(1)), (key("b"), of(2)), (key("c"), of(3))];
    commit(&store, &projection, |batch| batch.received_aside = states).await;
    assert_eq!(known(&store, &projection, "b").await.aside, of(2));
    commit(&store, &projection, |batch| batch.received_aside = vec![(key("a"), of(4)), (key("b"), None)])
        .await;
    let first = sure(store.received_aside(&projection, None, 1).await);
    assert_eq!(first, [(key("a"), Sequence(4), digest_of(4))]);
    let rest = sure(store.received_aside(&projection, Some(&key("a")), 9).await);
    assert_eq!(rest, [(key("c"), Sequence(3), digest_of(3))]);
    assert_eq!(known(&store, &projection, "b").await.aside, None);
}
