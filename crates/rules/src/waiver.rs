//! Waivers: which findings they cover, and that each has an end and a use.

use crate::diff::verdict::CHANGE_RULES;
use crate::review::{Facts, Review, Waived, near};
use crate::rule::{Category, RULES, Rule, rule};
use seamline_contract::contract::Contract;
use seamline_contract::estate::Estate;
use seamline_contract::finding::{Finding, Level};
use seamline_contract::id::{AttributeRef, ContextId};
use seamline_contract::path::{DocumentId, ModelPath, Step};
use seamline_contract::resolve::resolve_all;
use seamline_contract::waiver::{Scope, Waiver};
use std::collections::BTreeMap;

/// No waiver outlives its last day.
pub(crate) const WAIVER_IN_TIME: Rule = Rule {
    id: "WAIVER_IN_TIME",
    category: Category::Governance,
    level: Level::Warn,
    reason: "An exception without an end is another rule, which nobody agreed on.",
    check: waiver_in_time,
};

/// Each waiver waives something.
pub(crate) const WAIVER_NEEDED: Rule = Rule {
    id: "WAIVER_NEEDED",
    category: Category::Governance,
    level: Level::Warn,
    reason: "A waiver that waives nothing today will one day waive what nobody looked at.",
    check: waiver_needed,
};

/// Returns whether a rule speaks of waivers, and so comes after all that they may waive.
pub(crate) fn is_of_waivers(rule: &Rule) -> bool {
    [WAIVER_IN_TIME.id, WAIVER_NEEDED.id].contains(&rule.id)
}

fn waiver_in_time(review: &Review<'_>) -> Vec<Finding> {
    let over = review.estate.waivers.iter().filter(|waiver| is_over(waiver, review.facts.today.as_deref()));
    over.map(|waiver| {
        WAIVER_IN_TIME
            .finding(waiver.path().key("until"), format!("the waiver of `{}` is over", waiver.rule))
            .help(format!("mend what it waived and remove it, or ask `{}` for another day", waiver.approver))
    })
    .collect()
}

/// The last day is still a day of the waiver.
fn is_over(waiver: &Waiver, today: Option<&str>) -> bool {
    // Days are ordered as their texts are.
    today.is_some_and(|today| today > waiver.until.as_str())
}

fn waiver_needed(review: &Review<'_>) -> Vec<Finding> {
    let places = Places::of(review);
    // What a change needs is known only where two texts are held against each other.
    let is_of_changes = |waiver: &Waiver| CHANGE_RULES.iter().any(|rule| rule.id == waiver.rule);
    let idle = review.estate.waivers.iter().filter(|waiver| {
        !is_of_changes(waiver)
            && !is_over(waiver, review.facts.today.as_deref())
            && !review.found.iter().any(|finding| places.covers(waiver, finding))
    });
    idle.map(|waiver| {
        let id = waiver.rule.as_str();
        let is_known = rule(id).is_some() || review.estate.standards.iter().any(|it| it.id.as_str() == id);
        let at = waiver.path();
        if id.starts_with("LANGUAGE_") {
            let message = format!("`{id}` is a rule of the language, which nobody can waive");
            return WAIVER_NEEDED
                .finding(at.key("rule"), message)
                .help("mend the text, and remove the waiver");
        }
        if !is_known {
            let standards = review.estate.standards.iter().map(|it| it.id.to_string());
            let names = RULES.iter().map(|rule| rule.id.to_owned()).chain(standards);
            let message = format!("there is no rule or standard `{id}`, so nothing is waived");
            let near = near(id, names).map(|near| format!("did you mean `{near}`?"));
            let help = near.unwrap_or_else(|| "`seamline rules` lists the rules".to_owned());
            return WAIVER_NEEDED.finding(at.key("rule"), message).help(help);
        }
        let message = format!("`{id}` finds nothing at `{}` to waive", waiver.scope);
        WAIVER_NEEDED.finding(at.key("scope"), message).help("remove the waiver, or mend its scope")
    })
    .collect()
}

/// Takes the findings that a waiver covers, each with the first waiver that does, and leaves the others.
pub(crate) fn apply(review: &Review<'_>, findings: Vec<Finding>) -> (Vec<Finding>, Vec<(Finding, Waiver)>) {
    let today = review.facts.today.as_deref();
    let waivers: Vec<&Waiver> =
        review.estate.waivers.iter().filter(|waiver| !is_over(waiver, today)).collect();
    if waivers.is_empty() {
        return (findings, Vec::new());
    }
    let places = Places::of(review);
    let (mut left, mut waived) = (Vec::new(), Vec::new());
    for finding in findings {
        match waivers.iter().find(|waiver| places.covers(waiver, &finding)) {
            Some(waiver) => waived.push((finding, (*waiver).clone())),
            None => left.push(finding),
        }
    }
    (left, waived)
}

