//! The estate that a command works on, opened and reviewed.

use crate::exit::{Exit, Refusal, usage};
use crate::nearest::instead;
use crate::terminal::counted;
use anyhow::Result;
use seamline_contract::environment::Environment;
use seamline_contract::estate::Estate;
use seamline_contract::finding::{Finding, Level};
use seamline_contract::id::{ContextId, ContractRef, SubscriptionRef};
use seamline_contract::path::DocumentId;
use seamline_contract::subscription::Subscription;
use seamline_estate::open::{Opened, open};
use seamline_rules::review::{Facts, Waived, reviewed, runbooks, runbooks_of};
use std::path::Path;

/// Opens an estate.
///
/// # Errors
/// When there is none at the path.
pub(crate) fn opened(path: &Path) -> Result<Opened> {
    let help =
        "name the folder of an estate, the one that holds `seamline.yaml`; `seamline init DIR` begins one";
    let opened = open(path).map_err(|error| usage(format!("{error:#}"), help))?;
    if opened.files.is_empty() {
        return Err(usage(format!("there is no estate in `{}`", path.display()), help));
    }
    Ok(opened)
}

/// What is wrong with an estate. Each list is sorted by document and position.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// What its own documents must mend.
    pub(crate) own: Vec<Finding>,
    /// What of that somebody answers for.
    pub(crate) waived: Vec<Waived>,
    /// What is wrong in documents of other repositories: their teams mend it, and it counts for nothing here.
    pub(crate) others: Vec<Finding>,
}

/// Returns what the own documents of an estate must mend, by the language and by the rules.
pub(crate) fn findings(opened: &Opened) -> Vec<Finding> {
    found(opened).own
}

/// Returns all that is wrong with an estate, by the language and by the rules.
pub(crate) fn found(opened: &Opened) -> Found {
    let reading = &opened.reading;
    let estate = &reading.estate;
    let own = runbooks_of(estate, is_own);
    // What another team's runbooks are is for its own check.
    let wanted = runbooks(estate).into_iter();
    let facts = Facts {
        runbooks: wanted.filter(|path| !own.contains(path) || opened.exists(path)).collect(),
        today: Some(today()),
    };
    let outcome = reviewed(estate, &facts);
    let mut all = reading.findings.clone();
    all.extend(outcome.findings);
    all.sort_by_cached_key(|finding| {
        let place = reading.sources.locate(&finding.at);
        (place.document.clone(), place.bytes.start, place.bytes.end, finding.rule)
    });
    let (own, others) = all.into_iter().partition(|finding| is_own(&finding.at.document));
    let waived = outcome.waived.into_iter().filter(|it| is_own(&it.finding.at.document)).collect();
    Found { own, waived, others }
}

/// Whether a document is in the estate's own folder, and not in another repository.
pub(crate) fn is_own(document: &DocumentId) -> bool {
    document.repository().is_none()
}

/// The day in UTC, so that a check says the same wherever it runs.
pub(crate) fn today() -> String {
    jiff::Timestamp::now().to_string()[.."2027-03-31".len()].to_owned()
}

/// Opens an estate to run it: errors in it are a refusal.
///
/// # Errors
/// When there is no estate, or it has findings at level error.
pub(crate) fn opened_to_run(path: &Path) -> Result<Opened> {
    let opened = opened(path)?;
    let n_errors = findings(&opened).iter().filter(|finding| finding.level == Level::Error).count();
    if n_errors == 0 {
        return Ok(opened);
    }
    let message =
        format!("the estate in `{}` has {}", opened.root.display(), counted(n_errors as u64, "error"));
    Err(Refusal { exit: Exit::Findings, message, help: "run `seamline check` and mend them".to_owned() }
        .into())
}

