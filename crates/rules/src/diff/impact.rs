//! Whom a change breaks: each consumer that uses what changed, by which text of its own, and what it must do.

use super::change::{Change, Effect, Subject, Target};
use super::{Diff, Sides};
use crate::uses::Reading;
use seamline_contract::channel::{ChannelKind, Replay};
use seamline_contract::context::RelationKind;
use seamline_contract::contract::Contract;
use seamline_contract::estate::Estate;
use seamline_contract::id::{
    AttributePath, ContextId, ContractRef, EventName, Major, SubscriptionRef, TeamId,
};
use seamline_contract::measure::{Span, Within};
use seamline_contract::subscription::{Needs, Subscription};
use seamline_expr::scope::Scope;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// What becomes of a consumer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// It reads words that nobody classified: it must read and accept them, or they must be declared.
    MustRead,
    /// It lives on the older major, and must move.
    MustMove {
        /// The last day, `YYYY-MM-DD`; empty when none is written.
        until: String,
    },
    /// It breaks when this ships.
    Breaks,
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fate::MustRead => f.write_str("must read it and accept it"),
            Fate::MustMove { until } if until.is_empty() => f.write_str("must move to the new major"),
            Fate::MustMove { until } => write!(f, "must move to the new major by {until}"),
            Fate::Breaks => f.write_str("breaks"),
        }
    }
}

/// One consumer that a change touches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Impact {
    /// The change, as a place in `Diff::changes`.
    pub change: usize,
    /// The consumer.
    pub subscription: SubscriptionRef,
    /// Its team, where its context is known.
    pub team: Option<TeamId>,
    /// By what it is touched, in the words of its own text; never empty.
    pub by: Vec<String>,
    /// What becomes of it.
    pub fate: Fate,
    /// Its team may refuse the change.
    pub may_veto: bool,
}

