//! What happens when a message is late, twice, out of order, lost, wrong, or gone: sentences by what is declared.
//!
//! Invariant: each sentence says what the relay, the projector, the reactor or reconciliation does, under the condition
//! under which it does it. A change there changes the sentence here.

use seamline_contract::contract::{Reconciliation, Repair};
use seamline_contract::measure::Span;
use seamline_contract::resolve::ResolvedContract;
use seamline_contract::subscription::{OnDelete, OnInvalid, Role, Subscription};
use seamline_flow::intake::WAIT_MAX;
use seamline_flow::outlet::TOMBSTONES;

/// Returns what is said of each way in which something goes wrong.
pub(super) fn entries(
    resolved: &ResolvedContract,
    subscription: &Subscription,
) -> Vec<(String, Vec<String>)> {
    let way = Way {
        resolved,
        subscription,
        table: subscription.projection().map(|(table, _)| table),
        reacts: !subscription.reacts_to.is_empty(),
    };
    let entries = [
        ("late", way.late()),
        ("twice", way.twice()),
        ("out of order", way.out_of_order()),
        ("lost", way.lost()),
        ("wrong", way.wrong()),
        ("gone", way.gone()),
    ];
    entries.map(|(name, says)| (name.to_owned(), says)).into()
}

/// How data reaches this consumer.
struct Way<'a> {
    resolved: &'a ResolvedContract,
    subscription: &'a Subscription,
    table: Option<&'a str>,
    reacts: bool,
}

