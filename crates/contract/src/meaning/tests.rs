//! What changes the digest of a meaning, and what does not.

use super::{Aspect, Uses, facets, meaning_digest};
use crate::attribute::{Attribute, Classification, Move, Origin, Shape, Type, Unit};
use crate::channel::{
    ChannelId, ChannelKind, ChannelTerms, Command, Compatibility, Event, EventGuarantees, Events, Flag,
    Guarantees, Ordering, Outcome, Replay, StateGuarantees, View,
};
use crate::contract::{Contract, Expect, Status};
use crate::estate::Estate;
use crate::id::ContractName;
use crate::path::DocumentId;
use crate::resolve::{ResolvedContract, resolve};
use proptest::prelude::{Strategy, any, prop_assert_eq, prop_assert_ne, proptest};
use std::collections::BTreeSet;

fn attribute(name: &str, meaning: &str, shape: Shape) -> Attribute {
    Attribute {
        name: name.parse().unwrap(),
        origin: Origin::Own(shape),
        meaning: meaning.to_owned(),
        optional: false,
        classification: Some(Classification::Internal),
        purposes: None,
        deprecated: None,
        computed: None,
        derived_from: Vec::new(),
    }
}

fn status() -> Shape {
    let step = |from: &str, to: &str| Move { from: from.parse().ok(), to: to.parse().ok() };
    Shape {
        values: vec![
            ("open".parse().unwrap(), "May be changed.".to_owned()),
            ("closed".parse().unwrap(), "May not.".to_owned()),
        ],
        moves: Some(vec![step("", "open"), step("open", "closed")]),
        ..Shape::of(Type::Enum)
    }
}

fn event(name: &str, meaning: &str) -> Event {
    Event {
        name: name.parse().unwrap(),
        meaning: meaning.to_owned(),
        becomes: vec![("status".parse().unwrap(), vec!["closed".parse().unwrap()])],
        sets: vec!["amount".parse().unwrap()],
        ends: false,
        with: Vec::new(),
        details: Vec::new(),
        flags: Vec::new(),
        reasons: vec![("PAID".parse().unwrap(), "Money came in.".to_owned())],
        effective: None,
        deprecated: None,
    }
}

fn contract() -> Contract {
    let money = Shape {
        unit: Some(Unit::Fixed("EUR".to_owned())),
        ..Shape::of(Type::Decimal { precision: 12, scale: 2 })
    };
    let day = Shape { zone: Some("UTC".to_owned()), ..Shape::of(Type::Date) };
    Contract {
        document: DocumentId("a/b.contract.yaml".to_owned()),
        name: ContractName { context: "a".parse().unwrap(), contract: "b".parse().unwrap() },
        version: "1.0.0".parse().unwrap(),
        frozen: false,
        status: Status::Active,
        meaning: "What is owed.".to_owned(),
        key: vec!["id".parse().unwrap()],
        partition_by: Vec::new(),
        classification: None,
        purposes: None,
        expect: Expect::default(),
        subject: None,
        attributes: vec![
            attribute("id", "Identifies it.", Shape::of(Type::Uuid)),
            attribute("status", "Whether it may be changed.", status()),
            attribute("amount", "What is owed.", money),
            attribute("due", "The last day to pay.", day),
            attribute("note", "What the clerk wrote.", Shape::of(Type::String)),
        ],
        invariants: Vec::new(),
        events: Some(Events {
            terms: ChannelTerms::default(),
            events: vec![event("BillPaid", "It was paid."), event("BillWrittenOff", "Nobody will pay.")],
        }),
        state: Some(ChannelTerms::default()),
        reference: None,
        requests: None,
        commands: Vec::new(),
        command_terms: ChannelTerms::default(),
        views: Vec::new(),
        derived: None,
        guarantees: Guarantees {
            events: Some(EventGuarantees {
                ordering: Ordering::PerKey,
                retention: "30d".parse().ok(),
                replay: Replay::AuditState,
                lateness: "1h".parse().ok(),
                freshness: "1m".parse().ok(),
                compatibility: Compatibility::Backward,
            }),
            state: Some(StateGuarantees {
                freshness: "1m".parse().ok(),
                replay: Replay::CurrentState,
                tombstones: "14d".parse().ok(),
                compatibility: Compatibility::Backward,
            }),
            ..Guarantees::default()
        },
        reconciliation: None,
        serves: Vec::new(),
        changes: Vec::new(),
    }
}

