//! What consumers need is covered by what is promised.

use crate::review::Review;
use crate::rule::{Category, Rule};
use seamline_contract::channel::{Cadence, ChannelKind, Replay};
use seamline_contract::finding::{Finding, Level};
use seamline_contract::measure::{Span, Within};
use seamline_contract::path::ModelPath;
use seamline_contract::resolve::ResolvedContract;
use seamline_contract::subscription::{Consistency, Needs, Subscription};
use std::time::Duration;

/// What is promised is written down.
pub(crate) const PROMISES_WRITTEN: Rule = Rule {
    id: "PROMISES_WRITTEN",
    category: Category::Guarantee,
    level: Level::Error,
    reason: "How long, how fresh and until when is decided by nobody while nobody writes it, least of all by a default.",
    check: promises_written,
};

fn promises_written(review: &Review<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for contract in review.living() {
        let promised = contract.path().key("guarantees");
        let mut ask = |at: ModelPath, what: &str, example: &str| {
            findings.push(
                PROMISES_WRITTEN
                    .finding(at, format!("nothing says {what}"))
                    .help(format!("add `{example}`"))
                    .owed_by(&contract.name.context),
            );
        };
        if contract.events.is_some() {
            let events = contract.guarantees.events.as_ref();
            if events.and_then(|events| events.retention).is_none() {
                ask(
                    promised.clone().key("events").key("retention"),
                    "how long events are kept",
                    "retention: 30d",
                );
            }
        }
        if contract.state.is_some() {
            let state = contract.guarantees.state.as_ref();
            if state.and_then(|state| state.freshness).is_none() {
                ask(
                    promised.clone().key("state").key("freshness"),
                    "how fresh the state is",
                    "freshness: 1m p99",
                );
            }
            if state.and_then(|state| state.tombstones).is_none() {
                ask(
                    promised.key("state").key("tombstones"),
                    "how long a deletion can be seen",
                    "tombstones: 14d",
                );
            }
        }
        for (idx, serves) in contract.serves.iter().enumerate().filter(|(_, serves)| serves.until.is_empty())
        {
            let at = contract.path().key("serves").index(idx).key("until");
            ask(at, &format!("until when version {} is served", serves.version), "until: YYYY-MM-DD");
        }
    }
    findings
}

/// The log reaches back as far as consumers must replay.
pub(crate) const RETENTION_COVERS_REPLAY: Rule = Rule {
    id: "RETENTION_COVERS_REPLAY",
    category: Category::Guarantee,
    level: Level::Error,
    reason: "A replay further back than events are kept silently begins in the middle of the story.",
    check: retention_covers_replay,
};

fn retention_covers_replay(review: &Review<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (subscription, contract, needs) in needing(review) {
        let Some(needed) = needs.retention else { continue };
        let promised = contract.contract.guarantees.events.as_ref().and_then(|events| events.retention);
        if promised.is_some_and(|promised| promised >= needed) {
            continue;
        }
        let kept =
            promised.map_or_else(|| "no time is promised".to_owned(), |it| format!("they are kept `{it}`"));
        findings.push(
            RETENTION_COVERS_REPLAY
                .finding(
                    subscription.path().key("needs").key("retention"),
                    format!("events must be kept for `{needed}`, and {kept}"),
                )
                .help(format!(
                    "ask `{}` for `retention: {needed}`, or need less",
                    contract.contract.name.context
                ))
                .note(promise_path(contract, ChannelKind::Events, "retention"), "what is promised")
                .owed_by(&subscription.name.context),
        );
    }
    findings
}

/// Everything a consumer needs is promised to it.
pub(crate) const NEEDS_COVERED: Rule = Rule {
    id: "NEEDS_COVERED",
    category: Category::Guarantee,
    level: Level::Error,
    reason: "A need that nobody promised is a wish, and it shows on the day it matters.",
    check: needs_covered,
};

fn needs_covered(review: &Review<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (subscription, contract, needs) in needing(review) {
        for gap in gaps(subscription, contract, needs) {
            let promised = match gap.promised {
                Some(promised) => format!("`{promised}` is promised"),
                None => "nothing is promised".to_owned(),
            };
            findings.push(
                NEEDS_COVERED
                    .finding(
                        subscription.path().key("needs").key(gap.need),
                        format!("`{}: {}` is needed, and {promised}", gap.need, gap.needed),
                    )
                    .help(gap.help.unwrap_or_else(|| {
                        format!("agree on it with `{}`, or need less", contract.contract.name.context)
                    }))
                    .note(gap.promise, "what is promised")
                    .owed_by(&subscription.name.context),
            );
        }
    }
    findings
}

fn needing<'r, 'a>(
    review: &'r Review<'a>,
) -> impl Iterator<Item = (&'a Subscription, &'a ResolvedContract, &'a Needs)> + use<'r, 'a> {
    review.readings.iter().filter_map(|reading| {
        Some((reading.subscription, reading.contract?, reading.subscription.needs.as_ref()?))
    })
}

struct Gap {
    need: &'static str,
    needed: String,
    promised: Option<String>,
    promise: ModelPath,
    help: Option<String>,
}

