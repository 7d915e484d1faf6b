//! Names that documents write of one another lead somewhere. Names within one contract are judged by the language.

mod beside;
mod moving;
mod scope;

use crate::review::{Review, nearest};
use crate::rule::{Category, Rule};
use crate::uses::Reading;
use seamline_contract::attribute::Type;
use seamline_contract::channel::{ChannelTerms, View};
use seamline_contract::contract::Contract;
use seamline_contract::finding::{Finding, Level};
use seamline_contract::id::{AttributePath, ContextId};
use seamline_contract::path::ModelPath;
use seamline_contract::publication::Publication;
use seamline_contract::resolve::ResolvedContract;
use seamline_contract::subscription::{ColumnSource, Subscription};

/// Every name leads somewhere.
pub(crate) const NAMES_RESOLVE: Rule = Rule {
    id: "NAMES_RESOLVE",
    category: Category::Shape,
    level: Level::Error,
    reason: "A name that leads nowhere promises something that nothing can keep.",
    check: names_resolve,
};

fn names_resolve(review: &Review<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for contract in review.living() {
        let mut names = Names { review, owner: &contract.name.context, findings: Vec::new() };
        names.of_readers(contract);
        beside::derived(&mut names, contract);
        beside::served(&mut names, contract);
        if let Some(resolved) = review.resolved(&contract.reference()) {
            names.of_events(resolved);
            names.of_views(resolved);
        }
        findings.extend(names.findings);
    }
    for context in &review.estate.contexts {
        let mut names = Names { review, owner: &context.id, findings: Vec::new() };
        for (idx, relation) in context.relations.iter().enumerate() {
            names.context(&relation.with, context.path().key("relations").index(idx).key("with"));
        }
        for term in &context.terms {
            for (other, _) in &term.unlike {
                let at = context.path().key("terms").key(&term.word).key("unlike").key(other).the_key();
                names.context(other, at);
            }
        }
        findings.extend(names.findings);
    }
    for publication in &review.estate.publications {
        let mut names = Names { review, owner: &publication.contract.context, findings: Vec::new() };
        names.of_publication(publication);
        findings.extend(names.findings);
    }
    for reading in &review.readings {
        let mut names = Names { review, owner: &reading.subscription.name.context, findings: Vec::new() };
        names.of_target(reading.subscription);
        if let Some(contract) = reading.contract {
            names.of_reading(reading, contract);
        }
        findings.extend(names.findings);
    }
    for migration in &review.estate.migrations {
        let mut names = Names { review, owner: migration.context(), findings: Vec::new() };
        moving::check(&mut names, migration);
        findings.extend(names.findings);
    }
    findings.extend(review.estate.environments.iter().flat_map(|it| beside::placed(review, it)));
    findings.extend(review.estate.waivers.iter().filter_map(|waiver| scope::check(review, waiver)));
    findings
}

struct Names<'r, 'a> {
    review: &'r Review<'a>,
    owner: &'r ContextId,
    findings: Vec<Finding>,
}

impl Names<'_, '_> {
    fn wrong(&mut self, at: ModelPath, message: String, help: String) {
        self.findings.push(NAMES_RESOLVE.finding(at, message).help(help).owed_by(self.owner));
    }

    fn context(&mut self, id: &ContextId, at: ModelPath) {
        if self.review.context(id).is_none() {
            let help = nearest(id.as_str(), self.review.estate.contexts.iter().map(|context| &context.id));
            self.wrong(at, format!("there is no context `{id}`"), help);
        }
    }

    fn attribute(&mut self, contract: &ResolvedContract, path: &AttributePath, at: ModelPath) {
        if contract.at(path).is_none() {
            let help = nearest(&path.to_string(), contract.attributes.iter().map(|it| &it.name));
            self.wrong(at, format!("`{}` has no attribute `{path}`", contract.contract.name), help);
        }
    }