fn resolved(contract: Contract) -> ResolvedContract {
    let reference = contract.reference();
    resolve(&Estate { contracts: vec![contract], ..Estate::default() }, &reference).unwrap()
}

/// Uses `status`, `amount` and `due`, reacts to `BillPaid`, keeps the state.
fn digest(contract: Contract) -> String {
    meaning_digest(&resolved(contract), &used())
}

fn used() -> Uses {
    let channel = |kind| ChannelId { view: None, kind };
    Uses {
        attributes: ["status", "amount", "due"].map(|path| path.parse().unwrap()).into(),
        events: vec!["BillPaid".parse().unwrap()],
        channels: vec![channel(ChannelKind::State), channel(ChannelKind::Events)],
        promises: BTreeSet::from(["freshness", "lateness", "replay", "retention", "tombstones"]),
        ..Uses::default()
    }
}

/// Uses the same by a view without `amount`, sends `WriteOff`, and needs freshness alone.
fn used_by_view() -> Uses {
    let channel = |kind| ChannelId { view: "short".parse().ok(), kind };
    Uses {
        attributes: ["status", "due"].map(|path| path.parse().unwrap()).into(),
        channels: vec![channel(ChannelKind::State), channel(ChannelKind::Events)],
        commands: vec!["WriteOff".parse().unwrap()],
        promises: BTreeSet::from(["freshness", "answer"]),
        ..used()
    }
}

fn with_view() -> Contract {
    let mut with_view = contract();
    with_view.views.push(View {
        id: "short".parse().unwrap(),
        readers: vec!["c".parse().unwrap()],
        only: vec!["status".parse().unwrap(), "due".parse().unwrap()],
        events: vec!["BillPaid".parse().unwrap()],
        details: vec![("BillPaid".parse().unwrap(), "by".parse().unwrap())],
        state: true,
    });
    let command = |name: &str| Command {
        name: name.parse().unwrap(),
        meaning: "Asks.".to_owned(),
        senders: vec!["c".parse().unwrap()],
        details: vec![attribute("why", "The ground.", Shape::of(Type::String))],
        outcomes: vec![Outcome {
            name: "done".parse().unwrap(),
            meaning: "It is done.".to_owned(),
            event: None,
            details: Vec::new(),
        }],
    };
    with_view.commands = vec![command("WriteOff"), command("Remind")];
    with_view.guarantees.commands_answer = "1h".parse().ok();
    with_view.guarantees.requests_answer = "1s".parse().ok();
    let details = [("by", "Who paid."), ("bank", "Through whom.")];
    let detail = |(name, meaning)| attribute(name, meaning, Shape::of(Type::String));
    paid(&mut with_view).details = details.map(detail).into();
    let flag = Flag {
        name: "inFull".parse().unwrap(),
        is: "amount > decimal('0')".to_owned(),
        meaning: "All.".to_owned(),
    };
    paid(&mut with_view).flags.push(flag);
    with_view
}

/// What this consumer is told of, and what it is not.
const TOLD: &[(&str, Edit)] = &[
    ("a detail that the view lists", |c| paid(c).details[0].meaning = "Who sent it.".to_owned()),
    ("what a flag means", |c| paid(c).flags[0].meaning = "Nearly all.".to_owned()),
    ("what a flag is", |c| paid(c).flags[0].is = "amount > decimal('1')".to_owned()),
    ("when an event takes effect", |c| paid(c).effective = "due".parse().ok()),
    ("what an event becomes", |c| paid(c).becomes[0].1 = vec!["open".parse().unwrap()]),
    ("what a command means", |c| c.commands[0].meaning = "Orders.".to_owned()),
    ("what a command says", |c| c.commands[0].details[0].meaning = "The law.".to_owned()),
    ("what an answer means", |c| c.commands[0].outcomes[0].meaning = "It is begun.".to_owned()),
    ("how soon a command is answered", |c| c.guarantees.commands_answer = "2h".parse().ok()),
    ("freshness", |c| c.guarantees.state.as_mut().unwrap().freshness = "2m".parse().ok()),
];
const NOT_TOLD: &[(&str, Edit)] = &[
    ("a detail that the view does not list", |c| paid(c).details[1].meaning = "By whom.".to_owned()),
    ("an attribute outside of the view that an event sets", |c| paid(c).sets.clear()),
    ("an attribute outside of the view", |c| c.attributes[2].meaning = "Other.".to_owned()),
    ("who else reads the view", |c| c.views[0].readers.push("d".parse().unwrap())),
    ("a view that it is not in", |c| {
        c.views.push(View { id: "other".parse().unwrap(), ..c.views[0].clone() })
    }),
    ("a command that it does not send", |c| c.commands[1].meaning = "Orders.".to_owned()),
    ("how soon a request is answered", |c| c.guarantees.requests_answer = None),
    ("retention that it does not need", |c| {
        c.guarantees.events.as_mut().unwrap().retention = "1d".parse().ok()
    }),
    ("tombstones that it does not need", |c| c.guarantees.state.as_mut().unwrap().tombstones = None),
    ("lateness that it does not need", |c| c.guarantees.events.as_mut().unwrap().lateness = None),
];

