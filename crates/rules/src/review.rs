//! The review of an estate: every contract resolved once, every rule applied, levels as the estate sets them.

use crate::rule::{Category, RULES, Rule, rule};
use crate::uses::Reading;
use crate::waiver::{apply, is_of_waivers};
use seamline_contract::context::Context;
use seamline_contract::contract::{Contract, Status};
use seamline_contract::estate::Estate;
use seamline_contract::finding::{Finding, Level};
use seamline_contract::id::{AttributePath, ContextId, ContractName, ContractRef, Major, PurposeId};
use seamline_contract::path::{DocumentId, ModelPath};
use seamline_contract::resolve::{Resolutions, ResolvedContract, Unresolved, resolve_all};
use seamline_contract::waiver::Waiver;
use seamline_expr::scope::Scope;
use std::collections::{BTreeMap, BTreeSet};

/// What a review must be told, since it reads no files.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// Those of `runbooks` that exist, as written.
    pub runbooks: BTreeSet<String>,
    /// The day, `YYYY-MM-DD`; none: not known, and nothing is over.
    pub today: Option<String>,
}

/// Returns the runbooks that an estate names, as written, for the caller to look up.
pub fn runbooks(estate: &Estate) -> BTreeSet<String> {
    runbooks_of(estate, |_| true)
}

/// Returns the runbooks that some documents of an estate name, as written.
pub fn runbooks_of(estate: &Estate, of: impl Fn(&DocumentId) -> bool) -> BTreeSet<String> {
    let contracts = estate.contracts.iter().map(|it| (&it.document, it.reconciliation.as_ref()));
    let subscriptions = estate.subscriptions.iter().map(|it| (&it.document, it.reconciliation.as_ref()));
    let all = contracts.chain(subscriptions).filter(|(document, _)| of(document));
    all.filter_map(|(_, reconciliation)| reconciliation?.runbook.clone()).collect()
}

/// A finding that somebody answers for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waived {
    /// What was found.
    pub finding: Finding,
    /// The waiver that covers it.
    pub waiver: Waiver,
}

/// What a review says. Each list is sorted by document and place.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outcome {
    /// What is wrong, and not waived.
    pub findings: Vec<Finding>,
    /// What is waived.
    pub waived: Vec<Waived>,
}

/// Returns what is wrong with an estate and not waived, sorted by document and place, at the levels its settings give.
pub fn review(estate: &Estate, facts: &Facts) -> Vec<Finding> {
    reviewed(estate, facts).findings
}

/// Returns what is wrong with an estate, and what of it is waived, at the levels its settings give.
pub fn reviewed(estate: &Estate, facts: &Facts) -> Outcome {
    let resolutions = resolve_all(estate);
    let mut review = Review::new(estate, facts, &resolutions);
    let levels: BTreeMap<&str, Option<Level>> =
        estate.settings.rules.iter().map(|(id, level)| (id.as_str(), *level)).collect();
    let found = |rule: &Rule, review: &Review<'_>| match levels.get(rule.id) {
        Some(None) => Vec::new(),
        Some(Some(level)) => (rule.check)(review).into_iter().map(|it| it.level(*level)).collect(),
        None => (rule.check)(review),
    };
    let (last, first): (Vec<&Rule>, Vec<&Rule>) = RULES.iter().partition(|rule| is_of_waivers(rule));
    review.found = first.into_iter().flat_map(|rule| found(rule, &review)).collect();
    let of_waivers: Vec<Finding> = last.into_iter().flat_map(|rule| found(rule, &review)).collect();
    let all = std::mem::take(&mut review.found);
    let (mut findings, waived) = apply(&review, all);
    findings.extend(of_waivers);
    findings.sort_by(|one, two| (&one.at, one.rule).cmp(&(&two.at, two.rule)));
    let mut waived: Vec<Waived> =
        waived.into_iter().map(|(finding, waiver)| Waived { finding, waiver }).collect();
    waived.sort_by(|one, two| (&one.finding.at, one.finding.rule).cmp(&(&two.finding.at, two.finding.rule)));
    Outcome { findings, waived }
}