    fn of_readers(&mut self, contract: &Contract) {
        let top = contract.path();
        let channels: [(&str, Option<&ChannelTerms>); 4] = [
            ("events", contract.events.as_ref().map(|events| &events.terms)),
            ("state", contract.state.as_ref()),
            ("reference", contract.reference.as_ref()),
            ("requests", contract.requests.as_ref()),
        ];
        for (name, terms) in channels {
            for (idx, reader) in
                terms.and_then(|terms| terms.readers.as_ref()).into_iter().flatten().enumerate()
            {
                self.context(reader, top.clone().key(name).key("for").index(idx));
            }
        }
        for view in &contract.views {
            for (idx, reader) in view.readers.iter().enumerate() {
                self.context(reader, top.clone().key("views").key(&view.id).key("for").index(idx));
            }
        }
        for command in &contract.commands {
            for (idx, sender) in command.senders.iter().enumerate() {
                self.context(sender, top.clone().key("commands").key(&command.name).key("for").index(idx));
            }
        }
    }

    /// Values that can be named are those of enums and booleans; a moment is a date or a timestamp.
    fn of_events(&mut self, contract: &ResolvedContract) {
        for event in contract.contract.events.iter().flat_map(|events| &events.events) {
            let at = contract.contract.path().key("events").key(&event.name);
            for (name, _) in &event.becomes {
                let Some(slot) = contract.slot(name) else { continue };
                if !matches!(contract.attributes[slot].shape.ty, Type::Enum | Type::Boolean) {
                    self.wrong(
                        at.clone().key("becomes").key(name).the_key(),
                        format!("`{name}` is neither an enum nor a boolean, so no value of it can be named"),
                        format!("write `sets: [{name}]`"),
                    );
                }
            }
            for (key, paths) in [("sets", &event.sets), ("with", &event.with)] {
                for (idx, path) in paths.iter().enumerate() {
                    self.carried(contract, path, at.clone().key(key).index(idx));
                }
            }
            let Some(slot) = event.effective.as_ref().and_then(|name| contract.slot(name)) else { continue };
            let attribute = &contract.attributes[slot];
            if !matches!(attribute.shape.ty, Type::Date | Type::Timestamp) {
                let message = format!("`{}` is neither a date nor a timestamp", attribute.name);
                let help = "name the attribute that says when it takes effect".to_owned();
                self.wrong(at.key("effective"), message, help);
            }
        }
    }

    fn of_views(&mut self, contract: &ResolvedContract) {
        for view in &contract.contract.views {
            let at = contract.contract.path().key("views").key(&view.id).key("only");
            for (idx, path) in view.only.iter().enumerate() {
                self.carried(contract, path, at.clone().index(idx));
            }
        }
    }

    /// A path into what is carried is known only with its owner; the language judges all others.
    fn carried(&mut self, contract: &ResolvedContract, path: &AttributePath, at: ModelPath) {
        if contract.attributes.iter().any(|attribute| attribute.carried && &attribute.name == path.first()) {
            self.attribute(contract, path, at);
        }
    }

    fn of_publication(&mut self, publication: &Publication) {
        let name = &publication.contract;
        if let Some(context) = self.review.context(&name.context) {
            for (idx, system) in publication.systems.iter().enumerate() {
                if !context.systems.iter().any(|it| it.id == *system) {
                    let help = nearest(system.as_str(), context.systems.iter().map(|it| &it.id));
                    let at = publication.path().key("system").index(idx);
                    self.wrong(at, format!("`{}` has no system `{system}`", name.context), help);
                }
            }
        }
        let Some(contract) = self.review.current(name) else {
            let own = self.review.living().filter(|it| it.name.context == name.context);
            let help = nearest(name.contract.as_str(), own.map(|it| &it.name.contract));
            let at = publication.path().key("contract");
            return self.wrong(at, format!("there is no contract `{name}`"), help);
        };
        if let Some(resolved) = self.review.resolved(&contract.reference()) {
            for (path, _) in &publication.columns {
                self.attribute(resolved, path, publication.path().key("columns").key(path).the_key());
            }
        }
        self.of_row_changes(publication, contract);
    }

