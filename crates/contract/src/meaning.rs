//! The meaning that a consumer uses, facet by facet, and the digest that pins it when it is accepted.
//!
//! The canonical text is one line a facet: subject, aspect and text, with a tab between, ended by a line feed. White
//! space within a text counts as one space, so that wrapping a sentence anew changes nothing. Facets come in a fixed
//! order: attributes by path, then events by name, then commands by name, then promises; what has no order in the contract
//! (values, moves, reasons, what an event sets) is sorted. The text begins with the line `seamline meaning 1`.
//!
//! A facet that a consumer does not use is not in it, so that no change elsewhere asks it to read again.

use crate::attribute::{Attribute, Origin, Shape, Type, Unit};
use crate::channel::{ChannelId, ChannelKind, Command, Event, View};
use crate::id::{AttributePath, CommandName, EventName};
use crate::resolve::ResolvedContract;
use std::collections::BTreeSet;
use std::fmt;

/// The first line of the canonical text; its number rises when the text's form does.
const FORM: &str = "seamline meaning 1\n";

/// What a facet says of its subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Aspect {
    /// The sentence.
    Meaning,
    /// The type, of objects, lists and maps the outermost.
    Type,
    /// A value of an enumeration with its meaning; `*` for values not listed.
    Value,
    /// A step that an enumeration may take.
    Move,
    /// What a quantity counts in.
    Unit,
    /// Where a day begins.
    Zone,
    /// It may have no value.
    Optional,
    /// What an attribute has become once the event happened; the key's end is `ends`.
    Becomes,
    /// An attribute that the event may change.
    Sets,
    /// A reason code with its meaning.
    Reason,
    /// The attribute that says when an event takes effect.
    Effective,
    /// The expression of a flag.
    Is,
    /// An answer to a command with its meaning.
    Outcome,
    /// What is promised of a channel.
    Guarantee,
}

impl fmt::Display for Aspect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Aspect::Meaning => "meaning",
            Aspect::Type => "type",
            Aspect::Value => "value",
            Aspect::Move => "move",
            Aspect::Unit => "unit",
            Aspect::Zone => "zone",
            Aspect::Optional => "optional",
            Aspect::Becomes => "becomes",
            Aspect::Sets => "sets",
            Aspect::Reason => "reason",
            Aspect::Effective => "effective",
            Aspect::Is => "is",
            Aspect::Outcome => "outcome",
            Aspect::Guarantee => "guarantee",
        })
    }
}

/// One thing that a consumer relies on.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Facet {
    /// An attribute's path, an event's or command's name, or what is promised of: `events`, `state`, `commands`, `requests`.
    pub subject: String,
    /// What it says of it.
    pub aspect: Aspect,
    /// What it says, on one line.
    pub text: String,
}

/// What a consumer uses of a contract. Names that the contract does not have are left out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Uses {
    /// The key, what columns name or translate, what events it reacts to carry, what it asks for.
    pub attributes: BTreeSet<AttributePath>,
    /// The events it reacts to, in the order written.
    pub events: Vec<EventName>,
    /// The channels it reads: state for a table, events for reactions.
    pub channels: Vec<ChannelId>,
    /// The commands it sends, in the order written.
    pub commands: Vec<CommandName>,
    /// It asks by request.
    pub asks: bool,
    /// The promises that it says it needs, by name: `freshness`, `retention`, ….
    pub promises: BTreeSet<&'static str>,
}

/// Returns everything that these uses rely on, in canonical order. Names that the contract does not have are passed over.
pub fn facets(contract: &ResolvedContract, uses: &Uses) -> Vec<Facet> {
    let mut facets = Facets(Vec::new());
    for path in &uses.attributes {
        if let Some(at) = contract.at(path) {
            facets.attribute(&path.to_string(), at.meaning, at.shape, at.optional);
        }
    }
    let view = uses.channels.iter().find_map(|channel| channel.view.as_ref());
    let view = view.and_then(|view| contract.contract.view(view));
    let names: BTreeSet<&EventName> = uses.events.iter().collect();
    for event in names.into_iter().filter_map(|name| contract.contract.event(name)) {
        facets.event(contract, event, view);
    }
    let names: BTreeSet<&CommandName> = uses.commands.iter().collect();
    for name in names {
        if let Some(command) = contract.contract.commands.iter().find(|command| command.name == *name) {
            facets.command(command);
        }
    }
    facets.guarantees(contract, uses);
    facets.0
}

/// Returns the digest of the meaning that these uses rely on: `b3-` and the first eight hexadecimal digits of the
/// BLAKE3 hash of the canonical text. Nothing but a listed facet changes it.
pub fn meaning_digest(contract: &ResolvedContract, uses: &Uses) -> String {
    let mut text = FORM.to_owned();
    for Facet { subject, aspect, text: says } in facets(contract, uses) {
        text.push_str(&format!("{subject}\t{aspect}\t{says}\n"));
    }
    format!("b3-{}", &blake3::hash(text.as_bytes()).to_hex()[..8])
}

struct Facets(Vec<Facet>);

impl Facets {
    fn push(&mut self, subject: &str, aspect: Aspect, text: &str) {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        self.0.push(Facet { subject: subject.to_owned(), aspect, text });
    }