fn gaps(subscription: &Subscription, contract: &ResolvedContract, needs: &Needs) -> Vec<Gap> {
    let guarantees = &contract.contract.guarantees;
    let (events, state) = (guarantees.events.as_ref(), guarantees.state.as_ref());
    let (fresh, fresh_at) = freshness(subscription, contract);
    let cadence = fresh.and_then(|fresh| fresh.hours);
    let fresh = fresh.map(|fresh| fresh.promised);
    let answer =
        if subscription.sends.is_empty() { guarantees.requests_answer } else { guarantees.commands_answer };
    let answering = if subscription.sends.is_empty() { "requests" } else { "commands" };
    let late = events.and_then(|events| events.lateness);
    let mut gaps = Vec::new();
    let within = [
        ("freshness", needs.freshness, fresh, fresh_at),
        ("lateness", needs.lateness, late, promise_path(contract, ChannelKind::Events, "lateness")),
        (
            "answer",
            needs.answer,
            answer,
            contract.contract.path().key("guarantees").key(answering).key("answer"),
        ),
    ];
    for (need, needed, promised, promise) in within {
        let hours = cadence.filter(|_| need == "freshness");
        if let Some(needed) = needed
            && !promised.is_some_and(|promised| after_its_hour(promised, hours).covers(&needed))
        {
            let promised = promised.map(|promised| match hours {
                Some(Cadence::At(text)) => format!("{promised}` after an hour of `{text}"),
                Some(Cadence::Continuous) | None => promised.to_string(),
            });
            gaps.push(Gap { need, needed: needed.to_string(), promised, promise, help: None });
        }
    }
    if let Some(needed) = needs.tombstones
        && state.and_then(|state| state.tombstones).is_none_or(|promised| promised < needed)
    {
        let promised = state.and_then(|state| state.tombstones).map(|promised| promised.to_string());
        let promise = promise_path(contract, ChannelKind::State, "tombstones");
        gaps.push(Gap { need: "tombstones", needed: needed.to_string(), promised, promise, help: None });
    }
    gaps.extend(replay_gap(contract, needs));
    gaps.extend(order_gap(contract, needs));
    if needs.consistency == Consistency::Immediate {
        gaps.push(Gap {
            need: "consistency",
            needed: "immediate".to_owned(),
            promised: Some("eventual".to_owned()),
            promise: contract.contract.path().key("guarantees").the_key(),
            help: Some(
                "a copy is never immediate: ask the owner by a request, or mend the boundary".to_owned(),
            ),
        });
    }
    gaps
}

/// How fresh something is promised to be.
#[derive(Debug, Clone, Copy)]
struct Fresh<'a> {
    promised: Within,
    /// The hours from which it counts.
    hours: Option<&'a Cadence>,
}

/// Returns how fresh it is promised to be what a subscription reads, and where: a table is kept from state, reactions come from
/// events, and what is asked for is as fresh as its answer. What is sent at hours waits for them before.
fn freshness<'a>(
    subscription: &Subscription,
    contract: &'a ResolvedContract,
) -> (Option<Fresh<'a>>, ModelPath) {
    let guarantees = &contract.contract.guarantees;
    if subscription.projection().is_some() {
        let state = guarantees.state.as_ref();
        let at = promise_path(contract, ChannelKind::State, "freshness");
        let cadence = contract.contract.state.as_ref().map(|state| &state.cadence);
        let promised = state.and_then(|state| state.freshness);
        return (promised.map(|promised| Fresh { promised, hours: cadence }), at);
    }
    if subscription.reacts_to.is_empty() && !subscription.asks.is_empty() {
        let at = contract.contract.path().key("guarantees").key("requests").key("freshness");
        let promised = guarantees.requests_freshness;
        return (promised.map(|promised| Fresh { promised, hours: None }), at);
    }
    let events = guarantees.events.as_ref();
    let cadence = contract.contract.events.as_ref().map(|events| &events.terms.cadence);
    let promised = events.and_then(|events| events.freshness);
    let fresh = promised.map(|promised| Fresh { promised, hours: cadence });
    (fresh, promise_path(contract, ChannelKind::Events, "freshness"))
}

/// Returns how fresh that is from commit on which is promised from its hour on.
fn after_its_hour(promised: Within, cadence: Option<&Cadence>) -> Within {
    let waits = cadence.and_then(Cadence::longest).unwrap_or(Span(Duration::ZERO));
    Within { span: Span(promised.span.0 + waits.0), ..promised }
}

/// State yields each key as it is now; only events yield what was.
fn replay_gap(contract: &ResolvedContract, needs: &Needs) -> Option<Gap> {
    let needed = needs.replay?;
    let guarantees = &contract.contract.guarantees;
    let events = guarantees.events.as_ref().map(|events| events.replay);
    let state = guarantees.state.as_ref().map(|state| state.replay);
    let best = events.max(state);
    if best >= Some(needed) {
        return None;
    }
    let from = if needed == Replay::AuditState { ChannelKind::Events } else { ChannelKind::State };
    let help = (needed == Replay::AuditState && events.is_none())
        .then(|| "a compacted channel keeps only what is; what was is in `events` alone".to_owned());
    Some(Gap {
        need: "replay",
        needed: needed.to_string(),
        promised: best.map(|promised| promised.to_string()),
        promise: promise_path(contract, from, "replay"),
        help,
    })
}

fn order_gap(contract: &ResolvedContract, needs: &Needs) -> Option<Gap> {
    let needed = needs.ordering.as_ref().filter(|ordering| ordering.as_str() != "perKey")?;
    Some(Gap {
        need: "ordering",
        needed: needed.clone(),
        promised: Some("perKey".to_owned()),
        promise: promise_path(contract, ChannelKind::Events, "ordering"),
        help: Some(
            "order across keys is never promised: relate the keys by an attribute, or use one key".to_owned(),
        ),
    })
}

fn promise_path(contract: &ResolvedContract, kind: ChannelKind, name: &str) -> ModelPath {
    let channel = match kind {
        ChannelKind::Events => "events",
        ChannelKind::State => "state",
    };
    contract.contract.path().key("guarantees").key(channel).key(name)
}