/// Parts what keeps a change from shipping into what no waiver of the newer estate covers, and what one does. `today` as in `Facts`.
pub fn waived(estate: &Estate, findings: Vec<Finding>, today: Option<&str>) -> (Vec<Finding>, Vec<Waived>) {
    if estate.waivers.is_empty() {
        return (findings, Vec::new());
    }
    let resolutions = resolve_all(estate);
    let facts = Facts { today: today.map(ToOwned::to_owned), ..Facts::default() };
    let (left, waived) = apply(&Review::new(estate, &facts, &resolutions), findings);
    (left, waived.into_iter().map(|(finding, waiver)| Waived { finding, waiver }).collect())
}

/// Whose each document is.
struct Places<'r, 'a> {
    review: &'r Review<'a>,
    owners: BTreeMap<&'a DocumentId, &'a ContextId>,
}

impl<'r, 'a> Places<'r, 'a> {
    fn of(review: &'r Review<'a>) -> Self {
        Places { review, owners: owners(review.estate) }
    }

    /// Whether a waiver's rule and scope are those of a finding.
    fn covers(&self, waiver: &Waiver, finding: &Finding) -> bool {
        let id = finding.standard.as_ref().map_or(finding.rule, |standard| standard.as_str());
        // What another team waives, it waives for itself.
        let may = waiver.document.repository().is_none_or(|of| finding.at.document.repository() == Some(of));
        may && waiver.rule == id && self.is_within(&finding.at, &waiver.scope)
    }

    fn is_within(&self, at: &ModelPath, scope: &Scope) -> bool {
        let estate = self.review.estate;
        let of_contract = |contract: Option<&Contract>| contract.is_some_and(|it| it.document == at.document);
        match scope {
            Scope::Context(id) => self.owners.get(&at.document).is_some_and(|owner| *owner == id),
            Scope::Contract(reference) => {
                let contract = self.review.contract(reference);
                let current = contract.filter(|contract| !contract.frozen);
                let publication = current.and_then(|contract| estate.publication(&contract.name));
                of_contract(contract) || publication.is_some_and(|it| it.document == at.document)
            }
            Scope::Attribute(it) => self
                .review
                .contract(&it.contract)
                .is_some_and(|contract| contract.document == at.document && is_of(contract, it, at)),
            Scope::Event(it) => {
                let name = it.event.as_str();
                of_contract(self.review.contract(&it.contract))
                    && (begins(at, &["events", name]) || begins(at, &["commands", name]))
            }
            Scope::View(it) => {
                of_contract(self.review.contract(&it.contract)) && begins(at, &["views", it.view.as_str()])
            }
            Scope::Consumer(name) => {
                let name = name.to_string();
                let subscription = estate.subscriptions.iter().find(|it| it.name.to_string() == name);
                let migration = estate.migrations.iter().find(|it| it.name.to_string() == name);
                subscription.is_some_and(|it| it.document == at.document)
                    || migration.is_some_and(|it| it.document == at.document)
            }
        }
    }
}

/// Whether a place in a contract is that of an attribute: where it is declared, or where the key names it.
fn is_of(contract: &Contract, attribute: &AttributeRef, at: &ModelPath) -> bool {
    let names = attribute.path.names();
    let keys: Vec<&str> = names.iter().flat_map(|name| ["attributes", name.as_str()]).collect();
    let named = |key: &str, listed: &[seamline_contract::id::AttributeName]| match at.steps.as_slice() {
        [Step::Key(step), Step::Index(idx)] => {
            step == key && names.len() == 1 && listed.get(*idx) == Some(attribute.path.first())
        }
        _ => false,
    };
    begins(at, &keys) || named("key", &contract.key) || named("partitionBy", &contract.partition_by)
}

fn begins(at: &ModelPath, keys: &[&str]) -> bool {
    let is = |(step, key): (&Step, &&str)| matches!(step, Step::Key(step) if step == *key);
    at.steps.len() >= keys.len() && at.steps.iter().zip(keys).all(is)
}

fn owners(estate: &Estate) -> BTreeMap<&DocumentId, &ContextId> {
    let mut owners = BTreeMap::new();
    owners.extend(estate.contexts.iter().map(|it| (&it.document, &it.id)));
    owners.extend(estate.contracts.iter().map(|it| (&it.document, &it.name.context)));
    owners.extend(estate.publications.iter().map(|it| (&it.document, &it.contract.context)));
    owners.extend(estate.subscriptions.iter().map(|it| (&it.document, &it.name.context)));
    owners.extend(estate.migrations.iter().map(|it| (&it.document, &it.name.context)));
    owners
}
