//! Whether a copy is the right means at all: when not to synchronize.

use crate::review::Review;
use crate::rule::{Category, Rule};
use seamline_contract::finding::{Finding, Level};
use seamline_contract::id::{ContextId, ContractRef, EventName};
use seamline_contract::measure::Rate;
use seamline_contract::path::ModelPath;
use seamline_contract::subscription::Role;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Up to this many rows, data is tiny.
pub(crate) const TINY_ROWS_MAX: u64 = 1_000;
/// Up to this many changes a day, data is as good as static.
pub(crate) const TINY_CHANGES_A_DAY_MAX: u64 = 10;
/// Up to this many changes a day, a conversation is better held by request.
pub(crate) const CONVERSATION_CHANGES_A_DAY_MAX: u64 = 100;
/// What must be fresher than this is asked for, not copied.
pub(crate) const COPY_FRESHNESS_MIN: Duration = Duration::from_secs(1);

fn at_most_a_day(rate: Rate, changes: u64) -> bool {
    u128::from(rate.count.0) * 86_400 <= u128::from(changes) * u128::from(rate.per_seconds)
}

/// Tiny, static data is asked for, not copied.
pub(crate) const TINY_DATA_IS_ASKED: Rule = Rule {
    id: "TINY_DATA_IS_ASKED",
    category: Category::Fit,
    level: Level::Advice,
    reason: "A list that hardly changes costs topics, tables and passes to copy, and one request with a cache to ask for.",
    check: tiny_data_is_asked,
};

fn tiny_data_is_asked(review: &Review<'_>) -> Vec<Finding> {
    let copied = copied(review);
    let mut findings = Vec::new();
    for contract in review.living() {
        let (Some(rows), Some(changes)) = (contract.expect.rows, contract.expect.changes) else { continue };
        let tiny = rows.0 <= TINY_ROWS_MAX && at_most_a_day(changes, TINY_CHANGES_A_DAY_MAX);
        if tiny && copied.contains(&contract.reference()) {
            findings.push(
                TINY_DATA_IS_ASKED
                    .finding(contract.path().key("expect"), format!("`{}` is tiny and hardly changes, and is copied", contract.name))
                    .help("serve it by an API with caching; keep the copy where a reader must go on without you")
                    .owed_by(&contract.name.context),
            );
        }
    }
    findings
}

/// The contracts of which another context keeps a copy.
fn copied<'a>(review: &Review<'a>) -> BTreeSet<&'a ContractRef> {
    let subscriptions = review.estate.subscriptions.iter();
    let copies =
        subscriptions.filter(|it| it.projection().is_some() && it.name.context != it.contract.name.context);
    copies.map(|it| &it.contract).collect()
}

/// Every copy says what it is needed for.
pub(crate) const COPY_IS_NEEDED: Rule = Rule {
    id: "COPY_IS_NEEDED",
    category: Category::Fit,
    level: Level::Advice,
    reason: "Every copy is a reconciliation to come; one that nobody says why they need is not worth it.",
    check: copy_is_needed,
};

fn copy_is_needed(review: &Review<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for subscription in &review.estate.subscriptions {
        let Some((table, _)) = subscription.projection().filter(|_| subscription.needs.is_none()) else {
            continue;
        };
        findings.push(
            COPY_IS_NEEDED
                .finding(
                    subscription.path().key("into").key("table"),
                    format!("nothing says why `{}` needs a copy in `{table}`", subscription.name.context),
                )
                .help(
                    "add `needs:` with how fresh it must be and `because`, or ask the owner when it matters",
                )
                .owed_by(&subscription.name.context),
        );
    }
    findings
}

/// What a copy must be is within a copy's reach.
pub(crate) const FRESHNESS_WITHIN_REACH: Rule = Rule {
    id: "FRESHNESS_WITHIN_REACH",
    category: Category::Fit,
    level: Level::Advice,
    reason: "A copy lags; what must be as fresh as the owner's own answer is the owner's own answer.",
    check: freshness_within_reach,
};

fn freshness_within_reach(review: &Review<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for subscription in &review.estate.subscriptions {
        let needed = subscription.needs.as_ref().and_then(|needs| needs.freshness);
        let Some(needed) = needed.filter(|needed| needed.span.0 < COPY_FRESHNESS_MIN) else { continue };
        findings.push(
            FRESHNESS_WITHIN_REACH
                .finding(
                    subscription.path().key("needs").key("freshness"),
                    format!("`{}` is less than a copy can be held to", needed.span),
                )
                .help("ask the owner by a request at the moment it matters, or say what goes wrong a second later")
                .owed_by(&subscription.name.context),
        );
    }
    findings
}

/// One database belongs to one context.
pub(crate) const TRANSACTION_WITHIN_CONTEXT: Rule = Rule {
    id: "TRANSACTION_WITHIN_CONTEXT",
    category: Category::Fit,
    level: Level::Advice,
    reason: "Two contexts in one database are bound by its transactions; mend the boundary before you put a contract on it.",
    check: transaction_within_context,
};

fn transaction_within_context(review: &Review<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for environment in &review.estate.environments {
        let mut first: BTreeMap<(&str, Option<&str>), (&ContextId, ModelPath)> = BTreeMap::new();
        for place in &environment.systems {
            let at = environment
                .path()
                .key("systems")
                .key(format!("{}/{}", place.context, place.system))
                .key("url");
            let (other, there) = first
                .entry((&place.url, place.schema.as_deref()))
                .or_insert_with(|| (&place.context, at.clone()));
            if **other == place.context {
                continue;
            }
            findings.push(
                TRANSACTION_WITHIN_CONTEXT
                    .finding(at, format!("`{}` and `{other}` are in one database", place.context))
                    .help("give each a database or schema of its own, or make them one context")
                    .note(there.clone(), "the same database")
                    .owed_by(&place.context),
            );
        }
    }
    findings
}

/// Question and answer between two is held by request.
pub(crate) const CONVERSATION_IS_REQUESTED: Rule = Rule {
    id: "CONVERSATION_IS_REQUESTED",
    category: Category::Fit,
    level: Level::Advice,
    reason: "A queue between two who ask and answer a few times a day hides a request, and makes it slow.",
    check: conversation_is_requested,
};

fn conversation_is_requested(review: &Review<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for reading in &review.readings {
        let (subscription, Some(contract)) = (reading.subscription, reading.contract) else { continue };
        let sent = contract.contract.commands.iter().filter(|it| subscription.sends.contains(&it.name));
        let answers: Vec<&EventName> =
            sent.flat_map(|command| &command.outcomes).filter_map(|outcome| outcome.event.as_ref()).collect();
        let reacts = &subscription.reacts_to;
        let only_answers = !reacts.is_empty() && reacts.iter().all(|event| answers.contains(&event));
        let seldom = contract
            .contract
            .expect
            .changes
            .is_some_and(|it| at_most_a_day(it, CONVERSATION_CHANGES_A_DAY_MAX));
        if !only_answers || !seldom || subscription.role == Role::Interpretation {
            continue;
        }
        findings.push(
            CONVERSATION_IS_REQUESTED
                .finding(
                    subscription.path().key("sends"),
                    format!("`{}` asks and waits for the answer, a few times a day", subscription.name),
                )
                .help("call the owner, who answers at once; keep the events for those who did not ask")
                .note(contract.contract.path().key("expect").key("changes"), "how seldom")
                .owed_by(&subscription.name.context),
        );
    }
    findings
}
