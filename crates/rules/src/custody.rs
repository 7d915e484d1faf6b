//! Who copies a fact does not decide it as well: one word, or one copied attribute, published by two contexts.

use crate::meaning::words;
use crate::review::{Review, attribute_path};
use crate::rule::{Category, Rule};
use crate::uses::Reading;
use seamline_contract::context::Term;
use seamline_contract::finding::{Finding, Level};
use seamline_contract::id::{AttributeIdentity, AttributePath, ContextId, SystemId};
use seamline_contract::path::ModelPath;
use seamline_contract::publication::{Column, Feed, Publication};
use seamline_contract::resolve::ResolvedContract;
use seamline_contract::subscription::ColumnSource;
use std::collections::{BTreeMap, BTreeSet};

/// One word is published by one context.
pub(crate) const TERM_DECIDED_ONCE: Rule = Rule {
    id: "TERM_DECIDED_ONCE",
    category: Category::Ownership,
    level: Level::Error,
    reason: "A word of the business that two contexts publish as their own has two truths, and readers pick one by chance.",
    check: term_decided_once,
};

/// Something that is published under a word.
struct Published<'a> {
    contract: &'a ResolvedContract,
    /// The attribute; none where the contract itself is named for the word.
    attribute: Option<&'a AttributeIdentity>,
    derived: bool,
    at: ModelPath,
}

impl Published<'_> {
    fn context(&self) -> &ContextId {
        &self.contract.contract.name.context
    }

    fn key(&self) -> Vec<&AttributeIdentity> {
        self.contract.key.iter().map(|slot| &self.contract.attributes[*slot].owner).collect()
    }
}

fn spelt(text: &str) -> String {
    words(text).collect::<Vec<_>>().join(" ")
}

fn term_decided_once(review: &Review<'_>) -> Vec<Finding> {
    let mut terms: BTreeMap<String, BTreeMap<&ContextId, &Term>> = BTreeMap::new();
    for context in &review.estate.contexts {
        for term in &context.terms {
            terms.entry(spelt(&term.word)).or_default().insert(&context.id, term);
        }
    }
    let published = published(review);
    let mut findings = Vec::new();
    for (word, homes) in &terms {
        let Some(places) = published.get(word) else { continue };
        // Whose word it is is asked first: the others came later to it.
        let (at_home, abroad): (Vec<&Published<'_>>, Vec<&Published<'_>>) =
            places.iter().partition(|place| homes.contains_key(place.context()));
        let order: Vec<&Published<'_>> = at_home.into_iter().chain(abroad).collect();
        for (idx, place) in order.iter().enumerate() {
            let Some(first) = order[..idx].iter().find(|first| disputes(place, first, homes)) else {
                continue;
            };
            findings.push(
                TERM_DECIDED_ONCE
                    .finding(
                        place.at.clone(),
                        format!("`{word}` is published by `{}` as its own, and by `{}`", place.context(), first.context()),
                    )
                    .help("carry it by `from:`, say `derivedFrom:`, or tell the words apart by `unlike` in `terms`")
                    .note(first.at.clone(), "published here")
                    .owed_by(place.context()),
            );
        }
    }
    findings
}

fn published<'a>(review: &Review<'a>) -> BTreeMap<String, Vec<Published<'a>>> {
    let mut published: BTreeMap<String, Vec<Published<'a>>> = BTreeMap::new();
    for resolved in review.living_resolved() {
        let contract = &resolved.contract;
        let mut add = |name: &str, attribute, derived, at| {
            let place = Published { contract: resolved, attribute, derived, at };
            published.entry(spelt(name)).or_default().push(place);
        };
        if contract.derived.is_none() {
            add(contract.name.contract.as_str(), None, false, contract.path().key("id"));
        }
        for (attribute, written) in resolved.attributes.iter().zip(&contract.attributes) {
            if !attribute.carried {
                let at = attribute_path(contract, &AttributePath::from(attribute.name.clone())).the_key();
                let derived = !written.derived_from.is_empty() || attribute.computed.is_some();
                add(attribute.name.as_str(), Some(&attribute.owner), derived, at);
            }
        }
    }
    published
}

/// Two words that are told apart are two words; who knows both and tells nothing is asked by another rule, and so is who
/// decides about one key.
fn disputes(place: &Published<'_>, first: &Published<'_>, homes: &BTreeMap<&ContextId, &Term>) -> bool {
    let (here, there) = (place.context(), first.context());
    let differs = |one: &ContextId, other: &ContextId| {
        homes.get(one).is_some_and(|term| term.unlike.iter().any(|(id, _)| id == other))
    };
    let both = homes.contains_key(here) && homes.contains_key(there);
    let same_kind = place.attribute.is_some() == first.attribute.is_some();
    let same_key = place.attribute.is_some() && place.key() == first.key();
    here != there
        && same_kind
        && !place.derived
        && !same_key
        && !both
        && !differs(here, there)
        && !differs(there, here)
}

/// What a context copies it does not publish as its own.
pub(crate) const CORRECTION_ASKED_OF_OWNER: Rule = Rule {
    id: "CORRECTION_ASKED_OF_OWNER",
    category: Category::Ownership,
    level: Level::Error,
    reason: "Who mends another's fact in a copy of its own starts a second truth; the owner never hears of it.",
    check: correction_asked_of_owner,
};

