//! Where a thing of a contract lands in a subscription: by which words of its own text a consumer uses it.

use crate::uses::Reading;
use seamline_contract::id::{AttributePath, CommandName, EnumValue, EventName, ViewId};
use seamline_contract::subscription::ColumnSource;
use std::collections::BTreeSet;
use std::fmt;

/// A place in a subscription where something of its contract is used.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Landing {
    /// It is part of the key, which every consumer uses.
    Key,
    /// A column holds an attribute as it is.
    Column {
        /// The column.
        column: String,
        /// The attribute.
        path: AttributePath,
    },
    /// A column is computed from it.
    Translation {
        /// The column.
        column: String,
        /// The expression.
        is: String,
    },
    /// It is asked for by request.
    Asks(AttributePath),
    /// A reaction is given it.
    Reaction(EventName),
    /// A command is sent.
    Sends(CommandName),
    /// A view is read.
    View(ViewId),
    /// A promise is needed: its name, and what is needed.
    Need(&'static str, String),
}

impl Landing {
    /// Returns the word for the kind of place, for programs.
    pub fn kind(&self) -> &'static str {
        match self {
            Landing::Key => "key",
            Landing::Column { .. } => "column",
            Landing::Translation { .. } => "translation",
            Landing::Asks(_) => "asks",
            Landing::Reaction(_) => "reaction",
            Landing::Sends(_) => "sends",
            Landing::View(_) => "view",
            Landing::Need(..) => "need",
        }
    }
}

impl fmt::Display for Landing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Landing::Key => f.write_str("the key"),
            Landing::Column { column, .. } => write!(f, "the column `{column}`"),
            Landing::Translation { column, .. } => write!(f, "the translated column `{column}`"),
            Landing::Asks(path) => write!(f, "`asks: {path}`"),
            Landing::Reaction(event) => write!(f, "the reaction to `{event}`"),
            Landing::Sends(command) => write!(f, "`sends: {command}`"),
            Landing::View(view) => write!(f, "`view: {view}`"),
            Landing::Need(promise, need) => write!(f, "`needs.{promise}: {need}`"),
        }
    }
}

impl Reading<'_> {
    /// Returns where an attribute, a member of it or what it is a member of is used, sorted; nothing when it is not.
    pub(crate) fn landings_of_attribute(&self, path: &AttributePath) -> BTreeSet<Landing> {
        let meets = |used: &AttributePath| {
            used.names().starts_with(path.names()) || path.names().starts_with(used.names())
        };
        let mut landings = self.columns_where(meets);
        landings.extend(self.subscription.asks.iter().filter(|it| meets(it)).cloned().map(Landing::Asks));
        landings.extend(self.reactions_given(meets));
        if landings.is_empty() && self.uses.attributes.iter().any(meets) {
            landings.insert(Landing::Key);
        }
        landings
    }

    /// Returns where one value of an attribute may arrive: as for the attribute, but of the events that say what it
    /// becomes only those that say this value.
    pub(crate) fn landings_of_value(&self, path: &AttributePath, value: &EnumValue) -> BTreeSet<Landing> {
        let mut landings = self.landings_of_attribute(path);
        let events = self.contract.iter().flat_map(|contract| &contract.contract.events);
        for event in events.flat_map(|events| &events.events) {
            let said = event.becomes.iter().find(|(name, _)| AttributePath::from(name.clone()) == *path);
            if said.is_some_and(|(_, values)| !values.contains(value)) {
                landings.remove(&Landing::Reaction(event.name.clone()));
            }
        }
        landings
    }

    /// Returns the reaction to an event, when there is one.
    pub(crate) fn landings_of_event(&self, event: &EventName) -> BTreeSet<Landing> {
        let is_used = self.uses.events.contains(event);
        is_used.then(|| Landing::Reaction(event.clone())).into_iter().collect()
    }

    /// Returns every place in which the contract is used.
    pub(crate) fn landings(&self) -> BTreeSet<Landing> {
        let subscription = self.subscription;
        let mut landings = self.columns_where(|_| true);
        landings.extend(subscription.asks.iter().cloned().map(Landing::Asks));
        landings.extend(subscription.reacts_to.iter().cloned().map(Landing::Reaction));
        landings.extend(subscription.sends.iter().cloned().map(Landing::Sends));
        landings.extend(subscription.view.iter().cloned().map(Landing::View));
        landings.extend(self.needs());
        landings
    }

    fn needs(&self) -> impl Iterator<Item = Landing> {
        let needs = self.subscription.needs.as_ref();
        let needed = needs.map(seamline_contract::subscription::Needs::promises).unwrap_or_default();
        needed.into_iter().map(|(promise, need)| Landing::Need(promise, need))
    }

    fn columns_where(&self, meets: impl Fn(&AttributePath) -> bool) -> BTreeSet<Landing> {
        let columns = self.subscription.into.as_ref().map(|into| into.columns.as_slice()).unwrap_or_default();
        let mut landings = BTreeSet::new();
        for column in columns {
            if let ColumnSource::Path(path) = &column.source
                && meets(path)
            {
                landings.insert(Landing::Column { column: column.name.clone(), path: path.clone() });
            }
        }
        for translation in &self.translations {
            let column = &columns[translation.column];
            let ColumnSource::Is { is, .. } = &column.source else { continue };
            if translation.program.as_ref().is_ok_and(|program| program.uses().iter().any(&meets)) {
                landings.insert(Landing::Translation { column: column.name.clone(), is: is.clone() });
            }
        }
        landings
    }

    fn reactions_given(&self, meets: impl Fn(&AttributePath) -> bool) -> Vec<Landing> {
        let Some(contract) = self.contract else { return Vec::new() };
        let view = contract.view(self.subscription.view.as_ref()).ok().flatten();
        let events = self.uses.events.iter().filter_map(|name| contract.contract.event(name));
        events
            .filter(|event| contract.event_paths(event, view).iter().any(&meets))
            .map(|event| Landing::Reaction(event.name.clone()))
            .collect()
    }
}