/// Returns the environment by id, or the only one there is.
///
/// # Errors
/// When it is not there, or there are several and none was named.
pub(crate) fn environment<'e>(estate: &'e Estate, id: Option<&str>) -> Result<&'e Environment> {
    let names: Vec<&str> = estate.environments.iter().map(|it| it.id.as_str()).collect();
    let list = if names.is_empty() {
        "there is none".to_owned()
    } else {
        format!("there are: {}", names.join(", "))
    };
    match (id, estate.environments.as_slice()) {
        (Some(id), all) => all.iter().find(|it| it.id.as_str() == id).ok_or_else(|| {
            usage(format!("there is no environment `{id}`"), format!("name another with `--env`; {list}"))
        }),
        (None, [only]) => Ok(only),
        (None, _) => {
            Err(usage("it is not clear which environment is meant", format!("name one with `--env`; {list}")))
        }
    }
}

/// Returns a context of the estate.
///
/// # Errors
/// When it is no id, or not there.
pub(crate) fn context(estate: &Estate, id: &str) -> Result<ContextId> {
    let found = estate.contexts.iter().find(|context| context.id.as_str() == id);
    let names: Vec<String> = estate.contexts.iter().map(|context| context.id.to_string()).collect();
    match found {
        Some(context) => Ok(context.id.clone()),
        None => Err(usage(format!("there is no context `{id}`"), instead(id, &names))),
    }
}

/// What a reference leads to.
pub(crate) enum Named<'e> {
    /// A contract.
    Contract(ContractRef),
    /// A subscription.
    Subscription(&'e Subscription),
}

/// Returns what a reference leads to: a subscription by `context/subscription`, else a contract.
///
/// # Errors
/// When there is neither.
pub(crate) fn named<'e>(estate: &'e Estate, text: &str) -> Result<Named<'e>> {
    if let Some(found) = estate.subscriptions.iter().find(|it| it.name.to_string() == text) {
        return Ok(Named::Subscription(found));
    }
    if let Ok(found) = contract(estate, text) {
        return Ok(Named::Contract(found));
    }
    let subscriptions = estate.subscriptions.iter().map(|it| it.name.to_string());
    let contracts = estate.contracts.iter().map(|it| it.reference().to_string());
    let names: Vec<String> = contracts.chain(subscriptions).collect();
    Err(usage(format!("there is no contract or subscription `{text}`"), instead(text, &names)))
}

/// Returns a subscription by `context/subscription`.
///
/// # Errors
/// When it is no reference, or not there.
pub(crate) fn subscription<'e>(estate: &'e Estate, text: &str) -> Result<&'e Subscription> {
    let names: Vec<String> = estate.subscriptions.iter().map(|it| it.name.to_string()).collect();
    let missing = || usage(format!("there is no subscription `{text}`"), instead(text, &names));
    let reference: SubscriptionRef = text.parse().map_err(|_| missing())?;
    estate.subscription(&reference).ok_or_else(missing)
}

/// Returns a contract reference that the estate has; `context/contract` without a major means the current one.
///
/// # Errors
/// When it is no reference, or not there.
pub(crate) fn contract(estate: &Estate, text: &str) -> Result<ContractRef> {
    let names: Vec<String> = estate.contracts.iter().map(|it| it.reference().to_string()).collect();
    let missing = || usage(format!("there is no contract `{text}`"), instead(text, &names));
    if let Ok(reference) = text.parse::<ContractRef>() {
        return estate.contract(&reference).map(|_| reference).ok_or_else(missing);
    }
    let found =
        estate.contracts.iter().find(|contract| !contract.frozen && contract.name.to_string() == text);
    found.map(seamline_contract::contract::Contract::reference).ok_or_else(missing)
}

/// Returns the one thing of a number that the databases of a context hold. `noun` says what it is, `list` which command lists all.
///
/// # Errors
/// When there is none, or one in several databases.
pub(crate) fn only<T>(
    mut found: Vec<T>,
    noun: &str,
    (context, number): (&ContextId, u64),
    list: &str,
) -> Result<T> {
    if found.len() > 1 {
        let message = format!("`{context}/{number}` is a {noun} in {} databases of the context", found.len());
        return Err(usage(message, format!("look with SQL: the table of {noun}s is in each database")));
    }
    found.pop().ok_or_else(|| {
        usage(format!("there is no {noun} `{context}/{number}`"), format!("`seamline {list}` lists all"))
    })
}
