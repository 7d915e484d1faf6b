//! Channels: events, views, commands, what every channel says, and what is promised on each.

use super::attribute::{Home, Inherited, Side, members};
use super::change::{Aspect, Effect, Target};
use super::walk::{NOTED, Named, RELIED_ON, Spot, WORDS_ONLY, Walk, When, matched};
use seamline_contract::attribute::Attribute;
use seamline_contract::channel::{
    Cadence, ChannelTerms, Command, Compatibility, Encoding, Event, EventGuarantees, Events, Flag,
    Guarantees, Ordering, Outcome, ReferenceGuarantees, Replay, StateGuarantees, View,
};
use seamline_contract::measure::{Span, Within};

const PRESENT: &str = "present";

/// Events and what their channel says.
pub(super) fn events(
    walk: &mut Walk,
    spot: &Spot,
    (old, new): (Option<&Events>, Option<&Events>),
    inherited: (Inherited<'_>, Inherited<'_>),
) {
    let spot = &spot.key("events").of(Target::Channel("events"));
    let (Some(old), Some(new)) = (old, new) else {
        let sides = (old.map(|_| PRESENT.to_owned()), new.map(|_| PRESENT.to_owned()));
        return walk.field(spot, "", Aspect::Channel, sides, RELIED_ON);
    };
    let Events { terms, events } = old;
    channel_terms(walk, spot, (terms, &new.terms));
    for (old, new) in matched(events, &new.events, |event| event.name.clone()) {
        let Some(name) = old.or(new).map(|event| &event.name) else { continue };
        let spot = spot.key(name.as_str()).of(Target::Event(name.clone()));
        event(walk, &spot, (old, new), inherited);
    }
}

fn event(
    walk: &mut Walk,
    spot: &Spot,
    (old, new): (Option<&Event>, Option<&Event>),
    inherited: (Inherited<'_>, Inherited<'_>),
) {
    let (Some(old), Some(new)) = (old, new) else {
        let text = |event: Option<&Event>| event.map(|event| event.meaning.clone());
        return walk.field(spot, "", Aspect::Shape, (text(old), text(new)), RELIED_ON);
    };
    let Event { name, meaning, becomes: _, sets, ends, with, details, flags, reasons, effective, deprecated } =
        old;
    walk.words(spot, "meaning", (meaning, &new.meaning));
    becoming(walk, spot, (old, new));
    let when = When {
        comes: (Effect::Additive, "it may change more than before"),
        goes: (Effect::Breaking, "it no longer tells of that attribute"),
        ..NOTED
    };
    walk.names(spot, "sets", Aspect::Meaning, (sets, &new.sets), when);
    let flag = |it: bool| it.then(|| "true".to_owned());
    let verdict = (Effect::Breaking, "what it does to the key is another thing");
    let when = When { comes: verdict, goes: verdict, changes: verdict };
    walk.field(spot, "ends", Aspect::Meaning, (flag(*ends), flag(new.ends)), when);
    walk.names(spot, "with", Aspect::Shape, (with, &new.with), RELIED_ON);
    let inner = spot.key("details");
    members(walk, (Home::Event(name), None), &inner, (details, &new.details), inherited, Side::Read);
    flagged(walk, spot, (flags, &new.flags));
    reasoned(walk, spot, (reasons, &new.reasons));
    let text = |it: &Option<_>| it.as_ref().map(ToString::to_string);
    let verdict = (Effect::Breaking, "it takes effect at another moment");
    let when = When { comes: verdict, goes: verdict, changes: verdict };
    walk.field(spot, "effective", Aspect::Meaning, (text(effective), text(&new.effective)), when);
    let when = When { comes: (Effect::Additive, "readers should leave it"), ..WORDS_ONLY };
    walk.field(spot, "deprecated", Aspect::Guarantee, (deprecated.clone(), new.deprecated.clone()), when);
}

