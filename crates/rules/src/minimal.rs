//! Nothing more travels than is used, and no personal data that could stay at home.

use crate::review::{Review, attribute_path};
use crate::rule::{Category, Rule};
use crate::uses::Reading;
use seamline_contract::attribute::{Attribute, Classification, Origin, Type, Unit};
use seamline_contract::channel::View;
use seamline_contract::contract::Status;
use seamline_contract::finding::{Finding, Level};
use seamline_contract::id::{AttributeName, AttributePath, ContractRef};
use seamline_contract::path::ModelPath;
use seamline_contract::resolve::ResolvedContract;
use seamline_contract::subscription::ColumnSource;
use std::collections::{BTreeMap, BTreeSet};

/// What is published is used.
pub(crate) const PUBLISHED_IS_USED: Rule = Rule {
    id: "PUBLISHED_IS_USED",
    category: Category::Privacy,
    level: Level::Advice,
    reason: "What nobody reads still leaks, still breaks, and still has to be kept true.",
    check: published_is_used,
};

fn published_is_used(review: &Review<'_>) -> Vec<Finding> {
    let carried = carried_elsewhere(review);
    let mut readers: BTreeMap<&ContractRef, Vec<&Reading<'_>>> = BTreeMap::new();
    for reading in &review.readings {
        let subscription = reading.subscription;
        if subscription.name.context != subscription.contract.name.context {
            readers.entry(&subscription.contract).or_default().push(reading);
        }
    }
    let mut findings = Vec::new();
    for resolved in review.living_resolved().filter(|it| it.contract.status == Status::Active) {
        let contract = &resolved.contract;
        let readers = readers.get(&contract.reference()).map(Vec::as_slice).unwrap_or_default();
        if readers.is_empty() {
            continue;
        }
        let mut say = |at: ModelPath, message: String, help: &str| {
            findings.push(PUBLISHED_IS_USED.finding(at, message).help(help).owed_by(&contract.name.context));
        };
        let helps = helping(resolved);
        let mut unused = BTreeSet::new();
        for attribute in resolved.attributes.iter().filter(|it| !contract.key.contains(&it.name)) {
            let name = &attribute.name;
            let used = readers.iter().any(|reading| uses(reading, name))
                || helps.contains(name)
                || carried.contains(&(contract.name.to_string(), name.to_string()));
            if !used {
                unused.insert(name);
                let at = attribute_path(contract, &AttributePath::from(name.clone())).the_key();
                say(
                    at,
                    format!("`{name}` is published and used by nobody"),
                    "leave it out until somebody says what for",
                );
            }
        }
        for view in &contract.views {
            let here = contract.path().key("views").key(&view.id);
            let of_view: Vec<&&Reading<'_>> =
                readers.iter().filter(|it| it.subscription.view.as_ref() == Some(&view.id)).collect();
            if of_view.is_empty() {
                say(
                    here.the_key(),
                    format!("view `{}` is read by nobody", view.id),
                    "leave it out until somebody reads it",
                );
                continue;
            }
            for (idx, path) in view.only.iter().enumerate() {
                if !unused.contains(path.first())
                    && !of_view.iter().any(|reading| touches(&reading.uses.attributes, path))
                {
                    let message =
                        format!("`{path}` is in view `{}` and used by none of its readers", view.id);
                    say(here.clone().key("only").index(idx), message, "leave it out of the view");
                }
            }
        }
    }
    findings
}

fn uses(reading: &Reading<'_>, name: &AttributeName) -> bool {
    reading.uses.attributes.iter().any(|path| path.first() == name)
}

/// Whether one of the paths is the path, within it, or around it.
fn touches<'p>(paths: impl IntoIterator<Item = &'p AttributePath>, path: &AttributePath) -> bool {
    let one = path.names();
    paths.into_iter().any(|other| one.starts_with(other.names()) || other.names().starts_with(one))
}

/// Contract and attribute, as texts, of what other contracts carry or derive.
fn carried_elsewhere(review: &Review<'_>) -> BTreeSet<(String, String)> {
    let mut carried = BTreeSet::new();
    for contract in review.living() {
        for attribute in &contract.attributes {
            let from = match &attribute.origin {
                Origin::Carried(from) => Some(from),
                Origin::Own(_) => None,
            };
            for from in attribute.derived_from.iter().chain(from) {
                carried.insert((from.contract.name.to_string(), from.path.first().to_string()));
            }
        }
    }
    carried
}

/// Attributes that serve others of their contract: units, moments, subjects, counts.
fn helping(resolved: &ResolvedContract) -> BTreeSet<AttributeName> {
    let contract = &resolved.contract;
    let units = resolved.attributes.iter().filter_map(|attribute| match &attribute.shape.unit {
        Some(Unit::In(name)) => Some(name.clone()),
        _ => None,
    });
    let moments =
        contract.events.iter().flat_map(|events| &events.events).filter_map(|event| event.effective.clone());
    let counted = contract.reconciliation.iter().filter_map(|it| it.count_by.clone());
    units.chain(moments).chain(counted).chain(contract.subject.clone()).collect()
}

