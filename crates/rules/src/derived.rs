//! A derived contract is composed from its sources, and the first of them decides which rows exist.

use crate::review::{Review, attribute_path, listed};
use crate::rule::{Category, Rule};
use seamline_contract::attribute::Origin;
use seamline_contract::composition::{Gap, GapAt, compose};
use seamline_contract::finding::{Finding, Level};
use seamline_contract::id::{AttributeName, AttributePath, ContractRef};
use seamline_contract::publication::{Feed, Publication};
use seamline_contract::resolve::ResolvedContract;
use seamline_contract::subscription::Subscription;
use seamline_expr::program::compile;
use std::collections::{BTreeMap, BTreeSet};

/// What a derived contract carries comes from its sources, and may be missing where only the first has a row.
pub(crate) const DERIVED_IS_COMPOSED: Rule = Rule {
    id: "DERIVED_IS_COMPOSED",
    category: Category::Shape,
    level: Level::Error,
    reason: "A row that one source has and another has not must be a row all the same, with nothing made up.",
    check: derived_is_composed,
};

fn derived_is_composed(review: &Review<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for resolved in review.living_resolved() {
        match &resolved.contract.derived {
            Some(derived) => findings.extend(composed(resolved, &derived.from)),
            None => findings.extend(computed_alone(resolved)),
        }
    }
    findings
}

fn composed(resolved: &ResolvedContract, sources: &[seamline_contract::id::ContractRef]) -> Vec<Finding> {
    let contract = &resolved.contract;
    let mut findings = Vec::new();
    for (attribute, written) in resolved.attributes.iter().zip(&contract.attributes) {
        let Origin::Carried(from) = &written.origin else { continue };
        let path = attribute_path(contract, &AttributePath::from(attribute.name.clone()));
        let known = sources.iter().position(|source| *source == from.contract);
        let finding = match known {
            None => DERIVED_IS_COMPOSED
                .finding(
                    path.key("from"),
                    format!("`{}` is none of the contracts this is derived from", from.contract),
                )
                .help(format!("add it to `derived.from`, which has {}", listed(sources))),
            Some(idx) if idx > 0 && !attribute.optional && !contract.key.contains(&attribute.name) => {
                DERIVED_IS_COMPOSED
                    .finding(
                        path.the_key(),
                        format!("`{}` has no value where `{}` has no row yet", attribute.name, from.contract),
                    )
                    .help("add `optional: true`")
            }
            Some(_) => continue,
        };
        let note = contract.path().key("derived").key("from");
        findings.push(finding.note(note, "its sources").owed_by(&contract.name.context));
    }
    findings
}

fn computed_alone(resolved: &ResolvedContract) -> Vec<Finding> {
    let contract = &resolved.contract;
    let computed = resolved.attributes.iter().filter(|attribute| attribute.computed.is_some());
    computed
        .map(|attribute| {
            let path = attribute_path(contract, &AttributePath::from(attribute.name.clone()));
            DERIVED_IS_COMPOSED
                .finding(path.key("computed"), format!("`{}` is computed, and nothing is derived here", attribute.name))
                .help("read it from the publication's table, or say `derived:` with the contracts it is computed from")
                .owed_by(&contract.name.context)
        })
        .collect()
}

/// What projections are to compose, they have.
pub(crate) const DERIVED_IS_PROJECTED: Rule = Rule {
    id: "DERIVED_IS_PROJECTED",
    category: Category::Exchange,
    level: Level::Error,
    reason: "What no projection beside it keeps cannot be composed, and the contract is not published at all.",
    check: derived_is_projected,
};

fn derived_is_projected(review: &Review<'_>) -> Vec<Finding> {
    let subscriptions: Vec<&Subscription> = review.estate.subscriptions.iter().collect();
    let find = |reference: &ContractRef| review.resolved(reference);
    let mut findings = Vec::new();
    for publication in review.estate.publications.iter().filter(|it| it.feed == Feed::Projections) {
        let Some(current) = review.current(&publication.contract) else { continue };
        let Some(resolved) = review.resolved(&current.reference()) else { continue };
        let gaps = compose(resolved, publication, &subscriptions, &find).err().unwrap_or_default();
        findings.extend(gaps.into_iter().filter_map(|gap| projected(resolved, publication, gap)));
    }
    findings
}