fn correction_asked_of_owner(review: &Review<'_>) -> Vec<Finding> {
    let mut filled: Filled<'_> = BTreeMap::new();
    let mut deciding: BTreeMap<&ContextId, Vec<&ResolvedContract>> = BTreeMap::new();
    for reading in &review.readings {
        let Some((table, _)) = reading.subscription.projection() else { continue };
        let Some(into) = &reading.subscription.into else { continue };
        filled.entry((&reading.subscription.name.context, &into.system, table)).or_default().push(reading);
    }
    for resolved in review.living_resolved() {
        deciding.entry(&resolved.contract.name.context).or_default().push(resolved);
    }
    let mut findings = Vec::new();
    for publication in review.estate.publications.iter().filter(|it| it.feed != Feed::Projections) {
        findings.extend(republished(review, publication, &filled));
    }
    for reading in &review.readings {
        let Some(owner) = reading.contract else { continue };
        for resolved in deciding.get(&reading.subscription.name.context).into_iter().flatten() {
            findings.extend(decided_beside(reading, resolved, owner));
        }
    }
    // Two subscriptions to one contract tell the same.
    findings.sort_by(|one, two| (&one.at, &one.message).cmp(&(&two.at, &two.message)));
    findings.dedup();
    findings
}

/// The subscriptions that fill a table of a system of a context.
type Filled<'r> = BTreeMap<(&'r ContextId, &'r SystemId, &'r str), Vec<&'r Reading<'r>>>;

/// Columns that are filled from another context's contract and published as decided here.
fn republished(review: &Review<'_>, publication: &Publication, filled: &Filled<'_>) -> Vec<Finding> {
    let context = &publication.contract.context;
    let current = review.current(&publication.contract).map(|it| it.reference());
    let Some(resolved) = current.and_then(|it| review.resolved(&it)) else { return Vec::new() };
    let readings =
        publication.systems.iter().filter_map(|system| filled.get(&(context, system, &publication.table)));
    let mut findings = Vec::new();
    for subscription in readings.flatten().map(|reading| reading.subscription) {
        for attribute in resolved.attributes.iter().filter(|attribute| !attribute.carried) {
            let path = AttributePath::from(attribute.name.clone());
            let Column::Named(column) = publication.column(&path) else { continue };
            let columns = subscription.into.iter().flat_map(|into| &into.columns);
            let copied = columns.filter(|it| it.name == column).map(|it| &it.source).next();
            let (Some(ColumnSource::Path(from)), false) =
                (copied, subscription.contract.name == publication.contract)
            else {
                continue;
            };
            let from = format!("{}.{from}", subscription.contract);
            findings.push(
                CORRECTION_ASKED_OF_OWNER
                    .finding(
                        publication.path().key("columns").key(&path),
                        format!(
                            "`{column}` of `{}` is a copy of `{from}`, and published as `{}`",
                            publication.table, attribute.owner
                        ),
                    )
                    .help(format!("carry it (`from: {from}`), or ask its owner by a command"))
                    .note(subscription.path().key("into").key("columns").key(&column), "copied here")
                    .owed_by(context),
            );
        }
    }
    findings
}

/// Attributes that a context reads of a record, and decides again in a contract that speaks of the same record.
fn decided_beside(
    reading: &Reading<'_>,
    resolved: &ResolvedContract,
    owner: &ResolvedContract,
) -> Vec<Finding> {
    let (contract, there) = (&resolved.contract, &owner.contract);
    let identities = |it: &ResolvedContract| -> BTreeSet<AttributeIdentity> {
        it.key.iter().map(|slot| it.attributes[*slot].owner.clone()).collect()
    };
    let key = identities(owner);
    let decides_key = owner.key.iter().all(|slot| !owner.attributes[*slot].carried);
    let speaks_of =
        key.iter().all(|identity| resolved.attributes.iter().any(|it| it.carried && it.owner == *identity));
    if contract.name.context == there.name.context
        || !decides_key
        || !speaks_of
        || identities(resolved) == key
    {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (attribute, written) in resolved.attributes.iter().zip(&contract.attributes) {
        let Some(slot) = owner.slot(&attribute.name) else { continue };
        let original = &owner.attributes[slot];
        let same = !attribute.carried && !original.carried && original.shape.ty == attribute.shape.ty;
        let derived = written.derived_from.iter().any(|from| from.contract.name == there.name);
        let read = reading.uses.attributes.iter().any(|path| *path.first() == attribute.name);
        if !same || derived || !read || owner.key.contains(&slot) {
            continue;
        }
        let path = AttributePath::from(attribute.name.clone());
        let from = format!("{}.{path}", there.reference());
        findings.push(
            CORRECTION_ASKED_OF_OWNER
                .finding(
                    attribute_path(contract, &path).the_key(),
                    format!("`{path}` is read from `{}` and decided again here, of the same record", there.name),
                )
                .help(format!(
                    "ask `{}` by a command to correct it, carry it (`from: {from}`), or say `derivedFrom: [{from}]`",
                    there.name.context
                ))
                .note(attribute_path(there, &path).the_key(), "decided here")
                .owed_by(&contract.name.context),
        );
    }
    findings
}