    /// The events that row changes are told as, and their details.
    fn of_row_changes(&mut self, publication: &Publication, contract: &Contract) {
        for mapping in &publication.events {
            let at = publication.path().key("events").key(&mapping.event);
            let Some(event) = contract.event(&mapping.event) else {
                let events = contract.events.iter().flat_map(|events| &events.events);
                let help = nearest(mapping.event.as_str(), events.map(|event| &event.name));
                let message = format!("`{}` has no event `{}`", contract.name, mapping.event);
                self.wrong(at.the_key(), message, help);
                continue;
            };
            for (name, _) in &mapping.details {
                if !event.details.iter().any(|detail| detail.name == *name) {
                    let help = nearest(name.as_str(), event.details.iter().map(|detail| &detail.name));
                    let place = at.clone().key("details").key(name).the_key();
                    self.wrong(place, format!("`{}` has no detail `{name}`", event.name), help);
                }
            }
        }
    }

    fn of_target(&mut self, subscription: &Subscription) {
        let Some(into) = &subscription.into else { return };
        let Some(context) = self.review.context(&subscription.name.context) else { return };
        if !context.systems.iter().any(|it| it.id == into.system) {
            let help = nearest(into.system.as_str(), context.systems.iter().map(|it| &it.id));
            let at = subscription.path().key("into").key("system");
            self.wrong(at, format!("`{}` has no system `{}`", context.id, into.system), help);
        }
    }

    fn of_reading(&mut self, reading: &Reading<'_>, contract: &ResolvedContract) {
        let subscription = reading.subscription;
        match contract.view(subscription.view.as_ref()) {
            Ok(view) => {
                let from = match view {
                    Some(view) => format!("view `{}` of `{}`", view.id, subscription.contract),
                    None => format!("`{}`", subscription.contract),
                };
                let offer = Offer { contract, view, from };
                self.of_behaviour(subscription, &offer);
                self.of_columns(reading, &offer);
            }
            Err(id) => {
                let help = nearest(id.as_str(), contract.contract.views.iter().map(|view| &view.id));
                let message = format!("`{}` has no view `{id}`", subscription.contract);
                self.wrong(subscription.path().key("view"), message, help);
            }
        }
    }

    fn of_behaviour(&mut self, subscription: &Subscription, offer: &Offer<'_>) {
        let Offer { contract, view, from } = offer;
        let events = contract.contract.events.iter().flat_map(|events| &events.events);
        let offered: Vec<_> = events
            .map(|event| &event.name)
            .filter(|name| view.is_none_or(|view| view.events.contains(name)))
            .collect();
        for (idx, name) in subscription.reacts_to.iter().enumerate() {
            if !offered.contains(&name) {
                let at = subscription.path().key("reactsTo").index(idx);
                self.wrong(at, format!("{from} has no event `{name}`"), nearest(name.as_str(), &offered));
            }
        }
        let commands: Vec<_> = contract.contract.commands.iter().map(|command| &command.name).collect();
        for (idx, name) in subscription.sends.iter().enumerate() {
            if !commands.contains(&name) {
                let at = subscription.path().key("sends").index(idx);
                self.wrong(at, format!("{from} has no command `{name}`"), nearest(name.as_str(), &commands));
            }
        }
    }

    fn of_columns(&mut self, reading: &Reading<'_>, offer: &Offer<'_>) {
        let Offer { contract, view, from } = offer;
        let offered = contract.carried_paths(*view);
        let top = reading.subscription.path();
        let mut read = |path: &AttributePath, at: ModelPath| {
            let within = offered.iter().any(|it| path.names().starts_with(it.names()));
            if !within || contract.at(path).is_none() {
                let help = nearest(&path.to_string(), &offered);
                self.wrong(at, format!("{from} has no attribute `{path}`"), help);
            }
        };
        for (idx, path) in reading.subscription.asks.iter().enumerate() {
            read(path, top.clone().key("asks").index(idx));
        }
        let columns =
            reading.subscription.into.as_ref().map(|into| into.columns.as_slice()).unwrap_or_default();
        let column = |name: &str| top.clone().key("into").key("columns").key(name);
        for it in columns {
            if let ColumnSource::Path(path) = &it.source {
                read(path, column(&it.name));
            }
        }
        for translation in &reading.translations {
            for path in translation.program.iter().flat_map(|program| program.uses()) {
                read(path, column(&columns[translation.column].name).key("is"));
            }
        }
    }
}

/// What a subscription can name: its contract's, or its view's.
struct Offer<'c> {
    contract: &'c ResolvedContract,
    view: Option<&'c View>,
    from: String,
}
