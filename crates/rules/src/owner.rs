//! One deciding owner for each attribute: what two contracts publish, or decide about one key, is custody disputed.

use crate::review::{Review, attribute_path};
use crate::rule::{Category, Rule};
use seamline_contract::finding::{Finding, Level};
use seamline_contract::id::{AttributeIdentity, AttributeName, AttributePath, ContextId, SystemId};
use seamline_contract::path::ModelPath;
use seamline_contract::publication::Column;
use seamline_contract::resolve::ResolvedContract;
use std::collections::BTreeMap;

/// Each attribute is decided in one place.
pub(crate) const ONE_OWNER: Rule = Rule {
    id: "ONE_OWNER",
    category: Category::Ownership,
    level: Level::Error,
    reason: "Where two decide one fact, both are right until they differ, and then nobody is.",
    check: one_owner,
};

fn one_owner(review: &Review<'_>) -> Vec<Finding> {
    let mut findings = published_twice(review);
    findings.extend(decided_twice(review));
    findings
}

/// A column that two contracts publish as their own.
fn published_twice(review: &Review<'_>) -> Vec<Finding> {
    let places = databases(review);
    let mut first: BTreeMap<(String, &str, String), (ModelPath, AttributeIdentity)> = BTreeMap::new();
    let mut findings = Vec::new();
    for publication in &review.estate.publications {
        let Some(contract) = review.current(&publication.contract) else { continue };
        let Some(resolved) = review.resolved(&contract.reference()) else { continue };
        let own = resolved.attributes.iter().filter(|attribute| !attribute.carried);
        for attribute in own {
            let path = AttributePath::from(attribute.name.clone());
            let Column::Named(column) = publication.column(&path) else { continue };
            for system in &publication.systems {
                let owner = &publication.contract.context;
                let database =
                    places.get(&(owner, system)).cloned().unwrap_or_else(|| format!("{owner}/{system}"));
                let at = publication.path().key("columns").key(&path);
                let spot = (database, publication.table.as_str(), column.clone());
                match first.get(&spot) {
                    Some((there, other)) if other.contract != attribute.owner.contract => findings.push(
                        ONE_OWNER
                            .finding(
                                at,
                                format!(
                                    "column `{column}` of `{}` is published as `{}` and as `{other}`",
                                    publication.table, attribute.owner
                                ),
                            )
                            .help("let one contract decide it; the other carries it by `from:` or leaves it out")
                            .note(there.clone(), format!("published here as `{other}`"))
                            .owed_by(owner),
                    ),
                    Some(_) => {}
                    None => drop(first.insert(spot, (at, attribute.owner.clone()))),
                }
            }
        }
    }
    findings
}

/// The systems that an environment puts into one database, by its URL and schema.
fn databases<'a>(review: &Review<'a>) -> BTreeMap<(&'a ContextId, &'a SystemId), String> {
    let mut places = BTreeMap::new();
    for environment in &review.estate.environments {
        for place in &environment.systems {
            let database = format!("{} {}", place.url, place.schema.as_deref().unwrap_or_default());
            places.entry((&place.context, &place.system)).or_insert(database);
        }
    }
    places
}

/// Two contracts about one key that decide an attribute of one name.
fn decided_twice(review: &Review<'_>) -> Vec<Finding> {
    // Who decides the key is asked first: the others came later to its concept.
    let (owners, guests): (Vec<&ResolvedContract>, Vec<&ResolvedContract>) =
        review.living_resolved().partition(|contract| decides_its_key(contract));
    let mut first: BTreeMap<(Vec<&AttributeIdentity>, &AttributeName), &ResolvedContract> = BTreeMap::new();
    let mut findings = Vec::new();
    for resolved in owners.into_iter().chain(guests) {
        let key: Vec<&AttributeIdentity> =
            resolved.key.iter().map(|slot| &resolved.attributes[*slot].owner).collect();
        for attribute in resolved.attributes.iter().filter(|attribute| !attribute.carried) {
            let name = &attribute.name;
            if resolved.contract.key.contains(name) {
                continue;
            }
            let there = *first.entry((key.clone(), name)).or_insert(resolved);
            if there.contract.name == resolved.contract.name || enriches(resolved, name, there) {
                continue;
            }
            findings.push(disputed(resolved, name, there));
        }
    }
    findings
}

fn decides_its_key(resolved: &ResolvedContract) -> bool {
    resolved.key.iter().all(|slot| !resolved.attributes[*slot].carried)
}

fn disputed(resolved: &ResolvedContract, name: &AttributeName, there: &ResolvedContract) -> Finding {
    let path = AttributePath::from(name.clone());
    let from = format!("{}.{name}", there.contract.reference());
    let message = format!("`{name}` is decided here and by `{}`, about the same key", there.contract.name);
    ONE_OWNER
        .finding(attribute_path(&resolved.contract, &path).the_key(), message)
        .help(format!("carry it (`from: {from}`), or say `derivedFrom: [{from}]`"))
        .note(attribute_path(&there.contract, &path).the_key(), "decided here")
        .owed_by(&resolved.contract.name.context)
}

/// Whether the attribute says that it is derived from the other contract's.
fn enriches(resolved: &ResolvedContract, name: &AttributeName, there: &ResolvedContract) -> bool {
    let written = resolved.contract.attributes.iter().find(|attribute| &attribute.name == name);
    written.is_some_and(|attribute| {
        attribute
            .derived_from
            .iter()
            .any(|from| from.contract.name == there.contract.name && from.path.first() == name)
    })
}