#[test]
fn a_reader_of_a_view_is_told_what_it_is_entitled_to_and_needs() {
    let digest = |contract| meaning_digest(&resolved(contract), &used_by_view());
    let before = digest(with_view());
    for (edits, is_told) in [(TOLD, true), (NOT_TOLD, false)] {
        for (what, edit) in edits {
            let mut after = with_view();
            edit(&mut after);
            assert_eq!(before != digest(after), is_told, "{what}");
        }
    }
}

fn shape(contract: &mut Contract, idx: usize) -> &mut Shape {
    match &mut contract.attributes[idx].origin {
        Origin::Own(shape) => shape,
        Origin::Carried(_) => panic!("an own attribute"),
    }
}

fn paid(contract: &mut Contract) -> &mut Event {
    &mut contract.events.as_mut().unwrap().events[0]
}

type Edit = fn(&mut Contract);

/// What a consumer relies on: each of these must be read again.
const USED: &[(&str, Edit)] = &[
    ("meaning of an attribute", |c| c.attributes[1].meaning = "Other.".to_owned()),
    ("precision of a type", |c| shape(c, 2).ty = Type::Decimal { precision: 12, scale: 3 }),
    ("type", |c| shape(c, 3).ty = Type::Timestamp),
    ("binary floating-point", |c| shape(c, 2).approximate = true),
    ("a value", |c| shape(c, 1).values[1].0 = "ended".parse().unwrap()),
    ("meaning of a value", |c| shape(c, 1).values[1].1 = "Paid or not.".to_owned()),
    ("one value more", |c| shape(c, 1).values.push(("held".parse().unwrap(), "Waits.".to_owned()))),
    ("values not listed", |c| shape(c, 1).open = true),
    ("moves", |c| shape(c, 1).moves = None),
    ("one move less", |c| drop(shape(c, 1).moves.as_mut().unwrap().pop())),
    ("unit", |c| shape(c, 2).unit = Some(Unit::Fixed("CHF".to_owned()))),
    ("unit in another attribute", |c| shape(c, 2).unit = Some(Unit::In("note".parse().unwrap()))),
    ("zone", |c| shape(c, 3).zone = Some("Europe/Berlin".to_owned())),
    ("optional", |c| c.attributes[3].optional = true),
    ("meaning of an event", |c| paid(c).meaning = "Paid in part.".to_owned()),
    ("what becomes", |c| paid(c).becomes[0].1 = vec!["open".parse().unwrap()]),
    ("the end of the key", |c| paid(c).ends = true),
    ("what an event sets", |c| paid(c).sets.push("due".parse().unwrap())),
    ("a reason", |c| paid(c).reasons.clear()),
    ("meaning of a reason", |c| paid(c).reasons[0].1 = "A letter came in.".to_owned()),
    ("retention", |c| c.guarantees.events.as_mut().unwrap().retention = "7d".parse().ok()),
    ("replay of events", |c| c.guarantees.events.as_mut().unwrap().replay = Replay::BestEffort),
    ("lateness", |c| c.guarantees.events.as_mut().unwrap().lateness = None),
    ("freshness of events", |c| c.guarantees.events.as_mut().unwrap().freshness = "2m".parse().ok()),
    ("freshness", |c| c.guarantees.state.as_mut().unwrap().freshness = "1m p90".parse().ok()),
    ("replay of state", |c| c.guarantees.state.as_mut().unwrap().replay = Replay::BestEffort),
    ("tombstones", |c| c.guarantees.state.as_mut().unwrap().tombstones = "7d".parse().ok()),
];