/// Returns whom the changes of a diff touch, by change, then by subscription. Changes that leave readers right touch nobody.
/// Consumers are those of the new estate: one that was moved or mended together with the contract is not touched.
pub fn impacts(sides: &Sides<'_>, diff: &Diff) -> Vec<Impact> {
    if diff.changes.iter().all(|it| it.effect < Effect::Unhandled) {
        return Vec::new();
    }
    let (old, new) = (sides.old.estate, sides.new.estate);
    let mut readings: Vec<(Reading<'_>, &Subscription)> = Vec::new();
    for subscription in &new.subscriptions {
        let contract = sides.old.resolutions.get(&subscription.contract).and_then(|it| it.as_ref().ok());
        let scope = contract.map(Scope::of).unwrap_or_default();
        readings.push((Reading::new(subscription, contract, &scope), subscription));
    }
    let mut impacts = Vec::new();
    for (idx, change) in diff.changes.iter().enumerate().filter(|(_, it)| it.effect >= Effect::Unhandled) {
        let Some((reference, fate)) = fate(old, new, change) else { continue };
        for (reading, subscription) in readings.iter().filter(|(_, it)| it.contract == reference) {
            let by = touched(reading, change);
            if by.is_empty() {
                continue;
            }
            impacts.push(Impact {
                change: idx,
                subscription: subscription.name.clone(),
                team: new.context(&subscription.name.context).map(|context| context.team.clone()),
                by,
                fate: fate.clone(),
                may_veto: may_veto(new, &subscription.name.context, &reference.name.context),
            });
        }
    }
    impacts
}

/// Returns which major's readers a change meets, and what becomes of them.
fn fate(old: &Estate, new: &Estate, change: &Change) -> Option<(ContractRef, Fate)> {
    let name = match &change.subject {
        Subject::Contract(name) | Subject::Publication(name) => name,
        Subject::Frozen(reference) => return Some((reference.clone(), Fate::Breaks)),
        Subject::Subscription(_)
        | Subject::Context(_)
        | Subject::Environment(_)
        | Subject::Migration(_)
        | Subject::Standard(_)
        | Subject::Waiver(_)
        | Subject::Settings => return None,
    };
    let before = old.current(name)?.reference();
    let after = new.current(name);
    if let Target::Serves(major) = change.target {
        return Some(served(old.current(name)?, major, change));
    }
    if after.is_some_and(|after| after.version.major > before.major) && new.contract(&before).is_some() {
        let serves = after?.serves.iter().find(|it| it.version == before.major);
        let until = serves.map(|it| it.until.clone()).unwrap_or_default();
        return Some((before, Fate::MustMove { until }));
    }
    let fate = if change.effect == Effect::Unhandled { Fate::MustRead } else { Fate::Breaks };
    Some((before, fate))
}

/// Returns whom it meets how an older major is served: those who read by it, or, of how history reads, those of the next newer one.
fn served(current: &Contract, major: u32, change: &Change) -> (ContractRef, Fate) {
    let newer = current.serves.iter().map(|it| it.version).filter(|it| it.0 > major).min();
    let major = match change.facet {
        "read" => newer.unwrap_or(current.version.major),
        _ => Major(major),
    };
    let fate = match (&change.new, change.facet) {
        (Some(until), "until") => Fate::MustMove { until: until.text.clone() },
        _ => Fate::Breaks,
    };
    (ContractRef { major, ..current.reference() }, fate)
}

/// Returns whether a downstream context may refuse a change of an upstream one.
fn may_veto(estate: &Estate, consumer: &ContextId, producer: &ContextId) -> bool {
    let relations = estate.context(consumer).map(|context| context.relations.as_slice()).unwrap_or_default();
    relations.iter().filter(|relation| &relation.with == producer).any(|relation| {
        let implied = |kind| matches!(kind, &RelationKind::CustomerSupplier | &RelationKind::Partnership);
        relation.veto.unwrap_or(relation.kinds.iter().any(implied))
    })
}

/// Returns by what of its text a consumer is touched; nothing when it is not.
fn touched(reading: &Reading<'_>, change: &Change) -> Vec<String> {
    if !is_meant(reading, change) {
        return Vec::new();
    }
    let subscription = reading.subscription;
    let all = || vec![format!("`contract: {}`", subscription.contract)];
    let only = |is: bool, text: String| if is { vec![text] } else { Vec::new() };
    match &change.target {
        Target::Whole | Target::Other(..) => all(),
        Target::Attribute(path) => by_attribute(reading, path),
        Target::Value(path, _) => by_attribute(reading, path),
        Target::Event(event) => by_event(reading, event),
        Target::Detail(event, _) | Target::DetailValue(event, ..) => by_event(reading, event),
        Target::Command(command) => only(subscription.sends.contains(command), format!("`sends: {command}`")),
        Target::View(view) => only(subscription.view.as_ref() == Some(view), format!("`view: {view}`")),
        Target::Channel(channel) => {
            let is_own = subscription.view.is_none();
            only(is_own && reads(reading, channel), format!("the channel `{channel}`"))
        }
        Target::Guarantee(channel, promise) => {
            let needs = subscription.needs.as_ref();
            let is_short =
                reads(reading, channel) && needs.is_some_and(|needs| is_needed(needs, promise, change));
            only(is_short, format!("`needs.{promise}`"))
        }
        Target::Serves(_) => match change.facet {
            "read" | "write" => mapped(change).map(|path| by_attribute(reading, &path)).unwrap_or_default(),
            "events" => mapped(change).map(|event| by_event(reading, &event)).unwrap_or_default(),
            _ => all(),
        },
    }
}

/// Returns what a line of a mapping is about.
fn mapped<T: FromStr>(change: &Change) -> Option<T> {
    let side = change.new.as_ref().or(change.old.as_ref())?;
    side.text.split_once(':')?.0.parse().ok()
}

/// Returns whether this consumer, or what it has, is no longer on a list: of readers, purposes, attributes or events.
fn is_meant(reading: &Reading<'_>, change: &Change) -> bool {
    let gone = change.old.as_ref().map(|side| side.text.as_str()).unwrap_or_default();
    let leaves_out = |name: &str| match (&change.old, &change.new) {
        (None, Some(list)) => list.text.split(", ").all(|it| it != name),
        _ => gone == name,
    };
    if matches!(change.target, Target::Serves(_)) {
        return true;
    }
    match change.facet {
        "for" => leaves_out(reading.subscription.name.context.as_str()),
        "purposes" => reading.subscription.purpose.as_ref().is_none_or(|it| leaves_out(it.as_str())),
        "only" => gone.parse().is_ok_and(|path: AttributePath| !by_attribute(reading, &path).is_empty()),
        "events" => reading.uses.events.iter().any(|event| event.as_str() == gone),
        "state" => reads(reading, "state"),
        _ => true,
    }
}

fn reads(reading: &Reading<'_>, channel: &str) -> bool {
    match channel {
        "events" => reading.uses.channels.iter().any(|it| it.kind == ChannelKind::Events),
        "state" => reading.uses.channels.iter().any(|it| it.kind == ChannelKind::State),
        "requests" => !reading.subscription.asks.is_empty(),
        "commands" => !reading.subscription.sends.is_empty(),
        _ => false,
    }
}

/// Returns whether what is promised now no longer covers a need that it covered.
fn is_needed(needs: &Needs, promise: &str, change: &Change) -> bool {
    let now = change.new.as_ref().map(|side| side.text.as_str());
    let within = |need: Option<Within>| {
        need.is_some_and(|need| {
            now.and_then(|now| now.parse().ok()).is_none_or(|now: Within| !now.covers(&need))
        })
    };
    let kept = |need: Option<Span>| {
        need.is_some_and(|need| now.and_then(|now| now.parse().ok()).is_none_or(|now: Span| now < need))
    };
    match promise {
        "freshness" => within(needs.freshness),
        "lateness" => within(needs.lateness),
        "answer" => within(needs.answer),
        "retention" => kept(needs.retention),
        "tombstones" => kept(needs.tombstones),
        "replay" => needs.replay.is_some_and(|need| {
            let replays = [Replay::BestEffort, Replay::CurrentState, Replay::AuditState];
            replays.into_iter().find(|it| Some(it.to_string().as_str()) == now) < Some(need)
        }),
        _ => false,
    }
}

/// Returns the columns, requests and reactions by which an attribute, a member of it or what it is a member of is used.
fn by_attribute(reading: &Reading<'_>, path: &AttributePath) -> Vec<String> {
    let once: BTreeSet<String> =
        reading.landings_of_attribute(path).iter().map(ToString::to_string).collect();
    once.into_iter().collect()
}

fn by_event(reading: &Reading<'_>, event: &EventName) -> Vec<String> {
    reading.landings_of_event(event).iter().map(ToString::to_string).collect()
}
