//! Who has personal data of a kind of subject: the contracts that name it, their owners, and the subscriptions that take it.

use crate::opened::is_own;
use seamline_agent::site::Site;
use seamline_contract::contract::Status;
use seamline_contract::id::{AttributeIdentity, ContextId, ContractRef, SubscriptionRef};
use seamline_contract::resolve::{Resolutions, ResolvedContract, resolve_all};
use std::collections::BTreeSet;

/// Who has personal data of a kind of subject.
pub(super) struct Affected {
    /// Contracts that name the subject and have personal data, published by their contexts.
    pub(super) contracts: Vec<ContractRef>,
    /// Subscriptions whose channel carries some of it, with what they read.
    pub(super) subscriptions: Vec<(SubscriptionRef, ContractRef)>,
}

impl Affected {
    /// Returns the contexts concerned, sorted.
    pub(super) fn contexts(&self) -> BTreeSet<ContextId> {
        let owners = self.contracts.iter().map(|it| it.name.context.clone());
        owners.chain(self.subscriptions.iter().map(|(name, _)| name.context.clone())).collect()
    }

    /// Returns those of them whose databases this estate's own team runs.
    pub(super) fn here(&self, site: &Site) -> Vec<ContextId> {
        let all = self.contexts().into_iter();
        all.filter(|id| site.estate.context(id).is_some_and(|it| is_own(&it.document))).collect()
    }
}

fn with_subject(resolved: &Resolutions) -> impl Iterator<Item = (&ContractRef, &ResolvedContract)> {
    let resolved = resolved.iter().filter_map(|(name, it)| Some((name, it.as_ref().ok()?)));
    resolved.filter(|(_, it)| it.subject().is_some() && !it.personal().is_empty())
}

/// Returns the attributes that contracts with personal data name as their subject, sorted.
pub(super) fn subjects(site: &Site) -> Vec<AttributeIdentity> {
    let resolved = resolve_all(&site.estate);
    let all: BTreeSet<AttributeIdentity> =
        with_subject(&resolved).filter_map(|(_, it)| it.subject().cloned()).collect();
    all.into_iter().collect()
}

/// Returns who has personal data of such subjects.
pub(super) fn affected(site: &Site, of: &AttributeIdentity) -> Affected {
    let resolved = resolve_all(&site.estate);
    let theirs: Vec<_> = with_subject(&resolved).filter(|(_, it)| it.subject() == Some(of)).collect();
    let published = |it: &ResolvedContract| {
        let contract = &it.contract;
        let lives = !contract.frozen && contract.status != Status::Retired;
        lives && site.estate.publication(&contract.name).is_some()
    };
    let contracts = theirs.iter().filter(|(_, it)| published(it)).map(|(name, _)| (*name).clone());
    let takes = |contract: &ContractRef, view: Option<&_>| {
        let read = theirs.iter().find(|(name, _)| *name == contract);
        read.is_some_and(|(_, it)| it.view(view).is_ok_and(|view| it.carries_personal(view)))
    };
    let subscriptions = site.estate.subscriptions.iter();
    let subscriptions = subscriptions.filter(|it| takes(&it.contract, it.view.as_ref()));
    Affected {
        contracts: contracts.collect(),
        subscriptions: subscriptions.map(|it| (it.name.clone(), it.contract.clone())).collect(),
    }
}