/// What a consumer does not rely on: none of these may disturb it.
const UNUSED: &[(&str, Edit)] = &[
    ("another attribute", |c| c.attributes[4].meaning = "Other.".to_owned()),
    ("another attribute's type", |c| shape(c, 4).ty = Type::Integer),
    ("one attribute less", |c| drop(c.attributes.pop())),
    ("another event", |c| c.events.as_mut().unwrap().events[1].meaning = "Other.".to_owned()),
    ("the contract's own meaning", |c| c.meaning = "Other.".to_owned()),
    ("version", |c| c.version = "1.9.3".parse().unwrap()),
    ("classification", |c| c.attributes[1].classification = Some(Classification::Pii)),
    ("a bound", |c| shape(c, 2).min = Some("0".to_owned())),
    ("order of attributes", |c| c.attributes.swap(1, 3)),
    ("order of values", |c| shape(c, 1).values.reverse()),
    ("order of moves", |c| shape(c, 1).moves.as_mut().unwrap().reverse()),
    ("what travels along", |c| paid(c).with.push("note".parse().unwrap())),
    ("line breaks in a sentence", |c| c.attributes[1].meaning = "Whether it\n may be  changed.".to_owned()),
];

#[test]
fn each_used_facet_changes_the_digest() {
    let before = digest(contract());
    for (what, edit) in USED {
        let mut after = contract();
        edit(&mut after);
        assert_ne!(before, digest(after), "{what}");
    }
}

#[test]
fn nothing_else_changes_the_digest() {
    let before = digest(contract());
    for (what, edit) in UNUSED {
        let mut after = contract();
        edit(&mut after);
        assert_eq!(before, digest(after), "{what}");
    }
}

#[test]
fn a_channel_that_is_not_used_promises_nothing() {
    let state_alone = Uses { channels: used().channels[..1].to_vec(), ..used() };
    let listed = facets(&resolved(contract()), &state_alone);
    let subjects: BTreeSet<&str> = listed
        .iter()
        .filter(|facet| facet.aspect == Aspect::Guarantee)
        .map(|facet| facet.subject.as_str())
        .collect();
    assert_eq!(subjects, BTreeSet::from(["state"]));
}

#[test]
fn the_form_of_the_digest_is_frozen() {
    // Accepted meanings are stored in subscriptions: this value changes only together with `FORM`.
    assert_eq!(digest(contract()), "b3-776970c2");
}

fn edits(from: &'static [(&'static str, Edit)]) -> impl Strategy<Value = Vec<Edit>> {
    proptest::collection::vec(any::<proptest::sample::Index>(), 0..8)
        .prop_map(|picks| picks.iter().map(|pick| pick.get(from).1).collect())
}

proptest! {
    #[test]
    fn unused_edits_in_any_order_leave_the_digest(edits in edits(UNUSED), text in "\\PC*") {
        let mut after = contract();
        // Attributes are swapped and dropped by position, so each edit begins with an untouched contract.
        after.attributes[4].meaning = text;
        for edit in edits {
            let mut once = after.clone();
            edit(&mut once);
            prop_assert_eq!(digest(once), digest(contract()));
        }
    }

    #[test]
    fn any_other_words_change_the_digest(text in "\\PC*") {
        let words = |text: &str| text.split_whitespace().map(ToOwned::to_owned).collect::<Vec<_>>();
        let mut after = contract();
        let same = words(&text) == words(&after.attributes[1].meaning);
        after.attributes[1].meaning = text;
        if same {
            prop_assert_eq!(digest(after), digest(contract()));
        } else {
            prop_assert_ne!(digest(after), digest(contract()));
        }
    }

    #[test]
    fn two_used_edits_are_told_apart(one in any::<proptest::sample::Index>(), two in any::<proptest::sample::Index>()) {
        let (one, two) = (one.get(USED), two.get(USED));
        let (mut left, mut right) = (contract(), contract());
        one.1(&mut left);
        two.1(&mut right);
        prop_assert_eq!(digest(left) == digest(right), one.0 == two.0);
    }
}