/// What an event becomes: an attribute more is news, one less or another value breaks who reacts.
fn becoming(walk: &mut Walk, spot: &Spot, (old, new): (&Event, &Event)) {
    for (old, new) in matched(&old.becomes, &new.becomes, |(attribute, _)| attribute.clone()) {
        let text = |side: Option<&(_, Vec<_>)>| {
            side.map(|(attribute, values)| {
                let values: Vec<String> = values.iter().map(ToString::to_string).collect();
                format!("{attribute}: {}", values.join(" or "))
            })
        };
        let narrower = match (old, new) {
            (Some((_, old)), Some((_, new))) => new.iter().all(|value| old.contains(value)),
            _ => false,
        };
        let changes = match narrower {
            true => (Effect::Additive, "fewer values may come of it than before"),
            false => (Effect::Breaking, "what it says has become is another thing"),
        };
        let when = When {
            comes: (Effect::Additive, "it says more than before"),
            goes: (Effect::Breaking, "it no longer says what has become"),
            changes,
        };
        walk.field(spot, "becomes", Aspect::Meaning, (text(old), text(new)), when);
    }
}

fn flagged(walk: &mut Walk, spot: &Spot, (old, new): (&[Flag], &[Flag])) {
    for (old, new) in matched(old, new, |flag| flag.name.clone()) {
        let Some(Flag { name, is: _, meaning: _ }) = old.or(new) else { continue };
        let spot = spot.key("flags").key(name.as_str());
        let is = |flag: Option<&Flag>| flag.map(|flag| format!("{name}: {}", flag.is));
        walk.field(&spot, "is", Aspect::Meaning, (is(old), is(new)), RELIED_ON);
        if let (Some(old), Some(new)) = (old, new) {
            walk.words(&spot, "meaning", (&old.meaning, &new.meaning));
        }
    }
}

/// Reasons are a closed set once there are any.
fn reasoned<R: Ord + Clone + ToString>(walk: &mut Walk, spot: &Spot, (old, new): Named<'_, R, String>) {
    let was_open = old.is_empty();
    for (old, new) in matched(old, new, |(reason, _)| reason.clone()) {
        let Some((reason, _)) = old.or(new) else { continue };
        let code = reason.to_string();
        let spot = spot.key("reasons").key(&code);
        match (old, new) {
            (Some((_, old)), Some((_, new))) => walk.words_at(&spot, "reasons", (old, new)),
            _ => {
                let text = |it: Option<&_>| it.map(|_| code.clone());
                let when = When {
                    comes: match was_open {
                        true => (Effect::Additive, "it gave no reason before"),
                        false => (Effect::Breaking, "readers know all reasons, and not this one"),
                    },
                    goes: (Effect::Additive, "it does not come any more"),
                    ..NOTED
                };
                let verdict = if old.is_none() { when.comes } else { when.goes };
                walk.note(&spot, "reasons", Aspect::Meaning, (text(old), text(new)), verdict);
            }
        }
    }
}

/// One of a contract's own channels beside events.
pub(super) fn channel(
    walk: &mut Walk,
    spot: &Spot,
    name: &'static str,
    (old, new): (Option<&ChannelTerms>, Option<&ChannelTerms>),
) {
    let spot = &spot.key(name).of(Target::Channel(name));
    match (old, new) {
        (Some(old), Some(new)) => channel_terms(walk, spot, (old, new)),
        _ => {
            let sides = (old.map(|_| PRESENT.to_owned()), new.map(|_| PRESENT.to_owned()));
            walk.field(spot, "", Aspect::Channel, sides, RELIED_ON);
        }
    }
}