impl Way<'_> {
    fn late(&self) -> Vec<String> {
        let guarantees = &self.resolved.contract.guarantees;
        let (state, events) = (guarantees.state.as_ref(), guarantees.events.as_ref());
        let mut says = Vec::new();
        if let (Some(table), Some(freshness)) = (self.table, state.and_then(|state| state.freshness)) {
            says.push(format!("From the owner's commit to a row of `{table}`, {freshness} is promised."));
        }
        if self.reacts {
            let events = events.iter();
            let promises = events.flat_map(|it| [("freshness", it.freshness), ("lateness", it.lateness)]);
            for (name, promise) in promises.filter_map(|(name, promise)| Some((name, promise?))) {
                says.push(match name {
                    "lateness" => {
                        format!("From an event's taking effect to the owner's commit, {promise} is promised.")
                    }
                    _ => format!("From the owner's commit to the inbox, {promise} is promised."),
                });
            }
        }
        if let Some(needs) = &self.subscription.needs {
            let needed: Vec<String> =
                needs.promises().into_iter().map(|(name, need)| format!("{name} {need}")).collect();
            says.push(format!("The consumer needs {}: {}", needed.join(", "), needs.because));
        }
        if let Some(table) = self.table {
            says.push(format!(
                "Until it comes, `{table}` keeps the last value; whenever it comes, its sequence decides."
            ));
        }
        if self.table.is_some() && self.reacts {
            says.push(format!(
                "A reaction waits until its key's row is as new, at most {} s after the log took it; then it comes marked as ahead of its row.",
                WAIT_MAX.as_secs()
            ));
        }
        says
    }

    fn twice(&self) -> Vec<String> {
        let mut says = Vec::new();
        if let Some(table) = self.table {
            says.push(format!(
                "A state of a sequence that `{table}` has is counted, and nothing is written."
            ));
            says.push(
                "One sequence with two contents: the first stays, and where their digests compare a case is raised for the owner."
                    .to_owned(),
            );
        }
        if self.reacts {
            says.push("An event whose sequence was seen is counted, and gives the inbox nothing.".to_owned());
        }
        says
    }

    fn out_of_order(&self) -> Vec<String> {
        let mut says = Vec::new();
        if let Some(table) = self.table {
            says.push(format!("A state older than the row of its key in `{table}` has no effect."));
        }
        if self.reacts {
            says.push(
                "An event comes after the one before it of its key, or waits for it in quarantine."
                    .to_owned(),
            );
        }
        if self.reacts {
            says.push(
                "Where reading began midway, the first event met of a key is taken as it comes.".to_owned(),
            );
        }
        says.push("Between keys no order is promised.".to_owned());
        says
    }

    fn lost(&self) -> Vec<String> {
        let mut says = Vec::new();
        if self.reacts {
            says.push(
                "Each event names the one before it of its key: one that does not follow waits, a case is raised for the owner, and the gap is never filled silently."
                    .to_owned(),
            );
        }
        if self.table.is_some() {
            says.push(match (&self.subscription.reconciliation, self.subscription.role) {
                (None, _) => "No reconciliation is declared here, so no cadence.".to_owned(),
                (Some(reconciliation), Role::Projection | Role::Derived) => format!(
                    "Reconciliation compares the log with what was received, and that with every row{}.",
                    cadence(reconciliation)
                ),
                (Some(reconciliation), Role::Cache | Role::Interpretation) => format!(
                    "Reconciliation compares the log with what was received{}; the rows belong to the consumer and are not compared.",
                    cadence(reconciliation)
                ),
            });
            if self.subscription.reconciliation.is_some() {
                let repair = self.subscription.reconciliation.as_ref().and_then(|it| it.repair);
                says.push(mend("the consumer's copy", repair.unwrap_or(Repair::Rebuild)));
            }
        }
        if let Some(reconciliation) = &self.resolved.contract.reconciliation {
            says.push(format!(
                "At the owner, reconciliation compares its source with the log{}.",
                cadence(reconciliation)
            ));
            says.push(mend("the log", reconciliation.repair.unwrap_or(Repair::Reemit)));
        }
        says
    }

    fn wrong(&self) -> Vec<String> {
        let mut says = vec![
            "The owner's relay checks each row against the contract: what breaks it waits there and does not leave.".to_owned(),
        ];
        if let Some(table) = self.table {
            says.push(format!(
                "A state that breaks it nevertheless waits in quarantine, a case is raised, and `{table}` keeps the last valid value until a newer valid one comes."
            ));
        }
        if self.reacts {
            says.push(
                match self.subscription.on_invalid {
                    OnInvalid::HoldKey => "A broken event waits, and later events of its key behind it, until it is re-driven or discarded; other keys go on.",
                    OnInvalid::Skip => "A broken event waits aside; later events of its key go on without it.",
                    OnInvalid::Halt => "A broken event stops its partition, other keys among it, until somebody acts.",
                }
                .to_owned(),
            );
        }
        says
    }

    fn gone(&self) -> Vec<String> {
        let guarantees = &self.resolved.contract.guarantees;
        let mut says = Vec::new();
        if let Some(table) = self.table {
            says.push(match self.subscription.on_delete {
                OnDelete::Delete => format!("When a key ends, its row in `{table}` is removed."),
                OnDelete::Mark => format!("When a key ends, its row in `{table}` stays, marked as ended."),
            });
            let kept =
                guarantees.state.as_ref().and_then(|state| state.tombstones).unwrap_or(Span(TOMBSTONES));
            says.push(format!(
                "The log keeps the news of an end for {kept}; whoever reads later may not hear it."
            ));
        }
        if self.reacts {
            says.push(match guarantees.events.as_ref().and_then(|events| events.retention) {
                Some(kept) => format!("Events are promised to be kept for {kept}."),
                None => "No time is promised for which events are kept.".to_owned(),
            });
        }
        if self.table.is_some() || self.reacts {
            says.push("When the log no longer holds the place where reading stopped, reading rests and a case is raised for the consumer.".to_owned());
        }
        says
    }
}

fn cadence(reconciliation: &Reconciliation) -> String {
    let every = reconciliation.every.map(|every| format!(", to be run every {every}")).unwrap_or_default();
    let page = reconciliation
        .page
        .map(|page| format!("; from {page} on somebody is to be called"))
        .unwrap_or_default();
    format!("{every}{page}")
}

fn mend(what: &str, repair: Repair) -> String {
    match repair {
        Repair::Reemit => format!("What differs in {what} is mended by publishing those keys again."),
        Repair::Rebuild => {
            format!("What differs in {what} is mended by deriving those rows anew from the log.")
        }
        Repair::Manual => format!("What differs in {what} is mended by people, after the runbook."),
    }
}
