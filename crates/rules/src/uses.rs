//! What a subscription uses: the attributes, events and channels that its text leads to.

use seamline_contract::channel::{ChannelId, ChannelKind};
use seamline_contract::estate::Estate;
use seamline_contract::id::{AttributePath, CommandName};
use seamline_contract::meaning::Uses;
use seamline_contract::path::ModelPath;
use seamline_contract::resolve::{ResolvedContract, resolve};
use seamline_contract::subscription::{ColumnSource, Subscription};
use seamline_expr::program::{ExprError, Program, compile};
use seamline_expr::scope::Scope;
use std::collections::BTreeSet;

/// Returns what a subscription uses; nothing where its contract cannot be resolved.
pub fn uses(estate: &Estate, subscription: &Subscription) -> Uses {
    let contract = resolve(estate, &subscription.contract).ok();
    let scope = contract.as_ref().map(Scope::of).unwrap_or_default();
    Reading::new(subscription, contract.as_ref(), &scope).uses
}

/// A column's expression, compiled over the contract.
#[derive(Debug)]
pub(crate) struct Translation {
    /// The column's place in `into.columns`, counted from zero.
    pub(crate) column: usize,
    pub(crate) program: Result<Program, Vec<ExprError>>,
}

/// A subscription beside its contract.
#[derive(Debug)]
pub(crate) struct Reading<'a> {
    pub(crate) subscription: &'a Subscription,
    /// None where it does not resolve.
    pub(crate) contract: Option<&'a ResolvedContract>,
    pub(crate) translations: Vec<Translation>,
    pub(crate) uses: Uses,
}

impl<'a> Reading<'a> {
    /// `scope` is the contract's.
    pub(crate) fn new(
        subscription: &'a Subscription,
        contract: Option<&'a ResolvedContract>,
        scope: &Scope,
    ) -> Self {
        let mut reading = Reading { subscription, contract, translations: Vec::new(), uses: Uses::default() };
        if let Some(contract) = contract {
            reading.translations = translations(subscription, scope);
            reading.uses = used(subscription, contract, &reading.translations);
        }
        reading
    }

    /// Returns where the subscription's text leads to an attribute: a column, an event, else its purpose.
    pub(crate) fn place_of(&self, path: &AttributePath) -> ModelPath {
        let top = self.subscription.path();
        let columns = self.subscription.into.as_ref().map(|into| into.columns.as_slice()).unwrap_or_default();
        let column = |name: &str| top.clone().key("into").key("columns").key(name);
        if let Some(found) =
            columns.iter().find(|it| matches!(&it.source, ColumnSource::Path(it) if it == path))
        {
            return column(&found.name);
        }
        let translating = self.translations.iter().find(|translation| {
            translation.program.as_ref().is_ok_and(|program| program.uses().contains(path))
        });
        if let Some(translation) = translating {
            return column(&columns[translation.column].name).key("is");
        }
        let carrying = self.contract.and_then(|contract| {
            let view = contract.view(self.subscription.view.as_ref()).ok()?;
            self.subscription.reacts_to.iter().position(|name| {
                let event = contract.contract.event(name);
                event.is_some_and(|event| contract.event_paths(event, view).contains(path))
            })
        });
        match carrying {
            Some(idx) => top.key("reactsTo").index(idx),
            None => top.key("purpose"),
        }
    }
}

fn translations(subscription: &Subscription, scope: &Scope) -> Vec<Translation> {
    let columns = subscription.into.iter().flat_map(|into| &into.columns).enumerate();
    columns
        .filter_map(|(column, it)| match &it.source {
            ColumnSource::Is { is, .. } => Some(Translation { column, program: compile(is, scope) }),
            ColumnSource::Path(_) => None,
        })
        .collect()
}

fn used(subscription: &Subscription, contract: &ResolvedContract, translations: &[Translation]) -> Uses {
    let mut attributes: BTreeSet<AttributePath> =
        contract.contract.key.iter().map(|name| AttributePath::from(name.clone())).collect();
    for column in subscription.into.iter().flat_map(|into| &into.columns) {
        if let ColumnSource::Path(path) = &column.source {
            attributes.insert(path.clone());
        }
    }
    for program in translations.iter().filter_map(|translation| translation.program.as_ref().ok()) {
        attributes.extend(program.uses().iter().cloned());
    }
    attributes.extend(subscription.asks.iter().cloned());
    let view = contract.view(subscription.view.as_ref()).ok().flatten();
    let mut events = Vec::new();
    for event in subscription.reacts_to.iter().filter_map(|name| contract.contract.event(name)) {
        attributes.extend(contract.event_paths(event, view));
        events.push(event.name.clone());
    }
    attributes.retain(|path| contract.at(path).is_some());
    let channel = |kind| ChannelId { view: subscription.view.clone(), kind };
    let mut channels = Vec::new();
    if subscription.projection().is_some() {
        channels.push(channel(ChannelKind::State));
    }
    if !subscription.reacts_to.is_empty() {
        channels.push(channel(ChannelKind::Events));
    }
    let needs = subscription.needs.as_ref().map(|needs| needs.promises()).unwrap_or_default();
    let is_command = |name: &&CommandName| contract.contract.commands.iter().any(|it| it.name == **name);
    Uses {
        attributes,
        events,
        channels,
        commands: subscription.sends.iter().filter(is_command).cloned().collect(),
        asks: !subscription.asks.is_empty(),
        promises: needs.into_iter().map(|(promise, _)| promise).collect(),
    }
}