/// An estate with what several rules need, each thing made once.
#[derive(Debug)]
pub struct Review<'a> {
    pub(crate) estate: &'a Estate,
    pub(crate) facts: &'a Facts,
    pub(crate) readings: Vec<Reading<'a>>,
    /// What was found before the rules that speak of waivers.
    pub(crate) found: Vec<Finding>,
    contexts: BTreeMap<&'a ContextId, &'a Context>,
    contracts: BTreeMap<ContractRef, &'a Contract>,
    current: BTreeMap<&'a ContractName, &'a Contract>,
    purposes: BTreeSet<&'a PurposeId>,
    resolutions: &'a Resolutions,
    scopes: BTreeMap<&'a ContractRef, Scope>,
}

impl<'a> Review<'a> {
    pub(crate) fn new(estate: &'a Estate, facts: &'a Facts, resolutions: &'a Resolutions) -> Self {
        let mut contracts = BTreeMap::new();
        for contract in &estate.contracts {
            contracts.entry(contract.reference()).or_insert(contract);
        }
        let scopes: BTreeMap<&ContractRef, Scope> = resolutions
            .iter()
            .filter_map(|(reference, resolved)| Some((reference, Scope::of(resolved.as_ref().ok()?))))
            .collect();
        let nothing = Scope::default();
        let readings = estate
            .subscriptions
            .iter()
            .map(|subscription| {
                let contract = resolutions.get(&subscription.contract).and_then(|it| it.as_ref().ok());
                Reading::new(subscription, contract, scopes.get(&subscription.contract).unwrap_or(&nothing))
            })
            .collect();
        Review {
            estate,
            facts,
            readings,
            found: Vec::new(),
            contexts: estate.contexts.iter().map(|context| (&context.id, context)).collect(),
            contracts,
            current: estate.contracts.iter().filter(|it| !it.frozen).map(|it| (&it.name, it)).collect(),
            purposes: estate.settings.purposes.iter().map(|(purpose, _)| purpose).collect(),
            resolutions,
            scopes,
        }
    }

    /// Returns a context by id.
    pub(crate) fn context(&self, id: &ContextId) -> Option<&'a Context> {
        self.contexts.get(id).copied()
    }

    /// Returns a contract by reference.
    pub(crate) fn contract(&self, reference: &ContractRef) -> Option<&'a Contract> {
        self.contracts.get(reference).copied()
    }

    /// Returns the text of a contract that is no frozen older major.
    pub(crate) fn current(&self, name: &ContractName) -> Option<&'a Contract> {
        self.current.get(name).copied()
    }

    /// Returns the majors of a contract, lowest first.
    pub(crate) fn majors(&self, reference: &ContractRef) -> Vec<ContractRef> {
        let first = ContractRef { name: reference.name.clone(), major: Major(0) };
        let from_there = self.contracts.range(first..).map(|(other, _)| other);
        from_there.take_while(|other| other.name == reference.name).cloned().collect()
    }

    /// Returns help for a reference to a contract that is not there: a text that cannot be read, or what is near.
    pub(crate) fn instead_of(
        &self,
        reference: &ContractRef,
        candidates: impl IntoIterator<Item = impl ToString>,
    ) -> String {
        let estate = self.estate;
        match estate.unread.get(&reference.name) {
            Some(document) => match document.repository() {
                Some(repository) => format!(
                    "`{document}` cannot be read: ask its team to mend it; until then name an earlier revision of \
                     `{repository}` in `roots` and run `seamline pull`"
                ),
                None => format!("`{document}` cannot be read: mend that first"),
            },
            None if estate.lacks_roots && self.context(&reference.name.context).is_none() => {
                "it may be in a root that cannot be read: mend `roots` first".to_owned()
            }
            None => nearest(&reference.to_string(), candidates),
        }
    }

    /// Returns whether the estate declares a purpose.
    pub(crate) fn has_purpose(&self, purpose: &PurposeId) -> bool {
        self.purposes.contains(purpose)
    }

    /// Returns a contract with everything filled in, where that is possible.
    pub(crate) fn resolved(&self, reference: &ContractRef) -> Option<&'a ResolvedContract> {
        self.resolutions.get(reference)?.as_ref().ok()
    }

    /// Returns the names that expressions over a contract may use, where it resolves.
    pub(crate) fn scope(&self, reference: &ContractRef) -> Option<&Scope> {
        self.scopes.get(reference)
    }

    /// Returns why a contract cannot be resolved.
    pub(crate) fn unresolved(&self, reference: &ContractRef) -> &'a [Unresolved] {
        match self.resolutions.get(reference) {
            Some(Err(reasons)) => reasons,
            _ => &[],
        }
    }

    /// Returns the contracts whose text can still be mended: neither frozen nor retired.
    pub(crate) fn living(&self) -> impl Iterator<Item = &'a Contract> {
        self.estate.contracts.iter().filter(|contract| !contract.frozen && contract.status != Status::Retired)
    }

    /// Returns the living contracts that resolve.
    pub(crate) fn living_resolved(&self) -> impl Iterator<Item = &'a ResolvedContract> {
        self.living().filter_map(|contract| self.resolved(&contract.reference()))
    }
}