fn channel_terms(walk: &mut Walk, spot: &Spot, (old, new): (&ChannelTerms, &ChannelTerms)) {
    let ChannelTerms { readers, cadence, encoding, limit_bytes } = old;
    match (readers, &new.readers) {
        (Some(old), Some(new)) => walk.names(spot, "for", Aspect::Privacy, (old, new), READERS),
        (old, new) => {
            let text = |it: &Option<Vec<_>>| {
                it.as_ref().map(|it| it.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
            };
            let when = When {
                comes: (Effect::Breaking, "only these may read it now"),
                goes: (Effect::Additive, "whoever the classification allows may read it now"),
                ..NOTED
            };
            walk.field(spot, "for", Aspect::Privacy, (text(old), text(new)), when);
        }
    }
    let text = |it: &Cadence| match it {
        Cadence::Continuous => None,
        Cadence::At(times) => Some(times.clone()),
    };
    let when = When {
        comes: (Effect::Breaking, "it comes at fixed times only"),
        goes: (Effect::Additive, "it comes as it happens"),
        changes: (Effect::Breaking, "it comes at other times"),
    };
    walk.field(spot, "cadence", Aspect::Guarantee, (text(cadence), text(&new.cadence)), when);
    let text = |it: Encoding| match it {
        Encoding::Json => "json".to_owned(),
        Encoding::Avro => "avro".to_owned(),
        Encoding::Sealed => "sealed".to_owned(),
    };
    let verdict = (Effect::Breaking, "readers expect other bytes");
    let sides = (Some(text(*encoding)), Some(text(new.encoding)));
    walk.note(&spot.key("encoding"), "encoding", Aspect::Channel, sides, verdict);
    let verdict = match new.limit_bytes > *limit_bytes {
        true => (Effect::Breaking, "larger values may come than before"),
        false => (Effect::Additive, "values are smaller than before"),
    };
    let sides = (Some(limit_bytes.to_string()), Some(new.limit_bytes.to_string()));
    walk.note(&spot.key("limit"), "limit", Aspect::Guarantee, sides, verdict);
}

const READERS: When = When {
    comes: (Effect::Additive, "one more may read it"),
    goes: (Effect::Breaking, "it may no longer read it"),
    changes: (Effect::Breaking, "it may no longer read it"),
};

/// Views, each with topics of its own.
pub(super) fn views(walk: &mut Walk, spot: &Spot, (old, new): (&[View], &[View])) {
    for (old, new) in matched(old, new, |view| view.id.clone()) {
        let Some(id) = old.or(new).map(|view| &view.id) else { continue };
        let spot = &spot.key("views").key(id.as_str()).of(Target::View(id.clone()));
        let (Some(old), Some(new)) = (old, new) else {
            let text = |view: Option<&View>| {
                view.map(|view| view.only.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
            };
            walk.field(spot, "", Aspect::Channel, (text(old), text(new)), RELIED_ON);
            continue;
        };
        let View { id: _, readers, only, events, details, state } = old;
        walk.names(spot, "for", Aspect::Privacy, (readers, &new.readers), READERS);
        let when = When {
            comes: (Effect::Additive, "its readers are told more"),
            goes: (Effect::Breaking, "who relies on it has nothing left"),
            ..NOTED
        };
        walk.names(spot, "only", Aspect::Privacy, (only, &new.only), when);
        walk.names(spot, "events", Aspect::Channel, (events, &new.events), RELIED_ON);
        let text = |details: &[(_, _)]| -> Vec<String> {
            details.iter().map(|(event, detail)| format!("{event}.{detail}")).collect()
        };
        walk.names(spot, "details", Aspect::Privacy, (&text(details), &text(&new.details)), when);
        let has = |it: bool| it.then(|| "true".to_owned());
        walk.field(spot, "state", Aspect::Channel, (has(*state), has(new.state)), RELIED_ON);
    }
}

/// What the channel of commands says, and the commands in it.
type Commands<'a> = (&'a ChannelTerms, &'a [Command]);

/// Commands: others write them, the owner answers.
pub(super) fn commands(
    walk: &mut Walk,
    spot: &Spot,
    ((old_terms, old), (new_terms, new)): (Commands<'_>, Commands<'_>),
    inherited: (Inherited<'_>, Inherited<'_>),
) {
    let channel = spot.key("commands").of(Target::Channel("commands"));
    channel_terms(walk, &channel, (old_terms, new_terms));
    for (old, new) in matched(old, new, |command| command.name.clone()) {
        let Some(name) = old.or(new).map(|command| &command.name) else { continue };
        let spot = &spot.key("commands").key(name.as_str()).of(Target::Command(name.clone()));
        let (Some(old), Some(new)) = (old, new) else {
            let text = |command: Option<&Command>| command.map(|command| command.meaning.clone());
            walk.field(spot, "", Aspect::Channel, (text(old), text(new)), RELIED_ON);
            continue;
        };
        let Command { name: _, meaning, senders, details, outcomes } = old;
        walk.words(spot, "meaning", (meaning, &new.meaning));
        let when = When {
            comes: (Effect::Additive, "one more may send it"),
            goes: (Effect::Breaking, "it may no longer send it"),
            ..NOTED
        };
        walk.names(spot, "for", Aspect::Privacy, (senders, &new.senders), when);
        let inner = &spot.key("details");
        said(walk, inner, "details", (details, &new.details), inherited, Side::Written);
        answers(walk, spot, (outcomes, &new.outcomes), inherited);
    }
}

/// What a command or an answer says stands under the command's own name: `changes` has none for it. `spot` is that of the mapping.
fn said(
    walk: &mut Walk,
    spot: &Spot,
    facet: &'static str,
    sides: (&[Attribute], &[Attribute]),
    inherited: (Inherited<'_>, Inherited<'_>),
    side: Side,
) {
    let mut inner = Walk::new(walk.subject.clone());
    members(&mut inner, (Home::State, None), spot, sides, inherited, side);
    for mut change in inner.changes {
        change.target = spot.target.clone();
        if change.facet.is_empty() {
            change.facet = facet;
        }
        walk.changes.push(change);
    }
}

fn answers(
    walk: &mut Walk,
    spot: &Spot,
    (old, new): (&[Outcome], &[Outcome]),
    inherited: (Inherited<'_>, Inherited<'_>),
) {
    for (old, new) in matched(old, new, |outcome| outcome.name.clone()) {
        let Some(Outcome { name, meaning: _, event: _, details: _ }) = old.or(new) else { continue };
        let spot = spot.key("outcomes").key(name.as_str());
        let (Some(old), Some(new)) = (old, new) else {
            let text = |outcome: Option<&Outcome>| outcome.map(|outcome| outcome.name.to_string());
            let verdict = match old {
                None => (Effect::Breaking, "senders know all answers, and not this one"),
                Some(_) => (Effect::Additive, "it does not come any more"),
            };
            walk.note(&spot, "outcomes", Aspect::Meaning, (text(old), text(new)), verdict);
            continue;
        };
        walk.words(&spot, "meaning", (&old.meaning, &new.meaning));
        let text = |it: &Outcome| it.event.as_ref().map(|event| format!("{name}: {event}"));
        let verdict = (Effect::Breaking, "another event tells of it");
        let when =
            When { comes: (Effect::Additive, "an event tells of it"), goes: verdict, changes: verdict };
        walk.field(&spot, "event", Aspect::Meaning, (text(old), text(new)), when);
        let inner = &spot.key("details");
        said(walk, inner, "outcomes", (&old.details, &new.details), inherited, Side::Read);
    }
}

/// What is promised, by channel.
pub(super) fn guarantees(walk: &mut Walk, spot: &Spot, (old, new): (&Guarantees, &Guarantees)) {
    let Guarantees { events, state, reference, commands_answer, requests_freshness, requests_answer } = old;
    let spot = spot.key("guarantees");
    let nothing = EventGuarantees {
        ordering: Ordering::PerKey,
        retention: None,
        replay: Replay::BestEffort,
        lateness: None,
        freshness: None,
        compatibility: Compatibility::Backward,
    };
    if events.is_some() || new.events.is_some() {
        let sides = (events.as_ref().unwrap_or(&nothing), new.events.as_ref().unwrap_or(&nothing));
        of_events(walk, &spot.key("events"), sides);
    }
    let nothing = StateGuarantees {
        freshness: None,
        replay: Replay::BestEffort,
        tombstones: None,
        compatibility: Compatibility::Backward,
    };
    if state.is_some() || new.state.is_some() {
        let sides = (state.as_ref().unwrap_or(&nothing), new.state.as_ref().unwrap_or(&nothing));
        of_state(walk, &spot.key("state"), sides);
    }
    of_reference(walk, &spot.key("reference"), (reference.as_ref(), new.reference.as_ref()));
    within(walk, &spot.key("commands"), ("commands", "answer"), (commands_answer, &new.commands_answer));
    let requests = &spot.key("requests");
    within(walk, requests, ("requests", "freshness"), (requests_freshness, &new.requests_freshness));
    within(walk, requests, ("requests", "answer"), (requests_answer, &new.requests_answer));
}

fn of_events(walk: &mut Walk, spot: &Spot, (old, new): (&EventGuarantees, &EventGuarantees)) {
    let EventGuarantees { ordering, retention, replay, lateness, freshness, compatibility } = old;
    // There is one order to promise, so that two texts never differ in it.
    let (Ordering::PerKey, Ordering::PerKey) = (ordering, new.ordering);
    kept(walk, spot, ("events", "retention"), (retention, &new.retention));
    replayed(walk, spot, "events", (*replay, new.replay));
    within(walk, spot, ("events", "lateness"), (lateness, &new.lateness));
    within(walk, spot, ("events", "freshness"), (freshness, &new.freshness));
    readable(walk, spot, "events", (*compatibility, new.compatibility));
}

fn of_state(walk: &mut Walk, spot: &Spot, (old, new): (&StateGuarantees, &StateGuarantees)) {
    let StateGuarantees { freshness, replay, tombstones, compatibility } = old;
    within(walk, spot, ("state", "freshness"), (freshness, &new.freshness));
    replayed(walk, spot, "state", (*replay, new.replay));
    kept(walk, spot, ("state", "tombstones"), (tombstones, &new.tombstones));
    readable(walk, spot, "state", (*compatibility, new.compatibility));
}

fn of_reference(
    walk: &mut Walk,
    spot: &Spot,
    (old, new): (Option<&ReferenceGuarantees>, Option<&ReferenceGuarantees>),
) {
    if old.is_none() && new.is_none() {
        return;
    }
    let of = |it: Option<&ReferenceGuarantees>| match it {
        Some(ReferenceGuarantees { freshness, sets, compatibility }) => {
            (*freshness, Some(*sets), *compatibility)
        }
        None => (None, None, Compatibility::Backward),
    };
    let (old, new) = (of(old), of(new));
    within(walk, spot, ("reference", "freshness"), (&old.0, &new.0));
    let sets = spot.of(Target::Guarantee("reference", "sets"));
    let sides = (old.1.as_ref(), new.1.as_ref());
    walk.promise(&sets, "sets", Aspect::Guarantee, sides, |old, new| new >= old);
    readable(walk, spot, "reference", (old.2, new.2));
}

fn readable(walk: &mut Walk, spot: &Spot, channel: &'static str, (old, new): (Compatibility, Compatibility)) {
    let spot = spot.of(Target::Guarantee(channel, "compatibility"));
    let sides = (Some(&old), Some(&new));
    walk.promise(&spot, "compatibility", Aspect::Guarantee, sides, |old, new| new >= old);
}

type Promise = (&'static str, &'static str);

fn kept(walk: &mut Walk, spot: &Spot, promise: Promise, (old, new): (&Option<Span>, &Option<Span>)) {
    let spot = spot.of(Target::Guarantee(promise.0, promise.1));
    walk.promise(&spot, promise.1, Aspect::Guarantee, (old.as_ref(), new.as_ref()), |old, new| new >= old);
}

fn within(walk: &mut Walk, spot: &Spot, promise: Promise, (old, new): (&Option<Within>, &Option<Within>)) {
    let spot = spot.of(Target::Guarantee(promise.0, promise.1));
    let sides = (old.as_ref(), new.as_ref());
    walk.promise(&spot, promise.1, Aspect::Guarantee, sides, |old, new| new.covers(old));
}

fn replayed(walk: &mut Walk, spot: &Spot, channel: &'static str, (old, new): (Replay, Replay)) {
    let spot = spot.of(Target::Guarantee(channel, "replay"));
    walk.promise(&spot, "replay", Aspect::Guarantee, (Some(&old), Some(&new)), |old, new| new >= old);
}
