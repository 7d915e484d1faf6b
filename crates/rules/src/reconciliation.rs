//! How divergence is found is declared before it happens.

use crate::review::Review;
use crate::rule::{Category, Rule};
use seamline_contract::contract::Reconciliation;
use seamline_contract::finding::{Finding, Level};
use seamline_contract::id::ContextId;
use seamline_contract::path::ModelPath;
use seamline_contract::subscription::Role;

/// Whatever is copied is compared.
pub(crate) const RECONCILIATION_DECLARED: Rule = Rule {
    id: "RECONCILIATION_DECLARED",
    category: Category::Reconciliation,
    level: Level::Error,
    reason: "Copies diverge; the only choice is whether a comparison finds it or a customer does.",
    check: reconciliation_declared,
};

fn reconciliation_declared(review: &Review<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for contract in review.living() {
        if contract.events.is_none() && contract.state.is_none() && contract.reference.is_none() {
            continue;
        }
        let owner = &contract.name.context;
        findings.extend(incomplete(contract.path(), owner, contract.reconciliation.as_ref(), true));
    }
    for subscription in &review.estate.subscriptions {
        let copied = subscription.projection().is_some() && subscription.role != Role::Cache;
        if copied || subscription.reconciliation.is_some() {
            let owner = &subscription.name.context;
            findings.extend(incomplete(
                subscription.path(),
                owner,
                subscription.reconciliation.as_ref(),
                false,
            ));
        }
    }
    findings
}

fn incomplete(
    top: ModelPath,
    owner: &ContextId,
    reconciliation: Option<&Reconciliation>,
    needs_runbook: bool,
) -> Vec<Finding> {
    let at = top.key("reconciliation");
    let Some(reconciliation) = reconciliation else {
        let runbook = if needs_runbook { ", runbook: runbooks/….md" } else { "" };
        return vec![
            RECONCILIATION_DECLARED
                .finding(at, "nothing says how divergence is found")
                .help(format!("add `reconciliation: {{ every: 1h, page: 0.1% of rows{runbook} }}`"))
                .owed_by(owner),
        ];
    };
    let wanted = [
        (reconciliation.every.is_none(), "every", "how often copies are compared"),
        (reconciliation.page.is_none(), "page", "from where on somebody is called"),
        (needs_runbook && reconciliation.runbook.is_none(), "runbook", "what people do when it diverges"),
    ];
    let missing = wanted.into_iter().filter(|(missing, _, _)| *missing);
    missing
        .map(|(_, key, what)| {
            RECONCILIATION_DECLARED
                .finding(at.clone().key(key), format!("nothing says {what}"))
                .help(format!("add `{key}:`"))
                .owed_by(owner)
        })
        .collect()
}

/// The runbook that is named is there.
pub(crate) const RUNBOOK_EXISTS: Rule = Rule {
    id: "RUNBOOK_EXISTS",
    category: Category::Reconciliation,
    level: Level::Warn,
    reason: "The page that is called for at night must be there before the night.",
    check: runbook_exists,
};

fn runbook_exists(review: &Review<'_>) -> Vec<Finding> {
    let contracts = review
        .living()
        .map(|contract| (contract.path(), &contract.name.context, contract.reconciliation.as_ref()));
    let subscriptions = review
        .estate
        .subscriptions
        .iter()
        .map(|it| (it.path(), &it.name.context, it.reconciliation.as_ref()));
    let named = contracts
        .chain(subscriptions)
        .filter_map(|(top, owner, reconciliation)| Some((top, owner, reconciliation?.runbook.as_ref()?)));
    named
        .filter(|(_, _, runbook)| !review.facts.runbooks.contains(*runbook))
        .map(|(top, owner, runbook)| {
            RUNBOOK_EXISTS
                .finding(top.key("reconciliation").key("runbook"), format!("there is no file `{runbook}`"))
                .help("write it: how to see the difference, who decides, how to mend it; the path begins at `seamline.yaml`")
                .owed_by(owner)
        })
        .collect()
}