fn projected(resolved: &ResolvedContract, publication: &Publication, gap: Gap) -> Option<Finding> {
    let contract = &resolved.contract;
    let at = match &gap.at {
        GapAt::System => publication.path().key("system"),
        GapAt::Key => contract.path().key("key"),
        GapAt::Source(idx) => contract.path().key("derived").key("from").index(*idx),
        GapAt::Attribute(name) => {
            // What comes from none of the sources is another rule's.
            let derived = contract.derived.as_ref()?;
            let written = contract.attributes.iter().find(|it| it.name == *name)?;
            if matches!(&written.origin, Origin::Carried(from) if !derived.from.contains(&from.contract)) {
                return None;
            }
            attribute_path(contract, &AttributePath::from(name.clone())).the_key()
        }
    };
    let finding = DERIVED_IS_PROJECTED.finding(at, gap.message).help(gap.help);
    Some(
        finding.note(publication.path().key("feed"), "what is to compose it").owed_by(&contract.name.context),
    )
}

/// Nothing is made of itself.
pub(crate) const DERIVATION_ENDS: Rule = Rule {
    id: "DERIVATION_ENDS",
    category: Category::Shape,
    level: Level::Error,
    reason: "What is made of itself begins nowhere, and each change of it may bring the next.",
    check: derivation_ends,
};

fn derivation_ends(review: &Review<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut told: BTreeSet<ContractRef> = BTreeSet::new();
    for resolved in review.living_resolved() {
        let contract = &resolved.contract;
        let (reference, derived) = (contract.reference(), contract.derived.iter());
        for (idx, source) in derived.flat_map(|derived| &derived.from).enumerate() {
            let Some(circle) = way_to(review, source, &reference).filter(|_| !told.contains(&reference))
            else {
                continue;
            };
            findings.push(
                DERIVATION_ENDS
                    .finding(
                        contract.path().key("derived").key("from").index(idx),
                        format!("`{reference}` is derived from itself, through {}", listed(&circle)),
                    )
                    .help("derive both from a contract that neither is made into")
                    .owed_by(&contract.name.context),
            );
            told.extend(circle);
        }
        findings.extend(computed_of_itself(review, resolved));
    }
    findings
}

/// Returns the contracts on a way from one to another, each derived from the next.
fn way_to(review: &Review<'_>, from: &ContractRef, to: &ContractRef) -> Option<Vec<ContractRef>> {
    let mut ways = vec![vec![from.clone()]];
    let mut seen = BTreeSet::from([from.clone()]);
    while let Some(way) = ways.pop() {
        let last = way.last().expect("a way begins somewhere");
        if last == to {
            return Some(way);
        }
        let derived = review.contract(last).and_then(|contract| contract.derived.as_ref());
        for next in derived.into_iter().flat_map(|derived| &derived.from) {
            if seen.insert(next.clone()) {
                ways.push(way.iter().cloned().chain([next.clone()]).collect());
            }
        }
    }
    None
}

fn computed_of_itself(review: &Review<'_>, resolved: &ResolvedContract) -> Option<Finding> {
    let contract = &resolved.contract;
    let scope = review.scope(&contract.reference())?;
    let mut waiting: BTreeMap<&AttributeName, BTreeSet<AttributeName>> = BTreeMap::new();
    for attribute in &resolved.attributes {
        let Some(program) = attribute.computed.as_ref().and_then(|text| compile(text, scope).ok()) else {
            continue;
        };
        let uses = program.uses().iter().map(|path| path.first().clone());
        waiting.insert(&attribute.name, uses.collect());
    }
    while let Some(ready) = waiting
        .iter()
        .find(|(_, uses)| uses.iter().all(|name| !waiting.contains_key(name)))
        .map(|(name, _)| *name)
    {
        waiting.remove(ready);
    }
    let (name, _) = waiting.first_key_value()?;
    let at = attribute_path(contract, &AttributePath::from((*name).clone())).key("computed");
    let finding = DERIVATION_ENDS.finding(at, format!("`{name}` is computed from itself"));
    Some(finding.help("compute it from what is carried").owed_by(&contract.name.context))
}