/// No event brings personal data to a reader that keeps none of it.
pub(crate) const EVENT_SPARES_PII: Rule = Rule {
    id: "EVENT_SPARES_PII",
    category: Category::Privacy,
    level: Level::Warn,
    reason: "Personal data that rides along with an event lies in a log and an inbox where nobody looks for it.",
    check: event_spares_pii,
};

fn event_spares_pii(review: &Review<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for reading in &review.readings {
        let (subscription, Some(contract)) = (reading.subscription, reading.contract) else { continue };
        let Ok(view) = contract.view(subscription.view.as_ref()) else { continue };
        let owner = &contract.contract.name.context;
        if subscription.name.context == *owner || subscription.projection().is_none() {
            continue;
        }
        let kept = kept(reading);
        for (idx, name) in subscription.reacts_to.iter().enumerate() {
            let Some((path, classification)) = unasked(contract, view, name, &kept) else { continue };
            let what = view
                .map_or_else(|| "a view".to_owned(), |view| format!("a view narrower than `{}`", view.id));
            findings.push(
                EVENT_SPARES_PII
                    .finding(
                        subscription.path().key("reactsTo").index(idx),
                        format!(
                            "`{name}` brings `{path}`, which is `{classification}`, and nothing here keeps it"
                        ),
                    )
                    .help(format!("ask `{owner}` for {what} without it"))
                    .note(contract.contract.path().key("events").key(name).the_key(), "it travels here")
                    .owed_by(&subscription.name.context),
            );
        }
    }
    findings
}

/// The paths that the table's columns name or translate.
fn kept(reading: &Reading<'_>) -> BTreeSet<AttributePath> {
    let columns = reading.subscription.into.iter().flat_map(|into| &into.columns);
    let named = columns.filter_map(|column| match &column.source {
        ColumnSource::Path(path) => Some(path.clone()),
        ColumnSource::Is { .. } => None,
    });
    let programs = reading.translations.iter().filter_map(|translation| translation.program.as_ref().ok());
    named.chain(programs.flat_map(|program| program.uses().iter().cloned())).collect()
}

fn unasked(
    contract: &ResolvedContract,
    view: Option<&View>,
    event: &seamline_contract::id::EventName,
    kept: &BTreeSet<AttributePath>,
) -> Option<(AttributePath, Classification)> {
    let event = contract.contract.event(event)?;
    let paths = contract.event_paths(event, view);
    paths.into_iter().filter(|path| !touches(kept, path)).find_map(|path| {
        let place = contract.at(&path)?;
        let strictest = place.classification.max(strictest_member(&place.shape.ty))?;
        (strictest >= Classification::Pii).then_some((path, strictest))
    })
}

fn strictest_member(ty: &Type) -> Option<Classification> {
    let below =
        |it: &Attribute| it.classification.max(it.own_shape().and_then(|shape| strictest_member(&shape.ty)));
    match ty {
        Type::Object(members) => members.iter().filter_map(below).max(),
        Type::List(element) | Type::Map(element) => below(element),
        _ => None,
    }
}

/// A run of this many digits in a name is somebody's number.
pub(crate) const TOPIC_DIGITS_MAX: usize = 5;

/// Names of topics are made of contracts, never of data.
pub(crate) const TOPIC_NAMES_NO_PII: Rule = Rule {
    id: "TOPIC_NAMES_NO_PII",
    category: Category::Privacy,
    level: Level::Error,
    reason: "The name of a topic is seen by everybody who may list topics, and is never erased.",
    check: topic_names_no_pii,
};

/// What a topic's name may be made of.
const PLACEHOLDERS: [&str; 4] = ["context", "contract", "major", "channel"];

fn topic_names_no_pii(review: &Review<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for environment in &review.estate.environments {
        let foreign = environment.topics.split('{').skip(1).filter_map(|part| part.split_once('}'));
        for (name, _) in foreign.filter(|(name, _)| !PLACEHOLDERS.contains(name)) {
            findings.push(
                TOPIC_NAMES_NO_PII
                    .finding(
                        environment.path().key("log").key("topics"),
                        format!("`{{{name}}}` is nothing that a topic can be named by"),
                    )
                    .help(format!(
                        "name topics by {}",
                        crate::review::listed(PLACEHOLDERS.map(|it| format!("{{{it}}}")))
                    )),
            );
        }
    }
    for contract in review.living() {
        let of_contract = (contract.name.contract.as_str(), contract.path().key("id"));
        let views = contract
            .views
            .iter()
            .map(|view| (view.id.as_str(), contract.path().key("views").key(&view.id).the_key()));
        for (id, at) in views.chain([of_contract]) {
            if longest_digits(id) > TOPIC_DIGITS_MAX {
                findings.push(
                    TOPIC_NAMES_NO_PII
                        .finding(at, format!("`{id}` names a topic, and holds somebody's number"))
                        .help("name it for what it tells; whom it tells of is in the key")
                        .owed_by(&contract.name.context),
                );
            }
        }
    }
    findings
}

fn longest_digits(text: &str) -> usize {
    text.split(|letter: char| !letter.is_ascii_digit()).map(str::len).max().unwrap_or(0)
}