/// Returns the place of an attribute in its contract; what is not written there stands for what is around it.
pub(crate) fn attribute_path(contract: &Contract, path: &AttributePath) -> ModelPath {
    path.names().iter().fold(contract.path(), |at, name| at.key("attributes").key(name))
}

/// How many edits a misspelt name may be away.
const EDITS_MAX: usize = 3;

/// Returns the name nearest to one that is none of these, when it is near enough to be meant.
pub(crate) fn near(name: &str, candidates: impl IntoIterator<Item = impl ToString>) -> Option<String> {
    candidates
        .into_iter()
        .map(|it| it.to_string())
        .map(|candidate| (strsim::damerau_levenshtein(name, &candidate), candidate))
        .filter(|(edits, _)| *edits <= EDITS_MAX.min(name.chars().count() / 2))
        .min()
        .map(|(_, candidate)| candidate)
}

/// Returns help for a name that is none of these: the nearest, or all that there are.
pub(crate) fn nearest(name: &str, candidates: impl IntoIterator<Item = impl ToString>) -> String {
    let candidates: Vec<String> = candidates.into_iter().map(|it| it.to_string()).collect();
    match near(name, &candidates) {
        Some(candidate) => format!("did you mean `{candidate}`?"),
        None if candidates.is_empty() => "there is none to name".to_owned(),
        None => format!("there are {}", listed(&candidates)),
    }
}

/// Returns names in backticks with commas between.
pub(crate) fn listed(names: impl IntoIterator<Item = impl ToString>) -> String {
    names.into_iter().map(|name| format!("`{}`", name.to_string())).collect::<Vec<_>>().join(", ")
}

/// The estate's settings name only rules that exist.
pub(crate) const RULE_EXISTS: Rule = Rule {
    id: "RULE_EXISTS",
    category: Category::Shape,
    level: Level::Error,
    reason: "A level set for a rule that does not exist protects nobody, and looks as if it did.",
    check: rule_exists,
};

fn rule_exists(review: &Review<'_>) -> Vec<Finding> {
    let settings = &review.estate.settings;
    let unknown = settings.rules.iter().filter(|(id, _)| rule(id).is_none());
    unknown
        .map(|(id, _)| {
            let at = ModelPath::top(&settings.document).key("rules").key(id).the_key();
            RULE_EXISTS
                .finding(at, format!("there is no rule `{id}`"))
                .help(nearest(id, RULES.iter().map(|rule| rule.id)))
        })
        .collect()
}
