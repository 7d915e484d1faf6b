//! Contexts build on one another in one direction.

use crate::review::Review;
use crate::rule::{Category, Rule};
use crate::walk::attributes;
use seamline_contract::attribute::Origin;
use seamline_contract::finding::{Finding, Level};
use seamline_contract::id::{AttributeRef, ContextId};
use seamline_contract::path::ModelPath;
use std::collections::{BTreeMap, BTreeSet};

/// No two contexts publish what is made from the other's.
pub(crate) const CONTEXTS_BUILD_ONE_WAY: Rule = Rule {
    id: "CONTEXTS_BUILD_ONE_WAY",
    category: Category::Shape,
    level: Level::Warn,
    reason: "Contexts that build on each other in a circle are one context in two databases: neither can change or start alone.",
    check: contexts_build_one_way,
};

/// For each context those it builds on, with the place where it does first.
type Builds<'a> = BTreeMap<&'a ContextId, BTreeMap<&'a ContextId, ModelPath>>;

fn contexts_build_one_way(review: &Review<'_>) -> Vec<Finding> {
    let builds = builds(review);
    let mut told: BTreeSet<&ContextId> = BTreeSet::new();
    let mut findings = Vec::new();
    for (context, upstream) in &builds {
        for (other, at) in upstream {
            if told.contains(context) {
                continue;
            }
            let Some(way) = way_back(&builds, other, context) else { continue };
            let circle =
                way.iter().map(|id| format!("`{id}`")).collect::<Vec<_>>().join(", which builds on ");
            told.extend(&way);
            findings.push(
                CONTEXTS_BUILD_ONE_WAY
                    .finding(at.clone(), format!("`{context}` builds on {circle}"))
                    .help("let one side keep its facts apart in a contract of their own, or make it one context")
                    .owed_by(context),
            );
        }
    }
    findings
}

fn builds<'a>(review: &Review<'a>) -> Builds<'a> {
    let mut builds: Builds<'a> = BTreeMap::new();
    for contract in review.living() {
        let context = &contract.name.context;
        let mut add = |from: &'a AttributeRef, at: ModelPath| {
            let other = &from.contract.name.context;
            if other != context && !identifies(review, from) {
                builds.entry(context).or_default().entry(other).or_insert(at);
            }
        };
        for placed in attributes(contract) {
            if let Origin::Carried(from) = &placed.attribute.origin {
                add(from, placed.at.clone().key("from"));
            }
            for (idx, from) in placed.attribute.derived_from.iter().enumerate() {
                add(from, placed.at.clone().key("derivedFrom").index(idx));
            }
        }
    }
    builds
}

/// Naming another's record is no building on its facts.
fn identifies(review: &Review<'_>, from: &AttributeRef) -> bool {
    review.contract(&from.contract).is_some_and(|home| home.key.contains(from.path.first()))
}

/// Returns the contexts on the shortest way from one to another, both included.
fn way_back<'a>(builds: &Builds<'a>, from: &'a ContextId, to: &'a ContextId) -> Option<Vec<&'a ContextId>> {
    let mut ways = vec![vec![from]];
    let mut seen = BTreeSet::from([from]);
    while !ways.is_empty() {
        let mut longer = Vec::new();
        for way in ways {
            let last = *way.last().expect("a way begins somewhere");
            if last == to {
                return Some(way);
            }
            for next in builds.get(last).into_iter().flat_map(BTreeMap::keys) {
                if seen.insert(next) {
                    longer.push(way.iter().copied().chain([*next]).collect());
                }
            }
        }
        ways = longer;
    }
    None
}
