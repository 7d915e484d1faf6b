//! No contract is everybody's model of everything.

use crate::review::{Review, listed};
use crate::rule::{Category, Rule};
use crate::uses::Reading;
use seamline_contract::finding::{Finding, Level};
use seamline_contract::id::{AttributeName, ContextId, ContractRef};
use seamline_contract::resolve::ResolvedContract;
use std::collections::{BTreeMap, BTreeSet};

/// With fewer contexts, most of them may well share one contract.
pub(crate) const CANONICAL_CONTEXTS_MIN: usize = 4;
/// A context uses a contract in full from this share of its attributes on.
pub(crate) const CANONICAL_USE_PERCENT: usize = 80;

/// No contract is used in full by most contexts while several decide parts of it.
pub(crate) const NO_SHARED_CANONICAL_MODEL: Rule = Rule {
    id: "NO_SHARED_CANONICAL_MODEL",
    category: Category::Shape,
    level: Level::Warn,
    reason: "A model that all share is changed by none: every field is a compromise, and every change a committee.",
    check: no_shared_canonical_model,
};

fn no_shared_canonical_model(review: &Review<'_>) -> Vec<Finding> {
    let n_contexts = review.estate.contexts.len();
    if n_contexts < CANONICAL_CONTEXTS_MIN {
        return Vec::new();
    }
    let mut readings: BTreeMap<&ContractRef, Vec<&Reading<'_>>> = BTreeMap::new();
    for reading in &review.readings {
        readings.entry(&reading.subscription.contract).or_default().push(reading);
    }
    let mut findings = Vec::new();
    for resolved in review.living_resolved() {
        let contract = &resolved.contract;
        let owners = owners(resolved);
        if owners.len() < 2 {
            continue;
        }
        let readings = readings.get(&contract.reference());
        let users = in_full(readings.map_or(&[], Vec::as_slice), resolved);
        if users.len() * 2 <= n_contexts {
            continue;
        }
        findings.push(
            NO_SHARED_CANONICAL_MODEL
                .finding(
                    contract.path().key("attributes").the_key(),
                    format!(
                        "{} of {n_contexts} contexts use `{}` in full, and {} decide parts of it",
                        users.len(),
                        contract.name,
                        listed(&owners)
                    ),
                )
                .help("let each owner publish its own part, and each consumer translate what it needs")
                .owed_by(&contract.name.context),
        );
    }
    findings
}

fn beside_key(resolved: &ResolvedContract) -> impl Iterator<Item = usize> {
    (0..resolved.attributes.len()).filter(|slot| !resolved.key.contains(slot))
}

/// The contexts that decide attributes beside the key, or from whose attributes they are derived.
fn owners(resolved: &ResolvedContract) -> BTreeSet<&ContextId> {
    let mut owners = BTreeSet::new();
    for slot in beside_key(resolved) {
        owners.insert(&resolved.attributes[slot].owner.contract.context);
        let from = &resolved.contract.attributes[slot].derived_from;
        owners.extend(from.iter().map(|from| &from.contract.name.context));
    }
    owners
}

/// The other contexts that use nearly all attributes, over all their subscriptions to it.
fn in_full<'a>(readings: &[&'a Reading<'_>], resolved: &ResolvedContract) -> BTreeSet<&'a ContextId> {
    let contract = &resolved.contract;
    let mut used: BTreeMap<&ContextId, BTreeSet<&AttributeName>> = BTreeMap::new();
    for reading in readings {
        let context = &reading.subscription.name.context;
        if *context != contract.name.context {
            used.entry(context).or_default().extend(reading.uses.attributes.iter().map(|path| path.first()));
        }
    }
    let all = beside_key(resolved).count();
    let full = |names: &BTreeSet<&AttributeName>| {
        let beside = names.iter().filter(|name| !contract.key.contains(name)).count();
        all > 0 && beside * 100 >= all * CANONICAL_USE_PERCENT
    };
    used.into_iter().filter(|(_, names)| full(names)).map(|(context, _)| context).collect()
}
