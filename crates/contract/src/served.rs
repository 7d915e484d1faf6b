//! Older majors of a contract that are kept alive from the same outbox row: each with its own text and its own channels.

use crate::channel::{ChannelId, ChannelKind};
use crate::id::{AttributeName, EventName, Major};
use crate::resolve::ResolvedContract;

/// An older major that is kept alive, with how it is made of the next newer one, and how that is read from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// Its frozen text; itself it serves nothing.
    pub contract: ResolvedContract,
    /// The last day, `YYYY-MM-DD` in UTC; empty when not written.
    pub until: String,
    /// Attribute of the next newer major: CEL over this one.
    pub read: Vec<(AttributeName, String)>,
    /// Attribute of this major: CEL over the next newer one.
    pub write: Vec<(AttributeName, String)>,
    /// Event of this major: that of the next newer one.
    pub events: Vec<(EventName, EventName)>,
}

impl Served {
    /// Returns the event of this major that one of the next newer major is sent as; none where it is not sent.
    pub fn event_of(&self, newer: &EventName) -> Option<&EventName> {
        let mapped = self.events.iter().find(|(_, ours)| ours == newer).map(|(its, _)| its);
        mapped.or_else(|| {
            let own = self.contract.contract.event(newer)?;
            self.events.iter().all(|(its, _)| *its != own.name).then_some(&own.name)
        })
    }

    /// Returns the event of the next newer major that one of this major is read as, as far as the names tell.
    pub fn event_above<'a>(&'a self, its: &'a EventName) -> &'a EventName {
        self.events.iter().find(|(name, _)| name == its).map_or(its, |(_, ours)| ours)
    }
}

/// Returns the name of a channel's chain in rows that are written under a major: the channel's own where it is of that
/// major, else with its major before it (`1/events`).
pub fn chain_name(written: Major, of: Major, channel: &ChannelId) -> String {
    if written == of { channel.to_string() } else { stored_chain(of, channel) }
}

/// Returns the name under which a database keeps a chain, whatever major is installed in it: with its major before it.
pub fn stored_chain(of: Major, channel: &ChannelId) -> String {
    format!("{of}/{channel}")
}

/// Returns the name of a stored chain in rows that are written under a major. One that was stored without a major is of that.
pub fn chain_as_written(written: Major, stored: String) -> String {
    match stored.split_once('/') {
        Some((major, channel)) if major.parse() == Ok(written.0) => channel.to_owned(),
        _ => stored,
    }
}

impl ResolvedContract {
    /// Returns the older majors that an event of this one is sent to, each with the event's name there, newest first.
    pub fn event_below(&self, event: &EventName) -> Vec<(&Served, &EventName)> {
        let mut names = Vec::new();
        let mut name = event;
        for served in &self.served {
            let Some(its) = served.event_of(name) else { break };
            names.push((served, its));
            name = its;
        }
        names
    }

    /// Returns the names under which a database keeps the chains that an event links into, own ones first, in a fixed order.
    pub fn chains(&self, event: &EventName) -> Vec<String> {
        let of = |contract: &ResolvedContract, event: &EventName| -> Vec<String> {
            let channels = contract.channels().into_iter();
            let carrying =
                channels.filter(|it| it.kind == ChannelKind::Events && contract.on_channel(event, it));
            carrying.map(|it| stored_chain(contract.contract.version.major, &it)).collect()
        };
        let mut chains = of(self, event);
        for (served, its) in self.event_below(event) {
            chains.extend(of(&served.contract, its));
        }
        chains
    }
}
