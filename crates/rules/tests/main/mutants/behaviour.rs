//! Edits of events, channels, views, guarantees and reconciliation.

use super::Mutants;
use seamline_contract::channel::{Event, Replay};
use seamline_contract::contract::{Contract, Status};
use seamline_contract::estate::Estate;
use seamline_contract::id::ContractName;
use seamline_contract::measure::{Span, Threshold, Within};
use seamline_rules::diff::change::{Aspect, Effect};
use std::time::Duration;

const BREAKING: fn(Aspect) -> Option<(Aspect, Effect)> = |aspect| Some((aspect, Effect::Breaking));
const NAMES: &[&str] = &["NAMES_RESOLVE"];
const NEEDS: &[&str] = &["BOOTSTRAP_REACHABLE", "NEEDS_COVERED", "RETENTION_COVERS_REPLAY"];

pub(super) fn mutants(all: &mut Mutants<'_>) {
    let base = all.base;
    for (idx, contract) in base.contracts.iter().enumerate().filter(|(_, it)| !it.frozen) {
        let events = contract.events.iter().flat_map(|events| &events.events).count();
        for event in 0..events {
            of_event(all, idx, event, contract);
        }
        guarantees(all, idx, contract);
        if contract.reconciliation.is_some() {
            reconciliation(all, idx, &contract.name);
        }
        channels(all, idx, contract);
        if contract.status == Status::Active {
            all.add("a contract is retired", &contract.name, BREAKING(Aspect::Guarantee), |it| {
                it.contracts[idx].status = Status::Retired;
            })
            .found_if(is_read(base, contract), "MAJOR_LIVES")
            .perhaps(&["MAJOR_LIVES"]);
        }
    }
}

fn is_read(estate: &Estate, contract: &Contract) -> bool {
    estate.subscriptions.iter().any(|it| it.contract == contract.reference())
}

fn event_of(estate: &mut Estate, contract: usize, event: usize) -> &mut Event {
    &mut estate.contracts[contract].events.as_mut().expect("it has events").events[event]
}

fn of_event(all: &mut Mutants<'_>, idx: usize, at: usize, contract: &Contract) {
    let event = &contract.events.as_ref().expect("it has events").events[at];
    let target = format!("{}.{}", contract.name, event.name);
    let unhandled = Some((Aspect::Meaning, Effect::Unhandled));
    all.add("the meaning of an event says something else", &target, unhandled, |it| {
        event_of(it, idx, at).meaning = "The clerk pressed the button.".to_owned();
    });
    all.add("the meaning of an event is empty", &target, unhandled, |it| {
        event_of(it, idx, at).meaning.clear()
    })
    .found_by("MEANING_PRESENT");
    let reacted = all
        .base
        .subscriptions
        .iter()
        .any(|it| it.contract == contract.reference() && it.reacts_to.contains(&event.name));
    all.add("an event is dropped", &target, BREAKING(Aspect::Shape), |it| {
        it.contracts[idx].events.as_mut().expect("it has events").events.remove(at);
    })
    .found_if(reacted, "NAMES_RESOLVE");
    let rename =
        |name: String| move |it: &mut Estate| event_of(it, idx, at).name = name.parse().expect("a name");
    let id = contract.name.contract.as_str();
    let noun: String = id.split('-').map(|word| word[..1].to_uppercase() + &word[1..]).collect();
    all.add(
        "an event is named for the record having changed",
        &target,
        BREAKING(Aspect::Shape),
        rename(noun + "Updated"),
    )
    .found_by("EVENT_NOT_CATCH_ALL_BY_NAME")
    .found_if(reacted, "NAMES_RESOLVE");
    all.add(
        "an event is worded as an order",
        &target,
        BREAKING(Aspect::Shape),
        rename("SendEverything".to_owned()),
    )
    .found_by("EVENT_IN_PAST_TENSE")
    .found_if(reacted, "NAMES_RESOLVE");
    if !event.becomes.is_empty() {
        all.add("an event no longer says what something becomes", &target, BREAKING(Aspect::Meaning), |it| {
            event_of(it, idx, at).becomes.clear();
        })
        .perhaps(&["EVENT_NOT_CATCH_ALL_BY_SHAPE", "SAGA_REACTS_TO_BECOMES"]);
    }
    if !event.with.is_empty() {
        all.add("an event takes less along", &target, BREAKING(Aspect::Shape), |it| {
            event_of(it, idx, at).with.remove(0);
        });
    }
    if !event.reasons.is_empty() {
        all.add("a reason is added", &target, BREAKING(Aspect::Meaning), |it| {
            let reason = ("QUITE_ANOTHER".parse().expect("a reason"), "Nobody knows.".to_owned());
            event_of(it, idx, at).reasons.push(reason);
        });
    }
    if event.effective.is_some() {
        all.add("an event takes effect at another moment", &target, BREAKING(Aspect::Meaning), |it| {
            event_of(it, idx, at).effective = None;
        });
    }
}

fn later(within: Within) -> Within {
    Within { span: Span(within.span.0 * 100_000), ..within }
}

