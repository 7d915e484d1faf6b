//! How divergence is found is declared before it happens.

use crate::review::{Review, attribute_path};
use crate::rule::{Category, Rule};
use seamline_contract::attribute::Classification;
use seamline_contract::contract::{Reconciliation, Repair};
use seamline_contract::finding::{Finding, Level};
use seamline_contract::id::{AttributePath, ContextId};
use seamline_contract::path::ModelPath;
use seamline_contract::resolve::ResolvedContract;
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

/// What is declared in documents that are alive: where, by whom.
fn declared<'r>(
    review: &'r Review<'_>,
) -> impl Iterator<Item = (ModelPath, &'r ContextId, &'r Reconciliation)> {
    let contracts = review
        .living()
        .map(|contract| (contract.path(), &contract.name.context, contract.reconciliation.as_ref()));
    let subscriptions = review
        .estate
        .subscriptions
        .iter()
        .map(|it| (it.path(), &it.name.context, it.reconciliation.as_ref()));
    let all = contracts.chain(subscriptions);
    all.filter_map(|(top, owner, declared)| Some((top.key("reconciliation"), owner, declared?)))
}

fn runbook_exists(review: &Review<'_>) -> Vec<Finding> {
    declared(review)
        .filter_map(|(top, owner, declared)| Some((top, owner, declared.runbook.as_ref()?)))
        .filter(|(_, _, runbook)| !review.facts.runbooks.contains(*runbook))
        .map(|(top, owner, runbook)| {
            RUNBOOK_EXISTS
                .finding(top.key("runbook"), format!("there is no file `{runbook}`"))
                .help("write it: how to see the difference, who decides, how to mend it; the path begins at `seamline.yaml`")
                .owed_by(owner)
        })
        .collect()
}

/// What people mend is mended by nobody else.
pub(crate) const MANUAL_IS_ATTENDED: Rule = Rule {
    id: "MANUAL_IS_ATTENDED",
    category: Category::Reconciliation,
    level: Level::Error,
    reason: "Whoever reads that little drift mends itself waits for what `repair: manual` never does.",
    check: manual_is_attended,
};

fn manual_is_attended(review: &Review<'_>) -> Vec<Finding> {
    declared(review)
        .filter(|(_, _, declared)| declared.repair == Some(Repair::Manual))
        .filter_map(|(top, owner, declared)| Some((top, owner, declared.unattended?)))
        .map(|(top, owner, unattended)| {
            MANUAL_IS_ATTENDED
                .finding(
                    top.clone().key("unattended"),
                    format!("nothing below {unattended} is mended while people mend all of it"),
                )
                .help("leave out `unattended`, or declare `repair: reemit` for a contract, `repair: rebuild` for a subscription")
                .note(top.key("repair"), "people mend it")
                .owed_by(owner)
        })
        .collect()
}

/// No state by which rows are counted is personal data.
pub(crate) const COUNTS_SPARE_PII: Rule = Rule {
    id: "COUNTS_SPARE_PII",
    category: Category::Privacy,
    level: Level::Error,
    reason: "A value by which rows are counted stands in passes, cases and reports, where nobody can erase it.",
    check: counts_spare_pii,
};

fn counts_spare_pii(review: &Review<'_>) -> Vec<Finding> {
    let producers = review.living_resolved().map(|resolved| {
        let contract = &resolved.contract;
        (contract.path(), &contract.name.context, contract.reconciliation.as_ref(), resolved)
    });
    let consumers = review.readings.iter().filter_map(|reading| {
        let subscription = reading.subscription;
        let declared = subscription.reconciliation.as_ref();
        Some((subscription.path(), &subscription.name.context, declared, reading.contract?))
    });
    producers
        .chain(consumers)
        .filter_map(|(top, owner, declared, resolved)| counted(top, owner, declared?, resolved))
        .collect()
}

fn counted(
    top: ModelPath,
    owner: &ContextId,
    declared: &Reconciliation,
    resolved: &ResolvedContract,
) -> Option<Finding> {
    let name = declared.count_by.as_ref()?;
    let attribute = resolved.attributes.iter().find(|it| it.name == *name)?;
    let classification = attribute.classification.filter(|it| *it >= Classification::Pii)?;
    let path = AttributePath::from(name.clone());
    Some(
        COUNTS_SPARE_PII
            .finding(
                top.key("reconciliation").key("countBy"),
                format!("`{name}` is `{classification}`, and rows are counted by its values"),
            )
            .help("count by a state of business that says nothing about a person, or leave out `countBy`")
            .note(attribute_path(&resolved.contract, &path).key("classification"), "what it is classified as")
            .owed_by(owner),
    )
}
