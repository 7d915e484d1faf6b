//! A consumer that keeps a table can fill it without knowing the past.

use crate::review::Review;
use crate::rule::{Category, Rule};
use seamline_contract::channel::Replay;
use seamline_contract::finding::{Finding, Level};
use seamline_contract::resolve::ResolvedContract;
use seamline_contract::subscription::Subscription;

/// Every projection can be filled from nothing.
pub(crate) const BOOTSTRAP_REACHABLE: Rule = Rule {
    id: "BOOTSTRAP_REACHABLE",
    category: Category::Guarantee,
    level: Level::Error,
    reason: "A consumer that only sees changes never learns of what does not change, and cannot start over.",
    check: bootstrap_reachable,
};

fn bootstrap_reachable(review: &Review<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for reading in &review.readings {
        let (subscription, Some(contract)) = (reading.subscription, reading.contract) else { continue };
        let Ok(view) = contract.view(subscription.view.as_ref()) else { continue };
        // A set of reference data stands for itself.
        let takes_sets = view.is_none() && contract.contract.reference.is_some();
        if subscription.projection().is_none() || takes_sets || replay_reaches(contract, subscription) {
            continue;
        }
        let (message, at, note) = match view {
            Some(view) if !view.state && contract.contract.state.is_some() => (
                format!("view `{}` has no state from which the table could be filled", view.id),
                subscription.path().key("view"),
                contract.contract.path().key("views").key(&view.id).key("state"),
            ),
            _ if contract.contract.state.is_none() => (
                format!("`{}` has no state from which the table could be filled", subscription.contract),
                subscription.path().key("contract"),
                contract.contract.path().key("events").the_key(),
            ),
            _ => continue,
        };
        findings.push(
            BOOTSTRAP_REACHABLE
                .finding(at, message)
                .help(format!(
                    "ask `{}` for `state`, or say by `needs.retention` how far back events are enough",
                    contract.contract.name.context
                ))
                .note(note, "only changes travel here")
                .owed_by(&subscription.name.context),
        );
    }
    findings
}

/// Events fill a table when they replay every change as far back as the consumer says is enough.
fn replay_reaches(contract: &ResolvedContract, subscription: &Subscription) -> bool {
    let needed = subscription.needs.as_ref().and_then(|needs| needs.retention);
    let Some((events, needed)) = contract.contract.guarantees.events.as_ref().zip(needed) else {
        return false;
    };
    events.replay == Replay::AuditState && events.retention.is_some_and(|retention| retention >= needed)
}