fn guarantees(all: &mut Mutants<'_>, idx: usize, contract: &Contract) {
    let target = &contract.name;
    let breaking = BREAKING(Aspect::Guarantee);
    if let Some(events) = &contract.guarantees.events {
        let of = |it: &mut Estate| it.contracts[idx].guarantees.events.clone().expect("it was there");
        if events.retention.is_some() {
            all.add("events are kept for less long", target, breaking, |it| {
                let second = Some(Span(Duration::from_secs(1)));
                it.contracts[idx].guarantees.events =
                    Some(seamline_contract::channel::EventGuarantees { retention: second, ..of(it) });
            })
            .perhaps(NEEDS);
            all.add("nothing says how long events are kept", target, breaking, |it| {
                it.contracts[idx].guarantees.events =
                    Some(seamline_contract::channel::EventGuarantees { retention: None, ..of(it) });
            })
            .found_by("PROMISES_WRITTEN")
            .perhaps(NEEDS);
        }
        if events.replay > Replay::BestEffort {
            all.add("a replay yields best effort", target, breaking, |it| {
                it.contracts[idx].guarantees.events = Some(seamline_contract::channel::EventGuarantees {
                    replay: Replay::BestEffort,
                    ..of(it)
                });
            })
            .perhaps(NEEDS);
        }
    }
    let Some(state) = &contract.guarantees.state else { return };
    let of = |it: &mut Estate| it.contracts[idx].guarantees.state.clone().expect("it was there");
    if let Some(fresh) = state.freshness {
        all.add("state is less fresh", target, breaking, |it| {
            it.contracts[idx].guarantees.state =
                Some(seamline_contract::channel::StateGuarantees { freshness: Some(later(fresh)), ..of(it) });
        })
        .perhaps(NEEDS);
        all.add("nothing says how fresh state is", target, breaking, |it| {
            it.contracts[idx].guarantees.state =
                Some(seamline_contract::channel::StateGuarantees { freshness: None, ..of(it) });
        })
        .found_by("PROMISES_WRITTEN")
        .perhaps(NEEDS);
    }
    all.add("a deletion can be seen for less long", target, breaking, |it| {
        let tombstones = Some(Span(Duration::from_secs(1)));
        it.contracts[idx].guarantees.state =
            Some(seamline_contract::channel::StateGuarantees { tombstones, ..of(it) });
    })
    .perhaps(NEEDS);
    all.add(
        "a compacted channel promises audit state",
        target,
        Some((Aspect::Guarantee, Effect::Additive)),
        |it| {
            it.contracts[idx].guarantees.state =
                Some(seamline_contract::channel::StateGuarantees { replay: Replay::AuditState, ..of(it) });
        },
    )
    .found_by("COMPACTED_YIELDS_NO_AUDIT");
}

fn reconciliation(all: &mut Mutants<'_>, idx: usize, target: &ContractName) {
    let breaking = BREAKING(Aspect::Reconciliation);
    all.add("nothing says how divergence is found", target, breaking, |it| {
        it.contracts[idx].reconciliation = None
    })
    .found_by("RECONCILIATION_DECLARED");
    let of = |it: &mut Estate, edit: fn(&mut seamline_contract::contract::Reconciliation)| {
        edit(it.contracts[idx].reconciliation.as_mut().expect("it was there"));
    };
    all.add("copies are compared far too seldom", target, breaking, |it| {
        of(it, |it| it.every = Some(Span(Duration::from_secs(365 * 86_400))));
    })
    .found_by("CADENCE_FITS_FRESHNESS");
    all.add("nobody is called before much is wrong", target, breaking, |it| {
        of(it, |it| it.page = Some(Threshold::ShareMillionths(500_000)));
    })
    .found_by("THRESHOLDS_CALL_IN_TIME");
    all.add("nothing says what people do when it diverges", target, breaking, |it| {
        of(it, |it| it.runbook = None)
    })
    .found_by("RECONCILIATION_DECLARED");
    all.add("a runbook is not there", target, Some((Aspect::Reconciliation, Effect::Editorial)), |it| {
        of(it, |it| it.runbook = Some("runbooks/none.md".to_owned()));
    })
    .found_by("RUNBOOK_EXISTS");
}

fn channels(all: &mut Mutants<'_>, idx: usize, contract: &Contract) {
    let target = &contract.name;
    let base = all.base;
    let reads = |it: &&seamline_contract::subscription::Subscription| it.contract == contract.reference();
    if contract.state.is_some() {
        let fills = base.subscriptions.iter().filter(reads).any(|it| it.projection().is_some());
        all.add("there is no state any more", target, BREAKING(Aspect::Channel), |it| {
            it.contracts[idx].state = None
        })
        .found_if(fills, "BOOTSTRAP_REACHABLE")
        .perhaps(&["FEED_FITS_CONTRACT"]);
    }
    for (at, view) in contract.views.iter().enumerate() {
        let target = format!("{target}/{}", view.id);
        let readers =
            base.subscriptions.iter().filter(reads).filter(|it| it.view.as_ref() == Some(&view.id)).count();
        all.add("a view is dropped", &target, BREAKING(Aspect::Channel), |it| {
            it.contracts[idx].views.remove(at);
        })
        .found_if(readers > 0, "NAMES_RESOLVE");
        all.add("a view has no readers", &target, BREAKING(Aspect::Privacy), |it| {
            it.contracts[idx].views[at].readers.clear();
        })
        .found_if(readers > 0, "READER_ENTITLED");
        for path in 0..view.only.len() {
            all.add(
                "a view holds less",
                format!("{target}.{}", view.only[path]),
                BREAKING(Aspect::Privacy),
                |it| {
                    it.contracts[idx].views[at].only.remove(path);
                },
            )
            .perhaps(NAMES);
        }
    }
}