    fn sorted(&mut self, subject: &str, aspect: Aspect, texts: impl Iterator<Item = String>) {
        for text in texts.collect::<BTreeSet<_>>() {
            self.push(subject, aspect, &text);
        }
    }

    fn attribute(&mut self, subject: &str, meaning: &str, shape: &Shape, optional: bool) {
        self.push(subject, Aspect::Meaning, meaning);
        self.push(subject, Aspect::Type, &type_text(shape));
        let values = shape.values.iter().map(|(value, meaning)| format!("{value}: {meaning}"));
        self.sorted(subject, Aspect::Value, values.chain(shape.open.then(|| "*".to_owned())));
        if let Some(moves) = &shape.moves {
            self.sorted(subject, Aspect::Move, moves.iter().map(ToString::to_string));
        }
        match &shape.unit {
            Some(Unit::Fixed(unit)) => self.push(subject, Aspect::Unit, unit),
            Some(Unit::In(attribute)) => self.push(subject, Aspect::Unit, &format!("in {attribute}")),
            None => {}
        }
        if let Some(zone) = &shape.zone {
            self.push(subject, Aspect::Zone, zone);
        }
        if optional {
            self.push(subject, Aspect::Optional, "true");
        }
        match &shape.ty {
            Type::Object(members) => members.iter().for_each(|member| self.member(subject, member)),
            Type::Map(element) | Type::List(element) => self.member(subject, element),
            _ => {}
        }
    }

    fn member(&mut self, parent: &str, member: &Attribute) {
        let subject = format!("{parent}.{}", member.name);
        match &member.origin {
            Origin::Own(shape) => self.attribute(&subject, &member.meaning, shape, member.optional),
            Origin::Carried(from) => self.push(&subject, Aspect::Type, &format!("from {from}")),
        }
    }

    /// What an event becomes says when it happens, even to a reader who is not told the attribute; what it sets, and its
    /// details, are only what the view carries.
    fn event(&mut self, contract: &ResolvedContract, event: &Event, view: Option<&View>) {
        let subject = event.name.as_str();
        self.push(subject, Aspect::Meaning, &event.meaning);
        let becomes = event
            .becomes
            .iter()
            .flat_map(|(attribute, values)| values.iter().map(move |value| format!("{attribute}: {value}")));
        self.sorted(subject, Aspect::Becomes, becomes.chain(event.ends.then(|| "ends".to_owned())));
        let carried = contract.event_paths(event, view);
        let sets = event.sets.iter().filter(|path| carried.contains(path));
        self.sorted(subject, Aspect::Sets, sets.map(ToString::to_string));
        let reasons = event.reasons.iter().map(|(reason, meaning)| format!("{reason}: {meaning}"));
        self.sorted(subject, Aspect::Reason, reasons);
        if let Some(effective) = &event.effective {
            self.push(subject, Aspect::Effective, effective.as_str());
        }
        for flag in &event.flags {
            let subject = format!("{subject}.{}", flag.name);
            self.push(&subject, Aspect::Meaning, &flag.meaning);
            self.push(&subject, Aspect::Is, &flag.is);
        }
        for detail in &event.details {
            let listed = |view: &View| view.details.contains(&(event.name.clone(), detail.name.clone()));
            if view.is_none_or(listed) {
                self.member(subject, detail);
            }
        }
    }

    fn command(&mut self, command: &Command) {
        let subject = command.name.as_str();
        self.push(subject, Aspect::Meaning, &command.meaning);
        let outcomes = command.outcomes.iter().map(|it| format!("{}: {}", it.name, it.meaning));
        self.sorted(subject, Aspect::Outcome, outcomes);
        command.details.iter().for_each(|detail| self.member(subject, detail));
    }

    /// What is promised and needed.
    fn guarantees(&mut self, contract: &ResolvedContract, uses: &Uses) {
        let guarantees = &contract.contract.guarantees;
        let mut say = |subject: &str, name: &str, promise: Option<String>| {
            if let Some(promise) = promise.filter(|_| uses.promises.contains(name)) {
                self.push(subject, Aspect::Guarantee, &format!("{name}: {promise}"));
            }
        };
        let kinds: BTreeSet<ChannelKind> = uses.channels.iter().map(|channel| channel.kind).collect();
        if let (true, Some(events)) = (kinds.contains(&ChannelKind::Events), &guarantees.events) {
            say("events", "freshness", events.freshness.map(|promise| promise.to_string()));
            say("events", "lateness", events.lateness.map(|promise| promise.to_string()));
            say("events", "replay", Some(events.replay.to_string()));
            say("events", "retention", events.retention.map(|promise| promise.to_string()));
        }
        if let (true, Some(state)) = (kinds.contains(&ChannelKind::State), &guarantees.state) {
            say("state", "freshness", state.freshness.map(|promise| promise.to_string()));
            say("state", "replay", Some(state.replay.to_string()));
            say("state", "tombstones", state.tombstones.map(|promise| promise.to_string()));
        }
        if !uses.commands.is_empty() {
            say("commands", "answer", guarantees.commands_answer.map(|promise| promise.to_string()));
        }
        if uses.asks {
            say("requests", "answer", guarantees.requests_answer.map(|promise| promise.to_string()));
        }
    }
}

fn type_text(shape: &Shape) -> String {
    if shape.approximate { format!("{} approximate", shape.ty) } else { shape.ty.to_string() }
}

#[cfg(test)]
mod tests;
